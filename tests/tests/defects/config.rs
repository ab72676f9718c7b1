//! Defects of config.d, scripts and names: D9, D14, D15, D19, D21, D27.

use std::process::Command;
use std::time::Duration;

use pmbridge_tests::{
    Answer, Pmcd, Pmda, Process, Server, Setup, children, eventually, has, run, script, signal, tool,
};

use super::{assert_kept, can, log_lines, names, status, values};

const GOOD: &str = "echo good_metric 42\n";

fn shows_good(pmcd: &Pmcd) {
    assert_eq!(values(pmcd, "openmetrics.good.good_metric"), "value 42", "{}", pmcd.logs());
}

/// No time limit on scripts: one that hangs at the start keeps the PMDA from being ready.
#[test]
fn d09_a_script_that_hangs_at_the_start_holds_nobody() {
    if !can("d09_a_script_that_hangs_at_the_start_holds_nobody") {
        return;
    }
    let setup = Setup::new().script("good.sh", GOOD).script("hung.sh", "exec sleep 600\n").args(&["-t", "1"]);
    let pmcd = setup.start(Pmda::Ours);
    eventually("the good script", || (!names(&pmcd, "openmetrics.good").is_empty()).then_some(()));
    let pmda = pmcd.pmda();
    shows_good(&pmcd);
    eventually("a status of the hung script", || {
        (!["success", "unknown"].iter().any(|word| status(&pmcd, "hung").contains(word))).then_some(())
    });
    shows_good(&pmcd);
    assert_kept(&pmcd, pmda);
}

/// One that hangs later makes pmcd drop the PMDA. Its processes stay.
#[test]
fn d09_a_script_that_hangs_later_is_ended_with_its_children() {
    if !can("d09_a_script_that_hangs_later_is_ended_with_its_children") {
        return;
    }
    // No other process sleeps for just this long.
    let sleep = format!("sleep 9{}", std::process::id());
    let hangs =
        |dir: &str| format!("echo m 1\n[ -e {dir}/hang ] && ({sleep}; echo) | cat && echo late 1\ntrue\n");
    let setup = Setup::new().args(&["-t", "1"]);
    let text = hangs(&setup.dir.path().display().to_string());
    let pmcd = setup.script("good.sh", GOOD).script("moody.sh", &text).start(Pmda::Ours);
    eventually("both scripts", || {
        (values(&pmcd, "openmetrics.moody.m") == "value 1" && !names(&pmcd, "openmetrics.good").is_empty())
            .then_some(())
    });
    let pmda = pmcd.pmda();
    pmcd.dir.write("hang", "");
    for _ in 0..6 {
        let both = ["-f", "openmetrics.moody.m", "openmetrics.good.good_metric"];
        let all = run(pmcd.tool("pminfo").args(both)).out;
        assert!(all.contains("value 42"), "{all}\n{}", pmcd.logs());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_kept(&pmcd, pmda);
    std::fs::remove_file(pmcd.dir.join("hang")).unwrap();
    eventually("the script's value", || (values(&pmcd, "openmetrics.moody.m") == "value 1").then_some(()));
    eventually("the end of all its processes", || {
        let left = children(pmda.unwrap());
        (left.is_empty() && !run(Command::new("ps").args(["-eo", "args"])).out.contains(&sleep)).then_some(())
    });
}

/// The path of the failed script is lost in an exception of the message itself.
#[test]
fn d27_a_script_that_fails_is_told_with_its_path_and_stderr() {
    if !can("d27_a_script_that_fails_is_told_with_its_path_and_stderr") {
        return;
    }
    let setup = Setup::new().script("good.sh", GOOD).script("bad.sh", "echo m 1\necho why not >&2\nexit 3\n");
    let pmcd = setup.start(Pmda::Ours);
    eventually("the status of the bad script", || status(&pmcd, "bad").contains("bad.sh").then_some(()));
    shows_good(&pmcd);
    let log = pmcd.dir.read("pmda.log");
    assert!(log.contains("bad.sh") && log.contains("why not"), "{log}");
    assert!(!values(&pmcd, "openmetrics.bad.m").contains("value 1"), "output of a script that failed");
    // A file that says it is a script and cannot be run is as bad as one that fails.
    script(&pmcd.dir, "noexec.sh", "");
    std::fs::write(pmcd.dir.join("config.d/noexec.sh"), "#!/no/such/interpreter\n").unwrap();
    eventually("the status of the one that cannot run", || {
        status(&pmcd, "noexec").contains("noexec.sh").then_some(())
    });
    shows_good(&pmcd);
}

/// Each request looks at every file of the tree: 2.2 ms for each with 500 sources.
#[test]
fn d14_a_request_looks_at_no_file_of_the_tree() {
    let strace = "/usr/bin/strace";
    if !can("d14_a_request_looks_at_no_file_of_the_tree") || !has("d14", &[strace]) {
        return;
    }
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"m{a=\"b\"} 1\n".to_vec()));
    let mut setup = Setup::new();
    for i in 0..50 {
        setup = setup.source(&format!("s{i:02}"), &url);
    }
    let pmcd = setup.start(Pmda::Ours);
    eventually("all sources", || (names(&pmcd, "openmetrics").len() >= 50).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let trace = pmcd.dir.join("trace");
    let pid = pmcd.pmda().unwrap().to_string();
    let mut command = Command::new(strace);
    command.args(["-f", "-e", "trace=%file,getdents64", "-o"]).arg(&trace).args(["-p", &pid]);
    let mut tracing = Process::start(&mut command, pmcd.dir.join("strace.log"));
    let attached = eventually("strace", || {
        let said = tracing.said();
        if said.contains("attached") { Some(true) } else { (!tracing.is_alive()).then_some(false) }
    });
    if !attached {
        has("d14: strace may not attach here", &["/strace-may-attach"]);
        return;
    }
    for _ in 0..20 {
        run(pmcd.tool("pminfo").args(["-dtT", "openmetrics.s01", "openmetrics.s49"])).ok();
        run(pmcd.tool("pminfo").args(["-l", "openmetrics.s20"])).ok();
    }
    signal("INT", tracing.id());
    tracing.wait();
    let calls = pmcd.dir.read("trace");
    let here = pmcd.dir.join("config.d").display().to_string();
    let looked: Vec<_> = calls.lines().filter(|line| line.contains(&here)).collect();
    assert!(looked.is_empty(), "{} looks in 40 runs of pminfo, such as {:?}", looked.len(), looked[0]);
}

