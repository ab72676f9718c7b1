//! Answers about names: which metrics lie at and below one, and which ids they have.

use super::answer::{Place, Scope};
use crate::{
    pcp::{Pmid, Status},
    pdu::{
        self, Kind, Pmids,
        pmns::{Child, IdsHead, LEAF, NONLEAF, Name, Names, NamesHead, NamesReader, string_len},
    },
    text,
    wire::{Reader, Writer, count},
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
                let child = part(rest);
                let leaf = child.len() == rest.len();
                let mut next = at.saturating_add(1);
                while name_at(next).and_then(|n| below(n, prefix)).map(part) == Some(child) {
                    next = next.saturating_add(1);
                }
                Some((child, leaf, next))
            }
        }
    }
}

/// A name up to its first dot.
fn part(name: &[u8]) -> &[u8] {
    text::halves(name, b'.').map_or(name, |(part, _)| part)
}

/// What follows `prefix` and a dot in `name`; all of it where there is no prefix.
fn below<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() { Some(name) } else { text::behind(text::behind(name, prefix)?, b".") }
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
fn lookup(scope: &Scope<'_>, name: &[u8]) -> Result<Pmid, Status> {
    match scope.view.named(name) {
        Some(metric) => Ok(metric.desc().pmid),
        None if has_below(scope, name) || name == scope.view.root().as_bytes() => Err(Status::NONLEAF),
        None => Err(Status::NAME),
    }
}

/// The names of a question, or the ids that were found for them as they came.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed<'a> {
    Names(Names<'a>),
    Ids(Pmids<'a>),
}

impl<'a> Listed<'a> {
    /// One name that has no id is refused; among several it has none.
    pub(super) fn check(self, scope: &Scope<'_>) -> Result<Self, Status> {
        if let Self::Names(names) = self
            && names.len() == 1
            && let Some(name) = names.iter().next()
        {
            lookup(scope, name.name)?;
        }
        Ok(self)
    }

    /// Goes over the ids in order.
    fn each(&self, scope: &Scope<'_>, f: &mut dyn FnMut(Pmid)) {
        match self {
            Self::Names(names) => {
                names.iter().for_each(|name| f(lookup(scope, name.name).unwrap_or(Pmid::NULL)));
            }
            Self::Ids(pmids) => pmids.iter().for_each(f),
        }
    }

    /// Emits the ids as one record; `count_found` is how a collector reports success, and an agent does not.
    pub(super) fn emit(&self, scope: &Scope<'_>, count_found: bool, w: &mut Writer<'_>) {
        let (mut all, mut found) = (0u32, 0u32);
        self.each(scope, &mut |pmid| {
            all = all.saturating_add(1);
            found = found.saturating_add(u32::from(pmid != Pmid::NULL));
        });
        let status = if count_found { found.cast_signed() } else { 0 };
        IdsHead { kind: Kind::PMNS_IDS, status, count: all }.emit(0, w);
        self.each(scope, &mut |pmid| w.word(pmid.to_bits()));
    }
}

/// Names that come piece by piece: each becomes its id as soon as it is whole.
///
/// The ids lie at the start of the memory, and behind them what has come of the next name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roll {
    /// None until the start of the names has come.
    names: Option<NamesReader>,
    ids: usize,
    /// Bytes that came of what is to be read next.
    held: usize,
    /// Why the only name has no id.
    missed: Option<Status>,
    /// Why there is no answer to any; the rest is skipped.
    refused: Option<Status>,
}

impl Roll {
    /// Before the first byte.
    pub(super) const NEW: Self = Self { names: None, ids: 0, held: 0, missed: None, refused: None };

    /// The ids of all names, once they have come.
    pub(super) fn found<'a>(&self, memory: &'a [u8]) -> Result<Listed<'a>, Status> {
        let why = self.refused.or(self.missed);
        let ids = memory.get(..self.start()).unwrap_or_default();
        why.map_or_else(|| Ok(Listed::Ids(Pmids::new(ids))), Err)
    }

    /// Takes in a piece of the body, of which `left` bytes were not taken in before, the piece among them.
    pub(super) fn take(&mut self, scope: &Scope<'_>, memory: &mut [u8], piece: &[u8], left: usize) {
        let (mut piece, mut left) = (piece, left);
        while self.refused.is_none() {
            let missing = match self.missing(memory, left) {
                Ok(Some(missing)) => missing,
                Ok(None) => return,
                Err(status) => return self.refused = Some(status),
            };
            if missing == 0 {
                self.refused = self.read(scope, memory).err().map(|_| Status::IPC);
                continue;
            }
            let taken = missing.min(piece.len());
            let Some((head, rest)) = piece.split_at_checked(taken).filter(|_| taken > 0) else { return };
            let place = memory.get_mut(self.start().saturating_add(self.held)..);
            Writer::new(place.unwrap_or_default()).bytes(head);
            self.held = self.held.saturating_add(taken);
            left = left.saturating_sub(taken);
            piece = rest;
        }
    }

    /// How many bytes more there must be before something can be read, `None` behind the last name.
    fn missing(&self, memory: &[u8], left: usize) -> Result<Option<usize>, Status> {
        let bad = |_| Status::IPC;
        let wanted = match &self.names {
            None => NamesReader::START,
            Some(names) if !names.is_done() => names.wanted(self.held(memory)).map_err(bad)?,
            Some(names) if left == 0 => return names.check().map(|()| None).map_err(bad),
            Some(_) => return Err(Status::IPC),
        };
        let missing = wanted.saturating_sub(self.held);
        if missing > left {
            return Err(Status::IPC);
        }
        if self.start().saturating_add(wanted) > memory.len() {
            return Err(Status::TOOBIG);
        }
        Ok(Some(missing))
    }

    /// Reads what has come whole.
    fn read(&mut self, scope: &Scope<'_>, memory: &mut [u8]) -> Result<(), pdu::Error> {
        let start = self.start();
        let mut r = Reader::new(self.held(memory));
        match &mut self.names {
            None => self.names = Some(NamesReader::start(&mut r)?),
            Some(names) => {
                let found = lookup(scope, names.next(&mut r)?.name);
                self.missed = found.err().filter(|_| names.len() == 1);
                let id = found.unwrap_or(Pmid::NULL).to_bits();
                Writer::new(memory.get_mut(start..).unwrap_or_default()).word(id);
                self.ids = self.ids.saturating_add(1);
            }
        }
        self.held = 0;
        Ok(())
    }

    fn held<'a>(&self, memory: &'a [u8]) -> &'a [u8] {
        let start = self.start();
        memory.get(start..start.saturating_add(self.held)).unwrap_or_default()
    }

    /// Where the ids end.
    const fn start(&self) -> usize {
        self.ids.saturating_mul(4)
    }
}
