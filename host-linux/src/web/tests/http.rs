//! What is said to whom.

use flate2::read::GzDecoder;

use super::*;

#[test]
fn every_path_has_its_answer() {
    let server = Server::start();
    let status = |target: &str| server.ask(&get(target)).split_once("\r\n").unwrap().0.to_owned();
    server.serves(100);
    assert_eq!(status("/-/healthy"), "HTTP/1.1 200 OK");
    assert_eq!(status("/-/ready"), "HTTP/1.1 503 Service Unavailable");
    server.shared.released.store(true, Ordering::SeqCst);
    assert_eq!(status("/-/ready"), "HTTP/1.1 200 OK");
    for nowhere in ["/metricsXYZ", "/metrics/", "/Metrics", "/-/", "/favicon.ico", "//metrics", "/../metrics"]
    {
        assert_eq!(status(nowhere), "HTTP/1.1 404 Not Found", "{nowhere}");
    }
    assert_eq!(status("http://anywhere/metrics?size=1"), "HTTP/1.1 200 OK");
    let landing = server.ask(&get("/"));
    assert!(
        landing.contains("Content-Type: text/html") && landing.contains("href=\"/metrics\""),
        "{landing}"
    );
    let refused = server.ask(&get("/metrics?refuse=403"));
    assert!(
        refused.starts_with("HTTP/1.1 403 Forbidden\r\n") && refused.ends_with("\r\n\r\nit is so  X: y\n"),
        "{refused}"
    );
    server.answered(404, 7);
    server.answered(403, 1);
    // What is no request has an answer too.
    assert!(server.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
    server.answered(400, 1);
}

#[test]
fn a_head_tells_what_it_must_and_no_more() {
    let server = Server::start();
    let answer = server.ask(&get("/metrics?size=50"));
    let head: Vec<_> = answer.split_once("\r\n\r\n").unwrap().0.split("\r\n").collect();
    let date = head[1].strip_prefix("Date: ").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29 && date.get(3..5) == Some(", "), "{date}");
    assert_eq!(
        [head[0]].iter().chain(&head[2..]).copied().collect::<Vec<_>>(),
        [
            "HTTP/1.1 200 OK",
            "Content-Type: text/plain; version=0.0.4",
            "Content-Length: 50",
            "Vary: Accept, Accept-Encoding",
            "Connection: close"
        ]
    );
    let head = server.ask("HEAD /metrics?size=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let same = |text: &str| {
        text.lines().filter(|line| !line.starts_with("Date")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(same(&head), same(answer.strip_suffix(str::from_utf8(&page(50)).unwrap()).unwrap()));
}

#[test]
fn requests_in_one_piece_or_in_many_have_the_same_answers() {
    let server = Server::start();
    let three = ["/metrics?size=20000", "/nowhere", "/metrics?size=3"]
        .map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let check = |socket: &mut Socket| {
        assert_eq!(answer(socket).1, page(20000));
        assert_eq!(answer(socket).1, b"Not Found\n");
        assert_eq!(answer(socket).1, page(3));
    };
    let mut socket = server.connect();
    socket.set_nodelay(true).unwrap();
    socket.write_all(three.concat().as_bytes()).unwrap();
    check(&mut socket);
    for piece in three.concat().as_bytes().chunks(5) {
        socket.write_all(piece).unwrap();
        thread::sleep(Span::from_millis(1));
    }
    check(&mut socket);
    assert_eq!(server.stats().accepted, 1);
    // More than any window holds, of a client that reads only at its end.
    let mut reader = socket.try_clone().unwrap();
    let many = thread::spawn(move || (0..5000).all(|_| answer(&mut reader).1 == page(3)));
    socket.write_all(three[2].repeat(5000).as_bytes()).unwrap();
    assert!(many.join().unwrap());
}

#[test]
fn what_fells_pmproxy_is_answered() {
    let server = Server::start();
    let says = |text: &str| server.ask(text).split_once("\r\n").unwrap().0.to_owned();
    let fields = |fields: &str| {
        says(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n"))
    };
    assert_eq!(fields("Accept: a\r\nAccept: b\r\nX: 1\r\nX: 1\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(fields("Host: x\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(fields("Content-Length: -1\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(fields("Content-Length: 5\r\n"), "HTTP/1.1 413 Content Too Large");
    assert_eq!(fields("Transfer-Encoding: chunked\r\n"), "HTTP/1.1 501 Not Implemented");
    assert_eq!(fields("Expect: 100-continue\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(fields("Expect: more\r\n"), "HTTP/1.1 417 Expectation Failed");
    assert_eq!(fields("Upgrade: websocket\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(fields(&"X: y\r\n".repeat(1000)), "HTTP/1.1 200 OK");
    assert_eq!(fields(&"X: y\r\n".repeat(4000)), "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(says(&get(&format!("/{}", "x".repeat(9000)))), "HTTP/1.1 414 URI Too Long");
    assert_eq!(says(&"x".repeat(100_000)), "HTTP/1.1 414 URI Too Long");
    assert_eq!(says("\u{16}\u{3}\u{1}\u{2}\0"), "HTTP/1.1 400 Bad Request");
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let text = server.ask(&get("/metrics").replace("GET", method));
        assert!(
            text.starts_with("HTTP/1.1 405 ") && text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"),
            "{text}"
        );
    }
    // A body that is not read does not cost the client its answer.
    let text = format!(
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    assert!(server.ask(&text).starts_with("HTTP/1.1 405 "));
    server.serves(100);
}

#[test]
fn an_old_client_has_the_whole_page_and_its_end() {
    let server = Server::start();
    let answer = server.ask("GET /metrics?size=3000000 HTTP/1.0\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Connection: close") && body.as_bytes() == page(3_000_000), "{head}");
    let mut socket = server.connect();
    for _ in 0..3 {
        socket.write_all(b"GET /metrics HTTP/1.0\r\nCONNECTION: KEEP-ALIVE\r\n\r\n").unwrap();
        let (head, body) = self::answer(&mut socket);
        assert!(head.contains("Connection: keep-alive") && body == page(100), "{head}");
    }
}

#[test]
fn a_page_is_packed_for_who_wants_it_packed() {
    let server = Server::start();
    for (accepts, size, packed) in [
        ("Accept-Encoding: gzip", 20_000, true),
        ("accept-encoding: GZIP", 20_000, true),
        ("Accept-Encoding: gzip;q=1.0", 20_000, true),
        ("Accept-Encoding: gzip,deflate", 20_000, true),
        ("Accept-Encoding: deflate, *;q=0.1", 3_000_000, true),
        ("Accept-Encoding: gzip", 1000, false),
        ("Accept-Encoding: gzip;q=0", 20_000, false),
        ("Accept-Encoding: br", 20_000, false),
        ("X: y", 20_000, false),
    ] {
        for method in ["GET", "HEAD"] {
            let mut socket = server.connect();
            let request = format!(
                "{method} /metrics?size={size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{accepts}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).unwrap();
            let mut all = Vec::new();
            socket.read_to_end(&mut all).unwrap();
            let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let (head, body) = all.split_at(end);
            let head = String::from_utf8_lossy(head);
            assert_eq!(head.contains("Content-Encoding: gzip\r\n"), packed, "{accepts} {head}");
            if method == "HEAD" {
                assert!(body.is_empty());
                continue;
            }
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            let mut plain = Vec::new();
            if packed {
                assert!(body.len() < size / 2);
                GzDecoder::new(body).read_to_end(&mut plain).unwrap();
            } else {
                plain = body.into();
            }
            assert!(plain == page(size), "{accepts}");
        }
    }
}

#[test]
fn who_says_all_and_goes_on_listening_is_answered() {
    let server = Server::start();
    let mut socket = server.connect();
    socket.write_all(b"GET /metrics?size=100000&later HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    until("the request", || Server::count(&server.shared.waited) == 1);
    server.shared.released.store(true, Ordering::SeqCst);
    assert_eq!(answer(&mut socket).1, page(100_000));
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}
