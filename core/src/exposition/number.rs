//! Numbers of exposition text, correctly rounded: bit for bit what Go's `ParseFloat` gives.
//!
//! Three ways, each for what the one before it cannot decide. A short number is exact in a double, as is
//! its power of ten: one multiplication or division rounds it. Any other is bounded from below and above
//! with a power of ten of 64 bits: mostly both bounds round to the same double. What is left lies close to
//! the midst of two doubles: `exact` compares it with the midst.
//!
//! Nothing here can panic, which core's own parser does not promise.

mod exact;

use exact::Integer;

use core::cmp::Ordering;

use crate::float::{
    self,
    soft::{self, INFINITE},
};

/// A NaN as Prometheus keeps it; the one that marks a series as stale has other bits.
pub const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Reads a value: a decimal number with or without fraction and exponent, `Inf`, `Infinity` or `NaN`.
///
/// What is too large is infinite. There is no hexadecimal, no `_`, and no sign in front of `NaN`.
#[inline]
pub fn parse(token: &[u8]) -> Option<f64> {
    let (is_negative, digits) = sign(token);
    let size = match Decimal::read(digits) {
        Some(decimal) => decimal.to_double(),
        None => word(digits, digits.len() < token.len())?,
    };
    Some(if is_negative { -size } else { size })
}

/// Whether a token is a time: a decimal number that is not infinite.
pub fn timestamp(token: &[u8]) -> bool {
    let (_, digits) = sign(token);
    Decimal::read(digits).is_some_and(|decimal| float::rank(decimal.to_double()) < float::INFINITE)
}

/// Reads a plain integer that is not negative.
pub fn unsigned(token: &[u8]) -> Option<u64> {
    let digits = if let [b'+', digits @ ..] = token { digits } else { token };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &byte| sum.checked_mul(10)?.checked_add(digit(byte)?.into()))
}

/// Reads a plain integer.
pub fn signed(token: &[u8]) -> Option<i64> {
    match token {
        [b'-', b'+', ..] => None,
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(unsigned(digits)?),
        _ => i64::try_from(unsigned(token)?).ok(),
    }
}

fn sign(token: &[u8]) -> (bool, &[u8]) {
    match token.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, token),
    }
}

#[cold]
fn word(token: &[u8], has_sign: bool) -> Option<f64> {
    if token.eq_ignore_ascii_case(b"inf") || token.eq_ignore_ascii_case(b"infinity") {
        Some(f64::INFINITY)
    } else if token.eq_ignore_ascii_case(b"nan") && !has_sign {
        Some(NAN)
    } else {
        None
    }
}

/// A number before it is rounded: `mantissa * 10^exponent`, or a little more where digits were left out.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    mantissa: u64,
    exponent: isize,
    is_cut: bool,
    /// The digits and the point, as sent; none where the mantissa is all there is.
    text: &'a [u8],
    /// The power of ten that the digits without the point are to be multiplied with.
    scale: isize,
}

impl<'a> Decimal<'a> {
    #[inline]
    fn read(token: &'a [u8]) -> Option<Self> {
        let (mantissa, rest) = digits(0, token);
        let whole = token.len().wrapping_sub(rest.len());
        let (mantissa, fraction, rest) = match rest.split_first() {
            Some((b'.', from)) => {
                let (mantissa, rest) = digits(mantissa, from);
                (mantissa, from.len().wrapping_sub(rest.len()), rest)
            }
            _ => (mantissa, 0, rest),
        };
        let count = whole.wrapping_add(fraction);
        if count == 0 {
            return None;
        }
        let scale = exponent(rest)?.saturating_sub_unsigned(fraction);
        let text = token.get(..token.len().wrapping_sub(rest.len()))?;
        let this = Self { mantissa, exponent: scale, is_cut: false, text, scale };
        Some(if count > MAX_DIGITS { this.cut() } else { this })
    }

    /// The same with no more digits than the mantissa holds.
    #[cold]
    fn cut(self) -> Self {
        let (mut mantissa, mut kept, mut left_out, mut is_cut) = (0_u64, 0_usize, 0_isize, false);
        for value in self.text.iter().filter_map(|&byte| digit(byte)) {
            if kept < MAX_DIGITS {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(value.into());
                kept = kept.wrapping_add(usize::from(mantissa != 0));
            } else {
                left_out = left_out.saturating_add(1);
                is_cut |= value != 0;
            }
        }
        Self { mantissa, exponent: self.scale.saturating_add(left_out), is_cut, ..self }
    }

