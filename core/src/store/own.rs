//! The bridge's own metrics, and a device's: declared once, their values published at any time, or when somebody asks.

use super::{
    SourceId, Store, Ticket,
    identity::{FIRST_SERIAL, ITEMS, indom},
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Pad, Series, Slot, Source},
    storage::{Full, Region, Storage},
    text::Field,
    view::View,
};
use crate::{
    exposition::writer::Kind,
    mapping::{
        Family, Part,
        export::{self, Naming},
    },
    pcp::{Desc, InDom, Pmid, Semantics, Type, Units},
};

/// What a metric is that the host declares.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "a declaration names all of these")]
pub struct Declaration<'a> {
    /// Its whole name.
    pub name: &'a str,
    /// Its help, first line first.
    pub help: &'a str,
    /// How its values are encoded.
    pub kind: Type,
    /// How they relate over time.
    pub semantics: Semantics,
    /// Their dimension and scale.
    pub units: Units,
    /// What it has values for.
    pub instances: Instances,
    /// Its item number in the cluster of its source, or the next.
    pub item: Option<u16>,
    /// Whether clients may store values of it, where these are numbers and [the storage takes any](Storage::STORES).
    pub storable: bool,
    /// Whether listings of all names leave it out. Those that begin below the root name it, and it can be asked for.
    pub aside: bool,
}

/// What a declared metric has values for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "a declaration is one of these")]
pub enum Instances {
    /// It has one value.
    One,
    /// The instances of a domain of its own.
    Own,
    /// The instances of the domain with this serial, below 4096, that metrics of its source share.
    ///
    /// The one declared first tells which there are: publish that for every instance.
    Shared(u32),
}

/// Of what a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "an instance is a number and a name")]
pub struct Instance<'a> {
    /// The number that it has or is to have, or the next that is free.
    pub id: Option<u32>,
    /// Its name, which finds it again.
    pub name: &'a str,
}

impl<'a> Instance<'a> {
    /// That of a metric with one value.
    pub const ONE: Self = Self::named("");

    /// The instance of this name, with the next number where it is new.
    pub const fn named(name: &'a str) -> Self {
        Self { id: None, name }
    }

    /// The instance of this name, with this number where it is new.
    pub const fn numbered(id: u32, name: &'a str) -> Self {
        Self { id: Some(id), name }
    }
}

/// A metric, for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetricId(pub(super) Slot);

/// A value to publish, as its metric's type has it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Published<'a> {
    /// The 64 bits of a number: integers as they are (signed ones extended), floats as IEEE doubles.
    Bits(u64),
    /// A string.
    Text(&'a str),
}

/// A value that a client has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stored {
    /// The metric.
    pub metric: MetricId,
    /// The instance, 0 for a metric with one value.
    pub instance: u32,
    /// The value's 64 bits, as [`Published::Bits`] has them.
    pub bits: u64,
}

impl<S: Storage> Store<S> {
    /// Declares a metric of `source`.
    pub fn declare(&mut self, source: SourceId, declaration: &Declaration<'_>) -> Result<MetricId, Full> {
        self.declare_share(source, declaration, None)
    }

    /// Declares a metric, or with `share` that part of a histogram.
    pub(super) fn declare_share(
        &mut self,
        source: SourceId,
        declaration: &Declaration<'_>,
        share: Option<Part>,
    ) -> Result<MetricId, Full> {
        self.growing(|ledger| ledger.declare(source.0, declaration, share)).map(MetricId)
    }

