//! The audit: what was done, by whom, as exact bytes, sealed in order.
//!
//! Every store function that changes what people care about calls [`append`] in its transaction: one entry per change
//! people make, one per batch of bulk work. Entries are never changed. A task of the engine that holds a [`Lease`]
//! seals what is new (every few seconds): a Merkle root in the manner of RFC 6962 over the root before it and the
//! entries, signed. So a changed, removed or added entry shows, and so does a removed seal, except at the very end:
//! compare [`head`] with a copy kept elsewhere.
//!
//! Hashes: leaf `SHA-256(0x00 ‖ body)`, node `SHA-256(0x01 ‖ left ‖ right)`, link `SHA-256(0x02 ‖ previous root)`.
//! The link is the first leaf of the tree. The very first previous root is 32 zero bytes.

use crate::filter::Column;
use crate::lease::{self, Lease};
use crate::list::{self, List, Page, Query, Sort};
use crate::{Result, Transaction, record};
use domain::filter::{Field, Fields, Kind};
use domain::time::Timestamp;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Entries in one seal at most.
pub const SEALED_MAX: i64 = 5_000;

/// Findings that [`verify`] reports at most; one is enough to know.
const FINDINGS_MAX: usize = 100;

type Hash = [u8; 32];

/// One thing that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Entry<'e> {
    /// When.
    pub at: Timestamp,
    /// By whom: `users/ada`, `agents/…`, `engine/import`.
    pub actor: &'e str,
    /// What, noun first: `job.enable`.
    pub action: &'e str,
    /// On what: the resource name as in the API, `jobs/MJ0000001`.
    pub resource: &'e str,
    /// Anything else, such as before and after; never a secret.
    pub detail: serde_json::Value,
}

record! {
    /// An entry as it is stored.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Written {
        /// Key, and order within a seal.
        pub id: i64,
        /// When.
        pub at: Timestamp,
        /// By whom.
        pub actor: String,
        /// What.
        pub action: String,
        /// On what.
        pub resource: String,
        /// The exact JSON bytes that were hashed.
        pub body: Vec<u8>,
        /// The seal that covers it.
        pub seal: Option<i64>,
    }
}

record! {
    /// A seal.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Seal {
        /// From 1, without gaps.
        pub number: i64,
        /// When.
        pub at: Timestamp,
        /// How many entries it covers.
        pub entries: i64,
        /// The root before it.
        pub previous: Hash,
        /// The Merkle root.
        pub root: Hash,
        /// Which key signed.
        pub key_id: String,
        /// Ed25519 over the fields above.
        pub signature: Vec<u8>,
    }
}

/// Write an entry down, in the transaction of the change itself; gives its key.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn append(tx: &mut Transaction<'_>, entry: &Entry<'_>) -> Result<i64> {
    let body = serde_json::to_vec(entry)
        .map_err(|error| crate::Error::failed(format!("could not write down the entry {}", entry.action), error))?;
    tx.insert(
        "INSERT INTO audit_entry (at, actor, action, resource, body, leaf) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id",
        &[&entry.at, &entry.actor, &entry.action, &entry.resource, &body, &leaf(&body)],
    )
}

/// The entries of one resource, newest first, before the entry `before` where given.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn of_resource(tx: &mut Transaction<'_>, resource: &str, before: Option<i64>, limit: i64) -> Result<Vec<Written>> {
    tx.all(
        "SELECT id, at, actor, action, resource, body, seal FROM audit_entry
         WHERE resource = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        &[&resource, &before.unwrap_or(i64::MAX), &limit],
    )
}

/// The exact bytes of some entries, by their keys.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn bodies(tx: &mut Transaction<'_>, ids: &[i64]) -> Result<Vec<(i64, Vec<u8>)>> {
    tx.all("SELECT id, body FROM audit_entry WHERE id {in $1} ORDER BY id", &[&ids])
}

/// Entries: what can be asked for and sorted by.
pub const ENTRIES: List = List {
    name: "audit",
    select: "audit_entry.id, audit_entry.at, audit_entry.actor, audit_entry.action, audit_entry.resource,
             audit_entry.body, audit_entry.seal",
    from: "audit_entry",
    key: "audit_entry.id",
    fields: &Fields {
        fields: &[
            Field { name: "actor", kind: Kind::Text, doc: "who, as users/ada or engine/import" },
            Field { name: "action", kind: Kind::Text, doc: "what, as job.enable" },
            Field { name: "record", kind: Kind::Text, doc: "on what, as jobs/MJ0000001" },
            Field { name: "at", kind: Kind::Instant, doc: "when" },
            Field { name: "sealed", kind: Kind::Truth, doc: "covered by a seal" },
        ],
        flags: &[],
        free: &["actor", "action", "record"],
    },
    columns: &[
        Column::one("actor", "audit_entry.actor"),
        Column::one("action", "audit_entry.action"),
        Column::one("record", "audit_entry.resource"),
        Column::one("at", "audit_entry.at"),
        Column::one("sealed", "(audit_entry.seal IS NOT NULL)"),
    ],
    sorts: &[
        Sort::whole("sequence", "audit_entry.id"),
        Sort::whole("at", "audit_entry.at"),
        Sort::text("actor", "audit_entry.actor"),
        Sort::text("action", "audit_entry.action"),
        Sort::text("record", "audit_entry.resource"),
    ],
};

