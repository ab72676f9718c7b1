//! What a store keeps: sources, their metrics, and the series of each, as records of fixed size.
//!
//! Records name each other by [`Slot`]. All-zero is empty for each of them.

use crate::{
    exposition::LabelSet,
    mapping::{Family, Part, PcpLine, instance::Style},
    pcp::{Desc, InDom, Pmid, Semantics, Type, Units},
    time::Instant,
};

/// What counts slots and bytes of text. On a chip there are so few of them that half as many bits do.
#[cfg(not(any(target_os = "none", small_words)))]
pub type Word = u32;
/// What counts slots and bytes of text: fewer than 65,536.
#[cfg(any(target_os = "none", small_words))]
pub type Word = u16;

/// A place in one of the store's tables; 0 is none, so that zeroed memory is an empty table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Slot(Word);

impl Slot {
    /// No place.
    pub const NONE: Self = Self(0);

    /// The place `index`.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn of(index: usize) -> Self {
        Self(Word::try_from(index).map_or(0, |i| i.saturating_add(1)))
    }

    /// The index, or `None` for no place.
    pub fn index(self) -> Option<usize> {
        self.bits().checked_sub(1).and_then(|i| usize::try_from(i).ok())
    }

    /// As kept in a word.
    pub(crate) const fn bits(self) -> u32 {
        wide(self.0)
    }

    /// As kept in half of one, where that is enough.
    pub(super) const fn word(self) -> Word {
        self.0
    }

    /// As read from there.
    pub(super) const fn of_word(word: Word) -> Self {
        Self(word)
    }

    /// As read from a word.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(word(bits))
    }
}

/// What was a word before. The store's storage has no slot, and no byte, that it could not count.
#[allow(clippy::cast_possible_truncation, reason = "one of both widths is smaller")]
const fn word(bits: u32) -> Word {
    bits as Word
}

/// The other way round.
#[allow(clippy::unnecessary_cast, reason = "one of both widths is smaller")]
const fn wide(word: Word) -> u32 {
    word as u32
}

/// A run of the store's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Span {
    at: Word,
    len: Word,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { at: 0, len: 0 };

    pub(crate) const fn new(at: u32, len: u32) -> Self {
        Self { at: word(at), len: word(len) }
    }

    /// Where it begins.
    pub(crate) const fn at(self) -> u32 {
        wide(self.at)
    }

    /// The bytes that it has.
    pub(crate) const fn len(self) -> u32 {
        wide(self.len)
    }

    /// Its bytes in `text`; empty where it does not lie inside.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        let at = usize::try_from(self.at()).unwrap_or(usize::MAX);
        let len = usize::try_from(self.len()).unwrap_or(usize::MAX);
        text.get(at..).and_then(|t| t.get(..len)).unwrap_or_default()
    }

    /// Its text in `text`; empty where it is not UTF-8.
    pub(crate) fn str_of(self, text: &[u8]) -> &str {
        core::str::from_utf8(self.of(text)).unwrap_or_default()
    }
}

/// A run of text that is rewritten in place as long as it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pad {
    pub(crate) span: Span,
    pub(crate) room: u32,
}

impl Pad {
    pub(crate) const EMPTY: Self = Self { span: Span::EMPTY, room: 0 };

    /// The same room, with nothing in it.
    pub(crate) const fn emptied(self) -> Self {
        Self { span: Span::new(self.span.at(), 0), ..self }
    }

    /// Packed into a series' 64 bits: where, log2 of the room, length.
    pub(crate) fn pack(self) -> u64 {
        let room = self.room.checked_ilog2().unwrap_or(0);
        u64::from(self.span.at()) << 32 | u64::from(room) << 27 | u64::from(self.span.len() & Self::MAX)
    }

    /// The longest string a series holds.
    pub(crate) const MAX: u32 = (1 << 27) - 1;

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(crate) const fn unpack(bits: u64) -> Self {
        let (at, low) = ((bits >> 32) as u32, bits as u32);
        let room = if bits == 0 { 0 } else { 1u32.wrapping_shl(low >> 27) };
        Self { span: Span::new(at, low & Self::MAX), room }
    }
}

