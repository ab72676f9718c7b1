//! One pmcd: the connection that all scrapers share, and the scrapes that stand in line for it.
//!
//! Who wants metrics gets a ticket. Scrapes of the same selection that have not been sent yet are one. A connection
//! that is lost is made anew at once, and the scrape that it cost is begun again; while pmcd cannot be reached, whoever
//! wants something tries it again and is told at once. A ticket fails at its deadline; the connection goes only where
//! pmcd owes an answer for so long, so what a slow pmcd has told by then is not lost.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use mio::{Registry, Token};
use pmbridge_core::pcp::Status;
use pmbridge_core::role::Progress;
use pmbridge_core::role::client::{Client, Settings};
use pmbridge_core::time::{Duration, Instant, Timestamp};
use pmbridge_core::wire::size;

use super::catalog::Catalog;
use super::gather::Gather;
use super::selection::Selection;
use crate::conn::{Flow, Tx, Window, receive, send};
use crate::log::Log;
use crate::resolve::Resolver;

pub(crate) use super::address::Address;
use super::address::{Socket, Way};

/// A pmcd that is asked for metrics.
#[derive(Debug)]
pub(crate) struct Pmcd {
    registry: Registry,
    token: Token,
    address: Address,
    timeout: Duration,
    resolver: Rc<RefCell<Resolver>>,
    /// A name is being looked up, be it for a try that was given up since.
    looks_up: bool,
    link: Link,
    client: Client,
    rx: Window,
    tx: Tx,
    /// The connection may have bytes for us, or take some.
    is_woken: bool,
    /// There was more to do than one turn may take.
    is_unfinished: bool,
    gather: Gather,
    current: Option<Scrape>,
    queue: VecDeque<Scrape>,
    ended: VecDeque<Ended>,
    tickets: u64,
    /// When pmcd was last tried, when it is tried again though nobody wants it, and how long that was put off.
    tried: Option<Instant>,
    retry: Instant,
    back_off: Duration,
    /// What is known last: whether pmcd was there.
    was_there: Option<bool>,
    /// Whether the log has that too: it hears of one loss a minute at most, of a later one when the minute is over and
    /// pmcd still away, and of the end of that.
    is_told: bool,
    quiet_until: Instant,
    reconnects: u64,
}

/// A scrape that has ended, one way or the other.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Who wanted it.
    pub(crate) tickets: Vec<u64>,
    /// What was wanted.
    pub(crate) selection: Rc<Selection>,
    /// The places in the catalogue of the metrics that are selected, in order.
    pub(crate) metrics: Rc<[usize]>,
    /// Those of the selection's names that select nothing, by their places in it.
    pub(crate) unknown: Rc<[usize]>,
    /// When the values were taken, or why there are none.
    pub(crate) result: Result<Timestamp, Failure>,
}

/// Why a scrape brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// pmcd took too long.
    Timeout,
    /// pmcd cannot be reached, for this reason.
    Unreachable(String),
    /// The connection was lost, for this reason.
    Lost(String),
    /// pmcd does not say what it was asked.
    Refused(Status),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("pmcd did not answer in time"),
            Self::Unreachable(why) => write!(f, "pmcd cannot be reached: {why}"),
            Self::Lost(why) => write!(f, "the connection to pmcd was lost: {why}"),
            Self::Refused(status) => write!(f, "pmcd refused the fetch: {status}"),
        }
    }
}

/// A scrape that is wanted.
#[derive(Debug)]
struct Scrape {
    selection: Rc<Selection>,
    waiting: Vec<(u64, Instant)>,
    /// How often a lost connection has cost it what it had.
    begun: u32,
}

#[derive(Debug)]
enum Link {
    Down,
    Looking { left: VecDeque<Way>, until: Instant },
    Up { socket: Socket, left: VecDeque<Way>, until: Instant },
}

impl Pmcd {
    /// A pmcd that is not connected yet. All its events come under `token`, and what `resolver` answers under that as
    /// key is for [`resolved`](Self::resolved); a scrape may take `timeout`, and so may each answer.
    pub(crate) fn new(
        registry: Registry,
        token: Token,
        resolver: Rc<RefCell<Resolver>>,
        address: Address,
        timeout: Duration,
    ) -> Self {
        Self {
            registry,
            token,
            address,
            timeout,
            resolver,
            looks_up: false,
            link: Link::Down,
            client: new_client(timeout),
            rx: Window::new(WINDOW, size(MAX_ANSWER)),
            tx: Tx::new(WINDOW, MAX_TX),
            is_woken: false,
            is_unfinished: false,
            gather: Gather::new(),
            current: None,
            queue: VecDeque::new(),
            ended: VecDeque::new(),
            tickets: 0,
            tried: None,
            retry: Instant::START,
            back_off: Duration::ZERO,
            was_there: None,
            is_told: true,
            quiet_until: Instant::START,
            reconnects: 0,
        }
    }

