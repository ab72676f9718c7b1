//! How long anybody may keep the agent, or others, from anything: each deadline, from both sides of it, as it is met by a
//! device that sleeps until the agent wants to go on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

mod rig;

use pmbridge_core::{pcp::Pmid, pdu};
use pmbridge_embedded::{
    Neighbour, Settings,
    metrics::{Metric, metrics},
    time::Timestamp,
};
use rig::{HTTP, PCP, Rig, SETTINGS, neighbour};
use smoltcp::{iface::SocketHandle, socket::tcp::State};

metrics! {
    static TABLE;

    static CLOCK: Metric<u64> = Metric::counter("device.clock", "Milliseconds since boot.");
}

static NEIGHBOURS: [Neighbour; 1] = [neighbour("n", 9101)];
static TWO: [Neighbour; 2] = [neighbour("n", 9101), neighbour("m", 9102)];
const UNREACHED: Neighbour =
    Neighbour { address: core::net::Ipv4Addr::new(10, 0, 0, 3), ..neighbour("n", 9101) };
const WITH_NEIGHBOUR: Settings = Settings { neighbours: &NEIGHBOURS, ..SETTINGS };
const PAGE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

/// So long before a deadline what it ends is still there, and so long behind it that is gone. A segment there and one back
/// with a delayed acknowledgement take less.
const SLACK: u64 = 30;

/// Something is so until so many milliseconds after `start`, and then no more.
fn holds_for(
    rig: &mut Rig,
    (start, millis): (u64, u64),
    what: &str,
    mut is_so: impl FnMut(&mut Rig) -> bool,
) {
    rig.pass(start + millis - SLACK - rig.millis);
    assert!(is_so(rig), "{what}: it ended before {millis} ms");
    rig.pass(2 * SLACK);
    assert!(!is_so(rig), "{what}: it did not end after {millis} ms");
}

/// Asks for eight pages at once, takes a few bytes now and then or none, and comes again when it is cut off.
struct Hostile {
    handle: SocketHandle,
    is_asked: bool,
    /// Milliseconds between two bites.
    bites: Option<u64>,
    bit: u64,
    cut_off: u32,
}

impl Hostile {
    fn new(rig: &mut Rig, bites: Option<u64>) -> Self {
        Self { handle: rig.peer.connect(HTTP, 64), is_asked: false, bites, bit: 0, cut_off: 0 }
    }

    fn turn(&mut self, rig: &mut Rig) {
        let millis = rig.millis;
        let socket = rig.peer.get(self.handle);
        if socket.state() == State::Established && !self.is_asked {
            socket.send_slice(&PAGE.repeat(8)).unwrap();
            self.is_asked = true;
        }
        if self.bites.is_some_and(|every| millis >= self.bit + every) {
            rig.peer.take(self.handle);
            self.bit = millis;
        }
        if matches!(rig.peer.get(self.handle).state(), State::Closed | State::CloseWait) {
            rig.peer.sockets.remove(self.handle);
            *self = Self { cut_off: self.cut_off + 1, ..Self::new(rig, self.bites) };
        }
    }
}

/// A page that takes more than one window.
fn long_page() -> String {
    let many = (0..150).map(|n| format!("many{{number=\"{n}\"}} {n}\n"));
    many.chain(["temp 36.6\n".into()]).collect()
}

/// Asks for a metric while others do what they do: its number and first value, and how long that took.
fn ask(rig: &mut Rig, hostile: &mut [Hostile], client: SocketHandle, of: Pmid) -> ((i32, Option<u64>), u64) {
    let start = rig.millis;
    rig.peer.get(client).send_slice(&rig::pcp::fetching(&[of])).unwrap();
    let mut answer = Vec::new();
    while !matches!(pdu::split(&answer), Ok(Some((_, _, len))) if len == answer.len()) {
        assert!(
            rig.peer.is_up(client) && rig.millis < start + 20_000,
            "no answer to what was asked at {start}"
        );
        go_on(rig, hostile);
        answer.extend(rig.peer.take(client));
    }
    (rig::pcp::values(&answer)[0], rig.millis - start)
}

