//! A document enters the store line by line, and its values become visible as a whole at its commit.
//!
//! What was met before costs a comparison and a number. Only a series never seen is mapped, named and given ids.

use super::{
    index::{self, Key},
    ledger::Ledger,
    record::{Factor, Metric, Notes, Pad, PcpNote, Series, Slot},
    storage::{Full, Region},
    text::Field,
};
use crate::{
    exposition::{Sample, Tail, number},
    float,
    mapping::{Compat, Family, PcpLine, Rules},
    pcp::{InDom, Type},
};

/// Bytes of a help text that are kept: each metric of a family has its own.
const MOST_HELP: usize = 8 << 10;

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
    /// The source has as many names as it may have, or there are as many as PMIDs can count.
    Items,
    /// Samples of another name have this PCP name already, by a PCP line or a colon.
    Other,
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
            Self::Items => f.write_str("there is no PMID left for another name (--max-names)"),
            Self::Other => f.write_str("samples of another name have its PCP name already"),
        }
    }
}

impl core::error::Error for Refusal {}

impl Ledger<'_> {
    pub(crate) fn notes(&mut self, source: Slot) -> Option<&mut Notes> {
        Some(&mut self.source_mut(source)?.notes)
    }

    /// The notes of a source, cleared if a sample has used them.
    fn fresh_notes(&mut self, source: Slot) -> Option<&mut Notes> {
        let notes = self.notes(source)?;
        if notes.used {
            notes.clear();
        }
        Some(notes)
    }

    /// A comment line of no meaning: it still ends what the ones before said.
    pub(crate) fn note(&mut self, source: Slot) {
        self.fresh_notes(source);
    }

    pub(crate) fn note_family(&mut self, source: Slot, name: &str, family: Family) -> Result<(), Full> {
        self.about(source, name)?;
        if let Some(notes) = self.fresh_notes(source) {
            notes.family = family;
            notes.kind = family;
        }
        Ok(())
    }

    pub(crate) fn note_help(&mut self, source: Slot, name: &str, help: &str) -> Result<(), Full> {
        self.about(source, name)?;
        let Some(notes) = self.fresh_notes(source) else { return Ok(()) };
        let pad = notes.help;
        let mut end = help.len().min(MOST_HELP);
        while !help.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let help = help.get(..end).unwrap_or_default();
        let pad = self.rewrite(pad, help.as_bytes(), Field::NotesHelp, source)?;
        if let Some(notes) = self.notes(source) {
            notes.help = pad;
            notes.helped = true;
        }
        Ok(())
    }

    /// A unit is kept where it ends the name of its family, as it has to.
    pub(crate) fn note_unit(&mut self, source: Slot, name: &str, unit: &str) -> Result<(), Full> {
        self.about(source, name)?;
        let above = name.strip_suffix(unit).and_then(|name| name.strip_suffix('_'));
        if let Some(notes) = self.fresh_notes(source) {
            let len = above.map_or(0, |_| unit.len());
            notes.unit_len = u8::try_from(len).unwrap_or_default();
        }
        Ok(())
    }

    /// The document says that it ends, as those of OpenMetrics do.
    pub(crate) fn note_end(&mut self, source: Slot) {
        self.fresh_notes(source);
        if let Some(row) = self.source_mut(source) {
            row.ended = true;
        }
    }

    /// Lines are about this family from here on.
    fn about(&mut self, source: Slot, name: &str) -> Result<(), Full> {
        let Some(notes) = self.source(source).map(|row| &row.notes) else {
            return Ok(());
        };
        if notes.about.span.of(self.parts.text) == name.as_bytes() {
            return Ok(());
        }
        let pad = self.rewrite(notes.about, name.as_bytes(), Field::NotesAbout, source)?;
        if let Some(notes) = self.notes(source) {
            notes.leave();
            notes.about = pad;
        }
        Ok(())
    }

    pub(crate) fn note_pcp(&mut self, source: Slot, line: &PcpLine<'_>) -> Result<(), Full> {
        let Some(notes) = self.fresh_notes(source) else { return Ok(()) };
        let pad = notes.pcp_name;
        let pad = self.rewrite(pad, line.name.as_bytes(), Field::NotesName, source)?;
        if let Some(notes) = self.notes(source) {
            notes.pcp_name = pad;
            notes.described = true;
            notes.pcp = PcpNote::of(line);
        }
        Ok(())
    }

    /// Takes the value of a series that the document before had at this place; whether anybody wants it.
    pub(crate) fn again(&mut self, source: Slot, slot: Slot, tail: &Tail<'_>) -> Result<bool, Refusal> {
        self.advance(source, slot);
        self.write(slot, tail)
    }

    /// Takes a sample; whether anybody wants it.
    pub(crate) fn set(
        &mut self,
        source: Slot,
        sample: &Sample<'_>,
        rules: &dyn Rules,
    ) -> Result<bool, Refusal> {
        let hash = index::hash(self.book.seed ^ u64::from(source.bits()), sample.raw);
        let slot = match self.spelled(source, hash, sample.raw) {
            Some(slot) => slot,
            None if !(rules.takes(sample.name) || cfg!(feature = "full") && rules.remembers()) => {
                if let Some(notes) = self.notes(source) {
                    notes.used = true;
                }
                return Ok(false);
            }
            None => {
                let met = self.meet(source, sample, hash, rules);
                // Taken or refused, it is what the comment lines before it were about.
                if let Some(notes) = self.notes(source) {
                    notes.used = true;
                }
                met?
            }
        };
        self.again(source, slot, &sample.tail)
    }

    fn advance(&mut self, source: Slot, slot: Slot) {
        let Some(row) = self.source_mut(source) else { return };
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
                    && u32::from(s.source) == source.bits()
                    && !s.is(Series::NAMED)
                    && s.raw.of(self.parts.text) == raw
            })
        })
    }

    /// Writes a value as its metric's type has it; whether anybody wants it.
    fn write(&mut self, slot: Slot, tail: &Tail<'_>) -> Result<bool, Refusal> {
        let Some(row) = self.series(slot) else { return Ok(false) };
        let (mut canonical, mut shown, of) = (slot, slot, row.metric);
        let mut met = Series::SEEN | Series::SPOKEN;
        if row.flags & (Series::EXCLUDED | Series::ALIAS) != 0 {
            row.flags |= Series::SEEN;
            if row.is(Series::EXCLUDED) {
                return Ok(false);
            }
            canonical = Slot::from_bits(row.instance);
            if row.is_spelling() {
                shown = canonical;
            } else {
                // It is a series of its own on a page.
                met = Series::SEEN;
            }
        }
        let Some(metric) = self.metric(of) else { return Ok(false) };
        metric.latest = slot;
        let converted = convert(metric.desc.kind, metric.factor, tail.value);
        let Some(mut series) = self.series(canonical) else { return Ok(false) };
        series.flags |= Series::PRESENT;
        let bits = match converted.ok_or(Refusal::Value)? {
            Value::Bits(bits) => bits,
            Value::Text => {
                let pad = Pad::unpack(series.value);
                let pad = self.rewrite(pad, tail.value.as_bytes(), Field::SeriesValue, canonical)?;
                series = match self.series(canonical) {
                    Some(series) => series,
                    None => return Ok(false),
                };
                pad.pack()
            }
        };
        series.value = bits;
        series.flags |= met;
        if tail.timestamp.is_some()
            || tail.exemplar.is_some()
            || series.is(Series::ANNEX)
            || shown != canonical
        {
            self.say_more(shown, canonical, tail, bits)?;
        }
        Ok(true)
    }

    /// Keeps what a page needs more than the value of an instance.
    #[cold]
    fn say_more(&mut self, shown: Slot, canonical: Slot, tail: &Tail<'_>, bits: u64) -> Result<(), Full> {
        if shown != canonical {
            let Some(row) = self.series(shown) else { return Ok(()) };
            // A text belongs to the instance.
            let of = row.metric;
            if self.metric(of).is_some_and(|m| m.is_text()) {
                return Ok(());
            }
            if let Some(row) = self.series(shown) {
                row.value = bits;
                row.flags |= Series::SPOKEN;
            }
        }
        self.annex(shown, tail, bits)
    }

    /// Makes the document visible that was read since the scrape began, or forgets its values if it is not `whole`.
    ///
    /// Says whether there are series that were not met for so long that they are [to be evicted](Self::evict).
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn commit(&mut self, source: Slot, whole: bool) -> bool {
        self.book.forgot = false;
        let Some(row) = self.source(source) else { return false };
        let (mut metric, bin, gone) = (row.first, row.bin, row.is_gone());
        if whole && let Some(row) = self.source_mut(source) {
            row.open = row.ended;
        }
        let (mut fresh, mut lost, mut old) = (Slot::NONE, false, self.settle(bin, whole).1);
        while let Some(next) = self.metric(metric).map(|row| row.next) {
            let (live, has_old, present) = self.settle(metric, whole);
            old |= has_old;
            let keeps_names = self.book.compat() == Compat::V60;
            let Some(row) = self.metric(metric) else { break };
            row.live = live;
            if whole && present && !gone && !row.is(Metric::LISTED) {
                row.link = core::mem::replace(&mut fresh, metric);
            } else if whole && !present && !keeps_names && row.is(Metric::LISTED) {
                row.flags &= !Metric::LISTED;
                lost = true;
            }
            metric = next;
        }
        if lost {
            self.unlist();
        }
        self.list(fresh);
        old
    }

    /// Ends a document for the series of one metric: how many have a value now, whether some are old, and whether any
    /// was in the document.
    fn settle(&mut self, metric: Slot, whole: bool) -> (u32, bool, bool) {
        let (mut live, mut old, mut any) = (0u32, false, false);
        let Some(row) = self.metric(metric) else { return (0, false, false) };
        // One value has no name to come back by, and costs one slot.
        let stays = row.desc.indom == InDom::NULL && !row.is_bin();
        let mut slot = row.first;
        // Where room is short, half a document proves nothing.
        let counts = whole || !self.book.forgets;
        while let Some(series) = self.series(slot) {
            let (seen, present) = (series.is(Series::SEEN), series.is(Series::SEEN | Series::PRESENT));
            let shown = whole && series.is(Series::SPOKEN);
            series.flags &= !(Series::SEEN | Series::PRESENT | Series::LIVE | Series::SPOKEN | Series::SHOWN);
            any |= present;
            if present {
                if counts {
                    series.flags &= !Series::MISSES;
                }
                if whole && seen {
                    let shown = if shown { Series::SHOWN } else { 0 };
                    series.flags |= Series::LIVE | shown;
                    live = live.saturating_add(1);
                }
            } else if whole && !stays && !series.is_old() {
                series.flags = series.flags.wrapping_add(Series::MISS);
            }
            old |= series.is_old();
            slot = series.next;
        }
        (live, old, any)
    }
}

