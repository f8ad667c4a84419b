//! `/scanners`: the products that detect, and the tick that lets one be asked for rescans (S2.01-S2.04).

use super::frame::{Show, frame};
use super::{exposure, imports};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::lists::Action as Button;
use crate::pages::scanners::{COLUMNS, IntegrationRow, ScannerPage, ScannerRow, ScannersPage};
use crate::pages::{Chip, Columns, Fact, Section, Tone, Value};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::time::Timestamp;
use store::imports::RunRow;
use store::instances::{self, Instance, Profile};
use store::scanners::{self, Scanner};
use store::{Transaction, audit};

/// Lines of activity on the page.
const LOG_LINES: i64 = 20;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/scanners", get(index)).route("/scanners/{product}", get(show).post(change))
}

/// An instance with its newest run and its default profile in words.
struct Used {
    instance: Instance,
    run: Option<RunRow>,
    profile: String,
}

fn used(tx: &mut Transaction<'_>, product: &str, now: Timestamp) -> Result<Vec<Used>, Error> {
    let mut found = Vec::new();
    for instance in instances::list(tx)?.into_iter().filter(|instance| instance.product == product) {
        let run = imports::newest(tx, instance.id, now)?;
        let profiles = instances::profiles(tx, instance.id)?;
        let profile = instance.default_profile.as_deref().map(|word| profile_title(&profiles, word));
        found.push(Used { run, profile: profile.unwrap_or_default(), instance });
    }
    Ok(found)
}

/// The title of the profile of this key or title; the word itself where the scanner does not list it.
pub(super) fn profile_title(profiles: &[Profile], word: &str) -> String {
    let known = profiles.iter().find(|profile| profile.key == word || profile.title == word);
    known.map_or(word, |profile| &profile.title).to_owned()
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| {
        let mut found = Vec::new();
        for scanner in scanners::list(tx)? {
            let used = used(tx, &scanner.product, now)?;
            found.push((scanner, used));
        }
        Ok::<_, Error>(found)
    });
    let rows = read.await?.into_iter().map(|(scanner, used)| row(scanner, &used, now)).collect();
    let shell = frame(&app, &who, Section::Scanners, "Scanners").await?;
    let denied = exposure::reason(&who.decide(Action::RuleEdit, &Record::default()));
    let shell = shell
        .action(Button::go("What is excluded", "/exclusion").icon("filter").unless(denied))
        .action(Button::go("Appliances", "/appliances").icon("radar"));
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/scanners".to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    Ok(Show(ScannersPage { shell, columns, rows }).into_response())
}

fn active(scanner: &Scanner) -> Chip {
    if scanner.active { Chip::new(Tone::Ok, "Active") } else { Chip::new(Tone::Idle, "Inactive") }
}

/// Whether items carry the scanner as their source (S2.04): they keep it when the scanner is deactivated.
fn source(scanner: &Scanner) -> String {
    match (scanner.active, scanner.stamped, scanner.instances) {
        (false, 0, _) => "not before it is active".to_owned(),
        (true, 0, _) => "after the next import".to_owned(),
        (_, stamped, instances) if stamped < instances => format!("from {stamped} of {instances} integrations"),
        _ => "yes".to_owned(),
    }
}

fn row(scanner: Scanner, used: &[Used], now: Timestamp) -> ScannerRow {
    let joined = |words: Vec<&str>| words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
    let imported = used.iter().filter_map(|one| one.run.as_ref()).map(|run| run.started_at).max();
    ScannerRow {
        href: format!("/scanners/{}", scanner.product),
        active: active(&scanner),
        source: source(&scanner),
        integrations: joined(used.iter().map(|one| one.instance.name.as_str()).collect()),
        imported: imported.map(|at| exposure::near(at, now)),
        profile: joined(used.iter().map(|one| one.profile.as_str()).collect()),
        name: scanner.name,
    }
}

