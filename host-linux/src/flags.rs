//! The command line: words become [`Options`] by the table in [`commands`].
//!
//! Long options are GNU style (`--opt value`, `--opt=value`), short ones may be bundled. A flag that a
//! command does not list is refused by it, with the command's name in the message.

mod commands;
mod help;
mod web;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pmbridge_core::mapping::Compat;
use pmbridge_core::mapping::export::Naming;

use crate::limits::Limits;
use crate::listener::Link;
use crate::serial::Line;

use commands::{COMMANDS, Command, PMDA};

/// Everything that flags set. Flags that a command does not have keep their default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// The domain number of our metrics.
    pub(crate) domain: u16,
    /// The directory of sources, as given.
    pub(crate) config: Option<PathBuf>,
    /// The log file, as given; `-` is stderr.
    pub(crate) log: Option<PathBuf>,
    /// Sources are numbered in directory order instead of by name.
    pub(crate) nosort: bool,
    /// The first part of all names.
    pub(crate) root: String,
    /// How pmcd reaches us.
    pub(crate) link: Link,
    /// The serial line whose chip is relayed, in the place of sources.
    pub(crate) serial: Option<Line>,
    /// How long a scrape may take.
    pub(crate) timeout: Duration,
    /// How often a source that does not answer is asked again at least.
    pub(crate) refresh: Duration,
    /// How old values may be that are answered without another scrape.
    pub(crate) max_age: Duration,
    /// Whom to become once the log is open.
    pub(crate) user: Option<String>,
    /// The version of PCP whose rules hold, where it was said.
    pub(crate) compat: Option<Compat>,
    /// Debug messages are logged too.
    pub(crate) debug: bool,
    /// pmcd.conf says plain `binary`: pmcd does not wait for PMDAREADY.
    pub(crate) ready: bool,
    /// Where PCP clients connect.
    pub(crate) listen: SocketAddr,
    /// The format that `check` expects.
    pub(crate) format: Format,
    /// `check` holds the document to the rules between lines.
    pub(crate) strict: bool,
    /// `check` prints JSON.
    pub(crate) json: bool,
    /// What the run may use at most.
    pub(crate) limits: Limits,
    /// The file of ids, as given; `-` is none.
    pub(crate) ids: Option<PathBuf>,
    /// Where `ids` writes the stock PMDA's tables.
    pub(crate) to_stock: Option<PathBuf>,
    /// Where `ids` reads the stock PMDA's tables.
    pub(crate) from_stock: Option<PathBuf>,
    /// Where pages are served; `None` is nowhere.
    pub(crate) web: Option<SocketAddr>,
    /// The path of the pages.
    pub(crate) telemetry_path: String,
    /// The file that says who may have pages, and how.
    pub(crate) web_config: Option<PathBuf>,
    /// Which metrics `export` shows, and how.
    pub(crate) export: Export,
    /// What stands behind the flags: URLs or files.
    pub(crate) operands: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            domain: 144,
            config: None,
            log: None,
            nosort: false,
            root: "openmetrics".into(),
            link: Link::Pipe,
            serial: None,
            timeout: Duration::from_secs(2),
            refresh: Duration::from_secs(10),
            max_age: Duration::ZERO,
            user: None,
            compat: None,
            debug: false,
            ready: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 44321)),
            format: Format::Auto,
            strict: false,
            json: false,
            limits: Limits::DEFAULT,
            ids: None,
            to_stock: None,
            from_stock: None,
            web: Some(SocketAddr::from(([127, 0, 0, 1], 44380))),
            telemetry_path: "/metrics".into(),
            web_config: None,
            export: Export::default(),
            operands: Vec::new(),
        }
    }
}

impl Options {
    /// The directory of sources under pmcd: `config.d` unless given, a relative one below `pmdas/ROOT`.
    pub(crate) fn pmda_config(&self, pmdas: &Path) -> PathBuf {
        pmdas.join(&self.root).join(self.config.as_deref().unwrap_or_else(|| Path::new("config.d")))
    }

