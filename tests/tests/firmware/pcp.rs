//! PCP's tools on the firmware.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use pmbridge_tests::{Board, Dir, Firmware, PMINFO, PYTHON, get, has, metrics, run};

use super::DECLARED;
use crate::dump::dump;
use crate::labels::labels;

/// Whether the reference can be run, and these tools.
fn can(test: &str, tools: &[&str]) -> bool {
    Board::Lm3s6965evb.is_there(test) && has(test, tools)
}

#[test]
fn pminfo_shows_every_metric_with_descriptor_help_labels_and_values() {
    if !can("pminfo_shows_every_metric_with_descriptor_help_labels_and_values", &[PMINFO]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    let listing = run(firmware.tool("pminfo").arg("-fdtTl")).ok();
    assert!(!listing.contains("Error:"), "{listing}");
    assert!(listing.contains("labels {") && listing.contains("\"hostname\":"), "{listing}");
    let mut all = BTreeMap::new();
    for root in ["device", "sensor", "pmbridge"] {
        all.append(&mut metrics(&run(firmware.tool("pminfo").args(["-dfmtT", root])).ok(), root));
    }
    for (name, _) in DECLARED {
        assert!(all.keys().any(|key| key.starts_with(name)), "{name}:\n{listing}");
    }
    for (name, metric) in &all {
        assert!(metric.pmid.starts_with("144.") && metric.desc.len() == 2, "{name} {metric:?}");
        assert!(metric.oneline.len() > 2 && !metric.help.is_empty(), "{name} {metric:?}");
        assert!(!metric.values.is_empty(), "{name} {metric:?}");
    }
    let temperature = &all["sensor.temperature"];
    assert_eq!(temperature.values[0], "inst [0 or \"chip\"] value 41.5", "{temperature:?}");
    assert_eq!(temperature.desc[0].split("  ").next(), Some("Data Type: double"), "{temperature:?}");
    assert_eq!(all["device.uptime"].desc[1], "Semantics: counter  Units: sec");
    assert!(all["device.version"].values[0].starts_with("value \""), "{:?}", all["device.version"]);
}

#[test]
fn pmval_and_pmrep_show_what_goes_on() {
    const NAME: &str = "pmval_and_pmrep_show_what_goes_on";
    if !can(NAME, &["/usr/bin/pmval", "/usr/bin/pmrep"]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    for name in ["device.frames", "sensor.temperature"] {
        let pmval = run(firmware.tool("pmval").args(["-r", "-s", "3", "-t", "0.5", name])).ok();
        assert!(pmval.contains("metric:") && !pmval.contains("No values"), "{pmval}");
        let pmrep = run(firmware.tool("pmrep").args(["-s", "3", "-t", "1", name])).ok();
        assert!(pmrep.lines().count() >= 4, "{pmrep}");
    }
    // The first value of a rate is not there yet.
    let idle = run(firmware.tool("pmval").args(["-s", "3", "-t", "1", "-f", "4", "device.idle"])).ok();
    let share = idle.lines().last().and_then(|line| line.trim().parse::<f64>().ok());
    assert!(share.is_some_and(|share| share > 0.0), "{idle}");
}

#[test]
fn a_minute_of_pmlogger_makes_an_archive_that_pmlogcheck_finds_nothing_wrong_with() {
    const NAME: &str = "a_minute_of_pmlogger_makes_an_archive_that_pmlogcheck_finds_nothing_wrong_with";
    if !can(NAME, &["/usr/bin/pmlogger", "/usr/bin/pmdumplog", "/usr/bin/pmlogcheck"]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    let dir = Dir::new();
    let config = dir
        .write("config", "log mandatory on 2 sec { device sensor }\nlog mandatory on 10 sec { pmbridge }\n");
    let archive = dir.join("archive");
    let mut pmlogger = firmware.tool("pmlogger");
    pmlogger
        .arg("-c")
        .arg(config)
        .arg("-l")
        .arg(dir.join("pmlogger.log"))
        .args(["-T", "60sec"])
        .arg(&archive);
    let finished = run(&mut pmlogger);
    assert_eq!(finished.code, 0, "{finished:?}\n{}", dir.read("pmlogger.log"));
    let checked = run(Command::new("pmlogcheck").arg(&archive));
    // A chip's clock may be behind that of who logs, as any host's may.
    let said = checked.out + &checked.err;
    let wrong: Vec<_> = said.lines().filter(|line| !line.contains("less than log label timestamp")).collect();
    assert!(checked.code == 0 && wrong.is_empty(), "{wrong:#?}");
    let dumped = run(Command::new("pmdumplog").arg("-a").arg(&archive)).ok();
    for (name, _) in DECLARED {
        assert!(dumped.contains(name), "{name} is not logged:\n{dumped}");
    }
    let records = dumped.matches("(device.uptime)").count();
    assert!(records >= 10, "{records} records\n{}", dir.read("pmlogger.log"));
    assert!(!dumped.contains("<mark>"), "pmlogger lost the device:\n{dumped}");
}

#[test]
fn python_gets_the_labels_of_device_metric_and_instance() {
    if !can("python_gets_the_labels_of_device_metric_and_instance", &[PYTHON, PMINFO]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    let values = dump(firmware.pcp);
    let sensors: Vec<_> = values.iter().filter(|value| value.name == "sensor.temperature").collect();
    let named: Vec<_> = sensors.iter().map(|value| value.labels.get("sensor").map(String::as_str)).collect();
    assert_eq!(named, [Some("chip"), Some("board"), Some("outside")], "{values:#?}");
    assert_eq!(f64::from_bits(sensors[0].bits).to_string(), "41.5");
    let sets = labels(firmware.pcp, &["device", "sensor"]).ok();
    let context = sets.lines().find(|line| line.starts_with("lookup\t") && line.contains("\"hostname\""));
    assert!(context.is_some_and(|set| set.contains("\"firmware\"")), "{sets}");
    assert!(!sets.contains("ERROR"), "{sets}");
}

#[test]
fn two_pcp_clients_and_a_scrape_are_answered_at_once() {
    if !can("two_pcp_clients_and_a_scrape_are_answered_at_once", &[PMINFO]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let listing = run(firmware.tool("pminfo").args(["-f", "device", "sensor"])).ok();
                    assert!(
                        listing.contains("\"outside\"] value ") && !listing.contains("Error:"),
                        "{listing}"
                    );
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                let response = get(firmware.http, "/metrics", &[]);
                assert!(response.is_whole && response.text().contains("sensor_temperature{"), "{response:?}");
            }
        });
    });
}
