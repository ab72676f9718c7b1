//! Compressed payloads are undone piece by piece, in memory that is used again for the next.
//!
//! gzip is taken member after member (RFC 1952), deflate with its wrapper (RFC 1950) or, as some servers send it,
//! without. A payload that is damaged or stops in the middle is an error, never a shorter document.

use flate2::{Crc, Decompress, FlushDecompress, Status};
use pmbridge_core::http::Error;

/// What undoes one coding after another.
#[derive(Debug)]
pub(crate) struct Inflate {
    raw: Decompress,
    crc: Crc,
    at: At,
    room: Vec<u8>,
}

/// The place in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the first byte of deflate, which tells whether there is a wrapper.
    Deflate,
    /// In the ten bytes that start a member of gzip.
    Start { seen: u8, flags: u8, later: bool },
    /// In the length of the extra field.
    ExtraLength { seen: u8, len: u16, flags: u8 },
    /// In the extra field.
    Extra { left: u16, flags: u8 },
    /// In the name and the comment, each up to a zero.
    Text { flags: u8 },
    /// In the checksum of the header.
    HeaderSum { left: u8 },
    /// In what is compressed; behind it a gzip trailer, or nothing.
    Data { gzip: bool },
    /// In checksum and length.
    Trailer { seen: u8, value: u64 },
    /// Behind it all. What follows is padding.
    Done,
}

impl Inflate {
    /// Nothing was undone yet.
    pub(crate) fn new() -> Self {
        Self { raw: Decompress::new(false), crc: Crc::new(), at: At::Done, room: vec![0; ROOM] }
    }

    /// A payload of this coding comes next, if it is one that is known.
    pub(crate) fn begin(&mut self, coding: &[u8]) -> Result<(), Error> {
        self.at = if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
            At::Start { seen: 0, flags: 0, later: false }
        } else if coding.eq_ignore_ascii_case(b"deflate") {
            At::Deflate
        } else {
            return Err(Error::Encoding);
        };
        Ok(())
    }

    /// Undoes the next piece, and gives `take` what comes out.
    pub(crate) fn feed(
        &mut self,
        piece: &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut rest = piece;
        loop {
            rest = match (self.at, rest.split_first()) {
                (At::Data { gzip }, _) => match self.data(rest, gzip, take)? {
                    Some(after) => after,
                    None => return Ok(()),
                },
                (At::Done, _) | (_, None) => return Ok(()),
                (At::Deflate, Some((first, _))) => {
                    self.raw.reset(first & 0x0f == 8 && first >> 4 < 8);
                    self.at = At::Data { gzip: false };
                    rest
                }
                (_, Some((byte, after))) => {
                    self.at = self.frame(*byte)?;
                    after
                }
            };
        }
    }

    /// The payload has ended, and should have.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        match self.at {
            At::Done | At::Start { seen: 0, later: true, .. } => Ok(()),
            _ => Err(Error::Truncated),
        }
    }

    /// What is left of the input behind the compressed data; `None` where that goes on in the next piece.
    fn data<'i>(
        &mut self,
        input: &'i [u8],
        gzip: bool,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Option<&'i [u8]>, Error> {
        let mut rest = input;
        loop {
            let (read, written) = (self.raw.total_in(), self.raw.total_out());
            let flush = FlushDecompress::None;
            let status = self.raw.decompress(rest, &mut self.room, flush).map_err(|_| Error::Damaged)?;
            let used = span(read, self.raw.total_in());
            let made = span(written, self.raw.total_out());
            let out = self.room.get(..made).unwrap_or_default();
            if gzip {
                self.crc.update(out);
            }
            take(out)?;
            rest = rest.get(used..).unwrap_or_default();
            if status == Status::StreamEnd {
                self.at = if gzip { At::Trailer { seen: 0, value: 0 } } else { At::Done };
                return Ok(Some(rest));
            }
            // A full room may have left more behind, though all input is used.
            if made < self.room.len() && (rest.is_empty() || (used, made) == (0, 0)) {
                return if rest.is_empty() { Ok(None) } else { Err(Error::Damaged) };
            }
        }
    }

    /// The place behind one byte of what gzip puts around the data.
    fn frame(&mut self, byte: u8) -> Result<At, Error> {
        Ok(match self.at {
            At::Start { seen: 0, later: true, .. } if byte != 0x1f => At::Done,
            At::Start { seen, flags, later } => {
                let flags = if seen == 3 { byte } else { flags };
                let fits = match seen {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    3 => byte & 0xe0 == 0,
                    _ => true,
                };
                if !fits {
                    return Err(Error::Damaged);
                }
                if seen == 9 {
                    let extra = At::ExtraLength { seen: 0, len: 0, flags };
                    if flags & EXTRA == 0 { self.text(flags) } else { extra }
                } else {
                    At::Start { seen: seen.saturating_add(1), flags, later }
                }
            }
            At::ExtraLength { seen: 0, flags, .. } => {
                At::ExtraLength { seen: 1, len: u16::from(byte), flags }
            }
            At::ExtraLength { len, flags, .. } => match len | u16::from(byte) << 8 {
                0 => self.text(flags),
                left => At::Extra { left, flags },
            },
            At::Extra { left: 1, flags } => self.text(flags),
            At::Extra { left, flags } => At::Extra { left: left.saturating_sub(1), flags },
            // The name first: its flag goes, and the comment's is left.
            At::Text { flags } if byte == 0 => {
                self.text(if flags & NAME == 0 { flags & !COMMENT } else { flags & !NAME })
            }
            At::HeaderSum { left: 1 } => self.start(),
            At::HeaderSum { left } => At::HeaderSum { left: left.saturating_sub(1) },
            At::Trailer { seen, value } => {
                let value = value | u64::from(byte) << (u32::from(seen) & 7).saturating_mul(8);
                match seen {
                    7 if value == u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum()) => {
                        At::Start { seen: 0, flags: 0, later: true }
                    }
                    7 => return Err(Error::Damaged),
                    _ => At::Trailer { seen: seen.saturating_add(1), value },
                }
            }
            at => at,
        })
    }

    /// The place behind the extra field, or behind a text.
    fn text(&mut self, flags: u8) -> At {
        if flags & (NAME | COMMENT) != 0 {
            At::Text { flags }
        } else if flags & HEADER_SUM != 0 {
            At::HeaderSum { left: 2 }
        } else {
            self.start()
        }
    }

    fn start(&mut self) -> At {
        self.raw.reset(false);
        self.crc.reset();
        At::Data { gzip: true }
    }
}

