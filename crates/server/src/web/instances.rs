//! `/instances`: the set-up of a subscription of a scanner, its connection, and imports begun now.

use super::frame::{Show, again, faults, frame, sentence};
use super::{exposure, imports, marks, rescan_policy, scanners};
use crate::api;
use crate::app::App;
use crate::connect::qualys::{Endpoint, Versions};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::instances as logic;
use crate::pages::forms::Faults;
use crate::pages::lists::Action as Button;
use crate::pages::scanners::{CheckRow, IntegrationPage, LimitRow};
use crate::pages::{Chip, Choice, Fact, Fault, Field, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::rescan::TRACKING_HOURS;
use domain::time::Timestamp;
use protocol::api::integrations::{ConnectionCheck, ConnectionTest, InstanceChange, NewInstance, Quota};
use std::collections::{BTreeMap, BTreeSet};
use store::imports::RunRow;
use store::instances::{self, Appliance, Instance, Profile};

/// The interval of scheduled imports that the form proposes.
const INTERVAL_MINUTES: &str = "240";
/// How far back the form proposes that the first import goes.
const FIRST_DAYS: &str = "30";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/instances/new", get(new))
        .route("/instances", post(create))
        .route("/instances/test", post(create_and_test))
        .route("/instances/{id}", get(show).post(change))
        .route("/instances/{id}/test", post(change_and_test))
        .route("/instances/{id}/delete", post(delete))
        .route("/instances/{id}/fetch", post(fetch))
        .route("/instances/{id}/import", post(import))
}

/// What stands in the form.
#[derive(Clone, Default)]
struct Given {
    name: String,
    api_url: String,
    gateway_url: String,
    auth: String,
    username: String,
    interval: String,
    tracking: String,
    profile: String,
    appliance: String,
    first_days: String,
    disabled: bool,
    versions: BTreeMap<String, u8>,
}

impl Given {
    fn blank() -> Given {
        Given {
            auth: "basic".to_owned(),
            interval: INTERVAL_MINUTES.to_owned(),
            tracking: TRACKING_HOURS.to_string(),
            first_days: FIRST_DAYS.to_owned(),
            ..Given::default()
        }
    }

    fn of(instance: &Instance) -> Given {
        Given {
            name: instance.name.clone(),
            api_url: instance.api_url.clone(),
            gateway_url: instance.gateway_url.clone(),
            auth: instance.auth.clone(),
            username: instance.username.clone(),
            interval: String::new(),
            tracking: instance.tracking_hours.to_string(),
            profile: instance.default_profile.clone().unwrap_or_default(),
            appliance: instance.default_appliance.clone().unwrap_or_default(),
            first_days: instance.first_days.unwrap_or(0).to_string(),
            disabled: instance.disabled,
            versions: logic::versions_of(&instance.versions),
        }
    }

    /// A new one like this one: without its password, and without what only its own subscription has.
    fn like(instance: &Instance) -> Given {
        Given { name: String::new(), profile: String::new(), appliance: String::new(), ..Given::of(instance) }
    }

    fn sent(fields: &Fields) -> Given {
        let one = |name: &str| fields.one(name).to_owned();
        Given {
            name: one("name"),
            api_url: one("api_url"),
            gateway_url: one("gateway_url"),
            auth: one("auth"),
            username: one("username"),
            interval: one("interval_minutes"),
            tracking: one("tracking_hours"),
            profile: one("default_profile"),
            appliance: one("default_appliance"),
            first_days: one("first_days"),
            disabled: one("disabled") == "on",
            versions: versioned()
                .filter_map(|(endpoint, name)| Some((endpoint.word(), one(&name).parse().ok()?)))
                .collect(),
        }
    }

