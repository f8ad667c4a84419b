//! What follows a job without anybody asking: controls expire, drifts are told and put back, reviews fall due, rollbacks
//! are proposed. Takes no input but the database; every step is its own transaction and can be repeated.
//!
//! Flapping: a standing job puts a control back at most three times a day, a quarter of an hour apart
//! (`domain::control::PutBack`); after that it stays drifted until a person puts it back. Mail about one control comes at
//! most once a day, and about one job at most every quarter of an hour, with everything that drifted meanwhile in it.

mod expiry;
pub mod watch;

use crate::app::App;
use crate::engine::runs::{self, Cause, Does, Due, NewRun, Over};
use crate::engine::{follow, mail};
use crate::http::error::Error;
use domain::access::AssetScope;
use domain::control::{self, Reason};
use domain::id::JobId;
use domain::job::Status;
use domain::mail::Kind;
use domain::schedule::Schedule;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use store::audit::{self, Entry};
use store::controls::{self, after};
use store::proposals::{self, Fixed, NewProposal};
use store::{Transaction, jobs};

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(15);
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
    expiry::look(app).await?;
    let now = app.clock.now();
    propose(app, now).await?;
    if app.database.try_read(move |tx| Ok::<_, Error>(!after::standing_drifted(tx, now)?.is_empty())).await? {
        app.database.try_write(move |tx| put_back(tx, now)).await?;
        app.wake.notify("dispatch", 0);
    }
    if app.database.try_read(move |tx| Ok::<_, Error>(!untold(tx, now)?.is_empty())).await? {
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

/// Forget the proposals that there is no occasion for any more, and propose what there is one for: page by page, each page read
/// first and a transaction of its own.
async fn propose(app: &App, now: Timestamp) -> Result<(), Error> {
    let mut last = 0;
    loop {
        let stale =
            app.database.try_read(move |tx| Ok::<_, Error>(proposals::stale(tx, last, proposals::PAGE)?)).await?;
        let Some(end) = stale.last() else { break };
        last = *end;
        app.database.try_write(move |tx| Ok::<_, Error>(proposals::obsolete(tx, &stale, now)?)).await?;
    }
    let mut last = 0;
    loop {
        let fixed =
            app.database.try_read(move |tx| Ok::<_, Error>(proposals::fixed(tx, last, proposals::PAGE)?)).await?;
        let Some(end) = fixed.last() else { return Ok(()) };
        last = end.control_id;
        app.database.try_write(move |tx| fixed.iter().try_for_each(|fixed| propose_fixed(tx, fixed, now))).await?;
    }
}

fn propose_fixed(tx: &mut Transaction<'_>, fixed: &Fixed, now: Timestamp) -> Result<(), Error> {
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
        ours_maybe: fixed.ours_maybe,
    };
    if proposals::propose(tx, &new, now)? {
        let row = controls::read(tx, fixed.control_id)?;
        let noted = serde_json::json!({ "reason": "fixed", "items": fixed.items, "ours_maybe": fixed.ours_maybe });
        follow::note(tx, "engine/after", "proposal.make", &row, noted, now)?;
    }
    Ok(())
}

/// Make a run of each standing job for exactly what drifted of it.
fn put_back(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let mut by_job: BTreeMap<JobId, Vec<after::Standing>> = BTreeMap::new();
    for one in after::standing_drifted(tx, now)? {
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

/// Drifts that people are told of now.
fn untold(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<after::Drifted>, Error> {
    let quiet = now.plus_seconds(-TELL_JOB_SECONDS);
    Ok(after::untold(tx, now.plus_seconds(-control::TELL_SECONDS), quiet)?)
}

/// Tell the recipients of each job which of its controls drifted.
fn tell_drifts(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
    let mut by_job: BTreeMap<Option<JobId>, Vec<after::Drifted>> = BTreeMap::new();
    for drifted in untold(tx, now)? {
        by_job.entry(drifted.job_id).or_default().push(drifted);
    }
    let before = now.plus_seconds(-control::TELL_SECONDS);
    for (job, drifted) in by_job {
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
    Ok(after::reviews(tx, now, &AssetScope::All, true)?)
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
