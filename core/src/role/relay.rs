//! The relay: between pmcd and an agent that is not always there, such as a chip at the end of a serial line.
//!
//! For pmcd it is an agent that never goes away: it greets, and every request has its answer in time, if only "not
//! now". For the other agent it is pmcd, once for each session: it takes the greeting, tells the last profile, and
//! asks one request at a time. An answer is passed on when it is whole and answers what was asked, so that pmcd sees
//! none that is cut or out of step. A request that a session has not answered is asked again in the next.
//!
//! Both have domains of their own, and numbers are translated. What came with a new session may be another program,
//! so pmcd's clients are told that names and labels may have changed.

mod idents;

use super::{Progress, Word};
use crate::{
    pcp::Status,
    pdu::{
        self, Header, Kind,
        creds::{Creds, Features, VERSION},
        desc,
        error::Report,
        fetch::Fetch,
        instance, label, pmns,
        profile::Profile,
        result::Results,
        text,
    },
    time::{Duration, Instant},
    wire::Writer,
};
use idents::Domains;

/// How a relay behaves.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "the host chooses all of it")]
pub struct Settings {
    /// The process id, for the first PDU.
    pub pid: u32,
    /// Whether pmcd.conf says `notready`, so that pmcd waits to be told otherwise.
    pub announces_ready: bool,
    /// The domain that pmcd.conf says.
    pub domain: u16,
    /// How long an answer may take. pmcd drops an agent that lets it wait 5 s.
    pub patience: Duration,
}

/// How the other agent fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "the host makes it")]
pub enum Far {
    /// In this session it is there.
    There {
        /// The session: another number than the one before.
        session: u32,
        /// The domain of its metrics.
        domain: u16,
    },
    /// It is looked for, and may be there soon.
    Sought,
    /// It has not been there for so long that nobody waits for it.
    Away,
}

/// What came from one side, and room for what goes there.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the host makes it")]
pub struct Side<'a> {
    /// Bytes that have come and were not consumed yet.
    pub input: &'a [u8],
    /// Room for bytes that are to go.
    pub output: &'a mut [u8],
}

/// How far one step got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "it says all")]
pub struct Step {
    /// On pmcd's side.
    pub pmcd: Progress,
    /// On the other agent's.
    pub far: Progress,
    /// This session is of no use any more: the host is to begin another.
    pub renew: bool,
}

impl Step {
    /// Whether nothing moved.
    pub const fn is_none(&self) -> bool {
        self.pmcd.is_none() && self.far.is_none() && !self.renew
    }
}

/// Stands between pmcd and another agent, with room for a profile of `PROFILE` bytes.
#[derive(Debug)]
pub struct Relay<const PROFILE: usize> {
    settings: Settings,
    at: At,
    /// What is said to pmcd beside passed answers, and to the other agent beside passed requests.
    near: Word,
    far: Word,
    met: Met,
    session: Option<u32>,
    domain: u16,
    /// pmcd's last profile; empty is that of all instances.
    profile: [u8; PROFILE],
    profile_len: usize,
    /// The other agent has the last profile.
    is_told: bool,
    /// pmcd was not told yet that all may be otherwise.
    is_new: bool,
    asked: Option<Asked>,
    /// Bytes of the answer that are out.
    passed: usize,
}

/// Where the conversation with pmcd is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Greet,
    Greeted,
    NotReady,
    Ready,
}

/// Where that with the other agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// There is none, or it has not greeted yet.
    No,
    /// It has greeted, and is greeted.
    Greeted,
    Yes,
}

/// The request that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    until: Instant,
    /// Bytes of it that are out in this session.
    sent: usize,
    is_out: bool,
    /// Sessions that it may still be asked in.
    tries: u8,
    /// What is answered without the other agent.
    refused: Option<Status>,
}

