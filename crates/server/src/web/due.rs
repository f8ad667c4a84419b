//! `/settings/due`: how many days there are for each band of score.

use super::frame::{Show, again, faults, frame};
use crate::app::App;
use crate::engine::due as logic;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Caller, Error, PageActor};
use crate::pages::forms::{Choice, DialogPage, Fault, Faults, Field};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Section, count};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::due::Days;
use serde::Deserialize;
use store::items::due::{self, Preview};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/settings/due", get(form).post(change))
}

/// The way there.
pub(super) fn way(who: &Caller) -> Button {
    let denied = super::exposure::reason(&who.decide(Action::RuleEdit, &Record::default()));
    Button::show("Due dates", "/settings/due").icon("calendar").unless(denied)
}

fn words(seen: &Preview) -> String {
    format!(
        "Of {} open items {} would get another date, {} of them an earlier one; {} would be overdue, {} are now.",
        count(seen.items),
        count(seen.moved),
        count(seen.earlier),
        count(seen.overdue),
        count(seen.overdue_before)
    )
}

async fn page(
    app: &App,
    who: &PageActor,
    given: &Typed,
    seen: Option<Preview>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::Items, "Due dates").await?.under("Vulnerable items", "/items");
    let number =
        |name: &str, label: &str, value: &str| Field::typed("number", name, label, value).required().faulted(&wrong);
    let act = if seen.is_some() { "save" } else { "try" };
    let fields = vec![
        Field::select(
            "on",
            "Items have due dates",
            if given.on { "yes" } else { "no" },
            vec![Choice::new("yes", "Yes"), Choice::new("no", "No")],
        ),
        number("critical", "Days for critical ones, 90 to 100", &given.critical),
        number("high", "Days for high ones, 70 to 89", &given.high),
        number("medium", "Days for medium ones, 40 to 69", &given.medium),
        number("low", "Days for low ones, 1 to 39", &given.low).help("0 for no date"),
        number("soon", "Approaching so many days before", &given.soon),
        Field::select(
            "act",
            "What to do",
            act,
            vec![Choice::new("try", "Show what it would change"), Choice::new("save", "Save")],
        ),
    ];
    Ok(DialogPage {
        shell,
        to: address("/settings/due", &[("version", &given.version.to_string())]),
        text: seen.map_or_else(
            || {
                "The days begin when an item is opened. A score that rises brings its date forward, one that falls never puts it \
                 off; a deferral stops the clock."
                    .to_owned()
            },
            |seen| words(&seen),
        ),
        fields,
        faults: Faults(wrong),
        verb: "Go on",
        back: "/items".to_owned(),
    })
}

/// What somebody typed.
struct Typed {
    on: bool,
    critical: String,
    high: String,
    medium: String,
    low: String,
    soon: String,
    /// The version that was seen.
    version: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Seen {
    version: i64,
}

impl Typed {
    fn of(days: &Days, version: i64) -> Typed {
        Typed {
            on: days.on,
            critical: days.critical.to_string(),
            high: days.high.to_string(),
            medium: days.medium.to_string(),
            low: days.low.to_string(),
            soon: days.soon.to_string(),
            version,
        }
    }

    fn read(fields: &Fields, version: i64) -> Typed {
        let one = |name: &str| fields.one(name).trim().to_owned();
        Typed {
            on: fields.one("on") != "no",
            critical: one("critical"),
            high: one("high"),
            medium: one("medium"),
            low: one("low"),
            soon: one("soon"),
            version,
        }
    }

    fn days(&self) -> Days {
        // What is no number is out of bounds, and said to be.
        let number = |text: &str| text.parse().unwrap_or(-1);
        Days {
            on: self.on,
            critical: number(&self.critical),
            high: number(&self.high),
            medium: number(&self.medium),
            low: number(&self.low),
            soon: number(&self.soon),
        }
    }
}

async fn form(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::RuleEdit, &Record::default())?;
    let kept = app.database.read(due::kept).await?;
    let given = Typed::of(&kept.days, kept.version);
    Ok(Show(page(&app, &who, &given, None, Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Query(seen): Query<Seen>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = Typed::read(&fields, seen.version);
    if fields.one("act") != "save" {
        return match logic::preview(&app, &who, given.days()).await {
            Ok(seen) => Ok(again(page(&app, &who, &given, Some(seen), Vec::new()).await?)),
            Err(error) => Ok(again(page(&app, &who, &given, None, faults(error, |field| field)?).await?)),
        };
    }
    match logic::set(&app, &who, given.days(), Some(given.version)).await {
        Ok(_) => {
            let said = Flash::done("Saved. Open items get their dates by it in a moment.");
            Ok(flash::redirect("/items", Some(said)))
        }
        Err(error) => Ok(again(page(&app, &who, &given, None, faults(error, |field| field)?).await?)),
    }
}
