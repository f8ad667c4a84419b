//! Open weaknesses that a full pull did not show though it showed their host: purged at the scanner, or not looked for any
//! more. They are marked and counted, never closed by it. What is compared is host and vulnerability: a weakness that moved
//! to another port was seen.

use crate::detections::Machine;
use crate::imports::{Counters, Run};
use crate::{Result, Transaction, last_per_key, stage};
use domain::time::Timestamp;

struct ShownRow {
    host_key: String,
    qid: i64,
}
stage!(ShownRow as "shown_batch" { host_key: String, qid: i64 });

struct HostRow {
    host_key: String,
}
stage!(HostRow as "shown_host_batch" { host_key: String });

/// What any other pull shows is there again: it is marked no more. Cheap where nothing of these hosts is marked.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn shown_again(tx: &mut Transaction<'_>, run: &Run, machines: &[Machine]) -> Result<()> {
    stage_hosts(tx, machines)?;
    let marked: bool = tx.scalar(
        "SELECT EXISTS (SELECT 1 FROM shown_host_batch b
                        JOIN source_host h ON h.instance_id = $1 AND h.host_key = b.host_key
                        JOIN detection d ON d.source_host_id = h.id AND d.unseen > 0)",
        &[&run.instance],
    )?;
    if !marked {
        return Ok(());
    }
    stage_shown(tx, machines)?;
    unmark(tx, run)
}

fn stage_hosts(tx: &mut Transaction<'_>, machines: &[Machine]) -> Result<()> {
    let hosts = machines.iter().map(|machine| HostRow { host_key: machine.host.host_key.clone() }).collect();
    tx.stage(&last_per_key(hosts, |row: &HostRow| row.host_key.clone()))
}

fn stage_shown(tx: &mut Transaction<'_>, machines: &[Machine]) -> Result<()> {
    let shown = machines
        .iter()
        .flat_map(|machine| {
            let key = &machine.host.host_key;
            machine.detections.iter().map(move |row| ShownRow { host_key: key.clone(), qid: row.qid })
        })
        .collect();
    tx.stage(&last_per_key(shown, |row: &ShownRow| (row.host_key.clone(), row.qid)))
}

fn unmark(tx: &mut Transaction<'_>, run: &Run) -> Result<()> {
    tx.execute(
        "UPDATE detection SET unseen = 0, unseen_since_at = NULL, unseen_run = 0
         WHERE (unseen > 0 OR unseen_run <> 0)
           AND source_host_id IN (SELECT h.id FROM source_host h JOIN shown_host_batch b ON b.host_key = h.host_key
                                  WHERE h.instance_id = $1)
           AND (source_host_id, vulnerability_id) IN (
               SELECT h.id, v.id FROM shown_batch s JOIN source_host h ON h.host_key = s.host_key AND h.instance_id = $1
               JOIN vulnerability v ON v.qid = s.qid AND v.product = $2)",
        &[&run.instance, &run.product],
    )?;
    Ok(())
}

/// Compare what is known of these hosts with all that a full pull said of them, after it was merged. What is there again is
/// marked no more; what is missing is remembered for [`settle`].
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn compare(tx: &mut Transaction<'_>, run: &Run, machines: &[Machine], now: Timestamp) -> Result<()> {
    stage_hosts(tx, machines)?;
    stage_shown(tx, machines)?;
    tx.execute(
        "UPDATE source_host SET full_at = $2
         WHERE instance_id = $1 AND host_key IN (SELECT host_key FROM shown_host_batch)",
        &[&run.instance, &now],
    )?;
    unmark(tx, run)?;
    tx.execute(
        "UPDATE detection SET unseen_run = $3
         WHERE item_id IS NOT NULL AND status NOT IN ('fixed', 'stale')
           AND source_host_id IN (SELECT h.id FROM source_host h JOIN shown_host_batch b ON b.host_key = h.host_key
                                  WHERE h.instance_id = $1)
           AND (source_host_id, vulnerability_id) NOT IN (
               SELECT h.id, v.id FROM shown_batch s JOIN source_host h ON h.host_key = s.host_key AND h.instance_id = $1
               JOIN vulnerability v ON v.qid = s.qid AND v.product = $2)",
        &[&run.instance, &run.product, &run.id],
    )?;
    Ok(())
}

/// How many hosts a full pull is expected to show: as many as the last complete one, else as many as are known.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn expected(tx: &mut Transaction<'_>, run: &Run) -> Result<u64> {
    let last: Option<(String,)> = tx.optional(
        "SELECT counters FROM import_run WHERE instance_id = $1 AND id < $2 AND kind = 'comprehensive'
             AND state = 'complete' ORDER BY id DESC LIMIT 1",
        &[&run.instance, &run.id],
    )?;
    if let Some((counters,)) = last {
        let counters: Counters = serde_json::from_str(&counters).unwrap_or_default();
        return Ok(shown(&counters));
    }
    let known: i64 =
        tx.scalar("SELECT count(*) FROM source_host WHERE instance_id = $1 AND keyed", &[&run.instance])?;
    Ok(u64::try_from(known).unwrap_or(0))
}

/// How many hosts a run met.
#[must_use]
pub fn shown(counters: &Counters) -> u64 {
    let hosts = &counters.hosts;
    hosts.new + hosts.updated + hosts.unchanged + hosts.ignored
}

/// Count what the run did not show, or forget it where the run does not count; gives how many that were.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn settle(tx: &mut Transaction<'_>, run: &Run, counts: bool, now: Timestamp) -> Result<u64> {
    if counts {
        tx.execute(
            "UPDATE detection SET unseen = unseen + 1, unseen_since_at = coalesce(unseen_since_at, $2), unseen_run = 0
             WHERE unseen_run = $1",
            &[&run.id, &now],
        )
    } else {
        tx.execute("UPDATE detection SET unseen_run = 0 WHERE unseen_run = $1", &[&run.id])
    }
}
