//! Ids outlive the process: which numbers sources, metrics and instances were given, in one file of text.
//!
//! [`Ids::open`] hands over what the file has, each record once, a source before its metrics and those before their
//! instances, and keeps none of it. What is new is [`add`](Ids::add)ed and [`save`](Ids::save)d in one write before
//! it is shown to anybody, so that a process killed at any instant has broken no promise. Nothing that a file holds
//! and nothing that a disk does is an error: it is told once, and the ids go on in memory.
//!
//! Where there is no file yet, the tables of PCP's own PMDA are taken over ([`stock`]), as data, never as programs.

mod census;
pub(crate) mod command;
mod file;
mod pickle;
mod place;
mod stock;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use file::Ids;

use std::path::{Path, PathBuf};

/// An id and what has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Record<'a> {
    /// A source and the cluster of its metrics.
    Source {
        /// 1 to 4095.
        cluster: u16,
        /// The source's name.
        name: &'a str,
    },
    /// A further cluster of a source that has more names than one holds.
    Further {
        /// The further cluster.
        cluster: u16,
        /// The source's own, which came first.
        of: u16,
    },
    /// A metric.
    Metric {
        /// The cluster, the source's own or a further one.
        cluster: u16,
        /// 0 to 1023.
        item: u16,
        /// The name as the source sends it, colons and all. PCP's name may be another one: a PCP line says so.
        name: &'a str,
    },
    /// An instance of a metric.
    Instance {
        /// The metric's cluster.
        cluster: u16,
        /// The metric's item.
        item: u16,
        /// 0 to 2^31 - 1.
        id: u32,
        /// Whether PCP's name has the id and a blank in front.
        prefixed: bool,
        /// The name without those.
        name: &'a str,
    },
}

/// Where PCP's own PMDA keeps its tables, and for which domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock<'a> {
    /// `$PCP_VAR_DIR/config/pmda`.
    pub(crate) dir: &'a Path,
    /// The domain number that the tables' names begin with.
    pub(crate) domain: u16,
}

/// The directory in which PMDAs keep ids.
pub(crate) fn directory(var: &Path) -> PathBuf {
    var.join("config/pmda")
}

/// The file of ids of a domain in that directory, unless another one was asked for.
pub(crate) fn default_file(dir: &Path, domain: u16) -> PathBuf {
    dir.join(format!("{domain}.pmbridge"))
}

/// The clusters that PMIDs can have; 0 is the bridge's own.
const CLUSTERS: u16 = 1 << 12;

/// The items that a cluster can have.
const ITEMS: u16 = 1 << 10;

/// The instances that an instance domain can have.
const INSTANCES: u32 = 1 << 31;
