//! Rollbacks that are proposed: the scanner says Fixed for all that a control of ours covers, or the control's time is over.
//!
//! A proposal is made once per occasion and decided by a person; what the decision sets in motion is the engine's.

use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::AssetScope;
use domain::control::{Reason, Standing};
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
        p.state, p.created_at, p.decided_at, p.decided_by, p.answer, job.number AS job_number",
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
    }
}

/// Controls of ours in force that protect nothing any more: every item they cover on their asset is closed as fixed.
///
/// # Errors
/// See [`crate::Error`].
pub fn fixed(tx: &mut Transaction<'_>) -> Result<Vec<Fixed>> {
    tx.all(
        "SELECT c.id AS control_id, c.asset_id, c.entry, count(*) AS items, max(i.closed_at) AS closed_at
         FROM control c
         JOIN catalogue_entry e ON e.id = c.entry_key AND e.implication = 'mitigation' AND e.reversible = $1
         JOIN vulnerable_item i ON i.asset_id = c.asset_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
           AND EXISTS (SELECT 1 FROM catalogue_cve k WHERE k.entry_key = c.entry_key
                       AND ((k.qid <> 0 AND k.qid = v.qid)
                            OR (k.cve <> '' AND EXISTS (SELECT 1 FROM vulnerability_cve w
                                                        WHERE w.vulnerability_id = v.id AND w.cve = k.cve))))
         GROUP BY c.id, c.asset_id, c.entry
         HAVING count(*) = count(*) FILTER (WHERE i.state = 'closed' AND i.substate = 'fixed' AND i.closed_at IS NOT NULL)
         ORDER BY c.id LIMIT 5000",
        &[&true],
    )
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
}

/// Propose a rollback; `false` where this was proposed before, or another proposal for the control is open.
///
/// # Errors
/// See [`crate::Error`].
pub fn propose(tx: &mut Transaction<'_>, new: &NewProposal<'_>, now: Timestamp) -> Result<bool> {
    Ok(tx.execute(
        "INSERT INTO proposal (asset_id, control_id, reason, basis, detail, state, created_at)
         SELECT $1, $2, $3, $4, $5, 'open', $6
         WHERE NOT EXISTS (SELECT 1 FROM proposal WHERE control_id = $2 AND state = 'open')
         ON CONFLICT (control_id, reason, basis) DO NOTHING",
        &[&new.asset, &new.control, &new.reason, &new.basis, &new.detail, &now],
    )? == 1)
}

/// What is to be proposed, and what is not any more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct News {
    /// Controls to propose a rollback of, because the scanner says Fixed.
    pub fixed: Vec<Fixed>,
    /// Open proposals without an occasion.
    pub stale: Vec<i64>,
}

record! {
    struct Present {
        id: i64,
        control_id: i64,
        reason: Reason,
        basis: Timestamp,
        open: bool,
        standing: bool,
    }
}

/// What is to be proposed, and what is not any more.
///
/// # Errors
/// See [`crate::Error`].
pub fn news(tx: &mut Transaction<'_>) -> Result<News> {
    let mut fixed = fixed(tx)?;
    let controls: Vec<i64> = fixed.iter().map(|one| one.control_id).collect();
    let present: Vec<Present> = tx.all(
        "SELECT p.id, p.control_id, p.reason, p.basis, p.state = 'open' AS open,
             (c.origin = 'ours' AND c.state IN ('effective', 'configured', 'drifted')
              AND (p.reason = 'fixed' OR c.expired_at IS NOT NULL)) AS standing
         FROM proposal p JOIN control c ON c.id = p.control_id
         WHERE p.state = 'open' OR p.control_id {in $1} ORDER BY p.id",
        &[&controls],
    )?;
    let all_fixed = |control: i64| controls.contains(&control);
    let stale: Vec<i64> = present
        .iter()
        .filter(|one| one.open && !(one.standing && (one.reason != Reason::Fixed || all_fixed(one.control_id))))
        .map(|one| one.id)
        .collect();
    let made = |one: &Fixed| {
        present.iter().filter(|known| known.control_id == one.control_id).any(|known| {
            (known.open && !stale.contains(&known.id)) || (known.reason, known.basis) == (Reason::Fixed, one.closed_at)
        })
    };
    fixed.retain(|one| !made(one));
    Ok(News { fixed, stale })
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
        reviews: i64::try_from(crate::controls::after::reviews(tx, now, within)?.len()).unwrap_or(i64::MAX),
    })
}
