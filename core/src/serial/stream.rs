//! The two streams of a session: what is out until it is acknowledged, and what is expected next.

use super::{
    Pace,
    frame::{Frame, Framer, Kind, PAYLOAD},
};
use crate::{time::Instant, wire};

/// Both streams of one end, with `ROOM` bytes for what was not acknowledged yet.
#[derive(Debug)]
pub(super) struct Stream<const ROOM: usize> {
    pub(super) key: u32,
    /// What goes out, kept until it is acknowledged.
    pending: [u8; ROOM],
    len: usize,
    /// How much of that is out, this time, and how much ever was.
    sent: usize,
    most_sent: usize,
    /// The place of the first pending byte.
    place: u16,
    /// The place of the byte that is expected next of the other stream.
    expected: u16,
    /// The other side is to hear what is expected.
    owes: bool,
    /// When to send again what is out.
    retry_at: Instant,
    /// It was sent again before that, and nothing was acknowledged since.
    hurried: bool,
}

impl<const ROOM: usize> Stream<ROOM> {
    pub(super) const fn new() -> Self {
        Self {
            key: 0,
            pending: [0; ROOM],
            len: 0,
            sent: 0,
            most_sent: 0,
            place: 0,
            expected: 0,
            owes: false,
            retry_at: Instant::NEVER,
            hurried: false,
        }
    }

    /// Both streams begin.
    pub(super) const fn begin(&mut self, key: u32) {
        (self.key, self.place, self.expected) = (key, 0, 0);
        (self.len, self.sent, self.most_sent) = (0, 0, 0);
        (self.owes, self.retry_at, self.hurried) = (false, Instant::NEVER, false);
    }

    /// Where bytes to send may be put.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.pending.get_mut(self.len..).unwrap_or_default()
    }

    /// Says that so many bytes were put into the room.
    pub(super) fn sending(&mut self, n: usize) {
        self.len = self.len.saturating_add(n).min(ROOM);
    }

    /// Whether everything was acknowledged.
    pub(super) const fn is_done(&self) -> bool {
        self.len == 0
    }

    /// Something is to be said, if only what is expected.
    pub(super) const fn owe(&mut self) {
        self.owes = true;
    }

    /// Takes what a frame of this session says, its payload into `room`: how many bytes.
    pub(super) fn take(&mut self, frame: &Frame<'_>, room: &mut [u8], now: Instant, pace: Pace) -> usize {
        let acknowledged = usize::from(frame.expected.wrapping_sub(self.place));
        self.acknowledge(acknowledged, now, pace);
        if frame.payload.is_empty() {
            // Something has come there that was not what is expected: what is, is lost.
            if acknowledged == 0 && self.most_sent > 0 && !core::mem::replace(&mut self.hurried, true) {
                (self.sent, self.retry_at) = (0, Instant::NEVER);
            }
            return 0;
        }
        self.owes = true;
        // Behind a gap this is more than any payload has.
        let known = usize::from(self.expected.wrapping_sub(frame.place));
        let new = frame.payload.get(known..).unwrap_or_default();
        let mut taken = 0_u16;
        for (to, from) in room.iter_mut().zip(new) {
            *to = *from;
            taken = taken.saturating_add(1);
        }
        self.expected = self.expected.wrapping_add(taken);
        taken.into()
    }

    fn acknowledge(&mut self, n: usize, now: Instant, pace: Pace) {
        if n == 0 || n > self.most_sent {
            return;
        }
        wire::drop_front(self.pending.get_mut(..self.len).unwrap_or_default(), n);
        self.len = self.len.saturating_sub(n);
        self.sent = self.sent.saturating_sub(n);
        self.most_sent = self.most_sent.saturating_sub(n);
        self.hurried = false;
        // A count of what was sent is below half of all places.
        self.place = self.place.wrapping_add(u16::try_from(n).unwrap_or_default());
        self.retry_at = if self.most_sent == 0 { Instant::NEVER } else { now.saturating_add(pace.retry) };
    }

    /// Begins the next frame of this kind, where there is one to send; whether there was.
    pub(super) fn next(&mut self, kind: Kind, framer: &mut Framer, now: Instant, pace: Pace) -> bool {
        if now >= self.retry_at {
            (self.sent, self.retry_at) = (0, Instant::NEVER);
        }
        let end = self.len.min(pace.flight).min(self.sent.saturating_add(PAYLOAD));
        let payload = self.pending.get(self.sent..end).unwrap_or_default();
        if payload.is_empty() && !self.owes {
            return false;
        }
        let place = self.place.wrapping_add(u16::try_from(self.sent).unwrap_or_default());
        framer.begin(&Frame { kind, session: self.key, place, expected: self.expected, payload });
        if !payload.is_empty() {
            self.sent = end;
            self.most_sent = self.most_sent.max(end);
            if self.retry_at == Instant::NEVER {
                self.retry_at = now.saturating_add(pace.retry);
            }
        }
        self.owes = false;
        true
    }

    /// When something is to be sent again.
    pub(super) const fn deadline(&self) -> Instant {
        self.retry_at
    }
}

/// The key of a session: what is of another one is not of this, whichever side has begun anew.
pub(super) fn key(number: u32, boot: u32) -> u32 {
    let mut bytes = [0; 8];
    wire::Writer::new(&mut bytes).words([number, boot]);
    super::frame::fcs(&bytes)
}
