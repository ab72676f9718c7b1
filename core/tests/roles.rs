//! A document in, answers out: what the agent and the collector say does not depend on how bytes are cut.
//!
//! One scripted session is answered through every size of both windows, from a store that grew and from one of fixed
//! size, filled from documents cut in every way; the bytes are the same each time, and say what the document said.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test may panic, and does so where a law is broken"
)]

use core::fmt::Debug;

mod growing;
mod heads;
mod own;
mod script;
mod stream;

use fastrand::Rng;
use growing::Growing;
use pmbridge_core::{
    mapping::{Fate, PcpLine, Plain, Rules},
    pcp::{InDom, Pmid, Semantics, Status, Type, Units},
    pdu::{Kind, desc, error, pmns, result::Results, text},
    role::{Role, agent::Settings, document::Document, scraper::Scraper},
    store::{Fixed, Region, SourceId, Storage, Store},
    time::{Duration, Instant},
};
use script::{
    ACollector, AnAgent, CPU, DOMAIN, Fetched, OTHER, PATIENCE, SETTINGS, Small, WALL, all_profile,
    client_session, context, creds_pdu, double, fetch_of, indom, instances, instances_request, label_sets,
    metrics, pdus, pmcd_session, pmid, refusal, scrape, serve, session, store, talk, told, traverse, values,
    words,
};

/// Checks the answers to [`session`], which begin behind the PDU that opens the conversation.
fn check_answers(answers: &[(Kind, &[u8])], is_collector: bool) {
    let mut answers = answers.iter().copied();
    let mut next = || answers.next().unwrap();
    check_names(&mut next, is_collector);
    check_metadata(&mut next, is_collector);
    check_values(&mut next, is_collector);
    assert_eq!(refusal(next()), Status::PERMISSION);
    if is_collector {
        assert_eq!((refusal(next()), refusal(next())), (Status::IPC, Status::IPC));
    }
    let ids = pmns::Ids::parse(next().1).unwrap();
    assert!(ids.pmids.iter().eq([pmid(2, 1)]));
    assert_eq!(answers.next(), None);
}

fn check_names<'a>(next: &mut dyn FnMut() -> (Kind, &'a [u8]), is_collector: bool) {
    let all: Vec<_> = told(next()).into_iter().map(|(name, _)| name).collect();
    let below = ["app.delta", "app.name", "app.ratio", "app.size", "cpu_seconds_total", "temp"];
    let want = below.iter().map(|n| format!("openmetrics.cpu.{n}"));
    let want: Vec<_> = want.chain(["last", "up"].map(|n| format!("openmetrics.other.{n}"))).collect();
    assert_eq!(all, want);
    assert_eq!(told(next()).len(), 4);
    assert_eq!(refusal(next()), Status::NAME);
    let ids = pmns::Ids::parse(next().1).unwrap();
    assert!(ids.pmids.iter().eq([pmid(1, 1)]));
    assert_eq!(refusal(next()), Status::NONLEAF);
    let ids = pmns::Ids::parse(next().1).unwrap();
    assert!(ids.pmids.iter().eq([pmid(1, 1), Pmid::NULL, pmid(2, 0)]));
    assert_eq!(ids.status, if is_collector { 2 } else { 0 });
    assert_eq!(told(next()), [("cpu".into(), None), ("other".into(), None)]);
    let want = [("app".into(), Some(1)), ("cpu_seconds_total".into(), Some(0)), ("temp".into(), Some(0))];
    assert_eq!(told(next()), want);
    assert_eq!(refusal(next()), Status::NAME);
    assert_eq!(told(next()), [("openmetrics.cpu.cpu_seconds_total".into(), None)]);
}

