//! RESULT and HIGHRES_RESULT: values. All value sets come first, then the blocks they point at.
//!
//! A value of one word stands in its value set; any other lies in a block, found by its offset in
//! words from the start of the PDU. Blocks are never shared and leave no gap. So whoever emits a
//! result goes over its metrics three times: to count, for the sets, and for the blocks.

use super::{Error, Header, Kind, count};
use crate::pcp::{Pmid, Type};
use crate::time::Timestamp;
use crate::wire::{self, Reader, Writer, padded, size};

/// Format of a value set whose words are the values.
pub const IN_SITU: u32 = 0;
/// Format of a value set whose words are offsets of blocks.
pub const BLOCK: u32 = 1;
/// Means the same as [`BLOCK`]; clients send it.
pub const STATIC_BLOCK: u32 = 2;

/// The start of a result; `metrics` value sets follow, then their blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// [`Kind::RESULT`] or [`Kind::HIGHRES_RESULT`].
    pub kind: Kind,
    /// Bytes of the whole PDU.
    pub len: u32,
    /// When the values were collected; from an agent to pmcd, state-change bits as seconds.
    pub time: Timestamp,
    /// How many value sets follow.
    pub metrics: u32,
}

impl Head {
    /// Words before the first value set of a result of this kind.
    pub const fn words(kind: Kind) -> u32 {
        if matches!(kind, Kind::HIGHRES_RESULT) { 8 } else { 6 }
    }

    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let fraction = if self.kind == Kind::HIGHRES_RESULT { self.time.nanos } else { self.time.micros() };
        self.emit_raw(from, i64::from(fraction), w);
    }

    fn emit_raw(&self, from: u32, fraction: i64, w: &mut Writer<'_>) {
        Header { len: self.len, kind: self.kind, from }.emit(w);
        if self.kind == Kind::HIGHRES_RESULT {
            w.word(self.metrics);
            w.long(self.time.secs.cast_unsigned());
            w.long(fraction.cast_unsigned());
        } else {
            w.words([low_word(self.time.secs), low_word(fraction), self.metrics]);
        }
    }
}

/// The start of one metric's values; as many [`Value`]s follow as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ValueSet {
    /// The metric.
    pub pmid: Pmid,
    /// How many values follow, or an error.
    pub count: i32,
    /// How the values are kept; there just where there are values.
    pub format: Option<u32>,
}

impl ValueSet {
    /// Words of a set with this many values, its blocks aside.
    pub const fn words(values: u32) -> u32 {
        if values == 0 { 2 } else { values.saturating_mul(2).saturating_add(3) }
    }

    /// Emits the start of the set.
    #[inline]
    pub fn emit(&self, w: &mut Writer<'_>) {
        match self.format {
            Some(format) => w.words([self.pmid.to_bits(), self.count.cast_unsigned(), format]),
            None => w.words([self.pmid.to_bits(), self.count.cast_unsigned()]),
        }
    }
}

/// One value of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Value {
    /// The instance, or [`IN_NULL`](crate::pcp::IN_NULL) for a singular metric.
    pub inst: i32,
    /// The value, or the offset of its block in words.
    pub word: u32,
}

impl Value {
    /// Emits the value.
    #[inline]
    pub fn emit(&self, w: &mut Writer<'_>) {
        w.words([self.inst.cast_unsigned(), self.word]);
    }
}

/// A value too long for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Block<'a> {
    /// How the bytes are to be read.
    pub kind: Type,
    /// The value. A string ends at its first NUL, or here.
    pub bytes: &'a [u8],
}

impl<'a> Block<'a> {
    /// Emits the block.
    pub fn emit(&self, w: &mut Writer<'_>) {
        Self::emit_head(self.kind, self.bytes.len(), w);
        w.text(self.bytes);
    }

    /// Emits the word before `len` bytes of value, which follow with their padding.
    pub fn emit_head(kind: Type, len: usize, w: &mut Writer<'_>) {
        w.word(block_head(kind, len));
    }

