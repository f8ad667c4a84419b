//! Requests to put items off or to call them false positives: asked, answered once, and what of them ends by itself.
//!
//! Who may do it is decided before; what it does to an item is decided by [`domain::item`].

use super::life::{Change, LifeOf, apply};
use super::list::{ItemRow, LIST as ITEMS, visible};
use super::merge::sightings;
use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::{Error, Result, Sql, Transaction, numbers, record, scope, settings, stage};
use domain::access::{Action, Actor, Reach, reach};
use domain::exception::{self, Kind, State, Wanted};
use domain::filter::{Field, Fields, Flag, Kind as FilterKind};
use domain::id::{AssetId, ExceptionId, ItemId, UserId};
use domain::item::why::Cause;
use domain::item::{self, Answer, Granted, Sightings, Substate};
use domain::number::{Number, Series};
use domain::time::Timestamp;
use std::collections::HashMap;

/// Items that an entry of the audit names.
const NAMED_MAX: usize = 50;
/// Items whose granted time is over that one transaction changes.
pub const ENDED_MAX: i64 = 1_000;
/// Requests that lapse in one transaction; each may have [`exception::ITEMS_MAX`] items.
pub const LAPSED_MAX: i64 = 1;

/// What requests can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "number", kind: FilterKind::Number, doc: "the digits of its number" },
        Field { name: "kind", kind: FilterKind::Words(Kind::WORDS), doc: "what is asked for" },
        Field { name: "state", kind: FilterKind::Words(State::WORDS), doc: "how it stands" },
        Field { name: "reason", kind: FilterKind::Words(Substate::WORDS), doc: "the substate it gives" },
        Field { name: "by", kind: FilterKind::Person, doc: "who asked" },
        Field { name: "decider", kind: FilterKind::Person, doc: "who answered" },
        Field { name: "requested", kind: FilterKind::Instant, doc: "asked" },
        Field { name: "decided", kind: FilterKind::Instant, doc: "answered" },
        Field { name: "until", kind: FilterKind::Instant, doc: "end of what is asked for" },
        Field { name: "lapses", kind: FilterKind::Instant, doc: "when it lapses without an answer" },
        Field { name: "item", kind: FilterKind::Number, doc: "the digits of the number of one of its items" },
    ],
    flags: &[Flag { name: "open", field: "state", words: &["requested"], doc: "not answered" }],
    free: &["by"],
};

const SELECT: &str = "r.id, r.number, r.kind, r.what, r.note, r.until_at, r.state, r.requested_by,
    coalesce(o.name, '') AS requester, r.requested_at, r.answer_by_at, r.decided_by, coalesce(d.name, '') AS decider,
    r.decided_at, r.answer, r.version,
    (SELECT count(*) FROM seen_item x WHERE x.request_id = r.id) AS items,
    (SELECT count(*) FROM seen_item x WHERE x.request_id = r.id AND x.outcome = 'overtaken') AS overtaken";

/// The list of requests, to be read with [`clip`].
pub const LIST: List = List {
    name: "exceptions",
    select: SELECT,
    from: "exception_request r LEFT JOIN account o ON o.id = r.requested_by LEFT JOIN account d ON d.id = r.decided_by",
    key: "r.id",
    fields: &FIELDS,
    columns: &[
        Column::one("number", "r.number"),
        Column::one("kind", "r.kind"),
        Column::one("state", "r.state"),
        Column::one("reason", "r.what"),
        Column::one("by", "o.name"),
        Column::one("decider", "d.name"),
        Column::one("requested", "r.requested_at"),
        Column::one("decided", "r.decided_at"),
        Column::one("until", "r.until_at"),
        Column::one("lapses", "CASE WHEN r.state = 'requested' THEN r.answer_by_at END"),
        Column::many("item", "seen_item x WHERE x.request_id = r.id", "x.number"),
    ],
    sorts: &[
        Sort::whole("number", "r.number"),
        Sort::text("kind", "r.kind"),
        Sort::text("state", "r.state"),
        Sort::text("by", "o.name").or_null(),
        Sort::whole("requested", "r.requested_at"),
        Sort::whole("until", "r.until_at").or_null(),
    ],
};

