//! `POST /auth`: name and password for a token that lives four hours, as the gateway of Qualys gives one.
//!
//! The token has the form of a JWT, because clients look inside for its end; what is inside is for them alone. What proves
//! the caller is its last part, an API token of ours with the scopes `read` and `jobs`, listed and revoked like any other.

use crate::app::App;
use crate::http::auth::{Caller, Proof};
use crate::http::session::{self, Credentials};
use crate::http::{ClientAddress, Error, secret};
use axum::Form;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::{Action, Record, TokenScope};
use serde::Deserialize;
use std::ops::Deref;

/// Seconds a token lives.
const LIFE_SECONDS: i64 = 4 * 3_600;

/// What the form holds; `token` and `permissions`, which clients send, change nothing.
#[derive(Deserialize)]
pub struct SignIn {
    username: String,
    password: String,
}

/// Sign in.
///
/// # Errors
/// 401 for a wrong name or password, 429 for too many tries, 403 where the user may not make tokens.
pub async fn sign_in(
    State(app): State<App>,
    address: ClientAddress,
    Form(given): Form<SignIn>,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], String), Error> {
    let credentials = Credentials { name: given.username, password: given.password, address, browser: String::new() };
    let account = session::prove(&app, credentials).await?;
    if account.password_temporary {
        let why = "the password was given by somebody else: choose a new one in the interface first";
        return Err(Error::problem(StatusCode::FORBIDDEN, crate::http::error::PASSWORD_CHANGE_REQUIRED, why));
    }
    let caller = Caller { actor: account.actor(None), proof: Proof::Token(0), password_temporary: false };
    caller.may(Action::TokenCreate, &Record::owned_by(caller.user))?;
    let (now, author, token) = (app.clock.now(), caller.author(), secret::token());
    let new = store::tokens::NewToken {
        user: caller.user,
        name: "signed in at /auth".to_owned(),
        digest: secret::digest(&token).to_vec(),
        hint: token.chars().take(secret::TOKEN_PREFIX.len() + 4).collect(),
        scopes: [TokenScope::Read, TokenScope::Jobs].into(),
        expires_at: now.plus_seconds(LIFE_SECONDS),
    };
    let until = new.expires_at;
    app.database.write(move |tx| store::tokens::create(tx, &author, &new, now)).await?;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(serde_json::json!({ "typ": "JWT", "alg": "opaque" }));
    let body = part(serde_json::json!({
        "iss": app.site.public_url, "sub": caller.name, "iat": now.micros() / 1_000_000, "exp": until.micros() / 1_000_000,
    }));
    let kind = (axum::http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok((StatusCode::CREATED, [kind], format!("{head}.{body}.{token}")))
}

/// Who calls, by a token. Dereferences to [`Caller`].
pub struct Program(pub Caller);

impl Deref for Program {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Program {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        match caller.proof {
            Proof::Token(_) => Ok(Program(caller)),
            Proof::Session(_) => Err(Error::SignInRequired),
        }
    }
}
