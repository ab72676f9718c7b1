//! A client as crude as a test needs it: one request on one connection, whatever comes back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What came back for a request.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, or 0 where none came.
    pub status: u16,
    /// The head as sent.
    pub head: String,
    /// The body as sent, chunks undone.
    pub body: Vec<u8>,
    /// Whether all of the body that the head promised has come.
    pub is_whole: bool,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Asks a server on the loopback for a path, with these fields.
pub fn get(port: u16, path: &str, fields: &[&str]) -> Response {
    let more: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n"))
}

/// Sends this text and reads until the connection ends.
pub fn ask(port: u16, request: &str) -> Response {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok();
        stream.write_all(request.as_bytes()).ok();
        stream.read_to_end(&mut answer).ok();
    }
    take_apart(&answer)
}

/// A whole answer, taken apart.
pub fn take_apart(answer: &[u8]) -> Response {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
    let (head, rest) = answer.split_at(end);
    let rest = rest.get(4..).unwrap_or(&[]);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut response = Response { status, head, body: rest.to_vec(), is_whole: status != 0 };
    if response.field("Transfer-Encoding").is_some() {
        let (body, is_whole) = chunks(rest);
        response = Response { body, is_whole, ..response };
    } else if let Some(length) = response.field("Content-Length").map(str::to_owned) {
        response.is_whole = length.parse() == Ok(rest.len());
    }
    response
}

/// What is in the chunks, and whether the last one is there.
fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16) else {
            return (body, false);
        };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(..size) else { return (body, false) };
        body.extend_from_slice(chunk);
        rest = rest.get(size + 2..).unwrap_or(&[]);
    }
}
