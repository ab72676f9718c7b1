//! PROFILE: which instances the fetches after it want.
//!
//! A profile holds until the next one of the same context. [`Stored`] keeps a copy of one in
//! fixed memory, without the entries that say what holds anyway: some clients name each domain.

use super::{Error, Header, Kind, count};
use crate::pcp::InDom;
use crate::wire::{self, Reader, Writer, size};

/// Which instances are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Profile<'a> {
    /// The client's context.
    pub context: i32,
    /// What holds for domains not named: all instances are wanted unless this excludes them.
    pub state: State,
    entries: &'a [[u8; ENTRY_LEN]],
    insts: &'a [[u8; 4]],
}

/// What holds for instances that are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// They are wanted; listed ones are not.
    Include,
    /// They are not wanted; listed ones are.
    Exclude,
}

impl State {
    const fn from_word(word: u32) -> Result<Self, Error> {
        match word {
            0 => Ok(Self::Include),
            1 => Ok(Self::Exclude),
            _ => Err(Error::Value),
        }
    }

    const fn word(self) -> u32 {
        match self {
            Self::Include => 0,
            Self::Exclude => 1,
        }
    }
}

impl<'a> Profile<'a> {
    /// Wants all instances of all domains.
    pub const ALL: Self = Self { context: 0, state: State::Include, entries: &[], insts: &[] };

    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// Unknown states, or a body of another length than the lists need.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let context = r.int()?;
        let state = State::from_word(r.word()?)?;
        let entries = count(&mut r)?;
        r.word()?;
        let (entries, _) = r.take(size(entries).saturating_mul(ENTRY_LEN))?.as_chunks();
        let mut listed = 0_usize;
        for entry in entries {
            let entry = Entry::parse(entry)?;
            listed = listed.saturating_add(size(entry.listed));
        }
        let insts = super::records(&r, wire::count(listed))?;
        Ok(Self { context, state, entries, insts })
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let lists = self.entries.as_flattened().len().saturating_add(self.insts.as_flattened().len());
        Header { len: wire::count(lists).saturating_add(28), kind: Kind::PROFILE, from }.emit(w);
        let count = wire::count(self.entries.len());
        w.words([self.context.cast_unsigned(), self.state.word(), count, 0]);
        for entry in self.entries.iter().flat_map(Entry::parse) {
            w.words([entry.indom.to_bits(), entry.state.word(), entry.listed, 0]);
        }
        w.bytes(self.insts.as_flattened());
    }

    /// What is wanted of one domain. Look it up once, then ask it about many instances.
    pub fn selection(&self, indom: InDom) -> Selection<'a> {
        let mut from = 0_usize;
        if indom != InDom::NULL {
            for entry in self.entries.iter().flat_map(Entry::parse) {
                let to = from.saturating_add(size(entry.listed));
                if entry.indom == indom {
                    let insts = self.insts.get(from..to).unwrap_or_default();
                    return Selection { state: entry.state, insts };
                }
                from = to;
            }
        }
        let state = if indom == InDom::NULL { State::Include } else { self.state };
        Selection { state, insts: &[] }
    }

    /// Whether this instance is wanted.
    pub fn includes(&self, indom: InDom, inst: i32) -> bool {
        self.selection(indom).includes(inst)
    }

    /// Whether any instance of the domain may be unwanted.
    pub fn restricts(&self, indom: InDom) -> bool {
        !self.selection(indom).is_all()
    }
}

/// What is wanted of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Selection<'a> {
    state: State,
    insts: &'a [[u8; 4]],
}

impl Selection<'_> {
    /// Whether every instance is wanted.
    pub const fn is_all(&self) -> bool {
        matches!(self.state, State::Include) && self.insts.is_empty()
    }

    /// Whether this instance is wanted.
    pub fn includes(&self, inst: i32) -> bool {
        self.insts.contains(&inst.to_be_bytes()) == (self.state == State::Exclude)
    }
}

