//! A label set is one object of JSON, read where it lies: its values come one by one, with their names.
//!
//! Objects in it are walked into, as deep as a [`Path`] is; lists are taken as they are written. Nothing is
//! remembered but the path, so a text may be of any length.

use memchr::memchr2;

use crate::exposition::number;

/// How deep objects may lie in each other.
const DEPTH: usize = 6;
/// How deep a list may be.
const LIST_DEPTH: u32 = 64;

/// The names that lead to a value, outermost first, as they are written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Path<'a> {
    names: [&'a [u8]; DEPTH],
    len: usize,
}

impl<'a> Path<'a> {
    /// The path of a value that lies in no other object.
    pub(super) fn new(name: &'a [u8]) -> Self {
        let mut this = Self::default();
        let _ = this.push(name);
        this
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'_, 'a> {
        self.names.iter().take(self.len).copied()
    }

    fn push(&mut self, name: &'a [u8]) -> Option<()> {
        *self.names.get_mut(self.len)? = name;
        self.len = self.len.checked_add(1)?;
        Some(())
    }

    fn pop(&mut self) -> Option<()> {
        self.len = self.len.checked_sub(1)?;
        Some(())
    }
}

/// Gives each value of an object as it is written; `None` where the text is no such object, and then some values have
/// been given.
pub(super) fn values<'a>(text: &'a [u8], each: &mut dyn FnMut(&Path<'a>, &'a [u8])) -> Option<()> {
    let mut rest = punct(text, b'{')?;
    let mut path = Path::default();
    let mut is_first = true;
    loop {
        if let Some(after) = punct(rest, b'}') {
            if path.pop().is_none() {
                return after.trim_ascii_start().is_empty().then_some(());
            }
            (rest, is_first) = (after, false);
            continue;
        }
        if !is_first {
            rest = punct(rest, b',')?;
        }
        let (name, after) = string(rest.trim_ascii_start())?;
        path.push(inside(name))?;
        rest = punct(after, b':')?;
        is_first = true;
        if let Some(after) = punct(rest, b'{') {
            rest = after;
            continue;
        }
        let (raw, after) = value(rest.trim_ascii_start())?;
        each(&path, raw);
        path.pop()?;
        (rest, is_first) = (after, false);
    }
}

/// What a string says, piece by piece; other values are what they are written as.
pub(super) fn meaning(raw: &[u8], put: &mut dyn FnMut(&[u8])) {
    if raw.first() != Some(&b'"') {
        return put(raw);
    }
    let mut rest = inside(raw);
    while let Some((plain, escape)) = memchr::memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        put(plain);
        let (char, after) = escaped(escape);
        put(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after;
    }
    put(rest);
}

/// What the escape in front says, and what follows it. One that JSON does not know is a backslash.
fn escaped(escape: &[u8]) -> (char, &[u8]) {
    let simple = |char| (char, escape.get(2..).unwrap_or_default());
    match escape.get(1) {
        Some(b'"') => simple('"'),
        Some(b'\\') => simple('\\'),
        Some(b'/') => simple('/'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'u') => unicode(escape),
        _ => ('\\', escape.get(1..).unwrap_or_default()),
    }
}

/// What `\uXXXX` says, or two of them that are one character. Half of one is replaced.
fn unicode(escape: &[u8]) -> (char, &[u8]) {
    let Some((first, rest)) = unit(escape) else { return ('\\', escape.get(1..).unwrap_or_default()) };
    let whole = char::decode_utf16([first].into_iter().chain(unit(rest).map(|(second, _)| second))).next();
    match whole {
        Some(Ok(char)) if char.len_utf16() == 2 => (char, rest.get(6..).unwrap_or_default()),
        Some(Ok(char)) => (char, rest),
        _ => (char::REPLACEMENT_CHARACTER, rest),
    }
}

/// The number of one `\uXXXX`.
fn unit(escape: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = escape.strip_prefix(b"\\u")?.split_at_checked(4)?;
    let digits = digits.iter().map(|&byte| char::from(byte).to_digit(16));
    let number = digits.into_iter().try_fold(0_u32, |sum, digit| Some(sum.wrapping_shl(4) | digit?))?;
    Some((u16::try_from(number).ok()?, rest))
}

