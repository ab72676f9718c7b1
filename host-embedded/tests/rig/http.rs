//! Who asks for pages, and who has some.

use pmbridge_core::exposition;
use smoltcp::{
    iface::SocketHandle,
    socket::tcp::{Socket, State},
};

use super::{HTTP, Rig};

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Takes an answer apart, if it is whole.
    pub fn parse(bytes: &[u8], is_head: bool) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = if is_head {
            String::new()
        } else if head.contains("chunked") {
            unchunked(rest)?
        } else {
            let (_, length) = head.split_once("Content-Length: ")?;
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            rest.get(..length)?.into()
        };
        Some(Self { status, head: head.into(), body })
    }

    /// The value of a series, as it stands.
    pub fn value(&self, series: &str) -> Option<&str> {
        self.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
    }

    /// All its lines are lines of an exposition.
    pub fn check(&self) {
        for line in self.body.lines() {
            assert!(exposition::line(line.as_bytes()).is_ok(), "{line}");
        }
        assert!(self.body.ends_with('\n'));
    }
}

fn unchunked(rest: &str) -> Option<String> {
    let (mut rest, mut body) = (rest, String::new());
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body += after.get(..size)?;
        rest = after.get(size..)?.strip_prefix("\r\n")?;
        if size == 0 {
            return Some(body);
        }
    }
}

impl Rig {
    /// A connection for pages, which takes so many bytes before it has to be read.
    pub fn reader(&mut self, room: usize) -> SocketHandle {
        let reader = self.peer.connect(HTTP, room);
        assert!(self.until(3000, |rig| rig.peer.is_up(reader)));
        reader
    }

    /// What a request gets.
    pub fn request(&mut self, reader: SocketHandle, request: &str) -> Answer {
        self.peer.get(reader).send_slice(request.as_bytes()).unwrap();
        let (mut bytes, mut answer) = (Vec::new(), None);
        self.until(10_000, |rig| {
            bytes.extend(rig.peer.take(reader));
            answer = Answer::parse(&bytes, request.starts_with("HEAD"));
            answer.is_some()
        });
        answer.unwrap_or_else(|| panic!("{request}: {}", String::from_utf8_lossy(&bytes)))
    }

    /// A page, over a connection of its own.
    pub fn page(&mut self, accept: &str) -> Answer {
        let reader = self.reader(4096);
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: chip:9100\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answer = self.request(reader, &request);
        self.until(1000, |rig| rig.peer.get(reader).state() == State::CloseWait);
        self.peer.get(reader).close();
        answer
    }
}

/// A neighbour: a page that it sends to whoever asks.
pub struct Server {
    pub handle: SocketHandle,
    pub port: u16,
    answer: String,
    /// How often it was asked.
    pub asked: usize,
    sent: Option<usize>,
}

impl Server {
    pub fn new(rig: &mut Rig, port: u16, page: &str) -> Self {
        let mut server =
            Self { handle: rig.peer.socket(4096), port, answer: String::new(), asked: 0, sent: None };
        server.says(page);
        server
    }

    /// Has this page from now on.
    pub fn says(&mut self, page: &str) {
        self.answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{page}");
    }

    /// Listens, reads, answers.
    pub fn serve(&mut self, rig: &mut Rig) {
        let socket: &mut Socket<'_> = rig.peer.get(self.handle);
        if !socket.is_open() {
            self.sent = None;
            socket.listen(self.port).unwrap();
        }
        if socket.can_recv() && self.sent.is_none() {
            let whole = socket.recv(|bytes| (bytes.len(), bytes.ends_with(b"\r\n\r\n"))).unwrap();
            assert!(whole);
            self.asked += 1;
            self.sent = Some(0);
        }
        let Some(sent) = self.sent else { return };
        let rest = &self.answer.as_bytes()[sent..];
        if socket.may_send() && !rest.is_empty() {
            self.sent = Some(sent + socket.send_slice(rest).unwrap());
        } else if rest.is_empty() {
            socket.close();
        }
    }
}
