//! A pmcd that the test plays, the relay, a serial line that does its worst, and the agent on a chip, on a clock that
//! the test turns.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and does so where a law is broken"
)]

#[path = "../../core/tests/line/mod.rs"]
mod line;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use line::{Chance, Wire, for_seeds};
use pmbridge_core::{
    pcp::{Semantics, Status, Type, Units},
    pdu::{
        self, Kind, Pmids, creds,
        error::Report,
        fetch::Fetch,
        pmns::{self, Traverse},
        result::Results,
    },
    role::{
        Context,
        relay::{Far, Relay, Settings, Side},
    },
    serial::{
        self, Event, Opener, Pace,
        frame::{Frame, Framer, fcs},
    },
    store::{Declaration, Fixed, Instance, Instances, Published, SourceId, Store},
    time::{Duration, Instant, Timestamp},
    wire::Writer,
};
use pmbridge_embedded::{
    Address, Agent, Next, Settings as AgentSettings, memory,
    metrics::{Metric, metrics},
    uart::{self, Uart},
};
use smoltcp::phy::{Loopback, Medium};

type Memory = Fixed<2, 40, 40, 0, 256, 2048>;
type Chip = Uart<256, 128, 256>;

const BAUD: u32 = 115_200;
/// A tick of the clock, and the bytes that the line carries in it.
const TICK: u64 = 5;
const SPEED: usize = 57;
const METRICS: u32 = 30;

/// The chip's end of the line: a FIFO each way, and an error now and then.
struct Port<'a> {
    down: &'a mut Wire,
    up: &'a mut Wire,
    chance: &'a mut Chance,
    errors: u64,
}

impl ErrorType for Port<'_> {
    type Error = ErrorKind;
}

impl ReadReady for Port<'_> {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(!self.down.bytes.is_empty())
    }
}

impl WriteReady for Port<'_> {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.up.bytes.len() < SPEED)
    }
}

impl Read for Port<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.chance.comes(self.errors) {
            // As an overrun is told: that byte is lost.
            self.down.bytes.pop_front();
            return Err(ErrorKind::Other);
        }
        let n = into.len().min(1 + self.chance.below(16) as usize).min(self.down.bytes.len());
        for (to, from) in into.iter_mut().zip(self.down.bytes.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }
}

impl Write for Port<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let n = bytes.len().min(1 + self.chance.below(16) as usize);
        for byte in &bytes[..n] {
            self.up.put(*byte, self.chance);
        }
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

struct World {
    chance: Chance,
    millis: u64,
    store: Box<Store<Memory>>,
    source: SourceId,
    chip: Box<Chip>,
    is_busy: bool,
    /// The agent with a network whose store the chip's line shares, in the place of the one here.
    agent: Option<(Agent<'static>, Loopback)>,
    boots: u32,
    down: Wire,
    up: Wire,
    errors: u64,
    link: Opener<1024>,
    relay: Relay<256>,
    /// Since when there is no session.
    sought: Option<u64>,
    domain: u16,
    far: Vec<u8>,
    asks: Vec<u8>,
    got: Vec<u8>,
}

fn emitted(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut w = Writer::new(&mut out);
    emit(&mut w);
    let n = w.written();
    out.truncate(n);
    out
}

fn chip(boots: u32) -> Box<Chip> {
    Box::new(Uart::new(&uart::Settings { baud: BAUD, boot: boots }))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut store = Box::new(Store::new(Memory::new(), 7, 1));
        store.set_root("chip").unwrap();
        let source = store.add_source("chip", "", Some(1)).unwrap();
        for i in 0..METRICS {
            let name = format!("chip.m{i}");
            let declaration = Declaration {
                name: &name,
                help: "",
                kind: Type::U64,
                semantics: Semantics::COUNTER,
                units: Units::NONE,
                instances: Instances::One,
                item: None,
                storable: false,
                aside: false,
            };
            let id = store.declare(source, &declaration).unwrap();
            store.publish(id, Instance::ONE, Published::Bits(u64::from(i) << 40 | 0x7e7d)).unwrap();
        }
        store.on_demand(source);
        let mut chance = Chance(seed);
        let patience = Duration::from_secs(4);
        let number = chance.next() as u32;
        let mut this = Self {
            chance,
            millis: 0,
            store,
            source,
            chip: chip(0),
            is_busy: false,
            agent: None,
            boots: 0,
            down: Wire::default(),
            up: Wire::default(),
            errors: 0,
            link: Opener::new(Pace::of_baud(BAUD), number),
            relay: Relay::new(Settings { pid: 1, announces_ready: false, domain: 144, patience }),
            sought: Some(0),
            domain: 0,
            far: Vec::new(),
            asks: Vec::new(),
            got: Vec::new(),
        };
        this.asks = emitted(|w| {
            creds::Creds { version: creds::VERSION, flags: creds::Features::NONE }.emit(9, w);
        });
        this.tick();
        assert_eq!(this.got.len(), 20);
        this.got.clear();
        this
    }

