//! Stellaris LM3S6965: 50 MHz, an Ethernet controller with two FIFOs, general-purpose timers.

use core::mem::offset_of;

use vcell::VolatileCell;

use crate::bare::{self, Line};

/// The name that QEMU has for it.
pub const NAME: &str = "lm3s6965evb";
/// Cycles in a microsecond.
pub const MICROS: u32 = 50;
/// The longest sleep in microseconds: the clock must not wrap twice in one.
pub const LONGEST_SLEEP: u32 = 250_000;
/// What ends a sleep.
pub const LINES: [Line; 3] = [Line(42), Line(19), Line(5)];

/// Ethernet, as the data sheet orders it.
#[repr(C)]
pub struct Ethernet {
    /// What happened; written, it is acknowledged.
    status: VolatileCell<u32>,
    /// What of it interrupts.
    mask: VolatileCell<u32>,
    receive: VolatileCell<u32>,
    transmit: VolatileCell<u32>,
    /// Both FIFOs.
    data: VolatileCell<u32>,
    address: [VolatileCell<u32>; 2],
    /// From how many words on a frame is sent before it is whole; all ones: never.
    threshold: VolatileCell<u32>,
    management: [VolatileCell<u32>; 5],
    /// Frames that wait.
    packets: VolatileCell<u32>,
    /// Whether a frame is being sent.
    sending: VolatileCell<u32>,
}

/// A timer, as far as it is used.
#[repr(C)]
pub struct Timer {
    config: VolatileCell<u32>,
    mode: VolatileCell<u32>,
    _mode_b: VolatileCell<u32>,
    control: VolatileCell<u32>,
    _reserved: [VolatileCell<u32>; 2],
    mask: VolatileCell<u32>,
    _status: [VolatileCell<u32>; 2],
    clear: VolatileCell<u32>,
    load: VolatileCell<u32>,
}

/// A serial line, as far as it is used.
#[repr(C)]
pub struct Serial {
    data: VolatileCell<u32>,
    _errors: [VolatileCell<u32>; 5],
    flags: VolatileCell<u32>,
    _reserved: [VolatileCell<u32>; 2],
    divisor: VolatileCell<u32>,
    /// In sixty-fourths.
    fraction: VolatileCell<u32>,
    format: VolatileCell<u32>,
    control: VolatileCell<u32>,
    _levels: VolatileCell<u32>,
    mask: VolatileCell<u32>,
}

/// Pins, as far as they are used.
#[repr(C)]
pub struct Pins {
    _before: [VolatileCell<u32>; 264],
    function: VolatileCell<u32>,
    _between: [VolatileCell<u32>; 62],
    digital: VolatileCell<u32>,
}

impl Serial {
    /// 115200 bits a second, of 50 MHz / 16.
    fn start(&self, pins: &Pins) {
        pins.function.set(pins.function.get() | SERIAL_PINS);
        pins.digital.set(pins.digital.get() | SERIAL_PINS);
        self.control.set(0);
        self.divisor.set(27);
        self.fraction.set(8);
        self.format.set(EIGHT_BITS | FIFOS);
        self.control.set(ENABLE | SERIAL_SEND | SERIAL_RECEIVE);
    }

    /// Whether a byte waits.
    pub fn has_byte(&self) -> bool {
        self.flags.get() & RECEIVE_EMPTY == 0
    }

    /// Takes the byte that came first.
    pub fn take(&self) -> u8 {
        let [byte, ..] = self.data.get().to_le_bytes();
        byte
    }

    /// Whether a byte can be sent now.
    pub fn has_room(&self) -> bool {
        self.flags.get() & SEND_FULL == 0
    }

    /// Sends a byte.
    pub fn put(&self, byte: u8) {
        self.data.set(byte.into());
    }

    fn arm(&self) {
        let sent = if self.has_room() { 0 } else { SERIAL_SENT };
        self.mask.set(SERIAL_RECEIVED | SERIAL_PAUSED | sent);
    }
}

