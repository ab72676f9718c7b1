//! The device and the machines around it, on one hub.

use std::sync::LazyLock;

use pmbridge_core::time::{Duration, Instant};
use pmbridge_tests::wire::{
    Faults, Flood, Neighbour, PAGE, Protocol, Round, Serve, Station, Talk, address, survey,
};
use smoltcp::wire::IpEndpoint;

use crate::chip::{CHIP, Chip, HTTP, NEIGHBOUR, PCP};

/// What may be asked, and what may be answered.
pub(crate) struct Known {
    pub(crate) rounds: Vec<Round>,
    pub(crate) pages: Vec<Round>,
}

/// Everything, and the clock.
pub(crate) struct World {
    pub(crate) chip: Chip,
    pub(crate) stations: Vec<Station>,
    pub(crate) now: Instant,
    /// Frames that nobody honest sends, and how many of them a millisecond.
    pub(crate) flood: Option<(Flood, u32)>,
    /// The most that one call of the device's loop has done: frames taken and frames sent.
    pub(crate) most: (u64, u64),
    /// Calls of the device's loop so far.
    pub(crate) calls: u64,
    chip_next: Option<Instant>,
}

impl World {
    /// A device and one machine, that it scrapes, on good cables.
    pub(crate) fn new(seed: u64) -> Self {
        let mut near = Station::new(NEIGHBOUR, Faults::NONE, seed);
        near.neighbours.push(Neighbour::new(HTTP, Some(Serve::page(PAGE))));
        let now = Instant::from_millis(1000);
        Self {
            chip: Chip::new(seed, now),
            stations: vec![near],
            now,
            flood: None,
            most: (0, 0),
            calls: 0,
            chip_next: Some(now),
        }
    }

    /// The machine that is scraped, and that most clients are on.
    pub(crate) fn near(&mut self) -> &mut Station {
        &mut self.stations[0]
    }

    /// Another machine.
    pub(crate) fn join(&mut self, number: u8, faults: Faults, seed: u64) -> &mut Station {
        self.stations.push(Station::new(number, faults, seed));
        self.stations.last_mut().unwrap()
    }

    /// All that happens at this time; then the clock goes to where something happens next.
    pub(crate) fn turn(&mut self) {
        for station in &mut self.stations {
            while let Some(frame) = station.out.take(self.now) {
                self.chip.port.arrive(frame);
                self.chip_next = Some(self.now);
            }
        }
        if let Some((flood, frames)) = &mut self.flood {
            (0..*frames).for_each(|_| self.chip.port.arrive(flood.frame()));
            self.chip_next = Some(self.now);
        }
        self.run();
        while let Some(frame) = self.chip.port.depart() {
            for station in &mut self.stations {
                station.back.put(frame.clone(), self.now);
            }
        }
        for station in &mut self.stations {
            station.turn(self.now);
        }
        let nexts = self.stations.iter_mut().filter_map(|station| station.next(self.now));
        let soon = self.now.saturating_add(Duration::from_millis(1));
        let next = nexts.chain(self.chip_next).chain(self.flood.as_ref().map(|_| soon)).min();
        self.now = next.unwrap_or(soon).max(soon);
    }

    /// The device's main loop, for a millisecond.
    fn run(&mut self) {
        for _ in 0..CALLS {
            if self.chip_next.is_none_or(|at| at > self.now) {
                return;
            }
            self.calls += 1;
            let before = self.chip.port.work;
            self.chip_next = self.chip.poll(self.now);
            let after = self.chip.port.work;
            self.most.0 = self.most.0.max(after.received - before.received);
            self.most.1 = self.most.1.max(after.sent - before.sent);
        }
    }

    /// Lets time pass until all are done, for so long at most; whether they are.
    pub(crate) fn until_done(&mut self, limit: Duration) -> bool {
        let until = self.now.saturating_add(limit);
        while self.now < until {
            if self.stations.iter().all(Station::is_done) {
                return true;
            }
            self.turn();
        }
        self.stations.iter().all(Station::is_done)
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.saturating_add(time);
        while self.now < until {
            self.turn();
        }
    }

    /// A client of this protocol, that begins now.
    pub(crate) fn talk(&self, protocol: Protocol, rounds: Vec<Round>) -> Talk {
        let port = if protocol == Protocol::Http { HTTP } else { PCP };
        Talk::new(protocol, IpEndpoint::new(address(CHIP), port), rounds, self.now)
    }

    /// Asks these questions on the machine that is near, and gives the answers.
    pub(crate) fn ask(&mut self, protocol: Protocol, requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let rounds = requests.iter().map(|request| Round { request: request.clone(), allowed: Vec::new() });
        let talk = self.talk(protocol, rounds.collect());
        self.near().talks.push(talk);
        assert!(self.until_done(Duration::from_secs(60)), "{:?}", self.near().talks);
        let talk = self.near().talks.pop().unwrap();
        assert!(talk.is_content() && talk.lost == 0, "{talk:?}");
        talk.answers
    }

    /// A device that has scraped its neighbour, and what may be asked of it.
    pub(crate) fn known(seed: u64) -> (Self, &'static Known) {
        static KNOWN: LazyLock<Known> = LazyLock::new(|| {
            let mut world = World::new(0);
            Known { rounds: world.rounds(), pages: world.pages() }
        });
        let mut world = Self::new(seed);
        // The first page that anybody wants has the neighbour scraped.
        let first = KNOWN.pages[0].request.clone();
        world.ask(Protocol::Http, &[first]);
        (world, &KNOWN)
    }

    /// What a PCP client may ask here: each request with what may be answered, found on a cable without faults.
    pub(crate) fn rounds(&mut self) -> Vec<Round> {
        let requests = survey(&mut |requests| self.ask(Protocol::Pcp, requests), &|name| !is_own(name));
        self.rounds_of(Protocol::Pcp, &requests)
    }

    /// What Prometheus may ask here, in the same way.
    pub(crate) fn pages(&mut self) -> Vec<Round> {
        let accept =
            ["text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"];
        let request = |accept| format!("GET /metrics HTTP/1.1\r\nHost: chip\r\nAccept: {accept}\r\n\r\n");
        let requests: Vec<_> = accept.map(|accept| request(accept).into_bytes()).into();
        self.rounds_of(Protocol::Http, &requests)
    }

    /// These requests with what is answered: first what is right while the neighbour is there, then what is right while
    /// it is not.
    fn rounds_of(&mut self, protocol: Protocol, requests: &[Vec<u8>]) -> Vec<Round> {
        let of = |request: &Vec<u8>| Round { request: request.clone(), allowed: Vec::new() };
        let mut rounds: Vec<Round> = requests.iter().map(of).collect();
        for serve in [Some(Serve::page(PAGE)), None] {
            self.near().neighbours[0].serve = serve;
            for (round, answer) in rounds.iter_mut().zip(self.ask(protocol, requests)) {
                let right = Talk::comparable(protocol, &answer);
                if !round.allowed.contains(&right) {
                    round.allowed.push(right);
                }
            }
        }
        self.near().neighbours[0].serve = Some(Serve::page(PAGE));
        self.pass(WELL);
        rounds
    }
}

/// What the device says of itself differs each time.
fn is_own(name: &str) -> bool {
    name.starts_with("pmbridge.")
}

/// How long it may take until anybody is served again, once the cable is good.
pub(crate) const AGAIN: Duration = Duration::from_secs(40);
/// How long it may take until a neighbour that is well again is found to be so.
pub(crate) const WELL: Duration = Duration::from_secs(70);
/// Calls of its loop that a device makes in a millisecond at most.
const CALLS: u32 = 50;
