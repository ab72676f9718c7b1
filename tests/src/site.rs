//! What an exporter stands beside: a pmcd with many agents, of which some are awkward, and `pmbridge export`.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::peer::{private, user};
use crate::{Dir, PMCD, PYTHON, Process, eventually, free_port, pmbridge, run, signal, tool};

/// An agent of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// The kernel's metrics.
    Linux,
    /// Those of processes.
    Proc,
    /// pmcd's own.
    Pmcd,
    /// PCP's sample, in which nearly everything is tried.
    Sample,
    /// Memory-mapped values; one file of this many metrics of as many instances.
    Mmv(u32, u32),
    /// Our own of awkward names and values, with this many instances in its large domain.
    Awkward(u32),
}

impl Agent {
    /// All that PCP's packages have on each machine, and our own.
    pub const ALL: [Self; 6] =
        [Self::Pmcd, Self::Linux, Self::Proc, Self::Sample, Self::Mmv(3, 4), Self::Awkward(20_000)];

    const fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Proc => "proc",
            Self::Pmcd => "pmcd",
            Self::Sample => "sample",
            Self::Mmv(..) => "mmv",
            Self::Awkward(_) => "awkward",
        }
    }

    /// Its line of `pmcd.conf`.
    fn line(self, dir: &Dir) -> String {
        let (name, log) = (self.name(), dir.join(&format!("log/{}.log", self.name())));
        let (pmdas, log) = ("/var/lib/pcp/pmdas", log.display());
        let of = |domain: u16, rest: &str| {
            format!("{name}\t{domain}\tpipe\tbinary\t{pmdas}/{name}/pmda{name} -l {log}{rest}\n")
        };
        match self {
            Self::Linux => of(60, ""),
            Self::Proc => of(3, " -d 3"),
            Self::Sample => of(29, " -d 29"),
            Self::Pmcd => format!("pmcd\t2\tdso\tpmcd_init\t{pmdas}/pmcd/pmda_pmcd.so\n"),
            Self::Mmv(..) => format!("mmv\t70\tdso\tmmv_init\t{pmdas}/mmv/pmda_mmv.so\n"),
            Self::Awkward(many) => {
                format!("awkward\t245\tpipe\tbinary\t{PYTHON} {AWKWARD}/awkward.py 245 {log} {many}\n")
            }
        }
    }

    /// The file of its names.
    fn names(self, dir: &Dir) -> String {
        let stub = |name: &str, text: &str| dir.write(name, text).display().to_string();
        match self {
            Self::Sample => stub(
                "root_sample",
                "#define SAMPLE 29\nroot {\n\tsample\n}\n#include \"/var/lib/pcp/pmdas/sample/pmns\"\n",
            ),
            Self::Awkward(_) => stub("root_awkward", "root {\n\tawkward\t245:*:*\n}\n"),
            _ => format!("/var/lib/pcp/pmns/root_{}", self.name()),
        }
    }
}

/// A private pmcd with many agents.
#[derive(Debug)]
pub struct Site {
    /// The process; it falls before its directory does.
    pub process: Process,
    /// The port that PCP tools take.
    pub port: u16,
    /// Its directory.
    pub dir: Dir,
}

impl Site {
    /// Starts it and waits until each agent has shown its names.
    pub fn start(agents: &[Agent]) -> Self {
        let dir = Dir::new();
        for part in ["var/config/pmda", "run", "log", "tmp/mmv", "etc/labels"] {
            std::fs::create_dir_all(dir.join(part)).expect("a directory");
        }
        std::os::unix::fs::symlink("/var/lib/pcp/pmns", dir.join("var/pmns")).expect("a link");
        let system = std::fs::read_dir("/etc/pcp").expect("the system's PCP").flatten();
        for entry in system.filter(|entry| entry.file_name() != "labels") {
            std::os::unix::fs::symlink(entry.path(), dir.join("etc").join(entry.file_name()))
                .expect("a link");
        }
        dir.write("etc/labels/awkward.json", CONTEXT);
        configure(&dir, agents);
        for agent in agents {
            if let Agent::Mmv(metrics, instances) = agent {
                map_values(&dir, *metrics, *instances);
            }
        }
        let port = free_port();
        let process = start(&dir, port);
        let this = Self { process, port, dir };
        this.wait(agents);
        this
    }

    /// Waits until each of these agents has shown its names.
    pub fn wait(&self, agents: &[Agent]) {
        for agent in agents.iter().filter(|agent| **agent != Agent::Linux) {
            let root = agent.name();
            eventually(&format!("the names of {root} in {}", self.dir.path().display()), || {
                let listing = run(self.tool("pminfo").arg(root)).out;
                listing.contains(&format!("{root}.")).then_some(())
            });
        }
    }

