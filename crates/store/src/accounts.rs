//! Accounts and groups of people. Passwords arrive here as hashes; who may change what is decided before.

mod groups;

pub use groups::{GROUPS, Group, groups, members, remove_group, set_group};

use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{self, List, Page, Query, Sort};
use crate::{Error, Result, Transaction, record};
use domain::access::{Actor, AssetScope, Role, TokenScope};
use domain::filter::{Field, Fields, Kind};
use domain::id::UserId;
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// An account with its groups.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Key.
    pub id: UserId,
    /// Sign-in name, folded.
    pub name: String,
    /// What people call the user.
    pub full_name: String,
    /// Where notices go; may be empty.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// Has to be replaced at the next sign-in.
    pub password_temporary: bool,
    /// Roles.
    pub roles: BTreeSet<Role>,
    /// Assets the user may know of.
    pub scope: AssetScope,
    /// May sign in.
    pub active: bool,
    /// Counts the edits.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was edited last.
    pub changed_at: Timestamp,
    /// When the user signed in last.
    pub signed_in_at: Option<Timestamp>,
    /// Names of the user's groups.
    pub groups: BTreeSet<String>,
}

/// Without the password's hash.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// The account as the one who asks; `token_scopes` when it asks by token.
    #[must_use]
    pub fn actor(&self, token_scopes: Option<BTreeSet<TokenScope>>) -> Actor {
        Actor {
            user: self.id,
            name: self.name.clone(),
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            scope: self.scope.clone(),
            token_scopes,
        }
    }

    /// The account as a record that permissions are asked about.
    #[must_use]
    pub fn access_record(&self) -> domain::access::Record {
        domain::access::Record {
            guarded: self.roles.contains(&Role::SuperUser),
            scope: Some(self.scope.clone()),
            ..domain::access::Record::owned_by(self.id)
        }
    }
}

record! {
    struct AccountRow {
        id: i64,
        name: String,
        full_name: String,
        email: String,
        password_hash: String,
        password_temporary: bool,
        roles: String,
        scope: Option<String>,
        active: bool,
        version: i64,
        created_at: i64,
        changed_at: i64,
        signed_in_at: Option<i64>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, full_name, email, password_hash, password_temporary, roles, scope, active, version,
                    created_at, changed_at, signed_in_at
             FROM account ",
            $rest
        )
    };
}

/// What a new account begins with.
#[derive(Clone)]
pub struct NewAccount {
    /// Sign-in name, folded.
    pub name: String,
    /// What people call the user.
    pub full_name: String,
    /// Where notices go; may be empty.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// Has to be replaced at the first sign-in.
    pub password_temporary: bool,
    /// Roles.
    pub roles: BTreeSet<Role>,
    /// Assets the user may know of.
    pub scope: AssetScope,
}

/// The words of a set in one text, each between spaces, so that `LIKE '% word %'` finds one.
pub(crate) fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut text = " ".to_owned();
    for word in words {
        text.push_str(word);
        text.push(' ');
    }
    text
}

/// The scope as it is stored.
fn scope_text(scope: &AssetScope) -> Option<String> {
    match scope {
        AssetScope::All => None,
        AssetScope::Tags(tags) => Some(serde_json::to_string(tags).expect("a set of texts is plain data")),
    }
}

fn whole(tx: &mut Transaction<'_>, row: AccountRow) -> Result<Account> {
    let damaged = |what: &str, source: String| {
        Error::failed(format!("could not read the {what} of the account {}", row.name), source)
    };
    // An unknown word would silently take or give power: the record is refused instead.
    let roles = row
        .roles
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<BTreeSet<Role>, _>>()
        .map_err(|error| damaged("roles", error.to_string()))?;
    let scope = match &row.scope {
        None => AssetScope::All,
        Some(text) => {
            AssetScope::Tags(serde_json::from_str(text).map_err(|error| damaged("scope", error.to_string()))?)
        }
    };
    let groups: Vec<(String,)> = tx.all(
        "SELECT g.name FROM account_group_member m JOIN account_group g ON g.id = m.group_id
         WHERE m.account_id = $1 ORDER BY g.name",
        &[&row.id],
    )?;
    Ok(Account {
        id: UserId(row.id),
        name: row.name,
        full_name: row.full_name,
        email: row.email,
        password_hash: row.password_hash,
        password_temporary: row.password_temporary,
        roles,
        scope,
        active: row.active,
        version: row.version,
        created_at: Timestamp::from_micros(row.created_at),
        changed_at: Timestamp::from_micros(row.changed_at),
        signed_in_at: row.signed_in_at.map(Timestamp::from_micros),
        groups: groups.into_iter().map(|(name,)| name).collect(),
    })
}