/// What the comment lines since the last sample said about the samples that follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notes {
    /// A sample has followed: the next comment line starts afresh.
    pub(crate) used: bool,
    pub(crate) family: Family,
    pub(crate) help: Pad,
    /// Whether `pcp` holds; not an `Option`, whose nothing is not all-zero.
    pub(crate) described: bool,
    /// Set by a `# PCP` line.
    pub(crate) pcp: PcpNote,
    pub(crate) pcp_name: Pad,
    /// The family that HELP, TYPE and UNIT lines named last, and what they said of it: that holds to the next name.
    pub(crate) about: Pad,
    pub(crate) kind: Family,
    pub(crate) unit_len: u8,
    pub(crate) helped: bool,
}

/// What a `# PCP` line said, but for the name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PcpNote {
    pub(crate) kind: Type,
    pub(crate) singular: bool,
    pub(crate) semantics: Semantics,
    pub(crate) units: Units,
    pub(crate) factor: Factor,
}

/// What values as sent are multiplied by; all-zero is one. Halves, so that records need no larger alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Factor([u32; 2]);

impl Factor {
    pub(crate) const ONE: Self = Self([0; 2]);

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(crate) const fn new(factor: f64) -> Self {
        let bits = factor.to_bits() ^ 1f64.to_bits();
        Self([(bits >> 32) as u32, bits as u32])
    }

    /// The number, where it is not one.
    pub(crate) fn scales(self) -> Option<f64> {
        let Self([high, low]) = self;
        let bits = u64::from(high) << 32 | u64::from(low);
        (cfg!(feature = "full") && self != Self::ONE).then(|| f64::from_bits(bits ^ 1f64.to_bits()))
    }
}

impl PcpNote {
    pub(crate) const fn of(line: &PcpLine<'_>) -> Self {
        let PcpLine { kind, singular, semantics, units, factor, .. } = *line;
        Self { kind, singular, semantics, units, factor: Factor::new(factor) }
    }
}

impl Notes {
    pub(crate) const EMPTY: Self = Self {
        used: false,
        family: Family::Untyped,
        help: Pad::EMPTY,
        described: false,
        pcp: PcpNote {
            kind: Type::I32,
            singular: false,
            semantics: Semantics(0),
            units: Units::NONE,
            factor: Factor::ONE,
        },
        pcp_name: Pad::EMPTY,
        about: Pad::EMPTY,
        kind: Family::Untyped,
        unit_len: 0,
        helped: false,
    };

    /// No family was named.
    pub(crate) const fn leave(&mut self) {
        self.about.span = Span::new(self.about.span.at(), 0);
        self.kind = Family::Untyped;
        self.unit_len = 0;
        self.helped = false;
    }

    /// Nothing was said.
    pub(crate) const fn clear(&mut self) {
        self.used = false;
        self.family = Family::Untyped;
        self.help.span = Span::new(self.help.span.at(), 0);
        self.described = false;
    }

    /// What a `# PCP` line said.
    pub(crate) fn pcp(&self) -> Option<PcpNote> {
        if cfg!(feature = "full") && self.described { Some(self.pcp) } else { None }
    }
}

/// An endpoint or a file whose documents become metrics, or the bridge itself.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub(crate) name: Span,
    pub(crate) labels: Span,
    /// Its number, and its first cluster of PMIDs.
    pub(crate) cluster: u16,
    /// The cluster that its next metric is of, and how many that has.
    pub(crate) filling: u16,
    pub(crate) items: u16,
    /// How many further clusters it has.
    pub(crate) further: u16,
    pub(crate) first: Slot,
    pub(crate) last: Slot,
    /// A row that is no metric: known lines that are no instances of their own hang on it.
    pub(crate) bin: Slot,
    /// The series that opened the last document.
    pub(crate) head: Slot,
    /// The series last met in the document being read.
    pub(crate) cursor: Slot,
    pub(crate) wanted: u64,
    pub(crate) started: u64,
    pub(crate) finished: u64,
    /// Until then requests take it as it is.
    pub(crate) holds_until: Instant,
    pub(crate) running: bool,
    pub(crate) gone: bool,
    pub(crate) well: bool,
    /// Its values come from the host and not from scrapes.
    pub(crate) own: bool,
    /// The host publishes its values when somebody asks.
    pub(crate) on_demand: bool,
    /// Something of it has got an id that the host was not told of.
    pub(crate) unsaved: bool,
    /// The document being read has ended as one of OpenMetrics does, and so did the last whole one.
    pub(crate) ended: bool,
    pub(crate) open: bool,
    /// Some of its series are in [chains](Series::link).
    pub(crate) chained: bool,
    pub(crate) notes: Notes,
}

