//! A PCP line is a comment that says what a metric is in PCP's own words, so that nothing is guessed.
//!
//! `# PCP5 NAME PMID TYPE INDOM SEMANTICS UNITS...` says all of it (the PMID is of the machine that
//! wrote it, and is ignored); the older `# PCP NAME SEMANTICS UNITS...` has no type, which then is
//! double. `METADATA` lines of a source's configuration say the same of names that match.

use super::unit;
use crate::pcp::{Semantics, Type, Units};

/// What a PCP line says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PcpLine<'a> {
    /// The name below the source, dots and all.
    pub name: &'a str,
    /// How values are encoded. Double where the line says nothing that is known.
    pub kind: Type,
    /// Whether there is one value, whatever labels a sample has.
    pub singular: bool,
    /// How values relate over time. Instant where the line says nothing that is known.
    pub semantics: Semantics,
    /// Dimension and scale. None where the line says nothing that is known.
    pub units: Units,
    /// What values are to be multiplied by to be in these units: 100 of `100 millisec`.
    pub factor: f64,
}

impl<'a> PcpLine<'a> {
    /// Reads the text of a comment. `None` is a comment of another sort, or too few words to describe a metric.
    pub fn parse(comment: &'a str) -> Option<Self> {
        let start = comment.bytes().position(|byte| !matches!(byte, b'#' | b' ' | b'\t'))?;
        let mut words = Words(comment.get(start..)?);
        match words.next()? {
            "PCP5" => {
                let name = words.next()?;
                let _pmid = words.next()?;
                Self::described(name, words)
            }
            "PCP" => {
                let name = words.next()?;
                let singular = is_singular(name, words);
                let semantics = words.next().unwrap_or_default();
                Some(Self::measured(name, Type::DOUBLE, singular, semantics, words))
            }
            _ => None,
        }
    }

    /// Reads what follows the pattern in a METADATA line, for a metric of this name.
    pub fn metadata(name: &'a str, description: &'a str) -> Option<Self> {
        Self::described(name, Words(description))
    }

    /// Reads type, InDom, semantics and units.
    fn described(name: &'a str, mut words: Words<'a>) -> Option<Self> {
        let singular = is_singular(name, words);
        let kind = kind(words.next()?);
        let _indom = words.next()?;
        let semantics = words.next()?;
        Some(Self::measured(name, kind, singular, semantics, words))
    }

    /// Reads semantics and units.
    fn measured(name: &'a str, kind: Type, singular: bool, semantics: &str, rest: Words<'_>) -> Self {
        let (units, factor) = unit::parse(rest.0).unwrap_or((Units::NONE, 1.0));
        Self { name, kind, singular, semantics: self::semantics(semantics), units, factor }
    }
}

/// Any word of the line will do, wherever it stands.
fn is_singular(name: &str, words: Words<'_>) -> bool {
    core::iter::once(name).chain(words).any(|word| word == "PM_INDOM_NULL")
}

fn kind(word: &str) -> Type {
    match word {
        "32" => Type::I32,
        "u32" => Type::U32,
        "64" => Type::I64,
        "u64" => Type::U64,
        "float" => Type::FLOAT,
        "string" => Type::STRING,
        "aggregate" => Type::AGGREGATE,
        _ => Type::DOUBLE,
    }
}

fn semantics(word: &str) -> Semantics {
    match word {
        "counter" => Semantics::COUNTER,
        "discrete" => Semantics::DISCRETE,
        _ => Semantics::INSTANT,
    }
}

/// The words of a line, taken off its front.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_ascii_start();
        let end = rest.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len());
        let (word, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    const RATE: Units = Units::new(1, -1, 0, 1, 3, 0);

    #[test]
    fn a_line_says_what_a_metric_is_and_what_it_leaves_out_is_plain() {
        type Row = (&'static str, Option<(&'static str, Type, bool, Semantics, Units)>);
        let rows: [Row; 19] = [
            (
                " PCP5 sample.load 29.0.5 u32 PM_INDOM_NULL instant none",
                Some(("sample.load", Type::U32, true, Semantics::INSTANT, Units::NONE)),
            ),
            (
                "# PCP5 disk.dev.read 60.0.4 u64 60.1 counter count",
                Some(("disk.dev.read", Type::U64, false, Semantics::COUNTER, Units::COUNT)),
            ),
            (
                " PCP5 a.b 1.2.3 32 1.2 discrete Kbyte  /  sec ",
                Some(("a.b", Type::I32, false, Semantics::DISCRETE, RATE)),
            ),
            (" PCP5 a 1 64 x instant", Some(("a", Type::I64, false, Semantics::INSTANT, Units::NONE))),
            (" PCP5 a 1 float x what byte", Some(("a", Type::FLOAT, false, Semantics::INSTANT, Units::BYTE))),
            (" PCP5 a 1 double x counter", Some(("a", Type::DOUBLE, false, Semantics::COUNTER, Units::NONE))),
            (" PCP5 a 1 what x counter", Some(("a", Type::DOUBLE, false, Semantics::COUNTER, Units::NONE))),
            (
                " PCP5 a 1 string x discrete",
                Some(("a", Type::STRING, false, Semantics::DISCRETE, Units::NONE)),
            ),
            (
                " PCP5 a 1 aggregate x discrete",
                Some(("a", Type::AGGREGATE, false, Semantics::DISCRETE, Units::NONE)),
            ),
            (
                " PCP5 a PM_INDOM_NULL u32 x instant sec",
                Some(("a", Type::U32, false, Semantics::INSTANT, Units::SECOND)),
            ),
            (" PCP5 a 1 u32 x", None),
            (" PCP5 a", None),
            (" PCP5", None),
            (
                " PCP a.b.c counter byte / sec",
                Some(("a.b.c", Type::DOUBLE, false, Semantics::COUNTER, Units::new(1, -1, 0, 0, 3, 0))),
            ),
            (" PCP a.b.c", Some(("a.b.c", Type::DOUBLE, false, Semantics::INSTANT, Units::NONE))),
            (
                " PCP a instant PM_INDOM_NULL",
                Some(("a", Type::DOUBLE, true, Semantics::INSTANT, Units::NONE)),
            ),
            (" PCP", None),
            (" pcp a counter byte", None),
            (" just a comment", None),
        ];
        for (line, want) in rows {
            let want = want.map(|(name, kind, singular, semantics, units)| PcpLine {
                name,
                kind,
                singular,
                semantics,
                units,
                factor: 1.0,
            });
            assert_eq!(PcpLine::parse(line), want, "{line}");
        }
    }

    #[test]
    fn a_factor_before_units_scales_values() {
        for (words, factor) in
            [("millisec", 1.0), ("100 millisec", 100.0), ("0.5 Kbyte / 2 sec", 0.25), ("none", 1.0)]
        {
            let line = std::format!(" PCP5 a 1 u32 x instant {words}");
            assert_eq!(PcpLine::parse(&line).map(|line| line.factor), Some(factor), "{words}");
        }
    }

    #[test]
    fn metadata_describes_under_the_name_it_was_asked_for() {
        let line = PcpLine::metadata("a:b", "u64 PM_INDOM_NULL counter Kbyte / sec").unwrap();
        assert_eq!((line.name, line.kind, line.singular), ("a:b", Type::U64, true));
        assert_eq!((line.semantics, line.units), (Semantics::COUNTER, RATE));
        assert_eq!(PcpLine::metadata("a", "u64 x"), None);
    }
}
