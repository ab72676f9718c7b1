//! The bytes of one conversation: what has come, what is to go, and the moving of both.
//!
//! Both sides are linear buffers, as roles want them: [`Window`] holds what has come until a role has consumed it,
//! [`Tx`] what a role has produced until the peer has taken it. [`receive`] and [`send`] move bytes until the peer has
//! no more of them or takes no more, which is what edge-triggered readiness demands.
//!
//! The pipe to pmcd is the exception, and a socket in its place is treated alike: its open files are shared with pmcd,
//! so O_NONBLOCK on them would break pmcd's own plain reads. [`Pipe`] asks before each read whether one would wait, and
//! its writes wait until pmcd has drained the pipe, which it does as it waits for the answer.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How moving bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The peer has nothing more to give, or takes no more, for now: readiness will tell.
    Blocked,
    /// The buffer is at its limit (receiving) or empty (sending): the role is next.
    Done,
    /// The peer sends no more, or is gone.
    Ended,
}

/// Bytes that have come and that nobody has consumed yet, in one piece.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Window {
    /// An empty window of `size` bytes that may grow to `limit`.
    pub(crate) fn new(size: usize, limit: usize) -> Self {
        let size = size.max(1);
        Self { bytes: vec![0; size], start: 0, end: 0, limit: limit.max(size) }
    }

    /// What has come and is not consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops the first `n` of the filled bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where the next bytes go: all that is free, in one piece. Empty when the window is full.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        // Moving what is filled is worth it only where it wins more than it moves.
        if self.start > self.end.saturating_sub(self.start) || self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end.saturating_sub(self.start));
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that the first `n` bytes of [`room`](Self::room) were written.
    pub(crate) fn produce(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.bytes.len());
    }

    /// Says that what is filled is that and nothing else, as far as there is room for it.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        let end = bytes.len().min(self.bytes.len());
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..end), bytes.get(..end)) {
            to.copy_from_slice(from);
        }
        (self.start, self.end) = (0, end);
    }

    /// Doubles the window; `false` where it is at its limit.
    pub(crate) fn grow(&mut self) -> bool {
        let size = self.bytes.len().saturating_mul(2).min(self.limit);
        let grows = size > self.bytes.len();
        if grows {
            self.bytes.resize(size, 0);
        }
        grows
    }

    /// Whether nothing is filled.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing is free.
    pub(crate) fn is_full(&self) -> bool {
        self.end.saturating_sub(self.start) == self.bytes.len()
    }

    /// The bytes it takes up.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

/// Bytes that a role has produced and the peer has not taken yet.
#[derive(Debug)]
pub(crate) struct Tx(Window);

impl Tx {
    /// An empty buffer of `size` bytes that may grow to `limit`.
    pub(crate) fn new(size: usize, limit: usize) -> Self {
        Self(Window::new(size, limit))
    }

    /// Where the next bytes go. It grows towards `n` bytes as far as its limit lets it.
    pub(crate) fn room(&mut self, n: usize) -> &mut [u8] {
        while self.0.room().len() < n && self.0.grow() {}
        self.0.room()
    }

    /// Says that the first `n` bytes of [`room`](Self::room) were written.
    pub(crate) fn produce(&mut self, n: usize) {
        self.0.produce(n);
    }

    /// Forgets what the peer has not taken.
    pub(crate) fn clear(&mut self) {
        self.0.fill(b"");
    }

    /// What the peer has not taken.
    pub(crate) fn pending(&self) -> &[u8] {
        self.0.filled()
    }

    /// Says that the peer took the first `n` pending bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        self.0.consume(n);
    }

    /// The bytes it takes up.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Whether the peer has taken all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads from a nonblocking peer until it has no more or the window is full; `grow` lets the window double first.
pub(crate) fn receive(from: &mut impl Read, window: &mut Window, grow: bool) -> io::Result<Flow> {
    loop {
        if window.is_full() && !(grow && window.grow()) {
            return Ok(Flow::Done);
        }
        match from.read(window.room()) {
            Ok(0) => return Ok(Flow::Ended),
            Ok(n) => window.produce(n),
            Err(error) => match after(error)? {
                None => {}
                Some(flow) => return Ok(flow),
            },
        }
    }
}

