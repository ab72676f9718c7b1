//! Answers about names: which metrics lie at and below one, and which ids they have.

use super::answer::{Place, Scope};
use crate::{
    pcp::{Pmid, Status},
    pdu::{
        Kind,
        pmns::{Child, IdsHead, LEAF, NONLEAF, Name, Names, NamesHead, string_len},
    },
    wire::{Writer, count},
};

/// Part of the name space that is being listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listing<'a> {
    /// The children of a name, by their last components.
    Children(Child<'a>),
    /// The metrics at and below a name.
    Below(&'a [u8]),
    /// One metric.
    One(Pmid),
}

const ENTRY: u8 = 1;

impl<'a> Listing<'a> {
    /// Whether there is such a name, leaf or not.
    pub(super) fn check(self, scope: &Scope<'a>) -> Result<Self, Status> {
        let known = match self {
            Self::One(pmid) => return scope.view.identified(pmid).map(|_| self).ok_or(Status::PMID),
            Self::Children(Child { name, .. }) | Self::Below(name) => {
                name.is_empty()
                    || name == scope.view.root().as_bytes()
                    || is_leaf(scope, name)
                    || has_below(scope, name)
            }
        };
        if known { Ok(self) } else { Err(Status::NAME) }
    }

    /// Length of the PDU, how many names, and the bytes of them all as strings.
    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32, u32) {
        let status = self.has_status();
        let (mut len, mut names, mut strings, mut from) = (NamesHead::LEN, 0u32, 0u32, self.start(scope));
        while let Some((name, _, next)) = self.entry(scope, from) {
            len = len.saturating_add(Name::len(name.len(), status));
            names = names.saturating_add(1);
            strings = strings.saturating_add(string_len(name.len()));
            from = next;
        }
        (len, names, strings)
    }

    pub(super) fn record(
        &self,
        scope: &Scope<'a>,
        place: Place,
        len: u32,
        w: &mut Writer<'_>,
    ) -> Option<Place> {
        if place.stage != ENTRY {
            let (_, names, strings) = self.measure(scope);
            let statuses = if self.has_status() { names } else { 0 };
            NamesHead { len, strings, statuses, count: names.cast_signed() }.emit(0, w);
            return Some(Place { stage: ENTRY, at: count(self.start(scope)), ..place });
        }
        let (name, leaf, next) = self.entry(scope, place.index())?;
        let status = if leaf { LEAF } else { NONLEAF };
        Name { status: self.has_status().then_some(status), name }.emit(w);
        Some(Place { at: count(next), ..place })
    }

    fn has_status(&self) -> bool {
        matches!(self, Self::Children(child) if child.wants_status())
    }

    fn start(&self, scope: &Scope<'a>) -> usize {
        match self {
            Self::Children(Child { name, .. }) | Self::Below(name) => scope.view.position(name),
            Self::One(_) => 0,
        }
    }

    /// The entry at or after place `at` of the ordered names, whether it is a leaf, and where the next may be.
    fn entry(&self, scope: &Scope<'a>, at: usize) -> Option<(&'a [u8], bool, usize)> {
        let name_at = |at: usize| scope.view.in_order(at).map(|m| scope.view.name(m));
        match self {
            Self::One(pmid) => {
                let metric = scope.view.identified(*pmid).filter(|_| at == 0)?;
                Some((scope.view.name(metric), true, 1))
            }
            Self::Below(prefix) => {
                let mut at = at;
                // Whatever lies below the root has a dot in its name.
                while !prefix.contains(&b'.') && scope.view.is_aside(scope.view.in_order(at)?) {
                    at = at.saturating_add(1);
                }
                let name = name_at(at)?;
                let within = prefix.is_empty() || name == *prefix || below(name, prefix).is_some();
                within.then_some((name, true, at.saturating_add(1)))
            }
            Self::Children(Child { name: prefix, .. }) => {
                let mut at = at;
                if !prefix.is_empty() && name_at(at)? == *prefix {
                    at = at.saturating_add(1);
                }
                let rest = below(name_at(at)?, prefix)?;
                let child = rest.split(|&b| b == b'.').next()?;
                let leaf = child.len() == rest.len();
                let mut next = at.saturating_add(1);
                while name_at(next)
                    .and_then(|n| below(n, prefix))
                    .and_then(|r| r.split(|&b| b == b'.').next())
                    == Some(child)
                {
                    next = next.saturating_add(1);
                }
                Some((child, leaf, next))
            }
        }
    }
}

/// What follows `prefix` and a dot in `name`; all of it where there is no prefix.
fn below<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() { Some(name) } else { name.strip_prefix(prefix)?.strip_prefix(b".") }
}

fn is_leaf(scope: &Scope<'_>, name: &[u8]) -> bool {
    scope.view.named(name).is_some()
}

/// Whether there are metrics below a name that is none itself.
///
/// A dot sorts before every other character of a name, so they follow at once.
fn has_below(scope: &Scope<'_>, name: &[u8]) -> bool {
    let first = scope.view.in_order(scope.view.position(name));
    first.is_some_and(|m| below(scope.view.name(m), name).is_some())
}

/// The id that a name has, or why it has none.
pub(super) fn lookup(scope: &Scope<'_>, name: &[u8]) -> Result<Pmid, Status> {
    match scope.view.named(name) {
        Some(metric) => Ok(metric.desc().pmid),
        None if has_below(scope, name) || name == scope.view.root().as_bytes() => Err(Status::NONLEAF),
        None => Err(Status::NAME),
    }
}

/// Emits the ids of names as one record; `count_found` is how a collector reports success, and an agent does not.
pub(super) fn emit_ids(scope: &Scope<'_>, names: &Names<'_>, count_found: bool, w: &mut Writer<'_>) {
    let found = names.iter().filter(|name| lookup(scope, name.name).is_ok()).count();
    let status = if count_found { count(found).cast_signed() } else { 0 };
    IdsHead { kind: Kind::PMNS_IDS, status, count: names.len() }.emit(0, w);
    for name in names.iter() {
        w.word(lookup(scope, name.name).unwrap_or(Pmid::NULL).to_bits());
    }
}
