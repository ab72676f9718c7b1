//! What pmbridge has to say, one line each: in PCP's form under pmcd, plain otherwise.
//!
//! Under pmcd a line is `[Mon Nov 23 08:38:34] pmdaopenmetrics(PID) Info: text`, between a header and a footer as
//! PCP's own daemons write them. Lines go to stderr always; a log file is what stderr was pointed at, so that what
//! others print there is kept too. A line is one write, and control characters in it are escaped: nothing that a
//! source sends can look like a line of ours.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use jiff::Zoned;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Of use to whom looks for a fault only.
    Debug,
    /// Good to know.
    Info,
    /// Something is not as it should be; all goes on.
    Warning,
    /// Something was lost.
    Error,
}

/// Where lines go, and in which form.
#[derive(Debug)]
pub(crate) struct Log {
    form: Form,
    debug: bool,
}

#[derive(Debug)]
enum Form {
    Plain,
    Pcp { name: String },
}

impl Log {
    /// Plain lines, as for a person at a terminal.
    pub(crate) fn plain(debug: bool) -> Self {
        Self { form: Form::Plain, debug }
    }

    /// PCP's lines under this name, after the header.
    pub(crate) fn pcp(name: String, debug: bool) -> Self {
        put(&header(&name, &host_name(), &Zoned::now()));
        Self { form: Form::Pcp { name }, debug }
    }

    /// Whether debug messages are written.
    pub(crate) const fn is_debug(&self) -> bool {
        self.debug
    }

    /// Debug messages are written from now on, or no longer.
    pub(crate) const fn set_debug(&mut self, debug: bool) {
        self.debug = debug;
    }

    /// Writes one line.
    pub(crate) fn write(&self, level: Level, text: impl fmt::Display) {
        if level == Level::Debug && !self.debug {
            return;
        }
        put(&match &self.form {
            Form::Plain => plain_line(level, &text),
            Form::Pcp { name } => pcp_line(level, &text, name, std::process::id(), &Zoned::now()),
        });
    }

    /// Writes a debug line.
    pub(crate) fn debug(&self, text: impl fmt::Display) {
        self.write(Level::Debug, text);
    }

    /// Writes a line that is good to know.
    pub(crate) fn info(&self, text: impl fmt::Display) {
        self.write(Level::Info, text);
    }

    /// Writes a warning.
    pub(crate) fn warning(&self, text: impl fmt::Display) {
        self.write(Level::Warning, text);
    }

    /// Writes an error.
    pub(crate) fn error(&self, text: impl fmt::Display) {
        self.write(Level::Error, text);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Form::Pcp { .. } = self.form {
            put(&format!("\nLog finished {}\n", date(&Zoned::now())));
        }
    }
}

/// The name of this machine, `localhost` where it has none.
pub(crate) fn host_name() -> String {
    match nix::unistd::gethostname() {
        Ok(name) if !name.is_empty() => name.to_string_lossy().into_owned(),
        _ => "localhost".into(),
    }
}

/// There is nowhere left to complain when stderr is gone.
fn put(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

fn header(name: &str, host: &str, now: &Zoned) -> String {
    format!("Log for {name} on {host} started {}\n\n", date(now))
}

fn plain_line(level: Level, text: &dyn fmt::Display) -> String {
    let word = match level {
        Level::Debug => "debug: ",
        Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    };
    line(format!("pmbridge: {word}"), text)
}

fn pcp_line(level: Level, text: &dyn fmt::Display, name: &str, pid: u32, now: &Zoned) -> String {
    let time = now.strftime("%a %b %e %H:%M:%S");
    line(format!("[{time}] {name}({pid}) {level:?}: "), text)
}

fn date(now: &Zoned) -> impl fmt::Display {
    now.strftime("%a %b %e %H:%M:%S %Y")
}

/// `text` behind `start`, on one line whatever it holds.
fn line(start: String, text: &dyn fmt::Display) -> String {
    let mut line = Escaped(start);
    // A Display that fails has said what it could.
    let _ = write!(line, "{text}");
    line.0.push('\n');
    line.0
}

/// A text that takes control characters only as escapes.
struct Escaped(String);

impl fmt::Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() { self.0.extend(c.escape_default()) } else { self.0.push(c) }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Zoned {
        "2026-11-03T08:38:34+00:00[UTC]".parse().unwrap()
    }

    #[test]
    fn lines_under_pmcd_have_the_form_of_pcp() {
        assert_eq!(
            pcp_line(Level::Info, &"text", "pmdaopenmetrics", 42, &time()),
            "[Tue Nov  3 08:38:34] pmdaopenmetrics(42) Info: text\n"
        );
        assert_eq!(
            header("pmdaopenmetrics", "here", &time()),
            "Log for pmdaopenmetrics on here started Tue Nov  3 08:38:34 2026\n\n"
        );
    }

    #[test]
    fn no_text_makes_a_second_line() {
        let text = plain_line(Level::Error, &"a\n[b]\r\u{7}é");
        assert_eq!(text, "pmbridge: error: a\\n[b]\\r\\u{7}é\n");
    }
}