    #[inline]
    fn to_double(self) -> f64 {
        if self.mantissa == 0 {
            return 0.0;
        }
        // Bounds are longer, but not slower than a product without a unit.
        if float::HAS_UNIT && self.mantissa <= EXACT && !self.is_cut {
            if let Some(power) = power_of_ten(self.exponent) {
                return float::unsigned(self.mantissa) * power;
            }
            if let Some(power) = power_of_ten(self.exponent.saturating_neg()) {
                return float::unsigned(self.mantissa) / power;
            }
        }
        self.bounded()
    }

    /// The double next to this, whatever its size.
    fn bounded(self) -> f64 {
        match i32::try_from(self.exponent) {
            Ok(exponent @ MIN_EXPONENT..=MAX_EXPONENT) => f64::from_bits(self.bits(exponent)),
            _ if self.exponent < 0 => 0.0,
            _ => f64::INFINITY,
        }
    }

    /// The double next to this, by bounds.
    fn bits(self, exponent: i32) -> u64 {
        let Some(bounds) = Bounds::of((self.mantissa, 0), exponent, self.is_cut) else { return INFINITE };
        bounds.round().unwrap_or_else(|lower| {
            let is_even = lower & 1 == 0;
            let compared = if self.text.is_empty() {
                exact::compare(Integer::new(self.mantissa), self.scale, exact::midst(lower))
            } else {
                exact::compare_with_midst(self.text, self.scale, lower)
            };
            let is_above = match compared {
                Ordering::Less => false,
                Ordering::Equal => !is_even,
                Ordering::Greater => true,
            };
            lower.wrapping_add(u64::from(is_above))
        })
    }
}

/// The shortest decimal number that reads back as the double of these bits, and of those the closest to it: its digits,
/// and the power of ten to multiply them with. The double is finite and positive.
///
/// One digit more is tried until it does, which takes little code, not little time.
pub(super) fn shortest(bits: u64) -> (u64, i32) {
    let (mantissa, power) = soft::fields(bits);
    // As many digits as any double needs, or one more, in front of the point.
    let shift = mantissa.leading_zeros();
    let leading = power.wrapping_add(63).wrapping_sub_unsigned(shift);
    let scale = 16_i32.wrapping_sub(leading.wrapping_mul(315_653) >> 20);
    let Some(bounds) = Bounds::of((mantissa, power), scale, false) else { return (0, 0) };
    let places = bounds.power.unsigned_abs();
    let (mut unit, mut exponent) = (10_000_000_000_000_000_u64, 16_i32);
    if bounds.low.wrapping_shr(places) >= unit.wrapping_mul(10) {
        (unit, exponent) = (unit.wrapping_mul(10), 17);
    }
    loop {
        let scaled = unit.wrapping_shl(places);
        let front = bounds.low.checked_div(scaled).unwrap_or(0);
        let (rest, half) = (bounds.low.wrapping_sub(front.wrapping_mul(scaled)), scaled >> 1);
        let scale = exponent.wrapping_sub(scale);
        let is_up = if rest > half || rest.wrapping_add(bounds.error) <= half {
            rest > half
        } else {
            let midst = Integer::new(front.wrapping_mul(10).wrapping_add(5));
            let scale = isize::try_from(scale).unwrap_or_default().wrapping_sub(1);
            match exact::compare(midst, scale, (mantissa, power)) {
                Ordering::Less => true,
                Ordering::Equal => front & 1 == 1,
                Ordering::Greater => false,
            }
        };
        for is_up in [is_up, !is_up] {
            let digits = front.wrapping_add(u64::from(is_up));
            let exponent = isize::try_from(scale).unwrap_or_default();
            let read = Decimal { mantissa: digits, exponent, is_cut: false, text: &[], scale: exponent };
            if digits != 0 && (unit == 1 || read.bounded().to_bits() == bits) {
                return (digits, scale);
            }
        }
        (unit, exponent) = (unit / 10, exponent.wrapping_sub(1));
    }
}

/// A number is at least `low * 2^power`, and less than `(low + error) * 2^power` or exactly that much.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: u64,
    error: u64,
    power: i32,
}

