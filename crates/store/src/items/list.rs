//! The list of items, one item, its detections and its history.

use super::life::granted;
use crate::assets;
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::numbers::number_text;
use crate::{Result, Sql, Transaction, record, scope};
use domain::access::{Action, Actor, Record as AccessRecord, reach};
use domain::asset::Platform;
use domain::due::{Ending, Target};
use domain::effort::State as Effort;
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AssetId, DetectionId, InstanceId, ItemId, UserId, VulnerabilityId};
use domain::item::{State, Substate, Workflow};
use domain::number::{Number, Series};
use domain::progress::Progress;
use domain::score::{Mitigation, Source as ScoreSource};
use domain::time::Timestamp;

/// What items can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "qid", kind: Kind::Number, doc: "the scanner's number of the vulnerability" },
        Field { name: "title", kind: Kind::Text, doc: "title of the vulnerability" },
        Field { name: "cve", kind: Kind::Name, doc: "one of its CVEs" },
        Field { name: "severity", kind: Kind::Number, doc: "1 to 5, as the scanner numbers it" },
        Field { name: "state", kind: Kind::Words(State::WORDS), doc: "workflow state" },
        Field { name: "substate", kind: Kind::Words(Substate::WORDS), doc: "why it is so" },
        Field { name: "mitigation", kind: Kind::Words(Mitigation::WORDS), doc: "what the controls in force do" },
        Field { name: "status", kind: Kind::Words(Progress::WORDS), doc: "how far its removal has come" },
        Field { name: "job", kind: Kind::Name, doc: "number of a job about it, MJ0000001" },
        Field { name: "score", kind: Kind::Number, doc: "residual score, 1 to 100" },
        Field { name: "inherent", kind: Kind::Number, doc: "score before any mitigation" },
        Field { name: "asset", kind: Kind::Name, doc: "name of the asset" },
        Field { name: "asset.id", kind: Kind::Number, doc: "key of the asset" },
        Field { name: "asset.tag", kind: Kind::Name, doc: "one of the asset's tags" },
        Field { name: "asset.ip", kind: Kind::Name, doc: "address of the asset" },
        Field { name: "asset.os", kind: Kind::Text, doc: "operating system of the asset" },
        Field { name: "platform", kind: Kind::Words(Platform::WORDS), doc: "family of operating system" },
        Field { name: "assignee", kind: Kind::Person, doc: "who works on it" },
        Field { name: "group", kind: Kind::Name, doc: "which group works on it" },
        Field { name: "source", kind: Kind::Name, doc: "the scanner, once it is active and has imported" },
        Field { name: "instance", kind: Kind::Name, doc: "integration instance" },
        Field { name: "reopened", kind: Kind::Number, doc: "how often it came back" },
        Field { name: "opened", kind: Kind::Instant, doc: "last opened" },
        Field { name: "seen", kind: Kind::Instant, doc: "last found by the scanner" },
        Field { name: "closed", kind: Kind::Instant, doc: "closed" },
        Field { name: "due", kind: Kind::Instant, doc: "its due date" },
        Field { name: "target", kind: Kind::Words(Target::WORDS), doc: "how it stands with its due date" },
        Field { name: "overdue", kind: Kind::Truth, doc: "not closed, and late" },
        Field { name: "deferred_until", kind: Kind::Instant, doc: "end of its deferral" },
        Field { name: "exception", kind: Kind::Name, doc: "number of a request about it, VCA0000001" },
        Field { name: "effort", kind: Kind::Name, doc: "number of an effort it belongs to, REF0000001" },
        Field { name: "effort.state", kind: Kind::Words(Effort::WORDS), doc: "how an effort it belongs to stands" },
        Field { name: "assigned_by", kind: Kind::Name, doc: "what assigned it: person, or rule:4" },
        Field { name: "assigned", kind: Kind::Instant, doc: "last assigned" },
        Field { name: "task", kind: Kind::Name, doc: "number of a remediation task it is in, VUL0000001" },
        Field { name: "excluded", kind: Kind::Truth, doc: "all that is known of it is excluded" },
        Field { name: "updated", kind: Kind::Instant, doc: "last changed" },
    ],
    flags: &[
        Flag {
            name: "open",
            field: "state",
            words: &["open", "under_investigation", "awaiting_implementation", "in_review", "deferred", "resolved"],
            doc: "not closed",
        },
        Flag { name: "closed", field: "state", words: &["closed"], doc: "closed" },
        Flag { name: "resolved", field: "state", words: &["resolved"], doc: "said to be done" },
        Flag { name: "in_review", field: "state", words: &["in_review"], doc: "an exception is being decided" },
        Flag { name: "deferred", field: "state", words: &["deferred"], doc: "put off for a time" },
        Flag { name: "fixed", field: "substate", words: &["fixed"], doc: "found gone by the scanner" },
        Flag { name: "mitigated", field: "mitigation", words: &["mitigated"], doc: "every CVE is mitigated" },
        Flag {
            name: "in_effort",
            field: "effort.state",
            words: &["filling", "active"],
            doc: "in an effort that is not over",
        },
        Flag { name: "drifted", field: "mitigation", words: &["drifted"], doc: "a control was changed" },
    ],
    free: &["title", "asset", "cve"],
};

