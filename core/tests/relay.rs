//! The relay between a pmcd that the test plays and an agent that comes and goes.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may panic, and does so where a law is broken"
)]

use pmbridge_core::{
    pcp::{Semantics, Status, Type, Units},
    pdu::{
        self, Kind, Pmids, creds, desc,
        error::Report,
        fetch, instance, label,
        pmns::{self, Traverse},
        profile::Profile,
        result::Results,
    },
    role::{
        Context, Role as _,
        agent::{self, Agent},
        relay::{Far, Relay, Settings, Side},
    },
    store::{Declaration, Fixed, Instance, Instances, MetricId, Published, Store},
    time::{Duration, Instant, Timestamp},
    wire::Writer,
};

type Memory = Fixed<4, 16, 32, 0, 128, 2048>;

/// The domain of pmcd.conf, and that of the agent.
const HERE: u16 = 450;
const THERE: u16 = 7;

fn emitted(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut w = Writer::new(&mut out);
    emit(&mut w);
    let n = w.written();
    out.truncate(n);
    out
}

fn refusal(status: Status) -> Vec<u8> {
    emitted(|w| Report { status }.emit(0, w))
}

fn fetch_of(ids: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
    emitted(|w| fetch::Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&bytes) }.emit(3, w))
}

/// What is at the far end: an agent over a store, or whoever the test plays.
enum There {
    Agent(Box<Agent<256>>),
    Nobody,
    Says(Vec<u8>),
}

struct World {
    relay: Relay<4096>,
    far: Far,
    there: There,
    store: Store<Memory>,
    temperature: MetricId,
    /// What pmcd has sent and the relay has not taken, and what pmcd got.
    asks: Vec<u8>,
    got: Vec<u8>,
    down: Vec<u8>,
    up: Vec<u8>,
    /// All that ever went down.
    seen: Vec<u8>,
    millis: u64,
    window: usize,
    renewed: u32,
    session: u32,
}

const SETTINGS: Settings =
    Settings { pid: 9, announces_ready: true, domain: HERE, patience: Duration::from_secs(4) };

impl World {
    fn new(window: usize) -> Self {
        let mut store = Store::new(Memory::new(), THERE, 1);
        store.set_root("chip").unwrap();
        let source = store.add_source("chip", "board=\"b\"", Some(1)).unwrap();
        let declaration = Declaration {
            name: "chip.temperature",
            help: "How warm it is.",
            kind: Type::DOUBLE,
            semantics: Semantics::INSTANT,
            units: Units::NONE,
            instances: Instances::Own,
            item: None,
            storable: true,
            aside: false,
        };
        let temperature = store.declare(source, &declaration).unwrap();
        for name in ["cpu", "board"] {
            store.publish(temperature, Instance::named(name), Published::Bits(41.5_f64.to_bits())).unwrap();
        }
        store.published(source);
        let mut this = Self {
            relay: Relay::new(SETTINGS),
            far: Far::Away,
            there: There::Nobody,
            store,
            temperature,
            asks: Vec::new(),
            got: Vec::new(),
            down: Vec::new(),
            up: Vec::new(),
            seen: Vec::new(),
            millis: 0,
            window,
            renewed: 0,
            session: 0,
        };
        this.turn();
        let greeting = emitted(|w| {
            creds::Creds { version: creds::VERSION, flags: creds::Features::NONE }.emit(9, w);
        });
        assert_eq!(core::mem::take(&mut this.got), greeting);
        this.asks = greeting;
        this.turn();
        assert_eq!(core::mem::take(&mut this.got), refusal(Status::PMDAREADY));
        this
    }

    /// A session begins, with an agent anew.
    fn opens(&mut self) {
        let patience = Duration::from_secs(1);
        let agent = Agent::new(agent::Settings { pid: 0, announces_ready: false, patience });
        self.there = There::Agent(Box::new(agent));
        self.begins();
    }

    fn begins(&mut self) {
        self.session += 1;
        (self.down, self.up) = (Vec::new(), Vec::new());
        self.far = Far::There { session: self.session, domain: THERE };
    }

