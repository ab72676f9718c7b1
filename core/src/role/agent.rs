//! The agent: the PMDA's side of the conversation with pmcd.
//!
//! It speaks first (CREDS), then answers exactly one PDU per request, and none for PROFILE, ATTR and ERROR
//! (pcp-protocol: start-up of a PMDA, steady state). State changes ride in the seconds of a RESULT.

use super::{Context, Progress, Role, Word, answer::Answerer};
use crate::{
    pcp::Status,
    pdu::{
        self, Kind,
        creds::{Creds, Features, VERSION},
        error::Report,
        profile::Stored,
    },
    store::Storage,
    time::{Duration, Instant},
};

/// Names came or went: pmcd tells its clients.
const NAMES_CHANGE: u32 = 16;

/// How an agent behaves.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "the host chooses all of it")]
pub struct Settings {
    /// The process id, for the first PDU.
    pub pid: u32,
    /// Whether pmcd.conf says `notready`, so that pmcd waits to be told otherwise. If it does not say so and is told
    /// nevertheless, every later answer is taken for the one before it.
    pub announces_ready: bool,
    /// How long an answer may wait for scrapes. pmcd drops an agent that lets it wait 5 s.
    pub patience: Duration,
}

/// The PMDA's side, with room for a profile of `PROFILE` bytes.
#[derive(Debug)]
pub struct Agent<const PROFILE: usize> {
    settings: Settings,
    at: At,
    word: Word,
    answerer: Answerer,
    profile: Stored<PROFILE>,
    known_names: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Greet,
    Greeted,
    NotReady,
    Ready,
}

impl<const PROFILE: usize> Agent<PROFILE> {
    /// Before the first byte.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            at: At::Greet,
            word: Word(0),
            answerer: Answerer::new(settings.patience, false),
            profile: Stored::new(),
            known_names: 0,
        }
    }

    /// Whether pmcd may ask.
    pub fn is_ready(&self) -> bool {
        self.at == At::Ready
    }

    /// One PDU of input at most.
    fn advance<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, pdu::Error> {
        let ((produced, done), next) = match self.at {
            At::Greet => {
                let greeting = Creds { version: VERSION, flags: Features::NONE };
                (self.word.say(output, |w| greeting.emit(self.settings.pid, w)), At::Greeted)
            }
            // Names that come later are told as a change: no source that is dead holds the others up.
            At::NotReady => {
                let ready = Report { status: Status::PMDAREADY };
                (self.word.say(output, |w| ready.emit(0, w)), At::Ready)
            }
            _ => return self.receive(cx, input, output),
        };
        if done {
            self.at = next;
            self.known_names = cx.store.view().names_epoch();
        }
        Ok(Progress { consumed: 0, produced })
    }

    fn receive<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, pdu::Error> {
        let Some((header, body, len)) = pdu::split(input)? else { return Ok(Progress::NONE) };
        let silent = Ok(Progress { consumed: len, produced: 0 });
        match header.kind {
            Kind::CREDS => {
                if self.at == At::Greeted {
                    self.at = if self.settings.announces_ready { At::NotReady } else { At::Ready };
                }
                silent
            }
            // Without a profile everything is told, which is more than was asked for and never less.
            Kind::PROFILE => {
                if self.profile.set(body).is_err() {
                    self.profile = Stored::new();
                }
                silent
            }
            Kind::ATTR | Kind::ERROR => silent,
            kind if !is_request(kind) => silent,
            kind => {
                let names = cx.store.view().names_epoch();
                let flags = if names != self.known_names { NAMES_CHANGE } else { 0 };
                let profile = self.profile.profile();
                let progress = self.answerer.step(cx, (header, body, len), Ok(profile), flags, output);
                if progress.consumed > 0 && kind == Kind::FETCH {
                    self.known_names = names;
                }
                Ok(progress)
            }
        }
    }
}

/// Whether pmcd expects an answer.
fn is_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::FETCH
            | Kind::DESC_REQ
            | Kind::INSTANCE_REQ
            | Kind::TEXT_REQ
            | Kind::LABEL_REQ
            | Kind::PMNS_NAMES
            | Kind::PMNS_IDS
            | Kind::PMNS_CHILD
            | Kind::PMNS_TRAVERSE
            | Kind::RESULT
    )
}

impl<S: Storage, const PROFILE: usize> Role<S> for Agent<PROFILE> {
    type Error = pdu::Error;

    fn step(
        &mut self,
        cx: &mut Context<'_, S>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, pdu::Error> {
        self.advance(cx, input, output)
    }

    fn deadline(&self) -> Option<Instant> {
        self.answerer.deadline()
    }

    fn is_busy(&self) -> bool {
        self.answerer.is_busy()
    }
}
