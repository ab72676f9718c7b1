//! A document behind an HTTP server: one connection that is kept, one exchange at a time, redirects followed.
//!
//! Each scrape asks the source's own URL first. What a `HEADER` line or the URL's user and password say goes to the
//! server that they are meant for, and to none that it redirects to.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::TcpStream;
use mio::{Interest, Token};
use pmbridge_core::{
    http::{
        body::Framing,
        request::{Get, has_field},
        response::{Head, location},
    },
    role::{
        Context, Role as _,
        scraper::{Error, Scraper},
    },
    store::SourceId,
    wire::Writer,
};

use super::{Means, Outcome, TURN, WINDOW, explain, intake::Intake};
use crate::conn::{Flow, Tx, Window, receive, send};
use crate::memory::Memory;
use crate::sources::Source;
use crate::tls::Stream;
use crate::url::Http;

/// The client of one server.
#[derive(Debug)]
pub(super) struct Client {
    means: Rc<Means>,
    token: Token,
    home: Http,
    /// Fields of the request for servers that are trusted with them.
    secrets: String,
    /// What asks the home URL.
    request: Rc<[u8]>,
    /// Where redirects have led in this scrape.
    way: Vec<Http>,
    /// They have not led away from those who may know what is secret.
    trusted: bool,
    stream: Option<Stream<TcpStream>>,
    addresses: Vec<SocketAddr>,
    /// The connection served a request before: a server may close it as the next is sent.
    reused: bool,
    /// The connection stands: its own errors come with what is read.
    connected: bool,
    /// What has come and no step has taken: the start of a head, of a chunk, of what is packed.
    left: Vec<u8>,
    tx: Tx,
    scrape: Option<Scraper<Rc<[u8]>, Intake>>,
    /// Between scrapes.
    intake: Option<Intake>,
    /// The status of the last answer, 0 where there was none.
    pub(super) status: u16,
}

impl Client {
    pub(super) fn new(id: SourceId, home: Http, source: &Source, token: Token, means: Rc<Means>) -> Self {
        let mut secrets = source.headers.clone();
        if !has_field(&secrets, "Authorization") {
            secrets.push_str(&home.authorization());
        }
        let request = request(&home, &secrets);
        let intake = Some(Intake::new(id, &source.filter, &means));
        Self {
            means,
            token,
            home,
            secrets,
            request,
            way: Vec::new(),
            trusted: true,
            stream: None,
            addresses: Vec::new(),
            reused: false,
            connected: false,
            left: Vec::new(),
            tx: Tx::new(REQUEST, WINDOW),
            scrape: None,
            intake,
            status: 0,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.scrape.is_some()
    }

    /// The bytes of document that the running scrape has brought so far.
    pub(super) fn received(&self) -> u64 {
        self.scrape.as_ref().map_or(0, |scrape| scrape.document().stats().bytes)
    }

    /// How many file descriptors it has open.
    pub(super) fn descriptors(&self) -> usize {
        usize::from(self.stream.is_some())
    }

    /// Closes a connection that no scrape uses.
    pub(super) fn disconnect(&mut self) {
        if self.scrape.is_none() {
            self.stream = None;
        }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) -> Outcome {
        self.way.clear();
        // Those of the last scrape may be those of another server, or no longer true.
        self.addresses.clear();
        self.trusted = true;
        self.status = 0;
        self.renew(Rc::clone(&self.request));
        self.reused = self.stream.is_some();
        if self.reused { Outcome::More } else { Outcome::Unreached }
    }

    /// Where to connect to.
    pub(super) fn endpoint(&self) -> (&str, u16) {
        let here = self.here();
        (&here.host, here.port)
    }

    pub(super) const fn has_address(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Whether the addresses of this name are what it needs.
    pub(super) fn awaits(&self, host: &str, port: u16) -> bool {
        let unconnected = self.stream.is_none() && self.addresses.is_empty();
        self.is_running() && unconnected && self.endpoint() == (host, port)
    }

    pub(super) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.addresses = addresses;
    }

    /// Connects to the next address that it has.
    pub(super) fn connect(&mut self) -> io::Result<()> {
        self.left.clear();
        self.tx.clear();
        (self.reused, self.connected) = (false, false);
        let mut error = io::Error::other("no address");
        while let Some(address) = self.addresses.pop() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let connected = TcpStream::connect(address).and_then(|mut stream| {
                self.means.registry.register(&mut stream, self.token, interest)?;
                Ok(stream)
            });
            match connected {
                Ok(stream) => {
                    let here = self.here();
                    let stream = if here.tls {
                        self.means.trust.wrap(stream, &here.host)?
                    } else {
                        Stream::Plain(stream)
                    };
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(why) => error = why,
            }
        }
        Err(error)
    }

    /// Moves bytes as far as they go for now.
    pub(super) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        let Some(mut scrape) = self.scrape.take() else {
            // A server may close a kept connection; one that talks unasked loses it.
            if self.stream.as_mut().is_some_and(|stream| !stream.is_quiet()) {
                self.stream = None;
            }
            return Outcome::Pending;
        };
        let means = Rc::clone(&self.means);
        let mut rx = means.window.borrow_mut();
        rx.fill(&self.left);
        let outcome = self.exchange(&mut scrape, &mut rx, cx);
        let outcome = self.after(outcome, scrape, &mut rx);
        self.left.clear();
        self.left.extend_from_slice(rx.filled());
        if !self.is_running() {
            self.left.shrink_to(KEPT);
        }
        outcome
    }

