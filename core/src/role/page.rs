//! A page is what the store holds as an exposition: each family as its sources sent it, those of one name together.
//!
//! It is a row of records, lines of text here, as all answers are: whatever window it is written to, the bytes are the
//! same, as long as the store does not change. It keeps no memory but its place.
//!
//! Samples come back under the names and with the labels that they were sent with. Where more than one source is
//! scraped, or a name is the bridge's own as well, each has a label `source` more; one that was sent is then
//! `exported_source`. Families that OpenMetrics would not have side by side (a gauge `x` and a counter `x_total`) are
//! there unknown ones, each called as its samples are; so are all of a name in any format where their types differ, and,
//! in OpenMetrics, families whose samples break the rules of their type.

mod legal;
mod line;

pub use crate::exposition::Format;

use crate::{
    exposition::writer,
    mapping::{Family, Part},
    store::{Metric, Series, Slot, Ticket, View, is_same_name},
    wire::Writer,
};
use line::Labels;

/// Which metrics a page is about; families are there as a whole.
pub type Select<'s> = &'s dyn Fn(View<'_>, &Metric) -> bool;

/// A page on its way out.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    format: Format,
    since: Ticket,
    at: At,
    /// How much of the record at this place is out.
    skip: usize,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// Before the family that the metric leads, if it does lead one.
    Metric {
        source: usize,
        metric: Slot,
    },
    /// Before what stands above samples.
    Head {
        source: usize,
        lines: Lines,
        at: Line,
    },
    /// Before a sample.
    Line {
        source: usize,
        lines: Lines,
        at: Line,
    },
    /// Before what ends the page.
    End,
    Done,
}

/// What stands under one head.
#[derive(Debug, Clone, Copy)]
struct Lines {
    lead: Slot,
    /// The metric that all of them are like.
    first: Slot,
    /// Families of the ring are told apart by the names of their samples.
    by_name: bool,
    labels: Labels,
}

/// Where a sample is: in a chain, which a metric's list leads to.
#[derive(Debug, Clone, Copy)]
struct Line {
    kin: Slot,
    leader: Slot,
    series: Slot,
}

/// What is looked at.
#[derive(Clone, Copy)]
struct Scope<'a, 's> {
    view: View<'a>,
    format: Format,
    since: Ticket,
    select: Option<Select<'s>>,
}

impl Page {
    /// The whole of it, in this format. Sources that were not scraped since that ticket was drawn are not on it.
    pub const fn new(format: Format, since: Ticket) -> Self {
        Self { format, since, at: At::Metric { source: 0, metric: Slot::NONE }, skip: 0 }
    }

    /// Whether it is out.
    pub const fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Puts as much of the page out as there is room for: how many bytes, and whether that was the rest of it.
    ///
    /// `select` has to say the same each time; without one all metrics are on the page.
    pub fn write(&mut self, view: View<'_>, select: Option<Select<'_>>, output: &mut [u8]) -> (usize, bool) {
        let scope = Scope { view, format: self.format, since: self.since, select };
        let mut w = Writer::resume(output, self.skip);
        loop {
            let before = w.total();
            let next = scope.record(self.at, &mut w);
            if !w.is_whole() {
                self.skip = self.skip.saturating_add(w.written()).saturating_sub(before);
                return (w.written(), false);
            }
            // What an earlier window had of the first record is no part of the next.
            self.at = next;
            if let At::Done = next {
                self.skip = 0;
                return (w.written(), true);
            }
            if w.is_full() {
                self.skip = 0;
                return (w.written(), false);
            }
        }
    }
}

