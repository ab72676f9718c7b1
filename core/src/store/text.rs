//! The store's text is a row of chunks, each behind a word that says whose it is; what nobody needs any more is closed up.
//!
//! A chunk belongs to one field of one record, which says where it is and how long. One that was let go says its own
//! length. So [`compact`](Ledger::compact) can go over all of it from the front, in place.

use super::{
    ledger::Ledger,
    record::{Pad, Slot, Span, Word},
    storage::{Full, Region},
};
use crate::mapping::Put;

/// Whose chunk it is: a field, and the record that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    SourceName,
    SourceLabels,
    NotesHelp,
    NotesName,
    NotesAbout,
    MetricName,
    MetricSent,
    MetricHelp,
    SeriesRaw,
    SeriesLabels,
    SeriesValue,
    PastName,
    Domain,
    Context,
}

/// All of them, in the order of their codes, which begin at 1: 0 is nobody's.
const FIELDS: [Field; 14] = [
    Field::SourceName,
    Field::SourceLabels,
    Field::NotesHelp,
    Field::NotesName,
    Field::NotesAbout,
    Field::MetricName,
    Field::MetricSent,
    Field::MetricHelp,
    Field::SeriesRaw,
    Field::SeriesLabels,
    Field::SeriesValue,
    Field::PastName,
    Field::Domain,
    Field::Context,
];

/// The word in front of a chunk.
const HEAD: usize = 4;
/// The bits of that word that are not the field's.
const LOW: u32 = (1 << 28) - 1;

const FULL: Full = Full(Region::Text);

impl Field {
    /// The word in front of a chunk that `slot` has; `None` where its number is too large.
    fn head(self, slot: Slot) -> Option<u32> {
        let code = u32::try_from(FIELDS.iter().position(|field| *field == self)?).ok()?.checked_add(1)?;
        (slot.bits() <= LOW).then_some(code << 28 | slot.bits())
    }
}

