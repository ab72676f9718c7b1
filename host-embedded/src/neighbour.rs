//! Neighbours: scraped one after the other over one socket, for who asks for their values.
//!
//! One that cannot be scraped holds what it has, which is no values, and is asked in the background, less and less
//! often, until it is well: so a silent neighbour costs one question, once, and all others nothing.

use pmbridge_core::{
    role::{
        Context,
        document::{self, Document},
        scraper::{Scraper, pause},
    },
    store::SourceId,
    time::{Duration, Instant},
    wire::Writer,
};
use smoltcp::{
    iface::{Context as Stack, SocketHandle},
    socket::tcp::{Socket, State},
    wire::{IpAddress, IpEndpoint},
};

use crate::{
    clients::Known,
    conn::{self, Over},
    log,
    memory::{Later, Slices},
    own::REGIONS,
    rules::Globs,
    settings::Neighbour,
    stats::Stats,
};

/// What is known of a neighbour.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) source: Option<SourceId>,
    /// Scrapes in a row that failed.
    failures: u32,
    /// When it is asked whether it is well again.
    retry_at: Option<Instant>,
    pub(crate) totals: Totals,
}

/// What has come of a neighbour's scrapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) is_up: bool,
    pub(crate) scrapes: u32,
    pub(crate) failures: u32,
    pub(crate) refused: u64,
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
}

impl Lane {
    /// Of nobody.
    pub(crate) const NONE: Self = Self {
        source: None,
        failures: 0,
        retry_at: None,
        totals: Totals { is_up: false, scrapes: 0, failures: 0, refused: 0, samples: 0, bytes: 0 },
    };
}

/// Neighbours and what is known of them.
pub(crate) struct Lanes<'a, 'm> {
    pub(crate) all: &'a mut [Lane],
    pub(crate) neighbours: &'static [Neighbour],
    pub(crate) rules: &'m [Later<Globs>],
}

/// The one who scrapes.
#[derive(Debug)]
pub(crate) struct Puller<'m> {
    pub(crate) handle: Option<SocketHandle>,
    /// Room for a line that is cut, while no document has it.
    line: Option<&'m mut [u8]>,
    scrape: Option<Scrape<'m>>,
    port: u16,
    /// When a connection whose document is there has ended at the latest.
    closing: Option<Instant>,
    /// Since when nothing is taken in, because an answer is half out.
    held: Option<Instant>,
    /// It was said that something is full.
    is_full: bool,
}

/// A scrape under way.
#[derive(Debug)]
struct Scrape<'m> {
    place: usize,
    source: SourceId,
    role: Scraper<&'static [u8], Document<&'m mut [u8], &'m Globs>>,
    /// Bytes of the request that are out.
    sent: usize,
    connected: Instant,
    until: Instant,
    /// Nobody waits for it.
    is_probe: bool,
    is_connected: bool,
    is_settled: bool,
}

/// How a scrape stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It goes on; whether there is more to do at once.
    Goes(bool),
    /// It has ended, with a whole document or without.
    Ended(bool),
}

impl<'m> Puller<'m> {
    /// Before the first scrape. Local ports begin where `seed` has it.
    pub(crate) fn new(line: &'m mut [u8], seed: u64) -> Self {
        let port = FIRST_PORT | u16::try_from(seed >> 16 & 0x3fff).unwrap_or(0);
        Self { handle: None, line: Some(line), scrape: None, port, closing: None, held: None, is_full: false }
    }

    /// Nothing may change what an answer has promised: time stands still for the scrape.
    pub(crate) fn hold(&mut self, now: Instant) {
        self.held.get_or_insert(now);
    }

    /// Begins, goes on with, or ends a scrape; whether there is more to do at once. Not while an answer is half out.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        lanes: &mut Lanes<'_, 'm>,
        (socket, window, stack): (&mut Socket<'_>, &mut [u8], &mut Stack),
        stats: &mut Stats,
    ) -> bool {
        let held = self.held.take().map_or(Duration::ZERO, |since| cx.now.saturating_since(since));
        let Some(scrape) = &mut self.scrape else { return self.begin(cx, lanes, (socket, stack), stats) };
        scrape.connected = scrape.connected.saturating_add(held);
        scrape.until = scrape.until.saturating_add(held);
        if scrape.is_probe
            && is_mute(socket)
            && next_wanted(cx.store, lanes.all, Some(scrape.place)).is_some()
        {
            // Somebody waits for another one.
            socket.abort();
            self.end(cx, lanes, false, stats);
            return true;
        }
        match scrape.step(cx, lanes.neighbours, (socket, window)) {
            Stand::Goes(more) => more,
            Stand::Ended(whole) => {
                if whole {
                    socket.close();
                    self.closing = Some(cx.now.saturating_add(CLOSING));
                } else {
                    socket.abort();
                }
                self.end(cx, lanes, whole, stats);
                true
            }
        }
    }

