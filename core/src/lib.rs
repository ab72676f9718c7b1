//! The thinking half of pmbridge.
#![no_std]
#![forbid(unsafe_code)]

pub mod exposition;
mod float;
pub mod http;
pub mod mapping;
pub mod pcp;
pub mod pdu;
pub mod role;
pub mod serial;
pub mod store;
mod text;
pub mod time;
pub mod wire;
