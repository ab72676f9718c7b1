//! The way in from the tables of PCP's own openmetrics PMDA, and the way back.
//!
//! `DOMAIN.0.py` has the sources, `DOMAIN.CLUSTER.py` the names that a source sends, `DOMAIN.SERIAL.py` the instances
//! of a metric, each at the place that is its id. A table that is damaged costs what it has and no other. On the way
//! back a number that has no name there gets one that nothing can have, so that the names after it keep theirs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::file::contents;
use super::pickle::{self, Table};
use super::{CLUSTERS, INSTANCES, ITEMS, Record, Stock, place};

/// Hands over what the tables have, and says what is to be told.
pub(super) fn import(stock: Stock<'_>, tell: &mut dyn FnMut(Record<'_>)) -> Vec<String> {
    let mut import = Import { stock, tell, notices: Vec::new(), more: 0 };
    import.sources();
    if import.more > 0 {
        import
            .notices
            .push(format!("{} more tables or names of the openmetrics PMDA are not taken over", import.more));
    }
    import.notices
}

struct Import<'a> {
    stock: Stock<'a>,
    tell: &'a mut dyn FnMut(Record<'_>),
    notices: Vec<String>,
    more: usize,
}

impl Import<'_> {
    fn sources(&mut self) {
        let mut owners = Vec::new();
        let mut further = Vec::new();
        self.table(0, &mut |this, cluster, name, _| {
            let Some(cluster) = u16::try_from(cluster).ok().filter(|&cluster| cluster < CLUSTERS) else {
                return this.notice(&this.path(0), &"more sources than there are clusters");
            };
            if let Some(of) = further_of(cluster.into(), name) {
                further.push((cluster, of));
            } else if is_gap(cluster.into(), name) || (cluster == 0 && name == CONTROL) {
                // Nothing is there.
            } else if cluster == 0 || name == CONTROL || !is_source(name) {
                this.notice(&this.path(0), &format_args!("'{}' is no source", name.escape_debug()));
            } else {
                (this.tell)(Record::Source { cluster, name });
                owners.push(cluster);
            }
        });
        for (cluster, of) in further {
            if owners.binary_search(&of).is_ok() {
                (self.tell)(Record::Further { cluster, of });
                owners.push(cluster);
            }
        }
        for cluster in owners {
            self.metrics(cluster);
        }
    }

    fn metrics(&mut self, cluster: u16) {
        let mut items = Vec::new();
        self.table(cluster.into(), &mut |this, item, name, _| {
            let Some(item) = u16::try_from(item).ok().filter(|&item| item < ITEMS) else {
                return this.notice(&this.path(cluster.into()), &"more names than there are items");
            };
            if !is_gap(item.into(), name) && !name.is_empty() {
                (this.tell)(Record::Metric { cluster, item, name });
                items.push(item);
            }
        });
        for item in items {
            let Some(serial) = serial(cluster, item) else { continue };
            self.table(serial, &mut |this, id, name, prefixed| {
                if id < INSTANCES && !is_gap(id, name) {
                    (this.tell)(Record::Instance { cluster, item, id, prefixed, name });
                }
            });
        }
    }

    /// Hands over the names of a table with their places. Of one that is there twice the last place counts.
    fn table(&mut self, serial: u32, each: &mut dyn FnMut(&mut Self, u32, &str, bool)) {
        let path = self.path(serial);
        let bytes = match place::read_only(&path).and_then(|file| contents(&file)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.notice(&path, &error),
        };
        let Table { names, prefixed } = match pickle::parse(&bytes) {
            Ok(table) => table,
            Err(error) => return self.notice(&path, &error),
        };
        let numbered = || (0_u32..).zip(&names).filter_map(|(at, name)| Some((at, name.as_deref()?)));
        let last: HashMap<&str, u32> = numbered().map(|(at, name)| (name, at)).collect();
        for (at, name) in numbered() {
            if last.get(name) == Some(&at) {
                each(self, at, name, prefixed);
            }
        }
    }

    fn path(&self, serial: u32) -> PathBuf {
        path(self.stock, serial)
    }

    fn notice(&mut self, path: &Path, why: &dyn std::fmt::Display) {
        if self.notices.len() < NOTICES {
            self.notices.push(format!("{}: not taken over: {why}", path.display()));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// Everything that a file of ids has, by number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Everything {
    pub(super) sources: BTreeMap<u16, String>,
    pub(super) further: BTreeMap<u16, u16>,
    pub(super) metrics: BTreeMap<(u16, u16), String>,
    pub(super) instances: BTreeMap<(u16, u16), BTreeMap<u32, (bool, String)>>,
}

impl Everything {
    pub(super) fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Source { cluster, name } => drop(self.sources.insert(cluster, name.into())),
            Record::Further { cluster, of } => {
                self.further.insert(cluster, of);
            }
            Record::Metric { cluster, item, name } => drop(self.metrics.insert((cluster, item), name.into())),
            Record::Instance { cluster, item, id, prefixed, name } => {
                self.instances.entry((cluster, item)).or_default().insert(id, (prefixed, name.into()));
            }
        }
    }
}

