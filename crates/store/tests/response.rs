//! Lists of jobs and agents name only what exists and show only what a scope reaches, on both engines.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::AssetScope;
use domain::asset::{Identity, Platform};
use domain::filter::{Context, Filter, parse};
use domain::id::{AgentKey, AssetId, RunId, UserId};
use domain::job::{Kind as JobKind, Target};
use domain::time::Timestamp;
use domain::window::Window;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use store::agents::{AgentLine, Heard, NewAgent};
use store::controls::after::{self, ControlLine};
use store::jobs::{Draft, JobLine, NewJob};
use store::list::{Clip, List, Query, page};
use store::proposals::{self, ProposalRow};
use store::tasks::list::{self as tasks, TaskLine};
use store::{Transaction, agents, assets, jobs};
use testkit::both_engines;
use uuid::Uuid;

fn every_field_and_order_is_answered<R: store::Record + Send + 'static>(
    db: &store::Database,
    list: &'static List,
    clip: impl Into<Clip>,
) {
    let clip = clip.into();
    assert_eq!(store::filter::mistakes(list.fields, list.columns), Vec::<String>::new());
    let context = || Context::at(Timestamp::from_micros(1));
    for field in list.fields.fields {
        let filter = parse(&format!("has:{}", field.name), list.fields).unwrap();
        let clip = clip.clone();
        db.read_blocking(move |tx| {
            Ok(page::<R>(tx, list, clip.clone(), &Query::new(filter.clone(), context())).map(|_| ()))
        })
        .unwrap()
        .unwrap();
    }
    for sort in list.sorts {
        let mut query = Query::new(Filter::Everything, context());
        query.order = store::list::Order { by: Some(sort.name.to_owned()), descending: true };
        let clip = clip.clone();
        db.read_blocking(move |tx| Ok(page::<R>(tx, list, clip.clone(), &query).map(|_| ()))).unwrap().unwrap();
    }
}

both_engines!(lists_of_jobs_and_agents, |db| {
    every_field_and_order_is_answered::<JobLine>(db, &jobs::LIST, jobs::clip(&AssetScope::All));
    let prod = AssetScope::Tags(["prod".to_owned()].into());
    every_field_and_order_is_answered::<JobLine>(db, &jobs::LIST, jobs::clip(&prod));
    every_field_and_order_is_answered::<AgentLine>(db, &agents::LIST, None);
    every_field_and_order_is_answered::<TaskLine>(db, &tasks::LIST, tasks::of_run(RunId(1), &prod));
    for scope in [AssetScope::All, prod] {
        every_field_and_order_is_answered::<ControlLine>(db, &after::LIST, after::visible(&scope));
        every_field_and_order_is_answered::<ProposalRow>(db, &proposals::LIST, proposals::visible(&scope));
        db.read_blocking(move |tx| proposals::waiting(tx, &scope, at())).unwrap();
    }
});

fn at() -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000)
}

/// An agent that sits on nothing yet.
fn agent(tx: &mut Transaction<'_>, name: &str) -> store::Result<AgentKey> {
    let text = String::new();
    let new = NewAgent {
        agent_id: Uuid::now_v7(),
        instance_id: Uuid::now_v7(),
        token_id: Uuid::now_v7(),
        public_key: name.to_owned(),
        hostname: name.to_owned(),
        zone: text.clone(),
        facts: text.clone(),
        version: text.clone(),
        mode: text,
    };
    agents::create(tx, &new, at())
}

/// An asset with these tags, the agent on it and a job for it.
fn host(tx: &mut Transaction<'_>, name: &str, tags: &[String], number: i64) -> store::Result<AssetId> {
    let identity = Identity { machine_id: Some(name.to_owned()), ..Identity::default() };
    let asset = agents::create_asset(tx, name, Platform::Linux, "Debian", "10.0.0.1", &identity, at())?;
    assets::edit(tx, "users/test", asset, None, Some(tags), at())?;
    let agent = agent(tx, name)?;
    agents::set_link(tx, agent, Some(asset), "linked", "", at())?;
    let vulnerability = tx.insert(
        "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable, threat,
             impact, solution, disabled, placeholder, digest, run_id)
         VALUES ('qualys', $1, $2, '', '', 1, '', '', $3, '', '', '', $3, $3, $4, 1) RETURNING id",
        &[&name, &number, &false, &vec![0_u8]],
    )?;
    let new = NewJob {
        number,
        kind: JobKind::Mitigation,
        platform: Platform::Linux,
        origin: "free".to_owned(),
        owner: UserId(1),
    };
    let draft = Draft { title: name.to_owned(), ..testkit::jobs::draft() };
    let job = jobs::create(tx, &new, &draft, at())?;
    jobs::set_targets(tx, job, &[Target { asset, vulnerability }])?;
    Ok(asset)
}

