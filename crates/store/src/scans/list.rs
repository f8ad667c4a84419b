//! The list of requests, and one of them with what it is about.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::{Result, Sql, Transaction, items, record, scope};
use domain::access::{Action, Actor, AssetScope};
use domain::due::{Ending, Target};
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AssetId, ItemId, ScanId, UserId};
use domain::item;
use domain::number::{Number, Series};
use domain::rescan::State;
use domain::score::Mitigation;
use domain::time::Timestamp;

const STATES: &[&str] = &["queued", "scanning", "complete", "error", "timed_out", "cancelled"];
const VERDICTS: &[&str] = &["fixed", "still_present", "still_present_mitigated", "not_reached", "not_tested"];

/// What requests can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "number", kind: Kind::Number, doc: "the digits of its number" },
        Field { name: "state", kind: Kind::Words(STATES), doc: "where it is" },
        Field { name: "source", kind: Kind::Name, doc: "the scanner" },
        Field { name: "by", kind: Kind::Person, doc: "who asked" },
        Field { name: "requested", kind: Kind::Instant, doc: "asked" },
        Field { name: "ended", kind: Kind::Instant, doc: "ended" },
        Field { name: "item", kind: Kind::Number, doc: "the digits of the number of an item it looks at" },
        Field { name: "qid", kind: Kind::Number, doc: "a vulnerability it looks at" },
        Field { name: "asset", kind: Kind::Name, doc: "an asset it looks at" },
        Field { name: "verdict", kind: Kind::Words(VERDICTS), doc: "a verdict it gave" },
        Field { name: "profile", kind: Kind::Name, doc: "an option profile it was launched with" },
        Field { name: "reference", kind: Kind::Name, doc: "the scanner's reference of one of its scans" },
    ],
    flags: &[
        Flag { name: "open", field: "state", words: &["queued", "scanning"], doc: "not ended" },
        Flag { name: "failed", field: "state", words: &["error", "timed_out"], doc: "ended without a result" },
    ],
    free: &["asset", "by"],
};

const SELECT: &str = "s.id, s.number, s.state, s.message, s.scanner AS product, coalesce(k.name, s.scanner) AS scanner,
    s.source, s.source_key, s.profile_choice, s.requested_by, coalesce(o.name, '') AS requester, s.created_at, s.ended_at,
    s.retries,
    (SELECT count(*) FROM scan_child c WHERE c.scan_id = s.id AND NOT c.retried) AS children,
    (SELECT count(*) FROM scan_child c WHERE c.scan_id = s.id AND c.state = 'complete') AS completed,
    (SELECT count(*) FROM scan_child c WHERE c.scan_id = s.id AND c.state IN ('error', 'timed_out', 'cancelled')
        AND NOT c.retried) AS failed,
    (SELECT count(DISTINCT t.item_id) FROM scan_target t WHERE t.scan_id = s.id) AS items";

const FROM: &str = "scan s LEFT JOIN scanner k ON k.product = s.scanner LEFT JOIN account o ON o.id = s.requested_by";

/// The list of requests, to be read with [`clip`].
pub const LIST: List = List {
    name: "scans",
    select: SELECT,
    from: FROM,
    key: "s.id",
    fields: &FIELDS,
    columns: &[
        Column::one("number", "s.number"),
        Column::one("state", "s.state"),
        Column::one("source", "coalesce(k.name, s.scanner)"),
        Column::one("by", "o.name"),
        Column::one("requested", "s.created_at"),
        Column::one("ended", "s.ended_at"),
        Column::many(
            "item",
            "seen_target t JOIN vulnerable_item i ON i.id = t.item_id WHERE t.scan_id = s.id",
            "i.number",
        ),
        Column::many(
            "qid",
            "seen_target t JOIN vulnerable_item i ON i.id = t.item_id
                       JOIN vulnerability v ON v.id = i.vulnerability_id WHERE t.scan_id = s.id",
            "v.qid",
        ),
        Column::many(
            "asset",
            "seen_target t JOIN vulnerable_item i ON i.id = t.item_id
                       JOIN asset a ON a.id = i.asset_id WHERE t.scan_id = s.id",
            "a.name",
        ),
        Column::many("verdict", "seen_target t WHERE t.scan_id = s.id AND t.verdict <> ''", "t.verdict"),
        Column::many("profile", "scan_child c WHERE c.scan_id = s.id", "c.profile_title"),
        Column::many("reference", "scan_child c WHERE c.scan_id = s.id AND c.reference <> ''", "c.reference"),
    ],
    sorts: &[
        Sort::whole("number", "s.number"),
        Sort::text("state", "s.state"),
        Sort::text("source", "s.scanner"),
        Sort::text("by", "o.name").or_null(),
        Sort::whole("requested", "s.created_at"),
        Sort::whole("ended", "s.ended_at").or_null(),
    ],
};

