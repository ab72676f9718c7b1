//! Which PCP's rules are followed where its versions differ.

/// The PCP version whose openmetrics PMDA is stood in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// PCP 6.0, as in Debian 12.
    V60,
    /// PCP 7.2.
    V72,
}
