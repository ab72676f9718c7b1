//! Scrapes: who begins one and when, how long it may take, and what becomes of the source when it ends.
//!
//! A source that is well is scraped for each request that names it, and not otherwise. One that failed over the network
//! answers at once that it has nothing, and is asked again in the background until it is well, with growing pauses.
//! Who needs a descriptor while all are in use stands in line: requests first, then the sick, who get half at most.

use std::time::Instant as Clock;

use pmbridge_core::role::{Context, scraper::pause};
use pmbridge_core::store::SourceId;
use pmbridge_core::time::{Duration, Instant};

use super::health::{Line, News};
use super::{Host, budget};
use crate::clock::{duration, wall};
use crate::sources::Origin;
use crate::target::{Outcome, Target};
use crate::url::Url;

/// What the loop knows of a target beside what the target knows itself.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// When its scrape began.
    began: Option<Instant>,
    /// What had come of it when it was last looked at.
    come: u64,
    /// The scrape that runs was wanted by nobody.
    probing: bool,
    /// When its scrape, or its wait for a descriptor, has taken too long.
    until: Option<Instant>,
    /// When names wait for it no longer, unless something has come.
    names_until: Option<Instant>,
    /// It was scraped since it was added or changed, or no name waits for it any more.
    settled: bool,
    /// Failures in a row.
    failures: u32,
    /// A host name is being looked up for it.
    looks_up: bool,
    news: News,
}

impl Lane {
    /// Takes note of how long it may take from now on; when its alarm is to go off first.
    ///
    /// What comes of a script comes at its end, so that nothing says before whether something will.
    fn limit(&mut self, target: &Target, now: Instant, limit: Duration) -> Instant {
        let until = now.saturating_add(limit);
        self.until = Some(until);
        if self.settled || matches!(target.source.origin, Origin::Script(_)) {
            return until;
        }
        until.min(*self.names_until.get_or_insert_with(|| now.saturating_add(NAMES)))
    }
}

impl Host {
    /// Makes the bookings for a new target.
    pub(super) fn enter(&mut self, id: SourceId, place: usize) {
        self.lanes.push(Lane::default());
        if self.places.len() <= id.place() {
            self.places.resize(id.place().saturating_add(1), None);
        }
        if let Some(slot) = self.places.get_mut(id.place()) {
            *slot = Some(place);
        }
    }

    /// Lets scrapes move, begin and end; whether there is more to do at once.
    pub(super) fn pump_targets(&mut self) -> bool {
        self.take_addresses();
        self.start_wanted();
        self.take_turns();
        while let Some(place) = self.timers.pop(self.now()) {
            self.ring(place);
        }
        self.admit();
        core::mem::take(&mut self.ended) || !self.ready.is_empty()
    }

    /// Begins the scrapes that requests want.
    fn start_wanted(&mut self) {
        if !self.store.has_stirred() {
            return;
        }
        let mut from = 0;
        while let Some((id, next)) = self.store.wanted(from) {
            from = next;
            if self.own.as_ref().is_some_and(|own| own.source == id) {
                self.store.begin(id);
                self.tell();
                self.store.published(id);
                self.ended = true;
                continue;
            }
            if let Some(place) = self.places.get(id.place()).copied().flatten() {
                self.begin(place, false);
            }
        }
    }

    /// Lets targets move whose bytes have come, for a while.
    fn take_turns(&mut self) {
        let began = Clock::now();
        for _ in 0..self.ready.len() {
            let Some(place) = self.ready.pop() else { return };
            self.step(place);
            if began.elapsed() >= SLICE {
                return;
            }
        }
    }

    fn step(&mut self, place: usize) {
        let (now, wall) = (self.now(), wall());
        let runs = self.lanes.get(place).is_some_and(|lane| lane.began.is_some());
        let Some(target) = self.targets.get_mut(place) else { return };
        if !core::mem::take(&mut target.ready) {
            return;
        }
        let mut cx = Context { store: &mut self.store, now, wall };
        let outcome = if is_cheap(target) && !target.is_running() {
            if !runs {
                return;
            }
            target.begin(&mut cx)
        } else {
            target.pump(&mut cx)
        };
        match outcome {
            Outcome::Pending => {}
            Outcome::Unreached => self.reach(place),
            Outcome::More => {
                self.ready.push(place);
            }
            outcome => self.end(place, outcome),
        }
        self.account(place);
    }

