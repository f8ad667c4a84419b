//! `/assets/7/merge`: joining an asset into another one; `/assets/7/hosts/3/move`: a host that was matched with the wrong asset;
//! taking either back; `/matching`: how hosts are matched.

use super::exposure;
use super::frame::{Show, again, faults, frame, sentence};
use crate::api::assets::known;
use crate::app::App;
use crate::engine::identity::{self as engine, Done, How};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Fault, Field, Section, count};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::id::{AssetId, AssetMergeId, SourceHostId};
use domain::identity::Rule;
use serde::Deserialize;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/matching", get(rules).post(keep_rules))
        .route("/assets/{id}/merge", get(ask).post(join))
        .route("/assets/{id}/hosts/{host}/move", get(ask_host).post(move_host))
        .route("/assets/{id}/merges/{merge}/undo", post(undo))
}

/// Why the caller may not join assets.
pub(super) fn denied(who: &PageActor) -> Option<String> {
    exposure::reason(&who.decide(Action::AssetMerge, &Record::default()))
}

#[derive(Clone, Debug, Default, Deserialize)]
struct SeenAt {
    seen: Option<i64>,
}

/// What a movement does, in sentences.
fn told(done: &Done) -> String {
    let preview = &done.preview;
    let hosts = i64::try_from(preview.hosts.len()).unwrap_or(i64::MAX);
    let mut text = format!(
        "{} hosts with {} detections go. {} items go along, {} join an item that is there and close as moved, of {} a part stays.",
        count(hosts),
        count(preview.detections),
        count(preview.moved),
        count(preview.joined),
        count(preview.parted)
    );
    if !preview.tags.is_empty() {
        text = format!(
            "{text} The asset gets the tags {}: accounts that are kept to them will see it.",
            preview.tags.join(", ")
        );
    }
    format!("{text} It can be taken back for 30 days.")
}

/// The key of an asset as people type it.
fn key(text: &str) -> Option<i64> {
    text.trim().trim_start_matches("/assets/").parse().ok()
}

/// What is asked for: a whole asset, or one host of it.
#[derive(Clone, Copy)]
struct What {
    asset: i64,
    host: Option<i64>,
}

impl What {
    fn path(self) -> String {
        match self.host {
            None => format!("/assets/{}/merge", self.asset),
            Some(host) => format!("/assets/{}/hosts/{host}/move", self.asset),
        }
    }

    async fn go(self, app: &App, who: &PageActor, into: Option<i64>, how: How) -> Result<Done, Error> {
        let from = AssetId(self.asset);
        match (self.host, into) {
            (Some(host), into) => engine::move_host(app, who, from, SourceHostId(host), into.map(AssetId), how).await,
            (None, Some(into)) => engine::join(app, who, from, AssetId(into), how).await,
            (None, None) => {
                Err(Error::field("into", "required", "give the key of the asset: the number in its address"))
            }
        }
    }
}

/// The dialog: first which asset, then what it does.
async fn dialog(
    app: &App,
    who: &PageActor,
    what: What,
    into: &str,
    counted: Option<&Done>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::AssetMerge, &Record::default())?;
    let asker = who.clone();
    let read = app.database.try_read(move |tx| known(tx, &asker, Action::AssetsView, AssetId(what.asset)));
    let (asset, _) = read.await?;
    let title = match what.host {
        None => format!("Join {} into another asset", asset.name),
        Some(_) => format!("Give a host of {} to another asset", asset.name),
    };
    let help = match what.host {
        None => "The number in the address of the asset that is left.",
        Some(_) => "The number in the address of that asset. Empty: a new one.",
    };
    let mut fields = vec![
        Field::line("into", "Key of the other asset", into).focus().autocomplete("off").help(help).faulted(&wrong),
    ];
    if let Some(done) = counted {
        fields = vec![
            Field::line("into", "Key of the other asset", into).readonly(true),
            Field::line("digest", "What was counted", &done.preview.digest).mono().readonly(true),
        ];
    }
    let shell = frame(app, who, Section::Assets, title).await?;
    Ok(DialogPage {
        shell: shell.under("Assets", "/assets").under(asset.name, format!("/assets/{}", what.asset)),
        to: what.path(),
        text: counted
            .map(told)
            .unwrap_or_else(|| "First it is counted what that does; nothing changes yet.".to_owned()),
        fields,
        faults: Faults(wrong),
        verb: if counted.is_some() { "Do it" } else { "Count" },
        back: format!("/assets/{}", what.asset),
    })
}

