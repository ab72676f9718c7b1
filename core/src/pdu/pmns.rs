//! PMNS_NAMES, PMNS_IDS, PMNS_CHILD and PMNS_TRAVERSE: the tree of metric names.
//!
//! NAMES asks for IDS and IDS asks for NAMES; CHILD and TRAVERSE ask for NAMES.

use super::{Error, Header, Kind, Pmids, count, end, records};
use crate::pcp::Status;
use crate::wire::{self, Reader, Writer, padded, size};

/// Status of a name that is a metric.
pub const LEAF: i32 = 0;
/// Status of a name that has children.
pub const NONLEAF: i32 = 1;

/// Names, as a question or as an answer. An answer may be an error code in the place of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Names<'a> {
    strings: u32,
    statuses: u32,
    count: i32,
    entries: &'a [u8],
}

impl<'a> Names<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Counts that contradict each other, or a body of another length than the names need.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let mut names = NamesReader::start(&mut r)?;
        let NamesReader { strings, statuses, count, .. } = names;
        let this = Self { strings, statuses, count, entries: r.rest() };
        while !names.is_done() {
            names.next(&mut r)?;
        }
        end(&r)?;
        names.check()?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(self.entries.len()).saturating_add(NamesHead::LEN);
        NamesHead { len, strings: self.strings, statuses: self.statuses, count: self.count }.emit(from, w);
        self.iter().for_each(|name| name.emit(w));
    }

    /// The error that came instead of names.
    pub const fn refusal(&self) -> Option<Status> {
        if self.count < 0 { Some(Status(self.count)) } else { None }
    }

    /// How many names there are.
    pub const fn len(&self) -> u32 {
        if self.count < 0 { 0 } else { self.count.cast_unsigned() }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names in order.
    pub fn iter(&self) -> impl Iterator<Item = Name<'a>> + Clone + 'a {
        let mut r = Reader::new(self.entries);
        let statuses = self.statuses != 0;
        core::iter::from_fn(move || name(&mut r, statuses).ok())
    }
}

/// Names that are read one by one, from bytes of which not all need to be there.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NamesReader {
    strings: u32,
    statuses: u32,
    count: i32,
    read: u32,
    /// What the names that were read need as C strings.
    needed: u32,
}

impl NamesReader {
    /// Bytes of a body before its first name.
    pub const START: usize = 12;

    /// Takes off what is before the first name.
    ///
    /// # Errors
    ///
    /// Too few bytes, or counts that contradict each other.
    pub fn start(r: &mut Reader<'_>) -> Result<Self, Error> {
        let (strings, statuses, count) = (r.word()?, r.word()?, r.int()?);
        let this = Self { strings, statuses, count, read: 0, needed: 0 };
        let contradicts = statuses != 0 && count >= 0 && statuses != this.len();
        if contradicts { Err(Error::Count) } else { Ok(this) }
    }

    /// How many names there are.
    pub const fn len(&self) -> u32 {
        if self.count < 0 { 0 } else { self.count.cast_unsigned() }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all names were read.
    pub const fn is_done(&self) -> bool {
        self.read == self.len()
    }

    /// How many bytes the next name needs with all that belongs to it, as far as these, its first ones, say.
    ///
    /// # Errors
    ///
    /// A length that none can have.
    pub fn wanted(&self, first: &[u8]) -> Result<usize, Error> {
        let mut r = Reader::new(first);
        let status = if self.statuses != 0 { 4 } else { 0_usize };
        if r.take(status).is_err() || r.rest().len() < 4 {
            return Ok(status.saturating_add(4));
        }
        let len = count(&mut r)?;
        Ok(padded(size(len)).saturating_add(4).saturating_add(status))
    }

    /// Takes off the next name.
    ///
    /// # Errors
    ///
    /// Fewer bytes than it needs, or a length that none can have.
    pub fn next<'a>(&mut self, r: &mut Reader<'a>) -> Result<Name<'a>, Error> {
        let name = name(r, self.statuses != 0)?;
        self.read = self.read.saturating_add(1);
        self.needed = self.needed.saturating_add(string_len(name.name.len()));
        Ok(name)
    }

    /// Whether the names are as long together as was told before them.
    ///
    /// # Errors
    ///
    /// They are longer.
    pub const fn check(&self) -> Result<(), Error> {
        let is_short = self.needed > self.strings || self.strings > i32::MAX.cast_unsigned();
        if is_short && !self.is_empty() { Err(Error::Count) } else { Ok(()) }
    }
}

