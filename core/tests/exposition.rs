//! Documents say what their `.events` say, in windows of any size, and as other parsers have it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

use core::fmt::Write as _;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pmbridge_core::exposition::{self, Error, ErrorKind, Exemplar, LabelSet, Line, Parser, Tail, number};

mod json;

use json::Json;

/// What each line of a document says.
fn events(document: &[u8]) -> String {
    let (mut parser, mut window, mut out) = (Parser::new(), document, String::new());
    while let Some(said) = parser.next(&mut window) {
        event(&mut out, parser.lines(), said);
    }
    if let Some(said) = parser.last(&mut window) {
        event(&mut out, parser.lines(), said);
    }
    out
}

/// The same, from a window that grows by `step` bytes and loses what was consumed.
fn events_by(document: &[u8], step: usize) -> String {
    let (mut parser, mut out, mut from) = (Parser::new(), String::new(), 0);
    for to in (step..document.len() + step).step_by(step) {
        let mut window = &document[from..to.min(document.len())];
        let before = window.len();
        while let Some(said) = parser.next(&mut window) {
            event(&mut out, parser.lines(), said);
        }
        from += before - window.len();
    }
    let mut window = &document[from..];
    if let Some(said) = parser.last(&mut window) {
        event(&mut out, parser.lines(), said);
    }
    out
}

/// One line for an event: its place, its kind, and its parts with what they mean in quotes.
fn event(out: &mut String, at: u32, said: Result<Line<'_>, Error>) {
    write!(out, "{at} ").unwrap();
    match said {
        Ok(Line::Blank) => panic!("a parser tells of no blank line"),
        Ok(Line::Comment(text)) => writeln!(out, "comment {text:?}"),
        Ok(Line::Help { family, text }) => writeln!(out, "help {family:?} {text:?}"),
        Ok(Line::Type { family, kind }) => writeln!(out, "type {family:?} {kind}"),
        Ok(Line::Unit { family, unit }) => writeln!(out, "unit {family:?} {unit:?}"),
        Ok(Line::Eof) => writeln!(out, "eof"),
        Ok(Line::Sample(sample)) => {
            assert!(sample.raw.ends_with(b"}") || sample.raw == sample.name.as_bytes());
            let Tail { value, timestamp, exemplar } = sample.tail;
            write!(out, "sample {:?}{}", sample.name, labels(sample.labels)).unwrap();
            write!(out, " {value}{}", bits(value)).unwrap();
            write!(out, "{}", timestamp.map(|time| format!(" at {time}")).unwrap_or_default()).unwrap();
            if let Some(Exemplar { labels: set, value, timestamp }) = exemplar {
                write!(out, " exemplar{} {value}{}", labels(set), bits(value)).unwrap();
                write!(out, "{}", timestamp.map(|time| format!(" at {time}")).unwrap_or_default()).unwrap();
            }
            writeln!(out)
        }
        Err(Error { kind, line }) => {
            assert_eq!(line, at);
            writeln!(out, "error {kind}")
        }
    }
    .unwrap();
}

fn bits(value: &str) -> String {
    number::parse(value.as_bytes()).map(|value| format!(" {:016x}", value.to_bits())).unwrap_or_default()
}

fn labels(set: LabelSet<'_>) -> String {
    set.iter().fold(String::new(), |mut out, label| {
        write!(out, " {:?}={:?}", label.name.to_string(), label.value.to_string()).unwrap();
        out
    })
}

