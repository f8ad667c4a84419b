//! Agents, the tokens they enrol with, and which asset each one is.

pub mod contact;
mod tokens;

use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Result, Scalar, Sql, Transaction, record, scope, tasks};
use domain::access::AssetScope;
use domain::asset::{Candidate, Identity};
use domain::filter::{Field, Fields, Flag, Kind};
use domain::id::{AgentKey, AssetId, JobId};
use domain::time::Timestamp;
use domain::window::Window;
use std::collections::{BTreeMap, BTreeSet};
pub use tokens::{TokenRow, create_token, maker_of_token, revoke_token, token, tokens, use_token};
use uuid::Uuid;

record! {
    /// An agent.
    #[derive(Debug, Clone)]
    pub struct AgentRow {
        /// Key.
        pub id: AgentKey,
        /// Id on the wire.
        pub agent_id: Uuid,
        /// Installation.
        pub instance_id: Uuid,
        /// Public key, base64.
        pub public_key: String,
        /// The asset it sits on, once that is proved.
        pub asset_id: Option<AssetId>,
        /// `linked`, `own` or `ambiguous`.
        pub link: String,
        /// What proves the link, or why a person has to decide.
        pub evidence: String,
        /// Host name as it claims.
        pub hostname: String,
        /// IANA zone as it reports, empty = unknown.
        pub zone: String,
        /// Facts as JSON.
        pub facts: String,
        /// Version of the agent.
        pub version: String,
        /// `normal`, `monitor_only` or `halted`: the host owner's choice.
        pub mode: String,
        /// Highest request number used, as of the last flush.
        pub request_seq: i64,
        /// Which of those just below it were used, as the bits of [`Window::used`].
        pub request_used: i64,
        /// Highest order number given.
        pub order_seq: i64,
        /// When it enrolled.
        pub enrolled_at: Timestamp,
        /// Last heard, to the minute.
        pub last_seen_at: Timestamp,
        /// Set when an administrator ended it, or when it was retired.
        pub revoked_at: Option<Timestamp>,
        /// Since when contact is lost with it.
        pub missing_at: Option<Timestamp>,
        /// Set when it was retired by itself, see [`domain::contact`].
        pub retired_at: Option<Timestamp>,
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, agent_id, instance_id, public_key, asset_id, link, evidence, hostname, zone, facts, version,
             mode, request_seq, request_used, order_seq, enrolled_at, last_seen_at, revoked_at, missing_at,
             retired_at FROM agent ",
            $rest
        )
    };
}

impl AgentRow {
    /// The request numbers it used, as of the last flush.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { highest: self.request_seq, used: self.request_used.cast_unsigned() }
    }
}

/// An agent that enrols.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Id on the wire.
    pub agent_id: Uuid,
    /// Installation.
    pub instance_id: Uuid,
    /// The token used.
    pub token_id: Uuid,
    /// Public key, base64.
    pub public_key: String,
    /// Host name.
    pub hostname: String,
    /// Zone.
    pub zone: String,
    /// Facts as JSON.
    pub facts: String,
    /// Version.
    pub version: String,
    /// Mode.
    pub mode: String,
}

/// Enrol an agent. Its link is decided after, see [`set_link`].
///
/// # Errors
/// [`crate::Error::Conflict`] on `agent_public_key` when this key enrolled with this token before.
pub fn create(tx: &mut Transaction<'_>, agent: &NewAgent, now: Timestamp) -> Result<AgentKey> {
    tx.insert(
        "INSERT INTO agent (agent_id, instance_id, token_id, public_key, asset_id, link, evidence, hostname, zone, facts,
             version, mode, request_seq, request_used, order_seq, enrolled_at, last_seen_at, revoked_at)
         VALUES ($1, $2, $3, $4, NULL, 'own', '', $5, $6, $7, $8, $9, $10, $11, 0, $12, $12, NULL) RETURNING id",
        &[
            &agent.agent_id,
            &agent.instance_id,
            &agent.token_id,
            &agent.public_key,
            &agent.hostname,
            &agent.zone,
            &agent.facts,
            &agent.version,
            &agent.mode,
            &Window::NEW.highest,
            &Window::NEW.used.cast_signed(),
            &now,
        ],
    )
}

