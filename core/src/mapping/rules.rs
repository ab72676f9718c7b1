//! Rules are what a source's configuration says about the samples that it sends.

use super::pcpline::PcpLine;

/// What becomes of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "the configuration has these words")]
pub enum Fate {
    /// It tells instances apart, and is told with them.
    Keep,
    /// Nobody hears of it.
    Drop,
    /// It is told and does not tell instances apart.
    Optional,
}

/// What a source's configuration says about what it sends.
///
/// Where the crate is built without its feature `full`, only [`takes`](Self::takes) is asked: all labels are kept, all values
/// are doubles, and what is not taken is not known the next time.
///
/// Asked once for each metric and series that is new, never for a sample that is [known](Self::remembers).
pub trait Rules {
    /// Whether samples of this name, as exposed, are taken.
    fn takes(&self, name: &str) -> bool;

    /// Whether a line that is not taken is known the next time, at the cost of a series. If not, [`takes`](Self::takes) is
    /// asked for it in each document: where memory is dear and asking is not.
    fn remembers(&self) -> bool {
        true
    }

    /// What becomes of a label of this name.
    fn label(&self, name: &str) -> Fate;

    /// What the metric of this name, as exposed, is said to be.
    fn describe<'a>(&self, name: &'a str) -> Option<PcpLine<'a>>;

    /// What a comment says of the metric behind it, if it is a PCP line. Who says `None` of each, as a chip may whose
    /// neighbours have no such lines, needs no reader of PCP's units in the image.
    fn remark<'a>(&self, comment: &'a str) -> Option<PcpLine<'a>> {
        PcpLine::parse(comment)
    }
}

/// Everything is taken as it comes.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct Plain;

impl Rules for Plain {
    fn takes(&self, _: &str) -> bool {
        true
    }

    fn label(&self, _: &str) -> Fate {
        Fate::Keep
    }

    fn describe<'a>(&self, _: &'a str) -> Option<PcpLine<'a>> {
        None
    }
}

impl<P: core::ops::Deref<Target: Rules>> Rules for P {
    fn takes(&self, name: &str) -> bool {
        (**self).takes(name)
    }

    fn remembers(&self) -> bool {
        (**self).remembers()
    }

    fn label(&self, name: &str) -> Fate {
        (**self).label(name)
    }

    fn describe<'a>(&self, name: &'a str) -> Option<PcpLine<'a>> {
        (**self).describe(name)
    }

    fn remark<'a>(&self, comment: &'a str) -> Option<PcpLine<'a>> {
        (**self).remark(comment)
    }
}
