//! The status column, the lines of a report and what retention removes, on both engines; the status held to the domain.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::AssetScope;
use domain::asset::{Identity, Platform};
use domain::filter::{Context, parse};
use domain::id::{AssetId, InstanceId, JobId, RunId, TaskId, UserId, VulnerabilityId};
use domain::item::{State, Substate};
use domain::job::{Kind, Life, Status, Target};
use domain::progress::{self, Progress, Work};
use domain::score::Mitigation;
use domain::task;
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use store::items::ItemRow;
use store::jobs::{Draft, NewJob};
use store::list::{Query, page};
use store::tasks::many::{self, Change, NewEvent};
use store::{Transaction, assets, items, jobs, report, retention, tasks, vulnerabilities};
use testkit::both_engines;
use uuid::Uuid;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// What everything hangs on: an account and an integration.
fn ground(tx: &mut Transaction<'_>) -> store::Result<InstanceId> {
    tx.execute(
        "INSERT INTO account (id, name, full_name, email, password_hash, password_temporary, roles, active, version,
             created_at, changed_at)
         VALUES (1, 'ada', '', '', '', $1, '', $1, 1, $2, $2)",
        &[&true, &at(0)],
    )?;
    store::instances::for_files(tx, "users/test", "Files", "qualys", at(0))
}

fn vulnerability(tx: &mut Transaction<'_>, qid: i64) -> store::Result<VulnerabilityId> {
    tx.insert(
        "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
             impact, solution, disabled, placeholder, digest, run_id)
         VALUES ('qualys', $1, $2, '', 'vulnerability', 1, '', '', $3, '', '', '', $3, $3, $4, 1) RETURNING id",
        &[&qid.to_string(), &qid, &false, &vec![0_u8]],
    )
}

fn asset(tx: &mut Transaction<'_>, name: &str) -> store::Result<AssetId> {
    let identity = Identity { machine_id: Some(name.to_owned()), ..Identity::default() };
    store::agents::create_asset(tx, name, Platform::Linux, "Debian", "10.0.0.1", &identity, at(0))
}

fn entry(tx: &mut Transaction<'_>, name: &str) -> store::Result<i64> {
    tx.insert(
        "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
             body, current)
         VALUES ($1, 1, $1, $1, 'linux', 'mitigation', 'low', $2, '', $3, $2) RETURNING id",
        &[&name, &true, &vec![0_u8]],
    )
}

struct Item {
    number: i64,
    vulnerability: VulnerabilityId,
    asset: AssetId,
    state: State,
    substate: Substate,
    mitigation: Mitigation,
}

fn item(tx: &mut Transaction<'_>, instance: InstanceId, item: &Item) -> store::Result<()> {
    tx.execute(
        "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation, inherent,
             residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 90, 60, 'qds', '', 0, $8, $8, 1)",
        &[
            &item.number,
            &item.vulnerability,
            &item.asset,
            &instance,
            &item.state,
            &item.substate,
            &item.mitigation,
            &at(0),
        ],
    )?;
    Ok(())
}

fn begun(tx: &mut Transaction<'_>, job: JobId) -> store::Result<RunId> {
    let new = store::runs::NewRun { job, occurrence: None, cause: "enabled", does: "apply", asked_by: "ada" };
    store::runs::begin(tx, &new, at(0))
}

/// A job of this status for targets and one action per vulnerability.
fn job(
    tx: &mut Transaction<'_>,
    number: i64,
    status: Status,
    targets: &[Target],
    actions: &[(VulnerabilityId, i64)],
) -> store::Result<JobId> {
    let new = NewJob {
        number,
        kind: Kind::Mitigation,
        platform: Platform::Linux,
        origin: "elimination".to_owned(),
        owner: UserId(1),
    };
    let (title, schedule) = (format!("job {number}"), "\"OnDemand\"".to_owned());
    let draft = Draft { title, schedule, ..testkit::jobs::draft() };
    let id = jobs::create(tx, &new, &draft, at(0))?;
    jobs::set_targets(tx, id, targets)?;
    jobs::set_actions(tx, id, actions)?;
    let life = Life { status, ..jobs::read(tx, id)?.life() };
    jobs::set_life(tx, id, life, at(0))?;
    Ok(id)
}