    /// What comes of a turn of a scrape.
    fn after(
        &mut self,
        outcome: Result<Outcome, Why>,
        scrape: Scraper<Rc<[u8]>, Intake>,
        rx: &mut Window,
    ) -> Outcome {
        if !scrape.is_untouched() {
            self.status = scrape.status();
        }
        match outcome {
            Ok(Outcome::Done(stats)) => {
                // What is left over would be taken for a part of the next exchange.
                let clean = rx.is_empty() && self.tx.is_empty();
                if !(clean && scrape.stays_open() && same_server(self.here(), &self.home)) {
                    self.stream = None;
                }
                self.intake = Some(scrape.into_document());
                Outcome::Done(stats)
            }
            Ok(outcome) => {
                self.scrape = Some(scrape);
                outcome
            }
            Err(Why::Moved(status)) => {
                self.intake = Some(scrape.into_document());
                self.follow(status, rx).unwrap_or_else(|why| self.failed(&why))
            }
            Err(Why::Words(why)) => {
                let untouched = scrape.is_untouched();
                self.intake = Some(scrape.into_document());
                self.stream = None;
                // A kept connection may have been closed meanwhile, and a name may have other addresses that are well.
                if untouched && (self.reused || !self.addresses.is_empty()) {
                    self.renew(self.asking());
                    return Outcome::Unreached;
                }
                self.failed(&why)
            }
        }
    }

    pub(super) fn abandon(&mut self) {
        if let Some(scrape) = self.scrape.take() {
            self.intake = Some(scrape.into_document());
        }
        self.stream = None;
        self.left = Vec::new();
        self.addresses.clear();
    }

    pub(super) const fn intake(&mut self) -> Option<&mut Intake> {
        self.intake.as_mut()
    }

