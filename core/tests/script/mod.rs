//! The script of a conversation: documents, requests, and what the answers say.

use core::fmt::Debug;

use pmbridge_core::{
    mapping::Plain,
    pcp::{InDom, Pmid, Status},
    pdu::{
        Kind, Pmids, creds, desc, error, fetch, instance, label, pmns,
        result::{self, Results},
        split, text,
    },
    role::{
        Context, Role,
        agent::{Agent, Settings},
        collector::Collector,
        document::{Document, Refused},
    },
    store::{Fixed, SourceId, Storage, Store},
    time::{Duration, Instant, Timestamp},
    wire::Writer,
};

pub(crate) const CPU: &str = r#"# HELP cpu_seconds_total Seconds the CPUs spent.\nIn each mode.
# TYPE cpu_seconds_total counter
cpu_seconds_total{cpu="0",mode="idle"} 12.5
cpu_seconds_total{cpu="0",mode="user"} 1.7976931348623157e308
cpu_seconds_total{mode="idle",cpu="1"} -0

# TYPE temp gauge
temp 36.6
# PCP5 app.size 60.0.9 u64 60.1 instant byte
app_size{instname="/tmp \"x\"",zone="a\nb"} 18446744073709551615
app_size{instname="/var"} 1
# PCP5 app.name 60.0.10 string PM_INDOM_NULL discrete none
app_name forty-two
# PCP5 app.delta 60.0.11 32 PM_INDOM_NULL instant count
app_delta -7
# PCP5 app.ratio 60.0.12 float PM_INDOM_NULL instant none
app_ratio 0.5
"#;
pub(crate) const OTHER: &str = "up 1\nlast{a=\"b\"} 2";
pub(crate) const DOMAIN: u16 = 144;
pub(crate) const CPU_INDOM: u32 = 4096 + 1024;
pub(crate) const WALL: Timestamp = Timestamp { secs: 1_700_000_000, nanos: 123_456_789 };
pub(crate) const PATIENCE: Duration = Duration::from_millis(2000);
pub(crate) const SETTINGS: Settings = Settings { pid: 7, announces_ready: false, patience: PATIENCE };

pub(crate) type Small = Fixed<4, 16, 32, 32, 256, 8192>;
pub(crate) type AnAgent = Agent<1024>;
pub(crate) type ACollector = Collector<1024, 4>;

pub(crate) fn pmid(cluster: u16, item: u16) -> Pmid {
    Pmid::new(DOMAIN, cluster, item).unwrap()
}

pub(crate) fn indom(item: u32) -> InDom {
    InDom::new(DOMAIN, CPU_INDOM + item).unwrap()
}

pub(crate) fn context<S>(store: &mut Store<S>, now: u64) -> Context<'_, S> {
    Context { store, now: Instant::from_millis(now), wall: WALL }
}

