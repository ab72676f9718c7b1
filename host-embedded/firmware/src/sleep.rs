//! Sleeping until something comes or time is over.

use cortex_m::{asm, interrupt, peripheral::NVIC};

use crate::{
    bare,
    board::{Board, LINES, LONGEST_SLEEP},
};

/// Sleeps for so many microseconds at most, or until a frame or a byte comes.
///
/// Interrupts are off from the look for one to the sleep, so none that comes between is overslept: one that is
/// pending ends the sleep all the same. None of the board's is ever taken.
pub fn sleep(board: &mut Board, micros: u64) {
    let micros = u32::try_from(micros).map_or(LONGEST_SLEEP, |micros| micros.min(LONGEST_SLEEP));
    if micros == 0 {
        return;
    }
    interrupt::free(|_| {
        board.arm(micros);
        for line in LINES {
            NVIC::unpend(line);
            bare::unmask(line);
        }
        if !board.has_frame() && !board.serial().has_byte() {
            asm::wfi();
        }
        board.disarm();
        LINES.into_iter().for_each(NVIC::mask);
    });
}
