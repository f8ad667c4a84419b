//! Mitigation jobs: the draft and its seven steps, status, targets, actions, co-authors. Their runs are in `runs`.

pub mod history;
mod list;

use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::asset::Platform;
use domain::id::{AssetId, JobId, UserId, VulnerabilityId};
use domain::job::{Kind, Life, Pace, Status, Target};
use domain::schedule::Schedule;
use domain::time::Timestamp;
pub use list::{FIELDS, JobLine, LIST, clip, clip_of};

record! {
    /// A job.
    #[derive(Debug, Clone)]
    pub struct JobRow {
        /// Key.
        pub id: JobId,
        /// Ordinal of its number.
        pub number: i64,
        /// Mitigation or rollback.
        pub kind: Kind,
        /// One platform per job.
        pub platform: Platform,
        /// `elimination` (assets may only be removed) or `free`.
        pub origin: String,
        /// Title.
        pub title: String,
        /// Description.
        pub description: String,
        /// Status.
        pub status: Status,
        /// Schedule as JSON of [`domain::schedule::Schedule`].
        pub schedule: String,
        /// Mail recipients as a JSON list.
        pub recipients: String,
        /// Mail when execution starts.
        pub mail_started: bool,
        /// Mail when this percentage of assets has reported.
        pub mail_percent: Option<i64>,
        /// Owner.
        pub owner_id: UserId,
        /// Counts the edits: the entity tag.
        pub version: i64,
        /// Its run was cancelled.
        pub cancelled: bool,
        /// Nothing starts until somebody resumes it.
        pub paused: bool,
        /// Some asset and action has code 1 as its last result.
        pub failing: bool,
        /// Targets are chosen anew at each run, and a control that drifts is put back.
        pub standing: bool,
        /// When the next run of a recurring job is made.
        pub next_at: Option<Timestamp>,
        /// For which civil time of its schedule, `2026-11-22T03:00:00`; empty without one.
        pub next_time: String,
        /// Made.
        pub created_at: Timestamp,
        /// Changed.
        pub updated_at: Timestamp,
        /// Enabled.
        pub enabled_at: Option<Timestamp>,
        /// The run under way began; of a job that is over, its last one.
        pub started_at: Option<Timestamp>,
        /// Last task ended.
        pub ended_at: Option<Timestamp>,
    }
}

impl JobRow {
    /// The part that decides what may be done to it.
    #[must_use]
    pub fn life(&self) -> Life {
        let schedule = serde_json::from_str(&self.schedule).unwrap_or(Schedule::OnDemand);
        Life {
            status: self.status,
            pace: Pace::of(&schedule),
            started: self.started_at.is_some(),
            cancelled: self.cancelled,
            paused: self.paused,
            failing: self.failing,
        }
    }

    /// `MJ0000001`.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.number)
    }
}

/// A job's number as people see it.
#[must_use]
pub fn name(ordinal: i64) -> String {
    domain::number::Number { series: domain::number::Series::Job, ordinal }.to_string()
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, kind, platform, origin, title, description, status, schedule, recipients, mail_started,
                 mail_percent, owner_id, version, cancelled, paused, failing, standing, next_at, next_time, created_at, updated_at,
                 enabled_at, started_at, ended_at
             FROM job ",
            $rest
        )
    };
}

/// What a job is from its first draft on and for ever.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Ordinal of its number.
    pub number: i64,
    /// Mitigation or rollback.
    pub kind: Kind,
    /// Platform.
    pub platform: Platform,
    /// `elimination` or `free`.
    pub origin: String,
    /// Owner.
    pub owner: UserId,
}

/// The editable part of a job.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Schedule as JSON.
    pub schedule: String,
    /// Recipients as JSON.
    pub recipients: String,
    /// Mail at the start.
    pub mail_started: bool,
    /// Mail at a percentage.
    pub mail_percent: Option<i64>,
    /// Targets are chosen anew at each run.
    pub standing: bool,
}

