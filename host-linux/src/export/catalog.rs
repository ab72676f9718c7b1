//! What is known of a pmcd's metrics: read once, and what the last fetches brought.
//!
//! A catalogue has every name there is, in order. What a metric is, its help and its labels are there once a scrape
//! has wanted it. A series is there while the last fetch had a value for its instance; its labels are text that all
//! metrics with the same labels share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use pmbridge_core::pcp::{Desc, InDom, Pmid, Status, Type};
use pmbridge_core::role::client::{Results, Value as Word, Values};
use pmbridge_core::time::Instant;

use super::labels::{Labels, Text};

/// One name, and what is behind it.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    /// The whole name, `.` between its parts.
    pub(crate) name: Rc<str>,
    /// The number that the name stands for, where it is known.
    pub(crate) pmid: Option<Pmid>,
    /// What it is, where that is known: without it there are no series.
    pub(crate) desc: Option<Desc>,
    /// The first line of its help; empty where there is none.
    pub(crate) oneline: Rc<str>,
    /// Why there are no values, where pmcd has said why.
    pub(crate) status: Option<Status>,
    /// The metric that has the series, where this is another name of the same number.
    pub(crate) alias: Option<usize>,
    series: Vec<Series>,
    pub(super) known: Known,
    /// The labels that are this metric's own.
    labels: Rc<[u8]>,
    group: Option<usize>,
}

/// What was asked of a metric and is not to be asked again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) pmid: bool,
    pub(super) desc: bool,
    pub(super) oneline: bool,
    pub(super) labels: bool,
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// The instance, or -1 where the metric has one value only.
    pub(crate) inst: i32,
    /// The labels of all levels, `instname` and `instid` among them.
    pub(crate) labels: Rc<Text>,
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

/// An agent of pmcd, by its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    /// What it calls itself in its labels; its number where it does not.
    pub(crate) name: String,
    /// Whether it answered when it was last asked for values.
    pub(crate) is_up: bool,
    /// How many of its metrics had an error instead of values, over all fetches.
    pub(crate) errors: u64,
}

/// What has been done for the pages so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Fetches that brought values.
    pub(crate) fetches: u64,
    /// Values whose labels were there already.
    pub(crate) hits: u64,
    /// Labels that had to be made.
    pub(crate) misses: u64,
    /// Questions other than fetches.
    pub(crate) reads: u64,
}

/// All metrics of one pmcd.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    metrics: Vec<Metric>,
    epoch: u64,
    pub(super) names_epoch: u64,
    pub(super) labels: Labels,
    owners: HashMap<Pmid, usize>,
    agents: BTreeMap<u16, Agent>,
    /// Metrics whose last values have instances without labels yet.
    unlabelled: Vec<usize>,
    /// Domains whose instances are others than before.
    pub(super) dirty: HashSet<InDom>,
    stats: Stats,
}

impl Catalog {
    /// All metrics in order of their names.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The place of the metric whose fetches are this one's: itself, unless it is another name of that.
    pub(crate) fn owner(&self, metric: usize) -> usize {
        self.metrics.get(metric).and_then(|metric| metric.alias).unwrap_or(metric)
    }

    /// The series that the metric at this place has, under whichever of its names.
    pub(crate) fn series(&self, metric: usize) -> &[Series] {
        self.metrics.get(self.owner(metric)).map_or(&[], |metric| metric.series.as_slice())
    }

    /// Another number once a name, a number, a descriptor or a help text is another: what was made of them is to be
    /// made again.
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The agents whose metrics were asked for, by their domains.
    pub(crate) const fn agents(&self) -> &BTreeMap<u16, Agent> {
        &self.agents
    }

    /// What has been done so far.
    pub(crate) fn stats(&self) -> Stats {
        Stats { misses: self.labels.made, ..self.stats }
    }

    pub(super) const fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// A catalogue of these metrics, for tests.
    #[cfg(test)]
    pub(crate) fn of(metrics: Vec<(Metric, Vec<Series>)>) -> Self {
        let metrics = metrics.into_iter().map(|(metric, series)| Metric { series, ..metric }).collect();
        Self { metrics, epoch: 1, ..Self::default() }
    }

    pub(super) fn metric(&self, place: usize) -> Option<&Metric> {
        self.metrics.get(place)
    }

