//! Which public types a chip's log can have: all but those that are memory or machines, which nobody logs.
#![expect(clippy::unwrap_used, reason = "a test may panic, and does so where a law is broken")]

use std::{collections::BTreeSet, fs, path::Path};

/// What holds other things or is a conversation: there is nothing in it for a line of a log.
const UNTOLD: [(&str, &str); 30] = [
    ("exposition/labels.rs", "Labels"),
    ("exposition/labels.rs", "Pieces"),
    ("exposition/parser.rs", "Parser"),
    ("pdu/profile.rs", "Stored"),
    ("pdu/result.rs", "Values"),
    ("role/agent.rs", "Agent"),
    ("role/client.rs", "Client"),
    ("role/collector.rs", "Collector"),
    ("role/document.rs", "Document"),
    ("role/exporter.rs", "Exporter"),
    ("role/mod.rs", "Context"),
    ("role/page.rs", "Page"),
    ("role/relay.rs", "Relay"),
    ("role/relay.rs", "Side"),
    ("role/scraper.rs", "Scraper"),
    ("serial/frame.rs", "Framer"),
    ("serial/frame.rs", "Unframer"),
    ("serial/listener.rs", "Listener"),
    ("serial/opener.rs", "Opener"),
    ("store/mod.rs", "Store"),
    ("store/record.rs", "Metric"),
    ("store/record.rs", "Past"),
    ("store/record.rs", "Series"),
    ("store/record.rs", "Source"),
    ("store/storage.rs", "Fixed"),
    ("store/storage.rs", "Lent"),
    ("store/storage.rs", "Parts"),
    ("store/view.rs", "View"),
    ("wire.rs", "Reader"),
    ("wire.rs", "Writer"),
];

/// The public types of a file whose attributes do not derive `Format`.
fn untold(text: &str) -> Vec<String> {
    let mut above = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let head = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        if let Some(head) = head {
            let name = head.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            if !above.contains("defmt::Format") {
                found.push(name.to_owned());
            }
        }
        // An attribute may have several lines, and comments stand among them.
        let goes_on = line.starts_with("#[") || line.starts_with("///") || line.starts_with([' ', ')']);
        above = if goes_on { above + line } else { String::new() };
    }
    found
}

fn walk(dir: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            let file = path.strip_prefix(SOURCE).unwrap().to_str().unwrap();
            let names = untold(&fs::read_to_string(&path).unwrap());
            found.extend(names.into_iter().map(|name| (file.to_owned(), name)));
        }
    }
}

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

#[test]
fn every_public_type_that_is_a_value_can_be_logged() {
    let mut found = BTreeSet::new();
    walk(Path::new(SOURCE), &mut found);
    let found: BTreeSet<_> = found.iter().map(|(file, name)| (file.as_str(), name.as_str())).collect();
    assert_eq!(found, UNTOLD.into_iter().collect());
}

#[test]
fn a_type_without_the_derive_is_found() {
    let text = "#[derive(Debug)]\n#[cfg_attr(feature = \"defmt\", derive(defmt::Format))]\n#[expect(\n    x,\n)]\n\
                pub enum A {\n    B,\n}\n\n/// C.\n#[derive(Debug)]\npub struct C<'a>(&'a str);\n";
    assert_eq!(untold(text), ["C"]);
}
