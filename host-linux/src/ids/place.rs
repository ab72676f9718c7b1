//! Files are replaced whole or not at all, and belong to one process at a time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A file that is locked.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) file: File,
    pub(super) writable: bool,
    /// It was not there before.
    pub(super) is_new: bool,
}

/// Opens a file, made where there is none, and locks it. [`io::ErrorKind::WouldBlock`] means that another has it.
pub(super) fn hold(path: &Path) -> io::Result<Held> {
    for _ in 0..TRIES {
        let held = open(path)?;
        match held.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Who had it may have replaced it just now.
        if is_at(&held.file, path)? {
            return Ok(held);
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Holds a file as soon as who has it lets go of it, and waits a while for that.
pub(super) fn hold_soon(path: &Path) -> io::Result<Held> {
    let start = Instant::now();
    loop {
        match hold(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                thread::sleep(PAUSE);
            }
            held => return held,
        }
    }
}

fn open(path: &Path) -> io::Result<Held> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    // What a link points to is read; it is not made, and not written: the link is replaced.
    let mut both = options.clone();
    both.write(true).mode(MODE).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW);
    let opened = match both.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            both.create(true).open(path).map(|file| (file, true))
        }
        opened => opened.map(|file| (file, false)),
    };
    let held = match opened {
        Ok((file, is_new)) => Held { file, writable: true, is_new },
        Err(error) => match options.open(path) {
            Ok(file) => Held { file, writable: false, is_new: false },
            Err(_) => return Err(error),
        },
    };
    if held.file.metadata()?.is_file() { Ok(held) } else { Err(io::Error::other("not a regular file")) }
}

/// Opens a file for reading. A pipe is none, and nobody waits for its other end.
pub(super) fn read_only(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Whether a process has the file.
pub(super) fn is_held(path: &Path) -> bool {
    read_only(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Whether this is the file that the path names.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a file anew beside the old one, locked, and puts it in its place once it is on the disk.
pub(super) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>,
) -> io::Result<File> {
    let beside = with(path, ".new");
    let file = write_beside(&beside, fill)?;
    let put = file.sync_all().and_then(|()| fs::rename(&beside, path));
    if let Err(error) = put {
        // It may be gone already.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // The file is whole either way; a system that cannot sync directories loses nothing but the newest name.
    let _ = sync_directory(path);
    Ok(file)
}

/// Writes a file that is not there yet, for the lock of its writer. What an earlier run left there goes.
pub(super) fn write_beside(
    beside: &Path,
    fill: impl FnOnce(&mut io::BufWriter<&File>) -> io::Result<()>,
) -> io::Result<File> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(beside)?;
    let filled = file.set_permissions(Permissions::from_mode(MODE)).and_then(|()| {
        let mut out = io::BufWriter::with_capacity(1 << 16, &file);
        fill(&mut out)?;
        out.flush()
    });
    let locked = filled.and_then(|()| file.try_lock().map_err(io::Error::from));
    match locked {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = fs::remove_file(beside);
            Err(error)
        }
    }
}

/// Makes the names in a file's directory last.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The directory of a file.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Gives a file a second name that says it is damaged. The last of a few names is used again.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let first = with(path, ".damaged");
    let mut last = first.clone();
    for n in 0..ASIDE {
        let aside = if n == 0 { first.clone() } else { with(&first, &format!(".{n}")) };
        match fs::hard_link(path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = aside,
            Ok(()) => return Ok(aside),
            // A file system without second names.
            Err(_) => return fs::copy(path, &aside).map(|_| aside),
        }
    }
    fs::remove_file(&last)?;
    fs::hard_link(path, &last)?;
    Ok(last)
}

/// A path with more at its end.
pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    let mut all = OsString::from(path);
    all.push(end);
    all.into()
}

/// Everybody may read ids.
const MODE: u32 = 0o644;

/// How often a file may be replaced while it is opened.
const TRIES: usize = 10;

/// How long the process before this one may take to end: less than pmcd waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long nobody looks whether it has.
const PAUSE: Duration = Duration::from_millis(20);

/// How many damaged files are kept.
const ASIDE: usize = 5;
