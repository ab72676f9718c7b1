//! Requests longer than the window they come through: a role with memory of its own answers them with the same bytes as
//! one that has them before it whole, and refuses just those that its memory cannot hold.

use fastrand::Rng;
use pmbridge_core::{
    pcp::{Pmid, Status},
    pdu::{Kind, Pmids, desc, pmns, split},
    role::{Role, agent::Agent, collector::Collector},
    store::{SourceId, Storage, Store},
    time::Instant,
};

use crate::{
    growing::Growing,
    script::{
        ACollector, AnAgent, CPU, OTHER, PATIENCE, SETTINGS, Small, all_profile, child, client_session,
        context, creds_pdu, double, fetch_of, help_request, indom, instances_request, label_sets,
        labels_request, metrics, names_of, pdu, pdus, pmcd_session, pmid, profile_of, refusal, scrape, serve,
        session, store, store_of, traverse, values, words,
    },
    spoil,
};

/// What a role answered, and whether that ended the conversation.
type Told = (Vec<u8>, bool);

fn collector<const N: usize>() -> Collector<1024, 4, [u8; N]> {
    Collector::with_memory(PATIENCE, [0x55; N])
}

fn agent<const N: usize>() -> Agent<1024, [u8; N]> {
    Agent::with_memory(SETTINGS, [0x55; N])
}

/// Holds a conversation to its end, through a window that never holds more than `window` bytes of input.
fn squeeze<S: Storage, R: Role<S>>(
    role: &mut R,
    store: &mut Store<S>,
    session: &[u8],
    windows: (usize, usize),
    rest: &mut dyn FnMut(&mut Store<S>) -> bool,
) -> Told {
    let (told, consumed) = heard(role, store, session, windows, rest);
    assert!(told.1 || consumed == session.len(), "a full window never stops the conversation");
    told
}

/// The same for a session that may end in the midst of a request; and how much of it was consumed.
fn heard<S: Storage, R: Role<S>>(
    role: &mut R,
    store: &mut Store<S>,
    session: &[u8],
    (window, room): (usize, usize),
    rest: &mut dyn FnMut(&mut Store<S>) -> bool,
) -> (Told, usize) {
    let (mut out, mut room, mut consumed) = (Vec::new(), vec![0xaa; room], 0);
    loop {
        let input = &session[consumed..session.len().min(consumed + window)];
        let Ok(progress) = role.step(&mut context(store, 0), input, &mut room) else {
            return ((out, true), consumed);
        };
        assert!(progress.consumed <= input.len());
        out.extend_from_slice(&room[..progress.produced]);
        consumed += progress.consumed;
        if progress.is_none() && (role.is_busy() || !rest(store)) {
            assert!(!role.is_busy(), "a busy role goes on whenever there is room");
            return ((out, false), consumed);
        }
    }
}

/// Answers a session from a store whose sources are scraped just when they are wanted.
fn answers<R: Role<Growing>>(mut role: R, session: &[u8], windows: (usize, usize)) -> Told {
    let (mut store, [cpu, other]) = store(Growing::default());
    squeeze(&mut role, &mut store, session, windows, &mut serve([(cpu, CPU), (other, OTHER)], 100))
}

/// A store that was scraped already.
fn scraped() -> (Store<Growing>, [SourceId; 2]) {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    (store, [cpu, other])
}

/// As many PMIDs, of all metrics again and again, with one that nobody has.
fn many(n: usize) -> Vec<Pmid> {
    metrics().into_iter().chain([pmid(9, 9)]).cycle().take(n).collect()
}

fn desc_ids(pmids: &[Pmid]) -> Vec<u8> {
    let bytes = words(&pmids.iter().map(|pmid| pmid.to_bits()).collect::<Vec<_>>());
    pdu(|w| desc::DescIds { status: -1, pmids: Pmids::new(&bytes) }.emit(0, w))
}

/// Names as a question that has states, as nobody asks but the format allows.
fn names_with_states(names: &[&str]) -> Vec<u8> {
    let count = u32::try_from(names.len()).unwrap();
    let len = names.iter().fold(pmns::NamesHead::LEN, |sum, n| sum + pmns::Name::len(n.len(), true));
    let strings = names.iter().map(|n| pmns::string_len(n.len())).sum();
    pdu(|w| {
        pmns::NamesHead { len, strings, statuses: count, count: count.cast_signed() }.emit(0, w);
        for name in names {
            pmns::Name { status: Some(7), name: name.as_bytes() }.emit(w);
        }
    })
}

fn unknown(kind: u32, len: u32) -> Vec<u8> {
    let mut pdu = words(&[len, kind, 0]);
    pdu.resize(usize::try_from(len).unwrap(), 0x70);
    pdu
}

