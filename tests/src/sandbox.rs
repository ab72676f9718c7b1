//! A machine of its own for PCP, made of namespaces and overlays, where PMDAs are installed as on a site.

use std::path::Path;
use std::process::Command;

use crate::{Dir, Finished, Process, eventually, run, skip};

/// Namespaces that end with the test.
#[derive(Debug)]
pub struct Sandbox {
    /// What holds them; it falls before its directory does.
    pub process: Process,
    inside: u32,
    _dir: Dir,
}

impl Sandbox {
    /// Makes one; where this machine cannot, the test is skipped, and says so past libtest's capture.
    pub fn start(test: &str) -> Option<Self> {
        let dir = Dir::new();
        let memory = dir.join("memory");
        std::fs::create_dir(&memory).expect("a directory");
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ]);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox")).arg(memory);
        command.env_clear().envs(ENVIRONMENT);
        let mut process = Process::start(&mut command, dir.join("log"));
        let ready = eventually("the sandbox", || {
            if process.said().contains("ready") { Some(true) } else { (!process.is_alive()).then_some(false) }
        });
        if !ready {
            skip(test, &format!("no namespaces and overlays (root may): {}", process.said().trim()));
            return None;
        }
        let inside = *process.children().first().expect("the first process of the sandbox");
        Some(Self { process, inside, _dir: dir })
    }

    /// Runs a shell script in it.
    pub fn sh(&self, script: &str) -> Finished {
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--net", "--pid", "--uts", "--ipc", "--target"])
            .arg(self.inside.to_string());
        command.args(["--wd=/", "sh", "-c", script]);
        run(command.env_clear().envs(ENVIRONMENT))
    }

    /// Runs a script that must end well, and gives what it prints.
    pub fn ok(&self, script: &str) -> String {
        let Finished { code, out, err } = self.sh(script);
        assert_eq!(code, 0, "{script}\nstdout:\n{out}\nstderr:\n{err}");
        out
    }
}

/// Of the environment only this is there. PCP's scripts must not think that systemd is.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("PCPQA_SYSTEMD", "no"),
];