/// How many bytes of a metric's name stand in front of that of its samples.
pub(crate) fn above(source: Option<&Source>, root: Span) -> usize {
    let above = source.map_or(0, |s| s.name.len()).saturating_add(root.len()).saturating_add(2);
    usize::try_from(above).unwrap_or(usize::MAX)
}

impl Source {
    /// An unused slot.
    pub const EMPTY: Self = Self {
        name: Span::EMPTY,
        labels: Span::EMPTY,
        cluster: 0,
        filling: 0,
        items: 0,
        further: 0,
        first: Slot::NONE,
        last: Slot::NONE,
        bin: Slot::NONE,
        head: Slot::NONE,
        cursor: Slot::NONE,
        wanted: 0,
        started: 0,
        finished: 0,
        holds_until: Instant::START,
        running: false,
        gone: false,
        well: false,
        own: false,
        on_demand: false,
        unsaved: false,
        ended: false,
        open: false,
        chained: false,
        notes: Notes::EMPTY,
    };

    /// Whether it is [no longer there](super::Store::retire).
    pub(crate) const fn is_gone(&self) -> bool {
        cfg!(feature = "full") && self.gone
    }

    /// Whether names need not wait for a first scrape of it.
    pub(crate) const fn is_settled(&self) -> bool {
        self.finished > 0 || self.is_gone() || self.own
    }
}

/// A PCP metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub(crate) desc: Desc,
    pub(crate) source: Slot,
    /// Its name, once it was met.
    pub(crate) name: Span,
    /// The name that its samples have, where that is not the last part of its own; of one not met that they will have.
    pub(crate) sent: Span,
    pub(crate) help: Span,
    pub(crate) name_hash: u32,
    /// Its series at hand: those of the last documents.
    pub(crate) first: Slot,
    pub(crate) last: Slot,
    /// Its instances that vanished, the latest first.
    pub(crate) past: Slot,
    /// The series that was written last.
    pub(crate) latest: Slot,
    pub(crate) next: Slot,
    /// The next name in a list that is being put in order.
    pub(crate) link: Slot,
    /// Column of the table of names in order: the metric whose name is this row's.
    pub(crate) ordered: Slot,
    /// The next in the ring of all metrics, of whatever source, that a page shows as one family.
    pub(crate) kin: Slot,
    /// The id that its next instance gets; those below `saved` were told to the host.
    pub(crate) instances: u32,
    pub(crate) saved: u32,
    pub(crate) live: u32,
    pub(crate) flags: u32,
    pub(crate) factor: Factor,
}

impl Metric {
    /// An unused slot.
    pub const EMPTY: Self = Self {
        desc: Desc {
            pmid: Pmid::from_bits(0),
            kind: Type::I32,
            indom: InDom::from_bits(0),
            semantics: Semantics(0),
            units: Units::NONE,
        },
        source: Slot::NONE,
        name: Span::EMPTY,
        sent: Span::EMPTY,
        help: Span::EMPTY,
        name_hash: 0,
        first: Slot::NONE,
        last: Slot::NONE,
        past: Slot::NONE,
        latest: Slot::NONE,
        next: Slot::NONE,
        link: Slot::NONE,
        ordered: Slot::NONE,
        kin: Slot::NONE,
        instances: 0,
        saved: 0,
        live: 0,
        flags: 0,
        factor: Factor::ONE,
    };

