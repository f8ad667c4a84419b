//! Which machine is which: how hosts are matched, joining assets that are one machine, moving one host, and taking that back.
//!
//! `domain::identity` decides whether; `store::identity` does it in one transaction. Joining moves tags, and scopes hang on tags,
//! so no account that is kept to some assets may.

use crate::api::assets::known;
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conditional::changed_meanwhile;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::id::{AssetId, AssetMergeId, SourceHostId};
use domain::identity::joining::may_join;
use domain::identity::{self, Rule};
use store::identity::merge::{self, MergeRow, Move, Preview, Undo};
use store::settings::Setting;
use store::{Transaction, identity as kept};

/// What was done, or would be.
#[derive(Clone, Debug)]
pub struct Done {
    /// What it does.
    pub preview: Preview,
    /// The asset that hosts go to; none where one would be made.
    pub into: Option<AssetId>,
    /// The record; none for a dry run.
    pub merge: Option<AssetMergeId>,
}

/// How far a request goes.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// Count only.
    pub dry_run: bool,
    /// The digest of what was counted before.
    pub seen: Option<String>,
}

/// Set the matching rules.
///
/// # Errors
/// 403; 412; 422 `rules`.
pub async fn set_rules(
    app: &App,
    caller: &Caller,
    words: &[String],
    seen: Option<i64>,
) -> Result<Setting<Vec<Rule>>, Error> {
    caller.may(Action::AssetMerge, &Record::default())?;
    let value = identity::rules(words).map_err(|refusal| Error::field("rules", refusal.code, refusal.sentence))?;
    let (author, now, rules) = (caller.author(), app.clock.now(), value.clone());
    let version = app.database.write(move |tx| kept::set_rules(tx, &author, &rules, seen, now)).await?;
    Ok(Setting { value, version })
}

fn check(tx: &mut Transaction<'_>, caller: &Caller, asset: AssetId) -> Result<(), Error> {
    caller.may(Action::AssetMerge, &Record::default())?;
    known(tx, caller, Action::AssetsView, asset)?;
    Ok(())
}

/// Count, and do it where that is wanted and nothing has changed since it was counted.
fn go(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    (from, into): (AssetId, Option<AssetId>),
    hosts: &[SourceHostId],
    whole: bool,
    how: &How,
    now: domain::time::Timestamp,
) -> Result<Done, Error> {
    if let Some(into) = into {
        may_join(&merge::joining(tx, from, into, hosts)?, whole)?;
    }
    let preview = merge::preview(tx, from, into, hosts, whole)?;
    if how.seen.as_ref().is_some_and(|seen| *seen != preview.digest) {
        return Err(changed_meanwhile());
    }
    if how.dry_run {
        return Ok(Done { preview, into, merge: None });
    }
    let into = match (into, hosts) {
        (Some(into), _) => into,
        (None, [host]) => merge::apart(tx, *host, now)?,
        (None, _) => return Err(Error::field("into", "required", "say which asset they go to")),
    };
    let merge = merge::carry_out(tx, &caller.author(), &Move { from, into, hosts, whole }, now)?;
    Ok(Done { preview, into: Some(into), merge: Some(merge) })
}

/// Join an asset into another one.
///
/// # Errors
/// 403, 404; 409 `same_asset`, `merged`, `two_agents`, `two_uuids`, `has_mitigations`; 412.
pub async fn join(app: &App, caller: &Caller, from: AssetId, into: AssetId, how: How) -> Result<Done, Error> {
    let (asker, now) = (caller.clone(), app.clock.now());
    let done = app.database.try_write(move |tx| {
        check(tx, &asker, from)?;
        check(tx, &asker, into)?;
        let hosts = merge::hosts(tx, from)?;
        go(tx, &asker, (from, Some(into)), &hosts, true, &how, now)
    });
    told(app, done.await)
}

/// Give one host of an asset to another one, or to a new one.
///
/// # Errors
/// As [`join`].
pub async fn move_host(
    app: &App,
    caller: &Caller,
    from: AssetId,
    host: SourceHostId,
    into: Option<AssetId>,
    how: How,
) -> Result<Done, Error> {
    let (asker, now) = (caller.clone(), app.clock.now());
    let done = app.database.try_write(move |tx| {
        check(tx, &asker, from)?;
        if let Some(into) = into {
            check(tx, &asker, into)?;
        }
        if !merge::hosts(tx, from)?.contains(&host) {
            return Err(Error::NotFound(format!("host {host} of asset {from}")));
        }
        go(tx, &asker, (from, into), &[host], false, &how, now)
    });
    told(app, done.await)
}

fn told(app: &App, done: Result<Done, Error>) -> Result<Done, Error> {
    let done = done?;
    if done.merge.is_some() {
        app.wake.notify("item", 0);
    }
    Ok(done)
}

/// Take back what was done.
///
/// # Errors
/// 403, 404; 409 `undone`, `too_late`, `moved_since`, `decided_since`.
pub async fn undo(app: &App, caller: &Caller, asset: AssetId, id: AssetMergeId) -> Result<MergeRow, Error> {
    let (asker, now) = (caller.clone(), app.clock.now());
    let undone = app.database.try_write(move |tx| {
        check(tx, &asker, asset)?;
        let missing = || Error::NotFound(format!("merge {id} of asset {asset}"));
        let row = merge::one(tx, id).map_err(|error| match error {
            store::Error::NotFound => missing(),
            error => error.into(),
        })?;
        if row.into_id != asset {
            return Err(missing());
        }
        merge::undo(tx, &asker.author(), &row, now).map_err(|error| match error {
            Undo::Refused(refusal) => Error::Refused(refusal),
            Undo::Store(error) => error.into(),
        })?;
        Ok(merge::one(tx, id)?)
    });
    let row = undone.await?;
    app.wake.notify("item", 0);
    Ok(row)
}