    /// The numbers: minutes between imports, hours of tracking, days that the first import goes back.
    fn numbers(&self) -> Result<(i64, i64, i64), Vec<Fault>> {
        let number = |name: &str, text: &str| {
            let text = if text.is_empty() { "0" } else { text };
            text.parse::<i64>().map_err(|_| Fault::new(name, "This is a whole number."))
        };
        let minutes = number("interval_minutes", &self.interval);
        let hours = number("tracking_hours", &self.tracking);
        match (minutes, hours, number("first_days", &self.first_days)) {
            (Ok(minutes), Ok(hours), Ok(days)) => Ok((minutes, hours, days)),
            (minutes, hours, days) => Err([minutes.err(), hours.err(), days.err()].into_iter().flatten().collect()),
        }
    }
}

/// The end points of which several versions are known, and the name of the field for each.
fn versioned() -> impl Iterator<Item = (Endpoint, String)> {
    let several = Endpoint::ALL.into_iter().filter(|endpoint| endpoint.known_versions().len() > 1);
    several.map(|endpoint| (endpoint, format!("version_{}", endpoint.word())))
}

/// What is known of an instance beside its settings.
struct Known {
    instance: Instance,
    profiles: Vec<Profile>,
    appliances: Vec<Appliance>,
    run: Option<RunRow>,
    quotas: Vec<Quota>,
}

async fn known(app: &App, id: i64) -> Result<Known, Error> {
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| {
        let instance = logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(Known {
            profiles: instances::profiles(tx, instance.id)?,
            appliances: instances::appliances(tx, instance.id)?,
            run: imports::newest(tx, instance.id, now)?,
            quotas: store::quotas::of(tx, instance.id)?.into_iter().map(logic::quota).collect(),
            instance,
        })
    });
    read.await
}

fn groups(
    given: &Given,
    known: Option<&Known>,
    wrong: &[Fault],
    locked: bool,
) -> Vec<(&'static str, &'static str, Vec<Field>)> {
    let done =
        |fields: Vec<Field>| fields.into_iter().map(|field| field.readonly(locked).faulted(wrong)).collect::<Vec<_>>();
    let name = Field::line("name", "Name", &given.name).required().help("As people call this subscription");
    if known.is_some_and(|known| known.instance.files_only()) {
        let text = "This integration is filled from files and has no connection to a scanner.";
        return vec![("Integration", text, done(vec![name]))];
    }
    let ways =
        [("basic", "Name and password with each call"), ("session", "Session"), ("token", "Token of the gateway")];
    let ways = ways.into_iter().map(|(value, label)| Choice::new(value, label)).collect();
    let connection = vec![
        name,
        Field::typed("url", "api_url", "API address", &given.api_url)
            .required()
            .mono()
            .placeholder("https://qualysapi.example"),
        Field::select("auth", "Signs in by", &given.auth, ways),
        Field::typed("url", "gateway_url", "Gateway address", &given.gateway_url).mono().help("For tokens only"),
    ];
    let kept = known.is_some_and(|known| known.instance.has_secret);
    let password = Field::secret("password", "Password", "new-password");
    let account = vec![
        Field::line("username", "User name", &given.username).required().autocomplete("off"),
        if kept { password.placeholder("unchanged") } else { password.required() },
    ];
    let profiles = known.map(|known| known.profiles.as_slice()).unwrap_or_default();
    let choices = profiles.iter().map(|profile| (profile.key.as_str(), profile.title.as_str()));
    let appliances = known.map(|known| known.appliances.as_slice()).unwrap_or_default();
    // One appliance can have several rows.
    let places: BTreeMap<&str, &str> =
        appliances.iter().map(|appliance| (appliance.key.as_str(), appliance.name.as_str())).collect();
    let rescans = vec![
        listed("default_profile", "Default option profile", &given.profile, "None", &choices.collect::<Vec<_>>())
            .help("What a rescan uses unless another is named"),
        listed(
            "default_appliance",
            "Default appliance",
            &given.appliance,
            "The scanner's own",
            &places.into_iter().collect::<Vec<_>>(),
        )
        .help("For addresses that no appliance serves by itself"),
        Field::typed("number", "tracking_hours", "Hours a rescan is tracked", &given.tracking),
    ];
    let mut imports = Vec::new();
    // Afterwards each kind has its own schedule, on a page of its own.
    if known.is_none() {
        let interval = Field::typed("number", "interval_minutes", "Minutes between imports", &given.interval);
        imports.push(interval.help("15 minutes to 30 days; 0 imports only when somebody asks"));
    }
    imports.push(
        Field::typed("number", "first_days", "Days the first import goes back", &given.first_days)
            .help("1 to 365; 0 imports everything, which takes long and uses up limits"),
    );
    imports.push(Field::tick("disabled", "Disabled: no imports, no rescans; its records stay", given.disabled));
    vec![
        ("Connection", "", done(connection)),
        ("Account", "The password is kept encrypted, sent to this address only, and never shown again.", done(account)),
        ("Rescans", "Option profiles and appliances are there to choose once they have been fetched.", done(rescans)),
        ("Imports", "", done(imports)),
        (
            "Versions of the API",
            "Where a version is gone, the next one that answers is used by itself.",
            done(versioned().map(|(endpoint, name)| version(endpoint, &name, given, known)).collect()),
        ),
    ]
}

