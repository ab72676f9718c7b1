//! The loop: one thread, one store; targets bring documents, peers ask, and nobody is waited for.
//!
//! A turn handles what is ready in an order that keeps promises: changed configuration first, so that a request finds
//! every source that was there when it was sent ([`config`]); then peers ([`clients`]); then, unless an answer is half
//! out and binds the store, the scrapes that requests want and those that run ([`scrapes`]).

mod budget;
mod clients;
mod config;
mod health;
mod pages;
mod recall;
mod schedule;
mod scrapes;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener, unix::SourceFd};
use pmbridge_core::{
    mapping::Compat,
    role::{agent, agent::Agent},
    store::Store,
    time::{Duration, Instant},
};

use crate::clock::{Clock, duration};
use crate::conn::Pipe;
use crate::flags::Options;
use crate::log::{Log, host_name};
use crate::memory::Memory;
use crate::own::{Facts, Own};
use crate::peer::{Peer, Side};
use crate::resolve::Resolver;
use crate::signals::Signals;
use crate::sources::Directory;
use crate::target::{Means, Target};
use crate::watch::Watch;
use crate::web::{Settings, Web};
use crate::{pcp_conf, process};
use budget::Budget;
use pages::Rounds;
use recall::Recall;
use schedule::{Line, Timers};
use scrapes::Lane;

/// Everything that one run of `pmda` or `serve` has.
pub(crate) struct Host {
    options: Options,
    log: Log,
    poll: Poll,
    resolver: Resolver,
    signals: Signals,
    children: Signals,
    means: Rc<Means>,
    recall: Recall,
    store: Store<Memory>,
    targets: Vec<Target>,
    /// What is known of each target beside.
    lanes: Vec<Lane>,
    /// The place of each source's target, by the source's place in the store, and by its name.
    places: Vec<Option<usize>>,
    names: HashMap<String, usize>,
    /// Targets that may have bytes for us, or take some.
    ready: Line,
    timers: Timers,
    budget: Budget,
    /// Targets that wait for a descriptor: those that requests want, and those that are asked whether they are well.
    wanted: Line,
    sick: Line,
    /// How many scrapes run that nobody wanted.
    probes: usize,
    /// How many scrapes had to wait for a descriptor.
    put_off: u64,
    /// Nothing is connected until then, for the system has no descriptors.
    paused_until: Option<Instant>,
    /// A scrape has ended, or a source is no longer waited for: peers may go on.
    ended: bool,
    peers: Vec<Option<Peer>>,
    listener: Option<TcpListener>,
    /// Those who want pages, and what they wait for.
    web: Option<Web>,
    rounds: Rounds,
    accepting: bool,
    /// When clients are accepted again, where that has failed.
    accept_at: Option<Instant>,
    directory: Option<(Directory, Watch)>,
    own: Option<Own>,
    refused_clients: u64,
    clock: Clock,
    was_ready: bool,
    warned: BTreeMap<String, Instant>,
    /// Something in the directory of sources may have changed.
    stirred: bool,
    /// Sources came or went since the bridge's own metrics were published.
    untold: bool,
}

impl Host {
    /// A host with no source and no peer yet.
    pub(crate) fn new(options: Options, log: Log) -> io::Result<Self> {
        let limit = process::raise_limit();
        let connections = budget::share(limit, most_askers(&options)).min(options.limits.connections);
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let signals = Signals::of_end(poll.registry(), SIGNALS)?;
        let children = Signals::of_children(poll.registry(), CHILDREN)?;
        let means = Means::new(poll.registry(), options.limits)?;
        let mut store =
            Store::new(Memory::new(options.limits.series, options.limits.vanished), options.domain, seed());
        let compat = options.compat.unwrap_or_else(pcp_conf::compat);
        store.set_compat(compat);
        store.set_most_names(options.limits.names);
        if compat == Compat::V72 {
            store.set_refresh(duration(options.refresh));
        }
        store.set_root(&options.root).map_err(io::Error::other)?;
        store.set_context(&format!("hostname=\"{}\"", escaped(&host_name()))).map_err(io::Error::other)?;
        Ok(Self {
            options,
            log,
            poll,
            resolver: Resolver::new(waker),
            signals,
            children,
            means,
            recall: Recall::default(),
            store,
            targets: Vec::new(),
            lanes: Vec::new(),
            places: Vec::new(),
            names: HashMap::new(),
            ready: Line::default(),
            timers: Timers::default(),
            budget: Budget::new(connections),
            wanted: Line::default(),
            sick: Line::default(),
            probes: 0,
            put_off: 0,
            paused_until: None,
            ended: false,
            peers: Vec::new(),
            listener: None,
            web: None,
            rounds: Rounds::default(),
            accepting: false,
            accept_at: None,
            directory: None,
            own: None,
            refused_clients: 0,
            clock: Clock::start(),
            was_ready: true,
            warned: BTreeMap::new(),
            stirred: true,
            untold: true,
        })
    }

    /// Publishes the bridge's own metrics too, as `pmbridge.*`.
    pub(crate) fn publish_bridge(&mut self) -> io::Result<()> {
        self.own = Some(Own::bridge(&mut self.store).map_err(io::Error::other)?);
        Ok(())
    }