struct Entry {
    indom: InDom,
    state: State,
    listed: u32,
}

impl Entry {
    fn parse(bytes: &[u8; ENTRY_LEN]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        Ok(Self {
            indom: InDom::from_bits(r.word()?),
            state: State::from_word(r.word()?)?,
            listed: count(&mut r)?,
        })
    }
}

/// A copy of the last profile, of at most `N` bytes: what says nothing needs room only while it is looked at.
#[derive(Debug, Clone)]
pub struct Stored<const N: usize> {
    bytes: [u8; N],
    len: usize,
    is_lost: bool,
}

impl<const N: usize> Stored<N> {
    /// Wants everything until [`set`](Self::set).
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0, is_lost: false }
    }

    /// Keeps this body in the place of the last.
    ///
    /// # Errors
    ///
    /// What [`Profile::parse`] refuses: then the last profile stays. A body that does not fit: then it is
    /// [lost](Self::lose).
    pub fn set(&mut self, body: &[u8]) -> Result<(), Error> {
        Profile::parse(body)?;
        let mut kept = Kept::profile();
        kept.take(&mut self.bytes, body);
        self.is_lost = kept.is_cut;
        self.len = kept.len;
        if self.is_lost { Err(Error::TooLong) } else { Ok(()) }
    }

    /// Forgets the last profile, for one came that cannot be kept: which instances are wanted is not known.
    pub const fn lose(&mut self) {
        self.is_lost = true;
    }

    /// The last profile, unless it is lost.
    pub fn profile(&self) -> Option<Profile<'_>> {
        let body = self.bytes.get(..self.len).unwrap_or_default();
        (!self.is_lost).then(|| Profile::parse(body).unwrap_or(Profile::ALL))
    }
}

impl<const N: usize> Default for Stored<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A body that is put into memory as it comes, a profile without the entries that say what holds without them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Bytes in memory.
    pub(crate) len: usize,
    /// Whether some found no room there.
    pub(crate) is_cut: bool,
    /// How many entries are to come; `None` before the count.
    entries: Option<u32>,
}

impl Kept {
    /// Before the first byte of a profile.
    pub(crate) const fn profile() -> Self {
        Self { len: 0, is_cut: false, entries: None }
    }

    /// Before the first byte of anything else.
    pub(crate) const fn other() -> Self {
        Self { len: 0, is_cut: false, entries: Some(0) }
    }

    /// Puts the next bytes behind those in memory.
    pub(crate) fn take(&mut self, memory: &mut [u8], bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            // What is before the entries is as long as each of them.
            let whole = ENTRY_LEN.saturating_sub(self.len & (ENTRY_LEN - 1));
            let is_listing = self.entries == Some(0) || self.is_cut;
            let taken = if is_listing { rest.len() } else { whole.min(rest.len()) };
            let (head, behind) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            let mut w = Writer::new(memory.get_mut(self.len..).unwrap_or_default());
            w.bytes(head);
            self.is_cut |= !w.is_whole();
            self.len = self.len.saturating_add(w.written());
            if !is_listing && !self.is_cut && taken == whole {
                self.condense(memory);
            }
            rest = behind;
        }
    }

    /// Looks at what came last: the count of entries, or one of them.
    fn condense(&mut self, memory: &mut [u8]) {
        let word = |at: usize| memory.get(at..).and_then(|bytes| Reader::new(bytes).word().ok()).unwrap_or(0);
        let (state, count) = (word(4), word(8));
        let Some(entries) = self.entries else {
            return self.entries = Some(u32::try_from(count.cast_signed()).unwrap_or(0));
        };
        self.entries = Some(entries.saturating_sub(1));
        let entry = self.len.saturating_sub(ENTRY_LEN);
        if word(entry.saturating_add(4)) == state && word(entry.saturating_add(8)) == 0 {
            self.len = entry;
            Writer::new(memory.get_mut(8..).unwrap_or_default()).word(count.saturating_sub(1));
        }
    }
}

