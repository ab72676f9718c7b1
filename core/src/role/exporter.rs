//! The exporter: the server's side of one HTTP connection, whose pages come from a [`Site`].
//!
//! It reads one request after the other, has the site answer each, and tells the client what is wrong with those that
//! are none. A page is promised with its length, or sent in chunks; what cannot be kept of a promise ends the connection
//! and is never covered up by words in the page.

use core::fmt;

use super::{Progress, Word};
use crate::{
    http::server::{Head, Method, Request, Status},
    time::{Duration, Instant},
    wire::Writer,
};

/// What stands behind an exporter.
pub trait Site {
    /// What a request gets. Asked again at each step while it says [`Later`](Answer::Later).
    fn answer(&mut self, request: &Request<'_>) -> Answer;

    /// Writes on with the body: how many bytes, and whether they were the last. None is "not now". A host that sends
    /// the body past the window says nothing here and tells the exporter ([`Exporter::passed`]).
    fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), Aborted>;

    /// The answer is out, or was not in time.
    fn end(&mut self);

    /// Further fields of all answers, each line with its CR LF. They stay the same while an answer's head goes out.
    fn fields(&self) -> &str {
        ""
    }
}

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a site says nothing else")]
pub enum Answer {
    /// It is not known yet.
    Later,
    /// A body of the site's.
    Page(Page),
    /// A status, with its own words as body.
    Status(Status),
}

/// What is promised of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a site makes it")]
pub struct Page {
    /// The status that it comes with.
    pub status: Status,
    /// What it is.
    pub content_type: &'static str,
    /// How long it is. Where nobody knows, it comes in chunks, or ends with the connection of a client that knows none.
    pub length: Option<u64>,
    /// Whether it is packed.
    pub gzip: bool,
    /// Whether others who ask for the same may get another one: in another format, or packed.
    pub varies: bool,
}

/// The site cannot write on: the connection ends where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to say")]
pub struct Aborted;

/// The conversation cannot go on: the connection is to be reset, so that nobody takes what came for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The site gave up in the middle of a page.
    Aborted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("page cannot be finished")
    }
}

impl core::error::Error for Error {}

/// What an exporter puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the host makes it")]
pub struct Limits {
    /// Bytes of a request line.
    pub line: usize,
    /// Bytes of a request as a whole; no more than the input window has.
    pub head: usize,
    /// How long a request may take to come, the first from the connection on.
    pub request: Duration,
    /// How long the connection may wait for another one.
    pub idle: Duration,
    /// How long an answer may take to be known.
    pub answer: Duration,
}

impl Limits {
    /// What suits a machine with memory.
    pub const DEFAULT: Self = Self {
        line: 8 << 10,
        head: 16 << 10,
        request: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        answer: Duration::from_secs(10),
    };
}

/// One connection.
#[derive(Debug)]
pub struct Exporter {
    limits: Limits,
    at: At,
    word: Word,
}

/// The place in a conversation.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Before all.
    New,
    /// Between requests, or before the first.
    Idle { by: Instant, first: bool },
    /// In the head of a request.
    Head { by: Instant },
    /// A request waits for what it gets.
    Waits { by: Instant },
    /// The head of an answer goes out, and all of a canned one.
    Answer(Reply),
    /// The body goes out; this much is left of what was promised.
    Plain { reply: Reply, left: Option<u64> },
    /// The body goes out in chunks.
    Chunks(Reply),
    /// The end of the chunks goes out.
    LastChunk(Reply),
    /// Nothing more goes out.
    Done,
}

/// What goes out.
#[derive(Debug, Clone, Copy)]
struct Reply {
    body: Body,
    /// Only the head was asked for.
    is_head: bool,
    is_old: bool,
    keep: bool,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Site(Page),
    Words(Status),
}

