//! The URLs of sources: where to connect, what to ask for, and what may be shown.
//!
//! Path and query are kept as written, percent-escapes included. User and password go to the server and nowhere else:
//! neither [`Display`](fmt::Display) nor `Debug` shows them, nor does any label.

use std::fmt;
use std::path::PathBuf;

/// Where a source's document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// Behind an HTTP server.
    Http(Http),
    /// In a file of this machine.
    File(PathBuf),
}

/// An `http://` or `https://` URL, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Http {
    /// Whether the conversation is encrypted: `https://`.
    pub(crate) tls: bool,
    /// Host name or address, IPv6 without brackets.
    pub(crate) host: String,
    /// The port; 80, or 443 where encrypted, unless given.
    pub(crate) port: u16,
    /// Host and port as the URL has them, as for the Host header.
    pub(crate) authority: String,
    /// Path and query, `/` at least.
    pub(crate) path: String,
    /// As written, but for user, password and fragment.
    shown: String,
    /// Base64 of `user:password`.
    credentials: Option<String>,
}

impl Url {
    /// Reads a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text.split_once("://").ok_or(Error::Scheme)?;
        if text.contains(char::is_control) {
            return Err(Error::Control);
        }
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Http::parse(rest, false).map(Self::Http),
            "https" => Http::parse(rest, true).map(Self::Http),
            "file" if rest.starts_with('/') => Ok(Self::File(rest.into())),
            "file" => Err(Error::RelativeFile),
            _ => Err(Error::Scheme),
        }
    }

    /// The `hostname` label of the source: the host as written, or this machine's name where that is meant.
    pub(crate) fn hostname<'a>(&'a self, this_machine: &'a str) -> &'a str {
        match self {
            Self::Http(http) if !http.host.eq_ignore_ascii_case("localhost") => &http.host,
            _ => this_machine,
        }
    }

    /// A source name for a URL that was given without one: `localhost:9100` is `localhost_9100`.
    pub(crate) fn source_name(&self) -> String {
        let text = match self {
            Self::Http(http) if http.path == "/metrics" || http.path == "/" => http.authority.clone(),
            Self::Http(http) => format!("{}{}", http.authority, http.path),
            Self::File(path) => {
                path.with_extension("").file_name().unwrap_or_default().to_string_lossy().into()
            }
        };
        let mut name = String::new();
        for c in text.chars() {
            match c {
                c if c.is_ascii_alphanumeric() => name.push(c),
                _ if name.is_empty() || name.ends_with('_') => {}
                _ => name.push('_'),
            }
        }
        name.truncate(name.trim_end_matches('_').len());
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("source_{name}") }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => f.write_str(&http.shown),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl Http {
    /// Header lines that carry user and password; empty without them.
    pub(crate) fn authorization(&self) -> String {
        match &self.credentials {
            Some(credentials) => format!("Authorization: Basic {credentials}\r\n"),
            None => String::new(),
        }
    }

    /// Where a `Location` of an answer from here leads. User and password that it may have are not taken.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        let same = if self.tls { "https" } else { "http" };
        let location = location.split_once('#').map_or(location, |(before, _)| before);
        let (path, query) =
            self.path.split_once('?').map_or((&*self.path, ""), |(path, query)| (path, query));
        let scheme = location.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme =
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        let absolute = if is_scheme {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{same}:{location}")
        } else {
            let path = match location.as_bytes().first() {
                None if query.is_empty() => path.to_owned(),
                None => format!("{path}?{query}"),
                Some(b'?') => format!("{path}{location}"),
                Some(_) => straight(path, location),
            };
            format!("{same}://{}{path}", self.authority)
        };
        match Url::parse(&absolute)? {
            Url::Http(http) => Ok(Self { credentials: None, ..http }),
            Url::File(_) => Err(Error::Scheme),
        }
    }

    /// Whether what is meant for the server of this URL may go to that of another too: the same one, or the same host
    /// as it went from `http://` to `https://`.
    pub(crate) fn may_tell(&self, other: &Self) -> bool {
        let same = (self.tls, self.port) == (other.tls, other.port);
        let upgraded = (self.tls, self.port, other.tls, other.port) == (false, 80, true, 443);
        self.host.eq_ignore_ascii_case(&other.host) && (same || upgraded)
    }

    /// Scheme, host and port, for messages.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    fn parse(rest: &str, tls: bool) -> Result<Self, Error> {
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = match rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)) {
            Some(parts) => parts,
            None => (rest, ""),
        };
        let (userinfo, authority) = match authority.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(userinfo), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority, if tls { 443 } else { 80 })?;
        let path = format!("{}{}", if path.starts_with('/') { "" } else { "/" }, escaped(path));
        Ok(Self {
            tls,
            host: host.into(),
            port,
            authority: authority.into(),
            shown: format!(
                "{}://{authority}{}",
                if tls { "https" } else { "http" },
                rest.get(rest.find(['/', '?']).unwrap_or(rest.len())..).unwrap_or("")
            ),
            path,
            credentials: userinfo.map(|userinfo| {
                let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
                base64(&[unescaped(user), b":".to_vec(), unescaped(password)].concat())
            }),
        })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({:?})", self.shown)
    }
}