    /// Takes all names. What is known of those that were there before is kept, but is to be asked again.
    pub(super) fn rename(&mut self, mut names: Vec<Rc<str>>) {
        names.sort_unstable();
        names.dedup();
        let mut old = std::mem::take(&mut self.metrics).into_iter().peekable();
        for name in names {
            while old.next_if(|metric| metric.name < name).is_some() {}
            let mut metric = old.next_if(|metric| metric.name == name).unwrap_or_else(|| Metric::new(&name));
            // The number is asked for again; while it stays the same, all else does.
            (metric.known.pmid, metric.known.desc, metric.alias) = (false, false, None);
            self.metrics.push(metric);
        }
        self.owners.clear();
        // An agent that makes its names itself has none when it is dead.
        let named: HashSet<_> =
            self.metrics.iter().filter_map(|metric| metric.pmid).map(Pmid::domain).collect();
        for (domain, agent) in &mut self.agents {
            agent.is_up &= named.contains(domain);
        }
        self.names_epoch = self.names_epoch.wrapping_add(1);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Whatever an agent may have changed is to be asked again: its numbers may mean something else now.
    pub(super) fn forget_agents(&mut self) {
        for metric in &mut self.metrics {
            metric.known = Known::default();
        }
        self.forget_labels();
    }

    /// Which agents there are is not known any more.
    pub(super) fn forget_who_answers(&mut self) {
        self.agents.clear();
    }

    /// All labels are to be asked again, and made.
    pub(super) fn forget_labels(&mut self) {
        self.labels.forget();
        self.unlabelled.clear();
        self.dirty.clear();
        for metric in &mut self.metrics {
            (metric.known.labels, metric.group) = (false, None);
            metric.series.clear();
        }
    }

    /// The name has this number, or none.
    pub(super) fn number(&mut self, place: usize, pmid: Option<Pmid>, status: Option<Status>) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        metric.known.pmid = pmid.is_some();
        if metric.pmid != pmid {
            *metric = Metric { pmid, ..Metric::new(&metric.name) };
            metric.known.pmid = pmid.is_some();
            self.epoch = self.epoch.wrapping_add(1);
        }
        metric.status = status;
        let Some(pmid) = pmid else { return };
        let owner = *self.owners.entry(pmid).or_insert(place);
        metric.alias = if owner == place { None } else { Some(owner) };
        if metric.alias.is_some() {
            metric.series = Vec::new();
        }
    }

    /// The metric is this, or that is not known.
    pub(super) fn describe(&mut self, place: usize, desc: Result<Desc, Status>) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        metric.known.desc = desc.is_ok();
        metric.status = desc.err();
        let desc = desc.ok().filter(|desc| Some(desc.pmid) == metric.pmid);
        if metric.desc != desc {
            metric.desc = desc;
            metric.series.clear();
            metric.group = None;
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// The first line of a metric's help is this.
    pub(super) fn explain(&mut self, place: usize, text: &[u8]) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        metric.known.oneline = true;
        let text = String::from_utf8_lossy(text);
        if *metric.oneline != *text {
            metric.oneline = text.into();
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// A metric's own labels are these.
    pub(super) fn label(&mut self, place: usize, json: &[u8]) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        metric.known.labels = true;
        if *metric.labels != *json {
            metric.labels = json.into();
            metric.group = None;
            metric.series.clear();
        }
    }

    /// A name that is another's shows what that one is.
    pub(super) fn share(&mut self, place: usize) {
        let owner = self.owner(place);
        if owner == place {
            return;
        }
        let Some(Metric { desc, oneline, .. }) = self.metrics.get(owner) else { return };
        let (desc, oneline) = (*desc, Rc::clone(oneline));
        let Some(metric) = self.metrics.get_mut(place) else { return };
        if metric.desc != desc || metric.oneline != oneline {
            (metric.desc, metric.oneline) = (desc, oneline);
            self.epoch = self.epoch.wrapping_add(1);
        }
    }

    /// All that the values of a metric need is known but themselves.
    pub(super) fn prepare(&mut self, place: usize) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        if let (None, Some(desc)) = (metric.group, metric.desc) {
            metric.group = Some(self.labels.group(desc.pmid, desc.indom, &metric.labels));
            metric.series.clear();
        }
    }

