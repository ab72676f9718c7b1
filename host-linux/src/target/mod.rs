//! A target is where a source's documents come from: a server, a file or a script, one scrape at a time, never waited
//! for.
//!
//! The loop [begins](Target::begin) a scrape, finds an address where one [is needed](Target::endpoint), and
//! [pumps](Target::pump) whenever the target is [`ready`](Target::ready), until a scrape is done, has failed or is
//! [given up](Target::abandon_unless).

mod file;
mod http;
mod intake;
mod script;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use mio::{Registry, Token};
use pmbridge_core::{
    http as core_http,
    role::{Context, document::Stats, scraper},
    store::SourceId,
};

use crate::limits::Limits;
use crate::memory::Memory;
use crate::sources::{Origin, Source};
use crate::tls::Trust;
use crate::url::Url;
pub(crate) use http::MOST_REDIRECTS;
pub(crate) use script::Scripts;

/// What all scrapes of a target added up to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) scrapes: u64,
    pub(crate) failures: u64,
    pub(crate) samples: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
    /// Milliseconds from the beginnings of scrapes to their ends, less those below.
    pub(crate) fetch_ms: u64,
    /// Milliseconds of reading documents.
    pub(crate) parse_ms: u64,
    /// The HTTP status of the last scrape; 0 where no answer came, and for files and scripts.
    pub(crate) status_code: u16,
}

/// How far a scrape has got.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It goes on.
    Pending,
    /// More has come than one turn takes: go on in the next.
    More,
    /// The document is whole.
    Done(Stats),
    /// It needs another connection.
    Unreached,
    /// Nothing will come of it.
    Failed(String),
}

/// What all targets share.
#[derive(Debug)]
pub(crate) struct Means {
    pub(crate) registry: Registry,
    pub(crate) limits: Limits,
    pub(crate) trust: Trust,
    pub(crate) scripts: RefCell<Scripts>,
}

impl Means {
    /// What targets need to be heard of in the loop, within these limits.
    pub(crate) fn new(registry: &Registry, limits: Limits) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            registry: registry.try_clone()?,
            limits,
            trust: Trust::default(),
            scripts: RefCell::default(),
        }))
    }
}

/// A source's endpoint, file or script.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: SourceId,
    pub(crate) source: Source,
    pub(crate) totals: Totals,
    /// Whether the last scrape brought a whole document.
    pub(crate) up: bool,
    /// Readiness that was not followed up yet.
    pub(crate) ready: bool,
    token: Token,
    means: Rc<Means>,
    kind: Kind,
    /// When the scrape that runs began.
    began: Option<std::time::Instant>,
    fetched: std::time::Duration,
    parsed: std::time::Duration,
}

/// Where documents come from.
#[derive(Debug)]
enum Kind {
    Server(Box<http::Client>),
    File(Box<file::Page>),
    Script(Box<script::Script>),
}

impl Target {
    /// A target that nothing was asked of yet, whose readiness comes under `token`.
    pub(crate) fn new(id: SourceId, source: Source, token: Token, means: Rc<Means>) -> Self {
        let kind = Kind::new(id, &source, token, &means);
        Self {
            id,
            source,
            totals: Totals::default(),
            up: false,
            ready: false,
            token,
            means,
            kind,
            began: None,
            fetched: std::time::Duration::ZERO,
            parsed: std::time::Duration::ZERO,
        }
    }

    /// The source is another from now on.
    pub(crate) fn change(&mut self, source: Source) {
        self.settle();
        self.kind = Kind::new(self.id, &source, self.token, &self.means);
        self.source = source;
    }

    /// Whether a scrape runs.
    pub(crate) fn is_running(&self) -> bool {
        match &self.kind {
            Kind::Server(client) => client.is_running(),
            Kind::File(_) => false,
            Kind::Script(script) => script.is_running(),
        }
    }

    /// The bytes of document that the running scrape has brought so far.
    pub(crate) fn received(&self) -> u64 {
        match &self.kind {
            Kind::Server(client) => client.received(),
            Kind::File(_) | Kind::Script(_) => 0,
        }
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        match &self.kind {
            Kind::Server(client) => client.descriptors(),
            Kind::File(_) => 0,
            Kind::Script(script) => script.descriptors(),
        }
    }

    /// Closes a connection that no scrape uses.
    pub(crate) fn disconnect(&mut self) {
        if let Kind::Server(client) = &mut self.kind {
            client.disconnect();
        }
    }

    /// Whether it runs a script, or waits for its turn to: a child that ends is news for it.
    pub(crate) fn is_script(&self) -> bool {
        matches!(self.kind, Kind::Script(_)) && self.is_running()
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        self.began = Some(std::time::Instant::now());
        let outcome = match &mut self.kind {
            Kind::Server(client) => client.begin(),
            Kind::File(page) => page.read(cx, &self.means.limits),
            Kind::Script(script) => script.begin(),
        };
        self.after(outcome)
    }

