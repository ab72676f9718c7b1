//! pmbridge: Prometheus and OpenMetrics endpoints for Performance Co-Pilot.
#![allow(dead_code, reason = "the loop that calls the parts is still to come")]
#![expect(clippy::std_instead_of_core, reason = "a hosted program has std")]

mod conn;
mod fds;
mod flags;
mod limits;
mod log;
mod pcp_conf;
mod resolve;
mod signals;
mod sources;
mod url;
mod user;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use flags::Invocation;

fn main() -> ExitCode {
    match flags::parse(std::env::args_os()) {
        Ok(Invocation::Print(text)) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Invocation::Pmda(_) | Invocation::Serve(_) | Invocation::Check(_)) => ExitCode::FAILURE,
        Err(error) => {
            log::Log::plain(false).error(error);
            ExitCode::from(2)
        }
    }
}
