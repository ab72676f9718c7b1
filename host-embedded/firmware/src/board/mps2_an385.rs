//! MPS2 with the AN385 image: 25 MHz, a LAN9118 on the bus, CMSDK timers.

use core::mem::offset_of;

use vcell::VolatileCell;

use crate::bare::{self, Line};

/// The name that QEMU has for it.
pub const NAME: &str = "mps2-an385";
/// Cycles in a microsecond.
pub const MICROS: u32 = 25;
/// The longest sleep in microseconds. QEMU's network does not go on by itself behind its LAN9118 while the chip sleeps.
pub const LONGEST_SLEEP: u32 = 1000;
/// What ends a sleep.
pub const LINES: [Line; 4] = [Line(13), Line(8), Line(0), Line(1)];

/// The LAN9118, as the data sheet orders it.
#[repr(C)]
pub struct Ethernet {
    received: VolatileCell<u32>,
    _received_too: [VolatileCell<u32>; 7],
    to_send: VolatileCell<u32>,
    _to_send_too: [VolatileCell<u32>; 7],
    receive_status: VolatileCell<u32>,
    _receive_peek: VolatileCell<u32>,
    send_status: VolatileCell<u32>,
    _send_peek: VolatileCell<u32>,
    _id: VolatileCell<u32>,
    interrupt: VolatileCell<u32>,
    /// What happened; written, it is acknowledged.
    status: VolatileCell<u32>,
    mask: VolatileCell<u32>,
    _reserved: VolatileCell<u32>,
    byte_order: VolatileCell<u32>,
    levels: VolatileCell<u32>,
    receive: VolatileCell<u32>,
    transmit: VolatileCell<u32>,
    hardware: VolatileCell<u32>,
    _receive_control: VolatileCell<u32>,
    receive_fill: VolatileCell<u32>,
    transmit_fill: VolatileCell<u32>,
    _power: [VolatileCell<u32>; 8],
    mac_command: VolatileCell<u32>,
    mac_data: VolatileCell<u32>,
}

/// A CMSDK timer.
#[repr(C)]
pub struct Timer {
    control: VolatileCell<u32>,
    value: VolatileCell<u32>,
    reload: VolatileCell<u32>,
    clear: VolatileCell<u32>,
}

/// A serial line.
#[repr(C)]
pub struct Serial {
    data: VolatileCell<u32>,
    state: VolatileCell<u32>,
    control: VolatileCell<u32>,
    /// What happened; written, it is acknowledged.
    status: VolatileCell<u32>,
    divisor: VolatileCell<u32>,
}

impl Serial {
    /// 115200 bits a second.
    fn start(&self) {
        self.divisor.set(MICROS * 1_000_000 / 115_200);
        self.control.set(SERIAL_SEND | SERIAL_RECEIVE);
    }

    /// Whether a byte waits.
    pub fn has_byte(&self) -> bool {
        self.state.get() & RECEIVE_FULL != 0
    }

    /// Takes the byte that waits.
    pub fn take(&self) -> u8 {
        let [byte, ..] = self.data.get().to_le_bytes();
        byte
    }

    /// Whether a byte can be sent now.
    pub fn has_room(&self) -> bool {
        self.state.get() & SEND_FULL == 0
    }

    /// Sends a byte.
    pub fn put(&self, byte: u8) {
        self.data.set(byte.into());
    }

    fn arm(&self) {
        let sent = if self.has_room() { 0 } else { SERIAL_SENT };
        self.status.set(u32::MAX);
        self.control.set(SERIAL_SEND | SERIAL_RECEIVE | SERIAL_RECEIVED | sent);
    }

    fn disarm(&self) {
        self.control.set(SERIAL_SEND | SERIAL_RECEIVE);
        self.status.set(u32::MAX);
    }
}

/// The board as it runs.
pub struct Board {
    ethernet: &'static Ethernet,
    timer: &'static Timer,
    serial: &'static Serial,
}

impl Board {
    /// Brings the controller up.
    pub fn start() -> Self {
        let this = Self { ethernet: bare::ethernet(), timer: bare::timer(), serial: bare::serial() };
        this.serial.start();
        this.timer.control.set(0);
        let ethernet = this.ethernet;
        // It answers with this word once it is out of reset.
        for _ in 0..UP_WITHIN {
            if ethernet.byte_order.get() == ORDERED {
                break;
            }
        }
        ethernet.mask.set(0);
        ethernet.interrupt.set(INTERRUPT_ENABLE | ACTIVE_HIGH | PUSH_PULL);
        ethernet.hardware.set(FIFO_OF_5K);
        ethernet.levels.set(0);
        ethernet.receive.set(0);
        ethernet.transmit.set(TRANSMIT_ON);
        this.set_mac_register(MAC_CONTROL, FULL_DUPLEX | MAC_TRANSMIT | MAC_RECEIVE);
        this
    }

