//! What people do after a job: put back what drifted, decide proposals, say that a review is done, and the settings of it.
//!
//! What happens without them is `engine::after`; the rules are `domain::control`'s.

use crate::app::App;
use crate::engine::jobs::{self, FilledIn, Text, Written, store_draft};
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::control::{Afterwards, Standing};
use domain::id::{AssetId, JobId, UserId};
use domain::job::{Act, Kind, Target};
use domain::mitigation::{ControlState, Origin};
use domain::refusal::Refusal;
use domain::risk::Formula;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::{self, Entry};
use store::controls::{self, ControlRow, after};
use store::jobs::JobRow;
use store::{Transaction, assets, eliminations, proposals};

/// The setting's name.
pub const SETTING: &str = "after";
/// Minutes between two looks of an agent, at least and at most; agents keep the same bounds.
pub const CHECK_MINUTES: std::ops::RangeInclusive<i64> = 15..=10_080;
/// Characters of a reason or an answer at most.
pub const WORDS_MAX: usize = 500;

/// The settings of what follows a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Minutes between two looks of an agent at its controls.
    pub check_minutes: i64,
    /// The formula of the asset risk that is shown.
    pub formula: Formula,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { check_minutes: 240, formula: Formula::default() }
    }
}

impl Settings {
    /// Seconds between two looks, within bounds.
    #[must_use]
    pub fn check_seconds(&self) -> u32 {
        let minutes = self.check_minutes.clamp(*CHECK_MINUTES.start(), *CHECK_MINUTES.end());
        u32::try_from(minutes * 60).unwrap_or(u32::MAX)
    }
}

/// The settings as they stand.
///
/// # Errors
/// A failure of the store.
pub fn settings(tx: &mut Transaction<'_>) -> Result<Settings, Error> {
    Ok(store::settings::get::<Settings>(tx, SETTING)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change the settings.
///
/// # Errors
/// A missing permission; 422 for minutes outside [`CHECK_MINUTES`].
pub async fn change_settings(app: &App, caller: &Caller, wanted: Settings) -> Result<Settings, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    if !CHECK_MINUTES.contains(&wanted.check_minutes) {
        let why = format!("agents look every {} to {} minutes", CHECK_MINUTES.start(), CHECK_MINUTES.end());
        return Err(Error::field("check_minutes", "out_of_range", why));
    }
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            store::settings::put(tx, &author, SETTING, &wanted, None, now)?;
            Ok::<_, Error>(wanted.clone())
        })
        .await
}

/// A control on an asset that the caller may see.
///
/// # Errors
/// Not found, also where the caller may not know of it.
pub fn control(tx: &mut Transaction<'_>, caller: &Caller, id: i64) -> Result<ControlRow, Error> {
    let missing = || Error::NotFound(format!("control {id}"));
    let row = controls::read(tx, id).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    if !sees(tx, caller, row.asset_id)? {
        return Err(missing());
    }
    Ok(row)
}

fn sees(tx: &mut Transaction<'_>, caller: &Caller, asset: AssetId) -> Result<bool, Error> {
    let tags = assets::tags(tx, &[asset])?.remove(&asset).unwrap_or_default();
    Ok(caller.scope.sees(tags.iter().map(String::as_str)))
}

/// Whether a control can be put back with a job of its own now.
///
/// # Errors
/// The refusal: `control_in_force`, `control_not_there`.
pub fn can_reapply(row: &ControlRow) -> Result<(), Refusal> {
    match row.state {
        _ if row.expired_at.is_some() => {
            Err(Refusal::new("control_expired", "it has expired; make a new job from its eliminations"))
        }
        ControlState::Drifted | ControlState::Exposed | ControlState::Unknown => Ok(()),
        ControlState::Effective | ControlState::Configured => {
            Err(Refusal::new("control_in_force", "it is in force; there is nothing to put back"))
        }
        ControlState::NotApplicable => {
            Err(Refusal::new("control_not_there", "what it protects is not on this asset any more"))
        }
    }
}

