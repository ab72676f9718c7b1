//! The web server of `pmbridge export` as a program: who gets what, who is shown out, and the files that say so.

mod files;
mod prometheus;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pmbridge_tests::{Export, Usage, ask, eventually};

fn connect(export: &Export) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", export.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

#[test]
fn it_is_healthy_before_it_is_ready() {
    let export = Export::alone(&["--web.telemetry-path", "/pcp"]);
    assert!(export.url.ends_with("/pcp"), "{}", export.url);
    for (target, want) in
        [("/", 200), ("/-/healthy", 200), ("/-/ready", 503), ("/pcp", 503), ("/metrics", 404), ("/pcpx", 404)]
    {
        assert_eq!(export.get(target).status, want, "{target}");
    }
    assert!(ask(export.port, "GET / HTTP/1.0\r\n\r\n").text().contains("href=\"/pcp\""));
}

#[test]
fn slow_clients_cost_nobody_else_and_are_closed() {
    let mut export = Export::alone(&[]);
    let since = Instant::now();
    let mut slow: Vec<_> = (0..200).map(|_| connect(&export)).collect();
    for socket in &mut slow {
        socket.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    }
    while since.elapsed() < Duration::from_secs(8) {
        assert_eq!(export.get("/-/healthy").status, 200);
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
    let mut export = Export::alone(&["--max-connections", "50"]);
    assert_eq!(export.get("/-/healthy").status, 200);
    let before = Usage::of(export.process.id());
    for _ in 0..20 {
        let many: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", export.port))).collect();
        drop(many);
    }
    let held: Vec<_> = (0..60).map(|_| connect(&export)).collect();
    eventually("room, once those who do nothing have done it for a while", || {
        let mut socket = connect(&export);
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