    /// Ends pmcd and its agents.
    pub fn stop(&mut self) {
        let children = self.process.children();
        self.process.kill();
        eventually("the agents' end", || {
            children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }

    /// Starts pmcd again, on the same port.
    pub fn again(&mut self) {
        self.process = start(&self.dir, self.port);
    }

    /// Gives pmcd these agents: it ends those that it has no more, and starts those that it has not.
    pub fn agents(&self, agents: &[Agent]) {
        configure(&self.dir, agents);
        signal("HUP", self.process.id());
    }

    /// The process id of an agent, while it runs.
    pub fn agent(&self, name: &str) -> Option<u32> {
        self.process.children().into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(name)
        })
    }

    /// Ends an agent at once, as a crash would, if it runs: pmcd starts it again by itself, but not twice within a minute.
    pub fn kill_agent(&self, name: &str) {
        if let Some(pid) = self.agent(name) {
            signal("KILL", pid);
        }
    }

    /// What pmcd has logged.
    pub fn log(&self) -> String {
        self.dir.read("log/pmcd.log")
    }

    /// A PCP tool that talks to this pmcd.
    pub fn tool(&self, name: &str) -> Command {
        tool(name, self.port)
    }
}

fn configure(dir: &Dir, agents: &[Agent]) {
    let lines: String = agents.iter().map(|agent| agent.line(dir)).collect();
    dir.write("pmcd.conf", lines);
    let all: Vec<_> = agents.iter().map(|agent| agent.names(dir)).collect();
    let mut merge = Command::new("/usr/lib/pcp/bin/pmnsmerge");
    merge.current_dir("/var/lib/pcp/pmns").arg("-f").args(all).arg(dir.join("pmns"));
    run(&mut merge).ok();
}

fn map_values(dir: &Dir, metrics: u32, instances: u32) {
    let mut python = Command::new(PYTHON);
    python.env("PCP_TMP_DIR", dir.join("tmp")).arg(format!("{AWKWARD}/mmv.py")).arg("mapped");
    run(python.args([metrics.to_string(), instances.to_string()])).ok();
}

fn start(dir: &Dir, port: u16) -> Process {
    let mut pmcd = Command::new(PMCD);
    private(&mut pmcd, dir);
    pmcd.env("PCP_SYSCONF_DIR", dir.join("etc"));
    pmcd.args(["-f", "-A", "-i", "127.0.0.1", "-p"]).arg(port.to_string());
    pmcd.arg("-s").arg(dir.join("run/pmcd.socket")).arg("-c").arg(dir.join("pmcd.conf"));
    pmcd.arg("-n").arg(dir.join("pmns")).arg("-l").arg(dir.join("log/pmcd.log")).args(["-U", &user()]);
    let mut process = Process::start(&mut pmcd, dir.join("pmcd.out"));
    eventually("pmcd's port", || {
        assert!(process.is_alive(), "pmcd ended:\n{}", dir.read("log/pmcd.log"));
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    process
}

/// `pmbridge export` on a port of its own.
#[derive(Debug)]
pub struct Export {
    /// The process; it falls before its directory does.
    pub process: Process,
    /// Its port.
    pub port: u16,
    /// Where its page is.
    pub url: String,
    _dir: Dir,
}

impl Export {
    /// Starts it beside a pmcd on this port, with these arguments more, and waits until it says where it listens.
    pub fn start(pmcd: u16, args: &[&str]) -> Self {
        Self::start_at(&format!("127.0.0.1:{pmcd}"), args)
    }

    /// The same beside nothing at all, as root, who may read files of ours.
    pub fn alone(args: &[&str]) -> Self {
        Self::start(free_port(), &[&["-u", "root"], args].concat())
    }

    /// The same beside a pmcd that is spelt as `--pmcd` takes it.
    pub fn start_at(pmcd: &str, args: &[&str]) -> Self {
        let dir = Dir::new();
        let mut command = Command::new(pmbridge());
        command.arg("export").args(["--pmcd", pmcd]);
        command.args(["--web.listen-address", "127.0.0.1:0"]).args(args);
        let mut process = Process::start(&mut command, dir.join("export.log"));
        let url = eventually("the address of pmbridge export", || {
            assert!(process.is_alive(), "pmbridge export {args:?} ended:\n{}", process.said());
            let said = process.said();
            // Its last word in that line, so the line is whole.
            let line =
                said.split_inclusive('\n').find(|line| line.contains(" on http") && line.ends_with('\n'))?;
            line.split_whitespace().last().map(str::to_owned)
        });
        let port = url.split([':', '/']).nth(4).and_then(|port| port.parse().ok()).expect("a port");
        Self { process, port, url, _dir: dir }
    }

    /// Asks for a path.
    pub fn get(&self, path: &str) -> crate::Response {
        crate::get(self.port, path, &[])
    }
}

const AWKWARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/awkward");
/// Labels of pmcd's host, as an administrator may set them.
const CONTEXT: &str =
    r#"{"who":"context","since_context":"context","of_context":"say \"hi\" \\ café \u00e9","rack":7}"#;
