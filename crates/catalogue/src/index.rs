//! The signed index: which entries, in exactly which bytes, may be used, and which no longer.
//!
//! The index is signed offline under the root's *content* role. Its version only rises, so an old index that still lists a
//! withdrawn entry cannot be played again; it expires, so that a machine cut off from news stops starting new work. An entry is
//! known by the digest of its bytes; nothing else about it is trusted.
//!
//! Expiry stops *adopting* and *starting*, never reading: [`verify_index`] does not look at the clock, [`VerifiedIndex::freshness`]
//! and [`crate::bundle::verify_bundle`] do.

use std::collections::{BTreeMap, BTreeSet};

use domain::time::Timestamp;
use protocol::{
    digest::Digest,
    root::{Freshness, Role, Root},
    signed::{Envelope, EnvelopeError, KeyId, SigningKey, VerifyError},
};
use serde::{Deserialize, Serialize};

use crate::{
    schema::{ENTRY_BYTES_MAX, Entry, EntryError, EntryPlatform, Status},
    text::{EntryId, Line},
};

// An index is rarely used without the entries it lists.
pub use crate::bundle::{Bundle, VerifiedCatalogue, verify_bundle};

/// Payload type of an index.
pub const INDEX_TYPE: &str = "application/vnd.quell.catalogue-index+json";
/// The version of the index format that this program reads.
pub const INDEX_SPEC: u32 = 1;
/// Largest sealed index read, in bytes.
pub const INDEX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most entries in an index.
pub const INDEX_ENTRIES_MAX: usize = 10_000;

/// The index as signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Version of this format, [`INDEX_SPEC`].
    pub spec: u32,
    /// Rises with every index that is signed, from 1.
    pub version: u64,
    /// From this instant on the index starts no new work.
    pub expires: Timestamp,
    /// The entries, by id, none twice.
    pub entries: Vec<IndexEntry>,
    /// What must no longer be used, even where a cache still has it.
    pub revoked: Vec<Revocation>,
}

/// One entry of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// The entry's id.
    pub id: EntryId,
    /// Its revision.
    pub revision: u32,
    /// SHA-256 of its signed bytes.
    pub digest: Digest,
    /// Length of those bytes.
    pub size: u64,
    /// What it runs on.
    pub platform: EntryPlatform,
    /// Where it is in its life.
    pub status: Status,
}

/// Something that must no longer be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// Why, for people.
    pub reason: Line,
}

/// What a revocation covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revoked {
    /// One exact content.
    Digest(Digest),
    /// An entry in every revision.
    Id(EntryId),
}

