//! A document enters the store line by line, and its values become visible as a whole at its commit.
//!
//! What was met before costs a comparison and a number. Only a series never seen is mapped, named and given ids.

use super::{
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Notes, Pad, PcpNote, Series, Slot, Span},
    storage::{Full, Region},
};
use crate::{
    exposition::{LabelSet, Sample, number},
    mapping::{family::Family, instance, kind, name, pcpline::PcpLine, unit},
    pcp::{Desc, InDom, Pmid, Semantics, Type, Units},
};

/// Why a sample was not taken. Later samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refusal {
    /// The memory is used up.
    Full(Region),
    /// The value is not a number, or not one of the metric's type.
    Value,
    /// The name cannot be a PCP name.
    Name,
    /// The name belongs to another source.
    Taken,
    /// The source has as many names as a PMID can count.
    Items,
}

impl From<Full> for Refusal {
    fn from(Full(region): Full) -> Self {
        Self::Full(region)
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full(region) => Full(*region).fmt(f),
            Self::Value => f.write_str("value is not a number of the metric's type"),
            Self::Name => {
                f.write_str("name cannot be a PCP name: a letter, then letters, digits, '_', '.' and ':'")
            }
            Self::Taken => f.write_str("name belongs to another source"),
            Self::Items => f.write_str("more than 1024 names in one source"),
        }
    }
}

impl core::error::Error for Refusal {}

/// The names that one cluster of PMIDs can hold.
pub(crate) const ITEMS: u16 = 1024;

/// The same, to divide by.
const ITEMS_OF_A_CLUSTER: u32 = ITEMS as u32;

/// The serials below this are those of the bridge's own instance domains.
pub(crate) const FIRST_SERIAL: u32 = 4096;

/// The instance domain of the metric `cluster.item`: one each, as PCP's own PMDA numbers them.
pub(crate) fn indom(domain: u16, cluster: u16, item: u16) -> Option<InDom> {
    let serial =
        u32::from(cluster).checked_mul(ITEMS.into())?.checked_add(item.into())?.checked_add(FIRST_SERIAL)?;
    InDom::new(domain, serial)
}

/// The metric that has this instance domain.
pub(crate) fn metric_of(indom: InDom) -> Option<Pmid> {
    let place = indom.serial().checked_sub(FIRST_SERIAL)?;
    let cluster = u16::try_from(place / ITEMS_OF_A_CLUSTER).ok()?;
    let item = u16::try_from(place % ITEMS_OF_A_CLUSTER).ok()?;
    Pmid::new(indom.domain(), cluster, item)
}

/// What a metric that a sample needs is, or would be.
struct Plan {
    metric: Option<Slot>,
    name_len: usize,
    name_hash: u32,
    kind: Type,
    semantics: Semantics,
    units: Units,
    singular: bool,
    verbatim: bool,
}

