//! What becomes of controls after the job: checks of agents, drift, expiry, review dates.
//!
//! `domain::control` decides; nothing here changes a score, that is [`crate::scores::recompute`].

use super::ControlRow;
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::numbers::number_text;
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::control::{Afterwards, Known, PutBack};
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AgentKey, AssetId, JobId};
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;

/// The highest report of checks taken from an agent, and when.
///
/// # Errors
/// See [`crate::Error`].
pub fn last_check(tx: &mut Transaction<'_>, agent: AgentKey) -> Result<Option<(i64, Timestamp)>> {
    tx.optional("SELECT n, at FROM agent_check WHERE agent_key = $1", &[&agent])
}

/// Take a report of checks; `false` when it is not newer than the last one.
///
/// # Errors
/// See [`crate::Error`].
pub fn take_check(
    tx: &mut Transaction<'_>,
    agent: AgentKey,
    n: i64,
    why: &str,
    boot_id: &str,
    now: Timestamp,
) -> Result<bool> {
    Ok(tx.execute(
        "INSERT INTO agent_check (agent_key, n, why, boot_id, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (agent_key) DO UPDATE SET n = excluded.n, why = excluded.why, boot_id = excluded.boot_id,
             at = excluded.at
         WHERE agent_check.n < excluded.n",
        &[&agent, &n, &why, &boot_id, &now],
    )? == 1)
}

/// Store what a check made of a control.
///
/// # Errors
/// See [`crate::Error`].
pub fn save_check(
    tx: &mut Transaction<'_>,
    control: i64,
    found: Known,
    note: &str,
    heard_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE control SET
             since_at = CASE WHEN state = $2 THEN since_at ELSE $6 END,
             drifts = drifts + CASE WHEN $2 = 'drifted' AND state <> 'drifted' THEN 1 ELSE 0 END,
             drifted_at = CASE WHEN $2 = 'drifted' THEN coalesce(drifted_at, $6) END,
             state = $2, origin = $3, note = $4, heard_at = $5, checked_at = $6
         WHERE id = $1",
        &[&control, &found.state, &found.origin, &note, &heard_at, &now],
    )?;
    Ok(())
}

/// When a control expires from now on, and by which job's word.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// Asset.
    pub asset_id: AssetId,
    /// Entry id.
    pub entry: String,
    /// When; none for never.
    pub expires_at: Option<Timestamp>,
    /// The job.
    pub job_id: JobId,
    /// It was in place already, or was put back after a drift: a time that was set before is never made longer by it.
    pub kept: bool,
}
crate::stage!(Expiry as "control_expiry_batch" {
    asset_id: AssetId, entry: String, expires_at: Option<Timestamp>, job_id: JobId, kept: bool,
});

/// Say when controls expire, each named once: what had expired is in force again.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_expiry(tx: &mut Transaction<'_>, controls: &[Expiry]) -> Result<()> {
    if controls.is_empty() {
        return Ok(());
    }
    tx.stage(controls)?;
    tx.execute(
        "UPDATE control SET expires_at = b.expires_at, expired_at = NULL, expiry_job_id = b.job_id, rollback_due_at = NULL,
             rollback_job_id = NULL
         FROM control_expiry_batch b WHERE control.asset_id = b.asset_id AND control.entry = b.entry
           AND (NOT b.kept OR control.expired_at IS NOT NULL OR (control.expires_at IS NULL AND control.expiry_job_id IS NULL)
                OR b.expires_at < coalesce(control.expires_at, b.expires_at + 1))",
        &[],
    )?;
    Ok(())
}

record! {
    /// A control that drifted, with the job that put it there or found it.
    #[derive(Debug, Clone)]
    pub struct Drifted {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// The revision that was applied.
        pub entry_key: i64,
        /// Its title.
        pub title: String,
        /// Who put it there.
        pub origin: Origin,
        /// Since when.
        pub drifted_at: Timestamp,
        /// What the check found.
        pub note: String,
        /// The job.
        pub job_id: Option<JobId>,
    }
}

macro_rules! drifted {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.asset_id, a.name AS asset_name, c.entry, c.entry_key, e.title, c.origin, c.drifted_at, c.note,
                 t.job_id
             FROM control c JOIN catalogue_entry e ON e.id = c.entry_key JOIN asset a ON a.id = c.asset_id
                 LEFT JOIN task t ON t.id = c.task_id ",
            $rest
        )
    };
}

