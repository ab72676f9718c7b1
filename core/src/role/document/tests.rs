//! Whatever documents bring and leave out, the store stays whole.
#![expect(clippy::arithmetic_side_effects, reason = "a test may panic, and does so where a law is broken")]

extern crate std;
use core::fmt::Write as _;
use std::{eprintln, string::String, vec::Vec};

use fastrand::Rng;

use super::Document;
use crate::{
    mapping::Plain,
    store::{Fixed, Region, Storage, Store, check::check},
    time::Instant,
};

/// Writes one family of a world in which they have all there is to have, in each other's way too.
fn family(text: &mut String, n: usize, rng: &mut Rng) {
    let (a, b) = (rng.u32(..12), rng.u32(..9));
    let t = ["", " 1700000000", " # {a=\"b\"} 3", " 170 # {tr=\"cdefghijklm\"} 3 12"][rng.usize(..4)];
    match n % 9 {
        0 => writeln!(text, "# HELP gauge{n} What {a}.\n# TYPE gauge{n} gauge\ngauge{n} {b}{t}"),
        1 => (a..a + 4).try_for_each(|i| writeln!(text, "many{n}{{at=\"{i}\"}} {i}{t}")),
        2 => writeln!(
            text,
            "# TYPE n{n} counter\nn{n}_total{{x=\"{a}\"}} 1{t}\nn{n}_created{{x=\"{a}\"}} 9"
        ),
        3 => writeln!(
            text,
            "# TYPE h{n} histogram\nh{n}_bucket{{x=\"{a}\",le=\"1\"}} 3{t}\nh{n}_bucket{{x=\"{a}\",le=\"{b}e1\"}} 4\n\
             h{n}_bucket{{le=\"+Inf\",x=\"{a}\"}} 7\nh{n}_sum{{x=\"{a}\"}} 5\nh{n}_count{{x=\"{a}\"}} 7"
        ),
        4 => writeln!(text, "two{n}{{a=\"{a}\",b=\"2\"}} 1{t}\ntwo{n}{{b=\"2\",a=\"{a}\"}} 2"),
        5 => writeln!(text, "bare{n} 1{t}\nbare{n}{{b=\"{b}\"}} 2\nbare{n}{{b=\"{a}\"}} 3{t}"),
        6 => writeln!(
            text,
            "# TYPE s{n} summary\ns{n}{{quantile=\"0.{b}\"}} 2\ns{n}_sum 3{t}\ns{n}_count 4\nno line\n\
             cased{n}{{a_b=\"1\"}} 2\ncased{n}{{A=\"{a}\",a_b=\"1\"}} 3"
        ),
        7 => writeln!(text, "# TYPE c{} counter\nc{}_total 3{t}", n / 9, n / 9),
        _ => writeln!(text, "# TYPE c{}_total gauge\nc{}_total{{g=\"{a}\"}} {b}", n / 9, n / 9),
    }
    .unwrap();
}

/// Reads documents of three sources, whole ones and others, and checks often; how often it had been full.
fn hold<S: Storage>(new: impl Fn() -> S) -> usize {
    let mut full = 0;
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let mut store = Store::new(new(), 144, 5);
        store.set_root("openmetrics").unwrap();
        let sources = ["a", "b", "c"].map(|name| store.add_source(name, "", None).unwrap());
        for step in 0..20 {
            eprintln!("seed {seed}, step {step}");
            let (source, mut text) = (sources[rng.usize(..3)], String::new());
            let mut world: Vec<_> = (0..70).collect();
            rng.shuffle(&mut world);
            world.iter().take(rng.usize(..40)).for_each(|n| family(&mut text, *n, &mut rng));
            let is_whole = rng.u8(..3) > 0;
            text.truncate(if is_whole { text.len() } else { rng.usize(..=text.len()) });
            store.begin(source);
            let mut document = Document::new(source, [0u8; 256], Plain);
            for piece in text.as_bytes().chunks(499) {
                document.feed(&mut store, piece, &mut |_| {});
                check(&store);
            }
            if is_whole {
                document.finish(&mut store, &mut |_| {});
            }
            store.commit(source, is_whole, Instant::START);
            check(&store);
        }
        let regions = [Region::Metrics, Region::Series, Region::Index, Region::Text];
        full += usize::from(regions.iter().any(|region| store.refused(*region) > 0));
    }
    full
}

const SEEDS: u64 = 10;

/// Each of these has too little of something, the first one of metrics, then of series, of the index, of text.
#[test]
fn all_that_is_kept_is_kept_once_and_nothing_is_lost() {
    let full = [
        hold(Fixed::<3, 60, 400, 0, 2048, 30_000>::new),
        hold(Fixed::<3, 300, 80, 0, 2048, 30_000>::new),
        hold(Fixed::<3, 300, 400, 0, 512, 30_000>::new),
        hold(Fixed::<3, 300, 400, 0, 2048, 5000>::new),
    ];
    assert!(full.iter().all(|times| *times > 5), "{full:?}");
}
