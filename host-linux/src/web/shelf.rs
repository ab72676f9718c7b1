//! The pages that are being read: together they take no more than they may.
//!
//! Whoever reads slowly keeps a page that was true long ago. Where there is no room for a new one, the oldest go, so that
//! nobody who reads slowly keeps others from theirs.

use std::rc::{Rc, Weak};

use super::Document;

/// Pages that somebody has not read to the end yet, the oldest first.
#[derive(Debug)]
pub(super) struct Shelf {
    most: usize,
    out: Vec<Weak<Document>>,
    has_cut: bool,
    /// Pages that were cut off.
    pub(super) cut: u64,
}

impl Shelf {
    /// A shelf for pages of so many bytes together.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, out: Vec::new(), has_cut: false, cut: 0 }
    }

    /// A page begins to be read, by one more reader perhaps. The newest may take all that there is, and more.
    pub(super) fn put(&mut self, page: &Rc<Document>) {
        self.out.retain(|other| other.strong_count() > 0);
        if self.out.iter().any(|other| std::ptr::eq(other.as_ptr(), Rc::as_ptr(page))) {
            return;
        }
        let old: Vec<_> = self.out.iter().filter_map(Weak::upgrade).filter(|old| !old.is_cut()).collect();
        self.out.push(Rc::downgrade(page));
        let mut taken = old.iter().fold(page.bytes(), |sum, old| sum.saturating_add(old.bytes()));
        for old in old {
            if taken <= self.most {
                return;
            }
            taken = taken.saturating_sub(old.bytes());
            old.cut();
            self.has_cut = true;
            self.cut = self.cut.saturating_add(1);
        }
    }

    /// Whether pages were cut off since this was asked last: who reads them is to go.
    pub(super) const fn has_cut(&mut self) -> bool {
        std::mem::replace(&mut self.has_cut, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: usize) -> Rc<Document> {
        Rc::new(Document::new("text/plain", vec![b'#'; bytes]))
    }

    #[test]
    fn the_oldest_pages_go_where_a_new_one_has_no_room() {
        let mut shelf = Shelf::new(100);
        let pages = [60, 40, 20, 20].map(page);
        shelf.put(&pages[0]);
        shelf.put(&pages[0]);
        shelf.put(&pages[1]);
        assert!(!shelf.has_cut());
        shelf.put(&pages[2]);
        assert!(shelf.has_cut() && !shelf.has_cut());
        shelf.put(&pages[3]);
        assert_eq!(pages.each_ref().map(|page| page.is_cut()), [true, false, false, false]);
        assert_eq!(shelf.cut, 1);
    }

    #[test]
    fn a_page_that_was_read_takes_no_room() {
        let mut shelf = Shelf::new(100);
        shelf.put(&page(90));
        let (second, third) = (page(90), page(10));
        shelf.put(&second);
        shelf.put(&third);
        assert!(!shelf.has_cut());
    }

    #[test]
    fn the_newest_page_may_be_of_any_size() {
        let mut shelf = Shelf::new(100);
        let (small, large) = (page(1), page(1000));
        shelf.put(&small);
        shelf.put(&large);
        assert!(small.is_cut() && !large.is_cut());
    }
}
