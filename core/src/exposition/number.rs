//! Numbers as text has them, rounded correctly: to the bit what Go's `ParseFloat` gives, with no panic to reach.
//!
//! Nearly all values take the first two paths: exact in a double's own arithmetic, or exact in 128 bits. The rest goes
//! through decimal digits, shifted bit by bit, which is slow and always right.

/// A floating-point number, or `None` where the text is none.
///
/// Decimal, `Inf`, `Infinity` and `NaN` in any case. Too large becomes an infinity, too small a zero.
pub fn parse(text: &[u8]) -> Option<f64> {
    let (negative, digits) = sign(text);
    let value = match decimal(digits) {
        Some(decimal) => decimal.value(),
        None => word(digits)?,
    };
    Some(if negative { -value } else { value })
}

/// An integer with an optional sign that is not negative, or `None`.
pub fn unsigned(text: &[u8]) -> Option<u64> {
    let (negative, digits) = sign(text);
    let value = integer(digits)?;
    (!negative || value == 0).then_some(value)
}

/// An integer with an optional sign, or `None`.
pub fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    let value = integer(digits)?;
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Whether a text is a time: a finite number, milliseconds in text and seconds in OpenMetrics.
pub fn timestamp(text: &[u8]) -> bool {
    parse(text).is_some_and(f64::is_finite)
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn integer(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &b| value.checked_mul(10)?.checked_add(digit(b)?.into()))
}

const fn digit(byte: u8) -> Option<u8> {
    match byte.wrapping_sub(b'0') {
        d @ 0..=9 => Some(d),
        _ => None,
    }
}

fn word(text: &[u8]) -> Option<f64> {
    let is = |word: &[u8]| text.eq_ignore_ascii_case(word);
    if is(b"nan") {
        Some(NAN)
    } else if is(b"inf") || is(b"infinity") {
        Some(f64::INFINITY)
    } else {
        None
    }
}

/// The quiet NaN that Prometheus stores for one that was exposed.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// A decimal number as text, taken apart: the first 19 digits as an integer, and what scales it.
struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
    mantissa: u64,
    /// Digits behind the mantissa were left out.
    cut: bool,
    scale: i64,
}

fn decimal(text: &[u8]) -> Option<Decimal<'_>> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => digits(rest),
        _ => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest.split_first() {
        None => 0,
        Some((b'e' | b'E', rest)) => exponent(rest)?,
        Some(_) => return None,
    };
    let (mut mantissa, mut scale, mut taken, mut cut) = (0u64, exponent, 0u32, false);
    for (part, step) in [(whole, 0i64), (fraction, -1i64)] {
        for byte in part {
            if taken < 19 {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte.wrapping_sub(b'0')));
                taken = taken.saturating_add(u32::from(mantissa > 0));
                scale = scale.saturating_add(step);
            } else {
                cut |= *byte != b'0';
                scale = scale.saturating_add(step).saturating_add(1);
            }
        }
    }
    Some(Decimal { whole, fraction, exponent, mantissa, cut, scale })
}

/// The digits that `text` begins with, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let len = text.iter().position(|&b| digit(b).is_none()).unwrap_or(text.len());
    text.split_at_checked(len).unwrap_or((text, &[]))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, text) = sign(text);
    let (all, rest) = digits(text);
    if all.is_empty() || !rest.is_empty() {
        return None;
    }
    // Beyond this everything is zero or infinite, however many digits precede.
    let size = all.iter().fold(0i64, |e, b| {
        e.saturating_mul(10).saturating_add(b.wrapping_sub(b'0').into()).min(1 << 40)
    });
    Some(if negative { size.wrapping_neg() } else { size })
}

impl Decimal<'_> {
    fn value(&self) -> f64 {
        if self.mantissa == 0 {
            return 0.0;
        }
        if !self.cut
            && let Some(value) = self.exact().or_else(|| self.wide())
        {
            return value;
        }
        if self.scale > 400 {
            return f64::INFINITY;
        }
        if self.scale < -400 {
            return 0.0;
        }
        slow(self.whole, self.fraction, self.exponent)
    }

    /// Where mantissa and power are both doubles, their product or quotient rounds once.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 there is none")]
    fn exact(&self) -> Option<f64> {
        if self.mantissa >> 53 != 0 {
            return None;
        }
        let power = POWERS.get(usize::try_from(self.scale.unsigned_abs()).ok()?)?;
        let mantissa = self.mantissa as f64;
        Some(if self.scale < 0 { mantissa / power } else { mantissa * power })
    }

    /// Where 128 bits hold the product, or the quotient with more bits than a double has.
    fn wide(&self) -> Option<f64> {
        let power = 10u64.checked_pow(u32::try_from(self.scale.unsigned_abs()).ok()?)?;
        let (bits, shift, rest) = if self.scale < 0 {
            let up = self.mantissa.leading_zeros();
            let dividend = u128::from(self.mantissa.wrapping_shl(up)) << 64;
            let quotient = dividend.checked_div(power.into())?;
            let rest = dividend.wrapping_sub(quotient.wrapping_mul(power.into()));
            (quotient, i32::try_from(up).ok()?.wrapping_neg().wrapping_sub(64), rest != 0)
        } else {
            (u128::from(self.mantissa).wrapping_mul(power.into()), 0, false)
        };
        round(bits, shift, rest)
    }
}

