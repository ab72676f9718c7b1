//! An instance is named by its labels, sorted by name, behind its number; or by the one label that a PCP line means.
//!
//! The name without the number is what makes two spellings of a label set one instance.

use super::Put;
use crate::exposition::{Label, LabelSet};

/// How the instances of a metric are named. It lasts as long as the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Style {
    /// `3 cpu:0 mode:idle`, for a metric that no PCP line describes.
    Prefixed,
    /// The value of the label `instname`, else of `instance`, as it is; else as [`Prefixed`](Self::Prefixed).
    Verbatim,
}

/// Writes the name of instance `id`.
pub fn write(id: u32, labels: LabelSet<'_>, style: Style, put: Put<'_>) {
    if naming(labels, style).is_none() {
        number(id, put);
        put(b" ");
    }
    identity(labels, style, put);
}

/// Writes the name of an instance but for its number.
pub fn identity(labels: LabelSet<'_>, style: Style, put: Put<'_>) {
    if let Some(label) = naming(labels, style) {
        for piece in label.value.pieces() {
            put(piece.as_bytes());
        }
        return;
    }
    let mut before = None;
    while let Some(label) = after(labels, before) {
        if before.is_some() {
            put(b" ");
        }
        pair(label, put);
        before = Some(label);
    }
}

/// The label that alone names the instance.
fn naming(labels: LabelSet<'_>, style: Style) -> Option<Label<'_>> {
    let named = |word: &str| labels.iter().find(|label| bytes(*label).eq(word.bytes()));
    match style {
        Style::Prefixed => None,
        Style::Verbatim => named("instname").or_else(|| named("instance")),
    }
}

/// The label whose name follows in order. A scan each: sets are short, and there is no room to sort in.
fn after<'a>(labels: LabelSet<'a>, before: Option<Label<'a>>) -> Option<Label<'a>> {
    let mut next: Option<Label<'a>> = None;
    for label in labels.iter() {
        let late = before.is_none_or(|before| bytes(label).gt(bytes(before)));
        if late && next.is_none_or(|next| bytes(label).lt(bytes(next))) {
            next = Some(label);
        }
    }
    next
}

fn bytes(label: Label<'_>) -> impl Iterator<Item = u8> {
    label.name.pieces().flat_map(str::bytes)
}

fn pair(label: Label<'_>, put: Put<'_>) {
    for piece in label.name.pieces() {
        put(piece.as_bytes());
    }
    put(b":");
    for piece in label.value.pieces() {
        put(piece.as_bytes());
    }
}

/// Writes a number in decimal.
fn number(mut value: u32, put: Put<'_>) {
    let mut digits = [0u8; 10];
    let mut used = 0usize;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789".get(usize::try_from(value % 10).unwrap_or_default()).copied().unwrap_or(b'0');
        value /= 10;
        used = used.saturating_add(1);
        if value == 0 {
            break;
        }
    }
    put(digits.get(digits.len().saturating_sub(used)..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn labels_in_order_or_one_label_name_an_instance() {
        for (id, labels, style, want) in [
            (3, r#"mode="idle",cpu="0""#, Style::Prefixed, "3 cpu:0 mode:idle"),
            (3, r#"cpu="0",mode="idle""#, Style::Prefixed, "3 cpu:0 mode:idle"),
            (0, r#"a="1""#, Style::Prefixed, "0 a:1"),
            (4_294_967_295, r#"a="1""#, Style::Prefixed, "4294967295 a:1"),
            (10, r#"b="",a="x y""#, Style::Prefixed, "10 a:x y b:"),
            (1, r#"a_b="2",a="1",aB="3""#, Style::Prefixed, "1 a:1 aB:3 a_b:2"),
            (1, r#"Z="2",a="1""#, Style::Prefixed, "1 Z:2 a:1"),
            (1, r#"a="q\"q\\\n\x""#, Style::Prefixed, "1 a:q\"q\\\n\\x"),
            (0, "", Style::Prefixed, "0 "),
            (7, r#"instance="disk 0",host="h""#, Style::Prefixed, "7 host:h instance:disk 0"),
            (7, r#"instance="disk 0",host="h""#, Style::Verbatim, "disk 0"),
            (7, r#"instance="a",instname="b""#, Style::Verbatim, "b"),
            (7, r#"instname="a\"b""#, Style::Verbatim, "a\"b"),
            (7, r#"instname="""#, Style::Verbatim, ""),
            (7, r#"host="h",a="1""#, Style::Verbatim, "7 a:1 host:h"),
            (7, "", Style::Verbatim, "7 "),
        ] {
            let labels = LabelSet::stored(labels);
            let mut out = Vec::new();
            write(id, labels, style, &mut |piece| out.extend_from_slice(piece));
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn two_spellings_of_one_set_are_one_instance() {
        let identity = |labels| {
            let mut out = Vec::new();
            identity(LabelSet::stored(labels), Style::Prefixed, &mut |piece| out.extend_from_slice(piece));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(identity(r#"a="1",b="2""#), "a:1 b:2");
        assert_eq!(identity(r#"b="2",a="1""#), identity(r#"a="1",b="2""#));
    }
}
