//! The socket on the wall: frames that wait to be taken, on either side.

use std::collections::VecDeque;

use smoltcp::{
    phy::{self, Device, DeviceCapabilities, Medium},
    time::Instant,
};

/// What a [`Port`] has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Frames that its machine took.
    pub received: u64,
    /// Frames that its machine sent.
    pub sent: u64,
    /// Frames that came while there was no room.
    pub overflowed: u64,
}

/// Where one machine meets its cable: smoltcp's device on the one side, two queues on the other.
#[derive(Debug)]
pub struct Port {
    arrived: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
    room: usize,
    waiting: usize,
    /// What went through so far.
    pub work: Work,
}

impl Port {
    /// A port that keeps `room` bytes of frames for its machine, as a controller's memory does, and drops what comes beyond.
    pub const fn new(room: usize) -> Self {
        let work = Work { received: 0, sent: 0, overflowed: 0 };
        Self { arrived: VecDeque::new(), sent: VecDeque::new(), room, waiting: 0, work }
    }

    /// A frame comes off the cable.
    pub fn arrive(&mut self, frame: Vec<u8>) {
        if self.waiting + frame.len() > self.room {
            self.work.overflowed += 1;
            return;
        }
        self.waiting += frame.len();
        self.arrived.push_back(frame);
    }

    /// The next frame that its machine has sent.
    pub fn depart(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front()
    }

    /// Whether frames wait for its machine.
    pub fn is_waiting(&self) -> bool {
        !self.arrived.is_empty()
    }
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.arrived.pop_front()?;
        self.waiting -= frame.len();
        self.work.received += 1;
        Some((Received(frame), Sending { sent: &mut self.sent, work: &mut self.work }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending { sent: &mut self.sent, work: &mut self.work })
    }
}

/// A frame that came.
#[derive(Debug)]
pub struct Received(Vec<u8>);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

/// Leave to send one frame.
#[derive(Debug)]
pub struct Sending<'a> {
    sent: &'a mut VecDeque<Vec<u8>>,
    work: &'a mut Work,
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.sent.push_back(frame);
        self.work.sent += 1;
        result
    }
}

/// The longest frame, without its check sequence.
const MTU: usize = 1514;
