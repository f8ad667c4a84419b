//! The runs of a job on its page, and the page that gives a job to somebody else.

use super::eliminations::denied;
use super::frame::{Show, frame};
use super::jobs::said;
use super::people::People;
use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs::{self, Job};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::Section;
use crate::pages::chips::{Bar, Chip, Tone};
use crate::pages::forms::{DialogPage, Fault, Faults};
use crate::pages::jobs::RunRow;
use crate::pages::lists::address;
use crate::views;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Reach, reach};
use domain::job::Act;
use protocol::api::response::Run;
use store::Transaction;

/// Runs shown on the page; the API has more.
const SHOWN: usize = 20;

/// The routes of this part.
pub fn routes() -> Router<App> {
    Router::new().route("/jobs/{number}/owner", get(owner_form).post(owner))
}

/// The runs of a job, newest first; none while a single one says all there is to say.
pub(super) fn rows(tx: &mut Transaction<'_>, job: &Job, current: Option<i64>) -> Result<Vec<RunRow>, Error> {
    let runs = views::runs::runs(tx, job)?;
    if runs.len() < 2 && !job.schedule.recurs() {
        return Ok(Vec::new());
    }
    let newest = runs.first().map(|run| run.run);
    let here = format!("/jobs/{}", job.row.name());
    Ok(runs.iter().take(SHOWN).map(|run| row(run, &here, current.or(newest) == Some(run.run))).collect())
}

fn row(run: &Run, here: &str, current: bool) -> RunRow {
    let state = match run.state.as_str() {
        "waiting" => Chip::new(Tone::Sched, "Waiting"),
        "running" => Chip::new(Tone::Run, "Running"),
        "halted" => Chip::new(Tone::Fail, "Halted").with_icon("hand-stop"),
        "completed" => Chip::new(Tone::Ok, "Completed"),
        "cancelled" => Chip::new(Tone::Idle, "Cancelled"),
        _ => Chip::new(Tone::Fail, "With failures").titled("Completed with failures"),
    };
    let person = run.asked_by.strip_prefix("users/").unwrap_or(&run.asked_by);
    let why = match run.cause.as_str() {
        "schedule" => "by schedule".to_owned(),
        "now" => format!("run now by {person}"),
        "retry" => format!("what failed, again, by {person}"),
        "drift" => "put back what drifted".to_owned(),
        _ => format!("enabled by {person}"),
    };
    let counts = &run.tasks;
    let shown = |at: domain::time::Timestamp| at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string();
    RunRow {
        number: run.run,
        href: format!("{}#tasks", address(here, &[("run", &run.run.to_string())])),
        current,
        state,
        time: run.time.as_deref().map(|time| time.replace('T', " ")).and_then(|time| time.get(..16).map(str::to_owned)),
        why,
        bar: Bar::new(
            &[
                (Tone::Mit, counts.succeeded, "succeeded"),
                (Tone::Idle, counts.skipped, "skipped"),
                (Tone::Fail, counts.failed, "failed"),
            ],
            counts.total.max(1),
        ),
        done: counts.total - counts.open,
        of: counts.total,
        begun: run.begun_at.map(shown).unwrap_or_default(),
        ended: run.ended_at.map(shown).unwrap_or_default(),
    }
}

async fn owner_form(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    form(&app, &who, &number, "", Vec::new()).await
}

async fn form(app: &App, who: &PageActor, number: &str, typed: &str, faults: Vec<Fault>) -> Result<Response, Error> {
    let (asker, of, now) = (who.caller.clone(), ordinal(number)?, app.clock.now());
    let people = reach(&who.actor, Action::PeopleView) == Reach::Everything;
    let read = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, of)?;
        let people = if people { People::read(tx, now)? } else { People::none() };
        Ok::<_, Error>((job, people))
    });
    let (job, people) = read.await?;
    if let Some(why) = denied(&who.decide(Act::ChangeOwner.needs(), &job.record)) {
        return Ok(flash::redirect(
            &format!("/jobs/{number}"),
            Some(Flash { failed: true, ..Flash::done(crate::web::frame::sentence(&why)) }),
        ));
    }
    let field = people.field("owner", "New owner", typed, |account| account.id != job.row.owner_id);
    let shell = frame(app, who, Section::Jobs, format!("Change the owner of {number}")).await?;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = DialogPage {
        shell: shell.under("Mitigation jobs", "/jobs"),
        to: format!("/jobs/{number}/owner"),
        text: "The new owner must be able to edit mitigation jobs and to see every asset of this one. Co-authors stay."
            .to_owned(),
        fields: vec![field.faulted(&faults)],
        faults: Faults(faults),
        verb: "Change owner",
        back: format!("/jobs/{number}"),
    };
    Ok((status, Show(page)).into_response())
}

async fn owner(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    match jobs::change_owner(&app, &who, ordinal(&number)?, fields.one("owner")).await {
        Ok(_) => {
            let text = format!("{number} now belongs to {}.", fields.one("owner"));
            Ok(flash::redirect(&format!("/jobs/{number}"), Some(Flash::done(text))))
        }
        Err(error) => {
            let why = said(error)?;
            form(&app, &who, &number, fields.one("owner"), vec![Fault::new("owner", why)]).await
        }
    }
}