/// The documents of the suite: name, text, events.
fn suite() -> Vec<(String, Vec<u8>, String)> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/exposition");
    let mut paths: Vec<PathBuf> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    let read = |path: PathBuf| {
        let want = fs::read_to_string(path.with_extension("events")).unwrap();
        (path.display().to_string(), fs::read(path).unwrap(), want)
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn documents_say_what_their_events_say() {
    assert!(!suite().is_empty());
    for (name, text, want) in suite() {
        assert_eq!(events(&text), want, "{name} says:\n{}", events(&text));
    }
}

#[test]
fn any_window_gives_the_same_events() {
    for (name, text, want) in suite() {
        for step in (1..80).chain([text.len()]) {
            assert_eq!(events_by(&text, step), want, "{name} by {step}");
        }
    }
}

#[test]
fn every_cut_of_a_line_is_read_or_refused() {
    for (_, text, _) in suite() {
        for line in text.split(|&byte| byte == b'\n') {
            for n in 0..line.len() {
                let _ = (
                    exposition::line(&line[..n]),
                    exposition::line(&line[n..]),
                    exposition::tail(&line[n..]),
                );
            }
        }
    }
}

#[test]
fn what_follows_a_known_series_is_what_the_line_says_of_it() {
    for (name, text, _) in suite() {
        for line in text.split(|&byte| byte == b'\n') {
            let Ok(Line::Sample(sample)) = exposition::line(line) else { continue };
            let at = sample.raw.as_ptr().addr() - line.as_ptr().addr() + sample.raw.len();
            match exposition::tail(&line[at..]) {
                Ok(tail) => assert_eq!(tail, sample.tail, "{name}"),
                // Behind a brace no blank is needed, but a name could go on.
                Err(kind) => assert!(kind == ErrorKind::Value && line[at] != b' ', "{name}: {kind}"),
            }
        }
    }
}

#[test]
fn stored_labels_are_the_labels_that_were_sent() {
    for line in ["m{ a = \"x\" , \"b.c\"=\"\\\"\\\\\" ,} 1", "{b=\"1\",\"m.n\",a=\"2\"} 1", "{ \"m\" } 1"] {
        let Ok(Line::Sample(sample)) = exposition::line(line.as_bytes()) else { panic!("{line}") };
        let stored = sample.labels.as_str().to_owned();
        assert_eq!(labels(LabelSet::stored(&stored)), labels(sample.labels));
        assert_eq!(sample.labels.is_empty(), sample.labels.iter().count() == 0);
    }
}

#[test]
fn as_many_labels_as_there_may_be_are_taken() {
    let of = |count| {
        let set: String = (0..count).map(|n| format!("l{n}=\"{n}\",")).collect();
        exposition::line(format!("m{{{set}}} 1").as_bytes()).map(|_| ())
    };
    assert_eq!(of(64), Ok(()));
    assert_eq!(of(65), Err(ErrorKind::TooManyLabels));
}

#[test]
fn no_label_comes_twice_however_it_is_spelled() {
    for set in [
        "a=\"\",a=\"\"",
        "a=\"\",b=\"\",a=\"\"",
        "a=\"\",\"a\"=\"\"",
        r#""\x"="","\\x"="""#,
        r#""\\x"="",y="","\x"="""#,
    ] {
        let said = exposition::line(format!("m{{{set}}} 1").as_bytes()).map(|_| ());
        assert_eq!(said, Err(ErrorKind::DuplicateLabel), "{set}");
    }
}

/// Where the references disagree, or this parser does: the cases, whether they are read here, and why.
const DECISIONS: &[(&[&str], bool, &str)] = &[
    (
        &["edge_prom/value/18", "edge_prom/value/19"],
        true,
        "too large is infinite, as in Python and VictoriaMetrics: the line is worth more than the range",
    ),
    (&["edge_prom/syntax/85"], true, "a kind that one reference knows; no line tells which format it is in"),
    (
        &["edge_prom/syntax/41", "expfmt/testTextParseError/4"],
        true,
        "__name__ is a label like any other: PCP's importer takes it, and no exporter sends it",
    ),
    (
        &[
            "edge_prom/syntax/82",
            "edge_prom/syntax/83",
            "expfmt/testTextParseError/12",
            "expfmt/testTextParseError/13",
            "expfmt/testTextParseError/14",
        ],
        true,
        "a rule between lines",
    ),
    (
        &[
            "expfmt/testTextParseError/7",
            "expfmt/testTextParseError/19",
            "expfmt/testTextParseError/32",
            "expfmt/testTextParseError/33",
            "expfmt/testTextParseError/43",
            "expfmt/testTextParseError/44",
            "expfmt/testTextParseError/45",
            "expfmt/testTextParseError/46",
        ],
        true,
        "a rule about what histograms and summaries mean, not about lines",
    ),
    (
        &["expfmt/testTextParseError/0"],
        true,
        "the last line may lack its line feed, as in all references but one",
    ),
    (
        &["expfmt/testTextParseError/1", "expfmt/testTextParseError/36", "expfmt/testTextParseError/38"],
        true,
        "an unknown escape means its two characters, as in all references but one",
    ),
    (
        &["pyclient_prom/test_extra_whitespace/0"],
        true,
        "any run of blanks parts words, as the format's page says",
    ),
    (
        &["prom_textparse/TestPromParse/0"],
        false,
        "labels without a comma between them; all references but one refuse",
    ),
    (
        &[
            "vm/TestRowsUnmarshalFailure/3",
            "vm/TestRowsUnmarshalSuccess/1",
            "vm/TestRowsUnmarshalSuccess/3",
            "vm/TestRowsUnmarshalSuccess/4",
        ],
        true,
        "a carriage return at the end of a line is dropped: servers that send it exist",
    ),
    (&["vm/TestRowsUnmarshalSuccess/28"], true, "a dot in a name: PCP's importer takes it"),
    (
        &[
            "pyclient_om/test_native_histogram/0",
            "pyclient_om/test_native_histogram_utf8_stress/0",
            "pyclient_om/test_native_histogram_with_classic_histogram/0",
            "pyclient_om/test_native_histogram_with_labels/0",
            "pyclient_om/test_native_plus_classic_histogram_two_labelsets/0",
        ],
        false,
        "composite values belong to OpenMetrics 2.0",
    ),
    (
        &[
            "openmetrics_suite/duplicate_timestamps_0",
            "openmetrics_suite/duplicate_timestamps_1",
            "edge_om/syntax/106",
        ],
        true,
        "the reference drops a sample for its time: a rule between lines",
    ),
    (&["edge_om/value/1"], true, "the reference loses the sign of zero"),
];

/// The kinds of text and of OpenMetrics, since one grammar reads both.
const KINDS: [&str; 10] = [
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
    "unknown",
    "gaugehistogram",
    "gauge_histogram",
    "info",
    "stateset",
];

/// What a case expects, and what this parser makes of it.
struct Verdict {
    is_ok: bool,
    samples: Vec<Found>,
}

#[derive(Debug, PartialEq)]
struct Found {
    name: String,
    labels: BTreeMap<String, String>,
    bits: u64,
    timestamp: Option<String>,
    exemplar: Option<(BTreeMap<String, String>, u64, Option<String>)>,
}

fn found_labels(set: LabelSet<'_>) -> BTreeMap<String, String> {
    set.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

/// A quoted metric name means what a label value of that spelling means.
fn unescaped(name: &str) -> String {
    let set = format!("n=\"{name}\"");
    LabelSet::stored(&set).iter().next().unwrap().value.to_string()
}

/// Times are the same where the numbers are: the references print them in their own ways.
fn time(token: &str) -> String {
    number::parse(token.as_bytes()).unwrap().to_string()
}

/// Reads a case as a scraper would that refuses a document for one bad line.
fn verdict(document: &[u8], is_text: bool) -> Verdict {
    let (mut parser, mut window) = (Parser::new(), document);
    let mut all = Verdict { is_ok: true, samples: Vec::new() };
    while let Some(said) = parser.next(&mut window).or_else(|| parser.last(&mut window)) {
        match said {
            Ok(Line::Sample(sample)) => {
                let value = number::parse(sample.tail.value.as_bytes());
                // In text a time is a count of milliseconds, and there are no exemplars.
                let is_fine = !is_text
                    || sample.tail.timestamp.is_none_or(|time| number::signed(time.as_bytes()).is_some())
                        && sample.tail.exemplar.is_none();
                let (Some(value), true) = (value, is_fine) else {
                    all.is_ok = false;
                    continue;
                };
                all.samples.push(Found {
                    name: unescaped(sample.name),
                    labels: found_labels(sample.labels),
                    bits: value.to_bits(),
                    timestamp: sample.tail.timestamp.map(time),
                    exemplar: sample.tail.exemplar.map(|exemplar| {
                        let value = number::parse(exemplar.value.as_bytes()).unwrap().to_bits();
                        (found_labels(exemplar.labels), value, exemplar.timestamp.map(time))
                    }),
                });
            }
            Ok(Line::Type { kind, .. }) => {
                all.is_ok &= KINDS.contains(&kind);
            }
            Ok(_) => {}
            Err(_) => all.is_ok = false,
        }
    }
    all
}

/// The samples that a case expects.
fn wanted(case: &Json) -> Option<Vec<Found>> {
    let text = |value: &Json| value.text().map(str::to_owned);
    let labels =
        |value: &Json| value.members().map(|(name, value)| (name.clone(), text(value).unwrap())).collect();
    if *case.at("samples") == Json::Null
        || case.at("samples").list().iter().any(|s| *s.at("value_bits") == Json::Null)
    {
        return None;
    }
    let sample = |sample: &Json| Found {
        // One reference hands on the blanks in front of a name.
        name: text(sample.at("name")).unwrap().trim_start().to_owned(),
        labels: labels(sample.at("labels")),
        bits: u64::from_str_radix(sample.at("value_bits").text().unwrap(), 16).unwrap(),
        timestamp: sample.at("timestamp").text().map(time),
        exemplar: (*sample.at("exemplar") != Json::Null).then(|| {
            let exemplar = sample.at("exemplar");
            let value = number::parse(exemplar.at("value").text().unwrap().as_bytes()).unwrap();
            (labels(exemplar.at("labels")), value.to_bits(), exemplar.at("timestamp").text().map(time))
        }),
    };
    Some(case.at("samples").list().iter().map(sample).collect())
}

fn input(case: &Json) -> Vec<u8> {
    match (case.at("input").text(), case.at("input_b64").text()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(base64)) => from_base64(base64),
        (None, None) => Vec::new(),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut sum, mut bits) = (Vec::new(), 0_u32, 0);
    for value in text.chars().filter_map(|c| DIGITS.find(c)) {
        sum = sum << 6 | u32::try_from(value).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((sum >> bits & 255).try_into().unwrap());
        }
    }
    bytes
}

