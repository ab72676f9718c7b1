//! Defects of size: D2 to D5, D13.

use std::time::Duration;

use pmbridge_tests::{Answer, Pmcd, Pmda, Server, Setup, eventually, run};

use super::{assert_kept, can, names, shown, timed, values};
use crate::labels::labels;

/// PCP's own PMDA stops at 1024 names; a page of many more must not take the agent down.
#[test]
fn d03_50000_names_without_labels_and_labels_of_every_sort_are_taken_in_stride() {
    if !can("d03_50000_names_without_labels_and_labels_of_every_sort_are_taken_in_stride") {
        return;
    }
    let server = Server::new();
    let names: String = (0..50_000).map(|i| format!("n{i} {i}\n")).collect();
    let mixed: String = (0..5000)
        .map(|i| format!("pods{{pod=\"{i}\",label_{}=\"x\",only_{i}=\"y\"}} {i}\n", i % 300))
        .collect();
    let good = server.put("/good", Answer::Document(b"m 1\n".to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("good", &good)]);
    let pmda = pmcd.pmda();
    for (name, page) in [("many", names), ("mixed", mixed)] {
        let url = server.put(&format!("/{name}"), Answer::Document(page.into_bytes()));
        pmcd.dir.write(&format!("config.d/{name}.url"), format!("{url}\n"));
        assert_eq!(values(&pmcd, "openmetrics.good.m"), "value 1", "{name}");
    }
    eventually("all names", || (names_below(&pmcd, "openmetrics.many") == 50_000).then_some(()));
    let (labels, time) = timed(|| run(pmcd.tool("pminfo").args(["-l", "openmetrics.mixed.pods"])).ok());
    eprintln!("labels of 5000 series of 300 sorts after {time:?}");
    assert!(labels.contains("\"only_4999\":\"y\""), "{}", pmcd.logs());
    assert_kept(&pmcd, pmda);
}

fn names_below(pmcd: &Pmcd, name: &str) -> usize {
    run(pmcd.tool("pminfo").arg(name)).out.lines().count()
}

/// A document of metrics named after their document.
fn document(prefix: &str, metrics: usize) -> Answer {
    let line = |i| format!("# HELP {prefix}_{i} One of many.\n{prefix}_{i}{{a=\"b\",c=\"d{i}\"}} {i}\n");
    Answer::Document((0..metrics).map(line).collect::<String>().into_bytes())
}

/// The PMDA with 6000 names in six sources.
fn six_thousand() -> (Server, Pmcd) {
    let server = Server::new();
    let mut setup = Setup::new();
    for i in 0..6 {
        setup =
            setup.source(&format!("s{i}"), &server.put(&format!("/{i}"), document(&format!("m{i}"), 1000)));
    }
    let pmcd = setup.start(Pmda::Ours);
    eventually("6000 names", || (names(&pmcd, "openmetrics").len() >= 6000).then_some(()));
    (server, pmcd)
}

/// The 1025th name drops the rest of the document.
#[test]
fn d02_all_of_1500_names_of_one_source_are_there_and_keep_their_ids() {
    if !can("d02_all_of_1500_names_of_one_source_are_there_and_keep_their_ids") {
        return;
    }
    let server = Server::new();
    let url = server.put("/many", document("m", 1500));
    let other = server.put("/other", document("o", 2));
    let setup = Setup::new().source("many", &url).source("other", &other);
    let pmcd = setup.start(Pmda::Ours);
    eventually("both sources", || (names(&pmcd, "openmetrics.other").len() == 2).then_some(()));
    let first = shown(&pmcd, &["openmetrics.many", "openmetrics.other"]);
    assert_eq!(first.len(), 1502, "{}", pmcd.logs());
    let mut pmids: Vec<_> = first.values().map(|metric| metric.pmid.clone()).collect();
    pmids.sort();
    pmids.dedup();
    assert_eq!(pmids.len(), 1502, "each has a PMID of its own");
    for i in 0..1500 {
        let metric = &first[&format!("openmetrics.many.m_{i}")];
        assert!(metric.values[0].ends_with(&format!("c:d{i}\"] value {i}")), "{i}: {metric:?}");
        assert!(metric.desc[0].contains("InDom: 144."), "{i}: {metric:?}");
    }
    assert_eq!(first["openmetrics.many.m_0"].pmid, "144.1.0");
    assert_eq!(first["openmetrics.many.m_1023"].pmid, "144.1.1023");
    assert_eq!(first["openmetrics.other.o_0"].pmid, "144.2.0", "the cluster that the stock PMDA gives it");
    // In any other order, the ids are those of before.
    let reversed: String = (0..1500)
        .rev()
        .map(|i| format!("# HELP m_{i} One of many.\nm_{i}{{a=\"b\",c=\"d{i}\"}} {i}\n"))
        .collect();
    server.put("/many", Answer::Document(reversed.into_bytes()));
    let pmcd = Setup::again(pmcd.stop()).start(Pmda::Ours);
    eventually("both sources", || (names(&pmcd, "openmetrics").len() >= 1502).then_some(()));
    let again = shown(&pmcd, &["openmetrics.many", "openmetrics.other"]);
    assert_eq!(again.len(), 1502, "{}", pmcd.logs());
    for (name, metric) in &first {
        assert_eq!(metric, &again[name], "{name}");
    }
}

