//! A million series come in, and go out in one answer.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

use core::fmt::Write as _;

mod growing;

use growing::Growing;
use pmbridge_core::{
    mapping::Plain,
    pcp::Pmid,
    pdu::{Kind, Pmids, creds, fetch, result::Results, split},
    role::{Context, Role as _, collector::Collector, document::Document},
    store::{SourceId, Store},
    time::{Duration, Instant, Timestamp},
    wire::Writer,
};

const METRICS: u32 = 10;
/// A million; fewer where nothing is optimised.
const SERIES: u32 = if cfg!(debug_assertions) { 250_000 } else { 1_000_000 };

/// Scrapes the million in pieces: the value of series `n` is `n + add`.
fn scrape(store: &mut Store<Growing>, source: SourceId, add: u32) {
    store.begin(source);
    let mut document = Document::new(source, [0u8; 256], Plain);
    let mut piece = String::new();
    for n in 0..SERIES {
        let metric = n / (SERIES / METRICS);
        writeln!(piece, "m{metric}{{cpu=\"{}\",mode=\"m{}\"}} {}", n / 8, n % 8, n + add).unwrap();
        if piece.len() > 60_000 {
            document.feed(store, piece.as_bytes(), &mut |refused| panic!("{refused}"));
            piece.clear();
        }
    }
    document.feed(store, piece.as_bytes(), &mut |refused| panic!("{refused}"));
    document.finish(store, &mut |refused| panic!("{refused}"));
    assert_eq!(document.stats().samples, SERIES.into());
    store.commit(source, true, Instant::START);
}

#[test]
#[cfg_attr(small_words, ignore = "more than a chip can count")]
fn a_million_series_come_in_and_go_out_in_one_answer() {
    let mut store = Store::new(Growing::default(), 144, 0x5eed);
    store.set_root("o").unwrap();
    let source = store.add_source("s", "", Some(1)).unwrap();
    if !cfg!(debug_assertions) {
        scrape(&mut store, source, 0);
    }
    let pmids: Vec<u8> = (0..METRICS)
        .flat_map(|item| Pmid::new(144, 1, u16::try_from(item).unwrap()).unwrap().to_bits().to_be_bytes())
        .collect();
    let mut request = vec![0; 1024];
    let mut w = Writer::new(&mut request);
    creds::Creds { version: 2, flags: creds::Features::NONE }.emit(0, &mut w);
    w.words([28, Kind::PROFILE.0, 0, 0, 0, 0, 0]);
    fetch::Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&pmids) }.emit(0, &mut w);
    let len = w.written();

    let mut role = Collector::<64, 1>::new(Duration::from_secs(1));
    let (mut answer, mut room, mut at) = (Vec::new(), vec![0; 65_536], 0);
    loop {
        let mut cx = Context {
            store: &mut store,
            now: Instant::from_millis(0),
            wall: Timestamp { secs: 0, nanos: 0 },
        };
        let progress = role.step(&mut cx, &request[at..len], &mut room).unwrap();
        answer.extend_from_slice(&room[..progress.produced]);
        at += progress.consumed;
        if progress.is_none() {
            match store.wanted(0) {
                Some((source, _)) => scrape(&mut store, source, 7),
                None => break,
            }
        }
    }
    let known = (store.view().names(), store.view().series());
    assert_eq!(known, (METRICS as usize, SERIES as usize));

    let (header, body, len) = split(&answer[20..]).unwrap().unwrap();
    assert_eq!(len + 20, answer.len());
    let results = Results::parse(header.kind, body).unwrap();
    let mut n = 0;
    for value in results.iter().flat_map(|set| set.values().collect::<Vec<_>>()) {
        let inst = i32::try_from(n % (SERIES / METRICS)).unwrap();
        let bits = results.block(value.word).unwrap().long().unwrap();
        assert_eq!((value.inst, bits), (inst, f64::from(n + 7).to_bits()));
        n += 1;
    }
    assert_eq!(n, SERIES);
}
