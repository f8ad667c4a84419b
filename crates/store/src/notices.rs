//! Notices that are collected: who is to be told of what since when, and what stands in the letter.
//!
//! Only who and since when is kept. What it is about is looked up when the letter is written, as its reader sees it then: what went to
//! somebody and away again is not told.

use crate::items::{ItemRow, LIST, visible};
use crate::{Record, Result, Row, Sql, Transaction, settings};
use domain::access::{Action, Actor};
use domain::id::UserId;
use domain::notice::{Kind, MEMBERS_MAX};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the setting.
pub const SETTING: &str = "notices";
/// Items that one transaction marks as told of.
pub const PORTION: i64 = 5_000;

/// Which notices are written, for everybody or for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// About what is newly assigned.
    pub assigned: bool,
    /// About what became overdue.
    pub overdue: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes { assigned: true, overdue: true }
    }
}

impl Wishes {
    /// Whether this kind is written.
    #[must_use]
    pub fn wants(self, kind: Kind) -> bool {
        match kind {
            Kind::Assigned => self.assigned,
            Kind::Overdue => self.overdue,
        }
    }
}

/// What is written at all.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn everywhere(tx: &mut Transaction<'_>) -> Result<Wishes> {
    Ok(settings::get(tx, SETTING)?.map(|setting| setting.value).unwrap_or_default())
}

/// What one account wants.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn wishes(tx: &mut Transaction<'_>, account: UserId) -> Result<Wishes> {
    let off: Option<(String,)> = tx.optional("SELECT off FROM notice_account WHERE account_id = $1", &[&account])?;
    let off = off.map(|(off,)| off).unwrap_or_default();
    let is_off = |kind: Kind| off.split(' ').any(|word| word == kind.as_str());
    Ok(Wishes { assigned: !is_off(Kind::Assigned), overdue: !is_off(Kind::Overdue) })
}

/// Remember what one account wants.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_wishes(tx: &mut Transaction<'_>, account: UserId, wishes: Wishes) -> Result<()> {
    let off: Vec<&str> = Kind::ALL.into_iter().filter(|kind| !wishes.wants(*kind)).map(Kind::as_str).collect();
    tx.execute(
        "INSERT INTO notice_account (account_id, off, day, letters) VALUES ($1, $2, 0, 0)
         ON CONFLICT (account_id) DO UPDATE SET off = excluded.off",
        &[&account, &crate::accounts::words(off)],
    )
    .map(|_| ())
}

/// Something was given to a person, or to a group that a person has to come from: they are to be told, but not who did it. `author` is
/// who, as the audit names him.
///
/// # Errors
/// See [`Error`](crate::Error).
pub(crate) fn given(
    tx: &mut Transaction<'_>,
    author: &str,
    owner: Option<UserId>,
    group: &str,
    now: Timestamp,
) -> Result<()> {
    let but = author.strip_prefix("users/").unwrap_or_default();
    match owner {
        Some(owner) => tell(tx, Kind::Assigned, &[owner.0], but, now),
        None if group.is_empty() => Ok(()),
        None => {
            let members = members(tx, &[group.to_owned()])?;
            tell(tx, Kind::Assigned, &members, but, now)
        }
    }
}

/// The active members of each of these groups that have an address, at most [`MEMBERS_MAX`] of each.
fn members(tx: &mut Transaction<'_>, groups: &[String]) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        "SELECT account_id FROM (
             SELECT m.account_id, row_number() OVER (PARTITION BY m.group_id ORDER BY m.account_id) AS place
             FROM account_group_member m JOIN account_group g ON g.id = m.group_id JOIN account a ON a.id = m.account_id
             WHERE g.name {in $1} AND a.active AND a.email <> '') AS placed
         WHERE place <= $2 GROUP BY account_id ORDER BY account_id",
        &[&groups, &MEMBERS_MAX],
    )?;
    Ok(rows.into_iter().map(|(account,)| account).collect())
}

/// These accounts are to be told, as far as they can be and want to; of what is collected already the oldest counts.
fn tell(tx: &mut Transaction<'_>, kind: Kind, accounts: &[i64], but: &str, now: Timestamp) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO notice_due (account_id, kind, at)
         SELECT a.id, $2, $3 FROM account a LEFT JOIN notice_account n ON n.account_id = a.id
         WHERE a.id {in $1} AND a.active AND a.email <> '' AND a.name <> $4
           AND coalesce(n.off, '') NOT LIKE '% ' || $2 || ' %'
         ON CONFLICT (account_id, kind) DO NOTHING",
        &[&accounts, &kind.as_str(), &now, &but],
    )
    .map(|_| ())
}

/// Mark a portion of the items that are overdue and that nobody was told of, and note who is to be told; `true` where there is more.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn mark_overdue(tx: &mut Transaction<'_>, now: Timestamp) -> Result<bool> {
    let marked: Vec<(Option<UserId>, String)> = tx.all(
        "UPDATE vulnerable_item SET due_told_at = $1
         WHERE id IN (SELECT i.id FROM vulnerable_item i
                      WHERE i.due_at < $1 AND i.due_told_at IS NULL AND (i.owner_id IS NOT NULL OR i.group_name <> '')
                        AND i.state NOT IN ('closed', 'in_review', 'deferred', 'resolved')
                      ORDER BY i.due_at, i.id LIMIT $2)
         RETURNING owner_id, group_name",
        &[&now, &PORTION],
    )?;
    let mut people: Vec<i64> = marked.iter().filter_map(|(owner, _)| owner.map(|owner| owner.0)).collect();
    let mut groups: Vec<String> =
        marked.iter().filter(|(owner, _)| owner.is_none()).map(|(_, group)| group.clone()).collect();
    groups.sort_unstable();
    groups.dedup();
    people.extend(members(tx, &groups)?);
    people.sort_unstable();
    people.dedup();
    tell(tx, Kind::Overdue, &people, "", now)?;
    Ok(i64::try_from(marked.len()).unwrap_or(i64::MAX) == PORTION)
}

