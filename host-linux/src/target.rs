//! A target is where a source's documents come from: one connection, one scrape at a time, never waited for.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use pmbridge_core::{
    http::request::Get,
    role::{
        Context, Role as _,
        document::{Document, Stats},
        scraper::{self, Scraper},
    },
    store::SourceId,
    wire::Writer,
};

use crate::conn::{Flow, Tx, Window, receive, send};
use crate::filter::Filter;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::sources::{Origin, Source};
use crate::url::Url;

/// What all scrapes of a target added up to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) scrapes: u64,
    pub(crate) failures: u64,
    pub(crate) samples: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
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

/// A source's endpoint or file.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: SourceId,
    pub(crate) source: Source,
    pub(crate) totals: Totals,
    /// Whether the last scrape brought a whole document.
    pub(crate) up: bool,
    /// Readiness that was not followed up yet.
    pub(crate) ready: bool,
    request: Rc<[u8]>,
    stream: Option<TcpStream>,
    addresses: Vec<SocketAddr>,
    /// The connection served a request before: a server may close it as the next is sent.
    reused: bool,
    rx: Window,
    tx: Tx,
    scrape: Option<Scraper<Rc<[u8]>, Vec<u8>, Rc<Filter>>>,
    line: Vec<u8>,
    max_body: u64,
}

impl Target {
    /// A target that nothing was asked of yet.
    pub(crate) fn new(id: SourceId, source: Source) -> Self {
        let request = request(&source);
        Self {
            id,
            source,
            totals: Totals::default(),
            up: false,
            ready: false,
            request,
            stream: None,
            addresses: Vec::new(),
            reused: false,
            rx: Window::new(WINDOW, WINDOW),
            tx: Tx::new(REQUEST, WINDOW),
            scrape: None,
            line: Vec::new(),
            max_body: 0,
        }
    }

    /// The source has another URL from now on.
    pub(crate) fn change(&mut self, source: Source) {
        self.request = request(&source);
        self.source = source;
        self.stream = None;
        self.addresses.clear();
    }

    /// Whether a scrape runs.
    pub(crate) const fn is_running(&self) -> bool {
        self.scrape.is_some()
    }

    /// The bytes of document that the running scrape has brought so far.
    pub(crate) fn received(&self) -> u64 {
        self.scrape.as_ref().map_or(0, |scrape| scrape.stats().bytes)
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        usize::from(self.stream.is_some())
    }

    /// Closes a connection that no scrape uses.
    pub(crate) fn disconnect(&mut self) {
        if self.scrape.is_none() {
            self.stream = None;
        }
    }

