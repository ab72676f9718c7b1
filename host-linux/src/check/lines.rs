//! Lines come out of pieces of any size, numbered; one that is too long comes out as a number alone.

use std::io;

/// A document on its way from pieces to lines.
#[derive(Debug)]
pub(super) struct Lines {
    /// The start of a line whose end is still to come.
    held: Vec<u8>,
    most: usize,
    number: u64,
    /// The rest of the line is dropped.
    too_long: bool,
}

/// Where lines go: the number from 1, and the line without its line feed unless it is too long.
pub(super) type Take<'t> = &'t mut dyn FnMut(u64, Option<&[u8]>) -> io::Result<()>;

impl Lines {
    /// Lines of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { held: Vec::new(), most, number: 0, too_long: false }
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, piece: &[u8], take: Take<'_>) -> io::Result<()> {
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            match part.strip_suffix(b"\n") {
                None => self.hold(part),
                Some(line) if self.held.is_empty() && !self.too_long && line.len() <= self.most => {
                    self.number = self.number.saturating_add(1);
                    take(self.number, Some(line))?;
                }
                Some(line) => {
                    self.hold(line);
                    self.end(take)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a last line that has no line feed.
    pub(super) fn finish(&mut self, take: Take<'_>) -> io::Result<()> {
        if self.held.is_empty() && !self.too_long { Ok(()) } else { self.end(take) }
    }

    fn hold(&mut self, part: &[u8]) {
        self.too_long |= self.held.len().saturating_add(part.len()) > self.most;
        if self.too_long {
            self.held.clear();
        } else {
            self.held.extend_from_slice(part);
        }
    }

    fn end(&mut self, take: Take<'_>) -> io::Result<()> {
        self.number = self.number.saturating_add(1);
        let line = (!core::mem::take(&mut self.too_long)).then_some(&*self.held);
        take(self.number, line)?;
        self.held.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], piece: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let (mut lines, mut all) = (Lines::new(4), Vec::new());
        let mut take = |number, line: Option<&[u8]>| {
            all.push((number, line.map(<[u8]>::to_vec)));
            Ok(())
        };
        text.chunks(piece).for_each(|piece| lines.feed(piece, &mut take).unwrap());
        lines.finish(&mut take).unwrap();
        all
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let text = b"abcd\n\nabcde\nab\n\nlonger yet\nx";
        let want: Vec<_> = [Some("abcd"), Some(""), None, Some("ab"), Some(""), None, Some("x")]
            .into_iter()
            .zip(1..)
            .map(|(line, number)| (number, line.map(|line| line.as_bytes().to_vec())))
            .collect();
        for piece in 1..=text.len() {
            assert_eq!(lines(text, piece), want, "pieces of {piece}");
        }
        assert_eq!(lines(b"", 1), []);
    }
}
