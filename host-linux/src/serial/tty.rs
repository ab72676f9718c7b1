//! The line itself: a terminal device in raw mode, 8 bits, no parity, which may be pulled out at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, cfmakeraw, cfsetspeed, tcflush, tcgetattr, tcsetattr,
};

/// An open line.
#[derive(Debug)]
pub(super) struct Tty(Flock<File>);

impl Tty {
    /// Opens a line for ourselves, and drops what came before anybody listened.
    pub(super) fn open(path: &Path, baud: u32) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let told = |error: io::Error, hint: &str| io::Error::new(error.kind(), format!("{error}{hint}"));
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(flags.bits()).open(path).map_err(|error| {
                let hint = match error.kind() {
                    ErrorKind::PermissionDenied => {
                        "; its group, as a rule dialout, must have this user among its members ('-u root' stays root)"
                    }
                    _ => "",
                };
                told(error, hint)
            })?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            Errno::EWOULDBLOCK => io::Error::new(ErrorKind::ResourceBusy, "another program uses it"),
            error => error.into(),
        })?;
        let mut settings = tcgetattr(&*file).map_err(|error| match error {
            Errno::ENOTTY => io::Error::new(ErrorKind::InvalidInput, "it is no serial line"),
            error => error.into(),
        })?;
        cfmakeraw(&mut settings);
        // Who is at the other end raises no carrier, and is not to be reset each time that we end.
        settings.control_flags |= ControlFlags::CREAD | ControlFlags::CLOCAL;
        settings.control_flags &=
            !(ControlFlags::CSTOPB | ControlFlags::PARENB | ControlFlags::CRTSCTS | ControlFlags::HUPCL);
        let (_, speed) = SPEEDS
            .iter()
            .find(|(known, _)| *known == baud)
            .ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        cfsetspeed(&mut settings, *speed)?;
        tcsetattr(&*file, SetArg::TCSANOW, &settings)?;
        tcflush(&*file, FlushArg::TCIOFLUSH)?;
        Ok(Self(file))
    }

    /// What to register for readiness.
    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Read for Tty {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether lines have this speed.
pub(super) fn is_speed(baud: u32) -> bool {
    SPEEDS.iter().any(|(known, _)| *known == baud)
}

/// The speeds that Linux has names for. Slower ones would need longer than pmcd waits.
const SPEEDS: [(u32, BaudRate); 17] = [
    (9_600, BaudRate::B9600),
    (19_200, BaudRate::B19200),
    (38_400, BaudRate::B38400),
    (57_600, BaudRate::B57600),
    (115_200, BaudRate::B115200),
    (230_400, BaudRate::B230400),
    (460_800, BaudRate::B460800),
    (500_000, BaudRate::B500000),
    (576_000, BaudRate::B576000),
    (921_600, BaudRate::B921600),
    (1_000_000, BaudRate::B1000000),
    (1_152_000, BaudRate::B1152000),
    (1_500_000, BaudRate::B1500000),
    (2_000_000, BaudRate::B2000000),
    (2_500_000, BaudRate::B2500000),
    (3_000_000, BaudRate::B3000000),
    (4_000_000, BaudRate::B4000000),
];
