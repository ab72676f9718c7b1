//! Laws of exposition text: a window's size changes nothing, what is stored reads as what was sent, what follows a known
//! series is what its line says, and numbers are those of the standard library.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::exposition::{Error, LabelSet, Line, Parser, number, tail};

fuzz_target!(|input: &[u8]| {
    let Some((&step, document)) = input.split_first() else { return };
    let whole = events(document, document.len());
    assert_eq!(whole, events(document, usize::from(step)));
    for said in whole {
        match said {
            (_, Ok(Line::Sample(sample))) => {
                let text = sample.tail.value;
                is_that_of_the_library(text);
                assert!(sample.tail.timestamp.is_none_or(|time| number::timestamp(time.as_bytes())));
                labels_keep(sample.labels);
                sample.tail.exemplar.into_iter().for_each(|exemplar| labels_keep(exemplar.labels));
                follows(sample.raw, sample.tail, document);
            }
            (line, Err(error)) => assert_eq!(error.line, line),
            _ => {}
        }
    }
    a_good_line_stays_good(document);
});

type Event<'a> = (u32, Result<Line<'a>, Error>);

/// What a document says when it comes in pieces of `step` bytes.
fn events(document: &[u8], step: usize) -> Vec<Event<'_>> {
    let (mut parser, mut said, mut from, mut to) = (Parser::new(), Vec::new(), 0, 0);
    while to < document.len() {
        to = document.len().min(to + step.max(1));
        let mut window = &document[from..to];
        while let Some(event) = parser.next(&mut window) {
            said.push((parser.lines(), event));
        }
        from = to - window.len();
    }
    let mut window = &document[from..];
    if let Some(event) = parser.last(&mut window) {
        said.push((parser.lines(), event));
    }
    said
}

/// Labels that were stored are the labels that were sent, each once, and their pieces hold no escape.
fn labels_keep(labels: LabelSet<'_>) {
    let stored = labels.as_str().to_owned();
    let sent: Vec<_> = labels.iter().collect();
    assert_eq!(LabelSet::stored(&stored).iter().collect::<Vec<_>>(), sent);
    for (at, label) in sent.iter().enumerate() {
        assert!(sent[..at].iter().all(|other| other.name != label.name));
        let (mut want, mut rest) = (String::new(), label.value.raw().chars());
        while let Some(c) = rest.next() {
            match (c, rest.clone().next()) {
                ('\\', Some('n')) => want.push('\n'),
                ('\\', Some(next @ ('\\' | '"'))) => want.push(next),
                _ => {
                    want.push(c);
                    continue;
                }
            }
            rest.next();
        }
        assert_eq!(label.value.pieces().collect::<String>(), want);
    }
}

/// A series that is known by its bytes needs only what follows it.
fn follows(raw: &[u8], said: pmbridge_core::exposition::Tail<'_>, document: &[u8]) {
    let at = raw.as_ptr().addr() - document.as_ptr().addr() + raw.len();
    let rest = document[at..].split(|&byte| byte == b'\n').next().unwrap();
    let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
    if rest.starts_with(b" ") || rest.starts_with(b"\t") {
        assert_eq!(tail(rest), Ok(said));
    }
}

/// The standard library takes a sign in front of NaN; nothing else is different.
fn is_that_of_the_library(text: &str) {
    let want = text.parse::<f64>().ok().filter(|value| !value.is_nan() || !text.starts_with(['+', '-']));
    let got = number::parse(text.as_bytes());
    assert_eq!(got.is_some(), want.is_some(), "{text}");
    if let (Some(got), Some(want)) = (got, want) {
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "{text}");
    }
}

/// Whatever stands in the lines around it.
fn a_good_line_stays_good(document: &[u8]) {
    let mut text = document.to_vec();
    text.extend_from_slice(b"\ngood{a=\"b\"} 1 2\n");
    let said = events(&text, text.len());
    let Some((_, Ok(Line::Sample(sample)))) = said.last() else { panic!("the last line is lost") };
    assert_eq!((sample.name, sample.tail.value, sample.tail.timestamp), ("good", "1", Some("2")));
}
