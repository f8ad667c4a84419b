//! Whether the server's certificate is trusted: by the system's authorities, or by the fingerprint of the server's own.

use crate::failure::Failure;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex};

/// The SHA-256 fingerprint of a certificate's DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate).into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Fingerprint, String> {
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
        let mut bytes = [0u8; 32];
        let pairs = digits.chunks(2).map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let read: Option<Vec<u8>> = pairs.collect();
        match read.filter(|read| read.len() == 32) {
            Some(read) => bytes.copy_from_slice(&read),
            None => return Err("a fingerprint has 64 hexadecimal digits".to_owned()),
        }
        Ok(Fingerprint(bytes))
    }
}

/// TLS that trusts exactly the authority with this fingerprint.
///
/// # Errors
/// Where the TLS library cannot be set up.
pub fn pinned(fingerprint: Fingerprint) -> Result<ClientConfig, Failure> {
    config(Trust::Pinned(fingerprint))
}

/// The authority that a probe was shown.
pub type Seen = Arc<Mutex<Option<Fingerprint>>>;

/// TLS that trusts nobody and remembers the authority that was shown.
///
/// # Errors
/// Where the TLS library cannot be set up.
pub fn probe() -> Result<(ClientConfig, Seen), Failure> {
    let seen = Arc::new(Mutex::new(None));
    Ok((config(Trust::Nobody(seen.clone()))?, seen))
}

fn config(trust: Trust) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::internal("cannot set TLS up", error))?;
    let verifier = Arc::new(Verifier { trust, provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Whose certificates are taken.
#[derive(Debug)]
enum Trust {
    /// Those of the authority with this fingerprint.
    Pinned(Fingerprint),
    /// None; the authority that was shown is noted.
    Nobody(Seen),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let fingerprint = match &self.trust {
            Trust::Pinned(fingerprint) => *fingerprint,
            Trust::Nobody(seen) => {
                if let Ok(mut seen) = seen.lock() {
                    *seen = Some(Fingerprint::of(intermediates.last().unwrap_or(end_entity)));
                }
                return Err(unknown());
            }
        };
        // The pinned authority is taken out of the chain shown, and the chain is verified against it alone: names, dates
        // and signatures count as ever.
        let pinned = intermediates.iter().find(|certificate| Fingerprint::of(certificate) == fingerprint);
        let mut roots = RootCertStore::empty();
        roots.add(pinned.ok_or_else(unknown)?.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let text = "ab".repeat(32);
        let read: Fingerprint = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        let colons: Vec<&str> = (0..32).map(|_| "AB").collect();
        assert_eq!(colons.join(":").parse::<Fingerprint>().unwrap(), read);
        for wrong in ["", "ab", &"ag".repeat(32), &"ab".repeat(33), &"abc".repeat(21)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
