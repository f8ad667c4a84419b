//! Watch topics: queries of items that people keep an eye on and make efforts of.

use super::efforts::given_to;
use crate::app::App;
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use domain::access::{Action, Record};
use domain::assignment::POSITION_MAX;
use domain::filter::{Context, Filter, TEXT_MAX, parse};
use domain::id::TopicId;
use domain::refusal::Refusal;
use protocol::api::topics as body;
use protocol::problem::FieldError;
use store::overview::{self, Whose};
use store::topics::{self, Topic, Wanted};
use store::{Transaction, items};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Topics at most.
const TOPICS_MAX: usize = 200;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index, create)).routes(routes!(show, change, delete))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<body::TopicBody>);

fn body(topic: &Topic) -> body::Topic {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    body::Topic {
        id: topic.id.0,
        name: topic.name.clone(),
        description: topic.description.clone(),
        condition: topic.condition.clone(),
        owner: some(&topic.owner),
        group: some(&topic.group_name),
        position: topic.position,
        active: topic.active,
        version: topic.version,
    }
}

/// Every topic in its order.
///
/// # Errors
/// A missing permission.
pub(crate) async fn all(app: &App, caller: &Caller) -> Result<Vec<body::Topic>, Error> {
    caller.may(Action::TasksView, &caller.own())?;
    let topics = app.database.read(topics::all).await?;
    Ok(topics.iter().map(body).collect())
}

pub(super) fn known(tx: &mut Transaction<'_>, id: i64) -> Result<Topic, Error> {
    topics::one(tx, TopicId(id)).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("topic {id}")),
        error => error.into(),
    })
}

/// The condition of a topic that has numbers and efforts.
///
/// # Errors
/// `topic_inactive`, `topic_empty`.
pub(super) fn condition(topic: &Topic) -> Result<Filter, Error> {
    if !topic.active {
        return Err(
            Refusal::new("topic_inactive", "this topic is not active, so it has no numbers and no efforts").into()
        );
    }
    if topic.condition.is_empty() {
        return Err(Refusal::new("topic_empty", "this topic has no condition yet; say which items it is about").into());
    }
    parse(&topic.condition, &items::FIELDS).map_err(Error::internal)
}

/// A topic with its items, counted.
///
/// # Errors
/// A missing permission, or no such topic.
pub(crate) async fn one(app: &App, caller: &Caller, id: i64) -> Result<body::TopicBody, Error> {
    caller.may(Action::TasksView, &caller.own())?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.database
        .try_read(move |tx| {
            let topic = known(tx, id)?;
            let Ok(filter) = condition(&topic) else { return Ok(body::TopicBody { topic: body(&topic), items: None }) };
            let with = |also: &str| {
                let also = parse(also, &items::FIELDS).map_err(Error::internal)?;
                Ok::<_, Error>(Filter::and(vec![filter.clone(), also]))
            };
            let of = [
                with("is:open")?,
                with("is:open and score:>=90")?,
                with("is:overdue")?,
                with("is:open and is:in_effort")?,
            ];
            let context = Context { me: Some(caller.name.clone()), ..Context::at(now) };
            let counted = overview::tally(tx, &caller.actor, Whose::Joined, &of, &context)?;
            let number = |at: usize| counted.get(at).copied().unwrap_or(0);
            let items =
                body::TopicCounts { active: number(0), critical: number(1), overdue: number(2), in_effort: number(3) };
            Ok(body::TopicBody { topic: body(&topic), items: Some(items) })
        })
        .await
}

/// What somebody wants over what there is, checked.
fn wanted(tx: &mut Transaction<'_>, before: Option<&Topic>, given: &body::TopicChange) -> Result<Wanted, Error> {
    let text = |given: &Option<String>, before: Option<&String>| {
        given.as_deref().map(str::trim).map(str::to_owned).or_else(|| before.cloned()).unwrap_or_default()
    };
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut checked = |field: &str, result: Result<String, String>| {
        result.unwrap_or_else(|why| {
            wrong.push(FieldError::new(field, "bad_text", why.replace("title", "name")));
            String::new()
        })
    };
    let name = checked("name", domain::effort::title(&text(&given.name, before.map(|topic| &topic.name))));
    let about = text(&given.description, before.map(|topic| &topic.description));
    let description = checked("description", domain::effort::description(&about));
    let condition = text(&given.condition, before.map(|topic| &topic.condition));
    if condition.len() > TEXT_MAX {
        wrong.push(FieldError::new("condition", "too_long", format!("a condition has at most {TEXT_MAX} characters")));
    } else if let Err(error) = parse(&condition, &items::FIELDS) {
        wrong.push(FieldError::new("condition", "bad_query", error.to_string()));
    }
    let position = given.position.or_else(|| before.map(|topic| topic.position)).unwrap_or(100);
    if !(0..=POSITION_MAX).contains(&position) {
        wrong.push(FieldError::new("position", "out_of_bounds", format!("the order is 0 to {POSITION_MAX}")));
    }
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let owner = text(&given.owner, before.map(|topic| &topic.owner));
    let group = text(&given.group, before.map(|topic| &topic.group_name));
    let kept = before.filter(|topic| topic.owner == owner && topic.group_name == group);
    let (owner, group) = match kept {
        Some(topic) => (topic.owner_id, group),
        None => {
            let (owner, group) = given_to(tx, Some(owner.as_str()), Some(group.as_str()))?;
            (owner.map(|account| account.id), group)
        }
    };
    let active = given.active.unwrap_or_else(|| before.is_none_or(|topic| topic.active));
    Ok(Wanted { name, description, condition, owner, group, position, active })
}

