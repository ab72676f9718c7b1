//! Names of metrics in flags and requests: lists of them, and which are below another.

/// The parts of a list between its commas.
pub(crate) fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Whether `name` is `root`, or below it.
pub(crate) fn is_at_or_below(name: &[u8], root: &[u8]) -> bool {
    name.strip_prefix(root).is_some_and(|rest| matches!(rest.first(), None | Some(b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_part_of_a_list_is_nothing() {
        assert_eq!(list(" a,,b.c , ").collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(list("").count(), 0);
    }

    #[test]
    fn what_only_begins_alike_is_not_below() {
        for (name, want) in [("a.b", true), ("a.b.c", true), ("a.bc", false), ("a.b_c", false), ("a", false)]
        {
            assert_eq!(is_at_or_below(name.as_bytes(), b"a.b"), want, "{name}");
        }
    }
}
