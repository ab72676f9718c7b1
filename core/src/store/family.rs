//! A page shows families: metrics of one family are kin, whatever source they are of; found once, when a metric is met.
//!
//! Kin form a ring, and one of them leads it. Families whose names are in each other's way are one ring too, which a page
//! takes apart by the names of samples.

use super::{
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Slot},
};
use crate::mapping::{Family, Part};

/// What a metric is in its family.
struct Kinship {
    family: Family,
    part: Part,
    unit_len: u8,
    helpless: bool,
}

impl Metric {
    /// Whether its samples are no part that its family's type has: it stands alone.
    pub(crate) const fn is_bare(&self) -> bool {
        matches!(self.part(), Part::Whole)
            && matches!(
                self.family(),
                Family::Counter | Family::Histogram | Family::GaugeHistogram | Family::Info
            )
    }

    /// The suffixes to its family's name that are names of that family alone, in OpenMetrics.
    const fn reserved(&self) -> &'static [Part] {
        use Part::{Bucket, Count, Created, GaugeCount, GaugeSum, Info, Sum, Total, Whole};
        if self.is_bare() {
            return &[Whole];
        }
        match self.family() {
            Family::Counter => &[Whole, Total, Created],
            Family::Info => &[Whole, Info],
            Family::Histogram => &[Whole, Bucket, Sum, Count, Created],
            Family::Summary => &[Whole, Sum, Count, Created],
            Family::GaugeHistogram => &[Whole, Bucket, GaugeSum, GaugeCount],
            _ => &[Whole],
        }
    }

    /// The same in text, where some parts are families of their own.
    const fn reserved_in_text(&self) -> &'static [Part] {
        use Part::{Bucket, Count, Sum, Whole};
        match (self.text_type(), self.text_part()) {
            (Family::Histogram, _) => &[Whole, Bucket, Sum, Count],
            (Family::Summary, _) => &[Whole, Sum, Count],
            (_, Part::Total) => &[Part::Total],
            (_, Part::Info) => &[Part::Info],
            (_, Part::Created) => &[Part::Created],
            (_, Part::GaugeSum) => &[Part::GaugeSum],
            (_, Part::GaugeCount) => &[Part::GaugeCount],
            _ => &[Whole],
        }
    }

    /// What text has in the name of the family behind its name in OpenMetrics. Client libraries do it so: what text has
    /// no word for is a gauge beside the rest.
    pub(crate) const fn text_part(&self) -> Part {
        match self.part() {
            part @ (Part::Total | Part::Info | Part::Created | Part::GaugeSum | Part::GaugeCount) => part,
            _ => Part::Whole,
        }
    }

    /// The type of that family.
    pub(crate) const fn text_type(&self) -> Family {
        match (self.family(), self.part()) {
            (_, Part::Created | Part::GaugeSum | Part::GaugeCount) => Family::Gauge,
            (Family::Info | Family::StateSet, _) => Family::Gauge,
            (Family::Histogram | Family::GaugeHistogram, Part::Whole) | (Family::Other, _) => Family::Untyped,
            (Family::GaugeHistogram, _) => Family::Histogram,
            (family, _) => family,
        }
    }

    /// Whether families of one name are one: their types are the same, and so is how they are written.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.family() == other.family() && self.is_bare() == other.is_bare()
    }
}

