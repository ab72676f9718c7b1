//! Between those who ask for pages and the pmcds: a request becomes a scrape, and what the scrape brought a page, made
//! once for all who wait for the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use mio::{Registry, Token, Waker};
use pmbridge_core::exposition::{Format, writer};
use pmbridge_core::http::server::{Request, pairs};
use pmbridge_core::time::{Duration, Instant};

use super::TARGETS;
use super::own::{self, Facts, Scrapes};
use super::page::{self, Ask};
use super::pmcd::{Address, Ended, Pmcd};
use super::query::{Defaults, Query};
use super::selection::{Matching, Selection};
use crate::clock::duration;
use crate::flags;
use crate::log::Log;
use crate::resolve::Resolver;
use crate::web::{self, Document, Pages, Reply, Web, decoded, room_for};

/// Who waits for what, and the pmcds that are asked.
pub(super) struct Desk {
    registry: Registry,
    resolver: Rc<RefCell<Resolver>>,
    options: flags::Export,
    /// That of `--pmcd` first, then those of `--allow-target`, as they are asked for.
    targets: Vec<Target>,
    /// Requests that wait, by the number that the web server keeps for us.
    waits: HashMap<u64, Wait>,
    next: u64,
    /// What queries meant, so that a scraper's is read once.
    asked: HashMap<String, Rc<Asked>>,
}

/// A pmcd, and what is remembered of its pages.
struct Target {
    /// As it is spelt in `--pmcd` or `--allow-target`.
    spelt: String,
    pmcd: Pmcd,
    pages: page::Pages,
    scrapes: Scrapes,
    /// Bytes of the last page: the next is about as long.
    typical: usize,
}

/// What a query means.
struct Asked {
    query: Query,
    /// `None` where nothing of what is asked for is exported.
    selection: Option<Rc<Selection>>,
}

/// A request that waits.
struct Wait {
    target: usize,
    ticket: u64,
    ask: Ask,
    since: Instant,
    outcome: Option<Reply>,
}

impl Desk {
    /// A desk with the pmcd of `--pmcd`. `waker` is for names that were looked up: [`pump`](Self::pump) takes them.
    pub(super) fn new(registry: Registry, waker: Waker, options: &flags::Export) -> io::Result<Self> {
        let mut desk = Self {
            registry,
            resolver: Rc::new(RefCell::new(Resolver::new(Arc::new(waker)))),
            options: options.clone(),
            targets: Vec::new(),
            waits: HashMap::new(),
            next: 0,
            asked: HashMap::new(),
        };
        let bad = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        for target in &options.targets {
            let _: Address = target.parse().map_err(|why| bad(format!("--allow-target: {target}: {why}")))?;
        }
        desk.read("").map_err(|why| bad(format!("--filter: {why}")))?;
        desk.open(&options.pmcd).map_err(|why| bad(format!("--pmcd: {}: {why}", options.pmcd)))?;
        Ok(desk)
    }

    /// Connects to the first pmcd before anybody asks.
    pub(super) fn connect(&mut self, now: Instant) {
        if let Some(target) = self.targets.first_mut() {
            target.pmcd.connect(now);
        }
    }

    /// Something has happened to the connection of this target.
    pub(super) fn wake(&mut self, place: usize) {
        if let Some(target) = self.targets.get_mut(place) {
            target.pmcd.wake();
        }
    }

    /// When to pump again though nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.targets.iter().filter_map(|target| target.pmcd.deadline()).min()
    }

    /// Lets the pmcds go on, and makes the pages of scrapes that ended; whether there were any.
    pub(super) fn pump(&mut self, web: &Web, now: Instant, log: &Log) -> bool {
        self.take_addresses(log);
        let mut stirred = false;
        for place in 0..self.targets.len() {
            while let Some(target) = self.targets.get_mut(place)
                && let Some(ended) = target.pmcd.pump(now, log)
            {
                self.settle(place, &ended, web, now);
                stirred = true;
            }
        }
        stirred
    }

    /// Hands out the addresses that have been looked up.
    fn take_addresses(&mut self, log: &Log) {
        loop {
            // It is free again before anybody goes on who may ask it.
            let Some(answer) = self.resolver.borrow_mut().answer() else { return };
            let place = answer.key.checked_sub(TARGETS);
            if let Some(target) = place.and_then(|place| self.targets.get_mut(place)) {
                target.pmcd.resolved(answer.addresses, log);
            }
        }
    }
}

impl Desk {
    /// What a query means, read once.
    fn read(&mut self, query: &str) -> Result<Rc<Asked>, String> {
        if let Some(asked) = self.asked.get(query) {
            return Ok(Rc::clone(asked));
        }
        let text = |part| decoded(part).ok_or("a parameter is not UTF-8");
        let mut decoded = Vec::new();
        for (name, value) in pairs(query) {
            decoded.push((text(name)?, text(value)?));
        }
        let defaults = Defaults {
            naming: self.options.naming,
            info: self.options.info,
            target_is_host: !self.options.targets.is_empty(),
        };
        let mut read = Query::read(&decoded, defaults)?;
        let is_exported = read.keep_within(&self.options.names);
        let own = self.options.filters.iter().map(|filter| (Matching::Glob, filter.clone()));
        let patterns = own.chain(read.filters.iter().map(|filter| (read.matching, filter.clone()))).collect();
        let selection = Selection::new(core::mem::take(&mut read.names), patterns)?.with_texts(read.info);
        let asked = Rc::new(Asked { query: read, selection: is_exported.then(|| Rc::new(selection)) });
        // Whoever makes up queries shall not fill our memory with them.
        if self.asked.len() >= REMEMBERED {
            self.asked.clear();
        }
        self.asked.insert(query.to_owned(), Rc::clone(&asked));
        Ok(asked)
    }

