//! Short strings.

use core::cell::Cell;

use critical_section::Mutex;
use pmbridge_core::pcp::{Semantics, Type};

use super::{
    about::About,
    table::{Cells, Entry},
};

/// The longest string that a metric may have.
pub const MOST_TEXT: usize = 64;

/// A metric whose value is a string of at most `N` bytes, such as a version or a state.
///
/// ```compile_fail
/// # use pmbridge_embedded::metrics::Text;
/// static LONG: Text<65> = Text::new("device.story", "Too long.");
/// ```
#[derive(Debug)]
pub struct Text<const N: usize> {
    about: About,
    len: Mutex<Cell<usize>>,
    bytes: [Mutex<Cell<u8>>; N],
}

impl<const N: usize> Text<N> {
    /// An empty one.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        assert!(N > 0 && N <= MOST_TEXT, "a string has at most 64 bytes");
        Self {
            about: About::new(name, help, Type::STRING, Semantics::DISCRETE),
            len: Mutex::new(Cell::new(0)),
            bytes: [const { Mutex::new(Cell::new(0)) }; N],
        }
    }

    /// Labels that it has beside its value.
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
        Entry::new(&self.about, Cells::Text { len: &self.len, bytes: &self.bytes })
    }

    /// Sets it to as many whole characters of `text` as there is room for. Interrupts are off while it is copied.
    pub fn set(&self, text: &str) {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        critical_section::with(|token| {
            for (cell, byte) in self.bytes.iter().zip(text.as_bytes()).take(end) {
                cell.borrow(token).set(*byte);
            }
            self.len.borrow(token).set(end);
        });
    }
}
