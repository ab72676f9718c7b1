//! The server's side of HTTP/1.1: what a request says, and nothing that two readers could take differently.
//!
//! A request is read strictly: lines end with CR LF, fields are not folded, Host and Content-Length come once, and a
//! body is never read. What is refused says with which [`Status`]; after most refusals the connection cannot go on, for
//! where the next request would begin is anybody's guess.

use core::str;

use crate::text::{self, halves};

use super::hex;

/// A status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status(u16);

impl Status {
    /// The page follows.
    pub const OK: Self = Self(200);
    /// There is nothing to say.
    pub const NO_CONTENT: Self = Self(204);
    /// The request is none.
    pub const BAD_REQUEST: Self = Self(400);
    /// Who asks has not said who it is.
    pub const UNAUTHORIZED: Self = Self(401);
    /// Who asks may not.
    pub const FORBIDDEN: Self = Self(403);
    /// There is no such path.
    pub const NOT_FOUND: Self = Self(404);
    /// Nothing can be done to it but reading.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// The request did not come in time.
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// The request has a body.
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    /// The request line is too long.
    pub const URI_TOO_LONG: Self = Self(414);
    /// More is expected than an answer.
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// The head is too long.
    pub const FIELDS_TOO_LARGE: Self = Self(431);
    /// The method or the coding of the body is none that is known.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// Not now.
    pub const UNAVAILABLE: Self = Self(503);
    /// This is not HTTP/1.
    pub const VERSION: Self = Self(505);

    /// A status of an answer, from 200 to 599; what is none becomes 500.
    pub const fn new(code: u16) -> Self {
        if code >= 200 && code < 600 { Self(code) } else { Self(500) }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The words that go with it, for people.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            204 => "No Content",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            504 => "Gateway Timeout",
            505 => "HTTP Version Not Supported",
            _ => "Other",
        }
    }
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Method {
    /// Give the page.
    Get,
    /// Give its head.
    Head,
    /// Say what may be done.
    Options,
}

/// A request whose head is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// What is to be done.
    pub method: Method,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// What follows the question mark, as sent.
    pub query: &'a str,
    /// The lines of its fields, with their ends.
    fields: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value of the first field of this name, whatever its case. One that is no text is not found.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields(name).next()
    }

    /// The values of all fields of this name, whatever its case.
    pub fn fields<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        Lines(self.fields).filter_map(|line| field(line.ok()?)).filter_map(move |(known, value)| {
            let same = known.eq_ignore_ascii_case(name.as_bytes());
            if same { str::from_utf8(value).ok() } else { None }
        })
    }

    /// Whether the answer should be packed by gzip: it is wanted at least as much as plain text.
    pub fn wants_gzip(&self) -> bool {
        let (mut gzip, mut any, mut plain) = (None, None, None);
        for word in self.fields("accept-encoding").flat_map(|value| parts(value.as_bytes(), b',')) {
            let mut parts = parts(word, b';');
            let Some(coding) = parts.next() else { continue };
            let known = if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                &mut gzip
            } else if coding == b"*" {
                &mut any
            } else if coding.eq_ignore_ascii_case(b"identity") {
                &mut plain
            } else {
                continue;
            };
            *known = Some(parts.find_map(quality).unwrap_or(1000));
        }
        let gzip: u16 = gzip.or(any).unwrap_or(0);
        gzip > 0 && gzip >= plain.unwrap_or(0)
    }
}

/// What stands between the separators, without the blanks around it.
fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| *byte == separator).map(<[u8]>::trim_ascii)
}

/// The weight that a parameter is, if it is one.
fn quality(parameter: &[u8]) -> Option<u16> {
    let (name, value) = halves(parameter, b'=')?;
    name.trim_ascii().eq_ignore_ascii_case(b"q").then(|| weight(value.trim_ascii()))
}

