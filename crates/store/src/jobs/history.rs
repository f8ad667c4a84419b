//! What happened to a job, as one list: what its audit says of it and of its runs, and when its tasks began and ended.

use crate::filter::Column;
use crate::list::{self, Clip, List, Page, Query, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::filter::{Field, Fields, Kind as FilterKind};
use domain::id::{AssetId, JobId};
use domain::time::Timestamp;

record! {
    /// Something that happened to a job.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct HistoryLine {
        /// When.
        pub at: Timestamp,
        /// By whom: `users/ada`, `engine/dispatch`; empty for what a task did.
        pub actor: String,
        /// What: `job.enable`, `run.halt`, `task.began`, `task.succeeded`.
        pub what: String,
        /// The run it is about; none for the job as such, and for a run that was taken back.
        pub run: Option<i64>,
        /// The asset of a task.
        pub asset_id: Option<AssetId>,
        /// Its name; empty for what is of no task.
        pub asset: String,
        /// The catalogue entry of a task; empty for what is of none.
        pub entry: String,
        /// The entry of the audit.
        pub audit_id: Option<i64>,
    }
}

/// The history of a job, to be read with the clip of that job: see [`page`].
pub const LIST: List = List {
    name: "job-history",
    select: "job_event.at, job_event.actor, job_event.what, job_event.run, job_event.asset_id, job_event.asset,
             job_event.entry, job_event.audit_id",
    from: "job_event",
    key: "job_event.key",
    fields: &Fields {
        fields: &[
            Field { name: "what", kind: FilterKind::Text, doc: "what, as job.enable, run.halt or task.failed" },
            Field { name: "by", kind: FilterKind::Text, doc: "who, as users/ada or engine/dispatch" },
            Field { name: "asset", kind: FilterKind::Name, doc: "name of the asset of a task" },
            Field { name: "entry", kind: FilterKind::Name, doc: "catalogue entry of a task" },
            Field { name: "run", kind: FilterKind::Number, doc: "which run, from 1" },
            Field { name: "at", kind: FilterKind::Instant, doc: "when" },
        ],
        flags: &[],
        free: &["what", "by", "asset", "entry"],
    },
    columns: &[
        Column::one("what", "job_event.what"),
        Column::one("by", "job_event.actor"),
        Column::one("asset", "job_event.asset"),
        Column::one("entry", "job_event.entry"),
        Column::one("run", "job_event.run"),
        Column::one("at", "job_event.at"),
    ],
    sorts: &[Sort::whole("at", "job_event.at")],
};

/// A page of what happened to a job, tasks on the assets inside the scope only.
///
/// # Errors
/// See [`list::Error`].
pub fn page(
    tx: &mut Transaction<'_>,
    job: JobId,
    name: &str,
    within: &AssetScope,
    query: &Query,
) -> Result<Page<HistoryLine>, list::Error> {
    list::page(tx, &LIST, clip(job, name, within), query)
}

/// How much happened to a job within the scope, counted up to `most`.
///
/// # Errors
/// See [`list::Error`].
pub fn count(
    tx: &mut Transaction<'_>,
    job: JobId,
    name: &str,
    within: &AssetScope,
    query: &Query,
    most: i64,
) -> Result<i64, list::Error> {
    list::count(tx, &LIST, clip(job, name, within), query, most)
}

/// The events of one job, whose name is its number as people see it.
///
/// Keys are those of the audit above all those of tasks, a task's end above its start: of what happened at one instant the
/// cause people look for stands first.
fn clip(job: JobId, name: &str, within: &AssetScope) -> Clip {
    let resource = format!("jobs/{name}");
    // What begins with `…/runs/`: the character after the slash ends the range, so that the index serves it.
    let (runs, past) = (format!("{resource}/runs/"), format!("{resource}/runs0"));
    let tasks = |head: &'static str, instant: &'static str| {
        let sql = Sql::new(head).text(
            " r.ordinal AS run, t.asset_id, a.name AS asset, c.entry AS entry, CAST(NULL AS BIGINT) AS audit_id
             FROM task t JOIN run r ON r.id = t.run_id JOIN asset a ON a.id = t.asset_id
                 JOIN catalogue_entry c ON c.id = t.entry_key
             WHERE t.kind <> 'plan' AND ",
        );
        let sql = sql.text(instant).text(" IS NOT NULL AND t.job_id = ").bind(&job);
        match scope::assets(within, "t.asset_id") {
            Some(scope) => sql.text(" AND ").append(scope),
            None => sql,
        }
    };
    let own = Sql::new(
        "WITH job_event AS NOT MATERIALIZED (
         SELECT 4611686018427387904 + e.id AS key, e.at, e.actor, e.action AS what, CAST(NULL AS BIGINT) AS run,
             CAST(NULL AS BIGINT) AS asset_id, '' AS asset, '' AS entry, e.id AS audit_id
         FROM audit_entry e WHERE e.resource = ",
    )
    .bind(&resource);
    let of_runs = Sql::new(
        " UNION ALL
         SELECT 4611686018427387904 + e.id, e.at, e.actor, e.action, r.ordinal, CAST(NULL AS BIGINT), '', '', e.id
         FROM audit_entry e LEFT JOIN run r ON r.job_id = ",
    )
    .bind(&job)
    .text(" AND e.resource = ")
    .bind(&runs)
    .text(" || CAST(r.ordinal AS TEXT) WHERE e.resource >= ")
    .bind(&runs)
    .text(" AND e.resource < ")
    .bind(&past);
    let began = tasks(
        " UNION ALL SELECT t.id * 2 AS key, t.started_at AS at, '' AS actor, 'task.began' AS what,",
        "t.started_at",
    );
    let ended = tasks(
        " UNION ALL SELECT t.id * 2 + 1 AS key, t.ended_at AS at, '' AS actor, 'task.' || t.state AS what,",
        "t.ended_at",
    );
    Clip::with(own.append(of_runs).append(began).append(ended).text(") "), None)
}
