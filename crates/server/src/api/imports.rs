//! Import runs, and files that people load.

use crate::app::App;
use crate::engine::import::file;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::access::{Action, Actor, AssetScope, Reason, Record};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use futures_util::Stream;
use protocol::api::integrations::{
    FileImportBody, Import, ImportBody, ImportCount, ImportCounters, ImportItemCount, ImportRejection,
    ImportRejectionsBody, ImportStep, ImportTrouble, ImportTroublesBody, ImportsBody,
};
use protocol::spreadsheet;
use serde::Deserialize;
use store::imports::{self, Count, Counters, Rejected, RunRow, Step};
use store::{Transaction, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Rows that could not be used which a run's own body describes.
const REJECTIONS_SHOWN: i64 = 20;
/// Those that can be downloaded: all that a run describes.
const REJECTIONS_MAX: i64 = 10_000;
/// Longest name of a file or an instance, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index))
        .routes(routes!(troubles))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(rejections))
}

/// Its route with a body that may be large and may take long; bounded by the edge's limits for uploads.
pub fn upload_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(load))
}

fn count(count: &Count) -> ImportCount {
    let Count { new, updated, unchanged, ignored, rejected } = *count;
    ImportCount { new, updated, unchanged, ignored, rejected }
}

fn counters(counters: &Counters) -> ImportCounters {
    ImportCounters {
        vulnerabilities: count(&counters.vulnerabilities),
        placeholders: counters.placeholders,
        hosts: count(&counters.hosts),
        assets_new: counters.assets_new,
        detections: count(&counters.detections),
        items: ImportItemCount {
            new: counters.items.new,
            updated: counters.items.updated,
            closed: counters.items.closed,
            reopened: counters.items.reopened,
        },
        setup: count(&counters.setup),
    }
}

fn body(row: &RunRow) -> Import {
    Import {
        number: row.number().to_string(),
        instance_id: row.instance_id.0,
        instance: row.instance.clone(),
        kind: row.kind.as_str().to_owned(),
        cause: row.cause.as_str().to_owned(),
        actor: row.actor.clone(),
        source: row.source.clone(),
        state: row.state.as_str().to_owned(),
        detail: row.detail.clone(),
        counters: counters(&row.counters()),
        until_at: row.until_at,
        queued_at: row.queued_at,
        cancel_by: row.cancel_by.clone(),
        started_at: row.started_at,
        ended_at: row.ended_at,
    }
}

/// The number in an address.
///
/// # Errors
/// [`Error::NotFound`] for what is no number of a run.
pub(crate) fn numbered(text: &str) -> Result<Number, Error> {
    let parsed = text.parse::<Number>().ok().filter(|number| number.series == Series::IntegrationRun);
    parsed.ok_or_else(|| unknown(text))
}

fn unknown(number: impl std::fmt::Display) -> Error {
    Error::NotFound(format!("import {number}"))
}

/// The run of this number; an unknown one is named.
///
/// # Errors
/// [`Error::NotFound`].
pub(crate) fn known(tx: &mut Transaction<'_>, number: Number) -> Result<RunRow, Error> {
    imports::one(tx, number.ordinal).map_err(|error| match error {
        store::Error::NotFound => unknown(number),
        error => error.into(),
    })
}

fn step(step: Step) -> ImportStep {
    ImportStep {
        name: step.name,
        pages: step.pages,
        rows: step.rows_read,
        bytes: step.bytes,
        asked_ms: step.asked_ms,
        merged_ms: step.merged_ms,
        started_at: step.started_at,
        ended_at: step.ended_at,
    }
}

fn rejection(row: Rejected) -> ImportRejection {
    ImportRejection { what: row.what, line: row.line, reason: row.reason }
}

/// Whether who asks may read rejected rows: they name machines, whosever these are.
pub(crate) fn reads_rows(actor: &Actor) -> bool {
    actor.scope == AssetScope::All
}

/// A run with its steps and, for who may read them, the first rows it could not use.
pub(crate) async fn shown(app: &App, number: Number, rows: bool) -> Result<ImportBody, Error> {
    let most = if rows { REJECTIONS_SHOWN } else { 0 };
    let found = app.database.try_read(move |tx| {
        let row = known(tx, number)?;
        let steps = imports::steps(tx, row.id)?;
        let rejections = imports::rejections(tx, row.id, most)?;
        Ok::<_, Error>((row, steps, rejections))
    });
    let (row, steps, rejections) = found.await?;
    Ok(ImportBody {
        import: body(&row),
        steps: steps.into_iter().map(step).collect(),
        rejections: rejections.into_iter().map(rejection).collect(),
    })
}