    /// Emits a block of one 64-bit number.
    #[inline]
    pub fn emit_long(kind: Type, bits: u64, w: &mut Writer<'_>) {
        w.words([block_head(kind, 8), low_word((bits >> 32).cast_signed()), low_word(bits.cast_signed())]);
    }

    /// The 64 bits of a number of two words.
    pub fn long(&self) -> Option<u64> {
        <[u8; 8]>::try_from(self.bytes).ok().map(u64::from_be_bytes)
    }

    /// The 32 bits of a number of one word.
    pub fn word(&self) -> Option<u32> {
        <[u8; 4]>::try_from(self.bytes).ok().map(u32::from_be_bytes)
    }

    /// The bytes before the first NUL.
    pub fn text(&self) -> &'a [u8] {
        self.bytes.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn parse(r: &mut Reader<'a>) -> Result<Self, Error> {
        let head = r.word()?;
        let len = size(head & MAX_BLOCK).checked_sub(4).ok_or(Error::Value)?;
        Ok(Self { kind: Type((head >> 24).cast_signed()), bytes: r.text(len)? })
    }
}

/// Longest value that fits a block, in bytes.
pub const MAX_VALUE: usize = 0xff_fffb;

/// Words of a block with a value of `len` bytes.
pub const fn block_words(len: usize) -> u32 {
    wire::count(padded(len) / 4).saturating_add(1)
}

const fn block_head(kind: Type, len: usize) -> u32 {
    (kind.0.cast_unsigned() & 0xff) << 24 | wire::count(len).saturating_add(4) & MAX_BLOCK
}

/// Values of metrics: an answer, or from a client values to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Results<'a> {
    /// [`Kind::RESULT`] or [`Kind::HIGHRES_RESULT`].
    pub kind: Kind,
    /// When they were collected, in seconds; from an agent to pmcd, state-change bits.
    pub seconds: i64,
    /// Micro- or nanoseconds, by the kind. pmcd sends garbage with values to store.
    pub fraction: i64,
    /// How many value sets there are.
    pub metrics: u32,
    sets: &'a [u8],
    blocks: &'a [u8],
    body: &'a [u8],
}

impl<'a> Results<'a> {
    /// Parses the body behind a header of this kind.
    ///
    /// # Errors
    ///
    /// Unknown formats, offsets at no block, or blocks that do not fill what the sets leave.
    pub fn parse(kind: Kind, body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let (seconds, fraction, metrics);
        if kind == Kind::HIGHRES_RESULT {
            metrics = count(&mut r)?;
            (seconds, fraction) = (r.int_long()?, r.int_long()?);
        } else {
            (seconds, fraction) = (i64::from(r.int()?), i64::from(r.int()?));
            metrics = count(&mut r)?;
        }
        let start = r.rest();
        for _ in 0..metrics {
            set(&mut r)?;
        }
        let blocks = r.rest();
        let (sets, _) = start.split_at_checked(start.len().saturating_sub(blocks.len())).unwrap_or_default();
        let this = Self { kind, seconds, fraction, metrics, sets, blocks, body };
        this.check_blocks()?;
        Ok(this)
    }

    /// Blocks fill the end of the body, and those that offsets are at are together as long.
    fn check_blocks(&self) -> Result<(), Error> {
        let mut r = Reader::new(self.blocks);
        while !r.is_empty() {
            Block::parse(&mut r)?;
        }
        let mut told = 0_usize;
        for set in self.iter().filter(|set| !set.is_in_situ()) {
            for value in set.values() {
                let block = self.block(value.word).ok_or(Error::Offset)?;
                told = told.saturating_add(padded(block.bytes.len())).saturating_add(4);
            }
        }
        match told.cmp(&self.blocks.len()) {
            core::cmp::Ordering::Less => Err(Error::Trailing),
            core::cmp::Ordering::Equal => Ok(()),
            core::cmp::Ordering::Greater => Err(Error::Offset),
        }
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(self.body.len()).saturating_add(wire::count(Header::LEN));
        let time = Timestamp { secs: self.seconds, nanos: 0 };
        Head { kind: self.kind, len, time, metrics: self.metrics }.emit_raw(from, self.fraction, w);
        for set in self.iter() {
            set.head.emit(w);
            set.values().for_each(|value| value.emit(w));
        }
        let mut r = Reader::new(self.blocks);
        while let Ok(block) = Block::parse(&mut r) {
            block.emit(w);
        }
    }

