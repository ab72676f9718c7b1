//! The writer puts out exposition text, piece by piece, that [`line()`](super::line()) reads back as what it was.
//!
//! What differs between the formats:
//!
//! | | text 0.0.4 | text 1.0.0 | OpenMetrics |
//! |---|---|---|---|
//! | HELP and TYPE name | the sample's: `x_total`, `x_info` | the same | the family's: `x` |
//! | TYPE of what has no such type | `untyped`, `gauge` | the same | its own |
//! | UNIT | none | none | where the family's name ends in it |
//! | quotes in HELP | as they are | as they are | escaped |
//! | a name beyond `[a-zA-Z0-9_:]` | `_` for each other character | in quotes, as it is | as in 0.0.4 |
//! | times | milliseconds | milliseconds | seconds |
//! | exemplars | none | none | of up to 128 characters |
//! | the end | nothing | nothing | `# EOF` |
//!
//! Names and label sets are given as the parser gives them, so with their escapes; a name that needs no quotes has none.
//! Rules between lines are the caller's: one head for each family, in front of all of its samples.

use memchr::{memchr, memchr2, memchr3};

use super::{Exemplar, Format, Label, LabelSet, Name, Pieces, Put, value};
use crate::time::Timestamp;

/// What kind of samples a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "OpenMetrics has these")]
pub enum Kind {
    /// Nobody says.
    #[default]
    Unknown,
    /// Only grows; its samples end in `_total`.
    Counter,
    /// May be anything at any time.
    Gauge,
    /// Counts in buckets, with their sum and number.
    Histogram,
    /// The same of what may shrink.
    GaugeHistogram,
    /// Quantiles, with the sum and number of what was observed.
    Summary,
    /// Which of some states hold.
    StateSet,
    /// Labels are what it says; its sample ends in `_info`.
    Info,
}

impl Kind {
    /// The kind that a TYPE line's word names, of any format. A word that is none is [`Unknown`](Self::Unknown).
    pub fn parse(word: &str) -> Self {
        match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "stateset" => Self::StateSet,
            "info" => Self::Info,
            _ => Self::Unknown,
        }
    }

    /// What the names of all samples of the family end in.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            _ => "",
        }
    }

    const fn word(self, format: Format) -> &'static str {
        match (self, format) {
            (Self::Counter, _) => "counter",
            (Self::Gauge, _) => "gauge",
            (Self::Histogram, _) => "histogram",
            (Self::Summary, _) => "summary",
            (Self::Unknown, Format::OpenMetrics) => "unknown",
            (Self::GaugeHistogram, Format::OpenMetrics) => "gaugehistogram",
            (Self::StateSet, Format::OpenMetrics) => "stateset",
            (Self::Info, Format::OpenMetrics) => "info",
            (Self::StateSet | Self::Info, _) => "gauge",
            (Self::Unknown | Self::GaugeHistogram, _) => "untyped",
        }
    }
}

/// What stands above the samples of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "OpenMetrics has these lines")]
pub struct Family<'a> {
    /// The name without what its samples' names end in.
    pub name: &'a str,
    /// What kind of samples it has.
    pub kind: Kind,
    /// What it is about; a family without a text has no HELP line.
    pub help: Help<'a>,
    /// What its values are in, perhaps nothing.
    pub unit: &'a str,
}

/// What a family is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "either it was sent or not")]
pub enum Help<'a> {
    /// The text itself.
    Plain(&'a str),
    /// The text with its escapes, from a HELP line.
    Sent(&'a str),
}

impl Default for Help<'_> {
    fn default() -> Self {
        Self::Plain("")
    }
}

/// Writes what stands above the samples of a family.
pub fn head(format: Format, family: &Family<'_>, put: Put<'_>) {
    let suffix = if format == Format::OpenMetrics { "" } else { family.kind.suffix() };
    head_as(format, family, suffix, put);
}

/// The same for a family that the format calls by its name and `suffix`, whatever its kind would have there.
pub fn head_as(format: Format, family: &Family<'_>, suffix: &str, put: Put<'_>) {
    let Family { name, kind, help, unit } = *family;
    let open = |word: &[u8], put: Put<'_>| {
        put(word);
        remark_name(format, name, suffix, put);
        put(b" ");
    };
    let (Help::Plain(text) | Help::Sent(text)) = help;
    if !text.is_empty() {
        open(b"# HELP ", put);
        let quotes = format == Format::OpenMetrics;
        match help {
            Help::Plain(text) => escape(text, quotes, put),
            Help::Sent(text) => Pieces::of(text).for_each(|piece| escape(piece, quotes, put)),
        }
        put(b"\n");
    }
    open(b"# TYPE ", put);
    put(kind.word(format).as_bytes());
    put(b"\n");
    let is_fit = name.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')) && !unit.is_empty();
    if format == Format::OpenMetrics && is_fit && !matches!(kind, Kind::StateSet | Kind::Info) {
        open(b"# UNIT ", put);
        put(unit.as_bytes());
        put(b"\n");
    }
}