    /// An agent calls itself this.
    pub(super) fn name_agent(&mut self, domain: u16, name: &str) {
        let agent = self.agent(domain);
        if agent.name != name {
            agent.name = name.into();
        }
    }

    /// These agents were asked; of them these have answered.
    pub(super) fn judge(&mut self, asked: &[u16], alive: &[u16]) {
        for domain in asked {
            self.agent(*domain).is_up = alive.contains(domain);
        }
    }

    fn agent(&mut self, domain: u16) -> &mut Agent {
        let unnamed = || Agent { name: domain.to_string(), is_up: true, errors: 0 };
        self.agents.entry(domain).or_insert_with(unnamed)
    }

    /// Takes the values of one metric. Its agent goes into `alive` unless this may be pmcd's word for it.
    pub(super) fn take(
        &mut self,
        place: usize,
        set: &Values<'_>,
        results: &Results<'_>,
        alive: &mut Vec<u16>,
    ) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        let Some(desc) = metric.desc else { return };
        let (count, domain) = (set.head.count, desc.pmid.domain());
        // Names in order are those of one agent as a rule, one after the other.
        if alive.last() != Some(&domain) && !is_down(Status(count)) && !alive.contains(&domain) {
            alive.push(domain);
        }
        if count < 0 {
            metric.status = Some(Status(count));
            metric.series = Vec::new();
            let agent = self.agent(domain);
            agent.errors = agent.errors.saturating_add(1);
            return;
        }
        metric.status = None;
        let (values, is_in_situ) = (set.values(), set.is_in_situ());
        // As a rule the instances are those of last time, in their order: then nothing is looked up.
        if values.len() == metric.series.len()
            && metric.series.iter().zip(values.clone()).all(|(series, word)| series.inst == word.inst)
        {
            for (series, word) in metric.series.iter_mut().zip(values) {
                put(&mut series.value, desc.kind, word, is_in_situ, results);
            }
            self.stats.hits = self.stats.hits.saturating_add(u64::from(count.unsigned_abs()));
            return;
        }
        self.take_others(place, desc, set, results);
    }

    /// The values of a metric whose instances are others than last time, or in another order.
    fn take_others(&mut self, place: usize, desc: Desc, set: &Values<'_>, results: &Results<'_>) {
        let Some(metric) = self.metrics.get_mut(place) else { return };
        let Some(group) = metric.group else { return };
        let (values, is_in_situ) = (set.values(), set.is_in_situ());
        let mut old = Old::new(std::mem::take(&mut metric.series));
        let mut new = HashSet::new();
        metric.series.reserve_exact(values.len());
        let mut is_unlabelled = false;
        for word in values {
            let is_second = desc.indom == InDom::NULL && !metric.series.is_empty();
            let mut series = match old.claim(word.inst) {
                _ if is_second => continue,
                Some(Some(series)) => series,
                Some(None) => continue,
                None if !new.insert(word.inst) => continue,
                None => {
                    let labels = self.labels.text(group, word.inst);
                    is_unlabelled |= labels.is_none();
                    Series { inst: word.inst, labels: labels.unwrap_or_default(), value: Value::None }
                }
            };
            put(&mut series.value, desc.kind, word, is_in_situ, results);
            metric.series.push(series);
        }
        // Whoever came or went may have given its number to another; those that just stand in another order have not.
        let is_other = !old.all.is_empty() && (!new.is_empty() || old.claimed < old.all.len());
        if desc.indom != InDom::NULL && (is_unlabelled || is_other) {
            self.dirty.insert(desc.indom);
        }
        if is_unlabelled {
            self.unlabelled.push(place);
        }
    }

    /// The instances of a domain were read: what has no labels gets them, and what is labelled otherwise now is labelled
    /// anew. An instance that nobody can name is not shown.
    pub(super) fn settle(&mut self, indom: InDom, now: Instant) {
        self.dirty.remove(&indom);
        let is_of = |metric: &Metric| metric.desc.is_some_and(|desc| desc.indom == indom);
        if self.labels.settle(indom, now) {
            for metric in self.metrics.iter_mut().filter(|metric| is_of(metric)) {
                metric.relabel(&mut self.labels);
            }
        }
        let (metrics, labels) = (&mut self.metrics, &mut self.labels);
        self.unlabelled.retain(|place| match metrics.get_mut(*place).filter(|metric| is_of(metric)) {
            Some(metric) => {
                metric.relabel(labels);
                false
            }
            None => true,
        });
    }

    /// The scrape has ended.
    pub(super) fn finish(&mut self) {
        for place in std::mem::take(&mut self.unlabelled) {
            if let Some(metric) = self.metrics.get_mut(place) {
                metric.relabel(&mut self.labels);
            }
        }
        self.dirty.clear();
    }
}