fn task(
    tx: &mut Transaction<'_>,
    job: JobId,
    run: RunId,
    asset: AssetId,
    entry: i64,
    state: task::State,
) -> store::Result<(TaskId, Uuid)> {
    let uuid = Uuid::now_v7();
    let new = tasks::NewTask {
        uuid,
        run_id: run,
        job_id: job,
        asset_id: asset,
        agent_key: None,
        entry_key: entry,
        wave: 1,
        kind: "apply".to_owned(),
        due_at: at(0),
        zone: String::new(),
        window_end: None,
        start_by: None,
    };
    tasks::create(tx, &[new], at(0))?;
    let id = tasks::by_uuid(tx, uuid)?.unwrap().id;
    tasks::save_life(tx, id, task::Life { state, ..task::Life::new() }, at(1))?;
    Ok((id, uuid))
}

const STATES: [(State, Substate); 8] = [
    (State::Open, Substate::None),
    (State::UnderInvestigation, Substate::None),
    (State::AwaitingImplementation, Substate::None),
    (State::Resolved, Substate::None),
    (State::Resolved, Substate::AwaitingScan),
    (State::Closed, Substate::Fixed),
    (State::Closed, Substate::Stale),
    (State::Closed, Substate::None),
];
const MITIGATIONS: [Mitigation; 4] =
    [Mitigation::None, Mitigation::Partial, Mitigation::Mitigated, Mitigation::Drifted];

/// An item and the jobs about it: status, whether the action is another vulnerability's, the state of the task if any.
type Scene = (usize, usize, Vec<(usize, bool, Option<usize>)>);

fn scene() -> impl Strategy<Value = Scene> {
    let job = (0..Status::ALL.len(), prop::bool::weighted(0.2), prop::option::weighted(0.8, 0..task::State::ALL.len()));
    (0..STATES.len(), 0..MITIGATIONS.len(), prop::collection::vec(job, 0..3))
}

/// Build a scene on an asset of its own; gives its vulnerability, what its status has to be and which job is the last.
fn build(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    at_number: i64,
    (state, mitigation, about): &Scene,
) -> store::Result<(Progress, Option<i64>)> {
    let name = format!("host-{at_number}");
    let host = asset(tx, &name)?;
    let (own, other) = (vulnerability(tx, at_number * 10)?, vulnerability(tx, at_number * 10 + 1)?);
    let (state, substate) = STATES[*state];
    let mitigation = MITIGATIONS[*mitigation];
    item(tx, instance, &Item { number: at_number, vulnerability: own, asset: host, state, substate, mitigation })?;
    let (mut states, mut last) = (Vec::new(), None);
    for (nth, (status, foreign, task_state)) in (0..).zip(about) {
        let (number, status) = (at_number * 10 + nth, Status::ALL[*status]);
        let wanted = entry(tx, &format!("e-{number}"))?;
        let target = |vulnerability| Target { asset: host, vulnerability };
        // What is done about another vulnerability of the same asset says nothing of this one.
        let about = if *foreign { other } else { own };
        let id = job(tx, number, status, &[target(own), target(other)], &[(about, wanted)])?;
        if status != Status::Draft {
            last = Some(number);
        }
        if let Some(task_state) = task_state {
            let run = begun(tx, id)?;
            let task_state = task::State::ALL[*task_state];
            task(tx, id, run, host, wanted, task_state)?;
            if status == Status::Enabled && !foreign {
                states.push(task_state);
            }
        }
    }
    Ok((progress::of(state, substate, mitigation, Work::of(states)), last))
}

fn statuses(tx: &mut Transaction<'_>, q: &str) -> BTreeMap<i64, (Progress, Option<i64>)> {
    let mut query = Query::new(parse(q, &items::FIELDS).unwrap(), Context::at(at(10)));
    query.limit = 500;
    let rows = page::<ItemRow>(tx, &items::LIST, None, &query).unwrap().rows;
    rows.into_iter().map(|row| (row.number, (row.status, row.last_job))).collect()
}

