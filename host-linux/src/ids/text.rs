//! A record is a line: a word, numbers, a name.
//!
//! `source 1 node`, `further 9 1`, `metric 1.0 node_load1`, `instance 1.0 7 + cpu:0 mode:idle`. The sign before an
//! instance's name is `+` where PCP's name has the id in front and `=` where it has not. In names a backslash is
//! `\\` and a control character `\xHH`: each record has one spelling.

use std::fmt;

use super::{CLUSTERS, INSTANCES, ITEMS, Record};

/// The first line of a file.
pub(super) const VERSION: &str = "pmbridge ids 1";

/// What a new file begins with.
pub(super) const HEADER: &str =
    "pmbridge ids 1\n# Which ids pmbridge has given to what. Do not change it while pmbridge runs.\n";

/// Why a line counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file does not begin as one of ids does.
    Version,
    /// The line is no record.
    Line,
    /// A number is out of range.
    Range,
    /// The record belongs to what the file does not have.
    Orphan,
    /// The id is another's.
    Taken,
    /// The name has another id.
    Twice,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "not the first line of a file of ids",
            Self::Line => "not a record",
            Self::Range => "a number is out of range",
            Self::Orphan => "what it belongs to is not there",
            Self::Taken => "the id has another name",
            Self::Twice => "the name has another id",
        })
    }
}

/// Writes a record as a line.
pub(super) fn write(out: &mut Vec<u8>, record: Record<'_>) {
    let (head, name) = match record {
        Record::Source { cluster, name } => (format!("source {cluster} "), name),
        Record::Further { cluster, of } => (format!("further {cluster} {of}"), ""),
        Record::Metric { cluster, item, name } => (format!("metric {cluster}.{item} "), name),
        Record::Instance { cluster, item, id, prefixed, name } => {
            (format!("instance {cluster}.{item} {id} {} ", if prefixed { '+' } else { '=' }), name)
        }
    };
    out.extend_from_slice(head.as_bytes());
    for byte in name.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
}

/// A record and its name as the file spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spelt<'a, 'b> {
    pub(super) record: Record<'b>,
    pub(super) raw: &'a str,
}

/// Reads a line without its end. A name that is not spelt as it reads is put together in `scratch`.
pub(super) fn parse<'a: 'b, 'b>(line: &'a [u8], scratch: &'b mut String) -> Result<Spelt<'a, 'b>, Fault> {
    let line = std::str::from_utf8(line).map_err(|_| Fault::Line)?;
    let (word, rest) = line.split_once(' ').ok_or(Fault::Line)?;
    match word {
        "source" => {
            let (cluster, raw) = rest.split_once(' ').ok_or(Fault::Line)?;
            let (cluster, name) = (below(number(cluster)?, CLUSTERS)?, named(raw, scratch)?);
            if cluster == 0 {
                return Err(Fault::Range);
            }
            Ok(Spelt { record: Record::Source { cluster, name }, raw })
        }
        "further" => {
            let (cluster, of) = rest.split_once(' ').ok_or(Fault::Line)?;
            let (cluster, of) = (below(number(cluster)?, CLUSTERS)?, below(number(of)?, CLUSTERS)?);
            if cluster == 0 {
                return Err(Fault::Range);
            }
            Ok(Spelt { record: Record::Further { cluster, of }, raw: "" })
        }
        "metric" => {
            let (pmid, raw) = rest.split_once(' ').ok_or(Fault::Line)?;
            let ((cluster, item), name) = (metric(pmid)?, named(raw, scratch)?);
            Ok(Spelt { record: Record::Metric { cluster, item, name }, raw })
        }
        "instance" => instance(rest, scratch),
        _ => Err(Fault::Line),
    }
}

fn instance<'a: 'b, 'b>(rest: &'a str, scratch: &'b mut String) -> Result<Spelt<'a, 'b>, Fault> {
    let (pmid, rest) = rest.split_once(' ').ok_or(Fault::Line)?;
    let (id, rest) = rest.split_once(' ').ok_or(Fault::Line)?;
    // An editor may have taken the blank before an empty name.
    let (sign, raw) = rest.split_once(' ').unwrap_or((rest, ""));
    let prefixed = match sign {
        "+" => true,
        "=" => false,
        _ => return Err(Fault::Line),
    };
    let ((cluster, item), id) = (metric(pmid)?, number(id)?);
    if id >= INSTANCES {
        return Err(Fault::Range);
    }
    let name = unescape(raw, scratch)?;
    Ok(Spelt { record: Record::Instance { cluster, item, id, prefixed, name }, raw })
}

