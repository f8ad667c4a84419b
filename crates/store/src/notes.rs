//! Notes: what people write about a record. A note is never changed.

use crate::audit::{self, Entry};
use crate::{Result, Transaction, record};
use domain::access::Actor;
use domain::time::Timestamp;

record! {
    /// A note.
    #[derive(Clone, Debug, PartialEq)]
    pub struct NoteRow {
        /// Key.
        pub id: i64,
        /// Who wrote it; empty for an account that is gone.
        pub author: String,
        /// When.
        pub at: Timestamp,
        /// What.
        pub body: String,
    }
}

/// The notes about a record, newest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn about(tx: &mut Transaction<'_>, resource: &str, limit: i64) -> Result<Vec<NoteRow>> {
    tx.all(
        "SELECT n.id, coalesce(o.name, '') AS author, n.at, n.body
         FROM note n LEFT JOIN account o ON o.id = n.author_id
         WHERE n.resource = $1 ORDER BY n.id DESC LIMIT $2",
        &[&resource, &limit],
    )
}

/// Write a note about a record, such as `items/VIT0000001`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn add(tx: &mut Transaction<'_>, actor: &Actor, resource: &str, body: &str, now: Timestamp) -> Result<NoteRow> {
    let id: i64 = tx.insert(
        "INSERT INTO note (resource, author_id, at, body) VALUES ($1, $2, $3, $4) RETURNING id",
        &[&resource, &actor.user, &now, &body],
    )?;
    // Of its task a note makes something that a person did something with.
    tx.execute("UPDATE remediation_task SET touched = TRUE WHERE number = $1 AND NOT touched", &[&task(resource)])?;
    let author = format!("users/{}", actor.name);
    let detail = serde_json::json!({ "note": id });
    audit::append(tx, &Entry { at: now, actor: &author, action: "note.add", resource, detail })?;
    Ok(NoteRow { id, author: actor.name.clone(), at: now, body: body.to_owned() })
}

/// The ordinal of the task that a resource names; none for another kind of record.
fn task(resource: &str) -> Option<i64> {
    resource.strip_prefix("tasks/VUL").and_then(|digits| digits.parse().ok())
}
