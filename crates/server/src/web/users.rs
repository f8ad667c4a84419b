//! `/users`: accounts, their roles and scopes.

use super::frame::{Head, Show, again, faults, frame, listed, pager};
use crate::accounts;
use crate::app::App;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::lists::Action as Button;
use crate::pages::users::{COLUMNS, RoleChoice, UserPage, UserRow, UsersPage};
use crate::pages::{Chip, Choice, Empty, Fault, Field, Menu, Section, Shell, Tone, When};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, AssetScope, Decision, ROLES, Record, Role};
use protocol::api::accounts::{NewUser, ScopeChange, UserChange};
use store::accounts::Account;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/users", get(list).post(create))
        .route("/users/new", get(new))
        .route("/users/{name}", get(show).post(change))
        .route("/users/{name}/disable", post(disable))
        .route("/users/{name}/enable", post(enable))
        .route("/users/{name}/password-reset", post(reset))
}

/// Why a button is disabled; none when it is not.
fn reason(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Allowed => None,
        Decision::Denied(reason) => Some(reason.to_string()),
    }
}

async fn list(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    actor.may(Action::UsersView, &Record::default())?;
    let empty = Empty::yet("users", "No users", "Nobody has an account.");
    let head = Head { path: "/users", noun: "users", columns: &COLUMNS, sort: "name", empty };
    let (mut list, wanted) = listed(&app, &actor, &query, &store::accounts::USERS, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let page = app.database.try_read(move |tx| store::accounts::page(tx, &wanted)).await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, "/users", page.next_cursor.as_deref());
        rows = page.rows.iter().map(|account| row(&app, &actor, account)).collect();
    }
    let new = Button::go("New user", "/users/new").icon("plus").primary().key('c');
    let allowed = actor.decide(Action::UserManage, &Record::default());
    let shell = frame(&app, &actor, Section::Users, "Users & roles").await?.action(new.unless(reason(&allowed)));
    Ok(Show(UsersPage { shell, list, rows }).into_response())
}

fn row(app: &App, actor: &PageActor, account: &Account) -> UserRow {
    let state = match (account.active, account.password_temporary) {
        (false, _) => Chip::new(Tone::Idle, "Disabled"),
        (true, true) => Chip::new(Tone::Warn, "Must change password"),
        (true, false) => Chip::new(Tone::Ok, "Active"),
    };
    let mut actions = vec![Button::go("Open", format!("/users/{}", account.name))];
    actions.extend(buttons(actor, account));
    UserRow {
        name: account.name.clone(),
        shown: shown(account).to_owned(),
        href: format!("/users/{}", account.name),
        roles: account.roles.iter().map(|role| role.label().to_owned()).collect(),
        scope: tags(&account.scope),
        groups: account.groups.iter().cloned().collect::<Vec<_>>().join(", "),
        state,
        seen: account.signed_in_at.map(|at| When::near(at.to_jiff(), app.clock.now().to_jiff())),
        menu: Menu::dots(format!("user-{}", account.id), format!("Quick actions for {}", account.name), actions),
    }
}

fn shown(account: &Account) -> &str {
    if account.full_name.is_empty() { &account.name } else { &account.full_name }
}

