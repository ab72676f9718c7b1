//! A serial line that does its worst, the same each time.

use std::collections::VecDeque;

/// Numbers that look random, and are the same each time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Whether something happens that does so `rate` times in 10,000.
    pub(crate) fn comes(&mut self, rate: u64) -> bool {
        self.below(10_000) < rate
    }
}

/// One direction of a line, and how often each byte meets which fate in 10,000.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) lost: u64,
    pub(crate) garbled: u64,
    pub(crate) doubled: u64,
    pub(crate) inserted: u64,
}

impl Wire {
    pub(crate) fn put(&mut self, byte: u8, chance: &mut Chance) {
        if chance.comes(self.inserted) {
            self.bytes.push_back(chance.next() as u8);
        }
        if chance.comes(self.lost) {
            return;
        }
        let byte = if chance.comes(self.garbled) { chance.next() as u8 } else { byte };
        self.bytes.push_back(byte);
        if chance.comes(self.doubled) {
            self.bytes.push_back(byte);
        }
    }

    pub(crate) fn with_faults(chance: &mut Chance, most: u64) -> Self {
        let mut rate = || chance.below(most + 1) * chance.below(2);
        let (lost, garbled) = (rate(), rate());
        let (doubled, inserted) = (rate(), rate());
        Self { lost, garbled, doubled, inserted, ..Self::default() }
    }
}

/// Runs a law for many seeds, on all processors.
pub(crate) fn for_seeds(seeds: u64, law: impl Fn(u64) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let law = &law;
            scope.spawn(move || {
                for seed in (first..seeds).step_by(threads as usize) {
                    let run = core::panic::AssertUnwindSafe(|| law(seed));
                    assert!(std::panic::catch_unwind(run).is_ok(), "seed {seed}");
                }
            });
        }
    });
}
