//! The one table of commands and flags, from which parsing, `--help` and the manual page come.
//!
//! A [`Command`] lists its [`Flag`]s; a flag says how it is spelt, what it takes and where its value goes in
//! [`Options`].

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use pmbridge_core::mapping::Compat;

use super::web::{EXPORT, WEB_CONFIG, WEB_LISTEN_OR_NOT, WEB_MAX_CONNECTIONS, WEB_MAX_UNREAD, WEB_PATH};
use super::{Format, Invocation, Options};
use crate::listener::Link;
use crate::serial::Line;

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

const DOMAIN: Flag = Flag {
    long: "domain",
    short: Some('d'),
    takes: Some("N"),
    help: "Domain number of the metrics (144), the one that pmcd.conf has.",
    set: |o, v| {
        let why = "a domain number from 1 to 510";
        o.domain = number(v, why)?;
        if (1..=510).contains(&o.domain) { Ok(()) } else { Err(why) }
    },
};

const CONFIG: Flag = Flag {
    long: "config",
    short: Some('c'),
    takes: Some("DIR"),
    help: "Directory of sources: each DIR/**/*.url file holds the URL of one on its first line, and each executable \
           file is a script that prints its document; the name below DIR is the source's name. See CONFIGURATION in \
           pmbridge(1). pmda: config.d unless given; a relative DIR is below $PCP_PMDAS_DIR/ROOT.",
    set: |o, v| {
        o.config = Some(v.into());
        Ok(())
    },
};

const IDS: Flag = Flag {
    long: "ids",
    short: None,
    takes: Some("FILE"),
    help: "Keep ids of sources, metrics and instances in FILE, so that they stay the same over restarts; '-' is \
           nowhere. pmda: $PCP_VAR_DIR/config/pmda/DOMAIN.pmbridge unless given, which at first takes over the ids \
           of PCP's own openmetrics PMDA. serve: nowhere unless given.",
    set: |o, v| {
        o.ids = Some(v.into());
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
    help: "How long a scrape may take as a whole (2), 4.4 at most, for pmcd waits 5 seconds. Metrics of a source that \
           has not answered by then give 'Try again', the others are there. One that has sent 1M and goes on \
           sending may take 4.4 seconds. A script that still runs is killed, with all that it started. Questions \
           about names wait for a new source as long, but 1 second for a server of which nothing has come.",
    set: |o, v| {
        o.timeout = seconds(v)?;
        Ok(())
    },
};

const REFRESH: Flag = Flag {
    long: "refresh",
    short: Some('R'),
    takes: Some("SECONDS"),
    help: "A source that did not answer is asked again in the background after 1 second, 2, 4 and so on, up to this \
           (10). Until it answers its metrics give 'Try again' at once. By the rules of PCP 7.2 a question about names \
           also asks sources again whose last document is older than this.",
    set: |o, v| {
        o.refresh = seconds(v)?;
        Ok(())
    },
};

const MAX_AGE: Flag = Flag {
    long: "max-age",
    short: None,
    takes: Some("SECONDS"),
    help: "Answer with values up to this old instead of scraping anew (0: each fetch scrapes the sources that it names).",
    set: |o, v| {
        o.max_age = age(v)?;
        Ok(())
    },
};

const MAX_CONNECTIONS: Flag = Flag {
    long: "max-connections",
    short: None,
    takes: Some("N"),
    help: "Have at most N connections to endpoints open (as many as the limit of open files leaves room for). Beyond \
           it idle ones are closed, and scrapes wait for one another.",
    set: |o, v| {
        o.limits.connections = size(v)?;
        Ok(())
    },
};

pub(super) const USER: Flag = Flag {
    long: "user",
    short: Some('u'),
    takes: Some("USER"),
    help: "Become USER once log and port are open. Unless given, root becomes pcp, or nobody where there is no pcp; '-u root' stays root.",
    set: |o, v| {
        o.user = Some(v.to_str().ok_or("a user name")?.into());
        Ok(())
    },
};

/// PMDAs have always spelt both with -u: what has a slash is a path.
const USER_OR_SOCKET: Flag = Flag {
    takes: Some("USER|PATH"),
    help: "USER: become USER once log and port are open. Unless given, root becomes pcp, or nobody where there is no \
           pcp; '-u root' stays root. PATH (anything with a slash): as --unix.",
    set: |o, v| {
        let text = v.to_str().ok_or("a user name or a path")?;
        if text.contains('/') {
            o.link = Link::Unix(text.into());
            Ok(())
        } else {
            (USER.set)(o, v)
        }
    },
    ..USER
};

const INET: Flag = Flag {
    long: "inet",
    short: Some('i'),
    takes: Some("PORT"),
    help: "pmcd.conf says 'socket inet PORT': listen on this port of 127.0.0.1. The first who connects is taken for \
           pmcd; where it does not come within 60 s, the PMDA ends.",
    set: |o, v| {
        o.link = Link::Inet(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port(v)?));
        Ok(())
    },
};

