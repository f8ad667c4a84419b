//! The catalogue in force: its signed release, its entries with their exact bytes, and which CVE each covers.
//!
//! Signatures are checked before anything comes here; this file only remembers.

pub mod renewal;

use crate::{Result, Transaction, record};
use domain::mitigation::Coverage;
use domain::time::Timestamp;

record! {
    /// The newest release.
    #[derive(Debug, Clone)]
    pub struct Release {
        /// Version of the index, monotonic.
        pub version: i64,
        /// New work stops then.
        pub expires_at: Timestamp,
        /// Index envelope, exact text.
        pub index_envelope: String,
    }
}

/// An entry to be installed.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Entry id.
    pub entry: String,
    /// Revision.
    pub revision: i64,
    /// SHA-256 of the bytes, hex.
    pub digest: String,
    /// Title.
    pub title: String,
    /// Platform word.
    pub platform: String,
    /// `mitigation` or `fix`.
    pub implication: String,
    /// `low`, `medium`, `high`.
    pub risk: String,
    /// Can be rolled back.
    pub reversible: bool,
    /// `kind@version` words an agent must list, separated by spaces.
    pub needs: String,
    /// The operating systems it is meant for, as the entry's JSON writes them; empty = any of its platform.
    pub systems: String,
    /// CVEs that have to be patched on a host before it may be used there, separated by spaces.
    pub requires_fixed: String,
    /// When it is no longer offered; none without an end.
    pub offered_until: Option<Timestamp>,
    /// For new work: an entry that only looks, or was withdrawn or replaced, stays for reverts and for what is in place.
    pub offered: bool,
    /// The signed bytes.
    pub body: Vec<u8>,
    /// What it covers: CVE (empty when a QID is named), QID (0 when a CVE is named), coverage, points.
    pub covers: Vec<(String, i64, Coverage, i64)>,
}

record! {
    /// An entry as lists and orders need it.
    #[derive(Debug, Clone)]
    pub struct EntryRow {
        /// Key.
        pub id: i64,
        /// Entry id.
        pub entry: String,
        /// Revision.
        pub revision: i64,
        /// Digest, hex.
        pub digest: String,
        /// Title.
        pub title: String,
        /// Platform word.
        pub platform: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// Capabilities an agent must list.
        pub needs: String,
        /// In the newest release.
        pub current: bool,
        /// The operating systems it is meant for, JSON; empty = any of its platform.
        pub systems: String,
    }
}

/// All root metadata, oldest first: (version, envelope). Each is signed as the one before demands, so none may be left out: what
/// the newest one withdrew would be believed again.
///
/// # Errors
/// See [`crate::Error`].
pub fn roots(tx: &mut Transaction<'_>) -> Result<Vec<(i64, String)>> {
    tx.all("SELECT version, envelope FROM trust_root ORDER BY version", &[])
}

/// The next hundred root metadata above a version, oldest first: (version, envelope). For agents, who ask again with what they
/// have then.
///
/// # Errors
/// See [`crate::Error`].
pub fn roots_above(tx: &mut Transaction<'_>, version: i64) -> Result<Vec<(i64, String)>> {
    tx.all("SELECT version, envelope FROM trust_root WHERE version > $1 ORDER BY version LIMIT 100", &[&version])
}

/// Keep root metadata that was verified.
///
/// # Errors
/// [`crate::Error::Conflict`] when that version is known.
pub fn add_root(tx: &mut Transaction<'_>, version: i64, envelope: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO trust_root (version, envelope, installed_at) VALUES ($1, $2, $3)",
        &[&version, &envelope, &now],
    )?;
    Ok(())
}

/// The newest release, if any was installed.
///
/// # Errors
/// See [`crate::Error`].
pub fn newest(tx: &mut Transaction<'_>) -> Result<Option<Release>> {
    tx.optional("SELECT version, expires_at, index_envelope FROM catalogue_release ORDER BY version DESC LIMIT 1", &[])
}

/// The version of the newest release, if any was installed: asked for with every order and poll, where its envelope, which is
/// large, mostly is not needed.
///
/// # Errors
/// See [`crate::Error`].
pub fn newest_version(tx: &mut Transaction<'_>) -> Result<Option<i64>> {
    let found: Option<(i64,)> =
        tx.optional("SELECT version FROM catalogue_release ORDER BY version DESC LIMIT 1", &[])?;
    Ok(found.map(|(version,)| version))
}

/// Install a release: those of its entries that are offered become the current ones, all others stay for reverts only.
///
/// # Errors
/// [`crate::Error::Conflict`] on `catalogue_release_version` when that version was installed before.
pub fn install(tx: &mut Transaction<'_>, release: &Release, entries: &[NewEntry], now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO catalogue_release (version, expires_at, index_envelope, installed_at) VALUES ($1, $2, $3, $4)",
        &[&release.version, &release.expires_at, &release.index_envelope, &now],
    )?;
    tx.execute("UPDATE catalogue_entry SET current = $1", &[&false])?;
    for entry in entries {
        let key: i64 = tx.insert(
            "INSERT INTO catalogue_entry
                 (entry, revision, digest, title, platform, implication, risk, reversible, needs, body, current, systems,
                  requires_fixed, offered_until)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (digest) DO UPDATE SET current = excluded.current, systems = excluded.systems,
                 requires_fixed = excluded.requires_fixed, offered_until = excluded.offered_until
             RETURNING id",
            &[
                &entry.entry,
                &entry.revision,
                &entry.digest,
                &entry.title,
                &entry.platform,
                &entry.implication,
                &entry.risk,
                &entry.reversible,
                &entry.needs,
                &entry.body,
                &entry.offered,
                &entry.systems,
                &entry.requires_fixed,
                &entry.offered_until,
            ],
        )?;
        for (cve, qid, coverage, points) in &entry.covers {
            tx.execute(
                "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT DO NOTHING",
                &[&key, cve, qid, coverage, points],
            )?;
        }
    }
    Ok(())
}

