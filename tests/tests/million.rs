//! A document of a million series is fetched whole.

use std::fmt::Write;

use pmbridge_tests::{Answer, Dir, PMCD, PYTHON, Pmcd, Pmda, Serve, Server, has};

use crate::dump::count;

fn million() -> String {
    let mut page = String::with_capacity(64 << 20);
    for family in 0..100 {
        writeln!(page, "# HELP family_{family}_total One of many.\n# TYPE family_{family}_total counter")
            .unwrap();
        for series in 0..10_000 {
            let value = family * 10_000 + series;
            writeln!(
                page,
                "family_{family}_total{{host=\"host-{}\",series=\"{series}\"}} {value}",
                series % 97
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn serve_shows_a_million_series() {
    if !has("serve_shows_a_million_series", &[PYTHON, PMCD]) {
        return;
    }
    let server = Server::new();
    let url = server.put("/metrics", Answer::Document(million().into_bytes()));
    let serve = Serve::start(&[&url]);
    serve.until_shows("family_99_total");
    let count = count(serve.port);
    assert!((1_000_000..1_001_000).contains(&count), "{count} values; {}", serve.process.said());
}

#[test]
fn the_pmda_shows_a_million_series() {
    if !has("the_pmda_shows_a_million_series", &[PYTHON, PMCD]) {
        return;
    }
    let dir = Dir::new();
    let path = dir.write("million.txt", million());
    let pmcd = Pmcd::start(Pmda::Ours, &[("million", &format!("file://{}", path.display()))]);
    let count = count(pmcd.port);
    assert!((1_000_000..1_001_000).contains(&count), "{count} values\n{}", pmcd.logs());
}
