//! Import runs (`VINTRUN0000001`): what was imported when, why, what came of it, and what had to be left out.
//!
//! The cursors of an instance move only when a run finishes; a failed run keeps the complete hosts it merged and
//! says so. Reading files and talking to scanners is done by the server; merging by [`crate::detections`] and
//! [`crate::vulnerabilities`].

mod list;
mod queue;
mod step;
mod trouble;

use crate::audit::{self, Entry};
use crate::{Result, Transaction, numbers, record, text_value};
use domain::id::InstanceId;
pub use domain::import::Kind;
use domain::number::{Number, Series};
use domain::time::Timestamp;
pub use list::{FIELDS, LIST, Rejected, RunRow, one, rejections};
pub use queue::{QUEUED, Queued, asked_to_stop, begin, cancel, next, queue, waiting};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
pub use step::{Step, keep, steps};
pub use trouble::{Trouble, TroubleRow, abandoned, look, note, sign_in_refused, troubles};

text_value!(Kind, |kind| kind.as_str(), |text| Kind::parse(text));

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The interval of the instance.
    Schedule,
    /// Somebody asked.
    People,
    /// A rescan ended.
    Scan,
}

impl Cause {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Schedule => "schedule",
            Cause::People => "people",
            Cause::Scan => "scan",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Cause::Schedule, Cause::People, Cause::Scan].into_iter().find(|cause| cause.as_str() == word)
    }
}
text_value!(Cause, |cause| cause.as_str(), |text| Cause::parse(text));

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits until nothing else of its instance is at work.
    Queued,
    /// At work, or its server stopped and nobody has noticed yet.
    Running,
    /// Everything that was asked for is in.
    Complete,
    /// It stopped before the end; complete hosts are kept, the cursor has not moved.
    Failed,
    /// Somebody stopped it; as for a failed one, what was in stays and the cursor has not moved.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] = [State::Queued, State::Running, State::Complete, State::Failed, State::Cancelled];

    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Complete => "complete",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether it waits or is at work.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, State::Queued | State::Running)
    }
}
text_value!(State, |state| state.as_str(), |text| State::parse(text));

/// How many rows of one kind a run met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// Not known before.
    pub new: u64,
    /// Known, and different now.
    pub updated: u64,
    /// Known and the same: not written.
    pub unchanged: u64,
    /// Left out on purpose: a second row of the same key in the same input.
    pub ignored: u64,
    /// Not usable; the first are described one by one.
    pub rejected: u64,
}

impl Count {
    /// Adds another count.
    pub fn add(&mut self, other: &Count) {
        self.new += other.new;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.ignored += other.ignored;
        self.rejected += other.rejected;
    }
}

/// What became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ItemCount {
    /// Made.
    pub new: u64,
    /// Changed in any way.
    pub updated: u64,
    /// Of these: closed.
    pub closed: u64,
    /// Of these: opened again.
    pub reopened: u64,
}

/// The counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Entries of the knowledge base.
    pub vulnerabilities: Count,
    /// Of the new ones: known from a detection only.
    pub placeholders: u64,
    /// Hosts as the scanner knows them.
    pub hosts: Count,
    /// Assets made for hosts that matched none.
    pub assets_new: u64,
    /// Detections.
    pub detections: Count,
    /// Items.
    pub items: ItemCount,
    /// Option profiles, appliances and asset groups.
    pub setup: Count,
}

impl Counters {
    /// Adds another set.
    pub fn add(&mut self, other: &Counters) {
        self.vulnerabilities.add(&other.vulnerabilities);
        self.placeholders += other.placeholders;
        self.hosts.add(&other.hosts);
        self.assets_new += other.assets_new;
        self.detections.add(&other.detections);
        self.items.new += other.items.new;
        self.items.updated += other.items.updated;
        self.items.closed += other.items.closed;
        self.items.reopened += other.items.reopened;
        self.setup.add(&other.setup);
    }
}

/// A run that is at work: what every merge needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Key of the run.
    pub id: i64,
    /// Number people see.
    pub number: Number,
    /// The instance that is imported.
    pub instance: InstanceId,
    /// Its product: `qualys`.
    pub product: String,
}

/// What a run is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start<'s> {
    /// The instance.
    pub instance: InstanceId,
    /// What is imported.
    pub kind: Kind,
    /// Why.
    pub cause: Cause,
    /// Who asked: `users/ada`, `engine/import`.
    pub actor: &'s str,
    /// The file's name, or what a targeted pull is for.
    pub source: &'s str,
}