    /// Instances are named by the one label that a PCP line means.
    pub(crate) const VERBATIM: u32 = 1;
    /// A PCP line says what it is.
    pub(crate) const LINED: u32 = 256;
    /// Its name is in the name space.
    pub(crate) const LISTED: u32 = 2;
    /// It was in a document: what it is, is known. Only its name and PMID are, of one that is remembered.
    pub(crate) const MET: u32 = 4;
    /// Its series do not all have the same label names.
    pub(crate) const MIXED: u32 = 8;
    /// The host was told of it.
    pub(crate) const SAVED: u32 = 16;
    /// Clients may store values of it.
    pub(crate) const STORABLE: u32 = 32;
    /// Listings from the root leave it out.
    pub(crate) const ASIDE: u32 = 128;
    /// It is no metric: lines hang on it that are known and no instances.
    pub(crate) const BIN: u32 = 64;
    /// Its family has this type, and its samples are this part of it: four bits each.
    const FAMILY: u32 = 9;
    const PART: u32 = 13;
    /// How many bytes at the end of the family's name are its unit.
    const UNIT: u32 = 17;
    /// A page begins its ring with it.
    pub(crate) const LEADS: u32 = 1 << 25;
    /// Of the one that leads: names in the ring are in each other's way in OpenMetrics, or in any format.
    pub(crate) const CLASH: u32 = 1 << 26;
    pub(crate) const HARD_CLASH: u32 = 1 << 27;
    /// Its help is that of another family.
    pub(crate) const HELPLESS: u32 = 1 << 28;
    /// It is in the index by the name of its family.
    pub(crate) const ENTERED: u32 = 1 << 29;
    /// Its series are found by their label sets.
    pub(crate) const GROUPED: u32 = 1 << 30;

    /// What its values are.
    pub const fn desc(&self) -> Desc {
        self.desc
    }

    /// The next metric of its source.
    pub(crate) const fn behind(&self) -> Slot {
        self.next
    }

    /// The next metric that a page shows as one family with it.
    pub(crate) const fn next_kin(&self) -> Slot {
        self.kin
    }

    /// How many of its series have a value in the last whole document.
    pub const fn live(&self) -> u32 {
        self.live
    }

    pub(crate) const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Says what it is in its family.
    pub(crate) fn set_family(&mut self, family: Family, part: Part, unit_len: u8) {
        let bits = family.to_bits() << Self::FAMILY
            | part.to_bits() << Self::PART
            | u32::from(unit_len) << Self::UNIT;
        self.flags = self.flags & !(0xffff << Self::FAMILY) | bits;
    }

    /// The type of its family.
    pub(crate) const fn family(&self) -> Family {
        Family::from_bits(self.flags >> Self::FAMILY & 0xf)
    }

    /// What its samples are in its family.
    pub(crate) const fn part(&self) -> Part {
        Part::from_bits(self.flags >> Self::PART & 0xf)
    }

    /// How many bytes at the end of its family's name are its unit.
    pub(crate) const fn unit_len(&self) -> usize {
        (self.flags >> Self::UNIT & 0xff) as usize
    }

    /// Whether it is no metric: lines hang on it that are known and no instances.
    pub(crate) const fn is_bin(&self) -> bool {
        self.is(Self::BIN)
    }

    /// Whether its values are texts.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.desc.kind, Type::STRING | Type::AGGREGATE | Type::AGGREGATE_STATIC)
    }

    /// The name that its samples have; `above` bytes of its own name are the root's and its source's.
    pub(crate) fn sent_in<'a>(&self, text: &'a [u8], above: usize) -> &'a [u8] {
        if self.sent.len() > 0 {
            return self.sent.of(text);
        }
        self.name.of(text).get(above..).unwrap_or_default()
    }

    /// The name of its family, of the name that its samples have.
    pub(crate) fn family_of<'a>(&self, sent: &'a [u8]) -> &'a [u8] {
        sent.strip_suffix(self.part().suffix().as_bytes()).unwrap_or(sent)
    }

    pub(crate) const fn style(&self) -> Style {
        if self.is(Self::VERBATIM) { Style::Verbatim } else { Style::Prefixed }
    }
}

