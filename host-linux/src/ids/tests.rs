//! What the file promises, tried on disks that fail, processes that are killed and bytes that nobody wrote.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use fastrand::Rng;

use super::stock::{self, Everything};
use super::{Ids, Record, Stock, census, pickle, text};

/// A directory of one test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pmbridge-ids-{}-{serial}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("144.pmbridge")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    fn stock(&self) -> Stock<'_> {
        Stock { dir: &self.0, domain: 144 }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a store does with ids, and nothing else: it remembers, it gives the next number, it says what is new.
#[derive(Default)]
struct Store {
    sources: HashMap<String, u16>,
    metrics: HashMap<(u16, u16), String>,
    instances: HashMap<(u16, u16, String), u32>,
    next: HashMap<(u16, u16), u32>,
}

impl Store {
    fn remember(&mut self, record: Record<'_>) {
        match record {
            Record::Source { cluster, name } => drop(self.sources.insert(name.into(), cluster)),
            Record::Instance { cluster, item, id, name, .. } => {
                self.instances.insert((cluster, item, name.into()), id);
                let next = self.next.entry((cluster, item)).or_default();
                *next = (*next).max(id.checked_add(1).unwrap());
            }
            Record::Metric { cluster, item, name } => drop(self.metrics.insert((cluster, item), name.into())),
            Record::Further { .. } => {}
        }
    }