const IPV6: Flag = Flag {
    long: "ipv6",
    short: Some('6'),
    takes: Some("PORT"),
    help: "The same for 'socket ipv6 PORT', on ::1.",
    set: |o, v| {
        o.link = Link::Inet(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port(v)?));
        Ok(())
    },
};

const UNIX: Flag = Flag {
    long: "unix",
    short: None,
    takes: Some("PATH"),
    help: "The same for 'socket unix PATH': a socket for root and PCP's user. One that an earlier run left is removed.",
    set: |o, v| {
        o.link = Link::Unix(v.into());
        Ok(())
    },
};

const SERIAL: Flag = Flag {
    long: "serial",
    short: None,
    takes: Some("TTY[,BAUD]"),
    help: "Relay the agent of a chip that is at the end of this serial line (115200 bits a second), in the place of \
           sources. See SERIAL LINES in pmbridge(1).",
    set: |o, v| {
        o.serial = Some(
            Line::parse(v).ok_or("a path, or a path, a comma and one of the usual speeds from 9600 on")?,
        );
        Ok(())
    },
};

pub(super) const DEBUG: Flag = Flag {
    long: "debug",
    short: Some('D'),
    takes: None,
    help: "Log what happens in detail.",
    set: |o, _| {
        o.debug = true;
        Ok(())
    },
};

const COMPAT: Flag = Flag {
    long: "compat",
    short: None,
    takes: Some("VERSION"),
    help: "Follow the rules of this version of PCP, 6.0 or 7.2, where its own PMDA's differ: whether names vanish, labels \
           'instname', backslashes in instance names (that of the installed PCP, else 7.2).",
    set: |o, v| {
        o.compat = Some(match v.to_str() {
            Some("6.0") => Compat::V60,
            Some("7.2") => Compat::V72,
            _ => return Err("6.0 or 7.2"),
        });
        Ok(())
    },
};

const MAX_VANISHED: Flag = Flag {
    long: "max-vanished",
    short: None,
    takes: Some("N"),
    help: "Keep the ids of at most N instances that vanished (16M), so that they come back as who they were. Beyond it they \
           count as series.",
    set: |o, v| {
        o.limits.vanished = size(v)?;
        Ok(())
    },
};

