//! An agent and a peer on one wire, in one process, with a clock that the test turns.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod dhcp;
pub mod http;
pub mod pcp;

use core::cell::RefCell;
use std::{collections::VecDeque, rc::Rc};

use pmbridge_core::time::{Instant, Timestamp};
use pmbridge_embedded::{Address, Agent, Neighbour, Next, Settings, memory, metrics::Entry};
use smoltcp::{
    iface::{Config, Interface, PollResult, SocketHandle, SocketSet},
    phy::{self, DeviceCapabilities, Medium},
    socket::tcp::{Socket, SocketBuffer, State},
    wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint},
};

/// The agent's address.
pub const AGENT: [u8; 4] = [10, 0, 0, 1];
/// The peer's.
pub const PEER: [u8; 4] = [10, 0, 0, 2];
/// Another one of the peer's, which nothing reaches.
pub const UNHEARING: [u8; 4] = [10, 0, 0, 3];
pub const PCP: u16 = 44_321;
pub const HTTP: u16 = 9100;

/// One direction of a wire.
type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of a wire.
#[derive(Debug)]
pub struct End {
    pub inbox: Queue,
    pub outbox: Queue,
}

pub struct Rx(Vec<u8>);
pub struct Tx(Queue);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.borrow_mut().push_back(frame);
        result
    }
}

impl phy::Device for End {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Rx, Tx)> {
        let frame = self.inbox.borrow_mut().pop_front()?;
        Some((Rx(frame), Tx(self.outbox.clone())))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Tx> {
        Some(Tx(self.outbox.clone()))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

/// Both ends of a wire.
pub fn wire() -> (End, End) {
    let (there, back) = (Queue::default(), Queue::default());
    (End { inbox: back.clone(), outbox: there.clone() }, End { inbox: there, outbox: back })
}

/// A peer with a stack of its own.
pub struct Peer {
    pub end: End,
    pub iface: Interface,
    pub sockets: SocketSet<'static>,
    port: u16,
}

impl Peer {
    fn new(mut end: End) -> Self {
        let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 2]).into());
        config.random_seed = 7;
        let mut iface = Interface::new(config, &mut end, smoltcp::time::Instant::ZERO);
        for address in [PEER, UNHEARING] {
            iface.update_ip_addrs(|all| all.push(IpCidr::new(IpAddress::Ipv4(address.into()), 8)).unwrap());
        }
        Self { end, iface, sockets: SocketSet::new(Vec::new()), port: 50_000 }
    }

    /// A socket with room for so much of what comes.
    pub fn socket(&mut self, room: usize) -> SocketHandle {
        let (rx, tx) = (SocketBuffer::new(vec![0; room]), SocketBuffer::new(vec![0; 4096]));
        self.sockets.add(Socket::new(rx, tx))
    }

    /// Connects to a port of the agent.
    pub fn connect(&mut self, port: u16, room: usize) -> SocketHandle {
        self.connect_from(PEER, port, room)
    }

    /// The same from one of the peer's addresses.
    pub fn connect_from(&mut self, from: [u8; 4], port: u16, room: usize) -> SocketHandle {
        let handle = self.socket(room);
        self.port += 1;
        let to = IpEndpoint::new(IpAddress::Ipv4(AGENT.into()), port);
        let from = (IpAddress::Ipv4(from.into()), self.port);
        self.sockets.get_mut::<Socket<'_>>(handle).connect(self.iface.context(), to, from).unwrap();
        handle
    }

    /// Takes in what has come, and says what there is to be said; whether any of that was something.
    pub fn speak(&mut self, millis: u64) -> bool {
        let at = smoltcp::time::Instant::from_millis(i64::try_from(millis).unwrap());
        self.iface.poll(at, &mut self.end, &mut self.sockets) != PollResult::None
    }

    pub fn get(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Whether a connection is there.
    pub fn is_up(&mut self, handle: SocketHandle) -> bool {
        self.get(handle).state() == State::Established
    }

    /// What has come.
    pub fn take(&mut self, handle: SocketHandle) -> Vec<u8> {
        let mut all = Vec::new();
        let socket = self.get(handle);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), all.extend_from_slice(bytes))).unwrap();
        }
        all
    }
}

/// So many milliseconds after the start.
pub const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Everybody.
pub struct Rig {
    pub agent: Agent<'static>,
    pub end: End,
    pub peer: Peer,
    pub millis: u64,
    /// When the agent wants to be called again.
    pub next: Next,
    /// It is called when it does not want to be, too, which is to change nothing.
    pub is_restless: bool,
    /// The most calls that the agent wanted in one go.
    pub most_polls: usize,
    /// The peer's frames get lost on their way, or those to it.
    pub is_mute: bool,
    pub is_deaf: bool,
    pub servers: Vec<http::Server>,
    pub dhcp: Option<dhcp::Server>,
}