impl Exporter {
    /// One that has just been connected.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, at: At::New, word: Word(0) }
    }

    /// One that tells whoever connects this, and no more.
    pub const fn refusing(limits: Limits, status: Status) -> Self {
        Self { limits, at: At::Answer(Reply::last(status)), word: Word(0) }
    }

    /// Takes from `input`, writes to `output`, and says how far it got.
    ///
    /// Bytes of `input` that are not consumed must be offered again. What is answered does not depend on the windows,
    /// but for where chunks begin; those need an output window of [`MIN_WINDOW`].
    pub fn step(
        &mut self,
        site: &mut dyn Site,
        input: &[u8],
        output: &mut [u8],
        now: Instant,
    ) -> Result<Progress, Error> {
        let mut done = Progress::NONE;
        loop {
            let (rest, room) = (input.get(done.consumed..), output.get_mut(done.produced..));
            let (Some(rest), Some(room)) = (rest, room) else { return Ok(done) };
            let before = core::mem::discriminant(&self.at);
            let Progress { consumed, produced } = match self.at {
                At::New => {
                    self.at = At::Idle { by: now.saturating_add(self.limits.request), first: true };
                    Progress::NONE
                }
                At::Idle { .. } | At::Head { .. } | At::Waits { .. } => self.read(site, rest, now),
                At::Answer(reply) => self.say(site, reply, room, now),
                At::Plain { .. } | At::Chunks(_) | At::LastChunk(_) => self.body(site, room, now)?,
                // What comes behind the last word is dropped, so that the client can read it.
                At::Done => Progress { consumed: rest.len(), produced: 0 },
            };
            done.consumed = done.consumed.saturating_add(consumed);
            done.produced = done.produced.saturating_add(produced);
            if consumed == 0 && produced == 0 && core::mem::discriminant(&self.at) == before {
                return Ok(done);
            }
        }
    }

    /// When to step again though nothing has come.
    pub const fn deadline(&self) -> Option<Instant> {
        match self.at {
            At::New => Some(Instant::START),
            At::Idle { by, .. } | At::Head { by } | At::Waits { by } => Some(by),
            _ => None,
        }
    }

    /// Whether the connection ends once the output is sent.
    pub const fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Whether nothing is owed: no request is whole that has no answer yet.
    pub const fn is_idle(&self) -> bool {
        matches!(self.at, At::New | At::Idle { .. } | At::Head { .. })
    }

    /// Whether a request waits for what it gets.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.at, At::Waits { .. })
    }

    /// Whether an answer's head is going out.
    pub const fn is_answering(&self) -> bool {
        matches!(self.at, At::Answer(_))
    }

    /// How much of a promised body is left, while it goes out.
    pub const fn body_left(&self) -> Option<u64> {
        if let At::Plain { left, .. } = self.at { left } else { None }
    }

    /// So much of the body has been sent past the window.
    pub const fn passed(&mut self, bytes: u64) {
        if let At::Plain { left: Some(left), .. } = &mut self.at {
            *left = left.saturating_sub(bytes);
        }
    }

    /// Reads a request, as far as it has come, and asks what it gets.
    fn read(&mut self, site: &mut dyn Site, input: &[u8], now: Instant) -> Progress {
        // Lines before a request are passed over: RFC 9112, section 2.2.
        if let (At::Idle { .. }, [b'\r', b'\n', ..]) = (self.at, input) {
            return Progress { consumed: 2, produced: 0 };
        }
        if let At::Idle { by, first } = self.at {
            if input.is_empty() || input == b"\r" {
                if now >= by {
                    self.at = At::Done;
                }
                return Progress::NONE;
            }
            let by = if first { by } else { now.saturating_add(self.limits.request) };
            self.at = At::Head { by };
        }
        match Head::parse(input, self.limits.line, self.limits.head) {
            Ok(None) => {
                if self.deadline().is_some_and(|by| now >= by) {
                    self.at = At::Answer(Reply::last(Status::REQUEST_TIMEOUT));
                }
                Progress::NONE
            }
            Ok(Some(head)) => self.ask(site, &head, now),
            Err(refused) => {
                let body = Body::Words(refused.status);
                let keep = refused.len.is_some();
                self.at = At::Answer(Reply { body, is_head: refused.is_head, is_old: refused.is_old, keep });
                Progress { consumed: refused.len.unwrap_or(input.len()), produced: 0 }
            }
        }
    }

    /// Asks what a request gets.
    fn ask(&mut self, site: &mut dyn Site, head: &Head<'_>, now: Instant) -> Progress {
        let is_head = head.request.method == Method::Head;
        let body = if head.request.method == Method::Options {
            Body::Words(Status::NO_CONTENT)
        } else {
            match site.answer(&head.request) {
                Answer::Page(page) => Body::Site(page),
                Answer::Status(status) => Body::Words(status),
                Answer::Later => match self.at {
                    At::Waits { by } if now >= by => {
                        site.end();
                        Body::Words(Status::UNAVAILABLE)
                    }
                    At::Waits { .. } => return Progress::NONE,
                    _ => {
                        self.at = At::Waits { by: now.saturating_add(self.limits.answer) };
                        return Progress::NONE;
                    }
                },
            }
        };
        // A page without a length ends with the connection where chunks are not known.
        let endless = matches!(body, Body::Site(Page { length: None, .. }));
        let keep = head.keep_alive && !(endless && head.is_old && !is_head);
        self.at = At::Answer(Reply { body, is_head, is_old: head.is_old, keep });
        Progress { consumed: head.len, produced: 0 }
    }

    /// Says the head of an answer.
    fn say(&mut self, site: &mut dyn Site, reply: Reply, room: &mut [u8], now: Instant) -> Progress {
        let (produced, whole) = self.word.say(room, |w| reply.emit(site.fields(), w));
        if whole {
            match reply.body {
                Body::Words(_) => self.next(reply, now),
                Body::Site(_) if reply.is_head => {
                    site.end();
                    self.next(reply, now);
                }
                Body::Site(Page { length: None, .. }) if !reply.is_old => self.at = At::Chunks(reply),
                Body::Site(Page { length, .. }) => self.at = At::Plain { reply, left: length },
            }
        }
        Progress { consumed: 0, produced }
    }

    /// Has the site go on with the body.
    fn body(&mut self, site: &mut dyn Site, room: &mut [u8], now: Instant) -> Result<Progress, Error> {
        let (produced, ended) = match &mut self.at {
            At::Plain { left: Some(0), .. } => (0, true),
            At::Plain { left, .. } => {
                let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
                let len = room.len().min(most);
                let room = room.get_mut(..len).ok_or(Error::Aborted)?;
                let (n, last) = site.body(room).map_err(|Aborted| Error::Aborted)?;
                if n > len {
                    return Err(Error::Aborted);
                }
                if let Some(left) = left {
                    *left = left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
                    if last && *left > 0 {
                        return Err(Error::Aborted);
                    }
                }
                (n, left.map_or(last, |left| left == 0))
            }
            At::Chunks(reply) => {
                let (n, last) = chunk(site, room)?;
                if last {
                    self.at = At::LastChunk(*reply);
                }
                (n, false)
            }
            At::LastChunk(_) => self.word.say(room, |w| w.bytes(b"0\r\n\r\n")),
            _ => (0, false),
        };
        if let (true, At::Plain { reply, .. } | At::LastChunk(reply)) = (ended, self.at) {
            site.end();
            self.next(reply, now);
        }
        Ok(Progress { consumed: 0, produced })
    }

    /// The answer is out.
    const fn next(&mut self, reply: Reply, now: Instant) {
        self.at = if reply.keep {
            At::Idle { by: now.saturating_add(self.limits.idle), first: false }
        } else {
            At::Done
        };
    }
}

