//! Controls whose time is over: they stop counting at once. Their rollback is proposed, or, where their job says so, ordered in one
//! job for all that expires together; and what such a job does not take back is proposed after all.
//!
//! Each step is a transaction of its own and leaves in the database what the next one has to do.

use crate::app::App;
use crate::engine::jobs::{Ordered, roll_back_expired};
use crate::engine::{follow, mail, results};
use crate::http::error::Error;
use domain::asset::Platform;
use domain::control::{Reason, SETTLE_SECONDS};
use domain::id::{AssetId, JobId};
use domain::mail::Kind;
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use store::controls::{self, after, expiry};
use store::jobs::JobRow;
use store::proposals::{self, NewProposal};
use store::{Transaction, jobs};

/// Controls that expire in one transaction at most.
const PAGE: i64 = 200;
/// Who does it, in the audit log.
const AUTHOR: &str = "engine/after";
/// Characters of what a host said in a proposal.
const SAID_MAX: usize = 200;

/// Let expire what is due, order the rollbacks that are ripe, see what became of those that were ordered.
///
/// # Errors
/// A failure of the store.
pub(super) async fn look(app: &App) -> Result<(), Error> {
    let mut moved = false;
    loop {
        let now = app.clock.now();
        if app.database.try_read(move |tx| Ok::<_, Error>(expiry::due(tx, now, 1)?.is_empty())).await? {
            break;
        }
        app.database.try_write(move |tx| expire(tx, now)).await?;
        moved = true;
    }
    let now = app.clock.now();
    for (job, platform) in app.database.try_read(move |tx| Ok::<_, Error>(expiry::ripe(tx, now)?)).await? {
        // A moment of its own: two mails about one job are not the same mail.
        let now = app.clock.now();
        app.database.try_write(move |tx| order(tx, job, platform, now)).await?;
        moved = true;
    }
    let limit = now.plus_seconds(-SETTLE_SECONDS);
    for rollback in app.database.try_read(move |tx| Ok::<_, Error>(expiry::to_settle(tx, limit)?)).await? {
        let now = app.clock.now();
        app.database.try_write(move |tx| settle(tx, rollback, now)).await?;
        moved = true;
    }
    if moved {
        app.wake.notify("dispatch", 0);
        app.wake.notify("mail", 0);
    }
    Ok(())
}

/// What mails say, by the job whose word the expiry is.
type Told = BTreeMap<JobId, Vec<String>>;

fn tell(tx: &mut Transaction<'_>, told: Told, now: Timestamp) -> Result<(), Error> {
    for (job, lines) in told {
        mail::tell_lines(tx, job, Kind::Expired, &lines, now)?;
    }
    Ok(())
}

/// Why, for a proposal.
fn over(expires_at: Timestamp, job: Option<&JobRow>) -> String {
    let whose = job.map(|job| format!(" as {} says", job.name())).unwrap_or_default();
    format!("its time was over on {}{whose}", expires_at.to_jiff().strftime("%-d %b %Y"))
}

fn propose(
    tx: &mut Transaction<'_>,
    (asset, control): (AssetId, i64),
    basis: Timestamp,
    detail: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let new = NewProposal { asset, control, reason: Reason::Expired, basis, detail, ours_maybe: false };
    Ok(proposals::propose(tx, &new, now)?)
}

/// What follows from a control's expiry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It is not in place, not ours, or cannot be taken back.
    Nothing,
    /// Somebody decides.
    Proposed,
    /// Its job takes it back by itself.
    Waits,
}

