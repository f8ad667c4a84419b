//! `/instances/{id}/schedule`: when imports of each kind come, with the next times shown before anything is kept.

use super::frame::{Show, again, faults, frame, stale};
use super::{exposure, instances};
use crate::api::schedules as api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::instances as logic;
use crate::pages::forms::Faults;
use crate::pages::imports::{CadencePage, ScheduleRow, SchedulesPage};
use crate::pages::lists::Action as Button;
use crate::pages::{Choice, Fault, Field, Section};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::import::{Cadence, Kind};
use domain::schedule::{Nth, Weekday};
use domain::time::Timestamp;
use protocol::api::integrations::CadenceBody;
use protocol::api::response::RepeatBody;
use store::integrations::{self, Integration};

/// Next times in the list.
const LISTED: usize = 3;
const REPEATS: [(&str, &str); 6] = [
    ("daily", "Every day"),
    ("weekly", "Days of the week"),
    ("month_day", "A day of the month"),
    ("month_weekday", "A weekday of the month"),
    ("last_day", "The last day of the month"),
    ("patch_tuesday", "Days after Patch Tuesday"),
];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/instances/{id}/schedule", get(index))
        .route("/instances/{id}/schedule/{kind}", get(form).post(keep))
        .route("/instances/{id}/schedule/{kind}/times", post(times))
        .route("/instances/{id}/import/{kind}", post(import))
}

async fn index(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let read = app.database.try_read(move |tx| {
        let instance = logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>((integrations::of(tx, instance.id)?, instance))
    });
    let (rows, instance) = read.await?;
    let configures = exposure::reason(&who.decide(Action::IntegrationConfigure, &Record::default()));
    let imports = exposure::reason(&who.decide(Action::ImportRun, &Record::default()));
    let unready = logic::importable(&instance).err().map(|refusal| exposure::refused(&refusal));
    let now = app.clock.now();
    let row = |row: &Integration| {
        let (cadence, kind) = (row.cadence(), row.kind);
        let rest = row.next_at.map(|first| cadence.coming(first.max(now), LISTED - 1)).unwrap_or_default();
        ScheduleRow {
            name: kind.name().to_owned(),
            says: kind.says().to_owned(),
            words: cadence.words(),
            next: row.next_at.into_iter().chain(rest).map(|at| exposure::near(at, now)).collect(),
            held: row.held_since_at.map(|at| exposure::near(at, now)),
            change: Button::go("Change", format!("/instances/{id}/schedule/{}", kind.as_str()))
                .icon("pencil")
                .unless(configures.clone()),
            import: Button::post("Import now", format!("/instances/{id}/import/{}", kind.as_str()))
                .icon("database-import")
                .unless(imports.clone().or_else(|| unready.clone())),
        }
    };
    let shell = frame(&app, &who, Section::Scanners, "When imports come").await?;
    let shell = shell.under("Scanners", "/scanners").under(instance.name.clone(), format!("/instances/{id}"));
    let page = SchedulesPage { shell, rows: rows.iter().map(row).collect(), files: instance.files_only() };
    Ok(Show(page).into_response())
}

/// What a form says, in the API's words.
fn sent(fields: &Fields) -> CadenceBody {
    let text = |name: &str| Some(fields.one(name).trim().to_owned()).filter(|text| !text.is_empty());
    // What is no number gets the answer of one out of bounds.
    let number = |name: &str| text(name).map(|text| text.parse::<i64>().unwrap_or(-1_000));
    let when = fields.one("when").to_owned();
    if when != "at" {
        let minutes = (when == "every").then(|| number("minutes").unwrap_or(0));
        return CadenceBody { when, minutes, ..CadenceBody::default() };
    }
    let by = fields.one("repeat").to_owned();
    let days = Weekday::ALL.iter().filter(|day| fields.one(&format!("day_{}", day.as_str())) == "on");
    let repeat = RepeatBody {
        days: (by == "weekly").then(|| days.map(|day| day.as_str().to_owned()).collect()),
        every: number("every"),
        day: number("day"),
        nth: text("nth"),
        weekday: text("weekday"),
        offset: number("offset"),
        by,
        ..RepeatBody::default()
    };
    let at = format!("{}T{}", text("date").unwrap_or_default(), text("time").unwrap_or_default());
    CadenceBody { when, minutes: None, at: Some(at), zone: text("zone"), repeat: Some(repeat) }
}

