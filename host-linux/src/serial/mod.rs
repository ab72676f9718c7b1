//! `pmbridge pmda --serial`: a chip at the end of a serial line is a domain of pmcd.
//!
//! Core's [`Relay`] stands between pmcd and the chip's own agent, core's [`Opener`] keeps the line's bytes in order,
//! and this loop moves the bytes of both. Nothing that becomes of chip, line or adapter ends it: pmcd starts an agent
//! that has gone no more than once a minute, so this one does not go.

mod tty;

use std::ffi::OsStr;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Instant as Clock;

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use pmbridge_core::{
    role::relay::{Far, Relay, Settings, Side},
    serial::{Event, Opener, Pace},
    time::{Duration, Instant},
};

use crate::conn::{Flow, Pipe, Tx, Window, receive, send};
use crate::log::Log;
use crate::signals::Signals;
use tty::Tty;

/// Which line, and how fast it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) path: PathBuf,
    pub(crate) baud: u32,
}

impl Line {
    /// Reads `PATH[,BAUD]`; `None` where the speed is none that lines have.
    pub(crate) fn parse(text: &OsStr) -> Option<Self> {
        let split = text.to_str().and_then(|text| text.rsplit_once(','));
        let (path, baud) = match split.map(|(path, baud)| (path, baud.parse())) {
            Some((path, Ok(baud))) => (path.into(), baud),
            Some((_, Err(_))) => return None,
            None => (text.into(), 115_200),
        };
        tty::is_speed(baud).then_some(Self { path, baud })
    }
}

/// Relays until pmcd goes.
pub(crate) fn run(line: Line, settings: Settings, log: Log, pipe: Pipe) -> io::Result<()> {
    Bridge::new(line, settings, log, pipe)?.run()
}

/// How this process is an agent for pmcd.
pub(crate) fn settings(domain: u16, announces_ready: bool) -> Settings {
    Settings { pid: std::process::id(), announces_ready, domain, patience: PATIENCE }
}

/// Everything that one run has.
struct Bridge {
    line: Line,
    log: Log,
    poll: Poll,
    signals: Signals,
    epoch: Clock,
    pipe: Pipe,
    /// What came from pmcd, and what goes there.
    rx: Window,
    tx: Tx,
    relay: Box<Relay<PROFILE>>,
    link: Opener<ROOM>,
    /// What came in this session, and the domain that the chip says.
    far: Window,
    domain: u16,
    tty: Option<Tty>,
    /// Bytes that the line has not taken yet.
    out: Window,
    /// When the line is to be opened again.
    open_at: Instant,
    /// Since when there is no session, where there is none.
    sought: Option<Instant>,
    /// What the log has said last.
    told: Told,
}

/// What who reads the log knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// The line cannot be opened.
    NoLine,
    /// Nobody answers there.
    Silent,
    Answers,
}

impl Bridge {
    fn new(line: Line, settings: Settings, log: Log, pipe: Pipe) -> io::Result<Self> {
        let poll = Poll::new()?;
        let signals = Signals::of_end(poll.registry(), SIGNALS)?;
        poll.registry().register(&mut SourceFd(&pipe.input()), PMCD, Interest::READABLE)?;
        let link = Opener::new(Pace::of_baud(line.baud), random());
        Ok(Self {
            line,
            log,
            poll,
            signals,
            epoch: Clock::now(),
            pipe,
            rx: Window::new(SMALL, REQUEST),
            tx: Tx::new(SMALL, ANSWER),
            relay: Box::new(Relay::new(settings)),
            link,
            far: Window::new(SMALL, ANSWER),
            domain: 0,
            tty: None,
            out: Window::new(CHUNK, CHUNK),
            open_at: Instant::START,
            sought: Some(Instant::START),
            told: Told::Nothing,
        })
    }

