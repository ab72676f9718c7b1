//! Laws of the collector, and of the agent: whatever comes, requests that are taken in piece by piece, through windows
//! of any size, are answered with the bytes that requests read in place are answered with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::mapping::Plain;
use pmbridge_core::pcp::{Semantics, Type, Units};
use pmbridge_core::role::agent::{Agent, Settings};
use pmbridge_core::role::collector::Collector;
use pmbridge_core::role::document::Document;
use pmbridge_core::role::{Context, Role};
use pmbridge_core::store::{Declaration, Fixed, Instance, Instances, Published, SourceId, Store};
use pmbridge_core::time::{Duration, Instant, Timestamp};

type Memory = Fixed<2, 8, 16, 0, 64, 1024>;

fuzz_target!(|input: &[u8]| {
    let Some(([chunk, room], requests)) = input.split_first_chunk::<2>() else { return };
    // A client that does not say who it is is asked nothing.
    let mut stream = vec![0, 0, 0, 20, 0, 0, 0x70, 0x0c, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0];
    stream.extend_from_slice(requests);
    let whole = (stream.len(), 1 << 16);
    let cut = (usize::from(*chunk).max(1), usize::from(*room).max(1));
    let patience = Duration::from_secs(1);
    let want = talk(&mut Collector::<256, 2>::new(patience), &stream, whole);
    let mut taking = Collector::<256, 2, _>::with_memory(patience, vec![0; 1 << 16]);
    assert_eq!(talk(&mut taking, &stream, cut), want);
    let settings = Settings { pid: 1, announces_ready: false, patience };
    let want = talk(&mut Agent::<256>::new(settings), &stream, whole);
    let mut taking = Agent::<256, _>::with_memory(settings, vec![0; stream.len()]);
    assert_eq!(talk(&mut taking, &stream, cut), want);
    // With less memory more is refused, and whatever window it comes through, all of it is consumed or waited for.
    let little =
        |windows| talk(&mut Collector::<64, 1, _>::with_memory(patience, vec![0; 64]), &stream, windows);
    assert_eq!(little(cut), little(whole));
});

const PAGE: &str = "# TYPE a counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2\nb 3\n# PCP5 c.d 1.2.3 string PM_INDOM_NULL discrete none\nc_d text\n";

/// A source that is scraped when somebody asks, and one whose value can be stored.
fn store() -> (Store<Memory>, SourceId) {
    let mut store = Store::new(Memory::new(), 144, 1);
    store.set_root("o").unwrap();
    let source = store.add_source("s", "source=\"s\"", Some(1)).unwrap();
    let own = store.add_source("control", "", Some(0)).unwrap();
    let declaration = Declaration {
        name: "o.control.debug",
        help: "",
        kind: Type::U32,
        semantics: Semantics::INSTANT,
        units: Units::NONE,
        instances: Instances::One,
        item: Some(4),
        storable: true,
        aside: false,
    };
    let metric = store.declare(own, &declaration).unwrap();
    store.publish(metric, Instance::ONE, Published::Bits(0)).unwrap();
    (store, source)
}

/// What a role answers to a stream in such pieces, how often something was stored, and whether it ended that.
fn talk<R: Role<Memory>>(
    role: &mut R,
    stream: &[u8],
    (chunk, room): (usize, usize),
) -> (Vec<u8>, usize, bool) {
    let ((mut store, source), mut room) = (store(), vec![0; room]);
    let (mut out, mut consumed, mut arrived) = (Vec::new(), 0, 0);
    let (mut stored, mut ended) = (0, false);
    loop {
        let mut cx =
            Context { store: &mut store, now: Instant::START, wall: Timestamp { secs: 1, nanos: 2 } };
        let Ok(progress) = role.step(&mut cx, &stream[consumed..arrived], &mut room) else {
            ended = true;
            break;
        };
        assert!(progress.consumed <= arrived - consumed && progress.produced <= room.len());
        out.extend_from_slice(&room[..progress.produced]);
        consumed += progress.consumed;
        stored += std::iter::from_fn(|| store.stored()).count();
        if !progress.is_none() {
            continue;
        }
        assert!(!role.is_busy());
        if store.wanted(0).is_some() {
            store.begin(source);
            let mut document = Document::new(source, [0_u8; 160], Plain);
            document.feed(&mut store, PAGE.as_bytes(), &mut |_| {});
            document.finish(&mut store, &mut |_| {});
            store.commit(source, true, Instant::START);
        } else if arrived < stream.len() {
            arrived = stream.len().min(arrived + chunk);
        } else {
            break;
        }
    }
    (out, stored, ended)
}
