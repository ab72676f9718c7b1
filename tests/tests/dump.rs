//! What PCP's own Python binding sees of a collector.

use std::collections::BTreeMap;
use std::process::Command;

use pmbridge_tests::{Finished, PYTHON, run};

const DUMP: &str = include_str!("dump.py");

/// One value.
#[derive(Debug)]
pub(crate) struct Value {
    /// The metric's name in PCP.
    pub(crate) name: String,
    /// The labels of metric and instance.
    pub(crate) labels: BTreeMap<String, String>,
    /// The bits of the value as a double.
    pub(crate) bits: u64,
}

/// Each value of each metric.
pub(crate) fn dump(port: u16) -> Vec<Value> {
    python(port, &[]).ok().lines().map(value).collect()
}

/// How many values there are.
pub(crate) fn count(port: u16) -> u64 {
    let finished = python(port, &["--count"]);
    finished.out.trim().parse().unwrap_or_else(|_| panic!("{finished:?}"))
}

/// Whether these are the bits of this number; any NaN is as good as another.
pub(crate) fn same(number: f64, bits: u64) -> bool {
    number.to_bits() == bits || number.is_nan() && f64::from_bits(bits).is_nan()
}

fn python(port: u16, args: &[&str]) -> Finished {
    let mut python = Command::new(PYTHON);
    python.env("PMCD_REQUEST_TIMEOUT", "170").env("PMCD_CONNECT_TIMEOUT", "30");
    run(python.args(["-c", DUMP, &format!("127.0.0.1:{port}")]).args(args))
}

fn value(line: &str) -> Value {
    let fields: Vec<_> = line.split('\t').collect();
    let labels = fields[2].split('\x1f').filter_map(|label| label.split_once('='));
    Value {
        name: fields[0].to_owned(),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        bits: u64::from_str_radix(fields[1], 16).unwrap(),
    }
}
