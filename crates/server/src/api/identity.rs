//! Which machine is which: how hosts are matched with assets, joining assets, moving one host, and taking that back.

use super::assets::known;
use crate::app::App;
use crate::engine::identity::{self as engine, Done, How};
use crate::http::conditional::etag;
use crate::http::{Caller, Error, IfMatch};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue};
use domain::access::{Action, Record};
use domain::id::{AssetId, AssetMergeId, SourceHostId};
use domain::identity::Rule;
use protocol::api::identity::{AssetMerge, HostMove, MatchingBody, MergeRecord, MergesBody, MovedBody};
use store::identity::merge::{self, MergeRow};
use store::settings::Setting;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(rules, set_rules))
        .routes(routes!(join))
        .routes(routes!(move_host))
        .routes(routes!(merges))
        .routes(routes!(undo))
}

type Tagged = ([(HeaderName, HeaderValue); 1], Json<MatchingBody>);

fn tagged(rules: &Setting<Vec<Rule>>) -> Tagged {
    let words = rules.value.iter().map(|rule| rule.as_str().to_owned()).collect();
    (etag(rules.version), Json(MatchingBody { rules: words }))
}

fn moved(done: Done) -> MovedBody {
    let preview = done.preview;
    MovedBody {
        hosts: i64::try_from(preview.hosts.len()).unwrap_or(i64::MAX),
        detections: preview.detections,
        items_moved: preview.moved,
        items_joined: preview.joined,
        items_parted: preview.parted,
        tags: preview.tags,
        digest: preview.digest,
        into: done.into.map(|id| id.0),
        merge: done.merge.map(|id| id.0),
    }
}

fn record(row: MergeRow) -> MergeRecord {
    MergeRecord {
        id: row.id.0,
        from: row.from_id.0,
        from_name: row.from_name,
        by: row.by_name,
        at: row.at,
        undone_at: row.undone_at,
    }
}

/// Show how hosts are matched with assets
#[utoipa::path(get, path = "/matching", tag = "assets", responses((status = OK, body = MatchingBody)))]
async fn rules(State(app): State<App>, caller: Caller) -> Result<Tagged, Error> {
    caller.may(Action::AssetsView, &Record::default())?;
    Ok(tagged(&app.database.read(store::identity::rules).await?))
}

/// Set how hosts are matched with assets
///
/// The rules in force, in order. They count for hosts that are reported for the first time from now on.
#[utoipa::path(put, path = "/matching", tag = "assets", request_body = MatchingBody,
    responses((status = OK, body = MatchingBody), (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn set_rules(
    State(app): State<App>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    Json(wanted): Json<MatchingBody>,
) -> Result<Tagged, Error> {
    Ok(tagged(&engine::set_rules(&app, &caller, &wanted.rules, seen).await?))
}

/// Join an asset into another one
///
/// Its hosts, detections and items go to that one; where that has an item of the same weakness already, the two become one. A dry run
/// counts only. It can be taken back for 30 days.
#[utoipa::path(post, path = "/assets/{id}/merge", tag = "assets", params(("id" = i64, Path)), request_body = AssetMerge,
    responses((status = OK, body = MovedBody), (status = CONFLICT,
    description = "`same_asset`, `merged`, `two_agents`, `two_uuids`, `has_mitigations`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn join(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(wanted): Json<AssetMerge>,
) -> Result<Json<MovedBody>, Error> {
    let how = How { dry_run: wanted.dry_run, seen: wanted.seen };
    Ok(Json(moved(engine::join(&app, &caller, AssetId(id), AssetId(wanted.into), how).await?)))
}

/// Give a host of an asset to another asset
///
/// For a host that was matched with the wrong one; without an asset a new one is made.
#[utoipa::path(post, path = "/assets/{id}/hosts/{host}/move", tag = "assets",
    params(("id" = i64, Path), ("host" = i64, Path)), request_body = HostMove,
    responses((status = OK, body = MovedBody), (status = CONFLICT, description = "`same_asset`, `merged`, `two_uuids`"),
    (status = PRECONDITION_FAILED, description = "`changed_meanwhile`")))]
async fn move_host(
    State(app): State<App>,
    caller: Caller,
    Path((id, host)): Path<(i64, i64)>,
    Json(wanted): Json<HostMove>,
) -> Result<Json<MovedBody>, Error> {
    let how = How { dry_run: wanted.dry_run, seen: wanted.seen };
    let into = wanted.into.map(AssetId);
    Ok(Json(moved(engine::move_host(&app, &caller, AssetId(id), SourceHostId(host), into, how).await?)))
}

/// List the hosts that people gave to an asset
#[utoipa::path(get, path = "/assets/{id}/merges", tag = "assets", params(("id" = i64, Path)),
    responses((status = OK, body = MergesBody)))]
async fn merges(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<MergesBody>, Error> {
    caller.may(Action::AssetMerge, &Record::default())?;
    let read = app.database.try_read(move |tx| {
        known(tx, &caller, Action::AssetsView, AssetId(id))?;
        Ok::<_, Error>(merge::into(tx, AssetId(id))?)
    });
    Ok(Json(MergesBody { merges: read.await?.into_iter().map(record).collect() }))
}

/// Take back that hosts were given to an asset
///
/// Everything is as it was, and then as its detections say. Not after 30 days, nor once somebody has decided about its items.
#[utoipa::path(post, path = "/assets/{id}/merges/{merge}/undo", tag = "assets",
    params(("id" = i64, Path), ("merge" = i64, Path)), responses((status = OK, body = MergeRecord),
    (status = CONFLICT, description = "`undone`, `too_late`, `moved_since`, `decided_since`")))]
async fn undo(
    State(app): State<App>,
    caller: Caller,
    Path((id, merge)): Path<(i64, i64)>,
) -> Result<Json<MergeRecord>, Error> {
    Ok(Json(record(engine::undo(&app, &caller, AssetId(id), AssetMergeId(merge)).await?)))
}
