//! What is counted, from wherever it happens.

use core::sync::atomic::{AtomicU32, Ordering};

/// A count that wraps around.
pub(crate) struct Count(AtomicU32);

impl Count {
    /// One more, or several.
    pub(crate) fn add(&self, n: u32) {
        // Whoever counts is alone with it: a load and a store lose nothing, and need no exclusive access.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn read(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Frames that came and were whole.
pub(crate) static FRAMES_IN: Count = Count(AtomicU32::new(0));
/// Frames that went.
pub(crate) static FRAMES_OUT: Count = Count(AtomicU32::new(0));
/// Frames that were damaged, or too long.
pub(crate) static LOST: Count = Count(AtomicU32::new(0));
