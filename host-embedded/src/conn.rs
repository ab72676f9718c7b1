//! One connection: its socket, how a role goes on over it, and how long it has been where it is.
//!
//! A role reads a linear window, which smoltcp's ring is not: what came and was not consumed yet is copied into one that
//! all connections share, for the time of a step. Answers go straight into the ring, for a role goes on at any byte.

use pmbridge_core::{
    role::Progress,
    time::{Duration, Instant},
};
use smoltcp::{
    iface::SocketHandle,
    socket::tcp::{Socket, State},
};

/// The conversation cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over;

/// How far a connection got.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Something was consumed, or written.
    pub(crate) worked: bool,
    /// The window is full of what the role cannot take.
    pub(crate) stuck: bool,
}

/// What a role does with what came and with room for what it says.
pub(crate) type Step<'s> = &'s mut dyn FnMut(&[u8], &mut [u8]) -> Result<Progress, Over>;

/// Lets a role go on, a few steps at most. `window` is for what came, and as long as a receive buffer.
pub(crate) fn pump(socket: &mut Socket<'_>, window: &mut [u8], step: Step<'_>) -> Result<Moved, Over> {
    let mut moved = Moved::default();
    for _ in 0..STEPS {
        let len = socket.peek_slice(window).unwrap_or(0);
        let input = window.get(..len).unwrap_or_default();
        let stepped = offer(socket, &mut |room| step(input, room));
        let progress = stepped?;
        drop_front(socket, progress.consumed);
        moved.worked |= !progress.is_none();
        if progress.is_none() {
            break;
        }
    }
    Ok(moved)
}

/// Lets a role that has nothing to say take in one window of what came.
pub(crate) fn take(socket: &mut Socket<'_>, window: &mut [u8], step: Step<'_>) -> Result<Moved, Over> {
    let len = socket.peek_slice(window).unwrap_or(0);
    let progress = step(window.get(..len).unwrap_or_default(), &mut [])?;
    drop_front(socket, progress.consumed);
    let consumed = progress.consumed > 0;
    Ok(Moved { worked: consumed, stuck: !consumed && len == window.len() })
}

/// Consumes what a role has taken.
fn drop_front(socket: &mut Socket<'_>, consumed: usize) {
    let mut left = consumed;
    while left > 0 {
        // A ring gives what lies before its end, then what lies behind.
        let dropped = socket.recv(|bytes| {
            let n = bytes.len().min(left);
            (n, n)
        });
        match dropped {
            Ok(n) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}

/// Steps a role with the room that a socket has.
fn offer(
    socket: &mut Socket<'_>,
    step: &mut dyn FnMut(&mut [u8]) -> Result<Progress, Over>,
) -> Result<Progress, Over> {
    let free = socket.send_capacity().saturating_sub(socket.send_queue());
    let mut bounce = [0; BOUNCE];
    // A peer that closed its half still gets its answers; one that is gone can only be read.
    if !socket.may_send() || free == 0 {
        return step(&mut []);
    }
    let mut offered = None;
    say(socket, &mut |room| {
        // Chunks need more room than the ring may have before its end.
        if room.len() < BOUNCE && room.len() < free {
            return 0;
        }
        let stepped = step(room);
        offered = Some(stepped);
        stepped.map_or(0, |progress| progress.produced)
    });
    if let Some(stepped) = offered {
        return stepped;
    }
    let room = bounce.get_mut(..free.min(BOUNCE)).unwrap_or_default();
    let stepped = step(room);
    let produced = stepped.map_or(0, |progress| progress.produced);
    let mut rest = bounce.get(..produced).unwrap_or_default();
    // What lies before the ring's end, then what lies behind.
    for _ in 0..2 {
        say(socket, &mut |room| {
            let (now, later) = rest.split_at_checked(room.len()).unwrap_or((rest, &[]));
            room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            rest = later;
            now.len()
        });
    }
    stepped
}

/// Lets somebody write into a socket: how many bytes it was.
#[inline(never)]
pub(crate) fn say(socket: &mut Socket<'_>, write: &mut dyn FnMut(&mut [u8]) -> usize) {
    let _ = socket.send(|room| (write(room), ()));
}

/// The socket of a connection, and since when it is what it is.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) handle: Option<SocketHandle>,
    state: State,
    /// When it came to this state of TCP's.
    since: Instant,
    /// When it moved last, in either direction.
    moved: Instant,
    /// When the first byte of a request came that is not whole yet.
    asking: Option<Instant>,
    /// When the answer that is going out began to.
    telling: Option<Instant>,
    /// What was not acknowledged, and what was not consumed, when it was looked at last.
    queues: (usize, usize),
}

/// What a connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has none: nobody is connected.
    Free,
    /// It is being made or unmade.
    Between,
    /// It has just been made.
    New,
    /// It goes on.
    Goes,
    /// Its time is up.
    Late,
}

