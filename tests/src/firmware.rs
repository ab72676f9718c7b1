//! The firmware, as it boots under QEMU: a chip with an Ethernet of its own, reached through ports of this host.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Dir, Process, eventually, has, peer, tool};

/// What runs the boards.
pub const QEMU: &str = "/usr/bin/qemu-system-arm";

/// A QEMU board that the firmware is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// The reference: 64 KiB of RAM.
    Lm3s6965evb,
    /// The other one.
    Mps2An385,
}

impl Board {
    /// As QEMU calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lm3s6965evb => "lm3s6965evb",
            Self::Mps2An385 => "mps2-an385",
        }
    }

    /// The image for it, once `firmware.sh build` has made it.
    pub fn image(self) -> PathBuf {
        built(&format!("{}-appliance.elf", self.name()))
    }

    /// Whether this board can be run. Where it cannot, the test is skipped, and says so.
    pub fn is_there(self, test: &str) -> bool {
        let needed = [PathBuf::from(QEMU), self.image(), built("firmware-tools")];
        let needed: Vec<_> = needed.iter().map(|path| path.to_str().expect("a path of text")).collect();
        has(test, &needed)
    }
}

/// What `host-embedded/firmware.sh build` has made, in the target directory that these tests were built in.
fn built(name: &str) -> PathBuf {
    peer::target().join("firmware").join(name)
}

/// A board that runs.
#[derive(Debug)]
pub struct Firmware {
    /// The process that runs QEMU, and ends it; it falls before its directory does.
    pub process: Process,
    /// The port that PCP tools take.
    pub pcp: u16,
    /// The port that pages are on.
    pub http: u16,
    dir: Dir,
}

impl Firmware {
    /// Boots the reference with these settings, and waits until it has an address.
    pub fn start(settings: &[&str]) -> Self {
        Self::on(Board::Lm3s6965evb, settings)
    }

    /// Boots a board with these settings, and waits until it has an address: who connects before waits for long.
    pub fn on(board: Board, settings: &[&str]) -> Self {
        let dir = Dir::new();
        let mut process = Process::start(&mut Self::command(board, settings), dir.join("log"));
        let [pcp, http] = [44_321, 9100].map(|guest| {
            eventually("the ports of the firmware", || {
                assert!(process.is_alive(), "{} ended:\n{}", board.name(), process.said());
                port(&process.said(), guest)
            })
        });
        eventually("the firmware's address", || {
            assert!(process.is_alive(), "{} ended:\n{}", board.name(), process.said());
            process.said().contains("address: ").then_some(())
        });
        Self { process, pcp, http, dir }
    }

    /// What boots a board with these settings.
    pub fn command(board: Board, settings: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-embedded/firmware.sh");
        let mut command = Command::new(script);
        command.args(["run", board.name(), "--built"]).args(settings);
        command.env("CARGO_TARGET_DIR", peer::target());
        command
    }

    /// A PCP tool that talks to it.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = tool(name, self.pcp);
        command.env("PCP_TMP_DIR", self.dir.path()).env("PCP_RUN_DIR", self.dir.path());
        command
    }
}

/// The host's port that leads to one of the guest's.
fn port(said: &str, guest: u16) -> Option<u16> {
    let prefix = format!("PORT {guest} -> 127.0.0.1:");
    said.lines().find_map(|line| line.strip_prefix(&prefix))?.trim().parse().ok()
}
