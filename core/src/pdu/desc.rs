//! DESC_REQ and DESC, DESC_IDS and DESCS: what metrics are, one at a time or many.

use super::{Error, Header, Kind, Pmids, count, end, pmns, records};
use crate::pcp::{Desc, InDom, Pmid, Semantics, Type, Units};
use crate::wire::{self, Reader, Writer};

/// Asks what one metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// The metric.
    pub pmid: Pmid,
}

impl Request {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let this = Self { pmid: Pmid::from_bits(r.word()?) };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 16, kind: Kind::DESC_REQ, from }.emit(w);
        w.word(self.pmid.to_bits());
    }
}

/// Says what one metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reply {
    /// What it is.
    pub desc: Desc,
}

impl Reply {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let this = Self { desc: desc(&mut r)? };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 32, kind: Kind::DESC, from }.emit(w);
        emit_desc(Some(&self.desc), w);
    }
}

/// Asks what many metrics are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DescIds<'a> {
    /// -1 from those who know the habit; it says nothing.
    pub status: i32,
    /// The metrics, among which may be [`Pmid::NULL`].
    pub pmids: Pmids<'a>,
}

impl<'a> DescIds<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body of another length than the metrics need.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let pmns::Ids { status, pmids } = pmns::Ids::parse(body)?;
        Ok(Self { status, pmids })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let count = wire::count(self.pmids.len());
        pmns::IdsHead { kind: Kind::DESC_IDS, status: self.status, count }.emit(from, w);
        self.pmids.emit(w);
    }
}

/// The start of a question for many descriptors; `count` words of metric ids follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IdsHead {
    /// How many metrics are asked about.
    pub count: u32,
}

impl IdsHead {
    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        pmns::IdsHead { kind: Kind::DESC_IDS, status: -1, count: self.count }.emit(from, w);
    }
}

/// The start of an answer; `count` times [`emit_desc`] follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// How many descriptors follow: as many as were asked for.
    pub count: u32,
}

impl Head {
    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = self.count.saturating_mul(20).saturating_add(16);
        Header { len, kind: Kind::DESCS, from }.emit(w);
        w.word(self.count);
    }
}

/// Many descriptors, in the order asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Descs<'a> {
    descs: &'a [[u8; DESC_LEN]],
}

impl<'a> Descs<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body of another length than the descriptors need.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let descs = count(&mut r)?;
        Ok(Self { descs: records(&r, descs)? })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Head { count: wire::count(self.descs.len()) }.emit(from, w);
        self.iter().for_each(|desc| emit_desc(desc.as_ref(), w));
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.descs.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.descs.is_empty()
    }

    /// All in order; `None` for a metric that could not be described.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<Desc>> + Clone + 'a {
        self.descs
            .iter()
            .map(|bytes| desc(&mut Reader::new(bytes)).ok().filter(|desc| desc.pmid != Pmid::NULL))
    }
}

/// Emits one descriptor of an answer, or the one that stands for none.
pub fn emit_desc(desc: Option<&Desc>, w: &mut Writer<'_>) {
    match desc {
        Some(desc) => w.words([
            desc.pmid.to_bits(),
            desc.kind.0.cast_unsigned(),
            desc.indom.to_bits(),
            desc.semantics.0,
            desc.units.to_bits(),
        ]),
        None => w.words([Pmid::NULL.to_bits(), 0, 0, 0, 0]),
    }
}

fn desc(r: &mut Reader<'_>) -> Result<Desc, Error> {
    Ok(Desc {
        pmid: Pmid::from_bits(r.word()?),
        kind: Type(r.int()?),
        indom: InDom::from_bits(r.word()?),
        semantics: Semantics(r.word()?),
        units: Units::from_bits(r.word()?),
    })
}

const DESC_LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted, hex};
    use super::*;

    const DESC: Desc = Desc {
        pmid: Pmid::from_bits(0x1234_5678),
        kind: Type::DOUBLE,
        indom: InDom::NULL,
        semantics: Semantics::COUNTER,
        units: Units::COUNT,
    };

    #[test]
    fn a_descriptor_comes_back() {
        let reply = Reply { desc: DESC };
        let pdu = emitted(|w| reply.emit(0, w));
        assert_eq!(Reply::parse(body(&pdu, Kind::DESC)), Ok(reply));
        let request = Request { pmid: DESC.pmid };
        let pdu = emitted(|w| request.emit(0, w));
        assert_eq!(Request::parse(body(&pdu, Kind::DESC_REQ)), Ok(request));
        assert_eq!(Request::parse(&[0; 5]), Err(Error::Trailing));
    }

    #[test]
    fn what_cannot_be_described_keeps_its_place() {
        let pdu = emitted(|w| {
            Head { count: 2 }.emit(0, w);
            emit_desc(None, w);
            emit_desc(Some(&DESC), w);
        });
        let descs = Descs::parse(body(&pdu, Kind::DESCS)).unwrap();
        assert!(descs.iter().eq([None, Some(DESC)]));
        assert_eq!(emitted(|w| descs.emit(0, w)), pdu);
        for n in 0..pdu.len() - 12 {
            assert_eq!(Descs::parse(&pdu[12..12 + n]), Err(Error::Truncated), "{n} bytes");
        }
    }

    #[test]
    fn a_question_for_many_has_a_status_of_its_own() {
        let ids = hex("1c2b3c4d");
        let question = DescIds { status: -1, pmids: Pmids::new(&ids) };
        let pdu = emitted(|w| question.emit(0, w));
        assert_eq!(pdu, hex("00000018 00007016 00000000 ffffffff 00000001 1c2b3c4d"));
        assert_eq!(DescIds::parse(body(&pdu, Kind::DESC_IDS)), Ok(question));
    }
}
