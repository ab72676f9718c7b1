//! The board's Ethernet as a device of smoltcp: one frame in, one frame out, and how many there were.

use smoltcp::{
    phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken},
    time::Instant,
};

use crate::{board::Board, counts};

/// Bytes of the longest frame, without its CRC.
pub(crate) const FRAME: usize = 1514;

/// The port and room for a frame each way.
pub(crate) struct Port {
    board: Board,
    received: &'static mut [u8; FRAME],
    to_send: &'static mut [u8; FRAME],
}

impl Port {
    /// A port that has these two rooms.
    pub(crate) const fn new(board: Board, [received, to_send]: &'static mut [[u8; FRAME]; 2]) -> Self {
        Self { board, received, to_send }
    }

    /// The board, to sleep.
    pub(crate) const fn board(&mut self) -> &mut Board {
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
        while self.board.has_frame() {
            let length = self.board.receive(self.received);
            if length > 0 {
                counts::FRAMES_IN.add(1);
                let frame = self.received.get(..length).unwrap_or_default();
                return Some((Received(frame), Room { board: &mut self.board, frame: self.to_send }));
            }
            counts::LOST.add(1);
        }
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Room<'_>> {
        self.board.may_send().then_some(Room { board: &mut self.board, frame: self.to_send })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }
}

/// A frame that came.
pub(crate) struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame that goes.
pub(crate) struct Room<'a> {
    board: &'a mut Board,
    frame: &'a mut [u8; FRAME],
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // smoltcp asks for no more than the capabilities say.
        let frame = self.frame.get_mut(..length).unwrap_or_default();
        let result = f(frame);
        self.board.send(frame);
        counts::FRAMES_OUT.add(1);
        result
    }
}
