//! What the host publishes: ids that it chooses, values on demand, and values that clients store.

mod labelled;

use pmbridge_core::{
    pcp::{InDom, Pmid, Semantics, Status, Type, Units},
    pdu::{Kind, result::Results},
    role::{Role, collector::Collector},
    store::{
        Declaration, Full, Instance, Instances, Lent, MetricId, Parts, Published, Region, SourceId, Storage,
        Store, Stored,
    },
    time::Instant,
};

use crate::{
    growing::Growing,
    script::{
        ACollector, AnAgent, CPU, DOMAIN, OTHER, PATIENCE, SETTINGS, Small, all_profile, child, context,
        creds_pdu, fetch_of, instances, instances_request, label_sets, labels_request, pdus, pmid, refusal,
        scrape, serve, store, store_of, talk, told, traverse, values, words,
    },
};

fn declaration(name: &str, item: u16, kind: Type, instances: Instances) -> Declaration<'_> {
    Declaration {
        name,
        help: "",
        kind,
        semantics: Semantics::INSTANT,
        units: Units::NONE,
        instances,
        item: Some(item),
        storable: item == 4,
        aside: item > 6,
    }
}

/// A source of cluster 0 with two metrics that share a domain, and one to be stored.
fn control<S: Storage>(store: &mut Store<S>) -> (SourceId, [MetricId; 3]) {
    let own = store.add_source("control", "", Some(0)).unwrap();
    let declared = [
        ("openmetrics.control.calls", 1, Type::U64, Instances::Shared(0)),
        ("openmetrics.control.debug", 4, Type::U32, Instances::One),
        ("openmetrics.control.status", 5, Type::STRING, Instances::Shared(0)),
    ];
    let ids = declared.map(|(name, item, kind, instances)| {
        store.declare(own, &declaration(name, item, kind, instances)).unwrap()
    });
    (own, ids)
}

fn publish<S: Storage>(
    store: &mut Store<S>,
    [calls, debug, status]: [MetricId; 3],
    n: u64,
) -> Result<(), Full> {
    store.publish(debug, Instance::ONE, Published::Bits(0))?;
    for (id, name) in [(0, "control"), (2, "other"), (7, "x")] {
        store.publish(calls, Instance::numbered(id, name), Published::Bits(n))?;
        store.publish(status, Instance::numbered(id, name), Published::Text("success"))?;
    }
    Ok(())
}

const SHARED: u32 = (DOMAIN as u32) << 22;

#[test]
fn declared_metrics_share_a_domain_with_the_ids_that_they_were_given() {
    for storage in [true, false] {
        if storage { check_shared(Growing::default()) } else { check_shared(Small::new()) }
    }
}

fn check_shared<S: Storage>(storage: S) {
    let (mut store, sources) = store(storage);
    for source in sources {
        scrape(&mut store, source, Some(OTHER), 100);
    }
    let (_, ids) = control(&mut store);
    publish(&mut store, ids, 3).unwrap();
    let indom = InDom::from_bits(SHARED);
    let ask = |store: &mut Store<S>, request: Vec<u8>| {
        let session = [creds_pdu(), all_profile(), request].concat();
        talk(&mut ACollector::new(PATIENCE), store, &session, (999, 4096), &mut |_| false)[20..].to_vec()
    };
    let all = ask(&mut store, instances_request(indom, -1, b""));
    let want = [(0, "control"), (2, "other"), (7, "x")].map(|(id, name)| (id, name.to_owned()));
    assert_eq!(instances(pdus(&all)[0]), want);
    let one = ask(&mut store, instances_request(indom, 7, b""));
    assert_eq!(instances(pdus(&one)[0]), [(-1, "x".to_owned())]);
    for (ident, kind) in [(SHARED, 8), (SHARED, 4), (pmid(0, 1).to_bits(), 16)] {
        let labels = ask(&mut store, labels_request(ident, kind));
        assert_eq!(label_sets(pdus(&labels)[0]), []);
    }
    let fetched = ask(&mut store, fetch_of(Kind::FETCH, &[pmid(0, 1), pmid(0, 5), pmid(0, 2)]));
    let fetched = values(pdus(&fetched)[0]);
    let three = 3u64.to_be_bytes().to_vec();
    assert_eq!(fetched[0].1, Ok(vec![(0, three.clone()), (2, three.clone()), (7, three)]));
    assert_eq!(fetched[1].1.as_ref().unwrap()[1], (2, b"success\0".to_vec()));
    assert_eq!(fetched[2].1, Err(Status::PMID));

    for (withdrawn, left) in [(7, vec![0, 2]), (0, vec![2]), (2, vec![])] {
        store.withdraw(ids[0], withdrawn);
        store.withdraw(ids[0], withdrawn);
        let all = ask(&mut store, instances_request(indom, -1, b""));
        assert_eq!(instances(pdus(&all)[0]).iter().map(|i| i.0).collect::<Vec<_>>(), left);
        let live = store.view().identified(pmid(0, 1)).unwrap().live();
        assert_eq!(usize::try_from(live), Ok(left.len()));
    }
    publish(&mut store, ids, 4).unwrap();
    let all = ask(&mut store, instances_request(indom, -1, b""));
    assert_eq!(instances(pdus(&all)[0]), want, "they come back with their ids");
}