/// Each new name rebuilds the name space: 6000 names take 13 to 20 s of CPU.
#[test]
fn d03_6000_names_are_ready_with_little_work() {
    if !can("d03_6000_names_are_ready_with_little_work") {
        return;
    }
    let (_server, pmcd) = six_thousand();
    let cpu = pmcd.usage().cpu;
    eprintln!("6000 names are ready after {cpu:.2} s of CPU");
    assert!(cpu < 3.0, "{cpu} s");
}

/// More than five seconds in one request: pmcd drops the PMDA, which starts from nothing.
#[test]
fn d04_a_thousand_names_are_added_to_6000_within_any_request() {
    if !can("d04_a_thousand_names_are_added_to_6000_within_any_request") {
        return;
    }
    let (server, pmcd) = six_thousand();
    let pmda = pmcd.pmda();
    let url = server.put("/late", document("late", 1000));
    pmcd.dir.write("config.d/late.url", url + "\n");
    let mut worst = Duration::ZERO;
    eventually("the late names", || {
        let (old, time) = timed(|| values(&pmcd, "openmetrics.s3.m3_500"));
        assert!(old.ends_with("value 500"), "{old}\n{}", pmcd.logs());
        let (late, more) = timed(|| names(&pmcd, "openmetrics.late").len());
        worst = worst.max(time).max(more);
        (late == 1000).then_some(())
    });
    eprintln!("the slowest request while 1000 names came: {worst:?}");
    assert!(worst < Duration::from_secs(4), "{worst:?}: near pmcd's limit of 5 s");
    assert!(values(&pmcd, "openmetrics.late.late_999").ends_with("value 999"), "{}", pmcd.logs());
    assert_kept(&pmcd, pmda);
}

/// Series that come and go for ever: the instance table grows and is pushed and written whole, until pmcd drops the
/// PMDA at about 30,000 instances.
#[test]
fn d05_churning_labels_cost_few_bytes_and_no_time() {
    const LIVE: usize = 2000;
    const WARM: usize = 10;
    const ROUNDS: usize = 70;
    if !can("d05_churning_labels_cost_few_bytes_and_no_time") {
        return;
    }
    let server = Server::new();
    let round = |round: usize| {
        let line = |i| format!("churn{{request=\"{:032x}\",shard=\"{}\"}} {i}\n", round * LIVE + i, i % 7);
        Answer::Document((0..LIVE).map(line).collect::<String>().into_bytes())
    };
    let url = server.put("/churn", round(0));
    let pmcd = Pmcd::start(Pmda::Ours, &[("churn", &url)]);
    let pmda = pmcd.pmda();
    let mut before = None;
    for n in 1..=ROUNDS {
        server.put("/churn", round(n));
        let shown = values(&pmcd, "openmetrics.churn.churn");
        assert_eq!(shown.matches("] value ").count(), LIVE, "round {n}\n{}", pmcd.logs());
        if n == WARM {
            before = Some(pmcd.usage());
        }
    }
    let (before, after) = (before.unwrap(), pmcd.usage());
    let dead = u32::try_from((ROUNDS - WARM) * LIVE).unwrap();
    let each = after.resident.saturating_sub(before.resident) as f64 / f64::from(dead);
    let (probe, time) = timed(|| run(pmcd.tool("pmprobe").args(["-i", "openmetrics.churn.churn"])).ok());
    eprintln!("{each:.1} bytes for each of {dead} dead instances; pmprobe -i takes {time:?}");
    let live = probe.split_whitespace().nth(1).map(str::parse::<usize>);
    assert!(matches!(live, Some(Ok(n)) if n >= LIVE), "{}", &probe[..probe.len().min(200)]);
    assert!(each < 200.0, "{each} bytes");
    assert!(time < Duration::from_secs(4), "{time:?}: near pmcd's limit of 5 s");
    assert_kept(&pmcd, pmda);
    assert!(after.descriptors <= before.descriptors + 2, "{before:?} {after:?}");
}

/// Each label look-up scans all metrics of all sources: 15 to 40 s of CPU for 6000 metrics.
#[test]
fn d13_labels_of_6000_metrics_take_little_work() {
    if !can("d13_labels_of_6000_metrics_take_little_work") {
        return;
    }
    let (_server, pmcd) = six_thousand();
    let before = pmcd.usage().cpu;
    let (sets, time) = timed(|| labels(pmcd.port, &["--count"]).ok());
    let cpu = pmcd.usage().cpu - before;
    eprintln!("{} label sets of 6000 metrics: {cpu:.2} s of CPU in {time:?}", sets.trim());
    assert!(sets.trim().parse::<u32>().is_ok_and(|sets| sets >= 4 * 6000), "{sets}");
    assert!(cpu < 3.0, "{cpu} s");
}
