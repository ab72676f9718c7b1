//! LABEL_REQ and LABEL: label sets as JSON, with an index of where each name and value lies.

use super::{Error, Header, Kind, count, end};
use crate::pcp::Status;
use crate::wire::{self, Reader, Writer, size};

/// Asks for the labels of one level of [`pcp::label`](crate::pcp::label).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// What the level says: all ones, a plain domain number, an instance domain or a metric.
    pub ident: u32,
    /// The level.
    pub kind: u32,
}

impl Request {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let this = Self { ident: r.word()?, kind: r.word()? };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 20, kind: Kind::LABEL_REQ, from }.emit(w);
        w.words([self.ident, self.kind]);
    }
}

/// The start of an answer; `sets` times a [`Set`] with its [`Index`] entries follows, then the JSON of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// Bytes of the whole answer: [`LEN`](Self::LEN), [`Set::len`] of each set, and the JSON, which is not padded.
    pub len: u32,
    /// The ident asked about.
    pub ident: u32,
    /// The level asked about.
    pub kind: u32,
    /// How many sets follow.
    pub sets: u32,
}

impl Head {
    /// Bytes before the first set.
    pub const LEN: u32 = 28;

    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: self.len, kind: Kind::LABEL, from }.emit(w);
        w.words([self.ident, self.kind, 0, self.sets]);
    }
}

/// The start of one set; `labels` index entries follow, sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Set {
    /// The instance, or [`IN_NULL`](crate::pcp::IN_NULL) on the other levels.
    pub inst: i32,
    /// How many labels there are, or an error.
    pub labels: i32,
    /// Where the set's JSON starts, in bytes from the start of the PDU.
    pub json_offset: u32,
    /// Bytes of the set's JSON.
    pub json_len: u32,
}

impl Set {
    /// Bytes of a set with this many labels, its JSON aside.
    pub const fn len(labels: u32) -> u32 {
        labels.saturating_mul(8).saturating_add(16)
    }

    /// Emits the start of the set.
    pub fn emit(&self, w: &mut Writer<'_>) {
        w.words([self.inst.cast_unsigned(), self.labels.cast_unsigned(), self.json_offset, self.json_len]);
    }

    fn parse(r: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { inst: r.int()?, labels: r.int()?, json_offset: count(r)?, json_len: count(r)? })
    }
}

/// Where one label lies, in bytes from the start of its set's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Index {
    /// Start of the name, behind its quote.
    pub name_at: u16,
    /// Bytes of the name.
    pub name_len: u8,
    /// The level it comes from, and whether it is compound or optional.
    pub flags: u8,
    /// Start of the value, at its quote if it has one.
    pub value_at: u16,
    /// Bytes of the value, quotes included.
    pub value_len: u16,
}

impl Index {
    /// Emits the entry.
    pub fn emit(&self, w: &mut Writer<'_>) {
        w.half(self.name_at);
        w.bytes(&[self.name_len, self.flags]);
        w.half(self.value_at);
        w.half(self.value_len);
    }

    fn parse(r: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            name_at: r.half()?,
            name_len: r.byte()?,
            flags: r.byte()?,
            value_at: r.half()?,
            value_len: r.half()?,
        })
    }

    /// The label in this JSON, or `None` where it lies outside.
    fn label<'a>(&self, json: &'a [u8]) -> Option<Label<'a>> {
        let name =
            Reader::new(json.get(usize::from(self.name_at)..)?).take(usize::from(self.name_len)).ok()?;
        let value =
            Reader::new(json.get(usize::from(self.value_at)..)?).take(usize::from(self.value_len)).ok()?;
        Some(Label { name, flags: self.flags, value })
    }
}

/// Label sets of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Labels<'a> {
    /// The ident asked about.
    pub ident: u32,
    /// The level asked about.
    pub kind: u32,
    /// How many sets there are.
    pub count: u32,
    sets: &'a [u8],
    json: &'a [u8],
    body: &'a [u8],
}

impl<'a> Labels<'a> {
    /// Parses the body behind a header. Up to three bytes of padding are taken as some senders' habit.
    ///
    /// # Errors
    ///
    /// Sets, JSON, names or values that lie outside the body or their set, or bytes that belong to none.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let (ident, kind) = (r.word()?, r.word()?);
        r.word()?;
        let sets = count(&mut r)?;
        let start = r.rest();
        for _ in 0..sets {
            set(&mut r, body)?;
        }
        let json = r.rest();
        let (index, _) = start.split_at_checked(start.len().saturating_sub(json.len())).unwrap_or_default();
        let this = Self { ident, kind, count: sets, sets: index, json, body };
        let mut told = 0_usize;
        for set in this.iter() {
            if set.json_at < body.len().saturating_sub(json.len()) && !set.json.is_empty() {
                return Err(Error::Offset);
            }
            told = told.saturating_add(set.json.len());
            for index in set.indices() {
                index.label(set.json).ok_or(Error::Offset)?;
            }
        }
        match json.len().checked_sub(told) {
            Some(0..=3) => Ok(this),
            Some(_) => Err(Error::Trailing),
            None => Err(Error::Truncated),
        }
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(self.body.len()).saturating_add(wire::count(Header::LEN));
        Head { len, ident: self.ident, kind: self.kind, sets: self.count }.emit(from, w);
        for set in self.iter() {
            set.head.emit(w);
            set.indices().for_each(|index| index.emit(w));
        }
        w.bytes(self.json);
    }

    /// All sets in order.
    pub fn iter(&self) -> impl Iterator<Item = LabelSet<'a>> + Clone + 'a {
        let (mut r, body) = (Reader::new(self.sets), self.body);
        core::iter::from_fn(move || set(&mut r, body).ok())
    }
}

