//! API tokens.

use crate::accounts;
use crate::app::App;
use crate::http::idempotency::ShownOnce;
use crate::http::{Caller, Error, ListQuery};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use protocol::api::accounts::{NewToken, Token, TokenWithSecret, TokensBody};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

fn said(token: store::tokens::Token) -> Token {
    Token {
        id: token.id,
        user: token.user_name,
        name: token.name,
        hint: token.hint,
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        used_at: token.used_at,
        revoked_at: token.revoked_at,
    }
}

/// List tokens
///
/// One's own; administrators see everybody's. A token with neither `read` nor `accounts` sees itself only.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(ListQuery), responses((status = OK, body = TokensBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<TokensBody>, Error> {
    let whose = accounts::tokens_seen(&caller);
    let wanted = query.of_list(store::tokens::TOKENS.fields, "-", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| store::tokens::page(tx, whose, &wanted)).await?;
    Ok(Json(TokensBody { tokens: page.rows.into_iter().map(said).collect(), next: page.next_cursor }))
}

/// Make a token for oneself
///
/// The answer holds the token, shown only here. `all` as a scope stands for every scope.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = CREATED, body = TokenWithSecret)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Extension<ShownOnce>, Json<TokenWithSecret>), Error> {
    let (token, secret) = accounts::create_token(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Extension(ShownOnce), Json(TokenWithSecret { token: said(token), secret })))
}

/// End a token
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = i64, Path)), responses((status = NO_CONTENT)))]
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Error> {
    accounts::revoke_token(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