/// Why an index, a bundle or an entry is not used. Every way to be wrong has its own variant, because an agent reports it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Too large, or not an envelope.
    #[error("reading the catalogue index: {0}")]
    Envelope(#[from] EnvelopeError),
    /// The envelope is of another type.
    #[error("checking the catalogue index: the envelope is of type {0:?}")]
    WrongType(String),
    /// No signature.
    #[error("checking the catalogue index: it is not signed")]
    Unsigned,
    /// Signed by keys that do not hold the content role of the trusted root.
    #[error("checking the catalogue index: signed only by keys that do not hold the content role")]
    WrongKey,
    /// A content key is named, but its signature does not match.
    #[error("checking the catalogue index: the signature of key {0} does not match")]
    BadSignature(KeyId),
    /// Fewer content keys than the root asks for.
    #[error("checking the catalogue index: signed by {found} content keys, {needed} are needed")]
    BelowThreshold {
        /// Distinct keys with a good signature.
        found: u32,
        /// The threshold.
        needed: u32,
    },
    /// Signed, but not the JSON of an index.
    #[error("reading the catalogue index: {0}")]
    Malformed(#[source] serde_json::Error),
    /// A format of another time.
    #[error("reading the catalogue index: format version {0}, this program reads {INDEX_SPEC}")]
    UnknownSpec(u32),
    /// Signed and readable, but contradicting itself.
    #[error("checking the catalogue index: {0}")]
    Inconsistent(String),
    /// Older than an index already seen.
    #[error(
        "checking the catalogue index: version {found} is older than version {highest_seen}, which was seen before"
    )]
    Older {
        /// The highest version seen.
        highest_seen: u64,
        /// The version offered.
        found: u64,
    },
    /// The root has run out: nothing new is adopted under it.
    #[error("adopting the catalogue index: the trust root expired at {0}")]
    RootExpired(Timestamp),
    /// The index has run out: it is not adopted and starts nothing new.
    #[error("adopting the catalogue index: it expired at {0}")]
    Expired(Timestamp),
    /// The bytes of an entry are not the ones the index names.
    #[error("checking entry {id}: its digest is {found}, the index names {expected}")]
    WrongDigest {
        /// The entry.
        id: EntryId,
        /// The digest in the index.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// An entry that the index does not list in these bytes.
    #[error("checking an entry: {what} is not in the signed index")]
    NotInIndex {
        /// Id or digest that was asked for.
        what: String,
    },
    /// Listed once, revoked now.
    #[error("checking entry {id}: it was revoked: {reason}")]
    Revoked {
        /// The entry.
        id: EntryId,
        /// The reason given in the index.
        reason: String,
    },
    /// An entry of the organisation's own in an index that the organisation has not signed.
    #[error(
        "checking entry {id}: it is the organisation's own, and the index is not signed by the organisation: {why}"
    )]
    NotByOrganisation {
        /// The entry.
        id: EntryId,
        /// What is wrong with the organisation's signatures.
        why: String,
    },
    /// The index lists an entry whose bytes are not there.
    #[error("checking the catalogue: the content of entry {id} is missing")]
    Missing {
        /// The entry.
        id: EntryId,
    },
    /// The bytes are the signed ones, but not an entry this program can use. Rejects the entry, not the index.
    #[error("{0}")]
    Entry(#[from] EntryError),
}

impl From<VerifyError> for CatalogueError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::WrongType { found, .. } => Self::WrongType(found),
            VerifyError::Unsigned => Self::Unsigned,
            VerifyError::UnknownKeys => Self::WrongKey,
            VerifyError::BadSignature(key) => Self::BadSignature(key),
            VerifyError::BelowThreshold { found, needed } => Self::BelowThreshold { found, needed },
            VerifyError::ZeroThreshold => Self::Inconsistent("the trust root asks for no signature".to_owned()),
        }
    }
}

/// An index whose signatures were checked. Only [`verify_index`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedIndex {
    index: Index,
    places: BTreeMap<EntryId, usize>,
    root_expires: Timestamp,
    /// Why the organisation's own entries must not be used, if they must not.
    not_by_organisation: Option<String>,
}

/// Check a sealed index against the trusted root and the highest version ever seen (0 when none was).
///
/// The content role signs the whole index. Entries of the organisation's own ([`EntryId::is_custom`]) are used only when the
/// organisation role signed the same bytes as well; without that the rest of the index stays usable.
///
/// Looks at no clock: start-up and reverts use an expired index. Ask [`VerifiedIndex::freshness`] before starting new work.
///
/// # Errors
/// See [`CatalogueError`].
pub fn verify_index(root: &Root, sealed: &[u8], highest_seen: u64) -> Result<VerifiedIndex, CatalogueError> {
    let envelope = Envelope::parse(sealed, INDEX_BYTES_MAX)?;
    let verified = root.verify(Role::Content, INDEX_TYPE, &envelope)?;
    let index: Index = verified.parse().map_err(CatalogueError::Malformed)?;
    if index.spec != INDEX_SPEC {
        return Err(CatalogueError::UnknownSpec(index.spec));
    }
    let places = index.places()?;
    if index.version < highest_seen {
        return Err(CatalogueError::Older { highest_seen, found: index.version });
    }
    let not_by_organisation =
        root.verify(Role::Organisation, INDEX_TYPE, &envelope).err().map(|error| error.to_string());
    Ok(VerifiedIndex { index, places, root_expires: root.expires, not_by_organisation })
}

