//! The web server in front of pages: who may connect, for how long, and what lies where.
//!
//! [`Web`] owns the connections; what a request for the telemetry path gets, a [`Pages`] says. A page is rendered once
//! and shared by all who asked for it: a connection keeps a place in it, so that a slow reader costs no copy.

mod auth;
mod config;
mod conn;
mod document;
mod shelf;
mod site;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::SystemTime;

use jiff::Timestamp;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use pmbridge_core::http::server::{Encoded, Request};
use pmbridge_core::role::exporter::Limits;
use pmbridge_core::time::{Duration, Instant};

use crate::flags::Options;
use crate::log::Log;
use crate::tls::Stream;
use auth::Auth;
use config::{Config, Watched};
use conn::{Conn, Fate, Turn};
use shelf::Shelf;
use site::House;

pub(crate) use document::{Document, room_for};

/// What a web server is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The path of the pages, which begins with a slash.
    pub(crate) telemetry_path: String,
    /// The file that says who may connect and how, as Prometheus' exporters have it.
    pub(crate) config_file: Option<PathBuf>,
    /// Connections at once.
    pub(crate) max_connections: usize,
    /// Bytes of pages that are out and not read to the end; the newest may take more.
    pub(crate) max_unread: usize,
    /// How long a page may take to be there.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Those that the options say, if pages are served.
    pub(crate) fn of(options: &Options, timeout: Duration) -> Option<Self> {
        Some(Self {
            listen: options.web?,
            telemetry_path: options.telemetry_path.clone(),
            config_file: options.web_config.clone(),
            max_connections: options.limits.scrapers,
            max_unread: options.limits.unread,
            timeout,
        })
    }
}

/// What stands behind a web server.
pub(crate) trait Pages {
    /// What a request for the telemetry path gets. `wait` is the request's memory between calls: `None` at first; what
    /// is put there is given back while it says [`Later`](Reply::Later), and forgotten once there is another answer.
    fn page(&mut self, request: &Request<'_>, wait: &mut Option<u64>, now: Instant) -> Reply;

    /// Whether there would be a page: what `/-/ready` tells.
    fn is_ready(&mut self) -> bool;

    /// Nobody waits for that any more: the client has gone, or its time was up.
    fn forget(&mut self, wait: u64);
}

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// It is not known yet.
    Later,
    /// A status of error, and a line that tells people why.
    Refused(u16, String),
    /// A page.
    Page(Rc<Document>),
}

/// How a web server has fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Connections that are open.
    pub(crate) connections: usize,
    /// Connections that there were, with these.
    pub(crate) accepted: u64,
    /// Connections that were turned away, for there were too many.
    pub(crate) refused: u64,
    /// Connections that were closed for being too slow, or for what they sent.
    pub(crate) dropped: u64,
    /// Answers, by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Pages that were cut off, for newer ones needed their room.
    pub(crate) pages_cut: u64,
    /// Bytes of answers.
    pub(crate) bytes: u64,
}

/// A web server.
pub(crate) struct Web {
    address: SocketAddr,
    max_connections: usize,
    limits: Limits,
    registry: Registry,
    base: usize,
    listener: TcpListener,
    /// Somebody may have come.
    accepting: bool,
    /// When connections are taken again, where that has failed.
    accept_at: Option<Instant>,
    /// When it may be said again that it has failed.
    warned: Option<Instant>,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    /// Connections that may go on, those whose requests wait, and when which is looked at though nothing has happened.
    ready: BTreeSet<usize>,
    /// Who is next of those.
    next: usize,
    waiting: BTreeSet<usize>,
    alarms: BTreeSet<(Instant, usize)>,
    /// Somebody's password is verified.
    rung: bool,
    house: House,
    watched: Option<Watched>,
    scratch: Vec<u8>,
    date: Date,
    log: Log,
    stats: Stats,
}

impl Web {
    /// Listens. The tokens from `base` on are its own.
    pub(crate) fn new(registry: &Registry, base: Token, settings: Settings) -> io::Result<Self> {
        let bad = |why| io::Error::new(ErrorKind::InvalidInput, why);
        let (watched, config) = match &settings.config_file {
            Some(path) => {
                Watched::open(path).map(|(watched, config)| (Some(watched), config)).map_err(bad)?
            }
            None => (None, Config::default()),
        };
        let mut listener = TcpListener::bind(settings.listen).map_err(|error| {
            let why = format!(
                "{}: cannot serve pages: {error} (--web.listen-address takes another)",
                settings.listen
            );
            io::Error::new(error.kind(), why)
        })?;
        let address = listener.local_addr()?;
        registry.register(&mut listener, Token(base.0.saturating_add(LISTENER)), Interest::READABLE)?;
        let house = House {
            telemetry_path: settings.telemetry_path,
            config,
            auth: Auth::new(registry, Token(base.0.saturating_add(BELL)))?,
            shelf: Shelf::new(settings.max_unread),
            answers: BTreeMap::new(),
        };
        Ok(Self {
            address,
            max_connections: settings.max_connections,
            limits: Limits { answer: settings.timeout, ..Limits::DEFAULT },
            registry: registry.try_clone()?,
            base: base.0,
            listener,
            accepting: true,
            accept_at: None,
            warned: None,
            conns: Vec::new(),
            free: Vec::new(),
            ready: BTreeSet::new(),
            next: 0,
            waiting: BTreeSet::new(),
            alarms: BTreeSet::new(),
            rung: false,
            house,
            watched,
            scratch: vec![0; SCRATCH],
            date: Date::default(),
            log: Log::plain(false),
            stats: Stats::default(),
        })
    }