/// Put a control back: a job of its own for this asset and entry, saved and enabled. Gives its number.
///
/// # Errors
/// A missing permission; a control in force, expired, or without an open item; what keeps the job from being enabled.
pub async fn reapply(app: &App, caller: &Caller, id: i64) -> Result<String, Error> {
    caller.may(Action::JobCreate, &Record::owned_by(caller.user))?;
    let (asker, now) = (caller.clone(), app.clock.now());
    let made = app.database.try_write(move |tx| {
        let row = control(tx, &asker, id)?;
        can_reapply(&row)?;
        let new = Made {
            kind: Kind::Mitigation,
            title: format!("Put back {}", row.title),
            why: format!("{} drifted on this asset and is put back by {}.", row.entry, asker.name),
            of: put_by(tx, &row)?,
        };
        let (_, number) = draft(tx, asker.user, &asker.author(), &row, &new, now)?;
        note(
            tx,
            &asker.author(),
            "control.reapply",
            &row,
            serde_json::json!({ "job": store::jobs::name(number) }),
            now,
        )?;
        Ok::<_, Error>(number)
    });
    let number = made.await?;
    let job = jobs::act(app, caller, number, Act::SaveAndEnable).await?;
    Ok(job.row.name())
}

/// What a job made here is about.
pub(crate) struct Made {
    pub kind: Kind,
    pub title: String,
    pub why: String,
    /// The job that put the control in place: the same people are told, and hosts are kept apart as it says.
    pub of: Option<JobRow>,
}

/// The job that put a control in place, or found it there.
fn put_by(tx: &mut Transaction<'_>, row: &ControlRow) -> Result<Option<JobRow>, Error> {
    Ok(row.job_number.map(|number| store::jobs::by_number(tx, number)).transpose()?.flatten())
}

/// Make a draft for one control: its asset, its entry, and the vulnerabilities that it covers there.
///
/// # Errors
/// `no_items` where no item on the asset names it.
pub(crate) fn draft(
    tx: &mut Transaction<'_>,
    owner: UserId,
    author: &str,
    row: &ControlRow,
    new: &Made,
    now: Timestamp,
) -> Result<(JobId, i64), Error> {
    let vulnerabilities = after::vulnerabilities_of(tx, row)?;
    if vulnerabilities.is_empty() {
        return Err(Refusal::new("no_items", "no item on this asset names this mitigation").into());
    }
    let platform = assets::one(tx, row.asset_id)?.platform;
    let of = |vulnerability| Target { asset: row.asset_id, vulnerability };
    let found = FilledIn {
        platform,
        targets: vulnerabilities.iter().copied().map(of).collect(),
        actions: vulnerabilities.iter().map(|vulnerability| (*vulnerability, row.entry_key)).collect(),
        only: Vec::new(),
    };
    let detail = serde_json::json!({ "kind": new.kind, "control": row.id, "entry": row.entry, "assets": 1 });
    let text = Text { title: new.title.clone(), description: new.why.clone(), detail };
    let mut written = Written::from(text);
    if let Some(of) = &new.of {
        written.recipients.clone_from(&of.recipients);
    }
    let id = store_draft(tx, new.kind, &found, (owner, author), written, now)?;
    if let Some(of) = &new.of {
        let rollout = store::rollouts::policy(tx, of.id)?;
        store::rollouts::set_policy(tx, id, &rollout)?;
    }
    Ok((id, store::jobs::read(tx, id)?.number))
}

/// Accept a proposal: a draft of a rollback job is made. Gives its number.
///
/// # Errors
/// A missing permission, a proposal that is decided, a control that is not ours any more.
pub async fn accept(app: &App, caller: &Caller, id: i64) -> Result<String, Error> {
    caller.may(Action::Rollback, &Record::owned_by(caller.user))?;
    let (asker, now) = (caller.clone(), app.clock.now());
    let made = app.database.try_write(move |tx| {
        let proposal = proposal(tx, &asker, id)?;
        proposal.state.decidable()?;
        let row = controls::read(tx, proposal.control_id)?;
        if row.origin != Origin::Ours {
            return Err(Refusal::new("control_not_ours", "others put it there, so it is not ours to undo").into());
        }
        let new = Made {
            kind: Kind::Rollback,
            title: format!("Roll back {}", row.title),
            why: format!("Proposed because {}.", proposal.words()),
            of: put_by(tx, &row)?,
        };
        let (job, number) = draft(tx, asker.user, &asker.author(), &row, &new, now)?;
        decided(tx, &asker, id, Standing::Accepted, "", Some(job), now)?;
        Ok::<_, Error>(number)
    });
    Ok(store::jobs::name(made.await?))
}

