//! Errors as clients of Qualys expect them: `{"_error": {"errorCode": …, "message": …}}`, with the numbers of the
//! platform where one says the same.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use protocol::problem::Problem;

/// The number of a problem: 1903 missing, 1905 bad value, 1907 a combination that is not supported, 1960 in the way of
/// another change; else the HTTP status.
#[must_use]
pub fn number(problem: &Problem) -> String {
    let code = problem.errors.first().map_or(problem.code.as_str(), |error| error.code.as_str());
    match (problem.status, code) {
        (_, "missing") => "1903".to_owned(),
        (_, "unsupported") => "1907".to_owned(),
        (400 | 422, _) => "1905".to_owned(),
        (409 | 412, _) => "1960".to_owned(),
        (429, _) => "1965".to_owned(),
        (status, _) => status.to_string(),
    }
}

/// Shape what leaves this API: every error is such a body. What cannot be accepted is 400, as at Qualys.
pub async fn shape(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let found = response.extensions().get::<Problem>().cloned();
    let problem = match found {
        Some(problem) => problem,
        None => {
            let said = match status {
                StatusCode::NOT_FOUND => "there is nothing at this address",
                StatusCode::METHOD_NOT_ALLOWED => "this method is not possible at this address",
                _ => "the request cannot be understood",
            };
            Problem::new(status.as_u16(), "bad_request", said)
        }
    };
    let details: Vec<_> = problem
        .errors
        .iter()
        .map(|error| serde_json::json!({ "field": error.field, "code": error.code, "message": error.message }))
        .collect();
    let body = serde_json::json!({
        "_error": {
            "errorCode": number(&problem), "message": problem.detail, "reason": problem.code, "details": details,
        }
    });
    let (mut parts, _) = response.into_parts();
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        parts.status = StatusCode::BAD_REQUEST;
    }
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = problem.retry_after {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Response::from_parts(parts, Body::from(body.to_string()))
}
