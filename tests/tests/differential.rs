//! The PMDA in the stock one's place: the same documents give the same metrics.
//!
//! Both run under a pmcd of their own, on every sample file of PCP's QA, a page of node_exporter and documents
//! of our own, as files and over HTTP. What may differ stands in [`ALLOWED`], with the words that DESIGN.md uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pmbridge_tests::{
    Answer, Dir, Metric, NODE_EXPORTER, NodeExporter, PMCD, Pmcd, Pmda, SAMPLES, STOCK, Server, has, metrics,
    run,
};

/// A difference that is wanted: in metrics whose name has this in it, for a reason that DESIGN.md gives.
struct Allowed {
    metric: &'static str,
    reason: &'static str,
}

const ALLOWED: &[Allowed] = &[
    Allowed { metric: "_edge_badline.", reason: "a bad line costs one line" },
    Allowed { metric: "_edge_manynames.", reason: "no limit of 1024 names" },
    Allowed { metric: "http_edge_escapes.", reason: "a page is UTF-8" },
];

/// Documents that PCP's QA has not; the name, then the text.
const EDGES: &[(&str, &str)] = &[
    ("edge_numbers", include_str!("../data/documents/numbers.txt")),
    ("edge_escapes", include_str!("../data/documents/escapes.txt")),
    ("edge_help", include_str!("../data/documents/help.txt")),
    ("edge_kinds", include_str!("../data/documents/kinds.txt")),
    ("edge_spaces", include_str!("../data/documents/spaces.txt")),
    ("edge_pcp5", include_str!("../data/documents/pcp5.txt")),
    (
        "edge_plain_then_line",
        "x{a=\"1\"} 1\n# PCP5 p.one 1.2.3 u32 1.2 counter none\ny{instname=\"a\"} 2\nx{a=\"2\"} 3\nz{a=\"1\"} 4\n",
    ),
    (
        "edge_two_lines",
        "# PCP5 p.one 1.2.3 u32 1.2 counter none\nx{instname=\"a\"} 2\n\
         # PCP5 p.two 1.2.4 u32 1.2 counter none\nx{instname=\"b\"} 3\n",
    ),
    ("edge_crlf", "# TYPE crlf_total counter\r\ncrlf_total{a=\"b\"} 1\r\ncrlf_total{a=\"c\"} 2\r\n"),
    ("edge_noeol", "last_line_without_end 1"),
    ("edge_empty", ""),
    ("edge_badline", "before 1\nbad{a=b} 2\nafter 3\n"),
];

fn documents() -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(SAMPLES).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ext| ext == "txt") {
            let name = path.file_stem().unwrap().to_str().unwrap().replace(['-', '.'], "_");
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
    for (name, text) in EDGES {
        all.insert((*name).to_owned(), text.as_bytes().to_vec());
    }
    let names: String = (0..1100).map(|i| format!("name_{i} {i}\n")).collect();
    all.insert("edge_manynames".to_owned(), names.into_bytes());
    if has("differential, node_exporter's page", &[NODE_EXPORTER]) {
        all.insert("node".to_owned(), NodeExporter::start().page());
    }
    all
}

/// Everything that a PMDA shows of these sources.
fn listing(pmda: Pmda, sources: &[(&str, &str)]) -> BTreeMap<String, Metric> {
    let pmcd = Pmcd::start(pmda, sources);
    let listing = run(pmcd.tool("pminfo").args(["-dfmtT", "openmetrics"]));
    let mut all = metrics(&listing.out, "openmetrics");
    all.retain(|name, _| !name.starts_with("openmetrics.control."));
    assert!(!all.is_empty(), "{listing:?}\n{}", pmcd.logs());
    all
}

/// The differences that are not allowed, one line each.
fn differences(stock: &BTreeMap<String, Metric>, ours: &BTreeMap<String, Metric>) -> Vec<String> {
    let mut all = Vec::new();
    let mut allowed = 0;
    let mut tell =
        |name: &str, what: String| match ALLOWED.iter().find(|allowed| name.contains(allowed.metric)) {
            Some(_) => allowed += 1,
            None => all.push(format!("{name}: {what}")),
        };
    for (name, theirs) in stock {
        match ours.get(name) {
            None => tell(name, "ours has no such metric".to_owned()),
            Some(ours) => {
                for (part, a, b) in theirs.differences(ours) {
                    tell(name, format!("{part}\n    stock {a}\n    ours  {b}"));
                }
            }
        }
    }
    for name in ours.keys().filter(|name| !stock.contains_key(*name)) {
        tell(name, "stock has no such metric".to_owned());
    }
    eprintln!("{} metrics of stock, {} of ours, {allowed} allowed differences", stock.len(), ours.len());
    all
}

fn compare(sources: &[(String, String)]) {
    let sources: Vec<_> = sources.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let (stock, ours) = std::thread::scope(|scope| {
        let stock = scope.spawn(|| listing(Pmda::Stock, &sources));
        let ours = scope.spawn(|| listing(Pmda::Ours, &sources));
        (stock.join().unwrap(), ours.join().unwrap())
    });
    let all = differences(&stock, &ours);
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}

#[test]
fn documents_in_files_give_what_the_stock_pmda_gives() {
    if !has("documents_in_files_give_what_the_stock_pmda_gives", &[PMCD, STOCK, SAMPLES]) {
        return;
    }
    let dir = Dir::new();
    let sources: Vec<_> = documents()
        .iter()
        .map(|(name, text)| {
            let path = dir.write(&format!("{name}.txt"), text);
            (format!("file_{name}"), format!("file://{}", path.display()))
        })
        .collect();
    compare(&sources);
}

#[test]
fn documents_over_http_give_what_the_stock_pmda_gives() {
    if !has("documents_over_http_give_what_the_stock_pmda_gives", &[PMCD, STOCK, SAMPLES]) {
        return;
    }
    let server = Server::new();
    let sources: Vec<_> = documents()
        .into_iter()
        .enumerate()
        .map(|(i, (name, text))| {
            let path = format!("/{name}");
            let answer = match i % 3 {
                0 => Answer::Document(text),
                1 => Answer::Chunked(text, 1000),
                _ => Answer::UntilClose(text),
            };
            let url = server.put(&path, answer);
            (format!("http_{name}"), url)
        })
        .collect();
    compare(&sources);
}

#[test]
fn every_allowed_difference_is_explained_in_the_design() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../DESIGN.md");
    let design = std::fs::read_to_string(path).expect("DESIGN.md").to_lowercase();
    for allowed in ALLOWED {
        assert!(
            design.contains(&allowed.reason.to_lowercase()),
            "DESIGN.md does not say: {}",
            allowed.reason
        );
    }
}
