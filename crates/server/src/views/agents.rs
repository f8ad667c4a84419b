//! Agents, enrolment tokens, controls and the catalogue as bodies.

use crate::engine::agents::Presence;
use crate::http::error::Error;
use domain::number::Series;
use protocol::agent::Facts;
use protocol::api::response as body;
use store::agents::{AgentLine, TokenRow};
use store::controls::ControlRow;

/// An agent.
#[must_use]
pub fn agent(line: AgentLine, presence: &Presence) -> body::Agent {
    let facts: Facts = serde_json::from_str(&line.facts).unwrap_or_default();
    let last_seen_at = presence.last_seen(line.id).map_or(line.last_seen_at, |at| at.max(line.last_seen_at));
    body::Agent {
        id: line.agent_id,
        asset: line.asset_id.map(|asset| asset.0),
        asset_name: line.asset_name,
        link: line.link,
        evidence: line.evidence,
        hostname: line.hostname,
        zone: line.zone,
        os: facts.os_title,
        version: line.version,
        mode: line.mode,
        enrolled_at: line.enrolled_at,
        last_seen_at,
        revoked_at: line.revoked_at,
        missing_at: line.missing_at.filter(|_| line.revoked_at.is_none()),
        retired_at: line.retired_at,
        capabilities: facts.capabilities,
    }
}

/// An enrolment token, without its secret.
#[must_use]
pub fn token(row: &TokenRow) -> body::EnrolmentToken {
    body::EnrolmentToken {
        id: row.id,
        label: row.label.clone(),
        uses_left: row.uses_left,
        expires_at: row.expires_at,
        created_at: row.created_at,
    }
}

/// A mitigation on an asset.
#[must_use]
pub fn control(row: ControlRow) -> body::Control {
    body::Control {
        entry: row.entry,
        title: row.title,
        implication: row.implication,
        state: row.state.as_str().to_owned(),
        origin: row.origin.as_str().to_owned(),
        job: row.job_number.map(|ordinal| super::number(Series::Job, ordinal)),
        reversible: row.reversible,
        since_at: row.since_at,
        checked_at: row.checked_at,
    }
}

/// The catalogue in force.
///
/// # Errors
/// A failure of the store.
pub fn catalogue(tx: &mut store::Transaction<'_>, order_key: body::OrderKey) -> Result<body::CatalogueBody, Error> {
    let release = store::catalogue::newest(tx)?;
    let root = crate::engine::catalogue::root(tx)?;
    let entries = store::catalogue::current(tx)?;
    Ok(body::CatalogueBody {
        version: release.as_ref().map_or(0, |release| release.version),
        expires_at: release.map(|release| release.expires_at),
        root_version: root.map_or(0, |(root, _)| root.version),
        order_key,
        entries: entries
            .into_iter()
            .map(|entry| body::CatalogueEntry {
                entry: entry.entry,
                revision: entry.revision,
                digest: entry.digest,
                title: entry.title,
                platform: entry.platform,
                implication: entry.implication,
                risk: entry.risk,
            })
            .collect(),
    })
}
