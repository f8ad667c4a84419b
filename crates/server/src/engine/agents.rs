//! Agents: enrolment, who a request is from, which asset it sits on, and when it was last heard.

use crate::app::App;
use crate::engine::catalogue;
use crate::engine::crowd::Crowd;
use crate::http::error::Error;
use ::catalogue::applies::OsRelease;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::asset::{Identity, Link, Platform, link};
use domain::id::AgentKey;
use domain::schedule::Schedule;
use domain::task::{Event, State};
use domain::time::Timestamp;
use domain::window::Window;
use protocol::agent::{BODY_BYTES_MAX, Enrol, Enrolled, Facts, PROTOCOL_VERSION, REQUEST_TYPE, Request};
use protocol::signed::{Envelope, PublicKey};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use store::agents::{AgentRow, Heard, NewAgent};
use store::audit::{self, Entry};
use store::{Transaction, agents, runs, tasks};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// Seconds between two flushes of what is known of agents' last words.
const FLUSH_SECONDS: i64 = 60;
/// Agents written down in one transaction.
const ROWS_MAX: usize = 10_000;
/// Longest text of a fact, in characters.
const FACT_MAX: usize = 255;
/// Addresses and capabilities kept of one agent at most.
const FACTS_MAX: usize = 64;

/// What is known of agents that have spoken lately, not yet written: polls are far too many to write each.
#[derive(Clone, Default, Debug)]
pub struct Presence(Arc<Mutex<HashMap<AgentKey, Seen>>>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    window: Window,
    at: Timestamp,
    flushed: bool,
}

impl Presence {
    /// Note a request; `false` when its number was used before, by what was noted here and by what is stored: replayed,
    /// or a second agent with the same key.
    fn note(&self, agent: AgentKey, stored: Window, seq: i64, at: Timestamp) -> bool {
        let mut seen = self.0.lock().expect("nobody panics while holding the lock");
        let known = seen.get(&agent).map_or(stored, |seen| seen.window.merge(stored));
        let Some(window) = known.take(seq) else { return false };
        seen.insert(agent, Seen { window, at, flushed: false });
        true
    }

    /// When an agent was last heard, where that is later than what is stored.
    #[must_use]
    pub fn last_seen(&self, agent: AgentKey) -> Option<Timestamp> {
        self.0.lock().expect("nobody panics while holding the lock").get(&agent).map(|seen| seen.at)
    }

    fn take(&self) -> Vec<Heard> {
        let mut seen = self.0.lock().expect("nobody panics while holding the lock");
        let fresh = seen.iter_mut().filter(|(_, seen)| !seen.flushed);
        fresh
            .map(|(key, seen)| {
                seen.flushed = true;
                Heard { agent: *key, window: seen.window, at: seen.at }
            })
            .collect()
    }
}

/// Write down now and then when agents were last heard; the last time when the server stops.
pub async fn flush(app: App) {
    loop {
        let stopping = tokio::select! {
            () = app.stopping.cancelled() => true,
            () = app.clock.sleep(FLUSH_SECONDS) => false,
        };
        flush_now(&app).await;
        if stopping {
            return;
        }
    }
}

/// Write down when agents were last heard.
pub async fn flush_now(app: &App) {
    for heard in app.presence.take().chunks(ROWS_MAX) {
        let heard = heard.to_vec();
        if let Err(error) = app.database.write(move |tx| agents::heard(tx, &heard)).await {
            tracing::error!("when agents were last heard was not written: {error}");
        }
    }
}

/// The only part of a request that is looked at before its signature is.
#[derive(serde::Deserialize)]
struct Claimed {
    agent_id: Uuid,
}