/// Writes the tables, and says what they cannot say.
pub(super) fn export(stock: Stock<'_>, all: &Everything) -> io::Result<Vec<String>> {
    let mut notices = Vec::new();
    let mut tables = Vec::new();
    let mut clusters: BTreeMap<u32, Cow<'_, str>> = BTreeMap::from([(0, CONTROL.into())]);
    clusters.extend(all.sources.iter().map(|(&cluster, name)| (cluster.into(), name.as_str().into())));
    for (&cluster, &of) in &all.further {
        clusters.insert(cluster.into(), further_name(cluster.into(), of).into());
        let lost = all.metrics.range((cluster, 0)..(cluster, ITEMS)).count();
        let source = all.sources.get(&of).map_or("?", String::as_str);
        notices.push(format!(
            "{source}: {lost} names have numbers in its further cluster {cluster}, which the openmetrics PMDA does not use"
        ));
    }
    add(&mut tables, &mut notices, stock, 0, &clusters, false);
    let mut names: BTreeMap<u16, BTreeMap<u32, Cow<'_, str>>> = BTreeMap::new();
    for (&(cluster, item), name) in &all.metrics {
        names.entry(cluster).or_default().insert(item.into(), name.as_str().into());
    }
    for (cluster, names) in names {
        add(&mut tables, &mut notices, stock, cluster.into(), &names, false);
    }
    for (&(cluster, item), instances) in &all.instances {
        let Some(serial) = serial(cluster, item) else { continue };
        // One flag holds for a whole table. The stock PMDA never takes it back.
        let prefixed = instances.values().any(|(prefixed, _)| *prefixed);
        let names = instances.iter().map(|(&id, (_, name))| (id, name.as_str().into())).collect();
        add(&mut tables, &mut notices, stock, serial, &names, prefixed);
    }
    put(stock, &tables, &mut notices)?;
    Ok(notices)
}

/// Adds a table, with names for the places that have none.
fn add(
    tables: &mut Vec<(PathBuf, Vec<u8>)>,
    notices: &mut Vec<String>,
    stock: Stock<'_>,
    serial: u32,
    names: &BTreeMap<u32, Cow<'_, str>>,
    prefixed: bool,
) {
    let path = path(stock, serial);
    let end = names.last_key_value().map_or(0, |(&last, _)| last.saturating_add(1));
    let gaps = usize::try_from(end).unwrap_or(usize::MAX).saturating_sub(names.len());
    if gaps > GAPS {
        notices.push(format!("{}: not written: {gaps} numbers have no name", path.display()));
        return;
    }
    let all: Vec<_> = (0..end)
        .map(|at| names.get(&at).map_or_else(|| gap_name(at).into(), |name| Cow::Borrowed(name.as_ref())))
        .collect();
    tables.push((path, pickle::emit(all.iter().map(AsRef::as_ref), prefixed)));
}

/// Writes all tables beside the old ones, and then puts them in their places.
fn put(stock: Stock<'_>, tables: &[(PathBuf, Vec<u8>)], notices: &mut Vec<String>) -> io::Result<()> {
    let first = fs::metadata(path(stock, 0)).or_else(|_| fs::metadata(stock.dir))?;
    let mut ready = Vec::new();
    for (path, bytes) in tables {
        let old = place::read_only(path).and_then(|file| contents(&file));
        if old.is_ok_and(|old| old == *bytes) {
            continue;
        }
        let old = fs::metadata(path).ok();
        let beside = place::with(path, ".new");
        let file = place::write_beside(&beside, |out| out.write_all(bytes))?;
        if let Err(error) = give(&file, old.as_ref(), &first)
            && notices.len() < NOTICES
        {
            notices.push(format!("{}: the owner could not be kept: {error}", path.display()));
        }
        ready.push((beside, path));
    }
    nix::unistd::syncfs(File::open(stock.dir)?)?;
    for (beside, path) in &ready {
        fs::rename(beside, path)?;
    }
    File::open(stock.dir)?.sync_all()
}

/// Gives a new table to whom the old one belonged, or to whom the others belong.
fn give(file: &File, old: Option<&Metadata>, others: &Metadata) -> io::Result<()> {
    if let Some(old) = old {
        file.set_permissions(Permissions::from_mode(old.permissions().mode() & 0o777))?;
    }
    let owner = old.unwrap_or(others);
    let ours = file.metadata()?;
    if (ours.uid(), ours.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn path(stock: Stock<'_>, serial: u32) -> PathBuf {
    stock.dir.join(format!("{}.{serial}.py", stock.domain))
}

/// The instance domain of a metric.
fn serial(cluster: u16, item: u16) -> Option<u32> {
    let place = u32::from(cluster).checked_mul(ITEMS.into())?.checked_add(item.into())?;
    place.checked_add(CLUSTERS.into()).filter(|&serial| serial < SERIALS)
}

/// Whether a source can have this name.
fn is_source(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

/// What stands where a number has no name.
fn gap_name(number: u32) -> String {
    format!("#{number} has no name")
}

fn is_gap(number: u32, name: &str) -> bool {
    name.starts_with('#') && name == gap_name(number)
}

/// What stands in the place of a source's further cluster.
fn further_name(number: u32, of: u16) -> String {
    format!("{}{of}", further_start(number))
}

fn further_start(number: u32) -> String {
    format!("#{number} has further names of #")
}

fn further_of(number: u32, name: &str) -> Option<u16> {
    if !name.starts_with('#') {
        return None;
    }
    name.strip_prefix(&further_start(number))?.parse().ok()
}

/// The source of the PMDA's own metrics.
const CONTROL: &str = "control";

/// Instance domains have numbers below this.
const SERIALS: u32 = 1 << 22;

/// How many tables and names are told one by one.
const NOTICES: usize = 20;

/// How many numbers without a name a table may have.
const GAPS: usize = 1 << 20;
