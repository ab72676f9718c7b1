//! The kernel says when a directory of sources changes, so that nobody has to look.
//!
//! inotify queues an event within the call that changes a directory: who drains the queue before answering a request
//! knows of every file that was there when the request was sent. What comes in a burst is looked at once, unless a
//! request asks. A file that somebody writes to is left alone until it is closed, or nobody has written for a
//! [`WRITING`]. Where there is nothing to watch, as the directory is missing or may not be read, changes are supposed
//! once a [`LOOK`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags as Mask, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// Watches over directories.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Inotify,
    watched: HashMap<WatchDescriptor, Watched>,
    /// The directories and files that need not be added again.
    known: BTreeSet<PathBuf>,
    /// Files that somebody writes to, and since when nobody has.
    unfinished: BTreeMap<PathBuf, Instant>,
    /// Something has changed that nobody has looked at.
    changed: bool,
    /// When it was looked at last.
    looked: Option<Instant>,
    /// A directory that was listed before it was watched may have changed in between.
    fresh: bool,
    /// Since when some directory has not been watched.
    blind: Option<Instant>,
}

/// One directory that the kernel tells about.
#[derive(Debug, Default)]
struct Watched {
    path: PathBuf,
    /// All of it is of interest.
    whole: bool,
    /// Else only files of these names, for symlinks lead there.
    names: BTreeSet<OsString>,
}

