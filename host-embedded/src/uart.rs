//! The agent on a serial line: a chip without a network is a domain of the pmcd behind that line.
//!
//! On the computer `pmbridge pmda --serial` relays between pmcd and what is here; the line between them is that of
//! [`pmbridge_core::serial`]. A port is whatever embedded-io can read and write without waiting:
//!
//! ```
//! use pmbridge_embedded::{
//!     Next,
//!     metrics::{self, Entry},
//!     time::{Instant, Timestamp},
//!     uart::{self, Context, Fixed, Store, Uart},
//! };
//! use embedded_io::{Read, ReadReady, Write, WriteReady};
//!
//! /// One source with at most 16 metrics and 32 series, and 2 KiB of names, help and labels.
//! type Memory = Fixed<1, 16, 32, 0, 128, 2048>;
//!
//! fn run(
//!     table: &[Entry],
//!     store: &mut Store<Memory>,
//!     port: &mut (impl Read + Write + ReadReady + WriteReady),
//!     now: fn() -> Instant,
//!     sleep: fn(Option<Instant>),
//! ) -> Result<(), metrics::Error> {
//!     let source = store.add_source("device", "", Some(1))?;
//!     metrics::declare(table, store, source)?;
//!     let mut uart = Uart::<256, 256, 512>::new(&uart::Settings { baud: 115_200, boot: 0 });
//!     loop {
//!         let wall = Timestamp::default();
//!         let polled = uart.poll(&mut Context { store, now: now(), wall }, port);
//!         // Somebody waits for values. An answer that is half out has promised its length.
//!         if !polled.is_busy && store.wanted(0).is_some() {
//!             metrics::publish(table, store, source);
//!             continue;
//!         }
//!         match polled.next {
//!             Next::Now => {}
//!             Next::At(at) => sleep(Some(at)), // until then, or until the port has or takes a byte
//!             Next::Idle => sleep(None),
//!         }
//!     }
//! }
//! ```
//!
//! Beside an agent with a network it shares what that one knows: `agent.beside(now, wall, |cx| uart.poll(cx,
//! &mut port).is_busy)`.

use embedded_io::{Read, ReadReady, Write, WriteReady};
use pmbridge_core::{
    role::{
        Role,
        agent::{self, Agent},
    },
    serial::{Event, Listener, Pace, frame::PAYLOAD},
    store::Storage,
    time::{Duration, Instant},
    wire::drop_front,
};

use crate::Next;

pub use pmbridge_core::{
    role::Context,
    store::{Fixed, Store},
};

/// What a chip says of itself and of its line.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "the firmware chooses all of it")]
pub struct Settings {
    /// Bits in a second, 9600 at least.
    pub baud: u32,
    /// A number that differs between boots as well as the chip can make it: a random one, a counter that is kept, a
    /// wall clock. With 0 all goes well too, save that a boot in the very moment in which a session opens may go
    /// unnoticed.
    pub boot: u32,
}

/// How it fares after a [`poll`](Uart::poll).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "it says all")]
pub struct Polled {
    /// When to poll again.
    pub next: Next,
    /// An answer is half out, so that the store must stay as it is. One whose reader is gone ends after 5 s, one that is
    /// taken slowly after a minute, or after 9 s where others of the same store wait for what it holds back.
    pub is_busy: bool,
}

/// The agent on one line.
///
/// `ROOM` bytes hold what went out until the computer has acknowledged it: the line is never idle where they are as
/// many as it carries in 0.1 s; 256 do. `PROFILE` and `MEMORY` are bytes of the longest profile and of the longest
/// request ([`Agent::with_memory`]).
#[derive(Debug)]
pub struct Uart<const ROOM: usize, const PROFILE: usize, const MEMORY: usize> {
    link: Listener<ROOM>,
    agent: Agent<PROFILE, [u8; MEMORY]>,
    /// Bytes of the stream that the agent has not taken yet.
    window: [u8; PAYLOAD],
    filled: usize,
    /// Bytes off the line that the link has not taken yet, and those for it that the port has not.
    line: Staged,
    out: Staged,
    /// Since when an answer is half out.
    half_out: Option<Instant>,
    sessions: u32,
    faults: u32,
}

impl<const ROOM: usize, const PROFILE: usize, const MEMORY: usize> Uart<ROOM, PROFILE, MEMORY> {
    /// A line on which nothing came yet.
    pub const fn new(settings: &Settings) -> Self {
        Self {
            link: Listener::new(Pace::of_baud(settings.baud), settings.boot, 0),
            agent: Agent::with_memory(AGENT, [0; MEMORY]),
            window: [0; PAYLOAD],
            filled: 0,
            line: Staged::new(),
            out: Staged::new(),
            half_out: None,
            sessions: 0,
            faults: 0,
        }
    }

