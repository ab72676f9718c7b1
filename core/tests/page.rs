//! A page gives documents back: the same series with the same values, times and exemplars, each family in one place.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

mod growing;

use fastrand::Rng;
use growing::Growing;
use pmbridge_core::{
    exposition::{Exemplar, Format, LabelSet, Line, Parser, number},
    mapping::Plain,
    pcp::{Semantics, Type, Units},
    role::{document::Document, page::Page},
    store::{Declaration, Instance, Instances, Published, SourceId, Store, Ticket},
    time::Instant,
};

fn store(names: &[&str]) -> (Store<Growing>, Vec<SourceId>) {
    let mut store = Store::new(Growing::default(), 144, 0x5eed);
    store.set_root("openmetrics").unwrap();
    let ids = names.iter().map(|name| store.add_source(name, "", None).unwrap()).collect();
    (store, ids)
}

fn scrape(store: &mut Store<Growing>, source: SourceId, text: &str) {
    store.begin(source);
    let mut document = Document::new(source, [0u8; 1024], Plain);
    document.feed(store, text.as_bytes(), &mut |refused| panic!("{refused} in\n{text}"));
    document.finish(store, &mut |refused| panic!("{refused} in\n{text}"));
    store.commit(source, true, Instant::START);
}

fn page_in(store: &Store<Growing>, format: Format, window: usize) -> String {
    let (mut page, mut out, mut room) = (Page::new(format, Ticket::default()), Vec::new(), vec![0; window]);
    loop {
        let (written, done) = page.write(store.view(), None, &mut room);
        out.extend_from_slice(&room[..written]);
        if done {
            return String::from_utf8(out).unwrap();
        }
    }
}

fn page(store: &Store<Growing>, format: Format) -> String {
    page_in(store, format, 4096)
}

fn page_of(text: &str, format: Format) -> String {
    let (mut store, ids) = store(&["s"]);
    scrape(&mut store, ids[0], text);
    page(&store, format)
}

const OPEN: &str = r##"# HELP rpc_seconds Latency of \"all\" calls.\nIn a \\ path.
# TYPE rpc_seconds summary
# UNIT rpc_seconds seconds
rpc_seconds{path="/a",quantile="0.5"} 1.5
rpc_seconds{path="/a",quantile="0.99"} 2
rpc_seconds_sum{path="/a"} 9036.32
rpc_seconds_count{path="/a"} 807283
rpc_seconds_created{path="/a"} 1605281325
rpc_seconds_sum{path="/b"} 1
rpc_seconds_count{path="/b"} 2
# TYPE temp gauge
temp -0 1520879607.789
# HELP cpu_seconds Time.
# TYPE cpu_seconds counter
# UNIT cpu_seconds seconds
cpu_seconds_total{mode="idle"} 1 # {trace_id="oHg5SJYRHA0"} 0.5 1520879607.789
cpu_seconds_created{mode="idle"} 1520430000.123
cpu_seconds_total{mode="user"} 2 1520879608 # {} 0.5
cpu_seconds_created{mode="user"} 1520430000.123 1520879608
# TYPE h histogram
h_bucket{le="0.01"} 0
h_bucket{le="1.0"} 11 # {trace_id="KOO5S4vxi0o"} 0.67
h_bucket{le="+Inf"} 17
h_count 17
h_sum 324789.3
h_created 1520430000.123
h_bucket{x="a\"b\\c\nd",le="+Inf"} 1
h_count{x="a\"b\\c\nd"} 1
h_sum{x="a\"b\\c\nd"} 1
# TYPE queue gaugehistogram
queue_bucket{le="1.0"} 1
queue_bucket{le="+Inf"} 3
queue_gcount 3
queue_gsum 2
# TYPE mode stateset
mode{mode="a"} 1
mode{mode="b"} 0
# TYPE build info
build_info{version="8.2.7"} 1
# TYPE mixed counter
mixed_total 1
mixed_total{a="1"} 2
mixed_total{a="2",b="3"} 3
# TYPE any unknown
any{name="größe"} NaN
any{name=""} +Inf
# EOF
"##;

