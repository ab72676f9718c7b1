//! The loop: one thread, one store; targets bring documents, peers ask, and nobody is waited for.
//!
//! A turn handles what is ready in an order that keeps promises: changed configuration first, so that a request finds
//! every source that was there when it was sent; then peers; then targets, unless an answer is half out and binds the
//! store; then the scrapes that requests want.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant as Clock, SystemTime};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener, unix::SourceFd};
use pmbridge_core::{
    mapping::compat::Compat,
    role::{Context, agent, agent::Agent, collector::Collector},
    store::{SourceId, Store},
    time::{Duration, Instant, Timestamp},
};

use crate::conn::Pipe;
use crate::flags::Options;
use crate::log::{Log, host_name};
use crate::memory::Memory;
use crate::own::{self, Facts, Own};
use crate::peer::{Fate, Peer, Side};
use crate::resolve::Resolver;
use crate::signals::Signals;
use crate::sources::{Changes, Directory, Source};
use crate::target::{Outcome, Target};
use crate::url::Url;
use crate::watch::Watch;

/// Everything that one run of `pmda` or `serve` has.
pub(crate) struct Host {
    options: Options,
    log: Log,
    poll: Poll,
    resolver: Resolver,
    signals: Signals,
    store: Store<Memory>,
    targets: Vec<Target>,
    peers: Vec<Option<Peer>>,
    listener: Option<TcpListener>,
    accepting: bool,
    directory: Option<(Directory, Watch)>,
    own: Option<Own>,
    refused_clients: u64,
    epoch: Clock,
    was_ready: bool,
    warned: BTreeMap<String, Instant>,
    /// Sources came or went since the bridge's own metrics were published.
    untold: bool,
}

