//! Real peers against pmbridge: one suite a module.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "these are tests"
)]

mod archives;
mod check;
mod config;
mod control;
mod defects;
mod differential;
mod dump;
mod export;
mod faults;
mod fetching;
mod firmware;
mod harness;
mod ids;
mod install;
mod labels;
mod layers;
mod million;
mod page;
mod pages;
mod schedule;
mod serial;
mod serve;
mod sockets;
mod tap;
mod web;
