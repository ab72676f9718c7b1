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
use rig::{HTTP, Rig, SETTINGS, neighbour};
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