/// The signed bytes of an entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn body(tx: &mut Transaction<'_>, digest: &str) -> Result<Option<Vec<u8>>> {
    Ok(tx
        .optional::<crate::Scalar<Vec<u8>>>("SELECT body FROM catalogue_entry WHERE digest = $1", &[&digest])?
        .map(|crate::Scalar(body)| body))
}

/// An entry by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn entry(tx: &mut Transaction<'_>, key: i64) -> Result<EntryRow> {
    tx.one(
        "SELECT id, entry, revision, digest, title, platform, implication, risk, reversible, needs, current, systems
         FROM catalogue_entry WHERE id = $1",
        &[&key],
    )
}

/// The current entries, by id.
///
/// # Errors
/// See [`crate::Error`].
pub fn current(tx: &mut Transaction<'_>) -> Result<Vec<EntryRow>> {
    tx.all(
        "SELECT id, entry, revision, digest, title, platform, implication, risk, reversible, needs, current, systems
         FROM catalogue_entry WHERE current = $1 ORDER BY entry",
        &[&true],
    )
}

/// The QIDs of the knowledge base that these entries apply to, by entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn known_qids(tx: &mut Transaction<'_>, entries: &[i64]) -> Result<Vec<(i64, i64)>> {
    tx.all(
        "SELECT c.entry_key, v.qid FROM catalogue_cve c
         JOIN vulnerability_cve w ON w.cve = c.cve AND c.cve <> '' JOIN vulnerability v ON v.id = w.vulnerability_id
         WHERE c.entry_key {in $1}
         UNION
         SELECT c.entry_key, v.qid FROM catalogue_cve c JOIN vulnerability v ON v.qid = c.qid AND c.qid <> 0
         WHERE c.entry_key {in $1}
         ORDER BY 1, 2",
        &[&entries],
    )
}

/// The CVEs that these entries name, by entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn named_cves(tx: &mut Transaction<'_>, entries: &[i64]) -> Result<Vec<(i64, String)>> {
    tx.all(
        "SELECT DISTINCT entry_key, cve FROM catalogue_cve WHERE entry_key {in $1} AND cve <> '' ORDER BY 1, 2",
        &[&entries],
    )
}

/// What an entry covers of a vulnerability: CVE (empty for the QID itself), coverage, points.
///
/// # Errors
/// See [`crate::Error`].
pub fn covers(
    tx: &mut Transaction<'_>,
    entry_key: i64,
    vulnerability: domain::id::VulnerabilityId,
) -> Result<Vec<(String, Coverage, i64)>> {
    tx.all(
        "SELECT c.cve, c.coverage, c.points FROM catalogue_cve c JOIN vulnerability v ON v.id = $2
         WHERE c.entry_key = $1
           AND ((c.qid <> 0 AND c.qid = v.qid)
                OR EXISTS (SELECT 1 FROM vulnerability_cve w WHERE w.vulnerability_id = v.id AND w.cve = c.cve))
         ORDER BY c.points DESC, c.cve",
        &[&entry_key, &vulnerability],
    )
}

record! {
    /// An elimination: a current entry that covers a unit of a vulnerability.
    #[derive(Debug, Clone)]
    pub struct Elimination {
        /// The vulnerability.
        pub vulnerability_id: domain::id::VulnerabilityId,
        /// The entry's key.
        pub entry_key: i64,
        /// Entry id.
        pub entry: String,
        /// Title.
        pub title: String,
        /// Platform word.
        pub platform: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// The CVE; empty when the entry names the QID itself.
        pub cve: String,
        /// Coverage of it.
        pub coverage: Coverage,
        /// Points taken off its score while effective.
        pub points: i64,
        /// The operating systems it is meant for, JSON; empty = any of its platform.
        pub systems: String,
    }
}

/// The eliminations of some vulnerabilities on every platform, best first within each.
///
/// # Errors
/// See [`crate::Error`].
pub fn eliminations(tx: &mut Transaction<'_>, vulnerabilities: &[i64]) -> Result<Vec<Elimination>> {
    tx.all(
        "SELECT v.id AS vulnerability_id, e.id AS entry_key, e.entry, e.title, e.platform, e.implication, e.risk,
                e.reversible, c.cve, c.coverage, c.points, e.systems
         FROM vulnerability v
         JOIN vulnerability_cve vc ON vc.vulnerability_id = v.id
         JOIN catalogue_cve c ON c.cve = vc.cve AND c.cve <> ''
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.current = $2
         WHERE v.id {in $1}
         UNION ALL
         SELECT v.id, e.id, e.entry, e.title, e.platform, e.implication, e.risk, e.reversible, c.cve, c.coverage,
                c.points, e.systems
         FROM vulnerability v
         JOIN catalogue_cve c ON c.qid = v.qid AND c.qid <> 0
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.current = $2
         WHERE v.id {in $1}
         ORDER BY 1, 11 DESC, 3, 9",
        &[&vulnerabilities, &true],
    )
}
