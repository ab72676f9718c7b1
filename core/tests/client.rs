//! The client role asks what PCP's own tools asked, and hears what they heard, however the bytes are cut.
//!
//! The conversations of `tests/data/pdu` are played back: each question that was recorded and that the role can ask is
//! asked again, must go out byte for byte, and is answered as it was.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where the data is wrong"
)]

mod recorded;

use std::{collections::VecDeque, fs};

use pmbridge_core::{
    pcp::{InDom, Pmid, Status},
    pdu::{Kind, desc, fetch, instance, label, pmns, split, text},
    role::client::{Answer, Ask, Client, Error, Inquirer, MAX_PMIDS, OutOfStep, Settings},
    time::{Duration, Instant},
};

const SETTINGS: Settings = Settings { pid: 7, patience: Duration::from_secs(5), max_answer: 1 << 20 };

/// A question that owns what it names.
#[derive(Debug, Clone, PartialEq)]
enum Question {
    Traverse(String),
    Children(String),
    Ids(String),
    Descs(Vec<Pmid>),
    Oneline(Pmid),
    Instances(InDom),
    Labels(u32, u32),
    Fetch(Vec<Pmid>),
}

impl Question {
    fn ask(&self) -> Ask<'_> {
        match self {
            Self::Traverse(name) => Ask::Traverse { name },
            Self::Children(name) => Ask::Children { name },
            Self::Ids(names) => Ask::Ids { names },
            Self::Descs(pmids) => Ask::Descs { pmids },
            Self::Oneline(pmid) => Ask::Oneline { pmid: *pmid },
            Self::Instances(indom) => Ask::Instances { indom: *indom },
            Self::Labels(level, ident) => Ask::Labels { level: *level, ident: *ident },
            Self::Fetch(pmids) => Ask::Fetch { pmids },
        }
    }

    /// The question of this PDU, if it is one of those that the role can ask.
    fn of(pdu: &[u8]) -> Option<Self> {
        let (header, body, _) = split(pdu).unwrap().unwrap();
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some(match header.kind {
            Kind::PMNS_TRAVERSE => Self::Traverse(string(pmns::Traverse::parse(body).unwrap().name)),
            Kind::PMNS_CHILD => {
                let child = pmns::Child::parse(body).ok().filter(|child| !child.wants_status())?;
                Self::Children(string(child.name))
            }
            Kind::PMNS_NAMES => {
                let names = pmns::Names::parse(body).ok().filter(|names| !names.is_empty())?;
                Self::Ids(names.iter().map(|name| string(name.name) + "\n").collect())
            }
            Kind::DESC_REQ => Self::Descs(vec![desc::Request::parse(body).ok()?.pmid]),
            Kind::DESC_IDS => Self::Descs(desc::DescIds::parse(body).ok()?.pmids.iter().collect()),
            Kind::TEXT_REQ => {
                let request = text::Request::parse(body).ok().filter(|request| request.kind == 5)?;
                Self::Oneline(Pmid::from_bits(request.ident))
            }
            Kind::INSTANCE_REQ => {
                let request = instance::Request::parse(body).ok()?;
                let all = request.inst == -1 && request.name.is_empty();
                return all.then_some(Self::Instances(request.indom));
            }
            Kind::LABEL_REQ => {
                let request = label::Request::parse(body).ok()?;
                Self::Labels(request.kind, request.ident)
            }
            Kind::FETCH | Kind::HIGHRES_FETCH => {
                let fetch = fetch::Fetch::parse(header.kind, body).ok()?;
                Self::Fetch(fetch.pmids.iter().collect())
            }
            _ => return None,
        })
    }
}

/// Asks a list of questions and writes down what it hears.
#[derive(Default)]
struct Reporter {
    questions: VecDeque<Question>,
    heard: Vec<String>,
}