record! {
    /// A request.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExceptionRow {
        /// Key.
        pub id: ExceptionId,
        /// Ordinal of its number.
        pub number: i64,
        /// What is asked for.
        pub kind: Kind,
        /// The substate that it gives.
        pub what: Substate,
        /// Why, in the requester's words.
        pub note: String,
        /// Until when.
        pub until_at: Option<Timestamp>,
        /// How it stands.
        pub state: State,
        /// Who asked.
        pub requested_by: UserId,
        /// That person's sign-in name.
        pub requester: String,
        /// When.
        pub requested_at: Timestamp,
        /// When it lapses without an answer.
        pub answer_by_at: Timestamp,
        /// Who answered.
        pub decided_by: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub decider: String,
        /// When it was answered, or ended by itself.
        pub decided_at: Option<Timestamp>,
        /// What was said with the answer.
        pub answer: String,
        /// Counts the changes.
        pub version: i64,
        /// Items that the reader may see.
        pub items: i64,
        /// Of these: went another way before the answer.
        pub overtaken: i64,
    }
}

impl ExceptionRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::Exception, ordinal: self.number }
    }

    fn resource(&self) -> String {
        format!("exceptions/{}", self.number())
    }
}

/// Requests about at least one item that the actor may see, or asked by himself about an asset of his scope; of their items those.
#[must_use]
pub fn clip(actor: &Actor) -> Clip {
    let seen = match reach(actor, Action::ItemsView) {
        Reach::Everything => visible(actor, Action::ItemsView),
        Reach::Nothing => Some(Sql::new("false")),
        // What one asked for stays in sight when its items are given to somebody else.
        Reach::Related(_) => visible(actor, Action::ItemsView).map(|seen| {
            let own = Sql::new("r.requested_by = ").bind(&actor.user.0);
            let own = scope::both(scope::assets(&actor.scope, "i.asset_id"), Some(own));
            let own = own.unwrap_or_else(|| Sql::new("false"));
            Sql::new("(").append(seen).text(") OR (").append(own).text(")")
        }),
    };
    let mut sql = Sql::new(
        "WITH seen_item AS NOT MATERIALIZED (SELECT x.request_id, x.item_id, x.outcome, i.number, i.asset_id
         FROM exception_item x JOIN vulnerable_item i ON i.id = x.item_id
         JOIN exception_request r ON r.id = x.request_id",
    );
    if let Some(seen) = seen {
        sql = sql.text(" WHERE (").append(seen).text(")");
    }
    let some = Sql::new("EXISTS (SELECT 1 FROM seen_item x WHERE x.request_id = r.id)");
    Clip::with(sql.text(") "), Some(some))
}

/// The request of this ordinal as the actor may see it.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one, and for one about nothing that he may see.
pub fn one(tx: &mut Transaction<'_>, actor: &Actor, ordinal: i64) -> Result<ExceptionRow> {
    LIST.one_clipped(tx, clip(actor), Sql::new("r.number = ").bind(&ordinal))
}

/// The assets that a request is about, whoever asks.
///
/// # Errors
/// See [`Error`].
pub fn assets_of(tx: &mut Transaction<'_>, request: ExceptionId) -> Result<Vec<AssetId>> {
    let rows: Vec<(AssetId,)> = tx.all(
        "SELECT DISTINCT i.asset_id FROM exception_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.request_id = $1 ORDER BY 1",
        &[&request],
    )?;
    Ok(rows.into_iter().map(|(asset,)| asset).collect())
}

/// The first items of a request that the actor may see, in order of their numbers.
///
/// # Errors
/// See [`Error`].
pub fn items_of(tx: &mut Transaction<'_>, actor: &Actor, request: &ExceptionRow, most: i64) -> Result<Vec<ItemRow>> {
    let keys: Vec<(i64,)> = {
        let sql = clip(actor).head().text("SELECT x.item_id FROM seen_item x WHERE x.request_id = ");
        tx.all_built(&sql.bind(&request.id).text(" ORDER BY x.item_id LIMIT ").bind(&most))?
    };
    let keys: Vec<i64> = keys.into_iter().map(|(key,)| key).collect();
    ITEMS.rows(tx, Sql::new("i.id {in ").bind(&keys).text("}"))
}