fn rows<R: store::Record>(tx: &mut Transaction<'_>, list: &'static List, clip: impl Into<Clip>) -> Vec<R> {
    page::<R>(tx, list, clip, &Query::new(Filter::Everything, Context::at(at()))).unwrap().rows
}

both_engines!(a_scope_clips_assets_agents_and_jobs_to_what_it_sees, |db| {
    let owned = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
    let hosts =
        [("none", owned(&[])), ("prod", owned(&["prod"])), ("both", owned(&["lab", "prod"])), ("lab", owned(&["lab"]))];
    let made = hosts.clone();
    db.write_blocking(move |tx| {
        tx.execute(
            "INSERT INTO account (id, name, full_name, email, password_hash, password_temporary, roles, active, version,
                 created_at, changed_at)
             VALUES (1, 'ada', '', '', '', $1, '', $1, 1, $2, $2)",
            &[&true, &at()],
        )?;
        for (number, (name, tags)) in (1..).zip(&made) {
            host(tx, name, tags, number)?;
        }
        let gone = jobs::by_number(tx, 4)?.unwrap();
        jobs::delete(tx, gone.id, at())
    })
    .unwrap();
    let tags = |tags: &[&str]| AssetScope::Tags(tags.iter().map(|&tag| tag.to_owned()).collect::<BTreeSet<_>>());
    for scope in [AssetScope::All, tags(&[]), tags(&["prod"]), tags(&["lab", "prod"]), tags(&["other"])] {
        let seen: BTreeSet<String> = hosts
            .iter()
            .filter(|(_, tags)| scope.sees(tags.iter().map(String::as_str)))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let asked = scope.clone();
        let (hosts, agents, jobs) = db
            .read_blocking(move |tx| {
                let hosts = rows::<assets::AssetRow>(tx, &assets::LIST, assets::visible(&asked));
                let agents = rows::<AgentLine>(tx, &agents::LIST, agents::visible(&asked));
                let jobs = rows::<JobLine>(tx, &jobs::LIST, jobs::clip(&asked));
                let names = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
                Ok((
                    names(hosts.into_iter().map(|row| row.name).collect()),
                    names(agents.into_iter().map(|row| row.hostname).collect()),
                    names(jobs.into_iter().map(|row| row.title).collect()),
                ))
            })
            .unwrap();
        assert_eq!(hosts, seen, "assets in {scope:?}");
        assert_eq!(agents, seen, "agents in {scope:?}");
        let kept: BTreeSet<String> = seen.into_iter().filter(|name| name != "lab").collect();
        assert_eq!(jobs, kept, "jobs in {scope:?}, the deleted one in none");
    }
});

