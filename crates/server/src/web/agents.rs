//! `/agents`: agents, the evidence for the asset each is linked to, and the tokens with which a new one enrols.

use super::eliminations::denied;
use super::frame::{Head, Show, again, faults, frame, listed, pager};
use super::jobs::said;
use super::{marks, retirement};
use crate::api::agents as api;
use crate::app::App;
use crate::engine::retire::{self, Ahead};
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::Section;
use crate::pages::agents::{AgentPage, AgentRow, AgentsPage, COLUMNS, EnrolPage, MadeToken};
use crate::pages::chips::{Chip, Tone, When};
use crate::pages::forms::{Fault, Faults, Field};
use crate::pages::lists::{Action as Button, Empty, Menu};
use crate::pages::records::{Entry, Fact, Value};
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::asset::Identity;
use domain::id::AssetId;
use domain::time::Timestamp;
use protocol::agent::Facts;
use protocol::api::response::{Agent, AgentLink, NewEnrolmentToken};
use serde::Deserialize;
use store::{Transaction, agents, assets, audit};
use uuid::Uuid;

/// An agent polls at least every minute; after this long without a word it is called silent.
pub(super) const SILENT_SECONDS: i64 = 300;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/agents", get(index))
        .route("/agents/enrol", get(enrol).post(make))
        .route("/agents/tokens/{id}/revoke", post(revoke_token))
        .route("/agents/{id}", get(show))
        .route("/agents/{id}/revoke", post(revoke))
        .route("/agents/{id}/take-back", post(take_back))
        .route("/agents/{id}/link", post(link))
}

async fn index(State(app): State<App>, who: PageActor, query: ListQuery) -> Result<Response, Error> {
    let enrolling = denied(&who.decide(Action::AgentEnrol, &Record::default()));
    let button =
        Button::show("Enrol an agent", "/agents/enrol").icon("plus").primary().key('c').unless(enrolling.clone());
    let empty = Empty::yet("device-desktop-cog", "No agents yet", "An agent on each host carries the mitigations out.")
        .with(button.clone());
    let head = Head { path: "/agents", noun: "agents", columns: &COLUMNS, sort: "hostname", empty };
    who.may(Action::AgentsView, &Record::default())?;
    let (mut list, wanted) = listed(&app, &who, &query, &agents::LIST, head)?;
    let now = app.clock.now();
    let mut rows = Vec::new();
    if wanted.is_some() {
        let found = api::agents_page(&app, &who, &query).await?;
        list.shown = found.agents.len();
        list.pager = pager(&query, "/agents", found.next.as_deref());
        // Of those that were retired: whose asset another agent holds by now, so that they cannot be taken back.
        let retired: Vec<AssetId> = found
            .agents
            .iter()
            .filter(|agent| agent.retired_at.is_some())
            .filter_map(|agent| agent.asset.map(AssetId))
            .collect();
        let held = app.database.read(move |tx| agents::on_assets(tx, retired.iter().copied())).await?;
        rows = found
            .agents
            .iter()
            .map(|agent| {
                let taken = agent.asset.is_some_and(|asset| held.contains_key(&AssetId(asset)));
                row(&who, agent, may_take_back(agent, taken), now)
            })
            .collect();
    }
    list.tab("All", "", None);
    list.tab("Need a decision", "is:undecided", None);
    list.tab("Contact lost", "is:missing", None);
    list.tab("Retired", "is:retired", None);
    list.tab("Revoked", "is:revoked", None);
    let tokens = if enrolling.is_none() { app.database.read(agents::tokens).await? } else { Vec::new() };
    let tokens = tokens
        .iter()
        .filter(|token| token.uses_left > 0 && token.expires_at > now)
        .map(|token| {
            let revoke = Button::post("Revoke", format!("/agents/tokens/{}/revoke", token.id)).icon("ban");
            let label = if token.label.is_empty() { token.id.to_string() } else { token.label.clone() };
            let uses = if token.uses_left == 1 { "1 left".to_owned() } else { format!("{} left", token.uses_left) };
            (label, uses, When::near(token.expires_at.to_jiff(), now.to_jiff()), revoke)
        })
        .collect();
    let shell = frame(&app, &who, Section::Agents, "Agents").await?.action(button);
    let retirement::Said { held, text: retirement, change } = retirement::said(&app, &who).await?;
    Ok(Show(AgentsPage { shell, list, rows, held, retirement, change, tokens }).into_response())
}

