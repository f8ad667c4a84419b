//! Agents of which nothing is heard any more: contact is lost after a week, and after weeks they are retired by themselves, so that what
//! they had to do comes to an end (`domain::contact` decides; `docs/agent.md`, *Agents that are gone*).
//!
//! Takes no input but the database; two replicas may look at the same time, and either may be cut off at any instruction. What an agent
//! had to do ends at the dispatcher's next look, which treats it as one that was revoked.

use crate::app::App;
use crate::engine::agents as presence;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record, may};
use domain::contact::{self, Bounds, RETIRE_DAYS, RETIRE_DAYS_DEFAULT};
use domain::mail::{Facts, Kind, LINES_MAX, RECIPIENTS_MAX, Silence};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::agents::AgentRow;
use store::agents::contact::{self as silence, Silent};
use store::audit::{self, Entry};
use store::mails::{self, Notice};
use store::rollouts::away;
use store::{Transaction, accounts, agents, settings};
use uuid::Uuid;

/// The setting's name.
pub const SETTING: &str = "agents.retire";
const ACTOR: &str = "engine/housekeeping";
const DAY: i64 = 86_400;
/// Agents that one entry of the audit names.
const NAMED_MAX: usize = 50;

/// When agents are retired by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Days without a word, while a server listened; 0 for never.
    pub days: i64,
}

impl Default for Retirement {
    fn default() -> Self {
        Retirement { days: RETIRE_DAYS_DEFAULT }
    }
}

/// What holds now.
///
/// # Errors
/// See [`store::Error`].
pub fn kept(tx: &mut Transaction<'_>) -> store::Result<Retirement> {
    Ok(settings::get::<Retirement>(tx, SETTING)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change when agents are retired.
///
/// # Errors
/// A missing permission; 422 `days` outside [`RETIRE_DAYS`].
pub async fn keep(app: &App, caller: &Caller, days: i64) -> Result<Retirement, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    if days != 0 && !RETIRE_DAYS.contains(&days) {
        let (least, most) = (RETIRE_DAYS.start(), RETIRE_DAYS.end());
        let why = format!("agents are retired after {least} to {most} days without a word, or never with 0");
        return Err(Error::field("days", "bad_days", why));
    }
    let (now, author, retirement) = (app.clock.now(), caller.author(), Retirement { days });
    app.database.write(move |tx| settings::put(tx, &author, SETTING, &retirement, None, now)).await?;
    Ok(retirement)
}

/// Why no agent is retired by itself now although some would be, if so.
///
/// # Errors
/// A failure of the store.
pub fn held(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Option<Refusal>, Error> {
    let days = kept(tx)?.days;
    let bounds = Bounds::of(&away::spans(tx)?, now, days);
    let Some(bound) = bounds.over else { return Ok(None) };
    Ok(may_retire(tx, bound, days, now)?.err())
}

/// Whether those that were not heard of since `bound` are retired; without any there is nothing to refuse.
fn may_retire(
    tx: &mut Transaction<'_>,
    bound: Timestamp,
    days: i64,
    now: Timestamp,
) -> store::Result<Result<(), Refusal>> {
    if silence::over(tx, bound)? == 0 {
        return Ok(Ok(()));
    }
    Ok(silence::fleet(tx, now.plus_seconds(-days * DAY))?.may_retire())
}

/// What one look did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Agents that contact is lost with since this look.
    pub missing: usize,
    /// Agents that were retired by it.
    pub retired: usize,
    /// Why none was, where some would be.
    pub held: Option<Refusal>,
}

/// One look at who was not heard of.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<Looked, Error> {
    // What was heard a moment ago and is not written down yet is heard, too.
    presence::flush_now(app).await;
    let now = app.clock.now();
    let mut all = Looked::default();
    while !app.stopping.is_cancelled() {
        let quiet = now.plus_seconds(-contact::MISSING_SECONDS);
        // Mostly everybody was heard, and nothing is written.
        if !app.database.read(move |tx| silence::any_before(tx, quiet)).await? {
            break;
        }
        // Of a look that takes several transactions the first one of a kind tells of all, so that one mail is sent and not one a page.
        let untold = Untold { missing: all.missing == 0, retired: all.retired == 0 };
        let untold = app.mailer.is_some().then_some(untold);
        let some = app.database.try_write(move |tx| look_in(tx, untold, now)).await?;
        let more = full(some.missing) || full(some.retired);
        all.missing += some.missing;
        all.retired += some.retired;
        all.held = some.held;
        if !more {
            break;
        }
    }
    if all.missing > 0 {
        tracing::warn!(agents = all.missing, "contact is lost with {} more agents, see Agents", all.missing);
    }
    if let Some(held) = &all.held {
        tracing::warn!("no agent is retired: {}", held.sentence);
    }
    if all.missing > 0 || all.retired > 0 {
        app.wake.notify("mail", 0);
    }
    if all.retired > 0 {
        tracing::warn!(agents = all.retired, "{} agents were not heard of for too long and are retired", all.retired);
        app.wake.notify("dispatch", 0);
    }
    Ok(all)
}

