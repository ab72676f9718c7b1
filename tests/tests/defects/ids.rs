//! Defects of tables on disk and of what goes away: D17, D20.

use std::path::PathBuf;
use std::process::Command;

use pmbridge_tests::{Answer, Dir, PYTHON, Pmcd, Pmda, Server, Setup, eventually, has, run};

use super::{assert_kept, can, log_lines, names, shown, values};

const TABLES: &str = "var/config/pmda";

/// The tables that the stock PMDA would have of one source with one metric, through Python's own pickle.
fn stock_tables(dir: &Dir) {
    let program = "import pickle, sys\n\
                   for name, list in (('0', ['control', 'm']), ('1', ['a', 'b']), ('5120', ['x:1'])):\n\
                   \x20   with open('%s/144.%s.py' % (sys.argv[1], name), 'wb') as file:\n\
                   \x20       pickle.dump(list, file, protocol=0)\n\
                   \x20       pickle.dump(True, file, protocol=0)\n";
    run(Command::new(PYTHON).args(["-c", program]).arg(dir.join(TABLES))).ok();
}

fn source() -> (Server, String) {
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"a{x=\"1\"} 1\nb 2\n".to_vec()));
    (server, url)
}

fn shows_all(pmcd: &Pmcd, why: &str) {
    eventually("the names", || (names(pmcd, "openmetrics.m").len() == 2).then_some(()));
    assert_eq!(values(pmcd, "openmetrics.m.b"), "value 2", "{why}\n{}", pmcd.logs());
    assert!(values(pmcd, "openmetrics.m.a").ends_with("value 1"), "{why}\n{}", pmcd.logs());
}

/// Tables of pickle are executed at start, and a damaged one is the end of the PMDA.
#[test]
fn d17_hostile_and_damaged_pickle_tables_are_set_aside() {
    if !can("d17_hostile_and_damaged_pickle_tables_are_set_aside") || !has("d17", &[PYTHON]) {
        return;
    }
    let (_server, url) = source();
    for table in ["144.0.py", "144.1.py", "144.5120.py"] {
        let here = Dir::new();
        let canary = here.join("pwned");
        let touch = format!("touch {}", canary.display());
        let damages: [(&str, Vec<u8>); 8] = [
            ("code by os.system", format!("cos\nsystem\n(S'{touch}'\ntR.").into_bytes()),
            ("code in a list", format!("(lp0\ncposix\nsystem\n(V{touch}\ntRa.I01\n.").into_bytes()),
            ("empty", Vec::new()),
            ("garbage", (0..=255).cycle().take(5000).collect()),
            ("cut off", b"(lp0\nVcontrol\np1\naVm".to_vec()),
            ("deep", b"(l".repeat(200_000)),
            ("another protocol", b"\x80\x04\x95\x10\0\0\0\0\0\0\0]\x94(\x8c\x07control\x94e.\x88.".to_vec()),
            ("numbers in place of names", b"(lp0\nI1\naI2\na.I01\n.".to_vec()),
        ];
        for (what, damage) in damages {
            let setup = Setup::new().source("m", &url);
            stock_tables(&setup.dir);
            setup.dir.write(&format!("{TABLES}/{table}"), damage);
            let pmcd = setup.start(Pmda::Ours);
            shows_all(&pmcd, &format!("{table}: {what}"));
            assert!(!canary.exists(), "{table}: {what} was executed");
            let log = pmcd.dir.read("pmda.log");
            assert!(log.contains(table), "{table}: {what}: no word on it in\n{log}");
        }
    }
}

/// The files beside the stock PMDA's tables.
fn own_tables(dir: &Dir) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join(TABLES)).unwrap().flatten().map(|entry| entry.path());
    files.filter(|path| path.extension().is_none_or(|extension| extension != "py")).collect()
}

/// Our own file of ids may be as damaged.
#[test]
fn d17_a_damaged_file_of_ids_is_set_aside() {
    if !can("d17_a_damaged_file_of_ids_is_set_aside") {
        return;
    }
    let (_server, url) = source();
    let damages: [(&str, fn(&[u8]) -> Vec<u8>); 6] = [
        ("empty", |_| Vec::new()),
        ("cut off", |bytes| bytes[..bytes.len() * 2 / 3].to_vec()),
        ("cut within the last line", |bytes| bytes[..bytes.len() - 2].to_vec()),
        ("garbage", |_| (0..=255).cycle().take(5000).collect()),
        // One of a name would make another name of it, and one of a comment nothing.
        ("a byte flipped", |bytes| {
            let mut bytes = bytes.to_vec();
            let metric = bytes.windows(8).position(|word| word == b"\nmetric ").unwrap();
            bytes[metric + 1] ^= 0x55;
            bytes
        }),
        ("a huge line", |_| vec![b'x'; 50 << 20]),
    ];
    for (what, damage) in damages {
        let pmcd = Setup::new().source("m", &url).start(Pmda::Ours);
        shows_all(&pmcd, "at first");
        let files = eventually("the file of ids", || {
            let files = own_tables(&pmcd.dir);
            (!files.is_empty()).then_some(files)
        });
        assert_eq!(files.len(), 1, "one file: {files:?}");
        let dir = pmcd.stop();
        let bytes = std::fs::read(&files[0]).unwrap();
        assert!(!bytes.is_empty());
        std::fs::write(&files[0], damage(&bytes)).unwrap();
        let pmcd = Setup::again(dir).start(Pmda::Ours);
        shows_all(&pmcd, what);
        let log = pmcd.dir.read("pmda.log");
        let name = files[0].file_name().unwrap().to_str().unwrap();
        let told = log.contains(name);
        let kept = own_tables(&pmcd.dir);
        assert!(told, "{what}: no word on {name} in\n{log}");
        // What ends in the middle of a line looks like a write that a crash cut short, whose lines before that are whole.
        if !what.starts_with("cut") {
            assert!(kept.len() >= 2, "{what}: the damaged file is kept for people: {kept:?}");
        }
    }
}