impl Ledger<'_> {
    /// Writes pieces behind the text in use, without using it up: returns how long they are.
    ///
    /// `write` is given the text in use, which the pieces may come from.
    pub(crate) fn draft(
        &mut self,
        from: usize,
        write: &mut dyn FnMut(&[u8], Put<'_>),
    ) -> Result<usize, Full> {
        let (used, free) = self.parts.text.split_at_mut_checked(self.book.text).ok_or(FULL)?;
        let mut slots = free.get_mut(HEAD.saturating_add(from)..).ok_or(FULL)?.iter_mut();
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
        if fits { Ok(len) } else { Err(FULL) }
    }

    /// The text drafted last, `from` bytes behind the text in use.
    pub(crate) fn drafted(&self, from: usize, len: usize) -> &[u8] {
        let start = self.book.text.saturating_add(HEAD).saturating_add(from);
        self.parts.text.get(start..).and_then(|t| t.get(..len)).unwrap_or_default()
    }

    /// Makes the next `len` bytes of text, drafted or not, a chunk.
    pub(crate) fn keep(&mut self, len: usize, field: Field, slot: Slot) -> Result<Span, Full> {
        let at = self.book.text.checked_add(HEAD).ok_or(FULL)?;
        let end = at.checked_add(len).ok_or(FULL)?;
        let span = Span::new(
            u32::try_from(at).map_err(|_| FULL)?,
            u32::try_from(len).ok().filter(|len| *len <= LOW).ok_or(FULL)?,
        );
        if end > self.parts.text.len() || Word::try_from(end).is_err() {
            return Err(FULL);
        }
        self.put_word(self.book.text, field.head(slot).ok_or(FULL)?);
        self.book.text = end;
        Ok(span)
    }

    /// Copies `bytes` into the text.
    pub(crate) fn copy(&mut self, bytes: &[u8], field: Field, slot: Slot) -> Result<Span, Full> {
        let len = self.draft(0, &mut |_, put| put(bytes))?;
        self.keep(len, field, slot)
    }

    /// Lets a chunk go: `len` bytes at `at`, all of its room.
    pub(crate) fn release(&mut self, at: u32, len: u32) {
        let (Ok(start), Ok(room)) = (usize::try_from(at), usize::try_from(len)) else { return };
        let Some(head) = start.checked_sub(HEAD) else { return };
        if start.saturating_add(room) == self.book.text {
            self.book.text = head;
            return;
        }
        self.put_word(head, len);
        self.book.garbage = self.book.garbage.saturating_add(room).saturating_add(HEAD);
    }

    /// Puts `bytes` in `pad`'s place where they fit, and elsewhere with twice the room where not.
    pub(crate) fn rewrite(&mut self, pad: Pad, bytes: &[u8], field: Field, slot: Slot) -> Result<Pad, Full> {
        let pad = self.make_room(pad, bytes.len(), field, slot)?;
        let at = usize::try_from(pad.span.at()).map_err(|_| FULL)?;
        let room = self.parts.text.get_mut(at..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(pad)
    }

    /// The same with pieces that are not of the store's own text.
    pub(crate) fn rewrite_pieces(
        &mut self,
        pad: Pad,
        write: &dyn Fn(Put<'_>),
        field: Field,
        slot: Slot,
    ) -> Result<Pad, Full> {
        let mut len = 0usize;
        write(&mut |piece| len = len.saturating_add(piece.len()));
        let pad = self.make_room(pad, len, field, slot)?;
        let at = usize::try_from(pad.span.at()).map_err(|_| FULL)?;
        let mut room = self.parts.text.iter_mut().skip(at);
        write(&mut |piece| {
            for (from, to) in piece.iter().zip(room.by_ref()) {
                *to = *from;
            }
        });
        Ok(pad)
    }

    /// Room for `len` bytes, in `pad`'s place if they fit.
    fn make_room(&mut self, pad: Pad, len: usize, field: Field, slot: Slot) -> Result<Pad, Full> {
        let len = u32::try_from(len).ok().filter(|&len| len <= Pad::MAX).ok_or(FULL)?;
        let mut pad = pad;
        if len > pad.room {
            let room = len.max(8).checked_next_power_of_two().ok_or(FULL)?;
            let span = self.keep(usize::try_from(room).map_err(|_| FULL)?, field, slot)?;
            if pad.room > 0 {
                self.release(pad.span.at(), pad.room);
            }
            pad = Pad { span, room };
        }
        pad.span = Span::new(pad.span.at(), len);
        Ok(pad)
    }

    /// Closes up what was let go.
    pub(crate) fn compact(&mut self) {
        let (mut from, mut to) = (0usize, 0usize);
        while from < self.book.text {
            let head = self.word(from);
            let code = usize::try_from(head >> 28).unwrap_or_default();
            let chunk = match code.checked_sub(1).and_then(|i| FIELDS.get(i)) {
                None => usize::try_from(head).unwrap_or_default(),
                Some(field) => {
                    let at = u32::try_from(to.saturating_add(HEAD)).unwrap_or_default();
                    let Some(len) = self.rehome(*field, Slot::from_bits(head & LOW), at) else { break };
                    let size = usize::try_from(len).unwrap_or_default();
                    self.shift(from, HEAD.saturating_add(size), to);
                    to = to.saturating_add(HEAD).saturating_add(size);
                    size
                }
            };
            from = from.saturating_add(HEAD).saturating_add(chunk);
        }
        // Nothing is left but where a record does not know its own chunk.
        let left = self.book.text.saturating_sub(from);
        self.shift(from, left, to);
        self.book.text = to.saturating_add(left);
        self.book.garbage = 0;
    }

    /// Tells the owner of a chunk that it lies at `at` from now on; the length of the chunk.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn rehome(&mut self, field: Field, slot: Slot, at: u32) -> Option<u32> {
        let i = slot.index();
        let span = |span: &mut Span| {
            *span = Span::new(at, span.len());
            span.len()
        };
        let pad = |pad: &mut Pad| {
            pad.span = Span::new(at, pad.span.len());
            pad.room
        };
        let Self { parts, book } = self;
        Some(match field {
            Field::SourceName => span(&mut parts.sources.get_mut(i?)?.name),
            Field::SourceLabels => span(&mut parts.sources.get_mut(i?)?.labels),
            Field::NotesHelp => pad(&mut parts.sources.get_mut(i?)?.notes.help),
            Field::NotesName => pad(&mut parts.sources.get_mut(i?)?.notes.pcp_name),
            Field::NotesAbout => pad(&mut parts.sources.get_mut(i?)?.notes.about),
            Field::MetricName => span(&mut parts.metrics.get_mut(i?)?.name),
            Field::MetricSent => span(&mut parts.metrics.get_mut(i?)?.sent),
            Field::MetricHelp => span(&mut parts.metrics.get_mut(i?)?.help),
            Field::SeriesRaw => span(&mut parts.series.get_mut(i?)?.raw),
            Field::SeriesLabels => span(&mut parts.series.get_mut(i?)?.labels),
            Field::SeriesValue => {
                let series = parts.series.get_mut(i?)?;
                let mut value = Pad::unpack(series.value);
                let room = pad(&mut value);
                series.value = value.pack();
                room
            }
            Field::PastName => span(&mut parts.remembered_mut().get_mut(i?)?.name),
            Field::Domain => span(&mut book.domain_labels),
            Field::Context => span(&mut book.context_labels),
        })
    }

    /// Moves `len` bytes from `from` to `to`, which is not behind it.
    fn shift(&mut self, from: usize, len: usize, to: usize) {
        let Some(offset) = from.checked_sub(to).filter(|&offset| offset > 0) else { return };
        let end = from.saturating_add(len);
        if let Some(run) = self.parts.text.get_mut(to..end)
            && offset <= run.len()
        {
            run.copy_within(offset.., 0);
        }
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.parts.text.get(at..).and_then(|t| t.first_chunk::<HEAD>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn put_word(&mut self, at: usize, word: u32) {
        if let Some(bytes) = self.parts.text.get_mut(at..).and_then(|t| t.first_chunk_mut::<HEAD>()) {
            *bytes = word.to_le_bytes();
        }
    }
}
