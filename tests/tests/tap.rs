//! The firmware's twin over a TAP interface, asked by PCP's tools and Prometheus' in a network of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use pmbridge_tests::{Dir, NODE_EXPORTER, PMINFO, PROMTOOL, Process, eventually, has, run, skip};

/// A network namespace, which goes with its test.
struct Net(String);

impl Net {
    /// Makes one; where this machine cannot, the test is skipped.
    fn start(test: &str) -> Option<Self> {
        if !has(test, &["/dev/net/tun", PMINFO]) {
            return None;
        }
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("pmbridge-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let made = run(Command::new("ip").args(["netns", "add", &name]));
        if made.code != 0 {
            skip(test, &format!("no network namespace (root may): {}", made.err.trim()));
            return None;
        }
        Some(Self(name))
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program.as_ref());
        command
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "del", &self.0]));
    }
}

/// The example, which is built with the tests of the whole workspace.
fn twin() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let binary = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST").join("examples/tap");
    assert!(
        binary.exists(),
        "{} is missing: cargo build -p pmbridge-embedded --example tap",
        binary.display()
    );
    binary
}

/// Starts the twin at 192.168.69.9, and waits until it is there.
fn start(net: &Net, dir: &Dir, neighbours: &[&str]) -> Process {
    let mut command = net.command(twin());
    command.args(["twin0", "192.168.69.9/24"]).args(neighbours);
    let mut process = Process::start(&mut command, dir.join("log"));
    eventually("the twin", || {
        assert!(process.is_alive(), "{}", process.said());
        process.said().contains("up: ").then_some(())
    });
    process
}

fn page(net: &Net) -> String {
    run(net.command("curl").args(["-sS", "--max-time", "60", "http://192.168.69.9:9100/metrics"])).ok()
}

#[test]
fn the_twin_over_tap_is_a_device_to_real_tools() {
    let Some(net) = Net::start("the_twin_over_tap_is_a_device_to_real_tools") else { return };
    let dir = Dir::new();
    let _process = start(&net, &dir, &[]);

    let listing =
        run(net.command(PMINFO).args(["-h", "192.168.69.9", "-dflT", "device", "sensor", "loop"])).ok();
    for want in [
        "device.version\n    Data Type: string  InDom: PM_INDOM_NULL 0xffffffff\n    Semantics: discrete  Units: none\n",
        "\nDegrees Celsius, made up\n    inst [0 or \"cpu\"] value ",
        "inst [1 or \"board\"] labels {\"agent\":\"openmetrics\",\"hostname\":\"twin\",\"sensor\":\"board\"}\n",
        "inst [6 or \"6 le:+Inf\"] value ",
        "inst [0 or \"0 le:0.00005\"] labels {\"agent\":\"openmetrics\",\"hostname\":\"twin\",\"le\":\"0.00005\"}\n",
    ] {
        assert!(listing.contains(want), "{want} in\n{listing}");
    }

    let page = page(&net);
    for want in [
        "# TYPE sensor_latency_seconds histogram\n",
        "sensor_latency_seconds_bucket{le=\"0.0016\"} ",
        "sensor_temperature{sensor=\"psu\"} ",
        "device_version_info{value=\"",
    ] {
        assert!(page.contains(want), "{want} in\n{page}");
    }
    if has("promtool_finds_nothing_on_the_page_of_the_twin", &[PROMTOOL]) {
        let page = dir.write("page", page);
        let found =
            run(Command::new("sh").args(["-c", "exec \"$0\" check metrics < \"$1\"", PROMTOOL]).arg(page));
        assert_eq!((found.code, found.err.as_str()), (0, ""), "{}", found.out);
    }
}

#[test]
fn the_twin_takes_of_a_node_exporter_what_its_rules_say() {
    let test = "the_twin_takes_of_a_node_exporter_what_its_rules_say";
    let Some(net) = Net::start(test).filter(|_| has(test, &[NODE_EXPORTER])) else { return };
    let dir = Dir::new();
    let rules = ["node=192.168.69.254:9101/metrics", "+node_load*", "+node_time_seconds", "-*load15"];
    let _process = start(&net, &dir, &rules);
    // The twin has given this side its address.
    let mut command = net.command(NODE_EXPORTER);
    let exporter =
        Process::start(command.arg("--web.listen-address=192.168.69.254:9101"), dir.join("exporter"));
    let page = eventually("the exporter's metrics", || {
        let page = page(&net);
        page.contains("\nnode_time_seconds ").then_some(page)
    });
    for (want, is_there) in
        [("\nnode_load1 ", true), ("\nnode_load5 ", true), ("\nnode_load15 ", false), ("\nnode_cpu", false)]
    {
        assert_eq!(page.contains(want), is_there, "{want} in\n{page}");
    }
    let dropped =
        page.lines().find_map(|line| line.strip_prefix("pmbridge_source_dropped_total{instname=\"node\"} "));
    assert!(dropped.is_some_and(|n| n != "0"), "{page}");
    let listing = run(net.command(PMINFO).args(["-h", "192.168.69.9", "-f", "openmetrics"])).ok();
    let names = listing.lines().filter(|line| line.starts_with("openmetrics")).collect::<Vec<_>>();
    let want = ["load1", "load5", "time_seconds"].map(|name| format!("openmetrics.node.node_{name}"));
    assert_eq!(names, want, "{listing}\n{}", exporter.said());
}
