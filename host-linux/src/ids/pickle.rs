//! The stock PMDA's tables: a list of names and a flag, in Python's pickle protocol 0.
//!
//! A pickle is a program for a small machine. This machine knows the ten instructions that a list of strings and a
//! flag are made of; whatever else a table asks for, it is refused, and nothing of it is done.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// A table of names: the place of a name is its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table<'a> {
    /// The names. `None` is one that is no text.
    pub(super) names: Vec<Option<Cow<'a, str>>>,
    /// Whether instances have their id in front of their name.
    pub(super) prefixed: bool,
}

/// Why a table is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Error {
    /// Where.
    pub(super) byte: usize,
    /// What is there.
    pub(super) kind: Kind,
}

/// What is wrong with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An instruction that a table of names does not need.
    Instruction(u8),
    /// An operand that the instruction cannot have.
    Operand,
    /// The instruction does not go with what came before.
    Misplaced,
    /// The end is missing.
    End,
    /// Something follows the end.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.byte)?;
        match self.kind {
            Kind::Instruction(byte) => {
                write!(f, "'{}' is no part of a table of names, and is not done", byte.escape_ascii())
            }
            Kind::Operand => f.write_str("not a value of a table of names"),
            Kind::Misplaced => f.write_str("not the form of a table of names"),
            Kind::End => f.write_str("the end is missing"),
            Kind::Trailing => f.write_str("more follows the end of the table"),
        }
    }
}

/// Reads a table.
pub(super) fn parse<'a>(bytes: &'a [u8]) -> Result<Table<'a>, Error> {
    let mut machine = Machine { all: bytes, rest: bytes, at: 0 };
    let Value::Names(names) = machine.run()? else { return Err(machine.error(Kind::Misplaced)) };
    // The oldest tables have no flag.
    let prefixed = match machine.rest {
        [] => false,
        _ => match machine.run()? {
            Value::Number(number) => number != 0,
            _ => return Err(machine.error(Kind::Misplaced)),
        },
    };
    if !machine.rest.is_empty() {
        machine.at = bytes.len().saturating_sub(machine.rest.len());
        return Err(machine.error(Kind::Trailing));
    }
    // Names that differ take at most twice the bytes of their table; one that is referred to again and again does not.
    let mut budget = bytes.len().saturating_mul(2);
    let decode = |text: Text<'a>| {
        let name = text.decode()?;
        budget = budget.checked_sub(name.as_ref().map_or(0, |name| name.len()))?;
        Some(name)
    };
    let names = names.into_iter().map(decode).collect::<Option<_>>();
    Ok(Table { names: names.ok_or_else(|| machine.error(Kind::Operand))?, prefixed })
}

/// What lies on the stack.
#[derive(Debug, Clone)]
enum Value<'a> {
    Mark,
    Text(Text<'a>),
    Names(Vec<Text<'a>>),
    Number(i64),
}

/// A string as the table spells it.
#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    /// Python's raw-unicode-escape.
    Unicode(&'a [u8]),
    /// A literal of Python 2, in its quotes.
    Bytes(&'a [u8]),
}

struct Machine<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    at: usize,
}

impl<'a> Machine<'a> {
    fn error(&self, kind: Kind) -> Error {
        Error { byte: self.at, kind }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.at = self.all.len().saturating_sub(self.rest.len());
        let (&byte, rest) = self.rest.split_first().ok_or_else(|| self.error(Kind::End))?;
        self.rest = rest;
        Ok(byte)
    }

    fn line(&mut self) -> Result<&'a [u8], Error> {
        let end = memchr::memchr(b'\n', self.rest).ok_or_else(|| self.error(Kind::End))?;
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(line)
    }

    fn number(&mut self) -> Result<i64, Error> {
        let line = std::str::from_utf8(self.line()?).ok().and_then(|line| line.parse().ok());
        line.ok_or_else(|| self.error(Kind::Operand))
    }

    /// Runs one pickle to its end. Each instruction takes a byte at least, so that there is an end.
    fn run(&mut self) -> Result<Value<'a>, Error> {
        let mut stack = Vec::new();
        let mut memo = HashMap::new();
        loop {
            match self.byte()? {
                b'(' if stack.is_empty() => stack.push(Value::Mark),
                b'V' => stack.push(Value::Text(Text::Unicode(self.line()?))),
                b'S' => stack.push(Value::Text(Text::Bytes(self.line()?))),
                b'I' => stack.push(Value::Number(self.number()?)),
                b'l' => {
                    let names = self.above_mark(&mut stack)?;
                    stack.push(Value::Names(names));
                }
                b'a' => {
                    let (name, list) = (stack.pop(), stack.last_mut());
                    match (name, list) {
                        (Some(Value::Text(name)), Some(Value::Names(names))) => names.push(name),
                        _ => return Err(self.error(Kind::Misplaced)),
                    }
                }
                b'(' if matches!(stack.as_slice(), [Value::Names(_)]) => stack.push(Value::Mark),
                b'e' => {
                    let more = self.above_mark(&mut stack)?;
                    match stack.last_mut() {
                        Some(Value::Names(names)) => names.extend(more),
                        _ => return Err(self.error(Kind::Misplaced)),
                    }
                }
                b'p' => {
                    let key = self.number()?;
                    match stack.last() {
                        Some(Value::Text(text)) => memo.insert(key, *text),
                        // The list itself, which no table refers to.
                        Some(Value::Names(_)) => memo.remove(&key),
                        _ => return Err(self.error(Kind::Misplaced)),
                    };
                }
                b'g' => {
                    let key = self.number()?;
                    let text = memo.get(&key).ok_or_else(|| self.error(Kind::Misplaced))?;
                    stack.push(Value::Text(*text));
                }
                b'.' => {
                    let last = stack.pop();
                    return last.filter(|_| stack.is_empty()).ok_or_else(|| self.error(Kind::Misplaced));
                }
                b'(' => return Err(self.error(Kind::Misplaced)),
                other => return Err(self.error(Kind::Instruction(other))),
            }
        }
    }

    /// Takes the strings above the mark, and the mark.
    fn above_mark(&self, stack: &mut Vec<Value<'a>>) -> Result<Vec<Text<'a>>, Error> {
        let mark = stack.iter().rposition(|value| matches!(value, Value::Mark));
        let mark = mark.ok_or_else(|| self.error(Kind::Misplaced))?;
        let texts = stack.drain(mark..).skip(1).map(|value| match value {
            Value::Text(text) => Ok(text),
            _ => Err(self.error(Kind::Misplaced)),
        });
        texts.collect()
    }
}

