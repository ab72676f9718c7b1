//! The store holds what the bridge knows: sources, their metrics, each metric's series and their latest values.
//!
//! Its memory is lent by the host ([`Storage`]). A document comes in line by line and becomes visible as a whole at
//! [`Store::commit`]; what has no room is refused, counted ([`Store::refused`]), and costs nothing else.
//! Roles read it through a [`View`].

mod chain;
#[cfg(test)]
pub(crate) mod check;
mod family;
#[cfg(feature = "full")]
mod hosts;
mod identity;
mod import;
mod index;
mod kin;
mod labelled;
mod ledger;
mod meet;
mod names;
mod own;
mod past;
mod reclaim;
mod record;
mod storage;
mod text;
mod view;

pub(crate) use family::is_same_name;
pub use import::Refusal;
pub use labelled::SeriesId;
pub use own::{Declaration, Instance, Instances, MetricId, Published, Stored};
pub use past::Known;
pub use record::{Metric, Past, Series, Slot, Source, Span, Word};
pub use storage::{Fixed, Full, Lent, Parts, Region, Storage};
pub use view::View;

use crate::{
    exposition::{Sample, Tail},
    mapping::{Family, PcpLine, Rules},
    time::{Duration, Instant},
};
use identity::{ITEMS, LAST_CLUSTER};
use ledger::{Book, Ledger};
use text::Field;

/// A source, for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SourceId(pub(crate) Slot);

impl SourceId {
    /// How many sources were added before it.
    pub fn place(self) -> usize {
        self.0.index().unwrap_or_default()
    }
}

/// Which request a scrape must follow to be fresh enough for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket(u64);

/// What the bridge knows.
#[derive(Debug)]
pub struct Store<S> {
    storage: S,
    book: Book,
    ticket: u64,
    /// A source may have come to be wanted since the host asked for those.
    stirred: bool,
    refresh: Option<Duration>,
    refused: [u64; Region::COUNT],
    /// A client has stored something that the host was not told of yet.
    has_stored: bool,
    /// No answer begins.
    is_held: bool,
}

impl<S: Storage> Store<S> {
    /// An empty store in `storage`, for metrics of `domain`.
    ///
    /// Where peers may send hostile names, `seed` is a number that they cannot know.
    pub const fn new(storage: S, domain: u16, seed: u64) -> Self {
        Self {
            storage,
            book: Book::new(domain, seed, S::FORGETS),
            ticket: SETTLED,
            stirred: false,
            refresh: None,
            refused: [0; Region::COUNT],
            has_stored: false,
            is_held: false,
        }
    }

    /// The storage, to ask how large it is.
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// The domain of the metrics.
    pub const fn domain(&self) -> u16 {
        self.book.domain
    }

    /// How often something was refused because that region was full.
    pub fn refused(&self, region: Region) -> u64 {
        self.refused.get(region as usize).copied().unwrap_or_default()
    }

    /// Bytes of text in use.
    pub const fn text_len(&self) -> usize {
        self.book.text
    }

    /// Names the root of the metrics' names, once, before the first source. It is the domain's label `agent`, too.
    pub fn set_root(&mut self, root: &str) -> Result<(), Full> {
        let parts = [b"agent=\"", root.as_bytes(), b"\""];
        self.book.domain_labels = self.growing(|ledger| {
            let len = ledger.draft(0, &mut |_, put| parts.iter().for_each(|part| put(part)))?;
            ledger.keep(len, Field::Domain, Slot::NONE)
        })?;
        Ok(())
    }

    /// Gives the labels that all metrics have, as exposition text (`hostname="h"`).
    pub fn set_context(&mut self, labels: &str) -> Result<(), Full> {
        self.book.context_labels =
            self.growing(|ledger| ledger.copy(labels.as_bytes(), Field::Context, Slot::NONE))?;
        Ok(())
    }

