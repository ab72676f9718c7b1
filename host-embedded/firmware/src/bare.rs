//! All that the compiler cannot check: registers at their addresses, the painted stack, interrupts let through, faults.
#![expect(unsafe_code, reason = "addresses of this chip are facts that the compiler cannot know")]

use core::ptr::{addr_of, read_volatile};

use cortex_m::{interrupt::InterruptNumber, peripheral::NVIC};
use cortex_m_rt::{ExceptionFrame, exception};

use crate::board;

/// An interrupt of the board, by its number.
#[derive(Debug, Clone, Copy)]
pub struct Line(pub(crate) u16);

// SAFETY: NVIC has 240 lines, and the numbers are constants of the boards' modules.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        self.0
    }
}

/// Registers that lie at a fixed address of this board.
macro_rules! blocks {
    ($($name:ident: $block:path, $address:literal;)*) => {$(
        #[doc = concat!("The ", stringify!($name), "'s.")]
        pub(crate) fn $name() -> &'static $block {
            // SAFETY: the manual has such a block at this address, aligned, for as long as the chip has power; the type
            // has nothing but volatile cells in it, for which every bit pattern is a value.
            unsafe { &*($address as *const $block) }
        }
    )*};
}

#[cfg(feature = "lm3s6965evb")]
blocks! {
    ethernet: board::Ethernet, 0x4004_8000;
    timer: board::Timer, 0x4003_0000;
    system: board::System, 0x400f_e000;
    serial: board::Serial, 0x4000_c000;
    pins: board::Pins, 0x4000_4000;
}

#[cfg(feature = "mps2-an385")]
blocks! {
    ethernet: board::Ethernet, 0x4020_0000;
    timer: board::Timer, 0x4000_0000;
    serial: board::Serial, 0x4000_4000;
}

/// Lets an interrupt end a sleep. It is never taken: whoever sleeps has all of them off, and masks it again.
pub(crate) fn unmask(line: Line) {
    // SAFETY: there is no critical section that a mask keeps up, only those that turn all interrupts off.
    unsafe { NVIC::unmask(line) }
}

unsafe extern "C" {
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Where the stack begins, and where it has to end: it grows down.
fn stack() -> (*const u32, *const u32) {
    (addr_of!(_stack_start), addr_of!(_stack_end))
}

/// Bytes of the stack.
pub fn stack_size() -> usize {
    let (top, bottom) = stack();
    (top as usize).saturating_sub(bottom as usize)
}

/// The most bytes of it that were ever used, up to now.
pub fn stack_peak() -> usize {
    let (top, bottom) = stack();
    let mut unused = bottom;
    // SAFETY: the linker script has all words between both in RAM. The start-up code has written each of them, and what
    // is read here lies below the frames that are alive, where nobody holds a reference.
    while unused < top && unsafe { read_volatile(unused) } == PAINT {
        unused = unused.wrapping_add(1);
    }
    (top as usize).saturating_sub(unused as usize)
}

/// The board's interrupts: none of them is ever taken, so that one that is not there stands for all.
// SAFETY: the linker script has the section at its place, and of this name there is no other.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub(crate) static __INTERRUPTS: [u32; 1] = [0];

/// Nothing of ours can go on after a fault.
// SAFETY: it looks at nothing and never returns.
#[exception]
unsafe fn HardFault(_frame: &ExceptionFrame) -> ! {
    crate::end::fault()
}

/// What cortex-m-rt paints the stack with.
const PAINT: u32 = cortex_m_rt::STACK_PAINT_VALUE;
