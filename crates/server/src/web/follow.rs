//! `/follow-up`: what drifted, which rollbacks are proposed, which reviews are due, and the settings of it.

use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::api;
use crate::app::App;
use crate::engine::{evidence, follow};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::error_page::sentence;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::follow::{DriftRow, FollowPage, ProposalRow, ReviewRow};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::Action as Button;
use crate::pages::{Chip, Choice, Fault, Field, Section, Tone};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::control::{REAPPLY_MAX, Reason};
use domain::mitigation::Origin;
use domain::risk::Formula;
use domain::time::Timestamp;
use protocol::api::follow::FollowSettings;
use store::Transaction;
use store::controls::after::{self, ControlLine, Review};
use store::list::{self, Query};
use store::proposals::{self, Waiting};

/// Rows of a section at most.
const ROWS: u32 = 200;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/follow-up", get(show))
        .route("/follow-up/settings", post(settings))
        .route("/controls/{id}/reapply", post(reapply))
        .route("/proposals/{id}/accept", post(accept))
        .route("/proposals/{id}/dismiss", get(dismiss_form).post(dismiss))
        .route("/reviews/{number}/done", post(reviewed))
}

/// What waits, in a sentence; none where nothing does.
pub(super) fn waiting(waiting: &Waiting) -> Option<String> {
    let many = |count: i64, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let parts: Vec<String> = [
        many(waiting.drifted, "mitigation drifted", "mitigations drifted"),
        many(waiting.proposals, "rollback is proposed", "rollbacks are proposed"),
        many(waiting.reviews, "review is due", "reviews are due"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| format!("{}.", parts.join(", ")))
}

struct Seen {
    drifted: Vec<ControlLine>,
    proposals: Vec<proposals::ProposalRow>,
    reviews: Vec<Review>,
    settings: follow::Settings,
    kept: evidence::Retention,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, now: Timestamp) -> Result<Seen, Error> {
    let query = |q: &str, fields, order: &str| -> Result<Query, Error> {
        let filter = domain::filter::parse(q, fields).map_err(Error::internal)?;
        let mut query = Query::new(filter, domain::filter::Context::at(now));
        (query.order, query.limit) = (list::Order::parse(order), ROWS);
        Ok(query)
    };
    let drifted = query("is:drifted", &after::FIELDS, "-drifted")?;
    let open = query("is:open", &proposals::FIELDS, "-created")?;
    Ok(Seen {
        drifted: list::page(tx, &after::LIST, after::visible(&who.scope), &drifted)?.rows,
        proposals: list::page(tx, &proposals::LIST, proposals::visible(&who.scope), &open)?.rows,
        reviews: after::reviews(tx, now, &who.scope, false)?,
        settings: follow::settings(tx)?,
        kept: evidence::kept(tx)?,
    })
}

async fn show(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    Ok(Show(page(&app, &who, Vec::new()).await?).into_response())
}

async fn page(app: &App, who: &PageActor, wrong: Vec<Fault>) -> Result<FollowPage, Error> {
    who.may(Action::JobsView, &Record::default())?;
    let (asker, now) = (who.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, now)).await?;
    let changes = who.decide(Action::SettingsChange, &Record::default()).allowed();
    let formula = seen.settings.formula;
    Ok(FollowPage {
        shell: frame(app, who, Section::FollowUp, "Follow-up").await?,
        drifted: seen.drifted.into_iter().map(|row| drift(who, row, now)).collect(),
        proposals: seen.proposals.into_iter().map(|row| proposal(who, row, now)).collect(),
        reviews: seen.reviews.into_iter().map(|row| review(row, now)).collect(),
        settings: if changes { fields(&seen.settings, &wrong) } else { Vec::new() },
        formula: (formula.title(), formula.text()),
        minutes: seen.settings.check_minutes,
        kept: match seen.kept.days {
            0 => "for ever".to_owned(),
            days => format!("for {days} days"),
        },
    })
}

fn fields(settings: &follow::Settings, wrong: &[Fault]) -> Vec<Field> {
    let formulas = Formula::ALL.iter().map(|formula| Choice::new(formula.as_str(), formula.title())).collect();
    vec![
        Field::typed(
            "number",
            "check_minutes",
            "Minutes between two looks of an agent",
            settings.check_minutes.to_string(),
        )
        .help("15 to 10080; agents add or take off up to a tenth.")
        .faulted(wrong),
        Field::select("formula", "Formula of the asset risk", settings.formula.as_str(), formulas)
            .help("Ours never rises when a detection is removed or lowered; the others are there for comparison.")
            .faulted(wrong),
    ]
}

fn job(ordinal: Option<i64>) -> Option<(String, String)> {
    ordinal.map(|ordinal| {
        let number = store::jobs::name(ordinal);
        let href = format!("/jobs/{number}");
        (number, href)
    })
}

