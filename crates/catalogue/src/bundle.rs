//! A whole signed catalogue: sealed roots, the sealed index and the bytes of every entry, and its verification for adoption.
//!
//! Nothing partial is adopted: wrong, missing and unlisted bytes refuse the bundle. Entries that this program cannot use
//! (another schema version, an unknown kind, revoked) are set aside by name instead, so that a newer catalogue still serves
//! an older agent with everything it understands.

use std::collections::{BTreeMap, BTreeSet};

use domain::time::Timestamp;
use protocol::{digest::Digest, root::Root, signed::SigningKey};

use crate::{
    index::{CatalogueError, Index, Revocation, VerifiedEntry, VerifiedIndex, verify_index},
    schema::Entry,
    text::EntryId,
};

/// Everything a server or an agent needs: updates of the root, the sealed index, the entries' bytes by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Sealed root updates, oldest first; may be empty.
    pub roots: Vec<Vec<u8>>,
    /// The sealed index.
    pub index: Vec<u8>,
    /// The bytes of entries. Keys are what the bytes are said to be; verification computes the digests again.
    pub entries: BTreeMap<Digest, Vec<u8>>,
}

impl Bundle {
    /// Sign entries into a bundle.
    ///
    /// # Errors
    /// [`CatalogueError::Inconsistent`], for instance for two entries of one id.
    pub fn sign(
        version: u64,
        expires: Timestamp,
        entries: &[Entry],
        revoked: Vec<Revocation>,
        keys: &[&SigningKey],
    ) -> Result<Self, CatalogueError> {
        let sealed = Index::of(version, expires, entries, revoked).seal(keys)?;
        let contents = entries.iter().map(|entry| (entry.digest(), entry.to_json())).collect();
        Ok(Self { roots: Vec::new(), index: sealed.to_json(), entries: contents })
    }
}

/// A bundle of which everything was checked.
#[derive(Debug)]
pub struct VerifiedCatalogue {
    index: VerifiedIndex,
    entries: BTreeMap<EntryId, VerifiedEntry>,
    rejected: Vec<(EntryId, CatalogueError)>,
}

/// Check a whole bundle for adoption: signatures, versions, freshness of root and index at `now`, every entry's bytes.
///
/// Entries of an unknown schema version or kind, revoked ones, and the organisation's own without its signature are set aside by
/// name ([`VerifiedCatalogue::rejected`]); wrong, missing and unlisted bytes refuse the bundle.
///
/// # Errors
/// See [`CatalogueError`].
pub fn verify_bundle(
    root: &Root,
    sealed_index: &[u8],
    contents: &BTreeMap<Digest, Vec<u8>>,
    now: Timestamp,
    highest_seen: u64,
) -> Result<VerifiedCatalogue, CatalogueError> {
    let index = verify_index(root, sealed_index, highest_seen)?;
    index.require_fresh(now)?;
    VerifiedCatalogue::open(index, contents)
}

impl VerifiedCatalogue {
    /// Check the entries' bytes against an index already verified, without asking whether it is fresh: what a restart does.
    ///
    /// # Errors
    /// [`CatalogueError::WrongDigest`], [`CatalogueError::Missing`], [`CatalogueError::NotInIndex`],
    /// [`CatalogueError::Inconsistent`].
    pub fn open(index: VerifiedIndex, contents: &BTreeMap<Digest, Vec<u8>>) -> Result<Self, CatalogueError> {
        let listed: BTreeSet<Digest> = index.index().entries.iter().map(|entry| entry.digest).collect();
        if let Some(stranger) = contents.keys().find(|digest| !listed.contains(digest)) {
            return Err(CatalogueError::NotInIndex { what: format!("content {stranger}") });
        }
        let mut entries = BTreeMap::new();
        let mut rejected = Vec::new();
        for listed in &index.index().entries {
            let id = &listed.id;
            let bytes = contents.get(&listed.digest).ok_or_else(|| CatalogueError::Missing { id: id.clone() })?;
            match index.admit_as(id, bytes) {
                Ok(entry) => {
                    entries.insert(id.clone(), entry);
                }
                Err(
                    error @ (CatalogueError::Entry(_)
                    | CatalogueError::Revoked { .. }
                    | CatalogueError::NotByOrganisation { .. }),
                ) => {
                    rejected.push((id.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self { index, entries, rejected })
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &VerifiedIndex {
        &self.index
    }

    /// The usable entries, by id.
    pub fn entries(&self) -> impl Iterator<Item = &VerifiedEntry> {
        self.entries.values()
    }

    /// A usable entry.
    #[must_use]
    pub fn get(&self, id: &EntryId) -> Option<&VerifiedEntry> {
        self.entries.get(id)
    }

    /// A usable entry by the digest of its bytes.
    #[must_use]
    pub fn by_digest(&self, digest: &Digest) -> Option<&VerifiedEntry> {
        self.entries.values().find(|entry| entry.digest() == *digest)
    }

    /// Entries that are listed but not usable here, with the reason.
    #[must_use]
    pub fn rejected(&self) -> &[(EntryId, CatalogueError)] {
        &self.rejected
    }
}
