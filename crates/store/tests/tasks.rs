//! The tasks of a run for people: every one of them is on some page, counts are those of all of them, and the words they are
//! asked for by say what `domain::task::Group` says.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::AssetScope;
use domain::asset::{Identity, Platform};
use domain::filter::{Context, Filter, Kind as FieldKind, parse};
use domain::id::{RunId, UserId};
use domain::job::Kind;
use domain::task::{Group, State};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use store::jobs::NewJob;
use store::list::{LIMIT_MAX, Order, Page, Query, page};
use store::tasks::NewTask;
use store::tasks::list::{self, TaskLine};
use store::{Transaction, agents, jobs, runs, tasks};
use testkit::both_engines;
use uuid::Uuid;

const ASSETS: i64 = 102;
const ENTRIES: i64 = 100;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

/// A run with a task for each of so many entries on each of so many assets; the first asset has the tag `lab`. State and
/// instants of a task follow from its key.
fn run(tx: &mut Transaction<'_>, assets: i64, entries: i64) -> store::Result<RunId> {
    let draft = testkit::jobs::draft();
    let (kind, platform, origin, owner) = (Kind::Mitigation, Platform::Linux, "free".to_owned(), UserId(1));
    let job = jobs::create(tx, &NewJob { number: 1, kind, platform, origin, owner }, &draft, at(0))?;
    let run =
        runs::begin(tx, &runs::NewRun { job, occurrence: None, cause: "enabled", does: "apply", asked_by: "" }, at(0))?;
    let mut keys = Vec::new();
    for n in 0..entries {
        keys.push(tx.insert::<i64>(
            "INSERT INTO catalogue_entry (entry, revision, digest, title, platform, implication, risk, reversible, needs,
                 body, current)
             VALUES ($3, 1, $3, '', 'linux', 'mitigation', 'low', $1, '', $2, $1) RETURNING id",
            &[&true, &vec![0_u8], &format!("entry-{n:03}")],
        )?);
    }
    let mut made = Vec::new();
    for n in 0..assets {
        let name = format!("host-{n:03}");
        let identity = Identity { machine_id: Some(name.clone()), ..Identity::default() };
        let asset = agents::create_asset(tx, &name, Platform::Linux, "", "10.0.0.1", &identity, at(0))?;
        if n == 0 {
            store::assets::edit(tx, "users/test", asset, None, Some(&["lab".to_owned()]), at(0))?;
        }
        made.extend(keys.iter().map(|key| NewTask {
            uuid: Uuid::now_v7(),
            run_id: run,
            job_id: job,
            asset_id: asset,
            agent_key: None,
            entry_key: *key,
            wave: 1,
            kind: "apply".to_owned(),
            due_at: at(0),
            zone: String::new(),
            window_end: None,
            start_by: None,
        }));
    }
    for batch in made.chunks(5_000) {
        tasks::create(tx, batch, at(0))?;
    }
    let all = i64::try_from(State::ALL.len()).unwrap();
    for (n, state) in (0_i64..).zip(State::ALL) {
        let code = state.code().map(i64::from);
        tx.execute(
            "UPDATE task SET state = $2, code = $3, started_at = CASE WHEN $4 THEN $5 + id * 1000 ELSE NULL END,
                 ended_at = CASE WHEN $6 THEN $5 + id * 1500 ELSE NULL END
             WHERE id % $7 = $1",
            &[&n, &state, &code, &(state.ended() || state == State::Running), &at(0), &state.ended(), &all],
        )?;
    }
    Ok(run)
}

fn whole(tx: &mut Transaction<'_>, run: RunId, within: &AssetScope, q: &str) -> Vec<TaskLine> {
    let filter = if q.is_empty() { Filter::Everything } else { parse(q, &list::FIELDS).unwrap() };
    let mut query = Query { order: Order::parse("asset"), limit: LIMIT_MAX, ..Query::new(filter, Context::at(at(0))) };
    let mut rows = Vec::new();
    loop {
        let Page { rows: found, next_cursor } =
            page::<TaskLine>(tx, &list::LIST, list::of_run(run, within), &query).unwrap();
        rows.extend(found);
        match next_cursor {
            Some(_) => query.cursor = next_cursor,
            None => return rows,
        }
    }
}

