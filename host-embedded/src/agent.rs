//! The loop: frames, clients, readers, neighbours; a bounded piece of each in one call.

use core::{fmt, net::Ipv4Addr};

use pmbridge_core::{
    role::Context,
    store::{Full, Region, SourceId, Storage as _, Store},
    time::{Duration, Instant, Timestamp},
};
use smoltcp::{
    iface::{Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet, SocketStorage},
    phy::Device,
    socket::tcp::{Socket, SocketBuffer, State},
    wire::EthernetAddress,
};

use crate::{
    address,
    clients::{self, Client, Known},
    conn::{self, Line, Worth},
    door::{Closed, Door, Gate, Knock},
    log,
    memory::{Buffers, FRAMES, HEAD, Later, Memory, QUESTION, RX, Slices, TX},
    metrics::{self, Entry},
    neighbour::{Lane, Lanes, Puller},
    own::{Facts, Own},
    pages::{self, Reader},
    rules::Globs,
    settings::{Error, Neighbour, Settings},
    stats::Stats,
};

/// When [`Agent::poll`] is to be called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "there is no other time")]
pub enum Next {
    /// As soon as the device's own work is done: there is more to do.
    Now,
    /// When a frame has come, or at this time.
    At(Instant),
    /// When a frame has come.
    Idle,
}

/// The agent: everything, behind one reference.
pub struct Agent<'m> {
    inner: &'m mut Inner<'m>,
}

/// What lies in the [`Memory`].
pub(crate) struct Inner<'m> {
    iface: Interface,
    sockets: SocketSet<'m>,
    door: Door,
    store: Known<'m>,
    clients: &'m mut [Client<'m>],
    pages: &'m mut [Reader],
    puller: Puller<'m>,
    lanes: &'m mut [Lane],
    rules: &'m [Later<Globs>],
    neighbours: &'static [Neighbour],
    dhcp: Option<SocketHandle>,
    /// Whose turn it is.
    turn: usize,
    /// What came for whoever is looked at.
    window: &'m mut [u8],
    table: &'static [Entry],
    device: Option<SourceId>,
    own: Option<Own>,
    owing: Owing,
    /// A role beside is in the middle of an answer.
    is_busy_beside: bool,
    stats: Stats,
}

impl fmt::Debug for Agent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("stats", &self.inner.stats).finish_non_exhaustive()
    }
}

impl<'m> Agent<'m> {
    /// An agent in `memory`, which is used up by it, with the metrics of `table`.
    ///
    /// # Errors
    ///
    /// The settings are none that can be, or there is too little memory for what is declared.
    pub fn new<
        const CLIENTS: usize,
        const PAGES: usize,
        const SOCKETS: usize,
        const SOURCES: usize,
        const METRICS: usize,
        const SERIES: usize,
        const INDEX: usize,
        const TEXT: usize,
    >(
        memory: &'m mut Memory<'m, CLIENTS, PAGES, SOCKETS, SOURCES, METRICS, SERIES, INDEX, TEXT>,
        device: &mut (impl Device + ?Sized),
        table: &'static [Entry],
        settings: &Settings,
        now: Instant,
    ) -> Result<Self, Error> {
        let Memory { inner, sockets, clients, requests, client_buffers, pages, page_buffers, .. } = memory;
        let Memory { puller_buffers, lanes, rules, line, window, store, .. } = memory;
        settings.check()?;
        if settings.neighbours.len() > lanes.len() {
            return Err(Error::Full(Full(Region::Sources)));
        }
        for (rules, neighbour) in rules.iter_mut().zip(settings.neighbours) {
            rules.make(Globs::new(neighbour.include, neighbour.exclude));
        }
        for (client, request) in clients.iter_mut().zip(requests) {
            client.give(request.as_flattened_mut());
        }
        while sockets.push(SocketStorage::EMPTY).is_ok() {}
        let mut door = Door::new(EthernetAddress(settings.mac));
        let iface = address::interface(settings, &mut Gate { device, door: &mut door }, now);
        let parts = (Slices(store.parts()), &mut sockets[..], Puller::new(line, settings.seed));
        let lent = Lent { clients, pages, lanes, rules, window, table, neighbours: settings.neighbours };
        let inner = build(inner, (iface, door), parts, lent, settings.seed).ok_or(NOT_MADE)?;
        inner.open(client_buffers, page_buffers, puller_buffers);
        inner.dhcp = address::ask(settings, &mut inner.sockets)?;
        inner.declare(settings.labels)?;
        Ok(Self { inner })
    }

