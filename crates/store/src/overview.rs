//! What the dashboard and the side bar show: counts over everything an actor may see, each one statement.
//!
//! Bands are those of the detection score (design, section 2); an item's band is that of its residual score.

use crate::filter::compile;
use crate::{Result, Sql, Transaction, items, record, scope};
use domain::access::{Action, Actor, AssetScope};
use domain::filter::{Context, Filter};
use domain::time::Timestamp;

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Jobs that are enabled.
    pub jobs: i64,
    /// Scans that are not over.
    pub scans: i64,
}

/// Count what is under way.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn now(tx: &mut Transaction<'_>) -> Result<Now> {
    let (jobs, scans) = tx.one::<(i64, i64)>(
        "SELECT (SELECT count(*) FROM job WHERE status = 'ENABLED' AND deleted_at IS NULL),
                (SELECT count(*) FROM scan WHERE state IN ('queued', 'scanning'))",
        &[],
    )?;
    Ok(Now { jobs, scans })
}

/// What has been set up so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetUp {
    /// Integration instances.
    pub instances: i64,
    /// Whether something was imported.
    pub imported: bool,
    /// Agents that are not revoked.
    pub agents: i64,
    /// Whether a catalogue is in force.
    pub catalogue: bool,
    /// Jobs that were ever saved.
    pub jobs: i64,
}

/// Look at what has been set up so far.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_up(tx: &mut Transaction<'_>) -> Result<SetUp> {
    let (instances, imported, agents, catalogue, jobs) = tx.one::<(i64, bool, i64, bool, i64)>(
        "SELECT (SELECT count(*) FROM integration_instance), EXISTS (SELECT 1 FROM vulnerability),
                (SELECT count(*) FROM agent WHERE revoked_at IS NULL), EXISTS (SELECT 1 FROM catalogue_release),
                (SELECT count(*) FROM job WHERE status <> 'DRAFT')",
        &[],
    )?;
    Ok(SetUp { instances, imported, agents, catalogue, jobs })
}

/// Where the items of one band stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Band {
    /// Not closed.
    pub open: i64,
    /// Of these: aimed at by a job that is not over.
    pub in_job: i64,
    /// Of the open ones: mitigated.
    pub mitigated: i64,
    /// Closed because the scanner found them gone.
    pub fixed: i64,
}

const BAND: &str =
    "CASE WHEN i.residual >= 90 THEN 3 WHEN i.residual >= 70 THEN 2 WHEN i.residual >= 40 THEN 1 ELSE 0 END";

fn seen(actor: &Actor) -> Sql {
    items::visible(actor, Action::ItemsView).unwrap_or_else(|| Sql::new("TRUE"))
}

/// Where the items that an actor may see stand: low, medium, high, critical.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn stand(tx: &mut Transaction<'_>, actor: &Actor) -> Result<[Band; 4]> {
    let sql = Sql::new("SELECT ").text(BAND).text(
        ", count(*) FILTER (WHERE i.state <> 'closed'), count(*) FILTER (WHERE i.state <> 'closed' AND t.asset_id IS NOT NULL),
           count(*) FILTER (WHERE i.state <> 'closed' AND i.mitigation = 'mitigated'),
           count(*) FILTER (WHERE i.state = 'closed' AND i.substate = 'fixed')
         FROM vulnerable_item i
         LEFT JOIN (SELECT DISTINCT g.asset_id, g.vulnerability_id FROM job_target g JOIN job j ON j.id = g.job_id
                    WHERE j.status IN ('DISABLED', 'ENABLED') AND j.deleted_at IS NULL) t
             ON t.asset_id = i.asset_id AND t.vulnerability_id = i.vulnerability_id
         WHERE ",
    );
    let sql = sql.append(seen(actor)).text(" GROUP BY 1");
    let mut bands = [Band::default(); 4];
    tx.each_built(&sql, |(band, open, in_job, mitigated, fixed): (i64, i64, i64, i64, i64)| {
        if let Some(slot) = usize::try_from(band).ok().and_then(|at| bands.get_mut(at)) {
            *slot = Band { open, in_job, mitigated, fixed };
        }
        Ok(())
    })?;
    Ok(bands)
}

/// Whose items are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All that the actor may see.
    All,
    /// The same, where the conditions may ask anything.
    Joined,
    /// Of these those that are assigned to him or to one of his groups.
    Own,
}