/// A store of two sources that were never scraped.
pub(crate) fn store<S: Storage>(storage: S) -> (Store<S>, [SourceId; 2]) {
    let mut store = Store::new(storage, DOMAIN, 0x5eed);
    store.set_root("openmetrics").unwrap();
    store.set_context(r#"hostname="here""#).unwrap();
    let cpu = store.add_source("cpu", r#"source="cpu",url="http://x:1/""#, Some(1)).unwrap();
    let other = store.add_source("other", r#"source="other""#, Some(2)).unwrap();
    (store, [cpu, other])
}

/// Scrapes: the text comes in pieces of that size. `None` is a scrape that failed.
pub(crate) fn scrape<S: Storage>(
    store: &mut Store<S>,
    source: SourceId,
    text: Option<&str>,
    piece: usize,
) -> (Vec<Refused>, u64) {
    let mut refused = Vec::new();
    store.begin(source);
    let mut document = Document::new(source, [0u8; 512], Plain);
    for piece in text.unwrap_or_default().as_bytes().chunks(piece) {
        document.feed(store, piece, &mut |r| refused.push(r));
    }
    document.finish(store, &mut |r| refused.push(r));
    let stats = *document.stats();
    store.commit(source, text.is_some(), Instant::START);
    assert_eq!((stats.refused, stats.first_refused), (refused.len() as u64, refused.first().copied()));
    (refused, stats.samples)
}

/// Holds a conversation to the end of the session, through windows of these sizes; `rest` is what happens when nothing
/// moves, and whether that may have changed something.
pub(crate) fn talk<S: Storage, R: Role<S>>(
    role: &mut R,
    store: &mut Store<S>,
    session: &[u8],
    (chunk, window): (usize, usize),
    rest: &mut dyn FnMut(&mut Store<S>) -> bool,
) -> Vec<u8>
where
    R::Error: Debug,
{
    let (mut out, mut room) = (Vec::new(), vec![0xaa; window]);
    let (mut consumed, mut arrived) = (0, 0);
    loop {
        let progress = role.step(&mut context(store, 0), &session[consumed..arrived], &mut room).unwrap();
        out.extend_from_slice(&room[..progress.produced]);
        consumed += progress.consumed;
        assert!(consumed <= arrived);
        if progress.is_none() && (role.is_busy() || !rest(store)) {
            assert!(!role.is_busy(), "a busy role goes on whenever there is room");
            if arrived == session.len() {
                assert_eq!(consumed, session.len());
                return out;
            }
            arrived = session.len().min(arrived + chunk);
        }
    }
}

/// Scrapes whatever is wanted.
pub(crate) fn serve<S: Storage>(
    docs: [(SourceId, &'static str); 2],
    piece: usize,
) -> impl FnMut(&mut Store<S>) -> bool {
    move |store| {
        let mut any = false;
        while let Some((source, _)) = store.wanted(0) {
            let (_, text) = docs.iter().find(|(id, _)| *id == source).unwrap();
            scrape(store, source, Some(text), piece);
            any = true;
        }
        any
    }
}

pub(crate) fn pdu(emit: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut counter = Writer::counter();
    emit(&mut counter);
    let mut bytes = vec![0; counter.total()];
    emit(&mut Writer::new(&mut bytes));
    bytes
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(crate) fn fetch_of(kind: Kind, pmids: &[Pmid]) -> Vec<u8> {
    let bytes = words(&pmids.iter().map(|pmid| pmid.to_bits()).collect::<Vec<_>>());
    pdu(|w| fetch::Fetch { kind, context: 0, pmids: Pmids::new(&bytes) }.emit(0, w))
}

pub(crate) fn names_of(names: &[&str]) -> Vec<u8> {
    let count = u32::try_from(names.len()).unwrap();
    let len = names.iter().fold(pmns::NamesHead::LEN, |sum, n| sum + pmns::Name::len(n.len(), false));
    let strings = names.iter().map(|n| pmns::string_len(n.len())).sum();
    pdu(|w| {
        pmns::NamesHead { len, strings, statuses: 0, count: count.cast_signed() }.emit(0, w);
        for name in names {
            pmns::Name { status: None, name: name.as_bytes() }.emit(w);
        }
    })
}

/// A profile that excludes these instances of a domain, or includes only them.
pub(crate) fn profile_of(indom: InDom, only: bool, insts: &[u32]) -> Vec<u8> {
    let count = u32::try_from(insts.len()).unwrap();
    let len = 28 + 16 + 4 * count;
    let head = [len, Kind::PROFILE.0, 0, 0, 0, 1, 0, indom.to_bits(), u32::from(only), count, 0];
    words(&[&head, insts].concat())
}

pub(crate) fn creds_pdu() -> Vec<u8> {
    pdu(|w| creds::Creds { version: 2, flags: creds::Features::NONE }.emit(99, w))
}

pub(crate) fn all_profile() -> Vec<u8> {
    words(&[28, Kind::PROFILE.0, 0, 0, 0, 0, 0])
}

pub(crate) fn traverse(name: &[u8]) -> Vec<u8> {
    pdu(|w| pmns::Traverse { name }.emit(0, w))
}

pub(crate) fn child(subtype: i32, name: &[u8]) -> Vec<u8> {
    pdu(|w| pmns::Child { subtype, name }.emit(0, w))
}

pub(crate) fn labels_request(ident: u32, kind: u32) -> Vec<u8> {
    pdu(|w| label::Request { ident, kind }.emit(0, w))
}

pub(crate) fn help_request(ident: u32, kind: u32) -> Vec<u8> {
    pdu(|w| text::Request { ident, kind }.emit(0, w))
}

pub(crate) fn instances_request(indom: InDom, inst: i32, name: &[u8]) -> Vec<u8> {
    pdu(|w| instance::Request { indom, inst, name }.emit(0, w))
}

/// Every metric of the two documents, in the order of their PMIDs.
pub(crate) fn metrics() -> Vec<Pmid> {
    (0..6).map(|item| pmid(1, item)).chain((0..2).map(|item| pmid(2, item))).collect()
}

/// What is asked, without the profile that only some requests have.
pub(crate) fn session() -> Vec<Vec<u8>> {
    let (cpu, temp) = (pmid(1, 0), pmid(1, 1));
    let desc_ids = words(&[cpu.to_bits(), temp.to_bits(), pmid(9, 9).to_bits(), pmid(1, 3).to_bits()]);
    let some = [pmid(1, 0), pmid(9, 9), Pmid::new(9, 0, 0).unwrap(), pmid(2, 0), pmid(1, 0)];
    vec![
        creds_pdu(),
        all_profile(),
        traverse(b""),
        traverse(b"openmetrics.cpu.app"),
        traverse(b"openmetrics.nobody"),
        names_of(&["openmetrics.cpu.temp"]),
        names_of(&["openmetrics.cpu"]),
        names_of(&["openmetrics.cpu.temp", "no.such", "openmetrics.other.up"]),
        child(0, b"openmetrics"),
        child(1, b"openmetrics.cpu"),
        child(1, b"no.such"),
        pdu(|w| pmns::Ids { status: 0, pmids: Pmids::new(&cpu.to_bits().to_be_bytes()) }.emit(0, w)),
        pdu(|w| desc::Request { pmid: cpu }.emit(0, w)),
        pdu(|w| desc::Request { pmid: pmid(9, 9) }.emit(0, w)),
        pdu(|w| desc::DescIds { status: -1, pmids: Pmids::new(&desc_ids) }.emit(0, w)),
        instances_request(indom(0), -1, b""),
        instances_request(indom(0), 1, b""),
        instances_request(indom(0), -1, b"2 cpu:1 mode:idle"),
        instances_request(indom(0), -1, b"0"),
        instances_request(indom(0), 17, b""),
        instances_request(indom(2), -1, b""),
        help_request(cpu.to_bits(), text::ONELINE | text::PMID),
        help_request(cpu.to_bits(), text::HELP | text::PMID),
        help_request(indom(0).to_bits(), text::HELP | text::INDOM),
        labels_request(u32::MAX, 1),
        labels_request(DOMAIN.into(), 2),
        labels_request(indom(0).to_bits(), 4),
        labels_request(cpu.to_bits(), 8),
        labels_request(temp.to_bits(), 16),
        labels_request(indom(2).to_bits(), 32),
        fetch_of(Kind::FETCH, &metrics()),
        fetch_of(Kind::HIGHRES_FETCH, &metrics()),
        fetch_of(Kind::FETCH, &some),
        profile_of(indom(0), false, &[1]),
        fetch_of(Kind::FETCH, &[cpu, temp]),
        profile_of(indom(0), true, &[1, 40]),
        fetch_of(Kind::FETCH, &[cpu, temp]),
        labels_request(indom(0).to_bits(), 32),
        words(&[24, Kind::RESULT.0, 0, 0, 0, 0]),
    ]
}

/// The session as a client has it: unknown kinds are refused, too.
pub(crate) fn client_session() -> Vec<u8> {
    let unknown = [words(&[12, 0x7fff, 0]), words(&[16, Kind::CONTROL_REQ.0, 0, 1])];
    [session(), unknown.to_vec(), vec![names_of(&["openmetrics.other.last"])]].concat().concat()
}

/// The session as pmcd has it: what wants no answer gets none, and what it never sends neither.
pub(crate) fn pmcd_session() -> Vec<u8> {
    let attr = words(&[20, Kind::ATTR.0, 0, 11, 0x3000_0000]);
    let silent =
        [attr, pdu(|w| error::Report { status: Status::TIMEOUT }.emit(0, w)), words(&[12, 0x7fff, 0])];
    [session(), silent.to_vec(), vec![names_of(&["openmetrics.other.last"])]].concat().concat()
}

pub(crate) fn pdus(mut bytes: &[u8]) -> Vec<(Kind, &[u8])> {
    let mut all = Vec::new();
    while let Some((header, body, len)) = split(bytes).unwrap() {
        all.push((header.kind, body));
        bytes = &bytes[len..];
    }
    assert_eq!(bytes, b"");
    all
}

pub(crate) fn refusal((kind, body): (Kind, &[u8])) -> Status {
    assert_eq!(kind, Kind::ERROR);
    error::Report::parse(body).unwrap().status
}

/// A metric, and its values or why it has none: instance, and its bits or its text.
pub(crate) type Fetched = (Pmid, Result<Vec<(i32, Vec<u8>)>, Status>);

/// An instance, its labels as JSON, and one by one.
pub(crate) type Labelled = (i32, String, Vec<(String, String)>);

/// Names with their status, in order.
pub(crate) fn told((kind, body): (Kind, &[u8])) -> Vec<(String, Option<i32>)> {
    assert_eq!(kind, Kind::PMNS_NAMES);
    let names = pmns::Names::parse(body).unwrap();
    names.iter().map(|n| (String::from_utf8(n.name.to_vec()).unwrap(), n.status)).collect()
}

pub(crate) fn values((kind, body): (Kind, &[u8])) -> Vec<Fetched> {
    let results = Results::parse(kind, body).unwrap();
    let value = |set: &result::Values<'_>, v: result::Value| {
        let bytes = if set.is_in_situ() {
            v.word.to_be_bytes().to_vec()
        } else {
            results.block(v.word).unwrap().bytes.to_vec()
        };
        (v.inst, bytes)
    };
    let set = |set: result::Values<'_>| {
        let status = set.head.count;
        (
            set.head.pmid,
            if status < 0 { Err(Status(status)) } else { Ok(set.values().map(|v| value(&set, v)).collect()) },
        )
    };
    results.iter().map(set).collect()
}

pub(crate) fn instances((kind, body): (Kind, &[u8])) -> Vec<(i32, String)> {
    assert_eq!(kind, Kind::INSTANCE);
    let all = instance::Instances::parse(body).unwrap();
    all.iter().map(|e| (e.inst, String::from_utf8(e.name.to_vec()).unwrap())).collect()
}

pub(crate) fn label_sets((kind, body): (Kind, &[u8])) -> Vec<Labelled> {
    assert_eq!(kind, Kind::LABEL);
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let all = label::Labels::parse(body).unwrap();
    all.iter()
        .map(|set| {
            let labels = set.iter().map(|l| (string(l.name), string(l.value))).collect();
            (set.inst(), string(set.json()), labels)
        })
        .collect()
}

pub(crate) fn double(value: f64) -> Vec<u8> {
    value.to_bits().to_be_bytes().to_vec()
}