    /// Does a bounded piece of work: a few frames, and one step of each connection.
    ///
    /// To be called when a frame has come and when it said so the last time. `now` never goes back; `wall` is the time
    /// that answers have, since 1970 where that is known.
    pub fn poll(&mut self, device: &mut (impl Device + ?Sized), now: Instant, wall: Timestamp) -> Next {
        let inner = &mut *self.inner;
        let mut more = inner.receive(device, now);
        inner.settle_down(now);
        more |= inner.step(now, wall);
        more |= inner.send(device, now);
        if more { Next::Now } else { inner.next(now) }
    }

    /// Lets another role, over a line of its own, use what the agent knows: a serial one. `role` says whether an answer
    /// of it is half out now, for then nothing is scraped or published until it says otherwise.
    ///
    /// To be called beside [`poll`](Self::poll), which does what such a role waits for.
    pub fn beside(
        &mut self,
        now: Instant,
        wall: Timestamp,
        role: impl FnOnce(&mut Context<'_, Slices<'m>>) -> bool,
    ) {
        self.inner.is_busy_beside = role(&mut Context { store: &mut self.inner.store, now, wall });
    }

    /// What it has done.
    pub const fn stats(&self) -> &Stats {
        &self.inner.stats
    }

    /// Its address, once it has one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.inner.iface.ipv4_addr()
    }

    /// What it knows.
    pub const fn store(&self) -> &Store<Slices<'m>> {
        &self.inner.store
    }
}

impl<'m> Inner<'m> {
    /// Makes the sockets.
    #[inline(never)]
    fn open(
        &mut self,
        client_buffers: &'m mut [Buffers<RX, TX>],
        page_buffers: &'m mut [Buffers<HEAD, TX>],
        puller_buffers: &'m mut Buffers<HEAD, QUESTION>,
    ) {
        for (client, buffers) in self.clients.iter_mut().zip(client_buffers) {
            client.line.handle = Some(add(&mut self.sockets, &mut buffers.rx, &mut buffers.tx));
        }
        for (reader, buffers) in self.pages.iter_mut().zip(page_buffers) {
            reader.line.handle = Some(add(&mut self.sockets, &mut buffers.rx, &mut buffers.tx));
        }
        let puller = add(&mut self.sockets, &mut puller_buffers.rx, &mut puller_buffers.tx);
        // A document comes one window after the other, and each has to be acknowledged before the next.
        tcp_mut(&mut self.sockets, puller).set_ack_delay(None);
        self.puller.handle = Some(puller);
    }

    /// Declares what there is.
    #[inline(never)]
    fn declare(&mut self, labels: &str) -> Result<(), Error> {
        self.store.set_root(ROOT)?;
        self.store.set_context(labels)?;
        let device = self.store.add_source("device", "", Some(0))?;
        metrics::declare(self.table, &mut self.store, device)?;
        self.device = Some(device);
        for (lane, neighbour) in self.lanes.iter_mut().zip(self.neighbours) {
            lane.source = Some(self.store.add_source(neighbour.name, "", None)?);
        }
        self.own = Some(Own::declare(&mut self.store, self.neighbours)?);
        Ok(())
    }

