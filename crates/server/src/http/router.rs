//! The table of contents of both listeners, and the layers around them. Read a router from the bottom up: the last layer
//! sees a request first.

use super::{agent, auth, csrf, error, flash, headers, health, idempotency, limits, trace};
use crate::app::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// What people and their programs reach: the API and the pages.
pub fn people(app: &App) -> Router {
    let api = crate::api::router()
        .layer(from_fn_with_state(app.clone(), idempotency::once))
        .layer(from_fn_with_state(app.clone(), csrf::protect))
        .layer(from_fn_with_state(app.clone(), auth::identify))
        .layer(from_fn(error::api));
    let pages = crate::web::routes().fallback(async || StatusCode::NOT_FOUND);
    let pages = bounded(pages, limits::REQUEST_TIME_MAX, limits::BODY_BYTES_MAX)
        .merge(crate::web::streams())
        .layer(from_fn_with_state(app.clone(), csrf::protect))
        .layer(from_fn(error::pages))
        .layer(from_fn(flash::once))
        .layer(from_fn_with_state(app.clone(), auth::identify));
    let compatible = crate::mtg::routes()
        .layer(from_fn_with_state(app.clone(), csrf::protect))
        .layer(from_fn_with_state(app.clone(), auth::identify));
    around(app, Router::new().merge(health::routes()).merge(api).merge(compatible).merge(pages))
}

/// What agents reach.
pub fn agents(app: &App) -> Router {
    let routes = agent::unsigned().fallback(async || StatusCode::NOT_FOUND);
    let routes = bounded(routes, limits::AGENT_TIME_MAX, limits::BODY_BYTES_MAX).layer(from_fn(error::api));
    agent::door(app, around(app, Router::new().merge(health::routes()).merge(routes)))
}

/// Bounds for a group of routes: how long an answer may take, how large a body may be.
pub fn bounded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    time_max: Duration,
    body_bytes_max: usize,
) -> Router<S> {
    routes
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time_max))
        .layer(CatchPanicLayer::new())
}

fn around(app: &App, routes: Router<App>) -> Router {
    routes
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .layer(from_fn(trace::request))
        .with_state(app.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::routing::{get, post};
    use tower::ServiceExt as _;

    /// Routes under tight bounds, with errors shaped as the API's.
    fn routes() -> Router {
        let routes: Router<()> = Router::new()
            .route("/slow", get(std::future::pending::<()>))
            .route("/panic", get(async || -> () { panic!("a secret in a panic") }))
            .route("/echo", post(async |body: String| body));
        bounded(routes, Duration::from_millis(20), 16).layer(from_fn(error::api))
    }

    async fn ask(request: axum::http::request::Builder, body: &str) -> (u16, String) {
        let reply = routes().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = reply.status().as_u16();
        (status, String::from_utf8(to_bytes(reply.into_body(), 10_000).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn slow_broken_and_large_requests_end_as_problems() {
        let request = axum::http::Request::get("/slow");
        let (status, body) = ask(request, "").await;
        assert_eq!((status, body.contains("\"code\":\"timeout\"")), (503, true), "{body}");
        let (status, body) = ask(axum::http::Request::get("/panic"), "").await;
        assert_eq!((status, body.contains("secret")), (500, false), "{body}");
        let (status, body) = ask(axum::http::Request::post("/echo"), "0123456789abcdefg").await;
        assert_eq!((status, body.contains("\"code\":\"too_large\"")), (413, true), "{body}");
        assert_eq!(
            ask(axum::http::Request::post("/echo"), "0123456789abcdef").await,
            (200, "0123456789abcdef".to_owned())
        );
    }
}
