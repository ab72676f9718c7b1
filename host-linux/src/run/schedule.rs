//! What comes next: targets in line, and targets whose time comes. Both know a target by its place.

use std::collections::{BTreeSet, VecDeque};

use pmbridge_core::time::Instant;

/// Places in the order in which they came, each once.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: VecDeque<usize>,
    listed: Vec<bool>,
}

impl Line {
    /// Puts a place at the end, unless it stands in line already; whether it did not.
    pub(super) fn push(&mut self, place: usize) -> bool {
        if self.listed.len() <= place {
            self.listed.resize(place.saturating_add(1), false);
        }
        let new = self.listed.get_mut(place).is_some_and(|listed| !core::mem::replace(listed, true));
        if new {
            self.places.push_back(place);
        }
        new
    }

    /// Takes the first place.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let place = self.places.pop_front()?;
        if let Some(listed) = self.listed.get_mut(place) {
            *listed = false;
        }
        Some(place)
    }

    /// Takes a place out of the line, wherever it stands.
    pub(super) fn leave(&mut self, place: usize) {
        if self.holds(place) {
            self.places.retain(|other| *other != place);
            if let Some(listed) = self.listed.get_mut(place) {
                *listed = false;
            }
        }
    }

    /// Whether a place stands in line.
    pub(super) fn holds(&self, place: usize) -> bool {
        self.listed.get(place).is_some_and(|listed| *listed)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// One alarm at most for each place.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, usize)>,
    at: Vec<Option<Instant>>,
}

impl Timers {
    /// Sets a place's alarm to another time, or to none.
    pub(super) fn set(&mut self, place: usize, to: Option<Instant>) {
        if self.at.len() <= place {
            self.at.resize(place.saturating_add(1), None);
        }
        let Some(at) = self.at.get_mut(place) else { return };
        if let Some(old) = core::mem::replace(at, to) {
            self.due.remove(&(old, place));
        }
        if let Some(new) = to {
            self.due.insert((new, place));
        }
    }

    /// When the first alarm goes off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes an alarm that has gone off by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<usize> {
        let (_, place) = *self.due.first().filter(|(at, _)| *at <= now)?;
        self.set(place, None);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_stands_in_line_once() {
        let mut line = Line::default();
        assert!(line.push(3) && line.push(1) && !line.push(3));
        assert!(line.holds(3) && !line.holds(2) && line.len() == 2);
        assert_eq!(line.pop(), Some(3));
        assert!(line.push(3));
        line.leave(1);
        line.leave(9);
        assert_eq!((line.pop(), line.pop(), line.is_empty()), (Some(3), None, true));
    }

    #[test]
    fn alarms_go_off_in_order_and_once() {
        let at = Instant::from_millis;
        let mut timers = Timers::default();
        timers.set(5, Some(at(30)));
        timers.set(1, Some(at(20)));
        timers.set(2, Some(at(10)));
        timers.set(5, Some(at(5)));
        timers.set(2, None);
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.pop(at(4)), None);
        assert_eq!([timers.pop(at(25)), timers.pop(at(25)), timers.pop(at(25))], [Some(5), Some(1), None]);
        assert_eq!(timers.next(), None);
    }
}
