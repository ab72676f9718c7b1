//! One connection: a socket, the exporter that speaks on it, and how long it may take.

use std::io::{self, ErrorKind, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;
use pmbridge_core::http::server::Status;
use pmbridge_core::role::exporter::{Exporter, Limits};
use pmbridge_core::time::{Duration, Instant};

use super::Pages;
use super::site::{Desk, Guest, House};
use crate::conn::{Flow, Window, receive};
use crate::tls::Stream;

/// A connection.
pub(super) struct Conn {
    stream: Stream<TcpStream>,
    exporter: Exporter,
    rx: Window,
    /// What the socket has not taken of what is not a page.
    tx: Vec<u8>,
    guest: Guest,
    /// Fields of the answer that goes out.
    fields: String,
    /// It may have sent more.
    pub(super) readable: bool,
    /// It sends no more.
    ended: bool,
    /// Since when it has waited for its next request, or been slow with it.
    since: Instant,
    /// When it must have taken something, and the whole of its page.
    stalls: Option<Instant>,
    page_by: Option<Instant>,
    /// When it is closed, all said, whether it has read that or not.
    lingers: Option<Instant>,
    /// When it is looked at again.
    pub(super) alarm: Option<Instant>,
}

/// How a connection fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for something to happen.
    Waits,
    /// There is more to do at once.
    More,
    /// It is over.
    Over,
    /// It is over, for it was too slow or broke the rules.
    Dropped,
}

/// What one turn shares with the others.
pub(super) struct Turn<'a> {
    pub(super) house: &'a mut House,
    pub(super) pages: &'a mut dyn Pages,
    pub(super) date: &'a str,
    pub(super) scratch: &'a mut [u8],
    pub(super) bytes: &'a mut u64,
    pub(super) now: Instant,
}

impl Conn {
    /// One that has come.
    pub(super) fn new(stream: Stream<TcpStream>, limits: Limits, now: Instant) -> Self {
        Self::with(stream, Exporter::new(limits), limits, now)
    }

    /// One that is told that there are too many.
    pub(super) fn refused(stream: Stream<TcpStream>, limits: Limits, now: Instant) -> Self {
        Self::with(stream, Exporter::refusing(limits, Status::UNAVAILABLE), limits, now)
    }

    fn with(stream: Stream<TcpStream>, exporter: Exporter, limits: Limits, now: Instant) -> Self {
        Self {
            stream,
            exporter,
            rx: Window::new(SMALL, limits.head),
            tx: Vec::new(),
            guest: Guest::default(),
            fields: String::new(),
            readable: true,
            ended: false,
            since: now,
            stalls: None,
            page_by: None,
            lingers: None,
            alarm: None,
        }
    }

    /// Whether its request waits for what it gets.
    pub(super) const fn is_waiting(&self) -> bool {
        self.exporter.is_waiting()
    }

