//! What the store does with names and ids: they go by the rules, come back as they were, and cost little when they go.
#![expect(clippy::unwrap_used, reason = "a test may panic, and does so where a law is broken")]

use core::fmt::Write as _;
use std::collections::BTreeMap;

mod growing;

use growing::Growing;
use pmbridge_core::{
    mapping::{Compat, Fate, PcpLine, Plain, Rules},
    pcp::{InDom, Pmid, Semantics, Type},
    role::document::Document,
    store::{Known, SourceId, Store},
    time::Instant,
};

fn store(compat: Compat) -> Store<Growing> {
    let mut store = Store::new(Growing::default(), 144, 7);
    store.set_compat(compat);
    store.set_root("openmetrics").unwrap();
    store
}

fn read_by(store: &mut Store<Growing>, source: SourceId, rules: &dyn Rules, text: &str) -> u64 {
    store.begin(source);
    let mut document = Document::new(source, [0u8; 512], rules);
    document.feed(store, text.as_bytes(), &mut |_| {});
    document.finish(store, &mut |_| {});
    store.commit(source, true, Instant::START);
    document.stats().refused
}

fn read(store: &mut Store<Growing>, source: SourceId, text: &str) -> u64 {
    read_by(store, source, &Plain, text)
}

fn names(store: &Store<Growing>) -> Vec<String> {
    let view = store.view();
    let name = |at| String::from_utf8(view.name(view.in_order(at).unwrap()).to_vec()).unwrap();
    (0..view.names()).map(name).collect()
}

/// The live instances of a metric: ids, names and values.
fn live(store: &Store<Growing>, name: &str) -> BTreeMap<u32, (String, f64)> {
    let view = store.view();
    let metric = view.named(name.as_bytes()).unwrap();
    let series = view.series_from(view.first(metric)).map(|(_, series)| series).filter(|s| s.is_live());
    let named = series.map(|s| {
        let mut name = Vec::new();
        view.instance_name(metric, s, &mut |piece| name.extend_from_slice(piece));
        (s.instance(), (String::from_utf8(name).unwrap(), f64::from_bits(s.value())))
    });
    named.collect()
}

fn pmid(store: &Store<Growing>, name: &str) -> Pmid {
    store.view().named(name.as_bytes()).unwrap().desc().pmid
}

fn told(store: &mut Store<Growing>, source: SourceId) -> Vec<String> {
    let mut all = Vec::new();
    store
        .unsaved(source, &mut |known| {
            all.push(match known {
                Known::Cluster { source, cluster } => format!("{source} {cluster}"),
                Known::Metric { cluster, item, name } => format!("{cluster}.{item} {name}"),
                Known::Instance { cluster, item, id, prefixed, name } => {
                    format!("{cluster}.{item}[{id}{}] {name}", if prefixed { "" } else { " plain" })
                }
                _ => String::new(),
            });
            true
        })
        .unwrap();
    all
}

#[test]
#[cfg_attr(small_words, ignore = "more than a chip can count")]
fn labels_that_churn_leave_only_names_behind_and_come_back_with_their_ids() {
    let mut store = store(Compat::V60);
    let source = store.add_source("s", "", None).unwrap();
    let page = |from: u32, steady: u32| {
        let mut text = String::new();
        for i in 0..steady {
            writeln!(text, "churn{{id=\"steady{i}\"}} {i}").unwrap();
        }
        for i in from..from + 100 {
            writeln!(text, "churn{{id=\"n{i}\"}} {i}").unwrap();
        }
        text
    };
    for round in 0..200 {
        assert_eq!(read(&mut store, source, &page(round * 100, 50)), 0);
        let live = live(&store, "openmetrics.s.churn");
        assert_eq!(live.len(), 150);
        for i in 0..100 {
            let n = round * 100 + i;
            assert_eq!(live[&(50 + n)], (format!("{} id:n{n}", 50 + n), f64::from(n)));
        }
        assert_eq!(live[&7], ("7 id:steady7".into(), 7.0));
        assert!(store.view().series() <= 450, "{}", store.view().series());
    }
    assert_eq!(store.view().vanished() + store.view().series(), 20_050);
    // A name of a dozen bytes or less, and a few words each; doubling may have wasted as much again.
    assert!(store.text_len() < 20_050 * 24 * 2, "{}", store.text_len());
    read(&mut store, source, &page(300, 50));
    let back = live(&store, "openmetrics.s.churn");
    assert_eq!(back[&350], ("350 id:n300".into(), 300.0));
    assert_eq!(back.len(), 150);
}