/// Those of these items that an unanswered request is about, each with the ordinal of that request.
///
/// # Errors
/// See [`Error`].
pub fn open_for(tx: &mut Transaction<'_>, items: &[ItemRow]) -> Result<HashMap<ItemId, i64>> {
    let keys: Vec<i64> = items.iter().map(|item| item.id.0).collect();
    let rows: Vec<(ItemId, i64)> = tx.all(
        "SELECT x.item_id, r.number FROM exception_item x JOIN exception_request r ON r.id = x.request_id
         WHERE r.state = 'requested' AND x.outcome = '' AND x.item_id {in $1}",
        &[&keys],
    )?;
    Ok(rows.into_iter().collect())
}

struct NewItem {
    item_id: ItemId,
    before_state: item::State,
}
stage!(NewItem as "exception_item_batch" { item_id: ItemId, before_state: item::State });

/// Ask: the items are in review from now on. Which of them may be asked about was decided before; gives the number.
///
/// # Errors
/// See [`Error`].
pub fn request(
    tx: &mut Transaction<'_>,
    actor: &Actor,
    wanted: &Wanted,
    items: &[(ItemRow, item::Workflow)],
    now: Timestamp,
) -> Result<Number> {
    let number = numbers::next(tx, Series::Exception)?;
    let id: i64 = tx.insert(
        "INSERT INTO exception_request (number, kind, what, note, until_at, state, requested_by, requested_at, answer_by_at,
             answer, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 1) RETURNING id",
        &[
            &number.ordinal,
            &wanted.kind,
            &wanted.what,
            &wanted.note,
            &wanted.until,
            &State::Requested,
            &actor.user,
            &now,
            &exception::answer_by(now),
        ],
    )?;
    let rows: Vec<NewItem> =
        items.iter().map(|(item, _)| NewItem { item_id: item.id, before_state: item.state }).collect();
    tx.stage(&rows)?;
    tx.execute(
        "INSERT INTO exception_item (request_id, item_id, before_state, outcome)
         SELECT $1, item_id, before_state, '' FROM exception_item_batch",
        &[&id],
    )?;
    let changes: Vec<Change> =
        items.iter().map(|(item, after)| Change { item: item.id, before: item.workflow(), after: *after }).collect();
    let by = format!("users/{}", actor.name);
    apply(tx, &changes, &Cause::Exception(number.to_string()), &by, now)?;
    let named: Vec<String> = items.iter().take(NAMED_MAX).map(|(item, _)| item.number().to_string()).collect();
    let detail = serde_json::json!({
        "kind": wanted.kind, "reason": wanted.what, "until": wanted.until, "items": items.len(), "named": named,
    });
    let resource = format!("exceptions/{number}");
    audit::append(tx, &Entry { at: now, actor: &by, action: "exception.request", resource: &resource, detail })?;
    Ok(number)
}

/// How a request ends.
#[derive(Clone, Debug)]
pub struct Ending<'a> {
    /// The state it gets: approved, rejected, withdrawn or lapsed.
    pub to: State,
    /// Until when it is granted, where it is.
    pub until: Option<Timestamp>,
    /// What is said with it.
    pub answer: &'a str,
    /// Who ended it; nobody where time did.
    pub by: Option<UserId>,
    /// The same as the audit names him.
    pub author: &'a str,
}

record! {
    struct Pending {
        id: ItemId,
        state: item::State,
        substate: Substate,
        resolved_at: Option<Timestamp>,
        reopened: u32,
        granted_what: Substate,
        granted_until_at: Option<Timestamp>,
        before_state: item::State,
    }
}

