//! The web server in a loop of its own, with pages that a test makes up and a clock that it turns.

mod http;
mod secure;
mod slow;

use std::io::{Read, Write};
use std::net::TcpStream as Socket;
use std::path::PathBuf;
use std::rc::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration as Span, Instant as Clock};

use mio::{Events, Poll};
use pmbridge_core::http::server::pairs;

use super::*;

/// What the loop and the test share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// How far the clock was turned, in milliseconds.
    turned: AtomicU64,
    /// Whether pages that were asked for later are there.
    released: AtomicBool,
    forgotten: AtomicU64,
    waited: AtomicU64,
    /// Pages that were made, and those that are still there.
    made: AtomicU64,
    alive: AtomicU64,
    stats: Mutex<Stats>,
}

/// Pages as the query says: `size=N`, `later`, `refuse=STATUS`.
struct Canned {
    shared: Arc<Shared>,
    pages: Vec<Weak<Document>>,
}

impl Pages for Canned {
    fn page(&mut self, request: &Request<'_>, wait: &mut Option<u64>, _: Instant) -> Reply {
        let mut size = 100;
        for (name, value) in pairs(request.query) {
            let value = decoded(value).unwrap();
            if name.is("refuse") {
                return Reply::Refused(value.parse().unwrap(), "it is so\r\nX: y".into());
            } else if name.is("size") {
                size = value.parse().unwrap();
            } else if name.is("later") && !self.shared.released.load(Ordering::SeqCst) {
                if wait.is_none() {
                    *wait = Some(7);
                    self.shared.waited.fetch_add(1, Ordering::SeqCst);
                }
                return Reply::Later;
            }
        }
        self.shared.made.fetch_add(1, Ordering::SeqCst);
        let page = Rc::new(Document::new("text/plain; version=0.0.4", page(size)));
        self.pages.push(Rc::downgrade(&page));
        Reply::Page(page)
    }

    fn is_ready(&mut self) -> bool {
        self.shared.released.load(Ordering::SeqCst)
    }

    fn forget(&mut self, wait: u64) {
        assert_eq!(wait, 7);
        self.shared.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// A page of this many bytes.
fn page(size: usize) -> Vec<u8> {
    static LINES: OnceLock<Vec<u8>> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        let line = |n: u32| format!("metric_{}{{a=\"{}\"}} {n}\n", n % 9, n.wrapping_mul(0x9e37_79b9) % 1000);
        (0..3000).flat_map(|n| line(n).into_bytes()).collect()
    });
    let mut page = lines.repeat(size.div_ceil(lines.len()));
    page.truncate(size);
    page
}

/// A server. It ends with the test.
struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        Self::with(100, None)
    }

    fn with(max_connections: usize, config_file: Option<PathBuf>) -> Self {
        let shared = Arc::new(Shared::default());
        let (tell, told) = std::sync::mpsc::channel();
        let mine = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let settings = Settings {
                listen: ([127, 0, 0, 1], 0).into(),
                telemetry_path: "/metrics".into(),
                config_file,
                max_connections,
                max_unread: 1 << 30,
                timeout: Duration::from_secs(5),
            };
            let mut poll = Poll::new().unwrap();
            let mut web = Web::new(poll.registry(), Token(100), settings).unwrap();
            tell.send(web.address).unwrap();
            run(&mut poll, &mut web, &mine);
        });
        Self { address: told.recv().unwrap(), shared, thread: Some(thread) }
    }

    fn connect(&self) -> Socket {
        let socket = Socket::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Sends this, and reads all that comes until the connection ends.
    fn ask(&self, text: &str) -> String {
        let mut socket = self.connect();
        socket.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// A GET of its own, whose answer must be a page of this size.
    fn serves(&self, size: usize) {
        let answer = self.ask(&get(&format!("/metrics?size={size}")));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.as_bytes() == page(size), "{head}");
    }

    fn stats(&self) -> Stats {
        self.shared.stats.lock().unwrap().clone()
    }

    /// Waits until this status was told so often, which must not be more.
    fn answered(&self, status: u16, times: u64) {
        let told = || self.stats().answers.get(&status).copied().unwrap_or(0);
        until("the last answer", || told() >= times);
        assert_eq!(told(), times, "{status}");
    }

    /// Turns the clock on.
    fn turn(&self, seconds: u64) {
        self.shared.turned.fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
    }

    fn count(of: &AtomicU64) -> u64 {
        of.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

/// The loop, as a host has it.
fn run(poll: &mut Poll, web: &mut Web, shared: &Arc<Shared>) {
    let mut events = Events::with_capacity(64);
    let mut pages = Canned { shared: Arc::clone(shared), pages: Vec::new() };
    let clock = crate::clock::Clock::start();
    let mut released = false;
    while !shared.stop.load(Ordering::SeqCst) {
        let now = || clock.now().saturating_add(Duration::from_millis(shared.turned.load(Ordering::SeqCst)));
        let until = web.deadline().map(|at| at.saturating_since(now()).millis()).unwrap_or(10).min(10);
        poll.poll(&mut events, Some(Span::from_millis(until))).unwrap();
        for event in &events {
            web.wake(event.token().0.saturating_sub(100));
        }
        let stirred = shared.released.load(Ordering::SeqCst) != released;
        released |= stirred;
        web.pump(&mut pages, stirred, now());
        pages.pages.retain(|page| page.strong_count() > 0);
        shared.alive.store(pages.pages.len() as u64, Ordering::SeqCst);
        *shared.stats.lock().unwrap() = web.stats();
    }
}

/// A request after which the connection ends.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Waits until the condition is there.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Clock::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "gave up waiting for {what}");
        thread::sleep(Span::from_millis(2));
    }
}

/// One answer off a connection that stays: head and body.
fn answer(socket: &mut Socket) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    (head, body)
}

const PATIENCE: Span = Span::from_secs(60);