/// List imports
#[utoipa::path(get, path = "/imports", tag = "imports", params(ListQuery), responses((status = OK, body = ImportsBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<ImportsBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let query = query.of_list(&imports::FIELDS, "-number", app.clock.now(), &caller.name)?;
    let page =
        app.database.try_read(move |tx| list::page::<RunRow>(tx, &imports::LIST, None, &query).map_err(Error::from));
    let page = page.await?;
    Ok(Json(ImportsBody { imports: page.rows.iter().map(body).collect(), next: page.next_cursor }))
}

/// List what is wrong with imports
///
/// What failed and has not worked since, takes too long, is held up, or must not try to sign in any more.
#[utoipa::path(get, path = "/imports/troubles", tag = "imports", responses((status = OK, body = ImportTroublesBody)))]
async fn troubles(State(app): State<App>, caller: Caller) -> Result<Json<ImportTroublesBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let rows = app.database.read(imports::troubles).await?;
    let trouble = |row: imports::TroubleRow| ImportTrouble {
        says: row.what.says(row.kind, &row.instance),
        instance_id: row.instance_id.0,
        instance: row.instance,
        kind: row.kind.as_str().to_owned(),
        what: row.what.as_str().to_owned(),
        since_at: row.since_at,
        import: (row.run > 0).then(|| Number { series: Series::IntegrationRun, ordinal: row.run }.to_string()),
        detail: row.detail,
    };
    Ok(Json(ImportTroublesBody { troubles: rows.into_iter().map(trouble).collect() }))
}

/// Show an import
#[utoipa::path(get, path = "/imports/{number}", tag = "imports", params(("number" = String, Path)),
    responses((status = OK, body = ImportBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ImportBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    Ok(Json(shown(&app, numbered(&number)?, reads_rows(&caller)).await?))
}

/// Stop a run: one that waits ends at once, one at work at its next page or portion.
///
/// # Errors
/// 403, 404, 409 `import_ended`.
pub(crate) async fn stop(app: &App, caller: &Caller, number: Number) -> Result<(), Error> {
    caller.may(Action::ImportRun, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let stopped = app.database.try_write(move |tx| {
        let run = known(tx, number)?;
        Ok::<_, Error>((run.id, imports::cancel(tx, &author, number.ordinal, now)?))
    });
    let (id, state) = stopped.await?;
    app.wake.notify("import", id);
    match state {
        Some(_) => Ok(()),
        None => Err(Refusal::new("import_ended", "this import has ended; there is nothing to cancel").into()),
    }
}

/// Cancel an import
///
/// One that waits ends at once; one at work ends at its next page, keeps complete hosts and moves no cursor.
#[utoipa::path(post, path = "/imports/{number}/cancel", tag = "imports", params(("number" = String, Path)),
    responses((status = OK, body = ImportBody), (status = CONFLICT, description = "`import_ended`")))]
async fn cancel(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ImportBody>, Error> {
    let number = numbered(&number)?;
    stop(&app, &caller, number).await?;
    Ok(Json(shown(&app, number, true).await?))
}

/// In which form rejected rows are wanted.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct RejectionsQuery {
    /// `json` (default) or `csv`.
    format: String,
}

/// Download the rows that an import could not use
///
/// At most 10,000 are described one by one, for 90 days; how many there were stays with the run. They name machines, so they are
/// refused to an account that is kept to some assets.
#[utoipa::path(get, path = "/imports/{number}/rejections", tag = "imports",
    params(("number" = String, Path), RejectionsQuery), responses((status = OK, body = ImportRejectionsBody)))]
async fn rejections(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<RejectionsQuery>,
) -> Result<Response, Error> {
    download(&app, &caller, &number, &query).await
}

