//! A device's metrics, as both protocols have them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and does so where a law is broken"
)]

use std::collections::BTreeMap;

use pmbridge_core::{
    exposition::writer::Kind,
    mapping::export,
    pcp::{Semantics, Type},
    role::page::{Format, Page},
    store::{Fixed, Full, Region, SourceId, Store, View},
};
use pmbridge_embedded::metrics::{Entry, Error, Histogram, Metric, Text, Units, declare, metrics, publish};

metrics! {
    static TABLE;
    static UPTIME: Metric<u64> = Metric::counter("device.uptime", "Since boot.").units(Units::MILLISEC);
    static TEMPERATURE: Metric<f64, 3> = Metric::gauge("sensor.temperature", "Degrees Celsius.")
        .instances("sensor", &["cpu", "board", "psu 1"])
        .labels(&[("rack", "7")]);
    static OFFSET: Metric<i32, 2> = Metric::gauge("sensor.offset", "Since calibration.").instances("sensor", &["a", "b"]);
    static VERSION: Text<8> = Text::new("device.version", "Which firmware.").labels(&[("board", "lm3s")]);
    static LATENCY: Histogram<3> =
        Histogram::new("sensor.latency", "Time to answer.", [100, 2500, 1_000_000]).units(Units::MICROSEC);
    static RATIO: Metric<f32> = Metric::setting("device.ratio", "A share.");
    static DELTA: Metric<i64> = Metric::gauge("device.delta", "It may be negative.").labels(&[("of", "clock")]);
    static DROPS: Metric<u32> = Metric::counter("device.drops", "Frames.").units(Units::COUNT);
}

type Memory = Fixed<2, 16, 32, 0, 256, 4096>;

fn declared(table: &[Entry]) -> (Store<Memory>, SourceId) {
    let mut store = Store::new(Memory::new(), 144, 1);
    let source = store.add_source("device", "", None).unwrap();
    declare(table, &mut store, source).unwrap();
    (store, source)
}

fn page(store: &mut Store<Memory>, source: SourceId, format: Format) -> String {
    let since = store.ticket();
    publish(TABLE, store, source);
    let mut room = [0; 1 << 14];
    let (len, is_whole) = Page::new(format, since).write(store.view(), None, &mut room);
    assert!(is_whole);
    String::from_utf8(room[..len].to_vec()).unwrap()
}

/// The instances of a metric with their values, those of PCP.
fn values(view: View<'_>, name: &str) -> Vec<(String, u64)> {
    let metric = view.named(name.as_bytes()).unwrap();
    let series = view.series_from(view.first(metric)).filter(|(_, series)| series.is_live());
    series
        .map(|(_, series)| {
            let mut name = Vec::new();
            view.instance_name(metric, series, &mut |piece| name.extend_from_slice(piece));
            (String::from_utf8(name).unwrap(), series.value())
        })
        .collect()
}

fn set() {
    UPTIME.set(0, 61_500);
    for (place, value) in [(0, 40.5), (1, -3.0), (2, 36.6), (3, 1.0)] {
        TEMPERATURE.set(place, value);
    }
    OFFSET.set(0, -5);
    VERSION.set("1.0.3é-and-more");
    RATIO.set(0, 0.5);
    DELTA.set(0, -7);
    DROPS.set(0, u32::MAX);
}

const PAGE: &str = r#"# HELP device_uptime_seconds_total Since boot.
# TYPE device_uptime_seconds_total counter
device_uptime_seconds_total 61.5
# HELP sensor_temperature Degrees Celsius.
# TYPE sensor_temperature gauge
sensor_temperature{sensor="cpu",rack="7"} 40.5
sensor_temperature{sensor="board",rack="7"} -3
sensor_temperature{sensor="psu 1",rack="7"} 36.6
# HELP sensor_offset Since calibration.
# TYPE sensor_offset gauge
sensor_offset{sensor="a"} -5
sensor_offset{sensor="b"} 0
# HELP device_version_info Which firmware.
# TYPE device_version_info gauge
device_version_info{board="lm3s",value="1.0.3é-"} 1
# HELP sensor_latency_seconds Time to answer.
# TYPE sensor_latency_seconds histogram
sensor_latency_seconds_bucket{le="0.0001"} 2
sensor_latency_seconds_bucket{le="0.0025"} 3
sensor_latency_seconds_bucket{le="1"} 3
sensor_latency_seconds_bucket{le="+Inf"} 4
sensor_latency_seconds_sum 2.0003
sensor_latency_seconds_count 4
# HELP device_ratio A share.
# TYPE device_ratio gauge
device_ratio 0.5
# HELP device_delta It may be negative.
# TYPE device_delta gauge
device_delta{of="clock"} -7
# HELP device_drops_total Frames.
# TYPE device_drops_total counter
device_drops_total 4294967295
"#;

