//! The firmware in QEMU on a wire of raw frames, with machines of this process around it: what the in-process agent is
//! held to (`host-embedded/tests/faults`), with the board's driver and its main loop below.

use std::fmt::Write as _;

use pmbridge_core::time::Duration;
use pmbridge_tests::{
    Board, Dir, Firmware, Process, eventually, take_apart,
    wire::{
        End, Faults, Flood, Hub, Neighbour, PAGE, Plague, Protocol, Round, Serve, Station, Talk, address,
        mac, survey,
    },
};
use smoltcp::wire::{IpAddress, IpEndpoint};

/// The firmware, and the machines around it.
struct Wire {
    hub: Hub,
    process: Process,
    /// Its log lies there.
    _dir: Dir,
    /// What a PCP client may ask, and Prometheus, with what may be answered.
    rounds: Vec<Round>,
    pages: Vec<Round>,
}

impl Wire {
    /// Boots it, and asks it all on a good wire.
    fn start(seed: u64) -> Option<Self> {
        Self::boot(seed, &[])
    }

    /// Boots it with these words for QEMU.
    fn boot(seed: u64, more: &[&str]) -> Option<Self> {
        let board = Board::Lm3s6965evb;
        if !board.is_there("the firmware on a wire of raw frames") {
            return None;
        }
        let mut hub = Hub::new();
        let dir = Dir::new();
        let nic = hub.nic(CHIP);
        let told = ["ip=10.0.2.15/24", "scrape=near@10.0.2.2:9100/metrics"];
        let settings = [&["--nic", &nic][..], more, &told[..]].concat();
        let mut command = Firmware::command(board, &settings);
        let process = Process::start(&mut command, dir.join("log"));
        let mut near = Station::new(NEAR, Faults::NONE, seed);
        near.neighbours.push(Neighbour::new(HTTP, Some(Serve::page(PAGE))));
        hub.stations.push(near);
        let mut this = Self { hub, process, _dir: dir, rounds: Vec::new(), pages: Vec::new() };
        eventually("the firmware", || this.process.said().contains("up").then_some(()));
        let requests = survey(&mut |requests| this.ask(Protocol::Timed, requests), &is_steady);
        let page = vec![b"GET /metrics HTTP/1.1\r\nHost: chip\r\n\r\n".to_vec()];
        let round = |request: &Vec<u8>| Round { request: request.clone(), allowed: Vec::new() };
        this.rounds = requests.iter().map(round).collect();
        this.pages = page.iter().map(round).collect();
        // First what is right while the neighbour is there, then what is right while it is not.
        for serve in [Some(Serve::page(PAGE)), None] {
            this.near().neighbours[0].serve = serve;
            let (answers, pages) = (this.ask(Protocol::Timed, &requests), this.ask(Protocol::Http, &page));
            allow(&mut this.rounds, Protocol::Timed, &answers);
            allow(&mut this.pages, Protocol::Http, &pages);
        }
        this.near().neighbours[0].serve = Some(Serve::page(PAGE));
        eventually("the neighbour on a page again", || {
            let pages = this.ask(Protocol::Http, &page);
            (Talk::comparable(Protocol::Http, &pages[0]) == this.pages[0].allowed[0]).then_some(())
        });
        Some(this)
    }

    /// Its page.
    fn page(&mut self) -> String {
        let request = self.pages[0].request.clone();
        take_apart(&self.ask(Protocol::Http, &[request]).remove(0)).text()
    }

    /// What it says of itself on its page under this name.
    fn says(&mut self, name: &str) -> f64 {
        let page = self.page();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{page}"))
    }

    fn flood(&mut self, plague: Plague, frames: u32, seed: u64) {
        let IpAddress::Ipv4(to) = address(CHIP);
        self.hub.flood = Some((Flood::new(plague, (to, mac(CHIP)), &[PCP, HTTP, 7], seed), frames));
    }

    fn near(&mut self) -> &mut Station {
        &mut self.hub.stations[0]
    }