    /// Takes a few frames in; whether there may be more.
    fn receive(&mut self, device: &mut (impl Device + ?Sized), now: Instant) -> bool {
        let at = stack_time(now);
        self.iface.poll_maintenance(at);
        for _ in 0..FRAMES {
            self.door.closed = self.closed();
            let gate = &mut Gate { device: &mut *device, door: &mut self.door };
            if self.iface.poll_ingress_single(at, gate, &mut self.sockets) == PollIngressSingleResult::None {
                return false;
            }
            if let Some(knock) = self.door.knock {
                if !self.listen(knock.to.port) && self.make_room(knock, now) {
                    // Who had the place hears of it before another has it.
                    self.send(device, now);
                    self.listen(knock.to.port);
                }
                self.door.open();
            }
        }
        true
    }

    /// Moves to where DHCP says.
    fn settle_down(&mut self, now: Instant) {
        let Some(handle) = self.dhcp else { return };
        let Some(address) = address::change(&mut self.iface, &mut self.sockets, handle) else { return };
        log::address(address);
        // Nothing is scraped without an address, so that nobody would see to it.
        self.owing = Owing::NOTHING;
        if address.is_some() {
            self.stats.leases = self.stats.leases.wrapping_add(1);
            // Nobody could be reached before.
            self.lanes.iter_mut().for_each(|lane| lane.hurry(now));
        }
    }

    /// Sends what is to be sent, a segment of each connection; whether there was any.
    fn send(&mut self, device: &mut (impl Device + ?Sized), now: Instant) -> bool {
        let gate = &mut Gate { device, door: &mut self.door };
        let sent = self.iface.poll_egress(stack_time(now), gate, &mut self.sockets);
        sent == PollResult::SocketStateChanged
    }

    /// Lets the next one go on who has something to do, in turn, so that a call is never longer than one step of one of
    /// them; whether there was any.
    fn step(&mut self, now: Instant, wall: Timestamp) -> bool {
        let seats = self.places().saturating_add(1);
        // What is asked for is published before anybody else's answer begins.
        let mut worked = self.publish();
        self.hold();
        for _ in 0..seats {
            if worked {
                break;
            }
            let seat = self.turn;
            self.turn = if seat.saturating_add(1) < seats { seat.saturating_add(1) } else { 0 };
            worked = self.serve(seat, now, wall);
        }
        // Who has come to wait for something in this turn need not wait for another.
        if !worked {
            worked = self.pull(now, wall) | self.publish();
        }
        self.stats.clients = count(self.clients.iter().filter(|client| client.is_taken()).count());
        self.stats.readers = count(self.pages.iter().filter(|reader| reader.is_taken()).count());
        // Who was held back and is no more goes on at once.
        worked | self.hold()
    }

    /// Holds answers back while others keep somebody from values, or lets them go; whether that has changed.
    #[inline(never)]
    fn hold(&mut self) -> bool {
        let is_held = self.owing.values || self.owing.scrape;
        let was_held = self.store.is_held();
        self.store.hold(is_held);
        was_held != is_held
    }

    /// Lets one go on: a client, a reader, or who scrapes; whether it did anything.
    fn serve(&mut self, seat: usize, now: Instant, wall: Timestamp) -> bool {
        let Some(place) = self.place(seat) else { return self.pull(now, wall) };
        let Some(handle) = self.line(place).and_then(|line| line.handle) else { return false };
        let mut cx = Context { store: &mut self.store, now, wall };
        let means = (tcp_mut(&mut self.sockets, handle), &mut *self.window);
        match place {
            Place::Client(at) if cfg!(feature = "collector") => {
                self.clients.get_mut(at).is_some_and(|client| client.poll(&mut cx, means, &mut self.stats))
            }
            Place::Reader(at) if cfg!(feature = "exporter") => {
                self.pages.get_mut(at).is_some_and(|reader| reader.poll(&mut cx, means, &mut self.stats))
            }
            _ => false,
        }
    }

    /// How many places there are for connections that come.
    #[inline(never)]
    const fn places(&self) -> usize {
        self.clients.len().saturating_add(self.pages.len())
    }