/// A value as its metric's type has it.
enum Value {
    Bits(u64),
    Text,
}

/// The 64 bits of a value as sent, or `None` where it is not one of its type.
///
/// An integer may be sent as a number with a fraction of zero or an exponent: some exporters have only floats.
fn convert(kind: Type, factor: Factor, value: &str) -> Option<Value> {
    let bytes = value.as_bytes();
    if !cfg!(feature = "full") {
        return Some(Value::Bits(number::parse(bytes)?.to_bits()));
    }
    if let Some(factor) = factor.scales() {
        return scaled(kind, float::times(number::parse(bytes)?, factor));
    }
    let signed = || number::signed(bytes).or_else(|| float::whole(number::parse(bytes)?));
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

/// The 64 bits of a value that was scaled. An integer must be whole after that.
fn scaled(kind: Type, value: f64) -> Option<Value> {
    let bits = match kind {
        Type::STRING | Type::AGGREGATE | Type::AGGREGATE_STATIC => return None,
        Type::I32 => i64::from(i32::try_from(float::whole(value)?).ok()?).cast_unsigned(),
        Type::U32 => u64::from(u32::try_from(float::whole(value)?).ok()?),
        Type::I64 => float::whole(value)?.cast_unsigned(),
        Type::U64 => u64::try_from(float::whole(value)?).ok()?,
        _ => value.to_bits(),
    };
    Some(Value::Bits(bits))
}