fn drift(who: &PageActor, row: ControlLine, now: Timestamp) -> DriftRow {
    let denied = exposure::reason(&who.decide(Action::JobCreate, &Record::owned_by(who.user)));
    let expired = row.expired_at.map(|_| "It has expired; make a new job from its eliminations.".to_owned());
    let mark = match row.origin {
        Origin::Ours if row.put_back_times >= REAPPLY_MAX => Chip::new(Tone::Fail, "Flaps")
            .titled("It was put back by itself as often as allowed; something works against it"),
        Origin::Ours => Chip::new(Tone::Mit, "Ours"),
        Origin::External => Chip::new(Tone::Idle, "By others"),
    };
    DriftRow {
        title: row.title,
        entry: row.entry,
        asset: (row.asset_name, format!("/assets/{}", row.asset_id)),
        note: row.note,
        since: exposure::near(row.drifted_at.unwrap_or(row.since_at), now),
        job: job(row.job_number),
        mark,
        act: Button::post("Put back", format!("/controls/{}/reapply", row.id))
            .icon("shield-check")
            .unless(expired.or(denied)),
    }
}

fn proposal(who: &PageActor, row: proposals::ProposalRow, now: Timestamp) -> ProposalRow {
    let denied = exposure::reason(&who.decide(Action::Rollback, &Record::owned_by(who.user)));
    let accept = Button::post("Roll back", format!("/proposals/{}/accept", row.id)).icon("arrow-back-up");
    let accept = match row.caution() {
        "" => accept,
        caution => accept.asking(
            format!("Make a rollback job for {} on {}?", row.title, row.asset_name),
            sentence(caution),
            "Make the job",
        ),
    };
    let detail = row.words();
    ProposalRow {
        title: row.title,
        entry: row.entry,
        asset: (row.asset_name, format!("/assets/{}", row.asset_id)),
        reason: match row.reason {
            Reason::Fixed => Chip::new(Tone::Ok, "Fixed"),
            Reason::Expired => Chip::new(Tone::Warn, "Expired"),
        },
        detail,
        made: exposure::near(row.created_at, now),
        accept: accept.unless(denied.clone()),
        dismiss: Button::show("Dismiss", format!("/proposals/{}/dismiss", row.id)).unless(denied),
    }
}

fn review(row: Review, now: Timestamp) -> ReviewRow {
    let number = store::jobs::name(row.number);
    ReviewRow {
        href: format!("/jobs/{number}"),
        done: Button::post("Reviewed", format!("/reviews/{number}/done")).icon("check"),
        number,
        title: row.title,
        owner: row.owner,
        due: exposure::near(row.review_at, now),
        controls: row.controls,
    }
}

async fn settings(State(app): State<App>, who: PageActor, form: Fields) -> Result<Response, Error> {
    let given = FollowSettings {
        // What is no number gets the answer of one out of bounds.
        check_minutes: form.one("check_minutes").parse().unwrap_or(0),
        formula: form.one("formula").to_owned(),
    };
    let changed = match api::follow::understood(&given) {
        Ok(wanted) => follow::change_settings(&app, &who, wanted).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => Ok(flash::redirect("/follow-up", Some(Flash::done("Saved the settings.".to_owned())))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(page(&app, &who, wrong).await?))
        }
    }
}

/// A refusal is said on the page it came from; everything else is a page of its own.
fn done(back: &str, made: Result<(String, String), Error>) -> Result<Response, Error> {
    match made {
        Ok((to, said)) => Ok(flash::redirect(&to, Some(Flash::done(said)))),
        Err(error @ (Error::Refused(_) | Error::Invalid(_))) => {
            Ok(flash::redirect(back, Some(Flash { failed: true, ..Flash::done(super::jobs::said(error)?) })))
        }
        Err(error) => Err(error),
    }
}

async fn reapply(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let made = follow::reapply(&app, &who, id).await;
    done("/follow-up", made.map(|number| (format!("/jobs/{number}"), format!("{number} puts it back."))))
}

async fn accept(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let made = follow::accept(&app, &who, id).await;
    let said = |number: &String| format!("{number} is a draft; review and enable it to roll back.");
    done("/follow-up", made.map(|number| (format!("/jobs/{number}/edit/confirm"), said(&number))))
}

async fn dismissal(app: &App, who: &PageActor, id: i64, typed: &str, wrong: Vec<Fault>) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::FollowUp, "Dismiss a proposed rollback").await?;
    Ok(DialogPage {
        shell: shell.under("Follow-up", "/follow-up"),
        to: format!("/proposals/{id}/dismiss"),
        text: "The mitigation stays. It is proposed again only on another occasion.".to_owned(),
        fields: vec![Field::line("reason", "Why", typed).required().autocomplete("off").faulted(&wrong)],
        faults: Faults(wrong),
        verb: "Dismiss",
        back: "/follow-up".to_owned(),
    })
}

async fn dismiss_form(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::Rollback, &Record::owned_by(who.user))?;
    Ok(Show(dismissal(&app, &who, id, "", Vec::new()).await?).into_response())
}

async fn dismiss(State(app): State<App>, who: PageActor, Path(id): Path<i64>, form: Fields) -> Result<Response, Error> {
    match follow::dismiss(&app, &who, id, form.one("reason")).await {
        Ok(()) => Ok(flash::redirect("/follow-up", Some(Flash::done("Dismissed.".to_owned())))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(dismissal(&app, &who, id, form.one("reason"), wrong).await?))
        }
    }
}

async fn reviewed(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let ordinal = api::jobs::ordinal(&number)?;
    let made = follow::reviewed(&app, &who, ordinal, None).await;
    done("/follow-up", made.map(|()| ("/follow-up".to_owned(), format!("{number} was reviewed."))))
}
