//! A sample as a line of a page: name and labels as sent, the value in the fewest digits, and what was said beside it.

use crate::{
    exposition::{self, Format, Label, LabelSet, Tail, number, value, writer},
    float,
    mapping::{Put, export},
    pcp::Type,
    store::{Metric, Series, View},
    text::{before, behind},
    time::Timestamp,
};

/// Which labels samples have beside those that were sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    /// Their source's name.
    pub(super) source: bool,
}

/// A sample that is to be written.
#[derive(Clone, Copy)]
pub(super) struct Sample<'a> {
    pub(super) view: View<'a>,
    pub(super) format: Format,
    pub(super) metric: &'a Metric,
    pub(super) series: &'a Series,
}

/// Whether a value can stand on a page: a text that was sent as the value of a metric is not a number, mostly.
pub(super) fn has_value(view: View<'_>, metric: &Metric, series: &Series) -> bool {
    // Without the feature `full` all that is sent is a number.
    !cfg!(feature = "full")
        || metric.desc().kind.is_number()
        || !view.is_sent(series)
        || view.is_scraped(view.source_of(metric)) && number::parse(view.string(series)).is_some()
}

/// A value as it is on a page, as a number.
pub(super) fn number_of(view: View<'_>, metric: &Metric, series: &Series) -> f64 {
    let bits = view.own_value(series);
    let value = match metric.desc().kind {
        Type::I32 | Type::I64 => float::signed(bits.cast_signed()),
        Type::U32 | Type::U64 => float::unsigned(bits),
        Type::FLOAT | Type::DOUBLE => f64::from_bits(bits),
        // What the bridge says of itself in words is an info.
        _ if !cfg!(feature = "full") || !view.is_sent(series) => return 1.0,
        _ => return number::parse(view.string(series)).unwrap_or(f64::NAN),
    };
    match View::factor(metric) {
        Some(factor) => float::over(value, factor),
        None => value,
    }
}

impl Sample<'_> {
    /// Writes the line.
    pub(super) fn write(&self, labels: Labels, with_exemplar: bool, put: Put<'_>) {
        if !self.view.is_sent(self.series) {
            return self.write_own(put);
        }
        let name = (self.view.sent(self.metric), "");
        let sent = self.view.labels(self.series);
        let source = self.view.source_name_of(self.metric).as_bytes();
        let more: &[(&str, &[u8])] = if labels.source { &[(SOURCE, source)] } else { &[] };
        let open = self.format == Format::OpenMetrics;
        let edit = |label: Label<'_>, put: Put<'_>| {
            if labels.source && label.name == *SOURCE {
                (0..marks(sent)).for_each(|_| put(EXPORTED.as_bytes()));
                put(SOURCE.as_bytes());
            } else if open && label.name == *"le" && is_spelled_otherwise(label.value.raw()) {
                put(b"le=\"+Inf\"");
                return true;
            } else {
                return false;
            }
            put(b"=\"");
            label.value.pieces().for_each(|piece| writer::escape_label(piece.as_bytes(), put));
            put(b"\"");
            true
        };
        // Most labels are copied as they are.
        let is_edited =
            labels.source || open && sent.as_str().as_bytes().windows(2).any(|pair| pair == b"le");
        let edit: Option<&dyn Fn(Label<'_>, Put<'_>) -> bool> = if is_edited { Some(&edit) } else { None };
        writer::series_with(self.format, name, sent, edit, more, put);
        put(b" ");
        self.write_value(put);
        if let Ok(tail) = exposition::tail(self.view.annex(self.series)) {
            self.write_tail(&tail, with_exemplar, put);
        }
        put(b"\n");
    }

    fn write_value(&self, put: Put<'_>) {
        let bits = self.view.own_value(self.series);
        if !cfg!(feature = "full") {
            return value::double(f64::from_bits(bits), put);
        }
        let kind = self.metric.desc().kind;
        match (kind, View::factor(self.metric)) {
            (Type::I32 | Type::I64, None) => value::signed(bits.cast_signed(), put),
            (Type::U32 | Type::U64, None) => value::unsigned(bits, put),
            (_, _) if kind.is_number() => value::double(number_of(self.view, self.metric, self.series), put),
            _ => put(self.view.string(self.series)),
        }
    }

    /// Writes what was said beside the value: a time as this format has times, and an exemplar where there may be one.
    fn write_tail(&self, tail: &Tail<'_>, with_exemplar: bool, put: Put<'_>) {
        let open = self.format == Format::OpenMetrics;
        if let Some(time) = tail.timestamp {
            let was_open = self.view.is_open(self.metric);
            if was_open == open && (open || number::signed(time.as_bytes()).is_some()) {
                put(b" ");
                put(time.as_bytes());
            } else if let Some(time) = point(time, if was_open { 0 } else { MILLIS }) {
                put(b" ");
                writer::timestamp(self.format, time, put);
            }
        }
        if let Some(exemplar) = tail.exemplar.filter(|_| with_exemplar) {
            writer::exemplar(self.format, &exemplar, put);
        }
    }

    /// Writes a line of the bridge's own, as pmcd's metrics are exported.
    fn write_own(&self, put: Put<'_>) {
        let desc = self.metric.desc();
        let instance = self.view.given_name(self.series);
        let is_text = !desc.kind.is_number();
        let text = if is_text { self.view.string(self.series) } else { &[] };
        let all = [("instname", instance), ("value", text)];
        let skipped = usize::from(instance.is_empty());
        let last = if is_text { all.len() } else { 1 };
        let more = all.get(skipped..last).unwrap_or_default();
        let name = (self.view.sent(self.metric), "");
        writer::series_with(self.format, name, self.view.labels(self.series), None, more, put);
        put(b" ");
        let factor = export::factor(export::Naming::Prometheus, desc.units);
        let bits = self.series.value();
        match desc.kind {
            Type::I32 | Type::I64 => factor.signed(bits.cast_signed(), put),
            Type::U32 | Type::U64 => factor.unsigned(bits, put),
            Type::FLOAT | Type::DOUBLE => factor.double(f64::from_bits(bits), put),
            _ => put(b"1"),
        }
        put(b"\n");
    }
}