both_engines!(s1_25_the_status_of_items_is_what_the_domain_says, |db| {
    let instance = db.write_blocking(ground).unwrap();
    let scenes = prop::collection::vec(scene(), 80..81);
    let mut runner = TestRunner::new(Config { cases: 2, failure_persistence: None, ..Config::default() });
    let next = std::cell::Cell::new(1);
    runner
        .run(&scenes, |scenes| {
            let first = next.get();
            next.set(first + i64::try_from(scenes.len()).unwrap());
            let built = db.write_blocking(move |tx| {
                (first..)
                    .zip(&scenes)
                    .map(|(number, scene)| Ok((number, build(tx, instance, number, scene)?)))
                    .collect::<store::Result<BTreeMap<_, _>>>()
            });
            let expected = built.unwrap();
            let known = expected.clone();
            let found = db
                .read_blocking(move |tx| {
                    let all = statuses(tx, "");
                    for progress in Progress::ALL {
                        let wanted: Vec<_> =
                            all.iter().filter(|(_, (is, _))| *is == progress).map(|(n, _)| *n).collect();
                        let filtered: Vec<_> =
                            statuses(tx, &format!("status:{}", progress.as_str())).into_keys().collect();
                        assert_eq!(filtered, wanted, "the list filtered by {}", progress.as_str());
                        // One item each: the vulnerability stands as its item does, while that is not closed.
                        let query = Query {
                            limit: 500,
                            ..Query::new(
                                parse(&format!("status:{}", progress.as_str()), &vulnerabilities::FIELDS).unwrap(),
                                Context::at(at(10)),
                            )
                        };
                        let clip = vulnerabilities::clip(&AssetScope::All);
                        let rows = page::<vulnerabilities::VulnerabilityRow>(tx, &vulnerabilities::LIST, clip, &query);
                        for row in rows.unwrap().rows {
                            assert_eq!(all[&(row.qid / 10)].0, progress, "QID {}", row.qid);
                        }
                    }
                    let rows: Vec<(VulnerabilityId, i64)> =
                        tx.all("SELECT vulnerability_id, number FROM vulnerable_item", &[])?;
                    let ids: Vec<VulnerabilityId> = rows.iter().map(|(id, _)| *id).collect();
                    let found = vulnerabilities::found(tx, &ids, &AssetScope::All)?;
                    for (id, number) in rows {
                        let (status, last) = all[&number];
                        assert_eq!(found[&id].status, Some(status), "the vulnerability of item {number}");
                        assert_eq!(found[&id].last_job, last, "the last job of item {number}");
                    }
                    Ok(all)
                })
                .unwrap();
            for (number, expected) in known {
                prop_assert_eq!(found[&number], expected, "item {}", number);
            }
            Ok(())
        })
        .unwrap();
});

