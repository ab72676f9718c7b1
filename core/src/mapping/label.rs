//! The labels of a series are those of all levels, as one flat set: an inner level wins by name.
//!
//! | in PCP | in the exposition |
//! |---|---|
//! | text | the text |
//! | number, `true`, `false`, `null`, list | its JSON text |
//! | object | its values, their names put behind its own: `a_b` |
//! | a name with other characters than letters, digits and `_` | `_` for each of them |
//! | a name that begins with a digit, or is empty | `_` in front |
//! | a name that begins with `__`, which are Prometheus' own | one `_` less until it does not |
//!
//! Where that makes one name of two, the later one wins, as an inner one does.
//!
//! An instance has two labels of its own. Its number, `instid`, wins over whatever PCP has of that name, so no two
//! instances have the same labels. Its name, `instname`, wins over the labels of all levels but the instance's own set,
//! in which an agent may give it a better one. A metric without instances has what PCP has.

use core::{cmp::Ordering, mem};

use super::{
    Put,
    json::{self, Path},
};
use crate::{
    exposition::{
        LabelSet, value,
        writer::{escape_label, is_as_written},
    },
    pcp::label::is_name,
};

/// What is an instance's own.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instance<'a> {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: &'a [u8],
    /// Its set of labels.
    pub labels: &'a [u8],
}

/// Whether a text is labels as an exposition has them between braces, of which PCP can have all: each once, and named for both.
pub fn are_labels(text: &str) -> bool {
    let labels = LabelSet::stored(text);
    let is_once = |name| labels.iter().filter(|label| label.name == name).count() == 1;
    text.is_empty()
        || is_as_written(text.as_bytes())
            && labels.iter().all(|label| is_name(label.name.raw().as_bytes()) && is_once(label.name))
}

/// Writes the labels of some sets, outermost first, and those of an instance, as they stand between a sample's braces:
/// by name, each name once.
///
/// Each set is one JSON object, or empty; one that is neither has no labels.
pub fn merge(sets: &[&[u8]], instance: Option<Instance<'_>>, put: Put<'_>) {
    let mut before: Option<Found<'_>> = None;
    loop {
        let row = next(sets, instance, before.as_ref());
        for found in row.iter().flatten() {
            put(if before.is_some() { b"," } else { b"" });
            found.write(put);
            before = Some(*found);
        }
        if row.iter().any(Option::is_none) {
            return;
        }
    }
}

/// Writes a set of labels without those of these names, as an object that has no other in it. What is no object is
/// nothing.
pub fn without(names: &[&str], set: &[u8], put: Put<'_>) {
    if json::values(set, &mut |_, _| {}).is_none() {
        return;
    }
    let mut before: &[u8] = b"{\"";
    let _ = json::values(set, &mut |path, value| {
        if names.iter().any(|name| path.names().eq([name.as_bytes()])) {
            return;
        }
        put(before);
        for (n, name) in path.names().enumerate() {
            // As good as any byte of which `merge` makes a `_`.
            put(if n > 0 { b"." } else { b"" });
            put(name);
        }
        put(b"\":");
        put(value);
        before = b",\"";
    });
    put(if before == b"{\"" { b"{}" } else { b"}" });
}

/// How many labels one look at the sets finds. Few series have more.
const ROW: usize = 16;

type Row<'a> = [Option<Found<'a>>; ROW];

/// The labels whose names come next after `before`, in order.
fn next<'a>(sets: &[&'a [u8]], instance: Option<Instance<'a>>, before: Option<&Found<'a>>) -> Row<'a> {
    let mut row = Row::default();
    for set in sets {
        offer_all(&mut row, set, before);
    }
    if let Some(Instance { id, name, labels }) = instance {
        offer(&mut row, Found::new(Path::new(b"instname"), Value::Plain(name)), before);
        offer_all(&mut row, labels, before);
        offer(&mut row, Found::new(Path::new(b"instid"), Value::Number(id)), before);
    }
    row
}

fn offer_all<'a>(row: &mut Row<'a>, set: &'a [u8], before: Option<&Found<'a>>) {
    // It is known whether a text is an object when its end is reached.
    if json::values(set, &mut |_, _| {}).is_some() {
        let _ = json::values(set, &mut |path, raw| {
            offer(row, Found::new(*path, Value::Json(raw)), before);
        });
    }
}

/// Puts a label in its place in the row, and what it pushes out of the row is for the next.
fn offer<'a>(row: &mut Row<'a>, mut found: Found<'a>, before: Option<&Found<'a>>) {
    if before.is_some_and(|before| found.by_name(before).is_le()) {
        return;
    }
    let mut is_placed = false;
    for slot in row {
        let Some(there) = slot else {
            *slot = Some(found);
            return;
        };
        match if is_placed { Ordering::Less } else { found.by_name(there) } {
            Ordering::Greater => {}
            Ordering::Equal => {
                *there = found;
                return;
            }
            Ordering::Less => {
                mem::swap(there, &mut found);
                is_placed = true;
            }
        }
    }
}