/// How often a label `source` is marked as exported, until no other has that name.
fn marks(sent: LabelSet<'_>) -> usize {
    let is_taken = |marks: usize| {
        sent.iter().any(|label| {
            let mut stem = before(label.name.raw().as_bytes(), SOURCE.as_bytes());
            (0..marks).for_each(|_| stem = stem.and_then(|stem| behind(stem, EXPORTED.as_bytes())));
            stem == Some(b"")
        })
    };
    (1..MOST_MARKS).find(|marks| !is_taken(*marks)).unwrap_or(MOST_MARKS)
}

/// Whether a bound is infinite, but not spelled as OpenMetrics does.
fn is_spelled_otherwise(bound: &str) -> bool {
    bound != "+Inf" && number::parse(bound.as_bytes()).is_some_and(|le| float::rank(le) == float::INFINITE)
}

/// The point in time that a number with `places` more digits behind the point says.
fn point(token: &str, places: usize) -> Option<Timestamp> {
    let (is_negative, size) = match token.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let (size, exponent) = at_byte(size, |byte| byte | 0x20 == b'e');
    let exponent = if exponent.is_empty() { 0 } else { number::signed(exponent)? };
    let (whole, fraction) = at_byte(size, |byte| byte == b'.');
    let mut digits = whole.iter().chain(fraction).map(|byte| byte.wrapping_sub(b'0'));
    if !digits.clone().all(|digit| digit < 10) {
        return None;
    }
    // Where seconds end, counted from the first digit.
    let places = i64::try_from(whole.len()).ok()?.saturating_sub(i64::try_from(places).ok()?);
    let mut left = places.saturating_add(exponent);
    let (mut secs, mut nanos) = (0_i64, 0_u32);
    while left > 0 {
        let digit = digits.next();
        if digit.is_none() && secs == 0 {
            break;
        }
        secs = secs.checked_mul(10)?.checked_add(digit.unwrap_or(0).into())?;
        left = left.saturating_sub(1);
    }
    for _ in 0..9 {
        nanos = nanos.wrapping_mul(10);
        if left < 0 {
            left = left.saturating_add(1);
        } else {
            nanos = nanos.wrapping_add(digits.next().unwrap_or(0).into());
        }
    }
    if is_negative {
        secs = secs.checked_neg()?;
        if nanos > 0 {
            secs = secs.checked_sub(1)?;
            nanos = 1_000_000_000_u32.saturating_sub(nanos);
        }
    }
    Some(Timestamp { secs, nanos })
}

/// What is in front of a byte, and what is behind it.
fn at_byte(text: &[u8], is: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|byte| is(*byte)).unwrap_or(text.len());
    let (front, rest) = text.split_at_checked(at).unwrap_or_default();
    (front, rest.get(1..).unwrap_or_default())
}

const SOURCE: &str = "source";
const EXPORTED: &str = "exported_";
/// More than a set has labels.
const MOST_MARKS: usize = 65;
/// Text has times in milliseconds.
const MILLIS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_in_either_format() {
        for (token, places, secs, nanos) in [
            ("1395066363000", 3, 1_395_066_363, 0),
            ("1395066363123", 3, 1_395_066_363, 123_000_000),
            ("5", 3, 0, 5_000_000),
            ("-5", 3, -1, 995_000_000),
            ("-1000", 3, -1, 0),
            ("1520879607.789", 0, 1_520_879_607, 789_000_000),
            ("1520879607", 0, 1_520_879_607, 0),
            ("0.1234567891", 0, 0, 123_456_789),
            (".5", 0, 0, 500_000_000),
            ("1.5e3", 0, 1500, 0),
            ("1500e3", 3, 1500, 0),
            ("1.520879607789e9", 0, 1_520_879_607, 789_000_000),
            ("1.520879607789E+12", 3, 1_520_879_607, 789_000_000),
            ("-15e-1", 0, -2, 500_000_000),
            ("15e-10", 0, 0, 1),
            ("1e-30", 0, 0, 0),
            ("0e999999999999999999", 0, 0, 0),
        ] {
            assert_eq!(point(token, places), Some(Timestamp { secs, nanos }), "{token}");
        }
        for token in ["1e300", "1e19", "-92233720368547758080", "Inf"] {
            assert_eq!(point(token, 0), None, "{token}");
        }
    }
}