fn set<'a>(r: &mut Reader<'a>, body: &'a [u8]) -> Result<LabelSet<'a>, Error> {
    let head = Set::parse(r)?;
    let labels = usize::try_from(head.labels).unwrap_or_default();
    let index = r.take(labels.saturating_mul(INDEX_LEN))?;
    let json_at = size(head.json_offset).checked_sub(Header::LEN).ok_or(Error::Offset)?;
    let json = Reader::new(body.get(json_at..).ok_or(Error::Offset)?).take(size(head.json_len))?;
    Ok(LabelSet { head, index, json_at, json })
}

/// One set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LabelSet<'a> {
    head: Set,
    index: &'a [u8],
    json_at: usize,
    json: &'a [u8],
}

impl<'a> LabelSet<'a> {
    /// The instance, or [`IN_NULL`](crate::pcp::IN_NULL) on the other levels.
    pub const fn inst(&self) -> i32 {
        self.head.inst
    }

    /// The error that came instead of labels.
    pub const fn refusal(&self) -> Option<Status> {
        if self.head.labels < 0 { Some(Status(self.head.labels)) } else { None }
    }

    /// The JSON of the set.
    pub const fn json(&self) -> &'a [u8] {
        self.json
    }

    /// All labels, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Label<'a>> + Clone + 'a {
        let json = self.json;
        self.indices().filter_map(move |index| index.label(json))
    }

    fn indices(&self) -> impl Iterator<Item = Index> + Clone + 'a {
        let mut r = Reader::new(self.index);
        core::iter::from_fn(move || Index::parse(&mut r).ok())
    }
}

/// One label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Label<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The level it comes from, and whether it is compound or optional.
    pub flags: u8,
    /// The value as JSON: a string has its quotes.
    pub value: &'a [u8],
}

const INDEX_LEN: usize = 8;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "sums of small constants")]
mod tests {
    extern crate std;
    use super::super::tests::{body, emitted};
    use super::*;
    use std::vec::Vec;

    const JSON: &[u8] = br#"{"a":1,"le":"+Inf"}"#;

    fn pdu() -> Vec<u8> {
        let at = Head::LEN + Set::len(2) + Set::len(0);
        let len = at + u32::try_from(JSON.len()).unwrap();
        emitted(|w| {
            Head { len, ident: 5, kind: 32, sets: 2 }.emit(0, w);
            Set { inst: 3, labels: 2, json_offset: at, json_len: 19 }.emit(w);
            Index { name_at: 2, name_len: 1, flags: 32, value_at: 5, value_len: 1 }.emit(w);
            Index { name_at: 8, name_len: 2, flags: 32, value_at: 12, value_len: 6 }.emit(w);
            Set { inst: 4, labels: 0, json_offset: len, json_len: 0 }.emit(w);
            w.bytes(JSON);
        })
    }

    #[test]
    fn labels_come_back() {
        let pdu = pdu();
        let labels = Labels::parse(body(&pdu, Kind::LABEL)).unwrap();
        assert!(labels.iter().map(|set| set.inst()).eq([3, 4]));
        let set = labels.iter().next().unwrap();
        assert_eq!(set.json(), JSON);
        assert!(set.iter().map(|l| (l.name, l.value)).eq([(&b"a"[..], &b"1"[..]), (b"le", b"\"+Inf\"")]));
        assert_eq!(emitted(|w| labels.emit(0, w)), pdu);
    }

    #[test]
    fn every_short_body_is_refused() {
        let pdu = pdu();
        for n in 0..pdu.len() - 12 {
            assert!(Labels::parse(&pdu[12..12 + n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn labels_outside_their_json_are_refused() {
        let good = pdu()[12..].to_vec();
        // The JSON's offset and length, a name's start and length, a value's start and length.
        for at in [26, 27, 30, 31, 32, 34, 36, 39] {
            let mut bad = good.clone();
            bad[at] = 0x7f;
            assert!(Labels::parse(&bad).is_err(), "{at}");
        }
    }
}
