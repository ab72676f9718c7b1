//! The firmware scrapes: a node_exporter on this host, which the chip has at 10.0.2.2.

use std::collections::BTreeMap;

use pmbridge_tests::{Answer, Board, Firmware, NODE_EXPORTER, NodeExporter, PYTHON, Server, eventually, has};

use super::{TEXT, page};
use crate::dump::{Value, dump};
use crate::page::{Sample, samples};

/// The setting that has the chip scrape this URL of the loopback.
fn scrape(name: &str, url: &str) -> String {
    let place = url.strip_prefix("http://127.0.0.1").unwrap();
    format!("scrape={name}@10.0.2.2{place}")
}

/// What a source says on the chip's own page.
fn told(firmware: &Firmware, name: &str) -> f64 {
    let page = page(firmware, TEXT);
    let line = page.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// A sample's place, to look it up by.
fn key(name: &str, labels: &BTreeMap<String, String>) -> (String, Vec<(String, String)>) {
    let labels = labels.iter().filter(|(name, _)| !OF_THE_CHIP.contains(&name.as_str()));
    (name.to_owned(), labels.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Labels that the chip adds to what is not its own.
const OF_THE_CHIP: [&str; 3] = ["agent", "hostname", "firmware"];

#[test]
fn what_rules_keep_of_node_exporter_is_its_own_page_and_what_they_drop_is_told() {
    const NAME: &str = "what_rules_keep_of_node_exporter_is_its_own_page_and_what_they_drop_is_told";
    if !Board::Lm3s6965evb.is_there(NAME) || !has(NAME, &[NODE_EXPORTER, PYTHON]) {
        return;
    }
    let node = NodeExporter::start();
    let is_kept = |sample: &Sample| {
        let name = sample.name.as_str();
        let included = name.starts_with("node_load")
            || name.starts_with("node_memory_Mem")
            || name == "node_boot_time_seconds"
            || name.starts_with("node_filesystem_");
        included && !name.ends_with("_error")
    };
    let firmware = Firmware::start(&[
        &scrape("node", &node.url),
        "include=node_load*",
        "include=node_memory_Mem*",
        "include=node_boot_time_seconds",
        "include=node_filesystem_*",
        "exclude=*_error",
    ]);
    let before = samples(&String::from_utf8(node.page()).unwrap());
    let values = dump(firmware.pcp);
    let root = "openmetrics.node.";
    let of_node = |value: &&Value| value.name.starts_with(root);
    let held: BTreeMap<_, _> = values
        .iter()
        .filter(of_node)
        .map(|value| (key(&value.name[root.len()..], &value.labels), f64::from_bits(value.bits)))
        .collect();
    let page = |samples: &[Sample]| -> BTreeMap<_, _> {
        let kept = samples.iter().filter(|sample| is_kept(sample));
        kept.map(|sample| (key(&sample.name, &sample.labels), sample.value)).collect()
    };
    let before = page(&before);
    assert!(before.len() > 5, "{before:#?}");
    assert!(held.keys().eq(before.keys()), "{:#?}\n{:#?}", held.keys(), before.keys());
    // Those that stay what they are, and one with a fraction among them, are the same to the bit.
    let lasting = ["node_boot_time_seconds", "node_memory_MemTotal_bytes"];
    let lasts = |name: &str| lasting.contains(&name) || name.ends_with("_size_bytes");
    let lasting: Vec<_> = held.iter().filter(|((name, _), _)| lasts(name)).collect();
    assert!(lasting.len() >= 3, "{held:#?}");
    for (key, value) in lasting {
        assert_eq!(value.to_bits(), before[key].to_bits(), "{key:?} {value}");
    }
    assert!(told(&firmware, "pmbridge_source_dropped_total{") > 0.0);
    assert_eq!(told(&firmware, "pmbridge_source_up{"), 1.0);
}

#[test]
fn what_memory_has_no_room_for_is_told_and_the_device_still_answers() {
    const NAME: &str = "what_memory_has_no_room_for_is_told_and_the_device_still_answers";
    if !Board::Lm3s6965evb.is_there(NAME) || !has(NAME, &[PYTHON]) {
        return;
    }
    let lines = |n: usize| (0..n).map(|i| format!("wide{{series=\"{i}\"}} {i}\n")).collect::<String>();
    let server = Server::new();
    let url = server.put("/metrics", Answer::Document(lines(2000).into_bytes()));
    let firmware = Firmware::start(&[&scrape("wide", &url)]);
    eventually("series refused for want of room", || {
        let page = page(&firmware, TEXT);
        let full = page.lines().filter(|line| line.starts_with("pmbridge_full_total{"));
        full.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).find(|&n| n > 0.0)
    });
    let values = dump(firmware.pcp);
    let held = values.iter().filter(|value| value.name == "openmetrics.wide.wide");
    let held: Vec<_> =
        held.map(|value| (value.labels["series"].clone(), f64::from_bits(value.bits))).collect();
    assert!(held.len() > 50, "{} series", held.len());
    assert!(held.iter().all(|(series, value)| series.parse() == Ok(*value)), "{held:?}");
    assert!(values.iter().any(|value| value.name == "device.uptime"), "{values:?}");
}

#[test]
fn a_neighbour_that_is_not_there_costs_only_its_own_metrics() {
    const NAME: &str = "a_neighbour_that_is_not_there_costs_only_its_own_metrics";
    if !Board::Lm3s6965evb.is_there(NAME) {
        return;
    }
    // Nobody listens on the port of a server that has ended.
    let url = Server::new().put("/metrics", Answer::Document(Vec::new()));
    let firmware = Firmware::start(&[&scrape("gone", &url)]);
    assert_eq!(told(&firmware, "pmbridge_source_up{"), 0.0);
    assert!(told(&firmware, "device_uptime_seconds_total") >= 0.0);
}