/// Whether a task for the weakness of the item `i` on its asset is in a state that `$states` accepts.
macro_rules! task_in {
    ($states:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM task t
                 JOIN job_target g ON g.job_id = t.job_id AND g.asset_id = t.asset_id
                     AND g.vulnerability_id = i.vulnerability_id
                 JOIN job_action w ON w.job_id = t.job_id AND w.vulnerability_id = i.vulnerability_id
                     AND w.entry_key = t.entry_key
                 JOIN job j ON j.id = t.job_id AND j.status = 'ENABLED'
             WHERE t.asset_id = i.asset_id AND t.kind <> 'plan' AND t.state ",
            $states,
            ")"
        )
    };
}

/// [`domain::progress::of`] of an item `i`: held to it by a test on both engines.
macro_rules! status {
    () => {
        concat!(
            "CASE WHEN i.state = 'closed' AND i.substate = 'fixed'
                   OR i.state = 'resolved' AND i.substate = 'awaiting_scan' THEN 'fixed'
              WHEN i.state = 'closed' THEN 'closed'
              WHEN ",
            task_in!("IN ('ready', 'offered', 'accepted', 'running', 'unknown')"),
            " THEN 'running'
              WHEN i.mitigation IN ('drifted', 'mitigated', 'partial') THEN i.mitigation
              WHEN ",
            task_in!("= 'pending'"),
            " THEN 'scheduled' ELSE 'open' END"
        )
    };
}

/// Whether an item `i` is late: [`domain::due::target`] of one that is not closed.
macro_rules! overdue {
    () => {
        "i.state NOT IN ('closed', 'in_review', 'deferred', 'resolved') AND i.due_at IS NOT NULL AND i.due_at < {now}"
    };
}

/// [`domain::due::target`] of an item `i`: held to it by a test on both engines.
macro_rules! target {
    () => {
        concat!(
            "(CASE WHEN i.state = 'closed' THEN CASE WHEN i.due_ending IN ('met', 'missed') THEN i.due_ending ELSE 'none' END
               WHEN i.due_at IS NULL OR i.state IN ('in_review', 'deferred', 'resolved') THEN 'none'
               WHEN ",
            overdue!(),
            " THEN 'missed' WHEN i.due_soon_at <= {now} THEN 'approaching' ELSE 'in_flight' END)"
        )
    };
}

/// The newest job about the weakness of an item `i` on its asset, drafts and deleted ones left out.
macro_rules! last_job {
    () => {
        "(SELECT max(j.number) FROM job_target g JOIN job j ON j.id = g.job_id
          WHERE g.vulnerability_id = i.vulnerability_id AND g.asset_id = i.asset_id
            AND j.deleted_at IS NULL AND j.status <> 'DRAFT')"
    };
}

/// [`domain::progress::of`] as an expression on a row `i` with an item's keys, state, substate and mitigation.
pub(crate) const STATUS: &str = status!();

const EXCLUDED: &str = "(EXISTS (SELECT 1 FROM detection d WHERE d.item_id = i.id AND d.excluded_by IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM detection d WHERE d.item_id = i.id AND d.excluded_by IS NULL))";

const FROM: &str = "vulnerable_item i
    JOIN vulnerability v ON v.id = i.vulnerability_id
    JOIN asset a ON a.id = i.asset_id
    JOIN integration_instance n ON n.id = i.instance_id
    LEFT JOIN scanner s ON s.product = n.product AND n.source_stamped_at IS NOT NULL
    LEFT JOIN account o ON o.id = i.owner_id";