impl Index {
    /// An index of these entries. `revoked` is what must no longer be used.
    #[must_use]
    pub fn of(version: u64, expires: Timestamp, entries: &[Entry], revoked: Vec<Revocation>) -> Self {
        let mut listed: Vec<IndexEntry> = entries
            .iter()
            .map(|entry| {
                let bytes = entry.to_json();
                IndexEntry {
                    id: entry.id.clone(),
                    revision: entry.revision,
                    digest: Digest::of(&bytes),
                    size: bytes.len() as u64,
                    platform: entry.platform,
                    status: entry.status,
                }
            })
            .collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        Self { spec: INDEX_SPEC, version, expires, entries: listed, revoked }
    }

    /// Seal the index with content keys.
    ///
    /// # Errors
    /// [`CatalogueError::Inconsistent`] for an index that nobody would accept.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Envelope, CatalogueError> {
        self.places()?;
        let payload = serde_json::to_vec(self).expect("an index holds only texts and numbers");
        Ok(Envelope::sign(INDEX_TYPE, &payload, keys))
    }

    /// Where each id is, refusing an index that contradicts itself.
    fn places(&self) -> Result<BTreeMap<EntryId, usize>, CatalogueError> {
        let fault = |text: String| Err(CatalogueError::Inconsistent(text));
        if self.version == 0 {
            return fault("version 0 does not exist".to_owned());
        }
        if self.entries.len() > INDEX_ENTRIES_MAX {
            return fault(format!("{} entries, at most {INDEX_ENTRIES_MAX} are allowed", self.entries.len()));
        }
        let mut places = BTreeMap::new();
        let mut digests = BTreeSet::new();
        for (place, entry) in self.entries.iter().enumerate() {
            if entry.size > ENTRY_BYTES_MAX as u64 {
                return fault(format!(
                    "entry {} has {} bytes, at most {ENTRY_BYTES_MAX} are allowed",
                    entry.id, entry.size
                ));
            }
            if !digests.insert(entry.digest) {
                return fault(format!("digest {} is listed twice", entry.digest));
            }
            if places.insert(entry.id.clone(), place).is_some() {
                return fault(format!("entry {} is listed twice", entry.id));
            }
        }
        Ok(places)
    }

    fn revocation(&self, id: &EntryId, digest: &Digest) -> Option<&Revocation> {
        self.revoked.iter().find(|revocation| match &revocation.what {
            Revoked::Digest(revoked) => revoked == digest,
            Revoked::Id(revoked) => revoked == id,
        })
    }
}

