//! Connections to a server that keeps them, loses them, or never answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use mio::{Events, Poll, Waker};
use pmbridge_core::pdu::{Kind, split};

use super::*;
use crate::clock::Clock;
use crate::export::selection::Selection;
use crate::export::tests::server;

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Answers until the client goes.
    Serve,
    /// Is gone when it is asked for values.
    Vanish,
    /// Says nothing to a question for values.
    Freeze,
    /// Says that there are too many clients.
    Refuse,
}

/// A server that does this with each connection in turn, and tells how many fetches it has answered.
fn listen(listener: TcpListener, deeds: &'static [Deed]) -> mpsc::Receiver<()> {
    let (told, fetches) = mpsc::channel();
    thread::spawn(move || {
        for deed in deeds {
            let (mut stream, _) = listener.accept().unwrap();
            let (status, info) = if *deed == Deed::Refuse { (-1043_i32, 0_u32) } else { (0, 0x0201_0e00) };
            let mut challenge = vec![0, 0, 0, 20, 0, 0, 0x70, 0, 0, 0, 0, 0];
            challenge.extend(status.to_be_bytes());
            challenge.extend(info.to_be_bytes());
            stream.write_all(&challenge).unwrap();
            if *deed == Deed::Refuse {
                continue;
            }
            let mut server = server();
            let (mut input, mut chunk) = (Vec::new(), [0; 4096]);
            'connection: while let Ok(len @ 1..) = stream.read(&mut chunk) {
                input.extend_from_slice(&chunk[..len]);
                while let Some((header, _, len)) = split(&input).unwrap() {
                    let request: Vec<u8> = input.drain(..len).collect();
                    match (header.kind, deed) {
                        (Kind::CREDS | Kind::PROFILE, _) => continue,
                        (Kind::HIGHRES_FETCH, Deed::Vanish) => break 'connection,
                        (Kind::HIGHRES_FETCH, Deed::Freeze) => break,
                        (Kind::HIGHRES_FETCH, _) => told.send(()).unwrap_or_default(),
                        _ => {}
                    }
                    if stream.write_all(&server.answer(&request)).is_err() {
                        break 'connection;
                    }
                }
            }
        }
    });
    fetches
}

struct Bench {
    poll: Poll,
    pmcd: Pmcd,
    resolver: Rc<RefCell<Resolver>>,
    /// Names are never looked up.
    is_deaf: bool,
    looked_up: usize,
    clock: Clock,
    log: Log,
}

impl Bench {
    fn new(address: SocketAddr, timeout: u64) -> Self {
        Self::named(&address.to_string(), timeout)
    }

