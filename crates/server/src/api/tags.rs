//! Tags of assets, clipped to the caller's scope.

use crate::app::App;
use crate::engine::tags::{self, Change};
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::{Path, State};
use domain::access::{Action, Record};
use protocol::api::tags::{Tag, TagBody, TagChange, TagsBody};
use store::tags::TagRow;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change))
}

fn body(row: TagRow) -> Tag {
    Tag { name: row.name, parent: row.parent, criticality: row.criticality, assets: row.assets }
}

/// List tags
///
/// All of them for an account that sees every asset, for others those that its assets carry.
#[utoipa::path(get, path = "/tags", tag = "tags", responses((status = OK, body = TagsBody)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<TagsBody>, Error> {
    caller.may(Action::AssetsView, &Record::default())?;
    let scope = caller.scope.clone();
    let rows = app.database.read(move |tx| store::tags::list(tx, &scope)).await?;
    Ok(Json(TagsBody { tags: rows.into_iter().map(body).collect() }))
}

/// Put a tag below another, or say how much it matters
///
/// An asset's criticality is what was set by hand, else the highest of its tags, else what the scanner said.
#[utoipa::path(patch, path = "/tags/{name}", tag = "tags", params(("name" = String, Path)),
    request_body = TagChange, responses((status = OK, body = TagBody)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(change): Json<TagChange>,
) -> Result<Json<TagBody>, Error> {
    let change = Change { parent: change.parent, criticality: change.criticality };
    Ok(Json(TagBody { tag: body(tags::edit(&app, &caller, &name, change).await?) }))
}
