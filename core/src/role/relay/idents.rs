//! Where a PDU has numbers of metrics and of instance domains, which hold the domain that whoever reads them has.

use crate::{
    pcp::label::DOMAIN,
    pdu::{Header, Kind},
    wire::{Reader, Writer, size},
};

/// A translation of the domains in PDUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Domains {
    pub(super) from: u16,
    pub(super) to: u16,
}

impl Domains {
    /// A PMID or an instance domain as the other side has it. Those of other domains are no business of either.
    pub(super) const fn ident(self, word: u32) -> u32 {
        if word & !(DOMAIN_MASK | NUMBER_MASK) == 0 && (word & DOMAIN_MASK) >> SHIFT == self.from as u32 {
            word & NUMBER_MASK | (self.to as u32) << SHIFT
        } else {
            word
        }
    }

    const fn plain(self, word: u32) -> u32 {
        if word == self.from as u32 { self.to as u32 } else { word }
    }

    /// Emits a PDU as the other side has it, with these bits more where a result has state bits.
    pub(super) fn emit(self, kind: Kind, pdu: &[u8], flags: u32, w: &mut Writer<'_>) {
        let mut done = 0_usize;
        let mut put = |at: usize, change: &dyn Fn(u32) -> u32| {
            let mut r = Reader::new(pdu.get(done..).unwrap_or_default());
            if let (Ok(before), Ok(word)) = (r.take(at.saturating_sub(done)), r.word()) {
                w.bytes(before);
                w.word(change(word));
                done = at.saturating_add(4);
            }
        };
        if kind == Kind::RESULT && flags != 0 {
            put(FIRST, &|word| word | flags);
        }
        let is_plain = matches!(kind, Kind::LABEL_REQ | Kind::LABEL) && word(pdu, FIRST + 4) == Some(DOMAIN);
        for at in Places::of(kind, pdu) {
            put(at, &|word| if is_plain { self.plain(word) } else { self.ident(word) });
        }
        w.bytes(pdu.get(done..).unwrap_or_default());
    }
}

/// The offsets of the words that number something, in order.
struct Places<'a> {
    pdu: &'a [u8],
    at: usize,
    /// From one to the next; in a result, as far as the set is long.
    step: Option<usize>,
    left: u32,
}

impl<'a> Places<'a> {
    fn of(kind: Kind, pdu: &'a [u8]) -> Self {
        let count = |at| word(pdu, at).unwrap_or_default();
        let (at, step, left) = match kind {
            Kind::DESC_REQ
            | Kind::INSTANCE_REQ
            | Kind::INSTANCE
            | Kind::TEXT_REQ
            | Kind::TEXT
            | Kind::LABEL_REQ
            | Kind::LABEL => (FIRST, Some(4), 1),
            // The metric, and two words behind it its instance domain.
            Kind::DESC => (FIRST, Some(8), 2),
            Kind::PMNS_IDS => (FIRST + 8, Some(4), count(FIRST + 4)),
            Kind::FETCH => (FIRST + 16, Some(4), count(FIRST + 12)),
            Kind::PROFILE => (FIRST + 16, Some(16), count(FIRST + 8)),
            Kind::RESULT => (FIRST + 12, None, count(FIRST + 8)),
            _ => (FIRST, None, 0),
        };
        Self { pdu, at, step, left }
    }

    /// Bytes of the value set that is here: its head, and its values where it has any.
    fn set(&self) -> Option<usize> {
        let values = word(self.pdu, self.at.saturating_add(4))?.cast_signed();
        Some(match u32::try_from(values) {
            Ok(values @ 1..) => size(values).saturating_mul(8).saturating_add(12),
            _ => 8,
        })
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        word(self.pdu, at)?;
        let step = self.step.or_else(|| self.set());
        self.at = at.saturating_add(step.unwrap_or(usize::MAX));
        Some(at)
    }
}

fn word(pdu: &[u8], at: usize) -> Option<u32> {
    Reader::new(pdu.get(at..)?).word().ok()
}

