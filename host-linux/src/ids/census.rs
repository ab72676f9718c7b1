//! A name has one id and an id one name: what a file says is counted once, and what contradicts it not at all.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::Record;
use super::text::{Fault, Spelt, VERSION, parse};

/// What was wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first bad line, from 1 on.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) fault: Fault,
    /// How many lines are bad.
    pub(super) lines: usize,
}

impl Damage {
    /// Not a line of the file can be read.
    pub(super) const fn of_all() -> Self {
        Self { line: 1, fault: Fault::Version, lines: 1 }
    }
}

/// How a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading {
    /// The records handed over.
    pub(super) records: usize,
    /// Lines that say again what another line says.
    pub(super) superfluous: usize,
    /// What was wrong.
    pub(super) damage: Option<Damage>,
}

impl Reading {
    fn bad(&mut self, line: usize, fault: Fault) {
        let damage = self.damage.get_or_insert(Damage { line, fault, lines: 0 });
        damage.lines = damage.lines.saturating_add(1);
        if line < damage.line {
            (damage.line, damage.fault) = (line, fault);
        }
    }
}

/// Reads whole lines: sources first, then metrics, then instances, whatever their order in the file.
pub(super) fn read(bytes: &[u8], tell: &mut dyn FnMut(Record<'_>)) -> Reading {
    let mut reading = Reading::default();
    let mut census = Census::default();
    if let Some(first) = lines(bytes).next()
        && first != VERSION.as_bytes()
    {
        reading.bad(1, Fault::Version);
        if first.starts_with(KIN) {
            // Written by another version: its words may mean something else.
            return reading;
        }
    }
    let mut instances = 0_usize;
    for pass in [Pass::Sources, Pass::Metrics, Pass::Instances] {
        let mut scratch = String::new();
        if pass == Pass::Instances {
            census.instances.reserve(instances.min(bytes.len() / LEAST));
        }
        for (at, line) in lines(bytes).enumerate() {
            let its = Pass::of(line);
            if pass == Pass::Sources && its == Pass::Instances {
                instances = instances.saturating_add(1);
            }
            if its != pass || (at == 0 && line == VERSION.as_bytes()) {
                continue;
            }
            let admitted = parse(line, &mut scratch).and_then(|spelt| {
                let new = census.admit(&spelt)?;
                Ok((spelt.record, new))
            });
            match admitted {
                Ok((record, true)) => {
                    reading.records = reading.records.saturating_add(1);
                    tell(record);
                }
                Ok((_, false)) => reading.superfluous = reading.superfluous.saturating_add(1),
                // The first line has been told already.
                Err(_) if at == 0 => {}
                Err(fault) => reading.bad(at.saturating_add(1), fault),
            }
        }
    }
    reading
}

/// How the first line of a file of any version begins.
const KIN: &[u8] = b"pmbridge ids ";

/// The bytes of the shortest line of an instance.
const LEAST: usize = "instance 1.0 0 +\n".len();

/// Lines without their ends. What follows the last line feed is none.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (line, behind) = rest.split_at_checked(memchr::memchr(b'\n', rest)?)?;
        rest = behind.get(1..)?;
        Some(line)
    })
}

/// Which lines are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Sources,
    Metrics,
    Instances,
    Never,
}

impl Pass {
    /// When a line is read. What is no record at all is found out first.
    fn of(line: &[u8]) -> Self {
        match line.first() {
            Some(b'i') => Self::Instances,
            Some(b'm') => Self::Metrics,
            Some(b'#') | None => Self::Never,
            Some(_) => Self::Sources,
        }
    }
}

