//! `POST /jobs/new`: a draft from what was chosen, then the first step of the wizard (S1.02, S1.05). Asks for the
//! platform where there are several, and makes a draft for each if that is wanted (R8).

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

/// In the place of a platform: a draft for each.
const EACH: &str = "each";

/// Make the draft and go on to the wizard.
///
/// # Errors
/// A missing permission, an unknown QID; whatever else keeps it from being made is said on the page one came from.
pub(super) async fn make(app: &App, who: &PageActor, chosen: &Choice) -> Result<Response, Error> {
    let made = if chosen.platform == EACH { drafts(app, who, chosen).await } else { one(app, who, chosen).await };
    match made {
        Ok((first, others)) => {
            let other = |job: &jobs::Job| {
                let (name, _) = marks::platform(job.row.platform.as_str());
                let number = job.row.name();
                Flash::done(format!("{number} for {name} is kept as a draft."))
                    .link("Open", format!("/jobs/{number}/edit/basic"))
            };
            Ok(flash::redirect(&format!("/jobs/{}/edit/basic", first.row.name()), others.last().map(other)))
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

/// The draft that one goes on with, and those that wait.
type Drafts = (jobs::Job, Vec<jobs::Job>);

async fn one(app: &App, who: &PageActor, chosen: &Choice) -> Result<Drafts, Error> {
    let assets: Vec<AssetId> = chosen.assets().into_iter().map(AssetId).collect();
    let selection = |qid| Selection { qid, assets: (!assets.is_empty()).then(|| assets.clone()) };
    let wanted = Wanted {
        kind: chosen.kind(),
        platform: (!chosen.platform.is_empty()).then(|| Platform::parse(&chosen.platform)),
        selections: chosen.qids().into_iter().map(selection).collect(),
        title: String::new(),
        description: String::new(),
    };
    let job = jobs::create(app, who, wanted).await?;
    narrow(app, who, &job, chosen).await?;
    Ok((job, Vec::new()))
}

async fn drafts(app: &App, who: &PageActor, chosen: &Choice) -> Result<Drafts, Error> {
    let mut words = able(app, who, chosen).await?.into_iter().map(|(word, _)| word);
    let first = chosen.clone().for_platform(words.next().unwrap_or_default());
    let (first, mut others) = one(app, who, &first).await?;
    for word in words {
        others.push(one(app, who, &chosen.clone().for_platform(word)).await?.0);
    }
    Ok((first, others))
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

/// The platforms on which something can be done, each with its number of assets.
async fn able(app: &App, who: &PageActor, chosen: &Choice) -> Result<Vec<(&'static str, usize)>, Error> {
    let (asker, qids) = (who.caller.clone(), chosen.qids());
    let found = app.database.try_read(move |tx| crate::views::jobs::eliminations(tx, &asker, &qids)).await?;
    let wanted = chosen.assets();
    let assets = |word: &'static str| {
        let able = found.assets.iter().filter(|asset| asset.selectable && asset.platform == word);
        let able = able.filter(|asset| wanted.is_empty() || wanted.contains(&asset.id));
        (word, able.map(|asset| asset.id).collect::<BTreeSet<i64>>().len())
    };
    Ok(["linux", "windows"].map(assets).into_iter().filter(|(_, assets)| *assets > 0).collect())
}

async fn platforms(app: &App, who: &PageActor, chosen: &Choice) -> Result<PlatformPage, Error> {
    let choice = |(word, assets)| {
        let (name, icon) = marks::platform(word);
        let to = chosen.clone().for_platform(word).address();
        PlatformChoice {
            icon,
            name: name.to_owned(),
            note: if assets == 1 { "1 asset".to_owned() } else { format!("{assets} assets") },
            action: Button::post(format!("Create a {name} job"), to),
        }
    };
    let choices = able(app, who, chosen).await?.into_iter().map(choice).collect();
    let shell = frame(app, who, Section::Jobs, "Create: Mitigation Job").await?.under("Eliminations", "/eliminations");
    Ok(PlatformPage {
        shell,
        about: format!("QID {}", chosen.qid.replace(',', ", ")),
        choices,
        each: Button::post("Create a job for each", chosen.clone().for_platform(EACH).address()).primary(),
        back: chosen.eliminations(),
    })
}
