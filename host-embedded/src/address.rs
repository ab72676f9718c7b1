//! Where the agent is in its network: told, or asked of DHCP.

use core::net::Ipv4Addr;

use pmbridge_core::time::Instant;
use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::Device,
    wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr},
};

use crate::{
    agent::stack_time,
    log,
    settings::{Address, Error, Settings},
};

/// The stack, at its address if that is known: of settings that can be.
pub(crate) fn interface(settings: &Settings, device: &mut (impl Device + ?Sized), now: Instant) -> Interface {
    let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(settings.mac)));
    config.random_seed = settings.seed;
    let mut iface = Interface::new(config, device, stack_time(now));
    if let Address::Static { address, prefix, gateway } = settings.address {
        set(&mut iface, Some(Ipv4Cidr::new(address.into(), prefix)), gateway.map(Ipv4Addr::from));
        log::address(iface.ipv4_addr());
    }
    iface
}

/// Goes to an address, or from the one that it has.
fn set(iface: &mut Interface, address: Option<Ipv4Cidr>, gateway: Option<Ipv4Addr>) {
    iface.update_ip_addrs(|all| {
        all.clear();
        if let Some(address) = address {
            let _ = all.push(IpCidr::Ipv4(address));
        }
    });
    iface.routes_mut().remove_default_ipv4_route();
    if let Some(gateway) = gateway {
        // There is room for the one route.
        let _ = iface.routes_mut().add_default_ipv4_route(gateway);
    }
}

/// Asks for an address, where that is wanted.
#[cfg(feature = "dhcp")]
pub(crate) fn ask(settings: &Settings, sockets: &mut SocketSet<'_>) -> Result<Option<SocketHandle>, Error> {
    let is_wanted = settings.address == Address::Dhcp;
    Ok(is_wanted.then(|| sockets.add(smoltcp::socket::dhcpv4::Socket::new())))
}

/// Takes what DHCP says: the address from now on, or that there is none.
#[cfg(feature = "dhcp")]
pub(crate) fn change(
    iface: &mut Interface,
    sockets: &mut SocketSet<'_>,
    handle: SocketHandle,
) -> Option<Option<Ipv4Addr>> {
    use crate::settings::is_unicast;
    use smoltcp::socket::dhcpv4::{Event, Socket};
    let (address, gateway) = match sockets.get_mut::<Socket<'_>>(handle).poll()? {
        // smoltcp looks at the address only. It panics as it sends to a router that is none, and asks in vain for itself.
        Event::Configured(lease) => {
            let own = lease.address.address();
            let is_one = |router: &Ipv4Addr| is_unicast(router.octets()) && *router != own;
            (Some(lease.address), lease.router.filter(is_one))
        }
        // That comes first, too, before there was any.
        Event::Deconfigured if iface.ipv4_addr().is_none() => return None,
        Event::Deconfigured => (None, None),
    };
    set(iface, address, gateway);
    Some(address.map(|address| address.address()))
}

#[cfg(not(feature = "dhcp"))]
pub(crate) fn ask(settings: &Settings, _: &mut SocketSet<'_>) -> Result<Option<SocketHandle>, Error> {
    if settings.address == Address::Dhcp { Err(Error::Address) } else { Ok(None) }
}

#[cfg(not(feature = "dhcp"))]
pub(crate) const fn change(
    _: &mut Interface,
    _: &mut SocketSet<'_>,
    _: SocketHandle,
) -> Option<Option<Ipv4Addr>> {
    None
}

#[cfg(all(test, feature = "dhcp"))]
mod tests {
    extern crate std;
    use super::*;
    use smoltcp::phy::{DeviceCapabilities, Medium, RxToken, TxToken};

    /// A device without a cable.
    struct Silent;
    struct Token;

    impl Device for Silent {
        type RxToken<'a> = Token;
        type TxToken<'a> = Token;

        fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Token, Token)> {
            None
        }

        fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Token> {
            None
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut caps = DeviceCapabilities::default();
            caps.medium = Medium::Ethernet;
            caps
        }
    }

    impl RxToken for Token {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            f(&[])
        }
    }

    impl TxToken for Token {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            f(&mut std::vec![0; len])
        }
    }

    #[test]
    fn no_address_is_lost_before_there_was_any() {
        let mac = [2, 0, 0, 0, 0, 1];
        let settings = Settings { labels: "", mac, address: Address::Dhcp, neighbours: &[], seed: 1 };
        let mut iface = interface(&settings, &mut Silent, Instant::START);
        let mut sockets = SocketSet::new(std::vec![]);
        let handle = ask(&settings, &mut sockets).unwrap().unwrap();
        assert_eq!(change(&mut iface, &mut sockets, handle), None);
    }
}