/// The field that a refused schedule is about.
fn field(error: Error) -> Result<Vec<Fault>, Error> {
    let Error::Invalid(found) = error else { return faults(error, |field| field) };
    let name = |code: &str| match code {
        "out_of_range" => "minutes",
        "unknown_zone" | "zone_needed" => "zone",
        "bad_weekdays" => "day_mon",
        "bad_day" => "day",
        "bad_nth" => "nth",
        "bad_offset" => "offset",
        "bad_every" => "every",
        "bad_repeat" => "repeat",
        "bad_cadence" => "when",
        _ => "time",
    };
    Ok(found.iter().map(|fault| Fault::new(name(&fault.code), super::frame::sentence(&fault.message))).collect())
}

fn groups(given: &CadenceBody, wrong: &[Fault], now: Timestamp) -> Vec<(&'static str, &'static str, Vec<Field>)> {
    let repeat = given.repeat.clone().unwrap_or_default();
    let whole = |number: Option<i64>, or: &str| number.map_or_else(|| or.to_owned(), |number| number.to_string());
    let today = now.to_jiff().strftime("%Y-%m-%d").to_string();
    let (date, time) = given.at.as_deref().and_then(|at| at.split_once('T')).unwrap_or((&today, "01:00"));
    let time = time.get(..5).unwrap_or(time);
    let on = |day: Weekday| repeat.days.iter().flatten().any(|word| word == day.as_str());
    let choices = |pairs: &[(&str, &str)]| pairs.iter().map(|(value, label)| Choice::new(*value, *label)).collect();
    let done = |fields: Vec<Field>| fields.into_iter().map(|field| field.faulted(wrong)).collect::<Vec<_>>();
    let whens =
        [("off", "Only when somebody asks"), ("every", "Every so many minutes"), ("at", "At a time of the day")];
    let by = if repeat.by.is_empty() { "daily" } else { &repeat.by };
    let days = Weekday::ALL.map(|day| Field::tick(&format!("day_{}", day.as_str()), day.name(), on(day)));
    vec![
        (
            "When",
            "",
            done(vec![
                Field::select("when", "Comes", &given.when, choices(&whens)),
                Field::typed("number", "minutes", "Minutes", whole(given.minutes, "240"))
                    .help("For every so many minutes: 15 minutes to 30 days"),
            ]),
        ),
        (
            "At a time of the day",
            "These fields count where it comes at a time of the day.",
            done(vec![
                Field::typed("time", "time", "Time", time),
                Field::line("zone", "Time zone", given.zone.as_deref().unwrap_or("UTC")),
                Field::typed("date", "date", "Not before", date),
                Field::select("repeat", "On", by, choices(&REPEATS)),
                Field::typed("number", "every", "Every", whole(repeat.every, "1")).help("Days, weeks or months"),
            ]),
        ),
        ("Days of the week", "", done(days.to_vec())),
        (
            "Months",
            "",
            done(vec![
                Field::typed("number", "day", "Day of the month", whole(repeat.day, "1")),
                Field::select(
                    "nth",
                    "Which weekday",
                    repeat.nth.as_deref().unwrap_or("first"),
                    Nth::ALL.map(|nth| Choice::new(nth.as_str(), nth.as_str())).to_vec(),
                ),
                Field::select(
                    "weekday",
                    "Weekday",
                    repeat.weekday.as_deref().unwrap_or("sun"),
                    Weekday::ALL.map(|day| Choice::new(day.as_str(), day.name())).to_vec(),
                ),
                Field::typed("number", "offset", "Days after Patch Tuesday", whole(repeat.offset, "0")),
            ]),
        ),
    ]
}

