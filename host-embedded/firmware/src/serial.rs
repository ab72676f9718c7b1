//! The board's serial line as a port of embedded-io, which never waits.
//!
//! Bytes that come while the main loop is busy for longer than the line's FIFO lasts are lost: the link repeats them.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::board;

/// The line.
#[derive(Clone, Copy)]
pub struct Serial(&'static board::Serial);

impl Serial {
    /// That of a board.
    pub const fn of(board: &board::Board) -> Self {
        Self(board.serial())
    }
}

impl ErrorType for Serial {
    type Error = Infallible;
}

impl Read for Serial {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, Infallible> {
        let mut n: usize = 0;
        for to in to.iter_mut().take_while(|_| self.0.has_byte()) {
            *to = self.0.take();
            n = n.saturating_add(1);
        }
        Ok(n)
    }
}

impl ReadReady for Serial {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.has_byte())
    }
}

impl Write for Serial {
    fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        let mut n: usize = 0;
        for &byte in from.iter().take_while(|_| self.0.has_room()) {
            self.0.put(byte);
            n = n.saturating_add(1);
        }
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for Serial {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.has_room())
    }
}
