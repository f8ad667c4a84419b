//! Requests for the approval of a run, the proofs of its machines, and who enabled a job.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::{Result, Scalar, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::approval::State;
use domain::filter::{Field, Fields, Kind};
use domain::id::{AssetId, JobId, RunId, UserId};
use domain::time::Timestamp;
use uuid::Uuid;

record! {
    /// A request.
    #[derive(Debug, Clone)]
    pub struct ApprovalRow {
        /// Key.
        pub id: i64,
        /// Job.
        pub job_id: JobId,
        /// Ordinal of the job's number.
        pub job_number: i64,
        /// The job's title.
        pub job_title: String,
        /// The run that waits.
        pub run_id: RunId,
        /// Which run of the job.
        pub run_ordinal: i64,
        /// How it stands.
        pub state: State,
        /// SHA-256 of what they sign, hex.
        pub manifest_digest: String,
        /// The envelope with the signatures so far; empty before the first.
        pub envelope: String,
        /// Distinct keys that signed.
        pub signatures: i64,
        /// How many are needed.
        pub needed: i64,
        /// The highest class among its entries.
        pub class: i64,
        /// How many entries.
        pub entries: i64,
        /// How many machines.
        pub machines: i64,
        /// Keys of who enabled, owns or co-authors the job, as a JSON list.
        pub authors: String,
        /// Who asked, by name.
        pub requested_by: String,
        /// When.
        pub requested_at: Timestamp,
        /// It holds until then.
        pub valid_until: Timestamp,
        /// Who decided, by name; empty before.
        pub decided_by: String,
        /// When.
        pub decided_at: Option<Timestamp>,
        /// Why it was rejected, or is void.
        pub reason: String,
    }
}

macro_rules! columns {
    () => {
        "p.id, p.job_id, j.number AS job_number, j.title AS job_title, p.run_id, p.run_ordinal, p.state,
                 p.manifest_digest, p.envelope, p.signatures, p.needed, p.class, p.entries, p.machines,
                 p.authors, p.requested_by, p.requested_at, p.valid_until, p.decided_by, p.decided_at, p.reason"
    };
}

macro_rules! tables {
    () => {
        "approval p JOIN job j ON j.id = p.job_id"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM ", tables!(), " ", $rest)
    };
}

/// A request to be made.
#[derive(Debug, Clone)]
pub struct NewApproval<'a> {
    /// Job.
    pub job: JobId,
    /// The run that waits.
    pub run: RunId,
    /// Which run of the job.
    pub ordinal: i64,
    /// What people read, exact text.
    pub plan: &'a str,
    /// How the run is rolled out, as JSON of [`domain::rollout::resolved::Rollout`].
    pub rollout: &'a str,
    /// What they sign, exact text.
    pub manifest: &'a str,
    /// SHA-256 of `manifest`, hex.
    pub manifest_digest: &'a str,
    /// Signatures needed.
    pub needed: i64,
    /// The highest class among its entries.
    pub class: i64,
    /// How many entries.
    pub entries: i64,
    /// How many machines.
    pub machines: i64,
    /// Keys of who must not decide, as a JSON list.
    pub authors: &'a str,
    /// Who asks, by name.
    pub requested_by: &'a str,
    /// It holds until then.
    pub valid_until: Timestamp,
}

/// The proof of one machine.
#[derive(Debug, Clone)]
pub struct TargetRow {
    /// Agent.
    pub agent_id: Uuid,
    /// Installation.
    pub instance_id: Uuid,
    /// Proof as JSON.
    pub proof: String,
}
crate::stage!(TargetRow as "approval_target_batch" { agent_id: Uuid, instance_id: Uuid, proof: String });

