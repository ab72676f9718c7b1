//! `pmbridge ids`: what a file of ids has, and the way from and to the stock PMDA's tables.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::file::contents;
use super::stock::Everything;
use super::{Ids, Record, Stock, census, directory, place, stock};
use crate::flags::Options;
use crate::log::Log;
use crate::pcp_conf;

/// Does what was asked for: 0 all good, 1 something was lost, 2 nothing was done.
pub(crate) fn run(options: &Options) -> ExitCode {
    let log = Log::plain(false);
    let dir = directory(&pcp_conf::var_dir());
    let Some(path) = options.ids_file(&dir) else {
        log.error("ids: '-' is no file of ids");
        return ExitCode::from(2);
    };
    let done = match (&options.from_stock, &options.to_stock) {
        (Some(_), Some(_)) => Err(Error::Both),
        (Some(from), None) => take_over(&path, Stock { dir: from, domain: options.domain }, &log),
        (None, to) => show(&path, &log).and_then(|(all, whole)| match to {
            None => Ok(whole),
            Some(to) => Ok(give_back(&path, Stock { dir: to, domain: options.domain }, &all, &log)? && whole),
        }),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            log.error(error);
            ExitCode::from(2)
        }
    }
}

/// Prints what a file has, and says whether all of it could be read.
fn show(path: &Path, log: &Log) -> Result<(Everything, bool), Error> {
    let bytes =
        place::read_only(path).and_then(|file| contents(&file)).map_err(|error| Error::at(path, &error))?;
    let mut all = Everything::default();
    let reading = census::read(&bytes, &mut |record| all.take(record));
    if let Some(damage) = reading.damage {
        log.warning(format_args!(
            "{}:{}: {}; lines lost: {}",
            path.display(),
            damage.line,
            damage.fault,
            damage.lines
        ));
    }
    let instances: usize = all.instances.values().map(std::collections::BTreeMap::len).sum();
    let text = format!(
        "{}\nsources    {}\nmetrics    {}\ninstances  {instances}\n",
        path.display(),
        all.sources.len(),
        all.metrics.len(),
    );
    io::stdout().write_all(text.as_bytes()).map_err(|error| Error::at(Path::new("stdout"), &error))?;
    Ok((all, reading.damage.is_none()))
}

/// Makes a file of the stock PMDA's tables.
fn take_over(path: &Path, stock: Stock<'_>, log: &Log) -> Result<bool, Error> {
    if path.exists() {
        return Err(Error::Exists(path.display().to_string()));
    }
    let mut count = 0_usize;
    let (ids, notices) = Ids::open(path, Some(stock), &mut |_: Record<'_>| count = count.saturating_add(1));
    for notice in &notices {
        log.info(notice);
    }
    drop(ids);
    if count == 0 {
        // What opening it has made.
        let _ = std::fs::remove_file(path);
        return Err(Error::Nothing(stock.dir.display().to_string()));
    }
    // One notice says what was taken over.
    show(path, log).map(|(_, whole)| whole && notices.len() == 1)
}

/// Writes the stock PMDA's tables.
fn give_back(path: &Path, stock: Stock<'_>, all: &Everything, log: &Log) -> Result<bool, Error> {
    if place::is_held(path) {
        log.warning(format_args!(
            "{}: pmbridge runs: what it gives ids to from now on is missing",
            path.display()
        ));
    }
    let notices = stock::export(stock, all).map_err(|error| Error::at(stock.dir, &error))?;
    for notice in &notices {
        log.warning(notice);
    }
    log.info(format_args!("the tables of the openmetrics PMDA are written in {}", stock.dir.display()));
    Ok(notices.is_empty())
}

/// Why nothing was done.
#[derive(Debug)]
enum Error {
    /// Both directions at once.
    Both,
    /// There are ids already.
    Exists(String),
    /// There are no tables.
    Nothing(String),
    /// The system's word on a file.
    Io(String),
}

impl Error {
    fn at(path: &Path, error: &io::Error) -> Self {
        Self::Io(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both => f.write_str("ids: --from-stock and --to-stock exclude each other"),
            Self::Exists(path) => write!(f, "{path}: is there already; move it away to take over ids anew"),
            Self::Nothing(dir) => write!(f, "{dir}: no ids of the openmetrics PMDA could be taken over"),
            Self::Io(text) => f.write_str(text),
        }
    }
}
