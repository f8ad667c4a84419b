//! The one error of handlers, and how it looks: a problem body for the API, a page for people.
//!
//! A handler returns [`Error`] and does not care who asked; [`api`] and [`pages`] shape what leaves.

use super::auth::Caller;
use super::error_page;
use super::trace::RequestId;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::access::Reason;
use domain::refusal::Refusal;
use protocol::problem::{FieldError, MEDIA_TYPE, Problem};

/// The code of "sign in first", which pages answer with a redirection.
pub const SIGN_IN_REQUIRED: &str = "sign_in_required";
/// The code of "choose a new password first", which pages answer with a redirection.
pub const PASSWORD_CHANGE_REQUIRED: &str = "password_change_required";
/// Where people sign in.
pub const SIGN_IN_PATH: &str = "/sign-in";
/// Where people choose a new password.
pub const PASSWORD_PATH: &str = "/account/password";

/// Why a request was not served.
#[derive(Debug)]
pub enum Error {
    /// Said in full.
    Problem(Box<Problem>),
    /// The permission is missing: 403, or 404 where the record has to look absent.
    Denied(Reason),
    /// The state of things forbids it: 409 with the refusal's code and sentence.
    Refused(Refusal),
    /// Fields are not acceptable: 422.
    Invalid(Vec<FieldError>),
    /// No such record: 404. Names what was looked for, `job MJ0000007`.
    NotFound(String),
    /// Nobody is signed in: 401, or the sign-in page.
    SignInRequired,
    /// Not the caller's fault: 500, the cause in the log only.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error said in full.
    pub fn problem(status: StatusCode, code: &str, detail: impl Into<String>) -> Error {
        Error::Problem(Box::new(Problem::new(status.as_u16(), code, detail)))
    }

    /// One field is not acceptable.
    pub fn field(field: &str, code: &str, message: impl Into<String>) -> Error {
        Error::Invalid(vec![FieldError::new(field, code, message)])
    }

    /// An unexpected failure; it is logged and the caller learns nothing but the request's id.
    pub fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Internal(error.into())
    }

    /// The problem as said to the caller.
    pub fn to_problem(&self) -> Problem {
        match self {
            Error::Problem(problem) => (**problem).clone(),
            Error::Denied(reason) if reason.hides() => Problem::new(404, "not_found", "there is no such record"),
            Error::Denied(reason) => Problem::new(403, reason.code(), reason.to_string()),
            Error::Refused(refusal) => {
                // A permission that is missing is 403 whichever way it is said: a button's reason is a refusal, too.
                let status = if Reason::CODES.contains(&refusal.code) { 403 } else { 409 };
                Problem::new(status, refusal.code, refusal.sentence.clone())
            }
            Error::Invalid(errors) => {
                let detail = match errors.as_slice() {
                    [one] => one.message.clone(),
                    several => format!("{} fields are not acceptable", several.len()),
                };
                Problem::new(422, "invalid", detail).with_errors(errors.clone())
            }
            Error::NotFound(what) => Problem::new(404, "not_found", format!("there is no {what}")),
            Error::SignInRequired => {
                Problem::new(401, SIGN_IN_REQUIRED, "nobody is signed in, or the session or token has expired")
            }
            Error::Internal(_) => {
                Problem::new(500, "internal", "something failed inside the server; the log has the cause")
            }
        }
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Error {
        Error::Denied(reason)
    }
}