#[test]
fn an_openmetrics_document_comes_back_byte_for_byte() {
    assert_eq!(page_of(OPEN, Format::OpenMetrics), OPEN);
}

#[test]
fn any_window_gives_the_same_page() {
    let (mut store, ids) = store(&["one", "two"]);
    scrape(&mut store, ids[0], OPEN);
    scrape(&mut store, ids[1], OPEN);
    for format in Format::ALL {
        let want = page(&store, format);
        for window in (1..80).chain([want.len() - 1, want.len(), want.len() + 1]) {
            assert_eq!(page_in(&store, format, window), want, "{window}");
        }
    }
}

#[test]
fn text_calls_things_as_text_does() {
    let want = r#"# HELP rpc_seconds Latency of "all" calls.\nIn a \\ path.
# TYPE rpc_seconds summary
rpc_seconds{path="/a",quantile="0.5"} 1.5
rpc_seconds{path="/a",quantile="0.99"} 2
rpc_seconds_sum{path="/a"} 9036.32
rpc_seconds_count{path="/a"} 807283
rpc_seconds_sum{path="/b"} 1
rpc_seconds_count{path="/b"} 2
# HELP rpc_seconds_created Latency of "all" calls.\nIn a \\ path.
# TYPE rpc_seconds_created gauge
rpc_seconds_created{path="/a"} 1605281325
# TYPE temp gauge
temp -0 1520879607789
# HELP cpu_seconds_total Time.
# TYPE cpu_seconds_total counter
cpu_seconds_total{mode="idle"} 1
cpu_seconds_total{mode="user"} 2 1520879608000
"#;
    let page = page_of(OPEN, Format::Text004);
    assert_eq!(page.get(..want.len()), Some(want));
    for line in
        ["# TYPE mode gauge", "# TYPE build_info gauge", "# TYPE any untyped", "# TYPE queue_gsum gauge"]
    {
        assert!(page.lines().any(|found| found == line), "{line}");
    }
    assert!(!page.contains("EOF") && !page.contains("UNIT") && !page.contains("trace_id"));
}

/// As Go's client writes them.
const TEXT: &str = "# HELP go_info About the environment.\n# TYPE go_info gauge\ngo_info{version=\"go1\"} 1\n\
    # HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total{code=\"200\"} 5 1395066363000\n\
    # TYPE bare counter\nbare 7\n\
    # TYPE py_total counter\npy_total 3\n# TYPE py_created gauge\npy_created 1.5e+09\n\
    # TYPE odd untyped\nodd 1\n";

#[test]
fn a_text_document_comes_back_as_text_and_as_openmetrics() {
    let text = page_of(TEXT, Format::Text004);
    assert_eq!(text, TEXT.replace("1.5e+09", "1500000000"));
    assert_eq!(page_of(TEXT, Format::Text100), text);
    let want = "# HELP go_info About the environment.\n# TYPE go_info gauge\ngo_info{version=\"go1\"} 1\n\
        # HELP hits Hits.\n# TYPE hits counter\nhits_total{code=\"200\"} 5 1395066363\n\
        # TYPE bare unknown\nbare 7\n\
        # TYPE py counter\npy_total 3\npy_created 1500000000\n\
        # TYPE odd unknown\nodd 1\n# EOF\n";
    assert_eq!(page_of(TEXT, Format::OpenMetrics), want);
}

#[test]
fn a_series_is_never_without_what_its_line_said_nor_with_what_another_document_said() {
    let (mut store, ids) = store(&["s"]);
    let with = "# TYPE c counter\nc_total 1 5 # {a=\"b\"} 1\n# EOF\n";
    let without = "# TYPE c counter\nc_total 1\n# EOF\n";
    for text in [without, with, without, with] {
        scrape(&mut store, ids[0], text);
        assert_eq!(page(&store, Format::OpenMetrics), text);
    }
    store.begin(ids[0]);
    store.commit(ids[0], false, Instant::START);
    assert_eq!(page(&store, Format::OpenMetrics), "# EOF\n");
}