impl<'a> Scope<'a, '_> {
    /// Writes the record at a place, and says where the next one is.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn record(&self, at: At, w: &mut Writer<'_>) -> At {
        match at {
            At::Metric { source, metric } => self.seek(source, metric),
            At::Head { source, lines, at } => {
                self.head(&lines, w);
                At::Line { source, lines, at }
            }
            At::Line { source, lines, at } => {
                self.line(&lines, at, w);
                match self.next_line(&lines, at) {
                    Some(at) => At::Line { source, lines, at },
                    None => self.after(source, lines),
                }
            }
            At::End => {
                writer::end(self.format, &mut |piece| w.bytes(piece));
                At::Done
            }
            At::Done => At::Done,
        }
    }

    /// The place of the next family behind a metric of a source, or from its first one on.
    fn seek(&self, source: usize, metric: Slot) -> At {
        let behind = match self.view.metric(metric) {
            Some(row) => row.behind(),
            None => match self.view.first_of(source) {
                Some(first) => first,
                None => return At::End,
            },
        };
        let Some(row) = self.view.metric(behind) else {
            return At::Metric { source: source.saturating_add(1), metric: Slot::NONE };
        };
        if row.is(Metric::LEADS)
            && let Some((lines, at)) = self.first_lines(behind, row)
        {
            return At::Head { source, lines, at };
        }
        At::Metric { source, metric: behind }
    }

    /// What comes behind all lines under a head.
    fn after(&self, source: usize, lines: Lines) -> At {
        let next = self.view.metric(lines.first).and_then(|first| {
            let behind = if first.next_kin() == lines.lead { Slot::NONE } else { first.next_kin() };
            self.lines(lines.lead, lines.by_name, (is_beside(first), behind))
        });
        match next {
            Some((lines, at)) => At::Head { source, lines, at },
            None => At::Metric { source, metric: lines.lead },
        }
    }

    /// The first of the heads of a ring that has a line.
    fn first_lines(&self, lead: Slot, row: &Metric) -> Option<(Lines, Line)> {
        if self.format != Format::OpenMetrics {
            return self.lines(lead, row.is(Metric::HARD_CLASH), (false, lead));
        }
        let found = self.lines(lead, row.is(Metric::CLASH), (false, lead))?;
        if found.0.by_name || self.is_legal(&found.0, found.1) {
            return Some(found);
        }
        self.lines(lead, true, (false, lead))
    }

    /// The next of the heads of a ring, from the metric in `from` on, that has a line: first those that have parts of
    /// several sorts, then what text has beside them.
    fn lines(&self, lead: Slot, by_name: bool, (beside, from): (bool, Slot)) -> Option<(Lines, Line)> {
        let labels = self.labels(lead);
        let begin = Line { kin: Slot::NONE, leader: Slot::NONE, series: Slot::NONE };
        let (mut beside, mut first) = (beside, from);
        loop {
            let Some(metric) = self.view.metric(first) else {
                if beside {
                    return None;
                }
                (beside, first) = (true, lead);
                continue;
            };
            if is_beside(metric) == beside && self.is_first(lead, first, metric, by_name) {
                let lines = Lines { lead, first, by_name, labels };
                if let Some(line) = self.next_line(&lines, begin) {
                    return Some((lines, line));
                }
            }
            first = if metric.next_kin() == lead { Slot::NONE } else { metric.next_kin() };
        }
    }

    /// Whether no kin before this one stands under the same head.
    fn is_first(&self, lead: Slot, slot: Slot, metric: &Metric, by_name: bool) -> bool {
        let mut at = lead;
        while at != slot
            && let Some(other) = self.view.metric(at)
        {
            if self.is_same(other, metric, by_name) {
                return false;
            }
            at = other.next_kin();
        }
        true
    }

    /// Whether two kin stand under the same head.
    fn is_same(&self, a: &Metric, b: &Metric, by_name: bool) -> bool {
        if by_name {
            return self.view.sent(a) == self.view.sent(b);
        }
        if self.format == Format::OpenMetrics {
            return self.is_kin(a, b);
        }
        a.text_type() == b.text_type()
            && if a.is(Metric::CLASH) {
                let name = |metric: &Metric| (self.view.family_bytes(metric), metric.text_part().suffix());
                is_same_name(name(a), name(b))
            } else {
                a.text_part() == b.text_part()
            }
    }

    /// Which labels samples of a ring have beside those that were sent.
    fn labels(&self, lead: Slot) -> Labels {
        let is_own = |metric: &Metric| !self.view.is_scraped(self.view.source_of(metric));
        Labels { source: self.view.has_several() || self.view.kin(lead).any(|(_, metric)| is_own(metric)) }
    }

    /// Whether values of a metric's source may be shown.
    fn is_there(&self, metric: &Metric) -> bool {
        self.view.is_well(metric) && self.view.is_fresh(self.view.source_of(metric), self.since)
    }

    /// The next line under a head, behind `at`.
    fn next_line(&self, lines: &Lines, at: Line) -> Option<Line> {
        let mut at = at;
        let first = self.view.metric(lines.first)?;
        loop {
            at = self.next_row(lines, at)?;
            let series = self.view.series_at(at.series)?;
            if View::is_shown(series) && !series.is_extra() {
                let metric = self.view.metric_of(series)?;
                if self.is_same(first, metric, lines.by_name) && line::has_value(self.view, metric, series) {
                    return Some(at);
                }
            }
        }
    }

    /// The row behind `at`: in the chain, at the head of the next chain, or in the next metric.
    fn next_row(&self, lines: &Lines, at: Line) -> Option<Line> {
        let link = self.view.series_at(at.series).map_or(Slot::NONE, View::link);
        if link != Slot::NONE {
            return Some(Line { series: link, ..at });
        }
        let mut from = self.view.series_at(at.leader).map_or(Slot::NONE, Series::after_this);
        let mut kin = at.kin;
        loop {
            let mut rest = self.view.series_from(from);
            if let Some((slot, _)) = rest.find(|(slot, s)| !s.is(Series::JOINED) && self.is_chosen(*slot)) {
                return Some(Line { kin, leader: slot, series: slot });
            }
            kin = match self.view.metric(kin) {
                None => lines.lead,
                Some(metric) if metric.next_kin() == lines.lead => return None,
                Some(metric) => metric.next_kin(),
            };
            let metric = self.view.metric(kin)?;
            from = if self.is_there(metric) { self.view.first(metric) } else { Slot::NONE };
        }
    }

    /// Whether the page is about any series of a chain.
    fn is_chosen(&self, leader: Slot) -> bool {
        let Some(select) = self.select else { return true };
        let mut at = leader;
        while let Some(series) = self.view.series_at(at) {
            if self.view.metric_of(series).is_some_and(|metric| select(self.view, metric)) {
                return true;
            }
            at = View::link(series);
        }
        false
    }

    /// Writes what stands above samples.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn head(&self, lines: &Lines, w: &mut Writer<'_>) {
        let Some(first) = self.view.metric(lines.first) else { return };
        let open = self.format == Format::OpenMetrics;
        let alike = |metric: &Metric| {
            if lines.by_name { self.is_same(first, metric, true) } else { self.is_kin(first, metric) }
        };
        let (mut help, mut unit_len) = (None, 0_usize);
        for (_, metric) in self.view.kin(lines.lead) {
            if alike(metric) {
                help = help.or_else(|| self.help(metric));
                if unit_len == 0 && !lines.by_name {
                    unit_len = metric.unit_len();
                }
            }
        }
        let name = self.view.family_name(first);
        let (name, kind, suffix) = match (lines.by_name, open) {
            (true, _) => (self.view.sent(first), writer::Kind::Unknown, ""),
            (false, true) if first.is_bare() => (name, writer::Kind::Unknown, ""),
            (false, true) => (name, kind_of(first.family()), ""),
            (false, false) => (name, kind_of(first.text_type()), first.text_part().suffix()),
        };
        let unit = name.len().checked_sub(unit_len).and_then(|at| name.get(at..)).unwrap_or_default();
        let family = writer::Family { name, kind, help: help.unwrap_or_default(), unit };
        writer::head_as(self.format, &family, suffix, &mut |piece| w.bytes(piece));
    }

    /// Whether two metrics are of one family, whatever part of it each is. Only names that are in each other's way can
    /// differ in a ring.
    fn is_kin(&self, a: &Metric, b: &Metric) -> bool {
        let same_name = !a.is(Metric::CLASH) || self.view.family_name(a) == self.view.family_name(b);
        same_name && a.is_alike(b)
    }

    fn help(&self, metric: &Metric) -> Option<writer::Help<'a>> {
        let help = self.view.help(metric);
        if help.is_empty() || metric.is(Metric::HELPLESS) {
            return None;
        }
        let sent = self.view.is_scraped(self.view.source_of(metric));
        Some(if sent { writer::Help::Sent(help) } else { writer::Help::Plain(help) })
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn line(&self, lines: &Lines, at: Line, w: &mut Writer<'_>) {
        let Some(series) = self.view.series_at(at.series) else { return };
        let Some(metric) = self.view.metric_of(series) else { return };
        let with_exemplar = !lines.by_name && has_exemplars(metric);
        let line = line::Sample { view: self.view, format: self.format, metric, series };
        line.write(lines.labels, with_exemplar, &mut |piece| w.bytes(piece));
    }
}

/// The type that a page gives a family.
const fn kind_of(family: Family) -> writer::Kind {
    match family {
        Family::Counter => writer::Kind::Counter,
        Family::Gauge => writer::Kind::Gauge,
        Family::Histogram => writer::Kind::Histogram,
        Family::Summary => writer::Kind::Summary,
        Family::Info => writer::Kind::Info,
        Family::StateSet => writer::Kind::StateSet,
        Family::GaugeHistogram => writer::Kind::GaugeHistogram,
        Family::Untyped | Family::Other => writer::Kind::Unknown,
    }
}

/// Whether text has a metric as a family of its own beside the rest of its family.
const fn is_beside(metric: &Metric) -> bool {
    matches!(metric.part(), Part::Created | Part::GaugeSum | Part::GaugeCount)
}

/// Whether samples of a metric may have exemplars.
const fn has_exemplars(metric: &Metric) -> bool {
    matches!(
        (metric.family(), metric.part()),
        (Family::Counter, Part::Total) | (Family::Histogram | Family::GaugeHistogram, Part::Bucket)
    )
}
