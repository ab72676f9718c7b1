//! A HELP text is one-line help up to its first line break, and long help from there on.
//!
//! Words are joined again with single blanks, then a doubled backslash becomes one, and only then a
//! backslash with an `n` becomes a line break. So `\\n` breaks the line as well: archives have it so.

use super::Put;

/// Writes the first line of a HELP text.
pub fn oneline(raw: &str, put: Put<'_>) {
    lines(raw, &mut |line, bytes| {
        if line == 0 {
            put(bytes);
        }
    });
}

/// Writes all lines of a HELP text but the first.
pub fn long(raw: &str, put: Put<'_>) {
    lines(raw, &mut |line, bytes| {
        if line > 0 {
            put(bytes);
        }
    });
}

/// Gives the pieces of each line. A line break belongs to the line before it, but for the first.
fn lines(raw: &str, put: &mut dyn FnMut(usize, &[u8])) {
    let mut line = 0usize;
    let words = raw.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (n, word) in words.enumerate() {
        if n > 0 {
            put(line, b" ");
        }
        let mut rest = word;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let Some((plain, escape)) = rest.split_at_checked(at) else { break };
            put(line, plain);
            let run = escape.iter().take_while(|byte| **byte == b'\\').count();
            let Some((_, after)) = escape.split_at_checked(run) else { break };
            let mut kept = run.div_ceil(2);
            rest = after;
            let breaks = after.split_first().filter(|(byte, _)| **byte == b'n');
            if breaks.is_some() {
                kept = kept.saturating_sub(1);
            }
            for _ in 0..kept {
                put(line, b"\\");
            }
            if let Some((_, after)) = breaks {
                rest = after;
                if line > 0 {
                    put(line, b"\n");
                }
                line = line.saturating_add(1);
            }
        }
        put(line, rest);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    fn text(write: fn(&str, Put<'_>), raw: &str) -> String {
        let mut out = Vec::new();
        write(raw, &mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_line_is_one_line_help_and_the_rest_is_long() {
        for (raw, first, rest) in [
            ("", "", ""),
            ("Total time.", "Total time.", ""),
            ("  a \t b  ", "a b", ""),
            (r"one\ntwo", "one", "two"),
            (r"one \n two\nthree", "one ", " two\nthree"),
            (r"\ntwo", "", "two"),
            (r"one\n", "one", ""),
            (r"one\n\ntwo", "one", "\ntwo"),
            (r"one\n\n", "one", "\n"),
            (r"C:\\dir", r"C:\dir", ""),
            (r"a\\nb", "a", "b"),
            (r"a\\\nb", r"a\", "b"),
            (r"a\\\\nb", r"a\", "b"),
            (r"a\\\\b", r"a\\b", ""),
            (r#"a\"b\t"#, r#"a\"b\t"#, ""),
            (r"end\", r"end\", ""),
            (r"end\\", r"end\", ""),
            (r"a\ nb", r"a\ nb", ""),
            ("größe\u{a0}x", "größe\u{a0}x", ""),
        ] {
            assert_eq!((text(oneline, raw), text(long, raw)), (first.into(), rest.into()), "{raw}");
        }
    }
}