pub const SETTINGS: Settings = Settings {
    labels: "hostname=\"chip\"",
    mac: [2, 0, 0, 0, 0, 1],
    address: Address::Static { address: AGENT, prefix: 8, gateway: None },
    neighbours: &[],
    seed: 1,
};

/// A neighbour at the peer.
pub const fn neighbour(name: &'static str, port: u16) -> Neighbour {
    let address = core::net::Ipv4Addr::new(10, 0, 0, 2);
    Neighbour { name, address, port, path: "/metrics", include: &[], exclude: &[] }
}

impl Rig {
    pub fn new(table: &'static [Entry], settings: &Settings) -> Self {
        let (mut end, other) = wire();
        let memory = Box::leak(Box::new(memory::Standard::new()));
        let agent = Agent::new(memory, &mut end, table, settings, Instant::START).unwrap();
        Self {
            agent,
            end,
            peer: Peer::new(other),
            millis: 0,
            next: Next::Now,
            is_restless: false,
            most_polls: 0,
            is_mute: false,
            is_deaf: false,
            servers: vec![],
            dhcp: None,
        }
    }

    pub fn now(&self) -> Instant {
        Instant::from_millis(self.millis)
    }

    /// Both sides do what they can now; then time passes until somebody has something to do, at most so much.
    ///
    /// The agent is called as the main loop of a device calls it that sleeps: when a frame has come, and when it said so.
    pub fn turn_within(&mut self, most: u64) {
        let at = smoltcp::time::Instant::from_millis(i64::try_from(self.millis).unwrap());
        let is_due = match self.next {
            Next::Now => true,
            Next::At(by) => by <= self.now(),
            Next::Idle => false,
        };
        let is_woken = is_due || !self.end.inbox.borrow().is_empty();
        if is_woken {
            self.work();
        } else if self.is_restless {
            let before = (self.next, self.end.outbox.borrow().len());
            self.work();
            let after = (self.next, self.end.outbox.borrow().len());
            assert_eq!(after, before, "at {} it had more to do than it said", self.millis);
        }
        let is_deaf = self.is_deaf;
        self.peer.end.inbox.borrow_mut().retain(|frame| !is_deaf && frame.get(30..34) != Some(&UNHEARING));
        let mut servers = core::mem::take(&mut self.servers);
        servers.iter_mut().for_each(|server| server.serve(self));
        self.servers = servers;
        if let Some(dhcp) = &self.dhcp {
            dhcp.serve(&mut self.peer);
        }
        let has_moved = self.peer.speak(self.millis);
        if self.is_mute {
            self.end.inbox.borrow_mut().clear();
        }
        let is_quiet = self.end.inbox.borrow().is_empty() && !has_moved;
        let agents = match self.next {
            Next::Now => self.now(),
            Next::At(by) => by,
            Next::Idle => Instant::NEVER,
        };
        let peers =
            self.peer.iface.poll_delay(at, &self.peer.sockets).map_or(most, |delay| delay.total_millis());
        let rest = agents.saturating_since(self.now()).millis().min(peers).min(most);
        self.millis += if is_quiet { rest.max(1) } else { 1 };
    }

    /// Calls the agent until it rests.
    fn work(&mut self) {
        let wall = Timestamp { secs: 1_700_000_000 + i64::try_from(self.millis / 1000).unwrap(), nanos: 0 };
        let now = self.now();
        for polls in 1..1000 {
            self.next = self.agent.poll(&mut self.end, now, wall);
            self.most_polls = self.most_polls.max(polls);
            if self.next != Next::Now {
                // A frame wakes nobody twice.
                assert!(self.end.inbox.borrow().is_empty(), "at {} it left a frame", self.millis);
                return;
            }
        }
        panic!("at {} it does not rest", self.millis);
    }

    /// The same in short steps, for tests that look at each.
    pub fn turn(&mut self) {
        self.turn_within(20);
    }

    /// Somebody at the peer has a page.
    pub fn serve(&mut self, port: u16, page: &str) {
        let server = http::Server::new(self, port, page);
        self.servers.push(server);
    }

    /// Goes on for so long.
    pub fn pass(&mut self, millis: u64) {
        let until = self.millis + millis;
        while self.millis < until {
            self.turn_within(until - self.millis);
        }
    }

    /// Goes on until it is so, or so long; whether it came to be so.
    pub fn until(&mut self, millis: u64, mut is_so: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.millis + millis;
        while self.millis < until {
            if is_so(self) {
                return true;
            }
            self.turn_within((until - self.millis).min(20));
        }
        is_so(self)
    }
}
