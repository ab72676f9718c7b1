//! What to ask pmcd for one scrape, in which order, and where the answers go.
//!
//! A scrape goes through [stages](Stage): names, numbers, descriptors, help and labels, values, instances. Each asks
//! for what is not known yet, all at once, and as a rule the first question is the fetch. Whatever a state change or an
//! unknown instance puts in doubt is asked again before the scrape has ended, so no page shows half of a metric.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;

use pmbridge_core::mapping::label::without;
use pmbridge_core::pcp::{Desc, InDom, Pmid, Status, Type, label};
use pmbridge_core::role::client::{
    Answer, Ask, Inquirer, Labels as Sets, MAX_NAMES, MAX_PMIDS, Names, OutOfStep, Pmids, Results,
};
use pmbridge_core::time::{Duration, Instant, Timestamp};

use super::catalog::Catalog;
use super::labels::Owner;
use super::selection::Selection;
use crate::clock::wall;

/// One scrape after the other, over one catalogue.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) catalog: Catalog,
    stage: Stage,
    /// Questions that are not out yet, and those that are not answered yet.
    queue: VecDeque<Job>,
    open: VecDeque<Job>,
    /// What the scrape under way wants.
    wanted: Option<Wanted>,
    /// What was wanted lately.
    recent: Vec<Wanted>,
    doubt: Doubt,
    /// pmcd is connected over a socket of the system.
    is_local: bool,
    /// The values were asked a second time in this scrape: what changes now waits for the next.
    is_second: bool,
    names: Vec<Rc<str>>,
    /// They are to be taken.
    is_renamed: bool,
    /// A part of the names could not be read.
    is_partial: bool,
    /// Some help or labels could not be read.
    is_vague: bool,
    now: Instant,
    time: Option<Timestamp>,
    /// The agents that have answered.
    alive: Vec<u16>,
    refused: Option<Status>,
}

/// How far a scrape has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Idle,
    Begin,
    Names,
    Ids,
    Descs,
    Details,
    Values,
    Instances,
    Done,
}

/// A question.
#[derive(Debug)]
enum Job {
    Traverse(String),
    Children(String),
    Ids { names: String, places: Vec<usize> },
    Descs { pmids: Vec<Pmid>, places: Vec<usize>, answered: usize },
    Oneline { pmid: Pmid, place: usize },
    Labels(Owner),
    Item { pmid: Pmid, place: usize },
    Instances(InDom),
    Members(InDom),
    Fetch(Range<usize>),
}

/// What may be other than it is known to be.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    names: bool,
    agents: bool,
    labels: bool,
}

/// The metrics that a selection has now.
#[derive(Debug, Clone)]
struct Wanted {
    selection: Rc<Selection>,
    names_epoch: u64,
    places: Rc<[usize]>,
    unknown: Rc<[usize]>,
    plan: Option<Rc<Plan>>,
    retry: Retry,
}

/// What to fetch.
#[derive(Debug, Default)]
struct Plan {
    pmids: Vec<Pmid>,
    /// Where each of them is in the catalogue.
    places: Vec<usize>,
    domains: Vec<u16>,
    indoms: Vec<InDom>,
    /// Some of what is wanted cannot be fetched, as pmcd has not said what it is.
    is_lacking: bool,
}

/// What a scrape brought.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The places of the selected metrics.
    pub(super) places: Rc<[usize]>,
    /// Which of the selection's names select nothing.
    pub(super) unknown: Rc<[usize]>,
    /// When the values were taken, or why there are none.
    pub(super) time: Result<Timestamp, Status>,
}

/// When to ask again for what pmcd could not say.
#[derive(Debug, Clone, Copy)]
struct Retry {
    /// For all names, which is much.
    names: Instant,
    /// For numbers and descriptors that are lacking, which is little.
    descs: Instant,
    after: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { names: Instant::START, descs: Instant::START, after: FIRST_RETRY }
    }
}

impl Retry {
    /// It was in vain: when the next time is.
    fn put_off(&mut self, now: Instant, is_partial: bool) {
        let (cheap, dear) = (self.after.min(OFTEN), if is_partial { SELDOM } else { SELDOMEST });
        if now >= self.descs {
            self.descs = now.saturating_add(cheap);
        }
        if now >= self.names {
            self.names = now.saturating_add(self.after);
            self.after = self.after.saturating_add(self.after).min(dear);
        }
    }
}