/// Requests as long as clients send them and longer, and some that only look so; behind each a short one.
fn long_session() -> Vec<u8> {
    let long = "openmetrics.cpu.".repeat(40);
    let some = ["openmetrics.cpu.temp", "", "no.such", "openmetrics.cpu", &long, "openmetrics.other.up"];
    let names: Vec<_> = some.into_iter().cycle().take(60).collect();
    let mut bad_count = names_of(&names);
    bad_count[23] += 1;
    let mut bad_length = names_of(&names);
    bad_length[24] = 0x7f;
    let mut negative = words(&[24, Kind::PMNS_NAMES.0, 0, 0, 0, u32::MAX]);
    negative.extend(names_of(&[]));
    let mut bad_fetch = fetch_of(Kind::FETCH, &many(300));
    bad_fetch[27] += 1;
    let mut bad_profile = profile_of(indom(0), true, &[0; 100]);
    bad_profile[43] = 7;
    let insts: Vec<u32> = (1..200).collect();
    let requests = [
        names_of(&names),
        names_with_states(&names),
        names_of(&[&long]),
        names_of(&["openmetrics.cpu"]),
        bad_count,
        bad_length,
        negative,
        words(&[14, Kind::PMNS_NAMES.0, 0, 0])[..14].to_vec(),
        names_of(&["no.such"]),
        fetch_of(Kind::FETCH, &many(300)),
        bad_fetch,
        fetch_of(Kind::HIGHRES_FETCH, &many(500)),
        desc_ids(&many(300)),
        profile_of(indom(0), true, &insts),
        fetch_of(Kind::FETCH, &many(20)),
        bad_profile,
        labels_request(indom(0).to_bits(), 32),
        traverse(long.as_bytes()),
        child(1, long.as_bytes()),
        instances_request(indom(0), -1, long.as_bytes()),
        store_of(pmid(1, 1), 1, &[0x0600_07d4; 500]),
        store_of(pmid(1, 1), 1, &[0x0500_000c, 0x401c_0000, 0]),
        unknown(0x7fff, 3000),
        unknown(0x7fff, 6000),
        unknown(Kind::LABEL_REQ.0, 2000),
        unknown(Kind::PMNS_IDS.0, 3001),
    ];
    let short = names_of(&["openmetrics.other.last"]);
    let all: Vec<_> = requests.into_iter().flat_map(|request| [request, short.clone()].concat()).collect();
    [creds_pdu(), all_profile(), all].concat()
}

/// Sizes of windows of input, the longest as long as a chip has it.
const WINDOWS: [usize; 12] = [1, 2, 3, 4, 5, 11, 12, 13, 64, 67, 128, 1024];

#[test]
fn a_role_with_memory_answers_as_one_that_sees_requests_whole() {
    let whole = (1 << 20, 1 << 16);
    for session in [client_session(), long_session()] {
        let want = answers(ACollector::new(PATIENCE), &session, whole);
        assert!(!want.1 && pdus(&want.0).len() > 30);
        for windows in WINDOWS.map(|window| (window, 4096)).into_iter().chain([(64, 3), whole]) {
            let got = answers(collector::<4096>(), &session, windows);
            assert!(got == want, "input and output by {windows:?}");
        }
    }
    for session in [pmcd_session(), long_session()] {
        let want = answers(AnAgent::new(SETTINGS), &session, whole);
        for windows in WINDOWS.map(|window| (window, 4096)).into_iter().chain([(64, 3), whole]) {
            let got = answers(agent::<4096>(), &session, windows);
            assert!(got == want, "input and output by {windows:?}");
        }
    }
}

#[test]
fn every_cut_of_every_request_gives_the_same_answer() {
    for request in session().into_iter().skip(2).chain([names_with_states(&["openmetrics.cpu.temp", ""])]) {
        let (mut store, [cpu, other]) = scraped();
        let mut docs = serve([(cpu, CPU), (other, OTHER)], 100);
        let hello = [creds_pdu(), all_profile()].concat();
        let session = [hello.clone(), request.clone()].concat();
        let (want, _) =
            squeeze(&mut ACollector::new(PATIENCE), &mut store, &session, (9999, 9999), &mut docs);
        for cut in 0..=request.len() {
            let mut role = collector::<512>();
            let (mut got, _) = squeeze(&mut role, &mut store, &hello, (64, 64), &mut docs);
            for part in [&request[..cut], &request[cut..]] {
                got.extend(squeeze(&mut role, &mut store, part, (9999, 9999), &mut docs).0);
            }
            assert!(got == want, "{:?} cut at {cut}", split(&request));
        }
    }
}

