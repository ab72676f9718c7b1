//! Histograms of integers.

use core::cell::Cell;

use critical_section::{CriticalSection, Mutex};
use pmbridge_core::pcp::{Semantics, Type, Units};

use super::{
    about::About,
    table::{Cells, Entry},
};

/// The most bounds that a histogram may have.
pub const MOST_BOUNDS: usize = 32;

/// A histogram with `B` bounds, which ascend, and a bucket above them.
///
/// What is observed, and so what the bounds are, is integers in the histogram's units, so that observing costs no
/// floating point: microseconds, bytes. A page has them in base units.
///
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Histogram;
/// static H: Histogram<2> = Histogram::new("sensor.latency", "Bounds that do not ascend.", [2, 2]);
/// ```
#[derive(Debug)]
pub struct Histogram<const B: usize> {
    about: About,
    bounds: [u64; B],
    buckets: [Mutex<Cell<u64>>; B],
    /// What is above all bounds, and the sum.
    rest: [Mutex<Cell<u64>>; 2],
}

impl<const B: usize> Histogram<B> {
    /// A histogram of observations up to each of the bounds.
    pub const fn new(name: &'static str, help: &'static str, bounds: [u64; B]) -> Self {
        assert!(B > 0 && B <= MOST_BOUNDS, "a histogram has one to 32 bounds");
        let mut rest: &[u64] = &bounds;
        while let [low, tail @ ..] = rest {
            if let [high, ..] = tail {
                assert!(*low < *high, "bounds ascend");
            }
            rest = tail;
        }
        let about = About::new(name, help, Type::U64, Semantics::COUNTER);
        Self {
            about: About { is_histogram: true, ..about },
            bounds,
            buckets: [const { Mutex::new(Cell::new(0)) }; B],
            rest: [const { Mutex::new(Cell::new(0)) }; 2],
        }
    }

    /// What is observed is in these.
    #[must_use]
    pub const fn units(mut self, units: Units) -> Self {
        self.about.units = units;
        self
    }

    /// Labels that all its series have.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.about = self.about.with_labels(labels);
        self
    }

    /// What it is.
    pub const fn about(&self) -> About {
        self.about
    }

    /// Its row of a table.
    pub const fn entry(&'static self) -> Entry {
        let Self { about, bounds, buckets, rest } = self;
        Entry::new(about, Cells::Histogram(Observed { bounds, buckets, rest }))
    }

    /// Counts an observation.
    pub fn observe(&self, value: u64) {
        let [above, sum] = &self.rest;
        let buckets = self.bounds.iter().zip(&self.buckets);
        let bucket = buckets.clone().find(|(bound, _)| value <= **bound).map_or(above, |(_, bucket)| bucket);
        critical_section::with(|token| {
            add(bucket, 1, token);
            add(sum, value, token);
        });
    }
}

fn add(cell: &Mutex<Cell<u64>>, more: u64, token: CriticalSection<'_>) {
    let cell = cell.borrow(token);
    cell.set(cell.get().wrapping_add(more));
}

/// A histogram whatever its number of bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Observed {
    pub(super) bounds: &'static [u64],
    buckets: &'static [Mutex<Cell<u64>>],
    rest: &'static [Mutex<Cell<u64>>; 2],
}

/// A histogram at one moment: how many observations were at most each bound, how many there were, and their sum.
pub(super) struct Moment {
    pub(super) at_most: [u64; MOST_BOUNDS],
    pub(super) count: u64,
    pub(super) sum: u64,
}

impl Observed {
    /// All of it, with interrupts off for as long as that many words take.
    pub(super) fn now(&self) -> Moment {
        let mut moment = Moment { at_most: [0; MOST_BOUNDS], count: 0, sum: 0 };
        critical_section::with(|token| {
            for (to, from) in moment.at_most.iter_mut().zip(self.buckets) {
                moment.count = moment.count.wrapping_add(from.borrow(token).get());
                *to = moment.count;
            }
            let [above, sum] = self.rest;
            moment.count = moment.count.wrapping_add(above.borrow(token).get());
            moment.sum = sum.borrow(token).get();
        });
        moment
    }
}
