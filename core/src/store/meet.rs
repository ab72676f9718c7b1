//! A series that was never seen is filtered, mapped, named and given an id, once.

use super::{
    identity::{ITEMS, LAST_CLUSTER, indom},
    import::{Refusal, convert},
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Pad, PcpNote, Series, Slot, Span},
    storage::{Full, Region},
    text::Field,
};
use crate::{
    exposition::{Label, LabelSet, Sample},
    mapping::{Fate, Put, Rules, instance, kind, name, unit},
    pcp::{Desc, InDom, Pmid, Semantics, Type, Units},
};

/// What metric a sample belongs to, or makes.
#[derive(Clone, Copy)]
struct Plan {
    /// Its row, if it has one.
    metric: Option<Slot>,
    /// Whether a document named it before in this run.
    met: bool,
    name_len: usize,
    name_hash: u32,
    kind: Type,
    semantics: Semantics,
    units: Units,
    singular: bool,
    verbatim: bool,
}

impl Plan {
    const fn style(&self) -> instance::Style {
        if self.verbatim { instance::Style::Verbatim } else { instance::Style::Prefixed }
    }
}

/// The labels of a sample: as sent, or what the configuration leaves of them, as a text of the store.
#[derive(Clone, Copy)]
enum Labels<'a> {
    Sent(LabelSet<'a>),
    Left { all: Span, optional: u32 },
}

impl<'a> Labels<'a> {
    /// Those that tell instances apart.
    fn identity<'b>(&self, text: &'b [u8]) -> LabelSet<'b>
    where
        'a: 'b,
    {
        match *self {
            Self::Sent(labels) => labels,
            Self::Left { all, optional } => {
                let len = all.len.saturating_sub(optional);
                LabelSet::stored(Span { len, ..all }.str_of(text))
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Sent(labels) => labels.is_empty(),
            Self::Left { all, .. } => all.len == 0,
        }
    }
}

/// Which instance a sample is of.
enum Instance {
    /// Of one that is at hand: this is another spelling.
    Known(Slot),
    /// Of one that vanished.
    Past(Slot),
    /// Of a new one.
    New,
}