#[test]
fn families_of_one_name_are_one_family_told_apart_by_their_sources() {
    let (mut store, ids) = store(&["a", "b"]);
    scrape(
        &mut store,
        ids[0],
        "# HELP up Is up.\n# TYPE up gauge\nup{source=\"x\",exported_source=\"y\"} 1\n# TYPE only gauge\nonly 1\n",
    );
    scrape(&mut store, ids[1], "# TYPE up gauge\nup 2\n");
    let want = "# HELP up Is up.\n# TYPE up gauge\n\
        up{exported_exported_source=\"x\",exported_source=\"y\",source=\"a\"} 1\nup{source=\"b\"} 2\n\
        # TYPE only gauge\nonly{source=\"a\"} 1\n";
    assert_eq!(page(&store, Format::Text004), want);
    // Who is alone is as it was sent.
    store.retire(ids[1]);
    let want = "# HELP up Is up.\n# TYPE up gauge\nup{source=\"x\",exported_source=\"y\"} 1\n# TYPE only gauge\nonly 1\n";
    assert_eq!(page(&store, Format::Text004), want);
}

#[test]
fn families_in_each_others_way_are_unknown_ones() {
    // A counter x is both x and x_total in OpenMetrics, and x_total alone in text.
    let text = "# TYPE x gauge\nx 1\n# TYPE x_total counter\nx_total 2\n";
    assert_eq!(page_of(text, Format::Text004), text);
    let want = "# TYPE x unknown\nx 1\n# TYPE x_total unknown\nx_total 2\n# EOF\n";
    assert_eq!(page_of(text, Format::OpenMetrics), want);
    // Two sources of different opinions.
    let (mut store, ids) = store(&["a", "b"]);
    scrape(&mut store, ids[0], "# TYPE q histogram\nq_bucket{le=\"+Inf\"} 1\nq_count 1\nq_sum 1\n");
    scrape(&mut store, ids[1], "# TYPE q_count gauge\nq_count 5\n# TYPE q_sum gauge\nq_sum 6\n");
    let want = "# TYPE q_bucket untyped\nq_bucket{le=\"+Inf\",source=\"a\"} 1\n\
        # TYPE q_count untyped\nq_count{source=\"a\"} 1\nq_count{source=\"b\"} 5\n\
        # TYPE q_sum untyped\nq_sum{source=\"a\"} 1\nq_sum{source=\"b\"} 6\n";
    let all = |text: &str| {
        let blocks = text.split("# TYPE ").map(|block| block.lines().map(str::to_owned).collect());
        blocks.collect::<BTreeSet<BTreeSet<_>>>()
    };
    assert_eq!(all(&page(&store, Format::Text004)), all(want));
}

