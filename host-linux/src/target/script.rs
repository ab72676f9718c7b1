//! A document that a program prints: run without a shell, in a process group of its own, and never waited for.
//!
//! What it prints counts once it has exited with 0, and then as a whole. Whoever it left behind with its stdout is not
//! waited for either. A scrape that is given up kills the group. What it says on stderr is for the log.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;

use mio::unix::pipe::Receiver;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use pmbridge_core::{role::Context, role::scraper::Sink as _, store::SourceId};

use super::{Means, Outcome, TURN, explain, intake::Intake};
use crate::memory::Memory;

/// The processes of all sources.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    running: usize,
    /// Numbers of those that wait for their turn, and the last that was drawn.
    waiting: BTreeSet<u64>,
    drawn: u64,
    /// Killed, and not yet gone.
    dying: Vec<Child>,
}

impl Scripts {
    /// Takes note of those that have gone, so that nothing is left of them.
    pub(crate) fn reap(&mut self) {
        self.dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.waiting.insert(self.drawn);
        self.drawn
    }

    /// Whether it is the turn of who drew this number: who came first is first.
    fn is_turn(&self, number: u64) -> bool {
        self.waiting.range(..number).count() < MOST_SCRIPTS.saturating_sub(self.running)
    }
}

/// A script, and what takes its documents.
#[derive(Debug)]
pub(super) struct Script {
    means: Rc<Means>,
    token: Token,
    path: PathBuf,
    at: At,
    output: Vec<u8>,
    pub(super) intake: Option<Intake>,
    /// What the last run said on stderr that was told, without its digits.
    told: String,
    /// What is to be logged.
    pub(super) remarks: Vec<String>,
}

#[derive(Debug)]
enum At {
    Idle,
    /// It has drawn a number, and waits for its turn.
    Waiting(u64),
    Running(Run),
    /// It ended well, and the document is read from here on.
    Reading(usize),
}

impl Script {
    pub(super) fn new(id: SourceId, path: &Path, token: Token, means: Rc<Means>) -> Self {
        let intake = Some(Intake::new(id, &Rc::default(), &means));
        // What has no slash in it would be looked for in PATH.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        Self {
            means,
            token,
            path,
            at: At::Idle,
            output: Vec::new(),
            intake,
            told: String::new(),
            remarks: Vec::new(),
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        !matches!(self.at, At::Idle)
    }

    /// How many file descriptors it has open.
    pub(super) const fn descriptors(&self) -> usize {
        if matches!(self.at, At::Running(_)) { 2 } else { 0 }
    }

    pub(super) fn begin(&mut self) -> Outcome {
        self.output.clear();
        self.intake = self.intake.take().map(Intake::renewed);
        self.rest();
        self.at = At::Waiting(self.means.scripts.borrow_mut().draw());
        Outcome::More
    }

    /// Goes on as far as it can for now.
    pub(super) fn pump(&mut self, cx: &mut Context<'_, Memory>) -> Outcome {
        match &mut self.at {
            At::Idle => Outcome::Pending,
            At::Waiting(number) => {
                if !self.means.scripts.borrow().is_turn(*number) {
                    return Outcome::Pending;
                }
                self.rest();
                match Run::start(&self.path, &self.means, self.token) {
                    Ok(run) => {
                        self.at = At::Running(run);
                        Outcome::More
                    }
                    Err(error) => self.failed(cannot(&error)),
                }
            }
            At::Running(run) => {
                match run.collect(&mut self.output, self.means.limits.body.min(MOST_OUTPUT)) {
                    Ok(Got::Pending) => Outcome::Pending,
                    Ok(Got::More) => Outcome::More,
                    Ok(Got::All(status)) => {
                        let said = run.said.lines();
                        self.tell(said);
                        match trouble(status) {
                            None => {
                                self.at = At::Reading(0);
                                Outcome::More
                            }
                            Some(why) => self.failed(why),
                        }
                    }
                    Err(why) => {
                        let said = run.said.lines();
                        self.tell(said);
                        self.failed(why)
                    }
                }
            }
            At::Reading(from) => {
                let from = *from;
                self.read(from, cx)
            }
        }
    }