    /// The session is over.
    fn goes(&mut self, far: Far) {
        (self.there, self.far) = (There::Nobody, far);
        (self.down, self.up) = (Vec::new(), Vec::new());
    }

    /// Moves what can be moved.
    fn turn(&mut self) {
        loop {
            let now = Instant::from_millis(self.millis);
            let (mut to_pmcd, mut to_far) = (vec![0; self.window], vec![0; self.window]);
            let pmcd = Side { input: &self.asks, output: &mut to_pmcd };
            let agent = Side { input: &self.up, output: &mut to_far };
            let step = self.relay.step(self.far, now, pmcd, agent).unwrap();
            self.asks.drain(..step.pmcd.consumed);
            self.got.extend_from_slice(&to_pmcd[..step.pmcd.produced]);
            self.up.drain(..step.far.consumed);
            self.down.extend_from_slice(&to_far[..step.far.produced]);
            self.seen.extend_from_slice(&to_far[..step.far.produced]);
            if step.renew {
                self.renewed += 1;
                self.goes(Far::Sought);
            }
            let moved = match &mut self.there {
                There::Agent(role) => {
                    let wall = Timestamp::default();
                    let mut cx = Context { store: &mut self.store, now, wall };
                    let mut out = vec![0; self.window];
                    let progress = role.step(&mut cx, &self.down, &mut out).unwrap();
                    self.down.drain(..progress.consumed);
                    self.up.extend_from_slice(&out[..progress.produced]);
                    !progress.is_none()
                }
                There::Says(bytes) => {
                    let said = core::mem::take(bytes);
                    self.up.extend_from_slice(&said);
                    !said.is_empty()
                }
                There::Nobody => false,
            };
            if step.is_none() && !moved {
                return;
            }
        }
    }

    fn ask(&mut self, request: &[u8]) -> Vec<u8> {
        self.asks.extend_from_slice(request);
        self.turn();
        core::mem::take(&mut self.got)
    }

    fn pmid(&self) -> u32 {
        let _ = self.temperature;
        u32::from(HERE) << 22 | 1 << 10
    }
}

fn kind(answer: &[u8]) -> Kind {
    let (header, _, len) = pdu::split(answer).unwrap().unwrap();
    assert_eq!(len, answer.len(), "more than one answer");
    header.kind
}

fn results(answer: &[u8]) -> Results<'_> {
    assert_eq!(kind(answer), Kind::RESULT);
    Results::parse(Kind::RESULT, &answer[12..]).unwrap()
}

const CHANGED: i64 = 24;

#[test]
fn any_window_gives_pmcd_the_same_answers_in_its_own_domain() {
    let mut want = Vec::new();
    for window in [4096, 1, 7, 100] {
        let mut world = World::new(window);
        world.opens();
        let pmid = world.pmid();
        let mut answers = Vec::new();
        let answer = world.ask(&fetch_of(&[pmid, u32::MAX, pmid + 1]));
        let told: Vec<_> =
            results(&answer).iter().map(|set| (set.head.pmid.to_bits(), set.head.count)).collect();
        assert_eq!(told, [(pmid, 2), (u32::MAX, Status::NOAGENT.0), (pmid + 1, Status::PMID.0)]);
        answers.push(answer);
        let answer = world.ask(&emitted(|w| {
            desc::Request { pmid: pdu::Pmids::new(&pmid.to_be_bytes()).at(0).unwrap() }.emit(1, w)
        }));
        let desc = desc::Reply::parse(&answer[12..]).unwrap().desc;
        assert_eq!((desc.pmid.to_bits(), desc.indom.domain()), (pmid, HERE));
        answers.push(answer);
        let answer = world.ask(&emitted(|w| instance::Request::all(desc.indom).emit(1, w)));
        assert_eq!(instance::Instances::parse(&answer[12..]).unwrap().iter().count(), 2);
        answers.push(answer);
        let answer = world.ask(&emitted(|w| label::Request { ident: HERE.into(), kind: 2 }.emit(1, w)));
        assert_eq!(label::Labels::parse(&answer[12..]).unwrap().ident, HERE.into());
        answers.push(answer);
        let answer = world.ask(&emitted(|w| Traverse { name: b"chip" }.emit(1, w)));
        assert_eq!(kind(&answer), Kind::PMNS_NAMES);
        answers.push(answer);
        if want.is_empty() {
            want = answers;
        } else {
            assert_eq!(answers, want, "{window}");
        }
        assert_eq!(world.renewed, 0);
    }
    let _ = pmns::Names::parse(&want[4][12..]).unwrap();
}