/// Make a request with the proofs of its machines; gives its key.
///
/// # Errors
/// See [`crate::Error`].
pub fn ask(tx: &mut Transaction<'_>, new: &NewApproval<'_>, targets: &[TargetRow], now: Timestamp) -> Result<i64> {
    let id: i64 = tx.insert(
        "INSERT INTO approval (job_id, run_id, run_ordinal, state, plan, manifest, manifest_digest, envelope, signatures,
             needed, class, entries, machines, authors, requested_by, requested_at, valid_until, decided_by, reason, rollout)
         VALUES ($1, $2, $3, 'pending', $4, $5, $6, '', 0, $7, $8, $9, $10, $11, $12, $13, $14, '', '', $15) RETURNING id",
        &[
            &new.job,
            &new.run,
            &new.ordinal,
            &new.plan,
            &new.manifest,
            &new.manifest_digest,
            &new.needed,
            &new.class,
            &new.entries,
            &new.machines,
            &new.authors,
            &new.requested_by,
            &now,
            &new.valid_until,
            &new.rollout,
        ],
    )?;
    tx.stage(targets)?;
    tx.execute(
        "INSERT INTO approval_target (approval_id, agent_id, instance_id, proof)
         SELECT $1, agent_id, instance_id, proof FROM approval_target_batch",
        &[&id],
    )?;
    Ok(id)
}

/// A request by its key.
///
/// # Errors
/// See [`crate::Error`].
pub fn find(tx: &mut Transaction<'_>, id: i64) -> Result<Option<ApprovalRow>> {
    tx.optional(select!("WHERE p.id = $1"), &[&id])
}

/// What people read of a request, and what they sign: exact texts, which may be long.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn texts(tx: &mut Transaction<'_>, id: i64) -> Result<(String, String)> {
    tx.one("SELECT plan, manifest FROM approval WHERE id = $1", &[&id])
}

/// The envelope with the signatures of an approved request, by the digest of what they signed.
///
/// # Errors
/// See [`crate::Error`].
pub fn signed_as(tx: &mut Transaction<'_>, manifest_digest: &str) -> Result<Option<String>> {
    let found: Option<(String,)> = tx.optional(
        "SELECT envelope FROM approval WHERE manifest_digest = $1 AND state = 'approved' ORDER BY id DESC LIMIT 1",
        &[&manifest_digest],
    )?;
    Ok(found.map(|(envelope,)| envelope))
}

/// Approved runs most looked at for one rollback on one host; older ones hold no more.
const PUT_BY_MAX: i64 = 20;

/// The approved runs that were at work on an asset with this very revision of an entry, newest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn put_by(tx: &mut Transaction<'_>, asset: AssetId, entry_key: i64) -> Result<Vec<RunId>> {
    let rows: Vec<Scalar<RunId>> = tx.all(
        "SELECT DISTINCT t.run_id FROM task t JOIN approval p ON p.run_id = t.run_id AND p.state = 'approved'
         WHERE t.asset_id = $1 AND t.entry_key = $2 AND t.kind = 'apply'
           AND (t.started_at IS NOT NULL OR t.state NOT IN ('pending', 'ready', 'offered', 'cancelled', 'expired'))
         ORDER BY t.run_id DESC LIMIT $3",
        &[&asset, &entry_key, &PUT_BY_MAX],
    )?;
    Ok(rows.into_iter().map(|Scalar(run)| run).collect())
}

/// The request that counts for a run: the newest that is not void.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_run(tx: &mut Transaction<'_>, run: RunId) -> Result<Option<ApprovalRow>> {
    tx.optional(select!("WHERE p.run_id = $1 AND p.state <> 'void' ORDER BY p.id DESC LIMIT 1"), &[&run])
}

/// The newest request of a job, in whatever state.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_job(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<ApprovalRow>> {
    tx.optional(select!("WHERE p.job_id = $1 ORDER BY p.id DESC LIMIT 1"), &[&job])
}

/// What the list of requests can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field {
            name: "state",
            kind: Kind::Words(&["pending", "approved", "rejected", "void", "expired"]),
            doc: "how it stands",
        },
        Field { name: "title", kind: Kind::Text, doc: "the job's title" },
        Field { name: "class", kind: Kind::Number, doc: "the highest class among its actions" },
        Field { name: "machines", kind: Kind::Number, doc: "how many machines it is for" },
        Field { name: "asker", kind: Kind::Name, doc: "who asked" },
        Field { name: "decided_by", kind: Kind::Name, doc: "who decided" },
        Field { name: "asked", kind: Kind::Instant, doc: "when it was asked for" },
        Field { name: "until", kind: Kind::Instant, doc: "until when it holds" },
    ],
    flags: &[],
    free: &["title", "asker"],
};