/// Writes what is pending to a peer until it takes no more or all is gone.
pub(crate) fn send(to: &mut impl Write, tx: &mut Tx) -> io::Result<Flow> {
    while !tx.is_empty() {
        match to.write(tx.pending()) {
            Ok(0) => return Ok(Flow::Ended),
            Ok(n) => tx.consume(n),
            Err(error) => match after(error)? {
                None => {}
                Some(flow) => return Ok(flow),
            },
        }
    }
    Ok(Flow::Done)
}

/// What an error means for the conversation: try again (`None`), wait, or the peer is gone, as PCP's clients go with
/// a reset.
fn after(error: io::Error) -> io::Result<Option<Flow>> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(None),
        ErrorKind::WouldBlock => Ok(Some(Flow::Blocked)),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Ok(Some(Flow::Ended))
        }
        _ => Err(error),
    }
}

/// The two pipes between pmcd and a PMDA, or both directions of a socket between them.
///
/// Reading looks like that of a nonblocking peer, so [`receive`] works on it; writing blocks, so [`send`] writes all.
#[derive(Debug)]
pub(crate) struct Pipe {
    input: File,
    output: File,
}

impl Pipe {
    /// A pipe that reads from `input` and writes to `output`, whose flags stay as they are.
    pub(crate) fn new(input: File, output: File) -> Self {
        Self { input, output }
    }

    /// What to register for readability.
    pub(crate) fn input(&self) -> RawFd {
        self.input.as_raw_fd()
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut fds = [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)];
        // A hang-up counts too: the read then says that it is the end.
        if poll(&mut fds, PollTimeout::ZERO)? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(into)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_window_gives_back_what_went_in_for_every_step() {
        let text: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for step in 1..70 {
            let (mut window, mut rest, mut got) = (Window::new(64, 64), &text[..], vec![]);
            while got.len() < text.len() {
                let room = window.room();
                let n = room.len().min(rest.len());
                room[..n].copy_from_slice(&rest[..n]);
                window.produce(n);
                rest = &rest[n..];
                let n = step.min(window.filled().len());
                got.extend_from_slice(&window.filled()[..n]);
                window.consume(n);
            }
            assert_eq!(got, text, "{step}");
            assert!(window.is_empty() && window.capacity() == 64);
        }
    }

    #[test]
    fn a_full_window_has_room_exactly_until_its_limit() {
        let mut window = Window::new(4, 10);
        window.room().copy_from_slice(b"abcd");
        window.produce(4);
        assert!(window.is_full() && window.room().is_empty());
        assert!(window.grow() && window.grow() && !window.grow());
        assert_eq!(window.room().len(), 6);
        assert_eq!(window.filled(), b"abcd");
        window.consume(3);
        assert_eq!((window.room().len(), window.filled()), (9, &b"d"[..]));
        window.consume(9);
        window.produce(99);
        assert_eq!(window.filled().len(), 10);
        window.fill(b"xyz");
        assert_eq!((window.room().len(), window.filled()), (7, &b"xyz"[..]));
    }

    #[test]
    fn a_transmit_buffer_finds_the_room_it_is_asked_for() {
        let mut tx = Tx::new(8, 100);
        assert_eq!(tx.room(1).len(), 8);
        tx.room(8).fill(b'x');
        tx.produce(8);
        assert_eq!(tx.room(20).len(), 24);
        assert_eq!(tx.room(1000).len(), 92);
        assert_eq!(tx.pending(), b"xxxxxxxx");
        tx.consume(8);
        assert!(tx.is_empty());
    }

