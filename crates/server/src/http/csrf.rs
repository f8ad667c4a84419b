//! Requests that change something have to come from our own pages.
//!
//! Two independent checks. First the browser's own word: `Sec-Fetch-Site` or `Origin` must name this site. Then, for
//! everything done in the name of a session's cookie, the session's anti-forgery token, as the header `X-CSRF-Token` or
//! the form field `csrf`. Requests by API token need neither: no browser adds a token by itself.
//! A form with files (`multipart/form-data`) without the header has to carry the field as its first part.

use super::auth::{Caller, Proof};
use super::csrf_part;
use super::error::Error;
use super::limits::BODY_BYTES_MAX;
use super::secret;
use crate::app::App;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The header that carries the anti-forgery token.
pub const HEADER: &str = "x-csrf-token";
/// The form field that carries the anti-forgery token.
pub const FIELD: &str = "csrf";

/// Refuse what another site made a browser send.
pub async fn protect(State(app): State<App>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
        return next.run(request).await;
    }
    let session = match request.extensions().get::<Caller>().map(|caller| &caller.proof) {
        Some(Proof::Token(_)) => return next.run(request).await,
        Some(Proof::Session(session)) => Some(session.clone()),
        None => None,
    };
    if !same_site(request.headers(), &app) {
        return refused("cross_site", "this request was made by another site and was not carried out");
    }
    let Some(session) = session else { return next.run(request).await };
    match token_in(request).await {
        Ok((request, Some(token))) if secret::csrf_fits(&session, &token) => next.run(request).await,
        Ok(_) => refused(
            "csrf_token",
            "the anti-forgery token is missing or belongs to an older session: reload the page and try again",
        ),
        Err(error) => error.into_response(),
    }
}

fn refused(code: &str, why: &str) -> Response {
    Error::problem(StatusCode::FORBIDDEN, code, why).into_response()
}

/// Whether the browser says that this site made the request; a client that is no browser says nothing and is believed,
/// because it has no cookies that another site could use.
fn same_site(headers: &HeaderMap, app: &App) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own = app.site.public_url.as_str().trim_end_matches('/');
    let scheme = if app.site.secure { "https" } else { "http" };
    origin == own || text(HOST.as_str()).is_some_and(|host| origin == format!("{scheme}://{host}"))
}

/// The token in the header or the form, and the request as it was.
async fn token_in(request: Request) -> Result<(Request, Option<String>), Error> {
    if let Some(value) = request.headers().get(HEADER) {
        let token = value.to_str().ok().map(str::to_owned);
        return Ok((request, token));
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        let kind = kind.to_owned();
        let (parts, body) = request.into_parts();
        let (body, token) = csrf_part::first(&kind, body).await;
        return Ok((Request::from_parts(parts, body), token));
    }
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Error::problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the form is too large"))?;
    let token =
        url::form_urlencoded::parse(&bytes).find(|(name, _)| name == FIELD).map(|(_, value)| value.into_owned());
    Ok((Request::from_parts(parts, Body::from(bytes)), token))
}
