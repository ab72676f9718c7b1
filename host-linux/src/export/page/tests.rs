use std::collections::{BTreeMap, BTreeSet};

use pmbridge_core::exposition::{Line, Parser, line, number};
use pmbridge_core::mapping::PcpLine;
use pmbridge_core::pcp::{Desc, InDom, Pmid, Semantics, Type, Units};

use super::*;

const COUNTER: Semantics = Semantics::COUNTER;
const INSTANT: Semantics = Semantics::INSTANT;
const TIME: Timestamp = Timestamp { secs: 1_795_423_352, nanos: 795_123_456 };

type Row = (Metric, Vec<Series>);

fn metric(name: &str, kind: Type, semantics: Semantics, units: Units, values: &[(&str, Value)]) -> Row {
    let pmid = Pmid::new(60, 2, 0).unwrap();
    let indom = if values.len() == 1 { InDom::NULL } else { InDom::new(60, 2).unwrap() };
    let mut metric = Metric::new(&name.into());
    metric.desc = Some(Desc { pmid, kind, indom, semantics, units });
    metric.oneline = format!("help \"of\" {name}").into();
    let series = values.iter().zip(0..).map(|((labels, value), inst)| Series {
        inst,
        labels: std::rc::Rc::new((*labels).to_owned().into()),
        value: value.clone(),
    });
    (metric, series.collect())
}

fn catalog(mut rows: Vec<Row>) -> Catalog {
    rows.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Catalog::of(rows)
}

fn page(catalog: &Catalog, ask: Ask) -> String {
    let all: Vec<usize> = (0..catalog.metrics().len()).collect();
    let mut out = Vec::new();
    Pages::default().render(catalog, &all, ask, TIME, &mut out);
    writer::end(ask.format, &mut |piece| out.extend_from_slice(piece));
    String::from_utf8(out).unwrap()
}

fn ask(naming: Naming, format: Format) -> Ask {
    Ask { naming, format, times: false, info: true }
}

fn asks() -> impl Iterator<Item = Ask> {
    let namings = [Naming::Pcp, Naming::Prometheus];
    namings.into_iter().flat_map(|naming| Format::ALL.map(|format| ask(naming, format)))
}

