//! The bridge's own metrics: what it does, what it refuses, what it takes up.
//!
//! `pmda` has them as [`control`] does it in PCP's own PMDA, `serve` as `pmbridge.*` ([`bridge`]); what both say comes
//! from the same [`facts`]. Values are made when somebody asks for them.

mod bridge;
mod control;
mod facts;

use std::borrow::Cow;

use pmbridge_core::{
    mapping::compat::Compat,
    pcp::{Semantics, Type, Units},
    store::{Declaration, Full, Instance, Instances, MetricId, Published, Region, SourceId, Store},
};

use crate::memory::Memory;
use crate::target::Target;
pub(crate) use bridge::CLUSTER;
use facts::PerSource;

/// The bridge's own metrics in a store.
#[derive(Debug)]
pub(crate) struct Own {
    /// The source that they belong to.
    pub(crate) source: SourceId,
    table: &'static [Row],
    ids: Vec<MetricId>,
    /// Instances of sources that are gone stay.
    keeps: bool,
}

/// What the values come from, beside the store.
pub(crate) struct Facts<'a> {
    pub(crate) targets: &'a [Target],
    pub(crate) clients: usize,
    pub(crate) refused_clients: u64,
    /// Scrapes that had to wait for a descriptor.
    pub(crate) put_off: u64,
    /// Whether debug messages are logged.
    pub(crate) debug: bool,
    pub(crate) now: pmbridge_core::time::Instant,
}

/// One row of a table: name, help, type, semantics, units, and what it says.
#[derive(Debug)]
struct Row {
    name: &'static str,
    help: &'static str,
    kind: Type,
    semantics: Semantics,
    units: Units,
    says: Says,
}