/// Count, or do what was counted.
async fn posted(app: &App, who: &PageActor, what: What, fields: &Fields) -> Result<Response, Error> {
    let (into, digest) = (fields.one("into").to_owned(), fields.one("digest").to_owned());
    let given = key(&into);
    if !into.trim().is_empty() && given.is_none() {
        let wrong = vec![Fault::new("into", "This is no key of an asset: give the number in its address.")];
        return Ok(again(dialog(app, who, what, &into, None, wrong).await?));
    }
    let how = How { dry_run: digest.is_empty(), seen: Some(digest).filter(|digest| !digest.is_empty()) };
    match what.go(app, who, given, how).await {
        Ok(done) if done.merge.is_none() => Ok(again(dialog(app, who, what, &into, Some(&done), Vec::new()).await?)),
        Ok(done) => {
            let to = format!("/assets/{}", done.into.map_or(what.asset, |id| id.0));
            Ok(flash::redirect(&to, Some(Flash::done("The hosts belong to this asset now."))))
        }
        Err(error) => {
            let wrong = match error {
                Error::Refused(refusal) => vec![Fault::new("into", sentence(&refusal.sentence))],
                Error::NotFound(_) => vec![Fault::new("into", "There is no such asset.")],
                error => faults(error, |field| field)?,
            };
            Ok(again(dialog(app, who, what, &into, None, wrong).await?))
        }
    }
}

async fn ask(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let what = What { asset: id, host: None };
    Ok(Show(dialog(&app, &who, what, "", None, Vec::new()).await?).into_response())
}

async fn join(State(app): State<App>, who: PageActor, Path(id): Path<i64>, fields: Fields) -> Result<Response, Error> {
    posted(&app, &who, What { asset: id, host: None }, &fields).await
}

async fn ask_host(
    State(app): State<App>,
    who: PageActor,
    Path((id, host)): Path<(i64, i64)>,
) -> Result<Response, Error> {
    let what = What { asset: id, host: Some(host) };
    Ok(Show(dialog(&app, &who, what, "", None, Vec::new()).await?).into_response())
}

async fn move_host(
    State(app): State<App>,
    who: PageActor,
    Path((id, host)): Path<(i64, i64)>,
    fields: Fields,
) -> Result<Response, Error> {
    posted(&app, &who, What { asset: id, host: Some(host) }, &fields).await
}

async fn undo(State(app): State<App>, who: PageActor, Path((id, merge)): Path<(i64, i64)>) -> Result<Response, Error> {
    let row = engine::undo(&app, &who, AssetId(id), AssetMergeId(merge)).await?;
    let said = Flash::done(format!("The hosts belong to {} again.", row.from_name));
    Ok(flash::redirect(&format!("/assets/{}", row.from_id), Some(said)))
}

/// The way to the rules.
pub(super) fn matching(who: &PageActor) -> Button {
    Button::show("How hosts are matched", "/matching").icon("settings").unless(denied(who))
}

async fn rules_dialog(
    app: &App,
    who: &PageActor,
    given: Option<String>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::AssetMerge, &Record::default())?;
    let kept = app.database.read(store::identity::rules).await?;
    let words = kept.value.iter().map(|rule| rule.as_str()).collect::<Vec<_>>().join(", ");
    let known: Vec<String> = Rule::ALL.iter().map(|rule| format!("{} ({})", rule.as_str(), rule.title())).collect();
    let shell = frame(app, who, Section::Assets, "How hosts are matched").await?;
    Ok(DialogPage {
        shell: shell.under("Assets", "/assets"),
        to: address("/matching", &[("seen", &kept.version.to_string())]),
        text: "A host that a scanner reports for the first time belongs to the asset that the first of these rules finds, where it \
               is exactly one. Hosts that are known stay where they are."
            .to_owned(),
        fields: vec![
            Field::line("rules", "Rules, in order", given.unwrap_or(words))
                .required()
                .focus()
                .mono()
                .help(format!("Separated by commas; agent_uuid is always the first. There are {}.", known.join(", ")))
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Save",
        back: "/assets".to_owned(),
    })
}

async fn rules(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    Ok(Show(rules_dialog(&app, &who, None, Vec::new()).await?).into_response())
}

async fn keep_rules(
    State(app): State<App>,
    who: PageActor,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    match engine::set_rules(&app, &who, &fields.listed("rules"), at.seen).await {
        Ok(_) => Ok(flash::redirect("/assets", Some(Flash::done("Saved how hosts are matched.")))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(rules_dialog(&app, &who, Some(fields.one("rules").to_owned()), wrong).await?))
        }
    }
}