/// Why a text is no URL of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Error {
    /// Some other scheme, or none.
    Scheme,
    /// The host is missing.
    NoHost,
    /// The host has characters that no host has.
    Host,
    /// The port is no number up to 65535.
    Port,
    /// A file:// URL without an absolute path.
    RelativeFile,
    /// A control character.
    Control,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "not an http://, https:// or file:// URL",
            Self::NoHost => "the URL has no host",
            Self::Host => "the URL's host is not a host name or address",
            Self::Port => "the URL's port is not a number from 1 to 65535",
            Self::RelativeFile => "the path of a file:// URL must start with /",
            Self::Control => "the URL has a control character in it",
        })
    }
}

impl std::error::Error for Error {}

/// The path that `location` means, seen from `path`, without steps back (RFC 3986, 5.2).
fn straight(path: &str, location: &str) -> String {
    let (target, query) = match location.find('?').and_then(|at| location.split_at_checked(at)) {
        Some(parts) => parts,
        None => (location, ""),
    };
    let base = if target.starts_with('/') { "" } else { path.rsplit_once('/').map_or("", |(base, _)| base) };
    let target = target.strip_prefix('/').unwrap_or(target);
    let mut steps: Vec<&str> = Vec::new();
    for step in base.split('/').skip(1).chain(target.split('/')) {
        match step {
            "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    if matches!(target.rsplit('/').next(), Some("." | "..")) {
        steps.push("");
    }
    format!("/{}{query}", steps.join("/"))
}

fn host_and_port(authority: &str, usual: u16) -> Result<(&str, u16), Error> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Error::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| Error::Host)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(Error::Port)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err(Error::NoHost);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if !host.bytes().all(plain) {
        return Err(Error::Host);
    }
    let port = match port {
        None | Some("") => usual,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| Error::Port)?,
        Some(_) => return Err(Error::Port),
    };
    if port == 0 { Err(Error::Port) } else { Ok((host, port)) }
}

/// Path and query with what may not stand in a request line escaped; escapes stay.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() { out.push(char::from(byte)) } else { out += &format!("%{byte:02X}") }
    }
    out
}

/// The bytes behind percent-escapes; what is no escape stays.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escape = after.first_chunk::<2>().filter(|_| byte == b'%');
        match escape.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    out
}