fn metric(text: &str) -> Result<(u16, u16), Fault> {
    let (cluster, item) = text.split_once('.').ok_or(Fault::Line)?;
    let cluster = below(number(cluster)?, CLUSTERS)?;
    let item = below(number(item)?, ITEMS)?;
    if cluster == 0 { Err(Fault::Range) } else { Ok((cluster, item)) }
}

/// A number in its one spelling.
fn number(text: &str) -> Result<u32, Fault> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !canonical || text.is_empty() {
        return Err(Fault::Line);
    }
    text.parse().map_err(|_| Fault::Range)
}

fn below(number: u32, end: u16) -> Result<u16, Fault> {
    u16::try_from(number).ok().filter(|&number| number < end).ok_or(Fault::Range)
}

/// A name that is not empty.
fn named<'a: 'b, 'b>(raw: &'a str, scratch: &'b mut String) -> Result<&'b str, Fault> {
    if raw.is_empty() { Err(Fault::Line) } else { unescape(raw, scratch) }
}

fn unescape<'a: 'b, 'b>(raw: &'a str, scratch: &'b mut String) -> Result<&'b str, Fault> {
    // One look without a branch per byte.
    let (control, escape) = raw.bytes().fold((false, false), |(control, escape), byte| {
        (control | byte.is_ascii_control(), escape | (byte == b'\\'))
    });
    if control {
        return Err(Fault::Line);
    }
    if !escape {
        return Ok(raw);
    }
    scratch.clear();
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        scratch.push_str(plain);
        rest = if let Some(rest) = escape.strip_prefix('\\') {
            scratch.push('\\');
            rest
        } else {
            let digits = escape.strip_prefix('x').and_then(|rest| rest.split_at_checked(2));
            let (digits, rest) = digits.ok_or(Fault::Line)?;
            let byte = u8::from_str_radix(digits, 16).map_err(|_| Fault::Line)?;
            if !byte.is_ascii_control() || digits != format!("{byte:02x}") {
                return Err(Fault::Line);
            }
            scratch.push(char::from(byte));
            rest
        };
    }
    scratch.push_str(rest);
    Ok(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(record: Record<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, record);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_record_reads_as_it_was_written() {
        for name in
            ["a", "é 日本 😀", "q\"uote", "back\\slash", "nl\nhere", "\\x0a", "\0\x1b\x7f\r\t", " a  "]
        {
            for record in [
                Record::Source { cluster: 4095, name },
                Record::Further { cluster: 7, of: 1 },
                Record::Metric { cluster: 1, item: 1023, name },
                Record::Instance { cluster: 1, item: 0, id: INSTANCES - 1, prefixed: true, name },
                Record::Instance { cluster: 1, item: 0, id: 0, prefixed: false, name },
                Record::Instance { cluster: 1, item: 0, id: 0, prefixed: true, name: "" },
            ] {
                let line = line(record);
                let body = line.strip_suffix('\n').unwrap();
                assert!(!body.contains(char::is_control), "{body:?}");
                assert_eq!(parse(body.as_bytes(), &mut String::new()).map(|spelt| spelt.record), Ok(record));
            }
        }
    }

    #[test]
    fn a_line_is_as_the_manual_says() {
        let record = Record::Instance { cluster: 1, item: 2, id: 3, prefixed: true, name: "a:\\ b:\n" };
        assert_eq!(line(record), "instance 1.2 3 + a:\\\\ b:\\x0a\n");
        assert_eq!(line(Record::Source { cluster: 1, name: "a.b" }), "source 1 a.b\n");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for (line, fault) in [
            (&b"source"[..], Fault::Line),
            (b"source 1", Fault::Line),
            (b"source 1 ", Fault::Line),
            (b"source 0 a", Fault::Range),
            (b"source 4096 a", Fault::Range),
            (b"source 01 a", Fault::Line),
            (b"source +1 a", Fault::Line),
            (b"source 99999999999 a", Fault::Range),
            (b"source 1 \xff", Fault::Line),
            (b"source 1 a\0", Fault::Line),
            (b"source 1 a\\", Fault::Line),
            (b"source 1 a\\x", Fault::Line),
            (b"source 1 a\\x0A", Fault::Line),
            (b"source 1 a\\x41", Fault::Line),
            (b"source 1 a\\x+1", Fault::Line),
            (b"further 0 1", Fault::Range),
            (b"metric 1.1024 a", Fault::Range),
            (b"metric 1 a", Fault::Line),
            (b"instance 1.1 2147483648 + a", Fault::Range),
            (b"instance 1.1 0 - a", Fault::Line),
            (b"instance 1.1 0", Fault::Line),
            (b"item 1.1 0", Fault::Line),
        ] {
            let text = String::from_utf8_lossy(line);
            assert_eq!(parse(line, &mut String::new()).unwrap_err(), fault, "{text}");
        }
    }
}