    /// The host and port that it needs an address of, if it is behind a server.
    pub(crate) fn endpoint(&self) -> Option<(&str, u16)> {
        match &self.kind {
            Kind::Server(client) => Some(client.endpoint()),
            Kind::File(_) | Kind::Script(_) => None,
        }
    }

    /// Whether there are addresses that were not tried yet.
    pub(crate) fn has_address(&self) -> bool {
        matches!(&self.kind, Kind::Server(client) if client.has_address())
    }

    /// Whether it needs the addresses of this name now.
    pub(crate) fn awaits(&self, host: &str, port: u16) -> bool {
        matches!(&self.kind, Kind::Server(client) if client.awaits(host, port))
    }

    /// Takes the addresses that the host's name has.
    pub(crate) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        if let Kind::Server(client) = &mut self.kind {
            client.resolved(addresses);
        }
    }

    /// Connects to the next address that it has.
    pub(crate) fn connect(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Server(client) => client.connect(),
            Kind::File(_) | Kind::Script(_) => Ok(()),
        }
    }

    /// Moves bytes as far as they go for now.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        self.ready = false;
        let outcome = match &mut self.kind {
            Kind::Server(client) => client.pump(cx),
            Kind::File(_) => Outcome::Pending,
            Kind::Script(script) => script.pump(cx),
        };
        self.after(outcome)
    }

    /// How it is called in the log.
    pub(crate) fn label(&self) -> String {
        let mut origin = self.source.origin.to_string();
        if let Some((at, _)) = origin.char_indices().nth(200) {
            origin.truncate(at);
            origin.push_str("...");
        }
        format!("{} ({origin})", self.source.name)
    }

    /// What to say of a scrape whose time is over.
    pub(crate) fn overdue(&self) -> String {
        let what = "no whole document within the time limit (-t)";
        match &self.kind {
            Kind::Server(client) => client.told(&format!("{what}: {}", client.stage())),
            Kind::File(_) => what.into(),
            Kind::Script(script) => format!("{what}: {}", script.stage()),
        }
    }

    /// What a script has said on stderr since the last call.
    pub(crate) fn remarks(&mut self) -> Vec<String> {
        match &mut self.kind {
            Kind::Script(script) => core::mem::take(&mut script.remarks),
            Kind::Server(_) | Kind::File(_) => Vec::new(),
        }
    }

    /// Gives the running scrape up, unless it has ended `well`.
    pub(crate) fn abandon_unless(&mut self, well: bool) {
        if !well {
            match &mut self.kind {
                Kind::Server(client) => client.abandon(),
                Kind::File(_) => {}
                Kind::Script(script) => script.abandon(),
            }
        }
        self.settle();
    }

    fn after(&mut self, outcome: Outcome) -> Outcome {
        if matches!(outcome, Outcome::Done(_) | Outcome::Failed(_)) {
            self.settle();
        }
        self.ready |= matches!(outcome, Outcome::More);
        outcome
    }

    /// A scrape has ended: adds its times up.
    fn settle(&mut self) {
        let Some(began) = self.began.take() else { return };
        let (intake, status) = match &mut self.kind {
            Kind::Server(client) => {
                let status = client.status;
                (client.intake(), status)
            }
            Kind::File(page) => (page.intake.as_mut(), 0),
            Kind::Script(script) => (script.intake.as_mut(), 0),
        };
        let parse = intake.map(intake::Intake::take_spent).unwrap_or_default();
        self.parsed = self.parsed.saturating_add(parse);
        self.fetched = self.fetched.saturating_add(began.elapsed().saturating_sub(parse));
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.totals.parse_ms = millis(self.parsed);
        self.totals.fetch_ms = millis(self.fetched);
        self.totals.status_code = status;
    }
}

impl Kind {
    fn new(id: SourceId, source: &Source, token: Token, means: &Rc<Means>) -> Self {
        match &source.origin {
            Origin::Url(Url::Http(url)) => {
                Self::Server(Box::new(http::Client::new(id, url.clone(), source, token, Rc::clone(means))))
            }
            Origin::Url(Url::File(path)) => {
                Self::File(Box::new(file::Page::new(id, path.clone(), &source.filter, &means.limits)))
            }
            Origin::Script(path) => {
                Self::Script(Box::new(script::Script::new(id, path, token, Rc::clone(means))))
            }
        }
    }
}

fn explain(error: scraper::Error, limits: &Limits) -> String {
    match error {
        scraper::Error::Http(core_http::Error::BodyLong) => {
            format!("document is longer than {} bytes, unpacked if it is packed (--max-body)", limits.body)
        }
        error => error.to_string(),
    }
}

/// What is read at once.
const WINDOW: usize = 64 << 10;
/// The bytes after which others have their turn.
const TURN: usize = 8 << 20;
