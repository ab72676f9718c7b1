//! The sources of a configuration directory: which there are, and what has changed since the last look.
//!
//! Each `DIR/**/*.url` file is a source. Its name is its path below DIR without the extension, `/` read as `.`; the
//! first line that is neither blank nor a comment is its URL. Dotfiles are ignored, symlinked directories not followed.
//! Files are taken in the order of their full paths, byte by byte, for that order numbers new sources; of two files of
//! one name the first wins, a script among them.
//!
//! What cannot be read or used costs itself only, and is said once until it is gone: see [`Notice`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::log::{Level, Log};
use crate::url::{self, Url};

/// One source: what it is called and where its document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name, which starts the names of its metrics.
    pub(crate) name: String,
    /// Where its document is.
    pub(crate) url: Url,
    /// What is wrong with its file, as `FILE:LINE: what`; empty when all is well.
    pub(crate) troubles: Vec<String>,
}

/// A directory of sources, and what was in it at the last look.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    sorted: bool,
    known: BTreeMap<String, Url>,
    said: BTreeSet<Notice>,
}

/// What a look at the directory found. Sources are in the order in which they are to be numbered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources that were not there before.
    pub(crate) added: Vec<Source>,
    /// Sources whose URL is another now.
    pub(crate) changed: Vec<Source>,
    /// Names of sources that are gone.
    pub(crate) removed: Vec<String>,
    /// What was not right and has not been said before.
    pub(crate) notices: Vec<Notice>,
    /// Every directory that was read, for whoever watches them.
    pub(crate) directories: Vec<PathBuf>,
    /// How many files are sources.
    pub(crate) entries: usize,
}

impl Changes {
    /// Whether the sources are those of the last look.
    pub(crate) fn is_none(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Logs the notices.
    pub(crate) fn log_notices(&self, log: &Log) {
        for notice in &self.notices {
            log.write(notice.level(), notice);
        }
    }
}

impl Directory {
    /// A directory that nobody has looked at yet. Unsorted files are taken as the file system gives them.
    pub(crate) fn new(path: PathBuf, sorted: bool) -> Self {
        Self { path, sorted, known: BTreeMap::new(), said: BTreeSet::new() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at all of it.
    ///
    /// A directory that cannot be read takes none of the sources away that were in it.
    pub(crate) fn scan(&mut self) -> Changes {
        let mut walk = Walk::default();
        walk.enter(&self.path);
        if self.sorted {
            walk.files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        }
        let mut changes = Changes { directories: walk.directories, ..Changes::default() };
        let mut names = BTreeMap::new();
        let mut found = BTreeSet::new();
        for path in &walk.files {
            let Some(source) = read(&self.path, path, &mut names, &mut walk.notices) else { continue };
            found.insert(source.name.clone());
            match self.known.insert(source.name.clone(), source.url.clone()) {
                None => changes.added.push(source),
                Some(url) if url != source.url => changes.changed.push(source),
                Some(_) => {}
            }
        }
        changes.entries = found.len();
        // A file that is there but cannot be read just now keeps its source.
        let unread = |name: &str| names.get(name).is_some_and(|claim: &Claim<'_>| claim.unread);
        let hidden = |name: &str| walk.unread.iter().any(|path| covers(&self.path, path, name));
        let gone = self.known.keys().filter(|name| !found.contains(*name) && !unread(name) && !hidden(name));
        changes.removed = gone.cloned().collect();
        for name in &changes.removed {
            self.known.remove(name);
        }
        changes.notices = walk.notices.iter().filter(|notice| !self.said.contains(notice)).cloned().collect();
        self.said = walk.notices.into_iter().collect();
        changes
    }
}

/// Whether a source of this name may lie in a directory (or be the file) that could not be read.
fn covers(root: &Path, path: &Path, name: &str) -> bool {
    let Some(prefix) = dotted(root, path) else { return true };
    prefix.is_empty()
        || name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The files below a directory.
#[derive(Debug, Default)]
struct Walk {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    unread: Vec<PathBuf>,
    notices: Vec<Notice>,
}

impl Walk {
    fn enter(&mut self, directory: &Path) {
        // Watched even if it cannot be read: it may become readable.
        self.directories.push(directory.into());
        if let Err(error) = self.list(directory) {
            // What was removed as we looked is gone, not unreadable; the top must be there.
            if error.kind() != io::ErrorKind::NotFound || self.directories.len() == 1 {
                self.notices.push(Notice::new(directory, Trouble::Unreadable(error.to_string())));
                self.unread.push(directory.into());
            }
        }
    }

    fn list(&mut self, directory: &Path) -> io::Result<()> {
        let mut below = vec![];
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // A symlink counts as a file unless it leads to a directory.
            match entry.file_type()? {
                kind if kind.is_dir() => below.push(path),
                kind if kind.is_symlink() && path.is_dir() => {}
                _ => self.files.push(path),
            }
        }
        for path in below {
            self.enter(&path);
        }
        Ok(())
    }
}

/// Who holds a name.
#[derive(Debug)]
struct Claim<'a> {
    path: &'a Path,
    unread: bool,
}

/// The source in a file, unless it is none; a file that holds a name keeps it from later ones.
fn read<'a>(
    root: &Path,
    path: &'a Path,
    names: &mut BTreeMap<String, Claim<'a>>,
    notices: &mut Vec<Notice>,
) -> Option<Source> {
    let mut say = |trouble| notices.push(Notice::new(path, trouble));
    let is_url = path.extension().is_some_and(|extension| extension == "url");
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            if is_url {
                say(Trouble::Unreadable(error.to_string()));
            }
            return None;
        }
    };
    let is_script = meta.permissions().mode() & OWNER_EXECUTES != 0;
    if !meta.is_file() || !(is_script || is_url) {
        return None;
    }
    let name = dotted(root, &path.with_extension("")).filter(|name| is_name(name));
    let Some(name) = name else {
        say(Trouble::Name);
        return None;
    };
    if name == "control" {
        say(Trouble::Control);
        return None;
    }
    if let Some(holder) = names.get(&name) {
        say(Trouble::Twice(holder.path.into()));
        return None;
    }
    let claim = names.entry(name.clone()).or_insert(Claim { path, unread: false });
    if is_script {
        say(Trouble::Script);
        return None;
    }
    match read_short(path) {
        Ok(bytes) => parse(&String::from_utf8_lossy(&bytes), path, notices).map(|url| Source {
            name,
            url,
            troubles: Vec::new(),
        }),
        Err(error) => {
            claim.unread = true;
            say(Trouble::Unreadable(error.to_string()));
            None
        }
    }
}

