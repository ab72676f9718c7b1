//! The two clocks of the system, as core counts time: that of the loop, which never goes back, and that of the wall.

use std::time::{Duration as Span, Instant as Start, SystemTime};

use pmbridge_core::time::{Duration, Instant, Timestamp};

/// The clock of a loop; it begins at [`Instant::START`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Start);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self(Start::now())
    }

    /// What it shows.
    pub(crate) fn now(self) -> Instant {
        Instant::from_millis(duration(self.0.elapsed()).millis())
    }
}

/// What the clock on the wall shows.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

/// A span of time in the whole milliseconds that core counts.
pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