impl Default for Doubt {
    /// Nothing is known of a server that has not been asked.
    fn default() -> Self {
        Self { names: true, agents: true, labels: true }
    }
}

impl Gather {
    /// Before the first scrape.
    pub(super) fn new() -> Self {
        Self {
            catalog: Catalog::default(),
            stage: Stage::Idle,
            queue: VecDeque::new(),
            open: VecDeque::new(),
            wanted: None,
            recent: Vec::new(),
            doubt: Doubt::default(),
            is_local: false,
            is_second: false,
            names: Vec::new(),
            is_renamed: false,
            is_partial: false,
            is_vague: false,
            now: Instant::START,
            time: None,
            alive: Vec::new(),
            refused: None,
        }
    }

    /// Whether no scrape is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether the values of the scrape under way are still to be asked for: who comes now may share them.
    pub(super) const fn may_be_shared(&self) -> bool {
        matches!(self.stage, Stage::Names | Stage::Ids | Stage::Descs | Stage::Details)
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self, selection: &Rc<Selection>, now: Instant) {
        (self.now, self.is_second, self.time, self.refused) = (now, false, None, None);
        self.alive.clear();
        let known = self.recent.iter().position(|wanted| wanted.selection == *selection);
        self.wanted = Some(match known {
            Some(at) => self.recent.swap_remove(at),
            None => Wanted::new(selection),
        });
        self.stage = Stage::Begin;
        self.advance();
    }

    /// What the scrape has brought, once, when it has ended.
    pub(super) fn gathered(&mut self) -> Option<Gathered> {
        if self.stage != Stage::Done {
            return None;
        }
        self.stage = Stage::Idle;
        let wanted = self.wanted.take()?;
        let time = match (self.refused, self.time) {
            (Some(status), _) => Err(status),
            (None, Some(time)) => Ok(time),
            // There was nothing to fetch.
            (None, None) => Ok(wall()),
        };
        let gathered =
            Gathered { places: Rc::clone(&wanted.places), unknown: Rc::clone(&wanted.unknown), time };
        if self.recent.len() >= MOST_RECENT {
            self.recent.remove(0);
        }
        self.recent.push(wanted);
        Some(gathered)
    }

    /// Says whether the connection is one over a socket of the system.
    pub(super) const fn connect(&mut self, is_local: bool) {
        self.is_local = is_local;
    }

    /// The connection is another: nothing that was asked will be answered, and all is to be asked again.
    pub(super) fn reset(&mut self) {
        self.queue.clear();
        self.open.clear();
        self.recent.clear();
        self.names.clear();
        self.catalog.forget_who_answers();
        (self.stage, self.wanted, self.doubt) = (Stage::Idle, None, Doubt::default());
        self.is_partial = false;
    }

    /// Goes on to the next stage that has questions.
    fn advance(&mut self) {
        while self.queue.is_empty() && self.open.is_empty() {
            self.stage = match self.stage {
                Stage::Idle | Stage::Done => return,
                Stage::Begin => self.ask_names(),
                Stage::Names => self.ask_ids(),
                Stage::Ids => self.ask_descs(),
                Stage::Descs => self.ask_details(),
                Stage::Details => self.ask_values(),
                Stage::Values => self.ask_instances(),
                Stage::Instances => self.end(),
            };
        }
    }

    fn ask_names(&mut self) -> Stage {
        let Some(wanted) = &mut self.wanted else { return Stage::Done };
        let is_due = self.now >= wanted.retry.names;
        let is_lacking = wanted.plan.as_ref().is_some_and(|plan| plan.is_lacking);
        self.doubt.names |= is_due && (self.is_partial || !wanted.unknown.is_empty());
        self.doubt.labels |= is_due && self.is_vague;
        let Doubt { names, agents, labels } = std::mem::replace(&mut self.doubt, Doubt::NONE);
        if names || agents || labels {
            self.is_vague = false;
            self.recent.iter_mut().chain([&mut *wanted]).for_each(|wanted| wanted.plan = None);
        }
        if agents {
            self.catalog.forget_agents();
        } else if labels {
            self.catalog.forget_labels();
        }
        if names {
            (self.is_partial, self.is_renamed) = (false, true);
            self.names.clear();
            self.queue.push_back(Job::Traverse(String::new()));
        } else if wanted.plan.is_some() && !(is_lacking && self.now >= wanted.retry.descs) {
            return Stage::Details;
        }
        Stage::Names
    }

