//! The payload of a body lies in the window where it came; what frames it is told apart and skipped.
//!
//! A [`Body`] keeps its place between any two bytes, so every split of the input gives the same payload.

use super::{Error, hex};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The front of some input, as the body has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Piece {
    /// Bytes of framing, to be dropped.
    pub skip: usize,
    /// Bytes of payload behind them.
    pub data: usize,
    /// Whether the body ends there. What follows belongs to the next response.
    pub done: bool,
}

/// A body being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Body {
    at: At,
    left: u64,
}

/// The place in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    /// In payload without chunks, of which so many bytes come.
    Plain(u64),
    /// In payload that the connection ends.
    Open,
    /// In the length of a chunk, with what was read of it.
    Size { size: Option<u64>, line: u16 },
    /// In what may follow the length.
    Extension { size: u64, line: u16 },
    /// Before the LF of the line with the length.
    SizeEnd(u64),
    /// In the payload of a chunk.
    Chunk(u64),
    /// Before the CR behind a chunk.
    ChunkCr,
    /// Before the LF behind a chunk.
    ChunkLf,
    /// At the start of a line behind the last chunk.
    Trailer { seen: u16 },
    /// In such a line.
    TrailerLine { seen: u16 },
    /// Before the LF that ends the body.
    LastLf,
    /// Behind it all.
    Done,
}

impl Body {
    /// A body framed so, of at most `limit` bytes of payload.
    pub const fn new(framing: Framing, limit: u64) -> Self {
        let at = match framing {
            Framing::None | Framing::Length(0) => At::Done,
            Framing::Length(len) => At::Plain(len),
            Framing::Chunked => At::Size { size: None, line: 0 },
            Framing::UntilClose => At::Open,
        };
        Self { at, left: limit }
    }

    /// Finds the next payload in `input`, and counts framing and payload as taken. To be called again with what is
    /// behind them, until [done](Piece::done) or nothing is left.
    pub fn step(&mut self, input: &[u8]) -> Result<Piece, Error> {
        let mut skip = 0usize;
        for byte in input {
            if matches!(self.at, At::Plain(_) | At::Open | At::Chunk(_) | At::Done) {
                break;
            }
            self.at = self.at.after(*byte)?;
            skip = skip.saturating_add(1);
        }
        let here = input.len().saturating_sub(skip);
        let data = match self.at {
            At::Plain(len) | At::Chunk(len) => {
                // A length that is too much is told before the payload comes.
                if len > self.left {
                    return Err(Error::BodyLong);
                }
                usize::try_from(len).map_or(here, |len| len.min(here))
            }
            At::Open => here,
            _ => 0,
        };
        let taken = u64::try_from(data).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(taken).ok_or(Error::BodyLong)?;
        self.at = match self.at {
            At::Plain(len) if len == taken => At::Done,
            At::Plain(len) => At::Plain(len.saturating_sub(taken)),
            At::Chunk(len) if len == taken => At::ChunkCr,
            At::Chunk(len) => At::Chunk(len.saturating_sub(taken)),
            at => at,
        };
        Ok(Piece { skip, data, done: self.is_done() })
    }

    /// The connection ended: right for a body that is done or ends with it, wrong for any other.
    pub fn end(&mut self) -> Result<(), Error> {
        match self.at {
            At::Open | At::Done => {
                self.at = At::Done;
                Ok(())
            }
            _ => Err(Error::Truncated),
        }
    }

    /// Whether the whole body was taken.
    pub const fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }
}

impl At {
    /// The place behind one byte of framing. RFC 9112, section 7.1.
    fn after(self, byte: u8) -> Result<Self, Error> {
        Ok(match (self, byte) {
            (Self::Size { size, line }, _) if let Some(digit) = hex(byte) => {
                let size = size.unwrap_or_default().checked_mul(16).ok_or(Error::Chunk)?;
                Self::Size { size: Some(size | u64::from(digit)), line: longer(line, MAX_LINE)? }
            }
            (Self::Size { size: Some(size), .. } | Self::Extension { size, .. }, b'\r') => {
                Self::SizeEnd(size)
            }
            (Self::Size { size: Some(size), line }, b';' | b' ' | b'\t') => {
                Self::Extension { size, line: longer(line, MAX_LINE)? }
            }
            (Self::Extension { size, line }, _) if byte != b'\n' => {
                Self::Extension { size, line: longer(line, MAX_LINE)? }
            }
            (Self::SizeEnd(0), b'\n') => Self::Trailer { seen: 0 },
            (Self::SizeEnd(size), b'\n') => Self::Chunk(size),
            (Self::ChunkCr, b'\r') => Self::ChunkLf,
            (Self::ChunkLf, b'\n') => Self::Size { size: None, line: 0 },
            (Self::Trailer { .. }, b'\r') => Self::LastLf,
            (Self::TrailerLine { seen }, b'\n') => Self::Trailer { seen: longer(seen, MAX_TRAILER)? },
            (Self::Trailer { seen } | Self::TrailerLine { seen }, _) => {
                Self::TrailerLine { seen: longer(seen, MAX_TRAILER)? }
            }
            (Self::LastLf, b'\n') => Self::Done,
            _ => return Err(Error::Chunk),
        })
    }
}

