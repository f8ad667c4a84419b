//! What follows jobs on many hosts: no limit on what is read at once hides what stands behind it, on both engines.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::AssetScope;
use domain::control::{REAPPLY_MAX, REAPPLY_WINDOW_SECONDS, Reason, Standing};
use domain::id::{AssetId, JobId, RunId, TaskId, UserId, VulnerabilityId};
use domain::job::Kind;
use domain::time::Timestamp;
use store::controls::after;
use store::jobs::{Draft, NewJob};
use store::proposals::{self, Fixed, NewProposal, PAGE};
use store::{Transaction, dry_runs, jobs, tasks};
use testkit::both_engines;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// So many assets, each with an item of one vulnerability and a control of ours in this state whose entry covers it.
fn hosts(tx: &mut Transaction<'_>, count: i64, state: &str) -> store::Result<(VulnerabilityId, i64)> {
    let instance: i64 = tx.insert(
        "INSERT INTO integration_instance (name, product, api_url, gateway_url, auth, username, secret, versions,
             tracking_hours, version, created_at, updated_at)
         VALUES ('S', 'qualys', '', '', 'files', '', $1, '', 1, 1, 0, 0) RETURNING id",
        &[&Vec::<u8>::new()],
    )?;
    let vulnerability: VulnerabilityId = tx.insert(
        "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
             impact, solution, disabled, placeholder, digest, run_id)
         VALUES ('qualys', '7', 7, '', '', 1, '', '', $1, '', '', '', $1, $1, $2, 1) RETURNING id",
        &[&false, &vec![0_u8]],
    )?;
    let entry: i64 = tx.insert(
        "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs, body,
             current)
         VALUES ('e', 1, 'd', '', 'linux', 'mitigation', 'low', $1, '', $2, $1) RETURNING id",
        &[&true, &vec![0_u8]],
    )?;
    tx.execute(
        "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points) VALUES ($1, '', 7, 'full', 9)",
        &[&entry],
    )?;
    tx.execute(
        "WITH RECURSIVE number (n) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n < $1)
         INSERT INTO asset (name, platform, os, ip, fqdn, netbios, network_id, criticality, zone, macs, created_at,
             last_seen_at)
         SELECT 'host-' || CAST(n AS TEXT), 'linux', '', '', '', '', '', 3, '', '', 0, 0 FROM number",
        &[&count],
    )?;
    tx.execute(
        "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation, inherent,
             residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
         SELECT a.id, $1, a.id, $2, 'open', '', 'none', 90, 90, 'qds', '', 0, 0, 0, 1 FROM asset a",
        &[&vulnerability, &instance],
    )?;
    tx.execute(
        "INSERT INTO control (asset_id, entry, entry_key, state, origin, since_at, checked_at, drifted_at)
         SELECT a.id, 'e', $1, $2, 'ours', 1, 1, 1 FROM asset a",
        &[&entry, &state],
    )?;
    Ok((vulnerability, entry))
}

fn job(tx: &mut Transaction<'_>, standing: bool) -> store::Result<JobId> {
    let draft = Draft { standing, ..testkit::jobs::draft() };
    let (kind, platform, origin) = (Kind::Mitigation, domain::asset::Platform::Linux, "free".to_owned());
    let job = jobs::create(tx, &NewJob { number: 1, kind, platform, origin, owner: UserId(1) }, &draft, at(0))?;
    tx.execute("UPDATE job SET status = 'ENABLED' WHERE id = $1", &[&job])?;
    Ok(job)
}

both_engines!(what_flaps_hides_nothing_that_can_be_put_back, |db| {
    const FLAPPING: i64 = 2_000;
    let write = db.write_blocking(|tx| {
        let (vulnerability, entry) = hosts(tx, FLAPPING + 1, "drifted")?;
        let job = job(tx, true)?;
        tx.execute(
            "INSERT INTO job_target (job_id, asset_id, vulnerability_id) SELECT $1, a.id, $2 FROM asset a",
            &[&job, &vulnerability],
        )?;
        jobs::set_actions(tx, job, &[(vulnerability, entry)])?;
        // All but the last were put back as often as allowed.
        tx.execute(
            "UPDATE control SET put_back_at = $1, put_back_from = $1, put_back_times = $2
             WHERE id < (SELECT max(id) FROM control)",
            &[&at(0), &REAPPLY_MAX],
        )?;
        Ok(())
    });
    write.unwrap();
    let given = |seconds| {
        let rows = db.read_blocking(move |tx| after::standing_drifted(tx, at(seconds))).unwrap();
        rows.into_iter().map(|row| row.put_back_times).collect::<Vec<_>>()
    };
    assert_eq!(given(3_600), [0], "the one that does not flap");
    assert_eq!(given(REAPPLY_WINDOW_SECONDS - 1), [0]);
    assert_eq!(given(REAPPLY_WINDOW_SECONDS).len(), 2_000, "another day, another try");
});

