//! A peer is who asks: pmcd over its pipe, or a PCP client over a socket, with the role that answers it.

use std::io;

use mio::net::TcpStream;
use pmbridge_core::{
    role::{Context, Progress, Role as _, agent::Agent, collector::Collector},
    time::{Duration, Instant},
};

use crate::conn::{Flow, Pipe, Tx, Window, receive, send};
use crate::memory::Memory;

/// The role that answers a peer. Profiles of pmcd may be as long as any client's PDU, those of a client share its room.
pub(crate) enum Side {
    /// pmcd.
    Agent(Pipe, Box<Agent<65536>>),
    /// A PCP client.
    Collector(TcpStream, Box<Collector<16384, 4>>),
}

/// How a peer fares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays.
    Stays,
    /// It left.
    Left,
    /// It was shown out.
    Dropped(String),
}

/// Who asks, and the bytes between us.
pub(crate) struct Peer {
    side: Side,
    rx: Window,
    tx: Tx,
    /// It may have sent more.
    pub(crate) ready: bool,
    /// When it must have taken what is pending.
    stalls: Option<Instant>,
    no_more: bool,
    /// When a client must have said who it is.
    greet_by: Instant,
}

impl Peer {
    pub(crate) fn new(side: Side, now: Instant) -> Self {
        let most = match side {
            Side::Agent(..) => AGENT_REQUEST,
            Side::Collector(..) => CLIENT_REQUEST,
        };
        Self {
            side,
            rx: Window::new(SMALL, most),
            tx: Tx::new(SMALL, ANSWER),
            ready: true,
            stalls: None,
            no_more: false,
            greet_by: now.saturating_add(GREET),
        }
    }

    /// Whether an answer is half out, so that the store must stay as it is.
    pub(crate) fn is_busy(&self) -> bool {
        match &self.side {
            Side::Agent(_, role) => pmbridge_core::role::Role::<Memory>::is_busy(&**role),
            Side::Collector(_, role) => pmbridge_core::role::Role::<Memory>::is_busy(&**role),
        }
    }

    /// Whether pmcd may ask; of a client, always.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.side {
            Side::Agent(_, role) => role.is_ready(),
            Side::Collector(..) => true,
        }
    }

    /// When to look at it again though nothing has come.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let greet = (!self.is_greeted()).then_some(self.greet_by);
        [self.role_deadline(), self.stalls, greet].into_iter().flatten().min()
    }

    fn role_deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Agent(_, role) => pmbridge_core::role::Role::<Memory>::deadline(&**role),
            Side::Collector(_, role) => pmbridge_core::role::Role::<Memory>::deadline(&**role),
        }
    }

    fn is_greeted(&self) -> bool {
        match &self.side {
            Side::Agent(..) => true,
            Side::Collector(_, role) => role.is_greeted(),
        }
    }

    /// Moves bytes as far as they go for now.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Fate {
        match self.exchange(cx) {
            Ok(Fate::Stays) if !self.is_greeted() && cx.now >= self.greet_by => {
                Fate::Dropped("client did not say who it is in time".into())
            }
            Ok(fate) => fate,
            Err(error) => Fate::Dropped(error.to_string()),
        }
    }

    fn exchange(&mut self, cx: &mut Context<'_, Memory>) -> io::Result<Fate> {
        loop {
            if self.ready && !self.no_more {
                let flow = match &mut self.side {
                    Side::Agent(pipe, _) => receive(pipe, &mut self.rx, true)?,
                    Side::Collector(stream, _) => receive(stream, &mut self.rx, true)?,
                };
                self.no_more = flow == Flow::Ended;
                self.ready = flow == Flow::Done;
            }
            let moved = match self.step(cx) {
                Ok(moved) => moved,
                Err(why) => return Ok(Fate::Dropped(why)),
            };
            let flow = self.send()?;
            if flow == Flow::Ended || self.no_more {
                return Ok(Fate::Left);
            }
            if !self.tx.is_empty() {
                return Ok(self.stalled(cx.now, moved));
            }
            self.stalls = None;
            if self.tx_is_large() {
                self.tx = Tx::new(SMALL, ANSWER);
            }
            if !moved && !self.ready {
                return Ok(Fate::Stays);
            }
            if !moved && self.rx.is_full() && !self.rx.grow() {
                // Requests that came behind one that waits are no longer request.
                let waits = self.role_deadline().is_some();
                return Ok(if waits {
                    Fate::Stays
                } else {
                    Fate::Dropped("request is longer than its limit".into())
                });
            }
        }
    }

    /// Lets the role answer what it can; whether anything moved.
    fn step(&mut self, cx: &mut Context<'_, Memory>) -> Result<bool, String> {
        let mut moved = false;
        loop {
            // A client that asks without taking answers waits with its next request until it has taken some.
            if !self.is_busy() && self.tx.pending().len() >= ROOM {
                return Ok(moved);
            }
            let room = self.tx.room(ROOM);
            let Progress { consumed, produced } = match &mut self.side {
                Side::Agent(_, role) => role.step(cx, self.rx.filled(), room).map_err(|e| e.to_string())?,
                Side::Collector(_, role) => {
                    role.step(cx, self.rx.filled(), room).map_err(|e| e.to_string())?
                }
            };
            self.rx.consume(consumed);
            self.tx.produce(produced);
            if consumed == 0 && produced == 0 {
                return Ok(moved);
            }
            moved = true;
            // Who takes a long answer as it comes need not have it kept whole.
            if self.tx.pending().len() >= FLUSH {
                self.send().map_err(|error| error.to_string())?;
            }
        }
    }

    fn send(&mut self) -> io::Result<Flow> {
        match &mut self.side {
            Side::Agent(pipe, _) => send(pipe, &mut self.tx),
            Side::Collector(stream, _) => send(stream, &mut self.tx),
        }
    }

    /// A peer that takes nothing for too long is shown out.
    fn stalled(&mut self, now: Instant, moved: bool) -> Fate {
        match self.stalls {
            Some(by) if now >= by => Fate::Dropped("does not take its answer".into()),
            Some(_) if !moved => Fate::Stays,
            _ => {
                self.stalls = Some(now.saturating_add(STALL));
                Fate::Stays
            }
        }
    }

    fn tx_is_large(&self) -> bool {
        self.tx.capacity() > LARGE
    }
}

/// Windows begin with this.
const SMALL: usize = 4 << 10;
/// What a role is offered to write to.
const ROOM: usize = 64 << 10;
/// So much of an answer is sent before the rest is made.
const FLUSH: usize = 256 << 10;
/// Buffers over this do not outlive the answer that needed them.
const LARGE: usize = 1 << 20;
/// A client's PDU, as pmcd has it, and the beginning of the next.
const CLIENT_REQUEST: usize = 128 << 10;
/// pmcd's PDUs have no limit; this one is a fetch of four million metrics.
const AGENT_REQUEST: usize = 16 << 20;
/// An answer of ten million values.
const ANSWER: usize = 256 << 20;
/// How long a client may take to say who it is.
const GREET: Duration = Duration::from_secs(5);
/// How long a peer may take nothing of an answer.
const STALL: Duration = Duration::from_secs(10);