/// The version of one end point, and what is used where that is gone.
fn version(endpoint: Endpoint, name: &str, given: &Given, known: Option<&Known>) -> Field {
    let own = Versions::default().get(endpoint);
    let mut choices = vec![Choice::new("", format!("{own}.0, the program's"))];
    choices.extend(
        endpoint.known_versions().iter().map(|version| Choice::new(version.to_string(), format!("{version}.0"))),
    );
    let value = given.versions.get(&endpoint.word()).map(ToString::to_string).unwrap_or_default();
    let field = Field::select(name, &sentence(endpoint.name()).replace('.', ""), value, choices);
    let seen = known.map(|known| logic::versions_seen(&known.instance.versions_seen)).unwrap_or_default();
    match seen.iter().find(|seen| seen.endpoint == endpoint.word()) {
        Some(seen) => {
            let day = seen.since.to_jiff().strftime("%Y-%m-%d");
            field.help(format!("{}.0 is gone; {}.0 is used since {day}", seen.from, seen.to))
        }
        None => field,
    }
}

/// What the last test said, line by line.
fn checks(test: &ConnectionTest) -> Vec<CheckRow> {
    let row = |check: &ConnectionCheck| CheckRow {
        name: marks::words(&check.check),
        needed_for: check.needed_for.clone(),
        verdict: match check.verdict.as_str() {
            "works" => Chip::new(Tone::Ok, "Works"),
            "limited" => Chip::new(Tone::Warn, "Limited"),
            "not_tried" => Chip::new(Tone::Idle, "Not tried"),
            "refused" => Chip::new(Tone::Fail, "Refused"),
            _ => Chip::new(Tone::Fail, "Failed"),
        },
        detail: if check.detail.is_empty() { String::new() } else { sentence(&check.detail) },
        advice: check.advice.clone(),
    };
    test.checks.iter().map(row).collect()
}

/// A limit of the platform as a line.
fn limit(quota: &Quota, now: Timestamp) -> LimitRow {
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let calls = match (quota.remaining, quota.limit) {
        (Some(left), Some(limit)) => format!("{left} of {limit}"),
        (left, limit) => number(left.or(limit)),
    };
    LimitRow {
        name: marks::words(&quota.endpoint),
        calls,
        window: quota.window_seconds.map(|seconds| format!("{} min", seconds / 60)).unwrap_or_default(),
        reserve: quota.reserve.to_string(),
        at_once: number(quota.concurrency),
        wait: quota.wait_until.filter(|until| *until > now).map(|until| exposure::near(until, now)),
        seen: exposure::near(quota.seen_at, now),
        refused: quota.refused_at.map(|at| exposure::near(at, now)),
        words: quota.refused.clone(),
    }
}

