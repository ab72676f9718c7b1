//! TEXT_REQ and TEXT: the help of a metric or of an instance domain.

use super::{Error, Header, Kind, count, end};
use crate::wire::{self, Reader, Writer, size};

/// Bit of a request: the first line is wanted. It wins over [`HELP`].
pub const ONELINE: u32 = 1;
/// Bit of a request: the whole help is wanted.
pub const HELP: u32 = 2;
/// Bit of a request: the ident is a metric's.
pub const PMID: u32 = 4;
/// Bit of a request: the ident is an instance domain's.
pub const INDOM: u32 = 8;

/// Asks for help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// A metric or an instance domain, by its bits.
    pub ident: u32,
    /// Which of the two, and how much of the help.
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
        Header { len: 20, kind: Kind::TEXT_REQ, from }.emit(w);
        w.words([self.ident, self.kind]);
    }
}

/// The start of an answer; `len` bytes of help and their padding follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The ident asked about.
    pub ident: u32,
    /// Bytes of help, without padding.
    pub len: u32,
}

impl Head {
    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(wire::padded(size(self.len))).saturating_add(20);
        Header { len, kind: Kind::TEXT, from }.emit(w);
        w.words([self.ident, self.len]);
    }
}

/// Help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Text<'a> {
    /// The ident asked about.
    pub ident: u32,
    /// The help, of one line or more.
    pub text: &'a [u8],
}

impl<'a> Text<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body shorter or longer than the help and its padding.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let ident = r.word()?;
        let len = count(&mut r)?;
        let this = Self { ident, text: r.text(size(len))? };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Head { ident: self.ident, len: wire::count(self.text.len()) }.emit(from, w);
        w.text(self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted};
    use super::*;

    #[test]
    fn help_comes_back() {
        for help in [&b""[..], b"x", b"four", b"Uptime of the host"] {
            let text = Text { ident: 9, text: help };
            let pdu = emitted(|w| text.emit(0, w));
            assert_eq!(Text::parse(body(&pdu, Kind::TEXT)), Ok(text));
            for n in 0..pdu.len() - 12 {
                assert_eq!(Text::parse(&pdu[12..12 + n]), Err(Error::Truncated), "{n} bytes");
            }
        }
    }

    #[test]
    fn every_other_length_of_a_request_is_refused() {
        let request = Request { ident: 1, kind: HELP | PMID };
        let pdu = emitted(|w| request.emit(0, w));
        assert_eq!(Request::parse(body(&pdu, Kind::TEXT_REQ)), Ok(request));
        for n in (0..8).chain(9..13) {
            assert!(Request::parse(&[0; 16][..n]).is_err(), "{n} bytes");
        }
    }
}
