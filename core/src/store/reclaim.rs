//! What nobody sees gives its room back where there is none left, in a storage that [says so](super::Storage::FORGETS).
//!
//! A name that has gone keeps its number for as long as there is room, and an instance its id for two documents. When
//! there is none, all goes at once that was neither in the last whole document of its source nor in the one that is
//! being read. More does not go before that one ends, so a document costs this once, however many lines have no room.

use super::{
    ledger::Ledger,
    record::{Metric, Series, Slot},
};

impl Ledger<'_> {
    /// Forgets all that nobody sees, and closes up what that leaves.
    #[cold]
    pub(crate) fn reclaim(&mut self) {
        for at in 0..self.book.sources {
            let slot = Slot::of(at);
            if let Some(source) = self.source(slot).filter(|source| !source.own) {
                let (first, bin) = (source.first, source.bin);
                self.reclaim_from(slot, first, bin);
            }
        }
        self.compact();
        self.regather();
    }

    /// Forgets what nobody sees of a source with these metrics and this row for lines that are no instances.
    fn reclaim_from(&mut self, source: Slot, first: Slot, bin: Slot) {
        self.age_unseen(bin);
        let mut metric = first;
        while let Some(row) = self.row(metric) {
            let next = row.next;
            self.age_unseen(metric);
            metric = next;
        }
        // It cannot fail, as nothing is remembered.
        let _ = self.evict(source, false);
        let is_empty = self.row(bin).is_some_and(|row| row.first == Slot::NONE);
        let Some(row) = self.source_mut(source) else { return };
        (row.first, row.last) = (Slot::NONE, Slot::NONE);
        if is_empty {
            row.bin = Slot::NONE;
            self.free_metric(bin);
        }
        metric = first;
        while let Some(row) = self.metric(metric) {
            let next = core::mem::replace(&mut row.next, Slot::NONE);
            if row.first != Slot::NONE || row.is(Metric::LISTED) {
                self.append_metric(source, metric);
            } else {
                self.free_metric(metric);
            }
            metric = next;
        }
    }

    /// Series of a metric are old that were not in the last whole document, or all where the metric itself was not, but
    /// for those in the document that is being read.
    fn age_unseen(&mut self, metric: Slot) {
        let Some(row) = self.row(metric) else { return };
        let (stays, mut slot) = (row.is(Metric::LISTED | Metric::BIN), row.first);
        while let Some(series) = self.series(slot) {
            let is_met = series.is(Series::SEEN | Series::PRESENT);
            if !is_met && (!stays || series.is(Series::MISSES)) {
                series.flags |= Series::MISSES;
            }
            slot = series.next;
        }
    }

    /// Frees the slot of a metric that is in no list any more, with its texts. The index is to be made anew.
    fn free_metric(&mut self, slot: Slot) {
        self.dissolve(slot);
        let free = self.book.free_metrics;
        let Some(row) = self.metric(slot) else { return };
        // The column of names in order is not the metric's own.
        let ordered = row.ordered;
        let metric = core::mem::replace(row, Metric { next: free, ordered, ..Metric::EMPTY });
        self.book.free_metrics = slot;
        self.book.freed_metrics = self.book.freed_metrics.saturating_add(1);
        for text in [metric.name, metric.sent, metric.help] {
            self.release(text.at(), text.len());
        }
    }

    /// Takes the ring of a metric apart, so that each in it is alone.
    fn dissolve(&mut self, slot: Slot) {
        let mut at = slot;
        while let Some(row) = self.metric(at) {
            let next = core::mem::replace(&mut row.kin, at);
            row.flags &= !(Metric::LEADS | Metric::ENTERED | Metric::CLASH | Metric::HARD_CLASH);
            at = next;
            if at == slot {
                return;
            }
        }
    }

    /// Makes the index anew, and the rings that were taken apart: names may be in nobody's way any more.
    fn regather(&mut self) {
        self.reindex();
        for at in 0..self.book.metrics {
            let slot = Slot::of(at);
            if let Some(row) = self.row(slot).filter(|row| row.kin == slot && !row.is(Metric::ENTERED)) {
                let (family, part, unit_len) = (row.family(), row.part(), row.unit_len());
                self.join_ring(slot, family, part, u8::try_from(unit_len).unwrap_or_default());
            }
        }
    }
}