/// Writes one sample with its line feed. `suffix` is what its name ends in behind the family's; `write` writes the value,
/// such as [`value::double`] does.
pub fn sample(
    format: Format,
    name: (&str, &str),
    labels: LabelSet<'_>,
    write: impl FnOnce(Put<'_>),
    rest: Rest<'_>,
    put: Put<'_>,
) {
    series(format, name.0, name.1, labels, put);
    put(b" ");
    write(put);
    if let Some(time) = rest.time {
        put(b" ");
        timestamp(format, time, put);
    }
    if let Some(found) = rest.exemplar {
        exemplar(format, &found, put);
    }
    put(b"\n");
}

/// What may stand behind a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "the formats have no more")]
pub struct Rest<'a> {
    /// When the value was taken.
    pub time: Option<Timestamp>,
    /// One observation that the value counts.
    pub exemplar: Option<Exemplar<'a>>,
}

/// Writes the name of a sample, and its labels.
pub fn series(format: Format, name: &str, suffix: &str, labels: LabelSet<'_>, put: Put<'_>) {
    series_with(format, (name, suffix), labels, None, &[], put);
}

/// The same where a label may be written otherwise, which `edit` does or says that it did not, and with more labels
/// behind those. Without an edit, labels that are spelled as they would be written are copied as a whole.
pub fn series_with(
    format: Format,
    (name, suffix): (&str, &str),
    labels: LabelSet<'_>,
    edit: Option<&dyn Fn(Label<'_>, Put<'_>) -> bool>,
    more: &[(&str, &[u8])],
    put: Put<'_>,
) {
    let is_quoted = format == Format::Text100 && !is_metric_name(name);
    let mut between: &[u8] = b"{";
    if is_quoted {
        put(b"{");
        remark_name(format, name, suffix, put);
        between = b",";
    } else {
        remark_name(format, name, suffix, put);
    }
    let is_copied = edit.is_none() && is_as_written(labels.as_str().as_bytes());
    if is_copied {
        put(between);
        between = b",";
        put(labels.as_str().as_bytes());
    }
    for label in if is_copied { LabelSet::EMPTY } else { labels } {
        let raw = label.name.raw();
        if !is_label_name(raw) && format != Format::Text100 && is_taken(labels, label.name) {
            continue;
        }
        put(between);
        between = b",";
        if edit.is_some_and(|edit| edit(label, put)) {
            continue;
        }
        match (is_label_name(raw), format) {
            (true, _) => put(raw.as_bytes()),
            (false, Format::Text100) => quoted(label.name.pieces(), "", put),
            (false, _) => plain(raw, b"", put),
        }
        put(b"=");
        quoted(label.value.pieces(), "", put);
    }
    for (name, value) in more {
        put(between);
        between = b",";
        put(name.as_bytes());
        put(b"=\"");
        escape_label(value, put);
        put(b"\"");
    }
    if is_quoted || between == b"," {
        put(b"}");
    }
}

/// Writes a time: seconds in OpenMetrics, milliseconds in text.
pub fn timestamp(format: Format, time: Timestamp, put: Put<'_>) {
    if format != Format::OpenMetrics {
        return value::signed(time.millis(), put);
    }
    let (secs, nanos) = (i128::from(time.secs), i128::from(time.nanos));
    let total = secs.saturating_mul(1_000_000_000).saturating_add(nanos);
    value::decimal(total < 0, total.unsigned_abs(), 9, put);
}

/// Writes what counts as one observation behind a value, where the format can say it.
pub fn exemplar(format: Format, exemplar: &Exemplar<'_>, put: Put<'_>) {
    let mut chars = 0_usize;
    for label in exemplar.labels {
        for pieces in [label.name.pieces(), label.value.pieces()] {
            chars = chars.saturating_add(pieces.bytes().filter(begins_char).count());
        }
    }
    if format != Format::OpenMetrics || chars > MAX_EXEMPLAR {
        return;
    }
    put(b" # ");
    if exemplar.labels.is_empty() {
        put(b"{}");
    }
    series(format, "", "", exemplar.labels, put);
    put(b" ");
    put(exemplar.value.as_bytes());
    if let Some(time) = exemplar.timestamp {
        put(b" ");
        put(time.as_bytes());
    }
}

/// Writes what ends a page.
pub fn end(format: Format, put: Put<'_>) {
    if format == Format::OpenMetrics {
        put(b"# EOF\n");
    }
}

/// Writes the inside of a quoted label value: quotes, backslashes and line feeds are escaped, what is not UTF-8 is
/// replaced.
pub fn escape_label(text: &[u8], put: Put<'_>) {
    for chunk in text.utf8_chunks() {
        escape(chunk.valid(), true, put);
        if !chunk.invalid().is_empty() {
            put("\u{fffd}".as_bytes());
        }
    }
}

