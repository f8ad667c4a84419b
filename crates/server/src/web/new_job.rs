//! `POST /jobs/new`: a draft from what was chosen, then the first step of the wizard (S1.02, S1.05). Asks for the
//! platform where there are several, and makes a draft for each if that is wanted (R8).

use super::choice::Choice;
use super::frame::{Show, again, frame};
use super::marks;
use crate::app::App;
use crate::engine::jobs::{self, Selection, Wanted};
use crate::engine::selection::{self, Free, Plan};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::pages::Section;
use crate::pages::lists::Action as Button;
use crate::pages::platform::{PlatformChoice, PlatformPage};
use axum::Router;
use axum::extract::{Query as Address, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::asset::Platform;
use domain::filter::Context;
use domain::id::AssetId;
use store::list::{self, Query};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/jobs/new", get(ask).post(create))
}

/// Create job: a free-standing one, of which the platform is asked first (R8).
async fn ask(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::JobCreate, &Record::owned_by(who.user))?;
    let (scope, now) = (who.scope.clone(), app.clock.now());
    let read = app.database.try_read(move |tx| {
        let mut counts = Vec::new();
        for word in ["linux", "windows"] {
            let text = format!("platform:{word} and agent:true");
            let filter = domain::filter::parse(&text, &store::assets::FIELDS).map_err(Error::internal)?;
            let query = Query::new(filter, Context::at(now));
            counts.push((
                word,
                list::count(tx, &store::assets::LIST, store::assets::visible(&scope), &query, COUNT_MAX)?,
            ));
        }
        Ok::<_, Error>(counts)
    });
    let choices = read.await?.into_iter().map(|(word, count)| {
        let (name, icon) = marks::platform(word);
        PlatformChoice {
            icon,
            name: name.to_owned(),
            note: if count == 1 { "1 asset with an agent".to_owned() } else { format!("{count} assets with an agent") },
            action: Button::post(format!("Create a {name} job"), Choice::default().for_platform(word).address()),
        }
    });
    let shell = frame(&app, &who, Section::Jobs, "Create: Mitigation Job").await?.under("Mitigation jobs", "/jobs");
    Ok(Show(PlatformPage {
        shell,
        about: "Assets and actions are chosen in the next steps.".to_owned(),
        text: "A mitigation job has one platform. To start from vulnerabilities instead, with assets and actions filled in, \
               choose them under Vulnerabilities."
            .to_owned(),
        choices: choices.collect(),
        others: vec![Button::go("Vulnerabilities", "/vulnerabilities?q=is%3Afound+and+is%3Amitigable")],
        back: "/jobs".to_owned(),
    })
    .into_response())
}

async fn create(State(app): State<App>, who: PageActor, Address(chosen): Address<Choice>) -> Result<Response, Error> {
    make(&app, &who, &chosen).await
}

/// In the place of a platform: a draft for each, going on with the one named behind it.
const EACH: &str = "each:";
/// Assets of a platform counted at most.
const COUNT_MAX: i64 = 10_000;