/// The agent that enrolled with this token and key, so that enrolling twice is enrolling once.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_enrolment(tx: &mut Transaction<'_>, token: Uuid, public_key: &str) -> Result<Option<AgentRow>> {
    tx.optional(select!("WHERE token_id = $1 AND public_key = $2"), &[&token, &public_key])
}

/// An agent by its id on the wire.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_agent_id(tx: &mut Transaction<'_>, agent_id: Uuid) -> Result<Option<AgentRow>> {
    tx.optional(select!("WHERE agent_id = $1"), &[&agent_id])
}

/// Agents by their ids on the wire; ids of none are left out.
///
/// # Errors
/// See [`crate::Error`].
pub fn by_agent_ids(tx: &mut Transaction<'_>, ids: &[Uuid]) -> Result<Vec<AgentRow>> {
    let Some(last) = ids.last() else { return Ok(Vec::new()) };
    // Few lengths, so that few texts are planned and kept.
    let places = ids.len().next_power_of_two();
    let mut sql = Sql::new(select!("WHERE agent_id IN ("));
    for (at, id) in ids.iter().chain(std::iter::repeat(last)).take(places).enumerate() {
        sql = sql.text(if at == 0 { "" } else { ", " }).bind(id);
    }
    tx.all_built(&sql.text(")"))
}

/// Agents by their keys; keys of none are left out.
///
/// # Errors
/// See [`crate::Error`].
pub fn read_many(tx: &mut Transaction<'_>, keys: &[AgentKey]) -> Result<BTreeMap<AgentKey, AgentRow>> {
    let keys: Vec<i64> = keys.iter().map(|key| key.0).collect();
    let rows: Vec<AgentRow> = tx.all(select!("WHERE id {in $1}"), &[&keys])?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// An agent by its key.
///
/// # Errors
/// [`crate::Error::NotFound`] for an unknown key.
pub fn read(tx: &mut Transaction<'_>, key: AgentKey) -> Result<AgentRow> {
    tx.one(select!("WHERE id = $1"), &[&key])
}

/// The agent in force on an asset.
///
/// # Errors
/// See [`crate::Error`].
pub fn on_asset(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Option<AgentRow>> {
    Ok(on_assets(tx, [asset])?.remove(&asset))
}

/// The agents in force on these assets; where there are several on one, the newest.
///
/// # Errors
/// See [`crate::Error`].
pub fn on_assets(
    tx: &mut Transaction<'_>,
    assets: impl IntoIterator<Item = AssetId>,
) -> Result<BTreeMap<AssetId, AgentRow>> {
    let assets: Vec<i64> = assets.into_iter().map(|asset| asset.0).collect();
    let rows: Vec<AgentRow> = tx.all(
        select!("WHERE asset_id {in $1} AND revoked_at IS NULL AND link <> 'ambiguous' ORDER BY id"),
        &[&assets],
    )?;
    Ok(rows.into_iter().filter_map(|row| Some((row.asset_id?, row))).collect())
}

/// Record what an agent is linked to. Work it had for another asset is not done on this one: gives the jobs whose tasks
/// were ended or taken back for that.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_link(
    tx: &mut Transaction<'_>,
    key: AgentKey,
    asset: Option<AssetId>,
    link: &str,
    evidence: &str,
    now: Timestamp,
) -> Result<BTreeSet<JobId>> {
    tx.execute(
        "UPDATE agent SET asset_id = $2, link = $3, evidence = $4 WHERE id = $1",
        &[&key, &asset, &link, &evidence],
    )?;
    tasks::moved(tx, key, asset, now)
}

/// Record new facts.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_facts(tx: &mut Transaction<'_>, key: AgentKey, facts: &NewAgent) -> Result<()> {
    tx.execute(
        "UPDATE agent SET hostname = $2, zone = $3, facts = $4, version = $5, mode = $6 WHERE id = $1",
        &[&key, &facts.hostname, &facts.zone, &facts.facts, &facts.version, &facts.mode],
    )?;
    Ok(())
}

