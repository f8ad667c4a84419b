//! `Idempotency-Key` on every POST of the API: a repetition within a day gets the first answer and does nothing.
//!
//! Only successes are kept: a refused request did nothing and may be tried again. An answer that showed a secret is not
//! kept either; its repetition is refused, because a secret is shown once. One request at a time works on a key, over all
//! replicas; what it keeps is marked in the same transaction, so that after a crash between the work and its note nothing is
//! done again: the repetition is told to look at what is there. The work goes on to its note when the client hangs up. A file
//! that is uploaded is not read twice: its length stands for it.

use super::auth::Caller;
use super::error::Error;
use super::limits::{BODY_BYTES_MAX, CATALOGUE_BYTES_MAX, REQUEST_TIME_MAX, UPLOAD_TIME_MAX};
use crate::app::App;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use store::idempotency::{self, Begun, Working};

/// How long answers are kept, in seconds.
pub const KEPT_SECONDS: i64 = 86_400;
/// The largest answer kept, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const HEADER: &str = "idempotency-key";
/// Where files are uploaded, too large to be held.
const UPLOADS: &str = "/api/v1/imports/files";
/// Where a catalogue is installed, larger than an ordinary body.
const CATALOGUE: &str = "/api/v1/catalogue";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Marks a response that shows a secret: `response.extensions_mut().insert(ShownOnce)`.
#[derive(Clone, Copy, Debug)]
pub struct ShownOnce;

/// The keys being worked on in this process.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashSet<(String, String)>>>);

struct Turn {
    keys: InFlight,
    key: (String, String),
}

impl InFlight {
    fn take(&self, actor: &str, key: &str) -> Option<Turn> {
        let key = (actor.to_owned(), key.to_owned());
        let fresh = self.0.lock().expect("nobody panics while holding the lock").insert(key.clone());
        fresh.then(|| Turn { keys: self.clone(), key })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Ok(mut keys) = self.keys.0.lock() {
            keys.remove(&self.key);
        }
    }
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    headers: Vec<(String, String)>,
    body: String,
    shown_once: bool,
}

/// Answer repetitions from what is kept, and keep answers.
pub async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get(HEADER).cloned();
    let author = request.extensions().get::<Caller>().map(Caller::author);
    let (Some(key), Some(author), &Method::POST) = (key, author, request.method()) else {
        return next.run(request).await;
    };
    answered(&app, &author, &key, request, next).await.unwrap_or_else(Error::into_response)
}

async fn answered(app: &App, author: &str, key: &HeaderValue, request: Request, next: Next) -> Result<Response, Error> {
    let fits = |key: &&str| (1..=128).contains(&key.len());
    let key = key.to_str().ok().filter(fits).ok_or_else(|| {
        Error::problem(StatusCode::BAD_REQUEST, "idempotency_key", "an Idempotency-Key has 1 to 128 visible characters")
    })?;
    let turn = app.in_flight.take(author, key).ok_or_else(in_progress)?;
    let longest = if request.uri().path() == UPLOADS { UPLOAD_TIME_MAX } else { REQUEST_TIME_MAX };
    // Twice the time of a request: the work may go on a little after the client was told that it took too long.
    let seconds = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX).saturating_mul(2);
    let (request, digest) = digested(request).await?;
    let working = Working { actor: author.to_owned(), key: key.to_owned(), begun_at: app.clock.now() };
    let (of, now) = (working.clone(), working.begun_at);
    let begun = app
        .database
        .write(move |tx| {
            idempotency::forget_before(tx, now.plus_seconds(-KEPT_SECONDS))?;
            idempotency::begin(tx, &of.actor, &of.key, &digest, seconds, now)
        })
        .await?;
    match begun {
        Begun::New => {}
        Begun::Repeated { status, answer } => return repeated(status, &answer),
        Begun::InProgress => return Err(in_progress()),
        Begun::Unknown => {
            let why = "the first request with this Idempotency-Key did its work, and its answer is lost: look at what is there before you ask again with a new key";
            return Err(Error::problem(StatusCode::CONFLICT, "idempotency_unknown", why));
        }
        Begun::Misused => {
            let why = "this Idempotency-Key was used for another request; take a new one";
            return Err(Error::problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", why));
        }
    }
    let app = app.clone();
    // A task of its own: a client that hangs up must not part the work from its note.
    let work = tokio::spawn(async move {
        let response = idempotency::within(working.clone(), next.run(request)).await;
        let response = match response.status() {
            status if status.is_success() => keep(&app, working, response).await?,
            status if status.is_client_error() => {
                app.database.write(move |tx| idempotency::forget(tx, &working)).await?;
                response
            }
            _ => {
                app.database.write(move |tx| idempotency::let_go(tx, &working)).await?;
                response
            }
        };
        drop(turn);
        Ok(response)
    });
    work.await.map_err(Error::internal)?
}

fn in_progress() -> Error {
    let why = "the first request with this Idempotency-Key is still being worked on";
    Error::problem(StatusCode::CONFLICT, "idempotency_in_progress", why)
}

/// The request again, and a digest of everything that makes it the same request.
async fn digested(request: Request) -> Result<(Request, [u8; 32]), Error> {
    let (parts, body) = request.into_parts();
    let mut digest = Sha256::new();
    for part in [parts.uri.path(), "\0", parts.uri.query().unwrap_or_default(), "\0"] {
        digest.update(part);
    }
    if parts.uri.path() == UPLOADS {
        digest.update(parts.headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes).unwrap_or_default());
        return Ok((Request::from_parts(parts, body), digest.finalize().into()));
    }
    let limit = if parts.uri.path() == CATALOGUE { CATALOGUE_BYTES_MAX } else { BODY_BYTES_MAX };
    let body = to_bytes(body, limit).await.map_err(|_| {
        Error::problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is larger than this address accepts")
    })?;
    digest.update(&body);
    Ok((Request::from_parts(parts, Body::from(body)), digest.finalize().into()))
}

fn repeated(status: u16, answer: &[u8]) -> Result<Response, Error> {
    let kept: Kept = serde_json::from_slice(answer).map_err(Error::internal)?;
    if kept.shown_once {
        let why = "this was done before, and the answer held a secret that is shown only once";
        return Err(Error::problem(StatusCode::CONFLICT, "shown_once", why));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let status = StatusCode::from_u16(status).map_err(Error::internal)?;
    Ok((status, headers, kept.body).into_response())
}

async fn keep(app: &App, working: Working, response: Response) -> Result<Response, Error> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(Error::internal)?;
    let shown_once = parts.extensions.get::<ShownOnce>().is_some();
    let header = |name: &HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    };
    let kept = Kept {
        headers: [CONTENT_TYPE, LOCATION, ETAG].iter().filter_map(header).collect(),
        body: if shown_once { String::new() } else { String::from_utf8_lossy(&body).into_owned() },
        shown_once,
    };
    if body.len() <= ANSWER_BYTES_MAX {
        let answer = serde_json::to_vec(&kept).map_err(Error::internal)?;
        let status = parts.status.as_u16();
        app.database.write(move |tx| idempotency::finish(tx, &working, status, &answer)).await?;
    } else {
        // Too long to be kept: nobody works on it any more, and a repetition is told so at once.
        app.database.write(move |tx| idempotency::let_go(tx, &working)).await?;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
