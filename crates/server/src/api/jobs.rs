//! Eliminations, mitigation jobs and their tasks, the global halt.

use crate::app::App;
use crate::engine::jobs::{self, Job, Patch, Selection, Wanted};
use crate::engine::selection::{self, Free, Plan};
use crate::engine::{dispatch, rollouts};
use crate::http::conditional::{IfMatch, etag};
use crate::http::{Caller, Error, ListQuery};
use crate::views;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::asset::Platform;
use domain::id::{AssetId, UserId};
use domain::job::{Act, Kind};
use domain::number::{Number, Series};
use protocol::api::response as body;
use serde::Deserialize;
use store::audit::{self, Entry};
use store::{Transaction, settings};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(eliminations))
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(save))
        .routes(routes!(rollback))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(cancel))
        .routes(routes!(tasks))
        .routes(routes!(halted, halt))
}

/// A job's body with its entity tag.
pub(super) type Tagged = ([(HeaderName, HeaderValue); 1], Json<body::JobBody>);

/// A job's ordinal from its number in a path.
///
/// # Errors
/// Not found for anything that is no job number.
pub fn ordinal(number: &str) -> Result<i64, Error> {
    match number.parse::<Number>() {
        Ok(Number { series: Series::Job, ordinal }) => Ok(ordinal),
        _ => Err(Error::NotFound(format!("job {number}"))),
    }
}

/// A job with its entity tag.
pub(super) async fn tagged(app: &App, caller: &Caller, job: Job) -> Result<Tagged, Error> {
    let version = job.row.version;
    let (caller, now) = (caller.clone(), app.clock.now());
    let job = app.database.try_read(move |tx| views::jobs::job(tx, &caller, &job, now)).await?;
    Ok((etag(version), Json(body::JobBody { job })))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct EliminationsQuery {
    /// QIDs, separated by commas.
    qid: String,
}

/// Show what can be done about vulnerabilities
///
/// The catalogue's entries for them, and the assets that have them, with the reason where one cannot be chosen.
#[utoipa::path(get, path = "/eliminations", tag = "jobs", params(EliminationsQuery),
    responses((status = OK, body = body::EliminationsBody)))]
async fn eliminations(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EliminationsQuery>,
) -> Result<Json<body::EliminationsBody>, Error> {
    caller.may(Action::VulnerabilitiesView, &Record::default())?;
    let qids: Result<Vec<i64>, _> = query.qid.split(',').map(|qid| qid.trim().parse::<i64>()).collect();
    let qids = qids.map_err(|_| Error::field("qid", "bad_qid", "QIDs are numbers separated by commas"))?;
    let found = app.database.try_read(move |tx| views::jobs::eliminations(tx, &caller, &qids)).await?;
    Ok(Json(found))
}

/// List jobs
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(ListQuery), responses((status = OK, body = body::JobsBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::JobsBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let query = query.of_list(&store::jobs::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| views::jobs::list(tx, &caller, &query)).await?;
    Ok(Json(body::JobsBody { jobs: page.rows, next: page.next_cursor }))
}

/// Make a draft
///
/// From eliminations, by `vulnerabilities`: assets and actions are filled in; both can then be removed, not added.
/// Without them a free-standing job, which chooses assets and actions itself. With `each_platform` a draft for each platform
/// that the assets run; the answer is the first, whose `twin` names the other.
#[utoipa::path(post, path = "/jobs", tag = "jobs", request_body = body::NewJob,
    responses((status = CREATED, body = body::JobBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewJob>,
) -> Result<(StatusCode, Tagged), Error> {
    let kind = match new.kind.as_str() {
        "" | "mitigation" => Kind::Mitigation,
        "rollback" => Kind::Rollback,
        _ => return Err(Error::field("kind", "bad_kind", "the kind is `mitigation` or `rollback`")),
    };
    let job = if new.vulnerabilities.is_empty() && (new.selection.is_some() || new.platform.is_some()) {
        if new.each_platform {
            let why = "a free-standing job has one platform: make one for each";
            return Err(Error::field("each_platform", "free_standing", why));
        }
        if !new.entries.is_empty() {
            let why = "what a free-standing job does is chosen by `choose`: QIDs and catalogue entries";
            return Err(Error::field("entries", "free_standing", why));
        }
        selection::create(&app, &caller, free(&new, kind)?).await?
    } else {
        if new.selection.is_some() || new.choose.is_some() {
            let why = "give either `vulnerabilities`, for a job from eliminations, or `selection` and `choose`";
            return Err(Error::field("vulnerabilities", "two_ways", why));
        }
        let (each, wanted) = (new.each_platform, wanted(new, kind));
        if each {
            jobs::create_each(&app, &caller, wanted).await?.0
        } else {
            jobs::create(&app, &caller, wanted).await?
        }
    };
    Ok((StatusCode::CREATED, tagged(&app, &caller, job).await?))
}

fn wanted(new: body::NewJob, kind: Kind) -> Wanted {
    let selection = |chosen: body::JobSelection| Selection {
        qid: chosen.qid,
        assets: chosen.assets.map(|assets| assets.into_iter().map(AssetId).collect()),
    };
    Wanted {
        kind,
        platform: new.platform.as_deref().map(Platform::parse),
        selections: new.vulnerabilities.into_iter().map(selection).collect(),
        entries: new.entries.into_iter().map(|entry| entry.trim().to_owned()).collect(),
        title: new.title,
        description: new.description,
    }
}

fn free(new: &body::NewJob, kind: Kind) -> Result<Free, Error> {
    if kind == Kind::Rollback {
        let why = "a rollback is made from what is in force: name its `vulnerabilities`";
        return Err(Error::field("kind", "bad_kind", why));
    }
    let Some(platform) = new.platform.as_deref().filter(|word| !word.is_empty()) else {
        let why = "a job has one platform: `linux` or `windows`";
        return Err(Error::field("platform", "platform_needed", why));
    };
    let plan = Plan {
        selection: new.selection.as_ref().map(views::selection::read).transpose()?.unwrap_or_default(),
        choose: new.choose.as_ref().map(views::selection::choose).unwrap_or_default(),
    };
    Ok(Free {
        platform: Platform::parse(platform),
        plan,
        title: new.title.clone(),
        description: new.description.clone(),
    })
}

/// Show a job
#[utoipa::path(get, path = "/jobs/{number}", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Tagged, Error> {
    let number = ordinal(&number)?;
    let asker = caller.clone();
    let job = app.database.try_read(move |tx| jobs::load(tx, &asker, number)).await?;
    tagged(&app, &caller, job).await
}

/// Edit a draft or a disabled job
///
/// Needs `If-Match` with the entity tag of the job as it was seen.
#[utoipa::path(patch, path = "/jobs/{number}", tag = "jobs", params(("number" = String, Path)),
    request_body = body::JobPatch, responses((status = OK, body = body::JobBody)))]
