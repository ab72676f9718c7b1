//! What a page says of itself: how long its values took, how many there are, and how pmcd's agents are.
//!
//! These families have the same names under either naming. No metric of pmcd gets one of them.

use std::time::Duration;

use pmbridge_core::exposition::writer::{self, Family, Help, Kind, Rest};
use pmbridge_core::exposition::{Format, LabelSet, value};

use super::catalog::{Agent, Catalog};

/// A family of a page's own: its name, what it is in, its kind, and its help.
type Own = (&'static str, &'static str, Kind, &'static str);

const DURATION: Own = (
    "pmbridge_scrape_duration_seconds",
    "seconds",
    Kind::Gauge,
    "How long it took to get the values of this page from pmcd.",
);
const SERIES: Own = ("pmbridge_scrape_series", "", Kind::Gauge, "Series of this page.");
const FAILED: Own = (
    "pmbridge_scrape_metrics_failed",
    "",
    Kind::Gauge,
    "Metrics of this page that have an error and no values.",
);
const UP: Own = (
    "pmbridge_agent_up",
    "",
    Kind::Gauge,
    "Whether pmcd's agent answered when values were last asked of it.",
);
const ERRORS: Own =
    ("pmbridge_agent_errors", "", Kind::Counter, "Metrics of the agent that had an error instead of values.");
const FETCHES: Own = ("pmbridge_fetches", "", Kind::Counter, "Fetches that brought values from pmcd.");
const READS: Own = ("pmbridge_reads", "", Kind::Counter, "Questions to pmcd other than fetches.");
const HITS: Own = ("pmbridge_label_cache_hits", "", Kind::Counter, "Values whose labels were there already.");
const MISSES: Own = ("pmbridge_label_cache_misses", "", Kind::Counter, "Labels that had to be made.");

const ALL: [Own; 9] = [DURATION, SERIES, FAILED, UP, ERRORS, FETCHES, READS, HITS, MISSES];

/// What is counted of one page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// How long its values took.
    pub(super) took: Duration,
    /// Its series.
    pub(super) series: usize,
    /// Its metrics that have none because of an error.
    pub(super) failed: usize,
}

/// The names that are taken on each page.
pub(super) fn names() -> impl Iterator<Item = String> {
    ALL.into_iter().flat_map(|(name, _, kind, _)| {
        let ends: &[&str] = if kind == Kind::Counter { &["", "_total", "_created"] } else { &[""] };
        ends.iter().map(move |end| format!("{name}{end}"))
    })
}

/// Appends all of it.
pub(super) fn render(catalog: &Catalog, format: Format, tally: Tally, out: &mut Vec<u8>) {
    let mut page = Page { format, out };
    page.head(DURATION);
    page.sample(DURATION, "", |put| value::double(tally.took.as_secs_f64(), put));
    page.count(SERIES, tally.series as u64);
    page.count(FAILED, tally.failed as u64);
    page.agents(UP, catalog, |agent| u64::from(agent.is_up));
    page.agents(ERRORS, catalog, |agent| agent.errors);
    let stats = catalog.stats();
    page.count(FETCHES, stats.fetches);
    page.count(READS, stats.reads);
    page.count(HITS, stats.hits);
    page.count(MISSES, stats.misses);
}

struct Page<'a> {
    format: Format,
    out: &'a mut Vec<u8>,
}

impl Page<'_> {
    fn head(&mut self, (name, unit, kind, help): Own) {
        let family = Family { name, kind, help: Help::Plain(help), unit };
        writer::head(self.format, &family, &mut |piece| self.out.extend_from_slice(piece));
    }

    fn sample(&mut self, own: Own, labels: &str, write: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        let (name, _, kind, _) = own;
        let labels = LabelSet::stored(labels);
        let mut put = |piece: &[u8]| self.out.extend_from_slice(piece);
        writer::sample(self.format, (name, kind.suffix()), labels, write, Rest::default(), &mut put);
    }

    fn count(&mut self, own: Own, count: u64) {
        self.head(own);
        self.sample(own, "", |put| value::unsigned(count, put));
    }

    /// One sample for each agent.
    fn agents(&mut self, own: Own, catalog: &Catalog, of: impl Fn(&Agent) -> u64) {
        if catalog.agents().is_empty() {
            return;
        }
        self.head(own);
        for (domain, agent) in catalog.agents() {
            let mut labels = Vec::from(b"agent=\"");
            writer::escape_label(agent.name.as_bytes(), &mut |piece| labels.extend_from_slice(piece));
            labels.extend_from_slice(format!("\",domain=\"{domain}\"").as_bytes());
            let labels = String::from_utf8_lossy(&labels);
            self.sample(own, &labels, |put| value::unsigned(of(agent), put));
        }
    }
}
