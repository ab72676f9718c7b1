//! Encrypted connections look like plain ones: what is read and written is what the peers say.
//!
//! A certificate is always verified, against the system's trusted ones or those that the usual variables name:
//! `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` as PCP's own PMDA takes them, then `SSL_CERT_FILE` and `SSL_CERT_DIR`.
//! They are read once, when the first connection needs them. Sessions are resumed where the server lets us.

pub(crate) mod explain;
pub(crate) mod verify;

use std::cell::OnceCell;
use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use explain::explained;
use verify::Verifier;

/// Who is trusted, and the sessions that may be resumed.
#[derive(Debug, Default)]
pub(crate) struct Trust(OnceCell<Arc<ClientConfig>>);

/// A connection, encrypted or not.
#[derive(Debug)]
pub(crate) enum Stream<T: Read + Write> {
    /// As it comes.
    Plain(T),
    /// Inside TLS.
    Tls(Box<Session<T>>),
}

/// One side of a TLS connection.
#[derive(Debug)]
pub(crate) struct Session<T: Read + Write> {
    socket: T,
    tls: Connection,
    cut: bool,
    /// Bytes that the socket has taken.
    taken: u64,
}

impl Trust {
    /// Encrypts a connection to `host`, whose certificate must be for that name or address.
    pub(crate) fn wrap<T: Read + Write>(&self, socket: T, host: &str) -> io::Result<Stream<T>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other("TLS needs a host name or address that a certificate can have"))?;
        let mut tls = ClientConnection::new(self.config()?, name).map_err(explained)?;
        // A request is small, and goes as a whole.
        tls.set_buffer_limit(None);
        Ok(Stream::Tls(Box::new(Session { socket, tls: tls.into(), cut: false, taken: 0 })))
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.0.get() {
            return Ok(Arc::clone(config));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(trusted()?, Arc::clone(&provider)).map_err(explained)?;
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(explained)?.dangerous();
        let mut config = builder.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Arc::clone(self.0.get_or_init(|| Arc::new(config))))
    }
}

/// The certificates that are trusted, or why there are none.
fn trusted() -> io::Result<Vec<CertificateDer<'static>>> {
    let named = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
    let bundle = named.iter().find_map(|name| env::var_os(name).filter(|path| !path.is_empty()));
    let found = match &bundle {
        Some(path) if Path::new(path).is_dir() => {
            rustls_native_certs::load_certs_from_paths(None, Some(Path::new(path)))
        }
        Some(path) => rustls_native_certs::load_certs_from_paths(Some(Path::new(path)), None),
        None => rustls_native_certs::load_native_certs(),
    };
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        let text =
            format!("no trusted certificates are found{why} (install ca-certificates, or set SSL_CERT_FILE)");
        return Err(io::Error::new(ErrorKind::NotFound, text));
    }
    Ok(found.certs)
}

impl<T: Read + Write> Stream<T> {
    /// The server's side of an encrypted connection.
    pub(crate) fn serve(socket: T, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = ServerConnection::new(config).map_err(explained)?;
        Ok(Self::Tls(Box::new(Session { socket, tls: tls.into(), cut: false, taken: 0 })))
    }

    /// What the socket has taken of what encryption has made, where it does not take the rest for now.
    pub(crate) fn unflushed(&self) -> Option<u64> {
        match self {
            Self::Tls(session) if session.tls.wants_write() => Some(session.taken),
            _ => None,
        }
    }

    /// Says that nothing more comes, as far as the encryption has a word for it.
    pub(crate) fn say_goodbye(&mut self) {
        if let Self::Tls(session) = self {
            session.tls.send_close_notify();
            let _ = session.push();
        }
    }

    /// What the bytes go through.
    pub(crate) fn socket(&self) -> &T {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => &session.socket,
        }
    }

    /// Whether it ended without the goodbye that TLS has: somebody may have cut it.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self, Self::Tls(session) if session.cut)
    }

    /// Whether a connection that is kept has nothing to say. What TLS says for itself does not count.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

impl<T: Read + Write> Read for Stream<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(session) => session.read(into),
        }
    }
}

impl<T: Read + Write> Write for Stream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(session) => session.push(),
        }
    }
}

impl<T: Read + Write> Read for Session<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // The handshake speaks in turns, and what did not go out before may go now. If it cannot, reading tells why.
            let _ = self.push();
            match self.tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.cut = true;
                    return Ok(0);
                }
                other => return other,
            }
            self.tls.read_tls(&mut self.socket)?;
            if let Err(error) = self.tls.process_new_packets() {
                // The server shall hear why, if it can.
                let _ = self.push();
                return Err(explained(error));
            }
        }
    }
}

impl<T: Read + Write> Write for Session<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What was taken before goes first: nobody's memory holds more of a page than this for who does not read.
        self.push()?;
        if self.tls.wants_write() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = self.tls.writer().write(bytes.get(..MOST_AT_ONCE).unwrap_or(bytes))?;
        self.push()?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

impl<T: Read + Write> Session<T> {
    /// Sends what TLS has to send, as far as the socket takes it.
    fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.taken = self.taken.saturating_add(u64::try_from(n).unwrap_or(u64::MAX)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<T: Read + Write> Drop for Session<T> {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.push();
    }
}

/// What is encrypted before any of it is sent.
const MOST_AT_ONCE: usize = 64 << 10;

/// Sessions that are remembered, over all servers.
const SESSIONS: usize = 256;
