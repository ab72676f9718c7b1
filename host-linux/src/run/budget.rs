//! The file descriptors that scrapes may have open at once.
//!
//! Connections are kept for the next scrape as long as there are enough; then those go first that were used least
//! recently. What the loop itself, clients, look-ups and files need is set aside and never given to scrapes.

use std::collections::BTreeSet;
use std::io;

use nix::libc;

/// Who holds how many descriptors, and who of them does not need them now.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    open: usize,
    rows: Vec<Row>,
    idle: BTreeSet<(u64, usize)>,
    turn: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    held: usize,
    idle: Option<u64>,
}

impl Budget {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), open: 0, rows: Vec::new(), idle: BTreeSet::new(), turn: 0 }
    }

    /// How many there may be.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Whether there is room for another.
    pub(super) const fn has_room(&self) -> bool {
        self.open < self.most
    }

    /// Takes note of what a place holds by now, and whether it does so for later only.
    pub(super) fn note(&mut self, place: usize, held: usize, idle: bool) {
        if self.rows.len() <= place {
            self.rows.resize(place.saturating_add(1), Row::default());
        }
        let Some(row) = self.rows.get_mut(place) else { return };
        self.open = self.open.saturating_sub(row.held).saturating_add(held);
        row.held = held;
        match row.idle {
            Some(since) if !idle => {
                self.idle.remove(&(since, place));
                row.idle = None;
            }
            None if idle => {
                self.turn = self.turn.saturating_add(1);
                row.idle = Some(self.turn);
                self.idle.insert((self.turn, place));
            }
            _ => {}
        }
    }

    /// Who has held a descriptor unused for longest.
    pub(super) fn idlest(&self) -> Option<usize> {
        self.idle.first().map(|(_, place)| *place)
    }
}

/// What scrapes may have of `limit` descriptors where `clients` may connect.
pub(super) fn share(limit: usize, clients: usize) -> usize {
    let clients = clients.min(limit / 4);
    let resolver = RESOLVER.min(limit / 8);
    limit.saturating_sub(OWN).saturating_sub(clients).saturating_sub(resolver).max(1)
}

/// Whether an error says that there is no descriptor left.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Standard streams, pipe, poll, waker, signals, inotify, listener, and a file or a walk through directories.
const OWN: usize = 24;
/// What look-ups of names have open.
const RESOLVER: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_goes_first() {
        let mut budget = Budget::new(3);
        for place in [4, 2, 7] {
            assert!(budget.has_room());
            budget.note(place, 1, false);
        }
        assert!(!budget.has_room());
        assert_eq!(budget.idlest(), None);
        budget.note(2, 1, true);
        budget.note(4, 1, true);
        budget.note(2, 1, true);
        assert_eq!(budget.idlest(), Some(2));
        budget.note(2, 1, false);
        assert_eq!(budget.idlest(), Some(4));
        budget.note(4, 0, false);
        assert_eq!((budget.idlest(), budget.has_room()), (None, true));
    }

    #[test]
    fn scrapes_leave_room_for_the_others() {
        assert_eq!(share(64, 512), 16);
        assert_eq!(share(64, 0), 32);
        assert_eq!(share(1024, 512), 680);
        assert_eq!(share(10, 512), 1);
        assert!(crate::process::raise_limit() > 0);
    }
}