/// A choice among what the scanner listed; one that it lists no more is kept.
fn listed(name: &str, label: &str, value: &str, none: &str, known: &[(&str, &str)]) -> Field {
    let mut choices = vec![Choice::new("", none)];
    choices.extend(known.iter().map(|(key, title)| Choice::new(*key, *title)));
    // The settings may name it by title.
    let key = known.iter().find(|(key, title)| *key == value || *title == value).map(|(key, _)| *key);
    if key.is_none() && !value.is_empty() {
        choices.push(Choice::new(value, format!("{value} (not listed by the scanner)")));
    }
    Field::select(name, label, key.unwrap_or(value), choices)
}

async fn page(
    app: &App,
    who: &PageActor,
    known: Option<&Known>,
    given: &Given,
    wrong: Vec<Fault>,
) -> Result<IntegrationPage, Error> {
    let now = app.clock.now();
    let configures = exposure::reason(&who.decide(Action::IntegrationConfigure, &Record::default()));
    let imports = exposure::reason(&who.decide(Action::ImportRun, &Record::default()));
    let title = known.map_or("New integration", |known| &known.instance.name).to_owned();
    let shell = frame(app, who, Section::Scanners, title).await?;
    let shell = shell.under("Scanners", "/scanners").under("Qualys", "/scanners/qualys");
    let at = |what: &str| known.map(|known| format!("/instances/{}{what}", known.instance.id));
    let connected = known.is_some_and(|known| !known.instance.files_only());
    let actions = known.map(|known| {
        let unready = logic::importable(&known.instance).err().map(|refusal| exposure::refused(&refusal));
        let to = format!("/instances/{}/import", known.instance.id);
        let runs = crate::pages::lists::address("/imports", &[("q", &format!("instance.id:{}", known.instance.id))]);
        let import = Button::post("Import now", to).icon("database-import").unless(imports.clone().or(unready));
        let schedule = Button::go("When imports come", format!("/instances/{}/schedule", known.instance.id));
        let like = format!("/instances/new?like={}", known.instance.id);
        let mut actions = vec![import, schedule.icon("calendar"), Button::go("Its imports", runs).icon("history")];
        if !known.instance.files_only() {
            let rows =
                crate::pages::lists::address("/appliances", &[("q", &format!("instance.id:{}", known.instance.id))]);
            actions.push(Button::go("Its appliances", rows).icon("radar"));
            actions.push(rescan_policy::change(who, known.instance.id));
            let place = format!("/instances/{}/place", known.instance.id);
            actions.push(
                Button::show("Which appliance serves an address?", place).icon("help").unless(configures.clone()),
            );
            actions.push(Button::go("New integration like this", like).icon("plus").unless(configures.clone()));
        }
        if known.run.is_none() {
            let to = format!("/instances/{}/delete", known.instance.id);
            actions.push(Button::post("Delete", to).icon("trash").unless(configures.clone()));
        }
        actions
    });
    let test = known.and_then(|known| logic::tested(&known.instance.tested));
    Ok(IntegrationPage {
        shell,
        to: at("").unwrap_or_else(|| "/instances".to_owned()),
        groups: groups(given, known, &wrong, configures.is_some()),
        faults: Faults(wrong),
        tested: test.as_ref().map(|test| (test.works, sentence(&test.detail))),
        tested_at: test.as_ref().map(|test| exposure::near(test.tested_at, now)),
        checks: test.as_ref().map(checks).unwrap_or_default(),
        limits: known.map(|known| known.quotas.iter().map(|quota| limit(quota, now)).collect()).unwrap_or_default(),
        test: at("/test").or_else(|| Some("/instances/test".to_owned())).filter(|_| known.is_none() || connected),
        sync: at("/fetch").filter(|_| connected && imports.is_none()),
        facts: known.map(|known| facts(known, now)).unwrap_or_default(),
        actions: actions.unwrap_or_default(),
        locked: configures,
    })
}

