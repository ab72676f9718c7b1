//! An HTTP server that is scraped, good or bad.

use pmbridge_core::time::{Duration, Instant};
use smoltcp::{iface::SocketHandle, socket::tcp::Socket};

use super::station::Stack;

/// What a [`Neighbour`] answers.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Its head, with the empty line.
    pub head: Vec<u8>,
    /// What its body repeats.
    pub body: Vec<u8>,
    /// Bytes of the whole body.
    pub length: u64,
    /// Bytes sent at once.
    pub piece: usize,
    /// What follows.
    pub end: End,
}

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection is closed.
    Close,
    /// It is reset.
    Abort,
    /// Nothing happens any more.
    Hang,
}

impl Serve {
    /// A page as it should be.
    pub fn page(body: &str) -> Self {
        Self::repeated(body, body.len() as u64)
    }

    /// A body that repeats these lines up to a length.
    pub fn repeated(body: &str, length: u64) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        Self {
            head: head.into_bytes(),
            body: body.as_bytes().to_vec(),
            length,
            piece: usize::MAX,
            end: End::Close,
        }
    }

    /// A body that repeats these lines for ever, as servers send one whose length they do not know.
    pub fn endless(body: &str) -> Self {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        Self { head, body: body.as_bytes().to_vec(), length: u64::MAX, piece: usize::MAX, end: End::Close }
    }

    /// Another head before the same body.
    pub fn with_head(self, head: &str) -> Self {
        Self { head: head.as_bytes().to_vec(), ..self }
    }

    /// The bytes from here on that are sent at once.
    fn at(&self, sent: u64) -> &[u8] {
        let head = self.head.len() as u64;
        let Some(sent) = sent.checked_sub(head) else {
            return &self.head[usize::try_from(sent).unwrap_or(self.head.len())..];
        };
        let left = usize::try_from(self.length.saturating_sub(sent)).unwrap_or(usize::MAX);
        if left == 0 || self.body.is_empty() {
            return &[];
        }
        let at = usize::try_from(sent % self.body.len() as u64).unwrap_or(0);
        let rest = &self.body[at..];
        &rest[..rest.len().min(left).min(self.piece)]
    }
}

/// One who listens for scrapes.
#[derive(Debug)]
pub struct Neighbour {
    /// What it answers; nothing and no connection where this is none.
    pub serve: Option<Serve>,
    /// Requests that it had.
    pub asked: u32,
    /// Bytes that it sent.
    pub sent: u64,
    port: u16,
    lines: Vec<Line>,
    at: Instant,
}

#[derive(Debug)]
struct Line {
    socket: SocketHandle,
    request: Vec<u8>,
    /// What its request is answered, whatever others get from now on.
    serve: Option<Serve>,
    sent: u64,
}

impl Neighbour {
    /// One who listens here.
    pub const fn new(port: u16, serve: Option<Serve>) -> Self {
        Self { serve, asked: 0, sent: 0, port, lines: Vec::new(), at: Instant::START }
    }

    /// One who answers drop by drop does so each tenth of a second.
    pub(super) fn next(&self) -> Option<Instant> {
        let drips = self.serve.as_ref().is_some_and(|serve| serve.piece < usize::MAX);
        (drips && self.lines.iter().any(|line| !line.request.is_empty()))
            .then(|| self.at.saturating_add(Duration::from_millis(DRIP)))
    }

    pub(super) fn turn(&mut self, stack: &mut Stack, now: Instant) {
        while self.lines.len() < LINES {
            self.lines.push(Line {
                socket: stack.socket(REQUEST),
                request: Vec::new(),
                serve: None,
                sent: 0,
            });
        }
        let drips = self.serve.as_ref().is_some_and(|serve| serve.piece < usize::MAX);
        let is_due = !drips || self.next().is_none_or(|at| at <= now);
        if is_due {
            self.at = now;
        }
        for line in &mut self.lines {
            let socket = stack.tcp(line.socket);
            let Some(serve) = &self.serve else {
                socket.abort();
                continue;
            };
            if !socket.is_active() && !socket.is_listening() {
                // smoltcp has no backlog: one that is done listens again at once.
                socket.abort();
                (line.request, line.serve, line.sent) = (Vec::new(), None, 0);
                socket.listen(self.port).expect("a socket that is closed");
            }
            if line.hears(socket) {
                self.asked += 1;
                line.serve = Some(serve.clone());
            }
            if is_due {
                self.sent += line.answer(socket);
            }
        }
    }
}

impl Line {
    /// Takes what came; whether a request is whole with it.
    fn hears(&mut self, socket: &mut Socket<'_>) -> bool {
        let was = self.request.ends_with(b"\r\n\r\n");
        while socket.can_recv() {
            let heard = socket.recv(|bytes| (bytes.len(), self.request.extend_from_slice(bytes)));
            if heard.is_err() {
                break;
            }
        }
        !was && self.request.ends_with(b"\r\n\r\n")
    }

    fn answer(&mut self, socket: &mut Socket<'_>) -> u64 {
        let Some(serve) = &self.serve else { return 0 };
        let before = self.sent;
        while socket.can_send() {
            let part = serve.at(self.sent);
            if part.is_empty() {
                match serve.end {
                    End::Close => socket.close(),
                    End::Abort if socket.send_queue() == 0 => socket.abort(),
                    End::Abort | End::Hang => {}
                }
                break;
            }
            let sent = socket.send_slice(part).unwrap_or(0);
            self.sent += sent as u64;
            if sent < part.len() || serve.piece < usize::MAX {
                break;
            }
        }
        self.sent - before
    }
}

/// Milliseconds between two pieces.
const DRIP: u64 = 100;
/// Bytes of the longest request.
const REQUEST: usize = 2048;
/// Scrapes at once: smoltcp keeps nobody waiting.
const LINES: usize = 2;
