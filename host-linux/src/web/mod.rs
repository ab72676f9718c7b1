//! The web server in front of pages: who may connect, for how long, and what lies where.
//!
//! [`Web`] owns the connections; what a request for the telemetry path gets, a [`Pages`] says. A page is rendered once
//! and shared by all who asked for it: a connection keeps a place in it, so that a slow reader costs no copy.

mod document;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use mio::{Registry, Token};
use pmbridge_core::http::server::{Encoded, Request};
use pmbridge_core::time::{Duration, Instant};

pub(crate) use document::Document;

/// What a web server is told at its start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The path of the pages, which begins with a slash.
    pub(crate) telemetry_path: String,
    /// The file that says who may connect and how, as Prometheus' exporters have it.
    pub(crate) config_file: Option<PathBuf>,
    /// Connections at once.
    pub(crate) max_connections: usize,
    /// How long a page may take to be there.
    pub(crate) timeout: Duration,
}

/// What stands behind a web server.
pub(crate) trait Pages {
    /// What a request for the telemetry path gets. `wait` is the request's memory between calls: `None` at first; what
    /// is put there is given back while it says [`Later`](Reply::Later), and forgotten once there is another answer.
    fn page(&mut self, request: &Request<'_>, wait: &mut Option<u64>, now: Instant) -> Reply;

    /// Whether there would be a page: what `/-/ready` tells.
    fn is_ready(&mut self) -> bool;

    /// Nobody waits for that any more: the client has gone, or its time was up.
    fn forget(&mut self, wait: u64);
}

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// It is not known yet.
    Later,
    /// A status of error, and a line that tells people why.
    Refused(u16, String),
    /// A page.
    Page(Rc<Document>),
}

/// How a web server has fared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Connections that are open.
    pub(crate) connections: usize,
    /// Connections that there were, with these.
    pub(crate) accepted: u64,
    /// Connections that were turned away, for there were too many.
    pub(crate) refused: u64,
    /// Connections that were closed for being too slow, or for what they sent.
    pub(crate) dropped: u64,
    /// Answers, by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Bytes of answers.
    pub(crate) bytes: u64,
}

/// A web server.
pub(crate) struct Web {
    address: SocketAddr,
}

impl Web {
    /// Listens. The tokens from `base` on are its own.
    pub(crate) fn new(registry: &Registry, base: Token, settings: Settings) -> io::Result<Self> {
        let _ = (registry, base);
        Ok(Self { address: settings.listen })
    }

    /// Where it listens, as the kernel has it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Something has happened to this token, counted from the base.
    pub(crate) fn wake(&mut self, token: usize) {
        let _ = token;
    }

    /// Lets each connection go on that may. `stirred`: answers may have become known, so ask for all that wait.
    pub(crate) fn pump(&mut self, pages: &mut dyn Pages, stirred: bool, now: Instant) {
        let _ = (pages, stirred, now);
    }

    /// When to pump again though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        None
    }

    /// How it has fared.
    pub(crate) fn stats(&self) -> Stats {
        Stats::default()
    }
}

/// What a name or a value of a query means, if that is text.
pub(crate) fn decoded(text: Encoded<'_>) -> Option<String> {
    String::from_utf8(text.bytes().collect()).ok()
}
