//! The defects of PCP's own openmetrics PMDA, each shown not to be ours, under a real pmcd.
//!
//! The numbers are those of the list that pmbridge was made from; a test says in its comment what the stock PMDA
//! does. Where PCP's QA wants the defect, classic rules have it too, and the test says which QA test that is.

mod config;
mod documents;
mod endpoints;
mod ids;
mod label;
mod scale;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pmbridge_tests::{Metric, PMCD, Pmcd, has, metrics, run};

/// Whether the defect can be tried here; each test begins with it.
fn can(test: &str) -> bool {
    has(test, &[PMCD])
}

/// What pminfo shows of these metrics, or of all below a name.
fn shown(pmcd: &Pmcd, names: &[&str]) -> BTreeMap<String, Metric> {
    let listing = run(pmcd.tool("pminfo").arg("-dfmtT").args(names));
    metrics(&listing.out, "openmetrics")
}

/// The values of a metric, `value V` or `inst [I or "NAME"] value V` each, or the error.
fn values(pmcd: &Pmcd, name: &str) -> String {
    let all = run(pmcd.tool("pminfo").args(["-f", name]));
    metrics(&all.out, name).remove(name).map_or_else(|| all.err.clone(), |metric| metric.values.join("|"))
}

/// The value of a metric's instance of a source, such as those of `control`.
fn of_source(pmcd: &Pmcd, metric: &str, source: &str) -> String {
    let all = values(pmcd, metric);
    let own = all.split('|').find(|line| line.contains(&format!("\"{source}\"]")));
    let value = own.and_then(|line| line.split_once("] value "));
    value.map_or_else(|| format!("nothing of {source} in {metric}: {all}"), |(_, value)| value.to_owned())
}

/// What `control.status` says of a source.
fn status(pmcd: &Pmcd, source: &str) -> String {
    of_source(pmcd, "openmetrics.control.status", source)
}

/// The names below a name.
fn names(pmcd: &Pmcd, below: &str) -> Vec<String> {
    run(pmcd.tool("pminfo").arg(below)).out.split_whitespace().map(str::to_owned).collect()
}

/// How many lines the PMDA has logged.
fn log_lines(pmcd: &Pmcd) -> usize {
    pmcd.dir.read("pmda.log").lines().count()
}

/// Fails unless the PMDA is the one that it was.
fn assert_kept(pmcd: &Pmcd, pmda: Option<u32>) {
    assert!(pmda.is_some() && pmcd.pmda() == pmda, "pmcd dropped the PMDA\n{}", pmcd.logs());
}

/// What it gives, and how long it took.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (what(), start.elapsed())
}
