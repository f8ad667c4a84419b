//! Approval of runs by a second person, and dry runs of jobs.

use super::Act;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

requests! {
    /// A signature of an approval.
    pub struct ApprovalSign {
        /// The signed envelope, as JSON text.
        pub envelope: String,
    }

    /// A rejection.
    pub struct ApprovalReject {
        /// Why; the job's author reads it.
        pub reason: String,
    }
}

bodies! {
    /// From which class on a second person is asked.
    pub struct ApprovalPolicy {
        /// 1 or 2; what cannot be undone always needs one.
        pub from_class: u8,
    }

    /// `{"approvals": […], "next": …}`.
    pub struct ApprovalsBody {
        /// A page of requests.
        pub approvals: Vec<ApprovalSummary>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// `{"approval": …}`.
    pub struct ApprovalBody {
        /// The request.
        pub approval: Approval,
    }

    /// A request for an approval, in a list.
    pub struct ApprovalSummary {
        /// Key.
        pub id: i64,
        /// The job's number.
        pub job: String,
        /// The job's title.
        pub title: String,
        /// Which run of the job.
        pub run: i64,
        /// `pending`, `approved`, `rejected`, `void` or `expired`.
        pub state: String,
        /// Signatures so far.
        pub signatures: i64,
        /// Signatures needed.
        pub needed: i64,
        /// The highest class among its actions.
        pub class: i64,
        /// How many catalogue entries.
        pub entries: i64,
        /// On how many machines.
        pub machines: i64,
        /// Who asks.
        pub requested_by: String,
        /// When.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub requested_at: Timestamp,
        /// It holds until then.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub valid_until: Timestamp,
        /// Who decided; empty before.
        pub decided_by: String,
        /// When.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub decided_at: Option<Timestamp>,
        /// Why it was rejected or is void.
        pub reason: String,
    }

    /// A request in full.
    pub struct Approval {
        /// What a list shows.
        pub summary: ApprovalSummary,
        /// The plan: the exact text whose digest the manifest holds.
        pub plan: String,
        /// The manifest: the exact text to sign.
        pub manifest: String,
        /// SHA-256 of `manifest`, hex.
        pub manifest_digest: String,
        /// The payload type to sign it as.
        pub payload_type: String,
        /// Ids of the keys whose signatures count.
        pub keys: Vec<String>,
        /// `approve` and `reject`, and why not.
        pub acts: Vec<Act>,
    }

    /// `{"dry_run": …}`.
    pub struct DryRunBody {
        /// The newest dry run of the job; none before the first.
        pub dry_run: Option<DryRun>,
        /// Why none can be begun now; empty when one can.
        pub refused: String,
    }

    /// What agents say a job would do. Nothing was changed.
    pub struct DryRun {
        /// Begun.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub started_at: Timestamp,
        /// Answered in full, or given up; none while agents are waited for.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub ended_at: Option<Timestamp>,
        /// The job has other machines or actions since.
        pub outdated: bool,
        /// Per machine and entry.
        pub answers: Vec<DryRunAnswer>,
        /// What that would do to the scores.
        pub score: DryRunScore,
        /// The items whose score or mitigation would change, highest score first, at most 500.
        pub items: Vec<DryRunItem>,
    }

    /// What one machine says of one entry.
    pub struct DryRunAnswer {
        /// Asset.
        pub asset: i64,
        /// Its name.
        pub asset_name: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `waiting`, `changes`, `in_place`, `not_applicable`, `would_fail` or `no_answer`.
        pub verdict: String,
        /// For people.
        pub message: String,
        /// The changes, exactly.
        pub changes: Vec<DryRunChange>,
    }

    /// One change that would be made.
    pub struct DryRunChange {
        /// Kind of action.
        pub kind: String,
        /// What it acts on.
        pub target: String,
        /// What is there.
        pub before: String,
        /// What would be there.
        pub after: String,
        /// The difference of the files, as a unified diff.
        pub diff: String,
    }

    /// Sums over the items that the answers concern.
    pub struct DryRunScore {
        /// How many.
        pub items: u64,
        /// Sum of their scores now.
        pub before: u64,
        /// Sum of their scores then.
        pub after: u64,
        /// How many are mitigated now.
        pub mitigated_before: u64,
        /// How many are mitigated then.
        pub mitigated: u64,
    }

    /// What would become of one item.
    pub struct DryRunItem {
        /// Its number.
        pub number: String,
        /// Its asset.
        pub asset_name: String,
        /// QID.
        pub qid: i64,
        /// The vulnerability.
        pub title: String,
        /// Score now.
        pub before: u8,
        /// Score then.
        pub after: u8,
        /// `none`, `partial`, `mitigated` or `drifted` now.
        pub mitigation_before: String,
        /// The same then.
        pub mitigation: String,
    }
}
