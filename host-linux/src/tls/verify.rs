//! A server's certificate is verified as rustls does it, but for one that is itself trusted.
//!
//! `openssl req -x509` makes certificates of authorities (CA:TRUE), and many a server has such a one as its own. rustls
//! takes none of these for a server; OpenSSL does where it finds that very certificate among the trusted ones, and so
//! do we, if it is valid and has the name. That opens nothing: who has its key could sign any other certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

/// rustls' verifier, and the certificates that are trusted, as they are.
#[derive(Debug)]
pub(super) struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// One that trusts these, of which there must be one that can be read.
    pub(super) fn new(
        trusted: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Old roots that are not well-formed are in many a bundle; the others count.
        roots.add_parsable_certificates(trusted.iter().cloned());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let usual = usual.map_err(|_| Error::General(NONE.into()))?;
        Ok(Self { usual, trusted })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // That it is valid now was looked at before that.
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if is_authority(&why) && self.trusted.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether a certificate is not taken for a server's as it is an authority's. rustls passes on a word of the crate
/// behind it.
pub(crate) fn is_authority(why: &OtherError) -> bool {
    why.0.to_string() == "CaUsedAsEndEntity"
}

const NONE: &str = "none of the trusted certificates can be read (SSL_CERT_FILE can name a file of others)";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls::explain::explained;

    // openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=self
    //     -addext subjectAltName=DNS:localhost
    const SELF: &[u8] = include_bytes!("self.pem");
    // The same with another key.
    const OTHER: &[u8] = include_bytes!("other.pem");
    const BEGINS: u64 = 1_795_446_197;
    const ENDS: u64 = 2_110_806_197;

    fn verify(trusted: &[u8], name: &'static str, now: u64) -> Result<(), String> {
        let [trusted, own] = [trusted, SELF].map(|pem| CertificateDer::from_pem_slice(pem).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new(vec![trusted], provider).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verified = verifier.verify_server_cert(&own, &[], &name.try_into().unwrap(), &[], now);
        verified.map(drop).map_err(|error| explained(error).to_string())
    }

    #[test]
    fn an_authority_that_is_itself_trusted_may_be_the_server_of_its_name_while_it_is_valid() {
        assert_eq!(verify(SELF, "localhost", BEGINS), Ok(()));
        assert_eq!(verify(SELF, "localhost", ENDS), Ok(()));
        let refused = |trusted, name, now| verify(trusted, name, now).unwrap_err();
        assert!(refused(SELF, "localhost", BEGINS.checked_sub(1).unwrap()).contains("not valid yet"));
        assert!(refused(SELF, "localhost", ENDS.checked_add(1).unwrap()).contains("has expired"));
        assert!(refused(SELF, "other.example", BEGINS).contains("for another name"));
        let stranger = refused(OTHER, "localhost", BEGINS);
        assert!(stranger.contains("CA:TRUE") && stranger.contains("SSL_CERT_FILE"), "{stranger}");
    }
}