    fn ask_ids(&mut self) -> Stage {
        if std::mem::take(&mut self.is_renamed) {
            self.catalog.rename(std::mem::take(&mut self.names));
        }
        let Some(wanted) = &mut self.wanted else { return Stage::Done };
        wanted.plan = None;
        if wanted.names_epoch != self.catalog.names_epoch {
            let mut unknown = Vec::new();
            wanted.places = wanted.selection.of(self.catalog.metrics(), &mut unknown).into();
            wanted.unknown = unknown.into();
            wanted.names_epoch = self.catalog.names_epoch;
        }
        let (mut names, mut places) = (String::new(), Vec::new());
        for place in wanted.places.iter() {
            let Some(metric) = self.catalog.metric(*place) else { continue };
            if metric.known.pmid {
                continue;
            }
            if names.len().saturating_add(metric.name.len()) >= MAX_NAMES {
                let (names, places) = (std::mem::take(&mut names), std::mem::take(&mut places));
                self.queue.push_back(Job::Ids { names, places });
            }
            names.push_str(&metric.name);
            names.push('\n');
            places.push(*place);
        }
        if !places.is_empty() {
            self.queue.push_back(Job::Ids { names, places });
        }
        Stage::Ids
    }

    /// The metrics that have what is selected, each once, whatever their names.
    fn owners(&self) -> Vec<usize> {
        let places = self.wanted.as_ref().map_or(&[][..], |wanted| &wanted.places);
        let mut owners: Vec<_> = places.iter().map(|place| self.catalog.owner(*place)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    fn ask_descs(&mut self) -> Stage {
        let lacking = self.owners().into_iter().filter_map(|place| {
            let metric = self.catalog.metric(place).filter(|metric| !metric.known.desc)?;
            Some((metric.pmid?, place))
        });
        let lacking: Vec<_> = lacking.collect();
        for some in lacking.chunks(MOST_DESCS) {
            let (pmids, places) = some.iter().copied().unzip();
            self.queue.push_back(Job::Descs { pmids, places, answered: 0 });
        }
        Stage::Descs
    }

    fn ask_details(&mut self) -> Stage {
        let mut asked = HashSet::new();
        for place in self.owners() {
            let Some(metric) = self.catalog.metric(place) else { continue };
            let (known, Some(Desc { pmid, indom, .. })) = (metric.known, metric.desc) else { continue };
            if !known.oneline {
                self.queue.push_back(Job::Oneline { pmid, place });
            }
            let owners =
                [Owner::Context, Owner::Domain(pmid.domain()), Owner::Cluster(pmid), Owner::InDom(indom)];
            for owner in owners {
                let is_none = owner == Owner::InDom(InDom::NULL);
                if !is_none && !self.catalog.labels.knows(owner) && asked.insert(owner.alike()) {
                    self.queue.push_back(Job::Labels(owner));
                }
            }
            if !known.labels {
                self.queue.push_back(Job::Item { pmid, place });
            }
        }
        Stage::Details
    }

    fn ask_values(&mut self) -> Stage {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.plan.is_none()) {
            let plan = Rc::new(self.plan());
            if let Some(wanted) = &mut self.wanted {
                wanted.plan = Some(plan);
            }
        }
        let count = self.plan_now().map_or(0, |plan| plan.pmids.len());
        for start in (0..count).step_by(MAX_PMIDS) {
            self.queue.push_back(Job::Fetch(start..count.min(start.saturating_add(MAX_PMIDS))));
        }
        Stage::Values
    }

    /// What to fetch of all that is selected.
    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        let has_texts = self.wanted.as_ref().is_some_and(|wanted| wanted.selection.has_texts());
        for place in self.owners() {
            let Some(metric) = self.catalog.metric(place) else { continue };
            plan.domains.extend(metric.pmid.map(Pmid::domain));
            let Some(desc) = metric.desc.filter(|_| metric.known.desc) else {
                plan.is_lacking = true;
                continue;
            };
            if !(desc.kind.is_number() || has_texts && desc.kind == Type::STRING) {
                continue;
            }
            self.catalog.prepare(place);
            plan.pmids.push(desc.pmid);
            plan.places.push(place);
            plan.indoms.push(desc.indom);
        }
        plan.domains.sort_unstable();
        plan.domains.dedup();
        plan.indoms.sort_unstable();
        plan.indoms.dedup();
        let places = self.wanted.as_ref().map(|wanted| Rc::clone(&wanted.places));
        for place in places.iter().flat_map(|places| places.iter()) {
            self.catalog.share(*place);
        }
        plan
    }

