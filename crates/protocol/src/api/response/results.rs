//! What became of a job: the progress report, the CVEs, and how long results are kept.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

requests! {
    /// How long the evidence of ended runs is kept.
    pub struct RetentionRequest {
        /// Days, at least 7; 0 for ever.
        pub days: i64,
    }
}

/// One line of a progress report: a mitigation of a vulnerability on an asset. Its fields are the columns of the CSV
/// form, under the names that Qualys' report gives them where it has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReportLine {
    /// `MJ0000001`.
    pub job_number: String,
    /// Which run of the job; 0 before the first.
    pub run: i64,
    /// Key of the asset.
    pub asset_id: i64,
    /// Its name.
    pub asset_name: String,
    /// Its address.
    pub ip_address: String,
    /// Its operating system.
    pub operating_system: String,
    /// How the asset stands in the run: `Pending`, `Running`, `Completed`, `Completed with Failure`.
    pub job_status: String,
    /// QID.
    pub qid: i64,
    /// Title of the vulnerability.
    pub qid_title: String,
    /// The CVEs of the vulnerability that the mitigation covers.
    pub cve_ids: Vec<String>,
    /// `Pending`, `Running`, `Succeeded`, `Partial`, `Failed` or `Skipped`.
    pub action_status: String,
    /// 0, 1, 33 or 101 once it has ended.
    pub return_code: Option<i64>,
    /// What the agent or the server said.
    pub return_message: String,
    /// The vulnerability on the asset now: `Not mitigated`, `Partly mitigated`, `Mitigated` or `Drifted`.
    pub mitigation_status: String,
    /// Catalogue entry.
    pub mitigation_id: String,
    /// Its revision.
    pub mitigation_revision: i64,
    /// Its title.
    pub mitigation_title: String,
    /// `MITIGATION` or `FIX`.
    pub mitigation_type: String,
    /// The most points it takes off one of these CVEs.
    pub impact_factor: i64,
    /// 203 to 206, else the return code.
    pub mitigation_return_code: Option<i64>,
    /// The reason in words, always where there is a code.
    pub mitigation_reason: String,
    /// Score of the vulnerability on the asset before any mitigation.
    pub score_before: Option<i64>,
    /// Its score now.
    pub score_after: Option<i64>,
    /// Not before.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// Started on the host.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Timestamp>,
    /// Ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// The task.
    pub task_id: Option<Uuid>,
}

bodies! {
    /// `{"job": …, "run": …, "lines": […]}`.
    pub struct ReportBody {
        /// `MJ0000001`.
        pub job: String,
        /// Which run; 0 before the first.
        pub run: i64,
        /// One per asset, vulnerability and mitigation.
        pub lines: Vec<ReportLine>,
    }

    /// `{"cves": […]}`.
    pub struct JobCvesBody {
        /// The CVEs of the job's vulnerabilities, the highest score first.
        pub cves: Vec<JobCve>,
    }

    /// What a job means for one CVE, or for a vulnerability without CVEs.
    pub struct JobCve {
        /// The CVE; empty for a vulnerability without CVEs.
        pub cve: String,
        /// The vulnerabilities of the job that hold it.
        pub qids: Vec<i64>,
        /// Assets of the job that have it.
        pub assets: i64,
        /// Of these: mitigated, that is covered in full or for the most part by an effective control.
        pub mitigated: i64,
        /// Of these: not mitigated, with a lower score.
        pub partly: i64,
        /// Of these: as before.
        pub not: i64,
        /// The most points taken off on one of them.
        pub points: i64,
        /// Its highest score on them before any mitigation.
        pub inherent: i64,
        /// Its highest score on them now.
        pub residual: i64,
    }

    /// `{"retention": …}`.
    pub struct RetentionBody {
        /// How long it is kept.
        pub retention: Retention,
    }

    /// How long the evidence of ended runs is kept.
    pub struct Retention {
        /// Days; 0 for ever.
        pub days: i64,
        /// Where nobody has said otherwise.
        pub default_days: i64,
    }
}
