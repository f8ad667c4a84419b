//! A catalogue entry in full: what it checks, changes and undoes in words, what it covers, and who signed for it.

use crate::engine::catalogue as engine;
use crate::http::error::Error;
use catalogue::index::{INDEX_BYTES_MAX, INDEX_TYPE, verify_index};
use catalogue::schema::{Covered, Entry};
use catalogue::statements::{self, Statement};
use catalogue::words;
use domain::time::Timestamp;
use protocol::api::catalogue::{
    Action, Afterwards, Coverage, EntryBody, EntryDetails, NoMitigation, Reference, Signature, Signer,
};
use protocol::root::Role;
use protocol::signed::Envelope;
use store::catalogue::EntryRow;
use store::{Transaction, catalogue as stored};

/// An entry of the catalogue in force, its parsed form, and everything that is told of it.
pub struct Told {
    /// The row.
    pub row: EntryRow,
    /// The entry.
    pub entry: Entry,
    /// As a body.
    pub body: EntryBody,
}

/// Tell of an entry of the catalogue in force.
///
/// # Errors
/// Not found where the catalogue in force does not hold it.
pub fn entry(tx: &mut Transaction<'_>, name: &str, now: Timestamp) -> Result<Told, Error> {
    let missing = || Error::NotFound(format!("catalogue entry {name}"));
    let row = stored::current(tx)?.into_iter().find(|row| row.entry == name).ok_or_else(missing)?;
    let bytes = stored::body(tx, &row.digest)?.ok_or_else(missing)?;
    let entry = Entry::from_json(&bytes).map_err(Error::internal)?;
    let signature = signature(tx, now)?;
    let body = EntryBody { entry: details(&row, &entry), signature };
    Ok(Told { row, entry, body })
}

fn details(row: &EntryRow, entry: &Entry) -> EntryDetails {
    let text = |texts: Vec<String>| texts.join(", ");
    EntryDetails {
        entry: row.entry.clone(),
        revision: row.revision,
        digest: row.digest.clone(),
        title: row.title.clone(),
        platform: row.platform.clone(),
        implication: row.implication.clone(),
        risk: row.risk.clone(),
        class: i64::from(entry.class()),
        needs_approval: entry.needs_approval(),
        summary: entry.human.summary.to_string(),
        side_effects: entry.human.side_effects.to_string(),
        remove_when_patched: entry.human.remove_when_patched,
        valid_until: entry.valid_until.map(|day| day.to_string()),
        applies: entry.applies.describe(),
        covers: entry.vulnerabilities.iter().map(coverage).collect(),
        actions: words::of(entry)
            .into_iter()
            .map(|words| Action {
                kind: words.kind.to_owned(),
                target: words.target,
                checked: words.checked,
                changed: words.changed,
                undone: words.undone,
            })
            .collect(),
        afterwards: Afterwards {
            restart: text(entry.after.restart.iter().map(ToString::to_string).collect()),
            reboot: entry.after.reboot.as_str().to_owned(),
            reversible: entry.after.reversible.as_str().to_owned(),
            sentences: words::afterwards(entry),
        },
        capabilities: row.needs.split_whitespace().map(str::to_owned).collect(),
        references: entry
            .references
            .iter()
            .map(|reference| Reference {
                url: reference.url.to_string(),
                kind: reference.kind.as_str().to_owned(),
                read_on: reference.read_on.map(|day| day.to_string()),
            })
            .collect(),
    }
}

fn coverage(covered: &Covered) -> Coverage {
    Coverage {
        cve: covered.cve.as_ref().map(ToString::to_string),
        qids: covered.qids.iter().map(|qid| i64::from(qid.qid)).collect(),
        coverage: covered.coverage.as_str().to_owned(),
        points: i64::from(covered.points),
        vector: covered.vector.as_str().to_owned(),
    }
}

/// Who signed the index in force, checked again now against the root in force.
fn signature(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Option<Signature>, Error> {
    let (Some(release), Some((root, _))) = (stored::newest(tx)?, engine::root(tx)?) else { return Ok(None) };
    let envelope = Envelope::parse(release.index_envelope.as_bytes(), INDEX_BYTES_MAX).map_err(Error::internal)?;
    let problem = verify_index(&root, release.index_envelope.as_bytes(), 0).err().map(|error| error.to_string());
    // Only keys whose signature was checked; what an envelope claims besides is nobody's word.
    let mut signers = Vec::new();
    for (role, word) in [(Role::Content, "content"), (Role::Organisation, "organisation")] {
        if let Ok(verified) = root.verify(role, INDEX_TYPE, &envelope) {
            let signed = verified.signers().iter();
            signers.extend(signed.map(|key| Signer { key: key.to_string(), role: word.to_owned() }));
        }
    }
    Ok(Some(Signature {
        index_version: release.version,
        expires_at: release.expires_at,
        expired: release.expires_at <= now,
        root_version: i64::try_from(root.version).unwrap_or(i64::MAX),
        threshold: i64::from(root.role(Role::Content).threshold),
        signers,
        problem,
    }))
}

/// What the catalogue says of CVEs that nothing sound exists for short of the fix.
#[must_use]
pub fn no_mitigation<'c>(cves: impl IntoIterator<Item = &'c str>) -> Vec<NoMitigation> {
    let said = |statement: &Statement| NoMitigation {
        cve: statement.cve.to_string(),
        name: statement.name.to_string(),
        scope: statement.scope.as_ref().map(ToString::to_string),
        text: statement.text.to_string(),
        sentence: statement.sentence(),
        url: statement.url.to_string(),
    };
    cves.into_iter().filter_map(|cve| statements::of(&cve.parse().ok()?)).map(said).collect()
}
