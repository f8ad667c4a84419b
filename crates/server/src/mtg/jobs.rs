//! Jobs: make, change, show, list, enable and disable, delete.

use super::auth::Program;
use super::bodies::{self, Request};
use super::find;
use super::ids::{self, Kind as Id};
use crate::app::App;
use crate::engine::jobs::{self, Job, Patch};
use crate::engine::selection::{self, Choose, Free, Plan};
use crate::http::Caller;
use crate::http::error::Error;
use axum::Json;
use axum::extract::{Path, Query, State};
use domain::access::{Action, Record};
use domain::asset::Platform;
use domain::job::{Act, Kind, Status};
use domain::selection::{Selection, TagRule};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::Transaction;
use store::jobs::JobLine;
use store::list::{self, Order};

/// What Qualys answers where somebody disables an enabled job that does not recur (R7): scripts compare it.
pub const NOT_RECURRING: &str = "Non-recurring jobs cannot be disabled once enabled by user";
/// Rows of a page at most.
const PAGE_MAX: usize = 500;
/// Rows of a page where nobody says otherwise.
const PAGE_DEFAULT: usize = 10;
/// Jobs of one list that are turned through at most.
const LIST_MAX: usize = 10_000;
/// Jobs of one bulk call.
const BULK_MAX: usize = 500;

async fn shown(app: &App, job: Job) -> Result<Json<Value>, Error> {
    let with = app.clone();
    Ok(Json(app.database.try_read(move |tx| bodies::job(tx, &with, &job)).await?))
}

fn platform(word: Option<&str>) -> Result<Platform, Error> {
    match word.unwrap_or_default().to_lowercase().as_str() {
        "linux" => Ok(Platform::Linux),
        "windows" => Ok(Platform::Windows),
        "" => Err(Error::field("platform", "missing", "a job has one platform, `Windows` or `Linux`")),
        _ => Err(Error::field("platform", "bad_platform", "a job is for `Windows` or `Linux`")),
    }
}

/// Whether it is to be enabled at once.
fn enabled(word: Option<&str>) -> Result<bool, Error> {
    match word.unwrap_or("Disabled") {
        word if word.eq_ignore_ascii_case("enabled") => Ok(true),
        word if word.eq_ignore_ascii_case("disabled") => Ok(false),
        _ => Err(Error::field("status", "bad_status", "the status is `Enabled` or `Disabled`")),
    }
}

/// What a request chooses of assets; `None` where it says nothing of them.
fn chosen(tx: &mut Transaction<'_>, caller: &Caller, request: &Request) -> Result<Option<Selection>, Error> {
    let says = request.asset_ids.is_some() || request.asset_tag_ids.is_some() || request.match_all_tag_ids.is_some();
    let leaves = request.exclusion_asset_ids.is_some() || request.exclusion_tag_ids.is_some();
    if !says && !leaves {
        return Ok(None);
    }
    let list = |given: &Option<Vec<String>>| given.clone().unwrap_or_default();
    let scope = &caller.scope;
    Ok(Some(Selection {
        assets: find::assets_of(tx, &list(&request.asset_ids), scope)?,
        query: String::new(),
        tags: TagRule {
            tags: find::tags_of(tx, "assetTagIds", &list(&request.asset_tag_ids), scope)?,
            matching: bodies::matching("filterType", request.filter_type.as_deref())?,
        },
        must: find::tags_of(tx, "matchAllTagIds", &list(&request.match_all_tag_ids), scope)?,
        exclude: TagRule {
            tags: find::tags_of(tx, "exclusionTagIds", &list(&request.exclusion_tag_ids), scope)?,
            matching: bodies::matching("exclusionFilterType", request.exclusion_filter_type.as_deref())?,
        },
        exclude_assets: find::assets_of(tx, &list(&request.exclusion_asset_ids), scope)?,
    }))
}

fn choose(qids: &[i64]) -> Choose {
    Choose { qids: qids.iter().copied().collect(), ..Choose::default() }
}

