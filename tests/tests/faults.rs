//! What breaks is told, and what has not broken goes on.

use std::process::Command;

use pmbridge_tests::{
    Answer, Dir, PMCD, Pmcd, Pmda, Process, Serve, Server, eventually, free_port, has, pmbridge, run,
};

const GOOD: &[u8] = b"good_metric 42\n";

/// Whether the good source shows its value through these tools.
fn shows_good(command: &mut Command) -> bool {
    run(command.args(["-f", "openmetrics.good.good_metric"])).out.contains("value 42")
}

fn good(server: &Server) -> String {
    server.put("/good", Answer::Document(GOOD.to_vec()))
}

/// The PMDA with a good source and a faulty one: the good one works, and the log has a word on the other.
fn one_bad_source(test: &str, answer: Answer, message: bool) {
    if !has(test, &[PMCD]) {
        return;
    }
    let server = Server::new();
    let (good, bad) = (good(&server), server.put("/bad", answer));
    let pmcd = Pmcd::start(Pmda::Ours, &[("bad", &bad), ("good", &good)]);
    eventually(&format!("the good source in {}", pmcd.dir.path().display()), || {
        shows_good(&mut pmcd.tool("pminfo")).then_some(())
    });
    let all = run(pmcd.tool("pminfo").args(["-f", "openmetrics"]));
    assert!(all.out.contains("value 42"), "{all:?}\n{}", pmcd.logs());
    let pmda = pmcd.pmda();
    assert!(shows_good(&mut pmcd.tool("pminfo")), "{}", pmcd.logs());
    assert_eq!(pmda, pmcd.pmda(), "pmcd keeps the PMDA");
    if message {
        eventually(&format!("a message on the source `bad`; the log is\n{}", pmcd.logs()), || {
            pmcd.dir.read("pmda.log").contains("bad").then_some(())
        });
    }
}

#[test]
fn a_server_that_is_not_http_is_told() {
    one_bad_source("not http", Answer::Banner("SSH-2.0-OpenSSH_9.2\r\n"), true);
}

#[test]
fn an_endless_body_is_cut() {
    one_bad_source("endless", Answer::Endless, true);
}

#[test]
fn a_line_of_100_mb_is_refused() {
    one_bad_source("long line", Answer::LongLine(100 << 20), true);
}

#[test]
fn a_hanging_server_holds_nobody() {
    one_bad_source("hang", Answer::Hang, true);
}

#[test]
fn a_dripping_server_holds_nobody() {
    one_bad_source("drip", Answer::Drip(vec![b'#'; 100_000]), true);
}

#[test]
fn a_connection_that_closes_is_told() {
    one_bad_source("close", Answer::Close, true);
}

#[test]
fn a_truncated_body_is_told() {
    one_bad_source("truncated", Answer::Truncated(b"half_of_it 1\nthe_other 2\n".to_vec(), 13), true);
}

#[test]
fn a_status_of_error_is_told() {
    one_bad_source("status", Answer::Status(500), true);
}

#[test]
fn a_bad_url_is_told_and_the_rest_goes_on() {
    if !has("a_bad_url_is_told_and_the_rest_goes_on", &[PMCD]) {
        return;
    }
    for url in
        ["http://", "nonsense", "gopher://host/", "http://127.0.0.1:99999/", "file:///no/such/file", ""]
    {
        let server = Server::new();
        let good = good(&server);
        let pmcd = Pmcd::start(Pmda::Ours, &[("bad", url), ("good", &good)]);
        assert!(shows_good(&mut pmcd.tool("pminfo")), "{url:?}\n{}", pmcd.logs());
        let log = pmcd.dir.read("pmda.log");
        assert!(log.contains("bad"), "{url:?} is told in\n{log}");
    }
}

#[test]
fn a_long_line_in_a_file_costs_that_line() {
    let dir = Dir::new();
    let mut text = b"before 1\nlong{a=\"".to_vec();
    text.resize(text.len() + (100 << 20), b'x');
    text.extend_from_slice(b"\"} 2\nafter 3\n");
    let path = dir.write("long.txt", text);
    let finished = run(Command::new(pmbridge()).arg("check").arg(&path));
    assert_eq!(finished.code, 1, "{}", finished.err);
    let all = finished.out + &finished.err;
    assert!(all.contains("after") && all.contains(":2: ") && all.len() < 10_000, "{:.10000}", all);
}

#[test]
fn a_killed_endpoint_comes_back() {
    if !has("a_killed_endpoint_comes_back", &[PMCD]) {
        return;
    }
    let [first, second] = [Server::new(), Server::new()];
    let (good, other) = (good(&second), first.put("/m", Answer::Document(b"other_metric 1\n".to_vec())));
    let port = first.port();
    let pmcd = Pmcd::start(Pmda::Ours, &[("good", &good), ("other", &other)]);
    let serve = Serve::start(&[&other, &good]);
    let other = |value: &str| {
        let shown = run(pmcd.tool("pminfo").args(["-f", "openmetrics.other.other_metric"])).out;
        shown.contains(value).then_some(())
    };
    eventually("the value under pmcd", || other("value 1"));
    serve.until_shows("other_metric");
    drop(first);
    eventually("the error while the endpoint is away", || other("Try again"));
    assert!(shows_good(&mut pmcd.tool("pminfo")), "{}", pmcd.logs());
    let back = Server::at(port);
    back.put("/m", Answer::Document(b"other_metric 2\n".to_vec()));
    eventually("the value after the endpoint is back", || other("value 2"));
    eventually("the same in serve", || {
        let shown = run(serve.tool("pminfo").arg("-f")).out;
        shown.contains("value 2").then_some(())
    });
}