#[test]
fn one_declaration_is_the_metric_in_both_protocols() {
    let (mut store, source) = declared(TABLE);
    set();
    for micros in [100, 1, 199, 2_000_000] {
        LATENCY.observe(micros);
    }
    assert_eq!(page(&mut store, source, Format::Text004), PAGE);
    let open = page(&mut store, source, Format::OpenMetrics);
    assert!(
        open.contains("# TYPE sensor_latency_seconds histogram\n# UNIT sensor_latency_seconds seconds\n")
    );
    assert!(open.contains("# TYPE device_version info\n"), "{open}");
    assert_eq!(page(&mut store, source, Format::Text004), PAGE, "again");

    let view = store.view();
    let named =
        |all: &[(&str, u64)]| all.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect::<Vec<_>>();
    let bits =
        [("cpu", 40.5f64), ("board", -3.0), ("psu 1", 36.6)].map(|(name, value)| (name, value.to_bits()));
    assert_eq!(values(view, "sensor.temperature"), named(&bits));
    assert_eq!(values(view, "sensor.offset"), named(&[("a", (-5i64).cast_unsigned()), ("b", 0)]));
    let buckets = [("0 le:0.0001", 2), ("1 le:0.0025", 3), ("2 le:1", 3), ("3 le:+Inf", 4)];
    assert_eq!(values(view, "sensor.latency_bucket"), named(&buckets));
    assert_eq!(values(view, "sensor.latency_sum")[0].1, 2_000_300);
    assert_eq!(values(view, "sensor.latency_count")[0].1, 4);
    let desc = |name: &str| view.named(name.as_bytes()).unwrap().desc();
    let sum = desc("sensor.latency_sum");
    assert_eq!((sum.kind, sum.semantics, sum.units), (Type::U64, Semantics::COUNTER, Units::MICROSEC));
    assert_eq!(desc("sensor.latency_bucket").units, Units::COUNT);
    let kinds = ["device.uptime", "sensor.offset", "device.ratio", "device.version", "device.drops"]
        .map(|n| desc(n).kind);
    assert_eq!(kinds, [Type::U64, Type::I32, Type::FLOAT, Type::STRING, Type::U32]);
}

#[test]
fn a_name_that_comes_twice_in_a_table_made_by_hand_is_told() {
    static ONE: Metric<u32> = Metric::gauge("device.fan", "A fan.");
    static OTHER: Metric<u32> = Metric::gauge("device.fan", "Another one.");
    let mut store = Store::new(Memory::new(), 144, 1);
    let source = store.add_source("device", "", None).unwrap();
    let table = [ONE.entry(), OTHER.entry()];
    assert_eq!(declare(&table, &mut store, source), Err(Error::Twice("device.fan")));
}

#[test]
fn what_has_no_room_is_told_when_it_is_declared() {
    let mut store = Store::new(Fixed::<1, 16, 6, 0, 256, 4096>::new(), 144, 1);
    let source = store.add_source("device", "", None).unwrap();
    assert_eq!(declare(TABLE, &mut store, source), Err(Error::Full(Full(Region::Series))));
}

#[test]
fn a_text_has_its_room_however_full_the_store_is() {
    static STATE: Text<64> = Text::new("device.state", "A state.");
    let mut store = Store::new(Fixed::<64, 1, 1, 0, 16, 512>::new(), 144, 1);
    let source = store.add_source("d", "", None).unwrap();
    declare(&[STATE.entry()], &mut store, source).unwrap();
    while store.add_source("", "", None).is_ok() {}
    assert!(store.refused(Region::Text) > 0);
    for text in ["up", "", &"x".repeat(64), "down", &"y".repeat(65)] {
        STATE.set(text);
        publish(&[STATE.entry()], &mut store, source);
        let view = store.view();
        let (_, series) = view.series_from(view.first(view.in_order(0).unwrap())).next().unwrap();
        assert_eq!(view.string(series), &text.as_bytes()[..text.len().min(64)]);
    }
}

#[test]
fn each_of_many_instances_has_its_own_value() {
    const NAMES: [&str; 26] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
        "u", "v", "w", "x", "y", "z",
    ];
    static LETTERS: Metric<u32, 26> = Metric::gauge("device.letters", "Of each.").instances("letter", &NAMES);
    static DIGITS: Metric<u64, 2> =
        Metric::counter("device.digits", "Of each.").instances("digit", &["0", "1"]);
    let table = [LETTERS.entry(), DIGITS.entry()];
    let (mut store, source) = declared(&table);
    for round in 1..4u32 {
        for (place, name) in NAMES.iter().enumerate() {
            LETTERS.set(place, round * u32::from(name.as_bytes()[0]));
        }
        DIGITS.add(1, 5);
        publish(&table, &mut store, source);
        let got: BTreeMap<_, _> = values(store.view(), "device.letters").into_iter().collect();
        assert_eq!(got.len(), 26);
        assert!(got.iter().all(|(name, value)| *value == u64::from(round) * u64::from(name.as_bytes()[0])));
        assert_eq!(values(store.view(), "device.digits")[1], ("1".to_owned(), u64::from(round) * 5));
    }
}