/// Make a job.
///
/// # Errors
/// As the wizard: a missing permission, fields that cannot be taken; then nothing is left behind.
pub async fn create(
    State(app): State<App>,
    caller: Program,
    Json(request): Json<Request>,
) -> Result<Json<Value>, Error> {
    let caller = caller.0;
    let on = platform(request.platform.as_deref())?;
    let enable = enabled(request.status.as_deref())?;
    let rollback = match request.kind.as_deref().unwrap_or("Install") {
        "Install" => false,
        "Rollback" => true,
        _ => return Err(Error::field("type", "bad_type", "the type is `Install` or `Rollback`")),
    };
    let name = request.name.clone().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Error::field("name", "missing", "a job needs a name"));
    }
    let qids = request.qids.clone().unwrap_or_default();
    if qids.is_empty() {
        return Err(Error::field("qids", "missing", "name at least one QID"));
    }
    let kind = if rollback { Action::Rollback } else { Action::JobCreate };
    caller.may(kind, &Record::owned_by(caller.user))?;
    let (patch, choice) = understood(&app, &caller, &request).await?;
    let choice = choice.filter(|choice| !choice.is_empty());
    let choice =
        choice.ok_or_else(|| Error::field("assetIds", "missing", "name assets in assetIds or tags in assetTagIds"))?;
    let description = request.description.clone().unwrap_or_default();
    let made = if rollback {
        let assets = resolved(&app, &caller, on, choice).await?;
        let selections =
            qids.iter().map(|qid| jobs::Selection { qid: *qid, assets: Some(assets.iter().copied().collect()) });
        let wanted = jobs::Wanted {
            kind: Kind::Rollback,
            platform: Some(on),
            selections: selections.collect(),
            title: name,
            description,
        };
        jobs::create(&app, &caller, wanted).await?
    } else {
        let plan = Plan { selection: choice, choose: choose(&qids) };
        selection::create(&app, &caller, Free { platform: on, plan, title: name, description }).await?
    };
    match finished(&app, &caller, &made, patch, enable).await {
        Ok(job) => shown(&app, job).await,
        Err(error) => {
            // A draft nobody asked for; where even this fails it can be seen and deleted among the drafts.
            let _ = jobs::act(&app, &caller, made.row.number, Act::Delete).await;
            Err(error)
        }
    }
}

/// The rest of the wizard: schedule, mail and co-authors, then saved.
async fn finished(app: &App, caller: &Caller, made: &Job, patch: Patch, enable: bool) -> Result<Job, Error> {
    let edited = jobs::edit(app, caller, made.row.number, made.row.version, patch).await?;
    jobs::act(app, caller, edited.row.number, if enable { Act::SaveAndEnable } else { Act::Save }).await
}

/// The parts of a request that are changes to a job, and what it chooses of assets.
async fn understood(app: &App, caller: &Caller, request: &Request) -> Result<(Patch, Option<Selection>), Error> {
    let schedule = bodies::schedule(request)?;
    let mail = request.notification.as_ref().map(bodies::mail);
    let (asker, given) = (caller.clone(), request.clone());
    let read = app.database.try_read(move |tx| {
        let coauthors = given.co_author_user_ids.as_deref().map(|ids| find::users_of(tx, ids)).transpose()?;
        Ok::<_, Error>((coauthors, chosen(tx, &asker, &given)?))
    });
    let (coauthors, choice) = read.await?;
    let patch = Patch {
        schedule,
        recipients: mail.as_ref().map(|(recipients, ..)| recipients.clone()),
        mail_started: mail.as_ref().map(|(_, started, _)| *started),
        mail_percent: mail.map(|(.., percent)| percent),
        coauthors,
        ..Patch::default()
    };
    Ok((patch, choice))
}

