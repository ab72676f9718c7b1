//! Units are powers of space, time and count, each with a scale, packed in one word.

use core::fmt;

/// Dimension and scale of a value. Keeps every bit pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Units(u32);

impl Units {
    /// Scale of plain bytes.
    pub const SCALE_BYTE: u8 = 0;
    /// Scale of 1024 bytes; those after it grow by 1024 each.
    pub const SCALE_KBYTE: u8 = 1;
    /// Scale of 1024 Kbyte.
    pub const SCALE_MBYTE: u8 = 2;
    /// Scale of 1024 Mbyte.
    pub const SCALE_GBYTE: u8 = 3;
    /// Scale of 1024 Gbyte.
    pub const SCALE_TBYTE: u8 = 4;
    /// Scale of 1024 Tbyte.
    pub const SCALE_PBYTE: u8 = 5;
    /// Scale of 1024 Pbyte.
    pub const SCALE_EBYTE: u8 = 6;
    /// Scale of 1024 Ebyte.
    pub const SCALE_ZBYTE: u8 = 7;
    /// Scale of 1024 Zbyte.
    pub const SCALE_YBYTE: u8 = 8;
    /// Scale of nanoseconds.
    pub const SCALE_NANOSEC: u8 = 0;
    /// Scale of microseconds.
    pub const SCALE_MICROSEC: u8 = 1;
    /// Scale of milliseconds.
    pub const SCALE_MILLISEC: u8 = 2;
    /// Scale of seconds.
    pub const SCALE_SEC: u8 = 3;
    /// Scale of minutes.
    pub const SCALE_MIN: u8 = 4;
    /// Scale of hours.
    pub const SCALE_HOUR: u8 = 5;

    /// No dimension.
    pub const NONE: Self = Self(0);
    /// Things counted.
    pub const COUNT: Self = Self::new(0, 0, 1, 0, 0, 0);
    /// Bytes.
    pub const BYTE: Self = Self::new(1, 0, 0, Self::SCALE_BYTE, 0, 0);
    /// 1024 bytes.
    pub const KBYTE: Self = Self::new(1, 0, 0, Self::SCALE_KBYTE, 0, 0);
    /// Nanoseconds.
    pub const NANOSEC: Self = Self::new(0, 1, 0, 0, Self::SCALE_NANOSEC, 0);
    /// Microseconds.
    pub const MICROSEC: Self = Self::new(0, 1, 0, 0, Self::SCALE_MICROSEC, 0);
    /// Milliseconds.
    pub const MILLISEC: Self = Self::new(0, 1, 0, 0, Self::SCALE_MILLISEC, 0);
    /// Seconds.
    pub const SECOND: Self = Self::new(0, 1, 0, 0, Self::SCALE_SEC, 0);

    /// Powers and scales. Of each the low four bits count: powers and the scale of count are signed.
    #[expect(clippy::cast_sign_loss, reason = "the fields are two's complement nibbles")]
    pub const fn new(
        space: i8,
        time: i8,
        count: i8,
        scale_space: u8,
        scale_time: u8,
        scale_count: i8,
    ) -> Self {
        Self(
            ((space as u32) & 15) << 28
                | ((time as u32) & 15) << 24
                | ((count as u32) & 15) << 20
                | ((scale_space as u32) & 15) << 16
                | ((scale_time as u32) & 15) << 12
                | ((scale_count as u32) & 15) << 8,
        )
    }