/// What nobody was told of yet by this look.
#[derive(Clone, Copy, Debug)]
struct Untold {
    missing: bool,
    retired: bool,
}

fn full(page: usize) -> bool {
    i64::try_from(page).unwrap_or(i64::MAX) >= silence::PAGE
}

fn look_in(tx: &mut Transaction<'_>, untold: Option<Untold>, now: Timestamp) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    let mut told = Silence::default();
    mark_and_retire(tx, &mut looked, &mut told, now)?;
    if let Some(untold) = untold {
        if !untold.missing {
            told.missing = 0;
        }
        if !untold.retired {
            told.retired = 0;
        }
        tell(tx, told, now)?;
    }
    Ok(looked)
}

fn mark_and_retire(
    tx: &mut Transaction<'_>,
    looked: &mut Looked,
    told: &mut Silence,
    now: Timestamp,
) -> Result<(), Error> {
    let days = kept(tx)?.days;
    let bounds = Bounds::of(&away::spans(tx)?, now, days);
    away::forget_spans(tx, now.plus_seconds(-2 * RETIRE_DAYS.end() * DAY))?;
    told.days = days;
    let Some(bound) = bounds.missing else { return Ok(()) };
    told.missing = silence::unmarked(tx, bound)?;
    let missing = silence::mark(tx, bound, now)?;
    looked.missing = missing.len();
    if !missing.is_empty() {
        let named: Vec<_> = missing.iter().take(NAMED_MAX).map(described).collect();
        let detail = serde_json::json!({ "agents": missing.len(), "named": named });
        audit::append(tx, &Entry { at: now, actor: ACTOR, action: "agent.missing", resource: "agents", detail })?;
    }
    if days != 0 {
        let mut fleet = silence::fleet(tx, now.plus_seconds(-days * DAY))?;
        let rest = told.missing - i64::try_from(missing.len()).unwrap_or(told.missing);
        fleet.silent += u64::try_from(rest).unwrap_or(0);
        told.held = fleet.may_retire().err().map(|refusal| refusal.sentence);
    }
    told.missing_named = named(&missing);
    let Some(bound) = bounds.over else { return Ok(()) };
    // Whether most of the fleet is silent is known only once everybody is marked.
    if full(missing.len()) {
        return Ok(());
    }
    if let Err(refusal) = may_retire(tx, bound, days, now)? {
        looked.held = Some(refusal);
        return Ok(());
    }
    told.retired = silence::over(tx, bound)?;
    let retired = silence::retire(tx, bound, now)?;
    looked.retired = retired.len();
    told.retired_named = named(&retired);
    for silent in &retired {
        let detail = serde_json::json!({
            "hostname": silent.hostname, "last_seen_at": silent.last_seen_at, "days": days,
        });
        let resource = format!("agents/{}", silent.agent_id);
        audit::append(tx, &Entry { at: now, actor: ACTOR, action: "agent.retire", resource: &resource, detail })?;
    }
    Ok(())
}

