//! The pages that are being read: together they take no more than they may.

use std::rc::{Rc, Weak};

use super::Document;

/// Pages that somebody has not read to the end yet.
#[derive(Debug)]
pub(super) struct Shelf {
    most: usize,
    out: Vec<Weak<Document>>,
    /// Pages that there was no room for.
    pub(super) refused: u64,
}

impl Shelf {
    /// A shelf for pages of so many bytes together.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, out: Vec::new(), refused: 0 }
    }

    /// Whether this page may be read too: one that others read already, one that fits, or the only one.
    pub(super) fn takes(&mut self, page: &Rc<Document>) -> bool {
        self.out.retain(|other| other.strong_count() > 0);
        let others = || self.out.iter().filter_map(Weak::upgrade);
        if others().any(|other| Rc::ptr_eq(&other, page)) {
            return true;
        }
        let taken = others().fold(0_usize, |sum, other| sum.saturating_add(other.bytes()));
        let fits = taken == 0 || taken.saturating_add(page.bytes()) <= self.most;
        if fits {
            self.out.push(Rc::downgrade(page));
        } else {
            self.refused = self.refused.saturating_add(1);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: usize) -> Rc<Document> {
        Rc::new(Document::new("text/plain", vec![b'#'; bytes]))
    }

    #[test]
    fn pages_that_are_read_slowly_leave_room_for_no_more_than_they_may() {
        let mut shelf = Shelf::new(100);
        let (first, second, third) = (page(60), page(40), page(1));
        assert!(shelf.takes(&first) && shelf.takes(&first) && shelf.takes(&second));
        assert!(!shelf.takes(&third), "it is full");
        assert!(shelf.takes(&first), "others read it too");
        drop(second);
        assert!(shelf.takes(&third), "one was read to the end");
        assert_eq!(shelf.refused, 1);
    }

    #[test]
    fn the_only_page_may_be_of_any_size() {
        let mut shelf = Shelf::new(100);
        let large = page(1000);
        assert!(shelf.takes(&large));
        assert!(!shelf.takes(&page(1)));
        drop(large);
        assert!(shelf.takes(&page(1)));
    }
}