    /// Publishes a value of a declared metric.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn publish(
        &mut self,
        metric: MetricId,
        instance: Instance<'_>,
        value: Published<'_>,
    ) -> Result<(), Full> {
        self.growing(|ledger| ledger.publish(metric.0, instance, value))
    }

    /// The instance of a declared metric is there no longer, until a value of it is published again.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn withdraw(&mut self, metric: MetricId, id: u32) {
        self.ledger().withdraw(metric.0, id);
    }

    /// Values of a declared `source` are published when somebody asks: a request that names it waits for the scrapes
    /// that it names, then [wants](Store::wanted) the source, and is answered once the host has
    /// [begun](Store::begin), published, and [said so](Self::published).
    pub fn on_demand(&mut self, source: SourceId) {
        if let Some(row) = self.source_mut(source) {
            row.own = true;
            row.on_demand = true;
        }
    }

    /// All values of a source on demand are published.
    pub fn published(&mut self, source: SourceId) {
        if let Some(row) = self.source_mut(source) {
            row.running = false;
            row.finished = row.started.max(1);
        }
    }

    /// A value that a client has stored and the host was not told of yet.
    pub fn stored(&mut self) -> Option<Stored> {
        if !self.has_stored {
            return None;
        }
        let stored = self.ledger().stored();
        self.has_stored = stored.is_some();
        stored
    }

    /// A client stores the number in the series.
    pub(crate) fn store(&mut self, series: Slot, bits: u64) {
        if let Some(series) = self.ledger().series(series) {
            series.value = bits;
            series.flags |= Series::STORED;
            self.has_stored = true;
        }
    }
}

impl<'a> View<'a> {
    /// Whether clients may store values of a metric.
    pub(crate) const fn is_storable(&self, metric: &Metric) -> bool {
        metric.is(Metric::STORABLE)
    }

    /// Whether listings that begin at the root leave a metric out.
    pub(crate) const fn is_aside(&self, metric: &Metric) -> bool {
        metric.is(Metric::ASIDE)
    }

    /// Whether the host publishes values of a source when somebody asks.
    pub(crate) fn is_on_demand(&self, source: SourceId) -> bool {
        self.source(source.0).is_some_and(|s| s.on_demand)
    }

    /// Whether the host has published values of a source since that ticket was drawn.
    pub(crate) fn is_published(&self, source: SourceId, ticket: Ticket) -> bool {
        self.source(source.0).is_none_or(|s| s.is_gone() || s.finished >= ticket.0)
    }

    /// The metric that tells the instances of a shared domain.
    pub(super) fn of_shared(&self, indom: InDom) -> Option<&'a Metric> {
        // There are as many as the host declared; imported metrics are not looked at.
        self.sources().filter(|s| s.own).find_map(|source| {
            let mut slot = source.first;
            core::iter::from_fn(|| {
                let metric = self.metric(slot)?;
                slot = metric.next;
                Some(metric)
            })
            .find(|m| m.desc.indom == indom)
        })
    }
}

/// What a metric is, or that part of a histogram: how many fell into each bucket, their sum, how many there were.
const fn described<'a>(declaration: &Declaration<'a>, share: Option<Part>) -> Declaration<'a> {
    let Some(part) = share else { return *declaration };
    let instances = if matches!(part, Part::Bucket) { Instances::Own } else { Instances::One };
    let units = if matches!(part, Part::Sum) { declaration.units } else { Units::COUNT };
    Declaration { kind: Type::U64, semantics: Semantics::COUNTER, units, instances, ..*declaration }
}

/// What the store notes of a declared metric, or of that part of a histogram.
fn flags(declaration: &Declaration<'_>, share: Option<Part>) -> u32 {
    // A string may not be stored: an answer that is half out has promised its length.
    let is_text = matches!(declaration.kind, Type::STRING | Type::AGGREGATE | Type::AGGREGATE_STATIC);
    let storable = if declaration.storable && !is_text { Metric::STORABLE } else { 0 };
    let aside = if declaration.aside { Metric::ASIDE } else { 0 };
    // Buckets are called as those of an import.
    let style = if share.is_some() { Metric::GROUPED } else { Metric::VERBATIM };
    Metric::MET | Metric::SAVED | style | storable | aside
}

/// What the name of a family may be longer than PCP's: its unit and its end.
const EXPORTED: usize = 128;

