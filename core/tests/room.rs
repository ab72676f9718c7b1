//! A storage that cannot grow and remembers nothing gives the room of what vanished to what comes, and of nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may panic, and does so where a law is broken"
)]

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use pmbridge_core::{
    exposition::Format,
    mapping::Plain,
    role::{document::Document, page::Page},
    store::{Fixed, Region, SourceId, Storage, Store, Ticket},
    time::Instant,
};

const SOURCES: usize = 3;

/// What clients know of a metric: its number, and the ids and names of its instances with a value.
#[derive(Debug, PartialEq)]
struct Known {
    pmid: u32,
    ids: Vec<(u32, String)>,
}

fn store<S: Storage>(storage: S) -> Store<S> {
    let mut store = Store::new(storage, 144, 0x5eed);
    store.set_root("openmetrics").unwrap();
    for name in ["a", "b", "c"] {
        store.add_source(name, "", None).unwrap();
    }
    store
}

fn sources<S: Storage>(store: &Store<S>) -> Vec<SourceId> {
    store.view().source_ids().collect()
}

/// Reads a document; how many of its lines were refused.
fn read<S: Storage>(store: &mut Store<S>, source: usize, text: &str, whole: bool) -> u64 {
    let source = sources(store)[source];
    store.begin(source);
    let mut document = Document::new(source, [0u8; 256], Plain);
    document.feed(store, text.as_bytes(), &mut |_| {});
    if whole {
        document.finish(store, &mut |_| {});
    }
    store.commit(source, whole, Instant::START);
    document.stats().refused
}

fn page<S: Storage>(store: &Store<S>) -> String {
    let (mut page, mut out, mut room) = (Page::new(Format::Text004, Ticket::default()), Vec::new(), [0; 512]);
    loop {
        let (written, done) = page.write(store.view(), None, &mut room);
        out.extend_from_slice(&room[..written]);
        if done {
            return String::from_utf8(out).unwrap();
        }
    }
}

