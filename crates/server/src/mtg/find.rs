//! From the ids that scripts send to our records, in the caller's name: what he may not know of is not found.

use super::ids::{self, Kind};
use crate::engine::jobs::{self, Job};
use crate::http::Caller;
use crate::http::error::Error;
use domain::access::AssetScope;
use domain::id::{AssetId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use store::{Transaction, accounts, agents, assets, tags};
use uuid::Uuid;

/// Ids in one list at most.
pub const IDS_MAX: usize = 10_000;

/// An id from a path or a list.
///
/// # Errors
/// 400 for what is no UUID.
pub fn id(text: &str) -> Result<Uuid, Error> {
    text.trim().parse().map_err(|_| Error::field("id", "bad_id", format!("`{}` is no UUID", cut(text))))
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The job of an id, as its caller sees it; our own numbers, `MJ0000001`, are taken as well.
///
/// # Errors
/// Not found, also where the caller may not know of it.
pub fn job(tx: &mut Transaction<'_>, caller: &Caller, text: &str) -> Result<Job, Error> {
    let ordinal = match text.trim().parse::<Uuid>() {
        Ok(id) => ids::key(Kind::Job, id),
        Err(_) => crate::api::jobs::ordinal(text.trim()).ok(),
    };
    let missing = || Error::NotFound(format!("job {}", cut(text)));
    let job = jobs::load(tx, caller, ordinal.ok_or_else(missing)?)?;
    // Qualys has no drafts; what its wizard has not saved does not exist.
    if job.row.status == domain::job::Status::Draft { Err(missing()) } else { Ok(job) }
}

/// The asset of an id, if it lies in the scope: by our UUID, by that of its agent, or by the one its scanner gave.
///
/// # Errors
/// A failure of the store.
pub fn asset(tx: &mut Transaction<'_>, id: Uuid, within: &AssetScope) -> Result<Option<AssetId>, Error> {
    let found = match ids::key(Kind::Asset, id) {
        Some(key) => Some(AssetId(key)),
        None => match agents::by_agent_id(tx, id)?.and_then(|agent| agent.asset_id) {
            Some(asset) => Some(asset),
            None => assets::by_scanner_uuid(tx, &id.to_string())?,
        },
    };
    let Some(asset) = found else { return Ok(None) };
    Ok(assets::keys_within(tx, &[asset], within)?.first().copied())
}

/// The assets of several ids. One that is not known, or not to the caller, is refused by its id.
///
/// # Errors
/// 400 naming it.
pub fn assets_of(
    tx: &mut Transaction<'_>,
    field: &str,
    given: &[String],
    within: &AssetScope,
) -> Result<BTreeSet<AssetId>, Error> {
    too_many(field, given)?;
    let mut found = BTreeSet::new();
    for text in given {
        let unknown = || Error::field(field, "unknown_asset", format!("there is no asset {}", cut(text)));
        found.insert(asset(tx, id(text)?, within)?.ok_or_else(unknown)?);
    }
    Ok(found)
}

/// The names of the tags of several ids, of those the caller may know; a name itself is taken as well.
///
/// # Errors
/// 400 naming one that is not known.
pub fn tags_of(
    tx: &mut Transaction<'_>,
    field: &str,
    given: &[String],
    within: &AssetScope,
) -> Result<BTreeSet<String>, Error> {
    too_many(field, given)?;
    if given.is_empty() {
        return Ok(BTreeSet::new());
    }
    let known: BTreeMap<Uuid, String> =
        tags::list(tx, within)?.into_iter().map(|row| (ids::named("tag", &row.name), row.name)).collect();
    let named = |text: &String| {
        let found = match text.trim().parse::<Uuid>() {
            Ok(id) => known.get(&id).cloned(),
            Err(_) => known.values().find(|name| *name == text).cloned(),
        };
        found.ok_or_else(|| Error::field(field, "unknown_tag", format!("there is no tag {}", cut(text))))
    };
    given.iter().map(named).collect()
}

/// The users of several ids.
///
/// # Errors
/// 400 naming one that is not known.
pub fn users_of(tx: &mut Transaction<'_>, given: &[String]) -> Result<Vec<UserId>, Error> {
    too_many("coAuthorUserIds", given)?;
    let mut found = Vec::new();
    for text in given {
        let unknown = || Error::field("coAuthorUserIds", "unknown_user", format!("there is no user {}", cut(text)));
        let user = match text.trim().parse::<Uuid>() {
            Ok(id) => match ids::key(Kind::User, id) {
                Some(key) => accounts::by_id(tx, UserId(key))?,
                None => None,
            },
            Err(_) => accounts::by_name(tx, text.trim())?,
        };
        found.push(user.filter(|user| user.active).ok_or_else(unknown)?.id);
    }
    Ok(found)
}

fn too_many(field: &str, given: &[String]) -> Result<(), Error> {
    if given.len() > IDS_MAX {
        return Err(Error::field(field, "too_many", format!("at most {IDS_MAX} ids are taken at once")));
    }
    Ok(())
}
