//! The firmware's log: frames of defmt, told by the table that its image holds.

use std::io::{self, Read, Write};

use defmt_decoder::{DecodeError, Table};

use crate::Error;

/// Copies a log until it ends, a line for each frame. What an image without a table says is copied as it is.
pub(crate) fn copy(image: &[u8], mut from: impl Read, mut to: impl Write) -> Result<(), Error> {
    let Some(table) = Table::parse(image)? else {
        io::copy(&mut from, &mut to)?;
        return Ok(());
    };
    let mut decoder = table.new_stream_decoder();
    let mut piece = [0; 4096];
    loop {
        let n = from.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        decoder.received(&piece[..n]);
        loop {
            match decoder.decode() {
                Ok(frame) => writeln!(to, "{}", frame.display(false))?,
                // Frames have ends of their own, at which it goes on.
                Err(DecodeError::Malformed) => writeln!(to, "(a frame that cannot be read)")?,
                Err(DecodeError::UnexpectedEof) => break,
            }
        }
        to.flush()?;
    }
}
