//! `/tokens`: API tokens.

use super::frame::{Head, Show, again, faults, frame, listed, pager};
use crate::accounts;
use crate::app::App;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::lists::Action as Button;
use crate::pages::users::{RoleChoice, TOKEN_COLUMNS, TokenPage, TokenRow, TokensPage};
use crate::pages::{Chip, Choice, Empty, Fault, Field, Menu, Section, Tone, When};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::TOKEN_SCOPES;
use protocol::api::accounts::NewToken;
use store::tokens::Token;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/tokens", get(list).post(create))
        .route("/tokens/new", get(new))
        .route("/tokens/{id}/revoke", post(revoke))
}

async fn list(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    let text = "A token lets a program use the API in your name, as far as its scopes go.";
    let new = || Button::show("New token", "/tokens/new").icon("plus").primary().key('c');
    let empty = Empty::yet("key", "No tokens yet", text).with(new());
    let head = Head { path: "/tokens", noun: "tokens", columns: &TOKEN_COLUMNS, sort: "-", empty };
    let (mut list, wanted) = listed(&app, &actor, &query, &store::tokens::TOKENS, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let whose = accounts::tokens_seen(&actor);
        let page = app.database.try_read(move |tx| store::tokens::page(tx, whose, &wanted)).await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, "/tokens", page.next_cursor.as_deref());
        rows = page.rows.into_iter().map(|token| row(&app, token)).collect();
    }
    let shell = frame(&app, &actor, Section::Tokens, "API tokens").await?.action(new());
    Ok(Show(TokensPage { shell, list, rows }).into_response())
}

fn row(app: &App, token: Token) -> TokenRow {
    let now = app.clock.now();
    let state = match (token.revoked_at, token.valid(now)) {
        (Some(_), _) => Chip::new(Tone::Idle, "Revoked"),
        (None, true) => Chip::new(Tone::Ok, "Good"),
        (None, false) => Chip::new(Tone::Warn, "Expired"),
    };
    let over = (!token.valid(now)).then(|| "this token has ended already".to_owned());
    let revoke = Button::post("Revoke", format!("/tokens/{}/revoke", token.id))
        .icon("trash")
        .danger()
        .asking(format!("Revoke {}", token.name), "Whatever uses this token stops working at once.", "Revoke")
        .unless(over);
    TokenRow {
        menu: Menu::dots(format!("token-{}", token.id), format!("Quick actions for {}", token.name), vec![revoke]),
        prefix: token.hint,
        owner: token.user_name,
        may: token.scopes.iter().map(ToString::to_string).collect(),
        state,
        expires: Some(When::near(token.expires_at.to_jiff(), now.to_jiff())),
        used: token.used_at.map(|at| When::near(at.to_jiff(), now.to_jiff())),
        name: token.name,
    }
}

async fn page(
    app: &App,
    actor: &PageActor,
    given: (&str, &str, &[String]),
    faults: Vec<Fault>,
    made: Option<String>,
) -> Result<TokenPage, Error> {
    let (name, days, scopes) = given;
    let title = if made.is_some() { "Your new token" } else { "New token" };
    let shell = frame(app, actor, Section::Tokens, title).await?.under("API tokens", "/tokens");
    let scope = |scope: domain::access::TokenScope| RoleChoice {
        choice: Choice::new(scope.as_str(), scope.as_str()),
        means: scope.meaning().to_owned(),
        on: scopes.iter().any(|word| word == scope.as_str()),
        reason: None,
    };
    Ok(TokenPage {
        shell,
        fields: vec![
            Field::line("name", "What it is for", name).required().focus().faulted(&faults),
            Field::typed("number", "days", "Days it lives", days).help("1 to 366").faulted(&faults),
        ],
        scopes: TOKEN_SCOPES.into_iter().map(scope).collect(),
        faults: crate::pages::forms::Faults(faults),
        made,
    })
}

async fn new(State(app): State<App>, actor: PageActor) -> Result<Response, Error> {
    let days = accounts::TOKEN_DAYS_DEFAULT.to_string();
    Ok(Show(page(&app, &actor, ("", &days, &["read".to_owned()]), Vec::new(), None).await?).into_response())
}

async fn create(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    let (name, days, scopes) = (fields.one("name"), fields.one("days"), fields.all("scope"));
    // What is no number is out of every range, and said so beside the field.
    let wanted = NewToken { name: name.to_owned(), scopes: scopes.clone(), days: Some(days.parse().unwrap_or(0)) };
    match accounts::create_token(&app, &actor, wanted).await {
        Ok((_, secret)) => {
            let given = (name, days, scopes.as_slice());
            Ok(Show(page(&app, &actor, given, Vec::new(), Some(secret)).await?).into_response())
        }
        Err(error) => {
            let faults = faults(error, |field| if field == "scopes" { "scope" } else { field })?;
            Ok(again(page(&app, &actor, (name, days, &scopes), faults, None).await?))
        }
    }
}

async fn revoke(State(app): State<App>, actor: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    accounts::revoke_token(&app, &actor, id).await?;
    Ok(flash::redirect("/tokens", Some(Flash::done("Token revoked."))))
}
