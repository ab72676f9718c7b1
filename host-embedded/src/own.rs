//! What the agent says of itself, as `pmbridge.*`, named and numbered as `serve` has what means the same.

use pmbridge_core::{
    pcp::{Semantics, Type, Units},
    store::{Declaration, Full, Instance, Instances, MetricId, Published, Region, SourceId, Storage, Store},
};

use crate::{
    clients::Known, memory::Later, neighbour::Lane, rules::Globs, settings::Neighbour, stats::Stats,
};

/// What the values come from, beside the store.
pub(crate) struct Facts<'a> {
    pub(crate) stats: &'a Stats,
    pub(crate) lanes: &'a [Lane],
    pub(crate) rules: &'a [Later<Globs>],
    pub(crate) neighbours: &'static [Neighbour],
}

/// The agent's own metrics in a store.
#[derive(Debug)]
pub(crate) struct Own {
    /// The source that they belong to.
    pub(crate) source: SourceId,
    ids: [Option<MetricId>; TABLE.len()],
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
    row(6, "pmbridge.metrics", "Metrics known, the bridge's own too", INSTANT, Says::Whole(metrics)),
    row(7, "pmbridge.series", "Series known, those that vanished too", INSTANT, Says::Whole(series)),
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

impl Own {
    /// Declares `pmbridge.*`, as far as there is anything to say: who has no neighbours says nothing of scrapes.
    pub(crate) fn declare<S: Storage>(store: &mut Store<S>, neighbours: usize) -> Result<Self, Full> {
        let source = store.add_source("pmbridge", "", Some(CLUSTER))?;
        let mut ids = [None; TABLE.len()];
        for (id, row) in ids.iter_mut().zip(&TABLE) {
            let instances = match row.says {
                Says::Each(_) | Says::Sum(_) if neighbours == 0 => continue,
                Says::Each(_) | Says::Full => Instances::Own,
                Says::Whole(_) | Says::Sum(_) => Instances::One,
            };
            let declaration = Declaration {
                name: row.name,
                help: row.help,
                kind: Type::U64,
                semantics: row.semantics,
                units: row.units,
                instances,
                item: Some(row.item),
                storable: false,
                aside: false,
            };
            *id = Some(store.declare(source, &declaration)?);
        }
        store.on_demand(source);
        Ok(Self { source, ids })
    }

    /// Publishes what is true now. What has no room for itself shows in what counts refusals.
    pub(crate) fn publish(&self, store: &mut Known<'_>, facts: &Facts<'_>) {
        store.begin(self.source);
        for (row, id) in TABLE.iter().zip(self.ids) {
            let Some(id) = id else { continue };
            match row.says {
                Says::Whole(value) => {
                    let value = value(facts, store);
                    put(store, id, Instance::ONE, value);
                }
                Says::Sum(value) => {
                    let mut sum = 0u64;
                    for (lane, rules) in each(facts) {
                        sum = sum.saturating_add(value(lane, rules, store));
                    }
                    put(store, id, Instance::ONE, sum);
                }
                Says::Each(value) => {
                    for ((lane, rules), neighbour) in each(facts).zip(facts.neighbours) {
                        let value = value(lane, rules, store);
                        put(store, id, Instance::named(neighbour.name), value);
                    }
                }
                Says::Full => {
                    for region in REGIONS {
                        let value = store.refused(region);
                        put(store, id, Instance::named(region.name()), value);
                    }
                }
            }
        }
        store.published(self.source);
    }
}

/// Neighbours, and their rules.
fn each<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (&'a Lane, &'a Globs)> + use<'a> {
    facts.lanes.iter().zip(facts.rules.iter().filter_map(Later::as_ref))
}

fn put(store: &mut Known<'_>, metric: MetricId, instance: Instance<'_>, bits: u64) {
    let _ = store.publish(metric, instance, Published::Bits(bits));
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
    u64::try_from(store.view().names()).unwrap_or(u64::MAX)
}

fn series(_: &Facts<'_>, store: &Known<'_>) -> u64 {
    u64::try_from(store.view().series()).unwrap_or(u64::MAX)
}

/// Vanished instances have no room at all, by intention.
const REGIONS: [Region; 5] = [Region::Sources, Region::Metrics, Region::Series, Region::Index, Region::Text];
/// The cluster that `serve` has them in.
const CLUSTER: u16 = 4091;
