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
    socket::tcp::{Socket, SocketBuffer},
    wire::EthernetAddress,
};

use crate::{
    address,
    clients::{self, Client, Known},
    conn::{self, Line, Worth},
    door::{Closed, Door, Gate, Knock},
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
    clients: &'m mut [Client],
    pages: &'m mut [Reader],
    puller: Puller<'m>,
    lanes: &'m mut [Lane],
    rules: &'m [Later<Globs>],
    neighbours: &'static [Neighbour],
    dhcp: Option<SocketHandle>,
    /// What came for whoever is looked at.
    window: &'m mut [u8],
    table: &'static [Entry],
    device: Option<SourceId>,
    own: Option<Own>,
    /// Since when somebody waits for what the device has, while an answer is half out.
    owing: Option<Instant>,
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
        let Memory { inner, sockets, clients, client_buffers, pages, page_buffers, .. } = memory;
        let Memory { puller_buffers, lanes, rules, line, window, store, .. } = memory;
        if settings.neighbours.len() > lanes.len() {
            return Err(Error::Full(Full(Region::Sources)));
        }
        for (rules, neighbour) in rules.iter_mut().zip(settings.neighbours) {
            rules.make(Globs::new(neighbour.include, neighbour.exclude));
        }
        while sockets.push(SocketStorage::EMPTY).is_ok() {}
        let mut door = Door::new(EthernetAddress(settings.mac));
        let iface = address::interface(settings, &mut Gate { device, door: &mut door }, now)?;
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
            client.line.handle = Some(add(&mut self.sockets, buffers));
        }
        for (reader, buffers) in self.pages.iter_mut().zip(page_buffers) {
            reader.line.handle = Some(add(&mut self.sockets, buffers));
        }
        let puller = add(&mut self.sockets, puller_buffers);
        // A document comes one window after the other, and each has to be acknowledged before the next.
        self.sockets.get_mut::<Socket<'_>>(puller).set_ack_delay(None);
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
        let own = Own::declare(&mut self.store, self.neighbours.len())?;
        // They have their room before neighbours take it.
        let source = own.source;
        self.own = Some(own);
        self.tell(source);
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
                if self.make_room(knock, now) {
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
        if address::change(&mut self.iface, &mut self.sockets, handle) {
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

    /// Lets each connection go on; whether there is more to do at once.
    #[inline(never)]
    fn step(&mut self, now: Instant, wall: Timestamp) -> bool {
        let mut more = false;
        let mut cx = Context { store: &mut self.store, now, wall };
        for client in self.clients.iter_mut().filter(|_| cfg!(feature = "collector")) {
            let Some(handle) = client.line.handle else { continue };
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            more |= client.poll(&mut cx, (socket, self.window), &mut self.stats);
        }
        for reader in self.pages.iter_mut().filter(|_| cfg!(feature = "exporter")) {
            let Some(handle) = reader.line.handle else { continue };
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            more |= reader.poll(&mut cx, (socket, self.window), &mut self.stats);
        }
        self.stats.clients = count(self.clients.iter().filter(|client| client.is_taken()).count());
        self.stats.readers = count(self.pages.iter().filter(|reader| reader.is_taken()).count());
        let is_busy = self.is_busy();
        if cfg!(feature = "scraper") {
            more |= self.pull(is_busy, now, wall);
        }
        more | self.publish(is_busy, now)
    }

    /// Goes on with what is scraped, unless an answer is half out; whether there is more to do at once.
    #[inline(never)]
    fn pull(&mut self, is_busy: bool, now: Instant, wall: Timestamp) -> bool {
        let Some(handle) = self.puller.handle else { return false };
        if self.neighbours.is_empty() || self.iface.ipv4_addr().is_none() {
            return false;
        }
        if is_busy {
            self.puller.hold(now);
            return false;
        }
        let mut cx = Context { store: &mut self.store, now, wall };
        let mut lanes = Lanes { all: self.lanes, neighbours: self.neighbours, rules: self.rules };
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        let stack = self.iface.context();
        self.puller.poll(&mut cx, &mut lanes, (socket, self.window, stack), &mut self.stats)
    }

    /// Publishes what somebody asks for; whether anybody did.
    fn publish(&mut self, is_busy: bool, now: Instant) -> bool {
        let (mut any, mut from) = (false, 0);
        while let Some((source, next)) = self.store.wanted(from) {
            let is_own = self.own.as_ref().is_some_and(|own| own.source == source);
            if is_own || Some(source) == self.device {
                // Who reads slowly keeps nobody from values, though they are as old as those that are read.
                if is_busy && now.saturating_since(*self.owing.get_or_insert(now)) < OWING {
                    return false;
                }
                if is_busy {
                    self.store.begin(source);
                    self.store.published(source);
                } else {
                    self.tell(source);
                }
                any = true;
            }
            from = next;
        }
        self.owing = None;
        any
    }

    /// Publishes the values of a source.
    #[inline(never)]
    fn tell(&mut self, source: SourceId) {
        if Some(source) == self.device {
            metrics::publish(self.table, &mut self.store, source);
        } else if let Some(own) = &self.own {
            let Self { stats, lanes, rules, neighbours, .. } = self;
            own.publish(&mut self.store, &Facts { stats, lanes, rules, neighbours });
        }
    }

    /// Whether an answer is half out, so that nothing may change what it has promised.
    fn is_busy(&self) -> bool {
        self.is_busy_beside
            || self.clients.iter().any(Client::is_busy)
            || self.pages.iter().any(Reader::is_busy)
    }

    /// When to go on though no frame comes.
    fn next(&mut self, now: Instant) -> Next {
        let clients = self.clients.iter().filter_map(Client::deadline);
        let pages = self.pages.iter().filter_map(Reader::deadline);
        let puller =
            self.puller.deadline(self.lanes).filter(|_| cfg!(feature = "scraper") && !self.is_busy());
        let owing = self.owing.map(|since| since.saturating_add(OWING));
        let stack = self.iface.poll_at(stack_time(now), &self.sockets);
        let stack = stack.map(|at| Instant::from_millis(u64::try_from(at.total_millis()).unwrap_or(0)));
        match clients.chain(pages).chain(puller).chain(owing).chain(stack).min() {
            Some(at) if at <= now => Next::Now,
            Some(at) => Next::At(at),
            None => Next::Idle,
        }
    }

    /// The ports at which nobody listens.
    fn closed(&self) -> Closed {
        let listens = |line: &Line| {
            line.handle.is_some_and(|handle| self.sockets.get::<Socket<'_>>(handle).is_listening())
        };
        Closed {
            clients: !self.clients.iter().any(|client| listens(&client.line)),
            pages: !self.pages.iter().any(|reader| listens(&reader.line)),
        }
    }

    /// Ends a connection so that who knocks may have its place; whether there was one to be had.
    #[inline(never)]
    fn make_room(&mut self, knock: Knock, now: Instant) -> bool {
        if !self.iface.has_ip_addr(knock.to.addr) || self.is_known(knock) {
            return false;
        }
        let is_client = knock.to.port == clients::PORT;
        let mut least: Option<(Worth, Instant, usize)> = None;
        let mut half_open = false;
        let mut offer = |worth: Option<(Worth, Instant)>, line: &Line, place| {
            half_open |= line.is_half_open();
            if let Some((worth, since)) = worth {
                let this = (worth, since, place);
                least = Some(least.map_or(this, |least| least.min(this)));
            }
        };
        if is_client {
            let all = self.clients.iter().enumerate();
            all.for_each(|(place, client)| offer(client.worth(now), &client.line, place));
        } else {
            let all = self.pages.iter().enumerate();
            all.for_each(|(place, reader)| offer(reader.worth(now), &reader.line, place));
        }
        // A flood of first segments takes one place at most from those who have said something.
        let least = least.filter(|(worth, ..)| *worth != Worth::Idle || !half_open);
        let Some((_, _, place)) = least else {
            self.stats.refused = self.stats.refused.wrapping_add(1);
            return false;
        };
        self.stats.evicted = self.stats.evicted.wrapping_add(1);
        let handle = if is_client {
            self.clients.get_mut(place).and_then(|client| {
                client.leave();
                client.line.handle
            })
        } else {
            self.pages.get_mut(place).and_then(|reader| {
                reader.leave();
                reader.line.handle
            })
        };
        let Some(handle) = handle else { return false };
        self.sockets.get_mut::<Socket<'_>>(handle).abort();
        true
    }

    /// Whether a first segment is one of a connection that is being made, again.
    fn is_known(&self, knock: Knock) -> bool {
        let lines = self.clients.iter().map(|client| &client.line);
        let mut lines = lines.chain(self.pages.iter().map(|reader| &reader.line));
        lines.any(|line| {
            let socket = line.handle.map(|handle| self.sockets.get::<Socket<'_>>(handle));
            socket.is_some_and(|socket| {
                socket.is_active()
                    && socket.remote_endpoint() == Some(knock.from)
                    && socket.local_endpoint() == Some(knock.to)
            })
        })
    }

    /// Has whatever is free at a port listen.
    fn listen(&mut self, port: u16) {
        let clients = self.clients.iter().filter(|_| port == clients::PORT).filter_map(|c| c.line.handle);
        let pages = self.pages.iter().filter(|_| port == pages::PORT).filter_map(|r| r.line.handle);
        for handle in clients.chain(pages) {
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            if !socket.is_open() {
                let _ = socket.listen(port);
            }
        }
    }
}

/// What an agent is lent of its memory.
struct Lent<'m> {
    clients: &'m mut [Client],
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
        window,
        table,
        device: None,
        own: None,
        owing: None,
        is_busy_beside: false,
        stats: Stats::default(),
    });
    inner.as_mut()
}

/// A socket with these buffers.
fn add<'m, const IN: usize, const OUT: usize>(
    sockets: &mut SocketSet<'m>,
    buffers: &'m mut Buffers<IN, OUT>,
) -> SocketHandle {
    let (rx, tx) = (&mut buffers.rx[..], &mut buffers.tx[..]);
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
/// How long values are waited for while an answer is half out: less than a request waits for them.
const OWING: Duration = Duration::from_millis(150);
/// What was made is there.
const NOT_MADE: Error = Error::Full(Full(Region::Sources));
