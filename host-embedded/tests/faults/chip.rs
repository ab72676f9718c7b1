//! The device: the library as a firmware has it, on this machine's memory.

use core::net::Ipv4Addr;
use std::sync::Once;

use pmbridge_core::time::{Instant, Timestamp};
use pmbridge_embedded::{
    Address, Agent, Neighbour, Next, Settings, Stats, memory,
    metrics::{Histogram, Metric, Text, Units, metrics},
};
use pmbridge_tests::wire::{Port, mac};
use smoltcp::wire::EthernetAddress;

/// The number of its address.
pub(crate) const CHIP: u8 = 15;
/// Where its neighbour is.
pub(crate) const NEIGHBOUR: u8 = 2;
/// PCP's port.
pub(crate) const PCP: u16 = 44_321;
/// Prometheus' port, and that of the neighbour.
pub(crate) const HTTP: u16 = 9100;

/// A device.
pub(crate) struct Chip {
    pub(crate) port: Port,
    agent: Agent<'static>,
}

impl Chip {
    pub(crate) fn new(seed: u64, now: Instant) -> Self {
        measure();
        let mut port = Port::new(ROOM);
        // A few dozen kilobytes that nobody gives back, as on a chip.
        let memory = Box::leak(Box::new(memory::Standard::new()));
        let settings = Settings { seed, mac: mac(CHIP).0, ..SETTINGS };
        let agent = Agent::new(memory, &mut port, TABLE, &settings, now).unwrap();
        Self { port, agent }
    }

    /// One call from the device's main loop; when it wants the next one.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Instant> {
        match self.agent.poll(&mut self.port, now, WALL) {
            Next::Now => Some(now),
            Next::At(at) => Some(at),
            Next::Idle => None,
        }
    }

    /// Where it is: what a flood is for.
    pub(crate) const fn place(&self) -> (Ipv4Addr, EthernetAddress) {
        (Ipv4Addr::new(10, 0, 2, CHIP), mac(CHIP))
    }

    /// What its memory holds: metrics, series and bytes of text.
    pub(crate) fn known(&self) -> (usize, usize, usize) {
        let store = self.agent.store();
        (store.view().names(), store.view().series(), store.text_len())
    }

    /// What it has done.
    pub(crate) const fn stats(&self) -> &Stats {
        self.agent.stats()
    }
}

metrics! {
    /// What the device measures, whose values stand still.
    static TABLE;

    static RUNS: Metric<u64> = Metric::counter("chip.runs", "How often it ran.").units(Units::COUNT);
    static VOLTAGE: Metric<f64, 2> =
        Metric::gauge("chip.voltage", "What it gets.").instances("rail", &["core", "io"]);
    static NAME: Text<8> = Text::new("chip.name", "What it is called.");
    static TIME: Histogram<3> =
        Histogram::new("chip.time", "How long it took.", [10, 100, 1000]).units(Units::MICROSEC);
}

/// Sets all that the device measures, once for all devices of this process.
fn measure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        RUNS.set(0, 9_007_199_254_740_993);
        VOLTAGE.set(0, 3.3);
        VOLTAGE.set(1, -0.5);
        NAME.set("boiler");
        [5, 50, 50, 5000].into_iter().for_each(|micros| TIME.observe(micros));
    });
}

const SETTINGS: Settings = Settings {
    labels: "hostname=\"chip\"",
    mac: [0; 6],
    address: Address::Static { address: [10, 0, 2, CHIP], prefix: 24, gateway: None },
    neighbours: &[Neighbour {
        name: "near",
        address: Ipv4Addr::new(10, 0, 2, NEIGHBOUR),
        port: HTTP,
        path: "/metrics",
        include: &[],
        exclude: &[],
    }],
    seed: 0,
};
/// The wall clock stands, so that answers are the same.
const WALL: Timestamp = Timestamp { secs: 1_700_000_000, nanos: 0 };
/// Bytes of frames that a small Ethernet controller keeps.
const ROOM: usize = 6 * 1518;
