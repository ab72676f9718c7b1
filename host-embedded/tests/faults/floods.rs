//! What holds whatever comes: floods, garbage, and neighbours that are no good.

use pmbridge_core::{pdu::Kind, time::Duration};
use pmbridge_embedded::memory;
use pmbridge_tests::wire::{self, End, Faults, Flood, PAGE, Plague, Protocol, Round, Serve, Station, mac};
use smoltcp::wire::IpAddress;

use crate::{
    chip::{CHIP, HTTP, PCP},
    world::{AGAIN, WELL, World},
};

/// Lets the near machine's clients finish, whatever others do.
fn finish(world: &mut World, what: &str) {
    finish_within(world, AGAIN, what);
}

fn finish_within(world: &mut World, limit: Duration, what: &str) {
    let until = world.now.saturating_add(limit);
    while !world.near().is_done() && world.now < until {
        world.turn();
    }
    for talk in &world.near().talks {
        assert!(talk.is_content() && talk.wrong.is_none(), "{what}: {talk:?}");
    }
}

fn flood(plague: Plague, seed: u64) -> Flood {
    let IpAddress::Ipv4(to) = wire::address(CHIP);
    Flood::new(plague, (to, mac(CHIP)), &[PCP, HTTP, 7], seed)
}

#[test]
fn a_flood_is_over_when_it_is_over() {
    for seed in 0..SEEDS {
        for plague in Plague::ALL {
            let (mut world, known) = World::known(seed);
            world.flood = Some((flood(plague, seed), 5));
            let talk = world.talk(Protocol::Pcp, known.rounds.clone());
            world.near().talks.push(talk);
            world.pass(Duration::from_millis(500));
            world.flood = None;
            let stats = world.chip.stats();
            if matches!(plague, Plague::Syn | Plague::SynFromOne) {
                assert!(stats.refused > 0, "{plague:?}, seed {seed}: {stats:?}");
            }
            finish(&mut world, &format!("{plague:?}, seed {seed}"));
            let talk = world.talk(Protocol::Pcp, known.rounds.clone());
            world.near().talks = vec![talk];
            finish(&mut world, &format!("after {plague:?}, seed {seed}"));
        }
    }
}

#[test]
fn garbage_ends_its_own_connection_only() {
    for seed in 0..SEEDS * 20 {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let all: Vec<u8> = known.rounds.iter().flat_map(|round| round.request.clone()).collect();
        let station = Station::new(50, Faults::NONE, seed);
        world.stations.push(station);
        for _ in 0..6 {
            let mut request = all.clone();
            for _ in 0..rng.usize(1..20) {
                let at = rng.usize(..request.len());
                request[at] = rng.u8(..);
            }
            if rng.bool() {
                rng.fill(&mut request);
            }
            let protocol = if rng.bool() { Protocol::Pcp } else { Protocol::Http };
            let mut talk = world.talk(protocol, Vec::new()).asking(request).of(Protocol::None);
            (talk.piece, talk.stays) = (rng.usize(1..600), rng.bool());
            talk.patience = Duration::from_secs(2);
            world.stations[1].talks.push(talk);
        }
        world.pass(Duration::from_millis(rng.u64(1..200)));
        let talk = world.talk(Protocol::Pcp, known.rounds.clone());
        world.near().talks.push(talk);
        finish(&mut world, &format!("seed {seed}"));
    }
}

#[test]
fn a_request_byte_by_byte_is_a_request() {
    let (mut world, known) = World::known(1);
    let mut talk = world.talk(Protocol::Pcp, known.rounds.clone());
    (talk.piece, talk.gap) = (1, 20);
    world.near().talks.push(talk);
    let is_done = world.until_done(Duration::from_secs(3600));
    let talk = &world.near().talks[0];
    assert!(is_done && talk.is_content() && talk.lost == 0, "{talk:?}");
}

/// Neighbours whose answer is none.
fn bad() -> Vec<(&'static str, Serve)> {
    let page = || Serve::page(PAGE);
    let ok = "HTTP/1.1 200 OK\r\n";
    let hanging = Serve { end: End::Hang, length: 40, ..page() };
    vec![
        ("status", page().with_head("HTTP/1.1 500 No\r\nContent-Length: 400\r\n\r\n")),
        ("moved", page().with_head("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")),
        ("gzip", page().with_head(&format!("{ok}Content-Encoding: gzip\r\nContent-Length: 400\r\n\r\n"))),
        ("no HTTP", page().with_head("SSH-2.0-OpenSSH_9.2\r\n")),
        ("endless head", page().with_head(&format!("{ok}{}", "X-Y: z\r\n".repeat(10_000)))),
        ("bad chunks", page().with_head(&format!("{ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n"))),
        ("torn", Serve { length: 100, ..page() }),
        ("reset", Serve { end: End::Abort, length: 100, ..page() }),
        ("hangs", hanging),
        ("drips", Serve { piece: 1, ..page() }),
        ("endless line", Serve::endless("a")),
        ("endless", Serve::endless("# HELP temp_celsius Again and again.\n")),
        ("100 MB", Serve::repeated("# no sample at all\n", 100 << 20)),
    ]
}

