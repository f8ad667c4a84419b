//! Making an effort: which items it takes, in portions, so that nobody waits for the database while a large one is made.

use super::{note, resource};
use crate::audit::{self, Entry};
use crate::filter::compile;
use crate::list::{self, Query};
use crate::{Error, Result, Sql, Transaction, items, numbers, record, scope};
use domain::access::{Action, Actor};
use domain::effort::{NAMED_MAX, State};
use domain::filter::Context;
use domain::id::{EffortId, TopicId, UserId};
use domain::number::{Number, Series};
use domain::time::Timestamp;

/// Items that one transaction takes.
pub const PORTION: i64 = 5_000;

/// Which items are wanted, of those that the actor may see and that are active.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What they meet.
    pub query: Query,
    /// Only these, by the ordinals of their numbers, at most [`NAMED_MAX`].
    pub named: Option<Vec<i64>>,
}

/// What a new effort begins with.
#[derive(Clone, Debug)]
pub struct NewEffort<'a> {
    /// Its title.
    pub title: &'a str,
    /// What is to be done, and why.
    pub description: &'a str,
    /// The watch topic it is made from.
    pub topic: Option<TopicId>,
    /// Who leads it.
    pub owner: Option<UserId>,
    /// Which group works on it; empty for none.
    pub group: &'a str,
}

/// What would become of the wanted items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Active, and in no effort.
    pub free: i64,
    /// Active, and in another effort.
    pub held: i64,
}

/// No effort that is not inactive holds the item `i`.
const FREE: &str = "NOT EXISTS (SELECT 1 FROM effort_claim held JOIN effort holder ON holder.id = held.effort_id
                                WHERE held.item_id = i.id AND holder.state <> 'inactive')";

/// The wanted items that are active and whose key is in `(after, end]`.
fn wanted_clip(actor: &Actor, wanted: &Wanted, free: Option<bool>, (after, end): (i64, i64)) -> Option<Sql> {
    let mut sql = Sql::new("i.state <> 'closed' AND i.id > ").bind(&after).text(" AND i.id <= ").bind(&end);
    if let Some(named) = &wanted.named {
        sql = sql.text(" AND i.number {in ").bind(named).text("}");
    }
    sql = match free {
        None => sql,
        Some(true) => sql.text(" AND ").text(FREE),
        Some(false) => sql.text(" AND NOT ").text(FREE),
    };
    scope::both(items::visible(actor, Action::ItemsView), Some(sql))
}

const EVERY: (i64, i64) = (0, i64::MAX);

/// A filter was parsed with the items' own fields, so that only the database can fail.
fn only_store(error: list::Error) -> Error {
    match error {
        list::Error::Store(error) => error,
        other => Error::failed("could not select items", other),
    }
}

/// Count what would become of the wanted items, each up to `most`.
///
/// # Errors
/// See [`Error`].
pub fn tally(tx: &mut Transaction<'_>, actor: &Actor, wanted: &Wanted, most: i64) -> Result<Outcome> {
    let mut count = |free| {
        let clip = wanted_clip(actor, wanted, Some(free), EVERY);
        list::count(tx, &items::LIST, clip, &wanted.query, most).map_err(only_store)
    };
    Ok(Outcome { free: count(true)?, held: count(false)? })
}

record! {
    /// An effort that holds wanted items.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Held {
        /// Ordinal of its number.
        pub number: i64,
        /// Its title.
        pub title: String,
        /// How many.
        pub items: i64,
    }
}

/// The efforts that hold wanted items, those with the most of them first, at most `most`.
///
/// # Errors
/// See [`Error`].
pub fn holders(tx: &mut Transaction<'_>, actor: &Actor, wanted: &Wanted, most: i64) -> Result<Vec<Held>> {
    let list = &items::LIST;
    let mut sql = Sql::new("SELECT holder.number, holder.title, count(*) AS items FROM ").text(list.from).text(
        " JOIN effort_claim claimed ON claimed.item_id = i.id JOIN effort holder ON holder.id = claimed.effort_id
          WHERE holder.state <> 'inactive' AND ",
    );
    sql = sql.append(compile(&wanted.query.filter, list.fields, list.columns, &wanted.query.context)?);
    if let Some(clip) = wanted_clip(actor, wanted, None, EVERY) {
        sql = sql.text(" AND (").append(clip).text(")");
    }
    let sql = sql.text(" GROUP BY holder.number, holder.title ORDER BY count(*) DESC, holder.number LIMIT ");
    tx.all_built(&sql.bind(&most))
}

