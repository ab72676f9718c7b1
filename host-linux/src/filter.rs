//! A filter is what a source's configuration says about the samples it sends: FILTER and METADATA lines.
//!
//! Of each sort the first line whose pattern matches decides; what none matches is taken as it comes. A pattern is
//! anchored where a name starts, not where it ends. It is matched in time linear in the name, whatever it is, and
//! compiled into bounded memory: names are bytes, and classes such as `\w` are those of ASCII.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use pmbridge_core::{
    mapping::{
        PcpLine,
        rules::{Fate, Rules},
        unit,
    },
    pcp::{Semantics, Type, Units},
};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// What one FILTER or METADATA line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pattern: String,
    says: Says,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Whether metrics are taken.
    Metric(bool),
    /// What becomes of labels.
    Label(Fate),
    /// What metrics are.
    Is(Description),
}

/// What a metric is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Description {
    kind: Type,
    singular: bool,
    semantics: Semantics,
    units: Units,
    /// The bits of the factor, which are equal where it is.
    factor: u64,
}

impl Rule {
    /// Reads what follows `FILTER:`. The error says what is wrong with it.
    pub(crate) fn filter(text: &str) -> Result<Self, String> {
        let (action, rest) = word(text);
        let (scope, pattern) = word(rest);
        if scope.is_empty() {
            return Err(format!("after '{action}' comes METRIC or LABEL, and a pattern"));
        }
        let action = action.to_ascii_uppercase();
        let says = match (action.as_str(), scope) {
            ("INCLUDE", "METRIC") => Says::Metric(true),
            ("EXCLUDE", "METRIC") => Says::Metric(false),
            ("OPTIONAL", "METRIC") => return Err("OPTIONAL is for labels only".into()),
            ("INCLUDE", "LABEL") => Says::Label(Fate::Keep),
            ("EXCLUDE", "LABEL") => Says::Label(Fate::Drop),
            ("OPTIONAL", "LABEL") => Says::Label(Fate::Optional),
            ("INCLUDE" | "EXCLUDE" | "OPTIONAL", _) => {
                return Err(format!("'{scope}' is neither METRIC nor LABEL"));
            }
            _ => return Err(format!("'{action}' is neither INCLUDE, EXCLUDE nor OPTIONAL")),
        };
        if pattern.is_empty() {
            return Err("there is no pattern".into());
        }
        Self::new(pattern, says)
    }

    /// Reads what follows `METADATA:`. The error says what is wrong with it.
    pub(crate) fn metadata(text: &str) -> Result<Self, String> {
        let (pattern, description) = word(text);
        let mut words = description.split_ascii_whitespace();
        let (Some(kind), Some(_indom), Some(semantics)) = (words.next(), words.next(), words.next()) else {
            return Err("it takes a pattern, type, instance domain, semantics and units".into());
        };
        if !TYPES.contains(&kind) {
            return Err(format!("'{kind}' is no type: {}", TYPES.join(", ")));
        }
        if !SEMANTICS.contains(&semantics) {
            return Err(format!("'{semantics}' is no semantics: {}", SEMANTICS.join(", ")));
        }
        let (_, units) = word(word(word(description).1).1);
        if unit::parse(units).is_none() {
            return Err(format!("'{units}' are no units"));
        }
        let line = PcpLine::metadata("", description).ok_or("too few words")?;
        let PcpLine { kind, singular, semantics, units, factor, .. } = line;
        let factor = factor.to_bits();
        Self::new(pattern, Says::Is(Description { kind, singular, semantics, units, factor }))
    }

    fn new(pattern: &str, says: Says) -> Result<Self, String> {
        let bad = |error: regex::Error| format!("pattern '{pattern}': {}", explain(&error));
        // By itself first: `a)|(b` is two halves of a pattern only within the group that anchors it.
        compile(pattern).map_err(bad)?;
        compile(&anchored(pattern)).map_err(bad)?;
        Ok(Self { pattern: pattern.into(), says })
    }
}

/// The rules of one source.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    rules: Vec<Rule>,
    metrics: Patterns<bool>,
    labels: Patterns<Fate>,
    metadata: Patterns<Description>,
    excluded: RefCell<Excluded>,
}

/// Names that were not taken.
#[derive(Debug, Default)]
struct Excluded {
    all: BTreeSet<Box<str>>,
    /// Those that nobody was told of.
    fresh: Vec<String>,
}

