//! What roles read: metrics by name, PMID and instance domain; their instances; labels and help.

use super::{
    SourceId, Ticket,
    identity::metric_of,
    index::{self, Key},
    ledger::Book,
    record::{Metric, Pad, Past, Series, Slot, Source, Span},
    storage::Lent,
};
use crate::{
    exposition::LabelSet,
    mapping::{
        Compat, Put,
        instance::{self, Style},
    },
    pcp::{InDom, Pmid},
};

/// What is in the store, lent to be read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    lent: Lent<'a>,
    book: &'a Book,
}

impl<'a> View<'a> {
    pub(super) const fn new(lent: Lent<'a>, book: &'a Book) -> Self {
        Self { lent, book }
    }

    /// The root of imported metrics' names.
    pub fn root(&self) -> &'a str {
        self.book.root().str_of(self.lent.text)
    }

    /// How many names there are.
    pub const fn names(&self) -> usize {
        self.book.names
    }

    /// A number that grows when names come or go.
    pub const fn names_epoch(&self) -> u64 {
        self.book.names_epoch
    }

    /// How often the labels of something known changed.
    pub const fn labels_epoch(&self) -> u64 {
        self.book.labels_epoch
    }

    /// How many series are at hand, every spelling counted.
    pub const fn series(&self) -> usize {
        self.book.series_taken().saturating_sub(self.book.extras)
    }

    /// How many slots of metrics and of series are in use, for whatever it is.
    pub const fn slots(&self) -> (usize, usize) {
        (self.book.metrics_taken(), self.book.series_taken())
    }

    /// How many instances vanished, and may come back with their ids.
    pub const fn vanished(&self) -> usize {
        self.book.past.saturating_sub(self.book.freed_past)
    }

    /// The rules of this version of PCP hold.
    pub const fn compat(&self) -> Compat {
        self.book.compat()
    }

    /// The metric in `slot`.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn metric(&self, slot: Slot) -> Option<&'a Metric> {
        self.lent.metrics.get(slot.index()?)
    }

    /// The metric of a series.
    pub fn metric_of(&self, series: &Series) -> Option<&'a Metric> {
        self.metric(series.metric)
    }

    /// The metric with this PMID.
    pub fn identified(&self, pmid: Pmid) -> Option<&'a Metric> {
        let hash = index::hash_word(self.book.seed, pmid.to_bits().into());
        let slot = index::find(self.lent.index, Key::Pmid, hash, |slot| {
            self.metric(slot).is_some_and(|m| m.desc.pmid == pmid)
        });
        // What it is, is not known before it was met.
        self.metric(slot?).filter(|m| m.is(Metric::MET))
    }

    /// The metric with this PMID, which may be the one in `slot`.
    pub fn identified_at(&self, slot: Slot, pmid: Pmid) -> Option<&'a Metric> {
        let here = self.metric(slot).filter(|m| m.desc.pmid == pmid && m.is(Metric::MET));
        here.or_else(|| self.identified(pmid))
    }

    /// The metric with this name.
    pub fn named(&self, name: &[u8]) -> Option<&'a Metric> {
        let hash = index::hash(self.book.seed, name);
        let slot = index::find(self.lent.index, Key::Name, hash, |slot| {
            self.metric(slot).is_some_and(|m| m.name_hash == hash && m.name.of(self.lent.text) == name)
        });
        self.metric(slot?).filter(|m| m.is(Metric::LISTED))
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
        let row = self.lent.metrics.get(..self.book.names)?.get(at)?;
        self.metric(row.ordered)
    }

    /// How many names come before `name` in order.
    pub fn position(&self, name: &[u8]) -> usize {
        let rows = self.lent.metrics.get(..self.book.names).unwrap_or_default();
        rows.partition_point(|row| self.metric(row.ordered).is_some_and(|m| self.name(m) < name))
    }

    /// A metric's name.
    pub fn name(&self, metric: &Metric) -> &'a [u8] {
        metric.name.of(self.lent.text)
    }

    /// A metric's help, as exposed. Of a histogram that the host declared all parts have one.
    pub fn help(&self, metric: &Metric) -> &'a str {
        let is_share =
            metric.help.len() == 0 && metric.is(Metric::GROUPED) && !self.is_scraped(self.source_of(metric));
        let shared =
            |kin: &&Metric| kin.source == metric.source && kin.is_alike(metric) && kin.help.len() > 0;
        let mut kin = self.kin(if is_share { metric.kin } else { Slot::NONE }).map(|(_, kin)| kin);
        kin.find(shared).unwrap_or(metric).help.str_of(self.lent.text)
    }

    /// Whether a metric has values: its source's last scrape succeeded.
    pub fn is_well(&self, metric: &Metric) -> bool {
        self.source(metric.source).is_some_and(|s| s.well && !s.is_gone())
    }

    /// The source of a metric.
    pub const fn source_of(&self, metric: &Metric) -> SourceId {
        SourceId(metric.source)
    }

    /// Whether a source was scraped (or published) since that ticket was drawn, was held as it was, or need not be scraped.
    pub fn is_fresh(&self, source: SourceId, ticket: Ticket) -> bool {
        self.source(source.0).is_none_or(|s| s.is_gone() || (s.own && !s.on_demand) || s.finished >= ticket.0)
    }

    /// Whether values of a source come from scrapes, and not from the host itself.
    pub fn is_scraped(&self, source: SourceId) -> bool {
        self.source(source.0).is_some_and(|s| !s.own)
    }

    /// Whether every source has been scraped at least once.
    pub fn is_settled(&self) -> bool {
        self.sources().skip(self.book.settled).all(Source::is_settled)
    }

    /// Whether a source is being scraped for the request of that ticket.
    pub fn awaits(&self, ticket: Ticket) -> bool {
        self.sources().any(|s| s.wanted == ticket.0 && s.finished < ticket.0 && !s.is_gone() && !s.own)
    }

    /// The series of a metric at hand, from `slot` on; those of the last documents are among them.
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
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn series_at(&self, slot: Slot) -> Option<&'a Series> {
        self.lent.series.get(slot.index()?)
    }

    /// The instances of a metric that vanished, from `slot` on.
    pub fn past_from(&self, slot: Slot) -> impl Iterator<Item = (Slot, &'a Past)> + use<'a> {
        let rows = self.lent.remembered();
        let mut slot = slot;
        core::iter::from_fn(move || {
            let at = slot;
            let past = rows.get(at.index()?)?;
            slot = past.next;
            Some((at, past))
        })
    }

    /// The first instance of a metric that vanished.
    pub const fn first_past(&self, metric: &Metric) -> Slot {
        metric.past
    }

    /// The instance that vanished in `slot`.
    pub fn past_at(&self, slot: Slot) -> Option<&'a Past> {
        self.lent.remembered().get(slot.index()?)
    }

    /// Writes the name of an instance.
    pub fn instance_name(&self, metric: &Metric, series: &Series, put: Put<'_>) {
        if series.is_named_plainly() {
            put(series.raw.of(self.lent.text));
        } else if series.is(Series::NAMED) && metric.style() == Style::Verbatim {
            let first = self.labels(series).iter().next();
            first.into_iter().flat_map(|label| label.value.pieces()).for_each(|piece| put(piece.as_bytes()));
        } else {
            let labels = series.identity(self.lent.text);
            instance::write(series.instance, labels, metric.style(), self.book.compat(), put);
        }
    }

    /// Writes the name of an instance that vanished.
    pub fn past_name(&self, past: &Past, put: Put<'_>) {
        if past.is_prefixed() {
            instance::prefix(past.id(), put);
        }
        put(past.name.of(self.lent.text));
    }

    /// Whether a series comes from a document, and not from the host.
    pub const fn is_sent(&self, series: &Series) -> bool {
        !series.is(Series::NAMED)
    }

    /// Writes the name of an instance with its id in front, whether it is named so or not; PCP 6.0 has it as a label.
    pub fn prefixed_name(&self, metric: &Metric, series: &Series, put: Put<'_>) {
        let labels = series.identity(self.lent.text);
        instance::write_prefixed(series.instance, labels, metric.style(), self.book.compat(), put);
    }

    /// The labels of a series that its configuration leaves, optional ones last.
    pub fn labels(&self, series: &Series) -> LabelSet<'a> {
        series.labels(self.lent.text)
    }

    /// Those among them that are optional.
    pub fn optional(&self, series: &Series) -> LabelSet<'a> {
        series.optional(self.lent.text)
    }

    /// The series of a metric that was written last.
    pub fn latest(&self, metric: &Metric) -> Option<&'a Series> {
        let row = |slot: Slot| self.lent.series.get(slot.index()?);
        let same =
            |s: &&Series| s.source != 0 && row(metric.first).is_some_and(|first| first.metric == s.metric);
        row(metric.latest).filter(same).or_else(|| row(metric.first))
    }

    /// Whether a PCP line says what a metric is.
    pub const fn is_lined(&self, metric: &Metric) -> bool {
        cfg!(feature = "full") && metric.is(Metric::LINED)
    }

    /// Whether the series of a metric do not all have the same label names.
    pub const fn is_mixed(&self, metric: &Metric) -> bool {
        metric.is(Metric::MIXED)
    }

    /// The bytes of a string value.
    pub fn string(&self, series: &Series) -> &'a [u8] {
        Pad::unpack(series.value).span.of(self.lent.text)
    }

    /// The labels of the whole store.
    pub fn context_labels(&self) -> LabelSet<'a> {
        LabelSet::stored(self.book.context_labels.str_of(self.lent.text))
    }

    /// The labels of the store's domain.
    pub fn domain_labels(&self) -> LabelSet<'a> {
        LabelSet::stored(self.book.domain_labels.str_of(self.lent.text))
    }

    /// The labels of the source that has this cluster.
    pub fn cluster_labels(&self, cluster: u16) -> Option<LabelSet<'a>> {
        let source = self.sources().find(|s| s.cluster == cluster && s.labels.len() > 0).or_else(|| {
            // A further cluster begins with its first metric, which may be forgotten.
            let first = Pmid::new(self.book.domain, cluster, 0)?;
            let all = if self.book.forgets { self.lent.metrics } else { &[] };
            let any = || all.iter().find(|m| m.is(Metric::MET) && m.desc.pmid.cluster() == cluster);
            self.source(self.identified(first).or_else(any)?.source)
        })?;
        Some(LabelSet::stored(source.labels.str_of(self.lent.text)))
    }

    /// The number of a source, which is the cluster of its metrics.
    pub fn cluster(&self, source: SourceId) -> u16 {
        self.source(source.0).map_or(0, |s| s.cluster)
    }

    /// Whether a source [is no longer there](super::Store::retire).
    pub fn is_gone(&self, source: SourceId) -> bool {
        self.source(source.0).is_some_and(Source::is_gone)
    }

    /// All sources, those that are gone too.
    pub fn source_ids(&self) -> impl Iterator<Item = SourceId> + use<> {
        (0..self.book.sources).map(|place| SourceId(Slot::of(place)))
    }

    /// The source of this name.
    pub fn source_named(&self, name: &str) -> Option<SourceId> {
        self.source_ids().find(|source| self.source_name(*source) == name)
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

    pub(super) const fn root_span(&self) -> Span {
        self.book.root()
    }

    pub(super) const fn text(&self) -> &'a [u8] {
        self.lent.text
    }

    pub(super) fn source(&self, slot: Slot) -> Option<&'a Source> {
        self.lent.sources.get(slot.index()?)
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &'a Source> + use<'a> {
        self.lent.sources.iter().take(self.book.sources)
    }
}