/// What one server heard of an agent since it last wrote it down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The agent.
    pub agent: AgentKey,
    /// The request numbers it used.
    pub window: Window,
    /// When it last spoke.
    pub at: Timestamp,
}

struct HeardRow {
    agent_id: i64,
    highest: i64,
    used: i64,
    heard_at: Timestamp,
}
crate::stage!(HeardRow as "heard_batch" { agent_id: i64, highest: i64, used: i64, heard_at: Timestamp });

/// Record when agents were last heard and which request numbers they used, together with what other servers recorded
/// ([`Window::merge`] in SQL). Written in batches of one row per agent, never per poll.
///
/// # Errors
/// See [`crate::Error`].
pub fn heard(tx: &mut Transaction<'_>, heard: &[Heard]) -> Result<()> {
    let row = |heard: &Heard| HeardRow {
        agent_id: heard.agent.0,
        highest: heard.window.highest,
        used: heard.window.used.cast_signed(),
        heard_at: heard.at,
    };
    tx.stage(&heard.iter().map(row).collect::<Vec<_>>())?;
    // Bits are moved by less than their number only: what more does is another matter on each engine.
    tx.execute(
        "UPDATE agent SET
             last_seen_at = CASE WHEN b.heard_at > agent.last_seen_at THEN b.heard_at ELSE agent.last_seen_at END,
             missing_at = CASE WHEN b.heard_at > agent.last_seen_at THEN NULL ELSE agent.missing_at END,
             request_seq = CASE WHEN b.highest > agent.request_seq THEN b.highest ELSE agent.request_seq END,
             request_used = CASE
                 WHEN b.highest - agent.request_seq >= 64 THEN b.used
                 WHEN b.highest >= agent.request_seq
                     THEN b.used | (agent.request_used << CAST(b.highest - agent.request_seq AS INTEGER))
                 WHEN agent.request_seq - b.highest >= 64 THEN agent.request_used
                 ELSE agent.request_used | (b.used << CAST(agent.request_seq - b.highest AS INTEGER)) END
         FROM heard_batch b WHERE agent.id = b.agent_id",
        &[],
    )?;
    Ok(())
}

struct OrderNumber {
    id: AgentKey,
    order_seq: i64,
}
crate::stage!(OrderNumber as "agent_order_batch" { id: AgentKey, order_seq: i64 });

/// Remember the highest order number given to each of these agents.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_order_numbers(tx: &mut Transaction<'_>, given: impl IntoIterator<Item = (AgentKey, i64)>) -> Result<()> {
    let given: Vec<OrderNumber> = given.into_iter().map(|(id, order_seq)| OrderNumber { id, order_seq }).collect();
    if given.is_empty() {
        return Ok(());
    }
    tx.stage(&given)?;
    tx.execute("UPDATE agent SET order_seq = b.order_seq FROM agent_order_batch b WHERE agent.id = b.id", &[])?;
    Ok(())
}

/// End an agent: its requests are refused from now on. One that was retired by itself is ended for good, too.
///
/// # Errors
/// See [`crate::Error`].
pub fn revoke(tx: &mut Transaction<'_>, key: AgentKey, now: Timestamp) -> Result<bool> {
    let ended = tx.execute(
        "UPDATE agent SET revoked_at = $2, retired_at = NULL
         WHERE id = $1 AND (revoked_at IS NULL OR retired_at IS NOT NULL)",
        &[&key, &now],
    )?;
    Ok(ended == 1)
}

type CandidateRow = (AssetId, Option<String>, Option<String>, String, i64);

