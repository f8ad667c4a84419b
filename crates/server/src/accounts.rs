//! Making and changing accounts, groups and tokens: what the API and the pages both do, asked and audited once.

use crate::app::App;
use crate::clock::system_now;
use crate::config::Config;
use crate::http::auth::{Caller, Proof};
use crate::http::conditional::changed_meanwhile;
use crate::http::error::Error;
use crate::http::secret;
use crate::passwords::{self, Passwords};
use domain::access::{Action, AssetScope, Reach, Record, Role, TOKEN_SCOPES, TokenScope, reach};
use domain::account;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use protocol::api::accounts::{NewToken, NewUser, UserChange};
use protocol::problem::FieldError;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use store::accounts::{self, Account, NewAccount};
use store::tokens::{self, Token, Whose};
use store::{Transaction, sessions};

/// Days a token lives when nobody says.
pub const TOKEN_DAYS_DEFAULT: i64 = 90;
/// Days a token lives at most.
pub const TOKEN_DAYS_MAX: i64 = 366;
/// Tags in an asset scope at most.
const TAGS_MAX: usize = 100;
/// Members of a group at most.
const MEMBERS_MAX: usize = 1_000;
/// Characters in a free text.
const TEXT_CHARS_MAX: usize = 200;

/// Make a user with a one-time password, which is given back and stored nowhere.
///
/// # Errors
/// Without the permission (roles and scope need that of changing roles), for unacceptable fields, for a taken name.
pub async fn create_user(app: &App, caller: &Caller, new: NewUser) -> Result<(Account, String), Error> {
    caller.may(Action::UserManage, &Record::default())?;
    let mut errors = Vec::new();
    let name = account::name(&new.name);
    let name = name.map_err(|error| errors.push(FieldError::new("name", error.code(), error.to_string())));
    let roles = match new.roles {
        None => BTreeSet::from([Role::ReadOnly]),
        Some(given) => words::<Role>("roles", &given, &mut errors),
    };
    let scope = new.scope.map_or(AssetScope::All, |tags| scope(tags, &mut errors));
    text("full_name", &new.full_name, &mut errors);
    text("email", &new.email, &mut errors);
    let (Ok(name), true) = (name, errors.is_empty()) else { return Err(Error::Invalid(errors)) };
    // Read-only on all assets hands out no power; anything else does. A scoped administrator cannot make an account
    // that sees more than he does.
    if roles != BTreeSet::from([Role::ReadOnly]) || !scope.within(&caller.scope) {
        caller.may(Action::RolesChange, &Record::default())?;
    }
    let password = passwords::one_time();
    let new = NewAccount {
        name,
        full_name: new.full_name,
        email: new.email,
        password_hash: app.passwords.hash(password.clone()).await?,
        password_temporary: true,
        roles,
        scope,
    };
    let (author, now) = (caller.author(), app.clock.now());
    let made = app.database.try_write(move |tx| -> Result<Account, Error> {
        let id = accounts::create(tx, &author, &new, now)?;
        Ok(accounts::by_id(tx, id)?.ok_or(store::Error::NotFound)?)
    });
    match made.await {
        Err(Error::Problem(problem)) if problem.detail.contains("account_name") => {
            Err(Error::field("name", "taken", "there is already a user of this name"))
        }
        made => Ok((made?, password)),
    }
}

