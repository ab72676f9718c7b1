//! Holds what `mem` and `div` bring in the place of the compiler's own against what they have to give. Ends with 0 where
//! they do.
#![no_std]
#![no_main]

use core::{hint::black_box, ops::Range};

use cortex_m_rt::{entry, exception};
use pmbridge_firmware::{clock, end};

/// Numbers near the ends of what has a special case.
const EDGES: [u64; 12] = [
    1,
    2,
    3,
    10,
    1_000_000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];
const ROUNDS: u32 = 20_000;
const LEN: usize = 48;

#[entry]
fn main() -> ! {
    let mut seed = 1;
    let divides = EDGES.iter().chain(&[0]).all(|&n| EDGES.iter().all(|&d| is_divided(n, d)))
        && (0..ROUNDS).all(|_| {
            // Of every length.
            let n = next(&mut seed) >> (next(&mut seed) % 64);
            let d = next(&mut seed) >> (next(&mut seed) % 64);
            is_divided(n, d.max(1))
        });
    let copies = (0..ROUNDS).all(|_| {
        let (from, to) = (at(&mut seed), at(&mut seed));
        let len = at(&mut seed).min(LEN.saturating_sub(from.max(to)));
        let place = to..to.saturating_add(len);
        is_moved(from..from.saturating_add(len), to) && is_filled(&place) && is_cleared(&place)
    }) && hand_their_target_on();
    #[cfg(feature = "defmt")]
    defmt::info!("divides {}, copies {}", divides, copies);
    end::end(if divides && copies { 0 } else { 1 })
}

/// By multiplication, which the processor has. What is left is asked for apart, or it would be made of the quotient.
fn is_divided(n: u64, d: u64) -> bool {
    let quotient = black_box(n).checked_div(black_box(d));
    let is_unsigned = quotient.zip(black_box(n).checked_rem(black_box(d))).is_some_and(|(quotient, rest)| {
        quotient.checked_mul(d).and_then(|product| product.checked_add(rest)) == Some(n) && rest < d
    });
    is_unsigned && is_divided_signed(n.cast_signed(), d.cast_signed())
}

/// What is left has the sign of the dividend.
fn is_divided_signed(n: i64, d: i64) -> bool {
    let quotient = black_box(n).checked_div(black_box(d));
    let Some((quotient, rest)) = quotient.zip(black_box(n).checked_rem(black_box(d))) else {
        return (n, d) == (i64::MIN, -1);
    };
    quotient.checked_mul(d).and_then(|product| product.checked_add(rest)) == Some(n)
        && rest.unsigned_abs() < d.unsigned_abs()
        && (rest == 0 || (rest < 0) == (n < 0))
}

/// Each byte is where it belongs, and no other has changed.
fn is_moved(from: Range<usize>, to: usize) -> bool {
    let mut bytes = numbered();
    let end = to.saturating_add(from.len());
    black_box(&mut bytes).copy_within(from.clone(), to);
    numbered().iter().enumerate().all(|(i, &was)| {
        let expected = if (to..end).contains(&i) {
            numbered().get(i.wrapping_sub(to).wrapping_add(from.start)).copied()
        } else {
            Some(was)
        };
        bytes.get(i).copied() == expected
    })
}

fn is_filled(place: &Range<usize>) -> bool {
    let mut bytes = numbered();
    if let Some(part) = black_box(&mut bytes).get_mut(place.clone()) {
        part.fill(black_box(0xa5));
    }
    has_only(&bytes, place, 0xa5)
}

/// With a nought that the compiler sees, which it has another name for.
fn is_cleared(place: &Range<usize>) -> bool {
    let mut bytes = numbered();
    if let Some(part) = black_box(&mut bytes).get_mut(place.clone()) {
        part.fill(0);
    }
    has_only(&bytes, place, 0)
}

fn has_only(bytes: &[u8], place: &Range<usize>, filling: u8) -> bool {
    let as_was = |i: usize| i.to_le_bytes()[0];
    bytes.iter().enumerate().all(|(i, &byte)| byte == if place.contains(&i) { filling } else { as_was(i) })
}

/// What C's names give back, and that a filling is a byte of the word that it comes in.
#[expect(unsafe_code, reason = "they are called by their names, as the compiler calls them")]
fn hand_their_target_on() -> bool {
    unsafe extern "C" {
        fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
        fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8;
    }
    // The compiler knows what functions of these names do, if it sees them called.
    let copy = black_box(memmove as unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8);
    let fill = black_box(memset as unsafe extern "C" fn(*mut u8, i32, usize) -> *mut u8);
    let mut bytes = numbered();
    let first = bytes.as_mut_ptr();
    let second = first.wrapping_add(1);
    // SAFETY: all of it is within `bytes`.
    let back =
        unsafe { [copy(first, second, LEN - 1), copy(second, first, LEN - 1), fill(first, 0x15a, LEN)] };
    back == [first, second, first] && has_only(&bytes, &(0..LEN), 0x5a)
}

fn numbered() -> [u8; LEN] {
    core::array::from_fn(|i| i.to_le_bytes()[0])
}

fn at(seed: &mut u64) -> usize {
    usize::try_from(next(seed) % 49).unwrap_or(0)
}

/// SplitMix64.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[exception]
fn SysTick() {
    clock::tick();
}
