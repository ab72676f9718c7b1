//! Which metrics a page has: those at and below some names, but for those that patterns exclude.

use std::ops::Range;

use regex::bytes::{RegexSet, RegexSetBuilder};

/// Which metrics a scrape wants. Scrapes of equal selections share a fetch.
#[derive(Debug)]
pub(crate) struct Selection {
    names: Vec<String>,
    patterns: Vec<(Matching, String)>,
    excluded: Option<RegexSet>,
    texts: bool,
}

/// How a pattern is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Matching {
    /// `*`, `?` and `[...]`, of the whole name.
    #[default]
    Glob,
    /// A regular expression that matches anywhere in the name.
    Regex,
    /// The name itself.
    Exact,
}

impl Matching {
    /// The way of this word, as requests have it.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "glob" => Self::Glob,
            "regex" => Self::Regex,
            "exact" => Self::Exact,
            _ => return None,
        })
    }
}

impl Selection {
    /// The metrics at and below these names (all, where there are none) that match none of these patterns.
    ///
    /// # Errors
    ///
    /// A pattern that is none, in words.
    pub(crate) fn new(names: Vec<String>, patterns: Vec<(Matching, String)>) -> Result<Self, String> {
        let excluded = if patterns.is_empty() { None } else { Some(compile(&patterns)?) };
        Ok(Self { names, patterns, excluded, texts: true })
    }

    /// The same, with metrics whose values are strings or without. Nothing is fetched that is not shown.
    pub(crate) const fn with_texts(mut self, texts: bool) -> Self {
        self.texts = texts;
        self
    }

    /// Whether strings are wanted.
    pub(crate) const fn has_texts(&self) -> bool {
        self.texts
    }

    /// The places of the selected among these names, which are in order. Of its own names those that select nothing,
    /// by their places.
    pub(crate) fn of(&self, all: &[impl AsRef<str>], unknown: &mut Vec<usize>) -> Vec<usize> {
        let mut places = Vec::new();
        if self.names.is_empty() {
            places.extend(0..all.len());
        }
        for (at, name) in self.names.iter().enumerate() {
            let before = places.len();
            for range in below(all, name) {
                places.extend(range);
            }
            if places.len() == before {
                unknown.push(at);
            }
        }
        places.sort_unstable();
        places.dedup();
        if let Some(excluded) = &self.excluded {
            let is_excluded = |name: &str| excluded.is_match(name.as_bytes());
            places.retain(|place| all.get(*place).is_some_and(|name| !is_excluded(name.as_ref())));
        }
        places
    }

    /// The names that it was made of.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Selections are equal where they select the same for the same reason.
impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names && self.patterns == other.patterns && self.texts == other.texts
    }
}

impl Eq for Selection {}

/// Where a name, and the names below it, are among names in order.
fn below(all: &[impl AsRef<str>], name: &str) -> [Range<usize>; 2] {
    let first = |bound: &str| all.partition_point(|other| other.as_ref() < bound);
    if name.is_empty() {
        return [0..all.len(), 0..0];
    }
    let itself = first(name);
    let is_there = all.get(itself).is_some_and(|other| other.as_ref() == name);
    // What follows the dot in the order of bytes is the slash.
    [
        itself..itself.saturating_add(usize::from(is_there)),
        first(&format!("{name}."))..first(&format!("{name}/")),
    ]
}

fn compile(patterns: &[(Matching, String)]) -> Result<RegexSet, String> {
    let expressions = patterns.iter().map(|(matching, pattern)| match matching {
        Matching::Glob => glob(pattern),
        Matching::Regex => pattern.clone(),
        Matching::Exact => format!(r"\A{}\z", regex::escape(pattern)),
    });
    let expressions: Vec<_> = expressions.collect();
    let build = |of: &[String]| {
        RegexSetBuilder::new(of).unicode(false).size_limit(MOST_BYTES).nest_limit(MOST_NESTED).build()
    };
    build(&expressions).map_err(|error| {
        let bad = expressions.iter().position(|one| build(std::slice::from_ref(one)).is_err());
        let pattern =
            bad.and_then(|at| patterns.get(at)).map_or("all patterns together", |(_, pattern)| pattern);
        let why = match error {
            regex::Error::CompiledTooBig(_) => "it takes too much memory".into(),
            error => error.to_string(),
        };
        let last = why.lines().last().unwrap_or_default();
        format!("pattern '{pattern}': {}", last.strip_prefix("error: ").unwrap_or(last))
    })
}