#[test]
fn a_family_that_breaks_rules_of_openmetrics_is_unknown_there() {
    let legal = "# TYPE ok histogram\nok_bucket{le=\"+Inf\"} 2\nok_count 2\nok_sum 1\n";
    assert_eq!(page_of(legal, Format::OpenMetrics), format!("{legal}# EOF\n"));
    for (kind, lines) in [
        ("counter", &["x_total -1"][..]),
        ("counter", &["x_total NaN"]),
        ("histogram", &["x_bucket{le=\"1\"} 2", "x_bucket{le=\"+Inf\"} 1"]),
        ("histogram", &["x_bucket{le=\"1\"} 2"]),
        ("histogram", &["x_bucket{le=\"+Inf\"} 1.5"]),
        ("histogram", &["x_bucket{le=\"+Inf\"} 1", "x_count 2", "x_sum 1"]),
        ("histogram", &["x_bucket{le=\"+Inf\"} 1", "x_sum 1"]),
        ("histogram", &["x_bucket{le=\"-1\"} 1", "x_bucket{le=\"+Inf\"} 1", "x_count 1", "x_sum 1"]),
        ("histogram", &["x_bucket{le=\"+Inf\"} 1", "x_sum{a=\"b\"} 1"]),
        ("histogram", &["x_bucket 1"]),
        ("gaugehistogram", &["x_bucket{le=\"+Inf\"} 1", "x_gcount 1", "x_gsum -1"]),
        ("summary", &["x{quantile=\"2\"} 1"]),
        ("summary", &["x 1"]),
        ("summary", &["x_sum -1"]),
        ("stateset", &["x{x=\"a\"} 2"]),
        ("stateset", &["x{y=\"a\"} 1"]),
        ("info", &["x_info{a=\"b\"} 2"]),
        ("counter", &["x_total 1 5", "x_created 1"]),
    ] {
        let page = page_of(&format!("# TYPE x {kind}\n{}\n# EOF\n", lines.join("\n")), Format::OpenMetrics);
        assert!(!page.contains(&format!(" {kind}\n")) && page.contains("# TYPE x"), "{page}");
        for line in lines {
            assert!(page.lines().any(|found| found == *line), "{line} in\n{page}");
        }
    }
}

#[test]
fn what_the_bridge_says_itself_is_called_as_exported_metrics_are() {
    let (mut store, ids) = store(&["s"]);
    let own = store.add_source("pmbridge", "", Some(9)).unwrap();
    let declaration = Declaration {
        name: "pmbridge.wait",
        help: "Time spent\nwaiting",
        kind: Type::U64,
        semantics: Semantics::COUNTER,
        units: Units::MILLISEC,
        instances: Instances::Own,
        item: None,
        storable: false,
        aside: false,
    };
    let metric = store.declare(own, &declaration).unwrap();
    store.publish(metric, Instance::named("a\"b"), Published::Bits(1500)).unwrap();
    scrape(&mut store, ids[0], "# TYPE pmbridge_wait_seconds_total counter\npmbridge_wait_seconds_total 1\n");
    let want = "# HELP pmbridge_wait_seconds Time spent\\nwaiting\n# TYPE pmbridge_wait_seconds counter\n\
        # UNIT pmbridge_wait_seconds seconds\n";
    let page = page(&store, Format::OpenMetrics);
    assert!(page.starts_with(want), "{page}");
    assert!(page.contains("pmbridge_wait_seconds_total{instname=\"a\\\"b\"} 1.5\n"), "{page}");
    assert!(page.contains("pmbridge_wait_seconds_total{source=\"s\"} 1\n"), "{page}");
}

#[test]
fn a_part_of_the_metrics_is_a_page_of_whole_families() {
    let (mut store, ids) = store(&["s"]);
    scrape(&mut store, ids[0], OPEN);
    let mut page = Page::new(Format::OpenMetrics, Ticket::default());
    let mut room = vec![0; 4096];
    let select = |view: pmbridge_core::store::View<'_>, metric: &pmbridge_core::store::Metric| {
        view.name(metric) == b"openmetrics.s.h_sum"
    };
    let (written, done) = page.write(store.view(), Some(&select), &mut room);
    assert!(done);
    let begin = OPEN.find("# TYPE h histogram").unwrap();
    let end = OPEN.find("# TYPE queue").unwrap();
    assert_eq!(
        core::str::from_utf8(&room[..written]).unwrap(),
        format!("{}# EOF\n", OPEN.get(begin..end).unwrap())
    );
}

const KINDS: [&str; 8] =
    ["counter", "gauge", "histogram", "summary", "info", "stateset", "gaugehistogram", "unknown"];

/// The samples of one label set of a family, in a legal order.
struct Group<'a> {
    dice: &'a mut Rng,
    name: &'a str,
    labels: &'a str,
    lines: Vec<String>,
}

