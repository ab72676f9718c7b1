//! The head of a response says how its body ends, and whether the connection outlives it.

use super::{Error, body::Framing};
use crate::text;

/// What a scrape needs of the head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// How the body ends.
    pub body: Framing,
    /// Whether the connection may serve another request when the body is read.
    pub keep_alive: bool,
    /// Whether the body has a coding, which [`content_coding`] names.
    pub coded: bool,
}

impl Head {
    /// Parses a head from the front of `input`, and says how many bytes it has. `None` is a head still arriving; to
    /// be called again with all of it.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Error> {
        let known = input.get(..VERSION.len()).unwrap_or(input);
        if !VERSION.starts_with(known) {
            return Err(Error::Head);
        }
        let mut lines = Lines(input);
        let Some(first) = lines.next() else { return arriving(input) };
        let (minor, status) = status(first).ok_or(Error::Head)?;
        let mut fields = Fields { keep_alive: minor > 0, ..Fields::default() };
        for line in lines.by_ref() {
            if line.is_empty() {
                let len = input.len().saturating_sub(lines.0.len());
                return if len <= MAX_HEAD {
                    Ok(Some((fields.head(status, minor)?, len)))
                } else {
                    Err(Error::HeadLong)
                };
            }
            let (name, value) = field(line).ok_or(Error::Head)?;
            fields.note(name, value)?;
        }
        arriving(input)
    }

    /// Whether this head is followed by another, that of the answer itself.
    pub const fn is_informational(&self) -> bool {
        self.status < 200
    }
}

/// Where the answer at the front of `input` says that the document is: once its head is whole, if it says so.
pub fn location(input: &[u8]) -> Option<&[u8]> {
    value(input, b"location")
}

/// The coding that the answer at the front of `input` says its body has. `None` where it has several.
pub fn content_coding(input: &[u8]) -> Option<&[u8]> {
    value(input, b"content-encoding")
}

/// The value of a field, if the answer's head has just one of this name. Heads before that of the answer are passed over.
fn value<'a>(input: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = input;
    loop {
        let (head, len) = Head::parse(rest).ok()??;
        let (this, after) = rest.split_at_checked(len)?;
        if head.is_informational() {
            rest = after;
            continue;
        }
        let fields = Lines(this).skip(1).filter_map(field);
        let mut values = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        return values.next().filter(|_| values.next().is_none());
    }
}

fn arriving(input: &[u8]) -> Result<Option<(Head, usize)>, Error> {
    if input.len() <= MAX_HEAD { Ok(None) } else { Err(Error::HeadLong) }
}

/// Whole lines without their ends. A line feed alone ends one too: RFC 9112, section 2.2.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = text::halves(self.0, b'\n')?;
        self.0 = rest;
        Some(text::bare(line))
    }
}

/// Minor version and code of a status line. The reason is for people.
fn status(line: &[u8]) -> Option<(u8, u16)> {
    let (minor, rest) = text::behind(line, VERSION)?.split_first()?;
    let minor = digit(*minor)?;
    let (code, rest) = text::behind(rest, b" ")?.split_first_chunk::<3>()?;
    let code = u16::try_from(decimal(code)?).ok()?;
    (code >= 100 && matches!(rest.first(), None | Some(b' '))).then_some((minor, code))
}

/// Name and value of a field. A folded line is none, nor is a name with blanks.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = text::halves(line, b':')?;
    let value = value.trim_ascii();
    let named = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    let clean = value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control());
    (named && clean).then_some((name, value))
}

/// The fields that matter, as far as they were read.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    transfer: bool,
    /// The transfer is coded otherwise than in chunks.
    encoded: bool,
    coded: bool,
    keep_alive: bool,
}

impl Fields {
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        if name.eq_ignore_ascii_case(b"content-length") {
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let length = decimal(word).filter(|_| !word.is_empty()).ok_or(Error::Length)?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(Error::Length);
                }
                self.length = Some(length);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer = true;
            for word in list(value) {
                // Chunked comes last and once; any coding before it was not asked for.
                self.encoded |= self.chunked || !word.eq_ignore_ascii_case(b"chunked");
                self.chunked = true;
            }
        } else if name.eq_ignore_ascii_case(b"content-encoding") {
            self.coded |= list(value).any(|word| !word.eq_ignore_ascii_case(b"identity"));
        } else if name.eq_ignore_ascii_case(b"connection") {
            for word in list(value) {
                if word.eq_ignore_ascii_case(b"close") {
                    self.keep_alive = false;
                    return Ok(());
                } else if word.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                }
            }
        }
        Ok(())
    }

    /// RFC 9112, section 6.3.
    fn head(self, status: u16, minor: u8) -> Result<Head, Error> {
        let bodiless = status < 200 || matches!(status, 204 | 304);
        let (body, ambiguous) = match (self.transfer, self.length) {
            _ if bodiless => (Framing::None, false),
            (true, _) if self.encoded => return Err(Error::Encoding),
            (true, length) => (Framing::Chunked, length.is_some() || minor == 0),
            (false, Some(0)) => (Framing::None, false),
            (false, Some(length)) => (Framing::Length(length), false),
            (false, None) => (Framing::UntilClose, true),
        };
        let coded = self.coded && body != Framing::None;
        Ok(Head { status, body, keep_alive: self.keep_alive && !ambiguous, coded })
    }
}

/// The elements of a comma-separated field.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty())
}

fn decimal(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |value, byte| value.checked_mul(10)?.checked_add(digit(*byte)?.into()))
}