    /// The place of this number.
    fn place(&self, seat: usize) -> Option<Place> {
        match seat.checked_sub(self.clients.len()) {
            None => Some(Place::Client(seat)),
            Some(at) => (at < self.pages.len()).then_some(Place::Reader(at)),
        }
    }

    /// The line of a place.
    fn line(&self, place: Place) -> Option<&Line> {
        match place {
            Place::Client(at) => self.clients.get(at).map(|client| &client.line),
            Place::Reader(at) => self.pages.get(at).map(|reader| &reader.line),
        }
    }

    /// The lines at a port, and their sockets.
    fn lines(&self, port: u16) -> impl Iterator<Item = (Place, &Line, &Socket<'m>)> {
        (0..self.places()).filter_map(move |seat| self.seat(seat, port))
    }

    /// The place of this number and what is there, if it is at that port.
    #[inline(never)]
    fn seat(&self, seat: usize, port: u16) -> Option<(Place, &Line, &Socket<'m>)> {
        let place = self.place(seat).filter(|at| at.port() == port)?;
        let line = self.line(place)?;
        Some((place, line, tcp(&self.sockets, line.handle?)))
    }

    /// Goes on with what is scraped, unless an answer is half out; whether there is more to do at once.
    fn pull(&mut self, now: Instant, wall: Timestamp) -> bool {
        let Some(handle) = self.puller.handle.filter(|_| cfg!(feature = "scraper")) else { return false };
        if !self.may_pull(now) {
            return false;
        }
        let mut cx = Context { store: &mut self.store, now, wall };
        let mut lanes = Lanes { all: self.lanes, neighbours: self.neighbours, rules: self.rules };
        let socket = tcp_mut(&mut self.sockets, handle);
        let stack = self.iface.context();
        self.puller.poll(&mut cx, &mut lanes, (socket, self.window, stack), &mut self.stats)
    }

    /// Whether what is scraped may go on now. Where it may not, it is noted since when.
    #[inline(never)]
    fn may_pull(&mut self, now: Instant) -> bool {
        if !self.is_online() {
            return false;
        }
        let (is_due, is_busy) = (self.puller.is_due(&self.store, self.lanes), self.is_busy());
        // Whoever waited for a scrape that has ended has had a turn since.
        self.owing.note(is_due, is_busy, now);
        if is_busy {
            self.puller.hold(now);
        }
        !is_busy
    }

    /// Publishes what somebody asks for; whether anybody did.
    fn publish(&mut self) -> bool {
        let (mut any, mut from) = (false, 0);
        while let Some((source, next)) = self.store.wanted(from) {
            let is_own = self.own.as_ref().is_some_and(|own| own.source == source);
            if is_own || Some(source) == self.device {
                if self.is_busy() {
                    self.owing.values = true;
                    return false;
                }
                self.tell(source);
                any = true;
            }
            from = next;
        }
        self.owing.values = false;
        any
    }

    /// Publishes the values of a source.
    fn tell(&mut self, source: SourceId) {
        if Some(source) == self.device {
            metrics::publish(self.table, &mut self.store, source);
        } else if let Some(own) = &self.own {
            let Self { stats, lanes, rules, neighbours, .. } = self;
            own.publish(&mut self.store, &Facts { stats, lanes, rules, neighbours });
        }
    }

    /// Whether it has an address, so that neighbours can be reached.
    #[inline(never)]
    fn is_online(&self) -> bool {
        self.iface.ipv4_addr().is_some()
    }

    /// Whether an answer is half out, so that nothing may change what it has promised.
    #[inline(never)]
    fn is_busy(&self) -> bool {
        self.is_busy_beside
            || self.clients.iter().any(Client::is_busy)
            || self.pages.iter().any(Reader::is_busy)
    }

