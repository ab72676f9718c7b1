//! Where a document goes as it comes: unpacked if it is packed, line by line into the store, timed, and no longer than
//! it may be.

use std::rc::Rc;
use std::time::{Duration, Instant};

use pmbridge_core::{
    http::Error,
    role::{
        document::{Document, Stats},
        scraper::Sink,
    },
    store::{SourceId, Store},
};

use crate::filter::Filter;
use crate::inflate::Inflate;
use crate::limits::Limits;
use crate::memory::Memory;

/// What takes one document after another of one source.
#[derive(Debug)]
pub(super) struct Intake {
    id: SourceId,
    document: Document<Vec<u8>, Rc<Filter>>,
    filter: Rc<Filter>,
    inflate: Option<Box<Inflate>>,
    coded: bool,
    left: u64,
    spent: Duration,
}

impl Intake {
    /// What takes the documents of this source.
    pub(super) fn new(id: SourceId, filter: &Rc<Filter>, limits: &Limits) -> Self {
        // Zeroed memory that nobody has written to costs nothing.
        let filter = Rc::clone(filter);
        let document = Document::new(id, vec![0; limits.line], Rc::clone(&filter));
        Self {
            id,
            document,
            filter,
            inflate: None,
            coded: false,
            left: wide(limits.body),
            spent: Duration::ZERO,
        }
    }

    /// Ready for the next document, with the memory of the last.
    pub(super) fn renewed(self, limits: &Limits) -> Self {
        let document = Document::new(self.id, self.document.into_buffer(), Rc::clone(&self.filter));
        Self { document, coded: false, left: wide(limits.body), ..self }
    }

    /// What came of the document so far.
    pub(super) const fn stats(&self) -> &Stats {
        self.document.stats()
    }

    /// Whether what comes is packed: a little of it may be a lot.
    pub(super) const fn is_coded(&self) -> bool {
        self.coded
    }

    /// The time that reading documents took since the last call.
    pub(super) const fn take_spent(&mut self) -> Duration {
        core::mem::replace(&mut self.spent, Duration::ZERO)
    }
}

impl Sink<Memory> for Intake {
    fn encoding(&mut self, coding: &[u8]) -> Result<(), Error> {
        self.inflate.get_or_insert_with(|| Box::new(Inflate::new())).begin(coding)?;
        self.coded = true;
        Ok(())
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
            Some(inflate) if self.coded => inflate.feed(piece, &mut take),
            _ => take(piece),
        }
    }

    fn finish(&mut self, store: &mut Store<Memory>) -> Result<(), Error> {
        match &self.inflate {
            Some(inflate) if self.coded => inflate.finish()?,
            _ => {}
        }
        self.document.finish(store, &mut |_| {});
        Ok(())
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