/// How much a connection is worth to who needs its place; the least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// It is half open, or half closed.
    Half,
    /// It has said nothing yet.
    Mute,
    /// It has said something, and now it is idle.
    Idle,
}

impl Line {
    /// Of no socket.
    pub(crate) const NONE: Self = Self {
        handle: None,
        state: State::Closed,
        since: Instant::START,
        moved: Instant::START,
        asking: None,
        telling: None,
        queues: (0, 0),
    };

    /// Looks at where TCP is. A free socket listens again, for smoltcp keeps nobody waiting.
    pub(crate) fn look(&mut self, socket: &mut Socket<'_>, port: u16, now: Instant) -> Fate {
        let before = self.state;
        self.state = socket.state();
        if self.state != before {
            self.since = now;
        }
        let age = now.saturating_since(self.since);
        // What an earlier turn aborted has been told so by now, and who has ended gets the last acknowledgement first.
        let lingers = self.state == State::TimeWait && age < LINGER;
        if !socket.is_open() && !lingers && socket.listen(port).is_ok() {
            (self.state, self.since) = (State::Listen, now);
        }
        match self.state {
            State::Listen | State::Closed | State::TimeWait => {
                self.forget(now);
                Fate::Free
            }
            State::SynReceived | State::SynSent => {
                if age < HALF_OPEN {
                    Fate::Between
                } else {
                    Fate::Late
                }
            }
            State::Established | State::CloseWait => {
                let is_new = !matches!(before, State::Established | State::CloseWait);
                if is_new {
                    self.forget(now);
                }
                if is_new { Fate::New } else { Fate::Goes }
            }
            _ => {
                if age < HALF_CLOSED {
                    Fate::Goes
                } else {
                    Fate::Late
                }
            }
        }
    }

    /// A step has brought it so far. Bytes that were acknowledged, or that have come, are movement, too: where an answer
    /// goes on, there was room for it.
    pub(crate) fn note(
        &mut self,
        socket: &Socket<'_>,
        moved: Moved,
        (is_asking, is_telling): (bool, bool),
        now: Instant,
    ) {
        let queues = (socket.send_queue(), socket.recv_queue());
        if moved.worked || queues != self.queues {
            (self.queues, self.moved) = (queues, now);
        }
        self.asking = if is_asking { self.asking.or(Some(now)) } else { None };
        self.telling = if is_telling { self.telling.or(Some(now)) } else { None };
    }

    /// When its time is up, if it does nothing until then. `is_owed` says whether somebody waits for what an answer
    /// that is half out holds back.
    pub(crate) fn deadline(&self, is_owed: bool) -> Instant {
        let lasts = match self.state {
            State::Listen | State::Closed => return Instant::NEVER,
            State::Established | State::CloseWait => return self.talks_until(is_owed),
            State::TimeWait => LINGER,
            State::SynReceived | State::SynSent => HALF_OPEN,
            _ => HALF_CLOSED,
        };
        self.since.saturating_add(lasts)
    }

