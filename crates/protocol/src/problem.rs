//! The one error body of the API: a problem of RFC 9457 with a stable code.
//!
//! Server and command line share it; the pages show the same title and sentence. What a code means is fixed here and
//! in the domain's refusals; nothing reads `title` or `detail` to decide.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The media type of the body.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// The field, as a path of names and indexes joined with dots: `assets.3`.
    pub field: String,
    /// Stable code.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

impl FieldError {
    /// An error of one field.
    pub fn new(field: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), code: code.into(), message: message.into() }
    }
}

/// An error as the API says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A URI reference that names the kind of problem: `urn:quell:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable, machine-readable, `snake_case`.
    pub code: String,
    /// A few words, the same for every problem of this code and status.
    pub title: String,
    /// A sentence about this case: what was attempted on what, and what to do.
    pub detail: String,
    /// What is wrong with single fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds after which trying again may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The id of the request, to be named in a support request and found in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Problem {
    /// A problem with its status, code and sentence; the title follows from the status.
    pub fn new(status: u16, code: impl Into<String>, detail: impl Into<String>) -> Problem {
        let code = code.into();
        Problem {
            kind: format!("urn:quell:problem:{code}"),
            status,
            code,
            title: title(status).to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            request_id: None,
        }
    }

    /// The same with errors of single fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Problem {
        self.errors = errors;
        self
    }

    /// The same with a time to wait, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds);
        self
    }
}

/// What a status means, in a few words.
fn title(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood",
        401 => "Sign-in is needed",
        403 => "Not allowed",
        404 => "Not found",
        405 => "This method is not possible here",
        408 => "The request took too long",
        409 => "Not possible in the present state",
        412 => "The record has changed meanwhile",
        413 => "The request is too large",
        415 => "This kind of content is not accepted",
        422 => "Some of what was given is not acceptable",
        428 => "A condition is required",
        429 => "Too many attempts",
        503 => "Not available at the moment",
        500.. => "The server failed",
        _ => "The request was refused",
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)?;
        // One error alone mostly is all that the sentence says.
        for error in self.errors.iter().filter(|error| self.errors.len() > 1 || error.message != self.detail) {
            write!(f, "\n  {}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_that_of_rfc_9457_and_leaves_out_what_is_empty() {
        let problem = Problem::new(409, "job_enabled", "the job is enabled already");
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:quell:problem:job_enabled", "status": 409, "code": "job_enabled",
                "title": "Not possible in the present state", "detail": "the job is enabled already",
            })
        );
    }

    #[test]
    fn a_reader_ignores_members_it_does_not_know() {
        let text = r#"{"type":"about:blank","status":429,"code":"throttled","title":"t","detail":"d","retry_after":7,"future":1}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!(problem.retry_after, Some(7));
        assert!(problem.errors.is_empty());
    }

    #[test]
    fn what_one_field_says_is_said_once() {
        let field = |message: &str| FieldError::new("qids", "unknown_qid", message);
        let problem =
            |errors: Vec<FieldError>| Problem::new(422, "invalid", "there is no such QID").with_errors(errors);
        assert_eq!(problem(vec![field("there is no such QID")]).to_string(), "there is no such QID (invalid)");
        let two = problem(vec![field("there is no such QID"), field("nor this")]).to_string();
        assert_eq!(two, "there is no such QID (invalid)\n  qids: there is no such QID\n  qids: nor this");
    }
}