impl Inquirer for Reporter {
    fn ask(&mut self) -> Option<Ask<'_>> {
        self.questions.front().map(Question::ask)
    }

    fn asked(&mut self) {
        self.questions.pop_front().unwrap();
    }

    fn answer(&mut self, answer: Answer<'_>) -> Result<(), OutOfStep> {
        self.heard.push(match answer {
            Answer::Results(results) => {
                let values: Vec<_> = results
                    .iter()
                    .map(|set| {
                        (set.head, set.values().map(|v| (v, results.block(v.word))).collect::<Vec<_>>())
                    })
                    .collect();
                format!("{:?} {values:?}", results.time())
            }
            Answer::Names(names) => format!("{:?}", names.iter().collect::<Vec<_>>()),
            Answer::Labels(labels) => {
                format!("{:?}", labels.iter().map(|set| set.json()).collect::<Vec<_>>())
            }
            Answer::Instances(all) => format!("{:?}", all.iter().collect::<Vec<_>>()),
            other => format!("{other:?}"),
        });
        Ok(())
    }
}

/// One recorded question, and what answered it.
#[derive(Debug, Clone)]
struct Exchange {
    request: Vec<u8>,
    replies: Vec<u8>,
}

/// The challenge of a recorded conversation, and its exchanges in order.
fn conversation(file: &str) -> (Vec<u8>, Vec<Exchange>) {
    let path = recorded::directory().join(file);
    let (mut challenge, mut exchanges) = (Vec::new(), Vec::<Exchange>::new());
    for line in fs::read_to_string(path).unwrap().lines() {
        let Some(pdu) = recorded::bytes(line) else { continue };
        if line.contains("client>pmcd") {
            exchanges.push(Exchange { request: pdu, replies: Vec::new() });
        } else if let Some(exchange) = exchanges.last_mut() {
            exchange.replies.extend(pdu);
        } else {
            challenge = pdu;
        }
    }
    let exchanges = exchanges.into_iter().filter(|exchange| Question::of(&exchange.request).is_some());
    (challenge, exchanges.collect())
}

const CONVERSATIONS: [&str; 22] = [
    "mini-features-0.jsonl",
    "mini-features-0x200.jsonl",
    "mini-features-0x600.jsonl",
    "mini-pminfo.jsonl",
    "mini-pmlogger.jsonl",
    "mini-pmval.jsonl",
    "pminfo-bad.jsonl",
    "pminfo-batch.jsonl",
    "pminfo-dIMs.jsonl",
    "pminfo-events.jsonl",
    "pminfo-f.jsonl",
    "pminfo-m.jsonl",
    "pminfo-root.jsonl",
    "pminfo-statechange.jsonl",
    "pminfo-tiny.jsonl",
    "pmprobe-I.jsonl",
    "pmprobe.jsonl",
    "pmval-i.jsonl",
    "pmval.jsonl",
    "v720-pminfo-mini.jsonl",
    "v720-pmlogger-mini.jsonl",
    "v720-pmprobe.jsonl",
];

/// Plays a conversation through windows of these sizes: what went out behind the greeting, and what was heard.
fn play(file: &str, input: usize, output: usize) -> (Vec<u8>, Vec<String>) {
    let (mut challenge, exchanges) = conversation(file);
    // PCP 6.0.3 asks for descriptors one by one though the server can do better: it is told that it cannot.
    let is = |exchange: &Exchange, kind| split(&exchange.request).unwrap().unwrap().0.kind == kind;
    if exchanges.iter().any(|exchange| is(exchange, Kind::DESC_REQ)) {
        challenge[18] &= !8;
    }
    let questions = exchanges.iter().map(|exchange| Question::of(&exchange.request).unwrap()).collect();
    let mut reporter = Reporter { questions, heard: Vec::new() };
    let mut client = Client::new(SETTINGS);
    let (mut out, mut window) = (Vec::new(), vec![0; output]);
    // What the server has to say, and when: once so many bytes have come from the client.
    let mut coming: VecDeque<(usize, Vec<u8>)> = VecDeque::from([(0, challenge)]);
    let mut asked = GREETING;
    for exchange in &exchanges {
        asked += exchange.request.len();
        coming.push_back((asked, exchange.replies.clone()));
    }
    let mut filled = Vec::new();
    loop {
        let end = filled.len().min(input.max(longest(&filled)));
        let progress = client.step(&mut reporter, &filled[..end], &mut window, Instant::START).unwrap();
        filled.drain(..progress.consumed);
        out.extend_from_slice(&window[..progress.produced]);
        let mut came = false;
        while coming.front().is_some_and(|(when, _)| *when <= out.len()) {
            filled.extend(coming.pop_front().unwrap().1);
            came = true;
        }
        if progress.consumed == 0 && progress.produced == 0 && !came {
            break;
        }
    }
    assert!(filled.is_empty() && coming.is_empty() && reporter.questions.is_empty(), "{file} {coming:?}");
    assert!(!client.is_busy() && client.is_ready());
    let requests: Vec<u8> = exchanges.iter().flat_map(|exchange| exchange.request.clone()).collect();
    assert_eq!(out[GREETING..], requests, "{file}");
    (out, reporter.heard)
}