/// Drifts nobody was told of: of each control the last one, unless a mail about it is younger than `before`, or people were told
/// of another drift of the same job after `quiet`.
///
/// # Errors
/// See [`crate::Error`].
pub fn untold(tx: &mut Transaction<'_>, before: Timestamp, quiet: Timestamp) -> Result<Vec<Drifted>> {
    tx.all(
        drifted!(
            "WHERE c.drifted_at IS NOT NULL AND (c.told_at IS NULL OR (c.told_at < c.drifted_at AND c.told_at < $1))
               AND (t.job_id IS NULL OR t.job_id NOT IN (SELECT u.job_id FROM control s JOIN task u ON u.id = s.task_id
                                                         WHERE s.told_at > $2))
             ORDER BY t.job_id, a.name, c.entry LIMIT 2000"
        ),
        &[&before, &quiet],
    )
}

/// People are told of these drifts now; gives how many nobody else told of meanwhile. `before` is that of [`untold`].
///
/// # Errors
/// See [`crate::Error`].
pub fn told(tx: &mut Transaction<'_>, controls: &[i64], before: Timestamp, now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE control SET told_at = $2
         WHERE id {in $1} AND (told_at IS NULL OR (told_at < drifted_at AND told_at < $3))",
        &[&controls, &now, &before],
    )
}

record! {
    /// A drifted control of ours and a standing job that holds it.
    #[derive(Debug, Clone)]
    pub struct Standing {
        /// Key of the control.
        pub id: i64,
        /// The standing job.
        pub job_id: JobId,
        /// Asset.
        pub asset_id: AssetId,
        /// The revision that was applied.
        pub entry_key: i64,
        /// The last time it was put back by itself.
        pub put_back_at: Option<Timestamp>,
        /// The first time of the present window.
        pub put_back_from: Option<Timestamp>,
        /// How often since then.
        pub put_back_times: i64,
    }
}

impl Standing {
    /// How often it was put back by itself.
    #[must_use]
    pub fn put_back(&self) -> PutBack {
        PutBack { last_at: self.put_back_at, window_at: self.put_back_from, times: self.put_back_times }
    }
}