impl Group<'_> {
    fn line(&mut self, suffix: &str, more: &str, value: u64) {
        let with = match (self.labels, more) {
            ("", "") => String::new(),
            ("", one) | (one, "") => format!("{{{one}}}"),
            (a, b) => format!("{{{a},{b}}}"),
        };
        let may = matches!(suffix, "_total" | "_bucket") && self.dice.u64(..3) == 0;
        let tail = if may { format!(" # {{t=\"{value}\"}} {value}") } else { String::new() };
        self.lines.push(format!("{}{suffix}{with} {value}{tail}", self.name));
    }

    /// A line that is there most of the time.
    fn some(&mut self, suffix: &str, more: &str, below: u64) {
        if self.is_there() {
            let value = self.dice.u64(..below);
            self.line(suffix, more, value);
        }
    }

    fn is_there(&mut self) -> bool {
        self.dice.u64(..9) > 0
    }

    fn histogram(&mut self, count: &str, sum: &str) {
        let mut below = 0;
        for le in ["0.5", "1.0", "2.5", "10.0", "+Inf"] {
            below += self.dice.u64(..100);
            if le == "+Inf" || self.is_there() {
                self.line("_bucket", &format!("le=\"{le}\""), below);
            }
        }
        if self.is_there() {
            self.line(count, "", below);
            self.line(sum, "", 7);
        }
    }
}

fn group(dice: &mut Rng, name: &str, kind: &str, labels: &str) -> Vec<String> {
    let mut group = Group { dice, name, labels, lines: Vec::new() };
    match kind {
        "counter" => ["_total", "_created"].iter().for_each(|part| group.some(part, "", 1000)),
        "histogram" => {
            group.histogram("_count", "_sum");
            group.some("_created", "", 9);
        }
        "gaugehistogram" => group.histogram("_gcount", "_gsum"),
        "summary" => {
            group.some("", "quantile=\"0.5\"", 1000);
            group.some("", "quantile=\"0.9\"", 1000);
            ["_sum", "_count", "_created"].iter().for_each(|part| group.some(part, "", 1000));
        }
        "stateset" => {
            ["a", "b", "c"].iter().for_each(|state| group.some("", &format!("{name}=\"{state}\""), 2));
        }
        "info" => group.line("_info", "", 1),
        _ => {
            let value = group.dice.u64(..1000);
            group.line("", "", value);
        }
    }
    group.lines
}

/// A document of families that change from one to the next; `mixed` mixes the samples of a family, as text may.
fn document(dice: &mut Rng, mixed: bool) -> String {
    let mut families: Vec<usize> = (0..12).filter(|_| dice.u64(..4) > 0).collect();
    dice.shuffle(&mut families);
    let mut text = String::new();
    for n in families {
        let (name, kind) = (format!("f{n}"), KINDS[n % KINDS.len()]);
        writeln!(text, "# TYPE {name} {kind}").unwrap();
        if dice.u64(..2) == 0 {
            writeln!(text, "# HELP {name} Help of {n}.").unwrap();
        }
        let mut sets: Vec<String> = ["", "a=\"1\"", "b=\"x\",a=\"1\"", "b=\"y\"", "c=\"\\\\\\\"\\n\""]
            .into_iter()
            .map(str::to_owned)
            .chain((0..3).map(|_| format!("id=\"{}\"", dice.u64(..20))))
            .collect();
        sets.sort();
        sets.dedup();
        dice.shuffle(&mut sets);
        sets.truncate(1 + dice.usize(..6));
        let mut lines: Vec<String> = sets.iter().flat_map(|set| group(dice, &name, kind, set)).collect();
        if mixed {
            dice.shuffle(&mut lines);
        }
        for line in lines {
            writeln!(text, "{line}").unwrap();
        }
    }
    text + "# EOF\n"
}

type Series = (String, BTreeMap<String, String>);

