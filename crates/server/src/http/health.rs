//! Is the process alive, can it work. Both answer without sign-in and say nothing more than that.

use crate::app::App;
use axum::Router;
use axum::routing::get;

/// `/livez` and `/readyz`.
pub fn routes() -> Router<App> {
    Router::new().route("/livez", get(async || "alive\n")).route("/readyz", get(async || "ready\n"))
}
