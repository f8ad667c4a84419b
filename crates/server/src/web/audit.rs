//! `/audit`: the audit log.

use super::frame::{Head, Show, frame, listed, pager};
use crate::app::App;
use crate::http::auth::PageActor;
use crate::http::{Error, ListQuery};
use crate::pages::audit::{AuditPage, AuditRow, COLUMNS};
use crate::pages::{Chip, Empty, Section, Tone, When};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use store::audit::Written;

/// The longest summary of a change, in characters.
const CHANGE_CHARS_MAX: usize = 100;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/audit", get(list))
}

async fn list(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    actor.may(Action::AuditView, &Record::default())?;
    let empty = Empty::yet("history", "Nothing yet", "Every change that people or the engine make is written here.");
    let head = Head { path: "/audit", noun: "audit entries", columns: &COLUMNS, sort: "-sequence", empty };
    let (mut list, wanted) = listed(&app, &actor, &query, &store::audit::ENTRIES, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let page = app.database.try_read(move |tx| store::audit::page(tx, &wanted)).await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, "/audit", page.next_cursor.as_deref());
        rows = page.rows.into_iter().map(row).collect();
    }
    let head = app.database.read(store::audit::head).await?;
    let seal = head.map(|seal| {
        let at = seal.at.to_jiff().strftime("%-d %b %Y %H:%M UTC");
        format!("Sealed up to seal {} of {at}, signed by {}.", seal.number, seal.key_id)
    });
    let shell = frame(&app, &actor, Section::Audit, "Audit log").await?;
    Ok(Show(AuditPage { shell, list, seal: seal.unwrap_or_default(), rows }).into_response())
}

fn row(entry: Written) -> AuditRow {
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    let detail = body.get("detail").filter(|detail| !detail.is_null());
    let from = detail.and_then(|detail| detail.get("address")).and_then(|address| address.as_str()).unwrap_or_default();
    let change: String = detail.map(ToString::to_string).unwrap_or_default().chars().take(CHANGE_CHARS_MAX).collect();
    // Records of these nouns have a page under the same path.
    let page = ["users/", "jobs/", "items/", "assets/", "scans/", "agents/"];
    let href = page.iter().any(|noun| entry.resource.starts_with(noun)).then(|| format!("/{}", entry.resource));
    AuditRow {
        sequence: entry.id,
        at: When::exact(entry.at.to_jiff()),
        actor: entry.actor,
        from: from.to_owned(),
        action: entry.action,
        record: (entry.resource, href),
        change: if change.is_empty() { "Entry".to_owned() } else { change },
        bytes: String::from_utf8_lossy(&entry.body).into_owned(),
        sealed: match entry.seal {
            Some(seal) => Chip::new(Tone::Ok, format!("Seal {seal}")),
            None => Chip::new(Tone::Idle, "Not yet"),
        },
    }
}
