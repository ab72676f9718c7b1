//! What is known of a pmcd's metrics: read once, and what the last fetches brought.
//!
//! A catalogue has every name there is, in order. What a metric is, its help and its labels are there once a scrape
//! has wanted it. A series is there while the last fetch had a value for its instance; its labels are text that all
//! metrics with the same labels share.

use std::rc::Rc;

use pmbridge_core::pcp::{Desc, Pmid, Status};

/// One name, and what is behind it.
#[derive(Debug)]
pub(crate) struct Metric {
    /// The whole name, `.` between its parts.
    pub(crate) name: Rc<str>,
    /// The number that the name stands for, where it is known.
    pub(crate) pmid: Option<Pmid>,
    /// What it is, where that is known: without it there are no series.
    pub(crate) desc: Option<Desc>,
    /// The first line of its help; empty where there is none.
    pub(crate) oneline: Rc<str>,
    /// Why there are no values, where pmcd said so at the last fetch.
    pub(crate) status: Option<Status>,
    /// The metric that has the series, where this is another name of the same number.
    pub(crate) alias: Option<usize>,
    series: Vec<Series>,
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// The instance, or -1 where the metric has one value only.
    pub(crate) inst: i32,
    /// The labels of all levels as an exposition has them, `a="b",c="d"`, `instname` and `instid` among them.
    pub(crate) labels: Rc<str>,
    /// What the last fetch brought.
    pub(crate) value: Value,
}

/// A value as pmcd sent it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A signed number of either size.
    I64(i64),
    /// An unsigned number of either size.
    U64(u64),
    /// IEEE single.
    F32(f32),
    /// IEEE double.
    F64(f64),
    /// A string.
    Text(Box<str>),
    /// Nothing that can be shown: an aggregate, or event records.
    None,
}

/// All metrics of one pmcd.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    metrics: Vec<Metric>,
    epoch: u64,
}

impl Catalog {
    /// All metrics in order of their names.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The series that the metric at this place has, under whichever of its names.
    pub(crate) fn series(&self, metric: usize) -> &[Series] {
        let owner = self.metrics.get(metric).and_then(|metric| metric.alias).unwrap_or(metric);
        self.metrics.get(owner).map_or(&[], |metric| metric.series.as_slice())
    }

    /// Another number once a name, a number, a descriptor or a help text is another: what was made of them is to be
    /// made again.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A catalogue of these metrics, for tests.
    #[cfg(test)]
    pub(crate) fn of(metrics: Vec<(Metric, Vec<Series>)>) -> Self {
        let metrics = metrics.into_iter().map(|(metric, series)| Metric { series, ..metric }).collect();
        Self { metrics, epoch: 1 }
    }
}

impl Metric {
    /// A metric of which only this is known.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            pmid: None,
            desc: None,
            oneline: "".into(),
            status: None,
            alias: None,
            series: Vec::new(),
        }
    }
}

/// Which metrics a scrape wants. Scrapes of equal selections share a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    names: Vec<String>,
}

impl Selection {
    /// The metrics at and below these names; all, where there are none.
    pub(crate) const fn new(names: Vec<String>) -> Self {
        Self { names }
    }
}
