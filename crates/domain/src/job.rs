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
mod tests {
    use super::*;

    fn life(status: Status, started: bool) -> Life {
        Life { status, pace: Pace::OnDemand, started, cancelled: false, paused: false, failing: false }
    }

    #[test]
    fn r1_s1_19_s1_21_saving() {
        assert_eq!(act(life(Status::Draft, false), Act::Save).unwrap().status, Status::Disabled);
        assert_eq!(act(life(Status::Draft, false), Act::SaveAndEnable).unwrap().status, Status::Enabled);
        assert_eq!(act(life(Status::Disabled, false), Act::SaveAndEnable).unwrap_err().code, "job_not_draft");
    }

    /// One letter per act (Save, save And enable, Edit, eNable, Disable, Pause, Resume, Cancel, run noW, reTry failed,
    /// clOne, change owneR, deLete): its letter = allowed.
    #[test]
    fn acts_by_table() {
        use Pace::{OnDemand, Once, Recurring};
        use Status::{Completed, CompletedWithFailures, Disabled, Draft, Enabled};
        // status, pace, started, paused, failing
        for (status, pace, started, paused, failing, allowed) in [
            (Draft, OnDemand, false, false, false, "SAE-------ORL"),
            (Draft, Recurring, false, false, false, "SAE-------ORL"),
            (Disabled, OnDemand, false, false, false, "S-EN------ORL"),
            (Disabled, Recurring, false, false, true, "S-EN------ORL"),
            (Enabled, OnDemand, false, false, false, "----DP----ORL"),
            (Enabled, OnDemand, false, true, false, "----D-R---ORL"),
            (Enabled, OnDemand, true, false, false, "-----P-C--OR-"),
            (Enabled, OnDemand, true, true, false, "------RC--OR-"),
            (Enabled, Once, false, false, false, "----DP--W-ORL"),
            (Enabled, Once, false, true, false, "----D-R---ORL"),
            (Enabled, Once, true, false, false, "-----P-C--OR-"),
            (Enabled, Recurring, false, false, false, "----DP--W-ORL"),
            (Enabled, Recurring, false, false, true, "----DP--WTORL"),
            (Enabled, Recurring, false, true, true, "----D-R---ORL"),
            (Enabled, Recurring, true, false, true, "-----P-C--OR-"),
            (Completed, OnDemand, true, false, false, "--------W-ORL"),
            (Completed, Recurring, true, false, false, "--------W-ORL"),
            (CompletedWithFailures, OnDemand, true, false, true, "--------WTORL"),
            (CompletedWithFailures, Once, true, false, true, "--------WTORL"),
        ] {
            let before = Life { pace, paused, failing, ..life(status, started) };
            let found: String = Act::ALL
                .into_iter()
                .zip("SAENDPRCWTORL".chars())
                .map(|(what, letter)| if act(before, what).is_ok() { letter } else { '-' })
                .collect();
            assert_eq!(found, allowed, "{before:?}");
        }
    }

    #[test]
    fn s1_22_r7_what_was_not_started_can_be_disabled_and_enabled_again() {
        let before = Life { pace: Pace::Once, ..life(Status::Enabled, false) };
        let disabled = act(before, Act::Disable).unwrap();
        assert_eq!(disabled.status, Status::Disabled);
        assert_eq!(act(disabled, Act::Enable).unwrap().status, Status::Enabled);
        let paused = act(before, Act::Pause).unwrap();
        assert!(!act(paused, Act::Disable).unwrap().paused, "what is enabled again is not paused any more");
    }

    #[test]
    fn a_job_ends_with_its_schedule() {
        let running = Life { pace: Pace::Recurring, cancelled: true, ..life(Status::Enabled, true) };
        let between = after_run(running, true, [0, 1]);
        assert_eq!((between.status, between.cancelled, between.failing), (Status::Enabled, false, true));
        let over = after_run(running, false, [0, 33]);
        assert_eq!((over.status, over.failing), (Status::Completed, false));
        assert_eq!(after_run(running, false, [0, 1]).status, Status::CompletedWithFailures);
        let rerun = act(Life { failing: true, ..life(Status::CompletedWithFailures, true) }, Act::RetryFailed).unwrap();
        assert_eq!(rerun.status, Status::Enabled);
    }

    #[test]
    fn r16_any_failure_decides() {
        assert_eq!(ended([0, 33, 101]), Status::Completed);
        assert_eq!(ended([0, 1]), Status::CompletedWithFailures);
        assert_eq!(outcome(&[task::State::Succeeded, task::State::Unknown]), None);
        assert_eq!(outcome(&[task::State::Succeeded, task::State::Cancelled]), Some(Status::Completed));
    }

    #[test]
    fn r4_s1_07_removing_an_asset_removes_its_orphaned_vulnerability() {
        let target =
            |asset, vulnerability| Target { asset: AssetId(asset), vulnerability: VulnerabilityId(vulnerability) };
        let all = [target(1, 10), target(1, 11), target(2, 11)];
        assert_eq!(remove_assets(&all, &BTreeSet::from([AssetId(1)])), [target(2, 11)]);
    }

    #[test]
    fn s1_06_assets_are_never_added() {
        let present = BTreeSet::from([AssetId(1), AssetId(2)]);
        assert!(only_removed(&present, &BTreeSet::from([AssetId(1)])).is_ok());
        assert_eq!(only_removed(&present, &BTreeSet::from([AssetId(3)])).unwrap_err().code, "assets_only_removed");
    }

    #[test]
    fn r3_r5_s1_08_s1_13_what_cannot_be_saved() {
        let good = vec!["a@example.org".to_owned(); 50];
        let review = |recipients: &[String], assets, percent| {
            let job = Review { title: "t", description: "", assets, actions: 1, recipients, mail_percent: percent };
            review(&job).iter().map(|found| found.refusal.code).collect::<Vec<_>>()
        };
        assert!(review(&good, 1, Some(100)).is_empty());
        assert_eq!(review(&good, 0, None), ["no_assets"]);
        assert_eq!(review(&[good.clone(), good[..1].to_vec()].concat(), 1, None), ["too_many_recipients"]);
        assert_eq!(review(&["a@b\r\nBcc: x@y".to_owned()], 1, Some(0)), ["bad_recipient", "bad_percent"]);
    }
}
