//! Processes that end with the test that started them, and tools that run to their end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Dir, PATIENCE};

/// A running peer. Dropping it asks it to end, then ends it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its output in a file.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).expect("a log file");
        let twin = file.try_clone().expect("the same file");
        command.stdin(Stdio::null()).stdout(file).stderr(twin);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stdout and stderr so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it at once, without a chance to tidy up.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            if Instant::now() > until {
                self.kill();
                panic!("{} did not end; it said:\n{}", self.id(), self.said());
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// The process ids of its children.
    pub fn children(&self) -> Vec<u32> {
        children(self.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_alive() {
            return;
        }
        signal("TERM", self.id());
        for _ in 0..100 {
            if !self.is_alive() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
        self.kill();
    }
}

/// Sends a signal to one process that this test started.
pub fn signal(name: &str, pid: u32) {
    Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status().ok();
}

/// The process ids of a process's children.
pub fn children(parent: u32) -> Vec<u32> {
    let Ok(dir) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// What a process uses of the machine, as the kernel counts it.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Seconds of CPU so far, its own and the kernel's for it.
    pub cpu: f64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// That of this process, which must be there.
    pub fn of(pid: u32) -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a process");
        let stat = read("stat");
        let fields: Vec<_> = stat.rsplit_once(')').expect("a stat").1.split_whitespace().collect();
        // Ticks of user and system, fields 14 and 15 of proc(5); a tick is 10 ms on every Linux that PCP runs on.
        let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().expect("ticks")).sum();
        let status = read("status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("kilobytes");
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { cpu: f64::from(ticks) / 100.0, resident: kilobytes << 10, descriptors }
    }
}

/// How a tool ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code, or -1 where a signal ended it.
    pub code: i32,
    /// All of its stdout.
    pub out: String,
    /// All of its stderr.
    pub err: String,
}

impl Finished {
    /// Its stdout, where it ended well; else a panic that shows both streams.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.out
    }
}

/// Runs a command to its end; one that has no end is ended.
pub fn run(command: &mut Command) -> Finished {
    let dir = Dir::new();
    let [out, err] = ["out", "err"].map(|name| dir.join(name));
    let file = |path: &Path| std::fs::File::create(path).expect("a file");
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let status = Process { child, log: err }.wait();
    Finished { code: status.code().unwrap_or(-1), out: dir.read("out"), err: dir.read("err") }
}

/// A PCP tool that talks to a collector on this port; its own time-outs are out of the way.
pub fn tool(name: &str, port: u16) -> Command {
    let mut command = Command::new(name);
    // PCP's Python tools want the system's Python, whatever stands before it in PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("/usr/bin:/bin:{path}"));
    command.env("PMCD_REQUEST_TIMEOUT", "120").env("PMCD_CONNECT_TIMEOUT", "30").env("LC_ALL", "C.UTF-8");
    command.arg("-h").arg(format!("127.0.0.1:{port}"));
    command
}
