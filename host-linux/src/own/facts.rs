//! What can be told of each source, and of all of them together.

use std::borrow::Cow;
use std::time::Duration;

use pmbridge_core::{
    pcp::{Semantics, Units},
    store::Store,
};

use super::{COUNTER, Facts, INSTANT, Row, Says, Value, row, wide};
use crate::memory::Memory;
use crate::target::Target;

/// What can be told of each source.
#[derive(Debug)]
pub(super) struct PerSource {
    pub(super) help: &'static str,
    pub(super) semantics: Semantics,
    pub(super) units: Units,
    pub(super) of: fn(&Target, &Facts<'_>, &Store<Memory>) -> Value,
    total: Total,
}

/// What it is over all sources.
#[derive(Debug)]
enum Total {
    /// The sum.
    Sum,
    /// The least, of doubles.
    Least,
    /// Always the same.
    Fixed(fn() -> Value),
}

impl PerSource {
    /// The value over all sources.
    pub(super) fn over(&self, facts: &Facts<'_>, store: &Store<Memory>) -> Value {
        let all = facts.targets.iter().filter_map(|target| match (self.of)(target, facts, store) {
            Value::Bits(bits) => Some(bits),
            Value::Text(_) | Value::None => None,
        });
        match self.total {
            Total::Sum => Value::Bits(all.fold(0, u64::saturating_add)),
            Total::Least => all
                .map(f64::from_bits)
                .min_by(f64::total_cmp)
                .map_or(Value::None, |least| Value::Bits(least.to_bits())),
            Total::Fixed(value) => value(),
        }
    }

    /// A row with a value for each source.
    pub(super) const fn each(&'static self, name: &'static str) -> Row {
        row(name, self.help, self.semantics, self.units, Says::Each(self))
    }

    /// A row with a value for all sources and for each, by its number.
    pub(super) const fn numbered(&'static self, name: &'static str) -> Row {
        row(name, self.help, self.semantics, self.units, Says::Numbered(self))
    }
}

/// The sum over all sources, for a row of its own.
pub(super) fn sum(what: &PerSource, facts: &Facts<'_>, store: &Store<Memory>) -> u64 {
    match what.over(facts, store) {
        Value::Bits(bits) => bits,
        Value::Text(_) | Value::None => 0,
    }
}

const fn summed(
    help: &'static str,
    semantics: Semantics,
    units: Units,
    of: fn(&Target, &Facts<'_>, &Store<Memory>) -> Value,
) -> PerSource {
    PerSource { help, semantics, units, of, total: Total::Sum }
}

pub(super) static SCRAPES: PerSource =
    summed("Documents asked for", COUNTER, Units::COUNT, |t, _, _| Value::Bits(t.totals.scrapes));

pub(super) static FAILURES: PerSource =
    summed("Scrapes that brought no whole document", COUNTER, Units::COUNT, |t, _, _| {
        Value::Bits(t.totals.failures)
    });

pub(super) static REFUSED: PerSource =
    summed("Lines that were not taken", COUNTER, Units::COUNT, |t, _, _| Value::Bits(t.totals.refused));

pub(super) static SAMPLES: PerSource =
    summed("Samples taken", COUNTER, Units::COUNT, |t, _, _| Value::Bits(t.totals.samples));

pub(super) static BYTES: PerSource =
    summed("Bytes of documents read", COUNTER, Units::BYTE, |t, _, _| Value::Bits(t.totals.bytes));

pub(super) static SERIES: PerSource =
    summed("Series with a value in the last document", INSTANT, Units::COUNT, |t, _, store| {
        Value::Bits(store.view().live(t.id))
    });

pub(super) static UP: PerSource =
    summed("1 where the last scrape brought a whole document", INSTANT, Units::NONE, |t, _, _| {
        Value::Bits(t.up.into())
    });

pub(super) static FETCH_TIME: PerSource =
    summed("Time spent waiting for documents", COUNTER, Units::MILLISEC, |t, _, _| {
        Value::Bits(t.totals.fetch_ms)
    });

pub(super) static PARSE_TIME: PerSource =
    summed("Time spent reading documents", COUNTER, Units::MILLISEC, |t, _, _| {
        Value::Bits(t.totals.parse_ms)
    });

pub(super) static STATUS: PerSource = PerSource {
    help: "How the last scrape went",
    semantics: INSTANT,
    units: Units::NONE,
    of: |t, _, _| Value::Text(status(t)),
    total: Total::Fixed(|| Value::Text(Cow::Borrowed("none"))),
};

pub(super) static STATUS_CODE: PerSource = PerSource {
    help: "HTTP status of the last scrape, 0 where there was none",
    semantics: Semantics::DISCRETE,
    units: Units::NONE,
    of: |t, _, _| Value::Bits(t.totals.status_code.into()),
    total: Total::Fixed(|| Value::Bits(0)),
};

pub(super) static AGE: PerSource = PerSource {
    help: "Seconds since the last whole document",
    semantics: INSTANT,
    units: Units::SECOND,
    of: |t, facts, _| {
        t.last_whole.map_or(Value::None, |at| {
            let age = Duration::from_millis(facts.now.saturating_since(at).millis());
            Value::Bits(age.as_secs_f64().to_bits())
        })
    },
    total: Total::Least,
};

/// How the last scrape of a source went, and what is wrong with its configuration.
fn status(target: &Target) -> Cow<'static, str> {
    let went = match &target.went {
        None => "unknown".into(),
        Some(Ok(())) => "success".into(),
        Some(Err(why)) => {
            format!("failed to fetch URL or execute script {}: {why}", target.source.origin).into()
        }
    };
    if target.source.troubles.is_empty() {
        return went;
    }
    format!("{went} (config: {})", target.source.troubles.join("; ")).into()
}

pub(super) fn metrics(_: &Facts<'_>, store: &Store<Memory>) -> u64 {
    wide(store.view().names())
}

pub(super) fn known_series(_: &Facts<'_>, store: &Store<Memory>) -> u64 {
    wide(store.view().series())
}

pub(super) fn vanished(_: &Facts<'_>, store: &Store<Memory>) -> u64 {
    wide(store.view().vanished())
}

pub(super) fn put_off(facts: &Facts<'_>, _: &Store<Memory>) -> u64 {
    facts.put_off
}

pub(super) fn store_bytes(_: &Facts<'_>, store: &Store<Memory>) -> u64 {
    wide(store.storage().bytes())
}

pub(super) fn refused_clients(facts: &Facts<'_>, _: &Store<Memory>) -> u64 {
    facts.refused_clients
}

/// Resident bytes of the process, 0 where the kernel does not say.
pub(super) fn resident(_: &Facts<'_>, _: &Store<Memory>) -> u64 {
    crate::process::resident_bytes()
}
