//! What follows a job without anybody asking: controls expire, drifts are told and put back, reviews fall due, rollbacks
//! are proposed. Takes no input but the database; every step is its own transaction and can be repeated.
//!
//! Flapping: a standing job puts a control back at most three times a day, a quarter of an hour apart
//! (`domain::control::PutBack`); after that it stays drifted until a person puts it back. Mail about one control comes at
//! most once a day, and about one job at most every quarter of an hour, with everything that drifted meanwhile in it.

use crate::app::App;
use crate::engine::runs::{self, Cause, Does, Due, NewRun, Over};
use crate::engine::{follow, mail, results};
use crate::http::error::Error;
use domain::access::AssetScope;
use domain::control::{self, Again, Reason};
use domain::id::JobId;
use domain::job::Status;
use domain::mail::Kind;
use domain::mitigation::{ControlState, Origin};
use domain::schedule::Schedule;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use store::audit::{self, Entry};
use store::controls::{self, after};
use store::proposals::{self, NewProposal};
use store::{Transaction, jobs};

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(15);
/// Controls that expire in one transaction at most.
const EXPIRED_MAX: i64 = 200;
/// Seconds between two mails about drifts of one job's controls.
const TELL_JOB_SECONDS: i64 = 15 * 60;

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("after", 0);
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("what follows jobs was not looked after, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// One look at everything; every step reads first and writes only where there is something to do.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    if app.database.try_read(move |tx| Ok::<_, Error>(!after::due(tx, now, 1)?.is_empty())).await? {
        app.database.try_write(move |tx| expire(tx, now)).await?;
        app.wake.notify("dispatch", 0);
        app.wake.notify("mail", 0);
    }
    if app.database.try_read(|tx| Ok::<_, Error>(proposals::news(tx)? != proposals::News::default())).await? {
        app.database.try_write(move |tx| propose(tx, now)).await?;
    }
    if app.database.try_read(move |tx| Ok::<_, Error>(!to_put_back(tx, now)?.is_empty())).await? {
        app.database.try_write(move |tx| put_back(tx, now)).await?;
        app.wake.notify("dispatch", 0);
    }
    let tell = now.plus_seconds(-control::TELL_SECONDS);
    if app.database.try_read(move |tx| Ok::<_, Error>(!after::untold(tx, tell)?.is_empty())).await? {
        app.database.try_write(move |tx| tell_drifts(tx, now)).await?;
        app.wake.notify("mail", 0);
    }
    let untold = app.database.try_read(move |tx| Ok::<_, Error>(reviews_untold(tx, now)?.is_empty()));
    if !untold.await? {
        app.database.try_write(move |tx| tell_reviews(tx, now)).await?;
        app.wake.notify("mail", 0);
    }
    Ok(())
}

/// Controls whose time is over stop counting; their rollback is made or proposed, as their job says.
fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let mut told: BTreeMap<JobId, Vec<String>> = BTreeMap::new();
    for due in after::due(tx, now, EXPIRED_MAX)? {
        if !after::expire(tx, due.id, now)? {
            continue;
        }
        let row = controls::read(tx, due.id)?;
        let job = match due.job_id {
            Some(job) => Some(jobs::read(tx, job)?),
            None => None,
        };
        let whose = job.as_ref().map(|job| format!(" as {} says", job.name())).unwrap_or_default();
        results::rescore(tx, row.asset_id, &format!("{} has expired{whose}", row.entry), now)?;
        let in_place = matches!(due.state, ControlState::Effective | ControlState::Configured | ControlState::Drifted);
        let detail = format!("its time was over on {}{whose}", due.expires_at.to_jiff().strftime("%-d %b %Y"));
        let mut then = "nothing";
        if in_place && due.origin == Origin::Ours && due.reversible {
            let by_itself = match &job {
                Some(job) if after::of_job(tx, job.id)?.roll_back => Some(job.owner_id),
                _ => None,
            };
            let made = match by_itself {
                Some(owner) => made(follow::roll_back(tx, &row, owner, &format!("Made because {detail}."), now))?,
                None => false,
            };
            then = if made { "rolled back" } else { "rollback proposed" };
            if !made {
                let basis = due.expires_at;
                let new = NewProposal {
                    asset: row.asset_id,
                    control: row.id,
                    reason: Reason::Expired,
                    basis,
                    detail: &detail,
                };
                proposals::propose(tx, &new, now)?;
            }
        }
        let noted = serde_json::json!({ "job": job.as_ref().map(jobs::JobRow::name), "then": then });
        follow::note(tx, "engine/after", "control.expire", &row, noted, now)?;
        if let Some(job) = job {
            told.entry(job.id).or_default().push(format!("{}: {} ({then})", due.asset_name, due.entry));
        }
    }
    for (job, lines) in told {
        mail::tell_lines(tx, job, Kind::Expired, &lines, now)?;
    }
    Ok(())
}

