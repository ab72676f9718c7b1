//! Exposition text, one line at a time: what a line says, borrowed from the line.
//!
//! One grammar reads text 0.0.4, text 1.0.0 (quoted names) and OpenMetrics 1.0 (units, exemplars, the
//! end mark); it holds what a line can say by itself. Rules between lines, such as a type that comes
//! after its samples, are somebody else's. A value stays the token that was sent, since what it means
//! depends on the metric: [`number`] reads it.
//!
//! [`Parser`] finds the lines in a window; [`line()`] reads one; [`tail`] reads what follows a series that
//! is known by its bytes. [`writer`] is the way back.

mod error;
mod format;
mod grammar;
mod labels;
pub mod number;
mod parser;
pub mod value;
pub mod writer;

pub use error::{Error, ErrorKind};
pub use format::Format;
pub(crate) use labels::Bytes;
pub use labels::{Escaped, Label, LabelSet, Labels, MAX_LABELS, Name, Pieces};
pub use parser::Parser;

/// Where the pieces of a text go, in order.
pub type Put<'p> = &'p mut dyn FnMut(&[u8]);

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Line<'a> {
    /// Nothing.
    Blank,
    /// A remark for people: what follows the `#`.
    Comment(&'a str),
    /// What a metric family is about.
    Help {
        /// The family's name, without quotes, its escapes as sent.
        family: &'a str,
        /// The text, its escapes as sent.
        text: &'a str,
    },
    /// What kind of family it is.
    Type {
        /// The family's name, without quotes, its escapes as sent.
        family: &'a str,
        /// The word for the kind, whatever it is.
        kind: &'a str,
    },
    /// What a metric family is measured in.
    Unit {
        /// The family's name, without quotes, its escapes as sent.
        family: &'a str,
        /// The unit, perhaps empty.
        unit: &'a str,
    },
    /// The end of an OpenMetrics document.
    Eof,
    /// A value of a series.
    Sample(Sample<'a>),
}

/// A value of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Sample<'a> {
    /// Name and braces exactly as sent: equal bytes are the same series.
    pub raw: &'a [u8],
    /// The sample's name, without quotes, its escapes as sent.
    pub name: &'a str,
    /// Its labels.
    pub labels: LabelSet<'a>,
    /// What the line says of the series.
    pub tail: Tail<'a>,
}

/// What a line says of the series that it opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tail<'a> {
    /// The value's token.
    pub value: &'a str,
    /// When it was taken: milliseconds in text, seconds in OpenMetrics.
    pub timestamp: Option<&'a str>,
    /// One observation that the value counts.
    pub exemplar: Option<Exemplar<'a>>,
}

/// One observation out of those that a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Exemplar<'a> {
    /// What the observation belongs to, such as a trace.
    pub labels: LabelSet<'a>,
    /// The token of the value observed.
    pub value: &'a str,
    /// When it was observed, in seconds.
    pub timestamp: Option<&'a str>,
}

/// Reads one line, without its line feed.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub fn line(bytes: &[u8]) -> Result<Line<'_>, ErrorKind> {
    let text = core::str::from_utf8(bytes).map_err(|_| ErrorKind::Utf8)?;
    match grammar::line(bytes) {
        Ok((_, line)) => line.within(text),
        Err(error) => Err(grammar::kind(error)),
    }
}

/// Reads what follows a series whose bytes are known already.
///
/// It has to open with a blank, since a series `m` is not the one of the line `m2 5`. An error may also
/// say that the series went on, as `m` does in `m {a="b"} 1`: [`line()`] on the whole line knows.
pub fn tail(bytes: &[u8]) -> Result<Tail<'_>, ErrorKind> {
    // Nearly all are a blank and a number.
    if let [b' ', value @ ..] = bytes
        && !matches!(value.first(), None | Some(b'{' | b'#'))
        && value.iter().all(u8::is_ascii_graphic)
        && let Ok(value) = core::str::from_utf8(value)
    {
        return Ok(Tail { value, timestamp: None, exemplar: None });
    }
    let text = core::str::from_utf8(bytes).map_err(|_| ErrorKind::Utf8)?;
    if !bytes.first().is_some_and(|&b| grammar::is_blank(b)) {
        return Err(ErrorKind::Value);
    }
    match grammar::tail(bytes) {
        Ok((_, tail)) => tail.within(text),
        Err(error) => Err(grammar::kind(error)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::Put;

    /// All that was put, as text.
    pub(crate) fn text(write: impl Fn(Put<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }
}
