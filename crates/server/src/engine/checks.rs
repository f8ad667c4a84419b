//! What agents' looks at their controls make of them: drifted, in force again, gone; and what that makes of the scores.
//!
//! A report is a claim of the host it comes from. It concerns the asset that the agent sits on and controls that an order
//! made known there; it makes no control, closes no item, and never makes a control ours. Reports are numbered: one that
//! is not newer than the last is answered and changes nothing, and within one, a line that is older than what an order
//! said since is left out. How it is told and put right again is `engine::after`.

use crate::engine::{follow, results};
use crate::http::error::Error;
use domain::control::{self, Known, Said, Turn};
use domain::time::Timestamp;
use protocol::agent::{CHECK_CHARS_MAX, CHECKS_MAX, Check, Checks};
use protocol::problem::Problem;
use std::collections::BTreeMap;
use store::agents::AgentRow;
use store::audit::{self, Entry};
use store::controls::{self, ControlRow, after};
use store::{Transaction, agents};

/// Reports of one agent are at least this far apart, in seconds: agents keep a minute, this bounds one that does not.
pub const PAUSE_SECONDS: i64 = 30;
/// Lines of one report that the audit entry names at most.
const NAMED_MAX: usize = 20;

/// What a report did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// The highest report of this agent that is taken now.
    pub n: u64,
    /// Seconds between two looks, as this server wants them.
    pub interval_seconds: u32,
    /// Some control changed.
    pub changed: bool,
}

/// Take a report of checks.
///
/// # Errors
/// 429 when it comes too soon after the last one; a failure of the store, then nothing of it is kept.
pub fn store(tx: &mut Transaction<'_>, agent: &AgentRow, said: &Checks, now: Timestamp) -> Result<Taken, Error> {
    let interval_seconds = follow::settings(tx)?.check_seconds();
    let n = i64::try_from(said.n).unwrap_or(i64::MAX);
    let last = after::last_check(tx, agent.id)?;
    let taken = |n: i64, changed| Taken { n: u64::try_from(n).unwrap_or(0), interval_seconds, changed };
    if let Some((last, at)) = last {
        if n <= last {
            return Ok(taken(last, false));
        }
        let pause = PAUSE_SECONDS - now.seconds_since(at);
        if pause > 0 {
            let why = format!("checks are taken every {PAUSE_SECONDS} s at the most");
            let problem = Problem::new(429, "too_many_checks", why).with_retry_after(u64::try_from(pause).unwrap_or(1));
            return Err(Error::Problem(Box::new(problem)));
        }
    }
    let boot_id: String = said.boot_id.chars().filter(|c| !c.is_control()).take(64).collect();
    if !after::take_check(tx, agent.id, n, said.why.words(), &boot_id, now)? {
        // Another replica took this one or a later one meanwhile.
        return Ok(taken(after::last_check(tx, agent.id)?.map_or(n, |(last, _)| last), false));
    }
    // Its link may have changed since the request was let in.
    let agent = agents::read(tx, agent.id)?;
    let Some(asset) = agent.asset_id.filter(|_| agent.revoked_at.is_none() && agent.link != "ambiguous") else {
        return Ok(taken(n, false));
    };
    let known: BTreeMap<String, ControlRow> =
        controls::of_asset(tx, asset)?.into_iter().map(|row| (row.entry.clone(), row)).collect();
    let mut turns: Vec<(&ControlRow, Turn)> = Vec::new();
    for line in said.controls.iter().take(CHECKS_MAX) {
        // What no order ever said of this asset is nothing we know; a second line of the same entry is not read.
        let Some(row) = known.get(&line.entry_id).filter(|row| !turns.iter().any(|(seen, _)| seen.id == row.id)) else {
            continue;
        };
        if let Some(turn) = one(tx, row, line, now)? {
            turns.push((row, turn));
        }
    }
    turns.retain(|(_, turn)| *turn != Turn::Same);
    if turns.is_empty() {
        return Ok(taken(n, false));
    }
    let cause = cause(said, &turns);
    results::rescore(tx, asset, &cause, now)?;
    let lines: Vec<String> =
        turns.iter().take(NAMED_MAX).map(|(row, turn)| format!("{} {}", row.entry, turn.words())).collect();
    let detail = serde_json::json!({ "why": said.why, "n": n, "controls": turns.len(), "lines": lines });
    let actor = format!("agents/{}", agent.agent_id);
    let resource = format!("assets/{asset}");
    audit::append(tx, &Entry { at: now, actor: &actor, action: "control.check", resource: &resource, detail })?;
    Ok(taken(n, true))
}

/// Take one line; `None` when it is older than what is known.
fn one(tx: &mut Transaction<'_>, row: &ControlRow, line: &Check, now: Timestamp) -> Result<Option<Turn>, Error> {
    // A clock ahead of ours must not silence what comes after it.
    let at = line.at.min(now);
    if at < row.heard_at {
        return Ok(None);
    }
    let known = Known { state: row.state, origin: row.origin };
    let (found, turn) = control::checked(known, Said { state: line.state, held: line.held });
    let note: String = line.message.chars().filter(|c| !c.is_control()).take(CHECK_CHARS_MAX).collect();
    after::save_check(tx, row.id, found, &note, at, now)?;
    Ok(Some(turn))
}

/// For the histories of the items: what was found, and when.
fn cause(said: &Checks, turns: &[(&ControlRow, Turn)]) -> String {
    let (row, turn) = turns.first().expect("it is asked only where something changed");
    let others = match turns.len() - 1 {
        0 => String::new(),
        1 => " and one other".to_owned(),
        more => format!(" and {more} others"),
    };
    format!("checked {}: {} {}{others}", said.why.words(), row.entry, turn.words())
}
