//! What roles read: metrics by name, PMID and instance domain; their instances; labels and help.

use super::{
    SourceId, Ticket,
    import::{metric_of, style},
    index::{self, Key},
    ledger::Book,
    record::{Metric, Pad, Series, Slot, Source, Span},
    storage::Lent,
};
use crate::{
    exposition::LabelSet,
    mapping::{Put, instance},
    pcp::{InDom, Pmid},
};

/// What is in the store, lent to be read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    lent: Lent<'a>,
    book: Book,
    texts: Texts,
}

/// What is said once for the whole store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts {
    pub(super) root: Span,
    pub(super) context: Span,
    pub(super) domain: Span,
}

impl<'a> View<'a> {
    pub(super) const fn new(lent: Lent<'a>, book: Book, texts: Texts) -> Self {
        Self { lent, book, texts }
    }

    /// The root of imported metrics' names.
    pub fn root(&self) -> &'a str {
        self.texts.root.str_of(self.lent.text)
    }

    /// How often names came or went.
    pub const fn names_epoch(&self) -> u64 {
        self.book.names
    }

    /// How often the labels of something known changed.
    pub const fn labels_epoch(&self) -> u64 {
        self.book.labels
    }

    /// How many metrics there are, and therefore names.
    pub const fn metrics(&self) -> usize {
        self.book.metrics
    }

    /// How many series there are, every spelling counted.
    pub const fn series(&self) -> usize {
        self.book.series
    }

    /// The metric in `slot`.
    pub fn metric(&self, slot: Slot) -> Option<&'a Metric> {
        self.lent.metrics.get(slot.index()?)
    }

    /// The metric with this PMID.
    pub fn identified(&self, pmid: Pmid) -> Option<&'a Metric> {
        let hash = index::hash_word(self.book.seed, pmid.to_bits().into());
        let slot = index::find(self.lent.index, Key::Pmid, hash, |slot| {
            self.metric(slot).is_some_and(|m| m.desc.pmid == pmid)
        });
        self.metric(slot?)
    }

    /// The metric with this name.
    pub fn named(&self, name: &[u8]) -> Option<&'a Metric> {
        let hash = index::hash(self.book.seed, name);
        let slot = index::find(self.lent.index, Key::Name, hash, |slot| {
            self.metric(slot).is_some_and(|m| m.name_hash == hash && m.name.of(self.lent.text) == name)
        });
        self.metric(slot?)
    }

    /// The metric with this instance domain.
    pub fn of_indom(&self, indom: InDom) -> Option<&'a Metric> {
        match metric_of(indom) {
            Some(pmid) => self.identified(pmid).filter(|m| m.desc.indom == indom),
            None => self.of_shared(indom),
        }
    }

    /// The metric whose name comes at place `at` in order.
    pub fn in_order(&self, at: usize) -> Option<&'a Metric> {
        let row = self.lent.metrics.get(..self.book.metrics)?.get(at)?;
        self.metric(row.ordered)
    }

    /// How many names come before `name` in order.
    pub fn position(&self, name: &[u8]) -> usize {
        let rows = self.lent.metrics.get(..self.book.metrics).unwrap_or_default();
        rows.partition_point(|row| self.metric(row.ordered).is_some_and(|m| self.name(m) < name))
    }

    /// A metric's name.
    pub fn name(&self, metric: &Metric) -> &'a [u8] {
        metric.name.of(self.lent.text)
    }

    /// A metric's help, as exposed.
    pub fn help(&self, metric: &Metric) -> &'a str {
        metric.help.str_of(self.lent.text)
    }

    /// Whether a metric has values: its source's last scrape succeeded.
    pub fn is_well(&self, metric: &Metric) -> bool {
        self.source(metric.source).is_some_and(|s| s.well && !s.gone)
    }

    /// The source of a metric.
    pub const fn source_of(&self, metric: &Metric) -> SourceId {
        SourceId(metric.source)
    }

    /// Whether a source was scraped (or published) since that ticket was drawn, or need not be.
    pub fn is_fresh(&self, source: SourceId, ticket: Ticket) -> bool {
        self.source(source.0).is_none_or(|s| s.gone || (s.own && !s.on_demand) || s.finished >= ticket.0)
    }

    /// Whether values of a source come from scrapes, and not from the host itself.
    pub fn is_scraped(&self, source: SourceId) -> bool {
        self.source(source.0).is_some_and(|s| !s.own)
    }

    /// Whether every source has been scraped at least once.
    pub fn is_settled(&self) -> bool {
        self.sources().all(|s| s.finished > 0 || s.gone || s.own)
    }

    /// The series of a metric, instances that vanished too, from `slot` on.
    pub fn series_from(&self, slot: Slot) -> impl Iterator<Item = (Slot, &'a Series)> + use<'a> {
        let rows = self.lent.series;
        let mut slot = slot;
        core::iter::from_fn(move || {
            let at = slot;
            let series = rows.get(at.index()?)?;
            slot = series.next;
            Some((at, series))
        })
    }

    /// The first series of a metric.
    pub const fn first(&self, metric: &Metric) -> Slot {
        metric.first
    }

    /// The series in `slot`.
    pub fn series_at(&self, slot: Slot) -> Option<&'a Series> {
        self.lent.series.get(slot.index()?)
    }

    /// Writes the name of an instance.
    pub fn instance_name(&self, metric: &Metric, series: &Series, put: Put<'_>) {
        if series.flags & Series::NAMED != 0 {
            put(series.raw.of(self.lent.text));
        } else {
            instance::write(series.instance, series.labels(self.lent.text), style(metric.verbatim), put);
        }
    }

    /// The labels of a series, as exposed.
    pub fn labels(&self, series: &Series) -> LabelSet<'a> {
        series.labels(self.lent.text)
    }

    /// The bytes of a string value.
    pub fn string(&self, series: &Series) -> &'a [u8] {
        Pad::unpack(series.value).span.of(self.lent.text)
    }

    /// The labels of the whole store.
    pub fn context_labels(&self) -> LabelSet<'a> {
        LabelSet::stored(self.texts.context.str_of(self.lent.text))
    }

    /// The labels of the store's domain.
    pub fn domain_labels(&self) -> LabelSet<'a> {
        LabelSet::stored(self.texts.domain.str_of(self.lent.text))
    }

    /// The labels of the source that has this cluster.
    pub fn cluster_labels(&self, cluster: u16) -> Option<LabelSet<'a>> {
        let source = self.sources().find(|s| s.cluster == cluster && s.labels.len > 0)?;
        Some(LabelSet::stored(source.labels.str_of(self.lent.text)))
    }

    /// The number of a source, which is the cluster of its metrics.
    pub fn cluster(&self, source: SourceId) -> u16 {
        self.source(source.0).map_or(0, |s| s.cluster)
    }

    /// Whether a source [is no longer there](super::Store::retire).
    pub fn is_gone(&self, source: SourceId) -> bool {
        self.source(source.0).is_some_and(|s| s.gone)
    }

    /// The name of a source.
    pub fn source_name(&self, source: SourceId) -> &'a str {
        self.source(source.0).map_or("", |s| s.name.str_of(self.lent.text))
    }

    /// How many instances with a value the metrics of a source have.
    pub fn live(&self, source: SourceId) -> u64 {
        let mut metric = self.source(source.0).map_or(Slot::NONE, |s| s.first);
        let mut live = 0u64;
        while let Some(row) = self.metric(metric) {
            live = live.saturating_add(row.live.into());
            metric = row.next;
        }
        live
    }

    pub(super) fn source(&self, slot: Slot) -> Option<&'a Source> {
        self.lent.sources.get(slot.index()?)
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &'a Source> + use<'a> {
        self.lent.sources.iter().take(self.book.sources)
    }
}