/// Base64 with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let group = a << 16 | b << 8 | c;
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = BASE64.get(usize::try_from(group >> shift & 63).unwrap_or(0)).copied();
            out.push(digit.filter(|_| at <= chunk.len()).map_or('=', char::from));
        }
    }
    out
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Http {
        match Url::parse(text) {
            Ok(Url::Http(http)) => http,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, authority, path) in [
            ("http://localhost:9100/metrics", "localhost", 9100, "localhost:9100", "/metrics"),
            ("HTTP://h", "h", 80, "h", "/"),
            ("http://h:/x", "h", 80, "h:", "/x"),
            ("http://h?a=b#c", "h", 80, "h", "/?a=b"),
            ("http://[::1]:9100/a%20b?c=%2F", "::1", 9100, "[::1]:9100", "/a%20b?c=%2F"),
            ("http://[fe80::1]", "fe80::1", 80, "[fe80::1]", "/"),
            ("http://u:p@h:1/x@y", "h", 1, "h:1", "/x@y"),
            ("https://h/x", "h", 443, "h", "/x"),
            ("HTTPS://h:8443", "h", 8443, "h:8443", "/"),
            ("http://h/a b/é", "h", 80, "h", "/a%20b/%C3%A9"),
        ] {
            let url = http(text);
            assert_eq!(
                (&*url.host, url.port, &*url.authority, &*url.path),
                (host, port, authority, path),
                "{text}"
            );
        }
        assert_eq!(Url::parse("file:///a/b c"), Ok(Url::File("/a/b c".into())));
    }

    #[test]
    fn a_password_is_sent_and_never_shown() {
        let url = Url::parse("http://user:s%65cret%21@h:9/x?y#z").unwrap();
        let shown = format!("{url} {url:?} {}", url.source_name());
        assert!(!shown.contains("ecret") && !shown.contains("user"), "{shown}");
        assert_eq!(url.to_string(), "http://h:9/x?y");
        assert_eq!(url.hostname("me"), "h");
        let Url::Http(url) = url else { panic!() };
        assert_eq!(url.authorization(), "Authorization: Basic dXNlcjpzZWNyZXQh\r\n");
        assert_eq!(http("http://h").authorization(), "");
    }

    #[test]
    fn a_location_leads_on_from_where_it_was_said() {
        let from = http("http://u:p@h:1/a/b?q");
        for (location, want) in [
            ("http://other/x", "http://other/x"),
            ("https://h/x", "https://h/x"),
            ("//other:2/x", "http://other:2/x"),
            ("/x?y#z", "http://h:1/x?y"),
            ("x", "http://h:1/a/x"),
            ("./x/", "http://h:1/a/x/"),
            ("../../../x", "http://h:1/x"),
            ("..", "http://h:1/"),
            ("/a//b/./c/", "http://h:1/a//b/c/"),
            ("?r=http://h", "http://h:1/a/b?r=http://h"),
            ("x:y", "not an http://, https:// or file:// URL"),
            ("file:///etc/passwd", "not an http://, https:// or file:// URL"),
            ("http://", "the URL has no host"),
            ("/\u{7}", "the URL has a control character in it"),
        ] {
            let got = from.join(location).map_or_else(|error| error.to_string(), |url| url.shown);
            assert_eq!(got, want, "{location}");
        }
        assert_eq!(from.join("http://x:y@h:1/").unwrap().authorization(), "");
    }

    #[test]
    fn a_secret_goes_to_its_own_server_only() {
        let from = http("http://h/");
        for (to, want) in [
            ("http://H/x", true),
            ("https://h/x", true),
            ("http://h:81/", false),
            ("https://h:8443/", false),
            ("http://h.evil/", false),
        ] {
            assert_eq!(from.may_tell(&http(to)), want, "{to}");
        }
        assert!(!http("https://h/").may_tell(&from));
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }

    #[test]
    fn localhost_is_this_machine_and_a_hostname_has_no_port() {
        for (text, want) in [
            ("http://localhost/metrics", "me"),
            ("http://u:p@LocalHost:9100/metrics", "me"),
            ("http://127.0.0.1:9100/", "127.0.0.1"),
            ("http://u:p@h:9100/", "h"),
            ("http://[::1]:9100/", "::1"),
            ("file:///x", "me"),
        ] {
            assert_eq!(Url::parse(text).unwrap().hostname("me"), want, "{text}");
        }
    }

    #[test]
    fn every_url_makes_a_name() {
        for (text, want) in [
            ("http://localhost:9100/metrics", "localhost_9100"),
            ("http://127.0.0.1:9100/metrics", "source_127_0_0_1_9100"),
            ("http://[::1]:9100/", "source_1_9100"),
            ("http://h/a/b?c=d", "h_a_b_c_d"),
            ("file:///tmp/node.v1.txt", "node_v1"),
            ("file:///", "source_"),
        ] {
            assert_eq!(Url::parse(text).unwrap().source_name(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        for (text, want) in [
            ("", Error::Scheme),
            ("localhost:9100", Error::Scheme),
            ("ftp://h/", Error::Scheme),
            ("https:///", Error::NoHost),
            ("http://", Error::NoHost),
            ("http:///x", Error::NoHost),
            ("http://u@/x", Error::NoHost),
            ("http://:80/", Error::NoHost),
            ("http://a b/", Error::Host),
            ("http://é/", Error::Host),
            ("http://[::1/", Error::Host),
            ("http://[x]/", Error::Host),
            ("http://[::1]9/", Error::Port),
            ("http://h:0/", Error::Port),
            ("http://h:65536/", Error::Port),
            ("http://h:+1/", Error::Port),
            ("http://::1/", Error::NoHost),
            ("http://h/\u{1}", Error::Control),
            ("file://x", Error::RelativeFile),
        ] {
            assert_eq!(Url::parse(text), Err(want), "{text}");
        }
    }
}
