//! SIGTERM, SIGINT and SIGHUP end the loop, not the process: the log gets its footer, clients their last bytes. SIGCHLD
//! tells that a script has ended.
//!
//! SIGPIPE needs nothing: Rust's runtime ignores it, and a write to a peer that left is an error like others.

use std::io::{self, Read as _};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// Readable once a signal of its sort has come.
#[derive(Debug)]
pub(crate) struct Signals {
    stream: UnixStream,
}

impl Signals {
    /// Takes the signals that ask us to end, and wakes the loop under `token` for them.
    pub(crate) fn of_end(registry: &Registry, token: Token) -> io::Result<Self> {
        Self::new(registry, token, &[SIGTERM, SIGINT, SIGHUP])
    }

    /// Takes the signal of a child that has ended, and wakes the loop under `token` for it.
    pub(crate) fn of_children(registry: &Registry, token: Token) -> io::Result<Self> {
        Self::new(registry, token, &[SIGCHLD])
    }

    fn new(registry: &Registry, token: Token, signals: &[i32]) -> io::Result<Self> {
        let (mut stream, writer) = UnixStream::pair()?;
        let writer = std::os::unix::net::UnixStream::from(writer);
        for signal in signals {
            pipe::register(*signal, writer.try_clone()?)?;
        }
        registry.register(&mut stream, token, Interest::READABLE)?;
        Ok(Self { stream })
    }

    /// Whether a signal has come since the last look.
    pub(crate) fn has_come(&mut self) -> bool {
        let mut some = false;
        while self.stream.read(&mut [0; 16]).is_ok_and(|n| n > 0) {
            some = true;
        }
        some
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn a_signal_wakes_the_loop_once() {
        let mut poll = Poll::new().unwrap();
        let mut signals = Signals::of_end(poll.registry(), Token(3)).unwrap();
        assert!(!signals.has_come());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        let mut events = Events::with_capacity(4);
        while events.is_empty() {
            // An interrupted wait is part of the experiment.
            let _ = poll.poll(&mut events, None);
        }
        assert!(events.iter().all(|event| event.token() == Token(3)));
        assert!(signals.has_come() && !signals.has_come());
    }
}
