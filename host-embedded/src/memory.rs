//! The sizes, one table, and the one value that holds everything.
//!
//! A connection costs its buffers, its window and 336 bytes of smoltcp's socket. The numbers of connections, metrics and
//! series are those of the [`Memory`] that a firmware makes; the sizes of buffers are here, for all.

use core::fmt;

use heapless::Vec;
use pmbridge_core::{
    role::collector::Collector,
    store::{Fixed, Lent, Parts, Storage},
};
use smoltcp::iface::SocketStorage;

use crate::{agent::Inner, clients::Client, neighbour::Lane, pages::Reader, rules::Globs};

/// Bytes of a PCP client's receive buffer. Longer requests come piece by piece.
pub const RX: usize = 512;
/// Bytes of the longest head of a request for a page, or of a neighbour's answer.
pub const HEAD: usize = 1024;
/// Bytes of a transmit buffer. Half of it is the longest segment: where only one is under way, it waits for a delayed
/// acknowledgement. With these every host takes segments, and DHCP's packets fit the frames.
pub const TX: usize = 2 * 536;
/// Bytes of the transmit buffer of who scrapes: a request.
pub const QUESTION: usize = 256;
/// Bytes of the longest line of a neighbour's page that is cut between two segments.
pub const LINE: usize = 256;
/// Bytes of each client's request that are kept for each metric: a fetch of all of them has 4 and a few more, and so have
/// their names until they are looked up. A request for half as many again fits.
pub const REQUEST: usize = 6;
/// Bytes of a client's profile.
pub const PROFILE: usize = 160;
/// Contexts of one client.
pub const CONTEXTS: usize = 2;
/// Frames that are taken in by one [`poll`](crate::Agent::poll). Of each socket, one at most is sent, and one more for
/// each that was taken in.
pub const FRAMES: usize = 4;
/// Bytes of the longest frame that is sent. Neighbours and clients are told to send none that is longer. A driver takes in 14
/// more: the window that smoltcp offers has so many bytes more than a segment, and some fill it whatever they were told.
pub const FRAME: usize = TX / 2 + HEADERS;
/// Ethernet's header, and those of IP and TCP.
const HEADERS: usize = 14 + 20 + 20;

/// What answers one PCP client.
pub(crate) type Role<'m> = Collector<PROFILE, CONTEXTS, &'m mut [u8]>;

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
    pub(crate) sockets: Vec<SocketStorage<'m>, SOCKETS>,
    pub(crate) clients: [Client<'m>; CLIENTS],
    pub(crate) requests: [[[u8; REQUEST]; METRICS]; CLIENTS],
    pub(crate) client_buffers: [Buffers<RX, TX>; CLIENTS],
    pub(crate) pages: [Reader; PAGES],
    pub(crate) page_buffers: [Buffers<HEAD, TX>; PAGES],
    pub(crate) puller_buffers: Buffers<HEAD, QUESTION>,
    pub(crate) lanes: [Lane; SOURCES],
    pub(crate) rules: [Later<Globs>; SOURCES],
    pub(crate) line: [u8; LINE],
    pub(crate) window: [u8; HEAD],
    pub(crate) store: Fixed<SOURCES, METRICS, SERIES, 0, INDEX, TEXT>,
}

/// The memory for 3 PCP clients, 2 readers of pages, and all in all 5 sources (3 of them neighbours), 64 metrics and
/// 256 series with 7.5 KiB of text.
pub type Standard<'m> = Memory<'m, 3, 2, 7, 5, 64, 256, 1024, 7680>;

/// It leaves 4 KiB of 48 for a driver, a serial line and what else a firmware has.
#[cfg(target_os = "none")]
const _: () = assert!(size_of::<Standard<'_>>() <= 44 * 1024, "the standard memory has outgrown its chip");

/// The bytes of one socket.
pub(crate) struct Buffers<const IN: usize, const OUT: usize> {
    pub(crate) rx: [u8; IN],
    pub(crate) tx: [u8; OUT],
}

impl<const IN: usize, const OUT: usize> Buffers<IN, OUT> {
    const EMPTY: Self = Self { rx: [0; IN], tx: [0; OUT] };
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
            sockets: Vec::new(),
            clients: [const { Client::NONE }; CLIENTS],
            requests: [[[0; REQUEST]; METRICS]; CLIENTS],
            client_buffers: [const { Buffers::EMPTY }; CLIENTS],
            pages: [const { Reader::NONE }; PAGES],
            page_buffers: [const { Buffers::EMPTY }; PAGES],
            puller_buffers: Buffers::EMPTY,
            lanes: [const { Lane::NONE }; SOURCES],
            rules: [const { Later::Not }; SOURCES],
            line: [0; LINE],
            window: [0; HEAD],
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
    // What a device says of itself is not a client's to change.
    const STORES: bool = false;
    // Nor does it grow.
    const FORGETS: bool = true;

    fn parts(&mut self) -> Parts<'_> {
        let Parts { sources, metrics, series, past, index, text } = &mut self.0;
        Parts { sources, metrics, series, past, index, text }
    }

    fn lent(&self) -> Lent<'_> {
        let Parts { sources, metrics, series, past, index, text } = &self.0;
        Lent { sources, metrics, series, past, index, text }
    }
}