#[test]
fn a_neighbour_that_is_no_good_costs_its_own_values_only() {
    for (what, serve) in bad() {
        let (mut world, known) = World::known(1);
        world.near().neighbours[0].serve = Some(serve);
        let talk = world.talk(Protocol::Pcp, known.rounds.clone());
        world.near().talks.push(talk);
        finish(&mut world, what);
        assert_eq!(world.near().talks[0].lost, 0, "{what}");
        let (asked, sent) = (world.near().neighbours[0].asked, world.near().neighbours[0].sent);
        assert!(
            asked > 0 && sent / u64::from(asked) < 2 << 20,
            "{what}: {asked} times asked, {sent} bytes sent"
        );
        world.near().neighbours[0].serve = Some(Serve::page(PAGE));
        // Once it is well again and was asked, its values are there again: just the clean answers are right.
        world.pass(WELL);
        let requests: Vec<_> = known.rounds.iter().map(|round| round.request.clone()).collect();
        world.near().talks.clear();
        world.ask(Protocol::Pcp, &requests);
        let clean: Vec<_> = known
            .rounds
            .iter()
            .map(|round| Round { request: round.request.clone(), allowed: round.allowed[..1].to_vec() })
            .collect();
        let talk = world.talk(Protocol::Pcp, clean);
        world.near().talks = vec![talk];
        finish(&mut world, &format!("after {what}"));
    }
}

#[test]
fn who_is_connected_goes_on_through_any_flood() {
    for plague in Plague::ALL {
        let (mut world, known) = World::known(1);
        let mut talk = world.talk(Protocol::Pcp, known.rounds.clone());
        talk.gap = 20;
        talk.piece = 10;
        world.near().talks.push(talk);
        world.pass(Duration::from_millis(50));
        world.flood = Some((flood(plague, 1), 5));
        // Who fills the stack's table of neighbours makes it ask for a client's address before each answer, once a second.
        let limit = Duration::from_millis(1500 * u64::try_from(known.rounds.len()).unwrap());
        finish_within(&mut world, limit, &format!("{plague:?}"));
        assert_eq!(world.near().talks[0].lost, 0, "{plague:?}");
    }
}

#[test]
fn nothing_that_comes_makes_one_call_long() {
    for plague in Plague::ALL {
        let (mut world, known) = World::known(1);
        world.flood = Some((flood(plague, 1), 50));
        world.near().neighbours[0].serve = Some(Serve::endless(PAGE));
        let talks: Vec<_> = (0..3).map(|_| world.talk(Protocol::Pcp, known.rounds.clone())).collect();
        world.near().talks.extend(talks);
        world.pass(Duration::from_millis(1000));
        assert!(world.most.0 <= TAKEN && world.most.1 <= SENT, "{plague:?}: {:?}", world.most);
        assert!(world.chip.port.work.received > 1000, "{plague:?}: {:?}", world.chip.port.work);
    }
}

/// Frames that one call of the device's loop takes at most.
const TAKEN: u64 = memory::FRAMES as u64;
/// Frames that one call sends at most: an answer to each that it takes, and a segment of each connection.
const SENT: u64 = TAKEN + 7;
/// Seeds of each flood.
const SEEDS: u64 = if cfg!(debug_assertions) { 2 } else { 20 };

#[test]
fn one_bad_neighbour_after_the_other_costs_its_own_values_only() {
    for seed in 0..SEEDS {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let bad = bad();
        for _ in 0..30 {
            let (what, serve) = &bad[rng.usize(..bad.len())];
            world.near().neighbours[0].serve = Some(serve.clone());
            // Labels of a metric are those of the sample that came last, be it one of a torn page.
            let is_label =
                |round: &&Round| round.request.get(4..8) == Some(&Kind::LABEL_REQ.0.to_be_bytes()[..]);
            let rounds = known.rounds.iter().filter(|round| !is_label(round)).cloned().collect();
            let talks = [world.talk(Protocol::Pcp, rounds), world.talk(Protocol::Http, known.pages.clone())];
            world.near().talks = talks.into();
            finish(&mut world, &format!("seed {seed}, {what}"));
            world.pass(Duration::from_millis(rng.u64(0..70_000)));
        }
    }
}
