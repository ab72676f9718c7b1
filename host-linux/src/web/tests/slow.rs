//! Who is slow, and who are too many: the others are served all the same, and nothing is left of them.

use super::*;

/// Whether the connection has ended, once it has.
fn ends(socket: &mut Socket) -> bool {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).is_ok() || rest.is_empty()
}

#[test]
fn who_never_ends_a_request_is_told_and_closed() {
    let server = Server::start();
    let mut slow: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for socket in &mut slow {
        socket.write_all(b"GET /metrics HTTP/1.1\r\nX-").unwrap();
    }
    until("all of them", || server.stats().connections == 50);
    server.serves(10_000);
    server.turn(9);
    for socket in &mut slow {
        socket.write_all(b"a").unwrap();
    }
    server.serves(100);
    server.turn(2);
    for socket in &mut slow {
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 408 ") && text.contains("Connection: close"), "{text}");
    }
    drop(slow);
    until("their end", || server.stats().connections == 0);
    server.answered(408, 50);
}

#[test]
fn who_says_nothing_is_closed_without_a_word() {
    let server = Server::start();
    let (mut new, mut kept) = (server.connect(), server.connect());
    kept.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(answer(&mut kept).1, page(100));
    until("both", || server.stats().connections == 2);
    server.turn(11);
    assert_eq!(new.read(&mut [0]).unwrap(), 0);
    server.turn(60);
    kept.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(answer(&mut kept).1, page(100));
    server.answered(200, 2);
    server.turn(76);
    assert_eq!(kept.read(&mut [0]).unwrap(), 0);
}

#[test]
fn who_does_not_read_is_dropped_and_its_page_with_it() {
    let server = Server::start();
    let mut deaf: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for socket in &mut deaf {
        socket.write_all(b"GET /metrics?size=20000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    until("their pages", || Server::count(&server.shared.made) == 20);
    server.serves(1_000_000);
    until("none but theirs", || Server::count(&server.shared.alive) == 20);
    // What the kernels of both sides hold fills up.
    until("rest", || {
        let before = server.stats().bytes;
        thread::sleep(Span::from_millis(300));
        server.stats().bytes == before
    });
    server.turn(20);
    server.serves(100);
    assert_eq!(server.stats().dropped, 0);
    for _ in 0..2 {
        server.turn(31);
        server.serves(100);
    }
    until("their end", || Server::count(&server.shared.alive) == 0);
    until("their end", || server.stats().connections == 0);
    assert_eq!(server.stats().dropped, 20);
    assert!(deaf.iter_mut().all(ends));
}

#[test]
fn who_reads_too_little_is_dropped_too() {
    let server = Server::start();
    let mut socket = server.connect();
    socket.write_all(b"GET /metrics?size=12000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("its page", || Server::count(&server.shared.alive) == 1);
    let mut rounds = 0;
    // A page of 12 MB may take 60 s and a second for each 64 KiB.
    while Server::count(&server.shared.alive) == 1 && rounds < 100 {
        let mut piece = [0; 70_000];
        let _ = socket.read(&mut piece);
        server.turn(10);
        thread::sleep(Span::from_millis(20));
        rounds += 1;
    }
    assert!((20..30).contains(&rounds), "{rounds}");
}

#[test]
fn who_resets_in_the_middle_leaves_nothing_behind() {
    let server = Server::start();
    for _ in 0..5 {
        let mut rude: Vec<_> = (0..60).map(|_| server.connect()).collect();
        for socket in &mut rude {
            socket.write_all(b"GET /metrics?size=3000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut some = [0; 1000];
            socket.read_exact(&mut some).unwrap();
        }
        // What is unread when a socket is closed makes a reset of it.
        drop(rude);
        until("their end", || server.stats().connections == 0);
        assert_eq!(Server::count(&server.shared.alive), 0);
    }
    server.serves(3_000_000);
}

#[test]
fn a_page_that_takes_long_comes_or_is_given_up() {
    let server = Server::start();
    let request = b"GET /metrics?later&size=5000 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut late = server.connect();
    late.write_all(request).unwrap();
    let mut gone = server.connect();
    gone.write_all(request).unwrap();
    until("both", || Server::count(&server.shared.waited) == 2);
    server.serves(100);
    server.turn(6);
    let (head, _) = answer(&mut late);
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    answer(&mut gone);
    assert_eq!(Server::count(&server.shared.forgotten), 2);
    // The connection goes on.
    late.write_all(request).unwrap();
    gone.write_all(request).unwrap();
    gone.write_all(&request[..10]).unwrap();
    until("both", || Server::count(&server.shared.waited) == 4);
    drop(gone);
    server.shared.released.store(true, Ordering::SeqCst);
    assert_eq!(answer(&mut late).1, page(5000));
    until("the other's end", || server.stats().connections == 1);
}

#[test]
fn too_many_are_told_and_the_idle_make_room() {
    let server = Server::with(30, None);
    let mut idle: Vec<_> = (0..30).map(|_| server.connect()).collect();
    until("all of them", || server.stats().connections == 30);
    let refused = server.ask(&get("/metrics"));
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Connection: close"), "{refused}");
    until("its count", || server.stats().refused == 1);
    let mut some = server.connect();
    assert_eq!(some.read(&mut [0; 1]).unwrap(), 1, "told without having asked");
    // Who does nothing for a while makes room for who wants something.
    server.turn(3);
    for _ in 0..10 {
        server.serves(1000);
    }
    let mut closed = 0;
    for socket in &mut idle {
        socket.set_nonblocking(true).unwrap();
        closed += usize::from(socket.read(&mut [0]).is_ok_and(|n| n == 0));
    }
    // Not more than were needed; those who only linger go first.
    assert!(closed <= 10, "{closed}");
}

#[test]
fn thousands_who_come_and_go_leave_room_for_one() {
    let server = Server::with(200, None);
    let address = server.address;
    let flood: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..5 {
                    let many: Vec<_> = (0..100).map(|_| Socket::connect(address)).collect();
                    thread::sleep(Span::from_millis(20));
                    drop(many);
                }
            })
        })
        .collect();
    let mut served = 0;
    for _ in 0..200 {
        let (mut socket, mut answer) = (server.connect(), Vec::new());
        // Beyond those who are told that there are too many, there are those who are not even told.
        let _ = socket.write_all(get("/metrics").as_bytes());
        let _ = socket.read_to_end(&mut answer);
        served += usize::from(answer.starts_with(b"HTTP/1.1 200 "));
    }
    for thread in flood {
        thread.join().unwrap();
    }
    assert!(served > 0);
    until("their end", || server.stats().connections == 0);
    server.serves(100);
    let stats = server.stats();
    assert!(stats.accepted >= 1000, "{stats:?}");
}

#[test]
fn many_scrapers_at_once_all_have_their_pages() {
    let server = Server::start();
    thread::scope(|scope| {
        for client in 0..64 {
            let server = &server;
            scope.spawn(move || {
                let mut socket = server.connect();
                for n in 0..20 {
                    let size = 1000 + client * 700 + n * 40_000;
                    let request = format!("GET /metrics?size={size} HTTP/1.1\r\nHost: x\r\n\r\n");
                    socket.write_all(request.as_bytes()).unwrap();
                    assert!(answer(&mut socket).1 == page(size));
                }
            });
        }
    });
    server.answered(200, 1280);
}
