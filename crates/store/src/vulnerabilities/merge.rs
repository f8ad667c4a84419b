//! The import's part of vulnerabilities: entries of the knowledge base, and placeholders for those it lacks.
//!
//! A detection may name a vulnerability before the knowledge base does; it is kept as a placeholder until the entry
//! comes. Reports of a file and of the knowledge base fill the same row; what one is silent about is not forgotten.

use crate::hosts::{RowDigest, RowHash};
use crate::imports::{Counters, Run};
use crate::{Result, Transaction, last_per_key, record, stage};
use domain::id::VulnerabilityId;
use domain::time::Timestamp;
use std::collections::{BTreeSet, HashMap};

/// An entry of a knowledge base as a scanner reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VulnerabilitySeen {
    /// The scanner's number.
    pub qid: i64,
    /// Title; may hold markup.
    pub title: String,
    /// `vulnerability`, `potential`, `vulnerability_or_potential`, `information`, or the scanner's own word.
    pub kind: String,
    /// 1 to 5; `None` where the input does not say.
    pub severity: Option<u8>,
    /// The scanner's category.
    pub category: String,
    /// CVSS v2 base score.
    pub cvss2: Option<f64>,
    /// CVSS v3 base score.
    pub cvss3: Option<f64>,
    /// CVSS v3 vector.
    pub cvss3_vector: String,
    /// A vendor patch exists; `None` where the input does not say.
    pub patchable: Option<bool>,
    /// What is wrong: foreign HTML.
    pub threat: String,
    /// What an attacker gains: foreign HTML.
    pub impact: String,
    /// What to do: foreign HTML.
    pub solution: String,
    /// First publication.
    pub published_at: Option<Timestamp>,
    /// Latest change.
    pub modified_at: Option<Timestamp>,
    /// Disabled in the subscription.
    pub disabled: bool,
    /// CVEs with the scanner's score of each, where it gave one.
    pub cves: Vec<(String, Option<u8>)>,
}

impl VulnerabilitySeen {
    fn digest(&self) -> RowDigest {
        let mut digest = RowHash::new();
        for text in
            [&self.title, &self.kind, &self.category, &self.cvss3_vector, &self.threat, &self.impact, &self.solution]
        {
            digest.text(text);
        }
        let bits = |score: Option<f64>| score.map(|score| i64::from_ne_bytes(score.to_bits().to_ne_bytes()));
        digest.whole(self.severity.map(i64::from)).whole(bits(self.cvss2)).whole(bits(self.cvss3));
        digest.whole(self.patchable.map(i64::from)).whole(Some(i64::from(self.disabled)));
        digest.whole(self.published_at.map(Timestamp::micros)).whole(self.modified_at.map(Timestamp::micros));
        for (cve, qvs) in &self.cves {
            digest.text(cve).whole(qvs.map(i64::from));
        }
        digest.done()
    }
}

struct VulnerabilityRow {
    key: String,
    qid: i64,
    title: String,
    kind: String,
    severity: i64,
    category: String,
    cvss2: Option<f64>,
    cvss3: Option<f64>,
    cvss3_vector: String,
    patchable: Option<bool>,
    threat: String,
    impact: String,
    solution: String,
    published_at: Option<Timestamp>,
    modified_at: Option<Timestamp>,
    disabled: bool,
    digest: RowDigest,
}
stage!(VulnerabilityRow as "vulnerability_batch" {
    key: String, qid: i64, title: String, kind: String, severity: i64, category: String,
    cvss2: Option<f64>, cvss3: Option<f64>, cvss3_vector: String, patchable: Option<bool>, threat: String, impact: String,
    solution: String, published_at: Option<Timestamp>, modified_at: Option<Timestamp>, disabled: bool,
    digest: RowDigest,
});

struct CveRow {
    vulnerability_id: VulnerabilityId,
    cve: String,
    qvs: Option<i64>,
}
stage!(CveRow as "vulnerability_cve_batch" { vulnerability_id: VulnerabilityId, cve: String, qvs: Option<i64> });

struct PlaceholderRow {
    key: String,
    qid: i64,
    severity: i64,
}
stage!(PlaceholderRow as "vulnerability_placeholder_batch" { key: String, qid: i64, severity: i64 });

record! {
    /// What a detection needs to know of its vulnerability.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Reference {
        /// Key.
        pub id: VulnerabilityId,
        /// The scanner's number.
        pub qid: i64,
        /// As [`VulnerabilitySeen::kind`].
        pub kind: String,
        /// 1 to 5.
        pub severity: u8,
        /// CVSS v2 base score.
        pub cvss2: Option<f64>,
        /// CVSS v3 base score.
        pub cvss3: Option<f64>,
        /// Known from a detection only.
        pub placeholder: bool,
    }
}

