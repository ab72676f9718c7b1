//! A role is one side of one conversation, between two windows of bytes, with no I/O, clock or memory of its own.
//!
//! The host's loop is the same for every role and every transport:
//!
//! ```text
//! loop {
//!     let progress = role.step(&mut cx, rx.filled(), tx.room())?;
//!     rx.consume(progress.consumed);
//!     tx.produce(progress.produced);
//!     if progress.is_none() { break }
//! }
//! ```
//!
//! No progress means: more input, more room, a scrape that ends ([`Store::commit`](crate::store::Store::commit)), or
//! the [deadline](Role::deadline) is needed. Which sources requests wait for, the store says
//! ([`Store::wanted`](crate::store::Store::wanted)).

pub mod agent;
mod answer;
pub mod client;
pub mod collector;
pub mod document;
pub mod exporter;
mod fetch;
mod instances;
mod intake;
mod labels;
mod names;
pub mod page;
pub mod relay;
pub mod scraper;
mod storing;

use crate::{
    store::{Storage, Store},
    time::{Instant, Timestamp},
    wire::Writer,
};

/// How far one step got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "two windows, and there will be no third")]
pub struct Progress {
    /// Bytes of input that are no longer needed.
    pub consumed: usize,
    /// Bytes of output that were written.
    pub produced: usize,
}

impl Progress {
    /// Nothing moved.
    pub const NONE: Self = Self { consumed: 0, produced: 0 };

    /// Whether nothing moved.
    pub const fn is_none(self) -> bool {
        self.consumed == 0 && self.produced == 0
    }
}

/// What a step may look at and change.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the host makes it")]
pub struct Context<'a, S> {
    /// What the bridge knows.
    pub store: &'a mut Store<S>,
    /// The time for deadlines.
    pub now: Instant,
    /// The time for people.
    pub wall: Timestamp,
}

/// One side of one conversation.
pub trait Role<S: Storage> {
    /// What ends the conversation.
    type Error;

    /// Takes from `input`, writes to `output`, and says how far it got.
    ///
    /// Bytes of `input` that are not consumed must be offered again. The bytes written are the same however input and
    /// output are cut into windows.
    fn step(
        &mut self,
        cx: &mut Context<'_, S>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, Self::Error>;

    /// When to step again though nothing arrived.
    fn deadline(&self) -> Option<Instant>;

    /// Whether an answer is half out: its promises bind, so the store must not be changed.
    fn is_busy(&self) -> bool;
}

/// How much is out of a PDU that answers nothing: a greeting, or a word in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word(usize);

impl Word {
    /// Puts out what `emit` generates, from where the last window ended: how many bytes, and whether they are the last.
    fn say(&mut self, output: &mut [u8], emit: impl FnOnce(&mut Writer<'_>)) -> (usize, bool) {
        let mut w = Writer::resume(output, self.0);
        emit(&mut w);
        self.0 = if w.is_whole() { 0 } else { self.0.saturating_add(w.written()) };
        (w.written(), w.is_whole())
    }
}
