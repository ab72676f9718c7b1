//! Arithmetic of doubles, bit for bit as IEEE 754 has it, in as little code as it takes.
//!
//! Few chips have a unit for doubles. What a compiler puts in its place is fast and long: half a kilobyte of [`soft`]
//! does for the few products and quotients here what takes four there. All other targets have the unit.

pub(crate) mod soft;

/// Whether the target computes with doubles itself.
pub(crate) const HAS_UNIT: bool = !cfg!(target_os = "none");

/// The product.
#[inline]
pub(crate) fn times(a: f64, b: f64) -> f64 {
    if HAS_UNIT { a * b } else { soft::times(a, b) }
}

/// The quotient.
#[inline]
pub(crate) fn over(a: f64, b: f64) -> f64 {
    if HAS_UNIT { a / b } else { soft::over(a, b) }
}

/// The double that is closest to an integer.
#[inline]
pub(crate) fn unsigned(integer: u64) -> f64 {
    if HAS_UNIT { integer as f64 } else { soft::unsigned(integer) }
}

/// The double that is closest to an integer.
#[inline]
pub(crate) fn signed(integer: i64) -> f64 {
    if HAS_UNIT {
        return integer as f64;
    }
    let size = soft::unsigned(integer.unsigned_abs());
    if integer < 0 { -size } else { size }
}

/// The single that is closest to a double.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "that is what rounding is")]
pub(crate) fn single(double: f64) -> f32 {
    if HAS_UNIT { double as f32 } else { soft::single(double) }
}

/// The double that is a single.
#[inline]
pub(crate) fn double(single: f32) -> f64 {
    if HAS_UNIT { f64::from(single) } else { soft::double(single) }
}

/// An integer that is less where a double is, and the same where that is; of a NaN the least.
#[cfg_attr(not(target_pointer_width = "32"), inline)]
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) const fn rank(value: f64) -> i64 {
    let bits = value.to_bits();
    let size = bits & !soft::SIGN;
    if size > soft::INFINITE {
        NAN
    } else if bits > size {
        0_i64.wrapping_sub_unsigned(size)
    } else {
        size.cast_signed()
    }
}

/// The integer that a float is, where it is one and exactly so: of those beyond [`WHOLE`] nobody knows.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and the way back compared")]
pub(crate) fn whole(value: f64) -> Option<i64> {
    if !HAS_UNIT {
        return soft::whole(value);
    }
    let integer = value as i64;
    (value.abs() <= WHOLE && integer as f64 == value).then_some(integer)
}

/// The rank of what is no number.
pub(crate) const NAN: i64 = i64::MIN;
/// The rank of what is larger than all others.
pub(crate) const INFINITE: i64 = rank(f64::INFINITY);
/// Up to here floats have all integers, and beyond nothing else.
pub(crate) const WHOLE: f64 = 9_007_199_254_740_992.0;