/// A value that is no object.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match text.first()? {
        b'"' => string(text),
        b'[' => list(text),
        _ => {
            let end = text.iter().position(|byte| b",}] \t\r\n".contains(byte))?;
            let (word, rest) = text.split_at_checked(end)?;
            let is_number = word.iter().all(|b| b.is_ascii_digit() || b"+-.eE".contains(b))
                && word.first() != Some(&b'+')
                && number::parse(word).is_some();
            (is_number || matches!(word, b"true" | b"false" | b"null")).then_some((word, rest))
        }
    }
}

/// A string with its quotes.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        let (_, tail) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
        if let Some(after) = tail.strip_prefix(b"\"") {
            return text.split_at_checked(text.len().checked_sub(after.len())?);
        }
        rest = tail.get(2..)?;
    }
}

/// A list with its brackets. What it holds is looked at no closer than to find its end.
fn list(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut rest, mut depth) = (text, 0_u32);
    loop {
        let (byte, after) = rest.split_first()?;
        rest = match byte {
            b'"' => string(rest)?.1,
            _ => after,
        };
        match byte {
            b'[' | b'{' => depth = depth.checked_add(1).filter(|depth| *depth <= LIST_DEPTH)?,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return text.split_at_checked(text.len().checked_sub(rest.len())?);
        }
    }
}

/// What stands between the quotes.
fn inside(string: &[u8]) -> &[u8] {
    string.get(1..string.len().saturating_sub(1)).unwrap_or_default()
}

/// Takes blanks and one byte off the front.
fn punct(text: &[u8], byte: u8) -> Option<&[u8]> {
    let (first, rest) = text.trim_ascii_start().split_first()?;
    (*first == byte).then_some(rest)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String, vec::Vec};

    fn read(text: &str) -> Option<String> {
        let mut out = Vec::new();
        values(text.as_bytes(), &mut |path, raw| {
            for (n, name) in path.names().enumerate() {
                out.extend_from_slice(if n > 0 { b"." } else { b";" });
                out.extend_from_slice(name);
            }
            out.push(b'=');
            meaning(raw, &mut |piece| out.extend_from_slice(piece));
        })?;
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn values_of_objects_come_with_the_names_that_lead_to_them() {
        for (text, want) in [
            ("{}", ""),
            (" { } ", ""),
            (r#"{"a":"b"}"#, ";a=b"),
            (r#" { "a" : "b" , "c" : 1.5e-3 } "#, ";a=b;c=1.5e-3"),
            (r#"{"a":{"b":{"c":true}},"d":null}"#, ";a.b.c=true;d=null"),
            (r#"{"a":{},"b":{"c":{}},"d":-0}"#, ";d=-0"),
            (r#"{"a":[1,"],",{"x":[]}],"b":false}"#, r#";a=[1,"],",{"x":[]}];b=false"#),
            (r#"{"a":"b","a":"c"}"#, ";a=b;a=c"),
        ] {
            assert_eq!(read(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn strings_mean_what_their_escapes_say() {
        for (text, want) in [
            (r#"{"a":"\"\\\/\b\f\n\r\t"}"#, ";a=\"\\/\u{8}\u{c}\n\r\t"),
            (r#"{"a":"caf\u00e9 \u00E9"}"#, ";a=café é"),
            (r#"{"a":"\ud83d\ude00!"}"#, ";a=😀!"),
            (r#"{"a":"\ud83d!"}"#, ";a=\u{fffd}!"),
            (r#"{"a":"\ud83d\u0041"}"#, ";a=\u{fffd}A"),
            (r#"{"a":"\ude00"}"#, ";a=\u{fffd}"),
            (r#"{"a":"\x\u12"}"#, r";a=\x\u12"),
            ("{\"a\":\"tab\tand ü\"}", ";a=tab\tand ü"),
        ] {
            assert_eq!(read(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[]",
            "1",
            r#""a""#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":1}x"#,
            r#"{"a":1}}"#,
            r#"{"a":"b}"#,
            r#"{"a":"b\"}"#,
            r#"{a:1}"#,
            r#"{"a":[1}"#,
            r#"{"a":tru}"#,
            r#"{"a":+1}"#,
            r#"{"a":1e}"#,
            r#"{"a":inf}"#,
            r#"{"a":{"b":1}"#,
            r#"{"a":"#,
            r#"{"a":1"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        assert!(read(&deep(DEPTH)).is_some() && read(&deep(DEPTH + 1)).is_none());
        let lists = |n: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert!(read(&lists(64)).is_some() && read(&lists(65)).is_none());
        assert_eq!(read(&"[{\"".repeat(100_000)), None);
    }
}
