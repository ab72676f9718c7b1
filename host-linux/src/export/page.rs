//! A page: what a catalogue has of the metrics asked for, as exposition text.
//!
//! Whatever stays the same from one page to the next is kept as text: the heads and names of families, and the labels
//! of series. So a page is made of copies, and of numbers.

use pmbridge_core::exposition::writer::{self, Kind, escape_label};
use pmbridge_core::exposition::{Format, LabelSet};
use pmbridge_core::mapping::export::Naming;
use pmbridge_core::time::Timestamp;

use super::catalog::{Catalog, Metric, Series, Value};
use super::families::{Families, Family};

/// What a request says about its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Ask {
    /// What the metrics are called.
    pub(crate) naming: Naming,
    /// How the page is written.
    pub(crate) format: Format,
    /// Whether samples have their time.
    pub(crate) times: bool,
    /// Whether strings are shown, as labels of info metrics.
    pub(crate) info: bool,
}

/// What is counted of one page.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Its series.
    pub(crate) series: usize,
    /// Its metrics that have none because of an error.
    pub(crate) failed: usize,
}

/// Makes the pages of one catalogue, and keeps what is the same in all of them.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    epoch: u64,
    families: [Option<Families>; 2],
}

impl Pages {
    /// Appends the families of the metrics at these places of the catalogue, which are in order and come once. What ends
    /// a page is left to whoever has more to say.
    pub(crate) fn render(
        &mut self,
        catalog: &Catalog,
        metrics: &[usize],
        ask: Ask,
        time: Timestamp,
        out: &mut Vec<u8>,
    ) -> Tally {
        if self.epoch != catalog.epoch() {
            *self = Self { epoch: catalog.epoch(), ..Self::default() };
        }
        let [pcp, prometheus] = &mut self.families;
        let slot = if ask.naming == Naming::Pcp { pcp } else { prometheus };
        let families = slot.get_or_insert_with(|| Families::new(ask.naming, catalog));
        families.prepare(ask.format, catalog.metrics());
        let tail = tail(ask, time);
        let mut tally = Tally::default();
        for &place in metrics {
            let Some(metric) = catalog.metrics().get(place) else { continue };
            tally.failed = tally.failed.saturating_add(usize::from(metric.status.is_some()));
            let Some((family, head)) = families.of(ask.format, place) else { continue };
            if ask.info || family.kind != Kind::Info {
                let series = catalog.series(place);
                let shown = render_family(family, head, metric, series, ask, &tail, out);
                tally.series = tally.series.saturating_add(shown);
            }
        }
        tally
    }
}

/// What stands behind each value.
fn tail(ask: Ask, time: Timestamp) -> Vec<u8> {
    let mut tail = Vec::new();
    if ask.times {
        tail.push(b' ');
        writer::timestamp(ask.format, time, &mut |piece| tail.extend_from_slice(piece));
    }
    tail.push(b'\n');
    tail
}

/// Appends a family; how many series that were.
fn render_family(
    family: &Family,
    head: &[u8],
    metric: &Metric,
    series: &[Series],
    ask: Ask,
    tail: &[u8],
    out: &mut Vec<u8>,
) -> usize {
    let mut shown = series.iter().filter(|series| is_shown(family, &series.value)).peekable();
    if shown.peek().is_none() {
        return 0;
    }
    if family.is_strict(ask.format) && !series.iter().all(|series| may_count(&series.value)) {
        family.doubtful_head(ask.naming, metric, out);
    } else {
        out.extend_from_slice(head);
    }
    let mut count = 0_usize;
    for series in shown {
        count = count.saturating_add(1);
        out.extend_from_slice(family.sample.as_bytes());
        let labels = series.labels.in_naming(ask.naming);
        if let Value::Text(text) = &series.value {
            info(labels, text, out);
        } else {
            if !labels.is_empty() {
                out.push(b'{');
                out.extend_from_slice(labels.as_bytes());
                out.push(b'}');
            }
            out.push(b' ');
            number(family, &series.value, out);
        }
        out.extend_from_slice(tail);
    }
    count
}

/// Whether a value is one of its family's sort.
const fn is_shown(family: &Family, value: &Value) -> bool {
    match value {
        Value::None => false,
        Value::Text(_) => matches!(family.kind, Kind::Info),
        _ => !matches!(family.kind, Kind::Info),
    }
}

/// Whether OpenMetrics takes this as the value of a counter.
fn may_count(value: &Value) -> bool {
    match *value {
        Value::I64(value) => value >= 0,
        Value::F32(value) => value >= 0.0,
        Value::F64(value) => value >= 0.0,
        Value::U64(_) | Value::Text(_) | Value::None => true,
    }
}

fn number(family: &Family, value: &Value, out: &mut Vec<u8>) {
    let mut put = |piece: &[u8]| out.extend_from_slice(piece);
    match *value {
        Value::I64(value) => family.factor.signed(value, &mut put),
        Value::U64(value) => family.factor.unsigned(value, &mut put),
        Value::F32(value) => family.factor.single(value, &mut put),
        Value::F64(value) => family.factor.double(value, &mut put),
        Value::Text(_) | Value::None => {}
    }
}

/// Writes labels, and a string as one more, with the value that an info metric has. The label is `value`, with a `_`
/// behind it where PCP has one of that name.
fn info(labels: &str, text: &str, out: &mut Vec<u8>) {
    let mut name = String::from("value");
    while LabelSet::stored(labels).iter().any(|label| label.name == *name.as_str()) {
        name.push('_');
    }
    out.push(b'{');
    out.extend_from_slice(labels.as_bytes());
    if !labels.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    escape_label(text.as_bytes(), &mut |piece| out.extend_from_slice(piece));
    out.extend_from_slice(b"\"} 1");
}

#[cfg(test)]
mod tests;