/// The assets that a selection names inside the caller's scope.
async fn resolved(
    app: &App,
    caller: &Caller,
    platform: Platform,
    choice: Selection,
) -> Result<BTreeSet<domain::id::AssetId>, Error> {
    let (scopes, now) = ([caller.scope.clone()], app.clock.now());
    let read = app.database.try_read(move |tx| {
        let plan = Plan { selection: choice.clone(), choose: Choose::default() };
        let asked = selection::Asked { platform, scopes: &scopes, lenient: false, now };
        Ok::<_, Error>(selection::resolve(tx, &plan, &asked)?.outcome.inside.iter().map(|row| row.id).collect())
    });
    read.await
}

/// Change a disabled job.
///
/// # Errors
/// As editing it otherwise; the platform and the type of a job stay what they are.
pub async fn edit(
    State(app): State<App>,
    caller: Program,
    Path(id): Path<String>,
    Json(request): Json<Request>,
) -> Result<Json<Value>, Error> {
    let caller = caller.0;
    let asker = caller.clone();
    let job = app.database.try_read(move |tx| find::job(tx, &asker, &id)).await?;
    if request.platform.is_some() && platform(request.platform.as_deref())? != job.row.platform {
        return Err(Error::field(
            "platform",
            "unsupported",
            "the platform of a job stays what it is; make another job",
        ));
    }
    if request.kind.as_deref().is_some_and(|kind| (kind == "Rollback") != (job.row.kind == Kind::Rollback)) {
        return Err(Error::field("type", "unsupported", "the type of a job stays what it is; make another job"));
    }
    let enable = enabled(request.status.as_deref())?;
    let (patch, choice) = understood(&app, &caller, &request).await?;
    let mut patch = Patch { title: request.name.clone(), description: request.description.clone(), ..patch };
    if job.row.origin == "free" {
        patch.selection = choice;
        patch.choose = request.qids.as_deref().map(choose);
    } else if let Some(choice) = choice {
        // Of a job made from eliminations assets can be removed, not added (S1.06).
        let wanted = resolved(&app, &caller, job.row.platform, choice).await?;
        patch.assets = Some(wanted.into_iter().collect());
    }
    let mut edited = jobs::edit(&app, &caller, job.row.number, job.row.version, patch).await?;
    if enable {
        edited = jobs::act(&app, &caller, edited.row.number, Act::Enable).await?;
    }
    shown(&app, edited).await
}

/// Show a job.
///
/// # Errors
/// Not found.
pub async fn show(State(app): State<App>, caller: Program, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    let job = app.database.try_read(move |tx| find::job(tx, &caller, &id)).await?;
    shown(&app, job).await
}

/// Which jobs a list is to hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListQuery {
    platform: String,
    status: String,
    page_number: Option<usize>,
    page_size: Option<usize>,
}

/// The condition of a list in the query language.
fn condition(query: &ListQuery) -> Result<String, Error> {
    let mut parts = vec!["not status:draft".to_owned()];
    if !query.platform.is_empty() {
        parts.push(format!("platform:{}", platform(Some(&query.platform))?.as_str()));
    }
    match query.status.to_lowercase().as_str() {
        "" | "all" => {}
        "enabled" | "running" => parts.push("status:enabled".to_owned()),
        "disabled" => parts.push("status:disabled".to_owned()),
        "completed" => parts.push("status:completed".to_owned()),
        "failed" => parts.push("status:completed_with_failures".to_owned()),
        // What was deleted is in the audit log only.
        "deleted" => parts.push("status:draft".to_owned()),
        _ => {
            let why = "the status is Enabled, Disabled, Running, Completed, Failed or Deleted";
            return Err(Error::field("status", "bad_status", why));
        }
    }
    Ok(parts.join(" and "))
}

