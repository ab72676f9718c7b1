//! Names in PCP's name space, of which each word between dots is a level.

/// Whether a source may be called this, and its metrics something below it: a letter, then letters, digits, `_` and dots,
/// of which no two are side by side and none is last.
pub const fn is_source(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if !matches!(rest, [first, ..] if first.is_ascii_alphabetic()) {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        let fits = match *byte {
            b'.' => !matches!(tail, [] | [b'.', ..]),
            byte => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        if !fits {
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
    fn a_name_is_words_with_dots_between_them() {
        for name in ["a", "node", "a.b", "a_", "a.9", "a._b", "A9_.b.C"] {
            assert!(is_source(name), "{name}");
        }
        for name in ["", ".", ".a", "a.", "a..b", "9x", "_a", "node-1", "ü", "aü", "a b", "a:b", "a/b"] {
            assert!(!is_source(name), "{name}");
        }
    }
}
