//! `/assets/7`: one asset with the mitigations in force on it, its open items, and what scanners call it.

use super::assets::{open_items, worst};
use super::frame::{Show, again, faults, frame};
use super::vulnerabilities::TOTAL_MAX;
use super::{choice, eliminations, exposure, identity, marks};
use crate::api;
use crate::app::App;
use crate::engine::{follow, rescan};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::assets::{AssetPage, ControlRow, FindingRow, system_icon};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Chip, Choice, Fact, Fault, Field, Section, Tone, Value, When};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use domain::id::AssetId;
use domain::identity::Rule;
use domain::mitigation::{ControlState, Origin};
use domain::number::Series;
use domain::refusal::Refusal;
use domain::risk::Formula;
use domain::time::Timestamp;
use protocol::api::exposure::AssetChange;
use store::agents::AgentRow;
use store::assets::{self, AssetRow, Exposure, SourceRow};
use store::audit::Written;
use store::identity::merge::{self, MergeRow};
use store::items::ItemRow;
use store::{Transaction, agents, audit, catalogue, controls, list};

/// Open items on the page.
const FINDINGS: u32 = 25;
/// Lines of activity on the page.
const LOG_LINES: i64 = 20;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/assets/{id}", get(show)).route("/assets/{id}/edit", get(edit).post(change))
}

/// A control with what it does for the items that are open here.
struct Control {
    row: controls::ControlRow,
    points: i64,
    qids: Vec<i64>,
}

struct Seen {
    asset: AssetRow,
    tags: Vec<String>,
    exposure: Exposure,
    agent: Option<AgentRow>,
    controls: Vec<Control>,
    findings: Vec<ItemRow>,
    total: i64,
    sources: Vec<SourceRow>,
    merges: Vec<MergeRow>,
    log: Vec<Written>,
    risk: (i64, Formula),
    /// Why none of its open items can be rescanned.
    unscannable: Option<Refusal>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, id: AssetId, now: Timestamp) -> Result<Seen, Error> {
    let (asset, tags) = api::assets::known(tx, who, Action::AssetsView, id)?;
    let wanted = domain::filter::parse(&open_items(id), &store::items::FIELDS).map_err(Error::internal)?;
    let mut query = list::Query::new(wanted, domain::filter::Context::at(now));
    query.order = list::Order::parse("-score");
    query.limit = FINDINGS;
    let clip = || store::items::visible(&who.actor, Action::ItemsView);
    let items = who.decide(Action::ItemsView, &Record { assignee: Some(who.user), ..Record::default() }).allowed();
    let (findings, total) = if items {
        let found = list::page::<ItemRow>(tx, &store::items::LIST, clip(), &query)?.rows;
        (found, list::count(tx, &store::items::LIST, clip(), &query, TOTAL_MAX)?)
    } else {
        (Vec::new(), 0)
    };
    let formula = follow::settings(tx)?.formula;
    let exposed = crate::views::follow::exposed(tx, [(id, asset.criticality, tags.as_slice())])?;
    let risk = exposed.get(&id).map_or(0, |exposed| crate::views::follow::value(formula, exposed));
    Ok(Seen {
        risk: (risk, formula),
        exposure: assets::exposure(tx, &[id])?.remove(&id).unwrap_or_default(),
        agent: agents::on_asset(tx, id)?,
        unscannable: rescan::of_asset(tx, who, id)?.err(),
        controls: controls_of(tx, id, &findings)?,
        sources: assets::sources(tx, id)?,
        merges: if who.decide(Action::AssetMerge, &Record::default()).allowed() {
            merge::into(tx, id)?
        } else {
            Vec::new()
        },
        log: audit::of_resource(tx, &format!("assets/{id}"), None, LOG_LINES)?,
        findings,
        total,
        asset,
        tags,
    })
}

