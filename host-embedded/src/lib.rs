//! pmbridge for firmware: core's roles over smoltcp's sockets, without an operating system and without a heap.
//!
//! [`Bridge::poll`] is the whole loop, generic over smoltcp's `Device`: it moves frames, lets each PCP client's
//! collector answer, and scrapes the neighbours that a client's fetch names. A device's own values go into the store
//! with [`Store::publish`](pmbridge_core::store::Store::publish). What it all needs of memory is one table,
//! [`memory`].
//!
//! This is the library alone: the firmware itself, with its boards, clock and log, is still to come, and so is the
//! exporter for Prometheus. Of PCP's requests it serves those that fit [`memory::WINDOW`]; a client that sends a longer
//! one is disconnected.
#![no_std]

mod bridge;
mod conn;
pub mod memory;
pub mod metrics;
pub mod rules;
mod target;

pub use bridge::Bridge;
pub use conn::{Conn, End};
pub use target::Target;
