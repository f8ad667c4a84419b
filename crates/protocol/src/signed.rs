//! Signed envelopes: DSSE (Dead Simple Signing Envelope, version 1) with Ed25519, and the keys that make and check them.
//!
//! The rules, all from `docs/catalogue.md` and the DSSE specification:
//! - what is signed is the pre-authentication encoding of (payload type, exact payload bytes), so a signature for one type
//!   is worthless for another;
//! - the bytes that were verified are the bytes that get parsed, nothing is ever re-encoded before verification;
//! - the type is compared before anything else is looked at; sizes are capped before anything is parsed;
//! - a key counts once however often it signed, an unknown key is not counted, and a bad signature by a known key refuses
//!   the whole envelope;
//! - Ed25519 is verified strictly (no small-order keys, no non-canonical values).
//!
//! Deliberately not here: where keys live (callers write the PEM text with mode 0600) and which role may sign what
//! ([`crate::root`]).

use std::{fmt, str::FromStr};

use ed25519_dalek::{
    Signer as _,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes, spki::der::pem::LineEnding},
};
use rand::{TryRng as _, rngs::SysRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::digest::{Digest, read_hex, write_hex};

/// Most signatures an envelope may carry; more is refused before any is checked.
pub const SIGNATURES_MAX: usize = 16;

/// How much of an unexpected payload type is repeated in an error, in characters.
const SHOWN_TYPE_CHARS_MAX: usize = 128;

/// What stands before the 32 raw key bytes in the DER form of an Ed25519 public key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// How a public key is written: scheme, colon, 64 hexadecimal characters.
const KEY_SCHEME: &str = "ed25519:";

/// The name of a key: SHA-256 of the DER (SubjectPublicKeyInfo) form of the public key, in lower-case hexadecimal. The same
/// value as `openssl pkey -pubin -outform DER | sha256sum` prints.
///
/// Key ids are hints that pick a key. They are always computed from keys, never trusted as told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        read_hex(text).map(Self).ok_or(KeyError::KeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a key could not be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 lower-case hexadecimal characters.
    #[error("reading a key id: expected 64 lower-case hexadecimal characters")]
    KeyId,
    /// Not `ed25519:` and 64 lower-case hexadecimal characters.
    #[error("reading a public key: expected \"ed25519:\" and 64 lower-case hexadecimal characters")]
    PublicText,
    /// Not a point on the curve, or one of the few weak ones that verify anything.
    #[error("reading a public key: the value is not a usable Ed25519 key")]
    PublicValue,
    /// Not the PKCS#8 PEM text of an Ed25519 private key.
    #[error("reading a private key: expected the PKCS#8 PEM text of an Ed25519 key")]
    PrivateText,
    /// The operating system gave no randomness.
    #[error("making a key: the operating system gave no random bytes")]
    Randomness,
}

/// An Ed25519 public key. Written as `ed25519:` and 64 hexadecimal characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// A key from its 32 raw bytes.
    ///
    /// # Errors
    /// [`KeyError::PublicValue`] when the bytes are no curve point or a weak one.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::PublicValue)?;
        if key.is_weak() { Err(KeyError::PublicValue) } else { Ok(Self(key)) }
    }

    /// The 32 raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The name of this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*Digest::of_parts(&[&SPKI_PREFIX, self.0.as_bytes()]).as_bytes())
    }

    /// Whether this key made this 64-byte signature over exactly these bytes. For signatures that are not envelopes (a signed
    /// request, say); the caller sees to it that the message names its purpose.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEY_SCHEME)?;
        write_hex(self.0.as_bytes(), f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = text.strip_prefix(KEY_SCHEME).and_then(read_hex).ok_or(KeyError::PublicText)?;
        Self::from_bytes(&bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 private key. Wiped from memory when dropped, never printed by `Debug`, and without serde on purpose: the only
/// way out is [`SigningKey::to_pem`], and who calls it writes the text to a file of mode 0600.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] when there is none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).map_err(|_| KeyError::Randomness)?;
        Ok(Self::from_secret(&secret))
    }

    /// The key of these 32 secret bytes. For seeded tests and for keys that another store keeps.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// Read a PKCS#8 PEM text, as [`SigningKey::to_pem`] and `openssl genpkey -algorithm ed25519` write it.
    ///
    /// # Errors
    /// [`KeyError::PrivateText`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| KeyError::PrivateText)
    }

    /// The PKCS#8 PEM text. Secret: write it with mode 0600 and nowhere else.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // Without the optional public half, because OpenSSL does not read keys that have it.
        let key = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        let pem = key.to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key always has a PKCS#8 form");
        String::clone(&pem)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The name of this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// The 64-byte signature of exactly these bytes. For signatures that are not envelopes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(secret of {})", self.id())
    }
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// Which key is said to have signed.
    pub keyid: KeyId,
    /// The signature, 64 bytes when well-formed.
    #[serde(with = "base64_bytes")]
    pub sig: Vec<u8>,
}

/// A DSSE envelope: a payload, its type, and signatures over both.
///
/// Nothing in it may be believed before [`Envelope::verify`]; that is why the payload has no accessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    #[serde(with = "base64_bytes")]
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// Why bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than the caller allows; nothing was parsed.
    #[error("reading a signed envelope: {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// What arrived, in bytes.
        size: usize,
        /// What is allowed, in bytes.
        max: usize,
    },
    /// Not the JSON of an envelope.
    #[error("reading a signed envelope: {0}")]
    Malformed(#[from] serde_json::Error),
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("reading a signed envelope: {0} signatures, at most {SIGNATURES_MAX} are allowed")]
    TooManySignatures(usize),
}