impl Ledger<'_> {
    /// Makes a series for bytes never seen, and its metric where that is new too.
    pub(crate) fn meet(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        raw_hash: u32,
        rules: &dyn Rules,
    ) -> Result<Slot, Refusal> {
        if !name::is_valid(sample.name) {
            return Err(Refusal::Name);
        }
        if !rules.takes(sample.name) {
            return self.exclude(source, sample, raw_hash);
        }
        self.reserve(0, 1, 0)?;
        let labels = self.leave(sample.labels, rules)?;
        let series = Series {
            raw_hash,
            source: u16::try_from(source.bits()).unwrap_or_default(),
            labels: labels_in(sample)?,
            ..Series::EMPTY
        };
        let (series, left) = match labels {
            Labels::Sent(_) => (series, None),
            Labels::Left { all, optional } => {
                (Series { labels: all, optional, flags: Series::FILTERED, ..series }, Some(all))
            }
        };
        let made = self.make(source, sample, labels, series, rules);
        if let (Err(_), Some(span)) = (&made, left) {
            self.release(span.at, span.len);
        }
        made
    }

    /// Makes a series of which nobody wants values, so that its line is recognised next time.
    fn exclude(&mut self, source: Slot, sample: &Sample<'_>, raw_hash: u32) -> Result<Slot, Refusal> {
        self.reserve(1, 1, sample.raw.len())?;
        let bin = self.bin(source)?;
        let raw = self.copy(sample.raw, Field::SeriesRaw, self.next_series())?;
        let source = u16::try_from(source.bits()).unwrap_or_default();
        let series = Series { raw, raw_hash, source, flags: Series::EXCLUDED, ..Series::EMPTY };
        self.hang(bin, series).ok_or(Refusal::Full(Region::Series))
    }

    /// The row on which lines of a source hang that are no instances.
    fn bin(&mut self, source: Slot) -> Result<Slot, Full> {
        let full = Full(Region::Metrics);
        let row = source.index().and_then(|i| self.parts.sources.get_mut(i)).ok_or(full)?;
        if row.bin == Slot::NONE {
            let slot = Slot::of(self.book.metrics);
            *self.parts.metrics.get_mut(self.book.metrics).ok_or(full)? = Metric { source, ..Metric::EMPTY };
            self.book.metrics = self.book.metrics.saturating_add(1);
            row.bin = slot;
        }
        Ok(row.bin)
    }

    fn hang(&mut self, bin: Slot, series: Series) -> Option<Slot> {
        let slot = self.take_series(series)?;
        self.append_series(bin, slot);
        self.enter(Key::Raw, series.raw_hash, slot);
        Some(slot)
    }

    /// What the configuration leaves of a label set: a text for the next series, where that is not all.
    fn leave<'a>(&mut self, sent: LabelSet<'a>, rules: &dyn Rules) -> Result<Labels<'a>, Refusal> {
        let fate = |label: Label<'_>| rules.label(label.name.raw());
        if sent.iter().all(|label| fate(label) == Fate::Keep) {
            return Ok(Labels::Sent(sent));
        }
        let slot = self.next_series();
        let mut optional = 0usize;
        let len = self.draft(0, &mut |_, put| {
            let mut len = 0usize;
            for wanted in [Fate::Keep, Fate::Optional] {
                let before = len;
                for label in sent.iter().filter(|label| fate(*label) == wanted) {
                    write_label(label, len > 0, &mut |piece: &[u8]| {
                        len = len.saturating_add(piece.len());
                        put(piece);
                    });
                }
                optional = len.saturating_sub(before);
            }
        })?;
        let all = self.keep(len, Field::SeriesLabels, slot)?;
        Ok(Labels::Left { all, optional: u32::try_from(optional).unwrap_or_default() })
    }

    /// Makes the series, as far as it is known, and its metric.
    fn make(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        labels: Labels<'_>,
        series: Series,
        rules: &dyn Rules,
    ) -> Result<Slot, Refusal> {
        let plan = self.plan(source, sample, labels, rules)?;
        if convert(plan.kind, sample.tail.value).is_none() {
            return Err(Refusal::Value);
        }
        let (instance, identity_hash) = self.instance_of(&plan, labels)?;
        let help = self.notes(source).map_or(Pad::EMPTY, |notes| notes.help);
        let help_len = usize::try_from(help.span.len).unwrap_or(usize::MAX);
        let text = plan.name_len.saturating_add(help_len).saturating_add(sample.raw.len());
        // One metric may be a bin, too.
        self.reserve(usize::from(plan.metric.is_none()).saturating_add(1), 1, text)?;
        let metric = if plan.met { plan.metric } else { None };
        let metric = match metric {
            Some(metric) => metric,
            None => self.found(source, &plan, help)?,
        };
        let raw = self.copy(sample.raw, Field::SeriesRaw, self.next_series())?;
        let series = Series { metric, raw, identity_hash, ..series };
        let slot = match instance {
            Instance::Known(canonical) => {
                let bin = self.bin(source)?;
                let flags = series.flags | Series::ALIAS;
                self.hang(bin, Series { instance: canonical.bits(), flags, ..series })
            }
            Instance::Past(past) => {
                let id = self.forget(past);
                self.instance(series, Some(id))
            }
            Instance::New => self.instance(series, None),
        };
        slot.ok_or(Refusal::Full(Region::Series))
    }

    /// What metric a sample belongs to; its name is drafted.
    fn plan(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        labels: Labels<'_>,
        rules: &dyn Rules,
    ) -> Result<Plan, Refusal> {
        let row =
            source.index().and_then(|i| self.parts.sources.get(i)).ok_or(Refusal::Full(Region::Sources))?;
        let (notes, source_name, root) = (row.notes, row.name, self.book.root());
        let said = rules.describe(sample.name);
        let name_len = self.draft(0, &mut |text, put| {
            let (root, source) = (root.str_of(text), source_name.str_of(text));
            if said.is_some() {
                name::write_verbatim(root, source, sample.name, put);
            } else if notes.described {
                name::write_verbatim(root, source, notes.pcp_name.span.str_of(text), put);
            } else {
                name::write(root, source, sample.name, put);
            }
        })?;
        let name_hash = index::hash(self.book.seed, self.drafted(0, name_len));
        let metric = self.called(name_hash, self.drafted(0, name_len));
        let row = metric.and_then(|slot| self.metric(slot)).copied();
        if row.is_some_and(|row| row.source != source) {
            return Err(Refusal::Taken);
        }
        if let Some(row) = row.filter(|row| row.is(Metric::MET)) {
            let Desc { kind, semantics, units, indom, .. } = row.desc;
            let (singular, verbatim) = (indom == InDom::NULL, row.is(Metric::VERBATIM));
            return Ok(Plan {
                metric,
                met: true,
                name_len,
                name_hash,
                kind,
                semantics,
                units,
                singular,
                verbatim,
            });
        }
        let bare = labels.is_empty();
        let said = said.map(|line| PcpNote {
            kind: line.kind,
            singular: line.singular,
            semantics: line.semantics,
            units: line.units,
        });
        let (kind, semantics, units, singular, verbatim) = match said.or_else(|| notes.pcp()) {
            Some(PcpNote { kind, singular, semantics, units }) => {
                (kind, semantics, units, singular || bare, true)
            }
            None => {
                let (semantics, units) =
                    (kind::semantics(sample.name, notes.family), unit::units(sample.name, notes.family));
                (Type::DOUBLE, semantics, units, bare, false)
            }
        };
        Ok(Plan { metric, met: false, name_len, name_hash, kind, semantics, units, singular, verbatim })
    }

    /// The metric of that name.
    pub(crate) fn called(&self, hash: u32, name: &[u8]) -> Option<Slot> {
        index::find(self.parts.index, Key::Name, hash, |slot| {
            let row = slot.index().and_then(|i| self.parts.metrics.get(i));
            row.is_some_and(|m| m.name_hash == hash && m.name.of(self.parts.text) == name)
        })
    }

    /// The instance that a sample is of, and the hash of its name.
    fn instance_of(&mut self, plan: &Plan, labels: Labels<'_>) -> Result<(Instance, u32), Refusal> {
        if plan.singular {
            let first = plan.metric.and_then(|slot| self.metric(slot)).map(|m| m.first);
            let known = first.filter(|slot| *slot != Slot::NONE);
            return Ok((known.map_or(Instance::New, Instance::Known), plan.name_hash));
        }
        let (style, compat) = (plan.style(), self.book.compat);
        let len = self.draft(plan.name_len, &mut |text, put| {
            instance::identity(labels.identity(text), style, compat, put);
        })?;
        let name = self.drafted(plan.name_len, len);
        let hash = index::hash(self.book.seed ^ u64::from(plan.name_hash), name);
        let Some(metric) = plan.metric else { return Ok((Instance::New, hash)) };
        let text = &*self.parts.text;
        let known = index::find(self.parts.index, Key::Identity, hash, |slot| {
            let series = slot.index().and_then(|i| self.parts.series.get(i));
            series.is_some_and(|s| {
                let mut left = Some(name);
                if s.identity_hash == hash && s.metric == metric {
                    instance::identity(s.identity(text), style, compat, &mut |piece: &[u8]| {
                        left = left.and_then(|left| left.strip_prefix(piece));
                    });
                    return left.is_some_and(<[u8]>::is_empty);
                }
                false
            })
        });
        if let Some(known) = known {
            return Ok((Instance::Known(known), hash));
        }
        let past = index::find(self.parts.index, Key::Past, hash, |slot| {
            let past = slot.index().and_then(|i| self.parts.past.get(i));
            past.is_some_and(|p| p.metric == metric && p.name.of(text) == name)
        });
        Ok((past.map_or(Instance::New, Instance::Past), hash))
    }

    /// Makes the metric that was planned, or completes the one that is remembered; its name is still drafted.
    fn found(&mut self, source: Slot, plan: &Plan, help: Pad) -> Result<Slot, Refusal> {
        let full = Refusal::Full(Region::Metrics);
        let slot = plan.metric.unwrap_or_else(|| Slot::of(self.book.metrics));
        let (pmid, name) = match plan.metric.and_then(|slot| self.metric(slot)) {
            Some(row) => (row.desc.pmid, row.name),
            None => {
                let pmid = self.next_pmid(source)?;
                (pmid, self.keep(plan.name_len, Field::MetricName, slot)?)
            }
        };
        let len = self.draft(0, &mut |text, put| put(help.span.of(text)))?;
        let help = self.keep(len, Field::MetricHelp, slot)?;
        let indom = if plan.singular {
            InDom::NULL
        } else {
            indom(pmid.domain(), pmid.cluster(), pmid.item()).ok_or(Refusal::Items)?
        };
        let Plan { kind, semantics, units, name_hash, .. } = *plan;
        let desc = Desc { pmid, kind, indom, semantics, units };
        let flags = Metric::MET | if plan.verbatim { Metric::VERBATIM } else { 0 };
        if plan.metric.is_some() {
            let row = self.metric(slot).ok_or(full)?;
            row.desc = desc;
            row.help = help;
            row.flags |= flags;
            return Ok(slot);
        }
        self.push_metric(Metric { desc, source, name, help, name_hash, flags, ..Metric::EMPTY }).ok_or(full)
    }

    /// The PMID of a source's next metric. A source whose cluster is full goes on in the next that nobody has.
    fn next_pmid(&mut self, source: Slot) -> Result<Pmid, Refusal> {
        let free = self.book.cluster.checked_add(1).filter(|cluster| *cluster <= LAST_CLUSTER);
        let domain = self.book.domain;
        let row = source.index().and_then(|i| self.parts.sources.get_mut(i)).ok_or(Refusal::Items)?;
        if row.items >= ITEMS {
            let cluster = free.ok_or(Refusal::Items)?;
            (row.filling, row.items) = (cluster, 0);
            self.book.cluster = cluster;
        }
        let pmid = Pmid::new(domain, row.filling, row.items).ok_or(Refusal::Items)?;
        row.items = row.items.saturating_add(1);
        Ok(pmid)
    }

    /// Takes a slot for an instance of a metric: for one that had this id before, or for a new one.
    pub(crate) fn instance(&mut self, series: Series, id: Option<u32>) -> Option<Slot> {
        let mixed = self.differs(&series);
        let row = self.metric(series.metric)?;
        if mixed {
            row.flags |= Metric::MIXED;
        }
        let instance = id.unwrap_or(row.instances);
        row.instances = row.instances.max(instance.saturating_add(1));
        let slot = self.take_series(Series { instance, ..series })?;
        self.append_series(series.metric, slot);
        self.enter(Key::Raw, series.raw_hash, slot);
        self.enter(Key::Identity, series.identity_hash, slot);
        Some(slot)
    }

    /// Whether a series has other label names than the first of its metric.
    fn differs(&self, series: &Series) -> bool {
        let metric = series.metric.index().and_then(|i| self.parts.metrics.get(i));
        let first = metric.and_then(|m| self.parts.series.get(m.first.index()?));
        let Some(first) = first.filter(|_| !series.is(Series::NAMED)) else { return false };
        let (ours, theirs) = (series.labels(self.parts.text), first.labels(self.parts.text));
        let has = |set: LabelSet<'_>, label: Label<'_>| set.iter().any(|other| other.name == label.name);
        ours.iter().any(|label| !has(theirs, label)) || theirs.iter().any(|label| !has(ours, label))
    }
}

/// Where the labels lie in a sample's raw bytes, whose last one closes the braces.
fn labels_in(sample: &Sample<'_>) -> Result<Span, Refusal> {
    let word = |n: usize| u32::try_from(n).map_err(|_| Refusal::Full(Region::Text));
    let len = sample.labels.as_str().len();
    let at = if len == 0 { 0 } else { sample.raw.len().saturating_sub(len).saturating_sub(1) };
    Ok(Span { at: word(at)?, len: word(len)? })
}

/// Writes a label as it stands in an exposition.
fn write_label(label: Label<'_>, follows: bool, put: Put<'_>) {
    let name = label.name.raw();
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let quote: &[u8] = if plain { b"" } else { b"\"" };
    for piece in [if follows { b"," } else { &b""[..] }, quote, name.as_bytes(), quote] {
        put(piece);
    }
    put(b"=\"");
    put(label.value.raw().as_bytes());
    put(b"\"");
}
