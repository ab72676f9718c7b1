//! What tells that a file has become another, so that it is to be read again.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use crate::clock::wall;

/// A state of a file: as long as it is the same, so is what the file says, unless that changed just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The state that the system tells.
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            mode: meta.mode(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// How many milliseconds ago the file changed; fewer than none where the clock was put back since.
    pub(crate) fn age(&self) -> i64 {
        let (seconds, nanos) = self.changed;
        let changed = seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000);
        wall().millis().saturating_sub(changed)
    }
}
