//! Ids of other runs: taken from the file before the first source, and written to it before anybody sees new ones.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use pmbridge_core::store::{Full, Known, SourceId, Store};

use super::Host;
use crate::ids::{Ids, Record, Stock};
use crate::memory::Memory;

/// What is remembered of other runs.
#[derive(Debug, Default)]
pub(super) struct Recall {
    ids: Option<Ids>,
    /// Sources that were known before and are not there, or not yet.
    absent: HashMap<String, SourceId>,
    /// Sources that have more new ids than one turn writes.
    rest: Vec<SourceId>,
}

impl Host {
    /// Remembers the ids that a file has, or the tables of PCP's own PMDA where there is none yet; to be called before
    /// the first source is added.
    pub(crate) fn remember(&mut self, file: &Path, stock: Option<Stock<'_>>) {
        let (store, absent) = (&mut self.store, &mut self.recall.absent);
        let mut clusters = BTreeMap::new();
        let mut full = None;
        let (ids, notices) = Ids::open(file, stock, &mut |record| {
            if let Err(error) = recall(store, absent, &mut clusters, record) {
                full = Some(error);
            }
        });
        for notice in notices {
            self.log.warning(notice);
        }
        if let Some(full) = full {
            self.log.error(format_args!("{}: not all ids are remembered, {full}", file.display()));
        }
        self.recall.ids = Some(ids);
    }

    /// The source of this name, where it was known in another run.
    pub(super) fn recalled(&mut self, name: &str) -> Option<SourceId> {
        self.recall.absent.remove(name)
    }

    /// A source got its number.
    pub(super) fn note_source(&mut self, source: SourceId) {
        let view = self.store.view();
        if let Some(ids) = &mut self.recall.ids {
            ids.add(Record::Source { cluster: view.cluster(source), name: view.source_name(source) });
        }
    }

    /// Writes down what has got an id in a source.
    pub(super) fn save_ids_of(&mut self, source: SourceId) {
        let Some(ids) = &mut self.recall.ids else { return };
        let of = self.store.view().cluster(source);
        // What has no room to be told now is told next time.
        let mut left = AT_ONCE;
        let all = self.store.unsaved(source, &mut |known| {
            match known {
                Known::Cluster { cluster, .. } => ids.add(Record::Further { cluster, of }),
                Known::Metric { cluster, item, name } => ids.add(Record::Metric { cluster, item, name }),
                Known::Instance { cluster, item, id, prefixed, name } => {
                    ids.add(Record::Instance { cluster, item, id, prefixed, name });
                }
                _ => {}
            }
            left = left.saturating_sub(1);
            left > 0
        });
        if all == Ok(false) {
            self.recall.rest.push(source);
        }
        self.save_ids();
    }

    /// Writes down some more of what was too much for one turn; whether there is still more.
    pub(super) fn save_rest(&mut self) -> bool {
        if let Some(source) = self.recall.rest.pop() {
            self.save_ids_of(source);
        }
        !self.recall.rest.is_empty()
    }

    /// Writes down what has got an id since the last time.
    pub(crate) fn save_ids(&mut self) {
        if let Some(notice) = self.recall.ids.as_mut().and_then(Ids::save) {
            self.log.error(notice);
        }
    }
}

/// How many new ids are written before others have their turn: some tenths of a second.
const AT_ONCE: usize = 500_000;

/// Tells the store of one record.
fn recall(
    store: &mut Store<Memory>,
    absent: &mut HashMap<String, SourceId>,
    clusters: &mut BTreeMap<u16, SourceId>,
    record: Record<'_>,
) -> Result<(), Full> {
    match record {
        Record::Source { cluster, name } => {
            let source = store.add_source(name, "", Some(cluster))?;
            store.retire(source);
            clusters.insert(cluster, source);
            absent.insert(name.into(), source);
        }
        Record::Further { cluster, of } => {
            if let Some(source) = clusters.get(&of).copied() {
                store.remember_cluster(source, cluster);
                clusters.insert(cluster, source);
            }
        }
        Record::Metric { cluster, item, name } => {
            if let Some(source) = clusters.get(&cluster) {
                store.remember_metric(*source, cluster, item, name)?;
            }
        }
        Record::Instance { cluster, item, id, prefixed, name } => {
            store.remember_instance((cluster, item), id, prefixed, name)?;
        }
    }
    Ok(())
}