/// Why this agent cannot be taken back whoever asks, if so.
fn may_take_back(agent: &Agent, taken: bool) -> Option<String> {
    let may = domain::contact::may_take_back(agent.revoked_at.is_some(), agent.retired_at.is_some(), taken);
    may.err().map(|refusal| refusal.sentence)
}

/// How an agent is: what keeps it from work first.
fn state(agent: &Agent, now: Timestamp) -> Chip {
    let silent = now.seconds_since(agent.last_seen_at);
    if agent.retired_at.is_some() {
        Chip::new(Tone::Fail, "Retired").with_icon("ban").titled(
            "It was not heard of for so long that it was retired. It is refused when it comes back, until somebody takes it back.",
        )
    } else if agent.revoked_at.is_some() {
        Chip::new(Tone::Fail, "Revoked").with_icon("ban")
    } else if agent.link == "ambiguous" {
        Chip::new(Tone::Warn, "Needs a decision").titled(agent.evidence.clone())
    } else if agent.missing_at.is_some() && silent > SILENT_SECONDS {
        Chip::new(Tone::Fail, "Contact lost")
            .titled("It was not heard of for seven days. Work that comes again is not planned for it.")
    } else if silent > SILENT_SECONDS {
        Chip::new(Tone::Warn, "Silent")
    } else {
        match agent.mode.as_str() {
            "halted" => Chip::new(Tone::Warn, "Halted by its owner"),
            "journal_unwritable" => Chip::new(Tone::Fail, "Journal unwritable")
                .titled("The agent cannot write its journal, so it changes nothing. Make room on its disk."),
            "monitor_only" => Chip::new(Tone::Info, "Monitor only").with_icon("eye"),
            _ => Chip::new(Tone::Ok, "Connected"),
        }
    }
}

fn icon(os: &str) -> &'static str {
    let os = os.to_lowercase();
    let known = [
        ("debian", "brand-debian"),
        ("ubuntu", "brand-ubuntu"),
        ("red hat", "brand-redhat"),
        ("windows", "brand-windows"),
    ];
    known.into_iter().find(|(word, _)| os.contains(word)).map_or("device-desktop", |(_, icon)| icon)
}

fn zone(agent: &Agent) -> String {
    if agent.zone.is_empty() { "UTC (unknown)".to_owned() } else { agent.zone.clone() }
}

fn row(who: &PageActor, agent: &Agent, not_back: Option<String>, now: Timestamp) -> AgentRow {
    AgentRow {
        key: agent.id.to_string(),
        name: agent.hostname.clone(),
        href: format!("/agents/{}", agent.id),
        state: state(agent, now),
        version: agent.version.clone(),
        platform: (agent.os.clone(), icon(&agent.os)),
        contact: Some(When::near(agent.last_seen_at.to_jiff(), now.to_jiff())),
        zone: zone(agent),
        asset: match (agent.asset, &agent.asset_name) {
            (Some(asset), Some(name)) => Ok((name.clone(), format!("/assets/{asset}"))),
            _ => Err(agent.evidence.clone()),
        },
        menu: Menu::dots(
            format!("m-{}", agent.id),
            format!("Quick actions for {}", agent.hostname),
            std::iter::once(Button::go("Open", format!("/agents/{}", agent.id)).icon("info-circle"))
                .chain(endings(who, agent, not_back))
                .collect(),
        ),
    }
}

/// What can be done about whether it is in force; `not_back` is why it cannot be taken back, whoever asks.
fn endings(who: &PageActor, agent: &Agent, not_back: Option<String>) -> Vec<Button> {
    let back = Button::post("Take back", format!("/agents/{}/take-back", agent.id))
        .icon("refresh")
        .asking(
            format!("Take the agent on {} back", agent.hostname),
            "It is in force again as it was, with the key it has. Be sure that this machine was yours all the time. What it had to do \
             and was given up stays given up.",
            "Take back",
        )
        .unless(denied(&who.decide(Action::AgentEnrol, &Record::default())).or(not_back));
    let back = agent.retired_at.map(|_| back);
    back.into_iter().chain(std::iter::once(revoking(who, agent))).collect()
}

