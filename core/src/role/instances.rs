//! The instances of a domain: all of them, those that vanished too, or one by its id or its name.

use super::answer::{Place, Scope};
use crate::{
    mapping::Put,
    pcp::{InDom, Status},
    pdu::instance::{Entry, Head},
    store::{Metric, Past, Series, Slot},
    wire::Writer,
};

/// Instances that are being listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instances<'a> {
    pub(super) indom: InDom,
    pub(super) metric: &'a Metric,
    /// The one that was asked for, or all.
    pub(super) only: Option<Entered<'a>>,
    /// Whether the one was asked for by its name, which then need not be told.
    pub(super) by_name: bool,
}

/// An instance: at hand, or one that vanished.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entered<'a> {
    Hand(Slot, &'a Series),
    Past(Slot, &'a Past),
}

impl Entered<'_> {
    const fn id(&self) -> u32 {
        match self {
            Self::Hand(_, series) => series.instance(),
            Self::Past(_, past) => past.id(),
        }
    }

    fn name(&self, scope: &Scope<'_>, metric: &Metric, put: Put<'_>) {
        match self {
            Self::Hand(_, series) => scope.view.instance_name(metric, series, put),
            Self::Past(_, past) => scope.view.past_name(past, put),
        }
    }

    fn name_len(&self, scope: &Scope<'_>, metric: &Metric) -> usize {
        let mut len = 0usize;
        self.name(scope, metric, &mut |piece| len = len.saturating_add(piece.len()));
        len
    }

    const fn place(&self, place: Place) -> Place {
        match *self {
            Self::Hand(slot, _) => Place { stage: HAND, slot, ..place },
            Self::Past(slot, _) => Place { stage: PAST, slot, ..place },
        }
    }
}

const HAND: u8 = 1;
const PAST: u8 = 2;

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
        let found = all.entries(scope).find(|entry| {
            if request.name.is_empty() {
                entry.id().cast_signed() == request.inst
            } else {
                matches(scope, metric, entry, request.name)
            }
        });
        Ok(Self { only: Some(found.ok_or(Status::INST)?), ..all })
    }

    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32) {
        let (mut len, mut entries) = (Head::LEN, 0u32);
        self.entries(scope).for_each(|entry| {
            let name = if self.by_name { 0 } else { entry.name_len(scope, self.metric) };
            len = len.saturating_add(Entry::len(name));
            entries = entries.saturating_add(1);
        });
        (len, entries)
    }

    pub(super) fn record(
        &self,
        scope: &Scope<'a>,
        place: Place,
        len: u32,
        w: &mut Writer<'_>,
    ) -> Option<Place> {
        let view = scope.view;
        let entry = match place.stage {
            HAND => Entered::Hand(place.slot, view.series_at(place.slot)?),
            PAST => Entered::Past(place.slot, view.past_at(place.slot)?),
            _ => {
                let (_, entries) = self.measure(scope);
                Head { len, indom: self.indom, count: entries }.emit(0, w);
                return self.entries(scope).next().map(|entry| entry.place(place));
            }
        };
        let inst = entry.id().cast_signed();
        if self.by_name {
            Entry::emit_head(inst, 0, w);
        } else {
            let name = entry.name_len(scope, self.metric);
            Entry::emit_head(if self.only.is_some() { -1 } else { inst }, name, w);
            entry.name(scope, self.metric, &mut |piece| w.bytes(piece));
            w.pad(name);
        }
        if self.only.is_some() {
            return None;
        }
        let next = match entry {
            Entered::Hand(slot, _) => self.all_from(scope, slot).nth(1),
            Entered::Past(slot, _) => past_from(scope, slot).nth(1),
        };
        next.map(|entry| entry.place(place))
    }

    fn entries(&self, scope: &Scope<'a>) -> impl Iterator<Item = Entered<'a>> + use<'a> {
        let all = self.only.is_none().then(|| self.all_from(scope, scope.view.first(self.metric)));
        self.only.into_iter().chain(all.into_iter().flatten())
    }

    /// The instances from one at hand on, those that vanished behind the others.
    fn all_from(&self, scope: &Scope<'a>, slot: Slot) -> impl Iterator<Item = Entered<'a>> + use<'a> {
        let hand = scope.view.series_from(slot).map(|(slot, series)| Entered::Hand(slot, series));
        hand.chain(past_from(scope, scope.view.first_past(self.metric)))
    }
}

fn past_from<'a>(scope: &Scope<'a>, slot: Slot) -> impl Iterator<Item = Entered<'a>> + use<'a> {
    scope.view.past_from(slot).map(|(slot, past)| Entered::Past(slot, past))
}

/// Whether an instance has this name, or this is its name up to the first blank (pcp-protocol: INSTANCE_REQ).
fn matches(scope: &Scope<'_>, metric: &Metric, entry: &Entered<'_>, name: &[u8]) -> bool {
    let mut left = Some(name);
    let mut at_blank = false;
    entry.name(scope, metric, &mut |piece: &[u8]| {
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
