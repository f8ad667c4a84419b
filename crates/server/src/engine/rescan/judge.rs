//! What came of it: verdicts on the targets of a launch, and the state of the request from its launches.

use domain::detection::{Presence, Status};
use domain::id::ScanId;
use domain::mail::{About, Facts, Kind};
use domain::number::{Number, Series};
use domain::rescan::{self, Child, Evidence, State, Verdict};
use domain::time::Timestamp;
use store::audit::{self, Entry};
use store::mails::{self, Notice};
use store::scans::{self, ChildRow, Judged, SightingRow};
use store::{Transaction, accounts};

/// Judge the targets of a launch by what the pull brought.
pub(super) fn targets(tx: &mut Transaction<'_>, child: &ChildRow, now: Timestamp) -> store::Result<()> {
    let launched_at = child.scanner_launched_at.or(child.launched_at).unwrap_or(now);
    let rows = scans::sightings(tx, child.id)?;
    let judged: Vec<Judged> = rows
        .chunk_by(|one, next| one.target_id == next.target_id)
        .filter_map(|rows| target(rows, launched_at))
        .collect();
    scans::judge(tx, child.number, &judged, now)
}

/// The verdict on one target, from all its detections.
fn target(rows: &[SightingRow], launched_at: Timestamp) -> Option<Judged> {
    let first = rows.first()?;
    let presence = |row: &SightingRow| row.status.as_deref().map(Status::presence);
    // What is there counts before what is gone: a fixed occurrence beside an open one fixes nothing.
    let highest = rows.iter().filter_map(presence).max().unwrap_or(Presence::Stale);
    let tested = |row: &SightingRow| row.last_test_at.or(row.last_found_at.max(row.last_fixed_at));
    let tested_at = rows.iter().filter(|row| presence(row) == Some(highest)).filter_map(tested).max();
    let verdict = rescan::judge(Evidence {
        launched_at,
        host_scanned_at: first.host_scanned_at,
        tested_at,
        presence: highest,
        mitigation: first.mitigation,
    });
    let reason = reason(verdict, first.host_scanned_at, tested_at);
    Some(Judged { target: first.target_id, item: first.item_id, verdict: verdict.as_str(), reason })
}

fn reason(verdict: Verdict, scanned: Option<Timestamp>, tested: Option<Timestamp>) -> String {
    let at = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| format!("at {at}"));
    match verdict {
        Verdict::Fixed => format!("tested {}, not found", at(tested)),
        Verdict::StillPresent => format!("tested {}, found again", at(tested)),
        Verdict::StillPresentMitigated => {
            format!("tested {}, found again; the mitigation in force keeps its score low", at(tested))
        }
        Verdict::NotReached => format!("the scan did not reach the host; it was last scanned {}", at(scanned)),
        Verdict::NotTested => {
            let tested = at(tested);
            format!("the host was scanned, but this was last tested {tested}; the option profile may leave it out")
        }
    }
}

/// Bring the state of a request up to date with its launches, and write its end into the audit.
pub(super) fn parent(tx: &mut Transaction<'_>, scan: ScanId, now: Timestamp) -> store::Result<()> {
    let (number, before) = scans::parent(tx, scan)?;
    let mut children = scans::children(tx, scan)?;
    children.retain(|child| !child.retried);
    let states: Vec<Child> = children.iter().map(|child| child.state).collect();
    let state = rescan::parent(&states);
    let ended = states.iter().all(|child| child.ended());
    let failed = children.iter().find(|child| child.state.ended() && child.state != Child::Complete);
    let message = failed.map(|child| child.message.clone()).unwrap_or_default();
    scans::set_state(tx, scan, state, &message, ended.then_some(now))?;
    if ended && before != state {
        note_end(tx, number, state, &children, now)?;
        mail_end(tx, scan, number, state, &children, now)?;
    }
    Ok(())
}

