//! The scraper: the client's side of one HTTP exchange, whose body is a document for the store.
//!
//! The body goes into a [`Sink`]: a document, or what a host puts in front of one to undo a coding.
//!
//! One scraper is one scrape. When [it is done](Scraper::is_done) the connection may serve the next, if
//! [it stays open](Scraper::stays_open).

use core::fmt;

use super::{Context, Progress, Role};
use crate::{
    http::{
        self,
        body::Body,
        response::{Head, content_coding},
    },
    store::{Storage, Store},
    time::{Duration, Instant},
    wire::Writer,
};

/// Where the payload of a response goes, on its way into the store.
pub trait Sink<S: Storage> {
    /// The payload that comes has this coding. Who knows none refuses them all.
    fn encoding(&mut self, coding: &[u8]) -> Result<(), http::Error> {
        let _ = coding;
        Err(http::Error::Encoding)
    }

    /// Takes the next piece, all of it.
    fn feed(&mut self, store: &mut Store<S>, piece: &[u8]) -> Result<(), http::Error>;

    /// The payload has ended.
    fn finish(&mut self, store: &mut Store<S>) -> Result<(), http::Error>;
}

/// Why a scrape brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// What came is not HTTP as it should be, or more than is allowed.
    Http(http::Error),
    /// The server answered with this status and no document.
    Status(u16),
    /// The document is elsewhere, says this status: where, [`location`](http::response::location) finds in the input of
    /// the step that failed so.
    Moved(u16),
    /// The connection ended before the response did.
    Ended,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Status(status) | Self::Moved(status) => {
                write!(f, "server answered with HTTP status {status}")
            }
            Self::Ended => f.write_str("connection ended before the response did"),
        }
    }
}

impl core::error::Error for Error {}

impl From<http::Error> for Error {
    fn from(error: http::Error) -> Self {
        Self::Http(error)
    }
}

/// One scrape: `R` is the request as bytes, `D` the [`Sink`] of the document.
#[derive(Debug)]
pub struct Scraper<R, D> {
    request: R,
    sent: usize,
    at: At,
    document: D,
    max_body: u64,
    status: u16,
    keep_alive: bool,
}

#[derive(Debug)]
enum At {
    Head,
    Body(Body),
    Done,
}

impl<R: AsRef<[u8]>, D> Scraper<R, D> {
    /// Sends `request` and reads a body of at most `max_body` bytes into `document`.
    pub const fn new(request: R, document: D, max_body: u64) -> Self {
        Self { request, sent: 0, at: At::Head, document, max_body, status: 0, keep_alive: false }
    }

    /// Whether the whole response is in the store.
    pub const fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Whether the connection may serve another request.
    pub const fn stays_open(&self) -> bool {
        self.is_done() && self.keep_alive
    }

    /// The HTTP status, or 0 before there is one.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether nothing has come yet: on a connection kept alive, the server may have closed it meanwhile.
    pub const fn is_untouched(&self) -> bool {
        self.status == 0
    }

    /// The sink, with what came of the document so far.
    pub const fn document(&self) -> &D {
        &self.document
    }

    /// Gives the sink back.
    pub fn into_document(self) -> D {
        self.document
    }

    /// The server closed the connection: the end of a response without a length, the failure of any other.
    pub fn end<S: Storage>(&mut self, cx: &mut Context<'_, S>) -> Result<(), Error>
    where
        D: Sink<S>,
    {
        match &mut self.at {
            At::Done => return Ok(()),
            At::Body(body) => body.end()?,
            At::Head => return Err(Error::Ended),
        }
        self.document.finish(cx.store)?;
        self.at = At::Done;
        Ok(())
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn receive<S: Storage>(&mut self, cx: &mut Context<'_, S>, input: &[u8]) -> Result<usize, Error>
    where
        D: Sink<S>,
    {
        let (mut rest, mut consumed) = (input, 0usize);
        loop {
            let (used, more) = match &mut self.at {
                At::Done => (0, false),
                At::Head => match Head::parse(rest)? {
                    None => (0, false),
                    Some((head, len)) => {
                        if !head.is_informational() {
                            self.status = head.status;
                            self.keep_alive = head.keep_alive;
                            match head.status {
                                200 => {}
                                301 | 302 | 303 | 307 | 308 => return Err(Error::Moved(head.status)),
                                status => return Err(Error::Status(status)),
                            }
                            if head.coded {
                                let coding = content_coding(rest).ok_or(http::Error::Encoding)?;
                                self.document.encoding(coding)?;
                            }
                            self.at = At::Body(Body::new(head.body, self.max_body));
                        }
                        (len, true)
                    }
                },
                At::Body(body) => {
                    let piece = body.step(rest)?;
                    let used = piece.skip.saturating_add(piece.data);
                    if let Some(data) = rest.get(piece.skip..used) {
                        self.document.feed(cx.store, data)?;
                    }
                    if piece.done {
                        self.document.finish(cx.store)?;
                        self.at = At::Done;
                    }
                    (used, used > 0 && !piece.done)
                }
            };
            consumed = consumed.saturating_add(used);
            rest = rest.get(used..).unwrap_or_default();
            if !more {
                return Ok(consumed);
            }
        }
    }
}

/// How long after the `failures`th failure in a row a source is asked again: a second, doubled each time, up to `most`.
///
/// Sources that failed at the same moment are not all asked at the same moment.
pub fn pause(failures: u32, most: Duration, place: usize) -> Duration {
    let doubled = FIRST.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u64::MAX);
    let pause = doubled.min(most.millis()).max(1);
    // An eighth more at most, as its place has it.
    let scattered = u64::try_from(place).unwrap_or_default().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let spread = (pause >> 3).wrapping_mul(scattered) >> 32;
    Duration::from_millis(pause.saturating_add(spread))
}

/// The first pause, in milliseconds.
const FIRST: u64 = 1000;

impl<S: Storage, R: AsRef<[u8]>, D: Sink<S>> Role<S> for Scraper<R, D> {
    type Error = Error;

    fn step(&mut self, cx: &mut Context<'_, S>, input: &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        let mut w = Writer::resume(output, self.sent);
        w.bytes(self.request.as_ref());
        let produced = w.written();
        self.sent = self.sent.saturating_add(produced);
        Ok(Progress { consumed: self.receive(cx, input)?, produced })
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn is_busy(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ten = Duration::from_secs(10);
        let pauses: Vec<_> = (1..8).map(|n| pause(n, ten, 0).millis()).collect();
        assert_eq!(pauses, [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
        assert_eq!(pause(u32::MAX, ten, 0), ten);
        assert_eq!(pause(3, Duration::from_millis(500), 0).millis(), 500);
        let spread: Vec<_> = (0..100).map(|place| pause(1, ten, place).millis()).collect();
        assert!(spread.iter().all(|ms| (1000..=1125).contains(ms)), "{spread:?}");
        assert!(spread.iter().filter(|ms| **ms > 1060).count() > 20, "{spread:?}");
    }
}
