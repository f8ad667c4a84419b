//! What people do to mitigation jobs, for the API, the pages and the command line alike: drafts from eliminations and
//! the seven steps. Saving, enabling and the rest of a job's life is in [`life`].
//!
//! `domain::job` holds the rules and `domain::access` the permissions; this file loads, asks and stores.

mod choice;
mod expired;
mod life;
mod rollback;
mod stored;

use crate::app::App;
use crate::engine::selection;
use crate::http::auth::Caller;
use crate::http::error::Error;
pub(crate) use choice::{FilledIn, best, needed, platforms};
use domain::access::{Action, AssetScope, Cover, Record};
use domain::asset::Platform;
use domain::control::Afterwards;
use domain::id::{AssetId, JobId, UserId, VulnerabilityId};
use domain::job::{self, Act, Kind, Review, Target};
use domain::schedule::Schedule;
use domain::time::Timestamp;
pub(crate) use expired::{Ordered, roll_back_expired};
pub use life::{act, act_on, change_owner};
use protocol::problem::FieldError;
pub use rollback::{no_way_back, roll_back};
use std::collections::{BTreeMap, BTreeSet};
use store::audit::{self, Entry};
use store::controls::after;
use store::jobs::{Draft, JobRow};
use store::{Transaction, jobs};
pub(crate) use stored::{Text, Written, store as store_draft};

/// What a job is to be made for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The QID.
    pub qid: i64,
    /// Only these assets; `None` = every asset that has it, has an agent and lies in the caller's scope.
    pub assets: Option<Vec<AssetId>>,
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Mitigation or rollback.
    pub kind: Kind,
    /// Needed only where the eliminations exist on several platforms.
    pub platform: Option<Platform>,
    /// For which vulnerabilities.
    pub selections: Vec<Selection>,
    /// Catalogue entries to be taken instead of the best ones, for the vulnerabilities and platforms that they cover; a rollback
    /// takes back only these. Empty = the best ones, or everything that is in place.
    pub entries: BTreeSet<String>,
    /// Title; empty = one is made up.
    pub title: String,
    /// Description.
    pub description: String,
}

/// Changes to a draft or disabled job; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// Title.
    pub title: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// The assets that remain; of a free-standing job exactly its assets.
    pub assets: Option<Vec<AssetId>>,
    /// The actions that remain: vulnerability and entry key.
    pub actions: Option<Vec<(VulnerabilityId, i64)>>,
    /// Which assets a free-standing job is for.
    pub selection: Option<domain::selection::Selection>,
    /// What a free-standing job does.
    pub choose: Option<selection::Choose>,
    /// Schedule.
    pub schedule: Option<Schedule>,
    /// Recipients.
    pub recipients: Option<Vec<String>>,
    /// Mail at the start.
    pub mail_started: Option<bool>,
    /// Mail at a percentage, or none.
    pub mail_percent: Option<Option<i64>>,
    /// Co-authors.
    pub coauthors: Option<Vec<UserId>>,
    /// Choose the targets anew at each run, and put back what drifts.
    pub standing: Option<bool>,
    /// What is said of the time after it.
    pub after: Option<Afterwards>,
    /// How its runs spread over the assets.
    pub rollout: Option<domain::rollout::Policy>,
}

/// A job with everything that a page or an API body shows of it.
#[derive(Debug, Clone)]
pub struct Job {
    /// The row.
    pub row: JobRow,
    /// Who may do what with it is decided on this.
    pub record: Record,
    /// The assets that who asked may know of: pages and bodies show nothing of the others.
    pub scope: AssetScope,
    /// How many of its assets are outside that scope.
    pub hidden: usize,
    /// Assets per vulnerability, inside the scope.
    pub targets: Vec<Target>,
    /// What is done for each vulnerability that is there inside the scope.
    pub actions: Vec<(VulnerabilityId, i64)>,
    /// Co-authors.
    pub coauthors: Vec<UserId>,
    /// Schedule.
    pub schedule: Schedule,
    /// Recipients.
    pub recipients: Vec<String>,
    /// What it says of the time after it.
    pub after: Afterwards,
    /// How its runs spread over the assets.
    pub rollout: domain::rollout::Policy,
}