/// A label of some set.
#[derive(Clone, Copy)]
struct Found<'a> {
    path: Path<'a>,
    /// The name, where it can stay as it is.
    plain: Option<&'a [u8]>,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Json(&'a [u8]),
    Plain(&'a [u8]),
    Number(i32),
}

impl<'a> Found<'a> {
    fn new(path: Path<'a>, value: Value<'a>) -> Self {
        let mut names = path.names();
        let plain = match (names.next(), names.next()) {
            (Some(name), None) if is_plain(name) => Some(name),
            _ => None,
        };
        Self { path, plain, value }
    }

    fn by_name(&self, other: &Self) -> Ordering {
        match (self.plain, other.plain) {
            (Some(name), Some(other)) => name.cmp(other),
            _ => legal(&self.path).cmp(legal(&other.path)),
        }
    }

    fn write(&self, put: Put<'_>) {
        match self.plain {
            Some(name) => put(name),
            None => legal(&self.path).for_each(|byte| put(&[byte])),
        }
        put(b"=\"");
        match self.value {
            Value::Json(raw) => json::meaning(raw, &mut |piece| escape_label(piece, put)),
            Value::Plain(text) => escape_label(text, put),
            Value::Number(number) => value::signed(number.into(), put),
        }
        put(b"\"");
    }
}

/// The name that a path makes.
fn legal(path: &Path<'_>) -> impl Iterator<Item = u8> {
    let joined = path.names().enumerate().flat_map(|(n, name)| {
        let between = (n > 0).then_some(b'_');
        // Of a character of several bytes the first counts.
        between.into_iter().chain(name.iter().copied().filter(|byte| !(0x80..0xc0).contains(byte)))
    });
    let mut bytes = joined.map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'_' }).peekable();
    let mut has_mark = false;
    while bytes.peek() == Some(&b'_') {
        bytes.next();
        has_mark = true;
    }
    let needs_mark = has_mark || bytes.peek().is_none_or(u8::is_ascii_digit);
    needs_mark.then_some(b'_').into_iter().chain(bytes)
}

