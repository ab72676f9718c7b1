//! `pmbridge export`: the metrics of a pmcd as pages for Prometheus.
//!
//! One thread, one loop. [`web`](crate::web) has those who ask, [`pmcd`] whom we ask; the [`desk`] between them turns a
//! request into a scrape, and what the scrape brought into a page for all who wait for that one.

mod address;
mod catalog;
mod desk;
mod families;
mod gather;
mod labels;
mod own;
mod page;
mod pmcd;
mod query;
mod selection;
#[cfg(test)]
mod tests;

use std::io;
use std::process::ExitCode;

use mio::{Events, Poll, Token, Waker};
use pmbridge_core::time::{Duration, Instant};

use crate::clock::{Clock, duration};
use crate::flags::Options;
use crate::log::Log;
use crate::signals::Signals;
use crate::web::{Settings, Web};
use crate::{process, user};
use desk::Desk;

/// Runs until it is asked to end.
pub(crate) fn run(options: Options) -> ExitCode {
    let log = Log::plain(options.debug);
    match start(&options, &log).and_then(|mut export| export.run(&log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error(error);
            ExitCode::FAILURE
        }
    }
}

/// Everything that one run has.
struct Export {
    poll: Poll,
    signals: Signals,
    web: Web,
    desk: Desk,
    clock: Clock,
}

fn start(options: &Options, log: &Log) -> io::Result<Export> {
    // Each client takes one.
    process::raise_limit();
    let poll = Poll::new()?;
    let signals = Signals::of_end(poll.registry(), SIGNALS)?;
    let timeout = duration(options.export.timeout).saturating_add(GRACE);
    let Some(settings) = Settings::of(options, timeout) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "--web.listen-address: export without pages is nothing",
        ));
    };
    let waker = Waker::new(poll.registry(), WAKER)?;
    let desk = Desk::new(poll.registry().try_clone()?, waker, &options.export)?;
    let web = Web::new(poll.registry(), Token(WEB), settings)?;
    if let Some(name) = user::settle(options.user.as_deref()).map_err(io::Error::other)? {
        log.info(format_args!("goes on as user {name}, not as root (-u root to stay)"));
    }
    log.info(format_args!("metrics of pmcd at {} on {}", options.export.pmcd, web.url()));
    Ok(Export { poll, signals, web, desk, clock: Clock::start() })
}

impl Export {
    fn run(&mut self, log: &Log) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        self.desk.connect(self.now());
        loop {
            self.turn(log);
            match self.poll.poll(&mut events, self.wait()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    SIGNALS if self.signals.has_come() => {
                        log.info("asked to end");
                        return Ok(());
                    }
                    SIGNALS | WAKER => {}
                    Token(token) => match token.checked_sub(WEB) {
                        Some(token) => self.web.wake(token),
                        None => self.desk.wake(token.saturating_sub(TARGETS)),
                    },
                }
            }
        }
    }

    /// Lets everything go on that may. Requests are heard before pmcd is asked, so that those that came together share
    /// a scrape; what the scrape brought goes out in the same turn.
    fn turn(&mut self, log: &Log) {
        let now = self.now();
        let mut stirred = false;
        loop {
            self.web.pump(&mut self.desk, stirred, now);
            stirred = self.desk.pump(&self.web, now, log);
            if !stirred {
                return;
            }
        }
    }

    fn wait(&self) -> Option<std::time::Duration> {
        let next = self.web.deadline().into_iter().chain(self.desk.deadline()).min()?;
        let left = next.saturating_since(self.now()).millis();
        // The clock of the loop ticks in whole milliseconds; what is due is due.
        Some(std::time::Duration::from_millis(if left == 0 { 0 } else { left.saturating_add(1) }))
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}

const SIGNALS: Token = Token(0);
const WAKER: Token = Token(1);
/// Targets have the tokens from here on, the web server all behind them.
const TARGETS: usize = 16;
const WEB: usize = 1 << 20;
/// A request outlives the scrape that it waits for, to hear why that failed.
const GRACE: Duration = Duration::from_secs(1);
