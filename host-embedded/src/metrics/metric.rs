//! Numbers: one, or one for each instance.

use core::cell::Cell;

use critical_section::Mutex;
use pmbridge_core::pcp::{Semantics, Type, Units};

use super::{
    about::About,
    table::{Cells, Entry, Numbers},
};

/// A number that can be the value of a metric: `u32`, `i32`, `f32`, `u64`, `i64` or `f64`.
pub trait Value: Copy + Send + 'static {
    /// How PCP encodes it.
    #[doc(hidden)]
    const KIND: Type;
    /// What a metric begins with.
    #[doc(hidden)]
    const ZERO: Self;
    /// The 64 bits that the store keeps of it.
    #[doc(hidden)]
    fn to_bits(self) -> u64;
}

/// A number that can be added to.
pub trait Integer: Value {
    #[doc(hidden)]
    fn plus(self, more: Self) -> Self;
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
    cells: [Mutex<Cell<T>>; N],
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
        Self { about, cells: [Mutex::new(Cell::new(T::ZERO))] }
    }

    /// It has a value for each of these, which are the values of this label.
    pub const fn instances<const M: usize>(
        self,
        label: &'static str,
        instances: &'static [&'static str; M],
    ) -> Metric<T, M> {
        Metric {
            about: self.about.with_instances(label, instances),
            cells: [const { Mutex::new(Cell::new(T::ZERO)) }; M],
        }
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
    #[inline(never)]
    pub fn set(&self, instance: usize, value: T) {
        if let Some(cell) = self.cells.get(instance) {
            critical_section::with(|token| cell.borrow(token).set(value));
        }
    }

    /// The value of an instance, by its place among them.
    pub fn value(&self, instance: usize) -> Option<T> {
        self.cells.get(instance).map(|cell| critical_section::with(|token| cell.borrow(token).get()))
    }
}

impl<T: Integer, const N: usize> Metric<T, N> {
    /// Adds to the value of an instance, by its place among them; beyond the largest it begins anew.
    pub fn add(&self, instance: usize, more: T) {
        if let Some(cell) = self.cells.get(instance) {
            critical_section::with(|token| {
                let cell = cell.borrow(token);
                cell.set(cell.get().plus(more));
            });
        }
    }
}

impl<T: Value, const N: usize> Numbers for Metric<T, N> {
    fn bits(&self, instance: usize) -> u64 {
        self.value(instance).map_or(0, T::to_bits)
    }
}

macro_rules! value {
    ($value:ty, $kind:ident, $zero:expr, $bits:expr) => {
        impl Value for $value {
            const KIND: Type = Type::$kind;
            const ZERO: Self = $zero;

            fn to_bits(self) -> u64 {
                let bits: fn(Self) -> u64 = $bits;
                bits(self)
            }
        }
    };
}

macro_rules! integer {
    ($value:ty, $kind:ident, $bits:expr) => {
        value!($value, $kind, 0, $bits);

        impl Integer for $value {
            fn plus(self, more: Self) -> Self {
                self.wrapping_add(more)
            }
        }
    };
}

integer!(u32, U32, u64::from);
integer!(i32, I32, |value| i64::from(value).cast_unsigned());
integer!(u64, U64, |value| value);
integer!(i64, I64, i64::cast_unsigned);
value!(f32, FLOAT, 0.0, |value| f64::from(value).to_bits());
value!(f64, DOUBLE, 0.0, f64::to_bits);
