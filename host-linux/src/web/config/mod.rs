//! The file that says who may have pages and how: the one that Prometheus' own exporters have.
//!
//! What it asks for and we cannot do is an error, never passed over. The files that it names are relative to it. All are
//! looked at again when somebody asks for a page, and read again when they are others and nobody writes to them any more;
//! what cannot be used then changes nothing and is told once.

mod tls;
mod yaml;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use super::auth::{Hash, Users};
use crate::stamp::Stamp;
use yaml::{Error, Node};

/// What the file says.
#[derive(Debug, Default, Clone)]
pub(super) struct Config {
    /// How connections are encrypted, if they are.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Header lines of every answer.
    pub(super) fields: String,
    /// Who may; nobody is everybody.
    pub(super) users: Users,
}

/// The file, and what it said last.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// The file and those that it names, as they were.
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

impl Watched {
    /// Reads the file for the first time.
    pub(super) fn open(path: &Path) -> Result<(Self, Config), String> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut this = Self { path, seen: Vec::new() };
        let config = this.read()?;
        Ok((this, config))
    }

    /// What the file says, if it or any that it names is another than before.
    pub(super) fn look(&mut self) -> Option<Result<Config, String>> {
        let stamps: Vec<_> = self.seen.iter().map(|(path, _)| stamp(path)).collect();
        let same = self.seen.iter().zip(&stamps).all(|((_, before), now)| before == now);
        // Half a file may be a good one that lets everybody in: who writes it has to be done.
        if same || stamps.iter().flatten().any(is_fresh) {
            return None;
        }
        Some(self.read().and_then(|config| match fs::metadata(&self.path) {
            Ok(meta) if meta.len() == 0 => {
                Err(format!("{}: is empty; {{}} says that all may", self.path.display()))
            }
            _ => Ok(config),
        }))
    }

    fn read(&mut self) -> Result<Config, String> {
        // Stamps come first: what changes while it is read is read again.
        self.seen = vec![(self.path.clone(), stamp(&self.path))];
        let shown = self.path.display();
        let text = fs::read_to_string(&self.path).map_err(|error| format!("{shown}: {error}"))?;
        let dir = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let mut files = Files { dir, seen: &mut self.seen };
        config(&text, &mut files).map_err(|error| format!("{shown}: line {}: {}", error.line, error.why))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().as_ref().map(Stamp::of)
}

/// Whether somebody has written to it just now.
fn is_fresh(stamp: &Stamp) -> bool {
    (0..SETTLED).contains(&stamp.age())
}

/// Files that the file names.
struct Files<'a> {
    dir: &'a Path,
    seen: &'a mut Vec<(PathBuf, Option<Stamp>)>,
}

impl Files<'_> {
    /// Reads a file of this name.
    fn read(&mut self, node: &Node, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.dir.join(node.text(name)?);
        self.seen.push((path.clone(), stamp(&path)));
        fs::read(&path).map_err(|error| node.error(format!("{name}: {}: {error}", path.display())))
    }
}

fn config(text: &str, files: &mut Files<'_>) -> Result<Config, Error> {
    let mut config = Config::default();
    for (name, node) in yaml::read(text)?.map("the file")? {
        match &**name {
            "tls_server_config" => config.tls = tls::read(node, files)?,
            "http_server_config" => config.fields = http(node)?,
            "basic_auth_users" => config.users = users(node)?,
            "rate_limit" => {
                return Err(node.error("rate_limit is not understood here; see --max-connections"));
            }
            _ => return Err(unknown(node, name, "")),
        }
    }
    Ok(config)
}

/// A key that the format does not have. Only what looks like a key is shown: it might be a password.
fn unknown(node: &Node, name: &str, place: &str) -> Error {
    let plain = name.len() <= 40 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let what = if plain { name } else { "this" };
    let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
    node.error(format!("{what} is not understood{place}"))
}

fn http(node: &Node) -> Result<String, Error> {
    let mut fields = String::new();
    for (name, node) in node.map("http_server_config")? {
        match &**name {
            "http2" if !node.truth("http2")? => {}
            "http2" => {
                return Err(node.error("http2: HTTP/2 is not spoken here; leave this out, or say false"));
            }
            "headers" => {
                for (name, node) in node.map("headers")? {
                    fields += &header(name, node)?;
                }
            }
            _ => return Err(unknown(node, name, "http_server_config")),
        }
    }
    Ok(fields)
}

