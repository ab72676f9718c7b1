//! The panics that are left in an image, and whose they are.
//!
//! Every panic says where it is, by a constant that lies in the image: file, line and column. So the constants that the
//! linker has kept are the panics that something in the image may come to, whatever was inlined, merged or outlined. A
//! function of Rust's library that says where it was called (`#[track_caller]`, such as `copy_from_slice` and indexing)
//! is its caller's. The image has to be one whose panics say where they are: feature `locations`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use crate::Error;

/// Where a panic is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The crate.
    pub(crate) owner: String,
    /// The file, as the crate calls it.
    file: String,
    line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}:{}", self.owner, self.file, self.line)
    }
}

/// All places that may panic.
pub(crate) fn find(image: &[u8]) -> Result<BTreeSet<Place>, Error> {
    let file = object::File::parse(image)?;
    let mut parts = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(elf::SHF_ALLOC) != 0 && section.file_range().is_some() {
            parts.push((section.address(), section.data()?));
        }
    }
    let parts = Parts(parts);
    let words = parts.0.iter().flat_map(|(_, data)| {
        let (words, _) = data.as_chunks::<4>();
        words.windows(4).map(|four| [0, 1, 2, 3].map(|n| u32::from_le_bytes(four[n])))
    });
    Ok(words.filter_map(|words| parts.place(words)).collect())
}

/// How many there are of each crate.
pub(crate) fn count(places: &BTreeSet<Place>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for place in places {
        *counts.entry(place.owner.as_str()).or_default() += 1;
    }
    counts
}

/// What lies in flash: from which address on, and what.
struct Parts<'a>(Vec<(u64, &'a [u8])>);

impl Parts<'_> {
    /// The place that four words tell, if they are a `core::panic::Location`.
    fn place(&self, [pointer, length, line, column]: [u32; 4]) -> Option<Place> {
        let is_place =
            (4..512).contains(&length) && (1..100_000).contains(&line) && (1..1000).contains(&column);
        let file = is_place.then(|| self.text(pointer.into(), length.try_into().ok()?)).flatten()?;
        let owner = file.ends_with(".rs").then(|| crate_of(file))?;
        Some(Place { owner, file: within(file).to_owned(), line })
    }

    fn text(&self, at: u64, length: usize) -> Option<&str> {
        self.0.iter().find_map(|(begin, data)| {
            let from = usize::try_from(at.checked_sub(*begin)?).ok()?;
            std::str::from_utf8(data.get(from..from.checked_add(length)?)?).ok()
        })
    }
}

/// The crate of a source file.
fn crate_of(file: &str) -> String {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        let folder = rest.split('/').nth(1).unwrap_or(rest);
        return folder.rsplit_once('-').map_or(folder, |(name, _)| name).to_owned();
    }
    if let Some((_, rest)) = file.split_once("/library/") {
        return rest.split('/').next().unwrap_or(rest).to_owned();
    }
    let ours = OURS.iter().find(|(part, _)| file.contains(part));
    ours.map_or_else(|| file.to_owned(), |(_, name)| (*name).to_owned())
}

/// The file as its crate calls it: where this machine keeps others' crates says nothing, and is another elsewhere.
fn within(file: &str) -> &str {
    let others = file.split_once("/registry/src/").and_then(|(_, rest)| rest.splitn(3, '/').nth(2));
    let rusts = file.split_once("/library/").and_then(|(_, rest)| rest.split_once('/')).map(|(_, rest)| rest);
    let ours = || OURS.iter().find_map(|(part, _)| file.find(part)).and_then(|at| file.get(at..));
    others.or(rusts).or_else(ours).unwrap_or(file)
}

/// Our own crates, by where their sources lie. The innermost folder counts.
pub(crate) const OURS: [(&str, &str); 4] = [
    ("host-embedded/firmware/src/", "firmware"),
    ("host-embedded/src/", "pmbridge-embedded"),
    ("core/src/", "pmbridge-core"),
    ("src/", "firmware"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_crates() {
        assert_eq!(crate_of("/rustc/0123/library/core/src/slice/index.rs"), "core");
        assert_eq!(crate_of("/usr/src/rustc-1.96.0/library/core/src/str/mod.rs"), "core");
        let registry = "/home/a/.cargo/registry/src/index.crates.io-1/smoltcp-0.14.0/src/lib.rs";
        assert_eq!(crate_of(registry), "smoltcp");
        assert_eq!(crate_of("/w/host-embedded/src/agent.rs"), "pmbridge-embedded");
        assert_eq!(crate_of("/w/core/src/wire.rs"), "pmbridge-core");
        assert_eq!(crate_of("src/main.rs"), "firmware");
    }

    #[test]
    fn files_are_called_what_their_crate_calls_them() {
        for (file, want) in [
            ("/rustc/0123/library/core/src/slice/index.rs", "src/slice/index.rs"),
            (
                "/home/a/.cargo/registry/src/index.crates.io-1/smoltcp-0.14.0/src/iface/mod.rs",
                "src/iface/mod.rs",
            ),
            ("/w/host-embedded/src/agent.rs", "host-embedded/src/agent.rs"),
            ("/w/core/src/wire.rs", "core/src/wire.rs"),
            ("src/main.rs", "src/main.rs"),
            ("elsewhere.rs", "elsewhere.rs"),
        ] {
            assert_eq!(within(file), want);
        }
    }

    #[test]
    fn a_place_is_told_by_four_words() {
        let text = b"....core/src/wire.rs";
        let parts = Parts(vec![(0x100, text)]);
        let place = parts.place([0x104, 16, 7, 9]).map(|place| place.to_string());
        assert_eq!(place.as_deref(), Some("pmbridge-core: core/src/wire.rs:7"));
        for other in [[0x104, 15, 7, 9], [0x108, 16, 7, 9], [0x104, 16, 0, 9], [0x104, 16, 7, 0]] {
            assert_eq!(parts.place(other), None, "{other:?}");
        }
    }
}