/// A page of entries.
///
/// # Errors
/// See [`list::Error`].
pub fn page(tx: &mut Transaction<'_>, query: &Query) -> Result<Page<Written>, list::Error> {
    list::page(tx, &ENTRIES, None, query)
}

/// Whether entries wait for a seal.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn waiting(tx: &mut Transaction<'_>) -> Result<bool> {
    let found: Option<(i64,)> =
        tx.optional("SELECT id FROM audit_entry WHERE seal IS NULL ORDER BY id LIMIT 1", &[])?;
    Ok(found.is_some())
}

/// The newest seal: keep a copy elsewhere, then even a removed end shows.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn head(tx: &mut Transaction<'_>) -> Result<Option<Seal>> {
    tx.optional(
        "SELECT number, at, entries, previous, root, key_id, signature FROM audit_seal ORDER BY number DESC LIMIT 1",
        &[],
    )
}

/// Seal up to [`SEALED_MAX`] entries that are not sealed yet; `None` where there are none.
///
/// # Errors
/// [`Error::Conflict`](crate::Error::Conflict) with [`lease::LOST`] where the lease is not ours any more.
pub fn seal(
    tx: &mut Transaction<'_>,
    lease: &Lease,
    key_id: &str,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Option<Seal>> {
    lease::hold(tx, lease)?;
    let waiting: Vec<(i64, Hash)> =
        tx.all("SELECT id, leaf FROM audit_entry WHERE seal IS NULL ORDER BY id LIMIT $1", &[&SEALED_MAX])?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let (before, previous) = head(tx)?.map_or((0, [0; 32]), |seal| (seal.number, seal.root));
    let leaves: Vec<Hash> = waiting.iter().map(|(_, leaf)| *leaf).collect();
    let mut seal = Seal {
        number: before + 1,
        at: now,
        entries: i64::try_from(leaves.len()).unwrap_or(i64::MAX),
        previous,
        root: root(previous, &leaves),
        key_id: key_id.to_owned(),
        signature: Vec::new(),
    };
    seal.signature = key.sign(&seal.statement()).to_bytes().to_vec();
    tx.execute(
        "INSERT INTO audit_seal (number, at, entries, previous, root, key_id, signature)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[&seal.number, &seal.at, &seal.entries, &seal.previous, &seal.root, &seal.key_id, &seal.signature],
    )?;
    let ids: Vec<i64> = waiting.into_iter().map(|(id, _)| id).collect();
    tx.execute("UPDATE audit_entry SET seal = $1 WHERE id {in $2}", &[&seal.number, &ids])?;
    Ok(Some(seal))
}

impl Seal {
    /// The bytes that are signed.
    fn statement(&self) -> Vec<u8> {
        let mut bytes = b"quell audit seal 1\0".to_vec();
        for number in [self.number, self.at.micros(), self.entries] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.root);
        bytes
    }
}

// --- verification ----------------------------------------------------------------------------------------------------

/// What was found out about the whole audit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verification {
    /// Seals looked at.
    pub seals: u64,
    /// Entries under them.
    pub entries: u64,
    /// Entries not sealed yet.
    pub unsealed: u64,
    /// What is wrong; empty means: as it was written.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Finding {
    /// A number is missing in the row of seals.
    #[error("seal {0} is missing")]
    SealMissing(i64),
    /// A seal does not continue the one before it.
    #[error("seal {0} does not continue the seal before it")]
    Broken(i64),
    /// The entries are not those that were sealed.
    #[error("the entries under seal {0} were changed, added or removed")]
    Entries(i64),
    /// The signature does not fit, or its key is not known.
    #[error("the signature of seal {seal} does not fit the key \"{key_id}\"")]
    Signature {
        /// Which seal.
        seal: i64,
        /// The key it names.
        key_id: String,
    },
    /// The columns used for searching say something else than the sealed bytes.
    #[error("the index columns of entry {0} differ from its sealed bytes")]
    Columns(i64),
}