    /// A target's time has come: names no longer wait for it, its scrape has taken too long, or it is asked again.
    fn ring(&mut self, place: usize) {
        let now = self.now();
        let (Some(target), Some(lane)) = (self.targets.get(place), self.lanes.get_mut(place)) else { return };
        if let Some(until) = lane.until.filter(|until| now < *until) {
            // Who waits for us has brought something.
            if !lane.settled && target.received() == 0 && !self.ready.holds(place) {
                lane.settled = true;
                self.store.settle(target.id);
                self.ended = true;
            }
            self.timers.set(place, Some(until));
            return;
        }
        if lane.began.is_none() {
            if lane.until.take().is_some() && self.wanted.holds(place) {
                lane.settled = true;
                self.store.commit(target.id, false, Instant::NEVER);
                self.ended = true;
            } else {
                self.begin(place, true);
            }
            return;
        }
        let last = lane.began.unwrap_or(now).saturating_add(LAST);
        let come = target.received();
        // What waits for us is not late, and what comes in bulk is let come.
        let goes_on = self.ready.holds(place) || (come >= BULK && come > lane.come);
        if goes_on && now < last {
            lane.come = come;
            self.timers.set(place, Some(now.saturating_add(GRACE).min(last)));
        } else {
            let why = target.overdue();
            self.end(place, Outcome::Failed(why));
        }
    }

    /// Begins a scrape, or puts the target in line for a descriptor.
    fn begin(&mut self, place: usize, probes: bool) {
        let (Some(target), Some(lane)) = (self.targets.get(place), self.lanes.get(place)) else { return };
        if lane.began.is_some() {
            return;
        }
        if needs_descriptor(target) {
            let line = if probes { &mut self.sick } else { &mut self.wanted };
            let is_new = line.push(place);
            self.admit();
            if is_new && self.wanted.holds(place) {
                self.put_off(place);
            }
        } else {
            self.start(place, probes);
        }
    }

    /// A scrape that was wanted has to wait for a descriptor.
    fn put_off(&mut self, place: usize) {
        self.put_off = self.put_off.saturating_add(1);
        let (most, count) = (self.budget.most(), self.put_off);
        let (now, limit) = (self.now(), self.time_limit());
        if let (Some(lane), Some(target)) = (self.lanes.get_mut(place), self.targets.get(place))
            && !lane.settled
        {
            let alarm = lane.limit(target, now, limit);
            self.timers.set(place, Some(alarm));
        }
        if count.is_power_of_two() {
            self.warn_seldom("scrapes wait for one another (--max-connections, ulimit -n)".into());
            self.log.debug(format_args!("{count} scrapes had to wait, there are {most} connections"));
        }
    }

    /// Begins scrapes that stand in line, as far as there are descriptors.
    fn admit(&mut self) {
        while !self.wanted.is_empty() || (!self.sick.is_empty() && self.may_probe()) {
            if self.paused_until.is_some_and(|at| self.now() < at)
                || !(self.budget.has_room() || self.close_idlest())
            {
                return;
            }
            let (place, probes) = match self.wanted.pop() {
                Some(place) => (Some(place), false),
                None => (self.sick.pop(), true),
            };
            let Some(place) = place else { return };
            if self.targets.get(place).is_some_and(Target::is_running) {
                self.reach(place);
                self.account(place);
            } else {
                self.start(place, probes);
            }
        }
    }

    /// Whether the sick leave room for others.
    const fn may_probe(&self) -> bool {
        self.probes == 0 || self.probes < self.budget.most() / 2
    }

    fn start(&mut self, place: usize, probes: bool) {
        let (now, wall) = (self.now(), wall());
        let limit = self.time_limit().min(LAST);
        self.sick.leave(place);
        let (Some(target), Some(lane)) = (self.targets.get_mut(place), self.lanes.get_mut(place)) else {
            return;
        };
        self.store.begin(target.id);
        target.totals.scrapes = target.totals.scrapes.saturating_add(1);
        (lane.began, lane.come, lane.probing) = (Some(now), 0, probes);
        self.probes = self.probes.saturating_add(usize::from(probes));
        self.timers.set(place, Some(lane.limit(target, now, limit)));
        if is_cheap(target) {
            // It has its turn as others have, so that many files do not keep peers from theirs.
            target.ready = true;
            self.ready.push(place);
            return;
        }
        let mut cx = Context { store: &mut self.store, now, wall };
        match target.begin(&mut cx) {
            Outcome::Pending => {}
            Outcome::More => {
                self.ready.push(place);
            }
            Outcome::Unreached => self.reach(place),
            outcome => self.end(place, outcome),
        }
        self.account(place);
    }

