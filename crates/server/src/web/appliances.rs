//! `/appliances`: which scanner appliance serves which addresses, in which order and with which option profile.

use super::exposure;
use super::frame::{Head, Show, again, faults, frame, listed, pager, sentence};
use super::scanners::profile_title;
use crate::app::App;
use crate::appliances as logic;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::appliances::{ApplianceRow, AppliancesPage, COLUMNS};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Chip, Choice, Empty, Fault, Field, Section, Tone};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use protocol::api::integrations::{ApplianceChange, NewAppliance};
use serde::Deserialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use store::appliances::{self, Appliance};
use store::instances::{self, Profile};

/// Ranges that a row of the list shows.
const RANGES_SHOWN: usize = 3;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/appliances", get(index))
        .route("/appliances/new", get(new).post(create))
        .route("/appliances/{id}", get(edit).post(change))
        .route("/appliances/{id}/delete", post(delete))
        .route("/instances/{id}/place", get(ask).post(place))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let text = "They come with imports, from the scanner's appliances and asset groups; rows of your own can be added.";
    let empty = Empty::yet("radar", "No appliances yet", text).with(Button::go("Scanners", "/scanners"));
    let head = Head { path: "/appliances", noun: "appliances", columns: &COLUMNS, sort: "order", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &appliances::LIST, head)?;
    let denied = exposure::reason(&who.decide(Action::IntegrationConfigure, &Record::default()));
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let read = app.database.try_read(move |tx| {
            let page = store::list::page::<Appliance>(tx, &appliances::LIST, None, &wanted)?;
            let mut profiles: HashMap<InstanceId, Vec<Profile>> = HashMap::new();
            for row in &page.rows {
                if let Entry::Vacant(place) = profiles.entry(row.instance_id) {
                    place.insert(instances::profiles(tx, row.instance_id)?);
                }
            }
            Ok::<_, Error>((page, profiles))
        });
        let (page, profiles) = read.await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, "/appliances", page.next_cursor.as_deref());
        let none = Vec::new();
        let of = |row: &Appliance| profiles.get(&row.instance_id).unwrap_or(&none);
        rows = page.rows.iter().map(|found| row(found, of(found), denied.clone())).collect();
    }
    for (label, q) in [("All", ""), ("Made by hand", "manual:yes"), ("Not in use", "active:no")] {
        list.tab(label, q, None);
    }
    let add = Button::show("Add appliance", "/appliances/new").icon("plus").unless(denied);
    let shell = frame(&app, &who, Section::Scanners, "Appliances").await?.under("Scanners", "/scanners").action(add);
    Ok(Show(AppliancesPage { shell, list, rows }).into_response())
}

fn status(row: &Appliance) -> Chip {
    match (row.active, row.status.as_str()) {
        (false, _) => Chip::new(Tone::Idle, "Not in use").titled("It is not chosen by address"),
        (true, "Online") => Chip::new(Tone::Ok, "Online"),
        (true, "Offline") => Chip::new(Tone::Warn, "Offline"),
        (true, "") => Chip::new(Tone::Idle, if row.key == "0" { "The scanner's own" } else { "Not listed" }),
        (true, other) => Chip::new(Tone::Idle, other),
    }
}

fn row(row: &Appliance, profiles: &[Profile], denied: Option<String>) -> ApplianceRow {
    let ranges = texts(&row.addresses);
    let more = ranges.len().saturating_sub(RANGES_SHOWN);
    let mut serves = ranges.iter().take(RANGES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        serves = format!("{serves} and {more} more");
    }
    let delete = Button::post("Delete", format!("/appliances/{}/delete", row.id));
    ApplianceRow {
        name: row.name.clone(),
        from: match (row.manual, row.group_name.as_str()) {
            (true, _) => "made by hand".to_owned(),
            (false, "") => "from the scanner's list".to_owned(),
            (false, group) => format!("asset group {group}"),
        },
        status: status(row),
        precedence: row.precedence,
        serves,
        network: row.network_id.clone(),
        condition: row.condition.clone(),
        profile: match &row.profile {
            Some(word) => profile_title(profiles, word),
            None => "the integration's".to_owned(),
        },
        instance: row.instance.clone(),
        instance_href: format!("/instances/{}", row.instance_id),
        edit: Button::show("Edit", format!("/appliances/{}", row.id)).unless(denied.clone()),
        delete: row.manual.then(|| delete.unless(denied)),
    }
}

/// Ranges as people write them.
fn texts(addresses: &str) -> Vec<String> {
    let ranges = appliances::ranges(addresses);
    ranges.iter().map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") }).collect()
}