fn facts(known: &Known, now: Timestamp) -> Vec<Fact> {
    let names = |names: Vec<&str>| match names.as_slice() {
        [] => "none fetched yet".to_owned(),
        names => names.join(", "),
    };
    let mut facts = Vec::new();
    if !known.instance.files_only() {
        let titles = known.profiles.iter().map(|profile| profile.title.as_str()).collect();
        let appliances: BTreeSet<&str> = known.appliances.iter().map(|appliance| appliance.name.as_str()).collect();
        let appliances = appliances.into_iter().collect();
        facts.push(Fact::new("Option profiles", Value::text(names(titles))));
        facts.push(Fact::new("Appliances", Value::text(names(appliances))));
        let default = known.instance.default_profile.as_deref();
        let default = default.map(|word| scanners::profile_title(&known.profiles, word)).unwrap_or_default();
        facts.push(Fact::new("Default profile", Value::text(default)));
    }
    if let Some(run) = &known.run {
        facts.push(Fact::new(
            "Last import",
            Value::link(run.number().to_string(), format!("/imports/{}", run.number())),
        ));
        facts.push(Fact::new("It is", Value::Chip(imports::state(run.state))));
    }
    let when = |label, at: Option<Timestamp>| at.map(|at| Fact::new(label, Value::When(exposure::near(at, now))));
    facts.extend(when("Next import", known.instance.next_import_at));
    facts.extend(when("Detections up to", known.instance.host_detection_until));
    facts.extend(when("Knowledge base up to", known.instance.knowledge_base_until));
    facts.extend(when("Source on items since", known.instance.source_stamped_at));
    facts
}

/// Which instance a new one begins like.
#[derive(Debug, serde::Deserialize)]
struct Like {
    like: Option<i64>,
}

async fn new(State(app): State<App>, who: PageActor, Query(asked): Query<Like>) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let given = match asked.like {
        Some(id) => Given::like(&known(&app, id).await?.instance),
        None => Given::blank(),
    };
    Ok(Show(page(&app, &who, None, &given, Vec::new()).await?).into_response())
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let known = known(&app, id).await?;
    Ok(Show(page(&app, &who, Some(&known), &Given::of(&known.instance), Vec::new()).await?).into_response())
}

/// What is wrong with the form, whatever the API calls it.
fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) if refusal.code == "name_taken" => {
            Ok(vec![Fault::new("name", exposure::refused(&refusal))])
        }
        Error::Refused(refusal) if refusal.code == "password_needed" => {
            Ok(vec![Fault::new("password", exposure::refused(&refusal))])
        }
        error => faults(error, |field| field),
    }
}

async fn made(
    app: &App,
    who: &PageActor,
    given: &Given,
    password: &str,
) -> Result<Result<Instance, Vec<Fault>>, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let (minutes, hours, days) = match given.numbers() {
        Ok(numbers) => numbers,
        Err(faults) => return Ok(Err(faults)),
    };
    let new = NewInstance {
        name: given.name.clone(),
        api_url: given.api_url.clone(),
        gateway_url: given.gateway_url.clone(),
        auth: Some(given.auth.clone()),
        username: given.username.clone(),
        password: password.to_owned(),
        versions: given.versions.clone(),
        default_profile: Some(given.profile.clone()),
        default_appliance: Some(given.appliance.clone()),
        tracking_hours: Some(hours),
        interval_minutes: Some(minutes),
        first_days: Some(days),
        disabled: given.disabled,
    };
    match logic::create(app, who, new).await {
        Ok(instance) => Ok(Ok(instance)),
        Err(error) => wrong(error).map(Err),
    }
}

