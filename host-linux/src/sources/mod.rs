//! The sources of a configuration directory: which there are, and what has changed since the last look.
//!
//! A file that its owner may execute is a source, a script whose output is the document; any other is one if its name
//! ends in `.url`: see [`Entry`]. The source's name is the path below the directory without the last
//! extension, `/` read as `.`. Files are taken in the order of their full paths, byte by byte, for that order numbers
//! new sources; of two files of one name the first wins.
//!
//! What cannot be read or used costs itself only, and is said once until it is gone: see [`Notice`]. A file that has
//! not changed since the last look is not read again.

mod entry;
mod notice;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pmbridge_core::pcp::name;

use crate::filter::Filter;
use crate::log::Log;
use crate::names::is_at_or_below;
use crate::stamp::Stamp;
use crate::url::Url;
use entry::{Entry, MOST_BYTES};
pub(crate) use notice::Notice;
use notice::Trouble;
use walk::Walk;

/// One source: what it is called, where its document is, and what is taken of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name, which starts the names of its metrics.
    pub(crate) name: String,
    /// Where its document is.
    pub(crate) origin: Origin,
    /// Further request fields, each line with its CR LF. Never to be shown: they may hold secrets.
    pub(crate) headers: String,
    /// What is taken of the document.
    pub(crate) filter: Rc<Filter>,
    /// What is wrong with its file, as `node.url:3: why`.
    pub(crate) troubles: Vec<String>,
}

/// Where a source's document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A server, or a file.
    Url(Url),
    /// The output of a program.
    Script(PathBuf),
    /// Nowhere: this file names no URL that can be asked. The source has its number, and waits for it to be mended.
    Unusable(PathBuf),
}

impl Source {
    /// A source of which everything is taken as it comes.
    pub(crate) fn plain(name: String, origin: Origin) -> Self {
        Self { name, origin, headers: String::new(), filter: Rc::default(), troubles: Vec::new() }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, origin, filter, troubles, .. } = self;
        write!(f, "Source({name}, {origin:?}, {filter:?}, {troubles:?})")
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Script(path) | Self::Unusable(path) => path.display().fmt(f),
        }
    }
}

/// A directory of sources, and what was in it at the last look.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    sorted: bool,
    known: BTreeMap<String, Source>,
    read: HashMap<PathBuf, Text>,
    said: BTreeSet<Notice>,
}

/// What a look at the directory found. Sources are in the order in which they are to be numbered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Sources that were not there before.
    pub(crate) added: Vec<Source>,
    /// Sources of which anything but the name is another now.
    pub(crate) changed: Vec<Source>,
    /// Names of sources that are gone.
    pub(crate) removed: Vec<String>,
    /// What was not right and has not been said before.
    pub(crate) notices: Vec<Notice>,
    /// Every directory that was listed, for whoever watches them.
    pub(crate) directories: Vec<PathBuf>,
    /// Every file elsewhere that a symlink leads to.
    pub(crate) targets: Vec<PathBuf>,
    /// How many files are sources.
    pub(crate) entries: usize,
    /// How many files were read, as they are new or may have changed.
    pub(crate) read: usize,
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
        Self { path, sorted, known: BTreeMap::new(), read: HashMap::new(), said: BTreeSet::new() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at all of it, but for the text of files that somebody still writes to.
    ///
    /// A directory that cannot be read takes none of the sources away that were in it, nor does a file.
    pub(crate) fn scan(&mut self, unfinished: &BTreeSet<PathBuf>) -> Changes {
        let walk = Walk::below(&self.path, self.sorted);
        let mut look = Look {
            root: &self.path,
            unfinished,
            names: BTreeMap::new(),
            old: std::mem::take(&mut self.read),
            kept: HashMap::new(),
            read: 0,
            notices: walk.notices,
        };
        let mut changes = Changes::default();
        let mut found = BTreeSet::new();
        for path in &walk.files {
            let Some(source) = look.source(path) else { continue };
            // What a file said that cannot be read just now holds on.
            let unread = look.names.get(&source.name).is_some_and(|claim| claim.unread);
            if unread && self.known.contains_key(&source.name) {
                continue;
            }
            found.insert(source.name.clone());
            match self.known.insert(source.name.clone(), source.clone()) {
                None => changes.added.push(source),
                Some(known) if known != source => changes.changed.push(source),
                Some(_) => {}
            }
        }
        // A file that is there but cannot be read just now keeps its source.
        let unread = |name: &str| look.names.get(name).is_some_and(|claim| claim.unread);
        let hidden = |name: &str| walk.unread.iter().any(|path| covers(&self.path, path, name));
        let gone = self.known.keys().filter(|name| !found.contains(*name) && !unread(name) && !hidden(name));
        changes.removed = gone.cloned().collect();
        for name in &changes.removed {
            self.known.remove(name);
        }
        changes.notices = look.notices.iter().filter(|notice| !self.said.contains(notice)).cloned().collect();
        self.said = look.notices.into_iter().collect();
        self.read = look.kept;
        Changes {
            directories: walk.directories,
            targets: walk.targets,
            entries: found.len(),
            read: look.read,
            ..changes
        }
    }
}