/// System control, as far as it is used.
#[repr(C)]
pub struct System {
    _before: [VolatileCell<u32>; 20],
    status: VolatileCell<u32>,
    _between: [VolatileCell<u32>; 3],
    clock: VolatileCell<u32>,
    _gap: [VolatileCell<u32>; 39],
    gates: [VolatileCell<u32>; 3],
}

/// The board as it runs.
pub struct Board {
    ethernet: &'static Ethernet,
    timer: &'static Timer,
    serial: &'static Serial,
}

impl Board {
    /// Clocks, then the parts that they drive.
    pub fn start() -> Self {
        let system = bare::system();
        // 50 MHz from the PLL and the crystal of 8 MHz. The PLL is waited for, though not for ever.
        let clock = system.clock.get() | BYPASS;
        system.clock.set(clock & !USE_DIVISOR);
        let clock = clock & !(CRYSTAL_MASK | POWER_DOWN | SOURCE_MASK | DIVISOR_MASK) | CRYSTAL_8MHZ;
        system.clock.set(clock & !USE_DIVISOR);
        for _ in 0..LOCKED_WITHIN {
            if system.status.get() & PLL_LOCKED != 0 {
                break;
            }
        }
        let clock = clock | DIVIDE_BY_4 | USE_DIVISOR;
        system.clock.set(clock);
        system.clock.set(clock & !BYPASS);
        let [_, timers, ports] = &system.gates;
        timers.set(timers.get() | GATE_TIMER | GATE_SERIAL);
        ports.set(ports.get() | GATE_ETHERNET | GATE_PINS);
        // A part takes a few cycles to come up behind its gate.
        let _ = (timers.get(), ports.get());

        let ethernet = bare::ethernet();
        ethernet.mask.set(0);
        ethernet.receive.set(RESET_FIFO);
        ethernet.status.set(ALL);
        ethernet.threshold.set(NEVER_EARLY);
        ethernet.receive.set(REJECT_BAD_CRC | ENABLE);
        ethernet.transmit.set(ENABLE | PAD | ADD_CRC | DUPLEX);
        let timer = bare::timer();
        timer.control.set(0);
        timer.config.set(ONE_OF_32_BITS);
        timer.mode.set(ONE_SHOT);
        timer.mask.set(TIME_OUT);
        let serial = bare::serial();
        serial.start(bare::pins());
        Self { ethernet, timer, serial }
    }

    /// The serial line.
    pub const fn serial(&self) -> &'static Serial {
        self.serial
    }

    /// The address that the controller filters by.
    pub fn mac(&self) -> [u8; 6] {
        let [low, high] = &self.ethernet.address;
        let ([a, b, c, d], [e, f, ..]) = (low.get().to_le_bytes(), high.get().to_le_bytes());
        [a, b, c, d, e, f]
    }

    /// Whether a frame waits.
    pub fn has_frame(&self) -> bool {
        self.ethernet.packets.get() & PACKETS != 0
    }

    /// Takes the frame that came first: its length, or 0 where it does not fit and is lost.
    pub fn receive(&mut self, frame: &mut [u8]) -> usize {
        let fifo = &self.ethernet.data;
        let [low, high, first, second] = fifo.get().to_le_bytes();
        // The length counts itself, and the CRC behind the frame.
        let whole = usize::from(u16::from_le_bytes([low, high]));
        let length = whole.saturating_sub(2 + CRC);
        let fits = length <= frame.len();
        let mut to = frame.iter_mut().take(length);
        for byte in [first, second] {
            if let Some(to) = to.next() {
                *to = byte;
            }
        }
        for _ in 1..whole.div_ceil(4) {
            for byte in fifo.get().to_le_bytes() {
                if let Some(to) = to.next() {
                    *to = byte;
                }
            }
        }
        if fits { length } else { 0 }
    }

    /// Whether a frame can be sent now.
    pub fn may_send(&self) -> bool {
        self.ethernet.sending.get() & NEW == 0
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        let fifo = &self.ethernet.data;
        // The length leaves out the header, which is sent all the same.
        let payload = u16::try_from(frame.len().saturating_sub(HEADER)).unwrap_or(0);
        let [low, high] = payload.to_le_bytes();
        let mut from = frame.iter().copied();
        let mut next = || from.next().unwrap_or(0);
        fifo.set(u32::from_le_bytes([low, high, next(), next()]));
        for _ in 1..frame.len().saturating_add(2).div_ceil(4) {
            fifo.set(u32::from_le_bytes([next(), next(), next(), next()]));
        }
        self.ethernet.sending.set(NEW);
    }

    /// Before a sleep: forgets what happened, so that only what happens from now on ends it, or that time is over.
    pub fn arm(&mut self, micros: u32) {
        self.ethernet.status.set(ALL);
        self.ethernet.mask.set(RECEIVED | OVERRUN);
        self.timer.clear.set(ALL);
        self.timer.load.set(micros.saturating_mul(MICROS));
        self.timer.control.set(ENABLE);
        self.serial.arm();
    }

    /// After a sleep: no interrupt is pending any more.
    pub fn disarm(&mut self) {
        self.ethernet.mask.set(0);
        self.serial.mask.set(0);
        self.timer.control.set(0);
        self.timer.clear.set(ALL);
    }
}

