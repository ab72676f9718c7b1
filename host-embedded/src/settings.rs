//! What a firmware tells the agent once.

use core::{fmt, net::Ipv4Addr};

use pmbridge_core::store::Full;

use crate::metrics;

/// Who the agent is, and whom it knows.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a firmware names all of these")]
pub struct Settings {
    /// The labels of all its metrics, as exposition text: `hostname="boiler"`, and others behind a comma.
    pub labels: &'static str,
    /// Its address on the wire: a unicast one.
    pub mac: [u8; 6],
    /// Where it is.
    pub address: Address,
    /// Whom it scrapes.
    pub neighbours: &'static [Neighbour],
    /// A number that is another one after each start and that nobody outside can know, as far as the chip has such.
    /// TCP's sequence numbers and the store's hashes begin with it.
    pub seed: u64,
}

/// Where an agent is in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "it asks, or it is told")]
pub enum Address {
    /// Where DHCP says.
    Dhcp,
    /// Always here.
    Static {
        /// Its address.
        address: [u8; 4],
        /// How many bits of it are the network's.
        prefix: u8,
        /// Who knows the way to others.
        gateway: Option<[u8; 4]>,
    },
}

/// Somebody whose page is scraped for who asks here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a firmware names all of these")]
pub struct Neighbour {
    /// What its metrics are called after: `openmetrics.NAME.METRIC`.
    pub name: &'static str,
    /// Where it is.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The path of its page.
    pub path: &'static str,
    /// The metrics that are taken, as exposed, where `*` is any text; all where there is none.
    pub include: &'static [&'static str],
    /// Those among them that are not.
    pub exclude: &'static [&'static str],
}

/// Why there is no agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The address on the wire is not one of a single device.
    Mac,
    /// The address is not one of a single device, or the prefix is longer than 32 bits.
    Address,
    /// There is no room for the labels, the neighbours or the agent's own metrics.
    Full(Full),
    /// The metrics cannot be declared.
    Metrics(metrics::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac => f.write_str("address on the wire is not unicast"),
            Self::Address => f.write_str("address is not unicast, or its prefix is too long"),
            Self::Full(full) => full.fmt(f),
            Self::Metrics(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl From<Full> for Error {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl From<metrics::Error> for Error {
    fn from(error: metrics::Error) -> Self {
        Self::Metrics(error)
    }
}