/// What stands in the form.
#[derive(Clone, Default)]
struct Given {
    instance: String,
    key: String,
    name: String,
    addresses: String,
    network: String,
    condition: String,
    profile: String,
    precedence: String,
    active: bool,
}

impl Given {
    fn of(row: &Appliance) -> Given {
        Given {
            instance: row.instance_id.to_string(),
            key: row.key.clone(),
            name: row.name.clone(),
            addresses: texts(&row.addresses).join("\n"),
            network: row.network_id.clone(),
            condition: row.condition.clone(),
            profile: row.profile.clone().unwrap_or_default(),
            precedence: row.precedence.to_string(),
            active: row.active,
        }
    }

    fn sent(fields: &Fields) -> Given {
        let one = |name: &str| fields.one(name).to_owned();
        Given {
            instance: one("instance"),
            key: one("key"),
            name: one("name"),
            addresses: one("addresses"),
            network: one("network_id"),
            condition: one("condition"),
            profile: one("profile"),
            precedence: one("precedence"),
            active: one("active") == "on",
        }
    }

    fn precedence(&self) -> Result<Option<i64>, Vec<Fault>> {
        if self.precedence.is_empty() {
            return Ok(None);
        }
        self.precedence.parse().map(Some).map_err(|_| vec![Fault::new("precedence", "This is a whole number.")])
    }
}

async fn form(
    app: &App,
    who: &PageActor,
    row: Option<&Appliance>,
    given: &Given,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let of = row.map(|row| row.instance_id);
    let read = app.database.read(move |tx| {
        let connected = instances::list(tx)?.into_iter().filter(|one| !one.files_only()).collect::<Vec<_>>();
        let mut profiles = Vec::new();
        for one in &connected {
            if of.is_none_or(|of| of == one.id) {
                profiles.extend(instances::profiles(tx, one.id)?);
            }
        }
        Ok((connected, profiles))
    });
    let (connected, profiles) = read.await?;
    let mut fields = Vec::new();
    if row.is_none() {
        let choices = connected.iter().map(|one| Choice::new(one.id.to_string(), &one.name)).collect();
        fields.push(Field::select("instance", "Integration", &given.instance, choices));
    }
    if row.is_none_or(|row| row.manual) {
        fields.push(
            Field::line("key", "Appliance ID", &given.key)
                .required()
                .help("As the scanner numbers it; External for its own"),
        );
        fields.push(Field::line("name", "Name", &given.name).help("The ID where it is empty"));
        fields.push(
            Field::text("addresses", "Addresses it serves", &given.addresses, 4)
                .mono()
                .help("Addresses and ranges such as 10.1.0.0-10.1.0.255, separated by commas or lines"),
        );
        fields.push(Field::line("network_id", "Network", &given.network).help("The scanner's; empty without networks"));
    }
    fields.push(
        Field::line("condition", "Condition", &given.condition)
            .mono()
            .help("Serves the addresses of these assets, too: tag:dmz and platform:linux"),
    );
    let mut titles = vec![Choice::new("", "The integration's default")];
    titles.extend(profiles.iter().map(|profile| Choice::new(&profile.key, &profile.title)));
    if !given.profile.is_empty() && profiles.iter().all(|profile| profile.key != given.profile) {
        titles.push(Choice::new(&given.profile, format!("{} (not listed by the scanner)", given.profile)));
    }
    fields.push(Field::select("profile", "Option profile", &given.profile, titles));
    fields.push(
        Field::typed("number", "precedence", "Order", &given.precedence)
            .help("Lower wins where several serve an address"),
    );
    if row.is_some() {
        fields.push(Field::tick("active", "Chosen by address", given.active));
    }
    let title = row.map_or_else(|| "Add appliance".to_owned(), |row| format!("Appliance {}", row.name));
    let shell = frame(app, who, Section::Scanners, title).await?;
    Ok(DialogPage {
        shell: shell.under("Scanners", "/scanners").under("Appliances", "/appliances"),
        to: row.map_or_else(|| "/appliances/new".to_owned(), |row| format!("/appliances/{}", row.id)),
        text: match row {
            Some(row) if !row.manual => {
                let ranges = texts(&row.addresses);
                let shown = ranges.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
                match ranges.len() {
                    0 => "The scanner gives it no addresses.".to_owned(),
                    1..=20 => format!("The scanner gives it {shown}."),
                    all => format!("The scanner gives it {shown} and {} more.", all - 20),
                }
            }
            _ => String::new(),
        },
        fields: fields.into_iter().map(|field| field.faulted(&wrong)).collect(),
        faults: Faults(wrong),
        verb: "Save",
        back: "/appliances".to_owned(),
    })
}

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let given = Given { precedence: "50".to_owned(), ..Given::default() };
    Ok(Show(form(&app, &who, None, &given, Vec::new()).await?).into_response())
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let given = Given::sent(&fields);
    let wrong = match (given.precedence(), given.instance.parse()) {
        (Err(wrong), _) => wrong,
        (_, Err(_)) => vec![Fault::new("instance", "Choose an integration.")],
        (Ok(precedence), Ok(instance_id)) => {
            let new = NewAppliance {
                instance_id,
                key: given.key.clone(),
                name: given.name.clone(),
                addresses: vec![given.addresses.clone()],
                network_id: given.network.clone(),
                condition: given.condition.clone(),
                profile: Some(given.profile.clone()),
                precedence,
            };
            match logic::create(&app, &who, new).await {
                Ok(row) => return Ok(saved(&row)),
                Err(error) => faults(error, |field| field)?,
            }
        }
    };
    Ok(again(form(&app, &who, None, &given, wrong).await?))
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let row = app.database.try_read(move |tx| logic::known(tx, id)).await?;
    Ok(Show(form(&app, &who, Some(&row), &Given::of(&row), Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let row = app.database.try_read(move |tx| logic::known(tx, id)).await?;
    let given = Given::sent(&fields);
    let wrong = match given.precedence() {
        Err(wrong) => wrong,
        Ok(precedence) => {
            let own = |text: &String| row.manual.then(|| text.clone());
            let change = ApplianceChange {
                key: own(&given.key),
                name: own(&given.name),
                addresses: row.manual.then(|| vec![given.addresses.clone()]),
                network_id: own(&given.network),
                condition: Some(given.condition.clone()),
                profile: Some(given.profile.clone()),
                precedence,
                active: Some(given.active),
            };
            match logic::change(&app, &who, id, change, None).await {
                Ok(row) => return Ok(saved(&row)),
                Err(error) => faults(error, |field| field)?,
            }
        }
    };
    Ok(again(form(&app, &who, Some(&row), &given, wrong).await?))
}

fn saved(row: &Appliance) -> Response {
    flash::redirect("/appliances", Some(Flash::done(format!("Saved {}.", row.name))))
}

async fn delete(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let said = match logic::delete(&app, &who, id, None).await {
        Ok(row) => Flash::done(format!("Deleted {}.", row.name)),
        Err(Error::Refused(refusal)) => Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) },
        Err(error) => return Err(error),
    };
    Ok(flash::redirect("/appliances", Some(said)))
}