async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(patch): Json<body::JobPatch>,
) -> Result<Tagged, Error> {
    let (number, version) = (ordinal(&number)?, seen.required()?);
    let asker = caller.clone();
    let patch = app.database.try_read(move |tx| understood(tx, &asker, number, &patch)).await?;
    let job = jobs::edit(&app, &caller, number, version, patch).await?;
    tagged(&app, &caller, job).await
}

/// Names in a patch become keys; which of them an action's name means depends on what the job holds.
fn understood(tx: &mut Transaction<'_>, caller: &Caller, number: i64, patch: &body::JobPatch) -> Result<Patch, Error> {
    let actions = match &patch.actions {
        None => None,
        Some(chosen) => {
            let job = jobs::load(tx, caller, number)?;
            Some(views::jobs::actions(tx, &job, chosen)?)
        }
    };
    let coauthors = match &patch.coauthors {
        None => None,
        Some(names) => Some(users(tx, names)?),
    };
    Ok(Patch {
        title: patch.title.clone(),
        description: patch.description.clone(),
        assets: patch.assets.as_ref().map(|assets| assets.iter().copied().map(AssetId).collect()),
        actions,
        selection: patch.selection.as_ref().map(views::selection::read).transpose()?,
        choose: patch.choose.as_ref().map(views::selection::choose),
        schedule: patch.schedule.as_ref().map(super::runs::schedule).transpose()?,
        recipients: patch.recipients.clone(),
        mail_started: patch.mail_started,
        mail_percent: patch.mail_percent.map(|percent| (percent != 0).then_some(percent)),
        coauthors,
        standing: patch.standing,
        after: patch.after.as_ref().map(views::follow::understood).transpose()?,
        rollout: patch.rollout.as_ref().map(rollouts::understood).transpose()?,
    })
}

/// Users by their sign-in names.
///
/// # Errors
/// 422 `coauthors` naming one that does not exist.
pub fn users(tx: &mut Transaction<'_>, names: &[String]) -> Result<Vec<UserId>, Error> {
    names
        .iter()
        .map(|name| {
            let account = store::accounts::by_name(tx, name)?;
            account
                .map(|account| account.id)
                .ok_or_else(|| Error::field("coauthors", "unknown_user", format!("there is no user `{name}`")))
        })
        .collect()
}

/// Do an act, on the version that was seen where the client says one, and show what it made.
pub(super) async fn done(app: &App, caller: &Caller, number: &str, act: Act, seen: IfMatch) -> Result<Tagged, Error> {
    let job = jobs::act_on(app, caller, ordinal(number)?, act, seen).await?;
    tagged(app, caller, job).await
}

/// Save a draft
///
/// Gives a disabled job, or an enabled one with `enable`.
#[utoipa::path(post, path = "/jobs/{number}/save", tag = "jobs", params(("number" = String, Path)),
    request_body = body::JobSave, responses((status = OK, body = body::JobBody)))]
async fn save(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
    Json(save): Json<body::JobSave>,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, if save.enable { Act::SaveAndEnable } else { Act::Save }, seen).await
}

