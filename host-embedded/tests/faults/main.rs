//! The agent at one end of a bad cable, everybody else at the other, in one process with a clock that the test turns.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

mod chip;
mod floods;
mod laws;
mod world;
