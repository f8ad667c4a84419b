//! When rescans of an integration are launched, and what stands in line there.

use crate::audit::{self, Entry};
use crate::{Error, Result, Transaction};
use domain::id::{ChildScanId, InstanceId, UserId};
use domain::rescan::Policy;
use domain::time::Timestamp;

/// The name in [`Error::Conflict`] where somebody else changed the policy first.
pub const CHANGED: &str = "rescan_policy_changed";

/// The policy of an instance and how often it was changed; the default and 0 where it never was.
///
/// # Errors
/// [`Error::Failed`] where what is stored is no policy.
pub fn policy(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<(Policy, i64)> {
    let found: Option<(String, i64)> =
        tx.optional("SELECT policy, version FROM rescan_policy WHERE instance_id = $1", &[&instance])?;
    let Some((text, version)) = found else { return Ok((Policy::default(), 0)) };
    let failed = |error| Error::failed(format!("could not understand the rescan policy of instance {instance}"), error);
    Ok((serde_json::from_str(&text).map_err(failed)?, version))
}

/// Change the policy of an instance and say so in the audit; what waits asks again at once. With `expected`, only where the
/// version is still that one. Gives the new version.
///
/// # Errors
/// [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn set_policy(
    tx: &mut Transaction<'_>,
    actor: &str,
    instance: InstanceId,
    policy: &Policy,
    expected: Option<i64>,
    now: Timestamp,
) -> Result<i64> {
    let (_, version) = self::policy(tx, instance)?;
    if expected.is_some_and(|expected| expected != version) {
        return Err(Error::Conflict(CHANGED.to_owned()));
    }
    let failed = |error| Error::failed("could not write down a rescan policy", error);
    let text = serde_json::to_string(policy).map_err(failed)?;
    tx.execute(
        "INSERT INTO rescan_policy (instance_id, policy, version, on_resolved_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (instance_id) DO UPDATE SET policy = excluded.policy, version = excluded.version,
             on_resolved_at = CASE WHEN excluded.on_resolved_at IS NULL THEN NULL
                 ELSE coalesce(rescan_policy.on_resolved_at, excluded.on_resolved_at) END",
        &[&instance, &text, &(version + 1), &policy.on_resolved.then_some(now)],
    )?;
    tx.execute(
        "UPDATE scan_child SET next_at = $2 WHERE instance_id = $1 AND state = 'planned' AND waits <> ''",
        &[&instance, &now],
    )?;
    let (resource, detail) = (format!("instances/{instance}"), serde_json::json!({ "policy": policy }));
    audit::append(tx, &Entry { at: now, actor, action: "rescan.policy", resource: &resource, detail })?;
    Ok(version + 1)
}

/// What stands in line at an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who asked for each scan that runs.
    pub running: Vec<UserId>,
    /// Launches that could be sent, the oldest first, and who asked for them.
    pub waiting: Vec<(ChildScanId, UserId)>,
    /// When the last launches were sent.
    pub launched: Vec<Timestamp>,
}

/// What stands in line at an instance where `child` wants to be launched; launches are counted from `since` on.
///
/// # Errors
/// See [`Error`].
pub fn standing(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    child: ChildScanId,
    since: Timestamp,
) -> Result<Standing> {
    let running: Vec<(UserId,)> = tx.all(
        "SELECT s.requested_by FROM scan_child c JOIN scan s ON s.id = c.scan_id
         WHERE c.instance_id = $1 AND c.state IN ('launching', 'running') ORDER BY c.id",
        &[&instance],
    )?;
    // What waits after a failure does not hold up what can go.
    let waiting = tx.all(
        "SELECT c.id, s.requested_by FROM scan_child c JOIN scan s ON s.id = c.scan_id
         WHERE c.instance_id = $1 AND c.state = 'planned' AND (c.failures = 0 OR c.id = $2) ORDER BY c.id",
        &[&instance, &child],
    )?;
    let launched: Vec<(Timestamp,)> = tx.all(
        "SELECT launching_at FROM scan_child
         WHERE instance_id = $1 AND launching_at > $2 AND state <> 'planned' ORDER BY launching_at",
        &[&instance, &since],
    )?;
    Ok(Standing {
        running: running.into_iter().map(|(who,)| who).collect(),
        waiting,
        launched: launched.into_iter().map(|(at,)| at).collect(),
    })
}
