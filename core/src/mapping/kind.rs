//! Semantics follow the TYPE line, and the words of the name: it is a counter if either says so.

use super::{Family, has_piece};
use crate::pcp::Semantics;

/// The semantics of a metric that no PCP line describes. A gauge whose name has the word `count` is
/// a counter: that is a quirk of the classic rules, and archives rely on it.
pub fn semantics(name: &str, family: Family) -> Semantics {
    let counts = family == Family::Counter
        || ["total", "count", "sum"].into_iter().any(|word| has_piece(name, word))
        || family == Family::Histogram && has_piece(name, "bucket");
    if counts { Semantics::COUNTER } else { Semantics::INSTANT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_or_a_word_of_the_name_makes_a_counter() {
        for (name, family, want) in [
            ("x", Family::Untyped, Semantics::INSTANT),
            ("x", Family::Gauge, Semantics::INSTANT),
            ("x", Family::Counter, Semantics::COUNTER),
            ("x_created", Family::Counter, Semantics::COUNTER),
            ("x_total", Family::Untyped, Semantics::COUNTER),
            ("x_total", Family::Gauge, Semantics::COUNTER),
            ("total_x", Family::Other, Semantics::COUNTER),
            ("x_count", Family::Gauge, Semantics::COUNTER),
            ("x_count_y", Family::Gauge, Semantics::COUNTER),
            ("x_sum", Family::Summary, Semantics::COUNTER),
            ("total", Family::Untyped, Semantics::COUNTER),
            ("x_totals", Family::Gauge, Semantics::INSTANT),
            ("x_Total", Family::Gauge, Semantics::INSTANT),
            ("xtotal", Family::Gauge, Semantics::INSTANT),
            ("a:total", Family::Gauge, Semantics::INSTANT),
            ("a:x_total", Family::Gauge, Semantics::COUNTER),
            ("x.total", Family::Gauge, Semantics::INSTANT),
            ("x_bucket", Family::Histogram, Semantics::COUNTER),
            ("x_bucket", Family::Untyped, Semantics::INSTANT),
            ("x_bucket", Family::Summary, Semantics::INSTANT),
            ("x", Family::Histogram, Semantics::INSTANT),
            ("x", Family::Summary, Semantics::INSTANT),
        ] {
            assert_eq!(semantics(name, family), want, "{name} {family:?}");
        }
    }
}
