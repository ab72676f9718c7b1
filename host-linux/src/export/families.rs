//! What the metrics of a catalogue are called on a page, under one naming, and what stands above their samples.
//!
//! A name is one metric's, in every format: none is also the name of another family, or of a sample of one, which
//! OpenMetrics forbids. Numbers come before strings, and otherwise the first in order of PCP names has the name that
//! several come to; the rule for the others is in [`export`]. Under Prometheus' naming a metric takes a name once it is
//! known what it is, which makes the name; under PCP's at once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use pmbridge_core::exposition::Format;
use pmbridge_core::exposition::writer::{self, Help, Kind};
use pmbridge_core::mapping::base::Factor;
use pmbridge_core::mapping::export::{self, Naming};
use pmbridge_core::pcp::{Desc, Units};

use super::catalog::{Catalog, Metric};
use super::own;

/// The families of a catalogue.
#[derive(Debug)]
pub(super) struct Families {
    naming: Naming,
    /// Of each metric by its place in the catalogue, where it can be shown.
    all: Vec<Option<Family>>,
    /// Of text, whose names need no quotes in any version, and of OpenMetrics.
    heads: [Option<Heads>; 2],
}

/// A metric on a page.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: Kind,
    pub(super) factor: Factor,
    /// The name of its samples.
    pub(super) sample: Box<str>,
    /// How much of that is the name of the family in OpenMetrics.
    stem: usize,
    /// The kind in OpenMetrics, where not all counters can be told as such.
    open: Kind,
    units: Units,
}

/// What stands above the samples of each family in one format.
#[derive(Debug, Default)]
struct Heads {
    text: Vec<u8>,
    /// Where the head of each metric ends.
    ends: Vec<usize>,
}

impl Families {
    pub(super) fn new(naming: Naming, catalog: &Catalog) -> Self {
        let mut names = Names(own::names().collect());
        let metrics = catalog.metrics();
        let mut all: Vec<Option<Family>> = Vec::new();
        all.resize_with(metrics.len(), || None);
        for strings in [false, true] {
            for (metric, family) in metrics.iter().zip(&mut all) {
                let Some(desc) = &metric.desc else {
                    // What it is will be known one day, and then its name is to stay what it is.
                    if !strings && naming == Naming::Pcp {
                        names.take(naming, &metric.name, Kind::Gauge, Units::NONE);
                    }
                    continue;
                };
                if let Some(kind) = export::kind(desc)
                    && (kind == Kind::Info) == strings
                {
                    *family = Some(Family::new(naming, &metric.name, kind, desc.units, &mut names));
                }
            }
        }
        all.iter_mut().flatten().for_each(|family| family.settle(&mut names));
        Self { naming, all, heads: [None, None] }
    }

    /// Makes the heads for a format, where they are not there.
    pub(super) fn prepare(&mut self, format: Format, metrics: &[Metric]) {
        let (naming, all) = (self.naming, &self.all);
        if let Some(slot) = self.heads.get_mut(place(format)) {
            slot.get_or_insert_with(|| {
                let mut heads = Heads::default();
                for (metric, family) in metrics.iter().zip(all) {
                    if let (Some(desc), Some(family)) = (&metric.desc, family) {
                        family.head(naming, format, metric, desc, &mut heads.text);
                    }
                    heads.ends.push(heads.text.len());
                }
                heads
            });
        }
    }

    /// The family of the metric at this place, and what stands above its samples in a format that was prepared.
    pub(super) fn of(&self, format: Format, metric: usize) -> Option<(&Family, &[u8])> {
        let family = self.all.get(metric)?.as_ref()?;
        let heads = self.heads.get(place(format))?.as_ref()?;
        Some((family, heads.text.get(heads.of(metric)?)?))
    }
}

impl Heads {
    fn of(&self, metric: usize) -> Option<Range<usize>> {
        let start = match metric.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        Some(start..*self.ends.get(metric)?)
    }
}

impl Family {
    fn new(naming: Naming, pcp: &str, kind: Kind, units: Units, names: &mut Names) -> Self {
        let mut sample = names.take(naming, pcp, kind, units);
        let stem = sample.len();
        sample.push_str(suffix(naming, kind));
        let factor = export::factor(naming, units);
        Self { kind, factor, sample: sample.into(), stem, open: kind, units }
    }

