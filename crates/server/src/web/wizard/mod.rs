//! `/jobs/{number}/edit/{step}`: the seven steps of a mitigation job (S1.03). Each step is a page of its own on the draft
//! that the server keeps; a form changes the draft by the same edit as the API and leads to the next step.

mod after;
mod forms;
mod frame;
mod free;
mod rollout;
mod schedule;
mod steps;

use super::expect::{self, Scores};
use super::frame::Show;
use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::jobs as engine;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::form::Fields;
use crate::pages::forms::Fault;
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::id::AssetId;
use domain::job::{FieldRefusal, Review, Status, review};
use domain::time::Timestamp;
use protocol::api::response::{EliminationsBody, Job, PreviewBody};
use std::collections::{BTreeMap, BTreeSet};

/// The routes of the wizard.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/jobs/{number}/edit/{step}", get(show).post(forms::submit))
        .route("/jobs/{number}/edit/schedule/times", post(schedule::follow))
        .route("/jobs/{number}/edit/assets/remove", post(forms::remove_asset))
        .route("/jobs/{number}/edit/assets/who", post(free::who))
        .route("/jobs/{number}/edit/actions/remove", post(forms::remove_action))
}

/// One of the seven steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Basic,
    Assets,
    Actions,
    Schedule,
    Options,
    Access,
    Confirm,
}

impl Step {
    const ALL: [Step; 7] =
        [Step::Basic, Step::Assets, Step::Actions, Step::Schedule, Step::Options, Step::Access, Step::Confirm];

    /// The word in the address.
    fn word(self) -> &'static str {
        match self {
            Step::Basic => "basic",
            Step::Assets => "assets",
            Step::Actions => "actions",
            Step::Schedule => "schedule",
            Step::Options => "options",
            Step::Access => "access",
            Step::Confirm => "confirm",
        }
    }

    fn parse(word: &str) -> Result<Step, Error> {
        let missing = || Error::NotFound(format!("step {word} of a job"));
        Self::ALL.into_iter().find(|step| step.word() == word).ok_or_else(missing)
    }

    /// Its place, from 0.
    fn place(self) -> usize {
        Self::ALL.iter().position(|step| *step == self).unwrap_or(0)
    }

    fn after(self) -> Option<Step> {
        Self::ALL.get(self.place() + 1).copied()
    }

    fn before(self) -> Option<Step> {
        self.place().checked_sub(1).and_then(|at| Self::ALL.get(at)).copied()
    }

    /// The step on which a field of [`review`] is filled in.
    fn of_field(field: &str) -> Step {
        match field {
            "assets" => Step::Assets,
            "actions" => Step::Actions,
            "schedule" => Step::Schedule,
            "recipients" | "mail_percent" | "after" => Step::Options,
            "coauthors" => Step::Access,
            _ => Step::Basic,
        }
    }

    fn address(self, number: &str) -> String {
        format!("/jobs/{number}/edit/{}", self.word())
    }
}

/// A draft, or a disabled job that is edited, with everything its steps show.
struct Draft {
    full: engine::Job,
    job: Job,
    /// Scores now and when every action succeeds.
    scores: BTreeMap<AssetId, Scores>,
    /// What could be done, and which assets cannot be part of it.
    possible: EliminationsBody,
    /// What a free-standing job chooses; none for one made from eliminations.
    free: Option<free::Chosen>,
    /// What keeps it from being saved.
    wrong: Vec<FieldRefusal>,
    /// The next times of its schedule.
    preview: PreviewBody,
}

impl Draft {
    fn number(&self) -> String {
        self.full.row.name()
    }

    /// It is being made, not edited.
    fn first(&self) -> bool {
        self.full.row.status == Status::Draft
    }

    /// The QIDs it is for: those some asset of the job has.
    fn qids(&self) -> BTreeSet<i64> {
        self.job.assets.iter().flat_map(|asset| asset.qids.iter().copied()).collect()
    }
}

async fn load(app: &App, who: &PageActor, number: &str) -> Result<Draft, Error> {
    let (number, asker, now) = (ordinal(number)?, who.clone(), app.clock.now());
    app.database
        .try_read(move |tx| {
            let full = engine::load(tx, &asker, number)?;
            let mut job = views::jobs::job(tx, &asker, &full, now)?;
            let scores = expect::by_asset(tx, &full)?;
            let qids: BTreeSet<i64> = job.assets.iter().flat_map(|asset| asset.qids.iter().copied()).collect();
            // An action whose QID went with its last asset does nothing any more.
            job.actions.retain(|action| qids.contains(&action.qid));
            let qids: Vec<i64> = qids.into_iter().collect();
            let possible = views::jobs::eliminations(tx, &asker, &qids)?;
            let free = free::chosen(tx, &asker, &full, now)?;
            let wrong = review(&Review {
                title: &full.row.title,
                description: &full.row.description,
                assets: job.assets.len(),
                actions: job.actions.len(),
                recipients: &full.recipients,
                mail_percent: full.row.mail_percent,
            });
            let preview = views::runs::preview(tx, &full, &full.schedule, schedule::TIMES, now)?;
            Ok(Draft { full, job, scores, possible, free, wrong, preview })
        })
        .await
}

async fn show(
    State(app): State<App>,
    who: PageActor,
    Path((number, step)): Path<(String, String)>,
    Query(Looked { find }): Query<Looked>,
) -> Result<Response, Error> {
    let step = Step::parse(&step)?;
    let draft = load(&app, &who, &number).await?;
    // Whoever may look but not edit is told why, once, instead of at the end of seven steps.
    who.may(domain::access::Action::JobEdit, &draft.full.record)?;
    domain::job::act(draft.full.row.life(), domain::job::Act::Edit)?;
    let typed = Fields::of([("find", find.as_str())]);
    answer(&app, &who, &draft, step, Vec::new(), &typed).await
}

/// What was looked for in step 2.
#[derive(serde::Deserialize)]
struct Looked {
    #[serde(default)]
    find: String,
}

/// The page of a step. With faults it is 422 and holds what was typed.
async fn answer(
    app: &App,
    who: &PageActor,
    draft: &Draft,
    step: Step,
    faults: Vec<Fault>,
    typed: &Fields,
) -> Result<Response, Error> {
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let find = typed.one("find").to_owned();
    let typed = (!faults.is_empty()).then_some(typed);
    let (shell, frame) = frame::around(app, who, draft, step, faults.clone()).await?;
    let now: Timestamp = app.clock.now();
    let page = match step {
        Step::Basic => Show(steps::basic(shell, frame, draft, &faults, typed)).into_response(),
        Step::Assets if draft.free.is_some() => {
            Show(free::assets(app, who, (shell, frame), draft, &find, &faults, typed).await?).into_response()
        }
        Step::Actions if draft.free.is_some() => {
            Show(free::actions(app, (shell, frame), draft, &faults, typed).await?).into_response()
        }
        Step::Assets => Show(steps::assets(app, who, shell, frame, draft).await?).into_response(),
        Step::Actions => Show(steps::actions(app, shell, frame, draft).await?).into_response(),
        Step::Schedule => Show(schedule::page(shell, frame, draft, &faults, typed, now)).into_response(),
        Step::Options => {
            Show(steps::options(shell, frame, draft, &faults, typed, app.mailer.is_some())).into_response()
        }
        Step::Access => Show(steps::access(app, who, shell, frame, draft, &faults, typed).await?).into_response(),
        Step::Confirm => Show(steps::confirm(app, shell, frame, draft).await?).into_response(),
    };
    Ok((status, page).into_response())
}