    /// Where the pages are, for people.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.house.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address, self.house.telemetry_path)
    }

    /// Something has happened to this token, counted from the base.
    pub(crate) fn wake(&mut self, token: usize) {
        match token {
            LISTENER => self.accepting = true,
            BELL => self.rung = true,
            _ => {
                let place = token.saturating_sub(FIRST);
                if let Some(Some(conn)) = self.conns.get_mut(place) {
                    conn.readable = true;
                    self.ready.insert(place);
                }
            }
        }
    }

    /// Lets each connection go on that may. `stirred`: answers may have become known, so ask for all that wait.
    pub(crate) fn pump(&mut self, pages: &mut dyn Pages, stirred: bool, now: Instant) {
        let known = core::mem::take(&mut self.rung) && self.house.auth.learn();
        if stirred || known {
            self.ready.extend(&self.waiting);
        }
        while let Some((at, place)) = self.alarms.first().copied().filter(|(at, _)| now >= *at) {
            self.alarms.remove(&(at, place));
            if let Some(Some(conn)) = self.conns.get_mut(place) {
                conn.alarm = None;
                self.ready.insert(place);
            }
        }
        if self.accepting || !self.ready.is_empty() {
            self.look_at_config();
        }
        self.accept(pages, now);
        if self.ready.is_empty() {
            return;
        }
        self.date.set(SystemTime::now());
        let until = self.stats.bytes.saturating_add(PUMPED);
        for _ in 0..TURNS {
            // Round and round, so that nobody is last each time.
            let next = self.ready.range(self.next..).next().or_else(|| self.ready.first());
            let Some(place) = next.copied().filter(|_| self.stats.bytes < until) else { return };
            self.ready.remove(&place);
            self.next = place.saturating_add(1);
            self.turn(place, pages, now);
            if self.house.shelf.has_cut() {
                self.drop_cut(pages);
            }
        }
    }

    /// When to pump again though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.ready.is_empty() || self.accepting || self.rung {
            return Some(Instant::START);
        }
        self.alarms.first().map(|(at, _)| *at).into_iter().chain(self.accept_at).min()
    }

    /// How it has fared.
    pub(crate) fn stats(&self) -> Stats {
        let connections = self.open();
        let pages_cut = self.house.shelf.cut;
        Stats { connections, pages_cut, answers: self.house.answers.clone(), ..self.stats.clone() }
    }

    fn open(&self) -> usize {
        self.conns.len().saturating_sub(self.free.len())
    }

    /// Takes those who have come.
    fn accept(&mut self, pages: &mut dyn Pages, now: Instant) {
        if self.accept_at.is_some_and(|at| now >= at) {
            self.accept_at = None;
            self.accepting = true;
        }
        let mut most = ACCEPTED;
        while self.accepting && most > 0 {
            most = most.saturating_sub(1);
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, pages, now),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => self.accepting = false,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    // No descriptor is left, for instance: somebody else's will do.
                    _ if self.show_out(pages, now) => {}
                    _ => {
                        // Who waits in the backlog is not announced again.
                        self.accepting = false;
                        self.accept_at = Some(now.saturating_add(PAUSE));
                        if self.warned.is_none_or(|at| now >= at) {
                            self.warned = Some(now.saturating_add(MINUTE));
                            self.log.warning(format_args!("cannot take a connection for pages: {error}"));
                        }
                    }
                },
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream, pages: &mut dyn Pages, now: Instant) {
        let full = self.open() >= self.max_connections && !self.show_out(pages, now);
        let tls = self.house.config.tls.clone();
        if full {
            self.stats.refused = self.stats.refused.saturating_add(1);
            // Who is told why needs a place too, and who must be greeted first is not.
            if tls.is_some() || self.open() >= self.max_connections.saturating_add(TOLD) {
                return;
            }
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len().saturating_sub(1)
        });
        let token = Token(self.base.saturating_add(FIRST).saturating_add(place));
        let registered = self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE);
        let _ = stream.set_nodelay(true);
        let stream = match tls {
            None => Ok(Stream::Plain(stream)),
            Some(config) => Stream::serve(stream, config),
        };
        match (registered, stream, self.conns.get_mut(place)) {
            (Ok(()), Ok(stream), Some(slot)) => {
                let make = if full { Conn::refused } else { Conn::new };
                *slot = Some(make(stream, self.limits, now));
                self.ready.insert(place);
                self.stats.accepted = self.stats.accepted.saturating_add(1);
            }
            _ => self.free.push(place),
        }
    }

    /// Makes room: whoever has waited longest for nothing, but for those who have just come, goes. Whether there was one.
    fn show_out(&mut self, pages: &mut dyn Pages, now: Instant) -> bool {
        let since = |(place, conn): (usize, &Option<Conn>)| Some((conn.as_ref()?.idle_since()?, place));
        let Some((since, place)) = self.conns.iter().enumerate().filter_map(since).min() else {
            return false;
        };
        let patient = now.saturating_since(since) >= FRESH;
        if patient {
            self.close(place, pages);
            self.stats.dropped = self.stats.dropped.saturating_add(1);
        }
        patient
    }

    /// One connection's turn.
    fn turn(&mut self, place: usize, pages: &mut dyn Pages, now: Instant) {
        let Some(Some(conn)) = self.conns.get_mut(place) else { return };
        let fate = conn.pump(&mut Turn {
            house: &mut self.house,
            pages,
            date: &self.date.line,
            scratch: &mut self.scratch,
            bytes: &mut self.stats.bytes,
            now,
        });
        if conn.is_waiting() {
            self.waiting.insert(place);
        } else {
            self.waiting.remove(&place);
        }
        match fate {
            Fate::Waits => {}
            Fate::More => {
                self.ready.insert(place);
            }
            Fate::Dropped | Fate::Over => {
                let dropped = u64::from(fate == Fate::Dropped);
                self.stats.dropped = self.stats.dropped.saturating_add(dropped);
                self.close(place, pages);
                return;
            }
        }
        let alarm = conn.deadline().map(|at| at.max(now.saturating_add(Duration::from_millis(1))));
        if conn.alarm != alarm {
            if let Some(before) = conn.alarm {
                self.alarms.remove(&(before, place));
            }
            self.alarms.extend(alarm.map(|at| (at, place)));
            conn.alarm = alarm;
        }
    }

    /// Closes the connections whose pages were cut off.
    fn drop_cut(&mut self, pages: &mut dyn Pages) {
        let is_cut = |conn: &Option<Conn>| conn.as_ref().is_some_and(Conn::is_cut);
        while let Some(place) = self.conns.iter().position(is_cut) {
            self.stats.dropped = self.stats.dropped.saturating_add(1);
            self.close(place, pages);
        }
    }

    fn close(&mut self, place: usize, pages: &mut dyn Pages) {
        let Some(mut conn) = self.conns.get_mut(place).and_then(Option::take) else { return };
        conn.leave(pages);
        if let Some(at) = conn.alarm {
            self.alarms.remove(&(at, place));
        }
        self.waiting.remove(&place);
        self.ready.remove(&place);
        self.free.push(place);
    }

    /// Reads the file again that says who may, if it is another.
    fn look_at_config(&mut self) {
        match self.watched.as_mut().and_then(Watched::look) {
            None => {}
            Some(Ok(config)) => {
                self.house.config = config;
                self.log.info("--web.config.file has changed and was read again");
            }
            Some(Err(why)) => {
                self.log.warning(format_args!(
                    "--web.config.file cannot be used, what it said before holds: {why}"
                ));
            }
        }
    }
}

