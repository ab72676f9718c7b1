//! The firmware's twin on Linux: the same agent over a TAP interface.
//!
//!     cargo run -p pmbridge-embedded --example tap -- [INTERFACE [ADDRESS/PREFIX]] [NAME=ADDRESS:PORT/PATH]..
//!
//! Root's run makes the interface and gives this machine an address beside the agent's; for anybody else it says which `ip`
//! commands do. Then `pminfo -h 192.168.69.1 -dfl` and `curl http://192.168.69.1:9100/metrics` show what a device would.
//! Each `NAME=..` is a neighbour to scrape; `+GLOB` and `-GLOB` behind it say which of its metrics, and which not.

#![expect(clippy::std_instead_of_core, reason = "it runs where std is")]

use std::{
    env,
    error::Error,
    net::Ipv4Addr,
    os::fd::AsRawFd,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{self, SystemTime},
};

use pmbridge_embedded::{
    Address, Agent, Neighbour, Next, Settings, memory,
    metrics::{Histogram, Metric, Text, Units, metrics},
    time::{Instant, Timestamp},
};
use smoltcp::phy::{Medium, TunTapInterface, wait};
use static_cell::ConstStaticCell;

metrics! {
    /// What this device says of itself.
    static METRICS;

    static UPTIME: Metric<u64> = Metric::counter("device.uptime", "Time since the start").units(Units::MILLISEC);
    static VERSION: Text<24> = Text::new("device.version", "Which firmware this is");
    static TEMPERATURE: Metric<f64, 3> = Metric::gauge("sensor.temperature", "Degrees Celsius, made up")
        .instances("sensor", &["cpu", "board", "psu"]);
    static LATENCY: Histogram<6> =
        Histogram::new("sensor.latency", "Time that the sensor took to answer, made up", [50, 100, 200, 400, 800, 1600])
            .units(Units::MICROSEC);
    static POLLS: Metric<u32> = Metric::counter("loop.polls", "Calls of the agent").units(Units::COUNT);
    static STALL: Metric<u32> = Metric::gauge("loop.stall", "Longest time that the agent kept the loop").units(Units::MICROSEC);
}

static MEMORY: ConstStaticCell<memory::Standard<'static>> = ConstStaticCell::new(memory::Standard::new());

const USAGE: &str = "[INTERFACE [ADDRESS/PREFIX]] [NAME=ADDRESS:PORT/PATH [+GLOB].. [-GLOB]..]..";

/// What the command line says.
struct Options {
    interface: String,
    address: Ipv4Addr,
    prefix: u8,
    neighbours: Vec<Neighbour>,
}