#[test]
fn texts_that_grow_and_go_are_closed_up() {
    let mut store = store(Compat::V60);
    let source = store.add_source("s", "source=\"s\"", None).unwrap();
    for round in 0..2000_usize {
        let mut text = String::from("# PCP5 t 0.0.0 string PM_INDOM_NULL discrete none\n");
        writeln!(text, "t {}", "x".repeat(round % 400 + 1)).unwrap();
        writeln!(text, "# HELP v {}\nv{{a=\"{round}\"}} {round}", "h".repeat(round % 300)).unwrap();
        read(&mut store, source, &text);
        let view = store.view();
        let metric = view.named(b"openmetrics.s.t").unwrap();
        if let Some((_, series)) = view.series_from(view.first(metric)).next() {
            assert_eq!(view.string(series).len(), round % 400 + 1, "{round}");
        }
        assert_eq!(
            live(&store, "openmetrics.s.v").values().next().unwrap().1,
            f64::from(u32::try_from(round).unwrap())
        );
    }
    assert!(store.text_len() < 200_000, "{}", store.text_len());
}

#[test]
fn names_are_in_order_however_they_come_and_go() {
    for compat in [Compat::V60, Compat::V72] {
        let mut store = store(compat);
        let sources = ["b", "a", "a.b"].map(|name| store.add_source(name, "", None).unwrap());
        let mut want: BTreeMap<String, ()> = BTreeMap::new();
        let mut word = 12345u32;
        for round in 0..60 {
            let at = round % 3;
            let mut text = String::new();
            let prefix = format!("openmetrics.{}.", ["b", "a", "a.b"][at]);
            if compat == Compat::V72 {
                want.retain(|name, ()| {
                    at == 1 && name.starts_with("openmetrics.a.b.") && !name.contains(".b.x.")
                        || !name.starts_with(&prefix)
                });
            }
            for _ in 0..20 {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let name = format!("m{}", (word >> 16) % 300);
                writeln!(text, "{name} 1").unwrap();
                want.insert(format!("{prefix}{name}"), ());
            }
            read(&mut store, sources[at], &text);
            assert_eq!(names(&store), want.keys().cloned().collect::<Vec<_>>(), "{compat:?} {round}");
        }
    }
}

#[test]
#[cfg_attr(small_words, ignore = "more than a chip can count")]
fn a_source_goes_on_in_further_clusters() {
    let mut store = store(Compat::V60);
    let one = store.add_source("one", "source=\"one\"", None).unwrap();
    let two = store.add_source("two", "", None).unwrap();
    let text: String = (0..2100).map(|i| format!("m{i} {i}\n")).collect();
    assert_eq!(read(&mut store, one, &text), 0);
    read(&mut store, two, "x 1\n");
    assert_eq!(pmid(&store, "openmetrics.one.m1023"), Pmid::new(144, 1, 1023).unwrap());
    assert_eq!(pmid(&store, "openmetrics.one.m1024"), Pmid::new(144, 3, 0).unwrap());
    assert_eq!(pmid(&store, "openmetrics.one.m2099"), Pmid::new(144, 4, 51).unwrap());
    assert_eq!(pmid(&store, "openmetrics.two.x"), Pmid::new(144, 2, 0).unwrap());
    assert_eq!(store.view().cluster_labels(4).unwrap().as_str(), "source=\"one\"");
    let told = told(&mut store, one);
    assert_eq!(told.len(), 2102);
    assert_eq!(told[1024..1026], ["one 3", "3.0 m1024"]);
}

