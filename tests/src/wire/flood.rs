//! Frames that no honest machine sends, as many as anybody wants.

use core::net::Ipv4Addr;

use smoltcp::{
    phy::ChecksumCapabilities,
    wire::{
        ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
        IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    },
};

/// What a [`Flood`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plague {
    /// Connections that are begun from addresses that nobody has.
    Syn,
    /// The same from one address that exists, whose machine never answers.
    SynFromOne,
    /// Segments of connections that do not exist: data, ends and resets.
    Segments,
    /// ARP requests and answers from anybody for anything, this machine's address among them.
    Arp,
    /// Bytes to this machine.
    Noise,
    /// IPv4 packets whose insides are noise: fragments, options, other protocols.
    Packets,
    /// Frames longer than Ethernet allows.
    Oversized,
    /// Frames for everybody.
    Broadcast,
}

impl Plague {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Syn,
        Self::SynFromOne,
        Self::Segments,
        Self::Arp,
        Self::Noise,
        Self::Packets,
        Self::Oversized,
        Self::Broadcast,
    ];
}

/// A source of such frames.
#[derive(Debug)]
pub struct Flood {
    /// What they are.
    pub plague: Plague,
    rng: fastrand::Rng,
    to: Ipv4Addr,
    mac: EthernetAddress,
    ports: Vec<u16>,
}

impl Flood {
    /// Frames for the machine at `to`, which listens on these ports.
    pub fn new(plague: Plague, (to, mac): (Ipv4Addr, EthernetAddress), ports: &[u16], seed: u64) -> Self {
        Self { plague, rng: fastrand::Rng::with_seed(seed), to, mac, ports: ports.to_vec() }
    }

    /// The next frame.
    pub fn frame(&mut self) -> Vec<u8> {
        match self.plague {
            Plague::Syn => {
                let from = self.anybody();
                self.segment(from, TcpControl::Syn, 0)
            }
            Plague::SynFromOne => self.segment(Ipv4Addr::new(10, 0, 2, 254), TcpControl::Syn, 0),
            Plague::Segments => {
                let control = [TcpControl::None, TcpControl::Psh, TcpControl::Fin, TcpControl::Rst];
                let control = control[self.rng.usize(..control.len())];
                let (from, len) = (self.anybody(), self.rng.usize(0..1400));
                self.segment(from, control, len)
            }
            Plague::Arp => self.arp(),
            Plague::Noise => {
                let (len, kind) = (self.rng.usize(1..1500), EthernetProtocol::Unknown(self.rng.u16(..)));
                self.ethernet(self.mac, kind, len)
            }
            Plague::Packets => self.packet(),
            Plague::Oversized => {
                let len = self.rng.usize(1501..9000);
                self.ethernet(self.mac, EthernetProtocol::Ipv4, len)
            }
            Plague::Broadcast => {
                let len = self.rng.usize(46..1500);
                self.ethernet(EthernetAddress::BROADCAST, EthernetProtocol::Ipv4, len)
            }
        }
    }

    fn anybody(&mut self) -> Ipv4Addr {
        // The machine's own net, so that an answer wants its neighbour's hardware address first.
        Ipv4Addr::new(10, 0, 2, self.rng.u8(100..250))
    }

    fn segment(&mut self, from: Ipv4Addr, control: TcpControl, len: usize) -> Vec<u8> {
        let mut payload = vec![0; len];
        self.rng.fill(&mut payload);
        let is_first = control == TcpControl::Syn;
        let tcp = TcpRepr {
            src_port: self.rng.u16(1024..),
            dst_port: self.ports[self.rng.usize(..self.ports.len())],
            control,
            seq_number: TcpSeqNumber(self.rng.i32(..)),
            ack_number: (!is_first).then(|| TcpSeqNumber(self.rng.i32(..))),
            window_len: self.rng.u16(..),
            window_scale: None,
            max_seg_size: is_first.then_some(1460),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &payload,
        };
        let mut bytes = vec![0; tcp.buffer_len()];
        let (source, to) = (IpAddress::Ipv4(from), IpAddress::Ipv4(self.to));
        tcp.emit(
            &mut TcpPacket::new_unchecked(&mut bytes[..]),
            &source,
            &to,
            &ChecksumCapabilities::default(),
        );
        self.ipv4(from, IpProtocol::Tcp, &bytes)
    }

    fn ipv4(&mut self, from: Ipv4Addr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let repr = Ipv4Repr {
            src_addr: from,
            dst_addr: self.to,
            next_header: protocol,
            payload_len: payload.len(),
            hop_limit: 64,
        };
        let mut frame = self.ethernet(self.mac, EthernetProtocol::Ipv4, repr.buffer_len() + payload.len());
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
        repr.emit(&mut packet, &ChecksumCapabilities::default());
        packet.payload_mut().copy_from_slice(payload);
        frame
    }

    /// A packet with a right sum and nothing else.
    fn packet(&mut self) -> Vec<u8> {
        let protocols =
            [IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Icmp, IpProtocol::Unknown(self.rng.u8(..))];
        let protocol = protocols[self.rng.usize(..protocols.len())];
        let mut payload = vec![0; self.rng.usize(0..600)];
        self.rng.fill(&mut payload);
        let from = self.anybody();
        let mut frame = self.ipv4(from, protocol, &payload);
        let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
        match self.rng.u8(0..4) {
            0 => packet.set_more_frags(true),
            1 => packet.set_frag_offset(self.rng.u16(0..8191) & !7),
            2 => packet.set_total_len(self.rng.u16(..)),
            _ => packet.set_header_len(self.rng.u8(0..16) * 4),
        }
        if self.rng.u8(0..4) > 0
            && packet.header_len() >= 20
            && usize::from(packet.header_len()) <= 20 + payload.len()
        {
            packet.fill_checksum();
        }
        frame
    }

    fn arp(&mut self) -> Vec<u8> {
        let mut hardware = [0; 6];
        self.rng.fill(&mut hardware);
        hardware[0] &= 0xfe;
        let repr = ArpRepr::EthernetIpv4 {
            operation: if self.rng.bool() { ArpOperation::Request } else { ArpOperation::Reply },
            source_hardware_addr: EthernetAddress(hardware),
            source_protocol_addr: self.anybody(),
            target_hardware_addr: self.mac,
            target_protocol_addr: if self.rng.u8(0..4) > 0 { self.to } else { self.anybody() },
        };
        let to = if self.rng.bool() { self.mac } else { EthernetAddress::BROADCAST };
        let mut frame = self.ethernet(to, EthernetProtocol::Arp, repr.buffer_len());
        repr.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET..]));
        frame
    }

    /// A frame with noise in it.
    fn ethernet(&mut self, to: EthernetAddress, protocol: EthernetProtocol, len: usize) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + len];
        self.rng.fill(&mut frame[ETHERNET..]);
        let from = EthernetAddress([0x02, 0, 0, 0, 1, self.rng.u8(..)]);
        let repr = EthernetRepr { src_addr: from, dst_addr: to, ethertype: protocol };
        repr.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        frame
    }
}

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
