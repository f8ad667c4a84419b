//! Watch topics: queries of items that people keep an eye on and make efforts of. A topic is shared; its numbers are the reader's.

use crate::audit::{self, Entry};
use crate::{Error, Result, Sql, Transaction, record, settings};
use domain::id::{TopicId, UserId};
use domain::time::Timestamp;

record! {
    /// A topic.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Topic {
        /// Key.
        pub id: TopicId,
        /// Its name.
        pub name: String,
        /// What it is about.
        pub description: String,
        /// Which items, in the query language of items; empty for none yet.
        pub condition: String,
        /// Who watches it.
        pub owner_id: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub owner: String,
        /// Which group watches it; empty for none.
        pub group_name: String,
        /// Lower is shown first.
        pub position: i64,
        /// Whether it has numbers and efforts.
        pub active: bool,
        /// Counts the changes.
        pub version: i64,
    }
}

/// What people set of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Which items.
    pub condition: String,
    /// Who watches it.
    pub owner: Option<UserId>,
    /// Which group watches it; empty for none.
    pub group: String,
    /// Lower is shown first.
    pub position: i64,
    /// Whether it has numbers and efforts.
    pub active: bool,
}

const SELECT: &str = "SELECT w.id, w.name, w.description, w.condition, w.owner_id, coalesce(o.name, '') AS owner,
        w.group_name, w.position, w.active, w.version
    FROM watch_topic w LEFT JOIN account o ON o.id = w.owner_id";

/// Every topic in its order.
///
/// # Errors
/// See [`Error`].
pub fn all(tx: &mut Transaction<'_>) -> Result<Vec<Topic>> {
    tx.all_built(&Sql::new(SELECT).text(" ORDER BY w.position, w.name, w.id"))
}

/// One topic.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one.
pub fn one(tx: &mut Transaction<'_>, id: TopicId) -> Result<Topic> {
    let found: Vec<Topic> = tx.all_built(&Sql::new(SELECT).text(" WHERE w.id = ").bind(&id))?;
    found.into_iter().next().ok_or(Error::NotFound)
}

fn noted(tx: &mut Transaction<'_>, author: &str, action: &str, topic: &Topic, now: Timestamp) -> Result<()> {
    let detail = serde_json::json!({ "name": topic.name, "condition": topic.condition, "active": topic.active });
    let resource = format!("topics/{}", topic.id);
    audit::append(tx, &Entry { at: now, actor: author, action, resource: &resource, detail })?;
    Ok(())
}

/// Make a topic.
///
/// # Errors
/// See [`Error`].
pub fn create(tx: &mut Transaction<'_>, author: &str, wanted: &Wanted, now: Timestamp) -> Result<Topic> {
    let Wanted { name, description, condition, owner, group, position, active } = wanted;
    let id: TopicId = tx.insert(
        "INSERT INTO watch_topic (name, description, condition, owner_id, group_name, position, active, version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8) RETURNING id",
        &[name, description, condition, owner, group, position, active, &now],
    )?;
    let topic = one(tx, id)?;
    noted(tx, author, "topic.create", &topic, now)?;
    Ok(topic)
}

/// Change a topic; efforts that were made of it stay as they are.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn change(
    tx: &mut Transaction<'_>,
    author: &str,
    before: &Topic,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Topic> {
    let Wanted { name, description, condition, owner, group, position, active } = wanted;
    let changed = tx.execute(
        "UPDATE watch_topic SET name = $3, description = $4, condition = $5, owner_id = $6, group_name = $7, position = $8,
             active = $9, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&before.id, &before.version, name, description, condition, owner, group, position, active],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    let topic = one(tx, before.id)?;
    noted(tx, author, "topic.change", &topic, now)?;
    Ok(topic)
}

/// Delete a topic; efforts that were made of it stay and name none any more.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn delete(tx: &mut Transaction<'_>, author: &str, topic: &Topic, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE effort SET topic_id = NULL WHERE topic_id = $1", &[&topic.id])?;
    let gone = tx.execute("DELETE FROM watch_topic WHERE id = $1 AND version = $2", &[&topic.id, &topic.version])?;
    if gone != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    noted(tx, author, "topic.delete", topic, now)
}
