//! A frame: what it carries, its checksum, and its way over the line byte by byte.

use crate::wire::{Reader, Writer};

/// Bytes of the longest payload.
pub const PAYLOAD: usize = 128;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Kind(pub u8);

impl Kind {
    /// The opener wants a session.
    pub const OPEN: Self = Self(0x11);
    /// The listener has it.
    pub const OPENED: Self = Self(0x12);
    /// From the opener: bytes, or an acknowledgement alone.
    pub const DOWN: Self = Self(0x13);
    /// From the listener: the same.
    pub const UP: Self = Self(0x14);
    /// The opener wants to hear from the listener.
    pub const PROBE: Self = Self(0x15);
    /// The listener has no such session.
    pub const LOST: Self = Self(0x16);
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "the format has no more")]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    /// The session's number or its key.
    pub session: u32,
    /// The place of the first byte of payload in its stream.
    pub place: u16,
    /// The place of the byte that is expected next of the other stream.
    pub expected: u16,
    /// Bytes, at most [`PAYLOAD`].
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// One that is about a session as such.
    pub const fn about(kind: Kind, session: u32) -> Self {
        Self { kind, session, place: 0, expected: 0, payload: &[] }
    }

    /// Parses what stood between two flags: `None` where that is no frame.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<SUM>()?;
        if fcs(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let mut r = Reader::new(body);
        let (kind, session) = (Kind(r.byte().ok()?), r.word().ok()?);
        let (place, expected) = (r.half().ok()?, r.half().ok()?);
        Some(Self { kind, session, place, expected, payload: r.rest() })
    }

    /// Emits what stands between two flags.
    fn emit(&self, w: &mut Writer<'_>) {
        w.bytes(&[self.kind.0]);
        w.word(self.session);
        w.half(self.place);
        w.half(self.expected);
        w.bytes(self.payload);
    }
}

/// The FCS-32 of RFC 1662, bit by bit: a table would be larger than all the rest of this.
pub fn fcs(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let odd = sum & 1;
            sum = sum >> 1 ^ POLYNOMIAL & odd.wrapping_neg();
        }
    }
    !sum
}

/// Makes frames of what comes off the line.
#[derive(Debug)]
pub struct Unframer {
    bytes: [u8; LONGEST],
    len: usize,
    escaped: bool,
    /// A flag has come: the next byte begins anew.
    ended: bool,
}

impl Unframer {
    /// Before the first byte, in the midst of whatever.
    pub const fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0, escaped: false, ended: false }
    }

    /// Takes a byte off the line; the frame, where that was its last.
    pub fn take(&mut self, byte: u8) -> Option<Frame<'_>> {
        if self.ended {
            (self.len, self.ended) = (0, false);
        }
        match byte {
            FLAG => {
                // An escape right before a flag takes the frame back.
                let is_whole = !core::mem::take(&mut self.escaped);
                self.ended = true;
                return self.bytes.get(..self.len).filter(|_| is_whole).and_then(Frame::parse);
            }
            ESCAPE => self.escaped = true,
            _ => {
                let turned = if core::mem::take(&mut self.escaped) { byte ^ TURN } else { byte };
                if let Some(place) = self.bytes.get_mut(self.len) {
                    *place = turned;
                }
                // One that is too long stays so, and is no frame.
                self.len = self.len.saturating_add(1);
            }
        }
        None
    }
}