/// What address is asked for.
#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default)]
    address: String,
    #[serde(default)]
    network: String,
}

async fn question(
    app: &App,
    who: &PageActor,
    id: i64,
    asked: &Asked,
    text: String,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::IntegrationConfigure, &Record::default())?;
    let instance = app.database.try_read(move |tx| crate::instances::known(tx, InstanceId(id))).await?;
    let shell = frame(app, who, Section::Scanners, "Which appliance serves an address?").await?;
    let here = format!("/instances/{id}");
    Ok(DialogPage {
        shell: shell.under("Scanners", "/scanners").under(&instance.name, &here),
        to: format!("/instances/{id}/place"),
        text,
        fields: vec![
            Field::line("address", "Address", &asked.address).required().mono().focus().faulted(&wrong),
            Field::line("network", "Network", &asked.network).help("The scanner's; empty without networks"),
        ],
        faults: Faults(wrong),
        verb: "Look",
        back: address("/appliances", &[("q", &format!("instance.id:{id}"))]),
    })
}

async fn ask(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(asked): Query<Asked>,
) -> Result<Response, Error> {
    Ok(Show(question(&app, &who, id, &asked, String::new(), Vec::new()).await?).into_response())
}

async fn place(State(app): State<App>, who: PageActor, Path(id): Path<i64>, fields: Fields) -> Result<Response, Error> {
    let asked = Asked { address: fields.one("address").to_owned(), network: fields.one("network").to_owned() };
    match logic::place(&app, &who, InstanceId(id), &asked.address, &asked.network).await {
        Ok(found) => {
            let text = sentence(&found.sentence);
            Ok(Show(question(&app, &who, id, &asked, text, Vec::new()).await?).into_response())
        }
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(question(&app, &who, id, &asked, String::new(), wrong).await?))
        }
    }
}