    /// When the values were collected.
    pub fn time(&self) -> Timestamp {
        let nanos = u32::try_from(self.fraction).unwrap_or_default();
        let nanos = if self.kind == Kind::HIGHRES_RESULT { nanos } else { nanos.saturating_mul(1000) };
        Timestamp { secs: self.seconds, nanos }
    }

    /// All value sets in order.
    pub fn iter(&self) -> impl Iterator<Item = Values<'a>> + Clone + 'a {
        let mut r = Reader::new(self.sets);
        core::iter::from_fn(move || set(&mut r).ok())
    }

    /// The block at this offset in words, of a value whose set is not in situ.
    #[inline]
    pub fn block(&self, word: u32) -> Option<Block<'a>> {
        let at = size(word).checked_mul(4)?.checked_sub(Header::LEN)?;
        let before = self.body.len().saturating_sub(self.blocks.len());
        let bytes = self.blocks.get(at.checked_sub(before)?..)?;
        Block::parse(&mut Reader::new(bytes)).ok()
    }
}

/// The values of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    /// The metric, the count or error, and the format.
    pub head: ValueSet,
    values: &'a [[u8; VALUE_LEN]],
}

impl<'a> Values<'a> {
    /// Whether the words of the values are the values, and not offsets of blocks.
    pub fn is_in_situ(&self) -> bool {
        self.head.format.is_none_or(|format| format == IN_SITU)
    }

    /// All values in order.
    #[inline]
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value> + Clone + 'a {
        self.values.iter().map(|[a, b, c, d, e, f, g, h]| Value {
            inst: i32::from_be_bytes([*a, *b, *c, *d]),
            word: u32::from_be_bytes([*e, *f, *g, *h]),
        })
    }
}

fn set<'a>(r: &mut Reader<'a>) -> Result<Values<'a>, Error> {
    let (pmid, count) = (Pmid::from_bits(r.word()?), r.int()?);
    let Some(values @ 1..) = u32::try_from(count).ok() else {
        return Ok(Values { head: ValueSet { pmid, count, format: None }, values: &[] });
    };
    let format = r.word()?;
    if format > STATIC_BLOCK {
        return Err(Error::Value);
    }
    let (values, _) = r.take(size(values).saturating_mul(VALUE_LEN))?.as_chunks();
    Ok(Values { head: ValueSet { pmid, count, format: Some(format) }, values })
}

/// What of a number fits the word that the protocol has for it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low word is what is asked for"
)]
const fn low_word(long: i64) -> u32 {
    long as u32
}

const MAX_BLOCK: u32 = 0xff_ffff;
const VALUE_LEN: usize = 8;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "sums of small constants")]
mod tests {
    extern crate std;
    use super::super::tests::{body, emitted, hex};
    use super::*;
    use std::vec::Vec;

    const TIME: Timestamp = Timestamp { secs: 1_700_000_000, nanos: 123_456_000 };

    fn pdu(kind: Kind) -> Vec<u8> {
        let blocks = Head::words(kind) + ValueSet::words(1) + ValueSet::words(0) + ValueSet::words(2);
        let len = 4 * (blocks + block_words(8) + block_words(9));
        emitted(|w| {
            Head { kind, len, time: TIME, metrics: 3 }.emit(0, w);
            ValueSet { pmid: Pmid::from_bits(1), count: 1, format: Some(IN_SITU) }.emit(w);
            Value { inst: -1, word: 42 }.emit(w);
            ValueSet { pmid: Pmid::from_bits(2), count: -12358, format: None }.emit(w);
            ValueSet { pmid: Pmid::from_bits(3), count: 2, format: Some(BLOCK) }.emit(w);
            Value { inst: 0, word: blocks }.emit(w);
            Value { inst: 9, word: blocks + block_words(8) }.emit(w);
            Block::emit_long(Type::U64, u64::MAX - 1, w);
            Block { kind: Type::STRING, bytes: b"longtext\0" }.emit(w);
        })
    }

