//! Pages for who asks over HTTP: a request waits for the scrapes that it needs, as a FETCH does, and then a page is made.
//!
//! Requests for the same page that come before its scrapes begin share a round: its scrapes, and the page.

use std::collections::BTreeMap;
use std::rc::Rc;

use pmbridge_core::http::server::{Request, pairs};
use pmbridge_core::role::page::{Format, Page};
use pmbridge_core::store::{Metric, SourceId, Store, Ticket, View};
use pmbridge_core::time::{Duration, Instant};

use super::{Host, PATIENCE};
use crate::memory::Memory;
use crate::names::{is_at_or_below, list};
use crate::web::{Document, Pages, Reply, decoded, room_for};

/// The rounds that are under way, by the number that their requests hold.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    open: BTreeMap<u64, Round>,
    last: u64,
    /// Bytes of the last page: the next is about as long.
    typical: usize,
}

/// What a page is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    format: Format,
    /// Sources that it is about, all where there is none.
    sources: Vec<SourceId>,
    /// Names at or below which its metrics are, all where there is none.
    names: Vec<String>,
}

#[derive(Debug)]
struct Round {
    ask: Ask,
    since: Ticket,
    until: Instant,
    /// Its scrapes may have begun: who comes now is too late for it.
    closed: bool,
    /// The sources that it needs, and how many of them are known to be fresh.
    needs: Vec<SourceId>,
    fresh: usize,
    /// When the host was asked to publish what it has itself, and how long it may take.
    asked: Option<(Ticket, Instant)>,
    waiters: usize,
    page: Option<Rc<Document>>,
}

/// What requests for pages find here.
struct Office<'a> {
    store: &'a mut Store<Memory>,
    rounds: &'a mut Rounds,
}

impl Pages for Office<'_> {
    fn page(&mut self, request: &Request<'_>, wait: &mut Option<u64>, now: Instant) -> Reply {
        let number = match *wait {
            Some(number) => number,
            None => match self.enter(request, now) {
                Ok(number) => number,
                Err((status, why)) => return Reply::Refused(status, why),
            },
        };
        *wait = Some(number);
        match self.rounds.open.get(&number).map(|round| round.page.clone()) {
            Some(Some(page)) => {
                self.forget(number);
                Reply::Page(page)
            }
            Some(None) => Reply::Later,
            None => Reply::Refused(503, "the page was lost".into()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.store.view().is_settled()
    }

    fn forget(&mut self, wait: u64) {
        if let Some(round) = self.rounds.open.get_mut(&wait) {
            round.waiters = round.waiters.saturating_sub(1);
            if round.waiters == 0 {
                self.rounds.open.remove(&wait);
            }
        }
    }
}

impl Office<'_> {
    /// Finds a round for a request, or begins one.
    fn enter(&mut self, request: &Request<'_>, now: Instant) -> Result<u64, (u16, String)> {
        let ask = self.ask(request)?;
        let open = self.rounds.open.iter_mut().find(|(_, round)| !round.closed && round.ask == ask);
        if let Some((number, round)) = open {
            round.waiters = round.waiters.saturating_add(1);
            return Ok(*number);
        }
        let since = self.store.ticket();
        let needs = needs(self.store.view(), &ask);
        for source in &needs {
            if self.store.view().is_scraped(*source) {
                self.store.want(*source, since, now);
            }
        }
        let until = now.saturating_add(PATIENCE);
        let (closed, fresh, asked, page) = (false, 0, None, None);
        let round = Round { ask, since, until, closed, needs, fresh, asked, waiters: 1, page };
        self.rounds.last = self.rounds.last.saturating_add(1);
        self.rounds.open.insert(self.rounds.last, round);
        Ok(self.rounds.last)
    }

    /// What a request asks for. What nobody has is not found.
    fn ask(&self, request: &Request<'_>) -> Result<Ask, (u16, String)> {
        let view = self.store.view();
        let mut ask = Ask {
            format: Format::negotiate(request.field("accept")),
            sources: Vec::new(),
            names: Vec::new(),
        };
        for (name, value) in pairs(request.query) {
            let value = decoded(value).ok_or_else(|| (400, "a parameter is not UTF-8".to_owned()))?;
            if name.is("source") {
                let source = view.source_named(&value).filter(|source| !view.is_gone(*source));
                ask.sources.push(source.ok_or_else(|| (404, format!("there is no source {value}")))?);
            } else if name.is("names") {
                ask.names.extend(list(&value));
            }
        }
        ask.sources.sort_by_key(|source| source.place());
        ask.sources.dedup();
        ask.names.sort_unstable();
        ask.names.dedup();
        // A name that is not there costs that name.
        if !ask.names.is_empty() && needs(view, &ask).is_empty() {
            return Err((404, "there is no metric of these names".to_owned()));
        }
        Ok(ask)
    }
}

impl Host {
    /// Lets those go on who ask for pages.
    pub(super) fn pump_web(&mut self) {
        let Some(mut web) = self.web.take() else { return };
        let now = self.now();
        let mut made = self.make_pages(now);
        loop {
            let mut office = Office { store: &mut self.store, rounds: &mut self.rounds };
            web.pump(&mut office, made, now);
            made = self.make_pages(now);
            if !made {
                break;
            }
        }
        self.web = Some(web);
    }