impl Default for Unframer {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes of a frame what goes over the line.
#[derive(Debug)]
pub struct Framer {
    bytes: [u8; LONGEST],
    len: usize,
    /// What goes next: 0 is the first flag, then the bytes, then the last flag.
    next: usize,
    escaped: bool,
}

impl Framer {
    /// Without a frame.
    pub const fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0, next: usize::MAX, escaped: false }
    }

    /// Whether all of the last frame is out.
    pub const fn is_idle(&self) -> bool {
        self.next == usize::MAX
    }

    /// Begins a frame, in the place of one that is not out yet.
    pub fn begin(&mut self, frame: &Frame<'_>) {
        let mut w = Writer::new(&mut self.bytes);
        frame.emit(&mut w);
        let body = w.written();
        let sum = fcs(self.bytes.get(..body).unwrap_or_default());
        let mut w = Writer::new(self.bytes.get_mut(body..).unwrap_or_default());
        w.bytes(&sum.to_le_bytes());
        (self.len, self.next, self.escaped) = (body.saturating_add(w.written()), 0, false);
    }

    /// The next byte for the line, until the frame is out.
    pub fn give(&mut self) -> Option<u8> {
        let at = self.next;
        if self.is_idle() {
            return None;
        }
        let byte = at.checked_sub(1).and_then(|at| self.bytes.get(..self.len)?.get(at)).copied();
        match byte {
            Some(byte) if core::mem::take(&mut self.escaped) => {
                self.next = at.saturating_add(1);
                return Some(byte ^ TURN);
            }
            Some(FLAG | ESCAPE | XON | XOFF) => {
                self.escaped = true;
                return Some(ESCAPE);
            }
            _ => {}
        }
        // Behind the last byte comes the last flag.
        self.next = if at > self.len { usize::MAX } else { at.saturating_add(1) };
        Some(byte.unwrap_or(FLAG))
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const TURN: u8 = 0x20;
const XON: u8 = 0x11;
const XOFF: u8 = 0x13;
const POLYNOMIAL: u32 = 0xedb8_8320;
/// Bytes before the payload.
const HEAD: usize = 9;
const SUM: usize = 4;
const LONGEST: usize = HEAD + PAYLOAD + SUM;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    fn line(frame: &Frame<'_>) -> Vec<u8> {
        let mut framer = Framer::new();
        framer.begin(frame);
        core::iter::from_fn(|| framer.give()).collect()
    }

    fn frame(payload: &[u8]) -> Frame<'_> {
        Frame { kind: Kind::UP, session: 0x7e7d_1113, place: 0x7e00, expected: 0xffff, payload }
    }

    #[test]
    fn the_checksum_is_that_of_everybody() {
        assert_eq!(fcs(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_open_is_these_bytes() {
        let bytes = line(&Frame::about(Kind::OPEN, 1));
        assert_eq!(bytes[..11], [0x7e, 0x7d, 0x31, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[11..15], fcs(&[0x11, 0, 0, 0, 1, 0, 0, 0, 0]).to_le_bytes());
        assert_eq!(bytes[15..], [0x7e]);
    }

    #[test]
    fn what_was_framed_is_unframed_whatever_came_before() {
        let all: Vec<u8> = (0..=255).collect();
        for noise in [&b""[..], b"Booting...\r\n", &[ESCAPE], &[0; 1000], &[FLAG; 3]] {
            for len in 0..=PAYLOAD {
                let sent = frame(&all[100..100 + len]);
                let mut unframer = Unframer::new();
                for byte in noise {
                    assert!(unframer.take(*byte).is_none());
                }
                let mut got = 0;
                for byte in line(&sent).into_iter().chain(line(&sent)) {
                    assert!(!matches!(byte, XON | XOFF));
                    if let Some(frame) = unframer.take(byte) {
                        assert_eq!(frame, sent);
                        got += 1;
                    }
                }
                assert_eq!(got, 2, "{len} behind {noise:?}");
            }
        }
    }

    #[test]
    fn no_frame_with_a_byte_changed_lost_or_more_is_believed() {
        let bytes = line(&frame(b"some payload"));
        let believed = |bytes: &[u8]| {
            let mut unframer = Unframer::new();
            bytes.iter().filter(|byte| unframer.take(**byte).is_some()).count()
        };
        assert_eq!(believed(&bytes), 1);
        for at in 1..bytes.len() - 1 {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(believed(&changed), 0, "bit {bit} of byte {at}");
            }
            let mut less = bytes.clone();
            less.remove(at);
            assert_eq!(believed(&less), 0, "without byte {at}");
            let mut more = bytes.clone();
            more.insert(at, 0x55);
            assert_eq!(believed(&more), 0, "one more at {at}");
        }
    }

    #[test]
    fn one_byte_too_many_is_no_frame() {
        // The checksum is right, as far as the place for a frame goes.
        let mut bytes = line(&frame(&[7; PAYLOAD]));
        bytes.insert(bytes.len() - 1, 7);
        let mut unframer = Unframer::new();
        assert!(bytes.iter().all(|byte| unframer.take(*byte).is_none()));
    }
}
