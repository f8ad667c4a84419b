//! A name for every request, in the log, in the answer and in error bodies.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The request's name.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Name the request, log it once it is answered, and send the name back.
pub async fn request(mut request: Request, next: Next) -> Response {
    let traced = Traced::of(request.method(), request.uri(), request.headers());
    request.extensions_mut().insert(traced.id.clone());
    let response = next.run(request).instrument(traced.span.clone()).await;
    traced.answered(response)
}

/// A request that is being answered.
pub struct Traced {
    /// Its name. One given by the caller is kept when it is short and plain, so that a proxy's log and ours can be read together.
    pub id: RequestId,
    /// What is logged meanwhile belongs to it.
    pub span: Span,
    started: Instant,
}

impl Traced {
    /// A request that begins now.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Traced {
        let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let plain = |id: &&str| {
            (8..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let id = given.filter(plain).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        // The path only: queries hold what people searched for.
        let span = tracing::info_span!("request", id = %id, method = %method, path = %uri.path());
        Traced { id: RequestId(id), span, started: Instant::now() }
    }

    /// It was answered: log it, and say its name.
    pub fn answered(self, mut response: Response) -> Response {
        let (status, millis) = (response.status().as_u16(), self.started.elapsed().as_millis());
        self.span.in_scope(|| tracing::debug!(status, duration_ms = millis, "answered with {status}"));
        if let Ok(value) = HeaderValue::try_from(self.id.0) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    }
}
