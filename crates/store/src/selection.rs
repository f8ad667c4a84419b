//! What a free-standing job chooses, in SQL: assets by list, query and tags, and what can be done on them.
//!
//! The meaning is that of `domain::selection::decide`; a property test compares the two on both engines.

use crate::{Result, Scalar, Sql, Transaction, assets, filter, record, scope};
use domain::access::AssetScope;
use domain::asset::Platform;
use domain::id::{AssetId, JobId, UserId, VulnerabilityId};
use domain::job::ASSETS_MAX;
use domain::selection::{Match, Question, Reason, TagRule};
use domain::tag::Tree;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// Assets with a reason that are listed at most; all of them are counted.
pub const OUTSIDE_MAX: i64 = 500;
/// Vulnerabilities offered for choice at most.
pub const OFFERS_MAX: i64 = 500;

record! {
    /// An asset that a selection names.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Named {
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
        /// `in`, or the word of a [`Reason`].
        pub verdict: String,
    }
}

/// The assets that a selection names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In the job, by name; one more than a job may hold shows that there are too many.
    pub inside: Vec<Named>,
    /// Named and left out, by name, the first [`OUTSIDE_MAX`].
    pub outside: Vec<Named>,
    /// How many are left out for each reason.
    pub reasons: BTreeMap<Reason, i64>,
}

/// An asset that carries one of the tags or a tag below one of them.
fn carries<'t>(tags: impl Iterator<Item = &'t String>, tree: &Tree) -> Sql {
    let names: Vec<String> = tags.flat_map(|tag| tree.with_children(tag)).collect();
    Sql::new("EXISTS (SELECT 1 FROM asset_tag AS chosen_tag WHERE chosen_tag.asset_id = a.id AND chosen_tag.tag {in ")
        .bind(&names)
        .text("})")
}

fn meets(rule: &TagRule, tree: &Tree) -> Sql {
    match rule.matching {
        _ if rule.tags.is_empty() => Sql::new("FALSE"),
        Match::Any => carries(rule.tags.iter(), tree),
        Match::All => {
            let mut sql = Sql::new("(TRUE");
            for tag in &rule.tags {
                sql = sql.text(" AND ").append(carries(std::iter::once(tag), tree));
            }
            sql.text(")")
        }
    }
}

/// Every named asset with its verdict, as a relation.
fn verdicts(question: &Question<'_>) -> Result<Sql> {
    let (selection, tree) = (question.selection, question.tree);
    let keys = |assets: &std::collections::BTreeSet<AssetId>| assets.iter().map(|asset| asset.0).collect::<Vec<i64>>();
    let must = TagRule { tags: selection.must.clone(), matching: Match::All };
    let by_tag = match (selection.tags.tags.is_empty(), selection.must.is_empty()) {
        (_, true) => meets(&selection.tags, tree),
        (true, false) => meets(&must, tree),
        (false, false) => {
            Sql::new("(").append(meets(&selection.tags, tree)).text(" AND ").append(meets(&must, tree)).text(")")
        }
    };
    let mut sql = Sql::new("SELECT a.id, a.name, a.ip, a.os, a.platform, CASE WHEN a.id {in ")
        .bind(&keys(&selection.exclude_assets))
        .text("} THEN 'excluded' WHEN ")
        .append(meets(&selection.exclude, tree))
        .text(" THEN 'excluded_by_tag' WHEN a.platform <> ")
        .bind(&question.platform.as_str())
        .text(" THEN 'other_platform' WHEN NOT ")
        .text(assets::AGENT)
        .text(" THEN 'no_agent' ELSE 'in' END AS verdict FROM asset a WHERE (a.id {in ")
        .bind(&keys(&selection.assets))
        .text("} OR ")
        .append(by_tag)
        .text(" OR ")
        .append(filter::compile(question.filter, question.fields, assets::LIST.columns, question.context)?)
        .text(")");
    for scope in question.scopes.iter().filter_map(|scope| scope::assets(scope, "a.id")) {
        sql = sql.text(" AND ").append(scope);
    }
    Ok(sql)
}

/// The assets that a selection names, inside every scope of the question.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn resolve(tx: &mut Transaction<'_>, question: &Question<'_>) -> Result<Outcome> {
    let named = verdicts(question)?;
    let all = |condition: &'static str, most: i64| {
        Sql::new("SELECT id, name, ip, os, platform, verdict FROM (")
            .append(named.clone())
            .text(") named WHERE verdict ")
            .text(condition)
            .text(" 'in' ORDER BY name, id LIMIT ")
            .bind(&most)
    };
    let most = i64::try_from(ASSETS_MAX).unwrap_or(i64::MAX) + 1;
    let counts = Sql::new("SELECT verdict, count(*) FROM (").append(named.clone()).text(") named GROUP BY verdict");
    let counts: Vec<(String, i64)> = tx.all_built(&counts)?;
    Ok(Outcome {
        inside: tx.all_built(&all("=", most))?,
        outside: tx.all_built(&all("<>", OUTSIDE_MAX))?,
        reasons: counts.into_iter().filter_map(|(word, count)| Some((Reason::parse(&word)?, count))).collect(),
    })
}

