//! One role over one TCP socket.
//!
//! A role reads a linear window, which smoltcp's ring is not: what came is moved into one. Answers go straight into the
//! ring, for a role goes on at any byte.

use core::fmt;

use pmbridge_core::{
    role::{Context, Progress, Role},
    store::Storage,
};
use smoltcp::socket::tcp::Socket;

/// Why a conversation is over before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum End<E> {
    /// The role has had enough.
    Role(E),
    /// The peer sent more at once than the window holds.
    TooLong,
}

impl<E: fmt::Display> fmt::Display for End<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(error) => error.fmt(f),
            Self::TooLong => f.write_str("request is longer than the window"),
        }
    }
}

/// A role and its input, `WINDOW` bytes of it at most.
#[derive(Debug)]
pub struct Conn<R, const WINDOW: usize> {
    role: R,
    window: [u8; WINDOW],
    filled: usize,
}

impl<R, const WINDOW: usize> Conn<R, WINDOW> {
    /// Before the first byte.
    pub const fn new(role: R) -> Self {
        Self { role, window: [0; WINDOW], filled: 0 }
    }

    /// The role.
    pub const fn role(&self) -> &R {
        &self.role
    }

    /// The role, to end it.
    pub const fn role_mut(&mut self) -> &mut R {
        &mut self.role
    }

    /// Moves what can be moved; whether anything was.
    ///
    /// # Errors
    ///
    /// The conversation is over; the socket is to be closed.
    pub fn poll<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        socket: &mut Socket<'_>,
    ) -> Result<bool, End<R::Error>>
    where
        R: Role<S>,
    {
        let mut moved = false;
        loop {
            self.fill(socket);
            let input = self.window.get(..self.filled).unwrap_or_default();
            let role = &mut self.role;
            let mut step = |room: &mut [u8]| {
                let stepped = role.step(cx, input, room);
                (stepped.as_ref().map_or(0, |p| p.produced), (stepped, room.is_empty()))
            };
            // A peer that closed its half still gets its answers; one that is gone can only be read.
            let (stepped, is_full) = if socket.may_send() { socket.send(&mut step).ok() } else { None }
                .unwrap_or_else(|| step(&mut []).1);
            let progress = stepped.map_err(End::Role)?;
            self.drop_front(progress.consumed);
            if progress == Progress::NONE {
                let waits = is_full || self.role.is_busy() || self.role.deadline().is_some();
                return if self.filled == WINDOW && !waits { Err(End::TooLong) } else { Ok(moved) };
            }
            moved = true;
        }
    }

    fn fill(&mut self, socket: &mut Socket<'_>) {
        let room = self.window.get_mut(self.filled..).unwrap_or_default();
        // A ring gives what lies before its end, then what lies behind.
        let first = socket.recv_slice(room).unwrap_or(0);
        let second = socket.recv_slice(room.get_mut(first..).unwrap_or_default()).unwrap_or(0);
        self.filled = self.filled.saturating_add(first).saturating_add(second).min(WINDOW);
    }

    fn drop_front(&mut self, consumed: usize) {
        self.window.copy_within(consumed.min(self.filled)..self.filled, 0);
        self.filled = self.filled.saturating_sub(consumed);
    }
}