    #[test]
    fn values_come_back() {
        for kind in [Kind::RESULT, Kind::HIGHRES_RESULT] {
            let pdu = pdu(kind);
            let results = Results::parse(kind, body(&pdu, kind)).unwrap();
            assert_eq!(results.time(), TIME);
            let counts = results.iter().map(|set| set.head.count);
            assert!(counts.eq([1, -12358, 2]));
            let values: Vec<_> = results.iter().last().unwrap().values().collect();
            assert_eq!(results.block(values[0].word).unwrap().long(), Some(u64::MAX - 1));
            assert_eq!(results.block(values[1].word).unwrap().text(), b"longtext");
            assert_eq!(emitted(|w| results.emit(0, w)), pdu);
        }
    }

    #[test]
    fn every_short_body_is_refused() {
        for kind in [Kind::RESULT, Kind::HIGHRES_RESULT] {
            let pdu = pdu(kind);
            for n in 0..pdu.len() - 12 {
                assert!(Results::parse(kind, &pdu[12..12 + n]).is_err(), "{n} bytes");
            }
        }
    }

    #[test]
    fn gaps_and_shared_blocks_are_refused() {
        let good = pdu(Kind::RESULT);
        let mut shared = good[12..].to_vec();
        shared[64..68].copy_from_slice(&good[68..72]);
        assert_eq!(Results::parse(Kind::RESULT, &shared), Err(Error::Trailing));
        let mut outside = good[12..].to_vec();
        outside[67] = 3;
        assert_eq!(Results::parse(Kind::RESULT, &outside), Err(Error::Offset));
        let longer = [&good[12..], &[6, 0, 0, 4]].concat();
        assert_eq!(Results::parse(Kind::RESULT, &longer), Err(Error::Trailing));
    }

    #[test]
    fn an_agent_sends_state_changes_as_seconds() {
        let time = Timestamp { secs: 24, nanos: 0 };
        let pdu = emitted(|w| Head { kind: Kind::RESULT, len: 24, time, metrics: 0 }.emit(0, w));
        let results = Results::parse(Kind::RESULT, body(&pdu, Kind::RESULT)).unwrap();
        assert_eq!((results.seconds, results.fraction), (24, 0));
    }

    #[test]
    fn values_to_store_are_read_whatever_their_time_and_format() {
        // `pmstore` of a number and of a string to pmcd, and of a number from pmcd to a PMDA, with garbage for a time.
        let number = "00007001000000006b03fe9c0000867e000000013f4000000000000100000000ffffffff0000002a";
        let text = "00007001000000006b03fe9d0007370300000001074000200000000100000001ffffffff0000000b\
                    0600000f68656c6c6f2077697265007e";
        let garbage = "0000700100000000e61ff604000000000000000170c000000000000100000000ffffffff00000005";
        for (captured, kind, want) in [(number, None, 42), (text, Some(Type::STRING), 11), (garbage, None, 5)]
        {
            let body = hex(captured.get(16..).unwrap());
            let results = Results::parse(Kind::RESULT, &body).unwrap();
            let set = results.iter().next().unwrap();
            let value = set.values().next().unwrap();
            assert_eq!((results.metrics, value.inst, value.word), (1, -1, want));
            assert_eq!(results.block(value.word).filter(|_| !set.is_in_situ()).map(|b| b.kind), kind);
        }
        // The third format means the same as the second.
        let mut body = hex(text.get(16..).unwrap());
        body[23] = 2;
        let results = Results::parse(Kind::RESULT, &body).unwrap();
        assert_eq!(results.block(11).unwrap().text(), b"hello wire");
    }
}