async fn show(State(app): State<App>, who: PageActor, Path(product): Path<String>) -> Result<Response, Error> {
    who.may(Action::IntegrationsView, &Record::default())?;
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| {
        let scanner = api::scanners::known(tx, &product)?;
        let log = audit::of_resource(tx, &format!("scanners/{product}"), None, LOG_LINES)?;
        let used = used(tx, &product, now)?;
        Ok::<_, Error>((scanner, used, log))
    });
    let (scanner, used, log) = read.await?;
    let shell = frame(&app, &who, Section::Scanners, scanner.name.clone()).await?.under("Scanners", "/scanners");
    let configures = exposure::reason(&who.decide(Action::IntegrationConfigure, &Record::default()));
    let imports = exposure::reason(&who.decide(Action::ImportRun, &Record::default()));
    let mut facts = vec![
        Fact::new("State", Value::Chip(active(&scanner))),
        Fact::new("Source on items", Value::text(source(&scanner))),
    ];
    let since = scanner.activated_at.filter(|_| scanner.active);
    facts.extend(since.map(|at| Fact::new("Active since", Value::When(exposure::exact(at)))));
    let page = ScannerPage {
        shell,
        to: format!("/scanners/{}", scanner.product),
        active: scanner.active,
        locked: exposure::reason(&who.decide(Action::ScannerActivate, &Record::default())),
        note: note(&scanner),
        facts,
        integrations: used.into_iter().map(|one| integration(one, imports.clone(), now)).collect(),
        add: Button::go("Add integration", "/instances/new").icon("plus").unless(configures),
        log: log.iter().map(|entry| exposure::activity(entry, now)).collect(),
    };
    Ok(Show(page).into_response())
}

fn note(scanner: &Scanner) -> String {
    let name = &scanner.name;
    match (scanner.active, scanner.stamped) {
        (false, _) => format!("While {name} is inactive its items can be worked on, but not rescanned."),
        (true, 0) => format!(
            "Items show {name} as their source, and can be rescanned, after the next import that starts from now on."
        ),
        (true, _) => format!("Items show {name} as their source and can be rescanned."),
    }
}

fn integration(used: Used, denied: Option<String>, now: Timestamp) -> IntegrationRow {
    let Used { instance, run, profile } = used;
    let unready = crate::instances::importable(&instance).err().map(|refusal| exposure::refused(&refusal));
    IntegrationRow {
        href: format!("/instances/{}", instance.id),
        address: if instance.files_only() { "files".to_owned() } else { instance.api_url },
        state: run.as_ref().map_or_else(|| Chip::new(Tone::Idle, "Never imported"), |run| imports::state(run.state)),
        last: run.as_ref().map(|run| exposure::near(run.started_at, now)),
        next: instance.next_import_at.map(|at| exposure::near(at, now)),
        profile,
        import: Button::post("Import now", format!("/instances/{}/import", instance.id))
            .icon("database-import")
            .unless(denied.or(unready)),
        name: instance.name,
    }
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(product): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let wanted = fields.one("active") == "on";
    let scanner = api::scanners::set_active(&app, &who, product, wanted).await?;
    let word = if scanner.active { "active" } else { "inactive" };
    let said = Flash::done(format!("{} is {word}.", scanner.name));
    Ok(flash::redirect(&format!("/scanners/{}", scanner.product), Some(said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_when_the_scanner_is_deactivated() {
        for (active, stamped, shown) in [
            (false, 0, "not before it is active"),
            (true, 0, "after the next import"),
            (true, 1, "from 1 of 2 integrations"),
            (false, 1, "from 1 of 2 integrations"),
            (true, 2, "yes"),
            (false, 2, "yes"),
        ] {
            let (product, name) = ("qualys".to_owned(), "Qualys".to_owned());
            let scanner = Scanner { product, name, active, activated_at: None, instances: 2, stamped };
            assert_eq!(source(&scanner), shown, "{active} {stamped}");
        }
    }
}
