//! The list of efforts, and one of them with its items.

use crate::filter::Column;
use crate::items::{self, ItemRow};
use crate::list::{Clip, List, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::{Action, Actor, AssetScope, Reach, Record as AccessRecord, reach};
use domain::effort::State;
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{EffortId, ItemId, TopicId, UserId};
use domain::number::{Number, Series};
use domain::time::Timestamp;

/// What efforts can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "number", kind: Kind::Number, doc: "the digits of its number" },
        Field { name: "title", kind: Kind::Text, doc: "its title" },
        Field { name: "state", kind: Kind::Words(State::WORDS), doc: "how it stands" },
        Field { name: "owner", kind: Kind::Person, doc: "who leads it" },
        Field { name: "group", kind: Kind::Name, doc: "which group works on it" },
        Field { name: "by", kind: Kind::Person, doc: "who made it" },
        Field { name: "topic", kind: Kind::Name, doc: "the watch topic it was made from" },
        Field { name: "created", kind: Kind::Instant, doc: "made" },
        Field { name: "ended", kind: Kind::Instant, doc: "ended" },
        Field { name: "item", kind: Kind::Number, doc: "the digits of the number of one of its items" },
    ],
    flags: &[Flag { name: "open", field: "state", words: &["filling", "active"], doc: "not over" }],
    free: &["title"],
};

const SELECT: &str = "f.id, f.number, f.title, f.description, f.topic_id, coalesce(w.name, '') AS topic, f.condition,
    f.owner_id, coalesce(o.name, '') AS owner, f.group_name, f.state, coalesce(c.name, '') AS creator, f.created_at,
    f.closed_at, f.version,
    (SELECT count(*) FROM seen_member m WHERE m.effort_id = f.id) AS items,
    (SELECT count(*) FROM seen_member m WHERE m.effort_id = f.id AND m.state = 'closed') AS closed,
    (SELECT count(*) FROM seen_member m WHERE m.effort_id = f.id AND m.state <> 'closed'
        AND m.mitigation = 'mitigated') AS mitigated,
    (SELECT coalesce(max(m.residual), 0) FROM seen_member m WHERE m.effort_id = f.id AND m.state <> 'closed') AS score";

/// The list of efforts, to be read with [`clip`].
pub const LIST: List = List {
    name: "efforts",
    select: SELECT,
    from: "effort f LEFT JOIN account o ON o.id = f.owner_id LEFT JOIN account c ON c.id = f.created_by
           LEFT JOIN watch_topic w ON w.id = f.topic_id",
    key: "f.id",
    fields: &FIELDS,
    columns: &[
        Column::one("number", "f.number"),
        Column::one("title", "f.title"),
        Column::one("state", "f.state"),
        Column::one("owner", "o.name"),
        Column::one("group", "nullif(f.group_name, '')"),
        Column::one("by", "c.name"),
        Column::one("topic", "w.name"),
        Column::one("created", "f.created_at"),
        Column::one("ended", "f.closed_at"),
        Column::many("item", "seen_member m WHERE m.effort_id = f.id", "m.number"),
    ],
    sorts: &[
        Sort::whole("number", "f.number"),
        Sort::text("title", "f.title"),
        Sort::text("state", "f.state"),
        Sort::text("owner", "o.name").or_null(),
        Sort::whole("created", "f.created_at"),
        Sort::whole("ended", "f.closed_at").or_null(),
    ],
};

record! {
    /// An effort; its numbers count what the reader may see.
    #[derive(Clone, Debug, PartialEq)]
    pub struct EffortRow {
        /// Key.
        pub id: EffortId,
        /// Ordinal of its number.
        pub number: i64,
        /// Its title.
        pub title: String,
        /// What is to be done, and why.
        pub description: String,
        /// The watch topic it was made from.
        pub topic_id: Option<TopicId>,
        /// That topic's name; empty for none.
        pub topic: String,
        /// What its items met when it was made; empty where they were named.
        pub condition: String,
        /// Who leads it.
        pub owner_id: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub owner: String,
        /// Which group works on it; empty for none.
        pub group_name: String,
        /// How it stands.
        pub state: State,
        /// Sign-in name of who made it.
        pub creator: String,
        /// When.
        pub created_at: Timestamp,
        /// When it ended.
        pub closed_at: Option<Timestamp>,
        /// Counts the changes.
        pub version: i64,
        /// Its items.
        pub items: i64,
        /// Of these: closed now.
        pub closed: i64,
        /// Of the active ones: mitigated.
        pub mitigated: i64,
        /// The highest score of an active one; 0 without any.
        pub score: i64,
    }
}

