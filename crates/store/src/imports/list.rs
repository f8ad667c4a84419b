//! Import runs as people see them.

use super::{Cause, Counters, Kind, State};
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Result, Sql, Transaction, record};
use domain::filter::{Field, Fields, Flag, Kind as FilterKind};
use domain::id::InstanceId;
use domain::number::{Number, Series};
use domain::time::Timestamp;

record! {
    /// A run as people see it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct RunRow {
        /// Key.
        pub id: i64,
        /// Ordinal of its number.
        pub number: i64,
        /// The instance.
        pub instance_id: InstanceId,
        /// Its name.
        pub instance: String,
        /// What was imported.
        pub kind: Kind,
        /// Why.
        pub cause: Cause,
        /// Who asked.
        pub actor: String,
        /// The file's name, or what a targeted pull was for.
        pub source: String,
        /// Where it is.
        pub state: State,
        /// Why it failed, or a remark.
        pub detail: String,
        /// Its counters: see [`RunRow::counters`].
        pub counters: String,
        /// What it covered up to.
        pub until_at: Option<Timestamp>,
        /// Since when it waited for its turn; none for one that did not.
        pub queued_at: Option<Timestamp>,
        /// Who asked that it stops: `users/ada`; mostly empty.
        pub cancel_by: String,
        /// Begun; of one that waits, since when it does.
        pub started_at: Timestamp,
        /// Ended.
        pub ended_at: Option<Timestamp>,
    }
}

impl RunRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::IntegrationRun, ordinal: self.number }
    }

    /// Its counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        serde_json::from_str(&self.counters).unwrap_or_default()
    }
}

/// What runs can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "instance", kind: FilterKind::Name, doc: "integration instance" },
        Field { name: "instance.id", kind: FilterKind::Number, doc: "key of the integration instance" },
        Field {
            name: "kind",
            kind: FilterKind::Words(&[
                "everything",
                "knowledge_base",
                "knowledge_base_full",
                "host_detection",
                "comprehensive",
                "host_list",
                "setup",
                "option_profiles",
                "appliances",
                "search_lists",
                "file",
                "targeted",
            ]),
            doc: "what was imported",
        },
        Field { name: "cause", kind: FilterKind::Words(&["schedule", "people", "scan"]), doc: "why it was started" },
        Field {
            name: "state",
            kind: FilterKind::Words(&["queued", "running", "complete", "failed", "cancelled"]),
            doc: "where it is",
        },
        Field { name: "actor", kind: FilterKind::Name, doc: "who asked: users/ada" },
        Field { name: "source", kind: FilterKind::Text, doc: "name of the file" },
        Field { name: "started", kind: FilterKind::Instant, doc: "begun" },
        Field { name: "ended", kind: FilterKind::Instant, doc: "ended" },
    ],
    flags: &[
        Flag { name: "queued", field: "state", words: &["queued"], doc: "waits for its turn" },
        Flag { name: "running", field: "state", words: &["running"], doc: "at work" },
        Flag { name: "failed", field: "state", words: &["failed"], doc: "did not get to its end" },
    ],
    free: &["instance", "source", "actor"],
};

/// The list of runs.
pub const LIST: List = List {
    name: "imports",
    select: "r.id, r.number, r.instance_id, i.name AS instance, r.kind, r.cause, r.actor, r.source, r.state, r.detail,
             r.counters, r.until_at, r.queued_at, r.cancel_by, r.started_at, r.ended_at",
    from: "import_run r JOIN integration_instance i ON i.id = r.instance_id",
    key: "r.id",
    fields: &FIELDS,
    columns: &[
        Column::one("instance", "i.name"),
        Column::one("instance.id", "i.id"),
        Column::one("kind", "r.kind"),
        Column::one("cause", "r.cause"),
        Column::one("state", "r.state"),
        Column::one("actor", "r.actor"),
        Column::one("source", "r.source"),
        Column::one("started", "r.started_at"),
        Column::one("ended", "r.ended_at"),
    ],
    sorts: &[
        Sort::whole("number", "r.number"),
        Sort::text("instance", "i.name"),
        Sort::text("kind", "r.kind"),
        Sort::text("state", "r.state"),
        Sort::whole("started", "r.started_at"),
        Sort::whole("ended", "r.ended_at").or_null(),
    ],
};

/// The run of this ordinal.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one.
pub fn one(tx: &mut Transaction<'_>, ordinal: i64) -> Result<RunRow> {
    LIST.one(tx, Sql::new("r.number = ").bind(&ordinal))
}

record! {
    /// A row that a run could not use.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Rejected {
        /// Which row.
        pub what: String,
        /// Where it ended, in an input that has lines.
        pub line: Option<i64>,
        /// Why.
        pub reason: String,
    }
}

/// The described rows that a run could not use, in the input's order, at most so many.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn rejections(tx: &mut Transaction<'_>, run: i64, most: i64) -> Result<Vec<Rejected>> {
    tx.all("SELECT what, line, reason FROM import_rejection WHERE run_id = $1 ORDER BY id LIMIT $2", &[&run, &most])
}