/// Controls whose time is over stop counting.
fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let (mut told, mut known) = (Told::new(), BTreeMap::new());
    for due in expiry::due(tx, now, PAGE)? {
        if !expiry::expire(tx, due.id, now)? {
            continue;
        }
        if let Some(id) = due.job_id
            && !known.contains_key(&id)
        {
            known.insert(id, (jobs::read(tx, id)?, after::of_job(tx, id)?.roll_back));
        }
        let (job, by_itself) =
            due.job_id.and_then(|id| known.get(&id)).map_or((None, false), |(job, by_itself)| (Some(job), *by_itself));
        let whose = job.map(|job| format!(" as {} says", job.name())).unwrap_or_default();
        results::rescore(tx, due.asset_id, &format!("{} has expired{whose}", due.entry), now)?;
        let in_place = matches!(due.state, ControlState::Effective | ControlState::Configured | ControlState::Drifted);
        // What nobody can tell of may be in place: somebody looks, or it would stay there when its host comes back.
        let perhaps = due.state == ControlState::Unknown;
        let then = match (in_place || perhaps) && due.origin == Origin::Ours && due.reversible {
            false => Then::Nothing,
            true if by_itself && in_place => Then::Waits,
            true => Then::Proposed,
        };
        let said = match then {
            Then::Nothing => "nothing",
            Then::Waits => "rollback to be ordered",
            Then::Proposed => "rollback proposed",
        };
        match then {
            Then::Nothing => {}
            // Told of when it is ordered.
            Then::Waits => expiry::wait(tx, due.id, now)?,
            Then::Proposed => {
                propose(tx, (due.asset_id, due.id), due.expires_at, &over(due.expires_at, job), now)?;
            }
        }
        let row = controls::read(tx, due.id)?;
        let noted = serde_json::json!({ "job": job.map(JobRow::name), "then": said });
        follow::note(tx, AUTHOR, "control.expire", &row, noted, now)?;
        if let Some(job) = job
            && then != Then::Waits
        {
            told.entry(job.id).or_default().push(format!("{}: {} ({said})", due.asset_name, due.entry));
        }
    }
    tell(tx, told, now)
}

/// Order the rollback of all that waits of a job on a platform; what cannot be ordered is proposed.
fn order(tx: &mut Transaction<'_>, id: JobId, platform: Platform, now: Timestamp) -> Result<(), Error> {
    let waiting = expiry::take(tx, id, platform)?;
    if waiting.is_empty() {
        return Ok(());
    }
    let job = jobs::read(tx, id)?;
    let made = tx.attempt(|tx| roll_back_expired(tx, &job, platform, &waiting, now));
    let ordered = refused(made)?;
    let (mut lines, mut ids) = (Vec::new(), Vec::new());
    for one in &waiting {
        let by = ordered.as_ref().filter(|ordered| !ordered.left_out.contains(&(one.asset_id, one.entry_key)));
        let then = match by {
            Some(ordered) => {
                ids.push(one.id);
                format!("rollback ordered: {}", ordered.name)
            }
            None => {
                propose(tx, (one.asset_id, one.id), one.expires_at, &over(one.expires_at, Some(&job)), now)?;
                "rollback proposed".to_owned()
            }
        };
        lines.push(format!("{}: {} ({then})", one.asset_name, one.entry));
    }
    if let Some(ordered) = ordered {
        expiry::ordered(tx, &ids, ordered.id)?;
    }
    tell(tx, Told::from([(id, lines)]), now)
}

/// A job that is refused by a rule is none; everything else is a failure.
fn refused(made: Result<Ordered, Error>) -> Result<Option<Ordered>, Error> {
    match made {
        Ok(made) => Ok(Some(made)),
        Err(error @ (Error::Refused(_) | Error::Invalid(_))) => {
            tracing::info!("a rollback is proposed, not made: {error:?}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Propose the rollback of what a rollback job that was ordered has not taken back, and tell of it.
fn settle(tx: &mut Transaction<'_>, rollback: JobId, now: Timestamp) -> Result<(), Error> {
    let by = jobs::read(tx, rollback)?.name();
    let undone = expiry::undone(tx, rollback)?;
    let mut told = Told::new();
    for one in &undone {
        let job = jobs::read(tx, one.job_id)?;
        let said: String = one.message.chars().take(SAID_MAX).collect();
        let said = if said.is_empty() { "it was given up".to_owned() } else { said };
        let detail = format!("{}, and {by} did not take it back: {said}", over(one.expires_at, Some(&job)));
        if !propose(tx, (one.asset_id, one.id), one.expires_at, &detail, now)? {
            continue;
        }
        let row = controls::read(tx, one.id)?;
        let noted = serde_json::json!({ "reason": "expired", "job": by });
        follow::note(tx, AUTHOR, "proposal.make", &row, noted, now)?;
        let line = format!("{}: {} (not rolled back by {by}; rollback proposed)", one.asset_name, one.entry);
        told.entry(one.job_id).or_default().push(line);
    }
    let ids: Vec<i64> = undone.iter().map(|one| one.id).collect();
    expiry::settled(tx, rollback, &ids)?;
    tell(tx, told, now)
}
