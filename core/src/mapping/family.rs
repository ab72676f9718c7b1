//! A metric family is of the type that its TYPE line names; without one it is of none.

/// The type of a metric family, as far as mapping tells types apart.
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
    /// Any other word: types of OpenMetrics, and errors.
    Other,
}

impl Family {
    /// Reads what follows the name in a TYPE line. Case matters, and so does a second word.
    pub fn parse(kind: &str) -> Self {
        match kind.as_bytes() {
            b"" | b"untyped" | b"unknown" => Self::Untyped,
            b"counter" => Self::Counter,
            b"gauge" => Self::Gauge,
            b"histogram" => Self::Histogram,
            b"summary" => Self::Summary,
            _ => Self::Other,
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
            ("gaugehistogram", Family::Other),
            ("info", Family::Other),
            ("stateset", Family::Other),
            ("Counter", Family::Other),
            ("counter x", Family::Other),
        ] {
            assert_eq!(Family::parse(kind), want, "{kind}");
        }
    }
}
