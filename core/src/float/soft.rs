//! The same in integers.

/// How a format has numbers: `mantissa * 2^power`.
#[derive(Clone, Copy)]
struct Form {
    /// How many bits a mantissa has less than 64.
    spare: i32,
    /// The power of two of the smallest number's only bit.
    min_power: i32,
    /// So many doublings above the smallest numbers there are none.
    steps: i32,
}

const DOUBLE: Form = Form { spare: 11, min_power: -1074, steps: 2046 };
const SINGLE: Form = Form { spare: 40, min_power: -149, steps: 254 };

/// The bits of infinity.
pub(crate) const INFINITE: u64 = 0x7ff0_0000_0000_0000;
const INFINITE_SINGLE: u64 = 0x7f80_0000;
pub(super) const SIGN: u64 = 1 << 63;
const QUIET: u64 = 1 << 51;
const HIGHEST: u64 = 1 << 63;

pub(super) fn times(a: f64, b: f64) -> f64 {
    combine(a.to_bits(), b.to_bits(), false)
}

pub(super) fn over(a: f64, b: f64) -> f64 {
    combine(a.to_bits(), b.to_bits(), true)
}

pub(super) fn unsigned(integer: u64) -> f64 {
    f64::from_bits(DOUBLE.round(normal(integer, 0), false))
}

pub(super) fn single(double: f64) -> f32 {
    let bits = double.to_bits();
    let (sign, size) = (bits & SIGN, bits & !SIGN);
    let size =
        if size > INFINITE { size >> 29 & 0x7f_ffff | 0x7fc0_0000 } else { SINGLE.round(parts(size), false) };
    f32::from_bits(u32::try_from(size | sign >> 32).unwrap_or_default())
}

pub(super) fn whole(value: f64) -> Option<i64> {
    let (mantissa, power) = parts(value.to_bits() & !SIGN);
    let by = power.unsigned_abs();
    let size = match (mantissa, power) {
        (0, _) => 0,
        (_, -63..=-10) => mantissa.wrapping_shr(by),
        _ => return None,
    };
    let integer = size.cast_signed();
    let is_exact = size.wrapping_shl(by) == mantissa && size <= 1 << 53;
    is_exact.then_some(if value.is_sign_negative() { integer.wrapping_neg() } else { integer })
}

pub(super) fn double(single: f32) -> f64 {
    let bits = u64::from(single.to_bits());
    let (sign, size) = (bits >> 31, bits & 0x7fff_ffff);
    let size = if size < INFINITE_SINGLE {
        let (mantissa, power) = SINGLE.fields(size);
        cut(normal(mantissa, power)).0
    } else {
        INFINITE | size.wrapping_sub(INFINITE_SINGLE) << 29
    };
    f64::from_bits(sign << 63 | size)
}

/// The mantissa of a number that is finite and not negative, and its power of two.
pub(crate) fn fields(bits: u64) -> (u64, i32) {
    DOUBLE.fields(bits)
}

/// The same with the highest bit set, but for zero.
fn parts(bits: u64) -> (u64, i32) {
    let (mantissa, power) = fields(bits);
    normal(mantissa, power)
}

fn normal(mantissa: u64, power: i32) -> (u64, i32) {
    let shift = mantissa.leading_zeros();
    (mantissa.wrapping_shl(shift), power.wrapping_sub_unsigned(shift))
}

/// The double that is `mantissa * 2^power`, rounded towards zero, and how much was cut off, in units of 2^-64 of its last
/// bit, rounded down.
///
/// The mantissa's highest bit is set, but for zero.
pub(crate) fn cut(parts: (u64, i32)) -> (u64, u64) {
    DOUBLE.cut(parts)
}

impl Form {
    fn fields(self, bits: u64) -> (u64, i32) {
        let places = self.places();
        let exponent = bits.wrapping_shr(places);
        let fraction = bits ^ exponent.wrapping_shl(places);
        let exponent = i32::try_from(exponent).unwrap_or_default();
        let mantissa = if exponent == 0 { fraction } else { fraction | 1_u64.wrapping_shl(places) };
        (mantissa, exponent.max(1).wrapping_sub(1).wrapping_add(self.min_power))
    }

    /// The bits of a mantissa that are kept.
    const fn places(self) -> u32 {
        63_u32.wrapping_sub(self.spare.unsigned_abs())
    }

    fn cut(self, (mantissa, power): (u64, i32)) -> (u64, u64) {
        let drop = self.min_power.wrapping_sub(power).max(self.spare);
        let by = drop.unsigned_abs();
        if mantissa == 0 || drop > 64 {
            return (0, mantissa.checked_shr(by.wrapping_sub(64)).unwrap_or(0));
        }
        let steps = power.wrapping_add(drop).wrapping_sub(self.min_power);
        let (steps, mantissa) = if steps < self.steps { (steps, mantissa) } else { (self.steps, HIGHEST) };
        // The mantissa's leading bit is not kept: it adds one to the exponent where there is one.
        let exponent = u64::from(steps.unsigned_abs()).wrapping_shl(self.places());
        let kept = mantissa.checked_shr(by).unwrap_or(0);
        (exponent.wrapping_add(kept), mantissa.wrapping_shl(64_u32.wrapping_sub(by)))
    }