    /// A scrape: instances of the one metric of the one source.
    fn scrape(&mut self, names: &[&str], new: &mut dyn FnMut(Record<'_>)) {
        if self.sources.is_empty() {
            self.sources.insert("node".into(), 1);
            new(Record::Source { cluster: 1, name: "node" });
        }
        if self.metrics.is_empty() {
            self.metrics.insert((1, 0), "m".into());
            new(Record::Metric { cluster: 1, item: 0, name: "m" });
        }
        for &name in names {
            let next = self.next.entry((1, 0)).or_default();
            self.instances.entry((1, 0, name.into())).or_insert_with(|| {
                new(Record::Instance { cluster: 1, item: 0, id: *next, prefixed: true, name });
                let id = *next;
                *next = id.checked_add(1).unwrap();
                id
            });
        }
    }

    fn id(&self, name: &str) -> u32 {
        self.instances[&(1, 0, name.to_owned())]
    }
}

fn open(path: &Path) -> (Store, Ids, Vec<String>) {
    alone(|| open_once(path))
}

fn open_once(path: &Path) -> (Store, Ids, Vec<String>) {
    let mut store = Store::default();
    let (ids, notices) = Ids::open(path, None, &mut |record| store.remember(record));
    (store, ids, notices)
}

/// Opens again and again while it is said that another has the file: whatever another test starts has all of this
/// process's files, locks included, between its fork and its exec.
fn alone<T>(mut open: impl FnMut() -> (T, Ids, Vec<String>)) -> (T, Ids, Vec<String>) {
    loop {
        let opened = open();
        if !opened.2.iter().any(|notice| notice.contains("another pmbridge")) {
            return opened;
        }
        drop(opened);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn scrape(store: &mut Store, ids: &mut Ids, names: &[&str]) -> Option<String> {
    store.scrape(names, &mut |record| ids.add(record));
    ids.save()
}

fn everything(bytes: &[u8]) -> Everything {
    let mut all = Everything::default();
    census::read(bytes, &mut |record| all.take(record));
    all
}

#[test]
fn a_run_goes_on_where_the_last_one_ended() {
    let dir = Dir::new();
    let (mut store, mut ids, notices) = open(&dir.file());
    assert!(notices.is_empty());
    assert_eq!(scrape(&mut store, &mut ids, &["a", "b"]), None);
    assert_eq!(scrape(&mut store, &mut ids, &["c"]), None);
    assert_eq!(scrape(&mut store, &mut ids, &["a"]), None);
    drop(ids);
    let (mut store, mut ids, notices) = open(&dir.file());
    assert!(notices.is_empty());
    scrape(&mut store, &mut ids, &["d", "c"]);
    assert_eq!(["a", "b", "c", "d"].map(|name| store.id(name)), [0, 1, 2, 3]);
    assert_eq!(dir.names(), ["144.pmbridge"]);
    assert_eq!(fs::metadata(dir.file()).unwrap().permissions().mode() & 0o777, 0o644);
    let lines = fs::read_to_string(dir.file()).unwrap();
    assert!(lines.starts_with("pmbridge ids 1\n") && lines.ends_with("instance 1.0 3 + d\n"), "{lines}");
}

#[test]
fn a_line_that_was_torn_off_is_dropped_and_its_id_given_again() {
    let dir = Dir::new();
    let (mut store, mut ids, _) = open(&dir.file());
    scrape(&mut store, &mut ids, &["a", "b"]);
    drop(ids);
    let whole = fs::read(dir.file()).unwrap();
    let last = b"instance 1.0 1 + b\n".len();
    for cut in 1..last {
        fs::write(dir.file(), &whole[..whole.len().checked_sub(cut).unwrap()]).unwrap();
        let (mut store, mut ids, notices) = open(&dir.file());
        assert_eq!(notices.len(), 1, "{notices:?}");
        scrape(&mut store, &mut ids, &["b"]);
        assert_eq!(fs::read(dir.file()).unwrap(), whole, "{cut}");
    }
    assert_eq!(dir.names(), ["144.pmbridge"]);
}

#[test]
fn a_damaged_file_is_set_aside_and_what_can_be_read_is_kept() {
    let dir = Dir::new();
    let good = "source 1 node\nmetric 1.0 m\ninstance 1.0 0 + a\n";
    let bad = format!("pmbridge ids 1\n{good}\0\0\0\ninstance 1.0 0 + other\ninstance 1.0 7 + b\n");
    for n in 0..8 {
        fs::write(dir.file(), &bad).unwrap();
        let (mut store, mut ids, notices) = open(&dir.file());
        assert_eq!(notices.len(), 1, "{notices:?}");
        for part in [":5: not a record", "2 lines", "4 ids are kept", ".damaged"] {
            assert!(notices[0].contains(part), "{part}: {notices:?}");
        }
        scrape(&mut store, &mut ids, &["c"]);
        assert_eq!((store.id("a"), store.id("b"), store.id("c")), (0, 7, 8), "{n}");
        drop(ids);
        let (store, _, notices) = open(&dir.file());
        assert!(notices.is_empty() && store.id("c") == 8, "the new file is whole");
    }
    assert_eq!(dir.names().len(), 6, "a few are kept: {:?}", dir.names());
    assert_eq!(fs::read_to_string(dir.0.join("144.pmbridge.damaged")).unwrap(), bad);
    for bytes in [&b"\x7fELF"[..], b"pmbridge ids 2\nsource 1 a\n", b"\n", b"x"] {
        fs::write(dir.file(), bytes).unwrap();
        let (mut store, mut ids, notices) = open(&dir.file());
        assert!(notices.len() == 1 && notices[0].contains(":1: "), "{notices:?}");
        assert_eq!(scrape(&mut store, &mut ids, &["c"]), None);
        drop(ids);
        assert_eq!(open(&dir.file()).0.id("c"), 0);
    }
}

#[test]
fn an_empty_file_is_told_and_set_aside() {
    let dir = Dir::new();
    fs::write(dir.file(), "").unwrap();
    let (mut store, mut ids, notices) = open(&dir.file());
    assert!(notices.len() == 1 && notices[0].contains("is empty"), "{notices:?}");
    assert_eq!(scrape(&mut store, &mut ids, &["a"]), None);
    drop(ids);
    let (store, _, notices) = open(&dir.file());
    assert!(notices.is_empty() && store.id("a") == 0, "{notices:?}");
    assert_eq!(dir.names(), ["144.pmbridge", "144.pmbridge.damaged"]);
}

#[test]
fn a_second_process_goes_on_without_saving_and_takes_its_turn() {
    let dir = Dir::new();
    let (mut first, mut first_ids, _) = open(&dir.file());
    scrape(&mut first, &mut first_ids, &["a"]);
    let (mut second, mut second_ids, notices) = open_once(&dir.file());
    assert!(notices.len() == 1 && notices[0].contains("another pmbridge"), "{notices:?}");
    assert_eq!(second.id("a"), 0, "what is there is known");
    assert_eq!(scrape(&mut second, &mut second_ids, &["b"]), None, "told once");
    let before = fs::read(dir.file()).unwrap();
    drop(first_ids);
    let said = std::iter::repeat_with(|| {
        second_ids.add(Record::Source { cluster: 1, name: "node" });
        second_ids.save()
    });
    assert!(said.flatten().next().unwrap().contains("saved again"));
    scrape(&mut second, &mut second_ids, &["c"]);
    let after = fs::read(dir.file()).unwrap();
    assert!(after.starts_with(&before) && after.ends_with(b"source 1 node\ninstance 1.0 2 + c\n"));
    assert!(everything(&after).instances[&(1, 0)][&1].1 == "b");
    // One that the other has gone on with is left to it.
    let (mut third, mut third_ids, _) = open_once(&dir.file());
    scrape(&mut second, &mut second_ids, &["d"]);
    drop(second_ids);
    let said = std::iter::repeat_with(|| scrape(&mut third, &mut third_ids, &["e"])).flatten().next();
    assert!(said.unwrap().contains("other hands"));
    assert_eq!(scrape(&mut third, &mut third_ids, &["f"]), None);
    assert!(fs::read(dir.file()).unwrap().ends_with(b"+ d\n"));
}

#[test]
fn a_process_that_still_ends_is_waited_for() {
    let dir = Dir::new();
    let (mut first, mut first_ids, _) = open(&dir.file());
    scrape(&mut first, &mut first_ids, &["a"]);
    let ending = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(scrape(&mut first, &mut first_ids, &["b"]), None);
    });
    let (mut second, mut second_ids, notices) = open_once(&dir.file());
    ending.join().unwrap();
    assert!(notices.is_empty(), "{notices:?}");
    assert_eq!(["a", "b"].map(|name| second.id(name)), [0, 1], "also what it saved last");
    assert_eq!(scrape(&mut second, &mut second_ids, &["c"]), None);
    assert!(fs::read(dir.file()).unwrap().ends_with(b"instance 1.0 2 + c\n"));
}

#[test]
fn a_file_that_goes_or_is_another_is_noticed() {
    let dir = Dir::new();
    let (mut store, mut ids, _) = open(&dir.file());
    scrape(&mut store, &mut ids, &["a"]);
    fs::remove_file(dir.file()).unwrap();
    assert_eq!(scrape(&mut store, &mut ids, &["b"]), None);
    let all = everything(&fs::read(dir.file()).unwrap());
    assert_eq!(all.instances[&(1, 0)].len(), 2, "written whole again");
    fs::remove_file(dir.file()).unwrap();
    fs::write(dir.file(), "pmbridge ids 1\n").unwrap();
    assert!(scrape(&mut store, &mut ids, &["c"]).unwrap().contains("other hands"));
    assert_eq!(fs::read_to_string(dir.file()).unwrap(), "pmbridge ids 1\n");
}

#[test]
fn a_link_is_read_and_then_replaced() {
    let dir = Dir::new();
    let target = dir.0.join("elsewhere");
    fs::write(&target, "pmbridge ids 1\nsource 1 node\nmetric 1.0 m\ninstance 1.0 0 + a\n").unwrap();
    std::os::unix::fs::symlink(&target, dir.file()).unwrap();
    let before = fs::read(&target).unwrap();
    let (mut store, mut ids, notices) = open(&dir.file());
    assert!(notices.is_empty() && store.id("a") == 0, "{notices:?}");
    assert_eq!(scrape(&mut store, &mut ids, &["b"]), None);
    assert_eq!(fs::read(&target).unwrap(), before);
    assert!(fs::symlink_metadata(dir.file()).unwrap().is_file());
    drop(ids);
    assert_eq!(open(&dir.file()).0.id("b"), 1);
    let dangling = dir.0.join("dangling");
    std::os::unix::fs::symlink(dir.0.join("nothing"), &dangling).unwrap();
    let (mut store, mut ids, notices) = open(&dangling);
    let said = scrape(&mut store, &mut ids, &["b"]);
    assert!(
        said.is_some() != notices.iter().any(|notice| notice.contains("cannot be saved")),
        "{notices:?} {said:?}"
    );
    assert!(!dir.0.join("nothing").exists(), "nothing is made where a link points");
}

#[test]
fn what_is_not_writable_is_told_once_and_tried_again() {
    let dir = Dir::new();
    let path = dir.0.join("not/yet/144.pmbridge");
    let (mut store, mut ids, notices) = open(&path);
    assert!(notices.len() <= 1, "{notices:?}");
    let said = scrape(&mut store, &mut ids, &["a"]);
    assert_eq!(notices.len().checked_add(usize::from(said.is_some())), Some(1), "{notices:?} {said:?}");
    assert_eq!(scrape(&mut store, &mut ids, &["b"]), None);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(scrape(&mut store, &mut ids, &["c"]).unwrap().contains("saved again"));
    drop(ids);
    assert_eq!(open(&path).0.id("c"), 2, "nothing was lost");
    // A directory and a device in its place are no files either.
    for path in [dir.0.clone(), "/dev/null".into()] {
        let (mut store, mut ids, notices) = open(&path);
        assert!(!notices.is_empty());
        scrape(&mut store, &mut ids, &["a"]);
    }
}

#[test]
fn a_full_disk_is_told_once_and_tried_again() {
    // A disk of 64 KiB; only root may make one.
    let dir = Dir::new();
    let dir_path = dir.0.clone();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&dir_path).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        let _ = std::io::stderr().write_all(b"SKIPPED a_full_disk: a small disk cannot be mounted here\n");
        return;
    }
    let unmount = || Command::new("umount").arg("-l").arg(&dir_path).status();
    let told = std::panic::catch_unwind(|| {
        let (mut store, mut ids, _) = open(&dir.file());
        scrape(&mut store, &mut ids, &["a"]);
        let ballast = dir.0.join("ballast");
        let _ = fs::write(&ballast, vec![0; 1 << 16]);
        let long = "x".repeat(5000);
        let said = scrape(&mut store, &mut ids, &[&long]);
        assert!(said.as_ref().is_some_and(|said| said.contains("No space")), "{said:?}");
        assert_eq!(scrape(&mut store, &mut ids, &["b"]), None, "told once");
        fs::remove_file(&ballast).unwrap();
        assert!(scrape(&mut store, &mut ids, &["c"]).unwrap().contains("saved again"));
        drop(ids);
        let (store, _, notices) = open(&dir.file());
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!(["a", &long, "b", "c"].map(|name| store.id(name)), [0, 1, 2, 3]);
    });
    unmount().unwrap();
    told.unwrap();
}

