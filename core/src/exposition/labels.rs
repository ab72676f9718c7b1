//! A label set is the checked text between a sample's braces, taken apart only when someone looks.

use super::grammar;

/// The most labels that one sample may have.
pub const MAX_LABELS: usize = 64;

/// The text between braces, known to be labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelSet<'a>(&'a str);

/// One label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// Its value.
    pub value: Escaped<'a>,
}

/// A label's name, which may have been quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(Escaped<'a>);

/// A text as it stood between quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<'a>(&'a str);

impl<'a> LabelSet<'a> {
    pub(super) const fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// Takes text that was a label set when it was stored. From any other text, what looks like labels is read.
    pub const fn stored(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it was exposed.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether there is no label.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// Its labels in the order they were exposed. A metric name among them is left out.
    pub fn iter(self) -> impl Iterator<Item = Label<'a>> + Clone + use<'a> {
        let mut rest = self.0.as_bytes();
        core::iter::from_fn(move || {
            loop {
                let (after, item) = grammar::item(rest).ok()?;
                rest = after;
                if let grammar::Item::Label(name, value) = item {
                    return Some(Label { name: Name(Escaped(utf8(name)?)), value: Escaped(utf8(value)?) });
                }
            }
        })
    }
}

impl<'a> Name<'a> {
    /// The name as exposed, without quotes.
    pub const fn raw(self) -> &'a str {
        self.0.raw()
    }

    /// The name itself, piece by piece.
    pub fn pieces(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.pieces()
    }
}

impl<'a> Escaped<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as exposed, with its escapes.
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// The text itself, piece by piece: `\n` is a line feed, `\"` a quote, `\\` a backslash, any other two are two.
    pub fn pieces(self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let bytes = rest.as_bytes();
            let plain = match memchr::memchr(b'\\', bytes) {
                None => bytes.len(),
                Some(0) => {
                    let (piece, len) = match bytes.get(1) {
                        Some(b'n') => ("\n", 2),
                        Some(b'"') => ("\"", 2),
                        Some(b'\\') => ("\\", 2),
                        _ => ("\\", 1),
                    };
                    rest = rest.get(len..)?;
                    return Some(piece);
                }
                Some(at) => at,
            };
            let (piece, after) = rest.split_at_checked(plain)?;
            rest = after;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn escapes_are_undone_and_unknown_ones_kept() {
        let text: String = Escaped::new(r#"a\n\"b\\n\x\"#).pieces().collect();
        assert_eq!(text, "a\n\"b\\n\\x\\");
    }

    #[test]
    fn labels_come_in_their_order() {
        let set = LabelSet::stored(r#""my.name", b="1",a = "x,}" , "c.d"="",z="\"" ,"#);
        let labels: Vec<_> = set.iter().map(|l| (l.name.raw(), l.value.raw())).collect();
        assert_eq!(labels, [("b", "1"), ("a", "x,}"), ("c.d", ""), ("z", "\\\"")]);
        assert!(LabelSet::stored(r#" "only.name" "#).is_empty());
    }
}