    /// Moves what can be moved without waiting, no more than a few frames.
    ///
    /// To be called when the port has bytes or takes some, when a source was scraped or published, and when it said so
    /// the last time. A port's errors are bytes that are lost, as others are.
    pub fn poll<S: Storage, P>(&mut self, cx: &mut Context<'_, S>, port: &mut P) -> Polled
    where
        P: Read + Write + ReadReady + WriteReady,
    {
        // The relay translates it into that of pmcd.conf.
        self.link.set_domain(cx.store.domain());
        if self.line.is_empty() && port.read_ready().unwrap_or(false) {
            match port.read(&mut self.line.bytes) {
                Ok(n) => self.line.fill(n),
                Err(_) => self.faults = self.faults.wrapping_add(1),
            }
        }
        let mut moved = self.receive(cx);
        moved |= self.answer(cx);
        let ends = self.ends(cx);
        if ends <= cx.now {
            self.link.close();
            self.begin();
            moved = true;
        }
        moved |= self.transmit(cx.now, port);
        let at = |deadline: Option<Instant>| deadline.unwrap_or(Instant::NEVER);
        let next = match at(self.link.deadline()).min(at(Role::<S>::deadline(&self.agent))).min(ends) {
            _ if moved => Next::Now,
            Instant::NEVER => Next::Idle,
            by => Next::At(by),
        };
        Polled { next, is_busy: Role::<S>::is_busy(&self.agent) }
    }

    /// When an answer that is half out has taken too long.
    fn ends<S: Storage>(&mut self, cx: &Context<'_, S>) -> Instant {
        let is_busy = Role::<S>::is_busy(&self.agent);
        self.half_out = is_busy.then(|| self.half_out.unwrap_or(cx.now));
        let all = if cx.store.is_held() { HOLDS } else { ANSWER };
        self.half_out.map_or(Instant::NEVER, |since| since.saturating_add(all))
    }

    /// Whether the computer is there.
    pub const fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// How many sessions there were.
    pub const fn sessions(&self) -> u32 {
        self.sessions
    }

    /// How often the port has reported an error.
    pub const fn faults(&self) -> u32 {
        self.faults
    }

    /// Takes what came off the line into the window.
    fn receive<S: Storage>(&mut self, cx: &mut Context<'_, S>) -> bool {
        let mut moved = false;
        loop {
            let room = self.window.get_mut(self.filled..).unwrap_or_default();
            let got = self.link.receive(self.line.left(), room, cx.now);
            self.line.consume(got.consumed);
            self.filled = self.filled.saturating_add(got.produced);
            moved |= got.consumed > 0;
            if let Some(event) = got.event {
                self.sessions = self.sessions.wrapping_add(u32::from(matches!(event, Event::Opened { .. })));
                self.begin();
                moved = true;
            } else if self.line.is_empty() || got.produced == 0 {
                return moved;
            }
            // What the agent takes makes room for the rest of the line's bytes.
            moved |= self.answer(cx);
        }
    }

    /// Lets the agent take and answer what it can.
    #[inline(never)]
    fn answer<S: Storage>(&mut self, cx: &mut Context<'_, S>) -> bool {
        let mut moved = false;
        while self.link.is_open() {
            let input = self.window.get(..self.filled).unwrap_or_default();
            let Ok(progress) = self.agent.step(cx, input, self.link.room()) else {
                self.link.close();
                self.begin();
                return true;
            };
            if progress.is_none() {
                break;
            }
            self.link.send(progress.produced);
            let consumed = progress.consumed.min(self.filled);
            drop_front(self.window.get_mut(..self.filled).unwrap_or_default(), consumed);
            self.filled = self.filled.saturating_sub(consumed);
            moved = true;
        }
        moved
    }

    /// A session begins or is over: so do the conversation and its promises.
    fn begin(&mut self) {
        self.agent = Agent::with_memory(AGENT, [0; MEMORY]);
        self.filled = 0;
    }

    /// Gives the port what it takes.
    fn transmit<P: Write + WriteReady>(&mut self, now: Instant, port: &mut P) -> bool {
        let mut written = 0_usize;
        while written < CHUNK {
            if self.out.is_empty() {
                self.out.fill_from(|| self.link.transmit(now));
            }
            if self.out.is_empty() || !port.write_ready().unwrap_or(false) {
                break;
            }
            match port.write(self.out.left()) {
                Ok(0) => break,
                Ok(n) => self.out.consume(n),
                Err(_) => {
                    self.faults = self.faults.wrapping_add(1);
                    break;
                }
            }
            written = written.saturating_add(1);
        }
        written > 0
    }
}

/// A few bytes between the link and the port, which takes or brings as many as it likes.
#[derive(Debug)]
struct Staged {
    bytes: [u8; CHUNK],
    from: usize,
    to: usize,
}

impl Staged {
    const fn new() -> Self {
        Self { bytes: [0; CHUNK], from: 0, to: 0 }
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }

    const fn is_empty(&self) -> bool {
        self.from == self.to
    }

    fn consume(&mut self, n: usize) {
        self.from = self.from.saturating_add(n).min(self.to);
    }

    /// Says that the first `n` bytes were put in.
    fn fill(&mut self, n: usize) {
        (self.from, self.to) = (0, n.min(CHUNK));
    }

    fn fill_from(&mut self, mut next: impl FnMut() -> Option<u8>) {
        (self.from, self.to) = (0, 0);
        for place in &mut self.bytes {
            let Some(byte) = next() else { break };
            *place = byte;
            self.to = self.to.saturating_add(1);
        }
    }
}

/// How the agent behaves. A relay waits 4 s for an answer; it is not told who is ready, nor who asks.
const AGENT: agent::Settings =
    agent::Settings { pid: 0, announces_ready: false, patience: Duration::from_millis(3500) };

/// How long an answer may be half out.
const ANSWER: Duration = Duration::from_secs(60);
/// How long where others wait for what it holds back, who give up after 10 s. In 5 s pmcd has given it up, if it is not
/// told otherwise.
const HOLDS: Duration = Duration::from_secs(9);

/// Bytes that are read at once, and how often is written at once.
const CHUNK: usize = 32;