    /// Whether an answer that is half out keeps somebody from values: there is a neighbour to be scraped for them, or one
    /// that was ill and says something again.
    pub(crate) fn is_due(&self, store: &Known<'_>, lanes: &[Lane]) -> bool {
        let is_under_way = self.scrape.as_ref().is_some_and(|scrape| !scrape.is_probe || scrape.is_connected);
        is_under_way || next_wanted(store, lanes, None).is_some()
    }

    /// When to go on though nothing has come.
    pub(crate) fn deadline(&self, lanes: &[Lane]) -> Instant {
        let mut by = self.closing.unwrap_or(Instant::NEVER);
        match &self.scrape {
            Some(scrape) => by = by.min(scrape.deadline()),
            None => lanes.iter().filter_map(|lane| lane.retry_at).for_each(|at| by = by.min(at)),
        }
        by
    }

    /// Begins the scrape that is wanted, or due.
    fn begin(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        lanes: &mut Lanes<'_, 'm>,
        (socket, stack): (&mut Socket<'_>, &mut Stack),
        stats: &mut Stats,
    ) -> bool {
        if !socket.is_open() {
            self.closing = None;
        } else if self.closing.is_some_and(|by| cx.now >= by) {
            socket.abort();
        }
        let wanted = next_wanted(cx.store, lanes.all, None);
        let Some(place) = wanted.or_else(|| next_probe(lanes, cx.now)) else { return false };
        let (Some(lane), Some(neighbour)) = (lanes.all.get_mut(place), lanes.neighbours.get(place)) else {
            return false;
        };
        let rules = lanes.rules.get(place).and_then(Later::as_ref);
        let (Some(source), Some(rules), Some(line)) = (lane.source, rules, self.line.take()) else {
            return false;
        };
        lane.totals.scrapes = lane.totals.scrapes.wrapping_add(1);
        stats.scrapes = stats.scrapes.wrapping_add(1);
        self.port = self.port.checked_add(1).unwrap_or(FIRST_PORT);
        self.closing = None;
        socket.abort();
        cx.store.begin(source);
        self.scrape = Some(Scrape {
            place,
            source,
            role: Scraper::new(b"", Document::new(source, line, rules), MAX_BODY),
            sent: 0,
            connected: cx.now.saturating_add(CONNECTING),
            until: cx.now.saturating_add(PATIENCE),
            is_probe: wanted.is_none(),
            is_connected: false,
            is_settled: false,
        });
        let at = IpEndpoint::new(IpAddress::Ipv4(neighbour.address), neighbour.port);
        if socket.connect(stack, at, self.port).is_err() {
            self.end(cx, lanes, false, stats);
        }
        true
    }

    /// The scrape has ended.
    fn end(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        lanes: &mut Lanes<'_, 'm>,
        whole: bool,
        stats: &mut Stats,
    ) {
        let Some(scrape) = self.scrape.take() else { return };
        let document = scrape.role.into_document();
        if let (Some(lane), Some(neighbour)) =
            (lanes.all.get_mut(scrape.place), lanes.neighbours.get(scrape.place))
        {
            if whole == (lane.failures > 0) {
                log::scraped(neighbour.name, whole);
            }
            lane.ended(document.stats(), whole, (cx.now, scrape.place));
        }
        self.line = Some(document.into_buffer());
        if !whole {
            stats.failures = stats.failures.wrapping_add(1);
        }
        // Who is ill holds what it has until it is well.
        let holds_until = if whole { cx.now } else { Instant::NEVER };
        cx.store.commit(scrape.source, whole, holds_until);
        self.tell_full(cx.store);
    }
}

impl Puller<'_> {
    /// Says what is full, once.
    fn tell_full(&mut self, store: &Known<'_>) {
        if self.is_full {
            return;
        }
        if let Some(region) = REGIONS.iter().find(|region| store.refused(**region) > 0) {
            self.is_full = true;
            log::full(*region);
        }
    }
}

impl Lane {
    /// Asks again at once who could not be reached.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if self.retry_at.is_some() {
            (self.failures, self.retry_at) = (0, Some(now));
        }
    }

    fn ended(&mut self, came: &document::Stats, whole: bool, (now, place): (Instant, usize)) {
        let totals = &mut self.totals;
        totals.is_up = whole;
        totals.refused = totals.refused.saturating_add(came.refused);
        totals.samples = totals.samples.saturating_add(came.samples);
        totals.bytes = totals.bytes.saturating_add(came.bytes);
        if whole {
            (self.failures, self.retry_at) = (0, None);
        } else {
            totals.failures = totals.failures.wrapping_add(1);
            self.failures = self.failures.saturating_add(1);
            self.retry_at = Some(now.saturating_add(pause(self.failures, LONGEST_PAUSE, place)));
        }
    }
}

