//! The agent: the PMDA's side of the conversation with pmcd.
//!
//! It speaks first (CREDS), then answers exactly one PDU per request, and none for PROFILE, ATTR and ERROR
//! (pcp-protocol: start-up of a PMDA, steady state). State changes ride in the seconds of a RESULT.

use super::{
    Context, Progress, Role, Word,
    answer::Answerer,
    intake::{Body, Intake, Request},
};
use crate::{
    pcp::Status,
    pdu::{
        self, Kind,
        creds::{Creds, Features, VERSION},
        error::Report,
        profile::Stored,
    },
    store::{Storage, View},
    time::{Duration, Instant},
};

/// How an agent behaves.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
///
/// What memory `M` is for, the [collector](super::collector::Collector) says.
#[derive(Debug)]
pub struct Agent<const PROFILE: usize, M = [u8; 0]> {
    settings: Settings,
    at: At,
    word: Word,
    answerer: Answerer,
    intake: Intake<M>,
    profile: Stored<PROFILE>,
    /// What pmcd knows of: how often names, and labels, had changed then.
    known: (u64, u64),
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
        Self::with_memory(settings, [])
    }
}

impl<const PROFILE: usize, M> Agent<PROFILE, M> {
    /// The same, with memory to take requests in.
    pub const fn with_memory(settings: Settings, memory: M) -> Self {
        Self {
            settings,
            at: At::Greet,
            word: Word(0),
            answerer: Answerer::new(settings.patience, false),
            intake: Intake::new(memory),
            profile: Stored::new(),
            known: (0, 0),
        }
    }

    /// Whether pmcd may ask.
    pub fn is_ready(&self) -> bool {
        self.at == At::Ready
    }
}

impl<const PROFILE: usize, M: AsRef<[u8]> + AsMut<[u8]>> Agent<PROFILE, M> {
    /// One PDU of input at most.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
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
            self.known = epochs(cx.store.view());
        }
        Ok(Progress { consumed: 0, produced })
    }

    fn receive<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Progress, pdu::Error> {
        let (header, taken) = self.intake.head(input)?;
        let Some(header) = header else { return Ok(Progress { consumed: taken, produced: 0 }) };
        let rest = input.get(taken..).unwrap_or_default();
        let taken = taken.saturating_add(self.intake.body(cx, &mut self.answerer, header, rest));
        let Some((request, len)) = self.intake.request(header, input) else {
            return Ok(Progress { consumed: taken, produced: 0 });
        };
        let (produced, done) = match request.kind {
            Kind::CREDS => {
                if self.at == At::Greeted {
                    self.at = if self.settings.announces_ready { At::NotReady } else { At::Ready };
                }
                (0, true)
            }
            Kind::PROFILE => {
                keep(&mut self.profile, request);
                (0, true)
            }
            kind if !is_request(kind) => (0, true),
            kind => {
                let now = epochs(cx.store.view());
                let flags = changes(self.known, now);
                let profile = self.profile.profile().ok_or(Status::TOOBIG);
                let (produced, done) = self.answerer.step(cx, request, profile, flags, output);
                if done && kind == Kind::FETCH {
                    self.known = now;
                }
                (produced, done)
            }
        };
        if done {
            self.intake.clear();
        }
        Ok(Progress { consumed: taken.saturating_add(if done { len } else { 0 }), produced })
    }
}

/// Keeps a profile. Behind one that cannot be read everything is told, which is more than was asked for and never less.
fn keep<const N: usize>(profile: &mut Stored<N>, request: Request<'_>) {
    match request.body {
        Body::Sent(body) => match profile.set(body) {
            Ok(()) | Err(pdu::Error::TooLong) => {}
            Err(_) => *profile = Stored::new(),
        },
        _ => profile.lose(),
    }
}

/// How often names and labels have changed.
const fn epochs(view: View<'_>) -> (u64, u64) {
    (view.names_epoch(), view.labels_epoch())
}

/// The bits by which pmcd's clients learn of what changed in between.
fn changes(then: (u64, u64), now: (u64, u64)) -> u32 {
    let names = if now.0 == then.0 { 0 } else { Status::NAMES_CHANGE.0.cast_unsigned() };
    let labels = if now.1 == then.1 { 0 } else { Status::LABEL_CHANGE.0.cast_unsigned() };
    names | labels
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

impl<S: Storage, const PROFILE: usize, M: AsRef<[u8]> + AsMut<[u8]>> Role<S> for Agent<PROFILE, M> {
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
