//! Archives go on over the swap: pmlogger under the stock PMDA, then under ours, merged without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use pmbridge_tests::{
    Answer, NODE_EXPORTER, NodeExporter, PMCD, Pmcd, Pmda, SAMPLES, STOCK, Server, Setup, eventually, has,
    run,
};

/// Runs pmlogger for this many seconds on all metrics of sources, and gives the archive.
pub(crate) fn log(pmcd: &Pmcd, name: &str, seconds: u32) -> PathBuf {
    let roots = run(pmcd.tool("pminfo").arg("openmetrics")).out;
    let mut metrics: Vec<_> = roots.lines().filter(|name| !is_passing(name)).collect();
    metrics.sort_unstable();
    let list: String = metrics.iter().map(|name| format!("\t{name}\n")).collect();
    let config = pmcd.dir.write("pmlogger.conf", format!("log mandatory on 1 sec {{\n{list}}}\n"));
    let archive = pmcd.dir.join(name);
    let log = pmcd.dir.join("pmlogger.log");
    let mut pmlogger = pmcd.tool("pmlogger");
    pmlogger.arg("-c").arg(config).arg("-l").arg(log).args(["-T", &format!("{seconds}sec")]).arg(&archive);
    let finished = run(&mut pmlogger);
    assert_eq!(finished.code, 0, "{finished:?}\n{}", pmcd.dir.read("pmlogger.log"));
    archive
}

/// Metrics that are not logged: those of the PMDA itself, and of the source that goes.
fn is_passing(name: &str) -> bool {
    name.contains(".control.") || name.contains("a_source_that_goes")
}

/// What pmdumplog shows of an archive.
pub(crate) fn dump(archive: &Path, what: &str) -> String {
    run(Command::new("pmdumplog").env("LC_ALL", "C.UTF-8").arg(what).arg(archive)).ok()
}

/// The descriptors in an archive, each as often as it stands there: name, then all else.
fn descriptors(archive: &Path) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut current: Option<(String, String)> = None;
    let text = dump(archive, "-d");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("PMID: ") {
            all.extend(current.take().map(|(name, desc)| (name, vec![desc])));
            let (pmid, name) = rest.split_once(' ').unwrap_or((rest, ""));
            current = Some((name.to_owned(), pmid.to_owned()));
        } else if let Some((_, desc)) = &mut current {
            desc.push_str(line);
        }
    }
    all.extend(current.map(|(name, desc)| (name, vec![desc])));
    all.retain(|name, _| name.contains("openmetrics."));
    all
}