    /// A peer that plays back what each call gives.
    struct Script(Vec<Result<&'static [u8], ErrorKind>>);

    impl Read for Script {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.remove(0)?;
            into[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let want = self.0.remove(0)?;
            assert!(bytes.starts_with(want));
            Ok(want.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn receiving_goes_on_until_there_is_no_more() {
        use ErrorKind::{ConnectionReset, Interrupted, Other, WouldBlock};
        let run = |script: &[_], grow| {
            let mut window = Window::new(4, 8);
            let flow = receive(&mut Script(script.to_vec()), &mut window, grow).map_err(|error| error.kind());
            (flow, window.filled().to_vec())
        };
        assert_eq!(
            run(&[Ok(b"a"), Err(Interrupted), Ok(b"b"), Err(WouldBlock)], true),
            (Ok(Flow::Blocked), b"ab".to_vec())
        );
        assert_eq!(run(&[Ok(b"a"), Ok(b"")], true), (Ok(Flow::Ended), b"a".to_vec()));
        assert_eq!(run(&[Ok(b"a"), Err(ConnectionReset)], true), (Ok(Flow::Ended), b"a".to_vec()));
        assert_eq!(run(&[Ok(b"abcd"), Ok(b"e")], false), (Ok(Flow::Done), b"abcd".to_vec()));
        assert_eq!(run(&[Ok(b"abcd"), Ok(b"efgh"), Ok(b"i")], true), (Ok(Flow::Done), b"abcdefgh".to_vec()));
        assert_eq!(run(&[Ok(b"a"), Err(Other)], true), (Err(Other), b"a".to_vec()));
    }

    #[test]
    fn sending_goes_on_until_all_is_gone() {
        use ErrorKind::{BrokenPipe, Interrupted, WouldBlock};
        let run = |script: &[_]| {
            let mut tx = Tx::new(4, 4);
            tx.room(4).copy_from_slice(b"abcd");
            tx.produce(4);
            (send(&mut Script(script.to_vec()), &mut tx).unwrap(), tx.pending().to_vec())
        };
        assert_eq!(run(&[Ok(b"a"), Err(Interrupted), Ok(b"bcd")]), (Flow::Done, vec![]));
        assert_eq!(run(&[Ok(b"a"), Err(WouldBlock)]), (Flow::Blocked, b"bcd".to_vec()));
        assert_eq!(run(&[Ok(b"a"), Err(BrokenPipe)]), (Flow::Ended, b"bcd".to_vec()));
    }

    #[test]
    fn sockets_and_pipes_end_as_their_peers_do() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        let mut window = Window::new(4, 4);
        assert_eq!(receive(&mut a, &mut window, false).unwrap(), Flow::Blocked);
        (&b).write_all(b"xyz").unwrap();
        drop(b);
        assert_eq!(receive(&mut a, &mut window, false).unwrap(), Flow::Ended);
        assert_eq!(window.filled(), b"xyz");
    }

    #[test]
    fn a_blocking_pipe_is_read_without_waiting_and_written_whole() {
        let (in_reader, mut in_writer) = io::pipe().unwrap();
        let (mut out_reader, out_writer) = io::pipe().unwrap();
        let file = |fd: std::os::fd::OwnedFd| File::from(fd);
        let mut pipe = Pipe::new(file(in_reader.into()), file(out_writer.into()));
        let mut window = Window::new(4, 64);
        assert_eq!(receive(&mut pipe, &mut window, true).unwrap(), Flow::Blocked);
        in_writer.write_all(b"twelve bytes").unwrap();
        assert_eq!(receive(&mut pipe, &mut window, true).unwrap(), Flow::Blocked);
        assert_eq!(window.filled(), b"twelve bytes");
        drop(in_writer);
        assert_eq!(receive(&mut pipe, &mut window, true).unwrap(), Flow::Ended);

        // More than a pipe holds: the writer waits for the reader.
        let reader = std::thread::spawn(move || {
            let mut all = vec![];
            out_reader.read_to_end(&mut all).unwrap();
            all.len()
        });
        let mut tx = Tx::new(1 << 20, 1 << 20);
        tx.room(1 << 20).fill(7);
        tx.produce(1 << 20);
        assert_eq!(send(&mut pipe, &mut tx).unwrap(), Flow::Done);
        drop(pipe);
        assert_eq!(reader.join().unwrap(), 1 << 20);
    }
}
