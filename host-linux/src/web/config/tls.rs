//! `tls_server_config`: certificates of ours, and what is asked of clients.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedCipherSuite, SupportedProtocolVersion, client::danger::HandshakeSignatureValid, version,
};

use super::Files;
use super::yaml::{Error, Node};
use crate::tls::explain::explained;
use crate::tls::verify::is_authority;

/// What the keys say, as far as they are there.
#[derive(Default)]
struct Said<'a> {
    certificate: Option<(&'a Node, Vec<u8>)>,
    key: Option<(&'a Node, Vec<u8>)>,
    authority: Option<(&'a Node, Vec<u8>)>,
    asks: Option<(&'a Node, Asks)>,
    names: Vec<Name>,
    least: Option<Version>,
    most: Option<Version>,
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    clients_order: bool,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// No certificate.
    Nothing,
    /// One, of whomever.
    Any { required: bool },
    /// One that an authority vouches for.
    Verified { required: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tls12,
    Tls13,
}

/// A name that a client may have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    /// Of a host, or a URI.
    Text(String),
}

/// Reads what stands there; `None` where it is not about encryption.
pub(super) fn read(node: &Node, files: &mut Files<'_>) -> Result<Option<Arc<ServerConfig>>, Error> {
    let pairs = node.map("tls_server_config")?;
    let mut said = Said::default();
    for (name, value) in pairs {
        said.note(name, value, files)?;
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    said.config(node).map(|config| Some(Arc::new(config)))
}

impl<'a> Said<'a> {
    fn note(&mut self, name: &str, node: &'a Node, files: &mut Files<'_>) -> Result<(), Error> {
        let twice = || node.error(format!("{name} is said in two ways"));
        match name {
            "cert" | "cert_file" | "key" | "key_file" | "client_ca" | "client_ca_file" => {
                if node.text(name)?.is_empty() {
                    return Ok(());
                }
                let bytes = if name.ends_with("_file") {
                    files.read(node, name)?
                } else {
                    node.text(name)?.as_bytes().to_vec()
                };
                let place = match name {
                    "cert" | "cert_file" => &mut self.certificate,
                    "key" | "key_file" => &mut self.key,
                    _ => &mut self.authority,
                };
                if place.replace((node, bytes)).is_some() {
                    return Err(twice());
                }
            }
            "client_auth_type" => self.asks = Some((node, asks(node)?)),
            "client_allowed_sans" => {
                self.names =
                    node.list(name)?.into_iter().map(|text| allowed(node, text)).collect::<Result<_, _>>()?;
            }
            "min_version" => self.least = Some(version(node, name)?),
            "max_version" => self.most = Some(version(node, name)?),
            "cipher_suites" => {
                self.suites =
                    node.list(name)?.into_iter().map(|text| suite(node, text)).collect::<Result<_, _>>()?;
            }
            "curve_preferences" => {
                self.groups =
                    node.list(name)?.into_iter().map(|text| group(node, text)).collect::<Result<_, _>>()?;
            }
            "prefer_server_cipher_suites" => self.clients_order = !node.truth(name)?,
            _ => return Err(super::unknown(node, name, "tls_server_config")),
        }
        Ok(())
    }

    fn config(mut self, node: &Node) -> Result<ServerConfig, Error> {
        let missing = |what| node.error(format!("tls_server_config: {what} is missing"));
        let (certificate, pem) = self.certificate.take().ok_or_else(|| missing("cert_file"))?;
        let chain = certificates(certificate, &pem)?;
        let (key, pem) = self.key.take().ok_or_else(|| missing("key_file"))?;
        let secret =
            PrivateKeyDer::from_pem_slice(&pem).map_err(|_| key.error("there is no private key in this"))?;
        let versions: &[&SupportedProtocolVersion] = match (self.least, self.most) {
            (Some(Version::Tls13), Some(Version::Tls12)) => {
                return Err(node.error("min_version is above max_version"));
            }
            (Some(Version::Tls13), _) => &[&version::TLS13],
            (_, Some(Version::Tls12)) => &[&version::TLS12],
            _ => &[&version::TLS13, &version::TLS12],
        };
        let (provider, clients_order) = (Arc::new(self.provider()), self.clients_order);
        let verifier = self.verifier(&provider)?;
        let told = |error| node.error(explained(error).to_string());
        let builder =
            ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(told)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, secret).map_err(|error| {
            key.error(format!("certificate and key cannot be used: {}", explained(error)))
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.ignore_client_order = !clients_order;
        Ok(config)
    }

    /// Ours, with the suites and curves that are left.
    fn provider(&mut self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.suites.is_empty() {
            // As elsewhere, the list is for TLS 1.2: 1.3 has its own.
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            provider.cipher_suites.append(&mut self.suites);
        }
        if !self.groups.is_empty() {
            provider.kx_groups = core::mem::take(&mut self.groups);
        }
        provider
    }

    /// What is asked of clients, if anything is.
    fn verifier(self, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<dyn ClientCertVerifier>>, Error> {
        let Some((node, asks)) =
            self.asks.or_else(|| self.authority.as_ref().map(|(node, _)| (*node, Asks::Nothing)))
        else {
            return if self.names.is_empty() {
                Ok(None)
            } else {
                Err(Error { line: 1, why: "client_allowed_sans needs a client_auth_type".into() })
            };
        };
        let required = matches!(asks, Asks::Any { required: true } | Asks::Verified { required: true });
        if !self.names.is_empty() && !required {
            return Err(
                node.error("client_allowed_sans needs RequireAnyClientCert or RequireAndVerifyClientCert")
            );
        }
        let (usual, trusted) = match (asks, self.authority) {
            (Asks::Nothing, None) => return Ok(None),
            (Asks::Nothing, Some(_)) => {
                return Err(node.error("client_ca_file needs a client_auth_type that verifies certificates"));
            }
            (Asks::Any { .. }, _) => (None, Vec::new()),
            (Asks::Verified { .. }, None) => {
                return Err(node.error("client_auth_type: client_ca_file is missing"));
            }
            (Asks::Verified { .. }, Some((node, pem))) => {
                let trusted = certificates(node, &pem)?;
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(trusted.iter().cloned());
                let builder =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
                let usual = builder.build().map_err(|_| node.error("no certificate in this can be used"))?;
                (Some(usual), trusted)
            }
        };
        Ok(Some(Arc::new(Verifier {
            usual,
            trusted,
            required,
            names: self.names,
            provider: Arc::clone(provider),
        })))
    }
}

fn certificates(node: &Node, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| node.error("there is no certificate in this"))
}

fn asks(node: &Node) -> Result<Asks, Error> {
    Ok(match node.text("client_auth_type")? {
        "" | "NoClientCert" => Asks::Nothing,
        "RequestClientCert" | "RequestClient" => Asks::Any { required: false },
        "RequireAnyClientCert" | "RequireClientCert" => Asks::Any { required: true },
        "VerifyClientCertIfGiven" => Asks::Verified { required: false },
        "RequireAndVerifyClientCert" => Asks::Verified { required: true },
        _ => {
            return Err(node.error(
                "client_auth_type is NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or \
                 RequireAndVerifyClientCert",
            ));
        }
    })
}

fn version(node: &Node, name: &str) -> Result<Version, Error> {
    match node.text(name)? {
        "TLS12" => Ok(Version::Tls12),
        "TLS13" => Ok(Version::Tls13),
        _ => Err(node.error(format!("{name} is TLS12 or TLS13; older ones are not spoken here"))),
    }
}

/// Suites have one name everywhere, but for the hash at the end of two of them.
fn suite(node: &Node, name: &str) -> Result<SupportedCipherSuite, Error> {
    let full = if name.ends_with("POLY1305") { format!("{name}_SHA256") } else { name.to_owned() };
    let found = ring::ALL_CIPHER_SUITES.iter().find(|suite| suite.suite().as_str() == Some(&*full));
    match found {
        Some(suite) if suite.tls13().is_none() => Ok(*suite),
        Some(_) => Err(node.error("cipher_suites are those of TLS 1.2; those of 1.3 are always there")),
        None => {
            let known = ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_none());
            let known: Vec<_> = known.filter_map(|suite| suite.suite().as_str()).collect();
            Err(node.error(format!("cipher_suites are {}", known.join(", "))))
        }
    }
}

fn group(node: &Node, name: &str) -> Result<&'static dyn SupportedKxGroup, Error> {
    match name {
        "CurveP256" => Ok(ring::kx_group::SECP256R1),
        "CurveP384" => Ok(ring::kx_group::SECP384R1),
        "X25519" => Ok(ring::kx_group::X25519),
        _ => Err(node.error("curve_preferences are CurveP256, CurveP384 and X25519")),
    }
}

fn allowed(node: &Node, text: &str) -> Result<Name, Error> {
    if text.contains('@') && !text.contains("://") {
        return Err(node.error("client_allowed_sans: addresses of mail are not looked at"));
    }
    Ok(text.parse().map_or_else(|_| Name::Text(text.to_owned()), Name::Address))
}

/// What is asked of a client's certificate.
#[derive(Debug)]
struct Verifier {
    /// Who verifies it, where it matters who vouches for it.
    usual: Option<Arc<dyn ClientCertVerifier>>,
    trusted: Vec<CertificateDer<'static>>,
    required: bool,
    /// Names of which it must have one, unless there are none.
    names: Vec<Name>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Whether the certificate has, letter by letter, a name that is allowed.
    fn has_name(&self, certificate: &CertificateDer<'_>) -> Result<bool, rustls::Error> {
        let bad = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(bad)?;
        Ok(self.names.iter().any(|name| match name {
            Name::Address(address) => {
                let name = ServerName::IpAddress((*address).into());
                parsed.verify_is_valid_for_subject_name(&name).is_ok()
            }
            Name::Text(text) => {
                parsed.valid_dns_names().any(|name| name == text)
                    || parsed.valid_uri_names().any(|name| name == text)
            }
        }))
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.usual.as_ref().map_or(&[], |usual| usual.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.usual.as_ref().map(|usual| usual.verify_client_cert(certificate, intermediates, now)) {
            None | Some(Ok(_)) => {}
            // An authority's own, as `openssl req -x509` makes them, where it is itself trusted.
            Some(Err(rustls::Error::InvalidCertificate(CertificateError::Other(why))))
                if is_authority(&why) && self.trusted.contains(certificate) => {}
            Some(Err(error)) => return Err(error),
        }
        if self.names.is_empty() || self.has_name(certificate)? {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
