//! What was just done, said once on the page after a redirection. It travels in a cookie that the next page removes, so
//! nothing has to be stored; the text is escaped like any other when it is shown.

use axum::extract::Request;
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

const NAME: &str = "quell_said";
/// The longest cookie that is read back, in bytes.
const BYTES_MAX: usize = 1024;

/// What was just done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// One line.
    pub text: String,
    /// Whether it went wrong.
    #[serde(default)]
    pub failed: bool,
    /// Words and path of a link.
    #[serde(default)]
    pub link: Option<(String, String)>,
}

impl Flash {
    /// It was done.
    pub fn done(text: impl Into<String>) -> Flash {
        Flash { text: text.into(), failed: false, link: None }
    }

    /// With a link.
    #[must_use]
    pub fn link(mut self, words: impl Into<String>, path: impl Into<String>) -> Flash {
        self.link = Some((words.into(), path.into()));
        self
    }
}

/// Go to a page of this site, and say there what was done.
#[must_use]
pub fn redirect(path: &str, flash: Option<Flash>) -> Response {
    let Ok(location) = HeaderValue::try_from(path) else { return StatusCode::BAD_REQUEST.into_response() };
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
    let cookie = flash.and_then(|flash| serde_json::to_vec(&flash).ok()).map(|json| URL_SAFE_NO_PAD.encode(json));
    let cookie = cookie.filter(|text| text.len() <= BYTES_MAX);
    if let Some(Ok(value)) = cookie.map(|text| set(&text, 60)) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// What the request brings to be said.
#[must_use]
pub fn said(headers: &HeaderMap) -> Option<Flash> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let text = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == NAME)?.1;
    let json = URL_SAFE_NO_PAD.decode(text.get(..BYTES_MAX).unwrap_or(text)).ok()?;
    let flash: Flash = serde_json::from_slice(&json).ok()?;
    // A link is one of ours; whatever else somebody planted is shown as text at most.
    let own =
        |(words, path): (String, String)| (path.starts_with('/') && !path.starts_with("//")).then_some((words, path));
    Some(Flash { link: flash.link.and_then(own), ..flash })
}

/// Remove what was said once a whole page has been shown.
pub async fn once(request: Request, next: Next) -> Response {
    let shown = said(request.headers()).is_some() && !request.headers().contains_key("hx-request");
    let mut response = next.run(request).await;
    if shown
        && response.status().is_success()
        && let Ok(value) = set("", 0)
    {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

fn set(text: &str, seconds: u32) -> Result<HeaderValue, axum::http::header::InvalidHeaderValue> {
    HeaderValue::try_from(format!("{NAME}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back_once_and_links_stay_here() {
        let response = redirect("/users", Some(Flash::done("made \"x\"").link("View", "/users/x")));
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let headers = HeaderMap::from_iter([(COOKIE, cookie.parse().unwrap())]);
        assert_eq!(said(&headers), Some(Flash::done("made \"x\"").link("View", "/users/x")));
        let evil = URL_SAFE_NO_PAD.encode(r#"{"text":"t","link":["w","//evil.example"]}"#);
        let headers = HeaderMap::from_iter([(COOKIE, format!("quell_said={evil}").parse().unwrap())]);
        assert_eq!(said(&headers).unwrap().link, None);
        assert_eq!(said(&HeaderMap::from_iter([(COOKIE, "quell_said=!!".parse().unwrap())])), None);
    }
}
