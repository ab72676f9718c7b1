//! What went wrong with TLS, in words, and what to do where something can be done.

use core::fmt::Debug;
use std::io::{self, ErrorKind};

use rustls::{CertificateError, Error, InvalidMessage};

use super::verify::is_authority;

/// The same as an error of reading or writing.
pub(crate) fn explained(error: Error) -> io::Error {
    let text = match error {
        Error::InvalidCertificate(why) => format!("the server's certificate {}", certificate(&why)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS there".into()
        }
        Error::InvalidMessage(what) => format!("the server's TLS cannot be read: {}", words(&what)),
        Error::AlertReceived(alert) => {
            let why = alert.as_str().map_or_else(|| u8::from(alert).to_string(), |_| words(&alert));
            format!("the server ended TLS with the alert: {why}")
        }
        Error::PeerIncompatible(why) => {
            format!("the server's TLS has nothing in common with pmbridge's (1.2 and 1.3): {}", words(&why))
        }
        Error::PeerMisbehaved(why) => {
            format!("the server does not keep to the rules of TLS: {}", words(&why))
        }
        Error::General(why) => format!("TLS: {why}"),
        other => format!("TLS: {}", words(&other)),
    };
    io::Error::new(ErrorKind::InvalidData, text)
}

/// What is wrong with the server's certificate.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "has an unknown issuer (SSL_CERT_FILE can name a file of trusted ones)".into()
        }
        CertificateError::BadSignature => "is not signed by the trusted issuer that it names".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not one for servers (its extended key usage lacks serverAuth)".into()
        }
        CertificateError::Other(why) if is_authority(why) => {
            "is an authority's (CA:TRUE) and not itself among the trusted ones: add it to those (SSL_CERT_FILE), \
             or make one for a server (openssl req -x509 -addext basicConstraints=critical,CA:FALSE)"
                .into()
        }
        CertificateError::Other(why) => format!("is refused: {}", words(&why.0)),
        other => format!("is refused: {}", words(other)),
    }
}

/// The name of a variant as words, without what it holds.
fn words(what: &impl Debug) -> String {
    let mut words = String::new();
    let mut was_capital = true;
    for c in format!("{what:?}").chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !was_capital {
            words.push(' ');
        }
        was_capital = c.is_ascii_uppercase();
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{AlertDescription, OtherError, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn errors_are_told_in_words() {
        let other = OtherError(Arc::new(io::Error::other("x")));
        for (error, text) in [
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "with the alert: handshake failure"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "with the alert: unknown ca"),
            (Error::AlertReceived(AlertDescription::Unknown(7)), "with the alert: 7"),
            (PeerIncompatible::ServerDoesNotSupportTls12Or13.into(), ": server does not support tls12 or13"),
            (PeerMisbehaved::TooMuchEarlyDataReceived.into(), ": too much early data received"),
            (InvalidMessage::MessageTooLarge.into(), ": message too large"),
            (CertificateError::Revoked.into(), "certificate is refused: revoked"),
            (CertificateError::Other(other.clone()).into(), "certificate is refused: custom"),
            (Error::Other(other), "TLS: other"),
            (Error::DecryptError, "TLS: decrypt error"),
        ] {
            let told = explained(error).to_string();
            assert!(told.ends_with(text), "{told}");
        }
    }
}