/// Begin a run. The first run that starts after the scanner was activated stamps the instance's source (S2.04). Runs
/// of this instance that still say `running` were left behind by a server that stopped and become `failed`, so the
/// caller has to hold the instance's lease.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown instance.
pub fn start(tx: &mut Transaction<'_>, start: Start<'_>, now: Timestamp) -> Result<Run> {
    let product = begun(tx, start.instance, now)?;
    let number = numbers::next(tx, Series::IntegrationRun)?;
    let id: i64 = tx.insert(
        "INSERT INTO import_run
             (number, instance_id, kind, cause, actor, source, state, detail, cursor_key, counters, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'running', '', '', '{}', $7) RETURNING id",
        &[&number.ordinal, &start.instance, &start.kind, &start.cause, &start.actor, &start.source, &now],
    )?;
    Ok(Run { id, number, instance: start.instance, product })
}

/// What the beginning of any run does to its instance; gives the instance's product.
fn begun(tx: &mut Transaction<'_>, instance: InstanceId, now: Timestamp) -> Result<String> {
    let product: String = tx.scalar("SELECT product FROM integration_instance WHERE id = $1", &[&instance])?;
    tx.execute(
        "UPDATE integration_instance SET source_stamped_at = $2
         WHERE id = $1 AND source_stamped_at IS NULL
           AND EXISTS (SELECT 1 FROM scanner s WHERE s.product = integration_instance.product AND s.active
                       AND s.activated_at <= $2)",
        &[&instance, &now],
    )?;
    left_behind(tx, instance, now)?;
    Ok(product)
}

/// Runs of an instance that say they are at work though nobody holds its lease.
fn left_behind(tx: &mut Transaction<'_>, instance: InstanceId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE import_run SET state = 'failed', ended_at = $2,
             detail = 'the server stopped while this run was at work; complete hosts are kept'
         WHERE instance_id = $1 AND state = 'running'",
        &[&instance, &now],
    )?;
    Ok(())
}

/// Write down how far a run is.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn progress(tx: &mut Transaction<'_>, run: &Run, counters: &Counters) -> Result<()> {
    tx.execute("UPDATE import_run SET counters = $2 WHERE id = $1", &[&run.id, &json(counters)])?;
    Ok(())
}

/// Write down that everything before `cursor` is merged, and up to when the whole run would cover.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn reached(tx: &mut Transaction<'_>, run: &Run, cursor: &str, until: Timestamp) -> Result<()> {
    tx.execute("UPDATE import_run SET cursor_key = $2, until_at = $3 WHERE id = $1", &[&run.id, &cursor, &until])?;
    Ok(())
}

record! {
    /// Where an import of detections goes on after one that failed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ResumePoint {
        /// Everything before this key is merged.
        pub cursor: String,
        /// What the two runs together cover up to.
        pub until: Timestamp,
    }
}

/// Where the run `but` goes on: the run of detections before it failed in the middle, not before `since`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn resume_point(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    but: i64,
    since: Timestamp,
) -> Result<Option<ResumePoint>> {
    let last: Option<(State, String, Option<Timestamp>, Timestamp)> = tx.optional(
        "SELECT state, cursor_key, until_at, started_at FROM import_run
         WHERE instance_id = $1 AND id < $2 AND kind IN ('host_detection', 'everything') ORDER BY id DESC LIMIT 1",
        &[&instance, &but],
    )?;
    Ok(last.and_then(|(state, cursor, until, started)| {
        let usable = state == State::Failed && !cursor.is_empty() && started >= since;
        until.filter(|_| usable).map(|until| ResumePoint { cursor, until })
    }))
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'o> {
    /// Everything is in. `until` moves the cursor of what was imported: detections and knowledge base only.
    Complete {
        /// What the run covered up to.
        until: Option<Timestamp>,
        /// Something worth knowing; mostly empty.
        remark: &'o str,
    },
    /// It stopped, for this reason. No cursor moves.
    Failed {
        /// Why, and what to do.
        reason: &'o str,
    },
    /// Somebody stopped it. No cursor moves.
    Cancelled,
}

