//! What OpenMetrics holds the samples of a family to: a family that would break it is shown as unknown ones.
//!
//! Text has no such rules, and scrapers of text need them not; but one bad family would cost a reader of OpenMetrics the
//! whole page.

use super::{Line, Lines, Scope, line};
use crate::{
    exposition::{self, number},
    float::{self, NAN},
    mapping::{Family, Part},
    store::{Metric, Series},
};

/// What was seen of a group of samples, numbers as their ranks: that of no number is what was not seen.
#[derive(Clone, Copy)]
struct Group {
    is_timed: bool,
    /// The bound of the last bucket, and its value.
    bound: i64,
    below: i64,
    has_negative: bool,
    count: i64,
    sum: i64,
}

impl Group {
    const fn new(is_timed: bool) -> Self {
        Self { is_timed, bound: NAN, below: 0, has_negative: false, count: NAN, sum: NAN }
    }

    /// Whether all that belongs together is there, once the group has ended.
    fn is_whole(&self, family: Family) -> bool {
        let has_sum = self.sum != NAN;
        let sum_fits = match family {
            Family::Histogram => !self.has_negative || !has_sum,
            Family::GaugeHistogram => self.has_negative || !has_sum || self.sum >= 0,
            _ => return true,
        };
        let has_count = self.count != NAN;
        let is_counted = !has_count || self.count == self.below;
        self.bound == float::INFINITE && is_counted && has_count == has_sum && sum_fits
    }

    /// Takes the next bucket.
    fn bucket(&mut self, bound: i64, value: i64) -> bool {
        let fits = self.bound < bound && value >= self.below;
        self.has_negative |= bound < 0;
        (self.bound, self.below) = (bound, value);
        fits && is_count(value)
    }
}

impl Scope<'_, '_> {
    /// Whether all samples under a head are as their type has them.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(super) fn is_legal(&self, lines: &Lines, first: Line) -> bool {
        let Some(family) = self.view.metric(lines.first).map(Metric::family) else { return true };
        if matches!(family, Family::Untyped | Family::Other | Family::Gauge) {
            return true;
        }
        let (mut group, mut before): (Group, Option<Line>) = (Group::new(false), None);
        let mut at = Some(first);
        while let Some(this) = at {
            let Some(series) = self.view.series_at(this.series) else { return true };
            let Some(metric) = self.view.metric_of(series) else { return true };
            if metric.is_bare() {
                return true;
            }
            let tail = exposition::tail(self.view.annex(series));
            let is_timed = tail.is_ok_and(|tail| tail.timestamp.is_some());
            let same = before.is_some_and(|before| self.goes_on(before, this, series));
            if !same {
                if before.is_some() && !group.is_whole(family) {
                    return false;
                }
                group = Group::new(is_timed);
            }
            if group.is_timed != is_timed || !self.fits(&mut group, metric, series) {
                return false;
            }
            before = Some(this);
            at = self.next_line(lines, this);
        }
        before.is_none() || group.is_whole(family)
    }

    /// Whether a line is of the same group as the one before it.
    fn goes_on(&self, before: Line, this: Line, series: &Series) -> bool {
        // A chain may hold other groups behind the first, which spellings lead that need not be on the page.
        before.leader == this.leader
            && self
                .view
                .series_at(before.series)
                .is_some_and(|before| self.view.is_same_group(before, series))
    }

    /// Whether one sample is as its part of its family has to be.
    fn fits(&self, group: &mut Group, metric: &Metric, series: &Series) -> bool {
        let value = float::rank(line::number_of(self.view, metric, series));
        let label = |name: &str| {
            let label = self.view.labels(series).iter().find(|label| label.name == *name);
            label.and_then(|label| number::parse(label.value.raw().as_bytes())).map_or(NAN, float::rank)
        };
        match (metric.family(), metric.part()) {
            (_, Part::Total) => value >= 0,
            (_, Part::Bucket) => {
                let le = label("le");
                le != NAN && group.bucket(le, value)
            }
            (_, Part::Sum) => {
                group.sum = value;
                value >= 0
            }
            (_, Part::GaugeSum) => {
                group.sum = value;
                value != NAN
            }
            (_, Part::Count | Part::GaugeCount) => {
                group.count = value;
                is_count(value)
            }
            (Family::Summary, Part::Whole) => {
                let is_quantile = (0..=ONE).contains(&label("quantile"));
                is_quantile && (value >= 0 || value == NAN)
            }
            (Family::StateSet, _) => {
                let name = self.view.family_name(metric);
                let has_state = self.view.labels(series).iter().any(|label| label.name == *name);
                has_state && (value == 0 || value == ONE)
            }
            (Family::Info, _) => value == ONE,
            _ => true,
        }
    }
}

/// Whether a number of this rank counts something: it is whole, and not negative.
fn is_count(rank: i64) -> bool {
    // What lies beyond is whole.
    let is_large = rank > WHOLE && rank < float::INFINITE;
    rank >= 0 && (is_large || float::whole(f64::from_bits(rank.cast_unsigned())).is_some())
}

const ONE: i64 = float::rank(1.0);
const WHOLE: i64 = float::rank(float::WHOLE);
