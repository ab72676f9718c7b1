//! The web server of `pmbridge export` as a program: who gets what, who is shown out, and the files that say so.

mod files;
mod prometheus;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use pmbridge_tests::{Dir, Process, Usage, eventually, free_port, pmbridge};

/// `pmbridge export`, of no pmcd unless one is said.
pub(super) struct Export {
    pub(super) process: Process,
    pub(super) port: u16,
    pub(super) url: String,
    _dir: Dir,
}

impl Export {
    pub(super) fn start(args: &[&str]) -> Self {
        let dir = Dir::new();
        let nobody = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(pmbridge());
        command.args(["export", "--pmcd", &nobody, "--web.listen-address", "127.0.0.1:0", "-u", "root"]);
        let mut process = Process::start(command.args(args), dir.join("export.log"));
        let url = eventually("where the pages are", || {
            assert!(process.is_alive(), "{args:?}: {}", process.said());
            let said = process.said();
            said.split_whitespace().find(|word| word.starts_with("http")).map(str::to_owned)
        });
        let port = url.split([':', '/']).nth(4).unwrap().parse().unwrap();
        Self { process, port, url, _dir: dir }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    /// What comes until the connection ends, when this is sent.
    fn ask(&self, text: &str) -> String {
        let mut socket = self.connect();
        socket.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn status(&self, target: &str) -> String {
        let text = self.ask(&format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        text.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

#[test]
fn it_is_healthy_before_it_is_ready() {
    let export = Export::start(&["--web.telemetry-path", "/pcp"]);
    assert!(export.url.ends_with("/pcp"), "{}", export.url);
    for (target, want) in [
        ("/", "200"),
        ("/-/healthy", "200"),
        ("/-/ready", "503"),
        ("/pcp", "503"),
        ("/metrics", "404"),
        ("/pcpx", "404"),
    ] {
        assert_eq!(export.status(target), want, "{target}");
    }
    assert!(export.ask("GET / HTTP/1.0\r\n\r\n").contains("href=\"/pcp\""));
}

#[test]
fn slow_clients_cost_nobody_else_and_are_closed() {
    let mut export = Export::start(&[]);
    let since = Instant::now();
    let mut slow: Vec<_> = (0..200).map(|_| export.connect()).collect();
    for socket in &mut slow {
        socket.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    }
    while since.elapsed() < Duration::from_secs(8) {
        assert_eq!(export.status("/-/healthy"), "200");
        for socket in &mut slow {
            // A byte now and then keeps nobody in.
            let _ = socket.write_all(b"x");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for socket in &mut slow {
        let mut text = String::new();
        let _ = socket.read_to_string(&mut text);
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    }
    assert!(export.process.is_alive());
}

#[test]
fn thousands_of_connections_leave_nothing_behind() {
    let mut export = Export::start(&["--max-connections", "50"]);
    assert_eq!(export.status("/-/healthy"), "200");
    let before = Usage::of(export.process.id());
    for _ in 0..20 {
        let many: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", export.port))).collect();
        drop(many);
    }
    let held: Vec<_> = (0..60).map(|_| export.connect()).collect();
    eventually("room, once those who do nothing have done it for a while", || {
        let mut socket = export.connect();
        let _ = socket.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = socket.read_to_string(&mut text);
        text.starts_with("HTTP/1.1 200 ").then_some(())
    });
    drop(held);
    eventually("their descriptors", || {
        (Usage::of(export.process.id()).descriptors <= before.descriptors + 1).then_some(())
    });
    let after = Usage::of(export.process.id());
    assert!(after.resident < before.resident + (8 << 20), "{before:?} {after:?}");
    assert!(export.process.is_alive());
}
