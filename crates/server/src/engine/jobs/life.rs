//! The life of a job: saving, enabling, disabling, pausing, cancelling, running it again, cloning, giving it away, deleting.
//!
//! `domain::job::act` says what fits its state and `domain::access` who may; here the answer is carried out.

use super::{Job, complete, load, note, reviewed};
use crate::app::App;
use crate::engine::approvals;
use crate::engine::runs::{self, Cause, Does, Due, NewRun, Over};
use crate::engine::selection;
use crate::failpoint;
use crate::http::auth::Caller;
use crate::http::conditional::IfMatch;
use crate::http::error::Error;
use domain::access::{self, Action, Cover, Record};
use domain::control::Afterwards;
use domain::job::{self, Act, Kind, Life, Pace};
use domain::number::Series;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use store::accounts::Account;
use store::controls::{after, rollback as kept};
use store::jobs::{Draft, NewJob};
use store::{Transaction, accounts, jobs, numbers};

/// Do one of the acts of `domain::job` to a job; gives the job, or the copy that was made of it.
///
/// # Errors
/// A missing permission, or the refusal of the state machine, or fields that keep it from being saved. Changing the owner
/// needs a name: [`change_owner`].
pub async fn act(app: &App, caller: &Caller, number: i64, act: Act) -> Result<Job, Error> {
    act_on(app, caller, number, act, IfMatch(None)).await
}

/// As [`act`], on the version of the job that somebody has seen, where he says which.
///
/// # Errors
/// As [`act`]; 412 where somebody else changed it meanwhile.
pub async fn act_on(app: &App, caller: &Caller, number: i64, act: Act, seen: IfMatch) -> Result<Job, Error> {
    let (doer, now) = (caller.clone(), app.clock.now());
    let job = app.database.try_write(move |tx| act_in(tx, &doer, number, act, seen, now)).await?;
    if matches!(act, Act::Enable | Act::SaveAndEnable) {
        failpoint::hit("job.enabled");
    }
    app.wake.notify("job", job.row.id.0);
    app.wake.notify("dispatch", 0);
    if matches!(act, Act::Cancel | Act::Pause | Act::Resume) {
        // Orders are taken back, or made again, at the agents' next word.
        app.wake.notify_all("agent");
    }
    Ok(job)
}

fn act_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: i64,
    act: Act,
    seen: IfMatch,
    now: Timestamp,
) -> Result<Job, Error> {
    let job = load(tx, caller, number)?;
    caller.may(act.needs(), &job.record)?;
    seen.check(job.row.version)?;
    let life = job::act(job.row.life(), act)?;
    match act {
        Act::Clone => return copy(tx, caller, &job, now),
        Act::ChangeOwner => return Err(Refusal::new("owner_missing", "name the user who is to own the job").into()),
        Act::Save | Act::SaveAndEnable | Act::Enable | Act::RunNow | Act::RetryFailed => {
            reviewed(&job)?;
        }
        _ => {}
    }
    if !matches!(act, Act::Delete | Act::Edit) {
        jobs::set_life(tx, job.row.id, life, now)?;
    }
    if matches!(act, Act::SaveAndEnable | Act::Enable | Act::RunNow | Act::RetryFailed) {
        // Before a run is made: who wants it to run does not approve it.
        store::approvals::set_enabled_by(tx, job.row.id, caller.user)?;
    }
    carry_out(tx, caller, &job, act, life, now)?;
    approvals::withdraw(tx, &job.row, now)?;
    let word = format!("job.{}", act.as_str());
    note(tx, caller, &word, &jobs::name(number), serde_json::json!({ "status": life.status }), now)?;
    if act == Act::Delete {
        return Ok(job);
    }
    load(tx, caller, number)
}

/// What an act sets in motion or stops.
fn carry_out(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    job: &Job,
    act: Act,
    before: Life,
    now: Timestamp,
) -> Result<(), Error> {
    let (id, author) = (job.row.id, caller.author());
    match act {
        Act::Delete => {
            runs::withdraw(tx, id)?;
            jobs::delete(tx, id, now)?;
        }
        Act::Enable | Act::SaveAndEnable => runs::set_in_motion(tx, &job.row, &job.schedule, &author, now)?,
        Act::Disable => {
            runs::withdraw(tx, id)?;
            jobs::forget_enabled(tx, id)?;
        }
        Act::Resume => runs::go_on(tx, &job.row, &job.schedule, now)?,
        Act::Cancel => runs::cancel(tx, id, now)?,
        Act::RunNow => {
            if before.pace == Pace::Once {
                // It runs now instead of at its time.
                store::runs::drop_waiting(tx, id)?;
            }
            store::runs::settle_started(tx, id)?;
            let new = NewRun::whole(&job.row, Due::Now, Cause::Now, &author);
            runs::make(tx, &job.row, &job.schedule, &new, now)?;
        }
        Act::RetryFailed => {
            let over = Over::These(runs::failed(tx, id)?);
            store::runs::settle_started(tx, id)?;
            let does = Does::of(job.row.kind);
            let new = NewRun { does, over, due: Due::Now, cause: Cause::Retry, asked_by: author };
            runs::make(tx, &job.row, &job.schedule, &new, now)?;
        }
        Act::Save | Act::Edit | Act::Pause | Act::Clone | Act::ChangeOwner => {}
    }
    Ok(())
}