/// Check every seal, oldest first. `key` knows the public keys by id.
///
/// # Errors
/// See [`Error`](crate::Error); what is wrong with the audit is no error but a finding.
pub fn verify(tx: &mut Transaction<'_>, key: impl Fn(&str) -> Option<VerifyingKey>) -> Result<Verification> {
    let mut verification = Verification::default();
    let (mut number, mut previous) = (0, [0; 32]);
    loop {
        let next: Option<Seal> = tx.optional(
            "SELECT number, at, entries, previous, root, key_id, signature FROM audit_seal
             WHERE number > $1 ORDER BY number LIMIT 1",
            &[&number],
        )?;
        let Some(seal) = next else { break };
        if seal.number != number + 1 {
            verification.note(Finding::SealMissing(number + 1));
        } else if seal.previous != previous {
            verification.note(Finding::Broken(seal.number));
        }
        check_seal(tx, &seal, &key, &mut verification)?;
        (number, previous) = (seal.number, seal.root);
        if verification.findings.len() >= FINDINGS_MAX {
            break;
        }
    }
    let unsealed: i64 = tx.scalar("SELECT count(*) FROM audit_entry WHERE seal IS NULL", &[])?;
    verification.unsealed = u64::try_from(unsealed).unwrap_or_default();
    Ok(verification)
}

impl Verification {
    fn note(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

fn check_seal(
    tx: &mut Transaction<'_>,
    seal: &Seal,
    key: &impl Fn(&str) -> Option<VerifyingKey>,
    verification: &mut Verification,
) -> Result<()> {
    verification.seals += 1;
    let mut leaves: Vec<Hash> = Vec::new();
    tx.each(
        "SELECT id, at, actor, action, resource, body, seal FROM audit_entry WHERE seal = $1 ORDER BY id",
        &[&seal.number],
        |entry: Written| {
            leaves.push(leaf(&entry.body));
            if !entry.columns_fit() {
                verification.note(Finding::Columns(entry.id));
            }
            Ok(())
        },
    )?;
    verification.entries += leaves.len() as u64;
    if i64::try_from(leaves.len()).ok() != Some(seal.entries) || root(seal.previous, &leaves) != seal.root {
        verification.note(Finding::Entries(seal.number));
    }
    let signed = Signature::from_slice(&seal.signature)
        .ok()
        .zip(key(&seal.key_id))
        .is_some_and(|(signature, key)| key.verify_strict(&seal.statement(), &signature).is_ok());
    if !signed {
        verification.note(Finding::Signature { seal: seal.number, key_id: seal.key_id.clone() });
    }
    Ok(())
}

impl Written {
    /// Whether the columns say what the exact bytes say.
    fn columns_fit(&self) -> bool {
        #[derive(Deserialize)]
        struct Sealed {
            at: Timestamp,
            actor: String,
            action: String,
            resource: String,
        }
        serde_json::from_slice::<Sealed>(&self.body).is_ok_and(|sealed| {
            sealed.at == self.at
                && sealed.actor == self.actor
                && sealed.action == self.action
                && sealed.resource == self.resource
        })
    }
}

// --- hashes ----------------------------------------------------------------------------------------------------------

fn leaf(body: &[u8]) -> Hash {
    Sha256::new().chain_update([0x00]).chain_update(body).finalize().into()
}

/// The Merkle root over the link to the root before and the leaves.
fn root(previous: Hash, leaves: &[Hash]) -> Hash {
    let link: Hash = Sha256::new().chain_update([0x02]).chain_update(previous).finalize().into();
    let mut all = Vec::with_capacity(leaves.len() + 1);
    all.push(link);
    all.extend_from_slice(leaves);
    subtree(&all)
}

/// RFC 6962 2.1: split at the largest power of two below the length.
fn subtree(leaves: &[Hash]) -> Hash {
    if let [single] = leaves {
        return *single;
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    Sha256::new().chain_update([0x01]).chain_update(subtree(left)).chain_update(subtree(right)).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same tree built from the other end, as a naive reader of RFC 6962 would.
    fn naive(leaves: &[Hash]) -> Hash {
        if leaves.len() == 1 {
            return leaves[0];
        }
        let mut middle = 1;
        while middle * 2 < leaves.len() {
            middle *= 2;
        }
        let mut bytes = vec![1];
        bytes.extend(naive(&leaves[..middle]));
        bytes.extend(naive(&leaves[middle..]));
        Sha256::digest(&bytes).into()
    }

    #[test]
    fn the_root_is_that_of_rfc_6962() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf(&[n])).collect();
        for count in 1..=leaves.len() {
            assert_eq!(subtree(&leaves[..count]), naive(&leaves[..count]), "{count} leaves");
        }
        assert_ne!(root([0; 32], &leaves), root([1; 32], &leaves));
    }

    #[test]
    fn leaf_and_node_are_told_apart() {
        let (left, right) = (leaf(b"a"), leaf(b"b"));
        let mut forged = left.to_vec();
        forged.extend(right);
        assert_ne!(leaf(&forged), subtree(&[left, right]));
    }
}
