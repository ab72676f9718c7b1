//! The store's algorithms, over memory that is lent for one call; compiled once however many storages there are.
//!
//! Each operation either happens whole or says what was [`Full`] and leaves everything as it was.

use super::{
    index::{self, Key},
    record::{Metric, Pad, Series, Slot, Span},
    storage::{Full, Parts, Region},
};
use crate::mapping::Put;

/// How much of each region is in use, and what the tables need to know beside their records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Book {
    pub(crate) seed: u64,
    pub(crate) sources: usize,
    pub(crate) metrics: usize,
    pub(crate) series: usize,
    pub(crate) entries: usize,
    pub(crate) text: usize,
    /// How often names came or went.
    pub(crate) names: u64,
    /// How often the labels of something known changed.
    pub(crate) labels: u64,
}

/// The store's memory and book, to be changed.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    pub(crate) parts: Parts<'a>,
    pub(crate) book: &'a mut Book,
}

impl Ledger<'_> {
    pub(crate) fn series(&mut self, slot: Slot) -> Option<&mut Series> {
        self.parts.series.get_mut(slot.index()?)
    }

    pub(crate) fn metric(&mut self, slot: Slot) -> Option<&mut Metric> {
        self.parts.metrics.get_mut(slot.index()?)
    }

    /// Room for that many more records, or what is full. Text is asked for in bytes.
    pub(crate) fn reserve(&self, metrics: usize, series: usize, text: usize) -> Result<(), Full> {
        let fits =
            |used: usize, more: usize, len: usize| used.checked_add(more).is_some_and(|need| need <= len);
        let entries = metrics.saturating_add(series).saturating_mul(2);
        let three_quarters = (self.parts.index.len() / 4).saturating_mul(3);
        if !fits(self.book.metrics, metrics, self.parts.metrics.len()) {
            return Err(Full(Region::Metrics));
        }
        if !fits(self.book.series, series, self.parts.series.len()) {
            return Err(Full(Region::Series));
        }
        if !fits(self.book.text, text, self.parts.text.len()) || self.parts.text.len() > Span::CEILING {
            return Err(Full(Region::Text));
        }
        if entries > 0 && !fits(self.book.entries, entries, three_quarters) {
            return Err(Full(Region::Index));
        }
        Ok(())
    }

    /// Writes pieces behind the text in use, without using it up: returns how long they are.
    ///
    /// `write` is given the text in use, which the pieces may come from.
    pub(crate) fn draft(
        &mut self,
        from: usize,
        write: &mut dyn FnMut(&[u8], Put<'_>),
    ) -> Result<usize, Full> {
        let full = Full(Region::Text);
        let (used, free) = self.parts.text.split_at_mut_checked(self.book.text).ok_or(full)?;
        let mut slots = free.get_mut(from..).ok_or(full)?.iter_mut();
        let (mut len, mut fits) = (0usize, true);
        write(used, &mut |bytes: &[u8]| {
            for &byte in bytes {
                match slots.next() {
                    Some(slot) => *slot = byte,
                    None => fits = false,
                }
            }
            len = len.saturating_add(bytes.len());
        });
        if fits { Ok(len) } else { Err(full) }
    }

    /// The text drafted last, `from` bytes behind the text in use.
    pub(crate) fn drafted(&self, from: usize, len: usize) -> &[u8] {
        let start = self.book.text.saturating_add(from);
        self.parts.text.get(start..).and_then(|t| t.get(..len)).unwrap_or_default()
    }

    /// Makes the next `len` bytes of text, drafted or not, a span.
    pub(crate) fn keep(&mut self, len: usize) -> Result<Span, Full> {
        let full = Full(Region::Text);
        let end = self.book.text.checked_add(len).ok_or(full)?;
        if end > self.parts.text.len() {
            return Err(full);
        }
        let span = Span {
            at: u32::try_from(self.book.text).map_err(|_| full)?,
            len: u32::try_from(len).map_err(|_| full)?,
        };
        self.book.text = end;
        Ok(span)
    }

    /// Copies `bytes` into the text.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Result<Span, Full> {
        let len = self.draft(0, &mut |_, put| put(bytes))?;
        self.keep(len)
    }

    /// Puts `bytes` in `pad`'s place where they fit, and elsewhere with twice the room where not.
    pub(crate) fn rewrite(&mut self, pad: Pad, bytes: &[u8]) -> Result<Pad, Full> {
        let full = Full(Region::Text);
        let len = u32::try_from(bytes.len()).ok().filter(|&len| len <= Pad::MAX).ok_or(full)?;
        let mut pad = pad;
        if len > pad.room {
            let room = len.max(8).checked_next_power_of_two().ok_or(full)?;
            let span = self.keep(usize::try_from(room).map_err(|_| full)?)?;
            pad = Pad { span, room };
        }
        pad.span.len = len;
        let at = usize::try_from(pad.span.at).map_err(|_| full)?;
        for (to, from) in self.parts.text.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
        Ok(pad)
    }

    /// Gives a source other labels.
    pub(crate) fn set_labels(&mut self, source: Slot, labels: &[u8]) -> Result<(), Full> {
        let full = Full(Region::Sources);
        let row = source.index().and_then(|i| self.parts.sources.get(i)).ok_or(full)?;
        let (span, known) = (row.labels, row.first != Slot::NONE);
        if span.of(self.parts.text) == labels {
            return Ok(());
        }
        let pad = self.rewrite(Pad { span, room: span.len }, labels)?;
        if let Some(row) = source.index().and_then(|i| self.parts.sources.get_mut(i)) {
            row.labels = pad.span;
        }
        self.book.labels = self.book.labels.saturating_add(u64::from(known));
        Ok(())
    }

    /// Takes the next slot for a series of `metric` and appends it to the metric's list.
    pub(crate) fn push_series(&mut self, metric: Slot, series: Series) -> Option<Slot> {
        let slot = Slot::of(self.book.series);
        *self.parts.series.get_mut(self.book.series)? = series;
        self.book.series = self.book.series.saturating_add(1);
        let row = self.metric(metric)?;
        let last = row.last;
        row.last = slot;
        if last == Slot::NONE {
            row.first = slot;
        } else if let Some(last) = self.series(last) {
            last.next = slot;
        }
        Some(slot)
    }

    /// Takes the next slot for a metric, appends it to its source's list, and puts its name in order.
    pub(crate) fn push_metric(&mut self, metric: Metric) -> Option<Slot> {
        let slot = Slot::of(self.book.metrics);
        let at = self.name_position(metric.name.of(self.parts.text));
        *self.parts.metrics.get_mut(self.book.metrics)? = metric;
        self.book.metrics = self.book.metrics.saturating_add(1);
        self.book.names = self.book.names.saturating_add(1);
        let mut carried = slot;
        for row in self.parts.metrics.iter_mut().take(self.book.metrics).skip(at) {
            carried = core::mem::replace(&mut row.ordered, carried);
        }
        let source = self.parts.sources.get_mut(metric.source.index()?)?;
        let last = core::mem::replace(&mut source.last, slot);
        if last == Slot::NONE {
            source.first = slot;
        } else if let Some(last) = self.metric(last) {
            last.next = slot;
        }
        let (name_hash, pmid) = (metric.name_hash, metric.desc.pmid);
        self.enter(Key::Name, name_hash, slot);
        self.enter(Key::Pmid, index::hash_word(self.book.seed, pmid.to_bits().into()), slot);
        Some(slot)
    }

    /// How many names come before `name`.
    fn name_position(&self, name: &[u8]) -> usize {
        let rows = self.parts.metrics.get(..self.book.metrics).unwrap_or_default();
        let text = &*self.parts.text;
        rows.partition_point(|row| {
            let other = row.ordered.index().and_then(|i| rows.get(i));
            other.is_some_and(|m| m.name.of(text) < name)
        })
    }

    pub(crate) fn enter(&mut self, key: Key, hash: u32, slot: Slot) {
        // `reserve` made the room.
        if index::enter(self.parts.index, key, hash, slot) {
            self.book.entries = self.book.entries.saturating_add(1);
        }
    }

    /// Makes the index anew from the records, after it has grown.
    pub(crate) fn reindex(&mut self) {
        self.parts.index.fill(0);
        self.book.entries = 0;
        for i in 0..self.book.metrics {
            let Some(metric) = self.parts.metrics.get(i) else { break };
            let (hash, pmid) = (metric.name_hash, metric.desc.pmid);
            self.enter(Key::Name, hash, Slot::of(i));
            self.enter(Key::Pmid, index::hash_word(self.book.seed, pmid.to_bits().into()), Slot::of(i));
        }
        for i in 0..self.book.series {
            let Some(series) = self.parts.series.get(i) else { break };
            let (raw, identity, flags) = (series.raw_hash, series.identity_hash, series.flags);
            self.enter(Key::Raw, raw, Slot::of(i));
            if flags & Series::ALIAS == 0 {
                self.enter(Key::Identity, identity, Slot::of(i));
            }
        }
    }
}

impl Span {
    /// Text that 32 bits can point into.
    const CEILING: usize = u32::MAX as usize;
}
