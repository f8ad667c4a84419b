//! What nobody has to work on: rules over detections, and the settings beside them.

use crate::app::App;
use crate::engine::exclusion as engine;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::id::ExclusionRuleId;
use domain::number::{Number, Series};
use protocol::api::exclusion::{
    ExcludedDetection, ExcludedDetectionsBody, Exclusion, ExclusionAppliedBody, ExclusionApply, ExclusionBody,
    ExclusionChange, ExclusionPass, ExclusionRule, ExclusionRuleBody, ExclusionRuleChange, ExclusionRulesBody,
    ExclusionTriedBody, ExclusionTry, NewExclusionRule,
};
use store::exclusion::{self, ExcludedRow, PassRow, RuleRow};
use store::{Transaction, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(index, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(detections))
        .routes(routes!(settings, set))
        .routes(routes!(try_condition))
        .routes(routes!(apply))
}

type Tagged<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

fn body(row: RuleRow) -> ExclusionRule {
    ExclusionRule {
        id: row.id.0,
        name: row.name,
        active: row.active,
        position: row.position,
        condition: row.condition,
        excluded: row.excluded,
        updated_at: row.updated_at,
    }
}

/// A pass as the API says it.
fn pass(row: PassRow) -> ExclusionPass {
    ExclusionPass {
        state: row.state,
        asked_by: row.asked_by,
        asked_at: row.asked_at,
        looked: row.looked,
        excluded: row.excluded,
        included: row.included,
        items_made: row.items_made,
        items_closed: row.items_closed,
        ended_at: row.ended_at,
    }
}

fn found(row: ExcludedRow) -> ExcludedDetection {
    let number = |ordinal| Number { series: Series::Item, ordinal }.to_string();
    ExcludedDetection {
        id: row.id.0,
        qid: row.qid,
        title: row.title,
        asset_id: row.asset_id,
        asset: row.asset,
        instance: row.instance,
        ip: row.ip,
        port: row.port,
        protocol: row.protocol,
        kind: row.kind,
        severity: row.severity,
        status: row.status,
        item: row.item.map(number),
        last_found_at: row.last_found_at,
    }
}

fn tagged(row: RuleRow) -> Tagged<ExclusionRuleBody> {
    (etag(row.version), Json(ExclusionRuleBody { exclusion_rule: body(row) }))
}

fn beside(tx: &mut Transaction<'_>) -> Result<Tagged<ExclusionBody>, Error> {
    let settings = exclusion::settings(tx)?;
    let exclusion = Exclusion {
        close_items: settings.value.close_items,
        confirmed_only: settings.value.confirmed_only.iter().map(|id| id.0).collect(),
        excluded: exclusion::by_confirmed_only(tx)?,
        pass: exclusion::last(tx)?.map(pass),
    };
    Ok((etag(settings.version), Json(ExclusionBody { exclusion })))
}

/// List exclusion rules
///
/// In their order: of several that hold the first counts.
#[utoipa::path(get, path = "/exclusion-rules", tag = "exclusion",
    responses((status = OK, body = ExclusionRulesBody)))]
async fn index(State(app): State<App>, caller: Caller) -> Result<Json<ExclusionRulesBody>, Error> {
    engine::may(&caller)?;
    let rules = app.database.read(exclusion::rules).await?;
    Ok(Json(ExclusionRulesBody { exclusion_rules: rules.into_iter().map(body).collect() }))
}