async fn page(
    app: &App,
    who: &PageActor,
    (id, kind): (i64, Kind),
    row: &Integration,
    typed: Option<(&CadenceBody, Vec<Fault>, i64)>,
) -> Result<CadencePage, Error> {
    let now = app.clock.now();
    let name = app.database.try_read(move |tx| Ok::<_, Error>(logic::known(tx, InstanceId(id))?.name)).await?;
    let shell = frame(app, who, Section::Scanners, format!("{}: when they come", kind.name())).await?;
    let back = format!("/instances/{id}/schedule");
    let shell = shell.under("Scanners", "/scanners").under(name, format!("/instances/{id}"));
    let shell = shell.under("When imports come", back.clone());
    let kept = api::cadence_body(&row.cadence());
    let (given, wrong, version) = typed.map_or((&kept, Vec::new(), row.version), |typed| typed);
    let cadence: Option<Cadence> = api::cadence(given).ok();
    Ok(CadencePage {
        shell,
        to: format!("{back}/{}", kind.as_str()),
        try_at: format!("{back}/{}/times", kind.as_str()),
        back,
        version,
        text: kind.says().to_owned(),
        groups: groups(given, &wrong, now),
        faults: Faults(wrong),
        words: cadence.as_ref().map(Cadence::words),
        next: cadence.iter().flat_map(|c| c.coming(now, api::TIMES)).map(exposure::exact).collect(),
    })
}

async fn row(app: &App, id: i64, kind: Kind) -> Result<Integration, Error> {
    app.database.try_read(move |tx| api::known(tx, InstanceId(id), kind)).await
}

async fn form(
    State(app): State<App>,
    who: PageActor,
    Path((id, word)): Path<(i64, String)>,
) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let kind = api::kind(&word)?;
    let row = row(&app, id, kind).await?;
    Ok(Show(page(&app, &who, (id, kind), &row, None).await?).into_response())
}

/// The next times of what stands in the form; nothing is kept.
async fn times(
    State(app): State<App>,
    who: PageActor,
    Path((id, word)): Path<(i64, String)>,
    fields: Fields,
) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let kind = api::kind(&word)?;
    let (row, given) = (row(&app, id, kind).await?, sent(&fields));
    let wrong = api::cadence(&given).err().map(field).transpose()?.unwrap_or_default();
    let (failed, version) = (!wrong.is_empty(), fields.one("version").parse().unwrap_or(row.version));
    let page = page(&app, &who, (id, kind), &row, Some((&given, wrong, version))).await?;
    Ok(if failed { again(page) } else { Show(page).into_response() })
}

async fn keep(
    State(app): State<App>,
    who: PageActor,
    Path((id, word)): Path<(i64, String)>,
    fields: Fields,
) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let kind = api::kind(&word)?;
    let given = sent(&fields);
    let seen = fields.one("version").parse().ok();
    let kept = match api::cadence(&given) {
        Ok(cadence) => api::set(&app, &who, (InstanceId(id), kind), cadence, seen).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(row) => {
            let said = Flash::done(format!("{}: {}.", kind.name(), row.cadence().words()));
            Ok(flash::redirect(&format!("/instances/{id}/schedule"), Some(said)))
        }
        Err(error) => {
            let row = row(&app, id, kind).await?;
            if let Some(said) = stale(&error) {
                let kept = api::cadence_body(&row.cadence());
                return Ok(again(page(&app, &who, (id, kind), &row, Some((&kept, said, row.version))).await?));
            }
            let wrong = field(error)?;
            let version = seen.unwrap_or(row.version);
            Ok(again(page(&app, &who, (id, kind), &row, Some((&given, wrong, version))).await?))
        }
    }
}

async fn import(
    State(app): State<App>,
    who: PageActor,
    Path((id, word)): Path<(i64, String)>,
) -> Result<Response, Error> {
    instances::begun(&app, &who, id, &word).await
}
