//! What a firmware's image needs of the host: `firmware.sh` is the way in.

mod image;
mod load;
mod log;
mod panics;
mod qemu;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use lexopt::prelude::*;

/// Whatever goes wrong ends it, with these words.
type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("firmware: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let mut parser = lexopt::Parser::from_env();
    let what = parser.value()?.string()?;
    let settings = settings(&mut parser)?;
    match what.as_str() {
        "run" => qemu::run(&settings),
        "weigh" => weigh(&settings),
        "size" => size(&settings),
        "panics" => panics(&settings.image),
        _ => Err(format!("no command {what:?}: run, weigh, size, panics").into()),
    }
}

fn settings(parser: &mut lexopt::Parser) -> Result<qemu::Settings, Error> {
    let mut serial = false;
    let (mut board, mut nic, mut icount, mut capture, mut rest) =
        (String::new(), None, None, None, Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("board") => board = parser.value()?.string()?,
            Long("capture") => capture = Some(PathBuf::from(parser.value()?)),
            Long("nic") => nic = Some(parser.value()?.string()?),
            Long("icount") => icount = Some(parser.value()?.string()?),
            Long("serial") => serial = true,
            Value(value) => rest.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut rest = rest.into_iter();
    let image = PathBuf::from(rest.next().ok_or("which image?")?);
    Ok(qemu::Settings { image, board, nic, icount, capture, serial, arguments: rest.collect() })
}

fn read(image: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(image).map_err(|e| format!("{}: {e}", image.display()).into())
}

/// Prints bytes of flash and RAM.
fn weigh(settings: &qemu::Settings) -> Result<ExitCode, Error> {
    let weight = image::weigh(&read(&settings.image)?)?;
    println!("flash {} ram {}", weight.flash, weight.ram);
    Ok(ExitCode::SUCCESS)
}

/// Prints bytes of flash, RAM and stack, the last under load; fails where one is more than it may be.
fn size(settings: &qemu::Settings) -> Result<ExitCode, Error> {
    let weight = image::weigh(&read(&settings.image)?)?;
    let stack = load::stack(settings)?;
    println!("flash {} ram {} stack {stack}", weight.flash, weight.ram);
    let mut is_within = true;
    for (what, is, most) in
        [("flash", weight.flash, MOST_FLASH), ("ram", weight.ram, MOST_RAM), ("stack", stack, MOST_STACK)]
    {
        if is > most {
            println!("{what} is {} bytes more than the {most} that it may be", is - most);
            is_within = false;
        }
    }
    Ok(if is_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lists the panics that are left, and fails where one is ours.
fn panics(image: &Path) -> Result<ExitCode, Error> {
    let places = panics::find(&read(image)?)?;
    if places.is_empty() {
        return Err("no panic says where it is: build with the feature locations".into());
    }
    places.iter().for_each(|place| println!("{place}"));
    println!("\n| crate | places that may panic |\n|---|---|");
    for (owner, n) in panics::count(&places) {
        println!("| {owner} | {n} |");
    }
    let is_ours = |place: &&panics::Place| panics::OURS.iter().any(|(_, name)| *name == place.owner);
    let ours: Vec<_> = places.iter().filter(is_ours).collect();
    println!("\n{} of {} are ours", ours.len(), places.len());
    ours.iter().for_each(|place| println!("{place}"));
    Ok(if ours.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The most bytes of flash.
const MOST_FLASH: u64 = 128 << 10;
/// The most bytes of RAM without the stack.
const MOST_RAM: u64 = 48 << 10;
/// The most bytes of stack.
const MOST_STACK: u64 = 6 << 10;