/// Every asset that this identity could mean, for [`domain::asset::link`]. `except` is the agent that asks. An agent that was retired by
/// itself keeps its claim, or whoever calls himself a machine that was silent for long would get its orders; the same key is the same
/// machine.
///
/// # Errors
/// See [`crate::Error`].
pub fn candidates(tx: &mut Transaction<'_>, claim: &Identity, except: AgentKey) -> Result<Vec<Candidate>> {
    let nothing = String::new();
    let rows: Vec<CandidateRow> = tx.all(
        "SELECT a.id, a.scanner_uuid, a.machine_id, a.macs,
                (SELECT count(*) FROM agent g
                 WHERE g.asset_id = a.id AND g.id <> $3 AND (g.revoked_at IS NULL OR (g.retired_at IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM agent n WHERE n.id = $3 AND n.public_key = g.public_key))))
         FROM asset a
         WHERE (a.scanner_uuid = $1 AND $1 <> '') OR (a.machine_id = $2 AND $2 <> '')
         ORDER BY a.id LIMIT 100",
        &[claim.scanner_uuid.as_ref().unwrap_or(&nothing), claim.machine_id.as_ref().unwrap_or(&nothing), &except],
    )?;
    Ok(rows
        .into_iter()
        .map(|(asset, scanner_uuid, machine_id, macs, agents)| Candidate {
            asset,
            identity: Identity { scanner_uuid, machine_id, macs: macs.split(' ').map(str::to_owned).collect() },
            claimed: agents > 0,
        })
        .collect())
}

/// Make an asset of an agent's own, for a machine that no scanner has reported yet. Its scanner UUID comes with
/// [`teach_asset`], which looks who has it.
///
/// # Errors
/// See [`crate::Error`].
pub fn create_asset(
    tx: &mut Transaction<'_>,
    name: &str,
    platform: domain::asset::Platform,
    os: &str,
    ip: &str,
    identity: &Identity,
    now: Timestamp,
) -> Result<AssetId> {
    tx.insert(
        "INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, scanner_uuid, machine_id,
             macs, created_at, last_seen_at)
         VALUES ($1, $2, $3, $4, '', '', '', 3, '', NULL, $5, $6, $7, $7) RETURNING id",
        &[&name, &platform, &os, &ip, &identity.machine_id, &identity.macs.join(" "), &now],
    )
}

/// Remember on the asset what an agent said when it was enrolled: later agents and scanners are matched by it. A scanner
/// UUID that another asset or a host of another asset has is not taken over.
///
/// # Errors
/// See [`crate::Error`].
pub fn teach_asset(tx: &mut Transaction<'_>, asset: AssetId, identity: &Identity, zone: &str) -> Result<()> {
    tx.execute(
        "UPDATE asset SET machine_id = coalesce($3, machine_id), macs = $4, zone = $5,
             scanner_uuid = CASE
                 WHEN scanner_uuid IS NOT NULL THEN scanner_uuid
                 WHEN EXISTS (SELECT 1 FROM asset o WHERE o.scanner_uuid = $2 AND o.id <> $1) THEN NULL
                 WHEN EXISTS (SELECT 1 FROM source_host h WHERE h.agent_uuid = $2 AND h.asset_id <> $1) THEN NULL
                 ELSE $2 END
         WHERE id = $1",
        &[&asset, &identity.scanner_uuid, &identity.machine_id, &identity.macs.join(" "), &zone],
    )?;
    Ok(())
}

/// Remember the time zone a linked agent tells.
///
/// # Errors
/// See [`crate::Error`].
pub fn set_asset_zone(tx: &mut Transaction<'_>, asset: AssetId, zone: &str) -> Result<()> {
    tx.execute("UPDATE asset SET zone = $2 WHERE id = $1", &[&asset, &zone])?;
    Ok(())
}

/// Agents that were not revoked, and how many of them are linked: for the dashboard.
///
/// # Errors
/// See [`crate::Error`].
pub fn count(tx: &mut Transaction<'_>) -> Result<i64> {
    let Scalar(count) = tx.one("SELECT count(*) FROM agent WHERE revoked_at IS NULL", &[])?;
    Ok(count)
}