/// The start of names; `count` of them follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NamesHead {
    /// Bytes of the whole PDU: [`LEN`](Self::LEN) and [`Name::len`] of each name.
    pub len: u32,
    /// What the names need as C strings: the sum of [`string_len`].
    pub strings: u32,
    /// As `count` where names carry a status, else 0.
    pub statuses: u32,
    /// How many names follow, or an error.
    pub count: i32,
}

impl NamesHead {
    /// Bytes before the first name.
    pub const LEN: u32 = 24;

    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: self.len, kind: Kind::PMNS_NAMES, from }.emit(w);
        w.words([self.strings, self.statuses, self.count.cast_unsigned()]);
    }
}

/// What a name of this length adds to [`NamesHead::strings`].
pub const fn string_len(name: usize) -> u32 {
    wire::count(name).saturating_add(1)
}

/// One name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Name<'a> {
    /// [`LEAF`] or [`NONLEAF`], where it was asked for.
    pub status: Option<i32>,
    /// The name, whole or only its last part.
    pub name: &'a [u8],
}

impl Name<'_> {
    /// Bytes of an entry with a name of this length.
    pub const fn len(name: usize, status: bool) -> u32 {
        wire::count(padded(name)).saturating_add(if status { 8 } else { 4 })
    }

    /// Emits the entry.
    pub fn emit(&self, w: &mut Writer<'_>) {
        Self::emit_head(self.status, self.name.len(), w);
        w.text(self.name);
    }

    /// Emits the part before the name, whose bytes and padding follow.
    pub fn emit_head(status: Option<i32>, name: usize, w: &mut Writer<'_>) {
        if let Some(status) = status {
            w.word(status.cast_unsigned());
        }
        w.word(wire::count(name));
    }
}

fn name<'a>(r: &mut Reader<'a>, status: bool) -> Result<Name<'a>, Error> {
    let status = if status { Some(r.int()?) } else { None };
    let len = count(r)?;
    Ok(Name { status, name: r.text(size(len))? })
}

/// Ids, as a question for names (of one id) or as the answer to names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ids<'a> {
    /// How many names were found, in pmcd's answer; 0 in an agent's and in questions.
    pub status: i32,
    /// The ids, [`NULL`](crate::pcp::Pmid::NULL) for a name not found.
    pub pmids: Pmids<'a>,
}

impl<'a> Ids<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body of another length than the ids need.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let status = r.int()?;
        let ids = count(&mut r)?;
        Ok(Self { status, pmids: Pmids(records(&r, ids)?) })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let count = wire::count(self.pmids.len());
        IdsHead { kind: Kind::PMNS_IDS, status: self.status, count }.emit(from, w);
        self.pmids.emit(w);
    }
}

/// The start of ids; `count` words of them follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IdsHead {
    /// [`Kind::PMNS_IDS`] or [`Kind::DESC_IDS`].
    pub kind: Kind,
    /// How many names were found, where that is told.
    pub status: i32,
    /// How many ids follow.
    pub count: u32,
}

impl IdsHead {
    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = self.count.saturating_mul(4).saturating_add(20);
        Header { len, kind: self.kind, from }.emit(w);
        w.words([self.status.cast_unsigned(), self.count]);
    }
}

/// Asks for the children of a name: the last part of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Child<'a> {
    /// 1 where each child's status is wanted, else 0.
    pub subtype: i32,
    /// The name; empty is the root.
    pub name: &'a [u8],
}

impl<'a> Child<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body shorter or longer than the name and its padding.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let (subtype, name) = below(body)?;
        Ok(Self { subtype, name })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        emit_below(Kind::PMNS_CHILD, self.subtype, self.name, from, w);
    }

    /// Whether each child's status is wanted.
    pub const fn wants_status(&self) -> bool {
        self.subtype != 0
    }
}