fn revoking(who: &PageActor, agent: &Agent) -> Button {
    let gone = agent.revoked_at.filter(|_| agent.retired_at.is_none()).map(|_| "it is revoked already".to_owned());
    Button::post("Revoke", format!("/agents/{}/revoke", agent.id))
        .icon("ban")
        .danger()
        .asking(
            format!("Revoke the agent on {}", agent.hostname),
            "It is given nothing any more, its open tasks are lost. To work again it has to enrol anew.",
            "Revoke",
        )
        .unless(denied(&who.decide(Action::AgentRevoke, &Record::default())).or(gone))
}

/// An agent with what its page shows of it.
struct Seen {
    agent: Agent,
    facts: Facts,
    /// What the linked asset is known by.
    asset: Option<Identity>,
    candidates: Vec<(AssetId, String, Identity)>,
    log: Vec<audit::Written>,
    /// Why it cannot be taken back, whoever asks.
    not_back: Option<String>,
    /// What follows where contact is lost with it.
    ahead: Option<Ahead>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, app: &App, id: Uuid) -> Result<Seen, Error> {
    let row = api::known(tx, &who.scope, id)?;
    let asset = row.asset_id.map(|asset| assets::one(tx, asset)).transpose()?;
    let facts: Facts = serde_json::from_str(&row.facts).map_err(Error::internal)?;
    let mut found = Vec::new();
    for candidate in agents::candidates(tx, &facts.identity, row.id)? {
        let tags = store::eliminations::tags_of(tx, candidate.asset)?.unwrap_or_default();
        if who.scope.sees(tags.iter().map(String::as_str)) {
            found.push((candidate.asset, assets::one(tx, candidate.asset)?.name, candidate.identity));
        }
    }
    let log = audit::of_resource(tx, &format!("agents/{id}"), None, 20)?;
    let own = row.asset_id;
    let not_back = retire::may_take_back(tx, &row)?.err().map(|refusal| refusal.sentence);
    let ahead = match row.missing_at {
        Some(_) if row.revoked_at.is_none() => Some(retire::ahead(tx, &row, app.clock.now())?),
        _ => None,
    };
    let line = agents::AgentLine {
        id: row.id,
        agent_id: row.agent_id,
        asset_id: row.asset_id,
        asset_name: asset.map(|asset| asset.name),
        link: row.link,
        evidence: row.evidence,
        hostname: row.hostname,
        zone: row.zone,
        facts: row.facts,
        version: row.version,
        mode: row.mode,
        enrolled_at: row.enrolled_at,
        last_seen_at: row.last_seen_at,
        revoked_at: row.revoked_at,
        missing_at: row.missing_at,
        retired_at: row.retired_at,
    };
    let linked = found.iter().find(|(asset, ..)| Some(*asset) == own).map(|(.., identity)| identity.clone());
    found.retain(|(asset, ..)| Some(*asset) != own);
    let agent = views::agents::agent(line, &app.presence);
    // It has just been heard, and the look that says so is still to come.
    let ahead = ahead.filter(|_| app.clock.now().seconds_since(agent.last_seen_at) > SILENT_SECONDS);
    Ok(Seen { agent, facts, asset: linked, candidates: found, log, not_back, ahead })
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<Uuid>) -> Result<Response, Error> {
    who.may(Action::AgentsView, &Record::default())?;
    let (asker, parts, now) = (who.clone(), app.clone(), app.clock.now());
    let seen = app.database.try_read(move |tx| look(tx, &asker, &parts, id)).await?;
    let agent = &seen.agent;
    let shell = frame(&app, &who, Section::Agents, agent.hostname.clone()).await?.under("Agents", "/agents");
    let may_link = denied(&who.decide(Action::AgentLink, &Record::default()));
    let page = AgentPage {
        shell,
        name: agent.hostname.clone(),
        marks: vec![state(agent, now), Chip::new(Tone::Info, agent.os.clone()).with_icon(icon(&agent.os))],
        actions: endings(&who, agent, seen.not_back.clone()),
        gone: retirement::gone(&who, agent, seen.ahead.as_ref()),
        facts: facts(&seen),
        evidence: seen.asset.as_ref().map(|asset| evidence(&seen.facts.identity, asset)).unwrap_or_default(),
        candidates: seen.candidates.iter().map(|candidate| offered(&seen, candidate, may_link.clone())).collect(),
        capabilities: agent.capabilities.clone(),
        log: seen.log.iter().map(|entry| event(entry, now)).collect(),
    };
    Ok(Show(page).into_response())
}

