//! One who asks and holds every byte of the answers against what they may be.

use pmbridge_core::{
    pdu::{self, Header, Kind},
    time::{Duration, Instant},
};
use smoltcp::{iface::SocketHandle, socket::tcp::Socket, wire::IpEndpoint};

use super::station::Stack;
use crate::take_apart;

/// How it is known that an answer is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// By the length in a PDU's header.
    Pcp,
    /// The same, but values have the time of a clock that goes, so that it is not compared.
    Timed,
    /// By HTTP's length or its last chunk; the connection is closed by whoever asked.
    Http,
    /// Never: what comes is taken and forgotten.
    None,
}

/// A question, or the start of a conversation where the other side speaks first, and the answers that are right.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// What is sent.
    pub request: Vec<u8>,
    /// What may come; anything where this is empty.
    pub allowed: Vec<Vec<u8>>,
}

/// A client: connects, asks its rounds one after the other, and begins again where the connection is lost.
pub struct Talk {
    /// The bytes that it sends at once.
    pub piece: usize,
    /// Milliseconds between two pieces.
    pub gap: u64,
    /// Whether it takes what comes.
    pub reads: bool,
    /// Bytes that the other side may send before it has taken them.
    pub window: usize,
    /// How long it waits for a byte before it connects anew. One who does not stay gives up with that.
    pub patience: Duration,
    /// Whether it begins again when its connection is lost.
    pub stays: bool,
    /// How often it lost its connection.
    pub lost: u32,
    /// Connections that it opened.
    pub opened: u32,
    /// The answers that it has, and behind them one that is still coming.
    pub answers: Vec<Vec<u8>>,
    /// The first answer that was none of those allowed.
    pub wrong: Option<String>,
    protocol: Protocol,
    to: IpEndpoint,
    rounds: Vec<Round>,
    socket: Option<SocketHandle>,
    at: At,
    /// Whether the other side said that it cannot, in HTTP's own words: as good as a connection lost.
    is_refused: bool,
    sent: usize,
    /// When the next thing is due by itself.
    due: Instant,
    moved: Instant,
}

impl core::fmt::Debug for Talk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let last = self.answers.last().map_or(0, Vec::len);
        write!(f, "{:?}: {:?}, ", self.protocol, self.at)?;
        write!(f, "round {} of {}, {last} B of its answer, ", self.answers.len(), self.rounds.len())?;
        write!(f, "{} connections, {} lost, wrong: {:?}", self.opened, self.lost, self.wrong)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Away,
    Connected,
    Done,
}

impl Talk {
    /// One who will connect at `start`.
    pub const fn new(protocol: Protocol, to: IpEndpoint, rounds: Vec<Round>, start: Instant) -> Self {
        Self {
            piece: usize::MAX,
            gap: 1,
            reads: true,
            window: 8192,
            patience: Duration::from_secs(20),
            stays: true,
            lost: 0,
            opened: 0,
            answers: Vec::new(),
            wrong: None,
            protocol,
            to,
            rounds,
            socket: None,
            at: At::Away,
            is_refused: false,
            sent: 0,
            due: start,
            moved: start,
        }
    }

    /// The same, but it asks just this, at once.
    #[must_use]
    pub fn asking(self, request: Vec<u8>) -> Self {
        Self { rounds: vec![Round { request, allowed: Vec::new() }], ..self }
    }

    /// The same, but what is answered is that of another protocol.
    #[must_use]
    pub fn of(self, protocol: Protocol) -> Self {
        Self { protocol, ..self }
    }

    /// Whether it has all answers, or gave up.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Whether it has all answers.
    pub fn is_content(&self) -> bool {
        self.is_done() && self.answers.len() == self.rounds.len()
    }

