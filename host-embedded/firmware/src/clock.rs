//! The time since boot, from SysTick.
//!
//! It counts down 24 bits of the processor's clock, and its exception counts how often. Time stands still in no sleep,
//! and does not drift where an exception comes late, as long as it comes before the next.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::{
    interrupt,
    peripheral::{SCB, SYST, syst::SystClkSource},
};

use crate::board::MICROS;

/// Starts counting.
pub fn start(mut systick: SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(PERIOD.saturating_sub(1));
    systick.clear_current();
    systick.enable_counter();
    systick.enable_interrupt();
}

/// Microseconds since boot.
pub fn micros() -> u64 {
    let (wraps, left) = interrupt::free(|_| {
        let before = SYST::get_current();
        let pending = SCB::is_pendst_pending();
        // An exception that is pending belongs to a period that may have begun after the counter was read.
        let left = if pending { SYST::get_current() } else { before };
        (WRAPS.load(Ordering::Relaxed).wrapping_add(u32::from(pending)), left)
    });
    // At 0 the next period has begun already: the exception is pended on the step from 1 to 0.
    let elapsed = if left == 0 { 0 } else { PERIOD.saturating_sub(left) };
    u64::from(wraps).saturating_mul(u64::from(PERIOD / MICROS)).saturating_add(u64::from(elapsed / MICROS))
}

/// Counts a period: to be called by the exception `SysTick`.
pub fn tick() {
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// How often the counter came to its end.
static WRAPS: AtomicU32 = AtomicU32::new(0);
/// Cycles between two exceptions: whole microseconds, and as many as 24 bits hold.
const PERIOD: u32 = (1 << 24) / (MICROS * 1000) * (MICROS * 1000);