/// Puts what the site has next into one chunk: how many bytes that makes, and whether they are the last.
fn chunk(site: &mut dyn Site, room: &mut [u8]) -> Result<(usize, bool), Error> {
    if room.len() < MIN_WINDOW {
        return Ok((0, false));
    }
    let most = room.len().min(LARGEST_CHUNK).saturating_sub(CHUNK_HEAD).saturating_sub(CHUNK_END);
    let (head, rest) = room.split_at_mut_checked(CHUNK_HEAD).ok_or(Error::Aborted)?;
    let (n, last) = match rest.get_mut(..most) {
        Some(room) => site.body(room).map_err(|Aborted| Error::Aborted)?,
        None => return Err(Error::Aborted),
    };
    // An empty chunk is the last one.
    if n == 0 {
        return Ok((0, last));
    }
    if n > most {
        return Err(Error::Aborted);
    }
    let mut w = Writer::new(head);
    for shift in [12u32, 8, 4, 0] {
        w.bytes(&[hex(n.checked_shr(shift).unwrap_or(0))]);
    }
    w.bytes(b"\r\n");
    if let Some(end) = rest.get_mut(n..) {
        Writer::new(end.get_mut(..CHUNK_END).unwrap_or_default()).bytes(b"\r\n");
    }
    Ok((n.saturating_add(CHUNK_HEAD).saturating_add(CHUNK_END), last))
}

