//! The directory of sources while the PMDA runs: every change is in the very next answer, and said once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;

use pmbridge_tests::{Answer, PMCD, Pmcd, Pmda, Server, eventually, has, run};

/// The PMDA with one source, and documents that differ in the value of their one metric.
struct Site {
    pmcd: Pmcd,
    server: Server,
}

impl Site {
    fn new() -> Self {
        let server = Server::new();
        let url = server.put("/0", Answer::Document(b"m 0\n".to_vec()));
        Self { pmcd: Pmcd::start(Pmda::Ours, &[("first", &url)]), server }
    }

    /// The text of a file whose source has this value.
    fn text(&self, value: u32) -> String {
        let url =
            self.server.put(&format!("/{value}"), Answer::Document(format!("m {value}\n").into_bytes()));
        format!("# {value}\n{url}\n")
    }

    fn write(&self, name: &str, value: u32) {
        fs::create_dir_all(self.pmcd.dir.join("config.d").join(name).parent().unwrap()).unwrap();
        self.pmcd.dir.write(&format!("config.d/{name}"), self.text(value));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.pmcd.dir.join("config.d").join(name)
    }

    /// The next answer has this value for a source, or none.
    fn shows(&self, source: &str, value: Option<u32>) {
        let answer = run(self.pmcd.tool("pminfo").args(["-f", &format!("openmetrics.{source}.m")]));
        let want = value.map(|value| format!("value {value}\n"));
        let has = match &want {
            Some(want) => answer.out.contains(want),
            None => !answer.out.contains("value"),
        };
        assert!(has, "{source}: {want:?}: {answer:?}\n{}", self.pmcd.logs());
    }

    fn said(&self, what: &str) -> usize {
        self.pmcd.dir.read("pmda.log").matches(what).count()
    }
}

#[test]
fn every_change_is_in_the_next_answer() {
    if !has("every_change_is_in_the_next_answer", &[PMCD]) {
        return;
    }
    let site = Site::new();
    site.shows("first", Some(0));
    site.write("a.url", 1);
    site.shows("a", Some(1));
    site.write("a.url", 2);
    site.shows("a", Some(2));
    site.write("sub/deep/b.url", 3);
    site.shows("sub.deep.b", Some(3));
    fs::rename(site.path("sub"), site.path("moved")).unwrap();
    site.shows("sub.deep.b", None);
    site.shows("moved.deep.b", Some(3));
    site.write("moved/deep/b.url", 4);
    site.shows("moved.deep.b", Some(4));
    site.write(".new", 5);
    fs::rename(site.path(".new"), site.path("a.url")).unwrap();
    site.shows("a", Some(5));
    fs::hard_link(site.path("a.url"), site.path("c.url")).unwrap();
    site.shows("c", Some(5));
    let copied =
        Command::new("cp").arg("-p").args([site.path("a.url"), site.path("d.url")]).status().unwrap();
    assert!(copied.success());
    site.shows("d", Some(5));
    fs::remove_file(site.path("a.url")).unwrap();
    site.shows("a", None);
    site.write("a.url", 6);
    site.shows("a", Some(6));
}

#[test]
fn edits_behind_a_symlink_are_in_the_next_answer() {
    if !has("edits_behind_a_symlink_are_in_the_next_answer", &[PMCD]) {
        return;
    }
    let site = Site::new();
    fs::create_dir(site.pmcd.dir.join("etc")).unwrap();
    let target = site.pmcd.dir.write("etc/shared.url", site.text(1));
    symlink(&target, site.path("link.url")).unwrap();
    site.shows("link", Some(1));
    fs::write(&target, site.text(2)).unwrap();
    site.shows("link", Some(2));
    let new = site.pmcd.dir.write("etc/new", site.text(3));
    fs::rename(new, &target).unwrap();
    site.shows("link", Some(3));
    let other = site.pmcd.dir.write("etc/other.url", site.text(4));
    symlink(other, site.path(".link")).unwrap();
    fs::rename(site.path(".link"), site.path("link.url")).unwrap();
    site.shows("link", Some(4));
}

#[test]
fn a_bad_line_is_said_once_and_costs_itself() {
    if !has("a_bad_line_is_said_once_and_costs_itself", &[PMCD]) {
        return;
    }
    let site = Site::new();
    let text = format!("{}FILTER: INCLUDE .*\nWHAT: secret\nHEADER: X: secret\n", site.text(1));
    site.pmcd.dir.write("config.d/a.url", text);
    site.shows("a", Some(1));
    site.shows("a", Some(1));
    site.write("b.url", 2);
    site.shows("b", Some(2));
    assert_eq!(site.said("a.url:3: FILTER line ignored: '.*' is neither METRIC nor LABEL"), 1);
    assert_eq!(site.said("ignored unrecognised config entry \"WHAT ...\""), 1);
    assert_eq!(site.said("secret"), 0);
}

#[test]
fn headers_are_sent_and_those_of_ours_are_not_said_twice() {
    if !has("headers_are_sent_and_those_of_ours_are_not_said_twice", &[PMCD]) {
        return;
    }
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut piece) = (Vec::new(), [0; 4096]);
        while !head.ends_with(b"\r\n\r\n") {
            let n = stream.read(&mut piece).unwrap();
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&head));
            head.extend_from_slice(&piece[..n]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let fields =
        "HEADER: accept: text/html\nHEADER: X: 1\nHEADER: x: a: b\nHEADER: Authorization: Bearer t\n";
    site.pmcd.dir.write("config.d/a.url", format!("http://u:p@{at}/m\n{fields}"));
    run(site.pmcd.tool("pminfo").arg("openmetrics.a"));
    let head = server.join().unwrap();
    for (field, count) in [
        ("accept:", 1),
        ("\r\naccept: text/html\r\n", 1),
        ("x:", 1),
        ("\r\nx: a: b\r\n", 1),
        ("authorization:", 1),
        ("\r\nauthorization: bearer t\r\n", 1),
    ] {
        assert_eq!(head.to_lowercase().matches(field).count(), count, "{field} in {head}");
    }
}

#[test]
fn five_hundred_sources_at_once_are_few_looks() {
    if !has("five_hundred_sources_at_once_are_few_looks", &[PMCD]) {
        return;
    }
    let site = Site::new();
    let text = site.text(1);
    for n in 0..500 {
        site.pmcd.dir.write(&format!("config.d/many/s{n}.url"), &text);
    }
    eventually("the last of 500 sources", || {
        run(site.pmcd.tool("pminfo").args(["-f", "openmetrics.many.s499.m"]))
            .out
            .contains("value 1")
            .then_some(())
    });
    site.shows("many.s0", Some(1));
    let looks = site.said("Config change detected");
    assert!(looks < 50, "{looks} looks");
}
