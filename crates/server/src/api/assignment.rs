//! Rules that assign items: read, made, changed, deleted, and asked again.

use crate::app::App;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::assignment::{Kind, POSITION_MAX, PREFIX_CHARS_MAX, RULES_MAX, To};
use domain::filter::TEXT_MAX;
use domain::id::AssignmentRuleId;
use domain::refusal::Refusal;
use protocol::api::assignment::{
    AssignAgain, AssignedAgainBody, AssignedByRule, AssignmentRule, AssignmentRuleBody, AssignmentRuleChange,
    AssignmentRulesBody,
};
use protocol::problem::FieldError;
use std::collections::BTreeMap;
use store::assignment::{self, Rule, Wanted};
use store::{Transaction, accounts, items};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Items that a rule matches are counted up to here.
pub(crate) const COUNTED_MAX: i64 = 10_000;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index, create)).routes(routes!(again)).routes(routes!(show, change, delete))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<AssignmentRuleBody>);

fn body(rule: &Rule) -> AssignmentRule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    AssignmentRule {
        id: rule.id.0,
        name: rule.name.clone(),
        active: rule.active,
        position: rule.position,
        condition: rule.condition.clone(),
        kind: rule.kind.as_str().to_owned(),
        group: some(&rule.group_name),
        user: some(&rule.user),
        tag_prefix: some(&rule.tag_prefix),
        items: rule.items,
        version: rule.version,
    }
}

/// Every rule in its order.
///
/// # Errors
/// A missing permission.
pub(crate) async fn all(app: &App, caller: &Caller) -> Result<Vec<AssignmentRule>, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let rules = app.database.read(assignment::rules).await?;
    Ok(rules.iter().map(body).collect())
}

fn known(tx: &mut Transaction<'_>, id: i64) -> Result<Rule, Error> {
    assignment::rule(tx, AssignmentRuleId(id)).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("assignment rule {id}")),
        error => error.into(),
    })
}

/// A rule with how many items it matches now.
///
/// # Errors
/// A missing permission, or no such rule.
pub(crate) async fn one(app: &App, caller: &Caller, id: i64) -> Result<AssignmentRuleBody, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let now = app.clock.now();
    app.database
        .try_read(move |tx| {
            let rule = known(tx, id)?;
            let filter = domain::filter::parse(&rule.condition, &items::FIELDS).map_err(Error::internal)?;
            let matching = assignment::matching(tx, &filter, COUNTED_MAX, now)?;
            Ok(AssignmentRuleBody { rule: body(&rule), matching })
        })
        .await
}

