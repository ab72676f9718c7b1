//! The sizes, one table, for a chip of 64 KiB. A test holds their sum.

use pmbridge_core::{role::collector::Collector, store::Fixed};

/// Sources: the device itself, and the neighbours that it scrapes.
pub const SOURCES: usize = 4;
/// Metrics of them all.
pub const METRICS: usize = 64;
/// Series of them all, every spelling of a label set counted.
pub const SERIES: usize = 192;
/// Instances that vanished: none, their ids are forgotten.
pub const PAST: usize = 0;
/// Entries of the index: two for each metric and series, a quarter free, and a power of two.
pub const INDEX: usize = 1024;
/// Bytes of names, label sets, help and strings.
pub const TEXT: usize = 8192;
/// PCP clients at once. smoltcp keeps nobody waiting, so one of them is the spare that listens.
pub const CLIENTS: usize = 3;
/// Bytes of the longest request of a client, and of the longest HTTP head of a neighbour.
pub const WINDOW: usize = 1024;
/// Bytes of a socket's receive buffer.
pub const RX: usize = 1024;
/// Bytes of a socket's transmit buffer: twice an Ethernet segment, else each waits for a delayed acknowledgement.
pub const TX: usize = 2920;
/// Bytes of a client's profile.
pub const PROFILE: usize = 256;
/// Contexts of one client.
pub const CONTEXTS: usize = 2;
/// Bytes of the longest line of an exposition.
pub const LINE: usize = 256;

/// The store's memory, for a `static`.
pub type Memory = Fixed<SOURCES, METRICS, SERIES, PAST, INDEX, TEXT>;

/// What answers one PCP client.
pub type Client = Collector<PROFILE, CONTEXTS>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bridge, Target};

    #[test]
    fn it_all_fits_the_chip_beside_its_stack() {
        let sockets = (CLIENTS + 1) * (RX + TX);
        let all = size_of::<Memory>() + size_of::<Bridge>() + size_of::<Target<'_>>() + sockets;
        assert!(all <= 56 * 1024, "{all} bytes");
    }
}