/// Rejected rows as an attachment, for the API and the pages.
///
/// # Errors
/// 403, 404, 422 for an unknown form.
pub(crate) async fn download(
    app: &App,
    caller: &Caller,
    number: &str,
    query: &RejectionsQuery,
) -> Result<Response, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    if !reads_rows(caller) {
        return Err(Reason::Scoped.into());
    }
    let number = numbered(number)?;
    let found = app.database.try_read(move |tx| {
        let run = known(tx, number)?;
        Ok::<_, Error>(imports::rejections(tx, run.id, REJECTIONS_MAX)?)
    });
    let rows = found.await?;
    let (kind, end, text) = match query.format.as_str() {
        "" | "json" => {
            let body = ImportRejectionsBody { rejections: rows.into_iter().map(rejection).collect() };
            ("application/json", "json", serde_json::to_string(&body).map_err(Error::internal)?)
        }
        "csv" => ("text/csv; charset=utf-8", "csv", csv(&rows)),
        _ => return Err(Error::field("format", "bad_format", "rejected rows come as `json` or `csv`")),
    };
    let disposition = format!("attachment; filename=\"{number}-rejected.{end}\"");
    let disposition = HeaderValue::try_from(disposition).map_err(Error::internal)?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(kind)), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, text).into_response())
}

/// The words are the input's: no cell is a formula.
fn csv(rows: &[Rejected]) -> String {
    let mut text = "row,line,reason\n".to_owned();
    for row in rows {
        let line = row.line.map(|line| line.to_string()).unwrap_or_default();
        text.push_str(&spreadsheet::line([row.what.as_str().into(), line.into(), row.reason.as_str().into()]));
    }
    text
}

/// What a file is loaded as.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Loaded {
    /// Name of the file, for the record.
    #[serde(default)]
    name: String,
    /// Name of the integration instance, which is made where there is none; "Files (Qualys)" when absent.
    instance: Option<String>,
    /// Only read the file to its end and say what it holds.
    #[serde(default)]
    dry_run: bool,
}

/// Put a file aside and read it to its end. `name` is the file's, `instance` that of the integration instance.
///
/// # Errors
/// 403, 422.
pub(crate) async fn checked<E>(
    app: &App,
    caller: &Caller,
    name: &str,
    instance: &str,
    content: impl Stream<Item = Result<Bytes, E>> + Send,
) -> Result<file::Checked, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    caller.may(Action::ImportRun, &Record::default())?;
    for (field, text) in [("name", name), ("instance", instance)] {
        if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(Error::field(field, "name", "a name has at most 200 bytes and no control characters"));
        }
    }
    let upload = file::spool(app, name.to_owned(), content).await?;
    Ok(file::check(upload).await?)
}

/// Begin the import of a good file and leave it to itself; gives the run's number.
///
/// # Errors
/// 409 `import_running`, `instance_disabled`.
pub(crate) async fn begin(app: &App, caller: &Caller, instance: &str, checked: file::Checked) -> Result<Number, Error> {
    let started = file::start(app, &caller.author(), instance, checked).await?;
    let number = started.number;
    tokio::spawn(async move {
        if let Err(error) = started.run().await {
            tracing::warn!(import = %number, "the import {number} failed: {}", error.reason());
        }
    });
    Ok(number)
}

/// Load a file
///
/// The body is the file itself. It is read to its end before anything is written: a file that is refused leaves nothing
/// behind. A good one is imported in the background; follow the run under `/imports`. With `dry_run` nothing is
/// imported and the answer is 200.
#[utoipa::path(post, path = "/imports/files", tag = "imports", params(Loaded),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = ACCEPTED, body = FileImportBody), (status = OK, description = "the report of a dry run"),
    (status = UNPROCESSABLE_ENTITY, description = "`truncated`, `not_well_formed`, `entity_refused`, `refused`, ..."),
    (status = CONFLICT, description = "`import_running`, `instance_disabled`")))]
async fn load(
    State(app): State<App>,
    caller: Caller,
    Query(loaded): Query<Loaded>,
    content: Body,
) -> Result<(StatusCode, Json<serde_json::Value>), Error> {
    let instance = loaded.instance.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let instance = instance.unwrap_or(file::DEFAULT_INSTANCE);
    let checked = checked(&app, &caller, &loaded.name, instance, content.into_data_stream()).await?;
    let report = serde_json::to_value(&checked.report).map_err(Error::internal)?;
    if loaded.dry_run {
        return Ok((StatusCode::OK, Json(serde_json::json!({ "report": report }))));
    }
    let number = begin(&app, &caller, instance, checked).await?;
    let import = shown(&app, number, true).await?.import;
    let body = serde_json::to_value(FileImportBody { import, report }).map_err(Error::internal)?;
    Ok((StatusCode::ACCEPTED, Json(body)))
}