    fn tick(&mut self) {
        self.millis += TICK;
        self.computer();
        let (now, wall) = (Instant::from_millis(self.millis), Timestamp::default());
        let mut port =
            Port { down: &mut self.down, up: &mut self.up, chance: &mut self.chance, errors: self.errors };
        let chip = &mut self.chip;
        for _ in 0..8 {
            if let Some((agent, device)) = &mut self.agent {
                agent.poll(device, now, wall);
                agent.beside(now, wall, |cx| {
                    self.is_busy = chip.poll(cx, &mut port).is_busy;
                    self.is_busy
                });
                continue;
            }
            let polled = chip.poll(&mut Context { store: &mut *self.store, now, wall }, &mut port);
            self.is_busy = polled.is_busy;
            if !polled.is_busy && self.store.wanted(0).is_some() {
                self.store.begin(self.source);
                self.store.published(self.source);
            } else if polled.next != Next::Now {
                break;
            }
        }
    }

    /// What the computer does, as the host on Linux does it.
    fn computer(&mut self) {
        let now = Instant::from_millis(self.millis);
        let line: Vec<u8> = self.up.bytes.drain(..).collect();
        let (mut line, mut room) = (&line[..], [0; 128]);
        loop {
            let got = self.link.receive(line, &mut room, now);
            line = &line[got.consumed..];
            self.far.extend_from_slice(&room[..got.produced]);
            match got.event {
                Some(Event::Opened { domain }) => {
                    self.far.clear();
                    (self.domain, self.sought) = (domain, None);
                }
                Some(Event::Lost) => self.lost(),
                None if line.is_empty() => break,
                None => {}
            }
        }
        loop {
            let far = match (self.link.session(), self.sought) {
                (Some(session), None) => Far::There { session, domain: self.domain },
                (_, Some(since)) if self.millis < since + 1500 => Far::Sought,
                _ => Far::Away,
            };
            let mut out = [0; 512];
            let pmcd = Side { input: &self.asks, output: &mut out };
            let agent = Side { input: &self.far, output: self.link.room() };
            let step = self.relay.step(far, now, pmcd, agent).unwrap();
            self.asks.drain(..step.pmcd.consumed);
            self.got.extend_from_slice(&out[..step.pmcd.produced]);
            self.far.drain(..step.far.consumed);
            self.link.send(step.far.produced);
            if step.renew {
                self.link.renew();
                self.lost();
            }
            if step.is_none() {
                break;
            }
        }
        while self.down.bytes.len() < SPEED
            && let Some(byte) = self.link.transmit(now)
        {
            self.down.put(byte, &mut self.chance);
        }
    }

    fn lost(&mut self) {
        self.far.clear();
        self.sought.get_or_insert(self.millis);
    }

    fn reboot(&mut self) {
        self.boots += 1;
        self.chip = chip(self.boots);
    }