    /// Tries pmcd at the next [`pump`](Self::pump), though nobody wants anything yet.
    pub(crate) fn connect(&mut self, now: Instant) {
        self.retry = self.retry.min(now);
    }

    /// Something has happened to the connection.
    pub(crate) const fn wake(&mut self) {
        self.is_woken = true;
    }

    /// Wants these metrics: a ticket, under which a later [`pump`](Self::pump) tells the end.
    pub(crate) fn want(&mut self, selection: Rc<Selection>, now: Instant) -> u64 {
        self.tickets = self.tickets.wrapping_add(1);
        let waiting = (self.tickets, now.saturating_add(self.timeout));
        let shared = self.current.as_mut().filter(|_| self.gather.may_be_shared());
        let mut open = shared.into_iter().chain(&mut self.queue);
        match open.find(|scrape| scrape.selection == selection) {
            Some(scrape) => scrape.waiting.push(waiting),
            None => self.queue.push_back(Scrape { selection, waiting: vec![waiting], begun: 0 }),
        }
        self.tickets
    }

    /// Nobody waits for this ticket any more.
    pub(crate) fn forget(&mut self, ticket: u64) {
        for scrape in self.current.iter_mut().chain(&mut self.queue) {
            scrape.waiting.retain(|(other, _)| *other != ticket);
        }
        self.queue.retain(|scrape| !scrape.waiting.is_empty());
        for ended in &mut self.ended {
            ended.tickets.retain(|other| *other != ticket);
        }
    }

    /// Goes on as far as it can: until a scrape has ended, whose page is to be made before this is called again, or until
    /// nothing is left to do for now.
    pub(crate) fn pump(&mut self, now: Instant, log: &Log) -> Option<Ended> {
        loop {
            self.expire(now);
            if let Some(ended) = self.ended.pop_front() {
                if ended.tickets.is_empty() {
                    continue;
                }
                return Some(ended);
            }
            self.link(now, log);
            if self.client.is_ready() && self.gather.is_idle() {
                self.begin(now);
            }
            if let Err(why) = self.exchange(now) {
                self.lose(&why, now, log);
                continue;
            }
            if self.client.is_ready() {
                self.greet(log);
            }
            if let Some(gathered) = self.gather.gathered() {
                let Some(scrape) = self.current.take() else { continue };
                self.ended.push_back(Ended {
                    tickets: scrape.waiting.iter().map(|(ticket, _)| *ticket).collect(),
                    selection: scrape.selection,
                    metrics: gathered.places,
                    unknown: gathered.unknown,
                    result: gathered.time.map_err(Failure::Refused),
                });
                continue;
            }
            let may_begin = self.client.is_ready() && self.gather.is_idle() && !self.queue.is_empty();
            if self.is_unfinished || !may_begin && self.ended.is_empty() {
                return None;
            }
        }
    }

