//! Directories of sources, as they are found and as they change.

use std::os::unix::fs::symlink;

use pmbridge_core::mapping::rules::{Fate, Rules as _};

use super::*;

/// A directory that is gone after the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pmbridge-sources-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str) -> PathBuf {
        let path = self.put(name, "#!/bin/sh\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn directory(&self) -> Directory {
        Directory::new(self.0.clone(), true)
    }

    /// Notices with the directory's own path cut off.
    fn said(&self, changes: &Changes) -> Vec<String> {
        let root = format!("{}/", self.0.display());
        changes.notices.iter().map(|notice| notice.to_string().replace(&root, "")).collect()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(sources: &[Source]) -> Vec<&str> {
    sources.iter().map(|source| source.name.as_str()).collect()
}

#[test]
fn names_and_their_order_are_those_of_the_stock_pmda() {
    let dir = Temporary::new("order");
    for name in
        ["b.url", "a.b.url", "a/z.url", "sub/dir/x.url", "B.url", "a-c.txt", ".hidden.url", ".git/x.url"]
    {
        dir.put(name, "http://h/\n");
    }
    symlink(dir.0.join("sub"), dir.0.join("link")).unwrap();
    symlink(dir.0.join("b.url"), dir.0.join("zlink.url")).unwrap();
    let changes = dir.directory().scan(&BTreeSet::new());
    assert_eq!(names(&changes.added), ["B", "a.b", "a.z", "b", "sub.dir.x", "zlink"]);
    assert_eq!(changes.notices, []);
    assert_eq!((changes.entries, changes.directories.len()), (6, 4));
}

#[test]
fn the_url_is_the_first_line_with_something_in_it() {
    let dir = Temporary::new("url");
    dir.put("a.url", "\u{feff}\r\n# comment\r\n\r\n  http://h:9/m  \r\n# more\r\n");
    dir.put("b.url", "file:///x");
    let changes = dir.directory().scan(&BTreeSet::new());
    assert_eq!(changes.notices, []);
    let urls: Vec<_> = changes.added.iter().map(|source| source.origin.to_string()).collect();
    assert_eq!(urls, ["http://h:9/m", "file:///x"]);
}

#[test]
fn what_cannot_be_used_is_named_once_and_the_rest_goes_on() {
    let dir = Temporary::new("notices");
    let no_url = format!("{}; the first line that is no comment is the URL", crate::url::Error::Scheme);
    dir.put("1st.url", "http://h/");
    dir.put("control.url", "http://h/");
    dir.script("a.sh");
    dir.put("a.url", "http://h/");
    dir.put("a..url", "http://h/");
    dir.put("b.url", "\n# nothing\n");
    dir.put("c.url", "FILTER: INCLUDE METRIC x\nhttp://h/\n");
    dir.put("e.url", "localhost:9100\n");
    dir.put("f.url/x.url", "http://h/");
    symlink("nowhere", dir.0.join("g.url")).unwrap();
    let mut directory = dir.directory();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(names(&changes.added), ["a", "b", "c", "e", "f.url.x"]);
    let unusable = |source: &&Source| matches!(source.origin, Origin::Unusable(_));
    let shown: Vec<_> = changes.added.iter().filter(unusable).map(|source| &*source.troubles).collect();
    let say = |name: &str| vec![format!("{name}.url:1: {no_url}")];
    assert_eq!(shown, [vec!["b.url: there is no URL in it".to_owned()], say("c"), say("e")]);
    assert_eq!(
        dir.said(&changes),
        [
            "ignored config file '1st.url', unsuitable for PCP namespace".into(),
            "ignored config file 'a..url', unsuitable for PCP namespace".into(),
            "a.url: ignored, a.sh has the same name".into(),
            "b.url: there is no URL in it".into(),
            format!("c.url:1: {no_url}"),
            "ignored config file 'control.url', 'openmetrics.control' is a reserved PMNS subtree".into(),
            format!("e.url:1: {no_url}"),
            "g.url: cannot be read: No such file or directory (os error 2)".into(),
        ]
    );
    let again = directory.scan(&BTreeSet::new());
    assert!(again.is_none() && again.notices.is_empty());
    fs::remove_file(dir.0.join("e.url")).unwrap();
    assert!(directory.scan(&BTreeSet::new()).notices.is_empty());
    dir.put("e.url", "localhost:9100\n");
    assert_eq!(dir.said(&directory.scan(&BTreeSet::new())), [format!("e.url:1: {no_url}")]);
}

#[test]
fn nothing_lies_where_the_control_metrics_are() {
    let dir = Temporary::new("reserved");
    let reserved = ["control.calls.url", "control.url", "control/deep/x.url"];
    for name in reserved {
        dir.put(name, "http://h/");
    }
    dir.script("control.sh");
    for name in ["controls.url", "control_x.url", "a.control.url", "Control.url"] {
        dir.put(name, "http://h/");
    }
    let changes = dir.directory().scan(&BTreeSet::new());
    assert_eq!(names(&changes.added), ["Control", "a.control", "control_x", "controls"]);
    let said = dir.said(&changes);
    for name in [&reserved[..], &["control.sh"]].concat() {
        let why = format!("ignored config file '{name}', 'openmetrics.control' is a reserved PMNS subtree");
        assert!(said.contains(&why), "{name}: {said:?}");
    }
    assert_eq!(said.len(), 4);
}

#[test]
fn a_bad_line_costs_itself_and_shows_in_the_source() {
    let dir = Temporary::new("lines");
    dir.put(
        "sub/d.url",
        "# x\r\nhttp://u:secret@h/\r\n\r\nHEADER: a b : c: d \r\nFILTER: INCLUDE .*\nFILTER: EXCLUDE METRIC x\n\
         METADATA: m u32 x counter byte\nMETADATA: m u32\nWHAT: ever secret\n  # fine\n filter: EXCLUDE METRIC z\n\
         hunter2\nHEADER: pass\u{1}word: secret\nHEADER: n: sec\u{1}ret\nHEADER: content-length: 5\n",
    );
    let mut directory = dir.directory();
    let changes = directory.scan(&BTreeSet::new());
    let [source] = &changes.added[..] else { panic!("{changes:?}") };
    assert_eq!((source.name.as_str(), source.headers.as_str()), ("sub.d", "ab: c: d\r\n"));
    assert!(!source.filter.takes("x1") && source.filter.takes("z"));
    assert_eq!(source.filter.describe("m").unwrap().kind, pmbridge_core::pcp::Type::U32);
    let spelling = "keywords are in capitals, at the start of the line, with a colon";
    let want = [
        "sub/d.url:5: FILTER line ignored: '.*' is neither METRIC nor LABEL".into(),
        "sub/d.url:8: METADATA line ignored: it takes a pattern, type, instance domain, semantics and units"
            .into(),
        "sub/d.url:9: http://h/ ignored unrecognised config entry \"WHAT ...\"".into(),
        format!("sub/d.url:11: http://h/ ignored unrecognised config entry \"filter ...\": {spelling}"),
        "sub/d.url:12: http://h/ ignored unrecognised config entry \"...\"".into(),
        "sub/d.url:13: HEADER line ignored: no header has such a name (HEADER: NAME: VALUE)".into(),
        "sub/d.url:14: HEADER line ignored: there is a control character in the value".into(),
        "sub/d.url:15: HEADER line ignored: a request without a body must not announce one".into(),
    ];
    assert_eq!(source.troubles, want);
    assert_eq!(dir.said(&changes), want);
    let shown = format!("{changes:?}");
    assert!(!shown.contains("secret") && !shown.contains("hunter2") && !shown.contains("c: d"), "{shown}");
}

#[test]
fn a_later_header_of_a_name_holds() {
    let dir = Temporary::new("headers");
    dir.put("a.url", "http://h\nHEADER: Accept: text/html\nHEADER: X\nHEADER: Y:  a  b\nHEADER:ACCEPT:*/*\n");
    let changes = dir.directory().scan(&BTreeSet::new());
    assert_eq!(changes.notices, []);
    assert_eq!(changes.added[0].headers, "X: \r\nY: a  b\r\nACCEPT: */*\r\n");
}

#[test]
fn the_files_of_the_tests_of_pcp_are_understood() {
    let dir = Temporary::new("qa");
    dir.put("labelfiltering.url", include_str!("../../../tests/data/config/labelfiltering.url"));
    dir.put("simple_metric.url", include_str!("../../../tests/data/config/simple_metric.url"));
    let changes = dir.directory().scan(&BTreeSet::new());
    let [labels, simple] = &changes.added[..] else { panic!("{changes:?}") };
    assert_eq!(
        labels.troubles,
        ["labelfiltering.url:16: FILTER line ignored: '.*' is neither METRIC nor LABEL"]
    );
    for (label, want) in
        [("uninteresting", Fate::Drop), ("removeme", Fate::Drop), ("def", Fate::Drop), ("xyz", Fate::Keep)]
    {
        assert_eq!(labels.filter.label(label), want, "{label}");
    }
    assert!(simple.filter.takes("metric1") && !simple.filter.takes("metric2"));
    assert_eq!(simple.headers.lines().count(), 8);
    assert!(simple.headers.contains("Someheader: has: colons: and spaces in: it!!!!!!\r\n"));
    assert_eq!(simple.troubles.len(), 1, "{:?}", simple.troubles);
}

#[test]
fn what_its_owner_may_execute_is_a_script() {
    let dir = Temporary::new("scripts");
    for name in ["a.b.sh", "c.url", "d", "sub/e.py"] {
        dir.script(name);
    }
    for name in ["f.sh", "g"] {
        dir.put(name, "#!/bin/sh\n");
    }
    let shared = dir.put("h.url", "http://h/\n");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o655)).unwrap();
    let mut directory = dir.directory();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(names(&changes.added), ["a.b", "c", "d", "h", "sub.e"]);
    assert_eq!(changes.added[1].origin, Origin::Script(dir.0.join("c.url")));
    assert_eq!(changes.added[3].origin, Origin::Url(Url::parse("http://h/").unwrap()));
    // One that becomes executable is a source from then on, and the other way round.
    dir.script("g");
    fs::set_permissions(dir.0.join("d"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(dir.0.join("c.url"), "http://h/").unwrap();
    fs::set_permissions(dir.0.join("c.url"), fs::Permissions::from_mode(0o644)).unwrap();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!((names(&changes.added), names(&changes.changed)), (vec!["g"], vec!["c"]));
    assert_eq!(changes.removed, ["d"]);
}

#[test]
fn an_edited_file_takes_effect_as_a_whole() {
    let dir = Temporary::new("edited");
    dir.put("a.url", "http://h/\nHEADER: A: 1\nFILTER: EXCLUDE METRIC x\nMETADATA: m u32 x counter\n");
    let mut directory = dir.directory();
    assert_eq!(names(&directory.scan(&BTreeSet::new()).added), ["a"]);
    let mut edit = |text: &str| {
        dir.put("a.url", text);
        directory.scan(&BTreeSet::new()).changed.pop()
    };
    let edited = edit("http://h/\nHEADER: B: 1\nFILTER: EXCLUDE METRIC y\n").unwrap();
    assert_eq!(edited.headers, "B: 1\r\n");
    assert!(edited.filter.takes("x") && !edited.filter.takes("y") && edited.filter.describe("m").is_none());
    // Comments and blanks are no change; each of the rest is.
    assert_eq!(edit("# new\n\nhttp://h/\nHEADER:  B:1\nFILTER:  EXCLUDE METRIC y\n"), None);
    assert!(edit("http://h/\nHEADER: B: 2\nFILTER: EXCLUDE METRIC y\n").is_some());
    assert!(edit("http://h/\nHEADER: B: 2\nFILTER: INCLUDE METRIC y\n").is_some());
    assert!(edit("http://h/\nHEADER: B: 2\n").is_some());
    assert!(edit("http://h/\nHEADER: B: 2\nMETADATA: m u32 x counter\n").is_some());
    assert!(edit("http://h/\nHEADER: B: 2\nMETADATA: m u64 x counter\n").is_some());
}

#[test]
fn a_file_that_has_not_changed_is_not_read_again() {
    let dir = Temporary::new("unchanged");
    for n in 0..500 {
        dir.put(&format!("s{n}.url"), "http://h/\nFILTER: INCLUDE .*\n");
    }
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let mut directory = dir.directory();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!((changes.added.len(), changes.read, changes.notices.len()), (500, 500, 500));
    assert_eq!(directory.scan(&BTreeSet::new()).read, 0);
    dir.put("s7.url", "http://h/\nFILTER: INCLUDE .*\n");
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!((changes.read, changes.is_none(), changes.notices.len()), (1, true, 0));
    // A file that was written to just now may be again, in no time at all.
    dir.put("s7.url", "http://i/\nFILTER: INCLUDE .*\n");
    assert_eq!(names(&directory.scan(&BTreeSet::new()).changed), ["s7"]);
}

#[test]
fn a_file_that_is_written_to_keeps_its_source_or_just_its_place() {
    let dir = Temporary::new("unfinished");
    let old = dir.put("a.url", "http://h/");
    let mut directory = dir.directory();
    directory.scan(&BTreeSet::new());
    dir.put("a.url", "");
    let new = dir.put("b.url", "");
    let link = dir.0.join("c.url");
    symlink(&new, &link).unwrap();
    let changes = directory.scan(&BTreeSet::from([old, new]));
    assert_eq!((names(&changes.added), names(&changes.changed)), (vec!["b", "c"], vec![]));
    assert!(changes.added.iter().all(|source| matches!(source.origin, Origin::Unusable(_))));
    assert!(changes.removed.is_empty() && changes.notices.is_empty(), "{changes:?}");
    let changes = directory.scan(&BTreeSet::new());
    let Changes { added, changed, removed, notices, .. } = changes;
    assert_eq!((added.len(), names(&changed), removed.len(), notices.len()), (0, vec!["a", "b", "c"], 0, 3));
}

#[test]
fn a_source_is_what_a_symlink_leads_to() {
    let dir = Temporary::new("symlinks");
    let elsewhere = Temporary::new("symlinks-elsewhere");
    let one = elsewhere.put("one.url", "http://one/");
    let two = elsewhere.put("two.url", "http://two/");
    let link = dir.0.join("a.url");
    symlink(&one, &link).unwrap();
    let mut directory = dir.directory();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!((names(&changes.added), changes.targets), (vec!["a"], vec![one.canonicalize().unwrap()]));
    fs::remove_file(&link).unwrap();
    symlink(&two, &link).unwrap();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(changes.changed[0].origin.to_string(), "http://two/");
    elsewhere.put("two.url", "http://three/");
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(changes.changed[0].origin.to_string(), "http://three/");
}

#[test]
fn a_file_too_long_is_used_up_to_its_last_whole_line() {
    let dir = Temporary::new("long");
    let lines = "FILTER: EXCLUDE METRIC x\n".repeat(100) + &"# comment\n".repeat(10_000);
    dir.put("a.url", &format!("http://h/\n{lines}"));
    let changes = dir.directory().scan(&BTreeSet::new());
    assert_eq!(dir.said(&changes), ["a.url: what lies beyond 64 KiB is ignored"]);
    assert!(!changes.added[0].filter.takes("x"));
}

/// Lines of pieces that mean something here, and of bytes that mean nothing, from a seed.
fn lines(seed: u64) -> Vec<u8> {
    const PIECES: [&[u8]; 32] = [
        b"FILTER:",
        b"HEADER:",
        b"METADATA:",
        b" ",
        b"  ",
        b"\t",
        b"\n",
        b"\r\n",
        b"INCLUDE ",
        b"EXCLUDE ",
        b"OPTIONAL ",
        b"METRIC ",
        b"LABEL ",
        b".*",
        b"(",
        b")",
        b"[a",
        b"]",
        b"{1000}",
        b"\\",
        b"u32 ",
        b"x ",
        b"counter ",
        b"100 ",
        b"byte",
        b"/",
        b"#",
        b":",
        b"\xff\xfe",
        "\u{feff}\u{e9}".as_bytes(),
        b"\0",
        b"http://h/\n",
    ];
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut next = move || dice.usize(..64);
    let mut out = if next() % 2 == 0 { b"http://h/\n".to_vec() } else { Vec::new() };
    for _ in 0..next() {
        match PIECES.get(next()) {
            Some(piece) => out.extend_from_slice(piece),
            None => out.push(u8::try_from(next().wrapping_mul(4)).unwrap()),
        }
    }
    out
}

#[test]
fn no_text_panics_or_leaves_the_request() {
    for seed in 1..20_000 {
        let text = lines(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15) | 1);
        let mut notices = Vec::new();
        let entry = Entry::parse(&text, Path::new("x.url"), &mut notices);
        if entry.url.is_none() {
            assert!(!notices.is_empty(), "{seed}");
            continue;
        };
        for field in entry.headers.split_inclusive("\r\n") {
            let field = field.strip_suffix("\r\n").unwrap();
            assert!(field.contains(": ") && !field.contains(['\r', '\n', '\0']), "{seed}: {field:?}");
        }
        for name in ["", "x", "metric1", "\u{e9}", "a:b"] {
            let _ = (entry.filter.takes(name), entry.filter.label(name), entry.filter.describe(name));
        }
        assert!(notices.iter().all(|notice| !notice.to_string().contains('\n')), "{seed}: {notices:?}");
    }
}

