//! A reliable stream of bytes over a serial line, which loses, garbles and doubles bytes, and whose ends reboot.
//!
//! PDUs have no checksum and no number, so a line may not carry them bare. Here they travel in [frames](frame) that are
//! checked, numbered and acknowledged, within a session that ends when either side begins anew. What arrives is what
//! was sent, in order and once, up to where the session ends; what does not arrive was never half believed.
//!
//! One side is the [`Opener`], which opens sessions and asks now and then whether the other is there: the computer. The
//! other is the [`Listener`]: the chip. Neither has a clock, and both are moved by their host:
//!
//! ```text
//! loop {
//!     let got = end.receive(from_line, room, now);       // bytes off the line become those of the stream, or an event
//!     let n = end.send(bytes);                           // bytes of the stream to go
//!     let n = end.transmit(to_line, now);                // bytes for the line
//! }
//! ```
//!
//! # The line
//!
//! 8 data bits, no parity, no flow control that takes bytes away. XON and XOFF are escaped, so that one may be there.
//!
//! # Frames
//!
//! A frame lies between two flags, as in RFC 1662: octet `7e`; within it `7e`, `7d`, `11` and `13` are sent as `7d`
//! and the octet with bit 5 turned around, and `7d` may stand before any octet. Anything that is not a whole frame
//! with the right checksum is nothing. Numbers are big-endian, save the checksum.
//!
//! | octets | what |
//! |---|---|
//! | 1 | the kind, below |
//! | 4 | the session's number or its key |
//! | 2 | the place in the stream of this frame's first payload octet, modulo 65536 |
//! | 2 | the place in the other stream of the octet that is expected next: all before it have come |
//! | 0 to 128 | payload |
//! | 4 | FCS-32 of RFC 1662 over all of the above, its least significant octet first |
//!
//! | kind | from | session | payload |
//! |---|---|---|---|
//! | `11` OPEN | opener | number | none; both places are 0 |
//! | `12` OPENED | listener | number | boot (4 octets), domain (2 octets); both places are 0 |
//! | `13` DOWN | opener | key | of the stream, at least 1 octet; or none, an acknowledgement |
//! | `14` UP | listener | key | the same |
//! | `15` PROBE | opener | key | none; the listener answers with UP |
//! | `16` LOST | listener | key | none; the listener knows no session of this key |
//!
//! Other kinds, and what comes from one's own side of the table, are nothing: an echo does no harm.
//!
//! # Sessions
//!
//! The opener chooses a number that it has not used before (a random one, then one more each time) and sends OPEN
//! until OPENED with that number comes. OPEN with a number that is not the current session's begins a new session at
//! the listener, both places 0; with the current one's, OPENED is said again. The key is the FCS-32 of number and
//! boot (8 octets). Boot is a number that differs between boots as well as the chip can make it; a chip without any
//! says 0, and loses nothing but the notice of a boot that falls between two OPENs. Domain is that of the chip's
//! metrics, so that the other side can translate.
//!
//! The opener begins a new session when a LOST has its key, when OPENED says another boot, when nothing of its session
//! has come for 2 s, and when what it carries is out of step. When nothing came for 1 s it sends PROBE. The listener
//! forgets a session of which nothing came for 5 s, and answers DOWN and PROBE of keys that it does not know with LOST.
//!
//! # Streams
//!
//! A frame with payload is taken if it holds the octet that is expected next, from that octet on, as far as there is
//! room; each one is acknowledged, taken or not. Whatever was not acknowledged for a while ([`Pace`]), or is not by a
//! frame without payload that comes meanwhile, is sent again from there on, however it is cut into frames. The latter
//! is done once, until something is acknowledged. No more than [`Pace`] says is out at a time, less than 32768 octets
//! ever.

pub mod frame;
mod listener;
mod opener;
mod stream;

pub use listener::Listener;
pub use opener::Opener;

use crate::time::Duration;

/// What came off the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "it says all")]
pub struct Received {
    /// Bytes of the line that are no longer needed.
    pub consumed: usize,
    /// Bytes of the stream that were put into the room.
    pub produced: usize,
    /// What happened behind these bytes and before all that follow.
    pub event: Option<Event>,
}

/// What happened to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "a session begins and ends")]
pub enum Event {
    /// A new session: both streams begin. What was not acknowledged in an earlier one is gone.
    Opened {
        /// The domain of the chip's metrics.
        domain: u16,
    },
    /// The session is over.
    Lost,
}

/// How fast a line is, and so how long to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pace {
    /// Bytes that may be out at a time.
    flight: usize,
    /// When to send again what was not acknowledged.
    retry: Duration,
}

impl Pace {
    /// That of a line with so many bits in a second, 10 of them for each byte; of 9600 where it says less.
    ///
    /// About 100 ms of the line's time may be out, a frame at least. Waiting lasts as long as that takes both ways, and
    /// 100 ms more for adapters that gather bytes, and for a chip that has other things to do.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisors are no zeros, and the sum is small")]
    pub const fn of_baud(baud: u32) -> Self {
        let baud = if baud < SLOWEST { SLOWEST as usize } else { baud as usize };
        let most = baud / 100;
        let flight = if most < frame::PAYLOAD {
            frame::PAYLOAD
        } else if most > MOST {
            MOST
        } else {
            most
        };
        // A frame and its escapes are half as long again.
        let bytes = flight.saturating_mul(3).saturating_add(MARGIN);
        let line = bytes.saturating_mul(10_000) / baud;
        Self { flight, retry: Duration::from_millis(line as u64 + 100) }
    }
}

/// Slower lines are treated as this one: what is silent for seconds is given up.
const SLOWEST: u32 = 9600;
/// Bytes that surround what is in flight.
const MARGIN: usize = 128;
/// What may be out on a fast line: well below half of the numbers that places have.
const MOST: usize = 4096;
