//! How a source fares, and what is said about it.

use pmbridge_core::time::{Duration, Instant};

/// What the log knows of a source.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What it complained of last, and nothing better since.
    said: Option<String>,
    at: Option<Instant>,
    unsaid: u64,
}

/// What the log is to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It complains, for the first time after so many complaints that were not logged.
    Complaint { unsaid: u64 },
    /// It has nothing to complain of any more.
    Well,
}

impl News {
    /// What to say of a scrape that ended so: nothing where it was said before, and of a source that flaps nothing but
    /// a pair of lines a minute.
    pub(super) fn of(&mut self, complaint: Option<&str>, now: Instant) -> Option<Line> {
        let Some(text) = complaint else { return self.said.take().map(|_| Line::Well) };
        // Counts change from scrape to scrape, and are no news.
        let sort: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        if self.said.as_ref() == Some(&sort) {
            return None;
        }
        if self.at.is_some_and(|at| now.saturating_since(at) < MINUTE) {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.said = Some(sort);
        self.at = Some(now);
        Some(Line::Complaint { unsaid: core::mem::take(&mut self.unsaid) })
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_flaps_is_told_a_pair_of_lines_a_minute() {
        let at = |secs: u64| Instant::from_millis(secs * 1000);
        let mut news = News::default();
        assert_eq!(news.of(None, at(0)), None);
        assert_eq!(news.of(Some("status 500"), at(1)), Some(Line::Complaint { unsaid: 0 }));
        assert_eq!(news.of(Some("status 501"), at(2)), None);
        assert_eq!(news.of(None, at(3)), Some(Line::Well));
        for second in 4..60 {
            let complaint = (second % 2 == 0).then_some("status 500");
            assert_eq!(news.of(complaint, at(second)), None);
        }
        assert_eq!(news.of(Some("refused"), at(61)), Some(Line::Complaint { unsaid: 28 }));
        assert_eq!(news.of(Some("other"), at(62)), None);
        assert_eq!(news.of(None, at(63)), Some(Line::Well));
    }
}
