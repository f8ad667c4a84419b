//! Security headers of every answer, errors included.

use crate::app::App;
use crate::config::{People, Tls};
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// No inline script, no inline style, nothing from elsewhere.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Add the headers to whatever comes back.
pub async fn secure(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    add(&app, response.headers_mut());
    response
}

/// Add them.
pub fn add(app: &App, headers: &mut HeaderMap) {
    let fixed = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    fixed(headers, CONTENT_SECURITY_POLICY, POLICY);
    fixed(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    fixed(headers, X_FRAME_OPTIONS, "DENY");
    fixed(headers, REFERRER_POLICY, "same-origin");
    fixed(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    fixed(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    fixed(headers, HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()");
    if app.config.people == People::Tls && matches!(app.config.tls, Tls::Given { .. }) {
        // Only with a certificate browsers trust: with our own authority the header would outlive a lost data folder
        // and lock people out of every other service on the host.
        fixed(headers, STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if !headers.contains_key(CACHE_CONTROL) {
        fixed(headers, CACHE_CONTROL, "no-store");
    }
}
