//! Free-standing jobs: what they choose, what that comes to, and what it comes to again at each run of a standing job.
//!
//! Which assets are named is decided in `domain::selection`. A change by a person reaches no further than his asset scope;
//! a later run no further than the scopes that the owner and whoever chose last have then (R19).

use crate::app::App;
use crate::engine::jobs::{self as made, Job, best, needed, platforms};
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, AssetScope, Record};
use domain::asset::Platform;
use domain::filter::Context;
use domain::id::{AssetId, UserId, VulnerabilityId};
use domain::job::{self, ASSETS_MAX, Kind, Target};
use domain::number::Series;
use domain::schedule::Schedule;
use domain::selection::{self as rule, Question, Selection};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::jobs::{Draft, JobRow, NewJob};
use store::selection::{self, Outcome};
use store::{Transaction, accounts, assets, catalogue, eliminations, jobs, numbers, tags};

/// QIDs or catalogue entries that one job chooses at most.
pub const CHOICES_MAX: usize = 1_000;

/// What is done: for each asset and QID the eliminations that fit, and these entries wherever they cover what is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choose {
    /// Vulnerabilities, by QID.
    pub qids: BTreeSet<i64>,
    /// Catalogue entries; where one covers a chosen QID it is taken instead of the best one.
    pub entries: BTreeSet<String>,
    /// Catalogue entries that are never taken.
    pub without: BTreeSet<String>,
}

impl Choose {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.qids.is_empty() && self.entries.is_empty()
    }
}

/// What a free-standing job chooses, as stored with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Which assets.
    pub selection: Selection,
    /// What is done.
    pub choose: Choose,
}

/// A free-standing job to be made.
#[derive(Clone, Debug)]
pub struct Free {
    /// Its one platform (R8).
    pub platform: Platform,
    /// What it chooses; may still be empty.
    pub plan: Plan,
    /// Title; empty = one is made up.
    pub title: String,
    /// Description.
    pub description: String,
}

/// What a plan comes to.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The named assets.
    pub outcome: Outcome,
    /// Chosen assets on which nothing of what was chosen is open.
    pub idle: BTreeSet<AssetId>,
    /// Assets per vulnerability.
    pub targets: Vec<Target>,
    /// What is done for each vulnerability.
    pub actions: Vec<(VulnerabilityId, i64)>,
    /// What could not be taken of what was asked for, in sentences.
    pub notes: Vec<String>,
}

/// What a plan is asked against.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The job's platform.
    pub platform: Platform,
    /// Scopes that all have to see an asset.
    pub scopes: &'a [AssetScope],
    /// A QID or entry that is gone is only noted, as at a later run.
    pub lenient: bool,
    /// Now.
    pub now: Timestamp,
}

/// What a plan comes to now.
///
/// # Errors
/// 422 naming the field: a query that cannot be read, too many assets, an unknown QID or entry.
pub fn resolve(tx: &mut Transaction<'_>, plan: &Plan, asked: &Asked<'_>) -> Result<Resolved, Error> {
    rule::platform(asked.platform).map_err(|refusal| Error::field("platform", refusal.code, refusal.sentence))?;
    let filter = plan
        .selection
        .read(&assets::FIELDS)
        .map_err(|(field, refusal)| Error::field(field, refusal.code, refusal.sentence))?;
    if plan.choose.qids.len() + plan.choose.entries.len() + plan.choose.without.len() > CHOICES_MAX {
        let why = format!("a job chooses at most {CHOICES_MAX} QIDs and catalogue entries");
        return Err(Error::field("choose", "too_many_actions", why));
    }
    let tree = tags::tree(tx)?;
    let context = Context::at(asked.now);
    let question = Question {
        selection: &plan.selection,
        filter: &filter,
        fields: &assets::FIELDS,
        context: &context,
        tree: &tree,
        scopes: asked.scopes,
        platform: asked.platform,
    };
    let mut resolved = Resolved { outcome: selection::resolve(tx, &question)?, ..Resolved::default() };
    if resolved.outcome.inside.len() > ASSETS_MAX {
        let why = format!("more than {ASSETS_MAX} assets are chosen; narrow the query or the tags");
        return Err(Error::field("assets", "too_many_assets", why));
    }
    resolved.actions = actions(tx, &plan.choose, asked, &mut resolved.notes)?.into_iter().collect();
    let chosen: Vec<i64> = resolved.outcome.inside.iter().map(|row| row.id.0).collect();
    let wanted: BTreeSet<i64> = resolved.actions.iter().map(|(vulnerability, _)| vulnerability.0).collect();
    let wanted: Vec<i64> = wanted.into_iter().collect();
    let open = selection::open(tx, &chosen, &wanted)?;
    resolved.targets = open.into_iter().map(|(asset, vulnerability)| Target { asset, vulnerability }).collect();
    let used: BTreeSet<VulnerabilityId> = resolved.targets.iter().map(|target| target.vulnerability).collect();
    resolved.actions.retain(|(vulnerability, _)| used.contains(vulnerability));
    needed(tx, &resolved.targets, &mut resolved.actions)?;
    if !plan.choose.is_empty() {
        let busy: BTreeSet<AssetId> = resolved.targets.iter().map(|target| target.asset).collect();
        resolved.idle =
            resolved.outcome.inside.iter().map(|row| row.id).filter(|asset| !busy.contains(asset)).collect();
    }
    Ok(resolved)
}

