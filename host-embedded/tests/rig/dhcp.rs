//! Somebody who gives addresses.

use core::net::Ipv4Addr;

use smoltcp::{
    iface::SocketHandle,
    socket::udp::{PacketBuffer, PacketMetadata, Socket},
    wire::{DhcpMessageType, DhcpPacket, DhcpRepr, IpAddress, IpEndpoint},
};

use super::{AGENT, PEER, Peer};

/// A server with one address, lent for a few seconds.
pub struct Server {
    handle: SocketHandle,
    pub lease: u32,
    pub mask: Ipv4Addr,
    pub router: Ipv4Addr,
}

impl Server {
    pub fn new(peer: &mut Peer, lease: u32) -> Self {
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 4], vec![0; 2048]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(67).unwrap();
        let mask = Ipv4Addr::new(255, 0, 0, 0);
        Self { handle: peer.sockets.add(socket), lease, mask, router: PEER.into() }
    }

    pub fn serve(&self, peer: &mut Peer) {
        let socket = peer.sockets.get_mut::<Socket<'_>>(self.handle);
        let Ok((bytes, _)) = socket.recv() else { return };
        let bytes = bytes.to_vec();
        let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
        let asked = DhcpRepr::parse(&packet).unwrap();
        let message_type = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            _ => return,
        };
        let answer = DhcpRepr {
            message_type,
            your_ip: AGENT.into(),
            server_ip: PEER.into(),
            server_identifier: Some(PEER.into()),
            subnet_mask: Some(self.mask),
            router: Some(self.router),
            lease_duration: Some(self.lease),
            client_ip: Ipv4Addr::UNSPECIFIED,
            requested_ip: None,
            client_identifier: None,
            parameter_request_list: None,
            max_size: None,
            ..asked
        };
        let mut bytes = vec![0; answer.buffer_len()];
        answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).unwrap();
        let to = IpEndpoint::new(IpAddress::Ipv4(Ipv4Addr::BROADCAST), 68);
        peer.sockets.get_mut::<Socket<'_>>(self.handle).send_slice(&bytes, to).unwrap();
    }
}