/// How many items meet each of these conditions, in one pass over what the actor may see: the same numbers as the lists behind them.
/// For [`Whose::All`] the conditions ask nothing of assets and vulnerabilities, so that nothing is joined.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn tally(
    tx: &mut Transaction<'_>,
    actor: &Actor,
    whose: Whose,
    of: &[Filter],
    context: &Context,
) -> Result<Vec<i64>> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let list = &items::LIST;
    let mut sql = Sql::new("SELECT ");
    for (at, filter) in of.iter().enumerate() {
        sql = sql.text(if at == 0 { "count(*) FILTER (WHERE " } else { ", count(*) FILTER (WHERE " });
        sql = sql.append(compile(filter, list.fields, list.columns, context)?).text(")");
    }
    sql = sql.text(" FROM ").text(match whose {
        Whose::All => "vulnerable_item i LEFT JOIN account o ON o.id = i.owner_id",
        Whose::Joined | Whose::Own => list.from,
    });
    sql = sql.text(" WHERE (").append(seen(actor)).text(")");
    if whose == Whose::Own {
        let groups: Vec<String> = actor.groups.iter().cloned().collect();
        sql = sql.text(" AND (i.owner_id = ").bind(&actor.user).text(" OR i.group_name {in ").bind(&groups).text("})");
    }
    let rows: Vec<Vec<i64>> = tx.all_built(&sql)?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// The groups with the most open items that the actor may see, at most `most`.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn by_group(tx: &mut Transaction<'_>, actor: &Actor, most: i64) -> Result<Vec<(String, i64)>> {
    let sql = Sql::new(
        "SELECT i.group_name, count(*) FROM vulnerable_item i WHERE i.state <> 'closed' AND i.group_name <> '' AND (",
    );
    let sql = sql.append(seen(actor)).text(") GROUP BY i.group_name ORDER BY count(*) DESC, i.group_name LIMIT ");
    tx.all_built(&sql.bind(&most))
}

/// Days from the last opening to the closing of items that were closed since then and are, in the mean; `None` without any.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn mean_days_to_close(tx: &mut Transaction<'_>, actor: &Actor, since: Timestamp) -> Result<Option<f64>> {
    let sql = Sql::new(
        "SELECT count(*), CAST(coalesce(sum((i.closed_at - i.opened_at) / 1000000), 0) AS BIGINT) FROM vulnerable_item i
         WHERE i.state = 'closed' AND i.closed_at > ",
    );
    let sql = sql.bind(&since).text(" AND (").append(seen(actor)).text(")");
    let rows: Vec<(i64, i64)> = tx.all_built(&sql)?;
    let (closed, seconds) = rows.first().copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a mean on screen")]
    Ok((closed > 0).then(|| seconds as f64 / closed as f64 / 86_400.0))
}

/// How many items of a band were opened or closed on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayChange {
    /// Days since 1970, UTC.
    pub day: i64,
    /// 0 low to 3 critical, by the present score.
    pub band: i64,
    /// Opened less closed.
    pub open: i64,
}

/// How the open items of each band changed by day since `since`, by the present band and the last opening of each.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn changes(tx: &mut Transaction<'_>, actor: &Actor, since: Timestamp) -> Result<Vec<DayChange>> {
    let part = |at: &'static str, sign: &'static str| {
        let sql = Sql::new("SELECT ").text(at).text(" / 86400000000 AS day, ").text(BAND).text(" AS band, ").text(sign);
        sql.text("count(*) AS n FROM vulnerable_item i WHERE ")
            .text(at)
            .text(" >= ")
            .bind(&since)
            .text(" AND ")
            .append(seen(actor))
            .text(" GROUP BY 1, 2")
    };
    let sql =
        Sql::new("SELECT day, band, CAST(sum(n) AS BIGINT) FROM (").append(part("i.opened_at", "")).text(" UNION ALL ");
    let sql = sql.append(part("i.closed_at", "-")).text(") AS c GROUP BY day, band ORDER BY day, band");
    let mut days = Vec::new();
    tx.each_built(&sql, |(day, band, open): (i64, i64, i64)| {
        days.push(DayChange { day, band, open });
        Ok(())
    })?;
    Ok(days)
}

record! {
    /// What a catalogue entry in force could do about a vulnerability on the assets an actor may see.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Possible {
        /// The entry's key.
        pub entry_key: i64,
        /// Its id.
        pub entry: String,
        /// Its revision.
        pub revision: i64,
        /// Its title.
        pub title: String,
        /// The platform word.
        pub platform: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
        /// Can be rolled back.
        pub reversible: bool,
        /// The QID.
        pub qid: i64,
        /// The vulnerability's title.
        pub vulnerability: String,
        /// Assets of the platform with an open item of it.
        pub assets: i64,
        /// Of these: with an agent.
        pub agents: i64,
        /// Of these: with an agent and not mitigated yet.
        pub remaining: i64,
        /// The highest score before any mitigation.
        pub inherent: i64,
        /// The highest residual score.
        pub residual: i64,
        /// The most points it takes off one of its CVEs.
        pub points: i64,
    }
}

