//! How long anybody may keep the agent, or others, from anything: each deadline, from both sides of it.
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
};
use rig::{HTTP, PCP, Rig, SETTINGS, neighbour};
use smoltcp::{iface::SocketHandle, socket::tcp::State};

metrics! {
    static TABLE;

    static CLOCK: Metric<u64> = Metric::counter("device.clock", "Milliseconds since boot.");
}

static NEIGHBOURS: [Neighbour; 1] = [neighbour("n", 9101)];
const WITH_NEIGHBOUR: Settings = Settings { neighbours: &NEIGHBOURS, ..SETTINGS };
const PAGE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

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

#[test]
fn a_neighbour_that_hangs_holds_other_answers_back_for_a_moment_only() {
    let mut rig = Rig::new(TABLE, &WITH_NEIGHBOUR);
    rig.serve(9101, &long_page());
    rig.pass(100);
    let (one, other) = (rig.client(), rig.client());
    let (clock, temp) = (rig.pmid(one, "device.clock"), rig.pmid(one, "openmetrics.n.temp"));
    let reader = rig.reader(64);
    rig.peer.get(reader).send_slice(PAGE).unwrap();
    rig.pass(200);
    // From now on it takes connections and says nothing.
    let server = rig.servers.remove(0);
    rig.peer.get(server.handle).abort();
    rig.pass(10);
    rig.peer.get(server.handle).listen(9101).unwrap();
    rig.peer.get(one).send_slice(&rig::pcp::fetching(&[temp])).unwrap();
    rig.pass(100);
    let ((count, _), took) = ask(&mut rig, &mut [], other, clock);
    assert!(count == 1 && took < 1500 + 300, "{took} ms");
    assert!(!rig.peer.is_up(reader));
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
fn a_client_that_vanished_without_a_word_has_left_its_place_after_35_s() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let client = rig.client();
    let clock = rig.pmid(client, "device.clock");
    for (is_deaf, wait) in [(false, 0), (true, 7000), (false, 23_000)] {
        let client = rig.client();
        rig.fetch(client, &[clock]);
        rig.pass(wait);
        (rig.is_mute, rig.is_deaf) = (true, is_deaf);
        rig.pass(35_500);
        assert_eq!(rig.agent.stats().clients, 0, "{wait} ms after it was heard last");
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
