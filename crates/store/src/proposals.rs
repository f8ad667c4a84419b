//! Rollbacks that are proposed: the scanner says Fixed for all that a control of ours covers, or the control's time is over.
//!
//! A proposal is made once per occasion and decided by a person; what the decision sets in motion is the engine's.

use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::control::{OURS_MAYBE, Reason, Standing};
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AssetId, JobId};
use domain::time::Timestamp;

record! {
    /// A proposal.
    #[derive(Debug, Clone)]
    pub struct ProposalRow {
        /// Key.
        pub id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset_name: String,
        /// The control.
        pub control_id: i64,
        /// Its entry.
        pub entry: String,
        /// Its revision's key.
        pub entry_key: i64,
        /// The entry's title.
        pub title: String,
        /// Why.
        pub reason: Reason,
        /// A sentence with the particulars.
        pub detail: String,
        /// Because of Fixed, and the control itself may be why.
        pub ours_maybe: bool,
        /// Where it stands.
        pub state: Standing,
        /// Made.
        pub created_at: Timestamp,
        /// Decided.
        pub decided_at: Option<Timestamp>,
        /// By whom.
        pub decided_by: String,
        /// What he said.
        pub answer: String,
        /// Ordinal of the rollback job that was made of it.
        pub job_number: Option<i64>,
    }
}

impl ProposalRow {
    /// What somebody has to know before he accepts it; empty where there is nothing.
    #[must_use]
    pub fn caution(&self) -> &'static str {
        if self.reason == Reason::Fixed && self.ours_maybe { OURS_MAYBE } else { "" }
    }

    /// Why it is proposed, with the caution.
    #[must_use]
    pub fn words(&self) -> String {
        [self.detail.as_str(), self.caution()]
            .into_iter()
            .filter(|said| !said.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// What proposals can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "asset", kind: Kind::Name, doc: "name of the asset" },
        Field { name: "asset.id", kind: Kind::Number, doc: "key of the asset" },
        Field { name: "entry", kind: Kind::Name, doc: "catalogue entry" },
        Field { name: "reason", kind: Kind::Words(Reason::WORDS), doc: "why it is proposed" },
        Field { name: "state", kind: Kind::Words(Standing::WORDS), doc: "where it stands" },
        Field { name: "created", kind: Kind::Instant, doc: "when it was made" },
    ],
    flags: &[Flag { name: "open", field: "state", words: &["open"], doc: "nobody has decided" }],
    free: &["asset", "entry"],
};

/// The list of proposals.
pub const LIST: List = List {
    name: "proposals",
    select: "p.id, p.asset_id, a.name AS asset_name, p.control_id, c.entry, c.entry_key, e.title, p.reason, p.detail,
        p.ours_maybe, p.state, p.created_at, p.decided_at, p.decided_by, p.answer, job.number AS job_number",
    from: "proposal p JOIN control c ON c.id = p.control_id JOIN catalogue_entry e ON e.id = c.entry_key
        JOIN asset a ON a.id = p.asset_id LEFT JOIN job ON job.id = p.job_id",
    key: "p.id",
    fields: &FIELDS,
    columns: &[
        Column::one("asset", "a.name"),
        Column::one("asset.id", "p.asset_id"),
        Column::one("entry", "c.entry"),
        Column::one("reason", "p.reason"),
        Column::one("state", "p.state"),
        Column::one("created", "p.created_at"),
    ],
    sorts: &[
        Sort::text("asset", "a.name"),
        Sort::text("entry", "c.entry"),
        Sort::text("state", "p.state"),
        Sort::whole("created", "p.created_at"),
    ],
};

/// The condition that clips the list to the assets of the scope.
#[must_use]
pub fn visible(assets: &AssetScope) -> Option<Sql> {
    scope::assets(assets, "p.asset_id")
}

/// One proposal.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn one(tx: &mut Transaction<'_>, id: i64) -> Result<ProposalRow> {
    LIST.one(tx, Sql::new("p.id = ").bind(&id))
}

