//! Lists, chains, rings, index and text agree on which records there are: nothing leaks, is there twice, or leads to what
//! is free. Tests of those who fill a store call it.
#![expect(clippy::arithmetic_side_effects, reason = "a test may panic, and does so where a law is broken")]

extern crate std;
use std::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Storage, Store, record::*};

/// Records that a list or chain leads to, or that are free.
#[derive(Default)]
struct Census {
    metrics: BTreeSet<usize>,
    free_metrics: BTreeSet<usize>,
    series: BTreeSet<usize>,
    free_series: BTreeSet<usize>,
}

/// The rows of a list, none of which is in another.
fn walk<R>(rows: &[R], first: Slot, next: impl Fn(&R) -> Slot, seen: &mut BTreeSet<usize>) -> Vec<usize> {
    let mut list = Vec::new();
    let mut at = first;
    while let Some(place) = at.index() {
        assert!(seen.insert(place), "row {place} is there twice");
        list.push(place);
        at = next(&rows[place]);
    }
    list
}

fn last(list: &[usize]) -> Slot {
    list.last().map_or(Slot::NONE, |place| Slot::of(*place))
}

/// Checks all of it.
pub(crate) fn check<S: Storage>(store: &Store<S>) {
    let mut census = Census::default();
    check_metrics(store, &mut census);
    check_series(store, &mut census);
    check_chains(store, &mut census);
    check_rings(store, &census);
    check_index(store, &census);
    check_text(store, &census);
}

/// Each metric is in the list of its source, or in that of the free ones.
fn check_metrics<S: Storage>(store: &Store<S>, census: &mut Census) {
    let (book, lent) = (&store.book, store.storage.lent());
    let free = walk(lent.metrics, book.free_metrics, |row| row.next, &mut census.free_metrics);
    assert_eq!(free.len(), book.freed_metrics);
    for (place, source) in lent.sources[..book.sources].iter().enumerate() {
        let list = walk(lent.metrics, source.first, |row| row.next, &mut census.metrics);
        assert_eq!(last(&list), source.last);
        assert!(list.iter().all(|metric| lent.metrics[*metric].source == Slot::of(place)));
        if let Some(bin) = source.bin.index() {
            assert!(census.metrics.insert(bin) && lent.metrics[bin].is_bin());
        }
    }
    let all: BTreeSet<_> = census.metrics.union(&census.free_metrics).copied().collect();
    assert!(census.metrics.is_disjoint(&census.free_metrics) && all == (0..book.metrics).collect());
    let listed = census.metrics.iter().filter(|metric| lent.metrics[**metric].is(Metric::LISTED));
    let ordered: BTreeSet<_> =
        lent.metrics[..book.names].iter().map(|row| row.ordered.index().unwrap()).collect();
    assert_eq!(ordered, listed.copied().collect());
}

/// Each series is in the list of its metric, or in that of the source's lines that are no instances.
fn check_series<S: Storage>(store: &Store<S>, census: &mut Census) {
    let (book, lent) = (&store.book, store.storage.lent());
    let free = walk(lent.series, book.free_series, |row| row.next, &mut census.free_series);
    assert_eq!(free.len(), book.freed_series);
    for metric in &census.metrics {
        let row = &lent.metrics[*metric];
        let list = walk(lent.series, row.first, |row| row.next, &mut census.series);
        assert_eq!(last(&list), row.last);
        for series in list.into_iter().map(|series| &lent.series[series]) {
            let is_its = series.metric == Slot::of(*metric);
            assert!(is_its || row.is_bin() && census.metrics.contains(&series.metric.index().unwrap()));
            if row.is_bin() && series.is(Series::ALIAS) {
                let spelt = Slot::from_bits(series.instance).index().unwrap();
                assert!(lent.series[spelt].is_instance() && lent.series[spelt].metric == series.metric);
            }
        }
    }
}

