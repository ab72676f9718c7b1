//! What a firmware tells the agent once.

use core::{fmt, net::Ipv4Addr};

use pmbridge_core::{mapping::label::are_labels, pcp::name, store::Full};

use crate::metrics::{self, is_below};

/// Who the agent is, and whom it knows.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a firmware names all of these")]
pub struct Settings {
    /// The labels of all its metrics in PCP, as exposition text: `hostname="boiler"`, and others behind a comma. A page has
    /// none of them, as Prometheus says itself whose page it is. A label `agent` says `openmetrics` already, and that one
    /// wins.
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

impl Settings {
    /// Whether they are some that can be, as [`Agent::new`](crate::Agent::new) finds when it begins.
    ///
    /// # Errors
    ///
    /// The first that cannot be.
    pub fn check(&self) -> Result<(), Error> {
        if let [first, ..] = self.mac
            && first & 1 != 0
        {
            return Err(Error::Mac);
        }
        if let Address::Static { address, prefix, gateway } = self.address
            && (prefix > 32 || !is_unicast(address) || gateway.is_some_and(|gateway| !is_unicast(gateway)))
        {
            return Err(Error::Address);
        }
        if !are_labels(self.labels) {
            return Err(Error::Labels);
        }
        Neighbour::check(self.neighbours)
    }
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
    /// What its metrics are called after, `openmetrics.NAME.METRIC`: a letter, then letters, digits, `_` and dots between
    /// those. Each has another one, and none is below another.
    pub name: &'static str,
    /// Where it is.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The path of its page, from its `/` on, without blanks.
    pub path: &'static str,
    /// The metrics that are taken, as exposed, where `*` is any text; all where there is none.
    pub include: &'static [&'static str],
    /// Those among them that are not.
    pub exclude: &'static [&'static str],
}

impl Neighbour {
    /// Whether these are neighbours that can be, side by side. Where they are constant that is known as they are compiled:
    ///
    /// ```compile_fail,E0080
    /// # use pmbridge_embedded::Neighbour;
    /// # use core::net::Ipv4Addr;
    /// const NODE: Neighbour = Neighbour {
    ///     name: "node-1",
    ///     address: Ipv4Addr::new(192, 168, 1, 1),
    ///     port: 9100,
    ///     path: "/metrics",
    ///     include: &[],
    ///     exclude: &[],
    /// };
    /// const _: () = assert!(Neighbour::check(&[NODE]).is_ok());
    /// ```
    ///
    /// # Errors
    ///
    /// The first that cannot be.
    pub const fn check(all: &[Self]) -> Result<(), Error> {
        let mut rest = all;
        while let [Self { name, address, port, path, .. }, others @ ..] = rest {
            rest = others;
            if !name::is_source(name) {
                return Err(Error::Name(name));
            }
            let mut behind = others;
            while let [other, tail @ ..] = behind {
                // `a.b` of the one would be `b` of the other.
                if is_below(name, other.name) || is_below(other.name, name) {
                    return Err(Error::Twice(name));
                }
                behind = tail;
            }
            if !is_unicast(address.octets()) || *port == 0 {
                return Err(Error::Unreachable(name));
            }
            if !is_path(path) {
                return Err(Error::Path(path));
            }
        }
        Ok(())
    }
}

/// Why there is no agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The address on the wire is not one of a single device.
    Mac,
    /// The address, or that of the gateway, is not one of a single device, or the prefix is longer than 32 bits.
    Address,
    /// The labels are no exposition text, or PCP has no such name of a label, or one comes twice.
    Labels,
    /// No neighbour can be called this.
    Name(&'static str),
    /// Two neighbours have this name, or one has it and another one below it: `boiler` and `boiler.2`.
    Twice(&'static str),
    /// The address of the neighbour of this name is not one of a single device, or its port is 0.
    Unreachable(&'static str),
    /// This path of a neighbour's page does not begin with `/`, or has a blank or a control character.
    Path(&'static str),
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
            Self::Labels => f.write_str("labels are no exposition text, or one comes twice"),
            Self::Name(name) => write!(f, "no neighbour can be called {name:?}"),
            Self::Twice(name) => write!(f, "two neighbours are called {name}, or one has a name below it"),
            Self::Unreachable(name) => write!(f, "neighbour {name} has an address or a port that is none"),
            Self::Path(path) => write!(f, "{path:?} is not the path of a page"),
            Self::Full(full) => full.fmt(f),
            Self::Metrics(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// The same words, which are not in the image.
#[cfg(feature = "defmt")]
impl defmt::Format for Error {
    fn format(&self, f: defmt::Formatter<'_>) {
        let full = |full: &Full| defmt::write!(f, "no room for more {=str}", full.0.name());
        match self {
            Self::Mac => defmt::write!(f, "address on the wire is not unicast"),
            Self::Address => defmt::write!(f, "address is not unicast, or its prefix is too long"),
            Self::Labels => defmt::write!(f, "labels are no exposition text, or one comes twice"),
            Self::Name(name) => defmt::write!(f, "no neighbour can be called \"{=str}\"", name),
            Self::Twice(name) => {
                defmt::write!(f, "two neighbours are called {=str}, or one has a name below it", name)
            }
            Self::Unreachable(name) => {
                defmt::write!(f, "neighbour {=str} has an address or a port that is none", name);
            }
            Self::Path(path) => defmt::write!(f, "\"{=str}\" is not the path of a page", path),
            Self::Full(region) | Self::Metrics(metrics::Error::Full(region)) => full(region),
            Self::Metrics(metrics::Error::Twice(name)) => {
                defmt::write!(f, "metric {=str} is there twice, by this name or on a page", name);
            }
        }
    }
}

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

pub(crate) const fn is_unicast(address: [u8; 4]) -> bool {
    // Below are those of no device, above those of several, and those that nobody has.
    matches!(address, [1..=223, ..])
}

const fn is_path(path: &str) -> bool {
    let mut rest = path.as_bytes();
    let begins = matches!(rest, [b'/', ..]);
    while let [byte, tail @ ..] = rest {
        if *byte <= b' ' || *byte == 0x7f {
            return false;
        }
        rest = tail;
    }
    begins
}
