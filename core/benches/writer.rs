//! How long the writer takes, in ns for each value, sample or label set: `cargo bench -p pmbridge-core --bench writer`.

use core::hint::black_box;
use std::time::Instant;

use pmbridge_core::exposition::{
    Format, LabelSet, Put, value,
    writer::{self, Rest},
};
use pmbridge_core::mapping::{
    base::Factor,
    label::{Instance, merge},
};
use pmbridge_core::pcp::Units;

/// What is written, from a number that looks like chance.
type Work = fn(u64, Put<'_>);

fn main() {
    let works: [(&str, Work); 11] = [
        ("counter of 6 digits", |dice, put| value::unsigned(dice % 1_000_000, put)),
        ("counter of 20 digits", |dice, put| value::unsigned(dice | 1 << 63, put)),
        ("double, any bits", |dice, put| value::double(f64::from_bits(dice), put)),
        ("double of two decimals", |dice, put| value::double((dice % 100_000) as f64 / 100.0, put)),
        ("single of two decimals", |dice, put| value::single((dice % 100_000) as f32 / 100.0, put)),
        ("Kbyte in bytes", |dice, put| Factor::of(black_box(Units::KBYTE)).unsigned(dice % 1_000_000, put)),
        ("millisec in seconds", |dice, put| {
            Factor::of(black_box(Units::MILLISEC)).unsigned(dice % 1_000_000, put)
        }),
        ("single in seconds", |dice, put| {
            Factor::of(black_box(Units::MILLISEC)).single((dice % 100_000) as f32 / 100.0, put);
        }),
        ("sample, one label", |dice, put| {
            sample(dice, r#"instid="60",instname="1 minute""#, put);
        }),
        ("sample, eight labels", |dice, put| sample(dice, LABELS, put)),
        ("label set of six levels", |_, put| {
            let instance = Instance { id: 60, name: b"1 minute", labels: b"" };
            merge(&SETS.map(str::as_bytes), Some(instance), put);
        }),
    ];
    for (name, work) in works {
        println!("{name:<26} {:>7.1} ns", best(work));
    }
}

fn sample(dice: u64, labels: &str, put: Put<'_>) {
    let labels = LabelSet::stored(black_box(labels));
    let write = |put: Put<'_>| value::unsigned(dice % 1_000_000, put);
    writer::sample(Format::OpenMetrics, ("kernel_all_load", "_total"), labels, write, Rest::default(), put);
}

/// The best of many runs, as the others measure the machine's other work.
fn best(work: Work) -> f64 {
    let (mut best, mut dice) = (f64::INFINITY, fastrand::Rng::with_seed(1));
    let mut out = Vec::with_capacity(1 << 20);
    let begin = Instant::now();
    while begin.elapsed().as_millis() < 300 {
        out.clear();
        let start = Instant::now();
        for _ in 0..TIMES {
            work(black_box(dice.u64(..)), &mut |piece| out.extend_from_slice(piece));
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
        black_box(&out);
    }
    best
}

const TIMES: u32 = 1_000;

const LABELS: &str = r#"agent="linux",device_type="block",domainname="localdomain",groupid="0",hostname="vm",instid="60",instname="sda",machineid="3d12aa00""#;

const SETS: [&str; 6] = [
    r#"{"domainname":"localdomain","groupid":0,"hostname":"vm","machineid":"3d12aa00c1e34fd2a4b65c1ff70a1d26","userid":0}"#,
    r#"{"agent":"linux"}"#,
    r#"{"device_type":"block","indom_name":"per disk"}"#,
    "",
    "",
    r#"{"device":"sda"}"#,
];
