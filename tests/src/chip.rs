//! A chip without a network: core's agent over embedded-io, in a thread, at the end of a serial line that is a pty.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use pmbridge_core::pcp::{Semantics, Type, Units};
use pmbridge_core::role::Context;
use pmbridge_core::store::{Declaration, Fixed, Instance, Instances, MetricId, Published, SourceId, Store};
use pmbridge_core::time::{Instant, Timestamp};
use pmbridge_embedded::Next;
use pmbridge_embedded::uart::{Settings, Uart};

/// A line: what the computer opens is at a path, what the chip has is here.
#[derive(Debug)]
pub struct Line {
    chip: File,
    /// Keeps the line up while the computer has not opened it.
    _other: File,
}

impl Line {
    /// A new line, which `link` leads to from now on.
    pub fn new(link: &Path) -> Self {
        let chip = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK).expect("a pty");
        grantpt(&chip).expect("its other end");
        unlockpt(&chip).expect("its other end");
        let path = PathBuf::from(ptsname_r(&chip).expect("the path of its other end"));
        let mut flags = OpenOptions::new();
        let flags = flags.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let other = flags.open(&path).expect("its other end");
        drop(std::fs::remove_file(link));
        std::os::unix::fs::symlink(&path, link).expect("a link");
        let chip = File::from(chip.as_fd().try_clone_to_owned().expect("a descriptor"));
        Self { chip, _other: other }
    }

    /// What the line brings to the computer beside what the chip says.
    pub fn noise(&self, bytes: &[u8]) {
        // A line that is full takes no more.
        drop((&self.chip).write(bytes));
    }
}

/// What a chip runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// The domain that it was made with.
    pub domain: u16,
    /// How many metrics it has besides.
    pub more: u32,
}

/// A chip that runs until it is dropped, as by a power failure.
#[derive(Debug)]
pub struct Chip {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Chip {
    /// Starts it with this program at the end of a line; `boot` is another number each time.
    pub fn start(line: &Line, boot: u32, program: Program) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let port = Port(line.chip.try_clone().expect("a descriptor"));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || run(port, boot, program, &stop)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; how many sessions it has seen.
    pub fn stop(mut self) -> u32 {
        self.end()
    }

    fn end(&mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map_or(0, |thread| thread.join().expect("the chip did not panic"))
    }
}

impl Drop for Chip {
    fn drop(&mut self) {
        if self.thread.is_some() && !std::thread::panicking() {
            self.end();
        }
    }
}

type Memory = Fixed<1, 64, 64, 0, 512, 4096>;

/// The main loop of a chip.
fn run(mut port: Port, boot: u32, program: Program, stop: &AtomicBool) -> u32 {
    let mut store = Store::new(Memory::new(), program.domain, 1);
    store.set_root("chip").expect("room");
    let source = store.add_source("chip", "board=\"eval\"", Some(1)).expect("room");
    let ids = declare(&mut store, source, program);
    store.on_demand(source);
    let mut uart = Uart::<256, 256, 512>::new(&Settings { baud: 115_200, boot });
    let start = std::time::Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let millis = u64::try_from(start.elapsed().as_millis()).expect("a short test");
        let now = Instant::from_millis(millis);
        let wall = Timestamp { secs: 1, nanos: 0 };
        let polled = uart.poll(&mut Context { store: &mut store, now, wall }, &mut port);
        if !polled.is_busy && store.wanted(0).is_some() {
            store.begin(source);
            publish(&mut store, &ids, millis);
            store.published(source);
        } else if polled.next != Next::Now {
            // A chip would sleep until its next interrupt.
            let mut fds = [PollFd::new(port.0.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::from(2_u8));
        }
    }
    uart.sessions()
}

fn declare(store: &mut Store<Memory>, source: SourceId, program: Program) -> Vec<MetricId> {
    let mut declare = |name: &str, kind, semantics, instances| {
        let declaration = Declaration {
            name,
            help: "Something that a chip knows.\nAnd more of it.",
            kind,
            semantics,
            units: Units::NONE,
            instances,
            item: None,
            storable: false,
            aside: false,
        };
        store.declare(source, &declaration).expect("room")
    };
    let mut all = vec![
        declare("chip.uptime", Type::U64, Semantics::COUNTER, Instances::One),
        declare("chip.version", Type::STRING, Semantics::DISCRETE, Instances::One),
        declare("chip.temperature", Type::DOUBLE, Semantics::INSTANT, Instances::Own),
        declare("sensor.level", Type::U32, Semantics::INSTANT, Instances::One),
    ];
    for i in 0..program.more {
        all.push(declare(&format!("chip.more.m{i}"), Type::U32, Semantics::INSTANT, Instances::One));
    }
    all
}

fn publish(store: &mut Store<Memory>, ids: &[MetricId], millis: u64) {
    let mut put = |id: MetricId, instance, value| store.publish(id, instance, value).expect("room");
    put(ids[0], Instance::ONE, Published::Bits(millis / 1000));
    put(ids[1], Instance::ONE, Published::Text("1.2.3"));
    for (name, value) in [("cpu", 41.5_f64), ("board", 30.25)] {
        put(ids[2], Instance::named(name), Published::Bits(value.to_bits()));
    }
    put(ids[3], Instance::ONE, Published::Bits(12));
    for (i, id) in ids[4..].iter().enumerate() {
        put(*id, Instance::ONE, Published::Bits(i as u64 * 7));
    }
}

/// The chip's end of the line, as a UART of a chip is: it says whether it has a byte, and whether it takes one.
struct Port(File);

impl Port {
    fn is(&self, flag: PollFlags) -> bool {
        let mut fds = [PollFd::new(self.0.as_fd(), flag)];
        let is_any = poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n > 0);
        is_any && fds[0].revents().is_some_and(|events| events.contains(flag))
    }
}

impl ErrorType for Port {
    type Error = ErrorKind;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.is(PollFlags::POLLIN))
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(self.is(PollFlags::POLLOUT))
    }
}

impl Read for Port {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(into).map_err(|error| error.kind().into())
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.write(bytes).map_err(|error| error.kind().into())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
