//! The computer's end: it opens sessions, and asks whether the other end is there.

use super::{
    Event, Pace, Received,
    frame::{Frame, Framer, Kind, Unframer},
    stream::{Stream, key},
};
use crate::{
    time::{Duration, Instant},
    wire::Reader,
};

/// The end that opens sessions, with `ROOM` bytes for what was not acknowledged yet.
#[derive(Debug)]
pub struct Opener<const ROOM: usize> {
    pace: Pace,
    unframer: Unframer,
    framer: Framer,
    stream: Stream<ROOM>,
    number: u32,
    at: At,
    /// When OPEN or PROBE may be said again.
    again_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// OPEN is said.
    Opening,
    /// A session, with the boot of the other end, and when it was last heard of.
    Open { boot: u32, heard: Instant },
}

impl<const ROOM: usize> Opener<ROOM> {
    /// Without a session. `number` is one that no earlier run has begun with: a random one.
    pub const fn new(pace: Pace, number: u32) -> Self {
        Self {
            pace,
            unframer: Unframer::new(),
            framer: Framer::new(),
            stream: Stream::new(),
            number,
            at: At::Opening,
            again_at: Instant::START,
        }
    }

    /// The session's number, while there is one.
    pub const fn session(&self) -> Option<u32> {
        match self.at {
            At::Open { .. } => Some(self.number),
            At::Opening => None,
        }
    }

    /// Takes what came off the line, and gives bytes of the stream into `room`, until something happens.
    ///
    /// Call it again while it consumes. Bytes of a stream that find no room come again later.
    pub fn receive(&mut self, line: &[u8], room: &mut [u8], now: Instant) -> Received {
        let mut got = Received { consumed: 0, produced: 0, event: None };
        if let At::Open { heard, .. } = self.at
            && now >= heard.saturating_add(SILENCE)
        {
            self.renew();
            got.event = Some(Event::Lost);
            return got;
        }
        for byte in line {
            got.consumed = got.consumed.saturating_add(1);
            let Some(frame) = self.unframer.take(*byte) else { continue };
            match (frame.kind, self.at) {
                (Kind::OPENED, at) if frame.session == self.number => {
                    let mut r = Reader::new(frame.payload);
                    let (Ok(boot), Ok(domain)) = (r.word(), r.half()) else { continue };
                    match at {
                        At::Open { boot: known, .. } if known == boot => continue,
                        At::Open { .. } => {
                            self.renew();
                            got.event = Some(Event::Lost);
                        }
                        At::Opening => {
                            self.at = At::Open { boot, heard: now };
                            self.stream.begin(key(self.number, boot));
                            self.again_at = now;
                            got.event = Some(Event::Opened { domain });
                        }
                    }
                    return got;
                }
                (Kind::UP, At::Open { boot, .. }) if frame.session == self.stream.key => {
                    self.at = At::Open { boot, heard: now };
                    got.produced = self.stream.take(&frame, room, now, self.pace);
                    if got.produced > 0 {
                        return got;
                    }
                }
                (Kind::LOST, At::Open { .. }) if frame.session == self.stream.key => {
                    self.renew();
                    got.event = Some(Event::Lost);
                    return got;
                }
                _ => {}
            }
        }
        got
    }

    /// Where bytes of the stream may be put that are to be sent: none without a session.
    pub fn room(&mut self) -> &mut [u8] {
        if self.session().is_some() { self.stream.room() } else { &mut [] }
    }

    /// Says that the first `n` bytes of [`room`](Self::room) were written.
    pub fn send(&mut self, n: usize) {
        self.stream.sending(n);
    }

    /// Gives this session up, if there is one, and opens another.
    pub fn renew(&mut self) {
        self.number = self.number.wrapping_add(1);
        self.at = At::Opening;
        self.again_at = Instant::START;
    }

    /// The next byte for the line. Ask only where there is room for it, and as long as there is.
    pub fn transmit(&mut self, now: Instant) -> Option<u8> {
        if self.framer.is_idle() {
            let is_due = now >= self.again_at;
            match self.at {
                At::Opening if is_due => self.framer.begin(&Frame::about(Kind::OPEN, self.number)),
                At::Opening => return None,
                At::Open { heard, .. } => {
                    if self.stream.next(Kind::DOWN, &mut self.framer, now, self.pace) {
                        return self.framer.give();
                    }
                    // What is out asks for an answer, too.
                    if !is_due || !self.stream.is_done() || now < heard.saturating_add(IDLE) {
                        return None;
                    }
                    self.framer.begin(&Frame::about(Kind::PROBE, self.stream.key));
                }
            }
            self.again_at = now.saturating_add(self.pace.retry);
        }
        self.framer.give()
    }

    /// When to go on though nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        let At::Open { heard, .. } = self.at else { return Some(self.again_at) };
        let probe = Some(heard.saturating_add(IDLE).max(self.again_at)).filter(|_| self.stream.is_done());
        let by = heard.saturating_add(SILENCE).min(self.stream.deadline());
        Some(probe.map_or(by, |probe| by.min(probe)))
    }
}

/// Whoever was silent for so long is asked whether he is there.
const IDLE: Duration = Duration::from_secs(1);
/// A session of which nothing came for so long is over.
const SILENCE: Duration = Duration::from_secs(2);
