//! Integration instances: subscriptions of scanner products, their set-up, and imports begun now.

use super::imports;
use crate::app::App;
use crate::appliances;
use crate::engine::import;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use crate::instances as logic;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::import::Kind;
use protocol::api::integrations::{
    AppliancesBody, ConnectionTestBody, ImportBody, ImportRequest, Instance, InstanceBody, InstanceChange,
    InstancesBody, NewInstance, OptionProfile, OptionProfilesBody, QuotasBody,
};
use store::{Transaction, instances};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(quotas))
        .routes(routes!(test))
        .routes(routes!(option_profiles))
        .routes(routes!(appliances_of))
        .routes(routes!(import_now))
}

fn body(row: instances::Instance, scanner: Option<&str>) -> Instance {
    Instance {
        id: row.id.0,
        name: row.name,
        product: row.product,
        api_url: row.api_url,
        gateway_url: row.gateway_url,
        auth: row.auth,
        username: row.username,
        has_password: row.has_secret,
        versions: logic::versions_of(&row.versions),
        default_profile: row.default_profile,
        default_appliance: row.default_appliance,
        tracking_hours: row.tracking_hours,
        interval_minutes: row.interval_minutes,
        first_days: row.first_days,
        disabled: row.disabled,
        versions_seen: logic::versions_seen(&row.versions_seen),
        tested: logic::tested(&row.tested),
        next_import_at: row.next_import_at,
        knowledge_base_until: row.knowledge_base_until,
        host_detection_until: row.host_detection_until,
        source: row.source_stamped_at.and(scanner.map(str::to_owned)),
        updated_at: row.updated_at,
    }
}

fn named(tx: &mut Transaction<'_>, row: instances::Instance) -> Result<Instance, Error> {
    let scanner = store::scanners::one(tx, &row.product).ok().map(|scanner| scanner.name);
    Ok(body(row, scanner.as_deref()))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<InstanceBody>);