#[test]
fn what_is_remembered_gets_its_ids_back_and_shows_only_when_it_is_met() {
    let mut store = store(Compat::V60);
    let source = store.add_source("s", "", Some(5)).unwrap();
    assert!(store.remember_metric(source, 5, 3, "b").unwrap());
    assert!(store.remember_metric(source, 5, 4, "gone").unwrap());
    assert!(!store.remember_metric(source, 5, 4, "other").unwrap());
    assert!(!store.remember_metric(source, 5, 7, "b").unwrap());
    assert!(store.remember_instance((5, 3), 9, true, "a:1").unwrap());
    assert!(store.remember_instance((5, 3), 2, false, "plain").unwrap());
    assert!(!store.remember_instance((6, 0), 2, true, "x").unwrap());
    assert_eq!(
        (names(&store).len(), store.view().identified(Pmid::new(144, 5, 3).unwrap()).is_none()),
        (0, true)
    );
    read(&mut store, source, "b{a=\"1\"} 1\nb{a=\"2\"} 2\nnew 3\n");
    assert_eq!(names(&store), ["openmetrics.s.b", "openmetrics.s.new"]);
    assert_eq!(pmid(&store, "openmetrics.s.b"), Pmid::new(144, 5, 3).unwrap());
    assert_eq!(pmid(&store, "openmetrics.s.new"), Pmid::new(144, 5, 5).unwrap());
    let live = live(&store, "openmetrics.s.b");
    assert_eq!((live[&9].0.as_str(), live[&10].0.as_str()), ("9 a:1", "10 a:2"));
    assert_eq!(told(&mut store, source), ["5.3[10] a:2", "5.5 new"]);
    assert_eq!(told(&mut store, source), [""; 0]);
    assert_eq!(store.add_source("next", "", None).map(|_| ()), Ok(()));
    read(&mut store, source, "b{a=\"3\"} 1\n");
    assert_eq!(told(&mut store, source), ["5.3[11] a:3"]);
}

#[test]
fn a_metric_is_remembered_by_the_name_that_its_samples_have() {
    let page = "# PCP5 disk.read 60.0.4 double 60.1 counter none\ndisk_read{instname=\"sda\"} 1\ndisk_other{instname=\"sda\"} 2\n\
                # plain\njob:up 3\nlast 4\n";
    let mut first = store(Compat::V60);
    let source = first.add_source("s", "", None).unwrap();
    read(&mut first, source, page);
    let saved = told(&mut first, source);
    assert_eq!(saved, ["1.0 disk_read", "1.0[0 plain] sda", "1.1 disk_other", "1.2 job:up", "1.3 last"]);
    let mut second = store(Compat::V60);
    let source = second.add_source("s", "", None).unwrap();
    for (item, name) in [(7, "disk_read"), (5, "disk_other"), (3, "job:up"), (9, "last"), (11, "disk.read")] {
        assert!(second.remember_metric(source, 1, item, name).unwrap());
    }
    assert!(second.remember_instance((1, 7), 4, false, "sda").unwrap());
    for _ in 0..3 {
        read(&mut second, source, page);
        assert_eq!(pmid(&second, "openmetrics.s.disk.read"), Pmid::new(144, 1, 7).unwrap());
        assert_eq!(pmid(&second, "openmetrics.s.job.up"), Pmid::new(144, 1, 3).unwrap());
        assert_eq!(pmid(&second, "openmetrics.s.last"), Pmid::new(144, 1, 9).unwrap());
        assert_eq!(live(&second, "openmetrics.s.disk.read")[&4].0, "sda");
        assert_eq!(told(&mut second, source), [""; 0]);
    }
}

