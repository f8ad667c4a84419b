//! Rules that assign items: on their creation and when they come back, in the transaction that does it; and again on demand.
//!
//! To whom is decided by [`domain::assignment`]; here the rules are kept, their conditions are compared set by set, and what is
//! decided is written.

use crate::audit::{self, Entry};
use crate::filter::compile;
use crate::items::{Followed, HistoryRow, LIST, write_history};
use crate::{Error, Result, Scalar, Sql, Transaction, assets, notices, record, settings, stage};
use domain::assignment::{Facts, Given, Kind, To, given};
use domain::filter::{Context, Filter, parse};
use domain::id::{AssetId, AssignmentRuleId, ItemId, UserId};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Items whose assignment one transaction looks at.
pub const PORTION: i64 = 5_000;

record! {
    /// A rule.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Rule {
        /// Key.
        pub id: AssignmentRuleId,
        /// Its name.
        pub name: String,
        /// Whether it is asked.
        pub active: bool,
        /// Lower is asked first.
        pub position: i64,
        /// Which items, in the query language of items; empty for all.
        pub condition: String,
        /// To whom.
        pub kind: Kind,
        /// The group; empty for other kinds.
        pub group_name: String,
        /// The person.
        pub user_id: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub user: String,
        /// What the tag begins with.
        pub tag_prefix: String,
        /// Counts the changes.
        pub version: i64,
        /// Items that have their assignment from it.
        pub items: i64,
    }
}

impl Rule {
    fn to(&self) -> To {
        To { kind: self.kind, group: self.group_name.clone(), user: self.user_id, prefix: self.tag_prefix.clone() }
    }

    /// What an item says that has its assignment from this rule.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("rule:{}", self.id)
    }

    fn resource(&self) -> String {
        format!("rules/assignment/{}", self.id)
    }
}

/// What people set of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether it is asked.
    pub active: bool,
    /// Lower is asked first.
    pub position: i64,
    /// Which items.
    pub condition: String,
    /// To whom.
    pub to: To,
}

const SELECT: &str = "SELECT r.id, r.name, r.active, r.position, r.condition, r.kind, r.group_name, r.user_id,
        coalesce(o.name, '') AS user, r.tag_prefix, r.version,
        (SELECT count(*) FROM vulnerable_item i
         WHERE i.assigned_by <> '' AND i.assigned_by = 'rule:' || CAST(r.id AS TEXT)) AS items
    FROM assignment_rule r LEFT JOIN account o ON o.id = r.user_id";

/// Every rule in the order in which they are asked.
///
/// # Errors
/// See [`Error`].
pub fn rules(tx: &mut Transaction<'_>) -> Result<Vec<Rule>> {
    tx.all_built(&Sql::new(SELECT).text(" ORDER BY r.position, r.id"))
}

/// One rule.
///
/// # Errors
/// [`Error::NotFound`] for an unknown one.
pub fn rule(tx: &mut Transaction<'_>, id: AssignmentRuleId) -> Result<Rule> {
    let found: Vec<Rule> = tx.all_built(&Sql::new(SELECT).text(" WHERE r.id = ").bind(&id))?;
    found.into_iter().next().ok_or(Error::NotFound)
}

fn noted(tx: &mut Transaction<'_>, author: &str, action: &str, rule: &Rule, now: Timestamp) -> Result<()> {
    let detail = serde_json::json!({
        "name": rule.name, "active": rule.active, "position": rule.position, "condition": rule.condition,
        "kind": rule.kind.as_str(), "group": rule.group_name, "user": rule.user, "tag_prefix": rule.tag_prefix,
    });
    audit::append(tx, &Entry { at: now, actor: author, action, resource: &rule.resource(), detail })?;
    Ok(())
}

