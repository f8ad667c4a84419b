//! Random secrets and their digests. A secret leaves the server once; only its digest is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every API token starts with, so that scanners for leaked secrets can find one.
pub const TOKEN_PREFIX: &str = "quell_";

/// A fresh session secret: 256 random bits, URL-safe.
#[must_use]
pub fn session() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A fresh API token.
#[must_use]
pub fn token() -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// SHA-256 of a secret. The secrets are random, so no slow hash is needed.
#[must_use]
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The anti-forgery token of a session: computed from its secret, so it is bound to it and nothing is stored.
/// Each call masks it anew, so that compressed pages do not give it away letter by letter (BREACH).
#[must_use]
pub fn csrf(session: &str) -> String {
    let mask: [u8; 32] = rand::random();
    let masked = csrf_bytes(session).into_iter().zip(mask).map(|(byte, mask)| byte ^ mask);
    let both: Vec<u8> = mask.iter().copied().chain(masked).collect();
    URL_SAFE_NO_PAD.encode(both)
}

/// Whether `given` is an anti-forgery token of this session.
#[must_use]
pub fn csrf_fits(session: &str, given: &str) -> bool {
    let Ok(both) = URL_SAFE_NO_PAD.decode(given) else { return false };
    let Some((mask, masked)) = both.split_at_checked(32) else { return false };
    let bytes: Vec<u8> = mask.iter().zip(masked).map(|(mask, byte)| mask ^ byte).collect();
    masked.len() == 32 && bool::from(bytes.as_slice().ct_eq(&csrf_bytes(session)))
}

fn csrf_bytes(session: &str) -> [u8; 32] {
    Sha256::new().chain_update("quell csrf 1\0").chain_update(session).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anti_forgery_token_fits_its_session_only() {
        let (one, other) = (session(), session());
        let token = csrf(&one);
        assert_ne!(token, csrf(&one), "masked anew");
        assert!(csrf_fits(&one, &token));
        assert!(!csrf_fits(&other, &token));
        for wrong in ["", "x", &token[1..], &format!("{token}AAAA"), "ÿÿ"] {
            assert!(!csrf_fits(&one, wrong), "{wrong}");
        }
        assert!(token.len() == 86 && self::token().starts_with(TOKEN_PREFIX));
    }
}
