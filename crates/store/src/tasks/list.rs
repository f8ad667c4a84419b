//! The tasks of a run for people: filtered, in keyset pages, and counted. A run may have tens of thousands, so nothing here
//! reads all of them.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AssetId, RunId, TaskId};
use domain::task::State;
use domain::time::Timestamp;
use uuid::Uuid;

record! {
    /// A task as lists show it.
    #[derive(Debug, Clone)]
    pub struct TaskLine {
        /// Key.
        pub id: TaskId,
        /// Id on the wire.
        pub uuid: Uuid,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// Entry's title.
        pub title: String,
        /// `apply`, `revert` or `plan`.
        pub kind: String,
        /// State.
        pub state: State,
        /// Orders made so far.
        pub epoch: i64,
        /// Result code once ended.
        pub code: Option<i64>,
        /// 203 to 206.
        pub detail: Option<i64>,
        /// For people; a host may have said it.
        pub message: String,
        /// What it waits for about its approval while it is ready; empty where it does not wait.
        pub waits_for: String,
        /// Not before.
        pub due_at: Timestamp,
        /// Zone it was resolved in.
        pub zone: String,
        /// The end of its maintenance window.
        pub window_end: Option<Timestamp>,
        /// Started on the host.
        pub started_at: Option<Timestamp>,
        /// Ended.
        pub ended_at: Option<Timestamp>,
        /// Report as JSON, empty before there is one.
        pub report: String,
    }
}

/// What the tasks of a run can be asked for. The flags are [`domain::task::Group`], held to it by a test.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "asset", kind: Kind::Name, doc: "the asset's name" },
        Field { name: "entry", kind: Kind::Name, doc: "the catalogue entry" },
        Field { name: "title", kind: Kind::Text, doc: "the mitigation's title" },
        Field {
            name: "state",
            kind: Kind::Words(&[
                "pending",
                "ready",
                "offered",
                "accepted",
                "running",
                "unknown",
                "succeeded",
                "unchanged",
                "not_applicable",
                "failed",
                "verify_failed",
                "refused",
                "interrupted",
                "cancelled",
                "expired",
                "lost",
                "reverted",
                "revert_failed",
                "drifted_since_apply",
            ]),
            doc: "its state",
        },
        Field { name: "code", kind: Kind::Number, doc: "0, 1, 33 or 101 once it has ended" },
        Field { name: "detail", kind: Kind::Number, doc: "203 to 206" },
        Field { name: "wave", kind: Kind::Number, doc: "its wave, from 1" },
        Field { name: "started", kind: Kind::Instant, doc: "when it started on the host" },
        Field { name: "ended", kind: Kind::Instant, doc: "when it ended" },
    ],
    flags: &[
        Flag {
            name: "failed",
            field: "state",
            words: &[
                "failed",
                "verify_failed",
                "refused",
                "interrupted",
                "expired",
                "lost",
                "revert_failed",
                "drifted_since_apply",
            ],
            doc: "ended with code 1",
        },
        Flag {
            name: "running",
            field: "state",
            words: &["accepted", "running", "unknown"],
            doc: "at work on the host, or nobody knows",
        },
        Flag { name: "succeeded", field: "state", words: &["succeeded", "reverted"], doc: "ended with code 0" },
        Flag {
            name: "skipped",
            field: "state",
            words: &["unchanged", "not_applicable", "cancelled"],
            doc: "in place already, not applicable or cancelled",
        },
        Flag { name: "queued", field: "state", words: &["pending", "ready", "offered"], doc: "yet to start" },
    ],
    free: &["asset", "title"],
};

/// The list of tasks, to be read with [`of_run`].
pub const LIST: List = List {
    name: "tasks",
    select:
        "t.id, t.uuid, t.asset_id, a.name AS asset_name, e.entry, e.title, t.kind, t.state, t.epoch, t.code, t.detail,
        t.message, t.waits_for, t.due_at, t.zone, t.window_end, t.started_at, t.ended_at, t.report",
    from: "task t JOIN asset a ON a.id = t.asset_id JOIN catalogue_entry e ON e.id = t.entry_key",
    key: "t.id",
    fields: &FIELDS,
    columns: &[
        Column::one("asset", "a.name"),
        Column::one("entry", "e.entry"),
        Column::one("title", "e.title"),
        Column::one("state", "t.state"),
        Column::one("code", "t.code"),
        Column::one("detail", "t.detail"),
        Column::one("wave", "t.wave"),
        Column::one("started", "t.started_at"),
        Column::one("ended", "t.ended_at"),
    ],
    sorts: &[
        Sort::text("asset", "a.name"),
        Sort::text("state", "t.state"),
        Sort::whole("due", "t.due_at"),
        Sort::whole("started", "t.started_at").or_null(),
        Sort::whole("ended", "t.ended_at").or_null(),
    ],
};

/// The tasks of a run on the assets inside the scope.
#[must_use]
pub fn of_run(run: RunId, within: &AssetScope) -> Clip {
    Clip::from(Some(inside(run, within)))
}

fn inside(run: RunId, within: &AssetScope) -> Sql {
    let sql = Sql::new("t.run_id = ").bind(&run);
    match scope::assets(within, "t.asset_id") {
        Some(scope) => sql.text(" AND ").append(scope),
        None => sql,
    }
}

/// How many tasks of a run are in each state on the assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn states(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope) -> Result<Vec<(State, i64)>> {
    let sql = Sql::new("SELECT t.state, count(*) FROM task t WHERE ").append(inside(run, within));
    tx.all_built(&sql.text(" GROUP BY t.state ORDER BY 1"))
}

/// How many different catalogue entries the tasks of a run are about, on the assets inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn entries(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope) -> Result<i64> {
    let sql =
        Sql::new("SELECT count(DISTINCT e.entry) FROM task t JOIN catalogue_entry e ON e.id = t.entry_key WHERE ");
    tx.scalar_built(&sql.append(inside(run, within)))
}

record! {
    /// What last happened to a task.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Happened {
        /// The asset's name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// State.
        pub state: State,
        /// Started on the host.
        pub started_at: Option<Timestamp>,
        /// Ended.
        pub ended_at: Option<Timestamp>,
    }
}

/// The tasks of a run that something happened to last, newest first. Of the newest `most` starts and ends of the run
/// each is in one of them.
///
/// # Errors
/// See [`crate::Error`].
pub fn newest(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope, most: i64) -> Result<Vec<Happened>> {
    let sql = Sql::new(
        "SELECT a.name AS asset_name, e.entry, t.state, t.started_at, t.ended_at
         FROM task t JOIN asset a ON a.id = t.asset_id JOIN catalogue_entry e ON e.id = t.entry_key
         WHERE coalesce(t.ended_at, t.started_at) IS NOT NULL AND ",
    );
    let sql = sql.append(inside(run, within));
    tx.all_built(&sql.text(" ORDER BY coalesce(t.ended_at, t.started_at) DESC, a.name, t.id LIMIT ").bind(&most))
}
