//! PDUs, one module for each pair: what a kind carries, parsed from and emitted to bytes.
//!
//! A PDU is a run of big-endian 32-bit words behind a three-word [`Header`]; [`split`] takes the
//! first one off a stream. `parse` borrows from the body it was given and never panics on any;
//! what it accepted is emitted again byte for byte, padding and retired words aside, which may be
//! anything. Lists stay bytes and are iterated. Long answers are emitted record by record behind a
//! `Head` that promises their length.

pub mod attr;
pub mod creds;
pub mod desc;
pub mod error;
pub mod fetch;
pub mod instance;
pub mod label;
pub mod pmns;
pub mod profile;
pub mod result;
pub mod text;

use core::fmt;

use crate::pcp::Pmid;
use crate::wire::{Reader, Truncated, Writer, size};

/// A PDU that could not be read. The one after it can, unless this is [`Header`](Self::Header).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The header is no header; where the next PDU starts is unknown.
    Header,
    /// The body ends before what it announced.
    Truncated,
    /// The body goes on after what it announced.
    Trailing,
    /// A count is negative, or other counts contradict it.
    Count,
    /// A word has none of the values it may have.
    Value,
    /// An offset points where nothing of its sort is.
    Offset,
    /// It does not fit the place kept for it.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "stream is out of step: not a PDU header",
            Self::Truncated => "PDU is shorter than its content",
            Self::Trailing => "PDU is longer than its content",
            Self::Count => "count in PDU is impossible",
            Self::Value => "value in PDU is not allowed",
            Self::Offset => "offset in PDU points nowhere",
            Self::TooLong => "PDU is longer than the space for it",
        })
    }
}

impl core::error::Error for Error {}

impl From<Truncated> for Error {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

/// What a PDU is. Kinds not named here are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kind(pub u32);

impl Kind {
    /// A status, as an answer or before one.
    pub const ERROR: Self = Self(0x7000);
    /// Values, stamped to the microsecond; from a client, values to store.
    pub const RESULT: Self = Self(0x7001);
    /// Which instances later fetches want.
    pub const PROFILE: Self = Self(0x7002);
    /// Asks for [`RESULT`](Self::RESULT).
    pub const FETCH: Self = Self(0x7003);
    /// Asks for [`DESC`](Self::DESC).
    pub const DESC_REQ: Self = Self(0x7004);
    /// One descriptor.
    pub const DESC: Self = Self(0x7005);
    /// Asks for [`INSTANCE`](Self::INSTANCE).
    pub const INSTANCE_REQ: Self = Self(0x7006);
    /// Instances of a domain.
    pub const INSTANCE: Self = Self(0x7007);
    /// Asks for [`TEXT`](Self::TEXT).
    pub const TEXT_REQ: Self = Self(0x7008);
    /// Help.
    pub const TEXT: Self = Self(0x7009);
    /// Was once for controlling agents; nobody sends it.
    pub const CONTROL_REQ: Self = Self(0x700a);
    /// The first word of a client or an agent, and pmcd's to the latter.
    pub const CREDS: Self = Self(0x700c);
    /// Metric ids: asks for their names, or answers names.
    pub const PMNS_IDS: Self = Self(0x700d);
    /// Metric names: asks for their ids, or answers a question for names.
    pub const PMNS_NAMES: Self = Self(0x700e);
    /// Asks for the children of a name.
    pub const PMNS_CHILD: Self = Self(0x700f);
    /// Asks for all metrics below a name.
    pub const PMNS_TRAVERSE: Self = Self(0x7010);
    /// An attribute of a client.
    pub const ATTR: Self = Self(0x7011);
    /// Asks for [`LABEL`](Self::LABEL).
    pub const LABEL_REQ: Self = Self(0x7012);
    /// Label sets of one level.
    pub const LABEL: Self = Self(0x7013);
    /// Asks for [`HIGHRES_RESULT`](Self::HIGHRES_RESULT).
    pub const HIGHRES_FETCH: Self = Self(0x7014);
    /// Values, stamped to the nanosecond.
    pub const HIGHRES_RESULT: Self = Self(0x7015);
    /// Asks for [`DESCS`](Self::DESCS).
    pub const DESC_IDS: Self = Self(0x7016);
    /// Many descriptors.
    pub const DESCS: Self = Self(0x7017);
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::ERROR => "ERROR",
            Self::RESULT => "RESULT",
            Self::PROFILE => "PROFILE",
            Self::FETCH => "FETCH",
            Self::DESC_REQ => "DESC_REQ",
            Self::DESC => "DESC",
            Self::INSTANCE_REQ => "INSTANCE_REQ",
            Self::INSTANCE => "INSTANCE",
            Self::TEXT_REQ => "TEXT_REQ",
            Self::TEXT => "TEXT",
            Self::CONTROL_REQ => "CONTROL_REQ",
            Self::CREDS => "CREDS",
            Self::PMNS_IDS => "PMNS_IDS",
            Self::PMNS_NAMES => "PMNS_NAMES",
            Self::PMNS_CHILD => "PMNS_CHILD",
            Self::PMNS_TRAVERSE => "PMNS_TRAVERSE",
            Self::ATTR => "ATTR",
            Self::LABEL_REQ => "LABEL_REQ",
            Self::LABEL => "LABEL",
            Self::HIGHRES_FETCH => "HIGHRES_FETCH",
            Self::HIGHRES_RESULT => "HIGHRES_RESULT",
            Self::DESC_IDS => "DESC_IDS",
            Self::DESCS => "DESCS",
            Self(code) => return write!(f, "PDU {code:#x}"),
        })
    }
}