/// Make a rule.
///
/// # Errors
/// See [`Error`].
pub fn create(tx: &mut Transaction<'_>, author: &str, wanted: &Wanted, now: Timestamp) -> Result<Rule> {
    let Wanted { name, active, position, condition, to } = wanted;
    let id: AssignmentRuleId = tx.insert(
        "INSERT INTO assignment_rule (name, active, position, condition, kind, group_name, user_id, tag_prefix, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) RETURNING id",
        &[name, active, position, condition, &to.kind, &to.group, &to.user, &to.prefix],
    )?;
    let rule = rule(tx, id)?;
    noted(tx, author, "rule.create", &rule, now)?;
    Ok(rule)
}

/// Change a rule; what it assigned stays as it is.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn change(tx: &mut Transaction<'_>, author: &str, before: &Rule, wanted: &Wanted, now: Timestamp) -> Result<Rule> {
    let Wanted { name, active, position, condition, to } = wanted;
    let changed = tx.execute(
        "UPDATE assignment_rule SET name = $3, active = $4, position = $5, condition = $6, kind = $7, group_name = $8,
             user_id = $9, tag_prefix = $10, version = version + 1
         WHERE id = $1 AND version = $2",
        &[&before.id, &before.version, name, active, position, condition, &to.kind, &to.group, &to.user, &to.prefix],
    )?;
    if changed != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    let rule = rule(tx, before.id)?;
    noted(tx, author, "rule.change", &rule, now)?;
    Ok(rule)
}

/// Delete a rule; what it assigned stays as it is.
///
/// # Errors
/// [`Error::Conflict`] with [`settings::CHANGED`] where somebody else was faster.
pub fn delete(tx: &mut Transaction<'_>, author: &str, rule: &Rule, now: Timestamp) -> Result<()> {
    let gone = tx.execute("DELETE FROM assignment_rule WHERE id = $1 AND version = $2", &[&rule.id, &rule.version])?;
    if gone != 1 {
        return Err(Error::Conflict(settings::CHANGED.to_owned()));
    }
    noted(tx, author, "rule.delete", rule, now)
}

record! {
    struct Candidate {
        id: ItemId,
        asset_id: AssetId,
        owner_id: Option<UserId>,
        owner: String,
        group_name: String,
        back: bool,
    }
}

macro_rules! candidates {
    ($rest:literal) => {
        concat!("SELECT i.id, i.asset_id, i.owner_id, coalesce(o.name, '') AS owner, i.group_name, ", $rest)
    };
}

/// What rules did, or would do, to a portion of items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Items that were looked at.
    pub looked: i64,
    /// Of each rule: items that it gives to somebody else than they have now.
    pub changed: BTreeMap<AssignmentRuleId, i64>,
    /// Of each rule: items that match and that it can give to nobody.
    pub skipped: BTreeMap<AssignmentRuleId, i64>,
    /// Where to go on; none at the end.
    pub next: Option<ItemId>,
}

/// Assign what is new or came back in this transaction.
pub(crate) fn follow(tx: &mut Transaction<'_>, followed: &Followed<'_>, now: Timestamp) -> Result<()> {
    let Followed { new, changed, by } = followed;
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    let rules = asked(tx, now)?;
    if rules.is_empty() {
        return Ok(());
    }
    let ids = |items: &[ItemId]| items.iter().map(|item| item.0).collect::<Vec<_>>();
    let mut items: Vec<Candidate> = tx.all(
        candidates!(
            "FALSE AS back FROM vulnerable_item i LEFT JOIN account o ON o.id = i.owner_id
             WHERE i.id {in $1} AND i.state <> 'closed' AND (i.assigned_by = '' OR i.assigned_by LIKE 'rule:%')
             ORDER BY i.id"
        ),
        &[&ids(new)],
    )?;
    // Whoever lets an item come back sets its last opening to this moment.
    items.extend(tx.all::<Candidate>(
        candidates!(
            "TRUE AS back FROM vulnerable_item i LEFT JOIN account o ON o.id = i.owner_id
             WHERE i.id {in $1} AND i.state <> 'closed' AND i.reopened > 0 AND i.opened_at = $2
               AND (i.assigned_by = '' OR i.assigned_by LIKE 'rule:%') ORDER BY i.id"
        ),
        &[&ids(changed), &now],
    )?);
    let mut done = Done::default();
    let rows = decide(tx, &rules, &items, &mut done)?;
    write(tx, &rows, &done, by, now)
}