fn check_metadata<'a>(next: &mut dyn FnMut() -> (Kind, &'a [u8]), is_collector: bool) {
    let cpu = desc::Reply::parse(next().1).unwrap().desc;
    assert_eq!((cpu.pmid, cpu.kind, cpu.indom), (pmid(1, 0), Type::DOUBLE, indom(0)));
    assert_eq!(cpu.semantics, Semantics::COUNTER);
    assert_eq!(refusal(next()), Status::PMID);
    if is_collector {
        let descs: Vec<_> = desc::Descs::parse(next().1).unwrap().iter().collect();
        assert_eq!((descs[0], descs[2]), (Some(cpu), None));
        assert_eq!((descs[1].unwrap().indom, descs[1].unwrap().semantics), (InDom::NULL, Semantics::INSTANT));
        let name = descs[3].unwrap();
        assert_eq!((name.kind, name.semantics, name.units), (Type::STRING, Semantics::DISCRETE, Units::NONE));
    }

    let named = ["0 cpu:0 mode:idle", "1 cpu:0 mode:user", "2 cpu:1 mode:idle"];
    assert_eq!(instances(next()), [0, 1, 2].map(|i| (i, named[i as usize].to_owned())));
    assert_eq!(instances(next()), [(-1, named[1].to_owned())]);
    assert_eq!(instances(next()), [(2, String::new())]);
    assert_eq!(instances(next()), [(0, String::new())], "a name up to its first blank will do");
    assert_eq!(refusal(next()), Status::INST);
    assert_eq!(instances(next()), [(0, "/tmp \"x\"".to_owned()), (1, "/var".to_owned())]);

    assert_eq!(text::Text::parse(next().1).unwrap().text, b"Seconds the CPUs spent.");
    assert_eq!(text::Text::parse(next().1).unwrap().text, b"In each mode.");
    assert_eq!(refusal(next()), Status::TEXT);

    let context = next();
    if is_collector {
        assert_eq!(label_sets(context)[0].1, r#"{"hostname":"here"}"#);
    } else {
        assert_eq!(refusal(context), Status::TYPE);
    }
    assert_eq!(label_sets(next())[0].1, r#"{"agent":"openmetrics"}"#);
    assert_eq!(label_sets(next())[0].1, r#"{"source":"cpu"}"#);
    assert_eq!(label_sets(next())[0].1, r#"{"source":"cpu","url":"http://x:1/"}"#);
    assert_eq!(label_sets(next()).iter().map(|set| set.1.len()).sum::<usize>(), 0);
    let sets = label_sets(next());
    assert_eq!((sets[0].0, sets[0].1.as_str()), (0, r#"{"zone":"a\nb"}"#));
    assert_eq!(sets[0].2, [("zone".to_owned(), r#""a\nb""#.to_owned())]);
    assert_eq!((sets[1].0, sets[1].2.len()), (1, 0));
}

fn check_values<'a>(next: &mut dyn FnMut() -> (Kind, &'a [u8]), is_collector: bool) {
    let cpu = vec![(0, double(12.5)), (1, double(f64::MAX)), (2, double(-0.0))];
    let everything = vec![
        (pmid(1, 0), Ok(cpu.clone())),
        (pmid(1, 1), Ok(vec![(-1, double(36.6))])),
        (pmid(1, 2), Ok(vec![(0, u64::MAX.to_be_bytes().to_vec()), (1, 1u64.to_be_bytes().to_vec())])),
        (pmid(1, 3), Ok(vec![(-1, b"forty-two\0".to_vec())])),
        (pmid(1, 4), Ok(vec![(-1, (-7i32).to_be_bytes().to_vec())])),
        (pmid(1, 5), Ok(vec![(-1, 0.5f32.to_be_bytes().to_vec())])),
        (pmid(2, 0), Ok(vec![(-1, double(1.0))])),
        (pmid(2, 1), Ok(vec![(0, double(2.0))])),
    ];
    assert_eq!(values(next()), everything);
    if is_collector {
        let highres = next();
        assert_eq!(values(highres), everything);
        assert_eq!(Results::parse(highres.0, highres.1).unwrap().time(), WALL);
    }
    let some = values(next());
    assert_eq!(some[0], some[4]);
    assert_eq!(some[1].1, Err(Status::PMID));
    assert_eq!(some[2].1, Err(Status::NOAGENT));
    let without = values(next());
    assert_eq!(without[0].1, Ok(vec![cpu[0].clone(), cpu[2].clone()]));
    assert_eq!(without[1].1, Ok(vec![(-1, double(36.6))]));
    assert_eq!(values(next())[0].1, Ok(vec![cpu[1].clone()]));
    let labels: Vec<_> = label_sets(next()).into_iter().map(|set| (set.0, set.1)).collect();
    assert_eq!(labels, [(1, r#"{"cpu":"0","mode":"user"}"#.to_owned())]);
}

/// The answers of one role over one storage, with documents in pieces of that size.
fn answers<S: Storage, R: Role<S>>(
    role: R,
    storage: S,
    session: &[u8],
    windows: (usize, usize),
    piece: usize,
) -> Vec<u8>
where
    R::Error: Debug,
{
    let (mut role, (mut store, [cpu, other])) = (role, store(storage));
    talk(&mut role, &mut store, session, windows, &mut serve([(cpu, CPU), (other, OTHER)], piece))
}

const WINDOWS: [usize; 7] = [1, 2, 3, 7, 24, 100, 4096];

#[test]
fn every_window_and_storage_gives_a_client_the_same_answers() {
    let session = client_session();
    let ask =
        |windows, piece| answers(ACollector::new(PATIENCE), Growing::default(), &session, windows, piece);
    let want = ask((session.len(), 1 << 16), usize::MAX);
    let all = pdus(&want);
    assert_eq!(error::Challenge::parse(all[0].1).unwrap().version, 2);
    check_answers(&all[1..], true);
    for chunk in 1..=session.len() {
        assert_eq!(ask((chunk, 4096), 100), want, "input by {chunk}");
    }
    for window in WINDOWS {
        for chunk in [1, 7, session.len()] {
            assert_eq!(ask((chunk, window), 100), want, "input by {chunk}, output by {window}");
            let fixed = answers(ACollector::new(PATIENCE), Small::new(), &session, (chunk, window), 100);
            assert_eq!(fixed, want, "fixed storage, input by {chunk}, output by {window}");
        }
    }
}

#[test]
fn every_window_and_storage_gives_pmcd_the_same_answers() {
    let session = pmcd_session();
    let ask = |windows, piece| answers(AnAgent::new(SETTINGS), Growing::default(), &session, windows, piece);
    let want = ask((session.len(), 1 << 16), usize::MAX);
    let all = pdus(&want);
    assert_eq!(all[0].0, Kind::CREDS);
    check_answers(&all[1..], false);
    let first = all.iter().find(|(kind, _)| *kind == Kind::RESULT).unwrap();
    let second = all.iter().filter(|(kind, _)| *kind == Kind::RESULT).nth(1).unwrap();
    let seconds = |pdu: &(Kind, &[u8])| Results::parse(pdu.0, pdu.1).unwrap().seconds;
    assert_eq!((seconds(first), seconds(second)), (16, 0), "new names are told once");
    for chunk in 1..=session.len() {
        assert_eq!(ask((chunk, 4096), 100), want, "input by {chunk}");
    }
    for window in WINDOWS {
        for chunk in [1, 7, session.len()] {
            assert_eq!(ask((chunk, window), 100), want, "input by {chunk}, output by {window}");
            let fixed = answers(AnAgent::new(SETTINGS), Small::new(), &session, (chunk, window), 100);
            assert_eq!(fixed, want, "fixed storage, input by {chunk}, output by {window}");
        }
    }
}

#[test]
fn every_split_of_a_document_gives_the_same_answers() {
    let session = client_session();
    let windows = (session.len(), 1 << 16);
    let ask = |piece| answers(ACollector::new(PATIENCE), Small::new(), &session, windows, piece);
    let want = ask(usize::MAX);
    for piece in 1..=CPU.len() {
        assert_eq!(ask(piece), want, "{piece}");
    }
}

/// Asks one thing, whole, with nothing scraped meanwhile and the deadline passed.
fn ask<S: Storage>(store: &mut Store<S>, request: &[u8]) -> Vec<u8> {
    let mut role = ACollector::new(Duration::ZERO);
    let session = [creds_pdu(), all_profile(), request.to_vec()].concat();
    let out = talk(&mut role, store, &session, (session.len(), 1 << 16), &mut |_| false);
    out[20..].to_vec()
}

/// Fetches after a scrape of everything: PMIDs with what they have.
fn fetched<S: Storage>(
    store: &mut Store<S>,
    pmids: &[Pmid],
    scrapes: &mut dyn FnMut(&mut Store<S>, SourceId),
) -> Vec<Fetched> {
    let mut role = ACollector::new(PATIENCE);
    let session = [creds_pdu(), all_profile(), fetch_of(Kind::FETCH, pmids)].concat();
    let out = talk(&mut role, store, &session, (session.len(), 1 << 16), &mut |store| {
        let mut any = false;
        while let Some((source, _)) = store.wanted(0) {
            scrapes(store, source);
            any = true;
        }
        any
    });
    values(pdus(&out)[1])
}

#[test]
fn a_failed_scrape_costs_its_own_metrics_only() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    let got = fetched(&mut store, &metrics(), &mut |store, source| {
        let text = if source == cpu { None } else { Some(OTHER) };
        scrape(store, source, text, 100);
    });
    for (id, values) in &got[..6] {
        assert_eq!(*values, Err(Status::AGAIN), "{id}");
    }
    assert_eq!(got[6].1, Ok(vec![(-1, double(1.0))]));
    let got = fetched(&mut store, &metrics(), &mut |store, source| {
        scrape(store, source, Some(if source == cpu { CPU } else { OTHER }), 100);
    });
    assert!(got.iter().all(|(_, values)| values.is_ok()));
}

#[test]
fn a_fetch_waits_for_its_sources_until_they_come_or_the_deadline_does() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    assert_eq!(store.wanted(0), None, "nobody asked");
    for comes in [true, false] {
        let mut role = ACollector::new(PATIENCE);
        let mut room = [0; 4096];
        let hello = [creds_pdu(), all_profile()].concat();
        talk(&mut role, &mut store, &hello, (99, 99), &mut |_| false);
        let request = fetch_of(Kind::FETCH, &[pmid(1, 1), pmid(2, 0)]);
        let mut step = |store: &mut Store<_>, now| {
            let progress = role.step(&mut context(store, now), &request, &mut room).unwrap();
            let deadline = Role::<Growing>::deadline(&role).map(Instant::millis);
            (progress.produced, deadline, room)
        };
        assert_eq!(step(&mut store, 0).0, 0);
        let (first, at) = store.wanted(0).unwrap();
        let (second, _) = store.wanted(at).unwrap();
        assert_eq!((first, second), (cpu, other));
        scrape(&mut store, other, Some("up 3\n"), 100);
        let (produced, deadline, _) = step(&mut store, 1999);
        assert_eq!((produced, deadline), (0, Some(2000)));
        if comes {
            scrape(&mut store, cpu, Some("temp 5\n"), 100);
        } else {
            store.begin(cpu);
        }
        let (produced, deadline, answer) = step(&mut store, if comes { 1999 } else { 2000 });
        assert_eq!(deadline, None);
        let got = values(pdus(&answer[..produced])[0]);
        assert_eq!(got[0].1, if comes { Ok(vec![(-1, double(5.0))]) } else { Err(Status::AGAIN) });
        assert_eq!(got[1].1, Ok(vec![(-1, double(3.0))]));
        if !comes {
            assert_eq!(store.wanted(0), None, "a scrape that runs is not begun again");
            store.commit(cpu, false, Instant::START);
        }
    }
}

#[test]
fn a_fetch_of_what_is_not_known_yet_waits_for_the_first_scrapes() {
    let (mut store, [cpu, other]) = store(Growing::default());
    // They began before the fetch, so that they are too old for it, and are done again.
    store.begin(cpu);
    store.begin(other);
    let mut role = ACollector::new(PATIENCE);
    let session = [creds_pdu(), all_profile(), fetch_of(Kind::FETCH, &[pmid(1, 1), pmid(1, 99)])].concat();
    let mut rounds = 0;
    let out = talk(&mut role, &mut store, &session, (session.len(), 100), &mut |store| {
        rounds += 1;
        match rounds {
            ..=3 => {}
            4 => {
                store.commit(other, true, Instant::START);
                scrape(store, cpu, Some("a 1\ntemp 1\n"), 100);
            }
            _ => return serve([(cpu, "temp 2\n"), (other, OTHER)], 100)(store),
        }
        true
    });
    let got = values(pdus(&out)[1]);
    assert_eq!((&got[0].1, &got[1].1), (&Ok(vec![(-1, double(2.0))]), &Err(Status::PMID)));
}

#[test]
fn bad_lines_are_refused_one_by_one_with_their_numbers() {
    let doc = "a 1\nb{ 2\n_c 3\nd x\n\ng{h=\"1} 1\ne{l=\"1\",l=\"2\"} 1\nf 6\n\u{1}\n";
    for piece in 1..=doc.len() {
        let (mut store, [cpu, _]) = store(Growing::default());
        let (refused, samples) = scrape(&mut store, cpu, Some(doc), piece);
        let lines: Vec<_> = refused.iter().map(|r| r.line).collect();
        assert_eq!((lines.as_slice(), samples), (&[2, 3, 4, 6, 7, 9][..], 2), "{refused:?}");
        assert_eq!(store.view().names(), 3);
        let (again, _) = scrape(&mut store, cpu, Some(doc), piece);
        assert_eq!(again, refused);
        assert_eq!(store.view().names(), 3);
    }
}

#[test]
fn a_line_too_long_is_refused_however_it_comes() {
    let long = format!("x{{a=\"{}\"}} 1", "y".repeat(512));
    let doc = format!("a 1\n{long}\nb 2\n{long}");
    for piece in [1, 2, 100, 511, 512, 513, doc.len()] {
        let (mut store, [cpu, _]) = store(Growing::default());
        let (refused, samples) = scrape(&mut store, cpu, Some(&doc), piece);
        let lines: Vec<_> = refused.iter().map(|r| r.line).collect();
        assert_eq!((lines.as_slice(), samples), (&[2, 4][..], 2), "{piece}");
    }
}

#[test]
fn comments_are_about_the_samples_that_follow_them_only() {
    let (mut store, [cpu, _]) = store(Growing::default());
    scrape(&mut store, cpu, Some("# TYPE _x counter\n_x 1\n# HELP y help\ny 2\nz 3\n"), 100);
    let view = store.view();
    let y = view.named(b"openmetrics.cpu.y").unwrap();
    assert_eq!(y.desc().semantics, Semantics::INSTANT);
    assert_eq!(view.help(y), "help");
}

#[test]
fn a_text_value_is_never_mistaken_for_labels() {
    let (mut store, [cpu, _]) = store(Growing::default());
    let doc = "# PCP5 s 1 string PM_INDOM_NULL discrete none\ns one\n";
    scrape(&mut store, cpu, Some(doc), 100);
    scrape(&mut store, cpu, Some("# PCP5 s 1 string PM_INDOM_NULL discrete none\ns {a=\"b\"} two\n"), 100);
    let view = store.view();
    let s = view.named(b"openmetrics.cpu.s").unwrap();
    assert_eq!(view.string(view.series_at(view.first(s)).unwrap()), b"two");
}

#[test]
fn what_is_full_is_counted_and_the_rest_is_kept() {
    fn check<S: Storage>(storage: S, region: Region, source: bool) {
        let mut store = Store::new(storage, DOMAIN, 1);
        store.set_root("o").unwrap();
        let first = store.add_source("s", "", Some(1)).unwrap();
        if source {
            assert!(store.add_source("t", "", Some(2)).is_err());
            assert_eq!(store.refused(region), 1);
            return;
        }
        let doc: String = (0..8).map(|i| format!("m{i} {i}\nn{{i=\"{i}\"}} {i}\n")).collect();
        let mut before = None;
        for round in 1..4 {
            let (refused, samples) = scrape(&mut store, first, Some(&doc), 7);
            assert!(samples > 0 && !refused.is_empty(), "{region:?}");
            assert_eq!(samples as usize + refused.len(), 16);
            assert_eq!(store.refused(region), round * refused.len() as u64, "{region:?}");
            let others = [Region::Sources, Region::Metrics, Region::Series, Region::Index, Region::Text];
            assert_eq!(
                others.map(|r| store.refused(r)).iter().sum::<u64>(),
                store.refused(region),
                "{region:?}"
            );
            let state = (store.view().names(), store.view().series(), store.text_len(), samples);
            assert_eq!(*before.get_or_insert(state), state, "{region:?}");
        }
        let pmids: Vec<_> = (0..store.view().names()).map(|i| pmid(1, u16::try_from(i).unwrap())).collect();
        let got = fetched(&mut store, &pmids, &mut |store, source| {
            scrape(store, source, Some(&doc), 7);
        });
        let count: usize = got.iter().map(|(_, values)| values.as_ref().unwrap().len()).sum();
        assert_eq!(count as u64, before.unwrap().3, "{region:?}");
        let names = told(pdus(&ask(&mut store, &traverse(b"")))[0]);
        assert_eq!(names.len(), pmids.len());
    }
    check(Fixed::<1, 9, 16, 8, 128, 1024>::new(), Region::Sources, true);
    check(Fixed::<1, 4, 16, 8, 128, 1024>::new(), Region::Metrics, false);
    check(Fixed::<1, 9, 9, 8, 128, 1024>::new(), Region::Series, false);
    check(Fixed::<1, 9, 16, 8, 32, 1024>::new(), Region::Index, false);
    check(Fixed::<1, 9, 16, 8, 128, 128>::new(), Region::Text, false);
}

#[test]
fn a_reordered_label_set_is_the_same_instance_and_the_last_value_wins() {
    let (mut store, [cpu, _]) = store(Growing::default());
    let doc = "m{a=\"1\",b=\"2\"} 1\nm{b=\"2\",a=\"1\"} 2\nm{ b = \"2\" , a=\"1\",} 3\n";
    for _ in 0..3 {
        let got = fetched(&mut store, &[pmid(1, 0)], &mut |store, source| {
            scrape(store, source, Some(if source == cpu { doc } else { OTHER }), 100);
        });
        if got[0].1.is_ok() {
            assert_eq!(got[0].1, Ok(vec![(0, double(3.0))]));
        }
    }
    let (_, body) = (store.view().names(), ask(&mut store, &instances_request(indom(0), -1, b"")));
    assert_eq!(instances(pdus(&body)[0]), [(0, "0 a:1 b:2".to_owned())]);
}

/// Rules that want no PCP lines.
struct Deaf;

impl Rules for Deaf {
    fn takes(&self, _: &str) -> bool {
        true
    }

    fn label(&self, _: &str) -> Fate {
        Fate::Keep
    }

    fn describe<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        None
    }

    fn remark<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        None
    }
}

#[test]
fn rules_may_want_no_pcp_lines() {
    let (mut store, [cpu, _]) = store(Small::new());
    store.begin(cpu);
    let mut document = Document::new(cpu, [0u8; 512], &Deaf);
    document.feed(&mut store, CPU.as_bytes(), &mut |refused| assert_eq!(refused.line, 13));
    document.finish(&mut store, &mut |_| {});
    store.commit(cpu, true, Instant::START);
    let view = store.view();
    assert!(view.named(b"openmetrics.cpu.app_size").is_some());
    assert!(view.named(b"openmetrics.cpu.app.size").is_none());
}

#[test]
fn where_nothing_is_remembered_series_come_and_go_for_ever() {
    let (mut store, [cpu, _]) = store(Fixed::<2, 4, 6, 0, 128, 1024>::new());
    for round in 0..50 {
        let text = format!("m{{a=\"{round}\"}} 1\nm{{a=\"stays\"}} 2\n");
        let (refused, samples) = scrape(&mut store, cpu, Some(&text), 7);
        assert_eq!((refused, samples), (vec![], 2), "{round}");
    }
    assert!(store.view().series() <= 4);
}

#[test]
fn a_series_that_vanished_has_no_value_and_comes_back_as_it_was() {
    let (mut store, [cpu, other]) = store(Growing::default());
    let docs = [
        "m{a=\"1\"} 1\nm{a=\"2\"} 2\nm{a=\"3\"} 3\n",
        "m{a=\"1\"} 4\nm{a=\"3\"} 6\n",
        "m{a=\"3\"} 9\nm{a=\"2\"} 8\n",
    ];
    scrape(&mut store, cpu, Some(docs[0]), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    let want = [vec![(0, 1.0), (1, 2.0), (2, 3.0)], vec![(0, 4.0), (2, 6.0)], vec![(1, 8.0), (2, 9.0)]];
    for at in [0, 1, 2, 1, 0, 2] {
        let got = fetched(&mut store, &[pmid(1, 0)], &mut |store, source| {
            scrape(store, source, Some(if source == cpu { docs[at] } else { OTHER }), 100);
        });
        assert_eq!(got[0].1, Ok(want[at].iter().map(|(i, v)| (*i, double(*v))).collect()));
        let told = ask(&mut store, &instances_request(indom(0), -1, b""));
        assert_eq!(instances(pdus(&told)[0]).len(), 3, "those that vanished are still told");
    }
}

#[test]
fn readiness_is_announced_just_where_it_was_agreed_on_and_waits_for_no_scrape() {
    for announces_ready in [false, true] {
        for window in WINDOWS {
            let (mut store, _) = store(Growing::default());
            let mut role = AnAgent::new(Settings { announces_ready, ..SETTINGS });
            let out = talk(&mut role, &mut store, &creds_pdu(), (7, window), &mut |_| false);
            let said: Vec<_> = pdus(&out).into_iter().skip(1).map(refusal).collect();
            assert_eq!(said, if announces_ready { vec![Status::PMDAREADY] } else { vec![] });
            assert!(role.is_ready());
        }
    }
}

#[test]
fn a_source_that_is_held_is_answered_as_it_is() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some("up 3\n"), 100);
    let until = |millis| Instant::from_millis(millis);
    let ask = |store: &mut Store<Growing>, now| {
        let mut role = ACollector::new(PATIENCE);
        let mut room = [0; 4096];
        let hello = [creds_pdu(), all_profile()].concat();
        talk(&mut role, store, &hello, (99, 99), &mut |_| false);
        let request = fetch_of(Kind::FETCH, &[pmid(2, 0)]);
        let progress = role.step(&mut context(store, now), &request, &mut room).unwrap();
        (progress.produced > 0).then(|| values(pdus(&room[..progress.produced])[0])[0].1.clone())
    };
    store.begin(other);
    store.commit(other, false, until(50));
    assert_eq!(ask(&mut store, 49), Some(Err(Status::AGAIN)));
    assert_eq!(store.wanted(0), None, "nobody waits");
    // A scrape that nobody asked for runs: who asks is answered all the same.
    store.begin(other);
    assert_eq!(ask(&mut store, 49), Some(Err(Status::AGAIN)));
    store.commit(other, false, until(50));
    assert_eq!(ask(&mut store, 50), None, "it is wanted again");
    assert_eq!(store.wanted(0).map(|(id, _)| id), Some(other));
    scrape(&mut store, other, Some("up 4\n"), 100);
    store.commit(other, false, until(50));
    store.begin(other);
    let mut document = Document::new(other, [0u8; 64], Plain);
    document.feed(&mut store, b"up 5\n", &mut |_| {});
    document.finish(&mut store, &mut |_| {});
    store.commit(other, true, until(90));
    assert_eq!(ask(&mut store, 89), Some(Ok(vec![(-1, double(5.0))])));
    assert_eq!(store.wanted(0), None);
    // Edited, it is another.
    store.revive(other);
    assert!(!store.view().is_settled());
    assert_eq!(store.wanted(0).map(|(id, _)| id), Some(other));
    // Names go on without it, and values do not.
    store.begin(other);
    store.settle(other);
    assert!(store.view().is_settled());
    assert_eq!(ask(&mut store, 90), None);
}

#[test]
fn a_settled_source_answers_not_even_the_first_ticket() {
    let mut store = Store::new(Growing::default(), 144, 0);
    let source = store.add_source("s", "", None).unwrap();
    let ticket = store.ticket();
    store.settle(source);
    assert!(store.view().is_settled() && !store.view().is_fresh(source, ticket));
}

#[test]
fn a_failure_is_waited_for_once() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some("up 3\n"), 100);
    for whole in [true, false] {
        store.begin(other);
        let ticket = store.ticket();
        store.want(other, ticket, Instant::START);
        assert!(store.has_stirred() && !store.has_stirred());
        assert_eq!(store.wanted(0), None, "it runs");
        store.commit(other, whole, Instant::START);
        assert_eq!(store.view().is_fresh(other, ticket), !whole);
        assert_eq!((store.wanted(0).is_some(), store.has_stirred()), (whole, whole));
    }
}

#[test]
fn a_client_must_say_who_it_is_and_want_what_is_offered() {
    for hello in
        [traverse(b""), words(&[20, Kind::CREDS.0, 0, 1, 0x0102_0001]), words(&[65_540, Kind::FETCH.0, 0])]
    {
        let (mut store, _) = store(Growing::default());
        let mut role = ACollector::new(PATIENCE);
        let mut room = [0; 64];
        role.step(&mut context(&mut store, 0), b"", &mut room).unwrap();
        assert!(role.step(&mut context(&mut store, 0), &hello, &mut room).is_err());
    }
}

#[test]
fn a_fetch_without_a_profile_is_refused() {
    let (mut store, _) = store(Growing::default());
    let mut role = ACollector::new(Duration::ZERO);
    let session = [creds_pdu(), fetch_of(Kind::FETCH, &[pmid(1, 0)])].concat();
    let out = talk(&mut role, &mut store, &session, (99, 3), &mut |_| false);
    assert_eq!(refusal(pdus(&out)[1]), Status::NOPROFILE);
}

/// Every way that a server may frame the document.
fn responses() -> Vec<(String, bool)> {
    let chunks = |size: usize| {
        let body = CPU.as_bytes().chunks(size);
        let body: String =
            body.map(|c| format!("{:x};x=y\r\n{}\r\n", c.len(), String::from_utf8_lossy(c))).collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\nTrailer: x\r\n\r\n")
    };
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{CPU}", CPU.len());
    vec![
        (length.clone(), false),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{length}"), false),
        (chunks(1), false),
        (chunks(37), false),
        (chunks(5000), false),
        (format!("HTTP/1.0 200 OK\r\n\r\n{CPU}"), true),
    ]
}

#[test]
fn every_framing_and_split_of_a_response_gives_the_same_store() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let dump = |store: &mut Store<Growing>| {
        [names_all(store), ask(store, &instances_request(indom(0), -1, b""))].concat()
    };
    let mut want = None;
    for (response, until_close) in responses() {
        for chunk in (1..80).chain([200, response.len()]) {
            let (mut store, [cpu, other]) = store(Growing::default());
            scrape(&mut store, other, Some(OTHER), 100);
            store.begin(cpu);
            let mut role = Scraper::new(request, Document::new(cpu, [0u8; 512], Plain), 10_000);
            let sent = talk(&mut role, &mut store, response.as_bytes(), (chunk, 5), &mut |_| false);
            assert_eq!(sent, request);
            assert_eq!(role.is_done(), !until_close);
            role.end(&mut context(&mut store, 0)).unwrap();
            assert!(role.is_done());
            assert_eq!(role.document().stats().samples, 9);
            store.commit(cpu, true, Instant::START);
            let got = dump(&mut store);
            assert_eq!(want.get_or_insert_with(|| got.clone()), &got, "by {chunk}");
        }
    }
}

fn names_all(store: &mut Store<Growing>) -> Vec<u8> {
    let view = store.view();
    let mut all = Vec::new();
    for metric in (0..view.names()).filter_map(|at| view.in_order(at)) {
        all.extend_from_slice(view.name(metric));
        all.extend_from_slice(format!("{:?}", metric.desc()).as_bytes());
        for (_, series) in view.series_from(view.first(metric)) {
            let value = if metric.desc().kind == Type::STRING { 0 } else { series.value() };
            all.extend_from_slice(&value.to_be_bytes());
            all.push(u8::from(series.is_live()));
        }
    }
    all
}

#[test]
fn a_response_cut_short_is_never_taken_for_whole() {
    for (response, until_close) in responses() {
        for cut in (0..response.len() - 1).step_by(17) {
            let (mut store, [cpu, _]) = store(Growing::default());
            store.begin(cpu);
            let mut role = Scraper::new(b"x", Document::new(cpu, [0u8; 512], Plain), 10_000);
            let head = response.rfind("200 OK").unwrap_or(0);
            let arrived = &response.as_bytes()[..cut];
            let mut room = [0; 8];
            let _ = role.step(&mut context(&mut store, 0), arrived, &mut room).unwrap();
            let ended = role.end(&mut context(&mut store, 0));
            assert!(ended.is_err() || until_close && cut > head, "{cut}");
        }
    }
}

/// A session some of whose bytes are others, or missing.
fn spoil(dice: &mut Rng, session: &[Vec<u8>]) -> Vec<u8> {
    let mut out = creds_pdu();
    for _ in 0..dice.usize(..6) {
        let mut pdu = session[dice.usize(..session.len())].clone();
        for _ in 0..dice.usize(..4) {
            let at = dice.usize(..pdu.len());
            let byte = dice.u8(..);
            // Mostly behind the header, so that the stream goes on.
            if at >= 8 || dice.usize(..20) == 0 {
                pdu[at] = byte;
            }
        }
        if dice.usize(..10) == 0 {
            pdu.truncate(dice.usize(..pdu.len()));
        }
        out.extend_from_slice(&pdu);
    }
    out
}

/// Steps a role through random windows until it stops; whatever comes, it keeps to what it was given.
fn torment<S: Storage, R: Role<S>>(role: &mut R, store: &mut Store<S>, input: &[u8], dice: &mut Rng) {
    let (mut at, mut now) = (0, 0);
    for _ in 0..400 {
        let end = (at + dice.usize(..200)).min(input.len());
        let size = dice.usize(..60);
        let mut room = vec![0x55; size + 8];
        let Ok(progress) = role.step(&mut context(store, now), &input[at..end], &mut room[..size]) else {
            return;
        };
        assert!(progress.consumed <= end - at && progress.produced <= size);
        assert!(room[size..].iter().all(|b| *b == 0x55));
        at += progress.consumed;
        if at == input.len() && progress.is_none() {
            return;
        }
        if progress.is_none() {
            now += 500;
        }
    }
}

#[test]
fn garbage_never_gets_more_than_it_was_given() {
    let mut dice = Rng::with_seed(9);
    let (mut store, [cpu, other]) = store(Small::new());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    let session = session();
    for _ in 0..4000 {
        let input = spoil(&mut dice, &session);
        torment(&mut ACollector::new(PATIENCE), &mut store, &input, &mut dice);
        torment(&mut AnAgent::new(SETTINGS), &mut store, &input, &mut dice);
    }
}

#[test]
fn garbage_in_a_document_or_a_response_costs_its_lines_only() {
    let mut dice = Rng::with_seed(1);
    let (mut store, [cpu, _]) = store(Small::new());
    let responses = responses();
    for _ in 0..2000 {
        let mut doc = CPU.as_bytes().to_vec();
        for _ in 0..dice.usize(..20) {
            let at = dice.usize(..doc.len());
            doc[at] = dice.u8(..);
        }
        store.begin(cpu);
        let mut document = Document::new(cpu, [0u8; 64], Plain);
        let mut rest = doc.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(dice.usize(..rest.len()) + 1);
            document.feed(&mut store, piece, &mut |_| {});
            rest = after;
        }
        document.finish(&mut store, &mut |_| {});
        store.commit(cpu, true, Instant::START);
        let mut response = responses[dice.usize(..responses.len())].0.clone().into_bytes();
        for _ in 0..dice.usize(..5) {
            let at = dice.usize(..response.len());
            response[at] = dice.u8(..);
        }
        store.begin(cpu);
        let mut role = Scraper::new(b"x", Document::new(cpu, [0u8; 64], Plain), 10_000);
        torment(&mut role, &mut store, &response, &mut dice);
        store.commit(cpu, false, Instant::START);
    }
}
