//! `/mitigations/{entry}`: one catalogue entry in force: what it does, what it covers, exactly what an agent will do.

use super::choice::Choice;
use super::eliminations::cannot_mitigate;
use super::frame::{Show, frame};
use super::marks;
use crate::app::App;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::pages::Section;
use crate::pages::chips::When;
use crate::pages::chips::{Chip, Tone};
use crate::pages::eliminations::{CoverRow, MitigationPage};
use crate::pages::lists::Action as Button;
use crate::pages::records::{Fact, Value};
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use catalogue::schema::Entry;
use domain::access::{Action, Record};
use protocol::api::catalogue::{EntryDetails, Signature};
use serde::Deserialize;
use store::catalogue::EntryRow;
use store::overview::{self, Possible};

/// What a risky class means for who starts a job with it (design, section 10).
pub(super) const APPROVAL: &str =
    "agents do entries of high risk, or without a way back at once, only when a second person has signed the plan";

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/mitigations/{entry}", get(show))
}

/// In which way it is opened.
#[derive(Debug, Deserialize)]
struct View {
    /// `details` from within a job, where nothing new is to be started.
    #[serde(default)]
    view: String,
}

async fn show(
    State(app): State<App>,
    who: PageActor,
    Path(entry): Path<String>,
    Query(chosen): Query<Choice>,
    Query(View { view }): Query<View>,
) -> Result<Response, Error> {
    who.may(Action::CatalogueView, &Record::default())?;
    let (actor, name, now) = (who.actor.clone(), entry.clone(), app.clock.now());
    let (only, on) = (chosen.only(), chosen.only());
    let look = app.database.try_read(move |tx| {
        let told = views::catalogue::entry(tx, &name, now)?;
        let possible = overview::possible_on(tx, &actor, None, on.as_deref())?;
        Ok::<_, Error>((told, possible))
    });
    let (told, possible) = look.await?;
    let (row, read) = (&told.row, &told.entry);
    let own: Vec<Possible> = possible.into_iter().filter(|possible| possible.entry == entry).collect();
    let shell =
        frame(&app, &who, Section::Eliminations, row.title.clone()).await?.under("Eliminations", "/eliminations");
    let qids: Vec<i64> = match chosen.qids() {
        chosen if chosen.is_empty() => own.iter().map(|possible| possible.qid).collect(),
        chosen => chosen,
    };
    let to = Choice { asset: chosen.asset, ..Choice::of(&qids).by(&[&row.entry]).for_platform(&row.platform) };
    let mitigate = Button::post("Mitigate Now", to.address()).icon("shield-half").primary().unless(cannot_mitigate(
        &who,
        &own,
        only.as_deref(),
    ));
    let page = MitigationPage {
        shell,
        marks: entry_marks(row, read),
        summary: read.human.summary.to_string(),
        side_effects: vec![read.human.side_effects.to_string()],
        facts: facts(row, &told.body.entry),
        covers: covers(read),
        words: told.body.entry.actions.clone(),
        afterwards: told.body.entry.afterwards.sentences.clone(),
        applies: told.body.entry.applies.clone(),
        approval: read.needs_approval().then(|| APPROVAL.to_owned()),
        signed: signed(row, told.body.signature.as_ref()),
        steps: steps(read),
        references: read
            .references
            .iter()
            .map(|reference| (reference.url.to_string(), reference.url.to_string()))
            .collect(),
        actions: if view == "details" { Vec::new() } else { vec![mitigate] },
    };
    Ok(Show(page).into_response())
}

/// Who signed for the entry: facts, and what is wrong.
fn signed(row: &EntryRow, signature: Option<&Signature>) -> (Vec<Fact>, Option<String>) {
    let Some(signature) = signature else { return (Vec::new(), Some("No catalogue is in force.".to_owned())) };
    let keys: Vec<String> =
        signature.signers.iter().map(|signer| format!("{} ({})", signer.key, signer.role)).collect();
    let wanted = match signature.threshold {
        1 => "one content key has to sign".to_owned(),
        several => format!("{several} content keys have to sign"),
    };
    let facts = vec![
        Fact::new("Digest", Value::code(row.digest.clone())),
        Fact::new("Index", Value::text(format!("version {}", signature.index_version))),
        Fact::new("Starts new work until", Value::When(When::exact(signature.expires_at.to_jiff()))),
        Fact::new("Signed by", Value::code(keys.join(" "))),
        Fact::new("Asked for", Value::text(format!("{wanted}, by root version {}", signature.root_version))),
    ];
    let fault = match (&signature.problem, signature.expired) {
        (Some(problem), _) => Some(super::frame::sentence(problem)),
        (None, true) => Some("The index has expired: it starts no new work until a newer one is installed.".to_owned()),
        (None, false) => None,
    };
    (facts, fault)
}