/// The line that tells the time, made once a second.
#[derive(Debug, Default)]
struct Date {
    second: u64,
    line: String,
}

impl Date {
    fn set(&mut self, now: SystemTime) {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.line.is_empty() || self.second != second {
            let when = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
            let when = when.unwrap_or(Timestamp::UNIX_EPOCH);
            self.line = format!("Date: {}\r\n", when.strftime("%a, %d %b %Y %H:%M:%S GMT"));
            self.second = second;
        }
    }
}

/// What a name or a value of a query means, if that is text.
pub(crate) fn decoded(text: Encoded<'_>) -> Option<String> {
    String::from_utf8(text.bytes().collect()).ok()
}

/// The tokens, counted from the base: who comes, whose password is verified, and the connections.
const LISTENER: usize = 0;
const BELL: usize = 1;
const FIRST: usize = 2;
/// What goes out with a head.
const SCRATCH: usize = 32 << 10;
/// Turns that connections may have before other work, and bytes that they may send.
const TURNS: usize = 4096;
const PUMPED: u64 = 32 << 20;
/// Connections that are taken before other work.
const ACCEPTED: usize = 64;
/// Connections beyond the most that are told so.
const TOLD: usize = 64;
/// How long who has come may be slow before it makes room for others.
const FRESH: Duration = Duration::from_secs(2);
/// How long no connection is taken after that has failed.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the same may be said.
const MINUTE: Duration = Duration::from_secs(60);
