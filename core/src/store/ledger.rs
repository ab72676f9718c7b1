//! The store's algorithms, over memory that is lent for one call; compiled once however many storages there are.
//!
//! Each operation either happens whole or says what was [`Full`] and leaves everything as it was.

use super::{
    index::{self, Key},
    record::{Metric, Pad, Past, Series, Slot, Source, Span},
    storage::{Full, Parts, Region},
};
use crate::mapping::Compat;

/// How much of each region is in use, and what the tables need to know beside their records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Book {
    pub(crate) seed: u64,
    pub(crate) domain: u16,
    pub(crate) compat: Compat,
    pub(crate) sources: usize,
    /// The sources before this one are all settled.
    pub(crate) settled: usize,
    /// Slots of metrics that were ever used, and the free ones among them.
    pub(crate) metrics: usize,
    pub(crate) free_metrics: Slot,
    pub(crate) freed_metrics: usize,
    /// Slots of series that were ever used, and the free ones among them.
    pub(crate) series: usize,
    pub(crate) free_series: Slot,
    pub(crate) freed_series: usize,
    /// The same of vanished instances.
    pub(crate) past: usize,
    pub(crate) free_past: Slot,
    pub(crate) freed_past: usize,
    /// Annexes among the series, families and groups in the index.
    pub(crate) extras: usize,
    pub(crate) families: usize,
    pub(crate) groups: usize,
    /// Entries of the index that are not free, those taken out among them.
    pub(crate) entries: usize,
    pub(crate) text: usize,
    /// What vanished is [forgotten](super::Storage::FORGETS) where there is no room.
    pub(crate) forgets: bool,
    /// It was, since the last document ended.
    pub(crate) forgot: bool,
    /// Bytes of text that nobody needs.
    pub(crate) garbage: usize,
    /// How many names are listed, in order.
    pub(crate) names: usize,
    /// How often names came or went.
    pub(crate) names_epoch: u64,
    /// How often the labels of something known changed.
    pub(crate) labels_epoch: u64,
    /// The last number that a source or a further cluster got.
    pub(crate) cluster: u16,
    /// How many further clusters a source may have.
    pub(crate) most_further: u16,
    /// The labels of the domain, whose text the root of all names is in.
    pub(crate) domain_labels: Span,
    /// The labels of the whole store.
    pub(crate) context_labels: Span,
}

impl Book {
    pub(crate) const fn new(domain: u16, seed: u64, forgets: bool) -> Self {
        Self {
            seed,
            domain,
            compat: Compat::V72,
            sources: 0,
            settled: 0,
            metrics: 0,
            free_metrics: Slot::NONE,
            freed_metrics: 0,
            series: 0,
            free_series: Slot::NONE,
            freed_series: 0,
            past: 0,
            free_past: Slot::NONE,
            freed_past: 0,
            extras: 0,
            families: 0,
            groups: 0,
            entries: 0,
            text: 0,
            forgets,
            forgot: false,
            garbage: 0,
            names: 0,
            names_epoch: 0,
            labels_epoch: 0,
            cluster: 0,
            most_further: MOST_FURTHER,
            domain_labels: Span::EMPTY,
            context_labels: Span::EMPTY,
        }
    }

    /// The version of PCP whose rules hold.
    pub(crate) const fn compat(&self) -> Compat {
        if cfg!(feature = "full") { self.compat } else { Compat::V72 }
    }

    /// Slots of metrics in use.
    pub(crate) const fn metrics_taken(&self) -> usize {
        self.metrics.saturating_sub(self.freed_metrics)
    }

    /// Slots of series in use.
    pub(crate) const fn series_taken(&self) -> usize {
        self.series.saturating_sub(self.freed_series)
    }

    /// The root of all names: `agent="ROOT"` without what is around it.
    pub(crate) const fn root(&self) -> Span {
        let all = self.domain_labels;
        Span::new(all.at().saturating_add(ROOT_BEGINS), all.len().saturating_sub(ROOT_BEGINS + 1))
    }
}

const ROOT_BEGINS: u32 = 7;

/// Further clusters of a source unless somebody says otherwise: with them it has 65,536 names.
const MOST_FURTHER: u16 = 63;

/// The store's memory and book, to be changed.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    pub(crate) parts: Parts<'a>,
    pub(crate) book: &'a mut Book,
}

