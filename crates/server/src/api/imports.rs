//! Import runs, and files that people load.

use crate::app::App;
use crate::engine::import::file;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::number::{Number, Series};
use futures_util::Stream;
use protocol::api::integrations::{
    FileImportBody, Import, ImportBody, ImportCount, ImportCounters, ImportItemCount, ImportRejection, ImportsBody,
};
use serde::Deserialize;
use store::imports::{self, Count, Counters, RunRow};
use store::list;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest name of a file or an instance, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(show))
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
        started_at: row.started_at,
        ended_at: row.ended_at,
    }
}

/// A run with the rows it could not use.
pub(crate) async fn shown(app: &App, number: Number) -> Result<ImportBody, Error> {
    let found = app.database.try_read(move |tx| {
        let row = imports::one(tx, number.ordinal).map_err(|error| match error {
            store::Error::NotFound => Error::NotFound(format!("import {number}")),
            error => error.into(),
        })?;
        let rejections = imports::rejections(tx, row.id)?;
        Ok::<_, Error>((row, rejections))
    });
    let (row, rejections) = found.await?;
    let rejections = rejections.into_iter().map(|(what, reason)| ImportRejection { what, reason }).collect();
    Ok(ImportBody { import: body(&row), rejections })
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

/// Show an import
#[utoipa::path(get, path = "/imports/{number}", tag = "imports", params(("number" = String, Path)),
    responses((status = OK, body = ImportBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(number): Path<String>) -> Result<Json<ImportBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let parsed = number.parse::<Number>().ok().filter(|number| number.series == Series::IntegrationRun);
    let number = parsed.ok_or_else(|| Error::NotFound(format!("import {number}")))?;
    Ok(Json(shown(&app, number).await?))
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
/// 409 `import_running`.
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
    (status = CONFLICT, description = "`import_running`")))]
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
    let import = shown(&app, number).await?.import;
    let body = serde_json::to_value(FileImportBody { import, report }).map_err(Error::internal)?;
    Ok((StatusCode::ACCEPTED, Json(body)))
}