struct OutcomeRow {
    item_id: ItemId,
    outcome: &'static str,
}
stage!(OutcomeRow as "exception_outcome_batch" { item_id: ItemId, outcome: &'static str });

/// End a request: each of its items goes on as the answer says, those that went another way meanwhile are left as they are.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn settle(tx: &mut Transaction<'_>, request: &ExceptionRow, ending: &Ending<'_>, now: Timestamp) -> Result<()> {
    let Ending { to, until, answer, by, author } = ending;
    let changed = tx.execute(
        "UPDATE exception_request SET state = $3, until_at = $4, answer = $5, decided_by = $6, decided_at = $7,
             version = version + 1
         WHERE id = $1 AND version = $2 AND state = 'requested'",
        &[&request.id, &request.version, to, until, answer, by, &now],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    let pending: Vec<Pending> = tx.all(
        "SELECT i.id, i.state, i.substate, i.resolved_at, i.reopened, i.granted_what, i.granted_until_at, x.before_state
         FROM exception_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.request_id = $1 AND x.outcome = '' ORDER BY i.id",
        &[&request.id],
    )?;
    let (mut changes, mut outcomes) = (Vec::new(), Vec::new());
    for row in &pending {
        let before = LifeOf {
            id: row.id,
            state: row.state,
            substate: row.substate,
            resolved_at: row.resolved_at,
            reopened: row.reopened,
            granted_what: row.granted_what,
            granted_until_at: row.granted_until_at,
        }
        .workflow();
        let given = match to {
            State::Approved => Answer::Granted(Granted { what: request.what, until: *until }),
            State::Lapsed => Answer::Lapsed,
            _ => Answer::Back(row.before_state),
        };
        let after = item::answered(before, given);
        outcomes.push(OutcomeRow { item_id: row.id, outcome: if after.is_some() { "done" } else { "overtaken" } });
        changes.extend(after.map(|after| Change { item: row.id, before, after }));
    }
    apply(tx, &changes, &Cause::Exception(request.number().to_string()), author, now)?;
    tx.stage(&outcomes)?;
    tx.execute(
        "UPDATE exception_item SET outcome = b.outcome FROM exception_outcome_batch b
         WHERE exception_item.request_id = $1 AND exception_item.item_id = b.item_id",
        &[&request.id],
    )?;
    let detail = serde_json::json!({ "state": to, "until": until, "items": changes.len() });
    let resource = request.resource();
    audit::append(tx, &Entry { at: now, actor: author, action: "exception.end", resource: &resource, detail })
        .map(|_| ())
}

/// These items have closed, or their task is Resolved: what is asked about them is overtaken, and a request of which nothing is left is obsolete.
pub(crate) fn overtaken(tx: &mut Transaction<'_>, items: &[i64], cause: &str, now: Timestamp) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let asked: Vec<(i64,)> = tx.all(
        "SELECT DISTINCT r.id FROM exception_item x JOIN exception_request r ON r.id = x.request_id
         WHERE r.state = 'requested' AND x.outcome = '' AND x.item_id {in $1} ORDER BY 1",
        &[&items],
    )?;
    let asked: Vec<i64> = asked.into_iter().map(|(id,)| id).collect();
    if asked.is_empty() {
        return Ok(());
    }
    tx.execute(
        "UPDATE exception_item SET outcome = 'overtaken' WHERE request_id {in $1} AND item_id {in $2} AND outcome = ''",
        &[&asked, &items],
    )?;
    let over: Vec<(i64,)> = tx.all(
        "UPDATE exception_request SET state = 'obsolete', decided_at = $2, version = version + 1
         WHERE id {in $1} AND NOT EXISTS (SELECT 1 FROM exception_item x
                                          WHERE x.request_id = exception_request.id AND x.outcome = '')
         RETURNING number",
        &[&asked, &now],
    )?;
    // A person who resolves a task overtakes what is asked about its items.
    let actor = if cause.starts_with("users/") { cause } else { "engine/import" };
    for (ordinal,) in over {
        let resource = format!("exceptions/{}", Number { series: Series::Exception, ordinal });
        let detail = serde_json::json!({ "state": State::Obsolete, "cause": cause });
        audit::append(tx, &Entry { at: now, actor, action: "exception.end", resource: &resource, detail })?;
    }
    Ok(())
}

/// Requests that nobody answered in time, the oldest first, at most [`LAPSED_MAX`].
///
/// # Errors
/// See [`Error`].
pub fn unanswered(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<ExceptionRow>> {
    let first =
        Sql::new("r.id IN (SELECT q.id FROM exception_request q WHERE q.state = 'requested' AND q.answer_by_at <= ");
    let first = first.bind(&now).text(" ORDER BY q.answer_by_at, q.id LIMIT ").bind(&LAPSED_MAX).text(")");
    LIST.rows_clipped(tx, everything(), first)
}

/// Every item of every request: for what asks for nobody.
fn everything() -> Clip {
    let sql = Sql::new(
        "WITH seen_item AS NOT MATERIALIZED (SELECT x.request_id, x.item_id, x.outcome, i.number, i.asset_id
         FROM exception_item x JOIN vulnerable_item i ON i.id = x.item_id) ",
    );
    Clip::with(sql, None)
}

/// Whether what was granted to an item has ended.
///
/// # Errors
/// See [`Error`].
pub fn any_ended(tx: &mut Transaction<'_>, now: Timestamp) -> Result<bool> {
    let found: i64 = tx.scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM vulnerable_item
         WHERE granted_until_at <= $1 AND (state = 'deferred' OR substate = 'false_positive') LIMIT 1) AS some_ended",
        &[&now],
    )?;
    Ok(found > 0)
}