fn digit(byte: u8) -> Option<u8> {
    byte.checked_sub(b'0').filter(|digit| *digit < 10)
}

/// What every response begins with.
const VERSION: &[u8] = b"HTTP/1.";

/// The bytes that a head may have.
pub const MAX_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    fn head(text: &str) -> Result<Option<(Head, usize)>, Error> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn fields_say_how_the_body_ends() {
        for (fields, body, keep_alive) in [
            ("HTTP/1.1 200 OK", Framing::UntilClose, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 12", Framing::Length(12), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 12, 12", Framing::Length(12), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0", Framing::None, true),
            ("HTTP/1.1 200\r\ncontent-length:5", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close", Framing::Length(12), false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: x, Close", Framing::Length(12), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 12", Framing::Length(12), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 12\r\nConnection: Keep-Alive", Framing::Length(12), true),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive",
                Framing::Chunked,
                false,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", Framing::Chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3", Framing::Chunked, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: identity", Framing::Length(3), true),
            ("HTTP/1.1 204 No Content", Framing::None, true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 12", Framing::None, true),
            ("HTTP/1.1 200 OK\nContent-Length: 5\nServer: gr\u{f6}\u{df}e\tx", Framing::Length(5), true),
            ("HTTP/1.1 200 OK\r\nX:\r\nContent-Length:\t5 ", Framing::Length(5), true),
            ("HTTP/1.1 100 Continue", Framing::None, true),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nContent-Encoding: gzip",
                Framing::Length(9),
                true,
            ),
        ] {
            let text = format!("{fields}\r\n\r\nbody");
            let (head, len) = head(&text).unwrap().unwrap();
            assert_eq!((head.body, head.keep_alive), (body, keep_alive), "{fields}");
            assert_eq!(len, text.len() - 4, "{fields}");
            assert_eq!(head.is_informational(), head.status == 100);
        }
    }

    #[test]
    fn a_head_that_cannot_be_trusted_is_refused() {
        for (fields, want) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 13", Error::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: +12", Error::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1x", Error::Length),
            ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616", Error::Length),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", Error::Encoding),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked", Error::Encoding),
            ("HTTP/2 200", Error::Head),
            ("SSH-2.0-OpenSSH_9.2", Error::Head),
            ("{\"a\": 1}", Error::Head),
            ("HTTP/1.1 abc OK", Error::Head),
            ("HTTP/1.1 99 OK", Error::Head),
            ("HTTP/1.1 2000 OK", Error::Head),
            ("HTTP/1.1 20", Error::Head),
            ("HTTP/1.1\t200 OK", Error::Head),
            ("HTTP/1.x 200 OK", Error::Head),
            ("\r\nHTTP/1.1 200 OK", Error::Head),
            ("HTTP/1.1 200 OK\r\nno colon", Error::Head),
            ("HTTP/1.1 200 OK\r\n: x", Error::Head),
            ("HTTP/1.1 200 OK\r\nContent-Length : 5", Error::Head),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c: folded", Error::Head),
            ("HTTP/1.1 200 OK\r\nA: b\rContent-Length: 5", Error::Head),
            ("HTTP/1.1 200 OK\r\nA: \0", Error::Head),
            ("HTTP/1.1 200 OK\r\nContent-Length:", Error::Length),
        ] {
            assert_eq!(head(&format!("{fields}\r\n\r\n")), Err(want), "{fields}");
        }
    }

    #[test]
    fn a_coded_body_is_told_with_its_coding() {
        for (fields, coded, coding) in [
            ("Content-Length: 5", false, None),
            ("Content-Length: 5\r\nContent-Encoding: identity", false, Some("identity")),
            ("Content-Length: 5\r\nContent-Encoding: GZip ", true, Some("GZip")),
            ("Content-Length: 5\r\nContent-Encoding: gzip, br", true, Some("gzip, br")),
            ("Content-Length: 5\r\nContent-Encoding: gzip\r\ncontent-encoding: br", true, None),
            ("Content-Length: 0\r\nContent-Encoding: gzip", false, Some("gzip")),
        ] {
            let text = format!("HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n{fields}\r\n\r\n12345");
            let at = text.find("HTTP/1.1 200").unwrap();
            let (head, _) = Head::parse(&text.as_bytes()[at..]).unwrap().unwrap();
            assert_eq!(head.coded, coded, "{fields}");
            assert_eq!(content_coding(text.as_bytes()), coding.map(str::as_bytes), "{fields}");
        }
    }

    #[test]
    fn a_location_is_found_once_the_head_is_whole() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nlocation:  /other?x \r\n\r\nbody";
        assert_eq!(location(text.as_bytes()), Some(&b"/other?x"[..]));
        for cut in 0..text.len() - 4 {
            assert_eq!(location(&text.as_bytes()[..cut]), None, "{cut}");
        }
        assert_eq!(location(b"HTTP/1.1 302 Found\r\nLocation: a\r\nLocation: b\r\n\r\n"), None);
        assert_eq!(location(b"HTTP/1.1 302 Found\r\nContent-Length: 1\r\n\r\n"), None);
    }

    #[test]
    fn every_head_cut_short_is_still_arriving() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nServer: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(Head::parse(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn a_head_has_limits() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(MAX_HEAD));
        assert_eq!(head(&long), Err(Error::HeadLong));
        assert_eq!(head(&format!("{long}\r\n\r\n")), Err(Error::HeadLong));
    }
}
