//! Rules that close items which nothing reports any more: read, made, changed, tried and run.

use crate::app::App;
use crate::engine::stale as logic;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use protocol::api::auto_close::{
    AutoCloseChange, AutoCloseJudged, AutoCloseRule, AutoCloseRuleBody, AutoCloseRulesBody, AutoCloseRun,
    AutoCloseRunRequest,
};
use store::items::stale::{self, Rule, RunRow, Wanted};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index, create)).routes(routes!(show, change, delete)).routes(routes!(run))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<AutoCloseRuleBody>);

fn body(rule: &Rule, runs: &[RunRow]) -> AutoCloseRule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let runs = runs.iter().filter(|run| run.rule_id == rule.id).map(|run| AutoCloseRun {
        instance: run.instance.clone(),
        at: run.at,
        by: run.author.clone(),
        matched: run.matched,
        closed: run.closed,
        held: some(&run.held),
        reason: some(&run.held_reason),
    });
    AutoCloseRule {
        id: rule.id,
        name: rule.name.clone(),
        active: rule.active,
        position: rule.position,
        kind: rule.kind.as_str().to_owned(),
        days: rule.days,
        condition: rule.condition.clone(),
        ignore_deferred: rule.ignore_deferred,
        words: rule.kind.sentence(rule.days),
        ran_at: rule.ran_at,
        asked_by: rule.asked_by.clone(),
        version: rule.version,
        runs: runs.collect(),
    }
}

/// Every rule with what it did.
///
/// # Errors
/// A missing permission.
pub(crate) async fn all(app: &App, caller: &Caller) -> Result<Vec<AutoCloseRule>, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (rules, runs) = app.database.read(|tx| Ok((stale::rules(tx)?, stale::last_runs(tx)?))).await?;
    Ok(rules.iter().map(|rule| body(rule, &runs)).collect())
}

async fn tagged(app: &App, rule: Rule, dry_run: Option<Vec<AutoCloseJudged>>) -> Result<Tagged, Error> {
    let runs = app.database.read(stale::last_runs).await?;
    Ok((etag(rule.version), Json(AutoCloseRuleBody { rule: body(&rule, &runs), dry_run })))
}

/// What somebody wants, over what there is.
///
/// # Errors
/// 422 for a kind that there is not.
pub(crate) fn wanted(before: Option<&Rule>, given: &AutoCloseChange) -> Result<Wanted, Error> {
    let kind = match (&given.kind, before) {
        (Some(word), _) => logic::kind(word)?,
        (None, Some(before)) => before.kind,
        (None, None) => return Err(Error::field("kind", "missing", "say what the rule looks at")),
    };
    let text = |given: &Option<String>, before: Option<&String>| {
        given.as_deref().map(str::trim).map(str::to_owned).or_else(|| before.cloned()).unwrap_or_default()
    };
    Ok(Wanted {
        name: text(&given.name, before.map(|rule| &rule.name)),
        active: given.active.unwrap_or_else(|| before.is_some_and(|rule| rule.active)),
        position: given.position.unwrap_or_else(|| before.map_or(100, |rule| rule.position)),
        kind,
        // None is out of bounds, and said to be.
        days: given.days.unwrap_or_else(|| before.map_or(0, |rule| rule.days)),
        condition: text(&given.condition, before.map(|rule| &rule.condition)),
        ignore_deferred: given.ignore_deferred.unwrap_or_else(|| before.is_none_or(|rule| rule.ignore_deferred)),
    })
}

/// What a rule would do, as a body.
pub(crate) fn judged(judged: &[logic::Judged]) -> Vec<AutoCloseJudged> {
    let one = |one: &logic::Judged| AutoCloseJudged {
        instance: one.instance.name.clone(),
        open: one.instance.open,
        matched: one.matched,
        held: one.refused.as_ref().map(|refusal| refusal.code.to_owned()),
        reason: one.refused.as_ref().map(|refusal| refusal.sentence.clone()),
    };
    judged.iter().map(one).collect()
}

/// List the rules that close items
#[utoipa::path(get, path = "/rules/auto-close", tag = "rules", operation_id = "auto_close_index",
    responses((status = OK, body = AutoCloseRulesBody)))]
async fn index(State(app): State<App>, caller: Caller) -> Result<Json<AutoCloseRulesBody>, Error> {
    Ok(Json(AutoCloseRulesBody { rules: all(&app, &caller).await? }))
}

/// Make a rule that closes items
#[utoipa::path(post, path = "/rules/auto-close", tag = "rules", operation_id = "auto_close_create",
    request_body = AutoCloseChange, responses((status = CREATED, body = AutoCloseRuleBody),
    (status = CONFLICT, description = "`too_many_rules`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<AutoCloseChange>,
) -> Result<(StatusCode, Json<AutoCloseRuleBody>), Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let rule = logic::create(&app, &caller, wanted(None, &given)?).await?;
    Ok((StatusCode::CREATED, Json(AutoCloseRuleBody { rule: body(&rule, &[]), dry_run: None })))
}

/// Show a rule that closes items
#[utoipa::path(get, path = "/rules/auto-close/{id}", tag = "rules", operation_id = "auto_close_show",
    params(("id" = i64, Path)), responses((status = OK, body = AutoCloseRuleBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    let rule = logic::known(&app, &caller, id).await?;
    tagged(&app, rule, None).await
}

/// Change a rule that closes items
///
/// Who asked before that it is gone through is forgotten.
#[utoipa::path(patch, path = "/rules/auto-close/{id}", tag = "rules", operation_id = "auto_close_change",
    params(("id" = i64, Path)), request_body = AutoCloseChange, responses((status = OK, body = AutoCloseRuleBody),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
    Json(given): Json<AutoCloseChange>,
) -> Result<Tagged, Error> {
    let rule = logic::change(&app, &caller, id, seen, move |before| wanted(Some(before), &given)).await?;
    tagged(&app, rule, None).await
}

/// Delete a rule that closes items
///
/// What it closed stays closed.
#[utoipa::path(delete, path = "/rules/auto-close/{id}", tag = "rules", operation_id = "auto_close_delete",
    params(("id" = i64, Path)), responses((status = NO_CONTENT),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(seen): IfMatch,
) -> Result<StatusCode, Error> {
    logic::delete(&app, &caller, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Go through a rule that closes items now
///
/// It happens in a moment; the rule shows what it did. A dry run says what it would do. Where more would close than a fifth of the
/// instance's open items, or 1,000 where that is more, within a day, none is closed unless `all` is set. An instance without an import of
/// detections that finished in the last seven days is left out in any case.
#[utoipa::path(post, path = "/rules/auto-close/{id}/run", tag = "rules", operation_id = "auto_close_run",
    params(("id" = i64, Path)), request_body = Option<AutoCloseRunRequest>,
    responses((status = OK, body = AutoCloseRuleBody)))]
async fn run(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    given: Option<Json<AutoCloseRunRequest>>,
) -> Result<Tagged, Error> {
    let Json(given) = given.unwrap_or_default();
    if given.dry_run {
        let found = logic::dry_run(&app, &caller, id, given.all).await?;
        let rule = logic::known(&app, &caller, id).await?;
        return tagged(&app, rule, Some(judged(&found))).await;
    }
    let rule = logic::ask(&app, &caller, id, given.all).await?;
    tagged(&app, rule, None).await
}