/// The list of requests, to be read with [`within`].
pub const LIST: List = List {
    name: "approvals",
    select: columns!(),
    from: tables!(),
    key: "p.id",
    fields: &FIELDS,
    columns: &[
        Column::one("state", "p.state"),
        Column::one("title", "j.title"),
        Column::one("class", "p.class"),
        Column::one("machines", "p.machines"),
        Column::one("asker", "p.requested_by"),
        Column::one("decided_by", "p.decided_by"),
        Column::one("asked", "p.requested_at"),
        Column::one("until", "p.valid_until"),
    ],
    sorts: &[
        Sort::whole("asked", "p.requested_at"),
        Sort::whole("until", "p.valid_until"),
        Sort::whole("class", "p.class"),
        Sort::whole("machines", "p.machines"),
    ],
};

/// The requests of jobs with at least one asset inside the scope; `state` narrows to one.
#[must_use]
pub fn within(state: Option<State>, scope: &AssetScope) -> Clip {
    let mut sql = Sql::new("j.deleted_at IS NULL");
    if let Some(state) = state {
        sql = sql.text(" AND p.state = ").bind(&state);
    }
    if let Some(scope) = scope::assets(scope, "t.asset_id") {
        sql =
            sql.text(" AND EXISTS (SELECT 1 FROM job_target t WHERE t.job_id = p.job_id AND ").append(scope).text(")");
    }
    Clip::from(Some(sql))
}

/// How many requests of jobs with at least one asset inside the scope wait for somebody.
///
/// # Errors
/// See [`crate::Error`].
pub fn waiting(tx: &mut Transaction<'_>, within: &AssetScope) -> Result<i64> {
    let mut sql = Sql::new("SELECT count(*) FROM approval p WHERE p.state = 'pending'");
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql =
            sql.text(" AND EXISTS (SELECT 1 FROM job_target t WHERE t.job_id = p.job_id AND ").append(scope).text(")");
    }
    tx.scalar_built(&sql)
}

/// Store what a signature makes of a request: state, envelope and number of signatures; `false` when somebody else decided
/// or signed since the envelope `seen` was read.
///
/// # Errors
/// See [`crate::Error`].
pub fn sign(
    tx: &mut Transaction<'_>,
    id: i64,
    seen: &str,
    signed: (State, &str, i64),
    by: &str,
    now: Timestamp,
) -> Result<bool> {
    let (state, envelope, signatures) = signed;
    Ok(tx.execute(
        "UPDATE approval SET state = $2, envelope = $3, signatures = $4, decided_by = $5, decided_at = $6
         WHERE id = $1 AND state = 'pending' AND envelope = $7",
        &[&id, &state, &envelope, &signatures, &by, &now, &seen],
    )? == 1)
}

/// End a request without approving it; `false` when somebody else decided first.
///
/// # Errors
/// See [`crate::Error`].
pub fn end(tx: &mut Transaction<'_>, id: i64, state: State, by: &str, reason: &str, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(
        "UPDATE approval SET state = $2, decided_by = $3, reason = $4, decided_at = $5 WHERE id = $1 AND state = 'pending'",
        &[&id, &state, &by, &reason, &now],
    )? == 1)
}

/// The requests of a job for runs that are gone count no more.
///
/// # Errors
/// See [`crate::Error`].
pub fn void(tx: &mut Transaction<'_>, job: JobId, reason: &str, now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE approval SET state = 'void', reason = $2, decided_at = $3
         WHERE job_id = $1 AND state IN ('pending', 'approved')
           AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = approval.run_id)",
        &[&job, &reason, &now],
    )
}

