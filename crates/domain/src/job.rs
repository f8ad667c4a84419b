//! The mitigation job: the rules of its seven steps and of its life.
//!
//! R1 to R8, R16, R17, S1.03 to S1.22; `mitigation-jobs.md` 2.6 and 2.7. Who may do what is decided in `access`; what a task does is in `task`.

use crate::access::Action;
use crate::id::{AssetId, VulnerabilityId};
use crate::mail::{self, RECIPIENTS_MAX};
use crate::refusal::Refusal;
use crate::schedule::Schedule;
use crate::task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Assets of a job made from eliminations, at most.
pub const ASSETS_MAX: usize = 10_000;
/// Characters of a title.
pub const TITLE_MAX: usize = 200;
/// Characters of a description.
pub const DESCRIPTION_MAX: usize = 4_000;

/// Status of a job, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The wizard is not finished; no job yet.
    Draft,
    /// Stored; does not run until enabled (S1.19, S1.20).
    Disabled,
    /// Runs, now or at its time.
    Enabled,
    /// Ended; no task has code 1.
    Completed,
    /// Ended; some task has code 1 (R16).
    CompletedWithFailures,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] =
        [Status::Draft, Status::Disabled, Status::Enabled, Status::Completed, Status::CompletedWithFailures];

    /// The word used in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Draft => "DRAFT",
            Status::Disabled => "DISABLED",
            Status::Enabled => "ENABLED",
            Status::Completed => "COMPLETED",
            Status::CompletedWithFailures => "COMPLETED_WITH_FAILURES",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// What a job does to its assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Put mitigations in place.
    Mitigation,
    /// Take ours back.
    Rollback,
}

impl Kind {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Mitigation => "mitigation",
            Kind::Rollback => "rollback",
        }
    }

    /// The word back to the value; unknown words are `Mitigation`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        if word == "rollback" { Kind::Rollback } else { Kind::Mitigation }
    }
}

/// How often a job runs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Once, when it is enabled.
    OnDemand,
    /// Once, at its time.
    Once,
    /// Again and again.
    Recurring,
}

impl Pace {
    /// That of a schedule.
    #[must_use]
    pub fn of(schedule: &Schedule) -> Pace {
        match schedule {
            Schedule::OnDemand => Pace::OnDemand,
            Schedule::Once { .. } => Pace::Once,
            Schedule::Recurring(_) => Pace::Recurring,
        }
    }
}

/// A job as far as its life goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    /// Status.
    pub status: Status,
    /// How often it runs by itself.
    pub pace: Pace,
    /// A run is under way: something of it became due, and not everything of it has ended.
    pub started: bool,
    /// Somebody cancelled that run; it ends when every task has.
    pub cancelled: bool,
    /// Nothing starts until somebody resumes it; what runs on a host ends.
    pub paused: bool,
    /// Some asset and action of the job has code 1 as its last result.
    pub failing: bool,
}

/// What people do to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Finish the wizard; the job becomes DISABLED.
    Save,
    /// Finish the wizard; the job becomes ENABLED. Only at creation (S1.21, R1).
    SaveAndEnable,
    /// Change any of the steps.
    Edit,
    /// DISABLED to ENABLED.
    Enable,
    /// ENABLED to DISABLED, while nothing has started, or between two runs of a recurring job (S1.22, R7).
    Disable,
    /// Start nothing more for now; what runs ends and reports.
    Pause,
    /// Go on.
    Resume,
    /// Stop a run: no further starts, what runs ends and reports.
    Cancel,
    /// Make a run now: of a scheduled job, or again of one that has ended.
    RunNow,
    /// Make a run over the assets and actions whose last result is code 1.
    RetryFailed,
    /// Make a draft with the same content.
    Clone,
    /// Give the job to somebody else.
    ChangeOwner,
    /// Remove the job from the lists; its history stays in the audit.
    Delete,
}

impl Act {
    /// Every act.
    pub const ALL: [Act; 13] = [
        Act::Save,
        Act::SaveAndEnable,
        Act::Edit,
        Act::Enable,
        Act::Disable,
        Act::Pause,
        Act::Resume,
        Act::Cancel,
        Act::RunNow,
        Act::RetryFailed,
        Act::Clone,
        Act::ChangeOwner,
        Act::Delete,
    ];

    /// The word in the API, in paths and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Save => "save",
            Act::SaveAndEnable => "save_and_enable",
            Act::Edit => "edit",
            Act::Enable => "enable",
            Act::Disable => "disable",
            Act::Pause => "pause",
            Act::Resume => "resume",
            Act::Cancel => "cancel",
            Act::RunNow => "run_now",
            Act::RetryFailed => "retry_failed",
            Act::Clone => "clone",
            Act::ChangeOwner => "change_owner",
            Act::Delete => "delete",
        }
    }

    /// The permission it needs.
    #[must_use]
    pub fn needs(self) -> Action {
        match self {
            Act::Save | Act::Edit => Action::JobEdit,
            Act::SaveAndEnable | Act::Enable => Action::JobEnable,
            Act::Disable => Action::JobDisable,
            Act::Pause | Act::Resume => Action::JobPause,
            Act::Cancel => Action::JobCancel,
            Act::RunNow | Act::RetryFailed => Action::JobRun,
            Act::Clone => Action::JobCreate,
            Act::ChangeOwner => Action::JobShare,
            Act::Delete => Action::JobDelete,
        }
    }
}

