//! What the host declares with labels, and histograms.

use pmbridge_core::{
    pcp::{InDom, Pmid, Semantics, Type, Units},
    pdu::Kind,
    role::page::{Format, Page},
    store::{Declaration, Instance, Instances, MetricId, Published, SourceId, Storage, Store, Ticket},
};

use crate::{
    growing::Growing,
    script::{
        ACollector, PATIENCE, Small, all_profile, creds_pdu, fetch_of, instances, instances_request,
        label_sets, labels_request, pdus, pmid, scrape, store, talk, values,
    },
};

const OWN: u16 = 9;

fn declaration(name: &str, units: Units, instances: Instances) -> Declaration<'_> {
    Declaration {
        name,
        help: "It has one.",
        kind: Type::U64,
        semantics: Semantics::INSTANT,
        units,
        instances,
        item: None,
        storable: false,
        aside: false,
    }
}

fn own<S: Storage>(store: &mut Store<S>) -> SourceId {
    store.add_source("own", "", Some(OWN)).unwrap()
}

fn renew<S: Storage>(store: &mut Store<S>, metric: MetricId, values: &[u64]) {
    let mut series = store.first_series(metric);
    for value in values {
        series = store.renew(series.unwrap(), Published::Bits(*value)).unwrap();
    }
    assert_eq!(series, None);
}

fn ask<S: Storage>(store: &mut Store<S>, request: Vec<u8>) -> Vec<u8> {
    let session = [creds_pdu(), all_profile(), request].concat();
    talk(&mut ACollector::new(PATIENCE), store, &session, (999, 4096), &mut |_| false)[20..].to_vec()
}

/// What a client sees of a metric: its instances, and their labels or its own.
fn seen<S: Storage>(store: &mut Store<S>, at: Pmid) -> (Vec<(i32, String)>, Vec<String>) {
    let indom = store.view().identified(at).unwrap().desc().indom;
    let sets = |answer: Vec<u8>| {
        // A set without labels is as good as none.
        let sets = label_sets(pdus(&answer)[0]).into_iter().map(|set| set.1);
        sets.filter(|json| !json.is_empty()).collect()
    };
    if indom == InDom::NULL {
        return (Vec::new(), sets(ask(store, labels_request(at.to_bits(), 16))));
    }
    let named = instances(pdus(&ask(store, instances_request(indom, -1, b"")))[0]);
    (named, sets(ask(store, labels_request(indom.to_bits(), 32))))
}

fn fetched<S: Storage>(store: &mut Store<S>, at: Pmid) -> Vec<(i32, Vec<u8>)> {
    let answer = ask(store, fetch_of(Kind::FETCH, &[at]));
    values(pdus(&answer)[0]).remove(0).1.unwrap()
}

fn page<S: Storage>(store: &Store<S>) -> String {
    let mut room = vec![0; 1 << 14];
    let (len, is_whole) = Page::new(Format::Text004, Ticket::default()).write(store.view(), None, &mut room);
    assert!(is_whole);
    room.truncate(len);
    String::from_utf8(room).unwrap()
}

#[test]
fn a_declared_instance_is_the_value_of_its_label() {
    check_instances(Growing::default());
    check_instances(Small::new());
}

