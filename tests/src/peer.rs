//! The peers: pmcd with one PMDA, pmbridge serving by itself, node_exporter.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{
    Dir, NODE_EXPORTER, PMCD, PYTHON, Process, STOCK, Usage, eventually, free_port, process, run, tool,
};

/// The target directory that these tests were built in.
pub(crate) fn target() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors().nth(3).expect("target/PROFILE/deps/TEST").to_owned()
}

/// The binary under test, a release build in that directory.
pub fn pmbridge() -> PathBuf {
    let binary = target().join("release/pmbridge");
    assert!(binary.exists(), "{} is missing: cargo build --release", binary.display());
    binary
}

/// Which PMDA a pmcd runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pmda {
    /// PCP's own.
    Stock,
    /// pmbridge.
    Ours,
    /// pmbridge with these flags more.
    OursWith(&'static str),
}

impl Pmda {
    fn command(self, setup: &Setup) -> String {
        let command = match self {
            Self::Stock => format!("{PYTHON} {STOCK}"),
            Self::Ours | Self::OursWith(_) => format!("{} pmda", pmbridge().display()),
        };
        let more = if let Self::OursWith(flags) = self { flags } else { "" };
        let (config, log) = (setup.dir.join("config.d"), setup.dir.join("pmda.log"));
        let root = &setup.root;
        let mut all =
            format!("{command} -c {} -d 144 -l {} -r {root} {more}", config.display(), log.display());
        for arg in &setup.args {
            all.push(' ');
            all.push_str(arg);
        }
        all
    }
}

/// A directory to run a pmcd in, and how its PMDA is started there.
#[derive(Debug)]
pub struct Setup {
    /// Holds `config.d` and `var/config/pmda` already, so that a test can put into them what was there before.
    pub dir: Dir,
    root: String,
    args: Vec<String>,
}

impl Setup {
    /// An empty one: no sources, no ids.
    pub fn new() -> Self {
        let dir = Dir::new();
        for part in ["config.d", "var/config/pmda", "run", "log", "tmp"] {
            std::fs::create_dir_all(dir.join(part)).expect("a directory");
        }
        std::os::unix::fs::symlink("/var/lib/pcp/pmns", dir.join("var/pmns")).expect("a link");
        // As the packages of PCP leave it, since a PMDA need not stay root.
        if let Some(pcp) = pcp() {
            std::os::unix::fs::chown(dir.join("var/config/pmda"), Some(pcp), None).ok();
        }
        Self::again(dir)
    }

    /// The directory of a pmcd that [`stopped`](Pmcd::stop), with its sources and ids.
    pub fn again(dir: Dir) -> Self {
        Self { dir, root: "openmetrics".to_owned(), args: Vec::new() }
    }

    /// Adds a source of this URL.
    #[must_use]
    pub fn source(self, name: &str, url: &str) -> Self {
        self.file(&format!("{name}.url"), &format!("{url}\n"))
    }