/// A chain leads to what is in use, and what it leads to is in no other; annexes are in chains alone.
fn check_chains<S: Storage>(store: &Store<S>, census: &mut Census) {
    let (book, lent) = (&store.book, store.storage.lent());
    let mut linked = BTreeSet::new();
    for series in census.series.iter().filter(|series| !lent.series[**series].is(Series::JOINED)) {
        walk(lent.series, lent.series[*series].link, |row| row.link, &mut linked);
    }
    for series in &census.series {
        assert_eq!(lent.series[*series].is(Series::JOINED), linked.contains(series), "series {series}");
    }
    assert_eq!(linked.iter().filter(|series| lent.series[**series].is_extra()).count(), book.extras);
    census.series.extend(linked);
    let all: BTreeSet<_> = census.series.union(&census.free_series).copied().collect();
    assert!(census.series.is_disjoint(&census.free_series) && all == (0..book.series).collect());
}

/// What a page shows as one family is a ring, which one leads and each family's name finds.
fn check_rings<S: Storage>(store: &Store<S>, census: &Census) {
    let metrics = store.storage.lent().metrics;
    let mut seen = BTreeSet::new();
    for metric in census.metrics.iter().filter(|metric| metrics[**metric].kin != Slot::NONE) {
        if seen.contains(metric) {
            continue;
        }
        let first = Slot::of(*metric);
        let on = |row: &Metric| if row.kin == first { Slot::NONE } else { row.kin };
        let ring = walk(metrics, first, on, &mut seen);
        assert!(ring.iter().all(|metric| census.metrics.contains(metric)), "a ring leads to a free row");
        assert_eq!(ring.iter().filter(|metric| metrics[**metric].is(Metric::LEADS)).count(), 1);
        let mut entered: BTreeMap<_, usize> = BTreeMap::new();
        for row in ring.iter().map(|metric| &metrics[*metric]) {
            *entered.entry(store.view().family_bytes(row)).or_default() +=
                usize::from(row.is(Metric::ENTERED));
        }
        assert!(entered.values().all(|times| *times == 1), "{entered:?}");
    }
}

/// The index has each metric under its name, its number and what it was sent as, and nothing that is free.
fn check_index<S: Storage>(store: &Store<S>, census: &Census) {
    let (book, lent) = (&store.book, store.storage.lent());
    let taken: Vec<_> = lent.index.iter().filter(|entry| **entry != 0).collect();
    assert_eq!(taken.len(), book.entries);
    let mut counts = [0; 8];
    for entry in taken.into_iter().filter(|entry| **entry != Word::MAX) {
        let (key, place) = (usize::try_from(entry & 7).unwrap(), Slot::of_word(entry >> 3).index().unwrap());
        counts[key] += 1;
        let of = if matches!(key, 0 | 1 | 7) { &census.series } else { &census.metrics };
        assert!(key == 4 || of.contains(&place), "key {key} finds the free row {place}");
    }
    let metrics = census.metrics.iter().filter(|metric| !lent.metrics[**metric].is_bin()).count();
    assert_eq!((counts[2], counts[3], counts[5]), (metrics, metrics, metrics));
    assert_eq!((counts[6], counts[7]), (book.families, book.groups));
}

/// Each chunk of the text is one record's, or garbage.
fn check_text<S: Storage>(store: &Store<S>, census: &Census) {
    let (book, lent) = (&store.book, store.storage.lent());
    let mut spans = Vec::from([(book.domain_labels.at(), book.domain_labels.len())]);
    let pad = |pad: Pad| if pad.room > 0 { (pad.span.at(), pad.room) } else { (0, 0) };
    for source in &lent.sources[..book.sources] {
        spans.extend([source.name, source.labels].map(|span| (span.at(), span.len())));
        spans.extend([source.notes.help, source.notes.pcp_name, source.notes.about].map(pad));
    }
    for row in census.metrics.iter().map(|metric| &lent.metrics[*metric]) {
        spans.extend([row.name, row.sent, row.help].map(|span| (span.at(), span.len())));
    }
    for row in census.series.iter().map(|series| &lent.series[*series]) {
        let raw = (row.raw.at(), row.raw.len());
        spans.push(if row.is_extra() { pad(Pad::unpack(row.value)) } else { raw });
    }
    spans.retain(|(at, _)| *at > 0);
    let chunks: BTreeMap<_, _> = spans.iter().copied().collect();
    assert_eq!(chunks.len(), spans.len(), "a chunk has two owners");
    let live: usize = chunks.values().map(|room| usize::try_from(*room).unwrap() + 4).sum();
    assert_eq!(live + book.garbage, book.text);
}
