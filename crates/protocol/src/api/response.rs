//! Eliminations, mitigation jobs and their tasks, agents, controls, the catalogue, the global halt.

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

requests! {
    /// A job to be made from eliminations.
    pub struct NewJob {
        /// `mitigation` (default) or `rollback`.
        pub kind: String,
        /// `linux` or `windows`; needed only where the assets run both.
        pub platform: Option<String>,
        /// For which vulnerabilities, and where.
        pub vulnerabilities: Vec<JobSelection>,
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
        /// The assets that remain; none can be added.
        pub assets: Option<Vec<i64>>,
        /// The actions.
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
    }

    /// An action chosen for a vulnerability.
    pub struct JobActionChoice {
        /// QID.
        pub qid: i64,
        /// Catalogue entry.
        pub entry: String,
    }

    /// When a job runs.
    pub struct ScheduleBody {
        /// `on_demand` or `once`.
        pub when: String,
        /// Civil date and time for `once`: `2026-11-22T03:00:00`.
        pub at: Option<String>,
        /// `agent` (each asset's own zone) or an IANA name; `agent` when absent.
        pub zone: Option<String>,
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

    /// An enrolment token to be made.
    pub struct NewEnrolmentToken {
        /// What it is for.
        pub label: String,
        /// Agents that may enrol with it; 1 when absent.
        pub uses: Option<i64>,
        /// Hours it is good for; 24 when absent.
        pub hours: Option<i64>,
    }

    /// Which asset an agent sits on, decided by a person.
    pub struct AgentLink {
        /// The asset; none = unlinked.
        pub asset: Option<i64>,
        /// Why.
        pub reason: String,
    }

    /// A signed catalogue: exact texts, as they were signed.
    pub struct CatalogueParcel {
        /// Root metadata envelopes, oldest first.
        pub roots: Vec<String>,
        /// The index envelope.
        pub index: String,
        /// The entries.
        pub entries: Vec<String>,
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
        /// Tasks by what became of them.
        pub tasks: TaskCounts,
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
        /// `elimination`: assets can be removed, not added.
        pub origin: String,
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
        /// Assets.
        pub assets: Vec<JobAsset>,
        /// Actions.
        pub actions: Vec<JobAction>,
        /// Cancelled by somebody.
        pub cancelled: bool,
        /// What the caller may do now, and why not.
        pub acts: Vec<Act>,
    }

    /// Something that can be done to a record, or why it cannot.
    pub struct Act {
        /// `save`, `save_and_enable`, `edit`, `enable`, `disable`, `cancel`, `delete`.
        pub act: String,
        /// Now, by this caller.
        pub allowed: bool,
        /// Why not; empty when allowed.
        pub reason: String,
    }

    /// An instant a schedule resolves to.
    pub struct ResolvedInstant {
        /// Zone used.
        pub zone: String,
        /// Instant.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub at: Timestamp,
        /// `exact`, `gap`, `overlap` or `unknown_zone`.
        pub fit: String,
        /// Assets that run then.
        pub assets: i64,
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

    /// `{"tasks": […]}`.
    pub struct TasksBody {
        /// The tasks.
        pub tasks: Vec<Task>,
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
        /// For people.
        pub message: String,
        /// Not before.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub due_at: Timestamp,
        /// Zone that was resolved in.
        pub zone: String,
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

    /// `{"agents": […], "next": …}`.
    pub struct AgentsBody {
        /// A page of agents.
        pub agents: Vec<Agent>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// `{"agent": …}`.
    pub struct AgentBody {
        /// The agent.
        pub agent: Agent,
    }

    /// An agent.
    pub struct Agent {
        /// Id.
        pub id: Uuid,
        /// Asset it sits on.
        pub asset: Option<i64>,
        /// Its name.
        pub asset_name: Option<String>,
        /// `linked`, `own` or `ambiguous`.
        pub link: String,
        /// What proves it.
        pub evidence: String,
        /// Host name as it claims.
        pub hostname: String,
        /// Zone as it reports.
        pub zone: String,
        /// Operating system as it claims.
        pub os: String,
        /// Version.
        pub version: String,
        /// `normal`, `monitor_only` or `halted`.
        pub mode: String,
        /// Enrolled.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub enrolled_at: Timestamp,
        /// Last heard.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub last_seen_at: Timestamp,
        /// Revoked.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub revoked_at: Option<Timestamp>,
        /// Kinds of action it can do.
        pub capabilities: Vec<String>,
    }

    /// `{"tokens": […]}`.
    pub struct EnrolmentTokensBody {
        /// The tokens, without their secrets.
        pub tokens: Vec<EnrolmentToken>,
    }

    /// An enrolment token.
    pub struct EnrolmentToken {
        /// Id.
        pub id: Uuid,
        /// What it is for.
        pub label: String,
        /// Enrolments left.
        pub uses_left: i64,
        /// Good until.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub expires_at: Timestamp,
        /// Made.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub created_at: Timestamp,
    }

    /// A token just made; its text is shown only here.
    pub struct EnrolmentTokenMade {
        /// The token.
        pub token: EnrolmentToken,
        /// What to paste on the host: `quell1.…`.
        pub text: String,
        /// The whole command.
        pub command: String,
    }

    /// `{"controls": […]}`.
    pub struct ControlsBody {
        /// Mitigations in force on the asset, or that were.
        pub controls: Vec<Control>,
    }

    /// A mitigation on an asset.
    pub struct Control {
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `effective`, `configured`, `drifted`, `exposed`, …
        pub state: String,
        /// `ours` or `external`.
        pub origin: String,
        /// The job that reported it last.
        pub job: Option<String>,
        /// Can be rolled back by us.
        pub reversible: bool,
        /// In this state since.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub since_at: Timestamp,
        /// Last looked at.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub checked_at: Timestamp,
    }

    /// The catalogue in force.
    pub struct CatalogueBody {
        /// Version of the index; 0 = none installed.
        pub version: i64,
        /// New work stops then.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub expires_at: Option<Timestamp>,
        /// Version of the root metadata; 0 = none.
        pub root_version: u64,
        /// This server's order key, for the root's order role.
        pub order_key: OrderKey,
        /// The entries.
        pub entries: Vec<CatalogueEntry>,
    }

    /// The key that signs orders.
    pub struct OrderKey {
        /// SHA-256 of the public key, hex.
        pub id: String,
        /// As `quell catalogue root new --order` takes it: `ed25519:` and 64 hex digits.
        pub public: String,
    }

    /// An entry of the catalogue.
    pub struct CatalogueEntry {
        /// Id.
        pub entry: String,
        /// Revision.
        pub revision: i64,
        /// Digest.
        pub digest: String,
        /// Title.
        pub title: String,
        /// Platform.
        pub platform: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
    }

    /// What was installed.
    pub struct CatalogueInstalled {
        /// Version of the index.
        pub version: u64,
        /// Usable entries.
        pub entries: u64,
        /// Entries set aside: id and reason.
        pub rejected: Vec<RejectedEntry>,
    }

    /// An entry set aside.
    pub struct RejectedEntry {
        /// Id.
        pub entry: String,
        /// Why.
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