/// List jobs, newest first.
///
/// # Errors
/// A missing permission, a platform or status that is none.
pub async fn list(
    State(app): State<App>,
    caller: Program,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<Value>>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let size = query.page_size.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let first = query.page_number.unwrap_or(0).saturating_mul(size);
    let text = condition(&query)?;
    let running = query.status.eq_ignore_ascii_case("running");
    let (with, context) = (app.clone(), domain::filter::Context::at(app.clock.now()));
    let rows = app.database.try_read(move |tx| {
        let filter = domain::filter::parse(&text, &store::jobs::FIELDS).map_err(Error::internal)?;
        let mut wanted = list::Query::new(filter, context.clone());
        (wanted.order, wanted.limit) = (Order::parse("-number"), list::LIMIT_MAX);
        let mut lines: Vec<JobLine> = Vec::new();
        while lines.len() < (first + size).min(LIST_MAX) {
            let clip = store::jobs::clip(&caller.scope);
            let page = list::page::<JobLine>(tx, &store::jobs::LIST, clip, &wanted)?;
            lines.extend(page.rows.into_iter().filter(|line| !running || line.started_at.is_some()));
            let Some(next) = page.next_cursor else { break };
            wanted.cursor = Some(next);
        }
        let mut rows = Vec::new();
        for line in lines.into_iter().skip(first).take(size) {
            let job = jobs::load(tx, &caller, line.number)?;
            rows.push(bodies::job(tx, &with, &job)?);
        }
        Ok::<_, Error>(rows)
    });
    Ok(Json(rows.await?))
}

/// Which jobs a bulk call is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ids {
    ids: Vec<String>,
}

/// Do something to each job of a list; what happens to one says nothing of the others.
async fn each(
    app: &App,
    caller: &Caller,
    ids: Ids,
    act: impl Fn(&Job) -> Result<Act, Error>,
) -> Result<Json<Vec<Value>>, Error> {
    if ids.ids.is_empty() {
        return Err(Error::field("ids", "missing", "name at least one job in `ids`"));
    }
    if ids.ids.len() > BULK_MAX {
        return Err(Error::field("ids", "too_many", format!("at most {BULK_MAX} jobs are taken at once")));
    }
    let mut answers = Vec::new();
    for id in ids.ids {
        let (asker, wanted) = (caller.clone(), id.clone());
        let found = app.database.try_read(move |tx| find::job(tx, &asker, &wanted)).await;
        let name = found.as_ref().ok().map(|job| job.row.title.clone());
        let number = found.as_ref().ok().map(|job| ids::of(Id::Job, job.row.number).to_string());
        let done = match found.and_then(|job| Ok((job.row.number, act(&job)?))) {
            Ok((number, act)) => jobs::act(app, caller, number, act).await.map(|_| ()),
            Err(error) => Err(error),
        };
        let id = number.unwrap_or(id);
        answers.push(match done {
            Ok(()) => json!({ "id": id, "name": name, "status": "success" }),
            // What is nobody's fault but ours ends the whole call.
            Err(error @ Error::Internal(_)) => return Err(error),
            Err(error) => {
                json!({ "id": id, "name": name, "status": "failure", "error": error.to_problem().detail })
            }
        });
    }
    Ok(Json(answers))
}

/// Enable or disable several jobs.
///
/// # Errors
/// 400 for a status that is none or no ids; what is wrong with one job is said in its row.
pub async fn set_status(
    State(app): State<App>,
    caller: Program,
    Path(status): Path<String>,
    Json(ids): Json<Ids>,
) -> Result<Json<Vec<Value>>, Error> {
    let enable = enabled(Some(&status))?;
    let act = |job: &Job| {
        if enable {
            return Ok(Act::Enable);
        }
        // R7: of Quell's interfaces this one alone refuses it.
        if job.row.status == Status::Enabled && !bodies::recurs(&job.schedule) {
            return Err(domain::refusal::Refusal::new("not_recurring", NOT_RECURRING).into());
        }
        Ok(Act::Disable)
    };
    each(&app, &caller, ids, act).await
}

/// Delete several jobs.
///
/// # Errors
/// 400 for no ids; what is wrong with one job is said in its row.
pub async fn delete(State(app): State<App>, caller: Program, Json(ids): Json<Ids>) -> Result<Json<Vec<Value>>, Error> {
    each(&app, &caller, ids, |_| Ok(Act::Delete)).await
}