    /// Makes the pages whose scrapes have ended, or whose time is up; whether there was one.
    fn make_pages(&mut self, now: Instant) -> bool {
        let mut made = false;
        for round in self.rounds.open.values_mut().filter(|round| round.page.is_none()) {
            if !round.is_ready(&mut self.store, now) {
                continue;
            }
            let asked = match round.asked {
                Some(asked) => asked,
                None => round.ask_host(&mut self.store, now),
            };
            let told = round.needs.iter().all(|source| {
                let view = self.store.view();
                view.is_scraped(*source) || view.is_fresh(*source, asked.0)
            });
            if told || now >= asked.1 {
                let room = room_for(self.rounds.typical.saturating_add(self.rounds.typical / 8));
                let page = render(self.store.view(), &round.ask, round.since, room);
                self.rounds.typical = page.plain().len();
                round.page = Some(Rc::new(page));
                made = true;
            }
        }
        made
    }

    /// Scrapes begin: who comes from here on waits for later ones.
    pub(super) fn close_rounds(&mut self) {
        for round in self.rounds.open.values_mut() {
            round.closed = true;
        }
    }

    /// When pages are to be looked at again though nothing has happened.
    pub(super) fn page_deadline(&self) -> Option<Instant> {
        let waiting = self.rounds.open.values().filter(|round| round.page.is_none());
        let next = waiting.map(|round| round.asked.map_or(round.until, |(_, until)| until)).min();
        let web = self.web.as_ref().and_then(|web| web.deadline());
        next.into_iter().chain(web).min()
    }
}

impl Round {
    /// Whether each source that it needs was scraped, or it has waited long enough.
    fn is_ready(&mut self, store: &mut Store<Memory>, now: Instant) -> bool {
        while let Some(source) = self.needs.get(self.fresh) {
            if store.view().is_scraped(*source) && !store.view().is_fresh(*source, self.since) {
                // It may have come to hold what it has.
                store.want(*source, self.since, now);
                if !store.view().is_fresh(*source, self.since) {
                    return now >= self.until;
                }
            }
            self.fresh = self.fresh.saturating_add(1);
        }
        true
    }

    /// Wants what the host publishes itself, which then tells of the scrapes that were waited for.
    fn ask_host(&mut self, store: &mut Store<Memory>, now: Instant) -> (Ticket, Instant) {
        let ticket = store.ticket();
        for source in &self.needs {
            if !store.view().is_scraped(*source) {
                store.want(*source, ticket, now);
            }
        }
        let asked = (ticket, now.saturating_add(HOST));
        self.asked = Some(asked);
        asked
    }
}

/// The sources whose metrics a page is about.
fn needs(view: View<'_>, ask: &Ask) -> Vec<SourceId> {
    let mut all: Vec<SourceId> = if ask.names.is_empty() {
        view.source_ids().filter(|source| !view.is_gone(*source)).collect()
    } else {
        ask.names.iter().flat_map(|name| below(view, name)).map(|metric| view.source_of(metric)).collect()
    };
    all.retain(|source| ask.sources.is_empty() || ask.sources.contains(source));
    all.sort_by_key(|source| source.place());
    all.dedup();
    all
}

/// The metrics at and below a name.
fn below<'a>(view: View<'a>, name: &str) -> impl Iterator<Item = &'a Metric> {
    let names = (view.position(name.as_bytes())..view.names()).filter_map(move |at| view.in_order(at));
    let begin = name.to_owned();
    // Names that go on with less than a dot lie in between.
    names
        .take_while({
            let begin = begin.clone();
            move |metric| view.name(metric).starts_with(begin.as_bytes())
        })
        .filter(move |metric| is_at_or_below(view.name(metric), begin.as_bytes()))
}

/// Makes a page.
fn render(view: View<'_>, ask: &Ask, since: Ticket, mut text: Vec<u8>) -> Document {
    let select = |view: View<'_>, metric: &Metric| {
        let is_of = ask.sources.is_empty() || ask.sources.contains(&view.source_of(metric));
        let name = view.name(metric);
        is_of
            && (ask.names.is_empty() || ask.names.iter().any(|begin| is_at_or_below(name, begin.as_bytes())))
    };
    let all = ask.sources.is_empty() && ask.names.is_empty();
    let mut page = Page::new(ask.format, since);
    loop {
        let from = text.len();
        text.resize(from.saturating_add(ROOM.max(from / 2)), 0);
        let room = text.get_mut(from..).unwrap_or_default();
        let (written, done) =
            if all { page.write(view, None, room) } else { page.write(view, Some(&select), room) };
        text.truncate(from.saturating_add(written));
        if done {
            return Document::new(ask.format.content_type(), text);
        }
    }
}

/// A page begins with room for this.
const ROOM: usize = 64 << 10;
/// How long publishing may take once it is asked for: that is the next turn.
const HOST: Duration = Duration::from_millis(250);
