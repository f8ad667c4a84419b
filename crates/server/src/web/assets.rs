//! `/assets`: the list of assets.

use super::frame::{Head, Show, frame, listed, pager};
use super::vulnerabilities::TOTAL_MAX;
use super::{exposure, identity};
use crate::app::App;
use crate::engine::rescan;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::assets::{self as view, AssetsPage, COLUMNS};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Bar, Change, Chip, Empty, Menu, Section, Segment, Tone};
use crate::views::follow;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::id::AssetId;
use store::assets::{self, AssetRow, Exposure};
use store::list;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/assets", get(index))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::AssetsView, &Record::default())?;
    let empty = Empty::yet("server", "No assets yet", "An import makes one for each machine that a scanner reports.")
        .with(Button::go("Import", "/imports").primary());
    let head = Head { path: "/assets", noun: "assets", columns: &COLUMNS, sort: "-score", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &assets::LIST, head)?;
    let mut rows = Vec::new();
    let formula = app.database.try_read(crate::engine::follow::settings).await?.formula;
    if let Some(wanted) = wanted {
        let asker = who.clone();
        let read = app.database.try_read(move |tx| {
            let clip = || assets::visible(&asker.scope);
            let page = list::page::<AssetRow>(tx, &assets::LIST, clip(), &wanted)?;
            let total = list::count(tx, &assets::LIST, clip(), &wanted, TOTAL_MAX)?;
            let ids: Vec<AssetId> = page.rows.iter().map(|row| row.id).collect();
            let (tags, exposure) = (assets::tags(tx, &ids)?, assets::exposure(tx, &ids)?);
            let own = |id: &AssetId| tags.get(id).map(Vec::as_slice).unwrap_or_default();
            let exposed = follow::exposed(tx, page.rows.iter().map(|row| (row.id, row.criticality, own(&row.id))))?;
            let refused = rescan::of_assets(tx, &asker, &ids)?;
            Ok::<_, Error>((page, total, tags, exposure, exposed, refused))
        });
        let (page, total, mut tags, exposure, exposed, refused) = read.await?;
        (list.total, list.capped) = (Some(total), total >= TOTAL_MAX);
        list.shown = page.rows.len();
        list.pager = pager(&query, "/assets", page.next_cursor.as_deref());
        rows = page
            .rows
            .into_iter()
            .map(|asset| {
                let found = exposure.get(&asset.id).copied().unwrap_or_default();
                let tags = tags.remove(&asset.id).unwrap_or_default();
                let risk = exposed.get(&asset.id).map_or(0, |exposed| follow::value(formula, exposed));
                let rescans = refused.get(&asset.id).map(exposure::refused);
                row(asset, tags, &found, risk, rescans)
            })
            .collect();
    }
    for (label, q) in [
        ("All", ""),
        ("With open items", "items:>0"),
        ("Critical", "score:>=90"),
        ("Without an agent", "agent:no"),
        ("Placeholders", "is:placeholder"),
    ] {
        list.tab(label, q, None);
    }
    list.facet(
        "Platform",
        &[
            ("Linux", "platform:linux", None, None),
            ("Windows", "platform:windows", None, None),
            ("macOS", "platform:macos", None, None),
            ("Other", "platform:other", None, None),
        ],
    );
    list.facet("Agent", &[("In place", "agent:yes", None, None), ("None", "agent:no", None, None)]);
    list.facet(
        "Criticality",
        &[("5", "criticality:5", None, None), ("4", "criticality:4", None, None), ("3", "criticality:3", None, None)],
    );
    let shell = frame(&app, &who, Section::Assets, "Assets")
        .await?
        .action(identity::matching(&who))
        .action(Button::go("Tags", "/tags").icon("tag"));
    Ok(Show(AssetsPage { shell, formula: (formula.title(), formula.text()), list, rows }).into_response())
}

/// The open items of an asset by band, the highest first.
pub(super) fn bands(found: &Exposure) -> Bar {
    let names: [(&'static str, &'static str); 4] =
        [("low", "low"), ("med", "medium"), ("high", "high"), ("crit", "critical")];
    let segments = names.into_iter().zip(found.bands).rev();
    Bar {
        segments: segments.map(|((class, label), value)| Segment { class, value, label }).collect(),
        total: found.open(),
        tall: false,
    }
}

/// The highest score of what is open on an asset, before and after mitigation.
pub(super) fn worst(found: &Exposure) -> Change {
    let open = found.open() > 0;
    Change::new(open.then_some(found.inherent), open.then_some(found.residual))
}

/// Everything open on an asset.
pub(super) fn open_items(asset: AssetId) -> String {
    format!("asset.id:{asset} and is:open")
}

fn row(asset: AssetRow, tags: Vec<String>, found: &Exposure, risk: i64, rescans: Option<String>) -> view::AssetRow {
    let open = open_items(asset.id);
    let actions = vec![
        Button::show("Rescan", format!("/assets/{}/rescan", asset.id)).icon("radar").unless(rescans),
        Button::go("Open items", address("/items", &[("q", &open)])).icon("list-check"),
        Button::go("Open", format!("/assets/{}", asset.id)).icon("server"),
    ];
    view::AssetRow {
        key: asset.id.to_string(),
        href: format!("/assets/{}", asset.id),
        ip: asset.ip,
        icon: view::system_icon(&asset.os, asset.platform.as_str()),
        os: asset.os,
        tags,
        criticality: asset.criticality,
        agent: if asset.placeholder {
            Chip::new(Tone::Warn, "Placeholder").titled("Nothing but an address is known of it")
        } else if asset.agent {
            Chip::new(Tone::Ok, "In place")
        } else {
            Chip::new(Tone::Idle, "No agent")
        },
        open: bands(found),
        open_count: found.open(),
        worst: worst(found),
        risk,
        menu: Menu::dots(format!("asset-{}", asset.id), format!("Quick actions for {}", asset.name), actions),
        name: asset.name,
    }
}
