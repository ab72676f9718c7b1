//! In Prometheus' names values are in base units, seconds and bytes, which the name ends in.
//!
//! | units | the name ends in | a value is multiplied by |
//! |---|---|---|
//! | none, count | | the power of ten of its count |
//! | Kbyte | `bytes` | 1024 |
//! | millisec | `seconds` | 1/1000 |
//! | Kbyte / sec | `bytes_per_second` | 1024 |
//! | count / millisec, / millisec | `per_second` | 1000 |
//! | millisec / count | `seconds` | 1/1000 |
//! | count / Mbyte | `per_byte` | 1/1048576 |
//! | Kbyte hour | `byte_seconds` | 1024 * 3600 |
//! | byte^2 | `square_bytes` | 1 |
//! | sec^3, sec^4 | `cubic_seconds`, `seconds_to_4` | 1 |
//!
//! What is counted is in the name already, so count is never named. Scales that are none leave values as they are.

use super::Put;
use crate::{exposition::value, float, pcp::Units};

/// Writes what a name ends in whose values are in these units; nothing where they have no dimension but count.
pub fn name(units: Units, put: Put<'_>) {
    let (space, time) = (units.space(), units.time());
    let mut is_first = true;
    let mut word = |word: &[u8], put: Put<'_>| {
        put(if is_first { b"" } else { b"_" });
        is_first = false;
        put(word);
    };
    if space > 0 {
        // Of a product only the last factor has the plural.
        power(space, if time > 0 { b"byte" } else { b"bytes" }, &mut |piece| word(piece, put));
    }
    if time > 0 {
        power(time, b"seconds", &mut |piece| word(piece, put));
    }
    if space < 0 || time < 0 {
        word(b"per", put);
    }
    if space < 0 {
        power(space, b"byte", &mut |piece| word(piece, put));
    }
    if time < 0 {
        power(time, b"second", &mut |piece| word(piece, put));
    }
}

/// Whether a name of values in these units ends in nothing.
pub const fn is_plain(units: Units) -> bool {
    units.space() == 0 && units.time() == 0
}

/// Gives the words of a unit with its power.
fn power(power: i8, unit: &[u8], word: &mut dyn FnMut(&[u8])) {
    match power.unsigned_abs() {
        2 => word(b"square"),
        3 => word(b"cubic"),
        _ => {}
    }
    word(unit);
    let digit = match power.unsigned_abs() {
        4 => b"4",
        5 => b"5",
        6 => b"6",
        7 => b"7",
        8 => b"8",
        _ => return,
    };
    word(b"to");
    word(digit);
}

/// What values are to be multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Factor {
    /// They stay as they are.
    One,
    /// `times / 10^places`: integers stay exact.
    Exact {
        /// The number to multiply with.
        times: u64,
        /// How many digits then come behind the point.
        places: u8,
    },
    /// A number that decimals cannot say, or one beyond what a word holds: values are rounded.
    Rounded {
        /// The number to multiply with.
        times: f64,
        /// The number to divide by.
        over: f64,
    },
}

impl Factor {
    /// What brings values in these units to base units.
    pub fn of(units: Units) -> Self {
        let mut primes = Primes::default();
        if units.scale_space() < SPACES {
            primes.scale(units.space(), [i32::from(units.scale_space()).saturating_mul(10), 0, 0]);
        }
        if let Some(scale) = TIMES.get(usize::from(units.scale_time())) {
            primes.scale(units.time(), scale.map(i32::from));
        }
        // Nobody counts in another power than the first; a scale without a dimension is one all the same.
        let count = if units.count() == 0 { 1 } else { units.count() };
        let ten = i32::from(units.scale_count());
        primes.scale(count, [ten, 0, ten]);
        primes.factor()
    }

    /// Writes an integer multiplied by this.
    pub fn signed(self, value: i64, put: Put<'_>) {
        self.integer(value < 0, value.unsigned_abs(), put);
    }

    /// Writes an integer that is not negative multiplied by this.
    pub fn unsigned(self, value: u64, put: Put<'_>) {
        self.integer(false, value, put);
    }

    /// Writes a single multiplied by this, which is what its text says multiplied by this.
    pub fn single(self, value: f32, put: Put<'_>) {
        match self {
            Self::One => value::single(value, put),
            _ => self.double(value::widened(value), put),
        }
    }

    /// Writes a double multiplied by this.
    pub fn double(self, value: f64, put: Put<'_>) {
        let value = match self {
            Self::One => value,
            Self::Exact { times, places } => {
                float::over(float::times(value, float::unsigned(times)), ten(places))
            }
            Self::Rounded { times, over } => float::over(float::times(value, times), over),
        };
        value::double(value, put);
    }

