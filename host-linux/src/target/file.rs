//! A document in a file of this machine. A small one is read in one go, a large one in turns with what others have.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::fcntl::OFlag;
use pmbridge_core::{role::Context, role::scraper::Sink as _, store::SourceId};

use super::{Means, Outcome, TURN, explain, intake::Intake};
use crate::filter::Filter;
use crate::memory::Memory;

/// A file, and what takes its documents.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    means: Rc<Means>,
    /// As long as it is read.
    file: Option<File>,
    pub(super) intake: Option<Intake>,
}

impl Page {
    pub(super) fn new(id: SourceId, path: PathBuf, filter: &Rc<Filter>, means: &Rc<Means>) -> Self {
        Self { path, means: Rc::clone(means), file: None, intake: Some(Intake::new(id, filter, means)) }
    }

    pub(super) const fn is_running(&self) -> bool {
        self.file.is_some()
    }

    /// Begins to read it, and ends too where it is small.
    pub(super) fn begin(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        self.intake = self.intake.take().map(Intake::renewed);
        match open(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => return Outcome::Failed(error.to_string()),
        }
        self.pump(cx)
    }

    /// Reads on, for a turn. What is written to it or cut off meanwhile is read as it is then.
    pub(super) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        let Some(mut file) = self.file.take() else { return Outcome::Pending };
        let outcome = self.read(&mut file, cx).unwrap_or_else(Outcome::Failed);
        if matches!(outcome, Outcome::More) {
            self.file = Some(file);
        }
        outcome
    }

    pub(super) fn abandon(&mut self) {
        self.file = None;
    }

    fn read(&mut self, file: &mut File, cx: &mut Context<'_, Memory>) -> Result<Outcome, String> {
        let Some(intake) = &mut self.intake else { return Ok(Outcome::Pending) };
        let limits = &self.means.limits;
        let mut window = self.means.window.borrow_mut();
        window.fill(b"");
        let piece = window.room();
        let mut turn = 0usize;
        while turn < TURN {
            match file.read(piece) {
                Ok(0) => {
                    intake.finish(cx.store).map_err(|error| explain(error.into(), limits))?;
                    return Ok(Outcome::Done(*intake.stats()));
                }
                Ok(n) => {
                    let read = piece.get(..n).unwrap_or_default();
                    intake.feed(cx.store, read).map_err(|error| explain(error.into(), limits))?;
                    turn = turn.saturating_add(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Outcome::More)
    }
}

/// Opens a regular file. What else there may be under a name, a FIFO say, would stop the loop.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}
