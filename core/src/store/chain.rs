//! Series of one label set that a page shows side by side are a chain, in their order there.
//!
//! A metric's list leads to the first of each chain. What a line said beside the value is in a row of its own, the annex,
//! right behind its series in the chain.

use super::{
    index::{self, Key},
    ledger::Ledger,
    record::{Metric, Pad, Series, Slot},
    storage::Full,
    text::Field,
    view::View,
};
use crate::{
    exposition::{Label, LabelSet, Tail, number},
    float,
    mapping::{Family, Part, Put},
};

impl Ledger<'_> {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn at(&self, slot: Slot) -> Option<&Series> {
        self.parts.series.get(slot.index()?)
    }

    fn metric_at(&self, series: &Series) -> Option<&Metric> {
        self.row(series.metric)
    }

    /// Puts a new series where a page has it. `canonical` is the series whose instance it is, where that is another.
    pub(crate) fn chain(&mut self, slot: Slot, canonical: Option<Slot>) {
        let Some(series) = self.at(slot) else { return };
        let is_grouped = self.metric_at(series).is_some_and(|m| m.is(Metric::GROUPED));
        if is_grouped {
            // What follows finds the same place, only later.
            if cfg!(feature = "full")
                && let Some(before) = self.bucket_before(slot)
            {
                self.link_behind(before, slot);
                return;
            }
            if let Some(leader) = self.before(slot).or_else(|| self.leader(slot)) {
                self.insert(leader, slot);
                return;
            }
            self.enter_group(slot);
        }
        // Nothing else leads to it.
        if let Some(canonical) = canonical {
            let before = self.spelling_before(slot, canonical).unwrap_or(canonical);
            let behind = self.last_of(before, |_| true);
            self.link_behind(behind, slot);
        }
    }

    /// The series that the document has before this one, where that is of the same instance.
    fn spelling_before(&self, slot: Slot, canonical: Slot) -> Option<Slot> {
        let source = self.metric_at(self.at(slot)?)?.source;
        let cursor = self.source(source)?.cursor;
        let before = self.at(cursor).filter(|s| s.is(Series::ALIAS) && s.is(Series::JOINED))?;
        (before.instance == canonical.bits() && cursor != slot).then_some(cursor)
    }

    /// Whether a spelling of an instance is another series on a page: it has other labels.
    pub(crate) fn is_other(&self, slot: Slot, canonical: Slot) -> bool {
        let (Some(ours), Some(theirs)) = (self.at(slot), self.at(canonical)) else { return false };
        let text = &*self.parts.text;
        !same_labels((ours.labels(text), None), (theirs.labels(text), None))
    }

    /// The series that the document has before this one, where that is of the same group.
    fn before(&self, slot: Slot) -> Option<Slot> {
        let source = self.metric_at(self.at(slot)?)?.source;
        let cursor = self.source(source)?.cursor;
        let before = self.at(cursor)?;
        let is_listed = before.source != 0 && !before.is_spelling() && !before.is(Series::EXCLUDED);
        (cursor != slot && is_listed && self.is_same_group(cursor, slot)).then_some(cursor)
    }

    /// The bucket that the document has before this one, where that is the last of the same group, and spelled alike: so
    /// come nearly all of them.
    fn bucket_before(&self, slot: Slot) -> Option<Slot> {
        let series = self.at(slot)?;
        let metric = self.metric_at(series).filter(|m| m.part() == Part::Bucket)?;
        let cursor = self.source(metric.source)?.cursor;
        let before = self.at(cursor)?;
        let skipped = Series::ALIAS | Series::EXCLUDED | Series::FILTERED | Series::ANNEX;
        let is_last = before.metric == series.metric && before.link == Slot::NONE;
        if !is_last || (before.flags | series.flags) & skipped != 0 {
            return None;
        }
        let text = &*self.parts.text;
        let (lower, upper) = bounds(before.labels(text).as_str(), series.labels(text).as_str())?;
        (lower < upper).then_some(cursor)
    }

    /// The first of the group that a series is of.
    fn leader(&self, slot: Slot) -> Option<Slot> {
        let hash = self.group_hash(slot)?;
        index::find(self.parts.index, Key::Group, hash, |other| self.is_same_group(other, slot))
    }

    /// Links a series into its group, from `from` on, which is of the same.
    fn insert(&mut self, from: Slot, slot: Slot) {
        let rank = self.rank(slot);
        let from = if self.rank(from) > rank { self.leader(slot).unwrap_or(from) } else { from };
        let leads = self.at(from).is_some_and(|s| !s.is(Series::JOINED));
        if self.rank(from) > rank && leads && self.at(slot).is_some_and(|s| !s.is(Series::ALIAS)) {
            self.leave_group(from);
            if let Some(series) = self.series(slot) {
                series.link = from;
            }
            if let Some(series) = self.series(from) {
                series.flags |= Series::JOINED;
            }
            self.enter_group(slot);
            self.mark_chained(slot);
            return;
        }
        let behind = self.last_of(from, |this| this.0 <= rank.0 && (this.0 < rank.0 || this.1 <= rank.1));
        self.link_behind(behind, slot);
    }

    /// The last row behind `from` that is of its group, and of which all up to it are as wanted.
    fn last_of(&self, from: Slot, wanted: impl Fn((u8, i64)) -> bool) -> Slot {
        let mut last = from;
        loop {
            let Some(series) = self.at(last) else { return last };
            let end = if series.is(Series::ANNEX) { series.link } else { last };
            let next = self.at(end).map_or(Slot::NONE, |s| s.link);
            if next == Slot::NONE || !self.is_same_group(from, next) || !wanted(self.rank(next)) {
                return end;
            }
            last = next;
        }
    }

    /// Links a series behind a row.
    fn link_behind(&mut self, behind: Slot, slot: Slot) {
        let Some(row) = self.series(behind) else { return };
        let next = core::mem::replace(&mut row.link, slot);
        let Some(series) = self.series(slot) else { return };
        series.flags |= Series::JOINED;
        let end = if series.is(Series::ANNEX) { series.link } else { slot };
        if let Some(end) = self.series(end) {
            end.link = next;
        }
        self.mark_chained(slot);
    }

    fn mark_chained(&mut self, slot: Slot) {
        let source = self.at(slot).and_then(|s| self.metric_at(s)).map(|m| m.source);
        if let Some(row) = source.and_then(|s| self.source_mut(s)) {
            row.chained = true;
        }
    }

    /// Where a series stands in its group: buckets in their order, then what sums them up, as it came.
    fn rank(&self, slot: Slot) -> (u8, i64) {
        let Some((series, metric)) = self.at(slot).and_then(|s| Some((s, self.metric_at(s)?))) else {
            return (u8::MAX, 0);
        };
        match metric.part() {
            Part::Bucket => {
                let labels = series.labels(self.parts.text);
                let le = labels.iter().find(|label| label.name == *"le").map(|label| label.value.raw());
                (0, le.and_then(|le| bound(le.as_bytes())).unwrap_or(float::INFINITE))
            }
            Part::Whole | Part::Total | Part::Info => (0, 0),
            _ => (1, 0),
        }
    }

    /// The hash of what a group has in common.
    fn group_hash(&self, slot: Slot) -> Option<u32> {
        let series = self.at(slot)?;
        let metric = self.metric_at(series)?;
        let (name, seed) = (self.family_name(metric), self.book.seed);
        let own = own_label(metric, name);
        let labels =
            series.labels(self.parts.text).iter().filter(|label| Some(label.name.raw().as_bytes()) != own);
        // Whatever order they are in.
        let sum = labels.fold(0u64, |sum, label| {
            let name = index::hash(seed, label.name.raw().as_bytes());
            let value = index::hash(seed, label.value.raw().as_bytes());
            sum.wrapping_add(index::hash_word(seed, u64::from(name) << 32 | u64::from(value)).into())
        });
        let family = u64::from(self.family_hash(name)) << 32;
        Some(index::hash_word(seed ^ u64::from(metric.source.bits()), family ^ sum))
    }

    /// Whether two series are of one group: a page has them side by side.
    fn is_same_group(&self, a: Slot, b: Slot) -> bool {
        let of = |slot| {
            let series = self.at(slot)?;
            Some((series, self.metric_at(series)?))
        };
        let (Some((a, ours)), Some((b, theirs))) = (of(a), of(b)) else { return false };
        let (name, other) = (self.family_name(ours), self.family_name(theirs));
        ours.source == theirs.source
            && ours.is_alike(theirs)
            && name == other
            && is_same_set((a, ours), (b, theirs), name, self.parts.text)
    }

    fn enter_group(&mut self, slot: Slot) {
        if let Some(hash) = self.group_hash(slot) {
            self.enter(Key::Group, hash, slot);
            self.book.groups = self.book.groups.saturating_add(1);
        }
    }

    /// Takes a series out of the index of groups, where it is in it.
    pub(crate) fn leave_group(&mut self, slot: Slot) {
        if let Some(hash) = self.group_hash(slot)
            && index::remove(self.parts.index, Key::Group, hash, slot)
        {
            self.book.groups = self.book.groups.saturating_sub(1);
        }
    }

    /// Enters the groups of a chain, of which `first` is the first row, that are not in the index.
    ///
    /// One that is not the first is led by a spelling.
    pub(crate) fn regroup(&mut self, first: Slot) {
        // One that is old was taken out of its chain already, and is about to go.
        let Some(series) = self.at(first).filter(|s| !s.is(Series::JOINED) && !s.is_old()) else { return };
        if !self.metric_at(series).is_some_and(|m| m.is(Metric::GROUPED)) {
            return;
        }
        let mut at = first;
        while let Some(series) = self.at(at) {
            let next = series.link;
            let leads = at == first || series.is(Series::ALIAS);
            if leads && !series.is_extra() && self.leader(at).is_none() {
                self.enter_group(at);
            }
            at = next;
        }
    }

    /// Takes what is old out of the chains of a source, before it is freed.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    pub(crate) fn unchain(&mut self, source: Slot) {
        let Some(row) = self.source(source).filter(|row| row.chained) else {
            return;
        };
        let mut metric = row.first;
        while let Some(row) = metric.index().and_then(|i| self.parts.metrics.get(i)) {
            let (next, mut slot) = (row.next, row.first);
            while let Some(series) = self.at(slot) {
                let next = series.next;
                if series.link != Slot::NONE && !series.is(Series::JOINED) && self.has_old(slot) {
                    self.sweep(slot);
                }
                slot = next;
            }
            metric = next;
        }
    }

    /// Whether anything in a chain is old.
    fn has_old(&self, first: Slot) -> bool {
        let mut at = first;
        while let Some(series) = self.at(at) {
            if series.is_old() {
                return true;
            }
            at = series.link;
        }
        false
    }

    /// Takes what is old out of one chain. An instance whose group is no longer led begins a chain of its own.
    fn sweep(&mut self, first: Slot) {
        // The first row of what is kept, its last, and the series that that belongs to.
        let (mut head, mut last, mut owner, mut at) = (Slot::NONE, Slot::NONE, Slot::NONE, first);
        let mut keeps = false;
        while let Some(series) = self.at(at).copied() {
            let next = series.link;
            if series.is_extra() {
                if keeps {
                    self.append(last, at);
                    last = at;
                } else {
                    self.free_series(at);
                }
                at = next;
                continue;
            }
            keeps = !series.is_old();
            let is_listed = !series.is(Series::ALIAS);
            if !keeps {
                self.leave_group(at);
                if let Some(row) = self.series(at) {
                    row.link = Slot::NONE;
                    row.flags &= !(Series::JOINED | Series::ANNEX | Series::SHOWN);
                }
            } else if head == Slot::NONE && !is_listed {
                // A list has to lead to the first.
                at = self.hook(at);
                continue;
            } else {
                let begins = head == Slot::NONE || is_listed && !self.is_same_group(owner, at);
                if begins {
                    self.regroup(head);
                    head = at;
                } else {
                    self.append(last, at);
                }
                if let Some(row) = self.series(at) {
                    row.link = Slot::NONE;
                    if begins {
                        row.flags &= !Series::JOINED;
                    }
                }
                (last, owner) = (at, at);
            }
            at = next;
        }
        self.regroup(head);
    }

    /// Links a row behind the last of a chain that is being put together.
    fn append(&mut self, last: Slot, at: Slot) {
        if let Some(last) = self.series(last) {
            last.link = at;
        }
        if let Some(row) = self.series(at) {
            row.link = Slot::NONE;
        }
    }

    /// Links a spelling anew that led to nothing any more, with its annex; what came behind it.
    fn hook(&mut self, slot: Slot) -> Slot {
        let Some(series) = self.at(slot).copied() else { return Slot::NONE };
        let canonical = Slot::from_bits(series.instance);
        let end = if series.is(Series::ANNEX) { series.link } else { slot };
        let next = self.series(end).map_or(Slot::NONE, |end| core::mem::replace(&mut end.link, Slot::NONE));
        self.leave_group(slot);
        // One of its group that comes behind it leads it from now on.
        let mut at = next;
        while let Some(row) = self.at(at) {
            let leads = row.flags & (Series::ALIAS | Series::EXCLUDED) == 0 && !row.is_old();
            let link = row.link;
            if leads && self.is_same_group(at, slot) {
                let end = self.last_of(at, |_| false);
                self.link_behind(end, slot);
                return next;
            }
            at = link;
        }
        self.chain(slot, Some(canonical));
        next
    }

    /// Keeps what a line says beside the value of a series, or that it says no more than that; and the value, where
    /// there is an annex. Where there is no room for what it says, only that is not kept.
    pub(crate) fn annex(&mut self, slot: Slot, tail: &Tail<'_>, bits: u64) -> Result<(), Full> {
        let says_more = tail.timestamp.is_some() || tail.exemplar.is_some();
        if says_more && self.at(slot).is_some_and(|s| !s.is(Series::ANNEX)) {
            self.reserve(0, 1, 0)?;
            self.make_annex(slot);
        }
        let Some(at) = self.at(slot).filter(|s| s.is(Series::ANNEX)).map(|s| s.link) else { return Ok(()) };
        let pad = self.at(at).map_or(Pad::EMPTY, |s| Pad::unpack(s.value));
        let written = self.rewrite_pieces(pad, &|put| write_tail(tail, put), Field::SeriesValue, at);
        if let Some(row) = self.series(at) {
            // What was said of another value is not said of this one.
            row.value = written.unwrap_or_else(|_| pad.emptied()).pack();
            row.set_own_value(bits);
        }
        written.map(|_| ())
    }

    /// Makes the annex of a series, with its value; there is room for it.
    pub(crate) fn make_annex(&mut self, slot: Slot) {
        let Some(series) = self.at(slot).copied().filter(|s| !s.is(Series::ANNEX)) else { return };
        let Series { link, metric, source, value, .. } = series;
        let mut extra = Series { link, metric, source, flags: Series::EXTRA, ..Series::EMPTY };
        extra.set_own_value(value);
        let Some(extra) = self.take_series(extra) else { return };
        self.book.extras = self.book.extras.saturating_add(1);
        if let Some(series) = self.series(slot) {
            series.link = extra;
            series.flags |= Series::ANNEX;
        }
        self.mark_chained(slot);
    }
}

