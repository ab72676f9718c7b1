//! Both ends of a serial line that does its worst, on a clock that the test turns.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic, and does so where a law is broken"
)]

mod line;

use line::{Chance, Wire, for_seeds};
use pmbridge_core::{
    serial::{Event, Listener, Opener, Pace, frame::PAYLOAD},
    time::Instant,
};

/// The byte at this place of a stream: the stream's own number first, then what follows from it.
fn byte(stream: u32, place: usize) -> u8 {
    match stream.to_be_bytes().get(place) {
        Some(byte) => *byte,
        None => Chance(u64::from(stream) << 32 | place as u64).next() as u8,
    }
}

/// What one end's host has: a stream that goes out, and one that comes in.
#[derive(Default)]
struct Host {
    is_open: bool,
    sending: u32,
    sent: usize,
    got: Vec<u8>,
    /// How many of those were compared.
    checked: usize,
    opened: u32,
    lost: u32,
}

impl Host {
    fn happened(&mut self, event: Event, stream: u32) {
        match event {
            Event::Opened { .. } => {
                self.opened += 1;
                (self.is_open, self.sending, self.sent) = (true, stream, 0);
                (self.checked, self.got) = (0, Vec::new());
            }
            Event::Lost => {
                self.lost += 1;
                self.is_open = false;
            }
        }
    }

    /// Every byte that has come is that of the stream that its first four name.
    fn check(&mut self, most: usize) {
        if let Some(stream) = self.got.first_chunk() {
            let stream = u32::from_be_bytes(*stream);
            assert!(self.got.len() <= most);
            for place in self.checked..self.got.len() {
                assert_eq!(self.got[place], byte(stream, place), "byte {place} of {stream:x}");
            }
            self.checked = self.got.len();
        }
    }

    /// Puts more of the stream into `room`, at most up to `most` bytes of it.
    fn fill(&mut self, room: &mut [u8], most: usize) -> usize {
        let n = room.len().min(most.saturating_sub(self.sent));
        for (at, to) in room[..n].iter_mut().enumerate() {
            *to = byte(self.sending, self.sent + at);
        }
        self.sent += n;
        n
    }
}

const ROOM: usize = 512;
const PACE: Pace = Pace::of_baud(115_200);
/// A tick, and the bytes that the line carries in it.
const TICK: u64 = 4;
const SPEED: usize = 46;

struct World {
    chance: Chance,
    millis: u64,
    opener: Opener<ROOM>,
    listener: Listener<ROOM>,
    boots: u32,
    computer: Host,
    chip: Host,
    down: Wire,
    up: Wire,
    /// Bytes of each stream.
    most: usize,
}

impl World {
    fn new(seed: u64, most: usize) -> Self {
        let mut chance = Chance(seed);
        let number = chance.next() as u32;
        Self {
            chance,
            millis: 0,
            opener: Opener::new(PACE, number),
            listener: Listener::new(PACE, 0, 7),
            boots: 0,
            computer: Host::default(),
            chip: Host::default(),
            down: Wire::default(),
            up: Wire::default(),
            most,
        }
    }

    /// The chip begins anew, which only the line tells.
    fn reboot_chip(&mut self) {
        self.boots += 1;
        self.listener = Listener::new(PACE, self.boots, 7);
        self.chip = Host::default();
    }

    fn restart_computer(&mut self) {
        let number = self.chance.next() as u32;
        self.opener = Opener::new(PACE, number);
        self.computer = Host::default();
    }

    fn tick(&mut self) {
        self.millis += TICK;
        let now = Instant::from_millis(self.millis);
        let mut room = [0; 300];
        let line: Vec<u8> = self.up.bytes.drain(..).collect();
        let mut line = &line[..];
        loop {
            let size = self.window();
            let got = self.opener.receive(line, &mut room[..size], now);
            line = &line[got.consumed..];
            self.computer.got.extend_from_slice(&room[..got.produced]);
            if let Some(event) = got.event {
                self.computer.happened(event, self.opener.session().unwrap_or_default());
            } else if line.is_empty() {
                break;
            }
        }
        let line: Vec<u8> = self.down.bytes.drain(..).collect();
        let mut line = &line[..];
        loop {
            let size = self.window();
            let got = self.listener.receive(line, &mut room[..size], now);
            line = &line[got.consumed..];
            self.chip.got.extend_from_slice(&room[..got.produced]);
            if let Some(event) = got.event {
                let stream = self.chance.next() as u32;
                self.chip.happened(event, stream);
            } else if line.is_empty() {
                break;
            }
        }
        self.computer.check(self.most);
        self.chip.check(self.most);
        let n = self.computer.fill(self.opener.room(), self.most);
        self.opener.send(n);
        let n = self.chip.fill(self.listener.room(), self.most);
        self.listener.send(n);
        let speed = self.chance.below(SPEED as u64 * 2) as usize;
        while self.down.bytes.len() < speed
            && let Some(byte) = self.opener.transmit(now)
        {
            self.down.put(byte, &mut self.chance);
        }
        while self.up.bytes.len() < speed
            && let Some(byte) = self.listener.transmit(now)
        {
            self.up.put(byte, &mut self.chance);
        }
    }