    fn plan_now(&self) -> Option<&Rc<Plan>> {
        self.wanted.as_ref()?.plan.as_ref()
    }

    fn ask_instances(&mut self) -> Stage {
        if let Some(plan) = self.plan_now().map(Rc::clone) {
            self.catalog.judge(&plan.domains, &self.alive);
        }
        self.alive.clear();
        if self.refused.is_none() && self.doubt.is_any() && !self.is_second {
            (self.is_second, self.time) = (true, None);
            self.recent.iter_mut().chain(&mut self.wanted).for_each(|wanted| wanted.retry = Retry::default());
            return Stage::Begin;
        }
        for indom in self.doubtful_indoms() {
            self.queue.push_back(Job::Instances(indom));
            self.queue.push_back(Job::Members(indom));
        }
        Stage::Instances
    }

    /// The domains whose instances are to be read: what came says so, or it is long ago that they were. Nobody tells of
    /// an instance that is called otherwise now.
    fn doubtful_indoms(&self) -> Vec<InDom> {
        let shown = self.plan_now().map_or(&[][..], |plan| &plan.indoms);
        let old = shown.iter().copied().filter(|indom| self.catalog.labels.is_old(*indom, self.now));
        let mut indoms: Vec<_> = self.catalog.dirty.iter().copied().chain(old).collect();
        indoms.sort_unstable();
        indoms.dedup();
        indoms
    }

    fn end(&mut self) -> Stage {
        self.catalog.finish();
        let Some(wanted) = &mut self.wanted else { return Stage::Done };
        let is_short = wanted.plan.as_ref().is_some_and(|plan| plan.is_lacking) || !wanted.unknown.is_empty();
        if !(is_short || self.is_partial || self.is_vague) {
            wanted.retry = Retry::default();
        } else {
            wanted.retry.put_off(self.now, self.is_partial);
        }
        Stage::Done
    }

    /// Something has changed.
    fn note(&mut self, bits: Status) {
        let any = |of: &[Status]| of.iter().any(|bit| bits.0 & bit.0 != 0);
        let agents = any(&[Status::ADD_AGENT, Status::RESTART_AGENT]);
        self.doubt.agents |= agents;
        self.doubt.names |= agents || any(&[Status::NAMES_CHANGE]);
        self.doubt.labels |= agents || any(&[Status::LABEL_CHANGE, Status::HOSTNAME_CHANGE]);
    }

    fn hear(&mut self, job: Job, answer: Answer<'_>) -> Result<(), OutOfStep> {
        match (job, answer) {
            (Job::Traverse(_), Answer::Names(names)) => self.list(&names),
            (Job::Traverse(name), Answer::Refused(status)) => {
                // One agent that is not ready spoils the names of all: those of the others are found one by one.
                self.is_partial = true;
                if status != Status::NAME {
                    self.queue.push_back(Job::Children(name));
                }
            }
            (Job::Children(name), Answer::Names(children)) => self.descend(&name, &children),
            (Job::Children(_), Answer::Refused(_)) => {}
            (Job::Ids { names, places }, answer) => return self.number(&names, places, answer),
            (job @ Job::Descs { .. }, answer) => return self.describe(job, answer),
            (Job::Oneline { place, .. }, Answer::Text(text)) => self.catalog.explain(place, text),
            (Job::Oneline { place, .. }, Answer::Refused(status)) => {
                if !self.is_for_later(status) {
                    self.catalog.explain(place, b"");
                }
            }
            (Job::Labels(owner), answer) => {
                let sets = self.sets(answer)?;
                if let (Some(sets), Owner::Domain(domain)) = (sets.flatten(), owner) {
                    self.name_agent(domain, &sets);
                }
                if let Some(sets) = sets {
                    let json = json_of(sets.as_ref());
                    let json = if owner == Owner::Context { self.of_host(json) } else { json.into() };
                    self.catalog.labels.learn(owner, json);
                }
            }
            (Job::Item { place, .. }, answer) => {
                if let Some(sets) = self.sets(answer)? {
                    self.catalog.label(place, json_of(sets.as_ref()));
                }
            }
            (Job::Instances(indom), Answer::Instances(all)) => {
                self.catalog.labels.name_members(indom, &all);
            }
            (Job::Instances(_), Answer::Refused(_)) => {}
            (Job::Members(indom), answer) => {
                // Where they are not known yet, those of last time hold.
                if let Some(sets) = self.sets(answer)? {
                    self.catalog.labels.label_members(indom, sets.as_ref());
                }
                self.catalog.settle(indom, self.now);
            }
            (Job::Fetch(range), Answer::Results(results)) => self.take(range, &results),
            (Job::Fetch(_), Answer::Refused(status)) => self.refused = Some(status),
            _ => return Err(OutOfStep),
        }
        Ok(())
    }

