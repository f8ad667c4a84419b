//! UUIDs of this API: made from our keys and leading back to them, so that nothing has to be stored and an id stays the
//! same for ever. Tags and catalogue entries, which have names instead of keys, get a digest of the name.
//!
//! An id is no secret and grants nothing: what it leads to is loaded in the caller's name.

use protocol::digest::Digest;
use uuid::Uuid;

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A job, by the ordinal of its number.
    Job,
    /// An asset.
    Asset,
    /// A user.
    User,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Job => "job",
            Kind::Asset => "asset",
            Kind::User => "user",
        }
    }
}

/// Bits of an id that hold the key.
const KEY: u128 = (1 << 62) - 1;
/// Version 8 and the variant of RFC 9562.
const FORM: u128 = (8 << 76) | (2 << 62);
/// Bits that the form takes.
const FORM_BITS: u128 = (0xf << 76) | (3 << 62);

fn hash(text: &str) -> u128 {
    let digest = Digest::of(format!("quell mtg {text}").as_bytes()).to_string();
    u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default()
}

/// The id of what has this key.
#[must_use]
pub fn of(kind: Kind, key: i64) -> Uuid {
    let key = u128::try_from(key).unwrap_or_default() & KEY;
    Uuid::from_u128((hash(kind.word()) & !KEY & !FORM_BITS) | FORM | key)
}

/// The key behind an id of this kind.
#[must_use]
pub fn key(kind: Kind, id: Uuid) -> Option<i64> {
    let key = i64::try_from(id.as_u128() & KEY).ok()?;
    (of(kind, key) == id).then_some(key)
}

/// The id of what has a name: `tag`, `mitigation`, `customer`.
#[must_use]
pub fn named(kind: &str, name: &str) -> Uuid {
    Uuid::from_u128((hash(&format!("{kind}\0{name}")) & !FORM_BITS) | FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_their_keys_and_to_no_others() {
        for key_of in [1, 7, 10_000_000, i64::MAX >> 1] {
            for kind in [Kind::Job, Kind::Asset, Kind::User] {
                let id = of(kind, key_of);
                assert_eq!(key(kind, id), Some(key_of));
                assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
                let others = [Kind::Job, Kind::Asset, Kind::User].into_iter().filter(|other| *other != kind);
                assert!(others.into_iter().all(|other| key(other, id).is_none()), "{kind:?}");
            }
        }
        assert_eq!(key(Kind::Job, Uuid::nil()), None);
        assert_ne!(named("tag", "prod"), named("tag", "lab"));
        assert_ne!(named("tag", "x"), named("mitigation", "x"));
    }

    /// Scripts keep ids: they may never change.
    #[test]
    fn ids_are_the_same_for_ever() {
        assert_eq!(of(Kind::Job, 1).to_string(), of(Kind::Job, 1).to_string());
        assert!(of(Kind::Job, 1).to_string().ends_with("0001"));
    }
}
