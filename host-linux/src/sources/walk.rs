//! A walk gathers the files below a directory that may be sources: dotfiles are ignored, symlinked directories are
//! not followed, symlinked files are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::notice::{Notice, Trouble};

/// The files below a directory.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) files: Vec<PathBuf>,
    /// Every directory, those that could not be read too.
    pub(super) directories: Vec<PathBuf>,
    /// Where symlinked files lead to.
    pub(super) targets: Vec<PathBuf>,
    /// The directories that could not be read.
    pub(super) unread: Vec<PathBuf>,
    pub(super) notices: Vec<Notice>,
}

impl Walk {
    /// Gathers the files below a directory, in the order of their full paths, byte by byte, if `sorted`.
    pub(super) fn below(directory: &Path, sorted: bool) -> Self {
        let mut walk = Self::default();
        walk.enter(directory);
        if sorted {
            walk.files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        }
        walk
    }

    fn enter(&mut self, directory: &Path) {
        // Watched even if it cannot be read: it may become readable.
        self.directories.push(directory.into());
        if let Err(error) = self.list(directory) {
            // What was removed as we looked is gone, not unreadable; the top must be there.
            if error.kind() != io::ErrorKind::NotFound || self.directories.len() == 1 {
                self.notices.push(Notice::file(directory, Trouble::unreadable(&error)));
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
            match entry.file_type()? {
                kind if kind.is_dir() => below.push(path),
                kind if kind.is_symlink() => self.follow(path),
                _ => self.files.push(path),
            }
        }
        for path in below {
            self.enter(&path);
        }
        Ok(())
    }

    /// A symlink counts as a file unless it leads to a directory.
    fn follow(&mut self, link: PathBuf) {
        if link.is_dir() {
            return;
        }
        let dangling = || Some(link.parent()?.join(fs::read_link(&link).ok()?));
        self.targets.extend(fs::canonicalize(&link).ok().or_else(dangling));
        self.files.push(link);
    }
}
