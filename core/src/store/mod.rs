//! The store holds what the bridge knows: sources, their metrics, each metric's series and their latest values.
//!
//! Its memory is lent by the host ([`Storage`]). A document comes in line by line and becomes visible as a whole at
//! [`Store::commit`]; what has no room is refused, counted ([`Store::refused`]), and costs nothing else.
//! Roles read it through a [`View`].

mod import;
mod index;
mod ledger;
mod own;
mod record;
mod storage;
mod view;

pub use import::Refusal;
pub use own::{Declaration, MetricId, Published};
pub use record::{Metric, Series, Slot, Source, Span};
pub use storage::{Fixed, Full, Lent, Parts, Region, Storage};
pub use view::View;

use crate::{
    exposition::{Sample, Tail},
    mapping::{family::Family, pcpline::PcpLine},
    time::Instant,
};
use ledger::{Book, Ledger};
use view::Texts;

/// A source, for as long as the store lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(pub(crate) Slot);

impl SourceId {
    /// How many sources were added before it.
    pub fn place(self) -> usize {
        self.0.index().unwrap_or_default()
    }
}

/// Which request a scrape must follow to be fresh enough for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(u64);

/// What the bridge knows.
#[derive(Debug)]
pub struct Store<S> {
    storage: S,
    book: Book,
    domain: u16,
    texts: Texts,
    ticket: u64,
    /// A source may have come to be wanted since the host asked for those.
    stirred: bool,
    refused: [u64; Region::COUNT],
}

impl<S: Storage> Store<S> {
    /// An empty store in `storage`, for metrics of `domain`.
    ///
    /// Where peers may send hostile names, `seed` is a number that they cannot know.
    pub const fn new(storage: S, domain: u16, seed: u64) -> Self {
        let book = Book { seed, sources: 0, settled: 0, metrics: 0, series: 0, entries: 0, text: 0 };
        let texts = Texts { root: Span::EMPTY, context: Span::EMPTY, domain: Span::EMPTY };
        Self { storage, book, domain, texts, ticket: 0, stirred: false, refused: [0; Region::COUNT] }
    }

    /// The storage, to ask how large it is.
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// The domain of the metrics.
    pub const fn domain(&self) -> u16 {
        self.domain
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
        let span = self.growing(|ledger| {
            let len = ledger.draft(0, &mut |_, put| parts.iter().for_each(|part| put(part)))?;
            ledger.keep(len)
        })?;
        self.texts.domain = span;
        self.texts.root = Span { at: span.at.saturating_add(7), len: span.len.saturating_sub(8) };
        Ok(())
    }

    /// Gives the labels that all metrics have, as exposition text (`hostname="h"`).
    pub fn set_context(&mut self, labels: &str) -> Result<(), Full> {
        self.texts.context = self.growing(|ledger| ledger.copy(labels.as_bytes()))?;
        Ok(())
    }

    /// Adds a source, whose metrics are to be `root.name.*` with PMIDs of `cluster`.
    ///
    /// `labels` are those of the source itself, as exposition text.
    pub fn add_source(&mut self, name: &str, labels: &str, cluster: u16) -> Result<SourceId, Full> {
        self.stirred = true;
        self.growing(|ledger| {
            if ledger.book.sources >= ledger.parts.sources.len() {
                return Err(Full(Region::Sources));
            }
            ledger.reserve(0, 0, name.len().saturating_add(labels.len()))?;
            let source = Source {
                name: ledger.copy(name.as_bytes())?,
                labels: ledger.copy(labels.as_bytes())?,
                cluster,
                ..Source::EMPTY
            };
            let at = ledger.book.sources;
            *ledger.parts.sources.get_mut(at).ok_or(Full(Region::Sources))? = source;
            ledger.book.sources = at.saturating_add(1);
            Ok(SourceId(Slot::of(at)))
        })
    }

    /// The source is no longer there: nobody waits for it, and its values are forgotten.
    pub fn retire(&mut self, source: SourceId) {
        self.commit(source, false, Instant::NEVER);
        if let Some(row) = self.source_mut(source) {
            row.gone = true;
        }
    }

    /// The source is there again, or is another, and wants a scrape before names are answered.
    pub fn revive(&mut self, source: SourceId) {
        if let Some(row) = self.source_mut(source) {
            row.gone = false;
            row.finished = 0;
            row.holds_until = Instant::START;
        }
        self.book.settled = self.book.settled.min(source.place());
        self.stirred = true;
    }

    /// A ticket for a request that came just now.
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

