//! The firmware under QEMU, and unmodified tools on it: a chip with 64 KiB of RAM, reached through ports of this host.
//!
//! `host-embedded/firmware.sh build` makes the images, for each board.

mod neighbours;
mod pages;
mod pcp;
mod serial;
mod wire;

use std::{path::Path, process::Command};

use pmbridge_tests::{Board, Firmware, get, run};

/// The metrics that the device declares, in both protocols.
const DECLARED: [(&str, &str); 9] = [
    ("device.uptime", "device_uptime_seconds_total"),
    ("device.idle", "device_idle_seconds_total"),
    ("device.stall.longest", "device_stall_longest_seconds"),
    ("device.stack", "device_stack_bytes"),
    ("device.frames", "device_frames_total"),
    ("device.frames_lost", "device_frames_lost_total"),
    ("device.version", "device_version_info"),
    ("sensor.temperature", "sensor_temperature"),
    ("sensor.latency", "sensor_latency_seconds"),
];

/// The page as it is now.
fn page(firmware: &Firmware, accept: &str) -> String {
    let response = get(firmware.http, "/metrics", &[&format!("Accept: {accept}")]);
    assert!(
        response.status == 200 && response.is_whole,
        "{}\n{}\n{}",
        response.head,
        response.text(),
        firmware.process.said()
    );
    response.text()
}

const TEXT: &str = "text/plain;version=0.0.4";
const OPEN: &str = "application/openmetrics-text;version=1.0.0";

#[test]
fn both_boards_boot_and_answer_in_both_protocols() {
    for board in [Board::Lm3s6965evb, Board::Mps2An385] {
        if !board.is_there("both_boards_boot_and_answer_in_both_protocols") {
            continue;
        }
        let firmware = Firmware::on(board, &["dhcp"]);
        let names = run(&mut firmware.tool("pminfo")).ok();
        let page = page(&firmware, TEXT);
        for (in_pcp, on_page) in DECLARED {
            assert!(names.lines().any(|name| name.starts_with(in_pcp)), "{board:?} {in_pcp}:\n{names}");
            assert!(page.contains(&format!("# TYPE {on_page} ")), "{board:?} {on_page}:\n{page}");
        }
    }
}

#[test]
fn a_static_address_answers_as_one_of_dhcp_does() {
    if !Board::Lm3s6965evb.is_there("a_static_address_answers_as_one_of_dhcp_does") {
        return;
    }
    let firmware = Firmware::start(&["ip=10.0.2.15/24", "gateway=10.0.2.2"]);
    assert!(page(&firmware, TEXT).contains("device_uptime_seconds_total "));
}

#[test]
fn a_setting_that_means_nothing_ends_it_with_a_status() {
    if !Board::Lm3s6965evb.is_there("a_setting_that_means_nothing_ends_it_with_a_status") {
        return;
    }
    for setting in [
        "ip=10.0.2.15",
        "ip=10..2.15/24",
        "ip=10.0.2/24",
        "ip=10.0.2.256/24",
        "dhcp=10.0.2.15",
        "run=",
        "scrape=a@10.0.2.2:9100",
    ] {
        let finished = run(&mut Firmware::command(Board::Lm3s6965evb, &[setting]));
        assert!(finished.code == 2 && finished.out.contains(setting), "{setting}: {finished:?}");
    }
    for (settings, why) in [
        (&["gateway=10.0.2.2", "ip=10.0.2.15/24"][..], "nothing here: gateway=10.0.2.2"),
        (&["ip=10.0.2.15/33"], "prefix is too long"),
        (&["scrape=node-1@10.0.2.2:9100/metrics"], "no neighbour can be called \"node-1\""),
        (&["scrape=a@10.0.2.2:9100/", "scrape=a@10.0.2.2:9101/"], "two neighbours are called a"),
    ] {
        let finished = run(&mut Firmware::command(Board::Lm3s6965evb, settings));
        assert!(finished.code == 2 && finished.out.contains(why), "{settings:?}: {finished:?}");
    }
    let finished = run(&mut Firmware::command(Board::Lm3s6965evb, &["run=10"]));
    assert_eq!(finished.code, 0, "{finished:?}");
}

#[test]
fn the_log_has_a_line_for_each_event_in_the_words_of_a_person() {
    if !Board::Lm3s6965evb.is_there("the_log_has_a_line_for_each_event_in_the_words_of_a_person") {
        return;
    }
    let firmware = Firmware::start(&["dhcp"]);
    run(&mut firmware.tool("pminfo")).ok();
    let said = firmware.process.said();
    let lines = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!((lines(" INFO up: lm3s6965evb"), lines("address")), (1, 1), "{said}");
    assert!(
        said.contains(" INFO address: 10.0.2.15\n") && said.contains(" INFO client: 10.0.2.2:"),
        "{said}"
    );
    assert!(!said.contains(" WARN ") && !said.contains("Some(") && !said.contains('['), "{said}");
}

#[test]
fn a_word_that_the_script_does_not_know_is_no_other_command() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-embedded/firmware.sh");
    for words in
        [&["size", "nope"][..], &["build", "mps2-an385", "extra"], &["panics", "all"], &["image", "x"]]
    {
        let finished = run(Command::new(&script).args(words));
        assert!(
            finished.code == 2 && finished.out.contains("firmware.sh build [BOARD]"),
            "{words:?} {finished:?}"
        );
    }
}
