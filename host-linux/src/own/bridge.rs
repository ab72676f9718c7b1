//! `pmbridge.*`, as `serve` has them.

use pmbridge_core::pcp::{Semantics, Type, Units};

use super::{
    COUNTER, INSTANT, Row, Says,
    facts::{
        BYTES, FAILURES, REFUSED, SAMPLES, SCRAPES, SERIES, UP, known_series, metrics, put_off,
        refused_clients, resident, store_bytes, sum,
    },
    row, wide,
};

/// The cluster of the bridge's own metrics: the last whose instance domains have numbers of 22 bits.
pub(crate) const CLUSTER: u16 = 4091;

/// In the order of their items: new ones go to the end, so that ids stay.
pub(super) static TABLE: &[Row] = &[
    row(
        "pmbridge.scrapes",
        "Documents asked for, of all sources",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f, s| sum(&SCRAPES, f, s)),
    ),
    row(
        "pmbridge.failures",
        "Scrapes that brought no whole document",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f, s| sum(&FAILURES, f, s)),
    ),
    row(
        "pmbridge.lines_refused",
        "Lines that were not taken",
        COUNTER,
        Units::COUNT,
        Says::Whole(|f, s| sum(&REFUSED, f, s)),
    ),
    row("pmbridge.samples", "Samples taken", COUNTER, Units::COUNT, Says::Whole(|f, s| sum(&SAMPLES, f, s))),
    row(
        "pmbridge.bytes",
        "Bytes of documents read",
        COUNTER,
        Units::BYTE,
        Says::Whole(|f, s| sum(&BYTES, f, s)),
    ),
    row("pmbridge.sources", "Sources", INSTANT, Units::COUNT, Says::Whole(|f, _| wide(f.targets.len()))),
    row(
        "pmbridge.metrics",
        "Metrics known, the bridge's own too",
        INSTANT,
        Units::COUNT,
        Says::Whole(metrics),
    ),
    row(
        "pmbridge.series",
        "Series known, those that vanished too",
        INSTANT,
        Units::COUNT,
        Says::Whole(known_series),
    ),
    row(
        "pmbridge.clients",
        "PCP clients connected",
        INSTANT,
        Units::COUNT,
        Says::Whole(|f, _| wide(f.clients)),
    ),
    row(
        "pmbridge.clients_refused",
        "PCP clients turned away: too many, or out of step",
        COUNTER,
        Units::COUNT,
        Says::Whole(refused_clients),
    ),
    row(
        "pmbridge.memory.store",
        "Bytes that the store takes up",
        INSTANT,
        Units::BYTE,
        Says::Whole(store_bytes),
    ),
    row(
        "pmbridge.memory.resident",
        "Resident bytes of the process",
        INSTANT,
        Units::BYTE,
        Says::Whole(resident),
    ),
    row(
        "pmbridge.full",
        "What was refused because there was no room for more of it",
        COUNTER,
        Units::COUNT,
        Says::Regions,
    ),
    Row {
        name: "pmbridge.build",
        help: "Which pmbridge this is",
        kind: Type::STRING,
        semantics: Semantics::DISCRETE,
        units: Units::NONE,
        says: Says::Build,
    },
    UP.each("pmbridge.source.up"),
    SCRAPES.each("pmbridge.source.scrapes"),
    FAILURES.each("pmbridge.source.failures"),
    REFUSED.each("pmbridge.source.lines_refused"),
    SAMPLES.each("pmbridge.source.samples"),
    BYTES.each("pmbridge.source.bytes"),
    SERIES.each("pmbridge.source.series"),
    row(
        "pmbridge.scrapes_put_off",
        "Scrapes that had to wait for a descriptor (--max-connections)",
        COUNTER,
        Units::COUNT,
        Says::Whole(put_off),
    ),
];