/// Runs the cases of one format, with `judge` for each that has no decision; what it says goes wrong.
fn run(format: &str, judge: impl Fn(&Json, &Verdict) -> Option<String>) {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let Ok(entries) = fs::read_dir(&at) else {
        println!("not found: the conformance cases ({})", at.display());
        return;
    };
    let (mut wrong, mut count) = (String::new(), 0);
    for entry in entries {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let case = Json::parse(line);
            if case.at("format").text() != Some(format) {
                continue;
            }
            count += 1;
            let id = case.at("id").text().unwrap();
            let found = verdict(&input(&case), format == "prom");
            let decision = DECISIONS.iter().find(|(decided, ..)| decided.contains(&id));
            let fault = match decision {
                Some((_, is_ok, why)) => (*is_ok != found.is_ok).then(|| format!("not as decided: {why}")),
                None => judge(&case, &found),
            };
            if let Some(fault) = fault {
                writeln!(wrong, "{id}: {fault}: {:?}", String::from_utf8_lossy(&input(&case))).unwrap();
            }
        }
    }
    println!("{count} cases of {format}");
    assert!(wrong.is_empty(), "{wrong}");
}

fn expects_ok(case: &Json) -> bool {
    case.at("spec_expect").text().or_else(|| case.at("expect").text()) == Some("ok")
}

#[test]
fn text_cases_are_read_as_the_references_read_them() {
    run("prom", |case, found| {
        if expects_ok(case) != found.is_ok {
            let is_contested = *case.at("contested") == Json::Bool(true);
            return Some(format!("read: {}{}", found.is_ok, if is_contested { ", contested" } else { "" }));
        }
        match wanted(case) {
            Some(want) if found.is_ok && want != found.samples => {
                Some(format!("{:?} and not {want:?}", found.samples))
            }
            _ => None,
        }
    });
}

/// What is refused for a rule between lines passes here, so only what is to be read is looked at.
#[test]
fn openmetrics_cases_that_are_fine_are_read() {
    run("openmetrics", |case, found| match wanted(case) {
        _ if !expects_ok(case) => None,
        _ if !found.is_ok => Some("refused".to_owned()),
        Some(want) if want != found.samples => Some(format!("{:?} and not {want:?}", found.samples)),
        _ => None,
    });
}
