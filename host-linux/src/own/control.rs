//! `ROOT.control.*`, as `pmda` has them: those of PCP's own PMDA with their ids and words, then ours.

use pmbridge_core::{
    mapping::compat::Compat,
    pcp::{Semantics, Type, Units},
    store::Region,
};

use super::{
    COUNTER, INSTANT, Row, Says,
    facts::{
        AGE, BYTES, FAILURES, FETCH_TIME, PARSE_TIME, REFUSED, SAMPLES, SCRAPES, SERIES, STATUS, STATUS_CODE,
        UP, known_series, metrics, put_off, refused_clients, resident, store_bytes, vanished,
    },
    row,
};

/// The cluster that no source has.
pub(super) const CLUSTER: u16 = 0;
/// The serial of the domain of all sources.
pub(super) const SERIAL: u32 = 0;
/// The name of instance 0, which tells of all sources.
pub(super) const TOTAL: &str = "control";

/// The last item that PCP's own PMDA has too.
pub(super) const STOCK: u16 = 6;

/// In the order of their items from 1 on: new ones go to the end, so that ids stay.
///
/// The first tells which instances there are.
pub(super) static TABLE: &[Row] = &[
    Row { help: "per-end-point source call counter", ..SCRAPES.numbered("calls") },
    Row {
        help: "per-end-point source fetch time counter, excluding parse time",
        ..FETCH_TIME.numbered("fetch_time")
    },
    Row {
        help: "per-end-point source parse time counter, excluding fetch time",
        ..PARSE_TIME.numbered("parse_time")
    },
    Row {
        name: "debug",
        help: "",
        kind: Type::U32,
        semantics: Semantics::DISCRETE,
        units: Units::NONE,
        says: Says::Debug,
    },
    Row {
        help: "per-end-point source URL response status after the most recent fetch",
        kind: Type::STRING,
        ..STATUS.numbered("status")
    },
    Row {
        help: "per-end-point source URL response status code after the most recent fetch",
        kind: Type::I32,
        ..STATUS_CODE.numbered("status_code")
    },
    SERIES.numbered("series"),
    SAMPLES.numbered("samples"),
    REFUSED.numbered("refused_lines"),
    BYTES.numbered("bytes"),
    Row { kind: Type::DOUBLE, ..AGE.numbered("last_scrape_age") },
    SCRAPES.numbered("scrapes"),
    FAILURES.numbered("failures"),
    UP.numbered("up"),
    full("full.sources", "Sources that were refused because there was no room", Region::Sources),
    full("full.metrics", "Metrics that were refused because there was no room", Region::Metrics),
    full("full.series", "Series that were refused because there was no room (--max-series)", Region::Series),
    full("full.index", "Index entries that were refused because there was no room", Region::Index),
    full("full.text", "Names, labels and texts that were refused because there was no room", Region::Text),
    row(
        "refused_connections",
        "Connections that were turned away: too many, or out of step",
        COUNTER,
        Units::COUNT,
        Says::Whole(refused_clients),
    ),
    row("known.metrics", "Metrics in the name space, these too", INSTANT, Units::COUNT, Says::Whole(metrics)),
    row(
        "known.series",
        "Series at hand, every spelling counted",
        INSTANT,
        Units::COUNT,
        Says::Whole(known_series),
    ),
    row(
        "known.vanished",
        "Instances that vanished and may come back with their ids",
        INSTANT,
        Units::COUNT,
        Says::Whole(vanished),
    ),
    full("full.vanished", "Vanished instances that were refused because there was no room", Region::Past),
    row(
        "scrapes_put_off",
        "Scrapes that had to wait for a descriptor (--max-connections)",
        COUNTER,
        Units::COUNT,
        Says::Whole(put_off),
    ),
    row("memory.store", "Bytes that the store takes up", INSTANT, Units::BYTE, Says::Whole(store_bytes)),
    row("memory.resident", "Resident bytes of the process", INSTANT, Units::BYTE, Says::Whole(resident)),
    Row {
        name: "build",
        help: "Which pmbridge this is",
        kind: Type::STRING,
        semantics: Semantics::DISCRETE,
        units: Units::NONE,
        says: Says::Build,
    },
];

/// The help of a row, as PCP's own PMDA of that version has it.
pub(super) const fn help(row: &Row, compat: Compat) -> &'static str {
    match (&row.says, compat) {
        (Says::Debug, Compat::V60) => {
            "debug flag to enable verbose log messages, to enable: pmstore openmetrics.control.debug 1"
        }
        (Says::Debug, Compat::V72) => "debug flag to enable verbose log messages",
        _ => row.help,
    }
}

const fn full(name: &'static str, help: &'static str, region: Region) -> Row {
    row(name, help, COUNTER, Units::COUNT, Says::Full(region))
}