    /// Asks as pmcd does, and gives the one answer.
    fn ask(&mut self, request: &[u8], mut meanwhile: impl FnMut(&mut Self)) -> Vec<u8> {
        let since = self.millis;
        self.asks.extend_from_slice(request);
        loop {
            self.tick();
            meanwhile(self);
            // Before pmcd drops an agent.
            assert!(self.millis <= since + 4000 + TICK, "no answer");
            if let Some((_, _, len)) = pdu::split(&self.got).unwrap() {
                assert_eq!((len, self.asks.len()), (self.got.len(), 0));
                return core::mem::take(&mut self.got);
            }
        }
    }
}

/// What pmcd asks, and what it is to be answered but for state bits.
fn questions() -> [Vec<u8>; 2] {
    let ids: Vec<u8> = (0..METRICS).flat_map(|i| (144 << 22 | 1 << 10 | i).to_be_bytes()).collect();
    let fetch = Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&ids) };
    [emitted(|w| fetch.emit(3, w)), emitted(|w| Traverse { name: b"chip" }.emit(3, w))]
}

fn answers() -> [Vec<u8>; 2] {
    let mut world = World::new(0);
    let answers = questions().map(|question| without_bits(world.ask(&question, |_| {})));
    assert_eq!(answers.each_ref().map(|answer| kind(answer)), [Kind::RESULT, Kind::PMNS_NAMES]);
    assert!(answers[0].len() > 700 && answers[1].len() > 300);
    answers
}

fn kind(answer: &[u8]) -> Kind {
    pdu::split(answer).unwrap().unwrap().0.kind
}

fn without_bits(mut answer: Vec<u8>) -> Vec<u8> {
    if kind(&answer) == Kind::RESULT {
        assert!(matches!(answer[12..16], [0, 0, 0, 0 | 24]), "{:?}", &answer[12..16]);
        answer[15] = 0;
    }
    answer
}

#[test]
fn every_answer_is_right_or_says_not_now_and_comes_in_time() {
    let (questions, answers) = (questions(), answers());
    let again = emitted(|w| Report { status: Status::AGAIN }.emit(0, w));
    for_seeds(600, |seed| {
        let mut world = World::new(seed);
        let most = [5, 30, 300][seed as usize % 3];
        world.down = Wire::with_faults(&mut world.chance, most);
        world.up = Wire::with_faults(&mut world.chance, most);
        world.errors = world.chance.below(100);
        let reboots = world.chance.below(30);
        for _ in 0..6 {
            for (question, want) in questions.iter().zip(&answers) {
                let answer = world.ask(question, |world| {
                    if world.chance.comes(reboots) {
                        world.reboot();
                    }
                });
                assert!(answer == again || without_bits(answer) == *want);
            }
        }
        for wire in [&mut world.down, &mut world.up] {
            *wire = Wire { bytes: core::mem::take(&mut wire.bytes), ..Wire::default() };
        }
        world.errors = 0;
        // Whoever is there is found soon.
        let since = world.millis;
        while world.ask(&questions[0], |_| {}) == again {
            assert!(world.millis < since + 8000, "nobody is found");
        }
        for (question, want) in questions.iter().zip(&answers) {
            assert_eq!(without_bits(world.ask(question, |_| {})), *want);
        }
    });
}

#[test]
fn a_chip_that_was_away_answers_within_a_second() {
    let question = &questions()[0];
    for off in [100, 1000, 3000, 60_000] {
        let mut world = World::new(off);
        assert_eq!(kind(&world.ask(question, |_| {})), Kind::RESULT);
        let (down, up) = (Wire { lost: 10_000, ..Wire::default() }, Wire { lost: 10_000, ..Wire::default() });
        (world.down, world.up) = (down, up);
        let until = world.millis + off;
        while world.millis < until {
            world.tick();
        }
        world.reboot();
        (world.down, world.up) = (Wire::default(), Wire::default());
        let back = world.millis;
        while kind(&world.ask(question, |_| {})) != Kind::RESULT {}
        assert!(world.millis <= back + 1000, "{} ms after {off} ms", world.millis - back);
    }
}

