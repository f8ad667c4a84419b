//! A trust root and a signed catalogue made on the spot, with keys that are thrown away: for the demo and for tests.
//!
//! Nobody can sign anything more under such a root once [`Ephemeral::make`] has returned. That is the point: demo keys never
//! reach a disk, and a demo can never turn into an installation that people rely on.

use domain::time::Timestamp;
use protocol::{
    root::{ROOT_SPEC, Role, RoleKeys, Roles, Root, RootError},
    signed::{KeyError, PublicKey, SigningKey},
};

use crate::{bundle::Bundle, index::CatalogueError, schema::Entry};

/// What was made.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// The root, trusted because this program made it.
    pub root: Root,
    /// The root as an agent is enrolled with it.
    pub sealed_root: Vec<u8>,
    /// The signed catalogue, with the root in it.
    pub bundle: Bundle,
}

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EphemeralError {
    /// No randomness.
    #[error("making demo keys: {0}")]
    Key(#[from] KeyError),
    /// The root contradicts itself.
    #[error("making a demo trust root: {0}")]
    Root(#[from] RootError),
    /// The entries cannot be signed together.
    #[error("signing the demo catalogue: {0}")]
    Catalogue(#[from] CatalogueError),
}

impl Ephemeral {
    /// Make root, content and organisation keys, sign `entries` as index `version`, and forget the keys. `order` is the public
    /// half of the key that will sign orders. Root and index expire `valid_seconds` after `now`.
    ///
    /// # Errors
    /// See [`EphemeralError`].
    pub fn make(
        order: &PublicKey,
        entries: &[Entry],
        version: u64,
        now: Timestamp,
        valid_seconds: i64,
    ) -> Result<Self, EphemeralError> {
        let root_key = SigningKey::generate()?;
        let content_key = SigningKey::generate()?;
        let organisation = SigningKey::generate()?.public();
        let expires = now.plus_seconds(valid_seconds);
        let root = single_key_root(&root_key.public(), &content_key.public(), &organisation, order, 1, expires);
        let sealed_root = root.seal(&[&root_key])?.to_json();
        let mut bundle = Bundle::sign(version, expires, entries, Vec::new(), &[&content_key])?;
        bundle.roots = vec![sealed_root.clone()];
        Ok(Self { root, sealed_root, bundle })
    }
}

/// A root in which every role is held by one key.
#[must_use]
pub fn single_key_root(
    root: &PublicKey,
    content: &PublicKey,
    organisation: &PublicKey,
    order: &PublicKey,
    version: u64,
    expires: Timestamp,
) -> Root {
    let holders =
        [(Role::Root, root), (Role::Content, content), (Role::Organisation, organisation), (Role::Order, order)];
    let mut keys: Vec<PublicKey> = Vec::new();
    for (_, key) in holders {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    Root {
        spec: ROOT_SPEC,
        version,
        expires,
        keys,
        roles: Roles {
            root: RoleKeys::single(root),
            content: RoleKeys::single(content),
            organisation: RoleKeys::single(organisation),
            order: RoleKeys::single(order),
        },
    }
}
