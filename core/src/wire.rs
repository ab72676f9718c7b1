//! Big-endian words over borrowed bytes: the only byte arithmetic of the crate.
//!
//! A [`Reader`] takes bytes off the front of what it was given and says [`Truncated`] where there
//! are too few. A [`Writer`] never fails: it generates a record, drops the bytes that an earlier
//! window already has, and drops those that this window has no room for. One piece of code
//! therefore counts a record, writes it whole, and goes on with it in the next window; every size
//! of window gives the same bytes.

use core::{cell::Cell, fmt, mem};

/// The bytes ended before the record did. More bytes may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes end inside a record")
    }
}

impl core::error::Error for Truncated {}

/// How many bytes pad a text of `len` bytes to a word.
pub const fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// The bytes of a text of `len` bytes with its padding.
pub const fn padded(len: usize) -> usize {
    len.saturating_add(padding(len))
}

/// A number off the wire as a size in memory.
pub const fn size(word: u32) -> usize {
    word as usize
}

/// A size in memory as a number of the wire; what no length word can say becomes the largest.
#[expect(clippy::cast_possible_truncation, reason = "the bound is tested first")]
pub const fn count(size: usize) -> u32 {
    if size as u64 > u32::MAX as u64 { u32::MAX } else { size as u32 }
}

/// Moves what lies behind the first `n` bytes to the front.
pub fn drop_front(bytes: &mut [u8], n: usize) {
    // Cells, not copy_within: that checks its range and brings a panic into the image.
    let cells = Cell::from_mut(bytes).as_slice_of_cells();
    for (to, from) in cells.iter().zip(cells.get(n..).unwrap_or_default()) {
        to.set(from.get());
    }
}

/// The front of some bytes, taken off word by word.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    #[inline]
    pub const fn take(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        match self.rest.split_at_checked(n) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Truncated),
        }
    }

    #[inline]
    const fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(Truncated),
        }
    }

    /// The next byte.
    pub const fn byte(&mut self) -> Result<u8, Truncated> {
        match self.chunk::<1>() {
            Ok([byte]) => Ok(byte),
            Err(short) => Err(short),
        }
    }

    /// The next two bytes.
    pub const fn half(&mut self) -> Result<u16, Truncated> {
        match self.chunk() {
            Ok(bytes) => Ok(u16::from_be_bytes(bytes)),
            Err(short) => Err(short),
        }
    }

    /// The next word.
    #[inline]
    pub const fn word(&mut self) -> Result<u32, Truncated> {
        match self.chunk() {
            Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
            Err(short) => Err(short),
        }
    }

    /// The next word, signed.
    #[inline]
    pub const fn int(&mut self) -> Result<i32, Truncated> {
        match self.chunk() {
            Ok(bytes) => Ok(i32::from_be_bytes(bytes)),
            Err(short) => Err(short),
        }
    }

    /// The next two words as one number.
    #[inline]
    pub const fn long(&mut self) -> Result<u64, Truncated> {
        match self.chunk() {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(short) => Err(short),
        }
    }

    /// The next two words as one signed number.
    #[inline]
    pub const fn int_long(&mut self) -> Result<i64, Truncated> {
        match self.chunk() {
            Ok(bytes) => Ok(i64::from_be_bytes(bytes)),
            Err(short) => Err(short),
        }
    }

    /// A text of `len` bytes, without the padding that follows it. Padding may be any bytes.
    pub const fn text(&mut self, len: usize) -> Result<&'a [u8], Truncated> {
        let before = self.rest;
        let text = match self.take(len) {
            Ok(text) => text,
            Err(short) => return Err(short),
        };
        match self.take(padding(len)) {
            Ok(_) => Ok(text),
            Err(short) => {
                self.rest = before;
                Err(short)
            }
        }
    }

    /// What was not taken yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was taken.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A window that a record is generated into, from its first byte or from a later one.
