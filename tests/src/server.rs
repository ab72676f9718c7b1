//! An HTTP endpoint that answers as a test tells it, faults included.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A connection to the server.
pub type Stream = TcpStream;

/// What a path answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200 with a Content-Length; the connection stays.
    Document(Vec<u8>),
    /// 200 in chunks of this many bytes; the connection stays.
    Chunked(Vec<u8>, usize),
    /// 200 without a length: the end of the connection is the end of the document.
    UntilClose(Vec<u8>),
    /// A Content-Length of the whole document, then only this many bytes of it.
    Truncated(Vec<u8>, usize),
    /// A status with a short body.
    Status(u16),
    /// These fields, each with its CR LF, a Content-Length, and a body; the connection stays.
    Fields(u16, String, Vec<u8>),
    /// Bytes that are not HTTP.
    Banner(&'static str),
    /// Sample lines without end.
    Endless,
    /// One good sample, a line of this many bytes, one more good sample.
    LongLine(usize),
    /// Nothing, for ever.
    Hang,
    /// The document, one byte each tenth of a second.
    Drip(Vec<u8>),
    /// The connection ends without an answer.
    Close,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    gets: Mutex<HashMap<String, u32>>,
    heads: Mutex<HashMap<String, String>>,
    connections: AtomicU32,
    stop: AtomicBool,
}

/// A server on a loopback port. Dropping it closes the port and all of its connections.
#[derive(Debug)]
pub struct Server {
    at: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server with no paths, on a port of the kernel's choice.
    pub fn new() -> Self {
        Self::at(0)
    }

    /// A server on this port, for an endpoint that comes back.
    pub fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a loopback port");
        let at = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = Some(thread::spawn(move || accept(&listener, &theirs)));
        Self { at, shared, thread }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.at.port()
    }

    /// Sets what a path answers, and gives its URL.
    pub fn put(&self, path: &str, answer: Answer) -> String {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
        format!("http://{}{path}", self.at)
    }

    /// How often a path was asked for.
    pub fn gets(&self, path: &str) -> u32 {
        self.shared.gets.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// The head of the last request for a path.
    pub fn head(&self, path: &str) -> String {
        self.shared.heads.lock().unwrap().get(path).cloned().unwrap_or_default()
    }

    /// How many connections there were.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(self.at).ok(); // wakes accept
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || drop(converse(stream, &shared))));
    }
    for thread in threads {
        thread.join().ok();
    }
}

fn converse(mut stream: Stream, shared: &Shared) -> std::io::Result<()> {
    let tick = Duration::from_millis(100);
    stream.set_read_timeout(Some(tick))?;
    stream.set_write_timeout(Some(tick))?;
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        let Some(path) = request(&mut stream, &mut head, shared)? else { return Ok(()) };
        *shared.gets.lock().unwrap().entry(path.clone()).or_default() += 1;
        let answer = shared.answers.lock().unwrap().get(&path).cloned().unwrap_or(Answer::Status(404));
        if !respond(&mut stream, answer, shared)? {
            return Ok(());
        }
    }
}

/// The path of the next request, or `None` at the end of the connection.
fn request(stream: &mut Stream, head: &mut Vec<u8>, shared: &Shared) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&head[..end]).into_owned();
            head.drain(..end + 4);
            let path = text.split_whitespace().nth(1).unwrap_or("/").to_owned();
            shared.heads.lock().unwrap().insert(path.clone(), text);
            return Ok(Some(path));
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return Ok(None),
            Ok(n) => head.extend_from_slice(&piece[..n]),
            Err(e) if is_tick(&e) && !shared.stop.load(Ordering::SeqCst) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Sends one answer; true where the connection stays.
fn respond(stream: &mut Stream, answer: Answer, shared: &Shared) -> std::io::Result<bool> {
    let mut send = |bytes: &[u8]| send(stream, bytes, shared);
    let ok = |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n{more}\r\n");
    let length = |n: usize| ok(&format!("Content-Length: {n}\r\n"));
    match answer {
        Answer::Document(body) => {
            send(length(body.len()).as_bytes())?;
            send(&body)?;
            return Ok(true);
        }
        Answer::Chunked(body, size) => {
            send(ok("Transfer-Encoding: chunked\r\n").as_bytes())?;
            chunks(&body, size, send)?;
            return Ok(true);
        }
        Answer::UntilClose(body) => {
            send(ok("Connection: close\r\n").as_bytes())?;
            send(&body)?;
        }
        Answer::Truncated(body, n) => {
            send(length(body.len()).as_bytes())?;
            send(&body[..n])?;
        }
        Answer::Status(code) => {
            send(format!("HTTP/1.1 {code} Told So\r\nContent-Length: 4\r\n\r\nnay\n").as_bytes())?;
            return Ok(true);
        }
        Answer::Fields(code, fields, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {code} Told So\r\n{fields}Content-Length: {length}\r\n\r\n");
            send(head.as_bytes())?;
            send(&body)?;
            return Ok(true);
        }
        Answer::Banner(text) => send(text.as_bytes())?,
        Answer::Endless => {
            send(ok("Connection: close\r\n").as_bytes())?;
            for i in 0_u64.. {
                send(format!("endless_{}{{i=\"{i}\"}} {i}\n", i % 7).as_bytes())?;
            }
        }
        Answer::LongLine(n) => {
            send(ok("Connection: close\r\n").as_bytes())?;
            long_line(n, send)?;
        }
        Answer::Hang => loop {
            wait(shared)?;
        },
        Answer::Drip(body) => {
            send(length(body.len()).as_bytes())?;
            for byte in body {
                send(&[byte])?;
                wait(shared)?;
            }
        }
        Answer::Close => {}
    }
    Ok(false)
}

fn chunks(
    body: &[u8],
    size: usize,
    mut send: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    for chunk in body.chunks(size) {
        send(format!("{:x}\r\n", chunk.len()).as_bytes())?;
        send(chunk)?;
        send(b"\r\n")?;
    }
    send(b"0\r\n\r\n")
}

/// A line of `n` bytes between two short ones.
fn long_line(n: usize, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    send(b"before_line 1\nlong_line{a=\"")?;
    let piece = vec![b'x'; 1 << 16];
    for _ in 0..n >> 16 {
        send(&piece)?;
    }
    send(b"\"} 2\nafter_line 3\n")
}

fn send(stream: &mut Stream, mut bytes: &[u8], shared: &Shared) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if is_tick(&e) && !shared.stop.load(Ordering::SeqCst) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn wait(shared: &Shared) -> std::io::Result<()> {
    thread::sleep(Duration::from_millis(100));
    if shared.stop.load(Ordering::SeqCst) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}

fn is_tick(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