    pub(super) fn abandon(&mut self) {
        if let At::Running(run) = &mut self.at {
            let said = run.said.lines();
            self.tell(said);
        }
        self.rest();
        self.output = Vec::new();
    }

    /// Nothing runs any more, nor waits.
    fn rest(&mut self) {
        if let At::Waiting(number) = self.at {
            self.means.scripts.borrow_mut().waiting.remove(&number);
        }
        self.at = At::Idle;
    }

    /// What the scrape was at when its time was over.
    pub(super) fn stage(&self) -> String {
        match self.at {
            At::Waiting(_) => format!("{MOST_SCRIPTS} other scripts ran"),
            _ => "the script was killed".into(),
        }
    }

    fn failed(&mut self, why: String) -> Outcome {
        self.rest();
        self.output = Vec::new();
        Outcome::Failed(why)
    }

    /// Reads some of the document.
    fn read(&mut self, from: usize, cx: &mut Context<'_, Memory>) -> Outcome {
        let Some(intake) = &mut self.intake else { return Outcome::Pending };
        let to = from.saturating_add(TURN).min(self.output.len());
        let piece = self.output.get(from..to).unwrap_or_default();
        let mut taken = intake.feed(cx.store, piece);
        let whole = to == self.output.len();
        if whole {
            taken = taken.and_then(|()| intake.finish(cx.store));
        }
        match taken {
            Err(error) => {
                let why = explain(error.into(), &self.means.limits);
                self.failed(why)
            }
            Ok(()) if whole => {
                let stats = *intake.stats();
                self.at = At::Idle;
                // A document of usual size has its memory waiting for the next.
                self.output.clear();
                self.output.shrink_to(KEPT);
                Outcome::Done(stats)
            }
            Ok(()) => {
                self.at = At::Reading(to);
                Outcome::More
            }
        }
    }

    /// Notes what it said, unless that is what it said before but for numbers.
    fn tell(&mut self, lines: Vec<String>) {
        let gist: String = lines.concat().chars().filter(|c| !c.is_ascii_digit()).collect();
        if gist != self.told {
            self.remarks = lines;
            self.told = gist;
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.rest();
    }
}

/// How far a run has got.
enum Got {
    Pending,
    More,
    All(ExitStatus),
}

/// A process and its pipes. Dropping it kills the process group.
#[derive(Debug)]
struct Run {
    means: Rc<Means>,
    child: Option<Child>,
    out: Receiver,
    err: Receiver,
    said: Said,
    /// One is at its end.
    ends: [bool; 2],
}

impl Run {
    fn start(path: &Path, means: &Rc<Means>, token: Token) -> io::Result<Self> {
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let pipes = (child.stdout.take().map(Receiver::from), child.stderr.take().map(Receiver::from));
        let (Some(out), Some(err)) = pipes else { return Err(io::ErrorKind::BrokenPipe.into()) };
        {
            let mut scripts = means.scripts.borrow_mut();
            scripts.running = scripts.running.saturating_add(1);
        }
        let means = Rc::clone(means);
        let mut this = Self { means, child: Some(child), out, err, said: Said::default(), ends: [false; 2] };
        let registry = &this.means.registry;
        watch(&mut this.out, registry, token)?;
        watch(&mut this.err, registry, token)?;
        Ok(this)
    }