    /// Runs until a signal, or until pmcd goes.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        loop {
            if receive(&mut self.pipe, &mut self.rx, true)? == Flow::Ended {
                self.log.info("pmcd has gone");
                return Ok(());
            }
            self.turn()?;
            match self.poll.poll(&mut events, self.wait()) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if events.iter().any(|event| event.token() == SIGNALS) && self.signals.has_come() {
                self.log.info("asked to end");
                return Ok(());
            }
        }
    }

    /// Moves everything that can be moved.
    fn turn(&mut self) -> io::Result<()> {
        self.open();
        loop {
            let mut moved = self.hear();
            moved |= self.step()?;
            moved |= self.say();
            if !moved {
                break;
            }
        }
        self.tell();
        Ok(())
    }

    /// Opens the line where it is not, once a second.
    fn open(&mut self) {
        let now = self.now();
        if self.tty.is_some() || now < self.open_at {
            return;
        }
        let opened = Tty::open(&self.line.path, self.line.baud).and_then(|tty| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut SourceFd(&tty.fd()), LINE, interest)?;
            Ok(tty)
        });
        match opened {
            Ok(tty) => {
                self.tty = Some(tty);
                self.out.fill(b"");
                // Who is there has some time to say so.
                self.sought = Some(now);
            }
            Err(error) => {
                self.open_at = now.saturating_add(AGAIN);
                if self.told != Told::NoLine {
                    self.told = Told::NoLine;
                    let path = self.line.path.display();
                    self.log.warning(format_args!("{path}: {error}; it is tried again every second"));
                }
            }
        }
    }

    /// The line has gone: what was on it is lost.
    fn close(&mut self, why: &dyn core::fmt::Display) {
        self.log.debug(format_args!("{}: {why}", self.line.path.display()));
        // A descriptor that is closed is no longer registered.
        self.tty = None;
        self.open_at = self.now().saturating_add(AGAIN);
        self.link.renew();
        self.lost();
    }

    /// The session is over.
    fn lost(&mut self) {
        self.far.fill(b"");
        let now = self.now();
        self.sought.get_or_insert(now);
    }

    /// Takes what came off the line; whether anything did.
    fn hear(&mut self) -> bool {
        let (now, mut bytes, mut moved) = (self.now(), [0; CHUNK], false);
        let read = match &mut self.tty {
            None => return false,
            Some(tty) => tty.read(&mut bytes),
        };
        let mut rest = match read {
            Ok(0) => {
                self.close(&"hung up");
                return true;
            }
            Ok(n) => bytes.get(..n).unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => &[],
            Err(error) => {
                self.close(&error);
                return true;
            }
        };
        loop {
            while self.far.is_full() && self.far.grow() {}
            let got = self.link.receive(rest, self.far.room(), now);
            self.far.produce(got.produced);
            rest = rest.get(got.consumed..).unwrap_or_default();
            moved |= got.consumed > 0 || got.event.is_some();
            match got.event {
                Some(Event::Opened { domain }) => {
                    self.log.debug(format_args!("session {:?} opens", self.link.session()));
                    self.far.fill(b"");
                    (self.domain, self.sought) = (domain, None);
                }
                Some(Event::Lost) => {
                    self.log.debug("session is lost");
                    self.lost();
                }
                None if rest.is_empty() => return moved,
                None => {}
            }
        }
    }

    /// Lets the relay go on; whether it did.
    fn step(&mut self) -> io::Result<bool> {
        let (now, mut moved) = (self.now(), false);
        loop {
            let far = self.far(now);
            let pmcd = Side { input: self.rx.filled(), output: self.tx.room(ANSWER_PART) };
            let agent = Side { input: self.far.filled(), output: self.link.room() };
            let step = self.relay.step(far, now, pmcd, agent).map_err(io::Error::other)?;
            self.rx.consume(step.pmcd.consumed);
            self.tx.produce(step.pmcd.produced);
            self.far.consume(step.far.consumed);
            self.link.send(step.far.produced);
            if step.renew {
                self.log.debug("session is given up");
                self.link.renew();
                self.lost();
            }
            // pmcd takes it at once: it waits for nothing else.
            if send(&mut self.pipe, &mut self.tx)? == Flow::Ended {
                return Ok(false);
            }
            if step.is_none() {
                return Ok(moved);
            }
            moved = true;
        }
    }

    /// Gives the line what it takes; whether it took anything.
    fn say(&mut self) -> bool {
        let (now, mut moved) = (self.now(), false);
        loop {
            let Some(tty) = &mut self.tty else { return moved };
            if self.out.is_empty() {
                let room = self.out.room();
                let mut n = 0_usize;
                for (place, byte) in room.iter_mut().zip(core::iter::from_fn(|| self.link.transmit(now))) {
                    *place = byte;
                    n = n.saturating_add(1);
                }
                self.out.produce(n);
            }
            if self.out.is_empty() {
                return moved;
            }
            match tty.write(self.out.filled()) {
                Ok(n) => {
                    self.out.consume(n);
                    moved = true;
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return moved;
                }
                Err(error) => {
                    self.close(&error);
                    return true;
                }
            }
        }
    }

    /// How the chip fares, for those who ask.
    fn far(&self, now: Instant) -> Far {
        match (self.link.session(), self.sought) {
            (Some(session), None) => Far::There { session, domain: self.domain },
            (_, Some(since)) if self.tty.is_some() && now < since.saturating_add(SOON) => Far::Sought,
            _ => Far::Away,
        }
    }

    /// Tells in the log that the chip came or went, once.
    fn tell(&mut self) {
        let path = self.line.path.display();
        match self.far(self.now()) {
            Far::There { domain, .. } if self.told != Told::Answers => {
                self.told = Told::Answers;
                self.log.info(format_args!("{path}: the chip answers (domain {domain} there)"));
            }
            Far::Away if self.tty.is_some() && self.told != Told::Silent => {
                self.told = Told::Silent;
                self.log.warning(format_args!("{path}: nobody answers, until then metrics give 'Try again'"));
            }
            Far::Away if self.told == Told::Answers => {
                self.told = Told::NoLine;
                self.log.warning(format_args!("{path}: has gone; it is tried again every second"));
            }
            _ => {}
        }
    }

    fn wait(&self) -> Option<std::time::Duration> {
        let now = self.now();
        let away = self.sought.map(|since| since.saturating_add(SOON)).filter(|at| *at > now);
        let line = match &self.tty {
            None => Some(self.open_at),
            // What the line does not take, it says when it does; whether all is in vain, is looked at now and then.
            Some(_) if !self.out.is_empty() => Some(now.saturating_add(LOOK)),
            Some(_) => self.link.deadline(),
        };
        let next = line.into_iter().chain(away).chain(self.relay.deadline()).min()?;
        let left = next.saturating_since(now).millis();
        Some(std::time::Duration::from_millis(left.max(1)))
    }

    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// A number that no earlier run has begun its sessions with.
