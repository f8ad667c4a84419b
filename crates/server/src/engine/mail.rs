//! Tells people about jobs by mail (S1.13 to S1.15, R17): what is told is put down in the transaction that causes it, a
//! loop hands it over.
//!
//! The loop claims a few mails, hands each over in an envelope of its own, and marks them. A claim ends by the clock, so
//! a replica that dies in between costs at most a second copy of the mails it held, under the same Message-ID; SMTP
//! knows no better. Two replicas never hold the same mail.

use crate::app::App;
use crate::connect::smtp::{CONNECTIONS_MAX, SEND_TIME_MAX, Untaken};
use crate::failpoint;
use crate::http::auth::Caller;
use crate::http::error::Error;
use crate::letters;
use domain::access::{Action, Record};
use domain::id::JobId;
use domain::mail::{self, Answer, Facts, JITTER_WHOLE, Kind, Next, Progress};
use domain::refusal::Refusal;
use domain::time::Timestamp;
use futures_util::future::join_all;
use std::time::Duration;
use store::audit::{self, Entry};
use store::jobs::JobRow;
use store::mails::{self, Claimed, MailRow, Notice};
use store::runs::RunRow;
use store::{Transaction, accounts, jobs, outbox, runs};
use uuid::Uuid;

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(2);
/// Looks between two removals of old mail: about an hour.
const LOOKS_PER_SWEEP: u32 = 1_800;
/// Seconds a mail is claimed for: well above [`SEND_TIME_MAX`].
pub const CLAIM_SECONDS: i64 = 120;
/// How often and how far apart the mark of a mail that was handed over is tried.
const MARKS: (u32, Duration) = (5, Duration::from_secs(1));
/// Dead letters tried again in one transaction.
const RETRIED_AT_ONCE: i64 = 1_000;
/// What a mail without a mail server becomes.
pub const NO_SERVER: &str = "this server has no mail server to hand mail to; set one (smtp_host) and retry";

const _: () = assert!(SEND_TIME_MAX.as_secs() * 2 <= 120, "a claim outlives what is done under it");

/// Put down what these jobs have caused by now; what was put down before stays as it is.
///
/// # Errors
/// A failure of the store.
pub fn tell(tx: &mut Transaction<'_>, ids: impl IntoIterator<Item = JobId>, now: Timestamp) -> Result<(), Error> {
    for id in ids {
        let job = jobs::read(tx, id)?;
        let wanted = job.mail_started || job.mail_percent.is_some();
        let recipients: Vec<String> = serde_json::from_str(&job.recipients).map_err(Error::internal)?;
        if !wanted || recipients.is_empty() {
            continue;
        }
        // Each run is told of anew; one that is not over yet may still say something beside the newest.
        for run in runs::told(tx, id)? {
            tell_run(tx, &job, &run, &recipients, now)?;
        }
    }
    Ok(())
}

fn tell_run(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    run: &RunRow,
    recipients: &[String],
    now: Timestamp,
) -> Result<(), Error> {
    let (progress, [succeeded, failed, skipped, open]) = mails::progress(tx, run.id, run.begun_at.is_some())?;
    for kind in mail::caused(job.mail_started, job.mail_percent, progress) {
        let Progress { assets, reported, .. } = progress;
        let facts = Facts {
            job: job.name(),
            title: job.title.clone(),
            job_kind: job.kind.as_str().to_owned(),
            run: run.ordinal,
            owner: accounts::by_id(tx, job.owner_id)?.map(|owner| owner.name).unwrap_or_default(),
            percent: job.mail_percent,
            assets,
            reported,
            succeeded,
            failed,
            skipped,
            open,
            at: Some(now),
            ..Facts::default()
        };
        let key = format!("runs/{}/{}", run.id.0, kind.as_str());
        let notice = Notice { key: &key, kind, job: Some(job.id), facts: &facts };
        if let Some(put) = mails::put(tx, &notice, recipients, now)? {
            let detail = serde_json::json!({ "kind": kind, "run": run.ordinal, "recipients": put.len() });
            note(tx, "engine/mail", "mail.queue", &format!("jobs/{}", job.name()), detail, now)?;
        }
    }
    Ok(())
}

