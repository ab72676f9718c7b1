//! The bridge's own metrics under pmcd: those of PCP's own PMDA with their ids, words, labels and values, then ours.

use std::collections::BTreeMap;

use pmbridge_tests::{
    Answer, Dir, Metric, PMCD, PMINFO, Pmcd, Pmda, STOCK, Serve, Server, eventually, free_port, has, metrics,
    run,
};

const PMSTORE: &str = "/usr/bin/pmstore";

/// The metrics that both have.
const BOTH: [&str; 6] = ["calls", "fetch_time", "parse_time", "debug", "status", "status_code"];

/// What a PMDA has under `control` after the same sequence of fetches.
struct Seen {
    /// Descriptors, help, and the labels of metrics and instances.
    metadata: BTreeMap<String, Metric>,
    values: BTreeMap<String, Metric>,
    /// How often the good page was asked for.
    gets: u32,
}

/// The value of an instance, or of a metric that has one value.
fn value<'a>(values: &'a BTreeMap<String, Metric>, metric: &str, instance: &str) -> &'a str {
    let lines = &values[&format!("openmetrics.control.{metric}")].values;
    let line = lines.iter().find(|line| instance.is_empty() || line.contains(&format!("or \"{instance}\"]")));
    let line = line.unwrap_or_else(|| panic!("no {instance} in {metric}: {lines:?}"));
    line.split_once("value ").unwrap_or_else(|| panic!("{line}")).1
}

fn seen(pmda: Pmda, dir: &Dir) -> Seen {
    let server = Server::new();
    let good = server.put("/good", Answer::Document(b"x 1\ny{l=\"1\"} 2\n".to_vec()));
    let missing = server.put("/missing", Answer::Status(404));
    let dead = format!("http://127.0.0.1:{}/metrics", free_port());
    let file = format!("file://{}", dir.write("page.txt", "z 1\n").display());
    let sources = [("dead", &*dead), ("file", &file), ("good", &good), ("missing", &missing)];
    let pmcd = Pmcd::start(pmda, &sources);
    for name in ["openmetrics.good.x", "openmetrics.good", "openmetrics.file.z"] {
        let listing = run(pmcd.tool("pminfo").args(["-f", name])).ok();
        assert!(listing.contains(" value 1"), "{listing}\n{}", pmcd.logs());
    }
    // Its own metrics tell of the scrape that the same fetch makes.
    let listing = run(pmcd.tool("pminfo").args(["-f", "openmetrics.control", "openmetrics.good.x"])).ok();
    let values = metrics(&listing, "openmetrics");
    let listing = run(pmcd.tool("pminfo").args(["-dmtTl", "openmetrics.control"])).ok();
    Seen { metadata: metrics(&listing, "openmetrics"), values, gets: server.gets("/good") }
}

#[test]
fn control_metrics_are_those_of_the_stock_pmda() {
    if !has("control_metrics_are_those_of_the_stock_pmda", &[PMCD, PMINFO, STOCK]) {
        return;
    }
    let dir = Dir::new();
    let [stock, ours] = [Pmda::Stock, Pmda::Ours].map(|pmda| seen(pmda, &dir));
    for name in BOTH.map(|leaf| format!("openmetrics.control.{leaf}")) {
        let differences = stock.metadata[&name].differences(&ours.metadata[&name]);
        assert!(differences.is_empty(), "{name}: {differences:#?}");
    }
    for Seen { values, gets, .. } in [&stock, &ours] {
        assert_eq!(value(values, "calls", "good"), gets.to_string());
        assert_eq!(value(values, "debug", ""), "0");
        for source in ["dead", "missing"] {
            let status = value(values, "status", source);
            assert!(status.starts_with("\"failed to fetch URL or execute script "), "{status}");
        }
    }
    for (metric, instances) in [
        ("calls", vec!["file", "good"]),
        ("status", vec!["control", "file", "good"]),
        ("status_code", vec!["control", "dead", "file", "good", "missing"]),
    ] {
        for instance in instances {
            let [stock, ours] = [&stock, &ours].map(|seen| value(&seen.values, metric, instance));
            assert_eq!(stock, ours, "{metric} of {instance}");
        }
    }
}

