//! Whatever endpoints do, the others are answered, in time, at one request a fetch.
//!
//! Times are bounded by what a scrape may take (`-t`), with room for a loaded machine.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use pmbridge_tests::{
    Answer, Dir, PMCD, PMINFO, Pmcd, Pmda, Process, Serve, Server, eventually, free_port, has, pmbridge, run,
};

/// `-t` in these tests, where it matters.
const LIMIT: Duration = Duration::from_secs(3);
/// What a loaded machine may add to it.
const NOISE: Duration = Duration::from_millis(1900);
/// What takes no scrape's time limit, on a loaded machine.
const PROMPT: Duration = Duration::from_secs(2);

fn document(n: usize) -> Answer {
    Answer::Document(format!("m {n}\n").into_bytes())
}

fn path(n: usize) -> String {
    format!("/s{n}")
}

/// A port whose connections never come about, for as long as this lives.
struct Blackhole {
    listener: TcpListener,
    _backlog: Vec<TcpStream>,
}

impl Blackhole {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let mut backlog = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(300)) {
            backlog.push(stream);
        }
        Self { listener, _backlog: backlog }
    }

    fn url(&self) -> String {
        format!("http://{}/metrics", self.listener.local_addr().unwrap())
    }
}

/// How many values and how many `Try again` one fetch of everything gives, and how long it took.
fn fetch(mut pminfo: Command, root: &str) -> (usize, usize, Duration) {
    let began = Instant::now();
    let shown = run(pminfo.args(["-b", "10000", "-f", root])).out;
    let took = began.elapsed();
    let mine: Vec<_> = shown.split("\n\n").filter(|one| one.contains(".m\n")).collect();
    let with = |word| mine.iter().filter(|one| one.contains(word)).count();
    (with("value "), with("Try again"), took)
}