    /// Takes the document of a `file://` source.
    pub(crate) fn read_file(&mut self, cx: &mut Context<'_, Memory>, limits: &Limits) -> Outcome {
        let Origin::Url(Url::File(path)) = &self.source.origin else { return Outcome::Pending };
        let open = || -> io::Result<File> {
            // A FIFO would stop the loop.
            if !std::fs::metadata(path)?.is_file() {
                return Err(io::Error::other("not a regular file"));
            }
            File::open(path)
        };
        let mut file = match open() {
            Ok(file) => file.take(u64::try_from(limits.body).unwrap_or(u64::MAX)),
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let mut document =
            Document::new(self.id, line_buffer(&mut self.line, limits), Rc::clone(&self.source.filter));
        let mut piece = vec![0; WINDOW];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => document.feed(cx.store, piece.get(..n).unwrap_or_default(), &mut |_| {}),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Outcome::Failed(error.to_string()),
            }
        }
        document.finish(cx.store, &mut |_| {});
        let stats = *document.stats();
        self.line = document.into_buffer();
        if file.limit() == 0 {
            return Outcome::Failed(format!("file is longer than {} bytes (--max-body)", limits.body));
        }
        Outcome::Done(stats)
    }

    /// Begins a scrape over HTTP; true where an address is needed first: [`connect`](Self::connect) is next.
    pub(crate) fn begin(&mut self, limits: &Limits) -> bool {
        self.line = line_buffer(&mut self.line, limits);
        self.max_body = u64::try_from(limits.body).unwrap_or(u64::MAX);
        self.renew();
        self.reused = self.stream.is_some();
        self.ready = self.reused;
        !self.reused
    }

    /// The scrape begins, or begins again.
    fn renew(&mut self) {
        let document =
            Document::new(self.id, core::mem::take(&mut self.line), Rc::clone(&self.source.filter));
        self.scrape = Some(Scraper::new(Rc::clone(&self.request), document, self.max_body));
    }

    /// Whether there are addresses that were not tried yet.
    pub(crate) const fn has_address(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Takes the addresses that the host's name has.
    pub(crate) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses;
    }

    /// Connects to the next address that it has.
    pub(crate) fn connect(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        (self.rx, self.tx) = (Window::new(WINDOW, WINDOW), Tx::new(REQUEST, WINDOW));
        self.reused = false;
        let mut error = io::Error::other("no address");
        while let Some(address) = self.addresses.pop() {
            let connected = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match connected {
                Ok(stream) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(why) => error = why,
            }
        }
        Err(error)
    }

    /// Moves bytes as far as they go for now.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        self.ready = false;
        let Some(mut scrape) = self.scrape.take() else {
            // A server that closes a kept connection, or talks unasked.
            self.stream = None;
            return Outcome::Pending;
        };
        let outcome = self.exchange(&mut scrape, cx);
        match outcome {
            Outcome::Pending | Outcome::More | Outcome::Unreached => self.scrape = Some(scrape),
            Outcome::Done(_) => {
                if !scrape.stays_open() {
                    self.stream = None;
                }
                self.line = scrape.into_document().into_buffer();
            }
            Outcome::Failed(_) => {
                let untouched = scrape.is_untouched();
                self.line = scrape.into_document().into_buffer();
                self.stream = None;
                // A kept connection may have been closed meanwhile, and a name may have other addresses that are well.
                if untouched && (self.reused || !self.addresses.is_empty()) {
                    self.renew();
                    return Outcome::Unreached;
                }
            }
        }
        outcome
    }

    /// How it is called in the log.
    pub(crate) fn label(&self) -> String {
        let mut url = self.source.origin.to_string();
        if let Some((at, _)) = url.char_indices().nth(200) {
            url.truncate(at);
            url.push_str("...");
        }
        format!("{} ({url})", self.source.name)
    }

    /// Gives the running scrape up, unless it has ended `well`.
    pub(crate) fn abandon_unless(&mut self, well: bool) {
        if !well {
            self.abandon();
        }
    }

    fn abandon(&mut self) {
        if let Some(scrape) = self.scrape.take() {
            self.line = scrape.into_document().into_buffer();
        }
        self.stream = None;
    }

    fn exchange(
        &mut self,
        scrape: &mut Scraper<Rc<[u8]>, Vec<u8>, Rc<Filter>>,
        cx: &mut Context<'_, Memory>,
    ) -> Outcome {
        let Some(stream) = &mut self.stream else { return Outcome::Pending };
        if let Ok(Some(error)) = stream.take_error() {
            return Outcome::Failed(error.to_string());
        }
        if stream.peer_addr().is_err_and(|error| error.kind() == io::ErrorKind::NotConnected) {
            return Outcome::Pending;
        }
        let mut turn = 0usize;
        loop {
            let flow = match receive(stream, &mut self.rx, false) {
                Ok(flow) => flow,
                Err(error) => return Outcome::Failed(error.to_string()),
            };
            let progress = match scrape.step(cx, self.rx.filled(), self.tx.room(REQUEST)) {
                Ok(progress) => progress,
                Err(error) => return Outcome::Failed(explain(error)),
            };
            self.rx.consume(progress.consumed);
            self.tx.produce(progress.produced);
            turn = turn.saturating_add(progress.consumed);
            if let Err(error) = send(stream, &mut self.tx) {
                return Outcome::Failed(error.to_string());
            }
            if scrape.is_done() {
                return Outcome::Done(*scrape.stats());
            }
            match flow {
                Flow::Ended if progress.consumed == 0 => {
                    return match scrape.end(cx) {
                        Ok(()) => Outcome::Done(*scrape.stats()),
                        Err(error) => Outcome::Failed(explain(error)),
                    };
                }
                Flow::Blocked if progress.is_none() => return Outcome::Pending,
                Flow::Done if progress.is_none() => {
                    return Outcome::Failed("response head is longer than its limit".into());
                }
                _ if turn > TURN => return Outcome::More,
                _ => {}
            }
        }
    }
}

fn explain(error: scraper::Error) -> String {
    error.to_string()
}

fn request(source: &Source) -> Rc<[u8]> {
    let Origin::Url(Url::Http(http)) = &source.origin else { return Rc::new([]) };
    // A field that the configuration gives is not said twice.
    let given = source
        .headers
        .lines()
        .any(|line| line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("Authorization")));
    let headers = format!("{}{}", if given { String::new() } else { http.authorization() }, source.headers);
    let get = Get { host: &http.authority, path: &http.path, headers: &headers, keep_alive: true };
    let mut counter = Writer::counter();
    get.emit(&mut counter);
    let mut bytes = vec![0; counter.total()];
    get.emit(&mut Writer::new(&mut bytes));
    bytes.into()
}

/// The room for a line that is cut between two windows, kept from scrape to scrape.
fn line_buffer(kept: &mut Vec<u8>, limits: &Limits) -> Vec<u8> {
    let line = core::mem::take(kept);
    // Zeroed memory that nobody has written to costs nothing.
    if line.len() == limits.line { line } else { vec![0; limits.line] }
}

/// What is read at once.
const WINDOW: usize = 64 << 10;
/// Room for a request to begin with.
const REQUEST: usize = 1 << 10;
/// The bytes after which others have their turn.
const TURN: usize = 8 << 20;
