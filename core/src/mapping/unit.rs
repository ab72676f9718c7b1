//! Units are guessed from the words of a name, or read as PCP's tools write them.
//!
//! [`parse`] takes what `pmParseUnitsStr` takes: base units with an optional power, at most one
//! slash, any numbers between, which make a factor: `Kbyte / sec`, `100 millisec`,
//! `count x 10^3`, `millisec^-1`, `MiB`.

use super::{Family, has_piece, is_among};
use crate::{exposition::number, float, pcp::Units};

/// The units of a metric that no PCP line describes.
pub fn units(name: &str, family: Family) -> Units {
    let has = |word| has_piece(name, word);
    let counts = match family {
        Family::Histogram => has("count") || has("bucket"),
        Family::Summary => has("count"),
        _ => false,
    };
    if counts {
        Units::COUNT
    } else if has("seconds") {
        Units::SECOND
    } else if has("microseconds") {
        Units::MICROSEC
    } else if has("bytes") {
        Units::BYTE
    } else {
        Units::NONE
    }
}

/// Reads units in words, and what values are to be multiplied by to be in them. `None` is a word that is no unit, a unit
/// twice, or a power out of bounds.
pub fn parse(words: &str) -> Option<(Units, f64)> {
    let mut rest = words.trim_ascii().as_bytes();
    if rest == b"none" {
        return Some((Units::NONE, 1.0));
    }
    let mut factor = 1.0;
    let mut above = [Power::default(); 3];
    let mut below: Option<[Power; 3]> = None;
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'/' if below.is_none() => {
                below = Some(above);
                above = [Power::default(); 3];
                rest = after;
            }
            byte if byte.is_ascii_whitespace() => rest = after,
            byte if byte.is_ascii_digit() || matches!(byte, b'.' | b'-') => {
                let (value, after) = factor_of(rest)?;
                factor =
                    if below.is_none() { float::times(factor, value) } else { float::over(factor, value) };
                rest = after;
            }
            _ => rest = base(rest, &mut above)?,
        }
    }
    let (above, below) = match below {
        Some(first) => (first, above),
        None => (above, [Power::default(); 3]),
    };
    let [space, time, count] = [0usize, 1, 2].map(|at| {
        let (above, below) = (above.get(at)?, below.get(at)?);
        above.over(*below)
    });
    let (space, time, count) = (space?, time?, count?);
    let units = Units::new(
        space.power,
        time.power,
        count.power,
        space.scale.unsigned_abs(),
        time.scale.unsigned_abs(),
        count.scale,
    );
    // PCP takes units with a factor that cannot be one, too.
    Some((units, if factor.is_normal() { factor } else { 1.0 }))
}

/// A dimension on one side of the slash.
#[derive(Clone, Copy, Default)]
struct Power {
    power: i8,
    scale: i8,
}

impl Power {
    /// This above the slash and that below. Where both sides have the dimension the smaller scale holds.
    fn over(self, below: Self) -> Option<Self> {
        let power = self.power.checked_sub(below.power)?;
        let scale = match (power, self.power, below.power) {
            (0, ..) => 0,
            (_, _, 0) => self.scale,
            (_, 0, _) => below.scale,
            _ => self.scale.min(below.scale),
        };
        let fits = (-8..8).contains(&power) && (-8..9).contains(&scale);
        fits.then_some(Self { power, scale })
    }
}

#[derive(Clone, Copy)]
enum Dimension {
    Space,
    Time,
    Count,
}

/// Takes one base unit with its power off the front.
fn base<'a>(rest: &'a [u8], powers: &mut [Power; 3]) -> Option<&'a [u8]> {
    let (word, mut rest) = run(rest, u8::is_ascii_alphabetic)?;
    let (dimension, mut scale) = name(word)?;
    if word.eq_ignore_ascii_case(b"count")
        && let Some(after) = strip(rest, b" x 10")
    {
        scale = 1;
        rest = after;
        if let Some((ten, after)) = power(rest)
            && ten != 0
        {
            scale = ten;
            rest = after;
        }
        if !(-8..8).contains(&scale) {
            return None;
        }
    }
    let mut this = Power { power: 1, scale };
    if let Some((power, after)) = power(rest) {
        this.power = power;
        rest = after;
    }
    if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != b'/') {
        return None;
    }
    let [space, time, count] = powers;
    let slot = match dimension {
        Dimension::Space => space,
        Dimension::Time => time,
        Dimension::Count => count,
    };
    if slot.power != 0 {
        return None;
    }
    *slot = this;
    Some(rest)
}

