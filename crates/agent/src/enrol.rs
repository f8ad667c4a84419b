//! Enrolment: from a pasted token to an identity, a pinned certificate and trusted root metadata.
//!
//! The server's CA is fetched once with verification off and believed only if it is the one the token names; everything after
//! that, the secret first of all, goes over TLS verified with it.

use crate::fs::Tree;
use crate::host::Host;
use crate::net::{client, unverified_client};
use crate::state::{Enrolment, StateDir, StateError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use protocol::agent::{BODY_BYTES_MAX, CA_PATH, ENROL_PATH, Enrol, Enrolled, EnrolmentToken, PROTOCOL_VERSION};
use protocol::digest::Digest;
use protocol::root::{ROOT_BYTES_MAX, Root};
use protocol::signed::Envelope;
use std::path::Path;
use std::time::Duration;
use ureq::tls::Certificate;

/// How a token begins.
const PREFIX: &str = "quell1.";
/// Longest certificate file read, in bytes.
const CA_BYTES_MAX: u64 = 64 * 1024;
/// Between two tries, in seconds: at most once a minute (`fleet-execution.md` 1.4), with jitter on top.
const RETRY_SECONDS: u64 = 60;

/// Why enrolment did not work.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token is none.
    #[error("reading the token: {0}; copy it again from the server")]
    Token(String),
    /// The server cannot be reached or answers nonsense: worth another try.
    #[error("talking to {server}: {why}")]
    Server {
        /// Where.
        server: String,
        /// Why.
        why: String,
    },
    /// Somebody else answers.
    #[error("the certificate of {server} is not the one the token names: this is not the server the token came from")]
    WrongCertificate {
        /// Where.
        server: String,
    },
    /// The server says no.
    #[error("the server refused the enrolment ({status}): {why}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        why: String,
    },
    /// The root metadata is not consistent.
    #[error("the server's root metadata cannot be trusted: {0}")]
    Root(String),
    /// The directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The host's root directory.
    #[error(transparent)]
    Tree(#[from] crate::fs::FsError),
    /// It is enrolled already.
    #[error("{0} is enrolled with another server; remove it to enrol anew")]
    Already(String),
}

/// Read a token as pasted.
///
/// # Errors
/// [`EnrolError::Token`].
pub fn read_token(text: &str) -> Result<EnrolmentToken, EnrolError> {
    let bad = |why: &str| EnrolError::Token(why.to_owned());
    let rest = text.trim().strip_prefix(PREFIX).ok_or_else(|| bad("it does not begin with `quell1.`"))?;
    let json = URL_SAFE_NO_PAD.decode(rest).map_err(|_| bad("it is not complete"))?;
    let token: EnrolmentToken = serde_json::from_slice(&json).map_err(|_| bad("it is not complete"))?;
    if !token.server.starts_with("https://") {
        return Err(bad("it names no https:// address"));
    }
    Ok(token)
}

/// Enrol, trying again while the server cannot be reached, `tries` times in all.
///
/// # Errors
/// See [`EnrolError`].
pub fn enrol(token: &str, state: &Path, root: &Path, tries: u32) -> Result<Enrolment, EnrolError> {
    let token = read_token(token)?;
    let state = StateDir::open(state)?;
    let _lock = state.lock()?;
    if let Some(known) = state.enrolment()?
        && (known.server != token.server || known.ca_sha256 != token.ca_sha256)
    {
        return Err(EnrolError::Already(known.server));
    }
    let host = Host::new(Tree::open(root)?);
    for left in (0..tries.max(1)).rev() {
        match once(&token, &state, &host) {
            Err(EnrolError::Server { why, .. }) if left > 0 => {
                let pause = RETRY_SECONDS + u64::from(std::process::id()) % 15;
                tracing::warn!("the server cannot be reached ({why}), next try in {pause} s");
                std::thread::sleep(Duration::from_secs(pause));
            }
            other => return other,
        }
    }
    unreachable_tries(&token)
}

fn unreachable_tries(token: &EnrolmentToken) -> Result<Enrolment, EnrolError> {
    Err(EnrolError::Server { server: token.server.clone(), why: "no try was made".to_owned() })
}

