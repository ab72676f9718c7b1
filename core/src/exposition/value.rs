//! Values as text that reads back as the same value: of integers all digits, of floats as few as do it.

use super::{Put, number};
use crate::{
    float::{self, soft::INFINITE},
    text,
};

/// Writes a double in the shortest text that reads back bit for bit. All NaNs are one.
pub fn double(value: f64, put: Put<'_>) {
    // Not asked of the value, which takes a chip two comparisons.
    if value.to_bits() << 1 >= INFINITE << 1 {
        word(value, put);
    } else if float::HAS_UNIT {
        shortest(zmij::Buffer::new().format_finite(value), put);
    } else {
        short(value, put);
    }
}

/// The same in a quarter of the code.
fn short(value: f64, put: Put<'_>) {
    let is_negative = value.is_sign_negative();
    let size = value.to_bits() << 1 >> 1;
    let (mut digits, mut exponent) = if size == 0 { (0, 0) } else { number::shortest(size) };
    while digits != 0 && digits.is_multiple_of(10) {
        (digits, exponent) = (digits / 10, exponent.saturating_add(1));
    }
    let (mut count, mut front) = (0_i32, digits / 10);
    while front != 0 {
        (count, front) = (count.saturating_add(1), front / 10);
    }
    // What the first digit is to be multiplied with.
    let power = exponent.saturating_add(count);
    let write = |size: u64, places: i32, put: Put<'_>| {
        decimal(is_negative, size.into(), u8::try_from(places).unwrap_or(0), put);
    };
    if !(-5..16).contains(&power) {
        write(digits, count, put);
        put(if power < 0 { b"e-" } else { b"e+" });
        unsigned(power.unsigned_abs().into(), put);
    } else {
        while exponent > 0 {
            (digits, exponent) = (digits.wrapping_mul(10), exponent.saturating_sub(1));
        }
        write(digits, exponent.saturating_neg(), put);
    }
}

/// Writes a single in the shortest text that reads back bit for bit as a single, which is shorter than that of the same
/// value as a double.
///
/// Whoever reads it may read a double first. Of a few texts that rounds twice, to another single: then it is the text of
/// the double.
pub fn single(value: f32, put: Put<'_>) {
    let mut buffer = zmij::Buffer::new();
    let text = if value.is_finite() { buffer.format_finite(value) } else { "" };
    match number::parse(text.as_bytes()) {
        Some(double) if float::single(double).to_bits() == value.to_bits() => shortest(text, put),
        _ => self::double(f64::from(value), put),
    }
}

/// The double that a single's shortest text says: 2.34 and not 2.3399999141693115.
pub fn widened(value: f32) -> f64 {
    if !value.is_finite() {
        return f64::from(value);
    }
    number::parse(zmij::Buffer::new().format_finite(value).as_bytes()).unwrap_or_else(|| f64::from(value))
}

/// Writes an integer.
pub fn signed(value: i64, put: Put<'_>) {
    decimal(value < 0, u128::from(value.unsigned_abs()), 0, put);
}

/// Writes an integer that is not negative.
pub fn unsigned(value: u64, put: Put<'_>) {
    decimal(false, u128::from(value), 0, put);
}

/// Writes `size / 10^places`, exactly, without zeros that say nothing.
pub fn decimal(is_negative: bool, size: u128, places: u8, put: Put<'_>) {
    let mut text = [0_u8; LEN];
    let (mut rest, mut places) = (size, places);
    while places > 0 {
        let (shorter, last) = split(rest);
        if last != b'0' {
            break;
        }
        (rest, places) = if rest == 0 { (0, 0) } else { (shorter, places.saturating_sub(1)) };
    }
    let mut used = 0_usize;
    let mut room = text.iter_mut().rev();
    let mut push = |byte: u8| {
        if let Some(place) = room.next() {
            *place = byte;
            used = used.saturating_add(1);
        }
    };
    loop {
        let (shorter, last) = split(rest);
        rest = shorter;
        push(last);
        match places {
            0 if rest == 0 => break,
            0 => {}
            // A digit has to stand in front of the point.
            1 => {
                push(b'.');
                places = 0;
            }
            _ => places = places.saturating_sub(1),
        }
    }
    if is_negative {
        push(b'-');
    }
    put(text.get(text.len().saturating_sub(used)..).unwrap_or_default());
}

/// What is in front of the last digit, and that digit.
fn split(rest: u128) -> (u128, u8) {
    if usize::BITS < u64::BITS {
        return split_by_halves(rest);
    }
    let (front, last) = match u64::try_from(rest) {
        Ok(small) => (u128::from(small / 10), u8::try_from(small % 10)),
        Err(_) => (rest / 10, u8::try_from(rest % 10)),
    };
    (front, b'0'.saturating_add(last.unwrap_or_default()))
}

/// The same with divisions that a small chip has in hardware: those of 128 bits are kilobytes of code.
fn split_by_halves(rest: u128) -> (u128, u8) {
    let (mut bytes, mut last) = (rest.to_be_bytes(), 0_u32);
    let (halves, _) = bytes.as_chunks_mut::<2>();
    for half in halves {
        let sum = last << 16 | u32::from(u16::from_be_bytes(*half));
        *half = u16::try_from(sum / 10).unwrap_or_default().to_be_bytes();
        last = sum % 10;
    }
    (u128::from_be_bytes(bytes), b'0'.saturating_add(u8::try_from(last).unwrap_or_default()))
}

fn shortest(text: &str, put: Put<'_>) {
    let text = text.as_bytes();
    put(text::before(text, b".0").unwrap_or(text));
}