    /// Since when nothing would be lost without it.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.lingers.is_some() {
            return Some(Instant::START);
        }
        (self.exporter.is_idle() && self.tx.is_empty()).then_some(self.since)
    }

    /// When to look at it though nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let speaks = if self.lingers.is_some() { None } else { self.exporter.deadline() };
        [speaks, self.stalls, self.page_by, self.lingers].into_iter().flatten().min()
    }

    /// Whether the page that it reads was cut off.
    pub(super) fn is_cut(&self) -> bool {
        self.guest.is_cut()
    }

    /// Takes leave of the pages.
    pub(super) fn leave(&mut self, pages: &mut dyn Pages) {
        self.guest.leave(pages);
    }

    /// Goes on as far as it can for now.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) -> Fate {
        self.exchange(turn).unwrap_or(Fate::Dropped)
    }

    fn exchange(&mut self, turn: &mut Turn<'_>) -> io::Result<Fate> {
        let mut budget = BUDGET;
        loop {
            if self.readable && !self.ended {
                let flow = receive(&mut self.stream, &mut self.rx, true)?;
                self.ended = flow == Flow::Ended;
                self.readable = flow == Flow::Done;
            }
            // An encrypted connection has words of its own, and may hold back some of ours.
            let held = self.stream.unflushed();
            self.stream.flush()?;
            if let Some(by) = self.lingers {
                return Ok(self.linger(by, turn.now));
            }
            let idle = self.exporter.is_idle();
            let stepped = self.step(turn)?;
            let (sent, blocked) = self.send(turn, &mut budget)?;
            if self.exporter.is_idle() && !idle || sent > 0 {
                self.since = turn.now;
            }
            if let Some(taken) = self.stream.unflushed() {
                return Ok(self.stalled(turn.now, sent > 0 || held != Some(taken)));
            }
            if blocked {
                return Ok(self.stalled(turn.now, sent > 0));
            }
            self.stalls = None;
            if self.exporter.body_left().is_none() {
                self.page_by = None;
            }
            if self.exporter.is_done() {
                self.say_goodbye(turn.now);
                continue;
            }
            if !stepped && sent == 0 {
                // Who has said all, and is owed nothing, has gone.
                let gone = self.ended && self.exporter.is_idle();
                return Ok(if gone { Fate::Over } else { Fate::Waits });
            }
            if budget == 0 {
                return Ok(Fate::More);
            }
        }
    }

    /// Lets the exporter speak; whether anything came of it.
    fn step(&mut self, turn: &mut Turn<'_>) -> io::Result<bool> {
        if !self.exporter.is_answering() && self.tx.is_empty() {
            self.fields.clear();
            self.fields.push_str(turn.date);
            self.fields.push_str(&turn.house.config.fields);
        }
        // What was said before goes out first.
        let room = if self.tx.is_empty() { &mut *turn.scratch } else { &mut [] };
        let mut desk = Desk {
            guest: &mut self.guest,
            house: turn.house,
            pages: turn.pages,
            fields: &self.fields,
            now: turn.now,
        };
        let done = self.exporter.step(&mut desk, self.rx.filled(), room, turn.now);
        let done = done.map_err(io::Error::other)?;
        self.rx.consume(done.consumed);
        if self.rx.is_empty() && self.rx.capacity() > SMALL {
            self.rx = Window::new(SMALL, Limits::DEFAULT.head);
        }
        // Straight to the socket; what it does not take is kept.
        if let Some(said) = turn.scratch.get(..done.produced).filter(|said| !said.is_empty()) {
            let taken = written(&mut self.stream, said)?.unwrap_or(0);
            count(turn.bytes, taken);
            self.tx.extend_from_slice(said.get(taken..).unwrap_or_default());
        }
        if self.page_by.is_none() && self.exporter.body_left().is_some() {
            let seconds = u64::try_from(self.guest.page_len() / LEAST_A_SECOND).unwrap_or(u64::MAX);
            self.page_by = Some(turn.now.saturating_add(PAGE).saturating_add(Duration::from_secs(seconds)));
        }
        Ok(!done.is_none())
    }

    /// Sends what was kept, then from the page itself: how much, and whether the socket takes no more.
    fn send(&mut self, turn: &mut Turn<'_>, budget: &mut usize) -> io::Result<(usize, bool)> {
        let mut sent = 0usize;
        while !self.tx.is_empty() {
            let Some(n) = written(&mut self.stream, &self.tx)? else { return Ok((sent, true)) };
            self.tx.drain(..n);
            count(turn.bytes, n);
            sent = sent.saturating_add(n);
        }
        if self.tx.capacity() > SMALL {
            self.tx = Vec::new();
        }
        while self.exporter.body_left().is_some_and(|left| left > 0) && *budget > 0 {
            let rest = self.guest.rest();
            let piece = rest.get(..rest.len().min(*budget)).unwrap_or_default();
            if piece.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some(n) = written(&mut self.stream, piece)? else { return Ok((sent, true)) };
            self.guest.passed(n);
            self.exporter.passed(u64::try_from(n).unwrap_or(u64::MAX));
            count(turn.bytes, n);
            *budget = budget.saturating_sub(n);
            sent = sent.saturating_add(n);
        }
        Ok((sent, false))
    }

    /// Who takes nothing for too long, or all too little, is shown out. What is taken then tells of a slow reader, for the
    /// kernel tells of room only when there is much of it; or of what had just become room, once.
    fn stalled(&mut self, now: Instant, moved: bool) -> Fate {
        if is_over(self.page_by, now) || (is_over(self.stalls, now) && !moved) {
            return Fate::Dropped;
        }
        if moved || self.stalls.is_none() {
            self.stalls = Some(now.saturating_add(STALL));
        }
        Fate::Waits
    }

    /// Nothing more comes from us. The socket stays for a while, for what still comes from there would make the kernel
    /// take back what was said last.
    fn say_goodbye(&mut self, now: Instant) {
        self.stream.say_goodbye();
        let _ = self.stream.socket().shutdown(Shutdown::Write);
        self.lingers = Some(now.saturating_add(LINGER));
        self.since = now;
        self.page_by = None;
        self.rx.consume(usize::MAX);
    }

    fn linger(&mut self, by: Instant, now: Instant) -> Fate {
        self.rx.consume(usize::MAX);
        match (self.ended || now >= by, self.readable) {
            (true, _) => Fate::Over,
            (false, true) => Fate::More,
            (false, false) => Fate::Waits,
        }
    }
}

fn is_over(by: Option<Instant>, now: Instant) -> bool {
    by.is_some_and(|by| now >= by)
}

/// Writes some of it: how much, or nothing where the socket takes none for now.
fn written(stream: &mut Stream<TcpStream>, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => return Ok(Some(n)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn count(bytes: &mut u64, more: usize) {
    *bytes = bytes.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
}

/// What an idle connection has.
const SMALL: usize = 1 << 10;
/// What one connection may send before the others have their turn.
const BUDGET: usize = 1 << 20;
/// How long a client may take nothing.
const STALL: Duration = Duration::from_secs(30);
/// How long it may take for a page, and what more it must take each second of a long one.
const PAGE: Duration = Duration::from_secs(60);
const LEAST_A_SECOND: usize = 64 << 10;
/// How long a connection stays once all is said.
const LINGER: Duration = Duration::from_secs(2);