/// Writes what a line says beside its value, so that it can be read as what follows a series.
fn write_tail(tail: &Tail<'_>, put: Put<'_>) {
    if tail.timestamp.is_none() && tail.exemplar.is_none() {
        return;
    }
    put(b" 0");
    if let Some(time) = tail.timestamp {
        put(b" ");
        put(time.as_bytes());
    }
    if let Some(exemplar) = tail.exemplar {
        for piece in [" # {", exemplar.labels.as_str(), "} ", exemplar.value] {
            put(piece.as_bytes());
        }
        if let Some(time) = exemplar.timestamp {
            put(b" ");
            put(time.as_bytes());
        }
    }
}

/// The label that tells samples of one group apart, where these have one.
fn own_label<'a>(metric: &Metric, family: &'a [u8]) -> Option<&'a [u8]> {
    match (metric.family(), metric.part()) {
        (Family::Histogram | Family::GaugeHistogram, Part::Bucket) => Some(b"le"),
        (Family::Summary, Part::Whole) => Some(b"quantile"),
        (Family::StateSet, _) => Some(family),
        _ => None,
    }
}

/// A bound, as its rank.
fn bound(text: &[u8]) -> Option<i64> {
    number::parse(text).map(float::rank).filter(|rank| *rank != float::NAN)
}

