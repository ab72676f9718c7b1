//! pmbridge: Prometheus and OpenMetrics endpoints for Performance Co-Pilot.
#![expect(clippy::std_instead_of_core, reason = "a hosted program has std")]

mod check;
mod clock;
mod conn;
mod export;
mod fds;
mod filter;
mod flags;
mod ids;
mod inflate;
mod limits;
mod listener;
mod log;
mod memory;
mod names;
mod own;
mod pcp_conf;
mod peer;
mod pmda;
mod process;
mod resolve;
mod run;
mod serial;
mod serve;
mod signals;
mod sources;
mod stamp;
mod target;
mod tls;
mod url;
mod user;
mod watch;
mod web;

use std::io::Write as _;
use std::process::ExitCode;

use flags::Invocation;

fn main() -> ExitCode {
    match flags::parse(std::env::args_os()) {
        Ok(Invocation::Print(text)) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Invocation::Pmda(options)) => pmda::run(options),
        Ok(Invocation::Serve(options)) => serve::run(options),
        Ok(Invocation::Export(options)) => export::run(options),
        Ok(Invocation::Check(options)) => check::run(&options),
        Ok(Invocation::Ids(options)) => ids::command::run(&options),
        Err(error) => {
            log::Log::plain(false).error(error);
            ExitCode::from(2)
        }
    }
}