fn facts(seen: &Seen) -> Vec<Fact> {
    let agent = &seen.agent;
    let asset = match (agent.asset, &agent.asset_name) {
        (Some(asset), Some(name)) => Value::link(name.clone(), format!("/assets/{asset}")),
        _ => Value::text("not linked"),
    };
    vec![
        Fact::new("Asset", asset),
        Fact::new("Why that one", Value::text(agent.evidence.clone())),
        Fact::new("Agent id", Value::code(agent.id.to_string())),
        Fact::new("Version", Value::text(agent.version.clone())),
        Fact::new("Kernel", Value::text(seen.facts.kernel.clone())),
        Fact::new("Addresses", Value::text(seen.facts.addresses.join(", "))),
        Fact::new("Time zone", Value::text(zone(agent))),
        Fact::new("Owner's choice", Value::text(marks::words(&agent.mode))),
        Fact::new("Confined by", Value::text(confinement(&seen.facts.confinement))),
        Fact::new("Enrolled", Value::When(When::exact(agent.enrolled_at.to_jiff()))),
        Fact::new("Last contact", Value::When(When::exact(agent.last_seen_at.to_jiff()))),
    ]
}

/// What keeps the parts of the agent that read foreign things from the host's files.
fn confinement(word: &str) -> &str {
    match word {
        "landlock" => "Landlock",
        "systemd" => "units of systemd",
        "none" => "nothing: its owner started it with --unconfined",
        "" => "not said",
        other => other,
    }
}

/// What the agent says against what is known of the asset, sign by sign.
fn evidence(claim: &Identity, known: &Identity) -> Vec<(String, String, String, Chip)> {
    let said = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let macs = |macs: &[String]| Some(macs.join(" ")).filter(|text| !text.is_empty());
    let shared = claim.macs.iter().any(|mac| known.macs.contains(mac));
    let signs = [
        ("Scanner's agent id", said(claim.scanner_uuid.as_ref()), said(known.scanner_uuid.as_ref()), false),
        ("Machine id", said(claim.machine_id.as_ref()), said(known.machine_id.as_ref()), false),
        ("Hardware address", macs(&claim.macs), macs(&known.macs), shared),
    ];
    signs
        .into_iter()
        .map(|(sign, ours, theirs, shared)| {
            let chip = match (&ours, &theirs) {
                (Some(ours), Some(theirs)) if ours == theirs || shared => Chip::new(Tone::Ok, "agrees"),
                (Some(_), Some(_)) => Chip::new(Tone::Fail, "differs"),
                _ => Chip::new(Tone::Idle, "not known"),
            };
            let shown = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
            (sign.to_owned(), shown(ours), shown(theirs), chip)
        })
        .collect()
}

fn offered(
    seen: &Seen,
    (asset, name, known): &(AssetId, String, Identity),
    reason: Option<String>,
) -> (String, String, Button) {
    let signs = evidence(&seen.facts.identity, known);
    let agreeing: Vec<String> =
        signs.iter().filter(|(.., chip)| chip.text() == "agrees").map(|(sign, ..)| sign.to_lowercase()).collect();
    let why =
        if agreeing.is_empty() { "nothing agrees".to_owned() } else { format!("same {}", agreeing.join(" and ")) };
    let link = Button::post("Link", format!("/agents/{}/link?asset={asset}", seen.agent.id)).asking(
        format!("Link this agent to {name}"),
        "A wrong link would mitigate the wrong machine. The decision is audited with your name.",
        "Link",
    );
    (name.clone(), why, link.unless(reason))
}