/// The entries for each vulnerability: the best of each chosen QID or those named for it, and what else named ones cover.
fn actions(
    tx: &mut Transaction<'_>,
    choose: &Choose,
    asked: &Asked<'_>,
    notes: &mut Vec<String>,
) -> Result<BTreeSet<(VulnerabilityId, i64)>, Error> {
    let current = catalogue::current(tx)?;
    let fits = |word: &str| platforms(word).contains(&asked.platform);
    let mut named: BTreeSet<i64> = BTreeSet::new();
    for name in &choose.entries {
        match current.iter().find(|row| row.entry == *name) {
            None if !asked.lenient => {
                return Err(Error::field("choose", "unknown_entry", format!("there is no catalogue entry `{name}`")));
            }
            None => notes.push(format!("{name} is not in the catalogue in force")),
            Some(row) if !fits(&row.platform) => {
                notes.push(format!("{name} is not for {}", asked.platform.title()));
            }
            Some(row) if !choose.without.contains(name) => {
                named.insert(row.id);
            }
            Some(_) => {}
        }
    }
    let mut qids: BTreeMap<VulnerabilityId, i64> = BTreeMap::new();
    for qid in &choose.qids {
        match eliminations::by_qid(tx, *qid)? {
            Some(id) => {
                qids.insert(id, *qid);
            }
            None if asked.lenient => notes.push(format!("QID {qid} is not known any more")),
            None => {
                return Err(Error::field("choose", "unknown_qid", format!("there is no vulnerability with QID {qid}")));
            }
        }
    }
    let keys: Vec<i64> = qids.keys().map(|id| id.0).collect();
    let mut offered = catalogue::eliminations(tx, &keys)?;
    offered.retain(|row| fits(&row.platform) && !choose.without.contains(&row.entry));
    let by_name: BTreeSet<VulnerabilityId> =
        offered.iter().filter(|row| named.contains(&row.entry_key)).map(|row| row.vulnerability_id).collect();
    let mut found: BTreeSet<(VulnerabilityId, i64)> = best(&offered)
        .into_iter()
        .filter(|row| !by_name.contains(&row.vulnerability_id))
        .map(|row| (row.vulnerability_id, row.entry_key))
        .collect();
    for (id, qid) in &qids {
        if !offered.iter().any(|row| row.vulnerability_id == *id) {
            notes.push(format!("the catalogue holds nothing for QID {qid} on {}", asked.platform.title()));
        }
    }
    let named: Vec<i64> = named.into_iter().collect();
    found.extend(selection::covered(tx, &named)?);
    Ok(found)
}

/// Make a free-standing draft.
///
/// # Errors
/// A missing permission, another platform than Linux and Windows, a plan that cannot be read.
pub async fn create(app: &App, caller: &Caller, free: Free) -> Result<Job, Error> {
    caller.may(Action::JobCreate, &Record::owned_by(caller.user))?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database.try_write(move |tx| create_in(tx, &caller, &free, now)).await
}