fn controls_of(tx: &mut Transaction<'_>, id: AssetId, findings: &[ItemRow]) -> Result<Vec<Control>, Error> {
    let mut found = Vec::new();
    for row in controls::of_asset(tx, id)? {
        if matches!(row.state, ControlState::NotApplicable | ControlState::Exposed) {
            continue;
        }
        let mut control = Control { row, points: 0, qids: Vec::new() };
        for item in findings {
            let covered = catalogue::covers(tx, control.row.entry_key, item.vulnerability_id)?;
            if let Some(points) = covered.iter().map(|(_, _, points)| *points).max() {
                control.points = control.points.max(points);
                control.qids.push(item.qid);
            }
        }
        found.push(control);
    }
    Ok(found)
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let (asker, now) = (who.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, AssetId(id), now)).await;
    let seen = match seen {
        Err(Error::Problem(problem)) if problem.code == api::assets::MERGED => {
            return moved_on(&app, AssetId(id)).await;
        }
        seen => seen?,
    };
    let asset = &seen.asset;
    let shell = frame(&app, &who, Section::Assets, asset.name.clone()).await?.under("Assets", "/assets");
    let open = open_items(asset.id);
    let page = AssetPage {
        shell,
        name: asset.name.clone(),
        icon: system_icon(&asset.os, asset.platform.as_str()),
        marks: marked(&seen),
        worst: Some(worst(&seen.exposure)).filter(|change| change.before.is_some()),
        risk: (seen.risk.0, seen.risk.1.title(), seen.risk.1.text()),
        actions: actions(&who, &seen),
        tabs: Vec::new(),
        drift: drift(&seen.controls),
        install: seen.agent.is_none().then(|| "echo TOKEN | sudo quell-agent enrol --token-file -".to_owned()),
        facts: facts(&app, &seen, now),
        controls: seen.controls.iter().map(|control| control_row(&who, &seen, control, now)).collect(),
        findings: seen.findings.iter().map(finding).collect(),
        findings_total: (seen.total, address("/items", &[("q", &open)])),
        sources: seen.sources.iter().map(|row| source(&who, asset.id, row)).collect(),
        merges: seen.merges.iter().map(|row| taken(&who, row, now)).collect(),
        log: seen.log.iter().map(|entry| exposure::activity(entry, now)).collect(),
    };
    Ok(Show(page).into_response())
}

/// An asset that was joined into another one leads there.
async fn moved_on(app: &App, id: AssetId) -> Result<Response, Error> {
    let into = app.database.read(move |tx| merge::gone_to(tx, id)).await?;
    let to = into.map_or_else(|| "/assets".to_owned(), |into| format!("/assets/{into}"));
    Ok(flash::redirect(&to, Some(Flash::done(format!("Asset {id} was joined into this one.")))))
}

fn marked(seen: &Seen) -> Vec<Chip> {
    let mut marked = vec![match &seen.agent {
        Some(_) => Chip::new(Tone::Ok, "Agent in place"),
        None => Chip::new(Tone::Idle, "No agent"),
    }];
    if seen.asset.placeholder {
        marked.push(Chip::new(Tone::Warn, "Placeholder").titled("Nothing but an address is known of it"));
    }
    marked.extend(seen.tags.iter().map(|tag| Chip::new(Tone::Info, tag.clone()).with_icon("tag")));
    marked
}

fn actions(who: &PageActor, seen: &Seen) -> Vec<Button> {
    let id = seen.asset.id;
    let rescans = seen.unscannable.as_ref().map(exposure::refused);
    let unopened = (seen.exposure.open() == 0).then(|| "Nothing is open on it.".to_owned());
    let edits = exposure::reason(&who.decide(Action::AssetEdit, &Record::default()));
    vec![
        Button::show("Rescan", format!("/assets/{id}/rescan")).icon("radar").key('r').primary().unless(rescans),
        Button::go("View Risk Elimination", choice::Choice::default().on(&[id.0]).eliminations())
            .icon("shield-half")
            .unless(eliminations::cannot_view(who).or(unopened)),
        Button::show("Tags and criticality", format!("/assets/{id}/edit")).icon("tag").unless(edits),
        Button::show("Join into another", format!("/assets/{id}/merge")).icon("server").unless(
            identity::denied(who).or(seen.sources.is_empty().then(|| "No scanner has reported it.".to_owned())),
        ),
    ]
}

fn drift(controls: &[Control]) -> Option<String> {
    let drifted = controls.iter().filter(|control| control.row.state == ControlState::Drifted);
    let titles: Vec<&str> = drifted.map(|control| control.row.title.as_str()).collect();
    (!titles.is_empty()).then(|| {
        format!("Somebody changed this on the host: {}. The scores it had lowered are back.", titles.join("; "))
    })
}