    fn integer(self, is_negative: bool, size: u64, put: Put<'_>) {
        match self {
            Self::One => value::decimal(is_negative, u128::from(size), 0, put),
            Self::Exact { times, places } => {
                let product = u128::from(size).saturating_mul(u128::from(times));
                value::decimal(is_negative, product, places, put);
            }
            Self::Rounded { .. } => {
                let size = float::unsigned(size);
                self.double(if is_negative { -size } else { size }, put);
            }
        }
    }
}

/// A number as powers of the primes that all scales are made of.
#[derive(Clone, Copy, Default)]
struct Primes {
    two: i32,
    three: i32,
    five: i32,
}

impl Primes {
    /// Multiplies by the power of a scale.
    fn scale(&mut self, power: i8, scale: [i32; 3]) {
        let [two, three, five] = scale.map(|of| of.saturating_mul(power.into()));
        self.two = self.two.saturating_add(two);
        self.three = self.three.saturating_add(three);
        self.five = self.five.saturating_add(five);
    }

    fn factor(self) -> Factor {
        let Self { two, three, five } = self;
        if (two, three, five) == (0, 0, 0) {
            return Factor::One;
        }
        let places = 0.max(two.saturating_neg()).max(five.saturating_neg());
        let exact = || {
            let (two, five) = (two.checked_add(places)?, five.checked_add(places)?);
            let times = pow(2, two)?.checked_mul(pow(3, three)?)?.checked_mul(pow(5, five)?)?;
            let places = u8::try_from(places).ok().filter(|places| *places <= MAX_PLACES)?;
            Some(Factor::Exact { times, places })
        };
        exact().unwrap_or_else(|| {
            let above = |n: i32| n.max(0);
            let below = |n: i32| n.saturating_neg().max(0);
            Factor::Rounded {
                times: product(above(two), above(three), above(five)),
                over: product(below(two), below(three), below(five)),
            }
        })
    }
}

fn pow(base: u64, exponent: i32) -> Option<u64> {
    base.checked_pow(u32::try_from(exponent).ok()?)
}

/// Correctly rounded as long as the product without its twos has at most 53 bits, which those of all known scales have.
fn product(two: i32, three: i32, five: i32) -> f64 {
    let times = |start: f64, by: f64, n: i32| (0..n).fold(start, |product, _| float::times(product, by));
    times(times(times(1.0, 3.0, three), 5.0, five), 2.0, two)
}

fn ten(places: u8) -> f64 {
    product(i32::from(places), 0, i32::from(places))
}

/// With these, and what a word holds in front of them, doubles divide by a power of ten that is exact.
const MAX_PLACES: u8 = 22;

/// How many scales of space there are, each 1024 times the one before.
const SPACES: u8 = 9;