    /// Adds a file of `config.d`.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        self.dir.write(&format!("config.d/{name}"), text);
        self
    }

    /// Adds an executable source, a script of the shell.
    #[must_use]
    pub fn script(self, name: &str, text: &str) -> Self {
        script(&self.dir, name, text);
        self
    }

    /// Gives the PMDA this root.
    #[must_use]
    pub fn root(mut self, root: &str) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    /// Gives the PMDA these further arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Starts pmcd and waits until the PMDA has shown its names.
    pub fn start(self, pmda: Pmda) -> Pmcd {
        let root = self.root.clone();
        let this = self.start_unready(pmda);
        eventually(&format!("the names of the {pmda:?} PMDA in {}", this.dir.path().display()), || {
            let listing = run(this.tool("pminfo").arg(&root));
            listing.out.contains(&format!("{root}.")).then_some(())
        });
        this
    }

    /// Starts pmcd and waits for nothing but its port.
    pub fn start_unready(self, pmda: Pmda) -> Pmcd {
        let command = pmda.command(&self);
        let line = format!("{}\t144\tpipe\tbinary notready\t{command}", self.root);
        self.start_line(&line)
    }

    /// Starts pmcd with the line that its configuration has for the PMDA, and waits for nothing but its port.
    pub fn start_line(self, line: &str) -> Pmcd {
        let Self { dir, root, .. } = self;
        let conf = dir.write("pmcd.conf", format!("{line}\n"));
        let pmns = dir.write("pmns", format!("root {{\n\t{root}\t144:*:*\n}}\n"));
        let port = free_port();
        let mut pmcd = Command::new(PMCD);
        private(&mut pmcd, &dir);
        pmcd.args(["-f", "-A", "-i", "127.0.0.1", "-p"]).arg(port.to_string());
        pmcd.arg("-s").arg(dir.join("run/pmcd.socket")).arg("-c").arg(conf).arg("-n").arg(pmns);
        pmcd.arg("-l").arg(dir.join("log/pmcd.log")).args(["-U", &user()]);
        let mut process = Process::start(&mut pmcd, dir.join("pmcd.out"));
        eventually("pmcd's port", || {
            assert!(process.is_alive(), "pmcd ended:\n{}", dir.read("log/pmcd.log"));
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Pmcd { process, port, dir }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes an executable source into the `config.d` of a pmcd's directory.
pub fn script(dir: &Dir, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.write(&format!("new.{name}"), format!("#!/bin/sh\n{text}"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::rename(path, dir.join("config.d").join(name)).expect("a source");
}

/// A private pmcd with one PMDA and its own directories.
#[derive(Debug)]
pub struct Pmcd {
    /// The process; it falls before its directory does.
    pub process: Process,
    /// The port that PCP tools take.
    pub port: u16,
    /// Its directory: `config.d`, `pmda.log`, `log/pmcd.log`.
    pub dir: Dir,
}

impl Pmcd {
    /// Starts pmcd with these sources and waits until the PMDA has shown its names.
    pub fn start(pmda: Pmda, sources: &[(&str, &str)]) -> Self {
        Self::setup(sources).start(pmda)
    }

    /// Starts pmcd with these sources and waits for nothing but its port.
    pub fn start_unready(pmda: Pmda, sources: &[(&str, &str)]) -> Self {
        Self::setup(sources).start_unready(pmda)
    }

    /// Starts pmcd with the line that its configuration has for the PMDA, and waits for nothing but its port.
    pub fn start_line(sources: &[(&str, &str)], line: impl FnOnce(&Dir) -> String) -> Self {
        let setup = Self::setup(sources);
        let line = line(&setup.dir);
        setup.start_line(&line)
    }

    fn setup(sources: &[(&str, &str)]) -> Setup {
        sources.iter().fold(Setup::new(), |setup, (name, url)| setup.source(name, url))
    }

    /// Ends pmcd and its PMDA, and gives their directory.
    pub fn stop(self) -> Dir {
        let Self { process, dir, .. } = self;
        let children = process.children();
        drop(process);
        eventually("the PMDA's end", || {
            children.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
        dir
    }

    /// What the PMDA and pmcd have logged.
    pub fn logs(&self) -> String {
        format!("{}\n--- pmcd:\n{}", self.dir.read("pmda.log"), self.dir.read("log/pmcd.log"))
    }

    /// The process id of the PMDA, while pmcd has one.
    pub fn pmda(&self) -> Option<u32> {
        self.process.children().first().copied()
    }

    /// Ends the PMDA at once, as a crash would.
    pub fn kill_pmda(&self) {
        process::signal("KILL", self.pmda().expect("a PMDA"));
    }

    /// Tells pmcd to look after its agents: it starts those again that have died.
    pub fn hangup(&self) {
        process::signal("HUP", self.process.id());
    }

    /// What the PMDA uses of the machine.
    pub fn usage(&self) -> Usage {
        Usage::of(self.pmda().expect("a PMDA"))
    }

    /// A PCP tool that talks to this pmcd.
    pub fn tool(&self, name: &str) -> Command {
        tool(name, self.port)
    }
}

/// Sets the directories of a PCP program to be private ones.
pub(crate) fn private(command: &mut Command, dir: &Dir) {
    for (variable, part) in
        [("PCP_VAR_DIR", "var"), ("PCP_RUN_DIR", "run"), ("PCP_LOG_DIR", "log"), ("PCP_TMP_DIR", "tmp")]
    {
        command.env(variable, dir.join(part));
    }
}

/// The number of PCP's user, where there is one.
fn pcp() -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let own = users.lines().find_map(|line| line.strip_prefix("pcp:"))?;
    own.split(':').nth(1)?.parse().ok()
}

pub(crate) fn user() -> String {
    run(Command::new("id").arg("-un")).ok().trim().to_owned()
}

/// The variables that say whose certificates are trusted. Tests set those that they want.
pub const TRUST: [&str; 4] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// `pmbridge serve` on a port of its own.
#[derive(Debug)]
pub struct Serve {
    /// The process; it falls before its directory does.
    pub process: Process,
    /// The port that PCP tools take.
    pub port: u16,
    dir: Dir,
}

impl Serve {
    /// Starts it with these arguments and waits for its port.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(args, &[])
    }

    /// Starts it with these variables in its environment too.
    pub fn start_in(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let dir = Dir::new();
        let port = free_port();
        let mut command = Command::new(pmbridge());
        for variable in TRUST {
            command.env_remove(variable);
        }
        command.envs(variables.iter().copied());
        command.arg("serve").args(args).arg("--pcp.listen-address").arg(format!("127.0.0.1:{port}"));
        if !args.iter().any(|arg| arg.starts_with("--web.listen-address")) {
            command.arg("--web.listen-address=127.0.0.1:0");
        }
        let mut process = Process::start(&mut command, dir.join("serve.log"));
        eventually("the port of pmbridge serve", || {
            assert!(process.is_alive(), "pmbridge serve {args:?} ended:\n{}", process.said());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { process, port, dir }
    }

    /// Waits until a metric with this word in its name has a value.
    pub fn until_shows(&self, word: &str) {
        eventually(&format!("{word} in pmbridge serve; it said:\n{}", self.process.said()), || {
            let names = run(&mut self.tool("pminfo")).out;
            let name = names.lines().find(|name| name.contains(word))?.to_owned();
            let shown = run(self.tool("pminfo").arg("-f").arg(name)).out;
            (shown.contains("    value ") || shown.contains("    inst [")).then_some(())
        });
    }

    /// Where its pages are, as it says itself.
    pub fn url(&self) -> String {
        eventually("the URL of pages in what pmbridge serve says", || {
            let said = self.process.said();
            let begin = said.find("http://").or_else(|| said.find("https://"))?;
            let url: String = said.get(begin..)?.chars().take_while(|c| !c.is_whitespace()).collect();
            url.ends_with("/metrics").then_some(url)
        })
    }

    /// A PCP tool that talks to it.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = tool(name, self.port);
        command.env("PCP_TMP_DIR", self.dir.path()).env("PCP_RUN_DIR", self.dir.path());
        command
    }
}

/// node_exporter on a port of its own.
#[derive(Debug)]
pub struct NodeExporter {
    /// The process; it falls before its directory does.
    pub process: Process,
    /// Where its page is.
    pub url: String,
    port: u16,
    _dir: Dir,
}

impl NodeExporter {
    /// Starts it and waits for its port.
    pub fn start() -> Self {
        let dir = Dir::new();
        let port = free_port();
        let mut command = Command::new(NODE_EXPORTER);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start(&mut command, dir.join("log"));
        eventually("node_exporter's port", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { process, url: format!("http://127.0.0.1:{port}/metrics"), port, _dir: dir }
    }

    /// Its page as it is now.
    pub fn page(&self) -> Vec<u8> {
        // A connection may be reset while it starts.
        eventually("node_exporter's page", || self.try_page().ok())
    }

    fn try_page(&self) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.ok_or_else(|| std::io::Error::other("an answer without a head"))?;
        Ok(answer.split_off(end + 4))
    }
}
