//! Users and groups.

use crate::accounts;
use crate::app::App;
use crate::http::conditional::etag;
use crate::http::idempotency::ShownOnce;
use crate::http::{Caller, Error, IfMatch, ListQuery};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::{Extension, Json};
use domain::access::{Action, AssetScope, Record};
use protocol::api::accounts::{
    Group, GroupBody, GroupMembers, GroupsBody, NewUser, User, UserBody, UserChange, UserWithPassword, UsersBody,
};
use store::accounts::Account;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change))
        .routes(routes!(reset_password))
        .routes(routes!(list_groups))
        .routes(routes!(set_group, remove_group))
}

/// An account as the API says it.
pub(crate) fn user(account: &Account) -> User {
    User {
        id: account.id.0,
        name: account.name.clone(),
        full_name: account.full_name.clone(),
        email: account.email.clone(),
        roles: account.roles.iter().map(ToString::to_string).collect(),
        groups: account.groups.iter().cloned().collect(),
        scope: match &account.scope {
            AssetScope::All => None,
            AssetScope::Tags(tags) => Some(tags.iter().cloned().collect()),
        },
        active: account.active,
        password_change_required: account.password_temporary,
        created_at: account.created_at,
        signed_in_at: account.signed_in_at,
    }
}

/// List users
#[utoipa::path(get, path = "/users", tag = "users", params(ListQuery), responses((status = OK, body = UsersBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<UsersBody>, Error> {
    caller.may(Action::UsersView, &Record::default())?;
    let wanted = query.of_list(store::accounts::USERS.fields, "name", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| store::accounts::page(tx, &wanted)).await?;
    Ok(Json(UsersBody { users: page.rows.iter().map(user).collect(), next: page.next_cursor }))
}

type Made = (StatusCode, Extension<ShownOnce>, Json<UserWithPassword>);

/// Make a user
///
/// The answer holds a one-time password, shown only here. Roles other than read-only need a SuperUser.
#[utoipa::path(post, path = "/users", tag = "users", request_body = NewUser, responses(
    (status = CREATED, body = UserWithPassword), (status = UNPROCESSABLE_ENTITY, description = "`taken`, `name_character`, ...")))]
async fn create(State(app): State<App>, caller: Caller, Json(new): Json<NewUser>) -> Result<Made, Error> {
    let (account, one_time_password) = accounts::create_user(&app, &caller, new).await?;
    let body = UserWithPassword { user: user(&account), one_time_password };
    Ok((StatusCode::CREATED, Extension(ShownOnce), Json(body)))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<UserBody>);

/// Show a user
#[utoipa::path(get, path = "/users/{name}", tag = "users", params(("name", Path)), responses((status = OK, body = UserBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Tagged, Error> {
    caller.may(Action::UsersView, &Record::default())?;
    let account = app.database.try_read(move |tx| accounts::known(tx, &name)).await?;
    Ok((etag(account.version), Json(UserBody { user: user(&account) })))
}

/// Change a user
///
/// Roles and scope need a SuperUser; so does the account of a SuperUser.
#[utoipa::path(patch, path = "/users/{name}", tag = "users", params(("name", Path)), request_body = UserChange, responses(
    (status = OK, body = UserBody), (status = CONFLICT, description = "`last_super_user`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    IfMatch(seen): IfMatch,
    Json(change): Json<UserChange>,
) -> Result<Tagged, Error> {
    let account = accounts::change_user(&app, &caller, name, change, seen).await?;
    Ok((etag(account.version), Json(UserBody { user: user(&account) })))
}

/// Give a user a one-time password
///
/// The user's sessions and tokens end. The answer holds the password, shown only here.
#[utoipa::path(post, path = "/users/{name}/password-reset", tag = "users", params(("name", Path)),
    responses((status = OK, body = UserWithPassword)))]
async fn reset_password(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<(Extension<ShownOnce>, Json<UserWithPassword>), Error> {
    let (account, one_time_password) = accounts::reset_password(&app, &caller, name).await?;
    Ok((Extension(ShownOnce), Json(UserWithPassword { user: user(&account), one_time_password })))
}

/// List groups
#[utoipa::path(get, path = "/groups", tag = "users", params(ListQuery), responses((status = OK, body = GroupsBody)))]
async fn list_groups(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<GroupsBody>, Error> {
    caller.may(Action::PeopleView, &Record::default())?;
    let wanted = query.of_list(store::accounts::GROUPS.fields, "name", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| store::accounts::groups(tx, &wanted)).await?;
    let (groups, next) = (page.rows, page.next_cursor);
    let groups = groups.into_iter().map(|group| Group { name: group.name, members: group.members }).collect();
    Ok(Json(GroupsBody { groups, next }))
}

/// Make a group, or give it other members
#[utoipa::path(put, path = "/groups/{name}", tag = "users", params(("name", Path)), request_body = GroupMembers,
    responses((status = OK, body = GroupBody)))]
async fn set_group(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(given): Json<GroupMembers>,
) -> Result<Json<GroupBody>, Error> {
    let group = accounts::set_group(&app, &caller, &name, given.members).await?;
    Ok(Json(GroupBody { group: Group { name: group.name, members: group.members } }))
}

/// Remove a group
#[utoipa::path(delete, path = "/groups/{name}", tag = "users", params(("name", Path)), responses((status = NO_CONTENT)))]
async fn remove_group(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Error> {
    accounts::remove_group(&app, &caller, name).await?;
    Ok(StatusCode::NO_CONTENT)
}