    fn talk(&self, protocol: Protocol, rounds: Vec<Round>) -> Talk {
        let port = if protocol == Protocol::Http { HTTP } else { PCP };
        Talk::new(protocol, IpEndpoint::new(address(CHIP), port), rounds, self.hub.now())
    }

    /// One who asks all there is.
    fn client(&self) -> Talk {
        self.talk(Protocol::Timed, self.rounds.clone())
    }

    /// One who wants pages.
    fn reader(&self) -> Talk {
        self.talk(Protocol::Http, self.pages.clone())
    }

    /// Lets all on the near machine finish; they must.
    fn finish(&mut self, what: &str) {
        let is_done = self.hub.until(AGAIN, |hub| hub.stations[0].is_done());
        let said = self.process.said();
        for talk in &self.near().talks {
            assert!(is_done && talk.is_content() && talk.wrong.is_none(), "{what}: {talk:?}\n{said}");
        }
        assert!(self.process.is_alive(), "{said}");
    }

    fn ask(&mut self, protocol: Protocol, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let rounds = requests.iter().map(|request| Round { request: request.clone(), allowed: Vec::new() });
        let talk = self.talk(protocol, rounds.collect());
        self.near().talks = vec![talk];
        self.finish("a good wire");
        self.near().talks.pop().unwrap().answers
    }
}

fn allow(rounds: &mut [Round], protocol: Protocol, answers: &[Vec<u8>]) {
    for (round, answer) in rounds.iter_mut().zip(answers) {
        round.allowed.push(Talk::comparable(protocol, answer));
    }
}

/// The neighbour's stay as they are; the device's own go on.
fn is_steady(name: &str) -> bool {
    name.starts_with("openmetrics.")
}

#[test]
fn a_bad_wire_delivers_no_wrong_byte_and_everybody_finishes() {
    for seed in 0..4 {
        let Some(mut wire) = Wire::start(seed) else { return };
        let mut rng = fastrand::Rng::with_seed(seed);
        for mut talk in [wire.client(), wire.client(), wire.reader()] {
            talk.piece = rng.usize(20..200);
            wire.near().talks.push(talk);
        }
        let faults = Faults { loss: 20, duplication: 50, reordering: 100, corruption: 20, delay: 1 };
        (wire.near().out.faults, wire.near().back.faults) = (faults, faults);
        wire.finish(&format!("seed {seed}"));
    }
}

#[test]
fn no_flood_stops_it() {
    let Some(mut wire) = Wire::start(1) else { return };
    let known = [SERIES, METRICS].map(|name| wire.says(name));
    for plague in Plague::ALL {
        let before = told_of(plague).map(|name| wire.says(name));
        wire.flood(plague, 10, 1);
        wire.hub.until(Duration::from_secs(1), |_| false);
        wire.hub.flood = None;
        let talks = [wire.client(), wire.reader()];
        wire.near().talks = talks.into();
        wire.finish(&format!("after {plague:?}"));
        for (name, before) in told_of(plague).into_iter().zip(before) {
            let now = wire.says(name);
            assert!(now > before, "{name} tells of {plague:?}");
        }
    }
    assert_eq!([SERIES, METRICS].map(|name| wire.says(name)), known, "nothing grows");
}

/// What counts when this comes.
const fn told_of(plague: Plague) -> Option<&'static str> {
    match plague {
        Plague::Syn | Plague::SynFromOne => Some("pmbridge_clients_refused_total"),
        Plague::Oversized | Plague::Noise | Plague::Broadcast => Some("device_frames_lost_total"),
        _ => None,
    }
}

