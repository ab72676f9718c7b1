//! One JSON object a line: samples as the document has them, numbers to the bit, and lines that were refused.
//!
//! `value` and `timestamp` are strings that hold what was written; `value_bits` is the IEEE double that `value` means,
//! in 16 hex digits, and null for a string metric of PCP's.

use std::fmt::Display;
use std::io::{self, Write};

use pmbridge_core::exposition::{Exemplar, LabelSet, Sample, number};

/// Prints a sample.
pub(super) fn sample(out: &mut impl Write, sample: &Sample<'_>) -> io::Result<()> {
    out.write_all(b"{\"name\":")?;
    text(out, unescaped(sample.name))?;
    out.write_all(b",\"labels\":")?;
    labels(out, sample.labels)?;
    out.write_all(b",\"value\":")?;
    text(out, [sample.tail.value])?;
    match number::parse(sample.tail.value.as_bytes()) {
        Some(value) => write!(out, ",\"value_bits\":\"{:016x}\"", value.to_bits())?,
        None => out.write_all(b",\"value_bits\":null")?,
    }
    timestamp(out, sample.tail.timestamp)?;
    out.write_all(b",\"exemplar\":")?;
    match &sample.tail.exemplar {
        Some(one) => exemplar(out, one)?,
        None => out.write_all(b"null")?,
    }
    out.write_all(b"}\n")
}

/// Prints why a line was refused.
pub(super) fn refused(out: &mut impl Write, line: u64, reason: impl Display) -> io::Result<()> {
    out.write_all(b"{\"error\":")?;
    text(out, [reason.to_string().as_str()])?;
    writeln!(out, ",\"line\":{line}}}")
}

fn exemplar(out: &mut impl Write, exemplar: &Exemplar<'_>) -> io::Result<()> {
    out.write_all(b"{\"labels\":")?;
    labels(out, exemplar.labels)?;
    out.write_all(b",\"value\":")?;
    text(out, [exemplar.value])?;
    timestamp(out, exemplar.timestamp)?;
    out.write_all(b"}")
}

fn timestamp(out: &mut impl Write, timestamp: Option<&str>) -> io::Result<()> {
    out.write_all(b",\"timestamp\":")?;
    match timestamp {
        Some(token) => text(out, [token]),
        None => out.write_all(b"null"),
    }
}

fn labels(out: &mut impl Write, labels: LabelSet<'_>) -> io::Result<()> {
    let mut before = "{";
    for label in labels.iter() {
        out.write_all(before.as_bytes())?;
        text(out, label.name.pieces())?;
        out.write_all(b":")?;
        text(out, label.value.pieces())?;
        before = ",";
    }
    out.write_all(if before == "{" { b"{}" } else { b"}" })
}

/// Prints pieces of text as one JSON string.
fn text<'a>(out: &mut impl Write, pieces: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    out.write_all(b"\"")?;
    for piece in pieces {
        // What must be escaped is ASCII, so a character of more bytes is never cut.
        for part in piece.as_bytes().split_inclusive(|&byte| must_escape(byte)) {
            match part.split_last() {
                Some((&last, plain)) if must_escape(last) => {
                    out.write_all(plain)?;
                    escape(out, last)?;
                }
                _ => out.write_all(part)?,
            }
        }
    }
    out.write_all(b"\"")
}

const fn must_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f)
}

fn escape(out: &mut impl Write, byte: u8) -> io::Result<()> {
    match byte {
        b'"' => out.write_all(b"\\\""),
        b'\\' => out.write_all(b"\\\\"),
        b'\n' => out.write_all(b"\\n"),
        b'\r' => out.write_all(b"\\r"),
        b'\t' => out.write_all(b"\\t"),
        other => write!(out, "\\u{other:04x}"),
    }
}

/// The pieces of a name: one that stood between quotes has its escapes still.
fn unescaped(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    core::iter::from_fn(move || {
        let (piece, after) = match rest.find('\\') {
            None => (rest, ""),
            Some(0) if rest.starts_with("\\n") => ("\n", rest.get(2..)?),
            Some(0) if rest.starts_with("\\\"") || rest.starts_with("\\\\") => {
                (rest.get(1..2)?, rest.get(2..)?)
            }
            Some(0) => rest.split_at_checked(1)?,
            Some(at) => rest.split_at_checked(at)?,
        };
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pmbridge_core::exposition::{self, Line};

    fn object(line: &str) -> String {
        let Ok(Line::Sample(said)) = exposition::line(line.as_bytes()) else { panic!("{line}") };
        let mut out = Vec::new();
        sample(&mut out, &said).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_sample_is_one_line_with_all_its_parts() {
        assert_eq!(
            object("a_bucket{le=\"1\",x=\"é\"} 1.50 12.5 # {id=\"q\"} 2 3.0"),
            "{\"name\":\"a_bucket\",\"labels\":{\"le\":\"1\",\"x\":\"é\"},\"value\":\"1.50\",\
             \"value_bits\":\"3ff8000000000000\",\"timestamp\":\"12.5\",\
             \"exemplar\":{\"labels\":{\"id\":\"q\"},\"value\":\"2\",\"timestamp\":\"3.0\"}}\n"
        );
        assert!(object("b -0").ends_with(
            ",\"labels\":{},\"value\":\"-0\",\"value_bits\":\"8000000000000000\",\"timestamp\":null,\"exemplar\":null}\n"
        ));
    }

    #[test]
    fn texts_are_unescaped_once_and_escaped_as_json_has_it() {
        let object = object("a{x=\"q\\\"\\n\\\\\\y\u{1}\u{7f}\t\"} 1");
        assert!(object.contains("{\"x\":\"q\\\"\\n\\\\\\\\y\\u0001\\u007f\\t\"}"), "{object}");
        assert_eq!(unescaped("a\\n\\\"b\\\\c\\x\\").collect::<String>(), "a\n\"b\\c\\x\\");
    }
}
