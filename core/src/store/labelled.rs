//! Declared metrics whose instances have labels, and histograms: declared once with all their series, and then renewed in
//! the order of declaration, without a name being looked up.

use super::{
    MetricId, Published, SourceId, Store, index,
    ledger::Ledger,
    own::Declaration,
    record::{Series, Slot, Span},
    storage::{Full, Region, Storage},
    text::Field,
};
use crate::{
    exposition::writer,
    mapping::{
        Part, Put,
        export::{self, Naming},
    },
};

/// A series of a declared metric, for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SeriesId(Slot);

impl<S: Storage> Store<S> {
    /// Declares one more instance of a metric, or the one value that it has, with labels: names, and values as they are.
    ///
    /// What `instance` says is a label too, and its value is what PCP calls the instance. The series has no value before it is
    /// [renewed](Self::renew), and where it has labels, [`publish`](Self::publish), which goes by names, does not find it.
    pub fn declare_series(
        &mut self,
        metric: MetricId,
        instance: Option<(&str, &str)>,
        labels: &[(&str, &str)],
    ) -> Result<SeriesId, Full> {
        self.make_series(metric, &|put| {
            for (n, label) in instance.iter().chain(labels).enumerate() {
                write_label(n > 0, *label, put);
            }
        })
    }

    /// Declares a histogram of integers: the metrics `NAME_bucket`, `NAME_sum` and `NAME_count`, of 64 bits without a sign,
    /// with all their series, called as an import of such a histogram calls them. A page shows one family.
    ///
    /// Of the declaration type, semantics and instances are those that a histogram has; its units are those of what is
    /// observed, and so are `bounds`, which ascend; the last bucket has none. The number of observations is that of the
    /// last bucket.
    pub fn declare_histogram(
        &mut self,
        source: SourceId,
        declaration: &Declaration<'_>,
        labels: &[(&str, &str)],
        bounds: &[u64],
    ) -> Result<[MetricId; 3], Full> {
        let mut all = [MetricId(Slot::NONE); 3];
        for (metric, part) in all.iter_mut().zip([Part::Bucket, Part::Sum, Part::Count]) {
            *metric = self.declare_share(source, declaration, Some(part))?;
        }
        let [bucket, sum, count] = all;
        let factor = export::factor(Naming::Prometheus, declaration.units);
        for bound in bounds.iter().map(Some).chain([None]) {
            self.make_series(bucket, &|put| {
                put(b"le=\"");
                match bound {
                    Some(bound) => factor.unsigned(*bound, put),
                    None => put(b"+Inf"),
                }
                put(b"\"");
                labels.iter().for_each(|label| write_label(true, *label, put));
            })?;
        }
        for metric in [sum, count] {
            self.declare_series(metric, None, labels)?;
        }
        Ok(all)
    }

    fn make_series(&mut self, metric: MetricId, write: &dyn Fn(Put<'_>)) -> Result<SeriesId, Full> {
        self.growing(|ledger| ledger.declare_series(metric.0, write)).map(SeriesId)
    }

    /// The first declared metric of a source.
    pub fn first_declared(&self, source: SourceId) -> Option<MetricId> {
        let row = self.storage.lent().sources.get(source.0.index()?)?;
        is_any(row.first).map(MetricId)
    }

    /// The metric that was declared after this one.
    pub fn declared_after(&self, metric: MetricId) -> Option<MetricId> {
        let row = self.storage.lent().metrics.get(metric.0.index()?)?;
        is_any(row.next).map(MetricId)
    }

    /// The first series of a declared metric.
    pub fn first_series(&self, metric: MetricId) -> Option<SeriesId> {
        let row = self.storage.lent().metrics.get(metric.0.index()?)?;
        is_any(row.first).map(SeriesId)
    }

    /// Publishes a value of a series; the series that was declared after it, if its metric has more.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn renew(&mut self, series: SeriesId, value: Published<'_>) -> Result<Option<SeriesId>, Full> {
        self.growing(|ledger| {
            let Some(metric) = ledger.series(series.0).map(|row| row.metric) else { return Ok(Slot::NONE) };
            ledger.renew(metric, series.0, value)?;
            Ok(ledger.series(series.0).map_or(Slot::NONE, |row| row.next))
        })
        .map(|next| is_any(next).map(SeriesId))
    }
}

impl Ledger<'_> {
    /// Makes a series of a declared metric whose labels are written.
    fn declare_series(&mut self, metric: Slot, write: &dyn Fn(Put<'_>)) -> Result<Slot, Full> {
        let mut len = 0usize;
        write(&mut |piece| len = len.saturating_add(piece.len()));
        self.reserve(0, 1, len)?;
        let len = self.draft(0, &mut |_, put| write(put))?;
        let raw = self.keep(len, Field::SeriesRaw, self.next_series())?;
        let source = self.metric(metric).map_or(Slot::NONE, |row| row.source);
        let hash = index::hash(self.book.seed ^ u64::from(metric.bits()), raw.of(self.parts.text));
        let series = Series {
            metric,
            raw,
            labels: Span::new(0, raw.len()),
            raw_hash: hash,
            identity_hash: hash,
            flags: Series::NAMED,
            source: u16::try_from(source.bits()).unwrap_or_default(),
            ..Series::EMPTY
        };
        let slot = self.instance(series, None).ok_or(Full(Region::Series))?;
        self.chain(slot, None);
        Ok(slot)
    }
}

/// Writes a label as it stands in an exposition.
fn write_label(follows: bool, (name, value): (&str, &str), put: Put<'_>) {
    for piece in [if follows { "," } else { "" }, name, "=\""] {
        put(piece.as_bytes());
    }
    writer::escape_label(value.as_bytes(), put);
    put(b"\"");
}

fn is_any(slot: Slot) -> Option<Slot> {
    (slot != Slot::NONE).then_some(slot)
}
