//! `pmbridge check`: exit codes, lines for people, objects for programs.

use std::process::Command;

use pmbridge_tests::{Answer, Dir, Server, pmbridge, run};

fn check(args: &[&str]) -> pmbridge_tests::Finished {
    run(Command::new(pmbridge()).arg("check").args(args))
}

#[test]
fn a_good_document_exits_0_and_shows_what_it_becomes() {
    let dir = Dir::new();
    let path = dir.write("page.txt", include_str!("../data/documents/kinds.txt"));
    let finished = check(&[path.to_str().unwrap()]);
    assert_eq!(finished.code, 0, "{finished:?}");
    for word in ["requests_total", "counter", "instant", "latency_seconds_bucket", "sec", "byte"] {
        assert!(finished.out.contains(word), "{word}: {finished:?}");
    }
}

#[test]
fn a_refused_line_exits_1_with_file_line_and_reason() {
    let dir = Dir::new();
    let path = dir.write("page.txt", "good 1\nbad{a=b} 2\nalso_good 3\n-x 4\n");
    let path = path.to_str().unwrap();
    let finished = check(&[path]);
    assert_eq!(finished.code, 1, "{finished:?}");
    let all = finished.out + &finished.err;
    for place in [format!("{path}:2: "), format!("{path}:4: ")] {
        let line = all.lines().find(|line| line.contains(&place));
        assert!(line.is_some_and(|line| !line.ends_with(": ")), "{place} in\n{all}");
    }
    assert!(all.contains("also_good"), "the line after a bad one is read:\n{all}");
}

#[test]
fn what_cannot_be_read_exits_2() {
    let server = Server::new();
    let gone = server.put("/gone", Answer::Status(404));
    for args in [&["/no/such/file"][..], &["/"], &[&gone], &["http://"], &["--no-such-flag"], &[]] {
        let finished = check(args);
        assert_eq!(finished.code, 2, "{args:?}: {finished:?}");
        assert!(!finished.err.trim().is_empty(), "{args:?} has a message");
    }
}

#[test]
fn a_url_is_read_as_a_file_is() {
    let server = Server::new();
    let url = server.put("/metrics", Answer::Chunked(b"a_total{x=\"y\"} 1\nb 2\n".to_vec(), 3));
    let finished = check(&["--json", &url]);
    assert_eq!((finished.code, finished.out.lines().count()), (0, 2), "{finished:?}");
}

#[test]
fn json_is_one_object_a_sample_with_the_bits_of_its_value() {
    let dir = Dir::new();
    let text = "# HELP a b\na_total{x=\"q\\\"\\n\",y=\"\"} 1.5 1395066363000\nb NaN\nbad{ 1\nc -0\n";
    let path = dir.write("page.txt", text);
    let finished = check(&["--json", path.to_str().unwrap()]);
    assert_eq!(finished.code, 1, "{finished:?}");
    let lines: Vec<_> = finished.out.lines().map(|line| line.replace(": ", ":").replace(", ", ",")).collect();
    assert_eq!(lines.len(), 4, "{finished:?}");
    let has = |line: usize, parts: &[&str]| {
        for part in parts {
            assert!(lines[line].contains(part), "{part} in {}", lines[line]);
        }
    };
    let bits = |v: f64| format!("\"value_bits\":\"{:016x}\"", v.to_bits());
    has(0, &["\"name\":\"a_total\"", "\"x\":\"q\\\"\\n\"", "\"y\":\"\"", &bits(1.5), "1395066363000"]);
    has(1, &["\"name\":\"b\"", "\"labels\":{}", "\"timestamp\":null", "\"exemplar\":null"]);
    has(2, &["\"error\":", "\"line\":4"]);
    has(3, &["\"name\":\"c\"", &bits(-0.0)]);
    assert!(lines.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{finished:?}");
}

#[test]
fn a_dash_reads_standard_input() {
    // The harness gives tools an empty stdin: an empty document is a good one.
    assert_eq!(check(&["-"]).code, 0);
    let finished = run(Command::new("sh")
        .arg("-c")
        .arg(format!("printf 'a 1\\n' | '{}' check --json -", pmbridge().display())));
    assert_eq!((finished.code, finished.out.lines().count()), (0, 1), "{finished:?}");
}
