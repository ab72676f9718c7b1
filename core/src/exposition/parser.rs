//! The lines of a document, found in windows that end anywhere.

use super::{ErrorKind, Line, grammar};

/// A line that could not be read. The line after it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Error {
    /// What was wrong with it.
    pub kind: ErrorKind,
    /// Which line, counted from 1.
    pub line: u32,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

impl core::error::Error for Error {}

/// Reads whole lines off the front of a window.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    line: u32,
}

impl Parser {
    /// Before the first line.
    pub const fn new() -> Self {
        Self { line: 0 }
    }

    /// The number of the line read last, from 1.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// The next line that says something, or `None` when `input` holds no further whole line.
    ///
    /// `input` is left at the first byte not consumed, which must come again, with more behind it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        loop {
            let at = memchr::memchr(b'\n', input)?;
            let (line, rest) = input.split_at_checked(at)?;
            *input = rest.split_first().map_or(&[], |(_, rest)| rest);
            if let Some(said) = self.read(line) {
                return Some(said);
            }
        }
    }

    /// The last line, which has no line feed: the document ends with `input`.
    pub fn last<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        match core::mem::take(input) {
            [] => None,
            line => self.read(line),
        }
    }

    fn read<'a>(&mut self, line: &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        self.line = self.line.saturating_add(1);
        match grammar::line(line) {
            Ok(Line::Blank) => None,
            Ok(said) => Some(Ok(said)),
            Err(kind) => Some(Err(Error { kind, line: self.line })),
        }
    }
}
