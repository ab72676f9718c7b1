//! A metric family is of the type that its TYPE line names; without one it is of none.

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Family {
    /// No TYPE line, or one that says it does not know.
    #[default]
    Untyped,
    /// Only grows.
    Counter,
    /// May be anything at any time.
    Gauge,
    /// Counts in buckets, with their sum and number.
    Histogram,
    /// Quantiles, with the sum and number of what was observed.
    Summary,
    /// Text about what is there: labels of a value of 1.
    Info,
    /// Which of some states hold.
    StateSet,
    /// Counts in buckets, with their sum and number, of which each may be less the next time.
    GaugeHistogram,
    /// Any other word, which is an error.
    Other,
}

impl Family {
    /// Reads what follows the name in a TYPE line. Case matters, and so does a second word.
    pub fn parse(kind: &str) -> Self {
        match kind {
            "" | "untyped" | "unknown" => Self::Untyped,
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            "gaugehistogram" => Self::GaugeHistogram,
            _ => Self::Other,
        }
    }

    /// The parts that OpenMetrics gives a family of this type, whose names no other family has.
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::Untyped | Self::Gauge | Self::StateSet | Self::Other => &[],
            Self::Counter => &[Part::Total, Part::Created],
            Self::Histogram => &[Part::Bucket, Part::Sum, Part::Count, Part::Created],
            Self::Summary => &[Part::Whole, Part::Sum, Part::Count, Part::Created],
            Self::Info => &[Part::Info],
            Self::GaugeHistogram => &[Part::Bucket, Part::GaugeSum, Part::GaugeCount],
        }
    }

    /// What a sample is of a family with this type and name: which part, and how long the family's own name is, which a
    /// TYPE line of text gives with the `_total` of a counter. `None` where it is of another family.
    pub fn part_of(self, family: &str, sample: &str) -> Option<(Part, usize)> {
        if sample == family {
            let total = Part::Total.suffix();
            let base = family.strip_suffix(total).filter(|base| self == Self::Counter && !base.is_empty());
            return Some(base.map_or((Part::Whole, family.len()), |base| (Part::Total, base.len())));
        }
        let end = sample.strip_prefix(family).filter(|_| !family.is_empty())?;
        let part = self.parts().iter().find(|part| part.suffix() == end && **part != Part::Whole)?;
        Some((*part, family.len()))
    }

    /// Whether the samples of one label set stand side by side: their parts differ, or a label that tells no sets apart.
    pub const fn is_compound(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram | Self::Summary | Self::StateSet)
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self as u32
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::Summary,
            5 => Self::Info,
            6 => Self::StateSet,
            7 => Self::GaugeHistogram,
            8 => Self::Other,
            _ => Self::Untyped,
        }
    }
}

/// What samples of one name are in their family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Part {
    /// All of it, or what has no suffix: values, quantiles, states.
    #[default]
    Whole,
    /// What was counted.
    Total,
    /// When counting began.
    Created,
    /// What fell into one bucket and those below.
    Bucket,
    /// The sum of what was observed.
    Sum,
    /// The number of what was observed.
    Count,
    /// The sum, where it may be less the next time.
    GaugeSum,
    /// The number, where it may be less the next time.
    GaugeCount,
    /// The labels of an info.
    Info,
}

impl Part {
    /// All of them, that without a suffix last.
    pub const ALL: [Self; 9] = [
        Self::Total,
        Self::Created,
        Self::Bucket,
        Self::Sum,
        Self::Count,
        Self::GaugeSum,
        Self::GaugeCount,
        Self::Info,
        Self::Whole,
    ];

    /// What follows the family's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Total => "_total",
            Self::Created => "_created",
            Self::Bucket => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
            Self::GaugeSum => "_gsum",
            Self::GaugeCount => "_gcount",
            Self::Info => "_info",
        }
    }

    pub(crate) const fn to_bits(self) -> u32 {
        self as u32
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::Total,
            2 => Self::Created,
            3 => Self::Bucket,
            4 => Self::Sum,
            5 => Self::Count,
            6 => Self::GaugeSum,
            7 => Self::GaugeCount,
            8 => Self::Info,
            _ => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_word_names_a_type() {
        for (kind, want) in [
            ("", Family::Untyped),
            ("untyped", Family::Untyped),
            ("unknown", Family::Untyped),
            ("counter", Family::Counter),
            ("gauge", Family::Gauge),
            ("histogram", Family::Histogram),
            ("summary", Family::Summary),
            ("gaugehistogram", Family::GaugeHistogram),
            ("info", Family::Info),
            ("stateset", Family::StateSet),
            ("Counter", Family::Other),
            ("counter x", Family::Other),
        ] {
            assert_eq!(Family::parse(kind), want, "{kind}");
            assert_eq!(Family::from_bits(want.to_bits()), want);
        }
    }

    #[test]
    fn a_suffix_makes_a_sample_part_of_a_family_whose_type_has_it() {
        for (kind, family, sample, want) in [
            (Family::Counter, "x", "x_total", Some((Part::Total, 1))),
            (Family::Counter, "x_total", "x_total", Some((Part::Total, 1))),
            (Family::Counter, "x", "x", Some((Part::Whole, 1))),
            (Family::Counter, "x", "x_created", Some((Part::Created, 1))),
            (Family::Counter, "_total", "_total", Some((Part::Whole, 6))),
            (Family::Gauge, "x_total", "x_total", Some((Part::Whole, 7))),
            (Family::Gauge, "x", "x_total", None),
            (Family::Histogram, "x", "x_bucket", Some((Part::Bucket, 1))),
            (Family::Histogram, "x", "xx_bucket", None),
            (Family::Summary, "x", "x", Some((Part::Whole, 1))),
            (Family::Summary, "x", "x_bucket", None),
            (Family::Info, "x", "x_info", Some((Part::Info, 1))),
            (Family::GaugeHistogram, "x", "x_gcount", Some((Part::GaugeCount, 1))),
            (Family::Gauge, "", "", Some((Part::Whole, 0))),
            (Family::Untyped, "y", "x", None),
        ] {
            assert_eq!(kind.part_of(family, sample), want, "{kind:?} {family} {sample}");
        }
        for part in Part::ALL {
            assert_eq!(Part::from_bits(part.to_bits()), part);
        }
    }
}
