//! `POST /jobs/new`: a draft from what was chosen, then the first step of the wizard (S1.02, S1.05). Asks for the
//! platform where there are several (R8).

use super::choice::Choice;
use super::frame::{again, frame};
use super::marks;
use crate::app::App;
use crate::engine::jobs::{self, Patch, Selection, Wanted};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::pages::Section;
use crate::pages::lists::Action as Button;
use crate::pages::platform::{PlatformChoice, PlatformPage};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::post;
use domain::asset::Platform;
use domain::id::AssetId;
use std::collections::BTreeSet;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/jobs/new", post(create))
}

async fn create(State(app): State<App>, who: PageActor, Query(chosen): Query<Choice>) -> Result<Response, Error> {
    make(&app, &who, &chosen).await
}

/// Make the draft and go on to the wizard.
///
/// # Errors
/// A missing permission, an unknown QID; whatever else keeps it from being made is said on the page one came from.
pub(super) async fn make(app: &App, who: &PageActor, chosen: &Choice) -> Result<Response, Error> {
    let assets: Vec<AssetId> = chosen.assets().into_iter().map(AssetId).collect();
    let selection = |qid| Selection { qid, assets: (!assets.is_empty()).then(|| assets.clone()) };
    let wanted = Wanted {
        kind: chosen.kind(),
        platform: (!chosen.platform.is_empty()).then(|| Platform::parse(&chosen.platform)),
        selections: chosen.qids().into_iter().map(selection).collect(),
        title: String::new(),
        description: String::new(),
    };
    match jobs::create(app, who, wanted).await {
        Ok(job) => {
            let number = job.row.name();
            narrow(app, who, &job, chosen).await?;
            Ok(flash::redirect(&format!("/jobs/{number}/edit/basic"), None))
        }
        Err(Error::Invalid(fields)) if fields.iter().any(|field| field.code == "platform_needed") => {
            Ok(again(platforms(app, who, chosen).await?))
        }
        Err(Error::Invalid(fields)) => {
            let said = fields.first().map(|field| field.message.clone()).unwrap_or_default();
            Ok(refused(chosen, &said))
        }
        Err(Error::Refused(refusal)) => Ok(refused(chosen, &refusal.sentence)),
        Err(error) => Err(error),
    }
}

fn refused(chosen: &Choice, sentence: &str) -> Response {
    let flash = Flash { failed: true, ..Flash::done(super::frame::sentence(sentence)) };
    flash::redirect(&chosen.eliminations(), Some(flash))
}

/// Where entries were chosen by name, the draft has these instead of the best ones, as far as they fit.
async fn narrow(app: &App, who: &PageActor, job: &jobs::Job, chosen: &Choice) -> Result<(), Error> {
    let entries: BTreeSet<String> = chosen.entries().into_iter().map(str::to_owned).collect();
    if entries.is_empty() || chosen.kind() == domain::job::Kind::Rollback {
        return Ok(());
    }
    let keys: Vec<i64> = job.targets.iter().map(|t| t.vulnerability.0).collect::<BTreeSet<_>>().into_iter().collect();
    let platform = job.row.platform;
    let offered = app.database.try_read(move |tx| Ok::<_, Error>(store::catalogue::eliminations(tx, &keys)?)).await?;
    let fits = |word: &str| word == "any" || Platform::parse(word) == platform;
    let named: BTreeSet<_> = offered
        .iter()
        .filter(|e| entries.contains(&e.entry) && fits(&e.platform))
        .map(|e| (e.vulnerability_id, e.entry_key))
        .collect();
    // A vulnerability that none of the named entries covers keeps the best one.
    let covered: BTreeSet<_> = named.iter().map(|(vulnerability, _)| *vulnerability).collect();
    let mut actions = named;
    actions.extend(job.actions.iter().copied().filter(|(vulnerability, _)| !covered.contains(vulnerability)));
    let actions: Vec<_> = actions.into_iter().collect();
    if actions != job.actions {
        let patch = Patch { actions: Some(actions), ..Patch::default() };
        jobs::edit(app, who, job.row.number, job.row.version, patch).await?;
    }
    Ok(())
}

async fn platforms(app: &App, who: &PageActor, chosen: &Choice) -> Result<PlatformPage, Error> {
    let (asker, qids) = (who.caller.clone(), chosen.qids());
    let found = app.database.try_read(move |tx| crate::views::jobs::eliminations(tx, &asker, &qids)).await?;
    let choice = |word: &str| {
        let able = found.assets.iter().filter(|asset| asset.selectable && asset.platform == word);
        let assets: BTreeSet<i64> = able.map(|asset| asset.id).collect();
        let (name, icon) = marks::platform(word);
        let to = chosen.clone().for_platform(word).address();
        let label = format!("Create a {name} job");
        (!assets.is_empty()).then(|| PlatformChoice {
            icon,
            name: name.to_owned(),
            note: if assets.len() == 1 { "1 asset".to_owned() } else { format!("{} assets", assets.len()) },
            action: Button::post(label, to).primary(),
        })
    };
    let shell = frame(app, who, Section::Jobs, "Create: Mitigation Job").await?.under("Eliminations", "/eliminations");
    Ok(PlatformPage {
        shell,
        about: format!("QID {}", chosen.qid.replace(',', ", ")),
        choices: ["linux", "windows"].into_iter().filter_map(choice).collect(),
        back: chosen.eliminations(),
    })
}