fn facts(app: &App, seen: &Seen, now: Timestamp) -> Vec<Fact> {
    let asset = &seen.asset;
    let mut facts = vec![
        Fact::new("Address", Value::code(&asset.ip)),
        Fact::new("Name", Value::text(&asset.fqdn)),
        Fact::new("System", Value::text(&asset.os)),
        Fact::new("Platform", Value::text(marks::platform(asset.platform.as_str()).0)),
        Fact::new("Criticality", Value::text(format!("{} of 5", asset.criticality))),
        Fact::new("Time zone", Value::text(if asset.zone.is_empty() { "unknown, so UTC" } else { &asset.zone })),
    ];
    match &seen.agent {
        Some(agent) => {
            let seen_at = app.presence.last_seen(agent.id).map_or(agent.last_seen_at, |at| at.max(agent.last_seen_at));
            facts.push(Fact::new("Agent", Value::link(&agent.version, format!("/agents/{}", agent.agent_id))));
            facts.push(Fact::new("Agent seen", Value::When(exposure::near(seen_at, now))));
        }
        None => facts.push(Fact::new("Agent", Value::text("none"))),
    }
    facts.push(Fact::new("Last scanned", Value::When(exposure::near(asset.last_seen_at, now))));
    facts.push(Fact::new("First known", Value::When(exposure::exact(asset.created_at))));
    facts
}

fn control_row(who: &PageActor, seen: &Seen, control: &Control, now: Timestamp) -> ControlRow {
    let row = &control.row;
    let qids: Vec<String> = control.qids.iter().map(|qid| format!("QID {qid}")).collect();
    let denied = exposure::reason(&who.decide(Action::Rollback, &Record::owned_by(who.user)));
    let others =
        (row.origin != Origin::Ours).then(|| "It was put there by others, so it is not ours to undo.".to_owned());
    // R12: what a fix removed for good is not put there again.
    let fixed = match (row.implication.as_str(), row.reversible) {
        ("fix", _) => Some("It is a fix, and a fix is not taken back.".to_owned()),
        (_, false) => Some("This entry has no way back.".to_owned()),
        _ => None,
    };
    let none = control.qids.is_empty().then(|| "No open item names it any more.".to_owned());
    let to = choice::Choice::of(&control.qids).on(&[seen.asset.id.0]).by(&[&row.entry]).rollback();
    ControlRow {
        title: row.title.clone(),
        entry: row.entry.clone(),
        href: eliminations::entry_address(&row.entry),
        state: match row.expired_at {
            Some(_) => Chip::new(Tone::Warn, "Expired").titled("It takes nothing off any more"),
            None => exposure::control(row.state),
        },
        covers: if qids.is_empty() { "no open item".to_owned() } else { qids.join(", ") },
        points: control.points,
        job: row.job_number.filter(|_| row.origin == Origin::Ours).map(|ordinal| {
            let number = crate::views::number(Series::Job, ordinal);
            let href = format!("/jobs/{number}");
            (number, href)
        }),
        verified: Some(exposure::near(row.checked_at, now)),
        expires: row.expires_at.map(exposure::exact),
        origin: origin(row),
        note: row.note.clone(),
        reapply: reapply(who, row),
        roll_back: Button::post("Roll back", to.address())
            .icon("arrow-back-up")
            .unless(others.or(fixed).or(none).or(denied)),
    }
}

/// Who put it there, and since when it is as it is.
fn origin(row: &controls::ControlRow) -> String {
    let since = row.since_at.to_jiff().strftime("%-d %b %Y");
    let job = row.job_number.map(store::jobs::name).unwrap_or_else(|| "an agent".to_owned());
    match row.origin {
        Origin::Ours => format!("put there by {job}, as it is since {since}"),
        Origin::External => format!("put there by others, found by {job}, as it is since {since}"),
    }
}

/// Put it back, where it is not in force.
fn reapply(who: &PageActor, row: &controls::ControlRow) -> Option<Button> {
    let possible = follow::can_reapply(row);
    let drifted = row.state == ControlState::Drifted;
    let denied = exposure::reason(&who.decide(Action::JobCreate, &Record::owned_by(who.user)));
    let refused = possible.err().map(|refusal| exposure::refused(&refusal));
    drifted.then(|| {
        Button::post("Put back", format!("/controls/{}/reapply", row.id))
            .icon("shield-check")
            .unless(refused.or(denied))
    })
}

fn finding(item: &ItemRow) -> FindingRow {
    FindingRow {
        number: item.number().to_string(),
        href: format!("/items/{}", item.number()),
        title: item.title.clone(),
        qid: item.qid.to_string(),
        state: marks::workflow(item),
        mitigation: marks::mitigation(item.mitigation),
        change: marks::change(item),
    }
}

