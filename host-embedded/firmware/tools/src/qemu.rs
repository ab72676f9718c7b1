//! QEMU with the image in it: ports of the host that lead to it, its log, its end.

use std::{
    io::{self, Read, Write},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread::{self, sleep},
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{Error, log};

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The image.
    pub(crate) image: PathBuf,
    /// QEMU's name of the board.
    pub(crate) board: String,
    /// Another network than the user's, as QEMU's `-nic` has it: no port of the host leads there.
    pub(crate) nic: Option<String>,
    /// A clock that goes by instructions and not by the host's, as QEMU's `-icount` has it.
    pub(crate) icount: Option<String>,
    /// A file for what goes over its wire, as tcpdump and Wireshark read it.
    pub(crate) capture: Option<PathBuf>,
    /// Whether its serial line is a terminal of this host.
    pub(crate) serial: bool,
    /// What the firmware is told.
    pub(crate) arguments: Vec<String>,
}

/// Runs it to its end, of which the status is QEMU's.
pub(crate) fn run(settings: &Settings) -> Result<ExitCode, Error> {
    let image = std::fs::read(&settings.image).map_err(|e| format!("{}: {e}", settings.image.display()))?;
    let mut qemu = Qemu::start(settings)?;
    let mut out = std::io::stdout().lock();
    if settings.nic.is_none() {
        match qemu.ports() {
            Ok(ports) => {
                for (guest, host) in ports {
                    writeln!(out, "PORT {guest} -> 127.0.0.1:{host}")?;
                }
                out.flush()?;
            }
            // It may have ended before it was asked, which its log says why.
            Err(error) => qemu.ended().then_some(()).ok_or(error)?,
        }
    }
    if settings.serial {
        writeln!(out, "SERIAL {}", qemu.line()?)?;
        out.flush()?;
    }
    end_on_signals(qemu.monitor.clone())?;
    let mut said = qemu.child.stdout.take().ok_or("no output")?;
    if settings.serial {
        // Before the log QEMU says which terminal it is, too.
        let mut byte = [0];
        while said.read(&mut byte)? > 0 && byte != *b"\n" {}
    }
    log::copy(&image, said, out)?;
    let status = qemu.child.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A QEMU that runs. It ends with this.
#[derive(Debug)]
pub(crate) struct Qemu {
    child: Child,
    monitor: String,
}

impl Qemu {
    pub(crate) fn start(settings: &Settings) -> Result<Self, Error> {
        let monitor = format!("pmbridge-firmware-{}", std::process::id());
        let model = if settings.board == "mps2-an385" { ",model=lan9118" } else { "" };
        let nic = settings.nic.clone().unwrap_or_else(|| {
            let forwards = PORTS.map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}"));
            format!("user{}", forwards.concat())
        });
        let told: String = settings
            .arguments
            .iter()
            .map(|argument| format!(",arg={}", argument.replace(',', ",,")))
            .collect();
        // The kernel ends QEMU if this ends first, however it does.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-arm", "-M", &settings.board]);
        command.args(["-display", "none", "-nic", &format!("{nic}{model},id=wire")]);
        if settings.serial {
            command.args(["-chardev", "pty,id=line", "-serial", "chardev:line"]);
        } else {
            command.args(["-serial", "none"]);
        }
        if let Some(file) = &settings.capture {
            // A comma of a value is written twice.
            let file = file.display().to_string().replace(',', ",,");
            command.args(["-object", &format!("filter-dump,id=capture,netdev=wire,file={file}")]);
        }
        command
            .args(["-chardev", &format!("socket,id=monitor,path={monitor},abstract=on,server=on,wait=off")]);
        command.args(["-mon", "chardev=monitor,mode=readline"]);
        command.args(["-semihosting-config", &format!("enable=on,target=native,arg=pmbridge{told}")]);
        if let Some(icount) = &settings.icount {
            command.args(["-icount", icount]);
        }
        command.arg("-kernel").arg(&settings.image);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Self { child: child.map_err(|e| format!("setpriv, qemu-system-arm: {e}"))?, monitor })
    }

    /// What the monitor says to a command.
    fn ask(&mut self, command: &str) -> Result<String, Error> {
        let mut monitor = self.monitor()?;
        let _ = until_prompt(&mut monitor)?;
        monitor.write_all(command.as_bytes())?;
        Ok(until_prompt(&mut monitor)?)
    }

    /// The terminal at the other end of the serial line.
    fn line(&mut self) -> Result<String, Error> {
        let table = self.ask("info chardev\n")?;
        let path = table.lines().find_map(|line| line.trim().strip_prefix("line: filename=pty:"));
        Ok(path.ok_or_else(|| format!("no line in:\n{table}"))?.to_owned())
    }

    /// The ports of the guest, and those of the host that lead there.
    pub(crate) fn ports(&mut self) -> Result<Vec<(u16, u16)>, Error> {
        let table = self.ask("info usernet\n")?;
        let ports: Vec<_> = table.lines().filter_map(forward).collect();
        if ports.len() == PORTS.len() { Ok(ports) } else { Err(format!("no ports in:\n{table}").into()) }
    }

    /// Whether it ends by itself just now.
    fn ended(&mut self) -> bool {
        sleep(LAST_WORDS);
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    fn monitor(&mut self) -> Result<UnixStream, Error> {
        let address = SocketAddr::from_abstract_name(&self.monitor)?;
        loop {
            match UnixStream::connect_addr(&address) {
                Ok(stream) => return Ok(stream),
                Err(_) if self.child.try_wait()?.is_none() => sleep(Duration::from_millis(5)),
                Err(e) => return Err(format!("QEMU ended before its monitor was there: {e}").into()),
            }
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whoever ends this by a signal ends QEMU as it likes to be ended, and its log with it.
fn end_on_signals(monitor: String) -> Result<(), Error> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::spawn(move || {
        let _ = signals.forever().next();
        // The monitor hears what is said after its prompt, by one who stays on the line. Its last word is no prompt.
        let quit = || {
            let mut monitor = UnixStream::connect_addr(&SocketAddr::from_abstract_name(&monitor)?)?;
            until_prompt(&mut monitor)?;
            monitor.write_all(b"quit\n")?;
            until_prompt(&mut monitor)
        };
        drop(quit());
        sleep(LAST_WORDS);
        std::process::exit(1);
    });
    Ok(())
}

/// Reads what the monitor says, up to its prompt.
fn until_prompt(monitor: &mut UnixStream) -> io::Result<String> {
    let mut said = Vec::new();
    let mut piece = [0; 1024];
    while !said.ends_with(b"(qemu) ") {
        let n = monitor.read(&mut piece)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        said.extend_from_slice(piece.get(..n).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// A line such as `TCP[HOST_FORWARD]  12  127.0.0.1 37645  10.0.2.15 44321  0  0`: guest's port and host's.
fn forward(line: &str) -> Option<(u16, u16)> {
    let mut fields = line.trim().strip_prefix("TCP[HOST_FORWARD]")?.split_whitespace().skip(2);
    let host = fields.next()?.parse().ok()?;
    let guest = fields.nth(1)?.parse().ok()?;
    Some((guest, host))
}

/// How long the rest of a log may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What the firmware serves: PCP and pages.
const PORTS: [u16; 2] = [44_321, 9100];