/// Make the draft and go on to the wizard.
///
/// # Errors
/// A missing permission, an unknown QID; whatever else keeps it from being made is said on the page one came from.
pub(super) async fn make(app: &App, who: &PageActor, chosen: &Choice) -> Result<Response, Error> {
    if chosen.qids().is_empty() {
        return free(app, who, chosen).await;
    }
    let made: Result<Drafts, Error> = match chosen.platform.strip_prefix(EACH) {
        Some(first) => jobs::create_each(app, who, wanted(chosen, first)).await,
        None => jobs::create(app, who, wanted(chosen, &chosen.platform)).await.map(|job| (job, Vec::new())),
    };
    match made {
        Ok((first, others)) => {
            let other = |job: &jobs::Job| {
                let (name, _) = marks::platform(job.row.platform.as_str());
                let number = job.row.name();
                Flash::done(format!("{number} for {name} is kept as a draft."))
                    .link("Open", format!("/jobs/{number}/edit/basic"))
            };
            let said = with_rest(others.last().map(other), chosen.left_out());
            Ok(flash::redirect(&format!("/jobs/{}/edit/basic", first.row.name()), said))
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

/// What is said of the drafts, and of what was chosen and is not in them.
fn with_rest(said: Option<Flash>, left_out: Option<String>) -> Option<Flash> {
    match (said, left_out) {
        (said, None) => said,
        (None, Some(rest)) => Some(Flash { failed: true, ..Flash::done(rest) }),
        (Some(said), Some(rest)) => Some(Flash { text: format!("{rest} {}", said.text), failed: true, ..said }),
    }
}

/// A free-standing draft.
async fn free(app: &App, who: &PageActor, chosen: &Choice) -> Result<Response, Error> {
    let platform = Platform::parse(&chosen.platform);
    let free = Free { platform, plan: Plan::default(), title: String::new(), description: String::new() };
    match selection::create(app, who, free).await {
        Ok(job) => Ok(flash::redirect(&format!("/jobs/{}/edit/basic", job.row.name()), None)),
        Err(Error::Refused(refusal)) => {
            let flash = Flash { failed: true, ..Flash::done(super::frame::sentence(&refusal.sentence)) };
            Ok(flash::redirect("/jobs/new", Some(flash)))
        }
        Err(error) => Err(error),
    }
}

/// The draft that one goes on with, and those that wait.
type Drafts = (jobs::Job, Vec<jobs::Job>);

/// What the engine is asked for, on the platform of this word; empty = the only one there is.
fn wanted(chosen: &Choice, platform: &str) -> Wanted {
    let assets: Option<Vec<AssetId>> = chosen.only().map(|only| only.into_iter().map(AssetId).collect());
    let selection = |qid| Selection { qid, assets: assets.clone() };
    Wanted {
        kind: chosen.kind(),
        platform: (!platform.is_empty()).then(|| Platform::parse(platform)),
        selections: chosen.qids().into_iter().map(selection).collect(),
        entries: chosen.entries().into_iter().map(str::to_owned).collect(),
        title: String::new(),
        description: String::new(),
    }
}

fn refused(chosen: &Choice, sentence: &str) -> Response {
    let flash = Flash { failed: true, ..Flash::done(super::frame::sentence(sentence)) };
    flash::redirect(&chosen.eliminations(), Some(flash))
}

/// The platforms on which something can be done, each with its number of assets.
async fn able(app: &App, who: &PageActor, chosen: &Choice) -> Result<Vec<(&'static str, usize)>, Error> {
    let found = jobs::platforms_of(app, who, wanted(chosen, "")).await?;
    Ok(found.into_iter().rev().map(|(on, assets)| (on.as_str(), assets)).collect())
}

async fn platforms(app: &App, who: &PageActor, chosen: &Choice) -> Result<PlatformPage, Error> {
    let able = able(app, who, chosen).await?;
    let choice = |(word, assets): &(&'static str, usize)| {
        let (name, icon) = marks::platform(word);
        let to = chosen.clone().for_platform(&format!("{EACH}{word}")).address();
        PlatformChoice {
            icon,
            name: name.to_owned(),
            note: if *assets == 1 { "1 asset".to_owned() } else { format!("{assets} assets") },
            action: Button::post(format!("Create a {name} job"), to),
        }
    };
    let only = |(word, _): &(&'static str, usize)| {
        let (name, _) = marks::platform(word);
        Button::post(format!("Only {name}"), chosen.clone().for_platform(word).address())
    };
    let shell = frame(app, who, Section::Jobs, "Create: Mitigation Job").await?.under("Eliminations", "/eliminations");
    Ok(PlatformPage {
        shell,
        about: format!("QID {}", chosen.qid.replace(',', ", ")),
        text: "A mitigation job has one platform, and what was chosen exists on several. Choose the one to go on with; the \
               other is kept as a second draft, and each draft names the other."
            .to_owned(),
        choices: able.iter().map(choice).collect(),
        others: able.iter().map(only).collect(),
        back: chosen.eliminations(),
    })
}