/// Make an exclusion rule
///
/// Detections that it holds for make no item from now on; items that are there stay, unless excluded detections are to close them.
/// What is known is gone through at once.
#[utoipa::path(post, path = "/exclusion-rules", tag = "exclusion", request_body = NewExclusionRule,
    responses((status = CREATED, body = ExclusionRuleBody),
    (status = CONFLICT, description = "`name_taken`, `matches_most`, `too_many`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewExclusionRule>,
) -> Result<(StatusCode, Tagged<ExclusionRuleBody>), Error> {
    Ok((StatusCode::CREATED, tagged(engine::create(&app, &caller, new).await?)))
}

/// Show an exclusion rule
#[utoipa::path(get, path = "/exclusion-rules/{id}", tag = "exclusion", params(("id" = i64, Path)),
    responses((status = OK, body = ExclusionRuleBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged<ExclusionRuleBody>, Error> {
    engine::may(&caller)?;
    Ok(tagged(app.database.try_read(move |tx| engine::known(tx, ExclusionRuleId(id))).await?))
}

/// Change an exclusion rule
///
/// What is known is gone through at once.
#[utoipa::path(patch, path = "/exclusion-rules/{id}", tag = "exclusion", params(("id" = i64, Path)),
    request_body = ExclusionRuleChange, responses((status = OK, body = ExclusionRuleBody),
    (status = CONFLICT, description = "`name_taken`, `matches_most`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
    Json(change): Json<ExclusionRuleChange>,
) -> Result<Tagged<ExclusionRuleBody>, Error> {
    Ok(tagged(engine::change(&app, &caller, ExclusionRuleId(id), seen, change).await?))
}

/// Delete an exclusion rule
///
/// What it excluded is worked on again, without another import.
#[utoipa::path(delete, path = "/exclusion-rules/{id}", tag = "exclusion", params(("id" = i64, Path)),
    responses((status = NO_CONTENT), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
) -> Result<StatusCode, Error> {
    engine::delete(&app, &caller, ExclusionRuleId(id), seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the detections that an exclusion rule excludes
///
/// Rule 0 is for instances of which only confirmed weaknesses count.
#[utoipa::path(get, path = "/exclusion-rules/{id}/detections", tag = "exclusion", params(("id" = i64, Path), ListQuery),
    responses((status = OK, body = ExcludedDetectionsBody)))]
async fn detections(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    query: ListQuery,
) -> Result<Json<ExcludedDetectionsBody>, Error> {
    engine::may(&caller)?;
    let query = query.of_list(exclusion::LIST.fields, "", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| {
        if id != 0 {
            engine::known(tx, ExclusionRuleId(id))?;
        }
        Ok::<_, Error>(list::page::<ExcludedRow>(tx, &exclusion::LIST, exclusion::of_rule(id), &query)?)
    });
    let page = page.await?;
    Ok(Json(ExcludedDetectionsBody { detections: page.rows.into_iter().map(found).collect(), next: page.next_cursor }))
}

/// Show what stands beside the exclusion rules, and how far the last change has come
#[utoipa::path(get, path = "/exclusion", tag = "exclusion", responses((status = OK, body = ExclusionBody)))]
async fn settings(State(app): State<App>, caller: Caller) -> Result<Tagged<ExclusionBody>, Error> {
    engine::may(&caller)?;
    app.database.try_read(beside).await
}

/// Change what stands beside the exclusion rules
///
/// Whether items close where all that is open of them is excluded, and of which instances only confirmed weaknesses count.
#[utoipa::path(patch, path = "/exclusion", tag = "exclusion", request_body = ExclusionChange,
    responses((status = OK, body = ExclusionBody), (status = CONFLICT, description = "`matches_most`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn set(
    State(app): State<App>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    Json(change): Json<ExclusionChange>,
) -> Result<Tagged<ExclusionBody>, Error> {
    engine::set(&app, &caller, seen, change).await?;
    app.database.try_read(beside).await
}

/// Try a condition
///
/// Counts what it is about among all that is known, and changes nothing.
#[utoipa::path(post, path = "/exclusion/try", tag = "exclusion", request_body = ExclusionTry,
    responses((status = OK, body = ExclusionTriedBody)))]
async fn try_condition(
    State(app): State<App>,
    caller: Caller,
    Json(asked): Json<ExclusionTry>,
) -> Result<Json<ExclusionTriedBody>, Error> {
    let (impact, rows) = engine::tried(&app, &caller, &asked.condition).await?;
    let examples = rows.into_iter().map(found).collect();
    Ok(Json(ExclusionTriedBody {
        detections: impact.detections,
        open: impact.open,
        items: impact.items,
        items_open: impact.items_open,
        examples,
    }))
}

/// Go through all that is known again
///
/// Every change does that by itself; ask for it after tags or operating systems of hosts have changed. A dry run counts only.
#[utoipa::path(post, path = "/exclusion/apply", tag = "exclusion", request_body = ExclusionApply,
    responses((status = OK, body = ExclusionAppliedBody)))]
async fn apply(
    State(app): State<App>,
    caller: Caller,
    Json(asked): Json<ExclusionApply>,
) -> Result<Json<ExclusionAppliedBody>, Error> {
    let pending = engine::apply(&app, &caller, asked.dry_run).await?;
    Ok(Json(ExclusionAppliedBody {
        excluded: pending.excluded,
        included: pending.included,
        items: pending.items,
        items_open: pending.items_open,
        begun: !asked.dry_run,
    }))
}