/// The child of the test below: saves batch after batch, and tells each that is saved.
#[test]
#[ignore = "a part of another test"]
fn child_that_saves() {
    let Some(path) = std::env::var_os("PMBRIDGE_TEST_IDS") else { return };
    let (mut store, mut ids, notices) = open(Path::new(&path));
    assert!(notices.len() <= 1, "{notices:?}");
    let mut next = store.instances.len();
    loop {
        let names: Vec<_> = (0..50)
            .map(|_| {
                next = next.checked_add(1).unwrap();
                format!("name:{next} {}", "x".repeat(100))
            })
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(scrape(&mut store, &mut ids, &names), None);
        let mut out = std::io::stdout().lock();
        for name in names {
            // libtest holds back what print! says.
            writeln!(out, "saved {} {name}", store.id(name)).unwrap();
        }
    }
}

#[test]
fn what_was_told_is_there_after_a_kill() {
    let dir = Dir::new();
    let mut told: HashMap<String, u32> = HashMap::new();
    let mut random = Rng::with_seed(1);
    for _ in 0..50 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ids::tests::child_that_saves", "--ignored", "--nocapture"])
            .env("PMBRIDGE_TEST_IDS", dir.file())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let lines = random.usize(..600);
        let mut line = String::new();
        for n in 0.. {
            line.clear();
            if n == lines {
                child.kill().unwrap();
            }
            if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                break;
            }
            if let Some((id, name)) = line.trim_end().strip_prefix("saved ").and_then(|l| l.split_once(' ')) {
                let id = id.parse().unwrap();
                assert_eq!(*told.entry(name.into()).or_insert(id), id, "an id is given once");
            }
        }
        child.wait().unwrap();
        let all = everything(&fs::read(dir.file()).unwrap());
        let saved: HashMap<&str, u32> = match all.instances.get(&(1, 0)) {
            Some(saved) => saved.iter().map(|(&id, (_, name))| (name.as_str(), id)).collect(),
            None => HashMap::new(),
        };
        for (name, id) in &told {
            assert_eq!(saved.get(name.as_str()), Some(id), "{name}");
        }
    }
    assert!(told.len() > 1000, "{}", told.len());
    assert!(dir.names().iter().all(|name| !name.contains("damaged")), "{:?}", dir.names());
}

