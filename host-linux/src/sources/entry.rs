//! An entry is what one `.url` file says: a URL, and lines with HEADER, FILTER and METADATA.
//!
//! Blank lines and lines that start with `#` count for nothing wherever they stand; the first other line is the URL.
//! A keyword stands at the start of its line, in capitals, with a colon. A line that cannot be used costs itself only.

use std::path::Path;
use std::rc::Rc;

use super::notice::{Notice, Trouble};
use crate::filter::{Filter, Rule};
use crate::url::Url;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// `None` where there is none, or one that cannot be used.
    pub(super) url: Option<Url>,
    /// Further request fields, each line with its CR LF.
    pub(super) headers: String,
    pub(super) filter: Rc<Filter>,
}

impl Entry {
    /// Reads the bytes of a file. What is wrong is noticed; without a URL nothing else counts.
    pub(super) fn parse(bytes: &[u8], path: &Path, notices: &mut Vec<Notice>) -> Self {
        let bytes = match bytes.get(..MOST_BYTES) {
            Some(start) if bytes.len() > MOST_BYTES => {
                notices.push(Notice::file(path, Trouble::Long));
                // A line that is cut says something else than it should.
                start.get(..last_line(start)).unwrap_or_default()
            }
            _ => bytes,
        };
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with('#')
        });
        let Some((number, first)) = lines.next() else {
            notices.push(Notice::file(path, Trouble::Empty));
            return Self::default();
        };
        let url = match Url::parse(first.trim()) {
            Ok(url) => url,
            Err(error) => {
                notices.push(Notice::line(path, number, Trouble::Url(error)));
                return Self::default();
            }
        };
        let mut fields = Fields::default();
        let (mut rules, mut numbers) = (Vec::new(), Vec::new());
        for (number, line) in lines {
            let read = match line.split_once(':') {
                Some(("HEADER", rest)) => fields.read(rest).map_err(|why| Trouble::Line(HEADER, why.into())),
                Some(("FILTER", rest)) => {
                    Rule::filter(rest).map(|rule| rules.push(rule)).map_err(|why| Trouble::Line(FILTER, why))
                }
                Some(("METADATA", rest)) => Rule::metadata(rest)
                    .map(|rule| rules.push(rule))
                    .map_err(|why| Trouble::Line(METADATA, why)),
                _ => Err(unrecognised(&url, line)),
            };
            numbers.resize(rules.len(), (number, if line.starts_with(FILTER) { FILTER } else { METADATA }));
            if let Err(trouble) = read {
                notices.push(Notice::line(path, number, trouble));
            }
        }
        let (filter, dropped) = Filter::new(rules);
        for (number, keyword) in dropped.iter().filter_map(|place| numbers.get(*place)) {
            let why = "the patterns of this file take too much memory";
            notices.push(Notice::line(path, *number, Trouble::Line(keyword, why.into())));
        }
        Self { url: Some(url), headers: fields.lines(), filter: Rc::new(filter) }
    }
}

/// Request fields, the last of a name only.
#[derive(Debug, Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    /// Takes what follows `HEADER:`. What is wrong with it is told without it, for it may be a secret.
    fn read(&mut self, text: &str) -> Result<(), &'static str> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let name: String = name.split_whitespace().collect();
        let value = value.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || MARKS.contains(&b)) {
            return Err("no header has such a name (HEADER: NAME: VALUE)");
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return Err("there is a control character in the value");
        }
        if BODIES.iter().any(|body| name.eq_ignore_ascii_case(body)) {
            return Err("a request without a body must not announce one");
        }
        self.0.retain(|(other, _)| !name.eq_ignore_ascii_case(other));
        self.0.push((name, value.into()));
        Ok(())
    }

    fn lines(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }
}

/// What is said of a line without a keyword. A word that no colon follows may be a secret itself.
fn unrecognised(url: &Url, line: &str) -> Trouble {
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or_default();
    let almost = [HEADER, FILTER, METADATA].iter().any(|keyword| word.eq_ignore_ascii_case(keyword));
    let shown = if almost || rest.starts_with(':') { word.get(..LONGEST_WORD).unwrap_or(word) } else { "" };
    Trouble::Entry { url: url.to_string(), word: shown.into(), almost }
}

/// Where the last line begins.
fn last_line(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)
}

/// What is read of a file: no source needs more.
pub(super) const MOST_BYTES: usize = 64 << 10;
const HEADER: &str = "HEADER";
const FILTER: &str = "FILTER";
const METADATA: &str = "METADATA";
/// What a name may have beside letters and digits (RFC 9110, 5.6.2).
const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
/// Fields that would have the server wait for more.
const BODIES: [&str; 2] = ["Content-Length", "Transfer-Encoding"];
/// As much of a word is shown.
const LONGEST_WORD: usize = 16;
