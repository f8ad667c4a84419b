//! The public API, `/api/v1`: additive only, described by its OpenAPI text. One file per noun; each has `routes()`,
//! which [`routes`] lists.

use crate::app::App;
use crate::http::{limits, router::bounded};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

pub mod accounts;
pub mod agents;
pub mod appliances;
pub mod approvals;
pub mod assets;
pub mod assignment;
pub mod audit;
pub mod auto_close;
pub mod due;
pub mod efforts;
pub mod exceptions;
pub mod exclusion;
pub mod follow;
pub mod history;
pub mod identity;
pub mod imports;
pub mod instances;
pub mod item_changes;
pub mod item_settings;
pub mod items;
pub mod jobs;
pub mod mail;
pub mod notes;
pub mod notices;
pub mod results;
pub mod rollouts;
pub mod runs;
pub mod scan_records;
pub mod scanners;
pub mod scans;
pub mod schedules;
pub mod selection;
pub mod server;
pub mod session;
pub mod tags;
pub mod task_changes;
pub mod task_rules;
pub mod tasks;
pub mod tokens;
pub mod topics;
pub mod vulnerabilities;

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Quell",
    version = "1",
    description = "Errors are problem bodies (RFC 9457, application/problem+json) with a stable code. Lists take q, sort, \
                   limit and cursor. Send an Idempotency-Key with every POST to be able to repeat it safely."
))]
struct Description;

/// Every noun of the API.
fn routes() -> OpenApiRouter<App> {
    let nouns = OpenApiRouter::new()
        .merge(server::routes())
        .merge(session::routes())
        .merge(accounts::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(jobs::routes())
        .merge(results::routes())
        .merge(runs::routes())
        .merge(history::routes())
        .merge(rollouts::routes())
        .merge(approvals::routes())
        .merge(selection::routes())
        .merge(agents::routes())
        .merge(scanners::routes())
        .merge(appliances::routes())
        .merge(instances::routes())
        .merge(imports::routes())
        .merge(schedules::routes())
        .merge(vulnerabilities::routes())
        .merge(assets::routes())
        .merge(identity::routes())
        .merge(tags::routes())
        .merge(items::routes())
        .merge(item_changes::routes())
        .merge(due::routes())
        .merge(item_settings::routes())
        .merge(auto_close::routes())
        .merge(assignment::routes())
        .merge(exceptions::routes())
        .merge(efforts::routes())
        .merge(topics::routes())
        .merge(notices::routes())
        .merge(tasks::routes())
        .merge(task_changes::routes())
        .merge(task_rules::routes())
        .merge(notes::routes())
        .merge(scan_records::routes())
        .merge(exclusion::routes())
        .merge(scans::routes())
        .merge(follow::routes())
        .merge(mail::routes());
    OpenApiRouter::with_openapi(Description::openapi()).nest("/api/v1", nouns)
}

/// What takes a large body and a long time.
fn uploads() -> OpenApiRouter<App> {
    OpenApiRouter::new().nest("/api/v1", imports::upload_routes())
}

/// Handlers are named within their noun; an operation's id has to be unique in the whole description, or generated
/// clients have one function where there should be several.
fn with_unique_ids(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let noun = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
            operation.operation_id = operation.operation_id.take().map(|id| format!("{noun}_{id}"));
        }
    }
    api
}

/// The OpenAPI text, pretty-printed with a final line feed: what `docs/api.json` holds.
pub fn description() -> String {
    let api = with_unique_ids(routes().merge(uploads()).into_openapi());
    let mut text = api.to_pretty_json().expect("the description is plain data");
    text.push('\n');
    text
}

/// The API with its bounds and its own not-found answer.
pub fn router() -> Router<App> {
    let (routes, _) = routes().split_for_parts();
    let (uploads, _) = uploads().split_for_parts();
    let uploads = bounded(uploads, limits::UPLOAD_TIME_MAX, limits::UPLOAD_BYTES_MAX);
    let routes = routes
        .route("/api/v1/openapi.json", get(async || ([("content-type", "application/json")], description())))
        .route("/api/{*rest}", axum::routing::any(async || StatusCode::NOT_FOUND));
    bounded(routes, limits::REQUEST_TIME_MAX, limits::BODY_BYTES_MAX).merge(uploads)
}