fn named(silent: &[Silent]) -> Vec<(String, Timestamp)> {
    silent.iter().take(LINES_MAX).map(|silent| (silent.hostname.clone(), silent.last_seen_at)).collect()
}

/// Put a mail down for everybody who may take agents back and sees all of them, in the transaction that causes it.
fn tell(tx: &mut Transaction<'_>, silence: Silence, now: Timestamp) -> Result<(), Error> {
    if silence.missing == 0 && silence.retired == 0 {
        return Ok(());
    }
    let recipients: Vec<String> = accounts::addressed(tx)?
        .into_iter()
        .filter(|account| may(&account.actor(None), Action::AgentEnrol, &Record::default()).allowed())
        .map(|account| account.email)
        .filter(|email| domain::mail::address(email).is_ok())
        .take(RECIPIENTS_MAX)
        .collect();
    if recipients.is_empty() {
        return Ok(());
    }
    let (missing, retired) = (silence.missing, silence.retired);
    let facts = Facts { at: Some(now), silence, ..Facts::default() };
    let key = format!("agents/{}", Uuid::new_v4());
    let notice = Notice { key: &key, kind: Kind::Agents, job: None, facts: &facts };
    let put = mails::put(tx, &notice, &recipients, now)?.unwrap_or_default();
    let detail = serde_json::json!({
        "kind": Kind::Agents, "missing": missing, "retired": retired, "recipients": put.len(),
    });
    audit::append(tx, &Entry { at: now, actor: ACTOR, action: "mail.queue", resource: "agents", detail })?;
    Ok(())
}

fn described(silent: &Silent) -> serde_json::Value {
    let Silent { agent_id, hostname, last_seen_at, .. } = silent;
    serde_json::json!({ "agent": agent_id, "hostname": hostname, "last_seen_at": last_seen_at })
}

/// Take an agent back that was retired by itself: it is in force as it was, and what was given up meanwhile stays given up. `agent` is one
/// that the caller may see.
///
/// # Errors
/// `agent_in_force`, `agent_revoked`, `asset_taken`; a failure of the store.
pub fn take_back(tx: &mut Transaction<'_>, agent: &AgentRow, author: &str, now: Timestamp) -> Result<(), Error> {
    may_take_back(tx, agent)??;
    silence::take_back(tx, agent.id, now)?;
    let detail = serde_json::json!({ "hostname": agent.hostname, "last_seen_at": agent.last_seen_at });
    let resource = format!("agents/{}", agent.agent_id);
    audit::append(tx, &Entry { at: now, actor: author, action: "agent.take_back", resource: &resource, detail })?;
    Ok(())
}

/// Why this agent cannot be taken back now, if so, whoever asks.
///
/// # Errors
/// A failure of the store.
pub fn may_take_back(tx: &mut Transaction<'_>, agent: &AgentRow) -> store::Result<Result<(), Refusal>> {
    let holder = agent.asset_id.map(|asset| agents::on_asset(tx, asset)).transpose()?.flatten();
    let taken = holder.is_some_and(|other| other.id != agent.id);
    Ok(contact::may_take_back(agent.revoked_at.is_some(), agent.retired_at.is_some(), taken))
}

/// What follows for an agent in force that contact is lost with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Days until one is retired, 0 for never.
    pub days: i64,
    /// When this one is, where a server listens all the time until then.
    pub at: Option<Timestamp>,
    /// Why none is retired now, if so.
    pub held: Option<Refusal>,
}

/// What follows for this agent if it is not heard of.
///
/// # Errors
/// A failure of the store.
pub fn ahead(tx: &mut Transaction<'_>, agent: &AgentRow, now: Timestamp) -> Result<Ahead, Error> {
    let days = kept(tx)?.days;
    let since = silence::counted_since(tx, agent.id)?;
    let at = contact::over_at(&away::spans(tx)?, now, days, since);
    let fleet = silence::fleet(tx, now.plus_seconds(-days * DAY))?;
    Ok(Ahead { days, at, held: fleet.may_retire().err() })
}