/// What has been said so far.
#[derive(Default)]
struct Census<'a> {
    /// Sources by name.
    sources: HashMap<&'a str, u16>,
    /// Clusters and the source's own cluster, which may be the same.
    clusters: HashMap<u16, u16>,
    /// Metrics by source and name.
    metrics: HashMap<(u16, &'a str), u32>,
    /// Instances by metric and name.
    instances: HashMap<(u32, &'a str), (u32, bool)>,
    /// The ids of the instances of metrics.
    ids: HashMap<u32, Numbers>,
}

impl<'a> Census<'a> {
    /// Whether a record says something new.
    fn admit(&mut self, spelt: &Spelt<'a, '_>) -> Result<bool, Fault> {
        match spelt.record {
            Record::Source { cluster, .. } => {
                if let Some(&known) = self.sources.get(spelt.raw) {
                    return same(known == cluster);
                }
                if self.clusters.contains_key(&cluster) {
                    return Err(Fault::Taken);
                }
                self.sources.insert(spelt.raw, cluster);
                self.clusters.insert(cluster, cluster);
            }
            Record::Further { cluster, of } => {
                if self.clusters.get(&of) != Some(&of) {
                    return Err(Fault::Orphan);
                }
                match self.clusters.entry(cluster) {
                    Entry::Occupied(known) if *known.get() == of && cluster != of => return Ok(false),
                    Entry::Occupied(_) => return Err(Fault::Taken),
                    Entry::Vacant(place) => place.insert(of),
                };
            }
            Record::Metric { cluster, item, .. } => {
                let owner = *self.clusters.get(&cluster).ok_or(Fault::Orphan)?;
                let pmid = pmid(cluster, item);
                if let Some(&known) = self.metrics.get(&(owner, spelt.raw)) {
                    return same(known == pmid);
                }
                match self.ids.entry(pmid) {
                    Entry::Occupied(_) => return Err(Fault::Taken),
                    Entry::Vacant(place) => place.insert(Numbers::default()),
                };
                self.metrics.insert((owner, spelt.raw), pmid);
            }
            Record::Instance { cluster, item, id, prefixed, .. } => {
                let metric = pmid(cluster, item);
                let ids = self.ids.get_mut(&metric).ok_or(Fault::Orphan)?;
                match self.instances.entry((metric, spelt.raw)) {
                    Entry::Occupied(known) => return same(*known.get() == (id, prefixed)),
                    Entry::Vacant(place) => {
                        if !ids.insert(id) {
                            return Err(Fault::Taken);
                        }
                        place.insert((id, prefixed));
                    }
                }
            }
        }
        Ok(true)
    }
}

/// A set of numbers that mostly come in order, from 0 on.
#[derive(Default)]
struct Numbers {
    /// All below this are in.
    below: u32,
    /// Others that are.
    others: HashSet<u32>,
}

impl Numbers {
    /// Whether a number is new.
    fn insert(&mut self, number: u32) -> bool {
        if number != self.below {
            return number > self.below && self.others.insert(number);
        }
        if self.others.contains(&number) {
            return false;
        }
        self.below = self.below.saturating_add(1);
        true
    }
}

/// A name that is known already: nothing new if all else is the same too.
fn same(same: bool) -> Result<bool, Fault> {
    if same { Ok(false) } else { Err(Fault::Twice) }
}

/// Both numbers in one.
fn pmid(cluster: u16, item: u16) -> u32 {
    u32::from(cluster) << 16 | u32::from(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> (Vec<String>, Reading) {
        let mut told = Vec::new();
        let reading = read(of.as_bytes(), &mut |record| {
            let mut line = Vec::new();
            super::super::text::write(&mut line, record);
            told.push(String::from_utf8(line).unwrap().trim_end().to_owned());
        });
        (told, reading)
    }

    #[test]
    fn what_belongs_comes_after_what_it_belongs_to() {
        let (told, reading) = text(
            "pmbridge ids 1\n# a\n\ninstance 2.0 0 = x\nmetric 2.0 m\nfurther 3 2\nsource 1 a\nsource 2 b\nmetric 3.0 n\n",
        );
        // A further cluster before its source is the one order that nobody writes.
        assert_eq!(told, ["source 1 a", "source 2 b", "metric 2.0 m", "instance 2.0 0 = x"]);
        assert_eq!(reading.damage, Some(Damage { line: 6, fault: Fault::Orphan, lines: 2 }));
    }

    #[test]
    fn the_first_of_two_that_contradict_each_other_counts() {
        let (told, reading) = text(
            "pmbridge ids 1\nsource 1 a\nsource 1 b\nsource 2 a\nsource 1 a\nmetric 1.0 m\nmetric 1.0 n\nmetric 1.1 m\n\
             instance 1.0 0 = x\ninstance 1.0 0 = y\ninstance 1.0 1 = x\ninstance 1.0 0 + x\ninstance 1.0 0 = x\n\
             instance 1.1 0 = x\nfurther 2 1\nfurther 1 1\nmetric 2.0 m\n",
        );
        assert_eq!(told, ["source 1 a", "further 2 1", "metric 1.0 m", "instance 1.0 0 = x"]);
        assert_eq!((reading.records, reading.superfluous), (4, 2));
        assert_eq!(reading.damage, Some(Damage { line: 3, fault: Fault::Taken, lines: 10 }));
    }

    #[test]
    fn without_the_first_line_the_others_count() {
        let (told, reading) = text("source 1 a\nmetric 1.0 m\n");
        assert_eq!(told, ["source 1 a", "metric 1.0 m"]);
        assert_eq!(reading.damage, Some(Damage { line: 1, fault: Fault::Version, lines: 1 }));
        let (told, reading) = text("pmbridge ids 2\nsource 1 a\n");
        assert!(told.is_empty() && reading.damage.is_some(), "what another version means is not guessed");
        assert_eq!(text(""), (vec![], Reading::default()));
        assert_eq!(text("pmbridge ids 1\nsource 1 to").0, [""; 0], "a line without its end is none");
    }
}