/// The life after an act.
///
/// # Errors
/// A refusal that says why the act does not fit the status: `job_is_draft`, `job_not_draft`, `job_enabled`,
/// `job_started`, `job_ended`, `job_not_enabled`, `job_not_running`, `job_paused`, `job_not_paused`, `nothing_failed`.
pub fn act(life: Life, act: Act) -> Result<Life, Refusal> {
    let refuse = |code, sentence: &str| Err(Refusal::new(code, sentence.to_owned()));
    let to = |status| Ok(Life { status, paused: false, ..life });
    let ended = matches!(life.status, Status::Completed | Status::CompletedWithFailures);
    match (act, life.status) {
        // Neither touches what the job does.
        (Act::Clone | Act::ChangeOwner, _) => Ok(life),
        (Act::Save, Status::Draft) => to(Status::Disabled),
        (Act::SaveAndEnable, Status::Draft) => to(Status::Enabled),
        (Act::Save, Status::Disabled) => Ok(life),
        (Act::SaveAndEnable, _) => refuse(
            "job_not_draft",
            "save and enable is offered only when the job is first created; save it, then enable it",
        ),
        (Act::Edit, Status::Draft | Status::Disabled) => Ok(life),
        (Act::Delete, Status::Draft) => Ok(life),
        (_, Status::Draft) => refuse("job_is_draft", "the job is a draft; finish the wizard and save it first"),
        (Act::Delete, Status::Enabled) if life.started => {
            refuse("job_started", "the job is running; cancel it first, then delete it")
        }
        (Act::Delete, _) => Ok(life),
        (Act::RunNow | Act::RetryFailed, _) => again(life, act),
        (_, _) if ended => refuse("job_ended", "the job has ended; run it again, or clone it to change it"),
        (Act::Enable, Status::Disabled) => to(Status::Enabled),
        (Act::Enable, _) => refuse("job_enabled", "the job is enabled already"),
        (Act::Disable, Status::Enabled) if life.started && life.pace == Pace::Recurring => {
            refuse("job_started", "a run is under way; disable the job when it has ended, or pause or cancel it")
        }
        (Act::Disable, Status::Enabled) if life.started => {
            refuse("job_started", "the job has started; pause it, or cancel it to stop what has not run yet")
        }
        (Act::Disable, Status::Enabled) => to(Status::Disabled),
        (Act::Disable | Act::Pause | Act::Resume, Status::Disabled) => {
            refuse("job_not_enabled", "the job is not enabled")
        }
        (Act::Edit | Act::Save, _) => {
            refuse("job_enabled", "an enabled job cannot be edited; disable it first, while nothing of it is under way")
        }
        (Act::Pause, _) if life.paused => refuse("job_paused", "the job is paused already"),
        (Act::Pause, _) => Ok(Life { paused: true, ..life }),
        (Act::Resume, _) if life.paused => Ok(Life { paused: false, ..life }),
        (Act::Resume, _) => refuse("job_not_paused", "the job is not paused"),
        (Act::Cancel, Status::Enabled) if life.started => Ok(Life { cancelled: true, ..life }),
        (Act::Cancel, _) => refuse("job_not_running", "the job is not running; there is nothing to cancel"),
        (Act::Disable, _) => refuse("job_not_enabled", "the job is not enabled"),
    }
}

/// May another run be made now?
fn again(life: Life, act: Act) -> Result<Life, Refusal> {
    let refuse = |code, sentence: &str| Err(Refusal::new(code, sentence.to_owned()));
    let failed_only = act == Act::RetryFailed;
    match life.status {
        Status::Disabled => refuse("job_not_enabled", "the job is not enabled; enable it first"),
        Status::Enabled if life.paused => refuse("job_paused", "the job is paused; resume it first"),
        Status::Enabled if life.started => {
            refuse("job_started", "a run is under way; wait until it has ended, or cancel it")
        }
        _ if failed_only && !life.failing => {
            refuse("nothing_failed", "no asset and action of the job has failed as its last result")
        }
        Status::Enabled if life.pace == Pace::OnDemand => {
            refuse("job_enabled", "the job is enabled and runs as soon as its agents ask for work")
        }
        _ => Ok(Life { status: Status::Enabled, cancelled: false, paused: false, ..life }),
    }
}

/// The life once a run has ended: a job that may run again stays enabled, any other has ended as its last results say (R16).
#[must_use]
pub fn after_run(life: Life, more_to_come: bool, last_codes: impl IntoIterator<Item = u8>) -> Life {
    let result = ended(last_codes);
    let failing = result == Status::CompletedWithFailures;
    if more_to_come || life.status != Status::Enabled {
        return Life { cancelled: false, failing, ..life };
    }
    Life { status: result, failing, paused: false, ..life }
}