fn go_on(rig: &mut Rig, hostile: &mut [Hostile]) {
    CLOCK.set(0, rig.millis);
    hostile.iter_mut().for_each(|one| one.turn(rig));
    rig.turn();
}

#[test]
fn whatever_readers_do_values_are_those_after_the_question_and_come_in_time() {
    // Who reads nothing is cut off after 1.5 s, who reads now and then after 5 s.
    for (bites, most) in [(None, 1600), (Some(400), 5100), (Some(1100), 5100)] {
        let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
        // It takes the next connection while the last one ends.
        (0..2).for_each(|_| rig.serve(9101, &long_page()));
        rig.pass(100);
        let client = rig.client();
        let (clock, temp) = (rig.pmid(client, "device.clock"), rig.pmid(client, "openmetrics.n.temp"));
        let mut hostile: Vec<_> = (0..2).map(|_| Hostile::new(&mut rig, bites)).collect();
        let mut asked = 0;
        while rig.millis < 300_000 {
            let until = rig.millis + asked * 97 % 3000;
            while rig.millis < until {
                go_on(&mut rig, &mut hostile);
            }
            let start = rig.millis;
            let ((count, value), took) = ask(&mut rig, &mut hostile, client, clock);
            assert!(count == 1 && value >= Some(start), "at {start} it got {value:?}");
            assert!(took <= most, "{bites:?}: {took} ms for a value of its own at {start}");
            let ((count, value), waited) = ask(&mut rig, &mut hostile, client, temp);
            assert_eq!((count, value), (1, Some(36.6f64.to_bits())), "at {start}, after {waited} ms");
            assert!(waited <= most, "{bites:?}: {waited} ms for a neighbour's value at {start}");
            asked += 1;
        }
        assert!(hostile.iter().all(|one| one.cut_off > 20));
        assert_eq!(rig.agent.stats().evicted, 0);
        assert!(rig.most_polls < 100, "it rests while it waits: {}", rig.most_polls);
    }
}

/// It takes connections from now on, and says nothing.
fn hush(rig: &mut Rig) {
    for server in core::mem::take(&mut rig.servers) {
        rig.peer.get(server.handle).abort();
        rig.pass(10);
        rig.peer.get(server.handle).listen(server.port).unwrap();
    }
}

/// Whether anything has come.
fn has_heard(rig: &mut Rig, handle: SocketHandle) -> bool {
    rig.peer.get(handle).can_recv()
}

#[test]
fn a_neighbour_that_hangs_holds_other_answers_back_for_a_moment_only() {
    let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
    rig.serve(9101, &long_page());
    rig.pass(100);
    let (one, other) = (rig.client(), rig.client());
    let (clock, temp) = (rig.pmid(one, "device.clock"), rig.pmid(one, "openmetrics.n.temp"));
    let reader = rig.reader(64);
    rig.peer.get(reader).send_slice(PAGE).unwrap();
    rig.until(100, |rig| has_heard(rig, reader));
    let start = rig.millis;
    hush(&mut rig);
    rig.peer.get(one).send_slice(&rig::pcp::fetching(&[temp])).unwrap();
    rig.pass(100);
    rig.peer.get(other).send_slice(&rig::pcp::fetching(&[clock])).unwrap();
    // The reader is waited for, then the neighbour has a turn.
    holds_for(&mut rig, (start, 1500), "the reader", |rig| rig.peer.is_up(reader));
    holds_for(&mut rig, (start, 1500 + 250), "the turn", |rig| !has_heard(rig, other));
    assert!(!has_heard(&mut rig, one), "the neighbour has more time than that");
}

#[test]
fn an_answer_that_holds_others_back_goes_on_so_long_and_no_longer() {
    for (bites, millis) in [(None, 1500), (Some(400), 5000)] {
        let mut rig = Rig::new(TABLE, &SETTINGS);
        let client = rig.client();
        let clock = rig.pmid(client, "device.clock");
        let reader = rig.reader(16);
        rig.peer.get(reader).send_slice(PAGE).unwrap();
        let start = rig.millis;
        rig.pass(300);
        rig.peer.get(client).send_slice(&rig::pcp::fetching(&[clock])).unwrap();
        if let Some(every) = bites {
            while rig.millis < start + millis - every {
                rig.pass(every);
                rig.peer.take(reader);
            }
        }
        holds_for(&mut rig, (start, millis), "the reader", |rig| rig.peer.is_up(reader));
        assert!(has_heard(&mut rig, client), "at once");
    }
}