#[test]
fn a_metric_aside_is_in_listings_below_the_root_only() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some("up 1\n"), 100);
    scrape(&mut store, other, None, 100);
    let (own, _) = control(&mut store);
    for (name, item) in
        [("openmetrics.control.bytes", 7), ("openmetrics.control.up", 8), ("openmetrics.z", 9)]
    {
        store.declare(own, &declaration(name, item, Type::U64, Instances::One)).unwrap();
    }
    let mut listed = |request: Vec<u8>| {
        let session = [creds_pdu(), all_profile(), request].concat();
        let out = talk(&mut AnAgent::new(SETTINGS), &mut store, &session, (99, 999), &mut |_| false);
        told(pdus(&out)[1]).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let stock = ["calls", "debug", "status"].map(|leaf| format!("openmetrics.control.{leaf}"));
    let all = [&stock[..], &["openmetrics.cpu.up".into()]].concat();
    assert_eq!((listed(traverse(b"openmetrics")), listed(traverse(b""))), (all.clone(), all));
    assert_eq!(listed(traverse(b"openmetrics.control")).len(), 5);
    assert_eq!(listed(traverse(b"openmetrics.control.up")), ["openmetrics.control.up"]);
    assert_eq!(listed(child(0, b"openmetrics.control")).len(), 5);
}

#[test]
fn values_on_demand_tell_of_the_scrapes_of_the_same_request() {
    let (mut store, [cpu, other]) = store(Growing::default());
    let (own, ids) = control(&mut store);
    publish(&mut store, ids, 0).unwrap();
    store.on_demand(own);
    scrape(&mut store, cpu, Some(CPU), 100);
    scrape(&mut store, other, Some(OTHER), 100);
    assert_eq!(store.wanted(0), None, "nobody asked");
    let request = fetch_of(Kind::FETCH, &[pmid(0, 1), pmid(2, 0)]);
    let mut role = AnAgent::new(SETTINGS);
    let session = [creds_pdu(), all_profile(), request.clone(), request].concat();
    let (mut scrapes, mut order) = (0, Vec::new());
    let out = talk(&mut role, &mut store, &session, (session.len(), 4096), &mut |store| {
        let Some((source, _)) = store.wanted(0) else { return false };
        order.push(source);
        if source == own {
            store.begin(own);
            publish(store, ids, scrapes).unwrap();
            store.published(own);
        } else {
            scrapes += 1;
            scrape(store, source, Some("up 5\n"), 100);
        }
        true
    });
    assert_eq!(order, [other, own, other, own]);
    for (answer, n) in pdus(&out)[1..].iter().zip(1u64..) {
        assert_eq!(values(*answer)[0].1.as_ref().unwrap()[0], (0, n.to_be_bytes().to_vec()));
    }
}

