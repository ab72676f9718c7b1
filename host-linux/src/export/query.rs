//! What a request asks for: the part of its URL behind the `?`, in pmproxy's words.
//!
//! Unknown parameters are ignored, as there. Unlike there, a name that comes again adds to the list, an empty part of a
//! list is nothing rather than everything, and whatever cannot be obeyed is refused before pmcd is asked.

use pmbridge_core::mapping::export::Naming;

use super::selection::Matching;
use crate::names::{is_at_or_below, list};

/// A request's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The pmcd to ask, as it was spelt; the one of `--pmcd` where none was.
    pub(crate) host: Option<String>,
    /// Names, each with all below it; all where there are none.
    pub(crate) names: Vec<String>,
    /// Patterns of metrics that are left out.
    pub(crate) filters: Vec<String>,
    /// How the patterns are read.
    pub(crate) matching: Matching,
    /// Samples say when they were taken.
    pub(crate) times: bool,
    /// How metrics are called.
    pub(crate) naming: Naming,
    /// Strings are shown, as info metrics.
    pub(crate) info: bool,
}

/// What is taken where a request does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) naming: Naming,
    pub(crate) info: bool,
    /// `target` is a host, as exporters for many hosts have it, where no other word names one; else it is one more word
    /// for names, as in pmproxy.
    pub(crate) target_is_host: bool,
}

impl Query {
    /// Reads decoded parameters; an error is a line for who asked.
    pub(crate) fn read(pairs: &[(String, String)], defaults: Defaults) -> Result<Self, String> {
        let mut query = Self {
            host: None,
            names: Vec::new(),
            filters: Vec::new(),
            matching: Matching::Glob,
            times: false,
            naming: defaults.naming,
            info: defaults.info,
        };
        // The first of pmproxy's words for names that is there counts, wherever it stands.
        let mut rank = WORDS_FOR_NAMES.len();
        let is_host = |name: &str| matches!(name, "hostspec" | "hostname");
        let target_is_host = defaults.target_is_host && !pairs.iter().any(|(name, _)| is_host(name));
        for (name, value) in pairs {
            if is_host(name) || (name == "target" && target_is_host) {
                query.set_host(value)?;
            } else if let Some(place) = WORDS_FOR_NAMES.iter().position(|word| word == name) {
                if place < rank {
                    (rank, query.names) = (place, Vec::new());
                }
                if place == rank {
                    query.names.extend(list(value));
                }
            } else {
                query.set(name, value)?;
            }
        }
        query.check()?;
        Ok(query)
    }

    fn set_host(&mut self, value: &str) -> Result<(), String> {
        if self.host.as_deref().is_some_and(|host| host != value) {
            return Err("more than one host is named".into());
        }
        self.host = (!value.is_empty()).then(|| value.to_owned());
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            // How it is read is known when all is known.
            "filter" => self.filters.push(value.to_owned()),
            "match" => {
                self.matching = Matching::named(value).ok_or("match: is none of glob, regex, exact")?;
            }
            "times" => self.times = switch(name, value)?,
            "info" => self.info = switch(name, value)?,
            "naming" => {
                self.naming = Naming::parse(value).ok_or("naming: is none of pcp, prometheus")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        let matching = self.matching;
        let filters = core::mem::take(&mut self.filters);
        self.filters = filters.iter().flat_map(|filter| patterns(filter, matching)).collect();
        if self.names.len() > MOST_NAMES || self.filters.len() > MOST_NAMES {
            return Err(format!("more than {MOST_NAMES} names or patterns"));
        }
        // Requests for the same metrics share a scrape, however they were spelt.
        for list in [&mut self.names, &mut self.filters] {
            list.sort_unstable();
            list.dedup();
        }
        Ok(())
    }

    /// Keeps of the names those that the site exports; whether any is left.
    pub(crate) fn keep_within(&mut self, exported: &[String]) -> bool {
        if exported.is_empty() {
            return true;
        }
        if self.names.is_empty() {
            self.names = exported.to_vec();
            return true;
        }
        let is_below = |name: &str, root: &str| is_at_or_below(name.as_bytes(), root.as_bytes());
        let asked = core::mem::take(&mut self.names);
        for name in asked {
            if exported.iter().any(|root| is_below(&name, root)) {
                self.names.push(name);
            } else {
                self.names.extend(exported.iter().filter(|root| is_below(root, &name)).cloned());
            }
        }
        self.names.sort_unstable();
        self.names.dedup();
        !self.names.is_empty()
    }
}

/// The patterns in a list. In a regex a comma in brackets of any sort is the regex's own, as one behind a backslash is.
fn patterns(text: &str, matching: Matching) -> Vec<String> {
    if matching != Matching::Regex {
        return list(text).collect();
    }
    let (mut depth, mut is_escaped) = (0_usize, false);
    let parts = text.split(|c: char| {
        let was_escaped = is_escaped;
        is_escaped = c == '\\' && !was_escaped;
        match c {
            _ if was_escaped => {}
            '(' | '[' | '{' => depth = depth.saturating_add(1),
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0 && !was_escaped
    });
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn switch(name: &str, value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("{name}: is none of true, false")),
    }
}

/// pmproxy's words for names: the first of them that is there counts.
const WORDS_FOR_NAMES: [&str; 4] = ["names", "name", "prefix", "target"];
/// So many names or patterns a request may have.
const MOST_NAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Defaults = Defaults { naming: Naming::Pcp, info: false, target_is_host: false };

