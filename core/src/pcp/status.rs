//! A status is zero, a negative error, or the positive bits of a state change.

use core::fmt;

/// How a request went. Codes not named here are kept as they came; small negative ones are Linux errnos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);

    /// An agent was added.
    pub const ADD_AGENT: Self = Self(1);
    /// An agent was restarted.
    pub const RESTART_AGENT: Self = Self(2);
    /// An agent went away.
    pub const DROP_AGENT: Self = Self(4);
    /// Labels changed.
    pub const LABEL_CHANGE: Self = Self(8);
    /// Metric names changed.
    pub const NAMES_CHANGE: Self = Self(16);
    /// The host's name changed.
    pub const HOSTNAME_CHANGE: Self = Self(32);

    /// Nothing more is known.
    pub const GENERIC: Self = Self(-12345);
    /// There is no help text.
    pub const TEXT: Self = Self(-12349);
    /// The metric exists, but not here.
    pub const APPVERSION: Self = Self(-12350);
    /// There is no value.
    pub const VALUE: Self = Self(-12351);
    /// The answer did not come in time.
    pub const TIMEOUT: Self = Self(-12353);
    /// pmcd was reset or its configuration changed.
    pub const RESET: Self = Self(-12355);
    /// No metric has this name.
    pub const NAME: Self = Self(-12357);
    /// No metric has this id.
    pub const PMID: Self = Self(-12358);
    /// There is no such instance domain.
    pub const INDOM: Self = Self(-12359);
    /// There is no such instance.
    pub const INST: Self = Self(-12360);
    /// Units are not valid.
    pub const UNIT: Self = Self(-12361);
    /// Units or types cannot be converted.
    pub const CONV: Self = Self(-12362);
    /// A conversion loses bits.
    pub const TRUNC: Self = Self(-12363);
    /// A conversion loses the sign.
    pub const SIGN: Self = Self(-12364);
    /// The profile must name instances.
    pub const PROFILE: Self = Self(-12365);
    /// The peer broke the protocol.
    pub const IPC: Self = Self(-12366);
    /// The stream ended.
    pub const EOF: Self = Self(-12368);
    /// There is no such context.
    pub const NOCONTEXT: Self = Self(-12376);
    /// A fetch came before any profile.
    pub const NOPROFILE: Self = Self(-12381);
    /// No agent owns the domain.
    pub const NOAGENT: Self = Self(-12386);
    /// Access is denied.
    pub const PERMISSION: Self = Self(-12387);
    /// Too many clients are connected.
    pub const CONNLIMIT: Self = Self(-12388);
    /// Not now, but perhaps later.
    pub const AGAIN: Self = Self(-12389);
    /// Already connected.
    pub const ISCONN: Self = Self(-12390);
    /// Not connected, or no longer.
    pub const NOTCONN: Self = Self(-12391);
    /// A port is needed.
    pub const NEEDPORT: Self = Self(-12392);
    /// The name has children and so is no metric.
    pub const NONLEAF: Self = Self(-12394);
    /// A type is unknown or does not fit.
    pub const TYPE: Self = Self(-12397);
    /// Not possible from this thread.
    pub const THREAD: Self = Self(-12398);
    /// There is no such container.
    pub const NOCONTAINER: Self = Self(-12399);
    /// The value must not be stored.
    pub const BADSTORE: Self = Self(-12400);
    /// A client certificate is needed.
    pub const NEEDCLIENTCERT: Self = Self(-12408);
    /// A derived metric's definition is wrong.
    pub const BADDERIVE: Self = Self(-12409);
    /// The peer has no labels.
    pub const NOLABELS: Self = Self(-12410);
    /// The agent is fenced off for now.
    pub const PMDAFENCED: Self = Self(-12411);
    /// TLS failed.
    pub const TLS: Self = Self(-12414);
    /// An argument is wrong.
    pub const ARG: Self = Self(-12415);
    /// An internal law was broken.
    pub const BOTCH: Self = Self(-12442);
    /// Something is too small.
    pub const TOOSMALL: Self = Self(-12443);
    /// Something is too big.
    pub const TOOBIG: Self = Self(-12444);
    /// A fault was injected.
    pub const FAULT: Self = Self(-12445);
    /// An agent says that it is ready.
    pub const PMDAREADY: Self = Self(-13393);
    /// An agent says that it is not ready.
    pub const PMDANOTREADY: Self = Self(-13394);
    /// Not implemented.
    pub const NYI: Self = Self(-21344);

    /// Whether this is an error.
    pub const fn is_error(self) -> bool {
        self.0 < 0
    }

    /// The number as a connect challenge carries it: on the base that PCP once had.
    #[must_use]
    pub const fn to_wire_challenge(self) -> i32 {
        if self.0 <= Self::GENERIC.0 { self.0.saturating_add(OLD_BASE) } else { self.0 }
    }

    /// The status that a connect challenge carries as this number.
    pub const fn from_wire_challenge(code: i32) -> Self {
        if code <= -1000 { Self(code.saturating_sub(OLD_BASE)) } else { Self(code) }
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OK => "done",
            Self::GENERIC => "unspecified failure",
            Self::TEXT => "no help text",
            Self::APPVERSION => "metric not supported here",
            Self::VALUE => "no value",
            Self::TIMEOUT => "no answer in time",
            Self::RESET => "pmcd was reset",
            Self::NAME => "unknown metric name",
            Self::PMID => "unknown metric id",
            Self::INDOM => "unknown instance domain",
            Self::INST => "unknown instance",
            Self::UNIT => "invalid units",
            Self::CONV => "no conversion",
            Self::TRUNC => "conversion truncates",
            Self::SIGN => "conversion loses the sign",
            Self::PROFILE => "profile names no instances",
            Self::IPC => "protocol broken",
            Self::EOF => "stream ended",
            Self::NOCONTEXT => "no such context",
            Self::NOPROFILE => "fetch before profile",
            Self::NOAGENT => "no agent for the domain",
            Self::PERMISSION => "permission denied",
            Self::CONNLIMIT => "too many connections",
            Self::AGAIN => "not available now",
            Self::ISCONN => "already connected",
            Self::NOTCONN => "not connected",
            Self::NEEDPORT => "port missing",
            Self::NONLEAF => "name has children",
            Self::TYPE => "wrong type",
            Self::THREAD => "wrong thread",
            Self::NOCONTAINER => "no such container",
            Self::BADSTORE => "bad value to store",
            Self::NEEDCLIENTCERT => "client certificate missing",
            Self::BADDERIVE => "bad derived metric",
            Self::NOLABELS => "peer has no labels",
            Self::PMDAFENCED => "agent is fenced off",
            Self::TLS => "TLS failed",
            Self::ARG => "wrong argument",
            Self::BOTCH => "internal inconsistency",
            Self::TOOSMALL => "too small",
            Self::TOOBIG => "too big",
            Self::FAULT => "injected fault",
            Self::PMDAREADY => "agent is ready",
            Self::PMDANOTREADY => "agent is not ready",
            Self::NYI => "not implemented",
            _ => return None,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.0) {
            (Some(name), _) => write!(f, "{name} ({})", self.0),
            (None, 1..) => write!(f, "state change {:#x}", self.0),
            (None, _) => write!(f, "error {}", self.0),
        }
    }
}

/// What lies between the error numbers of today and of old.
const OLD_BASE: i32 = 11_345;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_carries_old_numbers() {
        for (status, code) in [
            (Status::OK, 0),
            (Status::PERMISSION, -1042),
            (Status::CONNLIMIT, -1043),
            (Status::GENERIC, -1000),
            (Status(-11), -11),
        ] {
            assert_eq!(status.to_wire_challenge(), code);
            assert_eq!(Status::from_wire_challenge(code), status);
        }
    }
}