fn is_plain(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::exposition::{Line, line};
    use std::{format, string::String, vec::Vec};

    /// The labels of these sets, and of an instance: its number, its name and its set.
    fn merged(sets: &[&str], instance: Option<(i32, &str, &str)>) -> String {
        let sets: Vec<&[u8]> = sets.iter().map(|set| set.as_bytes()).collect();
        let instance = instance.map(|(id, name, labels)| Instance {
            id,
            name: name.as_bytes(),
            labels: labels.as_bytes(),
        });
        let mut out = Vec::new();
        merge(&sets, instance, &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_inner_level_wins_and_names_are_in_order() {
        for (sets, want) in [
            (&[][..], ""),
            (&["", "{}"], ""),
            (&[r#"{"b":"1","a":"2"}"#], r#"a="2",b="1""#),
            (&[r#"{"a":"out","b":"x"}"#, r#"{"c":"3"}"#, r#"{"a":"in"}"#], r#"a="in",b="x",c="3""#),
            (&[r#"{"a":"1","a":"2"}"#], r#"a="2""#),
            (&[r#"{"a":1,"b":true,"c":null,"d":2.50}"#], r#"a="1",b="true",c="null",d="2.50""#),
            (&[r#"{"a":[1,"x"]}"#], r#"a="[1,\"x\"]""#),
            (&[r#"{"a":{"b":{"c":"x"},"d":1}}"#], r#"a_b_c="x",a_d="1""#),
            (&[r#"{"a_b":"flat"}"#, r#"{"a":{"b":"deep"}}"#], r#"a_b="deep""#),
            (&[r#"{"a":{"b":"deep"}}"#, r#"{"a_b":"flat"}"#], r#"a_b="flat""#),
            (&[r#"{"a":"say \"hi\"\n\\ caf\u00e9 ü"}"#], r#"a="say \"hi\"\n\\ café ü""#),
            (&[r#"{"a":""}"#], r#"a="""#),
        ] {
            assert_eq!(merged(sets, None), want, "{sets:?}");
        }
    }

    #[test]
    fn a_bad_set_costs_that_set() {
        let (good, bad) = (r#"{"a":"1","b":"2"}"#, r#"{"a":"3","c":"4""#);
        assert_eq!(merged(&[good, bad], None), r#"a="1",b="2""#);
        assert_eq!(merged(&[bad, good], None), r#"a="1",b="2""#);
        assert_eq!(merged(&[good], Some((7, "x", bad))), r#"a="1",b="2",instid="7",instname="x""#);
    }

    #[test]
    fn an_instance_has_its_number_whatever_pcp_calls_so() {
        let set = r#"{"instid":"x","a":"1"}"#;
        for sets in [&[set][..], &[set, "", ""], &["", "", set], &[]] {
            for own in ["", set, r#"{"instid":null}"#] {
                let labels = merged(sets, Some((-7, "n", own)));
                assert!(labels.contains(r#"instid="-7",instname="n""#), "{sets:?} {own}: {labels}");
                assert_eq!(labels.matches("instid=").count(), 1, "{labels}");
            }
        }
        assert_eq!(merged(&[set], None), r#"a="1",instid="x""#);
    }

    #[test]
    fn an_instance_has_its_name_unless_its_own_set_has_another() {
        let other = r#"{"instname":"other"}"#;
        let with = |sets: &[&str], own| merged(sets, Some((7, "cpu \"0\"\n", own)));
        let plain = r#"instid="7",instname="cpu \"0\"\n""#;
        assert_eq!(with(&[], ""), plain);
        assert_eq!(with(&[other, other, other, other, other], ""), plain);
        assert_eq!(with(&[other], r#"{"instname":"own"}"#), r#"instid="7",instname="own""#);
        assert_eq!(merged(&[other], Some((7, "", ""))), r#"instid="7",instname="""#);
        assert_eq!(merged(&[other], None), r#"instname="other""#);
        let mut out = Vec::new();
        let instance = Instance { id: 1, name: b"caf\xe9", labels: b"" };
        merge(&[], Some(instance), &mut |piece| out.extend_from_slice(piece));
        assert_eq!(out, "instid=\"1\",instname=\"caf\u{fffd}\"".as_bytes());
    }

    #[test]
    fn labels_that_are_left_out_are_missing_and_the_others_what_they_were() {
        let without = |set: &str| {
            let mut out = Vec::new();
            without(&["u", "g"], set.as_bytes(), &mut |piece| out.extend_from_slice(piece));
            String::from_utf8(out).unwrap()
        };
        for (set, want) in [
            ("", ""),
            ("{}", "{}"),
            (r#"{"u":0}"#, "{}"),
            (r#"{"a":"x","g":0,"h":[1, "b"],"u":0}"#, r#"{"a":"x","h":[1, "b"]}"#),
            (r#"{"g":{"u":"in"},"u":{"b":1},"a":{"u":2}}"#, r#"{"g.u":"in","u.b":1,"a.u":2}"#),
            (r#"{"say \"u\"":"\u00e9","u":1}"#, r#"{"say \"u\"":"\u00e9"}"#),
            (r#"{"a":1,"u":2"#, ""),
        ] {
            assert_eq!(without(set), want, "{set}");
            let twice = without(want);
            assert_eq!((&*twice, merged(&[&twice], None)), (want, merged(&[want], None)));
        }
        let nested = r#"{"a":{"b":{"c":"x"},"":{"d":1}},"__e":{"f":[1]},"":{"":2}}"#;
        assert_eq!(merged(&[&without(nested)], None), merged(&[nested], None));
    }

    #[test]
    fn names_become_legal_and_no_two_are_alike() {
        for (name, want) in [
            ("a.b-c", "a_b_c"),
            ("9to5", "_9to5"),
            ("", "_"),
            ("_x", "_x"),
            ("__name__", "_name__"),
            ("größe", "gr__e"),
            ("a:b", "a_b"),
        ] {
            assert_eq!(merged(&[&format!(r#"{{"{name}":1}}"#)], None), format!(r#"{want}="1""#));
        }
        assert_eq!(merged(&[r#"{"a.b":1,"a-b":2}"#, r#"{"a":{"b":3}}"#], None), r#"a_b="3""#);
    }

    #[test]
    fn many_labels_are_all_there_in_order() {
        for n in [15, 16, 17, 31, 32, 33, 254] {
            let member = |i: usize| format!(r#""l{i:03}":"{i}""#);
            let backwards: Vec<String> = (0..n).rev().map(member).collect();
            let set = format!("{{{}}}", backwards.join(","));
            let out = merged(&[&set, r#"{"l007":"in"}"#], None);
            let want: Vec<String> = (0..n)
                .map(|i| if i == 7 { r#"l007="in""#.into() } else { format!(r#"l{i:03}="{i}""#) })
                .collect();
            assert_eq!(out, want.join(","), "{n}");
        }
    }

    #[test]
    fn any_bytes_make_a_set_that_can_be_read() {
        let alphabet = [
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            ":",
            ",",
            "a",
            "b",
            "_",
            "1",
            "\n",
            " ",
            "\"a\":",
            "\"b\":1",
            "\\u0022",
            "\\ud83d",
            "ü",
            "{\"a\":\"",
            "\"}",
            "true",
            "\t",
        ];
        let mut dice = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut set = String::from("{\"x\":\"");
            for _ in 0..12 {
                set.push_str(alphabet[dice.usize(..alphabet.len())]);
            }
            set.push_str("\"}");
            let text = format!("m{{{}}} 1", merged(&[&set], Some((1, &set, &set))));
            assert!(matches!(line(text.as_bytes()), Ok(Line::Sample(_))), "{set} became {text}");
        }
    }
}