/// The account of this folded name.
///
/// # Errors
/// See [`Error`].
pub fn by_name(tx: &mut Transaction<'_>, name: &str) -> Result<Option<Account>> {
    let row: Option<AccountRow> = tx.optional(select!("WHERE name = $1"), &[&name])?;
    row.map(|row| whole(tx, row)).transpose()
}

/// The account of this key.
///
/// # Errors
/// See [`Error`].
pub fn by_id(tx: &mut Transaction<'_>, id: UserId) -> Result<Option<Account>> {
    let row: Option<AccountRow> = tx.optional(select!("WHERE id = $1"), &[&id.0])?;
    row.map(|row| whole(tx, row)).transpose()
}

/// The active accounts that see every asset and have an address, in the order they were made: who may be told of the whole fleet.
///
/// # Errors
/// See [`Error`].
pub fn addressed(tx: &mut Transaction<'_>) -> Result<Vec<Account>> {
    let rows: Vec<AccountRow> = tx.all(select!("WHERE active AND email <> '' AND scope IS NULL ORDER BY id"), &[])?;
    rows.into_iter().map(|row| whole(tx, row)).collect()
}

/// Names by key, for showing owners and authors; every account ever made is in it.
///
/// # Errors
/// See [`Error`].
pub fn names(tx: &mut Transaction<'_>, ids: &[UserId]) -> Result<Vec<(UserId, String)>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<(i64, String)> = tx.all("SELECT id, name FROM account WHERE id {in $1} ORDER BY id", &[&ids])?;
    Ok(rows.into_iter().map(|(id, name)| (UserId(id), name)).collect())
}

/// Whether there is any account.
///
/// # Errors
/// See [`Error`].
pub fn any(tx: &mut Transaction<'_>) -> Result<bool> {
    let count: i64 = tx.scalar("SELECT count(*) FROM account", &[])?;
    Ok(count > 0)
}

/// How many active SuperUsers there are besides this account.
///
/// # Errors
/// See [`Error`].
pub fn other_super_users(tx: &mut Transaction<'_>, but: UserId) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM account WHERE active AND roles LIKE '% super_user %' AND id <> $1", &[&but.0])
}

/// What an audit entry says of power.
fn power(roles: &BTreeSet<Role>, scope: &AssetScope) -> serde_json::Value {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let scope = match scope {
        AssetScope::All => serde_json::Value::Null,
        AssetScope::Tags(tags) => serde_json::json!(tags),
    };
    serde_json::json!({ "roles": roles, "scope": scope })
}

fn note(
    tx: &mut Transaction<'_>,
    by: &str,
    action: &str,
    name: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<()> {
    audit::append(tx, &Entry { at: now, actor: by, action, resource: &format!("users/{name}"), detail })?;
    Ok(())
}

/// Make an account; gives its key. `by` is the audit's name of who does it.
///
/// # Errors
/// [`Error::Conflict`] with `account_name` where the name is taken.
pub fn create(tx: &mut Transaction<'_>, by: &str, new: &NewAccount, now: Timestamp) -> Result<UserId> {
    let roles = words(new.roles.iter().map(|role| role.as_str()));
    let id: i64 = tx.insert(
        "INSERT INTO account (name, full_name, email, password_hash, password_temporary, roles, scope, active, version,
                              created_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, true, 1, $8, $8) RETURNING id",
        &[
            &new.name,
            &new.full_name,
            &new.email,
            &new.password_hash,
            &new.password_temporary,
            &roles,
            &scope_text(&new.scope),
            &now.micros(),
        ],
    )?;
    note(tx, by, "user.create", &new.name, power(&new.roles, &new.scope), now)?;
    Ok(UserId(id))
}