impl VerifiedIndex {
    /// The index. Immutable, because it is what was signed.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Its version, to be remembered as the highest seen once adopted.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.index.version
    }

    /// Whether the organisation signed it as the root demands, so that its own entries may be used.
    #[must_use]
    pub fn is_by_organisation(&self) -> bool {
        self.not_by_organisation.is_none()
    }

    /// Whether new work may be started under it at `now`: the earlier of the index's and the root's expiry counts.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        Freshness::at(self.index.expires.min(self.root_expires), now)
    }

    /// Refuse to adopt what has run out, saying whether it was the root or the index.
    ///
    /// # Errors
    /// [`CatalogueError::RootExpired`], [`CatalogueError::Expired`].
    pub fn require_fresh(&self, now: Timestamp) -> Result<(), CatalogueError> {
        if !Freshness::at(self.root_expires, now).allows_new_work() {
            return Err(CatalogueError::RootExpired(self.root_expires));
        }
        if !Freshness::at(self.index.expires, now).allows_new_work() {
            return Err(CatalogueError::Expired(self.index.expires));
        }
        Ok(())
    }

    /// The listing of an entry by id, revoked or not.
    #[must_use]
    pub fn find(&self, id: &EntryId) -> Option<&IndexEntry> {
        self.places.get(id).and_then(|place| self.index.entries.get(*place))
    }

    /// The listing of an entry that an order names, for new work: listed, in these very bytes, and not revoked.
    ///
    /// # Errors
    /// [`CatalogueError::NotInIndex`], [`CatalogueError::WrongDigest`], [`CatalogueError::Revoked`],
    /// [`CatalogueError::NotByOrganisation`].
    pub fn require(&self, id: &EntryId, digest: &Digest) -> Result<&IndexEntry, CatalogueError> {
        if let Some(revocation) = self.index.revocation(id, digest) {
            return Err(CatalogueError::Revoked { id: id.clone(), reason: revocation.reason.to_string() });
        }
        let listed = self.find(id).ok_or_else(|| CatalogueError::NotInIndex { what: format!("entry {id}") })?;
        if listed.digest != *digest {
            return Err(CatalogueError::WrongDigest { id: id.clone(), expected: listed.digest, found: *digest });
        }
        match &self.not_by_organisation {
            Some(why) if id.is_custom() => Err(CatalogueError::NotByOrganisation { id: id.clone(), why: why.clone() }),
            _ => Ok(listed),
        }
    }

    /// Turn bytes into an entry that may be run: their digest is listed and not revoked, and they say of themselves what the
    /// index says of them.
    ///
    /// # Errors
    /// [`CatalogueError::NotInIndex`], [`CatalogueError::Revoked`], [`CatalogueError::Inconsistent`], or
    /// [`CatalogueError::Entry`] when the signed bytes are not an entry of this schema version.
    pub fn admit(&self, bytes: &[u8]) -> Result<VerifiedEntry, CatalogueError> {
        let digest = Digest::of(bytes);
        let listed = self.index.entries.iter().find(|listed| listed.digest == digest);
        let listed =
            listed.ok_or_else(|| match self.index.revoked.iter().find(|r| r.what == Revoked::Digest(digest)) {
                // Revoked and no longer listed: say so rather than "unknown"; the id is only a claim, and only shown.
                Some(revocation) => match Entry::from_json(bytes) {
                    Ok(entry) => CatalogueError::Revoked { id: entry.id, reason: revocation.reason.to_string() },
                    Err(error) => CatalogueError::Entry(error),
                },
                None => CatalogueError::NotInIndex { what: format!("content {digest}") },
            })?;
        self.require(&listed.id, &digest)?;
        VerifiedEntry::of(listed, digest, bytes)
    }

    /// As [`VerifiedIndex::admit`] for bytes that are said to be a certain entry.
    ///
    /// # Errors
    /// Those of [`VerifiedIndex::admit`], and [`CatalogueError::WrongDigest`] when the bytes are not that entry's.
    pub fn admit_as(&self, id: &EntryId, bytes: &[u8]) -> Result<VerifiedEntry, CatalogueError> {
        let digest = Digest::of(bytes);
        let listed = self.require(id, &digest)?;
        VerifiedEntry::of(listed, digest, bytes)
    }
}

/// An entry whose bytes a verified index lists. Only [`VerifiedIndex`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedEntry {
    entry: Entry,
    digest: Digest,
    bytes: Vec<u8>,
}

impl VerifiedEntry {
    fn of(listed: &IndexEntry, digest: Digest, bytes: &[u8]) -> Result<Self, CatalogueError> {
        let entry = Entry::from_json(bytes)?;
        let same = entry.id == listed.id
            && entry.revision == listed.revision
            && entry.platform == listed.platform
            && entry.status == listed.status
            && bytes.len() as u64 == listed.size;
        if !same {
            return Err(CatalogueError::Inconsistent(format!(
                "entry {} says of itself what the index does not",
                listed.id
            )));
        }
        Ok(Self { entry, digest, bytes: bytes.to_vec() })
    }

    /// The entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The digest of its bytes, what orders and journals name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The signed bytes, to be stored and sent as they are.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