/// End a run and write it into the audit, bound to its rows by the chain of their digests ([`chain`]).
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn finish(
    tx: &mut Transaction<'_>,
    run: &Run,
    counters: &Counters,
    digest: &[u8; 32],
    outcome: Outcome<'_>,
    now: Timestamp,
) -> Result<()> {
    let (kind, stopped_by): (Kind, String) =
        tx.one("SELECT kind, cancel_by FROM import_run WHERE id = $1", &[&run.id])?;
    let (state, detail, until) = match outcome {
        Outcome::Complete { until, remark } => (State::Complete, remark.to_owned(), until),
        Outcome::Failed { reason } => (State::Failed, reason.to_owned(), None),
        Outcome::Cancelled => (State::Cancelled, queue::cancelled_by(&stopped_by), None),
    };
    tx.execute(
        "UPDATE import_run SET state = $2, detail = $3, counters = $4, until_at = coalesce($5, until_at),
             ended_at = $6 WHERE id = $1",
        &[&run.id, &state, &detail, &json(counters), &until, &now],
    )?;
    if matches!(kind, Kind::KnowledgeBase | Kind::KnowledgeBaseFull | Kind::Everything) {
        tx.execute(
            "UPDATE integration_instance SET knowledge_base_until = coalesce($2, knowledge_base_until) WHERE id = $1",
            &[&run.instance, &until],
        )?;
    }
    if matches!(kind, Kind::HostDetection | Kind::Comprehensive | Kind::Everything) {
        tx.execute(
            "UPDATE integration_instance SET host_detection_until = coalesce($2, host_detection_until) WHERE id = $1",
            &[&run.instance, &until],
        )?;
    }
    let actor: String = tx.scalar("SELECT actor FROM import_run WHERE id = $1", &[&run.id])?;
    let resource = format!("imports/{}", run.number);
    let detail = serde_json::json!({
        "kind": kind, "state": state, "detail": detail, "counters": counters,
        "instance": run.instance, "rows_digest": hex(digest),
    });
    audit::append(tx, &Entry { at: now, actor: &actor, action: "import.finish", resource: &resource, detail })?;
    Ok(())
}

/// Say what kind of failure ended a run: `sign_in`, `unreachable`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn failed_by(tx: &mut Transaction<'_>, run: &Run, failure: &str) -> Result<()> {
    tx.execute("UPDATE import_run SET failure = $2 WHERE id = $1", &[&run.id, &failure])?;
    Ok(())
}

/// Describe a row that could not be used; `line` is where it ended, in an input that has lines.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn reject(tx: &mut Transaction<'_>, run: &Run, what: &str, line: Option<i64>, reason: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO import_rejection (run_id, what, line, reason) VALUES ($1, $2, $3, $4)",
        &[&run.id, &what, &line, &reason],
    )?;
    Ok(())
}

/// Forget the descriptions of rows that runs which ended before an instant could not use; how many there were stays with
/// the run. At most `limit` runs; gives how many descriptions that were.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn forget_rejections(tx: &mut Transaction<'_>, before: Timestamp, limit: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM import_rejection WHERE run_id IN
             (SELECT r.id FROM import_run r
              WHERE r.ended_at < $1 AND EXISTS (SELECT 1 FROM import_rejection j WHERE j.run_id = r.id)
              ORDER BY r.id LIMIT $2)",
        &[&before, &limit],
    )
}

/// Forget runs that ended before an instant, at most `limit` of them, but the last of each kind of an instance and those a rescan
/// names; gives how many that were.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn forget_runs(tx: &mut Transaction<'_>, before: Timestamp, limit: i64) -> Result<u64> {
    let old: Vec<(i64,)> = tx.all(
        "SELECT r.id FROM import_run r
         WHERE r.ended_at < $1
           AND EXISTS (SELECT 1 FROM import_run o WHERE o.instance_id = r.instance_id AND o.kind = r.kind AND o.id > r.id
                       AND (o.state = 'complete' OR r.state <> 'complete'))
           AND NOT EXISTS (SELECT 1 FROM scan_child c WHERE c.run_number = r.number)
         ORDER BY r.id LIMIT $2",
        &[&before, &limit],
    )?;
    let old: Vec<i64> = old.into_iter().map(|(id,)| id).collect();
    if old.is_empty() {
        return Ok(0);
    }
    tx.execute("DELETE FROM import_step WHERE run_id {in $1}", &[&old])?;
    tx.execute("DELETE FROM import_rejection WHERE run_id {in $1}", &[&old])?;
    tx.execute("DELETE FROM import_run WHERE id {in $1}", &[&old])
}

/// The digest of what a run wrote so far, and of the rows of its next batch.
#[must_use]
pub fn chain(before: &[u8; 32], batch: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(before).chain_update(batch).finalize().into()
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(counters: &Counters) -> String {
    serde_json::to_string(counters).expect("numbers under fixed names are JSON")
}