/// Change a user, where `seen` (the version the client has seen) is still the present one.
///
/// # Errors
/// Without the permission, for unacceptable fields, where somebody else was faster, and where no SuperUser would remain.
pub async fn change_user(
    app: &App,
    caller: &Caller,
    name: String,
    change: UserChange,
    seen: Option<i64>,
) -> Result<Account, Error> {
    caller.may(Action::UserManage, &Record::default())?;
    let mut errors = Vec::new();
    let roles = change.roles.map(|given| words::<Role>("roles", &given, &mut errors));
    let scope = change.scope.map(|change| change.tags.map_or(AssetScope::All, |tags| scope(tags, &mut errors)));
    change.full_name.iter().for_each(|given| text("full_name", given, &mut errors));
    change.email.iter().for_each(|given| text("email", given, &mut errors));
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let before = known(tx, &name)?;
            caller.may(Action::UserManage, &before.access_record())?;
            if seen.is_some_and(|seen| seen != before.version) {
                return Err(changed_meanwhile());
            }
            let after = Account {
                full_name: change.full_name.clone().unwrap_or_else(|| before.full_name.clone()),
                email: change.email.clone().unwrap_or_else(|| before.email.clone()),
                roles: roles.clone().unwrap_or_else(|| before.roles.clone()),
                scope: scope.clone().unwrap_or_else(|| before.scope.clone()),
                active: change.active.unwrap_or(before.active),
                ..before.clone()
            };
            if (&after.roles, &after.scope) != (&before.roles, &before.scope) {
                caller.may(Action::RolesChange, &before.access_record())?;
            }
            keeps_a_super_user(tx, &before, &after)?;
            if !accounts::save(tx, &caller.author(), &after, now)? {
                return Err(changed_meanwhile());
            }
            if before.active && !after.active {
                sessions::end_all(tx, after.id)?;
            }
            known(tx, &name)
        })
        .await
}

/// Nobody may lock the last SuperUser out: only one could undo it.
fn keeps_a_super_user(tx: &mut Transaction<'_>, before: &Account, after: &Account) -> Result<(), Error> {
    let counts = |account: &Account| account.active && account.roles.contains(&Role::SuperUser);
    if counts(before) && !counts(after) && accounts::other_super_users(tx, before.id)? == 0 {
        let why = "this is the last active SuperUser; make another one first";
        return Err(Refusal::new("last_super_user", why).into());
    }
    Ok(())
}

/// Give a user a one-time password; his sessions and tokens end, because whoever knew the old one may hold them.
///
/// # Errors
/// Without the permission, and where there is no such user.
pub async fn reset_password(app: &App, caller: &Caller, name: String) -> Result<(Account, String), Error> {
    caller.may(Action::UserManage, &Record::default())?;
    let password = passwords::one_time();
    let hash = app.passwords.hash(password.clone()).await?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let account = app
        .database
        .try_write(move |tx| -> Result<Account, Error> {
            let account = known(tx, &name)?;
            caller.may(Action::UserManage, &account.access_record())?;
            replace_password(tx, &caller.author(), &account, &hash, now)?;
            known(tx, &name)
        })
        .await?;
    Ok((account, password))
}

/// A one-time password in place of the present one, which gets nobody in any more: not by what it was used for either.
fn replace_password(
    tx: &mut Transaction<'_>,
    author: &str,
    account: &Account,
    hash: &str,
    now: Timestamp,
) -> Result<(), Error> {
    accounts::set_password(tx, author, account.id, hash, true, now)?;
    sessions::end_all(tx, account.id)?;
    tokens::revoke_all(tx, author, account.id, now)?;
    Ok(())
}