#[test]
fn a_killed_pmda_is_started_again() {
    if !has("a_killed_pmda_is_started_again", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let pmcd = Pmcd::start(Pmda::Ours, &[("good", &good(&server))]);
    let first = pmcd.pmda();
    let ids = |pmcd: &Pmcd| run(pmcd.tool("pminfo").args(["-dm", "openmetrics.good"])).out;
    let before = ids(&pmcd);
    pmcd.kill_pmda();
    // pmcd sees the end at the next request. It starts a dead agent again once a minute, or when it is told to.
    eventually("the PMDA again", || {
        let shown = shows_good(&mut pmcd.tool("pminfo"));
        if shown && pmcd.pmda() != first {
            return Some(());
        }
        pmcd.hangup();
        std::thread::sleep(std::time::Duration::from_secs(2));
        None
    });
    assert_eq!(before, ids(&pmcd), "the same identities after the restart");
}

#[test]
fn the_pmda_ends_when_pmcd_is_killed() {
    if !has("the_pmda_ends_when_pmcd_is_killed", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let mut pmcd = Pmcd::start(Pmda::Ours, &[("good", &good(&server))]);
    let pmda = pmcd.pmda().expect("a PMDA");
    pmcd.process.kill();
    eventually("the end of the PMDA", || {
        let command = std::fs::read_to_string(format!("/proc/{pmda}/cmdline")).unwrap_or_default();
        (!command.contains("pmda")).then_some(())
    });
}

#[test]
fn a_new_url_file_is_found_while_it_runs() {
    if !has("a_new_url_file_is_found_while_it_runs", &[PMCD]) {
        return;
    }
    let server = Server::new();
    let url = good(&server);
    let pmcd = Pmcd::start(Pmda::Ours, &[("other", &url)]);
    pmcd.dir.write("config.d/good.url", format!("{url}\n"));
    eventually("the new source", || shows_good(&mut pmcd.tool("pminfo")).then_some(()));
}

#[test]
fn an_unreadable_directory_is_told() {
    if !has("an_unreadable_directory_is_told", &[PMCD]) {
        return;
    }
    let dir = Dir::new();
    let missing = dir.join("no/such/dir");
    let mut command = Command::new(pmbridge());
    let address = format!("127.0.0.1:{}", free_port());
    command.args(["serve", "--web.listen-address=-", "--pcp.listen-address", &address, "--config"]);
    command.arg(&missing);
    let mut process = Process::start(&mut command, dir.join("log"));
    eventually("a message with the directory's name", || {
        process.said().contains(missing.to_str().unwrap()).then_some(())
    });
    if !process.is_alive() {
        assert_ne!(process.wait().code(), Some(0));
        assert!(!process.said().contains("panicked"), "{}", process.said());
    }
}

#[test]
fn a_port_in_use_is_told() {
    let taken = Server::new();
    let address = format!("127.0.0.1:{}", taken.port());
    for (pcp, web) in [(address.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", address.as_str())] {
        let args = ["serve", "--pcp.listen-address", pcp, "--web.listen-address", web];
        let finished = run(Command::new(pmbridge()).args(args));
        assert!(finished.code > 0, "{finished:?}");
        assert!(finished.err.contains(&address) && !finished.err.contains("panicked"), "{finished:?}");
        assert!(finished.err.contains("listen-address"), "it says what to do: {finished:?}");
    }
}

#[test]
fn a_bad_command_line_is_told() {
    for args in
        [&["serve", "not a url"][..], &["serve", "http://"], &["no-such-command"], &["pmda", "--nonsense"]]
    {
        let finished = run(Command::new(pmbridge()).args(args));
        assert!(finished.code > 0 && !finished.err.trim().is_empty(), "{args:?}: {finished:?}");
        assert!(!finished.err.contains("panicked"), "{finished:?}");
    }
}

/// A PDU of these words.
fn pdu(words: &[u32]) -> Vec<u8> {
    let len = u32::try_from(words.len() + 1).unwrap() * 4;
    std::iter::once(&len).chain(words).flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn clients_that_ask_and_never_read_cost_little() {
    use std::io::Write as _;
    let serve = Serve::start(&[]);
    let creds = pdu(&[0x700c, 0, 1, 0x0102_0000]);
    let traverse = pdu(&[0x7010, 0, 0, 0]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
            client.set_nonblocking(true).unwrap();
            // As many as the kernel and pmbridge take: neither has to take all.
            let _ = client.write(&[creds.clone(), traverse.repeat(6000)].concat());
            client
        })
        .collect();
    let shown = run(serve.tool("pminfo").args(["-f", "pmbridge.memory.resident"])).ok();
    let resident: u64 = shown.split("value ").nth(1).unwrap().trim().parse().unwrap();
    assert!(resident < 64 << 20, "{resident} bytes for {} clients", clients.len());
}

#[test]
fn a_client_that_never_says_who_it_is_loses_its_place() {
    use std::io::Read as _;
    let serve = Serve::start(&[]);
    let mut silent = std::net::TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    silent.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    // The challenge comes, then the end; a read that times out is an error.
    let mut all = Vec::new();
    silent.read_to_end(&mut all).expect("pmbridge closes the connection");
    assert_eq!(all.len(), 20);
}