#[test]
fn a_request_that_is_too_long_costs_itself() {
    let mut world = World::new(1);
    let ids: Vec<u8> = (0..1000_u32).flat_map(|i| (144 << 22 | 1 << 10 | i).to_be_bytes()).collect();
    let fetch = Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&ids) };
    let mut long = vec![0; 4100];
    fetch.emit(3, &mut Writer::new(&mut long));
    long.truncate(28 + 4000);
    let answer = world.ask(&long, |_| {});
    assert_eq!(answer, emitted(|w| Report { status: Status::TOOBIG }.emit(0, w)));
    assert_eq!(kind(&world.ask(&questions()[0], |_| {})), Kind::RESULT);
    assert_eq!(world.chip.sessions(), 1);
}

#[test]
fn an_answer_whose_reader_is_gone_does_not_hold_the_store_for_ever() {
    let mut world = World::new(1);
    assert_eq!(kind(&world.ask(&questions()[0], |_| {})), Kind::RESULT);
    world.asks.extend_from_slice(&questions()[0]);
    while !world.is_busy {
        world.tick();
    }
    (world.down.lost, world.up.lost) = (10_000, 10_000);
    let since = world.millis;
    while world.is_busy {
        world.tick();
        assert!(world.millis < since + 6000);
    }
    assert!(!world.chip.is_open());
}

/// One that asks again and again whether the chip is there, and takes nothing of what it says.
#[test]
fn an_answer_that_is_never_taken_ends_too_and_sooner_where_others_wait() {
    for (is_held, most) in [(true, 9_000), (false, 60_000)] {
        let mut world = World::new(1);
        assert_eq!(kind(&world.ask(&questions()[0], |_| {})), Kind::RESULT);
        world.asks.extend_from_slice(&questions()[0]);
        while !world.is_busy {
            world.tick();
        }
        let key = fcs(&emitted(|w| w.words([world.link.session().unwrap(), world.boots])));
        (world.down.lost, world.up.lost) = (10_000, 10_000);
        world.store.hold(is_held);
        let since = world.millis;
        while world.is_busy {
            if (world.millis - since).is_multiple_of(3000) {
                let mut framer = Framer::new();
                framer.begin(&Frame::about(serial::frame::Kind::PROBE, key));
                world.down.bytes.extend(core::iter::from_fn(|| framer.give()));
            }
            world.tick();
            assert!(world.millis <= since + most, "held: {is_held}");
        }
        assert!(world.millis >= since + most - 100, "held: {is_held}, {} ms", world.millis - since);
        assert!(!world.chip.is_open());
    }
}

metrics! {
    static TABLE;
    static LEVEL: Metric<u32> = Metric::gauge("device.level", "How full it is");
}

#[test]
fn beside_a_network_the_line_tells_what_the_agent_knows() {
    let mut world = World::new(1);
    let settings = AgentSettings {
        labels: "",
        mac: [2, 0, 0, 0, 0, 1],
        address: Address::Static { address: [10, 0, 0, 1], prefix: 8, gateway: None },
        neighbours: &[],
        seed: 1,
    };
    let mut device = Loopback::new(Medium::Ethernet);
    let memory: &'static mut memory::Standard<'static> = Box::leak(Box::new(memory::Standard::new()));
    let agent = Agent::new(memory, &mut device, TABLE, &settings, Instant::START).unwrap();
    world.agent = Some((agent, device));
    world.reboot();
    let names = emitted(|w| {
        w.words([40, Kind::PMNS_NAMES.0, 3, 13, 0, 1, 12]);
        w.text(b"device.level");
    });
    let answer = world.ask(&names, |_| {});
    let pmid = pmns::Ids::parse(&answer[12..]).unwrap().pmids.at(0).unwrap();
    assert_eq!(pmid.domain(), 144);
    let ids = pmid.to_bits().to_be_bytes();
    let fetch = Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&ids) };
    for level in [7, 8] {
        LEVEL.set(0, level);
        let answer = world.ask(&emitted(|w| fetch.emit(3, w)), |_| {});
        let results = Results::parse(Kind::RESULT, &answer[12..]).unwrap();
        let values = results.iter().next().unwrap();
        // Published as it was asked for.
        assert_eq!(values.values().next().unwrap().word, level);
    }
}