#[test]
fn what_hangs_or_fails_costs_the_others_one_deadline_at_most() {
    if !has("what_hangs_or_fails_costs_the_others_one_deadline_at_most", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let sources: Vec<_> = (0..10).map(|n| (format!("s{n}"), server.put(&path(n), document(n)))).collect();
    let sources: Vec<_> = sources.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let pmcd = Pmcd::start(Pmda::OursWith("-t 3 -R 2"), &sources);
    let ask = || fetch(pmcd.tool("pminfo"), "openmetrics");
    eventually("all ten", || (ask().0 == 10).then_some(()));
    let pmda = pmcd.pmda();

    let before = server.gets(&path(1));
    let (values, again, _) = ask();
    assert_eq!((values, again), (10, 0));
    assert_eq!(server.gets(&path(1)), before + 1, "one request for a fetch");

    server.put(&path(7), Answer::Hang);
    server.put(&path(8), Answer::Drip(vec![b'#'; 100_000]));
    server.put(&path(9), Answer::Status(500));
    let (values, again, took) = ask();
    assert_eq!((values, again), (7, 3));
    assert!(took < LIMIT + NOISE, "{took:?}");
    for _ in 0..5 {
        let before: Vec<_> = (0..7).map(|n| server.gets(&path(n))).collect();
        let (values, again, took) = ask();
        assert_eq!((values, again), (7, 3));
        assert!(took < PROMPT, "{took:?}");
        let after: Vec<_> = (0..7).map(|n| server.gets(&path(n)) - 1).collect();
        assert_eq!(before, after, "one request for a fetch");
    }
    for n in 7..10 {
        server.put(&path(n), document(n));
    }
    eventually("all ten again", || (ask().0 == 10).then_some(()));
    let before = server.gets(&path(8));
    assert_eq!(ask().0, 10);
    assert_eq!(server.gets(&path(8)), before + 1, "one request for a fetch, as before");
    assert_eq!(pmda, pmcd.pmda(), "pmcd keeps the PMDA\n{}", pmcd.logs());
    let log = pmcd.dir.read("pmda.log");
    for n in 7..10 {
        let of = |word| log.lines().filter(|l| l.contains(&path(n)) && l.contains(word)).count();
        assert_eq!((of("Error"), of("well again")), (1, 1), "{log}");
    }
}

#[test]
fn endpoints_that_are_dead_at_the_start_hold_nobody_up() {
    if !has("endpoints_that_are_dead_at_the_start_hold_nobody_up", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let [good, hung] = [server.put("/good", document(1)), server.put("/hung", Answer::Hang)];
    let hole = Blackhole::new();
    let refused = format!("http://127.0.0.1:{}/", free_port());
    let sources = [("good", &*good), ("hole", &*hole.url()), ("hung", &hung), ("refused", &refused)];
    let began = Instant::now();
    let pmcd = Pmcd::start_unready(Pmda::OursWith("-t 3 -R 2"), &sources);
    eventually("the PMDA", || pmcd.dir.read("pmda.log").contains("Ready to process requests").then_some(()));
    assert!(began.elapsed() < LIMIT, "ready after {:?}", began.elapsed());
    eventually("the good source", || (fetch(pmcd.tool("pminfo"), "openmetrics").0 == 1).then_some(()));
    assert!(began.elapsed() < LIMIT + NOISE + NOISE, "names after {:?}", began.elapsed());
    for _ in 0..5 {
        let (values, _, took) = fetch(pmcd.tool("pminfo"), "openmetrics");
        assert_eq!(values, 1);
        assert!(took < PROMPT, "{took:?}");
    }
    server.put("/hung", document(2));
    eventually("the one that came", || (fetch(pmcd.tool("pminfo"), "openmetrics").0 == 2).then_some(()));
    // Its next try is far away by now, but an edited source is asked at once.
    let third = server.put("/third", document(3));
    pmcd.dir.write("config.d/refused.url", format!("{third}\n"));
    eventually("the edited one", || (fetch(pmcd.tool("pminfo"), "openmetrics").0 == 3).then_some(()));
}

#[test]
fn no_time_limit_lets_pmcd_drop_the_pmda() {
    if !has("no_time_limit_lets_pmcd_drop_the_pmda", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let urls = [0, 1].map(|n| server.put(&path(n), document(n)));
    let pmcd = Pmcd::start(Pmda::OursWith("-t 60"), &[("s0", &urls[0]), ("s1", &urls[1])]);
    let ask = || fetch(pmcd.tool("pminfo"), "openmetrics");
    eventually("both", || (ask().0 == 2).then_some(()));
    let pmda = pmcd.pmda();
    server.put(&path(1), Answer::Hang);
    let (values, again, _) = ask();
    assert_eq!((values, again), (1, 1), "{}", pmcd.logs());
    assert_eq!(ask().0, 1);
    assert_eq!(pmda, pmcd.pmda(), "{}", pmcd.logs());
}

#[test]
fn values_that_are_young_enough_are_answered_again() {
    if !has("values_that_are_young_enough_are_answered_again", &[PMINFO]) {
        return;
    }
    let server = Server::new();
    let url = server.put(&path(0), document(0));
    let serve = Serve::start(&[&format!("s0={url}"), "--max-age", "1000"]);
    let ask = || fetch(serve.tool("pminfo"), "openmetrics");
    eventually("the value", || (ask().0 == 1).then_some(()));
    for _ in 0..5 {
        assert_eq!(ask().0, 1);
    }
    assert_eq!(server.gets(&path(0)), 1);
}

#[test]
fn two_hundred_endpoints_are_served_with_few_descriptors() {
    if !has("two_hundred_endpoints_are_served_with_few_descriptors", &[PMINFO]) {
        return;
    }
    let (server, dir, port) = (Server::new(), Dir::new(), free_port());
    for n in 0..200 {
        let url = server.put(&path(n), document(n));
        dir.write(&format!("config.d/s{n}.url"), format!("{url}\n"));
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]).arg(pmbridge()).args(["serve", "-t", "3"]);
    command.arg("--config").arg(dir.join("config.d"));
    command.arg("--pcp.listen-address").arg(format!("127.0.0.1:{port}"));
    command.arg("--web.listen-address=-");
    let process = Process::start(&mut command, dir.join("log"));
    let tool = || pmbridge_tests::tool("pminfo", port);
    eventually("all endpoints", || (fetch(tool(), "openmetrics").0 == 200).then_some(()));
    for _ in 0..3 {
        let before = server.gets(&path(100));
        let (values, again, took) = fetch(tool(), "openmetrics");
        assert_eq!((values, again), (200, 0), "{took:?}");
        assert_eq!(server.gets(&path(100)), before + 1);
    }
    assert!(!process.said().contains("error"), "{}", process.said());
    // Clients have their share.
    let clients: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    drop(clients);
    eventually("all endpoints", || (fetch(tool(), "openmetrics").0 == 200).then_some(()));
}
