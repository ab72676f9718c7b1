//! A hub between machines of this process and one in QEMU, whose frames are datagrams.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Instant as Clock,
};

use pmbridge_core::time::{Duration, Instant};

use super::{Flood, Station};

/// Machines of this process, and one behind a socket; the clock is the real one.
#[derive(Debug)]
pub struct Hub {
    /// The machines of this process.
    pub stations: Vec<Station>,
    /// Frames that nobody honest sends, and how many of them a millisecond.
    pub flood: Option<(Flood, u32)>,
    /// Frames that came from the one in QEMU.
    pub heard: u64,
    /// Frames of the flood that were sent.
    pub flooded: u64,
    socket: UdpSocket,
    to: SocketAddrV4,
    start: Clock,
    last: Instant,
}

impl Hub {
    /// A hub with nobody at it.
    pub fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        // QEMU wants to be told where it is. The kernel gives no port again so soon.
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, there.expect("another port").port());
        let last = Instant::from_millis(0);
        Self {
            stations: Vec::new(),
            flood: None,
            heard: 0,
            flooded: 0,
            socket,
            to,
            start: Clock::now(),
            last,
        }
    }

    /// QEMU's `-nic` that leads here, of the machine with this number.
    pub fn nic(&self, number: u8) -> String {
        let port = self.socket.local_addr().expect("its address").port();
        format!(
            "socket,udp=127.0.0.1:{port},localaddr={},mac={}",
            self.to,
            super::mac(number).to_string().replace('-', ":")
        )
    }

    /// The time here.
    pub fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Moves whatever is due, and waits a little where nothing is.
    pub fn turn(&mut self) {
        let now = self.now();
        self.spill(now);
        for station in &mut self.stations {
            station.turn(now);
            while let Some(frame) = station.out.take(now) {
                send(&self.socket, self.to, &frame);
            }
        }
        let next = self.stations.iter_mut().filter_map(|station| station.next(now)).min();
        let wait = next.map_or(Duration::from_millis(5), |at| at.saturating_since(now)).millis().clamp(1, 5);
        let wait = if self.flood.is_some() { 1 } else { wait };
        self.listen(std::time::Duration::from_millis(wait));
    }

    /// Lets time pass until this is so, for so long at most; whether it is.
    pub fn until(&mut self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now().saturating_add(limit);
        loop {
            if is_so(self) {
                return true;
            }
            if self.now() > until {
                return false;
            }
            self.turn();
        }
    }

    /// Sends what of the flood is due.
    fn spill(&mut self, now: Instant) {
        let millis = now.saturating_since(self.last).millis().min(MOST);
        self.last = now;
        if let Some((flood, frames)) = &mut self.flood {
            for _ in 0..u64::from(*frames) * millis {
                send(&self.socket, self.to, &flood.frame());
                self.flooded += 1;
            }
        }
    }

    /// Takes what comes, until nothing has come for so long.
    fn listen(&mut self, wait: std::time::Duration) {
        self.socket.set_read_timeout(Some(wait)).expect("a timeout");
        let mut frame = [0; 65_536];
        for turn in 0..BATCH {
            if turn == 1 {
                self.socket.set_nonblocking(true).expect("a mode");
            }
            match self.socket.recv(&mut frame) {
                Ok(len) => {
                    self.heard += 1;
                    let now = self.now();
                    self.stations.iter_mut().for_each(|station| station.back.put(frame[..len].to_vec(), now));
                }
                // Before QEMU is there, what was sent to it is refused.
                Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        self.socket.set_nonblocking(false).expect("a mode");
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

fn send(socket: &UdpSocket, to: SocketAddrV4, frame: &[u8]) {
    // One that is not there yet, or has no room, loses a frame, as on any wire.
    let _ = socket.send_to(frame, to);
}

/// Frames that are taken before machines go on.
const BATCH: usize = 64;
/// Milliseconds whose flood is sent at once, where there was no time to send it before.
const MOST: u64 = 20;