impl Bounds {
    fn of((mantissa, power): (u64, i32), exponent: i32, is_cut: bool) -> Option<Self> {
        let (coarse, fine) = (exponent.div_euclid(STEP), exponent.rem_euclid(STEP));
        let small = small(fine)?;
        let large = *LARGE.get(usize::try_from(coarse.wrapping_sub(LOWEST)).ok()?)?;
        let shift = mantissa.leading_zeros();
        let start = Self {
            low: mantissa.wrapping_shl(shift),
            error: u64::from(is_cut).wrapping_shl(shift),
            power: power.wrapping_sub_unsigned(shift),
        };
        let shift = small.leading_zeros();
        let this = start.times(small.wrapping_shl(shift), 0_i32.wrapping_sub_unsigned(shift), 0);
        Some(this.times(large, binary_exponent(coarse.wrapping_mul(STEP)).wrapping_sub(63), 1))
    }

    /// Multiplied with what is at least `low * 2^power` and less than one `error` more.
    #[inline]
    fn times(self, low: u64, power: i32, error: u64) -> Self {
        let (below, product) = self.low.carrying_mul(low, 0);
        let is_short = product >> 63 == 0;
        let by = u32::from(is_short);
        let kept = if is_short { product << 1 | below >> 63 } else { product };
        // Either error counts in full, as both factors are below one; cutting the product adds one.
        let error = self.error.wrapping_add(error.wrapping_mul(2)).wrapping_shl(by).wrapping_add(1);
        let power = self.power.wrapping_add(power).wrapping_add(64).wrapping_sub_unsigned(by);
        Self { low: kept, error, power }
    }

    /// The double that is closest to all within the bounds, or the one below where that is this or the next.
    fn round(self) -> Result<u64, u64> {
        let (bits, rest) = soft::cut((self.low, self.power));
        // What the bounds are apart, in the same units: the smallest doubles have larger ones, where this is too careful.
        let error = self.error.wrapping_shl(53);
        if rest.saturating_add(error) <= HALF {
            Ok(bits)
        } else if rest > HALF {
            Ok(bits.wrapping_add(1))
        } else {
            Err(bits)
        }
    }
}

/// Appends the digits in front of `text` to `sum`, which is only right for up to 19 in all.
#[inline]
fn digits(mut sum: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while float::HAS_UNIT
        && let Some((eight, rest)) = text.split_first_chunk::<8>()
    {
        let Some(value) = eight_digits(u64::from_le_bytes(*eight)) else { break };
        sum = sum.wrapping_mul(100_000_000).wrapping_add(value);
        text = rest;
    }
    while let Some((&byte, rest)) = text.split_first() {
        let Some(value) = digit(byte) else { break };
        sum = sum.wrapping_mul(10).wrapping_add(value.into());
        text = rest;
    }
    (sum, text)
}

