//! Time as an argument: nothing here knows what time it is.
//!
//! [`Instant`] and [`Duration`] count milliseconds of a clock that never goes back and are for
//! deadlines; [`Timestamp`] is the wall clock and is for data.

use core::fmt;

/// A point on the monotonic clock, in milliseconds from a start the host chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock: whatever lasted until then is over.
    pub const START: Self = Self(0);
    /// The end of the clock, which never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `millis` after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds from the start.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The point `duration` later, or `None` past the end of the clock.
    pub const fn checked_add(self, duration: Duration) -> Option<Self> {
        match self.0.checked_add(duration.0) {
            Some(millis) => Some(Self(millis)),
            None => None,
        }
    }

    /// The point `duration` later, at most the end of the clock.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }

    /// How long after `earlier` this is; zero where it is not.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

/// A span of the monotonic clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A span of `secs` seconds, at most the longest there is.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds of the span.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Both spans together, at most the longest there is.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

/// A point of the wall clock: seconds of the Unix epoch and nanoseconds within the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timestamp {
    /// Whole seconds since 1970.
    pub secs: i64,
    /// Nanoseconds since the second began; below a billion when it comes from a clock.
    pub nanos: u32,
}

impl Timestamp {
    /// Microseconds since the second began.
    pub const fn micros(self) -> u32 {
        self.nanos / 1000
    }

    /// Milliseconds since 1970, at most what a number holds.
    pub const fn millis(self) -> i64 {
        self.secs.saturating_mul(1000).saturating_add((self.nanos / 1_000_000) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_stops_at_its_end() {
        let last = Instant::from_millis(u64::MAX);
        assert_eq!(last.checked_add(Duration::from_millis(1)), None);
        assert_eq!(last.saturating_add(Duration::from_secs(1)), last);
        assert_eq!(Instant::from_millis(5).saturating_since(last), Duration::ZERO);
        assert_eq!(
            Instant::from_millis(5).checked_add(Duration::from_secs(1)),
            Some(Instant::from_millis(1005))
        );
    }

    #[test]
    fn a_time_before_1970_keeps_its_order() {
        let early = Timestamp { secs: -1, nanos: 999_000_000 };
        assert_eq!(early.millis(), -1);
        assert!(early < Timestamp::default());
    }
}
