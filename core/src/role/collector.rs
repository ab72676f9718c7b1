//! The collector: pmcd's side of the conversation with a PCP client.
//!
//! It speaks first (the challenge) and wants CREDS next; then it answers every request but PROFILE, in order. Unknown
//! kinds are refused and the connection stays (pcp-protocol: handshake, catalogue).

use super::{
    Context, Progress, Role, Word,
    answer::Answerer,
    intake::{Body, Intake, Request},
};
use crate::{
    pcp::Status,
    pdu::{
        self, Kind,
        creds::{Creds, Features},
        error::{Challenge, Report},
        profile::{Profile, Stored},
    },
    store::Storage,
    time::{Duration, Instant},
    wire::{Reader, size},
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
///
/// Without memory `M` it reads requests in the input window, which must hold the longest that clients may send. With
/// some it takes them in there, through a window of any size: the body of a request, or four bytes for each name in it
/// and the next name. A longer request is refused with [`Status::TOOBIG`], and a longer profile costs the fetches that
/// need it.
#[derive(Debug)]
pub struct Collector<const PROFILE: usize, const CONTEXTS: usize, M = [u8; 0]> {
    at: At,
    word: Word,
    answerer: Answerer,
    contexts: Contexts<PROFILE, CONTEXTS>,
    intake: Intake<M>,
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
        Self::with_memory(patience, [])
    }
}

impl<const PROFILE: usize, const CONTEXTS: usize, M> Collector<PROFILE, CONTEXTS, M> {
    /// The same, with memory to take requests in.
    pub const fn with_memory(patience: Duration, memory: M) -> Self {
        Self {
            at: At::Challenge,
            word: Word(0),
            answerer: Answerer::new(patience, true),
            contexts: Contexts { profiles: [const { None }; CONTEXTS], oldest: 0 },
            intake: Intake::new(memory),
        }
    }

    /// Gives its memory back, for the next client's; only [`with_memory`](Self::with_memory) gives it one again.
    pub fn take_memory(&mut self) -> M
    where
        M: Default,
    {
        self.intake.take_memory()
    }

    /// Whether the client has said who it is. One that has not, and asks nothing, holds a place for nothing.
    pub fn is_greeted(&self) -> bool {
        self.at == At::Ready
    }

    /// Whether nothing of a request was taken in that has no answer yet. What lies in the window does not count.
    pub const fn is_idle(&self) -> bool {
        self.intake.is_empty()
    }
}

/// The contexts of a client, as its profiles tell of them.
#[derive(Debug)]
struct Contexts<const PROFILE: usize, const CONTEXTS: usize> {
    profiles: [Option<(i32, Stored<PROFILE>)>; CONTEXTS],
    /// Where the next profile goes when all places are taken.
    oldest: usize,
}

impl<const PROFILE: usize, const CONTEXTS: usize> Contexts<PROFILE, CONTEXTS> {
    /// Keeps a profile for its context, or says why not. There is no answer to a good one.
    ///
    /// One that is too long has no answer either: the client would take it for that to its next request.
    fn keep(&mut self, body: Body<'_>) -> Result<(), Status> {
        let (context, body) = match body {
            Body::Sent(body) => (Profile::parse(body).map_err(|_| Status::IPC)?.context, Some(body)),
            Body::Cut(start) => (Reader::new(start).int().map_err(|_| Status::IPC)?, None),
            Body::Found(_) => return Err(Status::IPC),
        };
        let known = self.profiles.iter().position(|p| p.as_ref().is_some_and(|(c, _)| *c == context));
        let place = known.or_else(|| self.profiles.iter().position(Option::is_none)).unwrap_or(self.oldest);
        if known.is_none() && place == self.oldest {
            self.oldest = if place.saturating_add(1) < CONTEXTS { place.saturating_add(1) } else { 0 };
        }
        let place = self.profiles.get_mut(place).ok_or(Status::TOOBIG)?;
        let (of, stored) = place.get_or_insert_with(|| (context, Stored::new()));
        *of = context;
        if body.is_none_or(|body| stored.set(body).is_err()) {
            stored.lose();
        }
        Ok(())
    }

    /// The profile that holds for a request, or why there is none.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn profile(&self, request: Request<'_>) -> Result<Profile<'_>, Status> {
        let context = context_of(request);
        let mut known = self.profiles.iter().flatten();
        let stored = match context {
            Some(context) => Some(known.find(|(c, _)| *c == context).ok_or(Status::NOPROFILE)?),
            // A label request names no context: that of the client's one context holds.
            None => known.next(),
        };
        stored.map_or(Ok(Profile::ALL), |(_, stored)| stored.profile().ok_or(Status::TOOBIG))
    }
}

/// The context that a fetch is for.
fn context_of(request: Request<'_>) -> Option<i32> {
    match request.kind {
        Kind::FETCH | Kind::HIGHRES_FETCH => {
            pdu::fetch::Fetch::parse(request.kind, request.sent().ok()?).ok().map(|f| f.context)
        }
        _ => None,
    }
}

/// Whether a client's credentials are such that it can be served.
fn check(request: Request<'_>) -> Result<(), Error> {
    let creds = Creds::parse(request.sent().map_err(|_| pdu::Error::TooLong)?)?;
    if creds.version == 0 {
        return Err(Error::NoCreds);
    }
    if creds.flags == Features::NONE { Ok(()) } else { Err(Error::NotOffered) }
}

impl<S: Storage, const PROFILE: usize, const CONTEXTS: usize, M> Role<S> for Collector<PROFILE, CONTEXTS, M>
where
    M: AsRef<[u8]> + AsMut<[u8]>,
{
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
        let (header, taken) = self.intake.head(input)?;
        let Some(header) = header else { return Ok(Progress { consumed: taken, produced: 0 }) };
        if size(header.len) > MAX_REQUEST {
            return Err(Error::TooLong);
        }
        if self.at == At::Creds && header.kind != Kind::CREDS {
            return Err(Error::NoCreds);
        }
        let rest = input.get(taken..).unwrap_or_default();
        let taken = taken.saturating_add(self.intake.body(cx, &mut self.answerer, header, rest));
        let Some((request, len)) = self.intake.request(header, input) else {
            return Ok(Progress { consumed: taken, produced: 0 });
        };
        let (produced, done) = match request.kind {
            Kind::CREDS => {
                check(request)?;
                self.at = At::Ready;
                (0, true)
            }
            Kind::PROFILE => match self.contexts.keep(request.body) {
                Ok(()) => (0, true),
                Err(status) => self.word.say(output, |w| Report { status }.emit(0, w)),
            },
            _ => self.answerer.step(cx, request, self.contexts.profile(request), 0, output),
        };
        if done {
            self.intake.clear();
        }
        Ok(Progress { consumed: taken.saturating_add(if done { len } else { 0 }), produced })
    }

    fn deadline(&self) -> Option<Instant> {
        self.answerer.deadline()
    }

    fn is_busy(&self) -> bool {
        self.answerer.is_busy()
    }
}
