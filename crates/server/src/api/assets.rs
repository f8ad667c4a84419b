//! Assets, clipped to the caller's scope.

use crate::app::App;
use crate::engine::follow;
use crate::http::{Caller, Error, ListQuery};
use crate::views::follow as view;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::id::AssetId;
use protocol::api::exposure::{Asset, AssetBody, AssetChange, AssetControl, AssetSource, AssetsBody};
use protocol::api::follow::Risk;
use store::assets::{self, AssetRow, Exposure};
use store::identity::merge;
use store::{controls, list};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Tags that people give one asset at most.
const TAGS_MAX: usize = 50;
/// Longest tag, in bytes.
const TAG_BYTES_MAX: usize = 100;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(show, change))
}

fn body(row: AssetRow, tags: Vec<String>, exposure: Exposure, risk: Risk) -> Asset {
    Asset {
        id: row.id.0,
        name: row.name,
        platform: row.platform.as_str().to_owned(),
        os: row.os,
        ip: row.ip,
        fqdn: row.fqdn,
        netbios: row.netbios,
        network_id: row.network_id,
        criticality: row.criticality,
        criticality_by_hand: row.criticality_own.is_some(),
        zone: row.zone,
        placeholder: row.placeholder,
        tags,
        agent: row.agent,
        open_items: exposure.open(),
        mitigated_items: exposure.mitigated,
        residual: (exposure.open() > 0).then_some(exposure.residual),
        risk,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
    }
}

/// List assets
#[utoipa::path(get, path = "/assets", tag = "assets", params(ListQuery), responses((status = OK, body = AssetsBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<AssetsBody>, Error> {
    caller.may(Action::AssetsView, &Record::default())?;
    let query = query.of_list(&assets::FIELDS, "name", app.clock.now(), &caller.name)?;
    let scope = caller.scope.clone();
    let (page, mut tags, exposure, formula, exposed) = app
        .database
        .try_read(move |tx| {
            let page = list::page::<AssetRow>(tx, &assets::LIST, assets::visible(&scope), &query)?;
            let ids: Vec<AssetId> = page.rows.iter().map(|row| row.id).collect();
            let (tags, exposure) = (assets::tags(tx, &ids)?, assets::exposure(tx, &ids)?);
            let formula = follow::settings(tx)?.formula;
            let own = |id: &AssetId| tags.get(id).map(Vec::as_slice).unwrap_or_default();
            let exposed = view::exposed(tx, page.rows.iter().map(|row| (row.id, row.criticality, own(&row.id))))?;
            Ok::<_, Error>((page, tags, exposure, formula, exposed))
        })
        .await?;
    let rows = page.rows.into_iter().map(|row| {
        let (tags, exposure) = (tags.remove(&row.id).unwrap_or_default(), exposure.get(&row.id).copied());
        let risk = exposed.get(&row.id).map_or(0, |exposed| view::value(formula, exposed));
        body(row, tags, exposure.unwrap_or_default(), view::risk(formula, risk))
    });
    Ok(Json(AssetsBody { assets: rows.collect(), next: page.next_cursor }))
}

/// Code of an asset that was joined into another one, which the sentence names.
pub(crate) const MERGED: &str = "merged";

/// An asset that the caller may see, with its tags; otherwise it looks absent. One that was joined into another is gone: 410.
pub(crate) fn known(
    tx: &mut store::Transaction<'_>,
    caller: &Caller,
    action: Action,
    id: AssetId,
) -> Result<(AssetRow, Vec<String>), Error> {
    let missing = |error| match error {
        store::Error::NotFound => Error::NotFound(format!("asset {id}")),
        error => error.into(),
    };
    let row = assets::one(tx, id).map_err(missing)?;
    let tags = assets::tags(tx, &[id])?.remove(&id).unwrap_or_default();
    let cover = caller.scope.cover([caller.scope.sees(tags.iter().map(String::as_str))]);
    caller.may(action, &Record { cover, ..Record::default() })?;
    if let Some(into) = merge::gone_to(tx, id)? {
        let why = format!("asset {id} was joined into asset {into}");
        return Err(Error::problem(StatusCode::GONE, MERGED, why));
    }
    Ok((row, tags))
}