const MAX_NAMES: Flag = Flag {
    long: "max-names",
    short: None,
    takes: Some("N"),
    help: "Take at most N names of one source (64K), counted in whole clusters of 1024, so that none takes the numbers \
           of all.",
    set: |o, v| {
        o.limits.names = size(v)?;
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
    help: "Give up on a document after BYTES (1G), unpacked where it comes packed; on one that a script prints after 64M at the \
           latest.",
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
            pmcd.conf: openmetrics 144 pipe binary notready /usr/bin/pmbridge pmda. How sources and bridge fare is in \
            openmetrics.control.*; storing 1 in openmetrics.control.debug switches debug messages on.",
    flags: &[
        DOMAIN,
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
        IDS,
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
        MAX_AGE,
        USER_OR_SOCKET,
        INET,
        IPV6,
        UNIX,
        SERIAL,
        Flag {
            long: "ready",
            short: None,
            takes: None,
            help: "pmcd.conf says plain 'binary': pmcd asks at once and must not be told when all is ready. Without \
                   it the line must say 'binary notready'. Sockets have plain lines only.",
            set: |o, _| {
                o.ready = true;
                Ok(())
            },
        },
        COMPAT,
        MAX_SERIES,
        MAX_NAMES,
        MAX_VANISHED,
        MAX_BODY,
        MAX_LINE,
        MAX_CONNECTIONS,
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
    about: "Scrapes each URL and each source of --config when a PCP client asks for it, or somebody who wants pages. Without \
            any it serves its own metrics, pmbridge.*, which are there always. Parameters of a request for a page: \
            source=NAME, which may come more than once, and names=LIST, of metrics and what is below, by their names in PCP.",
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
        IDS,
        TIMEOUT,
        REFRESH,
        MAX_AGE,
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
        WEB_LISTEN_OR_NOT,
        WEB_PATH,
        WEB_CONFIG,
        WEB_MAX_CONNECTIONS,
        WEB_MAX_UNREAD,
        COMPAT,
        MAX_SERIES,
        MAX_NAMES,
        MAX_VANISHED,
        MAX_BODY,
        MAX_LINE,
        MAX_CONNECTIONS,
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

const IDS_COMMAND: Command = Command {
    name: "ids",
    brief: "show the ids that are kept, take them over, give them back",
    operands: "",
    least: 0,
    most: 0,
    about: "Prints how many sources, metrics and instances have ids in the file that 'pmbridge pmda' keeps, after \
            what was asked for is done. The tables of PCP's own openmetrics PMDA are read as data and never run; \
            written, they let it go on with the same ids. Exit status: 0 all good, 1 something could not be taken \
            over or given back, 2 nothing was done.",
    flags: &[
        DOMAIN,
        Flag {
            long: "ids",
            short: None,
            takes: Some("FILE"),
            help: "The file of ids ($PCP_VAR_DIR/config/pmda/DOMAIN.pmbridge).",
            set: IDS.set,
        },
        Flag {
            long: "to-stock",
            short: None,
            takes: Some("DIR"),
            help: "Write the tables DOMAIN.*.py of PCP's own PMDA in DIR ($PCP_VAR_DIR/config/pmda is where it \
                   looks), each whole or not at all, while neither PMDA runs. What they cannot say is told. Move the \
                   file of ids away then: the next start takes over what the tables have become.",
            set: |o, v| {
                o.to_stock = Some(v.into());
                Ok(())
            },
        },
        Flag {
            long: "from-stock",
            short: None,
            takes: Some("DIR"),
            help: "Make the file of ids from the tables DOMAIN.*.py in DIR, as 'pmbridge pmda' does by itself where \
                   there is no file yet.",
            set: |o, v| {
                o.from_stock = Some(v.into());
                Ok(())
            },
        },
    ],
    run: Invocation::Ids,
};

/// All commands, in the order of the texts.
pub(super) const COMMANDS: &[&Command] = &[&PMDA, &SERVE, &EXPORT, &CHECK, &IDS_COMMAND];

fn port(value: &OsString) -> Result<u16, &'static str> {
    let why = "a port from 1 to 65535";
    number(value, why).and_then(|port| if port > 0 { Ok(port) } else { Err(why) })
}

fn number<T: std::str::FromStr>(value: &OsString, why: &'static str) -> Result<T, &'static str> {
    value.to_str().and_then(|text| text.parse().ok()).ok_or(why)
}

pub(super) fn seconds(value: &OsString) -> Result<Duration, &'static str> {
    let why = "a number of seconds above 0";
    let seconds = number(value, why)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(why)
}

fn age(value: &OsString) -> Result<Duration, &'static str> {
    let why = "a number of seconds";
    Duration::try_from_secs_f64(number(value, why)?).map_err(|_| why)
}

/// A count above 0, with K, M or G for powers of 1024.
pub(super) fn size(value: &OsString) -> Result<usize, &'static str> {
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

/// An address to listen on, with PCP's port unless it says another.
pub(super) fn listen(value: &OsString) -> Result<SocketAddr, &'static str> {
    address(value, PCP_PORT)
}

/// An address to listen on, with this port unless it says another.
pub(super) fn address(value: &OsString, port: u16) -> Result<SocketAddr, &'static str> {
    let why = "an address to listen on (HOST:PORT, [IPV6]:PORT, :PORT or HOST)";
    let text = value.to_str().ok_or(why)?;
    let full = if text.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{text}]:{port}")
    } else if let Some(port) = text.strip_prefix(':') {
        format!("[::]:{port}")
    } else if !text.contains(':') || text.ends_with(']') {
        format!("{text}:{port}")
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