/// With another root all metrics of sources are out of reach.
#[test]
fn d15_another_root_works_for_all_metrics() {
    if !can("d15_another_root_works_for_all_metrics") {
        return;
    }
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"m{a=\"b\"} 1\n".to_vec()));
    let pmcd = Setup::new().source("sub", &url).root("prom").start(Pmda::Ours);
    assert_eq!(values(&pmcd, "prom.sub.m"), "inst [0 or \"0 a:b\"] value 1", "{}", pmcd.logs());
    let control = values(&pmcd, "prom.control.debug");
    assert!(control.contains("value 0"), "{control}");
    let sets = crate::labels::labels(pmcd.port, &["prom.sub"]).ok();
    assert!(sets.contains(r#"{"source": "sub"}"#), "{sets}");
}

/// A source `job2.response` under a metric `response` of source `job2`: one line in the log at each request, for ever.
#[test]
fn d19_a_name_that_is_leaf_and_branch_is_told_once() {
    if !can("d19_a_name_that_is_leaf_and_branch_is_told_once") {
        return;
    }
    let server = Server::new();
    let leaf = server.put("/leaf", Answer::Document(b"response 1\nother 2\n".to_vec()));
    let branch = server.put("/branch", Answer::Document(b"time 3\n".to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("job2", &leaf), ("job2.response", &branch)]);
    let pmda = pmcd.pmda();
    eventually("the metric beside it", || {
        (values(&pmcd, "openmetrics.job2.other") == "value 2").then_some(())
    });
    let all = run(pmcd.tool("pminfo").args(["-f", "openmetrics"]));
    assert!(all.out.contains("openmetrics.job2"), "{all:?}");
    let lines = log_lines(&pmcd);
    for _ in 0..10 {
        run(pmcd.tool("pminfo").args(["-f", "openmetrics"]));
    }
    assert!(log_lines(&pmcd) <= lines + 1, "told again at each request:\n{}", pmcd.logs());
    assert_eq!(values(&pmcd, "openmetrics.job2.other"), "value 2");
    assert_kept(&pmcd, pmda);
}

/// The first line is the URL there, even when it is a comment; and an invalid line stops a source without a hint.
#[test]
fn d21_a_comment_may_come_first_and_a_bad_line_costs_that_line() {
    if !can("d21_a_comment_may_come_first_and_a_bad_line_costs_that_line") {
        return;
    }
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"m 1\nother{a=\"b\"} 2\n".to_vec()));
    let pmcd = Setup::new()
        .file("first.url", &format!("# what this is\n\n  # and why\n{url}\n# end\n"))
        .file(
            "line.url",
            &format!("{url}\nFILTER: INCLUDE METRIC [\nFILTER: JUNK\nFILTER: EXCLUDE METRIC m\n"),
        )
        .file("crlf.url", &format!("{url} \r\nFILTER: EXCLUDE METRIC other\r\n"))
        .start(Pmda::Ours);
    eventually("all three", || {
        ["first", "line", "crlf"]
            .iter()
            .all(|source| !names(&pmcd, &format!("openmetrics.{source}")).is_empty())
            .then_some(())
    });
    let mut first = names(&pmcd, "openmetrics.first");
    first.sort();
    assert_eq!(first, ["openmetrics.first.m", "openmetrics.first.other"]);
    assert_eq!(values(&pmcd, "openmetrics.line.other"), "inst [0 or \"0 a:b\"] value 2", "{}", pmcd.logs());
    assert_eq!(names(&pmcd, "openmetrics.line"), ["openmetrics.line.other"], "the good FILTER holds");
    assert_eq!(names(&pmcd, "openmetrics.crlf"), ["openmetrics.crlf.m"]);
    let log = pmcd.dir.read("pmda.log");
    assert!(log.contains("line.url:2") && log.contains("line.url:3"), "by file and line:\n{log}");
    assert!(status(&pmcd, "line").contains("line.url:2"), "{}", status(&pmcd, "line"));
    assert!(status(&pmcd, "first").contains("success"), "{}", status(&pmcd, "first"));
    run(&mut tool("pmprobe", pmcd.port)).ok();
}