/// Every request that has as many parts as one likes, and what it is answered with where that is too much.
fn endless() -> Vec<(Vec<u8>, Status)> {
    let long = "x".repeat(300);
    let names = vec!["openmetrics.cpu.temp"; 100];
    vec![
        (fetch_of(Kind::FETCH, &many(61)), Status::TOOBIG),
        (fetch_of(Kind::HIGHRES_FETCH, &many(1000)), Status::TOOBIG),
        (desc_ids(&many(63)), Status::TOOBIG),
        (names_of(&names), Status::TOOBIG),
        (names_of(&[&long]), Status::TOOBIG),
        (names_of(&["openmetrics.cpu.temp", &long, "openmetrics.cpu.temp"]), Status::TOOBIG),
        (traverse(long.as_bytes()), Status::TOOBIG),
        (child(1, long.as_bytes()), Status::TOOBIG),
        (instances_request(indom(0), -1, long.as_bytes()), Status::TOOBIG),
        (store_of(pmid(1, 1), 1, &[0x0600_0ff4; 1020]), Status::TOOBIG),
        (unknown(0x7fff, 65_536), Status::IPC),
        (unknown(0x7099, 257), Status::IPC),
    ]
}

#[test]
fn a_request_beyond_the_memory_is_refused_and_the_next_one_answered() {
    let most = fetch_of(Kind::FETCH, &many(60));
    for window in [1, 5, 64, 1024] {
        for (request, status) in endless() {
            let session = [creds_pdu(), all_profile(), request.clone(), most.clone(), request].concat();
            let (mut store, [cpu, other]) = scraped();
            let mut serve = serve([(cpu, CPU), (other, OTHER)], 100);
            let mut role = collector::<256>();
            let (out, ended) = squeeze(&mut role, &mut store, &session, (window, 50), &mut serve);
            let told = pdus(&out);
            assert!(!ended && told.len() == 4, "one answer to each");
            assert_eq!((refusal(told[1]), refusal(told[3])), (status, status));
            assert_eq!(values(told[2]).len(), 60);
            // pmcd asks nothing that it does not know, and waits for one answer to each of the others.
            let (kind, ..) = split(&session[20 + 28..]).unwrap().unwrap();
            if matches!(kind.kind, Kind::FETCH | Kind::PMNS_NAMES | Kind::RESULT) {
                let (out, _) = squeeze(&mut agent::<256>(), &mut store, &session, (window, 50), &mut serve);
                assert_eq!((refusal(pdus(&out)[1]), values(pdus(&out)[2]).len()), (status, 60));
            }
        }
    }
}

#[test]
fn a_request_longer_than_clients_may_send_ends_the_conversation() {
    let session = [creds_pdu(), unknown(0x7fff, 65_536), unknown(0x7fff, 65_537)].concat();
    let (out, ended) = answers(collector::<256>(), &session, (64, 64));
    assert_eq!((pdus(&out).len(), ended), (2, true));
    let many_creds = unknown(Kind::CREDS.0, 4112);
    assert!(answers(collector::<256>(), &many_creds, (64, 64)).1);
}

#[test]
fn a_profile_too_long_to_keep_costs_the_fetches_that_need_it() {
    let (one, fetch) = (profile_of(indom(0), true, &[1]), fetch_of(Kind::FETCH, &[pmid(1, 0)]));
    // One that no profile's place can hold, and one that the memory for requests cannot hold either.
    for insts in [300, 3000] {
        let long = profile_of(indom(0), true, &vec![0; insts]);
        let mut other = long.clone();
        other[15] = 1;
        let labels = labels_request(indom(0).to_bits(), 32);
        let parts = [&one, &fetch, &long, &fetch, &labels, &help_request(0, 5), &other, &one, &fetch];
        let session = [creds_pdu(), parts.map(Clone::clone).concat()].concat();
        let check = |told: Told, name: &str| {
            let told = pdus(&told.0);
            assert_eq!(told.len(), 6, "{name}: a profile has no answer");
            let want = Ok(vec![(1, double(f64::MAX))]);
            assert_eq!((&values(told[1])[0].1, &values(told[5])[0].1), (&want, &want), "{name}");
            assert_eq!(refusal(told[2]), Status::TOOBIG, "{name}");
            assert_eq!(label_sets(told[3]).len(), 3, "{name}: labels say whose they are");
            assert_eq!(refusal(told[4]), Status::PMID, "{name}");
        };
        check(answers(ACollector::new(PATIENCE), &session, (1 << 20, 100)), "in place");
        for window in [1, 64, 1024] {
            check(answers(collector::<2048>(), &session, (window, 100)), "taken in");
        }
        // pmcd's agent has one profile, that of whoever asks next.
        let session = [creds_pdu(), long, fetch.clone(), one.clone(), fetch.clone()].concat();
        for (out, _) in [
            answers(AnAgent::new(SETTINGS), &session, (1 << 20, 100)),
            answers(agent::<2048>(), &session, (64, 100)),
        ] {
            assert_eq!(refusal(pdus(&out)[1]), Status::TOOBIG);
            assert_eq!(values(pdus(&out)[2])[0].1, Ok(vec![(1, double(f64::MAX))]));
        }
    }
}