/// Write back what may be edited of an account (names, roles, scope, active); false where `version` is no longer the
/// stored one, so somebody else was faster.
///
/// # Errors
/// See [`Error`].
pub fn save(tx: &mut Transaction<'_>, by: &str, account: &Account, now: Timestamp) -> Result<bool> {
    let Some(before) = by_id(tx, account.id)? else { return Ok(false) };
    let roles = words(account.roles.iter().map(|role| role.as_str()));
    let changed = tx.execute(
        "UPDATE account SET full_name = $1, email = $2, roles = $3, scope = $4, active = $5, version = version + 1,
                            changed_at = $6
         WHERE id = $7 AND version = $8",
        &[
            &account.full_name,
            &account.email,
            &roles,
            &scope_text(&account.scope),
            &account.active,
            &now.micros(),
            &account.id.0,
            &account.version,
        ],
    )?;
    if changed != 1 {
        return Ok(false);
    }
    let detail = serde_json::json!({
        "before": power(&before.roles, &before.scope), "after": power(&account.roles, &account.scope),
        "active": account.active,
    });
    let action = match (before.active, account.active) {
        (true, false) => "user.disable",
        (false, true) => "user.enable",
        _ => "user.change",
    };
    note(tx, by, action, &account.name, detail, now)?;
    Ok(true)
}

/// Replace a password's hash.
///
/// # Errors
/// [`Error::NotFound`] where there is no such account.
pub fn set_password(
    tx: &mut Transaction<'_>,
    by: &str,
    id: UserId,
    hash: &str,
    temporary: bool,
    now: Timestamp,
) -> Result<()> {
    let account = by_id(tx, id)?.ok_or(Error::NotFound)?;
    note(tx, by, "user.password", &account.name, serde_json::json!({ "temporary": temporary }), now)?;
    tx.execute(
        "UPDATE account SET password_hash = $1, password_temporary = $2, version = version + 1, changed_at = $3
         WHERE id = $4",
        &[&hash, &temporary, &now.micros(), &id.0],
    )?;
    Ok(())
}

/// Note a sign-in.
///
/// # Errors
/// See [`Error`].
pub fn signed_in(tx: &mut Transaction<'_>, id: UserId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE account SET signed_in_at = $1 WHERE id = $2", &[&now.micros(), &id.0])?;
    Ok(())
}

/// Users: what can be asked for and sorted by.
pub const USERS: List = List {
    name: "users",
    select: "account.id, account.name, account.full_name, account.email, account.password_hash,
             account.password_temporary, account.roles, account.scope, account.active, account.version,
             account.created_at, account.changed_at, account.signed_in_at",
    from: "account",
    key: "account.id",
    fields: &Fields {
        fields: &[
            Field { name: "name", kind: Kind::Name, doc: "sign-in name" },
            Field { name: "full_name", kind: Kind::Text, doc: "what people call the user" },
            Field { name: "email", kind: Kind::Text, doc: "address for notices" },
            Field { name: "role", kind: Kind::Text, doc: "a role, as job_author" },
            Field { name: "group", kind: Kind::Name, doc: "a group the user is a member of" },
            Field { name: "active", kind: Kind::Truth, doc: "may sign in" },
            Field { name: "created", kind: Kind::Instant, doc: "when the account was made" },
            Field { name: "seen", kind: Kind::Instant, doc: "when the user signed in last" },
        ],
        flags: &[],
        free: &["name", "full_name", "email"],
    },
    columns: &[
        Column::one("name", "account.name"),
        Column::one("full_name", "account.full_name"),
        Column::one("email", "account.email"),
        Column::one("role", "account.roles"),
        Column::many(
            "group",
            "account_group_member JOIN account_group ON account_group.id = account_group_member.group_id
                       WHERE account_group_member.account_id = account.id",
            "account_group.name",
        ),
        Column::one("active", "account.active"),
        Column::one("created", "account.created_at"),
        Column::one("seen", "account.signed_in_at"),
    ],
    sorts: &[
        Sort::text("name", "account.name"),
        Sort::whole("state", "CAST(account.active AS INTEGER)"),
        Sort::whole("created", "account.created_at"),
        Sort::whole("seen", "account.signed_in_at").or_null(),
    ],
};

/// A page of users.
///
/// # Errors
/// See [`list::Error`].
pub fn page(tx: &mut Transaction<'_>, query: &Query) -> Result<Page<Account>, list::Error> {
    let page = list::page::<AccountRow>(tx, &USERS, None, query)?;
    let rows = page.rows.into_iter().map(|row| whole(tx, row)).collect::<Result<Vec<_>>>()?;
    Ok(Page { rows, next_cursor: page.next_cursor })
}
