//! Approvals and dry runs as bodies.

use super::number;
use crate::engine::approvals::Seen;
use crate::engine::catalogue::root;
use crate::engine::dry_run::{self, DryRun};
use crate::engine::jobs::Job;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::dry_run::Verdict;
use domain::number::Series;
use domain::score::Mitigation;
use domain::time::Timestamp;
use protocol::api::response as body;
use protocol::approval::MANIFEST_TYPE;
use protocol::root::Role;
use store::Transaction;
use store::approvals::{self, ApprovalRow};
use store::scores::Predicted;

/// Items of a dry run shown at most.
const ITEMS_MAX: usize = 500;

/// A request in a list.
#[must_use]
pub fn summary(row: &ApprovalRow) -> body::ApprovalSummary {
    body::ApprovalSummary {
        id: row.id,
        job: store::jobs::name(row.job_number),
        title: row.job_title.clone(),
        run: row.run_ordinal,
        state: row.state.as_str().to_owned(),
        signatures: row.signatures,
        needed: row.needed,
        class: row.class,
        entries: row.entries,
        machines: row.machines,
        requested_by: row.requested_by.clone(),
        requested_at: row.requested_at,
        valid_until: row.valid_until,
        decided_by: row.decided_by.clone(),
        decided_at: row.decided_at,
        reason: row.reason.clone(),
    }
}

/// A request in full.
///
/// # Errors
/// A failure of the store.
pub fn approval(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    seen: &Seen,
    now: Timestamp,
) -> Result<body::Approval, Error> {
    let (plan, manifest) = approvals::texts(tx, seen.row.id)?;
    let reason = seen.why_not(caller, now);
    let act = |act: &str| body::Act { act: act.to_owned(), allowed: reason.is_empty(), reason: reason.clone() };
    let keys =
        root(tx)?.map(|(root, _)| root.role(Role::Organisation).keyids.iter().map(ToString::to_string).collect());
    Ok(body::Approval {
        summary: summary(&seen.row),
        plan,
        manifest,
        manifest_digest: seen.row.manifest_digest.clone(),
        payload_type: MANIFEST_TYPE.to_owned(),
        keys: keys.unwrap_or_default(),
        acts: vec![act("approve"), act("reject")],
    })
}

/// The newest dry run of a job.
///
/// # Errors
/// A failure of the store.
pub fn dry_run(tx: &mut Transaction<'_>, caller: &Caller, job: &Job) -> Result<body::DryRunBody, Error> {
    let refused = dry_run::why_not(caller, job);
    Ok(body::DryRunBody { dry_run: dry_run::last(tx, job)?.map(said), refused })
}

fn said(run: DryRun) -> body::DryRun {
    let score = score(&run.items);
    let mut items: Vec<Predicted> = run
        .items
        .into_iter()
        .filter(|item| item.before != item.after || item.mitigation_before != item.mitigation)
        .collect();
    items.sort_by(|a, b| b.before.cmp(&a.before).then_with(|| a.number.cmp(&b.number)));
    items.truncate(ITEMS_MAX);
    let answers = run.answers.into_iter().map(|(row, verdict, report)| body::DryRunAnswer {
        asset: row.asset_id.0,
        asset_name: row.asset_name,
        entry: row.entry,
        title: row.title,
        verdict: verdict.as_str().to_owned(),
        message: row.message,
        changes: report
            .into_iter()
            .filter(|_| verdict == Verdict::Changes)
            .flat_map(|report| report.actions)
            .filter(|action| action.did == "planned")
            .map(|action| body::DryRunChange {
                kind: action.kind,
                target: action.target,
                before: action.before,
                after: action.after,
                diff: action.diff,
            })
            .collect(),
    });
    body::DryRun {
        started_at: run.run.started_at,
        ended_at: run.run.ended_at,
        outdated: run.outdated,
        answers: answers.collect(),
        score,
        items: items.into_iter().map(item).collect(),
    }
}

fn score(items: &[Predicted]) -> body::DryRunScore {
    let mitigated =
        |of: fn(&Predicted) -> Mitigation| items.iter().filter(|i| of(i) == Mitigation::Mitigated).count() as u64;
    body::DryRunScore {
        items: items.len() as u64,
        before: items.iter().map(|item| u64::from(item.before)).sum(),
        after: items.iter().map(|item| u64::from(item.after)).sum(),
        mitigated_before: mitigated(|item| item.mitigation_before),
        mitigated: mitigated(|item| item.mitigation),
    }
}

fn item(item: Predicted) -> body::DryRunItem {
    body::DryRunItem {
        number: number(Series::Item, item.number),
        asset_name: item.asset_name,
        qid: item.qid,
        title: item.title,
        before: item.before,
        after: item.after,
        mitigation_before: item.mitigation_before.as_str().to_owned(),
        mitigation: item.mitigation.as_str().to_owned(),
    }
}
