//! The loop: frames, clients, readers, neighbours; a bounded piece of each in one call.

use core::{fmt, net::Ipv4Addr};

use pmbridge_core::{
    role::Context,
    store::{Full, Region, SourceId, Storage as _, Store},
    time::{Instant, Timestamp},
};
use smoltcp::{
    iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet, SocketStorage},
    phy::Device,
    socket::tcp::{Socket, SocketBuffer},
    wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr},
};

use crate::{
    clients::{self, Client, Known},
    conn::{self, Line, Worth},
    door::{Closed, Door, Gate, Knock},
    memory::{Buffers, Memory, Slices},
    metrics::{self, Entry},
    pages::{self, Reader},
    settings::{Address, Error, Settings},
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
    table: &'static [Entry],
    device: Option<SourceId>,
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
        let Memory { inner, sockets, clients, client_buffers, pages, page_buffers, store } = memory;
        sockets.make([const { SocketStorage::EMPTY }; SOCKETS]);
        let sockets = sockets.as_mut().ok_or(NOT_MADE)?;
        inner.make(Inner {
            iface: interface(settings, device, now)?,
            sockets: SocketSet::new(&mut sockets[..]),
            door: Door::new(EthernetAddress(settings.mac)),
            store: Store::new(Slices(store.parts()), DOMAIN, settings.seed),
            clients,
            pages,
            table,
            device: None,
            stats: Stats::default(),
        });
        let inner = inner.as_mut().ok_or(NOT_MADE)?;
        inner.begin(client_buffers, page_buffers, settings)?;
        Ok(Self { inner })
    }

    /// Does a bounded piece of work: a few frames, and one step of each connection.
    ///
    /// To be called when a frame has come and when it said so the last time. `now` never goes back; `wall` is the time
    /// that answers have, since 1970 where that is known.
    pub fn poll(&mut self, device: &mut (impl Device + ?Sized), now: Instant, wall: Timestamp) -> Next {
        let inner = &mut *self.inner;
        let mut more = inner.receive(device, now);
        more |= inner.step(now, wall);
        more |= inner.send(device, now);
        if more { Next::Now } else { inner.next(now) }
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
    /// Makes the sockets, and declares what there is.
    fn begin(
        &mut self,
        client_buffers: &'m mut [Buffers],
        page_buffers: &'m mut [Buffers],
        settings: &Settings,
    ) -> Result<(), Error> {
        for (client, buffers) in self.clients.iter_mut().zip(client_buffers) {
            client.line.handle = Some(add(&mut self.sockets, buffers));
        }
        for (reader, buffers) in self.pages.iter_mut().zip(page_buffers) {
            reader.line.handle = Some(add(&mut self.sockets, buffers));
        }
        self.store.set_root(ROOT)?;
        self.store.set_context(settings.labels)?;
        let device = self.store.add_source("device", "", Some(0))?;
        metrics::declare(self.table, &mut self.store, device)?;
        self.device = Some(device);
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

    /// Sends what is to be sent, a segment of each connection; whether there was any.
    fn send(&mut self, device: &mut (impl Device + ?Sized), now: Instant) -> bool {
        let gate = &mut Gate { device, door: &mut self.door };
        let sent = self.iface.poll_egress(stack_time(now), gate, &mut self.sockets);
        sent == PollResult::SocketStateChanged
    }

    /// Lets each connection go on; whether there is more to do at once.
    fn step(&mut self, now: Instant, wall: Timestamp) -> bool {
        let mut more = false;
        let mut cx = Context { store: &mut self.store, now, wall };
        for client in self.clients.iter_mut() {
            let Some(handle) = client.line.handle else { continue };
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            more |= client.poll(&mut cx, socket, &mut self.stats);
        }
        for reader in self.pages.iter_mut() {
            let Some(handle) = reader.line.handle else { continue };
            let socket = self.sockets.get_mut::<Socket<'_>>(handle);
            more |= reader.poll(&mut cx, socket, &mut self.stats);
        }
        self.stats.clients = count(self.clients.iter().filter(|client| client.is_taken()).count());
        self.stats.readers = count(self.pages.iter().filter(|reader| reader.is_taken()).count());
        more | self.publish()
    }

    /// Publishes what somebody asks for; whether anybody did.
    fn publish(&mut self) -> bool {
        if self.is_busy() {
            return false;
        }
        let (mut any, mut from) = (false, 0);
        while let Some((source, next)) = self.store.wanted(from) {
            if Some(source) == self.device {
                metrics::publish(self.table, &mut self.store, source);
                any = true;
            }
            from = next;
        }
        any
    }

    /// Whether an answer is half out, so that nothing may change what it has promised.
    fn is_busy(&self) -> bool {
        self.clients.iter().any(Client::is_busy) || self.pages.iter().any(Reader::is_busy)
    }

    /// When to go on though no frame comes.
    fn next(&mut self, now: Instant) -> Next {
        let clients = self.clients.iter().filter_map(Client::deadline);
        let pages = self.pages.iter().filter_map(Reader::deadline);
        let stack = self.iface.poll_at(stack_time(now), &self.sockets);
        let stack = stack.map(|at| Instant::from_millis(u64::try_from(at.total_millis()).unwrap_or(0)));
        match clients.chain(pages).chain(stack).min() {
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

/// The stack, at its address if that is known.
fn interface(
    settings: &Settings,
    device: &mut (impl Device + ?Sized),
    now: Instant,
) -> Result<Interface, Error> {
    let mac = EthernetAddress(settings.mac);
    if !mac.is_unicast() {
        return Err(Error::Mac);
    }
    let mut config = Config::new(HardwareAddress::Ethernet(mac));
    config.random_seed = settings.seed;
    let mut iface = Interface::new(config, device, stack_time(now));
    if let Address::Static { address, prefix, gateway } = settings.address {
        let address = Ipv4Addr::from(address);
        if prefix > 32 || address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return Err(Error::Address);
        }
        iface.update_ip_addrs(|all| {
            let _ = all.push(IpCidr::Ipv4(Ipv4Cidr::new(address, prefix)));
        });
        if let Some(gateway) = gateway {
            let _ = iface.routes_mut().add_default_ipv4_route(Ipv4Addr::from(gateway));
        }
    }
    Ok(iface)
}

/// A socket with these buffers.
fn add<'m>(sockets: &mut SocketSet<'m>, buffers: &'m mut Buffers) -> SocketHandle {
    let (rx, tx) = (&mut buffers.rx[..], &mut buffers.tx[..]);
    let mut socket = Socket::new(SocketBuffer::new(rx), SocketBuffer::new(tx));
    conn::prepare(&mut socket);
    sockets.add(socket)
}

fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_millis(i64::try_from(now.millis()).unwrap_or(i64::MAX))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The domain of the agent's PMIDs: that of PCP's openmetrics.
const DOMAIN: u16 = 144;
/// The root of neighbours' names.
const ROOT: &str = "openmetrics";
/// Frames that are taken in before everybody else may go on.
const FRAMES: usize = 4;
/// What was made is there.
const NOT_MADE: Error = Error::Full(Full(Region::Sources));
