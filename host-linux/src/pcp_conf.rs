//! PCP's own settings: `KEY=VALUE` lines of /etc/pcp.conf, overridden by the environment.
//!
//! pmcd gives its PMDAs the whole file in the environment. Started by hand, the file itself is read: `$PCP_CONF`, or
//! etc/pcp.conf below `$PCP_DIR`. Without either a setting is what PCP's packages have.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use pmbridge_core::mapping::Compat;

/// Where PMDAs are installed.
pub(crate) fn pmdas_dir() -> PathBuf {
    setting("PCP_PMDAS_DIR").unwrap_or_else(|| "/var/lib/pcp/pmdas".into()).into()
}

/// The rules of the version of PCP that is installed, or of the newest where none is.
pub(crate) fn compat() -> Compat {
    setting("PCP_VERSION").map_or_else(Compat::default, |version| rules(&version.to_string_lossy()))
}

/// The rules of a version as PCP writes it, such as `6.0.3`.
fn rules(version: &str) -> Compat {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if (major, minor) < (7, 2) { Compat::V60 } else { Compat::V72 }
}

/// Where PCP keeps what changes.
pub(crate) fn var_dir() -> PathBuf {
    setting("PCP_VAR_DIR").unwrap_or_else(|| "/var/lib/pcp".into()).into()
}

/// A setting, from the environment or the file.
pub(crate) fn setting(key: &str) -> Option<OsString> {
    if let Some(value) = env::var_os(key) {
        return Some(value);
    }
    let file = match env::var_os("PCP_CONF") {
        Some(file) => PathBuf::from(file),
        None => Path::new(&env::var_os("PCP_DIR").unwrap_or_else(|| "/".into())).join("etc/pcp.conf"),
    };
    let text = fs::read(file).ok()?;
    find(&String::from_utf8_lossy(&text), key).map(OsString::from)
}

/// The last value that a file gives to a key.
fn find<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.trim().strip_prefix(key)?.strip_prefix('=');
    let value = text.lines().rev().find_map(value)?;
    Some(value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_rules_of_the_last_change_before_it() {
        for (version, want) in [
            ("6.0.3", Compat::V60),
            ("7.1.9", Compat::V60),
            ("7.2.0", Compat::V72),
            ("8.0.1", Compat::V72),
            ("", Compat::V60),
        ] {
            assert_eq!(rules(version), want, "{version}");
        }
    }

    #[test]
    fn a_key_is_found_as_a_whole() {
        let text = "# PCP_X=no\nPCP_XY=other\nPCP_X=first\n PCP_X=\"last\" \r\n";
        assert_eq!(find(text, "PCP_X"), Some("last"));
        assert_eq!(find(text, "PCP"), None);
    }
}
