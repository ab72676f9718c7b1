//! A page in memory, as it is and packed, once for all who read it.

use core::cell::{Cell, OnceCell};
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

/// A page.
#[derive(Debug)]
pub(crate) struct Document {
    content_type: &'static str,
    plain: Vec<u8>,
    gzip: OnceCell<Vec<u8>>,
    is_cut: Cell<bool>,
}

impl Document {
    /// A page of this type.
    pub(crate) fn new(content_type: &'static str, mut plain: Vec<u8>) -> Self {
        plain.shrink_to_fit();
        Self { content_type, plain, gzip: OnceCell::new(), is_cut: Cell::new(false) }
    }

    /// What it is.
    pub(crate) const fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The page as it is.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// It is not to be read any more.
    pub(super) fn cut(&self) {
        self.is_cut.set(true);
    }

    /// Whether it is not to be read any more.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// What it takes, packed too if it was.
    pub(super) fn bytes(&self) -> usize {
        self.plain.len().saturating_add(self.gzip.get().map_or(0, Vec::len))
    }

    /// The page packed, where that is worth it.
    pub(crate) fn gzip(&self) -> Option<&[u8]> {
        let packed = self.gzip.get_or_init(|| {
            if (WORTH_IT..=TOO_LONG).contains(&self.plain.len()) { packed(&self.plain) } else { Vec::new() }
        });
        (!packed.is_empty()).then_some(packed)
    }
}

/// Room for a page that is about so long. A large one has its memory from the kernel, which has it back once the page
/// was read: pages of many sizes that come and go would leave holes that nothing else fits. What is not written takes
/// no memory.
pub(crate) fn room_for(bytes: usize) -> Vec<u8> {
    let mut room = Vec::new();
    let want = if bytes < LARGE { bytes } else { bytes.max(ALWAYS_MAPPED) };
    // Where so much is not to be had, it grows as it is written.
    let _ = room.try_reserve_exact(want);
    room
}

/// Packed at the level that costs least: a page is sent once, and its lines are alike.
fn packed(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    let packed = gzip.write_all(plain).and_then(|()| gzip.finish());
    // Memory takes all that is written; should it not, the page goes as it is.
    packed.unwrap_or_default()
}

/// Smaller pages are as good as any other memory.
const LARGE: usize = 1 << 20;
/// The C library maps what is larger than 32 MiB at its own, whatever came before.
const ALWAYS_MAPPED: usize = (32 << 20) + (64 << 10);
/// What fits one packet anyway is not packed.
const WORTH_IT: usize = 1400;
/// Nor what would hold everybody else up.
const TOO_LONG: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_packed_page_is_the_page() {
        let plain = b"metric{label=\"value\"} 1.5\n".repeat(1000);
        let document = Document::new("text/plain", plain.clone());
        let packed = document.gzip().unwrap();
        assert!(packed.len() < plain.len() / 10, "{}", packed.len());
        let mut again = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut again).unwrap();
        assert!(again == plain && document.plain() == plain);
        assert_eq!(document.gzip().map(<[u8]>::as_ptr), document.gzip().map(<[u8]>::as_ptr));
    }

    #[test]
    fn a_small_page_goes_as_it_is() {
        assert_eq!(Document::new("text/plain", vec![b'#'; WORTH_IT - 1]).gzip(), None);
        assert!(Document::new("text/plain", vec![b'#'; WORTH_IT]).gzip().is_some());
    }
}
