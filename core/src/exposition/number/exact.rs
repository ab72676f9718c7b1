//! A decimal number and the midst of two doubles, compared digit by digit, in integers that never overflow.

use core::cmp::Ordering;

use super::digit;
use crate::float::soft::fields;

/// Compares `text * 10^scale` with the midst of the double of these bits and the next larger one.
///
/// Both have to be close: the number lies between the two doubles, or just about.
#[cold]
pub(super) fn compare_with_midst(text: &[u8], scale: isize, bits: u64) -> Ordering {
    let (number, left_out, has_more) = Integer::read(text);
    // A midst has less digits than are read: what was left out makes a difference only where all else is equal.
    let more = if has_more { Ordering::Greater } else { Ordering::Equal };
    compare(number, scale.saturating_add(left_out), midst(bits)).then(more)
}

/// Compares `number * 10^scale` with `mantissa * 2^power`.
#[cold]
pub(super) fn compare(mut number: Integer, scale: isize, (mantissa, power): (u64, i32)) -> Ordering {
    let mut midst = Integer::new(mantissa);
    // number * 10^scale : midst * 2^power. Five goes to one side, two to the other, whichever is positive.
    if scale >= 0 { &mut number } else { &mut midst }.times_power(5, scale.unsigned_abs());
    let power = isize::try_from(power).unwrap_or_default().saturating_sub(scale);
    if power >= 0 { &mut midst } else { &mut number }.times_power(2, power.unsigned_abs());
    number.cmp(&midst)
}

/// The midst as a mantissa and a power of two.
pub(super) fn midst(bits: u64) -> (u64, i32) {
    let (mantissa, power) = fields(bits);
    (mantissa << 1 | 1, power.wrapping_sub(1))
}

/// An integer of up to 2,816 bits, the highest first. 768 digits have 2,552, and so has what they are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Integer([u32; 88]);

impl Integer {
    const ZERO: Self = Self([0; 88]);

    pub(super) fn new(value: u64) -> Self {
        let mut this = Self::ZERO;
        let mut rest = value;
        for limb in this.0.iter_mut().rev() {
            *limb = u32::try_from(rest & u64::from(u32::MAX)).unwrap_or_default();
            rest >>= 32;
        }
        this
    }

    /// Digits with or without a point, how many of them were left out, and whether those were not all zero.
    fn read(text: &[u8]) -> (Self, isize, bool) {
        let mut this = Self::ZERO;
        let (mut sum, mut weight) = (0_u32, 1_u32);
        let (mut count, mut left_out, mut has_more) = (0_u32, 0_isize, false);
        for value in text.iter().filter_map(|&byte| digit(byte)) {
            if count >= MAX_DIGITS {
                left_out = left_out.saturating_add(1);
                has_more |= value != 0;
                continue;
            }
            if count > 0 || value > 0 {
                count = count.wrapping_add(1);
            }
            sum = sum.wrapping_mul(10).wrapping_add(value.into());
            weight = weight.wrapping_mul(10);
            if weight == LARGEST_POWER_OF_TEN {
                this.times_and(weight, sum);
                (sum, weight) = (0, 1);
            }
        }
        this.times_and(weight, sum);
        (this, left_out, has_more)
    }

    /// Multiplies and adds.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn times_and(&mut self, factor: u32, mut carry: u32) {
        for limb in self.0.iter_mut().rev() {
            (*limb, carry) = limb.carrying_mul(factor, carry);
        }
    }

    /// Multiplies with a power of two or five, as much of it at once as a limb holds.
    fn times_power(&mut self, base: u32, mut power: usize) {
        while power > 0 {
            let part = power.min(13);
            self.times_and((0..part).fold(1, |product: u32, _| product.wrapping_mul(base)), 0);
            power = power.wrapping_sub(part);
        }
    }
}

/// The midst of two doubles has up to 767 digits.
const MAX_DIGITS: u32 = 768;
const LARGEST_POWER_OF_TEN: u32 = 1_000_000_000;

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "digits, one by one")]
pub(super) mod tests {
    extern crate std;
    use std::{format, string::String, vec, vec::Vec};

    /// All digits of the midst of a double and the next one, as `digits` with an exponent.
    pub(in super::super) fn midst(bits: u64) -> String {
        let (mantissa, power) = super::midst(bits);
        let mut digits: Vec<u8> = format!("{mantissa}").bytes().rev().map(|b| b - b'0').collect();
        let factor = if power < 0 { 5 } else { 2 };
        for _ in 0..power.unsigned_abs() {
            let mut carry = 0;
            for digit in &mut digits {
                let sum = *digit * factor + carry;
                (*digit, carry) = (sum % 10, sum / 10);
            }
            if carry > 0 {
                digits.push(carry);
            }
        }
        let text: String = digits.iter().rev().map(|&digit| char::from(b'0' + digit)).collect();
        // With a point, so that digits can be appended.
        match power {
            0.. => format!("{text}."),
            _ => {
                let places = usize::try_from(-power).unwrap();
                let padded = format!("{text:0>width$}", width = places + 1);
                let (whole, fraction) = padded.split_at(padded.len() - places);
                format!("{whole}.{fraction}")
            }
        }
    }

    /// A number that is less by one in the last of its digits, or in a digit behind it.
    pub(in super::super) fn a_little_less(text: &str) -> String {
        let mut bytes = vec![];
        let mut is_done = false;
        for &byte in text.as_bytes().iter().rev() {
            bytes.push(match byte {
                b'.' => b'.',
                _ if is_done => byte,
                b'0' => b'9',
                _ => {
                    is_done = true;
                    byte - 1
                }
            });
        }
        bytes.reverse();
        String::from_utf8(bytes).unwrap()
    }
}
