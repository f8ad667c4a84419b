//! What a free-standing job chooses as bodies, and bodies as what the engine understands.

use crate::engine::selection::{Choose, Plan, Resolved};
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::asset::Platform;
use domain::id::{AssetId, VulnerabilityId};
use domain::selection::{Match, Reason, Selection, TagRule};
use protocol::api::selection::{
    ActionSelection, AssetSelection, JobPlan, SelectedAsset, SelectionBody, SelectionOffer,
};
use std::collections::{BTreeMap, BTreeSet};
use store::jobs::JobRow;
use store::selection::Named;
use store::{Transaction, accounts, eliminations, selection};

/// What somebody types where he cannot know it: the line is made under Agents.
pub const INSTALL: &str = "echo TOKEN | sudo quell-agent enrol --token-file -";
/// Assets of either kind in a body at most.
const SHOWN_MAX: usize = 500;

fn words(words: &[String]) -> BTreeSet<String> {
    words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// A selection as people write it.
///
/// # Errors
/// 422 `tag_match` or `exclude_match` for another word than `any` and `all`.
pub fn read(given: &AssetSelection) -> Result<Selection, Error> {
    let matching = |field: &str, word: &str| {
        Match::parse(word).ok_or_else(|| Error::field(field, "bad_match", "tags are matched by `any` or `all`"))
    };
    let keys = |keys: &[i64]| keys.iter().copied().map(AssetId).collect();
    Ok(Selection {
        assets: keys(&given.assets),
        query: given.query.trim().to_owned(),
        tags: TagRule { tags: words(&given.tags), matching: matching("tag_match", &given.tag_match)? },
        must: words(&given.must_tags),
        exclude: TagRule {
            tags: words(&given.exclude_tags),
            matching: matching("exclude_match", &given.exclude_match)?,
        },
        exclude_assets: keys(&given.exclude_assets),
    })
}

/// What is to be done as people write it.
#[must_use]
pub fn choose(given: &ActionSelection) -> Choose {
    Choose {
        qids: given.qids.iter().copied().collect(),
        entries: words(&given.entries),
        without: words(&given.without),
    }
}

fn written(selection: &Selection, seen: &BTreeSet<AssetId>) -> AssetSelection {
    let keys = |assets: &BTreeSet<AssetId>| assets.iter().filter(|id| seen.contains(id)).map(|id| id.0).collect();
    let all = |tags: &BTreeSet<String>| tags.iter().cloned().collect();
    AssetSelection {
        assets: keys(&selection.assets),
        query: selection.query.clone(),
        tags: all(&selection.tags.tags),
        tag_match: selection.tags.matching.as_str().to_owned(),
        must_tags: all(&selection.must),
        exclude_tags: all(&selection.exclude.tags),
        exclude_match: selection.exclude.matching.as_str().to_owned(),
        exclude_assets: keys(&selection.exclude_assets),
    }
}

/// What a free-standing job chooses, as stored; `None` for a job made from eliminations.
///
/// # Errors
/// A failure of the store.
pub fn plan(tx: &mut Transaction<'_>, caller: &Caller, job: &JobRow) -> Result<Option<JobPlan>, Error> {
    let Some((plan, by)) = crate::engine::selection::plan(tx, job)? else { return Ok(None) };
    let listed = plan.selection.assets.iter().chain(&plan.selection.exclude_assets).map(|id| id.0);
    let listed: Vec<i64> = listed.collect();
    let seen: BTreeSet<AssetId> = selection::seen(tx, &listed, &caller.scope)?.into_iter().collect();
    let by = match by {
        None => String::new(),
        Some(user) => accounts::names(tx, &[user])?.pop().map(|(_, name)| name).unwrap_or_default(),
    };
    Ok(Some(JobPlan {
        selection: written(&plan.selection, &seen),
        choose: ActionSelection {
            qids: plan.choose.qids.into_iter().collect(),
            entries: plan.choose.entries.into_iter().collect(),
            without: plan.choose.without.into_iter().collect(),
        },
        by,
    }))
}

/// What a plan comes to, with what could be done on the chosen assets.
///
/// # Errors
/// A failure of the store.
pub fn body(
    tx: &mut Transaction<'_>,
    plan: &Plan,
    platform: Platform,
    resolved: &Resolved,
) -> Result<SelectionBody, Error> {
    let ids: BTreeSet<i64> = resolved.targets.iter().map(|target| target.vulnerability.0).collect();
    let titles = eliminations::titles(tx, &ids.into_iter().collect::<Vec<_>>())?;
    let qids: BTreeMap<VulnerabilityId, i64> = titles.into_iter().map(|(id, qid, _)| (id, qid)).collect();
    let mut of: BTreeMap<AssetId, Vec<i64>> = BTreeMap::new();
    for target in &resolved.targets {
        of.entry(target.asset).or_default().extend(qids.get(&target.vulnerability));
    }
    let asset = |row: &Named, reason: &str, why: String| SelectedAsset {
        id: row.id.0,
        name: row.name.clone(),
        ip: row.ip.clone(),
        os: row.os.clone(),
        platform: row.platform.as_str().to_owned(),
        qids: of.get(&row.id).cloned().unwrap_or_default(),
        reason: reason.to_owned(),
        why,
    };
    let outcome = &resolved.outcome;
    let busy = outcome.inside.iter().filter(|row| !resolved.idle.contains(&row.id));
    let idle = outcome.inside.iter().filter(|row| resolved.idle.contains(&row.id));
    let nothing = "nothing that was chosen is open on it";
    let out = outcome.outside.iter().filter_map(|row| Some((row, Reason::parse(&row.verdict)?)));
    let out = out.map(|(row, reason)| asset(row, reason.as_str(), reason.sentence(platform)));
    let others = idle.map(|row| asset(row, "nothing_to_do", nothing.to_owned())).chain(out);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let chosen: Vec<i64> = outcome.inside.iter().map(|row| row.id.0).collect();
    let offers = selection::offers(tx, &chosen, platform)?.into_iter().map(|offer| SelectionOffer {
        qid: offer.qid,
        title: offer.title,
        assets: offer.assets,
        residual: offer.residual,
    });
    let bare = outcome.reasons.get(&Reason::NoAgent).is_some_and(|count| *count > 0);
    let mut notes = resolved.notes.clone();
    if plan.selection.is_empty() {
        notes.insert(0, "no asset is chosen yet".to_owned());
    }
    Ok(SelectionBody {
        chosen: count(outcome.inside.len() - resolved.idle.len()),
        left_out: outcome.reasons.values().sum::<i64>() + count(resolved.idle.len()),
        assets: busy.take(SHOWN_MAX).map(|row| asset(row, "", String::new())).collect(),
        others: others.take(SHOWN_MAX).collect(),
        offers: offers.collect(),
        notes,
        install: bare.then(|| INSTALL.to_owned()),
    })
}