#[test]
fn changes_are_those_since_the_last_look() {
    let dir = Temporary::new("changes");
    for name in ["a.url", "b.url", "c.url"] {
        dir.put(name, "http://h/");
    }
    let mut directory = dir.directory();
    assert_eq!(names(&directory.scan(&BTreeSet::new()).added), ["a", "b", "c"]);
    assert!(directory.scan(&BTreeSet::new()).is_none());
    dir.put("b.url", "http://other/");
    dir.put("d.url", "http://h/");
    fs::remove_file(dir.0.join("a.url")).unwrap();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(names(&changes.added), ["d"]);
    assert_eq!(names(&changes.changed), ["b"]);
    assert_eq!(changes.removed, ["a"]);
    dir.put("a.url", "http://h/");
    assert_eq!(names(&directory.scan(&BTreeSet::new()).added), ["a"]);
}

#[test]
fn a_missing_directory_is_named_and_takes_nothing_away() {
    let dir = Temporary::new("missing");
    dir.put("a.url", "http://h/");
    let mut directory = dir.directory();
    assert_eq!(names(&directory.scan(&BTreeSet::new()).added), ["a"]);
    fs::remove_dir_all(&dir.0).unwrap();
    let changes = directory.scan(&BTreeSet::new());
    assert_eq!(changes.removed, [""; 0]);
    let said = changes.notices[0].to_string();
    assert!(said.contains(&*dir.0.to_string_lossy()) && said.contains("cannot be read"), "{said}");
    fs::create_dir_all(&dir.0).unwrap();
    assert_eq!(directory.scan(&BTreeSet::new()).removed, ["a"]);
}

#[test]
fn a_source_lies_in_what_could_not_be_read_or_not() {
    let root = Path::new("/c");
    for (path, name, want) in [
        ("/c", "a", true),
        ("/c/sub", "sub.x", true),
        ("/c/sub", "subx", false),
        ("/c/sub/dir", "sub.x", false),
    ] {
        assert_eq!(covers(root, Path::new(path), name), want, "{path} {name}");
    }
}