    fn named(address: &str, timeout: u64) -> Self {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let waker = Waker::new(&registry, Token(1)).unwrap();
        let resolver = Rc::new(RefCell::new(Resolver::new(Arc::new(waker))));
        let (address, timeout) = (address.parse().unwrap(), Duration::from_millis(timeout));
        let pmcd = Pmcd::new(registry, Token(0), Rc::clone(&resolver), address, timeout);
        Self {
            poll,
            pmcd,
            resolver,
            is_deaf: false,
            looked_up: 0,
            clock: Clock::start(),
            log: Log::plain(false),
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn want(&mut self, name: &str) -> u64 {
        let selection = Selection::new(vec![name.into()], vec![]).unwrap();
        self.pmcd.want(Rc::new(selection), self.now())
    }

    fn next(&mut self) -> Ended {
        let mut events = Events::with_capacity(8);
        loop {
            let answer = if self.is_deaf { None } else { self.resolver.borrow_mut().answer() };
            if let Some(answer) = answer {
                self.looked_up = self.looked_up.saturating_add(1);
                self.pmcd.resolved(answer.addresses, &self.log);
                continue;
            }
            if let Some(ended) = self.pmcd.pump(self.now(), &self.log) {
                return ended;
            }
            let left = self.pmcd.deadline().map(|at| at.saturating_since(self.now()).millis());
            let wait = left.map(|left| std::time::Duration::from_millis(left.saturating_add(1)));
            self.poll.poll(&mut events, wait).unwrap();
            if !events.is_empty() {
                self.pmcd.wake();
            }
        }
    }

    fn series(&self, ended: &Ended) -> usize {
        ended.metrics.iter().map(|place| self.pmcd.catalog().series(*place).len()).sum()
    }
}

fn local() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn who_wants_the_same_shares_a_scrape() {
    let (listener, address) = local();
    let fetches = listen(listener, &[Deed::Serve]);
    let mut bench = Bench::new(address, 10_000);
    let (first, other, second, forgotten) =
        (bench.want("disk"), bench.want("load"), bench.want("disk"), bench.want("disk"));
    bench.pmcd.forget(forgotten);
    let ended = bench.next();
    assert_eq!((&ended.tickets, bench.series(&ended)), (&vec![first, second], 4));
    let ended = bench.next();
    assert_eq!((&ended.tickets, bench.series(&ended)), (&vec![other], 1));
    assert_eq!(fetches.try_iter().count(), 2);
}

#[test]
fn a_scrape_whose_connection_is_lost_is_made_again() {
    let (listener, address) = local();
    listen(listener, &[Deed::Serve, Deed::Vanish, Deed::Serve]);
    let mut bench = Bench::new(address, 10_000);
    bench.want("disk");
    assert!(bench.next().result.is_ok());
    bench.pmcd.lose("it was cut", bench.now(), &bench.log);
    let ticket = bench.want("disk");
    let ended = bench.next();
    assert_eq!((&ended.tickets, bench.series(&ended)), (&vec![ticket], 4));
    assert!(ended.result.is_ok() && bench.pmcd.reconnects() == 2);
}

#[test]
fn a_scrape_is_not_begun_for_ever() {
    let (listener, address) = local();
    listen(listener, &[Deed::Vanish; 3]);
    let mut bench = Bench::new(address, 10_000);
    bench.want("disk");
    assert_eq!(bench.next().result, Err(Failure::Lost("it closed the connection".into())));
}

#[test]
fn while_nobody_listens_it_is_told_at_once_and_then_found_at_once() {
    let (listener, address) = local();
    drop(listener);
    let mut bench = Bench::new(address, 10_000);
    for _ in 0..3 {
        bench.want("disk");
        assert!(matches!(bench.next().result, Err(Failure::Unreachable(_))));
    }
    assert!(!bench.pmcd.is_ready());
    listen(TcpListener::bind(address).unwrap(), &[Deed::Serve]);
    bench.want("disk");
    assert!(bench.next().result.is_ok() && bench.pmcd.is_ready());
}

#[test]
fn a_server_that_refuses_says_why() {
    let (listener, address) = local();
    listen(listener, &[Deed::Refuse, Deed::Serve]);
    let mut bench = Bench::new(address, 10_000);
    bench.want("disk");
    let why = "server refuses the connection: too many connections (-12388)";
    assert_eq!(bench.next().result, Err(Failure::Unreachable(why.into())));
    bench.want("disk");
    assert!(bench.next().result.is_ok());
}

#[test]
fn a_server_that_does_not_answer_costs_its_deadline_and_the_connection() {
    let (listener, address) = local();
    listen(listener, &[Deed::Freeze, Deed::Serve]);
    let mut bench = Bench::new(address, 300);
    let tickets = [bench.want("disk"), bench.want("load")];
    for ticket in tickets {
        let ended = bench.next();
        assert_eq!((ended.tickets, ended.result), (vec![ticket], Err(Failure::Timeout)));
    }
    bench.want("disk");
    assert!(bench.next().result.is_ok() && bench.pmcd.reconnects() == 1);
}

#[test]
fn a_name_that_hangs_is_not_looked_up_again_meanwhile() {
    let (listener, address) = local();
    let fetches = listen(listener, &[Deed::Serve]);
    let mut bench = Bench::named(&format!("localhost:{}", address.port()), 200);
    bench.is_deaf = true;
    for _ in 0..3 {
        bench.want("disk");
        assert_eq!(bench.next().result, Err(Failure::Timeout));
        // The try ends when its scrape has, or a moment later.
        while !matches!(bench.pmcd.link, Link::Down) {
            assert!(bench.pmcd.pump(bench.clock.now(), &bench.log).is_none());
        }
    }
    (bench.is_deaf, bench.pmcd.timeout) = (false, Duration::from_secs(10));
    bench.want("disk");
    assert!(bench.next().result.is_ok());
    // The one that hung all that time, whose answer nobody needed any more, and one for the last scrape.
    assert_eq!((fetches.try_iter().count(), bench.looked_up), (1, 2));
}