/// Whether a source of this name may lie in a directory (or be the file) that could not be read.
fn covers(root: &Path, path: &Path, name: &str) -> bool {
    let Some(prefix) = dotted(root, path) else { return true };
    prefix.is_empty() || is_at_or_below(name.as_bytes(), prefix.as_bytes())
}

/// Who holds a name.
#[derive(Debug)]
struct Claim<'a> {
    path: &'a Path,
    unread: bool,
}

/// What a file said when it was read, and which state of it that was.
#[derive(Debug)]
struct Text {
    stamp: Stamp,
    /// Whether a change since then would show in the stamp.
    settled: bool,
    entry: Entry,
    notices: Vec<Notice>,
}

/// One look at the files of a directory.
struct Look<'a> {
    root: &'a Path,
    unfinished: &'a BTreeSet<PathBuf>,
    names: BTreeMap<String, Claim<'a>>,
    old: HashMap<PathBuf, Text>,
    kept: HashMap<PathBuf, Text>,
    read: usize,
    notices: Vec<Notice>,
}

impl<'a> Look<'a> {
    /// The source in a file, unless it is none; a file that holds a name keeps it from later ones.
    fn source(&mut self, path: &'a Path) -> Option<Source> {
        let is_url = path.extension().is_some_and(|extension| extension == "url");
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) => {
                if is_url {
                    self.say(path, Trouble::unreadable(&error));
                }
                return None;
            }
        };
        let is_script = meta.permissions().mode() & OWNER_EXECUTES != 0;
        if !meta.is_file() || !(is_script || is_url) {
            return None;
        }
        let name = self.claim(path)?;
        if is_script {
            return Some(Source::plain(name, Origin::Script(path.into())));
        }
        let Entry { url, headers, filter } = self.entry(path, &name, Stamp::of(&meta))?;
        let origin = url.map_or_else(|| Origin::Unusable(path.into()), Origin::Url);
        let mine = self.notices.iter().filter(|notice| notice.is_about(path));
        let troubles = mine.map(|notice| notice.within(self.root)).collect();
        Some(Source { name, origin, headers, filter, troubles })
    }

    /// The name of the source in a file, if it may have it.
    fn claim(&mut self, path: &'a Path) -> Option<String> {
        let name = dotted(self.root, &path.with_extension("")).filter(|name| name::is_source(name));
        let Some(name) = name else {
            self.say(path, Trouble::Name);
            return None;
        };
        if name.split('.').next() == Some(CONTROL) {
            self.say(path, Trouble::Control);
            return None;
        }
        if let Some(holder) = self.names.get(&name) {
            let first = holder.path.into();
            self.say(path, Trouble::Twice(first));
            return None;
        }
        self.names.insert(name.clone(), Claim { path, unread: false });
        Some(name)
    }

    /// What a `.url` file says, unless somebody is still writing it.
    fn entry(&mut self, path: &Path, name: &str, stamp: Stamp) -> Option<Entry> {
        let text = match self.old.remove(path).filter(|text| text.settled && text.stamp == stamp) {
            Some(text) => text,
            // One that is still being written has its number in the order of paths already, as if it could not be read.
            None if self.is_unfinished(path) => {
                self.mark_unread(name);
                return Some(Entry::default());
            }
            None => match read_short(path) {
                Ok(bytes) => {
                    self.read = self.read.saturating_add(1);
                    let mut notices = Vec::new();
                    let entry = Entry::parse(&bytes, path, &mut notices);
                    Text { stamp, settled: stamp.age() > SETTLED, entry, notices }
                }
                Err(error) => {
                    self.mark_unread(name);
                    self.say(path, Trouble::unreadable(&error));
                    return Some(Entry::default());
                }
            },
        };
        self.notices.extend(text.notices.iter().cloned());
        let entry = text.entry.clone();
        self.kept.insert(path.into(), text);
        Some(entry)
    }

    fn is_unfinished(&self, path: &Path) -> bool {
        let is = |path: &Path| self.unfinished.contains(path);
        !self.unfinished.is_empty() && (is(path) || fs::canonicalize(path).is_ok_and(|path| is(&path)))
    }

    fn mark_unread(&mut self, name: &str) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.unread = true;
        }
    }

    fn say(&mut self, path: &Path, trouble: Trouble) {
        self.notices.push(Notice::file(path, trouble));
    }
}

/// The start of a file, one byte more than is used of it.
fn read_short(path: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A path below `root` with `/` as `.`; `None` where it is no text.
fn dotted(root: &Path, path: &Path) -> Option<String> {
    Some(path.strip_prefix(root).ok()?.to_str()?.replace('/', "."))
}

/// What starts the names of the control metrics, and of nothing else.
const CONTROL: &str = "control";
const OWNER_EXECUTES: u32 = 0o100;
/// Milliseconds after which a file's times are other ones if it is written to: times are those of the kernel's last tick,
/// so a file that was written to just now may be written to again and look the same.
const SETTLED: i64 = 1000;

#[cfg(test)]
mod tests;
