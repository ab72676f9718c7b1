//! PCP's vocabulary: words and numbers, without the bytes that carry them.
//!
//! Every number of the protocol is a type of its own. It keeps all bit patterns that a peer may
//! send, names the known ones, and prints as PCP's own tools print it.

pub mod desc;
pub mod id;
pub mod label;
pub mod name;
pub mod status;
pub mod units;

pub use desc::{Desc, Semantics, Type};
pub use id::{IN_NULL, InDom, Pmid};
pub use status::Status;
pub use units::Units;