/// A weight, in thousandths; what is no number is none at all. RFC 9110, section 12.4.2.
pub(crate) fn weight(value: &[u8]) -> u16 {
    let (mut thousandths, mut weight) = (0u16, 1000u16);
    for (place, byte) in value.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => {
                thousandths = thousandths.saturating_add(u16::from(digit).saturating_mul(weight));
                weight /= 10;
            }
            _ if *byte == b'.' && place == 1 => {}
            _ => return 0,
        }
    }
    thousandths.min(1000)
}

/// What the head of a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head<'a> {
    /// The request.
    pub request: Request<'a>,
    /// The bytes that it has.
    pub len: usize,
    /// Whether it is of HTTP/1.0, which knows no chunks.
    pub is_old: bool,
    /// Whether the connection may serve another request after it.
    pub keep_alive: bool,
}

/// A request that gets no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refused {
    /// What it gets instead.
    pub status: Status,
    /// The bytes that it has where the connection can go on behind it.
    pub len: Option<usize>,
    /// Whether it is of HTTP/1.0.
    pub is_old: bool,
    /// Whether the body of the answer stays away, for only its head was asked for.
    pub is_head: bool,
}

impl Refused {
    const fn new(status: Status) -> Self {
        Self { status, len: None, is_old: false, is_head: false }
    }
}

impl<'a> Head<'a> {
    /// Parses a head from the front of `input`: `None` is one still arriving, to be called again with all of it.
    ///
    /// The request line may have `max_line` bytes, all of the head `max_head`. What is answered does not depend on how
    /// the input is cut: a bad line is told as soon as it is whole, and nothing behind it matters.
    pub fn parse(input: &'a [u8], max_line: usize, max_head: usize) -> Result<Option<Self>, Refused> {
        let bad = Refused::new(Status::BAD_REQUEST);
        // What lies behind a limit is not looked at, so that it cannot matter whether it has come.
        let within = |limit: usize| input.get(..limit).unwrap_or(input);
        let mut first = Lines(within(max_line.min(max_head).saturating_add(END)));
        let line = match first.next() {
            Some(Ok(line)) => Line::parse(line).map_err(Refused::new)?,
            Some(Err(BareEnd)) => return Err(bad),
            None if input.len() > max_line.min(max_head).saturating_add(1) => {
                return Err(Refused::new(Status::URI_TOO_LONG));
            }
            None => return Ok(None),
        };
        let mut lines = Lines(within(max_head));
        lines.next();
        let (fields, mut seen) = (lines.0, Fields::default());
        let mut before = fields.len();
        loop {
            match lines.next() {
                Some(Ok([])) => break,
                Some(Ok(text)) => {
                    let (name, value) = field(text).ok_or(bad)?;
                    seen.note(name, value).map_err(Refused::new)?;
                }
                Some(Err(BareEnd)) => return Err(bad),
                None if input.len() >= max_head => return Err(Refused::new(Status::FIELDS_TOO_LARGE)),
                None => return Ok(None),
            }
            before = lines.0.len();
        }
        let len = within(max_head).len().saturating_sub(lines.0.len());
        let fields = fields.get(..fields.len().saturating_sub(before)).unwrap_or_default();
        seen.settle(line, fields, len).map(Some)
    }
}

/// The bytes of a line's end.
const END: usize = 2;

/// A line that ends with a line feed alone, or has a carriage return in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BareEnd;

/// Whole lines without their ends. A control character is told before the end of its line is there.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], BareEnd>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.0.iter().position(|byte| byte.is_ascii_control() && *byte != b'\t')?;
        let (line, rest) = self.0.split_at_checked(end)?;
        match rest {
            [b'\r', b'\n', rest @ ..] => {
                self.0 = rest;
                Some(Ok(line))
            }
            [b'\r'] => None,
            _ => Some(Err(BareEnd)),
        }
    }
}

/// Name and value of a field. A folded line is none, nor is a name with blanks.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = halves(line, b':')?;
    is_token(name).then_some((name, value.trim_ascii()))
}

