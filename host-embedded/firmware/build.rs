//! The board's memory, and how the image is linked: here rather than in flags that the environment may replace.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a build that goes wrong has nobody but who started it to tell"
)]

use std::{env, fs, path::Path};

fn main() {
    let boards: Vec<_> = ["lm3s6965evb", "mps2-an385"].into_iter().filter(|board| has(board)).collect();
    let &[board] = boards.as_slice() else { panic!("one board: --features lm3s6965evb or mps2-an385") };
    let memory = format!("memory/{board}.x");
    let out = env::var("OUT_DIR").expect("cargo says where");
    fs::copy(&memory, Path::new(&out).join("memory.x")).expect("the board's memory");
    // The names of interrupts' handlers, where there are any.
    fs::write(Path::new(&out).join("device.x"), "").expect("no names");
    println!("cargo:rerun-if-changed={memory}");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-search={out}");
        println!("cargo:rustc-link-arg-bins=--nmagic");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        // Functions that are the same to the last byte are there once.
        println!("cargo:rustc-link-arg-bins=--icf=all");
        if has("defmt") {
            println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
        }
    }
}

fn has(feature: &str) -> bool {
    let variable = format!("CARGO_FEATURE_{}", feature.to_uppercase().replace('-', "_"));
    env::var_os(variable).is_some()
}