/// Takes `^N` off the front.
fn power(rest: &[u8]) -> Option<(i8, &[u8])> {
    let rest = strip(rest, b"^")?;
    let (negative, rest) = match strip(rest, b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (digits, rest) = run(rest, u8::is_ascii_digit)?;
    let value = match *digits {
        [one] => one.checked_sub(b'0')?,
        [b'1', one] => one.checked_sub(b'0')?.checked_add(10)?,
        _ => return None,
    };
    let value = i8::try_from(value).ok()?;
    match (negative, value) {
        (false, 0..=15) => Some((value, rest)),
        (true, 1..=8) => Some((value.checked_neg()?, rest)),
        _ => None,
    }
}

/// Takes a number off the front.
fn factor_of(text: &[u8]) -> Option<(f64, &[u8])> {
    let unsigned = strip(text, b"-").unwrap_or(text);
    let (digits, rest) = run(unsigned, |byte| byte.is_ascii_digit() || *byte == b'.')?;
    if digits.iter().all(|byte| *byte == b'.') {
        return None;
    }
    let exponent = strip(rest, b"e").and_then(|after| {
        let after = strip(after, b"-").or_else(|| strip(after, b"+")).unwrap_or(after);
        run(after, u8::is_ascii_digit)
    });
    let rest = exponent.map_or(rest, |(_, after)| after);
    let len = text.len().checked_sub(rest.len())?;
    Some((number::parse(text.get(..len)?)?, rest))
}

/// Splits after the leading bytes of a sort, of which there must be one.
fn run(rest: &[u8], is: impl Fn(&u8) -> bool) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| !is(byte)).unwrap_or(rest.len());
    if end == 0 { None } else { rest.split_at_checked(end) }
}

/// Takes a prefix off, in either case.
fn strip<'a>(rest: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = rest.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What a base unit measures, and its scale.
fn name(word: &[u8]) -> Option<(Dimension, i8)> {
    if is_among(word, "count counts") {
        return Some((Dimension::Count, 0));
    }
    if is_among(word, "byte bytes") {
        return Some((Dimension::Space, 0));
    }
    for (scale, names) in (0_i8..).zip(TIMES) {
        if is_among(word, names) {
            return Some((Dimension::Time, scale));
        }
    }
    for (scale, prefixes) in (1_i8..).zip(SPACES) {
        let mut prefixes = prefixes.as_bytes().split(u8::is_ascii_whitespace);
        let short = prefixes.next().and_then(|letter| strip(word, letter));
        let mut long = prefixes.filter_map(|prefix| strip(word, prefix));
        if short.is_some_and(|rest| is_among(rest, "byte bytes b ib"))
            || long.any(|rest| is_among(rest, "byte bytes"))
        {
            return Some((Dimension::Space, scale));
        }
    }
    None
}

/// Times, in the order of their scales.
const TIMES: [&str; 6] = [
    "ns nanosec nanosecond nanoseconds",
    "us microsec microsecond microseconds",
    "ms millisec millisecond milliseconds",
    "s sec second seconds",
    "min minute minutes",
    "h hr hour hours",
];

/// What stands in front of bytes, in the order of their scales: a letter, and words.
const SPACES: [&str; 8] = [
    "k kilo kibi",
    "m mega mebi",
    "g giga gibi",
    "t tera tebi",
    "p peta pebi",
    "e exa exbi",
    "z zetta zebi",
    "y yotta yobi",
];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn words_of_a_name_make_its_units() {
        for (name, family, want) in [
            ("x", Family::Untyped, Units::NONE),
            ("x_count", Family::Untyped, Units::NONE),
            ("x_count", Family::Counter, Units::NONE),
            ("x_count", Family::Histogram, Units::COUNT),
            ("x_count", Family::Summary, Units::COUNT),
            ("x_seconds_count", Family::Summary, Units::COUNT),
            ("x_seconds_bucket", Family::Histogram, Units::COUNT),
            ("x_seconds_bucket", Family::Summary, Units::SECOND),
            ("x_seconds_sum", Family::Histogram, Units::SECOND),
            ("x_seconds_total", Family::Counter, Units::SECOND),
            ("seconds_x", Family::Gauge, Units::SECOND),
            ("x_microseconds", Family::Gauge, Units::MICROSEC),
            ("x_microseconds_per_seconds", Family::Gauge, Units::SECOND),
            ("x_bytes", Family::Gauge, Units::BYTE),
            ("x_bytes_seconds", Family::Gauge, Units::SECOND),
            ("x_bytes_total", Family::Untyped, Units::BYTE),
            ("x_milliseconds", Family::Gauge, Units::NONE),
            ("x_kilobytes", Family::Gauge, Units::NONE),
            ("x_Bytes", Family::Gauge, Units::NONE),
            ("a:bytes", Family::Gauge, Units::NONE),
        ] {
            assert_eq!(units(name, family), want, "{name} {family:?}");
        }
    }

    #[test]
    fn words_are_read_as_pcp_reads_them() {
        assert_eq!(parse("none"), Some((Units::NONE, 1.0)));
        for line in include_str!("units.txt").lines().filter(|line| !line.starts_with('#')) {
            let (words, want) = line.rsplit_once(" | ").unwrap();
            let want: Vec<i8> = want.split(' ').filter_map(|number| number.parse().ok()).collect();
            let want = match want[..] {
                [space, time, count, scale_space, scale_time, scale_count] => Some(Units::new(
                    space,
                    time,
                    count,
                    scale_space.cast_unsigned(),
                    scale_time.cast_unsigned(),
                    scale_count,
                )),
                _ => None,
            };
            let words: String = words.replace("\\t", "\t");
            assert_eq!(parse(&words).map(|(units, _)| units), want, "{words}");
        }
    }
}
