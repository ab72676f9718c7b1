//! How fast the parser is, in MB/s, over three pages that it makes itself: `cargo bench -p pmbridge-core --bench parser`.
#![expect(clippy::unwrap_used, reason = "a bench may panic, and its figures are rounded")]

use core::{fmt::Write as _, hint::black_box};
use std::time::Instant;

use fastrand::Rng;
use pmbridge_core::exposition::{Line, Parser, number};

/// What is done with each sample.
type Work = fn(&Line<'_>);

fn main() {
    let pages = [("node", node()), ("histograms", histograms()), ("floats", floats())];
    println!(
        "{:<12} {:>9} {:>9} {:>10} {:>10} {:>10}",
        "page", "bytes", "samples", "lines", "+ values", "+ labels"
    );
    for (name, page) in pages {
        let works: [Work; 3] = [|_| (), values, labels];
        let speeds = works.map(|work| format!("{:.0} MB/s", best(&page, work)));
        let [lines, values, labels] = speeds;
        let samples = page.lines().filter(|line| !line.starts_with('#')).count();
        println!("{name:<12} {:>9} {samples:>9} {lines:>10} {values:>10} {labels:>10}", page.len());
    }
}

fn values(line: &Line<'_>) {
    if let Line::Sample(sample) = line {
        black_box(number::parse(sample.tail.value.as_bytes()));
    }
}

fn labels(line: &Line<'_>) {
    values(line);
    if let Line::Sample(sample) = line {
        black_box(sample.labels.iter().map(|label| label.value.raw().len()).sum::<usize>());
    }
}

/// The best of many runs, as the others measure the machine's other work.
fn best(page: &str, work: Work) -> f64 {
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_millis() < 1_000 {
        let start = Instant::now();
        let (mut parser, mut window) = (Parser::new(), black_box(page.as_bytes()));
        while let Some(said) = parser.next(&mut window) {
            work(black_box(&said.unwrap()));
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    page.len() as f64 / best / 1e6
}

/// A page as node_exporter's: few labels, short values, a HELP and a TYPE for every few samples.
fn node() -> String {
    let mut dice = Rng::with_seed(1);
    let mut page = String::new();
    for cpu in 0..200 {
        writeln!(page, "# HELP node_cpu_{cpu}_seconds_total Seconds the CPUs spent in each mode.").unwrap();
        writeln!(page, "# TYPE node_cpu_{cpu}_seconds_total counter").unwrap();
        for mode in ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"] {
            let value = dice.u64(..100_000_000);
            let value = format!("{}.{:02}", value / 100, value % 100);
            writeln!(page, "node_cpu_{cpu}_seconds_total{{cpu=\"{cpu}\",mode=\"{mode}\"}} {value}").unwrap();
        }
        writeln!(page, "node_memory_{cpu}_bytes {:e}", dice.u64(..1_000_000_000_000)).unwrap();
        writeln!(page, "node_filesystem_{cpu}_files {}", dice.u64(..100_000)).unwrap();
    }
    page
}

/// A page of histograms as an API server's: ten labels a sample, integers.
fn histograms() -> String {
    let mut dice = Rng::with_seed(2);
    let mut page = String::new();
    writeln!(page, "# TYPE apiserver_request_duration_seconds histogram").unwrap();
    for resource in 0..200 {
        for le in ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"] {
            writeln!(
                page,
                "apiserver_request_duration_seconds_bucket{{component=\"apiserver\",dry_run=\"\",group=\"apps\",\
                 resource=\"resource{resource}\",scope=\"cluster\",subresource=\"status\",verb=\"LIST\",version=\"v1\",\
                 instance=\"10.0.0.1:6443\",le=\"{le}\"}} {}",
                dice.u64(..1_000_000)
            )
            .unwrap();
        }
    }
    page
}

/// A page of bare names with values of 16 and 17 digits, none of which is exact in a double.
fn floats() -> String {
    let mut dice = Rng::with_seed(3);
    (0..5_000).fold(String::new(), |mut page, n| {
        let value = f64::from_bits(dice.u64(..) >> 12 | 0x3ff << 52) * 1e3;
        writeln!(page, "temperature_{n} {value}").unwrap();
        page
    })
}
