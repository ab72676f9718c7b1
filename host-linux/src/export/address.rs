//! Where a pmcd is, and the way there.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::pcp_conf;

/// A pmcd, as PCP's tools name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// That of this machine: by its socket, else by its port.
    Local,
    /// By a socket in the file system.
    Unix(PathBuf),
    /// By a host and a port.
    Host(String, u16),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("local:").or_else(|| text.strip_prefix("unix:")) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" if text.starts_with("local:") => Ok(Self::Local),
                path if path.starts_with('/') => Ok(Self::Unix(path.into())),
                _ => Err(format!("'{text}' has no path that starts with /")),
            };
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(text) => {
                let (host, rest) = text.split_once(']').ok_or("there is no ] behind the address")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{host}' is no IPv6 address"))?;
                (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
            }
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, Some("")),
            None => text.split_once(':').map_or((text, Some("")), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some("") if !text.ends_with(':') || text.ends_with("::") => default_port(),
            port => port
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("'{text}' has no port from 1 to 65535"))?,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(format!("'{text}' is no HOST[:PORT], nor local:"));
        }
        Ok(Self::Host(host.into(), port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local:"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    /// The ways to try, one after the other.
    pub(super) fn ways(&self) -> VecDeque<Way> {
        match self {
            Self::Local => [Way::Unix(local_socket()), Way::Name("localhost".into(), default_port())].into(),
            Self::Unix(path) => [Way::Unix(path.clone())].into(),
            Self::Host(host, port) => [Way::Name(host.clone(), *port)].into(),
        }
    }
}

fn local_socket() -> PathBuf {
    if let Some(path) = std::env::var_os("PMCD_SOCKET") {
        return path.into();
    }
    let run = pcp_conf::setting("PCP_RUN_DIR").unwrap_or_else(|| "/run/pcp".into());
    PathBuf::from(run).join("pmcd.socket")
}

fn default_port() -> u16 {
    let port = std::env::var("PMCD_PORT").ok().and_then(|port| port.split(',').next()?.parse().ok());
    port.unwrap_or(PMCD_PORT)
}

/// One way to a pmcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// The addresses are to be looked up first, unless the name is one.
    Name(String, u16),
}

/// A connection, or one that is coming to be.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) fn tcp(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, BOTH)?;
        // Questions are small, and each is waited for.
        let _ = stream.set_nodelay(true);
        Ok(Self::Tcp(stream))
    }

    pub(super) fn unix(path: &std::path::Path, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        registry.register(&mut stream, token, BOTH)?;
        Ok(Self::Unix(stream))
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
const PMCD_PORT: u16 = 44321;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pmcd_is_named_as_pcp_s_tools_name_it() {
        for (text, want) in [
            ("local:", Ok(Address::Local)),
            ("local:/run/x", Ok(Address::Unix("/run/x".into()))),
            ("unix:///run/x", Ok(Address::Unix("/run/x".into()))),
            ("unix:", Err("'unix:' has no path that starts with /")),
            ("unix:x", Err("'unix:x' has no path that starts with /")),
            ("host", Ok(Address::Host("host".into(), PMCD_PORT))),
            ("host:1", Ok(Address::Host("host".into(), 1))),
            ("127.0.0.1:65535", Ok(Address::Host("127.0.0.1".into(), 65535))),
            ("::1", Ok(Address::Host("::1".into(), PMCD_PORT))),
            ("fe80::", Ok(Address::Host("fe80::".into(), PMCD_PORT))),
            ("[::1]", Ok(Address::Host("::1".into(), PMCD_PORT))),
            ("[::1]:7", Ok(Address::Host("::1".into(), 7))),
            ("[::1]7", Err("'[::1]7' has no port from 1 to 65535")),
            ("[x]:7", Err("'x' is no IPv6 address")),
            ("[::1", Err("there is no ] behind the address")),
            ("host:", Err("'host:' has no port from 1 to 65535")),
            ("host:0", Err("'host:0' has no port from 1 to 65535")),
            ("host:65536", Err("'host:65536' has no port from 1 to 65535")),
            ("", Err("'' is no HOST[:PORT], nor local:")),
            ("a b", Err("'a b' is no HOST[:PORT], nor local:")),
        ] {
            assert_eq!(text.parse(), want.map_err(str::to_string), "{text}");
        }
    }

    #[test]
    fn this_machine_s_pmcd_has_a_socket_and_a_port() {
        let ways = Address::Local.ways();
        assert!(matches!(ways[0], Way::Unix(_)));
        assert_eq!(ways[1], Way::Name("localhost".into(), default_port()));
        let numbers: Address = "[::1]:7".parse().unwrap();
        assert_eq!(numbers.ways(), [Way::Name("::1".into(), 7)]);
        assert_eq!(numbers.to_string(), "[::1]:7");
    }
}