#[test]
fn a_scrape_goes_on_so_long_and_no_longer() {
    static UNHEARD: [Neighbour; 1] = [UNREACHED];
    for (neighbours, drip, millis) in
        [(&UNHEARD, None, 1500), (&NEIGHBOURS, None, 3000), (&NEIGHBOURS, Some(500), 3000)]
    {
        let mut rig = Rig::new(TABLE, &Settings { neighbours, ..SETTINGS });
        let server = rig.peer.socket(1024);
        rig.peer.get(server).listen(9101).unwrap();
        while let Some(every) = drip.filter(|every| rig.millis + every < millis) {
            rig.pass(every);
            // As long as it comes, it is an answer that goes on.
            rig.peer.get(server).send_slice(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        }
        holds_for(&mut rig, (0, millis), "a scrape", |rig| rig.agent.stats().failures == 0);
    }
}

#[test]
fn who_is_ill_for_long_is_asked_each_minute() {
    let mut rig = Rig::new(TABLE, &Settings { neighbours: &[UNREACHED], ..SETTINGS });
    rig.pass(600_000);
    let scrapes = rig.agent.stats().scrapes;
    assert!(rig.until(70_000, |rig| rig.agent.stats().scrapes > scrapes));
    // From a scrape's end on, which is when it was not taken.
    let start = rig.millis;
    holds_for(&mut rig, (start, 61_500), "a pause", |rig| rig.agent.stats().scrapes == scrapes + 1);
}

#[test]
fn names_wait_for_those_of_a_neighbour_so_long_and_no_longer() {
    let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
    let server = rig.peer.socket(1024);
    rig.peer.get(server).listen(9101).unwrap();
    let client = rig.client();
    rig.peer.get(client).send_slice(&rig::pcp::name("device.clock")).unwrap();
    holds_for(&mut rig, (0, 1000), "names", |rig| !has_heard(rig, client));
}

#[test]
fn an_answer_waits_for_neighbours_so_long_and_no_longer() {
    for is_page in [false, true] {
        let mut rig = Rig::new(TABLE, &Settings { neighbours: &TWO, ..SETTINGS });
        rig.serve(9101, "temp 1\n");
        rig.serve(9102, "temp 2\n");
        rig.pass(100);
        let (client, reader) = (rig.client(), rig.reader(8192));
        let all = ["openmetrics.n.temp", "openmetrics.m.temp", "device.clock"];
        let all = all.map(|name| rig.pmid(client, name));
        hush(&mut rig);
        // One after the other they would take 6 s.
        let asks = if is_page { reader } else { client };
        let question = if is_page { PAGE.to_vec() } else { rig::pcp::fetching(&all) };
        rig.peer.get(asks).send_slice(&question).unwrap();
        let start = rig.millis;
        holds_for(&mut rig, (start, 4000), "an answer", |rig| !has_heard(rig, asks));
        if is_page {
            assert!(rig.peer.take(reader).starts_with(b"HTTP/1.1 200 "));
        } else {
            let answer = rig.peer.take(client);
            assert!(matches!(rig::pcp::values(&answer)[..], [(..=0, _), (..=0, _), (1, _)]), "{answer:?}");
        }
    }
}

#[test]
fn a_page_that_may_not_begin_is_refused_in_time() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let reader = rig.reader(1024);
    // An answer is half out on a line beside the network, and goes on for ever.
    rig.agent.beside(rig.now(), Timestamp::default(), |_| true);
    rig.peer.get(reader).send_slice(PAGE).unwrap();
    let start = rig.millis;
    holds_for(&mut rig, (start, 9000), "a page", |rig| !has_heard(rig, reader));
    assert!(rig.peer.take(reader).starts_with(b"HTTP/1.1 503 "));
}

