//! The directory of sources while the PMDA runs: every change is in the very next answer, and said once.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::Command;

use pmbridge_tests::{Answer, Dir, PMCD, Pmcd, Pmda, STOCK, Server, eventually, has, metrics, run};

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
fn a_file_without_a_usable_url_has_a_number_and_waits() {
    if !has("a_file_without_a_usable_url_has_a_number_and_waits", &[PMCD, STOCK]) {
        return;
    }
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"m 1\n".to_vec()));
    let files = [("a", &*url), ("b", "u:secret@nowhere"), ("c", ""), ("d", "# http://h/"), ("e", &url)];
    let [stock, ours] = [Pmda::Stock, Pmda::Ours].map(|pmda| Pmcd::start(pmda, &files));
    let shown = |pmcd: &Pmcd| run(pmcd.tool("pminfo").args(["-mf", "openmetrics.e.m", STATUS])).out;
    let instances = |listing: &str| -> Vec<String> {
        let words = listing.lines().filter_map(|line| line.split("] value").next());
        words.filter(|line| line.contains("inst [")).map(str::to_owned).collect()
    };
    let (theirs, listing) = (shown(&stock), shown(&ours));
    assert_eq!(instances(&theirs), instances(&listing), "{theirs}{listing}");
    for listing in [&theirs, &listing] {
        assert!(listing.contains("openmetrics.e.m PMID: 144.5.0"), "{listing}");
    }
    let why = "b.url:1: not an http://, https:// or file:// URL";
    assert!(listing.contains(why) && listing.contains("c.url: there is no URL in it"), "{listing}");
    assert!(!listing.contains("secret"), "{listing}");

    ours.dir.write("config.d/b.url", &url);
    let mended = run(ours.tool("pminfo").args(["-mf", "openmetrics.b.m", STATUS])).out;
    assert!(mended.contains("PMID: 144.2.0") && mended.contains("value 1\n"), "{mended}{}", ours.logs());
    assert!(mended.contains("\"b\"] value \"success\""), "{mended}");
    ours.dir.write("config.d/b.url", "nothing");
    let broken = run(ours.tool("pminfo").args(["-f", "openmetrics.b.m", STATUS])).out;
    assert!(!broken.contains("value 1\n") && broken.contains("b.url:1: not an http://"), "{broken}");
    let log = ours.dir.read("pmda.log");
    assert!(!log.contains("secret"), "{log}");
    assert_eq!((log.matches("b.url:1: ").count(), log.matches("c.url: ").count()), (2, 1), "{log}");
    assert_eq!(log.matches("nothing to ask").count(), 0, "{log}");
}

const STATUS: &str = "openmetrics.control.status";

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

const DOCUMENT: &str = "m1{a=\"1\",b=\"2\"} 1\nm2{a=\"1\",b=\"2\"} 2\nm3{a=\"1\",b=\"3\"} 3\nm3{a=\"2\",b=\"3\"} 3\nns:m4{a=\"1\"} 4\nm5 5\n";

/// What a file may say behind its URL and mean the same to both PMDAs.
const LINES: &[(&str, &str)] = &[
    ("metric", "FILTER: EXCLUDE METRIC m1"),
    ("first", "FILTER: INCLUDE METRIC m1\nFILTER: EXCLUDE METRIC m|ns"),
    ("start", "FILTER: EXCLUDE METRIC .*2\nFILTER: EXCLUDE METRIC 3"),
    ("spaces", "FILTER:   EXCLUDE \t METRIC    m1  "),
    ("nospace", "FILTER:EXCLUDE METRIC m1"),
    ("lower", "FILTER: exclude METRIC m1"),
    ("unread", "filter: EXCLUDE METRIC m1\n FILTER: EXCLUDE METRIC m2\nFILTER: EXCLUDE metric m3"),
    ("blank", "FILTER: EXCLUDE METRIC m1 m2"),
    ("label", "FILTER: EXCLUDE LABEL b"),
    ("labels", "FILTER: EXCLUDE LABEL .*"),
    ("duplicates", "FILTER: EXCLUDE LABEL a"),
    ("optional", "FILTER: OPTIONAL LABEL b"),
    ("alloptional", "FILTER: OPTIONAL LABEL ."),
    ("metadata", "METADATA: m1 u32 x counter byte / sec"),
    ("singular", "METADATA: m1 u64 PM_INDOM_NULL discrete none"),
    ("colon", "METADATA: ns:m4 32 x counter count"),
    ("twice", "METADATA: m u32 x counter\nMETADATA: m1 u64 x instant byte"),
];

#[test]
fn what_both_pmdas_understand_they_take_the_same() {
    if !has("what_both_pmdas_understand_they_take_the_same", &[PMCD, STOCK]) {
        return;
    }
    let dir = Dir::new();
    let path = dir.write("document.txt", DOCUMENT);
    let files: Vec<_> =
        LINES.iter().map(|(name, lines)| (*name, format!("file://{}\n{lines}", path.display()))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let listing = |pmda| {
        let pmcd = Pmcd::start(pmda, &files);
        let mut all = metrics(&run(pmcd.tool("pminfo").args(["-dfmtT", "openmetrics"])).out, "openmetrics");
        all.retain(|name, _| !name.starts_with("openmetrics.control."));
        all
    };
    let (stock, ours) = (listing(Pmda::Stock), listing(Pmda::Ours));
    assert_eq!(stock.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    let all: Vec<_> = stock
        .iter()
        .flat_map(|(name, theirs)| theirs.differences(&ours[name]).into_iter().map(move |what| (name, what)))
        .collect();
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn an_edited_filter_holds_for_metrics_that_are_known() {
    if !has("an_edited_filter_holds_for_metrics_that_are_known", &[PMCD]) {
        return;
    }
    let site = Site::new();
    let url = site.server.put("/doc", Answer::Document(DOCUMENT.as_bytes().to_vec()));
    let path = site.pmcd.dir.join("config.d/a.url");
    let edit = |lines: &str| {
        fs::write(&path, format!("{url}\n{lines}\n")).unwrap();
        run(site.pmcd.tool("pminfo").args(["-dfm", "openmetrics.a"])).out
    };
    let first = edit("");
    assert!(first.contains("openmetrics.a.m1 PMID") && first.contains("a:1 b:2"), "{first}");
    let without = edit("FILTER: EXCLUDE METRIC m1\nFILTER: EXCLUDE LABEL b");
    let m1 = without.split("openmetrics.").find(|part| part.starts_with("a.m1 ")).unwrap_or_default();
    assert!(!m1.contains("value"), "{without}");
    assert!(without.contains("\"0 a:1\"") || without.contains("a:1\"] value"), "{without}");
    assert_eq!(site.said("Metric openmetrics.a.m1 excluded by config filters"), 1);
    let again = edit("");
    let id = |listing: &str| {
        let line = listing.lines().find(|line| line.starts_with("openmetrics.a.m1 "));
        line.map(str::to_owned)
    };
    assert_eq!(id(&again), id(&first), "{again}");
    assert!(again.contains("value 1\n"), "{again}");
}
