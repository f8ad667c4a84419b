//! The list of jobs.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::numbers::number_text;
use crate::{Sql, record, scope};
use domain::access::{Actor, AssetScope};
use domain::asset::Platform;
use domain::filter::{Field, Fields, Flag, Kind as FilterKind};
use domain::id::{JobId, UserId};
use domain::job::{Kind, Status};
use domain::time::Timestamp;

record! {
    /// A job as lists show it.
    #[derive(Debug, Clone)]
    pub struct JobLine {
        /// Key.
        pub id: JobId,
        /// Ordinal of its number.
        pub number: i64,
        /// Kind.
        pub kind: Kind,
        /// Platform.
        pub platform: Platform,
        /// Title.
        pub title: String,
        /// Status.
        pub status: Status,
        /// Owner's sign-in name.
        pub owner: String,
        /// Schedule as JSON.
        pub schedule: String,
        /// Assets in it.
        pub assets: i64,
        /// Tasks in all.
        pub total: i64,
        /// Tasks that have not ended.
        pub open: i64,
        /// Code 0.
        pub succeeded: i64,
        /// Code 1.
        pub failed: i64,
        /// Nothing starts until somebody resumes it.
        pub paused: bool,
        /// A run of it is halted.
        pub halted: bool,
        /// Made.
        pub created_at: Timestamp,
        /// Started.
        pub started_at: Option<Timestamp>,
        /// Ended.
        pub ended_at: Option<Timestamp>,
    }
}

/// What job lists can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "number", kind: FilterKind::Name, doc: "the job's number, MJ0000001" },
        Field { name: "title", kind: FilterKind::Text, doc: "title" },
        Field {
            name: "status",
            kind: FilterKind::Words(&["draft", "disabled", "enabled", "completed", "completed_with_failures"]),
            doc: "status",
        },
        Field { name: "kind", kind: FilterKind::Words(&["mitigation", "rollback"]), doc: "mitigation or rollback" },
        Field { name: "platform", kind: FilterKind::Words(&["linux", "windows"]), doc: "platform" },
        Field { name: "owner", kind: FilterKind::Person, doc: "owner's sign-in name" },
        Field { name: "halted", kind: FilterKind::Words(&["yes", "no"]), doc: "whether a run of it is halted" },
        Field { name: "created", kind: FilterKind::Instant, doc: "when it was made" },
        Field { name: "asset", kind: FilterKind::Name, doc: "name of an asset in it" },
        Field { name: "qid", kind: FilterKind::Number, doc: "QID of a vulnerability in it" },
    ],
    flags: &[
        Flag { name: "ended", field: "status", words: &["completed", "completed_with_failures"], doc: "over" },
        Flag {
            name: "enabled",
            field: "status",
            words: &["enabled"],
            doc: "enabled: running, or waiting for its time",
        },
        Flag { name: "disabled", field: "status", words: &["disabled"], doc: "saved, not enabled" },
        Flag { name: "halted", field: "halted", words: &["yes"], doc: "a run of it is halted" },
        Flag { name: "failed", field: "status", words: &["completed_with_failures"], doc: "over, with failures" },
    ],
    free: &["number", "title", "asset"],
};