/// A draft with the same content, owned by who asked for it.
fn copy(tx: &mut Transaction<'_>, caller: &Caller, job: &Job, now: Timestamp) -> Result<Job, Error> {
    if job.row.kind == Kind::Rollback {
        caller.may(Action::Rollback, &Record::owned_by(caller.user))?;
    }
    let number = numbers::next(tx, Series::Job)?;
    let row = &job.row;
    let draft = Draft {
        title: format!("Copy of {}", row.title).chars().take(job::TITLE_MAX).collect(),
        description: row.description.clone(),
        schedule: row.schedule.clone(),
        recipients: row.recipients.clone(),
        mail_started: row.mail_started,
        mail_percent: row.mail_percent,
        standing: row.standing,
    };
    let new = NewJob {
        number: number.ordinal,
        kind: row.kind,
        platform: row.platform,
        origin: row.origin.clone(),
        owner: caller.user,
    };
    let id = jobs::create(tx, &new, &draft, now)?;
    match selection::plan(tx, row)? {
        // A free-standing job chooses anew, inside the scope of who copies it (R19).
        Some((plan, _)) => {
            let made = jobs::read(tx, id)?;
            selection::adopt(tx, caller, &made, plan, true, now)?;
        }
        None => {
            jobs::set_targets(tx, id, &job.targets)?;
            jobs::set_actions(tx, id, &job.actions)?;
        }
    }
    // As stored: one that says nothing of it goes on with the default of the day.
    let rollout = store::rollouts::policy(tx, job.row.id)?;
    store::rollouts::set_policy(tx, id, &rollout)?;
    let afterwards = job.after.ahead(now);
    if afterwards != Afterwards::default() {
        after::set_of_job(tx, id, &afterwards)?;
    }
    let only = kept::kept_to(tx, job.row.id)?;
    kept::keep_to(tx, id, only)?;
    // The new owner is no co-author of his own job.
    let coauthors: Vec<_> = job.coauthors.iter().copied().filter(|user| *user != caller.user).collect();
    jobs::set_coauthors(tx, id, &coauthors)?;
    let detail = serde_json::json!({ "of": row.name() });
    note(tx, caller, "job.clone", &number.to_string(), detail, now)?;
    let row = jobs::read(tx, id)?;
    complete(tx, caller, row)
}

/// Give a job to another user, who must be able to work on it.
///
/// # Errors
/// A missing permission, an unknown user, one who may not edit jobs of his own or does not see every asset of this one.
pub async fn change_owner(app: &App, caller: &Caller, number: i64, owner: &str) -> Result<Job, Error> {
    let (doer, now, owner) = (caller.clone(), app.clock.now(), owner.to_owned());
    let job = app.database.try_write(move |tx| change_owner_in(tx, &doer, number, &owner, now)).await?;
    app.wake.notify("job", job.row.id.0);
    Ok(job)
}

fn change_owner_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: i64,
    owner: &str,
    now: Timestamp,
) -> Result<Job, Error> {
    let job = load(tx, caller, number)?;
    caller.may(Act::ChangeOwner.needs(), &job.record)?;
    job::act(job.row.life(), Act::ChangeOwner)?;
    let found = accounts::by_name(tx, owner)?.filter(|account| account.active);
    let unknown = || Error::field("owner", "unknown_user", format!("there is no active user `{owner}`"));
    let heir = found.ok_or_else(unknown)?;
    able(tx, &job, &heir)?;
    let before = accounts::by_id(tx, job.row.owner_id)?.map(|account| account.name).unwrap_or_default();
    jobs::set_owner(tx, job.row.id, heir.id, now)?;
    let detail = serde_json::json!({ "from": before, "to": heir.name });
    note(tx, caller, "job.change_owner", &jobs::name(number), detail, now)?;
    load(tx, caller, number)
}

/// Whoever owns a job has to be able to work on it: by a role, and on every asset.
fn able(tx: &mut Transaction<'_>, job: &Job, heir: &Account) -> Result<(), Error> {
    let actor = heir.actor(None);
    let (cover, _) = super::cover(tx, &actor.scope, job.row.id)?;
    let refuse = |why: String| Err(Error::field("owner", "owner_unable", why));
    if cover != Cover::Whole {
        return refuse(format!("`{}` does not see every asset of the job", heir.name));
    }
    if !access::may(&actor, Action::JobEdit, &Record::owned_by(heir.id)).allowed() {
        return refuse(format!("the roles of `{}` do not include the permission to edit mitigation jobs", heir.name));
    }
    Ok(())
}