#[derive(Debug)]
enum Says {
    /// One value for the whole bridge.
    Whole(fn(&Facts<'_>, &Store<Memory>) -> u64),
    /// One for each source.
    Each(&'static PerSource),
    /// One for all sources, then one for each, by its number.
    Numbered(&'static PerSource),
    /// What was refused for want of room, for each region of the store.
    Regions,
    /// The same for one region.
    Full(Region),
    /// Whether debug messages are logged; clients may say whether they should be.
    Debug,
    /// Which build this is.
    Build,
}

/// A value, where there is one.
#[derive(Debug)]
enum Value {
    Bits(u64),
    Text(Cow<'static, str>),
    None,
}

impl Own {
    /// Declares `pmbridge.*`.
    pub(crate) fn bridge(store: &mut Store<Memory>) -> Result<Self, Full> {
        let source = store.add_source("pmbridge", "", Some(CLUSTER))?;
        Self::declare(store, source, bridge::TABLE, true, |row, _| Declared {
            name: row.name.to_owned(),
            help: row.help,
            item: None,
            aside: false,
        })
    }

    /// Declares `ROOT.control.*` as PCP's own PMDA of that version does.
    pub(crate) fn control(store: &mut Store<Memory>, root: &str, compat: Compat) -> Result<Self, Full> {
        let source = store.add_source("control", "", Some(control::CLUSTER))?;
        let keeps = compat == Compat::V60;
        Self::declare(store, source, control::TABLE, keeps, |row, item| Declared {
            name: format!("{root}.control.{}", row.name),
            help: control::help(row, compat),
            item: Some(item),
            // QA of PCP (1321) holds a listing of everything to the stock PMDA's names.
            aside: item > control::STOCK,
        })
    }

    fn declare(
        store: &mut Store<Memory>,
        source: SourceId,
        table: &'static [Row],
        keeps: bool,
        declared: impl Fn(&Row, u16) -> Declared,
    ) -> Result<Self, Full> {
        let mut ids = Vec::new();
        for (row, item) in table.iter().zip(1..) {
            let Declared { name, help, item, aside } = declared(row, item);
            let declaration = Declaration {
                name: &name,
                help,
                kind: row.kind,
                semantics: row.semantics,
                units: row.units,
                instances: row.instances(),
                item,
                storable: matches!(row.says, Says::Debug),
                aside,
            };
            ids.push(store.declare(source, &declaration)?);
        }
        store.on_demand(source);
        Ok(Self { source, table, ids, keeps })
    }

    /// Whether this is the metric that switches debug messages.
    pub(crate) fn is_debug(&self, metric: MetricId) -> bool {
        self.table.iter().zip(&self.ids).any(|(row, id)| matches!(row.says, Says::Debug) && *id == metric)
    }

    /// Publishes what is true now.
    pub(crate) fn publish(&self, store: &mut Store<Memory>, facts: &Facts<'_>) {
        for (row, id) in self.table.iter().zip(&self.ids) {
            match &row.says {
                Says::Whole(value) => {
                    let value = value(facts, store);
                    put(store, *id, Instance::ONE, &Value::Bits(value));
                }
                Says::Debug => put(store, *id, Instance::ONE, &Value::Bits(facts.debug.into())),
                Says::Build => {
                    let build = concat!("pmbridge ", env!("CARGO_PKG_VERSION"));
                    put(store, *id, Instance::ONE, &Value::Text(build.into()));
                }
                Says::Each(what) => {
                    for target in facts.targets {
                        let value = (what.of)(target, facts, store);
                        put(store, *id, Instance::named(&target.source.name), &value);
                    }
                }
                Says::Numbered(what) => self.publish_numbered(store, *id, what, facts),
                Says::Regions => {
                    for region in REGIONS {
                        let value = Value::Bits(store.refused(region));
                        put(store, *id, Instance::named(region.name()), &value);
                    }
                }
                Says::Full(region) => {
                    let value = Value::Bits(store.refused(*region));
                    put(store, *id, Instance::ONE, &value);
                }
            }
        }
    }

    fn publish_numbered(&self, store: &mut Store<Memory>, id: MetricId, what: &PerSource, facts: &Facts<'_>) {
        let total = what.over(facts, store);
        put(store, id, Instance::numbered(0, control::TOTAL), &total);
        for target in facts.targets {
            let number = u32::from(store.view().cluster(target.id));
            if store.view().is_gone(target.id) && !self.keeps {
                store.withdraw(id, number);
                continue;
            }
            let value = (what.of)(target, facts, store);
            put(store, id, Instance::numbered(number, &target.source.name), &value);
        }
    }
}

impl Row {
    fn instances(&self) -> Instances {
        match self.says {
            Says::Whole(_) | Says::Full(_) | Says::Debug | Says::Build => Instances::One,
            Says::Each(_) | Says::Regions => Instances::Own,
            Says::Numbered(_) => Instances::Shared(control::SERIAL),
        }
    }
}

/// What tables leave open.
struct Declared {
    name: String,
    help: &'static str,
    item: Option<u16>,
    aside: bool,
}

/// Publishes a value. What has no room for itself has nothing to say; that shows in what counts refusals.
fn put(store: &mut Store<Memory>, metric: MetricId, instance: Instance<'_>, value: &Value) {
    let _ = match value {
        Value::Bits(bits) => store.publish(metric, instance, Published::Bits(*bits)),
        Value::Text(text) => store.publish(metric, instance, Published::Text(text)),
        Value::None => return,
    };
}

const fn wide(n: usize) -> u64 {
    n as u64
}

const REGIONS: [Region; Region::COUNT] =
    [Region::Sources, Region::Metrics, Region::Series, Region::Past, Region::Index, Region::Text];

const COUNTER: Semantics = Semantics::COUNTER;
const INSTANT: Semantics = Semantics::INSTANT;

const fn row(name: &'static str, help: &'static str, semantics: Semantics, units: Units, says: Says) -> Row {
    Row { name, help, kind: Type::U64, semantics, units, says }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::sources::{Origin, Source};
    use crate::target::Means;
    use crate::url::Url;
    use pmbridge_core::pcp::{InDom, Pmid};
    use pmbridge_core::time::Instant;

    fn target(store: &mut Store<Memory>, name: &str, url: &str, cluster: u16) -> Target {
        let id = store.add_source(name, "", Some(cluster)).unwrap();
        let source = Source::plain(name.into(), Origin::Url(Url::parse(url).unwrap()));
        let poll = mio::Poll::new().unwrap();
        let means = Means::new(poll.registry(), Limits::DEFAULT).unwrap();
        Target::new(id, source, mio::Token(9), means)
    }

    fn publish(own: &Own, store: &mut Store<Memory>, targets: &[Target]) {
        let now = Instant::from_millis(5000);
        own.publish(store, &Facts { targets, clients: 1, refused_clients: 0, put_off: 0, debug: false, now });
    }

    /// The instances of a control metric with their values, strings as they are.
    fn values(store: &Store<Memory>, item: u16) -> Vec<(u32, String)> {
        let view = store.view();
        let metric = view.identified(Pmid::new(144, 0, item).unwrap()).unwrap();
        let text = metric.desc().kind == Type::STRING;
        let all = view.series_from(view.first(metric)).map(|(_, series)| series).filter(|s| s.is_live());
        all.map(|s| {
            let text =
                if text { String::from_utf8_lossy(view.string(s)).into() } else { s.value().to_string() };
            (s.instance(), text)
        })
        .collect()
    }

    fn instances(store: &Store<Memory>) -> Vec<u32> {
        let view = store.view();
        let metric = view.of_indom(InDom::new(144, 0).unwrap()).unwrap();
        view.series_from(view.first(metric)).map(|(_, series)| series.instance()).collect()
    }

    #[test]
    fn status_says_how_the_last_scrape_went_without_secrets() {
        let mut store = Store::new(Memory::new(1000, 1000), 144, 1);
        let own = Own::control(&mut store, "openmetrics", Compat::V60).unwrap();
        let mut targets = [
            target(&mut store, "new", "http://h/", 1),
            target(&mut store, "well", "http://h/", 2),
            target(&mut store, "ill", "http://user:secret@h/m", 3),
        ];
        targets[1].ended(Ok(()), Instant::from_millis(3500));
        targets[1].source.troubles = vec!["well.url:3: no such filter".into()];
        targets[2].ended(Err("it is ill".into()), Instant::from_millis(3500));
        publish(&own, &mut store, &targets);
        let want = [
            (0, "none"),
            (1, "unknown"),
            (2, "success (config: well.url:3: no such filter)"),
            (3, "failed to fetch URL or execute script http://h/m: it is ill"),
        ];
        assert_eq!(values(&store, 5), want.map(|(id, text)| (id, text.to_owned())));
        let age = 1.5f64.to_bits().to_string();
        assert_eq!(values(&store, 11), [(0, age.clone()), (2, age)]);
        let failures = [(0, 1), (1, 0), (2, 0), (3, 1)].map(|(id, n): (u32, u8)| (id, n.to_string()));
        assert_eq!(values(&store, 13), failures);
    }

    #[test]
    fn instances_of_sources_that_are_gone_stay_in_6_and_go_in_7() {
        for (compat, left) in [(Compat::V60, vec![0, 1, 2]), (Compat::V72, vec![0, 2])] {
            let mut store = Store::new(Memory::new(1000, 1000), 144, 1);
            let own = Own::control(&mut store, "openmetrics", compat).unwrap();
            let targets = [target(&mut store, "a", "http://h/", 1), target(&mut store, "b", "http://h/", 2)];
            publish(&own, &mut store, &targets);
            assert_eq!(instances(&store), [0, 1, 2]);
            store.retire(targets[0].id);
            publish(&own, &mut store, &targets);
            assert_eq!(instances(&store), left);
            store.revive(targets[0].id);
            publish(&own, &mut store, &targets);
            let mut back = instances(&store);
            back.sort_unstable();
            assert_eq!(back, [0, 1, 2]);
        }
    }

    #[test]
    fn every_name_has_help_and_a_number_of_its_own() {
        let mut store = Store::new(Memory::new(1000, 1000), 144, 1);
        Own::bridge(&mut store).unwrap();
        Own::control(&mut store, "openmetrics", Compat::V72).unwrap();
        let view = store.view();
        assert_eq!(view.names(), bridge::TABLE.len() + control::TABLE.len());
        for at in 0..view.names() {
            let metric = view.in_order(at).unwrap();
            assert!(!view.help(metric).is_empty());
            assert_eq!(view.identified(metric.desc().pmid).map(|m| view.name(m)), Some(view.name(metric)));
        }
    }
}