const SELECT: &str = concat!(
    "i.id, i.number, i.vulnerability_id, v.qid, v.title, v.severity, i.asset_id, a.name AS asset, a.ip,
    a.platform, i.instance_id, n.name AS instance, n.product, coalesce(s.name, '') AS source, i.state, i.substate,
    i.mitigation, i.inherent, i.residual, i.score_source, i.owner_id, coalesce(o.name, '') AS owner, i.group_name,
    i.reopened, i.opened_at, i.resolved_at, i.closed_at, i.last_found_at, i.updated_at, i.state_cause, i.granted_what,
    i.granted_until_at, i.due_at, i.due_soon_at, i.due_ending, ",
    status!(),
    " AS status, ",
    last_job!(),
    " AS last_job"
);

/// The list of items.
pub const LIST: List = List {
    name: "items",
    select: SELECT,
    from: FROM,
    key: "i.id",
    fields: &FIELDS,
    columns: &[
        Column::one("qid", "v.qid"),
        Column::one("title", "v.title"),
        Column::many("cve", "vulnerability_cve c WHERE c.vulnerability_id = i.vulnerability_id", "c.cve"),
        Column::one("severity", "v.severity"),
        Column::one("state", "i.state"),
        Column::one("substate", "nullif(i.substate, '')"),
        Column::one("mitigation", "i.mitigation"),
        Column::one("status", STATUS),
        Column::many(
            "job",
            "job_target g JOIN job j ON j.id = g.job_id AND j.deleted_at IS NULL AND j.status <> 'DRAFT'
             WHERE g.vulnerability_id = i.vulnerability_id AND g.asset_id = i.asset_id",
            number_text!("MJ", "j.number"),
        ),
        Column::one("score", "i.residual"),
        Column::one("inherent", "i.inherent"),
        Column::one("asset", "a.name"),
        Column::one("asset.id", "i.asset_id"),
        Column::many("asset.tag", "asset_tag t WHERE t.asset_id = i.asset_id", "t.tag"),
        Column::one("asset.ip", "a.ip"),
        Column::one("asset.os", "a.os"),
        Column::one("platform", "a.platform"),
        Column::one("assignee", "o.name"),
        Column::one("group", "nullif(i.group_name, '')"),
        Column::one("source", "s.name"),
        Column::one("instance", "n.name"),
        Column::one("reopened", "i.reopened"),
        Column::one("opened", "i.opened_at"),
        Column::one("seen", "i.last_found_at"),
        Column::one("closed", "i.closed_at"),
        Column::one("due", "i.due_at"),
        Column::one("target", target!()),
        Column::one("overdue", concat!("(", overdue!(), ")")),
        Column::one("deferred_until", "CASE WHEN i.state = 'deferred' THEN i.granted_until_at END"),
        Column::many(
            "exception",
            "exception_item x JOIN exception_request r ON r.id = x.request_id WHERE x.item_id = i.id",
            number_text!("VCA", "r.number"),
        ),
        Column::many(
            "effort",
            "effort_item em JOIN effort e ON e.id = em.effort_id WHERE em.item_id = i.id",
            number_text!("REF", "e.number"),
        ),
        Column::many(
            "effort.state",
            "effort_item em JOIN effort e ON e.id = em.effort_id WHERE em.item_id = i.id",
            "e.state",
        ),
        Column::one("assigned_by", "nullif(i.assigned_by, '')"),
        Column::one("assigned", "i.assigned_at"),
        Column::many(
            "task",
            "remediation_item x JOIN remediation_task r ON r.id = x.task_id WHERE x.item_id = i.id",
            number_text!("VUL", "r.number"),
        ),
        Column::one("excluded", EXCLUDED),
        Column::one("updated", "i.updated_at"),
    ],
    sorts: &[
        Sort::whole("number", "i.number"),
        Sort::text("title", "v.title"),
        Sort::whole("qid", "v.qid"),
        Sort::whole("severity", "v.severity"),
        Sort::text("asset", "a.name"),
        Sort::text("state", "i.state"),
        Sort::text("mitigation", "i.mitigation"),
        Sort::whole("score", "i.residual"),
        Sort::whole("inherent", "i.inherent"),
        Sort::text("assignee", "o.name").or_null(),
        Sort::whole("opened", "i.opened_at"),
        Sort::whole("seen", "i.last_found_at").or_null(),
        Sort::whole("closed", "i.closed_at").or_null(),
        Sort::whole("due", "i.due_at").or_null(),
        Sort::whole("updated", "i.updated_at"),
    ],
};

