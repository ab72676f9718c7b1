//! `pmbridge pmda`: an agent of pmcd, in the place of PCP's own openmetrics PMDA.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::conn::Pipe;
use crate::flags::Options;
use crate::ids::{self, Stock};
use crate::listener::{Link, Listener};
use crate::log::Log;
use crate::run::Host;
use crate::serial::{self, Line};
use crate::sources::Directory;
use crate::{fds, pcp_conf, user};

/// Runs until pmcd goes.
pub(crate) fn run(mut options: Options) -> ExitCode {
    // Before anything can print: a stray byte on stdout is one in pmcd's stream.
    let pipe = match (options.link == Link::Pipe).then(fds::take).transpose() {
        Ok(pipe) => pipe,
        Err(error) => {
            Log::plain(false).error(format_args!("cannot move the pipe to pmcd: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // pmcd.conf has no `notready` for sockets.
    options.ready |= pipe.is_none();
    let opened = options.pmda_log().map(|path| open(&path).map_err(|error| (path, error)));
    let log = Log::pcp(options.identity(), options.debug);
    if let Some(Err((path, error))) = opened {
        log.error(format_args!("{}: cannot be opened, the log stays on stderr: {error}", path.display()));
    }
    // pmcd connects soon, and not twice.
    let listener = match Listener::open(&options.link) {
        Ok(listener) => listener,
        Err(error) => {
            log.error(error);
            return ExitCode::FAILURE;
        }
    };
    match user::settle(options.user.as_deref()) {
        Ok(None) => {}
        Ok(Some(name)) => log.info(format_args!("goes on as user {name}, not as root (-u root to stay)")),
        Err(error) => {
            log.error(error);
            return ExitCode::FAILURE;
        }
    }
    if !options.ready {
        log.info("Initializing ... currently in notready state.");
    }
    match serve(options, log, pipe, listener) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Log::plain(false).error(error);
            ExitCode::FAILURE
        }
    }
}

fn serve(mut options: Options, log: Log, pipe: Option<Pipe>, listener: Option<Listener>) -> io::Result<()> {
    if let Some(line) = options.serial.take() {
        return relay(line, &options, log, pipe, listener);
    }
    let config = options.pmda_config(&pcp_conf::pmdas_dir());
    let (sorted, domain) = (!options.nosort, options.domain);
    let tables = ids::directory(&pcp_conf::var_dir());
    let ids = options.ids_file(&tables);
    let mut host = Host::new(Options { web: None, ..options }, log)?;
    // First of all: pmcd waits 3 s for a word, and a slow disk may take longer over ids.
    if let Some(pipe) = pipe {
        host.attach(pipe)?;
    }
    host.publish_control()?;
    if let Some(file) = ids {
        host.remember(&file, Some(Stock { dir: &tables, domain }));
    }
    host.watch(Directory::new(config, sorted))?;
    if let Some(listener) = listener {
        host.say(&format!("waits for pmcd on {listener}"));
        host.attach(listener.accept()?)?;
    }
    host.run()
}

/// The same for a chip at the end of a serial line.
fn relay(
    line: Line,
    options: &Options,
    log: Log,
    pipe: Option<Pipe>,
    listener: Option<Listener>,
) -> io::Result<()> {
    let pipe = match (pipe, listener) {
        (Some(pipe), _) => pipe,
        (None, Some(listener)) => {
            log.info(format_args!("waits for pmcd on {listener}"));
            listener.accept()?
        }
        (None, None) => return Err(io::Error::other("no way to pmcd")),
    };
    serial::run(line, serial::settings(options.domain, !options.ready), log, pipe)
}

/// Points what is printed at a log file, made anew. A process that still ends writes behind what is there, as this one
/// does: neither writes over the other's lines.
fn open(path: &Path) -> io::Result<()> {
    fds::redirect_output(&log_file(path)?)
}

fn log_file(path: &Path) -> io::Result<File> {
    File::create(path)?;
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_new_process_and_an_old_one_keep_each_others_lines() {
        let path = std::env::temp_dir().join(format!("pmbridge-log-{}", std::process::id()));
        let mut old = log_file(&path).unwrap();
        old.write_all(b"of the run before\n").unwrap();
        let mut new = log_file(&path).unwrap();
        new.write_all(b"begins\n").unwrap();
        old.write_all(b"ends\n").unwrap();
        new.write_all(b"goes on\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "begins\nends\ngoes on\n");
    }
}
