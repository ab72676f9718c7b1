//! Host names become addresses without stopping the loop.
//!
//! An address needs no look-up and is answered at once. A name is looked up on a thread of its own, at most
//! [`MOST`] side by side, so that one name server that hangs delays its own names only; the loop is woken when an
//! answer is there.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;

/// The look-ups under way.
#[derive(Debug)]
pub(crate) struct Resolver {
    waker: Arc<Waker>,
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
    running: usize,
    queue: VecDeque<Question>,
}

/// The addresses of a name, or why there are none.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Who asked.
    pub(crate) key: usize,
    /// For which name.
    pub(crate) host: String,
    /// And which port.
    pub(crate) port: u16,
    /// What came out; never an empty list.
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

#[derive(Debug, Clone)]
struct Question {
    key: usize,
    host: String,
    port: u16,
}

impl Resolver {
    /// A resolver that wakes the loop for each answer.
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        let (sender, receiver) = channel();
        Self { waker, sender, receiver, running: 0, queue: VecDeque::new() }
    }

    /// The address itself where `host` is one; else `None`, and [`answer`](Self::answer) has it later under `key`.
    pub(crate) fn resolve(&mut self, key: usize, host: &str, port: u16) -> Option<SocketAddr> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(SocketAddr::new(address, port));
        }
        self.queue.push_back(Question { key, host: host.into(), port });
        self.start();
        None
    }

    /// The next look-up that ended.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let answer = self.receiver.try_recv().ok()?;
        self.running = self.running.saturating_sub(1);
        self.start();
        Some(answer)
    }

    fn start(&mut self) {
        while self.running < MOST {
            let Some(question) = self.queue.pop_front() else { return };
            let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
            let mut unasked = question.clone().answered(Err(io::ErrorKind::Other.into()));
            let thread = std::thread::Builder::new().name("resolve".into()).stack_size(STACK);
            let look_up = move || {
                // Nobody waits for it once the loop has ended.
                let addresses = look_up(&question);
                let _ = sender.send(question.answered(addresses));
                let _ = waker.wake();
            };
            self.running = self.running.saturating_add(1);
            if let Err(error) = thread.spawn(look_up) {
                unasked.addresses = Err(error);
                let _ = self.sender.send(unasked);
                let _ = self.waker.wake();
            }
        }
    }
}

impl Question {
    fn answered(self, addresses: io::Result<Vec<SocketAddr>>) -> Answer {
        Answer { key: self.key, host: self.host, port: self.port, addresses }
    }
}

fn look_up(question: &Question) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (question.host.as_str(), question.port).to_socket_addrs()?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// How many names are looked up side by side.
const MOST: usize = 32;
/// Enough for getaddrinfo with all its plug-ins.
const STACK: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn an_address_is_answered_at_once_and_a_name_wakes_the_loop() {
        let mut poll = Poll::new().unwrap();
        let mut resolver = Resolver::new(Arc::new(Waker::new(poll.registry(), Token(7)).unwrap()));
        assert_eq!(resolver.resolve(1, "127.0.0.1", 80), Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(resolver.resolve(1, "::1", 80), Some("[::1]:80".parse().unwrap()));
        assert!(resolver.answer().is_none());

        for key in 0..100 {
            assert_eq!(resolver.resolve(key, "localhost", 80), None);
        }
        assert!(resolver.running <= MOST);
        let mut seen = vec![];
        let mut events = Events::with_capacity(4);
        while seen.len() < 100 {
            poll.poll(&mut events, None).unwrap();
            while let Some(answer) = resolver.answer() {
                assert!(answer.addresses.unwrap().iter().all(|address| address.ip().is_loopback()));
                seen.push(answer.key);
            }
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..100));
        assert_eq!(resolver.running, 0);
    }
}
