//! One direction of a cable: what is put in comes out later, twice, damaged, in another order, or never.

use std::collections::BTreeMap;

use pmbridge_core::time::{Duration, Instant};
use smoltcp::wire::{EthernetFrame, EthernetProtocol};

/// What befalls frames: each number is how many of a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Are lost.
    pub loss: u32,
    /// Come twice.
    pub duplication: u32,
    /// Come up to 40 ms after those behind them.
    pub reordering: u32,
    /// Have one byte changed.
    pub corruption: u32,
    /// Milliseconds that every frame takes at least; never less than one.
    pub delay: u64,
}

impl Faults {
    /// A good cable.
    pub const NONE: Self = Self { loss: 0, duplication: 0, reordering: 0, corruption: 0, delay: 1 };

    /// A cable that a seed has chosen, from nearly good to hardly usable.
    pub fn of(rng: &mut fastrand::Rng) -> Self {
        let mut up_to = |most: u32| if rng.bool() { rng.u32(0..=most) } else { 0 };
        Self {
            loss: up_to(150),
            duplication: up_to(200),
            reordering: up_to(300),
            corruption: up_to(100),
            delay: u64::from(up_to(80)) + 1,
        }
    }
}

/// One direction of a cable.
#[derive(Debug)]
pub struct Lane {
    /// What befalls the frames that are put in from now on.
    pub faults: Faults,
    /// Whether it is cut: nothing goes in any more.
    pub is_cut: bool,
    rng: fastrand::Rng,
    /// Frames under way, by when they come out and in which order they went in.
    under_way: BTreeMap<(Instant, u64), Vec<u8>>,
    put: u64,
    /// Frames that were damaged.
    pub damaged: u64,
}

impl Lane {
    /// An empty cable whose faults this seed decides.
    pub fn new(faults: Faults, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { faults, is_cut: false, rng, under_way: BTreeMap::new(), put: 0, damaged: 0 }
    }

    /// Puts a frame in.
    pub fn put(&mut self, mut frame: Vec<u8>, now: Instant) {
        if self.is_cut || self.befalls(self.faults.loss) {
            return;
        }
        if self.befalls(self.faults.corruption) {
            self.damaged += 1;
            if !damage(&mut frame, &mut self.rng) {
                return;
            }
        }
        if self.befalls(self.faults.duplication) {
            self.send(frame.clone(), now);
        }
        self.send(frame, now);
    }

    /// The next frame that has arrived by now.
    pub fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next frame arrives.
    pub fn next(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    fn send(&mut self, frame: Vec<u8>, now: Instant) {
        let late = if self.befalls(self.faults.reordering) { self.rng.u64(1..=LATE) } else { 0 };
        let at = now.saturating_add(Duration::from_millis(self.faults.delay.max(1) + late));
        self.put += 1;
        self.under_way.insert((at, self.put), frame);
    }

    fn befalls(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.rng.u32(0..1000) < of_a_thousand
    }
}

/// Changes one byte of an IPv4 packet, which its sums always find. False where it is no such packet: Ethernet's own
/// check sequence, which finds damage to it, is none of a driver's frames, so such a frame is lost as it would be there.
///
/// Sums of 16 bits let one of 65536 packets pass in which more than that is changed; no software above them can tell.
fn damage(frame: &mut [u8], rng: &mut fastrand::Rng) -> bool {
    let kind = EthernetFrame::new_checked(&frame[..]).map(|frame| frame.ethertype());
    if kind != Ok(EthernetProtocol::Ipv4) || frame.len() <= HEADER {
        return false;
    }
    let at = rng.usize(HEADER..frame.len());
    frame[at] ^= if rng.bool() { 1 << rng.u8(0..8) } else { rng.u8(1..=255) };
    true
}

/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// How much later a frame comes that others overtake.
const LATE: u64 = 40;
