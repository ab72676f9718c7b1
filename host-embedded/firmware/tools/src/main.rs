//! What a firmware's image needs of the host: `firmware.sh` is the way in.

mod log;
mod qemu;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

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
    let what: OsString = parser.value()?;
    match what.to_str() {
        Some("run") => {
            let settings = settings(&mut parser)?;
            qemu::run(&settings)
        }
        _ => Err(format!("no command {what:?}: run").into()),
    }
}

fn settings(parser: &mut lexopt::Parser) -> Result<qemu::Settings, Error> {
    let (mut board, mut nic, mut rest) = (None, None, Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("board") => board = Some(parser.value()?.string()?),
            Long("nic") => nic = Some(parser.value()?.string()?),
            Value(value) => rest.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut rest = rest.into_iter();
    let image = PathBuf::from(rest.next().ok_or("which image?")?);
    Ok(qemu::Settings { image, board: board.ok_or("which --board?")?, nic, arguments: rest.collect() })
}