#[test]
fn no_neighbour_stops_it() {
    let Some(mut wire) = Wire::start(1) else { return };
    let ok = "HTTP/1.1 200 OK\r\n";
    let gzip = format!("{ok}Content-Encoding: gzip\r\nContent-Length: 400\r\n\r\n");
    let bad = [
        ("status", Serve::page(PAGE).with_head("HTTP/1.1 500 No\r\nContent-Length: 400\r\n\r\n")),
        ("gzip", Serve::page(PAGE).with_head(&gzip)),
        ("hangs", Serve { end: End::Hang, length: 40, ..Serve::page(PAGE) }),
        ("endless line", Serve::endless("a")),
        ("endless", Serve::endless("# HELP temp_celsius Again and again.\n")),
        ("100 MB", Serve::repeated("# no sample at all\n", 100 << 20)),
    ];
    for (what, serve) in bad {
        wire.near().neighbours[0].serve = Some(serve);
        let talks = [wire.talk(Protocol::Timed, wire.rounds[..6].to_vec()), wire.reader()];
        wire.near().talks = talks.into();
        wire.finish(what);
    }
}

#[test]
fn the_main_loop_goes_on_whatever_comes() {
    // The clock goes by instructions, 32 ns each, so that what it says does not depend on this machine.
    let Some(mut wire) = Wire::boot(1, &["--icount", "shift=5"]) else { return };
    let mut said = format!("longest stall: {:.1} ms at first", wire.says(STALL) * 1e3);
    for plague in Plague::ALL {
        wire.near().neighbours[0].serve = Some(Serve::repeated(PAGE, 100 << 20));
        let talks = [wire.client(), wire.client(), wire.reader()];
        wire.near().talks = talks.into();
        wire.flood(plague, 20, 1);
        wire.hub.until(Duration::from_secs(2), |_| false);
        wire.hub.flood = None;
        let longest = wire.says(STALL);
        write!(said, ", {:.1} after {plague:?}", longest * 1e3).unwrap();
        assert!(longest < LONGEST, "{said}");
    }
    // More than fits, and never the same.
    for state in 0..6 {
        wire.near().neighbours[0].serve = Some(Serve::page(&strangers(state)));
        eventually("what the neighbour has now", || {
            wire.page().contains(&format!("state=\"{state}\"")).then_some(())
        });
    }
    let longest = wire.says(STALL);
    write!(said, ", {:.1} after pages of strangers", longest * 1e3).unwrap();
    assert!(longest < LONGEST, "{said}");
    println!("{said}");
}

/// A page of 300 series of 60 names that no other state has.
fn strangers(state: u32) -> String {
    (0..300).map(|n| format!("of{state}_{}{{way=\"{n}\",state=\"{state}\"}} {n}\n", n % 60)).collect()
}

#[test]
fn who_freezes_or_vanishes_makes_room() {
    let Some(mut wire) = Wire::start(1) else { return };
    for number in 50..56 {
        let (protocol, asked) =
            if number % 2 == 0 { (Protocol::Pcp, &wire.rounds) } else { (Protocol::Http, &wire.pages) };
        let all = asked.iter().flat_map(|round| round.request.clone()).collect();
        let mut frozen = wire.talk(protocol, Vec::new()).asking(all);
        (frozen.window, frozen.reads, frozen.stays) = (100, false, false);
        let mut station = Station::new(number, Faults::NONE, 1);
        station.talks.push(frozen);
        wire.hub.stations.push(station);
    }
    wire.hub.until(Duration::from_millis(500), |_| false);
    wire.hub.stations[1..4].iter_mut().for_each(|station| station.is_dead = true);
    let talks = [wire.client(), wire.reader()];
    wire.near().talks = talks.into();
    wire.finish("others hold their connections");
}

/// What the firmware says of the longest time that its main loop was kept.
const STALL: &str = "device_stall_longest_seconds";
/// What the agent holds.
const SERIES: &str = "pmbridge_series";
const METRICS: &str = "pmbridge_metrics";
/// The longest it may be, in seconds: a million and a half instructions, for every connection at once.
const LONGEST: f64 = 0.05;
/// The number of the firmware's address, and that of the machine it scrapes.
const CHIP: u8 = 15;
const NEAR: u8 = 2;
const PCP: u16 = 44_321;
const HTTP: u16 = 9100;
/// How long anybody may take until all is answered; several of TCP's own seconds are lost on a bad wire.
const AGAIN: Duration = Duration::from_secs(120);
