//! Jobs: make, change, show, list, enable and disable, delete.

use super::auth::Program;
use super::bodies::{self, Mail, Request};
use super::find;
use super::ids::{self, Kind as Id};
use super::targets;
use crate::app::App;
use crate::engine::jobs::{self, Job, Patch};
use crate::engine::selection::{self, Asked, Choose, Free, Plan};
use crate::http::Caller;
use crate::http::error::Error;
use axum::Json;
use axum::extract::{Path, Query, State};
use domain::access::{Action, Record};
use domain::asset::Platform;
use domain::job::{Act, Kind, Status};
use domain::selection::Selection;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

fn kind(word: &str) -> Result<Kind, Error> {
    match word {
        "Install" => Ok(Kind::Mitigation),
        "Rollback" => Ok(Kind::Rollback),
        _ => Err(Error::field("type", "bad_type", "the type is `Install` or `Rollback`")),
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

/// What a request changes.
#[derive(Clone, Debug)]
struct Changes {
    patch: Patch,
    /// What a job to be made chooses of assets; of one that is there it stands in the patch.
    selection: Option<Selection>,
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
    let rollback = kind(request.kind.as_deref().unwrap_or("Install"))? == Kind::Rollback;
    let name = request.name.clone().unwrap_or_default();
    if name.trim().is_empty() {
        return Err(Error::field("name", "missing", "a job needs a name"));
    }
    let qids = request.qids.clone().unwrap_or_default();
    if qids.is_empty() {
        return Err(Error::field("qids", "missing", "name at least one QID"));
    }
    let action = if rollback { Action::Rollback } else { Action::JobCreate };
    caller.may(action, &Record::owned_by(caller.user))?;
    let Changes { patch, selection: choice } = understood(&app, &caller, &request, None).await?;
    let choice = choice.filter(|choice| !choice.is_empty());
    let choice =
        choice.ok_or_else(|| Error::field("assetIds", "missing", "name assets in assetIds or tags in assetTagIds"))?;
    let description = request.description.clone().unwrap_or_default();
    let made = if rollback {
        let assets = targets::resolved(&app, &caller, on, choice).await?;
        let selections =
            qids.iter().map(|qid| jobs::Selection { qid: *qid, assets: Some(assets.iter().copied().collect()) });
        let wanted = jobs::Wanted {
            kind: Kind::Rollback,
            platform: Some(on),
            selections: selections.collect(),
            entries: BTreeSet::new(),
            title: name,
            description,
        };
        jobs::create(&app, &caller, wanted).await?
    } else {
        let plan = Plan { selection: choice, choose: targets::choose(&qids, Choose::default()) };
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

/// The parts of a request that are changes to a job, over what it holds; nothing is held before it is made.
async fn understood(app: &App, caller: &Caller, request: &Request, held: Option<&Job>) -> Result<Changes, Error> {
    let mut patch = Patch { schedule: bodies::schedule(request, held.map(|job| &job.schedule))?, ..Patch::default() };
    if let Some(notification) = &request.notification {
        let mail = bodies::mail(notification, held.map(Mail::of))?;
        patch.recipients = Some(mail.recipients);
        (patch.mail_started, patch.mail_percent) = (Some(mail.started), Some(mail.percent));
    }
    let (asker, given, held, now) = (caller.clone(), request.clone(), held.cloned(), app.clock.now());
    let read = app.database.try_read(move |tx| {
        let (mut patch, mut selection) = (patch.clone(), None);
        patch.coauthors = given.co_author_user_ids.as_deref().map(|ids| find::users_of(tx, ids)).transpose()?;
        match &held {
            None => selection = targets::chosen(tx, &asker, &given, &Selection::default())?,
            Some(job) if job.row.origin == "free" => {
                let kept = targets::stored(tx, job)?;
                patch.selection = targets::chosen(tx, &asker, &given, &kept.selection)?;
                patch.choose = given.qids.as_deref().map(|qids| targets::choose(qids, kept.choose));
            }
            Some(job) => {
                let scopes = [asker.scope.clone()];
                let asked = Asked { platform: job.row.platform, scopes: &scopes, lenient: false, now };
                patch.assets = targets::remaining(tx, &asker, &given, job, &asked)?;
            }
        }
        Ok::<_, Error>(Changes { patch, selection })
    });
    read.await
}

/// Change a disabled job: what is absent or null stays.
///
/// # Errors
/// As editing it otherwise; the platform and the type of a job stay what they are. What cannot be applied to it is 1907.
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
    if request.kind.as_deref().map(kind).transpose()?.is_some_and(|kind| kind != job.row.kind) {
        return Err(Error::field("type", "unsupported", "the type of a job stays what it is; make another job"));
    }
    let enable = enabled(request.status.as_deref())?;
    let patch = understood(&app, &caller, &request, Some(&job)).await?.patch;
    let patch = Patch { title: request.name.clone(), description: request.description.clone(), ..patch };
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