/// One series of a metric: one instance, or a line that is known and no instance of its own.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// Its latest value, read by its metric's type.
    pub(crate) value: u64,
    /// The bytes before the value, as sent.
    pub(crate) raw: Span,
    /// Its label set, `at` counted from `raw`; of a [filtered](Self::FILTERED) one a text of its own, behind a word that
    /// says how many bytes at its end are optional labels.
    pub(crate) labels: Span,
    /// What follows it on a page: its [annex](Self::ANNEX), then the series of the same label set in other metrics of its
    /// family, then spellings of it that are other series there.
    pub(crate) link: Slot,
    pub(crate) metric: Slot,
    /// Instance id, or for another spelling the slot of the series that it spells.
    pub(crate) instance: u32,
    pub(crate) raw_hash: u32,
    pub(crate) identity_hash: u32,
    /// The series that followed it in the last document.
    pub(crate) after: Slot,
    /// The next series of its metric; of a free slot the next free one.
    pub(crate) next: Slot,
    pub(crate) flags: u16,
    /// Its source, so that bytes of one source are never taken for another's.
    pub(crate) source: u16,
}

impl Series {
    /// An unused slot.
    pub const EMPTY: Self = Self {
        value: 0,
        raw: Span::EMPTY,
        labels: Span::EMPTY,
        link: Slot::NONE,
        metric: Slot::NONE,
        instance: 0,
        raw_hash: 0,
        identity_hash: 0,
        after: Slot::NONE,
        next: Slot::NONE,
        flags: 0,
        source: 0,
    };

    /// Met, with a value, in the document being read.
    pub(crate) const SEEN: u16 = 1;
    /// The one value of its metric, which no name tells from others.
    pub(crate) const SOLE: u16 = 1 << 9;
    /// Met, with a value or not, in the document being read.
    pub(crate) const PRESENT: u16 = 1 << 8;
    /// Met, with a value, in the last whole document.
    pub(crate) const LIVE: u16 = 2;
    /// Another spelling of the series in `instance`.
    pub(crate) const ALIAS: u16 = 4;
    /// Given by the host and not exposed by anybody: `raw` is the instance name itself, or all of it is labels.
    pub(crate) const NAMED: u16 = 8;
    /// The configuration wants nothing of it.
    pub(crate) const EXCLUDED: u16 = 16;
    /// Labels were left out or are optional.
    pub(crate) const FILTERED: u16 = 32;
    /// The host has withdrawn it: it is in no list until it is published again.
    pub(crate) const WITHDRAWN: u16 = 64;
    /// A client stored its value, and the host was not told yet.
    pub(crate) const STORED: u16 = 128;
    /// Another one links to it.
    pub(crate) const JOINED: u16 = 1 << 10;
    /// What its line said beside the value is in the row that it links to.
    pub(crate) const ANNEX: u16 = 1 << 11;
    /// One in the count of whole documents, one after the other, that it was not in.
    pub(crate) const MISS: u16 = 1 << 12;
    /// The bits of that count.
    pub(crate) const MISSES: u16 = 0x3000;
    /// A line of this very label set was met, with a value, in the document being read.
    pub(crate) const SPOKEN: u16 = 1 << 14;
    /// The same of the last whole document: it is on the page.
    pub(crate) const SHOWN: u16 = 1 << 15;
    /// No series, but the annex of one.
    pub(crate) const EXTRA: u16 = Self::ALIAS | Self::EXCLUDED;

    /// Its instance id.
    pub const fn instance(&self) -> u32 {
        self.instance
    }

    /// Its latest value, read by its metric's type.
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// Whether the last whole document held it, with a value.
    pub const fn is_live(&self) -> bool {
        self.flags & Self::LIVE != 0
    }

    pub(crate) const fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether it was not in the last documents, so that it need not be at hand any more.
    pub(crate) const fn is_old(&self) -> bool {
        self.flags & Self::MISSES >= 2 * Self::MISS
    }