/// The three words before every body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Header {
    /// Bytes of the PDU, these twelve included.
    pub len: u32,
    /// What the body is.
    pub kind: Kind,
    /// Who sent it, or for which client; answers say 0.
    pub from: u32,
}

impl Header {
    /// Bytes of a header.
    pub const LEN: usize = 12;

    /// Parses the header that a stream is at: `None` while it is still arriving.
    ///
    /// # Errors
    ///
    /// [`Error::Header`]: the stream is lost.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, Error> {
        let mut r = Reader::new(input);
        let (Ok(len), Ok(kind), Ok(from)) = (r.word(), r.word(), r.word()) else { return Ok(None) };
        if size(len) < Self::LEN || len > i32::MAX.cast_unsigned() || kind > i32::MAX.cast_unsigned() {
            return Err(Error::Header);
        }
        Ok(Some(Self { len, kind: Kind(kind), from }))
    }

    /// Emits the header.
    #[inline]
    pub fn emit(&self, w: &mut Writer<'_>) {
        w.words([self.len, self.kind.0, self.from]);
    }
}

/// Takes the first PDU off a stream: header, body and the length of both, or `None` while it is
/// still arriving.
///
/// # Errors
///
/// [`Error::Header`]: the stream is lost.
pub fn split(input: &[u8]) -> Result<Option<(Header, &[u8], usize)>, Error> {
    let Some(header) = Header::parse(input)? else { return Ok(None) };
    let len = size(header.len);
    Ok(input.get(Header::LEN..len).map(|body| (header, body, len)))
}

/// Metric ids, as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pmids<'a>(&'a [[u8; 4]]);

impl<'a> Pmids<'a> {
    /// The ids in these bytes; what is left over of a word is no id.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The id at this place.
    #[inline]
    pub fn at(self, place: usize) -> Option<Pmid> {
        self.0.get(place).map(|word| Pmid::from_bits(u32::from_be_bytes(*word)))
    }

    /// All ids in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = Pmid> + Clone + 'a {
        self.0.iter().map(|word| Pmid::from_bits(u32::from_be_bytes(*word)))
    }

    fn emit(self, w: &mut Writer<'_>) {
        w.bytes(self.0.as_flattened());
    }
}

/// Takes a count off and checks that it is not negative.
fn count(r: &mut Reader<'_>) -> Result<u32, Error> {
    u32::try_from(r.int()?).map_err(|_| Error::Count)
}

/// The rest of a body as exactly `count` records of `N` bytes.
fn records<'a, const N: usize>(r: &Reader<'a>, count: u32) -> Result<&'a [[u8; N]], Error> {
    let (records, rest) = r.rest().as_chunks();
    match records.len().cmp(&size(count)) {
        core::cmp::Ordering::Less => Err(Error::Truncated),
        core::cmp::Ordering::Equal if rest.is_empty() => Ok(records),
        _ => Err(Error::Trailing),
    }
}

/// The end of a body: nothing may follow.
const fn end(r: &Reader<'_>) -> Result<(), Error> {
    if r.is_empty() { Ok(()) } else { Err(Error::Trailing) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Emits whole and through small windows, and checks that both agree.
    pub(super) fn emitted(emit: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut counter = Writer::counter();
        emit(&mut counter);
        let mut whole = vec![0; counter.total()];
        let mut w = Writer::new(&mut whole);
        emit(&mut w);
        assert!(w.is_whole());
        assert_eq!(w.written(), whole.len());
        for window in [1, 5, 24] {
            let mut out = Vec::new();
            loop {
                let mut part = vec![0; window];
                let mut w = Writer::resume(&mut part, out.len());
                emit(&mut w);
                let (written, whole) = (w.written(), w.is_whole());
                out.extend_from_slice(&part[..written]);
                if whole {
                    break;
                }
            }
            assert_eq!(out, whole, "window of {window}");
        }
        whole
    }

    /// The body of an emitted PDU, whose header must promise its length and this kind.
    pub(super) fn body(pdu: &[u8], kind: Kind) -> &[u8] {
        let (header, body, len) = split(pdu).unwrap().unwrap();
        assert_eq!((header.kind, len), (kind, pdu.len()));
        body
    }

    /// The bytes that a line of hex says.
    pub(super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn a_pdu_still_arriving_is_not_split_off() {
        let pdu = hex("00000010 00007004 00000000 1c2b3c4d");
        for n in 0..pdu.len() {
            assert_eq!(split(&pdu[..n]), Ok(None), "{n} bytes");
        }
        let two = [&pdu[..], &pdu[..7]].concat();
        let (header, body, len) = split(&two).unwrap().unwrap();
        assert_eq!((header.kind, body, len), (Kind::DESC_REQ, &pdu[12..], 16));
    }

    #[test]
    fn a_stream_out_of_step_is_an_error() {
        assert_eq!(split(&hex("0000000b 00007004 00000000")), Err(Error::Header));
        assert_eq!(split(&hex("80000010 00007004 00000000")), Err(Error::Header));
        assert_eq!(split(&hex("00000010 80007004 00000000")), Err(Error::Header));
    }

    #[test]
    fn ids_are_found_by_place() {
        let bytes = hex("00000001 00000002 0000");
        let ids = Pmids::new(&bytes);
        assert_eq!((ids.len(), ids.at(1), ids.at(2)), (2, Some(Pmid::from_bits(2)), None));
        assert!(ids.iter().eq([1, 2].map(Pmid::from_bits)));
    }
}