/// Find out who a signed request is from, and whether it is new.
///
/// # Errors
/// 401 for an unknown, revoked or wrongly signed one; 409 for a replayed one or another installation.
pub async fn authenticate(app: &App, body: &[u8]) -> Result<(AgentRow, Request), Error> {
    let refuse = |code: &str, detail: &str| Error::problem(StatusCode::UNAUTHORIZED, code, detail);
    let envelope = Envelope::parse(body, BODY_BYTES_MAX)
        .map_err(|error| Error::problem(StatusCode::BAD_REQUEST, "bad_envelope", error.to_string()))?;
    // Only the name is read before the signature is checked, to find the key; everything else is read after.
    let claimed: Claimed = serde_json::from_slice(envelope.unverified_payload())
        .map_err(|error| Error::problem(StatusCode::BAD_REQUEST, "bad_request", error.to_string()))?;
    let agent = Crowd::known(app, claimed.agent_id).await?;
    let agent = agent.ok_or_else(|| refuse("agent_unknown", "no agent of this id is enrolled here; enrol it again"))?;
    let key = public_key(&agent.public_key).ok_or_else(|| refuse("agent_unknown", "the agent's key cannot be read"))?;
    let verified = envelope
        .verify(REQUEST_TYPE, &[key], 1)
        .map_err(|_| refuse("bad_signature", "the request is not signed by this agent's key"))?;
    let request: Request =
        verified.parse().map_err(|error| Error::problem(StatusCode::BAD_REQUEST, "bad_request", error.to_string()))?;
    in_force(&agent)?;
    if request.instance_id != agent.instance_id {
        let detail = "this is another installation of the agent; enrol it again";
        return Err(Error::problem(StatusCode::CONFLICT, "instance_changed", detail));
    }
    if request.v > PROTOCOL_VERSION {
        let detail = "the agent speaks a newer protocol than this server; update the server first";
        return Err(Error::problem(StatusCode::BAD_REQUEST, "protocol_newer", detail));
    }
    let seq = i64::try_from(request.seq).unwrap_or(i64::MAX);
    if !app.presence.note(agent.id, agent.window(), seq, app.clock.now()) {
        let detail = "the request's number was used before: it is replayed, or two agents share one key";
        return Err(Error::problem(StatusCode::CONFLICT, "replayed", detail));
    }
    Ok((agent, request))
}

/// Refuse an agent that was revoked or retired, and say which.
fn in_force(agent: &AgentRow) -> Result<(), Error> {
    domain::contact::in_force(agent.revoked_at.is_some(), agent.retired_at.is_some())
        .map_err(|refusal| Error::problem(StatusCode::UNAUTHORIZED, refusal.code, refusal.sentence))
}

fn public_key(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    PublicKey::from_bytes(&bytes).ok()
}

/// Enrol an agent. Doing it again with the same token and key gives the same answer.
///
/// # Errors
/// 401 for a token or proof that does not hold, and for an agent that was ended since; 409 while no root metadata is in force.
pub async fn enrol(app: &App, enrol: Enrol) -> Result<Enrolled, Error> {
    let refuse = |detail: &str| Error::problem(StatusCode::UNAUTHORIZED, "enrolment_refused", detail);
    let key = public_key(&enrol.public_key).ok_or_else(|| refuse("the public key is none"))?;
    let said = format!("quell-enrol-v1:{}:{}", enrol.token_id, enrol.public_key);
    let proof = STANDARD.decode(&enrol.proof).unwrap_or_default();
    if !key.verifies(said.as_bytes(), &proof) {
        return Err(refuse("the proof is not signed by the key"));
    }
    let secret = URL_SAFE_NO_PAD.decode(&enrol.secret).unwrap_or_default();
    let hash: [u8; 32] = Sha256::digest(&secret).into();
    let now = app.clock.now();
    let (agent, root) = app.database.try_write(move |tx| enrol_in(tx, &enrol, &hash, now)).await?;
    app.wake.notify("agent", 0);
    Ok(Enrolled { agent_id: agent.agent_id, instance_id: agent.instance_id, root, now })
}

