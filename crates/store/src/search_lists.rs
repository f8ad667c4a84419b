//! Search lists of a scanner, and whether a rescan with an option profile would look for a vulnerability at all.

use crate::{Result, Transaction, last_per_key, record, stage};
use domain::id::InstanceId;
use domain::search_list::{Listed, Tests};
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// A list as the scanner tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchList {
    /// The scanner's key.
    pub key: String,
    /// What option profiles name it by.
    pub title: String,
    /// What it holds; `None` where the scanner did not tell.
    pub qids: Option<Vec<i64>>,
}

struct ListRow {
    key: String,
    title: String,
    told: bool,
}
stage!(ListRow as "search_list_batch" { key: String, title: String, told: bool });

struct QidRow {
    key: String,
    qid: i64,
}
stage!(QidRow as "search_list_qid_batch" { key: String, qid: i64 });

/// A list that an option profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The scanner's key of the profile.
    pub profile_key: String,
    /// The list's title.
    pub title: String,
    /// It is left out; else it is looked for only.
    pub excluded: bool,
}
stage!(Named as "option_profile_list_batch" { profile_key: String, title: String, excluded: bool });

/// Replace the lists of one kind (`static`, `dynamic`) of an instance by what the scanner tells.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn replace(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    kind: &str,
    lists: &[SearchList],
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "DELETE FROM search_list_qid WHERE list_id IN (SELECT id FROM search_list WHERE instance_id = $1 AND kind = $2)",
        &[&instance, &kind],
    )?;
    tx.execute("DELETE FROM search_list WHERE instance_id = $1 AND kind = $2", &[&instance, &kind])?;
    let lists = last_per_key(lists.iter().collect(), |list: &&SearchList| list.key.clone());
    let rows = lists.iter().map(|list| ListRow {
        key: list.key.clone(),
        title: list.title.clone(),
        told: list.qids.is_some(),
    });
    tx.stage(&rows.collect::<Vec<_>>())?;
    tx.execute(
        "INSERT INTO search_list (instance_id, kind, key, title, told, seen_at)
         SELECT $1, $2, key, title, told, $3 FROM search_list_batch WHERE true",
        &[&instance, &kind, &now],
    )?;
    let qids = lists
        .iter()
        .flat_map(|list| list.qids.iter().flatten().map(|qid| QidRow { key: list.key.clone(), qid: *qid }))
        .collect();
    tx.stage(&last_per_key(qids, |row: &QidRow| (row.key.clone(), row.qid)))?;
    tx.execute(
        "INSERT INTO search_list_qid (list_id, qid)
         SELECT l.id, b.qid FROM search_list_qid_batch b
         JOIN search_list l ON l.instance_id = $1 AND l.kind = $2 AND l.key = b.key WHERE true",
        &[&instance, &kind],
    )?;
    Ok(())
}

/// Replace what the option profiles of an instance name.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn replace_named(tx: &mut Transaction<'_>, instance: InstanceId, named: Vec<Named>) -> Result<()> {
    tx.execute("DELETE FROM option_profile_list WHERE instance_id = $1", &[&instance])?;
    tx.stage(&last_per_key(named, |one| (one.profile_key.clone(), one.title.clone(), one.excluded)))?;
    tx.execute(
        "INSERT INTO option_profile_list (instance_id, profile_key, title, excluded)
         SELECT $1, profile_key, title, excluded FROM option_profile_list_batch WHERE true",
        &[&instance],
    )?;
    Ok(())
}

record! {
    struct Listing {
        title: String,
        excluded: bool,
        told: bool,
    }
}

/// Whether a rescan with an option profile of an instance would look for a vulnerability. A list that was never imported, or
/// whose content the scanner did not tell, leaves it open.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn tests(tx: &mut Transaction<'_>, instance: InstanceId, profile_key: &str, qid: i64) -> Result<Tests> {
    Ok(untested(tx, instance, profile_key, &[qid])?.pop().map_or(Tests::Yes, |(_, tests)| tests))
}

/// The same for several vulnerabilities: those that the profile would not look for, and those of which that cannot be told, in
/// order; what it looks for is absent.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn untested(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    profile_key: &str,
    qids: &[i64],
) -> Result<Vec<(i64, Tests)>> {
    let qids: Vec<i64> = qids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let complete: Option<(bool,)> = tx.optional(
        "SELECT complete FROM option_profile WHERE instance_id = $1 AND key = $2",
        &[&instance, &profile_key],
    )?;
    let Some((complete,)) = complete else { return Ok(qids.into_iter().map(|qid| (qid, Tests::Unknown)).collect()) };
    // Lists of one title are one: a static and a dynamic one may share it.
    let named: Vec<Listing> = tx.all(
        "SELECT p.title, p.excluded,
             EXISTS (SELECT 1 FROM search_list l WHERE l.instance_id = p.instance_id AND l.title = p.title AND l.told) AS told
         FROM option_profile_list p WHERE p.instance_id = $1 AND p.profile_key = $2 ORDER BY p.title, p.excluded",
        &[&instance, &profile_key],
    )?;
    if named.is_empty() && complete {
        return Ok(Vec::new());
    }
    let held: Vec<(String, i64)> = tx.all(
        "SELECT DISTINCT l.title, q.qid FROM search_list l JOIN search_list_qid q ON q.list_id = l.id
         WHERE l.instance_id = $1 AND q.qid {in $3}
           AND EXISTS (SELECT 1 FROM option_profile_list p
                       WHERE p.instance_id = l.instance_id AND p.profile_key = $2 AND p.title = l.title)",
        &[&instance, &profile_key, &qids],
    )?;
    let held: BTreeSet<(String, i64)> = held.into_iter().collect();
    let judged = qids.into_iter().map(|qid| {
        let listed = named.iter().map(|one| Listed {
            title: one.title.clone(),
            excluded: one.excluded,
            holds: one.told.then(|| held.contains(&(one.title.clone(), qid))),
        });
        (qid, domain::search_list::tests(complete, &listed.collect::<Vec<_>>()))
    });
    Ok(judged.filter(|(_, tests)| *tests != Tests::Yes).collect())
}