/// The bounds of two buckets whose label sets are the same text but for that.
fn bounds(lower: &str, upper: &str) -> Option<(i64, i64)> {
    let same = lower.bytes().zip(upper.bytes()).take_while(|(a, b)| a == b).count();
    let (head, _) = lower.as_bytes().split_at_checked(same)?;
    let quote = memchr::memrchr(b'"', head)?;
    let name = head.get(..quote)?.strip_suffix(b"le=")?;
    if !matches!(name.last(), None | Some(b',')) {
        return None;
    }
    let value = |text: &str| {
        let text = text.get(quote.checked_add(1)?..)?;
        let (value, rest) = text.as_bytes().split_at_checked(memchr::memchr(b'"', text.as_bytes())?)?;
        Some((bound(value)?, rest.len().checked_sub(1)?))
    };
    let ((a, a_rest), (b, b_rest)) = (value(lower)?, value(upper)?);
    let end = |text: &str, len: usize| text.len().checked_sub(len);
    let rests = (lower.get(end(lower, a_rest)?..)?, upper.get(end(upper, b_rest)?..)?);
    (rests.0 == rests.1).then_some((a, b))
}

impl View<'_> {
    /// Whether two series of one family are of one group, which a page has side by side.
    pub(crate) fn is_same_group(&self, a: &Series, b: &Series) -> bool {
        let (Some(ours), Some(theirs)) = (self.metric_of(a), self.metric_of(b)) else { return false };
        is_same_set((a, ours), (b, theirs), self.family_bytes(ours), self.text())
    }
}

