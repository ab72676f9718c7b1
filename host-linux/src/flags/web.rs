//! The rows of `export`, and those of every command that serves pages: spelt as Prometheus' exporters spell them.

use std::ffi::OsString;

use pmbridge_core::mapping::export::Naming;

use super::Invocation;
use super::commands::{Command, DEBUG, Flag, USER, address, seconds, size};
use crate::names::list;

const WEB_LISTEN: Flag = Flag {
    long: "web.listen-address",
    short: None,
    takes: Some("ADDRESS"),
    help: "Where pages are served (127.0.0.1:44380). ':PORT' is every address of this machine; say then with \
           --web.config.file who may connect.",
    set: |o, v| {
        o.web = Some(address(v, WEB_PORT)?);
        Ok(())
    },
};

pub(super) const WEB_LISTEN_OR_NOT: Flag = Flag {
    help: "Where what was scraped is served as pages for Prometheus (127.0.0.1:44380); '-' is nowhere. ':PORT' is every \
           address of this machine; say then with --web.config.file who may connect.",
    set: |o, v| {
        o.web = if v == "-" { None } else { Some(address(v, WEB_PORT)?) };
        Ok(())
    },
    ..WEB_LISTEN
};

pub(super) const WEB_PATH: Flag = Flag {
    long: "web.telemetry-path",
    short: None,
    takes: Some("PATH"),
    help: "The path of the pages (/metrics).",
    set: |o, v| {
        o.telemetry_path = path(v)?;
        Ok(())
    },
};

pub(super) const WEB_CONFIG: Flag = Flag {
    long: "web.config.file",
    short: None,
    takes: Some("FILE"),
    help: "Serve pages as FILE says: TLS, client certificates, users and their passwords, in the YAML that Prometheus' \
           own exporters have. It and the files that it names are read again when they change.",
    set: |o, v| {
        o.web_config = Some(v.into());
        Ok(())
    },
};

pub(super) const WEB_MAX_CONNECTIONS: Flag = Flag {
    long: "web.max-connections",
    short: None,
    takes: Some("N"),
    help: "Have at most N connections open of those who want pages (512). Of further ones, 64 at a time are told 503; the \
           others are closed.",
    set: |o, v| {
        o.limits.scrapers = size(v)?;
        Ok(())
    },
};

pub(super) const WEB_MAX_UNREAD: Flag = Flag {
    long: "web.max-unread",
    short: None,
    takes: Some("BYTES"),
    help: "Let pages that somebody has not read to the end yet take BYTES together (256M). Where a new one has no room, the \
           oldest are cut off.",
    set: |o, v| {
        o.limits.unread = size(v)?;
        Ok(())
    },
};

/// `pmbridge export`.
pub(super) const EXPORT: Command = Command {
    name: "export",
    brief: "show the metrics of a pmcd to Prometheus",
    operands: "",
    least: 0,
    most: 0,
    about: "Serves what a pmcd knows as pages for Prometheus, each from one fetch: text 0.0.4 and 1.0.0 and OpenMetrics, as \
            the client asks for it. Parameters of a request: names=LIST (or name, prefix, target, as pmproxy has it), \
            filter=LIST of patterns with match=glob, regex or exact, times=true, naming=pcp or prometheus, info=true, \
            hostspec=TARGET (or hostname, target) of those that --allow-target names. Whether it is well: /-/healthy; \
            whether pmcd answers: /-/ready.",
    flags: &[
        Flag {
            long: "pmcd",
            short: None,
            takes: Some("TARGET"),
            help: "The pmcd whose metrics are shown: HOST, HOST:PORT, local:PATH for one at a socket, or local: for that of \
                   this machine over its socket, where it has none over 127.0.0.1 (local:).",
            set: |o, v| {
                o.export.pmcd = word(v)?;
                Ok(())
            },
        },
        Flag {
            long: "names",
            short: None,
            takes: Some("LIST"),
            help: "Show only these metrics, and those below these names; separated by commas (all).",
            set: |o, v| {
                o.export.names.extend(list(&word(v)?));
                Ok(())
            },
        },
        Flag {
            long: "filter",
            short: None,
            takes: Some("GLOB"),
            help: "Leave out metrics whose names match GLOB. May be given more than once.",
            set: |o, v| {
                o.export.filters.push(word(v)?);
                Ok(())
            },
        },
        Flag {
            long: "naming",
            short: None,
            takes: Some("HOW"),
            help: "How metrics are called where a request does not say: pcp, as pmproxy calls them (pcp), or prometheus, in \
                   base units with suffixes that tell them.",
            set: |o, v| {
                o.export.naming = v.to_str().and_then(Naming::parse).ok_or("pcp or prometheus")?;
                Ok(())
            },
        },
        Flag {
            long: "info",
            short: None,
            takes: None,
            help: "Show metrics that are text too, as a label of a sample that is 1.",
            set: |o, _| {
                o.export.info = true;
                Ok(())
            },
        },
        Flag {
            long: "timeout",
            short: Some('t'),
            takes: Some("SECONDS"),
            help: "How long pmcd may take to answer (8). A scrape that takes longer is told 503. pmcd itself waits 5 s for an \
                   agent that hangs, and then answers without it; Prometheus waits 10 s unless it is told otherwise.",
            set: |o, v| {
                o.export.timeout = seconds(v)?;
                Ok(())
            },
        },
        Flag {
            long: "allow-target",
            short: None,
            takes: Some("TARGET"),
            help: "Let requests have the metrics of this pmcd, HOST or HOST:PORT, by hostspec=TARGET. May be given more than \
                   once; without it there is none but that of --pmcd.",
            set: |o, v| {
                o.export.targets.push(word(v)?);
                Ok(())
            },
        },
        WEB_LISTEN,
        WEB_PATH,
        WEB_CONFIG,
        Flag {
            long: "web.disable-exporter-metrics",
            short: None,
            takes: None,
            help: "Leave the exporter's own metrics, pmbridge_export_* and process_*, out of the pages.",
            set: |o, _| {
                o.export.own = false;
                Ok(())
            },
        },
        Flag { long: "max-connections", ..WEB_MAX_CONNECTIONS },
        WEB_MAX_UNREAD,
        USER,
        DEBUG,
    ],
    run: Invocation::Export,
};

/// Text that is not empty.
fn word(value: &OsString) -> Result<String, &'static str> {
    let text = value.to_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or("text that is not empty")
}

/// A path that a request can have as it is.
fn path(value: &OsString) -> Result<String, &'static str> {
    let why = "a path that begins with a slash, of letters, digits and -._~/, and not with /-/";
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let text = value
        .to_str()
        .filter(|text| text.starts_with('/') && !text.starts_with("/-/") && text.bytes().all(plain));
    text.map(str::to_owned).ok_or(why)
}

/// Where pages are served unless it is said.
const WEB_PORT: u16 = 44380;