/// Load a job that the caller may look at.
///
/// # Errors
/// Not found, also where the caller may not know of it.
pub fn load(tx: &mut Transaction<'_>, caller: &Caller, number: i64) -> Result<Job, Error> {
    let missing = || Error::NotFound(format!("job {}", jobs::name(number)));
    let row = jobs::by_number(tx, number)?.ok_or_else(missing)?;
    let job = complete(tx, caller, row)?;
    caller.may(Action::JobsView, &job.record)?;
    Ok(job)
}

pub(crate) fn complete(tx: &mut Transaction<'_>, caller: &Caller, row: JobRow) -> Result<Job, Error> {
    let coauthors = jobs::coauthors(tx, row.id)?;
    let (cover, hidden) = cover(tx, &caller.scope, row.id)?;
    let (mut targets, mut actions) = (jobs::targets(tx, row.id)?, jobs::actions(tx, row.id)?);
    if !hidden.is_empty() {
        // Who sees a part of the assets may only look, so nothing is ever written from what is left here.
        targets.retain(|target| !hidden.contains(&target.asset));
        actions.retain(|(of, _)| targets.iter().any(|target| target.vulnerability == *of));
    }
    let record = Record::owned_by(row.owner_id).shared_with(coauthors.iter().copied()).covered(cover);
    let record = if targets.is_empty() && hidden.is_empty() { unseen(record, caller) } else { record };
    Ok(Job {
        record,
        scope: caller.scope.clone(),
        hidden: hidden.len(),
        targets,
        actions,
        coauthors,
        schedule: serde_json::from_str(&row.schedule).map_err(Error::internal)?,
        recipients: serde_json::from_str(&row.recipients).map_err(Error::internal)?,
        after: after::of_job(tx, row.id)?,
        rollout: super::waves::policy(&store::rollouts::policy(tx, row.id)?)?,
        row,
    })
}

/// A job without assets yet: to an account that is kept to some assets it exists only as its own.
fn unseen(record: Record, caller: &Caller) -> Record {
    let relations = record.relations(&caller.actor);
    let own = relations.owner || relations.co_author;
    if own || caller.scope == AssetScope::All { record } else { record.covered(Cover::Nothing) }
}

/// How much of a job's assets the scope covers, and which it does not.
fn cover(tx: &mut Transaction<'_>, scope: &AssetScope, job: JobId) -> Result<(Cover, BTreeSet<AssetId>), Error> {
    if *scope == AssetScope::All {
        return Ok((Cover::Whole, BTreeSet::new()));
    }
    let mut tags: BTreeMap<AssetId, Vec<String>> = BTreeMap::new();
    for (asset, tag) in jobs::asset_tags(tx, job)? {
        tags.entry(asset).or_default().extend(tag);
    }
    let assets = tags.len();
    tags.retain(|_, tags| !scope.sees(tags.iter().map(String::as_str)));
    let hidden: BTreeSet<AssetId> = tags.into_keys().collect();
    Ok((scope.cover((0..assets).map(|n| n >= hidden.len())), hidden))
}

/// Make a draft from eliminations (S1.02, S1.05): assets and actions are filled in.
///
/// # Errors
/// A missing permission, an unknown QID, nothing that could be done, or several platforms to choose from.
pub async fn create(app: &App, caller: &Caller, wanted: Wanted) -> Result<Job, Error> {
    may_create(caller, &wanted)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let found = choice::fill_in(tx, &caller, &wanted)?;
            create_in(tx, &caller, &wanted, &found, now)
        })
        .await
}

/// Make a draft for each platform that the assets run (R8), that of `platform` first; each of two names the other. Gives the
/// first, and the others.
///
/// # Errors
/// As [`create`], but for the choice of a platform.
pub async fn create_each(app: &App, caller: &Caller, wanted: Wanted) -> Result<(Job, Vec<Job>), Error> {
    may_create(caller, &wanted)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let mut made = Vec::new();
            for found in choice::fill_in_each(tx, &caller, &wanted)? {
                made.push(create_in(tx, &caller, &wanted, &found, now)?);
            }
            if let [one, other, ..] = made.as_slice() {
                store::selection::set_twins(tx, one.row.id, other.row.id)?;
            }
            let first = made.remove(0);
            Ok((first, made))
        })
        .await
}

