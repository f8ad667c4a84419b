//! Is the process alive, can it work. Both answer without sign-in and say nothing more than that.

use crate::app::App;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::time::Duration;

/// A database that does not answer within this time is not ready.
const DATABASE_TIME_MAX: Duration = Duration::from_secs(2);

/// `/livez` and `/readyz`.
pub fn routes() -> Router<App> {
    Router::new().route("/livez", get(async || "alive\n")).route("/readyz", get(ready))
}

async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match tokio::time::timeout(DATABASE_TIME_MAX, app.database.read(store::accounts::any)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
