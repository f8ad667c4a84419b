//! The list of vulnerabilities, one vulnerability, its CVEs and where it is found.
//!
//! The knowledge base is for everybody who may look at vulnerabilities; what is found where is clipped to the actor's
//! asset scope.

use crate::filter::Column;
use crate::list::{Clip, List, Sort};
use crate::{Result, Sql, Transaction, items, record, scope};
use domain::access::AssetScope;
use domain::asset::Platform;
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::VulnerabilityId;
use domain::progress::{self, Progress};
use domain::score::Mitigation;
use domain::time::Timestamp;
use std::collections::HashMap;

/// What vulnerabilities can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "qid", kind: Kind::Number, doc: "the scanner's number" },
        Field { name: "title", kind: Kind::Text, doc: "title" },
        Field { name: "cve", kind: Kind::Name, doc: "one of its CVEs" },
        Field { name: "severity", kind: Kind::Number, doc: "1 to 5, as the scanner numbers it" },
        Field { name: "category", kind: Kind::Name, doc: "the scanner's category" },
        Field {
            name: "kind",
            kind: Kind::Words(&["vulnerability", "potential", "vulnerability_or_potential", "information"]),
            doc: "what kind of finding it is",
        },
        Field { name: "cvss", kind: Kind::Decimal, doc: "CVSS v3 base score" },
        Field { name: "patchable", kind: Kind::Truth, doc: "a vendor patch exists" },
        Field { name: "disabled", kind: Kind::Truth, doc: "disabled at the scanner" },
        Field { name: "placeholder", kind: Kind::Truth, doc: "known from a detection only so far" },
        Field { name: "found", kind: Kind::Truth, doc: "an item of it is not closed" },
        Field { name: "mitigable", kind: Kind::Truth, doc: "the catalogue has a mitigation or a fix" },
        Field { name: "assets", kind: Kind::Number, doc: "items of it that are not closed" },
        Field { name: "score", kind: Kind::Number, doc: "highest residual score of them" },
        Field { name: "inherent", kind: Kind::Number, doc: "highest score of them before any mitigation" },
        Field { name: "mitigation", kind: Kind::Words(Mitigation::WORDS), doc: "on one of the assets" },
        Field { name: "status", kind: Kind::Words(Progress::WORDS), doc: "how far it has come on one of the assets" },
        Field { name: "asset", kind: Kind::Name, doc: "found on this asset" },
        Field { name: "asset.tag", kind: Kind::Name, doc: "found on an asset with this tag" },
        Field { name: "platform", kind: Kind::Words(Platform::WORDS), doc: "found on an asset of this family" },
        Field { name: "published", kind: Kind::Instant, doc: "first published" },
        Field { name: "modified", kind: Kind::Instant, doc: "last changed at the scanner" },
    ],
    flags: &[Flag { name: "mitigated", field: "mitigation", words: &["mitigated"], doc: "mitigated on an asset" }],
    free: &["title", "cve", "category"],
};

/// The open items of a vulnerability `v` that the caller may know of: what follows FROM, with `$join` between the items
/// and the condition. [`clip`] says which they are.
macro_rules! open_items {
    ($join:literal) => {
        concat!("open_item i ", $join, "WHERE i.vulnerability_id = v.id")
    };
}
/// The entries in force that apply to a vulnerability `v`: what follows FROM.
macro_rules! entries {
    () => {
        "catalogue_cve k JOIN catalogue_entry e ON e.id = k.entry_key AND e.current
         WHERE k.qid = v.qid AND k.cve = ''
            OR k.cve IN (SELECT w.cve FROM vulnerability_cve w WHERE w.vulnerability_id = v.id)"
    };
}

const FOUND: &str = concat!("EXISTS (SELECT 1 FROM ", open_items!(""), ")");
const ASSETS: &str = concat!("(SELECT count(*) FROM ", open_items!(""), ")");
const SCORE: &str = concat!("(SELECT max(i.residual) FROM ", open_items!(""), ")");
const INHERENT: &str = concat!("(SELECT max(i.inherent) FROM ", open_items!(""), ")");
const MITIGABLE: &str = concat!("EXISTS (SELECT 1 FROM ", entries!(), ")");

