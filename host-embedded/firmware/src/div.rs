//! Division of 64 bits, as the compiler calls for it, in 112 bytes. What Rust brings is faster and 1 KB.
//!
//! In assembly, because its two results come back in four registers, which no signature of Rust's says.
#![expect(unsafe_code, reason = "the compiler knows these by their names, and a name is taken on trust")]

use core::arch::global_asm;

// SAFETY: names, arguments (r0:r1 by r2:r3), results (quotient in r0:r1, remainder in r2:r3) and what is kept (r4 and up)
// are those of the ABI of ARM's run-time. Whoever divides by nought was stopped by Rust before he came here; each loop
// ends whatever it is given.
global_asm!(
    ".section .text.__aeabi_uldivmod,\"ax\",%progbits",
    ".global __aeabi_uldivmod",
    ".type __aeabi_uldivmod,%function",
    ".thumb_func",
    "__aeabi_uldivmod:",
    "    orrs ip, r1, r3",
    "    bne 1f",
    // Both have 32 bits: the processor can.
    "    udiv ip, r0, r2",
    "    mls r2, ip, r2, r0",
    "    mov r0, ip",
    "    bx lr",
    // Bit by bit, as on paper: r4:r5 is what is left, the quotient moves into r0:r1 from the right as the dividend leaves.
    "1:  push {{r4, r5, r6, lr}}",
    "    movs r4, #0",
    "    movs r5, #0",
    "    movs r6, #64",
    "2:  adds r0, r0, r0",
    "    adcs r1, r1, r1",
    "    adcs r4, r4, r4",
    "    adcs r5, r5, r5",
    "    subs ip, r4, r2",
    "    sbcs ip, r5, r3",
    "    blo 3f",
    "    subs r4, r4, r2",
    "    sbcs r5, r5, r3",
    "    adds r0, #1",
    "3:  subs r6, #1",
    "    bne 2b",
    "    mov r2, r4",
    "    mov r3, r5",
    "    pop {{r4, r5, r6, pc}}",
    ".size __aeabi_uldivmod, . - __aeabi_uldivmod",
);

// SAFETY: as above. The remainder has the dividend's sign.
global_asm!(
    ".section .text.__aeabi_ldivmod,\"ax\",%progbits",
    ".global __aeabi_ldivmod",
    ".type __aeabi_ldivmod,%function",
    ".thumb_func",
    "__aeabi_ldivmod:",
    "    push {{r4, r5, r6, lr}}",
    "    eor r4, r1, r3",
    "    movs r5, r1",
    "    bpl 1f",
    "    negs r0, r0",
    "    sbc r1, r1, r1, lsl #1",
    "1:  cmp r3, #0",
    "    bpl 2f",
    "    negs r2, r2",
    "    sbc r3, r3, r3, lsl #1",
    "2:  bl __aeabi_uldivmod",
    "    cmp r4, #0",
    "    bpl 3f",
    "    negs r0, r0",
    "    sbc r1, r1, r1, lsl #1",
    "3:  cmp r5, #0",
    "    bpl 4f",
    "    negs r2, r2",
    "    sbc r3, r3, r3, lsl #1",
    "4:  pop {{r4, r5, r6, pc}}",
    ".size __aeabi_ldivmod, . - __aeabi_ldivmod",
);
