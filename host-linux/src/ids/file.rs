//! The file of ids, for the one process that has it.
//!
//! Bytes `0..good` of the file are whole lines that this process has read or written. What is `pending` comes after
//! them, in one write. Where that cannot be, pending bytes wait in memory, and the next batch writes file and all
//! anew, beside the old one. A process that finds the file in use waits a little for the other to end, then goes on
//! without, and takes its turn if the other ends without having changed it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::census::{self, Damage};
use super::place::{self, Held};
use super::text::{self, HEADER};
use super::{Record, Stock, stock};

/// Ids that outlive the process.
#[derive(Debug)]
pub(crate) struct Ids {
    path: PathBuf,
    /// The file, if it is ours.
    held: Option<Held>,
    /// How much of it is whole and known.
    good: u64,
    /// The file cannot go on where it is.
    anew: bool,
    /// Lines that are not in the file.
    pending: Vec<u8>,
    /// How saving goes.
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should.
    Well,
    /// It did not the last time, which has been told.
    Failing,
    /// Not in this run any more, which has been told.
    Stopped,
}

impl Ids {
    /// Hands over what a file has. One that is not there yet is made, of the stock PMDA's tables where they are.
    ///
    /// What is to be told comes back as lines for the log; none of it is a reason not to go on.
    pub(crate) fn open(
        path: &Path,
        stock: Option<Stock<'_>>,
        tell: &mut dyn FnMut(Record<'_>),
    ) -> (Self, Vec<String>) {
        let mut notices = Vec::new();
        let mut this = Self {
            path: path.into(),
            held: None,
            good: 0,
            anew: false,
            pending: Vec::new(),
            state: State::Well,
        };
        let loaded = match place::hold_soon(path) {
            Ok(held) => {
                let loaded = contents(&held.file);
                this.held = Some(held);
                loaded
            }
            Err(error) => {
                this.failed(&error, &mut notices);
                place::read_only(path).and_then(|file| contents(&file))
            }
        };
        match loaded {
            Ok(bytes) if !bytes.is_empty() => this.load(&bytes, stock, tell, &mut notices),
            Ok(_) => {
                this.wonder_at_nothing(&mut notices);
                this.begin(stock, tell, &mut notices);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => this.begin(stock, tell, &mut notices),
            Err(error) => {
                this.stop(&format!("cannot be read: {error}; ids begin afresh"), &mut notices);
            }
        }
        (this, notices)
    }

    /// Notes a record that the file does not have.
    pub(crate) fn add(&mut self, record: Record<'_>) {
        if self.state != State::Stopped {
            text::write(&mut self.pending, record);
        }
    }

    /// Writes what was noted. What there is to tell comes back as a line for the log, once.
    pub(crate) fn save(&mut self) -> Option<String> {
        if self.pending.is_empty() || self.state == State::Stopped { None } else { self.flush() }
    }

    fn flush(&mut self) -> Option<String> {
        let mut notices = Vec::new();
        match self.write() {
            Ok(()) if self.state == State::Failing => {
                self.state = State::Well;
                notices.push(format!("{}: ids are saved again", self.path.display()));
            }
            Ok(()) => {}
            Err(Obstacle::Io(error)) => {
                self.failed(&error, &mut notices);
                if self.pending.len() > PENDING {
                    self.stop("too many ids wait to be saved", &mut notices);
                }
            }
            Err(Obstacle::Changed) => self.stop("has changed in other hands", &mut notices),
        }
        notices.pop()
    }

    /// Takes what a file has. One that has nothing, not even a line that can be read, is begun afresh.
    fn load(
        &mut self,
        bytes: &[u8],
        stock: Option<Stock<'_>>,
        tell: &mut dyn FnMut(Record<'_>),
        notices: &mut Vec<String>,
    ) {
        let whole = memchr::memrchr(b'\n', bytes).and_then(|at| bytes.get(..=at)).unwrap_or_default();
        self.good = length(whole);
        let reading = census::read(whole, tell);
        let stump = whole.is_empty() && !text::VERSION.as_bytes().starts_with(bytes);
        let damage = if stump { Some(Damage::of_all()) } else { reading.damage };
        if self.held.is_none() {
            return;
        }
        if let Some(damage) = damage {
            self.put_aside(damage, reading.records, notices);
        } else if whole.len() < bytes.len() {
            notices.push(format!("{}: the end of the last line is missing: dropped", self.path.display()));
            self.cut();
        }
        if reading.records == 0 {
            self.good = 0;
            return self.begin(stock, tell, notices);
        }
        if damage.is_some() || reading.superfluous > 0 {
            census::read(whole, &mut |record| text::write(&mut self.pending, record));
            (self.good, self.anew) = (0, true);
            notices.extend(self.save());
        }
    }

    /// Keeps a copy of a damaged file under another name.
    fn put_aside(&mut self, damage: Damage, records: usize, notices: &mut Vec<String>) {
        let Damage { line, fault, lines } = damage;
        let (path, kept) = (self.path.display(), self.keep());
        let lines = if lines == 1 { "this line is".into() } else { format!("{lines} lines are") };
        notices.push(format!("{path}:{line}: {fault}; {lines} lost, {records} ids are kept; {kept}"));
    }

    /// Keeps the file under another name, and says where.
    fn keep(&self) -> String {
        match place::set_aside(&self.path) {
            Ok(aside) => format!("the file is kept as {}", aside.display()),
            Err(error) => format!("the file could not be kept: {error}"),
        }
    }

    /// A file that was there and is empty had ids once: none is made without a line in it.
    fn wonder_at_nothing(&self, notices: &mut Vec<String>) {
        if self.held.as_ref().is_some_and(|held| !held.is_new) {
            let (path, kept) = (self.path.display(), self.keep());
            notices.push(format!("{path}: is empty: its ids are lost, and are given anew; {kept}"));
        }
    }

    /// Makes the file, of the stock PMDA's tables where they are.
    fn begin(
        &mut self,
        stock: Option<Stock<'_>>,
        tell: &mut dyn FnMut(Record<'_>),
        notices: &mut Vec<String>,
    ) {
        if let Some(stock) = stock {
            let mut count = 0_usize;
            let told = stock::import(stock, &mut |record| {
                count = count.saturating_add(1);
                self.add(record);
                tell(record);
            });
            if count > 0 {
                let (path, dir) = (self.path.display(), stock.dir.display());
                notices
                    .push(format!("{path}: {count} ids are taken over from the openmetrics PMDA in {dir}"));
            }
            notices.extend(told);
        }
        self.anew = true;
        // A file that is there is never empty: one that is has lost what it had.
        notices.extend(self.flush());
    }

    /// Puts pending lines into the file.
    fn write(&mut self) -> Result<(), Obstacle> {
        if self.held.is_none() {
            let held = place::hold(&self.path)?;
            if held.file.metadata()?.len() != self.good {
                return Err(Obstacle::Changed);
            }
            self.held = Some(held);
        }
        let Some(held) = &self.held else { return Ok(()) };
        if !place::is_at(&held.file, &self.path)? {
            if self.path.try_exists()? {
                return Err(Obstacle::Changed);
            }
            self.anew = true;
        }
        if self.anew || !held.writable || self.good == 0 {
            return self.rewrite();
        }
        if let Err(error) = held.file.write_all_at(&self.pending, self.good) {
            self.cut();
            self.anew = true;
            return Err(error.into());
        }
        self.good = self.good.saturating_add(length(&self.pending));
        self.pending.clear();
        Ok(())
    }

    /// Writes the file anew: what was good in it, and what is pending.
    fn rewrite(&mut self) -> Result<(), Obstacle> {
        let Some(held) = &self.held else { return Ok(()) };
        let mut copied = 0_u64;
        let file = place::replace(&self.path, |out| {
            if self.good == 0 {
                out.write_all(HEADER.as_bytes())?;
            }
            let mut piece = vec![0; 1 << 16];
            while copied < self.good {
                let n = held.file.read_at(&mut piece, copied)?;
                let rest = usize::try_from(self.good.saturating_sub(copied)).unwrap_or(usize::MAX);
                let piece = piece.get(..n.min(rest)).filter(|piece| !piece.is_empty());
                let piece = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
                out.write_all(piece)?;
                copied = copied.saturating_add(length(piece));
            }
            out.write_all(&self.pending)
        })?;
        self.good = file.metadata()?.len();
        self.held = Some(Held { file, writable: true, is_new: false });
        self.anew = false;
        self.pending = Vec::new();
        Ok(())
    }

    /// Takes away what stands behind the good lines.
    fn cut(&mut self) {
        let cut =
            self.held.as_ref().is_some_and(|held| held.writable && held.file.set_len(self.good).is_ok());
        // A file that cannot be cut is written anew, without it.
        self.anew |= !cut;
    }

    /// Tells why ids cannot be saved, the first time.
    fn failed(&mut self, error: &io::Error, notices: &mut Vec<String>) {
        if self.state == State::Well {
            self.state = State::Failing;
            let path = self.path.display();
            notices.push(if error.kind() == io::ErrorKind::WouldBlock {
                format!("{path}: another pmbridge uses it; ids that are new here are not saved while it does")
            } else {
                format!("{path}: ids cannot be saved, and are tried again with the next new ones: {error}")
            });
        }
    }

    /// Gives up saving for this run.
    fn stop(&mut self, why: &str, notices: &mut Vec<String>) {
        self.state = State::Stopped;
        self.pending = Vec::new();
        self.held = None;
        notices.push(format!(
            "{}: {why}; new ids are not saved until pmbridge is restarted",
            self.path.display()
        ));
    }
}

/// Why lines stay pending.
enum Obstacle {
    /// The system's word.
    Io(io::Error),
    /// The file is not the one that was read.
    Changed,
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// All of a file, if it is of a size that ids may have.
pub(super) fn contents(file: &File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    if len > LARGEST {
        return Err(io::Error::other("too large for a file of ids"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The largest file that is read.
const LARGEST: u64 = 4 << 30;

/// How many bytes may wait for a disk that takes none.
const PENDING: usize = 256 << 20;
