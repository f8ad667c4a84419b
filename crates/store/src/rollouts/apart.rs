//! Hosts that are kept apart: what runs at work say, and whether a host of a group may be worked on beside the others.
//!
//! A group is a tag, so its hosts are found by their tags, and those at work by the permits and slots that are out on them and by
//! orders that need no permit, whichever run they are of. No row is kept of how many they are: who asks reads and takes in one write
//! transaction, which is as if it were alone on both engines, so two hosts that ask at once are not both let in (S6). What it means is
//! [`domain::rollout::permit::Places`]'s to say, and of orders without permits [`domain::rollout::permit::works_unasked`]'s.

use super::tags;
use crate::{Result, Transaction};
use domain::id::{AssetId, RunId};
use domain::rollout::Apart;
use domain::rollout::apart::{Held, Kept};
use domain::rollout::permit::unasked_over;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// What each run that keeps hosts apart and is not over says of it.
///
/// # Errors
/// See [`crate::Error`].
pub fn spoken(tx: &mut Transaction<'_>) -> Result<BTreeMap<RunId, Apart>> {
    let runs: Vec<(RunId, String, i64)> = tx.all(
        "SELECT id, apart_tag, apart_at_most FROM run WHERE apart_tag <> '' AND state <> 'ended' ORDER BY id",
        &[],
    )?;
    let policy = |tag, at_most| Apart { tag, at_most: u32::try_from(at_most).unwrap_or(1) };
    Ok(runs.into_iter().map(|(run, tag, at_most)| (run, policy(tag, at_most))).collect())
}

/// The groups of a host in which others are worked on by a run that keeps hosts apart, with what that run says of them.
///
/// # Errors
/// See [`crate::Error`].
pub fn held(tx: &mut Transaction<'_>, asset: AssetId) -> Result<Vec<Held>> {
    // Every start asks this, and mostly there is no such run: then this one look at an index of them is all.
    let policies = spoken(tx)?;
    if policies.is_empty() {
        return Ok(Vec::new());
    }
    // Of a tag that nobody speaks of, such as that of all servers, there may be very many hosts.
    let groups: Vec<String> =
        tags(tx, asset)?.into_iter().filter(|tag| policies.values().any(|policy| policy.speaks_of(tag))).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    // A group has few hosts and many permits may be out, so its hosts come first: SQLite keeps the order of a cross join.
    let at_work: Vec<(String, RunId)> = tx.all(
        "SELECT g.tag, p.run_id FROM asset_tag g CROSS JOIN permit p
         WHERE p.asset_id = g.asset_id AND p.back_at IS NULL AND g.tag {in $1} AND g.asset_id <> $2
         UNION
         SELECT g.tag, s.run_id FROM asset_tag g CROSS JOIN restart_slot s
         WHERE s.asset_id = g.asset_id AND s.back_at IS NULL AND g.tag {in $1} AND g.asset_id <> $2
         ORDER BY 1, 2",
        &[&groups, &asset],
    )?;
    let of = |(tag, run): (String, RunId)| {
        let policy = policies.get(&run).filter(|policy| policy.speaks_of(&tag))?;
        Some(Held { policy: policy.clone(), tag })
    };
    Ok(at_work.into_iter().filter_map(of).collect())
}

/// Whether a host may be worked on beside those of its groups that are.
pub(super) fn room(tx: &mut Transaction<'_>, asset: AssetId, apart: &[Kept], now: Timestamp) -> Result<bool> {
    if apart.is_empty() {
        return Ok(true);
    }
    let groups: Vec<String> = apart.iter().map(|kept| kept.group.clone()).collect();
    // A tag may come from several scanners, and much may be done on one host.
    let rows: Vec<(String, i64)> = tx.all(
        "SELECT g.tag, count(DISTINCT g.asset_id) FROM asset_tag g
         WHERE g.tag {in $1} AND g.asset_id <> $2
           AND (EXISTS (SELECT 1 FROM permit p WHERE p.asset_id = g.asset_id AND p.back_at IS NULL)
                OR EXISTS (SELECT 1 FROM restart_slot s WHERE s.asset_id = g.asset_id AND s.back_at IS NULL)
                OR EXISTS (SELECT 1 FROM task t
                           WHERE t.asset_id = g.asset_id AND t.state IN ('offered', 'accepted', 'running', 'unknown', 'lost')
                             AND t.permit = $3 AND t.kind IN ('apply', 'revert') AND t.not_after > $4))
         GROUP BY g.tag",
        &[&groups, &asset, &false, &unasked_over(now)],
    )?;
    let beside: BTreeMap<String, i64> = rows.into_iter().collect();
    Ok(apart.iter().all(|kept| beside.get(&kept.group).copied().unwrap_or(0) < kept.at_most))
}