/// `bits * 2^shift`, and a little more if `rest`, to the nearest double that is normal.
#[expect(clippy::cast_possible_truncation, reason = "54 bits are left after the shift")]
fn round(bits: u128, shift: i32, rest: bool) -> Option<f64> {
    let top = 128i32.checked_sub_unsigned(bits.leading_zeros())?;
    let exponent = top.checked_add(shift)?.checked_sub(1)?;
    if !(-1022..=1023).contains(&exponent) {
        return None;
    }
    // 54 bits: those of a double, and one to round by.
    let (kept, lost) = if top > 54 {
        let down = top.wrapping_sub(54).unsigned_abs();
        let kept = bits.wrapping_shr(down);
        (kept as u64, rest || kept.wrapping_shl(down) != bits)
    } else {
        (bits.wrapping_shl(54i32.wrapping_sub(top).unsigned_abs()) as u64, rest)
    };
    let up = kept & 1 == 1 && (lost || kept & 2 == 2);
    let mantissa = (kept >> 1).wrapping_add(u64::from(up));
    let biased = u64::from(exponent.wrapping_add(1022).unsigned_abs());
    // Adding lets a carry out of the mantissa raise the exponent, up to infinity.
    Some(f64::from_bits((biased << 52).wrapping_add(mantissa)))
}

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// More decimal digits than any tie between two doubles has.
const MAX_DIGITS: usize = 800;
/// A digit shifted by this, and a carry, fit a word.
const MAX_SHIFT: u32 = 59;

/// `0.d1d2d3... * 10^point`, with its digits in memory.
struct Digits {
    digits: [u8; MAX_DIGITS],
    len: usize,
    point: i64,
    /// Digits other than zero were dropped at the end.
    cut: bool,
}

fn slow(whole: &[u8], fraction: &[u8], exponent: i64) -> f64 {
    let mut d = Digits { digits: [0; MAX_DIGITS], len: 0, point: exponent, cut: false };
    for byte in whole {
        if d.len > 0 || *byte != b'0' {
            d.push(byte.wrapping_sub(b'0'));
            d.point = d.point.saturating_add(1);
        }
    }
    for byte in fraction {
        if d.len > 0 || *byte != b'0' {
            d.push(byte.wrapping_sub(b'0'));
        } else {
            d.point = d.point.saturating_sub(1);
        }
    }
    d.trim();
    d.value()
}

impl Digits {
    fn push(&mut self, digit: u8) {
        match self.digits.get_mut(self.len) {
            Some(slot) => {
                *slot = digit;
                self.len = self.len.saturating_add(1);
            }
            None => self.cut |= digit != 0,
        }
    }

    fn trim(&mut self) {
        while let Some(last) = self.len.checked_sub(1)
            && self.digits.get(last) == Some(&0)
        {
            self.len = last;
        }
    }

    /// Shifts until the number is in [1/2, 1), then takes its 53 bits.
    fn value(mut self) -> f64 {
        if self.len == 0 || self.point < -330 {
            return 0.0;
        }
        if self.point > 310 {
            return f64::INFINITY;
        }
        let mut exponent = 0i32;
        while self.point > 0 {
            let shift = steps(self.point);
            self.right(shift);
            exponent = exponent.saturating_add_unsigned(shift);
        }
        while self.point < 0 || self.digits.first().is_some_and(|&d| d < 5) {
            let shift = if self.point == 0 { 1 } else { steps(self.point) };
            self.left(shift);
            exponent = exponent.saturating_sub_unsigned(shift);
        }
        exponent = exponent.saturating_sub(1);
        // Below the normal numbers there are fewer bits.
        while exponent < -1022 {
            let shift = exponent.saturating_add(1022).unsigned_abs().min(MAX_SHIFT);
            self.right(shift);
            exponent = exponent.saturating_add_unsigned(shift);
        }
        if exponent > 1023 {
            return f64::INFINITY;
        }
        self.left(53);
        let mantissa = self.rounded();
        let biased = u64::from(exponent.saturating_add(1022).unsigned_abs());
        // The hidden bit, where there is one, is the missing one of the exponent.
        f64::from_bits((biased << 52).wrapping_add(mantissa))
    }

