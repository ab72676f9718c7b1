//! A store's memory on Linux: one vector a region, which grows when it is full, up to a ceiling.
//!
//! What is not used is not there: an empty bridge takes some hundred kilobytes. A machine without memory is a ceiling
//! like any other: the series is refused and counted.

use pmbridge_core::store::{Full, Lent, Metric, Parts, Past, Region, Series, Source, Storage, Word};

/// Memory that grows.
#[derive(Debug)]
pub(crate) struct Memory {
    sources: Vec<Source>,
    metrics: Vec<Metric>,
    series: Vec<Series>,
    past: Vec<Past>,
    index: Vec<Word>,
    text: Vec<u8>,
    /// As many as there may be.
    most_series: usize,
    most_past: usize,
}

impl Memory {
    /// Memory for at most so many series, for as many metrics, and for so many instances that vanished.
    pub(crate) fn new(most_series: usize, most_past: usize) -> Self {
        Self {
            sources: vec![Source::EMPTY; 16],
            metrics: vec![Metric::EMPTY; most_series.min(256)],
            series: vec![Series::EMPTY; most_series.min(1024)],
            past: Vec::new(),
            index: vec![0; 8192],
            text: vec![0; 64 << 10],
            most_series,
            most_past,
        }
    }

    /// The bytes it takes up.
    pub(crate) fn bytes(&self) -> usize {
        [
            size_of_val(&*self.sources),
            size_of_val(&*self.metrics),
            size_of_val(&*self.series),
            size_of_val(&*self.past),
            size_of_val(&*self.index),
            size_of_val(&*self.text),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

impl Storage for Memory {
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

    fn grow(&mut self, region: Region) -> Result<(), Full> {
        let grown = match region {
            Region::Sources => extend(&mut self.sources, Source::EMPTY, MOST_SOURCES),
            Region::Metrics => extend(&mut self.metrics, Metric::EMPTY, self.most_series),
            Region::Series => extend(&mut self.series, Series::EMPTY, self.most_series),
            Region::Past => extend(&mut self.past, Past::EMPTY, self.most_past),
            Region::Index => double(&mut self.index),
            Region::Text => extend(&mut self.text, 0, MOST_TEXT),
        };
        if grown { Ok(()) } else { Err(Full(region)) }
    }
}

/// Makes a region a quarter larger, up to its ceiling; false where it is there, or where the machine has no more. All of
/// it is written to, so what is not used yet should be little.
fn extend<T: Clone>(region: &mut Vec<T>, empty: T, most: usize) -> bool {
    let size = region.len().saturating_add((region.len() / 4).max(64)).min(most);
    let Some(more) = size.checked_sub(region.len()).filter(|&more| more > 0) else { return false };
    let fits = region.try_reserve_exact(more).is_ok();
    if fits {
        region.resize(size, empty);
    }
    fits
}

/// Doubles the index up to its ceiling, as a new one: what is in it is made anew. False as above.
fn double(index: &mut Vec<Word>) -> bool {
    let size = index.len().saturating_mul(2).min(MOST_INDEX);
    // Whether there is as much, before it is asked for in the way that cannot say no.
    if size <= index.len() || Vec::<u32>::new().try_reserve_exact(size).is_err() {
        return false;
    }
    *index = Vec::new();
    *index = vec![0; size];
    true
}

/// Clusters are numbers of 12 bits, and `control` is one of them; retired sources keep theirs.
const MOST_SOURCES: usize = 1 << 12;
/// A power of two, as every doubling of the first size is.
const MOST_INDEX: usize = 1 << 31;
/// What 32 bits can point into.
const MOST_TEXT: usize = u32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_grow_up_to_their_ceiling_and_keep_what_is_there() {
        let mut memory = Memory::new(3000, 3000);
        memory.parts().text[..3].copy_from_slice(b"abc");
        assert_eq!(memory.grow(Region::Text), Ok(()));
        assert_eq!((&memory.lent().text[..4], memory.lent().text.len()), (&b"abc\0"[..], 80 << 10));
        assert_eq!(memory.grow(Region::Series), Ok(()));
        assert_eq!(memory.lent().series.len(), 1280);
        while memory.grow(Region::Series).is_ok() {}
        assert_eq!(memory.lent().series.len(), 3000);
        assert_eq!(memory.grow(Region::Series), Err(Full(Region::Series)));
        while memory.grow(Region::Sources).is_ok() {}
        assert_eq!(memory.lent().sources.len(), MOST_SOURCES);
    }

    #[test]
    fn the_index_is_a_power_of_two_at_every_size() {
        let mut memory = Memory::new(1, 1);
        assert_eq!((memory.lent().series.len(), memory.lent().metrics.len()), (1, 1));
        for _ in 0..8 {
            assert!(memory.lent().index.len().is_power_of_two());
            memory.grow(Region::Index).unwrap();
        }
    }

    #[test]
    fn a_bridge_without_sources_is_small() {
        let bytes = Memory::new(1 << 23, 1 << 24).bytes();
        assert!(bytes < 512 << 10, "{bytes}");
    }
}