/// Make a topic.
///
/// # Errors
/// A missing permission; 422; 409 `too_many_topics`.
pub(crate) async fn make(app: &App, caller: &Caller, given: body::TopicChange) -> Result<body::Topic, Error> {
    caller.may(Action::TaskEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            if topics::all(tx)?.len() >= TOPICS_MAX {
                let why = format!("there are {TOPICS_MAX} topics already; delete one first");
                return Err(Refusal::new("too_many_topics", why).into());
            }
            let wanted = wanted(tx, None, &given)?;
            Ok(body(&topics::create(tx, &author, &wanted, now)?))
        })
        .await
}

/// Change a topic.
///
/// # Errors
/// A missing permission, no such topic, 412 where it changed meanwhile, 422.
pub(crate) async fn edit(
    app: &App,
    caller: &Caller,
    id: i64,
    seen: IfMatch,
    given: body::TopicChange,
) -> Result<body::Topic, Error> {
    caller.may(Action::TaskEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let before = known(tx, id)?;
            seen.check(before.version)?;
            let wanted = wanted(tx, Some(&before), &given)?;
            Ok(body(&topics::change(tx, &author, &before, &wanted, now)?))
        })
        .await
}

/// Delete a topic.
///
/// # Errors
/// A missing permission, no such topic, 412 where it changed meanwhile.
pub(crate) async fn remove(app: &App, caller: &Caller, id: i64, seen: IfMatch) -> Result<(), Error> {
    caller.may(Action::TaskEdit, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let topic = known(tx, id)?;
            seen.check(topic.version)?;
            Ok(topics::delete(tx, &author, &topic, now)?)
        })
        .await
}

/// List watch topics
#[utoipa::path(get, path = "/topics", tag = "efforts", operation_id = "topic_index",
    responses((status = OK, body = body::TopicsBody)))]
async fn index(State(app): State<App>, caller: Caller) -> Result<Json<body::TopicsBody>, Error> {
    Ok(Json(body::TopicsBody { topics: all(&app, &caller).await? }))
}

/// Make a watch topic
///
/// Everybody who may look at remediation tasks sees it; its numbers are those of the items that the reader may see.
#[utoipa::path(post, path = "/topics", tag = "efforts", operation_id = "topic_create", request_body = body::TopicChange,
    responses((status = CREATED, body = body::TopicBody), (status = CONFLICT, description = "`too_many_topics`")))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::TopicChange>,
) -> Result<(StatusCode, Json<body::TopicBody>), Error> {
    let topic = make(&app, &caller, given).await?;
    Ok((StatusCode::CREATED, Json(one(&app, &caller, topic.id).await?)))
}

/// Show a watch topic
#[utoipa::path(get, path = "/topics/{id}", tag = "efforts", operation_id = "topic_show", params(("id" = i64, Path)),
    responses((status = OK, body = body::TopicBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Tagged, Error> {
    let body = one(&app, &caller, id).await?;
    Ok((etag(body.topic.version), Json(body)))
}

/// Change a watch topic
///
/// Efforts that were made of it stay as they are.
#[utoipa::path(patch, path = "/topics/{id}", tag = "efforts", operation_id = "topic_change", params(("id" = i64, Path)),
    request_body = body::TopicChange, responses((status = OK, body = body::TopicBody), (status = PRECONDITION_FAILED,
    description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    seen: IfMatch,
    Json(given): Json<body::TopicChange>,
) -> Result<Tagged, Error> {
    edit(&app, &caller, id, seen, given).await?;
    show(State(app), caller, Path(id)).await
}

/// Delete a watch topic
///
/// Efforts that were made of it stay.
#[utoipa::path(delete, path = "/topics/{id}", tag = "efforts", operation_id = "topic_delete", params(("id" = i64, Path)),
    responses((status = NO_CONTENT), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    seen: IfMatch,
) -> Result<StatusCode, Error> {
    remove(&app, &caller, id, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}