    /// Adds a source, whose metrics are to be `root.name.*`, and PMIDs of its cluster: the one that it had before,
    /// or the next number.
    ///
    /// `labels` are those of the source itself, as exposition text.
    pub fn add_source(&mut self, name: &str, labels: &str, cluster: Option<u16>) -> Result<SourceId, Full> {
        self.stirred = true;
        self.growing(|ledger| {
            let full = Full(Region::Sources);
            let next = ledger.book.cluster.checked_add(1).filter(|next| *next <= LAST_CLUSTER);
            let cluster = cluster.or(next).ok_or(full)?;
            if ledger.book.sources >= ledger.parts.sources.len() {
                return Err(full);
            }
            ledger.reserve(0, 0, name.len().saturating_add(labels.len()))?;
            let at = ledger.book.sources;
            let slot = Slot::of(at);
            let source = Source {
                name: ledger.copy(name.as_bytes(), Field::SourceName, slot)?,
                labels: ledger.copy(labels.as_bytes(), Field::SourceLabels, slot)?,
                cluster,
                filling: cluster,
                ..Source::EMPTY
            };
            *ledger.parts.sources.get_mut(at).ok_or(full)? = source;
            ledger.book.sources = at.saturating_add(1);
            if cluster <= LAST_CLUSTER {
                ledger.book.cluster = ledger.book.cluster.max(cluster);
            }
            Ok(SourceId(slot))
        })
    }