record! {
    /// An item as the list shows it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ItemRow {
        /// Key.
        pub id: ItemId,
        /// Ordinal of its number.
        pub number: i64,
        /// The vulnerability.
        pub vulnerability_id: VulnerabilityId,
        /// Its number at the scanner.
        pub qid: i64,
        /// Its title.
        pub title: String,
        /// Its severity.
        pub severity: i64,
        /// The asset.
        pub asset_id: AssetId,
        /// Its name.
        pub asset: String,
        /// Its address.
        pub ip: String,
        /// Its family of operating system.
        pub platform: Platform,
        /// The integration instance.
        pub instance_id: InstanceId,
        /// Its name.
        pub instance: String,
        /// Its product.
        pub product: String,
        /// The scanner's name; empty until it is active and has imported (S2.04).
        pub source: String,
        /// Workflow state.
        pub state: State,
        /// Why it is in it.
        pub substate: Substate,
        /// What the controls in force do.
        pub mitigation: Mitigation,
        /// Score before any mitigation.
        pub inherent: u8,
        /// Score now.
        pub residual: u8,
        /// Where the score comes from.
        pub score_source: ScoreSource,
        /// Who works on it.
        pub owner_id: Option<UserId>,
        /// That person's sign-in name; empty for nobody.
        pub owner: String,
        /// Which group works on it; empty for none.
        pub group_name: String,
        /// How often it came back.
        pub reopened: u32,
        /// Last opened.
        pub opened_at: Timestamp,
        /// Resolved.
        pub resolved_at: Option<Timestamp>,
        /// Closed.
        pub closed_at: Option<Timestamp>,
        /// Last found by the scanner.
        pub last_found_at: Option<Timestamp>,
        /// Last changed.
        pub updated_at: Timestamp,
        /// What set its state, as [`domain::item::why::Cause`] is stored.
        pub state_cause: String,
        /// What was granted to it on request.
        pub granted_what: Substate,
        /// Until when that holds.
        pub granted_until_at: Option<Timestamp>,
        /// The last moment of its due date.
        pub due_at: Option<Timestamp>,
        /// From when on it is approaching that.
        pub due_soon_at: Option<Timestamp>,
        /// What it reached when it closed.
        pub due_ending: Ending,
        /// How far its removal has come.
        pub status: Progress,
        /// Ordinal of the newest job about it.
        pub last_job: Option<i64>,
    }
}

impl ItemRow {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> Number {
        Number { series: Series::Item, ordinal: self.number }
    }

    /// How it stands with its due date.
    #[must_use]
    pub fn target(&self, now: Timestamp) -> Target {
        super::due::shown(self.due_at, self.due_soon_at, self.due_ending, self.state, now)
    }

    /// Its workflow part, as the domain decides on it.
    #[must_use]
    pub fn workflow(&self) -> Workflow {
        Workflow {
            state: self.state,
            substate: self.substate,
            resolved_at: self.resolved_at,
            reopened: self.reopened,
            granted: granted(self.granted_what, self.granted_until_at),
        }
    }
}

/// The condition that clips the list to what the actor may see: the asset scope, and for those who see only what is
/// assigned to them or their groups, that. `None` where everything is seen.
#[must_use]
pub fn visible(actor: &Actor, action: Action) -> Option<Sql> {
    let assigned = scope::assigned(actor, reach(actor, action), "i.owner_id", "nullif(i.group_name, '')");
    scope::both(scope::assets(&actor.scope, "i.asset_id"), assigned)
}

/// What a permission has to know of an item.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn access(tx: &mut Transaction<'_>, actor: &Actor, item: &ItemRow) -> Result<AccessRecord> {
    let tags = assets::tags(tx, &[item.asset_id])?.remove(&item.asset_id).unwrap_or_default();
    Ok(record_of(actor, item, &tags))
}

/// The same, where the tags of its asset are known.
pub(super) fn record_of(actor: &Actor, item: &ItemRow, tags: &[String]) -> AccessRecord {
    let seen = actor.scope.sees(tags.iter().map(String::as_str));
    let record = AccessRecord::assigned_to(item.owner_id, Some(&item.group_name));
    AccessRecord { cover: actor.scope.cover([seen]), ..record }
}

/// The item of this ordinal.
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) for an unknown one.
pub fn one(tx: &mut Transaction<'_>, ordinal: i64) -> Result<ItemRow> {
    LIST.one(tx, Sql::new("i.number = ").bind(&ordinal))
}