/// RFC 9110, section 5.6.2.
fn is_token(word: &[u8]) -> bool {
    !word.is_empty()
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// A request line.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// `None` is one that is known and not allowed.
    method: Option<Method>,
    path: &'a str,
    query: &'a str,
    is_old: bool,
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, Status> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Status::BAD_REQUEST);
        };
        let (is_old, is_new) = (version == b"HTTP/1.0", version == b"HTTP/1.1");
        if !is_old && !is_new {
            let [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version else {
                return Err(Status::BAD_REQUEST);
            };
            if !major.is_ascii_digit() || !minor.is_ascii_digit() {
                return Err(Status::BAD_REQUEST);
            }
            if *major != b'1' {
                return Err(Status::VERSION);
            }
        }
        if !is_token(method) {
            return Err(Status::BAD_REQUEST);
        }
        let method = match METHODS.iter().find(|(name, _)| name.as_bytes() == method) {
            Some((_, method)) => *method,
            None => return Err(Status::NOT_IMPLEMENTED),
        };
        let (path, query) = if method.is_none() { (&b"/"[..], &b""[..]) } else { split(target, method)? };
        let text = |bytes| str::from_utf8(bytes).map_err(|_| Status::BAD_REQUEST);
        Ok(Self { method, path: text(path)?, query: text(query)?, is_old })
    }
}

/// The methods of RFC 9110 and PATCH, and those of them that are answered.
const METHODS: [(&str, Option<Method>); 9] = [
    ("GET", Some(Method::Get)),
    ("HEAD", Some(Method::Head)),
    ("OPTIONS", Some(Method::Options)),
    ("POST", None),
    ("PUT", None),
    ("DELETE", None),
    ("PATCH", None),
    ("TRACE", None),
    ("CONNECT", None),
];

/// Path and query of a target. RFC 9112, section 3.2.
#[cfg_attr(target_pointer_width = "32", inline(never))]
fn split(target: &[u8], method: Option<Method>) -> Result<(&[u8], &[u8]), Status> {
    if target.iter().any(|byte| matches!(byte, b'#' | b'\t' | 0x7f)) {
        return Err(Status::BAD_REQUEST);
    }
    if target == b"*" && method == Some(Method::Options) {
        return Ok((target, b""));
    }
    let local = if target.first() == Some(&b'/') {
        target
    } else {
        behind_host(target).ok_or(Status::BAD_REQUEST)?
    };
    let (path, query) = halves(local, b'?').unwrap_or((local, b""));
    Ok((if path.is_empty() { b"/" } else { path }, query))
}

/// What follows scheme and host in a whole URL.
fn behind_host(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = halves(target, b':')?;
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let rest = text::behind(rest, b"//").filter(|_| known)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (host, local) = rest.split_at_checked(end)?;
    (is_host(host) && !host.is_empty()).then_some(local)
}

/// Whether this may be a host with its port.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte))
}

/// The fields that matter, as far as they were read.
#[derive(Default)]
struct Fields {
    host: bool,
    length: Option<u64>,
    transfer: bool,
    expects: bool,
    close: bool,
    keep: bool,
}