    /// Finds out what a counter is in OpenMetrics whose name nothing may be put to: a counter all the same where its
    /// name has the right end, and nobody has the name without it.
    fn settle(&mut self, names: &mut Names) {
        if self.kind != Kind::Counter || self.stem != self.sample.len() {
            return;
        }
        self.open = Kind::Unknown;
        if let Some(stem) = self.sample.strip_suffix(Kind::Counter.suffix())
            && !stem.is_empty()
            && names.claim([stem.to_owned(), format!("{stem}_created")])
        {
            (self.open, self.stem) = (Kind::Counter, stem.len());
        }
    }

    /// Writes what stands above the samples.
    fn head(&self, naming: Naming, format: Format, metric: &Metric, desc: &Desc, out: &mut Vec<u8>) {
        let mut put = |piece: &[u8]| out.extend_from_slice(piece);
        let help = help(naming, metric);
        if format != Format::OpenMetrics {
            if naming == Naming::Pcp && self.kind != Kind::Info {
                export::pcp_line(&metric.name, desc, &mut put);
            }
            let family =
                writer::Family { name: &self.sample, kind: self.kind, help: Help::Plain(&help), unit: "" };
            return writer::head_as(format, &family, "", &mut put);
        }
        let mut unit = Vec::new();
        export::unit(naming, self.kind, self.units, &mut |piece| unit.extend_from_slice(piece));
        let family = writer::Family {
            name: self.sample.get(..self.stem).unwrap_or_default(),
            kind: self.open,
            help: Help::Plain(&help),
            unit: str::from_utf8(&unit).unwrap_or_default(),
        };
        writer::head(format, &family, &mut put);
    }

    /// Writes the head for OpenMetrics of a counter that has a value no counter can have there.
    pub(super) fn doubtful_head(&self, naming: Naming, metric: &Metric, out: &mut Vec<u8>) {
        let help = help(naming, metric);
        let help = Help::Plain(&help);
        let family = writer::Family { name: &self.sample, kind: Kind::Unknown, help, unit: "" };
        writer::head(Format::OpenMetrics, &family, &mut |piece| out.extend_from_slice(piece));
    }

    /// Whether it is a counter in this format, so that its values have to be those of one.
    pub(super) fn is_strict(&self, format: Format) -> bool {
        format == Format::OpenMetrics && self.open == Kind::Counter
    }
}

/// What a family is about. Prometheus' conventions change more of a name than its dots, so help has PCP's too.
fn help(naming: Naming, metric: &Metric) -> Cow<'_, str> {
    match naming {
        Naming::Pcp => Cow::Borrowed(&metric.oneline),
        Naming::Prometheus if metric.oneline.is_empty() => format!("PCP: {}", metric.name).into(),
        Naming::Prometheus => format!("{} (PCP: {})", metric.oneline, metric.name).into(),
    }
}

/// The names that are taken.
#[derive(Debug)]
struct Names(HashSet<String>);

impl Names {
    /// Takes a name for the family of a metric.
    fn take(&mut self, naming: Naming, pcp: &str, kind: Kind, units: Units) -> String {
        for round in 0..ROUNDS {
            let mark = round.checked_sub(1).map(|round| export::mark(pcp, round));
            let mut name = Vec::new();
            export::name(naming, pcp, kind, units, mark, &mut |piece| name.extend_from_slice(piece));
            // A name is made of ASCII alone.
            let name = String::from_utf8(name).unwrap_or_default();
            let others: &[&str] = match (naming, kind) {
                (Naming::Prometheus, Kind::Counter) => &["_total", "_created"],
                (_, Kind::Info) => &["_info"],
                _ => &[],
            };
            let others = others.iter().map(|end| format!("{name}{end}"));
            if self.claim(std::iter::once(name.clone()).chain(others)) {
                return name;
            }
        }
        // Nobody finds that many names with one mark.
        format!("_{}", self.0.len())
    }

    /// Takes some names, or none where one of them is taken.
    fn claim(&mut self, names: impl IntoIterator<Item = String>) -> bool {
        let names: Vec<String> = names.into_iter().collect();
        let is_free = !names.iter().any(|name| self.0.contains(name));
        if is_free {
            self.0.extend(names);
        }
        is_free
    }
}

/// What the names of samples end in behind the family's.
const fn suffix(naming: Naming, kind: Kind) -> &'static str {
    match (naming, kind) {
        (Naming::Pcp, Kind::Counter) => "",
        _ => kind.suffix(),
    }
}

const fn place(format: Format) -> usize {
    match format {
        Format::Text004 | Format::Text100 => 0,
        Format::OpenMetrics => 1,
    }
}

/// How often a name that is taken is marked anew.
const ROUNDS: u32 = 1000;