/// The start of a file, which is long enough for any source.
fn read_short(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is read of a file: no source needs more.
const MOST_BYTES: u64 = 64 << 10;

/// The URL that a file gives; its other lines are noticed.
fn parse(text: &str, path: &Path, notices: &mut Vec<Notice>) -> Option<Url> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = (1..).zip(text.lines().map(str::trim));
    let mut lines = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((number, first)) = lines.next() else {
        notices.push(Notice::new(path, Trouble::Empty));
        return None;
    };
    let url = Url::parse(first);
    for (number, line) in lines {
        let trouble = match KEYWORDS.iter().find(|keyword| line.starts_with(**keyword)) {
            Some(keyword) => Trouble::Unsupported(keyword.trim_end_matches(':')),
            None => Trouble::Entry(url.as_ref().map(Url::to_string).unwrap_or_default(), line.into()),
        };
        notices.push(Notice { line: number, ..Notice::new(path, trouble) });
    }
    match url {
        Ok(url) => Some(url),
        Err(error) => {
            notices.push(Notice { line: number, ..Notice::new(path, Trouble::Url(error)) });
            None
        }
    }
}

/// A path below `root` with `/` as `.`; `None` where it is no text.
fn dotted(root: &Path, path: &Path) -> Option<String> {
    Some(path.strip_prefix(root).ok()?.to_str()?.replace('/', "."))
}

/// Whether the name space can take a name: a letter, then letters, digits, `_` and `.`.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

/// Something about a file that its owner should know. The rest goes on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    path: PathBuf,
    /// 0 where it is about the file as a whole.
    line: usize,
    trouble: Trouble,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Unreadable(String),
    Name,
    Control,
    Twice(PathBuf),
    Script,
    Empty,
    Url(url::Error),
    Unsupported(&'static str),
    Entry(String, String),
}

impl Notice {
    fn new(path: &Path, trouble: Trouble) -> Self {
        Self { path: path.into(), line: 0, trouble }
    }

    /// How much it matters.
    pub(crate) fn level(&self) -> Level {
        match self.trouble {
            Trouble::Unreadable(_) | Trouble::Url(_) => Level::Error,
            _ => Level::Warning,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, trouble } = self;
        let path = path.display();
        match trouble {
            // These three have the words that PCP's tests look for.
            Trouble::Name => return write!(f, "ignored config file '{path}', unsuitable for PCP namespace"),
            Trouble::Control => {
                return write!(
                    f,
                    "ignored config file '{path}', 'openmetrics.control' is a reserved PMNS subtree"
                );
            }
            Trouble::Entry(url, entry) => {
                // The first word only: what follows may be a secret that was to be a HEADER.
                let word = entry.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
                return write!(f, "{path}:{line}: {url} ignored unrecognised config entry \"{word} ...\"");
            }
            _ => {}
        }
        match line {
            0 => write!(f, "{path}: ")?,
            line => write!(f, "{path}:{line}: ")?,
        }
        match trouble {
            Trouble::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Trouble::Twice(first) => write!(f, "ignored, {} has the same name", first.display()),
            Trouble::Script => write!(f, "scripts are not supported yet"),
            Trouble::Empty => write!(f, "ignored, there is no URL in it"),
            Trouble::Url(why) => write!(f, "{why}"),
            Trouble::Unsupported(what) => write!(f, "{what} is not supported yet, the line is ignored"),
            Trouble::Name | Trouble::Control | Trouble::Entry(..) => Ok(()),
        }
    }
}

