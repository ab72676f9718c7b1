//! What fells PCP's own exporter, tried on ours beside a real pmcd; in the comments what it does to pmproxy.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pmbridge_tests::{Agent, Export, Usage, ask, eventually, get, run, signal, take_apart};

use super::{FEW, assert_refused, assert_serves, beside, can, good_page};

/// What stands in every whole page of everything.
fn is_whole(page: &str) -> bool {
    page.contains("sample_long_hundred{") && page.ends_with('\n') && !page.contains("\"success\"")
}

/// Crashes pmproxy within seconds.
#[test]
fn sixty_four_scrapers_at_once_are_all_served() {
    if !can("sixty_four_scrapers_at_once_are_all_served") {
        return;
    }
    let (site, mut export) = beside(&FEW, &[]);
    let before = Usage::of(export.process.id());
    let (stop, pages) = (AtomicBool::new(false), AtomicU32::new(0));
    let paths = [
        "/metrics",
        "/metrics?naming=prometheus",
        "/metrics?names=sample",
        "/metrics?names=awkward,sample.long&times=true",
    ];
    thread::scope(|scope| {
        for i in 0..64 {
            let (export, stop, pages) = (&export, &stop, &pages);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let response = get(
                        export.port,
                        paths[i % paths.len()],
                        if i % 3 == 0 { &["Accept-Encoding: gzip"] } else { &[] },
                    );
                    assert!(response.status == 200 && response.is_whole, "{}", response.head);
                    assert!(
                        response.field("Content-Encoding").is_some() || is_whole(&response.text()),
                        "{}",
                        response.text()
                    );
                    pages.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_secs(5));
        stop.store(true, Ordering::Relaxed);
    });
    let after = Usage::of(export.process.id());
    eprintln!("{pages:?} pages; {before:?} {after:?}");
    assert_serves(&mut export);
    // One connection, however many scrapers: ours, and that of pminfo which asks.
    let clients = run(site.tool("pminfo").args(["-f", "pmcd.numclients"])).out;
    let number: u32 = clients.split_whitespace().last().and_then(|word| word.parse().ok()).unwrap_or(99);
    assert!(number <= 2, "{clients}");
    assert!(after.descriptors <= before.descriptors + 70, "{before:?} {after:?}");
}

/// pmproxy gives each request a context of its own, until pmcd has no descriptors left and aborts.
#[test]
fn contexts_and_time_outs_that_are_asked_for_take_no_connection_of_pmcd() {
    if !can("contexts_and_time_outs_that_are_asked_for_take_no_connection_of_pmcd") {
        return;
    }
    let (site, mut export) = beside(&FEW, &[]);
    for i in 0..300 {
        let response =
            export.get(&format!("/metrics?names=pmcd.version&polltimeout=3600&client=c{i}&context={i}"));
        assert!(matches!(response.status, 200 | 400), "{response:?}");
    }
    let clients = run(site.tool("pminfo").args(["-f", "pmcd.numclients"])).out;
    assert!(clients.trim_end().ends_with("value 2") || clients.trim_end().ends_with("value 1"), "{clients}");
    assert_serves(&mut export);
}

