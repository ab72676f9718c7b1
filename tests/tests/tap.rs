//! The firmware's twin over a TAP interface, asked by PCP's tools and Prometheus' in a network of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use pmbridge_tests::{Dir, PMINFO, PROMTOOL, Process, eventually, has, run, skip};

/// A network namespace, which goes with its test.
struct Net(String);

impl Net {
    /// Makes one; where this machine cannot, the test is skipped.
    fn start(test: &str) -> Option<Self> {
        if !has(test, &["/dev/net/tun", PMINFO]) {
            return None;
        }
        let name = format!("pmbridge-test-{}", std::process::id());
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

#[test]
fn the_twin_over_tap_is_a_device_to_real_tools() {
    let Some(net) = Net::start("the_twin_over_tap_is_a_device_to_real_tools") else { return };
    let dir = Dir::new();
    let mut command = net.command(twin());
    command.args(["twin0", "192.168.69.9/24"]);
    let mut process = Process::start(&mut command, dir.join("log"));
    eventually("the twin", || {
        assert!(process.is_alive(), "{}", process.said());
        process.said().contains("up: ").then_some(())
    });

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

    let page =
        run(net.command("curl").args(["-sS", "--max-time", "60", "http://192.168.69.9:9100/metrics"])).ok();
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