/// Why an envelope is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The envelope says it is something else.
    #[error("verifying a signature: the envelope is of type {found:?}, expected {expected:?}")]
    WrongType {
        /// The type the caller needs.
        expected: String,
        /// The type found.
        found: String,
    },
    /// The caller asked for no signature at all. Always refused, so that a zero in a configuration cannot switch checking off.
    #[error("verifying a signature: a threshold of zero is not allowed")]
    ZeroThreshold,
    /// No signature in it.
    #[error("verifying a signature: the envelope is not signed")]
    Unsigned,
    /// Signed, but by no key of the role.
    #[error("verifying a signature: signed only by keys that do not hold this role")]
    UnknownKeys,
    /// A key of the role is named, but the signature does not match the bytes.
    #[error("verifying a signature: the signature of key {0} does not match")]
    BadSignature(KeyId),
    /// Too few distinct keys of the role.
    #[error("verifying a signature: signed by {found} keys of the role, {needed} are needed")]
    BelowThreshold {
        /// Distinct keys with a good signature.
        found: u32,
        /// The threshold.
        needed: u32,
    },
}

/// Bytes whose signatures were checked. Only [`Envelope::verify`] makes one.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    payload: &'a [u8],
    signers: Vec<KeyId>,
}

impl<'a> Verified<'a> {
    /// The exact bytes that were signed.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.payload
    }

    /// The distinct keys of the role that signed.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// Parse the verified bytes as JSON.
    ///
    /// # Errors
    /// When they are not the JSON of a `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.payload)
    }
}

/// The pre-authentication encoding of DSSE version 1: what is really signed.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

impl Envelope {
    /// Sign exactly these bytes with every key given, in their order.
    #[must_use]
    pub fn sign(payload_type: &str, payload: &[u8], keys: &[&SigningKey]) -> Self {
        let encoded = pre_authentication_encoding(payload_type, payload);
        let signatures =
            keys.iter().map(|key| EnvelopeSignature { keyid: key.id(), sig: key.sign(&encoded).to_vec() }).collect();
        Self { payload_type: payload_type.to_owned(), payload: payload.to_vec(), signatures }
    }

    /// Add one more signature, as a second key holder does. A key that already signed is not added again.
    pub fn add_signature(&mut self, key: &SigningKey) {
        let keyid = key.id();
        if self.signatures.iter().all(|signature| signature.keyid != keyid) {
            let encoded = pre_authentication_encoding(&self.payload_type, &self.payload);
            self.signatures.push(EnvelopeSignature { keyid, sig: key.sign(&encoded).to_vec() });
        }
    }

    /// Take over the signatures of another envelope of the same type and bytes, each key's once; false when it is of another
    /// type or other bytes. Verifies nothing.
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.payload_type != other.payload_type || self.payload != other.payload {
            return false;
        }
        for signature in &other.signatures {
            if self.signatures.iter().all(|known| known.keyid != signature.keyid) {
                self.signatures.push(signature.clone());
            }
        }
        true
    }

    /// Drop the signatures that say to be of other keys than these. Verifies nothing.
    pub fn keep_signatures_of(&mut self, keys: &[KeyId]) {
        self.signatures.retain(|signature| keys.contains(&signature.keyid));
    }

    /// Read an envelope of at most `bytes_max` bytes. Verifies nothing.
    ///
    /// # Errors
    /// See [`EnvelopeError`].
    pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Self, EnvelopeError> {
        if bytes.len() > bytes_max {
            return Err(EnvelopeError::TooLarge { size: bytes.len(), max: bytes_max });
        }
        let envelope: Self = serde_json::from_slice(bytes)?;
        if envelope.signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::TooManySignatures(envelope.signatures.len()));
        }
        Ok(envelope)
    }

    /// The JSON of the envelope, to be stored and sent as it is.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and byte vectors always serialise")
    }

    /// The signatures, unverified, for display.
    #[must_use]
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// The payload bytes without any check. For showing what an envelope claims; never for acting on it.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Check type and signatures, and hand out the bytes that were signed.
    ///
    /// `keys` are the keys that hold the role; at least `threshold` different ones must have signed.
    ///
    /// # Errors
    /// See [`VerifyError`]; the type is compared first.
    pub fn verify(&self, expected_type: &str, keys: &[PublicKey], threshold: u32) -> Result<Verified<'_>, VerifyError> {
        if self.payload_type != expected_type {
            let found = self.payload_type.chars().take(SHOWN_TYPE_CHARS_MAX).collect();
            return Err(VerifyError::WrongType { expected: expected_type.to_owned(), found });
        }
        if threshold == 0 {
            return Err(VerifyError::ZeroThreshold);
        }
        if self.signatures.is_empty() {
            return Err(VerifyError::Unsigned);
        }
        let encoded = pre_authentication_encoding(&self.payload_type, &self.payload);
        let keys: Vec<(KeyId, &PublicKey)> = keys.iter().map(|key| (key.id(), key)).collect();
        let mut signers = Vec::new();
        // Capped again, because an envelope may also have been read by serde inside another message.
        for signature in self.signatures.iter().take(SIGNATURES_MAX) {
            let Some((id, key)) = keys.iter().find(|(id, _)| *id == signature.keyid) else { continue };
            if signers.contains(id) {
                continue;
            }
            if !key.verifies(&encoded, &signature.sig) {
                return Err(VerifyError::BadSignature(*id));
            }
            signers.push(*id);
        }
        let found = u32::try_from(signers.len()).unwrap_or(u32::MAX);
        match found {
            0 => Err(VerifyError::UnknownKeys),
            _ if found < threshold => Err(VerifyError::BelowThreshold { found, needed: threshold }),
            _ => Ok(Verified { payload: &self.payload, signers }),
        }
    }
}

/// Bytes as standard base64 with padding; any other spelling of the same bytes is refused.
mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;
