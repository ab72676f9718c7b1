//! What this device says of itself.

use core::sync::atomic::{AtomicU32, Ordering};

use pmbridge_embedded::metrics::{Histogram, Metric, Text, Units, metrics};

metrics! {
    /// All of it.
    pub(crate) static TABLE;

    pub(crate) static UPTIME: Metric<u64> =
        Metric::counter("device.uptime", "Seconds since boot.").units(Units::SECOND);
    pub(crate) static IDLE: Metric<u64> =
        Metric::counter("device.idle", "Time asleep: its rate is the share of time in which nothing was to be done.")
            .units(Units::MICROSEC);
    pub(crate) static STALL: Metric<u32> =
        Metric::gauge("device.stall.longest", "The longest that the main loop was kept by the agent at once.")
            .units(Units::MICROSEC);
    pub(crate) static STACK: Metric<u32, 2> =
        Metric::gauge("device.stack", "The most of the stack that was ever used, and all of it.")
            .units(Units::BYTE)
            .instances("part", &["peak", "size"]);
    pub(crate) static FRAMES: Metric<u32, 2> =
        Metric::counter("device.frames", "Ethernet frames.")
            .units(Units::COUNT)
            .instances("direction", &["in", "out"]);
    pub(crate) static LOST: Metric<u32> =
        Metric::counter("device.frames_lost", "Ethernet frames that came damaged, or too long.").units(Units::COUNT);
    pub(crate) static VERSION: Text<24> = Text::new("device.version", "Which firmware this is.");
    pub(crate) static TEMPERATURE: Metric<f64, 3> =
        Metric::gauge("sensor.temperature", "Degrees Celsius, of a sensor that is made up.")
            .instances("sensor", &["chip", "board", "outside"]);
    pub(crate) static LATENCY: Histogram<5> =
        Histogram::new("sensor.latency", "How long the sensor took to answer.", [50, 100, 200, 500, 1000])
            .units(Units::MICROSEC);
}

/// Reads a sensor that is made up. The exception of the clock calls it, as a real one's interrupt would.
pub(crate) fn sense() {
    let n = READINGS.load(Ordering::Relaxed);
    READINGS.store(n.wrapping_add(1), Ordering::Relaxed);
    let reading = |n: u32| {
        let place = usize::try_from(n & LAST).unwrap_or(0);
        OF_A_DAY.get(place).copied().unwrap_or_default()
    };
    TEMPERATURE.set(0, 41.5);
    TEMPERATURE.set(1, reading(n.wrapping_mul(3)));
    TEMPERATURE.set(2, reading(n));
    // Some take longer than others.
    LATENCY.observe(u64::from(n.wrapping_mul(2_654_435_769) >> 22));
}

/// How often it was read.
static READINGS: AtomicU32 = AtomicU32::new(0);
/// What it says, again and again.
const OF_A_DAY: [f64; 8] = [19.5, 18.25, 17.0, 18.75, 21.5, 24.25, 23.0, 21.0];
/// The last of them.
const LAST: u32 = 7;