/// What somebody wants over what there is, checked.
fn wanted(tx: &mut Transaction<'_>, before: Option<&Rule>, given: &AssignmentRuleChange) -> Result<Wanted, Error> {
    let mut wrong: Vec<FieldError> = Vec::new();
    let text = |given: &Option<String>, before: Option<&String>| {
        given.as_deref().map(str::trim).map(str::to_owned).or_else(|| before.cloned()).unwrap_or_default()
    };
    let name = domain::effort::title(&text(&given.name, before.map(|rule| &rule.name)));
    let name = name.unwrap_or_else(|why| {
        wrong.push(FieldError::new("name", "bad_text", why.replace("title", "name")));
        String::new()
    });
    let position = given.position.or_else(|| before.map(|rule| rule.position)).unwrap_or(100);
    if !(0..=POSITION_MAX).contains(&position) {
        wrong.push(FieldError::new("position", "out_of_bounds", format!("the order is 0 to {POSITION_MAX}")));
    }
    let condition = text(&given.condition, before.map(|rule| &rule.condition));
    if condition.len() > TEXT_MAX {
        wrong.push(FieldError::new("condition", "too_long", format!("a condition has at most {TEXT_MAX} characters")));
    } else if let Err(error) = domain::filter::parse(&condition, &items::FIELDS) {
        wrong.push(FieldError::new("condition", "bad_query", error.to_string()));
    }
    let kind = given.kind.as_deref().map_or_else(|| before.map(|rule| rule.kind), Kind::parse);
    let kind = kind.unwrap_or_else(|| {
        let why = format!("a rule gives to one of {}", Kind::WORDS.join(", "));
        wrong.push(FieldError::new("kind", "unknown", why));
        Kind::Previous
    });
    let mut to = To { kind, group: String::new(), user: None, prefix: String::new() };
    match kind {
        Kind::Group => {
            to.group = text(&given.group, before.map(|rule| &rule.group_name));
            if !items::group_exists(tx, &to.group)? {
                wrong.push(FieldError::new("group", "unknown", format!("there is no group {}", to.group)));
            }
        }
        Kind::User => {
            let name = text(&given.user, before.map(|rule| &rule.user)).to_lowercase();
            to.user = accounts::by_name(tx, &name)?.filter(|account| account.active).map(|account| account.id);
            if to.user.is_none() {
                wrong.push(FieldError::new("user", "unknown", format!("there is no active user {name}")));
            }
        }
        Kind::Tag => {
            to.prefix = text(&given.tag_prefix, before.map(|rule| &rule.tag_prefix));
            if to.prefix.is_empty() || to.prefix.chars().count() > PREFIX_CHARS_MAX {
                let why =
                    format!("say what the tag begins with, owner: for one; at most {PREFIX_CHARS_MAX} characters");
                wrong.push(FieldError::new("tag_prefix", "missing", why));
            }
        }
        Kind::Previous => {}
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let active = given.active.unwrap_or_else(|| before.is_some_and(|rule| rule.active));
    Ok(Wanted { name, active, position, condition, to })
}

/// Make a rule.
///
/// # Errors
/// A missing permission; 422; 409 `too_many_rules`.
pub(crate) async fn make(app: &App, caller: &Caller, given: AssignmentRuleChange) -> Result<AssignmentRule, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            if assignment::rules(tx)?.len() >= RULES_MAX {
                let why = format!("there are {RULES_MAX} rules already; delete one first");
                return Err(Refusal::new("too_many_rules", why).into());
            }
            let wanted = wanted(tx, None, &given)?;
            Ok(body(&assignment::create(tx, &author, &wanted, now)?))
        })
        .await
}

/// Change a rule.
///
/// # Errors
/// A missing permission, no such rule, 412 where it changed meanwhile, 422.
pub(crate) async fn edit(
    app: &App,
    caller: &Caller,
    id: i64,
    seen: IfMatch,
    given: AssignmentRuleChange,
) -> Result<AssignmentRule, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let before = known(tx, id)?;
            seen.check(before.version)?;
            let wanted = wanted(tx, Some(&before), &given)?;
            Ok(body(&assignment::change(tx, &author, &before, &wanted, now)?))
        })
        .await
}

/// Delete a rule.
///
/// # Errors
/// A missing permission, no such rule, 412 where it changed meanwhile.
pub(crate) async fn remove(app: &App, caller: &Caller, id: i64, seen: IfMatch) -> Result<(), Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let rule = known(tx, id)?;
            seen.check(rule.version)?;
            Ok(assignment::delete(tx, &author, &rule, now)?)
        })
        .await
}

