//! What the agent says of itself, as `pmbridge.*`, named and numbered as `serve` has what means the same.

use pmbridge_core::{
    pcp::{Semantics, Type, Units},
    store::{Declaration, Instances, Published, Region, SourceId},
};

use crate::{
    clients::Known, memory::Later, metrics::Error, neighbour::Lane, rules::Globs, settings::Neighbour,
    stats::Stats,
};

/// What the values come from, beside the store.
pub(crate) struct Facts<'a> {
    pub(crate) stats: &'a Stats,
    pub(crate) lanes: &'a [Lane],
    pub(crate) rules: &'a [Later<Globs>],
    pub(crate) neighbours: &'static [Neighbour],
}

/// The agent's own metrics in a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    /// The source that they belong to, and no others.
    pub(crate) source: SourceId,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    name: &'static str,
    help: &'static str,
    semantics: Semantics,
    units: Units,
    /// Its number among those of `serve`, or behind them.
    item: u16,
    says: Says,
}

/// What a metric says.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// One value.
    Whole(fn(&Facts<'_>, &Known<'_>) -> u64),
    /// One value of each neighbour.
    Each(fn(&Lane, &Globs, &Known<'_>) -> u64),
    /// The sum of those.
    Sum(fn(&Lane, &Globs, &Known<'_>) -> u64),
    /// What was refused for want of room, for each region of the store.
    Full,
}

const COUNTER: Semantics = Semantics::COUNTER;
const INSTANT: Semantics = Semantics::INSTANT;

const fn row(item: u16, name: &'static str, help: &'static str, semantics: Semantics, says: Says) -> Row {
    Row { name, help, semantics, units: Units::COUNT, item, says }
}

/// In the order of their items. Up to 21 they are those of `serve`.
static TABLE: [Row; 14] = [
    row(0, "pmbridge.scrapes", "Documents asked for, of all sources", COUNTER, Says::Sum(scrapes)),
    row(1, "pmbridge.failures", "Scrapes that brought no whole document", COUNTER, Says::Sum(failures)),
    row(2, "pmbridge.lines_refused", "Lines that were not taken", COUNTER, Says::Sum(refused)),
    row(3, "pmbridge.samples", "Samples taken", COUNTER, Says::Sum(|lane, _, _| lane.totals.samples)),
    row(
        6,
        "pmbridge.metrics",
        "Slots of metrics in use, those of vanished ones too",
        INSTANT,
        Says::Whole(metrics),
    ),
    row(
        7,
        "pmbridge.series",
        "Slots of series in use, those of vanished ones too",
        INSTANT,
        Says::Whole(series),
    ),
    row(8, "pmbridge.clients", "PCP clients connected", INSTANT, Says::Whole(|f, _| f.stats.clients.into())),
    row(
        9,
        "pmbridge.clients_refused",
        "PCP clients turned away: too many, or out of step",
        COUNTER,
        Says::Whole(|f, _| u64::from(f.stats.refused).saturating_add(f.stats.out_of_step.into())),
    ),
    row(
        12,
        "pmbridge.full",
        "What was refused because there was no room for more of it",
        COUNTER,
        Says::Full,
    ),
    Row {
        units: Units::NONE,
        ..row(
            14,
            "pmbridge.source.up",
            "1 where the last scrape brought a whole document",
            INSTANT,
            Says::Each(up),
        )
    },
    row(20, "pmbridge.source.series", "Series with a value in the last document", INSTANT, Says::Each(live)),
    row(22, "pmbridge.source.dropped", "Samples left out by rules", COUNTER, Says::Each(dropped)),
    row(
        23,
        "pmbridge.connections_evicted",
        "Idle connections that made room for others",
        COUNTER,
        Says::Whole(|f, _| f.stats.evicted.into()),
    ),
    row(
        24,
        "pmbridge.connections_timed_out",
        "Connections that ended at a deadline",
        COUNTER,
        Says::Whole(|f, _| f.stats.timed_out.into()),
    ),
];

impl Row {
    /// Whether there is anything to say: who has no neighbours says nothing of scrapes.
    const fn is_said(&self, neighbours: &[Neighbour]) -> bool {
        !matches!(self.says, Says::Each(_) | Says::Sum(_)) || !neighbours.is_empty()
    }
}

impl Own {
    /// Declares `pmbridge.*`, with all series, so that they have their room before neighbours take it.
    pub(crate) fn declare(store: &mut Known<'_>, neighbours: &'static [Neighbour]) -> Result<Self, Error> {
        let source = store.add_source("pmbridge", "", Some(CLUSTER))?;
        for row in TABLE.iter().filter(|row| row.is_said(neighbours)) {
            let declaration = Declaration {
                name: row.name,
                help: row.help,
                kind: Type::U64,
                semantics: row.semantics,
                units: row.units,
                instances: match row.says {
                    Says::Each(_) | Says::Full => Instances::Own,
                    Says::Whole(_) | Says::Sum(_) => Instances::One,
                },
                item: Some(row.item),
                storable: false,
                aside: false,
            };
            let metric = store.declare(source, &declaration)?;
            // A page has small letters and `_` only, so the device may have a metric that is called the same there.
            if store.view().kin_len(metric) > 1 {
                return Err(Error::Twice(row.name));
            }
            let mut series = |instance| store.declare_series(metric, instance, &[]).map(|_| ());
            match row.says {
                Says::Whole(_) | Says::Sum(_) => series(None)?,
                Says::Each(_) => neighbours.iter().try_for_each(|n| series(Some((INSTANCE, n.name))))?,
                Says::Full => REGIONS.iter().try_for_each(|r| series(Some((INSTANCE, r.name()))))?,
            }
        }
        store.on_demand(source);
        Ok(Self { source })
    }

    /// Publishes what is true now, in the order of declaration.
    pub(crate) fn publish(&self, store: &mut Known<'_>, facts: &Facts<'_>) {
        store.begin(self.source);
        let mut metric = store.first_declared(self.source);
        for row in TABLE.iter().filter(|row| row.is_said(facts.neighbours)) {
            let Some(this) = metric else { break };
            let mut series = store.first_series(this);
            let mut at = 0;
            while let Some(slot) = series {
                let bits = row.says.value(at, facts, store);
                series = store.renew(slot, Published::Bits(bits)).unwrap_or(None);
                at = at.saturating_add(1);
            }
            metric = store.declared_after(this);
        }
        store.published(self.source);
    }
}

impl Says {
    /// The value of the series at this place.
    fn value(self, at: usize, facts: &Facts<'_>, store: &Known<'_>) -> u64 {
        match self {
            Self::Whole(value) => value(facts, store),
            Self::Sum(value) => {
                each(facts).map(|(lane, rules)| value(lane, rules, store)).fold(0, u64::saturating_add)
            }
            Self::Each(value) => each(facts).nth(at).map_or(0, |(lane, rules)| value(lane, rules, store)),
            Self::Full => REGIONS.get(at).map_or(0, |region| store.refused(*region)),
        }
    }
}

/// Neighbours, and their rules.
fn each<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a Lane, &'a Globs)> + use<'a> {
    facts.lanes.iter().zip(facts.rules.iter().filter_map(Later::as_ref))
}

fn scrapes(lane: &Lane, _: &Globs, _: &Known<'_>) -> u64 {
    lane.totals.scrapes.into()
}

fn failures(lane: &Lane, _: &Globs, _: &Known<'_>) -> u64 {
    lane.totals.failures.into()
}

fn refused(lane: &Lane, _: &Globs, _: &Known<'_>) -> u64 {
    lane.totals.refused
}

fn up(lane: &Lane, _: &Globs, _: &Known<'_>) -> u64 {
    lane.totals.is_up.into()
}

fn live(lane: &Lane, _: &Globs, store: &Known<'_>) -> u64 {
    lane.source.map_or(0, |source| store.view().live(source))
}

fn dropped(_: &Lane, rules: &Globs, _: &Known<'_>) -> u64 {
    rules.dropped().into()
}

fn metrics(_: &Facts<'_>, store: &Known<'_>) -> u64 {
    u64::try_from(store.view().slots().0).unwrap_or(u64::MAX)
}

fn series(_: &Facts<'_>, store: &Known<'_>) -> u64 {
    u64::try_from(store.view().slots().1).unwrap_or(u64::MAX)
}

/// Vanished instances have no room at all, by intention.
pub(crate) const REGIONS: [Region; 5] =
    [Region::Sources, Region::Metrics, Region::Series, Region::Index, Region::Text];
/// The label that tells instances apart, as `serve` has it.
const INSTANCE: &str = "instname";
/// The cluster that `serve` has them in.
const CLUSTER: u16 = 4091;
