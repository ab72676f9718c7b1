//! What agent and collector have in common: one request at a time, answered record by record.
//!
//! The length of an answer is told before its first byte, so it is measured first. Both passes and every size of
//! window run the same code: a [`Place`] says which record is next, and a count how much of it is out.

use super::{
    Context, Word,
    fetch::Fetch,
    instances::Instances,
    intake::Request,
    labels::Labels,
    names::{Listed, Listing},
    storing,
};
use crate::{
    mapping::help,
    pcp::{Desc, InDom, Pmid, Status},
    pdu::{
        self, Kind, Pmids, desc,
        error::Report,
        instance, label,
        pmns::{Child, Ids, Traverse},
        profile::Profile,
        text,
    },
    store::{Slot, SourceId, Storage, Ticket, View},
    time::{Duration, Instant},
    wire::{Writer, count, size},
};

/// What answers are made from.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) view: View<'a>,
    pub(super) domain: u16,
    pub(super) is_collector: bool,
}

/// Which record of an answer comes next; what the numbers mean is the answer's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) stage: u8,
    pub(super) at: u32,
    pub(super) slot: Slot,
    pub(super) sum: u32,
    /// Which metric probably comes next.
    pub(super) near: Slot,
}

impl Place {
    pub(super) fn index(self) -> usize {
        size(self.at)
    }

    /// The next of what is listed, at this stage.
    pub(super) const fn after(self, stage: u8) -> Self {
        Self { stage, at: self.at.saturating_add(1), slot: Slot::NONE, ..self }
    }
}