/// Hosts that a person gave to the asset, and the way back.
fn taken(who: &PageActor, row: &MergeRow, now: Timestamp) -> (String, When, Option<Button>) {
    let by = row.by_name.strip_prefix("users/").unwrap_or(&row.by_name);
    let what = match row.undone_at {
        None => format!("{by} gave it hosts of {}", row.from_name),
        Some(_) => format!("{by} gave it hosts of {}, taken back since", row.from_name),
    };
    let back = Button::post("Take back", format!("/assets/{}/merges/{}/undo", row.into_id, row.id))
        .icon("arrow-back-up")
        .asking("Take this back?", "Hosts and items are as they were, and then as their detections say.", "Take back")
        .unless(identity::denied(who));
    (what, exposure::near(row.at, now), row.undone_at.is_none().then_some(back))
}

fn source(who: &PageActor, asset: AssetId, row: &SourceRow) -> (String, String, String, String, Button) {
    let mut how = match row.matched_by.as_str() {
        "new" => "matched no other, so it made this asset".to_owned(),
        "person" => "given to it by somebody".to_owned(),
        rule => format!("matched by {}", Rule::parse(rule).map_or("a rule that is gone", Rule::title)),
    };
    if let Some(at) = row.last_scan_at {
        how = format!("{how}, scanned {}", at.to_jiff().strftime("%-d %b %Y"));
    }
    let away = Button::show("Move", format!("/assets/{asset}/hosts/{}/move", row.id)).unless(identity::denied(who));
    (row.instance.clone(), format!("host {}", row.host_key), row.ip.clone(), how, away)
}

/// What the form holds: criticality and the tags of people.
type Given = (String, String);

async fn edit_page(
    app: &App,
    who: &PageActor,
    id: i64,
    given: Option<Given>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let asker = who.clone();
    let read = app.database.try_read(move |tx| {
        let (asset, tags) = api::assets::known(tx, &asker, Action::AssetEdit, AssetId(id))?;
        let own = assets::own_tags(tx, asset.id)?;
        Ok::<_, Error>((asset, tags, own))
    });
    let (asset, tags, own) = read.await?;
    let foreign: Vec<&str> = tags.iter().filter(|tag| !own.contains(tag)).map(String::as_str).collect();
    let (criticality, typed) =
        given.unwrap_or_else(|| (asset.criticality_own.unwrap_or(0).to_string(), own.join(", ")));
    let from = match foreign.as_slice() {
        [] => "Separated by commas.".to_owned(),
        tags => format!("Separated by commas. From scanners, and not to be changed here: {}.", tags.join(", ")),
    };
    let by_tags = format!("What its tags say ({} now)", asset.criticality);
    let levels = [("0", by_tags.as_str()), ("1", "1, least"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5, most")];
    let levels = levels.into_iter().map(|(value, label)| Choice::new(value, label)).collect();
    let shell = frame(app, who, Section::Assets, format!("Tags and criticality of {}", asset.name)).await?;
    Ok(DialogPage {
        shell: shell.under("Assets", "/assets").under(asset.name, format!("/assets/{id}")),
        to: format!("/assets/{id}/edit"),
        text: String::new(),
        fields: vec![
            Field::select("criticality", "Criticality", criticality, levels).faulted(&wrong),
            Field::line("tags", "Tags", typed).help(from).autocomplete("off").faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Save",
        back: format!("/assets/{id}"),
    })
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    Ok(Show(edit_page(&app, &who, id, None, Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = (fields.one("criticality").to_owned(), fields.one("tags").to_owned());
    let criticality = given.0.parse::<u8>().ok();
    if criticality.is_none() {
        let wrong = vec![Fault::new("criticality", "Criticality is 1 to 5, or 0 for what its tags say.")];
        return Ok(again(edit_page(&app, &who, id, Some(given), wrong).await?));
    }
    let change = AssetChange { criticality, tags: Some(fields.listed("tags")) };
    match api::assets::edit(&app, &who, AssetId(id), change).await {
        Ok(body) => {
            let said = Flash::done(format!("Saved {}.", body.asset.name));
            Ok(flash::redirect(&format!("/assets/{id}"), Some(said)))
        }
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(edit_page(&app, &who, id, Some(given), wrong).await?))
        }
    }
}