#[test]
fn stock_tables_are_taken_over_and_given_back() {
    let dir = Dir::new();
    let table = |serial: u32, names: &[&str], prefixed| {
        fs::write(dir.0.join(format!("144.{serial}.py")), pickle::emit(names.iter().copied(), prefixed))
            .unwrap();
    };
    table(0, &["control", "node", "broken", "sub.dir.x", "evil"], false);
    table(1, &["a:b", "c"], false);
    table(5120, &["cpu:0", "cpu:1 \n\\"], true);
    table(5121, &["disk"], false);
    fs::write(dir.0.join("144.2.py"), b"(lp0\nVa").unwrap();
    fs::write(dir.0.join("144.4.py"), b"cos\nsystem\n(S'touch x'\ntR.").unwrap();
    let mut all = Everything::default();
    let (ids, notices) = Ids::open(&dir.file(), Some(dir.stock()), &mut |record| all.take(record));
    drop(ids);
    assert_eq!(notices.len(), 3, "{notices:?}");
    assert!(
        notices[0].contains("10 ids are taken over") || notices[0].contains("9 ids are taken over"),
        "{notices:?}"
    );
    assert!(notices[1].contains("144.2.py") && notices[2].contains("144.4.py"), "{notices:?}");
    assert_eq!(all.sources[&3], "sub.dir.x");
    assert_eq!(all.metrics[&(1, 0)], "a:b");
    assert_eq!(all.instances[&(1, 0)][&1], (true, "cpu:1 \n\\".into()));
    assert_eq!(all.instances[&(1, 1)][&0], (false, "disk".into()));
    assert_eq!(everything(&fs::read(dir.file()).unwrap()), all, "the file has it at once");
    // The next start reads the file, whatever becomes of the tables.
    let other = Dir::new();
    fs::remove_file(dir.0.join("144.0.py")).unwrap();
    let (again, _, notices) = alone(|| {
        let mut again = Everything::default();
        let (ids, notices) = Ids::open(&dir.file(), Some(dir.stock()), &mut |record| again.take(record));
        (again, ids, notices)
    });
    assert!(notices.is_empty() && again == all, "{notices:?}");
    assert_eq!(stock::export(other.stock(), &all).unwrap(), [""; 0]);
    for serial in [1, 5120, 5121] {
        let name = format!("144.{serial}.py");
        assert_eq!(fs::read(other.0.join(&name)).unwrap(), fs::read(dir.0.join(&name)).unwrap(), "{name}");
    }
    let mut back = Everything::default();
    assert_eq!(stock::import(other.stock(), &mut |record| back.take(record)), [""; 0]);
    assert_eq!(back, all);
}

