//! Who may name what: the table of DESIGN.md, held against the `use` of every module.

use std::path::{Path, PathBuf};

/// A module of core and the modules that it may name beside itself.
const CORE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("time", &[]),
    ("float", &[]),
    ("text", &[]),
    ("pcp", &[]),
    ("pdu", &["wire", "time", "pcp"]),
    ("exposition", &["time", "float", "text", "http"]),
    ("http", &["wire", "text"]),
    ("mapping", &["float", "pcp", "exposition"]),
    ("store", &["time", "float", "pcp", "exposition", "mapping"]),
    ("serial", &["wire", "time"]),
    ("role", &["wire", "time", "float", "text", "pcp", "pdu", "exposition", "http", "mapping", "store"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.into()];
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    entries.flatten().flat_map(|entry| rust_files(&entry.path())).collect()
}

/// The code of a file: comments, which may name anything, and tests left out.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first components of what a text names behind `prefix`, groups in braces too.
fn named(text: &str, prefix: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut at_name = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_name = true,
                c if at_name && c.is_alphabetic() => {
                    names.push(word(&group[i..]));
                    at_name = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn core_modules_name_only_those_below_them() {
    let src = root().join("core/src");
    for (module, may) in CORE {
        let folder = src.join(module);
        let single = src.join(format!("{module}.rs"));
        let mut files = if single.is_file() { vec![single] } else { Vec::new() };
        if folder.is_dir() {
            files.extend(rust_files(&folder));
        }
        assert!(!files.is_empty(), "{module} is not there");
        for file in files {
            for name in named(&code(&file), "crate::") {
                let known = CORE.iter().any(|(other, _)| *other == name);
                assert!(
                    !known || name == *module || may.contains(&name.as_str()),
                    "{}: {name}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn hosts_name_no_pdu_and_those_who_read_or_write_pages_alone_name_the_exposition() {
    for host in ["host-linux/src", "host-embedded/src"] {
        for file in rust_files(&root().join(host)) {
            // Tests may play the other side.
            if file.ends_with("tests.rs") {
                continue;
            }
            let knows_pages = file.components().any(|part| {
                let part = part.as_os_str().to_string_lossy();
                part.starts_with("check") || part.starts_with("export") || part.contains("page")
            });
            for name in named(&code(&file), "pmbridge_core::") {
                assert_ne!(name, "pdu", "{}", file.display());
                assert!(name != "exposition" || knows_pages, "{}: {name}", file.display());
            }
        }
    }
}
