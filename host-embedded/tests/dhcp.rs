//! A server of DHCP may say what it likes: the agent goes on, and hears one that is honest.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

mod rig;

use core::net::Ipv4Addr;

use fastrand::Rng;
use pmbridge_embedded::{
    Address, Neighbour, Settings,
    metrics::{Metric, metrics},
};
use rig::{AGENT, PEER, Rig, SETTINGS, dhcp, neighbour};
use smoltcp::{
    socket::udp::{PacketBuffer, PacketMetadata, Socket},
    wire::{DhcpMessageType, DhcpPacket, DhcpRepr, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet, UdpPacket},
};

metrics! {
    static TABLE;

    static UPTIME: Metric<u64> = Metric::counter("device.uptime", "Seconds since boot.");
}

/// Addresses of which most are no server's, router's or device's.
fn address(chance: &mut Rng) -> Ipv4Addr {
    let odd = [
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [127, 0, 0, 1],
        [10, 255, 255, 255],
        [10, 0, 0, 0],
        [240, 0, 0, 1],
        AGENT,
        PEER,
    ];
    if chance.bool() { odd[chance.usize(..odd.len())].into() } else { Ipv4Addr::from(chance.u32(..)) }
}

fn some<T>(chance: &mut Rng, value: T) -> Option<T> {
    (chance.u8(..5) > 0).then_some(value)
}

/// Bytes of an answer to what somebody said, of which each part may be anything.
fn nonsense(chance: &mut Rng, said: &[u8]) -> Vec<u8> {
    let packet = DhcpPacket::new_checked(said).unwrap();
    let asked = DhcpRepr::parse(&packet).unwrap();
    let message_type = match (asked.message_type, chance.u8(..6)) {
        (_, 0) => DhcpMessageType::Nak,
        (DhcpMessageType::Discover, _) | (_, 1) => DhcpMessageType::Offer,
        _ => DhcpMessageType::Ack,
    };
    let [yours, server, identifier, mask, router] = [(); 5].map(|()| address(chance));
    let yours = [yours, AGENT.into()][chance.usize(..2)];
    let [renew, rebind] = [(); 2].map(|()| [0, 1, 10, 60, chance.u32(..)][chance.usize(..5)]);
    // Not longer, or it would be held, as it is to be.
    let lease = [0, 1, 10, 60][chance.usize(..4)];
    let mask = [mask, Ipv4Addr::new(255, 0, 0, 0)][chance.usize(..2)];
    let answer = DhcpRepr {
        message_type,
        your_ip: yours,
        server_ip: server,
        server_identifier: some(chance, identifier),
        subnet_mask: some(chance, mask),
        router: some(chance, router),
        lease_duration: some(chance, lease),
        renew_duration: some(chance, renew),
        rebind_duration: some(chance, rebind),
        client_ip: Ipv4Addr::UNSPECIFIED,
        requested_ip: None,
        client_identifier: None,
        parameter_request_list: None,
        max_size: None,
        ..asked
    };
    let mut bytes = vec![0; answer.buffer_len()];
    answer.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).unwrap();
    bytes
}

/// Lets a frame of UDP come from another address.
fn hide(frame: &mut [u8], from: Ipv4Addr) {
    let Some(packet) = frame.get_mut(14..) else { return };
    let mut packet = Ipv4Packet::new_unchecked(packet);
    if packet.next_header() == IpProtocol::Udp {
        packet.set_src_addr(from);
        packet.fill_checksum();
        UdpPacket::new_unchecked(packet.payload_mut()).set_checksum(0);
    }
}

#[test]
fn nothing_that_a_server_says_stops_the_agent() {
    static NEIGHBOURS: [Neighbour; 1] = [neighbour("n", 9101)];
    let mut leases = 0;
    for seed in 0..100 {
        let mut chance = Rng::with_seed(seed);
        let settings = Settings { address: Address::Dhcp, neighbours: &NEIGHBOURS, ..SETTINGS };
        let mut rig = Rig::new(TABLE, &settings);
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 16], vec![0; 8192]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(67).unwrap();
        let server = rig.peer.sockets.add(socket);
        rig.until(120_000, |rig| {
            let socket = rig.peer.sockets.get_mut::<Socket<'_>>(server);
            while let Ok((said, _)) = socket.recv() {
                let answer = nonsense(&mut chance, said);
                let to = IpEndpoint::new(IpAddress::Ipv4(Ipv4Addr::BROADCAST), 68);
                let _ = socket.send_slice(&answer, to);
            }
            if chance.bool() {
                let from = address(&mut chance);
                rig.end.inbox.borrow_mut().iter_mut().for_each(|frame| hide(frame, from));
            }
            // Somebody who is not where the agent is knocks.
            if chance.u8(..) == 0 {
                rig.peer.connect(44_321, 1024);
            }
            leases += u32::from(rig.agent.address().is_some());
            false
        });
        rig.peer.sockets.remove(server);
        rig.dhcp = Some(dhcp::Server::new(&mut rig.peer, 60));
        assert!(rig.until(400_000, |rig| rig.agent.address() == Some(AGENT.into())), "seed {seed}");
    }
    assert!(leases > 1000, "what a server says must be taken now and then: {leases}");
}