fn random() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let bits = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(bits >> 32).unwrap_or_default()
}

const SIGNALS: Token = Token(0);
const PMCD: Token = Token(1);
const LINE: Token = Token(2);
/// How long an answer may take: pmcd drops an agent after 5 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a chip that went is waited for by those who ask.
const SOON: Duration = Duration::from_millis(1500);
/// How often a line that is not there is looked for.
const AGAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of the longest profile: all that a client can send to pmcd.
const PROFILE: usize = 64 << 10;
/// Bytes on their way over the line that are not acknowledged.
const ROOM: usize = 4096;
const CHUNK: usize = 1024;
const SMALL: usize = 4 << 10;
/// pmcd's PDUs have no limit; a line carries no more in its time.
const REQUEST: usize = 1 << 20;
const ANSWER: usize = 4 << 20;
const ANSWER_PART: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_speed_that_is_said() {
        let line = |text: &str| Line::parse(OsStr::new(text)).map(|line| (line.path, line.baud));
        assert_eq!(line("/dev/ttyS0"), Some(("/dev/ttyS0".into(), 115_200)));
        assert_eq!(line("/dev/ttyS0,9600"), Some(("/dev/ttyS0".into(), 9600)));
        for bad in ["/dev/ttyS0,", "/dev/ttyS0,fast", "/dev/ttyS0,1200", "/dev/ttyS0,115201"] {
            assert_eq!(line(bad), None, "{bad}");
        }
    }
}
