//! What a metric is, all of it constant, and what it may not be.

use pmbridge_core::{
    mapping::Part,
    pcp::{Semantics, Type, Units, label},
};

/// What a metric is. Made and checked by [`Metric`](super::Metric), [`Text`](super::Text) and
/// [`Histogram`](super::Histogram).
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Type,
    pub(super) semantics: Semantics,
    pub(super) units: Units,
    /// Labels of all its instances, or of its one value.
    pub(super) labels: &'static [(&'static str, &'static str)],
    /// The label whose values its instances are, and those; it has one value where there is none.
    pub(super) label: &'static str,
    pub(super) instances: &'static [&'static str],
    pub(super) is_histogram: bool,
}

impl About {
    pub(super) const fn new(
        name: &'static str,
        help: &'static str,
        kind: Type,
        semantics: Semantics,
    ) -> Self {
        assert!(
            is_metric_name(name),
            "a metric's name is words of letters, digits and `_` with dots between them"
        );
        assert!(
            !is_below(name, "pmbridge") && !is_below(name, "openmetrics"),
            "names below `pmbridge` and `openmetrics` are not the device's"
        );
        assert!(!help.is_empty(), "a metric has a help text");
        Self {
            name,
            help,
            kind,
            semantics,
            units: Units::NONE,
            labels: &[],
            label: "",
            instances: &[],
            is_histogram: false,
        }
    }

    pub(super) const fn with_labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.labels = labels;
        self.check_labels();
        self
    }

    pub(super) const fn with_instances(
        mut self,
        label: &'static str,
        instances: &'static [&'static str],
    ) -> Self {
        assert!(!instances.is_empty(), "a metric has an instance or more");
        (self.label, self.instances) = (label, instances);
        let mut rest = instances;
        while let [name, tail @ ..] = rest {
            assert!(
                is_plain(name) && !name.is_empty(),
                "an instance's name is text without quotes, backslashes and control characters"
            );
            let mut others = tail;
            while let [other, tail @ ..] = others {
                assert!(!is_same_instance(name, other), "instances differ before their first blank");
                others = tail;
            }
            rest = tail;
        }
        self.check_labels();
        self
    }

    /// Label names are words, and no two are the same.
    const fn check_labels(&self) {
        let mut rest = self.labels;
        assert!(
            self.label.is_empty() || self.is_label(self.label),
            "a label's name is a letter, then letters, digits and `_`"
        );
        while let [(name, value), tail @ ..] = rest {
            assert!(self.is_label(name), "a label's name is a letter, then letters, digits and `_`");
            assert!(
                is_plain(value),
                "a label's value is text without quotes, backslashes and control characters"
            );
            assert!(!is_same(name, self.label), "no label comes twice");
            let mut others = tail;
            while let [(other, _), tail @ ..] = others {
                assert!(!is_same(name, other), "no label comes twice");
                others = tail;
            }
            rest = tail;
        }
    }

    /// Names that a page or PCP gives a meaning of their own are none of a declaration.
    const fn is_label(&self, name: &str) -> bool {
        let is_taken = is_same(name, "le") && self.is_histogram
            || is_same(name, "instname")
            || is_same(name, "value") && is_text(self.kind);
        label::is_name(name.as_bytes()) && !is_taken
    }

    /// What the names of its metrics in PCP end in.
    const fn ends(&self) -> &'static [&'static str] {
        const PARTS: &[&str] = &[Part::Bucket.suffix(), Part::Sum.suffix(), Part::Count.suffix()];
        if self.is_histogram { PARTS } else { &[""] }
    }
}

/// Whether no two names of a table are the same or in each other's way, in either protocol.
///
/// A name is in another's way where one is above the other (`a` and `a.b`), and where they differ in dots only.
pub const fn are_distinct(all: &[About]) -> bool {
    let mut rest = all;
    while let [one, tail @ ..] = rest {
        let mut others = tail;
        while let [other, tail @ ..] = others {
            if is_in_way(one, other) {
                return false;
            }
            others = tail;
        }
        rest = tail;
    }
    true
}

const fn is_in_way(one: &About, other: &About) -> bool {
    if is_below(one.name, other.name) || is_below(other.name, one.name) {
        return true;
    }
    let mut ends = one.ends();
    while let [end, tail @ ..] = ends {
        let mut others = other.ends();
        while let [another, tail @ ..] = others {
            if is_one_name((one.name, end), (other.name, another)) {
                return true;
            }
            others = tail;
        }
        ends = tail;
    }
    false
}