fn span(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

const HEADER_SUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
/// What comes out at once.
const ROOM: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder, write::DeflateEncoder, write::GzEncoder, write::ZlibEncoder};

    use super::*;

    fn text() -> Vec<u8> {
        (0..20_000u32).flat_map(|n| format!("metric_{n}{{a=\"b\"}} {}\n", n & 13).into_bytes()).collect()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn undone(inflate: &mut Inflate, coding: &str, bytes: &[u8], size: usize) -> Result<Vec<u8>, Error> {
        let mut out = vec![];
        inflate.begin(coding.as_bytes())?;
        for piece in bytes.chunks(size) {
            inflate.feed(piece, &mut |some| {
                out.extend_from_slice(some);
                Ok(())
            })?;
        }
        inflate.finish()?;
        Ok(out)
    }

    #[test]
    fn every_coding_gives_the_document_back_however_it_is_cut() {
        let text = text();
        let mut zlib = ZlibEncoder::new(vec![], Compression::best());
        zlib.write_all(&text).unwrap();
        let mut raw = DeflateEncoder::new(vec![], Compression::default());
        raw.write_all(&text).unwrap();
        let named = GzBuilder::new().filename("a").comment("b").extra(vec![1; 300]);
        let mut named = named.write(vec![], Compression::none());
        named.write_all(&text).unwrap();
        let half = text.len() / 2;
        let two = [gzip(&text[..half]), gzip(b""), gzip(&text[half..])].concat();
        let padded = [gzip(&text), vec![0; 99]].concat();
        let mut inflate = Inflate::new();
        for (coding, bytes) in [
            ("gzip", gzip(&text)),
            ("X-GZIP", named.finish().unwrap()),
            ("gzip", two),
            ("gzip", padded),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", raw.finish().unwrap()),
        ] {
            for size in [1, 7, 1000, usize::MAX] {
                assert!(undone(&mut inflate, coding, &bytes, size) == Ok(text.clone()), "{coding} {size}");
            }
        }
        assert_eq!(undone(&mut inflate, "gzip", &gzip(b""), 3), Ok(vec![]));
        assert_eq!(inflate.begin(b"br"), Err(Error::Encoding));
        assert_eq!(inflate.begin(b"gzip, gzip"), Err(Error::Encoding));
    }

    #[test]
    fn what_is_cut_or_damaged_is_no_document() {
        let bytes = gzip(b"a 1\nb 2\n");
        let mut inflate = Inflate::new();
        for cut in 0..bytes.len() {
            assert_eq!(undone(&mut inflate, "gzip", &bytes[..cut], 9), Err(Error::Truncated), "{cut}");
        }
        for place in (0..4).chain(bytes.len() - 8..bytes.len()) {
            let mut bad = bytes.clone();
            bad[place] ^= 0xff;
            assert_eq!(undone(&mut inflate, "gzip", &bad, 9), Err(Error::Damaged), "{place}");
        }
        assert_eq!(undone(&mut inflate, "gzip", b"a 1\n", 9), Err(Error::Damaged));
        let noise: Vec<u8> = (0..5000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        assert!(undone(&mut inflate, "deflate", &noise, 100).is_err());
    }

    #[test]
    fn a_taker_who_has_enough_stops_it() {
        let bytes = gzip(&vec![b'x'; 10 << 20]);
        let mut inflate = Inflate::new();
        inflate.begin(b"gzip").unwrap();
        let mut left = 1 << 20;
        let stopped = inflate.feed(&bytes, &mut |some| {
            left = usize::checked_sub(left, some.len()).ok_or(Error::BodyLong)?;
            Ok(())
        });
        assert_eq!(stopped, Err(Error::BodyLong));
    }
}