impl Filter {
    /// The filter that these rules make, the first before the others; which of them are too many to have memory for.
    pub(crate) fn new(mut rules: Vec<Rule>) -> (Self, Vec<usize>) {
        let mut dropped = BTreeSet::new();
        let metrics = Patterns::new(&rules, &mut dropped, |says| match says {
            Says::Metric(takes) => Some(takes),
            _ => None,
        });
        let labels = Patterns::new(&rules, &mut dropped, |says| match says {
            Says::Label(fate) => Some(fate),
            _ => None,
        });
        let metadata = Patterns::new(&rules, &mut dropped, |says| match says {
            Says::Is(description) => Some(description),
            _ => None,
        });
        let mut place = 0usize..;
        rules.retain(|_| place.next().is_some_and(|place| !dropped.contains(&place)));
        let this = Self { rules, metrics, labels, metadata, excluded: RefCell::default() };
        (this, dropped.into_iter().collect())
    }

    /// The names, as exposed, of metrics that were not taken, each once; the first thousand only.
    pub(crate) fn excluded(&self) -> Vec<String> {
        std::mem::take(&mut self.excluded.borrow_mut().fresh)
    }
}

/// Filters are equal where they say the same, whatever they were asked so far.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Filter {}

impl Rules for Filter {
    fn takes(&self, name: &str) -> bool {
        let takes = self.metrics.first(name).copied().unwrap_or(true);
        if !takes {
            let mut excluded = self.excluded.borrow_mut();
            if name.len() <= LONGEST && excluded.all.len() < MOST_NAMES && !excluded.all.contains(name) {
                excluded.all.insert(name.into());
                excluded.fresh.push(name.into());
            }
        }
        takes
    }

    fn label(&self, name: &str) -> Fate {
        self.labels.first(name).copied().unwrap_or(Fate::Keep)
    }

    fn describe<'a>(&self, name: &'a str) -> Option<PcpLine<'a>> {
        let Description { kind, singular, semantics, units, factor } = *self.metadata.first(name)?;
        let factor = f64::from_bits(factor);
        Some(PcpLine { name, kind, singular, semantics, units, factor })
    }
}

/// Patterns in order, and what each of them says.
struct Patterns<V> {
    /// `None` where there are none: an empty automaton takes kilobytes, and most sources have none.
    set: Option<RegexSet>,
    says: Vec<V>,
    /// What was found for a name: a page has one name in many lines.
    found: RefCell<HashMap<Box<str>, Option<usize>>>,
}

impl<V> Patterns<V> {
    /// The rules of one sort. Those that do not fit in memory, from some rule on, are named in `dropped`.
    fn new(rules: &[Rule], dropped: &mut BTreeSet<usize>, sort: fn(Says) -> Option<V>) -> Self {
        let (mut places, mut patterns, mut says) = (Vec::new(), Vec::new(), Vec::new());
        for (place, rule) in rules.iter().enumerate() {
            if let Some(value) = sort(rule.says) {
                places.push(place);
                patterns.push(anchored(&rule.pattern));
                says.push(value);
            }
        }
        let (set, fits) = fitting(&patterns);
        dropped.extend(places.into_iter().skip(fits));
        says.truncate(fits);
        Self { set, says, found: RefCell::default() }
    }

    /// What the first pattern that matches says.
    fn first(&self, name: &str) -> Option<&V> {
        let set = self.set.as_ref()?;
        let mut found = self.found.borrow_mut();
        let at = match found.get(name) {
            Some(at) => *at,
            None => {
                let at = set.matches(name.as_bytes()).iter().next();
                if name.len() <= LONGEST && found.len() < MOST_NAMES {
                    found.insert(name.into(), at);
                }
                at
            }
        };
        self.says.get(at?)
    }
}

impl<V> Default for Patterns<V> {
    fn default() -> Self {
        Self { set: None, says: Vec::new(), found: RefCell::default() }
    }
}

impl<V: fmt::Debug> fmt::Debug for Patterns<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.set.as_ref().map_or(&[][..], RegexSet::patterns);
        f.debug_list().entries(patterns.iter().zip(&self.says)).finish()
    }
}

