//! `pmbridge serve`: a collector of its own, with no PCP on the machine.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use pmbridge_core::pcp::name::is_source;

use crate::flags::Options;
use crate::log::Log;
use crate::run::Host;
use crate::sources::{Directory, Origin, Source};
use crate::url::Url;
use crate::user;

/// Runs until it is asked to end.
pub(crate) fn run(options: Options) -> ExitCode {
    let log = Log::plain(options.debug);
    match start(options, log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Log::plain(false).error(error);
            ExitCode::FAILURE
        }
    }
}

fn start(options: Options, log: Log) -> io::Result<()> {
    let sources = options.operands.iter().map(|text| operand(text)).collect::<Result<Vec<_>, _>>()?;
    let config = options.config.clone().map(|path| std::path::absolute(&path).unwrap_or(path));
    let (listen, sorted, who) = (options.listen, !options.nosort, options.user.clone());
    let ids = options.ids.clone().filter(|path| path.as_os_str() != "-");
    let nothing = sources.is_empty() && config.is_none();
    let mut host = Host::new(options, log)?;
    host.publish_bridge()?;
    let address = host.listen(listen).map_err(|error| {
        let text =
            format!("{listen}: cannot listen for PCP clients: {error} (--pcp.listen-address takes another)");
        io::Error::new(error.kind(), text)
    })?;
    let pages = host.listen_web()?;
    if let Some(name) = user::settle(who.as_deref()).map_err(|error| io::Error::other(error.to_string()))? {
        host.say(&format!("goes on as user {name}, not as root (-u root to stay)"));
    }
    for (place, source) in sources.iter().enumerate() {
        if sources.iter().take(place).any(|other| other.name == source.name) {
            let text = format!("two sources are called {}: give one another name, NAME=URL", source.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
    }
    if let Some(file) = ids {
        host.remember(&file, None);
    }
    for source in sources {
        host.add(source);
    }
    host.save_ids();
    if let Some(path) = config {
        host.watch(Directory::new(path, sorted))?;
    }
    host.say(&hint(address, nothing));
    if let Some(url) = pages {
        host.say(&format!("serving pages for Prometheus at {url}"));
    }
    host.run()
}

/// A source given on the command line: `URL`, or `NAME=URL` to call it something.
fn operand(text: &OsStr) -> io::Result<Source> {
    let text = text.to_string_lossy();
    let named = text.split_once('=').filter(|(name, _)| !name.contains([':', '/']));
    let (name, url) = named.map_or((None, &*text), |(name, url)| (Some(name), url));
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let parsed = Url::parse(url).map_err(|error| bad(format!("{}: {error}", shown(url))))?;
    let name = name.map_or_else(|| parsed.source_name(), str::to_owned);
    if !is_source(&name) {
        let rule = "a source's name is a letter, then letters, digits, '_' and '.' between those";
        return Err(bad(format!("{name}: {rule}")));
    }
    Ok(Source::plain(name, Origin::Url(parsed)))
}

/// A URL that may be wrong, without what may be a password in it.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

/// What to type next.
fn hint(address: SocketAddr, nothing: bool) -> String {
    let port = if address.port() == 44321 { String::new() } else { format!(":{}", address.port()) };
    let ip = if address.ip().is_unspecified() { "127.0.0.1".into() } else { address.ip().to_string() };
    let what = if nothing { "pmbridge" } else { "" };
    format!("serving PCP clients on {address}; try: pminfo -h {ip}{port} -f {what}").trim_end().into()
}
