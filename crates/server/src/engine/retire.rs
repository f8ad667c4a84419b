//! Agents of which nothing is heard any more: contact is lost after a week, and after weeks they are retired by themselves, so that what
//! they had to do comes to an end (`domain::contact` decides; `docs/agent.md`, *Agents that are gone*).
//!
//! Takes no input but the database; two replicas may look at the same time, and either may be cut off at any instruction. What an agent
//! had to do ends at the dispatcher's next look, which treats it as one that was revoked.

use crate::app::App;
use crate::engine::agents as presence;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::contact::{self, Bounds, RETIRE_DAYS, RETIRE_DAYS_DEFAULT};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::agents::AgentRow;
use store::agents::contact::{self as silence, Silent};
use store::audit::{self, Entry};
use store::rollouts::away;
use store::{Transaction, agents, settings};

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
        let some = app.database.try_write(move |tx| look_in(tx, now)).await?;
        let full = usize::try_from(silence::PAGE).unwrap_or(usize::MAX);
        let more = some.missing >= full || some.retired >= full;
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
    if all.retired > 0 {
        tracing::warn!(agents = all.retired, "{} agents were not heard of for too long and are retired", all.retired);
        app.wake.notify("dispatch", 0);
    }
    Ok(all)
}

fn look_in(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Looked, Error> {
    let mut looked = Looked::default();
    let days = kept(tx)?.days;
    let bounds = Bounds::of(&away::spans(tx)?, now, days);
    away::forget_spans(tx, now.plus_seconds(-2 * RETIRE_DAYS.end() * DAY))?;
    let Some(bound) = bounds.missing else { return Ok(looked) };
    let missing = silence::mark(tx, bound, now)?;
    looked.missing = missing.len();
    if !missing.is_empty() {
        let named: Vec<_> = missing.iter().take(NAMED_MAX).map(told).collect();
        let detail = serde_json::json!({ "agents": missing.len(), "named": named });
        audit::append(tx, &Entry { at: now, actor: ACTOR, action: "agent.missing", resource: "agents", detail })?;
    }
    let Some(bound) = bounds.over else { return Ok(looked) };
    if let Err(refusal) = may_retire(tx, bound, days, now)? {
        looked.held = Some(refusal);
        return Ok(looked);
    }
    let retired = silence::retire(tx, bound, now)?;
    looked.retired = retired.len();
    for silent in &retired {
        let detail = serde_json::json!({
            "hostname": silent.hostname, "last_seen_at": silent.last_seen_at, "days": days,
        });
        let resource = format!("agents/{}", silent.agent_id);
        audit::append(tx, &Entry { at: now, actor: ACTOR, action: "agent.retire", resource: &resource, detail })?;
    }
    Ok(looked)
}

fn told(silent: &Silent) -> serde_json::Value {
    let Silent { agent_id, hostname, last_seen_at, .. } = silent;
    serde_json::json!({ "agent": agent_id, "hostname": hostname, "last_seen_at": last_seen_at })
}

/// Take an agent back that was retired by itself: it is in force as it was, and what was given up meanwhile stays given up. `agent` is one
/// that the caller may see.
///
/// # Errors
/// `agent_in_force`, `agent_revoked`, `asset_taken`; a failure of the store.
pub fn take_back(tx: &mut Transaction<'_>, agent: &AgentRow, author: &str, now: Timestamp) -> Result<(), Error> {
    let holder = agent.asset_id.map(|asset| agents::on_asset(tx, asset)).transpose()?.flatten();
    let taken = holder.is_some_and(|other| other.id != agent.id);
    contact::may_take_back(agent.revoked_at.is_some(), agent.retired_at.is_some(), taken)?;
    silence::take_back(tx, agent.id, now)?;
    let detail = serde_json::json!({ "hostname": agent.hostname, "last_seen_at": agent.last_seen_at });
    let resource = format!("agents/{}", agent.agent_id);
    audit::append(tx, &Entry { at: now, actor: author, action: "agent.take_back", resource: &resource, detail })?;
    Ok(())
}
