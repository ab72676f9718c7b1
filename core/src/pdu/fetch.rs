//! FETCH and HIGHRES_FETCH: asks for the values of metrics.

use super::{Error, Header, Kind, Pmids, count, records};
use crate::wire::{self, Reader, Writer};

/// Asks for values. Both kinds look alike; the answer is of the kind that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Fetch<'a> {
    /// [`Kind::FETCH`] or [`Kind::HIGHRES_FETCH`].
    pub kind: Kind,
    /// The client's context, of which a profile must be known.
    pub context: i32,
    /// What is wanted, in order; ids may repeat or be unknown.
    pub pmids: Pmids<'a>,
}

impl<'a> Fetch<'a> {
    /// Parses the body behind a header of this kind.
    ///
    /// # Errors
    ///
    /// No metrics, or a body of another length than they need.
    pub fn parse(kind: Kind, body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let context = r.int()?;
        r.long()?;
        let metrics = count(&mut r)?;
        if metrics == 0 {
            return Err(Error::Count);
        }
        Ok(Self { kind, context, pmids: Pmids(records(&r, metrics)?) })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Head { kind: self.kind, context: self.context, count: wire::count(self.pmids.len()) }.emit(from, w);
        self.pmids.emit(w);
    }
}

/// The start of a request; `count` words of metric ids follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// [`Kind::FETCH`] or [`Kind::HIGHRES_FETCH`].
    pub kind: Kind,
    /// The client's context.
    pub context: i32,
    /// How many metrics are wanted.
    pub count: u32,
}

impl Head {
    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = self.count.saturating_mul(4).saturating_add(28);
        Header { len, kind: self.kind, from }.emit(w);
        w.words([self.context.cast_unsigned(), 0, 0, self.count]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted, hex};
    use super::*;
    use crate::pcp::Pmid;

    #[test]
    fn metrics_come_back_in_order() {
        let ids = hex("00000001 ffffffff 00000001");
        let fetch = Fetch { kind: Kind::HIGHRES_FETCH, context: 0, pmids: Pmids::new(&ids) };
        let pdu = emitted(|w| fetch.emit(0, w));
        let again = Fetch::parse(Kind::HIGHRES_FETCH, body(&pdu, Kind::HIGHRES_FETCH)).unwrap();
        assert_eq!(again, fetch);
        assert_eq!(again.pmids.at(1), Some(Pmid::NULL));
        for n in 0..pdu.len() - 12 {
            assert!(Fetch::parse(Kind::FETCH, &pdu[12..12 + n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn a_fetch_of_nothing_is_refused() {
        assert_eq!(Fetch::parse(Kind::FETCH, &[0; 16]), Err(Error::Count));
    }
}