    fn read(text: &str, defaults: Defaults) -> Result<Query, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Query::read(&pairs, defaults)
    }

    fn names(text: &str) -> Vec<String> {
        read(text, PLAIN).unwrap().names
    }

    #[test]
    fn the_first_of_the_words_for_names_counts_and_lists_add_up() {
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("names=b,a"), ["a", "b"]);
        assert_eq!(names("names=a&names=b"), ["a", "b"]);
        assert_eq!(names("target=c&names=a&name=b"), ["a"]);
        assert_eq!(names("prefix=c&target=d"), ["c"]);
    }

    #[test]
    fn an_empty_part_of_a_list_is_nothing() {
        assert_eq!(names("names=a,"), ["a"]);
        assert_eq!(names("names=,a,,a"), ["a"]);
    }

    #[test]
    fn a_target_is_a_host_only_where_hosts_are_allowed() {
        assert_eq!(read("target=far", PLAIN).unwrap().host, None);
        let many = Defaults { target_is_host: true, ..PLAIN };
        assert_eq!(read("target=far&names=a", many).unwrap().host.as_deref(), Some("far"));
        assert_eq!(read("hostspec=far", PLAIN).unwrap().host.as_deref(), Some("far"));
        assert_eq!(read("hostname=far", PLAIN).unwrap().host.as_deref(), Some("far"));
        assert!(read("hostspec=far&hostname=near", many).is_err());
        let both = read("hostspec=far&target=kernel", many).unwrap();
        assert_eq!((both.host.as_deref(), &both.names[..]), (Some("far"), &["kernel".to_owned()][..]));
    }

    #[test]
    fn a_comma_in_the_brackets_of_a_regex_is_its_own() {
        let filters = |text: &str| read(text, PLAIN).unwrap().filters;
        assert_eq!(filters("filter=b{1,2},a[,]&match=regex"), ["a[,]", "b{1,2}"]);
        assert_eq!(filters("match=regex&filter=a\\,b,c\\(,d"), ["a\\,b", "c\\(", "d"]);
        assert_eq!(filters("filter=a{1,2}"), ["2}", "a{1"]);
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused() {
        for bad in ["match=fuzzy", "times=maybe", "naming=x", "info=2"] {
            assert!(read(bad, PLAIN).is_err(), "{bad}");
        }
        assert!(read("unknown=1&times", PLAIN).unwrap().times);
    }

    #[test]
    fn no_request_reaches_what_the_site_does_not_export() {
        let exported = ["disk.all".to_owned(), "kernel".to_owned()];
        let within = |text: &str| {
            let mut query = read(text, PLAIN).unwrap();
            query.keep_within(&exported).then_some(query.names)
        };
        assert_eq!(within("").unwrap(), exported);
        assert_eq!(within("names=disk").unwrap(), ["disk.all"]);
        assert_eq!(within("names=kernel.all.load,proc").unwrap(), ["kernel.all.load"]);
        assert_eq!(within("names=kernels"), None);
    }
}
