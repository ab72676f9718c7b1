//! The harness against peers that are known to be right, so that a failure elsewhere is ours.

use pmbridge_tests::{
    Answer, NODE_EXPORTER, NodeExporter, PMCD, PYTHON, Pmcd, Pmda, STOCK, Server, has, metrics, run,
};

use crate::dump::{count, dump, same};

#[test]
fn the_stock_pmda_shows_a_served_document() {
    if !has("the_stock_pmda_shows_a_served_document", &[PMCD, STOCK]) {
        return;
    }
    let server = Server::new();
    let url =
        server.put("/metrics", Answer::Chunked(b"# HELP a_total All.\na_total{x=\"y\"} 7\n".to_vec(), 5));
    let pmcd = Pmcd::start(Pmda::Stock, &[("one", &url)]);
    let listing = run(pmcd.tool("pminfo").args(["-dfmtT", "openmetrics.one"])).ok();
    let all = metrics(&listing, "openmetrics");
    assert_eq!(all["openmetrics.one.a_total"].values, ["inst [0 or \"0 x:y\"] value 7"], "{listing}");
    assert!(server.gets("/metrics") > 0);
    assert!(pmcd.pmda().is_some());
}

#[test]
fn python_sees_what_the_stock_pmda_has() {
    if !has("python_sees_what_the_stock_pmda_has", &[PMCD, STOCK, PYTHON]) {
        return;
    }
    let server = Server::new();
    let text = b"a{x=\"y\"} 0.1\na{x=\"z z\"} NaN\nb 7\n";
    let url = server.put("/metrics", Answer::Truncated(text.to_vec(), text.len()));
    let pmcd = Pmcd::start(Pmda::Stock, &[("one", &url)]);
    let all = dump(pmcd.port);
    let shown = |leaf: &str, label: Option<&str>, number: f64| {
        all.iter().any(|value| {
            value.name == format!("openmetrics.one.{leaf}")
                && value.labels.get("x").map(String::as_str) == label
                && same(number, value.bits)
        })
    };
    assert!(
        shown("a", Some("y"), 0.1) && shown("a", Some("z z"), f64::NAN) && shown("b", None, 7.0),
        "{all:?}"
    );
    assert!(count(pmcd.port) >= 3);
}

#[test]
fn node_exporter_gives_a_page() {
    if !has("node_exporter_gives_a_page", &[NODE_EXPORTER]) {
        return;
    }
    let page = NodeExporter::start().page();
    assert!(page.starts_with(b"# HELP "));
}