    /// When to go on though no frame comes.
    fn next(&mut self, now: Instant) -> Next {
        let (mut by, is_owed) = (self.owing.until, self.store.is_held());
        self.clients.iter().for_each(|client| by = by.min(client.deadline(is_owed)));
        self.pages.iter().for_each(|reader| by = by.min(reader.deadline(is_owed)));
        if cfg!(feature = "scraper") && self.is_online() && !self.is_busy() {
            by = by.min(self.puller.deadline(self.lanes));
        }
        if let Some(at) = self.iface.poll_at(stack_time(now), &self.sockets) {
            by = by.min(Instant::from_millis(u64::try_from(at.total_millis()).unwrap_or(0)));
        }
        match by {
            Instant::NEVER => Next::Idle,
            at if at <= now => Next::Now,
            at => Next::At(at),
        }
    }

    /// The ports at which nobody listens.
    fn closed(&self) -> Closed {
        let is_closed = |port| !self.lines(port).any(|(_, _, socket)| socket.is_listening());
        Closed {
            clients: cfg!(feature = "collector") && is_closed(clients::PORT),
            pages: cfg!(feature = "exporter") && is_closed(pages::PORT),
        }
    }

    /// Ends a connection so that who knocks may have its place; whether there was one to be had.
    fn make_room(&mut self, knock: Knock, now: Instant) -> bool {
        let is_known = |socket: &Socket<'_>| {
            let ends = (socket.remote_endpoint(), socket.local_endpoint());
            socket.is_active() && ends == (Some(knock.from), Some(knock.to))
        };
        let port = knock.to.port;
        if !self.iface.has_ip_addr(knock.to.addr) || self.lines(port).any(|(_, _, socket)| is_known(socket)) {
            return false;
        }
        let (mut least, mut half_open) = (None::<(Worth, Instant, Place)>, false);
        for (place, line, socket) in self.lines(port) {
            half_open |= line.is_half_open();
            let worth = match place {
                Place::Client(at) => self.clients.get(at).and_then(|client| client.worth(now)),
                Place::Reader(at) => self.pages.get(at).and_then(|reader| reader.worth(now)),
            };
            // Who has just asked something is not idle.
            if let Some((worth, since)) =
                worth.filter(|(worth, _)| *worth == Worth::Half || !socket.can_recv())
                && least.is_none_or(|(least, longest, _)| (worth, since) < (least, longest))
            {
                least = Some((worth, since, place));
            }
        }
        // A flood of first segments takes one place at most from those who have said something.
        let Some((_, _, place)) = least.filter(|(worth, ..)| *worth != Worth::Idle || !half_open) else {
            self.stats.refused = self.stats.refused.wrapping_add(1);
            log::refused(knock.from, port);
            return false;
        };
        self.stats.evicted = self.stats.evicted.wrapping_add(1);
        let Some(handle) = self.leave(place) else { return false };
        let socket = tcp_mut(&mut self.sockets, handle);
        let is_half = !matches!(socket.state(), State::Established | State::CloseWait);
        socket.abort();
        if is_half {
            // It ends without a word, which would be a reset of what its peer takes for done.
            let _ = socket.listen(port);
        }
        true
    }

    /// Forgets who was at a place, and gives its socket.
    fn leave(&mut self, place: Place) -> Option<SocketHandle> {
        let line = match place {
            Place::Client(at) => self.clients.get_mut(at).map(Client::leave),
            Place::Reader(at) => self.pages.get_mut(at).map(Reader::leave),
        };
        line.and_then(Line::vacate)
    }

    /// Has whatever is free at a port listen; whether there was any.
    fn listen(&mut self, port: u16) -> bool {
        let mut any = false;
        for seat in 0..self.places() {
            let Some(place) = self.place(seat).filter(|place| place.port() == port) else { continue };
            let Some(handle) = self.line(place).and_then(|line| line.handle) else { continue };
            let socket = tcp_mut(&mut self.sockets, handle);
            if !socket.is_open() && socket.listen(port).is_ok() {
                // Its next turn may find it connected again, which is not the connection that it was.
                let _ = self.leave(place);
                any = true;
            }
        }
        any
    }
}