record! {
    /// A control of ours in force all of whose items on its asset the scanner calls fixed.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fixed {
        /// The control.
        pub control_id: i64,
        /// Asset.
        pub asset_id: AssetId,
        /// Entry id.
        pub entry: String,
        /// How many items it covers.
        pub items: i64,
        /// When the last of them was closed.
        pub closed_at: Timestamp,
        /// That was after the control was first worked on, or nobody knows: it may be why the scanner sees it no more.
        pub ours_maybe: bool,
    }
}

/// What [`fixed`] and [`stale`] give at once.
pub const PAGE: i64 = 1_000;

/// An item on the asset of a control is one that its entry covers.
macro_rules! covered {
    () => {
        "i.asset_id = c.asset_id
           AND EXISTS (SELECT 1 FROM catalogue_cve k WHERE k.entry_key = c.entry_key
                       AND ((k.qid <> 0 AND k.qid = v.qid)
                            OR (k.cve <> '' AND EXISTS (SELECT 1 FROM vulnerability_cve w
                                                        WHERE w.vulnerability_id = v.id AND w.cve = k.cve))))"
    };
}

/// Controls of ours in force that protect nothing any more, every item they cover on their asset being closed as fixed, and whose
/// rollback is to be proposed: none is open, and none was decided on this occasion. By key, after this one, at most `limit`.
///
/// # Errors
/// See [`crate::Error`].
pub fn fixed(tx: &mut Transaction<'_>, after: i64, limit: i64) -> Result<Vec<Fixed>> {
    tx.all(
        concat!(
        "SELECT f.control_id, f.asset_id, f.entry, f.items, f.closed_at, f.closed_at >= coalesce(f.put_at, 0) AS ours_maybe
         FROM (SELECT c.id AS control_id, c.asset_id, c.entry, count(*) AS items, max(i.closed_at) AS closed_at,
                   (SELECT min(t.started_at) FROM task t JOIN catalogue_entry x ON x.id = t.entry_key AND x.entry = c.entry
                    WHERE t.asset_id = c.asset_id AND t.kind = 'apply') AS put_at
               FROM control c
               JOIN catalogue_entry e ON e.id = c.entry_key AND e.implication = 'mitigation' AND e.reversible
               JOIN vulnerable_item i ON i.asset_id = c.asset_id
               JOIN vulnerability v ON v.id = i.vulnerability_id
               WHERE c.id > $1 AND c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
                 AND NOT EXISTS (SELECT 1 FROM proposal o WHERE o.control_id = c.id AND o.state = 'open')
                 AND ",
            covered!(),
            "
               GROUP BY c.id, c.asset_id, c.entry
               HAVING count(*) = count(*) FILTER (WHERE i.state = 'closed' AND i.substate = 'fixed'
                                                    AND i.closed_at IS NOT NULL)) AS f
         WHERE NOT EXISTS (SELECT 1 FROM proposal p WHERE p.control_id = f.control_id AND p.reason = 'fixed'
                             AND p.basis = f.closed_at AND p.state <> 'obsolete')
         ORDER BY f.control_id LIMIT $2"
        ),
        &[&after, &limit],
    )
}