/// Three pipelined requests kill pmproxy.
#[test]
fn pipelined_requests_are_answered_in_order() {
    if !can("pipelined_requests_are_answered_in_order") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    let names = ["sample.long", "sample.float", "pmcd.numagents", "sample.double"];
    let mut requests: String =
        names.iter().map(|name| format!("GET /metrics?names={name} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    requests += "GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", export.port)).unwrap();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("HTTP/1.1 200").count(), 5, "{text}");
    let at: Vec<_> = ["sample_long_ten{", "sample_float_ten{", "pmcd_numagents{", "sample_double_ten{"]
        .iter()
        .map(|name| text.find(name))
        .collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{at:?}: {text}");
    assert_serves(&mut export);
}

/// A field that comes twice kills pmproxy 6.0.3, as does a length below zero; 7.2 leaves the second for ever.
#[test]
fn strange_heads_are_answered_with_what_is_wrong_with_them() {
    if !can("strange_heads_are_answered_with_what_is_wrong_with_them") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    let long = "x".repeat(70_000);
    for (head, statuses) in [
        ("GET /metrics?names=pmcd HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n".to_owned(), &[200][..]),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n".to_owned(), &[400]),
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n".to_owned(), &[400]),
        ("GET /metrics HTTP/1.1\r\n".to_owned(), &[400]),
        ("GET /metrics HTTP/3.0\r\nHost: a\r\n".to_owned(), &[400, 505]),
        ("nonsense\r\n".to_owned(), &[400]),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n"), &[414, 431]),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {long}\r\n"), &[431]),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X-A: b\r\n".repeat(20_000)), &[431]),
    ] {
        let response = ask(export.port, &format!("{head}Connection: close\r\n\r\n"));
        assert!(
            statuses.contains(&response.status),
            "{:.80}: {:?} and not {statuses:?}",
            head,
            response.head
        );
        assert_serves(&mut export);
    }
}

/// Pages of two minutes ago that nobody reads on are no reason to have none for others.
#[test]
fn scrapers_that_stop_reading_make_room_for_those_who_read() {
    if !can("scrapers_that_stop_reading_make_room_for_those_who_read") {
        return;
    }
    let (_site, mut export) = beside(&[Agent::Pmcd, Agent::Awkward(20_000)], &["--web.max-unread", "32M"]);
    let length = good_page(&export, "/metrics").len();
    let streams: Vec<_> = (0..16)
        .map(|_| {
            let stream = half_read(export.port);
            // Its own page, as the next comes from another scrape.
            good_page(&export, "/metrics?names=pmcd");
            stream
        })
        .collect();
    // What comes and goes on it is little.
    let again = good_page(&export, "/metrics").len();
    assert!(again.abs_diff(length) < length / 1000, "{again} and {length}");
    let cut: u64 =
        super::value(&good_page(&export, "/metrics?names=pmcd"), "pmbridge_export_http_pages_cut_total")
            .parse()
            .unwrap();
    assert!(cut > 0, "{cut}");
    let usage = Usage::of(export.process.id());
    assert!(usage.resident < 128 << 20, "{usage:?} for 16 pages of {length}");
    drop(streams);
    assert_serves(&mut export);
}

/// Each round of sixty costs pmproxy 176 to 358 MB, for good.
#[test]
fn scrapers_that_go_in_the_middle_of_a_page_leave_nothing_behind() {
    if !can("scrapers_that_go_in_the_middle_of_a_page_leave_nothing_behind") {
        return;
    }
    let (_site, mut export) = beside(&[Agent::Pmcd, Agent::Sample, Agent::Awkward(20_000)], &[]);
    good_page(&export, "/metrics");
    let round = |export: &Export| {
        let streams: Vec<_> = (0..60).map(|_| half_read(export.port)).collect();
        drop(streams); // unread bytes: each is reset
        good_page(export, "/metrics?names=pmcd");
        Usage::of(export.process.id())
    };
    let first = Usage::of(export.process.id());
    let mut last = first;
    for _ in 0..5 {
        last = round(&export);
    }
    eprintln!("{first:?} {last:?}");
    assert!(last.resident < first.resident + (16 << 20), "{first:?} {last:?}");
    let settled = eventually("descriptors", || {
        let usage = Usage::of(export.process.id());
        (usage.descriptors <= first.descriptors).then_some(usage)
    });
    eprintln!("{settled:?}");
    assert_serves(&mut export);
}

/// A connection that has taken the start of a large page.
fn half_read(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut start = [0; 2000];
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&start));
    stream
}

