//! pmcd comes to us: the socket on which it is awaited, for lines `socket inet` and `socket unix` of pmcd.conf.
//!
//! pmcd starts us, sleeps for 2 s and connects, once. So we listen before anything that takes time, the first
//! connection is pmcd's, and nobody listens after it. Where pmcd has gone or given up, nothing would ever come, and
//! we would hold the port against our successor: waiting ends after a minute, and with pmcd if that started us.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{User, geteuid};

use crate::conn::Pipe;
use crate::pcp_conf;

/// How pmcd and we come together: the middle of the line in pmcd.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// `pipe`: on stdin and stdout.
    Pipe,
    /// `socket inet` and `socket ipv6`: pmcd connects to this port.
    Inet(SocketAddr),
    /// `socket unix`: pmcd connects to this path.
    Unix(PathBuf),
}

/// A socket to which pmcd will connect.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// The process that started us, where that is pmcd.
    pmcd: Option<u32>,
}

#[derive(Debug)]
enum Socket {
    Inet(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens; `None` for a pipe, which needs nobody to.
    pub(crate) fn open(link: &Link) -> io::Result<Option<Self>> {
        let socket = match link {
            Link::Pipe => return Ok(None),
            Link::Inet(address) => inet(*address)?,
            Link::Unix(path) => unix(path)?,
        };
        Ok(Some(Self { socket, pmcd: pmcd() }))
    }

    /// Waits for pmcd, and listens no longer.
    pub(crate) fn accept(self) -> io::Result<Pipe> {
        self.accept_within(PATIENCE)
    }

    fn accept_within(self, patience: Duration) -> io::Result<Pipe> {
        let until = Instant::now().checked_add(patience);
        let came = loop {
            match self.come() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => break other,
            }
            if self.pmcd.is_some_and(|pmcd| pmcd != parent_id()) {
                break Err(io::Error::other("pmcd has gone before it connected"));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                let seconds = patience.as_secs();
                break Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!(
                        "pmcd has not connected to {self} within {seconds} s; its line in pmcd.conf must name the same"
                    ),
                ));
            }
            let mut fds = [PollFd::new(self.fd(), PollFlags::POLLIN)];
            // A signal has no other meaning here than that it is over.
            if poll(&mut fds, PollTimeout::from(LOOK)).is_err() {
                break Err(io::Error::new(ErrorKind::Interrupted, "asked to end before pmcd connected"));
            }
        };
        if let (Err(_), Socket::Unix(_, path)) = (&came, &self.socket) {
            // pmcd's user may lack the right to; who comes next removes it.
            drop(fs::remove_file(path));
        }
        came
    }

    /// Whoever has connected.
    fn come(&self) -> io::Result<Pipe> {
        let stream: OwnedFd = match &self.socket {
            Socket::Inet(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.into()
            }
            Socket::Unix(listener, _) => listener.accept()?.0.into(),
        };
        Ok(Pipe::new(stream.try_clone()?.into(), stream.into()))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Inet(listener) => listener.as_fd(),
            Socket::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Inet(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("its port"),
            },
            Socket::Unix(_, path) => write!(f, "{}", path.display()),
        }
    }
}

fn inet(address: SocketAddr) -> io::Result<Socket> {
    // std sets SO_REUSEADDR: connections of an earlier run that linger do not keep the port.
    let listener = TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "; another program has this port, take another one here and in pmcd.conf",
            ErrorKind::PermissionDenied => "; ports below 1024 are root's, take one above",
            _ => "",
        };
        io::Error::new(error.kind(), format!("cannot listen for pmcd on {address}: {error}{hint}"))
    })?;
    listener.set_nonblocking(true)?;
    Ok(Socket::Inet(listener))
}