both_engines!(a_report_has_a_line_for_each_asset_vulnerability_and_mitigation_in_the_scope, |db| {
    let (job, run, again) = db
        .write_blocking(|tx| {
            let instance = ground(tx)?;
            let (one, two) = (asset(tx, "one")?, asset(tx, "two")?);
            assets::edit(tx, "users/test", one, None, Some(&["prod".to_owned()]), at(0))?;
            let (first, second) = (vulnerability(tx, 1)?, vulnerability(tx, 2)?);
            let (a, b) = (entry(tx, "a")?, entry(tx, "b")?);
            for (number, vulnerability, asset) in [(1, first, one), (2, first, two), (3, second, one)] {
                let (state, substate, mitigation) = (State::Open, Substate::None, Mitigation::Partial);
                item(tx, instance, &Item { number, vulnerability, asset, state, substate, mitigation })?;
            }
            let target = |asset, vulnerability| Target { asset, vulnerability };
            let targets = [target(one, first), target(one, second), target(two, first)];
            let id = job(tx, 1, Status::Enabled, &targets, &[(first, a), (first, b), (second, b)])?;
            let run = begun(tx, id)?;
            task(tx, id, run, one, a, task::State::Succeeded)?;
            task(tx, id, run, one, b, task::State::Failed)?;
            let retry =
                store::runs::NewRun { job: id, occurrence: None, cause: "retry", does: "apply", asked_by: "ada" };
            let again = store::runs::begin(tx, &retry, at(1))?;
            task(tx, id, again, one, b, task::State::Succeeded)?;
            Ok((id, run, again))
        })
        .unwrap();
    db.read_blocking(move |tx| {
        let told = |lines: &[report::Line]| -> Vec<(String, i64, String, Option<i64>)> {
            lines.iter().map(|line| (line.asset.clone(), line.qid, line.entry.clone(), line.code)).collect()
        };
        let line = |asset: &str, qid, entry: &str, code| (asset.to_owned(), qid, entry.to_owned(), code);
        let all = [
            line("one", 1, "a", Some(0)),
            line("one", 1, "b", Some(1)),
            line("one", 2, "b", Some(1)),
            line("two", 1, "a", None),
            line("two", 1, "b", None),
        ];
        // What a run has no task for was no part of it.
        let all = &all[..3];
        let lines = report::lines(tx, job, &[run], &AssetScope::All, None, 100)?;
        assert_eq!(told(&lines), all);
        assert_eq!((lines[0].inherent, lines[0].residual), (Some(90), Some(60)));
        // Page after page the same.
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = report::lines(tx, job, &[run], &AssetScope::All, after, 2)?;
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            pages.extend(told(&page));
        }
        assert_eq!(pages, all);
        let prod = AssetScope::Tags(["prod".to_owned()].into());
        assert_eq!(told(&report::lines(tx, job, &[run], &prod, None, 100)?), all[..3]);
        let none = AssetScope::Tags(["other".to_owned()].into());
        assert_eq!(told(&report::lines(tx, job, &[run], &none, None, 100)?), []);
        let planned = report::lines(tx, job, &[], &AssetScope::All, None, 100)?;
        assert!(planned.len() == 5 && planned.iter().all(|line| line.task.is_none()), "before the first run: the plan");
        // A retry has tasks for what failed alone; the rest stands as it was.
        let chain = report::chain(tx, again)?;
        assert_eq!((chain.as_slice(), report::chain(tx, run)?), ([again, run].as_slice(), vec![run]));
        let lines = report::lines(tx, job, &chain, &AssetScope::All, None, 100)?;
        assert_eq!(lines.iter().map(|line| line.code).collect::<Vec<_>>(), [Some(0); 3]);
        // Evidence is of the tasks that the lines tell of, no more and no fewer.
        let of = |tx: &mut Transaction<'_>, runs: &[RunId], within| {
            let said = report::evidence(tx, runs, within)?;
            store::Result::Ok(said.into_iter().map(|(task, ..)| task).collect::<BTreeSet<Uuid>>())
        };
        let told = |lines: &[report::Line]| lines.iter().filter_map(|line| line.task).collect::<BTreeSet<Uuid>>();
        assert_eq!((of(tx, &chain, &AssetScope::All)?, told(&lines).len()), (told(&lines), 2));
        let first = report::lines(tx, job, &[run], &AssetScope::All, None, 100)?;
        assert_eq!(of(tx, &[run], &AssetScope::All)?, told(&first));
        assert_ne!(told(&first), told(&lines), "the retry replaces what failed");
        assert_eq!((of(tx, &chain, &none)?, of(tx, &[], &AssetScope::All)?), (BTreeSet::new(), BTreeSet::new()));
        let one = lines[0].asset_id;
        let states = |tx: &mut Transaction<'_>, runs: &[RunId]| {
            let mut states = report::states(tx, runs, &[one])?.remove(&one).unwrap_or_default();
            states.sort_by_key(|state| state.as_str());
            store::Result::Ok(states)
        };
        assert_eq!(states(tx, &[run])?, [task::State::Failed, task::State::Succeeded]);
        assert_eq!(states(tx, &chain)?, [task::State::Succeeded; 2]);
        assert_eq!(states(tx, &[])?, []);
        let runs = report::runs(tx, job, &AssetScope::All, 10)?;
        assert_eq!(
            runs.iter().map(|run| (run.ordinal, run.total, run.succeeded, run.failed)).collect::<Vec<_>>(),
            [(2, 1, 1, 0), (1, 2, 1, 1)]
        );
        assert_eq!(report::runs(tx, job, &none, 10)?[0].total, 0, "nothing outside the scope is counted");
        assert_eq!(store::scores::of_job(tx, job, &prod)?.len(), 2);
        Ok(())
    })
    .unwrap();
});

