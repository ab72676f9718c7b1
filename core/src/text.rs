//! Prefixes and suffixes of bytes, taken off in one place.
//!
//! What core has for this keeps a panic where the compiler builds for size and does not inline it.

/// What stands behind a prefix.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn behind<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    (head == prefix).then_some(rest)
}

/// What stands in front of a suffix.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn before<'a>(text: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    (tail == suffix).then_some(rest)
}

/// What stands in front of the first of these bytes, and behind it.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn halves(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(memchr::memchr(separator, text)?)?;
    Some((before, rest.get(1..)?))
}

/// A line without the carriage return that some end with, too.
pub(crate) const fn bare(line: &[u8]) -> &[u8] {
    if let [line @ .., b'\r'] = line { line } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_core_has() {
        for text in ["", "a", "ab", "abab", "b", "ba\r"] {
            for part in ["", "a", "b", "ab", "aba", "ababab", "\r"] {
                let (text, part) = (text.as_bytes(), part.as_bytes());
                assert_eq!(behind(text, part), text.strip_prefix(part));
                assert_eq!(before(text, part), text.strip_suffix(part));
            }
            assert_eq!(bare(text.as_bytes()), text.trim_end_matches('\r').as_bytes());
        }
    }
}