    /// The file of ids under pmcd, the domain's in this directory unless given; `None` is none.
    pub(crate) fn ids_file(&self, dir: &Path) -> Option<PathBuf> {
        match &self.ids {
            None => Some(crate::ids::default_file(dir, self.domain)),
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path.clone()),
        }
    }

    /// The name in log lines and of the log file's owner.
    pub(crate) fn identity(&self) -> String {
        format!("pmda{}", self.root)
    }

    /// The log file under pmcd, in its working directory unless given; `None` is stderr.
    pub(crate) fn pmda_log(&self) -> Option<PathBuf> {
        match &self.log {
            None => Some(PathBuf::from(format!("{}.log", self.root))),
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path.clone()),
        }
    }
}

/// What `export` shows of which pmcd.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Export {
    /// The pmcd, `HOST[:PORT]` or `local:`, as given.
    pub(crate) pmcd: String,
    /// The names of metrics, or where names begin; none is all.
    pub(crate) names: Vec<String>,
    /// Globs of names that are left out.
    pub(crate) filters: Vec<String>,
    /// How long pmcd may take to answer.
    pub(crate) timeout: Duration,
    /// Further pmcds that requests may name, as given.
    pub(crate) targets: Vec<String>,
    /// How metrics are called where a request does not say.
    pub(crate) naming: Naming,
    /// Whether metrics that are text are shown.
    pub(crate) info: bool,
    /// Whether pages end with the exporter's own metrics.
    pub(crate) own: bool,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            pmcd: "local:".into(),
            names: Vec::new(),
            filters: Vec::new(),
            timeout: Duration::from_secs(8),
            targets: Vec::new(),
            naming: Naming::Pcp,
            info: false,
            own: true,
        }
    }
}

/// What `check` takes its input for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics where the document says so, else text.
    Auto,
    /// The Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Invocation {
    /// `pmbridge pmda`.
    Pmda(Options),
    /// `pmbridge serve`.
    Serve(Options),
    /// `pmbridge export`.
    Export(Options),
    /// `pmbridge check`.
    Check(Options),
    /// `pmbridge ids`.
    Ids(Options),
    /// A text for stdout: help, version or the manual page.
    Print(String),
}

/// Reads a command line, the program's own name included.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    let mut line = line.into_iter();
    let program = line.next().unwrap_or_default();
    let mut words = lexopt::Parser::from_args(line);
    if is_pmda(&program) {
        return options(&PMDA, &mut words);
    }
    match words.next()? {
        None => Err(Error::Command(String::new())),
        Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => Ok(Invocation::Print(help::overview())),
        Some(lexopt::Arg::Long("version") | lexopt::Arg::Short('V')) => {
            Ok(Invocation::Print(help::version()))
        }
        Some(lexopt::Arg::Value(word)) => match word.to_str() {
            Some("help") => topic(&mut words),
            Some("man") => Ok(Invocation::Print(help::manual())),
            name => match COMMANDS.iter().find(|command| Some(command.name) == name) {
                Some(command) => options(command, &mut words),
                None => Err(Error::Command(word.to_string_lossy().into_owned())),
            },
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

/// Whether the program is called as pmcd's install scripts call a PMDA.
fn is_pmda(program: &std::ffi::OsStr) -> bool {
    Path::new(program).file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("pmda"))
}

fn topic(words: &mut lexopt::Parser) -> Result<Invocation, Error> {
    let Some(word) = words.next()? else { return Ok(Invocation::Print(help::overview())) };
    let lexopt::Arg::Value(word) = word else { return Err(word.unexpected().into()) };
    match COMMANDS.iter().find(|command| word == command.name) {
        Some(command) => Ok(Invocation::Print(help::usage(command))),
        None => Err(Error::Command(word.to_string_lossy().into_owned())),
    }
}

fn options(command: &'static Command, words: &mut lexopt::Parser) -> Result<Invocation, Error> {
    let mut options = Options::default();
    while let Some(word) = words.next()? {
        let flag = match &word {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                return Ok(Invocation::Print(help::usage(command)));
            }
            lexopt::Arg::Long("version") => return Ok(Invocation::Print(help::version())),
            lexopt::Arg::Long(long) => command.flags.iter().find(|flag| flag.long == *long),
            lexopt::Arg::Short(short) => command.flags.iter().find(|flag| flag.short == Some(*short)),
            lexopt::Arg::Value(value) => {
                if options.operands.len() == command.most {
                    return Err(Error::Extra(command.name, value.to_string_lossy().into_owned()));
                }
                options.operands.push(value.clone());
                continue;
            }
        };
        let Some(flag) = flag else { return Err(Error::Flag(command.name, word.unexpected().to_string())) };
        let value = if flag.takes.is_some() { words.value()? } else { OsString::new() };
        if let Err(why) = (flag.set)(&mut options, &value) {
            return Err(Error::Value { flag: flag.long, value: value.to_string_lossy().into_owned(), why });
        }
    }
    if options.operands.len() < command.least {
        return Err(Error::Missing(command.name, command.operands));
    }
    Ok((command.run)(options))
}