    /// Whether what was refused so may be answered later.
    fn is_for_later(&mut self, status: Status) -> bool {
        let later =
            matches!(status, Status::AGAIN | Status::TIMEOUT | Status::NOAGENT | Status::PMDANOTREADY);
        self.is_vague |= later;
        later
    }

    /// The sets of labels that an answer has: none where there are none, or nothing where that is not known yet.
    fn sets<'a>(&mut self, answer: Answer<'a>) -> Result<Option<Option<Sets<'a>>>, OutOfStep> {
        match answer {
            Answer::Labels(sets) => Ok(Some(Some(sets))),
            Answer::Refused(status) if self.is_for_later(status) => Ok(None),
            Answer::Refused(_) => Ok(Some(None)),
            _ => Err(OutOfStep),
        }
    }

    /// The labels of the context that say what is measured. Over a socket of the system pmcd also says who asks: that must
    /// not make a series another.
    fn of_host(&self, json: &[u8]) -> Rc<[u8]> {
        if !self.is_local {
            return json.into();
        }
        let mut kept = Vec::new();
        without(&ASKER, json, &mut |piece| kept.extend_from_slice(piece));
        kept.into()
    }

    fn name_agent(&mut self, domain: u16, sets: &Sets<'_>) {
        for set in sets.iter() {
            for label in set.iter().filter(|label| label.name == b"agent") {
                let name = String::from_utf8_lossy(label.value);
                self.catalog.name_agent(domain, name.trim_matches('"'));
            }
        }
    }

    fn list(&mut self, names: &Names<'_>) {
        let names = names.iter().filter_map(|name| str::from_utf8(name.name).ok());
        // A name that could not be told from two is no name.
        let names =
            names.filter(|name| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_control()));
        self.names.extend(names.map(Rc::from));
    }

    fn descend(&mut self, name: &str, children: &Names<'_>) {
        for child in children.iter().filter_map(|child| str::from_utf8(child.name).ok()) {
            let whole = if name.is_empty() { child.into() } else { format!("{name}.{child}") };
            if whole.len() < LONGEST_NAME {
                self.queue.push_back(Job::Traverse(whole));
            }
        }
    }

    fn number(&mut self, names: &str, places: Vec<usize>, answer: Answer<'_>) -> Result<(), OutOfStep> {
        match answer {
            Answer::Ids(pmids) => self.set_numbers(&places, pmids),
            Answer::Refused(status) => match *places {
                [place] => {
                    self.catalog.number(place, None, Some(status));
                    // It was the root of an agent's names while the agent was not ready.
                    self.doubt.names |= status == Status::NONLEAF;
                }
                // One name that an agent cannot answer for spoils all: the others are found by halving.
                _ => {
                    let (first, second) = places.split_at_checked(places.len() / 2).unwrap_or_default();
                    let mut lines = names.split_inclusive('\n');
                    for half in [first, second] {
                        let names = lines.by_ref().take(half.len()).collect();
                        self.queue.push_back(Job::Ids { names, places: half.to_vec() });
                    }
                }
            },
            _ => return Err(OutOfStep),
        }
        Ok(())
    }

    fn set_numbers(&mut self, places: &[usize], pmids: Pmids<'_>) {
        for (place, pmid) in places.iter().zip(pmids.iter()) {
            if pmid == Pmid::NULL {
                self.catalog.number(*place, None, Some(Status::NAME));
            } else {
                self.catalog.number(*place, Some(pmid), None);
            }
        }
    }

    fn describe(&mut self, job: Job, answer: Answer<'_>) -> Result<(), OutOfStep> {
        let Job::Descs { pmids, places, answered } = job else { return Err(OutOfStep) };
        match answer {
            Answer::Desc(desc) => {
                let place = places.get(answered).ok_or(OutOfStep)?;
                self.catalog.describe(*place, desc);
                let answered = answered.saturating_add(1);
                if answered < places.len() {
                    self.open.push_front(Job::Descs { pmids, places, answered });
                }
            }
            Answer::Refused(status) => {
                places.iter().for_each(|place| self.catalog.describe(*place, Err(status)))
            }
            _ => return Err(OutOfStep),
        }
        Ok(())
    }

    fn take(&mut self, range: Range<usize>, results: &Results<'_>) {
        let Some(plan) = self.plan_now().map(Rc::clone) else { return };
        if self.time.is_none() {
            self.time = Some(results.time());
            let stats = self.catalog.stats_mut();
            stats.fetches = stats.fetches.saturating_add(1);
        }
        let pmids = plan.pmids.get(range.clone()).unwrap_or_default();
        let places = plan.places.get(range).unwrap_or_default();
        for ((pmid, place), set) in pmids.iter().zip(places).zip(results.iter()) {
            if set.head.pmid == *pmid {
                self.catalog.take(*place, &set, results, &mut self.alive);
            }
        }
    }
}

