//! CREDS: the first PDU of a client or an agent says which protocol it speaks and what it wants.

use super::{Error, Header, Kind, count, end};
use crate::wire::{Reader, Writer};

/// The one version of the protocol that is alive.
pub const VERSION: u8 = 2;

/// What a server can do, or what a client or an agent wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Features(pub u16);

impl Features {
    /// Nothing beyond the protocol.
    pub const NONE: Self = Self(0);
    /// TLS.
    pub const SECURE: Self = Self(0x0001);
    /// Log-in; from an agent, a wish for client attributes.
    pub const AUTH: Self = Self(0x0004);
    /// Log-in is demanded.
    pub const CREDS_REQD: Self = Self(0x0008);
    /// TLS starts after an answer of its own.
    pub const SECURE_ACK: Self = Self(0x0010);
    /// Containers.
    pub const CONTAINER: Self = Self(0x0040);
    /// A client certificate is demanded.
    pub const CERT_REQD: Self = Self(0x0080);
    /// The server answers LABEL_REQ.
    pub const LABELS: Self = Self(0x0200);
    /// The server answers HIGHRES_FETCH.
    pub const HIGHRES: Self = Self(0x0400);
    /// The server answers DESC_IDS.
    pub const DESCS: Self = Self(0x0800);

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of those are among these.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who the peer is, so far as the protocol cares. The `from` of the PDU is its process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Creds {
    /// The version spoken; any but 0 is version 2 in truth.
    pub version: u8,
    /// What the peer wants.
    pub flags: Features,
}

impl Creds {
    /// Parses the body behind a header. Of several credentials the last version counts.
    ///
    /// # Errors
    ///
    /// None or too many credentials, none of them a version, or another length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let credentials = count(&mut r)?;
        if credentials == 0 || credentials > MAX_CREDENTIALS {
            return Err(Error::Count);
        }
        let mut this = None;
        for _ in 0..credentials {
            let (kind, version, flags) = (r.byte()?, r.byte()?, Features(r.half()?));
            if kind == CVERSION {
                this = Some(Self { version, flags });
            }
        }
        end(&r)?;
        this.ok_or(Error::Value)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: 20, kind: Kind::CREDS, from }.emit(w);
        w.word(1);
        w.bytes(&[CVERSION, self.version]);
        w.half(self.flags.0);
    }
}

const CVERSION: u8 = 1;
const MAX_CREDENTIALS: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted, hex};
    use super::*;

    #[test]
    fn a_client_says_these_bytes() {
        let creds = Creds { version: VERSION, flags: Features::NONE };
        let pdu = emitted(|w| creds.emit(0x1234, w));
        assert_eq!(pdu, hex("00000014 0000700c 00001234 00000001 01020000"));
        assert_eq!(Creds::parse(body(&pdu, Kind::CREDS)), Ok(creds));
    }

    #[test]
    fn credentials_without_a_version_are_refused() {
        assert_eq!(Creds::parse(&hex("00000001 02020000")), Err(Error::Value));
        assert_eq!(Creds::parse(&hex("00000000")), Err(Error::Count));
        assert_eq!(Creds::parse(&hex("ffffffff 01020000")), Err(Error::Count));
        assert_eq!(Creds::parse(&hex("00000002 01020000")), Err(Error::Truncated));
        assert_eq!(Creds::parse(&hex("00000001 01020000 00")), Err(Error::Trailing));
    }
}