/// List integration instances
#[utoipa::path(get, path = "/instances", tag = "instances", params(ListQuery),
    responses((status = OK, body = InstancesBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<InstancesBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let query = query.of_list(&instances::FIELDS, "name", app.clock.now(), &caller.name)?;
    let found = app.database.try_read(move |tx| {
        let page = store::list::page::<instances::Instance>(tx, &instances::LIST, None, &query)?;
        let rows = page.rows.into_iter().map(|row| named(tx, row)).collect::<Result<Vec<_>, Error>>()?;
        Ok::<_, Error>((rows, page.next_cursor))
    });
    let (instances, next) = found.await?;
    Ok(Json(InstancesBody { instances, next }))
}

/// Make an integration instance
///
/// The password is kept sealed and never shown.
#[utoipa::path(post, path = "/instances", tag = "instances", request_body = NewInstance,
    responses((status = CREATED, body = InstanceBody), (status = CONFLICT, description = "`name_taken`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewInstance>,
) -> Result<(StatusCode, Tagged), Error> {
    let made = logic::create(&app, &caller, new).await?;
    let version = made.version;
    let instance = app.database.try_read(move |tx| named(tx, made.clone())).await?;
    Ok((StatusCode::CREATED, (etag(version), Json(InstanceBody { instance }))))
}

/// Show an integration instance
#[utoipa::path(get, path = "/instances/{id}", tag = "instances", params(("id" = i64, Path)),
    responses((status = OK, body = InstanceBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let shown = app.database.try_read(move |tx| {
        let row = logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>((row.version, named(tx, row)?))
    });
    let (version, instance) = shown.await?;
    Ok((etag(version), Json(InstanceBody { instance })))
}

/// Change an integration instance
///
/// Another address or user name needs the password again.
#[utoipa::path(patch, path = "/instances/{id}", tag = "instances", params(("id" = i64, Path)),
    request_body = InstanceChange, responses((status = OK, body = InstanceBody),
    (status = CONFLICT, description = "`name_taken`, `password_needed`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
    Json(change): Json<InstanceChange>,
) -> Result<Tagged, Error> {
    let changed = logic::change(&app, &caller, InstanceId(id), change, seen).await?;
    let version = changed.version;
    let instance = app.database.try_read(move |tx| named(tx, changed.clone())).await?;
    Ok((etag(version), Json(InstanceBody { instance })))
}

/// Delete an integration instance
///
/// Only one that never imported anything; any other is disabled instead.
#[utoipa::path(delete, path = "/instances/{id}", tag = "instances", params(("id" = i64, Path)),
    responses((status = NO_CONTENT), (status = CONFLICT, description = "`instance_in_use`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
) -> Result<StatusCode, Error> {
    logic::delete(&app, &caller, InstanceId(id), seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the limits of an integration instance's platform
///
/// What the platform last said of them, by end point; kept over restarts and shared by imports, rescans and tests.
#[utoipa::path(get, path = "/instances/{id}/quotas", tag = "instances", params(("id" = i64, Path)),
    responses((status = OK, body = QuotasBody)))]
async fn quotas(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<QuotasBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let found = app.database.try_read(move |tx| {
        logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(store::quotas::of(tx, InstanceId(id))?)
    });
    Ok(Json(QuotasBody { quotas: found.await?.into_iter().map(logic::quota).collect() }))
}

/// Test the connection of an integration instance
///
/// Signs in, and tries once what imports and rescans need. The answer is kept with the instance.
#[utoipa::path(post, path = "/instances/{id}/test", tag = "instances", params(("id" = i64, Path)),
    responses((status = OK, body = ConnectionTestBody)))]
async fn test(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<ConnectionTestBody>, Error> {
    Ok(Json(ConnectionTestBody { test: logic::test(&app, &caller, InstanceId(id)).await? }))
}

/// List the option profiles of an integration instance
#[utoipa::path(get, path = "/instances/{id}/option-profiles", tag = "instances", params(("id" = i64, Path)),
    responses((status = OK, body = OptionProfilesBody)))]
async fn option_profiles(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<OptionProfilesBody>, Error> {
    // Whoever may ask for a rescan chooses among them.
    let looks = caller.may(Action::IntegrationsView, &Record::default());
    let asks = Record { assignee: Some(caller.user), ..Record::default() };
    looks.or_else(|_| caller.may(Action::Rescan, &asks))?;
    let found = app.database.try_read(move |tx| {
        logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(instances::profiles(tx, InstanceId(id))?)
    });
    let profile = |row: instances::Profile| OptionProfile {
        key: row.key,
        title: row.title,
        is_default: row.is_default,
        complete: row.complete,
    };
    Ok(Json(OptionProfilesBody { option_profiles: found.await?.into_iter().map(profile).collect() }))
}

/// List the scanner appliances of an integration instance
#[utoipa::path(get, path = "/instances/{id}/appliances", tag = "instances", params(("id" = i64, Path)),
    responses((status = OK, body = AppliancesBody)))]
async fn appliances_of(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<AppliancesBody>, Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    let found = app.database.try_read(move |tx| {
        logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(instances::appliances(tx, InstanceId(id))?)
    });
    Ok(Json(AppliancesBody { appliances: found.await?.into_iter().map(appliances::body).collect(), next: None }))
}

/// Ask for an import; it begins now, or when its turn comes. Gives the run's number.
///
/// # Errors
/// 403, 404, 409 `import_queued` and `files_only`, 422 for an unknown kind.
pub(crate) async fn begin_import(
    app: &App,
    caller: &Caller,
    instance: InstanceId,
    kind: &str,
) -> Result<domain::number::Number, Error> {
    caller.may(Action::ImportRun, &Record::default())?;
    let Some(kind) = Kind::parse(kind).filter(|kind| kind.asked_for()) else {
        let words: Vec<&str> = Kind::ALL.iter().filter(|kind| kind.asked_for()).map(|kind| kind.as_str()).collect();
        return Err(Error::field("kind", "unknown", format!("kind is one of {}", words.join(", "))));
    };
    app.database.try_read(move |tx| logic::known(tx, instance)).await?;
    Ok(import::ask(app, instance, kind, &caller.author()).await?)
}

/// Import now
///
/// Begins the import, or lets it wait until nothing else of the instance is at work, and answers at once; follow the run
/// under `/imports`.
#[utoipa::path(post, path = "/instances/{id}/imports", tag = "instances", params(("id" = i64, Path)),
    request_body = ImportRequest, responses((status = ACCEPTED, body = ImportBody),
    (status = CONFLICT, description = "`import_queued`, `files_only`")))]
async fn import_now(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<ImportRequest>,
) -> Result<(StatusCode, Json<ImportBody>), Error> {
    let kind = asked.kind.as_deref().unwrap_or("everything");
    let number = begin_import(&app, &caller, InstanceId(id), kind).await?;
    Ok((StatusCode::ACCEPTED, Json(imports::shown(&app, number, true).await?)))
}