    /// What the scrape was at when its time was over.
    pub(super) fn stage(&self) -> &'static str {
        match &self.scrape {
            Some(scrape) if !scrape.is_untouched() => "the document had not come whole",
            Some(_) if self.stream.is_some() => "the server had not answered",
            _ => "the server's name had no address yet",
        }
    }

    /// The URL that is asked now.
    fn here(&self) -> &Http {
        self.way.last().unwrap_or(&self.home)
    }

    /// What asks for it.
    fn asking(&self) -> Rc<[u8]> {
        match self.way.last() {
            Some(url) => request(url, if self.trusted { &self.secrets } else { "" }),
            None => Rc::clone(&self.request),
        }
    }

    /// The scrape begins, or begins again.
    fn renew(&mut self, request: Rc<[u8]>) {
        if let Some(intake) = self.intake.take() {
            let limit = u64::try_from(self.means.limits.body).unwrap_or(u64::MAX);
            self.scrape = Some(Scraper::new(request, intake.renewed(), limit));
        }
    }

    fn failed(&mut self, why: &str) -> Outcome {
        self.stream = None;
        self.addresses.clear();
        Outcome::Failed(self.told(why))
    }

    /// A reason, with the server that it comes from where that is not the source's own.
    pub(super) fn told(&self, why: &str) -> String {
        match self.way.last() {
            Some(url) => format!("{why} (after a redirect to {})", url.origin()),
            None => why.into(),
        }
    }

    /// Goes where a redirect leads.
    fn follow(&mut self, status: u16, rx: &mut Window) -> Result<Outcome, String> {
        let said = location(rx.filled());
        let said =
            said.ok_or_else(|| format!("server answered with HTTP status {status} and no Location"))?;
        let said = core::str::from_utf8(said).map_err(|_| "redirected to what is no URL")?;
        let to =
            self.here().join(said).map_err(|error| format!("redirected to what cannot be used: {error}"))?;
        if self.way.len() >= MOST_REDIRECTS {
            return Err(format!("redirected more than {MOST_REDIRECTS} times"));
        }
        let again = |seen: &Http| same_server(seen, &to) && seen.path == to.path;
        if again(&self.home) || self.way.iter().any(again) {
            return Err("redirected in a circle".into());
        }
        let stays = same_server(self.here(), &to) && self.pass_over(rx);
        self.trusted &= self.home.may_tell(&to);
        self.way.push(to);
        self.renew(self.asking());
        if stays {
            self.reused = true;
            return Ok(Outcome::More);
        }
        self.stream = None;
        self.addresses.clear();
        Ok(Outcome::Unreached)
    }

    /// Drops an answer whose body does not matter; whether the connection serves another request.
    fn pass_over(&mut self, rx: &mut Window) -> bool {
        let Ok(Some((head, len))) = Head::parse(rx.filled()) else { return false };
        let body = match head.body {
            Framing::None => Some(0),
            Framing::Length(len) => usize::try_from(len).ok(),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let whole = body.and_then(|body| len.checked_add(body)).filter(|all| *all <= rx.filled().len());
        let stays = head.keep_alive && !head.is_informational() && self.tx.is_empty();
        rx.consume(whole.unwrap_or(0));
        stays && whole.is_some()
    }

    fn exchange(
        &mut self,
        scrape: &mut Scraper<Rc<[u8]>, Intake>,
        rx: &mut Window,
        cx: &mut Context<'_, Memory>,
    ) -> Result<Outcome, Why> {
        let limits = &self.means.limits;
        let Some(stream) = &mut self.stream else { return Ok(Outcome::Pending) };
        if !self.connected {
            if let Ok(Some(error)) = stream.socket().take_error() {
                return Err(error.into());
            }
            if stream.socket().peer_addr().is_err_and(|error| error.kind() == io::ErrorKind::NotConnected) {
                return Ok(Outcome::Pending);
            }
            self.connected = true;
        }
        let (mut turn, before) = (0usize, scrape.document().stats().bytes);
        loop {
            let flow = receive(stream, rx, false)?;
            let filled = rx.filled();
            // What is packed is taken in small bites, for each may become a thousand times as much.
            let bite =
                if scrape.document().is_coded() { filled.get(..BITE).unwrap_or(filled) } else { filled };
            let progress = match scrape.step(cx, bite, self.tx.room(REQUEST)) {
                Ok(progress) => progress,
                Err(Error::Moved(status)) => return Err(Why::Moved(status)),
                Err(error) => return Err(Why::Words(explain(error, limits))),
            };
            rx.consume(progress.consumed);
            self.tx.produce(progress.produced);
            turn = turn.saturating_add(progress.consumed);
            send(stream, &mut self.tx)?;
            if scrape.is_done() {
                return Ok(Outcome::Done(*scrape.document().stats()));
            }
            match flow {
                Flow::Ended if progress.consumed == 0 => {
                    scrape.end(cx).map_err(|error| Why::Words(explain(error, limits)))?;
                    if stream.was_cut() {
                        return Err(Why::Words("connection was cut, the document may not be whole".into()));
                    }
                    return Ok(Outcome::Done(*scrape.document().stats()));
                }
                Flow::Blocked if progress.is_none() => return Ok(Outcome::Pending),
                Flow::Done if progress.is_none() => {
                    return Err(Why::Words("response head is longer than its limit".into()));
                }
                _ => {}
            }
            let unpacked = scrape.document().stats().bytes.saturating_sub(before);
            if turn > TURN || unpacked > u64::try_from(TURN).unwrap_or(u64::MAX) {
                return Ok(Outcome::More);
            }
        }
    }
}

/// Why an exchange brought nothing.
enum Why {
    /// The document is elsewhere.
    Moved(u16),
    /// For people.
    Words(String),
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        Self::Words(error.to_string())
    }
}

fn same_server(a: &Http, b: &Http) -> bool {
    (a.tls, a.port) == (b.tls, b.port) && a.host.eq_ignore_ascii_case(&b.host)
}

/// A request as bytes.
fn request(url: &Http, fields: &str) -> Rc<[u8]> {
    let coding = if has_field(fields, "Accept-Encoding") { "" } else { "Accept-Encoding: gzip\r\n" };
    let fields = format!("{fields}{coding}");
    let get = Get { host: &url.authority, path: &url.path, headers: &fields, keep_alive: true };
    let mut counter = Writer::counter();
    get.emit(&mut counter);
    let mut bytes = vec![0; counter.total()];
    get.emit(&mut Writer::new(&mut bytes));
    bytes.into()
}

/// Redirects in one scrape.
pub(crate) const MOST_REDIRECTS: usize = 10;
/// Room for a request to begin with.
const REQUEST: usize = 1 << 10;
/// What is kept of the room for bytes that were left, from one scrape to the next.
const KEPT: usize = 4 << 10;
/// How much packed payload is taken at once.
const BITE: usize = 8 << 10;