#[test]
fn a_new_session_is_told_with_the_next_result_once() {
    let mut world = World::new(4096);
    world.opens();
    let fetch = fetch_of(&[world.pmid()]);
    assert_eq!(results(&world.ask(&fetch)).seconds, CHANGED);
    assert_eq!(results(&world.ask(&fetch)).seconds, 0);
    world.goes(Far::Sought);
    world.opens();
    // No other answer can tell.
    assert_eq!(kind(&world.ask(&emitted(|w| Traverse { name: b"" }.emit(1, w)))), Kind::PMNS_NAMES);
    assert_eq!(results(&world.ask(&fetch)).seconds, CHANGED);
    assert_eq!(results(&world.ask(&fetch)).seconds, 0);
}

#[test]
fn the_last_profile_holds_in_every_session() {
    let mut world = World::new(4096);
    world.opens();
    // All excluded, but of the metric's domain the instance 1.
    let indom = u32::from(HERE) << 22 | (1024 + 4096);
    let words = [0, 1, 1, 0, indom, 1, 1, 0, 1];
    let body: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    let profile = emitted(|w| Profile::parse(&body).unwrap().emit(3, w));
    let count = |world: &mut World| {
        let answer = world.ask(&fetch_of(&[world.pmid()]));
        results(&answer).iter().next().unwrap().head.count
    };
    assert_eq!(count(&mut world), 2);
    assert_eq!(world.ask(&profile), []);
    assert_eq!(count(&mut world), 1);
    world.goes(Far::Away);
    world.opens();
    assert_eq!(count(&mut world), 1);
    assert_eq!(world.ask(&emitted(|w| Profile::ALL.emit(3, w))), []);
    assert_eq!(count(&mut world), 2);
}

#[test]
fn who_is_away_costs_no_time_and_who_is_sought_is_waited_for_until_the_deadline() {
    let mut world = World::new(4096);
    let fetch = fetch_of(&[world.pmid()]);
    assert_eq!(world.ask(&fetch), refusal(Status::AGAIN));
    world.far = Far::Sought;
    assert_eq!(world.ask(&fetch), []);
    assert_eq!(world.relay.deadline(), Some(Instant::from_millis(4000)));
    world.opens();
    assert_eq!(kind(&world.ask(&[])), Kind::RESULT);
    assert_eq!(world.relay.deadline(), None);
    world.goes(Far::Sought);
    assert_eq!(world.ask(&fetch), []);
    world.millis = 3999;
    assert_eq!(world.ask(&[]), []);
    world.millis = 4000;
    assert_eq!((world.ask(&[]), world.renewed), (refusal(Status::AGAIN), 0));
    world.millis = 9000;
    assert_eq!(world.ask(&fetch), []);
    world.far = Far::Away;
    assert_eq!(world.ask(&[]), refusal(Status::AGAIN));
}

#[test]
fn an_answer_that_does_not_come_ends_the_session_for_it_would_be_taken_for_the_next() {
    let mut world = World::new(4096);
    world.opens();
    let fetch = fetch_of(&[world.pmid()]);
    assert_eq!(kind(&world.ask(&fetch)), Kind::RESULT);
    let agent = core::mem::replace(&mut world.there, There::Nobody);
    assert_eq!(world.ask(&fetch), []);
    world.millis = 4000;
    assert_eq!((world.ask(&[]), world.renewed), (refusal(Status::AGAIN), 1));
    drop(agent);
}