async fn changed(app: &App, who: &PageActor, id: i64, fields: &Fields) -> Result<Result<Instance, Vec<Fault>>, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let given = Given::sent(fields);
    let before = known(app, id).await?;
    let mut change = InstanceChange { name: Some(given.name.clone()), ..InstanceChange::default() };
    if !before.instance.files_only() {
        let (_, hours, days) = match given.numbers() {
            Ok(numbers) => numbers,
            Err(faults) => return Ok(Err(faults)),
        };
        change = InstanceChange {
            api_url: Some(given.api_url),
            gateway_url: Some(given.gateway_url),
            auth: Some(given.auth),
            username: Some(given.username),
            password: Some(fields.exact("password").to_owned()),
            default_profile: Some(given.profile),
            default_appliance: Some(given.appliance),
            tracking_hours: Some(hours),
            first_days: Some(days),
            disabled: Some(given.disabled),
            versions: Some(given.versions),
            ..change
        };
    }
    match logic::change(app, who, InstanceId(id), change, None).await {
        Ok(instance) => Ok(Ok(instance)),
        Err(error) => wrong(error).map(Err),
    }
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    match made(&app, &who, &given, fields.exact("password")).await? {
        Ok(instance) => {
            let said = Flash::done(format!("Saved {}. Test the connection, then fetch what it offers.", instance.name));
            Ok(flash::redirect(&format!("/instances/{}", instance.id), Some(said)))
        }
        Err(faults) => Ok(again(page(&app, &who, None, &given, faults).await?)),
    }
}

async fn create_and_test(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let given = Given::sent(&fields);
    match made(&app, &who, &given, fields.exact("password")).await? {
        Ok(instance) => {
            let test = logic::test(&app, &who, instance.id).await?;
            let text = format!("Saved {}. {}", instance.name, sentence(&test.detail));
            let said = Flash { failed: !test.works, ..Flash::done(text) };
            Ok(flash::redirect(&format!("/instances/{}", instance.id), Some(said)))
        }
        Err(faults) => Ok(again(page(&app, &who, None, &given, faults).await?)),
    }
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Error> {
    match changed(&app, &who, id, &fields).await? {
        Ok(instance) => {
            let said = Flash::done(format!("Saved {}.", instance.name));
            Ok(flash::redirect(&format!("/instances/{id}"), Some(said)))
        }
        Err(faults) => {
            let known = known(&app, id).await?;
            Ok(again(page(&app, &who, Some(&known), &Given::sent(&fields), faults).await?))
        }
    }
}

/// Save, then try; the answer stands above the form.
async fn change_and_test(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Error> {
    let outcome = changed(&app, &who, id, &fields).await?;
    if let Ok(instance) = &outcome {
        logic::test(&app, &who, instance.id).await?;
    }
    let known = known(&app, id).await?;
    match outcome {
        Ok(_) => {
            let given = Given::of(&known.instance);
            Ok(Show(page(&app, &who, Some(&known), &given, Vec::new()).await?).into_response())
        }
        Err(faults) => Ok(again(page(&app, &who, Some(&known), &Given::sent(&fields), faults).await?)),
    }
}

/// Delete an instance that never imported; one that did is said to be in use.
async fn delete(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    match logic::delete(&app, &who, InstanceId(id), None).await {
        Ok(()) => Ok(flash::redirect("/scanners/qualys", Some(Flash::done("The integration is deleted.".to_owned())))),
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            Ok(flash::redirect(&format!("/instances/{id}"), Some(said)))
        }
        Err(error) => Err(error),
    }
}

async fn fetch(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    begun(&app, &who, id, "setup").await
}

async fn import(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    begun(&app, &who, id, "everything").await
}

/// Ask for an import and go to its record; that one waits already, or that there can be none, is said on the instance's page.
pub(super) async fn begun(app: &App, who: &PageActor, id: i64, kind: &str) -> Result<Response, Error> {
    match api::instances::begin_import(app, who, InstanceId(id), kind).await {
        Ok(number) => {
            let said = Flash::done(format!("{number} has begun, or waits for its turn."));
            Ok(flash::redirect(&format!("/imports/{number}"), Some(said)))
        }
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            Ok(flash::redirect(&format!("/instances/{id}"), Some(said)))
        }
        Err(error) => Err(error),
    }
}
