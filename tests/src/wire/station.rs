//! One machine on the wire: a TCP/IP of its own, its cable, and what it plays.

use pmbridge_core::time::Instant;
use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    socket::tcp::{Socket, SocketBuffer},
    wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint},
};

use super::{Faults, Lane, Neighbour, Port, Talk};

/// The address of the machine with this number.
pub const fn address(number: u8) -> IpAddress {
    IpAddress::v4(10, 0, 2, number)
}

/// The hardware address of the machine with this number.
pub const fn mac(number: u8) -> EthernetAddress {
    EthernetAddress([0x02, 0, 0, 0, 0, number])
}

/// A machine on the wire.
pub struct Station {
    /// Frames on their way from it.
    pub out: Lane,
    /// Frames on their way to it.
    pub back: Lane,
    /// Whom it plays who asks.
    pub talks: Vec<Talk>,
    /// What it plays that is asked.
    pub neighbours: Vec<Neighbour>,
    /// Whether it is dead: it takes frames off the wire and says nothing any more.
    pub is_dead: bool,
    port: Port,
    stack: Stack,
}

/// A machine's TCP/IP.
pub(super) struct Stack {
    pub(super) iface: Interface,
    pub(super) sockets: SocketSet<'static>,
    next_port: u16,
}

impl core::fmt::Debug for Station {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Station").field("talks", &self.talks).field("neighbours", &self.neighbours).finish()
    }
}

impl Station {
    /// The machine with this number, at the end of a cable with these faults.
    pub fn new(number: u8, faults: Faults, seed: u64) -> Self {
        let mut port = Port::new(usize::MAX);
        let mut config = Config::new(mac(number).into());
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut port, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|all| all.push(IpCidr::new(address(number), 24)).expect("room for one"));
        let next_port = fastrand::Rng::with_seed(seed).u16(FIRST_PORT..u16::MAX);
        Self {
            out: Lane::new(faults, seed.wrapping_mul(2)),
            back: Lane::new(faults, seed.wrapping_mul(2) + 1),
            talks: Vec::new(),
            neighbours: Vec::new(),
            is_dead: false,
            port,
            stack: Stack { iface, sockets: SocketSet::new(Vec::new()), next_port },
        }
    }

    /// Takes what has arrived, lets all that it plays act, and puts what they send on the wire.
    pub fn turn(&mut self, now: Instant) {
        while let Some(frame) = self.back.take(now) {
            if !self.is_dead {
                self.port.arrive(frame);
            }
        }
        if self.is_dead {
            return;
        }
        self.stack.iface.poll(stack_time(now), &mut self.port, &mut self.stack.sockets);
        for talk in &mut self.talks {
            talk.turn(&mut self.stack, now);
        }
        for neighbour in &mut self.neighbours {
            neighbour.turn(&mut self.stack, now);
        }
        self.stack.iface.poll(stack_time(now), &mut self.port, &mut self.stack.sockets);
        while let Some(frame) = self.port.depart() {
            self.out.put(frame, now);
        }
    }

    /// When something happens here by itself.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        let lanes = [self.out.next(), self.back.next()];
        if self.is_dead {
            return lanes.into_iter().flatten().min();
        }
        let stack = self.stack.iface.poll_at(stack_time(now), &self.stack.sockets).map(|at| {
            Instant::from_millis(u64::try_from(at.total_micros()).unwrap_or(0).div_ceil(1000)).max(now)
        });
        let talks = self.talks.iter().filter_map(Talk::next);
        let neighbours = self.neighbours.iter().filter_map(Neighbour::next);
        lanes.into_iter().flatten().chain(stack).chain(talks).chain(neighbours).min()
    }

    /// Whether all whom it plays who ask have all their answers.
    pub fn is_done(&self) -> bool {
        self.talks.iter().all(Talk::is_done)
    }
}

impl Stack {
    /// A socket that lets the other side send so much.
    pub(super) fn socket(&mut self, window: usize) -> SocketHandle {
        let buffer = |len| SocketBuffer::new(vec![0; len]);
        self.sockets.add(Socket::new(buffer(window), buffer(BUFFER)))
    }

    pub(super) fn tcp(&mut self, socket: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(socket)
    }

    /// Connects from a port that was not used for long.
    pub(super) fn connect(&mut self, socket: SocketHandle, to: IpEndpoint) {
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        let socket = self.sockets.get_mut::<Socket<'_>>(socket);
        socket.connect(self.iface.context(), to, self.next_port).expect("a socket that is closed");
    }
}

fn stack_time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_millis(i64::try_from(now.millis()).unwrap_or(i64::MAX))
}

const FIRST_PORT: u16 = 49_152;
const BUFFER: usize = 8192;
