//! The chip's end: it waits for sessions.

use super::{
    Event, Pace, Received,
    frame::{Frame, Framer, Kind, Unframer},
    stream::{Stream, key},
};
use crate::{
    time::{Duration, Instant},
    wire::Writer,
};

/// The end that waits for sessions, with `ROOM` bytes for what was not acknowledged yet.
#[derive(Debug)]
pub struct Listener<const ROOM: usize> {
    boot: u32,
    domain: u16,
    pace: Pace,
    unframer: Unframer,
    framer: Framer,
    stream: Stream<ROOM>,
    /// The session's number, while there is one.
    number: Option<u32>,
    /// When the session was last heard of.
    heard: Instant,
    /// OPENED is to be said.
    opened: bool,
    /// Of this key the other side is to hear that it is lost.
    lost: Option<u32>,
}

impl<const ROOM: usize> Listener<ROOM> {
    /// Without a session. `boot` differs between boots as well as the chip can make it; `domain` is that of its
    /// metrics.
    pub const fn new(pace: Pace, boot: u32, domain: u16) -> Self {
        Self {
            boot,
            domain,
            pace,
            unframer: Unframer::new(),
            framer: Framer::new(),
            stream: Stream::new(),
            number: None,
            heard: Instant::START,
            opened: false,
            lost: None,
        }
    }

    /// Says another domain from the next session on.
    pub const fn set_domain(&mut self, domain: u16) {
        self.domain = domain;
    }

    /// Whether there is a session.
    pub const fn is_open(&self) -> bool {
        self.number.is_some()
    }

    /// Takes what came off the line, and gives bytes of the stream into `room`, until something happens.
    ///
    /// Call it again while it consumes. Bytes of a stream that find no room come again later.
    pub fn receive(&mut self, line: &[u8], room: &mut [u8], now: Instant) -> Received {
        let mut got = Received { consumed: 0, produced: 0, event: None };
        if self.is_open() && now >= self.heard.saturating_add(SILENCE) {
            self.number = None;
            got.event = Some(Event::Lost);
            return got;
        }
        for byte in line {
            got.consumed = got.consumed.saturating_add(1);
            let Some(frame) = self.unframer.take(*byte) else { continue };
            match frame.kind {
                Kind::OPEN => {
                    self.opened = true;
                    if self.number != Some(frame.session) {
                        self.number = Some(frame.session);
                        self.heard = now;
                        self.stream.begin(key(frame.session, self.boot));
                        got.event = Some(Event::Opened { domain: self.domain });
                        return got;
                    }
                }
                Kind::DOWN | Kind::PROBE if self.number.is_some() && frame.session == self.stream.key => {
                    self.heard = now;
                    if frame.kind == Kind::PROBE {
                        self.stream.owe();
                    }
                    got.produced = self.stream.take(&frame, room, now, self.pace);
                    if got.produced > 0 {
                        return got;
                    }
                }
                Kind::DOWN | Kind::PROBE => self.lost = Some(frame.session),
                _ => {}
            }
        }
        got
    }

    /// Where bytes of the stream may be put that are to be sent: none without a session.
    pub fn room(&mut self) -> &mut [u8] {
        if self.is_open() { self.stream.room() } else { &mut [] }
    }

    /// Says that the first `n` bytes of [`room`](Self::room) were written.
    pub fn send(&mut self, n: usize) {
        self.stream.sending(n);
    }

    /// Ends the session, which the other side hears.
    pub fn close(&mut self) {
        if self.number.take().is_some() {
            self.lost = Some(self.stream.key);
        }
    }

    /// The next byte for the line. Ask only where there is room for it, and as long as there is.
    pub fn transmit(&mut self, now: Instant) -> Option<u8> {
        if self.framer.is_idle() {
            if core::mem::take(&mut self.opened)
                && let Some(number) = self.number
            {
                let mut payload = [0; 6];
                let mut w = Writer::new(&mut payload);
                w.word(self.boot);
                w.half(self.domain);
                self.framer.begin(&Frame { payload: &payload, ..Frame::about(Kind::OPENED, number) });
            } else if let Some(key) = self.lost.take() {
                self.framer.begin(&Frame::about(Kind::LOST, key));
            } else if !self.is_open() || !self.stream.next(Kind::UP, &mut self.framer, now, self.pace) {
                return None;
            }
        }
        self.framer.give()
    }

    /// When to go on though nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        self.number?;
        Some(self.heard.saturating_add(SILENCE).min(self.stream.deadline()))
    }
}

/// A session of which nothing came for so long is over. The other side asks every second.
const SILENCE: Duration = Duration::from_secs(5);
