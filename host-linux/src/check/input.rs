//! The document to check: behind a URL, in a file, or on standard input, read piece by piece up to a limit.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pmbridge_core::http::{self, body::Body, request::Get, response::Head};
use pmbridge_core::store::Full;
use pmbridge_core::wire::Writer;

use crate::flags::Options;
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

/// One exchange, which as a whole may take as long as a scrape.
fn get(http: &Http, timeout: Duration, most: u64, take: Take<'_>) -> Result<(), Error> {
    let clock = Clock { end: Instant::now().checked_add(timeout), timeout };
    let mut stream = connect(http, &clock)?;
    let headers = http.authorization();
    let get = Get { host: &http.authority, path: &http.path, headers: &headers, keep_alive: false };
    let mut counter = Writer::counter();
    get.emit(&mut counter);
    let mut request = vec![0; counter.total()];
    get.emit(&mut Writer::new(&mut request));
    stream.set_write_timeout(Some(clock.left()?)).map_err(Error::Connect)?;
    stream.write_all(&request).map_err(|error| clock.explain(error))?;
    let (mut room, mut held, mut body) = (vec![0; WINDOW], Vec::new(), None);
    loop {
        stream.set_read_timeout(Some(clock.left()?)).map_err(Error::Connect)?;
        let len = match stream.read(&mut room) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(clock.explain(error)),
        };
        if len == 0 {
            return body.as_mut().map_or(Err(http::Error::Truncated), Body::end).map_err(Error::Http);
        }
        held.extend_from_slice(room.get(..len).unwrap_or_default());
        if body.is_none() {
            body = head(&mut held)?.map(|head| Body::new(head.body, most));
        }
        if let Some(body) = &mut body {
            if pass(body, &held, take)? {
                return Ok(());
            }
            held.clear();
        }
    }
}

/// Takes the head of the answer off what has come, once it is whole.
fn head(held: &mut Vec<u8>) -> Result<Option<Head>, Error> {
    while let Some((head, len)) = Head::parse(held)? {
        held.drain(..len);
        match head.status {
            _ if head.is_informational() => {}
            200 => return Ok(Some(head)),
            status => return Err(Error::Status(status)),
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

fn connect(http: &Http, clock: &Clock) -> Result<TcpStream, Error> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (http.host.as_str(), http.port).to_socket_addrs().map_err(Error::Connect)? {
        match TcpStream::connect_timeout(&address, clock.left()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(if last.kind() == io::ErrorKind::TimedOut { clock.over() } else { Error::Connect(last) })
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