/// Controls of ours that drifted, have not expired, and that a standing job in force holds: what it puts back now, by
/// [`PutBack::bounds`]. One with a task that has not ended is left alone, and one that several jobs hold is put back by the oldest.
/// At most 2,000; those that are put back are not among the next.
///
/// # Errors
/// See [`crate::Error`].
pub fn standing_drifted(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<Standing>> {
    let bounds = PutBack::bounds(now);
    tx.all(
        "SELECT c.id, min(j.id) AS job_id, c.asset_id, c.entry_key, c.put_back_at, c.put_back_from, c.put_back_times
         FROM control c
         JOIN job_target t ON t.asset_id = c.asset_id
         JOIN job_action x ON x.job_id = t.job_id AND x.vulnerability_id = t.vulnerability_id
         JOIN catalogue_entry e ON e.id = x.entry_key AND e.entry = c.entry
         JOIN job j ON j.id = t.job_id AND j.standing AND NOT j.paused AND NOT j.cancelled AND j.deleted_at IS NULL
              AND j.kind = 'mitigation' AND j.status IN ('ENABLED', 'COMPLETED', 'COMPLETED_WITH_FAILURES')
         WHERE c.drifted_at IS NOT NULL AND c.origin = 'ours' AND c.state = 'drifted' AND c.expired_at IS NULL
           AND (c.put_back_at IS NULL OR c.put_back_at <= $1)
           AND (c.put_back_times < $3 OR c.put_back_from IS NULL OR c.put_back_from <= $2)
           AND NOT EXISTS (SELECT 1 FROM task o JOIN catalogue_entry d ON d.id = o.entry_key AND d.entry = c.entry
                           WHERE o.asset_id = c.asset_id AND o.kind <> 'plan' AND o.code IS NULL)
         GROUP BY c.id, c.asset_id, c.entry_key, c.put_back_at, c.put_back_from, c.put_back_times
         ORDER BY 2, c.id LIMIT 2000",
        &[&bounds.last_by, &bounds.window_by, &bounds.times_below],
    )
}

/// A control is put back by itself once more; `false` where somebody else just did.
///
/// # Errors
/// See [`crate::Error`].
pub fn save_put_back(tx: &mut Transaction<'_>, control: i64, before: PutBack, times: PutBack) -> Result<bool> {
    let last = before.last_at.map_or(0, Timestamp::micros);
    Ok(tx.execute(
        "UPDATE control SET put_back_at = $2, put_back_from = $3, put_back_times = $4
         WHERE id = $1 AND coalesce(put_back_at, 0) = $5",
        &[&control, &times.last_at, &times.window_at, &times.times, &last],
    )? == 1)
}

/// The vulnerabilities whose open items on its asset a control's entry covers.
///
/// # Errors
/// See [`crate::Error`].
pub fn vulnerabilities_of(tx: &mut Transaction<'_>, control: &ControlRow) -> Result<Vec<domain::id::VulnerabilityId>> {
    let rows: Vec<(domain::id::VulnerabilityId,)> = tx.all(
        "SELECT DISTINCT v.id FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
         JOIN catalogue_cve k ON k.entry_key = $2
         WHERE i.asset_id = $1
           AND ((k.qid <> 0 AND k.qid = v.qid)
                OR (k.cve <> '' AND EXISTS (SELECT 1 FROM vulnerability_cve w
                                            WHERE w.vulnerability_id = v.id AND w.cve = k.cve)))
         ORDER BY 1",
        &[&control.asset_id, &control.entry_key],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

record! {
    /// What a job says of the time after it.
    #[derive(Debug, Clone)]
    struct AfterRow {
        expires_days: Option<i64>,
        expires_at: Option<Timestamp>,
        roll_back: bool,
        review_at: Option<Timestamp>,
    }
}

/// What a job says of the time after it.
///
/// # Errors
/// See [`crate::Error`].
pub fn of_job(tx: &mut Transaction<'_>, job: JobId) -> Result<Afterwards> {
    let row: Option<AfterRow> =
        tx.optional("SELECT expires_days, expires_at, roll_back, review_at FROM job_after WHERE job_id = $1", &[&job])?;
    Ok(row.map_or_else(Afterwards::default, |row| Afterwards {
        expires_days: row.expires_days,
        expires_at: row.expires_at,
        roll_back: row.roll_back,
        review_at: row.review_at,
    }))
}

/// Store what a job says of the time after it; another date of review is a review of its own.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_of_job(tx: &mut Transaction<'_>, job: JobId, after: &Afterwards) -> Result<()> {
    tx.execute(
        "INSERT INTO job_after (job_id, expires_days, expires_at, roll_back, review_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (job_id) DO UPDATE SET
             review_told_at = CASE WHEN job_after.review_at = excluded.review_at THEN job_after.review_told_at END,
             reviewed_at = CASE WHEN job_after.review_at = excluded.review_at THEN job_after.reviewed_at END,
             expires_days = excluded.expires_days, expires_at = excluded.expires_at, roll_back = excluded.roll_back,
             review_at = excluded.review_at",
        &[&job, &after.expires_days, &after.expires_at, &after.roll_back, &after.review_at],
    )?;
    Ok(())
}

record! {
    /// A job whose review is due.
    #[derive(Debug, Clone)]
    pub struct Review {
        /// The job.
        pub job_id: JobId,
        /// Ordinal of its number.
        pub number: i64,
        /// Its title.
        pub title: String,
        /// Its owner's sign-in name.
        pub owner: String,
        /// Since when.
        pub review_at: Timestamp,
        /// Whether its recipients were told.
        pub review_told_at: Option<Timestamp>,
        /// Controls that it put in place and that are in force.
        pub controls: i64,
    }
}

/// Rows of jobs whose review is due, inside the scope; with `untold` only those whose recipients do not know.
fn due_reviews(select: &'static str, now: Timestamp, within: &AssetScope, untold: bool) -> Sql {
    let mut sql = Sql::new(select)
        .text(
            " FROM job_after r JOIN job j ON j.id = r.job_id JOIN account u ON u.id = j.owner_id
             WHERE r.reviewed_at IS NULL AND j.deleted_at IS NULL AND j.status <> 'DRAFT' AND r.review_at <= ",
        )
        .bind(&now);
    if untold {
        sql = sql.text(" AND r.review_told_at IS NULL");
    }
    if let Some(scope) = scope::assets(within, "seen.asset_id") {
        sql = sql
            .text(" AND EXISTS (SELECT 1 FROM job_target seen WHERE seen.job_id = j.id AND ")
            .append(scope)
            .text(")");
    }
    sql
}

/// Jobs whose review is due, inside the scope, the longest first; with `untold` only those whose recipients do not know.
///
/// # Errors
/// See [`crate::Error`].
pub fn reviews(tx: &mut Transaction<'_>, now: Timestamp, within: &AssetScope, untold: bool) -> Result<Vec<Review>> {
    let select = "SELECT j.id AS job_id, j.number, j.title, u.name AS owner, r.review_at, r.review_told_at,
             (SELECT count(*) FROM control c JOIN task t ON t.id = c.task_id
              WHERE t.job_id = j.id AND c.state IN ('effective', 'configured') AND c.expired_at IS NULL) AS controls";
    tx.all_built(&due_reviews(select, now, within, untold).text(" ORDER BY r.review_at, j.id"))
}

/// How many reviews are due inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn count_reviews(tx: &mut Transaction<'_>, now: Timestamp, within: &AssetScope) -> Result<i64> {
    tx.scalar_built(&due_reviews("SELECT count(*)", now, within, false))
}

/// The recipients of a job were told of its review. `false` where they were before.
///
/// # Errors
/// See [`crate::Error`].
pub fn review_told(tx: &mut Transaction<'_>, job: JobId, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE job_after SET review_told_at = $2 WHERE job_id = $1 AND review_told_at IS NULL";
    Ok(tx.execute(sql, &[&job, &now])? == 1)
}

/// Somebody looked at the job; with `next` it is to be looked at again. `false` where no review was due.
///
/// # Errors
/// See [`crate::Error`].
pub fn reviewed(tx: &mut Transaction<'_>, job: JobId, next: Option<Timestamp>, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(
        "UPDATE job_after SET reviewed_at = CASE WHEN CAST($2 AS BIGINT) IS NULL THEN $3 END,
             review_told_at = CASE WHEN CAST($2 AS BIGINT) IS NULL THEN review_told_at END,
             review_at = coalesce($2, review_at)
         WHERE job_id = $1 AND review_at <= $3 AND reviewed_at IS NULL",
        &[&job, &next, &now],
    )? == 1)
}

