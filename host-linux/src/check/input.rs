//! The document to check: behind a URL, in a file, or on standard input, read piece by piece up to a limit.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pmbridge_core::http::{
    self,
    body::Body,
    request::Get,
    response::{Head, location},
};
use pmbridge_core::store::Full;
use pmbridge_core::wire::Writer;

use crate::flags::Options;
use crate::target::MOST_REDIRECTS;
use crate::tls::{Stream, Trust};
use crate::url::{self, Http, Url};

/// Where the document is.
#[derive(Debug)]
pub(super) enum Input {
    /// Behind a URL.
    Url(Url),
    /// In a file.
    File(PathBuf),
    /// On standard input.
    Stdin,
}

/// Where pieces of the document go.
type Take<'t> = &'t mut dyn FnMut(&[u8]) -> io::Result<()>;

impl Input {
    /// What an operand names.
    pub(super) fn named(operand: &OsStr) -> Result<Self, Error> {
        if operand == "-" {
            return Ok(Self::Stdin);
        }
        match operand.to_str() {
            Some(text) if text.contains("://") => Url::parse(text).map(Self::Url).map_err(Error::Url),
            _ => Ok(Self::File(operand.into())),
        }
    }

    /// The name that a source with this document would have.
    pub(super) fn source_name(&self) -> String {
        match self {
            Self::Url(url) => url.source_name(),
            Self::File(path) => Url::File(path.clone()).source_name(),
            Self::Stdin => "stdin".into(),
        }
    }

