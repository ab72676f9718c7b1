//! Labels come from a hierarchy of levels, each named by one bit; an inner level wins by name.

/// Labels of the collecting host.
pub const CONTEXT: u32 = 1;
/// Labels of all metrics of an agent.
pub const DOMAIN: u32 = 2;
/// Labels of an instance domain.
pub const INDOM: u32 = 4;
/// Labels of a cluster of metrics.
pub const CLUSTER: u32 = 8;
/// Labels of one metric.
pub const ITEM: u32 = 16;
/// Labels of each instance of a domain.
pub const INSTANCES: u32 = 32;

/// The label's name is a path into nested objects.
pub const COMPOUND: u8 = 0x40;
/// The label annotates a metric and is no part of its identity.
pub const OPTIONAL: u8 = 0x80;

/// Most labels that a set may have.
pub const MAX_LABELS: usize = 254;
/// Longest name of a label, in bytes.
pub const MAX_NAME: usize = 254;
/// Longest JSON text of a set, in bytes.
pub const MAX_JSON: usize = 65_534;

/// The flag of a label that comes from this level.
pub const fn flag(level: u32) -> u8 {
    (level & 0x3f) as u8
}

/// Whether every PCP version takes this as the name of a label: a letter, then letters, digits and `_`.
pub const fn is_name(name: &[u8]) -> bool {
    let [first, rest @ ..] = name else { return false };
    if !first.is_ascii_alphabetic() || rest.len() >= MAX_NAME {
        return false;
    }
    let mut rest = rest;
    while let [byte, tail @ ..] = rest {
        if !byte.is_ascii_alphanumeric() && *byte != b'_' {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_starts_with_a_letter() {
        assert!(is_name(b"a") && is_name(b"le_2") && is_name(&[b'x'; 254]));
        assert!(!is_name(b"") && !is_name(b"_a") && !is_name(b"2a") && !is_name(b"a.b"));
        assert!(!is_name(&[b'x'; 255]));
    }

    #[test]
    fn a_level_is_its_own_flag() {
        for level in [CONTEXT, DOMAIN, INDOM, CLUSTER, ITEM, INSTANCES] {
            assert_eq!(u32::from(flag(level)), level);
        }
    }
}
