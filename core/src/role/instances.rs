//! The instances of a domain: all of them, those that vanished too, or one by its id or its name.

use super::answer::{Place, Scope};
use crate::{
    pcp::{InDom, Status},
    pdu::instance::{Entry, Head},
    store::{Metric, Series, Slot},
    wire::Writer,
};

/// Instances that are being listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instances<'a> {
    pub(super) indom: InDom,
    pub(super) metric: &'a Metric,
    /// The one that was asked for, or all.
    pub(super) only: Option<Slot>,
    /// Whether the one was asked for by its name, which then need not be told.
    pub(super) by_name: bool,
}

const ENTRY: u8 = 1;

impl<'a> Instances<'a> {
    /// What a request asks for, or why it cannot be had.
    pub(super) fn find(
        scope: &Scope<'a>,
        request: &crate::pdu::instance::Request<'_>,
    ) -> Result<Self, Status> {
        let metric = scope.view.of_indom(request.indom).ok_or(Status::INDOM)?;
        let all = Self { indom: request.indom, metric, only: None, by_name: !request.name.is_empty() };
        if request.inst < 0 && request.name.is_empty() {
            return Ok(all);
        }
        let mut series = scope.view.series_from(scope.view.first(metric));
        let found = series.find(|(_, s)| {
            if request.name.is_empty() {
                s.instance().cast_signed() == request.inst
            } else {
                matches(scope, metric, s, request.name)
            }
        });
        let (slot, _) = found.ok_or(Status::INST)?;
        Ok(Self { only: Some(slot), ..all })
    }

    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32) {
        let (mut len, mut entries) = (Head::LEN, 0u32);
        for (_, series) in self.series(scope) {
            let name = if self.by_name { 0 } else { self.name_len(scope, series) };
            len = len.saturating_add(Entry::len(name));
            entries = entries.saturating_add(1);
        }
        (len, entries)
    }

    pub(super) fn record(
        &self,
        scope: &Scope<'a>,
        place: Place,
        len: u32,
        w: &mut Writer<'_>,
    ) -> Option<Place> {
        if place.stage != ENTRY {
            let (_, entries) = self.measure(scope);
            Head { len, indom: self.indom, count: entries }.emit(0, w);
            let (slot, _) = self.series(scope).next()?;
            return Some(Place { stage: ENTRY, slot, ..place });
        }
        let series = scope.view.series_at(place.slot)?;
        let inst = series.instance().cast_signed();
        if self.by_name {
            Entry::emit_head(inst, 0, w);
        } else {
            let name = self.name_len(scope, series);
            Entry::emit_head(if self.only.is_some() { -1 } else { inst }, name, w);
            scope.view.instance_name(self.metric, series, &mut |piece| w.bytes(piece));
            w.pad(name);
        }
        let next = self.series(scope).next().and_then(|_| match self.only {
            Some(_) => None,
            None => scope.view.series_from(place.slot).nth(1),
        });
        next.map(|(slot, _)| Place { slot, ..place })
    }

    fn series(&self, scope: &Scope<'a>) -> impl Iterator<Item = (Slot, &'a Series)> + use<'a> {
        let first = self.only.unwrap_or_else(|| scope.view.first(self.metric));
        scope.view.series_from(first).take(if self.only.is_some() { 1 } else { usize::MAX })
    }

    fn name_len(&self, scope: &Scope<'a>, series: &Series) -> usize {
        let mut len = 0usize;
        scope.view.instance_name(self.metric, series, &mut |piece| len = len.saturating_add(piece.len()));
        len
    }
}

/// Whether an instance has this name, or this is its name up to the first blank (pcp-protocol: INSTANCE_REQ).
fn matches(scope: &Scope<'_>, metric: &Metric, series: &Series, name: &[u8]) -> bool {
    let mut left = Some(name);
    let mut at_blank = false;
    scope.view.instance_name(metric, series, &mut |piece: &[u8]| {
        for byte in piece {
            if left.is_some_and(<[u8]>::is_empty) && *byte == b' ' {
                at_blank = true;
            }
            left =
                left.and_then(|l| l.split_first()).filter(|(first, _)| *first == byte).map(|(_, rest)| rest);
        }
    });
    left.is_some_and(<[u8]>::is_empty) || (at_blank && !name.contains(&b' '))
}