/// Which of these vulnerabilities is open on which of these assets.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn open(
    tx: &mut Transaction<'_>,
    assets: &[i64],
    vulnerabilities: &[i64],
) -> Result<Vec<(AssetId, VulnerabilityId)>> {
    tx.all(
        "SELECT DISTINCT asset_id, vulnerability_id FROM vulnerable_item
         WHERE state <> 'closed' AND asset_id {in $1} AND vulnerability_id {in $2} ORDER BY 1, 2",
        &[&assets, &vulnerabilities],
    )
}

/// The vulnerabilities that a current catalogue entry covers at least in part, each with the entry's key.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn covered(tx: &mut Transaction<'_>, entries: &[i64]) -> Result<Vec<(VulnerabilityId, i64)>> {
    tx.all(
        "SELECT vc.vulnerability_id, c.entry_key FROM catalogue_cve c JOIN vulnerability_cve vc ON vc.cve = c.cve
         WHERE c.cve <> '' AND c.entry_key {in $1}
         UNION
         SELECT v.id, c.entry_key FROM catalogue_cve c JOIN vulnerability v ON v.qid = c.qid
         WHERE c.qid <> 0 AND c.entry_key {in $1} ORDER BY 1, 2",
        &[&entries],
    )
}

record! {
    /// A vulnerability that something can be done about on chosen assets.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Offer {
        /// Key.
        pub id: VulnerabilityId,
        /// QID.
        pub qid: i64,
        /// Title.
        pub title: String,
        /// How many of the assets have it.
        pub assets: i64,
        /// The highest residual score among them.
        pub residual: i64,
    }
}

/// What is open on these assets and has an elimination on the platform, worst first, the first [`OFFERS_MAX`].
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn offers(tx: &mut Transaction<'_>, assets: &[i64], platform: Platform) -> Result<Vec<Offer>> {
    tx.all(
        "SELECT v.id, v.qid, v.title, count(DISTINCT i.asset_id) AS assets, max(i.residual) AS residual
         FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE i.state <> 'closed' AND i.asset_id {in $1}
           AND (EXISTS (SELECT 1 FROM vulnerability_cve vc JOIN catalogue_cve c ON c.cve = vc.cve AND c.cve <> ''
                        JOIN catalogue_entry e ON e.id = c.entry_key AND e.current = $3
                        WHERE vc.vulnerability_id = v.id AND e.platform IN ($2, 'any'))
                OR EXISTS (SELECT 1 FROM catalogue_cve c JOIN catalogue_entry e ON e.id = c.entry_key AND e.current = $3
                           WHERE c.qid = v.qid AND c.qid <> 0 AND e.platform IN ($2, 'any')))
         GROUP BY v.id, v.qid, v.title ORDER BY 5 DESC, 2 LIMIT $4",
        &[&assets, &platform, &true, &OFFERS_MAX],
    )
}

/// Which of these assets the scope sees.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn seen(tx: &mut Transaction<'_>, keys: &[i64], within: &AssetScope) -> Result<Vec<AssetId>> {
    let mut sql = Sql::new("SELECT a.id FROM asset a WHERE a.id {in ").bind(&keys).text("}");
    if let Some(scope) = scope::assets(within, "a.id") {
        sql = sql.text(" AND ").append(scope);
    }
    Ok(tx.all_built::<Scalar<AssetId>>(&sql)?.into_iter().map(|Scalar(id)| id).collect())
}

/// What a free-standing job chooses, as JSON, and who chose it last; `None` for a job made from eliminations.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn plan(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<(String, Option<UserId>)>> {
    let (plan, by): (String, Option<UserId>) = tx.one("SELECT plan, planned_by FROM job WHERE id = $1", &[&job])?;
    Ok((!plan.is_empty()).then_some((plan, by)))
}

/// Store what a free-standing job chooses, and who chose it.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_plan(tx: &mut Transaction<'_>, job: JobId, plan: &str, by: UserId, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE job SET plan = $2, planned_by = $3, updated_at = $4 WHERE id = $1", &[&job, &plan, &by, &now])?;
    Ok(())
}

/// The number of the draft that was made for the other platform together with this one, unless it was deleted.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn twin(tx: &mut Transaction<'_>, job: JobId) -> Result<Option<(i64, Platform)>> {
    tx.optional(
        "SELECT t.number, t.platform FROM job j JOIN job t ON t.id = j.twin WHERE j.id = $1 AND t.deleted_at IS NULL",
        &[&job],
    )
}

/// Join two drafts that were made together for two platforms.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn set_twins(tx: &mut Transaction<'_>, one: JobId, other: JobId) -> Result<()> {
    tx.execute("UPDATE job SET twin = $2 WHERE id = $1", &[&one, &other])?;
    tx.execute("UPDATE job SET twin = $2 WHERE id = $1", &[&other, &one])?;
    Ok(())
}
