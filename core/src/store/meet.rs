//! A series that was never seen is filtered, mapped, named and given an id, once.

use super::{
    identity::{ITEMS, LAST_CLUSTER, indom},
    import::Refusal,
    index::{self, Key},
    ledger::Ledger,
    record::{Factor, Metric, OPTIONAL, Pad, PcpNote, Series, Slot, Span, above},
    storage::{Full, Region},
    text::Field,
};
use crate::{
    exposition::{Label, LabelSet, Sample},
    mapping::{Fate, Put, Rules, instance, kind, name, unit},
    pcp::{Desc, InDom, Pmid, Type},
};

/// What metric a sample belongs to, or makes.
#[derive(Clone, Copy)]
struct Plan {
    /// The row that remembers it, if one does.
    remembered: Option<Slot>,
    /// Its name is drafted, so long.
    name_len: usize,
    name_hash: u32,
    said: PcpNote,
    flags: u32,
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
                let at = all.at().saturating_add(OPTIONAL);
                let len = all.len().saturating_sub(OPTIONAL).saturating_sub(optional);
                LabelSet::stored(Span::new(at, len).str_of(text))
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Sent(labels) => labels.is_empty(),
            Self::Left { all, .. } => all.len() <= OPTIONAL,
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
        if cfg!(feature = "full") && !rules.takes(sample.name) {
            return self.exclude(source, sample, raw_hash);
        }
        self.reserve(0, 1, 0)?;
        let labels = self.leave(sample.labels, rules)?;
        let series = Series {
            raw_hash,
            source: u16::try_from(source.bits()).unwrap_or_default(),
            labels: labels_in(sample)?,
            // No whole document had it so far.
            flags: if self.book.forgets { Series::MISS } else { 0 },
            ..Series::EMPTY
        };
        let (series, left) = match labels {
            Labels::Sent(_) => (series, None),
            Labels::Left { all, .. } => {
                (Series { labels: all, flags: series.flags | Series::FILTERED, ..series }, Some(all))
            }
        };
        let made = self.make(source, sample, labels, series, rules);
        if let (Err(_), Some(span)) = (&made, left) {
            self.release(span.at(), span.len());
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
        let bin = self.source(source).ok_or(full)?.bin;
        if bin != Slot::NONE {
            return Ok(bin);
        }
        let made = Metric { source, flags: Metric::BIN, ..Metric::EMPTY };
        let bin = self.take_metric(made).ok_or(full)?;
        self.source_mut(source).ok_or(full)?.bin = bin;
        Ok(bin)
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
        if !cfg!(feature = "full") || sent.iter().all(|label| fate(label) == Fate::Keep) {
            return Ok(Labels::Sent(sent));
        }
        let slot = self.next_series();
        let write = |wanted: Fate, follows: bool, put: Put<'_>| {
            for (n, label) in sent.iter().filter(|label| fate(*label) == wanted).enumerate() {
                write_label(label, follows || n > 0, put);
            }
        };
        let length = |wanted, follows| {
            let mut len = 0usize;
            write(wanted, follows, &mut |piece: &[u8]| len = len.saturating_add(piece.len()));
            len
        };
        let follows = length(Fate::Keep, false) > 0;
        let full = Refusal::Full(Region::Text);
        let optional = u32::try_from(length(Fate::Optional, follows)).map_err(|_| full)?;
        let len = self.draft(0, &mut |_, put| {
            put(&optional.to_le_bytes());
            write(Fate::Keep, false, put);
            write(Fate::Optional, follows, put);
        })?;
        let all = self.keep(len, Field::SeriesLabels, slot)?;
        Ok(Labels::Left { all, optional })
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
        let metric = match self.sampled(source, sample.name) {
            Some(slot) if self.metric(slot).is_some_and(|row| row.is(Metric::MET)) => {
                // The one row is that of lines that are no instances.
                self.reserve(1, 1, sample.raw.len())?;
                slot
            }
            remembered => self.make_metric(source, sample, labels.is_empty(), rules, remembered)?,
        };
        let (instance, identity_hash) = self.instance_of(metric, labels)?;
        if let Instance::Known(_) = instance {
            // It may be another series on a page, and then the instance keeps its value by itself.
            self.reserve(0, 2, 0)?;
        }
        let raw = self.copy(sample.raw, Field::SeriesRaw, self.next_series())?;
        let sole = self.metric(metric).is_some_and(|row| row.desc.indom == InDom::NULL);
        let flags = series.flags | if sole { Series::SOLE } else { 0 };
        let series = Series { metric, raw, identity_hash, flags, ..series };
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
        let slot = slot.ok_or(Refusal::Full(Region::Series))?;
        match instance {
            Instance::Known(canonical) if self.is_other(slot, canonical) => {
                self.chain(slot, Some(canonical));
                self.make_annex(canonical);
            }
            Instance::Known(_) => {}
            Instance::Past(_) | Instance::New => self.chain(slot, None),
        }
        Ok(slot)
    }

    /// Makes the metric of a sample, and room for the sample.
    fn make_metric(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        bare: bool,
        rules: &dyn Rules,
        remembered: Option<Slot>,
    ) -> Result<Slot, Refusal> {
        let plan = self.plan(source, sample, bare, rules, remembered)?;
        let help = self.notes(source).map_or(Pad::EMPTY, |notes| notes.help);
        let help_len = usize::try_from(help.span.len()).unwrap_or(usize::MAX);
        let text = [plan.name_len, help_len, sample.raw.len(), sample.raw.len()];
        // One row may be the metric's, one that of lines that are no instances.
        self.reserve(2, 1, text.into_iter().fold(0, usize::saturating_add))?;
        if let Some(other) = self.called(plan.name_hash, self.drafted(0, plan.name_len)) {
            if self.metric(other).is_some_and(|row| row.source != source) {
                return Err(Refusal::Taken);
            }
            // PCP's own PMDA cannot use such a name, and counts it all the same (import: ids).
            if cfg!(feature = "full") && remembered.is_none() {
                let pmid = self.next_pmid(source)?;
                self.push_remembered(source, pmid, sample.name, 0)?;
            }
            return Err(Refusal::Other);
        }
        self.found(source, &plan, sample.name, help)
    }

    /// What metric a sample makes; its name is drafted.
    fn plan(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        bare: bool,
        rules: &dyn Rules,
        remembered: Option<Slot>,
    ) -> Result<Plan, Refusal> {
        let row = self.source(source).ok_or(Refusal::Full(Region::Sources))?;
        let (notes, source_name, root) = (row.notes, row.name, self.book.root());
        let said = if cfg!(feature = "full") { rules.describe(sample.name) } else { None };
        let name_len = self.draft(0, &mut |text, put| {
            let (root, source) = (root.str_of(text), source_name.str_of(text));
            if said.is_some() {
                name::write_verbatim(root, source, sample.name, put);
            } else if notes.pcp().is_some() {
                name::write_verbatim(root, source, notes.pcp_name.span.str_of(text), put);
            } else {
                name::write(root, source, sample.name, put);
            }
        })?;
        let name_hash = index::hash(self.book.seed, self.drafted(0, name_len));
        let line = notes.pcp().filter(|_| said.is_none());
        let (said, flags) = match said.as_ref().map(PcpNote::of).or(line) {
            Some(said) => {
                let lined = if line.is_some() { Metric::LINED } else { 0 };
                (PcpNote { singular: said.singular || bare, ..said }, Metric::VERBATIM | lined)
            }
            None => {
                let (semantics, units) =
                    (kind::semantics(sample.name, notes.family), unit::units(sample.name, notes.family));
                let kind = Type::DOUBLE;
                (PcpNote { kind, singular: bare, semantics, units, factor: Factor::ONE }, 0)
            }
        };
        Ok(Plan { remembered, name_len, name_hash, said, flags })
    }

    /// The metric of that name.
    pub(crate) fn called(&self, hash: u32, name: &[u8]) -> Option<Slot> {
        index::find(self.parts.index, Key::Name, hash, |slot| {
            let row = slot.index().and_then(|i| self.parts.metrics.get(i));
            row.is_some_and(|m| {
                m.is(Metric::MET) && m.name_hash == hash && m.name.of(self.parts.text) == name
            })
        })
    }

    /// The metric whose samples have this name: one that was met, or one that is remembered.
    pub(crate) fn sampled(&self, source: Slot, sent: &str) -> Option<Slot> {
        index::find(self.parts.index, Key::Sent, self.sent_hash(source, sent), |slot| {
            let row = slot.index().and_then(|i| self.parts.metrics.get(i));
            row.is_some_and(|m| m.source == source && self.sent(m) == sent)
        })
    }

    /// The instance of a metric that a sample is of, and the hash of its name.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn instance_of(&mut self, metric: Slot, labels: Labels<'_>) -> Result<(Instance, u32), Refusal> {
        let Some(row) = self.metric(metric).copied() else { return Ok((Instance::New, 0)) };
        if row.desc.indom == InDom::NULL {
            let is_new = row.first == Slot::NONE;
            return Ok((if is_new { Instance::New } else { Instance::Known(row.first) }, 0));
        }
        let (style, compat) = (row.style(), self.book.compat());
        let len = self.draft(0, &mut |text, put| {
            instance::identity(labels.identity(text), style, compat, put);
        })?;
        let name = self.drafted(0, len);
        let hash = self.instance_hash(metric, name);
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
        if self.parts.remembered().is_empty() {
            return Ok((Instance::New, hash));
        }
        let past = index::find(self.parts.index, Key::Past, hash, |slot| {
            let past = slot.index().and_then(|i| self.parts.past.get(i));
            past.is_some_and(|p| p.metric == metric && p.name.of(text) == name)
        });
        Ok((past.map_or(Instance::New, Instance::Past), hash))
    }

    /// Makes the metric that was planned, or completes the one that is remembered; its name is still drafted.
    fn found(&mut self, source: Slot, plan: &Plan, sent: &str, help: Pad) -> Result<Slot, Refusal> {
        let full = Refusal::Full(Region::Metrics);
        let Plan { name_len, name_hash, flags, said, .. } = *plan;
        let remembered = plan.remembered.filter(|_| cfg!(feature = "full"));
        let pmid = match remembered.and_then(|slot| self.metric(slot)) {
            Some(row) => row.desc.pmid,
            None => self.next_pmid(source)?,
        };
        let slot = remembered.unwrap_or_else(|| self.next_metric());
        let name = self.keep(name_len, Field::MetricName, slot)?;
        let is_last = name.str_of(self.parts.text).get(self.above(source)..) == Some(sent);
        if remembered.is_none() {
            let sent =
                if is_last { Span::EMPTY } else { self.copy(sent.as_bytes(), Field::MetricSent, slot)? };
            let desc = Desc { pmid, ..Metric::EMPTY.desc };
            self.push_metric(Metric { desc, source, name, sent, ..Metric::EMPTY }).ok_or(full)?;
        }
        let len = self.draft(0, &mut |text, put| put(help.span.of(text)))?;
        let help = self.keep(len, Field::MetricHelp, slot)?;
        let PcpNote { kind, singular, semantics, units, factor } = said;
        let own = indom(pmid.domain(), pmid.cluster(), pmid.item()).ok_or(Refusal::Items)?;
        let row = self.metric(slot).ok_or(full)?;
        row.desc = Desc { pmid, kind, indom: if singular { InDom::NULL } else { own }, semantics, units };
        (row.name, row.help, row.name_hash, row.factor) = (name, help, name_hash, factor);
        row.flags |= Metric::MET | flags;
        let sent = if is_last { core::mem::replace(&mut row.sent, Span::EMPTY) } else { Span::EMPTY };
        self.release(sent.at(), sent.len());
        self.enter(Key::Name, name_hash, slot);
        self.relate(source, slot);
        Ok(slot)
    }

    /// Makes the row of a metric of which no sample was met: the name of its samples has a number.
    pub(crate) fn push_remembered(
        &mut self,
        source: Slot,
        pmid: Pmid,
        sent: &str,
        flags: u32,
    ) -> Result<Slot, Full> {
        let sent = self.copy(sent.as_bytes(), Field::MetricSent, self.next_metric())?;
        let desc = Desc { pmid, ..Metric::EMPTY.desc };
        self.push_metric(Metric { desc, source, sent, flags, ..Metric::EMPTY }).ok_or(Full(Region::Metrics))
    }

    /// The hash by which a metric is found from the name of its samples.
    pub(crate) fn sent_hash(&self, source: Slot, sent: &str) -> u32 {
        index::hash(self.book.seed ^ u64::from(source.bits()), sent.as_bytes())
    }

    /// The name that the samples of a metric have.
    pub(crate) fn sent(&self, metric: &Metric) -> &str {
        core::str::from_utf8(self.sent_bytes(metric)).unwrap_or_default()
    }

    /// The bytes of that name.
    pub(crate) fn sent_bytes(&self, metric: &Metric) -> &[u8] {
        metric.sent_in(self.parts.text, self.above(metric.source))
    }

    /// How long root and source are in a name.
    fn above(&self, source: Slot) -> usize {
        above(self.source(source), self.book.root())
    }

    /// The PMID of a source's next metric. A source whose cluster is full goes on in the next that nobody has.
    fn next_pmid(&mut self, source: Slot) -> Result<Pmid, Refusal> {
        let free = self.book.cluster.checked_add(1).filter(|cluster| *cluster <= LAST_CLUSTER);
        let (domain, most) = (self.book.domain, self.book.most_further);
        let row = source.index().and_then(|i| self.parts.sources.get_mut(i)).ok_or(Refusal::Items)?;
        if row.items >= ITEMS {
            // No source takes the numbers that others will need.
            let cluster = free.filter(|_| row.further < most).ok_or(Refusal::Items)?;
            row.further = row.further.saturating_add(1);
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
        if instance > MOST_INSTANCE {
            return None;
        }
        let (source, is_new) = (row.source, instance >= row.instances);
        row.instances = row.instances.max(instance.saturating_add(1));
        if is_new && let Some(row) = self.source_mut(source) {
            row.unsaved = true;
        }
        let slot = self.take_series(Series { instance, ..series })?;
        self.append_series(series.metric, slot);
        self.enter(Key::Raw, series.raw_hash, slot);
        if series.has_name() {
            self.enter(Key::Identity, series.identity_hash, slot);
        }
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

/// The highest instance id.
const MOST_INSTANCE: u32 = i32::MAX.cast_unsigned();

/// Where the labels lie in a sample's raw bytes, whose last one closes the braces.
fn labels_in(sample: &Sample<'_>) -> Result<Span, Refusal> {
    let word = |n: usize| u32::try_from(n).map_err(|_| Refusal::Full(Region::Text));
    let len = sample.labels.as_str().len();
    let at = if len == 0 { 0 } else { sample.raw.len().saturating_sub(len).saturating_sub(1) };
    Ok(Span::new(word(at)?, word(len)?))
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
