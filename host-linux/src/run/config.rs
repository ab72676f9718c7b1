//! Which sources there are: those of the command line, and those of a directory that may change at any time.

use std::io;
use std::rc::Rc;
use std::time::Instant as Clock;

use mio::{Interest, Token, unix::SourceFd};

use super::{Host, TARGETS, WATCH, escaped};
use crate::log::host_name;
use crate::sources::{Changes, Directory, Origin, Source};
use crate::target::Target;
use crate::watch::Watch;

impl Host {
    /// Takes the sources of a directory, now and whenever it changes.
    pub(crate) fn watch(&mut self, directory: Directory) -> io::Result<()> {
        let watch = Watch::new()?;
        self.poll.registry().register(&mut SourceFd(&watch.fd()), WATCH, Interest::READABLE)?;
        self.directory = Some((directory, watch));
        self.rescan();
        Ok(())
    }

    /// Adds a source with the next number; one that was there is another from now on, and is asked at once.
    pub(crate) fn add(&mut self, source: Source) {
        if let Some(place) = self.names.get(&source.name).copied() {
            self.give_up(place);
            let Some(target) = self.targets.get_mut(place) else { return };
            self.store.retire(target.id);
            self.store.revive(target.id);
            self.store.relearn(target.id);
            let labelled = self.store.set_labels(target.id, &labels(&source));
            target.change(source);
            self.untold = true;
            if let Err(full) = labelled {
                self.log.error(format_args!("{}: keeps its labels, {full}", target.source.name));
            }
            return;
        }
        let place = self.targets.len();
        let texts = labels(&source);
        let entered = match self.recalled(&source.name) {
            Some(id) => self.store.set_labels(id, &texts).map(|()| {
                self.store.revive(id);
                id
            }),
            None => self.store.add_source(&source.name, &texts, None).inspect(|id| self.note_source(*id)),
        };
        match entered {
            Ok(id) => {
                let cluster = self.store.view().cluster(id);
                self.log.info(format_args!("Found source {} cluster {cluster}", source.name));
                self.names.insert(source.name.clone(), place);
                self.enter(id, place);
                let token = Token(TARGETS.saturating_add(place));
                self.targets.push(Target::new(id, source, token, Rc::clone(&self.means)));
                self.untold = true;
            }
            Err(full) => self.log.error(format_args!("{}: ignored, {full}", source.name)),
        }
    }

    /// Takes what the directory of sources has become.
    pub(super) fn rescan(&mut self) {
        let Some((directory, watch)) = &mut self.directory else { return };
        let began = Clock::now();
        let changes = directory.scan(&watch.unfinished());
        if let Err(error) = watch.add(&changes.directories, &changes.targets) {
            self.log.warning(format_args!("{}: changes may go unseen: {error}", directory.path().display()));
        }
        changes.log_notices(&self.log);
        if changes.is_none() {
            return;
        }
        let seconds = began.elapsed().as_secs_f64();
        let entries = changes.entries;
        self.log.debug(format_args!("{} config entries were read again", changes.read));
        self.log.info(format_args!(
            "Config change detected, traversed {entries} config entries in {seconds:.4} s, rescanning ..."
        ));
        let Changes { added, changed, removed, .. } = changes;
        for source in added.into_iter().chain(changed) {
            self.add(source);
        }
        self.save_ids();
        for name in removed {
            let Some(place) = self.names.get(&name).copied() else { continue };
            self.log.info(format_args!("source {name} is gone"));
            self.give_up(place);
            if let Some(target) = self.targets.get(place) {
                self.store.retire(target.id);
                self.untold = true;
            }
        }
    }
}

/// The labels that all metrics of a source share, as exposition text. User and password are not among them.
fn labels(source: &Source) -> String {
    let machine = host_name();
    let name = escaped(&source.name);
    match &source.origin {
        Origin::Url(url) => {
            let host = escaped(url.hostname(&machine));
            format!("hostname=\"{host}\",source=\"{name}\",url=\"{}\"", escaped(&url.to_string()))
        }
        Origin::Script(path) => {
            format!("script=\"{}\",source=\"{name}\"", escaped(&path.display().to_string()))
        }
        Origin::Unusable(_) => format!("source=\"{name}\""),
    }
}