/// As many of the patterns as there is memory for, and how many that is.
fn fitting(patterns: &[String]) -> (Option<RegexSet>, usize) {
    let (mut good, mut tried) = ((None, 0), patterns.len());
    if patterns.is_empty() {
        return good;
    }
    let mut over = patterns.len().saturating_add(1);
    while let Some(first) = patterns.get(..tried) {
        let set =
            RegexSetBuilder::new(first).unicode(false).size_limit(MOST_BYTES).nest_limit(MOST_NESTED).build();
        match set {
            Ok(set) => good = (Some(set), tried),
            Err(_) => over = tried,
        }
        if over.saturating_sub(good.1) <= 1 {
            break;
        }
        tried = good.1.midpoint(over);
    }
    good
}

/// A pattern that matches only where a name starts.
fn anchored(pattern: &str) -> String {
    format!(r"\A(?:{pattern})")
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).size_limit(MOST_PATTERN_BYTES).nest_limit(MOST_NESTED).build()
}

/// What is wrong with a pattern, on one line.
fn explain(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it takes too much memory".into(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).into()
        }
    }
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    (word, rest.trim_start())
}

const TYPES: [&str; 8] = ["32", "u32", "64", "u64", "float", "double", "string", "aggregate"];
const SEMANTICS: [&str; 3] = ["counter", "instant", "discrete"];
/// What one pattern may take, compiled.
const MOST_PATTERN_BYTES: usize = 64 << 10;
/// What all patterns of one sort may take, compiled.
const MOST_BYTES: usize = 1 << 20;
/// How deep groups may be nested.
const MOST_NESTED: u32 = 50;
/// The names that are remembered.
const MOST_NAMES: usize = 1000;
/// Names longer than this are not among them.
const LONGEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(lines: &[&str]) -> Filter {
        let rules = lines.iter().map(|line| match line.split_once(": ").unwrap() {
            ("FILTER", rest) => Rule::filter(rest).unwrap(),
            (_, rest) => Rule::metadata(rest).unwrap(),
        });
        let (filter, dropped) = Filter::new(rules.collect());
        assert_eq!(dropped, [0; 0]);
        filter
    }

    #[test]
    fn the_first_match_decides_and_the_rest_is_taken() {
        let filter = filter(&[
            "FILTER: INCLUDE METRIC metric1",
            "FILTER: EXCLUDE METRIC .*2",
            "FILTER: EXCLUDE METRIC  m",
            "FILTER: exclude METRIC ns:m3",
            "FILTER: OPTIONAL LABEL host",
            "FILTER: EXCLUDE LABEL host|id$",
            "FILTER: INCLUDE LABEL .*",
        ]);
        for (name, want) in [
            ("metric1", true),
            ("metric1_more", true),
            ("metric3", false),
            ("xm", true),
            ("x2", false),
            ("ns:m3x", false),
            ("ns", true),
            ("ns:m4", true),
            ("M", true),
            ("", true),
        ] {
            assert_eq!((filter.takes(name), filter.takes(name)), (want, want), "{name}");
        }
        for (name, want) in [
            ("host", Fate::Optional),
            ("hostname", Fate::Optional),
            ("id", Fate::Drop),
            ("ident", Fate::Keep),
            ("größe", Fate::Keep),
        ] {
            assert_eq!(filter.label(name), want, "{name}");
        }
        assert!(Filter::default().takes("x") && Filter::default().label("x") == Fate::Keep);
    }

    #[test]
    fn excluded_names_are_told_once_and_a_thousand_at_most() {
        let filter = filter(&["FILTER: EXCLUDE METRIC m"]);
        assert_eq!(filter.excluded(), [""; 0]);
        assert!(!filter.takes("m1") && !filter.takes("m2") && !filter.takes("m1") && filter.takes("x"));
        assert_eq!(filter.excluded(), ["m1", "m2"]);
        assert!(!filter.takes("m1"));
        assert_eq!(filter.excluded(), [""; 0]);
        for n in 0..2000 {
            assert!(!filter.takes(&format!("m{n}")) && filter.takes(&format!("x{n}")));
        }
        assert_eq!(filter.excluded().len(), MOST_NAMES - 2);
    }

    #[test]
    fn metadata_describes_by_the_exposed_name() {
        let filter = filter(&[
            "METADATA: ns:m u64 PM_INDOM_NULL counter none",
            "METADATA: disk  u32   x  counter  Kbyte / sec ",
            "METADATA: disk_x string x discrete",
            "METADATA: c double x instant count x 10^3",
            "METADATA: one double x instant 1 millisec",
        ]);
        let ns = filter.describe("ns:m4").unwrap();
        assert_eq!((ns.name, ns.kind, ns.singular), ("ns:m4", Type::U64, true));
        let disk = filter.describe("disk_x").unwrap();
        assert_eq!((disk.kind, disk.singular, disk.semantics), (Type::U32, false, Semantics::COUNTER));
        assert_eq!(disk.units, unit::parse("Kbyte / sec").unwrap().0);
        assert_eq!(filter.describe("c").unwrap().units, unit::parse("count x 10^3").unwrap().0);
        assert_eq!(filter.describe("one").unwrap().units, unit::parse("millisec").unwrap().0);
        assert_eq!(filter.describe("xdisk"), None);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_refused_with_the_reason() {
        for (text, want) in [
            ("", "after '' comes METRIC or LABEL, and a pattern"),
            ("JUNK", "after 'JUNK' comes METRIC or LABEL, and a pattern"),
            ("INCLUDE .*", "'.*' is neither METRIC nor LABEL"),
            ("EXCLUDE metric x", "'metric' is neither METRIC nor LABEL"),
            ("DISCARD METRIC x", "'DISCARD' is neither INCLUDE, EXCLUDE nor OPTIONAL"),
            ("OPTIONAL METRIC x", "OPTIONAL is for labels only"),
            ("EXCLUDE LABEL", "there is no pattern"),
            ("EXCLUDE METRIC a(b", "pattern 'a(b': unclosed group"),
            ("EXCLUDE METRIC a)|(b", "pattern 'a)|(b': unopened group"),
            ("EXCLUDE METRIC (?x)a#", "pattern '(?x)a#': unclosed group"),
            (
                "EXCLUDE METRIC a(?=b)",
                "pattern 'a(?=b)': look-around, including look-ahead and look-behind, is not supported",
            ),
            (r"EXCLUDE METRIC (a)\1", r"pattern '(a)\1': backreferences are not supported"),
            (
                "EXCLUDE METRIC (((a{100}){100}){100}){100}",
                "pattern '(((a{100}){100}){100}){100}': it takes too much memory",
            ),
        ] {
            assert_eq!(Rule::filter(text), Err(want.into()), "{text}");
        }
        for (text, want) in [
            ("", "it takes a pattern, type, instance domain, semantics and units"),
            ("a u32 x", "it takes a pattern, type, instance domain, semantics and units"),
            ("a U32 x counter", "'U32' is no type: 32, u32, 64, u64, float, double, string, aggregate"),
            ("a u32 x count", "'count' is no semantics: counter, instant, discrete"),
            ("a u32 x counter rubbish", "'rubbish' are no units"),
            ("a[ u32 x counter", "pattern 'a[': unclosed character class"),
        ] {
            assert_eq!(Rule::metadata(text), Err(want.into()), "{text}");
        }
    }

    #[test]
    fn many_big_patterns_are_dropped_from_the_first_that_does_not_fit() {
        let big = "EXCLUDE METRIC a{1000}";
        let mut rules = vec![Rule::filter("EXCLUDE METRIC small").unwrap()];
        rules.extend((0..2000).map(|_| Rule::filter(big).unwrap()));
        let (filter, dropped) = Filter::new(rules);
        assert!(!filter.takes("small") && filter.takes("a"));
        let kept = 2001 - dropped.len();
        assert!((2..2000).contains(&kept), "{kept}");
        assert_eq!(dropped, (kept..2001).collect::<Vec<_>>());
    }

    #[test]
    fn a_pattern_that_backtracking_never_finishes_takes_no_time() {
        let filter = filter(&[r"FILTER: EXCLUDE METRIC (a+)+$"]);
        let began = std::time::Instant::now();
        assert!(filter.takes(&format!("{}b", "a".repeat(10_000))));
        assert!(began.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn filters_are_equal_where_they_say_the_same() {
        let one = filter(&["FILTER: EXCLUDE METRIC m"]);
        let other = filter(&["FILTER: EXCLUDE METRIC m"]);
        one.takes("m");
        assert_eq!(one, other);
        assert_ne!(one, filter(&["FILTER: INCLUDE METRIC m"]));
        assert_ne!(one, Filter::default());
    }
}