/// Merge entries of the knowledge base; gives the keys of those that are new or changed, whose estimated scores and
/// controls have to be looked at again ([`crate::detections::estimate_again`], [`crate::scores::recompute`]).
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn merge(
    tx: &mut Transaction<'_>,
    run: &Run,
    seen: &[VulnerabilitySeen],
    counters: &mut Counters,
) -> Result<Vec<VulnerabilityId>> {
    let entries = last_per_key(seen.iter().collect(), |entry: &&VulnerabilitySeen| entry.qid);
    counters.vulnerabilities.ignored += (seen.len() - entries.len()) as u64;
    let keys: Vec<String> = entries.iter().map(|entry| entry.qid.to_string()).collect();
    let known: Vec<(i64, Vec<u8>, bool)> = tx.all(
        "SELECT qid, digest, placeholder FROM vulnerability WHERE product = $1 AND key {in $2}",
        &[&run.product, &keys],
    )?;
    let known: HashMap<i64, (Vec<u8>, bool)> =
        known.into_iter().map(|(qid, digest, placeholder)| (qid, (digest, placeholder))).collect();
    let mut changed: Vec<(&VulnerabilitySeen, RowDigest)> = Vec::new();
    for entry in entries {
        let digest = entry.digest();
        match known.get(&entry.qid) {
            Some((before, false)) if before.as_slice() == digest => counters.vulnerabilities.unchanged += 1,
            Some(_) => {
                counters.vulnerabilities.updated += 1;
                changed.push((entry, digest));
            }
            None => {
                counters.vulnerabilities.new += 1;
                changed.push((entry, digest));
            }
        }
    }
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let ids = upsert(tx, run, &changed)?;
    merge_cves(tx, &changed, &ids)?;
    Ok(ids.into_values().collect())
}

fn upsert(
    tx: &mut Transaction<'_>,
    run: &Run,
    changed: &[(&VulnerabilitySeen, RowDigest)],
) -> Result<HashMap<i64, VulnerabilityId>> {
    let rows: Vec<VulnerabilityRow> = changed
        .iter()
        .map(|(entry, digest)| VulnerabilityRow {
            key: entry.qid.to_string(),
            qid: entry.qid,
            title: entry.title.clone(),
            kind: entry.kind.clone(),
            severity: i64::from(entry.severity.unwrap_or(0)),
            category: entry.category.clone(),
            cvss2: entry.cvss2,
            cvss3: entry.cvss3,
            cvss3_vector: entry.cvss3_vector.clone(),
            patchable: entry.patchable,
            threat: entry.threat.clone(),
            impact: entry.impact.clone(),
            solution: entry.solution.clone(),
            published_at: entry.published_at,
            modified_at: entry.modified_at,
            disabled: entry.disabled,
            digest: *digest,
        })
        .collect();
    tx.stage(&rows)?;
    let ids: Vec<(i64, VulnerabilityId)> = tx.all(
        "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss2, cvss3, cvss3_vector,
             patchable, threat, impact, solution, published_at, modified_at, disabled, placeholder, digest, run_id)
         SELECT $1, key, qid, title, kind, severity, category, cvss2, cvss3, cvss3_vector,
             coalesce(patchable, false), threat, impact, solution, published_at, modified_at, disabled, false, digest, $2
         FROM vulnerability_batch WHERE true
         ON CONFLICT (product, key) DO UPDATE SET
             title = CASE WHEN excluded.title = '' THEN vulnerability.title ELSE excluded.title END,
             kind = CASE WHEN excluded.kind = '' THEN vulnerability.kind ELSE excluded.kind END,
             severity = CASE WHEN excluded.severity = 0 THEN vulnerability.severity ELSE excluded.severity END,
             category = CASE WHEN excluded.category = '' THEN vulnerability.category ELSE excluded.category END,
             cvss2 = coalesce(excluded.cvss2, vulnerability.cvss2),
             cvss3 = coalesce(excluded.cvss3, vulnerability.cvss3),
             cvss3_vector = CASE WHEN excluded.cvss3_vector = '' THEN vulnerability.cvss3_vector
                                 ELSE excluded.cvss3_vector END,
             patchable = coalesce((SELECT b.patchable FROM vulnerability_batch b WHERE b.key = excluded.key),
                                  vulnerability.patchable),
             threat = CASE WHEN excluded.threat = '' THEN vulnerability.threat ELSE excluded.threat END,
             impact = CASE WHEN excluded.impact = '' THEN vulnerability.impact ELSE excluded.impact END,
             solution = CASE WHEN excluded.solution = '' THEN vulnerability.solution ELSE excluded.solution END,
             published_at = coalesce(excluded.published_at, vulnerability.published_at),
             modified_at = coalesce(excluded.modified_at, vulnerability.modified_at),
             disabled = excluded.disabled,
             placeholder = false,
             digest = excluded.digest,
             run_id = excluded.run_id
         RETURNING qid, id",
        &[&run.product, &run.id],
    )?;
    Ok(ids.into_iter().collect())
}