/// What controls can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "asset", kind: Kind::Name, doc: "name of the asset" },
        Field { name: "asset.id", kind: Kind::Number, doc: "key of the asset" },
        Field { name: "entry", kind: Kind::Name, doc: "catalogue entry" },
        Field { name: "title", kind: Kind::Text, doc: "its title" },
        Field {
            name: "state",
            kind: Kind::Words(&["effective", "configured", "drifted", "unknown", "exposed", "not-applicable"]),
            doc: "what the last check says",
        },
        Field { name: "origin", kind: Kind::Words(&["ours", "external"]), doc: "who put it there" },
        Field { name: "job", kind: Kind::Name, doc: "number of the job that put it there or found it" },
        Field { name: "since", kind: Kind::Instant, doc: "in this state since" },
        Field { name: "checked", kind: Kind::Instant, doc: "last check" },
        Field { name: "drifted", kind: Kind::Instant, doc: "drifted since" },
        Field { name: "expires", kind: Kind::Instant, doc: "when it expires" },
        Field { name: "expired", kind: Kind::Instant, doc: "when it expired" },
    ],
    flags: &[
        Flag { name: "drifted", field: "state", words: &["drifted"], doc: "changed by somebody" },
        Flag { name: "effective", field: "state", words: &["effective"], doc: "in force" },
    ],
    free: &["asset", "entry", "title"],
};

/// The list of controls.
pub const LIST: List = List {
    name: "controls",
    select: "c.id, c.asset_id, a.name AS asset_name, c.entry, e.title, e.reversible, c.state, c.origin,
        job.number AS job_number, c.since_at, c.checked_at, c.note, c.drifted_at, c.expires_at, c.expired_at,
        c.put_back_times",
    from: "control c JOIN catalogue_entry e ON e.id = c.entry_key JOIN asset a ON a.id = c.asset_id
        LEFT JOIN task t ON t.id = c.task_id LEFT JOIN job ON job.id = t.job_id",
    key: "c.id",
    fields: &FIELDS,
    columns: &[
        Column::one("asset", "a.name"),
        Column::one("asset.id", "c.asset_id"),
        Column::one("entry", "c.entry"),
        Column::one("title", "e.title"),
        Column::one("state", "c.state"),
        Column::one("origin", "c.origin"),
        Column::one("job", number_text!("MJ", "job.number")),
        Column::one("since", "c.since_at"),
        Column::one("checked", "c.checked_at"),
        Column::one("drifted", "c.drifted_at"),
        Column::one("expires", "c.expires_at"),
        Column::one("expired", "c.expired_at"),
    ],
    sorts: &[
        Sort::text("asset", "a.name"),
        Sort::text("entry", "c.entry"),
        Sort::text("state", "c.state"),
        Sort::whole("since", "c.since_at"),
        Sort::whole("checked", "c.checked_at"),
        Sort::whole("drifted", "c.drifted_at").or_null(),
        Sort::whole("expires", "c.expires_at").or_null(),
    ],
};

record! {
    /// A control as the list shows it.
    #[derive(Debug, Clone)]
    pub struct ControlLine {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// Entry id.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// State.
        pub state: ControlState,
        /// Who put it there.
        pub origin: Origin,
        /// Ordinal of the job that did, or that found it.
        pub job_number: Option<i64>,
        /// In this state since.
        pub since_at: Timestamp,
        /// Last looked at.
        pub checked_at: Timestamp,
        /// What the last check found.
        pub note: String,
        /// Drifted since.
        pub drifted_at: Option<Timestamp>,
        /// When it expires.
        pub expires_at: Option<Timestamp>,
        /// When it expired.
        pub expired_at: Option<Timestamp>,
        /// How often it was put back by itself in the present window.
        pub put_back_times: i64,
    }
}

/// The condition that clips the list to the assets of the scope.
#[must_use]
pub fn visible(assets: &AssetScope) -> Option<Sql> {
    scope::assets(assets, "c.asset_id")
}