const ENTRY_LEN: usize = 16;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::tests::{emitted, hex};
    use super::*;
    use std::vec::Vec;

    const A: InDom = InDom::from_bits(1);
    const B: InDom = InDom::from_bits(2);
    const C: InDom = InDom::from_bits(3);

    /// All unwanted, but of A the instances 5 and 6, and of B all save 7.
    fn body() -> Vec<u8> {
        hex("00000000 00000001 00000002 00000000
             00000001 00000001 00000002 00000000
             00000002 00000000 00000001 00000000
             00000005 00000006 00000007")
    }

    #[test]
    fn lists_turn_the_state_of_their_domain_around() {
        let body = body();
        let profile = Profile::parse(&body).unwrap();
        for (indom, want) in [(A, [true, true, false]), (B, [true, true, false]), (C, [false; 3])] {
            assert_eq!([5, 6, 7].map(|inst| profile.includes(indom, inst)), want, "{indom}");
            assert!(profile.restricts(indom));
        }
        assert!(!profile.includes(A, 8) && profile.includes(B, 8));
        assert!(profile.includes(InDom::NULL, -1) && !profile.restricts(InDom::NULL));
        assert!(!Profile::ALL.restricts(A));
        assert_eq!(&emitted(|w| profile.emit(0, w))[12..], body);
    }

    #[test]
    fn every_other_length_is_refused() {
        let mut body = body();
        for n in 0..body.len() {
            assert!(Profile::parse(&body[..n]).is_err(), "{n} bytes");
        }
        body.push(0);
        assert_eq!(Profile::parse(&body), Err(Error::Trailing));
    }

    #[test]
    fn a_stored_profile_is_the_last_good_one() {
        let mut stored = Stored::<60>::new();
        assert_eq!(stored.profile(), Some(Profile::ALL));
        stored.set(&body()).unwrap();
        assert_eq!(stored.profile(), Profile::parse(&body()).ok());
        assert!(stored.set(&[0; 3]).is_err());
        assert_eq!(stored.profile(), Profile::parse(&body()).ok());
        stored.set(&[0; 16]).unwrap();
        assert_eq!(stored.profile(), Some(Profile::ALL));
    }

    #[test]
    fn entries_that_say_what_holds_anyway_take_no_room() {
        // Of A and C the same is wanted as of all others, of B the other instances than 7, or just that.
        for (state, other) in [(0, 1), (1, 0)] {
            let words: [[u32; 4]; 4] =
                [[9, state, 3, 0], [1, state, 0, 0], [2, other, 1, 0], [3, state, 0, 0]];
            let body: Vec<u8> = words.iter().flatten().chain(&[7]).flat_map(|w| w.to_be_bytes()).collect();
            let mut stored = Stored::<48>::new();
            stored.set(&body).unwrap();
            let (kept, sent) = (stored.profile().unwrap(), Profile::parse(&body).unwrap());
            assert_eq!((kept.context, kept.state, kept.entries.len()), (9, sent.state, 1));
            for (indom, inst) in [(A, 7), (B, 7), (B, 8), (C, 7), (InDom::NULL, -1)] {
                assert_eq!(kept.includes(indom, inst), sent.includes(indom, inst), "{indom} {inst}");
                assert_eq!(kept.restricts(indom), sent.restricts(indom), "{indom}");
            }
            assert_eq!(Stored::<47>::new().set(&body), Err(Error::TooLong));
        }
    }

    #[test]
    fn a_profile_that_does_not_fit_is_known_to_be_lost() {
        let mut stored = Stored::<59>::new();
        assert_eq!(stored.set(&body()), Err(Error::TooLong));
        assert_eq!(stored.profile(), None);
        assert!(stored.set(&[0; 3]).is_err());
        assert_eq!(stored.profile(), None);
        stored.set(&[0; 16]).unwrap();
        assert_eq!(stored.profile(), Some(Profile::ALL));
        stored.lose();
        assert_eq!(stored.profile(), None);
    }
}
