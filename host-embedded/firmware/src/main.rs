//! pmbridge on a Cortex-M3: an appliance that answers PCP and Prometheus, and scrapes its neighbours.
#![no_std]
#![no_main]

mod device;
#[cfg(feature = "qemu")]
mod told;

use cortex_m_rt::{entry, exception};
#[cfg(feature = "serial")]
use pmbridge_embedded::uart;
use pmbridge_embedded::{
    Agent, Next, Settings, memory,
    time::{Instant, Timestamp},
};
#[cfg(feature = "serial")]
use pmbridge_firmware::serial::Serial;
use pmbridge_firmware::{
    board::Board,
    clock, end,
    port::{LONGEST, Port},
    sleep, stack_peak, stack_size,
};

/// A line of the log, where there is one.
macro_rules! log {
    ($level:ident, $($arg:tt)*) => {{
        #[cfg(feature = "defmt")]
        defmt::$level!($($arg)*);
    }};
}

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    static mut RECEIVED: [u8; LONGEST] = [0; LONGEST];
    static mut TO_SEND: [u8; memory::FRAME] = [0; memory::FRAME];
    #[cfg(feature = "serial")]
    static mut LINE: heapless::Vec<(Line, Serial), 1> = heapless::Vec::new();
    #[cfg(feature = "qemu")]
    static mut ROOM: Option<told::Room> = None;

    let Some(peripherals) = cortex_m::Peripherals::take() else { end::fault() };
    let board = Board::start();
    clock::start(peripherals.SYST);
    #[cfg(feature = "qemu")]
    let mut last = "";
    #[cfg(feature = "qemu")]
    let Some(told) = told::Room::listen(ROOM, &mut last) else {
        log!(error, "this means nothing here: {=str}", last);
        end::end(USAGE)
    };
    #[cfg(feature = "qemu")]
    let boot = Boot::at(told.wall.map_or_else(told::wall, |secs| (secs.into(), clock::micros())), &board);
    #[cfg(not(feature = "qemu"))]
    let boot = Boot::at((0, 0), &board);
    let settings = Settings {
        labels: concat!("hostname=\"pmbridge\",firmware=\"", env!("CARGO_PKG_VERSION"), "\""),
        mac: board.mac(),
        #[cfg(feature = "qemu")]
        address: told.address,
        #[cfg(feature = "qemu")]
        neighbours: told.neighbours,
        #[cfg(not(feature = "qemu"))]
        address: pmbridge_embedded::Address::Dhcp,
        #[cfg(not(feature = "qemu"))]
        neighbours: &[],
        seed: boot.seed,
    };
    #[cfg(feature = "qemu")]
    let run = told.run;
    #[cfg(not(feature = "qemu"))]
    let run = None;
    device::VERSION.set(env!("CARGO_PKG_VERSION"));
    device::STACK.set(1, count(stack_size()));
    #[cfg(feature = "serial")]
    let Some(line) = open(LINE, &boot, Serial::of(&board)) else { end::fault() };
    let mut port = Port::new(board, RECEIVED, TO_SEND);
    let agent = start(MEMORY, &mut port, &settings);
    log!(info, "up: {=str}", pmbridge_firmware::board::NAME);
    serve(
        agent,
        &mut port,
        #[cfg(feature = "serial")]
        line,
        (&boot, run),
    )
}

/// An agent in its memory. What it takes of the stack to make one is free again behind this.
#[inline(never)]
fn start(memory: &'static mut Memory, port: &mut Port, settings: &Settings) -> Agent<'static> {
    match Agent::new(memory, port, device::TABLE, settings, at(clock::micros())) {
        Ok(agent) => agent,
        Err(_error) => {
            log!(error, "no agent: {}", _error);
            end::end(USAGE)
        }
    }
}

/// The serial line in its place, which is zeroed before: what it takes of the stack to make it is free again behind this.
#[cfg(feature = "serial")]
#[inline(never)]
fn open(
    place: &'static mut heapless::Vec<(Line, Serial), 1>,
    boot: &Boot,
    port: Serial,
) -> Option<&'static mut (Line, Serial)> {
    let settings = uart::Settings { baud: 115_200, boot: boot.number() };
    place.push((Line::new(&settings), port)).ok()?;
    place.first_mut()
}