/// A command line that cannot be obeyed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The words make no sense as options.
    Words(lexopt::Error),
    /// There is no such command.
    Command(String),
    /// The command has no such flag.
    Flag(&'static str, String),
    /// The command takes fewer operands.
    Extra(&'static str, String),
    /// The command takes more operands.
    Missing(&'static str, &'static str),
    /// A flag's value is not one.
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it should have been.
        why: &'static str,
    },
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Words(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(error) => write!(f, "{error}")?,
            Self::Command(word) if word.is_empty() => write!(f, "no command given")?,
            Self::Command(word) => write!(f, "there is no command '{word}'")?,
            Self::Flag(command, why) => {
                return write!(f, "{command}: {why}; 'pmbridge help {command}' lists its options");
            }
            Self::Extra(command, word) => {
                return write!(
                    f,
                    "{command}: too many operands, from '{word}' on; see 'pmbridge help {command}'"
                );
            }
            Self::Missing(command, operands) => {
                return write!(f, "{command}: {operands} is missing; see 'pmbridge help {command}'");
            }
            Self::Value { flag, value, why } => write!(f, "--{flag}: '{value}' is not {why}")?,
        }
        write!(f, "; see 'pmbridge help'")
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::commands::listen;
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn refused(line: &str) -> String {
        parsed(line).unwrap_err().to_string()
    }

    #[test]
    fn every_spelling_of_the_stock_flags_is_read() {
        let want = Options {
            domain: 450,
            config: Some("dir".into()),
            log: Some("-".into()),
            nosort: true,
            root: "prom".into(),
            timeout: Duration::from_millis(1500),
            refresh: Duration::from_secs(30),
            user: Some("pcp".into()),
            debug: true,
            ..Options::default()
        };
        for line in [
            "pmbridge pmda -d 450 -c dir -l - -n -r prom -t 1.5 -R 30 -u pcp -D",
            "pmbridge pmda -d450 -cdir -l- -nD -rprom -t1.5 -R30 -upcp",
            "pmbridge pmda --domain=450 --config=dir --log=- --nosort --root=prom --timeout=1.5 --refresh=30 --user=pcp --debug",
            "/var/lib/pcp/pmdas/openmetrics/pmdaopenmetrics --domain 450 --config dir --log - -n --root prom -t 1.5 -R 30 -u pcp -D",
        ] {
            assert_eq!(parsed(line).unwrap(), Invocation::Pmda(want.clone()), "{line}");
        }
    }

    #[test]
    fn limits_and_addresses_are_read() {
        let line = "pmbridge serve http://a/ --max-series 2M --max-body=3k --max-line 7 --max-clients 1 --max-connections 9 --max-age 0 \
                    --pcp.listen-address [::1]:4000 http://b/";
        let Invocation::Serve(options) = parsed(line).unwrap() else { panic!() };
        assert_eq!(
            options.limits,
            Limits {
                series: 2 << 20,
                names: 1 << 16,
                vanished: 1 << 24,
                body: 3072,
                line: 7,
                clients: 1,
                connections: 9,
                scrapers: 512,
                unread: 256 << 20
            }
        );
        assert_eq!(options.listen, "[::1]:4000".parse().unwrap());
        assert_eq!(options.operands, ["http://a/", "http://b/"]);
        for (text, want) in [
            (":4000", "[::]:4000"),
            ("127.0.0.2", "127.0.0.2:44321"),
            ("::1", "[::1]:44321"),
            ("[::1]", "[::1]:44321"),
        ] {
            assert_eq!(listen(&text.into()), Ok(want.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn every_bad_line_says_what_is_wrong() {
        assert_eq!(refused("pmbridge"), "no command given; see 'pmbridge help'");
        assert_eq!(refused("pmbridge foo"), "there is no command 'foo'; see 'pmbridge help'");
        assert_eq!(
            refused("pmbridge check --domain 1 x"),
            "check: invalid option '--domain'; 'pmbridge help check' lists its options"
        );
        assert_eq!(refused("pmbridge check"), "check: URL|FILE|- is missing; see 'pmbridge help check'");
        assert_eq!(
            refused("pmbridge pmda x"),
            "pmda: too many operands, from 'x' on; see 'pmbridge help pmda'"
        );
        for line in [
            "-d 0",
            "-d 511",
            "-d x",
            "-t 0",
            "-t -1",
            "-t nan",
            "--max-age -1",
            "--max-connections 0",
            "-R inf",
            "--max-series 0",
            "--max-body 99999999999G",
            "-r 1a",
            "-r a.b",
        ] {
            let message = refused(&format!("pmbridge pmda {line}"));
            assert!(message.contains("is not a"), "{line}: {message}");
        }
    }

    #[test]
    fn a_user_with_a_slash_is_a_socket() {
        let link = |line: &str| match parsed(line).unwrap() {
            Invocation::Pmda(options) => (options.link, options.user),
            other => panic!("{other:?}"),
        };
        let unix = |path: &str| Link::Unix(path.into());
        for (line, want) in [
            ("pmbridge pmda -d 444", (Link::Pipe, None)),
            ("pmbridge pmda -u /run/a.socket", (unix("/run/a.socket"), None)),
            ("pmbridge pmda -u./a.socket -u root", (unix("./a.socket"), Some("root".into()))),
            ("pmbridge pmda --unix a.socket", (unix("a.socket"), None)),
            ("pmda -i 4444", (Link::Inet(([127, 0, 0, 1], 4444).into()), None)),
            ("pmda -6 4444", (Link::Inet("[::1]:4444".parse().unwrap()), None)),
        ] {
            assert_eq!(link(line), want, "{line}");
        }
        assert!(refused("pmda -i 0").contains("a port from 1 to 65535"));
    }

    #[test]
    fn the_stock_directories_are_found() {
        let options = Options::default();
        let pmdas = Path::new("/var/lib/pcp/pmdas");
        assert_eq!(options.pmda_config(pmdas), Path::new("/var/lib/pcp/pmdas/openmetrics/config.d"));
        assert_eq!(options.pmda_log(), Some("openmetrics.log".into()));
        let ids = |options: &Options| options.ids_file(Path::new("/var/lib/pcp/config/pmda"));
        assert_eq!(ids(&options), Some("/var/lib/pcp/config/pmda/144.pmbridge".into()));
        let Invocation::Ids(other) = parsed("pmbridge ids -d 450 --to-stock d").unwrap() else { panic!() };
        assert_eq!(ids(&other), Some("/var/lib/pcp/config/pmda/450.pmbridge".into()));
        assert_eq!(other.to_stock, Some("d".into()));
        let Invocation::Pmda(other) = parsed("pmbridge pmda --ids -").unwrap() else { panic!() };
        assert_eq!(ids(&other), None);
        let options = Options { config: Some("/etc/x".into()), log: Some("-".into()), ..options };
        assert_eq!(options.pmda_config(pmdas), Path::new("/etc/x"));
        assert_eq!(options.pmda_log(), None);
    }
}