/// The first word behind a header.
const FIRST: usize = Header::LEN;
const SHIFT: u32 = 22;
const DOMAIN_MASK: u32 = 0x1ff << SHIFT;
const NUMBER_MASK: u32 = (1 << SHIFT) - 1;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const THERE: Domains = Domains { from: 144, to: 450 };
    const BACK: Domains = Domains { from: 450, to: 144 };

    fn pdu(kind: Kind, words: &[u32]) -> Vec<u8> {
        let len = words.len().strict_mul(4).strict_add(Header::LEN);
        let mut out = vec![0; len];
        let mut w = Writer::new(&mut out);
        Header { len: u32::try_from(len).unwrap(), kind, from: 3 }.emit(&mut w);
        words.iter().for_each(|word| w.word(*word));
        out
    }

    /// Holds that `words` become `want` and, with no word to mistake for one, themselves again; through any window.
    fn becomes(kind: Kind, words: &[u32], want: &[u32]) {
        let (from, to) = (pdu(kind, words), pdu(kind, want));
        for window in [1, 7, from.len()] {
            let mut out = Vec::new();
            while out.len() < from.len() {
                let mut part = vec![0; window];
                let mut w = Writer::resume(&mut part, out.len());
                THERE.emit(kind, &from, 0, &mut w);
                let n = w.written();
                out.extend_from_slice(&part[..n]);
            }
            assert_eq!(out, to, "{kind}");
        }
        let mut back = vec![0; from.len()];
        BACK.emit(kind, &to, 0, &mut Writer::new(&mut back));
        assert_eq!(back, from, "{kind} back");
        // Whatever is cut off, it ends.
        for n in 12..from.len() {
            THERE.emit(kind, &from[..n], 0, &mut Writer::counter());
        }
    }

    #[test]
    fn numbers_of_the_domain_are_translated_and_nothing_else_is() {
        let (a, b) = (144 << 22 | 5, 144 << 22 | 1024 | 6);
        let (x, y) = (450 << 22 | 5, 450 << 22 | 1024 | 6);
        let (other, null) = (60 << 22 | 1, u32::MAX);
        becomes(Kind::FETCH, &[a, 0, 0, 4, a, other, null, b], &[a, 0, 0, 4, x, other, null, y]);
        becomes(Kind::DESC_REQ, &[a], &[x]);
        becomes(Kind::DESC, &[a, 3, b, 3, a], &[x, 3, y, 3, a]);
        becomes(Kind::DESC, &[a, 3, null, 3, 0], &[x, 3, null, 3, 0]);
        becomes(Kind::INSTANCE_REQ, &[b, 0, 0, null, 0], &[y, 0, 0, null, 0]);
        becomes(Kind::INSTANCE, &[b, 1, a, 0], &[y, 1, a, 0]);
        becomes(Kind::TEXT_REQ, &[a, 5], &[x, 5]);
        becomes(Kind::TEXT, &[a, 4, a], &[x, 4, a]);
        becomes(Kind::PMNS_IDS, &[0, 2, a, b], &[0, 2, x, y]);
        becomes(
            Kind::PROFILE,
            &[0, 1, 2, 0, a, 1, 1, 0, b, 0, 0, 0, a],
            &[0, 1, 2, 0, x, 1, 1, 0, y, 0, 0, 0, a],
        );
        becomes(Kind::LABEL_REQ, &[144, 2], &[450, 2]);
        becomes(Kind::LABEL_REQ, &[a, 8], &[x, 8]);
        becomes(Kind::LABEL, &[b, 32, 0, 0], &[y, 32, 0, 0]);
        becomes(Kind::PMNS_NAMES, &[2, 0, 1, 1, a], &[2, 0, 1, 1, a]);
        becomes(Kind::ERROR, &[a], &[a]);
        becomes(
            Kind::RESULT,
            &[0, 0, 4, a, 0, b, 2, 0, a, b, b, a, b, 0xffff_cf87, a, 1, 1, a, 9],
            &[0, 0, 4, x, 0, y, 2, 0, a, b, b, a, y, 0xffff_cf87, x, 1, 1, a, 9],
        );
    }

    #[test]
    fn state_bits_are_added_to_those_that_are_there() {
        let from = pdu(Kind::RESULT, &[8, 0, 1, 144 << 22, 0]);
        let mut out = vec![0; from.len()];
        THERE.emit(Kind::RESULT, &from, 16, &mut Writer::new(&mut out));
        assert_eq!(out, pdu(Kind::RESULT, &[24, 0, 1, 450 << 22, 0]));
    }
}
