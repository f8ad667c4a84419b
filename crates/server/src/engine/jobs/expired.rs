//! The rollback of what expired: one job for all that a job put in place and that is over together, made and enabled in the name of
//! that job's owner.
//!
//! It goes about its hosts as that job did: with its rollout (waves, gates, what is kept apart), in its maintenance window, and it
//! tells the same people.

use super::choice::{Pair, kept_to};
use super::rollback::{by_pair, filled_in};
use super::stored::{self, Text, Written};
use crate::engine::runs;
use crate::http::error::Error;
use domain::asset::Platform;
use domain::id::JobId;
use domain::job::{self, Act, Kind};
use domain::refusal::Refusal;
use domain::schedule::Schedule;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use store::audit::{self, Entry};
use store::controls::{expiry::Waiting, rollback};
use store::jobs::JobRow;
use store::{Transaction, jobs, rollouts};

/// Who makes it, in the audit log.
const AUTHOR: &str = "engine/after";
/// The recipients are told when every host has answered, unless their job says otherwise.
const MAIL_PERCENT: i64 = 100;

/// A rollback that was ordered.
pub(crate) struct Ordered {
    /// The job.
    pub id: JobId,
    /// Its number.
    pub name: String,
    /// What it is not about, because no item names it there.
    pub left_out: BTreeSet<Pair>,
}

/// Make and enable the rollback of these controls on assets of one platform, whose time was over by this job's word.
///
/// # Errors
/// A failure of the store; a refusal where no item names any of them, or the job cannot be enabled.
pub(crate) fn roll_back_expired(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    platform: Platform,
    controls: &[Waiting],
    now: Timestamp,
) -> Result<Ordered, Error> {
    let pairs: BTreeSet<Pair> = controls.iter().map(|one| (one.asset_id, one.entry_key)).collect();
    let ids: Vec<i64> = controls.iter().map(|one| one.id).collect();
    let covered = by_pair(rollback::covered_by(tx, &ids)?, &pairs);
    let mut found = filled_in(tx, job.id, platform, &covered)?;
    if found.targets.is_empty() {
        return Err(Refusal::new("no_items", "no item on these assets names what is to be rolled back").into());
    }
    found.only = kept_to(&found.targets, &found.actions, &pairs);
    let schedule: Schedule = serde_json::from_str(&job.schedule).map_err(Error::internal)?;
    let schedule = schedule.back(&store::runs::zones(tx)?, now);
    let written = written(job, covered.len(), schedule.clone());
    let id = stored::store(tx, Kind::Rollback, &found, (job.owner_id, AUTHOR), written, now)?;
    let rollout = rollouts::policy(tx, job.id)?;
    rollouts::set_policy(tx, id, &rollout)?;
    let coauthors = jobs::coauthors(tx, job.id)?;
    jobs::set_coauthors(tx, id, &coauthors)?;
    let name = enable(tx, id, &schedule, now)?;
    let left_out = pairs.into_iter().filter(|pair| !covered.contains_key(pair)).collect();
    Ok(Ordered { id, name, left_out })
}

fn written(job: &JobRow, controls: usize, schedule: Schedule) -> Written {
    let name = job.name();
    let some = if controls == 1 { "1 mitigation".to_owned() } else { format!("{controls} mitigations") };
    let detail = serde_json::json!({ "kind": Kind::Rollback, "of": name, "why": "expired", "mitigations": controls });
    Written {
        text: Text {
            title: format!("Roll back {name}: {}", job.title),
            description: format!("Made because the time of {some} was over, as {name} says."),
            detail,
        },
        schedule,
        recipients: job.recipients.clone(),
        mail_started: true,
        mail_percent: job.mail_percent.or(Some(MAIL_PERCENT)),
    }
}

fn enable(tx: &mut Transaction<'_>, id: JobId, schedule: &Schedule, now: Timestamp) -> Result<String, Error> {
    let life = job::act(jobs::read(tx, id)?.life(), Act::SaveAndEnable)?;
    jobs::set_life(tx, id, life, now)?;
    let row = jobs::read(tx, id)?;
    runs::set_in_motion(tx, &row, schedule, AUTHOR, now)?;
    let (action, resource) = ("job.save_and_enable", format!("jobs/{}", row.name()));
    let detail = serde_json::json!({ "status": life.status });
    audit::append(tx, &Entry { at: now, actor: AUTHOR, action, resource: &resource, detail })?;
    Ok(row.name())
}