    /// When it does something by itself.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.at != At::Done).then_some(self.due)
    }

    pub(super) fn turn(&mut self, stack: &mut Stack, now: Instant) {
        match self.at {
            At::Done => {}
            At::Away if now < self.due => {}
            At::Away => {
                let socket = *self.socket.get_or_insert_with(|| stack.socket(self.window));
                stack.tcp(socket).abort();
                stack.connect(socket, self.to);
                self.opened += 1;
                self.answers.clear();
                self.answers.push(Vec::new());
                self.sent = 0;
                self.at = At::Connected;
                self.moved = now;
                self.due = now.saturating_add(self.patience);
            }
            At::Connected => self.converse(stack, now),
        }
    }

    fn converse(&mut self, stack: &mut Stack, now: Instant) {
        let Some(handle) = self.socket else { return };
        let socket = stack.tcp(handle);
        if self.reads {
            self.take(socket, now);
        }
        if self.at == At::Connected {
            self.send(socket, now);
        }
        let is_ended = self.is_refused
            || !socket.is_active()
            || (!socket.may_recv() && !socket.can_recv() && socket.may_send());
        if self.at == At::Connected && (is_ended || now >= self.moved.saturating_add(self.patience)) {
            socket.abort();
            self.is_refused = false;
            self.lost += 1;
            self.at = if self.stays { At::Away } else { At::Done };
            self.due = now.saturating_add(Duration::from_millis(PAUSE));
        }
    }

    fn take(&mut self, socket: &mut Socket<'_>, now: Instant) {
        while self.at == At::Connected && socket.can_recv() {
            let Some(answer) = self.answers.last_mut() else { return };
            let came = socket.recv(|bytes| (bytes.len(), answer.extend_from_slice(bytes)));
            if came.is_err() {
                return;
            }
            self.moved = now;
            self.judge();
            if self.wrong.is_some() {
                self.at = At::Done;
            }
        }
        if self.at == At::Done {
            socket.close();
        }
    }

    /// Looks at what came of the answer to the round at hand.
    fn judge(&mut self) {
        if self.protocol == Protocol::None {
            self.answers.iter_mut().for_each(Vec::clear);
            return;
        }
        let round = self.answers.len() - 1;
        let Some(answer) = self.answers.last() else { return };
        let judged = match self.protocol {
            Protocol::Pcp => pdu_in(answer),
            Protocol::Timed => pdu_in(answer).map(|(pdu, is_whole)| (timeless(pdu), is_whole)),
            _ => page_in(answer),
        };
        let (come, is_whole) = match judged {
            Ok(judged) => judged,
            Err(why) => return self.blame(round, &why),
        };
        let allowed = &self.rounds[round].allowed;
        let is_same = |right: &Vec<u8>| if is_whole { *right == come } else { right.starts_with(&come) };
        if !allowed.is_empty() && !allowed.iter().any(is_same) {
            let right =
                allowed.iter().max_by_key(|right| common(right, &come)).map_or(&[][..], Vec::as_slice);
            let at = common(right, &come);
            let rest = |bytes: &[u8]| {
                bytes[at..].iter().take(300).copied().collect::<Vec<u8>>().escape_ascii().to_string()
            };
            let why = format!("from byte {at} on it is {:?} and not {:?}, for", rest(&come), rest(right));
            return self.blame(round, &why);
        }
        self.is_refused = self.protocol == Protocol::Http && is_refusal(answer);
        if is_whole {
            self.sent = 0;
            if self.answers.len() == self.rounds.len() {
                self.at = At::Done;
            } else {
                self.answers.push(Vec::new());
            }
        }
    }

    fn blame(&mut self, round: usize, why: &str) {
        let request = self.rounds[round].request.escape_ascii();
        self.wrong = Some(format!("round {round}: {why} {request}"));
    }

    fn send(&mut self, socket: &mut Socket<'_>, now: Instant) {
        let round = &self.rounds[self.answers.len() - 1];
        let rest = &round.request[self.sent..];
        let patience = self.moved.saturating_add(self.patience);
        if rest.is_empty() {
            self.due = patience;
            return;
        }
        if !socket.can_send() || (now < self.due && self.sent > 0) {
            return;
        }
        let piece = &rest[..rest.len().min(self.piece)];
        let sent = socket.send_slice(piece).unwrap_or(0);
        self.sent += sent;
        self.moved = now;
        self.due = now.saturating_add(Duration::from_millis(self.gap));
    }
}

/// What of an answer is to be compared, and whether it is whole.
fn pdu_in(answer: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let split = pdu::split(answer).map_err(|error| error.to_string())?;
    Ok((answer.to_vec(), split.is_some_and(|(_, _, len)| len == answer.len())))
}

/// The whole lines of a page, without the numbers that an agent gives of itself, for they differ each time.
fn page_in(answer: &[u8]) -> Result<(Vec<u8>, bool), String> {
    let response = take_apart(answer);
    let is_framed =
        ["Transfer-Encoding", "Content-Length"].iter().any(|field| response.field(field).is_some());
    let is_whole = response.is_whole && is_framed;
    if is_refusal(answer) {
        return Ok((Vec::new(), false));
    }
    if is_framed && response.status != 200 {
        return Err(format!("status {}", response.status));
    }
    let end = response.body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (lines, rest) = response.body.split_at(if is_framed { end } else { 0 });
    if is_whole && !rest.is_empty() {
        return Err(String::from("last line has no end"));
    }
    let mut page = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        page.extend_from_slice(if OWN.iter().any(|own| line.starts_with(own)) { name } else { line });
    }
    Ok((page, is_whole))
}

/// Whether a request was too slow, or came while there was no room for it.
fn is_refusal(answer: &[u8]) -> bool {
    matches!(take_apart(answer).status, 408 | 503)
}

/// How far both are the same.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Talk {
    /// What of these answers is to be allowed of others, where these are right.
    pub fn comparable(protocol: Protocol, answer: &[u8]) -> Vec<u8> {
        match protocol {
            Protocol::Http => page_in(answer).map(|(page, _)| page).unwrap_or_default(),
            Protocol::Timed => timeless(answer.to_vec()),
            _ => answer.to_vec(),
        }
    }
}

/// A PDU without the time of its values: behind the header, or behind a count where it is in nanoseconds.
fn timeless(mut pdu: Vec<u8>) -> Vec<u8> {
    let kind = pdu.get(4..8).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let (at, bytes) = match kind.map(Kind) {
        Some(Kind::RESULT) => (Header::LEN, 8),
        Some(Kind::HIGHRES_RESULT) => (Header::LEN + 4, 16),
        _ => return pdu,
    };
    pdu.iter_mut().skip(at).take(bytes).for_each(|byte| *byte = 0);
    pdu
}

/// How the names begin of what an agent says of itself and its board on a page, which goes on.
const OWN: [&[u8]; 3] = [b"pmbridge_", b"device_", b"sensor_"];
/// Milliseconds before one connects anew.
const PAUSE: u64 = 200;
