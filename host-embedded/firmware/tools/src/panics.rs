//! The panics that are left in an image, and whose they are.
//!
//! Each call of a function that panics is looked up in the image's debug information. It belongs to the crate whose
//! code was inlined there, the innermost that is not of Rust's own library. Where there is only the library's, the
//! function is one of its own that may panic, and whoever calls that is accused as well.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use addr2line::{
    Context,
    gimli::{self, EndianSlice, LittleEndian},
};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

use crate::Error;

/// What a place in the code belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The crate.
    pub(crate) owner: String,
    /// The file and line of it.
    pub(crate) at: String,
    /// What is called, such as `core::panicking::panic_bounds_check`.
    pub(crate) callee: String,
}

/// All calls that lead to a panic, each once.
pub(crate) fn find(image: &[u8]) -> Result<BTreeSet<Place>, Error> {
    let file = object::File::parse(image)?;
    let lines = lines(&file)?;
    let functions = Functions::of(&file);
    let calls = calls(&file, &functions)?;
    let mut found = BTreeSet::new();
    let mut accused: Vec<u64> = functions.panicking();
    let mut known: BTreeSet<u64> = accused.iter().copied().collect();
    while let Some(target) = accused.pop() {
        for &(site, caller) in calls.get(&target).into_iter().flatten() {
            if known.contains(&caller) && functions.is_panicking(caller) {
                continue;
            }
            match owner(&lines, site)? {
                Some((owner, at)) => {
                    found.insert(Place { owner, at, callee: functions.name(target) });
                }
                None => {
                    if known.insert(caller) {
                        accused.push(caller);
                    }
                }
            }
        }
    }
    Ok(found)
}

/// How many there are of each crate.
pub(crate) fn count(places: &BTreeSet<Place>) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for place in places {
        *counts.entry(place.owner.as_str()).or_default() += 1;
    }
    counts
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

fn lines<'a>(file: &object::File<'a>) -> Result<Context<Slice<'a>>, Error> {
    let load = |id: gimli::SectionId| -> Result<Slice<'a>, gimli::Error> {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    };
    Ok(Context::from_dwarf(gimli::Dwarf::load(load)?)?)
}

/// The crate that a call stands in, and where; none where it is in Rust's library alone.
fn owner(lines: &Context<Slice<'_>>, site: u64) -> Result<Option<(String, String)>, Error> {
    let mut frames = lines.find_frames(site).skip_all_loads()?;
    let mut any = false;
    while let Some(frame) = frames.next()? {
        let Some(location) = frame.location else { continue };
        let Some(file) = location.file else { continue };
        any = true;
        let line = location.line.unwrap_or(0);
        // Code of no line is that of several calls made one, and the file any of theirs. The function is right.
        let name = frame.function.and_then(|function| Some(function.demangle().ok()?.into_owned()));
        let owner = if line == 0 { name.as_deref().and_then(crate_in) } else { crate_of(file) };
        if let Some(owner) = owner {
            return Ok(Some((owner, format!("{file}:{line}"))));
        }
    }
    Ok((!any).then(|| ("(unknown)".to_owned(), format!("{site:#x}"))))
}

/// The crate of a source file, none for Rust's library.
fn crate_of(file: &str) -> Option<String> {
    if file.contains("/library/") && (file.starts_with("/rustc/") || file.contains("/rustlib/src/")) {
        return None;
    }
    // Debian has it elsewhere.
    if file.contains("/library/core/") || file.contains("/library/alloc/") {
        return None;
    }
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        let folder = rest.split('/').nth(1).unwrap_or(rest);
        let name = folder.rsplit_once('-').map_or(folder, |(name, _)| name);
        return Some(name.to_owned());
    }
    for (part, name) in OURS {
        if file.contains(part) {
            return Some(name.to_owned());
        }
    }
    Some(file.to_owned())
}

/// The crate in a function's name, none for Rust's library.
fn crate_in(name: &str) -> Option<String> {
    let name = name.trim_start_matches(['<', '_', '&', ' ', '$']).trim_start_matches("LT$");
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    let name = name.get(..end).unwrap_or(name);
    (!matches!(name, "core" | "alloc")).then(|| name.replace('_', "-"))
}

/// The functions of an image by their addresses.
struct Functions(BTreeMap<u64, (u64, String)>);

impl Functions {
    fn of(file: &object::File<'_>) -> Self {
        let texts = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let name = |name: &str| format!("{:#}", rustc_demangle::demangle(name));
        // The lowest bit says that it is Thumb.
        let functions =
            texts.map(|symbol| (symbol.address() & !1, (symbol.size(), name(symbol.name().unwrap_or("?")))));
        Self(functions.collect())
    }

    fn name(&self, address: u64) -> String {
        self.0.get(&address).map_or_else(|| format!("{address:#x}"), |(_, name)| name.clone())
    }

    fn is_panicking(&self, address: u64) -> bool {
        self.0.get(&address).is_some_and(|(_, name)| is_panic(name))
    }

