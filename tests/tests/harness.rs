//! The harness against peers that are known to be right, so that a failure elsewhere is ours.

use pmbridge_tests::{
    Answer, NODE_EXPORTER, NodeExporter, PMCD, Pmcd, Pmda, STOCK, Server, has, metrics, run,
};

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
fn node_exporter_gives_a_page() {
    if !has("node_exporter_gives_a_page", &[NODE_EXPORTER]) {
        return;
    }
    let page = NodeExporter::start().page();
    assert!(page.starts_with(b"# HELP "));
}
