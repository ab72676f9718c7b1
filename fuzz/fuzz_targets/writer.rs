//! Laws of what is written: it is read as what it was, whatever names, labels and values there are, and no bytes of JSON
//! make labels that cannot be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::exposition::{Format, LabelSet, Line, line, number, value, writer};
use pmbridge_core::mapping::{base::Factor, label::{Instance, merge}};
use pmbridge_core::pcp::Units;

fuzz_target!(|input: &[u8]| {
    labels_can_be_read(input);
    numbers_stay(input);
    if let Ok(text) = str::from_utf8(input) {
        Format::negotiate(Some(text));
        lines_say_the_same(text);
    }
});

fn text(write: impl FnOnce(&mut dyn FnMut(&[u8]))) -> String {
    let mut out = Vec::new();
    write(&mut |piece| out.extend_from_slice(piece));
    String::from_utf8(out).unwrap()
}

/// A label's name and value, as they are meant.
type Meaning = Vec<(String, String)>;

fn meaning(labels: LabelSet<'_>) -> Meaning {
    labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

/// Sets from anywhere are labels in order, each once, and an instance always has its own number.
fn labels_can_be_read(input: &[u8]) {
    let mut sets = input.split(|&byte| byte == 0);
    let [outer, inner, own] = [(); 3].map(|()| sets.next().unwrap_or_default());
    let instance = Instance { id: 7, name: input, labels: own };
    let labels = text(|put| merge(&[outer, inner], Some(instance), put));
    let line_text = format!("m{{{labels}}} 1");
    let labels = match line(line_text.as_bytes()) {
        Ok(Line::Sample(sample)) => meaning(sample.labels),
        Err(pmbridge_core::exposition::ErrorKind::TooManyLabels) => return,
        other => panic!("{line_text}: {other:?}"),
    };
    assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{line_text}");
    assert!(labels.iter().any(|(name, value)| name == "instid" && value == "7"), "{line_text}");
    assert!(labels.iter().any(|(name, _)| name == "instname"), "{line_text}");
}

/// Floats keep their bits, integers their digits, in any units.
fn numbers_stay(input: &[u8]) {
    let Some(bytes) = input.first_chunk::<8>() else { return };
    let bits = u64::from_le_bytes(*bytes);
    let float = f64::from_bits(bits);
    let read = number::parse(text(|put| value::double(float, put)).as_bytes()).unwrap();
    assert!(read.to_bits() == bits || read.is_nan() && float.is_nan());
    let single = f32::from_bits(bits as u32);
    let read = number::parse(text(|put| value::single(single, put)).as_bytes()).unwrap() as f32;
    assert!(read.to_bits() == single.to_bits() || read.is_nan() && single.is_nan());
    assert_eq!(number::unsigned(text(|put| value::unsigned(bits, put)).as_bytes()), Some(bits));
    let factor = Factor::of(Units::from_bits(bits as u32));
    for scaled in [
        text(|put| factor.unsigned(bits, put)),
        text(|put| factor.signed(bits.cast_signed(), put)),
        text(|put| factor.double(float, put)),
        text(|put| factor.single(single, put)),
    ] {
        assert!(number::parse(scaled.as_bytes()).is_some(), "{scaled}");
    }
}

/// Samples that were read are read again from what is written of them.
fn lines_say_the_same(input: &str) {
    for sent in input.lines() {
        let Ok(Line::Sample(sample)) = line(sent.as_bytes()) else { continue };
        for format in Format::ALL {
            let written = text(|put| {
                let rest = writer::Rest { exemplar: sample.tail.exemplar, time: None };
                let write = |put: &mut dyn FnMut(&[u8])| put(sample.tail.value.as_bytes());
                writer::sample(format, (sample.name, ""), sample.labels, write, rest, put);
            });
            let Ok(Line::Sample(again)) = line(written.trim_end_matches('\n').as_bytes()) else {
                panic!("{sent} became {written}")
            };
            assert_eq!(again.tail.value, sample.tail.value);
            if format == Format::Text100 {
                assert_eq!(meaning(again.labels), meaning(sample.labels), "{written}");
            }
        }
    }
}