/// The value of eight digits in one word, the first in the lowest byte.
#[inline]
const fn eight_digits(word: u64) -> Option<u64> {
    let over = word.wrapping_add(0x4646_4646_4646_4646);
    let value = word.wrapping_sub(0x3030_3030_3030_3030);
    if (over | value) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Neighbours join to pairs, pairs to fours, fours to eight.
    let pairs = value.wrapping_mul(10).wrapping_add(value >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    Some(low.wrapping_add(high) >> 32)
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    let value = byte.wrapping_sub(b'0');
    if value < 10 { Some(value) } else { None }
}

/// Reads `e` and a number to the end of the token, or nothing.
#[inline]
fn exponent(text: &[u8]) -> Option<isize> {
    let Some((mark, text)) = text.split_first() else { return Some(0) };
    let (is_negative, digits) = sign(text);
    if !matches!(mark, b'e' | b'E') || digits.is_empty() {
        return None;
    }
    let size = digits.iter().try_fold(0_isize, |sum, &byte| {
        Some(sum.saturating_mul(10).saturating_add_unsigned(digit(byte)?.into()))
    })?;
    Some(if is_negative { size.saturating_neg() } else { size })
}

/// A power of ten that a double holds exactly.
#[inline]
fn power_of_ten(exponent: isize) -> Option<f64> {
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// The binary logarithm of a power of ten, rounded down.
const fn binary_exponent(exponent: i32) -> i32 {
    exponent.wrapping_mul(217_706) >> 16
}

/// Digits that any 64-bit mantissa holds.
const MAX_DIGITS: usize = 19;
/// Up to here a double holds every integer.
const EXACT: u64 = 1 << 53;
/// Below this exponent no mantissa makes more than zero.
const MIN_EXPONENT: i32 = -345;
/// Above this exponent every mantissa makes infinity.
const MAX_EXPONENT: i32 = 309;
/// Half of the last bit that is kept.
const HALF: u64 = 1 << 63;
/// From one large power of ten to the next.
const STEP: i32 = 20;
/// The first large power of ten, in steps.
const LOWEST: i32 = -18;

static POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A power of ten that 64 bits hold exactly; a table is faster, and longer.
fn small(exponent: i32) -> Option<u64> {
    if float::HAS_UNIT {
        return SMALL.get(usize::try_from(exponent).ok()?).copied();
    }
    Some((0..exponent).fold(1, |power: u64, _| power.wrapping_mul(10)))
}

static SMALL: [u64; 20] = {
    let mut powers = [1; 20];
    let (mut power, mut rest): (u64, &mut [u64]) = (1, &mut powers);
    while let [first, tail @ ..] = rest {
        *first = power;
        power = power.wrapping_mul(10);
        rest = tail;
    }
    powers
};

/// The leading 64 bits of powers of ten from 1e-360 to 1e340, rounded down.
static LARGE: [u64; 36] = [
    0x89bf_7228_4032_7f82,
    0xbaae_e17f_a23e_bf76,
    0xfd00_b897_4782_38d0,
    0xab70_fe17_c79a_c6ca,
    0xe858_ad24_8f5c_22c9,
    0x9d71_ac8f_ada6_c9b5,
    0xd560_5fcd_cf32_e1d6,
    0x9096_ea6f_3848_984f,
    0xc3f4_90aa_77bd_60fc,
    0x84c8_d4df_d2c6_3f3b,
    0xb3f4_e093_db73_a093,
    0xf3e2_f893_dec3_f126,
    0xa543_94fe_1eed_b8fe,
    0xdff9_7724_7029_7ebd,
    0x97c5_60ba_6b09_19a5,
    0xcdb0_2555_6531_31b6,
    0x8b61_313b_babc_e2c6,
    0xbce5_0864_9211_1aea,
    0x8000_0000_0000_0000,
    0xad78_ebc5_ac62_0000,
    0xeb19_4f8e_1ae5_25fd,
    0x9f4f_2726_179a_2245,
    0xd7e7_7a8f_87da_f7fb,
    0x924d_692c_a61b_e758,
    0xc646_d635_01a1_511d,
    0x865b_8692_5b9b_c5c2,
    0xb616_a12b_7fe6_17aa,
    0xf6c6_9a72_a398_9f5b,
    0xa738_c6be_bb12_d16c,
    0xe2a0_b5dc_971f_303a,
    0x9991_a6f3_d6bf_1765,
    0xd01f_ef10_a657_842c,
    0x8d07_e334_5563_7eb2,
    0xbf21_e440_03ac_dd2c,
    0x8184_2f29_f2cc_e375,
    0xaf87_023b_9bf0_ee6a,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_as_core(token: &str) {
        let want: f64 = token.parse().unwrap();
        let got = parse(token.as_bytes()).unwrap();
        assert_eq!(got.to_bits(), want.to_bits(), "{token}: {got:e}, not {want:e}");
        // What a chip does with short ones.
        if let Some(decimal) = Decimal::read(sign(token.as_bytes()).1).filter(|d| d.mantissa > 0) {
            assert_eq!(decimal.bounded().to_bits(), want.abs().to_bits(), "{token}");
        }
    }

    #[test]
    fn every_double_is_read_as_it_was_written() {
        extern crate std;
        let mut dice = fastrand::Rng::with_seed(1);
        for _ in 0..200_000 {
            let bits = dice.u64(..);
            let double = f64::from_bits(bits);
            if double.is_finite() {
                is_as_core(&std::format!("{double:e}"));
                is_as_core(&std::format!("{double:.8e}"));
                is_as_core(&std::format!("{double:.18e}"));
                is_as_core(&std::format!("{double:.30e}"));
            }
            is_as_core(&std::format!("{:.17}", f64::from_bits(bits >> 12 | 0x3ff << 52)));
            is_as_core(&std::format!("{}.{}", bits >> 40, dice.u64(..) >> 30));
            is_as_core(&std::format!("{}e{}", dice.u64(..) >> (bits & 31), bits % 720 / 2 * 2 % 700));
            is_as_core(&std::format!("{}e-{}", dice.u64(..) >> (bits & 31), bits % 360));
        }
    }

    #[test]
    fn the_midst_of_two_doubles_goes_to_the_even_one() {
        extern crate std;
        let mut dice = fastrand::Rng::with_seed(2);
        for round in 0..3_000_u64 {
            // Small ones have hundreds of digits, all of which count.
            let bits = if round % 3 == 0 { dice.u64(..) >> 12 } else { dice.u64(..) >> 1 };
            let (low, high) = (f64::from_bits(bits), f64::from_bits(bits + 1));
            if !high.is_finite() {
                continue;
            }
            let midst = exact::tests::midst(bits);
            let even = if bits & 1 == 0 { low } else { high };
            assert_eq!(parse(midst.as_bytes()), Some(even), "{midst}");
            assert_eq!(parse(std::format!("{midst}00001").as_bytes()), Some(high), "{midst}");
            let below = exact::tests::a_little_less(&midst);
            assert_eq!(parse(below.as_bytes()), Some(low), "{below}");
            is_as_core(&midst);
        }
    }

    #[test]
    fn edges_are_as_core_has_them() {
        for token in [
            "0",
            "-0",
            "1",
            "+1",
            "1.",
            ".5",
            "1e3",
            "1e+3",
            "1E-3",
            "4.9e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "2.2250738585072014e-308",
            "2.2250738585072011e-308",
            "1e400",
            "-1e400",
            "1e-400",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "1.7976931348623159e308",
            "9007199254740993",
            "9007199254740992.9",
            "9007199254740993.0000000000000000000001",
            "0000000000000000000000001",
            "0.000000000000000000000000000001",
            "123456789012345678901234567890",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "0e99999999999999999999",
            "18446744073709551615",
            "18446744073709551616",
            "1.00000000000000011102230246251565404236316680908203125",
            "1e22",
            "1e23",
            "8.5e22",
            "5e-324",
            "3e-324",
            "2e-324",
            "10000000000000000000",
            "99999999999999999999",
            "1e308",
            "1e309",
            "1e310",
            "9e-345",
            "9999999999999999999e-345",
        ] {
            is_as_core(token);
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for token in [
            "", "+", "-", ".", "e", "1e", "1e+", "-.", "1_0", "0x10", "0b1", "0o17", "0x1p3", "1,5", "++1",
            "+-1", "1f", "1d", "1p3", "+NaN", "-NaN", "sNaN", "infin", "in", "true", "1.2.3", "1e1.5",
            "1e1e1", " 1", "1 ", "1\0", "∞", "１",
        ] {
            assert_eq!(parse(token.as_bytes()), None, "{token}");
        }
    }

    #[test]
    fn words_are_taken_in_any_case() {
        for token in ["Inf", "inf", "INF", "+Inf", "Infinity", "+infinity"] {
            assert_eq!(parse(token.as_bytes()), Some(f64::INFINITY), "{token}");
        }
        assert_eq!(parse(b"-iNf"), Some(f64::NEG_INFINITY));
        for token in ["NaN", "nan", "NAN"] {
            assert_eq!(parse(token.as_bytes()).unwrap().to_bits(), NAN.to_bits());
        }
    }

    #[test]
    fn integers_are_exact_or_refused() {
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"+1"), Some(1));
        for token in ["18446744073709551616", "-1", "", "+", "1.0", "1e3", "++1"] {
            assert_eq!(unsigned(token.as_bytes()), None, "{token}");
        }
        assert_eq!(signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed(b"9223372036854775807"), Some(i64::MAX));
        for token in ["9223372036854775808", "-9223372036854775809", "-", "-+1", "+-1", "--1"] {
            assert_eq!(signed(token.as_bytes()), None, "{token}");
        }
    }

    #[test]
    fn a_time_is_a_finite_number() {
        for token in ["0", "-5", "+5", "1395066363.123456789", "1e3"] {
            assert!(timestamp(token.as_bytes()), "{token}");
        }
        for token in ["", "NaN", "Inf", "1e400", "abc", "0x1", "1_0"] {
            assert!(!timestamp(token.as_bytes()), "{token}");
        }
    }
}