impl Ledger<'_> {
    fn notes(&mut self, source: Slot) -> Option<&mut Notes> {
        Some(&mut self.parts.sources.get_mut(source.index()?)?.notes)
    }

    /// The notes of a source, cleared if a sample has used them.
    fn fresh_notes(&mut self, source: Slot) -> Option<&mut Notes> {
        let notes = self.notes(source)?;
        if notes.used {
            notes.used = false;
            notes.family = Family::Untyped;
            notes.help.span.len = 0;
            notes.described = false;
        }
        Some(notes)
    }

    /// A comment line of no meaning: it still ends what the ones before said.
    pub(crate) fn note(&mut self, source: Slot) {
        self.fresh_notes(source);
    }

    pub(crate) fn note_family(&mut self, source: Slot, family: Family) {
        if let Some(notes) = self.fresh_notes(source) {
            notes.family = family;
        }
    }

    pub(crate) fn note_help(&mut self, source: Slot, help: &str) -> Result<(), Full> {
        let Some(notes) = self.fresh_notes(source) else { return Ok(()) };
        let pad = notes.help;
        let pad = self.rewrite(pad, help.as_bytes())?;
        if let Some(notes) = self.notes(source) {
            notes.help = pad;
        }
        Ok(())
    }

    pub(crate) fn note_pcp(&mut self, source: Slot, line: &PcpLine<'_>) -> Result<(), Full> {
        let Some(notes) = self.fresh_notes(source) else { return Ok(()) };
        let pad = notes.pcp_name;
        let pad = self.rewrite(pad, line.name.as_bytes())?;
        if let Some(notes) = self.notes(source) {
            notes.pcp_name = pad;
            notes.described = true;
            notes.pcp = PcpNote {
                kind: line.kind,
                singular: line.singular,
                semantics: line.semantics,
                units: line.units,
            };
        }
        Ok(())
    }

    /// Takes the value of a series that the document before had at this place.
    pub(crate) fn again(&mut self, source: Slot, slot: Slot, value: &str) -> Result<(), Refusal> {
        self.advance(source, slot);
        self.write(slot, value)
    }

    /// Takes a sample.
    pub(crate) fn set(
        &mut self,
        domain: u16,
        root: Span,
        source: Slot,
        sample: &Sample<'_>,
    ) -> Result<(), Refusal> {
        let hash = index::hash(self.book.seed ^ u64::from(source.bits()), sample.raw);
        let slot = match self.spelled(source, hash, sample.raw) {
            Some(slot) => slot,
            None => {
                let met = self.meet(domain, root, source, sample, hash);
                // Taken or refused, it is what the comment lines before it were about.
                if let Some(notes) = self.notes(source) {
                    notes.used = true;
                }
                met?
            }
        };
        self.again(source, slot, sample.tail.value)
    }

    fn advance(&mut self, source: Slot, slot: Slot) {
        let Some(row) = source.index().and_then(|i| self.parts.sources.get_mut(i)) else { return };
        row.notes.used = true;
        let before = core::mem::replace(&mut row.cursor, slot);
        if before == Slot::NONE {
            row.head = slot;
        } else if let Some(before) = self.series(before) {
            before.after = slot;
        }
    }

    /// The series that `source` sent before as exactly these bytes.
    fn spelled(&self, source: Slot, hash: u32, raw: &[u8]) -> Option<Slot> {
        index::find(self.parts.index, Key::Raw, hash, |slot| {
            let series = slot.index().and_then(|i| self.parts.series.get(i));
            series.is_some_and(|s| {
                s.raw_hash == hash
                    && s.flags & Series::NAMED == 0
                    && s.raw.of(self.parts.text) == raw
                    && s.metric
                        .index()
                        .and_then(|i| self.parts.metrics.get(i))
                        .is_some_and(|m| m.source == source)
            })
        })
    }

    /// Makes a series for bytes never seen, and its metric where that is new too.
    fn meet(
        &mut self,
        domain: u16,
        root: Span,
        source: Slot,
        sample: &Sample<'_>,
        raw_hash: u32,
    ) -> Result<Slot, Refusal> {
        let plan = self.plan(root, source, sample)?;
        if convert(plan.kind, sample.tail.value).is_none() {
            return Err(Refusal::Value);
        }
        let (canonical, identity_hash) = self.canonical(&plan, sample.labels)?;
        let notes = self.notes(source).map_or(Notes::EMPTY, |n| *n);
        let help = usize::try_from(notes.help.span.len).unwrap_or(usize::MAX);
        let text = plan.name_len.saturating_add(help).saturating_add(sample.raw.len());
        self.reserve(usize::from(plan.metric.is_none()), 1, text)?;
        let metric = match plan.metric {
            Some(metric) => metric,
            None => self.found(domain, source, &plan, notes.help)?,
        };
        let series = Series {
            metric,
            raw: self.copy(sample.raw)?,
            labels: u32::try_from(sample.labels.as_str().len()).map_err(|_| Refusal::Full(Region::Text))?,
            raw_hash,
            identity_hash,
            ..Series::EMPTY
        };
        let slot = match canonical {
            Some(canonical) => self.alias(series, canonical),
            None => self.instance(series),
        };
        slot.ok_or(Refusal::Full(Region::Series))
    }

    /// What metric a sample belongs to; its name is drafted.
    fn plan(&mut self, root: Span, source: Slot, sample: &Sample<'_>) -> Result<Plan, Refusal> {
        if !name::is_valid(sample.name) {
            return Err(Refusal::Name);
        }
        let row =
            source.index().and_then(|i| self.parts.sources.get(i)).ok_or(Refusal::Full(Region::Sources))?;
        let (notes, source_name) = (row.notes, row.name);
        let name_len = self.draft(0, &mut |text, put| {
            let (root, source) = (root.str_of(text), source_name.str_of(text));
            if notes.described {
                name::write_verbatim(root, source, notes.pcp_name.span.str_of(text), put);
            } else {
                name::write(root, source, sample.name, put);
            }
        })?;
        let name_hash = index::hash(self.book.seed, self.drafted(0, name_len));
        let metric = self.called(name_hash, self.drafted(0, name_len));
        if let Some(row) = metric.and_then(|slot| self.metric(slot)).copied() {
            if row.source != source {
                return Err(Refusal::Taken);
            }
            let Desc { kind, semantics, units, indom, .. } = row.desc;
            let (singular, verbatim) = (indom == InDom::NULL, row.verbatim);
            return Ok(Plan { metric, name_len, name_hash, kind, semantics, units, singular, verbatim });
        }
        let bare = sample.labels.is_empty();
        Ok(match notes.pcp() {
            Some(PcpNote { kind, singular, semantics, units }) => {
                let singular = singular || bare;
                Plan { metric, name_len, name_hash, kind, semantics, units, singular, verbatim: true }
            }
            None => Plan {
                metric,
                name_len,
                name_hash,
                kind: Type::DOUBLE,
                semantics: kind::semantics(sample.name, notes.family),
                units: unit::units(sample.name, notes.family),
                singular: bare,
                verbatim: false,
            },
        })
    }

    /// The metric of that name.
    pub(crate) fn called(&self, hash: u32, name: &[u8]) -> Option<Slot> {
        index::find(self.parts.index, Key::Name, hash, |slot| {
            let row = slot.index().and_then(|i| self.parts.metrics.get(i));
            row.is_some_and(|m| m.name_hash == hash && m.name.of(self.parts.text) == name)
        })
    }

    /// The series that a sample is another spelling of, and the hash of its instance name.
    fn canonical(&mut self, plan: &Plan, labels: LabelSet<'_>) -> Result<(Option<Slot>, u32), Refusal> {
        if plan.singular {
            let first = plan.metric.and_then(|slot| self.metric(slot)).map(|m| m.first);
            return Ok((first.filter(|slot| *slot != Slot::NONE), plan.name_hash));
        }
        let style = style(plan.verbatim);
        let len = self.draft(plan.name_len, &mut |_, put| instance::identity(labels, style, put))?;
        let name = self.drafted(plan.name_len, len);
        let hash = index::hash(self.book.seed ^ u64::from(plan.name_hash), name);
        let Some(metric) = plan.metric else { return Ok((None, hash)) };
        let same = index::find(self.parts.index, Key::Identity, hash, |slot| {
            let series = slot.index().and_then(|i| self.parts.series.get(i));
            series.is_some_and(|s| {
                let mut left = Some(name);
                instance::identity(s.labels(self.parts.text), style, &mut |piece: &[u8]| {
                    left = left.and_then(|left| left.strip_prefix(piece));
                });
                s.identity_hash == hash && s.metric == metric && left.is_some_and(<[u8]>::is_empty)
            })
        });
        Ok((same, hash))
    }

    /// Makes the metric that was planned; its name is still drafted.
    fn found(&mut self, domain: u16, source: Slot, plan: &Plan, help: Pad) -> Result<Slot, Refusal> {
        let row = source
            .index()
            .and_then(|i| self.parts.sources.get_mut(i))
            .ok_or(Refusal::Full(Region::Sources))?;
        let (cluster, item) = (row.cluster, row.items);
        if item >= ITEMS {
            return Err(Refusal::Items);
        }
        row.items = item.saturating_add(1);
        let name = self.keep(plan.name_len)?;
        let len = self.draft(0, &mut |text, put| put(help.span.of(text)))?;
        let help = self.keep(len)?;
        let indom = if plan.singular { Some(InDom::NULL) } else { indom(domain, cluster, item) };
        let desc = Desc {
            pmid: Pmid::new(domain, cluster, item).ok_or(Refusal::Items)?,
            kind: plan.kind,
            indom: indom.ok_or(Refusal::Items)?,
            semantics: plan.semantics,
            units: plan.units,
        };
        let (name_hash, verbatim) = (plan.name_hash, plan.verbatim);
        let metric = Metric { desc, source, name, help, name_hash, verbatim, ..Metric::EMPTY };
        self.push_metric(metric).ok_or(Refusal::Full(Region::Metrics))
    }

    /// Takes a slot for another spelling of `canonical`.
    fn alias(&mut self, series: Series, canonical: Slot) -> Option<Slot> {
        let slot = Slot::of(self.book.series);
        *self.parts.series.get_mut(self.book.series)? =
            Series { instance: canonical.bits(), flags: Series::ALIAS, ..series };
        self.book.series = self.book.series.saturating_add(1);
        self.enter(Key::Raw, series.raw_hash, slot);
        Some(slot)
    }

    /// Takes a slot for the next instance of a metric.
    pub(crate) fn instance(&mut self, series: Series) -> Option<Slot> {
        let row = self.metric(series.metric)?;
        let instance = row.instances;
        row.instances = instance.saturating_add(1);
        let slot = self.push_series(series.metric, Series { instance, ..series })?;
        self.enter(Key::Raw, series.raw_hash, slot);
        self.enter(Key::Identity, series.identity_hash, slot);
        Some(slot)
    }

    /// Writes a value as its metric's type has it.
    fn write(&mut self, slot: Slot, value: &str) -> Result<(), Refusal> {
        let Some(series) = self.series(slot).copied() else { return Ok(()) };
        let alias = series.flags & Series::ALIAS != 0;
        let slot = if alias { Slot::from_bits(series.instance) } else { slot };
        let kind = self.metric(series.metric).map_or(Type::DOUBLE, |m| m.desc.kind);
        let bits = match convert(kind, value).ok_or(Refusal::Value)? {
            Value::Bits(bits) => bits,
            Value::Text => {
                let pad = self.series(slot).map_or(Pad::EMPTY, |s| Pad::unpack(s.value));
                self.rewrite(pad, value.as_bytes())?.pack()
            }
        };
        if let Some(series) = self.series(slot) {
            series.value = bits;
            series.flags |= Series::SEEN;
        }
        Ok(())
    }

    /// Makes the document visible that was read since the scrape began, or forgets its values if it is not `whole`.
    pub(crate) fn commit(&mut self, source: Slot, whole: bool) {
        let Some(row) = source.index().and_then(|i| self.parts.sources.get_mut(i)) else { return };
        let mut metric = row.first;
        while let Some(row) = metric.index().and_then(|i| self.parts.metrics.get_mut(i)) {
            let mut live = 0u32;
            let mut slot = row.first;
            while let Some(series) = slot.index().and_then(|i| self.parts.series.get_mut(i)) {
                let seen = whole && series.flags & Series::SEEN != 0;
                series.flags &= !(Series::SEEN | Series::LIVE);
                if seen {
                    series.flags |= Series::LIVE;
                    live = live.saturating_add(1);
                }
                slot = series.next;
            }
            row.live = live;
            metric = row.next;
        }
    }
}