/// pmproxy never closes them.
#[test]
fn slow_clients_cost_others_nothing_and_are_dropped() {
    if !can("slow_clients_cost_others_nothing_and_are_dropped") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    let mut slow: Vec<_> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", export.port)).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost").unwrap();
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_serves(&mut export);
        for stream in &mut slow {
            stream.write_all(b"x").ok();
        }
        thread::sleep(Duration::from_millis(500));
    }
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        let status = take_apart(&answer).status;
        assert!(matches!(status, 0 | 408), "{}", String::from_utf8_lossy(&answer));
    }
    eprintln!("all dropped after {:?}", begun.elapsed());
    assert_serves(&mut export);
}

/// 200 with part of a page, and an error's JSON in it.
#[test]
fn a_pmcd_that_is_killed_in_the_middle_of_a_scrape_makes_an_error_and_no_page() {
    if !can("a_pmcd_that_is_killed_in_the_middle_of_a_scrape_makes_an_error_and_no_page") {
        return;
    }
    let (mut site, mut export) = beside(&FEW, &[]);
    good_page(&export, "/metrics");
    let frozen = site.agent("awkward").expect("the awkward agent");
    // pmcd waits for this agent, and so has the scrape half done.
    signal("STOP", frozen);
    let (response, took) = thread::scope(|scope| {
        let scrape = scope.spawn(|| {
            let begun = Instant::now();
            (export.get("/metrics"), begun.elapsed())
        });
        thread::sleep(Duration::from_secs(1));
        site.process.kill();
        signal("KILL", frozen);
        scrape.join().unwrap()
    });
    eprintln!("{} after {took:?}", response.status);
    assert_refused(&response, 503);
    site.again();
    site.wait(&FEW);
    assert!(is_whole(&good_page(&export, "/metrics")));
    assert_serves(&mut export);
}

/// Ten seconds each and four at a time, then everything waits.
#[test]
fn a_frozen_pmcd_costs_each_scrape_the_time_limit_and_health_nothing() {
    if !can("a_frozen_pmcd_costs_each_scrape_the_time_limit_and_health_nothing") {
        return;
    }
    let (site, export) = beside(&FEW, &["--timeout", "1"]);
    good_page(&export, "/metrics");
    signal("STOP", site.process.id());
    let begun = Instant::now();
    thread::scope(|scope| {
        let scrapes: Vec<_> = (0..20).map(|_| scope.spawn(|| export.get("/metrics"))).collect();
        for _ in 0..5 {
            assert_eq!(export.get("/-/healthy").status, 200);
        }
        for scrape in scrapes {
            assert_refused(&scrape.join().unwrap(), 503);
        }
    });
    let took = begun.elapsed();
    signal("CONT", site.process.id());
    eprintln!("20 scrapes of a frozen pmcd are refused after {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}: they do not wait for each other");
    let page = good_page(&export, "/metrics");
    assert!(is_whole(&page), "{page}");
}

#[test]
fn a_frozen_agent_is_dropped_by_pmcd_and_the_others_are_served() {
    if !can("a_frozen_agent_is_dropped_by_pmcd_and_the_others_are_served") {
        return;
    }
    let (site, mut export) = beside(&FEW, &[]);
    good_page(&export, "/metrics");
    let frozen = site.agent("awkward").expect("the awkward agent");
    signal("STOP", frozen);
    // pmcd waits five seconds for it, then does without it, or with another that it has started.
    eventually("a page without the frozen agent", || {
        let response = export.get("/metrics");
        assert!(response.status == 503 || is_whole(&response.text()), "{response:?}");
        (response.status == 200).then_some(())
    });
    signal("KILL", frozen);
    assert_serves(&mut export);
}

/// Connections beyond the limit are refused in words and cost nobody else anything.
#[test]
fn more_connections_than_allowed_are_refused() {
    if !can("more_connections_than_allowed_are_refused") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &["--max-connections", "10"]);
    let idle: Vec<_> = (0..10).map(|_| TcpStream::connect(("127.0.0.1", export.port)).unwrap()).collect();
    thread::sleep(Duration::from_millis(300));
    let refused = export.get("/metrics?names=pmcd");
    assert!(matches!(refused.status, 503), "{refused:?}");
    drop(idle);
    assert_serves(&mut export);
}
