//! A parser takes whole lines off a window and leaves the rest of it for later.

use memchr::memchr;

use super::{Error, Line, line};

/// Finds lines and counts them; all that it remembers is the count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parser {
    line: u32,
}

impl Parser {
    /// A parser at the start of a document.
    pub const fn new() -> Self {
        Self { line: 0 }
    }

    /// How many lines it took.
    pub const fn lines(&self) -> u32 {
        self.line
    }

    /// What the next line that is not blank says, or `None` when `input` holds no further whole line.
    ///
    /// `input` is left at the first byte that was not consumed.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        loop {
            let (bytes, rest) = input.split_at_checked(memchr(b'\n', input)?)?;
            *input = rest.split_first()?.1;
            if let Some(said) = self.take(bytes) {
                return Some(said);
            }
        }
    }

    /// What the last line says, which has no line feed; `None` where it is blank.
    ///
    /// For when the document has ended and [`next`](Self::next) found no further line in `input`.
    pub fn last<'a>(&mut self, input: &mut &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        let bytes = core::mem::take(input);
        if bytes.is_empty() { None } else { self.take(bytes) }
    }

    /// Counts a line that was skipped or read by somebody else.
    pub const fn skip(&mut self) {
        self.line = self.line.saturating_add(1);
    }

    fn take<'a>(&mut self, bytes: &'a [u8]) -> Option<Result<Line<'a>, Error>> {
        self.skip();
        // Strictly a carriage return is an error; servers that end lines with one exist.
        match line(bytes.strip_suffix(b"\r").unwrap_or(bytes)) {
            Ok(Line::Blank) => None,
            Ok(said) => Some(Ok(said)),
            Err(kind) => Some(Err(Error { kind, line: self.line })),
        }
    }
}