/// The main loop: whatever is to be done, then sleep.
#[inline(never)]
fn serve(
    mut agent: Agent<'_>,
    port: &mut Port,
    #[cfg(feature = "serial")] (uart, line): &mut (Line, Serial),
    (boot, run): (&Boot, Option<u32>),
) -> ! {
    let mut own = Own::default();
    loop {
        let begin = clock::micros();
        own.tell(begin, port);
        let (now, wall) = (at(begin), boot.wall(begin));
        let next = agent.poll(port, now, wall);
        #[cfg(feature = "serial")]
        let next = {
            let mut beside = Next::Idle;
            agent.beside(now, wall, |cx| {
                let polled = uart.poll(cx, line);
                beside = polled.next;
                polled.is_busy
            });
            first(next, beside)
        };
        let done = clock::micros();
        own.stalled(done.saturating_sub(begin));
        own.look(done);
        if run.is_some_and(|millis| done / 1000 >= u64::from(millis)) {
            log!(info, "over");
            end::end(0)
        }
        let until = match next {
            Next::Now => continue,
            Next::At(at) => at.millis().saturating_mul(1000),
            Next::Idle => u64::MAX,
        };
        sleep::sleep(port.board(), until.saturating_sub(done));
        own.slept(clock::micros().saturating_sub(done));
    }
}

/// The earlier one.
#[cfg(feature = "serial")]
fn first(one: Next, other: Next) -> Next {
    match (one, other) {
        (Next::Now, _) | (_, Next::Now) => Next::Now,
        (Next::Idle, next) | (next, Next::Idle) => next,
        (Next::At(one), Next::At(other)) => Next::At(one.min(other)),
    }
}

/// The agent at the end of a serial line: what goes out and is not acknowledged, a profile, and a request of 80 PMIDs.
#[cfg(feature = "serial")]
type Line = uart::Uart<256, 160, 336>;

/// What the loop sees of itself.
#[derive(Default)]
struct Own {
    slept: u64,
    stall: u32,
    stack: u32,
    looked: u64,
}

impl Own {
    /// Sets what may be asked for.
    fn tell(&self, now: u64, port: &Port) {
        device::UPTIME.set(0, now / 1_000_000);
        device::IDLE.set(0, self.slept);
        let counts = port.counts();
        device::FRAMES.set(0, counts.came);
        device::FRAMES.set(1, counts.went);
        device::LOST.set(0, counts.lost);
    }

    fn slept(&mut self, micros: u64) {
        self.slept = self.slept.saturating_add(micros);
    }

    fn stalled(&mut self, micros: u64) {
        self.stall = self.stall.max(u32::try_from(micros).unwrap_or(u32::MAX));
        device::STALL.set(0, self.stall);
    }

    /// Looks at what changes seldom, a few times a second.
    fn look(&mut self, now: u64) {
        if now.saturating_sub(self.looked) < LOOK {
            return;
        }
        self.looked = now;
        let peak = count(stack_peak());
        if peak > self.stack {
            self.stack = peak;
            device::STACK.set(0, peak);
            log!(info, "stack: {=u32} bytes", peak);
        }
    }
}

/// What was found out as it started.
struct Boot {
    /// A second since 1970, and the microseconds since boot at which it began; two zeros where nobody knows.
    wall: (u64, u64),
    seed: u64,
}

impl Boot {
    /// The seed is made of the time and the address: this chip has no source of random numbers.
    fn at(wall: (u64, u64), board: &Board) -> Self {
        let [a, b, c, d, e, f] = board.mac();
        let mac = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let (secs, micros) = wall;
        Self { wall, seed: (secs << 32 ^ micros ^ mac).wrapping_mul(GOLDEN) }
    }

    /// A number that is another one after each start.
    #[cfg(feature = "serial")]
    fn number(&self) -> u32 {
        let [a, b, c, d, ..] = self.seed.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The time since 1970, or since boot.
    fn wall(&self, now: u64) -> Timestamp {
        let (secs, began) = self.wall;
        let since = now.saturating_sub(began);
        let secs = i64::try_from(secs.saturating_add(since / 1_000_000)).unwrap_or(i64::MAX);
        Timestamp { secs, nanos: u32::try_from(since % 1_000_000).unwrap_or(0).saturating_mul(1000) }
    }
}

#[exception]
fn SysTick() {
    clock::tick();
    device::sense();
}

fn at(micros: u64) -> Instant {
    Instant::from_millis(micros / 1000)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Microseconds between two looks at what changes seldom.
const LOOK: u64 = 250_000;
/// Spreads the bits of a seed.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// The status where the settings are none.
const USAGE: i32 = 2;
/// Everything that the agent needs.
type Memory = memory::Standard<'static>;