fn labels(set: LabelSet<'_>) -> BTreeMap<String, String> {
    set.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

/// What a document says: of each series its type, value, time and exemplar.
fn said(text: &str) -> BTreeMap<Series, String> {
    let (mut parser, mut rest, mut kinds) = (Parser::new(), text.as_bytes(), BTreeMap::new());
    let (mut all, mut last) = (BTreeMap::new(), String::new());
    while let Some(line) = parser.next(&mut rest) {
        match line.unwrap() {
            Line::Type { family, kind } => {
                kinds.insert(family.to_owned(), kind.to_owned());
                family.clone_into(&mut last);
            }
            Line::Sample(sample) => {
                let exemplar = sample
                    .tail
                    .exemplar
                    .map(|Exemplar { labels: set, value, timestamp }| (labels(set), value, timestamp));
                let value = number::parse(sample.tail.value.as_bytes());
                let what = format!("{} {value:?} {:?} {exemplar:?}", kinds[&last], sample.tail.timestamp);
                let key = (sample.name.to_owned(), labels(sample.labels));
                assert!(all.insert(key.clone(), what).is_none(), "{key:?} twice in\n{text}");
            }
            _ => {}
        }
    }
    all
}

/// Holds a page of OpenMetrics to the rules between its lines.
fn is_in_order(text: &str) {
    let (mut parser, mut rest) = (Parser::new(), text.as_bytes());
    let (mut families, mut family, mut kind) = (BTreeSet::new(), String::new(), String::new());
    let (mut groups, mut group, mut bound) = (BTreeSet::new(), None, f64::NEG_INFINITY);
    while let Some(line) = parser.next(&mut rest) {
        match line.unwrap() {
            Line::Type { family: name, kind: word } => {
                assert!(families.insert(name.to_owned()), "{name} twice in\n{text}");
                name.clone_into(&mut family);
                word.clone_into(&mut kind);
                groups.clear();
                group = None;
            }
            Line::Sample(sample) => {
                assert!(sample.name.starts_with(&family), "{} of {family}", sample.name);
                let mut set = labels(sample.labels);
                let le = if kind.ends_with("histogram") { set.remove("le") } else { None };
                match kind.as_str() {
                    "summary" => set.remove("quantile"),
                    "stateset" => set.remove(&family),
                    _ => None,
                };
                if kind != "info" && group.as_ref() != Some(&set) {
                    assert!(groups.insert(set.clone()), "{set:?} of {family} in two places in\n{text}");
                    group = Some(set);
                    bound = f64::NEG_INFINITY;
                }
                if let Some(le) = le {
                    let le = number::parse(le.as_bytes()).unwrap();
                    assert!(le > bound, "{family} {le} in\n{text}");
                    bound = le;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_comes_and_goes_each_document_comes_back() {
    for seed in 1..=60 {
        let mut dice = Rng::with_seed(seed);
        let (mut store, ids) = store(&["s"]);
        for round in 0..25 {
            let text = document(&mut dice, seed % 2 == 0);
            scrape(&mut store, ids[0], &text);
            let page = page(&store, Format::OpenMetrics);
            let (came, was) = (said(&page), said(&text));
            let differ: Vec<_> = came
                .iter()
                .filter(|(k, v)| was.get(*k) != Some(v))
                .chain(was.iter().filter(|(k, _)| !came.contains_key(*k)))
                .collect();
            assert!(differ.is_empty(), "{differ:?} seed {seed}, round {round}\n{text}\n{page}");
            is_in_order(&page);
        }
    }
}

#[test]
fn what_comes_back_comes_back_the_same_again() {
    for seed in 1..=20 {
        let mut dice = Rng::with_seed(seed);
        let text = document(&mut dice, false);
        for format in Format::ALL {
            let once = page_of(&text, format);
            let again = page_of(&once, format);
            let sorted = |page: &str| page.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let (again, once) = (sorted(&again), sorted(&once));
            let differ: Vec<_> = again.symmetric_difference(&once).collect();
            assert!(differ.is_empty(), "{differ:?} {format:?} of\n{text}");
        }
    }
}

/// Lines whose families, types and samples are at odds with each other.
fn quarrel(dice: &mut Rng) -> String {
    let names =
        ["x", "x_total", "x_created", "x_count", "x_sum", "x_bucket", "x_info", "x_total_total", "x_gsum"];
    let mut pick = |from: &[&str]| from[dice.usize(..from.len())].to_owned();
    let mut text = String::new();
    for _ in 0..4 {
        if pick(&["", "type"]) == "type" {
            writeln!(text, "# TYPE {} {}", pick(&names), pick(&KINDS)).unwrap();
        }
        for _ in 0..2 {
            let labels =
                pick(&["", "{a=\"1\"}", "{le=\"1.0\"}", "{le=\"+Inf\"}", "{quantile=\"0.5\"}", "{x=\"s\"}"]);
            writeln!(text, "{}{labels} {}", pick(&names), pick(&["0", "1", "2"])).unwrap();
        }
    }
    text
}

/// The names that a family has for itself, as prometheus_client has it.
fn reserved(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["", "_total", "_created"],
        "summary" => &["", "_count", "_sum", "_created"],
        "histogram" => &["", "_count", "_sum", "_bucket", "_created"],
        "gaugehistogram" => &["", "_gcount", "_gsum", "_bucket"],
        "info" => &["", "_info"],
        _ => &[""],
    }
}

#[test]
fn no_quarrel_of_names_makes_a_page_illegal_or_loses_a_sample() {
    for seed in 1..=600 {
        let mut dice = Rng::with_seed(seed);
        let (mut store, ids) = store(&["s", "t"]);
        let texts = [quarrel(&mut dice), quarrel(&mut dice)];
        for (id, text) in ids.iter().zip(&texts) {
            scrape(&mut store, *id, text);
        }
        for format in Format::ALL {
            let page = page(&store, format);
            let what = format!("{format:?} of seed {seed}\n{}--\n{}--\n{page}", texts[0], texts[1]);
            let mut all = BTreeSet::new();
            for (text, source) in texts.iter().zip(["s", "t"]) {
                for line in text.lines().filter(|line| !line.starts_with('#')) {
                    let (series, _) = line.rsplit_once(' ').unwrap();
                    all.insert(match series.strip_suffix('}') {
                        Some(labels) => format!("{labels},source=\"{source}\"}}"),
                        None => format!("{series}{{source=\"{source}\"}}"),
                    });
                }
            }
            let series = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
            let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).map(series).collect();
            assert_eq!(lines.iter().cloned().collect::<BTreeSet<_>>(), all, "{what}");
            assert_eq!(lines.len(), all.len(), "{what}");
            let (mut seen, mut names) = (BTreeSet::new(), Vec::new());
            for line in page.lines() {
                if let Some(head) = line.strip_prefix("# TYPE ") {
                    let (name, kind) = head.split_once(' ').unwrap();
                    let open = format == Format::OpenMetrics;
                    let ends = if open { reserved(kind) } else { &[""][..] };
                    assert!(ends.iter().all(|end| seen.insert(format!("{name}{end}"))), "{name} in {what}");
                    names = match (kind, open) {
                        ("counter", true) => vec![format!("{name}_total"), format!("{name}_created")],
                        ("info", true) => vec![format!("{name}_info")],
                        ("histogram", _) | ("gaugehistogram", _) | ("summary", _) => {
                            reserved(kind).iter().map(|end| format!("{name}{end}")).collect()
                        }
                        _ => vec![name.to_owned()],
                    };
                } else if !line.starts_with('#') {
                    let name = line.split(['{', ' ']).next().unwrap();
                    assert!(names.iter().any(|other| other == name), "{name} in {what}");
                }
            }
            if format == Format::OpenMetrics {
                is_in_order(&page);
            }
        }
    }
}
