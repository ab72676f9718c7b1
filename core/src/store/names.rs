//! The name space is a column of metrics in the order of their names.
//!
//! Names come and go by the document. Those that come are put in order among themselves, then merged from the back.

use super::{
    ledger::Ledger,
    record::{Metric, Slot},
};

impl Ledger<'_> {
    /// Lists the metrics of a list that is linked by `link`.
    pub(crate) fn list(&mut self, fresh: Slot) {
        let (mut fresh, count) = self.sort(fresh);
        if count == 0 {
            return;
        }
        let mut left = self.book.names;
        let mut out = left.saturating_add(count);
        self.book.names = out;
        self.book.names_epoch = self.book.names_epoch.saturating_add(1);
        while let Some(next) = self.row(fresh).map(|m| m.link) {
            while let Some(before) = left.checked_sub(1).map(|at| self.listed(at))
                && self.is_before(fresh, before)
            {
                left = left.saturating_sub(1);
                out = out.saturating_sub(1);
                self.set_listed(out, before);
            }
            out = out.saturating_sub(1);
            self.set_listed(out, fresh);
            if let Some(row) = self.metric(fresh) {
                row.flags |= Metric::LISTED;
                row.link = Slot::NONE;
            }
            fresh = next;
        }
    }

    /// Takes the metrics out of the name space whose `LISTED` was cleared.
    pub(crate) fn unlist(&mut self) {
        let mut kept = 0usize;
        for at in 0..self.book.names {
            let slot = self.listed(at);
            if self.row(slot).is_some_and(|m| m.is(Metric::LISTED)) {
                self.set_listed(kept, slot);
                kept = kept.saturating_add(1);
            }
        }
        self.book.names = kept;
        self.book.names_epoch = self.book.names_epoch.saturating_add(1);
    }

    /// Takes all metrics of a source out of the name space.
    #[cfg(feature = "full")]
    pub(crate) fn unlist_all(&mut self, source: Slot) {
        let mut metric = self.source(source).map_or(Slot::NONE, |s| s.first);
        while let Some(row) = self.metric(metric) {
            row.flags &= !Metric::LISTED;
            metric = row.next;
        }
        self.unlist();
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn row(&self, slot: Slot) -> Option<&Metric> {
        self.parts.metrics.get(slot.index()?)
    }

    fn listed(&self, at: usize) -> Slot {
        self.parts.metrics.get(at).map_or(Slot::NONE, |m| m.ordered)
    }

    fn set_listed(&mut self, at: usize, slot: Slot) {
        if let Some(row) = self.parts.metrics.get_mut(at) {
            row.ordered = slot;
        }
    }

    fn is_before(&self, a: Slot, b: Slot) -> bool {
        let name = |slot| self.row(slot).map(|m: &Metric| m.name.of(self.parts.text));
        name(a) < name(b)
    }

    /// Puts a list in order, the last name first, and counts it: runs of doubling length are merged.
    fn sort(&mut self, list: Slot) -> (Slot, usize) {
        let mut runs = [Slot::NONE; 32];
        let (mut rest, mut count) = (list, 0usize);
        while let Some(row) = self.metric(rest) {
            let mut run = rest;
            rest = core::mem::replace(&mut row.link, Slot::NONE);
            count = count.saturating_add(1);
            for place in &mut runs {
                match core::mem::replace(place, Slot::NONE) {
                    Slot::NONE => {
                        *place = run;
                        break;
                    }
                    other => run = self.merge(other, run),
                }
            }
        }
        let mut all = Slot::NONE;
        for run in runs {
            all = self.merge(run, all);
        }
        (all, count)
    }

    /// Merges two lists in which the last name comes first.
    fn merge(&mut self, mut a: Slot, mut b: Slot) -> Slot {
        let (mut first, mut last) = (Slot::NONE, Slot::NONE);
        while a != Slot::NONE || b != Slot::NONE {
            let from_a = b == Slot::NONE || (a != Slot::NONE && self.is_before(b, a));
            let taken = if from_a { a } else { b };
            let next = self.row(taken).map_or(Slot::NONE, |m| m.link);
            if from_a {
                a = next;
            } else {
                b = next;
            }
            match self.metric(last) {
                Some(last) => last.link = taken,
                None => first = taken,
            }
            last = taken;
        }
        first
    }
}