/// Ask the rules again about a portion of the items that are not closed and that no person assigned, after the key `after`.
///
/// # Errors
/// See [`Error`].
pub fn again(
    tx: &mut Transaction<'_>,
    author: &str,
    after: Option<ItemId>,
    dry_run: bool,
    now: Timestamp,
) -> Result<Done> {
    let rules = asked(tx, now)?;
    let items: Vec<Candidate> = tx.all(
        candidates!(
            "FALSE AS back FROM vulnerable_item i LEFT JOIN account o ON o.id = i.owner_id
             WHERE i.id > $1 AND i.state <> 'closed' AND (i.assigned_by = '' OR i.assigned_by LIKE 'rule:%')
             ORDER BY i.id LIMIT $2"
        ),
        &[&after.unwrap_or(ItemId(0)), &PORTION],
    )?;
    let looked = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let next = items.last().map(|item| item.id).filter(|_| looked == PORTION);
    let mut done = Done { looked, next, ..Done::default() };
    let rows = decide(tx, &rules, &items, &mut done)?;
    if !dry_run {
        write(tx, &rows, &done, author, now)?;
    }
    Ok(done)
}

/// How many items a condition matches now, that rules may touch; counted up to `most`.
///
/// # Errors
/// See [`Error`].
pub fn matching(tx: &mut Transaction<'_>, filter: &Filter, most: i64, now: Timestamp) -> Result<i64> {
    let sql = Sql::new("SELECT count(*) FROM (SELECT 1 AS one FROM ")
        .text(LIST.from)
        .text(" WHERE i.state <> 'closed' AND (i.assigned_by = '' OR i.assigned_by LIKE 'rule:%') AND ");
    let sql = sql.append(compile(filter, LIST.fields, LIST.columns, &Context::at(now))?).text(" LIMIT ").bind(&most);
    tx.scalar_built(&sql.text(") AS matched"))
}

/// A rule that is asked, with its condition as SQL.
struct Asked {
    rule: Rule,
    condition: Sql,
}

