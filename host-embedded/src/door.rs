//! The door: frames come in through it, but for those from nowhere, and who knocks where nobody listens is held until a
//! place is free.
//!
//! smoltcp answers a SYN that no socket listens for with a reset. So the first segment of a connection is kept back
//! here, as long as it is small and sound, and comes in again once an idle connection has made room, or is refused.

use smoltcp::{
    phy::{ChecksumCapabilities, Device, DeviceCapabilities, RxToken},
    time::Instant,
    wire::{
        EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet,
        TcpControl, TcpPacket, TcpRepr,
    },
};

use crate::{clients, memory::FRAME, pages};

/// What is kept of a connection that cannot be had yet.
#[derive(Debug)]
pub(crate) struct Door {
    mac: EthernetAddress,
    frame: [u8; LONGEST],
    len: usize,
    /// Frames of this one are let in next.
    is_open: bool,
    /// Who knocks, and at which port.
    pub(crate) knock: Option<Knock>,
    /// Nobody listens there.
    pub(crate) closed: Closed,
}

/// Ports at which all places are taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Closed {
    pub(crate) clients: bool,
    pub(crate) pages: bool,
}

/// A first segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knock {
    pub(crate) from: IpEndpoint,
    pub(crate) to: IpEndpoint,
}

impl Door {
    /// In front of this address.
    pub(crate) const fn new(mac: EthernetAddress) -> Self {
        let closed = Closed { clients: false, pages: false };
        Self { mac, frame: [0; LONGEST], len: 0, is_open: false, knock: None, closed }
    }

    /// Lets in who knocked, to a socket that listens now or to none.
    pub(crate) const fn open(&mut self) {
        self.is_open = true;
        self.knock = None;
    }

    /// Whether a frame is kept back.
    fn keeps(&mut self, frame: &[u8]) -> bool {
        let is_wanted = self.closed.clients || self.closed.pages;
        if !is_wanted || self.knock.is_some() || self.len > 0 {
            return false;
        }
        let Some(room) = self.frame.get_mut(..frame.len()) else { return false };
        let Some(knock) = syn(frame, self.mac) else { return false };
        let closed = match knock.to.port {
            clients::PORT => self.closed.clients,
            pages::PORT => self.closed.pages,
            _ => false,
        };
        if !closed {
            return false;
        }
        room.iter_mut().zip(frame).for_each(|(to, from)| *to = *from);
        self.len = frame.len();
        self.knock = Some(knock);
        true
    }
}

/// Whether a frame says that it comes from no address. Others that ask for an address say so, who are none of ours; a
/// server of DHCP that did would have smoltcp ask there again, and panic.
fn is_from_nowhere(frame: &[u8]) -> bool {
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return false };
    let packet = Ipv4Packet::new_checked(frame.payload());
    frame.ethertype() == EthernetProtocol::Ipv4
        && packet.is_ok_and(|packet| packet.src_addr().is_unspecified())
}

/// Who begins a connection with a frame, if it does so and is whole.
fn syn(frame: &[u8], mac: EthernetAddress) -> Option<Knock> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.dst_addr() != mac || frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let is_whole = !packet.more_frags() && packet.frag_offset() == 0;
    if !is_whole || packet.next_header() != IpProtocol::Tcp || !packet.verify_checksum() {
        return None;
    }
    let (from, to) = (IpAddress::Ipv4(packet.src_addr()), IpAddress::Ipv4(packet.dst_addr()));
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let segment = TcpRepr::parse(&segment, &from, &to, &ChecksumCapabilities::default()).ok()?;
    let is_first = segment.control == TcpControl::Syn && segment.ack_number.is_none();
    let from = IpEndpoint::new(from, segment.src_port);
    is_first.then_some(Knock { from, to: IpEndpoint::new(to, segment.dst_port) })
}

/// A device behind the door.
pub(crate) struct Gate<'d, D: ?Sized> {
    pub(crate) device: &'d mut D,
    pub(crate) door: &'d mut Door,
}

impl<D: Device + ?Sized> Device for Gate<'_, D> {
    type RxToken<'a>
        = Entering<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.door.is_open {
            let sent = self.device.transmit(now)?;
            self.door.is_open = false;
            return Some((Entering { door: self.door, token: None }, sent));
        }
        let (token, sent) = self.device.receive(now)?;
        Some((Entering { door: self.door, token: Some(token) }, sent))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.device.capabilities();
        capabilities.max_transmission_unit = capabilities.max_transmission_unit.min(FRAME);
        capabilities
    }
}

/// A frame that comes in, or the one that was kept back.
pub(crate) struct Entering<'a, T> {
    door: &'a mut Door,
    token: Option<T>,
}

impl<T: RxToken> RxToken for Entering<'_, T> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&[u8]) -> R,
    {
        let Self { door, token } = self;
        match token {
            // An empty frame is nothing to smoltcp.
            Some(token) => token.consume(|frame| {
                let is_kept = is_from_nowhere(frame) || door.keeps(frame);
                f(if is_kept { &[] } else { frame })
            }),
            None => {
                let len = core::mem::take(&mut door.len);
                f(door.frame.get(..len).unwrap_or_default())
            }
        }
    }
}

/// Bytes of the longest frame that begins a connection: all headers with all of TCP's options.
const LONGEST: usize = 14 + 20 + 60;
