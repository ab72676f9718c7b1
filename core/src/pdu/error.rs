//! ERROR: a status; and the challenge, which is one that also says what the server can do.

use super::creds::Features;
use super::{Error, Header, Kind, end};
use crate::pcp::Status;
use crate::wire::{Reader, Writer};

/// A status, as an answer or, where positive, before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// What happened.
    pub status: Status,
}

impl Report {
    /// Parses the body behind a header, of the short form or of a challenge's.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let this = Self { status: Status(r.int()?) };
        if !r.is_empty() {
            r.word()?;
        }
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 16, kind: Kind::ERROR, from }.emit(w);
        w.word(self.status.0.cast_unsigned());
    }
}

/// The server's first word to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Challenge {
    /// Whether the client is welcome.
    pub status: Status,
    /// Version of the protocol, [`VERSION`](super::creds::VERSION); 0 when refusing.
    pub version: u8,
    /// 1, and 0 when refusing.
    pub licensed: u8,
    /// What the server can do.
    pub features: Features,
}

impl Challenge {
    /// Welcomes a client to these features.
    pub const fn accept(features: Features) -> Self {
        Self { status: Status::OK, version: super::creds::VERSION, licensed: 1, features }
    }

    /// Refuses a client; the server closes next.
    pub const fn refuse(status: Status) -> Self {
        Self { status, version: 0, licensed: 0, features: Features::NONE }
    }

    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let this = Self {
            status: Status::from_wire_challenge(r.int()?),
            version: r.byte()?,
            licensed: r.byte()?,
            features: Features(r.half()?),
        };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 20, kind: Kind::ERROR, from }.emit(w);
        w.word(self.status.to_wire_challenge().cast_unsigned());
        w.bytes(&[self.version, self.licensed]);
        w.half(self.features.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted, hex};
    use super::*;

    #[test]
    fn a_minimal_server_says_these_bytes() {
        let want = hex("00000014 00007000 00000000 00000000 02010e00");
        let features = Features::LABELS.with(Features::HIGHRES).with(Features::DESCS);
        let challenge = Challenge::accept(features);
        assert_eq!(emitted(|w| challenge.emit(0, w)), want);
        assert_eq!(Challenge::parse(body(&want, Kind::ERROR)), Ok(challenge));
    }

    #[test]
    fn a_refusal_is_sent_on_the_old_base() {
        let challenge = Challenge::refuse(Status::CONNLIMIT);
        let pdu = emitted(|w| challenge.emit(0, w));
        assert_eq!(&pdu[12..], hex("fffffbed 00000000"));
        assert_eq!(Challenge::parse(&pdu[12..]), Ok(challenge));
    }

    #[test]
    fn a_report_has_one_word_or_two() {
        for n in 0..16 {
            assert_eq!(Report::parse(&[0; 16][..n]).is_ok(), n == 4 || n == 8, "{n} bytes");
        }
        let report = Report { status: Status::PMID };
        assert_eq!(Report::parse(body(&emitted(|w| report.emit(7, w)), Kind::ERROR)), Ok(report));
    }
}