    /// An annex has the value that lines of its series said, as other series may be the same instance.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(crate) const fn set_own_value(&mut self, bits: u64) {
        (self.raw_hash, self.identity_hash) = ((bits >> 32) as u32, bits as u32);
    }

    /// That value.
    pub(crate) fn own_value(&self) -> u64 {
        u64::from(self.raw_hash) << 32 | u64::from(self.identity_hash)
    }

    /// Whether the host gave it a name, and no labels.
    pub(crate) const fn is_named_plainly(&self) -> bool {
        self.is(Self::NAMED) && self.labels.len() == 0
    }

    /// The next series of its metric.
    pub(crate) const fn after_this(&self) -> Slot {
        self.next
    }

    /// Whether it is no series, but what a line said beside the value of one.
    pub(crate) const fn is_extra(&self) -> bool {
        self.flags & Self::EXTRA == Self::EXTRA
    }

    /// Whether it is but another spelling of a label set, and no series of its own on a page.
    pub(crate) const fn is_spelling(&self) -> bool {
        self.is(Self::ALIAS) && !self.is(Self::JOINED)
    }

    /// Whether a page has it.
    pub(crate) const fn is_shown(&self) -> bool {
        self.is(Self::SHOWN)
    }

    /// Whether it is an instance of its metric, or its one value, and not just a line that is known.
    pub(crate) const fn is_instance(&self) -> bool {
        self.source != 0 && self.flags & (Self::ALIAS | Self::EXCLUDED) == 0
    }

    /// Whether it is found by its name among the instances of its metric.
    pub(crate) const fn has_name(&self) -> bool {
        self.is_instance() && !self.is(Self::SOLE)
    }

    /// Its label set as exposed, optional labels last.
    pub(crate) fn labels<'a>(&self, text: &'a [u8]) -> LabelSet<'a> {
        LabelSet::stored(self.label_span().str_of(text))
    }

    /// The labels that make it an instance of its own.
    pub(crate) fn identity<'a>(&self, text: &'a [u8]) -> LabelSet<'a> {
        let span = self.label_span();
        let len = span.len().saturating_sub(self.optional_len(text));
        LabelSet::stored(Span::new(span.at(), len).str_of(text))
    }

    /// The optional labels.
    pub(crate) fn optional<'a>(&self, text: &'a [u8]) -> LabelSet<'a> {
        let (span, len) = (self.label_span(), self.optional_len(text));
        let at = span.at().saturating_add(span.len()).saturating_sub(len);
        LabelSet::stored(Span::new(at, len).str_of(text))
    }

    /// Whether labels were left out or are optional.
    pub(crate) const fn is_filtered(&self) -> bool {
        cfg!(feature = "full") && self.is(Self::FILTERED)
    }

    fn label_span(&self) -> Span {
        if self.is_filtered() {
            let all = self.labels;
            Span::new(all.at().saturating_add(OPTIONAL), all.len().saturating_sub(OPTIONAL))
        } else {
            Span::new(self.raw.at().saturating_add(self.labels.at()), self.labels.len())
        }
    }

    fn optional_len(&self, text: &[u8]) -> u32 {
        if !self.is_filtered() {
            return 0;
        }
        self.labels.of(text).first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
    }
}

/// The word in front of a label set that was filtered.
pub(crate) const OPTIONAL: u32 = 4;

/// An instance that vanished, or is remembered from another run: its id and name, should it come back.
#[derive(Debug, Clone, Copy)]
pub struct Past {
    pub(crate) metric: Slot,
    /// The id, and [`PLAIN`](Self::PLAIN).
    pub(crate) instance: u32,
    pub(crate) name: Span,
    /// The next of its metric; of a free slot the next free one.
    pub(crate) next: Slot,
    pub(crate) previous: Slot,
}

impl Past {
    /// An unused slot.
    pub const EMPTY: Self =
        Self { metric: Slot::NONE, instance: 0, name: Span::EMPTY, next: Slot::NONE, previous: Slot::NONE };

    /// Its name does not begin with its id.
    pub(crate) const PLAIN: u32 = 1 << 31;

    /// Its id.
    pub const fn id(&self) -> u32 {
        self.instance & !Self::PLAIN
    }

    pub(crate) const fn is_prefixed(&self) -> bool {
        self.instance & Self::PLAIN == 0
    }
}