impl Ledger<'_> {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn series(&mut self, slot: Slot) -> Option<&mut Series> {
        self.parts.series.get_mut(slot.index()?)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn metric(&mut self, slot: Slot) -> Option<&mut Metric> {
        self.parts.metrics.get_mut(slot.index()?)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn source(&self, slot: Slot) -> Option<&Source> {
        self.parts.sources.get(slot.index()?)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn source_mut(&mut self, slot: Slot) -> Option<&mut Source> {
        self.parts.sources.get_mut(slot.index()?)
    }

    pub(crate) fn past(&mut self, slot: Slot) -> Option<&mut Past> {
        self.parts.remembered_mut().get_mut(slot.index()?)
    }

    /// Room for that many more records, or what is full. Text is asked for in bytes.
    pub(crate) fn reserve(&self, metrics: usize, series: usize, text: usize) -> Result<(), Full> {
        let fits =
            |used: usize, more: usize, len: usize| used.checked_add(more).is_some_and(|need| need <= len);
        // One more each, for a family and for a group.
        let entries = entries(metrics, series).saturating_add(metrics).saturating_add(series);
        if !fits(self.book.metrics_taken(), metrics, self.parts.metrics.len()) {
            return Err(Full(Region::Metrics));
        }
        if !fits(self.book.series_taken(), series, self.parts.series.len()) {
            return Err(Full(Region::Series));
        }
        if !fits(self.book.text, text.saturating_add(HEADS), self.parts.text.len()) {
            return Err(Full(Region::Text));
        }
        self.reserve_entries(entries)
    }

    /// Room for that many more entries of the index.
    pub(crate) fn reserve_entries(&self, entries: usize) -> Result<(), Full> {
        let three_quarters = (self.parts.index.len() / 4).saturating_mul(3);
        let fits = self.book.entries.checked_add(entries).is_some_and(|need| need <= three_quarters);
        if entries == 0 || fits { Ok(()) } else { Err(Full(Region::Index)) }
    }

    /// The slot that the next series gets.
    pub(crate) fn next_series(&self) -> Slot {
        match self.book.free_series {
            Slot::NONE => Slot::of(self.book.series),
            free => free,
        }
    }

    /// Takes [the next slot](Self::next_series) for a series.
    pub(crate) fn take_series(&mut self, series: Series) -> Option<Slot> {
        let slot = self.next_series();
        let row = self.parts.series.get_mut(slot.index()?)?;
        let free = core::mem::replace(row, series).next;
        if self.book.free_series == Slot::NONE {
            self.book.series = self.book.series.saturating_add(1);
        } else {
            self.book.free_series = free;
            self.book.freed_series = self.book.freed_series.saturating_sub(1);
        }
        Some(slot)
    }

    /// Appends a series to the list of a metric.
    pub(crate) fn append_series(&mut self, metric: Slot, slot: Slot) {
        let Some(row) = self.metric(metric) else { return };
        let last = core::mem::replace(&mut row.last, slot);
        if last == Slot::NONE {
            row.first = slot;
        } else if let Some(last) = self.series(last) {
            last.next = slot;
        }
    }

    /// Frees the slot of a series that hangs on nothing any more, with its texts and its entries in the index.
    pub(crate) fn free_series(&mut self, slot: Slot) {
        let free = self.book.free_series;
        let metric = self.series(slot).map_or(Slot::NONE, |s| s.metric);
        if metric.index().and_then(|i| self.parts.metrics.get(i)).is_some_and(|m| m.is(Metric::GROUPED)) {
            self.leave_group(slot);
        }
        let Some(row) = self.series(slot) else { return };
        let series = core::mem::replace(row, Series { next: free, ..Series::EMPTY });
        self.book.free_series = slot;
        self.book.freed_series = self.book.freed_series.saturating_add(1);
        if !series.is_extra() {
            index::remove(self.parts.index, Key::Raw, series.raw_hash, slot);
        }
        if series.has_name() {
            index::remove(self.parts.index, Key::Identity, series.identity_hash, slot);
        }
        if series.is_instance() {
            let pad = Pad::unpack(series.value);
            let is_text =
                series.metric.index().and_then(|i| self.parts.metrics.get(i)).is_some_and(|m| m.is_text());
            if is_text && pad.room > 0 {
                self.release(pad.span.at(), pad.room);
            }
        }
        if series.is_extra() {
            let pad = Pad::unpack(series.value);
            if pad.room > 0 {
                self.release(pad.span.at(), pad.room);
            }
            self.book.extras = self.book.extras.saturating_sub(1);
            return;
        }
        if series.is_filtered() {
            self.release(series.labels.at(), series.labels.len());
        }
        self.release(series.raw.at(), series.raw.len());
    }

    /// The slot that the next metric gets.
    pub(crate) fn next_metric(&self) -> Slot {
        match self.book.free_metrics {
            Slot::NONE => Slot::of(self.book.metrics),
            free => free,
        }
    }

    /// Takes [the next slot](Self::next_metric) for a metric.
    pub(crate) fn take_metric(&mut self, metric: Metric) -> Option<Slot> {
        let slot = self.next_metric();
        let row = self.parts.metrics.get_mut(slot.index()?)?;
        // The column of names in order is not the metric's own.
        let ordered = row.ordered;
        let free = core::mem::replace(row, Metric { ordered, ..metric }).next;
        if self.book.free_metrics == Slot::NONE {
            self.book.metrics = self.book.metrics.saturating_add(1);
        } else {
            self.book.free_metrics = free;
            self.book.freed_metrics = self.book.freed_metrics.saturating_sub(1);
        }
        Some(slot)
    }

    /// Takes the next slot for a metric and appends it to its source's list; it has no name in the name space yet.
    pub(crate) fn push_metric(&mut self, metric: Metric) -> Option<Slot> {
        let slot = self.take_metric(metric)?;
        self.source_mut(metric.source)?.unsaved = true;
        self.append_metric(metric.source, slot);
        self.enter_metric(slot, &metric);
        Some(slot)
    }

    /// Appends a metric to the list of its source.
    pub(crate) fn append_metric(&mut self, source: Slot, slot: Slot) {
        let Some(row) = self.source_mut(source) else { return };
        let last = core::mem::replace(&mut row.last, slot);
        if last == Slot::NONE {
            row.first = slot;
        } else if let Some(last) = self.metric(last) {
            last.next = slot;
        }
    }

    fn enter_metric(&mut self, slot: Slot, metric: &Metric) {
        self.enter(Key::Pmid, index::hash_word(self.book.seed, metric.desc.pmid.to_bits().into()), slot);
        if metric.is(Metric::MET) {
            self.enter(Key::Name, metric.name_hash, slot);
        }
        if metric.is(Metric::ENTERED) {
            self.enter(Key::Family, self.family_hash(self.family_name(metric)), slot);
        }
        let is_own = self.source(metric.source).is_some_and(|s| s.own);
        if !is_own {
            self.enter(Key::Sent, self.sent_hash(metric.source, self.sent(metric)), slot);
        }
    }

    pub(crate) fn enter(&mut self, key: Key, hash: u32, slot: Slot) {
        // There is room: `reserve` made it.
        if key == Key::Family {
            self.book.families = self.book.families.saturating_add(1);
        }
        let taken = index::enter(self.parts.index, key, hash, slot).unwrap_or_default();
        self.book.entries = self.book.entries.saturating_add(taken);
    }

    /// Makes the index anew from the records, after it has grown or when too much was taken out.
    pub(crate) fn reindex(&mut self) {
        self.parts.index.fill(0);
        (self.book.entries, self.book.families, self.book.groups) = (0, 0, 0);
        for i in 0..self.book.metrics {
            let Some(metric) = self.parts.metrics.get(i).copied() else { break };
            if !metric.is_bin() && metric.source != Slot::NONE {
                self.enter_metric(Slot::of(i), &metric);
            }
        }
        for i in 0..self.book.series {
            let Some(series) = self.parts.series.get(i).copied() else { break };
            if series.source != 0 && !series.is_extra() {
                self.enter(Key::Raw, series.raw_hash, Slot::of(i));
            }
            if series.has_name() {
                self.enter(Key::Identity, series.identity_hash, Slot::of(i));
            }
            if series.is_instance() {
                self.regroup(Slot::of(i));
            }
        }
        for i in 0..self.parts.remembered().len().min(self.book.past) {
            let Some(past) = self.parts.past.get(i).copied().filter(|p| p.metric != Slot::NONE) else {
                continue;
            };
            self.enter(Key::Past, self.past_hash(&past), Slot::of(i));
        }
    }

    /// How many entries of the index would be left if it were made anew.
    pub(crate) fn entries_needed(&self) -> usize {
        entries(self.book.metrics_taken(), self.book.series_taken())
            .saturating_add(self.book.families)
            .saturating_add(self.book.groups)
            .saturating_add(self.book.past.saturating_sub(self.book.freed_past))
    }

    pub(crate) fn past_hash(&self, past: &Past) -> u32 {
        self.instance_hash(past.metric, past.name.of(self.parts.text))
    }

    /// The hash of an instance by its metric and its name.
    pub(crate) fn instance_hash(&self, metric: Slot, name: &[u8]) -> u32 {
        index::hash(self.book.seed ^ u64::from(metric.bits()), name)
    }
}

/// Entries of the index that so many records take: names, PMIDs and sample names; bytes and instance names.
const fn entries(metrics: usize, series: usize) -> usize {
    metrics.saturating_mul(3).saturating_add(series.saturating_mul(2))
}

/// What chunks of text take for themselves, in one operation.
const HEADS: usize = 64;
