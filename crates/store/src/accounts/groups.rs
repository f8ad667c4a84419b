//! Groups of people, by name: the list, and who is in one.

use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{self, List, Page, Query, Sort};
use crate::{Error, Result, Transaction, record};
use domain::filter::{Field, Fields, Kind};
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// A group and its members' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Sign-in names of the members, in order.
    pub members: Vec<String>,
}

/// Groups: what can be asked for and sorted by.
pub const GROUPS: List = List {
    name: "groups",
    select: "account_group.id, account_group.name",
    from: "account_group",
    key: "account_group.id",
    fields: &Fields {
        fields: &[
            Field { name: "name", kind: Kind::Name, doc: "name of the group" },
            Field { name: "member", kind: Kind::Person, doc: "a member" },
        ],
        flags: &[],
        free: &["name"],
    },
    columns: &[
        Column::one("name", "account_group.name"),
        Column::many(
            "member",
            "account_group_member JOIN account ON account.id = account_group_member.account_id
                       WHERE account_group_member.group_id = account_group.id",
            "account.name",
        ),
    ],
    sorts: &[Sort::text("name", "account_group.name")],
};

record! {
    struct GroupRow {
        id: i64,
        name: String,
    }
}

/// A page of groups.
///
/// # Errors
/// See [`list::Error`].
pub fn groups(tx: &mut Transaction<'_>, query: &Query) -> Result<Page<Group>, list::Error> {
    let page = list::page::<GroupRow>(tx, &GROUPS, None, query)?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for group in page.rows {
        let members: Vec<(String,)> = tx.all(
            "SELECT a.name FROM account_group_member m JOIN account a ON a.id = m.account_id
             WHERE m.group_id = $1 ORDER BY a.name",
            &[&group.id],
        )?;
        rows.push(Group { name: group.name, members: members.into_iter().map(|(name,)| name).collect() });
    }
    Ok(Page { rows, next_cursor: page.next_cursor })
}

/// The names of a group's members, in order; none where there is no such group.
///
/// # Errors
/// See [`Error`].
pub fn members(tx: &mut Transaction<'_>, name: &str) -> Result<Vec<String>> {
    let members: Vec<(String,)> = tx.all(
        "SELECT a.name FROM account_group_member m JOIN account a ON a.id = m.account_id
             JOIN account_group g ON g.id = m.group_id
         WHERE g.name = $1 ORDER BY a.name",
        &[&name],
    )?;
    Ok(members.into_iter().map(|(name,)| name).collect())
}

/// Make a group where there is none of this name, and give it exactly these members.
///
/// # Errors
/// [`Error::NotFound`] where a member has no account.
pub fn set_group(tx: &mut Transaction<'_>, by: &str, name: &str, members: &[String], now: Timestamp) -> Result<()> {
    let detail = serde_json::json!({ "members": members });
    let resource = format!("groups/{name}");
    audit::append(tx, &Entry { at: now, actor: by, action: "group.change", resource: &resource, detail })?;
    tx.execute(
        "INSERT INTO account_group (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        &[&name, &now.micros()],
    )?;
    let group: i64 = tx.scalar("SELECT id FROM account_group WHERE name = $1", &[&name])?;
    tx.execute("DELETE FROM account_group_member WHERE group_id = $1", &[&group])?;
    let members: Vec<String> = members.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let added = tx.execute(
        "INSERT INTO account_group_member (group_id, account_id)
         SELECT $1, id FROM account WHERE name {in $2}",
        &[&group, &members],
    )?;
    if added == members.len() as u64 { Ok(()) } else { Err(Error::NotFound) }
}

/// Remove a group; whether there was one.
///
/// # Errors
/// See [`Error`].
pub fn remove_group(tx: &mut Transaction<'_>, by: &str, name: &str, now: Timestamp) -> Result<bool> {
    tx.execute(
        "DELETE FROM account_group_member WHERE group_id = (SELECT id FROM account_group WHERE name = $1)",
        &[&name],
    )?;
    let removed = tx.execute("DELETE FROM account_group WHERE name = $1", &[&name])? > 0;
    if removed {
        let resource = format!("groups/{name}");
        let detail = serde_json::Value::Null;
        audit::append(tx, &Entry { at: now, actor: by, action: "group.remove", resource: &resource, detail })?;
    }
    Ok(removed)
}