fn unix(path: &Path) -> io::Result<Socket> {
    let told = |error: io::Error, hint: &str| {
        io::Error::new(error.kind(), format!("cannot listen for pmcd on {}: {error}{hint}", path.display()))
    };
    if let Ok(meta) = fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            let error = io::Error::from(ErrorKind::AlreadyExists);
            return Err(told(error, "; it is not a socket, take another path here and in pmcd.conf"));
        }
        // What an earlier run left.
        fs::remove_file(path).map_err(|error| told(error, "; an earlier socket cannot be removed"))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "; its directory does not exist, make it (owned by PCP's user)",
            ErrorKind::PermissionDenied => "; its directory must be writable for who starts this PMDA",
            _ => "",
        };
        told(error, hint)
    })?;
    listener.set_nonblocking(true)?;
    // pmcd is root or PCP's user; nobody else has any business here.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    let name = pcp_conf::setting("PCP_USER").unwrap_or_else(|| "pcp".into());
    if geteuid().is_root()
        && let Ok(Some(user)) = User::from_name(&name.to_string_lossy())
    {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(Socket::Unix(listener, path.to_owned()))
}

/// The parent process, where it is pmcd or pmcd's helper that starts PMDAs. A shell that started us may go as it likes.
fn pmcd() -> Option<u32> {
    let parent = parent_id();
    let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
    matches!(name.trim_end(), "pmcd" | "pmdaroot").then_some(parent)
}

/// How long pmcd may take to connect; it takes 2 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether pmcd is still there, in milliseconds.
const LOOK: u8 = 200;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn loopback() -> Listener {
        Listener::open(&Link::Inet(([127, 0, 0, 1], 0).into())).unwrap().unwrap()
    }

    fn said(error: io::Result<impl Sized>) -> String {
        error.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn the_first_connection_is_pmcd_and_there_is_no_second() {
        let listener = loopback();
        let address = listener.to_string();
        let mut pmcd = TcpStream::connect(&address).unwrap();
        let mut pipe = listener.accept().unwrap();
        pmcd.write_all(b"ask").unwrap();
        let mut asked = [0; 3];
        while pipe.read_exact(&mut asked).is_err() {}
        pipe.write_all(b"answer").unwrap();
        drop(pipe);
        let mut answer = String::new();
        pmcd.read_to_string(&mut answer).unwrap();
        assert_eq!((&asked, answer.as_str()), (b"ask", "answer"));
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn nobody_is_awaited_for_ever() {
        let text = said(loopback().accept_within(Duration::ZERO));
        assert!(text.contains("pmcd has not connected to 127.0.0.1:"), "{text}");
        let orphan = Listener { pmcd: Some(u32::MAX), ..loopback() };
        assert_eq!(said(orphan.accept()), "pmcd has gone before it connected");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = loopback();
        let text = said(Listener::open(&Link::Inet(first.to_string().parse().unwrap())));
        assert!(
            text.contains(&first.to_string()) && text.contains("another program has this port"),
            "{text}"
        );
    }

    #[test]
    fn an_old_socket_makes_way_and_other_files_do_not() {
        let dir = std::env::temp_dir().join(format!("pmbridge-listener-{}", std::process::id()));
        let link = Link::Unix(dir.join("socket"));
        let text = said(Listener::open(&link));
        assert!(text.contains("its directory does not exist"), "{text}");
        fs::create_dir_all(&dir).unwrap();
        let old = Listener::open(&link).unwrap().unwrap();
        drop(old);
        assert!(dir.join("socket").exists());
        let listener = Listener::open(&link).unwrap().unwrap();
        assert_eq!(fs::metadata(dir.join("socket")).unwrap().permissions().mode() & 0o777, 0o660);
        let pmcd = UnixStream::connect(dir.join("socket")).unwrap();
        drop(listener.accept().unwrap());
        drop(pmcd);
        fs::write(dir.join("file"), "mine").unwrap();
        let text = said(Listener::open(&Link::Unix(dir.join("file"))));
        assert!(text.contains("it is not a socket"), "{text}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