    /// The room that a host has for bytes of the stream, which is rarely less than a frame's.
    fn window(&mut self) -> usize {
        let least = if self.chance.comes(500) { 1 } else { PAYLOAD as u64 };
        (least + self.chance.below(301 - least)) as usize
    }

    fn is_all_there(&self) -> bool {
        let is_of = |got: &[u8], of: &Host| got.first_chunk() == Some(&of.sending.to_be_bytes());
        self.chip.got.len() == self.most
            && self.computer.got.len() == self.most
            && is_of(&self.chip.got, &self.computer)
            && is_of(&self.computer.got, &self.chip)
    }

    /// Turns the clock until this is so: milliseconds of its own time.
    fn until(&mut self, what: &str, most: u64, is_so: impl Fn(&Self) -> bool) -> u64 {
        let from = self.millis;
        while !is_so(self) {
            self.tick();
            assert!(self.millis < from + most, "{what}: not within {most} ms");
        }
        self.millis - from
    }
}

#[test]
fn no_wrong_byte_ever_comes_and_all_come_once_the_line_is_quiet() {
    for_seeds(2000, |seed| {
        let mut world = World::new(seed, 3000);
        let most = [10, 100, 1000][seed as usize % 3];
        world.down = Wire::with_faults(&mut world.chance, most);
        world.up = Wire::with_faults(&mut world.chance, most);
        let reboots = world.chance.below(3);
        for _ in 0..750 {
            world.tick();
            if world.chance.comes(20 * reboots) {
                world.reboot_chip();
            }
            if world.chance.comes(20 * reboots) {
                world.restart_computer();
            }
        }
        for wire in [&mut world.down, &mut world.up] {
            let bytes = core::mem::take(&mut wire.bytes);
            *wire = Wire { bytes, ..Wire::default() };
        }
        // What a session has left undone the next one does.
        world.until("all to come", 10_000, World::is_all_there);
    });
}

#[test]
fn a_line_that_garbles_a_byte_in_a_thousand_carries_everything() {
    for_seeds(200, |seed| {
        let mut world = World::new(seed, 20_000);
        world.down.garbled = 10;
        world.up.lost = 10;
        world.until("all to come", 120_000, World::is_all_there);
    });
}

#[test]
fn a_quiet_line_opens_once_and_stays_open() {
    let mut world = World::new(1, 100);
    world.until("all to come", 2000, World::is_all_there);
    for _ in 0..5000 {
        world.tick();
    }
    assert_eq!((world.computer.opened, world.chip.opened), (1, 1));
    assert_eq!((world.computer.lost, world.chip.lost), (0, 0));
}

#[test]
fn a_reboot_is_noticed_while_nobody_says_anything() {
    let mut world = World::new(2, 100);
    world.until("all to come", 2000, World::is_all_there);
    for round in 2..5 {
        world.reboot_chip();
        world.until("a new session", 1500, |world| world.computer.opened == round && world.is_all_there());
        assert_eq!(world.computer.lost, round - 1);
    }
    // A computer says so at once.
    world.restart_computer();
    world.until("a new session", 1000, |world| world.chip.opened == 2 && world.is_all_there());
}

#[test]
fn a_reboot_in_the_midst_of_a_stream_begins_both_anew() {
    let mut world = World::new(3, 100_000);
    world.until("some to come", 2000, |world| world.chip.got.len() > 5000);
    world.reboot_chip();
    world.until("a new session", 1000, |world| world.computer.opened == 2 && world.computer.got.len() > 4);
    assert!(world.computer.got.len() < 5000);
}

