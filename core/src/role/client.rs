//! The client: a PMAPI client's side of the conversation with pmcd.
//!
//! pmcd speaks first (the challenge); the client says who it is and that it wants all instances, and then asks what
//! its [`Inquirer`] wants to know. Answers come in the order of the questions, so many may be on their way. What the
//! server cannot do is asked in the way it can, or answered here with a refusal (pcp-protocol: handshake, features).
//!
//! A question is read where the inquirer has it, until its last byte is out; an answer where it came in.

use core::fmt;

use super::{Progress, Word};
use crate::{
    pcp::{Desc, InDom, Pmid, Status, label},
    pdu::{
        self, Header, Kind,
        creds::{Creds, Features, VERSION},
        desc::{self, Descs},
        error::{Challenge, Report},
        fetch, instance, label as labels, pmns,
        profile::Profile,
        text as help,
    },
    time::{Duration, Instant},
    wire::{self, Writer, size},
};

pub use crate::pdu::{
    Pmids,
    instance::Instances,
    label::{LabelSet, Labels},
    pmns::Names,
    result::{Block, Results, Value, Values},
};

/// Who asks, and hears the answers.
pub trait Inquirer {
    /// The next question: the same one until it was [asked](Self::asked), whatever answers come in between.
    fn ask(&mut self) -> Option<Ask<'_>>;

    /// The question is out, whole. The next may follow at once.
    fn asked(&mut self);

    /// An answer to the oldest question without one; a [`State`](Answer::State) is none, and comes before one.
    ///
    /// # Errors
    ///
    /// The answer cannot be that of the question: the two sides are out of step, and the conversation is over.
    fn answer(&mut self, answer: Answer<'_>) -> Result<(), OutOfStep>;
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "the host makes it")]
pub enum Ask<'a> {
    /// The names of all metrics at or below a name; empty is the root. Answered by [`Answer::Names`].
    Traverse {
        /// The name.
        name: &'a str,
    },
    /// The last parts of the names right below a name. Answered by [`Answer::Names`].
    Children {
        /// The name.
        name: &'a str,
    },
    /// The metrics that names stand for. Answered by [`Answer::Ids`].
    Ids {
        /// The names, each ended by a newline.
        names: &'a str,
    },
    /// What metrics are. Answered by an [`Answer::Desc`] for each, in order.
    Descs {
        /// The metrics, at most [`MAX_PMIDS`].
        pmids: &'a [Pmid],
    },
    /// The first line of a metric's help. Answered by [`Answer::Text`].
    Oneline {
        /// The metric.
        pmid: Pmid,
    },
    /// All instances of a domain. Answered by [`Answer::Instances`].
    Instances {
        /// The domain.
        indom: InDom,
    },
    /// The labels of one level. Answered by [`Answer::Labels`].
    Labels {
        /// The level, of [`pcp::label`](crate::pcp::label).
        level: u32,
        /// Whose: all ones, a plain domain number, an instance domain or a metric, as the level says.
        ident: u32,
    },
    /// Values of metrics, all instances. Answered by [`Answer::Results`].
    Fetch {
        /// The metrics, at most [`MAX_PMIDS`].
        pmids: &'a [Pmid],
    },
}

