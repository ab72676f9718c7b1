//! `pmbridge serve` the other way out: what it scraped, as pages for Prometheus.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use pmbridge_tests::{
    Answer, CLIENT, Dir, NODE_EXPORTER, NodeExporter, PROMTOOL, PYTHON, Serve, Server, eventually, has, run,
};

use crate::page::samples;

const OPEN: &str = "application/openmetrics-text;version=1.0.0";
const TEXT: &str = "text/plain;version=0.0.4";

/// Asks for a page: its status and what it says.
fn get(url: &str, accept: &str) -> (u16, String) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let port = host.rsplit(':').next().unwrap().parse().unwrap();
    let response = pmbridge_tests::get(port, &format!("/{path}"), &[&format!("Accept: {accept}")]);
    assert!(response.is_whole, "{response:?}");
    (response.status, response.text())
}

fn page(url: &str, accept: &str) -> String {
    let (status, page) = get(url, accept);
    assert_eq!(status, 200, "{page}");
    page
}

/// What a program says to a page, where it is content with it.
fn judged(command: &mut Command, page: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    // promtool says 3 where it has suggestions for names, which are not ours.
    assert!(matches!(said.status.code(), Some(0 | 3)), "{out}{err}\n{page}");
    out.into_owned()
}

/// The families of a page of OpenMetrics as prometheus_client reads them, one line for each sample.
fn parsed(page: &str) -> Vec<String> {
    const PARSE: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for f in parse(sys.stdin.read()):\n\
        \x20for s in f.samples:\n\
        \x20 print(repr((f.name, f.type, f.unit, f.documentation, s.name, sorted(s.labels.items()), float(s.value),\n\
        \x20  s.timestamp and float(s.timestamp), s.exemplar)))\n";
    let said = judged(Command::new(PYTHON).args(["-c", PARSE]), page);
    let mut lines: Vec<_> = said.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn node_exporter_comes_back_with_every_series() {
    if !has("node_exporter_comes_back_with_every_series", &[NODE_EXPORTER, PYTHON, CLIENT, PROMTOOL]) {
        return;
    }
    let node = NodeExporter::start();
    let serve = Serve::start(&[&format!("node={}", node.url)]);
    serve.until_shows("node_load1");
    let url = format!("{}?source=node", serve.url());
    // What may be on one page and not on another: devices come and go, and the exporter's own first requests.
    let series = |page: &str| -> BTreeMap<_, f64> {
        samples(page).into_iter().map(|s| (format!("{} {:?}", s.name, s.labels), s.value)).collect()
    };
    let sent = eventually("a page that does not change", || {
        let (one, two) = (page(&node.url, TEXT), page(&node.url, TEXT));
        series(&one).keys().eq(series(&two).keys()).then_some(one)
    });
    let (text, open) = (page(&url, TEXT), page(&url, OPEN));
    for came in [&text, &open] {
        assert_eq!(series(came).keys().collect::<Vec<_>>(), series(&sent).keys().collect::<Vec<_>>());
    }
    let heads =
        |page: &str| page.lines().filter(|l| l.starts_with("# TYPE")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(heads(&text), heads(&sent));
    // What does not move has the same value.
    for (name, value) in series(&sent) {
        if name.contains("_info ") || name.contains("node_boot") || name.contains("MemTotal") {
            assert_eq!(series(&open).get(&name), Some(&value), "{name}");
        }
    }
    assert_eq!(parsed(&open).len(), series(&sent).len());
    judged(Command::new(PROMTOOL).args(["check", "metrics"]), &text);
}

const DOCUMENT: &str = r##"# HELP rpc_seconds Latency of \"all\" calls.\nIn a \\ path.
# TYPE rpc_seconds summary
# UNIT rpc_seconds seconds
rpc_seconds{path="/a",quantile="0.5"} 1.5
rpc_seconds_sum{path="/a"} 9036.32
rpc_seconds_count{path="/a"} 807283
rpc_seconds_created{path="/a"} 1605281325.25
# TYPE hits counter
hits_total{code="200"} 1 1520879607.789 # {trace_id="oHg5SJYRHA0"} 0.5 1520879607.789
hits_total{code="404"} 2
# TYPE size_bytes histogram
# UNIT size_bytes bytes
size_bytes_bucket{le="1.0"} 11 # {trace_id="größe \"x\""} 0.67
size_bytes_bucket{le="+Inf"} 17
size_bytes_count 17
size_bytes_sum 324789.3
# TYPE queue gaugehistogram
queue_bucket{le="+Inf"} 3
queue_gcount 3
queue_gsum 2
# TYPE mode stateset
mode{mode="a"} 1
mode{mode="b"} 0
# TYPE build info
build_info{version="8.2.7"} 1
# EOF
"##;

fn open_document() -> Answer {
    let field = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    Answer::Fields(200, field.to_owned(), DOCUMENT.as_bytes().to_vec())
}

#[test]
fn an_openmetrics_document_comes_back_with_exemplars_and_all() {
    if !has("an_openmetrics_document_comes_back_with_exemplars_and_all", &[PYTHON, CLIENT, PROMTOOL]) {
        return;
    }
    let server = Server::new();
    let serve = Serve::start(&[&format!("app={}", server.put("/metrics", open_document()))]);
    let url = serve.url();
    let came = page(&format!("{url}?source=app"), OPEN);
    assert_eq!(came, DOCUMENT);
    assert_eq!(parsed(&came), parsed(DOCUMENT));
    let whole = page(&url, OPEN);
    assert!(
        whole.starts_with("# HELP pmbridge_") && whole.contains("pmbridge_source_up{instname=\"app\"} 1\n"),
        "{whole}"
    );
    parsed(&whole);
    judged(Command::new(PROMTOOL).args(["check", "metrics"]), &page(&url, TEXT));
    assert_eq!(page(&format!("{url}?names=openmetrics.app.queue_gsum"), OPEN).lines().count(), 5);
    for unknown in ["?source=nobody", "?names=openmetrics.app.nothing", "?names=openmetrics.app.queue_gsu"] {
        assert_eq!(get(&format!("{url}{unknown}"), OPEN).0, 404);
    }
}

#[test]
fn sources_are_told_apart_and_a_page_of_both_is_legal() {
    if !has("sources_are_told_apart_and_a_page_of_both_is_legal", &[PYTHON, CLIENT, PROMTOOL]) {
        return;
    }
    let server = Server::new();
    let (one, two) = (server.put("/one", open_document()), server.put("/two", open_document()));
    let text = "# TYPE build gauge\nbuild{source=\"mine\"} 7\n# TYPE hits_total counter\nhits_total 5\n# TYPE hits gauge\nhits 6\n";
    let three = server.put("/three", Answer::Document(text.into()));
    let serve = Serve::start(&[&format!("one={one}"), &format!("two={two}"), &format!("three={three}")]);
    let url = serve.url();
    let open = page(&url, OPEN);
    for line in [
        "hits_total{source=\"three\"} 5",
        "build{exported_source=\"mine\",source=\"three\"} 7",
        "queue_gsum{source=\"two\"} 2",
    ] {
        assert!(open.lines().any(|found| found == line), "{line} in\n{open}");
    }
    parsed(&open);
    judged(Command::new(PROMTOOL).args(["check", "metrics"]), &page(&url, TEXT));
    assert!(
        page(&format!("{url}?source=one&source=three"), TEXT).lines().all(|line| !line.contains("\"two\""))
    );
}

#[test]
fn who_comes_together_shares_scrapes_and_each_page_is_newer_than_its_request() {
    let server = Server::new();
    let app = server.put("/metrics", open_document());
    let slow = server.put("/slow", Answer::Drip(b"slow 1\n".to_vec()));
    let serve = Serve::start(&[&format!("app={app}"), &format!("slow={slow}")]);
    let url = serve.url();
    let (app, slow) = (format!("{url}?source=app"), format!("{url}?source=slow"));
    page(&app, TEXT);
    let before = server.gets("/metrics");
    page(&app, TEXT);
    assert_eq!(server.gets("/metrics"), before + 1, "a page costs one scrape");
    page(&slow, OPEN);
    let before = server.gets("/slow");
    // All of them come while the scrape of the first goes on, or nearly all.
    let threads = [(); 16].map(|()| {
        let slow = slow.clone();
        std::thread::spawn(move || page(&slow, OPEN))
    });
    for thread in threads {
        assert!(thread.join().unwrap().lines().any(|line| line == "slow{source=\"slow\"} 1"));
    }
    let scrapes = server.gets("/slow") - before;
    assert!((1..16).contains(&scrapes), "{scrapes} scrapes for 16 pages");
}

#[test]
fn a_source_that_hangs_costs_its_own_metrics_once() {
    let server = Server::new();
    let (well, ill) = (server.put("/well", open_document()), server.put("/ill", Answer::Hang));
    let serve = Serve::start(&["-t", "1", &format!("well={well}"), &format!("ill={ill}")]);
    let url = serve.url();
    let came = page(&url, TEXT);
    assert!(
        came.contains("queue_gsum{source=\"well\"} 2")
            && came.contains("pmbridge_source_up{instname=\"ill\"} 0"),
        "{came}"
    );
    let before = server.gets("/ill");
    for _ in 0..20 {
        page(&url, TEXT);
    }
    // In the background it is, after 1 s, 2, 4.
    let asked = server.gets("/ill") - before;
    assert!(asked < 10, "it is not asked for each page: {asked}");
}

#[test]
fn pages_need_not_be_served() {
    let dir = Dir::new();
    let serve = Serve::start(&["--web.listen-address=-"]);
    assert!(!serve.process.said().contains("/metrics"), "{}", serve.process.said());
    let finished = run(Command::new(pmbridge_tests::pmbridge()).args([
        "serve",
        "--pcp.listen-address=127.0.0.1:0",
        "--web.listen-address=127.0.0.1:0",
        "--web.config.file",
        dir.join("missing.yml").to_str().unwrap(),
    ]));
    assert!(finished.code > 0 && finished.err.contains("missing.yml"), "{finished:?}");
}
