//! Ids go from PCP's own PMDA to pmbridge and back, and are the same everywhere on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pmbridge_tests::{
    Dir, PMCD, PYTHON, Pmcd, Pmda, SAMPLES, STOCK, Setup, eventually, has, pmbridge, run, tool,
};

/// Labels that a pickle spells in every way it has.
const ODD: &str = "a_m{x=\"q\\\"uote\",y=\"back\\\\slash\",z=\"nl\\nhere\"} 1\n\
    a_m{x=\"é ü\",y=\"日本\",z=\"😀\"} 2\na_m{x=\"\\\\u0041\",y=\"a\\\\\\\\u0041\",z=\"tab\tx\"} 3\n\
    a:b:c{l=\"same\"} 1\nc_m{l=\"same\"} 1\nsame 1\n# PCP5 d.m 144.0.0 double 144.1 instant none\nd_m{instname=\"same\"} 1\n";

/// The sources of a test, as files in a directory that stays.
fn sources(dir: &Dir) -> Vec<(String, String)> {
    let samples = ["simple_metric", "problematic-strings", "sample-pmda-pcp5-metadata", "collectd_sample"];
    let mut all: Vec<_> =
        samples.iter().map(|name| (name.replace('-', "_"), format!("file://{SAMPLES}/{name}.txt"))).collect();
    let odd = dir.write("odd.txt", ODD);
    all.push(("sub/odd".into(), format!("file://{}", odd.display())));
    all
}

fn start(sources: &[(String, String)], tables: Option<&Path>) -> Pmcd {
    let setup = sources.iter().fold(Setup::new(), |setup, (name, url)| setup.source(name, url));
    for entry in tables.into_iter().flat_map(|tables| std::fs::read_dir(tables).unwrap()).flatten() {
        std::fs::copy(entry.path(), setup.dir.join("var/config/pmda").join(entry.file_name())).unwrap();
    }
    setup.start(Pmda::Stock)
}

/// PMIDs, instance domains and instances of all metrics, once the last of the sources has shown its own.
fn numbers(pmcd: &Pmcd) -> String {
    eventually("the metrics of the last source", || {
        let names = run(tool("pminfo", pmcd.port).arg("openmetrics.sub.odd"));
        names.out.contains("d.m").then_some(())
    });
    run(tool("pminfo", pmcd.port).args(["-dmf", "openmetrics"])).ok()
}

/// The tables of a directory by name, as Python reads them.
fn unpickled(dir: &Path) -> BTreeMap<String, String> {
    let program = "import pickle, sys, glob, os\n\
        for path in sorted(glob.glob(sys.argv[1] + '/144.*.py')):\n\
        \x20   f = open(path, 'rb')\n\
        \x20   print(os.path.basename(path), ascii((pickle.load(f), pickle.load(f), f.read())))\n";
    let said = run(Command::new(PYTHON).args(["-c", program]).arg(dir)).ok();
    let pair = |line: &str| line.split_once(' ').map(|(name, table)| (name.to_owned(), table.to_owned()));
    said.lines().filter_map(pair).collect()
}

fn tables(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
    };
    entries.filter(|path| path.extension().is_some_and(|end| end == "py")).map(read).collect()
}

fn ids(file: &Path, args: &[&str], dir: &Path) -> pmbridge_tests::Finished {
    run(Command::new(pmbridge()).arg("ids").arg("--ids").arg(file).args(args).arg(dir))
}