impl AsRef<str> for Metric {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Metric {
    /// A metric of which only this is known.
    pub(crate) fn new(name: &Rc<str>) -> Self {
        Self {
            name: Rc::clone(name),
            pmid: None,
            desc: None,
            oneline: Rc::default(),
            status: None,
            alias: None,
            series: Vec::new(),
            known: Known::default(),
            labels: Rc::default(),
            group: None,
        }
    }

    fn relabel(&mut self, labels: &mut Labels) {
        let Some(group) = self.group else { return };
        self.series.retain_mut(|series| match labels.text(group, series.inst) {
            Some(text) => {
                series.labels = text;
                true
            }
            None => false,
        });
    }
}

/// The series that a metric had, by their instances.
struct Old {
    all: Vec<(i32, Option<Series>)>,
    claimed: usize,
    /// The next in order: instances come in order as a rule.
    next: usize,
}

impl Old {
    fn new(series: Vec<Series>) -> Self {
        let mut all: Vec<_> = series.into_iter().map(|series| (series.inst, Some(series))).collect();
        all.sort_unstable_by_key(|(inst, _)| *inst);
        Self { all, claimed: 0, next: 0 }
    }

    /// The series of an instance, once; `None` where there was none.
    fn claim(&mut self, inst: i32) -> Option<Option<Series>> {
        let is_next = self.all.get(self.next).is_some_and(|(next, _)| *next == inst);
        let at =
            if is_next { Some(self.next) } else { self.all.binary_search_by_key(&inst, |(of, _)| *of).ok() };
        let series = self.all.get_mut(at?)?.1.take();
        self.next = at?.saturating_add(1);
        self.claimed = self.claimed.saturating_add(usize::from(series.is_some()));
        Some(series)
    }
}

/// Whether it is the agent that does not answer, and not this metric.
const fn is_down(status: Status) -> bool {
    matches!(
        status,
        Status::NOAGENT
            | Status::AGAIN
            | Status::TIMEOUT
            | Status::IPC
            | Status::EOF
            | Status::NOTCONN
            | Status::PMDAFENCED
            | Status::PMDANOTREADY
            | BROKEN_PIPE
            | CONNECTION_RESET
            | BAD_DESCRIPTOR
    )
}

/// Puts a value where the last one was; a text that is the same stays.
fn put(value: &mut Value, kind: Type, word: Word, is_in_situ: bool, results: &Results<'_>) {
    if is_in_situ {
        *value = match kind {
            Type::I32 => Value::I64(i64::from(word.word.cast_signed())),
            Type::U32 => Value::U64(u64::from(word.word)),
            Type::FLOAT => Value::F32(f32::from_bits(word.word)),
            _ => Value::None,
        };
        return;
    }
    let Some(block) = results.block(word.word) else {
        *value = Value::None;
        return;
    };
    let new = match kind {
        Type::I32 => block.word().map(|word| Value::I64(i64::from(word.cast_signed()))),
        Type::U32 => block.word().map(|word| Value::U64(u64::from(word))),
        Type::I64 => block.long().map(|long| Value::I64(long.cast_signed())),
        Type::U64 => block.long().map(Value::U64),
        Type::FLOAT => block.word().map(|word| Value::F32(f32::from_bits(word))),
        Type::DOUBLE => block.long().map(|long| Value::F64(f64::from_bits(long))),
        Type::STRING => {
            let text = block.text();
            if matches!(value, Value::Text(old) if old.as_bytes() == text) {
                return;
            }
            Some(Value::Text(String::from_utf8_lossy(text).into()))
        }
        _ => None,
    };
    *value = new.unwrap_or(Value::None);
}

/// What pmcd says of an agent that it finds dead: the system's error, negative.
const BROKEN_PIPE: Status = Status(-32);
const CONNECTION_RESET: Status = Status(-104);
const BAD_DESCRIPTOR: Status = Status(-9);