#[test]
fn control_metrics_of_ours_tell_of_each_source_and_of_all() {
    if !has("control_metrics_of_ours_tell_of_each_source_and_of_all", &[PMCD, PMINFO]) {
        return;
    }
    let dir = Dir::new();
    let ours = seen(Pmda::Ours, &dir);
    let number = |metric, instance| value(&ours.values, metric, instance).parse::<f64>().unwrap();
    for (metric, want) in [("series", 2.0), ("up", 1.0), ("refused_lines", 0.0), ("failures", 0.0)] {
        assert_eq!(number(metric, "good"), want, "{metric}");
    }
    assert_eq!(number("samples", "good"), 2.0 * f64::from(ours.gets));
    assert_eq!(number("bytes", "good"), 15.0 * f64::from(ours.gets));
    assert_eq!((number("up", "control"), number("up", "dead")), (2.0, 0.0));
    assert!(number("last_scrape_age", "good") >= number("last_scrape_age", "control"));
    let age = &ours.values["openmetrics.control.last_scrape_age"].values;
    assert!(!age.iter().any(|line| line.contains("dead")), "a source without a document has no age: {age:?}");
    assert_eq!(value(&ours.values, "full.series", ""), "0");
    for (name, metric) in &ours.metadata {
        assert!(!metric.oneline.is_empty() && metric.desc.len() == 2, "{name}: {metric:?}");
    }
}

#[test]
fn a_listing_of_everything_has_the_names_of_the_stock_pmda() {
    if !has("a_listing_of_everything_has_the_names_of_the_stock_pmda", &[PMCD, PMINFO, STOCK]) {
        return;
    }
    let [stock, ours] = [Pmda::Stock, Pmda::Ours].map(|pmda| {
        let pmcd = Pmcd::start(pmda, &[]);
        let list = |name: &str| {
            let mut names: Vec<_> =
                run(pmcd.tool("pminfo").arg(name)).ok().lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        (list("openmetrics"), list("openmetrics.control"))
    });
    assert_eq!(stock.0, ours.0);
    assert!(ours.1.len() > stock.1.len() && stock.1.iter().all(|name| ours.1.contains(name)), "{ours:?}");
}

#[test]
fn debug_can_be_stored_and_nothing_else() {
    if !has("debug_can_be_stored_and_nothing_else", &[PMCD, PMINFO, PMSTORE]) {
        return;
    }
    let server = Server::new();
    let url = server.put("/good", Answer::Document(b"x 1\n".to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("good", &url)]);
    let debug = "openmetrics.control.debug";
    for (store, want) in [("1", "value 1"), ("0", "value 0"), ("7", "value 1")] {
        run(pmcd.tool("pmstore").args([debug, store])).ok();
        let shown = run(pmcd.tool("pminfo").args(["-f", debug])).ok();
        assert!(shown.contains(want), "{store}: {shown}");
        let said = format!("{debug}: set to {}", &want[6..]);
        assert!(pmcd.dir.read("pmda.log").contains(&said), "{said}: {}", pmcd.logs());
    }
    run(pmcd.tool("pminfo").args(["-f", "openmetrics.good.x"])).ok();
    eventually("a debug message", || pmcd.dir.read("pmda.log").contains(" Debug: ").then_some(()));
    for name in ["openmetrics.control.calls", "openmetrics.control.up", "openmetrics.good.x"] {
        let refused = run(pmcd.tool("pmstore").args([name, "1"]));
        assert!(refused.code != 0 && refused.out.contains("No permission"), "{name}: {refused:?}");
    }
    // A number that no unsigned word holds never leaves pmstore; half of them are negative to whoever sent them.
    let refused = run(pmcd.tool("pmstore").args([debug, "4294967295"]));
    assert!(refused.code != 0 && refused.out.contains("Bad input to pmstore"), "{refused:?}");
}

#[test]
fn serve_has_nothing_to_be_stored() {
    if !has("serve_has_nothing_to_be_stored", &[PMSTORE]) {
        return;
    }
    let serve = Serve::start(&[]);
    serve.until_shows("pmbridge.scrapes");
    let refused = run(serve.tool("pmstore").args(["pmbridge.scrapes", "1"]));
    assert!(refused.code != 0 && refused.out.contains("No permission"), "{refused:?}");
}
