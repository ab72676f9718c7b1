//! ATTR: one attribute of the client that `from` stands for.

use super::{Error, Header, Kind};
use crate::wire::{Reader, Writer, count};

/// What an attribute tells. Codes not named here are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Code(pub u32);

impl Code {
    /// A message of SASL, not an attribute.
    pub const SASL: Self = Self(0);
    /// The name logged in with.
    pub const USERNAME: Self = Self(5);
    /// The user's number.
    pub const USERID: Self = Self(11);
    /// The group's number.
    pub const GROUPID: Self = Self(12);
    /// The process that asks.
    pub const PROCESSID: Self = Self(14);
    /// The container asked about.
    pub const CONTAINER: Self = Self(15);
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Attr<'a> {
    /// What the value tells.
    pub code: Code,
    /// The value as sent: pmcd ends it with a NUL, clients do not.
    pub value: &'a [u8],
}

impl<'a> Attr<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// No code, or a value longer than the protocol allows.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let code = Code(r.word()?);
        if r.rest().len() >= MAX_VALUE {
            return Err(Error::TooLong);
        }
        Ok(Self { code, value: r.rest() })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = count(self.value.len()).saturating_add(16);
        Header { len, kind: Kind::ATTR, from }.emit(w);
        w.word(self.code.0);
        w.bytes(self.value);
    }

    /// The value without what ends it.
    pub fn text(&self) -> &'a [u8] {
        self.value.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

const MAX_VALUE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted};
    use super::*;

    #[test]
    fn a_value_is_not_padded() {
        let attr = Attr { code: Code::USERID, value: b"1000\0" };
        let pdu = emitted(|w| attr.emit(3, w));
        assert_eq!(pdu.len(), 21);
        assert_eq!(Attr::parse(body(&pdu, Kind::ATTR)), Ok(attr));
        assert_eq!(attr.text(), b"1000");
        assert_eq!(Attr::parse(&pdu[12..15]), Err(Error::Truncated));
    }
}
