//! Signing in and out, and who one is.

use crate::api::accounts::user;
use crate::app::App;
use crate::http::session::{self, Credentials, SignedIn};
use crate::http::{AnyCaller, ClientAddress, Error};
use axum::Json;
use axum::extract::State;
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use domain::access::{ACTIONS, Action, Reach, reach};
use protocol::api::accounts::{Me, MeBody, PasswordChange, Permission, Session, SessionBody, SignIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, remove)).routes(routes!(me)).routes(routes!(change_password))
}

type WithCookie = ([(HeaderName, HeaderValue); 1], Json<SessionBody>);

fn begun(signed_in: SignedIn) -> WithCookie {
    let session = Session {
        user: signed_in.caller.name.clone(),
        csrf_token: signed_in.csrf,
        expires_at: signed_in.expires_at,
        password_change_required: signed_in.caller.password_temporary,
    };
    ([(SET_COOKIE, signed_in.set_cookie)], Json(SessionBody { session }))
}

/// Sign in
///
/// Gives a session's cookie. Programs better use a token.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn, responses(
    (status = OK, body = SessionBody), (status = UNAUTHORIZED, description = "`wrong_credentials`"),
    (status = TOO_MANY_REQUESTS, description = "`throttled`")))]
async fn create(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    Json(given): Json<SignIn>,
) -> Result<WithCookie, Error> {
    let browser = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let credentials = Credentials { name: given.name, password: given.password, address, browser };
    Ok(begun(session::sign_in(&app, credentials).await?))
}

/// Sign out
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = NO_CONTENT)))]
async fn remove(
    State(app): State<App>,
    AnyCaller(caller): AnyCaller,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), Error> {
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, session::sign_out(&app, &caller).await?)]))
}

/// Show who is asking, and what they may do
#[utoipa::path(get, path = "/me", tag = "session", responses((status = OK, body = MeBody)))]
async fn me(State(app): State<App>, AnyCaller(caller): AnyCaller) -> Result<Json<MeBody>, Error> {
    let id = caller.user;
    let account = app.database.read(move |tx| store::accounts::by_id(tx, id)).await?.ok_or(Error::SignInRequired)?;
    let token_scopes = caller.token_scopes.as_ref().map(|scopes| scopes.iter().map(ToString::to_string).collect());
    let reach = |action: &Action| {
        let fits = caller.token_scopes.as_ref().is_none_or(|scopes| scopes.contains(&action.token_scope()));
        match reach(&caller.actor, *action) {
            _ if !fits => "none",
            Reach::Nothing => "none",
            Reach::Related(_) => "related",
            Reach::Everything => "all",
        }
    };
    let permission =
        |action: &Action| Permission { action: action.as_str().to_owned(), reach: reach(action).to_owned() };
    let permissions = ACTIONS.iter().map(permission).collect();
    Ok(Json(MeBody { me: Me { user: user(&account), token_scopes, permissions } }))
}

/// Replace one's own password
///
/// Every session of the user ends; the caller gets a new one.
#[utoipa::path(post, path = "/me/password", tag = "session", request_body = PasswordChange, responses(
    (status = OK, body = SessionBody), (status = UNPROCESSABLE_ENTITY, description = "`wrong_password`, `password_short`, ...")))]
async fn change_password(
    State(app): State<App>,
    AnyCaller(caller): AnyCaller,
    address: ClientAddress,
    Json(given): Json<PasswordChange>,
) -> Result<WithCookie, Error> {
    if caller.token_scopes.is_some() {
        let why = "a password is changed by its user in a session, not by a token";
        return Err(Error::problem(StatusCode::FORBIDDEN, "session_required", why));
    }
    Ok(begun(session::change_password(&app, &caller, given.password, given.new_password, address).await?))
}
