//! The PMDA's pipe to pmcd lies on descriptors that nothing else writes to.
//!
//! pmcd gives the pipe as descriptors 0 and 1. One stray byte on 1 would put every later answer out of step, so both
//! are moved away before anything else happens: 0 becomes /dev/null, 1 becomes what 2 is.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::conn::Pipe;

/// Takes the pipe to pmcd off descriptors 0 and 1.
pub(crate) fn take() -> io::Result<Pipe> {
    let pipe = Pipe::new(moved(io::stdin())?, moved(io::stdout())?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    Ok(pipe)
}

/// Sends what is printed from now on, on stdout or stderr, into a file.
pub(crate) fn redirect_output(file: &File) -> io::Result<()> {
    dup2_stdout(file)?;
    dup2_stderr(file)?;
    Ok(())
}

/// The same open file on a descriptor above the standard ones, which no program that we start inherits.
fn moved(fd: impl AsFd) -> io::Result<File> {
    // std duplicates with F_DUPFD_CLOEXEC from 3 on.
    Ok(File::from(fd.as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_moved_descriptor_is_no_standard_one() {
        assert!(moved(io::stdin()).unwrap().as_raw_fd() > 2);
    }
}
