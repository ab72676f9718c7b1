//! The kernel says when a directory of sources changes, so that nobody has to look.
//!
//! inotify queues an event within the call that changes a directory: who drains the queue before answering a request
//! knows of every file that was there when the request was sent. Where there is nothing to watch, as the directory is
//! missing or may not be read, changes are supposed once a [`LOOK`].

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Watches over directories.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Inotify,
    directories: BTreeSet<PathBuf>,
    /// A directory that was listed before it was watched may have changed in between.
    fresh: bool,
    /// Since when some directory has not been watched.
    blind: Option<Instant>,
}

impl Watch {
    /// A watch over nothing yet.
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        Ok(Self { inotify, directories: BTreeSet::new(), fresh: false, blind: None })
    }

    /// What to register for readability.
    pub(crate) fn fd(&self) -> RawFd {
        self.inotify.as_fd().as_raw_fd()
    }

    /// Watches over these directories too, as far as they are there.
    ///
    /// An error means that changes may go unseen, as the kernel gives no more watches; what is watched stays so.
    pub(crate) fn add(&mut self, directories: &[PathBuf]) -> io::Result<()> {
        self.blind = None;
        for directory in directories {
            if self.directories.contains(directory) {
                continue;
            }
            match self.inotify.add_watch(directory, changes()) {
                Ok(_) => {
                    self.directories.insert(directory.clone());
                    self.fresh = true;
                }
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => {
                    self.blind = Some(Instant::now());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether anything has changed, or may have, since the last call.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut some =
            std::mem::take(&mut self.fresh) || self.blind.is_some_and(|since| since.elapsed() >= LOOK);
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    some = true;
                    // A directory that moved or went is watched anew if one of its name is found again.
                    let lost = AddWatchFlags::IN_IGNORED
                        | AddWatchFlags::IN_MOVE_SELF
                        | AddWatchFlags::IN_Q_OVERFLOW;
                    if events.iter().any(|event| event.mask.intersects(lost | AddWatchFlags::IN_ISDIR)) {
                        self.directories.clear();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return some,
            }
        }
    }
}

/// A file is of interest when it is whole: its creation says something about links and directories only.
fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_ONLYDIR
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
}

/// How long a directory that cannot be watched is left alone.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_change_is_seen_at_once_and_reading_is_none() {
        let dir = std::env::temp_dir().join(format!("pmbridge-watch-{}", std::process::id()));
        let (sub, file) = (dir.join("sub"), dir.join("a.url"));
        fs::create_dir_all(&dir).unwrap();
        let mut watch = Watch::new().unwrap();
        let mut step = |what: &dyn Fn()| {
            watch.add(&[dir.clone(), sub.clone()]).unwrap();
            watch.has_changed();
            what();
            watch.has_changed()
        };
        assert!(step(&|| fs::write(&file, "x").unwrap()));
        assert!(!step(&|| drop(fs::read(&file).unwrap())));
        assert!(step(&|| fs::rename(&file, dir.join("b.url")).unwrap()));
        assert!(step(&|| fs::create_dir(&sub).unwrap()));
        assert!(step(&|| fs::write(sub.join("c.url"), "x").unwrap()));
        assert!(step(&|| fs::remove_dir_all(&sub).unwrap()));
        assert!(step(&|| fs::create_dir(&sub).unwrap()));
        assert!(step(&|| fs::write(sub.join("c.url"), "x").unwrap()));
        assert!(step(&|| fs::remove_dir_all(&dir).unwrap()));
    }

    #[test]
    fn a_directory_that_was_just_found_or_is_missing_counts_as_changed() {
        let dir = std::env::temp_dir().join(format!("pmbridge-watch-late-{}", std::process::id()));
        let mut watch = Watch::new().unwrap();
        watch.add(std::slice::from_ref(&dir)).unwrap();
        assert!(!watch.has_changed());
        std::thread::sleep(LOOK);
        assert!(watch.has_changed());
        fs::create_dir_all(&dir).unwrap();
        watch.add(std::slice::from_ref(&dir)).unwrap();
        assert!(watch.has_changed() && !watch.has_changed());
        fs::remove_dir_all(&dir).unwrap();
    }
}
