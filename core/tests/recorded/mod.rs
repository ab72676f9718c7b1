//! The conversations of `tests/data/pdu`, a line for each PDU.

use std::path::{Path, PathBuf};

/// Where they are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/pdu")
}

/// The bytes of the field `hex`, which lines about a connection's end do not have.
pub(crate) fn bytes(line: &str) -> Option<Vec<u8>> {
    let (_, value) = line.split_once("\"hex\": \"")?;
    let (digits, _) = value.split_once('"')?;
    Some((0..digits.len() / 2).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect())
}