/// Make an effort and take its first items; what is left to take is taken by [`fill`]. Gives its number, or `None` where there is
/// nothing to take: then nothing was made.
///
/// # Errors
/// See [`Error`].
pub fn create(
    tx: &mut Transaction<'_>,
    actor: &Actor,
    new: &NewEffort<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Option<Number>> {
    let portion = if wanted.named.is_some() { i64::try_from(NAMED_MAX).unwrap_or(i64::MAX) } else { PORTION };
    let clip = wanted_clip(actor, wanted, Some(true), EVERY);
    let keys = list::keys(tx, &items::LIST, clip, &wanted.query, portion).map_err(only_store)?;
    if keys.is_empty() {
        return Ok(None);
    }
    let end: i64 = tx.scalar("SELECT coalesce(max(id), 0) FROM vulnerable_item", &[])?;
    let number = numbers::next(tx, Series::Effort)?;
    let condition = if wanted.named.is_some() { String::new() } else { wanted.query.filter.to_string() };
    let id: EffortId = tx.insert(
        "INSERT INTO effort (number, title, description, topic_id, condition, owner_id, group_name, state, filled_to,
             fill_end, created_by, created_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11, 1) RETURNING id",
        &[
            &number.ordinal,
            &new.title,
            &new.description,
            &new.topic,
            &condition,
            &new.owner,
            &new.group,
            &State::Filling,
            &end,
            &actor.user,
            &now,
        ],
    )?;
    let author = format!("users/{}", actor.name);
    let more = i64::try_from(keys.len()).unwrap_or(i64::MAX) == portion && wanted.named.is_none();
    let taken = take(tx, id, &keys)?;
    go_on(tx, id, 0, keys.last().copied().filter(|_| more))?;
    if !more {
        whole(tx, id, &author, now)?;
    }
    let detail = serde_json::json!({ "title": new.title, "condition": condition, "items": taken, "more": more });
    let resource = resource(number.ordinal);
    audit::append(tx, &Entry { at: now, actor: &author, action: "effort.create", resource: &resource, detail })?;
    Ok(Some(number))
}

/// Claim these items for an effort, those that another one holds left out; gives how many it got.
fn take(tx: &mut Transaction<'_>, effort: EffortId, keys: &[i64]) -> Result<usize> {
    let claimed: Vec<(i64,)> = tx.all(
        "INSERT INTO effort_claim (item_id, effort_id)
         SELECT i.id, $1 FROM vulnerable_item i WHERE i.id {in $2}
         ON CONFLICT (item_id) DO UPDATE SET effort_id = excluded.effort_id
         WHERE EXISTS (SELECT 1 FROM effort e WHERE e.id = effort_claim.effort_id AND e.state = 'inactive')
         RETURNING item_id",
        &[&effort, &keys],
    )?;
    let claimed: Vec<i64> = claimed.into_iter().map(|(item,)| item).collect();
    tx.execute(
        "INSERT INTO effort_item (effort_id, item_id) SELECT $1, i.id FROM vulnerable_item i WHERE i.id {in $2}",
        &[&effort, &claimed],
    )?;
    Ok(claimed.len())
}

/// Move an effort on from where a portion begins; without `to` it is whole. `false` where somebody else did so meanwhile.
fn go_on(tx: &mut Transaction<'_>, effort: EffortId, from: i64, to: Option<i64>) -> Result<bool> {
    let state = if to.is_some() { State::Filling } else { State::Active };
    let changed = tx.execute(
        "UPDATE effort SET state = $3, filled_to = coalesce($4, filled_to), version = version + 1
         WHERE id = $1 AND filled_to = $2 AND state = 'filling'",
        &[&effort, &from, &state, &to],
    )?;
    Ok(changed == 1)
}

/// Say how many items an effort has.
fn whole(tx: &mut Transaction<'_>, effort: EffortId, author: &str, now: Timestamp) -> Result<()> {
    let items: i64 = tx.scalar("SELECT count(*) FROM effort_item WHERE effort_id = $1", &[&effort])?;
    note(tx, effort, ("items", "", &items.to_string()), author, now)
}

record! {
    /// An effort whose items are still being gathered.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Filling {
        /// Key.
        pub id: EffortId,
        /// What its items meet, at the time it was made and as who made it sees them.
        pub condition: String,
        /// Who made it.
        pub created_by: UserId,
        /// When.
        pub created_at: Timestamp,
        /// Up to which key items were looked at.
        pub filled_to: i64,
        /// The last key that is looked at.
        pub fill_end: i64,
    }
}

/// The efforts whose items are still being gathered, the oldest first.
///
/// # Errors
/// See [`Error`].
pub fn filling(tx: &mut Transaction<'_>) -> Result<Vec<Filling>> {
    tx.all(
        "SELECT id, condition, created_by, created_at, filled_to, fill_end FROM effort WHERE state = 'filling'
         ORDER BY id LIMIT 100",
        &[],
    )
}

/// Take the next portion of an effort, as `actor`, who made it, sees items; `true` where there may be more.
///
/// # Errors
/// See [`Error`].
pub fn fill(
    tx: &mut Transaction<'_>,
    actor: &Actor,
    effort: &Filling,
    filter: domain::filter::Filter,
    now: Timestamp,
) -> Result<bool> {
    let context = Context { me: Some(actor.name.clone()), ..Context::at(effort.created_at) };
    let wanted = Wanted { query: Query::new(filter, context), named: None };
    let clip = wanted_clip(actor, &wanted, Some(true), (effort.filled_to, effort.fill_end));
    let keys = list::keys(tx, &items::LIST, clip, &wanted.query, PORTION).map_err(only_store)?;
    let more = i64::try_from(keys.len()).unwrap_or(i64::MAX) == PORTION;
    // First, so that of two replicas only one takes this portion.
    if !go_on(tx, effort.id, effort.filled_to, keys.last().copied().filter(|_| more))? {
        return Ok(false);
    }
    take(tx, effort.id, &keys)?;
    if !more {
        whole(tx, effort.id, &format!("users/{}", actor.name), now)?;
    }
    Ok(more)
}