/// A request that can be answered, as found where it lies.
enum Ask<'a> {
    Refuse(Status),
    Fetch(Fetch<'a>),
    Desc(Desc),
    Descs(Pmids<'a>),
    Instances(Instances<'a>),
    Help { ident: u32, raw: &'a str, long: bool },
    Labels(Labels<'a>),
    Ids(Listed<'a>),
    List(Listing<'a>),
}

#[derive(Debug, Clone, Copy)]
enum At {
    Idle,
    /// Sources are being scraped for the request; it has waited for those of the first `ready` PMIDs.
    Waiting {
        since: Ticket,
        until: Instant,
        ready: u32,
        /// Some PMIDs are those of values that the host publishes when somebody asks.
        of_host: bool,
    },
    /// The scrapes are done. Now the host publishes values of its own that may tell of them, for the PMIDs from the
    /// place `ready` on.
    Asking {
        since: Ticket,
        asked: Ticket,
        until: Instant,
        ready: u32,
    },
    /// What a client wanted to store was stored or not; the answer is going out.
    Stored {
        status: Status,
        word: Word,
    },
    /// The answer is going out: `skip` bytes of the record at `place` are. It was not begun while `len` is 0.
    Telling {
        since: Ticket,
        len: u32,
        place: Place,
        skip: usize,
    },
}

impl At {
    fn telling(since: Ticket) -> Self {
        Self::Telling { since, len: 0, place: Place::default(), skip: 0 }
    }
}

/// Answers requests one after the other.
#[derive(Debug)]
pub(super) struct Answerer {
    at: At,
    budget: Duration,
    is_collector: bool,
}

impl Answerer {
    /// Waits at most `budget` for scrapes.
    pub(super) const fn new(budget: Duration, is_collector: bool) -> Self {
        Self { at: At::Idle, budget, is_collector }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.at {
            At::Waiting { until, .. } | At::Asking { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.at, At::Telling { len: 1.., .. })
    }

    /// Answers the request: how many bytes that put out, and whether they are the last.
    ///
    /// `flags` are the state changes that a result reports to pmcd.
    pub(super) fn step<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        request: Request<'_>,
        profile: Result<Profile<'_>, Status>,
        flags: u32,
        output: &mut [u8],
    ) -> (usize, bool) {
        if request.kind == Kind::RESULT {
            return self.store(cx, request, output);
        }
        if !self.is_ready(cx, request) {
            return (0, false);
        }
        let At::Telling { since, .. } = self.at else { return (0, false) };
        let scope = self.scope(cx);
        let ask = ask(&scope, request, profile, since, flags, cx.wall);
        let (produced, done) = self.tell(&scope, &ask, output);
        if done {
            self.at = At::Idle;
        }
        (produced, done)
    }

    /// Whether it is time to answer: whatever the request names was scraped and published, or did not come in time, and
    /// the store [holds](crate::store::Store::hold) no answers back.
    pub(super) fn is_ready<S: Storage>(&mut self, cx: &mut Context<'_, S>, request: Request<'_>) -> bool {
        if matches!(self.at, At::Idle) {
            self.at = self.wait(cx, request);
        }
        if let At::Waiting { since, until, ready, of_host } = self.at {
            let (ready, done) = is_scraped(cx, since, ready, request);
            if !done && cx.now < until {
                self.at = At::Waiting { since, until, ready, of_host };
                return false;
            }
            self.at = if of_host {
                // The ticket is drawn now, so that what is published tells of the scrapes that were waited for.
                let asked = cx.store.ticket();
                want(cx, request, asked, true);
                At::Asking { since, asked, until: cx.now.saturating_add(HOST), ready: 0 }
            } else {
                At::telling(since)
            };
        }
        if let At::Asking { since, asked, until, ready } = self.at {
            let (ready, done) = is_told(cx, asked, ready, request);
            if !done && cx.now < until {
                self.at = At::Asking { since, asked, until, ready };
                return false;
            }
            self.at = At::telling(since);
        }
        self.is_busy() || !cx.store.is_held()
    }

    /// What answers are made from now.
    pub(super) fn scope<'s, S: Storage>(&self, cx: &'s Context<'_, S>) -> Scope<'s> {
        Scope { view: cx.store.view(), domain: cx.store.domain(), is_collector: self.is_collector }
    }

    /// Stores what a client sent, once, and says how that went.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn store<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        request: Request<'_>,
        output: &mut [u8],
    ) -> (usize, bool) {
        let (status, mut word) = match (self.at, request.sent()) {
            (At::Stored { status, word }, _) => (status, word),
            (_, Ok(body)) => (storing::store(cx.store, body), Word::default()),
            (_, Err(status)) => (status, Word::default()),
        };
        let (produced, done) = word.say(output, |w| Report { status }.emit(0, w));
        self.at = if done { At::Idle } else { At::Stored { status, word } };
        (produced, done)
    }

    /// Wants what the request needs.
    fn wait<S: Storage>(&self, cx: &mut Context<'_, S>, request: Request<'_>) -> At {
        let since = cx.store.ticket();
        if is_about_names(request.kind) {
            cx.store.want_old(since, cx.now);
        }
        let of_host = want(cx, request, since, false);
        At::Waiting { since, until: cx.now.saturating_add(self.budget), ready: 0, of_host }
    }

    /// Puts as much of the answer out as there is room for; whether that was the rest of it.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn tell(&mut self, scope: &Scope<'_>, ask: &Ask<'_>, output: &mut [u8]) -> (usize, bool) {
        let At::Telling { since, len, place, skip } = self.at else { return (0, true) };
        let (len, mut place) = if len == 0 { ask.measure(scope) } else { (len, place) };
        let mut w = Writer::resume(output, skip);
        loop {
            let before = w.total();
            let next = ask.record(scope, place, len, &mut w);
            if !w.is_whole() {
                let skip = skip.saturating_add(w.written()).saturating_sub(before);
                self.at = At::Telling { since, len, place, skip };
                return (w.written(), false);
            }
            match next {
                Some(next) => place = next,
                None => return (w.written(), true),
            }
        }
    }
}

/// Whether every source that the request names has been scraped since; and for how many PMIDs that is known.
///
/// Questions about names and metrics wait until every source has been scraped once, and so do PMIDs that nobody has:
/// their metrics may be among what comes. Then their source is wanted, too.
fn is_scraped<S: Storage>(
    cx: &mut Context<'_, S>,
    since: Ticket,
    ready: u32,
    request: Request<'_>,
) -> (u32, bool) {
    let Ok(pmids) = fetched(request) else {
        let view = cx.store.view();
        return (0, view.is_settled() && !(is_about_names(request.kind) && view.awaits(since)));
    };
    let (mut ready, mut fresh) = (ready, None);
    while let Some(pmid) = pmids.at(size(ready)) {
        let view = cx.store.view();
        if fresh == Some((pmid.domain(), pmid.cluster())) {
            ready = ready.saturating_add(1);
            continue;
        }
        let source = view.identified(pmid).map(|m| view.source_of(m)).filter(|s| view.is_scraped(*s));
        let is_ours = pmid.domain() == cx.store.domain();
        match source {
            Some(source) if !view.is_fresh(source, since) => {
                cx.store.want(source, since, cx.now);
                if !cx.store.view().is_fresh(source, since) {
                    return (ready, false);
                }
                ready = ready.saturating_add(1);
            }
            None if is_ours && !view.is_settled() && view.identified(pmid).is_none() => {
                return (ready, false);
            }
            Some(_) => {
                // A cluster is of one source.
                fresh = Some((pmid.domain(), pmid.cluster()));
                ready = ready.saturating_add(1);
            }
            None => ready = ready.saturating_add(1),
        }
    }
    (ready, true)
}

/// Wants the sources that a fetch is for: those that are scraped, or those of which the host publishes values when
/// somebody asks. Whether there are any of the latter.
fn want<S: Storage>(cx: &mut Context<'_, S>, request: Request<'_>, since: Ticket, on_demand: bool) -> bool {
    let (mut of_host, mut last) = (false, None);
    let pmids = fetched(request).unwrap_or(Pmids::new(&[]));
    for pmid in pmids.iter() {
        // A cluster is of one source.
        let this = Some((pmid.domain(), pmid.cluster()));
        if this == last {
            continue;
        }
        let view = cx.store.view();
        let Some(source) = view.identified(pmid).map(|m| view.source_of(m)) else { continue };
        last = this;
        let of_this = view.is_on_demand(source);
        of_host |= of_this;
        if if on_demand { of_this } else { view.is_scraped(source) } {
            cx.store.want(source, since, cx.now);
        }
    }
    of_host
}

/// Whether the host has published since; and for how many PMIDs that is known.
fn is_told<S: Storage>(cx: &Context<'_, S>, asked: Ticket, ready: u32, request: Request<'_>) -> (u32, bool) {
    let Ok(pmids) = fetched(request) else { return (ready, true) };
    let (view, mut ready) = (cx.store.view(), ready);
    while let Some(pmid) = pmids.at(size(ready)) {
        if on_demand(view, pmid).is_some_and(|source| !view.is_published(source, asked)) {
            return (ready, false);
        }
        ready = ready.saturating_add(1);
    }
    (ready, true)
}

/// The source of a PMID, where the host publishes its values when somebody asks.
fn on_demand(view: View<'_>, pmid: Pmid) -> Option<SourceId> {
    view.identified(pmid).map(|m| view.source_of(m)).filter(|source| view.is_on_demand(*source))
}

const fn is_about_names(kind: Kind) -> bool {
    matches!(kind, Kind::PMNS_NAMES | Kind::PMNS_IDS | Kind::PMNS_CHILD | Kind::PMNS_TRAVERSE)
}

/// The metrics that a fetch is for.
fn fetched(request: Request<'_>) -> Result<Pmids<'_>, Status> {
    match request.kind {
        Kind::FETCH | Kind::HIGHRES_FETCH => {
            let parsed = pdu::fetch::Fetch::parse(request.kind, request.sent()?);
            parsed.map(|f| f.pmids).map_err(|_| Status::IPC)
        }
        _ => Err(Status::IPC),
    }
}

/// What a request asks for. Whatever is wrong with it becomes the status that refuses it.
#[cfg_attr(target_pointer_width = "32", inline(never))]
fn ask<'a>(
    scope: &Scope<'a>,
    request: Request<'a>,
    profile: Result<Profile<'a>, Status>,
    since: Ticket,
    flags: u32,
    wall: crate::time::Timestamp,
) -> Ask<'a> {
    let asked = match request.kind {
        Kind::FETCH | Kind::HIGHRES_FETCH => fetched(request).and_then(|pmids| {
            let (kind, time) = match request.kind {
                Kind::HIGHRES_FETCH => (Kind::HIGHRES_RESULT, wall),
                // An agent has no clock for its collector: it reports state changes there.
                _ if !scope.is_collector => {
                    (Kind::RESULT, crate::time::Timestamp { secs: flags.into(), nanos: 0 })
                }
                _ => (Kind::RESULT, wall),
            };
            Ok(Ask::Fetch(Fetch { kind, pmids, profile: profile?, since, time }))
        }),
        Kind::LABEL_REQ => request.sent().and_then(|body| {
            let request = label::Request::parse(body).map_err(|_| Status::IPC)?;
            Labels::find(scope, request, profile.unwrap_or(Profile::ALL)).map(Ask::Labels)
        }),
        Kind::PMNS_NAMES => request.listed().and_then(|listed| listed.check(scope)).map(Ask::Ids),
        _ => ask_metadata(scope, request),
    };
    asked.unwrap_or_else(Ask::Refuse)
}

#[cfg_attr(target_pointer_width = "32", inline(never))]
fn ask_metadata<'a>(scope: &Scope<'a>, request: Request<'a>) -> Result<Ask<'a>, Status> {
    let bad = |_| Status::IPC;
    let view = scope.view;
    match request.kind {
        Kind::DESC_REQ => {
            let pmid = desc::Request::parse(request.sent()?).map_err(bad)?.pmid;
            Ok(Ask::Desc(view.identified(pmid).ok_or(Status::PMID)?.desc()))
        }
        Kind::DESC_IDS => {
            let pmids = desc::DescIds::parse(request.sent()?).map_err(bad)?.pmids;
            match (pmids.len(), pmids.at(0)) {
                (1, Some(pmid)) if view.identified(pmid).is_none() => Err(Status::PMID),
                _ => Ok(Ask::Descs(pmids)),
            }
        }
        Kind::INSTANCE_REQ => {
            let asked = instance::Request::parse(request.sent()?).map_err(bad)?;
            Instances::find(scope, &asked).map(Ask::Instances)
        }
        Kind::TEXT_REQ => ask_help(scope, text::Request::parse(request.sent()?).map_err(bad)?),
        Kind::PMNS_IDS => {
            let ids = Ids::parse(request.sent()?).map_err(bad)?;
            let pmid = ids.pmids.at(0).filter(|_| ids.pmids.len() == 1).ok_or(Status::IPC)?;
            Listing::One(pmid).check(scope).map(Ask::List)
        }
        Kind::PMNS_CHILD => {
            let child = Child::parse(request.sent()?).map_err(bad)?;
            Listing::Children(child).check(scope).map(Ask::List)
        }
        Kind::PMNS_TRAVERSE => {
            let traverse = Traverse::parse(request.sent()?).map_err(bad)?;
            Listing::Below(traverse.name).check(scope).map(Ask::List)
        }
        _ => Err(Status::IPC),
    }
}

fn ask_help<'a>(scope: &Scope<'a>, request: text::Request) -> Result<Ask<'a>, Status> {
    let text::Request { ident, kind } = request;
    let long = kind & text::ONELINE == 0;
    if kind & text::INDOM != 0 {
        scope.view.of_indom(InDom::from_bits(ident)).ok_or(Status::INDOM)?;
        return Err(Status::TEXT);
    }
    let metric = scope.view.identified(Pmid::from_bits(ident)).ok_or(Status::PMID)?;
    Ok(Ask::Help { ident, raw: scope.view.help(metric), long })
}

impl<'a> Ask<'a> {
    /// The length of the answer, and its first place.
    fn measure(&self, scope: &Scope<'a>) -> (u32, Place) {
        let (len, sum) = match self {
            Self::Fetch(fetch) => fetch.measure(scope),
            Self::Instances(instances) => (instances.measure(scope).0, 0),
            Self::Labels(labels) => (labels.measure(scope).0, 0),
            Self::List(listing) => (listing.measure(scope).0, 0),
            // One record, whose length its emitter knows; 1 says that it was measured.
            _ => (1, 0),
        };
        (len, Place { sum, ..Place::default() })
    }

    /// Emits the record at `place`, and says where the next one is.
    fn record(&self, scope: &Scope<'a>, place: Place, len: u32, w: &mut Writer<'_>) -> Option<Place> {
        match self {
            Self::Fetch(fetch) => return fetch.record(scope, place, len, w),
            Self::Instances(instances) => return instances.record(scope, place, len, w),
            Self::Labels(labels) => return labels.record(scope, place, len, w),
            Self::List(listing) => return listing.record(scope, place, len, w),
            Self::Refuse(status) => Report { status: *status }.emit(0, w),
            Self::Desc(desc) => desc::Reply { desc: *desc }.emit(0, w),
            Self::Descs(pmids) => {
                desc::Head { count: count(pmids.len()) }.emit(0, w);
                for pmid in pmids.iter() {
                    desc::emit_desc(scope.view.identified(pmid).map(|m| m.desc()).as_ref(), w);
                }
            }
            Self::Help { ident, raw, long } => emit_help(*ident, raw, *long, w),
            Self::Ids(listed) => listed.emit(scope, scope.is_collector, w),
        }
        None
    }
}

fn emit_help(ident: u32, raw: &str, long: bool, w: &mut Writer<'_>) {
    let write = if long { help::long } else { help::oneline };
    let mut len = 0usize;
    write(raw, &mut |piece| len = len.saturating_add(piece.len()));
    text::Head { ident, len: count(len) }.emit(0, w);
    write(raw, &mut |piece| w.bytes(piece));
    w.pad(len);
}

/// How long the host may take to publish values of its own once it is asked: it does so in its next turn.
const HOST: Duration = Duration::from_millis(250);
