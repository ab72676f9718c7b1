//! What the board's programs share: the board, its clock, its Ethernet as a device of smoltcp, sleep and end.
//!
//! A program has a `SysTick` exception that calls [`clock::tick`].
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

mod bare;
pub mod board;
pub mod clock;
mod div;
pub mod end;
mod mem;
pub mod port;
#[cfg(feature = "serial")]
pub mod serial;
pub mod sleep;

pub use bare::{stack_peak, stack_size};

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

#[cfg(feature = "defmt")]
defmt::timestamp!("{=u64:us}", clock::micros());