fn check_instances<S: Storage>(storage: S) {
    let (mut store, sources) = store(storage);
    for source in sources {
        scrape(&mut store, source, None, 100);
    }
    let own = own(&mut store);
    let fan = store.declare(own, &declaration("fan.speed", Units::NONE, Instances::Own)).unwrap();
    for name in ["front", "b\"ack"] {
        store.declare_series(fan, Some(("fan", name)), &[("rack", "7")]).unwrap();
    }
    let one = store.declare(own, &declaration("fan.one", Units::NONE, Instances::One)).unwrap();
    store.declare_series(one, None, &[("rack", "7")]).unwrap();
    let bare = store.declare(own, &declaration("fan.bare", Units::NONE, Instances::One)).unwrap();
    store.declare_series(bare, None, &[]).unwrap();
    assert_eq!(store.first_declared(own), Some(fan));
    assert_eq!(store.declared_after(fan), Some(one));
    for n in [1, 2] {
        renew(&mut store, fan, &[n, n + 1]);
        renew(&mut store, one, &[n + 2]);
        store.publish(bare, Instance::ONE, Published::Bits(n + 3)).unwrap();
        let bytes = |n: u64| n.to_be_bytes().to_vec();
        let (named, labels) = seen(&mut store, pmid(OWN, 0));
        assert_eq!(named, [(0, "front".to_owned()), (1, "b\"ack".to_owned())]);
        assert_eq!(labels, [r#"{"fan":"front","rack":"7"}"#, r#"{"fan":"b\"ack","rack":"7"}"#]);
        assert_eq!(seen(&mut store, pmid(OWN, 1)), (vec![], vec![r#"{"rack":"7"}"#.to_owned()]));
        assert_eq!(seen(&mut store, pmid(OWN, 2)), (vec![], vec![]));
        assert_eq!(fetched(&mut store, pmid(OWN, 0)), [(0, bytes(n)), (1, bytes(n + 1))]);
        assert_eq!(fetched(&mut store, pmid(OWN, 1)), [(-1, bytes(n + 2))]);
        assert_eq!(fetched(&mut store, pmid(OWN, 2)), [(-1, bytes(n + 3))]);
        let page = page(&store);
        let lines = page.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
        let want = [
            format!("fan_speed{{fan=\"front\",rack=\"7\"}} {n}"),
            format!("fan_speed{{fan=\"b\\\"ack\",rack=\"7\"}} {}", n + 1),
            format!("fan_one{{rack=\"7\"}} {}", n + 2),
            format!("fan_bare {}", n + 3),
        ];
        assert_eq!(lines, want);
    }
}

/// A histogram, and what it is on a page.
fn histogram<S: Storage>(store: &mut Store<S>, labels: &[(&str, &str)]) -> [MetricId; 3] {
    let own = own(store);
    let declaration = declaration("sensor.latency", Units::MICROSEC, Instances::One);
    let all = store.declare_histogram(own, &declaration, labels, &[100, 2500, 1_000_000]).unwrap();
    for (metric, values) in all.iter().zip([&[1, 3, 3, 4][..], &[2_500_000], &[4]]) {
        renew(store, *metric, values);
    }
    all
}

#[test]
fn a_declared_histogram_is_what_an_import_of_its_page_is() {
    for labels in [&[][..], &[("rack", "7")]] {
        let (mut declared, sources) = store(Growing::default());
        for source in sources {
            scrape(&mut declared, source, None, 100);
        }
        histogram(&mut declared, labels);
        let page = page(&declared);
        let (mut imported, [source, other]) = store(Growing::default());
        scrape(&mut imported, source, Some(&page), 100);
        scrape(&mut imported, other, None, 100);

        for n in 0..3 {
            let (ours, theirs) = (pmid(OWN, n), pmid(1, n));
            let name = |store: &Store<Growing>, at| {
                let view = store.view();
                String::from_utf8(view.name(view.identified(at).unwrap()).to_vec()).unwrap()
            };
            assert_eq!(
                name(&declared, ours).replace("sensor.latency", "openmetrics.cpu.sensor_latency_seconds"),
                name(&imported, theirs)
            );
            let help = |store: &Store<Growing>, at| {
                let view = store.view();
                view.help(view.identified(at).unwrap()).to_owned()
            };
            assert_eq!(help(&declared, ours), help(&imported, theirs));
            let desc = |store: &Store<Growing>, at| store.view().identified(at).unwrap().desc();
            assert_eq!(desc(&declared, ours).semantics, desc(&imported, theirs).semantics);
            let (ours, theirs) = (seen(&mut declared, ours), seen(&mut imported, theirs));
            // A sum that has labels is one value here, and there an instance.
            if n == 0 || labels.is_empty() {
                assert_eq!(ours.0, theirs.0);
            }
            assert_eq!(ours.1, theirs.1);
        }
    }
}

#[test]
fn a_declared_histogram_is_one_family_of_a_page() {
    let (mut store, sources) = store(Growing::default());
    for source in sources {
        scrape(&mut store, source, None, 100);
    }
    histogram(&mut store, &[("rack", "7")]);
    let want = r#"# HELP sensor_latency_seconds It has one.
# TYPE sensor_latency_seconds histogram
sensor_latency_seconds_bucket{le="0.0001",rack="7"} 1
sensor_latency_seconds_bucket{le="0.0025",rack="7"} 3
sensor_latency_seconds_bucket{le="1",rack="7"} 3
sensor_latency_seconds_bucket{le="+Inf",rack="7"} 4
sensor_latency_seconds_sum{rack="7"} 2.5
sensor_latency_seconds_count{rack="7"} 4
"#;
    assert_eq!(page(&store), want);
}
