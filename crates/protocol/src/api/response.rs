//! Eliminations, mitigation jobs and their tasks, the global halt; agents and the catalogue in files of their own.

use crate::api::catalogue::NoMitigation;
use crate::api::selection::{ActionSelection, AssetSelection, JobPlan};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! bodies {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$field_meta])* pub $field: $kind,)* }
    )*};
}

/// Bodies that clients send: an unknown field is an error, so that a misspelt one is not silently ignored.
macro_rules! requests {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $kind:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_meta])* pub $field: $kind,)* }
    )*};
}

// After the macros, which they use.
mod agents;
mod approvals;
mod catalogue;
mod history;
mod results;
mod schedule;

pub use agents::*;
pub use approvals::*;
pub use catalogue::*;
pub use history::*;
pub use results::*;
pub use schedule::*;

requests! {
    /// A job to be made: from eliminations by `vulnerabilities`, or free-standing by `platform` with `selection` and
    /// `choose`, both of which may follow later by an edit.
    pub struct NewJob {
        /// `mitigation` (default) or `rollback`.
        pub kind: String,
        /// `linux` or `windows`; needed for a free-standing job, and where the assets run both.
        pub platform: Option<String>,
        /// Make one draft for each platform that the assets run; of jobs from eliminations only. The answer is the first
        /// of them, or the one of `platform`, and its `twin` names the other.
        pub each_platform: bool,
        /// For which vulnerabilities, and where.
        pub vulnerabilities: Vec<JobSelection>,
        /// Catalogue entries that are done instead of the best ones, for the vulnerabilities that they cover; of a rollback: only
        /// these are taken back. Of jobs with `vulnerabilities` only. Empty: the best ones, or everything that is in place.
        pub entries: Vec<String>,
        /// Which assets a free-standing job is for.
        pub selection: Option<AssetSelection>,
        /// What a free-standing job does.
        pub choose: Option<ActionSelection>,
        /// Title; one is made up when empty.
        pub title: String,
        /// Description.
        pub description: String,
    }

    /// One vulnerability of a new job.
    pub struct JobSelection {
        /// QID.
        pub qid: i64,
        /// Only these assets; every one that can be chosen when absent.
        pub assets: Option<Vec<i64>>,
    }

    /// Changes to a draft or a disabled job; what is absent stays as it is.
    pub struct JobPatch {
        /// Title.
        pub title: Option<String>,
        /// Description.
        pub description: Option<String>,
        /// The assets that remain; none can be added. Of a free-standing job: exactly its assets.
        pub assets: Option<Vec<i64>>,
        /// Which assets a free-standing job is for.
        pub selection: Option<AssetSelection>,
        /// What a free-standing job does.
        pub choose: Option<ActionSelection>,
        /// The actions that remain; none can be added.
        pub actions: Option<Vec<JobActionChoice>>,
        /// When it runs.
        pub schedule: Option<ScheduleBody>,
        /// Mail recipients, at most 50.
        pub recipients: Option<Vec<String>>,
        /// Mail when execution starts.
        pub mail_started: Option<bool>,
        /// Mail when this percentage of assets has reported, 1 to 100; 0 for none.
        pub mail_percent: Option<i64>,
        /// Co-authors, by sign-in name.
        pub coauthors: Option<Vec<String>>,
        /// Choose the targets anew at each run, and put back what drifts.
        pub standing: Option<bool>,
        /// What is said of the time after it: expiry and review, all of it together.
        pub after: Option<super::follow::Afterwards>,
        /// How its runs spread over the assets; see `/jobs/{number}/rollout`.
        pub rollout: Option<super::rollout::Rollout>,
    }

    /// An action chosen for a vulnerability.
    pub struct JobActionChoice {
        /// QID.
        pub qid: i64,
        /// Catalogue entry.
        pub entry: String,
    }

    /// How a draft is saved.
    pub struct JobSave {
        /// Enable it at once (only at creation).
        pub enable: bool,
    }

    /// Halt everything, or go on.
    pub struct HaltRequest {
        /// Halt.
        pub halted: bool,
        /// Why; shown to everybody.
        pub reason: String,
    }
}