fn few() -> Catalog {
    catalog(vec![
        metric(
            "kernel.all.load",
            Type::FLOAT,
            INSTANT,
            Units::NONE,
            &[
                (r#"instid="1",instname="1 minute""#, Value::F32(2.34)),
                (r#"instid="5",instname="5 minute""#, Value::F32(f32::NAN)),
                (r#"instid="15",instname="15 minute""#, Value::None),
            ],
        ),
        metric("disk.read_kb", Type::U64, COUNTER, Units::KBYTE, &[("", Value::U64(u64::MAX))]),
        metric("kernel.all.user", Type::I64, COUNTER, Units::MILLISEC, &[("", Value::I64(1234))]),
        metric(
            "pmcd.version",
            Type::STRING,
            INSTANT,
            Units::NONE,
            &[("value=\"x\"", Value::Text("6.0 \"\n".into()))],
        ),
        metric("empty", Type::U32, INSTANT, Units::NONE, &[]),
        metric("blob", Type::AGGREGATE, INSTANT, Units::NONE, &[("", Value::None)]),
    ])
}

#[test]
fn a_page_with_pcp_names_is_as_pmproxy_has_it() {
    let ask = Ask { naming: Naming::Pcp, format: Format::Text004, times: false, info: false };
    let want = r#"# PCP5 disk.read_kb 60.2.0 u64 PM_INDOM_NULL counter Kbyte
# HELP disk_read_kb help "of" disk.read_kb
# TYPE disk_read_kb counter
disk_read_kb 18446744073709551615
# PCP5 kernel.all.load 60.2.0 float 60.2 instant none
# HELP kernel_all_load help "of" kernel.all.load
# TYPE kernel_all_load gauge
kernel_all_load{instid="1",instname="1 minute"} 2.34
kernel_all_load{instid="5",instname="5 minute"} NaN
# PCP5 kernel.all.user 60.2.0 64 PM_INDOM_NULL counter millisec
# HELP kernel_all_user help "of" kernel.all.user
# TYPE kernel_all_user counter
kernel_all_user 1234
"#;
    assert_eq!(page(&few(), ask), want);
}

#[test]
fn openmetrics_keeps_pcp_names_and_so_knows_no_counters_there() {
    let ask = Ask { naming: Naming::Pcp, format: Format::OpenMetrics, times: true, info: true };
    let want = r#"# HELP disk_read_kb help \"of\" disk.read_kb
# TYPE disk_read_kb unknown
disk_read_kb 18446744073709551615 1795423352.795123456
# HELP kernel_all_load help \"of\" kernel.all.load
# TYPE kernel_all_load gauge
kernel_all_load{instid="1",instname="1 minute"} 2.34 1795423352.795123456
kernel_all_load{instid="5",instname="5 minute"} NaN 1795423352.795123456
# HELP kernel_all_user help \"of\" kernel.all.user
# TYPE kernel_all_user unknown
kernel_all_user 1234 1795423352.795123456
# HELP pmcd_version help \"of\" pmcd.version
# TYPE pmcd_version info
pmcd_version_info{value="x",value_="6.0 \"\n"} 1 1795423352.795123456
# EOF
"#;
    assert_eq!(page(&few(), ask), want);
}

#[test]
fn prometheus_names_have_base_units() {
    let want = r#"# HELP disk_read_bytes help \"of\" disk.read_kb (PCP: disk.read_kb)
# TYPE disk_read_bytes counter
# UNIT disk_read_bytes bytes
disk_read_bytes_total 18889465931478580853760
# HELP kernel_all_load help \"of\" kernel.all.load (PCP: kernel.all.load)
# TYPE kernel_all_load gauge
kernel_all_load{instid="1",instname="1 minute"} 2.34
kernel_all_load{instid="5",instname="5 minute"} NaN
# HELP kernel_all_user_seconds help \"of\" kernel.all.user (PCP: kernel.all.user)
# TYPE kernel_all_user_seconds counter
# UNIT kernel_all_user_seconds seconds
kernel_all_user_seconds_total 1.234
# HELP pmcd_version help \"of\" pmcd.version (PCP: pmcd.version)
# TYPE pmcd_version info
pmcd_version_info{value="x",value_="6.0 \"\n"} 1
# EOF
"#;
    assert_eq!(page(&few(), ask(Naming::Prometheus, Format::OpenMetrics)), want);
    let text = page(&few(), ask(Naming::Prometheus, Format::Text004));
    assert!(text.starts_with(
        "# HELP disk_read_bytes_total help \"of\" disk.read_kb (PCP: disk.read_kb)\n# TYPE disk_read_bytes_total counter\n"
    ));
    assert!(text.contains("\n# TYPE pmcd_version_info gauge\npmcd_version_info{"));
    let times = Ask { times: true, ..ask(Naming::Prometheus, Format::Text100) };
    assert!(page(&few(), times).contains("\nkernel_all_user_seconds_total 1.234 1795423352795\n"));
}

#[test]
fn a_counter_that_shrinks_below_nothing_is_none_in_openmetrics() {
    let rows = || {
        vec![
            metric(
                "a.x",
                Type::I32,
                COUNTER,
                Units::NONE,
                &[("a=\"1\"", Value::I64(1)), ("a=\"2\"", Value::I64(-1))],
            ),
            metric("b.x", Type::DOUBLE, COUNTER, Units::SECOND, &[("", Value::F64(f64::NAN))]),
            metric("c.x", Type::DOUBLE, COUNTER, Units::SECOND, &[("", Value::F64(f64::INFINITY))]),
        ]
    };
    let out = page(&catalog(rows()), ask(Naming::Prometheus, Format::OpenMetrics));
    assert!(out.contains("# TYPE a_x_total unknown\na_x_total{a=\"1\"} 1\na_x_total{a=\"2\"} -1\n"), "{out}");
    assert!(out.contains("# TYPE b_x_seconds_total unknown\nb_x_seconds_total NaN\n"), "{out}");
    assert!(out.contains("# TYPE c_x_seconds counter\n"), "{out}");
}

#[test]
fn of_names_that_collide_the_first_in_order_stays_and_none_is_lost() {
    let plain = |name| metric(name, Type::U32, INSTANT, Units::NONE, &[("", Value::U64(1))]);
    let counter = |name| metric(name, Type::U32, COUNTER, Units::NONE, &[("", Value::U64(2))]);
    let text = |name| metric(name, Type::STRING, INSTANT, Units::NONE, &[("", Value::Text("x".into()))]);
    let rows = vec![
        plain("x.y"),
        plain("x_y"),
        counter("x.z"),
        plain("x.z_created"),
        text("v.w"),
        plain("v.w_info"),
        plain("x.Y"),
        counter("q.r_total"),
        counter("q.t_total"),
        plain("q.t"),
    ];
    let catalog = catalog(rows);
    let samples = |ask| {
        let page = page(&catalog, ask);
        let names = page.lines().filter(|line| !line.starts_with('#'));
        names.map(|line| line.split([' ', '{']).next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let pcp = samples(ask(Naming::Pcp, Format::Text004));
    assert_eq!(
        pcp,
        [
            "q_r_total",
            "q_t",
            "q_t_total",
            "v_w_x7fc2fb96_info",
            "v_w_info",
            "x_Y",
            "x_y",
            "x_z",
            "x_z_created",
            "x_y_xc344bde3"
        ]
    );
    assert_eq!(samples(ask(Naming::Pcp, Format::OpenMetrics)), pcp);
    let open = page(&catalog, ask(Naming::Pcp, Format::OpenMetrics));
    assert!(open.contains("# TYPE q_r counter\nq_r_total 2\n"), "a counter by its own name");
    assert!(open.contains("# TYPE q_t_total unknown\nq_t_total 2\n"), "its family's name is taken");
    let all = samples(ask(Naming::Prometheus, Format::OpenMetrics));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10, "{all:?}");
}

/// What a family has beside its own name in OpenMetrics.
fn reserved(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["", "_total", "_created"],
        "info" => &["", "_info"],
        _ => &[""],
    }
}

/// Reads a page: each family's kind, and its samples by series.
fn read(page: &str) -> BTreeMap<String, (String, BTreeMap<String, f64>)> {
    let (mut parser, mut window) = (Parser::new(), page.as_bytes());
    let mut families = BTreeMap::new();
    let mut names = BTreeSet::new();
    let (mut current, mut kind) = (String::new(), String::new());
    while let Some(line) = parser.next(&mut window) {
        match line.unwrap() {
            Line::Type { family, kind: word } => {
                (current, kind) = (family.into(), word.into());
                for end in reserved(word) {
                    assert!(names.insert(format!("{family}{end}")), "{family}{end} comes twice");
                }
                families.insert(current.clone(), (kind.clone(), BTreeMap::new()));
            }
            Line::Unit { family, unit } => {
                assert!(family == current && family.ends_with(&format!("_{unit}")), "{family} {unit}");
            }
            Line::Sample(sample) => {
                let ends = if kind == "counter" || kind == "info" { reserved(&kind) } else { &[""] };
                let end = sample.name.strip_prefix(current.as_str()).unwrap_or("!");
                assert!(ends.contains(&end), "{} in {current}", sample.name);
                let series = String::from_utf8(sample.raw.into()).unwrap();
                let value = number::parse(sample.tail.value.as_bytes()).unwrap();
                let (_, samples) = families.get_mut(&current).unwrap();
                assert_eq!(samples.insert(series.clone(), value), None, "{series} comes twice");
            }
            _ => {}
        }
    }
    families
}

/// A catalogue of names that come to the same in many ways, with all kinds of values.
fn awkward() -> Catalog {
    let parts = [
        "a", "A", "b", "kb", "total", "count", "bytes", "_", "x1", "created", "info", "é", "aB", "9",
        "minutes",
    ];
    let ends = [".", "_", ":"];
    let units = [Units::NONE, Units::COUNT, Units::KBYTE, Units::MILLISEC, Units::new(1, -1, 0, 1, 3, 0)];
    let (mut rows, mut n) = (BTreeMap::new(), 0_usize);
    for first in parts {
        for second in parts {
            for end in ends {
                n = n.wrapping_add(1);
                let units = units[n % 5];
                let name = format!("{first}{end}{second}");
                let row = match n % 7 {
                    0 => metric(&name, Type::STRING, INSTANT, units, &[("", Value::Text("é\"\\\n".into()))]),
                    1 | 2 => metric(&name, Type::I64, COUNTER, units, &[("i=\"1\"", Value::I64(i64::MIN))]),
                    3 => metric(
                        &name,
                        Type::U64,
                        COUNTER,
                        units,
                        &[("i=\"\"", Value::U64(7)), ("i=\"2\"", Value::U64(8))],
                    ),
                    4 => metric(&name, Type::DOUBLE, INSTANT, units, &[("", Value::F64(f64::NEG_INFINITY))]),
                    5 => metric(&name, Type::U64, COUNTER, units, &[("", Value::U64(9))]),
                    _ => metric(&name, Type::FLOAT, INSTANT, units, &[("", Value::F32(0.1))]),
                };
                rows.insert(name, row);
            }
        }
    }
    catalog(rows.into_values().collect())
}

#[test]
fn no_series_is_lost_and_no_name_comes_twice() {
    let catalog = awkward();
    let want: usize = (0..catalog.metrics().len()).map(|metric| catalog.series(metric).len()).sum();
    for ask in asks() {
        let page = page(&catalog, ask);
        let families = read(&page);
        let samples: usize = families.values().map(|(_, samples)| samples.len()).sum();
        assert_eq!((families.len(), samples), (catalog.metrics().len(), want), "{ask:?}");
        assert_eq!(page.ends_with("\n# EOF\n"), ask.format == Format::OpenMetrics);
        assert_eq!(page.contains("# PCP5"), ask.naming == Naming::Pcp && ask.format != Format::OpenMetrics);
    }
}

#[test]
fn a_selection_calls_metrics_what_the_whole_page_calls_them() {
    let catalog = awkward();
    for ask in asks() {
        let mut pages = Pages::default();
        let render = |pages: &mut Pages, metrics: &[usize]| {
            let mut out = Vec::new();
            pages.render(&catalog, metrics, ask, TIME, &mut out);
            String::from_utf8(out).unwrap().replace("# EOF\n", "")
        };
        let all: Vec<usize> = (0..catalog.metrics().len()).collect();
        let whole = render(&mut pages, &all);
        let parts: String = all.iter().map(|metric| render(&mut pages, &[*metric])).collect();
        assert_eq!(whole, parts, "{ask:?}");
    }
}

#[test]
fn another_epoch_makes_names_anew() {
    let mut pages = Pages::default();
    let (first, second) = (few(), awkward());
    let mut out = Vec::new();
    pages.render(&first, &[1], ask(Naming::Pcp, Format::Text004), TIME, &mut out);
    assert!(String::from_utf8(out).unwrap().contains("disk_read_kb"));
    let mut out = Vec::new();
    pages.epoch = 0;
    pages.render(&second, &[1], ask(Naming::Pcp, Format::Text004), TIME, &mut out);
    assert!(!String::from_utf8(out).unwrap().contains("disk_read_kb"));
}

#[test]
fn what_has_pcp_names_is_read_back_as_what_it_was() {
    let catalog = awkward();
    let page = page(&catalog, Ask { info: false, ..ask(Naming::Pcp, Format::Text004) });
    let lines: Vec<Line<'_>> = page.lines().map(|text| line(text.as_bytes()).unwrap()).collect();
    let mut at = lines.iter();
    for (place, metric) in catalog.metrics().iter().enumerate() {
        let desc = metric.desc.unwrap();
        if desc.kind == Type::STRING {
            continue;
        }
        let Some(Line::Comment(comment)) = at.next() else { panic!("{}", metric.name) };
        let said = PcpLine::parse(comment).unwrap();
        assert_eq!(said.name, &*metric.name);
        assert_eq!((said.kind, said.semantics, said.units), (desc.kind, desc.semantics, desc.units));
        assert_eq!((said.singular, said.factor), (desc.indom == InDom::NULL, 1.0));
        let (Some(Line::Help { .. }), Some(Line::Type { kind, .. })) = (at.next(), at.next()) else {
            panic!()
        };
        assert_eq!(*kind == "counter", desc.semantics == COUNTER);
        for series in catalog.series(place) {
            let Some(Line::Sample(sample)) = at.next() else { panic!("{}", metric.name) };
            let token = sample.tail.value.as_bytes();
            assert_eq!(sample.labels, LabelSet::stored(series.labels.in_naming(Naming::Pcp)));
            match series.value {
                Value::I64(value) => assert_eq!(number::signed(token), Some(value)),
                Value::U64(value) => assert_eq!(number::unsigned(token), Some(value)),
                Value::F32(value) => assert_eq!(sample.tail.value.parse(), Ok(value)),
                Value::F64(value) => assert_eq!(number::parse(token), Some(value)),
                _ => panic!("{}", metric.name),
            }
        }
    }
    assert_eq!(at.next(), None);
}