/// The name of its samples makes a metric, whatever later lines say of it: no name is numbered twice.
#[test]
fn a_sample_belongs_to_the_metric_that_its_name_has() {
    let line = |name: &str| format!("# PCP5 {name} 1.2.3 u32 1.2 counter none\n");
    let one = line("p.one");
    let pages = [
        format!("x{{a=\"1\"}} 1\n{one}y{{instname=\"a\"}} 2\nx{{a=\"2\"}} 3\n"),
        format!(
            "{one}x{{instname=\"a\"}} 2\n{}x{{instname=\"b\"}} 3\ny{{instname=\"a\"}} 4\n",
            line("p.two")
        ),
        format!("{one}x{{instname=\"a\"}} 2\nother{{instname=\"a\"}} 3\nx{{instname=\"b\"}} 3\n"),
    ];
    let told_of = [
        &["1.0 x", "1.0[0] a:1", "1.0[1] a:2", "1.1 y", "1.1[0 plain] a"][..],
        &["1.0 x", "1.0[0 plain] a", "1.0[1 plain] b", "1.1 y", "1.1[0 plain] a"][..],
        &["1.0 x", "1.0[0 plain] a", "1.0[1 plain] b", "1.1 other"][..],
    ];
    for (page, expected) in pages.iter().zip(told_of) {
        let mut store = store(Compat::V60);
        let source = store.add_source("s", "", None).unwrap();
        read(&mut store, source, page);
        assert_eq!(told(&mut store, source), expected, "{page}");
        read(&mut store, source, page);
        assert_eq!(told(&mut store, source), [""; 0], "{page}");
    }
}

#[test]
fn a_comment_line_ends_with_its_page() {
    let mut store = store(Compat::V60);
    let source = store.add_source("s", "", None).unwrap();
    read(
        &mut store,
        source,
        "y 1\n# HELP y why\n# TYPE y counter\n# PCP5 p.one 1.2.3 u32 1.2 counter none\n",
    );
    read(&mut store, source, "x 2\ny 1\n");
    assert_eq!(names(&store), ["openmetrics.s.x", "openmetrics.s.y"]);
    let view = store.view();
    let x = view.named(b"openmetrics.s.x").unwrap();
    assert_eq!((x.desc().semantics, view.help(x)), (Semantics::INSTANT, ""));
}

#[test]
fn names_vanish_by_the_rules_of_the_version_and_come_back_the_same() {
    for (compat, kept) in [(Compat::V60, true), (Compat::V72, false)] {
        let mut store = store(compat);
        let source = store.add_source("s", "", None).unwrap();
        read(&mut store, source, "a 1\nb 2\n");
        let (b, epoch) = (pmid(&store, "openmetrics.s.b"), store.view().names_epoch());
        read(&mut store, source, "a 1\n");
        assert_eq!(store.view().named(b"openmetrics.s.b").is_some(), kept);
        assert_eq!(store.view().names_epoch() == epoch, kept);
        read(&mut store, source, "c 1\na 1\nb 2\n");
        assert_eq!(pmid(&store, "openmetrics.s.b"), b);
        store.retire(source);
        assert_eq!(names(&store).len(), if kept { 3 } else { 0 });
        store.revive(source);
        read(&mut store, source, "b 2\na 1\nc 4\n");
        assert_eq!(pmid(&store, "openmetrics.s.b"), b);
        assert_eq!(names(&store).len(), 3);
    }
}

/// Rules of names: `no...` is not taken or dropped, `may...` optional, `int` described.
struct Words;

impl Rules for Words {
    fn takes(&self, name: &str) -> bool {
        !name.starts_with("no")
    }

    fn label(&self, name: &str) -> Fate {
        match name {
            _ if name.starts_with("no") => Fate::Drop,
            _ if name.starts_with("may") => Fate::Optional,
            _ => Fate::Keep,
        }
    }

    fn describe<'a>(&self, name: &'a str) -> Option<PcpLine<'a>> {
        (name == "int").then(|| PcpLine::metadata(name, "u64 x counter none")).flatten()
    }
}