    /// The serial line.
    pub const fn serial(&self) -> &'static Serial {
        self.serial
    }

    fn wait_for_mac(&self) {
        for _ in 0..UP_WITHIN {
            if self.ethernet.mac_command.get() & BUSY == 0 {
                break;
            }
        }
    }

    fn mac_register(&self, register: u32) -> u32 {
        self.ethernet.mac_command.set(BUSY | READ | register);
        self.wait_for_mac();
        self.ethernet.mac_data.get()
    }

    fn set_mac_register(&self, register: u32, value: u32) {
        self.ethernet.mac_data.set(value);
        self.ethernet.mac_command.set(BUSY | register);
        self.wait_for_mac();
    }

    /// The address that the controller filters by.
    pub fn mac(&self) -> [u8; 6] {
        let (low, high) = (self.mac_register(MAC_LOW), self.mac_register(MAC_HIGH));
        let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
        [a, b, c, d, e, f]
    }

    /// Whether a frame waits.
    pub fn has_frame(&self) -> bool {
        self.ethernet.receive_fill.get() & STATUS_WORDS != 0
    }

    /// Takes the frame that came first: its length, or 0 where it is damaged or does not fit and is lost.
    pub fn receive(&mut self, frame: &mut [u8]) -> usize {
        let status = self.ethernet.receive_status.get();
        let [.., low, high] = (status & LENGTH).to_le_bytes();
        let whole = usize::from(u16::from_le_bytes([low, high]));
        let length = whole.saturating_sub(CRC);
        let fits = status & DAMAGED == 0 && length <= frame.len();
        let mut to = frame.iter_mut().take(length);
        for _ in 0..whole.div_ceil(4) {
            for byte in self.ethernet.received.get().to_le_bytes() {
                if let Some(to) = to.next() {
                    *to = byte;
                }
            }
        }
        if fits { length } else { 0 }
    }

    /// Whether a frame can be sent now.
    pub fn may_send(&self) -> bool {
        self.ethernet.transmit_fill.get() & ROOM >= LONGEST_FRAME
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        // What became of frames before is not asked, but has to be taken.
        while self.ethernet.transmit_fill.get() & STATUS_WORDS != 0 {
            let _ = self.ethernet.send_status.get();
        }
        let length = u32::try_from(frame.len()).unwrap_or(0);
        self.ethernet.to_send.set(FIRST_PART | LAST_PART | length);
        self.ethernet.to_send.set(length);
        let mut from = frame.iter().copied();
        let mut next = || from.next().unwrap_or(0);
        for _ in 0..frame.len().div_ceil(4) {
            self.ethernet.to_send.set(u32::from_le_bytes([next(), next(), next(), next()]));
        }
    }

    /// Before a sleep: forgets what happened, so that only what happens from now on ends it, or that time is over.
    pub fn arm(&mut self, micros: u32) {
        self.ethernet.status.set(u32::MAX);
        self.ethernet.mask.set(RECEIVED);
        self.timer.clear.set(1);
        self.timer.reload.set(micros.saturating_mul(MICROS));
        self.timer.value.set(micros.saturating_mul(MICROS));
        self.timer.control.set(TIMER_ENABLE | TIMER_INTERRUPT);
        self.serial.arm();
    }

    /// After a sleep: no interrupt is pending any more.
    pub fn disarm(&mut self) {
        self.ethernet.mask.set(0);
        self.serial.disarm();
        self.timer.control.set(0);
        self.timer.clear.set(1);
    }
}

const ORDERED: u32 = 0x8765_4321;
/// Looks at what is up within microseconds.
const UP_WITHIN: u32 = 10_000;
const INTERRUPT_ENABLE: u32 = 1 << 8;
const ACTIVE_HIGH: u32 = 1 << 4;
const PUSH_PULL: u32 = 1;
/// Of 16 KiB for both FIFOs, those to send have 5.
const FIFO_OF_5K: u32 = 5 << 16;
const TRANSMIT_ON: u32 = 1 << 1;
const RECEIVED: u32 = 1 << 3;
const STATUS_WORDS: u32 = 0xff << 16;
const LENGTH: u32 = 0x3fff << 16;
const DAMAGED: u32 = 1 << 15;
const ROOM: u32 = 0xffff;
/// Bytes that the longest frame takes in the FIFO, with the two words before it.
const LONGEST_FRAME: u32 = 1536;
const FIRST_PART: u32 = 1 << 13;
const LAST_PART: u32 = 1 << 12;

const BUSY: u32 = 1 << 31;
const READ: u32 = 1 << 30;
const MAC_CONTROL: u32 = 1;
const MAC_HIGH: u32 = 2;
const MAC_LOW: u32 = 3;
const FULL_DUPLEX: u32 = 1 << 20;
const MAC_TRANSMIT: u32 = 1 << 3;
const MAC_RECEIVE: u32 = 1 << 2;

const SERIAL_SEND: u32 = 1;
const SERIAL_RECEIVE: u32 = 1 << 1;
const SERIAL_SENT: u32 = 1 << 2;
const SERIAL_RECEIVED: u32 = 1 << 3;
const SEND_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 1 << 1;

const TIMER_ENABLE: u32 = 1;
const TIMER_INTERRUPT: u32 = 1 << 3;

// As the data sheet has them.
const _: () = assert!(offset_of!(Ethernet, mac_data) == 0xa8 && offset_of!(Timer, clear) == 0xc);

/// Bytes of the CRC behind a frame.
const CRC: usize = 4;
