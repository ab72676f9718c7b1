//! `pmbridge check`: what a document becomes in PCP, and what is wrong with it.
//!
//! For people the document goes through a store, as that of a source does, and comes out as a [`table`]; lines are
//! refused for what the format forbids and for what PCP cannot hold. For programs (`--json`) each line goes through
//! the parser alone: what [`json`] shows is what the format says, whether or not PCP has a name for it.

mod input;
mod json;
mod lines;
mod table;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use pmbridge_core::exposition::{self, ErrorKind, Line, number};
use pmbridge_core::mapping::{PcpLine, Plain};
use pmbridge_core::pcp::Type;
use pmbridge_core::role::document::{Document, Reason as Unfit};
use pmbridge_core::store::Store;
use pmbridge_core::time::Instant;

use crate::flags::{Format, Options};
use crate::log::Log;
use crate::memory::Memory;
use input::Input;
use lines::Lines;

/// Reads the document and prints what was asked for: 0 all good, 1 something refused, 2 unreadable.
pub(crate) fn run(options: &Options) -> ExitCode {
    let log = Log::plain(options.debug);
    if options.strict {
        log.error("--strict is not there yet: rules between lines are not checked");
        return ExitCode::from(2);
    }
    let Some(operand) = options.operands.first() else { return ExitCode::from(2) };
    let input = match Input::named(operand) {
        Ok(input) => input,
        // The operand itself is not shown: what is no URL may hold a password still.
        Err(error) => {
            log.error(error);
            return ExitCode::from(2);
        }
    };
    let refused =
        if options.json { for_programs(&input, options) } else { for_people(&input, options, &log) };
    match refused {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        // Who stopped reading has seen enough; it is nobody's fault.
        Err(input::Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Err(error) => {
            log.error(format_args!("{input}: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Why a line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is no line of an exposition.
    Line(ErrorKind),
    /// It is none that PCP can hold, or too long.
    Unfit(Unfit),
    /// Its value is no number.
    Value,
    /// It is none of the format that was asked for.
    Format(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind) => kind.fmt(f),
            Self::Unfit(reason) => reason.fmt(f),
            Self::Value => f.write_str("value is not a number"),
            Self::Format(why) => f.write_str(why),
        }
    }
}

/// Prints one object a line, and says how many lines were refused.
fn for_programs(input: &Input, options: &Options) -> Result<u64, input::Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = Lines::new(options.limits.line);
    let (mut refused, mut strings) = (0u64, Strings::default());
    let mut take = |number: u64, line: Option<&[u8]>| {
        let said = line.ok_or(Reason::Unfit(Unfit::TooLong)).and_then(|line| judge(line, options.format));
        match said.and_then(|said| strings.admit(said)) {
            Ok(Line::Sample(sample)) => json::sample(&mut out, &sample),
            Ok(_) => Ok(()),
            Err(reason) => {
                refused = refused.saturating_add(1);
                json::refused(&mut out, number, reason)
            }
        }
    };
    input.read(options, &mut |piece| lines.feed(piece, &mut take))?;
    lines.finish(&mut take)?;
    out.flush()?;
    Ok(refused)
}

/// Prints refused lines and then the table, and says how many lines were refused.
fn for_people(input: &Input, options: &Options, log: &Log) -> Result<u64, input::Error> {
    // A document made to collide costs its checker time, unless it cannot know the seed.
    let seed = RandomState::new().hash_one(options.domain);
    let mut store =
        Store::new(Memory::new(options.limits.series, options.limits.vanished), options.domain, seed);
    store.set_root(&options.root).map_err(input::Error::Full)?;
    let source = store.add_source(&input.source_name(), "", None).map_err(input::Error::Full)?;
    store.begin(source);
    let mut document = Document::new(source, vec![0; options.limits.line], Plain);
    let mut lines = Lines::new(options.limits.line);
    let mut refused = 0u64;
    let mut take = |number: u64, line: Option<&[u8]>| {
        let mut why = match line {
            None => Some(Reason::Unfit(Unfit::TooLong)),
            Some(_) if options.format == Format::Auto => None,
            Some(line) => judge(line, options.format).err(),
        };
        if let (None, Some(line)) = (why, line) {
            for piece in [line, b"\n"] {
                document.feed(&mut store, piece, &mut |told| why = Some(Reason::Unfit(told.reason)));
            }
        }
        if let Some(why) = why {
            refused = refused.saturating_add(1);
            writeln!(io::stderr(), "{input}:{number}: {why}")?;
        }
        Ok(())
    };
    input.read(options, &mut |piece| lines.feed(piece, &mut take))?;
    lines.finish(&mut take)?;
    store.commit(source, true, Instant::START);
    if store.view().names() == 0 {
        log.info(format_args!("{input}: no samples"));
    }
    let mut out = BufWriter::new(io::stdout().lock());
    table::print(&mut out, store.view())?;
    out.flush()?;
    Ok(refused)
}

/// What a line says, if the format that was asked for lets it.
fn judge(line: &[u8], format: Format) -> Result<Line<'_>, Reason> {
    let said = exposition::line(line).map_err(Reason::Line)?;
    let why = match (format, &said) {
        (Format::Text, Line::Sample(sample)) if sample.tail.exemplar.is_some() => {
            "exemplar, which the text format does not have"
        }
        (Format::OpenMetrics, _) if line.ends_with(b"\r") => {
            "carriage return, which OpenMetrics does not have"
        }
        (Format::OpenMetrics, Line::Blank) => "blank line, which OpenMetrics does not have",
        (Format::OpenMetrics, Line::Comment(_)) => "comment, which OpenMetrics does not have",
        _ => return Ok(said),
    };
    Err(Reason::Format(why))
}

/// Whether a `# PCP` line before a sample lets its value be a string.
#[derive(Debug, Default)]
struct Strings {
    admitted: bool,
    /// A sample has followed: the next comment line starts afresh.
    used: bool,
}

impl Strings {
    fn admit<'a>(&mut self, said: Line<'a>) -> Result<Line<'a>, Reason> {
        match said {
            Line::Blank => {}
            Line::Sample(sample) => {
                self.used = true;
                if !self.admitted && number::parse(sample.tail.value.as_bytes()).is_none() {
                    return Err(Reason::Value);
                }
            }
            _ => {
                if core::mem::take(&mut self.used) {
                    self.admitted = false;
                }
                if let Line::Comment(text) = said
                    && let Some(pcp) = PcpLine::parse(text)
                {
                    self.admitted = pcp.kind == Type::STRING;
                }
            }
        }
        Ok(said)
    }
}