record! {
    /// An agent as lists show it.
    #[derive(Debug, Clone)]
    pub struct AgentLine {
        /// Key.
        pub id: AgentKey,
        /// Id on the wire.
        pub agent_id: Uuid,
        /// Asset.
        pub asset_id: Option<AssetId>,
        /// Its name.
        pub asset_name: Option<String>,
        /// Link word.
        pub link: String,
        /// Evidence.
        pub evidence: String,
        /// Host name.
        pub hostname: String,
        /// Zone.
        pub zone: String,
        /// Facts.
        pub facts: String,
        /// Version.
        pub version: String,
        /// Mode.
        pub mode: String,
        /// Enrolled.
        pub enrolled_at: Timestamp,
        /// Last heard.
        pub last_seen_at: Timestamp,
        /// Revoked.
        pub revoked_at: Option<Timestamp>,
        /// Contact is lost since.
        pub missing_at: Option<Timestamp>,
        /// Retired by itself.
        pub retired_at: Option<Timestamp>,
    }
}

/// What agent lists can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "hostname", kind: Kind::Text, doc: "host name as the agent claims" },
        Field { name: "asset", kind: Kind::Text, doc: "name of the asset it sits on" },
        Field { name: "link", kind: Kind::Words(&["linked", "own", "ambiguous"]), doc: "how it was linked" },
        Field {
            name: "mode",
            kind: Kind::Words(&["normal", "monitor_only", "halted"]),
            doc: "the host owner's choice",
        },
        Field { name: "version", kind: Kind::Name, doc: "version of the agent" },
        Field { name: "zone", kind: Kind::Name, doc: "time zone" },
        Field { name: "last_seen", kind: Kind::Instant, doc: "when it was last heard" },
        Field { name: "revoked", kind: Kind::Truth, doc: "ended by an administrator, or retired" },
        Field { name: "missing", kind: Kind::Truth, doc: "contact is lost: not heard of for seven days" },
        Field {
            name: "retired",
            kind: Kind::Truth,
            doc: "retired by itself, because it was not heard of for too long",
        },
    ],
    flags: &[Flag { name: "undecided", field: "link", words: &["ambiguous"], doc: "a person has to link it" }],
    free: &["hostname", "asset"],
};

/// The list of agents.
pub const LIST: List = List {
    name: "agents",
    select:
        "agent.id, agent.agent_id, agent.asset_id, asset.name AS asset_name, agent.link, agent.evidence, agent.hostname,
        agent.zone, agent.facts, agent.version, agent.mode, agent.enrolled_at, agent.last_seen_at, agent.revoked_at,
        agent.missing_at, agent.retired_at",
    from: "agent LEFT JOIN asset ON asset.id = agent.asset_id",
    key: "agent.id",
    fields: &FIELDS,
    columns: &[
        Column::one("hostname", "agent.hostname"),
        Column::one("asset", "asset.name"),
        Column::one("link", "agent.link"),
        Column::one("mode", "agent.mode"),
        Column::one("version", "agent.version"),
        Column::one("zone", "agent.zone"),
        Column::one("last_seen", "agent.last_seen_at"),
        Column::one("revoked", "(agent.revoked_at IS NOT NULL)"),
        Column::one("missing", "(agent.missing_at IS NOT NULL AND agent.revoked_at IS NULL)"),
        Column::one("retired", "(agent.retired_at IS NOT NULL)"),
    ],
    sorts: &[
        Sort::text("hostname", "agent.hostname"),
        Sort::whole("last_seen", "agent.last_seen_at"),
        Sort::whole("enrolled", "agent.enrolled_at"),
    ],
};

/// The condition that clips the list to agents on an asset of the scope.
#[must_use]
pub fn visible(assets: &AssetScope) -> Option<Sql> {
    scope::assets(assets, "agent.asset_id")
}