/// Whether two series of one family have the same labels but for those that tell samples of a group apart.
fn is_same_set(ours: (&Series, &Metric), theirs: (&Series, &Metric), family: &[u8], text: &[u8]) -> bool {
    let of = |(series, metric): (&Series, &Metric)| (series.labels(text), own_label(metric, family));
    same_labels(of(ours), of(theirs))
}

/// Whether two label sets are the same, each without its own label.
fn same_labels(ours: (LabelSet<'_>, Option<&[u8]>), theirs: (LabelSet<'_>, Option<&[u8]>)) -> bool {
    // Mostly they are spelled alike.
    let (mut a, mut b) = (others(ours), others(theirs));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) if x.name == y.name && !means(x, y) => return false,
            _ => break,
        }
    }
    let has =
        |set, label: Label<'_>| others(set).any(|other| other.name == label.name && means(other, label));
    others(ours).all(|label| has(theirs, label)) && others(theirs).all(|label| has(ours, label))
}

fn means(a: Label<'_>, b: Label<'_>) -> bool {
    a.value == b.value || a.value.pieces().order(b.value.pieces()).is_eq()
}

fn others<'a>((labels, own): (LabelSet<'a>, Option<&[u8]>)) -> impl Iterator<Item = Label<'a>> {
    labels.iter().filter(move |label| own.is_none_or(|own| label.name.raw().as_bytes() != own))
}
