//! Instances that vanished leave their ids and names behind, and nothing else, so that they can come back as who they were.
//!
//! The same records remember the ids of other runs: the host [tells them to the store](crate::store::Store::remember_metric)
//! before the first document, and [is told](crate::store::Store::unsaved) what is new.

use super::{
    identity::ITEMS,
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Past, Series, Slot},
    storage::{Full, Region},
    text::Field,
};
use crate::{
    mapping::instance,
    pcp::{InDom, Pmid},
};

/// Something that has an id, for the host to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Known<'a> {
    /// A further cluster of a source.
    Cluster {
        /// The source's name.
        source: &'a str,
        /// The cluster's number.
        cluster: u16,
    },
    /// A metric.
    Metric {
        /// Its cluster.
        cluster: u16,
        /// Its number in that.
        item: u16,
        /// The name that its samples have.
        name: &'a str,
    },
    /// An instance of a metric.
    Instance {
        /// The metric's cluster.
        cluster: u16,
        /// The metric's number in that.
        item: u16,
        /// The instance's id.
        id: u32,
        /// Whether the id stands in front of the name.
        prefixed: bool,
        /// Its name, without the id.
        name: &'a str,
    },
}

/// Takes what is new; whether there may be more.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Known<'_>) -> bool;

impl Ledger<'_> {
    /// Moves series of `source` that were not in the last documents to the past; the lines that were no instances are
    /// forgotten, and so are instances that nobody `remembers`.
    pub(crate) fn evict(&mut self, source: Slot, remembers: bool) -> Result<(), Full> {
        let Some(row) = self.source(source) else { return Ok(()) };
        let (mut metric, bin) = (row.first, row.bin);
        self.unchain(source);
        self.evict_from(bin, remembers)?;
        while let Some(row) = self.metric(metric).copied() {
            self.evict_from(metric, remembers)?;
            metric = row.next;
        }
        Ok(())
    }

    fn evict_from(&mut self, metric: Slot, remembers: bool) -> Result<(), Full> {
        let Some(row) = self.metric(metric).copied() else { return Ok(()) };
        let singular = row.desc.indom == InDom::NULL;
        let (mut before, mut slot) = (Slot::NONE, row.first);
        while let Some(series) = self.series(slot).copied() {
            if !series.is_old() {
                before = slot;
            } else {
                if series.is_instance() && !singular && remembers {
                    self.pass(&row, metric, &series)?;
                }
                self.unhang(metric, before, &series);
                self.free_series(slot);
            }
            slot = series.next;
        }
        Ok(())
    }

    /// Takes a series out of its metric's list.
    fn unhang(&mut self, metric: Slot, before: Slot, series: &Series) {
        if let Some(before) = self.series(before) {
            before.next = series.next;
        }
        let Some(row) = self.metric(metric) else { return };
        if before == Slot::NONE {
            row.first = series.next;
        }
        if series.next == Slot::NONE {
            row.last = before;
        }
    }

    /// Remembers a series as one that vanished.
    fn pass(&mut self, row: &Metric, metric: Slot, series: &Series) -> Result<(), Full> {
        let (style, compat) = (row.style(), self.book.compat());
        let len =
            self.draft(0, &mut |text, put| instance::identity(series.identity(text), style, compat, put))?;
        let prefixed = instance::is_prefixed(series.identity(self.parts.text), style);
        self.remember(metric, series.instance, prefixed, len)
    }

    /// Makes a record of an instance whose name is drafted.
    fn remember(&mut self, metric: Slot, id: u32, prefixed: bool, len: usize) -> Result<(), Full> {
        self.reserve_entries(1)?;
        let free = self.book.free_past;
        let slot = if free == Slot::NONE { Slot::of(self.book.past) } else { free };
        let full = Full(Region::Past);
        if slot.index().is_none_or(|i| i >= self.parts.remembered().len()) {
            return Err(full);
        }
        let name = self.keep(len, Field::PastName, slot)?;
        let next = self.metric(metric).map_or(Slot::NONE, |row| core::mem::replace(&mut row.past, slot));
        let instance = if prefixed { id } else { id | Past::PLAIN };
        let past = Past { metric, instance, name, next, previous: Slot::NONE };
        let row = self.past(slot).ok_or(full)?;
        let next_free = core::mem::replace(row, past).next;
        if free == Slot::NONE {
            self.book.past = self.book.past.saturating_add(1);
        } else {
            self.book.free_past = next_free;
            self.book.freed_past = self.book.freed_past.saturating_sub(1);
        }
        if let Some(next) = self.past(next) {
            next.previous = slot;
        }
        self.enter(Key::Past, self.past_hash(&past), slot);
        Ok(())
    }

    /// An instance is back: its record is freed, and its id is the answer.
    pub(crate) fn forget(&mut self, slot: Slot) -> u32 {
        let Some(past) = self.past(slot).copied() else { return 0 };
        let hash = self.past_hash(&past);
        index::remove(self.parts.index, Key::Past, hash, slot);
        if let Some(next) = self.past(past.next) {
            next.previous = past.previous;
        }
        match self.past(past.previous) {
            Some(previous) => previous.next = past.next,
            None => {
                if let Some(row) = self.metric(past.metric) {
                    row.past = past.next;
                }
            }
        }
        self.release(past.name.at(), past.name.len());
        let free = self.book.free_past;
        if let Some(row) = self.past(slot) {
            *row = Past { next: free, ..Past::EMPTY };
        }
        self.book.free_past = slot;
        self.book.freed_past = self.book.freed_past.saturating_add(1);
        past.id()
    }

    /// All series of a source are old at once: their lines will be read as if for the first time.
    pub(crate) fn age(&mut self, source: Slot) {
        let Some(row) = self.source_mut(source) else { return };
        let (first, bin) = (row.first, row.bin);
        (row.head, row.cursor) = (Slot::NONE, Slot::NONE);
        self.age_of(bin);
        let mut metric = first;
        while let Some(row) = self.metric(metric) {
            let next = row.next;
            row.live = 0;
            self.age_of(metric);
            metric = next;
        }
    }

    fn age_of(&mut self, metric: Slot) {
        let mut slot = self.metric(metric).map_or(Slot::NONE, |row| row.first);
        while let Some(series) = self.series(slot) {
            series.flags &= !(Series::SEEN | Series::LIVE);
            series.flags |= Series::MISSES;
            slot = series.next;
        }
    }

    /// Remembers a metric by the name that its samples have; whether name and PMID are free.
    pub(crate) fn remember_metric(
        &mut self,
        source: Slot,
        cluster: u16,
        item: u16,
        name: &str,
    ) -> Result<bool, Full> {
        self.reserve(1, 0, name.len())?;
        let Some(pmid) = Pmid::new(self.book.domain, cluster, item) else { return Ok(false) };
        if item >= ITEMS || self.sampled(source, name).is_some() || self.numbered(pmid).is_some() {
            return Ok(false);
        }
        self.push_remembered(source, pmid, name, Metric::SAVED)?;
        if let Some(row) = self.source_mut(source)
            && row.filling == cluster
        {
            row.items = row.items.max(item.saturating_add(1));
        }
        Ok(true)
    }

    /// The metric with this PMID, whether it was met or not.
    pub(crate) fn numbered(&self, pmid: Pmid) -> Option<Slot> {
        let hash = index::hash_word(self.book.seed, pmid.to_bits().into());
        index::find(self.parts.index, Key::Pmid, hash, |slot| {
            slot.index().and_then(|i| self.parts.metrics.get(i)).is_some_and(|m| m.desc.pmid == pmid)
        })
    }

    /// Remembers an instance of a metric; whether the metric is known.
    #[cfg(feature = "full")]
    pub(crate) fn remember_instance(
        &mut self,
        pmid: Pmid,
        id: u32,
        prefixed: bool,
        name: &str,
    ) -> Result<bool, Full> {
        let Some(metric) = self.numbered(pmid) else { return Ok(false) };
        let len = self.draft(0, &mut |_, put| put(name.as_bytes()))?;
        self.remember(metric, id, prefixed, len)?;
        if let Some(row) = self.metric(metric) {
            row.instances = row.instances.max(id.saturating_add(1));
            row.saved = row.instances;
        }
        Ok(true)
    }

    /// Tells what `source` has that the host was not told of yet, until `tell` wants no more; whether that was all.
    pub(crate) fn unsaved(&mut self, source: Slot, tell: Tell<'_>) -> Result<bool, Full> {
        let row = self.source(source).filter(|row| row.unsaved);
        let Some(row) = row.copied() else { return Ok(true) };
        let mut metric = row.first;
        while let Some(m) = self.metric(metric).copied() {
            let (cluster, item) = (m.desc.pmid.cluster(), m.desc.pmid.item());
            if !m.is(Metric::SAVED) {
                let text = &*self.parts.text;
                if item == 0 && cluster != row.cluster {
                    tell(Known::Cluster { source: row.name.str_of(text), cluster });
                }
                let more = tell(Known::Metric { cluster, item, name: self.sent(&m) });
                if let Some(m) = self.metric(metric) {
                    m.flags |= Metric::SAVED;
                }
                if !more {
                    return Ok(false);
                }
            }
            if m.instances > m.saved && m.desc.indom != InDom::NULL {
                let saved = self.unsaved_instances(&m, tell)?;
                if let Some(row) = self.metric(metric) {
                    row.saved = saved;
                }
                if saved < m.instances {
                    return Ok(false);
                }
            }
            metric = m.next;
        }
        if let Some(row) = self.source_mut(source) {
            row.unsaved = false;
        }
        Ok(true)
    }

    /// Tells the instances of a metric that are new, in the order of their ids; the id that comes next.
    fn unsaved_instances(&mut self, m: &Metric, tell: Tell<'_>) -> Result<u32, Full> {
        let (cluster, item) = (m.desc.pmid.cluster(), m.desc.pmid.item());
        let (style, compat) = (m.style(), self.book.compat());
        let mut slot = m.first;
        while let Some(series) = self.series(slot).copied() {
            if series.instance >= m.saved {
                let len = self.draft(0, &mut |text, put| {
                    instance::identity(series.identity(text), style, compat, put);
                })?;
                let prefixed = instance::is_prefixed(series.identity(self.parts.text), style);
                let name = core::str::from_utf8(self.drafted(0, len)).unwrap_or_default();
                if !tell(Known::Instance { cluster, item, id: series.instance, prefixed, name }) {
                    return Ok(series.instance.saturating_add(1));
                }
            }
            slot = series.next;
        }
        Ok(m.instances)
    }
}