/// The list of CVEs is the entry's: what it drops is dropped. A report without any says nothing, and a score that was
/// known stays where the new report has none.
fn merge_cves(
    tx: &mut Transaction<'_>,
    changed: &[(&VulnerabilitySeen, RowDigest)],
    ids: &HashMap<i64, VulnerabilityId>,
) -> Result<()> {
    let mut rows: Vec<CveRow> = Vec::new();
    let mut told: Vec<i64> = Vec::new();
    for (entry, _) in changed {
        let Some(id) = ids.get(&entry.qid).filter(|_| !entry.cves.is_empty()) else { continue };
        told.push(id.0);
        rows.extend(entry.cves.iter().map(|(cve, qvs)| CveRow {
            vulnerability_id: *id,
            cve: cve.clone(),
            qvs: qvs.map(i64::from),
        }));
    }
    if told.is_empty() {
        return Ok(());
    }
    tx.stage(&last_per_key(rows, |row| (row.vulnerability_id, row.cve.clone())))?;
    tx.execute(
        "DELETE FROM vulnerability_cve WHERE vulnerability_id {in $1} AND NOT EXISTS (
             SELECT 1 FROM vulnerability_cve_batch b
             WHERE b.vulnerability_id = vulnerability_cve.vulnerability_id AND b.cve = vulnerability_cve.cve)",
        &[&told],
    )?;
    tx.execute(
        "INSERT INTO vulnerability_cve (vulnerability_id, cve, qvs)
         SELECT vulnerability_id, cve, qvs FROM vulnerability_cve_batch WHERE true
         ON CONFLICT (vulnerability_id, cve) DO UPDATE SET qvs = coalesce(excluded.qvs, vulnerability_cve.qvs)",
        &[],
    )?;
    Ok(())
}

/// The vulnerabilities of these numbers, as detections need them; an unknown one becomes a placeholder with the
/// severity of its detection.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn references(
    tx: &mut Transaction<'_>,
    run: &Run,
    qids: &HashMap<i64, u8>,
    counters: &mut Counters,
) -> Result<HashMap<i64, Reference>> {
    let mut found = known(tx, run, qids.keys().copied())?;
    let missing: BTreeSet<i64> = qids.keys().copied().filter(|qid| !found.contains_key(qid)).collect();
    if missing.is_empty() {
        return Ok(found);
    }
    let severity = |qid: &i64| i64::from(qids.get(qid).copied().unwrap_or(0));
    let rows: Vec<PlaceholderRow> =
        missing.iter().map(|qid| PlaceholderRow { key: qid.to_string(), qid: *qid, severity: severity(qid) }).collect();
    tx.stage(&rows)?;
    let empty = RowHash::new().done();
    let made = tx.execute(
        "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
             impact, solution, disabled, placeholder, digest, run_id)
         SELECT $1, key, qid, 'QID ' || key, '', severity, '', '', false, '', '', '', false, true, $2, $3
         FROM vulnerability_placeholder_batch WHERE true
         ON CONFLICT (product, key) DO NOTHING",
        &[&run.product, &empty, &run.id],
    )?;
    counters.vulnerabilities.new += made;
    counters.placeholders += made;
    found.extend(known(tx, run, missing.into_iter())?);
    Ok(found)
}

fn known(tx: &mut Transaction<'_>, run: &Run, qids: impl Iterator<Item = i64>) -> Result<HashMap<i64, Reference>> {
    let keys: Vec<String> = qids.map(|qid| qid.to_string()).collect();
    let rows: Vec<Reference> = tx.all(
        "SELECT id, qid, kind, severity, cvss2, cvss3, placeholder FROM vulnerability
         WHERE product = $1 AND key {in $2}",
        &[&run.product, &keys],
    )?;
    Ok(rows.into_iter().map(|row| (row.qid, row)).collect())
}

/// Numbers of placeholders, from `after` on, that were not asked for since an instant: what a back-fill asks the scanner for.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn placeholders(
    tx: &mut Transaction<'_>,
    product: &str,
    after: i64,
    asked_before: Timestamp,
    limit: i64,
) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        "SELECT qid FROM vulnerability
         WHERE product = $1 AND placeholder AND qid > $2 AND (asked_at IS NULL OR asked_at <= $3) ORDER BY qid LIMIT $4",
        &[&product, &after, &asked_before, &limit],
    )?;
    Ok(rows.into_iter().map(|(qid,)| qid).collect())
}

/// Remember that these were asked for, and that those which are placeholders still were not given.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn asked(tx: &mut Transaction<'_>, product: &str, qids: &[i64], now: Timestamp) -> Result<()> {
    let keys: Vec<String> = qids.iter().map(ToString::to_string).collect();
    tx.execute(
        "UPDATE vulnerability SET asked_at = $3 WHERE product = $1 AND key {in $2} AND placeholder",
        &[&product, &keys, &now],
    )?;
    Ok(())
}

/// Every so many-th number that is known of a product, in order: where the parts of a whole knowledge base begin.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn milestones(tx: &mut Transaction<'_>, product: &str, every: usize) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> =
        tx.all("SELECT qid FROM vulnerability WHERE product = $1 AND NOT placeholder ORDER BY qid", &[&product])?;
    Ok(rows.into_iter().map(|(qid,)| qid).step_by(every.max(1)).skip(1).collect())
}