fn create_in(tx: &mut Transaction<'_>, caller: &Caller, free: &Free, now: Timestamp) -> Result<Job, Error> {
    rule::platform(free.platform)?;
    let number = numbers::next(tx, Series::Job)?;
    let made_up = format!("{} mitigation job", free.platform.title());
    let title = if free.title.trim().is_empty() { made_up } else { free.title.clone() };
    let draft = Draft {
        title: title.chars().take(job::TITLE_MAX).collect(),
        description: free.description.clone(),
        schedule: serde_json::to_string(&Schedule::OnDemand).map_err(Error::internal)?,
        recipients: "[]".to_owned(),
        mail_started: false,
        mail_percent: None,
        standing: false,
    };
    let new = NewJob {
        number: number.ordinal,
        kind: Kind::Mitigation,
        platform: free.platform,
        origin: "free".to_owned(),
        owner: caller.user,
    };
    let id = jobs::create(tx, &new, &draft, now)?;
    let row = jobs::read(tx, id)?;
    let resolved = adopt(tx, caller, &row, free.plan.clone(), false, now)?;
    let assets: BTreeSet<AssetId> = resolved.targets.iter().map(|target| target.asset).collect();
    let detail =
        serde_json::json!({ "kind": "mitigation", "origin": "free", "plan": free.plan, "assets": assets.len() });
    made::note(tx, caller, "job.create", &number.to_string(), detail, now)?;
    made::complete(tx, caller, row)
}

/// What a free-standing job chooses, and who chose it last; `None` for a job made from eliminations.
///
/// # Errors
/// A failure of the store, or a stored plan that cannot be read.
pub fn plan(tx: &mut Transaction<'_>, job: &JobRow) -> Result<Option<(Plan, Option<UserId>)>, Error> {
    let Some((text, by)) = selection::plan(tx, job.id)? else { return Ok(None) };
    Ok(Some((serde_json::from_str(&text).map_err(Error::internal)?, by)))
}

/// Change what a free-standing job chooses; `None` stays. The job's targets and actions follow.
///
/// # Errors
/// `not_free_standing` for a job made from eliminations; whatever [`resolve`] refuses.
pub fn change(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    job: &JobRow,
    selection: Option<Selection>,
    choose: Option<Choose>,
    now: Timestamp,
) -> Result<Resolved, Error> {
    job::chooses(job.origin == "free")?;
    let (kept, _) = plan(tx, job)?.unwrap_or_default();
    let plan = Plan { selection: selection.unwrap_or(kept.selection), choose: choose.unwrap_or(kept.choose) };
    adopt(tx, caller, job, plan, false, now)
}

/// Store a plan as this caller's choice, and what it comes to inside his scope. Of the listed assets only those he sees
/// are kept, so that nobody stores the name of what he cannot reach. With `lenient` what the catalogue holds no more is noted.
///
/// # Errors
/// Whatever [`resolve`] refuses.
pub fn adopt(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    job: &JobRow,
    mut plan: Plan,
    lenient: bool,
    now: Timestamp,
) -> Result<Resolved, Error> {
    let scopes = [caller.scope.clone()];
    let listed = plan.selection.assets.len();
    for list in [&mut plan.selection.assets, &mut plan.selection.exclude_assets] {
        let keys: Vec<i64> = list.iter().map(|asset| asset.0).collect();
        let seen: BTreeSet<AssetId> = selection::seen(tx, &keys, &caller.scope)?.into_iter().collect();
        list.retain(|asset| seen.contains(asset));
    }
    let asked = Asked { platform: job.platform, scopes: &scopes, lenient, now };
    let mut resolved = resolve(tx, &plan, &asked)?;
    match listed - plan.selection.assets.len() {
        0 => {}
        1 => resolved.notes.push("one of the listed assets is not known".to_owned()),
        several => resolved.notes.push(format!("{several} of the listed assets are not known")),
    }
    let text = serde_json::to_string(&plan).map_err(Error::internal)?;
    selection::set_plan(tx, job.id, &text, caller.user, now)?;
    jobs::set_targets(tx, job.id, &resolved.targets)?;
    jobs::set_actions(tx, job.id, &resolved.actions)?;
    Ok(resolved)
}

/// Choose the targets of a free-standing job anew, for the next run of a standing job: new assets join, others leave.
/// `None` for a job made from eliminations, whose targets stay.
///
/// # Errors
/// A failure of the store.
pub fn again(tx: &mut Transaction<'_>, job: &JobRow, now: Timestamp) -> Result<Option<Resolved>, Error> {
    let Some((plan, by)) = plan(tx, job)? else { return Ok(None) };
    let mut scopes = Vec::new();
    for user in [Some(job.owner_id), by].into_iter().flatten() {
        // Whose account is gone reaches nothing.
        let account = accounts::by_id(tx, user)?;
        scopes.push(account.map_or_else(|| AssetScope::Tags(BTreeSet::new()), |account| account.scope));
    }
    let resolved = resolve(tx, &plan, &Asked { platform: job.platform, scopes: &scopes, lenient: true, now })?;
    jobs::set_targets(tx, job.id, &resolved.targets)?;
    jobs::set_actions(tx, job.id, &resolved.actions)?;
    Ok(Some(resolved))
}