/// A job that is refused by a rule is none; everything else is a failure.
fn made(made: Result<JobId, Error>) -> Result<bool, Error> {
    match made {
        Ok(_) => Ok(true),
        Err(Error::Refused(refusal)) => {
            tracing::info!("a rollback is proposed, not made: {refusal}");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Propose what there is an occasion for, and forget what there is none for any more.
fn propose(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let news = proposals::news(tx)?;
    proposals::obsolete(tx, &news.stale, now)?;
    for fixed in &news.fixed {
        let items = match fixed.items {
            1 => "the scanner says Fixed for the item it covers".to_owned(),
            items => format!("the scanner says Fixed for all {items} items it covers"),
        };
        let detail = format!("{items} on this asset");
        let new = NewProposal {
            asset: fixed.asset_id,
            control: fixed.control_id,
            reason: Reason::Fixed,
            basis: fixed.closed_at,
            detail: &detail,
        };
        if proposals::propose(tx, &new, now)? {
            let row = controls::read(tx, fixed.control_id)?;
            let noted = serde_json::json!({ "reason": "fixed", "items": fixed.items });
            follow::note(tx, "engine/after", "proposal.make", &row, noted, now)?;
        }
    }
    Ok(())
}

/// What standing jobs put back now: what drifted and does not flap.
fn to_put_back(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<after::Standing>, Error> {
    let mut drifted = after::standing_drifted(tx)?;
    drifted.retain(|one| one.put_back().again(now) == Again::Now);
    Ok(drifted)
}

/// Make a run of each standing job for exactly what drifted of it.
fn put_back(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let mut by_job: BTreeMap<JobId, Vec<after::Standing>> = BTreeMap::new();
    for one in to_put_back(tx, now)? {
        by_job.entry(one.job_id).or_default().push(one);
    }
    for (id, drifted) in by_job {
        let mut over = Vec::new();
        for one in &drifted {
            // Another replica may be at it as well.
            if after::save_put_back(tx, one.id, one.put_back(), one.put_back().once_more(now))? {
                over.push((one.asset_id, one.entry_key));
            }
        }
        if over.is_empty() {
            continue;
        }
        let job = jobs::read(tx, id)?;
        let life = domain::job::Life { status: Status::Enabled, cancelled: false, ..job.life() };
        jobs::set_life(tx, id, life, now)?;
        store::runs::settle_started(tx, id)?;
        let schedule: Schedule = serde_json::from_str(&job.schedule).map_err(Error::internal)?;
        let job = jobs::read(tx, id)?;
        let new = NewRun {
            does: Does::Apply,
            over: Over::These(over),
            due: Due::Now,
            cause: Cause::Drift,
            asked_by: "engine/after".to_owned(),
        };
        runs::make(tx, &job, &schedule, &new, now)?;
        let detail = serde_json::json!({ "cause": "drift", "controls": drifted.len() });
        let resource = format!("jobs/{}", job.name());
        audit::append(tx, &Entry { at: now, actor: "engine/after", action: "job.run", resource: &resource, detail })?;
    }
    Ok(())
}

/// Tell the recipients of each job which of its controls drifted.
fn tell_drifts(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let mut by_job: BTreeMap<Option<JobId>, Vec<after::Drifted>> = BTreeMap::new();
    for drifted in after::untold(tx, now.plus_seconds(-control::TELL_SECONDS))? {
        by_job.entry(drifted.job_id).or_default().push(drifted);
    }
    let before = now.plus_seconds(-control::TELL_SECONDS);
    for (job, drifted) in by_job {
        if let Some(job) = job {
            let last = after::told_of_job(tx, job)?;
            if last.is_some_and(|last| now < last.plus_seconds(TELL_JOB_SECONDS)) {
                continue;
            }
        }
        let ids: Vec<i64> = drifted.iter().map(|one| one.id).collect();
        // Another replica may be at it as well.
        if after::told(tx, &ids, before, now)? == 0 {
            continue;
        }
        if let Some(job) = job {
            let line = |one: &after::Drifted| match one.note.as_str() {
                "" => format!("{}: {}", one.asset_name, one.entry),
                note => format!("{}: {} ({note})", one.asset_name, one.entry),
            };
            mail::tell_lines(tx, job, Kind::Drifted, &drifted.iter().map(line).collect::<Vec<_>>(), now)?;
        }
    }
    Ok(())
}

fn reviews_untold(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<after::Review>, Error> {
    let mut due = after::reviews(tx, now, &AssetScope::All)?;
    due.retain(|review| review.review_told_at.is_none());
    Ok(due)
}

fn tell_reviews(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    for review in reviews_untold(tx, now)? {
        if after::review_told(tx, review.job_id, now)? {
            let lines = match review.controls {
                1 => "1 mitigation of it is in force".to_owned(),
                controls => format!("{controls} mitigations of it are in force"),
            };
            mail::tell_lines(tx, review.job_id, Kind::Review, &[lines], now)?;
        }
    }
    Ok(())
}