// One job for two assets, of which a person may know one, with a task on each.
both_engines!(of_a_job_only_what_is_inside_the_scope_is_told, |db| {
    let job = db
        .write_blocking(|tx| {
            tx.execute(
                "INSERT INTO account (id, name, full_name, email, password_hash, password_temporary, roles, active, version,
                     created_at, changed_at)
                 VALUES (1, 'ada', '', '', '', $1, '', $1, 1, $2, $2)",
                &[&true, &at()],
            )?;
            let seen = host(tx, "seen", &["prod".to_owned()], 1)?;
            let hidden = host(tx, "hidden", &["secret".to_owned()], 2)?;
            let job = jobs::by_number(tx, 1)?.unwrap().id;
            let other = jobs::by_number(tx, 2)?.unwrap().id;
            let mut targets = jobs::targets(tx, job)?;
            targets.extend(jobs::targets(tx, other)?);
            jobs::set_targets(tx, job, &targets)?;
            jobs::delete(tx, other, at())?;
            let entry: i64 = tx.insert(
                "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
                     body, current)
                 VALUES ('e', 1, 'd', '', 'linux', 'mitigation', 'low', $1, '', $2, $1) RETURNING id",
                &[&true, &vec![0_u8]],
            )?;
            let run = store::runs::begin(
                tx,
                &store::runs::NewRun { job, occurrence: None, cause: "enabled", does: "apply", asked_by: "ada" },
                at(),
            )?;
            let task = |asset| store::tasks::NewTask {
                uuid: Uuid::now_v7(),
                run_id: run,
                job_id: job,
                asset_id: asset,
                agent_key: None,
                entry_key: entry,
                wave: 1,
                kind: "apply".to_owned(),
                due_at: at(),
                zone: String::new(),
                window_end: None,
                start_by: None,
            };
            store::tasks::create(tx, &[task(seen), task(hidden)], at())?;
            Ok(job)
        })
        .unwrap();
    let prod = AssetScope::Tags(["prod".to_owned()].into());
    for (scope, names, listed) in [
        (AssetScope::All, vec!["hidden", "seen"], 1),
        (prod, vec!["seen"], 0),
        (AssetScope::Tags([].into()), vec![], 0),
    ] {
        let many = i64::try_from(names.len()).unwrap();
        db.read_blocking(move |tx| {
            let assets: Vec<String> = jobs::assets(tx, job, &scope)?.into_iter().map(|asset| asset.name).collect();
            assert_eq!(assets, names, "assets in {scope:?}");
            let run = store::runs::shown(tx, job)?.unwrap().id;
            let tasks: BTreeSet<String> = rows::<TaskLine>(tx, &tasks::LIST, tasks::of_run(run, &scope))
                .into_iter()
                .map(|task| task.asset_name)
                .collect();
            let names: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(tasks, names, "tasks in {scope:?}");
            let states = store::tasks::states_of_job(tx, job, &scope)?;
            assert_eq!(states.iter().map(|(_, count)| count).sum::<i64>(), many, "counted tasks in {scope:?}");
            let lines = rows::<JobLine>(tx, &jobs::LIST, jobs::clip(&scope));
            assert_eq!(lines.len(), names.len().min(1));
            assert!(lines.iter().all(|line| line.assets == many && line.total == many && line.open == many));
            for (q, found) in [("asset:hidden", listed), ("qid:2", listed), ("asset:seen", names.len().min(1))] {
                let query = Query::new(parse(q, &jobs::FIELDS).unwrap(), Context::at(at()));
                let found_now = page::<JobLine>(tx, &jobs::LIST, jobs::clip(&scope), &query).unwrap().rows.len();
                assert_eq!(found_now, found, "{q} in {scope:?}");
            }
            Ok(())
        })
        .unwrap();
    }
});

both_engines!(a_scanner_uuid_that_another_machine_has_is_not_taken_over, |db| {
    let uuid = |word: &str| Identity { scanner_uuid: Some(word.to_owned()), ..Identity::default() };
    let make = |name: &'static str| {
        db.write_blocking(move |tx| {
            agents::create_asset(tx, name, Platform::Linux, "Debian", "10.0.0.1", &Identity::default(), at())
        })
        .unwrap()
    };
    let (first, second) = (make("first"), make("second"));
    for (asset, word, kept) in
        [(first, "u1", Some("u1")), (second, "u1", None), (second, "u2", Some("u2")), (second, "u3", Some("u2"))]
    {
        let claim = uuid(word);
        let found: Option<String> = db
            .write_blocking(move |tx| {
                agents::teach_asset(tx, asset, &claim, "")?;
                let (found,): (Option<String>,) = tx.one("SELECT scanner_uuid FROM asset WHERE id = $1", &[&asset])?;
                Ok(found)
            })
            .unwrap();
        assert_eq!(found.as_deref(), kept, "{word}");
    }
});

// What two servers that saw some of an agent's requests each write down one after the other is what the rule makes of it.
both_engines!(request_numbers_are_put_together_as_the_rule_says, |db| {
    let key = db.write_blocking(|tx| agent(tx, "one")).unwrap();
    let first = db.read_blocking(move |tx| agents::read(tx, key)).unwrap();
    assert_eq!(first.window(), Window::NEW);
    let number = prop_oneof![9 => 1_i64..200, 1 => 1_i64..2_000, 1 => Just(i64::MAX)];
    let step = (prop::collection::vec(number, 1..40), 0_i64..100);
    let history = prop::collection::vec(step, 1..6);
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let run = runner.run(&history, |history| {
        let key = db.write_blocking(|tx| agent(tx, &Uuid::now_v7().to_string())).unwrap();
        let (mut window, mut last) = (Window::NEW, at());
        for (numbers, later) in history {
            let used = numbers.iter().fold(Window::NEW, |window, number| window.take(*number).unwrap_or(window));
            let heard = Heard { agent: key, window: used, at: at().plus_seconds(later) };
            db.write_blocking(move |tx| agents::heard(tx, &[heard])).unwrap();
            (window, last) = (window.merge(used), last.max(heard.at));
            let row = db.read_blocking(move |tx| agents::read(tx, key)).unwrap();
            prop_assert_eq!((row.window(), row.last_seen_at), (window, last));
        }
        Ok(())
    });
    run.unwrap();
});
