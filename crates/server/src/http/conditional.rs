//! Editing what somebody else may be editing: the record's version as its entity tag, and `If-Match`.

use super::error::Error;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};

/// The `If-Match` header: the version the client has seen, when it says one.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub Option<i64>);

impl IfMatch {
    /// The version the client has seen, for records that must not be edited blindly.
    ///
    /// # Errors
    /// 428 `if_match_required`.
    pub fn required(self) -> Result<i64, Error> {
        let why = "send If-Match with the entity tag of the record as you have seen it";
        self.0.ok_or_else(|| Error::problem(StatusCode::PRECONDITION_REQUIRED, "if_match_required", why))
    }

    /// Check against the record's present version; no header is no condition.
    ///
    /// # Errors
    /// 412 `changed_meanwhile`.
    pub fn check(self, version: i64) -> Result<(), Error> {
        match self.0 {
            Some(seen) if seen != version => Err(changed_meanwhile()),
            _ => Ok(()),
        }
    }
}

/// 412: somebody else was faster.
#[must_use]
pub fn changed_meanwhile() -> Error {
    let why = "somebody else has changed this record meanwhile: load it again and repeat the change";
    Error::problem(StatusCode::PRECONDITION_FAILED, "changed_meanwhile", why)
}

/// The `ETag` header of a record at this version.
#[must_use]
pub fn etag(version: i64) -> [(HeaderName, HeaderValue); 1] {
    [(ETAG, HeaderValue::try_from(format!("\"v{version}\"")).expect("digits are a valid header"))]
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let Some(value) = parts.headers.get(IF_MATCH) else { return Ok(IfMatch(None)) };
        // Compression weakens the tag on its way out; the version is what counts.
        let text = value.to_str().unwrap_or_default().trim().trim_start_matches("W/");
        if text == "*" {
            return Ok(IfMatch(None));
        }
        let version =
            text.strip_prefix("\"v").and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
        version.map(|version| IfMatch(Some(version))).ok_or_else(|| {
            Error::problem(StatusCode::BAD_REQUEST, "if_match", "If-Match holds no entity tag of this server")
        })
    }
}
