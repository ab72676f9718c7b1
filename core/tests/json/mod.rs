//! JSON, as much as the conformance cases are written in.

use std::collections::BTreeMap;

/// A JSON value; numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        let mut rest = text;
        let value = Self::value(&mut rest);
        assert!(rest.trim().is_empty(), "more than one value: {rest}");
        value
    }

    /// The member of this name, or null.
    pub(crate) fn at(&self, name: &str) -> &Self {
        match self {
            Self::Object(members) => members.get(name).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&String, &Self)> {
        let members = match self {
            Self::Object(members) => Some(members),
            _ => None,
        };
        members.into_iter().flatten()
    }

    fn value(rest: &mut &str) -> Self {
        *rest = rest.trim_start();
        if take(rest, "null") {
            Self::Null
        } else if take(rest, "true") {
            Self::Bool(true)
        } else if take(rest, "false") {
            Self::Bool(false)
        } else if take(rest, "\"") {
            Self::Text(string(rest))
        } else if take(rest, "[") {
            let mut list = Vec::new();
            until(rest, "]", |rest| list.push(Self::value(rest)));
            Self::List(list)
        } else if take(rest, "{") {
            let mut members = BTreeMap::new();
            until(rest, "}", |rest| {
                assert!(take(rest, "\""));
                let name = string(rest);
                assert!(take(rest, ":"));
                members.insert(name, Self::value(rest));
            });
            Self::Object(members)
        } else {
            let end = rest.find([',', ']', '}', ' ', '\n']).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            *rest = after;
            Self::Number(number.to_owned())
        }
    }
}

/// Whether `word` comes next; blanks in front of it go with it.
fn take(rest: &mut &str, word: &str) -> bool {
    let after = rest.trim_start().strip_prefix(word);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

/// What stands between commas up to `end`.
fn until(rest: &mut &str, end: &str, mut each: impl FnMut(&mut &str)) {
    while !take(rest, end) {
        each(rest);
        take(rest, ",");
        *rest = rest.trim_start();
    }
}

/// The rest of a string behind its opening quote.
fn string(rest: &mut &str) -> String {
    let mut units = Vec::new();
    let mut chars = rest.chars();
    loop {
        match chars.next().unwrap() {
            '"' => break,
            '\\' => match chars.next().unwrap() {
                'n' => units.push(10),
                't' => units.push(9),
                'r' => units.push(13),
                'b' => units.push(8),
                'f' => units.push(12),
                'u' => {
                    let (hex, after) = chars.as_str().split_at(4);
                    units.push(u16::from_str_radix(hex, 16).unwrap());
                    chars = after.chars();
                }
                other => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
            },
            other => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    *rest = chars.as_str();
    String::from_utf16(&units).unwrap()
}