/// An answer, or what came before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Names.
    Names(Names<'a>),
    /// A metric for each name that was asked for, [`Pmid::NULL`] where there is none of that name.
    Ids(Pmids<'a>),
    /// What one of the metrics is, or why that is not known.
    Desc(Result<Desc, Status>),
    /// Help.
    Text(&'a [u8]),
    /// Instances.
    Instances(Instances<'a>),
    /// Labels.
    Labels(Labels<'a>),
    /// A set of values, or a status, for each metric that was asked for, in order.
    Results(Results<'a>),
    /// The server does not say, for this reason. The conversation goes on.
    Refused(Status),
    /// What has changed since the last fetch, as bits: the values come next.
    State(Status),
}

/// Questions and answers do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "it says all")]
pub struct OutOfStep;

/// What ends the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// The stream is no stream of PDUs.
    Pdu(pdu::Error),
    /// The server does not want this client.
    Refused(Status),
    /// This came where no such thing can come.
    Unexpected(Kind),
    /// An answer of so many bytes is longer than allowed.
    TooLong(u32),
    /// An answer did not come in time.
    Timeout,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pdu(error) => error.fmt(f),
            Self::Refused(status) => write!(f, "server refuses the connection: {status}"),
            Self::Unexpected(kind) => write!(f, "unexpected {kind}: server is out of step"),
            Self::TooLong(len) => write!(f, "answer of {len} bytes is longer than allowed"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl core::error::Error for Error {}

impl From<pdu::Error> for Error {
    fn from(error: pdu::Error) -> Self {
        Self::Pdu(error)
    }
}

/// How a client behaves.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "the host chooses all of it")]
pub struct Settings {
    /// The process id, for the first PDU.
    pub pid: u32,
    /// How long each answer may take, from when the one before it was there.
    pub patience: Duration,
    /// Bytes of the longest answer.
    pub max_answer: u32,
}

/// Most metrics that one question may name: more do not fit the 64 KiB that pmcd takes.
pub const MAX_PMIDS: usize = 16_377;

/// Bytes of names, newlines included, that fit one question however short the names are.
pub const MAX_NAMES: usize = 16_000;

/// One conversation with pmcd.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    at: At,
    word: Word,
    features: Features,
    pending: Queue,
    /// Bytes of the question that goes out which are out.
    sent: usize,
    /// Descriptors asked for one by one, of the question that goes out.
    described: usize,
    /// Since when the oldest answer is waited for.
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Challenge,
    Creds,
    Ready,
}

impl Client {
    /// Before the first byte.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            at: At::Challenge,
            word: Word(0),
            features: Features::NONE,
            pending: Queue::new(),
            sent: 0,
            described: 0,
            since: None,
        }
    }

    /// Whether the server has taken this client.
    pub fn is_ready(&self) -> bool {
        self.at == At::Ready
    }

    /// Whether an answer is waited for, or a question is half out.
    pub fn is_busy(&self) -> bool {
        self.at != At::Ready || self.sent > 0 || !self.pending.is_empty()
    }

    /// What the server can do, once it has said so.
    pub const fn features(&self) -> Features {
        self.features
    }

    /// When the conversation is over unless something comes.
    pub fn deadline(&self) -> Option<Instant> {
        let since = self.since.filter(|_| self.is_busy())?;
        Some(since.saturating_add(self.settings.patience))
    }

    /// Takes from `input` one PDU at most, writes questions to `output`, and says how far it got.
    ///
    /// Bytes of `input` that are not consumed must be offered again; the bytes written are the same however input and
    /// output are cut into windows. No progress means: more input, more room, another question, or the
    /// [deadline](Self::deadline) is needed.
    ///
    /// # Errors
    ///
    /// The conversation is over.
    pub fn step(
        &mut self,
        inquirer: &mut dyn Inquirer,
        input: &[u8],
        output: &mut [u8],
        now: Instant,
    ) -> Result<Progress, Error> {
        if !self.is_busy() {
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        let consumed = self.receive(inquirer, input)?;
        if consumed > 0 {
            self.since = Some(now);
        } else if self.is_busy() && since.saturating_add(self.settings.patience) <= now {
            return Err(Error::Timeout);
        }
        let produced = self.send(inquirer, output)?;
        Ok(Progress { consumed, produced })
    }

    /// Writes as many questions as there is room for, and as may be open.
    fn send(&mut self, inquirer: &mut dyn Inquirer, output: &mut [u8]) -> Result<usize, Error> {
        let (mut rest, mut produced) = (output, 0_usize);
        loop {
            self.refuse(inquirer)?;
            let (written, whole) = match self.at {
                At::Challenge => return Ok(produced),
                At::Creds => {
                    let (creds, pid) = (Creds { version: VERSION, flags: Features::NONE }, self.settings.pid);
                    let said = self.word.say(rest, |w| {
                        creds.emit(pid, w);
                        Profile::ALL.emit(0, w);
                    });
                    if said.1 {
                        self.at = At::Ready;
                    }
                    said
                }
                At::Ready if self.pending.is_full() => return Ok(produced),
                At::Ready => match inquirer.ask() {
                    None => return Ok(produced),
                    Some(ask) => {
                        let (written, next) = self.put(&ask, rest);
                        if let Some(true) = next {
                            inquirer.asked();
                        }
                        (written, next.is_some())
                    }
                },
            };
            produced = produced.saturating_add(written);
            rest = rest.split_at_mut_checked(written).map(|(_, rest)| rest).unwrap_or_default();
            if !whole {
                return Ok(produced);
            }
        }
    }

    /// Goes on with a question: how many bytes, and once a PDU is whole, whether the question is.
    fn put(&mut self, ask: &Ask<'_>, output: &mut [u8]) -> (usize, Option<bool>) {
        let (pending, last) = self.expect(ask);
        let mut w = Writer::resume(output, self.sent);
        if !matches!(pending, Some(Pending::Refusal(_)) | None) {
            let one = if let Some(Pending::Desc) = pending { Some(self.described) } else { None };
            emit(ask, one, self.features, &mut w);
        }
        if !w.is_whole() {
            self.sent = self.sent.saturating_add(w.written());
            return (w.written(), None);
        }
        self.sent = 0;
        self.described = if last { 0 } else { self.described.saturating_add(1) };
        if let Some(pending) = pending {
            self.pending.push(pending);
        }
        (w.written(), Some(last))
    }

    /// What answers the next PDU of a question, and whether that is its last.
    fn expect(&self, ask: &Ask<'_>) -> (Option<Pending>, bool) {
        let pending = match *ask {
            Ask::Traverse { name } | Ask::Children { name } if name.len() > MAX_NAMES => {
                Pending::Refusal(Status::TOOBIG)
            }
            Ask::Traverse { .. } | Ask::Children { .. } => Pending::Names,
            Ask::Ids { names } => {
                let head = head_of(names);
                match head.count {
                    0 => Pending::Refusal(Status::ARG),
                    _ if head.len > MAX_REQUEST => Pending::Refusal(Status::TOOBIG),
                    count => Pending::Ids(count.cast_unsigned()),
                }
            }
            Ask::Descs { pmids: [] } => return (None, true),
            Ask::Descs { pmids } if self.features.has(Features::DESCS) => match pmids.len() {
                count if count > MAX_PMIDS => Pending::Refusal(Status::TOOBIG),
                count => Pending::Descs(wire::count(count)),
            },
            Ask::Descs { pmids } => {
                return (Some(Pending::Desc), self.described.saturating_add(1) >= pmids.len());
            }
            Ask::Oneline { .. } => Pending::Text,
            Ask::Instances { .. } => Pending::Instances,
            Ask::Labels { .. } if !self.features.has(Features::LABELS) => Pending::Refusal(Status::NOLABELS),
            Ask::Labels { level, ident } => Pending::Labels { level, ident },
            Ask::Fetch { pmids } => match pmids.len() {
                0 => Pending::Refusal(Status::ARG),
                count if count > MAX_PMIDS => Pending::Refusal(Status::TOOBIG),
                count => Pending::Results(wire::count(count)),
            },
        };
        (Some(pending), true)
    }

    /// Answers what the server was not even asked.
    fn refuse(&mut self, inquirer: &mut dyn Inquirer) -> Result<(), Error> {
        while let Some(Pending::Refusal(status)) = self.pending.front() {
            self.pending.pop();
            inquirer.answer(Answer::Refused(status)).map_err(|_| Error::Unexpected(Kind::ERROR))?;
        }
        Ok(())
    }

    /// Takes one PDU: how many bytes that are.
    fn receive(&mut self, inquirer: &mut dyn Inquirer, input: &[u8]) -> Result<usize, Error> {
        if let Some(header) = Header::parse(input)?
            && header.len > self.settings.max_answer
        {
            return Err(Error::TooLong(header.len));
        }
        let Some((header, body, len)) = pdu::split(input)? else { return Ok(0) };
        match self.at {
            At::Challenge => {
                self.features = challenge(header.kind, body)?;
                self.at = At::Creds;
            }
            At::Creds => return Ok(0),
            At::Ready => self.answer(inquirer, header.kind, body)?,
        }
        Ok(len)
    }

    fn answer(&mut self, inquirer: &mut dyn Inquirer, kind: Kind, body: &[u8]) -> Result<(), Error> {
        let out_of_step = |_| Error::Unexpected(kind);
        if kind == Kind::ERROR {
            let status = Report::parse(body)?.status;
            match status.0 {
                0 => return Err(Error::Unexpected(kind)),
                1.. => return inquirer.answer(Answer::State(status)).map_err(out_of_step),
                _ => {}
            }
            let pending = self.pending.pop().ok_or(Error::Refused(status))?;
            return match pending {
                Pending::Desc => inquirer.answer(Answer::Desc(Err(status))),
                Pending::Descs(count) => {
                    (0..count).try_for_each(|_| inquirer.answer(Answer::Desc(Err(status))))
                }
                _ => inquirer.answer(Answer::Refused(status)),
            }
            .map_err(out_of_step);
        }
        let pending = self.pending.pop().filter(|pending| pending.takes(kind));
        let pending = pending.ok_or(Error::Unexpected(kind))?;
        let answered = match pending.read(kind, body) {
            Ok(Read::Whole(answer)) => inquirer.answer(answer),
            Ok(Read::Descs(descs)) => {
                let mut descs = descs.iter();
                descs.try_for_each(|desc| inquirer.answer(Answer::Desc(desc.ok_or(Status::PMID))))
            }
            // What cannot be read has ended all the same: that answer is lost, and no other.
            Err(Unread::Body) => match pending {
                Pending::Desc => inquirer.answer(Answer::Desc(Err(Status::IPC))),
                Pending::Descs(count) => {
                    (0..count).try_for_each(|_| inquirer.answer(Answer::Desc(Err(Status::IPC))))
                }
                _ => inquirer.answer(Answer::Refused(Status::IPC)),
            },
            Err(Unread::Other) => return Err(Error::Unexpected(kind)),
        };
        answered.map_err(out_of_step)
    }
}

/// What the server said first, or why it does not want us.
fn challenge(kind: Kind, body: &[u8]) -> Result<Features, Error> {
    if kind != Kind::ERROR {
        return Err(Error::Unexpected(kind));
    }
    let Ok(challenge) = Challenge::parse(body) else {
        let status = Report::parse(body)?.status;
        return Err(if status.is_error() { Error::Refused(status) } else { Error::Unexpected(kind) });
    };
    if challenge.status.is_error() {
        return Err(Error::Refused(challenge.status));
    }
    Ok(challenge.features)
}

/// Emits a question, or of many metrics' descriptors the one at this place.
fn emit(ask: &Ask<'_>, one: Option<usize>, features: Features, w: &mut Writer<'_>) {
    match *ask {
        Ask::Traverse { name } => pmns::Traverse { name: name.as_bytes() }.emit(0, w),
        Ask::Children { name } => pmns::Child { subtype: 0, name: name.as_bytes() }.emit(0, w),
        Ask::Ids { names } => {
            head_of(names).emit(0, w);
            each(names).for_each(|name| pmns::Name { status: None, name }.emit(w));
        }
        Ask::Descs { pmids } => match one {
            Some(place) => {
                let pmid = pmids.get(place).copied().unwrap_or(Pmid::NULL);
                desc::Request { pmid }.emit(0, w);
            }
            None => {
                desc::IdsHead { count: wire::count(pmids.len()) }.emit(0, w);
                pmids.iter().for_each(|pmid| w.word(pmid.to_bits()));
            }
        },
        Ask::Oneline { pmid } => {
            help::Request { ident: pmid.to_bits(), kind: help::ONELINE | help::PMID }.emit(0, w);
        }
        Ask::Instances { indom } => instance::Request::all(indom).emit(0, w),
        Ask::Labels { level, ident } => labels::Request { ident, kind: level }.emit(0, w),
        Ask::Fetch { pmids } => {
            let highres = features.has(Features::HIGHRES);
            let kind = if highres { Kind::HIGHRES_FETCH } else { Kind::FETCH };
            fetch::Head { kind, context: 0, count: wire::count(pmids.len()) }.emit(0, w);
            pmids.iter().for_each(|pmid| w.word(pmid.to_bits()));
        }
    }
}

/// The start of a question for the ids of these names.
fn head_of(names: &str) -> pmns::NamesHead {
    let mut head = pmns::NamesHead { len: pmns::NamesHead::LEN, strings: 0, statuses: 0, count: 0 };
    for name in each(names) {
        head.len = head.len.saturating_add(pmns::Name::len(name.len(), false));
        head.strings = head.strings.saturating_add(pmns::string_len(name.len()));
        head.count = head.count.saturating_add(1);
    }
    head
}

/// The names, one by one.
fn each(names: &str) -> impl Iterator<Item = &[u8]> {
    names.as_bytes().split(|byte| *byte == b'\n').filter(|name| !name.is_empty())
}

/// An answer that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Names,
    Ids(u32),
    Desc,
    Descs(u32),
    Text,
    Instances,
    Labels {
        level: u32,
        ident: u32,
    },
    Results(u32),
    /// The server is not asked: this is the answer.
    Refusal(Status),
}

/// An answer that was read.
enum Read<'a> {
    Whole(Answer<'a>),
    Descs(Descs<'a>),
}

/// Why an answer was not read.
enum Unread {
    /// It contradicts itself.
    Body,
    /// It answers another question.
    Other,
}

impl From<pdu::Error> for Unread {
    fn from(_: pdu::Error) -> Self {
        Self::Body
    }
}

impl Pending {
    /// Whether a PDU of this kind may be the answer.
    const fn takes(&self, kind: Kind) -> bool {
        match self {
            Self::Names => matches!(kind, Kind::PMNS_NAMES),
            Self::Ids(_) => matches!(kind, Kind::PMNS_IDS),
            Self::Desc => matches!(kind, Kind::DESC),
            Self::Descs(_) => matches!(kind, Kind::DESCS),
            Self::Text => matches!(kind, Kind::TEXT),
            Self::Instances => matches!(kind, Kind::INSTANCE),
            Self::Labels { .. } => matches!(kind, Kind::LABEL),
            Self::Results(_) => matches!(kind, Kind::RESULT | Kind::HIGHRES_RESULT),
            Self::Refusal(_) => false,
        }
    }

    /// Reads the answer.
    fn read<'a>(&self, kind: Kind, body: &'a [u8]) -> Result<Read<'a>, Unread> {
        let (answer, fits) = match *self {
            Self::Names => {
                let names = Names::parse(body)?;
                (names.refusal().map_or(Answer::Names(names), Answer::Refused), true)
            }
            Self::Ids(count) => {
                let pmids = pmns::Ids::parse(body)?.pmids;
                (Answer::Ids(pmids), pmids.len() == size(count))
            }
            Self::Desc => (Answer::Desc(Ok(desc::Reply::parse(body)?.desc)), true),
            Self::Descs(count) => {
                let descs = Descs::parse(body)?;
                let fits = descs.iter().count() == size(count);
                return if fits { Ok(Read::Descs(descs)) } else { Err(Unread::Other) };
            }
            // Some agents do not repeat whose help it is, or whose instances.
            Self::Text => (Answer::Text(help::Text::parse(body)?.text), true),
            Self::Instances => (Answer::Instances(Instances::parse(body)?), true),
            Self::Labels { level, ident } => {
                let labels = Labels::parse(body)?;
                // A server need not repeat the metric of a cluster as it was asked for.
                let is_same = labels.ident == ident || level == label::CLUSTER;
                // Labels of another thing are none of this one's, as PCP's own clients see it.
                if labels.kind != level || !is_same {
                    return Err(Unread::Body);
                }
                (Answer::Labels(labels), true)
            }
            Self::Results(count) => {
                let results = Results::parse(kind, body)?;
                (Answer::Results(results), results.metrics == count)
            }
            Self::Refusal(_) => return Err(Unread::Other),
        };
        if fits { Ok(Read::Whole(answer)) } else { Err(Unread::Other) }
    }
}

/// The answers that are waited for, the oldest first.
#[derive(Debug)]
struct Queue {
    all: [Option<Pending>; MOST_PENDING],
    first: usize,
    len: usize,
}

impl Queue {
    const fn new() -> Self {
        Self { all: [None; MOST_PENDING], first: 0, len: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    const fn is_full(&self) -> bool {
        self.len >= MOST_PENDING
    }

    fn front(&self) -> Option<Pending> {
        self.all.get(self.first).copied().flatten()
    }

    fn push(&mut self, pending: Pending) {
        let at = self.first.wrapping_add(self.len) & LAST;
        if let Some(place) = self.all.get_mut(at).filter(|place| place.is_none()) {
            *place = Some(pending);
            self.len = self.len.saturating_add(1);
        }
    }

    fn pop(&mut self) -> Option<Pending> {
        let pending = self.all.get_mut(self.first)?.take()?;
        self.first = self.first.wrapping_add(1) & LAST;
        self.len = self.len.saturating_sub(1);
        Some(pending)
    }
}

/// The longest PDU that pmcd takes from a client.
const MAX_REQUEST: u32 = 65_536;
/// How many questions may be open: so many that the way there and back costs nothing.
const MOST_PENDING: usize = 64;
const LAST: usize = MOST_PENDING - 1;
const _: () = assert!(MOST_PENDING.is_power_of_two(), "places are found by their low bits");
