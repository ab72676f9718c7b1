//! HTTP/1.1 is a request out, a head back, and a body in between framing that is skipped in place.
//!
//! Only what a scrape needs. [`request`] emits a GET, [`response`] reads the head of the answer, and
//! [`body`] finds the payload in what follows, without copying it. Everything a server sends has a limit.

pub mod body;
pub mod request;
pub mod response;
pub mod server;

use core::fmt;

/// A response that cannot be read. Nothing more of its connection can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// What came is not a response of HTTP/1.
    Head,
    /// The head has more bytes than [`response::MAX_HEAD`].
    HeadLong,
    /// The length of the body is no number, or two different ones.
    Length,
    /// The body is encoded in a way that was not asked for.
    Encoding,
    /// The body is not what its encoding says.
    Damaged,
    /// A chunk has no length, or does not end where it should.
    Chunk,
    /// The line before a chunk, or what follows the last, is longer than it needs to be.
    ChunkLine,
    /// The body has more bytes than the caller allows.
    BodyLong,
    /// The connection ended before the body did.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "response is not HTTP/1",
            Self::HeadLong => "response head is too long",
            Self::Length => "content length is not one number",
            Self::Encoding => "body is encoded in a way that was not asked for",
            Self::Damaged => "compressed body is damaged",
            Self::Chunk => "chunk is malformed",
            Self::ChunkLine => "chunk line or trailer is too long",
            Self::BodyLong => "body is longer than allowed",
            Self::Truncated => "connection ended inside the body",
        })
    }
}

impl core::error::Error for Error {}

/// What a digit in base 16 is worth.
const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a' - 10),
        b'A'..=b'F' => byte.checked_sub(b'A' - 10),
        _ => None,
    }
}