/// Whether two names, each in two pieces, are the same on a page, where a dot is `_`.
const fn is_one_name(one: (&str, &str), other: (&str, &str)) -> bool {
    let (mut a, mut b) = ((one.0.as_bytes(), one.1.as_bytes()), (other.0.as_bytes(), other.1.as_bytes()));
    loop {
        match (next(&mut a), next(&mut b)) {
            (None, None) => return true,
            (Some(x), Some(y)) if x == y => {}
            _ => return false,
        }
    }
}

const fn next(pieces: &mut (&[u8], &[u8])) -> Option<u8> {
    let (byte, rest) = match (pieces.0, pieces.1) {
        ([byte, rest @ ..], end) => (*byte, (rest, end)),
        ([], [byte, rest @ ..]) => (*byte, (&[] as &[u8], rest)),
        ([], []) => return None,
    };
    *pieces = rest;
    Some(if byte == b'.' { b'_' } else { byte })
}

/// Whether a name is another one, or below it in the name space.
pub(crate) const fn is_below(name: &str, above: &str) -> bool {
    let (mut name, mut above) = (name.as_bytes(), above.as_bytes());
    loop {
        match (name, above) {
            ([x, rest @ ..], [y, tail @ ..]) if *x == *y => (name, above) = (rest, tail),
            ([] | [b'.', ..], []) => return true,
            _ => return false,
        }
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a, b) {
            ([x, rest @ ..], [y, tail @ ..]) if *x == *y => (a, b) = (rest, tail),
            ([], []) => return true,
            _ => return false,
        }
    }
}

/// PCP finds an instance by what its name has before the first blank.
const fn is_same_instance(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a, b) {
            ([] | [b' ', ..], [] | [b' ', ..]) => return true,
            ([x, rest @ ..], [y, tail @ ..]) if *x == *y => (a, b) = (rest, tail),
            _ => return false,
        }
    }
}

const fn is_text(kind: Type) -> bool {
    kind.0 == Type::STRING.0
}

/// Words with dots between them, each a letter and then letters, digits and `_`: what PCP can have, and a page with `_`
/// for the dots.
const fn is_metric_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    let mut begins = true;
    while let [byte, tail @ ..] = rest {
        let fits = match *byte {
            b'.' => !begins,
            byte if begins => byte.is_ascii_alphabetic(),
            byte => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        if !fits {
            return false;
        }
        begins = *byte == b'.';
        rest = tail;
    }
    !begins
}

/// Whether a text stands between quotes as it is.
const fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if byte.is_ascii_control() || *byte == b'"' || *byte == b'\\' {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn about(name: &'static str) -> About {
        About::new(name, "It has one.", Type::U64, Semantics::COUNTER)
    }

    #[test]
    fn a_name_is_one_in_both_protocols() {
        for name in ["up", "a.b_c.D9", "sensor.temperature", "openmetrics_x"] {
            assert!(is_metric_name(name), "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "9a", "a.9", "a-b", "a b", "a:b", "é", "_a", "a._b"] {
            assert!(!is_metric_name(name), "{name}");
        }
    }

    #[test]
    fn names_in_each_others_way_are_found() {
        let is_free = |one, other| are_distinct(&[about(one), about("else"), about(other)]);
        for (one, other) in [("a.b", "a.b"), ("a.b", "a_b"), ("a", "a.b"), ("a.b.c", "a.b")] {
            assert!(!is_free(one, other) && !is_free(other, one), "{one} {other}");
        }
        for (one, other) in [("a.b", "a.c"), ("a.b", "a.bc"), ("ab", "a")] {
            assert!(is_free(one, other) && is_free(other, one), "{one} {other}");
        }
        let histogram = About { is_histogram: true, ..about("x") };
        for (name, is_free) in [("x_sum", false), ("x.bucket", false), ("x_counts", true), ("y", true)] {
            assert_eq!(are_distinct(&[about(name), histogram]), is_free, "{name}");
        }
    }

    #[test]
    fn an_instance_is_what_is_before_the_blank() {
        for (a, b, want) in [
            ("a", "a", true),
            ("a b", "a c", true),
            ("a", "a c", true),
            ("ab", "a b", false),
            ("", "a", false),
        ] {
            assert_eq!((is_same_instance(a, b), is_same_instance(b, a)), (want, want), "{a} {b}");
        }
    }
}
