//! `/jobs/{number}/history`: what happened to a job, of which its page shows the newest.

use super::frame::{Head, Show, frame, listed, pager};
use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs;
use crate::http::auth::PageActor;
use crate::http::{Error, ListQuery};
use crate::pages::chips::{Chip, Tone, When};
use crate::pages::history::{COLUMNS, EventRow, HistoryPage};
use crate::pages::{Empty, Section};
use crate::views::history;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::task::State as TaskState;
use store::jobs::history::{HistoryLine, LIST};

/// The routes of this part.
pub fn routes() -> Router<App> {
    Router::new().route("/jobs/{number}/history", get(list))
}

fn tone(what: &str) -> Tone {
    let code = what.strip_prefix("task.").and_then(TaskState::parse).map(TaskState::code);
    match (what, code) {
        ("task.began", _) => Tone::Run,
        (_, Some(Some(0))) => Tone::Ok,
        (_, Some(Some(1))) => Tone::Fail,
        (_, Some(_)) => Tone::Idle,
        ("job.cancel" | "run.halt" | "run.halted" | "approval.reject" | "approval.expire", None) => Tone::Warn,
        (_, None) => Tone::Info,
    }
}

async fn list(
    State(app): State<App>,
    actor: PageActor,
    Path(number): Path<String>,
    query: ListQuery,
) -> Result<Response, Error> {
    let ordinal = ordinal(&number)?;
    let path = format!("/jobs/{number}/history");
    let empty = Empty::yet("history", "Nothing yet", "What people and agents do with this job is listed here.");
    let head = Head { path: &path, noun: "events", columns: &COLUMNS, sort: history::NEWEST_FIRST, empty };
    let (mut list, wanted) = listed(&app, &actor, &query, &LIST, head)?;
    let asker = actor.caller.clone();
    // The job is loaded in any case: a query that cannot be read does not tell whether there is a job.
    let page = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, ordinal)?;
        wanted.as_ref().map(|wanted| history::lines(tx, &job, wanted)).transpose()
    });
    let mut rows = Vec::new();
    if let Some(page) = page.await? {
        list.shown = page.rows.len();
        list.pager = pager(&query, &path, page.next_cursor.as_deref());
        rows = page.rows.into_iter().map(row).collect();
    }
    let shell = frame(&app, &actor, Section::Jobs, "History").await?;
    let shell = shell.under("Mitigation jobs", "/jobs").under(number.clone(), format!("/jobs/{number}"));
    Ok(Show(HistoryPage { shell, list, rows }).into_response())
}

fn row(line: HistoryLine) -> EventRow {
    EventRow {
        at: When::exact(line.at.to_jiff()),
        event: Chip::new(tone(&line.what), history::text(&line)),
        by: line.actor.strip_prefix("users/").unwrap_or(&line.actor).to_owned(),
        run: line.run.map(|run| run.to_string()).unwrap_or_default(),
        asset: line.asset_id.map(|asset| (line.asset, format!("/assets/{}", asset.0))),
        entry: line.entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_task_has_the_colour_of_its_code() {
        for state in TaskState::ALL {
            let expected = match state.code() {
                Some(0) => Tone::Ok,
                Some(1) => Tone::Fail,
                _ => Tone::Idle,
            };
            assert_eq!(tone(&format!("task.{}", state.as_str())), expected, "{state:?}");
        }
        assert_eq!((tone("task.began"), tone("job.cancel"), tone("job.edit")), (Tone::Run, Tone::Warn, Tone::Info));
    }
}