#[test]
fn domains_that_a_profile_names_for_nothing_need_no_memory() {
    // What pmrep sends: each domain, with all of its instances.
    let entries: Vec<u32> = (0..100).flat_map(|item| [indom(item).to_bits(), 0, 0, 0]).collect();
    let mut profile = words(&[&[28 + 1600, Kind::PROFILE.0, 0, 0, 0, 100, 0], &entries[..]].concat());
    let fetch = fetch_of(Kind::FETCH, &[pmid(1, 0)]);
    for one in [None, Some(1)] {
        if let Some(inst) = one {
            // The first domain, but for one instance.
            profile[..4].copy_from_slice(&(28_u32 + 1600 + 4).to_be_bytes());
            profile[28 + 11] = 1;
            profile.extend(words(&[inst]));
        }
        let session = [creds_pdu(), profile.clone(), fetch.clone()].concat();
        for window in [1, 64, 4096] {
            let mut role = Collector::<48, 1, _>::with_memory(PATIENCE, [0; 64]);
            let (mut store, [cpu, other]) = scraped();
            let mut docs = serve([(cpu, CPU), (other, OTHER)], 100);
            let (out, _) = squeeze(&mut role, &mut store, &session, (window, 100), &mut docs);
            let insts: Vec<_> = values(pdus(&out)[1])[0].1.as_ref().unwrap().iter().map(|v| v.0).collect();
            assert_eq!(insts, if one.is_some() { vec![0, 2] } else { vec![0, 1, 2] });
        }
    }
}

#[test]
fn names_are_looked_up_when_it_is_time_to_answer_and_hold_up_nobody() {
    let request = names_of(&["openmetrics.cpu.temp", "openmetrics.cpu.late"]);
    let (mut store, [cpu, other]) = store(Growing::default());
    let mut role = collector::<256>();
    let mut room = [0; 4096];
    squeeze(&mut role, &mut store, &creds_pdu(), (64, 64), &mut |_| false);
    let mut step = |store: &mut Store<_>, from: usize, to: usize| {
        let progress = role.step(&mut context(store, 0), &request[from..to], &mut room).unwrap();
        let waits = Role::<Growing>::deadline(&role).map(Instant::millis);
        assert!(!Role::<Growing>::is_busy(&role));
        (progress.consumed, waits, room[..progress.produced].to_vec())
    };
    assert_eq!(step(&mut store, 0, 60), (12, Some(2000), vec![]), "no source was scraped yet");
    scrape(&mut store, cpu, Some("temp 1\n"), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    assert_eq!(step(&mut store, 12, 60), (48, None, vec![]));
    // Half a request binds nobody: documents come, and names of theirs are found.
    scrape(&mut store, cpu, Some("temp 1\nlate 2\n"), 100);
    let (consumed, _, answer) = step(&mut store, 60, request.len());
    assert_eq!(consumed, request.len() - 60);
    let ids = pmns::Ids::parse(pdus(&answer)[0].1).unwrap();
    assert!(ids.pmids.iter().eq([pmid(1, 0), pmid(1, 1)]));
    assert_eq!(ids.status, 2);
}

#[test]
fn garbage_is_answered_alike_in_place_and_taken_in() {
    let mut dice = Rng::with_seed(7);
    let session = [session(), vec![names_with_states(&["openmetrics.cpu.temp", "no.such"])]].concat();
    for turn in 0..3000 {
        let input = spoil(&mut dice, &session);
        let (mut store, [cpu, other]) = store(Small::new());
        scrape(&mut store, cpu, Some(CPU), 100);
        scrape(&mut store, other, Some(OTHER), 100);
        let mut docs = serve([(cpu, CPU), (other, OTHER)], 100);
        let (whole, cut) = ((1 << 16, 99), (dice.usize(1..=40), dice.usize(1..=60)));
        let want = heard(&mut ACollector::new(PATIENCE), &mut store, &input, whole, &mut docs).0;
        let got = heard(&mut collector::<1024>(), &mut store, &input, cut, &mut docs).0;
        assert_eq!(got, want, "client, turn {turn}");
        let want = heard(&mut AnAgent::new(SETTINGS), &mut store, &input, whole, &mut docs).0;
        let got = heard(&mut agent::<1024>(), &mut store, &input, cut, &mut docs).0;
        assert_eq!(got, want, "pmcd, turn {turn}");
    }
}
