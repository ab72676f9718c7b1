//! Defects with endpoints that are slow, dead or many: D6 to D8, D28.

use std::time::Duration;

use pmbridge_tests::{Answer, Pmcd, Pmda, Server, Setup, eventually, run};

use super::{assert_kept, can, names, timed, values};

/// A document of this many metrics, each with the value of its number.
fn document(metrics: usize) -> Vec<u8> {
    (0..metrics).map(|i| format!("m_{i}{{a=\"b\"}} {i}\n")).collect::<String>().into_bytes()
}

/// Nine good sources and one that answers once and then as told.
fn nine_good(then: Answer, metrics: usize, timeout: &str) -> (Server, Pmcd) {
    let server = Server::new();
    let mut setup = Setup::new().args(&["-t", timeout]);
    for i in 0..9 {
        let url = server.put(&format!("/good{i}"), Answer::Document(document(metrics)));
        setup = setup.source(&format!("good{i}"), &url);
    }
    let bad = server.put("/bad", Answer::Document(document(metrics)));
    let pmcd = setup.source("bad", &bad).start(Pmda::Ours);
    eventually("all names", || (names(&pmcd, "openmetrics").len() >= 10 * metrics).then_some(()));
    server.put("/bad", then);
    (server, pmcd)
}

/// How many values pminfo shows below `openmetrics.good*`.
fn good_values(pmcd: &Pmcd) -> usize {
    let out = run(pmcd.tool("pminfo").args(["-f", "openmetrics"])).out;
    let mut good = false;
    let value = |line: &&str| {
        if line.starts_with("openmetrics.") {
            good = line.starts_with("openmetrics.good");
        }
        good && line.starts_with("    inst [")
    };
    out.lines().filter(value).count()
}

/// Fetches of all sources, of which the first may wait for the bad one and the others need not.
fn others_do_not_wait(pmcd: &Pmcd, metrics: usize, timeout: Duration) {
    let pmda = pmcd.pmda();
    assert_eq!(good_values(pmcd), 9 * metrics, "the first fetch\n{}", pmcd.logs());
    let mut times = Vec::new();
    for _ in 0..5 {
        let (count, time) = timed(|| good_values(pmcd));
        assert_eq!(count, 9 * metrics, "{}", pmcd.logs());
        times.push(time);
    }
    times.sort();
    eprintln!("fetches with one bad source of ten: {times:?}");
    assert!(times[times.len() / 2] < timeout, "each fetch waits for the bad source: {times:?}");
    assert_kept(pmcd, pmda);
}

/// Every fetch takes the whole timeout.
#[test]
fn d06_a_hanging_endpoint_is_waited_for_once() {
    if !can("d06_a_hanging_endpoint_is_waited_for_once") {
        return;
    }
    let (server, pmcd) = nine_good(Answer::Hang, 20, "3");
    others_do_not_wait(&pmcd, 20, Duration::from_secs(3));
    server.put("/bad", Answer::Document(document(20)));
    eventually("the value of the endpoint that is well again", || {
        values(&pmcd, "openmetrics.bad.m_7").ends_with("value 7").then_some(())
    });
}

/// Start-up takes 20 s for an endpoint that hangs.
#[test]
fn d06_start_up_waits_for_no_dead_endpoint() {
    if !can("d06_start_up_waits_for_no_dead_endpoint") {
        return;
    }
    let server = Server::new();
    let (hung, good) = (server.put("/h", Answer::Hang), server.put("/g", Answer::Document(document(3))));
    let setup = Setup::new().source("hung", &hung).source("good", &good).args(&["-t", "4"]);
    let (pmcd, time) = timed(|| {
        let pmcd = setup.start(Pmda::Ours);
        eventually("the good source", || (names(&pmcd, "openmetrics.good").len() == 3).then_some(()));
        pmcd
    });
    eprintln!("the good names are there after {time:?}");
    assert!(time < Duration::from_secs(4), "{time:?}: as long as the dead endpoint may take");
    assert!(values(&pmcd, "openmetrics.good.m_2").ends_with("value 2"), "{}", pmcd.logs());
}