impl Watch {
    /// A watch over nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self {
            inotify,
            watched: HashMap::new(),
            known: BTreeSet::new(),
            unfinished: BTreeMap::new(),
            changed: false,
            looked: None,
            fresh: false,
            blind: None,
        })
    }

    /// What to register for readability.
    pub(crate) fn fd(&self) -> RawFd {
        self.inotify.as_fd().as_raw_fd()
    }

    /// Watches over these directories too, as far as they are there, and over these files elsewhere.
    ///
    /// An error means that changes may go unseen, as the kernel gives no more watches; what is watched stays so.
    pub(crate) fn add(&mut self, directories: &[PathBuf], files: &[PathBuf]) -> io::Result<()> {
        self.blind = None;
        for directory in directories {
            if !self.known.contains(directory) {
                self.add_directory(directory)?;
            }
        }
        for file in files {
            if !self.known.contains(file) {
                self.add_file(file)?;
            }
        }
        Ok(())
    }

    fn add_directory(&mut self, path: &Path) -> io::Result<()> {
        match self.inotify.add_watch(path, changes()) {
            Ok(wd) => {
                let watched = self.watched.entry(wd).or_default();
                self.fresh |= !watched.whole;
                watched.whole = true;
                watched.path = path.into();
                self.known.insert(path.into());
                Ok(())
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {
                self.blind = Some(Instant::now());
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn add_file(&mut self, path: &Path) -> io::Result<()> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        match self.inotify.add_watch(directory, changes()) {
            Ok(wd) => {
                let watched = self.watched.entry(wd).or_default();
                if !watched.whole {
                    watched.path = directory.into();
                }
                self.fresh |= watched.names.insert(name.into());
                self.known.insert(path.into());
                Ok(())
            }
            // The symlink leads nowhere.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is nothing to look for but what the kernel may have to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.changed && !self.fresh && self.blind.is_none() && self.unfinished.is_empty()
    }

    /// Whether to look again: anything has changed, or may have. A request that `asks` must know at once.
    pub(crate) fn has_changed(&mut self, asks: bool) -> bool {
        self.drain();
        let now = Instant::now();
        self.unfinished.retain(|_, since| {
            let ended = now.duration_since(*since) >= WRITING;
            self.changed |= ended;
            !ended
        });
        let wants = self.changed || self.fresh || self.blind.is_some_and(|since| since.elapsed() >= LOOK);
        let soon = self.looked.is_some_and(|at| now.duration_since(at) < BURST);
        if !wants || soon && !asks {
            return false;
        }
        (self.changed, self.fresh, self.looked) = (false, false, Some(now));
        true
    }

    /// The files that somebody writes to.
    pub(crate) fn unfinished(&self) -> BTreeSet<PathBuf> {
        self.unfinished.keys().cloned().collect()
    }

    /// How long until [`has_changed`](Self::has_changed) may say so without another event.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let burst = self.looked.filter(|_| self.changed || self.fresh).map(|at| (at, BURST));
        let writing = self.unfinished.values().map(|since| (*since, WRITING));
        let blind = self.blind.map(|since| (since, LOOK));
        let all = writing.chain(burst).chain(blind);
        all.map(|(since, time)| time.saturating_sub(since.elapsed())).min()
    }

    /// Takes what the kernel has to tell.
    fn drain(&mut self) {
        loop {
            match self.inotify.read_events() {
                Ok(events) => events.iter().for_each(|event| self.take(event)),
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, event: &InotifyEvent) {
        let is = |masks| event.mask.intersects(masks);
        if is(Mask::IN_Q_OVERFLOW | Mask::IN_IGNORED | Mask::IN_MOVE_SELF | Mask::IN_ISDIR) {
            // A directory has come or gone, with all below it, or it is not told what: all is added again.
            self.known.clear();
            self.changed = true;
        }
        if is(Mask::IN_Q_OVERFLOW) {
            self.unfinished.clear();
        }
        if is(Mask::IN_IGNORED) {
            self.watched.remove(&event.wd);
        }
        let Some(watched) = self.watched.get(&event.wd) else { return };
        let Some(name) = event.name.as_ref() else {
            self.changed = true;
            return;
        };
        if is(Mask::IN_ISDIR) || !watched.whole && !watched.names.contains(name) {
            return;
        }
        let (path, hidden) = (watched.path.join(name), is_hidden(name));
        let writes = is(Mask::IN_MODIFY) || is(Mask::IN_CREATE) && !is_link(&path);
        if writes {
            if !hidden {
                self.unfinished.insert(path, Instant::now());
            }
        } else if is(Mask::IN_ATTRIB) && self.unfinished.contains_key(&path) {
            // As `cp -p` does before it closes the file.
        } else if !hidden || !is(Mask::IN_CLOSE_WRITE | Mask::IN_ATTRIB) {
            self.unfinished.remove(&path);
            self.changed = true;
        }
    }
}

/// An editor's own file. Where it is moved or removed it may be what a symlink leads through.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file that came to be is a link: nobody writes to it, so nobody will close it.
fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).map_or(true, |meta| meta.is_symlink() || meta.is_file() && meta.nlink() > 1)
}

/// A file is of interest when it is whole: its creation says something about links and directories only.
fn changes() -> Mask {
    Mask::IN_ONLYDIR
        | Mask::IN_CREATE
        | Mask::IN_MODIFY
        | Mask::IN_CLOSE_WRITE
        | Mask::IN_ATTRIB
        | Mask::IN_DELETE
        | Mask::IN_MOVE
        | Mask::IN_DELETE_SELF
        | Mask::IN_MOVE_SELF
}

/// How long a directory that cannot be watched is left alone.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a look the next one waits for what else comes.
const BURST: Duration = Duration::from_millis(50);
/// After how long a file that is still open for writing is read nevertheless.
const WRITING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::thread::sleep;

    use super::*;

    /// A watched directory that is gone after the test.
    struct Watching {
        path: PathBuf,
        watch: Watch,
    }

    impl Watching {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pmbridge-watch-{test}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self { path, watch: Watch::new().unwrap() }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.path.join(name)
        }

        fn add(&mut self, names: &[&str]) {
            let all: Vec<_> = names.iter().map(|name| self.at(name)).collect();
            self.watch.add(&[vec![self.path.clone()], all].concat(), &[]).unwrap();
            self.watch.has_changed(true);
        }

        /// Whether this is a change to who asks at once.
        fn sees(&mut self, what: impl FnOnce(&Path)) -> bool {
            self.add(&["sub", "moved"]);
            what(&self.path);
            self.watch.has_changed(true)
        }
    }

    impl Drop for Watching {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.path);
        }
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn every_change_is_seen_at_once_and_reading_is_none() {
        let mut dir = Watching::new("changes");
        assert!(dir.sees(|at| fs::write(at.join("a.url"), "x").unwrap()));
        assert!(!dir.sees(|at| drop(fs::read(at.join("a.url")).unwrap())));
        assert!(dir.sees(|at| fs::write(at.join("a.url"), "y").unwrap()), "edited in place");
        assert!(dir.sees(|at| mode(&at.join("a.url"), 0o755)), "made executable");
        assert!(dir.sees(|at| fs::rename(at.join("a.url"), at.join("b.url")).unwrap()));
        assert!(dir.sees(|at| fs::hard_link(at.join("b.url"), at.join("c.url")).unwrap()));
        assert!(dir.sees(|at| symlink("nowhere", at.join("d.url")).unwrap()));
        assert!(dir.sees(|at| fs::remove_file(at.join("d.url")).unwrap()));
        assert!(dir.sees(|at| fs::remove_dir_all(at).unwrap()));
    }

    #[test]
    fn directories_that_come_move_and_go_are_watched_with_all_below() {
        let mut dir = Watching::new("directories");
        assert!(dir.sees(|at| fs::create_dir(at.join("sub")).unwrap()));
        assert!(dir.sees(|at| fs::write(at.join("sub/a.url"), "x").unwrap()));
        assert!(dir.sees(|at| fs::rename(at.join("sub"), at.join("moved")).unwrap()));
        assert!(dir.sees(|at| fs::write(at.join("moved/b.url"), "x").unwrap()));
        assert!(dir.sees(|at| fs::create_dir(at.join("sub")).unwrap()));
        assert!(dir.sees(|at| fs::write(at.join("sub/a.url"), "x").unwrap()));
        assert!(dir.sees(|at| fs::remove_dir_all(at.join("sub")).unwrap()));
        assert!(dir.sees(|at| fs::create_dir(at.join("sub")).unwrap()));
        assert!(dir.sees(|at| fs::write(at.join("sub/a.url"), "x").unwrap()));
    }

    #[test]
    fn a_file_replaced_by_a_rename_is_seen_and_never_unfinished() {
        let mut dir = Watching::new("replaced");
        let (file, new) = (dir.at("a.url"), dir.at(".a.url.tmp"));
        fs::write(&file, "x").unwrap();
        assert!(!dir.sees(|_| fs::write(&new, "y").unwrap()), "a dotfile");
        assert!(dir.sees(|_| fs::rename(&new, &file).unwrap()));
        assert_eq!(dir.watch.unfinished(), BTreeSet::new());
    }

    #[test]
    fn a_file_is_left_alone_until_it_is_closed() {
        let mut dir = Watching::new("open");
        let path = dir.at("a.url");
        dir.add(&[]);
        let mut file = fs::File::create(&path).unwrap();
        assert!(!dir.watch.has_changed(true), "created");
        file.write_all(b"http://h").unwrap();
        // As `cp -p` does.
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!dir.watch.has_changed(true), "half written");
        assert_eq!(dir.watch.unfinished(), BTreeSet::from([path.clone()]));
        assert!(dir.watch.wait().is_some_and(|wait| wait <= WRITING));
        drop(file);
        assert!(dir.watch.has_changed(true) && dir.watch.unfinished().is_empty());
        // Also one that was there, and others change meanwhile.
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"http://h").unwrap();
        fs::write(dir.at("b.url"), "x").unwrap();
        assert!(dir.watch.has_changed(true));
        assert_eq!(dir.watch.unfinished(), BTreeSet::from([path]));
        sleep(WRITING);
        assert!(dir.watch.has_changed(true) && dir.watch.unfinished().is_empty(), "never closed");
        drop(file);
    }

    #[test]
    fn a_burst_is_looked_at_once_unless_somebody_asks() {
        let mut dir = Watching::new("burst");
        dir.add(&[]);
        sleep(BURST);
        let mut looks = 0;
        let began = Instant::now();
        for n in 0..300 {
            fs::write(dir.at(&format!("s{n}.url")), "x").unwrap();
            looks += u128::from(dir.watch.has_changed(false));
        }
        let most = 2 + began.elapsed().as_millis() / BURST.as_millis();
        assert!((1..=most).contains(&looks), "{looks} of {most}");
        fs::write(dir.at("s0.url"), "x").unwrap();
        let asked = Instant::now();
        assert!(dir.watch.has_changed(true), "asked");
        fs::write(dir.at("s0.url"), "x").unwrap();
        if dir.watch.has_changed(false) {
            assert!(asked.elapsed() >= BURST, "not asked, and too soon");
            fs::write(dir.at("s0.url"), "x").unwrap();
        }
        sleep(BURST);
        assert!(dir.watch.has_changed(false) && dir.watch.wait().is_none());
    }

    #[test]
    fn files_elsewhere_are_seen_and_their_neighbours_are_not() {
        let (mut dir, elsewhere) = (Watching::new("here"), Watching::new("elsewhere"));
        let target = elsewhere.at("a.url");
        fs::write(&target, "x").unwrap();
        let mut sees = |what: &dyn Fn()| {
            dir.watch.add(std::slice::from_ref(&dir.path), &[target.clone(), "/nowhere/x".into()]).unwrap();
            dir.watch.has_changed(true);
            what();
            dir.watch.has_changed(true)
        };
        assert!(sees(&|| fs::write(&target, "y").unwrap()));
        assert!(!sees(&|| fs::write(elsewhere.at("b"), "y").unwrap()));
        assert!(sees(&|| fs::rename(elsewhere.at("b"), &target).unwrap()));
        assert!(sees(&|| fs::remove_file(&target).unwrap()));
        assert!(!sees(&|| {}));
    }

    #[test]
    fn a_queue_that_overflows_is_a_change_and_all_is_watched_anew() {
        let mut dir = Watching::new("overflow");
        dir.add(&[]);
        let (a, b) = (dir.at("a.url"), dir.at("b.url"));
        fs::write(&a, "x").unwrap();
        let most: usize =
            fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
        if most > 1 << 18 {
            return;
        }
        for _ in 0..most {
            fs::rename(&a, &b).unwrap();
            fs::rename(&b, &a).unwrap();
        }
        assert!(dir.watch.has_changed(true) && dir.watch.known.is_empty());
        assert!(dir.sees(|_| fs::rename(&a, &b).unwrap()));
    }

    #[test]
    fn a_directory_that_was_just_found_or_is_missing_counts_as_changed() {
        let mut dir = Watching::new("late");
        fs::remove_dir_all(&dir.path).unwrap();
        let here = [dir.path.clone()];
        dir.watch.add(&here, &[]).unwrap();
        assert!(!dir.watch.has_changed(true));
        sleep(dir.watch.wait().unwrap());
        assert!(dir.watch.has_changed(true));
        fs::create_dir_all(&dir.path).unwrap();
        dir.watch.add(&here, &[]).unwrap();
        assert!(dir.watch.has_changed(true) && !dir.watch.has_changed(true));
    }
}