/// A window must hold a whole PDU; then how much more it holds makes no difference.
fn longest(filled: &[u8]) -> usize {
    filled.first_chunk().map_or(0, |len| u32::from_be_bytes(*len) as usize)
}

/// CREDS and PROFILE.
const GREETING: usize = 20 + 28;

#[test]
fn what_pcp_s_tools_asked_is_asked_and_heard_through_every_window() {
    for file in CONVERSATIONS {
        let (out, heard) = play(file, 1 << 20, 1 << 16);
        assert!(!heard.is_empty(), "{file}");
        for (input, output) in [(1, 1), (13, 3), (100, 7), (1 << 20, 64), (1, 1 << 16)] {
            assert_eq!(play(file, input, output), (out.clone(), heard.clone()), "{file} {input} {output}");
        }
    }
}

#[test]
fn the_greeting_is_credentials_without_wishes_and_a_profile_of_everything() {
    let (out, _) = play("pminfo-tiny.jsonl", 4096, 4096);
    let want = "000000140000700c000000070000000101020000\
                0000001c0000700200000000000000000000000000000000000000000";
    let text: String = out[..GREETING].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text, want[..want.len() - 1]);
}

/// A client that was greeted by a server of these features, and what it asks.
fn greeted(features: u16, questions: &[Question]) -> (Client, Reporter) {
    let mut client = Client::new(SETTINGS);
    let mut reporter = Reporter { questions: questions.iter().cloned().collect(), heard: Vec::new() };
    let mut challenge = vec![0, 0, 0, 20, 0, 0, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1];
    challenge.extend(features.to_be_bytes());
    client.step(&mut reporter, &challenge, &mut [0; 1 << 17], Instant::START).unwrap();
    (client, reporter)
}

fn error(status: i32) -> Vec<u8> {
    let mut pdu = vec![0, 0, 0, 16, 0, 0, 0x70, 0, 0, 0, 0, 0];
    pdu.extend(status.to_be_bytes());
    pdu
}

#[test]
fn what_the_server_cannot_do_is_refused_in_its_turn() {
    let text = Question::Oneline(Pmid::from_bits(1));
    let labels = Question::Labels(1, u32::MAX);
    let huge = Question::Fetch(vec![Pmid::NULL; MAX_PMIDS + 1]);
    let (mut client, mut reporter) = greeted(0, &[labels.clone(), text, labels, huge]);
    assert_eq!(reporter.heard, [format!("{:?}", Answer::Refused(Status::NOLABELS))]);
    let text = error(Status::TEXT.0);
    client.step(&mut reporter, &text, &mut [0; 64], Instant::START).unwrap();
    let want = [Status::NOLABELS, Status::TEXT, Status::NOLABELS, Status::TOOBIG];
    assert_eq!(reporter.heard, want.map(|status| format!("{:?}", Answer::Refused(status))));
    assert!(!client.is_busy());
}

#[test]
fn each_of_many_descriptors_is_refused_where_all_are() {
    let questions = [Question::Descs(vec![Pmid::from_bits(1); 3]), Question::Descs(vec![])];
    for (features, replies) in [(0x800, 1), (0, 3)] {
        let (mut client, mut reporter) = greeted(features, &questions);
        for _ in 0..replies {
            client.step(&mut reporter, &error(Status::NOAGENT.0), &mut [0; 64], Instant::START).unwrap();
        }
        assert_eq!(reporter.heard, vec![format!("{:?}", Answer::Desc(Err(Status::NOAGENT))); 3]);
        assert!(!client.is_busy());
    }
}