fn full(tx: &mut store::Transaction<'_>, row: AssetRow, tags: Vec<String>) -> Result<AssetBody, Error> {
    let id = row.id;
    let exposure = assets::exposure(tx, &[id])?.remove(&id).unwrap_or_default();
    let sources = assets::sources(tx, id)?.into_iter().map(|source| AssetSource {
        id: source.id.0,
        instance: source.instance,
        host: source.host_key,
        agent_uuid: source.agent_uuid,
        ip: source.ip,
        network_id: source.network_id,
        tracking: source.tracking,
        matched_by: source.matched_by,
        last_scan_at: source.last_scan_at,
    });
    let sources = sources.collect();
    let controls = controls::of_asset(tx, id)?.into_iter().map(|control| AssetControl {
        id: control.id,
        note: control.note,
        job: control.job_number.map(store::jobs::name),
        expires_at: control.expires_at,
        expired_at: control.expired_at,
        entry: control.entry,
        state: control.state.as_str().to_owned(),
        origin: control.origin.as_str().to_owned(),
        since_at: control.since_at,
        checked_at: control.checked_at,
    });
    let controls = controls.collect();
    let formula = follow::settings(tx)?.formula;
    let exposed = view::exposed(tx, [(id, row.criticality, tags.as_slice())])?;
    let risk = exposed.get(&id).map_or(0, |exposed| view::value(formula, exposed));
    Ok(AssetBody { asset: body(row, tags, exposure, view::risk(formula, risk)), sources, controls })
}

/// Show an asset
#[utoipa::path(get, path = "/assets/{id}", tag = "assets", params(("id" = i64, Path)),
    responses((status = OK, body = AssetBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<AssetBody>, Error> {
    let shown = app.database.try_read(move |tx| {
        let (row, tags) = known(tx, &caller, Action::AssetsView, AssetId(id))?;
        full(tx, row, tags)
    });
    Ok(Json(shown.await?))
}

/// Change an asset's criticality or tags.
///
/// # Errors
/// 403, 404, 422.
pub(crate) async fn edit(app: &App, caller: &Caller, id: AssetId, change: AssetChange) -> Result<AssetBody, Error> {
    check(&change)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        known(tx, &caller, Action::AssetEdit, id)?;
        assets::edit(tx, &caller.author(), id, change.criticality, change.tags.as_deref(), now)?;
        let (row, tags) = (assets::one(tx, id)?, assets::tags(tx, &[id])?.remove(&id).unwrap_or_default());
        full(tx, row, tags)
    });
    changed.await
}

/// Change an asset's criticality or tags
#[utoipa::path(patch, path = "/assets/{id}", tag = "assets", params(("id" = i64, Path)), request_body = AssetChange,
    responses((status = OK, body = AssetBody)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(change): Json<AssetChange>,
) -> Result<Json<AssetBody>, Error> {
    Ok(Json(edit(&app, &caller, AssetId(id), change).await?))
}

fn check(change: &AssetChange) -> Result<(), Error> {
    if change.criticality.is_some_and(|criticality| criticality > 5) {
        return Err(Error::field("criticality", "out_of_range", "criticality is 1 to 5, or 0 for what its tags say"));
    }
    let tags = change.tags.as_deref().unwrap_or_default();
    if tags.len() > TAGS_MAX {
        return Err(Error::field("tags", "too_many", format!("an asset has at most {TAGS_MAX} tags of people")));
    }
    let fits =
        |tag: &String| !tag.trim().is_empty() && tag.len() <= TAG_BYTES_MAX && !tag.chars().any(char::is_control);
    if !tags.iter().all(fits) {
        let why = format!("a tag has 1 to {TAG_BYTES_MAX} characters and no control characters");
        return Err(Error::field("tags", "tag", why));
    }
    Ok(())
}