const BYPASS: u32 = 1 << 11;
const USE_DIVISOR: u32 = 1 << 22;
const CRYSTAL_MASK: u32 = 0xf << 6;
const CRYSTAL_8MHZ: u32 = 0xe << 6;
const POWER_DOWN: u32 = 1 << 13;
const SOURCE_MASK: u32 = 3 << 4;
const DIVISOR_MASK: u32 = 0xf << 23;
const DIVIDE_BY_4: u32 = 3 << 23;
const PLL_LOCKED: u32 = 1 << 6;
/// Looks at a PLL that locks within half a millisecond.
const LOCKED_WITHIN: u32 = 10_000;
const GATE_TIMER: u32 = 1 << 16;
const GATE_ETHERNET: u32 = 1 << 28 | 1 << 30;

const RECEIVED: u32 = 1;
const OVERRUN: u32 = 1 << 3;
const ALL: u32 = 0x7f;
const ENABLE: u32 = 1;
const REJECT_BAD_CRC: u32 = 1 << 3;
const RESET_FIFO: u32 = 1 << 4;
const PAD: u32 = 1 << 1;
const ADD_CRC: u32 = 1 << 2;
const DUPLEX: u32 = 1 << 4;
const NEVER_EARLY: u32 = 0x3f;
const PACKETS: u32 = 0x3f;
const NEW: u32 = 1;

const GATE_SERIAL: u32 = 1;
const GATE_PINS: u32 = 1;
const SERIAL_PINS: u32 = 3;
const EIGHT_BITS: u32 = 3 << 5;
const FIFOS: u32 = 1 << 4;
const SERIAL_SEND: u32 = 1 << 8;
const SERIAL_RECEIVE: u32 = 1 << 9;
const SEND_FULL: u32 = 1 << 5;
const RECEIVE_EMPTY: u32 = 1 << 4;
const SERIAL_RECEIVED: u32 = 1 << 4;
const SERIAL_SENT: u32 = 1 << 5;
/// Bytes came, and then none for a while.
const SERIAL_PAUSED: u32 = 1 << 6;

const ONE_OF_32_BITS: u32 = 0;
const ONE_SHOT: u32 = 1;
const TIME_OUT: u32 = 1;

// As the data sheet has them.
const _: () = assert!(offset_of!(Ethernet, sending) == 0x38 && offset_of!(Timer, load) == 0x28);
const _: () = assert!(offset_of!(Serial, divisor) == 0x24 && offset_of!(Serial, mask) == 0x38);
const _: () = assert!(offset_of!(Pins, function) == 0x420 && offset_of!(Pins, digital) == 0x51c);
const _: () = assert!(offset_of!(System, clock) == 0x60 && offset_of!(System, gates) == 0x100);

/// Bytes of the CRC behind a frame.
const CRC: usize = 4;
/// Bytes of a frame's header.
const HEADER: usize = 14;