impl Ledger<'_> {
    fn declare(
        &mut self,
        source: Slot,
        declaration: &Declaration<'_>,
        share: Option<Part>,
    ) -> Result<Slot, Full> {
        let text = declaration.name.len().saturating_mul(2).saturating_add(declaration.help.len());
        self.reserve(1, 0, text.saturating_add(EXPORTED))?;
        let end = share.map_or("", Part::suffix);
        let desc = self.number(source, declaration, share)?;
        let slot = self.next_metric();
        let len = self.draft(0, &mut |_, put| {
            put(declaration.name.as_bytes());
            put(end.as_bytes());
        })?;
        let name_hash = index::hash(self.book.seed, self.drafted(0, len));
        let name = self.keep(len, Field::MetricName, slot)?;
        // The parts of a histogram have one help, that of its buckets.
        let has_help = matches!(share, None | Some(Part::Bucket));
        let help = if has_help { declaration.help } else { "" };
        let help = self.copy(help.as_bytes(), Field::MetricHelp, slot)?;
        let kind = if share.is_some() { Some(Kind::Histogram) } else { export::kind(&desc) };
        let (family, part) = match (share, kind) {
            (Some(part), _) => (Family::Histogram, part),
            (_, Some(Kind::Counter)) => (Family::Counter, Part::Total),
            (_, Some(Kind::Info)) => (Family::Info, Part::Info),
            _ => (Family::Gauge, Part::Whole),
        };
        // On a page it is called as pmcd's metrics are.
        let mut unit_len = 0usize;
        let sent = self.draft(0, &mut |_, put| {
            let kind = kind.unwrap_or_default();
            export::name(Naming::Prometheus, declaration.name, kind, declaration.units, None, put);
            put(part.suffix().as_bytes());
            // `draft` may call this twice, and counts once.
            unit_len = 0;
            export::unit(Naming::Prometheus, kind, declaration.units, &mut |piece| {
                unit_len = unit_len.saturating_add(piece.len());
            });
        })?;
        let sent = self.keep(sent, Field::MetricSent, slot)?;
        let flags = flags(declaration, share);
        self.push_metric(Metric { desc, source, name, sent, help, name_hash, flags, ..Metric::EMPTY });
        if kind.is_some() {
            self.join_ring(slot, family, part, u8::try_from(unit_len).unwrap_or_default());
        }
        self.list(slot);
        Ok(slot)
    }

    /// Says what a declared metric of `source` is, and which number it has.
    fn number(
        &mut self,
        source: Slot,
        declaration: &Declaration<'_>,
        share: Option<Part>,
    ) -> Result<Desc, Full> {
        let (full, domain) = (Full(Region::Metrics), self.book.domain);
        let desc = described(declaration, share);
        let row = self.source_mut(source).ok_or(full)?;
        let (cluster, item) = (row.cluster, declaration.item.unwrap_or(row.items));
        if item >= ITEMS {
            return Err(full);
        }
        row.items = row.items.max(item.saturating_add(1));
        row.well = true;
        row.own = true;
        let indom = match desc.instances {
            Instances::One => Some(InDom::NULL),
            Instances::Own => indom(domain, cluster, item),
            Instances::Shared(serial) if serial < FIRST_SERIAL => InDom::new(domain, serial),
            Instances::Shared(_) => None,
        };
        Ok(Desc {
            pmid: Pmid::new(domain, cluster, item).ok_or(full)?,
            kind: desc.kind,
            indom: indom.ok_or(full)?,
            semantics: desc.semantics,
            units: desc.units,
        })
    }

    fn publish(&mut self, metric: Slot, instance: Instance<'_>, value: Published<'_>) -> Result<(), Full> {
        let full = Full(Region::Series);
        let name = instance.name.as_bytes();
        let hash = index::hash(self.book.seed ^ u64::from(metric.bits()), name);
        let known = index::find(self.parts.index, Key::Identity, hash, |slot| {
            let series = slot.index().and_then(|i| self.parts.series.get(i));
            series.is_some_and(|s| {
                s.metric == metric && s.is_named_plainly() && s.raw.of(self.parts.text) == name
            })
        });
        let slot = match known {
            Some(slot) => slot,
            None => {
                self.reserve(0, 1, name.len())?;
                let raw = self.copy(name, Field::SeriesRaw, self.next_series())?;
                let (raw_hash, identity_hash) = (hash, hash);
                let source =
                    self.metric(metric).map_or(0, |m| u16::try_from(m.source.bits()).unwrap_or_default());
                let flags = Series::NAMED;
                let series = Series { metric, raw, raw_hash, identity_hash, flags, source, ..Series::EMPTY };
                self.instance(series, instance.id).ok_or(full)?
            }
        };
        self.link(metric, slot);
        self.renew(metric, slot, value)
    }

    /// Gives a series of a declared metric a value.
    pub(super) fn renew(&mut self, metric: Slot, slot: Slot, value: Published<'_>) -> Result<(), Full> {
        let bits = match value {
            Published::Bits(bits) => bits,
            Published::Text(text) => {
                let pad = self.series(slot).map_or(Pad::EMPTY, |s| Pad::unpack(s.value));
                self.rewrite(pad, text.as_bytes(), Field::SeriesValue, slot)?.pack()
            }
        };
        let Some(series) = self.series(slot) else { return Ok(()) };
        series.value = bits;
        let new = !series.is_live();
        series.flags |= Series::LIVE;
        if new && let Some(metric) = self.metric(metric) {
            metric.live = metric.live.saturating_add(1);
        }
        Ok(())
    }

    /// Puts a series that was withdrawn back at the end of its metric's list.
    fn link(&mut self, metric: Slot, slot: Slot) {
        match self.series(slot) {
            Some(series) if series.is(Series::WITHDRAWN) => {
                series.flags &= !Series::WITHDRAWN;
                series.next = Slot::NONE;
            }
            _ => return,
        }
        self.append_series(metric, slot);
    }

    /// Takes a series out of its metric's list; its name finds it again.
    fn withdraw(&mut self, metric: Slot, id: u32) {
        let Some(row) = self.metric(metric) else { return };
        let (mut before, mut slot) = (Slot::NONE, row.first);
        let (next, was_live) = loop {
            let Some(series) = self.series(slot) else { return };
            if series.instance == id {
                let was_live = series.is_live();
                series.flags = series.flags & !(Series::LIVE | Series::SEEN) | Series::WITHDRAWN;
                break (series.next, was_live);
            }
            (before, slot) = (slot, series.next);
        };
        if let Some(before) = self.series(before) {
            before.next = next;
        }
        let Some(row) = self.metric(metric) else { return };
        if before == Slot::NONE {
            row.first = next;
        }
        if next == Slot::NONE {
            row.last = before;
        }
        row.live = row.live.saturating_sub(u32::from(was_live));
    }

    /// The next series with a value that a client stored, which counts as told from now on.
    fn stored(&mut self) -> Option<Stored> {
        let sources = self.parts.sources.iter().take(self.book.sources).filter(|s| s.own);
        for Source { first, .. } in sources {
            let mut slot = *first;
            while let Some(metric) = slot.index().and_then(|i| self.parts.metrics.get(i)) {
                let mut at = if metric.is(Metric::STORABLE) { metric.first } else { Slot::NONE };
                while let Some(series) = at.index().and_then(|i| self.parts.series.get_mut(i)) {
                    if series.is(Series::STORED) {
                        series.flags &= !Series::STORED;
                        let (instance, bits) = (series.instance, series.value);
                        return Some(Stored { metric: MetricId(slot), instance, bits });
                    }
                    at = series.next;
                }
                slot = metric.next;
            }
        }
        None
    }
}