/// What answers that are half out keep somebody from. As long as it is anything, no other answer begins.
#[derive(Debug)]
struct Owing {
    /// Values are to be published.
    values: bool,
    /// A neighbour is to be scraped.
    scrape: bool,
    /// Until when that has its turn, once no answer is half out.
    until: Instant,
}

impl Owing {
    const NOTHING: Self = Self { values: false, scrape: false, until: Instant::NEVER };

    /// There is something to be scraped, or not, and an answer is half out, or not.
    fn note(&mut self, is_due: bool, is_busy: bool, now: Instant) {
        if is_due && is_busy {
            (self.scrape, self.until) = (true, Instant::NEVER);
        } else if !is_due || self.until <= now {
            (self.scrape, self.until) = (false, Instant::NEVER);
        } else if self.scrape {
            self.until = self.until.min(now.saturating_add(TURN));
        }
    }
}

/// A place for a connection that comes.
#[derive(Debug, Clone, Copy)]
enum Place {
    Client(usize),
    Reader(usize),
}

impl Place {
    /// Where it listens.
    const fn port(self) -> u16 {
        match self {
            Self::Client(_) => clients::PORT,
            Self::Reader(_) => pages::PORT,
        }
    }
}

/// What an agent is lent of its memory.
struct Lent<'m> {
    clients: &'m mut [Client<'m>],
    pages: &'m mut [Reader],
    lanes: &'m mut [Lane],
    rules: &'m [Later<Globs>],
    window: &'m mut [u8],
    table: &'static [Entry],
    neighbours: &'static [Neighbour],
}

/// Builds what lies in the memory. What it takes of the stack is free again behind this.
#[inline(never)]
fn build<'m>(
    inner: &'m mut Later<Inner<'m>>,
    (iface, door): (Interface, Door),
    (storage, sockets, puller): (Slices<'m>, &'m mut [SocketStorage<'m>], Puller<'m>),
    lent: Lent<'m>,
    seed: u64,
) -> Option<&'m mut Inner<'m>> {
    let Lent { clients, pages, lanes, rules, window, table, neighbours } = lent;
    inner.make(Inner {
        iface,
        sockets: SocketSet::new(sockets),
        door,
        store: Store::new(storage, DOMAIN, seed),
        clients,
        pages,
        puller,
        lanes,
        rules,
        neighbours,
        dhcp: None,
        turn: 0,
        window,
        table,
        device: None,
        own: None,
        owing: Owing::NOTHING,
        is_busy_beside: false,
        stats: Stats::default(),
    });
    inner.as_mut()
}

/// A socket of TCP. That it may be none is smoltcp's panic, once in the image.
#[inline(never)]
fn tcp<'a, 'm>(sockets: &'a SocketSet<'m>, handle: SocketHandle) -> &'a Socket<'m> {
    sockets.get(handle)
}

/// The same, to be changed.
#[inline(never)]
fn tcp_mut<'a, 'm>(sockets: &'a mut SocketSet<'m>, handle: SocketHandle) -> &'a mut Socket<'m> {
    sockets.get_mut(handle)
}

/// A socket with these buffers.
#[inline(never)]
fn add<'m>(sockets: &mut SocketSet<'m>, rx: &'m mut [u8], tx: &'m mut [u8]) -> SocketHandle {
    let mut socket = Socket::new(SocketBuffer::new(rx), SocketBuffer::new(tx));
    conn::prepare(&mut socket);
    sockets.add(socket)
}

pub(crate) fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_millis(i64::try_from(now.millis()).unwrap_or(i64::MAX))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The domain of the agent's PMIDs: that of PCP's openmetrics.
const DOMAIN: u16 = 144;
/// The root of neighbours' names.
const ROOT: &str = "openmetrics";
/// How long a scrape that was held back has for itself before answers begin again: neighbours on a LAN take less, and who
/// asks for something else hardly notices one that takes more.
const TURN: Duration = Duration::from_millis(250);
/// What was made is there.
const NOT_MADE: Error = Error::Full(Full(Region::Sources));
