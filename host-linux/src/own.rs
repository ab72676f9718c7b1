//! The bridge's own metrics, `pmbridge.*`: what it does, what it refuses, what it takes up.

use pmbridge_core::{
    pcp::{Semantics, Type, Units},
    store::{Declaration, Full, MetricId, Published, Region, SourceId, Store},
};

use crate::memory::Memory;
use crate::target::Target;

/// The cluster of the bridge's own metrics: the last whose instance domains have numbers of 22 bits.
pub(crate) const CLUSTER: u16 = 4091;

/// The bridge's own metrics in a store.
#[derive(Debug)]
pub(crate) struct Own {
    ids: Vec<MetricId>,
}

/// One row of the table: name, help, type, semantics, units, and what it says.
struct Row {
    name: &'static str,
    help: &'static str,
    kind: Type,
    semantics: Semantics,
    units: Units,
    says: Says,
}

enum Says {
    /// One value for the whole bridge.
    Whole(fn(&Facts<'_>) -> u64),
    /// One for each source.
    Each(fn(&Target, &Store<Memory>) -> u64),
    /// One for each region of the store.
    Region(fn(&Store<Memory>, Region) -> u64),
    /// Which build this is.
    Build,
}

/// What the values come from.
pub(crate) struct Facts<'a> {
    pub(crate) store: &'a Store<Memory>,
    pub(crate) targets: &'a [Target],
    pub(crate) clients: usize,
    pub(crate) refused_clients: u64,
}

impl Own {
    /// Declares all of them.
    pub(crate) fn declare(store: &mut Store<Memory>, source: SourceId) -> Result<Self, Full> {
        let mut ids = Vec::new();
        for row in TABLE {
            let singular = matches!(row.says, Says::Whole(_) | Says::Build);
            let Row { name, help, kind, semantics, units, .. } = *row;
            ids.push(store.declare(source, &Declaration { name, help, kind, semantics, units, singular })?);
        }
        Ok(Self { ids })
    }

    /// Publishes what is true now.
    pub(crate) fn publish(
        &self,
        store: &mut Store<Memory>,
        targets: &[Target],
        clients: usize,
        refused: u64,
    ) {
        for (row, id) in TABLE.iter().zip(&self.ids) {
            // What has no room for itself has nothing to say; that shows in `pmbridge.refused`.
            match row.says {
                Says::Whole(value) => {
                    let bits = value(&Facts { store, targets, clients, refused_clients: refused });
                    let _ = store.publish(*id, "", Published::Bits(bits));
                }
                Says::Each(value) => {
                    for target in targets {
                        let bits = value(target, store);
                        let _ = store.publish(*id, &target.source.name, Published::Bits(bits));
                    }
                }
                Says::Region(value) => {
                    for region in REGIONS {
                        let bits = value(store, region);
                        let _ = store.publish(*id, region.name(), Published::Bits(bits));
                    }
                }
                Says::Build => {
                    let build = concat!("pmbridge ", env!("CARGO_PKG_VERSION"));
                    let _ = store.publish(*id, "", Published::Text(build));
                }
            }
        }
    }
}

fn sum(facts: &Facts<'_>, of: fn(&Target) -> u64) -> u64 {
    facts.targets.iter().map(of).fold(0, u64::saturating_add)
}

const fn wide(n: usize) -> u64 {
    n as u64
}

/// Resident bytes of the process, 0 where the kernel does not say.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()));
    pages.unwrap_or(0).saturating_mul(4096)
}

const REGIONS: [Region; Region::COUNT] =
    [Region::Sources, Region::Metrics, Region::Series, Region::Past, Region::Index, Region::Text];

const COUNTER: Semantics = Semantics::COUNTER;
const INSTANT: Semantics = Semantics::INSTANT;

const fn row(name: &'static str, help: &'static str, semantics: Semantics, units: Units, says: Says) -> Row {
    Row { name, help, kind: Type::U64, semantics, units, says }
}

/// In the order of their items: new ones go to the end, so that ids stay.
static TABLE: &[Row] = &[
    row(
        "pmbridge.scrapes",
        "Documents asked for, of all sources",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f| sum(f, |t| t.totals.scrapes)),
    ),
    row(
        "pmbridge.failures",
        "Scrapes that brought no whole document",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f| sum(f, |t| t.totals.failures)),
    ),
    row(
        "pmbridge.lines_refused",
        "Lines that were not taken",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f| sum(f, |t| t.totals.refused)),
    ),
    row(
        "pmbridge.samples",
        "Samples taken",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f| sum(f, |t| t.totals.samples)),
    ),
    row(
        "pmbridge.bytes",
        "Bytes of documents read",
        COUNTER,
        Units::BYTE,
        Says::Whole(|f| sum(f, |t| t.totals.bytes)),
    ),
    row("pmbridge.sources", "Sources", INSTANT, Units::COUNT, Says::Whole(|f| wide(f.targets.len()))),
    row(
        "pmbridge.metrics",
        "Metrics known, the bridge's own too",
        INSTANT,
        Units::COUNT,
        Says::Whole(|f| wide(f.store.view().names())),
    ),
    row(
        "pmbridge.series",
        "Series known, those that vanished too",
        INSTANT,
        Units::COUNT,
        Says::Whole(|f| wide(f.store.view().series())),
    ),
    row("pmbridge.clients", "PCP clients connected", INSTANT, Units::COUNT, Says::Whole(|f| wide(f.clients))),
    row(
        "pmbridge.clients_refused",
        "PCP clients turned away: too many, or out of step",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f| f.refused_clients),
    ),
    row(
        "pmbridge.memory.store",
        "Bytes that the store takes up",
        INSTANT,
        Units::BYTE,
        Says::Whole(|f| wide(f.store.storage().bytes())),
    ),
    row(
        "pmbridge.memory.resident",
        "Resident bytes of the process",
        INSTANT,
        Units::BYTE,
        Says::Whole(|_| resident()),
    ),
    row(
        "pmbridge.full",
        "What was refused because there was no room for more of it",
        COUNTER,
        Units::COUNT,
        Says::Region(Store::refused),
    ),
    Row {
        name: "pmbridge.build",
        help: "Which pmbridge this is",
        kind: Type::STRING,
        semantics: Semantics::DISCRETE,
        units: Units::NONE,
        says: Says::Build,
    },
    row(
        "pmbridge.source.up",
        "1 where the last scrape brought a whole document",
        INSTANT,
        Units::NONE,
        Says::Each(|t, _| u64::from(t.up)),
    ),
    row(
        "pmbridge.source.scrapes",
        "Documents asked for",
        COUNTER,
        Units::COUNT,
        Says::Each(|t, _| t.totals.scrapes),
    ),
    row(
        "pmbridge.source.failures",
        "Scrapes that brought no whole document",
        COUNTER,
        Units::COUNT,
        Says::Each(|t, _| t.totals.failures),
    ),
    row(
        "pmbridge.source.lines_refused",
        "Lines that were not taken",
        COUNTER,
        Units::COUNT,
        Says::Each(|t, _| t.totals.refused),
    ),
    row(
        "pmbridge.source.samples",
        "Samples taken",
        COUNTER,
        Units::COUNT,
        Says::Each(|t, _| t.totals.samples),
    ),
    row(
        "pmbridge.source.bytes",
        "Bytes of documents read",
        COUNTER,
        Units::BYTE,
        Says::Each(|t, _| t.totals.bytes),
    ),
    row(
        "pmbridge.source.series",
        "Series with a value in the last document",
        INSTANT,
        Units::COUNT,
        Says::Each(|t, s| s.view().live(t.id)),
    ),
];
