//! A PCP name is `openmetrics`, the source and the exposition's name, joined by dots.

use super::Put;

/// Whether a metric of this name can have a PCP name: a letter first, and letters and digits alone once
/// `_`, `.` and `:` are taken away. ASCII only, as PCP's tools are.
pub fn is_valid(name: &str) -> bool {
    name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'))
}

/// Writes the PCP name of a metric that no PCP line names. A colon becomes a dot.
pub fn write(root: &str, source: &str, name: &str, put: Put<'_>) {
    write_verbatim(root, source, "", put);
    for (n, piece) in name.as_bytes().split(|byte| *byte == b':').enumerate() {
        if n > 0 {
            put(b".");
        }
        put(piece);
    }
}

/// Writes the PCP name of a metric that a PCP line names. Its name stays as it is.
pub fn write_verbatim(root: &str, source: &str, name: &str, put: Put<'_>) {
    for piece in [root, ".", source, ".", name] {
        put(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn a_name_begins_with_a_letter_and_is_plain() {
        for (name, want) in [
            ("up", true),
            ("a", true),
            ("X9", true),
            ("go_gc_duration_seconds", true),
            ("job:rate:5m", true),
            ("cgroup.memory.stat", true),
            ("a_", true),
            ("", false),
            ("_x", false),
            (":x", false),
            (".x", false),
            ("9x", false),
            ("a-b", false),
            ("a b", false),
            ("my.metric{", false),
            ("métrique", false),
            ("été", false),
        ] {
            assert_eq!(is_valid(name), want, "{name}");
        }
    }

    #[test]
    fn only_the_colons_of_an_exposition_name_become_dots() {
        for (source, name, want) in [
            ("node", "up", "openmetrics.node.up"),
            ("sub.dir.x", "a_b", "openmetrics.sub.dir.x.a_b"),
            ("p", "job:rate:5m", "openmetrics.p.job.rate.5m"),
            ("p", "a.b:c", "openmetrics.p.a.b.c"),
            ("p", "a::b", "openmetrics.p.a..b"),
        ] {
            let mut out = Vec::new();
            write("openmetrics", source, name, &mut |piece| out.extend_from_slice(piece));
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
        let mut out = Vec::new();
        write_verbatim("openmetrics", "p", "a:b", &mut |piece| out.extend_from_slice(piece));
        assert_eq!(out, b"openmetrics.p.a:b");
    }
}
