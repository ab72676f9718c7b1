//! What is worth a line of the firmware's log: said once when it begins, and once when it is over.

use core::net::Ipv4Addr;

use pmbridge_core::store::Region;
use smoltcp::wire::IpEndpoint;

#[cfg(not(feature = "defmt"))]
mod no {
    //! Nobody listens.
    use super::{IpEndpoint, Ipv4Addr, Region};

    pub(crate) const fn address(_: Option<Ipv4Addr>) {}
    pub(crate) const fn client(_: Option<IpEndpoint>) {}
    pub(crate) const fn reader(_: Option<IpEndpoint>) {}
    pub(crate) const fn refused(_: IpEndpoint, _: u16) {}
    pub(crate) const fn scraped(_: &str, _: bool) {}
    pub(crate) const fn full(_: Region) {}
}

#[cfg(not(feature = "defmt"))]
pub(crate) use no::{address, client, full, reader, refused, scraped};

/// It has an address, or has lost it.
#[cfg(feature = "defmt")]
pub(crate) fn address(address: Option<Ipv4Addr>) {
    match address {
        Some(address) => {
            let [a, b, c, d] = address.octets();
            defmt::info!("address: {=u8}.{=u8}.{=u8}.{=u8}", a, b, c, d);
        }
        None => defmt::warn!("address lost"),
    }
}

/// A PCP client has come.
#[cfg(feature = "defmt")]
pub(crate) fn client(from: Option<IpEndpoint>) {
    if let Some(from) = from {
        defmt::info!("client: {}", from);
    }
}

/// Somebody who wants pages has come.
#[cfg(feature = "defmt")]
pub(crate) fn reader(from: Option<IpEndpoint>) {
    if let Some(from) = from {
        defmt::debug!("reader: {}", from);
    }
}

/// Somebody was turned away, for all places are taken.
#[cfg(feature = "defmt")]
pub(crate) fn refused(from: IpEndpoint, port: u16) {
    defmt::warn!("no place for {} at port {=u16}", from, port);
}

/// A neighbour that was well is not, or the other way round.
#[cfg(feature = "defmt")]
pub(crate) fn scraped(name: &str, is_well: bool) {
    if is_well {
        defmt::info!("{=str}: well again", name);
    } else {
        defmt::warn!("{=str}: scrape failed", name);
    }
}

/// There is no room for more of something, for the first time.
#[cfg(feature = "defmt")]
pub(crate) fn full(region: Region) {
    defmt::warn!("no room for more {=str}", region.name());
}
