//! Where a document goes as it comes: unpacked if it is packed, line by line into the store, timed, and no longer than
//! it may be.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pmbridge_core::{
    http::Error,
    role::{
        document::{Document, Room, Stats},
        scraper::Sink,
    },
    store::{SourceId, Store},
};

use super::Means;
use crate::filter::Filter;
use crate::inflate::Inflate;
use crate::memory::Memory;

/// What takes one document after another of one source.
#[derive(Debug)]
pub(super) struct Intake {
    id: SourceId,
    means: Rc<Means>,
    filter: Rc<Filter>,
    document: Document<Line, Rc<Filter>>,
    /// What unpacks the document that comes, if it is packed. There are as many as documents come at once.
    inflate: Option<Inflate>,
    left: u64,
    spent: Duration,
}

impl Intake {
    /// What takes the documents of this source.
    pub(super) fn new(id: SourceId, filter: &Rc<Filter>, means: &Rc<Means>) -> Self {
        let line = Line { bytes: Vec::new(), limit: means.limits.line };
        let document = Document::new(id, line, Rc::clone(filter));
        let left = wide(means.limits.body);
        Self {
            id,
            means: Rc::clone(means),
            filter: Rc::clone(filter),
            document,
            inflate: None,
            left,
            spent: Duration::ZERO,
        }
    }

    /// Ready for the next document, with the memory of the last.
    pub(super) fn renewed(mut self) -> Self {
        self.give_back();
        let document = Document::new(self.id, self.document.into_buffer(), Rc::clone(&self.filter));
        Self { document, left: wide(self.means.limits.body), ..self }
    }

    /// What came of the document so far.
    pub(super) const fn stats(&self) -> &Stats {
        self.document.stats()
    }

    /// Whether what comes is packed: a little of it may be a lot.
    pub(super) const fn is_coded(&self) -> bool {
        self.inflate.is_some()
    }

    /// The time that reading documents took since the last call.
    pub(super) const fn take_spent(&mut self) -> Duration {
        core::mem::replace(&mut self.spent, Duration::ZERO)
    }

    /// What unpacks is another's from now on.
    fn give_back(&mut self) {
        self.means.unpackers.borrow_mut().extend(self.inflate.take());
    }
}

impl Sink<Memory> for Intake {
    fn encoding(&mut self, coding: &[u8]) -> Result<(), Error> {
        let spare = self.means.unpackers.borrow_mut().pop();
        self.inflate.insert(spare.unwrap_or_else(Inflate::new)).begin(coding)
    }

    fn feed(&mut self, store: &mut Store<Memory>, piece: &[u8]) -> Result<(), Error> {
        let Self { document, left, spent, .. } = self;
        let mut take = |piece: &[u8]| {
            *left = left.checked_sub(wide(piece.len())).ok_or(Error::BodyLong)?;
            let began = Instant::now();
            document.feed(store, piece, &mut |_| {});
            *spent = spent.saturating_add(began.elapsed());
            Ok(())
        };
        match &mut self.inflate {
            Some(inflate) => inflate.feed(piece, &mut take),
            None => take(piece),
        }
    }

    fn finish(&mut self, store: &mut Store<Memory>) -> Result<(), Error> {
        let unpacked = self.inflate.as_ref().map_or(Ok(()), |inflate| inflate.finish());
        self.give_back();
        unpacked?;
        self.document.finish(store, &mut |_| {});
        Ok(())
    }
}

/// Room for a line that is cut, as long as such lines were.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    limit: usize,
}

impl Room for Line {
    fn limit(&self) -> usize {
        self.limit
    }

    fn start(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.limit);
        if len > self.bytes.len() {
            self.bytes.resize(len, 0);
        }
        self.bytes.get_mut(..len).unwrap_or_default()
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