fn header(name: &str, node: &Node) -> Result<String, Error> {
    let value = node.text(name)?.trim();
    let known: &[&str] = match name {
        "X-Frame-Options" => &["deny", "sameorigin"],
        "X-Content-Type-Options" => &["nosniff"],
        "Content-Security-Policy" | "X-XSS-Protection" | "Strict-Transport-Security" => &[],
        _ => return Err(unknown(node, name, "headers")),
    };
    if value.is_empty() {
        return Ok(String::new());
    }
    if !known.is_empty() && !known.iter().any(|known| value.eq_ignore_ascii_case(known)) {
        return Err(node.error(format!("{name} is {}", known.join(" or "))));
    }
    if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(node.error(format!("{name} is one line of ASCII")));
    }
    Ok(format!("{name}: {value}\r\n"))
}

fn users(node: &Node) -> Result<Users, Error> {
    let mut users = Users::new();
    for (name, node) in node.map("basic_auth_users")? {
        if name.contains(':') || name.contains(char::is_control) {
            return Err(node.error("a user's name has no colon and no control characters"));
        }
        let hash = Hash::parse(node.text("a password")?.trim()).ok_or_else(|| {
            node.error("this password is no hash of bcrypt with a cost from 4 to 20 (htpasswd -nBC 10 USER makes one)")
        })?;
        users.insert(name.clone(), hash);
    }
    Ok(users)
}

/// How long nobody has written to a file that is whole, in milliseconds.
const SETTLED: i64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";

    fn read(text: &str) -> Result<Config, String> {
        let mut seen = Vec::new();
        let mut files = Files { dir: Path::new("/nowhere"), seen: &mut seen };
        config(text, &mut files).map_err(|error| format!("{}: {}", error.line, error.why))
    }

    #[test]
    fn a_file_says_who_may_and_what_is_added() {
        let text = format!(
            "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection:\n    \
             Strict-Transport-Security: max-age=1; preload\nbasic_auth_users:\n  alice: {HASH}\n  12: {HASH}\n"
        );
        let config = read(&text).unwrap();
        assert_eq!(
            config.fields,
            "X-Frame-Options: deny\r\nStrict-Transport-Security: max-age=1; preload\r\n"
        );
        assert_eq!(config.users.keys().collect::<Vec<_>>(), ["12", "alice"]);
        assert!(config.tls.is_none());
        assert!(read("").unwrap().users.is_empty());
        assert!(read("basic_auth_users:\ntls_server_config: {}\n").unwrap().users.is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_line() {
        for (text, want) in [
            ("a: b", "1: a is not understood"),
            ("\nrate_limit: {burst: 1}", "2: rate_limit is not understood here; see --max-connections"),
            ("http_server_config: {http2: true}", "1: http2: HTTP/2 is not spoken here"),
            ("http_server_config: {http2: maybe}", "1: http2 is true or false"),
            ("http_server_config: {http3: true}", "1: http3 is not understood in http_server_config"),
            ("http_server_config: {headers: {Server: x}}", "1: Server is not understood in headers"),
            (
                "http_server_config: {headers: {X-Frame-Options: x}}",
                "1: X-Frame-Options is deny or sameorigin",
            ),
            (
                "http_server_config: {headers: {X-XSS-Protection: \"a\\r\\nb\"}}",
                "1: X-XSS-Protection is one line",
            ),
            ("http_server_config:\n- a", "1: http_server_config has names"),
            ("basic_auth_users: {a:b: x}", "1: "),
            ("basic_auth_users:\n  alice: secret", "2: this password is no hash"),
            ("basic_auth_users:\n  alice: [secret]", "2: a password is one word"),
            ("secret$: x", "1: this is not understood"),
            ("tls_server_config: {cert_file: a, key_file: b}", "1: cert_file: /nowhere/a: No such file"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(want), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_is_another() {
        let dir = std::env::temp_dir().join(format!("pmbridge-web-config-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("web.yml");
        assert!(Watched::open(&file).unwrap_err().contains("web.yml: No such file"));
        fs::write(&file, "").unwrap();
        let (mut watched, config) = Watched::open(&file).unwrap();
        assert!(config.users.is_empty() && watched.look().is_none());
        let settle = || std::thread::sleep(core::time::Duration::from_millis(SETTLED.unsigned_abs()));
        fs::write(&file, format!("basic_auth_users: {{a: {HASH}}}")).unwrap();
        assert!(watched.look().is_none(), "somebody may still be writing");
        settle();
        assert_eq!(watched.look().unwrap().unwrap().users.len(), 1);
        assert!(watched.look().is_none());
        for (text, want) in [("nonsense", "web.yml: line 1: "), ("", "web.yml: is empty")] {
            fs::write(&file, text).unwrap();
            settle();
            assert!(watched.look().unwrap().unwrap_err().contains(want));
            assert!(watched.look().is_none(), "told once");
        }
        fs::remove_file(&file).unwrap();
        assert!(watched.look().unwrap().is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
