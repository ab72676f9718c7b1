//! An open-addressing hash index whose entries name records in eight ways.
//!
//! An entry is a slot and the [`Key`] under which it was entered, in one word; 0 is free, and [`GONE`] was taken out.

use super::record::{Slot, Word};

/// Under which of its properties a slot was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Key {
    /// A series, by its bytes as sent.
    Raw = 0,
    /// A series, by its metric and instance name.
    Identity = 1,
    /// A metric, by its name.
    Name = 2,
    /// A metric, by its PMID.
    Pmid = 3,
    /// An instance that vanished, by its metric and name.
    Past = 4,
    /// A metric, by its source and the name that its samples have.
    Sent = 5,
    /// A metric, by the name of its family.
    Family = 6,
    /// A series, by the label set that it shares with others.
    Group = 7,
}

/// An entry that was taken out: what lies behind it is still looked for.
const GONE: Word = Word::MAX;
/// The bits of a key.
const KEY: Word = 7;

const fn entry_of(key: Key, slot: Slot) -> Word {
    slot.word() << 3 | key as Word
}

/// The slot entered under `key` and `hash` that `is` the one looked for.
#[inline]
pub(crate) fn find(index: &[Word], key: Key, hash: u32, mut is: impl FnMut(Slot) -> bool) -> Option<Slot> {
    find_dyn(index, key, hash, &mut is)
}

/// One function for all that is looked for, where size counts.
fn find_dyn(index: &[Word], key: Key, hash: u32, is: &mut dyn FnMut(Slot) -> bool) -> Option<Slot> {
    let mask = index.len().checked_sub(1)?;
    let mut at = usize::try_from(hash).ok()? & mask;
    for _ in 0..=mask {
        let entry = *index.get(at)?;
        if entry == 0 {
            return None;
        }
        let slot = Slot::of_word(entry >> 3);
        if entry & KEY == key as Word && is(slot) {
            return Some(slot);
        }
        at = at.wrapping_add(1) & mask;
    }
    None
}

/// Enters `slot` under `key` and `hash`; how many free entries that took, or `None` where there is none.
pub(crate) fn enter(index: &mut [Word], key: Key, hash: u32, slot: Slot) -> Option<usize> {
    let mask = index.len().checked_sub(1)?;
    let mut at = usize::try_from(hash).unwrap_or(0) & mask;
    for _ in 0..=mask {
        let entry = index.get_mut(at)?;
        if *entry == 0 || *entry == GONE {
            let taken = usize::from(*entry == 0);
            *entry = entry_of(key, slot);
            return Some(taken);
        }
        at = at.wrapping_add(1) & mask;
    }
    None
}

/// Takes out what was entered as this; whether it was there.
pub(crate) fn remove(index: &mut [Word], key: Key, hash: u32, slot: Slot) -> bool {
    let Some(mask) = index.len().checked_sub(1) else { return false };
    let mut at = usize::try_from(hash).unwrap_or(0) & mask;
    for _ in 0..=mask {
        match index.get_mut(at) {
            Some(entry) if *entry == entry_of(key, slot) => {
                *entry = GONE;
                return true;
            }
            Some(entry) if *entry != 0 => at = at.wrapping_add(1) & mask,
            _ => return false,
        }
    }
    false
}

/// A hash of `bytes`, eight at a time, for tables whose `seed` an attacker does not know.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u32 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut h = seed ^ (bytes.len() as u64).wrapping_mul(K);
    for word in words {
        h = fold(h ^ u64::from_le_bytes(*word));
    }
    let last = tail.iter().fold(0u64, |w, &b| w << 8 | u64::from(b));
    finish(h, last)
}

/// The hash of the bytes of both, one after the other.
pub(crate) fn hash_of_two(seed: u64, first: &[u8], second: &[u8]) -> u32 {
    let len = first.len().saturating_add(second.len());
    let mut h = seed ^ (len as u64).wrapping_mul(K);
    let (mut word, mut held) = ([0u8; 8], 0usize);
    for &byte in first.iter().chain(second) {
        if let Some(place) = word.get_mut(held) {
            *place = byte;
        }
        held = held.saturating_add(1);
        if held == word.len() {
            h = fold(h ^ u64::from_le_bytes(word));
            held = 0;
        }
    }
    let last = word.iter().take(held).fold(0u64, |w, &b| w << 8 | u64::from(b));
    finish(h, last)
}

fn finish(h: u64, last: u64) -> u32 {
    let h = fold(h ^ last);
    #[expect(clippy::cast_possible_truncation, reason = "the better half of the hash")]
    let word = (h >> 32) as u32 ^ h as u32;
    word
}

/// A hash of a PMID's bits, or of another hash with something added.
pub(crate) fn hash_word(seed: u64, word: u64) -> u32 {
    hash(seed, &word.to_le_bytes())
}

#[cfg_attr(target_pointer_width = "32", inline(never))]
fn fold(word: u64) -> u64 {
    let wide = u128::from(word).wrapping_mul(u128::from(K));
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let (low, high) = (wide as u64, (wide >> 64) as u64);
    low ^ high
}

/// Odd, with its bits well mixed: the fraction of the golden ratio.
const K: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_is_found_and_nothing_else() {
        let mut index = [0; 8];
        for i in 0..8 {
            assert_eq!(enter(&mut index, Key::Name, 3, Slot::of(i)), Some(1));
        }
        assert_eq!(enter(&mut index, Key::Name, 3, Slot::of(8)), None);
        for i in 0..8 {
            assert_eq!(find(&index, Key::Name, 3, |s| s == Slot::of(i)), Some(Slot::of(i)));
        }
        assert_eq!(find(&index, Key::Raw, 3, |_| true), None);
        assert_eq!(find(&[], Key::Raw, 3, |_| true), None);
    }

    #[test]
    fn what_was_taken_out_is_not_found_and_hides_nothing() {
        let mut index = [0; 8];
        for i in 0..3 {
            enter(&mut index, Key::Raw, 3, Slot::of(i));
        }
        remove(&mut index, Key::Raw, 3, Slot::of(1));
        remove(&mut index, Key::Raw, 3, Slot::of(7));
        assert_eq!(find(&index, Key::Raw, 3, |s| s == Slot::of(1)), None);
        assert_eq!(find(&index, Key::Raw, 3, |s| s == Slot::of(2)), Some(Slot::of(2)));
        assert_eq!(enter(&mut index, Key::Raw, 3, Slot::of(4)), Some(0));
    }

    #[test]
    fn length_and_every_byte_count() {
        assert_ne!(hash(1, b"\0"), hash(1, b"\0\0"));
        assert_ne!(hash(1, b"abcdefgh1"), hash(1, b"abcdefgh2"));
        assert_ne!(hash(1, b"abc"), hash(2, b"abc"));
        for at in 0..=19 {
            let (first, second) = b"a_name_in_two_parts".split_at(at);
            assert_eq!(hash_of_two(3, first, second), hash(3, b"a_name_in_two_parts"));
        }
    }
}