fn longer(line: u16, limit: u16) -> Result<u16, Error> {
    line.checked_add(1).filter(|line| *line <= limit).ok_or(Error::ChunkLine)
}

/// The bytes that a line before a chunk may have.
const MAX_LINE: u16 = 1024;

/// The bytes that may follow the last chunk.
const MAX_TRAILER: u16 = 8192;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String, vec::Vec};

    const CHUNKED: &str =
        "5\r\nhello\r\n1;a=\"b\"\r\n,\r\n00B \r\n 0123\r\n\r\n..\r\n0\r\nX: y\r\nZ: \r\n\r\n";
    const PAYLOAD: &str = "hello, 0123\r\n\r\n..";

    /// The payload, and the bytes that were left, when the input comes in windows of `size`.
    fn received(mut body: Body, mut input: &[u8], size: usize) -> Result<(String, usize), Error> {
        let mut out = Vec::new();
        while !input.is_empty() && !body.is_done() {
            let piece = body.step(&input[..size.min(input.len())])?;
            assert!(piece.skip > 0 || piece.data > 0 || piece.done, "no progress");
            assert_eq!(piece.done, body.is_done());
            let (data, rest) = input[piece.skip..].split_at(piece.data);
            out.extend_from_slice(data);
            input = rest;
        }
        body.end()?;
        Ok((String::from_utf8(out).unwrap(), input.len()))
    }

    #[test]
    fn every_window_gives_the_same_payload() {
        for size in 1..80 {
            for (framing, input, payload, left) in [
                (Framing::Chunked, CHUNKED, PAYLOAD, 0),
                (Framing::Chunked, "0\r\n\r\nHTTP", "", 4),
                (Framing::Length(5), "helloHTTP", "hello", 4),
                (Framing::Length(0), "HTTP", "", 4),
                (Framing::None, "HTTP", "", 4),
                (Framing::UntilClose, "hello\r\n", "hello\r\n", 0),
            ] {
                let body = Body::new(framing, 18);
                assert_eq!(
                    received(body, input.as_bytes(), size),
                    Ok((payload.into(), left)),
                    "{size} {input:?}"
                );
            }
        }
    }

    #[test]
    fn every_body_cut_short_is_truncated() {
        for cut in 0..CHUNKED.len() {
            let got = received(Body::new(Framing::Chunked, 99), &CHUNKED.as_bytes()[..cut], 7);
            assert_eq!(got, Err(Error::Truncated), "{cut}");
        }
        assert_eq!(received(Body::new(Framing::Length(5), 99), b"hell", 7), Err(Error::Truncated));
        assert_eq!(received(Body::new(Framing::UntilClose, 99), b"hell", 7), Ok(("hell".into(), 0)));
    }

    #[test]
    fn bad_framing_is_refused() {
        let long = format!("1;{}\r\n", "x".repeat(2000));
        let trailer = format!("0\r\n{}", "A: b\r\n".repeat(2000));
        for (input, want) in [
            ("\r\n", Error::Chunk),
            ("x\r\n", Error::Chunk),
            (";\r\n", Error::Chunk),
            ("-1\r\n", Error::Chunk),
            ("1\n", Error::Chunk),
            ("1\rx", Error::Chunk),
            ("1 \n", Error::Chunk),
            ("1\r\nab", Error::Chunk),
            ("1\r\na\rb", Error::Chunk),
            ("1\r\na\n", Error::Chunk),
            ("0\r\n\rx", Error::Chunk),
            ("10000000000000000\r\n", Error::Chunk),
            ("ffffffffffffffff\r\n", Error::BodyLong),
            (&*long, Error::ChunkLine),
            (&*trailer, Error::ChunkLine),
        ] {
            for size in [1, 9999] {
                let got = received(Body::new(Framing::Chunked, 99), input.as_bytes(), size);
                assert_eq!(got, Err(want), "{size} {input:?}");
            }
        }
    }

    #[test]
    fn payload_has_a_limit_however_it_is_framed() {
        for (framing, input) in [
            (Framing::Length(6), "hello!"),
            (Framing::UntilClose, "hello!"),
            (Framing::Chunked, "3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n"),
        ] {
            for size in 1..9 {
                let got = |limit| received(Body::new(framing, limit), input.as_bytes(), size);
                assert_eq!(got(6), Ok(("hello!".into(), 0)));
                assert_eq!(got(5), Err(Error::BodyLong));
            }
        }
    }
}