/// Make a draft.
///
/// # Errors
/// See [`crate::Error`].
pub fn create(tx: &mut Transaction<'_>, job: &NewJob, draft: &Draft, now: Timestamp) -> Result<JobId> {
    tx.insert(
        "INSERT INTO job (number, kind, platform, origin, title, description, status, schedule, recipients, mail_started,
             mail_percent, owner_id, version, cancelled, created_at, updated_at, standing)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, $14, $15) RETURNING id",
        &[
            &job.number,
            &job.kind,
            &job.platform,
            &job.origin,
            &draft.title,
            &draft.description,
            &Status::Draft,
            &draft.schedule,
            &draft.recipients,
            &draft.mail_started,
            &draft.mail_percent,
            &job.owner,
            &false,
            &now,
            &draft.standing,
        ],
    )
}

/// A job by its number, unless it was deleted.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_number(tx: &mut Transaction<'_>, number: i64) -> Result<Option<JobRow>> {
    tx.optional(select!("WHERE number = $1 AND deleted_at IS NULL"), &[&number])
}

/// A job by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn read(tx: &mut Transaction<'_>, id: JobId) -> Result<JobRow> {
    tx.one(select!("WHERE id = $1"), &[&id])
}

/// Store the editable part and count the edit; `false` when somebody else edited since `version` was read.
///
/// # Errors
/// See [`crate::Error`].
pub fn save(tx: &mut Transaction<'_>, id: JobId, version: i64, draft: &Draft, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(
        "UPDATE job SET title = $3, description = $4, schedule = $5, recipients = $6, mail_started = $7, mail_percent = $8,
             version = version + 1, updated_at = $9, standing = $10
         WHERE id = $1 AND version = $2",
        &[
            &id,
            &version,
            &draft.title,
            &draft.description,
            &draft.schedule,
            &draft.recipients,
            &draft.mail_started,
            &draft.mail_percent,
            &now,
            &draft.standing,
        ],
    )? == 1)
}

/// Store what an act, or the end of a run, made of the job's life.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_life(tx: &mut Transaction<'_>, id: JobId, life: Life, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE job SET status = $2, cancelled = $3, updated_at = $4, version = version + 1, paused = $5, failing = $6,
             enabled_at = CASE WHEN $2 = 'ENABLED' THEN coalesce(enabled_at, $4) ELSE enabled_at END,
             ended_at = CASE WHEN $2 IN ('COMPLETED', 'COMPLETED_WITH_FAILURES') THEN $4 ELSE NULL END
         WHERE id = $1",
        &[&id, &life.status, &life.cancelled, &now, &life.paused, &life.failing],
    )?;
    Ok(())
}

/// Count a change of what a job does that nobody made by hand.
///
/// # Errors
/// See [`crate::Error`].
pub fn touch(tx: &mut Transaction<'_>, id: JobId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE job SET updated_at = $2, version = version + 1 WHERE id = $1", &[&id, &now])?;
    Ok(())
}

/// Give a job to somebody else, who is no co-author then.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_owner(tx: &mut Transaction<'_>, id: JobId, owner: UserId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE job SET owner_id = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &[&id, &owner, &now],
    )?;
    tx.execute("DELETE FROM job_coauthor WHERE job_id = $1 AND user_id = $2", &[&id, &owner])?;
    Ok(())
}

/// A disabled job forgets that it was enabled.
///
/// # Errors
/// See [`crate::Error`].
pub fn forget_enabled(tx: &mut Transaction<'_>, id: JobId) -> Result<()> {
    tx.execute("UPDATE job SET enabled_at = NULL WHERE id = $1", &[&id])?;
    Ok(())
}

/// Take a job from the lists.
///
/// # Errors
/// See [`crate::Error`].
pub fn delete(tx: &mut Transaction<'_>, id: JobId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE job SET deleted_at = $2 WHERE id = $1", &[&id, &now])?;
    Ok(())
}

/// Which assets are in the job for which vulnerabilities.
///
/// # Errors
/// See [`crate::Error`].
pub fn targets(tx: &mut Transaction<'_>, id: JobId) -> Result<Vec<Target>> {
    let rows: Vec<(AssetId, VulnerabilityId)> =
        tx.all("SELECT asset_id, vulnerability_id FROM job_target WHERE job_id = $1 ORDER BY 1, 2", &[&id])?;
    Ok(rows.into_iter().map(|(asset, vulnerability)| Target { asset, vulnerability }).collect())
}

struct TargetRow {
    asset_id: i64,
    vulnerability_id: i64,
}
crate::stage!(TargetRow as "job_target_batch" { asset_id: i64, vulnerability_id: i64 });

