//! `/instances/1/rescans`: when rescans of an integration are launched, and how many; `/settings/rescans`: who may ask.

use super::eliminations::denied;
use super::frame::{Show, again, faults, frame, stale};
use crate::app::App;
use crate::engine::rescan::{self, Rules};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Caller, Error, PageActor};
use crate::pages::Section;
use crate::pages::forms::{Choice, DialogPage, Fault, Faults, Field};
use crate::pages::lists::Action as Button;
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::id::InstanceId;
use protocol::api::scans::Policy;
use serde::Deserialize;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/instances/{id}/rescans", get(form).post(keep))
        .route("/settings/rescans", get(rules).post(keep_rules))
}

/// The way to the policy of an instance.
pub(super) fn change(who: &Caller, instance: InstanceId) -> Button {
    let denied = denied(&who.decide(Action::IntegrationConfigure, &Record::default()));
    Button::show("When rescans run", format!("/instances/{instance}/rescans")).icon("clock").unless(denied)
}

/// The way to who may ask.
pub(super) fn change_rules(who: &Caller) -> Button {
    let denied = denied(&who.decide(Action::SettingsChange, &Record::default()));
    Button::show("Who may rescan", "/settings/rescans").icon("users").unless(denied)
}

/// Which version of the policy the form was filled from.
#[derive(Debug, Deserialize)]
struct Seen {
    seen: Option<i64>,
}

async fn page(
    app: &App,
    who: &PageActor,
    id: i64,
    (given, version): (&Policy, Option<i64>),
    faults: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let shell = frame(app, who, Section::Scanners, "When rescans run").await?.under("Scanners", "/scanners");
    let number = |name: &str, label: &str, value: i64| {
        Field::typed("number", name, label, value.to_string()).required().faulted(&faults)
    };
    let fields = vec![
        Field::typed("time", "from", "Scan window from", &given.from).required().focus().faulted(&faults),
        Field::typed("time", "until", "Scan window until", &given.until)
            .required()
            .help("The same time twice means always; what runs is not stopped")
            .faulted(&faults),
        Field::line("zone", "Time zone", &given.zone).required().help("Such as Europe/Rome").faulted(&faults),
        number("running_max", "Scans at once at most", given.running_max),
        number("launches_max", "Launches at most", given.launches_max),
        number("launches_seconds", "within so many seconds", given.launches_seconds),
        Field::select(
            "on_resolved",
            "What people resolve",
            if given.on_resolved { "yes" } else { "no" },
            vec![Choice::new("no", "is rescanned when somebody asks"), Choice::new("yes", "is rescanned by itself")],
        ),
    ];
    Ok(DialogPage {
        shell,
        to: version
            .map_or_else(|| format!("/instances/{id}/rescans"), |seen| format!("/instances/{id}/rescans?seen={seen}")),
        text: "Rescans are launched in this window only, everybody in turn. What waits says so on its record."
            .to_owned(),
        fields,
        faults: Faults(faults),
        verb: "Save",
        back: format!("/instances/{id}"),
    })
}

async fn form(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let (policy, version) = rescan::policy(&app, &who, InstanceId(id)).await?;
    let kept = views::scans::policy(&policy);
    Ok(Show(page(&app, &who, id, (&kept, Some(version)), Vec::new()).await?).into_response())
}

async fn keep(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(Seen { seen }): Query<Seen>,
    fields: Fields,
) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    // What is no number is none that can be kept.
    let number = |name: &str| fields.one(name).parse::<i64>().unwrap_or(0);
    let given = Policy {
        from: fields.one("from").to_owned(),
        until: fields.one("until").to_owned(),
        zone: fields.one("zone").to_owned(),
        running_max: number("running_max"),
        launches_max: number("launches_max"),
        launches_seconds: number("launches_seconds"),
        on_resolved: fields.one("on_resolved") == "yes",
    };
    let kept = match views::scans::policy_of(&given) {
        Ok(policy) => rescan::set_policy(&app, &who, InstanceId(id), policy, seen).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match kept {
        Ok(()) => Ok(flash::redirect(&format!("/instances/{id}"), Some(Flash::done("Saved when rescans run.")))),
        Err(error) => {
            if let Some(said) = stale(&error) {
                let (policy, version) = rescan::policy(&app, &who, InstanceId(id)).await?;
                let kept = views::scans::policy(&policy);
                return Ok(again(page(&app, &who, id, (&kept, Some(version)), said).await?));
            }
            let faults = faults(error, |field| field)?;
            Ok(again(page(&app, &who, id, (&given, seen), faults).await?))
        }
    }
}

async fn rules(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::SettingsChange, &Record::default())?;
    let Rules { by_group } = app.database.read(rescan::rules).await?;
    let shell = frame(&app, &who, Section::Scans, "Who may rescan").await?.under("Scan records", "/scans");
    let choices = vec![
        Choice::new("yes", "What is assigned to them or to one of their groups"),
        Choice::new("no", "What is assigned to them by name"),
    ];
    let field = Field::select("by_group", "Remediation owners rescan", if by_group { "yes" } else { "no" }, choices);
    let page = DialogPage {
        shell,
        to: "/settings/rescans".to_owned(),
        text: "Vulnerability analysts and administrators rescan every item in their scope.".to_owned(),
        fields: vec![field.focus()],
        faults: Faults(Vec::new()),
        verb: "Save",
        back: "/scans".to_owned(),
    };
    Ok(Show(page).into_response())
}

async fn keep_rules(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let by_group = fields.one("by_group") == "yes";
    rescan::set_rules(&app, &who, Rules { by_group }).await?;
    let words = if by_group { "by name or by group" } else { "by name only" };
    let said = Flash::done(format!("Remediation owners rescan what is assigned to them {words}."));
    Ok(flash::redirect("/scans", Some(said)))
}