    /// The integer part, rounded to even.
    fn rounded(&self) -> u64 {
        let Ok(point) = usize::try_from(self.point) else { return 0 };
        let at = |i: usize| if i < self.len { self.digits.get(i).copied().unwrap_or(0) } else { 0 };
        let whole = (0..point).fold(0u64, |n, i| n.wrapping_mul(10).wrapping_add(at(i).into()));
        let half = at(point) == 5 && point.saturating_add(1) >= self.len && !self.cut;
        let up = if half { whole & 1 == 1 } else { at(point) >= 5 };
        whole.wrapping_add(up.into())
    }

    fn right(&mut self, shift: u32) {
        let mask = (1u64.wrapping_shl(shift)).wrapping_sub(1);
        let (mut acc, mut read, mut write) = (0u64, 0usize, 0usize);
        // Digits are read until one comes out; each read before that moves the point.
        while acc >> shift == 0 {
            let next = if read < self.len { self.digits.get(read).copied().unwrap_or(0) } else { 0 };
            if read >= self.len && acc == 0 {
                self.len = 0;
                return;
            }
            acc = acc.wrapping_mul(10).wrapping_add(next.into());
            read = read.saturating_add(1);
        }
        self.point = self.point.saturating_sub(i64::try_from(read).unwrap_or(0).saturating_sub(1));
        let old = self.len;
        loop {
            let out = u8::try_from(acc >> shift).unwrap_or(9);
            match self.digits.get_mut(write) {
                Some(slot) => *slot = out,
                None => self.cut |= out != 0,
            }
            write = write.saturating_add(1);
            acc &= mask;
            if read >= old && acc == 0 {
                break;
            }
            let next = if read < old { self.digits.get(read).copied().unwrap_or(0) } else { 0 };
            acc = acc.wrapping_mul(10).wrapping_add(next.into());
            read = read.saturating_add(1);
        }
        self.len = write.min(MAX_DIGITS);
        self.trim();
    }

    fn left(&mut self, shift: u32) {
        let mut carry = 0u64;
        for slot in self.digits.iter_mut().take(self.len).rev() {
            let acc = u64::from(*slot).wrapping_shl(shift).wrapping_add(carry);
            carry = acc / 10;
            *slot = u8::try_from(acc % 10).unwrap_or(0);
        }
        while carry > 0 {
            self.unshift(u8::try_from(carry % 10).unwrap_or(0));
            carry /= 10;
        }
        self.trim();
    }

    /// Puts a digit before all others.
    fn unshift(&mut self, digit: u8) {
        let mut carried = digit;
        for slot in self.digits.iter_mut().take(self.len) {
            core::mem::swap(slot, &mut carried);
        }
        self.push(carried);
        self.point = self.point.saturating_add(1);
    }
}

/// How many bits to shift by, for a point that far away.
fn steps(point: i64) -> u32 {
    // Three bits a digit are never too many.
    u32::try_from(point.unsigned_abs().saturating_mul(3)).unwrap_or(MAX_SHIFT).clamp(1, MAX_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_as_the_standard_library_has_them() {
        let mut seed = 0x2545_f491_4f6c_dd1du64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        extern crate std;
        use std::format;
        for _ in 0..200_000 {
            let value = f64::from_bits(next());
            if !value.is_finite() {
                continue;
            }
            for text in [
                format!("{value:e}"),
                format!("{value:.17e}"),
                format!("{value:.8e}"),
                format!("{}", (next() >> 20) as f64 / 1e7),
                format!("{}.{:019}", next() >> 40, next()),
            ] {
                let want: f64 = text.parse().unwrap();
                assert_eq!(parse(text.as_bytes()).unwrap().to_bits(), want.to_bits(), "{text}");
            }
        }
    }

    #[test]
    fn ties_and_edges_round_to_even() {
        for text in [
            "9007199254740993", "9007199254740992.5", "1.00000000000000011102230246251565404236316680908203125",
            "1.00000000000000011102230246251565404236316680908203124", "4.9e-324", "2.4703282292062327e-324",
            "2.4703282292062328e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "1.7976931348623159e308",
            "1e400", "1e-400", "0e99999999999", "123456789012345678901234567890", "0.1", "1.", ".5", "1e22", "1e23", "5e-324",
            "8.98846567431158e307", "179769313486231580793728971405301e276",
        ] {
            let want: f64 = text.parse().unwrap();
            assert_eq!(parse(text.as_bytes()).unwrap().to_bits(), want.to_bits(), "{text}");
        }
    }

    #[test]
    fn words_and_nonsense() {
        assert_eq!(parse(b"+Inf"), Some(f64::INFINITY));
        assert_eq!(parse(b"-infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse(b"nan").map(f64::to_bits), Some(0x7ff8_0000_0000_0001));
        for text in ["", "+", ".", "1e", "1e+", "0x1p3", "1_0", "1 ", "--1", "infi", "e1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_keep_all_their_bits() {
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616"), None);
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(unsigned(b"-1"), None);
        assert_eq!(unsigned(b"+7"), Some(7));
        assert_eq!(signed(b""), None);
    }
}