impl Possible {
    /// Whether agents refuse it until a second person can approve it: high risk, or no way back (design, section 10).
    #[must_use]
    pub fn risky(&self) -> bool {
        self.risk == "high" || !self.reversible
    }
}

/// What the catalogue in force could do, where it could do something: one row per entry and vulnerability, limited to
/// these vulnerabilities where given.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn possible(tx: &mut Transaction<'_>, actor: &Actor, only: Option<&[i64]>) -> Result<Vec<Possible>> {
    possible_on(tx, actor, only, None)
}

/// The same, with rows and counts of these assets alone where given (S1.05).
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn possible_on(
    tx: &mut Transaction<'_>,
    actor: &Actor,
    only: Option<&[i64]>,
    on: Option<&[i64]>,
) -> Result<Vec<Possible>> {
    let mut sql = Sql::new(
        "WITH cover AS (
             SELECT vc.vulnerability_id, c.entry_key, max(c.points) AS points
             FROM catalogue_cve c JOIN vulnerability_cve vc ON vc.cve = c.cve WHERE c.cve <> '' GROUP BY 1, 2
             UNION
             SELECT v.id, c.entry_key, max(c.points) FROM catalogue_cve c JOIN vulnerability v ON v.qid = c.qid
             WHERE c.qid <> 0 GROUP BY 1, 2)
         SELECT e.id AS entry_key, e.entry, e.revision, e.title, e.platform, e.implication, e.risk, e.reversible,
             v.qid, v.title AS vulnerability, count(DISTINCT i.asset_id) AS assets,
             count(DISTINCT i.asset_id) FILTER (WHERE g.asset_id IS NOT NULL) AS agents,
             count(DISTINCT i.asset_id) FILTER (WHERE g.asset_id IS NOT NULL AND i.mitigation <> 'mitigated') AS remaining,
             max(i.inherent) AS inherent, max(i.residual) AS residual, max(cover.points) AS points
         FROM cover
         JOIN catalogue_entry e ON e.id = cover.entry_key AND e.current
         JOIN vulnerability v ON v.id = cover.vulnerability_id
         JOIN vulnerable_item i ON i.vulnerability_id = v.id AND i.state <> 'closed'
         JOIN asset a ON a.id = i.asset_id
              AND (a.platform = e.platform OR e.platform = 'any' AND a.platform IN ('linux', 'windows'))
         LEFT JOIN (SELECT DISTINCT asset_id FROM agent WHERE revoked_at IS NULL AND link <> 'ambiguous') g
              ON g.asset_id = i.asset_id
         WHERE ",
    );
    sql = sql.append(scope::assets(&actor.scope, "i.asset_id").unwrap_or_else(|| Sql::new("TRUE")));
    if let Some(only) = only {
        sql = sql.text(" AND v.id {in ").bind(&only).text("}");
    }
    if let Some(on) = on {
        sql = sql.text(" AND i.asset_id {in ").bind(&on).text("}");
    }
    tx.all_built(&sql.text(
        " GROUP BY e.id, e.entry, e.revision, e.title, e.platform, e.implication, e.risk, e.reversible, v.qid, v.title
          ORDER BY e.entry, v.qid",
    ))
}

record! {
    /// The scores of an asset for one vulnerability of a job.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct JobScore {
        /// The job's number.
        pub number: i64,
        /// The asset.
        pub asset_id: domain::id::AssetId,
        /// The vulnerability.
        pub vulnerability_id: domain::id::VulnerabilityId,
        /// The highest score before any mitigation.
        pub inherent: i64,
        /// The highest residual score.
        pub residual: i64,
    }
}

/// The scores now of everything inside the scope that these jobs (by number) are aimed at.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn job_scores(tx: &mut Transaction<'_>, numbers: &[i64], within: &AssetScope) -> Result<Vec<JobScore>> {
    let mut sql = Sql::new(
        "SELECT j.number, t.asset_id, t.vulnerability_id, max(i.inherent) AS inherent, max(i.residual) AS residual
         FROM job j JOIN job_target t ON t.job_id = j.id
         JOIN vulnerable_item i ON i.vulnerability_id = t.vulnerability_id AND i.asset_id = t.asset_id
         WHERE j.number {in ",
    )
    .bind(&numbers)
    .text("}");
    if let Some(scope) = scope::assets(within, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.all_built(&sql.text(" GROUP BY j.number, t.asset_id, t.vulnerability_id ORDER BY 1, 2, 3"))
}
