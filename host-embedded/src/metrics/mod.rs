//! What a device says of itself: metrics in statics, whose values are set from anywhere, interrupts too.
//!
//! ```
//! use pmbridge_embedded::metrics::{Histogram, Metric, Text, Units, metrics};
//!
//! metrics! {
//!     /// What this device says of itself.
//!     pub static TABLE;
//!
//!     /// Seconds since boot.
//!     pub static UPTIME: Metric<u64> =
//!         Metric::counter("device.uptime", "Seconds since boot.").units(Units::SECOND);
//!     /// Of each sensor.
//!     pub static TEMPERATURE: Metric<f64, 3> =
//!         Metric::gauge("sensor.temperature", "Degrees Celsius.").instances("sensor", &["cpu", "board", "psu"]);
//!     /// What runs.
//!     pub static VERSION: Text<24> = Text::new("device.version", "Which firmware this is.");
//!     /// Answers of the sensor.
//!     pub static LATENCY: Histogram<4> =
//!         Histogram::new("sensor.latency", "How long the sensor took to answer.", [100, 250, 500, 1000])
//!             .units(Units::MICROSEC);
//! }
//!
//! UPTIME.add(0, 1);
//! TEMPERATURE.set(1, 36.6);
//! VERSION.set("1.0.3");
//! LATENCY.observe(310);
//! assert_eq!(TABLE.len(), 4);
//! ```
//!
//! One declaration is the metric in both protocols: `sensor.temperature` with the instances `cpu`, `board` and `psu` in PCP,
//! `sensor_temperature{sensor="cpu"}` on a page, where names end in the unit and values are in base units
//! (`sensor_latency_seconds_bucket`). What a declaration may not be does not compile: names that are none in either
//! protocol, names twice, no help, instances or bounds that are not distinct. A table made by hand, of
//! [`Entry`]s, is checked for names that come twice when it is [declared](declare).
//!
//! Values are set with interrupts off, by the chip's `critical-section`, for the few cycles that a word takes, so that an
//! interrupt may set one while another set is under way. A string takes as long as it is; at most [`MOST_TEXT`] bytes.

mod about;
mod histogram;
mod metric;
mod table;
mod text;

pub(crate) use about::is_below;

pub use crate::metrics_table as metrics;
pub use about::{About, are_distinct};
pub use histogram::{Histogram, MOST_BOUNDS};
pub use metric::{Integer, Metric, Value};
pub use pmbridge_core::pcp::{Semantics, Units};
pub use table::{Entry, Error, declare, publish};
pub use text::{MOST_TEXT, Text};
