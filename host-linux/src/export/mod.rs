//! `pmbridge export`: the metrics of a pmcd as pages for Prometheus.
#![allow(dead_code, reason = "its parts are being put together")]

mod catalog;
mod families;
mod page;

use std::process::ExitCode;

use crate::flags::Options;
use crate::log::Log;

/// Runs until it is asked to end.
pub(crate) fn run(options: Options) -> ExitCode {
    let log = Log::plain(options.debug);
    log.error("export is not there yet");
    ExitCode::FAILURE
}