    /// When to pump again though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.ended.is_empty() || self.is_unfinished {
            return Some(Instant::START);
        }
        let waiting = self.current.iter().chain(&self.queue).flat_map(|scrape| &scrape.waiting);
        let tickets = waiting.map(|(_, deadline)| *deadline).min();
        let link = match &self.link {
            Link::Down => Some(self.next_try()),
            Link::Looking { until, .. } => Some(*until),
            Link::Up { until, .. } if !self.client.is_ready() => Some(*until),
            Link::Up { .. } => self.client.deadline(),
        };
        tickets.into_iter().chain(link).min()
    }

    /// Whether pmcd is there.
    pub(crate) fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// What is known of its metrics.
    pub(crate) const fn catalog(&self) -> &Catalog {
        &self.gather.catalog
    }

    /// How often the connection was made again.
    pub(crate) const fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Tells those whose time is up.
    fn expire(&mut self, now: Instant) {
        for scrape in self.current.iter_mut().chain(&mut self.queue) {
            let expired: Vec<_> = scrape
                .waiting
                .extract_if(.., |(_, deadline)| *deadline <= now)
                .map(|(ticket, _)| ticket)
                .collect();
            if !expired.is_empty() {
                let failure = Failure::Timeout;
                self.ended.push_back(Ended::failed(expired, &scrape.selection, failure));
            }
        }
        self.queue.retain(|scrape| !scrape.waiting.is_empty());
    }

    fn begin(&mut self, now: Instant) {
        if let Some(mut scrape) = self.queue.pop_front() {
            scrape.begun = scrape.begun.saturating_add(1);
            self.gather.begin(&scrape.selection, now);
            self.current = Some(scrape);
        }
    }

    /// When pmcd is tried again.
    fn next_try(&self) -> Instant {
        if self.queue.is_empty() {
            return self.retry;
        }
        let soonest = self.tried.map_or(Instant::START, |tried| tried.saturating_add(FIRST_BACK_OFF));
        soonest.min(self.retry)
    }

    /// Brings the connection up, or one step nearer to that.
    fn link(&mut self, now: Instant, log: &Log) {
        let is_due = now >= self.next_try();
        match &mut self.link {
            Link::Down if is_due => {
                self.tried = Some(now);
                let until = now.saturating_add(self.timeout);
                self.go(self.address.ways(), until, None, log);
            }
            Link::Down => {}
            Link::Looking { left, until } if now >= *until => {
                let (left, until) = (std::mem::take(left), *until);
                self.go(left, until, Some("its name was not looked up in time".into()), log);
            }
            Link::Looking { .. } => {}
            Link::Up { until, .. } if !self.client.is_ready() && now >= *until => {
                self.lose("no answer in time", now, log);
            }
            Link::Up { .. } => {}
        }
    }

    /// The name has been looked up: its addresses, or why it has none.
    pub(crate) fn resolved(&mut self, addresses: io::Result<Vec<SocketAddr>>, log: &Log) {
        self.looks_up = false;
        // A try that was given up since needs none.
        let Link::Looking { left, until } = &mut self.link else { return };
        let (mut left, until) = (std::mem::take(left), *until);
        let why = match addresses {
            Ok(addresses) => {
                addresses.into_iter().rev().for_each(|address| left.push_front(Way::Tcp(address)));
                None
            }
            Err(error) => Some(error.to_string()),
        };
        self.go(left, until, why, log);
    }

    /// Takes the first of these ways that is one.
    fn go(&mut self, mut left: VecDeque<Way>, until: Instant, mut why: Option<String>, log: &Log) {
        self.link = Link::Down;
        while let Some(way) = left.pop_front() {
            self.gather.connect(matches!(way, Way::Unix(_)));
            let socket = match way {
                Way::Name(host, port) => match self.look_up(&host, port) {
                    Some(address) => Socket::tcp(address, &self.registry, self.token),
                    None => {
                        self.link = Link::Looking { left, until };
                        return;
                    }
                },
                Way::Tcp(address) => Socket::tcp(address, &self.registry, self.token),
                Way::Unix(path) => Socket::unix(&path, &self.registry, self.token),
            };
            match socket {
                Ok(socket) => {
                    self.client = new_client(self.timeout);
                    self.rx.fill(b"");
                    self.tx.clear();
                    self.is_woken = true;
                    self.link = Link::Up { socket, left, until };
                    return;
                }
                Err(error) => why = why.or_else(|| Some(error.to_string())),
            }
        }
        self.give_up(&why.unwrap_or_default(), log);
    }

    /// The address that a name is itself; else it is looked up. There is one name at most on the ways to a pmcd, so one
    /// look-up that hangs is all that hangs, however often it is tried.
    fn look_up(&mut self, host: &str, port: u16) -> Option<SocketAddr> {
        if self.looks_up {
            return None;
        }
        let address = self.resolver.borrow_mut().resolve(self.token.0, host, port);
        self.looks_up = address.is_none();
        address
    }

    /// No way leads to pmcd: who waits is told, and it is tried again later.
    fn give_up(&mut self, why: &str, log: &Log) {
        self.link = Link::Down;
        let twice = self.back_off.saturating_add(self.back_off);
        self.back_off = twice.max(FIRST_BACK_OFF).min(LAST_BACK_OFF);
        self.retry = self.tried.unwrap_or(Instant::START).saturating_add(self.back_off);
        self.miss(self.tried.unwrap_or(Instant::START), log, format_args!("cannot be reached: {why}"));
        for scrape in self.current.take().into_iter().chain(std::mem::take(&mut self.queue)) {
            let tickets = scrape.waiting.iter().map(|(ticket, _)| *ticket).collect();
            let failure = Failure::Unreachable(why.into());
            self.ended.push_back(Ended::failed(tickets, &scrape.selection, failure));
        }
    }

    /// pmcd has taken us.
    fn greet(&mut self, log: &Log) {
        if let Link::Up { left, .. } = &mut self.link {
            left.clear();
        }
        self.back_off = Duration::ZERO;
        if self.was_there != Some(true) {
            if self.was_there.is_some() {
                self.reconnects = self.reconnects.saturating_add(1);
            }
            self.was_there = Some(true);
            if self.is_told {
                log.info(format_args!("connected to pmcd at {}", self.address));
            }
        }
    }

    /// pmcd is not there any more, or not yet.
    fn miss(&mut self, now: Instant, log: &Log, what: fmt::Arguments<'_>) {
        if self.was_there != Some(false) {
            (self.was_there, self.is_told) = (Some(false), false);
        }
        if !self.is_told && now >= self.quiet_until {
            self.is_told = true;
            self.quiet_until = now.saturating_add(QUIET);
            log.warning(format_args!("pmcd at {} {what}", self.address));
        }
    }

    /// The connection is gone.
    fn lose(&mut self, why: &str, now: Instant, log: &Log) {
        let was_ready = self.client.is_ready();
        self.client = new_client(self.timeout);
        self.gather.reset();
        let Link::Up { left, until, .. } = std::mem::replace(&mut self.link, Link::Down) else { return };
        if !was_ready {
            let left = if now < until { left } else { VecDeque::new() };
            self.go(left, until, Some(why.into()), log);
            return;
        }
        self.miss(now, log, format_args!("is gone: {why}"));
        // One that lets us in and turns us out again is not asked without a pause.
        self.retry = self.tried.map_or(now, |tried| tried.saturating_add(FIRST_BACK_OFF));
        if let Some(scrape) = self.current.take() {
            if scrape.begun < MOST_BEGUN {
                self.queue.push_front(scrape);
            } else {
                let tickets = scrape.waiting.iter().map(|(ticket, _)| *ticket).collect();
                self.ended.push_back(Ended::failed(tickets, &scrape.selection, Failure::Lost(why.into())));
            }
        }
        self.queue.retain(|scrape| !scrape.waiting.is_empty());
    }

    /// Moves bytes, and lets the client read and write them, until nothing moves; or why the connection is over.
    fn exchange(&mut self, now: Instant) -> Result<(), String> {
        let Link::Up { socket, .. } = &mut self.link else { return Ok(()) };
        let (mut is_ended, began) = (false, std::time::Instant::now());
        self.is_unfinished = false;
        loop {
            if self.is_woken && !is_ended {
                match receive(socket, &mut self.rx, true).map_err(|error| error.to_string())? {
                    Flow::Blocked => self.is_woken = false,
                    Flow::Done => {}
                    Flow::Ended => is_ended = true,
                }
            }
            let mut moved = false;
            loop {
                let room = self.tx.room(MIN_ROOM);
                let progress = self.client.step(&mut self.gather, self.rx.filled(), room, now);
                let Progress { consumed, produced } = progress.map_err(|error| error.to_string())?;
                self.rx.consume(consumed);
                self.tx.produce(produced);
                if consumed == 0 && produced == 0 {
                    break;
                }
                moved = true;
                if began.elapsed() >= TURN {
                    self.is_unfinished = true;
                    break;
                }
            }
            let pending = self.tx.pending().len();
            if send(socket, &mut self.tx).map_err(|error| error.to_string())? == Flow::Ended {
                is_ended = true;
            }
            moved |= self.tx.pending().len() < pending;
            if self.is_unfinished {
                return Ok(());
            }
            if !moved && (is_ended || !self.is_woken) {
                return if is_ended { Err("it closed the connection".into()) } else { Ok(()) };
            }
        }
    }
}

impl Ended {
    fn failed(tickets: Vec<u64>, selection: &Rc<Selection>, failure: Failure) -> Self {
        Self {
            tickets,
            selection: Rc::clone(selection),
            metrics: Rc::default(),
            unknown: Rc::default(),
            result: Err(failure),
        }
    }
}

fn new_client(patience: Duration) -> Client {
    Client::new(Settings { pid: std::process::id(), patience, max_answer: MAX_ANSWER })
}

/// How soon, and at last how seldom, a pmcd that is gone is tried though nobody wants it.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LAST_BACK_OFF: Duration = Duration::from_secs(5);
/// A pmcd that comes and goes is told of once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// How often one scrape is begun.
const MOST_BEGUN: u32 = 3;
/// So long one pmcd may keep the loop from the others.
const TURN: std::time::Duration = std::time::Duration::from_millis(20);
/// Bytes of a window at first.
const WINDOW: usize = 64 << 10;
/// What waits to be sent is at most this: questions are at most 64 KiB.
const MAX_TX: usize = 1 << 20;
const MIN_ROOM: usize = 16 << 10;
/// A million values of two words with their blocks are a tenth of it.
const MAX_ANSWER: u32 = 256 << 20;

#[cfg(test)]
mod tests;