/// Powers of two, three and five.
const TIMES: [[i8; 3]; 6] = [[-9, 0, -9], [-6, 0, -6], [-3, 0, -3], [0, 0, 0], [2, 1, 1], [4, 2, 2]];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::exposition::tests::text;

    /// Every combination that stock PCP has, and some that it has not; 1234567 of each, and 1.5.
    const ROWS: &[(Units, &str, &str, &str)] = &[
        (Units::NONE, "", "1234567", "1.5"),
        (Units::COUNT, "", "1234567", "1.5"),
        (Units::new(0, 0, 1, 0, 2, 0), "", "1234567", "1.5"),
        (Units::new(0, 0, 1, 1, 0, 0), "", "1234567", "1.5"),
        (Units::new(0, 0, 1, 0, 0, 3), "", "1234567000", "1500"),
        (Units::new(0, 0, 1, 0, 0, -3), "", "1234.567", "0.0015"),
        (Units::new(0, 0, 0, 0, 0, 2), "", "123456700", "150"),
        (Units::BYTE, "bytes", "1234567", "1.5"),
        (Units::KBYTE, "bytes", "1264196608", "1536"),
        (Units::new(1, 0, 0, 2, 0, 0), "bytes", "1294537326592", "1572864"),
        (Units::new(1, 0, 0, 3, 0, 0), "bytes", "1325606222430208", "1610612736"),
        (Units::new(1, 0, 0, 4, 0, 0), "bytes", "1357420771768532992", "1649267441664"),
        (Units::new(1, 0, 0, 5, 0, 0), "bytes", "1389998870290977783808", "1688849860263936"),
        (Units::new(1, 0, 0, 6, 0, 0), "bytes", "1423358843177961250619392", "1.7293822569102705e+18"),
        (Units::new(1, 0, 0, 8, 0, 0), "bytes", "1.492499922344174e+30", "1.8133887294219438e+24"),
        (Units::new(1, 0, 0, 15, 0, 0), "bytes", "1234567", "1.5"),
        (Units::NANOSEC, "seconds", "0.001234567", "1.5e-9"),
        (Units::MICROSEC, "seconds", "1.234567", "1.5e-6"),
        (Units::MILLISEC, "seconds", "1234.567", "0.0015"),
        (Units::SECOND, "seconds", "1234567", "1.5"),
        (Units::new(0, 1, 0, 0, 4, 0), "seconds", "74074020", "90"),
        (Units::new(0, 1, 0, 0, 5, 0), "seconds", "4444441200", "5400"),
        (Units::new(0, 1, 0, 0, 9, 0), "seconds", "1234567", "1.5"),
        (Units::new(0, -1, 1, 0, 3, 0), "per_second", "1234567", "1.5"),
        (Units::new(0, -1, 1, 0, 3, 6), "per_second", "1234567000000", "1500000"),
        (Units::new(0, -1, 1, 0, 1, 0), "per_second", "1234567000000", "1500000"),
        (Units::new(0, -1, 0, 0, 3, 0), "per_second", "1234567", "1.5"),
        (Units::new(0, -1, 0, 0, 2, 0), "per_second", "1234567000", "1500"),
        (Units::new(0, -1, 0, 0, 1, 0), "per_second", "1234567000000", "1500000"),
        (Units::new(0, -1, 0, 0, 5, 0), "per_second", "342.9352777777778", "0.0004166666666666667"),
        (Units::new(0, 1, -1, 0, 1, 0), "seconds", "1.234567", "1.5e-6"),
        (Units::new(0, 1, -1, 0, 3, 0), "seconds", "1234567", "1.5"),
        (Units::new(0, 1, -1, 0, 5, 0), "seconds", "4444441200", "5400"),
        (Units::new(1, -1, 0, 0, 3, 0), "bytes_per_second", "1234567", "1.5"),
        (Units::new(1, -1, 0, 1, 3, 0), "bytes_per_second", "1264196608", "1536"),
        (Units::new(1, -1, 0, 2, 3, 0), "bytes_per_second", "1294537326592", "1572864"),
        (Units::new(1, -1, 0, 0, 2, 0), "bytes_per_second", "1234567000", "1500"),
        (Units::new(1, -1, 0, 0, 5, 0), "bytes_per_second", "342.9352777777778", "0.0004166666666666667"),
        (Units::new(1, 0, -1, 0, 0, 0), "bytes", "1234567", "1.5"),
        (Units::new(-1, 0, 1, 2, 0, 0), "per_byte", "1.17737483978271484375", "1.430511474609375e-6"),
        (Units::new(-1, 0, 1, 2, 0, 1), "per_byte", "11.7737483978271484375", "0.00001430511474609375"),
        (Units::new(-1, 0, 1, 2, 0, 6), "per_byte", "1177374.83978271484375", "1.430511474609375"),
        (Units::new(1, 1, 0, 1, 5, 0), "byte_seconds", "4551107788800", "5529600"),
        (Units::new(2, 0, 0, 1, 0, 0), "square_bytes", "1294537326592", "1572864"),
        (Units::new(0, 3, 0, 0, 3, 0), "cubic_seconds", "1234567", "1.5"),
        (Units::new(0, 4, 0, 0, 3, 0), "seconds_to_4", "1234567", "1.5"),
        (Units::new(1, -2, 0, 0, 3, 0), "bytes_per_square_second", "1234567", "1.5"),
        (Units::new(-1, -1, 0, 0, 3, 0), "per_byte_second", "1234567", "1.5"),
    ];

    #[test]
    fn units_become_base_units_in_the_name_and_the_value() {
        for (units, end, integer, float) in ROWS {
            let factor = Factor::of(*units);
            assert_eq!(text(|put| name(*units, put)), *end, "{units}");
            assert_eq!(is_plain(*units), end.is_empty());
            assert_eq!(text(|put| factor.signed(1_234_567, put)), *integer, "{units}");
            assert_eq!(text(|put| factor.unsigned(1_234_567, put)), *integer, "{units}");
            assert_eq!(text(|put| factor.signed(-1_234_567, put)), std::format!("-{integer}"), "{units}");
            assert_eq!(text(|put| factor.double(1.5, put)), *float, "{units}");
            assert_eq!(text(|put| factor.single(1.5, put)), *float, "{units}");
        }
    }

    #[test]
    fn the_largest_integers_stay_exact_and_singles_what_they_say() {
        let kilo = Factor::of(Units::KBYTE);
        assert_eq!(text(|put| kilo.unsigned(u64::MAX, put)), "18889465931478580853760");
        assert_eq!(text(|put| kilo.signed(i64::MIN, put)), "-9444732965739290427392");
        assert_eq!(text(|put| Factor::of(Units::MILLISEC).single(2.34, put)), "0.00234");
        assert_eq!(text(|put| kilo.double(f64::NAN, put)), "NaN");
        assert_eq!(text(|put| kilo.single(f32::NEG_INFINITY, put)), "-Inf");
        assert_eq!(text(|put| kilo.double(f64::MAX, put)), "+Inf");
    }
}