both_engines!(of_more_than_ten_thousand_tasks_every_one_is_on_a_page_and_counted, |db| {
    let made = db.write_blocking(|tx| run(tx, ASSETS, ENTRIES)).unwrap();
    db.read_blocking(move |tx| {
        let all = whole(tx, made, &AssetScope::All, "");
        assert_eq!(all.len(), 10_200);
        assert_eq!(all.iter().map(|task| task.id).collect::<BTreeSet<_>>().len(), 10_200, "each once");
        assert!(all.is_sorted_by_key(|task| (task.asset_name.clone(), task.id)));
        let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
        for task in &all {
            *expected.entry(task.state.as_str()).or_default() += 1;
        }
        let counted = list::states(tx, made, &AssetScope::All)?;
        assert_eq!(counted.iter().map(|(state, n)| (state.as_str(), *n)).collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(list::entries(tx, made, &AssetScope::All)?, ENTRIES);
        let last = whole(tx, made, &AssetScope::All, "asset:host-101");
        assert_eq!(last.len(), 100, "the last asset is found by its name");
        Ok(())
    })
    .unwrap();
});

both_engines!(tasks_are_found_by_group_and_within_a_scope, |db| {
    let made = db.write_blocking(|tx| run(tx, 3, 19)).unwrap();
    let lab = AssetScope::Tags(["lab".to_owned()].into());
    for (scope, assets) in [(AssetScope::All, 3_i64), (lab, 1), (AssetScope::Tags(BTreeSet::new()), 0)] {
        db.read_blocking(move |tx| {
            let counted = list::states(tx, made, &scope)?;
            assert_eq!(counted.iter().map(|(_, n)| n).sum::<i64>(), assets * 19, "{scope:?}");
            assert_eq!(list::entries(tx, made, &scope)?, assets.min(1) * 19, "{scope:?}");
            for group in Group::ALL {
                let found = whole(tx, made, &scope, &format!("is:{}", group.as_str()));
                assert!(found.iter().all(|task| Group::of(task.state) == group), "{group:?}");
                let wanted: i64 = counted.iter().filter(|(state, _)| Group::of(*state) == group).map(|(_, n)| n).sum();
                assert_eq!(i64::try_from(found.len()).unwrap(), wanted, "{group:?} in {scope:?}");
            }
            Ok(())
        })
        .unwrap();
    }
});

both_engines!(what_happened_last_in_a_run_is_among_what_is_read_of_it, |db| {
    let made = db.write_blocking(|tx| run(tx, 6, 19)).unwrap();
    db.read_blocking(move |tx| {
        let mut moments: Vec<Timestamp> = whole(tx, made, &AssetScope::All, "")
            .iter()
            .flat_map(|task| task.started_at.into_iter().chain(task.ended_at))
            .collect();
        moments.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        for most in [1_usize, 7, 30] {
            let read = list::newest(tx, made, &AssetScope::All, i64::try_from(most).unwrap())?;
            assert_eq!(read.len(), most);
            let mut seen: Vec<Timestamp> =
                read.iter().flat_map(|task| task.started_at.into_iter().chain(task.ended_at)).collect();
            seen.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
            assert_eq!(seen.get(..most), moments.get(..most), "the newest {most}");
        }
        Ok(())
    })
    .unwrap();
});

#[test]
fn the_words_of_the_list_are_the_states_and_the_flags_are_the_groups() {
    let states: BTreeSet<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    let field = list::FIELDS.fields.iter().find(|field| field.name == "state").unwrap();
    let FieldKind::Words(words) = field.kind else { panic!("a state is a word") };
    assert_eq!(words.iter().copied().collect::<BTreeSet<_>>(), states);
    assert_eq!(list::FIELDS.flags.len(), Group::ALL.len());
    for group in Group::ALL {
        assert_eq!(Group::parse(group.as_str()), Some(group));
        let flag = list::FIELDS.flags.iter().find(|flag| flag.name == group.as_str()).unwrap();
        let of = State::ALL.iter().filter(|state| Group::of(**state) == group).map(|state| state.as_str());
        assert_eq!(flag.words.iter().copied().collect::<BTreeSet<_>>(), of.collect(), "{group:?}");
    }
}
