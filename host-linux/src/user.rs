//! What root started goes on as somebody else: as who was asked for, or as nobody who matters.

use std::ffi::CString;
use std::fmt;

use nix::errno::Errno;
use nix::unistd::{User, geteuid, initgroups, setgid, setuid};

/// Becomes the user that was asked for. Where nobody was, root becomes PCP's user, or `nobody`; others stay.
///
/// Says who that is, if it is somebody else than before.
pub(crate) fn settle(asked: Option<&str>) -> Result<Option<&str>, Error> {
    if let Some(name) = asked {
        return become_user(name).map(|()| None);
    }
    if !geteuid().is_root() {
        return Ok(None);
    }
    let exists = |name: &&str| User::from_name(name).is_ok_and(|user| user.is_some());
    let Some(name) = DEFAULTS.into_iter().find(exists) else { return Ok(None) };
    become_user(name).map(|()| Some(name))
}

/// Who root becomes: the first that there is.
const DEFAULTS: [&str; 2] = ["pcp", "nobody"];

/// Becomes a user for good, with the user's groups. Nothing happens where it is that user already.
fn become_user(name: &str) -> Result<(), Error> {
    let failed = |why| Error::Refused { name: name.into(), why };
    let user = User::from_name(name).map_err(failed)?.ok_or_else(|| Error::Unknown(name.into()))?;
    if user.uid == geteuid() {
        return Ok(());
    }
    let login = CString::new(name).map_err(|_| Error::Unknown(name.into()))?;
    // Groups first: the user may not change them any more.
    initgroups(&login, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(failed)
}

/// Why the user stays who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    /// This machine has no such user.
    Unknown(String),
    /// The system said no; only root may become somebody else.
    Refused {
        /// Who was asked for.
        name: String,
        /// The system's word.
        why: Errno,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no user '{name}'"),
            Self::Refused { name, why } => write!(f, "cannot become user '{name}': {}", why.desc()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_always_become_oneself() {
        let me = User::from_uid(geteuid()).unwrap().unwrap();
        assert_eq!(become_user(&me.name), Ok(()));
    }

    #[test]
    fn an_unknown_user_is_named() {
        assert_eq!(become_user("no such").unwrap_err().to_string(), "there is no user 'no such'");
        assert!(become_user("a\0b").is_err());
    }
}