/// What everything in [`LIST`] that is counted, compared or sorted by on assets is taken from: the open items inside the
/// scope.
#[must_use]
pub fn clip(scope: &AssetScope) -> Clip {
    let mut sql = Sql::new(
        "WITH open_item AS NOT MATERIALIZED (SELECT i.vulnerability_id, i.asset_id, i.inherent, i.residual, i.mitigation,
             i.state, i.substate
         FROM vulnerable_item i WHERE i.state <> 'closed'",
    );
    if let Some(scope) = scope::assets(scope, "i.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    Clip::with(sql.text(") "), None)
}

/// The list of vulnerabilities, to be read with [`clip`].
pub const LIST: List = List {
    name: "vulnerabilities",
    select: concat!(
        "v.id, v.qid, v.title, v.kind, v.severity, v.category, v.cvss2, v.cvss3, v.patchable, v.disabled,
         v.placeholder, v.published_at, v.modified_at, (SELECT count(DISTINCT e.id) FROM ",
        entries!(),
        ") AS eliminations"
    ),
    from: "vulnerability v",
    key: "v.id",
    fields: &FIELDS,
    columns: &[
        Column::one("qid", "v.qid"),
        Column::one("title", "v.title"),
        Column::many("cve", "vulnerability_cve c WHERE c.vulnerability_id = v.id", "c.cve"),
        Column::one("severity", "v.severity"),
        Column::one("category", "v.category"),
        Column::one("kind", "v.kind"),
        Column::one("cvss", "v.cvss3"),
        Column::one("patchable", "v.patchable"),
        Column::one("disabled", "v.disabled"),
        Column::one("placeholder", "v.placeholder"),
        Column::one("found", FOUND),
        Column::one("mitigable", MITIGABLE),
        Column::one("assets", ASSETS),
        Column::one("score", SCORE),
        Column::one("inherent", INHERENT),
        Column::many("mitigation", open_items!(""), "i.mitigation"),
        Column::many("status", open_items!(""), items::STATUS),
        Column::many("asset", open_items!("JOIN asset a ON a.id = i.asset_id "), "a.name"),
        Column::many("asset.tag", open_items!("JOIN asset_tag t ON t.asset_id = i.asset_id "), "t.tag"),
        Column::many("platform", open_items!("JOIN asset a ON a.id = i.asset_id "), "a.platform"),
        Column::one("published", "v.published_at"),
        Column::one("modified", "v.modified_at"),
    ],
    sorts: &[
        Sort::whole("qid", "v.qid"),
        Sort::text("title", "v.title"),
        Sort::whole("severity", "v.severity"),
        Sort::text("category", "v.category"),
        Sort::real("cvss", "v.cvss3").or_null(),
        Sort::whole("assets", ASSETS),
        Sort::whole("score", SCORE).or_null(),
        Sort::whole("inherent", INHERENT).or_null(),
        Sort::whole("published", "v.published_at").or_null(),
        Sort::whole("modified", "v.modified_at").or_null(),
    ],
};

record! {
    /// A vulnerability as the list shows it; where it is found comes from [`found`].
    #[derive(Clone, Debug, PartialEq)]
    pub struct VulnerabilityRow {
        /// Key.
        pub id: VulnerabilityId,
        /// The scanner's number.
        pub qid: i64,
        /// Title; may hold markup.
        pub title: String,
        /// What kind of finding it is.
        pub kind: String,
        /// 1 to 5.
        pub severity: i64,
        /// The scanner's category.
        pub category: String,
        /// CVSS v2 base score.
        pub cvss2: Option<f64>,
        /// CVSS v3 base score.
        pub cvss3: Option<f64>,
        /// A vendor patch exists.
        pub patchable: bool,
        /// Disabled at the scanner.
        pub disabled: bool,
        /// Known from a detection only so far.
        pub placeholder: bool,
        /// First published.
        pub published_at: Option<Timestamp>,
        /// Last changed at the scanner.
        pub modified_at: Option<Timestamp>,
        /// Catalogue entries in force that apply to it: mitigations and fixes.
        pub eliminations: i64,
    }
}

record! {
    /// The texts of a vulnerability: foreign HTML.
    #[derive(Clone, Debug, PartialEq)]
    struct Texts {
        cvss3_vector: String,
        threat: String,
        impact: String,
        solution: String,
    }
}

/// A vulnerability with its texts and CVEs.
#[derive(Clone, Debug, PartialEq)]
pub struct Vulnerability {
    /// What the list shows.
    pub row: VulnerabilityRow,
    /// CVSS v3 vector.
    pub cvss3_vector: String,
    /// What is wrong: foreign HTML.
    pub threat: String,
    /// What an attacker gains: foreign HTML.
    pub impact: String,
    /// What to do: foreign HTML.
    pub solution: String,
    /// Its CVEs.
    pub cves: Vec<Cve>,
}

record! {
    /// A CVE of a vulnerability.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Cve {
        /// `CVE-2021-44228`.
        pub cve: String,
        /// The scanner's score of it.
        pub qvs: Option<i64>,
    }
}