/// The list of jobs, to be read with [`clip`].
pub const LIST: List = List {
    name: "jobs",
    select: "job.id, job.number, job.kind, job.platform, job.title, job.status, account.name AS owner, job.schedule,
        (SELECT count(DISTINCT t.asset_id) FROM seen_target t WHERE t.job_id = job.id) AS assets,
        (SELECT count(*) FROM seen_task t WHERE t.job_id = job.id) AS total,
        (SELECT count(*) FROM seen_task t WHERE t.job_id = job.id AND t.code IS NULL) AS open,
        (SELECT count(*) FROM seen_task t WHERE t.job_id = job.id AND t.code = 0) AS succeeded,
        (SELECT count(*) FROM seen_task t WHERE t.job_id = job.id AND t.code = 1) AS failed,
        job.paused, EXISTS (SELECT 1 FROM run r WHERE r.job_id = job.id AND r.state IN ('halting', 'halted')) AS halted,
        job.created_at, job.started_at, job.ended_at",
    from: "job JOIN account ON account.id = job.owner_id",
    key: "job.id",
    fields: &FIELDS,
    columns: &[
        Column::one("number", number_text!("MJ", "job.number")),
        Column::one("title", "job.title"),
        Column::one("status", "lower(job.status)"),
        Column::one("kind", "job.kind"),
        Column::one("platform", "job.platform"),
        Column::one("owner", "account.name"),
        Column::one(
            "halted",
            "(CASE WHEN EXISTS (SELECT 1 FROM run r WHERE r.job_id = job.id AND r.state IN ('halting', 'halted'))
                   THEN 'yes' ELSE 'no' END)",
        ),
        Column::one("created", "job.created_at"),
        Column::many("asset", "seen_target t JOIN asset a ON a.id = t.asset_id WHERE t.job_id = job.id", "a.name"),
        Column::many(
            "qid",
            "seen_target t JOIN vulnerability v ON v.id = t.vulnerability_id WHERE t.job_id = job.id",
            "v.qid",
        ),
    ],
    sorts: &[
        Sort::whole("number", "job.number"),
        Sort::text("title", "job.title"),
        Sort::text("status", "job.status"),
        Sort::text("owner", "account.name"),
        Sort::whole("created", "job.created_at"),
        Sort::whole("started", "job.started_at").or_null(),
        Sort::whole("activity", "coalesce(job.ended_at, job.started_at, job.updated_at)"),
    ],
};

/// The condition that clips the list to jobs with at least one asset of the scope, deleted ones left out.
fn visible(assets: &AssetScope, own: Option<UserId>) -> Option<Sql> {
    let within = scope::assets(assets, "seen.asset_id").map(|within| {
        let sql = Sql::new("(EXISTS (SELECT 1 FROM job_target seen WHERE seen.job_id = job.id AND ").append(within);
        match own {
            None => sql.text("))"),
            // A draft without assets is its owner's and co-authors', so that they find it again.
            Some(user) => sql
                .text(
                    ") OR (NOT EXISTS (SELECT 1 FROM job_target seen WHERE seen.job_id = job.id) AND (job.owner_id = ",
                )
                .bind(&user)
                .text(" OR EXISTS (SELECT 1 FROM job_coauthor c WHERE c.job_id = job.id AND c.user_id = ")
                .bind(&user)
                .text("))))"),
        }
    });
    scope::both(Some(Sql::new("job.deleted_at IS NULL")), within)
}

/// The jobs with at least one asset of the scope, and what [`LIST`] counts and compares of them: the targets and tasks
/// on those assets.
#[must_use]
pub fn clip(assets: &AssetScope) -> Clip {
    clipped(assets, None)
}

/// As [`clip`], with what is the actor's own and has no assets yet.
#[must_use]
pub fn clip_of(actor: &Actor) -> Clip {
    clipped(&actor.scope, Some(actor.user))
}

fn clipped(assets: &AssetScope, own: Option<UserId>) -> Clip {
    let within = |sql: Sql| match scope::assets(assets, "t.asset_id") {
        Some(scope) => sql.text(" WHERE ").append(scope),
        None => sql,
    };
    let targets = Sql::new(
        "WITH seen_target AS NOT MATERIALIZED (SELECT t.job_id, t.asset_id, t.vulnerability_id FROM job_target t",
    );
    // What a job counts is its newest run that does something.
    let tasks = Sql::new(
        "), seen_task AS NOT MATERIALIZED (SELECT t.job_id, t.code FROM task t
             JOIN run r ON r.id = t.run_id AND NOT EXISTS (
                 SELECT 1 FROM run n WHERE n.job_id = r.job_id AND n.ordinal > r.ordinal AND n.does <> 'plan')
               AND r.does <> 'plan'",
    );
    Clip::with(within(targets).append(within(tasks)).text(") "), visible(assets, own))
}