/// The samples of a page, in no order.
fn samples<S: Storage>(store: &Store<S>) -> BTreeSet<String> {
    page(store).lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

/// The names that clients know, of one source or of all.
fn known<S: Storage>(store: &Store<S>, source: Option<usize>) -> BTreeMap<String, Known> {
    let view = store.view();
    let source = source.map(|place| sources(store)[place]);
    let metrics = (0..view.names()).map(|at| view.in_order(at).unwrap());
    let theirs = metrics.filter(|metric| source.is_none_or(|source| view.source_of(metric) == source));
    let all = theirs.map(|metric| {
        let series = view.series_from(view.first(metric)).map(|(_, series)| series);
        let ids = series.filter(|series| series.is_live()).map(|series| {
            let mut name = Vec::new();
            view.instance_name(metric, series, &mut |piece| name.extend_from_slice(piece));
            (series.instance(), String::from_utf8(name).unwrap())
        });
        let name = String::from_utf8(view.name(metric).to_vec()).unwrap();
        (name, Known { pmid: metric.desc().pmid.to_bits(), ids: ids.collect() })
    });
    all.collect()
}

/// Writes one of a world of families, each of which is always the same, but for its instances and values.
fn family(text: &mut String, n: usize, rng: &mut Rng) {
    let mut value = || rng.u32(..1000);
    let at = |n: u32, of: u32| n % of;
    match n % 7 {
        0 => {
            writeln!(text, "# HELP gauge{n} What there is now.\n# TYPE gauge{n} gauge\ngauge{n} {}", value())
        }
        1 => {
            let (from, count) = (value(), 1 + at(value(), 5));
            (from..from + count).try_for_each(|i| writeln!(text, "many{n}{{at=\"{}\"}} {i}", at(i, 40)))
        }
        2 => {
            writeln!(text, "# TYPE n{n} counter\nn{n}_total{{x=\"1\"}} {}\nn{n}_created{{x=\"1\"}} 9", value())
        }
        3 => {
            let x = at(value(), 9);
            writeln!(
                text,
                "# TYPE h{n} histogram\nh{n}_bucket{{x=\"{x}\",le=\"1\"}} {}\nh{n}_bucket{{x=\"{x}\",le=\"+Inf\"}} 7\n\
                 h{n}_sum{{x=\"{x}\"}} 5\nh{n}_count{{x=\"{x}\"}} 7",
                at(value(), 8)
            )
        }
        4 => {
            let (a, is_turned) = (at(value(), 20), value() % 2 == 0);
            let sum = value();
            writeln!(text, "two{n}{{a=\"{a}\",b=\"2\"}} {sum}").unwrap();
            if is_turned { writeln!(text, "two{n}{{b=\"2\",a=\"{a}\"}} {sum}") } else { Ok(()) }
        }
        5 => {
            let (b, c) = (at(value(), 9), value());
            writeln!(text, "bare{n} {c}\nbare{n}{{b=\"{b}\"}} {c}")
        }
        // Two families that are in each other's way.
        _ if n.is_multiple_of(2) => writeln!(text, "# TYPE c{n} counter\nc{n}_total 3"),
        _ => writeln!(text, "# TYPE c{}_total gauge\nc{}_total{{g=\"1\"}} {}", n - 7, n - 7, value()),
    }
    .unwrap();
}

fn document(rng: &mut Rng, world: usize, most: usize) -> String {
    let mut text = String::new();
    let mut all: Vec<usize> = (0..world).collect();
    rng.shuffle(&mut all);
    all.iter().take(rng.usize(..=most)).for_each(|n| family(&mut text, *n, rng));
    text
}

/// Whether there is room for three metrics more.
fn has_spare<S: Storage>(store: &mut Store<S>) -> bool {
    let help = "x".repeat(100);
    let text: String = (0..3).map(|n| format!("# HELP spare{n} {help}\nspare{n}{{at=\"1\"}} 1\n")).collect();
    read(store, 2, &text, true) == 0
}

/// What clients know of a source stays but for what a whole document of its own changes: what is there before and after
/// that has the number and the ids that it had.
fn compare(
    before: &BTreeMap<String, Known>,
    after: &BTreeMap<String, Known>,
    whole: Option<bool>,
    when: &str,
) {
    match whole {
        None => assert_eq!(after, before, "{when}: a document is no other source's"),
        Some(false) => assert_eq!(numbers(after), numbers(before), "{when}: names stay"),
        Some(true) => {
            for (name, after) in after {
                let Some(before) = before.get(name) else { continue };
                assert_eq!(after.pmid, before.pmid, "{when}: {name} has its number");
                let is_other = |(id, instance): &&(u32, String)| {
                    after.ids.iter().any(|(other, name)| (other == id) != (name == instance))
                };
                assert_eq!(before.ids.iter().find(is_other), None, "{when}: {name}'s ids");
            }
        }
    }
}

fn numbers(all: &BTreeMap<String, Known>) -> Vec<(&String, u32)> {
    all.iter().map(|(name, row)| (name, row.pmid)).collect()
}

/// Whatever came and went before, the second time that documents come they are shown as in a new store, if they fit in
/// that with something to spare; how often it was so, and how often something had been full before.
fn hold<S: Storage>(new: impl Fn() -> S, (world, most): (usize, usize), seeds: u64) -> (u32, u32) {
    let (mut held, mut full) = (0, 0);
    for seed in 0..seeds {
        let mut rng = Rng::with_seed(seed);
        let mut store = store(new());
        let mut named: BTreeMap<u32, String> = BTreeMap::new();
        for step in 0..rng.usize(2..60) {
            let (source, whole) = (rng.usize(..SOURCES), rng.u8(..3) > 0);
            let mut text = document(&mut rng, world, most * 3);
            if !whole {
                text.truncate(rng.usize(..=text.len()));
            }
            let before = (0..SOURCES).map(|place| known(&store, Some(place))).collect::<Vec<_>>();
            read(&mut store, source, &text, whole);
            for (place, before) in before.iter().enumerate() {
                let after = known(&store, Some(place));
                let whole = (place == source).then_some(whole);
                compare(before, &after, whole, &format!("seed {seed}, step {step}"));
                for (name, Known { pmid, .. }) in after {
                    let was = named.entry(pmid).or_insert_with(|| name.clone());
                    assert_eq!(*was, name, "seed {seed}, step {step}: a number names one metric");
                }
            }
        }
        full += u32::from(
            [Region::Metrics, Region::Series, Region::Index, Region::Text]
                .iter()
                .any(|region| store.refused(*region) > 0),
        );
        let last: Vec<String> = (0..SOURCES).map(|_| document(&mut rng, world, most)).collect();
        let mut fresh = self::store(new());
        for _ in 0..2 {
            for (source, text) in last.iter().enumerate() {
                read(&mut store, source, text, true);
                read(&mut fresh, source, text, true);
            }
        }
        let want = samples(&fresh);
        let refused: u64 =
            last.iter().enumerate().map(|(source, text)| read(&mut fresh, source, text, true)).sum();
        if refused == 0 && has_spare(&mut fresh) {
            held += 1;
            assert_eq!(samples(&store), want, "seed {seed}");
        }
    }
    (held, full)
}

/// Each of these has too little of something, the first ones of slots, then of the index, then of text.
#[test]
fn what_comes_is_shown_as_if_nothing_had_been_before() {
    let seeds = if cfg!(debug_assertions) { 60 } else { 3000 };
    for (held, full) in [
        hold(Fixed::<3, 40, 400, 0, 2048, 30000>::new, (60, 11), seeds),
        hold(Fixed::<3, 200, 60, 0, 2048, 30000>::new, (60, 11), seeds),
        hold(Fixed::<3, 200, 400, 0, 256, 30000>::new, (60, 11), seeds),
        hold(Fixed::<3, 200, 400, 0, 2048, 3000>::new, (60, 11), seeds),
    ] {
        let seeds = u32::try_from(seeds).unwrap();
        assert!(held > seeds / 4 && full > seeds / 2, "{held} {full}");
    }
}

/// A page of so many names, the same ones for the same `state`.
fn names(state: usize, count: usize) -> String {
    (0..count).map(|n| format!("name{}{{at=\"x\"}} 1\n", state * count + n)).collect()
}

#[test]
fn names_that_vanished_are_remembered_while_there_is_room() {
    let mut store = store(Fixed::<3, 40, 80, 0, 512, 4096>::new());
    read(&mut store, 0, &names(0, 10), true);
    let first = known(&store, None);
    for state in [1, 2, 0] {
        assert_eq!(read(&mut store, 0, &names(state, 10), true), 0);
    }
    assert_eq!(numbers(&known(&store, None)), numbers(&first));
    // Their room is needed, and when they come again they are new.
    for state in [3, 4, 5, 0] {
        assert_eq!(read(&mut store, 0, &names(state, 10), true), 0);
    }
    let last = known(&store, None);
    assert_eq!(numbers(&last).iter().find(|name| numbers(&first).contains(name)), None);
}

#[test]
fn who_never_ends_whole_keeps_nobody_out() {
    let mut store = store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    let endless: String = (0..500).map(|n| format!("e{}{{n=\"{n}\"}} {n}\n", n % 15)).collect();
    for state in 0..5 {
        assert!(read(&mut store, 0, &endless, false) > 0);
        let healthy = names(state, 10);
        assert!(read(&mut store, 1, &healthy, true) == 0 || state > 0);
        assert_eq!(read(&mut store, 1, &healthy, true), 0, "state {state}");
        assert_eq!(samples(&store).len(), 10);
    }
    // Nor does who was whole once, with the same names.
    let short: String = (0..15).map(|n| format!("e{n}{{n=\"{n}\"}} {n}\n")).collect();
    let mut store = self::store(Fixed::<3, 40, 80, 0, 512, 4096>::new());
    assert_eq!(read(&mut store, 0, &short, true), 0);
    let before = known(&store, Some(0));
    for state in 0..5 {
        assert!(read(&mut store, 0, &endless, false) > 0);
        read(&mut store, 1, &names(state, 10), true);
        assert_eq!(read(&mut store, 1, &names(state, 10), true), 0, "state {state}");
    }
    assert_eq!(read(&mut store, 0, &short, true), 0);
    assert_eq!(known(&store, Some(0)), before, "who was ill has its ids");
}

#[test]
fn a_document_keeps_what_it_has_met() {
    let mut store = store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    let endless = names(0, 100);
    for _ in 0..3 {
        // Metrics of no document at all so far are the only ones.
        let refused = read(&mut store, 0, &endless, false);
        assert!((77..80).contains(&refused), "{refused}");
    }
    assert!((77..80).contains(&read(&mut store, 0, &endless, true)));
    let shown = samples(&store);
    assert!(shown.iter().any(|line| line.starts_with("name0{")) && shown.len() <= 23, "{shown:?}");
}

#[test]
fn a_family_is_in_nobodys_way_when_the_other_is_gone() {
    let mut store = store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    read(&mut store, 0, "# TYPE x counter\nx_total 1\n", true);
    read(&mut store, 1, "# TYPE x_total gauge\nx_total 2\n", true);
    let clash = page(&store);
    read(&mut store, 1, &names(1, 15), true);
    for state in [2, 3, 3] {
        read(&mut store, 1, &names(state, 15), true);
    }
    let alone = page(&store);
    assert!(!clash.contains("# TYPE x_total counter"), "{clash}");
    assert!(alone.contains("# TYPE x_total counter\nx_total"), "{alone}");
    // The other way round: who led the family goes, and the rest stays on the page.
    let mut store = self::store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    for source in [0, 1] {
        read(&mut store, source, "# TYPE y gauge\ny 1\n", true);
    }
    for state in [1, 2, 3, 3] {
        read(&mut store, 0, &names(state, 15), true);
    }
    let page = page(&store);
    assert!(page.contains("# TYPE y gauge\ny{source=\"b\"} 1\n"), "{page}");
    assert!(page.contains("name45{at=\"x\",source=\"a\"} 1"), "{page}");
}

#[test]
fn a_further_cluster_has_its_labels_whatever_its_first_metric_was() {
    let mut store = Store::new(Fixed::<1, 100, 100, 0, 1024, 8000>::new(), 144, 1);
    store.set_root("openmetrics").unwrap();
    let source = store.add_source("a", "from=\"x\"", Some(1)).unwrap();
    for state in 0..40 {
        read_of(&mut store, source, &names(state, 40));
    }
    let view = store.view();
    let metric = view.in_order(0).unwrap();
    let cluster = metric.desc().pmid.cluster();
    assert_ne!((cluster, metric.desc().pmid.item()), (1, 0));
    assert_eq!(view.cluster_labels(cluster).map(|labels| labels.as_str()), Some("from=\"x\""));
    assert!(view.cluster_labels(77).is_none());
}

fn read_of<S: Storage>(store: &mut Store<S>, source: SourceId, text: &str) {
    store.begin(source);
    Document::new(source, [0u8; 256], Plain).feed(store, text.as_bytes(), &mut |_| {});
    store.commit(source, true, Instant::START);
}

#[test]
fn a_name_in_the_name_space_stays_though_it_has_no_series() {
    let mut store = store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    read(&mut store, 0, &names(0, 5), true);
    let source = sources(&store)[0];
    store.relearn(source);
    for state in [1, 2, 3] {
        read(&mut store, 1, &names(state, 8), true);
    }
    assert_eq!(known(&store, Some(0)).len(), 5);
    read(&mut store, 0, &names(0, 5), true);
    assert_eq!(samples(&store).iter().filter(|line| line.contains("source=\"a\"")).count(), 5);
}

#[test]
fn the_row_for_spellings_of_a_source_comes_back() {
    let mut store = store(Fixed::<3, 24, 80, 0, 512, 4096>::new());
    for source in [0, 1] {
        let spellings = "two{a=\"1\",b=\"2\"} 1\ntwo{b=\"2\",a=\"1\"} 2\n";
        assert_eq!(read(&mut store, source, spellings, true), 0);
        read(&mut store, source, "", true);
    }
    // A line may need two slots, one of them for the row of its own source.
    let all = names(1, 23);
    read(&mut store, 2, &all, true);
    assert_eq!(read(&mut store, 2, &all, true), 0, "all slots of metrics are there");
}