impl<const PROFILE: usize> Relay<PROFILE> {
    /// Before the first byte.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            at: At::Greet,
            near: Word(0),
            far: Word(0),
            met: Met::No,
            session: None,
            domain: settings.domain,
            profile: [0; PROFILE],
            profile_len: 0,
            is_told: false,
            is_new: false,
            asked: None,
            passed: 0,
        }
    }

    /// When to step again though nothing came.
    pub fn deadline(&self) -> Option<Instant> {
        self.asked.filter(|asked| asked.refused.is_none()).map(|asked| asked.until)
    }

    /// Whether an answer is half out: what came from the other agent must stay until it is out, whatever becomes of
    /// the session.
    pub const fn is_busy(&self) -> bool {
        self.passed > 0
    }

    /// Takes one PDU at most, and says how far it got. Bytes that are not consumed must be offered again, those from
    /// the other agent while its session lasts.
    ///
    /// # Errors
    ///
    /// pmcd's stream is lost.
    pub fn step(
        &mut self,
        far: Far,
        now: Instant,
        pmcd: Side<'_>,
        agent: Side<'_>,
    ) -> Result<Step, pdu::Error> {
        if !self.is_busy() {
            self.meet(far);
        }
        match self.at {
            At::Greet | At::NotReady => return Ok(self.greet(pmcd.output)),
            _ => {}
        }
        if self.met == Met::Greeted {
            let creds = Creds { version: VERSION, flags: Features::NONE };
            let (produced, done) = self.far.say(agent.output, |w| creds.emit(0, w));
            if done {
                self.met = Met::Yes;
            }
            return Ok(Step { far: Progress { consumed: 0, produced }, ..Step::default() });
        }
        // What comes from the other agent unasked is its greeting, or nonsense.
        let is_waiting = self.asked.is_some_and(|asked| asked.is_out && asked.refused.is_none());
        if self.session.is_some() && !is_waiting && !agent.input.is_empty() {
            let step = self.hear(agent.input);
            if !step.is_none() {
                return Ok(step);
            }
        }
        let Some((header, body, len)) = pdu::split(pmcd.input)? else { return Ok(Step::default()) };
        let taken = Step { pmcd: Progress { consumed: len, produced: 0 }, ..Step::default() };
        match header.kind {
            Kind::CREDS => {
                if self.at == At::Greeted {
                    self.at = if self.settings.announces_ready { At::NotReady } else { At::Ready };
                }
                Ok(taken)
            }
            Kind::PROFILE => {
                self.keep(body, pmcd.input.get(..len).unwrap_or_default());
                Ok(taken)
            }
            kind if !is_request(kind) => Ok(taken),
            kind => {
                let pdu = pmcd.input.get(..len).unwrap_or_default();
                Ok(self.serve(Request { kind, body, pdu }, far, now, pmcd.output, agent))
            }
        }
    }

    /// Begins anew with the other agent where its session is a new one, or over.
    fn meet(&mut self, far: Far) {
        let (session, domain) = match far {
            Far::There { session, domain } => (Some(session), domain),
            _ => (None, self.domain),
        };
        if session == self.session {
            return;
        }
        (self.session, self.domain, self.met, self.far) = (session, domain, Met::No, Word(0));
        self.is_told = false;
        self.is_new |= session.is_some();
        if let Some(asked) = &mut self.asked {
            let was_asked = core::mem::take(&mut asked.sent) > 0;
            asked.is_out = false;
            if was_asked {
                match asked.tries.checked_sub(1) {
                    Some(tries) => asked.tries = tries,
                    // Who goes each time that he is asked this is not asked again.
                    None => asked.refused = Some(Status::AGAIN),
                }
            }
        }
    }

    /// Keeps a profile until the next one comes. Where that is not possible all instances are told, which is never
    /// less than was asked for.
    fn keep(&mut self, body: &[u8], pdu: &[u8]) {
        self.is_told = false;
        let mut w = Writer::new(&mut self.profile);
        w.bytes(pdu);
        self.profile_len = if w.is_whole() && Profile::parse(body).is_ok() { pdu.len() } else { 0 };
    }

    /// Says who we are, or that pmcd may ask.
    fn greet(&mut self, output: &mut [u8]) -> Step {
        let (is_first, pid) = (self.at == At::Greet, self.settings.pid);
        let (produced, done) = self.near.say(output, |w| {
            if is_first {
                Creds { version: VERSION, flags: Features::NONE }.emit(pid, w);
            } else {
                Report { status: Status::PMDAREADY }.emit(0, w);
            }
        });
        if done {
            self.at = if is_first { At::Greeted } else { At::Ready };
        }
        Step { pmcd: Progress { consumed: 0, produced }, ..Step::default() }
    }

    /// Takes what the other agent says unasked.
    fn hear(&mut self, input: &[u8]) -> Step {
        let nonsense = Step { renew: true, ..Step::default() };
        match pdu::split(input) {
            Ok(None) => Step::default(),
            Ok(Some((header, body, len))) if self.met == Met::No => {
                if header.kind != Kind::CREDS || Creds::parse(body).is_err() {
                    return nonsense;
                }
                self.met = Met::Greeted;
                Step { far: Progress { consumed: len, produced: 0 }, ..Step::default() }
            }
            _ => nonsense,
        }
    }

    /// Goes on with a request until its answer is out.
    fn serve(
        &mut self,
        request: Request<'_>,
        far: Far,
        now: Instant,
        output: &mut [u8],
        agent: Side<'_>,
    ) -> Step {
        let mut asked = self.asked.unwrap_or_else(|| Asked {
            until: now.saturating_add(self.settings.patience),
            sent: 0,
            is_out: false,
            tries: TRIES,
            refused: None,
        });
        let mut step = Step::default();
        if !self.is_busy() && asked.refused.is_none() {
            if far == Far::Away {
                asked.refused = Some(Status::AGAIN);
            } else if now >= asked.until {
                // What may still come would be taken for the next answer.
                asked.refused = Some(Status::AGAIN);
                step.renew = self.session.is_some();
            }
        }
        if let Some(status) = asked.refused {
            let (produced, done) = self.near.say(output, |w| Report { status }.emit(0, w));
            step.pmcd = Progress { consumed: if done { request.pdu.len() } else { 0 }, produced };
            self.asked = Some(asked).filter(|_| !done);
            return step;
        }
        if asked.is_out {
            match self.pass(request, output, agent.input) {
                Ok(passed) => step = passed,
                Err(Nonsense) => {
                    asked.refused = Some(Status::AGAIN);
                    step.renew = true;
                }
            }
        } else if self.met == Met::Yes {
            step.far.produced = self.ask(&mut asked, request, agent.output);
        }
        self.asked = Some(asked).filter(|_| step.pmcd.consumed == 0);
        step
    }

    /// Puts the profile and the request out: how many bytes.
    fn ask(&mut self, asked: &mut Asked, request: Request<'_>, output: &mut [u8]) -> usize {
        let there = Domains { from: self.settings.domain, to: self.domain };
        if !self.is_told && matches!(request.kind, Kind::FETCH | Kind::LABEL_REQ) {
            let profile = self.profile.get(..self.profile_len).unwrap_or_default();
            let (produced, done) = self.far.say(output, |w| match profile {
                [] => Profile::ALL.emit(0, w),
                profile => there.emit(Kind::PROFILE, profile, 0, w),
            });
            self.is_told = done;
            return produced;
        }
        let mut w = Writer::resume(output, asked.sent);
        there.emit(request.kind, request.pdu, 0, &mut w);
        asked.sent = asked.sent.saturating_add(w.written());
        asked.is_out = w.is_whole();
        w.written()
    }

    /// Passes the answer on once it is whole.
    fn pass(&mut self, request: Request<'_>, output: &mut [u8], input: &[u8]) -> Result<Step, Nonsense> {
        let Some((header, body, len)) = pdu::split(input).map_err(|_| Nonsense)? else {
            return Ok(Step::default());
        };
        let back = Domains { from: self.domain, to: self.settings.domain };
        if !self.is_busy() && !request.is_answered_by(header, body, back) {
            return Err(Nonsense);
        }
        let flags = if self.is_new { CHANGED } else { 0 };
        let mut w = Writer::resume(output, self.passed);
        back.emit(header.kind, input.get(..len).unwrap_or_default(), flags, &mut w);
        let produced = w.written();
        self.passed = self.passed.saturating_add(produced);
        if !w.is_whole() {
            return Ok(Step { pmcd: Progress { consumed: 0, produced }, ..Step::default() });
        }
        self.passed = 0;
        // Only a result tells.
        self.is_new &= header.kind != Kind::RESULT;
        Ok(Step {
            pmcd: Progress { consumed: request.pdu.len(), produced },
            far: Progress { consumed: len, produced: 0 },
            renew: false,
        })
    }
}