/// Asks for the whole names of all metrics at or below a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Traverse<'a> {
    /// The name; empty is the root.
    pub name: &'a [u8],
}

impl<'a> Traverse<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body shorter or longer than the name and its padding.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        below(body).map(|(_, name)| Self { name })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        emit_below(Kind::PMNS_TRAVERSE, 0, self.name, from, w);
    }
}

fn below(body: &[u8]) -> Result<(i32, &[u8]), Error> {
    let mut r = Reader::new(body);
    let subtype = r.int()?;
    let len = count(&mut r)?;
    let name = r.text(size(len))?;
    end(&r)?;
    Ok((subtype, name))
}

fn emit_below(kind: Kind, subtype: i32, name: &[u8], from: u32, w: &mut Writer<'_>) {
    let len = wire::count(padded(name.len())).saturating_add(20);
    Header { len, kind, from }.emit(w);
    w.words([subtype.cast_unsigned(), wire::count(name.len())]);
    w.text(name);
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "sums of small constants")]
mod tests {
    extern crate std;
    use super::super::tests::{body, emitted, hex};
    use super::*;
    use std::vec::Vec;

    fn names(status: Option<i32>) -> Vec<u8> {
        let names = [&b"color"[..], b"now", b"rate"];
        let len = names.iter().map(|n| Name::len(n.len(), status.is_some())).sum::<u32>();
        let strings = names.iter().map(|n| string_len(n.len())).sum();
        let statuses = if status.is_some() { 3 } else { 0 };
        emitted(|w| {
            NamesHead { len: len + NamesHead::LEN, strings, statuses, count: 3 }.emit(0, w);
            names.iter().for_each(|name| Name { status, name }.emit(w));
        })
    }

    #[test]
    fn names_come_back_in_order() {
        for status in [None, Some(NONLEAF)] {
            let pdu = names(status);
            let parsed = Names::parse(body(&pdu, Kind::PMNS_NAMES)).unwrap();
            assert_eq!((parsed.len(), parsed.refusal()), (3, None));
            let last = parsed.iter().last().unwrap();
            assert_eq!(last, Name { status, name: b"rate" });
            assert_eq!(emitted(|w| parsed.emit(0, w)), pdu);
            for n in 0..pdu.len() - 12 {
                assert!(Names::parse(&pdu[12..12 + n]).is_err(), "{n} bytes");
            }
        }
    }

    #[test]
    fn counts_that_contradict_each_other_are_refused() {
        let good = names(None)[12..].to_vec();
        for (at, byte) in [(3, 14), (7, 2), (11, 4), (8, 0x40)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Names::parse(&bad).is_err(), "{at}");
        }
    }

    #[test]
    fn an_answer_may_be_a_refusal() {
        let names = hex("00000000 00000000 ffffcfbb");
        assert_eq!(Names::parse(&names).unwrap().refusal(), Some(Status::NAME));
        assert_eq!(Names::parse(&names).unwrap().iter().count(), 0);
    }

    #[test]
    fn a_question_below_a_name_comes_back() {
        for name in [&b""[..], b"openmetrics", b"sample.bin"] {
            let child = Child { subtype: 1, name };
            let pdu = emitted(|w| child.emit(0, w));
            assert_eq!(Child::parse(body(&pdu, Kind::PMNS_CHILD)), Ok(child));
            let traverse = Traverse { name };
            let pdu = emitted(|w| traverse.emit(0, w));
            assert_eq!(Traverse::parse(body(&pdu, Kind::PMNS_TRAVERSE)), Ok(traverse));
            for n in 0..pdu.len() - 12 {
                assert!(Traverse::parse(&pdu[12..12 + n]).is_err(), "{n} bytes");
            }
        }
    }

    #[test]
    fn ids_come_back() {
        let bytes = hex("00000001 ffffffff");
        let ids = Ids { status: 1, pmids: Pmids::new(&bytes) };
        let pdu = emitted(|w| ids.emit(0, w));
        assert_eq!(Ids::parse(body(&pdu, Kind::PMNS_IDS)), Ok(ids));
        assert_eq!(Ids::parse(&pdu[12..pdu.len() - 1]), Err(Error::Truncated));
    }
}