/// The status of a job whose tasks have all ended, by their codes (R16).
#[must_use]
pub fn ended(codes: impl IntoIterator<Item = u8>) -> Status {
    if codes.into_iter().any(|code| code == 1) { Status::CompletedWithFailures } else { Status::Completed }
}

/// The whole run, from the states of its tasks: `None` while one is open.
#[must_use]
pub fn outcome(states: &[task::State]) -> Option<Status> {
    let codes: Option<Vec<u8>> = states.iter().map(|state| state.code()).collect();
    codes.map(ended)
}

/// One asset in the job for one vulnerability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The asset.
    pub asset: AssetId,
    /// The vulnerability it is in the job for.
    pub vulnerability: VulnerabilityId,
}

/// Remove assets from a job. With them go the vulnerabilities that no remaining asset has (R4, S1.07).
#[must_use]
pub fn remove_assets(targets: &[Target], removed: &BTreeSet<AssetId>) -> Vec<Target> {
    targets.iter().copied().filter(|target| !removed.contains(&target.asset)).collect()
}

/// Assets that a change would add to a job that was made from eliminations, where they may only be removed (S1.06).
///
/// # Errors
/// `assets_only_removed` when the wanted set is not a part of the present one.
pub fn only_removed(present: &BTreeSet<AssetId>, wanted: &BTreeSet<AssetId>) -> Result<(), Refusal> {
    if wanted.is_subset(present) {
        return Ok(());
    }
    Err(Refusal::new("assets_only_removed", "assets of a job made from eliminations can be removed, not added"))
}

/// The same for actions, each a vulnerability and the key of an entry: those of a job made from eliminations, and of a rollback,
/// may only be removed (`mitigation-jobs.md` 2.1: the route fills assets and actions in and does not let them be widened).
///
/// # Errors
/// `actions_only_removed` when the wanted set is not a part of the present one.
pub fn actions_only_removed(
    present: &BTreeSet<(VulnerabilityId, i64)>,
    wanted: &BTreeSet<(VulnerabilityId, i64)>,
) -> Result<(), Refusal> {
    if wanted.is_subset(present) {
        return Ok(());
    }
    let sentence = "actions of a job made from eliminations or of a rollback can be removed, not added; name the catalogue entries \
                    when a job is made from eliminations, or make a free-standing job";
    Err(Refusal::new("actions_only_removed", sentence))
}

/// Whether a job chooses its assets and actions itself: only a free-standing one does.
///
/// # Errors
/// `not_free_standing` for a job made from eliminations.
pub fn chooses(free_standing: bool) -> Result<(), Refusal> {
    if free_standing {
        return Ok(());
    }
    let sentence = "assets and actions of a job made from eliminations are filled in from them; they can be removed, not \
                    chosen anew. Make a free-standing job instead";
    Err(Refusal::new("not_free_standing", sentence))
}

/// What is checked before a job is saved.
#[derive(Clone, Debug, Default)]
pub struct Review<'a> {
    /// Title.
    pub title: &'a str,
    /// Description.
    pub description: &'a str,
    /// How many assets.
    pub assets: usize,
    /// How many actions.
    pub actions: usize,
    /// Recipients of mail.
    pub recipients: &'a [String],
    /// Percentage of assets reported at which the completion mail is sent; `None` = no mail.
    pub mail_percent: Option<i64>,
}

/// A field that cannot be saved as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldRefusal {
    /// The field's name in the API.
    pub field: &'static str,
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// Everything that keeps a job from being saved; empty = it can be.
#[must_use]
pub fn review(job: &Review<'_>) -> Vec<FieldRefusal> {
    let mut found = Vec::new();
    let mut refuse =
        |field, code, sentence: String| found.push(FieldRefusal { field, refusal: Refusal::new(code, sentence) });
    if job.title.trim().is_empty() {
        refuse("title", "title_missing", "a job needs a title".to_owned());
    }
    if job.title.chars().count() > TITLE_MAX {
        refuse("title", "title_long", format!("a title has at most {TITLE_MAX} characters"));
    }
    if job.description.chars().count() > DESCRIPTION_MAX {
        refuse("description", "description_long", format!("a description has at most {DESCRIPTION_MAX} characters"));
    }
    if job.assets == 0 {
        refuse("assets", "no_assets", "at least one asset is needed to save the job".to_owned());
    }
    if job.assets > ASSETS_MAX {
        refuse("assets", "too_many_assets", format!("a job holds at most {ASSETS_MAX} assets"));
    }
    if job.actions == 0 {
        refuse("actions", "no_actions", "at least one action is needed to save the job".to_owned());
    }
    if job.recipients.len() > RECIPIENTS_MAX {
        refuse("recipients", "too_many_recipients", format!("a job mails at most {RECIPIENTS_MAX} recipients"));
    }
    for address in job.recipients {
        if let Err(why) = mail::address(address) {
            let shown = mail::one_line(address, 80);
            refuse("recipients", "bad_recipient", format!("`{shown}` is not a mail address: {why}"));
        }
    }
    if job.mail_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        refuse("mail_percent", "bad_percent", "the percentage lies between 1 and 100".to_owned());
    }
    found
}

#[cfg(test)]
mod tests;
