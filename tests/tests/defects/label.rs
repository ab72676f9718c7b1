//! Defects of labels: D10 to D12, D16.

use pmbridge_tests::{Answer, Pmcd, Pmda, Server, Setup, eventually, run};

use super::{can, status, values};
use crate::labels::labels;

/// Two series of which the first has values that no JSON holds unescaped, and the second has plain ones.
const QUOTING: &str = "q{a=\"say \\\"x\\\"\",b=\"1\\n2\",c=\"C:\\\\d\"} 1\nq{a=\"plain\",b=\"y\",c=\"z\"} 2\n\
                       t{tab=\"x\ty\u{1}\"} 3\n";

/// A metric with two series, and one that a PCP line describes.
const ITEMS: &str = "m{cpu=\"0\"} 1\nm{cpu=\"7\"} 2\n\
                     # PCP v.m instant none\nv:m{instance=\"a\",cpu=\"0\"} 3\nv:m{instance=\"b\",cpu=\"7\",more=\"x\"} 4\n";

fn quoting(compat: &str) -> (Server, Pmcd, String) {
    let server = Server::new();
    let url = server.put("/q", Answer::Document(QUOTING.as_bytes().to_vec()));
    let pmcd = Setup::new().source("q", &url).args(&["--compat", compat]).start(Pmda::Ours);
    let sets = labels(pmcd.port, &["openmetrics.q"]).ok();
    (server, pmcd, sets)
}

fn set<'a>(sets: &'a str, call: &str, of: &str) -> &'a str {
    sets.lines().find_map(|line| line.strip_prefix(&format!("{call}\t{of}\t"))).unwrap_or("none")
}

