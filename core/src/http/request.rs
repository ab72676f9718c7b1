//! A scrape asks for one document, and says which formats it reads.

use crate::wire::Writer;

/// A request for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Get<'a> {
    /// The host as the URL has it, with its port.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Further fields, each line with its CR LF. One that is named here is not said twice.
    pub headers: &'a str,
    /// Whether the connection shall serve another request after this one.
    pub keep_alive: bool,
}

impl Get<'_> {
    /// Emits the whole request.
    pub fn emit(&self, w: &mut Writer<'_>) {
        let path = if self.path.is_empty() { "/" } else { self.path };
        for piece in ["GET ", path, " HTTP/1.1\r\n"] {
            w.bytes(piece.as_bytes());
        }
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        for (name, value) in [
            ("Host", self.host),
            ("User-Agent", USER_AGENT),
            ("Accept", ACCEPT),
            ("Accept-Encoding", "identity"),
            ("Connection", connection),
        ] {
            if !has_field(self.headers, name) {
                for piece in [name, ": ", value, "\r\n"] {
                    w.bytes(piece.as_bytes());
                }
            }
        }
        w.bytes(self.headers.as_bytes());
        w.bytes(b"\r\n");
    }
}

/// Whether these fields, each a line, have one of this name.
pub fn has_field(fields: &str, name: &str) -> bool {
    fields.as_bytes().split(|byte| *byte == b'\n').any(|line| {
        line.split_at_checked(name.len()).is_some_and(|(head, rest)| {
            head.eq_ignore_ascii_case(name.as_bytes()) && rest.first() == Some(&b':')
        })
    })
}

/// Who asks.
const USER_AGENT: &str = concat!("pmbridge/", env!("CARGO_PKG_VERSION"));

/// The text format first: what a page may have beside samples costs less there.
const ACCEPT: &str = "text/plain;version=0.0.4,*/*;q=0.1";

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, string::String};

    fn emitted(get: &Get<'_>) -> String {
        let mut room = [0; 512];
        let mut w = Writer::new(&mut room);
        get.emit(&mut w);
        assert!(w.is_whole());
        let len = w.written();
        String::from_utf8(room[..len].into()).unwrap()
    }

    #[test]
    fn a_request_says_who_asks_for_what() {
        let get = Get { host: "h:9100", path: "/metrics?x=1", headers: "", keep_alive: true };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            emitted(&get),
            format!(
                "GET /metrics?x=1 HTTP/1.1\r\nHost: h:9100\r\nUser-Agent: pmbridge/{version}\r\n\
                 Accept: text/plain;version=0.0.4,*/*;q=0.1\r\nAccept-Encoding: identity\r\n\
                 Connection: keep-alive\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_field_of_the_caller_stands_for_the_own() {
        let headers = "accept: text/x\r\nX-Host: y\r\nAuthorization: Basic eA==\r\n";
        let text = emitted(&Get { host: "h", path: "", headers, keep_alive: false });
        assert!(text.starts_with("GET / HTTP/1.1\r\nHost: h\r\n"));
        assert_eq!(text.to_ascii_lowercase().matches("\r\naccept: ").count(), 1);
        assert!(text.contains("\r\nConnection: close\r\n"));
        assert!(text.ends_with("\r\nAuthorization: Basic eA==\r\n\r\n"));
    }
}