    /// The same while it is connected.
    fn talks_until(&self, is_owed: bool) -> Instant {
        let mut until = self.asking.map_or(Instant::NEVER, |since| since.saturating_add(REQUEST));
        if let Some(since) = self.telling {
            let (all, still) = if is_owed { (HOLDS, HOLDS_STILL) } else { (ANSWER, STALLED) };
            until = until.min(since.saturating_add(all)).min(self.moved.saturating_add(still));
        }
        if self.queues.0 > 0 {
            until = until.min(self.moved.saturating_add(UNREAD));
        }
        until
    }

    /// Since when it is connected.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// Whether its place may be had by another, and for how little: none of those that were used just now. One that is
    /// idle has `patience` until it is asked something again.
    pub(crate) fn worth(
        &self,
        (is_mute, is_idle): (bool, bool),
        patience: Duration,
        now: Instant,
    ) -> Option<(Worth, Instant)> {
        let (worth, last, floor) = match self.state {
            State::Listen | State::Closed | State::TimeWait => return None,
            State::Established | State::CloseWait if is_mute => (Worth::Mute, self.moved, MUTE),
            State::Established | State::CloseWait if is_idle => (Worth::Idle, self.moved, patience),
            State::Established | State::CloseWait => return None,
            // All that was said has arrived, and nobody is heard any more.
            State::FinWait2 => (Worth::Half, self.since, Duration::ZERO),
            _ => (Worth::Half, self.since, HALF),
        };
        (now.saturating_since(last) >= floor).then_some((worth, last))
    }

    /// Another has its place: what comes is a new connection.
    pub(crate) const fn vacate(&mut self) -> Option<SocketHandle> {
        self.state = State::Closed;
        self.handle
    }

    /// Whether it is half open.
    pub(crate) const fn is_half_open(&self) -> bool {
        matches!(self.state, State::SynReceived)
    }

    const fn forget(&mut self, now: Instant) {
        (self.moved, self.asking, self.telling, self.queues) = (now, None, None, (0, 0));
    }
}

/// What is configured once for each socket.
pub(crate) fn prepare(socket: &mut Socket<'_>) {
    // Who is gone without a word is found, and who is idle for a minute is not dropped.
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket.set_timeout(Some(GONE));
    // An answer's end does not wait for the acknowledgement of its beginning.
    socket.set_nagle_enabled(false);
}

/// Bytes that an answer is given in one piece.
const BOUNCE: usize = 64;
/// Steps of a role in one turn: the ring's end, and its beginning.
const STEPS: usize = 2;
/// How long the handshake may take: two repeated segments.
const HALF_OPEN: Duration = Duration::from_secs(4);
/// How long a connection that has ended stays for its last acknowledgement, which smoltcp delays.
const LINGER: Duration = Duration::from_millis(20);
/// How long the end may take.
const HALF_CLOSED: Duration = Duration::from_secs(5);
/// How long a request may take to come.
const REQUEST: Duration = Duration::from_secs(10);
/// How long an answer may stand still where nobody waits for what it holds back.
const STALLED: Duration = Duration::from_secs(5);
/// How long it may take as a whole.
const ANSWER: Duration = Duration::from_secs(15);
/// How long it may stand still where somebody does: a segment that was lost is sent again after a second.
const HOLDS_STILL: Duration = Duration::from_millis(1500);
/// How long it may then take as a whole. Clients give up after 10 s.
const HOLDS: Duration = Duration::from_secs(5);
/// How long the rest of an answer may wait in the socket alone.
const UNREAD: Duration = Duration::from_secs(20);
/// How long a connection that has said nothing has its place before another may have it.
const MUTE: Duration = Duration::from_secs(2);
/// The same of one that is half open or half closed.
const HALF: Duration = Duration::from_secs(1);
const KEEP_ALIVE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(10);
const GONE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(35);
