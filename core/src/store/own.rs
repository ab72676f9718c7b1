//! The bridge's own metrics, and a device's: declared once, their values published at any time.

use super::{
    SourceId, Store,
    identity::{ITEMS, indom},
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Pad, Series, Slot},
    storage::{Full, Region, Storage},
    text::Field,
};
use crate::pcp::{Desc, InDom, Pmid, Semantics, Type, Units};

/// What a metric is that the host declares.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a declaration names all of these")]
pub struct Declaration<'a> {
    /// Its whole name.
    pub name: &'a str,
    /// Its help, first line first.
    pub help: &'a str,
    /// How its values are encoded.
    pub kind: Type,
    /// How they relate over time.
    pub semantics: Semantics,
    /// Their dimension and scale.
    pub units: Units,
    /// Whether it has one value, or one for each of its instances.
    pub singular: bool,
}

/// A metric, for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricId(Slot);

/// A value to publish, as its metric's type has it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Published<'a> {
    /// The 64 bits of a number: integers as they are (signed ones extended), floats as IEEE doubles.
    Bits(u64),
    /// A string.
    Text(&'a str),
}

impl<S: Storage> Store<S> {
    /// Declares a metric of `source`, with the next PMID of its cluster.
    pub fn declare(&mut self, source: SourceId, declaration: &Declaration<'_>) -> Result<MetricId, Full> {
        self.growing(|ledger| ledger.declare(source.0, declaration)).map(MetricId)
    }

    /// Publishes the value of a singular metric (`instance` is empty), or of one of its instances.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn publish(&mut self, metric: MetricId, instance: &str, value: Published<'_>) -> Result<(), Full> {
        self.growing(|ledger| ledger.publish(metric.0, instance.as_bytes(), value))
    }
}

impl Ledger<'_> {
    fn declare(&mut self, source: Slot, declaration: &Declaration<'_>) -> Result<Slot, Full> {
        let (full, domain) = (Full(Region::Metrics), self.book.domain);
        self.reserve(1, 0, declaration.name.len().saturating_add(declaration.help.len()))?;
        let row = source.index().and_then(|i| self.parts.sources.get_mut(i)).ok_or(full)?;
        let (cluster, item) = (row.cluster, row.items);
        if item >= ITEMS {
            return Err(full);
        }
        row.items = item.saturating_add(1);
        row.well = true;
        row.own = true;
        let indom = if declaration.singular { Some(InDom::NULL) } else { indom(domain, cluster, item) };
        let desc = Desc {
            pmid: Pmid::new(domain, cluster, item).ok_or(full)?,
            kind: declaration.kind,
            indom: indom.ok_or(full)?,
            semantics: declaration.semantics,
            units: declaration.units,
        };
        let name_hash = index::hash(self.book.seed, declaration.name.as_bytes());
        let slot = Slot::of(self.book.metrics);
        let name = self.copy(declaration.name.as_bytes(), Field::MetricName, slot)?;
        let help = self.copy(declaration.help.as_bytes(), Field::MetricHelp, slot)?;
        let flags = Metric::MET | Metric::SAVED | Metric::VERBATIM;
        self.push_metric(Metric { desc, source, name, help, name_hash, flags, ..Metric::EMPTY });
        self.list(slot);
        Ok(slot)
    }

    fn publish(&mut self, metric: Slot, instance: &[u8], value: Published<'_>) -> Result<(), Full> {
        let full = Full(Region::Series);
        let hash = index::hash(self.book.seed ^ u64::from(metric.bits()), instance);
        let known = index::find(self.parts.index, Key::Identity, hash, |slot| {
            let series = slot.index().and_then(|i| self.parts.series.get(i));
            series.is_some_and(|s| {
                s.metric == metric && s.is(Series::NAMED) && s.raw.of(self.parts.text) == instance
            })
        });
        let slot = match known {
            Some(slot) => slot,
            None => {
                self.reserve(0, 1, instance.len())?;
                let raw = self.copy(instance, Field::SeriesRaw, self.next_series())?;
                let (raw_hash, identity_hash) = (hash, hash);
                let source =
                    self.metric(metric).map_or(0, |m| u16::try_from(m.source.bits()).unwrap_or_default());
                let flags = Series::NAMED;
                let series = Series { metric, raw, raw_hash, identity_hash, flags, source, ..Series::EMPTY };
                self.instance(series, None).ok_or(full)?
            }
        };
        let bits = match value {
            Published::Bits(bits) => bits,
            Published::Text(text) => {
                let pad = self.series(slot).map_or(Pad::EMPTY, |s| Pad::unpack(s.value));
                self.rewrite(pad, text.as_bytes(), Field::SeriesValue, slot)?.pack()
            }
        };
        let Some(series) = self.series(slot) else { return Ok(()) };
        series.value = bits;
        let new = !series.is_live();
        series.flags |= Series::LIVE;
        if new && let Some(metric) = self.metric(metric) {
            metric.live = metric.live.saturating_add(1);
        }
        Ok(())
    }
}