/// The vulnerability of this product with this number.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one.
pub fn one(tx: &mut Transaction<'_>, product: &str, qid: i64) -> Result<Vulnerability> {
    let of = Sql::new("v.product = ").bind(&product).text(" AND v.key = ").bind(&qid.to_string());
    let row: VulnerabilityRow = LIST.one(tx, of)?;
    let texts: Texts =
        tx.one("SELECT cvss3_vector, threat, impact, solution FROM vulnerability WHERE id = $1", &[&row.id])?;
    let cves = cves(tx, row.id)?;
    let Texts { cvss3_vector, threat, impact, solution } = texts;
    Ok(Vulnerability { row, cvss3_vector, threat, impact, solution, cves })
}

/// The CVEs of a vulnerability, by name.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn cves(tx: &mut Transaction<'_>, id: VulnerabilityId) -> Result<Vec<Cve>> {
    tx.all("SELECT cve, qvs FROM vulnerability_cve WHERE vulnerability_id = $1 ORDER BY cve", &[&id])
}

/// The CVEs of several vulnerabilities, by name.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn cves_of(tx: &mut Transaction<'_>, ids: &[VulnerabilityId]) -> Result<HashMap<VulnerabilityId, Vec<String>>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<(VulnerabilityId, String)> = tx.all(
        "SELECT vulnerability_id, cve FROM vulnerability_cve WHERE vulnerability_id {in $1} ORDER BY 1, 2",
        &[&ids],
    )?;
    let mut cves: HashMap<VulnerabilityId, Vec<String>> = HashMap::new();
    for (id, cve) in rows {
        cves.entry(id).or_default().push(cve);
    }
    Ok(cves)
}

/// What is open of a vulnerability within a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Items that are not closed.
    pub open: i64,
    /// Of these: mitigated.
    pub mitigated: i64,
    /// Of these: partly mitigated or drifted.
    pub partial: i64,
    /// Assets they are on.
    pub assets: i64,
    /// The highest score before any mitigation.
    pub inherent: i64,
    /// The highest residual score.
    pub residual: i64,
    /// A job that is not over is about it.
    pub in_job: bool,
    /// How far its removal has come, closed items counted too; `None` where it was never found.
    pub status: Option<Progress>,
    /// Ordinal of the newest job about it.
    pub last_job: Option<i64>,
}

