//! What happened to a job.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

bodies! {
    /// `{"events": […], "next": …}`.
    pub struct JobHistoryBody {
        /// A page of what happened, newest first unless sorted otherwise.
        pub events: Vec<JobEvent>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// Something that happened to a job, to one of its runs or to one of its tasks.
    pub struct JobEvent {
        /// When.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub at: Timestamp,
        /// By whom: `users/ada`, `engine/dispatch`; empty for what a task did.
        pub by: String,
        /// What: `job.enable`, `run.halt`, `approval.sign`, `task.began`, `task.succeeded`.
        pub what: String,
        /// The same in words.
        pub text: String,
        /// The run it is about, from 1; none for the job as such.
        pub run: Option<i64>,
        /// Key of the asset of a task.
        pub asset: Option<i64>,
        /// Its name; empty for what is of no task.
        pub asset_name: String,
        /// The catalogue entry of a task; empty for what is of none.
        pub entry: String,
        /// Anything else that the audit says of it, such as a reason; null for tasks, and for who does not see every asset.
        pub detail: serde_json::Value,
    }
}