/// Tell the recipients of a job of something that follows it, line by line; without recipients nobody is told.
///
/// # Errors
/// A failure of the store.
pub fn tell_lines(
    tx: &mut Transaction<'_>,
    id: JobId,
    kind: Kind,
    lines: &[String],
    now: Timestamp,
) -> Result<(), Error> {
    let job = jobs::read(tx, id)?;
    let recipients: Vec<String> = serde_json::from_str(&job.recipients).map_err(Error::internal)?;
    if recipients.is_empty() {
        return Ok(());
    }
    let shown = lines.iter().take(mail::LINES_MAX).cloned().collect::<Vec<_>>();
    let facts = Facts {
        job: job.name(),
        title: job.title.clone(),
        job_kind: job.kind.as_str().to_owned(),
        run: 1,
        owner: accounts::by_id(tx, job.owner_id)?.map(|owner| owner.name).unwrap_or_default(),
        at: Some(now),
        more: i64::try_from(lines.len() - shown.len()).unwrap_or(i64::MAX),
        lines: shown,
        ..Facts::default()
    };
    let key = format!("jobs/{}/{}/{}", id.0, kind.as_str(), now.micros());
    let notice = Notice { key: &key, kind, job: Some(id), facts: &facts };
    if let Some(put) = mails::put(tx, &notice, &recipients, now)? {
        let detail = serde_json::json!({ "kind": kind, "lines": lines.len(), "recipients": put.len() });
        note(tx, "engine/mail", "mail.queue", &format!("jobs/{}", job.name()), detail, now)?;
    }
    Ok(())
}

fn note(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    resource: &str,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    audit::append(tx, &Entry { at: now, actor, action, resource, detail })?;
    Ok(())
}

/// Run until the server stops; what is being handed over is finished first.
pub async fn run(app: App) {
    let (mut woken, mut jobs) = (app.wake.listen("mail", 0), app.wake.listen("job", 0));
    let mut looks = 0_u32;
    while !app.stopping.is_cancelled() {
        match look(&app).await {
            Ok(0) => {
                if let Some(mailer) = &app.mailer {
                    mailer.close_idle();
                }
            }
            Ok(_) => continue,
            Err(error) => tracing::error!("mail was not looked after, the next look will: {error:?}"),
        }
        if looks == 0 {
            let limit = app.clock.now().plus_seconds(-mail::KEPT_DAYS * 86_400);
            if let Err(error) = app.database.write(move |tx| mails::forget_before(tx, limit)).await {
                tracing::warn!("old mail was not removed now; trying again: {}", crate::http::error::causes(&error));
            }
        }
        looks = (looks + 1) % LOOKS_PER_SWEEP;
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
            () = jobs.changed() => {}
        }
    }
}

/// Hand over what is due, a few mails at the same time; gives how many were tried.
///
/// # Errors
/// A failure of the store. Mails that were handed over and could not be marked are handed over again.
pub async fn look(app: &App) -> Result<usize, Error> {
    let now = app.clock.now();
    // Looking costs nothing; claiming is a write, which an idle server does not make.
    let due = app.database.read(|tx| outbox::next_due(tx, mails::TOPIC)).await?;
    if due.is_none_or(|due| due > now) {
        return Ok(0);
    }
    let claim = Uuid::new_v4();
    let limit = i64::from(CONNECTIONS_MAX);
    let claimed = app.database.write(move |tx| mails::claim(tx, claim, now, CLAIM_SECONDS, limit)).await?;
    let tried = join_all(claimed.into_iter().map(|claimed| attempt(app, claimed))).await;
    if tried.is_empty() {
        return Ok(0);
    }
    failpoint::hit("mail.handed_over");
    let count = tried.len();
    mark(app, tried).await?;
    Ok(count)
}

/// One try and what came of it.
#[derive(Clone)]
struct Tried {
    claimed: Claimed,
    answer: Answer,
    said: String,
}

async fn attempt(app: &App, claimed: Claimed) -> Tried {
    let (answer, said) = match hand_over(app, &claimed.mail).await {
        Ok(()) => (Answer::Taken, String::new()),
        Err(untaken) => (untaken.answer, untaken.said),
    };
    Tried { claimed, answer, said }
}

async fn hand_over(app: &App, row: &MailRow) -> Result<(), Untaken> {
    let unsendable = |said: String| Untaken { answer: Answer::Unsendable, said };
    let Some(mailer) = &app.mailer else { return Err(unsendable(NO_SERVER.to_owned())) };
    let facts: Facts = serde_json::from_str(&row.facts).map_err(|error| unsendable(error.to_string()))?;
    let letter = letters::write(row.kind, &facts, &app.site.public_url);
    let letter = letter.map_err(|error| unsendable(error.to_string()))?;
    mailer.send(row.uuid, &row.recipient, &letter, row.created_at).await
}