const OWNER_EXECUTES: u32 = 0o100;
const KEYWORDS: [&str; 3] = ["HEADER:", "FILTER:", "METADATA:"];

#[cfg(test)]
mod tests {
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
        std::os::unix::fs::symlink(dir.0.join("sub"), dir.0.join("link")).unwrap();
        std::os::unix::fs::symlink(dir.0.join("b.url"), dir.0.join("zlink.url")).unwrap();
        let changes = dir.directory().scan();
        assert_eq!(names(&changes.added), ["B", "a.b", "a.z", "b", "sub.dir.x", "zlink"]);
        assert_eq!(changes.notices, []);
        assert_eq!((changes.entries, changes.directories.len()), (6, 4));
    }

    #[test]
    fn the_url_is_the_first_line_with_something_in_it() {
        let dir = Temporary::new("url");
        dir.put("a.url", "\u{feff}\r\n# comment\r\n\r\n  http://h:9/m  \r\n# more\r\n");
        dir.put("b.url", "file:///x");
        let changes = dir.directory().scan();
        assert_eq!(changes.notices, []);
        let urls: Vec<_> = changes.added.iter().map(|source| source.url.to_string()).collect();
        assert_eq!(urls, ["http://h:9/m", "file:///x"]);
    }

    #[test]
    fn what_cannot_be_used_is_named_once_and_the_rest_goes_on() {
        let dir = Temporary::new("notices");
        dir.put("1st.url", "http://h/");
        dir.put("control.url", "http://h/");
        dir.put("a.sh", "#!/bin/sh\n");
        fs::set_permissions(dir.0.join("a.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        dir.put("a.url", "http://h/");
        dir.put("b.url", "\n# nothing\n");
        dir.put("c.url", "https://h/\n");
        dir.put(
            "d.url",
            "# x\nhttp://u:secret@h/\nHEADER: a: b\n\nFILTER: EXCLUDE METRIC x\nMETADATA: x\nWHAT: ever\n",
        );
        dir.put("e.url", "localhost:9100\n");
        dir.put("f.url/x.url", "http://h/");
        std::os::unix::fs::symlink("nowhere", dir.0.join("g.url")).unwrap();
        let mut directory = dir.directory();
        let changes = directory.scan();
        assert_eq!(names(&changes.added), ["d", "f.url.x"]);
        assert_eq!(
            dir.said(&changes),
            [
                "ignored config file '1st.url', unsuitable for PCP namespace",
                "a.sh: scripts are not supported yet",
                "a.url: ignored, a.sh has the same name",
                "b.url: ignored, there is no URL in it",
                "c.url:1: https:// is not supported yet",
                "ignored config file 'control.url', 'openmetrics.control' is a reserved PMNS subtree",
                "d.url:3: HEADER is not supported yet, the line is ignored",
                "d.url:5: FILTER is not supported yet, the line is ignored",
                "d.url:6: METADATA is not supported yet, the line is ignored",
                "d.url:7: http://h/ ignored unrecognised config entry \"WHAT ...\"",
                "e.url:1: not an http:// or file:// URL",
                "g.url: cannot be read: No such file or directory (os error 2)",
            ]
        );
        let again = directory.scan();
        assert!(again.is_none() && again.notices.is_empty());
        fs::remove_file(dir.0.join("e.url")).unwrap();
        assert!(directory.scan().notices.is_empty());
        dir.put("e.url", "localhost:9100\n");
        assert_eq!(dir.said(&directory.scan()), ["e.url:1: not an http:// or file:// URL"]);
    }

    #[test]
    fn changes_are_those_since_the_last_look() {
        let dir = Temporary::new("changes");
        for name in ["a.url", "b.url", "c.url"] {
            dir.put(name, "http://h/");
        }
        let mut directory = dir.directory();
        assert_eq!(names(&directory.scan().added), ["a", "b", "c"]);
        assert!(directory.scan().is_none());
        dir.put("b.url", "http://other/");
        dir.put("d.url", "http://h/");
        fs::remove_file(dir.0.join("a.url")).unwrap();
        let changes = directory.scan();
        assert_eq!(names(&changes.added), ["d"]);
        assert_eq!(names(&changes.changed), ["b"]);
        assert_eq!(changes.removed, ["a"]);
        dir.put("a.url", "http://h/");
        assert_eq!(names(&directory.scan().added), ["a"]);
    }

    #[test]
    fn a_missing_directory_is_named_and_takes_nothing_away() {
        let dir = Temporary::new("missing");
        dir.put("a.url", "http://h/");
        let mut directory = dir.directory();
        assert_eq!(names(&directory.scan().added), ["a"]);
        fs::remove_dir_all(&dir.0).unwrap();
        let changes = directory.scan();
        assert_eq!(changes.removed, [""; 0]);
        let said = changes.notices[0].to_string();
        assert!(said.contains(&*dir.0.to_string_lossy()) && said.contains("cannot be read"), "{said}");
        fs::create_dir_all(&dir.0).unwrap();
        assert_eq!(directory.scan().removed, ["a"]);
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
}