#[test]
fn a_value_is_never_half_of_two_whoever_sets_it() {
    static WIDE: Metric<u64> = Metric::gauge("device.wide", "All bits or none.");
    static ADDED: Metric<u64, 2> = Metric::counter("device.added", "By all.").instances("to", &["a", "b"]);
    static SEVENS: Histogram<2> = Histogram::new("device.sevens", "Seven each time.", [5, 10]);
    const ROUNDS: u64 = 20_000;
    let table = [SEVENS.entry()];
    let (mut store, source) = declared(&table);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    WIDE.set(0, if round % 2 == 0 { u64::MAX } else { 0 });
                    ADDED.add(1, 1);
                    SEVENS.observe(7);
                }
            });
        }
        for _ in 0..1000 {
            assert!(matches!(WIDE.value(0), Some(0 | u64::MAX)));
            publish(&table, &mut store, source);
            let of = |name: &str| values(store.view(), name).into_iter().map(|(_, n)| n).collect::<Vec<_>>();
            let (buckets, sum, count) =
                (of("device.sevens_bucket"), of("device.sevens_sum"), of("device.sevens_count"));
            assert_eq!((buckets, sum), (vec![0, count[0], count[0]], vec![7 * count[0]]));
        }
    });
    assert_eq!((ADDED.value(0), ADDED.value(1), ADDED.value(2)), (Some(0), Some(3 * ROUNDS), None));
}

#[test]
fn names_on_a_page_are_those_of_the_page_for_makers() {
    let kib = Units::KBYTE;
    for (name, kind, units, want) in [
        ("device.frames", Kind::Counter, Units::COUNT, "device_frames_total"),
        ("device.idle", Kind::Counter, Units::MICROSEC, "device_idle_seconds_total"),
        ("disk.size", Kind::Gauge, kib, "disk_size_bytes"),
        ("disk.size_kb", Kind::Gauge, kib, "disk_size_bytes"),
        ("fan.count", Kind::Gauge, Units::NONE, "fan_count_current"),
        ("device.version", Kind::Info, Units::NONE, "device_version_info"),
        ("sensor.temperature", Kind::Gauge, Units::NONE, "sensor_temperature"),
        ("dev.s", Kind::Gauge, Units::NONE, "devs"),
        ("dev.h_max", Kind::Gauge, Units::NONE, "dev_hmax"),
    ] {
        let mut made = Vec::new();
        export::name(export::Naming::Prometheus, name, kind, units, None, &mut |piece| {
            made.extend_from_slice(piece)
        });
        let end = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        assert_eq!(String::from_utf8(made).unwrap() + end, want);
        let row = include_str!("../README.md").lines().find(|line| line.starts_with(&format!("| `{name}`")));
        assert!(row.is_some_and(|row| row.contains(want)) || name == "dev.h_max", "{name}: {row:?}");
    }
}

#[test]
fn metrics_of_one_name_on_a_page_are_no_table() {
    static SIZE: Metric<u64> = Metric::gauge("disk.size", "Of it.").units(Units::KBYTE);
    static SAME: Metric<u64> = Metric::gauge("disk.size_kb", "Of it, too.").units(Units::KBYTE);
    static COUNT: Metric<u64> = Metric::gauge("disk.size_kb", "In other units.").units(Units::COUNT);
    static TIME: Histogram<1> = Histogram::new("disk.time", "Of it.", [1]).units(Units::MICROSEC);
    static LAST: Metric<u64> = Metric::gauge("disk.time_us", "The last.").units(Units::MICROSEC);
    let declared = |table: &[Entry]| {
        let mut store: Store<Memory> = Store::new(Memory::new(), 144, 1);
        let source = store.add_source("device", "", None).unwrap();
        declare(table, &mut store, source)
    };
    for (one, other, name) in [
        (SIZE.entry(), SAME.entry(), "disk.size_kb"),
        (SAME.entry(), SIZE.entry(), "disk.size"),
        (TIME.entry(), LAST.entry(), "disk.time_us"),
        (LAST.entry(), TIME.entry(), "disk.time"),
    ] {
        assert_eq!(declared(&[one, other]), Err(Error::Twice(name)));
    }
    assert_eq!(declared(&[SIZE.entry(), COUNT.entry(), TIME.entry()]), Ok(()));
}