/// Ask the rules again about every item that is not closed and that no person assigned, in portions of their own transactions: what
/// was done stays done where it ends early, and asking once more goes on.
///
/// # Errors
/// A missing permission.
pub(crate) async fn ask_again(app: &App, caller: &Caller, dry_run: bool) -> Result<AssignedAgainBody, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    let rules = app.database.read(assignment::rules).await?;
    let (mut changed, mut skipped) = (BTreeMap::new(), BTreeMap::new());
    let (mut looked, mut after) = (0, None);
    loop {
        let (author, now) = (caller.author(), app.clock.now());
        let act = move |tx: &mut Transaction<'_>| assignment::again(tx, &author, after, dry_run, now);
        let done = if dry_run { app.database.read(act).await? } else { app.database.write(act).await? };
        looked += done.looked;
        for (all, these) in [(&mut changed, done.changed), (&mut skipped, done.skipped)] {
            for (rule, items) in these {
                *all.entry(rule).or_insert(0) += items;
            }
        }
        after = done.next;
        if after.is_none() {
            break;
        }
    }
    if !dry_run {
        app.wake.notify("item", 0);
    }
    let of = |rule: &Rule| AssignedByRule {
        id: rule.id.0,
        name: rule.name.clone(),
        changed: changed.get(&rule.id).copied().unwrap_or(0),
        skipped: skipped.get(&rule.id).copied().unwrap_or(0),
    };
    let rules: Vec<AssignedByRule> = rules.iter().filter(|rule| rule.active).map(of).collect();
    Ok(AssignedAgainBody { looked, changed: rules.iter().map(|rule| rule.changed).sum(), rules })
}

/// List the rules that assign items
#[utoipa::path(get, path = "/rules/assignment", tag = "rules", operation_id = "assignment_index",
    responses((status = OK, body = AssignmentRulesBody)))]
async fn index(State(app): State<App>, caller: Caller) -> Result<Json<AssignmentRulesBody>, Error> {
    Ok(Json(AssignmentRulesBody { rules: all(&app, &caller).await? }))
}

/// Make a rule that assigns items
///
/// Rules are asked in their order when an item is made or comes back; the first that matches and can give it to somebody is the one.
/// An item that a person assigned, or took the assignment from, is never touched.
#[utoipa::path(post, path = "/rules/assignment", tag = "rules", operation_id = "assignment_create",
    request_body = AssignmentRuleChange, responses((status = CREATED, body = AssignmentRuleBody),
    (status = CONFLICT, description = "`too_many_rules`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<AssignmentRuleChange>,
) -> Result<(StatusCode, Json<AssignmentRuleBody>), Error> {
    let rule = make(&app, &caller, given).await?;
    Ok((StatusCode::CREATED, Json(one(&app, &caller, rule.id).await?)))
}

/// Show a rule that assigns items
#[utoipa::path(get, path = "/rules/assignment/{id}", tag = "rules", operation_id = "assignment_show",
    params(("id" = i64, Path)), responses((status = OK, body = AssignmentRuleBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    let body = one(&app, &caller, id).await?;
    Ok((etag(body.rule.version), Json(body)))
}

/// Change a rule that assigns items
///
/// What it assigned stays as it is until the rules are asked again.
#[utoipa::path(patch, path = "/rules/assignment/{id}", tag = "rules", operation_id = "assignment_change",
    params(("id" = i64, Path)), request_body = AssignmentRuleChange,
    responses((status = OK, body = AssignmentRuleBody), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    seen: IfMatch,
    Json(given): Json<AssignmentRuleChange>,
) -> Result<Tagged, Error> {
    edit(&app, &caller, id, seen, given).await?;
    show(State(app), caller, Path(id)).await
}

/// Delete a rule that assigns items
///
/// What it assigned stays as it is.
#[utoipa::path(delete, path = "/rules/assignment/{id}", tag = "rules", operation_id = "assignment_delete",
    params(("id" = i64, Path)), responses((status = NO_CONTENT), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    remove(&app, &caller, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask the rules that assign items again
///
/// About every item that is not closed and that neither a person nor a task assigned. A dry run says what it would do.
#[utoipa::path(post, path = "/rules/assignment/apply", tag = "rules", operation_id = "assignment_again",
    request_body = Option<AssignAgain>, responses((status = OK, body = AssignedAgainBody)))]
async fn again(
    State(app): State<App>,
    caller: Caller,
    given: Option<Json<AssignAgain>>,
) -> Result<Json<AssignedAgainBody>, Error> {
    let Json(given) = given.unwrap_or_default();
    Ok(Json(ask_again(&app, &caller, given.dry_run).await?))
}
