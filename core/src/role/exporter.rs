//! The exporter: the server's side of one HTTP connection, whose pages come from a [`Site`].
//!
//! It reads one request after the other, has the site answer each, and tells the client what is wrong with those that
//! are none. A page is promised with its length, or sent in chunks; what cannot be kept of a promise ends the connection
//! and is never covered up by words in the page.

use core::fmt;

use super::{Progress, Word};
use crate::{
    exposition::value,
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

    /// An answer with this status goes out, whoever thought of it.
    fn began(&mut self, status: Status) {
        let _ = status;
    }

    /// Further fields of all answers, each line with its CR LF. They stay the same while an answer's head goes out.
    fn fields(&self) -> &str {
        ""
    }
}

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to say")]
pub struct Aborted;

/// The conversation cannot go on: the connection is to be reset, so that nobody takes what came for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// What goes out.
    reply: Reply,
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
    Answer,
    /// The body goes out; this much is left of what was promised.
    Plain { left: Option<u64> },
    /// The body goes out in chunks.
    Chunks,
    /// The end of the chunks goes out.
    LastChunk,
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
        Self { limits, at: At::New, reply: Reply::last(Status::OK), word: Word(0) }
    }

    /// One that tells whoever connects this, and no more.
    pub const fn refusing(limits: Limits, status: Status) -> Self {
        Self { limits, at: At::Answer, reply: Reply::last(status), word: Word(0) }
    }

    /// Takes from `input`, writes to `output`, and says how far it got.
    ///
    /// Bytes of `input` that are not consumed must be offered again. What is answered does not depend on the windows,
    /// but for where chunks begin; those need an output window of [`MIN_WINDOW`].
    #[cfg_attr(target_pointer_width = "32", inline(never))]
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
                At::Answer => self.say(site, room, now),
                At::Plain { .. } | At::Chunks | At::LastChunk => self.body(site, room, now)?,
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
        matches!(self.at, At::Answer)
    }

    /// How much of a promised body is left, while it goes out.
    pub const fn body_left(&self) -> Option<u64> {
        if let At::Plain { left } = self.at { left } else { None }
    }

    /// So much of the body has been sent past the window.
    pub const fn passed(&mut self, bytes: u64) {
        if let At::Plain { left: Some(left) } = &mut self.at {
            *left = left.saturating_sub(bytes);
        }
    }

    /// Reads a request, as far as it has come, and asks what it gets.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
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
                    self.begin(site, Reply::last(Status::REQUEST_TIMEOUT));
                }
                Progress::NONE
            }
            Ok(Some(head)) => self.ask(site, &head, now),
            Err(refused) => {
                let body = Body::Words(refused.status);
                let keep = refused.len.is_some();
                self.begin(site, Reply { body, is_head: refused.is_head, is_old: refused.is_old, keep });
                Progress { consumed: refused.len.unwrap_or(input.len()), produced: 0 }
            }
        }
    }

    /// Asks what a request gets.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
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
        self.begin(site, Reply { body, is_head, is_old: head.is_old, keep });
        Progress { consumed: head.len, produced: 0 }
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn begin(&mut self, site: &mut dyn Site, reply: Reply) {
        site.began(reply.status());
        (self.at, self.reply) = (At::Answer, reply);
    }

    /// Says the head of an answer.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn say(&mut self, site: &mut dyn Site, room: &mut [u8], now: Instant) -> Progress {
        let reply = &self.reply;
        let (produced, whole) = self.word.say(room, |w| reply.emit(site.fields(), w));
        if whole {
            match reply.body {
                Body::Words(_) => self.next(now),
                Body::Site(_) if reply.is_head => {
                    site.end();
                    self.next(now);
                }
                Body::Site(Page { length: None, .. }) if !reply.is_old => self.at = At::Chunks,
                Body::Site(Page { length, .. }) => self.at = At::Plain { left: length },
            }
        }
        Progress { consumed: 0, produced }
    }

    /// Has the site go on with the body.
    fn body(&mut self, site: &mut dyn Site, room: &mut [u8], now: Instant) -> Result<Progress, Error> {
        let (produced, ended) = match &mut self.at {
            At::Plain { left: Some(0) } => (0, true),
            At::Plain { left } => {
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
            At::Chunks => {
                let (n, last) = chunk(site, room)?;
                if last {
                    self.at = At::LastChunk;
                }
                (n, false)
            }
            At::LastChunk => self.word.say(room, |w| w.bytes(b"0\r\n\r\n")),
            _ => (0, false),
        };
        if ended {
            site.end();
            self.next(now);
        }
        Ok(Progress { consumed: 0, produced })
    }

    /// The answer is out.
    const fn next(&mut self, now: Instant) {
        self.at = if self.reply.keep {
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

    const fn status(&self) -> Status {
        match self.body {
            Body::Site(page) => page.status,
            Body::Words(status) => status,
        }
    }

    /// Emits the head, and the words of a canned answer.
    fn emit(&self, fields: &str, w: &mut Writer<'_>) {
        let status = self.status();
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
    value::unsigned(n, &mut |piece| w.bytes(piece));
}

/// The output window that chunks need at least.
pub const MIN_WINDOW: usize = 64;

/// What stands before the payload of a chunk: four digits and the end of their line.
const CHUNK_HEAD: usize = 6;
/// What stands behind it.
const CHUNK_END: usize = 2;
/// What four digits can say.
const LARGEST_CHUNK: usize = 0xffff;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String, vec, vec::Vec};

    const LIMITS: Limits = Limits { line: 100, head: 300, ..Limits::DEFAULT };
    const HOST: &str = "Host: x\r\n";

    /// A site with a page of its query's length, in as many pieces as it has room for.
    #[derive(Default)]
    struct Pages {
        ready: bool,
        length: bool,
        abort: bool,
        lie: usize,
        left: usize,
        ended: usize,
        began: usize,
    }

    impl Site for Pages {
        fn answer(&mut self, request: &Request<'_>) -> Answer {
            if !self.ready {
                return Answer::Later;
            }
            self.left = request.query.len();
            let length = u64::try_from(self.left.saturating_add(self.lie)).ok().filter(|_| self.length);
            match request.path {
                "/page" => Answer::Page(Page {
                    status: Status::OK,
                    content_type: "text/plain",
                    length,
                    gzip: false,
                    varies: true,
                }),
                _ => Answer::Status(Status::NOT_FOUND),
            }
        }

        fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), Aborted> {
            if self.abort {
                return Err(Aborted);
            }
            let n = output.len().min(self.left);
            output[..n].fill(b'#');
            self.left = self.left.saturating_sub(n);
            Ok((n, self.left == 0))
        }

        fn end(&mut self) {
            self.ended = self.ended.saturating_add(1);
        }

        fn began(&mut self, _: Status) {
            self.began = self.began.saturating_add(1);
        }

        fn fields(&self) -> &str {
            "X: y\r\n"
        }
    }

    /// What comes out when the input comes in windows of `size` and goes out in windows of `room`.
    fn served(site: &mut Pages, input: &str, size: usize, room: usize) -> Result<(String, bool), Error> {
        let (mut exporter, mut out) = (Exporter::new(LIMITS), Vec::new());
        let (mut from, mut to) = (0, 0);
        let mut window = vec![0; room];
        loop {
            let done = exporter.step(site, &input.as_bytes()[from..to], &mut window, Instant::START)?;
            from = done.consumed.saturating_add(from);
            out.extend_from_slice(&window[..done.produced]);
            if done.is_none() {
                if to == input.len() {
                    let text = String::from_utf8(out).unwrap();
                    // Whoever thought of an answer: the site was told of it.
                    assert_eq!(site.began, text.matches("HTTP/1.1 ").count(), "{text}");
                    return Ok((text, exporter.is_done()));
                }
                to = to.saturating_add(size).min(input.len());
            }
        }
    }

    fn ready(length: bool) -> Pages {
        Pages { ready: true, length, ..Pages::default() }
    }

    #[test]
    fn every_window_gives_the_same_answers() {
        let requests = format!(
            "GET /page?12345 HTTP/1.1\r\n{HOST}\r\n\r\nHEAD /page?12345 HTTP/1.1\r\n{HOST}\r\n\
             GET /nowhere HTTP/1.1\r\n{HOST}\r\nOPTIONS * HTTP/1.1\r\n{HOST}\r\n\
             DELETE /page HTTP/1.1\r\n{HOST}\r\nGET /page?123 HTTP/1.0\r\n\r\n"
        );
        let page = "HTTP/1.1 200 OK\r\nX: y\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nVary: Accept, Accept-Encoding\r\n\r\n";
        let canned = "Content-Type: text/plain; charset=utf-8\r\nContent-Length";
        let want = format!(
            "{page}#####{page}HTTP/1.1 404 Not Found\r\nX: y\r\n{canned}: 10\r\n\r\nNot Found\n\
             HTTP/1.1 204 No Content\r\nX: y\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n\
             HTTP/1.1 405 Method Not Allowed\r\nX: y\r\n{canned}: 19\r\nAllow: GET, HEAD, OPTIONS\r\n\r\nMethod Not Allowed\n\
             HTTP/1.1 200 OK\r\nX: y\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nVary: Accept, Accept-Encoding\r\n\
             Connection: close\r\n\r\n###"
        );
        for size in 1..requests.len() {
            for room in [1, 2, 3, 7, 64, 4096] {
                let mut site = ready(true);
                assert_eq!(
                    served(&mut site, &requests, size, room),
                    Ok((want.clone(), true)),
                    "{size} {room}"
                );
                assert_eq!(site.ended, 3);
            }
        }
    }

    #[test]
    fn a_page_of_unknown_length_comes_in_chunks_or_until_the_end() {
        let query = "x".repeat(50);
        for room in [MIN_WINDOW, 70, 71, 4096, 1 << 20] {
            let input = format!("GET /page?{query} HTTP/1.1\r\n{HOST}\r\nHEAD /page HTTP/1.1\r\n{HOST}\r\n");
            let (text, done) = served(&mut ready(false), &input, 1000, room).unwrap();
            let mut rest = text
                .split_once("Transfer-Encoding: chunked\r\nVary: Accept, Accept-Encoding\r\n\r\n")
                .unwrap()
                .1;
            let mut page = String::new();
            loop {
                let (size, after) = rest.split_once("\r\n").unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                let (piece, after) = after.split_at(size);
                page += piece;
                rest = after.strip_prefix("\r\n").unwrap();
                if size == 0 {
                    break;
                }
            }
            assert_eq!((page, done), ("#".repeat(50), false), "{room}");
            assert!(rest.ends_with("chunked\r\nVary: Accept, Accept-Encoding\r\n\r\n"), "{rest}");
            let input = format!("GET /page?{query} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
            let (text, done) = served(&mut ready(false), &input, 1000, room).unwrap();
            assert!(
                text.ends_with(&format!("Connection: close\r\n\r\n{}", "#".repeat(50))) && done,
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_of_a_promise_ends_the_connection() {
        for (site, room) in [
            (Pages { abort: true, ..ready(true) }, 4096),
            (Pages { abort: true, ..ready(false) }, 4096),
            (Pages { lie: 1, ..ready(true) }, 1),
        ] {
            let mut site = site;
            let input = format!("GET /page?123 HTTP/1.1\r\n{HOST}\r\n");
            assert_eq!(served(&mut site, &input, 1000, room), Err(Error::Aborted));
        }
    }

    #[test]
    fn an_error_is_the_last_word_where_nobody_knows_what_follows() {
        for (input, want) in [
            ("GET /\r\n\r\n", "400"),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nGET / HTT", "405"),
        ] {
            for size in 1..input.len() {
                let (text, done) = served(&mut ready(true), input, size, 5).unwrap();
                assert!(text.starts_with(&format!("HTTP/1.1 {want} ")) && done, "{size} {text}");
                assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
                assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
            }
        }
    }

    /// What an exporter says to this input after so many milliseconds, having looked at it at the start.
    fn late(site: &mut Pages, input: &str, millis: u64) -> (String, bool) {
        let (mut exporter, mut window) = (Exporter::new(LIMITS), [0; 512]);
        let mut step = |now| {
            let done = exporter.step(site, input.as_bytes(), &mut window, Instant::from_millis(now)).unwrap();
            let text = String::from_utf8(window[..done.produced].into()).unwrap();
            (text, exporter.is_done(), exporter.deadline())
        };
        let (text, done, deadline) = step(0);
        assert_eq!((text.as_str(), done), ("", false));
        assert!(deadline.is_some());
        let (text, done, _) = step(millis);
        (text, done)
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        assert_eq!(late(&mut ready(true), "", 10_000), (String::new(), true));
        assert_eq!(late(&mut ready(true), "\r", 9_999), (String::new(), false));
        let (text, done) = late(&mut ready(true), "GET", 10_000);
        assert!(text.starts_with("HTTP/1.1 408 ") && done, "{text}");
        assert_eq!(late(&mut ready(true), "GET", 9_999), (String::new(), false));
        let request = format!("GET /page HTTP/1.1\r\n{HOST}\r\n");
        let mut site = Pages::default();
        let (text, done) = late(&mut site, &request, 10_000);
        assert!(text.starts_with("HTTP/1.1 503 ") && !done, "{text}");
        assert_eq!(site.ended, 1);
    }

    #[test]
    fn a_kept_connection_is_idle_for_so_long() {
        let request = format!("GET /page?1 HTTP/1.1\r\n{HOST}\r\n");
        let (mut exporter, mut window, mut site) = (Exporter::new(LIMITS), [0; 512], ready(true));
        let mut step = |input: &str, now| {
            let done =
                exporter.step(&mut site, input.as_bytes(), &mut window, Instant::from_millis(now)).unwrap();
            (done.produced > 0, exporter.is_done())
        };
        assert_eq!(step(&request, 5), (true, false));
        assert_eq!(step("", 75_004), (false, false));
        assert_eq!(step("G", 75_004), (false, false));
        assert_eq!(step("GE", 85_003), (false, false));
        assert_eq!(step("GE", 85_004), (true, true));
    }

    #[test]
    fn a_body_may_go_past_the_window() {
        struct Past;
        impl Site for Past {
            fn answer(&mut self, _: &Request<'_>) -> Answer {
                let status = Status::OK;
                Answer::Page(Page { status, content_type: "x", length: Some(9), gzip: true, varies: false })
            }
            fn body(&mut self, _: &mut [u8]) -> Result<(usize, bool), Aborted> {
                Ok((0, false))
            }
            fn end(&mut self) {}
        }
        let (mut exporter, mut window) = (Exporter::new(LIMITS), [0; 512]);
        let request = format!("GET / HTTP/1.1\r\n{HOST}\r\n");
        let mut step = |exporter: &mut Exporter, input: &str| {
            exporter.step(&mut Past, input.as_bytes(), &mut window, Instant::START).unwrap()
        };
        assert!(step(&mut exporter, &request).consumed == request.len());
        for left in [9, 5] {
            assert_eq!(exporter.body_left(), Some(left));
            exporter.passed(if left == 9 { 4 } else { 5 });
            step(&mut exporter, "");
        }
        assert!(exporter.is_idle() && exporter.body_left().is_none());
    }

    #[test]
    fn who_is_refused_hears_why() {
        let (mut exporter, mut window) = (Exporter::refusing(LIMITS, Status::UNAVAILABLE), [0; 512]);
        let done = exporter.step(&mut ready(true), b"GET / HT", &mut window, Instant::START).unwrap();
        assert!(window.starts_with(b"HTTP/1.1 503 ") && exporter.is_done());
        assert_eq!(done.consumed, 8);
    }
}