    /// The place of the pmcd that a request names.
    fn target(&mut self, host: Option<&str>) -> Result<usize, Reply> {
        let Some(host) = host else { return Ok(0) };
        if host != self.options.pmcd && !self.options.targets.iter().any(|target| target == host) {
            let text = "this host is not one that requests may name: --allow-target does".to_owned();
            return Err(Reply::Refused(403, text));
        }
        if let Some(place) = self.targets.iter().position(|target| target.spelt == host) {
            return Ok(place);
        }
        self.open(host).map_err(|why| Reply::Refused(503, why))
    }

    fn open(&mut self, spelt: &str) -> Result<usize, String> {
        let address = spelt.parse()?;
        let place = self.targets.len();
        let token = Token(TARGETS.saturating_add(place));
        let registry = self.registry.try_clone().map_err(|error| error.to_string())?;
        let timeout = duration(self.options.timeout);
        let pmcd = Pmcd::new(registry, token, Rc::clone(&self.resolver), address, timeout);
        self.targets.push(Target {
            spelt: spelt.to_owned(),
            pmcd,
            pages: page::Pages::default(),
            scrapes: Scrapes::default(),
            typical: 0,
        });
        Ok(place)
    }

    /// Begins the scrape that a request wants.
    fn begin(&mut self, request: &Request<'_>, now: Instant) -> Result<u64, Reply> {
        let asked = self.read(request.query).map_err(|why| Reply::Refused(400, why))?;
        let Some(selection) = &asked.selection else {
            return Err(Reply::Refused(404, "none of these names is exported here".into()));
        };
        let place = self.target(asked.query.host.as_deref())?;
        let Some(target) = self.targets.get_mut(place) else {
            return Err(Reply::Refused(503, "gone".into()));
        };
        let ask = Ask {
            format: Format::negotiate(request.field("accept")),
            naming: asked.query.naming,
            times: asked.query.times,
            info: asked.query.info,
        };
        let ticket = target.pmcd.want(Rc::clone(selection), now);
        let wait = self.next;
        self.next = self.next.wrapping_add(1);
        self.waits.insert(wait, Wait { target: place, ticket, ask, since: now, outcome: None });
        Ok(wait)
    }
}

impl Desk {
    /// Tells all who wait for a scrape how it ended: each way to see it is made into a page once.
    fn settle(&mut self, place: usize, ended: &Ended, web: &Web, now: Instant) {
        let Some(target) = self.targets.get_mut(place) else { return };
        let count = if ended.result.is_ok() { &mut target.scrapes.whole } else { &mut target.scrapes.failed };
        *count = count.saturating_add(1);
        let mut made: Vec<(Ask, Reply)> = Vec::new();
        let is_meant = |wait: &Wait| wait.target == place && ended.tickets.contains(&wait.ticket);
        for wait in self.waits.values_mut().filter(|wait| is_meant(wait)) {
            let known = made.iter().find(|(ask, _)| *ask == wait.ask).map(|(_, reply)| reply.clone());
            let reply = known.unwrap_or_else(|| {
                let took = now.saturating_since(wait.since);
                let reply = target.reply(ended, wait.ask, self.options.own.then(|| web.stats()), took);
                made.push((wait.ask, reply.clone()));
                reply
            });
            wait.outcome = Some(reply);
        }
    }
}

impl Target {
    /// What who asks like this gets of a scrape.
    fn reply(&mut self, ended: &Ended, ask: Ask, web: Option<web::Stats>, took: Duration) -> Reply {
        let time = match &ended.result {
            Ok(time) => *time,
            Err(why) => return Reply::Refused(503, format!("{why} (asked at {})", self.spelt)),
        };
        let names = ended.selection.names().len();
        if names > 0 && ended.unknown.len() == names {
            return Reply::Refused(404, "pmcd has no metrics of these names".into());
        }
        let mut page = room_for(self.typical.saturating_add(self.typical / 8));
        let catalog = self.pmcd.catalog();
        let tally = self.pages.render(catalog, &ended.metrics, ask, time, &mut page);
        if let Some(web) = web {
            let facts = Facts {
                catalog,
                web,
                reconnects: self.pmcd.reconnects(),
                scrapes: self.scrapes,
                took: std::time::Duration::from_millis(took.millis()),
                metrics: ended.metrics.len(),
                tally,
            };
            own::write(ask.format, &facts, &mut page);
        }
        writer::end(ask.format, &mut |piece| page.extend_from_slice(piece));
        self.typical = page.len();
        Reply::Page(Rc::new(Document::new(ask.format.content_type(), page)))
    }
}

impl Pages for Desk {
    fn page(&mut self, request: &Request<'_>, wait: &mut Option<u64>, now: Instant) -> Reply {
        let Some(number) = *wait else {
            return match self.begin(request, now) {
                Ok(number) => {
                    *wait = Some(number);
                    Reply::Later
                }
                Err(reply) => reply,
            };
        };
        match self.waits.get_mut(&number).map(|wait| wait.outcome.take()) {
            Some(None) => Reply::Later,
            Some(Some(reply)) => {
                self.waits.remove(&number);
                reply
            }
            None => Reply::Refused(503, "the scrape was forgotten".into()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.targets.first().is_some_and(|target| target.pmcd.is_ready())
    }

    fn forget(&mut self, wait: u64) {
        let Some(wait) = self.waits.remove(&wait) else { return };
        if let Some(target) = self.targets.get_mut(wait.target)
            && wait.outcome.is_none()
        {
            target.pmcd.forget(wait.ticket);
        }
    }
}

/// So many queries are remembered.
const REMEMBERED: usize = 32;
