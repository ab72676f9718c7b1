//! A table of metrics, whatever their types: declared in the store once, published whenever somebody asks.

use core::{cell::Cell, fmt};

use critical_section::Mutex;
use pmbridge_core::store::{Declaration, Full, Instances, MetricId, Published, SourceId, Storage, Store};

use super::{about::About, histogram::Observed, text::MOST_TEXT};

/// A metric in a table: what it is, and where its values are.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    about: &'static About,
    cells: Cells,
}

/// Where the values of a metric are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cells {
    Numbers(&'static dyn Numbers),
    Text { len: &'static Mutex<Cell<usize>>, bytes: &'static [Mutex<Cell<u8>>] },
    Histogram(Observed),
}

/// The numbers of a metric, as the store has them.
pub(super) trait Numbers: Sync {
    fn bits(&self, instance: usize) -> u64;
}

impl fmt::Debug for dyn Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers")
    }
}

/// Why a table could not be declared. Neither goes away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The store has no room for it.
    Full(Full),
    /// This name comes twice, or another metric has the same one on a page: `disk.size` and `disk.size_kb`, both in Kbyte;
    /// or OpenMetrics keeps it for the other, as `boot.created` for a counter `boot`. One of the agent's own comes
    /// twice where a metric of the table would be called the same on a page.
    Twice(&'static str),
}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => full.fmt(f),
            Self::Twice(name) => write!(f, "metric {name} is there twice, by this name or on a page"),
        }
    }
}

impl core::error::Error for Error {}

impl Entry {
    pub(super) const fn new(about: &'static About, cells: Cells) -> Self {
        Self { about, cells }
    }

    /// How many series it has.
    pub fn series(&self) -> usize {
        match &self.cells {
            Cells::Numbers(_) => self.about.instances.len().max(1),
            Cells::Text { .. } => 1,
            Cells::Histogram(observed) => observed.bounds.len().saturating_add(3),
        }
    }

    fn declare<S: Storage>(&self, store: &mut Store<S>, source: SourceId) -> Result<(), Error> {
        let About { name, help, kind, semantics, units, labels, label, instances, .. } = *self.about;
        if store.view().named(name.as_bytes()).is_some() {
            return Err(Error::Twice(name));
        }
        let instances_of = if instances.is_empty() { Instances::One } else { Instances::Own };
        let declaration = Declaration {
            name,
            help,
            kind,
            semantics,
            units,
            instances: instances_of,
            item: None,
            storable: false,
            aside: false,
        };
        let (metric, parts) = match &self.cells {
            Cells::Histogram(observed) => {
                let parts = store.declare_histogram(source, &declaration, labels, observed.bounds)?;
                (parts[0], parts.len())
            }
            _ => (store.declare(source, &declaration)?, 1),
        };
        if store.view().kin_len(metric) > parts {
            return Err(Error::Twice(name));
        }
        if matches!(self.cells, Cells::Histogram(_)) {
            return Ok(());
        }
        if instances.is_empty() {
            let series = store.declare_series(metric, None, labels)?;
            if let Cells::Text { bytes, .. } = &self.cells {
                // It has room for its longest string from now on.
                let longest = BLANK.get(..bytes.len()).unwrap_or(BLANK);
                store.renew(series, Published::Text(longest))?;
            }
        }
        for instance in instances {
            store.declare_series(metric, Some((label, *instance)), labels)?;
        }
        Ok(())
    }

    /// Publishes its values; the metric behind it.
    fn publish<S: Storage>(&self, store: &mut Store<S>, metric: MetricId) -> Result<Option<MetricId>, Full> {
        match &self.cells {
            Cells::Numbers(numbers) => renew(store, metric, &mut |instance| numbers.bits(instance)),
            Cells::Text { len, bytes } => {
                let mut room = [0; MOST_TEXT];
                let text = copied(&mut room, len, bytes);
                if let Some(series) = store.first_series(metric) {
                    store.renew(series, Published::Text(text))?;
                }
                Ok(store.declared_after(metric))
            }
            Cells::Histogram(observed) => {
                let now = observed.now();
                let bounds = observed.bounds.len();
                let mut at_most = |n| now.at_most.get(n).copied().filter(|_| n < bounds).unwrap_or(now.count);
                let Some(sum) = renew(store, metric, &mut at_most)? else { return Ok(None) };
                let Some(count) = renew(store, sum, &mut |_| now.sum)? else { return Ok(None) };
                renew(store, count, &mut |_| now.count)
            }
        }
    }
}

/// Declares the metrics of a table as those of `source`, which has no others; then its values are
/// [published](publish) on demand.
///
/// # Errors
///
/// There is no room for all of it, or a name is there already: that is so at each start, and not by chance.
pub fn declare<S: Storage>(table: &[Entry], store: &mut Store<S>, source: SourceId) -> Result<(), Error> {
    table.iter().try_for_each(|entry| entry.declare(store, source))?;
    store.on_demand(source);
    Ok(())
}

/// Publishes the values of a table that was [declared](declare), when the store [wants](Store::wanted) its source.
///
/// Nothing is looked up: the store has the series in the order of the table. Not to be called while a role
/// [is busy](pmbridge_core::role::Role::is_busy) with an answer.
pub fn publish<S: Storage>(table: &[Entry], store: &mut Store<S>, source: SourceId) {
    store.begin(source);
    let mut metric = store.first_declared(source);
    for entry in table {
        let Some(this) = metric else { break };
        // All have their room since they were declared.
        metric = entry.publish(store, this).unwrap_or_default();
    }
    store.published(source);
}

/// Publishes the values of a metric, by the places of its instances; the metric behind it.
fn renew<S: Storage>(
    store: &mut Store<S>,
    metric: MetricId,
    value: &mut dyn FnMut(usize) -> u64,
) -> Result<Option<MetricId>, Full> {
    let (mut series, mut place) = (store.first_series(metric), 0usize);
    while let Some(this) = series {
        series = store.renew(this, Published::Bits(value(place)))?;
        place = place.saturating_add(1);
    }
    Ok(store.declared_after(metric))
}

/// The string of a metric as it is now.
fn copied<'r>(room: &'r mut [u8; MOST_TEXT], len: &Mutex<Cell<usize>>, bytes: &[Mutex<Cell<u8>>]) -> &'r str {
    let len = critical_section::with(|token| {
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = from.borrow(token).get();
        }
        len.borrow(token).get()
    });
    room.get(..len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
}

/// As long as the longest string.
const BLANK: &str = "                                                                ";

/// Statics of metrics, and a table of them all, in which no two names are the same or in each other's way.
///
/// Declarations stay what they are. The first line names the table.
///
/// ```compile_fail
/// # use pmbridge_embedded::metrics::{Metric, metrics};
/// metrics! {
///     static TABLE;
///     static ONE: Metric<u32> = Metric::gauge("device.fan", "A fan.");
///     static OTHER: Metric<u32> = Metric::gauge("device.fan", "The same fan.");
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! metrics_table {
    (
        $(#[$about_table:meta])* $seen:vis static $table:ident;
        $($(#[$about:meta])* $vis:vis static $name:ident: $type:ty = $made:expr;)+
    ) => {
        $($(#[$about])* $vis static $name: $type = $made;)+

        $(#[$about_table])*
        $seen static $table: &[$crate::metrics::Entry] = {
            assert!(
                $crate::metrics::are_distinct(&[$({ let metric: $type = $made; metric.about() }),+]),
                "names of metrics are the same or in each other's way"
            );
            &[$($name.entry()),+]
        };
    };
}
