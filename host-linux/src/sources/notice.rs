//! A notice says what is wrong with a file or a line of it. It costs that file or that line; the rest goes on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::Level;
use crate::url;

/// Something about a file that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    path: PathBuf,
    /// 0 where it is about the file as a whole.
    line: usize,
    trouble: Trouble,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// The system does not let us read it.
    Unreadable(String),
    /// Its name cannot be part of a metric's.
    Name,
    /// Its name is that of the control metrics, or lies below it.
    Control,
    /// Another file has its name, and comes first.
    Twice(PathBuf),
    /// It is longer than a source needs.
    Long,
    /// There is nothing in it.
    Empty,
    /// Its URL is none.
    Url(url::Error),
    /// A line with a keyword that cannot be used: the keyword, and why.
    Line(&'static str, String),
    /// A line without a keyword: the source's URL, its first word, and whether it would be one otherwise spelt.
    Entry { url: String, word: String, almost: bool },
}

impl Trouble {
    /// What the system says, and what to do about it.
    pub(super) fn unreadable(error: &io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "; the user that pmbridge runs as (-u) must be let in",
            _ => "",
        };
        Self::Unreadable(format!("{error}{hint}"))
    }
}

impl Notice {
    /// A notice about a file.
    pub(super) fn file(path: &Path, trouble: Trouble) -> Self {
        Self::line(path, 0, trouble)
    }

    /// A notice about a line, counted from 1.
    pub(super) fn line(path: &Path, line: usize, trouble: Trouble) -> Self {
        Self { path: path.into(), line, trouble }
    }

    /// Whether it is about this file.
    pub(super) fn is_about(&self, path: &Path) -> bool {
        self.path == path
    }

    /// How much it matters.
    pub(crate) fn level(&self) -> Level {
        match self.trouble {
            Trouble::Name | Trouble::Control | Trouble::Twice(_) | Trouble::Empty | Trouble::Long => {
                Level::Warning
            }
            Trouble::Unreadable(_) | Trouble::Url(_) | Trouble::Line(..) | Trouble::Entry { .. } => {
                Level::Error
            }
        }
    }

    /// It, with the file called as from within this directory.
    pub(super) fn within(&self, root: &Path) -> String {
        let path = self.path.strip_prefix(root).unwrap_or(&self.path);
        Self { path: path.into(), ..self.clone() }.to_string()
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, trouble } = self;
        let path = path.display();
        // These two have the words that PCP's tests look for.
        match trouble {
            Trouble::Name => return write!(f, "ignored config file '{path}', unsuitable for PCP namespace"),
            Trouble::Control => {
                return write!(
                    f,
                    "ignored config file '{path}', 'openmetrics.control' is a reserved PMNS subtree"
                );
            }
            _ => {}
        }
        match line {
            0 => write!(f, "{path}: ")?,
            line => write!(f, "{path}:{line}: ")?,
        }
        match trouble {
            Trouble::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Trouble::Twice(first) => write!(f, "ignored, {} has the same name", first.display()),
            Trouble::Long => write!(f, "what lies beyond {} KiB is ignored", super::entry::MOST_BYTES >> 10),
            Trouble::Empty => write!(f, "there is no URL in it"),
            Trouble::Url(why) => write!(f, "{why}; the first line that is no comment is the URL"),
            Trouble::Line(keyword, why) => write!(f, "{keyword} line ignored: {why}"),
            Trouble::Entry { url, word, almost } => {
                // The first word only: what follows may be a secret that was to be a HEADER.
                let word = format!("{word} ...");
                write!(f, "{url} ignored unrecognised config entry \"{}\"", word.trim_start())?;
                if *almost {
                    write!(f, ": keywords are in capitals, at the start of the line, with a colon")?;
                }
                Ok(())
            }
            Trouble::Name | Trouble::Control => Ok(()),
        }
    }
}
