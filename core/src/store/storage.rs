//! The memory of a store belongs to its host, which lends it for the length of one call.

use super::record::{Metric, Past, Series, Source, Word};

/// A part of the memory that can run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Region {
    /// Slots for sources.
    Sources,
    /// Slots for metrics.
    Metrics,
    /// Slots for series.
    Series,
    /// Slots for instances that vanished.
    Past,
    /// The hash index over metrics and series.
    Index,
    /// Bytes of text: names, label sets, help, string values.
    Text,
}

impl Region {
    /// How many regions there are.
    pub const COUNT: usize = 6;

    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Metrics => "metrics",
            Self::Series => "series",
            Self::Past => "vanished instances",
            Self::Index => "index entries",
            Self::Text => "bytes of text",
        }
    }
}

/// That part is full, and may not grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Full(pub Region);

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "no room for more {}", self.0.name())
    }
}

impl core::error::Error for Full {}

/// The memory, lent to be changed.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Slots for sources.
    pub sources: &'a mut [Source],
    /// Slots for metrics.
    pub metrics: &'a mut [Metric],
    /// Slots for series.
    pub series: &'a mut [Series],
    /// Slots for instances that vanished.
    pub past: &'a mut [Past],
    /// Hash index, a power of two long; new entries are zero.
    pub index: &'a mut [Word],
    /// Bytes of text.
    pub text: &'a mut [u8],
}

impl Parts<'_> {
    /// The slots for instances that vanished; none without the feature `full`.
    pub(crate) const fn remembered(&self) -> &[Past] {
        if cfg!(feature = "full") { self.past } else { &[] }
    }

    /// The same, to be changed.
    pub(crate) const fn remembered_mut(&mut self) -> &mut [Past] {
        if cfg!(feature = "full") { self.past } else { &mut [] }
    }
}

/// The memory, lent to be read.
#[derive(Debug, Clone, Copy)]
pub struct Lent<'a> {
    /// Slots for sources.
    pub sources: &'a [Source],
    /// Slots for metrics.
    pub metrics: &'a [Metric],
    /// Slots for series.
    pub series: &'a [Series],
    /// Slots for instances that vanished.
    pub past: &'a [Past],
    /// Hash index.
    pub index: &'a [Word],
    /// Bytes of text.
    pub text: &'a [u8],
}

impl<'a> Lent<'a> {
    /// The slots for instances that vanished; none without the feature `full`.
    pub(crate) const fn remembered(&self) -> &'a [Past] {
        if cfg!(feature = "full") { self.past } else { &[] }
    }
}

/// Where a store keeps what it knows.
pub trait Storage {
    /// Whether clients may store values of metrics that [say so](super::Declaration::storable). Where not, a program
    /// has no code for it, and who tries is refused as for any other metric.
    const STORES: bool = true;

    /// Whether what vanished is forgotten where its room is needed and the storage cannot grow. Where not, a name keeps its
    /// number for as long as the store lives.
    const FORGETS: bool = false;

    /// Lends the memory to be changed.
    fn parts(&mut self) -> Parts<'_>;

    /// Lends the memory to be read.
    fn lent(&self) -> Lent<'_>;

    /// Makes `region` at least one slot larger (the index: a larger power of two), or says that it may not.
    ///
    /// What is there stays where it is; the index alone may come back in any state.
    fn grow(&mut self, region: Region) -> Result<(), Full> {
        Err(Full(region))
    }
}

/// Storage of a fixed size, for a `static`. One with no room for ids that outlive their instances (`PAST` is 0)
/// [forgets](Storage::FORGETS).
#[derive(Debug)]
pub struct Fixed<
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const PAST: usize,
    const INDEX: usize,
    const TEXT: usize,
> {
    sources: [Source; SOURCES],
    metrics: [Metric; METRICS],
    series: [Series; SERIES],
    past: [Past; PAST],
    index: [Word; INDEX],
    text: [u8; TEXT],
}

impl<
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const PAST: usize,
    const INDEX: usize,
    const TEXT: usize,
> Fixed<SOURCES, METRICS, SERIES, PAST, INDEX, TEXT>
{
    /// Empty; all bits zero, so that a `static` of it costs no flash.
    pub const fn new() -> Self {
        const { assert!(INDEX.is_power_of_two(), "an index is a power of two long") };
        const { assert!(PAST == 0 || cfg!(feature = "full"), "what vanished is remembered by the feature `full`") };
        const {
            // An entry of the index has three bits beside a slot, and the last one stands for none.
            let most = (Word::MAX >> 3) as usize - 1;
            assert!(SOURCES < most && METRICS < most && SERIES < most && PAST < most, "slots can be counted");
            assert!(TEXT <= Word::MAX as usize, "bytes of text can be counted");
        };
        Self {
            sources: [Source::EMPTY; SOURCES],
            metrics: [Metric::EMPTY; METRICS],
            series: [Series::EMPTY; SERIES],
            past: [Past::EMPTY; PAST],
            index: [0; INDEX],
            text: [0; TEXT],
        }
    }
}

impl<
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const PAST: usize,
    const INDEX: usize,
    const TEXT: usize,
> Default for Fixed<SOURCES, METRICS, SERIES, PAST, INDEX, TEXT>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<
    const SOURCES: usize,
    const METRICS: usize,
    const SERIES: usize,
    const PAST: usize,
    const INDEX: usize,
    const TEXT: usize,
> Storage for Fixed<SOURCES, METRICS, SERIES, PAST, INDEX, TEXT>
{
    const FORGETS: bool = PAST == 0;

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            sources: &mut self.sources,
            metrics: &mut self.metrics,
            series: &mut self.series,
            past: &mut self.past,
            index: &mut self.index,
            text: &mut self.text,
        }
    }

    fn lent(&self) -> Lent<'_> {
        Lent {
            sources: &self.sources,
            metrics: &self.metrics,
            series: &self.series,
            past: &self.past,
            index: &self.index,
            text: &self.text,
        }
    }
}