/// Give a group exactly these members, making it where there is none.
///
/// # Errors
/// Without the permission (for whoever joins or leaves: a group reaches records), for an unacceptable name, and where a
/// member has no account.
pub async fn set_group(app: &App, caller: &Caller, name: &str, members: Vec<String>) -> Result<accounts::Group, Error> {
    caller.may(Action::UserManage, &Record::default())?;
    let name = account::name(name).map_err(|error| Error::field("name", error.code(), error.to_string()))?;
    if members.len() > MEMBERS_MAX {
        return Err(Error::field("members", "too_many", format!("a group has at most {MEMBERS_MAX} members")));
    }
    let members: BTreeSet<String> = members.iter().map(|member| member.trim().to_ascii_lowercase()).collect();
    let members: Vec<String> = members.into_iter().collect();
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let before: BTreeSet<String> = accounts::members(tx, &name)?.into_iter().collect();
            let after: BTreeSet<String> = members.iter().cloned().collect();
            regroups(tx, &caller, before.symmetric_difference(&after))?;
            match accounts::set_group(tx, &caller.author(), &name, &members, now) {
                Ok(()) => Ok(accounts::Group { name: name.clone(), members: members.clone() }),
                Err(store::Error::NotFound) => {
                    Err(Error::field("members", "unknown_user", "one of the members has no account"))
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
}

/// May the caller put these people into groups and take them out? A SuperUser's account is not changed by that.
fn regroups<'n>(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<(), Error> {
    for name in names {
        if let Some(account) = accounts::by_name(tx, name)? {
            caller.may(Action::UserManage, &Record { guarded: false, ..account.access_record() })?;
        }
    }
    Ok(())
}

/// Remove a group. Items assigned to it keep its name, so that a group of this name made again has them.
///
/// # Errors
/// Without the permission, and where there is none.
pub async fn remove_group(app: &App, caller: &Caller, name: String) -> Result<(), Error> {
    caller.may(Action::UserManage, &Record::default())?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let gone = name.clone();
    let removed = app.database.try_write(move |tx| {
        let members = accounts::members(tx, &gone)?;
        regroups(tx, &caller, &members)?;
        Ok::<_, Error>(accounts::remove_group(tx, &caller.author(), &gone, now)?)
    });
    let removed = removed.await?;
    if removed { Ok(()) } else { Err(Error::NotFound(format!("group {name}"))) }
}

/// Make a token for the caller; gives its record and the token itself, which is stored nowhere.
///
/// # Errors
/// For unacceptable fields, and where a token would make a stronger one.
pub async fn create_token(app: &App, caller: &Caller, new: NewToken) -> Result<(Token, String), Error> {
    caller.may(Action::TokenCreate, &Record::owned_by(caller.user))?;
    let mut errors = Vec::new();
    let all = new.scopes.iter().any(|scope| scope == "all");
    let scopes = if all { TOKEN_SCOPES.into() } else { words::<TokenScope>("scopes", &new.scopes, &mut errors) };
    let days = new.days.unwrap_or(TOKEN_DAYS_DEFAULT);
    if new.name.trim().is_empty() {
        errors.push(FieldError::new("name", "empty", "say what the token is for"));
    }
    text("name", &new.name, &mut errors);
    if scopes.is_empty() && errors.is_empty() {
        errors.push(FieldError::new("scopes", "empty", "a token needs at least one scope"));
    }
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        errors.push(FieldError::new("days", "range", format!("a token lives 1 to {TOKEN_DAYS_MAX} days")));
    }
    if !errors.is_empty() {
        return Err(Error::Invalid(errors));
    }
    if let Some(missing) = caller.token_scopes.as_ref().and_then(|own| scopes.difference(own).next()) {
        return Err(domain::access::Reason::TokenScope(*missing).into());
    }
    let now = app.clock.now();
    let secret = secret::token();
    let new = tokens::NewToken {
        user: caller.user,
        name: new.name.trim().to_owned(),
        digest: secret::digest(&secret).to_vec(),
        hint: secret.chars().take(secret::TOKEN_PREFIX.len() + 4).collect(),
        scopes,
        expires_at: now.plus_seconds(days * 86_400),
    };
    let author = caller.author();
    let token = app
        .database
        .write(move |tx| {
            let id = tokens::create(tx, &author, &new, now)?;
            tokens::by_id(tx, id)?.ok_or(store::Error::NotFound)
        })
        .await?;
    Ok((token, secret))
}

/// Whose tokens the caller may see: everybody's for an administrator, else his own. A token may not look at more than its
/// scopes let it; at itself it always may, so that a program can find and end its own.
#[must_use]
pub fn tokens_seen(caller: &Caller) -> Whose {
    let looks = caller.decide(Action::PeopleView, &Record::default()).allowed();
    let own = Record::owned_by(caller.user);
    match caller.proof {
        Proof::Token(id) if !looks && !caller.decide(Action::TokenRevoke, &own).allowed() => Whose::Itself(id),
        _ if reach(caller, Action::TokenRevoke) == Reach::Everything => Whose::Everybody,
        _ => Whose::User(caller.user),
    }
}

