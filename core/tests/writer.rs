//! What the writer puts out, the parser reads as what it was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, and does so where a law is broken")]

use pmbridge_core::{
    exposition::{
        Exemplar, Format, Label, LabelSet, Line, Parser, Put,
        number::parse,
        value,
        writer::{self, Family, Help, Kind, Rest},
    },
    time::Timestamp,
};

fn text(write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> String {
    let mut out = Vec::new();
    write(&mut |piece| out.extend_from_slice(piece));
    String::from_utf8(out).unwrap()
}

fn head(format: Format, name: &str, kind: Kind, help: Help<'_>, unit: &str) -> String {
    text(|put| writer::head(format, &Family { name, kind, help, unit }, put))
}

fn sample(format: Format, name: (&str, &str), labels: &str, rest: Rest<'_>) -> String {
    text(|put| {
        writer::sample(format, name, LabelSet::stored(labels), |put| value::double(1.5, put), rest, put);
    })
}

#[test]
fn heads_are_as_each_format_has_them() {
    use Format::{OpenMetrics, Text004, Text100};
    let help = Help::Plain("a \"b\" \\ c\nd");
    for (format, name, kind, help, unit, want) in [
        (Text004, "x", Kind::Gauge, Help::default(), "", "# TYPE x gauge\n"),
        (Text004, "x", Kind::Gauge, help, "", "# HELP x a \"b\" \\\\ c\\nd\n# TYPE x gauge\n"),
        (OpenMetrics, "x", Kind::Gauge, help, "", "# HELP x a \\\"b\\\" \\\\ c\\nd\n# TYPE x gauge\n"),
        (
            Text004,
            "x",
            Kind::Gauge,
            Help::Sent(r#"\"a\" b\\c\nd"#),
            "",
            "# HELP x \"a\" b\\\\c\\nd\n# TYPE x gauge\n",
        ),
        (Text004, "x_bytes", Kind::Counter, Help::default(), "bytes", "# TYPE x_bytes_total counter\n"),
        (
            OpenMetrics,
            "x_bytes",
            Kind::Counter,
            Help::default(),
            "bytes",
            "# TYPE x_bytes counter\n# UNIT x_bytes bytes\n",
        ),
        (OpenMetrics, "xbytes", Kind::Counter, Help::default(), "bytes", "# TYPE xbytes counter\n"),
        (OpenMetrics, "bytes", Kind::Gauge, Help::default(), "bytes", "# TYPE bytes gauge\n"),
        (OpenMetrics, "x_bytes", Kind::Info, Help::default(), "bytes", "# TYPE x_bytes info\n"),
        (Text004, "x", Kind::Info, Help::default(), "", "# TYPE x_info gauge\n"),
        (Text004, "x", Kind::Unknown, Help::default(), "", "# TYPE x untyped\n"),
        (OpenMetrics, "x", Kind::Unknown, Help::default(), "", "# TYPE x unknown\n"),
        (Text004, "x", Kind::StateSet, Help::default(), "", "# TYPE x gauge\n"),
        (
            Text100,
            "a.b",
            Kind::Counter,
            Help::Plain("h"),
            "",
            "# HELP \"a.b_total\" h\n# TYPE \"a.b_total\" counter\n",
        ),
        (Text004, "a.b", Kind::Counter, Help::default(), "", "# TYPE a_b_total counter\n"),
        (OpenMetrics, "9é", Kind::Gauge, Help::default(), "", "# TYPE __ gauge\n"),
    ] {
        assert_eq!(head(format, name, kind, help, unit), want, "{format:?}");
    }
}

#[test]
fn samples_are_as_each_format_has_them() {
    use Format::{OpenMetrics, Text004, Text100};
    let time = Some(Timestamp { secs: 1_795_423_352, nanos: 795_100_000 });
    let labels = LabelSet::stored(r#"trace_id="a\nb""#);
    let exemplar = Some(Exemplar { labels, value: "0.5", timestamp: Some("1.25") });
    let bare = Rest::default();
    let all = Rest { time, exemplar };
    for (format, name, labels, rest, want) in [
        (Text004, ("x", ""), "", bare, "x 1.5\n"),
        (Text004, ("x", "_total"), r#"a="1",b="\"\\\n""#, bare, "x_total{a=\"1\",b=\"\\\"\\\\\\n\"} 1.5\n"),
        (Text004, ("x", ""), r#" a = "1" , b = "2" , "#, bare, "x{a=\"1\",b=\"2\"} 1.5\n"),
        (Text004, ("x", ""), "", all, "x 1.5 1795423352795\n"),
        (OpenMetrics, ("x", ""), "", all, "x 1.5 1795423352.7951 # {trace_id=\"a\\nb\"} 0.5 1.25\n"),
        (Text100, ("a.b", ""), "", bare, "{\"a.b\"} 1.5\n"),
        (Text100, ("a.b", "_total"), r#""l.m"="1""#, bare, "{\"a.b_total\",\"l.m\"=\"1\"} 1.5\n"),
        (Text100, ("a\\\"b", ""), r#"a="1""#, bare, "{\"a\\\"b\",a=\"1\"} 1.5\n"),
        (Text004, ("a.b", ""), r#""l.m"="1""#, bare, "a_b{l_m=\"1\"} 1.5\n"),
        (OpenMetrics, ("a.b", ""), r#""l.m"="1""#, bare, "a_b{l_m=\"1\"} 1.5\n"),
        (OpenMetrics, ("x", ""), r#""l.m"="1",l_m="2","l-m"="3""#, bare, "x{l_m=\"2\"} 1.5\n"),
        (OpenMetrics, ("x", ""), r#""l.m"="1","l-m"="3""#, bare, "x{l_m=\"1\"} 1.5\n"),
        (Text004, ("x", ""), r#"a="1",b="2","#, bare, "x{a=\"1\",b=\"2\"} 1.5\n"),
        (Text004, ("x", ""), r#"_a="",b="\n\\",c="}""#, bare, "x{_a=\"\",b=\"\\n\\\\\",c=\"}\"} 1.5\n"),
        (Text004, ("x", ""), "a=\"1\n2\"", bare, "x{a=\"1\\n2\"} 1.5\n"),
        (Text004, ("x", ""), r#"a="1"}"#, bare, "x{a=\"1\"} 1.5\n"),
        (Text100, ("a.b", ""), r#"a="1""#, bare, "{\"a.b\",a=\"1\"} 1.5\n"),
        (Text004, ("x", ""), r#"a="x\y""#, bare, "x{a=\"x\\\\y\"} 1.5\n"),
    ] {
        assert_eq!(sample(format, name, labels, rest), want, "{format:?}");
    }
    let early = Timestamp { secs: -1, nanos: 500_000_000 };
    assert_eq!(text(|put| writer::timestamp(OpenMetrics, early, put)), "-0.5");
    assert_eq!(text(|put| writer::timestamp(OpenMetrics, Timestamp { secs: 5, nanos: 0 }, put)), "5");
    let ends = Format::ALL.map(|format| text(|put| writer::end(format, put)));
    assert_eq!(ends, ["", "", "# EOF\n"]);
}

#[test]
fn an_exemplar_has_128_characters_at_most() {
    for (n, is_there) in [(127, true), (128, false)] {
        let labels = format!("a=\"{}\"", "é".repeat(n));
        let exemplar = Some(Exemplar { labels: LabelSet::stored(&labels), value: "1", timestamp: None });
        let out = sample(Format::OpenMetrics, ("x", "_total"), "", Rest { exemplar, time: None });
        assert_eq!(out.contains(" # {"), is_there, "{n}");
    }
    let exemplar = Some(Exemplar { labels: LabelSet::EMPTY, value: "1", timestamp: None });
    let out = sample(Format::OpenMetrics, ("x", "_total"), "", Rest { exemplar, time: None });
    assert_eq!(out, "x_total 1.5 # {} 1\n");
}

/// A sample as its meaning.
type Meaning = (String, Vec<(String, String)>, u64);

fn meaning(line: &str) -> Meaning {
    let (mut parser, mut window) = (Parser::new(), line.as_bytes());
    let Some(Ok(Line::Sample(sample))) = parser.next(&mut window) else { panic!("{line}") };
    let labels = sample.labels.iter().map(|l| (l.name.to_string(), l.value.to_string())).collect();
    (sample.name.to_owned(), labels, parse(sample.tail.value.as_bytes()).unwrap().to_bits())
}

#[test]
fn any_names_labels_and_values_come_back() {
    let chars =
        ['a', 'Z', '_', ':', '0', '.', ' ', '"', '\\', '\n', '\t', 'é', '😀', '{', '}', '=', ',', '#', '\r'];
    let mut dice = fastrand::Rng::with_seed(3);
    let mut roll = |n: usize| dice.usize(..n);
    for _ in 0..20_000 {
        let mut word =
            |from: usize| (0..from + roll(5)).map(|_| chars[roll(chars.len())]).collect::<String>();
        let escaped = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
        let name = word(1);
        let mut labels: Vec<(String, String)> = (0..3).map(|_| (word(1), word(0))).collect();
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        let set: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("\"{}\"=\"{}\"", escaped(name), escaped(value)))
            .collect();
        let (set, name_sent) = (set.join(","), escaped(&name));
        let number = f64::from_bits(u64::try_from(roll(usize::MAX)).unwrap());
        for format in Format::ALL {
            let line = text(|put| {
                let write = |put: &mut dyn FnMut(&[u8])| value::double(number, put);
                writer::sample(format, (&name_sent, ""), LabelSet::stored(&set), write, Rest::default(), put);
            });
            let (read_name, read_labels, bits) = meaning(&line);
            let want = if number.is_nan() { pmbridge_core::exposition::number::NAN } else { number };
            assert_eq!(bits, want.to_bits(), "{line}");
            if format == Format::Text100 {
                assert_eq!((read_name, read_labels), (name_sent.clone(), labels.clone()), "{line}");
            } else {
                assert!(
                    read_name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':'),
                    "{line}"
                );
                let values = |labels: &[(String, String)]| {
                    labels.iter().map(|(_, value)| value.clone()).collect::<std::collections::BTreeSet<_>>()
                };
                assert!(values(&read_labels).is_subset(&values(&labels)), "{line}");
                assert!(!labels.is_empty() && !read_labels.is_empty(), "{line}");
            }
        }
    }
}

/// The documents of the parser's suite.
fn documents() -> Vec<Vec<u8>> {
    let at = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/exposition");
    let paths = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .map(|p| std::fs::read(p).unwrap())
        .collect()
}

/// What a document says, but for the spelling.
fn said(document: &[u8]) -> Vec<String> {
    let (mut parser, mut window, mut said) = (Parser::new(), document, Vec::new());
    let set = |labels: LabelSet<'_>| {
        labels.iter().map(|l| (l.name.to_string(), l.value.to_string())).collect::<Vec<_>>()
    };
    while let Some(line) = parser.next(&mut window) {
        if let Ok(Line::Sample(sample)) = line {
            let exemplar = sample.tail.exemplar.map(|e| (set(e.labels), e.value.to_owned(), e.timestamp));
            said.push(format!("{} {:?} {} {exemplar:?}", sample.name, set(sample.labels), sample.tail.value));
        }
    }
    said
}

#[test]
fn documents_that_are_written_again_say_the_same() {
    assert!(!documents().is_empty());
    for document in documents() {
        let (mut parser, mut window) = (Parser::new(), &document[..]);
        let (mut out, mut utf8) = (String::new(), String::new());
        let mut is_plain = true;
        while let Some(line) = parser.next(&mut window) {
            let Ok(Line::Sample(sample)) = line else { continue };
            let exemplar = sample.tail.exemplar.filter(|e| e.labels.as_str().chars().count() < 100);
            is_plain &= exemplar.is_some() == sample.tail.exemplar.is_some();
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            is_plain &= sample.name.chars().all(legal) && !sample.labels.as_str().contains("\"=");
            for (format, out) in [(Format::OpenMetrics, &mut out), (Format::Text100, &mut utf8)] {
                out.push_str(&text(|put| {
                    let write = |put: &mut dyn FnMut(&[u8])| put(sample.tail.value.as_bytes());
                    let rest = Rest { exemplar, time: None };
                    writer::sample(format, (sample.name, ""), sample.labels, write, rest, put);
                }));
            }
        }
        let want = said(&document);
        if is_plain {
            assert_eq!(said(out.as_bytes()), want);
        }
        let without = |said: Vec<String>| {
            said.into_iter()
                .map(|line| line.split(" Some(").next().unwrap().replace(" None", ""))
                .collect::<Vec<_>>()
        };
        assert_eq!(without(said(utf8.as_bytes())), without(want));
    }
}

#[test]
fn labels_that_are_copied_have_more_behind_them_and_none_is_copied_that_may_be_edited() {
    let edit = |label: Label<'_>, put: Put<'_>| {
        let is_meant = label.name == *"b";
        if is_meant {
            put(b"c=\"3\"");
        }
        is_meant
    };
    let more: &[(&str, &[u8])] = &[("z", b"\"")];
    for (labels, edited, more, want) in [
        (r#"a="1",b="2""#, false, &[][..], r#"x{a="1",b="2"}"#),
        (r#"a="1",b="2""#, false, more, r#"x{a="1",b="2",z="\""}"#),
        (r#"a="1", b="2""#, false, more, r#"x{a="1",b="2",z="\""}"#),
        (r#"a="1",b="2""#, true, more, r#"x{a="1",c="3",z="\""}"#),
        ("", false, more, r#"x{z="\""}"#),
        ("", true, &[], "x"),
    ] {
        let edit: Option<&dyn Fn(Label<'_>, Put<'_>) -> bool> = if edited { Some(&edit) } else { None };
        let set = LabelSet::stored(labels);
        let out = text(|put| writer::series_with(Format::OpenMetrics, ("x", ""), set, edit, more, put));
        assert_eq!(out, want);
    }
}
