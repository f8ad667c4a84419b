//! Credentials at rest: sealed before they reach the database, opened only where a connection is made.
//!
//! XChaCha20-Poly1305 with a random nonce per secret; what the secret belongs to is bound in, so that a sealed secret
//! copied to another record does not open there. The key lies in the data folder, never in the database, so a copy of
//! the database alone gives no credentials away. Whoever runs several replicas gives each the same key file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const NONCE_BYTES: usize = 24;
/// The first byte of what is sealed: which way it was done.
const VERSION: u8 = 1;

/// A sealed secret cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kept credential cannot be opened with the key in this data folder: enter it again, or bring the key back")]
pub struct Unopenable;

/// Seals and opens.
pub struct Sealer(XChaCha20Poly1305);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// The text of a key file for a new key.
    #[must_use]
    pub fn fresh_key() -> String {
        let mut text = STANDARD.encode(rand::random::<[u8; 32]>());
        text.push('\n');
        text
    }

    /// From the text of a key file; `None` where it holds no key.
    #[must_use]
    pub fn from_key(text: &str) -> Option<Sealer> {
        let key: [u8; 32] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
        Some(Sealer(XChaCha20Poly1305::new(&key.into())))
    }

    /// Seal a secret that belongs to `purpose` ("instances/3"). An empty secret stays empty.
    #[must_use]
    pub fn seal(&self, purpose: &str, secret: &str) -> Vec<u8> {
        if secret.is_empty() {
            return Vec::new();
        }
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.as_bytes(), aad: purpose.as_bytes() };
        let sealed =
            self.0.encrypt(&XNonce::from(nonce), payload).expect("a credential is far below the cipher's limit");
        let mut out = vec![VERSION];
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Open what was sealed for `purpose`.
    ///
    /// # Errors
    /// [`Unopenable`] for another key, another purpose or damaged bytes.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<String, Unopenable> {
        if sealed.is_empty() {
            return Ok(String::new());
        }
        let (version, rest) = sealed.split_first().ok_or(Unopenable)?;
        let (nonce, body) = rest.split_at_checked(NONCE_BYTES).ok_or(Unopenable)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Unopenable)?;
        if *version != VERSION {
            return Err(Unopenable);
        }
        let payload = Payload { msg: body, aad: purpose.as_bytes() };
        let opened = self.0.decrypt(&XNonce::from(nonce), payload).map_err(|_| Unopenable)?;
        String::from_utf8(opened).map_err(|_| Unopenable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_purpose_and_key_only() {
        let sealer = Sealer::from_key(&Sealer::fresh_key()).unwrap();
        let other = Sealer::from_key(&Sealer::fresh_key()).unwrap();
        let sealed = sealer.seal("instances/1", "pass word");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"pass"));
        assert_ne!(sealed, sealer.seal("instances/1", "pass word"), "a nonce of its own each time");
        assert_eq!(sealer.open("instances/1", &sealed), Ok("pass word".to_owned()));
        assert_eq!(sealer.open("instances/2", &sealed), Err(Unopenable));
        assert_eq!(other.open("instances/1", &sealed), Err(Unopenable));
        for end in 0..sealed.len() {
            let opened = sealer.open("instances/1", &sealed[..end]);
            assert!(opened.is_err() || end == 0);
        }
        assert_eq!(sealer.open("x", &sealer.seal("x", "")), Ok(String::new()));
        assert!(Sealer::from_key("short").is_none());
    }
}