/// The expression that matches what a shell's pattern does. A bracket that is not closed stands for itself.
fn glob(pattern: &str) -> String {
    let mut expression = String::from(r"(?s)\A");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '\\' => expression.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            '[' => match class(rest.as_str()) {
                Some((class, after)) => {
                    expression.push_str(&class);
                    rest = after.chars();
                }
                None => expression.push_str(r"\["),
            },
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push_str(r"\z");
    expression
}

/// A class of characters whose bracket has been opened, and what follows it.
fn class(text: &str) -> Option<(String, &str)> {
    let (negated, text) = match text.strip_prefix(['!', '^']) {
        Some(text) => (true, text),
        None => (false, text),
    };
    // A bracket that comes first closes nothing.
    let (first, text) = text.split_at_checked(text.chars().next()?.len_utf8())?;
    let (more, after) = text.split_once(']')?;
    let mut class = String::from(if negated { "[^" } else { "[" });
    for c in first.chars().chain(more.chars()) {
        if c != '-' && !c.is_alphanumeric() {
            class.push('\\');
        }
        class.push(c);
    }
    class.push(']');
    Some((class, after))
}

/// What all patterns of a selection may take, compiled.
const MOST_BYTES: usize = 1 << 20;
/// How deep groups may be nested.
const MOST_NESTED: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] =
        ["a.b", "a.b.c", "a.b.d", "a.b_c", "a.bx", "kernel.all.load", "sample.dupnames.two"];

    fn selected(names: &[&str], patterns: &[&str], matching: Matching) -> (Vec<&'static str>, Vec<usize>) {
        let names = names.iter().map(|name| (*name).to_string()).collect();
        let patterns = patterns.iter().map(|pattern| (matching, (*pattern).to_string())).collect();
        let selection = Selection::new(names, patterns).unwrap();
        let mut unknown = Vec::new();
        let places = selection.of(&NAMES, &mut unknown);
        (places.into_iter().map(|place| NAMES[place]).collect(), unknown)
    }

    #[test]
    fn a_name_selects_itself_and_what_is_below_it() {
        assert_eq!(selected(&[], &[], Matching::Glob), (NAMES.to_vec(), vec![]));
        assert_eq!(selected(&[""], &[], Matching::Glob), (NAMES.to_vec(), vec![]));
        assert_eq!(selected(&["a.b"], &[], Matching::Glob), (vec!["a.b", "a.b.c", "a.b.d"], vec![]));
        assert_eq!(
            selected(&["kernel", "x", "a.b.d", "kernel.all", "a."], &[], Matching::Glob),
            (vec!["a.b.d", "kernel.all.load"], vec![1, 4])
        );
    }

    #[test]
    fn patterns_exclude() {
        for (pattern, matching, want) in [
            ("a.*", Matching::Glob, vec!["kernel.all.load", "sample.dupnames.two"]),
            ("a.b?c", Matching::Glob, vec!["a.b", "a.b.d", "a.bx", "kernel.all.load", "sample.dupnames.two"]),
            ("[!a]*", Matching::Glob, vec!["a.b", "a.b.c", "a.b.d", "a.b_c", "a.bx"]),
            ("[a-k]*", Matching::Glob, vec!["sample.dupnames.two"]),
            ("[", Matching::Glob, NAMES.to_vec()),
            ("l", Matching::Regex, vec!["a.b", "a.b.c", "a.b.d", "a.b_c", "a.bx"]),
            ("^a[.]b", Matching::Regex, vec!["kernel.all.load", "sample.dupnames.two"]),
            (
                "a.b",
                Matching::Exact,
                vec!["a.b.c", "a.b.d", "a.b_c", "a.bx", "kernel.all.load", "sample.dupnames.two"],
            ),
            ("a", Matching::Exact, NAMES.to_vec()),
        ] {
            assert_eq!(selected(&[], &[pattern], matching).0, want, "{pattern} {matching:?}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_in_words() {
        let refused = |pattern: &str| {
            let patterns = vec![(Matching::Glob, "ok".into()), (Matching::Regex, pattern.into())];
            Selection::new(vec![], patterns).map(|_| ())
        };
        assert_eq!(refused("a(b"), Err("pattern 'a(b': unclosed group".into()));
        assert_eq!(
            refused("((a{100}){100}){100}"),
            Err("pattern '((a{100}){100}){100}': it takes too much memory".into())
        );
        assert_eq!(refused("a|b"), Ok(()));
    }
}