#[test]
fn an_answer_to_another_question_ends_the_conversation() {
    let questions = [Question::Labels(2, 60)];
    let label = |ident: u8, kind: u8| {
        let mut pdu = vec![0, 0, 0, 28, 0, 0, 0x70, 0x13, 0, 0, 0, 0, 0, 0, 0, ident, 0, 0, 0, kind];
        pdu.extend([0; 8]);
        pdu
    };
    for (pdu, ends) in [
        (label(60, 2), None),
        (label(61, 2), None),
        (vec![0, 0, 0, 12, 0, 0, 0x70, 7, 0, 0, 0, 0], Some(Error::Unexpected(Kind::INSTANCE))),
        (error(0), Some(Error::Unexpected(Kind::ERROR))),
        (vec![0; 12], Some(Error::Pdu(pmbridge_core::pdu::Error::Header))),
        (vec![0x7f, 0, 0, 0, 0, 0, 0x70, 0x13, 0, 0, 0, 0], Some(Error::TooLong(0x7f00_0000))),
    ] {
        let (mut client, mut reporter) = greeted(0xe00, &questions);
        assert_eq!(client.step(&mut reporter, &pdu, &mut [0; 64], Instant::START).err(), ends);
    }
}

#[test]
fn an_answer_that_contradicts_itself_costs_no_other() {
    let questions = [Question::Oneline(Pmid::from_bits(1)), Question::Oneline(Pmid::from_bits(2))];
    let (mut client, mut reporter) = greeted(0xe00, &questions);
    // A text that is shorter than it says.
    let mut pdu = vec![0, 0, 0, 20, 0, 0, 0x70, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9];
    client.step(&mut reporter, &pdu, &mut [0; 64], Instant::START).unwrap();
    (pdu[15], pdu[19]) = (2, 0);
    client.step(&mut reporter, &pdu, &mut [0; 64], Instant::START).unwrap();
    assert_eq!(
        reporter.heard,
        [format!("{:?}", Answer::Refused(Status::IPC)), format!("{:?}", Answer::Text(b""))]
    );
}

#[test]
fn each_answer_has_a_deadline_of_its_own() {
    let questions = [Question::Oneline(Pmid::from_bits(1)), Question::Oneline(Pmid::from_bits(2))];
    let (mut client, mut reporter) = greeted(0xe00, &questions);
    let at = Instant::from_millis;
    assert_eq!(client.deadline(), Some(at(5000)));
    let mut step = |client: &mut Client, input: &[u8], now| {
        client.step(&mut reporter, input, &mut [0; 64], at(now)).map(|_| client.deadline())
    };
    assert_eq!(step(&mut client, b"", 4999), Ok(Some(at(5000))));
    assert_eq!(step(&mut client, &error(-12349), 4999), Ok(Some(at(9999))));
    assert_eq!(step(&mut client, b"", 9999), Err(Error::Timeout));
    assert_eq!(step(&mut client, &error(-12349), 9999), Ok(None));
    assert_eq!(step(&mut client, b"", 99_999), Ok(None));
}

#[test]
fn a_server_may_refuse_before_and_after_the_greeting() {
    let mut client = Client::new(SETTINGS);
    let mut reporter = Reporter::default();
    let refusal = [0, 0, 0, 20, 0, 0, 0x70, 0, 0, 0, 0, 0, 0xff, 0xff, 0xfb, 0xed, 0, 0, 0, 0];
    let refused = client.step(&mut reporter, &refusal, &mut [], Instant::START);
    assert_eq!(refused, Err(Error::Refused(Status::CONNLIMIT)));
    let (mut client, mut reporter) = greeted(0, &[]);
    let refused = client.step(&mut reporter, &error(Status::PERMISSION.0), &mut [], Instant::START);
    assert_eq!(refused, Err(Error::Refused(Status::PERMISSION)));
}
