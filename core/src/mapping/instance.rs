//! An instance is named by its labels, sorted by name, behind its number; or by the one label that a PCP line means.
//!
//! The name without the number is what makes two spellings of a label set one instance.

use memchr::memchr;

use super::{Compat, Put};
use crate::exposition::{Escaped, Label, LabelSet, value as text};

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
pub fn write(id: u32, labels: LabelSet<'_>, style: Style, compat: Compat, put: Put<'_>) {
    if is_prefixed(labels, style) {
        prefix(id, put);
    }
    identity(labels, style, compat, put);
}

/// Writes the name of instance `id` with its number in front, whether it is named so or not.
pub fn write_prefixed(id: u32, labels: LabelSet<'_>, style: Style, compat: Compat, put: Put<'_>) {
    prefix(id, put);
    identity(labels, style, compat, put);
}

/// Whether an instance's name begins with its number.
pub fn is_prefixed(labels: LabelSet<'_>, style: Style) -> bool {
    naming(labels, style).is_none()
}

/// Writes what the name of instance `id` begins with.
pub fn prefix(id: u32, put: Put<'_>) {
    text::unsigned(id.into(), put);
    put(b" ");
}

/// Writes the name of an instance but for its number.
pub fn identity(labels: LabelSet<'_>, style: Style, compat: Compat, put: Put<'_>) {
    if let Some(label) = naming(labels, style) {
        return value(label.value, compat, put);
    }
    let mut before = None;
    while let Some(label) = after(labels, before) {
        if before.is_some() {
            put(b" ");
        }
        for piece in label.name.pieces() {
            put(piece.as_bytes());
        }
        put(b":");
        value(label.value, compat, put);
        before = Some(label);
    }
}

/// Writes a label's value. PCP 7.2 leaves a doubled backslash as it was sent.
fn value(value: Escaped<'_>, compat: Compat, put: Put<'_>) {
    let mut rest = value.raw().as_bytes();
    while let Some((plain, escape)) = memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        put(plain);
        let (meaning, len): (&[u8], usize) = match (escape.get(1), compat) {
            (Some(b'n'), _) => (b"\n", 2),
            (Some(b'"'), _) => (b"\"", 2),
            (Some(b'\\'), Compat::V72) => (b"\\\\", 2),
            (Some(b'\\'), Compat::V60) => (b"\\", 2),
            _ => (b"\\", 1),
        };
        put(meaning);
        rest = escape.get(len..).unwrap_or_default();
    }
    put(rest);
}

/// The label that alone names the instance.
fn naming(labels: LabelSet<'_>, style: Style) -> Option<Label<'_>> {
    let named = |word: &str| labels.iter().find(|label| label.name == *word);
    match style {
        Style::Prefixed => None,
        // Nobody but a PCP line or a configuration says so.
        Style::Verbatim if !cfg!(feature = "full") => None,
        Style::Verbatim => named("instname").or_else(|| named("instance")),
    }
}

/// The label whose name follows in order. A scan each: sets are short, and there is no room to sort in.
fn after<'a>(labels: LabelSet<'a>, before: Option<Label<'a>>) -> Option<Label<'a>> {
    let mut next: Option<Label<'a>> = None;
    for label in labels.iter() {
        let late = before.is_none_or(|before| label.name > before.name);
        if late && next.is_none_or(|next| label.name < next.name) {
            next = Some(label);
        }
    }
    next
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
            // Chips have no such sources.
            if style == Style::Verbatim && !cfg!(feature = "full") {
                continue;
            }
            let labels = LabelSet::stored(labels);
            let mut out = Vec::new();
            write(id, labels, style, Compat::V60, &mut |piece| out.extend_from_slice(piece));
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn newer_versions_leave_doubled_backslashes() {
        let labels = LabelSet::stored(r#"a="q\"q\\\n\x\\n""#);
        for (compat, want) in [(Compat::V60, "1 a:q\"q\\\n\\x\\n"), (Compat::V72, "1 a:q\"q\\\\\n\\x\\\\n")] {
            let mut out = Vec::new();
            write(1, labels, Style::Prefixed, compat, &mut |piece| out.extend_from_slice(piece));
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn two_spellings_of_one_set_are_one_instance() {
        let identity = |labels| {
            let mut out = Vec::new();
            identity(LabelSet::stored(labels), Style::Prefixed, Compat::V60, &mut |piece| {
                out.extend_from_slice(piece);
            });
            String::from_utf8(out).unwrap()
        };
        assert_eq!(identity(r#"a="1",b="2""#), "a:1 b:2");
        assert_eq!(identity(r#"b="2",a="1""#), identity(r#"a="1",b="2""#));
    }
}