impl Inquirer for Gather {
    fn ask(&mut self) -> Option<Ask<'_>> {
        Some(match self.queue.front()? {
            Job::Traverse(name) => Ask::Traverse { name },
            Job::Children(name) => Ask::Children { name },
            Job::Ids { names, .. } => Ask::Ids { names },
            Job::Descs { pmids, .. } => Ask::Descs { pmids },
            Job::Oneline { pmid, .. } => Ask::Oneline { pmid: *pmid },
            Job::Labels(owner) => {
                let (level, ident) = owner.asked();
                Ask::Labels { level, ident }
            }
            Job::Item { pmid, .. } => Ask::Labels { level: label::ITEM, ident: pmid.to_bits() },
            Job::Instances(indom) => Ask::Instances { indom: *indom },
            Job::Members(indom) => Ask::Labels { level: label::INSTANCES, ident: indom.to_bits() },
            Job::Fetch(range) => {
                let plan = self.wanted.as_ref()?.plan.as_ref()?;
                Ask::Fetch { pmids: plan.pmids.get(range.clone())? }
            }
        })
    }

    fn asked(&mut self) {
        if let Some(job) = self.queue.pop_front() {
            if !matches!(job, Job::Fetch(_)) {
                let stats = self.catalog.stats_mut();
                stats.reads = stats.reads.saturating_add(1);
            }
            self.open.push_back(job);
        }
    }

    fn answer(&mut self, answer: Answer<'_>) -> Result<(), OutOfStep> {
        if let Answer::State(bits) = answer {
            self.note(bits);
            return Ok(());
        }
        let job = self.open.pop_front().ok_or(OutOfStep)?;
        self.hear(job, answer)?;
        self.advance();
        Ok(())
    }
}

impl Wanted {
    fn new(selection: &Rc<Selection>) -> Self {
        Self {
            selection: Rc::clone(selection),
            // No catalogue has had so many names.
            names_epoch: u64::MAX,
            places: Rc::default(),
            unknown: Rc::default(),
            plan: None,
            retry: Retry::default(),
        }
    }
}

impl Doubt {
    const NONE: Self = Self { names: false, agents: false, labels: false };

    const fn is_any(self) -> bool {
        self.names || self.agents || self.labels
    }
}

/// The labels of a level that has one set at most.
fn json_of<'a>(sets: Option<&Sets<'a>>) -> &'a [u8] {
    sets.and_then(|sets| sets.iter().find(|set| set.refusal().is_none())).map_or(&[], |set| set.json())
}

/// How soon pmcd is asked again for what it could not say, and at last how seldom: for descriptors, for the names of an
/// agent that is not ready, and for names that nobody has.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const OFTEN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(10);
const SELDOMEST: Duration = Duration::from_secs(60);
/// The selections whose metrics are remembered.
const MOST_RECENT: usize = 32;
/// The labels with which pmcd says who asks.
const ASKER: [&str; 2] = ["userid", "groupid"];
/// Descriptors that are asked for at once: an answer has its deadline.
const MOST_DESCS: usize = 1000;
/// No name is that long; a tree that never ends is cut here.
const LONGEST_NAME: usize = 4096;