#[cold]
fn word(value: f64, put: Put<'_>) {
    put(match float::rank(value) {
        float::INFINITE => b"+Inf",
        float::NAN => b"NaN",
        _ => b"-Inf",
    });
}

/// A sign, 39 digits and a point, or the most places and as much in front of them.
const LEN: usize = 264;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::tests::text;
    use super::*;
    use std::format;

    #[test]
    fn floats_have_their_shortest_text() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (2.34, "2.34"),
            (1e15, "1000000000000000"),
            (9007199254740993.0, "9007199254740992"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (1e-5, "0.00001"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
        ] {
            assert_eq!(text(|put| double(value, put)), want);
        }
        for (value, want) in [
            (2.34, "2.34"),
            (0.1, "0.1"),
            (16777216.0, "16777216"),
            (f32::MAX, "3.4028235e+38"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(text(|put| single(value, put)), want);
        }
        assert_eq!((widened(2.34), widened(f32::INFINITY)), (2.34, f64::INFINITY));
    }

    #[test]
    fn any_bits_read_back_bit_for_bit() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200_000 {
            let dice = random.u64(..);
            let (long, short) = (f64::from_bits(dice), f32::from_bits(u32::try_from(dice >> 32).unwrap()));
            let read = number::parse(text(|put| double(long, put)).as_bytes()).unwrap();
            assert!(read.to_bits() == long.to_bits() || read.is_nan() && long.is_nan(), "{long:e}");
            let out = text(|put| single(short, put));
            let read: f32 = out.parse().unwrap();
            assert!(read.to_bits() == short.to_bits() || read.is_nan() && short.is_nan(), "{short:e}");
            let twice = float::single(number::parse(out.as_bytes()).unwrap());
            assert!(twice.to_bits() == short.to_bits() || twice.is_nan() && short.is_nan(), "{short:e}");
        }
    }

    #[test]
    fn both_ways_to_the_shortest_text_are_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        let is_same = |value: f64| {
            assert_eq!(text(|put| short(value, put)), text(|put| double(value, put)), "{value:e}");
        };
        for round in 0..50_000_u64 {
            let dice = random.u64(..);
            let bits = match round % 6 {
                0 => dice,
                // Powers of two, whose neighbours are not equally far away.
                1 => (round / 6 % 2047) << 52,
                // Integers and halves, quarters, .. of them: some lie in the midst of what is as short.
                2 => (float::unsigned(dice >> (dice & 63)) / float::unsigned(1 << (round & 15))).to_bits(),
                // Short ones.
                3 => number::parse(format!("{}e{}", dice >> 50, round % 640).replace("e", "e-").as_bytes())
                    .map_or(0, f64::to_bits),
                // The smallest.
                4 => dice >> 12 >> (dice & 63).min(51),
                _ => dice >> 60 | dice >> 52 << 52,
            };
            let value = f64::from_bits(bits);
            if value.is_finite() {
                is_same(value);
            }
        }
        for value in [
            0.0,
            -0.0,
            5e-324,
            1e23,
            9.5367431640625e-7,
            f64::from_bits(0x42e0_0000_0000_0004),
            f64::from_bits(0x42e0_0000_0000_000c),
            f64::MAX,
        ] {
            is_same(value);
        }
    }

    #[test]
    fn a_single_outlives_being_read_as_a_double() {
        let value = f32::from_bits(0x15ae_43fd);
        assert_eq!(zmij::Buffer::new().format_finite(value), "7.038531e-26");
        assert_ne!(float::single(number::parse(b"7.038531e-26").unwrap()), value);
        let out = text(|put| single(value, put));
        assert_eq!((float::single(number::parse(out.as_bytes()).unwrap()), out.parse()), (value, Ok(value)));
    }

    #[test]
    fn both_ways_to_divide_are_the_same() {
        let mut dice = 7_u128;
        for round in 0..20_000 {
            dice = dice.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(9);
            let size = dice >> (round % 128);
            assert_eq!(split_by_halves(size), split(size), "{size}");
        }
    }

    #[test]
    fn integers_are_exact() {
        for value in [0, 1, -1, 9, 10, -10, 1 << 53, (1 << 53) + 1, i64::MIN, i64::MAX] {
            assert_eq!(text(|put| signed(value, put)), format!("{value}"));
        }
        for value in [0, 7, 100, u64::MAX] {
            assert_eq!(text(|put| unsigned(value, put)), format!("{value}"));
        }
    }

    #[test]
    fn decimals_are_exact_and_have_no_idle_zeros() {
        for (is_negative, size, places, want) in [
            (false, 0, 0, "0"),
            (false, 0, 3, "0"),
            (true, 5, 0, "-5"),
            (false, 1, 3, "0.001"),
            (true, 1, 3, "-0.001"),
            (false, 123_456, 3, "123.456"),
            (false, 123_450, 3, "123.45"),
            (false, 123_000, 3, "123"),
            (false, 100, 1, "10"),
            (false, 10_005, 3, "10.005"),
            (false, 1000, 9, "0.000001"),
            (true, 18_446_744_073_709_551_615, 9, "-18446744073.709551615"),
            (false, u128::MAX, 0, "340282366920938463463374607431768211455"),
            (true, u128::MAX, 40, "-0.0340282366920938463463374607431768211455"),
        ] {
            assert_eq!(text(|put| decimal(is_negative, size, places, put)), want);
        }
        assert_eq!(text(|put| decimal(true, 1, 255, put)).len(), 258);
    }
}
