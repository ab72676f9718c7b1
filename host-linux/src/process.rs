//! What the kernel says of this process, and lets it have.

use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Resident bytes, 0 where the kernel does not say.
pub(crate) fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0).saturating_mul(4096)
}

/// CPU time in seconds, the kernel's on its behalf included.
pub(crate) fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn seconds(time: TimeVal) -> f64 {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0)).as_secs_f64()
}

/// Open descriptors; the one that lists them is not counted.
pub(crate) fn open_descriptors() -> u64 {
    let count = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    u64::try_from(count.saturating_sub(1)).unwrap_or(u64::MAX)
}

/// Raises the limit of open descriptors as far as it may be, and says where it is then.
pub(crate) fn raise_limit() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((DEFAULT, DEFAULT));
    // Programs that we start inherit it, and some close every descriptor that they could have.
    let want = hard.min(ENOUGH);
    let limit =
        if want > soft && setrlimit(Resource::RLIMIT_NOFILE, want, hard).is_ok() { want } else { soft };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What a process has where the system does not say.
const DEFAULT: u64 = 1024;
/// More than there can be sources and clients.
const ENOUGH: u64 = 1 << 16;