    /// Connects to a target, once its name has an address.
    fn reach(&mut self, place: usize) {
        let (Some(target), Some(lane)) = (self.targets.get_mut(place), self.lanes.get_mut(place)) else {
            return;
        };
        if !target.has_address() {
            let Some((host, port)) = target.endpoint() else { return };
            if lane.looks_up {
                return;
            }
            let Some(address) = self.resolver.resolve(place, host, port) else {
                lane.looks_up = true;
                return;
            };
            target.resolved(vec![address]);
        }
        self.connect(place);
    }

    /// Takes the addresses that have been looked up.
    fn take_addresses(&mut self) {
        while let Some(answer) = self.resolver.answer() {
            let place = answer.key;
            let (Some(target), Some(lane)) = (self.targets.get_mut(place), self.lanes.get_mut(place)) else {
                continue;
            };
            lane.looks_up = false;
            // A scrape that was given up since needs none.
            if !target.is_running() || target.descriptors() > 0 || target.has_address() {
                continue;
            }
            match answer.addresses {
                _ if !target.awaits(&answer.host, answer.port) => self.reach(place),
                Ok(addresses) => {
                    target.resolved(addresses);
                    self.connect(place);
                }
                Err(error) => self.end(place, Outcome::Failed(format!("cannot be resolved: {error}"))),
            }
            self.account(place);
        }
    }

    fn connect(&mut self, place: usize) {
        let Some(target) = self.targets.get_mut(place) else { return };
        match target.connect() {
            Ok(()) => {}
            Err(error) if budget::is_exhausted(&error) => {
                // It stands in line again, and goes on when somebody else has closed one.
                if !self.close_idlest() {
                    self.paused_until = Some(self.now().saturating_add(PAUSE));
                }
                self.wanted.push(place);
            }
            Err(error) => self.end(place, Outcome::Failed(format!("cannot be connected: {error}"))),
        }
    }

    /// Closes the connection that was unused for longest; whether there was one.
    pub(super) fn close_idlest(&mut self) -> bool {
        let Some(place) = self.budget.idlest() else { return false };
        if let Some(target) = self.targets.get_mut(place) {
            target.disconnect();
        }
        self.account(place);
        true
    }

    /// Takes note of what a target holds.
    fn account(&mut self, place: usize) {
        let Some(target) = self.targets.get(place) else { return };
        let held = target.descriptors();
        let runs = target.is_running();
        // One that is about to connect has its place already.
        self.budget.note(place, if runs { held.max(1) } else { held }, held > 0 && !runs);
    }

    /// Ends what is under way for a target that is gone or another: nothing is left to wait for.
    pub(super) fn give_up(&mut self, place: usize) {
        let (Some(target), Some(lane)) = (self.targets.get_mut(place), self.lanes.get_mut(place)) else {
            return;
        };
        target.abandon_unless(false);
        self.probes = self.probes.saturating_sub(usize::from(lane.probing));
        *lane = Lane { looks_up: lane.looks_up, ..Lane::default() };
        self.timers.set(place, None);
        self.wanted.leave(place);
        self.sick.leave(place);
        self.account(place);
        self.ended = true;
    }

