//! The board's Ethernet as a device of smoltcp: one frame in, one frame out, and how many there were.

use smoltcp::{
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

use pmbridge_embedded::memory;

use crate::board::Board;

/// Bytes of the longest frame that comes. smoltcp offers a window as long as a frame without the headers of IP and TCP, and
/// some peers fill it, whatever they were told of segments.
pub const LONGEST: usize = memory::FRAME + 14;

/// The port and room for a frame each way, without its CRC. Those that come and are longer are lost.
pub struct Port {
    board: Board,
    received: &'static mut [u8],
    to_send: &'static mut [u8],
    counts: Counts,
}

/// Frames, counted from the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Those that came and were whole.
    pub came: u32,
    /// Those that went.
    pub went: u32,
    /// Those that came damaged or too long.
    pub lost: u32,
}

impl Port {
    /// A port that has these two rooms.
    pub fn new(board: Board, received: &'static mut [u8], to_send: &'static mut [u8]) -> Self {
        Self { board, received, to_send, counts: Counts::default() }
    }

    /// What there was of frames.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The board, to sleep.
    pub const fn board(&mut self) -> &mut Board {
        &mut self.board
    }
}

impl Device for Port {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Room<'_>)> {
        // A frame may have to be answered at once.
        if !self.board.may_send() {
            return None;
        }
        if !self.board.has_frame() {
            return None;
        }
        let length = self.board.receive(self.received);
        // A frame that is lost is an empty one: whoever takes a few frames at a time takes no more of these either.
        let count = if length > 0 { &mut self.counts.came } else { &mut self.counts.lost };
        *count = count.wrapping_add(1);
        let frame = self.received.get(..length).unwrap_or_default();
        let room = Room { board: &mut self.board, frame: self.to_send, went: &mut self.counts.went };
        Some((Received(frame), room))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Room<'_>> {
        self.board.may_send().then_some(Room {
            board: &mut self.board,
            frame: self.to_send,
            went: &mut self.counts.went,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.to_send.len();
        capabilities.max_burst_size = Some(1);
        capabilities
    }
}

/// A frame that came.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame that goes.
pub struct Room<'a> {
    board: &'a mut Board,
    frame: &'a mut [u8],
    went: &'a mut u32,
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // smoltcp asks for no more than the capabilities say.
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        let result = f(frame);
        self.board.send(frame);
        *self.went = self.went.wrapping_add(1);
        result
    }
}