/// Writes a text with its escapes; the quote's is not of all texts.
fn escape(text: &str, quotes: bool, put: Put<'_>) {
    let mut rest = text.as_bytes();
    loop {
        let special = if quotes { memchr3(b'\\', b'\n', b'"', rest) } else { memchr2(b'\\', b'\n', rest) };
        let Some((head, tail)) = special.and_then(|at| rest.split_at_checked(at)) else { break };
        put(head);
        let Some((&byte, tail)) = tail.split_first() else { break };
        put(match byte {
            b'\n' => b"\\n",
            b'"' => b"\\\"",
            _ => b"\\\\",
        });
        rest = tail;
    }
    put(rest);
}

/// Writes a name as it stands in a HELP or TYPE line.
fn remark_name(format: Format, name: &str, suffix: &str, put: Put<'_>) {
    if name.is_empty() || is_metric_name(name) {
        put(name.as_bytes());
        put(suffix.as_bytes());
    } else if format == Format::Text100 {
        quoted(Pieces::of(name), suffix, put);
    } else {
        plain(name, b":", put);
        put(suffix.as_bytes());
    }
}

/// Writes a text and what follows it in quotes.
fn quoted(pieces: Pieces<'_>, suffix: &str, put: Put<'_>) {
    put(b"\"");
    pieces.for_each(|piece| escape(piece, true, put));
    put(suffix.as_bytes());
    put(b"\"");
}

/// Writes a name with `_` for each character that only names in quotes have.
fn plain(raw: &str, also: &[u8], put: Put<'_>) {
    underscored(raw, also).for_each(|byte| put(&[byte]));
}

fn underscored<'a>(raw: &'a str, also: &'a [u8]) -> impl Iterator<Item = u8> + use<'a> {
    let chars = Pieces::of(raw).bytes().filter(begins_char).enumerate();
    chars.map(move |(n, byte)| {
        let fits = byte.is_ascii_alphabetic() || byte.is_ascii_digit() && n > 0 || also.contains(&byte);
        if fits { byte } else { b'_' }
    })
}

/// Whether a byte is the first of a character: of others there are as many as characters have bytes beyond one.
fn begins_char(byte: &u8) -> bool {
    !(0x80..0xc0).contains(byte)
}

/// Whether labels are spelled as they would be written in any format, as most are: then they are copied.
pub(crate) fn is_as_written(labels: &[u8]) -> bool {
    if memchr(b'\n', labels).is_some() {
        return false;
    }
    let mut rest = labels;
    loop {
        let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let is_name = name > 0 && !rest.first().is_some_and(u8::is_ascii_digit);
        let Some(value) = rest.get(name..).and_then(|rest| rest.strip_prefix(b"=\"")) else { return false };
        rest = value;
        while let Some(escape) = memchr2(b'"', b'\\', rest).and_then(|at| rest.get(at..))
            && let [b'\\', b'\\' | b'"' | b'n', after @ ..] = escape
        {
            rest = after;
        }
        let end = memchr2(b'"', b'\\', rest).and_then(|at| rest.get(at..));
        match end {
            Some([b'"']) => return is_name,
            Some([b'"', b',', after @ ..]) if is_name => rest = after,
            _ => return false,
        }
    }
}

/// Whether a name that can stand in quotes alone would be that of another label without them; of two such the first is
/// kept.
fn is_taken(labels: LabelSet<'_>, name: Name<'_>) -> bool {
    let mut before = true;
    labels.iter().any(|label| {
        before &= label.name != name;
        let raw = label.name.raw();
        (is_label_name(raw) || before) && underscored(raw, b"").eq(underscored(name.raw(), b""))
    })
}

fn is_metric_name(name: &str) -> bool {
    is_name(name, b"_:")
}

fn is_label_name(name: &str) -> bool {
    is_name(name, b"_")
}

fn is_name(name: &str, also: &[u8]) -> bool {
    name.as_bytes().first().is_some_and(|byte| !byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

/// Most characters of an exemplar's labels, names and values.
const MAX_EXEMPLAR: usize = 128;

#[cfg(test)]
mod tests {
    use super::super::tests::text;
    use super::*;

    #[test]
    fn only_quote_backslash_and_line_feed_are_escaped() {
        for (raw, want) in [
            (&b""[..], ""),
            (b"plain", "plain"),
            (b"a\"b\\c\nd", r#"a\"b\\c\nd"#),
            (b"\t\r\x01", "\t\r\x01"),
            ("größe".as_bytes(), "größe"),
            (b"caf\xe9!", "caf\u{fffd}!"),
            (b"\xff\"\xff", "\u{fffd}\\\"\u{fffd}"),
        ] {
            assert_eq!(text(|put| escape_label(raw, put)), want);
        }
    }
}