    /// Publishes the bridge's own metrics too, as `ROOT.control.*`.
    pub(crate) fn publish_control(&mut self) -> io::Result<()> {
        let compat = self.store.view().compat();
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

    /// Serves pages, where that is wanted; the URL of what there is.
    pub(crate) fn listen_web(&mut self) -> io::Result<Option<String>> {
        let timeout = PATIENCE.saturating_add(PATIENCE);
        let Some(settings) = Settings::of(&self.options, timeout) else { return Ok(None) };
        let web = Web::new(self.poll.registry(), Token(WEB), settings)?;
        let url = web.url();
        self.web = Some(web);
        Ok(Some(url))
    }

    /// Talks to pmcd over its pipe: at once with the word that comes before all others, with the rest in [`run`](Self::run).
    pub(crate) fn attach(&mut self, pipe: Pipe) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&pipe.input()), peer_token(0), Interest::READABLE)?;
        let settings = agent::Settings {
            pid: std::process::id(),
            announces_ready: !self.options.ready,
            patience: PATIENCE,
        };
        self.was_ready = self.options.ready;
        self.peers = vec![Some(Peer::new(Side::Agent(pipe, Box::new(Agent::new(settings))), self.now()))];
        self.pump_peers();
        Ok(())
    }

    /// Says something to who started it.
    pub(crate) fn say(&self, text: &str) {
        self.log.info(text);
    }

    /// Runs until a signal, or until pmcd goes.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        // Names are on their way before anybody is told that they may be asked for.
        self.pump_targets();
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
                    CHILDREN if self.children.has_come() => self.wake_scripts(),
                    WATCH => self.stirred = true,
                    SIGNALS | CHILDREN | WAKER => {}
                    Token(token) => self.wake(token),
                }
            }
        }
    }

    fn wake(&mut self, token: usize) {
        if let Some(place) = token.checked_sub(TARGETS) {
            if let Some(target) = self.targets.get_mut(place) {
                target.ready = true;
                self.ready.push(place);
            }
        } else if let Some(web) = token.checked_sub(WEB) {
            if let Some(server) = &mut self.web {
                server.wake(web);
            }
        } else if let Some(Some(peer)) = token.checked_sub(PEERS).and_then(|i| self.peers.get_mut(i)) {
            peer.ready = true;
        }
    }

    /// One turn; whether there is more to do at once.
    fn turn(&mut self) -> bool {
        self.accept();
        let busy = self.peers.iter().flatten().any(Peer::is_busy);
        let asks = self.peers.iter().flatten().any(|peer| peer.ready);
        // The kernel says when there is something to read, so that no request costs a look.
        if !busy
            && let Some((_, watch)) = &mut self.directory
            && (core::mem::take(&mut self.stirred) || !watch.is_quiet())
            && watch.has_changed(asks)
        {
            self.rescan();
        }
        if !busy && core::mem::take(&mut self.untold) {
            self.tell();
        }
        self.pump_peers();
        self.pump_web();
        self.take_stored();
        if self.peers.iter().flatten().any(Peer::is_busy) {
            return false;
        }
        let more = self.save_rest();
        self.close_rounds();
        self.pump_targets() || more
    }

    /// Publishes the bridge's own metrics.
    fn tell(&mut self) {
        let Some(own) = &self.own else { return };
        let facts = Facts {
            targets: &self.targets,
            clients: self.peers.iter().flatten().count(),
            refused_clients: self.refused_clients,
            put_off: self.put_off,
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
        let lines = self.paused_until.filter(|_| !self.wanted.is_empty() || !self.sick.is_empty());
        let peers = self.peers.iter().flatten().filter_map(Peer::deadline);
        let next = peers.chain(self.timers.next()).chain(lines).chain(self.accept_at);
        let next = next.chain(self.page_deadline()).min();
        let next = next.map(|next| std::time::Duration::from_millis(next.saturating_since(now).millis()));
        // Nobody looks at the directory while an answer is half out.
        let busy = self.peers.iter().flatten().any(Peer::is_busy);
        let watch = self.directory.as_ref().filter(|_| !busy).and_then(|(_, watch)| watch.wait());
        let wait = next.into_iter().chain(watch).min()?;
        Some(wait.saturating_add(std::time::Duration::from_millis(1)))
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// How many may ask at once, in either protocol.
fn most_askers(options: &Options) -> usize {
    let scrapers = options.web.map_or(0, |_| options.limits.scrapers);
    options.limits.clients.saturating_add(scrapers)
}

/// A number that nobody outside knows, so that nobody can fill one bucket of the index.
fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
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
const CHILDREN: Token = Token(4);
/// Peers come from this token on, targets far behind them.
const PEERS: usize = 16;
const TARGETS: usize = 1 << 20;
/// Those of the web server lie between them.
const WEB: usize = 1 << 19;
const MINUTE: Duration = Duration::from_secs(60);
/// How long an answer may wait: pmcd drops an agent after 5 s.
const PATIENCE: Duration = Duration::from_millis(4500);
