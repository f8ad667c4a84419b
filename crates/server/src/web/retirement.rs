//! Agents that are not heard of, as their pages tell it, and `/settings/retirement`: when they are retired by themselves.

use super::eliminations::denied;
use super::frame::{Show, again, faults, frame, sentence};
use crate::app::App;
use crate::engine::retire::{self, Ahead};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::Section;
use crate::pages::agents::Gone;
use crate::pages::forms::{DialogPage, Fault, Faults, Field};
use crate::pages::lists::Action as Button;
use crate::pages::records::{Fact, Value};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::contact::{RETIRE_DAYS, RETIRE_DAYS_DEFAULT};
use domain::time::Timestamp;
use protocol::api::response::Agent;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/settings/retirement", get(form).post(keep))
}

/// What the list of agents says of it: why none is retired, when they are, and the way to change that.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub held: Option<String>,
    pub text: Option<String>,
    pub change: Option<Button>,
}

/// That, for who may see settings.
pub(super) async fn said(app: &App, who: &PageActor) -> Result<Said, Error> {
    if denied(&who.decide(Action::SettingsView, &Record::default())).is_some() {
        return Ok(Said::default());
    }
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| Ok::<_, Error>((retire::kept(tx)?, retire::held(tx, now)?)));
    let (kept, held) = read.await?;
    let text = match kept.days {
        0 => "Contact is lost with an agent after seven days without a word. None is retired by itself.".to_owned(),
        days => format!(
            "Contact is lost with an agent after seven days without a word. After {days} days it is retired by itself: its open tasks \
             end, and it is refused until somebody takes it back. Only time in which this server listened counts."
        ),
    };
    let held = held.map(|refusal| sentence(&refusal.sentence));
    Ok(Said { held, text: Some(text), change: Some(change(who)) })
}

fn change(who: &PageActor) -> Button {
    let denied = denied(&who.decide(Action::SettingsChange, &Record::default()));
    Button::show("Change the days", "/settings/retirement").icon("pencil").unless(denied)
}

/// What there is to say of an agent's silence; `ahead` where contact is lost with one in force.
pub(super) fn gone(who: &PageActor, agent: &Agent, ahead: Option<&Ahead>) -> Option<Gone> {
    let heard = day(agent.last_seen_at);
    if let Some(retired_at) = agent.retired_at {
        let said = vec![
            Fact::new("Why", Value::text("It was not heard of for so long that it was retired by itself.")),
            Fact::new("Since", Value::text(format!("{}; last heard {heard}.", day(retired_at)))),
            Fact::new(
                "Follows",
                Value::text(
                    "Its requests are refused and its open tasks have ended. What was given up stays given up.",
                ),
            ),
            Fact::new(
                "Until",
                Value::text("Somebody takes it back here, or the host is enrolled anew with a new token."),
            ),
        ];
        return Some(Gone { title: "Retired", said, change: None });
    }
    let (missing_at, ahead) = agent.missing_at.zip(ahead)?;
    let sees = denied(&who.decide(Action::SettingsView, &Record::default())).is_none();
    let then = if ahead.days == 0 {
        ""
    } else {
        " If it stays silent it is retired: its open tasks end, and it is refused until somebody takes it back."
    };
    let when = match (&ahead.held, ahead.at) {
        (_, None) => "It is never retired by itself; somebody may revoke it.".to_owned(),
        (Some(held), Some(_)) if sees => sentence(&held.sentence),
        (Some(_), Some(_)) => "Not now: contact is lost with most agents, so none is retired by itself.".to_owned(),
        (None, Some(at)) => format!(
            "{}, after {} days without a word, if this server listens all the time until then.",
            day(at),
            ahead.days
        ),
    };
    let said = vec![
        Fact::new(
            "Why",
            Value::text(
                "Nothing was heard of it for seven days in which this server listened: it is off, cut off or gone.",
            ),
        ),
        Fact::new("Since", Value::text(format!("{heard}; noticed {}.", day(missing_at)))),
        Fact::new(
            "Follows",
            Value::text(format!(
                "Work that comes again is not planned for it; work that is done once waits. Heard again, it goes on.{then}"
            )),
        ),
        Fact::new("When", Value::text(when)),
    ];
    Some(Gone { title: "Contact lost", said, change: sees.then(|| change(who)) })
}

fn day(at: Timestamp) -> String {
    at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string()
}

async fn page(app: &App, who: &PageActor, days: &str, faults: Vec<Fault>) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::Agents, "Agents that are not heard of").await?.under("Agents", "/agents");
    let (least, most) = (RETIRE_DAYS.start(), RETIRE_DAYS.end());
    Ok(DialogPage {
        shell,
        to: "/settings/retirement".to_owned(),
        text: format!(
            "Contact is lost with an agent after seven days without a word. After this many days, {least} to {most}, it is retired by \
             itself: its open tasks end, and it is refused until somebody takes it back; 0 retires none. Only time in which this server \
             listened counts. Without a choice it is {RETIRE_DAYS_DEFAULT} days."
        ),
        fields: vec![
            Field::typed("number", "days", "Days until one is retired", days).required().focus().faulted(&faults),
        ],
        faults: Faults(faults),
        verb: "Save",
        back: "/agents".to_owned(),
    })
}

async fn form(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::SettingsChange, &Record::default())?;
    let kept = app.database.read(retire::kept).await?;
    Ok(Show(page(&app, &who, &kept.days.to_string(), Vec::new()).await?).into_response())
}

async fn keep(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    who.may(Action::SettingsChange, &Record::default())?;
    let typed = fields.one("days").trim().to_owned();
    let wanted = typed.parse::<i64>().map_err(|_| Error::field("days", "bad_days", "give a number of days"));
    let kept = match wanted {
        Ok(days) => retire::keep(&app, &who, days).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(kept) => {
            let words = match kept.days {
                0 => "No agent is retired by itself.".to_owned(),
                days => format!("Agents are retired after {days} days without a word."),
            };
            Ok(flash::redirect("/agents", Some(Flash::done(words))))
        }
        Err(error) => {
            let faults = faults(error, |field| field)?;
            Ok(again(page(&app, &who, &typed, faults).await?))
        }
    }
}