/// End what was granted to items and is over, at most [`ENDED_MAX`]: deferred ones open, false positives are as their detections
/// say; gives how many.
///
/// # Errors
/// See [`Error`].
pub fn end_granted(tx: &mut Transaction<'_>, author: &str, now: Timestamp) -> Result<usize> {
    let rows: Vec<LifeOf> = tx.all(
        "SELECT id, state, substate, resolved_at, reopened, granted_what, granted_until_at
         FROM vulnerable_item
         WHERE granted_until_at <= $1 AND (state = 'deferred' OR substate = 'false_positive') ORDER BY id LIMIT $2",
        &[&now, &ENDED_MAX],
    )?;
    let keys: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let seen = sightings(tx, &keys)?;
    let change = |row: &LifeOf| {
        let before = row.workflow();
        let seen = seen.get(&row.id).copied().unwrap_or(Sightings::NOTHING);
        item::time_over(before, seen, now).map(|after| Change { item: row.id, before, after })
    };
    let changes: Vec<Change> = rows.iter().filter_map(change).collect();
    if changes.is_empty() {
        return Ok(0);
    }
    apply(tx, &changes, &Cause::Time, author, now)?;
    let detail = serde_json::json!({ "items": changes.len() });
    audit::append(tx, &Entry { at: now, actor: author, action: "item.exception_end", resource: "items", detail })?;
    Ok(changes.len())
}

/// Revoke what was granted: items that are still closed as false positives by it are as their detections say; gives how many.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn revoke(
    tx: &mut Transaction<'_>,
    request: &ExceptionRow,
    author: &str,
    answer: &str,
    now: Timestamp,
) -> Result<usize> {
    let changed = tx.execute(
        "UPDATE exception_request SET state = 'revoked', answer = $3, version = version + 1
         WHERE id = $1 AND version = $2 AND state = 'approved'",
        &[&request.id, &request.version, &answer],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    let cause = Cause::Exception(request.number().to_string());
    // Of an item that was granted twice only the later one counts.
    let rows: Vec<LifeOf> = tx.all(
        "SELECT i.id, i.state, i.substate, i.resolved_at, i.reopened, i.granted_what, i.granted_until_at
         FROM exception_item x JOIN vulnerable_item i ON i.id = x.item_id
         WHERE x.request_id = $1 AND x.outcome = 'done' AND i.state_cause = $2 ORDER BY i.id",
        &[&request.id, &cause.text()],
    )?;
    let keys: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
    let seen = sightings(tx, &keys)?;
    let change = |row: &LifeOf| {
        let before = row.workflow();
        let seen = seen.get(&row.id).copied().unwrap_or(Sightings::NOTHING);
        let after = item::revoked(before, seen, now)?;
        Some(Change { item: row.id, before, after })
    };
    let changes: Vec<Change> = rows.iter().filter_map(change).collect();
    apply(tx, &changes, &cause, author, now)?;
    let detail = serde_json::json!({ "items": changes.len() });
    let resource = request.resource();
    audit::append(tx, &Entry { at: now, actor: author, action: "exception.revoke", resource: &resource, detail })?;
    Ok(changes.len())
}
