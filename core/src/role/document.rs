//! A document comes in as pieces of any size, goes into the store line by line, and loses nothing but its bad lines.
//!
//! A line inside one piece is read where it lies; one that is cut between pieces is put together in [`Room`] of the
//! host's. A line longer than that is refused, whatever its length.

use core::fmt;

use super::scraper::Sink;
use crate::{
    exposition::{self, ErrorKind, Line},
    http,
    mapping::{Family, Rules},
    store::{Refusal, SourceId, Storage, Store},
    text,
};

/// Why a line was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// It is no line of an exposition.
    Line(ErrorKind),
    /// The store refused what it says.
    Store(Refusal),
    /// It is longer than the room for a line.
    TooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind) => kind.fmt(f),
            Self::Store(refusal) => refusal.fmt(f),
            Self::TooLong => f.write_str("line is longer than the limit"),
        }
    }
}

/// A line that was not taken. The lines after it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "what and where")]
pub struct Refused {
    /// Which line, counted from 1.
    pub line: u32,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What came of a document so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Bytes.
    pub bytes: u64,
    /// Lines, empty ones too.
    pub lines: u32,
    /// Samples taken, without those that nobody wants.
    pub samples: u64,
    /// Lines refused.
    pub refused: u64,
    /// The first of them.
    pub first_refused: Option<Refused>,
}

/// Where a line is put together that is cut between pieces.
pub trait Room {
    /// The bytes of the longest line.
    fn limit(&self) -> usize;

    /// The first `len` bytes, or as many as the limit allows. What was written to them is there the next time.
    fn start(&mut self, len: usize) -> &mut [u8];
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Room for B {
    fn limit(&self) -> usize {
        self.as_ref().len()
    }

    fn start(&mut self, len: usize) -> &mut [u8] {
        let all = self.as_mut();
        let len = len.min(all.len());
        all.get_mut(..len).unwrap_or_default()
    }
}

/// A document on its way into the store by the rules `R` of its source, with `B` as the [`Room`] for a line that is cut.
#[derive(Debug)]
pub struct Document<B, R> {
    source: SourceId,
    buffer: B,
    rules: R,
    held: usize,
    /// The rest of the line is dropped.
    skipping: bool,
    stats: Stats,
}

impl<B: Room, R: Rules> Document<B, R> {
    /// The next document of `source`, whose scrape [has begun](Store::begin).
    pub const fn new(source: SourceId, buffer: B, rules: R) -> Self {
        let stats = Stats { bytes: 0, lines: 0, samples: 0, refused: 0, first_refused: None };
        Self { source, buffer, rules, held: 0, skipping: false, stats }
    }

    /// What came of it so far.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Gives the buffer back.
    pub fn into_buffer(self) -> B {
        self.buffer
    }

    /// Takes the next piece, all of it. `refused` is told of each line that is not taken.
    pub fn feed<S: Storage>(&mut self, store: &mut Store<S>, piece: &[u8], refused: &mut dyn FnMut(Refused)) {
        self.stats.bytes = self.stats.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let Some((line, after)) = rest.split_at_checked(end) else { break };
            rest = after.split_first().map_or(&[], |(_, rest)| rest);
            self.end_line(store, line, refused);
        }
        if !rest.is_empty() && !self.skipping && !self.hold(rest) {
            self.skipping = true;
        }
    }

    /// Takes a last line that has no line feed: the document has ended.
    pub fn finish<S: Storage>(&mut self, store: &mut Store<S>, refused: &mut dyn FnMut(Refused)) {
        if self.held > 0 || self.skipping {
            self.end_line(store, b"", refused);
        }
    }

    /// Keeps the start of a line; whether there was room.
    fn hold(&mut self, part: &[u8]) -> bool {
        let held = self.held.saturating_add(part.len());
        if held > self.buffer.limit() {
            return false;
        }
        let room = self.buffer.start(held).get_mut(self.held..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(part) {
            *to = *from;
        }
        self.held = held;
        true
    }

    /// Takes the line that ends with `last`.
    fn end_line<S: Storage>(&mut self, store: &mut Store<S>, last: &[u8], refused: &mut dyn FnMut(Refused)) {
        self.stats.lines = self.stats.lines.saturating_add(1);
        // Whether it is cut or not: what is refused must not depend on how the document was.
        let too_long = self.skipping || self.held.saturating_add(last.len()) > self.buffer.limit();
        let taken = if too_long || (self.held > 0 && !self.hold(last)) {
            Err(Reason::TooLong)
        } else {
            let line = if self.held > 0 { self.buffer.start(self.held) } else { last };
            // Some editors put a mark in front of a file.
            let mark = if self.stats.lines == 1 { text::behind(line, MARK) } else { None };
            take(store, self.source, mark.unwrap_or(line), &self.rules, &mut self.stats.samples)
        };
        self.held = 0;
        self.skipping = false;
        if let Err(reason) = taken {
            let told = Refused { line: self.stats.lines, reason };
            self.stats.refused = self.stats.refused.saturating_add(1);
            self.stats.first_refused = self.stats.first_refused.or(Some(told));
            refused(told);
        }
    }
}

impl<S: Storage, B: Room, R: Rules> Sink<S> for Document<B, R> {
    fn feed(&mut self, store: &mut Store<S>, piece: &[u8]) -> Result<(), http::Error> {
        Self::feed(self, store, piece, &mut |_| {});
        Ok(())
    }

    fn finish(&mut self, store: &mut Store<S>) -> Result<(), http::Error> {
        Self::finish(self, store, &mut |_| {});
        Ok(())
    }
}

/// The byte order mark, in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes one whole line.
fn take<S: Storage>(
    store: &mut Store<S>,
    source: SourceId,
    line: &[u8],
    rules: &dyn Rules,
    samples: &mut u64,
) -> Result<(), Reason> {
    // Servers that end lines with a carriage return too exist.
    let line = text::bare(line);
    if let Some((slot, at)) = store.next_in(source, line)
        && let Some(rest) = line.get(at..)
        && let Ok(tail) = exposition::tail(rest)
        // After a bare name, and blanks, this would be its labels.
        && !tail.value.starts_with('{')
    {
        let wanted = store.again(source, slot, &tail).map_err(Reason::Store)?;
        *samples = samples.saturating_add(wanted.into());
        return Ok(());
    }
    match exposition::line(line).map_err(Reason::Line)? {
        Line::Blank => {}
        Line::Comment(text) => match rules.remark(text).filter(|_| cfg!(feature = "full")) {
            Some(pcp) => store.note_pcp(source, &pcp).map_err(Reason::Store)?,
            None => store.note(source),
        },
        Line::Help { family, text } => store.note_help(source, family, text).map_err(Reason::Store)?,
        Line::Type { family, kind } => {
            store.note_family(source, family, Family::parse(kind)).map_err(Reason::Store)?;
        }
        Line::Unit { family, unit } => store.note_unit(source, family, unit).map_err(Reason::Store)?,
        Line::Eof => store.note_end(source),
        Line::Sample(sample) => {
            let wanted = store.set(source, &sample, rules).map_err(Reason::Store)?;
            *samples = samples.saturating_add(wanted.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
