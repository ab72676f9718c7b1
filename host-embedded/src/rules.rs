//! Which of a neighbour's metrics are taken: globs on their names, as they are exposed.

use core::sync::atomic::{AtomicU32, Ordering};

use pmbridge_core::mapping::{Fate, PcpLine, Rules};

/// What is taken of a neighbour: names that match one of `include`, or all where there is none, but not those that match one
/// of `exclude`. In a pattern `*` is any text, none too; all else is itself.
///
/// What is not taken costs no memory, and so is asked about in each document.
///
/// ```
/// use pmbridge_embedded::rules::Globs;
///
/// let globs = Globs::new(&["node_cpu_*", "node_load1"], &["*_guest_*"]);
/// assert!(globs.matches("node_cpu_seconds_total") && globs.matches("node_load1"));
/// assert!(!globs.matches("node_cpu_guest_seconds_total") && !globs.matches("node_load15"));
/// ```
#[derive(Debug)]
pub struct Globs {
    include: &'static [&'static str],
    exclude: &'static [&'static str],
    /// An atomic, for who scrapes lies in a static; nobody else counts, so that it need not be added to at once.
    dropped: AtomicU32,
}

impl Globs {
    /// Rules of which nothing was asked.
    pub const fn new(include: &'static [&'static str], exclude: &'static [&'static str]) -> Self {
        Self { include, exclude, dropped: AtomicU32::new(0) }
    }

    /// Whether a name is taken.
    pub fn matches(&self, name: &str) -> bool {
        let any = |globs: &[&str]| globs.iter().any(|glob| matches(glob, name));
        (self.include.is_empty() || any(self.include)) && !any(self.exclude)
    }

    /// How many samples were not taken.
    pub fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Rules for Globs {
    fn takes(&self, name: &str) -> bool {
        let takes = self.matches(name);
        if !takes {
            self.dropped.store(self.dropped().wrapping_add(1), Ordering::Relaxed);
        }
        takes
    }

    fn remembers(&self) -> bool {
        // A page of thousands of series that nobody wants would leave no room for the few that somebody does.
        false
    }

    fn label(&self, _: &str) -> Fate {
        Fate::Keep
    }

    fn describe<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        None
    }

    fn remark<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        // Only pmproxy's pages have PCP lines, and what reads their units would be 3 KB of flash.
        None
    }
}

/// Whether a glob matches all of a name. What a `*` takes is as short as it can be, and longer only where what follows does
/// not fit: of several only the last one's length matters.
fn matches(glob: &str, name: &str) -> bool {
    let (mut glob, mut name) = (glob.as_bytes(), name.as_bytes());
    // Behind the last star, and where in the name what it takes ends.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (glob, name) {
            ([b'*', rest @ ..], _) => {
                star = Some((rest, name));
                glob = rest;
            }
            ([a, rest @ ..], [b, tail @ ..]) if a == b => (glob, name) = (rest, tail),
            ([], []) => return true,
            _ => match star {
                Some((behind, [_, rest @ ..])) => {
                    star = Some((behind, rest));
                    (glob, name) = (behind, rest);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use pmbridge_core::{
        role::document::Document,
        store::{Fixed, Region, Store},
        time::Instant,
    };

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        for (glob, name, want) in [
            ("up", "up", true),
            ("up", "ups", false),
            ("up", "u", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "x", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "axxbc", false),
            ("*_total", "x_total_total", true),
            ("a*b*c", "a_b_b_c_c", true),
            ("a*b*c", "a_c_b", false),
            ("**", "x", true),
            ("a**c", "abc", true),
            ("a?c", "abc", false),
            ("a?c", "a?c", true),
            ("node_*_bytes", "node_memory_free_bytes", true),
        ] {
            assert_eq!(matches(glob, name), want, "{glob} {name}");
        }
    }

    /// Every glob of four signs against every name of five, beside what the definition says.
    #[test]
    fn globs_match_what_their_definition_says() {
        fn defined(glob: &[u8], name: &[u8]) -> bool {
            match glob {
                [] => name.is_empty(),
                [b'*', rest @ ..] => (0..=name.len()).any(|n| defined(rest, name.get(n..).unwrap())),
                [byte, rest @ ..] => name.first() == Some(byte) && defined(rest, name.get(1..).unwrap()),
            }
        }
        let texts = |signs: &[char], most: u32| {
            let mut all = std::vec![std::string::String::new()];
            let mut from = 0;
            for _ in 0..most {
                let to = all.len();
                for n in from..to {
                    for sign in signs {
                        let longer = std::format!("{}{sign}", all.get(n).unwrap());
                        all.push(longer);
                    }
                }
                from = to;
            }
            all
        };
        for glob in texts(&['a', 'b', '*'], 4) {
            for name in texts(&['a', 'b'], 5) {
                assert_eq!(matches(&glob, &name), defined(glob.as_bytes(), name.as_bytes()), "{glob} {name}");
            }
        }
    }

    #[test]
    fn what_is_not_taken_is_counted_and_costs_no_memory() {
        let mut page = std::string::String::from("# HELP other Of no use.\n# TYPE other counter\n");
        for n in 0..1000u32 {
            page.push_str(&std::format!("other{{n=\"{n}\"}} {n}\n"));
        }
        page.push_str("# TYPE wanted gauge\nwanted{a=\"1\"} 7\nwanted_not 8\n");
        let mut store = Store::new(Fixed::<1, 4, 8, 0, 64, 1024>::new(), 144, 1);
        let source = store.add_source("n", "", None).unwrap();
        let globs = Globs::new(&["wanted*"], &["*_not"]);
        for round in 1..=3 {
            store.begin(source);
            let mut document = Document::new(source, [0u8; 64], &globs);
            document.feed(&mut store, page.as_bytes(), &mut |refused| panic!("{refused:?}"));
            assert_eq!(document.stats().samples, 1);
            assert_eq!(globs.dropped(), 1001 * round);
            store.commit(source, true, Instant::START);
            assert_eq!(
                (store.view().names(), store.view().series(), store.refused(Region::Series)),
                (1, 1, 0)
            );
        }
    }
}