/// Roll a job back
///
/// Makes a draft of a rollback job, owned by the caller, of exactly what the job put in place and is in force and ours. Assets
/// that the caller does not see, or that have no agent, are left out, which the draft's description says.
#[utoipa::path(post, path = "/jobs/{number}/rollback", tag = "jobs", params(("number" = String, Path)),
    responses((status = CREATED, body = body::JobBody)))]
async fn rollback(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<(StatusCode, Tagged), Error> {
    let draft = jobs::roll_back(&app, &caller, ordinal(&number)?).await?;
    Ok((StatusCode::CREATED, tagged(&app, &caller, draft).await?))
}

/// Enable a job
#[utoipa::path(post, path = "/jobs/{number}/enable", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn enable(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::Enable, seen).await
}

/// Disable a job
///
/// One that has not started, or a recurring one between two runs.
#[utoipa::path(post, path = "/jobs/{number}/disable", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn disable(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::Disable, seen).await
}

/// Cancel a running job
///
/// Nothing more starts; what runs on a host ends and reports.
#[utoipa::path(post, path = "/jobs/{number}/cancel", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobBody)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<Tagged, Error> {
    done(&app, &caller, &number, Act::Cancel, seen).await
}

/// Delete a job that is not running
#[utoipa::path(delete, path = "/jobs/{number}", tag = "jobs", params(("number" = String, Path)),
    responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    jobs::act_on(&app, &caller, ordinal(&number)?, Act::Delete, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the list of tasks is asked for: which run, besides what every list is.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
struct TasksQuery {
    /// Of which run; the newest when absent.
    run: Option<i64>,
    /// A condition in the query language: `is:failed`, `asset:web-1`.
    q: String,
    /// The column to sort by, with `-` in front for the other direction; the asset's name when absent.
    sort: String,
    /// Records in the page, 1 to 500; 100 when absent.
    limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    cursor: Option<String>,
}

/// List the tasks of a run of a job
#[utoipa::path(get, path = "/jobs/{number}/tasks", tag = "jobs", params(("number" = String, Path), TasksQuery),
    responses((status = OK, body = body::TasksBody)))]
async fn tasks(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<TasksQuery>,
) -> Result<Json<body::TasksBody>, Error> {
    let number = ordinal(&number)?;
    let TasksQuery { run, q, sort, limit, cursor } = query;
    let list = ListQuery { q, sort, limit, cursor };
    let query = list.of_list(&store::tasks::list::FIELDS, "asset", app.clock.now(), &caller.name)?;
    let read = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        views::jobs::tasks(tx, &job, run, &query)
    });
    let page = read.await?;
    Ok(Json(body::TasksBody { tasks: page.rows, next: page.next_cursor }))
}

/// Show whether everything is halted
#[utoipa::path(get, path = "/halt", tag = "jobs", responses((status = OK, body = body::HaltBody)))]
async fn halted(State(app): State<App>, caller: Caller) -> Result<Json<body::HaltBody>, Error> {
    caller.may(Action::JobsView, &Record::default())?;
    let halt = app.database.try_read(dispatch::halt).await?;
    Ok(Json(match halt {
        Some(halt) => body::HaltBody { halted: true, reason: halt.reason, by: halt.by },
        None => body::HaltBody { halted: false, reason: String::new(), by: String::new() },
    }))
}

/// Halt everything, or go on
///
/// While halted nothing is offered to agents, and what they have not started is withdrawn.
#[utoipa::path(put, path = "/halt", tag = "jobs", request_body = body::HaltRequest,
    responses((status = OK, body = body::HaltBody)))]
async fn halt(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<body::HaltRequest>,
) -> Result<Json<body::HaltBody>, Error> {
    set_halt(&app, &caller, request).await.map(Json)
}

/// Set or lift the global halt.
///
/// # Errors
/// A missing permission, or no reason given.
pub async fn set_halt(app: &App, caller: &Caller, request: body::HaltRequest) -> Result<body::HaltBody, Error> {
    caller.may(Action::Halt, &Record::default())?;
    if request.halted && request.reason.trim().is_empty() {
        return Err(Error::field("reason", "reason_missing", "say why everything is halted; everybody sees it"));
    }
    let halt = dispatch::Halt { halted: request.halted, reason: request.reason, by: caller.name.clone() };
    let (now, author, stored) = (app.clock.now(), caller.author(), halt.clone());
    app.database
        .try_write(move |tx| {
            settings::put(tx, &author, dispatch::HALT, &stored, None, now)?;
            // The rows that every permit changes: none is granted beside this and durable after it (S7).
            store::rollouts::close_all(tx, stored.halted)?;
            let action = if stored.halted { "jobs.halt" } else { "jobs.go_on" };
            let detail = serde_json::json!({ "reason": stored.reason });
            audit::append(tx, &Entry { at: now, actor: &author, action, resource: "jobs", detail })?;
            Ok::<_, Error>(())
        })
        .await?;
    app.wake.notify_all("agent");
    app.wake.notify_all("job");
    Ok(body::HaltBody { halted: halt.halted, reason: halt.reason, by: halt.by })
}