fn tags(scope: &AssetScope) -> String {
    match scope {
        AssetScope::All => String::new(),
        AssetScope::Tags(tags) if tags.is_empty() => "no asset".to_owned(),
        AssetScope::Tags(tags) => tags.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

/// New one-time password, disable or enable.
fn buttons(actor: &PageActor, account: &Account) -> Vec<Button> {
    let name = &account.name;
    let denied = reason(&actor.decide(Action::UserManage, &account.access_record()));
    let reset = Button::post("New one-time password", format!("/users/{name}/password-reset"))
        .icon("key")
        .asking(
            format!("New password for {name}"),
            "The present password, every session and every token end at once.",
            "Make it",
        )
        .unless(denied.clone());
    let other = if account.active {
        Button::post("Disable", format!("/users/{name}/disable")).icon("lock").danger().asking(
            format!("Disable {name}"),
            "Every session and token of this user stops at once.",
            "Disable",
        )
    } else {
        Button::post("Enable", format!("/users/{name}/enable")).icon("check")
    };
    vec![reset, other.unless(denied)]
}

/// What stands in the form.
#[derive(Clone, Default)]
struct Given {
    name: String,
    full_name: String,
    email: String,
    scope: String,
    roles: Vec<String>,
}

impl Given {
    fn of(account: &Account) -> Given {
        Given {
            name: account.name.clone(),
            full_name: account.full_name.clone(),
            email: account.email.clone(),
            scope: tags(&account.scope),
            roles: account.roles.iter().map(ToString::to_string).collect(),
        }
    }

    fn sent(fields: &Fields) -> Given {
        Given {
            name: fields.one("name").to_owned(),
            full_name: fields.one("full_name").to_owned(),
            email: fields.one("email").to_owned(),
            scope: fields.one("scope").to_owned(),
            roles: fields.all("role"),
        }
    }

    fn tags(&self) -> Option<Vec<String>> {
        let tags: Vec<String> =
            self.scope.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
        (!tags.is_empty()).then_some(tags)
    }
}

fn form(
    actor: &PageActor,
    shell: Shell,
    given: &Given,
    account: Option<&Account>,
    faults: Vec<Fault>,
    password: Option<String>,
) -> UserPage {
    let record = account.map(Account::access_record).unwrap_or_default();
    let denied = reason(&actor.decide(Action::RolesChange, &record));
    let groups = account.map(|account| account.groups.iter().cloned().collect::<Vec<_>>().join(", "));
    let mut fields = vec![
        Field::line("name", "Sign-in name", &given.name)
            .required()
            .readonly(account.is_some())
            .help("Letters, digits and . _ - @ +")
            .autocomplete("off")
            .faulted(&faults),
        Field::line("full_name", "Full name", &given.full_name).faulted(&faults),
        Field::typed("email", "email", "E-mail", &given.email).help("Notices go there").faulted(&faults),
        Field::line("scope", "Asset scope", &given.scope)
            .placeholder("every asset")
            .help("Tags separated by commas: only assets with at least one of them are seen. Empty: every asset.")
            .readonly(denied.is_some())
            .faulted(&faults),
    ];
    fields.extend(groups.map(|groups| Field::line("groups", "Groups", groups).readonly(true)));
    let choice = |role: Role| RoleChoice {
        choice: Choice::new(role.as_str(), role.label()),
        means: role.meaning().to_owned(),
        on: given.roles.iter().any(|word| word == role.as_str()),
        reason: denied.clone(),
    };
    UserPage {
        shell,
        to: account.map_or_else(|| "/users".to_owned(), |account| format!("/users/{}", account.name)),
        fields,
        roles: ROLES.into_iter().map(choice).collect(),
        faults: crate::pages::forms::Faults(faults),
        password,
        actions: account.map(|account| buttons(actor, account)).unwrap_or_default(),
    }
}

async fn page(
    app: &App,
    actor: &PageActor,
    given: &Given,
    account: Option<&Account>,
    faults: Vec<Fault>,
    password: Option<String>,
) -> Result<UserPage, Error> {
    let title = account.map_or("New user", |account| shown(account)).to_owned();
    let shell = frame(app, actor, Section::Users, title).await?.under("Users & roles", "/users");
    Ok(form(actor, shell, given, account, faults, password))
}

async fn new(State(app): State<App>, actor: PageActor) -> Result<Response, Error> {
    actor.may(Action::UserManage, &Record::default())?;
    let given = Given { roles: vec![Role::ReadOnly.to_string()], ..Given::default() };
    Ok(Show(page(&app, &actor, &given, None, Vec::new(), None).await?).into_response())
}

async fn create(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    let new = NewUser {
        name: given.name.clone(),
        full_name: given.full_name.clone(),
        email: given.email.clone(),
        roles: Some(given.roles.clone()),
        scope: given.tags(),
    };
    match accounts::create_user(&app, &actor, new).await {
        // Not a redirection: the password is in this answer and nowhere else.
        Ok((account, password)) => {
            let page = page(&app, &actor, &Given::of(&account), Some(&account), Vec::new(), Some(password)).await?;
            Ok(Show(page).into_response())
        }
        Err(error) => Ok(again(page(&app, &actor, &given, None, faults(error, form_name)?, None).await?)),
    }
}

/// The form's name of a field of the API.
fn form_name(field: &str) -> &str {
    if field == "roles" { "role" } else { field }
}

async fn show(State(app): State<App>, actor: PageActor, Path(name): Path<String>) -> Result<Response, Error> {
    actor.may(Action::UsersView, &Record::default())?;
    let account = app.database.try_read(move |tx| accounts::known(tx, &name)).await?;
    Ok(Show(page(&app, &actor, &Given::of(&account), Some(&account), Vec::new(), None).await?).into_response())
}

async fn change(
    State(app): State<App>,
    actor: PageActor,
    Path(name): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    actor.may(Action::UserManage, &Record::default())?;
    let given = Given::sent(&fields);
    let known = name.clone();
    let account = app.database.try_read(move |tx| accounts::known(tx, &known)).await?;
    let mut change = UserChange {
        full_name: Some(given.full_name.clone()),
        email: Some(given.email.clone()),
        ..UserChange::default()
    };
    // Fields that could not be changed on the page are not sent on, so nobody is refused for what he did not touch.
    if actor.decide(Action::RolesChange, &account.access_record()).allowed() {
        change.roles = Some(given.roles.clone());
        change.scope = Some(ScopeChange { tags: given.tags() });
    }
    match accounts::change_user(&app, &actor, name, change, None).await {
        Ok(after) => Ok(flash::redirect("/users", Some(Flash::done(format!("Saved {}.", after.name))))),
        Err(Error::Refused(refusal)) => {
            let fault = Fault::new("role", super::frame::sentence(&refusal.sentence));
            Ok(again(page(&app, &actor, &given, Some(&account), vec![fault], None).await?))
        }
        Err(error) => Ok(again(page(&app, &actor, &given, Some(&account), faults(error, form_name)?, None).await?)),
    }
}

async fn disable(State(app): State<App>, actor: PageActor, Path(name): Path<String>) -> Result<Response, Error> {
    active(&app, &actor, name, false).await
}

async fn enable(State(app): State<App>, actor: PageActor, Path(name): Path<String>) -> Result<Response, Error> {
    active(&app, &actor, name, true).await
}

async fn active(app: &App, actor: &PageActor, name: String, active: bool) -> Result<Response, Error> {
    let change = UserChange { active: Some(active), ..UserChange::default() };
    let after = accounts::change_user(app, actor, name, change, None).await?;
    let word = if active { "Enabled" } else { "Disabled" };
    Ok(flash::redirect("/users", Some(Flash::done(format!("{word} {}.", after.name)))))
}

async fn reset(State(app): State<App>, actor: PageActor, Path(name): Path<String>) -> Result<Response, Error> {
    let (account, password) = accounts::reset_password(&app, &actor, name).await?;
    let page = page(&app, &actor, &Given::of(&account), Some(&account), Vec::new(), Some(password)).await?;
    Ok(Show(page).into_response())
}
