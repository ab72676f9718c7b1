//! Text exposition: Prometheus text 0.0.4 and 1.0.0 and the lines of OpenMetrics 1.0, one line at a time.
//!
//! [`line`] reads one line, with no memory of the ones before it; [`Parser`] finds the lines in a window. A line that
//! cannot be read is an [`Error`] with its number, and the next line is none the worse for it. Nothing is copied:
//! names, labels and values are views of the line. What a lenient reader should take is taken (blanks, a trailing
//! comma, a carriage return, a missing final line feed, float timestamps); what could be two things is refused.

mod grammar;
mod labels;
pub mod number;
mod parser;

pub use grammar::{line, tail};
pub use labels::{Escaped, Label, LabelSet, MAX_LABELS, Name};
pub use parser::{Error, Parser};

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Line<'a> {
    /// Nothing.
    Blank,
    /// A comment of no meaning to expositions: the text behind `#`.
    Comment(&'a str),
    /// `# HELP`.
    Help {
        /// Family name.
        family: &'a str,
        /// The text as sent, escapes and all.
        text: &'a str,
    },
    /// `# TYPE`.
    Type {
        /// Family name.
        family: &'a str,
        /// The type's word.
        kind: &'a str,
    },
    /// `# UNIT`.
    Unit {
        /// Family name.
        family: &'a str,
        /// The unit's word.
        unit: &'a str,
    },
    /// `# EOF`.
    Eof,
    /// A sample.
    Sample(Sample<'a>),
}

/// One sample line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// Name and braces exactly as sent: what makes this series this series, for whoever sees the document again.
    pub raw: &'a [u8],
    /// Sample name.
    pub name: &'a str,
    /// Its labels.
    pub labels: LabelSet<'a>,
    /// What follows them.
    pub tail: Tail<'a>,
}

/// What follows name and labels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Tail<'a> {
    /// The value, as sent; not looked at yet.
    pub value: &'a str,
    /// The timestamp, as sent: a finite number, milliseconds in text, seconds in OpenMetrics.
    pub timestamp: Option<&'a str>,
    /// The exemplar.
    pub exemplar: Option<Exemplar<'a>>,
}

/// An example of what a sample counts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Exemplar<'a> {
    /// Its labels.
    pub labels: LabelSet<'a>,
    /// Its value, as sent; a number.
    pub value: &'a str,
    /// Its timestamp in seconds, as sent; a number.
    pub timestamp: Option<&'a str>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not UTF-8.
    Utf8,
    /// It begins with no name.
    Name,
    /// Something that is no label in braces.
    Label,
    /// A label value without its opening quote.
    Quote,
    /// A label value without its closing quote.
    OpenQuote,
    /// No comma between labels, or no closing brace.
    Brace,
    /// The same label name twice.
    Duplicate,
    /// More labels than [`MAX_LABELS`].
    TooManyLabels,
    /// No value.
    NoValue,
    /// The value is no number.
    Value,
    /// The timestamp is no number.
    Timestamp,
    /// Something follows that is neither timestamp nor exemplar.
    Trailing,
    /// An exemplar that is none.
    Exemplar,
    /// HELP, TYPE or UNIT with no name, or TYPE with more or less than one word.
    Metadata,
}

impl core::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "line is not UTF-8",
            Self::Name => "line begins with no metric name",
            Self::Label => "label has no name and '='",
            Self::Quote => "label value is not in double quotes",
            Self::OpenQuote => "label value has no closing quote",
            Self::Brace => "labels have no comma between them, or no closing '}'",
            Self::Duplicate => "label name occurs twice",
            Self::TooManyLabels => "more than 64 labels",
            Self::NoValue => "sample has no value",
            Self::Value => "value is not a number",
            Self::Timestamp => "timestamp is not a number",
            Self::Trailing => "text follows where a sample ends",
            Self::Exemplar => "exemplar is not '# {labels} value [timestamp]'",
            Self::Metadata => "HELP, TYPE or UNIT line lacks its name or its word",
        })
    }
}

impl core::error::Error for ErrorKind {}
