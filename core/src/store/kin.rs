//! What a page reads: families over all sources, and what is in each.

use super::{
    MetricId, SourceId,
    record::{Factor, Metric, Pad, Series, Slot, above},
    view::View,
};

impl<'a> View<'a> {
    /// The first metric of the source at `place`; `None` where there is no such source.
    pub(crate) fn first_of(&self, place: usize) -> Option<Slot> {
        Some(self.sources().nth(place)?.first)
    }

    /// Whether there is more than one source whose values come from scrapes.
    pub(crate) fn has_several(&self) -> bool {
        self.sources().filter(|source| !source.own && !source.is_gone()).nth(1).is_some()
    }

    /// Whether the last whole document of a metric's source was one of OpenMetrics.
    pub(crate) fn is_open(&self, metric: &Metric) -> bool {
        self.source(metric.source).is_some_and(|source| source.open)
    }

    /// The name that samples of a metric have on a page.
    pub(crate) fn sent(&self, metric: &Metric) -> &'a str {
        core::str::from_utf8(self.sent_bytes(metric)).unwrap_or_default()
    }

    fn sent_bytes(&self, metric: &Metric) -> &'a [u8] {
        metric.sent_in(self.text(), above(self.source(metric.source), self.root_span()))
    }

    /// The bytes of [`family_name`](Self::family_name).
    pub(crate) fn family_bytes(&self, metric: &Metric) -> &'a [u8] {
        metric.family_of(self.sent_bytes(metric))
    }

    /// The name of a metric's family.
    pub(crate) fn family_name(&self, metric: &Metric) -> &'a str {
        core::str::from_utf8(self.family_bytes(metric)).unwrap_or_default()
    }

    /// The metrics that a page shows together with the one in `lead`, from that one on.
    pub(crate) fn kin(&self, lead: Slot) -> impl Iterator<Item = (Slot, &'a Metric)> + use<'a> {
        let view = *self;
        let mut at = lead;
        core::iter::from_fn(move || {
            let slot = at;
            let metric = view.metric(slot)?;
            at = if metric.kin == lead { Slot::NONE } else { metric.kin };
            Some((slot, metric))
        })
    }

    /// How many metrics are in each other's way on a page, this one included: those of its family, and those whose names
    /// would be another family's.
    pub fn kin_len(&self, metric: MetricId) -> usize {
        self.kin(metric.0).count()
    }

    /// What a line said beside the value of a series, as it follows a series; empty where it said no more.
    pub(crate) fn annex(&self, series: &Series) -> &'a [u8] {
        self.annex_of(series).map_or(&[], |row| Pad::unpack(row.value).span.of(self.text()))
    }

    fn annex_of(&self, series: &Series) -> Option<&'a Series> {
        if !series.is(Series::ANNEX) {
            return None;
        }
        self.series_at(series.link).filter(|row| row.is_extra())
    }

    /// The value that lines of this label set said last.
    pub(crate) fn own_value(&self, series: &Series) -> u64 {
        self.annex_of(series).map_or_else(|| series.value(), Series::own_value)
    }

    /// The row that follows on a page.
    pub(crate) const fn link(series: &Series) -> Slot {
        series.link
    }

    /// The name that the host gave an instance; none where it gave labels.
    pub(crate) fn given_name(&self, series: &Series) -> &'a [u8] {
        if series.is_named_plainly() { series.raw.of(self.text()) } else { &[] }
    }

    /// Whether a series is on a page: a line of it was in the last whole document, or the host has published it.
    pub(crate) const fn is_shown(series: &Series) -> bool {
        if series.is(Series::NAMED) { series.is_live() } else { series.is_shown() }
    }

    /// What values as sent were multiplied by.
    pub(crate) fn factor(metric: &Metric) -> Option<f64> {
        Factor::scales(metric.factor)
    }

    /// The source of a metric, by its name.
    pub(crate) fn source_name_of(&self, metric: &Metric) -> &'a str {
        self.source_name(SourceId(metric.source))
    }
}
