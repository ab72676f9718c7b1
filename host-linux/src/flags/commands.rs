//! The one table of commands and flags, from which parsing, `--help` and the manual page come.
//!
//! A [`Command`] lists its [`Flag`]s; a flag says how it is spelt, what it takes and where its value goes in
//! [`Options`].

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use super::{Format, Invocation, Options};

/// One command: its row in the overview, its flags and its operands.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) brief: &'static str,
    pub(super) operands: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) about: &'static str,
    pub(super) flags: &'static [Flag],
    pub(super) run: fn(Options) -> Invocation,
}

/// One flag: how it is spelt, what it takes, what it means and what it sets.
pub(super) struct Flag {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) set: fn(&mut Options, &OsString) -> Result<(), &'static str>,
}

const CONFIG: Flag = Flag {
    long: "config",
    short: Some('c'),
    takes: Some("DIR"),
    help: "Directory of sources: each DIR/**/*.url file holds the URL of one on its first line (http://, https:// or \
           file://), each executable file prints the document of one (it is run for each scrape, and counts if it exits \
           with 0). Its name below DIR is the source's name. pmda: config.d unless given; a relative DIR is below \
           $PCP_PMDAS_DIR/ROOT.",
    set: |o, v| {
        o.config = Some(v.into());
        Ok(())
    },
};

const NOSORT: Flag = Flag {
    long: "nosort",
    short: Some('n'),
    takes: None,
    help: "Number new sources in the order the directory gives them, not by name.",
    set: |o, _| {
        o.nosort = true;
        Ok(())
    },
};

const TIMEOUT: Flag = Flag {
    long: "timeout",
    short: Some('t'),
    takes: Some("SECONDS"),
    help: "How long a scrape may take as a whole (2). Metrics of a source that has not answered by then give \
           'Try again', the others are there. A script that still runs is killed, with all that it started. pmcd itself waits 5 seconds.",
    set: |o, v| {
        o.timeout = seconds(v)?;
        Ok(())
    },
};

const REFRESH: Flag = Flag {
    long: "refresh",
    short: Some('R'),
    takes: Some("SECONDS"),
    help: "How often a source that did not answer is asked again in the background (10).",
    set: |o, v| {
        o.refresh = seconds(v)?;
        Ok(())
    },
};

const USER: Flag = Flag {
    long: "user",
    short: Some('u'),
    takes: Some("USER"),
    help: "Become USER once log and port are open. Unless given, root becomes pcp, or nobody where there is no pcp; '-u root' stays root.",
    set: |o, v| {
        o.user = Some(v.to_str().ok_or("a user name")?.into());
        Ok(())
    },
};

const DEBUG: Flag = Flag {
    long: "debug",
    short: Some('D'),
    takes: None,
    help: "Log what happens in detail.",
    set: |o, _| {
        o.debug = true;
        Ok(())
    },
};

const MAX_SERIES: Flag = Flag {
    long: "max-series",
    short: None,
    takes: Some("N"),
    help: "Keep at most N series (8M). Series beyond it are dropped and counted.",
    set: |o, v| {
        o.limits.series = size(v)?;
        Ok(())
    },
};

const MAX_BODY: Flag = Flag {
    long: "max-body",
    short: None,
    takes: Some("BYTES"),
    help: "Give up on a document after BYTES (1G), unpacked where it comes packed.",
    set: |o, v| {
        o.limits.body = size(v)?;
        Ok(())
    },
};

const MAX_LINE: Flag = Flag {
    long: "max-line",
    short: None,
    takes: Some("BYTES"),
    help: "Refuse a line longer than BYTES (1M). The lines after it are read.",
    set: |o, v| {
        o.limits.line = size(v)?;
        Ok(())
    },
};

/// `pmbridge pmda`.
pub(super) const PMDA: Command = Command {
    name: "pmda",
    brief: "be a PMDA: started by pmcd, on stdin and stdout",
    operands: "",
    least: 0,
    most: 0,
    about: "Takes the place of PCP's own openmetrics PMDA with the same configuration, names and numbers. A line of \
            pmcd.conf: openmetrics 144 pipe binary notready /usr/bin/pmbridge pmda",
    flags: &[
        Flag {
            long: "domain",
            short: Some('d'),
            takes: Some("N"),
            help: "Domain number of the metrics (144), the one that pmcd.conf has.",
            set: |o, v| {
                let why = "a domain number from 1 to 510";
                o.domain = number(v, why)?;
                if (1..=510).contains(&o.domain) { Ok(()) } else { Err(why) }
            },
        },
        CONFIG,
        Flag {
            long: "log",
            short: Some('l'),
            takes: Some("FILE"),
            help: "Log into FILE (openmetrics.log, in pmcd's directory for logs); '-' is stderr.",
            set: |o, v| {
                o.log = Some(v.into());
                Ok(())
            },
        },
        NOSORT,
        Flag {
            long: "root",
            short: Some('r'),
            takes: Some("NAME"),
            help: "First part of all metric names (openmetrics), and of the log's and the directory's.",
            set: |o, v| {
                o.root = root(v)?;
                Ok(())
            },
        },
        TIMEOUT,
        REFRESH,
        USER,
        Flag {
            long: "ready",
            short: None,
            takes: None,
            help: "pmcd.conf says plain 'binary': pmcd asks at once and must not be told when all is ready. Without \
                   it the line must say 'binary notready'.",
            set: |o, _| {
                o.ready = true;
                Ok(())
            },
        },
        MAX_SERIES,
        MAX_BODY,
        MAX_LINE,
        DEBUG,
    ],
    run: Invocation::Pmda,
};