/// Propose everything that there is an occasion for, as the engine does; gives how many.
fn propose(tx: &mut Transaction<'_>) -> store::Result<usize> {
    let (mut last, mut made) = (0, 0);
    loop {
        let page = proposals::fixed(tx, last, PAGE)?;
        let Some(end) = page.last() else { return Ok(made) };
        last = end.control_id;
        for Fixed { control_id, asset_id, closed_at, ours_maybe, .. } in page {
            let (reason, basis, detail) = (Reason::Fixed, closed_at, "");
            let new = NewProposal { asset: asset_id, control: control_id, reason, basis, detail, ours_maybe };
            made += usize::from(proposals::propose(tx, &new, at(9))?);
        }
    }
}

both_engines!(every_fixed_is_proposed_however_many_there_are, |db| {
    const HOSTS: i64 = 5_001;
    db.write_blocking(|tx| hosts(tx, HOSTS, "effective").map(|_| ())).unwrap();
    let fix = |from: i64, seconds: i64| {
        db.write_blocking(move |tx| {
            tx.execute(
                "UPDATE vulnerable_item SET state = 'closed', substate = 'fixed', closed_at = $2 WHERE asset_id >= $1",
                &[&from, &at(seconds)],
            )
        })
        .unwrap();
    };
    let waits =
        || db.read_blocking(|tx| Ok((proposals::fixed(tx, 0, 9)?.len(), proposals::stale(tx, 0, 9)?.len()))).unwrap();
    assert_eq!(db.write_blocking(propose).unwrap(), 0, "nothing is fixed");
    fix(0, 1);
    assert_eq!(db.write_blocking(propose).unwrap(), 5_001);
    assert_eq!(waits(), (0, 0), "nothing of it is new, and nothing is without an occasion");

    // Dismissed, they take nobody's place: what is fixed anew is found behind them.
    let dismissed = db.write_blocking(|tx| {
        let ids: Vec<(i64,)> = tx.all("SELECT id FROM proposal ORDER BY id", &[])?;
        for (id,) in &ids {
            proposals::decide(tx, *id, Standing::Dismissed, "a", "no", None, at(10))?;
        }
        Ok(ids.len())
    });
    assert_eq!(dismissed.unwrap(), 5_001);
    assert_eq!(waits(), (0, 0));
    fix(HOSTS, 20);
    assert_eq!(db.write_blocking(propose).unwrap(), 1);

    // Its occasion goes and comes back: it is the same one.
    let state = |state: &'static str| {
        db.write_blocking(move |tx| tx.execute("UPDATE control SET state = $1", &[&state])).unwrap();
    };
    state("unknown");
    let stale = db.read_blocking(|tx| proposals::stale(tx, 0, 9)).unwrap();
    assert_eq!(stale.len(), 1);
    db.write_blocking(move |tx| proposals::obsolete(tx, &stale, at(30))).unwrap();
    state("effective");
    assert_eq!(db.write_blocking(propose).unwrap(), 1, "it opens again");
    assert_eq!(waits(), (0, 0));
});

both_engines!(a_dry_run_of_many_answers_is_read_and_given_up_whole, |db| {
    const HOSTS: i64 = 10_050;
    let run = db.write_blocking(|tx| {
        let (_, entry) = hosts(tx, HOSTS, "effective")?;
        let job = job(tx, false)?;
        let run = dry_runs::begin(tx, job, at(0))?;
        let made: Vec<tasks::NewTask> = tx
            .all::<(AssetId,)>("SELECT id FROM asset ORDER BY id", &[])?
            .into_iter()
            .map(|(asset_id,)| tasks::NewTask {
                uuid: uuid::Uuid::now_v7(),
                run_id: run,
                job_id: job,
                asset_id,
                agent_key: None,
                entry_key: entry,
                wave: 1,
                kind: "plan".to_owned(),
                due_at: at(0),
                zone: "UTC".to_owned(),
                window_end: None,
                start_by: None,
            })
            .collect();
        tasks::create(tx, &made, at(0))?;
        Ok(run)
    });
    let run: RunId = run.unwrap();
    let (mut answers, mut open) = (0, 0);
    let mut last = TaskId(0);
    loop {
        let page = db.read_blocking(move |tx| dry_runs::answers(tx, run, &AssetScope::All, last)).unwrap();
        let Some(end) = page.last() else { break };
        assert!(page.iter().all(|answer| answer.task_id > last));
        (last, answers) = (end.task_id, answers + page.len());
    }
    last = TaskId(0);
    loop {
        let page = db.read_blocking(move |tx| tasks::open_of_dry_run(tx, run, last)).unwrap();
        let Some(end) = page.last() else { break };
        (last, open) = (end.id, open + page.len());
    }
    assert_eq!((answers, open), (10_050, 10_050));
});
