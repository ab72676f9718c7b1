//! Mapping is pure functions: what PCP calls a thing that an exposition names, by the *classic* rules.
//!
//! Classic rules are those of PCP's own openmetrics PMDA, so that a site's archives go on without a
//! seam when pmbridge takes its place. Nothing here keeps state: a caller asks once, when a metric
//! or a series is first seen, and remembers the answer. Texts leave piece by piece through [`Put`].

pub mod base;
pub mod compat;
pub mod export;
pub mod family;
pub mod help;
pub mod instance;
mod json;
pub mod kind;
pub mod label;
pub mod name;
pub mod pcpline;
pub mod rules;
pub mod unit;

pub use crate::exposition::Put;
pub use compat::Compat;
pub use family::{Family, Part};
pub use pcpline::PcpLine;
pub use rules::{Fate, Plain, Rules};

/// Whether one of the `_`-separated pieces of a name is this word.
fn has_piece(name: &str, word: &str) -> bool {
    name.as_bytes().split(|byte| *byte == b'_').any(|piece| piece == word.as_bytes())
}

/// Whether a word is among those of a row, which blanks part, in either case.
fn is_among(word: &[u8], row: &str) -> bool {
    row.as_bytes().split(u8::is_ascii_whitespace).any(|other| word.eq_ignore_ascii_case(other))
}
