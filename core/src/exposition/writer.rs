//! The writer puts out exposition text, piece by piece, that [`line()`](super::line()) reads back as what it was.

use super::Put;

/// Writes the inside of a quoted label value: quotes, backslashes and line feeds are escaped, what is not UTF-8 is
/// replaced.
pub fn escape_label(text: &[u8], put: Put<'_>) {
    escape(text, true, put);
}

/// Writes a text with its escapes; the quote's is not of all texts.
fn escape(text: &[u8], quotes: bool, put: Put<'_>) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        loop {
            let plain = rest.iter().position(|&b| b == b'\\' || b == b'\n' || quotes && b == b'"');
            let Some((head, tail)) = plain.and_then(|at| rest.split_at_checked(at)) else { break };
            put(head);
            let Some((&byte, tail)) = tail.split_first() else { break };
            put(match byte {
                b'\n' => b"\\n",
                b'"' => b"\\\"",
                _ => b"\\\\",
            });
            rest = tail;
        }
        put(rest);
        if !chunk.invalid().is_empty() {
            put("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{string::String, vec::Vec};

    fn text(write: impl Fn(Put<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut |piece| out.extend_from_slice(piece));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_quote_backslash_and_line_feed_are_escaped() {
        for (raw, want) in [
            (&b""[..], ""),
            (b"plain", "plain"),
            (b"a\"b\\c\nd", r#"a\"b\\c\nd"#),
            (b"\t\r\x01", "\t\r\x01"),
            ("größe".as_bytes(), "größe"),
            (b"caf\xe9!", "caf\u{fffd}!"),
            (b"\xff\"\xff", "\u{fffd}\\\"\u{fffd}"),
        ] {
            assert_eq!(text(|put| escape_label(raw, put)), want);
        }
    }
}
