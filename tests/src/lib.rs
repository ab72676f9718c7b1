//! The harness: real peers, each private to one test, each ended by the test that started it.
//!
//! A [`Pmcd`] runs in a directory of its own with one PMDA, the stock one or ours. A [`Server`] is an HTTP
//! endpoint whose documents and faults a test chooses. [`tool`] runs a PCP tool against either. Ports come
//! from the kernel, processes end by their id, and no test asserts a time: [`eventually`] only gives up.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a harness tells what went wrong by panicking, and it runs where std is"
)]

mod chip;
mod dir;
mod firmware;
mod http;
mod https;
mod peer;
mod pminfo;
mod process;
mod sandbox;
mod server;
mod site;
pub mod wire;

pub use chip::{Chip, Line, Program};
pub use dir::Dir;
pub use firmware::{Board, Firmware, QEMU};
pub use http::{Response, ask, get, take_apart};
pub use https::{Authority, Https};
pub use peer::{NodeExporter, Pmcd, Pmda, Serve, Setup, TRUST, pmbridge, script};
pub use pminfo::{Metric, metrics};
pub use process::{Finished, Process, Usage, children, run, signal, tool};
pub use sandbox::Sandbox;
pub use server::{Answer, Server, Stream};
pub use site::{Agent, Export, Site};

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a condition may take on a loaded machine before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A port that was free when the kernel was asked, and that no other test was given.
pub fn free_port() -> u16 {
    static GIVEN: std::sync::Mutex<std::collections::BTreeSet<u16>> =
        std::sync::Mutex::new(std::collections::BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("its address").port();
        if GIVEN.lock().is_ok_and(|mut given| given.insert(port)) {
            return port;
        }
    }
}

/// Waits until the condition gives a value, or panics with what was waited for.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "gave up waiting for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Whether all these files are there. Where one is not, the test is skipped, and says so past libtest's capture.
pub fn has(test: &str, files: &[&str]) -> bool {
    let missing: Vec<_> = files.iter().filter(|file| !Path::new(file).exists()).collect();
    if !missing.is_empty() {
        skip(test, &format!("not installed: {missing:?}"));
    }
    missing.is_empty()
}

/// Says that a test is skipped, past libtest's capture.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

/// pmcd, as Debian and Fedora place it.
pub const PMCD: &str = "/usr/lib/pcp/bin/pmcd";
/// The PMDA that pmbridge stands in for.
pub const STOCK: &str = "/var/lib/pcp/pmdas/openmetrics/pmdaopenmetrics.python";
/// The documents that PCP's own QA feeds to that PMDA.
pub const SAMPLES: &str = "/var/lib/pcp/testsuite/openmetrics/samples";
/// The exporter every Prometheus site has.
pub const NODE_EXPORTER: &str = "/usr/bin/prometheus-node-exporter";
/// The Python that has `pcp.pmapi`; another one first in PATH does not.
pub const PYTHON: &str = "/usr/bin/python3";
/// The database that scrapes.
pub const PROMETHEUS: &str = "/usr/bin/prometheus";
/// Its judge of pages.
pub const PROMTOOL: &str = "/usr/bin/promtool";
/// The reference parser of OpenMetrics.
pub const CLIENT: &str = "/usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py";
/// What makes certificates.
pub const OPENSSL: &str = "/usr/bin/openssl";
/// A PCP tool.
pub const PMINFO: &str = "/usr/bin/pminfo";