fn enrol_in(
    tx: &mut Transaction<'_>,
    enrol: &Enrol,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<(AgentRow, String), Error> {
    let refuse = || {
        let detail = "the enrolment token is unknown, used up or expired; ask for a new one under Agents";
        Error::problem(StatusCode::UNAUTHORIZED, "enrolment_refused", detail)
    };
    let token = agents::token(tx, enrol.token_id)?.ok_or_else(refuse)?;
    if !bool::from(token.secret_hash.as_slice().ct_eq(hash)) || token.expires_at <= now {
        return Err(refuse());
    }
    let (_, root) = catalogue::root(tx)?.ok_or_else(|| {
        let sentence = "no root metadata is in force on the server; install a signed catalogue first";
        domain::refusal::Refusal::new("no_root", sentence)
    })?;
    if let Some(known) = agents::by_enrolment(tx, enrol.token_id, &enrol.public_key)? {
        // An agent that was ended does not come back by saying again what it said before.
        in_force(&known)?;
        return Ok((known, root));
    }
    if !agents::use_token(tx, enrol.token_id)? {
        return Err(refuse());
    }
    let facts = bounded(enrol.facts.clone());
    let new = described(Uuid::now_v7(), Uuid::new_v4(), enrol.token_id, &enrol.public_key, &facts)?;
    let key = agents::create(tx, &new, now)?;
    attach(tx, key, &facts, now)?;
    let agent = agents::read(tx, key)?;
    let detail = serde_json::json!({ "hostname": facts.hostname, "link": agent.link, "evidence": agent.evidence });
    let resource = format!("agents/{}", agent.agent_id);
    audit::append(tx, &Entry { at: now, actor: &resource, action: "agent.enrol", resource: &resource, detail })?;
    Ok((agent, root))
}

/// Decide which asset an agent sits on and record it with the evidence.
fn attach(tx: &mut Transaction<'_>, key: AgentKey, facts: &Facts, now: Timestamp) -> Result<(), Error> {
    let candidates = agents::candidates(tx, &facts.identity, key)?;
    match link(&facts.identity, &candidates) {
        Link::Linked(asset, evidence) => {
            agents::teach_asset(tx, asset, &facts.identity, &facts.zone)?;
            agents::set_link(tx, key, Some(asset), "linked", &evidence, now)?;
        }
        Link::Unknown => {
            let ip = facts.addresses.first().map_or("", String::as_str);
            let platform = match Platform::from_os(&facts.os_title) {
                Platform::Other => Platform::Linux,
                known => known,
            };
            let asset = agents::create_asset(tx, &facts.hostname, platform, &facts.os_title, ip, &facts.identity, now)?;
            agents::teach_asset(tx, asset, &facts.identity, &facts.zone)?;
            agents::set_link(tx, key, Some(asset), "own", "no scanner has reported this machine yet", now)?;
        }
        Link::Ambiguous(why) => {
            agents::set_link(tx, key, None, "ambiguous", &why, now)?;
        }
    }
    Ok(())
}

/// Record new facts; tasks that wait for a time of the agent's own zone are placed again when it changes.
///
/// What the asset is known by was settled at enrolment. An agent that calls itself another machine later is written down
/// and nothing more: else whoever holds one host could draw the findings and the orders of another to it.
///
/// # Errors
/// A failure of the store.
pub fn learn(tx: &mut Transaction<'_>, agent: &AgentRow, facts: &Facts, now: Timestamp) -> Result<(), Error> {
    let facts = bounded(facts.clone());
    let row = described(agent.agent_id, agent.instance_id, Uuid::nil(), &agent.public_key, &facts)?;
    // Read again: another request of the agent may have told the same change meanwhile.
    let known = agents::read(tx, agent.id)?;
    let before = serde_json::from_str::<Facts>(&known.facts).map(|facts| facts.identity).unwrap_or_default();
    if claim(&before) != claim(&facts.identity) {
        let detail = serde_json::json!({ "before": before, "claimed": facts.identity });
        let resource = format!("agents/{}", agent.agent_id);
        let entry = Entry { at: now, actor: &resource, action: "agent.identity", resource: &resource, detail };
        audit::append(tx, &entry)?;
    }
    agents::set_facts(tx, agent.id, &row)?;
    if let Some(asset) = known.asset_id {
        agents::set_asset_zone(tx, asset, &facts.zone)?;
    }
    if facts.zone != agent.zone {
        moved(tx, agent, &facts.zone, now)?;
    }
    Ok(())
}

/// An agent has come to another zone: what was not ordered yet is resolved anew (design, section 10).
fn moved(tx: &mut Transaction<'_>, agent: &AgentRow, zone: &str, now: Timestamp) -> Result<(), Error> {
    for task in tasks::unordered_of_agent(tx, agent.id)? {
        let schedule: Schedule = serde_json::from_str(&task.schedule).map_err(Error::internal)?;
        let occurrence = task.occurrence.parse().map_err(Error::internal)?;
        let resolved = schedule.resolve_at(occurrence, zone)?;
        tasks::reschedule(tx, task.id, &resolved)?;
        if resolved.at > now && task.state == State::Ready {
            let life = domain::task::step(tasks::read(tx, task.id)?.life(), Event::Postpone)?;
            tasks::save_life(tx, task.id, life, now)?;
        }
    }
    // A run may have to be made earlier now.
    Ok(runs::look_again(tx, now)?)
}

/// An identity without the order in which the host happens to list its addresses.
fn claim(identity: &Identity) -> (Option<&str>, Option<&str>, BTreeSet<&str>) {
    let macs = identity.macs.iter().map(String::as_str).collect();
    (identity.scanner_uuid.as_deref(), identity.machine_id.as_deref(), macs)
}

fn described(
    agent_id: Uuid,
    instance_id: Uuid,
    token_id: Uuid,
    public_key: &str,
    facts: &Facts,
) -> Result<NewAgent, Error> {
    Ok(NewAgent {
        agent_id,
        instance_id,
        token_id,
        public_key: public_key.to_owned(),
        hostname: facts.hostname.clone(),
        zone: facts.zone.clone(),
        facts: serde_json::to_string(facts).map_err(Error::internal)?,
        version: facts.agent_version.clone(),
        mode: facts.mode.clone(),
    })
}

/// What a host says of itself is kept within bounds.
fn bounded(mut facts: Facts) -> Facts {
    let cut = |text: &mut String| *text = text.chars().filter(|c| !c.is_control()).take(FACT_MAX).collect();
    for text in [
        &mut facts.hostname,
        &mut facts.os_id,
        &mut facts.os_version,
        &mut facts.os_title,
        &mut facts.kernel,
        &mut facts.zone,
        &mut facts.agent_version,
        &mut facts.mode,
        &mut facts.confinement,
    ] {
        cut(text);
    }
    for list in [&mut facts.addresses, &mut facts.capabilities, &mut facts.identity.macs] {
        list.truncate(FACTS_MAX);
        list.iter_mut().for_each(cut);
    }
    for text in [&mut facts.identity.scanner_uuid, &mut facts.identity.machine_id].into_iter().flatten() {
        cut(text);
        text.make_ascii_lowercase();
    }
    facts.identity.macs.iter_mut().for_each(|mac| mac.make_ascii_lowercase());
    // An identifier of zeros or nothing is that of every badly imaged machine.
    let blank =
        |text: &Option<String>| text.as_deref().is_some_and(|text| text.chars().all(|c| matches!(c, '0' | '-' | ':')));
    if blank(&facts.identity.scanner_uuid) {
        facts.identity.scanner_uuid = None;
    }
    if blank(&facts.identity.machine_id) {
        facts.identity.machine_id = None;
    }
    facts.identity.macs.retain(|mac| !mac.chars().all(|c| matches!(c, '0' | ':')));
    facts
}

/// What an agent listed as its capabilities.
#[must_use]
pub fn capabilities(agent: &AgentRow) -> BTreeSet<String> {
    serde_json::from_str::<Facts>(&agent.facts)
        .map(|facts| facts.capabilities.into_iter().collect())
        .unwrap_or_default()
}

/// The operating system that an agent says it runs on; `None` where it says none.
#[must_use]
pub fn system(agent: &AgentRow) -> Option<OsRelease> {
    let facts: Facts = serde_json::from_str(&agent.facts).ok()?;
    let system = OsRelease { id: facts.os_id.to_lowercase(), id_like: Vec::new(), version: facts.os_version };
    (!system.id.is_empty()).then_some(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_may_overtake_each_other_but_none_is_taken_twice_here_or_where_another_server_took_it() {
        let (presence, agent, at) = (Presence::default(), AgentKey(1), Timestamp::from_micros);
        let note = |stored, seq, micros| presence.note(agent, stored, seq, at(micros));
        assert!(note(Window::NEW, 3, 1) && note(Window::NEW, 2, 2), "the second connection was faster");
        assert!(!note(Window::NEW, 3, 3) && !note(Window::NEW, 2, 3));
        let [heard] = presence.take()[..] else { panic!("one agent was heard") };
        assert_eq!((heard.window.highest, heard.at), (3, at(2)), "a refused request is no sign of life");
        assert!(presence.take().is_empty(), "nothing new to write");
        let elsewhere = Window::NEW.take(5).expect("a new number");
        assert!(!note(elsewhere, 5, 4) && note(elsewhere, 4, 5));
        assert!(presence.note(AgentKey(2), Window::NEW, 4, at(6)), "every agent counts for itself");
    }
}
