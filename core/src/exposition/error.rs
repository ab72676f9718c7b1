//! An error says what a line lacks, and which line it is; it costs that line alone.

use core::fmt;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not UTF-8.
    Utf8,
    /// No name, or none that a metric can have.
    MetricName,
    /// A name in front of the braces and one in them, or two in them.
    TwoNames,
    /// A label without a name that labels can have.
    LabelName,
    /// A label name without `=`.
    Equals,
    /// A label value that does not open with a quote.
    OpenQuote,
    /// A quoted text without an end.
    CloseQuote,
    /// Neither `,` nor `}` after a label.
    Comma,
    /// The same label name twice.
    DuplicateLabel,
    /// More than [`MAX_LABELS`](super::MAX_LABELS) labels.
    TooManyLabels,
    /// A series without a value.
    Value,
    /// A time that is not a finite number.
    Timestamp,
    /// An exemplar without labels, value, or with a bad time.
    Exemplar,
    /// HELP or TYPE of no family.
    Family,
    /// TYPE without a kind.
    Kind,
    /// More than the line can say.
    Junk,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "text is not UTF-8",
            Self::MetricName => "no metric name, or a bad one",
            Self::TwoNames => "more than one metric name",
            Self::LabelName => "no label name, or a bad one",
            Self::Equals => "label name has no '=' behind it",
            Self::OpenQuote => "label value has no opening quote",
            Self::CloseQuote => "quoted text has no closing quote",
            Self::Comma => "label has neither ',' nor '}' behind it",
            Self::DuplicateLabel => "label name comes twice",
            Self::TooManyLabels => "more labels than 64",
            Self::Value => "series has no value",
            Self::Timestamp => "timestamp is not a finite number",
            Self::Exemplar => "exemplar is not '# {labels} value [timestamp]'",
            Self::Family => "HELP or TYPE has no metric name, or a bad one",
            Self::Kind => "TYPE has no kind",
            Self::Junk => "more text than the line can have",
        })
    }
}

impl core::error::Error for ErrorKind {}

/// A line that could not be read. The line after it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where, counted from 1.
    pub line: u32,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

impl core::error::Error for Error {}