/// Open proposals without an occasion: the control is not ours and in force any more (of one that expired it is enough that nobody can
/// tell), has not expired, or covers something that is not fixed. By key, after this one, at most `limit`.
///
/// # Errors
/// See [`crate::Error`].
pub fn stale(tx: &mut Transaction<'_>, after: i64, limit: i64) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = tx.all(
        concat!(
            "SELECT p.id FROM proposal p JOIN control c ON c.id = p.control_id JOIN catalogue_entry e ON e.id = c.entry_key
             WHERE p.state = 'open' AND p.id > $1
               AND (c.origin <> 'ours' OR c.state NOT IN ('effective', 'configured', 'drifted', 'unknown')
                    OR (p.reason = 'expired' AND c.expired_at IS NULL)
                    OR (p.reason = 'fixed' AND c.state = 'unknown')
                    OR (p.reason = 'fixed'
                        AND (e.implication <> 'mitigation' OR NOT e.reversible
                             OR NOT EXISTS (SELECT 1 FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
                                            WHERE ",
            covered!(),
            ")
                             OR EXISTS (SELECT 1 FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id
                                        WHERE ",
            covered!(),
            " AND (i.state <> 'closed' OR i.substate <> 'fixed' OR i.closed_at IS NULL)))))
             ORDER BY p.id LIMIT $2"
        ),
        &[&after, &limit],
    )?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// A rollback to be proposed.
#[derive(Debug, Clone)]
pub struct NewProposal<'a> {
    /// Asset.
    pub asset: AssetId,
    /// Control.
    pub control: i64,
    /// Why.
    pub reason: Reason,
    /// The instant that makes this occasion another one than the last.
    pub basis: Timestamp,
    /// A sentence with the particulars.
    pub detail: &'a str,
    /// The control itself may be why the scanner says Fixed.
    pub ours_maybe: bool,
}

/// Propose a rollback; `false` where this was proposed before, or another proposal for the control is open. One that became
/// obsolete opens again: its occasion is back.
///
/// # Errors
/// See [`crate::Error`].
pub fn propose(tx: &mut Transaction<'_>, new: &NewProposal<'_>, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(
        "INSERT INTO proposal (asset_id, control_id, reason, basis, detail, ours_maybe, state, created_at)
         SELECT $1, $2, $3, $4, $5, $7, 'open', $6
         WHERE NOT EXISTS (SELECT 1 FROM proposal WHERE control_id = $2 AND state = 'open')
         ON CONFLICT (control_id, reason, basis) DO UPDATE SET
             state = 'open', detail = excluded.detail, ours_maybe = excluded.ours_maybe, created_at = excluded.created_at,
             decided_at = NULL
         WHERE proposal.state = 'obsolete'",
        &[&new.asset, &new.control, &new.reason, &new.basis, &new.detail, &now, &new.ours_maybe],
    )? == 1)
}

/// These open proposals have no occasion any more.
///
/// # Errors
/// See [`crate::Error`].
pub fn obsolete(tx: &mut Transaction<'_>, proposals: &[i64], now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE proposal SET state = 'obsolete', decided_at = $2 WHERE state = 'open' AND id {in $1}",
        &[&proposals, &now],
    )
}

/// Decide a proposal. `false` where somebody else was faster.
///
/// # Errors
/// See [`crate::Error`].
pub fn decide(
    tx: &mut Transaction<'_>,
    id: i64,
    state: Standing,
    by: &str,
    answer: &str,
    job: Option<JobId>,
    now: Timestamp,
) -> Result<bool> {
    Ok(tx.execute(
        "UPDATE proposal SET state = $2, decided_by = $3, answer = $4, job_id = $5, decided_at = $6
         WHERE id = $1 AND state = 'open'",
        &[&id, &state, &by, &answer, &job, &now],
    )? == 1)
}

/// How much waits for somebody inside the scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Controls that drifted.
    pub drifted: i64,
    /// Open proposals.
    pub proposals: i64,
    /// Reviews due.
    pub reviews: i64,
}

impl Waiting {
    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Waiting::default()
    }
}

/// Count what waits for somebody inside the scope.
///
/// # Errors
/// See [`crate::Error`].
pub fn waiting(tx: &mut Transaction<'_>, within: &AssetScope, now: Timestamp) -> Result<Waiting> {
    let count = |sql: &'static str, clip: Option<Sql>| match clip {
        Some(clip) => Sql::new(sql).text(" AND ").append(clip),
        None => Sql::new(sql),
    };
    let drifted =
        count("SELECT count(*) FROM control c WHERE c.state = 'drifted'", scope::assets(within, "c.asset_id"));
    let proposals =
        count("SELECT count(*) FROM proposal p WHERE p.state = 'open'", scope::assets(within, "p.asset_id"));
    let one = |tx: &mut Transaction<'_>, sql: &Sql| -> Result<i64> {
        Ok(tx.all_built::<(i64,)>(sql)?.first().map_or(0, |(count,)| *count))
    };
    Ok(Waiting {
        drifted: one(tx, &drifted)?,
        proposals: one(tx, &proposals)?,
        reviews: crate::controls::after::count_reviews(tx, now, within)?,
    })
}