impl<'a> Text<'a> {
    /// The string; `Some(None)` where it is one that is no text, `None` where it is not spelt as a string.
    fn decode(self) -> Option<Option<Cow<'a, str>>> {
        match self {
            Self::Unicode(raw) => unicode(raw),
            Self::Bytes(raw) => {
                let bytes = literal(raw)?;
                Some(String::from_utf8(bytes).ok().map(Cow::Owned))
            }
        }
    }
}

fn unicode(raw: &[u8]) -> Option<Option<Cow<'_, str>>> {
    if raw.is_ascii() && !raw.contains(&b'\\') {
        return Some(std::str::from_utf8(raw).ok().map(Cow::Borrowed));
    }
    let mut units = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let digits = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            (b'\\', Some(&other)) => {
                units.extend([u32::from(byte), u32::from(other)]);
                rest = rest.get(1..)?;
                continue;
            }
            _ => {
                units.push(u32::from(byte));
                continue;
            }
        };
        let (escape, behind) = rest.get(1..)?.split_at_checked(digits)?;
        units.push(hex(escape)?);
        rest = behind;
    }
    Some(scalars(&units).map(Cow::Owned))
}

/// Code points as a string. Python 2 wrote those that do not fit 16 bits as two.
fn scalars(units: &[u32]) -> Option<String> {
    let mut out = String::with_capacity(units.len());
    let mut rest = units;
    while let Some((&unit, behind)) = rest.split_first() {
        rest = behind;
        let pair = |low: u32| {
            let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            char::decode_utf16(pair).next()?.ok().filter(|c| c.len_utf16() == 2)
        };
        if let Some(c) = char::from_u32(unit) {
            out.push(c);
        } else {
            out.push(rest.first().copied().and_then(pair)?);
            rest = rest.get(1..)?;
        }
    }
    Some(out)
}

/// The bytes of a literal of Python 2.
fn literal(raw: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = raw.split_first()?;
    let (&last, mut rest) = rest.split_last()?;
    if quote != last || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            if byte == quote {
                return None;
            }
            out.push(byte);
            continue;
        }
        let (&escape, behind) = rest.split_first()?;
        rest = behind;
        out.push(match escape {
            b'\\' | b'\'' | b'"' => escape,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                u8::try_from(hex(digits)?).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}

fn hex(digits: &[u8]) -> Option<u32> {
    let all = digits.iter().all(u8::is_ascii_hexdigit);
    u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| all)?, 16).ok()
}