#[test]
fn numbers_without_a_name_and_further_clusters_survive_the_way_there_and_back() {
    let dir = Dir::new();
    let all = everything(
        b"pmbridge ids 1\nsource 2 a\nsource 5 b\nfurther 3 2\nmetric 2.1 m\nmetric 3.0 n\ninstance 2.1 0 = x\n\
          instance 2.1 2 = y\ninstance 3.0 1 + \n",
    );
    fs::write(dir.0.join("144.0.py"), "").unwrap();
    fs::set_permissions(dir.0.join("144.0.py"), fs::Permissions::from_mode(0o640)).unwrap();
    let notices = stock::export(dir.stock(), &all).unwrap();
    assert!(notices.len() == 1 && notices[0].contains("a: 1 names"), "{notices:?}");
    let metadata = fs::metadata(dir.0.join("144.0.py")).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o640, fs::metadata(&dir.0).unwrap().uid()));
    let mut back = Everything::default();
    assert_eq!(stock::import(dir.stock(), &mut |record| back.take(record)), [""; 0]);
    assert_eq!(back, all);
    assert!(dir.names().iter().all(|name| name.ends_with(".py")), "{:?}", dir.names());
    let sparse = everything(b"pmbridge ids 1\nsource 1 a\nmetric 1.0 m\ninstance 1.0 2147483647 = x\n");
    let notices = stock::export(dir.stock(), &sparse).unwrap();
    assert!(notices.len() == 1 && notices[0].contains("144.5120.py: not written"), "{notices:?}");
}