    /// To the closest, of two the even one; the number is a little larger than its parts say where `has_more`.
    fn round(self, parts: (u64, i32), has_more: bool) -> u64 {
        let (bits, rest) = self.cut(parts);
        let is_up = rest > HIGHEST || rest == HIGHEST && (has_more || bits & 1 == 1);
        bits.wrapping_add(u64::from(is_up))
    }
}

/// Product or quotient of the doubles of these bits.
#[inline(never)]
fn combine(a: u64, b: u64, is_over: bool) -> f64 {
    let (x, mut y) = (a & !SIGN, b & !SIGN);
    if is_over && (y == 0 || y == INFINITE) {
        y ^= INFINITE;
    }
    f64::from_bits(if x > INFINITE {
        a | QUIET
    } else if y > INFINITE {
        b | QUIET
    } else if (x == INFINITE && y == 0) || (x == 0 && y == INFINITE) {
        f64::NAN.to_bits()
    } else {
        let size = if x == 0 || y == 0 {
            0
        } else if x == INFINITE || y == INFINITE {
            INFINITE
        } else {
            let (parts, has_more) =
                if is_over { quotient(parts(x), parts(y)) } else { product(parts(x), parts(y)) };
            DOUBLE.round(parts, has_more)
        };
        (a ^ b) & SIGN | size
    })
}

fn product(a: (u64, i32), b: (u64, i32)) -> ((u64, i32), bool) {
    let (low, high) = a.0.carrying_mul(b.0, 0);
    let power = a.1.wrapping_add(b.1).wrapping_add(64);
    // No more than the highest bit may be missing, and far below that all are zero.
    (normal(high, power), low != 0)
}

fn quotient(a: (u64, i32), b: (u64, i32)) -> ((u64, i32), bool) {
    // One bit less: room for a remainder that is doubled.
    let (mut rest, by, mut quotient) = (a.0 >> 1, b.0 >> 1, 0_u64);
    for _ in 0..64 {
        quotient <<= 1;
        if let Some(less) = rest.checked_sub(by) {
            (rest, quotient) = (less, quotient | 1);
        }
        rest <<= 1;
    }
    (normal(quotient, a.1.wrapping_sub(b.1).wrapping_sub(63)), rest != 0)
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    reason = "that is what is compared"
)]
mod tests {
    use super::*;

    /// Doubles of all sizes, many of them edges.
    fn doubles() -> impl Iterator<Item = f64> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..4000_u32).map(move |round| {
            let dice = random.u64(..);
            let bits = match round % 8 {
                0 => dice,
                1 => dice & !(SIGN | INFINITE) | 0x3ff << 52,
                2 => dice & (SIGN | INFINITE),
                3 => dice & SIGN | dice >> 12,
                4 => dice & SIGN | (INFINITE - (dice & 3)),
                5 => dice & (SIGN | INFINITE | 0xffff << 36),
                6 => return f64::from_bits(dice & SIGN | 10_f64.powi_of(round % 41).to_bits()),
                _ => dice & SIGN | dice >> 60 | dice << 52 & INFINITE,
            };
            f64::from_bits(bits)
        })
    }

    trait Powers {
        fn powi_of(self, n: u32) -> f64;
    }

    impl Powers for f64 {
        fn powi_of(self, n: u32) -> f64 {
            (0..n).fold(1.0, |product, _| product * self)
        }
    }

    fn is_same(got: f64, want: f64) -> bool {
        got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan()
    }

    #[test]
    fn products_and_quotients_are_those_of_the_unit() {
        for (index, a) in doubles().enumerate() {
            for b in doubles().skip(index % 97).step_by(37) {
                assert!(is_same(times(a, b), a * b), "{a:e} * {b:e}: {:e}", times(a, b));
                assert!(is_same(over(a, b), a / b), "{a:e} / {b:e}: {:e}", over(a, b));
            }
        }
    }

    #[test]
    fn a_nan_keeps_its_bits_but_for_being_loud() {
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        for got in [times(stale, 2.0), over(stale, f64::INFINITY), times(0.0, stale), over(f64::NAN, stale)] {
            assert_eq!(got.to_bits() & INFINITE, INFINITE);
        }
        assert_eq!(times(stale, 2.0).to_bits(), 0x7ff8_0000_0000_0002);
    }

    #[test]
    fn conversions_are_those_of_the_unit() {
        for a in doubles() {
            for value in
                [a, a * 1e-290, a * 1e30, f64::from(f32::from_bits((a.to_bits() >> 31) as u32)) * 1.5]
            {
                let (got, want) = (single(value), value as f32);
                assert!(
                    got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                    "{value:e}: {got:e}"
                );
                assert!(is_same(double(got), f64::from(got)), "{got:e}");
                let cut = value as i64;
                let exact = (value.abs() <= super::super::WHOLE && cut as f64 == value).then_some(cut);
                assert_eq!(whole(value), exact, "{value:e}");
            }
            let bits = a.to_bits();
            for integer in [bits, bits >> 11, bits >> (bits & 63), bits | 0x7ff] {
                assert_eq!(unsigned(integer).to_bits(), (integer as f64).to_bits(), "{integer}");
                assert_eq!(whole((integer >> 11) as f64), Some((integer >> 11).cast_signed()), "{integer}");
            }
        }
        assert_eq!(
            (whole(-0.0), whole(9_007_199_254_740_992.0), whole(-1.0)),
            (Some(0), Some(1 << 53), Some(-1))
        );
        assert_eq!((whole(9_007_199_254_740_994.0), whole(0.5), whole(f64::NAN)), (None, None, None));
    }
}
