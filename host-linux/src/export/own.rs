//! The exporter's own metrics, at the end of each page: how the scrape went, how agents fare, who asks.
//!
//! They are called `pmbridge_export_*` in every naming, and `process_*` as all Prometheus exporters have it. These
//! [`names`] are taken before those of a pmcd's metrics: one that comes to the same has a mark.

use std::fmt::{self, Write as _};
use std::time::Duration;

use pmbridge_core::exposition::{
    Format,
    writer::{self, Family, Help, Kind},
};

use super::catalog;
use super::page::Tally;
use crate::{process, web};

/// What the values come from.
pub(super) struct Facts<'a> {
    /// Agents by their domains, of the pmcd that the page is of.
    pub(super) catalog: &'a catalog::Catalog,
    pub(super) web: web::Stats,
    /// How often the connection to that pmcd was made anew.
    pub(super) reconnects: u64,
    pub(super) scrapes: Scrapes,
    /// How long the scrape took.
    pub(super) took: Duration,
    /// Metrics that were asked for.
    pub(super) metrics: usize,
    pub(super) tally: Tally,
}

/// How scrapes of a pmcd went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scrapes {
    pub(super) whole: u64,
    pub(super) failed: u64,
}

/// One family: its name without `pmbridge_export_`, what it is, and its samples.
struct Row {
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    samples: fn(&Facts<'_>, &mut Samples),
}

const TABLE: &[Row] = &[
    Row {
        name: "build",
        kind: Kind::Info,
        unit: "",
        help: "Which build of pmbridge this is",
        samples: |_, samples| samples.labelled(format_args!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1),
    },
    gauge("scrape_duration_seconds", "seconds", "Time that pmcd took for this page", |facts, samples| {
        samples.seconds(facts.took.as_secs_f64());
    }),
    gauge("scrape_metrics", "", "Metrics that were asked for", |facts, samples| {
        samples.one(wide(facts.metrics))
    }),
    gauge("scrape_series", "", "Series on this page", |facts, samples| samples.one(wide(facts.tally.series))),
    gauge(
        "scrape_metrics_failed",
        "",
        "Metrics of this page that have an error instead of values",
        |facts, samples| {
            samples.one(wide(facts.tally.failed));
        },
    ),
    counter("scrapes", "Scrapes of this pmcd that brought a page", |facts, samples| {
        samples.one(facts.scrapes.whole);
    }),
    counter("scrape_failures", "Scrapes of this pmcd that brought none", |facts, samples| {
        samples.one(facts.scrapes.failed);
    }),
    gauge("agent_up", "", "Whether the agent answered the last fetch that asked it", |facts, samples| {
        for (domain, agent) in facts.catalog.agents() {
            samples.of_agent(*domain, agent, u64::from(agent.is_up));
        }
    }),
    counter("agent_errors", "Metrics of the agent that had an error instead of values", |facts, samples| {
        for (domain, agent) in facts.catalog.agents() {
            samples.of_agent(*domain, agent, agent.errors);
        }
    }),
    counter("reconnects", "How often this pmcd was lost and connected again", |facts, samples| {
        samples.one(facts.reconnects);
    }),
    counter("fetches", "Fetches that this pmcd answered", |facts, samples| {
        samples.one(facts.catalog.stats().fetches);
    }),
    counter(
        "questions",
        "Questions about names, descriptions, help, instances and labels",
        |facts, samples| {
            samples.one(facts.catalog.stats().reads);
        },
    ),
    counter("cache_hits", "Values whose labels were known", |facts, samples| {
        samples.one(facts.catalog.stats().hits);
    }),
    counter("cache_misses", "Values whose labels had to be made", |facts, samples| {
        samples.one(facts.catalog.stats().misses);
    }),
    gauge("http_connections", "", "Connections that are open", |facts, samples| {
        samples.one(wide(facts.web.connections));
    }),
    counter("http_connections_accepted", "Connections that there were", |facts, samples| {
        samples.one(facts.web.accepted);
    }),
    counter("http_connections_refused", "Connections that were one too many", |facts, samples| {
        samples.one(facts.web.refused);
    }),
    counter(
        "http_connections_dropped",
        "Connections closed for being slow, or for what they sent",
        |facts, samples| {
            samples.one(facts.web.dropped);
        },
    ),
    counter(
        "http_pages_cut",
        "Pages cut off half read, for newer ones needed their memory",
        |facts, samples| {
            samples.one(facts.web.pages_cut);
        },
    ),
    counter("http_responses", "Answers by status", |facts, samples| {
        for (code, count) in &facts.web.answers {
            samples.labelled(format_args!("code=\"{code}\""), *count);
        }
    }),
    Row {
        name: "http_response_bytes",
        kind: Kind::Counter,
        unit: "bytes",
        help: "Bytes of answers",
        samples: |facts, samples| samples.one(facts.web.bytes),
    },
];

/// What every exporter says of its process.
const PROCESS: &[Row] = &[
    Row {
        name: "cpu_seconds",
        kind: Kind::Counter,
        unit: "seconds",
        help: "Total user and system CPU time spent in seconds.",
        samples: |_, samples| samples.seconds(process::cpu_seconds()),
    },
    gauge("resident_memory_bytes", "bytes", "Resident memory size in bytes.", |_, samples| {
        samples.one(process::resident_bytes());
    }),
    gauge("open_fds", "", "Number of open file descriptors.", |_, samples| {
        samples.one(process::open_descriptors());
    }),
];

/// All of them, by how their names begin.
const TABLES: [(&str, &[Row]); 2] = [("pmbridge_export_", TABLE), ("process_", PROCESS)];

const fn gauge(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    samples: fn(&Facts<'_>, &mut Samples),
) -> Row {
    Row { name, kind: Kind::Gauge, unit, help, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&Facts<'_>, &mut Samples)) -> Row {
    Row { name, kind: Kind::Counter, unit: "", help, samples }
}

/// The names that no metric of a pmcd may have on a page.
pub(super) fn names() -> impl Iterator<Item = String> {
    let names = TABLES.into_iter().flat_map(|(prefix, table)| table.iter().map(move |row| (prefix, row)));
    names.flat_map(|(prefix, row)| {
        let ends: &[&str] =
            if row.kind == Kind::Gauge { &[""] } else { &["", "_info", "_total", "_created"] };
        ends.iter().map(move |end| format!("{prefix}{}{end}", row.name))
    })
}

/// Writes the families behind those of a page.
pub(super) fn write(format: Format, facts: &Facts<'_>, page: &mut Vec<u8>) {
    for (prefix, table) in TABLES {
        for row in table {
            let mut samples = Samples {
                name: format!("{prefix}{}", row.name),
                suffix: row.kind.suffix(),
                text: String::new(),
            };
            (row.samples)(facts, &mut samples);
            // A family without a sample would only say that there is none.
            if samples.text.is_empty() {
                continue;
            }
            let family =
                Family { name: &samples.name, kind: row.kind, help: Help::Plain(row.help), unit: row.unit };
            writer::head(format, &family, &mut |piece| page.extend_from_slice(piece));
            page.extend_from_slice(samples.text.as_bytes());
        }
    }
}

/// The samples of one family, as text.
struct Samples {
    name: String,
    suffix: &'static str,
    text: String,
}

impl Samples {
    /// The only sample.
    fn one(&mut self, value: u64) {
        self.line(format_args!(""), value);
    }

    /// The only sample, in seconds.
    fn seconds(&mut self, value: f64) {
        self.line(format_args!(""), value);
    }

    /// A sample with these labels.
    fn labelled(&mut self, labels: fmt::Arguments<'_>, value: u64) {
        self.line(format_args!("{{{labels}}}"), value);
    }

    /// The sample of an agent.
    fn of_agent(&mut self, domain: u16, agent: &catalog::Agent, value: u64) {
        self.labelled(format_args!("agent=\"{}\",domain=\"{domain}\"", escaped(&agent.name)), value);
    }

    fn line(&mut self, labels: fmt::Arguments<'_>, value: impl fmt::Display) {
        let Self { name, suffix, text } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}{suffix}{labels} {value}");
    }
}

/// A label value as it stands between its quotes.
fn escaped(text: &str) -> String {
    let mut escaped = Vec::with_capacity(text.len());
    writer::escape_label(text.as_bytes(), &mut |piece| escaped.extend_from_slice(piece));
    String::from_utf8_lossy(&escaped).into_owned()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