/// Whether [`mark_overdue`] has something to do.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn any_overdue(tx: &mut Transaction<'_>, now: Timestamp) -> Result<bool> {
    let found: i64 = tx.scalar(
        "SELECT count(*) FROM (SELECT 1 AS one FROM vulnerable_item i
             WHERE i.due_at < $1 AND i.due_told_at IS NULL AND (i.owner_id IS NOT NULL OR i.group_name <> '')
               AND i.state NOT IN ('closed', 'in_review', 'deferred', 'resolved') LIMIT 1) AS late",
        &[&now],
    )?;
    Ok(found > 0)
}

/// Somebody who is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Who.
    pub account: UserId,
    /// Of what.
    pub kind: Kind,
    /// Since when it is collected.
    pub at: Timestamp,
    /// The day of the last letter, and how many there were on it.
    pub day: i64,
    /// See `day`.
    pub letters: i64,
}

impl Record for Due {
    fn read(row: &Row<'_>) -> Result<Self> {
        let word: String = row.get("kind")?;
        let kind = Kind::parse(&word)
            .ok_or_else(|| crate::Error::failed(format!("could not read the notice \"{word}\""), "unknown kind"))?;
        Ok(Due {
            account: row.get("account_id")?,
            kind,
            at: row.get("at")?,
            day: row.get("day")?,
            letters: row.get("letters")?,
        })
    }
}

/// Who is to be told, those that wait longest first, at most 1,000.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn due(tx: &mut Transaction<'_>) -> Result<Vec<Due>> {
    tx.all(
        "SELECT d.account_id, d.kind, d.at, coalesce(n.day, 0) AS day, coalesce(n.letters, 0) AS letters
         FROM notice_due d LEFT JOIN notice_account n ON n.account_id = d.account_id ORDER BY d.at, d.account_id LIMIT 1000",
        &[],
    )
}

/// What a letter is about: how many items, and the first of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// All.
    pub count: i64,
    /// Those with the highest scores.
    pub items: Vec<ItemRow>,
}

/// The items that are given to the actor, or to one of his groups and nobody in particular, and that he is to be told of: of this kind,
/// since then.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn told(tx: &mut Transaction<'_>, actor: &Actor, due: &Due, most: i64, now: Timestamp) -> Result<Told> {
    let groups: Vec<String> = actor.groups.iter().cloned().collect();
    let mut sql = Sql::new("(i.owner_id = ").bind(&actor.user).text(" OR i.owner_id IS NULL AND i.group_name {in ");
    sql = sql.bind(&groups).text("}) AND i.state <> 'closed'");
    sql = match due.kind {
        // Of what he took himself nobody has to tell him.
        Kind::Assigned => sql
            .text(" AND i.assigned_at >= ")
            .bind(&due.at)
            .text(
                " AND NOT EXISTS (SELECT 1 FROM item_history h WHERE h.item_id = i.id AND h.what = 'assignment'
                      AND h.at = i.assigned_at AND h.cause = ",
            )
            .bind(&format!("users/{}", actor.name))
            .text(")"),
        Kind::Overdue => sql
            .text(" AND i.state NOT IN ('in_review', 'deferred', 'resolved') AND i.due_at < ")
            .bind(&now)
            .text(" AND i.due_told_at >= ")
            .bind(&due.at),
    };
    if let Some(clip) = visible(actor, Action::ItemsView) {
        sql = sql.text(" AND (").append(clip).text(")");
    }
    let count: i64 = tx.scalar_built(&Sql::new("SELECT count(*) FROM vulnerable_item i WHERE ").append(sql.clone()))?;
    let first = Sql::new("SELECT i.id FROM vulnerable_item i WHERE ").append(sql);
    let first = first.text(" ORDER BY i.residual DESC, i.id LIMIT ").bind(&most);
    let mut items: Vec<ItemRow> = LIST.rows(tx, Sql::new("i.id IN (").append(first).text(")"))?;
    items.sort_by_key(|item| (std::cmp::Reverse(item.residual), item.id));
    Ok(Told { count, items })
}

/// Somebody was told, or need not be any more; `false` where another replica did so meanwhile.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn done(tx: &mut Transaction<'_>, due: &Due, wrote: bool, day: i64) -> Result<bool> {
    let gone = tx.execute(
        "DELETE FROM notice_due WHERE account_id = $1 AND kind = $2 AND at = $3",
        &[&due.account, &due.kind.as_str(), &due.at],
    )?;
    if gone == 1 && wrote && due.kind == Kind::Assigned {
        tx.execute(
            "INSERT INTO notice_account (account_id, off, day, letters) VALUES ($1, '', $2, 1)
             ON CONFLICT (account_id) DO UPDATE SET
                 letters = CASE WHEN notice_account.day = excluded.day THEN notice_account.letters + 1 ELSE 1 END,
                 day = excluded.day",
            &[&due.account, &day],
        )?;
    }
    Ok(gone == 1)
}
