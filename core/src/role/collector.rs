//! The collector: pmcd's side of the conversation with a PCP client.
//!
//! It speaks first (the challenge) and wants CREDS next; then it answers every request but PROFILE, in order. Unknown
//! kinds are refused and the connection stays (pcp-protocol: handshake, catalogue).

use super::{Context, Progress, Role, Word, answer::Answerer};
use crate::{
    pcp::Status,
    pdu::{
        self, Header, Kind,
        creds::{Creds, Features},
        error::{Challenge, Report},
        profile::{Profile, Stored},
    },
    store::Storage,
    time::{Duration, Instant},
    wire::size,
};

/// What ends a client's conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The stream is no stream of PDUs.
    Pdu(pdu::Error),
    /// It asked before it said who it is.
    NoCreds,
    /// It wants what was not offered: TLS, authentication or a container.
    NotOffered,
    /// A request is longer than clients may send.
    TooLong,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Pdu(error) => error.fmt(f),
            Self::NoCreds => f.write_str("client asked before it sent its credentials"),
            Self::NotOffered => {
                f.write_str("client wants TLS, authentication or a container, which were not offered")
            }
            Self::TooLong => f.write_str("request is longer than 64 KiB"),
        }
    }
}

impl core::error::Error for Error {}

impl From<pdu::Error> for Error {
    fn from(error: pdu::Error) -> Self {
        Self::Pdu(error)
    }
}

/// The longest PDU that a client may send, as pmcd has it.
pub const MAX_REQUEST: usize = 65_536;

/// The other end of one client, with room for `CONTEXTS` profiles of `PROFILE` bytes each.
#[derive(Debug)]
pub struct Collector<const PROFILE: usize, const CONTEXTS: usize> {
    at: At,
    word: Word,
    answerer: Answerer,
    profiles: [Option<(i32, Stored<PROFILE>)>; CONTEXTS],
    /// Where the next profile goes when all places are taken.
    oldest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Challenge,
    Creds,
    Ready,
}

impl<const PROFILE: usize, const CONTEXTS: usize> Collector<PROFILE, CONTEXTS> {
    /// Before the first byte; answers wait at most `patience` for scrapes. Clients give up after 10 s.
    pub const fn new(patience: Duration) -> Self {
        Self {
            at: At::Challenge,
            word: Word(0),
            answerer: Answerer::new(patience, true),
            profiles: [const { None }; CONTEXTS],
            oldest: 0,
        }
    }

    /// Whether the client has said who it is. One that has not, and asks nothing, holds a place for nothing.
    pub fn is_greeted(&self) -> bool {
        self.at == At::Ready
    }

    /// Keeps a profile for its context, or says why not. There is no answer to a good one.
    fn keep(&mut self, body: &[u8]) -> Result<(), Status> {
        let context = Profile::parse(body).map_err(|_| Status::IPC)?.context;
        if body.len() > PROFILE {
            return Err(Status::TOOBIG);
        }
        let known = self.profiles.iter().position(|p| p.as_ref().is_some_and(|(c, _)| *c == context));
        let place = known.or_else(|| self.profiles.iter().position(Option::is_none)).unwrap_or(self.oldest);
        if known.is_none() && place == self.oldest {
            self.oldest = if place.saturating_add(1) < CONTEXTS { place.saturating_add(1) } else { 0 };
        }
        let place = self.profiles.get_mut(place).ok_or(Status::TOOBIG)?;
        let (of, stored) = place.get_or_insert_with(|| (context, Stored::new()));
        *of = context;
        stored.set(body).map_err(|_| Status::TOOBIG)
    }

    fn request<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        (header, body, len): (Header, &[u8], usize),
        output: &mut [u8],
    ) -> Progress {
        if header.kind == Kind::PROFILE {
            return match self.keep(body) {
                Ok(()) => Progress { consumed: len, produced: 0 },
                Err(status) => {
                    let (produced, done) = self.word.say(output, |w| Report { status }.emit(0, w));
                    Progress { consumed: if done { len } else { 0 }, produced }
                }
            };
        }
        let context = context_of(header, body);
        let stored = self.profiles.iter().flatten().find(|(c, _)| Some(*c) == context);
        let profile = match (context, stored) {
            (_, Some((_, stored))) => Ok(stored.profile()),
            // A label request names no context: that of the client's one context holds.
            (None, None) => {
                Ok(self.profiles.iter().flatten().next().map_or(Profile::ALL, |(_, s)| s.profile()))
            }
            (Some(_), None) => Err(Status::NOPROFILE),
        };
        self.answerer.step(cx, (header, body, len), profile, 0, output)
    }
}

/// The context that a fetch is for.
fn context_of(header: Header, body: &[u8]) -> Option<i32> {
    match header.kind {
        Kind::FETCH | Kind::HIGHRES_FETCH => {
            pdu::fetch::Fetch::parse(header.kind, body).ok().map(|f| f.context)
        }
        _ => None,
    }
}

impl<S: Storage, const PROFILE: usize, const CONTEXTS: usize> Role<S> for Collector<PROFILE, CONTEXTS> {
    type Error = Error;

    fn step(&mut self, cx: &mut Context<'_, S>, input: &[u8], output: &mut [u8]) -> Result<Progress, Error> {
        if self.at == At::Challenge {
            let features = Features::LABELS.with(Features::HIGHRES).with(Features::DESCS);
            let (produced, done) = self.word.say(output, |w| Challenge::accept(features).emit(0, w));
            if done {
                self.at = At::Creds;
            }
            return Ok(Progress { consumed: 0, produced });
        }
        match Header::parse(input)? {
            Some(header) if size(header.len) > MAX_REQUEST => return Err(Error::TooLong),
            Some(header) if self.at == At::Creds && header.kind != Kind::CREDS => return Err(Error::NoCreds),
            _ => {}
        }
        let Some((header, body, len)) = pdu::split(input)? else { return Ok(Progress::NONE) };
        if header.kind == Kind::CREDS {
            let creds = Creds::parse(body)?;
            if creds.version == 0 {
                return Err(Error::NoCreds);
            }
            if creds.flags != Features::NONE {
                return Err(Error::NotOffered);
            }
            self.at = At::Ready;
            return Ok(Progress { consumed: len, produced: 0 });
        }
        Ok(self.request(cx, (header, body, len), output))
    }

    fn deadline(&self) -> Option<Instant> {
        self.answerer.deadline()
    }

    fn is_busy(&self) -> bool {
        self.answerer.is_busy()
    }
}
