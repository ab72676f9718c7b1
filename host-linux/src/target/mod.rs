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
    time::Instant,
};

use crate::clock::duration;
use crate::conn::Window;
use crate::inflate::Inflate;
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
    unpackers: RefCell<Vec<Inflate>>,
    /// Where bytes come in, for one target after another. What is left of them at the end of a turn the target keeps.
    window: RefCell<Window>,
}

impl Means {
    /// What targets need to be heard of in the loop, within these limits.
    pub(crate) fn new(registry: &Registry, limits: Limits) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            registry: registry.try_clone()?,
            limits,
            trust: Trust::default(),
            scripts: RefCell::default(),
            unpackers: RefCell::default(),
            window: RefCell::new(Window::new(WINDOW, WINDOW)),
        }))
    }
}

/// A source's endpoint, file or script, or that it has none.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: SourceId,
    pub(crate) source: Source,
    pub(crate) totals: Totals,
    /// Whether the last scrape brought a whole document.
    pub(crate) up: bool,
    /// How the last scrape went, once there was one.
    pub(crate) went: Option<Result<(), String>>,
    /// When the last scrape ended that brought a whole document.
    pub(crate) last_whole: Option<Instant>,
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
    /// There is nothing to ask.
    Nowhere,
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
            went: None,
            last_whole: None,
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
            Kind::File(page) => page.is_running(),
            Kind::Script(script) => script.is_running(),
            Kind::Nowhere => false,
        }
    }

    /// The bytes of document that the running scrape has brought so far.
    pub(crate) fn received(&self) -> u64 {
        match &self.kind {
            Kind::Server(client) => client.received(),
            Kind::File(_) | Kind::Script(_) | Kind::Nowhere => 0,
        }
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        match &self.kind {
            Kind::Server(client) => client.descriptors(),
            Kind::File(page) => usize::from(page.is_running()),
            Kind::Script(script) => script.descriptors(),
            Kind::Nowhere => 0,
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
            Kind::File(page) => page.begin(cx),
            Kind::Script(script) => script.begin(),
            Kind::Nowhere => Outcome::Failed("there is nothing to ask".into()),
        };
        self.after(outcome)
    }

    /// The host and port that it needs an address of, if it is behind a server.
    pub(crate) fn endpoint(&self) -> Option<(&str, u16)> {
        match &self.kind {
            Kind::Server(client) => Some(client.endpoint()),
            Kind::File(_) | Kind::Script(_) | Kind::Nowhere => None,
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
            Kind::File(_) | Kind::Script(_) | Kind::Nowhere => Ok(()),
        }
    }

    /// Moves bytes as far as they go for now.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        self.ready = false;
        let outcome = match &mut self.kind {
            Kind::Server(client) => client.pump(cx),
            Kind::File(page) => page.pump(cx),
            Kind::Script(script) => script.pump(cx),
            Kind::Nowhere => Outcome::Pending,
        };
        self.after(outcome)
    }

    /// The scrape that ran has ended like this.
    pub(crate) fn ended(&mut self, went: Result<(), String>, now: Instant) {
        self.up = went.is_ok();
        if self.up {
            self.last_whole = Some(now);
        } else {
            self.totals.failures = self.totals.failures.saturating_add(1);
        }
        self.went = Some(went);
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
            Kind::File(_) | Kind::Nowhere => what.into(),
            Kind::Script(script) => format!("{what}: {}", script.stage()),
        }
    }

    /// What a script has said on stderr since the last call.
    pub(crate) fn remarks(&mut self) -> Vec<String> {
        match &mut self.kind {
            Kind::Script(script) => core::mem::take(&mut script.remarks),
            Kind::Server(_) | Kind::File(_) | Kind::Nowhere => Vec::new(),
        }
    }

    /// Gives the running scrape up, unless it has ended `well`.
    pub(crate) fn abandon_unless(&mut self, well: bool) {
        if !well {
            match &mut self.kind {
                Kind::Server(client) => client.abandon(),
                Kind::File(page) => page.abandon(),
                Kind::Script(script) => script.abandon(),
                Kind::Nowhere => {}
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
            Kind::Nowhere => (None, 0),
        };
        let parse = intake.map(intake::Intake::take_spent).unwrap_or_default();
        self.parsed = self.parsed.saturating_add(parse);
        self.fetched = self.fetched.saturating_add(began.elapsed().saturating_sub(parse));
        self.totals.parse_ms = duration(self.parsed).millis();
        self.totals.fetch_ms = duration(self.fetched).millis();
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
                Self::File(Box::new(file::Page::new(id, path.clone(), &source.filter, means)))
            }
            Origin::Script(path) => {
                Self::Script(Box::new(script::Script::new(id, path, token, Rc::clone(means))))
            }
            Origin::Unusable(_) => Self::Nowhere,
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
const TURN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread::JoinHandle;

    use mio::{Events, Poll};
    use pmbridge_core::{store::Store, time::Timestamp};

    use super::*;

    /// The outcome of one scrape of `origin`, and what it added up to.
    fn scraped(origin: Origin, headers: &str) -> (Outcome, Totals) {
        let mut poll = Poll::new().unwrap();
        let means = Means::new(poll.registry(), Limits::DEFAULT).unwrap();
        let mut store = Store::new(Memory::new(100, 100), 144, 1);
        let id = store.add_source("s", "", None).unwrap();
        store.begin(id);
        let source = Source { headers: headers.into(), ..Source::plain("s".into(), origin) };
        let mut target = Target::new(id, source, Token(1), means);
        let (now, wall) = (Instant::from_millis(0), Timestamp { secs: 0, nanos: 0 });
        let mut outcome = target.begin(&mut Context { store: &mut store, now, wall });
        let mut events = Events::with_capacity(4);
        loop {
            match outcome {
                Outcome::Done(_) | Outcome::Failed(_) => return (outcome, target.totals),
                Outcome::Unreached => {
                    let (host, port) = target.endpoint().unwrap();
                    let address = SocketAddr::new(host.parse().unwrap(), port);
                    target.resolved(vec![address]);
                    target.connect().unwrap();
                }
                // Nobody tells here that a child has ended, so it is asked now and then.
                Outcome::Pending => {
                    poll.poll(&mut events, Some(std::time::Duration::from_millis(5))).unwrap_or_default();
                }
                Outcome::More => {}
            }
            outcome = target.pump(&mut Context { store: &mut store, now, wall });
        }
    }

    #[test]
    fn times_and_the_last_status_add_up() {
        let path = std::env::temp_dir().join(format!("pmbridge-target-{}.sh", std::process::id()));
        std::fs::write(&path, "#!/bin/sh\nsleep 0.1\necho a 1\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (outcome, totals) = scraped(Origin::Script(path.clone()), "");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(outcome, Outcome::Done(stats) if stats.samples == 1), "{outcome:?}");
        assert!(totals.fetch_ms >= 100 && totals.parse_ms < 100, "{totals:?}");
        assert_eq!(totals.status_code, 0);

        let (outcome, totals) = scraped(Origin::Url(Url::parse("file:///dev/null").unwrap()), "");
        assert!(matches!(outcome, Outcome::Failed(why) if why == "not a regular file"));
        assert_eq!(totals.status_code, 0);

        for (status, whole) in [(200, true), (404, false), (302, false)] {
            let server = Server::new(format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\na 1\n"));
            let (outcome, totals) = scraped(server.origin(), "");
            assert_eq!(matches!(outcome, Outcome::Done(_)), whole, "{outcome:?}");
            assert_eq!(totals.status_code, status);
        }
    }

    /// A server of one answer.
    struct Server {
        url: String,
        asked: JoinHandle<String>,
    }

    impl Server {
        fn new(answer: String) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let asked = std::thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                let mut room = [0; 4096];
                let len = client.read(&mut room).unwrap();
                client.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&room[..len]).into_owned()
            });
            Self { url, asked }
        }

        fn origin(&self) -> Origin {
            Origin::Url(Url::parse(&self.url).unwrap())
        }
    }

    #[test]
    fn a_large_file_takes_turns() {
        let path = std::env::temp_dir().join(format!("pmbridge-target-{}.txt", std::process::id()));
        let line = format!("{}\n", "x ".repeat(1000));
        std::fs::write(&path, line.repeat(2 * TURN / line.len()) + "a 1\n").unwrap();
        let poll = Poll::new().unwrap();
        let means = Means::new(poll.registry(), Limits::DEFAULT).unwrap();
        let mut store = Store::new(Memory::new(100, 100), 144, 1);
        let id = store.add_source("s", "", None).unwrap();
        store.begin(id);
        let source = Source::plain("s".into(), Origin::Url(Url::File(path.clone())));
        let mut target = Target::new(id, source, Token(1), means);
        let (now, wall) = (Instant::from_millis(0), Timestamp { secs: 0, nanos: 0 });
        let cx = &mut Context { store: &mut store, now, wall };
        assert!(matches!(target.begin(cx), Outcome::More));
        assert!(target.ready && target.is_running() && target.descriptors() == 1);
        // It is read as it is when its turn comes.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"b 1\n").unwrap();
        while !matches!(target.pump(cx), Outcome::Done(stats) if stats.samples == 2) {
            assert!(target.is_running());
        }
        assert_eq!((target.is_running(), target.descriptors()), (false, 0));
        // One that is given up is not read on.
        assert!(matches!(target.begin(cx), Outcome::More));
        target.abandon_unless(false);
        assert!(matches!(target.pump(cx), Outcome::Pending) && !target.is_running());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn header_lines_go_to_the_own_server_only() {
        let page = "HTTP/1.1 200 x\r\nContent-Length: 4\r\n\r\na 1\n";
        let away = Server::new(page.into());
        let to = format!("HTTP/1.1 301 x\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", away.url);
        let home = Server::new(to);
        let headers = "X-Token: secret\r\nCookie: secret\r\nauthorization: Bearer secret\r\n\
                       Accept-Encoding: identity\r\nAccept: text/x\r\n";
        let (outcome, totals) = scraped(home.origin(), headers);
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        assert_eq!(totals.status_code, 200);
        let (home, away) = (home.asked.join().unwrap(), away.asked.join().unwrap());
        assert!(home.contains(headers), "{home}");
        for field in ["Accept-Encoding: ", "Accept: "] {
            assert_eq!((home.matches(field).count(), away.matches(field).count()), (1, 1), "{home}{away}");
        }
        assert!(!away.contains("secret") && away.contains("Accept-Encoding: gzip\r\n"), "{away}");
    }
}
