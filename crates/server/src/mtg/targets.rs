//! What a request says of a job's assets and QIDs, over what the job holds: a field that is there replaces what it names,
//! one that is absent or null leaves it alone. What cannot be applied is refused as a combination that is not supported.

use super::bodies::{self, Request};
use super::find;
use crate::app::App;
use crate::engine::jobs::Job;
use crate::engine::selection::{self, Choose, Plan};
use crate::http::Caller;
use crate::http::error::Error;
use domain::asset::Platform;
use domain::id::AssetId;
use domain::selection::{Reason, Selection};
use std::collections::BTreeSet;
use store::selection::Outcome;
use store::{Transaction, eliminations};

/// Whether a request says anything of assets.
fn says(request: &Request) -> bool {
    let lists = [
        &request.asset_ids,
        &request.exclusion_asset_ids,
        &request.asset_tag_ids,
        &request.match_all_tag_ids,
        &request.exclusion_tag_ids,
    ];
    let words = [&request.filter_type, &request.exclusion_filter_type];
    lists.into_iter().any(Option::is_some) || words.into_iter().any(Option::is_some)
}

/// What a request chooses of assets, over what was chosen before; `None` where it says nothing of them.
///
/// # Errors
/// 400 naming an asset or tag that the caller does not know, or a word that is neither `Any` nor `All`.
pub fn chosen(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    request: &Request,
    kept: &Selection,
) -> Result<Option<Selection>, Error> {
    if !says(request) {
        return Ok(None);
    }
    let (scope, mut wanted) = (&caller.scope, kept.clone());
    if let Some(ids) = &request.asset_ids {
        wanted.assets = find::assets_of(tx, "assetIds", ids, scope)?;
    }
    if let Some(ids) = &request.exclusion_asset_ids {
        wanted.exclude_assets = find::assets_of(tx, "exclusionAssetIds", ids, scope)?;
    }
    if let Some(ids) = &request.asset_tag_ids {
        wanted.tags.tags = find::tags_of(tx, "assetTagIds", ids, scope)?;
    }
    if let Some(ids) = &request.match_all_tag_ids {
        wanted.must = find::tags_of(tx, "matchAllTagIds", ids, scope)?;
    }
    if let Some(ids) = &request.exclusion_tag_ids {
        wanted.exclude.tags = find::tags_of(tx, "exclusionTagIds", ids, scope)?;
    }
    if let Some(word) = &request.filter_type {
        wanted.tags.matching = bodies::matching("filterType", word)?;
    }
    if let Some(word) = &request.exclusion_filter_type {
        wanted.exclude.matching = bodies::matching("exclusionFilterType", word)?;
    }
    Ok(Some(wanted))
}

/// The QIDs of a request over what a job does: entries that were chosen or left out elsewhere stay.
#[must_use]
pub fn choose(qids: &[i64], kept: Choose) -> Choose {
    Choose { qids: qids.iter().copied().collect(), ..kept }
}

/// What a free-standing job chooses; empty for any other.
///
/// # Errors
/// A failure of the store.
pub fn stored(tx: &mut Transaction<'_>, job: &Job) -> Result<Plan, Error> {
    Ok(selection::plan(tx, &job.row)?.map(|(plan, _)| plan).unwrap_or_default())
}

/// Of a job made from eliminations, which holds assets but no way to choose them: those that a request leaves in it (S1.06).
/// Assets and tags that are named say which remain; what is only excluded is taken from those it has. `None` where the
/// request says nothing of assets.
///
/// # Errors
/// 1907 for `Any` or `All` without the tags they are about and for other QIDs than the job's; else as [`chosen`].
pub fn remaining(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    request: &Request,
    job: &Job,
    asked: &selection::Asked<'_>,
) -> Result<Option<Vec<AssetId>>, Error> {
    same_qids(tx, request, job)?;
    for (word, word_field, tags, tags_field) in [
        (&request.filter_type, "filterType", &request.asset_tag_ids, "assetTagIds"),
        (&request.exclusion_filter_type, "exclusionFilterType", &request.exclusion_tag_ids, "exclusionTagIds"),
    ] {
        if word.is_some() && tags.is_none() {
            let why = format!("this job holds assets, not tags; send {word_field} together with {tags_field}");
            return Err(Error::field(word_field, "unsupported", why));
        }
    }
    let present: BTreeSet<AssetId> = job.targets.iter().map(|target| target.asset).collect();
    let tagged = [&request.asset_tag_ids, &request.match_all_tag_ids];
    let named = request.asset_ids.is_some() || tagged.into_iter().flatten().any(|tags| !tags.is_empty());
    let kept = if named { Selection::default() } else { Selection::list(present.iter().copied()) };
    let Some(wanted) = chosen(tx, caller, request, &kept)? else { return Ok(None) };
    let plan = Plan { selection: wanted, choose: Choose::default() };
    let Outcome { inside, outside, .. } = selection::resolve(tx, &plan, asked)?.outcome;
    // An asset that has lost its agent is in the job until somebody takes it out.
    let silent = outside.iter().filter(|row| row.verdict == Reason::NoAgent.as_str() && present.contains(&row.id));
    Ok(Some(inside.iter().chain(silent).map(|row| row.id).collect()))
}

/// The QIDs of a job made from eliminations are those it was made for; naming the same ones changes nothing.
fn same_qids(tx: &mut Transaction<'_>, request: &Request, job: &Job) -> Result<(), Error> {
    let Some(qids) = &request.qids else { return Ok(()) };
    let keys: BTreeSet<i64> = job.targets.iter().map(|target| target.vulnerability.0).collect();
    let keys: Vec<i64> = keys.into_iter().collect();
    let held: BTreeSet<i64> = eliminations::titles(tx, &keys)?.into_iter().map(|(_, qid, _)| qid).collect();
    if qids.iter().copied().collect::<BTreeSet<_>>() == held {
        return Ok(());
    }
    let why = "the QIDs of a rollback, or of a job made from eliminations, stay what they are; remove assets, or make \
               another job";
    Err(Error::field("qids", "unsupported", why))
}

/// The assets that a selection names inside the caller's scope.
///
/// # Errors
/// As [`selection::resolve`].
pub async fn resolved(
    app: &App,
    caller: &Caller,
    platform: Platform,
    choice: Selection,
) -> Result<BTreeSet<AssetId>, Error> {
    let (scopes, now) = ([caller.scope.clone()], app.clock.now());
    let read = app.database.try_read(move |tx| {
        let plan = Plan { selection: choice.clone(), choose: Choose::default() };
        let asked = selection::Asked { platform, scopes: &scopes, lenient: false, now };
        Ok::<_, Error>(selection::resolve(tx, &plan, &asked)?.outcome.inside.iter().map(|row| row.id).collect())
    });
    read.await
}