const SERVE: Command = Command {
    name: "serve",
    brief: "be a collector: answers PCP clients without pmcd",
    operands: "[URL ...]",
    least: 0,
    most: usize::MAX,
    about: "Scrapes each URL and each source of --config when a PCP client asks for it. Without any it serves its own \
            metrics, pmbridge.*, which are there always.",
    flags: &[
        CONFIG,
        Flag {
            long: "pcp.listen-address",
            short: None,
            takes: Some("ADDRESS"),
            help: "Where PCP clients connect (127.0.0.1:44321). ':PORT' is every address of this machine.",
            set: |o, v| {
                o.listen = listen(v)?;
                Ok(())
            },
        },
        NOSORT,
        TIMEOUT,
        REFRESH,
        USER,
        Flag {
            long: "max-clients",
            short: None,
            takes: Some("N"),
            help: "Serve at most N PCP clients at once (512); further ones are closed.",
            set: |o, v| {
                o.limits.clients = size(v)?;
                Ok(())
            },
        },
        MAX_SERIES,
        MAX_BODY,
        MAX_LINE,
        DEBUG,
    ],
    run: Invocation::Serve,
};

const CHECK: Command = Command {
    name: "check",
    brief: "show what a document becomes in PCP, and what is wrong with it",
    operands: "URL|FILE|-",
    least: 1,
    most: 1,
    about: "Prints each metric's name, type, semantics, units, instances and first values, and every refused line as \
            FILE:LINE: reason. Exit status: 0 all good, 1 something refused, 2 unreadable.",
    flags: &[
        Flag {
            long: "format",
            short: None,
            takes: Some("FORMAT"),
            help: "What the document is: auto (the default), text or openmetrics.",
            set: |o, v| {
                o.format = format(v)?;
                Ok(())
            },
        },
        Flag {
            long: "strict",
            short: None,
            takes: None,
            help: "Hold the document to OpenMetrics' rules between lines (reserved).",
            set: |o, _| {
                o.strict = true;
                Ok(())
            },
        },
        Flag {
            long: "json",
            short: None,
            takes: None,
            help: "Print one JSON object a line and nothing else: a sample's name, labels, value, value_bits, \
                   timestamp and exemplar, or an error and its line.",
            set: |o, _| {
                o.json = true;
                Ok(())
            },
        },
        TIMEOUT,
        MAX_SERIES,
        MAX_BODY,
        MAX_LINE,
    ],
    run: Invocation::Check,
};

/// All commands, in the order of the texts.
pub(super) const COMMANDS: &[&Command] = &[&PMDA, &SERVE, &CHECK];

fn number<T: std::str::FromStr>(value: &OsString, why: &'static str) -> Result<T, &'static str> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or(why)
}

fn seconds(value: &OsString) -> Result<Duration, &'static str> {
    let why = "a number of seconds above 0";
    let seconds = number(value, why)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(why)
}

/// A count above 0, with K, M or G for powers of 1024.
fn size(value: &OsString) -> Result<usize, &'static str> {
    let why = "a whole number above 0 (K, M and G are understood)";
    let text = value.to_str().ok_or(why)?;
    let (digits, unit) = match text.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        None => (text, 1_usize),
        Some(digits) if text.ends_with(['k', 'K']) => (digits, 1 << 10),
        Some(digits) if text.ends_with(['m', 'M']) => (digits, 1 << 20),
        Some(digits) => (digits, 1 << 30),
    };
    let count = digits.parse::<usize>().ok().filter(|&count| count > 0).ok_or(why)?;
    count.checked_mul(unit).ok_or(why)
}

fn root(value: &OsString) -> Result<String, &'static str> {
    let text = value.to_str().unwrap_or_default();
    let good = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(text.into()) } else { Err("a name of letters, digits and _ that starts with a letter") }
}

pub(super) fn listen(value: &OsString) -> Result<SocketAddr, &'static str> {
    let why = "an address to listen on (HOST:PORT, [IPV6]:PORT, :PORT or HOST)";
    let text = value.to_str().ok_or(why)?;
    let full = if text.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{text}]:{PCP_PORT}")
    } else if let Some(port) = text.strip_prefix(':') {
        format!("[::]:{port}")
    } else if !text.contains(':') || text.ends_with(']') {
        format!("{text}:{PCP_PORT}")
    } else {
        text.into()
    };
    full.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or(why)
}

fn format(value: &OsString) -> Result<Format, &'static str> {
    match value.to_str() {
        Some("auto") => Ok(Format::Auto),
        Some("text") => Ok(Format::Text),
        Some("openmetrics") => Ok(Format::OpenMetrics),
        _ => Err("auto, text or openmetrics"),
    }
}

const PCP_PORT: u16 = 44321;