fn entry_marks(row: &EntryRow, entry: &Entry) -> Vec<Chip> {
    let (platform, icon) = marks::platform(&row.platform);
    let risk = match row.risk.as_str() {
        "high" => Tone::Fail,
        "medium" => Tone::Warn,
        _ => Tone::Ok,
    };
    let mut all = vec![
        marks::implication(&row.implication),
        Chip::new(Tone::Info, platform).with_icon(icon),
        Chip::new(risk, format!("{} risk", marks::words(&row.risk))),
        match entry.after.reversible.as_str() {
            "yes" => Chip::new(Tone::Ok, "Reversible"),
            "no" => Chip::new(Tone::Warn, "No way back"),
            _ => Chip::new(Tone::Warn, "Reversible with a reboot"),
        },
    ];
    all.extend(follows(entry).map(|text| Chip::new(Tone::Warn, text)));
    if entry.needs_approval() {
        all.push(Chip::new(Tone::Fail, "Needs approval").titled(APPROVAL));
    }
    all
}

/// What has to follow before it takes effect, in a few words.
pub(super) fn follows(entry: &Entry) -> Option<String> {
    let services: Vec<String> = entry.after.restart.iter().map(ToString::to_string).collect();
    match (entry.after.reboot.as_str(), services.is_empty()) {
        ("required", _) => Some("Needs a reboot".to_owned()),
        (_, false) => Some(format!("Restarts {}", services.join(", "))),
        ("if-loaded", true) => Some("May need a reboot".to_owned()),
        _ => None,
    }
}

fn facts(row: &EntryRow, entry: &EntryDetails) -> Vec<Fact> {
    let needs = if row.needs.is_empty() { Value::text("") } else { Value::code(row.needs.clone()) };
    let class = match entry.class {
        0 => "0, changes nothing that is in use",
        1 => "1, can be undone at once",
        2 => "2, needs the approval of a second person",
        _ => "3, needs the approval of a second person and has no way back at once",
    };
    vec![
        Fact::new("Entry", Value::code(format!("{}@{}", row.entry, row.revision))),
        Fact::new("Risk class", Value::text(class)),
        Fact::new("An agent must be able to", needs),
        Fact::new("When patched", Value::text(if entry.remove_when_patched { "take it back" } else { "may stay" })),
        Fact::new("Valid until", Value::text(entry.valid_until.clone().unwrap_or_default())),
    ]
}

fn covers(entry: &Entry) -> Vec<CoverRow> {
    let row = |covered: &catalogue::schema::Covered| CoverRow {
        cve: covered.cve.as_ref().map_or_else(
            || covered.qids.iter().map(|qid| format!("QID {}", qid.qid)).collect::<Vec<_>>().join(", "),
            ToString::to_string,
        ),
        coverage: marks::coverage(covered.coverage.as_str()),
        points: covered.points.into(),
        note: format!("attack vector: {}", covered.vector.as_str().replace('_', " ")),
    };
    entry.vulnerabilities.iter().map(row).collect()
}

/// The wanted state, as the agent will bring it about.
pub(super) fn steps(entry: &Entry) -> Vec<(String, String)> {
    let heading =
        |at: usize, action: &catalogue::actions::Action| format!("{}. {}: {}", at + 1, action.kind(), action.target());
    let text = |action: &catalogue::actions::Action| {
        let value = serde_json::to_value(action).unwrap_or_default();
        let mut lines = String::new();
        if let serde_json::Value::Object(fields) = value {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                lines.push_str(&format!("{name}: {shown}\n"));
            }
        }
        lines
    };
    entry.actions.iter().enumerate().map(|(at, action)| (heading(at, action), text(action))).collect()
}