/// An endpoint that is down since the start is tried again inside any request, every ten seconds.
#[test]
fn d07_an_endpoint_that_is_down_stalls_no_other_request() {
    if !can("d07_an_endpoint_that_is_down_stalls_no_other_request") {
        return;
    }
    let server = Server::new();
    let (hung, good) = (server.put("/h", Answer::Hang), server.put("/g", Answer::Document(document(3))));
    let pmcd = Setup::new().source("hung", &hung).source("good", &good).args(&["-t", "4"]).start(Pmda::Ours);
    eventually("the good source", || (names(&pmcd, "openmetrics.good").len() == 3).then_some(()));
    std::thread::sleep(Duration::from_secs(4)); // the first look at the dead one is over
    let pmda = pmcd.pmda();
    let mut worst = Duration::ZERO;
    for _ in 0..28 {
        let (shown, time) = timed(|| values(&pmcd, "openmetrics.control.debug"));
        assert!(shown.starts_with("value "), "{shown}\n{}", pmcd.logs());
        worst = worst.max(time);
        std::thread::sleep(Duration::from_millis(500));
    }
    eprintln!("the slowest of 28 unrelated requests: {worst:?}");
    assert!(worst < Duration::from_secs(3), "{worst:?}");
    assert_kept(&pmcd, pmda);
}

/// A slow endpoint is not a sick one: who names it waits for it, and who does not does not.
#[test]
fn d06_a_slow_endpoint_is_waited_for_by_those_who_name_it() {
    if !can("d06_a_slow_endpoint_is_waited_for_by_those_who_name_it") {
        return;
    }
    // One byte each tenth of a second.
    let (_server, pmcd) = nine_good(Answer::Drip(b"m_0{a=\"b\"} 5\n".to_vec()), 20, "4");
    let pmda = pmcd.pmda();
    for _ in 0..3 {
        let (bad, slow) = timed(|| values(&pmcd, "openmetrics.bad.m_0"));
        assert!(bad.ends_with("value 5"), "{bad}\n{}", pmcd.logs());
        let (good, fast) = timed(|| values(&pmcd, "openmetrics.good3.m_7"));
        assert!(good.ends_with("value 7"), "{good}");
        eprintln!("the slow one in {slow:?}, another in {fast:?}");
        assert!(fast < slow, "{fast:?} {slow:?}");
    }
    assert_kept(&pmcd, pmda);
}

/// One byte each tenth of a second defeats the timeout, and pmcd drops the PMDA with all its metrics.
#[test]
fn d08_a_dripping_endpoint_costs_its_own_metrics_only() {
    if !can("d08_a_dripping_endpoint_costs_its_own_metrics_only") {
        return;
    }
    let (_server, pmcd) = nine_good(Answer::Drip(vec![b'#'; 100_000]), 120, "3");
    others_do_not_wait(&pmcd, 120, Duration::from_secs(3));
    let bad = values(&pmcd, "openmetrics.bad.m_7");
    assert!(bad.contains("Try again"), "{bad}\n{}", pmcd.logs());
}

/// With more than ten hosts and ports the pool of connections forgets, and each scrape connects anew.
#[test]
fn d28_connections_to_many_endpoints_are_kept() {
    if !can("d28_connections_to_many_endpoints_are_kept") {
        return;
    }
    let servers: Vec<_> = (0..25).map(|_| Server::new()).collect();
    let mut setup = Setup::new();
    for (i, server) in servers.iter().enumerate() {
        setup = setup.source(&format!("s{i:02}"), &server.put("/m", Answer::Document(document(2))));
    }
    let pmcd = setup.start(Pmda::Ours);
    eventually("all names", || (names(&pmcd, "openmetrics").len() >= 50).then_some(()));
    for _ in 0..5 {
        run(pmcd.tool("pminfo").args(["-f", "openmetrics"]));
    }
    for server in &servers {
        assert!(server.gets("/m") >= 6, "{} requests", server.gets("/m"));
        let connections = server.connections();
        assert!(connections <= 2, "{connections} connections for {} requests", server.gets("/m"));
    }
}
