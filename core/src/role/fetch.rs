//! The values of a FETCH, as records of a RESULT: value sets first, then the blocks that they point at.

use super::answer::{Place, Scope};
use crate::{
    float,
    pcp::{IN_NULL, InDom, Pmid, Status, Type},
    pdu::{
        Kind, Pmids,
        profile::Profile,
        result::{BLOCK, Block, Head, IN_SITU, Value, ValueSet, block_words},
    },
    store::{Metric, Series, Slot, Ticket},
    time::Timestamp,
    wire::{Writer, count},
};

/// A fetch that is being answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetch<'a> {
    pub(super) kind: Kind,
    pub(super) pmids: Pmids<'a>,
    pub(super) profile: Profile<'a>,
    /// Sources scraped before this are too old to have values.
    pub(super) since: Ticket,
    pub(super) time: Timestamp,
}

/// What a metric has to answer.
#[derive(Clone, Copy)]
struct Values<'a> {
    metric: &'a Metric,
    count: u32,
}

const SET: u8 = 1;
const VALUE: u8 = 2;
const NEXT_BLOCK: u8 = 3;
const ONE_BLOCK: u8 = 4;

impl<'a> Fetch<'a> {
    /// The length of the whole PDU, and where its first block will be, in words.
    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32) {
        let (mut sets, mut blocks) = (Head::words(self.kind), 0u32);
        let mut near = Slot::NONE;
        for pmid in self.pmids.iter() {
            let values = self.values(scope, pmid, near);
            near = near_of(&values);
            let Ok(values) = values else {
                sets = sets.saturating_add(ValueSet::words(0));
                continue;
            };
            sets = sets.saturating_add(ValueSet::words(values.count));
            let of_each = match values.metric.desc().kind {
                Type::I32 | Type::U32 => 0,
                Type::FLOAT => block_words(4),
                Type::I64 | Type::U64 | Type::DOUBLE => block_words(8),
                _ => {
                    let texts = self.wanted(scope, values.metric, scope.view.first(values.metric));
                    blocks = texts
                        .fold(blocks, |sum, (_, s)| sum.saturating_add(text_words(scope, values.metric, s)));
                    0
                }
            };
            blocks = blocks.saturating_add(values.count.saturating_mul(of_each));
        }
        (sets.saturating_add(blocks).saturating_mul(4), sets)
    }

    /// Emits the record at `place`, and says where the next one is.
    pub(super) fn record(
        &self,
        scope: &Scope<'a>,
        place: Place,
        len: u32,
        w: &mut Writer<'_>,
    ) -> Option<Place> {
        match place.stage {
            SET => self.value_set(scope, place, w),
            VALUE => self.value(scope, place, w),
            NEXT_BLOCK => {
                let pmid = self.pmids.at(place.index())?;
                let values = self.values(scope, pmid, place.near);
                let place = Place { near: near_of(&values), ..place };
                let values = values.ok().filter(|v| !v.metric.desc().kind.is_in_situ());
                let first =
                    values.and_then(|v| self.wanted(scope, v.metric, scope.view.first(v.metric)).next());
                Some(first.map_or_else(
                    || place.after(NEXT_BLOCK),
                    |(slot, _)| Place { stage: ONE_BLOCK, slot, ..place },
                ))
            }
            ONE_BLOCK => {
                let (metric, series) = self.here(scope, place)?;
                emit_block(scope, metric, series, w);
                let next = self.wanted(scope, metric, place.slot).nth(1);
                Some(next.map_or_else(|| place.after(NEXT_BLOCK), |(slot, _)| Place { slot, ..place }))
            }
            _ => {
                let metrics = count(self.pmids.len());
                Head { kind: self.kind, len, time: self.time, metrics }.emit(0, w);
                Some(Place { stage: SET, sum: place.sum, ..Place::default() })
            }
        }
    }

    /// The head of a metric's values.
    fn value_set(&self, scope: &Scope<'a>, place: Place, w: &mut Writer<'_>) -> Option<Place> {
        let Some(pmid) = self.pmids.at(place.index()) else {
            return Some(Place { stage: NEXT_BLOCK, at: 0, near: Slot::NONE, ..place });
        };
        let values = self.values(scope, pmid, place.near);
        let place = Place { near: near_of(&values), ..place };
        let values = match values {
            Ok(values) if values.count > 0 => values,
            none => {
                let count = none.map_or_else(|status| status.0, |_| 0);
                ValueSet { pmid, count, format: None }.emit(w);
                return Some(place.after(SET));
            }
        };
        let format = if values.metric.desc().kind.is_in_situ() { IN_SITU } else { BLOCK };
        ValueSet { pmid, count: values.count.cast_signed(), format: Some(format) }.emit(w);
        let first = self.wanted(scope, values.metric, scope.view.first(values.metric)).next();
        Some(first.map_or_else(|| place.after(SET), |(slot, _)| Place { stage: VALUE, slot, ..place }))
    }

    /// One value, or where its block is.
    fn value(&self, scope: &Scope<'a>, place: Place, w: &mut Writer<'_>) -> Option<Place> {
        let (metric, series) = self.here(scope, place)?;
        let inst = if metric.desc().indom == InDom::NULL { IN_NULL } else { series.instance().cast_signed() };
        let (word, words) = if metric.desc().kind.is_in_situ() {
            (low_word(series.value()), 0)
        } else {
            (place.sum, block_len(scope, metric, series))
        };
        Value { inst, word }.emit(w);
        let sum = place.sum.saturating_add(words);
        let next = self.wanted(scope, metric, place.slot).nth(1);
        Some(match next {
            Some((slot, _)) => Place { slot, sum, ..place },
            None => Place { sum, ..place.after(SET) },
        })
    }

    fn here(&self, scope: &Scope<'a>, place: Place) -> Option<(&'a Metric, &'a Series)> {
        let series = scope.view.series_at(place.slot)?;
        Some((scope.view.metric_of(series)?, series))
    }

    /// How many values a metric has for this fetch, or why it has none.
    ///
    /// `near` is where it probably is: most fetch a source's metrics in their order.
    fn values(&self, scope: &Scope<'a>, pmid: Pmid, near: Slot) -> Result<Values<'a>, Status> {
        let view = scope.view;
        let metric = view
            .identified_at(near, pmid)
            .ok_or_else(|| if pmid.domain() == scope.domain { Status::PMID } else { Status::NOAGENT })?;
        if !view.is_well(metric) || !view.is_fresh(view.source_of(metric), self.since) || metric.live() == 0 {
            return Err(Status::AGAIN);
        }
        let all = self.profile.selection(metric.desc().indom).is_all();
        let count =
            if all { metric.live() } else { count(self.wanted(scope, metric, view.first(metric)).count()) };
        Ok(Values { metric, count })
    }

    /// The series from `slot` on whose values are wanted.
    fn wanted(
        &self,
        scope: &Scope<'a>,
        metric: &Metric,
        slot: Slot,
    ) -> impl Iterator<Item = (Slot, &'a Series)> {
        let selection = self.profile.selection(metric.desc().indom);
        let all = selection.is_all();
        scope
            .view
            .series_from(slot)
            .filter(move |(_, s)| s.is_live() && (all || selection.includes(s.instance().cast_signed())))
    }
}

