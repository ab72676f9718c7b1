//! Numbers: one, or one for each instance.

use core::mem;

use pmbridge_core::pcp::{Semantics, Type, Units};
use portable_atomic::{AtomicU32, AtomicU64, Ordering};

use super::{
    about::About,
    table::{Cells, Entry, Numbers},
};

/// A number that can be the value of a metric: `u32`, `i32`, `f32`, `u64`, `i64` or `f64`.
pub trait Value: Copy + 'static {
    /// How PCP encodes it.
    #[doc(hidden)]
    const KIND: Type;
    /// What holds it.
    #[doc(hidden)]
    type Cell: Sync + 'static;
    /// A cell that holds nothing.
    #[doc(hidden)]
    const ZERO: Self::Cell;
    #[doc(hidden)]
    fn store(self, cell: &Self::Cell);
    #[doc(hidden)]
    fn load(cell: &Self::Cell) -> Self;
    /// The 64 bits that the store keeps of it.
    #[doc(hidden)]
    fn to_bits(self) -> u64;
}

/// A number that can be added to.
pub trait Integer: Value {
    #[doc(hidden)]
    fn add(self, cell: &Self::Cell);
}

/// A metric with a number of type `T`, or `N` of them, one for each instance.
///
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Metric;
/// static METRIC: Metric<u32> = Metric::gauge("no-name", "PCP has no dashes in names.");
/// ```
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Metric;
/// static METRIC: Metric<u32> = Metric::gauge("device.mute", "");
/// ```
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Metric;
/// static METRIC: Metric<u32, 2> = Metric::gauge("fan.speed", "Of each.").instances("fan", &["a", "a"]);
/// ```
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Metric;
/// static METRIC: Metric<u32, 2> = Metric::gauge("fan.speed", "Of each.").instances("fan", &["only one"]);
/// ```
#[derive(Debug)]
pub struct Metric<T: Value, const N: usize = 1> {
    about: About,
    cells: [T::Cell; N],
}

impl<T: Value> Metric<T> {
    /// What only grows: the rate is what matters.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(About::new(name, help, T::KIND, Semantics::COUNTER))
    }

    /// What may be anything at any time.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(About::new(name, help, T::KIND, Semantics::INSTANT))
    }

    /// What holds until it changes, which is seldom: a setting, a size.
    pub const fn setting(name: &'static str, help: &'static str) -> Self {
        Self::new(About::new(name, help, T::KIND, Semantics::DISCRETE))
    }

    const fn new(about: About) -> Self {
        Self { about, cells: [T::ZERO] }
    }

    /// It has a value for each of these, which are the values of this label.
    pub const fn instances<const M: usize>(
        self,
        label: &'static str,
        instances: &'static [&'static str; M],
    ) -> Metric<T, M> {
        let about = self.about.with_instances(label, instances);
        // What is generic cannot be dropped in a constant.
        mem::forget(self);
        Metric { about, cells: [const { T::ZERO }; M] }
    }
}

impl<T: Value, const N: usize> Metric<T, N> {
    /// What its values are in.
    #[must_use]
    pub const fn units(mut self, units: Units) -> Self {
        self.about.units = units;
        self
    }

    /// Labels that all its values have.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.about = self.about.with_labels(labels);
        self
    }

    /// What it is.
    pub const fn about(&self) -> About {
        self.about
    }

    /// Its row of a table.
    pub const fn entry(&'static self) -> Entry {
        Entry::new(&self.about, Cells::Numbers(self))
    }

    /// Sets the value of an instance, by its place among them; one that is not there is nobody's. Of a metric with one value
    /// that is 0.
    pub fn set(&self, instance: usize, value: T) {
        if let Some(cell) = self.cells.get(instance) {
            value.store(cell);
        }
    }

    /// The value of an instance, by its place among them.
    pub fn value(&self, instance: usize) -> Option<T> {
        self.cells.get(instance).map(T::load)
    }
}

impl<T: Integer, const N: usize> Metric<T, N> {
    /// Adds to the value of an instance, by its place among them; beyond the largest it begins anew.
    pub fn add(&self, instance: usize, more: T) {
        if let Some(cell) = self.cells.get(instance) {
            more.add(cell);
        }
    }
}

impl<T: Value, const N: usize> Numbers for Metric<T, N> {
    fn bits(&self, instance: usize) -> u64 {
        self.value(instance).map_or(0, T::to_bits)
    }
}

macro_rules! value {
    ($value:ty, $kind:ident, $cell:ident, $word:ty, $to:expr, $from:expr, $bits:expr) => {
        impl Value for $value {
            const KIND: Type = Type::$kind;
            type Cell = $cell;
            const ZERO: $cell = $cell::new(0);

            fn store(self, cell: &$cell) {
                let to: fn($value) -> $word = $to;
                cell.store(to(self), Ordering::Relaxed);
            }

            fn load(cell: &$cell) -> Self {
                let from: fn($word) -> $value = $from;
                from(cell.load(Ordering::Relaxed))
            }

            fn to_bits(self) -> u64 {
                let bits: fn($value) -> u64 = $bits;
                bits(self)
            }
        }
    };
}

macro_rules! integer {
    ($value:ty, $to:expr) => {
        impl Integer for $value {
            fn add(self, cell: &Self::Cell) {
                let to = $to;
                cell.fetch_add(to(self), Ordering::Relaxed);
            }
        }
    };
}

value!(u32, U32, AtomicU32, u32, |v| v, |v| v, u64::from);
value!(i32, I32, AtomicU32, u32, i32::cast_unsigned, u32::cast_signed, |v| i64::from(v).cast_unsigned());
value!(f32, FLOAT, AtomicU32, u32, f32::to_bits, f32::from_bits, |v| f64::from(v).to_bits());
value!(u64, U64, AtomicU64, u64, |v| v, |v| v, |v| v);
value!(i64, I64, AtomicU64, u64, i64::cast_unsigned, u64::cast_signed, i64::cast_unsigned);
value!(f64, DOUBLE, AtomicU64, u64, f64::to_bits, f64::from_bits, f64::to_bits);
integer!(u32, |v| v);
integer!(i32, i32::cast_unsigned);
integer!(u64, |v| v);
integer!(i64, i64::cast_unsigned);