/// The platforms for which a job could be made, each with its number of assets.
///
/// # Errors
/// As [`create`], but for the choice of a platform.
pub async fn platforms_of(app: &App, caller: &Caller, wanted: Wanted) -> Result<BTreeMap<Platform, usize>, Error> {
    may_create(caller, &wanted)?;
    let caller = caller.clone();
    app.database.try_read(move |tx| Ok(choice::candidates(tx, &caller, &wanted)?.platforms())).await
}

fn may_create(caller: &Caller, wanted: &Wanted) -> Result<(), Error> {
    let action = if wanted.kind == Kind::Rollback { Action::Rollback } else { Action::JobCreate };
    caller.may(action, &Record::owned_by(caller.user))
}

fn create_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    wanted: &Wanted,
    found: &FilledIn,
    now: Timestamp,
) -> Result<Job, Error> {
    let verb = if wanted.kind == Kind::Rollback { "Roll back" } else { "Mitigate" };
    let qids: Vec<String> = wanted.selections.iter().map(|selection| selection.qid.to_string()).collect();
    let title =
        if wanted.title.trim().is_empty() { format!("{verb} QID {}", qids.join(", ")) } else { wanted.title.clone() };
    let detail = serde_json::json!({ "kind": wanted.kind, "qids": qids, "assets": assets_of(&found.targets).len() });
    let text = Text { title, description: wanted.description.clone(), detail };
    draft(tx, caller, wanted.kind, found, text, now)
}

/// Store a draft of the caller's of these targets and actions.
fn draft(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    kind: Kind,
    found: &FilledIn,
    text: Text,
    now: Timestamp,
) -> Result<Job, Error> {
    let id = store_draft(tx, kind, found, (caller.user, &caller.author()), text.into(), now)?;
    let row = jobs::read(tx, id)?;
    complete(tx, caller, row)
}

/// Change a draft or a disabled job; `version` is the one the caller has read.
///
/// # Errors
/// A missing permission, a job that cannot be edited, an edit by somebody else, assets or actions that would be added; of a
/// disabled job whatever would keep it from being saved.
pub async fn edit(app: &App, caller: &Caller, number: i64, version: i64, patch: Patch) -> Result<Job, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database.try_write(move |tx| edit_in(tx, &caller, number, version, &patch, now)).await
}

fn edit_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: i64,
    version: i64,
    patch: &Patch,
    now: Timestamp,
) -> Result<Job, Error> {
    let job = load(tx, caller, number)?;
    caller.may(Action::JobEdit, &job.record)?;
    if patch.coauthors.is_some() {
        caller.may(Action::JobShare, &job.record)?;
    }
    job::act(job.row.life(), Act::Edit)?;
    if let Some(schedule) = &patch.schedule {
        schedule.validate().map_err(|refusal| Error::field("schedule", refusal.code, refusal.sentence))?;
    }
    let draft = Draft {
        title: patch.title.clone().unwrap_or_else(|| job.row.title.clone()),
        description: patch.description.clone().unwrap_or_else(|| job.row.description.clone()),
        schedule: serde_json::to_string(patch.schedule.as_ref().unwrap_or(&job.schedule)).map_err(Error::internal)?,
        recipients: serde_json::to_string(patch.recipients.as_ref().unwrap_or(&job.recipients))
            .map_err(Error::internal)?,
        mail_started: patch.mail_started.unwrap_or(job.row.mail_started),
        mail_percent: patch.mail_percent.unwrap_or(job.row.mail_percent),
        standing: patch.standing.unwrap_or(job.row.standing),
    };
    let id = job.row.id;
    if !jobs::save(tx, id, version, &draft, now)? {
        return Err(edited_meanwhile(number));
    }
    if patch.selection.is_some() || patch.choose.is_some() || job.row.origin == "free" {
        choose(tx, caller, &job, patch, now)?;
    } else {
        remove(tx, &job, patch)?;
    }
    if let Some(coauthors) = &patch.coauthors {
        jobs::set_coauthors(tx, id, coauthors)?;
    }
    if let Some(wanted) = patch.after.as_ref().filter(|wanted| **wanted != job.after) {
        if job.row.kind == Kind::Rollback {
            return Err(Error::field(
                "after",
                "rollback_expires",
                "a rollback puts nothing in place that could expire",
            ));
        }
        wanted.validate(now).map_err(|refusal| Error::field("after", refusal.code, refusal.sentence))?;
        after::set_of_job(tx, id, wanted)?;
    }
    if let Some(policy) = &patch.rollout {
        super::rollouts::save(tx, id, policy)?;
    }
    let edited = load(tx, caller, number)?;
    if edited.row.status == job::Status::Disabled {
        // It is saved: nothing may be kept of it that could not have been saved (S1.08, R3, R5).
        reviewed(&edited)?;
    }
    note(tx, caller, "job.edit", &jobs::name(number), serde_json::json!({ "version": version + 1 }), now)?;
    Ok(edited)
}