/// Requests for which nobody decided in time.
///
/// # Errors
/// See [`crate::Error`].
pub fn overdue(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<ApprovalRow>> {
    tx.all(select!("WHERE p.state = 'pending' AND p.valid_until <= $1 ORDER BY p.id LIMIT 100"), &[&now])
}

/// Requests that wait for somebody and whose manifest does not begin with these characters, each with its manifest.
///
/// # Errors
/// See [`crate::Error`].
pub fn begun_otherwise(tx: &mut Transaction<'_>, begins: &str) -> Result<Vec<(i64, String)>> {
    tx.all(
        "SELECT id, manifest FROM approval WHERE state = 'pending' AND manifest NOT LIKE $1 ORDER BY id LIMIT 500",
        &[&format!("{begins}%")],
    )
}

/// The proof of an installation, if it is one of the machines of this request.
///
/// # Errors
/// See [`crate::Error`].
pub fn proof(tx: &mut Transaction<'_>, id: i64, agent_id: Uuid, instance_id: Uuid) -> Result<Option<String>> {
    let found: Option<(String,)> = tx.optional(
        "SELECT proof FROM approval_target WHERE approval_id = $1 AND agent_id = $2 AND instance_id = $3",
        &[&id, &agent_id, &instance_id],
    )?;
    Ok(found.map(|(proof,)| proof))
}

record! {
    /// A task as a plan names it.
    #[derive(Debug, Clone)]
    pub struct Planned {
        /// Asset.
        pub asset_id: AssetId,
        /// Asset's name.
        pub name: String,
        /// Its address.
        pub ip: String,
        /// The agent in force on it.
        pub agent_id: Uuid,
        /// Its installation.
        pub instance_id: Uuid,
        /// Catalogue entry's key.
        pub entry_key: i64,
        /// Entry id.
        pub entry: String,
        /// In which wave.
        pub wave: i64,
        /// When it is due there.
        pub due_at: Timestamp,
        /// The last instant at which it may start there; none where nothing ends it.
        pub start_by: Option<Timestamp>,
    }
}

/// The tasks of a run that an agent can be asked to do, by asset.
///
/// # Errors
/// See [`crate::Error`].
pub fn planned(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<Planned>> {
    tx.all(
        "SELECT t.asset_id, a.name, a.ip, g.agent_id, g.instance_id, t.entry_key, e.entry, t.wave, t.due_at,
             t.start_by
         FROM task t JOIN asset a ON a.id = t.asset_id JOIN agent g ON g.id = t.agent_key
             JOIN catalogue_entry e ON e.id = t.entry_key
         WHERE t.run_id = $1 AND t.kind = 'apply' AND g.revoked_at IS NULL ORDER BY a.name, a.id, e.entry",
        &[&run],
    )
}

/// How many machines and tasks each wave of a run has, whether or not an agent can be asked: wave, machines, tasks.
///
/// # Errors
/// See [`crate::Error`].
pub fn spread(tx: &mut Transaction<'_>, run: RunId) -> Result<Vec<(i64, i64, i64)>> {
    tx.all(
        "SELECT wave, count(DISTINCT asset_id), count(*) FROM task WHERE run_id = $1 AND kind = 'apply'
         GROUP BY wave ORDER BY wave",
        &[&run],
    )
}

/// The rollouts that people signed for these runs, as JSON; a run that nobody was asked about, or that is not approved, has none.
///
/// # Errors
/// See [`crate::Error`].
pub fn rollouts(tx: &mut Transaction<'_>, runs: &[RunId]) -> Result<Vec<(RunId, String)>> {
    let runs: Vec<i64> = runs.iter().map(|run| run.0).collect();
    tx.all("SELECT run_id, rollout FROM approval WHERE run_id {in $1} AND state = 'approved'", &[&runs])
}

/// Remember who enabled a job.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_enabled_by(tx: &mut Transaction<'_>, job: JobId, user: UserId) -> Result<()> {
    tx.execute("UPDATE job SET enabled_by = $2 WHERE id = $1", &[&job, &user])?;
    Ok(())
}

/// Who enabled a job last.
///
/// # Errors
/// See [`crate::Error`].
pub fn enabled_by(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<UserId>> {
    let found: Option<(Option<UserId>,)> = tx.optional("SELECT enabled_by FROM job WHERE id = $1", &[&job])?;
    Ok(found.and_then(|(user,)| user))
}
