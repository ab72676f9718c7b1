//! `pmbridge pmda`: an agent of pmcd, in the place of PCP's own openmetrics PMDA.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::flags::Options;
use crate::ids::{self, Stock};
use crate::log::Log;
use crate::run::Host;
use crate::sources::Directory;
use crate::{fds, pcp_conf, user};

/// Runs until pmcd goes.
pub(crate) fn run(options: Options) -> ExitCode {
    // Before anything can print: a stray byte on stdout is one in pmcd's stream.
    let pipe = match fds::take() {
        Ok(pipe) => pipe,
        Err(error) => {
            Log::plain(false).error(format_args!("cannot move the pipe to pmcd: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let opened = options.pmda_log().map(|path| open(&path).map_err(|error| (path, error)));
    let log = Log::pcp(options.identity(), options.debug);
    if let Some(Err((path, error))) = opened {
        log.error(format_args!("{}: cannot be opened, the log stays on stderr: {error}", path.display()));
    }
    match user::settle(options.user.as_deref()) {
        Ok(None) => {}
        Ok(Some(name)) => log.info(format_args!("goes on as user {name}, not as root (-u root to stay)")),
        Err(error) => {
            log.error(error);
            return ExitCode::FAILURE;
        }
    }
    if !options.ready {
        log.info("Initializing, currently in notready state.");
    }
    let config = options.pmda_config(&pcp_conf::pmdas_dir());
    let (sorted, domain) = (!options.nosort, options.domain);
    let tables = ids::directory(&pcp_conf::var_dir());
    let ids = options.ids_file(&tables);
    let ran = Host::new(options, log).and_then(|mut host| {
        host.publish_control()?;
        if let Some(file) = ids {
            host.remember(&file, Some(Stock { dir: &tables, domain }));
        }
        host.watch(Directory::new(config, sorted))?;
        host.attach(pipe)?;
        host.run()
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Log::plain(false).error(error);
            ExitCode::FAILURE
        }
    }
}

/// Points what is printed at a log file, made anew.
fn open(path: &Path) -> io::Result<()> {
    fds::redirect_output(&File::create(path)?)
}