fn main() -> ExitCode {
    if let Err(error) = run() {
        eprintln!("tap: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = parse(env::args().skip(1))?;
    let mut device = open(&options)?;
    let settings = Settings {
        labels: "hostname=\"twin\"",
        mac: [0x02, 0, 0, 0, 0, 0x01],
        address: Address::Static { address: options.address.octets(), prefix: options.prefix, gateway: None },
        neighbours: options.neighbours.leak(),
        seed: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    };
    let start = time::Instant::now();
    let now = || Instant::from_millis(millis(start));
    let mut agent = Agent::new(MEMORY.take(), &mut device, METRICS, &settings, now())?;
    thread::spawn(move || {
        loop {
            sense(millis(start));
            thread::sleep(time::Duration::from_millis(TICK));
        }
    });
    VERSION.set(env!("CARGO_PKG_VERSION"));
    println!("up: PCP at {0}:44321, pages at http://{0}:9100/metrics", options.address);
    loop {
        UPTIME.set(0, millis(start));
        let began = time::Instant::now();
        let next = agent.poll(&mut device, now(), wall()?);
        POLLS.add(0, 1);
        let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        STALL.set(0, STALL.value(0).unwrap_or_default().max(took));
        let pause = match next {
            Next::Now => continue,
            Next::At(at) => at.saturating_since(now()).millis().min(TICK),
            Next::Idle => TICK,
        };
        wait(device.as_raw_fd(), Some(smoltcp::time::Duration::from_millis(pause)))?;
    }
}

/// What Linux has for the name of an interface, with a zero behind it.
const IFNAMSIZ: usize = 16;

/// A sensor that is none, read by a thread; on a device that may be an interrupt.
fn sense(millis: u64) {
    let swing = f64::from(u32::try_from(millis / 1000 % 60).unwrap_or_default());
    for (place, base) in [40.0, 30.0, 35.0].into_iter().enumerate() {
        TEMPERATURE.set(place, base + swing / 10.0);
    }
    LATENCY.observe(millis.wrapping_mul(7919) % 2000);
}

/// The interface, which this machine has an address at.
fn open(options: &Options) -> Result<TunTapInterface, Box<dyn Error>> {
    let Options { interface, address, prefix, .. } = options;
    if interface.len() >= IFNAMSIZ {
        return Err(format!("{interface}: no interface has a name as long").into());
    }
    let is_there = Path::new("/sys/class/net").join(interface).exists();
    let mut octets = address.octets();
    octets[3] = if octets[3] == 254 { 253 } else { 254 };
    let here = format!("{}/{prefix}", Ipv4Addr::from(octets));
    let steps = [["addr", "add", &here, "dev", interface], ["link", "set", interface, "up", ""]];
    let device = TunTapInterface::new(interface, Medium::Ethernet).map_err(|error| {
        let steps = steps.map(|step| format!("\n  sudo ip {}", step.join(" ").trim_end())).concat();
        format!("{interface}: {error}\nroot makes it:\n  sudo ip tuntap add {interface} mode tap user $USER{steps}")
    })?;
    if !is_there {
        for step in steps {
            let done = Command::new("ip").args(step.iter().filter(|word| !word.is_empty())).status()?;
            if !done.success() {
                return Err(format!("ip {}: {done}", step.join(" ")).into());
            }
        }
    }
    Ok(device)
}

fn parse(args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        interface: "pmbridge0".into(),
        address: Ipv4Addr::new(192, 168, 69, 1),
        prefix: 24,
        neighbours: Vec::new(),
    };
    for arg in args {
        if arg == "--help" {
            return Err(USAGE.into());
        }
        if let Some((name, at)) = arg.split_once('=') {
            options.neighbours.push(neighbour(name, at)?);
        } else if let Some(glob) = arg.strip_prefix('+') {
            let last = options.neighbours.last_mut().ok_or("+GLOB stands behind a neighbour")?;
            last.include = with(last.include, glob);
        } else if let Some(glob) = arg.strip_prefix('-') {
            let last = options.neighbours.last_mut().ok_or("-GLOB stands behind a neighbour")?;
            last.exclude = with(last.exclude, glob);
        } else if let Some((address, prefix)) = arg.split_once('/') {
            (options.address, options.prefix) = (address.parse()?, prefix.parse()?);
        } else {
            options.interface = arg;
        }
    }
    Ok(options)
}

fn neighbour(name: &str, at: &str) -> Result<Neighbour, Box<dyn Error>> {
    let wrong = || format!("{name}={at}: a neighbour is NAME=ADDRESS:PORT/PATH");
    let (address, rest) = at.split_once(':').ok_or_else(wrong)?;
    let (port, path) = rest.split_once('/').ok_or_else(wrong)?;
    Ok(Neighbour {
        name: leak(name),
        address: address.parse()?,
        port: port.parse()?,
        path: leak(&format!("/{path}")),
        include: &[],
        exclude: &[],
    })
}

/// Settings are constants on a device; here they live as long as the process.
fn leak(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn with(globs: &'static [&'static str], glob: &str) -> &'static [&'static str] {
    let mut all = globs.to_vec();
    all.push(leak(glob));
    all.leak()
}

fn millis(start: time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn wall() -> Result<Timestamp, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Timestamp { secs: i64::try_from(now.as_secs())?, nanos: now.subsec_nanos() })
}

/// How often the device looks at its own work, in milliseconds.
const TICK: u64 = 100;