async fn mark(app: &App, tried: Vec<Tried>) -> Result<(), Error> {
    let (times, pause) = MARKS;
    for time in 1.. {
        let (tried, now) = (tried.clone(), app.clock.now());
        let marked = app.database.try_write(move |tx| {
            for tried in &tried {
                mark_one(tx, tried, now)?;
            }
            Ok::<_, Error>(())
        });
        match marked.await {
            Ok(()) => break,
            Err(error) if time >= times => return Err(error),
            Err(error) => tracing::warn!("mail that was handed over is not marked yet: {error:?}"),
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

fn mark_one(tx: &mut Transaction<'_>, tried: &Tried, now: Timestamp) -> Result<(), Error> {
    let Tried { claimed, answer, said } = tried;
    let id = claimed.mail.id;
    let ours = match mail::after(*answer, claimed.mail.attempts, rand::random_range(0..JITTER_WHOLE)) {
        Next::Sent => mails::sent(tx, claimed, now)?,
        Next::Again(seconds) => {
            tracing::warn!(mail = id, "mail {id} was not taken and is tried again in {seconds} s: {said}");
            mails::failed(tx, claimed, now.plus_seconds(seconds), said, now)?
        }
        Next::Dead => {
            tracing::warn!(mail = id, "mail {id} is a dead letter: {said}");
            let dead = mails::dead(tx, claimed, said, now)?;
            if dead {
                let detail = serde_json::json!({ "attempts": claimed.mail.attempts, "error": said });
                note(tx, "engine/mail", "mail.dead", &format!("mail/{id}"), detail, now)?;
            }
            dead
        }
    };
    if !ours {
        tracing::warn!(mail = id, "mail {id} took so long that it is handed over a second time");
    }
    Ok(())
}

/// Queue a test mail; gives its row.
///
/// # Errors
/// Without the permission, without a mail server, for what is no address.
pub async fn test(app: &App, caller: &Caller, recipient: &str) -> Result<MailRow, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    if app.mailer.is_none() {
        return Err(Refusal::new("mail_not_configured", NO_SERVER).into());
    }
    mail::address(recipient).map_err(|why| Error::field("recipient", "bad_recipient", why.to_string()))?;
    let (caller, recipient, now) = (caller.clone(), recipient.to_owned(), app.clock.now());
    let row = app.database.try_write(move |tx| {
        let facts = Facts { owner: caller.name.clone(), at: Some(now), ..Facts::default() };
        let key = format!("test/{}", Uuid::new_v4());
        let notice = Notice { key: &key, kind: Kind::Test, job: None, facts: &facts };
        let put = mails::put(tx, &notice, std::slice::from_ref(&recipient), now)?.unwrap_or_default();
        let id = put.first().copied().ok_or(store::Error::NotFound)?;
        note(tx, &caller.author(), "mail.test", &format!("mail/{id}"), serde_json::Value::Null, now)?;
        Ok::<_, Error>(mails::find(tx, id)?.ok_or(store::Error::NotFound)?)
    });
    let row = row.await?;
    app.wake.notify("mail", 0);
    Ok(row)
}

/// Try a dead letter, or one that waits for its next try, now and from the beginning.
///
/// # Errors
/// Without the permission, for an unknown mail, for one that is neither.
pub async fn retry(app: &App, caller: &Caller, id: i64) -> Result<MailRow, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let row = app.database.try_write(move |tx| {
        let unknown = || Error::NotFound(format!("mail {id}"));
        let before = mails::find(tx, id)?.ok_or_else(unknown)?;
        if !before.state.can_retry() || !mails::retry(tx, id, now)? {
            let sentence = format!("mail {id} is {}; only what failed can be tried again", before.state.as_str());
            return Err(Refusal::new("mail_not_failed", sentence).into());
        }
        let detail = serde_json::json!({ "was": before.state, "attempts": before.attempts });
        note(tx, &caller.author(), "mail.retry", &format!("mail/{id}"), detail, now)?;
        mails::find(tx, id)?.ok_or_else(unknown)
    });
    let row = row.await?;
    app.wake.notify("mail", 0);
    Ok(row)
}

/// Try every dead letter now and from the beginning; gives how many there were.
///
/// # Errors
/// Without the permission, without a mail server.
pub async fn retry_all(app: &App, caller: &Caller) -> Result<usize, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    if app.mailer.is_none() {
        return Err(Refusal::new("mail_not_configured", NO_SERVER).into());
    }
    let (mut after, mut retried) = (0, 0);
    loop {
        let (caller, now) = (caller.clone(), app.clock.now());
        let ids = app.database.try_write(move |tx| {
            let ids = mails::retry_dead(tx, after, RETRIED_AT_ONCE, now)?;
            if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
                let detail = serde_json::json!({ "mails": ids.len(), "first": first, "last": last });
                note(tx, &caller.author(), "mail.retry_all", "mail", detail, now)?;
            }
            Ok::<_, Error>(ids)
        });
        let ids = ids.await?;
        // What dies again meanwhile lies behind; it is not met twice.
        let Some(last) = ids.last() else { break };
        (after, retried) = (*last, retried + ids.len());
        app.wake.notify("mail", 0);
    }
    Ok(retried)
}