impl Host {
    /// A host with no source and no peer yet.
    pub(crate) fn new(options: Options, log: Log) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let signals = Signals::new(poll.registry(), SIGNALS)?;
        let mut store = Store::new(Memory::new(options.limits.series), options.domain, seed());
        store.set_root(&options.root).map_err(io::Error::other)?;
        store.set_context(&format!("hostname=\"{}\"", escaped(&host_name()))).map_err(io::Error::other)?;
        Ok(Self {
            options,
            log,
            poll,
            resolver: Resolver::new(waker),
            signals,
            store,
            targets: Vec::new(),
            peers: Vec::new(),
            listener: None,
            accepting: false,
            directory: None,
            own: None,
            refused_clients: 0,
            epoch: Clock::now(),
            was_ready: true,
            warned: BTreeMap::new(),
            untold: true,
        })
    }

    /// Takes the sources of a directory, now and whenever it changes.
    pub(crate) fn watch(&mut self, directory: Directory) -> io::Result<()> {
        let watch = Watch::new()?;
        self.poll.registry().register(&mut SourceFd(&watch.fd()), WATCH, Interest::READABLE)?;
        self.directory = Some((directory, watch));
        self.rescan();
        Ok(())
    }

    /// Adds a source with the next number.
    pub(crate) fn add(&mut self, source: Source) {
        if let Some(target) = self.targets.iter_mut().find(|t| t.source.name == source.name) {
            target.abandon_unless(false);
            target.deadline = None;
            self.store.commit(target.id, false);
            self.store.revive(target.id);
            // A text with no room leaves the labels as they were.
            let _ = self.store.set_labels(target.id, &labels(&source));
            target.change(source);
            self.untold = true;
            return;
        }
        let cluster = u16::try_from(self.targets.len().saturating_add(1)).ok().filter(|n| *n < own::CLUSTER);
        let Some(cluster) = cluster else {
            self.log.error(format_args!(
                "{}: ignored, there are {} sources already",
                source.name,
                own::CLUSTER
            ));
            return;
        };
        match self.store.add_source(&source.name, &labels(&source), cluster) {
            Ok(id) => {
                self.log.info(format_args!("Found source {} cluster {cluster}", source.name));
                self.targets.push(Target::new(id, source));
                self.untold = true;
            }
            Err(full) => self.log.error(format_args!("{}: ignored, {full}", source.name)),
        }
    }

    /// Publishes the bridge's own metrics too, as `pmbridge.*`.
    pub(crate) fn publish_bridge(&mut self) -> io::Result<()> {
        self.own = Some(Own::bridge(&mut self.store).map_err(io::Error::other)?);
        Ok(())
    }

    /// Publishes the bridge's own metrics too, as `ROOT.control.*`.
    pub(crate) fn publish_control(&mut self, compat: Compat) -> io::Result<()> {
        let own = Own::control(&mut self.store, &self.options.root, compat);
        self.own = Some(own.map_err(io::Error::other)?);
        Ok(())
    }

    /// Listens for PCP clients; where, as the kernel has it.
    pub(crate) fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        self.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        self.listener = Some(listener);
        Ok(address)
    }

    /// Talks to pmcd over its pipe.
    pub(crate) fn attach(&mut self, pipe: Pipe) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&pipe.input()), peer_token(0), Interest::READABLE)?;
        let settings = agent::Settings {
            pid: std::process::id(),
            announces_ready: !self.options.ready,
            patience: self.patience(),
            first_patience: FIRST_SCRAPE.saturating_add(GRACE),
        };
        self.was_ready = self.options.ready;
        self.peers = vec![Some(Peer::new(Side::Agent(pipe, Box::new(Agent::new(settings))), self.now()))];
        Ok(())
    }

    /// Says something to who started it.
    pub(crate) fn say(&self, text: &str) {
        self.log.info(text);
    }

    /// Runs until a signal, or until pmcd goes.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let more = self.turn();
            if self.listener.is_none() && self.peers.iter().all(Option::is_none) {
                self.log.info("pmcd has gone");
                return Ok(());
            }
            let wait = if more { Some(std::time::Duration::ZERO) } else { self.wait() };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    SIGNALS if self.signals.has_come() => {
                        self.log.info("asked to end");
                        return Ok(());
                    }
                    LISTENER => self.accepting = true,
                    SIGNALS | WAKER | WATCH => {}
                    Token(token) => self.wake(token),
                }
            }
        }
    }

    fn wake(&mut self, token: usize) {
        if let Some(target) = token.checked_sub(TARGETS).and_then(|i| self.targets.get_mut(i)) {
            target.ready = true;
        } else if let Some(Some(peer)) = token.checked_sub(PEERS).and_then(|i| self.peers.get_mut(i)) {
            peer.ready = true;
        }
    }

    /// One turn; whether there is more to do at once.
    fn turn(&mut self) -> bool {
        self.accept();
        let busy = self.peers.iter().flatten().any(Peer::is_busy);
        if !busy && self.directory.as_mut().is_some_and(|(_, watch)| watch.has_changed()) {
            self.rescan();
        }
        if !busy && core::mem::take(&mut self.untold) {
            self.tell();
        }
        self.pump_peers();
        self.take_stored();
        if self.peers.iter().flatten().any(Peer::is_busy) {
            return false;
        }
        let more = self.pump_targets();
        self.start_wanted() || more
    }

    /// Publishes the bridge's own metrics.
    fn tell(&mut self) {
        let Some(own) = &self.own else { return };
        let facts = Facts {
            targets: &self.targets,
            clients: self.peers.iter().flatten().count(),
            refused_clients: self.refused_clients,
            debug: self.log.is_debug(),
            now: self.now(),
        };
        own.publish(&mut self.store, &facts);
    }

    /// Obeys what clients have stored.
    fn take_stored(&mut self) {
        while let Some(stored) = self.store.stored() {
            if self.own.as_ref().is_some_and(|own| own.is_debug(stored.metric)) {
                let debug = stored.bits != 0;
                self.log.set_debug(debug);
                let root = &self.options.root;
                self.log.info(format_args!("{root}.control.debug: set to {}", u8::from(debug)));
            }
        }
    }

    fn wait(&self) -> Option<std::time::Duration> {
        let now = self.now();
        let targets = self.targets.iter().flat_map(|t| [t.deadline, t.retry]);
        let peers = self.peers.iter().flatten().map(Peer::deadline);
        let next = targets.chain(peers).flatten().min()?;
        Some(std::time::Duration::from_millis(next.saturating_since(now).millis().saturating_add(1)))
    }

    /// Logs a warning about a peer, each sort once a minute: whoever connects could fill the log otherwise.
    fn warn_seldom(&mut self, why: String) {
        let now = self.now();
        self.warned.retain(|_, at| now.saturating_since(*at) < MINUTE);
        if self.warned.len() < MOST_WARNINGS && !self.warned.contains_key(&why) {
            self.log.warning(&why);
            self.warned.insert(why, now);
        }
    }

    fn accept(&mut self) {
        let now = self.now();
        let mut turned_away = false;
        let Some(listener) = self.listener.as_ref().filter(|_| core::mem::take(&mut self.accepting)) else {
            return;
        };
        loop {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    if self.peers.iter().flatten().count() >= self.options.limits.clients {
                        self.refused_clients = self.refused_clients.saturating_add(1);
                        turned_away = true;
                        continue;
                    }
                    let place = self.peers.iter().position(Option::is_none).unwrap_or_else(|| {
                        self.peers.push(None);
                        self.peers.len().saturating_sub(1)
                    });
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    let registered = self.poll.registry().register(&mut stream, peer_token(place), interest);
                    if let (Ok(()), Some(slot)) = (registered, self.peers.get_mut(place)) {
                        let _ = stream.set_nodelay(true);
                        let role = Collector::new(patience(&self.options));
                        *slot = Some(Peer::new(Side::Collector(stream, Box::new(role)), now));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.log.error(format_args!("cannot accept a client: {error}"));
                    break;
                }
            }
        }
        if turned_away {
            let most = self.options.limits.clients;
            self.warn_seldom(format!("clients turned away: {most} are connected (--max-clients)"));
        }
    }

    fn pump_peers(&mut self) {
        let (now, wall) = (self.now(), wall());
        for place in 0..self.peers.len() {
            let Some(Some(peer)) = self.peers.get_mut(place) else { continue };
            let mut cx = Context { store: &mut self.store, now, wall };
            let fate = peer.pump(&mut cx);
            if !self.was_ready && peer.is_ready() {
                self.was_ready = true;
                self.log.info("Ready to process requests");
            }
            match fate {
                Fate::Stays => continue,
                Fate::Left => {}
                Fate::Dropped(why) => {
                    self.refused_clients = self.refused_clients.saturating_add(1);
                    self.warn_seldom(format!("connection closed: {why}"));
                }
            }
            if let Some(slot) = self.peers.get_mut(place) {
                *slot = None;
            }
        }
    }

    /// Lets every target move that can; whether one has more at once, or a scrape ended.
    fn pump_targets(&mut self) -> bool {
        while let Some(answer) = self.resolver.answer() {
            let Some(target) = self.targets.get_mut(answer.key) else { continue };
            match answer.addresses {
                Ok(addresses) if target.is_running() => {
                    target.resolved(addresses);
                    self.connect(answer.key);
                }
                // Of a scrape that was given up since.
                _ if !target.is_running() => {}
                Ok(_) => {}
                Err(error) => self.end(answer.key, Outcome::Failed(format!("cannot be resolved: {error}"))),
            }
        }
        let (now, wall) = (self.now(), wall());
        let mut more = false;
        for place in 0..self.targets.len() {
            let Some(target) = self.targets.get_mut(place) else { continue };
            if target.ready {
                let mut cx = Context { store: &mut self.store, now, wall };
                match target.pump(&mut cx) {
                    Outcome::Pending => {}
                    Outcome::Unreached => self.reach(place),
                    Outcome::More => {
                        target.ready = true;
                        more = true;
                    }
                    outcome => {
                        self.end(place, outcome);
                        more = true;
                        continue;
                    }
                }
            }
            let Some(target) = self.targets.get_mut(place) else { continue };
            if target.deadline.is_some_and(|by| now >= by) {
                self.end(place, Outcome::Failed("no whole document within the time limit (-t)".into()));
                more = true;
            }
        }
        more
    }

    /// Starts the scrapes that are wanted; whether one ended as it began.
    fn start_wanted(&mut self) -> bool {
        let now = self.now();
        for target in &mut self.targets {
            if target.retry.is_some_and(|at| now >= at) {
                target.retry = None;
                let ticket = self.store.ticket();
                self.store.want(target.id, ticket);
            }
        }
        let (mut from, mut ended) = (0, false);
        while let Some((id, next)) = self.store.wanted(from) {
            from = next;
            if self.own.as_ref().is_some_and(|own| own.source == id) {
                self.store.begin(id);
                self.tell();
                self.store.published(id);
                ended = true;
                continue;
            }
            let Some(place) = self.targets.iter().position(|t| t.id == id) else { continue };
            ended |= self.start(place, id);
        }
        ended
    }

    /// Starts a scrape; whether it has ended already.
    fn start(&mut self, place: usize, id: SourceId) -> bool {
        self.store.begin(id);
        let (now, wall) = (self.now(), wall());
        let limit = self.time_limit();
        let Some(target) = self.targets.get_mut(place) else { return false };
        let first = target.totals.scrapes == 0;
        target.began();
        target.deadline = Some(now.saturating_add(if first { limit.max(FIRST_SCRAPE) } else { limit }));
        if matches!(target.source.url, Url::File(_)) {
            let mut cx = Context { store: &mut self.store, now, wall };
            let outcome = target.read_file(&mut cx, &self.options.limits);
            self.end(place, outcome);
        } else if target.begin(&self.options.limits) {
            self.reach(place);
        }
        true
    }

    /// Connects to a target, once its name has an address.
    fn reach(&mut self, place: usize) {
        let Some(target) = self.targets.get_mut(place) else { return };
        if !target.has_address() {
            let Url::Http(http) = &target.source.url else { return };
            let Some(address) = self.resolver.resolve(place, &http.host, http.port) else { return };
            target.resolved(vec![address]);
        }
        self.connect(place);
    }

    fn connect(&mut self, place: usize) {
        let Some(target) = self.targets.get_mut(place) else { return };
        let token = Token(TARGETS.saturating_add(place));
        if let Err(error) = target.connect(self.poll.registry(), token) {
            self.end(place, Outcome::Failed(format!("cannot be connected: {error}")));
        }
    }

    /// Makes what a scrape brought visible, or forgets it; says what was wrong, once.
    fn end(&mut self, place: usize, outcome: Outcome) {
        let (now, refresh) = (self.now(), self.refresh());
        let Some(target) = self.targets.get_mut(place) else { return };
        target.abandon_unless(matches!(outcome, Outcome::Done(_)));
        target.deadline = None;
        let (complaint, whole) = match outcome {
            Outcome::Done(stats) => {
                target.totals.samples = target.totals.samples.saturating_add(stats.samples);
                target.totals.refused = target.totals.refused.saturating_add(stats.refused);
                target.totals.bytes = target.totals.bytes.saturating_add(stats.bytes);
                let samples = stats.samples;
                self.log.debug(format_args!(
                    "{}: {samples} samples in {} bytes",
                    target.label(),
                    stats.bytes
                ));
                let told = stats.first_refused.map(|first| {
                    format!("{} of {} lines refused, first {first}", stats.refused, stats.lines)
                });
                (told, true)
            }
            Outcome::Failed(why) => (Some(why), false),
            Outcome::Pending | Outcome::More | Outcome::Unreached => return,
        };
        target.ended(if whole { Ok(()) } else { Err(complaint.clone().unwrap_or_default()) }, now);
        self.store.commit(target.id, whole);
        let empty = self.store.view().live(target.id) == 0 && target.totals.samples == 0;
        target.retry = (!whole && empty).then(|| now.saturating_add(refresh));
        // Counts change from scrape to scrape, and are no news.
        let sort = |text: &String| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        if complaint.as_ref().map(sort) != target.complaint.as_ref().map(sort) {
            match &complaint {
                Some(why) if whole => self.log.warning(format_args!("{}: {why}", target.label())),
                Some(why) => self.log.error(format_args!("{}: {why}", target.label())),
                None => self.log.info(format_args!("{}: well again", target.label())),
            }
            target.complaint = complaint;
        }
    }

    /// Takes what the directory of sources has become.
    fn rescan(&mut self) {
        let Some((directory, watch)) = &mut self.directory else { return };
        let began = Clock::now();
        let changes = directory.scan();
        if let Err(error) = watch.add(&changes.directories) {
            self.log.warning(format_args!("{}: changes may go unseen: {error}", directory.path().display()));
        }
        changes.log_notices(&self.log);
        if changes.is_none() {
            return;
        }
        let seconds = began.elapsed().as_secs_f64();
        let entries = changes.entries;
        self.log.info(format_args!(
            "Config change detected, traversed {entries} config entries in {seconds:.4} s, rescanning ..."
        ));
        let Changes { added, changed, removed, .. } = changes;
        for source in added.into_iter().chain(changed) {
            self.add(source);
        }
        for name in removed {
            if let Some(target) = self.targets.iter_mut().find(|t| t.source.name == name) {
                self.log.info(format_args!("source {name} is gone"));
                target.abandon_unless(false);
                target.deadline = None;
                self.store.retire(target.id);
                self.untold = true;
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn time_limit(&self) -> Duration {
        millis(self.options.timeout)
    }

    fn refresh(&self) -> Duration {
        millis(self.options.refresh)
    }

    fn patience(&self) -> Duration {
        patience(&self.options)
    }
}

/// How long an answer waits for scrapes: a little longer than they may take, and less than pmcd waits for us.
fn patience(options: &Options) -> Duration {
    millis(options.timeout).saturating_add(GRACE).min(PMCD_WAITS)
}

fn millis(duration: std::time::Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn wall() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

/// A number that nobody outside knows, so that nobody can fill one bucket of the index.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The labels that all metrics of a source share, as exposition text. User and password are not among them.
fn labels(source: &Source) -> String {
    let machine = host_name();
    let (host, name, url) = (source.url.hostname(&machine), &source.name, source.url.to_string());
    format!("hostname=\"{}\",source=\"{}\",url=\"{}\"", escaped(host), escaped(name), escaped(&url))
}

/// A text as it stands between the quotes of an exposition.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const fn peer_token(place: usize) -> Token {
    Token(PEERS.saturating_add(place))
}

const SIGNALS: Token = Token(0);
const WAKER: Token = Token(1);
const WATCH: Token = Token(2);
const LISTENER: Token = Token(3);
/// Peers come from this token on, targets far behind them.
const PEERS: usize = 16;
const TARGETS: usize = 1 << 20;
/// How long the first scrape of a source may take: all of its names are new.
const FIRST_SCRAPE: Duration = Duration::from_secs(4);
const MINUTE: Duration = Duration::from_secs(60);
/// Sorts of warnings about peers that are remembered at once.
const MOST_WARNINGS: usize = 32;
/// What is left for reading and answering after the last scrape has ended.
const GRACE: Duration = Duration::from_millis(500);
/// pmcd drops an agent after 5 s.
const PMCD_WAITS: Duration = Duration::from_millis(4500);