/// Connects to the agent and brings it to where the deadline begins.
struct Case {
    what: &'static str,
    begin: fn(&mut Rig) -> SocketHandle,
    millis: u64,
}

/// A connection to a port that has said so much.
fn said(rig: &mut Rig, port: u16, room: usize, bytes: &[u8]) -> SocketHandle {
    let handle = rig.peer.connect(port, room);
    assert!(rig.until(100, |rig| rig.peer.is_up(handle)));
    rig.peer.get(handle).send_slice(bytes).unwrap();
    rig.pass(15);
    handle
}

/// A client that has said the beginning of a request.
fn half_asked(rig: &mut Rig) -> SocketHandle {
    let client = rig.client();
    rig.peer.get(client).send_slice(&[0, 0, 0, 60, 0, 0, 0x70, 0x10]).unwrap();
    client
}

/// A reader that has had a page.
fn served(rig: &mut Rig, request: &str) -> SocketHandle {
    let reader = rig.reader(8192);
    assert_eq!(rig.request(reader, request).status, 200);
    rig.pass(15);
    reader
}

const CASES: [Case; 8] = [
    Case { what: "who it is", begin: |rig| rig.peer.connect(PCP, 1024), millis: 10_000 },
    Case { what: "a request of PCP", begin: half_asked, millis: 10_000 },
    Case { what: "a first head", begin: |rig| rig.peer.connect(HTTP, 1024), millis: 10_000 },
    Case { what: "the rest of a head", begin: |rig| said(rig, HTTP, 1024, b"GET /metr"), millis: 10_000 },
    Case { what: "the next head", begin: |rig| served(rig, HEALTHY), millis: 75_000 },
    Case { what: "that an answer is read", begin: |rig| said(rig, HTTP, 64, PAGE), millis: 5000 },
    Case { what: "that its rest is", begin: |rig| said(rig, HTTP, 16, HEALTHY.as_bytes()), millis: 20_000 },
    Case { what: "the peer's end", begin: |rig| served(rig, LAST), millis: 5000 },
];

const HEALTHY: &str = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &str = "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn what_a_connection_waits_for_has_to_come_so_soon_and_no_sooner() {
    for Case { what, begin, millis } in CASES {
        let mut rig = Rig::new(TABLE, &SETTINGS);
        let start = rig.millis;
        let handle = begin(&mut rig);
        rig.until(100, |rig| rig.peer.get(handle).state() != State::SynSent);
        let state = rig.peer.get(handle).state();
        assert!(matches!(state, State::Established | State::CloseWait), "{what}: {state}");
        holds_for(&mut rig, (start, millis), what, |rig| rig.peer.get(handle).state() == state);
    }
}

/// All places at a port are taken by who may be sent away, after so long.
struct Full {
    what: &'static str,
    port: u16,
    places: usize,
    begin: fn(&mut Rig),
    millis: u64,
}

const FULL: [Full; 5] = [
    Full {
        what: "who connected",
        port: PCP,
        places: 3,
        begin: |rig| _ = rig.peer.connect(PCP, 1024),
        millis: 2000,
    },
    Full {
        what: "a reader that connected",
        port: HTTP,
        places: 2,
        begin: |rig| _ = rig.peer.connect(HTTP, 1024),
        millis: 2000,
    },
    Full { what: "a reader", port: HTTP, places: 2, begin: |rig| _ = served(rig, HEALTHY), millis: 2000 },
    Full { what: "a client", port: PCP, places: 3, begin: |rig| _ = rig.client(), millis: 90_000 },
    Full { what: "half a handshake", port: PCP, places: 3, begin: half_open, millis: 1000 },
];

/// Says the first segment of a connection, and hears no answer to that.
fn half_open(rig: &mut Rig) {
    let handle = rig.peer.connect_from(rig::UNHEARING, PCP, 64);
    rig.peer.speak(rig.millis);
    rig.peer.sockets.remove(handle);
}