impl From<store::list::Error> for Error {
    fn from(error: store::list::Error) -> Error {
        match error {
            store::list::Error::Store(error) => error.into(),
            store::list::Error::UnknownSort { .. } => Error::field("sort", "sort", error.to_string()),
            store::list::Error::ForeignCursor => Error::field("cursor", "cursor", error.to_string()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let waiting =
            |code: &str, why: &str| Error::Problem(Box::new(Problem::new(503, code, why).with_retry_after(1)));
        match error {
            store::Error::NotFound => Error::NotFound("such record".to_owned()),
            store::Error::Conflict(name) if name == store::settings::CHANGED => super::conditional::changed_meanwhile(),
            store::Error::Conflict(name) => {
                let why = format!("another record is in the way ({name})");
                Error::problem(StatusCode::CONFLICT, "conflict", why)
            }
            store::Error::Busy => waiting("busy", "the database is busy; try again in a moment"),
            store::Error::Unavailable(source) => {
                let why = causes(source.as_ref());
                tracing::error!(error = why, "the database cannot be reached: {why}");
                waiting("database_unavailable", "the database cannot be reached at the moment")
            }
            failed @ store::Error::Failed { .. } => Error::internal(failed),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Error::Internal(error) = &self {
            let causes = causes(error.as_ref());
            tracing::error!(error = causes, "a request failed: {causes}");
        }
        let problem = self.to_problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(problem);
        response
    }
}

/// An error with its causes, in one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// Shape what leaves the API: every error is a problem body.
pub async fn api(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).await;
    as_problem(response, id).await
}

/// An answer, where it is an error with a problem as its body.
pub async fn as_problem(response: Response, id: Option<RequestId>) -> Response {
    match problem_in(response, id).await {
        Ok(response) => response,
        Err((problem, response)) => {
            let body = serde_json::to_vec(&problem).unwrap_or_default();
            shaped(&problem, response, MEDIA_TYPE, body)
        }
    }
}

/// Shape what leaves the pages: errors are pages (or fragments, for htmx), and a missing sign-in leads to the sign-in
/// page and from there back to here.
pub async fn pages(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let caller = request.extensions().get::<Caller>().cloned();
    let fragment = request.headers().contains_key("hx-request");
    let looked = matches!(*request.method(), Method::GET | Method::HEAD);
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let response = next.run(request).await;
    match problem_in(response, id).await {
        Ok(response) => response,
        Err((problem, response)) => {
            let target = match problem.code.as_str() {
                SIGN_IN_REQUIRED => Some(sign_in_path(if looked && !fragment { &here } else { "/" })),
                PASSWORD_CHANGE_REQUIRED => Some(PASSWORD_PATH.to_owned()),
                _ => None,
            };
            match target {
                Some(path) => redirection(&path, fragment),
                None => {
                    let body = error_page::render(&problem, caller.as_ref(), fragment).into_bytes();
                    shaped(&problem, response, "text/html; charset=utf-8", body)
                }
            }
        }
    }
}

/// The sign-in page, coming back to `here` afterwards.
pub fn sign_in_path(here: &str) -> String {
    if here == "/" {
        return SIGN_IN_PATH.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
    format!("{SIGN_IN_PATH}?{query}")
}

fn redirection(path: &str, fragment: bool) -> Response {
    let Ok(value) = HeaderValue::try_from(path) else { return StatusCode::BAD_REQUEST.into_response() };
    if fragment {
        // htmx would follow a redirection itself and put the whole page into the fragment's place.
        (StatusCode::OK, [(HeaderName::from_static("hx-redirect"), value)]).into_response()
    } else {
        (StatusCode::SEE_OTHER, [(LOCATION, value)]).into_response()
    }
}

fn shaped(problem: &Problem, mut response: Response, media_type: &'static str, body: Vec<u8>) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(body);
    response
}

/// The problem a response stands for: the one its handler put there, or one made from a bare status such as the
/// router's own 404 and 405 and the refusals of extractors.
async fn problem_in(response: Response, id: Option<RequestId>) -> Result<Response, (Problem, Response)> {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return Ok(response);
    }
    if let Some(problem) = response.extensions().get::<Problem>() {
        let mut problem = problem.clone();
        problem.request_id = id.map(|id| id.0);
        return Err((problem, response));
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with(MEDIA_TYPE) || kind.starts_with("text/html") {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let said = to_bytes(body, 4096).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let (code, fallback) = match parts.status.as_u16() {
        400 => ("bad_request", "the request cannot be read"),
        404 => ("not_found", "there is nothing at this address"),
        405 => ("method_not_allowed", "this method is not possible at this address"),
        408 => ("timeout", "the request took too long"),
        413 => ("too_large", "the body is larger than this address accepts"),
        415 => ("media_type", "this kind of content is not accepted here"),
        422 => ("invalid", "the body is not what this address expects"),
        503 => ("timeout", "the answer took too long to make; try again or ask for less"),
        500.. => ("internal", "something failed inside the server; the log has the cause"),
        _ => ("refused", "the request was refused"),
    };
    let detail = if said.is_empty() || parts.status.is_server_error() { fallback.to_owned() } else { said };
    let mut problem = Problem::new(parts.status.as_u16(), code, detail);
    problem.request_id = id.map(|id| id.0);
    Err((problem, Response::from_parts(parts, Body::empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_status_and_code() {
        let said = |error: Error| (error.to_problem().status, error.to_problem().code);
        assert_eq!(said(Error::Denied(Reason::OwnerOnly)), (403, "owner_only".to_owned()));
        assert_eq!(said(Error::Denied(Reason::OutOfScope)), (404, "not_found".to_owned()), "its existence is a secret");
        assert_eq!(said(Refusal::new("job_enabled", "no").into()), (409, "job_enabled".to_owned()));
        assert_eq!(said(Error::field("title", "empty", "needs a title")), (422, "invalid".to_owned()));
        assert_eq!(said(Error::SignInRequired), (401, SIGN_IN_REQUIRED.to_owned()));
        let internal = Error::internal("secret detail").to_problem();
        assert_eq!(internal.status, 500);
        assert!(!internal.detail.contains("secret"));
    }

    #[test]
    fn the_way_back_is_encoded() {
        assert_eq!(sign_in_path("/"), "/sign-in");
        assert_eq!(sign_in_path("/jobs?q=a&sort=b"), "/sign-in?next=%2Fjobs%3Fq%3Da%26sort%3Db");
    }
}