/// Replace the targets; actions for vulnerabilities that no target has any more go with them (R4).
///
/// # Errors
/// See [`crate::Error`].
pub fn set_targets(tx: &mut Transaction<'_>, id: JobId, targets: &[Target]) -> Result<()> {
    let rows: Vec<TargetRow> = targets
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|target| TargetRow { asset_id: target.asset.0, vulnerability_id: target.vulnerability.0 })
        .collect();
    tx.execute("DELETE FROM job_target WHERE job_id = $1", &[&id])?;
    tx.stage(&rows)?;
    tx.execute(
        "INSERT INTO job_target (job_id, asset_id, vulnerability_id)
         SELECT $1, asset_id, vulnerability_id FROM job_target_batch",
        &[&id],
    )?;
    tx.execute(
        "DELETE FROM job_action WHERE job_id = $1
           AND vulnerability_id NOT IN (SELECT vulnerability_id FROM job_target WHERE job_id = $1)",
        &[&id],
    )?;
    Ok(())
}

/// The actions: vulnerability and catalogue entry.
///
/// # Errors
/// See [`crate::Error`].
pub fn actions(tx: &mut Transaction<'_>, id: JobId) -> Result<Vec<(VulnerabilityId, i64)>> {
    tx.all("SELECT vulnerability_id, entry_key FROM job_action WHERE job_id = $1 ORDER BY 1, 2", &[&id])
}

/// Replace the actions.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_actions(tx: &mut Transaction<'_>, id: JobId, actions: &[(VulnerabilityId, i64)]) -> Result<()> {
    tx.execute("DELETE FROM job_action WHERE job_id = $1", &[&id])?;
    for (vulnerability, entry) in actions {
        tx.execute(
            "INSERT INTO job_action (job_id, vulnerability_id, entry_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &[&id, vulnerability, entry],
        )?;
    }
    Ok(())
}

/// Co-authors.
///
/// # Errors
/// See [`crate::Error`].
pub fn coauthors(tx: &mut Transaction<'_>, id: JobId) -> Result<Vec<UserId>> {
    let rows: Vec<(UserId,)> = tx.all("SELECT user_id FROM job_coauthor WHERE job_id = $1 ORDER BY 1", &[&id])?;
    Ok(rows.into_iter().map(|(user,)| user).collect())
}

/// Replace the co-authors.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_coauthors(tx: &mut Transaction<'_>, id: JobId, users: &[UserId]) -> Result<()> {
    tx.execute("DELETE FROM job_coauthor WHERE job_id = $1", &[&id])?;
    for user in users {
        tx.execute("INSERT INTO job_coauthor (job_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", &[&id, user])?;
    }
    Ok(())
}

record! {
    /// An asset of a job, as the wizard and the job page show it.
    #[derive(Debug, Clone)]
    pub struct JobAsset {
        /// Key.
        pub id: AssetId,
        /// Name.
        pub name: String,
        /// Address.
        pub ip: String,
        /// Operating system.
        pub os: String,
        /// Platform.
        pub platform: Platform,
        /// QIDs it is in the job for.
        pub qids: i64,
    }
}

/// The assets of a job inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn assets(tx: &mut Transaction<'_>, id: JobId, within: &AssetScope) -> Result<Vec<JobAsset>> {
    let mut sql = Sql::new(
        "SELECT a.id, a.name, a.ip, a.os, a.platform, count(*) AS qids
         FROM job_target t JOIN asset a ON a.id = t.asset_id
         WHERE t.job_id = ",
    )
    .bind(&id);
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" GROUP BY a.id, a.name, a.ip, a.os, a.platform ORDER BY a.name, a.id"))
}

/// The tags of the assets of a job, one row per asset and tag: what an actor's scope is compared with.
///
/// # Errors
/// See [`crate::Error`].
pub fn asset_tags(tx: &mut Transaction<'_>, id: JobId) -> Result<Vec<(AssetId, Option<String>)>> {
    tx.all(
        "SELECT DISTINCT t.asset_id, g.tag FROM job_target t LEFT JOIN asset_tag g ON g.asset_id = t.asset_id
         WHERE t.job_id = $1 ORDER BY 1",
        &[&id],
    )
}
