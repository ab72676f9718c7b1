//! What an answer that is half out holds back, for whom, and when that ends.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

mod rig;

use core::net::Ipv4Addr;

use pmbridge_embedded::{
    Address, Neighbour, Settings,
    metrics::{Metric, metrics},
};
use rig::{Rig, SETTINGS, neighbour};
use smoltcp::iface::SocketHandle;

metrics! {
    static TABLE;

    static CLOCK: Metric<u64> = Metric::counter("device.clock", "Milliseconds since boot.");
}

const NEAR: Neighbour = neighbour("n", 9101);
/// It answers nothing.
const GONE: Neighbour = Neighbour { address: Ipv4Addr::new(10, 0, 0, 3), ..neighbour("gone", 9101) };
const PAGE: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

fn with(neighbours: &'static [Neighbour]) -> Rig {
    CLOCK.set(0, 7);
    Rig::new(TABLE, &Settings { neighbours, ..SETTINGS })
}

/// A reader whose page is half out, once it has asked for one.
fn half_out(rig: &mut Rig) -> SocketHandle {
    let reader = rig.reader(16);
    rig.peer.get(reader).send_slice(PAGE).unwrap();
    assert!(rig.until(100, |rig| rig.peer.get(reader).can_recv()));
    reader
}

/// Goes on until so many milliseconds after the start, while a reader takes a little now and then.
fn bite(rig: &mut Rig, reader: SocketHandle, until: u64) {
    while rig.millis < until {
        rig.pass(400.min(until - rig.millis));
        rig.peer.take(reader);
    }
}

/// A server that takes a connection and says nothing.
fn mute(rig: &mut Rig, port: u16) -> SocketHandle {
    let server = rig.peer.socket(1024);
    rig.peer.get(server).listen(port).unwrap();
    server
}

#[test]
fn a_page_that_waited_long_enough_lets_the_scrape_have_its_turn_first() {
    let mut rig = with(&[NEAR]);
    rig.serve(9101, "temp 1\n");
    rig.pass(100);
    let (slow, next) = (rig.reader(16), rig.reader(64));
    rig.peer.get(slow).send_slice(PAGE).unwrap();
    assert!(rig.until(100, |rig| rig.peer.get(slow).can_recv()));
    let start = rig.millis;
    let server = rig.servers.remove(0);
    rig.peer.get(server.handle).abort();
    rig.pass(10);
    mute(&mut rig, 9101);
    // Others have 5 s of patience with the first page, and the next one has 4 s with the neighbour: until then is its turn.
    bite(&mut rig, slow, start + 1100);
    rig.peer.get(next).send_slice(PAGE).unwrap();
    bite(&mut rig, slow, start + 4900);
    rig.pass(300);
    assert!(!rig.peer.is_up(slow) && !rig.peer.get(next).can_recv());
    rig.pass(100);
    assert!(rig.peer.get(next).can_recv());
}

#[test]
fn who_has_closed_its_half_gets_the_answer_that_was_held_back() {
    let mut rig = with(&[]);
    let (one, other) = (rig.client(), rig.client());
    let clock = rig.pmid(one, "device.clock");
    let slow = half_out(&mut rig);
    rig.peer.get(one).send_slice(&rig::pcp::fetching(&[clock])).unwrap();
    rig.pass(100);
    assert!(rig.agent.store().is_held());
    // All of it is taken in before there is an answer.
    rig.peer.get(other).send_slice(&rig::pcp::describing(clock)).unwrap();
    rig.peer.get(other).close();
    rig.pass(1000);
    assert!(rig.peer.is_up(slow) && !rig.peer.get(other).can_recv());
    rig.pass(1000);
    assert!(rig.peer.get(other).can_recv());
}

