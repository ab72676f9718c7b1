//! A descriptor says how to read a metric's values: their type, instances, semantics and units.

use core::fmt;

use super::{InDom, Pmid, Units};

/// What a metric is. Lasts as long as the metric's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Desc {
    /// The metric described.
    pub pmid: Pmid,
    /// How a value is encoded.
    pub kind: Type,
    /// The instances that have values.
    pub indom: InDom,
    /// How values relate over time.
    pub semantics: Semantics,
    /// Dimension and scale of a value.
    pub units: Units,
}

/// How a value is encoded. Types not named here are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Type(pub i32);

impl Type {
    /// The metric cannot have values here. In descriptors alone.
    pub const NOSUPPORT: Self = Self(-1);
    /// Signed, one word.
    pub const I32: Self = Self(0);
    /// Unsigned, one word.
    pub const U32: Self = Self(1);
    /// Signed, two words.
    pub const I64: Self = Self(2);
    /// Unsigned, two words.
    pub const U64: Self = Self(3);
    /// IEEE single.
    pub const FLOAT: Self = Self(4);
    /// IEEE double.
    pub const DOUBLE: Self = Self(5);
    /// Bytes up to the first NUL.
    pub const STRING: Self = Self(6);
    /// Opaque bytes.
    pub const AGGREGATE: Self = Self(7);
    /// Opaque bytes, as an agent's memory had them; means the same as [`AGGREGATE`](Self::AGGREGATE).
    pub const AGGREGATE_STATIC: Self = Self(8);
    /// Event records, stamped to the microsecond.
    pub const EVENT: Self = Self(9);
    /// Event records, stamped to the nanosecond.
    pub const HIGHRES_EVENT: Self = Self(10);
    /// Not said. In value blocks alone.
    pub const UNKNOWN: Self = Self(255);

    /// Whether a value is the word in its value set, with no block behind it.
    pub const fn is_in_situ(self) -> bool {
        matches!(self, Self::I32 | Self::U32)
    }

    /// Whether a value is one number.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::I32 | Self::U32 | Self::I64 | Self::U64 | Self::FLOAT | Self::DOUBLE)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NOSUPPORT => "Not Supported",
            Self::I32 => "32-bit int",
            Self::U32 => "32-bit unsigned int",
            Self::I64 => "64-bit int",
            Self::U64 => "64-bit unsigned int",
            Self::FLOAT => "float",
            Self::DOUBLE => "double",
            Self::STRING => "string",
            Self::AGGREGATE => "aggregate",
            Self::AGGREGATE_STATIC => "static aggregate",
            Self::EVENT => "event record array",
            Self::HIGHRES_EVENT => "highres event record array",
            Self::UNKNOWN => "unknown",
            Self(code) => return write!(f, "type {code}"),
        })
    }
}

/// How values of a metric relate over time. Others than those named are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Semantics(pub u32);

impl Semantics {
    /// Only grows; the rate is what matters.
    pub const COUNTER: Self = Self(1);
    /// May be anything at any time.
    pub const INSTANT: Self = Self(3);
    /// Holds until it changes, which is seldom.
    pub const DISCRETE: Self = Self(4);
}

impl fmt::Display for Semantics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::COUNTER => "counter",
            Self::INSTANT => "instant",
            Self::DISCRETE => "discrete",
            Self(code) => return write!(f, "semantics {code}"),
        })
    }
}
