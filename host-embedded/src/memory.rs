//! The sizes, one table, and the one value that holds everything.
//!
//! A connection costs its buffers, its window and 336 bytes of smoltcp's socket. The numbers of connections, metrics and
//! series are those of the [`Memory`] that a firmware makes; the sizes of buffers are here, for all.

use core::fmt;

use pmbridge_core::{
    role::collector::Collector,
    store::{Fixed, Lent, Parts, Storage},
};
use smoltcp::iface::SocketStorage;

use crate::{agent::Inner, clients::Client, pages::Reader};

/// Bytes of a PCP client's window: what a request may take up at once. Longer ones come piece by piece.
pub const WINDOW: usize = 1024;
/// Bytes of the head of a request for a page.
pub const HEAD: usize = 768;
/// Bytes of a socket's receive buffer.
pub const RX: usize = 1024;
/// Bytes of a transmit buffer: more than an Ethernet segment, else each waits for a delayed acknowledgement.
pub const TX: usize = 2048;
/// Bytes of a client's profile.
pub const PROFILE: usize = 256;
/// Contexts of one client.
pub const CONTEXTS: usize = 2;

/// What answers one PCP client.
pub(crate) type Role = Collector<PROFILE, CONTEXTS>;

/// All that an agent needs, for a `static`.
///
/// All bits of a new one are zero, so that it costs no flash. `SOCKETS` is `CLIENTS + PAGES + 2`: one more for who is
/// scraped, and one for DHCP. `INDEX` is a power of two, and holds two entries for each metric and series three
/// quarters full.
pub struct Memory<
    'm,
    const CLIENTS: usize,
    const PAGES: usize,
    const SOCKETS: usize,
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const INDEX: usize,
    const TEXT: usize,
> {
    pub(crate) inner: Later<Inner<'m>>,
    pub(crate) sockets: Later<[SocketStorage<'m>; SOCKETS]>,
    pub(crate) clients: [Client; CLIENTS],
    pub(crate) client_buffers: [Buffers; CLIENTS],
    pub(crate) pages: [Reader; PAGES],
    pub(crate) page_buffers: [Buffers; PAGES],
    pub(crate) store: Fixed<SOURCES, METRICS, SERIES, 0, INDEX, TEXT>,
}

/// The memory for 3 PCP clients, 2 readers of pages, and all in all 7 sources, 96 metrics and 256
/// series with 8 KiB of text.
pub type Standard<'m> = Memory<'m, 3, 2, 7, 7, 96, 256, 1024, 8192>;

/// The bytes of one socket.
pub(crate) struct Buffers {
    pub(crate) rx: [u8; RX],
    pub(crate) tx: [u8; TX],
}

impl Buffers {
    const EMPTY: Self = Self { rx: [0; RX], tx: [0; TX] };
}

impl<
    const CLIENTS: usize,
    const PAGES: usize,
    const SOCKETS: usize,
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const INDEX: usize,
    const TEXT: usize,
> Memory<'_, CLIENTS, PAGES, SOCKETS, SOURCES, METRICS, SERIES, INDEX, TEXT>
{
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "it belongs into a static, and on no stack")]
    pub const fn new() -> Self {
        const { assert!(SOCKETS == CLIENTS + PAGES + 2, "two sockets more than connections") };
        const { assert!((METRICS + SERIES) * 8 <= INDEX * 3, "two entries for each metric and series, 3/4 full") };
        Self {
            inner: Later::Not,
            sockets: Later::Not,
            clients: [const { Client::NONE }; CLIENTS],
            client_buffers: [const { Buffers::EMPTY }; CLIENTS],
            pages: [const { Reader::NONE }; PAGES],
            page_buffers: [const { Buffers::EMPTY }; PAGES],
            store: Fixed::new(),
        }
    }
}

/// What is made in its place, once or again and again. Unlike in an `Option`, not made is all bits zero.
#[repr(u8)]
pub(crate) enum Later<T> {
    /// Not made.
    Not = 0,
    /// Made.
    Made(T) = 1,
}

impl<T> Later<T> {
    /// Makes it, or what takes its place.
    pub(crate) fn make(&mut self, made: T) {
        *self = Self::Made(made);
    }

    /// What is made.
    pub(crate) const fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Made(made) => Some(made),
            Self::Not => None,
        }
    }

    /// What is made.
    pub(crate) const fn as_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Made(made) => Some(made),
            Self::Not => None,
        }
    }

    /// Unmakes it.
    pub(crate) fn clear(&mut self) {
        *self = Self::Not;
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.as_ref().is_some() { "Made" } else { "Not" })
    }
}

/// The store's memory, of whatever size.
#[derive(Debug)]
pub struct Slices<'m>(pub(crate) Parts<'m>);

impl Storage for Slices<'_> {
    fn parts(&mut self) -> Parts<'_> {
        let Parts { sources, metrics, series, past, index, text } = &mut self.0;
        Parts { sources, metrics, series, past, index, text }
    }

    fn lent(&self) -> Lent<'_> {
        let Parts { sources, metrics, series, past, index, text } = &self.0;
        Lent { sources, metrics, series, past, index, text }
    }
}
