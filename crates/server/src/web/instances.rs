//! `/instances`: the set-up of a subscription of a scanner, its connection, and imports begun now.

use super::frame::{Show, again, faults, frame, sentence};
use super::{exposure, imports, rescan_policy, scanners};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::instances as logic;
use crate::pages::forms::Faults;
use crate::pages::lists::Action as Button;
use crate::pages::scanners::IntegrationPage;
use crate::pages::{Choice, Fact, Fault, Field, Section, Value};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::rescan::TRACKING_HOURS;
use domain::time::Timestamp;
use protocol::api::integrations::{InstanceChange, NewInstance};
use store::imports::RunRow;
use store::instances::{self, Appliance, Instance, Profile};

/// The interval of scheduled imports that the form proposes.
const INTERVAL_MINUTES: &str = "240";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/instances/new", get(new))
        .route("/instances", post(create))
        .route("/instances/test", post(create_and_test))
        .route("/instances/{id}", get(show).post(change))
        .route("/instances/{id}/test", post(change_and_test))
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
}

impl Given {
    fn blank() -> Given {
        Given {
            auth: "basic".to_owned(),
            interval: INTERVAL_MINUTES.to_owned(),
            tracking: TRACKING_HOURS.to_string(),
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
            interval: instance.interval_minutes.unwrap_or(0).to_string(),
            tracking: instance.tracking_hours.to_string(),
            profile: instance.default_profile.clone().unwrap_or_default(),
            appliance: instance.default_appliance.clone().unwrap_or_default(),
        }
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
        }
    }

    /// The two numbers: minutes between imports, hours of tracking.
    fn numbers(&self) -> Result<(i64, i64), Vec<Fault>> {
        let number = |name: &str, text: &str| {
            let text = if text.is_empty() { "0" } else { text };
            text.parse::<i64>().map_err(|_| Fault::new(name, "This is a whole number."))
        };
        match (number("interval_minutes", &self.interval), number("tracking_hours", &self.tracking)) {
            (Ok(minutes), Ok(hours)) => Ok((minutes, hours)),
            (minutes, hours) => Err(minutes.err().into_iter().chain(hours.err()).collect()),
        }
    }
}

/// What is known of an instance beside its settings.
struct Known {
    instance: Instance,
    profiles: Vec<Profile>,
    appliances: Vec<Appliance>,
    run: Option<RunRow>,
}

async fn known(app: &App, id: i64) -> Result<Known, Error> {
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| {
        let instance = logic::known(tx, InstanceId(id))?;
        Ok::<_, Error>(Known {
            profiles: instances::profiles(tx, instance.id)?,
            appliances: instances::appliances(tx, instance.id)?,
            run: imports::newest(tx, instance.id, now)?,
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
    let places = appliances.iter().map(|appliance| (appliance.key.as_str(), appliance.name.as_str()));
    let rescans = vec![
        listed("default_profile", "Default option profile", &given.profile, "None", &choices.collect::<Vec<_>>())
            .help("What a rescan uses unless another is named"),
        listed(
            "default_appliance",
            "Default appliance",
            &given.appliance,
            "The scanner's own",
            &places.collect::<Vec<_>>(),
        )
        .help("For addresses that no appliance serves by itself"),
        Field::typed("number", "tracking_hours", "Hours a rescan is tracked", &given.tracking),
    ];
    vec![
        ("Connection", "", done(connection)),
        ("Account", "The password is kept encrypted, sent to this address only, and never shown again.", done(account)),
        ("Rescans", "Option profiles and appliances are there to choose once they have been fetched.", done(rescans)),
        (
            "Imports",
            "",
            done(vec![
                Field::typed("number", "interval_minutes", "Minutes between imports", &given.interval)
                    .help("15 minutes to 30 days; 0 imports only when somebody asks"),
            ]),
        ),
    ]
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
    tested: Option<(bool, String)>,
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
        let files = known.instance.files_only().then(|| "It is filled from files.".to_owned());
        let to = format!("/instances/{}/import", known.instance.id);
        let runs = crate::pages::lists::address("/imports", &[("q", &format!("instance.id:{}", known.instance.id))]);
        let import = Button::post("Import now", to).icon("database-import").unless(files.or(imports.clone()));
        let rescans = rescan_policy::change(who, known.instance.id);
        vec![import, rescans, Button::go("Its imports", runs).icon("history")]
    });
    Ok(IntegrationPage {
        shell,
        to: at("").unwrap_or_else(|| "/instances".to_owned()),
        groups: groups(given, known, &wrong, configures.is_some()),
        faults: Faults(wrong),
        tested,
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
        let appliances = known.appliances.iter().map(|appliance| appliance.name.as_str()).collect();
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

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    Ok(Show(page(&app, &who, None, &Given::blank(), Vec::new(), None).await?).into_response())
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let known = known(&app, id).await?;
    Ok(Show(page(&app, &who, Some(&known), &Given::of(&known.instance), Vec::new(), None).await?).into_response())
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
    let (minutes, hours) = match given.numbers() {
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
        versions: std::collections::BTreeMap::new(),
        default_profile: Some(given.profile.clone()),
        default_appliance: Some(given.appliance.clone()),
        tracking_hours: Some(hours),
        interval_minutes: Some(minutes),
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
        let (minutes, hours) = match given.numbers() {
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
            interval_minutes: Some(minutes),
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
        Err(faults) => Ok(again(page(&app, &who, None, &given, faults, None).await?)),
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
        Err(faults) => Ok(again(page(&app, &who, None, &given, faults, None).await?)),
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
            Ok(again(page(&app, &who, Some(&known), &Given::sent(&fields), faults, None).await?))
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
    let known = known(&app, id).await?;
    match outcome {
        Ok(instance) => {
            let test = logic::test(&app, &who, instance.id).await?;
            let tested = Some((test.works, sentence(&test.detail)));
            let given = Given::of(&known.instance);
            Ok(Show(page(&app, &who, Some(&known), &given, Vec::new(), tested).await?).into_response())
        }
        Err(faults) => Ok(again(page(&app, &who, Some(&known), &Given::sent(&fields), faults, None).await?)),
    }
}

async fn fetch(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    begun(&app, &who, id, "setup").await
}

async fn import(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    begun(&app, &who, id, "everything").await
}

/// Begin an import and go to its record; one that runs already, or cannot begin, is said on the instance's page.
async fn begun(app: &App, who: &PageActor, id: i64, kind: &str) -> Result<Response, Error> {
    match api::instances::begin_import(app, who, InstanceId(id), kind).await {
        Ok(number) => {
            let said = Flash::done(format!("{number} has begun."));
            Ok(flash::redirect(&format!("/imports/{number}"), Some(said)))
        }
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            Ok(flash::redirect(&format!("/instances/{id}"), Some(said)))
        }
        Err(error) => Err(error),
    }
}