#[test]
fn a_request_is_asked_again_in_the_next_session_but_not_for_ever() {
    let mut world = World::new(4096);
    world.opens();
    let fetch = fetch_of(&[world.pmid()]);
    assert_eq!(kind(&world.ask(&fetch)), Kind::RESULT);
    // Half an answer, then the line is cut.
    world.there = There::Says(vec![0, 0, 0, 99, 0, 0]);
    assert_eq!(world.ask(&fetch), []);
    world.goes(Far::Sought);
    world.opens();
    assert_eq!(kind(&world.ask(&[])), Kind::RESULT);
    // One who falls over each time that he is asked.
    let greeting =
        emitted(|w| creds::Creds { version: creds::VERSION, flags: creds::Features::NONE }.emit(0, w));
    world.goes(Far::Sought);
    assert_eq!(world.ask(&fetch), []);
    let mut sessions = 0;
    while world.got.is_empty() {
        sessions += 1;
        world.there = There::Says(greeting.clone());
        world.begins();
        world.turn();
    }
    // It was asked in two.
    assert_eq!((core::mem::take(&mut world.got), sessions), (refusal(Status::AGAIN), 3));
}

#[test]
fn what_is_no_answer_to_the_request_never_reaches_pmcd() {
    let greeting =
        emitted(|w| creds::Creds { version: creds::VERSION, flags: creds::Features::NONE }.emit(0, w));
    let mut world = World::new(4096);
    world.opens();
    let pmid = world.pmid();
    let (fetch, other) = (fetch_of(&[pmid]), fetch_of(&[pmid + 1]));
    let good = world.ask(&other);
    let mut of_other_domain = good.clone();
    of_other_domain[24..28].copy_from_slice(&(u32::from(THERE) << 22 | 1 << 10 | 1).to_be_bytes());
    let mut cut = good.clone();
    cut[3] -= 4;
    let nonsense = [
        refusal(Status::PMDANOTREADY),
        refusal(Status::PMDAREADY),
        refusal(Status::OK),
        refusal(Status(5)),
        of_other_domain,
        cut[..cut.len() - 4].to_vec(),
        vec![0; 12],
        emitted(|w| Traverse { name: b"" }.emit(0, w)),
        greeting.clone(),
    ];
    for (i, said) in nonsense.into_iter().enumerate() {
        world.there = There::Says(greeting.clone());
        world.begins();
        world.turn();
        world.asks.extend_from_slice(&fetch);
        world.turn();
        assert_eq!(world.got, [], "{i}");
        let before = world.renewed;
        world.there = There::Says(said);
        assert_eq!((world.ask(&[]), world.renewed), (refusal(Status::AGAIN), before + 1), "{i}");
        world.opens();
        assert_eq!(kind(&world.ask(&fetch)), Kind::RESULT, "{i}");
    }
    // An error of the agent's own is an answer.
    world.there = There::Says(greeting);
    world.begins();
    world.turn();
    world.asks.extend_from_slice(&fetch);
    world.turn();
    world.there = There::Says(refusal(Status::TOOBIG));
    assert_eq!(world.ask(&[]), refusal(Status::TOOBIG));
}

#[test]
fn what_nobody_asked_for_ends_the_session() {
    let mut world = World::new(4096);
    for said in [refusal(Status::PMDAREADY), vec![0; 12]] {
        let before = world.renewed;
        world.there = There::Says(said);
        world.begins();
        world.turn();
        assert_eq!(world.renewed, before + 1);
    }
    world.opens();
    assert_eq!(kind(&world.ask(&fetch_of(&[world.pmid()]))), Kind::RESULT);
    world.there = There::Says(refusal(Status::AGAIN));
    world.turn();
    assert_eq!(world.renewed, 3);
}

#[test]
fn notices_of_pmcd_are_not_passed_on() {
    let mut world = World::new(4096);
    world.opens();
    world.turn();
    world.seen.clear();
    let gone = emitted(|w| Report { status: Status::NOTCONN }.emit(3, w));
    assert_eq!(world.ask(&gone), []);
    assert_eq!((world.seen.len(), world.asks.len()), (0, 0));
}