    /// Whether a source may have come to be wanted since this was asked last: if not, nobody need go through them.
    pub const fn has_stirred(&mut self) -> bool {
        core::mem::replace(&mut self.stirred, false)
    }

    /// The next source at or after place `from` that a request waits for, or that was never scraped, and that is
    /// not being scraped; and the place after it.
    pub fn wanted(&self, from: usize) -> Option<(SourceId, usize)> {
        let rows = self.storage.lent().sources.get(..self.book.sources)?;
        let at = rows.iter().enumerate().skip(from).find(|(_, row)| {
            let never = row.finished == 0;
            !row.own && !row.running && !row.gone && (never || row.wanted > row.started.max(row.finished))
        })?;
        Some((SourceId(Slot::of(at.0)), at.0.saturating_add(1)))
    }

    /// A scrape of `source` begins: a document is about to come in.
    pub fn begin(&mut self, source: SourceId) {
        let ticket = self.ticket().0;
        if let Some(row) = self.source_mut(source) {
            row.running = true;
            row.started = ticket;
            row.cursor = Slot::NONE;
            row.notes.used = true;
        }
    }

    /// The scrape of `source` ended. The document becomes visible if it came whole; if not, its metrics have no values,
    /// and no request that waits by now waits for another try.
    ///
    /// Until `holds_until` requests take what is there, values or none, without another scrape.
    ///
    /// Not to be called while a role [is busy](crate::role::Role::is_busy) with an answer.
    pub fn commit(&mut self, source: SourceId, whole: bool, holds_until: Instant) {
        self.ledger().commit(source.0, whole);
        let drawn = self.ticket;
        let Some(row) = self.source_mut(source) else { return };
        row.running = false;
        row.well = whole;
        row.finished = row.finished.max(if whole { row.started } else { drawn }).max(1);
        row.holds_until = holds_until;
        self.stirred |= row.wanted > row.finished;
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
        let raw = lent.series.get(slot.index()?)?.raw.of(lent.text);
        let rest = line.strip_prefix(raw)?;
        matches!(rest.first(), Some(b' ' | b'\t')).then_some((slot, raw.len()))
    }

    /// Takes the value behind a series that [`next_in`](Self::next_in) recognised.
    pub fn again(&mut self, source: SourceId, slot: Slot, tail: &Tail<'_>) -> Result<(), Refusal> {
        self.counting(|ledger, _, _| ledger.again(source.0, slot, tail.value))
    }

    /// Takes a sample.
    pub fn set(&mut self, source: SourceId, sample: &Sample<'_>) -> Result<(), Refusal> {
        self.counting(|ledger, domain, root| ledger.set(domain, root, source.0, sample))
    }

    /// Takes note of a comment line that says nothing.
    pub fn note(&mut self, source: SourceId) {
        self.ledger().note(source.0);
    }

    /// Takes note of a `# TYPE` line.
    pub fn note_family(&mut self, source: SourceId, family: Family) {
        self.ledger().note_family(source.0, family);
    }

    /// Takes note of a `# HELP` line.
    pub fn note_help(&mut self, source: SourceId, help: &str) -> Result<(), Refusal> {
        self.counting(|ledger, _, _| Ok(ledger.note_help(source.0, help)?))
    }

    /// Takes note of a `# PCP` line.
    pub fn note_pcp(&mut self, source: SourceId, line: &PcpLine<'_>) -> Result<(), Refusal> {
        self.counting(|ledger, _, _| Ok(ledger.note_pcp(source.0, line)?))
    }

    /// What is in the store.
    pub fn view(&self) -> View<'_> {
        View::new(self.storage.lent(), self.book, self.texts)
    }

    fn source_mut(&mut self, source: SourceId) -> Option<&mut Source> {
        self.storage.parts().sources.get_mut(source.0.index()?)
    }

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
    fn counting(
        &mut self,
        mut f: impl FnMut(&mut Ledger<'_>, u16, Span) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (domain, root) = (self.domain, self.texts.root);
        loop {
            match f(&mut self.ledger(), domain, root) {
                Err(Refusal::Full(region)) => self.grow(Full(region))?,
                done => return done,
            }
        }
    }

    fn grow(&mut self, full: Full) -> Result<(), Full> {
        let Full(region) = full;
        let grown = self.storage.grow(region);
        if region == Region::Index && grown.is_ok() {
            self.ledger().reindex();
        }
        if grown.is_err()
            && let Some(count) = self.refused.get_mut(region as usize)
        {
            *count = count.saturating_add(1);
        }
        grown
    }
}