impl Ledger<'_> {
    /// The name of a metric's family: that of its samples without what makes them a part.
    pub(crate) fn family_name(&self, metric: &Metric) -> &[u8] {
        metric.family_of(self.sent_bytes(metric))
    }

    pub(crate) fn family_hash(&self, name: &[u8]) -> u32 {
        index::hash(self.book.seed ^ FAMILY, name)
    }

    /// The metric that was entered for the family of this name.
    fn entered(&self, name: &[u8]) -> Option<Slot> {
        index::find(self.parts.index, Key::Family, self.family_hash(name), |slot| {
            self.row(slot).is_some_and(|m| m.is(Metric::ENTERED) && self.family_name(m) == name)
        })
    }

    /// Finds the kin of a metric that was just met, by the lines that came before it.
    pub(crate) fn relate(&mut self, source: Slot, slot: Slot) {
        let Some(kinship) = self.row(slot).map(|row| self.kinship(source, row)) else { return };
        let Kinship { family, part, unit_len, helpless } = kinship;
        self.join_ring(slot, family, part, unit_len);
        let Some(row) = self.metric(slot) else { return };
        if helpless {
            row.flags |= Metric::HELPLESS;
        }
        if family.is_compound() && !row.is_bare() {
            row.flags |= Metric::GROUPED;
        } else if family == Family::Counter && part == Part::Created {
            row.flags |= Metric::GROUPED;
            if let Some(total) = self.sibling(slot, Part::Total) {
                self.group_totals(total);
            }
        } else if family == Family::Counter && self.sibling(slot, Part::Created).is_some() {
            self.group_totals(slot);
        }
    }

    fn kinship(&self, source: Slot, row: &Metric) -> Kinship {
        let (sent, text) = (self.sent(row), &*self.parts.text);
        let notes = self.source(source).map(|source| &source.notes);
        if let Some(notes) = notes
            && let about = notes.about.span.str_of(text)
            && let Some((part, len)) = notes.kind.part_of(about, sent)
            // What text has beside a family is part of it.
            && !(part == Part::Whole && sent.ends_with(Part::Created.suffix()) && self.known(source, sent).is_some())
        {
            let unit_len = if len == about.len() { notes.unit_len } else { 0 };
            return Kinship { family: notes.kind, part, unit_len, helpless: !notes.helped };
        }
        // Its family may have been named before others were.
        let (family, part) = self.known(source, sent).unwrap_or_default();
        Kinship { family, part, unit_len: 0, helpless: true }
    }

    /// The type of a family that a source has already and that has samples of this name, and which part they are.
    fn known(&self, source: Slot, sent: &str) -> Option<(Family, Part)> {
        for part in Part::ALL {
            let Some(base) = sent.strip_suffix(part.suffix()) else { continue };
            let Some(first) = self.entered(base.as_bytes()) else { continue };
            let mut at = first;
            while let Some(row) = self.row(at) {
                let has_part = row.family().parts().contains(&part) && !row.is_bare();
                if row.source == source && has_part && self.family_name(row) == base.as_bytes() {
                    return Some((row.family(), part));
                }
                at = row.kin;
                if at == first {
                    break;
                }
            }
        }
        None
    }

    /// Puts a metric into the ring of its family, or begins one.
    pub(crate) fn join_ring(&mut self, slot: Slot, family: Family, part: Part, unit_len: u8) {
        let Some(row) = self.metric(slot) else { return };
        row.set_family(family, part, unit_len);
        let row = *row;
        let name = self.family_name(&row);
        let (hash, other) = (self.family_hash(name), self.entered(name));
        if let Some(other) = other
            && let Some(next) = self.row(other).copied()
        {
            let clash = next.flags & (Metric::CLASH | Metric::HARD_CLASH);
            if let Some(other) = self.metric(other) {
                other.kin = slot;
            }
            if let Some(row) = self.metric(slot) {
                row.kin = next.kin;
                row.flags |= clash;
            }
            if row.is_alike(&next) && clash == 0 {
                return;
            }
            self.clash(slot, other, &row);
        } else {
            if let Some(row) = self.metric(slot) {
                row.kin = slot;
                row.flags |= Metric::LEADS | Metric::ENTERED;
            }
            self.enter(Key::Family, hash, slot);
        }
        self.find_clashes(slot, &row);
    }

    /// Looks for families that have names which this one has too.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn find_clashes(&mut self, slot: Slot, row: &Metric) {
        for reserved in row.reserved() {
            while let Some(other) = self.clashing(slot, row, *reserved) {
                self.clash(slot, other, row);
            }
        }
    }

    /// A metric outside of the ring whose family has a name that is this family's with that suffix.
    fn clashing(&self, slot: Slot, row: &Metric, reserved: Part) -> Option<Slot> {
        let name = self.family_name(row);
        for part in Part::ALL {
            if part != reserved
                && let Some(other) = self.of_name(name, reserved, part)
                && let Some(theirs) = self.row(other)
                && (theirs.reserved().contains(&part) || theirs.is(Metric::CLASH))
                && !self.is_in_ring(slot, other)
            {
                return Some(other);
            }
        }
        None
    }

    /// The metric entered for the family whose name with `part` is `name` with `reserved`.
    fn of_name(&self, name: &[u8], reserved: Part, part: Part) -> Option<Slot> {
        if reserved == Part::Whole {
            return self.entered(name.strip_suffix(part.suffix().as_bytes())?);
        }
        if part != Part::Whole {
            // No suffix ends another.
            return None;
        }
        let end = reserved.suffix().as_bytes();
        let hash = index::hash_of_two(self.book.seed ^ FAMILY, name, end);
        index::find(self.parts.index, Key::Family, hash, |slot| {
            self.row(slot)
                .is_some_and(|m| m.is(Metric::ENTERED) && self.family_name(m).strip_suffix(end) == Some(name))
        })
    }

    /// Makes one ring of two, whose families are in each other's way.
    fn clash(&mut self, ours: Slot, theirs: Slot, our: &Metric) {
        if !self.is_in_ring(ours, theirs) {
            self.each_kin(theirs, &mut |row| row.flags &= !Metric::LEADS);
            let (Some(next), Some(other)) = (self.row(ours).map(|m| m.kin), self.row(theirs).map(|m| m.kin))
            else {
                return;
            };
            if let Some(row) = self.metric(ours) {
                row.kin = other;
            }
            if let Some(row) = self.metric(theirs) {
                row.kin = next;
            }
        }
        let mut all = Metric::CLASH;
        self.each_kin(ours, &mut |row| all |= row.flags & Metric::HARD_CLASH);
        if self.is_any_in_way(ours, our) {
            all |= Metric::HARD_CLASH;
        }
        self.each_kin(ours, &mut |row| row.flags |= all);
    }

    /// Whether a metric's family is in the way of any of its kin, in text.
    fn is_any_in_way(&self, slot: Slot, row: &Metric) -> bool {
        let mut at = self.row(slot).map_or(Slot::NONE, |row| row.kin);
        while let Some(other) = self.row(at).filter(|_| at != slot) {
            if self.share_name(row, other) {
                return true;
            }
            at = other.kin;
        }
        false
    }

    /// Whether two families are in each other's way in text: they have a name in common, and are not one family there.
    fn share_name(&self, our: &Metric, their: &Metric) -> bool {
        let (ours, theirs) = (self.family_name(our), self.family_name(their));
        let is_same = |a: &Part, b: &Part| is_same_name((ours, a.suffix()), (theirs, b.suffix()));
        if is_same(&our.text_part(), &their.text_part()) && our.text_type() == their.text_type() {
            return false;
        }
        our.reserved_in_text().iter().any(|a| their.reserved_in_text().iter().any(|b| is_same(a, b)))
    }

    fn is_in_ring(&self, of: Slot, slot: Slot) -> bool {
        let mut at = of;
        loop {
            if at == slot {
                return true;
            }
            at = self.row(at).map_or(of, |m| m.kin);
            if at == of {
                return false;
            }
        }
    }

    fn each_kin(&mut self, of: Slot, change: &mut dyn FnMut(&mut Metric)) {
        let mut at = of;
        while let Some(row) = self.metric(at) {
            change(row);
            at = row.kin;
            if at == of {
                return;
            }
        }
    }

    /// The metric of the same source and family that is this part of it.
    fn sibling(&self, slot: Slot, part: Part) -> Option<Slot> {
        let row = self.row(slot)?;
        let (name, end) = (self.family_name(row), part.suffix());
        let seed = self.book.seed ^ u64::from(row.source.bits());
        let hash = index::hash_of_two(seed, name, end.as_bytes());
        index::find(self.parts.index, Key::Sent, hash, |slot| {
            self.row(slot).is_some_and(|other| {
                let is_kin = other.source == row.source && other.is_alike(row) && other.part() == part;
                is_kin && self.family_name(other) == name
            })
        })
    }

    /// Totals have to be found by their label sets, once there is something to put beside them.
    fn group_totals(&mut self, slot: Slot) {
        let Some(row) = self.metric(slot) else { return };
        row.flags |= Metric::GROUPED;
        let mut series = row.first;
        while let Some(next) = self.series(series).map(|s| s.next) {
            self.regroup(series);
            series = next;
        }
    }
}

/// Whether two names, each of a stem and what it ends in, are one.
pub(crate) fn is_same_name(ours: (&[u8], &str), theirs: (&[u8], &str)) -> bool {
    let (short, long) = if ours.0.len() <= theirs.0.len() { (ours, theirs) } else { (theirs, ours) };
    let rest = long.0.strip_prefix(short.0).and_then(|more| short.1.as_bytes().strip_prefix(more));
    rest == Some(long.1.as_bytes())
}

/// Names of families are hashed apart from others.
const FAMILY: u64 = 0x00fa_3117;