#[test]
fn a_host_that_never_publishes_holds_no_request_for_ever() {
    let (mut store, sources) = store(Growing::default());
    let (own, ids) = control(&mut store);
    publish(&mut store, ids, 0).unwrap();
    store.on_demand(own);
    let hello = [creds_pdu(), all_profile()].concat();
    let mut role = ACollector::new(PATIENCE);
    talk(&mut role, &mut store, &hello, (99, 99), &mut serve([(sources[0], CPU), (sources[1], OTHER)], 100));
    let request = fetch_of(Kind::FETCH, &[pmid(0, 1), pmid(1, 1)]);
    let mut room = [0; 4096];
    let mut step = |store: &mut Store<_>, now| {
        let progress = role.step(&mut context(store, now), &request, &mut room).unwrap();
        (progress.produced, Role::<Growing>::deadline(&role).map(Instant::millis), room)
    };
    assert_eq!(step(&mut store, 0).1, Some(2000));
    assert_eq!(step(&mut store, 2000).1, Some(2250), "the scrape did not come: the host is asked");
    let (produced, deadline, answer) = step(&mut store, 2250);
    assert_eq!(deadline, None);
    let got = values(pdus(&answer[..produced])[0]);
    assert_eq!((&got[0].1, &got[1].1), (&Err(Status::AGAIN), &Err(Status::AGAIN)));
}

/// What storing this is answered with.
fn stores<S: Storage>(store: &mut Store<S>, request: &[u8], window: usize) -> Status {
    let hello = [creds_pdu(), request.to_vec()].concat();
    let client = talk(&mut ACollector::new(PATIENCE), store, &hello, (7, window), &mut |_| false);
    let client = refusal(pdus(&client)[1]);
    let told = core::iter::from_fn(|| store.stored()).count();
    let pmcd = talk(&mut AnAgent::new(SETTINGS), store, &hello, (7, window), &mut |_| false);
    assert_eq!(refusal(pdus(&pmcd)[1]), client);
    while store.stored().is_some() {}
    assert_eq!(told, usize::from(client == Status::OK));
    // Taken in piece by piece, it is stored once, too.
    let mut role = Collector::<64, 1, _>::with_memory(PATIENCE, [0; 256]);
    let taken = talk(&mut role, store, &hello, (7, window), &mut |_| false);
    assert_eq!(refusal(pdus(&taken)[1]), client);
    assert_eq!(core::iter::from_fn(|| store.stored()).count(), told);
    client
}

#[test]
fn clients_store_what_may_be_stored_and_nothing_else() {
    let (mut store, sources) = store(Growing::default());
    let (_, ids) = control(&mut store);
    publish(&mut store, ids, 0).unwrap();
    scrape(&mut store, sources[0], Some(CPU), 100);
    let debug = pmid(0, 4);
    // A value in situ stands where a block's offset would.
    let in_situ = |pmid: Pmid, value: u32| {
        let mut request = store_of(pmid, 0, &[]);
        request[40..].copy_from_slice(&value.to_be_bytes());
        request
    };
    let double = [0x0500_000c, 0x3ff0_0000, 0];
    for (request, status) in [
        (in_situ(debug, 1), Status::OK),
        (in_situ(debug, u32::MAX), Status::BADSTORE),
        (store_of(debug, 1, &double), Status::CONV),
        (store_of(debug, 2, &[0x0600_0006, 0x3100_7e7e]), Status::CONV),
        (store_of(pmid(1, 1), 1, &double), Status::PERMISSION),
        (store_of(pmid(1, 1), 2, &double), Status::PERMISSION),
        (in_situ(pmid(0, 1), 1), Status::PERMISSION),
        (in_situ(pmid(0, 9), 1), Status::PMID),
        (in_situ(Pmid::new(9, 0, 0).unwrap(), 1), Status::NOAGENT),
        (store_of(debug, 3, &[]), Status::IPC),
    ] {
        for window in [1, 7, 100] {
            assert_eq!(stores(&mut store, &request, window), status, "{request:x?}");
        }
    }
}