/// It does not belong here, so nothing behind it is believed.
struct Nonsense;

/// A request of pmcd's, whole.
#[derive(Clone, Copy)]
struct Request<'a> {
    kind: Kind,
    body: &'a [u8],
    pdu: &'a [u8],
}

impl Request<'_> {
    /// Whether this is an answer that pmcd can take: it drops an agent for any other.
    fn is_answered_by(self, header: Header, body: &[u8], back: Domains) -> bool {
        match (self.kind, header.kind) {
            (kind, Kind::ERROR) => Report::parse(body).is_ok_and(|report| match report.status {
                // Words of an agent about itself, which this one does not need.
                Status::PMDAREADY | Status::PMDANOTREADY => false,
                Status::OK => kind == Kind::RESULT,
                status => status.is_error(),
            }),
            (Kind::FETCH, Kind::RESULT) => {
                let (asked, told) = (Fetch::parse(self.kind, self.body), Results::parse(header.kind, body));
                let Ok((asked, told)) = asked.and_then(|asked| Ok((asked, told?))) else { return false };
                let told = told.iter().map(|set| back.ident(set.head.pmid.to_bits()));
                told.eq(asked.pmids.iter().map(|pmid| pmid.to_bits()))
            }
            (Kind::DESC_REQ, Kind::DESC) => desc::Reply::parse(body).is_ok(),
            (Kind::INSTANCE_REQ, Kind::INSTANCE) => instance::Instances::parse(body).is_ok(),
            (Kind::TEXT_REQ, Kind::TEXT) => text::Text::parse(body).is_ok(),
            (Kind::LABEL_REQ, Kind::LABEL) => label::Labels::parse(body).is_ok(),
            (Kind::PMNS_NAMES, Kind::PMNS_IDS) => pmns::Ids::parse(body).is_ok(),
            (Kind::PMNS_IDS | Kind::PMNS_CHILD | Kind::PMNS_TRAVERSE, Kind::PMNS_NAMES) => {
                pmns::Names::parse(body).is_ok()
            }
            _ => false,
        }
    }
}

/// Whether pmcd expects an answer of an agent.
fn is_request(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::FETCH
            | Kind::RESULT
            | Kind::DESC_REQ
            | Kind::INSTANCE_REQ
            | Kind::TEXT_REQ
            | Kind::PMNS_IDS
            | Kind::PMNS_NAMES
            | Kind::PMNS_CHILD
            | Kind::PMNS_TRAVERSE
            | Kind::LABEL_REQ
    )
}

/// What a new session may have changed.
const CHANGED: u32 = Status::NAMES_CHANGE.0.cast_unsigned() | Status::LABEL_CHANGE.0.cast_unsigned();
/// In how many further sessions a request is asked.
const TRIES: u8 = 1;