/// Dismiss a proposal, with the reason.
///
/// # Errors
/// A missing permission, no reason, a proposal that is decided.
pub async fn dismiss(app: &App, caller: &Caller, id: i64, reason: &str) -> Result<(), Error> {
    caller.may(Action::Rollback, &Record::owned_by(caller.user))?;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > WORDS_MAX {
        let why = format!("say why it is dismissed, in at most {WORDS_MAX} characters; the audit log keeps it");
        return Err(Error::field("reason", "reason_missing", why));
    }
    let (asker, now) = (caller.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            proposal(tx, &asker, id)?.state.decidable()?;
            decided(tx, &asker, id, Standing::Dismissed, &reason, None, now)
        })
        .await
}

fn proposal(tx: &mut Transaction<'_>, caller: &Caller, id: i64) -> Result<proposals::ProposalRow, Error> {
    let missing = || Error::NotFound(format!("proposal {id}"));
    let row = proposals::one(tx, id).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    if sees(tx, caller, row.asset_id)? { Ok(row) } else { Err(missing()) }
}

fn decided(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    id: i64,
    state: Standing,
    answer: &str,
    job: Option<JobId>,
    now: Timestamp,
) -> Result<(), Error> {
    if !proposals::decide(tx, id, state, &caller.name, answer, job, now)? {
        return Err(Refusal::new("proposal_decided", "somebody else has just decided it; load it again").into());
    }
    let action = if state == Standing::Accepted { "proposal.accept" } else { "proposal.dismiss" };
    let detail = serde_json::json!({ "reason": answer });
    let resource = format!("proposals/{id}");
    audit::append(tx, &Entry { at: now, actor: &caller.author(), action, resource: &resource, detail })?;
    Ok(())
}

/// Say that a job was looked at; with `next` it is to be looked at again then.
///
/// # Errors
/// A missing permission, a review that is not due, a next date that is over.
pub async fn reviewed(app: &App, caller: &Caller, number: i64, next: Option<Timestamp>) -> Result<(), Error> {
    let (asker, now) = (caller.clone(), app.clock.now());
    Afterwards { review_at: next, ..Afterwards::default() }
        .validate(now)
        .map_err(|refusal| Error::field("next", refusal.code, refusal.sentence))?;
    app.database
        .try_write(move |tx| {
            let job = jobs::load(tx, &asker, number)?;
            asker.may(Action::JobEdit, &job.record)?;
            if !after::reviewed(tx, job.row.id, next, now)? {
                let sentence = format!("no review of {} is due", job.row.name());
                return Err(Refusal::new("review_not_due", sentence).into());
            }
            let (author, resource) = (asker.author(), format!("jobs/{}", job.row.name()));
            let detail = serde_json::json!({ "next": next });
            audit::append(tx, &Entry { at: now, actor: &author, action: "job.review", resource: &resource, detail })?;
            Ok(())
        })
        .await
}

pub(crate) fn note(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    row: &ControlRow,
    mut detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    if let Some(fields) = detail.as_object_mut() {
        fields.insert("entry".to_owned(), row.entry.clone().into());
    }
    let resource = format!("assets/{}", row.asset_id);
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}

/// QID and title of what a control covers on its asset.
///
/// # Errors
/// A failure of the store.
pub fn covered(tx: &mut Transaction<'_>, row: &ControlRow) -> Result<Vec<(i64, String)>, Error> {
    let keys: Vec<i64> = after::vulnerabilities_of(tx, row)?.into_iter().map(|id| id.0).collect();
    Ok(eliminations::titles(tx, &keys)?.into_iter().map(|(_, qid, title)| (qid, title)).collect())
}