fn event(entry: &audit::Written, now: Timestamp) -> Entry {
    let what = entry.action.strip_prefix("agent.").unwrap_or(&entry.action);
    let tone = if matches!(what, "revoke" | "retire") { Tone::Fail } else { Tone::Info };
    let text = match what {
        "enrol" => "Enrolled".to_owned(),
        "identity" => "Says that it is another machine".to_owned(),
        "link" => "Which asset it is was decided".to_owned(),
        "retire" => "Retired: not heard of for too long".to_owned(),
        "revoke" => "Revoked".to_owned(),
        "take_back" => "Taken back".to_owned(),
        other => marks::words(other),
    };
    let by = match entry.actor.split_once('/') {
        Some(("users", name)) => name.to_owned(),
        // What it did itself is told without its own id.
        Some(("agents", _)) => "the agent itself".to_owned(),
        Some(("engine", _)) => "this server".to_owned(),
        _ => entry.actor.clone(),
    };
    Entry { at: When::near(entry.at.to_jiff(), now.to_jiff()), tone, text, by }
}

/// After a change: back, saying how it went.
fn back(done: Result<(), Error>, path: &str, text: &str) -> Result<Response, Error> {
    let flash = match done {
        Ok(()) => Flash::done(text),
        Err(error) => Flash { failed: true, ..Flash::done(said(error)?) },
    };
    Ok(flash::redirect(path, Some(flash)))
}

async fn revoke(State(app): State<App>, who: PageActor, Path(id): Path<Uuid>) -> Result<Response, Error> {
    back(api::revoke_agent(&app, &who, id).await, &format!("/agents/{id}"), "The agent is revoked.")
}

async fn take_back(State(app): State<App>, who: PageActor, Path(id): Path<Uuid>) -> Result<Response, Error> {
    back(api::take_agent_back(&app, &who, id).await, &format!("/agents/{id}"), "The agent is taken back.")
}

async fn revoke_token(State(app): State<App>, who: PageActor, Path(id): Path<Uuid>) -> Result<Response, Error> {
    back(api::end_token(&app, &who, id).await, "/agents", "The token is good for nothing any more.")
}

#[derive(Deserialize)]
struct Linked {
    asset: i64,
}

async fn link(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<Uuid>,
    Query(linked): Query<Linked>,
) -> Result<Response, Error> {
    let reason = "chosen on the agent's page from the evidence shown there".to_owned();
    let link = AgentLink { asset: Some(linked.asset), reason };
    back(api::link_agent(&app, &who, id, link).await, &format!("/agents/{id}"), "The agent is linked.")
}

async fn form(
    app: &App,
    who: &PageActor,
    given: (&str, &str, &str),
    wrong: Vec<Fault>,
    made: Option<MadeToken>,
) -> Result<EnrolPage, Error> {
    let shell = frame(app, who, Section::Agents, "Enrol an agent").await?.under("Agents", "/agents");
    let fields = vec![
        Field::line("name", "What it is for", given.0).placeholder("web servers, Frankfurt").focus().faulted(&wrong),
        Field::typed("number", "uses", "How many agents may use it", given.1).required().faulted(&wrong),
        Field::typed("number", "hours", "Hours it is good for", given.2).required().faulted(&wrong),
    ];
    Ok(EnrolPage { shell, fields, faults: Faults(wrong), made })
}

async fn enrol(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::AgentEnrol, &Record::default())?;
    Ok(Show(form(&app, &who, ("", "1", "24"), Vec::new(), None).await?).into_response())
}

async fn make(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let (name, uses, hours) = (fields.one("name"), fields.one("uses"), fields.one("hours"));
    // What is no number at all gets the answer of one out of bounds.
    let number = |text: &str| Some(text.parse::<i64>().unwrap_or(0));
    let new = NewEnrolmentToken { label: name.to_owned(), uses: number(uses), hours: number(hours) };
    match api::make_token(&app, &who, new).await {
        // Not a redirection: the secret is in this answer and nowhere else.
        Ok(made) => {
            let until = made.token.expires_at.to_jiff().strftime("%-d %b %Y %H:%M UTC");
            let agents = if made.token.uses_left == 1 {
                "1 agent".to_owned()
            } else {
                format!("{} agents", made.token.uses_left)
            };
            let made = MadeToken {
                line: made.command,
                fingerprint: app.site.ca_fingerprint.clone(),
                note: format!("Good for {agents} until {until}."),
            };
            Ok(Show(form(&app, &who, (name, uses, hours), Vec::new(), Some(made)).await?).into_response())
        }
        Err(error) => {
            let wrong = faults(error, |field| if field == "label" { "name" } else { field })?;
            Ok(again(form(&app, &who, (name, uses, hours), wrong, None).await?))
        }
    }
}