/// A storage that clients store nothing in.
#[derive(Debug, Default)]
struct Closed(Growing);

impl Storage for Closed {
    const STORES: bool = false;

    fn parts(&mut self) -> Parts<'_> {
        self.0.parts()
    }

    fn lent(&self) -> Lent<'_> {
        self.0.lent()
    }

    fn grow(&mut self, region: Region) -> Result<(), Full> {
        self.0.grow(region)
    }
}

#[test]
fn clients_of_a_storage_that_takes_nothing_are_refused_as_with_any_other_metric() {
    let (mut store, sources) = store(Closed::default());
    let (_, ids) = control(&mut store);
    publish(&mut store, ids, 0).unwrap();
    scrape(&mut store, sources[0], Some(CPU), 100);
    for (pmid, status) in [
        (pmid(0, 4), Status::PERMISSION),
        (pmid(1, 1), Status::PERMISSION),
        (pmid(0, 9), Status::PMID),
        (Pmid::new(9, 0, 0).unwrap(), Status::NOAGENT),
    ] {
        assert_eq!(stores(&mut store, &store_of(pmid, 1, &[0x0500_000c, 0, 0]), 9), status, "{pmid:?}");
    }
    assert_eq!(stores(&mut store, &store_of(pmid(0, 4), 3, &[]), 9), Status::IPC);
}

#[test]
fn the_host_sees_what_was_stored_once() {
    let (mut store, _) = store(Growing::default());
    let (_, ids) = control(&mut store);
    publish(&mut store, ids, 0).unwrap();
    assert_eq!(store.stored(), None);
    // As pmcd sent it to a PMDA (pmda-tiny), but for the PMID.
    let captured = [0x2c, 0x7001, 0, 0xe61f_f604, 0, 1, pmid(0, 4).to_bits(), 1, 0, u32::MAX, 5];
    assert_eq!(
        refusal(
            pdus(&talk(
                &mut AnAgent::new(SETTINGS),
                &mut store,
                &[creds_pdu(), words(&captured)].concat(),
                (99, 99),
                &mut |_| false
            ))[1]
        ),
        Status::OK
    );
    let Stored { metric, instance, bits, .. } = store.stored().unwrap();
    assert_eq!((metric, instance, bits), (ids[1], 0, 5));
    assert_eq!(store.stored(), None);
}

#[test]
fn pmcd_is_told_once_of_names_and_labels_that_changed() {
    let (mut store, [cpu, other]) = store(Growing::default());
    scrape(&mut store, cpu, Some(CPU), 100);
    let mut role = AnAgent::new(SETTINGS);
    talk(&mut role, &mut store, &[creds_pdu(), all_profile()].concat(), (99, 99), &mut |_| false);
    let mut flags = |store: &mut Store<_>| {
        let request = fetch_of(Kind::FETCH, &[pmid(9, 9)]);
        let out = talk(&mut role, store, &request, (99, 99), &mut |store| {
            let Some((source, _)) = store.wanted(0) else { return false };
            scrape(store, source, None, 100);
            true
        });
        let (kind, body) = pdus(&out)[0];
        Results::parse(kind, body).unwrap().seconds
    };
    assert_eq!(flags(&mut store), 0);
    scrape(&mut store, other, Some(OTHER), 100);
    assert_eq!((flags(&mut store), flags(&mut store)), (16, 0));
    store.set_labels(other, r#"source="other""#).unwrap();
    assert_eq!(flags(&mut store), 0, "the same labels");
    store.set_labels(other, r#"source="other",url="http://h/""#).unwrap();
    assert_eq!((flags(&mut store), flags(&mut store)), (8, 0));
    store.retire(other);
    assert_eq!((flags(&mut store), flags(&mut store)), (16, 0));
    store.revive(other);
    scrape(&mut store, other, Some(OTHER), 100);
    store.set_labels(other, "").unwrap();
    assert_eq!((flags(&mut store), flags(&mut store)), (24, 0));
}