#[test]
fn ids_of_the_stock_pmda_go_there_and_back() {
    if !has("ids_of_the_stock_pmda_go_there_and_back", &[PMCD, STOCK, SAMPLES]) {
        return;
    }
    let dir = Dir::new();
    let mut sources = sources(&dir);
    let first = start(&sources, None);
    let before = numbers(&first);
    let theirs = first.dir.join("var/config/pmda");
    let file = dir.join("144.pmbridge");
    let finished = ids(&file, &["--from-stock"], &theirs);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(finished.out.contains("sources    5\n"), "{finished:?}");
    assert!(ids(&file, &["--from-stock"], &theirs).err.contains("is there already"));

    // The way back: the same bytes, which Python reads as what it wrote.
    let ours = dir.join("ours");
    std::fs::create_dir(&ours).unwrap();
    let finished = ids(&file, &["--to-stock"], &ours);
    assert_eq!(finished.code, 0, "{finished:?}");
    let (want, made) = (tables(&theirs), tables(&ours));
    assert!(want.len() > 50, "{} tables", want.len());
    assert_eq!(made.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    assert!(made == want, "{:?}", made.keys().filter(|name| made[*name] != want[*name]).collect::<Vec<_>>());
    assert_eq!(unpickled(&ours), unpickled(&theirs));
    drop(first);

    // With a source that would come first, only the tables keep the others' numbers.
    sources.push(("a_first".into(), format!("file://{SAMPLES}/simple_metric.txt")));
    let without = start(&sources, None);
    assert_ne!(kept(&numbers(&without)), kept(&before));
    drop(without);
    let second = start(&sources, Some(&ours));
    assert_eq!(kept(&numbers(&second)), kept(&before), "{}", second.logs());
}

/// What pminfo said of the metrics that were there at first, in order of their names.
fn kept(listing: &str) -> Vec<String> {
    let metric = |block: &&str| block.starts_with("openmetrics.") && !block.contains(".a_first.");
    let metric = |block: &str| metric(&block) && !block.starts_with("openmetrics.control.");
    let mut blocks: Vec<_> =
        listing.split("\n\n").map(str::trim).filter(|b| metric(b)).map(str::to_owned).collect();
    blocks.sort();
    blocks
}

#[test]
fn the_stock_pmda_goes_on_with_tables_that_have_further_clusters() {
    if !has("the_stock_pmda_goes_on_with_tables_that_have_further_clusters", &[PMCD, STOCK, SAMPLES]) {
        return;
    }
    let dir = Dir::new();
    let page = dir.write("page.txt", "known{l=\"b\"} 1\nknown{l=\"a\"} 2\nnew 3\n");
    let file = dir.write(
        "144.pmbridge",
        "pmbridge ids 1\nsource 1 gone\nsource 4 page\nfurther 3 1\nmetric 1.0 m\nmetric 3.0 n\nmetric 4.7 known\n\
         instance 4.7 0 + l:a\ninstance 4.7 3 + l:b\n",
    );
    let ours = dir.join("ours");
    std::fs::create_dir(&ours).unwrap();
    let finished = ids(&file, &["--to-stock"], &ours);
    assert_eq!(finished.code, 1, "what cannot be said is told: {finished:?}");
    assert!(finished.err.contains("gone: 1 names have numbers in its further cluster 3"), "{finished:?}");
    let sources = [("page".to_owned(), format!("file://{}", page.display()))];
    let pmcd = start(&sources, Some(&ours));
    let said = eventually("the metrics of the source", || {
        let said = run(tool("pminfo", pmcd.port).args(["-dmf", "openmetrics.page"])).out;
        said.contains("value 3").then_some(said)
    });
    for part in [
        "openmetrics.page.known PMID: 144.4.7",
        "InDom: 144.8199 ",
        "inst [0 or \"0 l:a\"] value 2",
        "inst [3 or \"3 l:b\"] value 1",
        "openmetrics.page.new PMID: 144.4.8",
    ] {
        assert!(said.contains(part), "{part} in\n{said}\n{}", pmcd.logs());
    }
}

#[test]
fn what_python_writes_is_read_and_what_is_written_python_reads() {
    if !has("what_python_writes_is_read_and_what_is_written_python_reads", &[PYTHON]) {
        return;
    }
    let dir = Dir::new();
    let [theirs, ours] = ["theirs", "ours"].map(|name| dir.join(name));
    for path in [&theirs, &ours] {
        std::fs::create_dir(path).unwrap();
    }
    // Strings of all planes and all bytes that mean something to a pickle; one object that comes twice.
    let program = "import pickle, random, sys\n\
        random.seed(1)\n\
        def name():\n\
        \x20   ranges = [(0, 32), (32, 127), (127, 256), (256, 0xd800), (0xe000, 0x110000), (92, 93)]\n\
        \x20   return ''.join(chr(random.randrange(*random.choice(ranges))) for _ in range(random.randrange(12)))\n\
        def table(serial, names, prefixed):\n\
        \x20   with open('%s/144.%d.py' % (sys.argv[1], serial), 'wb') as f:\n\
        \x20       pickle.dump(names, f, protocol=0)\n\
        \x20       pickle.dump(prefixed, f, protocol=0)\n\
        table(0, ['control', 'a'], False)\n\
        table(1, ['m%d' % i for i in range(1000)], False)\n\
        for i in range(999):\n\
        \x20   table(5120 + i, sorted({name() for _ in range(20)}), i % 2 == 0)\n\
        twice = name() + 'x'\n\
        table(5120 + 999, [twice, 'y', twice], False)\n";
    run(Command::new(PYTHON).args(["-c", program]).arg(&theirs)).ok();
    let file = dir.join("144.pmbridge");
    let finished = ids(&file, &["--from-stock"], &theirs);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(ids(&file, &["--to-stock"], &ours).code, 0);
    let (mut read, mut written) = (unpickled(&theirs), unpickled(&ours));
    let last = "144.6119.py";
    let table = std::fs::read(theirs.join(last)).unwrap();
    assert!(table.windows(5).any(|bytes| bytes == b"\nag1\n"), "a string that comes twice");
    assert!(written.remove(last).unwrap().starts_with("(['#0 has no name', 'y', "), "its last place counts");
    read.remove(last);
    assert!(read.len() == 1001 && read == written);
}

#[test]
fn what_ids_cannot_do_is_told() {
    let dir = Dir::new();
    let none = dir.join("none");
    let finished = ids(&none, &["--to-stock"], dir.path());
    assert!(finished.code == 2 && finished.err.contains(none.to_str().unwrap()), "{finished:?}");
    let finished = ids(&none, &["--from-stock"], dir.path());
    assert!(finished.code == 2 && finished.err.contains("no ids"), "{finished:?}");
    let finished = ids(&none, &["--to-stock", "x", "--from-stock"], dir.path());
    assert!(finished.code == 2 && finished.err.contains("exclude"), "{finished:?}");
    let evil =
        dir.write("evil/144.0.py", format!("cos\nsystem\n(S'touch {}'\ntR.", dir.join("ran").display()));
    let finished = ids(&none, &["--from-stock"], evil.parent().unwrap());
    assert!(finished.code == 2 && finished.err.contains("144.0.py: not taken over: byte 0"), "{finished:?}");
    assert!(!dir.join("ran").exists());
}