    /// Takes what it has printed; its status once it has exited, whoever may hold the pipes still.
    fn collect(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<Got, String> {
        // Asked first: what was printed before the exit is in the pipes then.
        let status = self.status().map_err(|error| format!("script cannot be waited for: {error}"))?;
        let [out_ended, err_ended] = &mut self.ends;
        let mut more = false;
        let mut window = self.means.window.borrow_mut();
        window.fill(b"");
        let piece = window.room();
        let mut turn = 0usize;
        while !*out_ended && !more {
            match self.out.read(piece) {
                Ok(0) => *out_ended = true,
                Ok(n) => {
                    if n > limit.saturating_sub(output.len()) {
                        return Err(too_long(limit));
                    }
                    output.extend_from_slice(piece.get(..n).unwrap_or_default());
                    turn = turn.saturating_add(n);
                    more = turn > TURN;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("script's output cannot be read: {error}")),
            }
        }
        while !*err_ended && !more {
            match self.err.read(piece) {
                Ok(0) => *err_ended = true,
                Ok(n) => {
                    self.said.feed(piece.get(..n).unwrap_or_default());
                    turn = turn.saturating_add(n);
                    more = turn > TURN;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The log is not worth a document.
                Err(_) => break,
            }
        }
        Ok(match status {
            // One that exited and left behind who goes on printing is no reason to go on reading.
            Some(status) => Got::All(status),
            None if more => Got::More,
            None => Got::Pending,
        })
    }

    /// How it exited, if it has.
    fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            // From here on its number may be another's.
            self.child = None;
        }
        Ok(status)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut scripts = self.means.scripts.borrow_mut();
        scripts.running = scripts.running.saturating_sub(1);
        if let Some(mut child) = self.child.take() {
            // It is not reaped yet, so the number is its own.
            let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
            if matches!(child.try_wait(), Ok(None)) {
                scripts.dying.push(child);
            }
        }
    }
}

fn watch(pipe: &mut Receiver, registry: &Registry, token: Token) -> io::Result<()> {
    pipe.set_nonblocking(true)?;
    registry.register(pipe, token, Interest::READABLE)
}

/// Why it was killed for what it printed, by the flag if that is the lower limit.
fn too_long(limit: usize) -> String {
    let whose = if limit < MOST_OUTPUT { "--max-body" } else { "the most that a script may print" };
    format!("script printed more than {limit} bytes ({whose})")
}

/// Why it cannot be run, and what to do.
fn cannot(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOEXEC) => {
            "script cannot be run: it needs a first line that names an interpreter, as #!/bin/sh".into()
        }
        _ => format!("script cannot be run: {error}"),
    }
}

fn trouble(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("script exited with status {code}")),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            Some(format!("script was ended by signal {signal} ({name})"))
        }
        (None, None) => Some("script ended in an unknown way".into()),
    }
}

/// What a run says on stderr: the first lines of it, and none of them long.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    line: Vec<u8>,
    dropped: usize,
}

impl Said {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((line, rest)) =
            bytes.iter().position(|b| *b == b'\n').and_then(|at| bytes.split_at_checked(at))
        {
            self.hold(line);
            self.end_line();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.hold(bytes);
    }

    fn hold(&mut self, part: &[u8]) {
        let room = MOST_BYTES.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or_default());
    }

    fn end_line(&mut self) {
        if self.line.trim_ascii().is_empty() {
        } else if self.lines.len() < MOST_LINES {
            self.lines.push(String::from_utf8_lossy(self.line.trim_ascii_end()).into_owned());
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
        self.line.clear();
    }

    /// All that is to be told.
    fn lines(&mut self) -> Vec<String> {
        self.end_line();
        let mut lines = core::mem::take(&mut self.lines);
        if self.dropped > 0 {
            lines.push(format!("... and {} lines more", self.dropped));
        }
        lines
    }
}

/// Scripts that run at once; others have their turn when one of these has ended.
pub(crate) const MOST_SCRIPTS: usize = 64;
/// Bytes of a document, where `--max-body` is not less: it lies in memory until the script has exited, and as many
/// may as run at once.
const MOST_OUTPUT: usize = 64 << 20;
/// Lines of stderr that one run may put into the log.
const MOST_LINES: usize = 20;
/// Bytes of such a line.
const MOST_BYTES: usize = 500;
/// The memory that is kept for the next document.
const KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_was_reached_is_named() {
        assert_eq!(too_long(4096), "script printed more than 4096 bytes (--max-body)");
        let most = "script printed more than 67108864 bytes (the most that a script may print)";
        assert_eq!(too_long(MOST_OUTPUT), most);
    }
}