#[test]
fn a_line_that_is_cut_ends_the_session_at_both_ends_and_then_the_chip_is_silent() {
    let mut world = World::new(4, 100_000);
    world.until("a session", 1000, |world| world.computer.is_open && world.chip.is_open);
    (world.down.lost, world.up.lost) = (10_000, 10_000);
    let lost = world.until("the computer to notice", 3000, |world| world.computer.lost == 1);
    assert!(lost >= 1900, "{lost}");
    world.until("the chip to notice", 6000, |world| world.chip.lost == 1);
    world.up.lost = 0;
    for _ in 0..1000 {
        world.tick();
        // A frame may have been half out.
        assert!(world.up.bytes.len() < 200);
    }
    world.down.lost = 0;
    world.until("a new session", 1000, |world| world.computer.opened == 2 && world.chip.opened == 2);
}

#[test]
fn a_chip_that_ends_a_session_gets_another() {
    let mut world = World::new(5, 100);
    world.until("all to come", 2000, World::is_all_there);
    world.listener.close();
    world.chip.is_open = false;
    world.until("a new session", 1000, |world| world.computer.opened == 2 && world.is_all_there());
    world.opener.renew();
    world.computer.is_open = false;
    world.until("a new session", 1000, |world| world.computer.opened == 3 && world.is_all_there());
}

#[test]
fn an_echo_is_nobody() {
    let mut opener = Opener::<ROOM>::new(PACE, 1);
    let mut listener = Listener::<ROOM>::new(PACE, 1, 7);
    for millis in 0..5000 {
        let now = Instant::from_millis(millis);
        let echo: Vec<u8> = core::iter::from_fn(|| opener.transmit(now)).collect();
        assert_eq!(opener.receive(&echo, &mut [], now).event, None);
        let echo: Vec<u8> = core::iter::from_fn(|| listener.transmit(now)).collect();
        assert_eq!(listener.receive(&echo, &mut [], now).event, None);
    }
    assert_eq!((opener.session(), listener.is_open()), (None, false));
}

#[test]
fn a_computer_that_looks_again_when_it_said_it_would_misses_nothing() {
    let (mut opener, mut listener) = (Opener::<ROOM>::new(PACE, 1), Listener::<ROOM>::new(PACE, 1, 7));
    let (mut now, mut said) = (Instant::START, 0);
    while now < Instant::from_millis(60_000) {
        while let Some(byte) = opener.transmit(now) {
            said += 1;
            assert_ne!(listener.receive(&[byte], &mut [], now).event, Some(Event::Lost));
        }
        while let Some(byte) = listener.transmit(now) {
            assert_ne!(opener.receive(&[byte], &mut [], now).event, Some(Event::Lost));
        }
        let next = opener.deadline().unwrap_or(Instant::NEVER);
        assert!(next > now, "{next:?} at {now:?}");
        now = next;
    }
    // A probe a second.
    assert!((60 * 15..61 * 20).contains(&said), "{said}");
}

#[test]
fn a_copy_of_an_open_that_comes_late_mixes_no_two_boots() {
    let now = Instant::START;
    let mut opener = Opener::<ROOM>::new(PACE, 1);
    let open: Vec<u8> = core::iter::from_fn(|| opener.transmit(now)).collect();
    // A chip takes the session, and begins its stream.
    let speaks = |boot: u32, stream: &[u8]| {
        let mut chip = Listener::<ROOM>::new(PACE, boot, 7);
        assert_eq!(chip.receive(&open, &mut [], now).event, Some(Event::Opened { domain: 7 }));
        let opened: Vec<u8> = core::iter::from_fn(|| chip.transmit(now)).collect();
        chip.room()[..stream.len()].copy_from_slice(stream);
        chip.send(stream.len());
        (opened, core::iter::from_fn(|| chip.transmit(now)).collect::<Vec<u8>>())
    };
    let mut room = [0; 99];
    let (opened, data) = speaks(1, b"the first boot");
    assert_eq!(opener.receive(&opened, &mut room, now).event, Some(Event::Opened { domain: 7 }));
    assert_eq!(opener.receive(&data, &mut room, now).produced, 14);
    let (opened, data) = speaks(2, b"the second boot, which says more");
    let got = opener.receive(&data, &mut room, now);
    assert_eq!((got.produced, got.event), (0, None));
    assert_eq!(opener.receive(&opened, &mut room, now).event, Some(Event::Lost));
}