/// What is open of these vulnerabilities within the scope; one that is open nowhere is absent.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn found(
    tx: &mut Transaction<'_>,
    ids: &[VulnerabilityId],
    scope: &AssetScope,
) -> Result<HashMap<VulnerabilityId, Found>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let mut sql = Sql::new(
        "SELECT i.vulnerability_id, count(*), count(*) FILTER (WHERE i.mitigation = 'mitigated'),
             count(*) FILTER (WHERE i.mitigation IN ('partial', 'drifted')), count(DISTINCT i.asset_id),
             max(i.inherent), max(i.residual),
             EXISTS (SELECT 1 FROM job_target t JOIN job j ON j.id = t.job_id
                     WHERE t.vulnerability_id = i.vulnerability_id AND j.status IN ('DISABLED', 'ENABLED')",
    );
    if let Some(scope) = scope::assets(scope, "t.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    sql = sql.text(
        ")
         FROM vulnerable_item i WHERE i.state <> 'closed' AND i.vulnerability_id {in ",
    );
    sql = sql.bind(&ids).text("}");
    if let Some(scope) = scope::assets(scope, "i.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let mut found = HashMap::new();
    tx.each_built(
        &sql.text(" GROUP BY i.vulnerability_id"),
        |(id, open, mitigated, partial, assets, inherent, residual, in_job): (
            VulnerabilityId,
            i64,
            i64,
            i64,
            i64,
            i64,
            i64,
            bool,
        )| {
            let counted = Found { open, mitigated, partial, assets, inherent, residual, in_job, ..Found::default() };
            found.insert(id, counted);
            Ok(())
        },
    )?;
    add_status(tx, &mut found, &ids, scope)?;
    add_last_job(tx, &mut found, &ids, scope)?;
    Ok(found)
}

/// The status of each, from its items by what they are and from the open tasks about it: as [`progress::sum`] of the
/// items' own, without asking for the tasks of every item.
fn add_status(
    tx: &mut Transaction<'_>,
    found: &mut HashMap<VulnerabilityId, Found>,
    ids: &[i64],
    scope: &AssetScope,
) -> Result<()> {
    let mut sql = Sql::new(
        "SELECT i.vulnerability_id,
             CASE WHEN i.state = 'closed' AND i.substate = 'fixed'
                    OR i.state = 'resolved' AND i.substate = 'awaiting_scan' THEN 'fixed'
                  WHEN i.state = 'closed' THEN 'closed' ELSE i.mitigation END AS word, count(*)
         FROM vulnerable_item i WHERE i.vulnerability_id {in ",
    );
    sql = sql.bind(&ids).text("}");
    if let Some(scope) = scope::assets(scope, "i.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(VulnerabilityId, Progress, i64)> = tx.all_built(&sql.text(" GROUP BY 1, 2"))?;
    let mut by_word: HashMap<VulnerabilityId, Vec<(Progress, i64)>> = HashMap::new();
    for (id, word, count) in rows {
        by_word.entry(id).or_default().push((word, count));
    }
    let work = work(tx, ids, scope)?;
    for (id, mut items) in by_word {
        // What is closed says something only where nothing else is left.
        if items.iter().any(|(word, _)| !matches!(word, Progress::Fixed | Progress::Closed)) {
            items.retain(|(word, _)| *word != Progress::Closed);
        }
        let status = progress::sum(&items).map(|status| match (status, work.get(&id)) {
            (Progress::Fixed | Progress::Closed, _) | (_, None) => status,
            (_, Some(work)) if work.running => Progress::Running,
            (Progress::Open, Some(work)) if work.scheduled => Progress::Scheduled,
            _ => status,
        });
        found.entry(id).or_default().status = status;
    }
    Ok(())
}

/// What enabled jobs have to do about these vulnerabilities on assets of the scope.
fn work(tx: &mut Transaction<'_>, ids: &[i64], scope: &AssetScope) -> Result<HashMap<VulnerabilityId, progress::Work>> {
    let mut sql = Sql::new(
        "SELECT DISTINCT g.vulnerability_id, t.state
         FROM job j JOIN task t ON t.job_id = j.id AND t.code IS NULL AND t.kind <> 'plan'
             JOIN job_target g ON g.job_id = t.job_id AND g.asset_id = t.asset_id
             JOIN job_action w ON w.job_id = t.job_id AND w.vulnerability_id = g.vulnerability_id
                 AND w.entry_key = t.entry_key
         WHERE j.status = 'ENABLED' AND g.vulnerability_id {in ",
    );
    sql = sql.bind(&ids).text("}");
    if let Some(scope) = scope::assets(scope, "g.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(VulnerabilityId, domain::task::State)> = tx.all_built(&sql)?;
    let mut states: HashMap<VulnerabilityId, Vec<domain::task::State>> = HashMap::new();
    for (id, state) in rows {
        states.entry(id).or_default().push(state);
    }
    Ok(states.into_iter().map(|(id, states)| (id, progress::Work::of(states))).collect())
}

fn add_last_job(
    tx: &mut Transaction<'_>,
    found: &mut HashMap<VulnerabilityId, Found>,
    ids: &[i64],
    scope: &AssetScope,
) -> Result<()> {
    let mut sql = Sql::new(
        "SELECT g.vulnerability_id, max(j.number) FROM job_target g JOIN job j ON j.id = g.job_id
         WHERE j.deleted_at IS NULL AND j.status <> 'DRAFT' AND g.vulnerability_id {in ",
    );
    sql = sql.bind(&ids).text("}");
    if let Some(scope) = scope::assets(scope, "g.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    let rows: Vec<(VulnerabilityId, i64)> = tx.all_built(&sql.text(" GROUP BY 1"))?;
    for (id, job) in rows {
        found.entry(id).or_default().last_job = Some(job);
    }
    Ok(())
}

/// How many items of a vulnerability there are within a scope, closed ones included.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn found_on(tx: &mut Transaction<'_>, id: VulnerabilityId, scope: &AssetScope) -> Result<i64> {
    let mut sql = Sql::new("SELECT count(*) FROM vulnerable_item i WHERE i.vulnerability_id = ").bind(&id);
    if let Some(scope) = scope::assets(scope, "i.asset_id") {
        sql = sql.text(" AND ").append(scope);
    }
    tx.scalar_built(&sql)
}
