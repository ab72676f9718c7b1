//! A label set is the text between a sample's braces, checked once and taken apart by whoever looks.

use core::{cmp::Ordering, fmt};

use memchr::memchr;

use super::grammar::{self, Inside};

/// How many labels a set can have.
pub const MAX_LABELS: u32 = 64;

/// The text between a sample's braces: no label comes twice in it, and none is broken.
///
/// Two sets that are spelled differently are different here, even where they mean the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LabelSet<'a>(&'a str);

impl<'a> LabelSet<'a> {
    /// No labels.
    pub const EMPTY: Self = Self("");

    /// Takes text that was checked before it was stored.
    ///
    /// Of a text that was not, [`iter`](Self::iter) gives what comes before the first fault.
    pub const fn stored(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it was sent, without the braces.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether there is no label, which can be so of a text that is not empty.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The labels in the order they were sent in, without the metric name.
    pub const fn iter(self) -> Labels<'a> {
        Labels(self.0)
    }
}

impl<'a> IntoIterator for LabelSet<'a> {
    type Item = Label<'a>;
    type IntoIter = Labels<'a>;

    fn into_iter(self) -> Labels<'a> {
        self.iter()
    }
}

/// The labels of a set.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a>(&'a str);

impl<'a> Iterator for Labels<'a> {
    type Item = Label<'a>;

    fn next(&mut self) -> Option<Label<'a>> {
        loop {
            let text = self.0;
            let (rest, inside) = grammar::inside(text.as_bytes()).ok()?;
            self.0 = grammar::within(text, rest)?;
            if let Inside::Label { name, value } = inside {
                let name = Name(grammar::within(text, name)?);
                return Some(Label { name, value: Escaped(grammar::within(text, value)?) });
            }
        }
    }
}

/// A name and a value that tell a series from its siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Label<'a> {
    /// What the label says something about.
    pub name: Name<'a>,
    /// What it says.
    pub value: Escaped<'a>,
}

/// A label's name. Names are equal, and in order, by what they mean, not by how they are spelled.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// The name as it was sent, without quotes.
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// What it means, piece by piece.
    pub const fn pieces(self) -> Pieces<'a> {
        Pieces(self.0)
    }

    pub(super) const fn new(raw: &'a str) -> Self {
        Self(raw)
    }

    fn is_plain(self) -> bool {
        memchr(b'\\', self.0.as_bytes()).is_none()
    }
}

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_plain() && other.is_plain() {
            return self.0.cmp(other.0);
        }
        self.pieces().order(other.pieces())
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.cmp(other).is_eq()
    }
}

impl Eq for Name<'_> {}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        if self.is_plain() {
            return self.0 == other;
        }
        let mut left = Some(other);
        self.pieces().for_each(|piece| left = left.and_then(|left| left.strip_prefix(piece)));
        left == Some("")
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

/// A text with escapes in it, as it was sent, without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Escaped<'a>(&'a str);

impl<'a> Escaped<'a> {
    /// The text as it was sent.
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// What it means, piece by piece.
    pub const fn pieces(self) -> Pieces<'a> {
        Pieces(self.0)
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}

/// The pieces whose concatenation is what an escaped text means.
///
/// `\n` is a line feed, `\"` a quote and `\\` a backslash; any other escape means its two characters.
#[derive(Debug, Clone, Copy)]
pub struct Pieces<'a>(&'a str);

impl<'a> Pieces<'a> {
    pub(super) const fn of(raw: &'a str) -> Self {
        Self(raw)
    }

    /// The bytes of the text.
    pub(crate) const fn bytes(self) -> Bytes<'a> {
        Bytes { piece: &[], rest: self }
    }

    /// Which of two texts comes first.
    pub(crate) fn order(self, other: Self) -> Ordering {
        let (mut ours, mut theirs) = (self.bytes(), other.bytes());
        loop {
            let (a, b) = (ours.next(), theirs.next());
            if a.is_none() || a != b {
                return a.cmp(&b);
            }
        }
    }
}

/// The bytes of an escaped text.
pub(crate) struct Bytes<'a> {
    piece: &'a [u8],
    rest: Pieces<'a>,
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            if let Some((byte, piece)) = self.piece.split_first() {
                self.piece = piece;
                return Some(*byte);
            }
            self.piece = self.rest.next()?.as_bytes();
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, rest) = match memchr(b'\\', self.0.as_bytes()) {
            None => (self.0, ""),
            Some(0) => match self.0.as_bytes().get(1) {
                Some(b'n') => ("\n", self.0.get(2..)?),
                Some(b'"' | b'\\') => (self.0.get(1..2)?, self.0.get(2..)?),
                _ => self.0.split_at_checked(1)?,
            },
            Some(at) => self.0.split_at_checked(at)?,
        };
        self.0 = rest;
        Some(piece)
    }
}