bodies! {
    /// `{"job": …}`.
    pub struct JobBody {
        /// The job.
        pub job: Job,
    }

    /// `{"jobs": […], "next": …}`.
    pub struct JobsBody {
        /// A page of jobs.
        pub jobs: Vec<JobSummary>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// A job in a list.
    pub struct JobSummary {
        /// `MJ0000001`.
        pub number: String,
        /// `mitigation` or `rollback`.
        pub kind: String,
        /// Platform.
        pub platform: String,
        /// Title.
        pub title: String,
        /// `DRAFT`, `DISABLED`, `ENABLED`, `COMPLETED`, `COMPLETED_WITH_FAILURES`.
        pub status: String,
        /// Owner's sign-in name.
        pub owner: String,
        /// In words: `On demand`, `2026-11-22 03:00 (Europe/Rome)`.
        pub schedule: String,
        /// Assets in it.
        pub assets: i64,
        /// Tasks of the newest run by what became of them.
        pub tasks: TaskCounts,
        /// Nothing starts until somebody resumes it.
        pub paused: bool,
        /// A run of it is halted, by its gate or by a person: nothing of that run starts until somebody resumes it.
        #[serde(default)]
        pub halted: bool,
        /// Made.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub created_at: Timestamp,
        /// Started.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub started_at: Option<Timestamp>,
        /// Ended.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub ended_at: Option<Timestamp>,
    }

    /// Tasks of a job by what became of them.
    #[derive(Default, PartialEq, Eq)]
    pub struct TaskCounts {
        /// All.
        pub total: i64,
        /// Waiting, offered or running.
        pub open: i64,
        /// Code 0.
        pub succeeded: i64,
        /// Code 1.
        pub failed: i64,
        /// Codes 33 and 101.
        pub skipped: i64,
    }

    /// A job.
    pub struct Job {
        /// What lists show.
        pub summary: JobSummary,
        /// Description.
        pub description: String,
        /// Counts the edits; also the entity tag.
        pub version: i64,
        /// `elimination`: assets and actions can be removed, not added; `free`: it chooses its assets itself.
        pub origin: String,
        /// What a free-standing job chooses.
        #[serde(default)]
        pub plan: Option<JobPlan>,
        /// The number of the draft that was made for the other platform at the same time.
        #[serde(default)]
        pub twin: Option<String>,
        /// When it runs.
        pub schedule: ScheduleBody,
        /// The instants it resolves to, per asset zone.
        pub instants: Vec<ResolvedInstant>,
        /// Mail recipients.
        pub recipients: Vec<String>,
        /// Mail when execution starts.
        pub mail_started: bool,
        /// Mail at this percentage, 0 for none.
        pub mail_percent: i64,
        /// Co-authors by sign-in name.
        pub coauthors: Vec<String>,
        /// What it says of the time after it: expiry and review.
        #[serde(default)]
        pub after: super::follow::Afterwards,
        /// Assets that the caller may know of; counts, actions and tasks are about these.
        pub assets: Vec<JobAsset>,
        /// How many further assets are outside the caller's asset scope.
        pub hidden_assets: i64,
        /// Actions.
        pub actions: Vec<JobAction>,
        /// Cancelled by somebody.
        pub cancelled: bool,
        /// Targets are chosen anew at each run, and what drifts is put back.
        pub standing: bool,
        /// The civil time of the schedule that the next run is for; none when there is none.
        pub next_time: Option<String>,
        /// Runs so far, those that wait included.
        pub runs: i64,
        /// What the caller may do now, and why not.
        pub acts: Vec<Act>,
    }

    /// Nothing sound exists for a CVE of a vulnerability, short of the fix.
    pub struct UnsoundMitigation {
        /// QID.
        pub qid: i64,
        /// What is said.
        pub statement: NoMitigation,
    }

    /// Something that can be done to a record, or why it cannot.
    pub struct Act {
        /// `save`, `save_and_enable`, `edit`, `enable`, `disable`, `pause`, `resume`, `cancel`, `run_now`, `retry_failed`,
        /// `clone`, `change_owner`, `delete`.
        pub act: String,
        /// Now, by this caller.
        pub allowed: bool,
        /// Why not; empty when allowed.
        pub reason: String,
    }

    /// An asset of a job.
    pub struct JobAsset {
        /// Key.
        pub id: i64,
        /// Name.
        pub name: String,
        /// Address.
        pub ip: String,
        /// Operating system.
        pub os: String,
        /// QIDs it is in the job for.
        pub qids: Vec<i64>,
    }

    /// An action of a job.
    pub struct JobAction {
        /// QID.
        pub qid: i64,
        /// The vulnerability's title.
        pub vulnerability: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its revision.
        pub revision: i64,
        /// SHA-256 of its signed bytes.
        pub digest: String,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// CVEs it covers, with coverage and points.
        pub covers: Vec<Cover>,
    }

    /// What an entry does for one CVE.
    pub struct Cover {
        /// CVE; empty when the entry covers the QID as such.
        pub cve: String,
        /// `full`, `substantial`, `partial`.
        pub coverage: String,
        /// Impact factor.
        pub points: i64,
    }

    /// `{"tasks": […], "next": …}`.
    pub struct TasksBody {
        /// A page of tasks.
        pub tasks: Vec<Task>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// A task.
    pub struct Task {
        /// Id.
        pub id: Uuid,
        /// Asset.
        pub asset: i64,
        /// Asset's name.
        pub asset_name: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `apply` or `revert`.
        pub kind: String,
        /// State.
        pub state: String,
        /// Tries.
        pub epoch: i64,
        /// 0, 1, 33 or 101 once ended.
        pub code: Option<i64>,
        /// 203 to 206.
        pub detail: Option<i64>,
        /// For people; a host may have said it.
        pub message: String,
        /// What it waits for about its approval while it is `ready`, said by the server; empty where it does not wait.
        pub waits_for: String,
        /// Not before.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub due_at: Timestamp,
        /// Zone that was resolved in.
        pub zone: String,
        /// The end of its maintenance window, after which it is not started any more; none for what stays open.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub window_end: Option<Timestamp>,
        /// Started on the host.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub started_at: Option<Timestamp>,
        /// Ended.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub ended_at: Option<Timestamp>,
        /// What the agent reported, with evidence.
        #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
        pub report: Option<serde_json::Value>,
    }

    /// `{"eliminations": […], …}`.
    pub struct EliminationsBody {
        /// What applies to the vulnerabilities asked for.
        pub eliminations: Vec<Elimination>,
        /// Assets with an open item of them, and whether they can be chosen.
        pub assets: Vec<EliminationAsset>,
        /// What the catalogue says of their CVEs that nothing sound exists for, short of the fix.
        #[serde(default)]
        pub no_sound_mitigation: Vec<UnsoundMitigation>,
    }

    /// A catalogue entry that applies to a vulnerability.
    pub struct Elimination {
        /// QID.
        pub qid: i64,
        /// The vulnerability's title.
        pub vulnerability: String,
        /// Platform.
        pub platform: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// What it covers.
        pub covers: Vec<Cover>,
    }

    /// An asset with an open item.
    pub struct EliminationAsset {
        /// QID it has.
        pub qid: i64,
        /// Key.
        pub id: i64,
        /// Name.
        pub name: String,
        /// Address.
        pub ip: String,
        /// Platform.
        pub platform: String,
        /// Residual score.
        pub residual: i64,
        /// `none`, `partial`, `mitigated`, `drifted`.
        pub mitigation: String,
        /// Can be chosen.
        pub selectable: bool,
        /// Why not.
        pub reason: String,
    }

    /// The global halt.
    pub struct HaltBody {
        /// It stands.
        pub halted: bool,
        /// Why.
        pub reason: String,
        /// By whom.
        pub by: String,
    }
}