/// The instances in an archive: of each domain the names of each id, in the order of time.
fn instances(archive: &Path) -> BTreeMap<(String, String), Vec<String>> {
    let mut all: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let mut indom = String::new();
    for line in dump(archive, "-i").lines() {
        if let Some(rest) = line.strip_prefix("InDom: ") {
            rest.split_whitespace().next().unwrap_or("").clone_into(&mut indom);
        } else if let Some((id, name)) = line.trim_start().split_once(" or ") {
            let names = all.entry((indom.clone(), id.trim_start_matches("inst [").to_owned())).or_default();
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
    }
    all.retain(|(indom, _), _| indom.starts_with("144."));
    all
}

/// How many names of metrics a page has.
fn count(page: &str) -> usize {
    let samples = page.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: BTreeSet<_> = samples.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    names.len()
}

/// The page with its last family first: whoever numbers by appearance alone numbers it otherwise.
fn reversed(page: &str) -> String {
    let mut families = vec![String::new()];
    let mut in_comment = true;
    for line in page.lines() {
        if line.starts_with('#') && !in_comment {
            families.push(String::new());
        }
        in_comment = line.starts_with('#');
        let family = families.last_mut().unwrap();
        family.push_str(line);
        family.push('\n');
    }
    families.into_iter().rev().collect()
}

/// Logs a page under one PMDA, then the other in its place, and merges.
fn merge(test: &str, page: &str) {
    let tools = [PMCD, STOCK, "/usr/bin/pmlogger", "/usr/bin/pmlogextract", "/usr/bin/pmdumplog"];
    if !has(test, &tools) {
        return;
    }
    let names = count(page);
    let server = Server::new();
    let put = |page: &str| server.put("/page", Answer::Document(page.as_bytes().to_vec()));
    // The source that goes leaves a hole in the numbers.
    let setup = Setup::new().source("a_source_that_goes", &put(page)).source("page", &put(page));
    let ready = |pmcd: &Pmcd| {
        eventually(&format!("{names} names; the logs are\n{}", pmcd.logs()), || {
            let all = run(pmcd.tool("pminfo").arg("openmetrics.page")).out;
            (all.lines().count() >= names).then_some(())
        });
    };
    let stock = setup.start(Pmda::Stock);
    ready(&stock);
    let first = log(&stock, "first", 3);
    put(&reversed(page));
    std::fs::remove_file(stock.dir.join("config.d/a_source_that_goes.url")).unwrap();
    let ours = Setup::again(stock.stop()).start(Pmda::Ours);
    ready(&ours);
    let second = log(&ours, "second", 3);
    let merged = ours.dir.join("merged");
    let finished = run(Command::new("pmlogextract").args([&first, &second, &merged]));
    assert_eq!((finished.code, finished.err.as_str(), finished.out.as_str()), (0, "", ""), "{}", ours.logs());
    run(Command::new("pmlogcheck").arg(&merged)).ok();

    let (before, after, both) = (descriptors(&first), descriptors(&second), descriptors(&merged));
    // Some have no values and so are not logged.
    assert!(before.len() * 10 >= names * 9, "{} of {names} metrics", before.len());
    assert_eq!(before, after, "descriptors before and after the swap");
    assert_eq!(both, before, "one descriptor a metric");
    let (before, after) = (instances(&first), instances(&second));
    for (id, names) in instances(&merged) {
        assert_eq!(names.len(), 1, "{id:?} has one name: {names:?}");
    }
    for (id, names) in &before {
        assert_eq!(after.get(id), Some(names), "{id:?} after the swap");
    }
    eprintln!("{test}: {} metrics, {} instances", both.len(), before.len());
}

#[test]
fn archives_of_node_exporter_merge() {
    if !has("archives_of_node_exporter_merge", &[NODE_EXPORTER]) {
        return;
    }
    // The page as it is at one time: instances that come between the two archives are not what is tested here.
    merge("archives_of_node_exporter_merge", &String::from_utf8(NodeExporter::start().page()).unwrap());
}

#[test]
fn archives_of_a_live_node_exporter_merge() {
    if !has("archives_of_a_live_node_exporter_merge", &[NODE_EXPORTER, PMCD, STOCK]) {
        return;
    }
    let node = NodeExporter::start();
    let setup = Setup::new().source("node", &node.url);
    let stock = setup.start(Pmda::Stock);
    eventually("names", || {
        run(stock.tool("pminfo").arg("openmetrics.node")).out.contains("node_cpu").then_some(())
    });
    let first = log(&stock, "first", 3);
    let ours = Setup::again(stock.stop()).start(Pmda::Ours);
    eventually("names", || {
        run(ours.tool("pminfo").arg("openmetrics.node")).out.contains("node_cpu").then_some(())
    });
    let second = log(&ours, "second", 3);
    let merged = ours.dir.join("merged");
    let finished = run(Command::new("pmlogextract").args([&first, &second, &merged]));
    assert_eq!((finished.code, finished.err.as_str(), finished.out.as_str()), (0, "", ""), "{}", ours.logs());
    for (id, names) in instances(&merged) {
        assert_eq!(names.len(), 1, "{id:?} has one name: {names:?}");
    }
}

/// One of QA's sample files, over HTTP.
fn sample(test: &str, file: &str) {
    if has(test, &[SAMPLES]) {
        merge(test, &std::fs::read_to_string(format!("{SAMPLES}/{file}")).unwrap());
    }
}

#[test]
fn archives_of_a_sample_with_pcp5_lines_merge() {
    sample("archives_of_a_sample_with_pcp5_lines_merge", "sample-pmda-pcp5-metadata.txt");
}

#[test]
fn archives_of_a_sample_with_histograms_and_labels_merge() {
    sample("archives_of_a_sample_with_histograms_and_labels_merge", "prom-exposition-formats-example1.txt");
}

#[test]
fn archives_of_a_sample_with_instname_merge() {
    sample("archives_of_a_sample_with_instname_merge", "sample-pmda-instname-5.0.0.txt");
}