impl Fields {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Status> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"host") {
            if self.host || !is_host(value) {
                return Err(Status::BAD_REQUEST);
            }
            self.host = true;
        } else if is(b"content-length") {
            if self.length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return Err(Status::BAD_REQUEST);
            }
            // Whatever is not nothing is too much.
            self.length = Some(u64::from(value.iter().any(|digit| *digit != b'0')));
        } else if is(b"transfer-encoding") {
            self.transfer = true;
        } else if is(b"expect") {
            self.expects |= !value.eq_ignore_ascii_case(b"100-continue");
        } else if is(b"connection") {
            for word in parts(value, b',') {
                self.close |= word.eq_ignore_ascii_case(b"close");
                self.keep |= word.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    /// What the head as a whole comes to.
    fn settle<'a>(self, line: Line<'a>, fields: &'a [u8], len: usize) -> Result<Head<'a>, Refused> {
        let has_body = self.transfer || self.length.is_some_and(|length| length > 0);
        let is_head = line.method == Some(Method::Head);
        let keep_alive = if line.is_old { self.keep && !self.close } else { !self.close };
        let refused = |status| {
            Err(Refused {
                status,
                len: (keep_alive && !has_body).then_some(len),
                is_old: line.is_old,
                is_head,
            })
        };
        // Two lengths, or chunks where there are none: somebody before us may have read this otherwise.
        if (self.transfer && (self.length.is_some() || line.is_old)) || (!self.host && !line.is_old) {
            return Err(Refused { is_head, ..Refused::new(Status::BAD_REQUEST) });
        }
        if self.transfer {
            return refused(Status::NOT_IMPLEMENTED);
        }
        let Some(method) = line.method else { return refused(Status::METHOD_NOT_ALLOWED) };
        if has_body {
            return refused(Status::CONTENT_TOO_LARGE);
        }
        if self.expects {
            return refused(Status::EXPECTATION_FAILED);
        }
        let request = Request { method, path: line.path, query: line.query, fields };
        Ok(Head { request, len, is_old: line.is_old, keep_alive })
    }
}

/// Names and values of a query, split at `&` and at the first `=` of each. What has no name is passed over.
pub fn pairs(query: &str) -> impl Iterator<Item = (Encoded<'_>, Encoded<'_>)> {
    query.as_bytes().split(|byte| *byte == b'&').filter_map(|pair| {
        let (name, value) = halves(pair, b'=').unwrap_or((pair, b""));
        (!name.is_empty()).then_some((Encoded(name), Encoded(value)))
    })
}

/// A name or a value of a query, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Encoded<'a>(&'a [u8]);

impl<'a> Encoded<'a> {
    /// As sent.
    pub const fn raw(self) -> &'a [u8] {
        self.0
    }

    /// What it means: `%XX` is a byte and `+` a blank. A `%` before anything else is itself.
    pub fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (byte, after) = match rest {
                [] => return None,
                [b'%', high, low, after @ ..] if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                    (high << 4 | low, after)
                }
                [b'+', after @ ..] => (b' ', after),
                [byte, after @ ..] => (*byte, after),
            };
            rest = after;
            Some(byte)
        })
    }

    /// Whether it means this text.
    pub fn is(self, text: &str) -> bool {
        self.bytes().eq(text.bytes())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String, vec::Vec};

    fn parse(text: &str) -> Result<Option<Head<'_>>, Refused> {
        Head::parse(text.as_bytes(), 100, 300)
    }

    fn status(text: &str) -> u16 {
        parse(text).unwrap_err().status.code()
    }

    #[test]
    fn a_request_says_what_it_wants_of_whom() {
        for (line, method, path, query) in [
            ("GET / HTTP/1.1", Method::Get, "/", ""),
            ("HEAD /metrics HTTP/1.1", Method::Head, "/metrics", ""),
            ("GET /metrics?names=a,b&x=%3D=y HTTP/1.1", Method::Get, "/metrics", "names=a,b&x=%3D=y"),
            ("GET /m%20x? HTTP/1.1", Method::Get, "/m%20x", ""),
            ("GET //x?? HTTP/1.0", Method::Get, "//x", "?"),
            ("GET http://host:80/metrics?a HTTP/1.1", Method::Get, "/metrics", "a"),
            ("GET HTTPS://[::1] HTTP/1.1", Method::Get, "/", ""),
            ("GET http://host?a=b HTTP/1.1", Method::Get, "/", "a=b"),
            ("OPTIONS * HTTP/1.1", Method::Options, "*", ""),
            ("GET /ü HTTP/1.9", Method::Get, "/ü", ""),
        ] {
            let text = format!("{line}\r\nHost: x\r\n\r\nrest");
            let head = parse(&text).unwrap().unwrap();
            assert_eq!((head.request.method, head.request.path, head.request.query), (method, path, query));
            assert_eq!(head.len, text.len() - 4, "{line}");
        }
    }

    #[test]
    fn a_request_that_two_could_read_differently_is_refused() {
        for (head, want) in [
            ("GET  / HTTP/1.1\r\nHost: x", 400),
            ("GET / HTTP/1.1 \r\nHost: x", 400),
            (" GET / HTTP/1.1\r\nHost: x", 400),
            ("GET\t/ HTTP/1.1\r\nHost: x", 400),
            ("GET /", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nHost: x", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nhOST: x", 400),
            ("GET / HTTP/1.1\r\nHost: a, b", 400),
            ("GET / HTTP/1.1\r\nHost: a/b", 400),
            ("GET / HTTP/1.1", 400),
            ("GET / HTTP/1.1\r\nHost : x", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c", 400),
            ("GET / HTTP/1.1\r\n Host: x", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\n: b", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nno colon", 400),
            ("GET / HTTP/1.1\r\nHost: x\nA: b", 400),
            ("GET / HTTP/1.1\nHost: x", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: \0", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +0", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length:", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked", 400),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked", 400),
            ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked", 501),
            ("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity", 501),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1", 413),
            ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999", 413),
            ("GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok", 417),
            ("GET /#x HTTP/1.1\r\nHost: x", 400),
            ("GET metrics HTTP/1.1\r\nHost: x", 400),
            ("GET ftp://x/ HTTP/1.1\r\nHost: x", 400),
            ("GET http:///x HTTP/1.1\r\nHost: x", 400),
            ("GET http://a@b/x HTTP/1.1\r\nHost: x", 400),
            ("GET * HTTP/1.1\r\nHost: x", 400),
            ("GET / HTTP/1\r\nHost: x", 400),
            ("GET / http/1.1\r\nHost: x", 400),
            ("GET / HTTP/2.0\r\nHost: x", 505),
            ("PRI * HTTP/2.0\r\n", 505),
            ("POST / HTTP/1.1\r\nHost: x", 405),
            ("CONNECT a:80 HTTP/1.1\r\nHost: x", 405),
            ("BREW / HTTP/1.1\r\nHost: x", 501),
            ("get / HTTP/1.1\r\nHost: x", 501),
            ("G(T / HTTP/1.1\r\nHost: x", 400),
            ("\u{16}\u{3}\u{1}", 400),
        ] {
            assert_eq!(status(&format!("{head}\r\n\r\n")), want, "{head:?}");
        }
        assert_eq!(
            Head::parse(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 100, 300).unwrap_err().status.code(),
            400
        );
    }

    #[test]
    fn the_connection_goes_on_only_behind_what_is_understood() {
        let keeps = |text: &str| parse(text).unwrap_err().len == Some(text.len());
        assert!(keeps("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(keeps("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert!(!keeps("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"));
        assert!(!keeps("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        assert!(!keeps("DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        for (text, keep) in [
            ("HTTP/1.1\r\nHost: x", true),
            ("HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive", true),
            ("HTTP/1.1\r\nHost: x\r\nConnection: x, Close", false),
            ("HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive", false),
            ("HTTP/1.0", false),
            ("HTTP/1.0\r\nConnection: Keep-Alive", true),
        ] {
            let text = format!("GET / {text}\r\n\r\n");
            assert_eq!(parse(&text).unwrap().unwrap().keep_alive, keep, "{text}");
        }
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let text = "GET / HTTP/1.1\r\nhost: x\r\nACCEPT:  a \r\naccept:b\r\nX-Bin: \u{fc}\r\nexpect: 100-Continue\r\n\r\n";
        let request = parse(text).unwrap().unwrap().request;
        assert_eq!(request.field("Accept"), Some("a"));
        assert_eq!(request.fields("aCCEPT").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.field("x-bin"), Some("\u{fc}"));
        assert_eq!(request.field("accep"), None);
    }

    #[test]
    fn a_head_has_limits_however_it_comes() {
        let line = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(n - 14));
        assert!(parse(&line(100)).unwrap().is_some());
        assert_eq!(status(&line(101)), 414);
        let head = |n: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(n - 32));
        assert_eq!(parse(&head(300)).unwrap().unwrap().len, 300);
        assert_eq!(status(&head(301)), 431);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nA: {}\0\r\n\r\n", "x".repeat(400))), 431);
    }

    /// What comes of this input when it grows by so many bytes at a time.
    fn grown(input: &[u8], by: usize) -> Option<Result<(usize, Status), Refused>> {
        let mut to = 0;
        while to < input.len() {
            to = to.saturating_add(by).min(input.len());
            match Head::parse(&input[..to], 100, 300) {
                Ok(None) => {}
                Ok(Some(head)) => return Some(Ok((head.len, Status::OK))),
                Err(refused) => return Some(Err(refused)),
            }
        }
        None
    }

    #[test]
    fn what_is_refused_does_not_depend_on_how_it_comes() {
        let good = "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        let mut random = 1u32;
        for round in 0..3000 {
            let mut text: Vec<u8> = good.into();
            for _ in 0..round % 4 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = random as usize % text.len();
                match random >> 28 {
                    0..4 => drop(text.remove(at)),
                    4..8 => text.insert(at, b"\r\n :\0x\t\xff"[random as usize >> 20 & 7]),
                    8..10 => text.splice(at..at, *b"\r\n").for_each(drop),
                    10..12 => text.splice(at..at, [b'x'; 150]).for_each(drop),
                    _ => text[at] = b"\r\n :\0x\t/"[random as usize >> 20 & 7],
                }
            }
            let want = grown(&text, usize::MAX / 2);
            for by in [1, 2, 7, 50] {
                assert_eq!(grown(&text, by), want, "{by}: {:?}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn gzip_is_given_where_it_is_wanted_most() {
        for (fields, want) in [
            ("", false),
            ("Accept-Encoding: gzip", true),
            ("accept-encoding: GZIP", true),
            ("Accept-Encoding: gzip;q=1.0", true),
            ("Accept-Encoding: gzip,deflate", true),
            ("Accept-Encoding: br, x-gzip ; Q=0.3", true),
            ("Accept-Encoding: *", true),
            ("Accept-Encoding: br\r\nAccept-Encoding: gzip", true),
            ("Accept-Encoding: gzip;q=0", false),
            ("Accept-Encoding: gzip; q=0.000", false),
            ("Accept-Encoding: gzip;q=0, *", false),
            ("Accept-Encoding: *;q=0", false),
            ("Accept-Encoding: identity", false),
            ("Accept-Encoding: gzip;q=0.5, identity", false),
            ("Accept-Encoding: gzip;q=0.001", true),
            ("Accept-Encoding: gzip;q=x", false),
            ("Accept-Encoding: gzipped, agzip", false),
            ("Accept-Encoding: ", false),
        ] {
            let text = format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{fields}{}\r\n",
                if fields.is_empty() { "" } else { "\r\n" }
            );
            assert_eq!(parse(&text).unwrap().unwrap().request.wants_gzip(), want, "{fields}");
        }
    }

    #[test]
    fn a_query_is_split_at_the_first_equals() {
        let read = |query: &str| {
            let text = |encoded: Encoded<'_>| {
                String::from_utf8_lossy(&encoded.bytes().collect::<Vec<_>>()).into_owned()
            };
            pairs(query).map(|(name, value)| (text(name), text(value))).collect::<Vec<_>>()
        };
        let pair = |name: &str, value: &str| (String::from(name), String::from(value));
        assert_eq!(
            read("expr=add,indom=60.2&a+b=%c3%BC%3d&&=x&names&z=1%zz%4"),
            [pair("expr", "add,indom=60.2"), pair("a b", "ü="), pair("names", ""), pair("z", "1%zz%4")]
        );
        assert!(pairs("n%61mes=").all(|(name, value)| name.is("names") && value.is("")));
    }
}