/// Where the metric behind this one is.
fn near_of(values: &Result<Values<'_>, Status>) -> Slot {
    values.as_ref().map_or(Slot::NONE, |values| values.metric.behind())
}

fn block_len(scope: &Scope<'_>, metric: &Metric, series: &Series) -> u32 {
    match metric.desc().kind {
        Type::FLOAT => block_words(4),
        Type::I64 | Type::U64 | Type::DOUBLE => block_words(8),
        _ => text_words(scope, metric, series),
    }
}

/// The words of a string's block; strings carry a NUL.
fn text_words(scope: &Scope<'_>, metric: &Metric, series: &Series) -> u32 {
    let nul = usize::from(metric.desc().kind == Type::STRING);
    block_words(scope.view.string(series).len().saturating_add(nul))
}

fn emit_block(scope: &Scope<'_>, metric: &Metric, series: &Series, w: &mut Writer<'_>) {
    let kind = metric.desc().kind;
    match kind {
        Type::FLOAT => {
            let single = float::single(f64::from_bits(series.value()));
            Block { kind, bytes: &single.to_be_bytes() }.emit(w);
        }
        Type::I64 | Type::U64 | Type::DOUBLE => Block::emit_long(kind, series.value(), w),
        _ => {
            let text = scope.view.string(series);
            let nul: &[u8] = if kind == Type::STRING { b"\0" } else { b"" };
            let len = text.len().saturating_add(nul.len());
            Block::emit_head(kind, len, w);
            w.bytes(text);
            w.bytes(nul);
            w.pad(len);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the value of a 32-bit metric")]
const fn low_word(bits: u64) -> u32 {
    bits as u32
}