record! {
    /// An occurrence that an item rolls up.
    #[derive(Clone, Debug, PartialEq)]
    pub struct DetectionRow {
        /// Key.
        pub id: DetectionId,
        /// The scanner's id of the host.
        pub host_key: String,
        /// The scanner's own id of the row; empty where it gave none.
        pub unique_id: String,
        /// `confirmed` or `potential`, or the scanner's own word.
        pub kind: String,
        /// `tcp`, `udp` or empty.
        pub protocol: String,
        /// Port, 0 for none.
        pub port: i64,
        /// Name under which the service was reached.
        pub fqdn: String,
        /// Which instance of a service.
        pub service_instance: String,
        /// Status.
        pub status: String,
        /// The scanner's own score.
        pub qds: Option<i64>,
        /// Score before any mitigation.
        pub inherent: u8,
        /// Where it comes from.
        pub score_source: ScoreSource,
        /// Evidence, foreign text.
        pub results: String,
        /// Ignored at the scanner.
        pub ignored: bool,
        /// What excludes it: the name of a rule, `confirmed only`, or empty.
        pub excluded: String,
        /// How often it was seen.
        pub times_found: i64,
        /// First sighting.
        pub first_found_at: Option<Timestamp>,
        /// Latest sighting.
        pub last_found_at: Option<Timestamp>,
        /// Latest time it was found gone.
        pub last_fixed_at: Option<Timestamp>,
        /// Latest test.
        pub last_test_at: Option<Timestamp>,
    }
}

/// The occurrences of an item.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn detections(tx: &mut Transaction<'_>, item: ItemId) -> Result<Vec<DetectionRow>> {
    tx.all(
        "SELECT d.id, h.host_key, d.unique_id, d.kind, d.protocol, d.port, d.fqdn, d.service_instance, d.status, d.qds,
             d.inherent, d.score_source, d.results, d.ignored,
             CASE WHEN d.excluded_by IS NULL THEN '' WHEN d.excluded_by = 0 THEN 'confirmed only'
                  ELSE coalesce(x.name, 'a rule that is gone') END AS excluded, d.times_found, d.first_found_at, d.last_found_at,
             d.last_fixed_at, d.last_test_at
         FROM detection d JOIN source_host h ON h.id = d.source_host_id
         LEFT JOIN exclusion_rule x ON x.id = d.excluded_by
         WHERE d.item_id = $1 ORDER BY d.protocol, d.port, d.id LIMIT 1000",
        &[&item],
    )
}

record! {
    /// Something that happened to an item.
    #[derive(Clone, Debug, PartialEq)]
    pub struct HistoryLine {
        /// When.
        pub at: Timestamp,
        /// `state`, `deferral`, `due`, `mitigation`, `assignment`, `verdict` or `score`.
        pub what: String,
        /// Before.
        pub before: String,
        /// After.
        pub after: String,
        /// Why, for people.
        pub cause: String,
    }
}

/// The history of an item, its scores included, newest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn history(tx: &mut Transaction<'_>, item: ItemId, limit: i64) -> Result<Vec<HistoryLine>> {
    tx.all(
        "SELECT at, what, before, after, cause FROM (
             SELECT at, id, 1 AS part, what, before, after, cause FROM item_history WHERE item_id = $1
             UNION ALL
             SELECT at, id, 2 AS part, 'score' AS what, CAST(before AS TEXT) AS before,
                 CAST(after AS TEXT) AS after, cause
             FROM score_history WHERE item_id = $1) AS both_histories
         ORDER BY at DESC, part DESC, id DESC LIMIT $2",
        &[&item, &limit],
    )
}

record! {
    /// A change of score.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ScoreLine {
        /// When.
        pub at: Timestamp,
        /// Inherent score then.
        pub inherent: u8,
        /// Residual before.
        pub before: u8,
        /// Residual after.
        pub after: u8,
        /// Why, for people.
        pub cause: String,
    }
}

/// The changes of an item's score, newest first.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn score_history(tx: &mut Transaction<'_>, item: ItemId, limit: i64) -> Result<Vec<ScoreLine>> {
    tx.all(
        "SELECT at, inherent, before, after, cause FROM score_history WHERE item_id = $1
         ORDER BY at DESC, id DESC LIMIT $2",
        &[&item, &limit],
    )
}
