//! A document in a file of this machine, read in one go.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::fcntl::OFlag;
use pmbridge_core::{role::Context, role::scraper::Sink as _, store::SourceId};

use super::{Means, Outcome, explain, intake::Intake};
use crate::filter::Filter;
use crate::memory::Memory;

/// A file, and what takes its documents.
#[derive(Debug)]
pub(super) struct Page {
    path: PathBuf,
    means: Rc<Means>,
    pub(super) intake: Option<Intake>,
}

impl Page {
    pub(super) fn new(id: SourceId, path: PathBuf, filter: &Rc<Filter>, means: &Rc<Means>) -> Self {
        Self { path, means: Rc::clone(means), intake: Some(Intake::new(id, filter, means)) }
    }

    /// Takes all of it.
    pub(super) fn read(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        let limits = &self.means.limits;
        let Some(intake) = self.intake.take() else { return Outcome::Pending };
        let intake = self.intake.insert(intake.renewed());
        let mut file = match open(&self.path) {
            Ok(file) => file,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let mut window = self.means.window.borrow_mut();
        window.fill(b"");
        let piece = window.room();
        loop {
            match file.read(piece) {
                Ok(0) => break,
                Ok(n) => {
                    if let Err(error) = intake.feed(cx.store, piece.get(..n).unwrap_or_default()) {
                        return Outcome::Failed(explain(error.into(), limits));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Outcome::Failed(error.to_string()),
            }
        }
        match intake.finish(cx.store) {
            Ok(()) => Outcome::Done(*intake.stats()),
            Err(error) => Outcome::Failed(explain(error.into(), limits)),
        }
    }
}

/// Opens a regular file. What else there may be under a name, a FIFO say, would stop the loop.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}