    /// Makes what a scrape brought visible, or forgets it; says what was wrong, once.
    fn end(&mut self, place: usize, outcome: Outcome) {
        let now = self.now();
        let (Some(target), Some(lane)) = (self.targets.get_mut(place), self.lanes.get_mut(place)) else {
            return;
        };
        target.abandon_unless(matches!(outcome, Outcome::Done(_)));
        for remark in target.remarks() {
            self.log.info(format_args!("{}: stderr: {remark}", target.label()));
        }
        for name in target.source.filter.excluded() {
            let (root, source) = (&self.options.root, &target.source.name);
            self.log.info(format_args!("Metric {root}.{source}.{name} excluded by config filters"));
        }
        let (complaint, whole) = match outcome {
            Outcome::Done(stats) => {
                target.totals.samples = target.totals.samples.saturating_add(stats.samples);
                target.totals.refused = target.totals.refused.saturating_add(stats.refused);
                target.totals.bytes = target.totals.bytes.saturating_add(stats.bytes);
                let (samples, bytes) = (stats.samples, stats.bytes);
                self.log.debug(format_args!("{}: {samples} samples in {bytes} bytes", target.label()));
                let told = stats.first_refused.map(|first| {
                    format!("{} of {} lines refused, first {first}", stats.refused, stats.lines)
                });
                (told, true)
            }
            Outcome::Failed(why) => (Some(why), false),
            Outcome::Pending | Outcome::More | Outcome::Unreached => return,
        };
        target.ended(if whole { Ok(()) } else { Err(complaint.clone().unwrap_or_default()) }, now);
        self.probes = self.probes.saturating_sub(usize::from(core::mem::take(&mut lane.probing)));
        (lane.settled, lane.began, lane.until, lane.names_until) = (true, None, None, None);
        lane.failures = if whole { 0 } else { lane.failures.saturating_add(1) };
        let (failures, refresh) = (lane.failures, duration(self.options.refresh));
        let holds_until = match whole {
            true => now.saturating_add(duration(self.options.max_age)),
            false if is_cheap(target) => now,
            false => Instant::NEVER,
        };
        let id = target.id;
        self.store.commit(id, whole, holds_until);
        // A source without a metric is named by no request.
        let empty = target.totals.samples == 0;
        let again = match whole {
            true => empty.then_some(refresh),
            // Its file tells when there is a URL.
            false if is_unusable(target) => None,
            false => (empty || !is_cheap(target)).then(|| pause(failures, refresh, place)),
        };
        self.timers.set(place, again.map(|pause| now.saturating_add(pause)));
        self.wanted.leave(place);
        self.ended = true;
        self.save_ids_of(id);
        self.tell_news(place, complaint.as_deref(), whole);
        self.account(place);
        if self.targets.get(place).is_some_and(|target| matches!(target.source.origin, Origin::Script(_))) {
            // Another may have its turn.
            self.wake_scripts();
        }
    }

    /// A child has ended: whose it was, and whose turn it is, they know themselves.
    pub(super) fn wake_scripts(&mut self) {
        self.means.scripts.borrow_mut().reap();
        for (place, target) in self.targets.iter_mut().enumerate().filter(|(_, target)| target.is_script()) {
            target.ready = true;
            self.ready.push(place);
        }
    }

    fn tell_news(&mut self, place: usize, complaint: Option<&str>, whole: bool) {
        let now = self.now();
        let (Some(target), Some(lane)) = (self.targets.get(place), self.lanes.get_mut(place)) else { return };
        // The log has that already, with the line of its file.
        if is_unusable(target) {
            return;
        }
        let news = lane.news.of(complaint, now);
        let (label, why) = (target.label(), complaint.unwrap_or_default());
        let unsaid = match news {
            Some(Line::Complaint { unsaid: unsaid @ 1.. }) => format!(" ({unsaid} more were not logged)"),
            _ => String::new(),
        };
        match news {
            None => {}
            Some(Line::Well) => self.log.info(format_args!("{label}: well again")),
            Some(Line::Complaint { .. }) if whole => {
                self.log.warning(format_args!("{label}: {why}{unsaid}"));
            }
            Some(Line::Complaint { .. }) => self.log.error(format_args!("{label}: {why}{unsaid}")),
        }
    }

    pub(super) fn time_limit(&self) -> Duration {
        duration(self.options.timeout)
    }
}

/// Whether a scrape is so cheap, and ends so surely, that it is made for each request even where the last one failed: a
/// file that is not there costs one call, and a large one leaves others their turns.
fn is_cheap(target: &Target) -> bool {
    matches!(target.source.origin, Origin::Url(Url::File(_)) | Origin::Unusable(_))
}

const fn is_unusable(target: &Target) -> bool {
    matches!(target.source.origin, Origin::Unusable(_))
}

fn needs_descriptor(target: &Target) -> bool {
    !is_cheap(target) && target.descriptors() == 0
}

/// How long names wait for a source of which nothing has come yet.
const NAMES: Duration = Duration::from_secs(1);
/// When every scrape has ended, so that there is time to answer before [`PATIENCE`](super::PATIENCE) ends.
const LAST: Duration = Duration::from_millis(4400);
/// Who has brought so many bytes, and brings more, may go on until then.
const BULK: u64 = 1 << 20;
/// How long a bulky document may bring nothing.
const GRACE: Duration = Duration::from_millis(250);
/// How long targets move until peers have their turn.
const SLICE: std::time::Duration = std::time::Duration::from_millis(50);
/// How long nothing is connected after the system had no descriptor for it.
const PAUSE: Duration = Duration::from_millis(100);