/// What a patch takes out of a job that was made from eliminations, or of a rollback: nothing is ever added (S1.06, S1.09).
fn remove(tx: &mut Transaction<'_>, job: &Job, patch: &Patch) -> Result<(), Error> {
    let mut targets = job.targets.clone();
    if let Some(assets) = &patch.assets {
        let (present, left) = (assets_of(&job.targets), assets.iter().copied().collect::<BTreeSet<_>>());
        job::only_removed(&present, &left)?;
        let removed: BTreeSet<AssetId> = present.difference(&left).copied().collect();
        targets = job::remove_assets(&job.targets, &removed);
        jobs::set_targets(tx, job.row.id, &targets)?;
    }
    if let Some(actions) = &patch.actions {
        let (present, mut left) = (job.actions.iter().copied().collect(), actions.iter().copied().collect());
        job::actions_only_removed(&present, &left)?;
        // What went with its last asset does not come back (R4).
        let still: BTreeSet<VulnerabilityId> = targets.iter().map(|target| target.vulnerability).collect();
        left.retain(|(vulnerability, _)| still.contains(vulnerability));
        jobs::set_actions(tx, job.row.id, &left.into_iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

/// What a patch makes of the assets and actions of a free-standing job.
fn choose(tx: &mut Transaction<'_>, caller: &Caller, job: &Job, patch: &Patch, now: Timestamp) -> Result<(), Error> {
    if job.row.origin == "free" && patch.actions.is_some() {
        let why = "what a free-standing job does is chosen by `choose`: QIDs and catalogue entries";
        return Err(Error::field("actions", "free_standing", why));
    }
    let listed = patch.assets.clone().map(domain::selection::Selection::list);
    let wanted = patch.selection.clone().or(listed);
    if wanted.is_some() || patch.choose.is_some() {
        selection::change(tx, caller, &job.row, wanted, patch.choose.clone(), now)?;
    }
    Ok(())
}

fn edited_meanwhile(number: i64) -> Error {
    let sentence = format!("{} was changed by somebody else since you opened it; load it again", jobs::name(number));
    Error::problem(axum::http::StatusCode::PRECONDITION_FAILED, "edited_meanwhile", sentence)
}

/// Refuse a job that cannot be saved, naming every field.
fn reviewed(job: &Job) -> Result<(), Error> {
    let found = job::review(&Review {
        title: &job.row.title,
        description: &job.row.description,
        assets: assets_of(&job.targets).len(),
        actions: job.actions.len(),
        recipients: &job.recipients,
        mail_percent: job.row.mail_percent,
    });
    if found.is_empty() {
        return Ok(());
    }
    let field = |found: job::FieldRefusal| FieldError::new(found.field, found.refusal.code, found.refusal.sentence);
    Err(Error::Invalid(found.into_iter().map(field).collect()))
}

fn assets_of(targets: &[Target]) -> BTreeSet<AssetId> {
    targets.iter().map(|target| target.asset).collect()
}

pub(crate) fn note(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    action: &str,
    number: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    let (actor, resource) = (caller.author(), format!("jobs/{number}"));
    audit::append(tx, &Entry { at: now, actor: &actor, action, resource: &resource, detail })?;
    Ok(())
}