/// Writes a table, byte for byte as Python does.
pub(super) fn emit<'a>(names: impl IntoIterator<Item = &'a str>, prefixed: bool) -> Vec<u8> {
    let mut out = b"(lp0\n".to_vec();
    for (place, name) in (1_usize..).zip(names) {
        out.push(b'V');
        for c in name.chars() {
            match (u8::try_from(c), u32::from(c)) {
                (Ok(b'\\' | b'\0' | b'\n' | b'\r' | 0x1a), code) | (Err(_), code @ ..=0xffff) => {
                    out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
                }
                (Ok(byte), _) => out.push(byte),
                (Err(_), code) => out.extend_from_slice(format!("\\U{code:08x}").as_bytes()),
            }
        }
        out.extend_from_slice(format!("\np{place}\na").as_bytes());
    }
    out.extend_from_slice(if prefixed { b".I01\n." } else { b".I00\n." });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `144.25600.py` of the stock PMDA of PCP 6.0.3 for labels with quotes, backslashes, line feeds, `é ü`, `日本`
    /// and an emoji.
    const TAKEN: &[u8] =
        b"(lp0\nVx:q\"uote y:back\\u005cslash z:nl\\u000ahere\np1\naVx:\xe9 \xfc y:\\u65e5\\u672c \
        z:\\U0001f600\np2\naVx:\\u005cu0041 y:a\\u005c\\u005cu0041 z:tab\tx\np3\na.I01\n.";

    fn names(bytes: &[u8]) -> Vec<String> {
        let table = parse(bytes).unwrap();
        table.names.into_iter().map(|name| name.map_or_else(|| "?".into(), Cow::into_owned)).collect()
    }

    #[test]
    fn a_table_is_read_as_python_reads_it() {
        let want =
            ["x:q\"uote y:back\\slash z:nl\nhere", "x:é ü y:日本 z:😀", "x:\\u0041 y:a\\\\u0041 z:tab\tx"];
        assert_eq!(names(TAKEN), want);
        assert!(parse(TAKEN).unwrap().prefixed);
        assert_eq!(emit(want, true), TAKEN);
        assert_eq!(emit([], false), b"(lp0\n.I00\n.");
    }

    #[test]
    fn other_spellings_that_python_has_are_read() {
        assert_eq!(names(b"(lp0\nVa\np1\nag1\na."), ["a", "a"], "a string that came before");
        assert_eq!(names(b"(Va\np1\nVb\ng1\nlp0\n."), ["a", "b", "a"]);
        assert_eq!(names(b"(lp0\n(Va\nVb\ne."), ["a", "b"]);
        assert_eq!(names(b"(lp0\nS'a\\\\\\'\"\\n\\xc3\\xa9'\np1\naS\"b'\"\na."), ["a\\'\"\né", "b'"]);
        assert_eq!(
            names(b"(lVa\\x\\\\u0041\naV\\ud83d\\ude00\naV\\ud83d\naVb\na."),
            ["a\\x\\\\u0041", "😀", "?", "b"]
        );
        assert!(!parse(b"(l.I00\n.").unwrap().prefixed && parse(b"(l.I01\n.").unwrap().prefixed);
    }

    #[test]
    fn nothing_else_is_done() {
        for (bytes, byte, kind) in [
            (&b"cos\nsystem\n(S'id'\ntR."[..], 0, Kind::Instruction(b'c')),
            (b"(lp0\nVa\np1\nacos\nsystem\n.", 12, Kind::Instruction(b'c')),
            (b"(S'id'\nios\nsystem\n.", 7, Kind::Instruction(b'i')),
            (b"(l.cos\n.", 3, Kind::Instruction(b'c')),
            (b"\x80\x04]\x94.", 0, Kind::Instruction(0x80)),
            (b"(dp0\n.", 1, Kind::Instruction(b'd')),
            (b"((((l", 1, Kind::Misplaced),
            (b"(l(la.", 4, Kind::Misplaced),
            (b"(lI1\na.", 5, Kind::Misplaced),
            (b"(lg0\n.", 2, Kind::Misplaced),
            (b"(lp0\ng0\na.", 5, Kind::Misplaced),
            (b"a", 0, Kind::Misplaced),
            (b"Va\n.", 3, Kind::Misplaced),
            (b"I1\n.", 3, Kind::Misplaced),
            (b"(l", 2, Kind::End),
            (b"", 0, Kind::End),
            (b"(lVa", 2, Kind::End),
            (b"(lpx\n.", 2, Kind::Operand),
            (b"(l.I00\n.x", 8, Kind::Trailing),
        ] {
            assert_eq!(parse(bytes), Err(Error { byte, kind }), "{}", bytes.escape_ascii());
        }
        for bytes in [
            &b"(lV\\u12\na."[..],
            b"(lS'a\na.",
            b"(lSa\na.",
            b"(lS'a\\q'\na.",
            b"(lS'\na.",
            b"(lV\\u+123\na.",
        ] {
            assert_eq!(parse(bytes).unwrap_err().kind, Kind::Operand, "{}", bytes.escape_ascii());
        }
    }
}
