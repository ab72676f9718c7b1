//! pmbridge for firmware: core's roles over smoltcp's sockets, without an operating system and without a heap.
//!
//! [`Agent::poll`] is the whole loop, over any smoltcp `Device` and a clock: it moves frames, answers PCP clients on
//! port 44321 and Prometheus on port 9100, and scrapes the neighbours that a question is about. Each call does a bounded
//! piece of work and says when the next one is due, so that a device's own main loop goes on whatever arrives.
//!
//! A chip without a network has `uart::Uart` instead, or beside it: the same metrics for the pmcd at the other end of a serial line.
//!
//! What it all needs of memory is one value, [`Memory`], for a `static`; its sizes are one table, [`memory`].
#![no_std]
#![forbid(unsafe_code)]

mod address;
mod agent;
mod clients;
mod conn;
mod door;
mod log;
pub mod memory;
pub mod metrics;
mod neighbour;
mod own;
mod pages;
#[cfg(all(feature = "check-readme", target_arch = "arm"))]
mod readme;
pub mod rules;
mod settings;
mod stats;
#[cfg(feature = "serial")]
pub mod uart;

pub use agent::{Agent, Next};
pub use memory::Memory;
pub use pmbridge_core::time;
pub use settings::{Address, Error, Neighbour, Settings};
pub use stats::Stats;

/// The code of the page for makers of firmware compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