both_engines!(a_rollback_of_two_revisions_tells_of_each_where_it_was_put, |db| {
    let (job, run, newer) = db
        .write_blocking(|tx| {
            let instance = ground(tx)?;
            let (one, two, weak) = (asset(tx, "one")?, asset(tx, "two")?, vulnerability(tx, 1)?);
            let (older, newer) = (entry(tx, "a")?, entry(tx, "a2")?);
            tx.execute("UPDATE catalogue_entry SET current = $2 WHERE id = $1", &[&older, &false])?;
            tx.execute("UPDATE catalogue_entry SET entry = 'a', revision = 2 WHERE id = $1", &[&newer])?;
            for (number, asset, entry) in [(1, one, older), (2, two, newer)] {
                let (state, substate, mitigation) = (State::Open, Substate::None, Mitigation::Partial);
                item(tx, instance, &Item { number, vulnerability: weak, asset, state, substate, mitigation })?;
                tx.execute(
                    "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points) VALUES ($1, '', 1, 'partial', 1)",
                    &[&entry],
                )?;
            }
            let target = |asset| Target { asset, vulnerability: weak };
            let id = job(tx, 1, Status::Enabled, &[target(one), target(two)], &[(weak, older), (weak, newer)])?;
            tx.execute("UPDATE job SET kind = 'rollback' WHERE id = $1", &[&id])?;
            store::controls::rollback::keep_to(tx, id, [(one, older), (two, newer)])?;
            let run = begun(tx, id)?;
            for (asset, entry) in [(one, older), (two, newer)] {
                task(tx, id, run, asset, entry, task::State::Succeeded)?;
            }
            tx.execute("UPDATE task SET kind = 'revert'", &[])?;
            Ok((id, run, (weak, newer)))
        })
        .unwrap();
    db.write_blocking(move |tx| {
        let told = |lines: Vec<report::Line>| -> Vec<(String, i64, Option<i64>)> {
            lines.into_iter().map(|line| (line.asset, line.revision, line.code)).collect()
        };
        let line = |asset: &str, revision, code| (asset.to_owned(), revision, code);
        let all = &AssetScope::All;
        let planned = told(report::lines(tx, job, &[], all, None, 100)?);
        assert_eq!(planned, [line("one", 1, None), line("two", 2, None)]);
        let done = told(report::lines(tx, job, &[run], all, None, 100)?);
        assert_eq!(done, [line("one", 1, Some(0)), line("two", 2, Some(0))]);
        assert_eq!(told(report::left(tx, job, &[run], all, None, 100)?), []);
        assert_eq!(report::evidence(tx, &[run], all)?.len(), 2);
        // A revision that is taken out stays in what was done.
        jobs::set_actions(tx, job, &[newer])?;
        assert_eq!(told(report::lines(tx, job, &[run], all, None, 100)?), [line("two", 2, Some(0))]);
        assert_eq!(told(report::left(tx, job, &[run], all, None, 100)?), [line("one", 1, Some(0))]);
        Ok(())
    })
    .unwrap();
});

both_engines!(retention_removes_evidence_of_ended_runs_and_keeps_results_and_digests, |db| {
    let (kept, gone) = db
        .write_blocking(|tx| {
            ground(tx)?;
            let (host, weak, action) = (asset(tx, "one")?, vulnerability(tx, 1)?, entry(tx, "a")?);
            let mut made = Vec::new();
            for (number, ended) in [(1, false), (2, true)] {
                let target = Target { asset: host, vulnerability: weak };
                let id = job(tx, number, Status::Enabled, &[target], &[(weak, action)])?;
                let run = begun(tx, id)?;
                let (task, uuid) = task(tx, id, run, host, action, task::State::Succeeded)?;
                tasks::save_result(tx, task, "done", None, "{}")?;
                let order = Some(("signed".to_owned(), at(5)));
                let change = Change { order, ..Change::of(&tasks::read(tx, task)?) };
                many::save(tx, &[change], at(1))?;
                let event = NewEvent { task_id: task, epoch: 1, n: 1, body: "{\"n\":1}".to_owned() };
                many::keep_events(tx, &[event], at(1))?;
                assert_eq!(many::kept_events(tx, &[task])?, [(task, 1, 1)]);
                if ended {
                    store::runs::end(tx, run, "COMPLETED", at(2))?;
                }
                made.push((task, uuid, run));
            }
            assert_eq!(retention::due(tx, at(1), 10)?, [], "it ended at that instant, not before");
            let due = retention::due(tx, at(2), 10)?;
            assert_eq!(due, [made[1].0], "a run that is open keeps everything");
            assert_eq!(retention::said(tx, &due)?, [(made[1].0, "{\"n\":1}".to_owned())]);
            assert_eq!(retention::forget(tx, &[(due[0], "first".to_owned())])?, 1);
            assert_eq!(retention::due(tx, at(2), 10)?, [], "nothing is left to remove");
            retention::forget(tx, &[(due[0], "second".to_owned())])?;
            Ok((made[0], made[1]))
        })
        .unwrap();
    db.read_blocking(move |tx| {
        let row = tasks::read(tx, gone.0)?;
        assert_eq!((row.code, row.message.as_str()), (Some(0), "done"), "the result stays");
        assert_eq!((row.report.as_str(), row.order_envelope), ("", None));
        assert_eq!(report::evidence(tx, &[gone.2], &AssetScope::All)?, [(gone.1, "first".to_owned(), None)]);
        let other = tasks::read(tx, kept.0)?;
        assert_eq!((other.report.as_str(), other.order_envelope.as_deref()), ("{}", Some("signed")));
        Ok(())
    })
    .unwrap();
});