fn once(token: &EnrolmentToken, state: &StateDir, host: &Host) -> Result<Enrolment, EnrolError> {
    let server = |why: String| EnrolError::Server { server: token.server.clone(), why };
    let ca = fetch_ca(token)?;
    // The key is made and kept before it is sent, so that a second try is the same enrolment.
    let key = state.key()?;
    let public_key = STANDARD.encode(key.public().as_bytes());
    let said = format!("quell-enrol-v1:{}:{public_key}", token.token_id);
    let request = Enrol {
        v: PROTOCOL_VERSION,
        token_id: token.token_id,
        secret: token.secret.clone(),
        public_key,
        proof: STANDARD.encode(key.sign(said.as_bytes())),
        facts: host.facts(state.controls().mode()),
    };
    let body = serde_json::to_vec(&request).expect("an enrolment holds only strings and numbers");
    let agent = client(&ca).map_err(|error| server(error.to_string()))?;
    let mut response = agent
        .post(format!("{}{ENROL_PATH}", token.server))
        .config()
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .header("content-type", "application/json")
        .send(&body[..])
        .map_err(|error| server(error.to_string()))?;
    let status = response.status().as_u16();
    let reader = response.body_mut().with_config().limit(BODY_BYTES_MAX as u64);
    let body = reader.read_to_vec().map_err(|error| server(error.to_string()))?;
    let words = || String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
    match status {
        200 | 201 => {}
        429 | 500..=599 => return Err(server(format!("it answered {status}: {}", words()))),
        _ => return Err(EnrolError::Refused { status, why: words() }),
    }
    let enrolled: Enrolled = serde_json::from_slice(&body).map_err(|error| server(error.to_string()))?;
    let envelope = Envelope::parse(enrolled.root.as_bytes(), ROOT_BYTES_MAX);
    let envelope = envelope.map_err(|error| EnrolError::Root(error.to_string()))?;
    Root::trust_first(&envelope).map_err(|error| EnrolError::Root(error.to_string()))?;
    let enrolment = Enrolment {
        format: 1,
        server: token.server.clone(),
        ca_sha256: token.ca_sha256.clone(),
        agent_id: enrolled.agent_id,
        instance_id: enrolled.instance_id,
    };
    state.enrol(&enrolment, &ca, &enrolled.root)?;
    Ok(enrolment)
}

fn fetch_ca(token: &EnrolmentToken) -> Result<String, EnrolError> {
    let server = |why: String| EnrolError::Server { server: token.server.clone(), why };
    let mut response = unverified_client()
        .get(format!("{}{CA_PATH}", token.server))
        .config()
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .call()
        .map_err(|error| server(error.to_string()))?;
    if response.status().as_u16() != 200 {
        return Err(server(format!("it answered {}", response.status())));
    }
    let reader = response.body_mut().with_config().limit(CA_BYTES_MAX);
    let pem = reader.read_to_string().map_err(|error| server(error.to_string()))?;
    let wrong = || EnrolError::WrongCertificate { server: token.server.clone() };
    let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|_| wrong())?;
    if Digest::of(certificate.der()).to_string() != token.ca_sha256.to_lowercase() {
        return Err(wrong());
    }
    // Only the certificate that was compared is kept, whatever else the answer held.
    Ok(to_pem(certificate.der()))
}

fn to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_a_whole_token_with_https_is_read() {
        let token = EnrolmentToken {
            server: "https://127.0.0.1:8443".to_owned(),
            ca_sha256: "00".repeat(32),
            token_id: Uuid::nil(),
            secret: "s".to_owned(),
        };
        let write =
            |token: &EnrolmentToken| format!("quell1.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap()));
        assert_eq!(read_token(&format!(" {}\n", write(&token))).unwrap(), token);
        assert!(read_token(&write(&token)[..40]).is_err());
        assert!(read_token("quell2.x").is_err());
        assert!(read_token(&write(&EnrolmentToken { server: "http://x".to_owned(), ..token })).is_err());
    }
}
