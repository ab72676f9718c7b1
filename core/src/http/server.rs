//! The server's side of HTTP/1.1: what a request says, and nothing that two readers could take differently.
//!
//! A request is read strictly: lines end with CR LF, fields are not folded, Host and Content-Length come once, and a
//! body is never read. What is refused says with which [`Status`]; after most refusals the connection cannot go on, for
//! where the next request would begin is anybody's guess.

use core::str;

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
        for word in self.fields("accept-encoding").flat_map(|value| value.split(',')) {
            let mut parts = word.split(';').map(str::trim_ascii);
            let Some(coding) = parts.next() else { continue };
            let quality = parts.find_map(quality).unwrap_or(1000);
            let known = if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                &mut gzip
            } else if coding == "*" {
                &mut any
            } else if coding.eq_ignore_ascii_case("identity") {
                &mut plain
            } else {
                continue;
            };
            *known = Some(quality);
        }
        let gzip: u16 = gzip.or(any).unwrap_or(0);
        gzip > 0 && gzip >= plain.unwrap_or(0)
    }
}

/// A quality, in thousandths, where the parameter is one. RFC 9110, section 12.4.2.
fn quality(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim_ascii().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim_ascii().split_once('.').unwrap_or_else(|| (value.trim_ascii(), ""));
    let mut thousandths: u16 = match whole {
        "0" => 0,
        "1" => return part.bytes().all(|digit| digit == b'0').then_some(1000).or(Some(0)),
        _ => return Some(0),
    };
    let mut weight = 100u16;
    for digit in part.bytes() {
        let Some(digit) = digit.checked_sub(b'0').filter(|digit| *digit < 10) else { return Some(0) };
        thousandths = thousandths.saturating_add(u16::from(digit).saturating_mul(weight));
        weight /= 10;
    }
    Some(thousandths)
}

/// What the head of a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    let (name, rest) = line.split_at_checked(memchr::memchr(b':', line)?)?;
    let value = rest.get(1..)?.trim_ascii();
    is_token(name).then_some((name, value))
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
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                if *major != b'1' {
                    return Err(Status::VERSION);
                }
                false
            }
            _ => return Err(Status::BAD_REQUEST),
        };
        if !is_token(method) {
            return Err(Status::BAD_REQUEST);
        }
        let method = match method {
            b"GET" => Some(Method::Get),
            b"HEAD" => Some(Method::Head),
            b"OPTIONS" => Some(Method::Options),
            b"POST" | b"PUT" | b"DELETE" | b"PATCH" | b"TRACE" | b"CONNECT" => None,
            _ => return Err(Status::NOT_IMPLEMENTED),
        };
        let target = str::from_utf8(target).map_err(|_| Status::BAD_REQUEST)?;
        let (path, query) = if method.is_none() { ("/", "") } else { split(target, method)? };
        Ok(Self { method, path, query, is_old })
    }
}

/// Path and query of a target. RFC 9112, section 3.2.
fn split(target: &str, method: Option<Method>) -> Result<(&str, &str), Status> {
    if target.contains(|c: char| c == '#' || c.is_whitespace() || c.is_control()) {
        return Err(Status::BAD_REQUEST);
    }
    if target == "*" && method == Some(Method::Options) {
        return Ok(("*", ""));
    }
    let local = if target.starts_with('/') {
        target
    } else {
        let (scheme, rest) = target.split_once("://").ok_or(Status::BAD_REQUEST)?;
        let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, local) = rest.split_at_checked(end).ok_or(Status::BAD_REQUEST)?;
        if !known || !is_host(authority.as_bytes()) || authority.is_empty() {
            return Err(Status::BAD_REQUEST);
        }
        local
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Ok((if path.is_empty() { "/" } else { path }, query))
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
            for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
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
    query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (!name.is_empty()).then_some((Encoded(name), Encoded(value)))
    })
}

/// A name or a value of a query, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a>(&'a str);

impl<'a> Encoded<'a> {
    /// As sent.
    pub const fn raw(self) -> &'a str {
        self.0
    }

    /// What it means: `%XX` is a byte and `+` a blank. A `%` before anything else is itself.
    pub fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
        let mut rest = self.0.as_bytes();
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

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => byte.checked_sub(b'0'),
        b'a'..=b'f' => byte.checked_sub(b'a' - 10),
        b'A'..=b'F' => byte.checked_sub(b'A' - 10),
        _ => None,
    }
}