#[test]
fn a_place_is_kept_from_who_comes_so_long_and_no_longer() {
    for Full { what, port, places, begin, millis } in FULL {
        let mut rig = Rig::new(TABLE, &SETTINGS);
        // Both ends know each other's address, so that a first segment is the first thing that is said.
        let known = rig.reader(64);
        rig.peer.get(known).abort();
        rig.pass(100);
        let first = rig.millis;
        (0..places).for_each(|_| begin(&mut rig));
        let last = rig.millis;
        rig.pass(200);
        let outcome = |rig: &Rig| (rig.agent.stats().refused, rig.agent.stats().evicted);
        for (at, want) in [(first + millis - SLACK, (1, 0)), (last + millis + SLACK, (1, 1))] {
            rig.pass(at - rig.millis);
            let next = rig.peer.connect(port, 1024);
            rig.pass(20);
            assert_eq!(outcome(&rig), want, "{what}: {} ms after it was heard", at - first);
            assert_eq!(rig.peer.is_up(next), want.1 == 1, "{what}");
        }
    }
}

#[test]
fn a_page_that_nobody_waits_for_may_be_read_slowly_and_not_for_ever() {
    let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
    rig.serve(9101, &long_page());
    rig.pass(100);
    let slow = rig.reader(64);
    rig.peer.get(slow).send_slice(PAGE).unwrap();
    let start = rig.millis;
    while rig.millis < start + 14_500 {
        rig.pass(300);
        rig.peer.take(slow);
        assert!(rig.peer.is_up(slow), "after {} ms", rig.millis - start);
    }
    while rig.millis < start + 15_500 {
        rig.pass(100);
        rig.peer.take(slow);
    }
    assert!(!rig.peer.is_up(slow));
    assert_eq!(rig.agent.stats().timed_out, 1);
}

#[test]
fn the_rest_of_an_answer_waits_so_long_and_no_longer() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let reader = rig.reader(16);
    rig.peer.get(reader).send_slice(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    rig.pass(19_500);
    assert!(rig.peer.is_up(reader));
    rig.pass(1000);
    assert!(!rig.peer.is_up(reader));
    assert_eq!(rig.agent.stats().timed_out, 1);
}

#[test]
fn a_place_is_free_as_soon_as_its_connection_has_ended() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let readers = [served(&mut rig, LAST), served(&mut rig, LAST)];
    readers.into_iter().for_each(|reader| rig.peer.get(reader).close());
    // Before the last acknowledgement is out, which is delayed.
    rig.pass(5);
    let next = rig.peer.connect(HTTP, 1024);
    rig.pass(10);
    assert!(rig.peer.is_up(next));
    assert_eq!((rig.agent.stats().refused, rig.agent.stats().evicted), (0, 0));
}

#[test]
fn a_handshake_that_is_not_ended_keeps_a_place_so_long_and_no_longer() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    // ARP first, so that the answers to the first segments are on the wire.
    let client = rig.client();
    rig.peer.get(client).abort();
    rig.pass(100);
    rig.is_deaf = true;
    let half: Vec<_> = (0..3).map(|_| rig.peer.connect(PCP, 1024)).collect();
    rig.pass(50);
    for handle in half {
        rig.peer.sockets.remove(handle);
    }
    rig.pass(3800);
    assert_eq!(rig.agent.stats().timed_out, 0);
    rig.pass(300);
    assert_eq!(rig.agent.stats().timed_out, 3);
    rig.is_deaf = false;
    rig.pass(1000);
    (0..3).for_each(|_| _ = rig.client());
    assert_eq!((rig.agent.stats().evicted, rig.agent.stats().refused), (0, 0));
}

#[test]
fn a_neighbour_that_does_not_close_its_side_is_let_go() {
    let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
    let server = rig.peer.socket(4096);
    rig.peer.get(server).listen(9101).unwrap();
    assert!(rig.until(1000, |rig| rig.peer.get(server).can_recv()));
    rig.peer.take(server);
    rig.peer.get(server).send_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ntemp 1\n").unwrap();
    assert!(rig.until(100, |rig| rig.peer.get(server).state() == State::CloseWait));
    rig.pass(1900);
    assert_eq!(rig.peer.get(server).state(), State::CloseWait);
    rig.pass(200);
    assert_eq!(rig.peer.get(server).state(), State::Closed);
    assert_eq!(rig.agent.stats().failures, 0);
}

