//! Certificates: the server's own authority, made at the first start, and certificates by it; or one given from outside.
//!
//! The authority's key stays in the data folder (mode 0600). Server certificates live in memory only: a new one is made
//! at every start and renewed long before it ends, so nobody ever has to think of it.

use crate::clock::system_now;
use crate::keys::{self, KeyError};
use domain::time::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long the authority lives.
const CA_DAYS: i64 = 20 * 365;
/// How long a server certificate lives.
const SERVER_DAYS: i64 = 90;
/// A server certificate is renewed this often; well before its end, so that a missed renewal is no outage.
pub const RENEW_SECONDS: i64 = 30 * 86_400;

/// Why connections cannot be protected.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key file of the authority is of no use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The authority's files do not belong together or cannot be read.
    #[error("the certificate authority in {} cannot be used", path.display())]
    Authority {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: rcgen::Error,
    },
    /// A certificate file cannot be read.
    #[error("cannot read certificates from {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A name does not fit into a certificate.
    #[error("cannot make a certificate for {names:?}")]
    Names {
        /// The names.
        names: Vec<String>,
        /// Why.
        source: rcgen::Error,
    },
    /// The TLS library refuses the certificate or key.
    #[error("the certificate or its key cannot be used for TLS")]
    Refused(#[from] rustls::Error),
}

/// The server's own certificate authority.
#[derive(Clone)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    key_pem: String,
    folder: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.fingerprint())
    }
}

impl Authority {
    /// Load the authority from `data_dir/tls`, or make it.
    ///
    /// # Errors
    /// [`TlsError`] when files cannot be read, written or used.
    pub fn load_or_create(data_dir: &Path) -> Result<Authority, TlsError> {
        let folder = data_dir.join("tls");
        let wrap = |source| TlsError::Authority { path: folder.clone(), source };
        let key_pem = keys::load_or_create(&folder.join("ca.key"), || {
            KeyPair::generate().expect("the system has random numbers").serialize_pem()
        })?;
        let key = KeyPair::from_pem(&key_pem).map_err(wrap)?;
        let path = folder.join("ca.pem");
        let params = authority_params(system_now());
        let fresh = params.self_signed(&key).map_err(wrap)?.pem();
        let pem = keys::load_or_create(&path, || fresh)?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|source| TlsError::Unreadable { path, source })?;
        Issuer::from_ca_cert_der(&certificate, key).map_err(wrap)?;
        Ok(Authority { certificate, pem, key_pem, folder })
    }

    /// SHA-256 of the certificate's DER, in lower-case hex: what enrolment tokens and people compare.
    pub fn fingerprint(&self) -> String {
        Sha256::digest(&self.certificate).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A fresh certificate for these host names and addresses, ready to serve with.
    ///
    /// # Errors
    /// [`TlsError::Names`] for names that do not fit into a certificate.
    pub fn server_config(&self, names: &[String]) -> Result<Arc<ServerConfig>, TlsError> {
        let wrap = |source| TlsError::Names { names: names.to_vec(), source };
        let authority_key = KeyPair::from_pem(&self.key_pem)
            .map_err(|source| TlsError::Authority { path: self.folder.clone(), source })?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, authority_key)
            .map_err(|source| TlsError::Authority { path: self.folder.clone(), source })?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(wrap)?;
        let now = system_now();
        let date = |(year, month, day)| rcgen::date_time_ymd(year, month, day);
        (params.not_before, params.not_after) = (date(day(now, -1)), date(day(now, SERVER_DAYS)));
        params.distinguished_name = named("Quell server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(wrap)?;
        let certificate = params.signed_by(&key, &issuer).map_err(wrap)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rustls::Error::NoCertificatesPresented)?;
        serve_with(vec![certificate.der().clone(), self.certificate.clone()], key)
    }
}

/// Serve with a certificate chain and key given in PEM files.
///
/// # Errors
/// [`TlsError`] for files that cannot be read or used.
pub fn given(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Unreadable { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    serve_with(chain, key)
}

fn serve_with(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same for agents, who speak HTTP/1.1 and nothing else: what is not spoken cannot be abused, and keeps no memory.
#[must_use]
pub fn for_agents(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    let date = |(year, month, day)| rcgen::date_time_ymd(year, month, day);
    (params.not_before, params.not_after) = (date(day(now, -1)), date(day(now, CA_DAYS)));
    params.distinguished_name = named("Quell certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Year, month and day in UTC, `days` from `now`.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let day = now.plus_seconds(days * 86_400).to_jiff().to_zoned(TimeZone::UTC).date();
    let small = |number: i8| u8::try_from(number).unwrap_or(1);
    (i32::from(day.year()), small(day.month()), small(day.day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_vouches_for_the_server() {
        let folder = std::env::temp_dir().join(format!("quell-tls-{}", uuid::Uuid::new_v4()));
        let first = Authority::load_or_create(&folder).unwrap();
        let again = Authority::load_or_create(&folder).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 64);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        first.server_config(&names).unwrap();
        assert!(matches!(first.server_config(&["bad name\u{e9}".to_owned()]), Err(TlsError::Names { .. })));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn days_are_counted_in_utc() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        assert_eq!(day(now, 0), (2026, 9, 21));
        assert_eq!(day(now, -1), (2026, 9, 20));
    }
}