fn note_end(
    tx: &mut Transaction<'_>,
    number: i64,
    state: State,
    children: &[ChildRow],
    now: Timestamp,
) -> store::Result<()> {
    let complete = children.iter().filter(|child| child.state == Child::Complete).count();
    let detail = serde_json::json!({ "state": state, "complete": complete, "failed": children.len() - complete });
    let resource = format!("scans/{}", Number { series: Series::Scan, ordinal: number });
    audit::append(tx, &Entry { at: now, actor: "engine/rescan", action: "scan.end", resource: &resource, detail })?;
    Ok(())
}

/// Tell those who want to know that a request has ended. Each letter counts what its reader may see.
fn mail_end(
    tx: &mut Transaction<'_>,
    scan: ScanId,
    number: i64,
    state: State,
    children: &[ChildRow],
    now: Timestamp,
) -> store::Result<()> {
    let number = Number { series: Series::Scan, ordinal: number };
    let complete = children.iter().filter(|child| child.state == Child::Complete).count();
    for one in scans::requesters(tx, scan)?.into_iter().filter(|one| one.mail && one.left_at.is_none()) {
        let Some(account) = accounts::by_id(tx, one.account_id)? else { continue };
        if !account.active || account.email.is_empty() {
            continue;
        }
        let counts = scans::verdict_counts(tx, &[scan], &account.actor(None))?;
        let counted = counts.iter().map(|row| (Verdict::title(&row.verdict).to_owned(), row.count.to_string()));
        let mut rows = vec![("Scans".to_owned(), format!("{complete} of {} complete", children.len()))];
        rows.extend(counted);
        rows.extend(children.iter().filter(|child| !child.doubles.is_empty()).map(|child| {
            let all: Vec<&str> = [child.reference.as_str()].into_iter().chain(child.doubles()).collect();
            ("Launched twice".to_owned(), format!("{}: {}", child.name(), all.join(", ")))
        }));
        let words = state.as_str().replace('_', " ");
        let about = About {
            subject: format!("{number} has ended: {words}"),
            lead: format!("The rescan {number} has ended: {words}."),
            rows,
            page: format!("/scans/{number}"),
            why: "You asked for this rescan, and for mail when it ends.".to_owned(),
        };
        let facts = Facts { at: Some(now), about, ..Facts::default() };
        let key = format!("scans/{}/{}/{}", scan.0, now.micros(), account.id.0);
        let notice = Notice { key: &key, kind: Kind::Scan, job: None, facts: &facts };
        mails::put(tx, &notice, &[account.email], now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::{ItemId, SourceHostId};
    use domain::score::Mitigation;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::default().plus_seconds(seconds))
    }

    fn row(status: Option<&str>, tested: Option<Timestamp>) -> SightingRow {
        SightingRow {
            target_id: 1,
            item_id: ItemId(1),
            source_host_id: SourceHostId(1),
            mitigation: Mitigation::None,
            host_scanned_at: at(110),
            status: status.map(str::to_owned),
            last_test_at: tested,
            last_found_at: None,
            last_fixed_at: None,
        }
    }

    #[test]
    fn occurrences_on_one_host_are_judged_together() {
        let launched = Timestamp::default().plus_seconds(100);
        for (rows, verdict) in [
            (vec![row(Some("fixed"), at(110))], "fixed"),
            (vec![row(Some("fixed"), at(110)), row(Some("active"), at(110))], "still_present"),
            // The open one was not tested, the fixed one was: that says nothing of the open one.
            (vec![row(Some("fixed"), at(110)), row(Some("active"), at(50))], "not_tested"),
            (vec![row(Some("fixed"), at(50)), row(Some("fixed"), at(110))], "fixed"),
            (vec![row(None, None)], "not_tested"),
            (vec![SightingRow { host_scanned_at: at(50), ..row(Some("fixed"), at(110)) }], "not_reached"),
            (
                vec![SightingRow { mitigation: Mitigation::Mitigated, ..row(Some("new"), at(110)) }],
                "still_present_mitigated",
            ),
            (vec![SightingRow { last_fixed_at: at(110), ..row(Some("fixed"), None) }], "fixed"),
        ] {
            assert_eq!(target(&rows, launched).unwrap().verdict, verdict, "{rows:?}");
        }
    }
}