/// End a token: one's own, or anybody's for an administrator.
///
/// # Errors
/// Without the permission, and where there is no such token.
pub async fn revoke_token(app: &App, caller: &Caller, id: i64) -> Result<(), Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let absent = || Error::NotFound(format!("token {id}"));
            let token = tokens::by_id(tx, id)?.ok_or_else(absent)?;
            let owner = accounts::by_id(tx, token.user)?.ok_or_else(absent)?;
            let own = matches!(caller.proof, Proof::Token(own) if own == id);
            // A token may always end itself, whatever its scopes: that only takes power away.
            if !own {
                let decided = caller.may(Action::TokenRevoke, &owner.access_record());
                let visible = owner.id == caller.user || decided.is_ok();
                if !visible {
                    return Err(absent());
                }
                decided?;
            }
            tokens::revoke(tx, &caller.author(), id, now)?;
            Ok(())
        })
        .await
}

/// Give a user a one-time password without a running server: for whoever can write its database. His sessions and tokens
/// end. The account is made active, because a locked-out administrator is what this is for.
///
/// # Errors
/// Where the database cannot be used or there is no such user.
pub async fn recover(config: &Config, name: &str) -> Result<String, Error> {
    let database = crate::start::open(&config.storage).await?;
    let password = passwords::one_time();
    let hash = Passwords::default().hash(password.clone()).await?;
    let (name, now) = (name.to_owned(), system_now());
    database
        .try_write(move |tx| -> Result<(), Error> {
            let author = "engine/recover";
            let account = known(tx, &name)?;
            if !account.active {
                accounts::save(tx, author, &Account { active: true, ..account.clone() }, now)?;
            }
            replace_password(tx, author, &account, &hash, now)?;
            sessions::forgive(tx, &account.name)?;
            Ok(())
        })
        .await?;
    Ok(password)
}

/// The account of this name, or 404.
///
/// # Errors
/// [`Error::NotFound`].
pub fn known(tx: &mut Transaction<'_>, name: &str) -> Result<Account, Error> {
    let absent = || Error::NotFound(format!("user {name}"));
    let folded = account::name(name).map_err(|_| absent())?;
    accounts::by_name(tx, &folded)?.ok_or_else(absent)
}

fn words<W: FromStr<Err: Display> + Ord>(field: &str, given: &[String], errors: &mut Vec<FieldError>) -> BTreeSet<W> {
    let mut words = BTreeSet::new();
    for (index, word) in given.iter().enumerate() {
        match word.parse() {
            Ok(word) => {
                words.insert(word);
            }
            Err(error) => errors.push(FieldError::new(format!("{field}.{index}"), "unknown", format!("{error}"))),
        }
    }
    words
}

fn scope(tags: Vec<String>, errors: &mut Vec<FieldError>) -> AssetScope {
    if tags.len() > TAGS_MAX {
        errors.push(FieldError::new("scope", "too_many", format!("an asset scope has at most {TAGS_MAX} tags")));
    }
    for (index, tag) in tags.iter().enumerate() {
        if tag.trim().is_empty() || tag.chars().count() > TEXT_CHARS_MAX {
            errors.push(FieldError::new(format!("scope.{index}"), "tag", "a tag is neither empty nor very long"));
        }
    }
    AssetScope::Tags(tags.into_iter().collect())
}

fn text(field: &str, given: &str, errors: &mut Vec<FieldError>) {
    if given.chars().count() > TEXT_CHARS_MAX || given.chars().any(char::is_control) {
        let why = format!("at most {TEXT_CHARS_MAX} characters, none of them invisible");
        errors.push(FieldError::new(field, "text", why));
    }
}
