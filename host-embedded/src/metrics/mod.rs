//! A device's own metrics: what it declares.

use core::fmt;

use pmbridge_core::store::{Full, SourceId, Storage, Store};

/// A declared metric.
#[derive(Debug)]
pub struct Entry;

/// Why a table cannot be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// There is no room for it.
    Full(Full),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Full(full) = self;
        full.fmt(f)
    }
}

/// Declares the metrics of a table.
pub fn declare<S: Storage>(_: &[Entry], _: &mut Store<S>, _: SourceId) -> Result<(), Error> {
    Ok(())
}

/// Publishes what the metrics of a table are worth now.
pub fn publish<S: Storage>(_: &[Entry], _: &mut Store<S>, _: SourceId) {}
