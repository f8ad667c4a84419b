//! What this server is: version, time, addresses, trust. Needs no sign-in, because a client has to know whom it talks to
//! before it says who it is.

use crate::app::App;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Serialize, ToSchema)]
struct ServerBody {
    server: Server,
}

/// What this server is.
#[derive(Serialize, ToSchema)]
struct Server {
    /// The server's version.
    version: &'static str,
    /// The server's present time, RFC 3339.
    now: String,
    /// Where agents connect.
    agent_url: String,
    /// SHA-256 of the certificate authority's DER, in hex.
    ca_sha256: String,
}

/// Show what this server is
#[utoipa::path(get, path = "/server", tag = "server", responses((status = OK, body = ServerBody)))]
async fn show(State(app): State<App>) -> Json<ServerBody> {
    Json(ServerBody {
        server: Server {
            version: env!("CARGO_PKG_VERSION"),
            now: app.clock.now().to_string(),
            agent_url: app.site.agent_url.to_string(),
            ca_sha256: app.site.ca_fingerprint.clone(),
        },
    })
}