    /// The units with these bits, known or not.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as they are sent.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    const fn nibble(self, shift: u32) -> u8 {
        (self.0.wrapping_shr(shift) & 15) as u8
    }

    const fn signed(self, shift: u32) -> i8 {
        (self.nibble(shift).wrapping_shl(4) as i8).wrapping_shr(4)
    }

    /// Power of space.
    pub const fn space(self) -> i8 {
        self.signed(28)
    }

    /// Power of time.
    pub const fn time(self) -> i8 {
        self.signed(24)
    }

    /// Power of count.
    pub const fn count(self) -> i8 {
        self.signed(20)
    }

    /// Scale of space, 0 byte to 8 Ybyte.
    pub const fn scale_space(self) -> u8 {
        self.nibble(16)
    }

    /// Scale of time, 0 nanosec to 5 hour.
    pub const fn scale_time(self) -> u8 {
        self.nibble(12)
    }

    /// Scale of count, a power of ten.
    pub const fn scale_count(self) -> i8 {
        self.signed(8)
    }

    /// Writes the dimensions whose power has this sign, and says whether there were any.
    fn side(self, f: &mut fmt::Formatter<'_>, sign: i8) -> Result<bool, fmt::Error> {
        let mut any = false;
        let sides = [(self.space(), Side::Space), (self.time(), Side::Time), (self.count(), Side::Count)];
        for (power, side) in sides {
            if power.signum() != sign {
                continue;
            }
            f.write_str(if any { " " } else { "" })?;
            any = true;
            match side {
                Side::Space => name(f, &SPACES, self.scale_space(), "space")?,
                Side::Time => name(f, &TIMES, self.scale_time(), "time")?,
                Side::Count => f.write_str("count")?,
            }
            if side == Side::Count && self.scale_count() != 0 {
                ten(f, self.scale_count())?;
            }
            if power.unsigned_abs() != 1 {
                write!(f, "^{}", power.unsigned_abs())?;
            }
        }
        Ok(any)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Space,
    Time,
    Count,
}

fn name(f: &mut fmt::Formatter<'_>, names: &[&str], scale: u8, other: &str) -> fmt::Result {
    match names.get(usize::from(scale)) {
        Some(name) => f.write_str(name),
        None => write!(f, "{other}-{scale}"),
    }
}

fn ten(f: &mut fmt::Formatter<'_>, scale: i8) -> fmt::Result {
    if scale == 1 { f.write_str(" x 10") } else { write!(f, " x 10^{scale}") }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.space(), self.time(), self.count()) == (0, 0, 0) {
            return match self.scale_count() {
                0 => f.write_str("none"),
                1 => f.write_str("x 10"),
                scale => write!(f, "x 10^{scale}"),
            };
        }
        let above = self.side(f, 1)?;
        if self.space() < 0 || self.time() < 0 || self.count() < 0 {
            f.write_str(if above { " / " } else { "/ " })?;
            self.side(f, -1)?;
        }
        Ok(())
    }
}

const SPACES: [&str; 9] = ["byte", "Kbyte", "Mbyte", "Gbyte", "Tbyte", "Pbyte", "Ebyte", "Zbyte", "Ybyte"];
const TIMES: [&str; 6] = ["nanosec", "microsec", "millisec", "sec", "min", "hour"];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn units_print_as_pminfo_prints_them() {
        for (units, bits, text) in [
            (Units::NONE, 0, "none"),
            (Units::COUNT, 0x0010_0000, "count"),
            (Units::BYTE, 0x1000_0000, "byte"),
            (Units::SECOND, 0x0100_3000, "sec"),
            (Units::MILLISEC, 0x0100_2000, "millisec"),
            (Units::new(1, -1, 0, 1, 3, 0), 0x1f01_3000, "Kbyte / sec"),
            (Units::new(0, -1, 0, 0, 3, 0), 0x0f00_3000, "/ sec"),
            (Units::new(0, 0, 1, 0, 0, 3), 0x0010_0300, "count x 10^3"),
            (Units::new(2, 1, -1, 2, 5, -3), 0x21f2_5d00, "Mbyte^2 hour / count x 10^-3"),
        ] {
            assert_eq!(units.to_bits(), bits, "{text}");
            assert_eq!(units.to_string(), text);
        }
    }

    #[test]
    fn parts_come_back_with_their_signs() {
        let units = Units::new(-8, 7, -1, 15, 9, -8);
        assert_eq!((units.space(), units.time(), units.count()), (-8, 7, -1));
        assert_eq!((units.scale_space(), units.scale_time(), units.scale_count()), (15, 9, -8));
    }
}