/// Bytes with a few of them changed, gone or doubled.
fn mutate(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..out.len().max(1));
        match random.usize(..5) {
            0 => out.truncate(at),
            1 => out.insert(at, random.u8(..)),
            2 if !out.is_empty() => drop(out.remove(at)),
            3 => out.extend_from_within(at..),
            _ if !out.is_empty() => out[at] = random.u8(..),
            _ => {}
        }
    }
    out
}

#[test]
fn no_bytes_make_a_reader_fall() {
    let file = b"pmbridge ids 1\n# x\nsource 1 a\nfurther 2 1\nmetric 1.0 m\\x0a\ninstance 1.0 0 + x\\\\\n";
    let table = pickle::emit(["a", "é日😀\\\n", ""], true);
    let mut random = Rng::with_seed(2);
    for round in 0..20_000_usize {
        let noise: Vec<u8> = (0..random.usize(..64)).map(|_| random.u8(..)).collect();
        let soup: Vec<u8> =
            (0..random.usize(..64)).map(|_| b"(lpgaeVSI.0123\\ux'\n\n\n"[random.usize(..21)]).collect();
        for bytes in [&noise, &soup, &mutate(&mut random, &table)] {
            if let Ok(table) = pickle::parse(bytes) {
                assert!(table.names.len() <= bytes.len());
            }
        }
        for bytes in [&noise, &mutate(&mut random, file)] {
            let mut kept = Vec::new();
            census::read(bytes, &mut |record| text::write(&mut kept, record));
            let again = [text::HEADER.as_bytes(), &kept].concat();
            assert_eq!(
                census::read(&again, &mut |_| {}).damage,
                None,
                "round {round}: what is kept is whole"
            );
        }
        if round.checked_rem(200) == Some(0) {
            let dir = Dir::new();
            fs::write(dir.file(), mutate(&mut random, file)).unwrap();
            let (mut store, mut ids, _) = open(&dir.file());
            // A source or a metric of another number is not what this store knows how to go on with.
            if store.sources.values().all(|&cluster| cluster == 1)
                && store.metrics.keys().all(|&of| of == (1, 0))
            {
                assert_eq!(scrape(&mut store, &mut ids, &["new"]), None);
            }
            drop(ids);
            let (_, _, notices) = open(&dir.file());
            assert!(notices.is_empty(), "{notices:?}");
        }
    }
}

/// Run with `--release --ignored --nocapture` to see how long a million instances take.
#[test]
#[ignore = "a measurement"]
fn a_million_instances_are_read() {
    let dir = Dir::new();
    let mut file = text::HEADER.as_bytes().to_vec();
    text::write(&mut file, Record::Source { cluster: 1, name: "node" });
    for item in 0..100 {
        text::write(&mut file, Record::Metric { cluster: 1, item, name: &format!("metric_{item}") });
        for id in 0..10_000 {
            let name = format!("cpu:{id} device:sda{item} mode:idle");
            text::write(&mut file, Record::Instance { cluster: 1, item, id, prefixed: true, name: &name });
        }
    }
    fs::write(dir.file(), &file).unwrap();
    let start = std::time::Instant::now();
    let mut count = 0_usize;
    let (_, notices) = Ids::open(&dir.file(), None, &mut |_| count = count.checked_add(1).unwrap());
    let took = start.elapsed();
    assert_eq!((count, notices.len()), (1_000_101, 0));
    let line = format!("{count} records of {} bytes in {took:?}\n", file.len());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