#[test]
fn nobody_is_held_back_for_a_scrape_when_the_address_is_lost() {
    static BOTH: [Neighbour; 2] = [GONE, NEAR];
    let mut rig = Rig::new(TABLE, &Settings { address: Address::Dhcp, neighbours: &BOTH, ..SETTINGS });
    rig.dhcp = Some(rig::dhcp::Server::new(&mut rig.peer, 60));
    // It takes the next connection while the last one ends.
    (0..2).for_each(|_| rig.serve(9101, "temp 1\n"));
    assert!(rig.until(30_000, |rig| rig.agent.address().is_some()));
    let start = rig.millis;
    let lender = rig.dhcp.take();
    let client = rig.client();
    let temp = rig.pmid(client, "openmetrics.n.temp");
    rig.pass(start + 59_000 - rig.millis);
    half_out(&mut rig);
    rig.peer.get(client).send_slice(&rig::pcp::fetching(&[temp])).unwrap();
    rig.pass(100);
    assert!(rig.agent.store().is_held() && rig.agent.address().is_some());
    assert!(rig.until(1500, |rig| rig.agent.address().is_none()));
    assert!(!rig.agent.store().is_held());
    // It is offline for long and rests, though one neighbour is wanted and another one would be asked whether it is well.
    rig.is_restless = true;
    rig.pass(100_000);
    assert!(!rig.agent.store().is_held());
    rig.dhcp = lender;
    assert!(rig.until(60_000, |rig| rig.agent.address().is_some()));
    let client = rig.client();
    assert_eq!(rig.fetch(client, &[temp])[0].0, 1);
}

#[test]
fn nobody_is_cut_off_for_one_who_may_not_be_there() {
    let mut rig = with(&[GONE]);
    rig.pass(10_000);
    let probes = rig.agent.stats().scrapes;
    let slow = rig.reader(16);
    assert!(rig.until(10_000, |rig| rig.agent.stats().scrapes > probes));
    rig.peer.get(slow).send_slice(PAGE).unwrap();
    rig.pass(4500);
    assert!(rig.peer.is_up(slow) && !rig.agent.store().is_held());
}

#[test]
fn one_that_was_ill_and_is_there_again_is_not_kept_waiting_by_a_page() {
    let mut rig = with(&[NEAR]);
    rig.pass(10_000);
    assert!(rig.agent.stats().failures > 0);
    let slow = rig.reader(16);
    let server = mute(&mut rig, 9101);
    assert!(rig.until(10_000, |rig| rig.peer.get(server).can_recv()));
    rig.peer.get(slow).send_slice(PAGE).unwrap();
    rig.pass(1400);
    assert!(rig.peer.is_up(slow) && rig.agent.store().is_held());
    rig.pass(200);
    assert!(!rig.peer.is_up(slow));
}

#[test]
fn nobody_waits_for_whether_another_neighbour_is_well() {
    let mut rig = with(&[GONE, NEAR]);
    // It takes the next connection while the last one ends.
    (0..2).for_each(|_| rig.serve(9101, "temp 1\n"));
    rig.pass(10_000);
    let client = rig.client();
    let temp = rig.pmid(client, "openmetrics.n.temp");
    let scrapes = rig.agent.stats().scrapes;
    assert!(rig.until(10_000, |rig| rig.agent.stats().scrapes > scrapes));
    let start = rig.millis;
    assert_eq!(rig.fetch(client, &[temp])[0].0, 1);
    assert!(rig.millis < start + 100, "{} ms", rig.millis - start);
}

#[test]
fn who_could_not_be_reached_is_asked_at_once_from_another_address() {
    let mut rig = Rig::new(TABLE, &Settings { address: Address::Dhcp, neighbours: &[GONE], ..SETTINGS });
    rig.dhcp = Some(rig::dhcp::Server::new(&mut rig.peer, 60));
    assert!(rig.until(30_000, |rig| rig.agent.address().is_some()));
    let lender = rig.dhcp.take();
    assert!(rig.until(61_000, |rig| rig.agent.address().is_none()));
    let scrapes = rig.agent.stats().scrapes;
    rig.dhcp = lender;
    assert!(rig.until(11_000, |rig| rig.agent.address().is_some()));
    rig.pass(10);
    assert_eq!(rig.agent.stats().scrapes, scrapes + 1);
}