record! {
    /// A request as the list shows it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ScanRow {
        /// Key.
        pub id: ScanId,
        /// Ordinal of its number.
        pub number: i64,
        /// Where it is.
        pub state: State,
        /// What is worth knowing; mostly empty.
        pub message: String,
        /// Product of the scanner.
        pub product: String,
        /// What people call the scanner.
        pub scanner: String,
        /// `vulnerable_item` or `asset`.
        pub source: String,
        /// Which record it was asked of, `assets/7`; empty for items that were named.
        pub source_key: String,
        /// Key of the option profile that was named; empty for the default.
        pub profile_choice: String,
        /// Who asked.
        pub requested_by: UserId,
        /// That person's sign-in name.
        pub requester: String,
        /// When.
        pub created_at: Timestamp,
        /// When it ended.
        pub ended_at: Option<Timestamp>,
        /// How often it was asked again.
        pub retries: i64,
        /// Launches, without those whose targets went on to a later one.
        pub children: i64,
        /// Of these: complete.
        pub completed: i64,
        /// Of these: in error, timed out or cancelled.
        pub failed: i64,
        /// Items it looks at.
        pub items: i64,
    }
}

impl ScanRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::Scan, ordinal: self.number }
    }
}

/// The condition that clips the list to requests about at least one asset of the scope.
fn visible(assets: &AssetScope) -> Option<Sql> {
    let within = scope::assets(assets, "seen_item.asset_id")?;
    let sql = Sql::new(
        "EXISTS (SELECT 1 FROM scan_target seen JOIN vulnerable_item seen_item ON seen_item.id = seen.item_id
                 WHERE seen.scan_id = s.id AND ",
    );
    Some(sql.append(within).text(")"))
}

/// The requests about at least one asset of the actor's scope, and what [`LIST`] compares of them: what they look at among
/// the items the actor may see.
#[must_use]
pub fn clip(actor: &Actor) -> Clip {
    let mut sql = Sql::new(
        "WITH seen_target AS NOT MATERIALIZED (SELECT t.scan_id, t.item_id, t.verdict
         FROM scan_target t JOIN vulnerable_item i ON i.id = t.item_id",
    );
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" WHERE ").append(seen);
    }
    Clip::with(sql.text(") "), visible(&actor.scope))
}

/// The request of this ordinal.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one.
pub fn by_number(tx: &mut Transaction<'_>, ordinal: i64) -> Result<ScanRow> {
    LIST.one(tx, Sql::new("s.number = ").bind(&ordinal))
}

record! {
    /// What a request looks at: an item on one host (S2.17).
    #[derive(Clone, Debug, PartialEq)]
    pub struct TargetRow {
        /// Place of its launch among those of the request, from 1.
        pub child: i64,
        /// The item.
        pub item_id: ItemId,
        /// Ordinal of its number.
        pub number: i64,
        /// The asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset: String,
        /// The vulnerability's number.
        pub qid: i64,
        /// Its title.
        pub title: String,
        /// The item's workflow state.
        pub state: item::State,
        /// Why it is in it.
        pub substate: item::Substate,
        /// The last moment of its due date.
        pub due_at: Option<Timestamp>,
        /// From when on it is approaching that.
        pub due_soon_at: Option<Timestamp>,
        /// What it reached when it closed.
        pub due_ending: Ending,
        /// What the controls in force do.
        pub mitigation: Mitigation,
        /// Score before any mitigation.
        pub inherent: u8,
        /// Score now.
        pub residual: u8,
        /// The address that is scanned.
        pub address: String,
        /// The verdict's word; empty while open.
        pub verdict: String,
        /// Why.
        pub reason: String,
        /// When it was judged.
        pub judged_at: Option<Timestamp>,
    }
}

