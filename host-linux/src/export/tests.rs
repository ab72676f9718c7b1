//! What a scrape asks and what comes of it, against a server that does whatever a test wants.
#![expect(clippy::arithmetic_side_effects, reason = "sums of small numbers")]

use std::collections::BTreeMap;
use std::rc::Rc;

use pmbridge_core::pcp::{Desc, InDom, Pmid, Semantics, Status, Type, Units, label};
use pmbridge_core::pdu::{Kind, desc, error, fetch, instance, label as labels, pmns, result, split, text};
use pmbridge_core::role::client::{Client, Settings};
use pmbridge_core::time::{Duration, Instant, Timestamp};
use pmbridge_core::wire::Writer;

use super::catalog::Value;
use super::gather::{Gather, Gathered};
use super::selection::{Matching, Selection};

/// What a name stands for.
#[derive(Clone)]
struct Metric {
    desc: Desc,
    text: &'static str,
    /// Instances and values, or a status.
    values: Result<Vec<(i32, u32)>, Status>,
}

/// A pmcd as a test wants it.
#[derive(Default)]
pub(super) struct Server {
    metrics: BTreeMap<&'static str, Metric>,
    names: BTreeMap<Pmid, &'static str>,
    instances: BTreeMap<u32, Vec<(i32, &'static str)>>,
    /// JSON by level, whose, and instance.
    labels: BTreeMap<(u32, u32), Vec<(i32, &'static str)>>,
    /// Told before the next values.
    state: i32,
    /// Statuses of questions that are refused: the kind and, for a traversal or a name, the name; `*` for any.
    refuses: BTreeMap<(u32, &'static str), Status>,
    /// Domains whose agent is not there: no descriptors.
    absent: Vec<u16>,
    /// What was asked since a test looked last.
    pub(super) asked: Vec<Kind>,
}

fn pdu(emit: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut counter = Writer::counter();
    emit(&mut counter);
    let mut bytes = vec![0; counter.total()];
    emit(&mut Writer::new(&mut bytes));
    bytes
}

fn refusal(status: Status) -> Vec<u8> {
    pdu(|w| error::Report { status }.emit(0, w))
}

fn names_pdu(names: &[String]) -> Vec<u8> {
    let len = names.iter().map(|name| pmns::Name::len(name.len(), false)).sum::<u32>() + pmns::NamesHead::LEN;
    let strings = names.iter().map(|name| pmns::string_len(name.len())).sum();
    let count = i32::try_from(names.len()).unwrap();
    pdu(|w| {
        pmns::NamesHead { len, strings, statuses: 0, count }.emit(0, w);
        names.iter().for_each(|name| pmns::Name { status: None, name: name.as_bytes() }.emit(w));
    })
}

impl Server {
    fn metric(&mut self, name: &'static str, pmid: Pmid, indom: InDom, values: &[(i32, u32)]) {
        let desc = Desc { pmid, kind: Type::U32, indom, semantics: Semantics::INSTANT, units: Units::NONE };
        self.names.entry(pmid).or_insert(name);
        self.metrics.insert(name, Metric { desc, text: name, values: Ok(values.to_vec()) });
    }

    fn values(&mut self, name: &str, values: &[(i32, u32)]) {
        self.metrics.get_mut(name).unwrap().values = Ok(values.to_vec());
    }

    fn by_id(&self, pmid: Pmid) -> Option<&Metric> {
        self.metrics.get(self.names.get(&pmid)?)
    }

    fn refused(&self, kind: Kind, name: &str) -> Option<Vec<u8>> {
        let found = self.refuses.iter().find(|((of, which), _)| *of == kind.0 && *which == name);
        found.map(|(_, status)| refusal(*status))
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let (header, body, _) = split(request).unwrap().unwrap();
        self.asked.push(header.kind);
        if let Some(refused) = self.refused(header.kind, "*") {
            return refused;
        }
        match header.kind {
            Kind::PMNS_TRAVERSE | Kind::PMNS_CHILD => self.tree(header.kind, body),
            Kind::PMNS_NAMES => self.numbers(body),
            Kind::DESC_IDS => {
                let asked = desc::DescIds::parse(body).unwrap();
                let describe = |pmid: Pmid| {
                    self.by_id(pmid)
                        .filter(|_| !self.absent.contains(&pmid.domain()))
                        .map(|metric| metric.desc)
                };
                let descs: Vec<_> = asked.pmids.iter().map(describe).collect();
                if descs == [None] {
                    return refusal(Status::NOAGENT);
                }
                pdu(|w| {
                    desc::Head { count: u32::try_from(descs.len()).unwrap() }.emit(0, w);
                    descs.iter().for_each(|one| desc::emit_desc(one.as_ref(), w));
                })
            }
            Kind::TEXT_REQ => {
                let asked = text::Request::parse(body).unwrap();
                match self.by_id(Pmid::from_bits(asked.ident)) {
                    Some(metric) => {
                        pdu(|w| text::Text { ident: asked.ident, text: metric.text.as_bytes() }.emit(0, w))
                    }
                    None => refusal(Status::TEXT),
                }
            }
            Kind::INSTANCE_REQ => {
                let indom = instance::Request::parse(body).unwrap().indom;
                let Some(all) = self.instances.get(&indom.to_bits()) else { return refusal(Status::INDOM) };
                let len = all.iter().map(|(_, name)| instance::Entry::len(name.len())).sum::<u32>();
                let count = u32::try_from(all.len()).unwrap();
                pdu(|w| {
                    instance::Head { len: len + instance::Head::LEN, indom, count }.emit(0, w);
                    for (inst, name) in all {
                        instance::Entry { inst: *inst, name: name.as_bytes() }.emit(w);
                    }
                })
            }
            Kind::LABEL_REQ => self.sets(body),
            Kind::HIGHRES_FETCH => self.fetch(body),
            kind => panic!("{kind}"),
        }
    }

    fn tree(&self, kind: Kind, body: &[u8]) -> Vec<u8> {
        let asked = if kind == Kind::PMNS_CHILD {
            pmns::Child::parse(body).unwrap().name
        } else {
            pmns::Traverse::parse(body).unwrap().name
        };
        let asked = str::from_utf8(asked).unwrap();
        if let Some(refused) = self.refused(kind, asked) {
            return refused;
        }
        let below: Vec<_> = self
            .metrics
            .keys()
            .filter_map(|name| {
                if asked.is_empty() {
                    return Some(*name);
                }
                name.strip_prefix(asked)?.strip_prefix('.')
            })
            .collect();
        if kind == Kind::PMNS_CHILD {
            let mut children: Vec<_> =
                below.iter().map(|name| name.split('.').next().unwrap().to_string()).collect();
            children.dedup();
            return names_pdu(&children);
        }
        let whole =
            |name: &&str| *name == asked || asked.is_empty() || name.starts_with(&format!("{asked}."));
        names_pdu(
            &self.metrics.keys().filter(|name| whole(name)).map(|name| name.to_string()).collect::<Vec<_>>(),
        )
    }

    fn numbers(&self, body: &[u8]) -> Vec<u8> {
        let names = pmns::Names::parse(body).unwrap();
        let names: Vec<_> = names.iter().map(|name| str::from_utf8(name.name).unwrap()).collect();
        for name in &names {
            if let Some(refused) = self.refused(Kind::PMNS_NAMES, name) {
                return refused;
            }
        }
        let pmid = |name: &&str| self.metrics.get(name).map_or(Pmid::NULL, |metric| metric.desc.pmid);
        let ids: Vec<_> = names.iter().flat_map(|name| pmid(name).to_bits().to_be_bytes()).collect();
        pdu(|w| {
            pmns::IdsHead { kind: Kind::PMNS_IDS, status: 0, count: u32::try_from(names.len()).unwrap() }
                .emit(0, w);
            w.bytes(&ids);
        })
    }

    fn sets(&self, body: &[u8]) -> Vec<u8> {
        let labels::Request { ident, kind } = labels::Request::parse(body).unwrap();
        let sets = self.labels.get(&(kind, ident)).cloned().unwrap_or_default();
        let json: u32 = sets.iter().map(|(_, json)| u32::try_from(json.len()).unwrap()).sum();
        let count = u32::try_from(sets.len()).unwrap();
        // Only the name of an agent is looked up by the index; all else is read from the JSON.
        let agent = sets.first().filter(|(_, json)| json.starts_with(r#"{"agent":""#)).map(|(_, json)| {
            labels::Index {
                name_at: 2,
                name_len: 5,
                flags: label::flag(kind),
                value_at: 9,
                value_len: u16::try_from(json.len()).unwrap() - 10,
            }
        });
        let indexed = u32::from(agent.is_some());
        let heads = labels::Head::LEN + count * labels::Set::len(indexed);
        pdu(|w| {
            labels::Head { len: heads + json, ident, kind, sets: count }.emit(0, w);
            let mut json_offset = heads;
            for (inst, json) in &sets {
                let json_len = u32::try_from(json.len()).unwrap();
                labels::Set { inst: *inst, labels: indexed.cast_signed(), json_offset, json_len }.emit(w);
                agent.iter().for_each(|index| index.emit(w));
                json_offset += json_len;
            }
            sets.iter().for_each(|(_, json)| w.bytes(json.as_bytes()));
        })
    }

    fn fetch(&mut self, body: &[u8]) -> Vec<u8> {
        let asked = fetch::Fetch::parse(Kind::HIGHRES_FETCH, body).unwrap();
        let sets: Vec<_> = asked
            .pmids
            .iter()
            .map(|pmid| {
                let values = self.by_id(pmid).map_or(Err(Status::PMID), |metric| metric.values.clone());
                (pmid, values)
            })
            .collect();
        let kind = Kind::HIGHRES_RESULT;
        let words = |values: &Result<Vec<_>, _>| {
            result::ValueSet::words(values.as_ref().map_or(0, |values| u32::try_from(values.len()).unwrap()))
        };
        let len = 4 * (result::Head::words(kind) + sets.iter().map(|(_, values)| words(values)).sum::<u32>());
        let time = Timestamp { secs: 1_700_000_000, nanos: 5 };
        let values = pdu(|w| {
            result::Head { kind, len, time, metrics: u32::try_from(sets.len()).unwrap() }.emit(0, w);
            for (pmid, values) in &sets {
                let count = values.as_ref().map_or_else(|s| s.0, |v| i32::try_from(v.len()).unwrap());
                let format = (count > 0).then_some(result::IN_SITU);
                result::ValueSet { pmid: *pmid, count, format }.emit(w);
                for (inst, word) in values.iter().flatten() {
                    result::Value { inst: *inst, word: *word }.emit(w);
                }
            }
        });
        let state = std::mem::take(&mut self.state);
        if state == 0 { values } else { [refusal(Status(state)), values].concat() }
    }
}

/// A server, and who asks it.
struct Talk {
    server: Server,
    gather: Gather,
    client: Client,
    now: u64,
}

impl Talk {
    fn new(server: Server) -> Self {
        let settings = Settings { pid: 1, patience: Duration::from_secs(5), max_answer: 1 << 20 };
        let (mut gather, mut client) = (Gather::new(), Client::new(settings));
        let challenge = [0, 0, 0, 20, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0x0e, 0];
        client.step(&mut gather, &challenge, &mut [0; 64], Instant::START).unwrap();
        Self { server, gather, client, now: 0 }
    }

    fn scrape(&mut self, names: &[&str]) -> Gathered {
        self.scrape_but(names, &[])
    }

    fn scrape_but(&mut self, names: &[&str], patterns: &[&str]) -> Gathered {
        let names = names.iter().map(|name| (*name).to_string()).collect();
        let patterns = patterns.iter().map(|pattern| (Matching::Glob, (*pattern).to_string())).collect();
        let selection = Rc::new(Selection::new(names, patterns).unwrap());
        self.server.asked.clear();
        self.gather.begin(&selection, Instant::from_millis(self.now));
        let (mut input, mut said, mut output) = (Vec::new(), Vec::new(), vec![0; 1 << 16]);
        loop {
            if let Some(gathered) = self.gather.gathered() {
                return gathered;
            }
            let now = Instant::from_millis(self.now);
            let progress = self.client.step(&mut self.gather, &input, &mut output, now).unwrap();
            input.drain(..progress.consumed);
            said.extend_from_slice(&output[..progress.produced]);
            assert!(progress.consumed > 0 || progress.produced > 0 || !self.client.is_busy(), "stuck");
            while let Some((_, _, len)) = split(&said).unwrap() {
                let asked: Vec<u8> = said.drain(..len).collect();
                assert!(asked.len() <= 1 << 16, "more than pmcd takes");
                input.extend(self.server.answer(&asked));
            }
        }
    }

    /// The series of the metrics that a scrape selected, as a page would have them.
    fn page(&mut self, names: &[&str]) -> Vec<String> {
        let gathered = self.scrape(names);
        assert!(gathered.time.is_ok());
        let catalog = &self.gather.catalog;
        let mut lines = Vec::new();
        for place in gathered.places.iter() {
            for series in catalog.series(*place) {
                let Value::U64(value) = series.value else { panic!("{series:?}") };
                lines.push(format!(
                    "{}{{{}}} {value}",
                    catalog.metrics()[*place].name,
                    series.labels.in_naming(pmbridge_core::mapping::export::Naming::Pcp)
                ));
            }
        }
        lines
    }

    fn asked(&self, kind: Kind) -> usize {
        self.server.asked.iter().filter(|asked| **asked == kind).count()
    }
}

const fn id(domain: u16, item: u16) -> Pmid {
    Pmid::new(domain, 1, item).unwrap()
}

const DISKS: InDom = InDom::new(60, 1).unwrap();

/// Two disks, a singular metric, one of another agent, and a name that is another's.
pub(super) fn server() -> Server {
    let mut server = Server::default();
    server.metric("disk.read", id(60, 1), DISKS, &[(0, 10), (1, 11)]);
    server.metric("disk.write", id(60, 2), DISKS, &[(0, 20), (1, 21)]);
    server.metric("load", id(60, 3), InDom::NULL, &[(-1, 3)]);
    server.metric("other.load", id(60, 3), InDom::NULL, &[(-1, 3)]);
    server.metric("sample.one", id(29, 1), InDom::NULL, &[(-1, 1)]);
    server.instances.insert(DISKS.to_bits(), vec![(0, "sda"), (1, "sdb")]);
    server.labels.insert((label::CONTEXT, u32::MAX), vec![(-1, r#"{"hostname":"vm"}"#)]);
    server.labels.insert((label::DOMAIN, 60), vec![(-1, r#"{"agent":"linux"}"#)]);
    server.labels.insert((label::INSTANCES, DISKS.to_bits()), vec![(1, r#"{"slow":true}"#)]);
    server
}

const DISK_PAGE: [&str; 4] = [
    r#"disk.read{agent="linux",hostname="vm",instid="0",instname="sda"} 10"#,
    r#"disk.read{agent="linux",hostname="vm",instid="1",instname="sdb",slow="true"} 11"#,
    r#"disk.write{agent="linux",hostname="vm",instid="0",instname="sda"} 20"#,
    r#"disk.write{agent="linux",hostname="vm",instid="1",instname="sdb",slow="true"} 21"#,
];

#[test]
fn after_the_first_a_scrape_is_one_question() {
    let mut talk = Talk::new(server());
    let first = talk.page(&[]);
    assert_eq!(first[..4], DISK_PAGE);
    assert_eq!(
        first[4..],
        [
            r#"load{agent="linux",hostname="vm"} 3"#,
            r#"other.load{agent="linux",hostname="vm"} 3"#,
            r#"sample.one{hostname="vm"} 1"#
        ]
    );
    for _ in 0..3 {
        assert_eq!(talk.page(&[]), first);
        assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
    }
    talk.server.values("disk.read", &[(0, 12), (1, 13)]);
    assert!(talk.page(&["disk.read"])[1].ends_with(" 13"));
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH], "what is known is known for every selection");
}

#[test]
fn only_what_is_wanted_is_asked_for() {
    let mut talk = Talk::new(server());
    assert_eq!(talk.page(&["sample", "nothing"]), [r#"sample.one{hostname="vm"} 1"#]);
    assert_eq!((talk.asked(Kind::TEXT_REQ), talk.asked(Kind::INSTANCE_REQ)), (1, 0));
    let gathered = talk.scrape(&["sample", "nothing"]);
    assert_eq!(*gathered.unknown, [1]);
    let gathered = talk.scrape_but(&["disk"], &["*.write"]);
    assert_eq!(gathered.places.len(), 1);
}

#[test]
fn a_number_of_two_names_is_fetched_once() {
    let mut talk = Talk::new(server());
    talk.page(&["load", "other"]);
    assert_eq!((talk.asked(Kind::TEXT_REQ), talk.asked(Kind::DESC_IDS)), (1, 1));
    let catalog = &talk.gather.catalog;
    let [first, second] = ["load", "other.load"]
        .map(|name| catalog.metrics().iter().position(|metric| &*metric.name == name).unwrap());
    assert_eq!(catalog.series(first), catalog.series(second));
    assert_eq!(catalog.metrics()[second].desc, catalog.metrics()[first].desc);
    assert_eq!(catalog.metrics()[second].oneline, catalog.metrics()[first].oneline);
}

#[test]
fn instances_that_come_are_named_and_those_that_go_are_dropped() {
    let mut talk = Talk::new(server());
    talk.page(&["disk"]);
    talk.server.values("disk.read", &[(2, 12), (0, 10)]);
    talk.server.instances.insert(DISKS.to_bits(), vec![(0, "sda"), (2, "sdc")]);
    let page = talk.page(&["disk.read"]);
    assert_eq!(page[0], r#"disk.read{agent="linux",hostname="vm",instid="2",instname="sdc"} 12"#);
    assert_eq!((page.len(), page[1].as_str()), (2, DISK_PAGE[0]));
    assert_eq!((talk.asked(Kind::INSTANCE_REQ), talk.asked(Kind::LABEL_REQ)), (1, 1));
    talk.page(&["disk.read"]);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
}

#[test]
fn instances_in_another_order_are_those_that_they_were() {
    let mut talk = Talk::new(server());
    talk.page(&["disk"]);
    talk.server.values("disk.read", &[(1, 11), (0, 10)]);
    let page = talk.page(&["disk.read"]);
    assert_eq!((page[0].as_str(), page[1].as_str()), (DISK_PAGE[1], DISK_PAGE[0]));
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
}

#[test]
fn an_instance_that_nobody_can_name_is_not_shown() {
    let mut talk = Talk::new(server());
    talk.server.values("disk.read", &[(0, 10), (7, 17), (0, 99)]);
    assert_eq!(talk.page(&["disk"]), [DISK_PAGE[0], DISK_PAGE[2], DISK_PAGE[3]]);
}

#[test]
fn an_instance_with_another_name_is_noticed_when_instances_change() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    talk.server.instances.insert(DISKS.to_bits(), vec![(0, "vda"), (1, "sdb")]);
    talk.server.labels.insert((label::INSTANCES, DISKS.to_bits()), vec![]);
    talk.server.values("disk.read", &[(0, 10)]);
    assert_eq!(
        talk.page(&["disk"]),
        [
            r#"disk.read{agent="linux",hostname="vm",instid="0",instname="vda"} 10"#,
            r#"disk.write{agent="linux",hostname="vm",instid="0",instname="vda"} 20"#,
            r#"disk.write{agent="linux",hostname="vm",instid="1",instname="sdb"} 21"#
        ]
    );
}

#[test]
fn an_instance_with_another_name_and_nothing_else_is_noticed_within_a_minute() {
    let mut talk = Talk::new(server());
    talk.page(&["disk"]);
    talk.server.instances.insert(DISKS.to_bits(), vec![(0, "vda"), (1, "sdb")]);
    talk.server.labels.insert((label::INSTANCES, DISKS.to_bits()), vec![(1, r#"{"slow":false}"#)]);
    talk.now = 59_999;
    assert_eq!(talk.page(&["disk"]), DISK_PAGE);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
    talk.now = 60_000;
    let renamed = [
        r#"disk.read{agent="linux",hostname="vm",instid="0",instname="vda"} 10"#,
        r#"disk.read{agent="linux",hostname="vm",instid="1",instname="sdb",slow="false"} 11"#,
        r#"disk.write{agent="linux",hostname="vm",instid="0",instname="vda"} 20"#,
        r#"disk.write{agent="linux",hostname="vm",instid="1",instname="sdb",slow="false"} 21"#,
    ];
    assert_eq!(talk.page(&["disk"]), renamed);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH, Kind::INSTANCE_REQ, Kind::LABEL_REQ]);
    talk.now = 119_999;
    assert_eq!(talk.page(&["disk"]), renamed);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
}

#[test]
fn instances_that_are_read_again_and_the_same_cost_no_text() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    let (epoch, misses) = (talk.gather.catalog.epoch(), talk.gather.catalog.stats().misses);
    talk.now = 60_000;
    talk.page(&["load"]);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH], "only what is shown is read again");
    assert_eq!(talk.page(&["disk"]), DISK_PAGE);
    assert_eq!(talk.asked(Kind::INSTANCE_REQ), 1);
    assert_eq!((talk.gather.catalog.epoch(), talk.gather.catalog.stats().misses), (epoch, misses));
}

#[test]
fn instances_that_cannot_be_read_again_are_what_they_were() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    talk.server.refuses.insert((Kind::INSTANCE_REQ.0, "*"), Status::AGAIN);
    talk.server.refuses.insert((Kind::LABEL_REQ.0, "*"), Status::AGAIN);
    talk.now = 60_000;
    assert_eq!(talk.page(&["disk"]), DISK_PAGE);
    assert_eq!((talk.asked(Kind::INSTANCE_REQ), talk.asked(Kind::LABEL_REQ)), (1, 1));
}

#[test]
fn instances_are_told_apart_whatever_their_labels_are_called() {
    let mut server = server();
    let fake = r#"{"instid":"x","instname":"fake"}"#;
    server.labels.insert((label::CONTEXT, u32::MAX), vec![(-1, fake)]);
    for (level, ident) in [
        (label::DOMAIN, 60),
        (label::INDOM, DISKS.to_bits()),
        (label::CLUSTER, id(60, 0).to_bits()),
        (label::ITEM, id(60, 1).to_bits()),
    ] {
        server.labels.insert((level, ident), vec![(-1, fake)]);
    }
    let better = vec![(0, fake), (1, r#"{"instname":"better"}"#)];
    let mut talk = Talk::new(server);
    assert_eq!(talk.page(&["load"]), [r#"load{instid="x",instname="fake"} 3"#]);
    let page = [
        r#"disk.read{instid="0",instname="sda"} 10"#,
        r#"disk.read{instid="1",instname="sdb",slow="true"} 11"#,
    ];
    assert_eq!(talk.page(&["disk.read"]), page);
    talk.server.labels.insert((label::INSTANCES, DISKS.to_bits()), better);
    talk.server.state = Status::LABEL_CHANGE.0;
    let page =
        [r#"disk.read{instid="0",instname="fake"} 10"#, r#"disk.read{instid="1",instname="better"} 11"#];
    assert_eq!(talk.page(&["disk.read"]), page);
}

#[test]
fn a_metric_that_fails_costs_itself_only() {
    let mut talk = Talk::new(server());
    for status in [Status::NOAGENT, Status::AGAIN, Status::PMID, Status::PERMISSION, Status(-5)] {
        talk.server.metrics.get_mut("disk.read").unwrap().values = Err(status);
        assert_eq!(talk.page(&["disk"]), DISK_PAGE[2..]);
        let read = talk.gather.catalog.metrics().iter().find(|metric| &*metric.name == "disk.read").unwrap();
        assert_eq!(read.status, Some(status));
    }
    let agents = talk.gather.catalog.agents();
    assert_eq!((agents[&60].name.as_str(), agents[&60].is_up, agents[&60].errors), ("linux", true, 5));
    talk.server.values("disk.read", &[(0, 10), (1, 11)]);
    assert_eq!(talk.page(&["disk"]), DISK_PAGE);
}

#[test]
fn an_agent_is_down_when_none_of_its_metrics_answers() {
    let mut talk = Talk::new(server());
    let up = |talk: &Talk| talk.gather.catalog.agents().values().map(|agent| agent.is_up).collect::<Vec<_>>();
    // The second is what pmcd says when it finds that an agent has died.
    for status in [Status::NOAGENT, Status(-32)] {
        talk.server.metrics.get_mut("sample.one").unwrap().values = Err(status);
        talk.page(&[]);
        assert_eq!(up(&talk), [false, true]);
        talk.server.values("sample.one", &[(-1, 1)]);
        talk.page(&[]);
        assert_eq!(up(&talk), [true, true]);
    }
    talk.server.metrics.get_mut("sample.one").unwrap().values = Err(Status::PERMISSION);
    talk.page(&[]);
    assert_eq!(up(&talk), [true, true]);
}

#[test]
fn what_cannot_be_described_is_asked_again_later_and_ever_less_often() {
    let mut talk = Talk::new(server());
    talk.server.absent = vec![29];
    assert_eq!(talk.page(&["sample"]), [""; 0]);
    assert!(!talk.gather.catalog.agents()[&29].is_up);
    let mut times = Vec::new();
    while talk.now < 30_000 {
        talk.now += 1000;
        talk.page(&["sample", "load"]);
        if talk.asked(Kind::DESC_IDS) > 0 {
            times.push(talk.now / 1000);
        }
    }
    assert_eq!(times, [1, 2, 4, 8, 13, 18, 23, 28]);
    talk.server.absent.clear();
    talk.now += 60_000;
    assert_eq!(talk.page(&["sample"]), [r#"sample.one{hostname="vm"} 1"#]);
}

#[test]
fn names_that_select_nothing_are_looked_for_ever_less_often_whoever_else_asks() {
    let mut talk = Talk::new(server());
    let mut times = Vec::new();
    for _ in 0..200 {
        talk.page(&["load"]);
        talk.page(&["nothing"]);
        if talk.now > 0 && talk.asked(Kind::PMNS_TRAVERSE) > 0 {
            times.push(talk.now / 1000);
        }
        talk.page(&["neither"]);
        talk.now += 1000;
    }
    assert_eq!(times, [1, 3, 7, 15, 31, 63, 123, 183]);
    talk.server.metric("nothing.at.all", id(60, 8), InDom::NULL, &[(-1, 7)]);
    talk.now += 60_000;
    assert_eq!(talk.page(&["nothing"]).len(), 1);
}

#[test]
fn an_agent_that_comes_is_in_the_page_that_first_heard_of_it() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    talk.server.metric("new.one", id(70, 1), InDom::NULL, &[(-1, 7)]);
    talk.server.state = Status::ADD_AGENT.0;
    assert_eq!(talk.page(&[]).len(), 8);
    assert_eq!((talk.asked(Kind::PMNS_TRAVERSE), talk.asked(Kind::HIGHRES_FETCH)), (1, 2));
    talk.page(&[]);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH]);
}

#[test]
fn names_that_change_keep_what_is_known_of_the_others() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    talk.server.metrics.remove("sample.one");
    talk.server.metric("a.one", id(29, 2), InDom::NULL, &[(-1, 9)]);
    talk.server.state = Status::NAMES_CHANGE.0;
    let page = talk.page(&[]);
    assert_eq!((page[0].as_str(), page.len()), (r#"a.one{hostname="vm"} 9"#, 7));
    assert_eq!((talk.asked(Kind::TEXT_REQ), talk.asked(Kind::INSTANCE_REQ)), (1, 0));
}

#[test]
fn a_name_that_gets_another_number_or_type_is_told_anew() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    let epoch = talk.gather.catalog.epoch();
    talk.server.metric("disk.read", id(60, 9), InDom::NULL, &[(-1, 5)]);
    talk.server.metrics.get_mut("disk.write").unwrap().desc.semantics = Semantics::COUNTER;
    talk.server.state = Status::NAMES_CHANGE.0;
    assert_eq!(talk.page(&["disk"])[0], r#"disk.read{agent="linux",hostname="vm"} 5"#);
    assert_ne!(talk.gather.catalog.epoch(), epoch);
    let write = talk.gather.catalog.metrics().iter().find(|metric| &*metric.name == "disk.write").unwrap();
    assert_eq!(write.desc.unwrap().semantics, Semantics::COUNTER);
}

#[test]
fn labels_that_change_are_in_the_page_that_first_heard_of_it() {
    let mut talk = Talk::new(server());
    talk.page(&["load"]);
    talk.server.labels.insert((label::CONTEXT, u32::MAX), vec![(-1, r#"{"hostname":"new"}"#)]);
    talk.server.state = Status::LABEL_CHANGE.0;
    assert_eq!(talk.page(&["load"]), [r#"load{agent="linux",hostname="new"} 3"#]);
    assert_eq!(talk.asked(Kind::PMNS_TRAVERSE), 0);
}

#[test]
fn how_pmcd_is_reached_makes_no_series_another() {
    for (is_local, want) in [
        (false, r#"load{agent="linux",groupid="1",hostname="vm",userid="1"} 3"#),
        (true, r#"load{agent="linux",hostname="vm"} 3"#),
    ] {
        let mut server = server();
        let context = r#"{"groupid":1,"hostname":"vm","userid":1}"#;
        server.labels.insert((label::CONTEXT, u32::MAX), vec![(-1, context)]);
        let mut talk = Talk::new(server);
        talk.gather.connect(is_local);
        assert_eq!(talk.page(&["load"]), [want]);
        let cluster = (label::CLUSTER, id(60, 0).to_bits());
        talk.server.labels.insert(cluster, vec![(-1, r#"{"userid":7}"#)]);
        talk.server.state = Status::LABEL_CHANGE.0;
        assert!(talk.page(&["load"])[0].contains(r#"userid="7""#), "of processes, say");
    }
}

#[test]
fn a_server_that_tells_of_changes_at_every_fetch_is_asked_twice_a_scrape_at_most() {
    let mut talk = Talk::new(server());
    for _ in 0..5 {
        talk.server.state = 0x1f;
        talk.scrape(&[]);
        assert!(talk.asked(Kind::HIGHRES_FETCH) <= 2 && talk.asked(Kind::PMNS_TRAVERSE) <= 2);
    }
}

#[test]
fn an_agent_that_is_not_ready_hides_its_own_names_only() {
    let mut talk = Talk::new(server());
    for name in ["", "sample", "sample.one"] {
        talk.server.refuses.insert((Kind::PMNS_TRAVERSE.0, name), Status::AGAIN);
    }
    talk.server.refuses.insert((Kind::PMNS_CHILD.0, "sample"), Status::AGAIN);
    assert_eq!(talk.page(&[]).len(), 6);
    talk.page(&[]);
    talk.server.refuses.clear();
    talk.now += 2000;
    assert_eq!(talk.page(&[]).len(), 7);
}

#[test]
fn a_name_that_spoils_a_lookup_is_found_by_halving() {
    let mut talk = Talk::new(server());
    talk.server.refuses.insert((Kind::PMNS_NAMES.0, "load"), Status::AGAIN);
    assert_eq!(talk.page(&[]).len(), 6);
    assert!(talk.asked(Kind::PMNS_NAMES) > 1);
    talk.server.refuses.clear();
    talk.now += 2000;
    assert_eq!(talk.page(&[]).len(), 7);
}

#[test]
fn a_root_that_turns_out_to_have_names_is_read_again_at_once() {
    let mut talk = Talk::new(server());
    talk.server.metric("dyn", Pmid::NULL, InDom::NULL, &[]);
    talk.server.refuses.insert((Kind::PMNS_NAMES.0, "dyn"), Status::AGAIN);
    assert_eq!(talk.page(&[]).len(), 7);
    talk.server.refuses.insert((Kind::PMNS_NAMES.0, "dyn"), Status::NONLEAF);
    talk.now += 2000;
    talk.server.metric("dyn.one", id(80, 1), InDom::NULL, &[(-1, 8)]);
    assert_eq!(talk.page(&[]).len(), 8);
}

#[test]
fn a_connection_that_is_another_begins_from_the_start() {
    let mut talk = Talk::new(server());
    let page = talk.page(&[]);
    talk.gather.reset();
    assert_eq!(talk.page(&[]), page);
    assert_eq!(talk.asked(Kind::PMNS_TRAVERSE), 1);
}

#[test]
fn a_server_without_metrics_has_an_empty_page() {
    let mut talk = Talk::new(Server::default());
    assert_eq!(talk.page(&[]), [""; 0]);
    assert_eq!(talk.asked(Kind::HIGHRES_FETCH), 0);
}

#[test]
fn more_metrics_than_fit_one_question_are_of_one_time() {
    let mut server = Server::default();
    for n in 0..17_000_u16 {
        let pmid = Pmid::new(60, n / 1000, n % 1000).unwrap();
        server.metric(Box::leak(format!("m{n:05}").into()), pmid, InDom::NULL, &[(-1, n.into())]);
    }
    let mut talk = Talk::new(server);
    let page = talk.page(&[]);
    assert_eq!((page.len(), page[16_999].as_str()), (17_000, "m16999{} 16999"));
    assert_eq!(talk.page(&[]), page);
    assert_eq!(talk.server.asked, [Kind::HIGHRES_FETCH; 2]);
}

#[test]
fn an_agent_whose_names_are_gone_is_down() {
    let mut talk = Talk::new(server());
    talk.page(&[]);
    talk.server.metrics.remove("sample.one");
    talk.server.state = Status::NAMES_CHANGE.0;
    talk.page(&[]);
    assert!(!talk.gather.catalog.agents()[&29].is_up && talk.gather.catalog.agents()[&60].is_up);
    talk.gather.reset();
    talk.page(&[]);
    assert_eq!(talk.gather.catalog.agents().len(), 1);
}