/// A set with a quote, a line feed or a backslash is not escaped, libpcp refuses it, and the instance shows the labels
/// of another.
#[test]
fn d10_labels_with_quotes_line_feeds_and_backslashes_come_back_right() {
    if !can("d10_labels_with_quotes_line_feeds_and_backslashes_come_back_right") {
        return;
    }
    let (_server, pmcd, sets) = quoting("7.2");
    let want = r#"{"a": "say \"x\"", "b": "1\n2", "c": "C:\\d"}"#;
    assert_eq!(set(&sets, "instances", "openmetrics.q.q 0"), want, "{sets}\n{}", pmcd.logs());
    assert_eq!(
        set(&sets, "instances", "openmetrics.q.q 1"),
        r#"{"a": "plain", "b": "y", "c": "z"}"#,
        "{sets}"
    );
    assert_eq!(set(&sets, "instances", "openmetrics.q.t 0"), r#"{"tab": "x\ty\u0001"}"#, "{sets}");
    assert!(!pmcd.logs().contains("__pmAddLabels failed"), "{}", pmcd.logs());
}

/// QA test 1221 of PCP 6.0 shows the sets with `"`, line feed or `\` lost, so these are lost under its rules; no set is
/// ever broken JSON or another's, and libpcp refuses none.
#[test]
fn d10_under_the_rules_of_6_0_a_set_is_right_or_lost() {
    if !can("d10_under_the_rules_of_6_0_a_set_is_right_or_lost") {
        return;
    }
    let (_server, pmcd, sets) = quoting("6.0");
    let lost = set(&sets, "instances", "openmetrics.q.q 0");
    assert!(!lost.contains("plain") && !lost.contains("BROKEN"), "{sets}");
    let plain = set(&sets, "instances", "openmetrics.q.q 1");
    for part in [r#""a": "plain""#, r#""b": "y""#, r#""c": "z""#] {
        assert!(plain.contains(part), "{sets}");
    }
    assert!(set(&sets, "instances", "openmetrics.q.t 0").contains(r#""tab": "x\ty\u0001""#), "{sets}");
    assert!(!pmcd.logs().contains("__pmAddLabels failed"), "{}", pmcd.logs());
}

/// QA test 1221 wants the labels of the last sample at item level, or, where a PCP line describes the metric, those of
/// the first; so that is the classic rule. Those of the instances lie over them and are each instance's own.
#[test]
fn d11_item_labels_are_those_of_the_last_sample_as_qa_wants() {
    if !can("d11_item_labels_are_those_of_the_last_sample_as_qa_wants") {
        return;
    }
    let server = Server::new();
    let url = server.put("/l", Answer::Document(ITEMS.as_bytes().to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("l", &url)]);
    let sets = labels(pmcd.port, &["openmetrics.l"]).ok();
    assert_eq!(set(&sets, "item", "openmetrics.l.m"), r#"{"cpu": "7"}"#, "{sets}");
    assert_eq!(set(&sets, "item", "openmetrics.l.v.m"), r#"{"cpu": "0", "instance": "a"}"#, "{sets}");
    assert!(set(&sets, "instances", "openmetrics.l.m 0").contains(r#""cpu": "0""#), "{sets}");
    assert!(set(&sets, "instances", "openmetrics.l.m 1").contains(r#""cpu": "7""#), "{sets}");
}

/// QA test 1191 shows an instance name with a line feed in it as it is, so classic names are not quoted; pmlogger and
/// pmdumplog live with it, and the labels say what the name cannot.
#[test]
fn d12_instance_names_are_verbatim_as_qa_wants_and_break_no_archive() {
    if !can("d12_instance_names_are_verbatim_as_qa_wants_and_break_no_archive") {
        return;
    }
    let server = Server::new();
    let url = server.put("/n", Answer::Document(b"m{a=\"x\\ny z\",b=\"c:d\"} 1\n".to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("n", &url)]);
    let shown = values(&pmcd, "openmetrics.n.m");
    assert!(shown.contains("inst [0 or \"0 a:x|y z b:c:d\"] value 1"), "{shown}");
    let archive = crate::archives::log(&pmcd, "first", 2);
    let dumped = crate::archives::dump(&archive, "-a");
    assert!(dumped.contains("openmetrics.n.m"), "{dumped}");
}

/// User, password and port of a URL are in the labels `hostname` and `url`, and its text is in log and status.
#[test]
fn d16_no_secret_shows_anywhere() {
    if !can("d16_no_secret_shows_anywhere") {
        return;
    }
    let server = Server::new();
    let url = server.put("/s", Answer::Document(b"m{a=\"b\"} 1\n".to_vec()));
    let at = url.strip_prefix("http://").unwrap();
    let denied = server.put("/denied", Answer::Status(401));
    let denied = denied.strip_prefix("http://").unwrap();
    let with_header = format!("http://user:s3cret@{at}\nHEADER: X-Key: h1dden\nFILTER: h1dden nonsense\n");
    let pmcd = Setup::new()
        .file("s.url", &with_header)
        .file("denied.url", &format!("http://user:s3cret@{denied}\nHEADER: X-Key: h1dden\n"))
        .file("odd.url", "gopher://user:s3cret@127.0.0.1/\n")
        .file("dead.url", "http://user:s3cret@127.0.0.1:1/\n")
        .args(&["-D"])
        .start(Pmda::Ours);
    eventually("the value", || (values(&pmcd, "openmetrics.s.m").contains("value 1")).then_some(()));
    let head = server.head("/s");
    let has = |line: &str| head.to_lowercase().contains(&line.to_lowercase());
    assert!(has("Authorization: Basic dXNlcjpzM2NyZXQ="), "the server is told who asks:\n{head}");
    assert!(has("X-Key: h1dden"), "{head}");
    let sets = labels(pmcd.port, &[]).ok();
    let line = sets.lines().find(|line| line.starts_with("cluster") && line.contains(r#""source": "s""#));
    assert!(
        line.is_some_and(|line| line.contains(r#""hostname": "127.0.0.1""#)),
        "no port: {line:?}\n{sets}"
    );
    let everything = run(pmcd.tool("pminfo").args(["-dfmtTl", "openmetrics"])).out;
    assert!(!status(&pmcd, "denied").contains("success"), "{everything}");
    let pmda = pmcd.pmda().unwrap();
    let command = std::fs::read(format!("/proc/{pmda}/cmdline")).unwrap();
    let own = run(pmcd.tool("pminfo").args(["-fl", "pmbridge"])).out;
    let ids: String = std::fs::read_dir(pmcd.dir.join("var/config/pmda"))
        .unwrap()
        .flatten()
        .map(|entry| String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()).into_owned())
        .collect();
    let places = [
        ("labels", sets),
        ("pminfo", everything),
        ("the log", pmcd.logs()),
        ("own metrics", own),
        ("ids", ids),
    ];
    for (place, text) in places.into_iter().chain([("ps", String::from_utf8_lossy(&command).into_owned())]) {
        for secret in ["s3cret", "dXNlcjpzM2NyZXQ", "h1dden"] {
            assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
        }
    }
}