/// A directory in which nothing can be written costs the ids, not the PMDA.
#[test]
fn d17_no_place_for_ids_is_told_and_stops_nothing() {
    if !can("d17_no_place_for_ids_is_told_and_stops_nothing") {
        return;
    }
    let (_server, url) = source();
    let setup = Setup::new().source("m", &url);
    std::fs::remove_dir(setup.dir.join(TABLES)).unwrap();
    setup.dir.write(TABLES, "a file, not a directory");
    let pmcd = setup.start(Pmda::Ours);
    shows_all(&pmcd, "no directory");
    eventually("a word on it", || pmcd.dir.read("pmda.log").contains("config/pmda").then_some(()));
    let lines = log_lines(&pmcd);
    for _ in 0..5 {
        shows_all(&pmcd, "again");
    }
    assert!(log_lines(&pmcd) <= lines + 1, "{}", pmcd.logs());
}

/// What is removed: under 6.0 nothing is, and each fetch of a source without its file is logged as an error.
#[test]
fn d20_under_the_rules_of_6_0_a_removed_source_stays_without_values_and_noise() {
    if !can("d20_under_the_rules_of_6_0_a_removed_source_stays_without_values_and_noise") {
        return;
    }
    let (_server, url) = source();
    let setup = Setup::new().source("m", &url).source("stays", &url).args(&["--compat", "6.0"]);
    let pmcd = setup.start(Pmda::Ours);
    shows_all(&pmcd, "at first");
    let pmda = pmcd.pmda();
    std::fs::remove_file(pmcd.dir.join("config.d/m.url")).unwrap();
    eventually("no value", || values(&pmcd, "openmetrics.m.b").contains("Try again").then_some(()));
    assert_eq!(names(&pmcd, "openmetrics.m").len(), 2, "the names stay");
    let lines = log_lines(&pmcd);
    for _ in 0..10 {
        values(&pmcd, "openmetrics.m.b");
    }
    assert_eq!(log_lines(&pmcd), lines, "told again at each fetch:\n{}", pmcd.logs());
    pmcd.dir.write("config.d/m.url", url + "\n");
    eventually("the value", || (values(&pmcd, "openmetrics.m.b") == "value 2").then_some(()));
    assert_kept(&pmcd, pmda);
}

/// Under 7.2 names of removed sources go and come back with their ids; there, each look at the names logs a KeyError.
#[test]
fn d20_under_the_rules_of_7_2_a_removed_source_goes_and_comes_back_with_its_ids() {
    if !can("d20_under_the_rules_of_7_2_a_removed_source_goes_and_comes_back_with_its_ids") {
        return;
    }
    let (server, url) = source();
    let setup = Setup::new().source("m", &url).source("stays", &url).args(&["--compat", "7.2", "-R", "1"]);
    let pmcd = setup.start(Pmda::Ours);
    shows_all(&pmcd, "at first");
    let pmda = pmcd.pmda();
    let before = shown(&pmcd, &["openmetrics.m"]);
    for _ in 0..3 {
        std::fs::remove_file(pmcd.dir.join("config.d/m.url")).unwrap();
        eventually("no names", || names(&pmcd, "openmetrics.m").is_empty().then_some(()));
        assert!(!values(&pmcd, "openmetrics.control.status").contains("\"m\"]"), "instances of control go");
        assert_eq!(values(&pmcd, "openmetrics.stays.b"), "value 2");
        let lines = log_lines(&pmcd);
        for _ in 0..10 {
            names(&pmcd, "openmetrics");
        }
        assert_eq!(log_lines(&pmcd), lines, "told at each look:\n{}", pmcd.logs());
        pmcd.dir.write("config.d/m.url", format!("{url}\n"));
        eventually("the names", || (names(&pmcd, "openmetrics.m").len() == 2).then_some(()));
        assert_eq!(before, shown(&pmcd, &["openmetrics.m"]), "with their ids");
    }
    // A metric that vanishes from the document goes alone and comes back as it was.
    server.put("/m", Answer::Document(b"b 2\n".to_vec()));
    values(&pmcd, "openmetrics.m.b");
    eventually("the name to go", || (names(&pmcd, "openmetrics.m") == ["openmetrics.m.b"]).then_some(()));
    server.put("/m", Answer::Document(b"b 2\na{x=\"1\"} 1\n".to_vec()));
    values(&pmcd, "openmetrics.m.b");
    eventually("the name to come", || (names(&pmcd, "openmetrics.m").len() == 2).then_some(()));
    assert_eq!(before, shown(&pmcd, &["openmetrics.m"]), "with its ids");
    // Questions about names alone are enough, once the document is older than -R.
    server.put("/m", Answer::Document(b"b 2\n".to_vec()));
    eventually("the name to go unasked", || {
        (names(&pmcd, "openmetrics.m") == ["openmetrics.m.b"]).then_some(())
    });
    assert_kept(&pmcd, pmda);
}