#[test]
fn rules_decide_once_what_is_taken_and_how_it_is_named() {
    let mut store = store(Compat::V60);
    let source = store.add_source("s", "", None).unwrap();
    let page = "nothing{a=\"1\"} 1\n\
                m{a=\"1\",no=\"x\",may=\"y\"} 1\n\
                m{no=\"y\",a=\"2\",\"may.be\"=\"z\\\"\"} 2\n\
                bare{no=\"1\"} 3\nbare{no=\"2\"} 4\n\
                opt{may=\"1\"} 5\n\
                int{instname=\"x\"} 6\n";
    for _ in 0..3 {
        assert_eq!(read_by(&mut store, source, &Words, page), 0);
        let view = store.view();
        let want = ["openmetrics.s.bare", "openmetrics.s.int", "openmetrics.s.m", "openmetrics.s.opt"];
        assert_eq!(names(&store), want);
        let m = live(&store, "openmetrics.s.m");
        assert_eq!((m[&0].0.as_str(), m[&1].0.as_str()), ("0 a:1", "1 a:2"));
        let metric = view.named(b"openmetrics.s.m").unwrap();
        let labels = view.series_from(view.first(metric)).map(|(_, s)| {
            (view.labels(s).as_str().to_owned(), view.optional(s).as_str().trim_start_matches(',').to_owned())
        });
        assert_eq!(
            labels.collect::<Vec<_>>(),
            [
                ("a=\"1\",may=\"y\"".into(), "may=\"y\"".into()),
                ("a=\"2\",\"may.be\"=\"z\\\"\"".into(), "\"may.be\"=\"z\\\"\"".to_owned()),
            ]
        );
        let bare = view.named(b"openmetrics.s.bare").unwrap();
        assert_eq!((bare.desc().indom, bare.live()), (InDom::NULL, 1));
        let (_, value) = view.series_from(view.first(bare)).next().unwrap();
        assert_eq!(value.value(), 4f64.to_bits());
        assert_eq!(live(&store, "openmetrics.s.opt")[&0].0, "0 ");
        let int = view.named(b"openmetrics.s.int").unwrap();
        assert_eq!((int.desc().kind, live(&store, "openmetrics.s.int")[&0].0.as_str()), (Type::U64, "x"));
    }
    // The rules are others now: lines are read anew, and ids stay.
    store.relearn(source);
    assert_eq!(read(&mut store, source, page), 0);
    let m = live(&store, "openmetrics.s.m");
    assert_eq!(
        m.values().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["2 a:1 may:y no:x", "3 a:2 may.be:z\" no:y"]
    );
    assert!(names(&store).contains(&"openmetrics.s.nothing".into()));
}

#[test]
fn any_storm_of_documents_leaves_what_a_simple_model_has() {
    let mut store = store(Compat::V60);
    let sources = ["a", "b"].map(|name| store.add_source(name, "", None).unwrap());
    let mut ids: BTreeMap<(usize, String), u32> = BTreeMap::new();
    let mut next = [0u32; 2];
    let mut word = 1u64;
    let mut roll = |n: u64| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 33) % n
    };
    for round in 0..3000 {
        let at = usize::try_from(roll(2)).unwrap();
        let mut page = BTreeMap::new();
        let mut text = String::new();
        for _ in 0..roll(30) {
            let (label, value) = (format!("v{}", roll(200)), roll(1000));
            let spelled = match roll(3) {
                0 => format!("m{{x=\"{label}\",y=\"1\"}}"),
                1 => format!("m{{y=\"1\",x=\"{label}\"}}"),
                _ => format!("m {{ x=\"{label}\" , y=\"1\" }}"),
            };
            writeln!(text, "{spelled} {value}").unwrap();
            let key = (at, label.clone());
            let id = *ids.entry(key).or_insert_with(|| {
                next[at] += 1;
                next[at] - 1
            });
            #[expect(clippy::cast_precision_loss, reason = "values are small")]
            page.insert(id, (format!("{id} x:{label} y:1"), value as f64));
        }
        assert_eq!(read(&mut store, sources[at], &text), 0);
        if next[at] > 0 {
            assert_eq!(live(&store, ["openmetrics.a.m", "openmetrics.b.m"][at]), page, "round {round}");
        }
        if roll(100) == 0 {
            store.relearn(sources[at]);
        }
    }
}