    /// Reads all of it.
    pub(super) fn read(&self, options: &Options, take: Take<'_>) -> Result<(), Error> {
        let most = u64::try_from(options.limits.body).unwrap_or(u64::MAX);
        match self {
            Self::Url(Url::Http(http)) => get(http, options.timeout, most, take),
            Self::Url(Url::File(path)) | Self::File(path) => {
                copy(&mut File::open(path).map_err(Error::Read)?, most, take)
            }
            Self::Stdin => copy(&mut io::stdin().lock(), most, take),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum Error {
    /// The operand is no URL.
    Url(url::Error),
    /// The document cannot be read.
    Read(io::Error),
    /// The server cannot be reached.
    Connect(io::Error),
    /// The server answered with this status and no document.
    Status(u16),
    /// The server names another place, which is no URL that can be used.
    Redirect(url::Error),
    /// One place after another names the next.
    Redirects,
    /// The server does not speak HTTP as it should, or sends too much.
    Http(http::Error),
    /// The server took too long.
    Timeout(Duration),
    /// The document is longer than the limit.
    Long,
    /// The limits leave no room for a document.
    Full(Full),
    /// What was found cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<http::Error> for Error {
    fn from(error: http::Error) -> Self {
        Self::Http(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Connect(error) => write!(f, "cannot connect: {error}"),
            Self::Status(status) => write!(f, "server answered with HTTP status {status}"),
            Self::Redirect(error) => write!(f, "redirected to what cannot be used: {error}"),
            Self::Redirects => write!(f, "redirected more than {MOST_REDIRECTS} times"),
            Self::Http(error) => error.fmt(f),
            Self::Timeout(time) => write!(f, "no whole answer within {time:?} (--timeout)"),
            Self::Long => f.write_str("document is longer than allowed (--max-body)"),
            Self::Full(full) => full.fmt(f),
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

fn copy(from: &mut impl Read, most: u64, take: Take<'_>) -> Result<(), Error> {
    let (mut room, mut left) = (vec![0; WINDOW], most);
    loop {
        let len = match from.read(&mut room) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Read(error)),
        };
        left = left.checked_sub(u64::try_from(len).unwrap_or(u64::MAX)).ok_or(Error::Long)?;
        take(room.get(..len).unwrap_or_default())?;
    }
}

/// The document behind a URL and its redirects, which as a whole may take as long as a scrape.
fn get(http: &Http, timeout: Duration, most: u64, take: Take<'_>) -> Result<(), Error> {
    let clock = Clock { end: Instant::now().checked_add(timeout), timeout };
    let (trust, mut asked, mut trusted) = (Trust::default(), http.clone(), true);
    for _ in 0..=MOST_REDIRECTS {
        let headers = if trusted { http.authorization() } else { String::new() };
        let Some(location) = exchange(&asked, &headers, &trust, &clock, (most, &mut *take))? else {
            return Ok(());
        };
        asked = asked.join(&location).map_err(Error::Redirect)?;
        trusted &= http.may_tell(&asked);
    }
    Err(Error::Redirects)
}

/// One exchange; where the document is if it is not there.
fn exchange(
    http: &Http,
    headers: &str,
    trust: &Trust,
    clock: &Clock,
    (most, take): (u64, Take<'_>),
) -> Result<Option<String>, Error> {
    let mut stream = connect(http, clock, trust)?;
    let get = Get { host: &http.authority, path: &http.path, headers, keep_alive: false };
    let mut counter = Writer::counter();
    get.emit(&mut counter);
    let mut request = vec![0; counter.total()];
    get.emit(&mut Writer::new(&mut request));
    stream.write_all(&request).map_err(|error| clock.explain(error))?;
    let (mut room, mut held, mut body) = (vec![0; WINDOW], Vec::new(), None);
    loop {
        let len = match stream.read(&mut room) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(clock.explain(error)),
        };
        if len == 0 {
            let whole = body.as_mut().map_or(Err(http::Error::Truncated), Body::end);
            return if stream.was_cut() {
                Err(http::Error::Truncated.into())
            } else {
                Ok(whole.map(|()| None)?)
            };
        }
        held.extend_from_slice(room.get(..len).unwrap_or_default());
        if body.is_none() {
            match head(&mut held)? {
                Some(Answer::Document(head)) => body = Some(Body::new(head.body, most)),
                Some(Answer::Elsewhere(location)) => return Ok(Some(location)),
                None => {}
            }
        }
        if let Some(body) = &mut body {
            if pass(body, &held, take)? {
                return Ok(None);
            }
            held.clear();
        }
    }
}

/// What the head of an answer says.
enum Answer {
    Document(Head),
    Elsewhere(String),
}

/// Takes the head of the answer off what has come, once it is whole.
fn head(held: &mut Vec<u8>) -> Result<Option<Answer>, Error> {
    while let Some((head, len)) = Head::parse(held)? {
        match head.status {
            200 if head.coded => return Err(http::Error::Encoding.into()),
            301 | 302 | 303 | 307 | 308 if let Some(to) = location(held) => {
                return Ok(Some(Answer::Elsewhere(String::from_utf8_lossy(to).into_owned())));
            }
            200 => {
                held.drain(..len);
                return Ok(Some(Answer::Document(head)));
            }
            status if !head.is_informational() => return Err(Error::Status(status)),
            _ => drop(held.drain(..len)),
        }
    }
    Ok(None)
}

/// Passes the payload on; whether the body ends in it.
fn pass(body: &mut Body, input: &[u8], take: Take<'_>) -> Result<bool, Error> {
    let mut rest = input;
    loop {
        let piece = body.step(rest)?;
        let (_, payload) = rest.split_at_checked(piece.skip).unwrap_or_default();
        let (data, after) = payload.split_at_checked(piece.data).unwrap_or_default();
        take(data)?;
        rest = after;
        if piece.done || rest.is_empty() {
            return Ok(piece.done);
        }
    }
}

fn connect<'c>(http: &Http, clock: &'c Clock, trust: &Trust) -> Result<Stream<Timed<'c>>, Error> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (http.host.as_str(), http.port).to_socket_addrs().map_err(Error::Connect)? {
        match TcpStream::connect_timeout(&address, clock.left()?) {
            Ok(stream) => {
                let stream = Timed { stream, clock };
                let plain = !http.tls;
                return if plain { Ok(Stream::Plain(stream)) } else { trust.wrap(stream, &http.host) }
                    .map_err(Error::Connect);
            }
            Err(error) => last = error,
        }
    }
    Err(if last.kind() == io::ErrorKind::TimedOut { clock.over() } else { Error::Connect(last) })
}

/// A connection that waits for nothing longer than there is time.
struct Timed<'c> {
    stream: TcpStream,
    clock: &'c Clock,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        self.clock.left().map_err(|_| io::ErrorKind::TimedOut.into())
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// How much time there is.
struct Clock {
    end: Option<Instant>,
    timeout: Duration,
}

impl Clock {
    fn left(&self) -> Result<Duration, Error> {
        let Some(end) = self.end else { return Ok(Duration::MAX) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.over()) } else { Ok(left) }
    }

    fn over(&self) -> Error {
        Error::Timeout(self.timeout)
    }

    fn explain(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.over(),
            _ => Error::Read(error),
        }
    }
}

/// How much is read at once.
const WINDOW: usize = 64 << 10;