#[test]
fn a_page_of_a_neighbour_is_a_mebibyte_long_at_most() {
    let line = "# HELP temp As long as a line of a page is, more or less, where it is a comment.\n";
    for (bytes, failures) in [((1 << 20) - 200, 0), ((1 << 20) + 200, 1)] {
        let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
        rig.serve(9101, &format!("{}temp 1\n", line.repeat(bytes / line.len())));
        assert!(rig.until(2900, |rig| rig.servers[0].asked == 1 && rig.agent.stats().scrapes == 1));
        rig.pass(2800);
        assert_eq!(rig.agent.stats().failures.min(1), failures, "{bytes} bytes");
    }
}

#[test]
fn a_client_that_vanished_without_a_word_has_left_its_place_after_so_long_and_no_sooner() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let client = rig.client();
    let clock = rig.pmid(client, "device.clock");
    rig.peer.get(client).abort();
    rig.pass(100);
    // One whose answer is not acknowledged is waited for as one that does not read.
    for (is_deaf, wait, millis) in [(false, 0, 20_000), (true, 7000, 35_000), (false, 23_000, 35_000)] {
        let client = rig.client();
        rig.fetch(client, &[clock]);
        rig.pass(wait);
        (rig.is_mute, rig.is_deaf) = (true, is_deaf);
        // Who says nothing is asked every 10 s whether it is there.
        let heard = rig.millis - wait % 10_000;
        let what = format!("{wait} ms after its question");
        holds_for(&mut rig, (heard, millis), &what, |rig| rig.agent.stats().clients == 1);
        (rig.is_mute, rig.is_deaf) = (false, false);
        rig.pass(1000);
    }
}

#[test]
fn who_samples_once_a_minute_keeps_its_place_and_who_comes_hears_at_once_that_there_is_none() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let clients: Vec<_> = (0..3).map(|_| rig.client()).collect();
    let clock = rig.pmid(clients[0], "device.clock");
    for minute in 1..5 {
        rig.pass(60_000);
        // The newcomer is refused in the time of a frame there and one back.
        let refused = rig.peer.connect(PCP, 1024);
        assert!(rig.until(50, |rig| rig.peer.get(refused).state() == State::Closed));
        assert_eq!(rig.agent.stats().refused, minute);
        assert!(clients.iter().all(|client| rig.fetch(*client, &[clock])[0].0 == 1));
    }
    // One that has stopped asking makes room, and no other.
    for _ in 0..2 {
        rig.pass(46_000);
        assert!(clients[1..].iter().all(|client| rig.fetch(*client, &[clock])[0].0 == 1));
    }
    let next = rig.client();
    assert_eq!(rig.fetch(next, &[clock])[0].0, 1);
    let there: Vec<_> = clients.iter().map(|client| rig.peer.is_up(*client)).collect();
    assert_eq!((there, rig.agent.stats().evicted), (vec![false, true, true], 1));
}

#[test]
fn who_has_said_nothing_makes_room_for_who_comes() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let sampler = rig.client();
    let clock = rig.pmid(sampler, "device.clock");
    rig.pass(10_000);
    let mute: Vec<_> = (0..2).map(|_| rig.peer.connect(PCP, 1024)).collect();
    rig.pass(2100);
    let client = rig.client();
    assert_eq!(rig.fetch(client, &[clock])[0].0, 1);
    assert!(rig.peer.is_up(sampler) && mute.iter().filter(|one| rig.peer.is_up(**one)).count() == 1);
}

#[test]
fn who_keeps_a_connection_for_pages_makes_room_after_two_seconds() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    for round in 0..5 {
        let reader = rig.reader(4096);
        assert_eq!(rig.request(reader, core::str::from_utf8(PAGE).unwrap()).status, 200, "{round}");
        rig.pass(2100);
    }
    assert_eq!((rig.agent.stats().evicted, rig.agent.stats().refused), (3, 0));
}