/// The last digit of a number in base 16.
fn hex(n: usize) -> u8 {
    b"0123456789abcdef".get(n & 15).copied().unwrap_or(b'0')
}

impl Reply {
    /// A last word.
    const fn last(status: Status) -> Self {
        Self { body: Body::Words(status), is_head: false, is_old: false, keep: false }
    }

    /// Emits the head, and the words of a canned answer.
    fn emit(&self, fields: &str, w: &mut Writer<'_>) {
        let status = match self.body {
            Body::Site(page) => page.status,
            Body::Words(status) => status,
        };
        w.bytes(b"HTTP/1.1 ");
        decimal(u64::from(status.code()), w);
        for piece in [" ", status.reason(), "\r\n", fields] {
            w.bytes(piece.as_bytes());
        }
        match self.body {
            Body::Site(page) => self.describe(&page, w),
            Body::Words(Status::NO_CONTENT) => {}
            Body::Words(_) => {
                w.bytes(b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
                decimal(u64::try_from(status.reason().len().saturating_add(1)).unwrap_or(0), w);
                w.bytes(b"\r\n");
            }
        }
        if matches!(status, Status::METHOD_NOT_ALLOWED | Status::NO_CONTENT) {
            w.bytes(b"Allow: GET, HEAD, OPTIONS\r\n");
        }
        if status == Status::UNAUTHORIZED {
            w.bytes(b"WWW-Authenticate: Basic realm=\"pmbridge\", charset=\"UTF-8\"\r\n");
        }
        if !self.keep {
            w.bytes(b"Connection: close\r\n");
        } else if self.is_old {
            w.bytes(b"Connection: keep-alive\r\n");
        }
        w.bytes(b"\r\n");
        if let (Body::Words(status), false) = (self.body, self.is_head)
            && status != Status::NO_CONTENT
        {
            w.bytes(status.reason().as_bytes());
            w.bytes(b"\n");
        }
    }

    fn describe(&self, page: &Page, w: &mut Writer<'_>) {
        for piece in ["Content-Type: ", page.content_type, "\r\n"] {
            w.bytes(piece.as_bytes());
        }
        if let Some(length) = page.length {
            w.bytes(b"Content-Length: ");
            decimal(length, w);
            w.bytes(b"\r\n");
        } else if !self.is_old {
            w.bytes(b"Transfer-Encoding: chunked\r\n");
        }
        if page.gzip {
            w.bytes(b"Content-Encoding: gzip\r\n");
        }
        if page.varies {
            w.bytes(b"Vary: Accept, Accept-Encoding\r\n");
        }
    }
}

/// Emits a number.
fn decimal(n: u64, w: &mut Writer<'_>) {
    let (mut digits, mut rest, mut from) = ([b'0'; DIGITS], n, DIGITS);
    for digit in digits.iter_mut().rev() {
        *digit = u8::try_from(rest % 10).map_or(b'0', |rest| b'0'.saturating_add(rest));
        rest /= 10;
        from = from.saturating_sub(1);
        if rest == 0 {
            break;
        }
    }
    w.bytes(digits.get(from..).unwrap_or_default());
}

/// The output window that chunks need at least.
pub const MIN_WINDOW: usize = 64;

/// The digits of the largest number.
const DIGITS: usize = 20;
/// What stands before the payload of a chunk: four digits and the end of their line.
const CHUNK_HEAD: usize = 6;
/// What stands behind it.
const CHUNK_END: usize = 2;
/// What four digits can say.
const LARGEST_CHUNK: usize = 0xffff;