impl TargetRow {
    /// The item's number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::Item, ordinal: self.number }
    }

    /// How the item stands with its due date.
    #[must_use]
    pub fn target(&self, now: Timestamp) -> Target {
        items::due::shown(self.due_at, self.due_soon_at, self.due_ending, self.state, now)
    }
}

/// What a request looks at among the items the actor may see, at most `limit` rows, in order of the items.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn targets(tx: &mut Transaction<'_>, scan: ScanId, actor: &Actor, limit: i64) -> Result<Vec<TargetRow>> {
    let mut sql = Sql::new(
        "SELECT c.ordinal AS child, i.id AS item_id, i.number, i.asset_id, a.name AS asset, v.qid, v.title, i.state,
             i.substate, i.due_at, i.due_soon_at, i.due_ending, i.mitigation, i.inherent, i.residual, t.address, t.verdict, t.reason, t.judged_at
         FROM scan_target t
         JOIN scan_child c ON c.id = t.child_id
         JOIN vulnerable_item i ON i.id = t.item_id
         JOIN asset a ON a.id = i.asset_id
         JOIN vulnerability v ON v.id = i.vulnerability_id
         WHERE t.scan_id = ",
    )
    .bind(&scan);
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" AND ").append(seen);
    }
    tx.all_built(&sql.text(" ORDER BY i.number, t.id LIMIT ").bind(&limit))
}

record! {
    /// Something that a request does not look at.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ExcludedRow {
        /// Ordinal of the item's number.
        pub number: i64,
        /// The asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset: String,
        /// The scanner's id of the host, where only one of the item is left out.
        pub host: Option<String>,
        /// Stable code of the reason.
        pub code: String,
        /// The reason.
        pub reason: String,
        /// Ordinal of the request that looks at it already.
        pub other_number: Option<i64>,
    }
}

/// What a request leaves out among the items the actor may see, at most `limit` rows, in order of the items.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn excluded(tx: &mut Transaction<'_>, scan: ScanId, actor: &Actor, limit: i64) -> Result<Vec<ExcludedRow>> {
    let mut sql = Sql::new(
        "SELECT i.number, i.asset_id, a.name AS asset, h.host_key AS host, x.code, x.reason, x.other_number
         FROM scan_excluded x
         JOIN vulnerable_item i ON i.id = x.item_id
         JOIN asset a ON a.id = i.asset_id
         LEFT JOIN source_host h ON h.id = x.source_host_id
         WHERE x.scan_id = ",
    )
    .bind(&scan);
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" AND ").append(seen);
    }
    tx.all_built(&sql.text(" ORDER BY i.number, x.id LIMIT ").bind(&limit))
}

record! {
    /// How many targets of a request got a verdict.
    #[derive(Clone, Debug, PartialEq)]
    pub struct VerdictCount {
        /// The request.
        pub scan_id: ScanId,
        /// The verdict's word; empty for those still open.
        pub verdict: String,
        /// How many.
        pub count: i64,
    }
}

/// The verdicts of these requests on the items the actor may see, counted.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn verdict_counts(tx: &mut Transaction<'_>, scans: &[ScanId], actor: &Actor) -> Result<Vec<VerdictCount>> {
    let scans: Vec<i64> = scans.iter().map(|scan| scan.0).collect();
    let mut sql = Sql::new(
        "SELECT t.scan_id, t.verdict, count(*) AS count
         FROM scan_target t JOIN vulnerable_item i ON i.id = t.item_id WHERE t.scan_id {in ",
    )
    .bind(&scans)
    .text("}");
    if let Some(seen) = items::visible(actor, Action::ItemsView) {
        sql = sql.text(" AND ").append(seen);
    }
    tx.all_built(&sql.text(" GROUP BY t.scan_id, t.verdict ORDER BY t.scan_id, t.verdict"))
}