impl Scrape<'_> {
    /// Sends what is left of the request, and takes in what has come.
    fn step(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        neighbours: &'static [Neighbour],
        (socket, window): (&mut Socket<'_>, &mut [u8]),
    ) -> Stand {
        let now = cx.now;
        self.is_connected |= !is_mute(socket);
        if now >= self.end_by() || !socket.is_active() && !socket.can_recv() {
            return Stand::Ended(false);
        }
        if !self.is_settled && self.until.saturating_since(now) <= UNSETTLED {
            self.is_settled = true;
            cx.store.settle(self.source);
        }
        if is_mute(socket) {
            return Stand::Goes(false);
        }
        if let Some(neighbour) = neighbours.get(self.place) {
            let sent = &mut self.sent;
            conn::say(socket, &mut |room| {
                let mut w = Writer::resume(room, *sent);
                ask(neighbour, &mut w);
                *sent = sent.saturating_add(w.written());
                w.written()
            });
        }
        let role = &mut self.role;
        let moved = conn::take(socket, window, &mut |input, room| {
            pmbridge_core::role::Role::step(role, cx, input, room).map_err(|_| Over)
        });
        match moved {
            Ok(_) if self.role.is_done() => Stand::Ended(true),
            Ok(moved) if moved.stuck => Stand::Ended(false),
            Ok(_) if socket.state() == State::CloseWait && !socket.can_recv() => {
                Stand::Ended(self.role.end(cx).is_ok())
            }
            Ok(moved) => Stand::Goes(moved.worked),
            Err(Over) => Stand::Ended(false),
        }
    }

    /// When it has failed.
    fn end_by(&self) -> Instant {
        if self.is_connected { self.until } else { self.connected.min(self.until) }
    }

    /// When to go on though nothing has come.
    fn deadline(&self) -> Instant {
        let settles = Instant::from_millis(self.until.millis().saturating_sub(UNSETTLED.millis()));
        if self.is_settled { self.end_by() } else { self.end_by().min(settles) }
    }
}

/// Whether a connection is still being made.
fn is_mute(socket: &Socket<'_>) -> bool {
    matches!(socket.state(), State::SynSent | State::SynReceived)
}

/// The place of a neighbour that a request waits for, other than this one.
fn next_wanted(store: &Known<'_>, lanes: &[Lane], but: Option<usize>) -> Option<usize> {
    let mut from = 0;
    while let Some((source, next)) = store.wanted(from) {
        let place = lanes.iter().position(|lane| lane.source == Some(source));
        if place.is_some() && place != but {
            return place;
        }
        from = next;
    }
    None
}

/// The place of a neighbour that is to be asked whether it is well.
fn next_probe(lanes: &Lanes<'_, '_>, now: Instant) -> Option<usize> {
    lanes.all.iter().position(|lane| lane.retry_at.is_some_and(|at| now >= at))
}

/// Asks a neighbour for its page.
fn ask(neighbour: &Neighbour, w: &mut Writer<'_>) {
    for piece in ["GET ", neighbour.path, " HTTP/1.1\r\nHost: "] {
        w.bytes(piece.as_bytes());
    }
    for (at, octet) in neighbour.address.octets().into_iter().enumerate() {
        if at > 0 {
            w.bytes(b".");
        }
        decimal(octet.into(), w);
    }
    w.bytes(b":");
    decimal(neighbour.port, w);
    w.bytes(REQUEST);
}

fn decimal(n: u16, w: &mut Writer<'_>) {
    let digits = [n / 10_000, n / 1000 % 10, n / 100 % 10, n / 10 % 10, n % 10];
    let from = digits.iter().position(|digit| *digit > 0).unwrap_or(4);
    for digit in digits.iter().skip(from) {
        w.bytes(&[u8::try_from(*digit).unwrap_or(0).saturating_add(b'0')]);
    }
}

/// What every request says behind the host.
const REQUEST: &[u8] = b"\r\nUser-Agent: pmbridge\r\nAccept: text/plain;version=0.0.4,*/*;q=0.1\r\n\
                         Accept-Encoding: identity\r\nConnection: close\r\n\r\n";
/// How long a neighbour may take to answer at all: one segment may be lost.
const CONNECTING: Duration = Duration::from_millis(1500);
/// How long a scrape may take: less than a client waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// Names are told without those of a neighbour that has so much time left: it has had a second.
const UNSETTLED: Duration = Duration::from_secs(2);
/// How long the end of a connection may take.
const CLOSING: Duration = Duration::from_secs(2);
/// The longest time after which somebody ill is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Where local ports begin.
const FIRST_PORT: u16 = 49_152;
/// Bytes of the longest document.
const MAX_BODY: u64 = 1 << 20;