///
/// To spread a record over many windows, emit it again for each with `skip` set to the bytes that
/// are already out, until [`is_whole`](Self::is_whole).
#[derive(Debug)]
pub struct Writer<'a> {
    room: &'a mut [u8],
    size: usize,
    skip: usize,
    total: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Writes from the first byte of a record.
    pub const fn new(window: &'a mut [u8]) -> Self {
        Self::resume(window, 0)
    }

    /// Writes a record from byte `skip` on; the bytes before it are generated and dropped.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub const fn resume(window: &'a mut [u8], skip: usize) -> Self {
        Self { size: window.len(), room: window, skip, total: 0, overflowed: false }
    }

    /// Writes nothing and only counts.
    pub const fn counter() -> Self {
        Self { size: 0, room: &mut [], skip: 0, total: 0, overflowed: false }
    }

    /// Adds one word.
    #[inline]
    pub fn word(&mut self, word: u32) {
        self.words([word]);
    }

    /// Adds words.
    #[inline]
    pub fn words<const N: usize>(&mut self, words: [u32; N]) {
        let len = const { 4 * N };
        // One way for all is enough for a chip, whose flash is worth more than its time.
        if usize::BITS < u64::BITS {
            self.words_in_part(&words);
        } else if self.skip == 0
            && len <= self.room.len()
            && let Some((head, room)) = mem::take(&mut self.room).split_at_mut_checked(len)
        {
            let (chunks, _) = head.as_chunks_mut::<4>();
            for (chunk, word) in chunks.iter_mut().zip(words) {
                *chunk = word.to_be_bytes();
            }
            self.room = room;
            self.total = self.total.saturating_add(len);
        } else {
            self.words_in_part(&words);
        }
    }

    #[cold]
    fn words_in_part(&mut self, words: &[u32]) {
        for word in words {
            self.bytes(&word.to_be_bytes());
        }
    }

    /// Adds a number of two words.
    #[inline]
    pub fn long(&mut self, long: u64) {
        let long = long.to_be_bytes();
        let (words, _) = long.as_chunks::<4>();
        if let [high, low] = *words {
            self.words([u32::from_be_bytes(high), u32::from_be_bytes(low)]);
        }
    }

    /// Adds two bytes.
    pub fn half(&mut self, half: u16) {
        self.bytes(&half.to_be_bytes());
    }

    /// Adds bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len());
        let dropped = self.skip.min(bytes.len());
        self.skip = self.skip.saturating_sub(dropped);
        let bytes = bytes.get(dropped..).unwrap_or_default();
        let fitting = self.room.len().min(bytes.len());
        self.overflowed |= fitting < bytes.len();
        if let Some((head, room)) = mem::take(&mut self.room).split_at_mut_checked(fitting) {
            // A zip, not copy_from_slice: that checks lengths and brings a panic into the image.
            for (to, from) in head.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.room = room;
        }
    }

    /// Pads a text of `len` bytes to a word.
    pub fn pad(&mut self, len: usize) {
        self.bytes(b"~~~".get(..padding(len)).unwrap_or_default());
    }

    /// Adds a text and its padding.
    pub fn text(&mut self, text: &[u8]) {
        self.bytes(text);
        self.pad(text.len());
    }

    /// Bytes generated so far, with those that were skipped or found no room.
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Bytes put into the window.
    pub const fn written(&self) -> usize {
        self.size.saturating_sub(self.room.len())
    }

    /// Whether no byte found the window full.
    pub const fn is_whole(&self) -> bool {
        !self.overflowed
    }

    /// Whether the window takes nothing more, so that what is generated from here on is only counted.
    pub const fn is_full(&self) -> bool {
        self.room.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(w: &mut Writer<'_>) {
        w.word(0x0102_0304);
        w.text(b"five!");
        w.words([1, 2, 3]);
        w.long(0x1122_3344_5566_7788);
        w.half(9);
        w.bytes(b"xy");
    }

    #[test]
    fn every_window_gives_the_same_bytes() {
        let mut whole = [0; 64];
        let mut w = Writer::new(&mut whole);
        record(&mut w);
        let len = w.written();
        assert!(w.is_whole());
        assert_eq!(len, w.total());
        let mut counter = Writer::counter();
        record(&mut counter);
        assert_eq!(counter.total(), len);
        for size in 1..64 {
            let (mut out, mut done) = ([0; 64], 0);
            loop {
                let mut w = Writer::resume(&mut out[done..(done + size).min(64)], done);
                record(&mut w);
                assert_eq!(w.total(), len);
                done += w.written();
                if w.is_whole() {
                    break;
                }
                assert_eq!(w.written(), size);
            }
            assert_eq!((done, &out), (len, &whole), "{size}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut bytes = [0; 36];
        record(&mut Writer::new(&mut bytes));
        let mut r = Reader::new(&bytes);
        assert_eq!(r.word(), Ok(0x0102_0304));
        assert_eq!(r.text(5), Ok(&b"five!"[..]));
        assert_eq!((r.int(), r.word(), r.word()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(r.long(), Ok(0x1122_3344_5566_7788));
        assert_eq!(r.half(), Ok(9));
        assert_eq!((r.byte(), r.rest()), (Ok(b'x'), &b"y"[..]));
        assert_eq!(r.word(), Err(Truncated));
        assert_eq!(r.byte(), Ok(b'y'));
        assert!(r.is_empty());
    }

    #[test]
    fn text_without_its_padding_is_truncated() {
        let mut r = Reader::new(b"five!~~");
        assert_eq!(r.text(5), Err(Truncated));
        assert_eq!(r.rest().len(), 7);
        assert_eq!(r.text(usize::MAX), Err(Truncated));
    }
}