    /// Gives a source other labels, as exposition text, because its origin is another now.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn set_labels(&mut self, source: SourceId, labels: &str) -> Result<(), Full> {
        self.growing(|ledger| {
            let span = ledger.copy(labels.as_bytes(), Field::SourceLabels, source.0)?;
            let row = source.0.index().and_then(|i| ledger.parts.sources.get_mut(i));
            let Some(row) = row else { return Ok(()) };
            let (before, known) = (core::mem::replace(&mut row.labels, span), row.first != Slot::NONE);
            let same = before.of(ledger.parts.text) == span.of(ledger.parts.text);
            ledger.release(before.at(), before.len());
            let changed = u64::from(known && !same);
            ledger.book.labels_epoch = ledger.book.labels_epoch.saturating_add(changed);
            Ok(())
        })
    }

    /// Numbers up to this one are somebody's, who may come back.
    pub fn reserve_clusters(&mut self, last: u16) {
        self.book.cluster = self.book.cluster.max(last.min(LAST_CLUSTER));
    }

    /// A source had this further cluster before; to be told in the order of clusters.
    pub fn remember_cluster(&mut self, source: SourceId, cluster: u16) {
        self.reserve_clusters(cluster);
        if let Some(row) = self.source_mut(source) {
            (row.filling, row.items) = (cluster, 0);
            row.further = row.further.saturating_add(1);
        }
    }

    /// No source has more names than this, rounded up to whole clusters of 1024.
    pub fn set_most_names(&mut self, names: usize) {
        let clusters = names.div_ceil(usize::from(ITEMS)).max(1).saturating_sub(1);
        self.book.most_further = u16::try_from(clusters).unwrap_or(u16::MAX);
    }

    /// A metric had this PMID before, by the name that its samples have. False where either is somebody else's.
    pub fn remember_metric(
        &mut self,
        source: SourceId,
        cluster: u16,
        item: u16,
        name: &str,
    ) -> Result<bool, Full> {
        self.growing(|ledger| ledger.remember_metric(source.0, cluster, item, name))
    }

    /// Tells what has got an id since the last call, until `tell` says that it takes no more; whether that was all. To be
    /// called after each [`commit`](Self::commit).
    pub fn unsaved(
        &mut self,
        source: SourceId,
        tell: &mut dyn FnMut(Known<'_>) -> bool,
    ) -> Result<bool, Full> {
        self.growing(|ledger| ledger.unsaved(source.0, tell))
    }

    /// The configuration of a source has changed: its lines are read as if for the first time. Ids stay.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn relearn(&mut self, source: SourceId) {
        self.ledger().age(source.0);
        self.evict(source);
    }

    /// A ticket for a request that came just now.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn ticket(&mut self) -> Ticket {
        self.ticket = self.ticket.saturating_add(1);
        Ticket(self.ticket)
    }

    /// A request wants values of `source` that are no older than its ticket, or what it [holds](Self::commit) at `now`.
    pub fn want(&mut self, source: SourceId, ticket: Ticket, now: Instant) {
        let Some(row) = self.source_mut(source) else { return };
        if now < row.holds_until {
            row.finished = row.finished.max(ticket.0);
        } else if ticket.0 > row.wanted {
            row.wanted = ticket.0;
            self.stirred = true;
        }
    }

    /// A question about names wants what is [too old](Self::set_refresh) for it.
    pub(crate) fn want_old(&mut self, ticket: Ticket, now: Instant) {
        let Some(refresh) = self.refresh.filter(|_| cfg!(feature = "full")) else { return };
        let sources = self.book.sources;
        for row in self.storage.parts().sources.iter_mut().take(sources) {
            if row.well && !row.own && !row.is_gone() && now.saturating_since(row.holds_until) >= refresh {
                row.wanted = row.wanted.max(ticket.0);
                self.stirred = true;
            }
        }
    }

    /// Whether a source may have come to be wanted since this was asked last: if not, nobody need go through them.
    pub const fn has_stirred(&mut self) -> bool {
        core::mem::replace(&mut self.stirred, false)
    }

    /// The next source at or after place `from` that a request waits for, or that was never scraped, and that is
    /// not being scraped; and the place after it. A source [on demand](Self::on_demand) is among them.
    pub fn wanted(&self, from: usize) -> Option<(SourceId, usize)> {
        let rows = self.storage.lent().sources.get(..self.book.sources)?;
        let at = rows.iter().enumerate().skip(from).find(|(_, row)| {
            let never = row.finished == 0 && !row.own;
            let may = !row.own || row.on_demand;
            may && !row.running && !row.is_gone() && (never || row.wanted > row.started.max(row.finished))
        })?;
        Some((SourceId(Slot::of(at.0)), at.0.saturating_add(1)))
    }

    /// Holds answers back, or lets them go. Those that are half out go on, and no other begins: so a host that may change
    /// nothing while an answer is half out comes to do so, however many others ask.
    ///
    /// Answers are to be let go only when whatever is on demand and [wanted](Self::wanted) was published.
    pub const fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether answers are held back.
    pub const fn is_held(&self) -> bool {
        self.is_held
    }

    /// A scrape of `source` begins: a document is about to come in.
    pub fn begin(&mut self, source: SourceId) {
        let ticket = self.ticket().0;
        if let Some(row) = self.source_mut(source) {
            row.running = true;
            row.started = ticket;
            row.cursor = Slot::NONE;
            row.ended = false;
            row.notes.clear();
            row.notes.leave();
        }
    }

    /// The scrape of `source` ended. The document becomes visible if it came whole; if not, its metrics have no values,
    /// and no request that waits by now waits for another try.
    ///
    /// Until `holds_until` requests take what is there, values or none, without another scrape.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn commit(&mut self, source: SourceId, whole: bool, holds_until: Instant) {
        if self.ledger().commit(source.0, whole) {
            self.evict(source);
        }
        let drawn = self.ticket;
        let Some(row) = self.source_mut(source) else { return };
        row.running = false;
        row.well = whole;
        row.finished = row.finished.max(if whole { row.started } else { drawn }).max(SETTLED);
        row.holds_until = holds_until;
        self.stirred |= row.wanted > row.finished;
        self.count_settled();
    }

    /// Takes what is old out of `source`.
    fn evict(&mut self, source: SourceId) {
        let remembers = cfg!(feature = "full") && !S::FORGETS;
        let evicted = self.growing(|ledger| ledger.evict(source.0, remembers));
        // What has no room to be remembered stays at hand, and is tried again; where there is no room for anything at
        // all, it is forgotten.
        if evicted.is_err() && self.storage.lent().past.is_empty() {
            let _ = self.ledger().evict(source.0, false);
        }
    }

    /// Questions about names wait for the first scrape of `source` no longer. Requests for its values do.
    pub fn settle(&mut self, source: SourceId) {
        if let Some(row) = self.source_mut(source) {
            row.finished = row.finished.max(SETTLED);
            self.count_settled();
        }
    }

    fn count_settled(&mut self) {
        let rows = self.storage.lent().sources.get(..self.book.sources).unwrap_or_default();
        let settled = rows.iter().skip(self.book.settled).take_while(|row| row.is_settled()).count();
        self.book.settled = self.book.settled.saturating_add(settled);
    }

    /// The value of the series that comes next if the document is like the one before: its slot, and where in `line`
    /// the value begins.
    pub fn next_in(&self, source: SourceId, line: &[u8]) -> Option<(Slot, usize)> {
        let lent = self.storage.lent();
        let row = lent.sources.get(source.0.index()?)?;
        let slot = match row.cursor.index() {
            None => row.head,
            Some(i) => lent.series.get(i)?.after,
        };
        let series = lent.series.get(slot.index()?)?;
        let raw = series.raw.of(lent.text);
        let rest = line.strip_prefix(raw)?;
        // The slot may be another source's by now.
        let is_ours = u32::from(series.source) == source.0.bits();
        (is_ours && matches!(rest.first(), Some(b' ' | b'\t'))).then_some((slot, raw.len()))
    }

    /// Takes the value behind a series that [`next_in`](Self::next_in) recognised; whether anybody wants it.
    ///
    /// Where the storage [forgets](Storage::FORGETS), neither this nor the other lines of a document are to be taken while
    /// a role [is busy](crate::role::Role::is_busy) with an answer: they may give room back.
    pub fn again(&mut self, source: SourceId, slot: Slot, tail: &Tail<'_>) -> Result<bool, Refusal> {
        self.counting(|ledger| ledger.again(source.0, slot, tail))
    }

    /// Takes a sample; whether anybody wants it.
    pub fn set(&mut self, source: SourceId, sample: &Sample<'_>, rules: &dyn Rules) -> Result<bool, Refusal> {
        self.counting(|ledger| ledger.set(source.0, sample, rules))
    }

    /// Takes note of a comment line that says nothing.
    pub fn note(&mut self, source: SourceId) {
        self.ledger().note(source.0);
    }

    /// Takes note of a `# TYPE` line.
    pub fn note_family(&mut self, source: SourceId, name: &str, family: Family) -> Result<(), Refusal> {
        self.counting(|ledger| Ok(ledger.note_family(source.0, name, family)?))
    }

    /// Takes note of a `# HELP` line.
    pub fn note_help(&mut self, source: SourceId, name: &str, help: &str) -> Result<(), Refusal> {
        self.counting(|ledger| Ok(ledger.note_help(source.0, name, help)?))
    }

    /// Takes note of a `# UNIT` line.
    pub fn note_unit(&mut self, source: SourceId, name: &str, unit: &str) -> Result<(), Refusal> {
        self.counting(|ledger| Ok(ledger.note_unit(source.0, name, unit)?))
    }

    /// Takes note of an `# EOF` line.
    pub fn note_end(&mut self, source: SourceId) {
        self.ledger().note_end(source.0);
    }

    /// Takes note of a `# PCP` line.
    pub fn note_pcp(&mut self, source: SourceId, line: &PcpLine<'_>) -> Result<(), Refusal> {
        self.counting(|ledger| Ok(ledger.note_pcp(source.0, line)?))
    }

    /// What is in the store.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub fn view(&self) -> View<'_> {
        View::new(self.storage.lent(), &self.book)
    }

    fn source_mut(&mut self, source: SourceId) -> Option<&mut Source> {
        self.storage.parts().sources.get_mut(source.0.index()?)
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn ledger(&mut self) -> Ledger<'_> {
        Ledger { parts: self.storage.parts(), book: &mut self.book }
    }

    /// Tries again with more memory for as long as the storage has it.
    fn growing<T>(&mut self, mut f: impl FnMut(&mut Ledger<'_>) -> Result<T, Full>) -> Result<T, Full> {
        loop {
            match f(&mut self.ledger()) {
                Err(full) => self.grow(full)?,
                done => return done,
            }
        }
    }

    /// As [`growing`](Self::growing), for what may be refused for other reasons too; counts what had no room.
    fn counting<T>(
        &mut self,
        mut f: impl FnMut(&mut Ledger<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        loop {
            match f(&mut self.ledger()) {
                Err(Refusal::Full(region)) => self.grow(Full(region))?,
                done => return done,
            }
        }
    }

    /// Makes room in a region: first of what lies there unused, if that is much, then of more memory, then of what nobody
    /// sees.
    fn grow(&mut self, full: Full) -> Result<(), Full> {
        let Full(region) = full;
        let book = self.book;
        match region {
            Region::Text if book.garbage > book.text / 4 => {
                self.ledger().compact();
                return Ok(());
            }
            Region::Index if self.ledger().entries_needed() < (book.entries / 4).saturating_mul(3) => {
                self.ledger().reindex();
                return Ok(());
            }
            _ => {}
        }
        let grown = self.storage.grow(region);
        if region == Region::Index && grown.is_ok() {
            self.ledger().reindex();
        }
        // What vanishes by the end of a document goes at once, so there is nothing more before the next end.
        if S::FORGETS && grown.is_err() && !book.forgot {
            self.book.forgot = true;
            self.ledger().reclaim();
            return Ok(());
        }
        if grown.is_err()
            && let Some(count) = self.refused.get_mut(region as usize)
        {
            *count = count.saturating_add(1);
        }
        grown
    }
}

/// Before the first ticket: who was finished then answers no request for values.
const SETTLED: u64 = 1;
