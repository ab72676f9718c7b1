//! Unmodified PCP tools on `pmbridge serve`, without any pmcd.

use std::process::Command;

use pmbridge_tests::{Answer, Dir, NODE_EXPORTER, NodeExporter, PMINFO, PYTHON, Serve, Server, has, run};

use crate::dump::{dump, same};
use crate::page::{Sample, samples};

/// A page of node_exporter where there is one, else a small one with the same shapes.
fn page() -> String {
    if has("a page of node_exporter", &[NODE_EXPORTER]) {
        String::from_utf8(NodeExporter::start().page()).unwrap()
    } else {
        include_str!("../data/documents/kinds.txt").to_owned()
    }
}

/// A served page, and its samples.
fn served() -> (Server, Serve, Vec<Sample>) {
    let page = page();
    let server = Server::new();
    let url = server.put("/metrics", Answer::Document(page.clone().into_bytes()));
    let serve = Serve::start(&[&url]);
    let samples = samples(&page);
    serve.until_shows(&samples[0].name.replace(':', "."));
    (server, serve, samples)
}

#[test]
fn every_sample_of_the_page_has_its_value_and_labels() {
    if !has("every_sample_of_the_page_has_its_value_and_labels", &[PMINFO, PYTHON]) {
        return;
    }
    let (_server, serve, samples) = served();
    let dump = dump(serve.port);
    for sample in &samples {
        let leaf = format!(".{}", sample.name.replace(':', "."));
        let found = dump.iter().any(|value| {
            value.name.ends_with(&leaf)
                && same(sample.value, value.bits)
                && sample
                    .labels
                    .iter()
                    .all(|(k, v)| value.labels.get(k) == Some(&v.replace(['\t', '\n'], " ")))
        });
        assert!(found, "{sample:?} is not there; of its name there is:\n{:#?}", {
            dump.iter().filter(|value| value.name.ends_with(&leaf)).collect::<Vec<_>>()
        });
    }
    let shown = dump.iter().filter(|value| {
        samples.iter().any(|sample| value.name.ends_with(&format!(".{}", sample.name.replace(':', "."))))
    });
    assert_eq!(shown.count(), samples.len(), "values on the page and in PCP");
}

#[test]
fn pminfo_shows_every_sample_with_descriptor_help_and_labels() {
    if !has("pminfo_shows_every_sample_with_descriptor_help_and_labels", &[PMINFO]) {
        return;
    }
    let (_server, serve, samples) = served();
    let listing = run(serve.tool("pminfo").arg("-fdtTl")).ok();
    for sample in &samples {
        assert!(
            listing.contains(&format!(".{}", sample.name.replace(':', "."))),
            "{}:\n{listing}",
            sample.name
        );
    }
    let values = listing.lines().filter(|line| line.contains(" value ") && line.starts_with("    ")).count();
    assert!(values >= samples.len(), "{values} values of {}:\n{listing}", samples.len());
    assert!(!listing.contains("Error:"), "{listing}");
}

/// The PCP name of a metric with one value, and of one with instances.
fn two_names(serve: &Serve) -> [String; 2] {
    let listing = run(serve.tool("pminfo").arg("-f")).ok();
    let mut one = None;
    let mut many = None;
    let mut name = "";
    for line in listing.lines() {
        if !line.starts_with(' ') && line.starts_with("openmetrics.") {
            name = line;
        } else if line.starts_with("    value ") {
            one.get_or_insert_with(|| name.to_owned());
        } else if line.starts_with("    inst [") {
            many.get_or_insert_with(|| name.to_owned());
        }
    }
    [one, many].map(|name| name.unwrap_or_else(|| panic!("no such metric in\n{listing}")))
}

#[test]
fn pmval_and_pmrep_show_values() {
    if !has("pmval_and_pmrep_show_values", &["/usr/bin/pmval", "/usr/bin/pmrep"]) {
        return;
    }
    let (_server, serve, _) = served();
    for name in two_names(&serve) {
        let pmval = run(serve.tool("pmval").args(["-r", "-s", "2", "-t", "0.5", &name])).ok();
        assert!(pmval.contains("metric:") && !pmval.contains("No values"), "{pmval}");
        let pmrep = run(serve.tool("pmrep").args(["-r", "-s", "2", "-t", "1", &name]));
        assert!(pmrep.out.lines().count() >= 3 && pmrep.code == 0, "{pmrep:?}");
    }
}

#[test]
fn pmlogger_makes_an_archive_that_pmdumplog_reads() {
    let tools = ["/usr/bin/pmlogger", "/usr/bin/pmdumplog", "/usr/bin/pmlogcheck"];
    if !has("pmlogger_makes_an_archive_that_pmdumplog_reads", &tools) {
        return;
    }
    let (_server, serve, samples) = served();
    let dir = Dir::new();
    let config = dir.write("config", "log mandatory on 5 sec { openmetrics }\n");
    let archive = dir.join("archive");
    let log = dir.join("pmlogger.log");
    let mut pmlogger = serve.tool("pmlogger");
    pmlogger.arg("-c").arg(config).arg("-l").arg(log).args(["-T", "30sec"]).arg(&archive);
    let finished = run(&mut pmlogger);
    assert_eq!(finished.code, 0, "{finished:?}\n{}", dir.read("pmlogger.log"));
    run(Command::new("pmlogcheck").arg(&archive)).ok();
    let dumped = run(Command::new("pmdumplog").arg("-a").arg(&archive)).ok();
    for sample in &samples {
        assert!(
            dumped.contains(&format!(".{}", sample.name.replace(':', "."))),
            "{} is not logged",
            sample.name
        );
    }
    let first = format!(".{})", samples[0].name.replace(':', "."));
    let records = dumped.matches(&first).count();
    assert!(records >= 3, "{records} records of {first}\n{}", dir.read("pmlogger.log"));
}

#[test]
fn a_live_node_exporter_shows_in_pminfo() {
    if !has("a_live_node_exporter_shows_in_pminfo", &[PMINFO, NODE_EXPORTER]) {
        return;
    }
    let node = NodeExporter::start();
    let serve = Serve::start(&[&node.url]);
    serve.until_shows("node_load1");
    let listing = run(serve.tool("pminfo").arg("-fdtTl")).ok();
    assert!(listing.contains("node_cpu_seconds_total"), "{listing}");
    serve.until_shows("node_cpu_seconds_total");
}

#[test]
fn without_a_source_it_serves_itself() {
    if !has("without_a_source_it_serves_itself", &[PMINFO]) {
        return;
    }
    let serve = Serve::start(&[]);
    serve.until_shows("pmbridge.");
    let listing = run(serve.tool("pminfo").args(["-fdtT", "pmbridge"])).ok();
    assert!(listing.contains("Semantics: "), "{listing}");
    assert!(
        serve.process.said().contains("pminfo"),
        "the first line says what to type: {}",
        serve.process.said()
    );
}

#[test]
fn many_clients_are_answered_at_once() {
    if !has("many_clients_are_answered_at_once", &[PMINFO]) {
        return;
    }
    let (_server, serve, samples) = served();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| run(serve.tool("pminfo").args(["-f", "openmetrics"])).ok()))
            .collect();
        for client in clients {
            let listing = client.join().unwrap();
            assert!(listing.contains(&samples[0].name.replace(':', ".")), "{listing}");
        }
    });
}