fn asked(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<Asked>> {
    let any: i64 = tx.scalar("SELECT count(*) FROM assignment_rule WHERE active", &[])?;
    if any == 0 {
        return Ok(Vec::new());
    }
    let mut asked = Vec::new();
    for rule in rules(tx)?.into_iter().filter(|rule| rule.active) {
        // It was read when it was saved; a word that a newer version took away must not stop an import.
        match parse(&rule.condition, LIST.fields) {
            Ok(filter) => {
                let condition = compile(&filter, LIST.fields, LIST.columns, &Context::at(now))?;
                asked.push(Asked { rule, condition });
            }
            Err(error) => {
                tracing::warn!("the assignment rule \"{}\" cannot be read and is left out: {error}", rule.name);
            }
        }
    }
    Ok(asked)
}

struct GivenRow {
    item_id: ItemId,
    owner_id: Option<UserId>,
    group_name: String,
    assigned_by: String,
    /// For the history.
    before: String,
    after: String,
    cause: String,
}
stage!(GivenRow as "item_given_batch" {
    item_id: ItemId, owner_id: Option<UserId>, group_name: String, assigned_by: String,
});

/// Whom the first rule that can gives each item to, where that is somebody else than it has now.
fn decide(tx: &mut Transaction<'_>, rules: &[Asked], items: &[Candidate], done: &mut Done) -> Result<Vec<GivenRow>> {
    if rules.is_empty() || items.is_empty() {
        return Ok(Vec::new());
    }
    let groups: Vec<(String,)> = tx.all("SELECT name FROM account_group", &[])?;
    let groups: BTreeSet<String> = groups.into_iter().map(|(name,)| name).collect();
    let people: Vec<(UserId, String)> = tx.all("SELECT id, name FROM account WHERE active", &[])?;
    let people: HashMap<UserId, String> = people.into_iter().collect();
    let tags: HashMap<AssetId, Vec<String>> = if rules.iter().any(|asked| asked.rule.kind == Kind::Tag) {
        let on: BTreeSet<AssetId> = items.iter().map(|item| item.asset_id).collect();
        assets::tags(tx, &on.into_iter().collect::<Vec<_>>())?
    } else {
        HashMap::new()
    };
    let mut left: BTreeMap<ItemId, &Candidate> = items.iter().map(|item| (item.id, item)).collect();
    let mut rows = Vec::new();
    for Asked { rule, condition } in rules {
        if left.is_empty() {
            break;
        }
        for id in matched(tx, condition, &left)? {
            let Some(&item) = left.get(&id) else { continue };
            let now = Given { owner: item.owner_id, group: item.group_name.clone() };
            let tags = tags.get(&item.asset_id).map(Vec::as_slice).unwrap_or_default();
            let facts = Facts { now: &now, reopened: item.back, tags };
            match given(&rule.to(), facts, |name| groups.contains(name), |user| people.contains_key(&user)) {
                None => *done.skipped.entry(rule.id).or_default() += 1,
                Some(given) => {
                    left.remove(&id);
                    if given != now {
                        *done.changed.entry(rule.id).or_default() += 1;
                        let owner = given.owner.and_then(|user| people.get(&user)).map_or("", String::as_str);
                        rows.push(GivenRow {
                            item_id: id,
                            owner_id: given.owner,
                            after: said(owner, &given.group),
                            group_name: given.group,
                            assigned_by: rule.mark(),
                            before: said(&item.owner, &item.group_name),
                            cause: rule.resource(),
                        });
                    }
                }
            }
        }
    }
    Ok(rows)
}

/// Those of the items that are left which meet a condition.
fn matched(tx: &mut Transaction<'_>, condition: &Sql, left: &BTreeMap<ItemId, &Candidate>) -> Result<Vec<ItemId>> {
    let keys: Vec<i64> = left.keys().map(|item| item.0).collect();
    let sql = Sql::new("SELECT i.id FROM ").text(LIST.from).text(" WHERE i.id {in ").bind(&keys).text("} AND (");
    let rows: Vec<Scalar<ItemId>> = tx.all_built(&sql.append(condition.clone()).text(") ORDER BY 1"))?;
    Ok(rows.into_iter().map(|Scalar(item)| item).collect())
}

fn said(owner: &str, group: &str) -> String {
    [owner, group].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}

fn write(tx: &mut Transaction<'_>, rows: &[GivenRow], done: &Done, by: &str, now: Timestamp) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.stage(rows)?;
    tx.execute(
        "UPDATE vulnerable_item SET owner_id = b.owner_id, group_name = b.group_name, assigned_by = b.assigned_by,
             assigned_at = $1, updated_at = $1
         FROM item_given_batch b WHERE vulnerable_item.id = b.item_id",
        &[&now],
    )?;
    let to: BTreeSet<(Option<UserId>, &str)> = rows.iter().map(|row| (row.owner_id, row.group_name.as_str())).collect();
    for (owner, group) in to {
        notices::given(tx, by, owner, group, now)?;
    }
    let mut lines: BTreeMap<&str, Vec<HistoryRow>> = BTreeMap::new();
    for row in rows {
        let line = HistoryRow {
            item_id: row.item_id,
            what: "assignment",
            before: row.before.clone(),
            after: row.after.clone(),
        };
        lines.entry(&row.cause).or_default().push(line);
    }
    for (cause, lines) in &lines {
        write_history(tx, lines, cause, now)?;
    }
    let rules: BTreeMap<String, i64> = done.changed.iter().map(|(rule, items)| (rule.to_string(), *items)).collect();
    let detail = serde_json::json!({ "rules": rules, "items": rows.len(), "cause": by });
    audit::append(tx, &Entry { at: now, actor: "rules/assignment", action: "item.assign", resource: "items", detail })?;
    Ok(())
}