impl Series {
    /// Its label set, as exposed.
    pub(crate) fn labels<'a>(&self, text: &'a [u8]) -> LabelSet<'a> {
        if self.flags & Self::NAMED != 0 || self.labels == 0 {
            return LabelSet::stored("");
        }
        // The braces close what was sent.
        let end = self.raw.at.saturating_add(self.raw.len).saturating_sub(1);
        let span = Span { at: end.saturating_sub(self.labels), len: self.labels };
        LabelSet::stored(span.str_of(text))
    }
}

/// How the instances of a metric are named.
pub(crate) const fn style(verbatim: bool) -> instance::Style {
    if verbatim { instance::Style::Verbatim } else { instance::Style::Prefixed }
}

enum Value {
    Bits(u64),
    Text,
}

/// The 64 bits of a value as sent, or `None` where it is not one of its type.
///
/// An integer may be sent as a number with a fraction of zero or an exponent: some exporters have only floats.
fn convert(kind: Type, value: &str) -> Option<Value> {
    let bytes = value.as_bytes();
    let signed = || number::signed(bytes).or_else(|| whole(number::parse(bytes)?));
    let bits = match kind {
        Type::STRING | Type::AGGREGATE | Type::AGGREGATE_STATIC => return Some(Value::Text),
        Type::I32 => i64::from(i32::try_from(signed()?).ok()?).cast_unsigned(),
        Type::U32 => u64::from(u32::try_from(signed()?).ok()?),
        Type::I64 => signed()?.cast_unsigned(),
        Type::U64 => match number::unsigned(bytes) {
            Some(bits) => bits,
            None => u64::try_from(signed()?).ok()?,
        },
        _ => number::parse(bytes)?.to_bits(),
    };
    Some(Value::Bits(bits))
}

/// The integer that a float is, where it is one and exactly so.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the way back compared")]
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let integer = value as i64;
    (value.abs() <= LIMIT && integer as f64 == value).then_some(integer)
}