    fn panicking(&self) -> Vec<u64> {
        self.0.keys().copied().filter(|&address| self.is_panicking(address)).collect()
    }
}

/// Whether a function does nothing but panic.
fn is_panic(name: &str) -> bool {
    PANICS.iter().any(|panic| name.contains(panic))
}

/// Calls and jumps from one function to another, by whom they call: where they are, and in which function.
fn calls(file: &object::File<'_>, functions: &Functions) -> Result<HashMap<u64, Vec<(u64, u64)>>, Error> {
    let mut calls: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    // Within functions, `$d` is where data begins and `$t` where code goes on.
    let marks: BTreeMap<u64, bool> = file
        .symbols()
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let is_code = name.starts_with("$t");
            (is_code || name.starts_with("$d")).then_some((symbol.address(), is_code))
        })
        .collect();
    for section in file.sections().filter(|section| section.name() == Ok(".text")) {
        let (base, data) = (section.address(), section.data()?);
        let half = |at: u64| -> Option<u16> {
            let at = usize::try_from(at.checked_sub(base)?).ok()?;
            Some(u16::from_le_bytes(*data.get(at..)?.first_chunk()?))
        };
        for (&begin, (size, _)) in &functions.0 {
            let mut at = begin;
            while at < begin + size {
                let is_code = marks.range(..=at).next_back().is_none_or(|(_, &is_code)| is_code);
                let Some(first) = half(at) else { break };
                let is_wide = first >> 11 >= 0b11101;
                if is_code
                    && is_wide
                    && let Some(second) = half(at + 2)
                    && let Some(target) = branch(at, first, second)
                    && !(begin..begin + size).contains(&target)
                {
                    calls.entry(target).or_default().push((at, begin));
                }
                at += if is_code && is_wide { 4 } else { 2 };
            }
        }
    }
    Ok(calls)
}

/// The target of `bl` and `b.w`, conditional too.
fn branch(at: u64, first: u16, second: u16) -> Option<u64> {
    if first & 0xf800 != 0xf000 || second & 0x8000 == 0 {
        return None;
    }
    let (first, second) = (i64::from(first), i64::from(second));
    let sign = first >> 10 & 1;
    let [j1, j2] = [second >> 13 & 1, second >> 11 & 1];
    let offset = match second & 0x5000 {
        // bl and b.w: 24 bits.
        0x5000 | 0x1000 => {
            let [i1, i2] = [j1, j2].map(|j| 1 - (j ^ sign));
            (first & 0x3ff) << 12 | (second & 0x7ff) << 1 | i1 << 23 | i2 << 22 | -sign << 24
        }
        // A conditional b.w, 20 bits; other instructions have 0b111x where its condition is.
        0x0000 if first >> 7 & 7 != 7 => {
            (first & 0x3f) << 12 | (second & 0x7ff) << 1 | j1 << 18 | j2 << 19 | -sign << 20
        }
        _ => return None,
    };
    (i64::try_from(at).ok()? + 4).checked_add(offset)?.try_into().ok()
}

/// What the names of functions hold that only panic.
const PANICS: &[&str] = &[
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_already",
    "::len_mismatch_fail",
    "rust_begin_unwind",
];

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
    fn branches_lead_where_the_assembler_says() {
        // As llvm-mc encodes them at address 0x1000.
        assert_eq!(branch(0x1000, 0xf000, 0xf800), Some(0x1004)); // bl 0x1004
        assert_eq!(branch(0x1000, 0xf7ff, 0xfffe), Some(0x1000)); // bl 0x1000
        assert_eq!(branch(0x1000, 0xf000, 0xb87e), Some(0x1100)); // b.w 0x1100
        assert_eq!(branch(0x1000, 0xf000, 0x807e), Some(0x1100)); // beq.w 0x1100
        assert_eq!(branch(0x1000, 0xf3bf, 0x8f5f), None); // dmb sy
        assert_eq!(branch(0x1000, 0xf240, 0x0001), None); // movw r0, #1
    }

    #[test]
    fn files_belong_to_crates() {
        assert_eq!(crate_of("/rustc/0123/library/core/src/slice/index.rs"), None);
        assert_eq!(crate_of("/usr/src/rustc-1.96.0/library/core/src/str/mod.rs"), None);
        let registry = "/home/a/.cargo/registry/src/index.crates.io-1/smoltcp-0.14.0/src/lib.rs";
        assert_eq!(crate_of(registry).as_deref(), Some("smoltcp"));
        assert_eq!(crate_of("/w/host-embedded/src/agent.rs").as_deref(), Some("pmbridge-embedded"));
        assert_eq!(crate_of("/w/core/src/wire.rs").as_deref(), Some("pmbridge-core"));
        assert_eq!(crate_of("src/main.rs").as_deref(), Some("firmware"));
        assert_eq!(crate_in("<smoltcp::phy::Tx as core::fmt::Debug>::fmt").as_deref(), Some("smoltcp"));
        assert_eq!(crate_in("pmbridge_core::wire::be").as_deref(), Some("pmbridge-core"));
        assert_eq!(crate_in("core::slice::get"), None);
    }
}