impl EffortRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::Effort, ordinal: self.number }
    }
}

/// The efforts that the actor may see, and of their items those that he may see. Whoever sees only what is assigned to him sees
/// the efforts that are; an account that is kept to some assets those with at least one of them.
#[must_use]
pub fn clip(actor: &Actor) -> Clip {
    let mut sql = Sql::new(
        "WITH seen_member AS NOT MATERIALIZED (SELECT m.effort_id, m.item_id, i.number, i.state, i.mitigation, i.residual
         FROM effort_item m JOIN vulnerable_item i ON i.id = m.item_id",
    );
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" WHERE (").append(seen).text(")");
    }
    let tasks = reach(actor, Action::TasksView);
    let own = match tasks {
        Reach::Everything => None,
        reached => scope::assigned(actor, reached, "f.owner_id", "nullif(f.group_name, '')"),
    };
    Clip::with(sql.text(") "), scope::both(within(&actor.scope), own))
}

/// Efforts about at least one asset of the scope.
fn within(assets: &AssetScope) -> Option<Sql> {
    let inside = scope::assets(assets, "in_scope.asset_id")?;
    let sql = Sql::new(
        "EXISTS (SELECT 1 FROM effort_item member JOIN vulnerable_item in_scope ON in_scope.id = member.item_id
                 WHERE member.effort_id = f.id AND ",
    );
    Some(sql.append(inside).text(")"))
}

/// The effort of this ordinal as the actor may see it.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one, and for one that he may not see.
pub fn one(tx: &mut Transaction<'_>, actor: &Actor, ordinal: i64) -> Result<EffortRow> {
    LIST.one_clipped(tx, clip(actor), Sql::new("f.number = ").bind(&ordinal))
}

/// The items of an effort that the actor may see, closed ones too, in order of their numbers, at most `most`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn items_of(tx: &mut Transaction<'_>, actor: &Actor, effort: EffortId, most: i64) -> Result<Vec<ItemRow>> {
    let sql = clip(actor).head().text("SELECT m.item_id FROM seen_member m WHERE m.effort_id = ").bind(&effort);
    let keys: Vec<(i64,)> = tx.all_built(&sql.text(" ORDER BY m.item_id LIMIT ").bind(&most))?;
    let keys: Vec<i64> = keys.into_iter().map(|(key,)| key).collect();
    items::LIST.rows(tx, Sql::new("i.id {in ").bind(&keys).text("}"))
}

/// The keys of the items of an effort that are not closed, whoever asks, at most `most`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn active_items(tx: &mut Transaction<'_>, effort: EffortId, most: i64) -> Result<Vec<ItemId>> {
    let rows: Vec<(ItemId,)> = tx.all(
        "SELECT i.id FROM effort_item m JOIN vulnerable_item i ON i.id = m.item_id
         WHERE m.effort_id = $1 AND i.state <> 'closed' ORDER BY i.id LIMIT $2",
        &[&effort, &most],
    )?;
    Ok(rows.into_iter().map(|(item,)| item).collect())
}

/// What a permission has to know of an effort.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn access(tx: &mut Transaction<'_>, actor: &Actor, effort: &EffortRow) -> Result<AccessRecord> {
    let record = AccessRecord::assigned_to(effort.owner_id, Some(&effort.group_name));
    let Some(inside) = scope::assets(&actor.scope, "i.asset_id") else { return Ok(record) };
    let member = |inside: Sql, not: &'static str| {
        let sql = Sql::new(
            "EXISTS (SELECT 1 FROM effort_item m JOIN vulnerable_item i ON i.id = m.item_id WHERE m.effort_id = ",
        );
        sql.bind(&effort.id).text(" AND ").text(not).text("(").append(inside).text("))")
    };
    let sql = Sql::new("SELECT ").append(member(inside.clone(), "")).text(", ").append(member(inside, "NOT "));
    let found: Vec<(bool, bool)> = tx.all_built(&sql)?;
    let (some, others) = found.first().copied().unwrap_or_default();
    let assets = some.then_some(true).into_iter().chain(others.then_some(false));
    Ok(record.covered(actor.scope.cover(assets)))
}
