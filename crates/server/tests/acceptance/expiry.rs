//! Rollbacks at expiry: one job for all that expires together, which goes about its hosts as their job did, and whose failures
//! people hear of; and what is said of a Fixed that our own mitigation may explain.

use crate::hands::{self, in_place, over, patch, ready, report, running, said};
use crate::rollback::crowd;
use crate::world::{World, admin_browser, gist};
use domain::control::Afterwards;
use domain::id::JobId;
use domain::mitigation::{ControlState, Origin};
use domain::schedule::{Ends, Recurring, Rule, Schedule, Zone};
use domain::time::Timestamp;
use protocol::agent::Outcome;
use serde_json::{Value, json};
use server::engine::after;
use testkit::both_servers;

const DAY: i64 = 86_400;

async fn look(world: &World) {
    after::look(world.server.app()).await.unwrap();
}

fn ordinal(number: &str) -> i64 {
    number.trim_start_matches("MJ").parse().unwrap()
}

/// A number that a statement gives.
async fn count(world: &World, sql: &'static str) -> i64 {
    world.server.app().database.read(move |tx| tx.scalar::<i64>(sql, &[])).await.unwrap()
}

/// What mails about expiry were caused by, oldest first.
async fn told(world: &World) -> Vec<String> {
    let read = world
        .server
        .app()
        .database
        .read(|tx| tx.all::<(String,)>("SELECT facts FROM mail_notice WHERE kind = 'expired' ORDER BY id", &[]));
    read.await.unwrap().into_iter().map(|(facts,)| facts).collect()
}

/// The rollback jobs: number, status, schedule, recipients, rollout.
async fn rollbacks(world: &World) -> Vec<(String, String, String, String, String)> {
    let read = world.server.app().database.read(|tx| {
        tx.all::<(i64, String, String, String, String)>(
            "SELECT number, status, schedule, recipients, rollout FROM job WHERE kind = 'rollback' ORDER BY number",
            &[],
        )
    });
    let rows = read.await.unwrap().into_iter();
    rows.map(|(number, a, b, c, d)| (store::jobs::name(number), a, b, c, d)).collect()
}

/// A job that is in place on all of its assets; gives its number and them.
async fn done(world: &World) -> (String, Vec<i64>) {
    let (number, _, all) = running(world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &number).await;
    (number, all)
}

/// What the job put in place expires in so many seconds, one control after the other, and is rolled back by itself.
async fn expires(world: &World, number: &str, seconds: &[i64]) {
    let (number, seconds, now) = (ordinal(number), seconds.to_vec(), world.server.app().clock.now());
    let write = world.server.app().database.write(move |tx| {
        let job: JobId = tx.scalar("SELECT id FROM job WHERE number = $1", &[&number])?;
        let controls: Vec<(i64,)> = tx.all("SELECT id FROM control WHERE origin = 'ours' ORDER BY id", &[])?;
        for ((control,), seconds) in controls.into_iter().zip(seconds.iter().cycle()) {
            let expires = now.plus_seconds(*seconds);
            tx.execute(
                "UPDATE control SET expires_at = $2, expiry_job_id = $3 WHERE id = $1",
                &[&control, &expires, &job],
            )?;
        }
        let after = Afterwards { roll_back: true, ..Afterwards::default() };
        store::controls::after::set_of_job(tx, job, &after)?;
        tx.execute("UPDATE job SET recipients = '[\"ann@example.org\"]' WHERE id = $1", &[&job]).map(|_| ())
    });
    write.await.unwrap();
}

both_servers!(what_expires_together_is_rolled_back_in_one_job_as_its_job_was_rolled_out, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, all) = done(&world).await;
    crowd(&world, &number, 250).await;
    expires(&world, &number, &[60]).await;
    let rollout = r#"{"waves":["1"],"apart":{"tag":"cluster:","at_most":1}}"#;
    let of = ordinal(&number);
    let write = server.app().database.write(move |tx| {
        let job: JobId = tx.scalar("SELECT id FROM job WHERE number = $1", &[&of])?;
        store::rollouts::set_policy(tx, job, rollout)
    });
    write.await.unwrap();
    server.clock.advance(61);
    look(&world).await;
    look(&world).await;

    let made = rollbacks(&world).await;
    assert_eq!(made.len(), 1, "{made:?}");
    let (name, status, schedule, recipients, policy) = &made[0];
    assert_eq!((status.as_str(), recipients.as_str(), policy.as_str()), ("ENABLED", r#"["ann@example.org"]"#, rollout));
    assert_eq!(schedule, r#"{"when":"on_demand"}"#, "nobody named a window");
    let tasks = i64::try_from(all.len()).unwrap() + 250;
    assert_eq!(count(&world, "SELECT count(*) FROM task WHERE kind = 'revert'").await, tasks);
    assert_eq!(count(&world, "SELECT max(waves) FROM run WHERE does = 'revert'").await, 2);
    assert_eq!(
        count(&world, "SELECT count(*) FROM task WHERE kind = 'revert' AND wave = 1").await,
        1,
        "one host first"
    );
    let job = server.admin().await.get(&format!("/api/v1/jobs/{name}")).await.expect(200)["job"].clone();
    assert_eq!(job["mail_started"], true, "{job}");
    assert!(job["summary"]["title"].as_str().unwrap().starts_with(&format!("Roll back {number}: ")), "{job}");
    assert_eq!(count(&world, "SELECT count(*) FROM control WHERE expired_at IS NOT NULL").await, tasks);
    assert_eq!(count(&world, "SELECT count(*) FROM proposal").await, 0);
    let told = told(&world).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&format!("rollback ordered: {name}")), "{}", told[0]);
});

both_servers!(what_expires_little_by_little_waits_for_each_other_an_hour_at_most, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, all) = done(&world).await;
    crowd(&world, &number, 1).await;
    let controls = all.len() + 1;
    let size = |group: usize| (0..controls).filter(|n| n % 3 == group).count();
    expires(&world, &number, &[60, 3_060, 6_060]).await;
    let expired = || count(&world, "SELECT count(*) FROM control WHERE expired_at IS NOT NULL");
    let reverts = || count(&world, "SELECT count(*) FROM task WHERE kind = 'revert'");
    // When, how many have expired by then, how many are being rolled back, by how many jobs.
    let first_two = size(0) + size(1);
    for (step, gone, back, jobs) in [
        (61, size(0), 0, 0),
        (3_000, first_two, 0, 0),
        (599, first_two, 0, 0),
        (1, first_two, first_two, 1),
        (2_400, controls, controls, 2),
    ] {
        server.clock.advance(step);
        look(&world).await;
        let seen = (expired().await, reverts().await, rollbacks(&world).await.len());
        assert_eq!(seen, (i64::try_from(gone).unwrap(), i64::try_from(back).unwrap(), jobs), "after {step} more");
    }
});

both_servers!(what_a_rollback_at_expiry_does_not_take_back_is_proposed_and_told, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, all) = done(&world).await;
    expires(&world, &number, &[60]).await;
    server.clock.advance(61);
    look(&world).await;
    ready(server, i64::try_from(all.len()).unwrap()).await;
    let failed = said(Outcome::RevertFailed, ControlState::Effective, Some(Origin::Ours));
    report(server, all[0], &failed).await;
    look(&world).await;
    let proposed = || count(&world, "SELECT count(*) FROM proposal");
    assert_eq!(proposed().await, 0, "others are not over: a few failures are told together");
    server.clock.advance(15 * 60);
    look(&world).await;
    look(&world).await;
    assert_eq!((proposed().await, told(&world).await.len()), (1, 2));
    let name = rollbacks(&world).await[0].0.clone();
    let admin = server.admin().await;
    let listed = admin.get("/api/v1/proposals?q=is:open").await.expect(200)["proposals"].clone();
    let proposal = &listed[0];
    assert_eq!(
        (&proposal["reason"], &proposal["asset_id"], &proposal["caution"]),
        (&json!("expired"), &json!(all[0]), &json!(""))
    );
    let detail = proposal["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("{name} did not take it back: said by a test")), "{detail}");
    assert!(detail.contains(&format!("as {number} says")), "{detail}");
    assert!(told(&world).await[1].contains(&format!("not rolled back by {name}; rollback proposed")));

    // Decided, it does not come again; and it is decided by a rollback that tells the same people.
    let id = proposal["id"].as_i64().unwrap();
    let made = admin.post(&format!("/api/v1/proposals/{id}/accept"), &json!({})).await.expect(201);
    let draft = admin.get(&format!("/api/v1/jobs/{}", made["job"].as_str().unwrap())).await.expect(200);
    assert_eq!(draft["job"]["recipients"], json!(["ann@example.org"]), "{draft}");
    look(&world).await;
    assert_eq!((proposed().await, told(&world).await.len()), (1, 2));
});

both_servers!(a_rollback_at_expiry_that_is_over_and_failed_is_proposed_at_once, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, assets) = world.mitigable().await;
    let asset = assets[0]["id"].as_i64().unwrap();
    let number = hands::draft(&world.admin, qid, &[asset]).await;
    hands::only_safe(&world, &number, qid).await;
    patch(&world.admin, &number, &json!({ "after": { "expires_days": 1, "roll_back": true } })).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(server, 1).await;
    report(server, asset, &in_place()).await;
    over(&world.admin, &number).await;
    for (outcome, state, proposals) in
        [(Outcome::Reverted, ControlState::Exposed, 0), (Outcome::DriftedSinceApply, ControlState::Drifted, 1)]
    {
        server.clock.advance(DAY + 1);
        look(&world).await;
        ready(server, 1).await;
        report(server, asset, &said(outcome, state, Some(Origin::Ours))).await;
        let admin = server.admin().await;
        let name = rollbacks(&world).await.pop().unwrap().0;
        over(&admin, &name).await;
        look(&world).await;
        let open = admin.get("/api/v1/proposals?q=is:open").await.expect(200);
        assert_eq!(open["proposals"].as_array().unwrap().len(), proposals, "{outcome:?}: {open}");
        assert_eq!(count(&world, "SELECT count(*) FROM control WHERE rollback_job_id IS NOT NULL").await, 0);
        if proposals == 0 {
            // Put there again: its next expiry is another occasion.
            let again = hands::draft(&admin, qid, &[asset]).await;
            let entry = open_entry(&admin, &number).await;
            patch(
                &admin,
                &again,
                &json!({ "actions": [{ "qid": qid, "entry": entry }],
                "after": { "expires_days": 1, "roll_back": true } }),
            )
            .await
            .expect(200);
            admin.post(&format!("/api/v1/jobs/{again}/save"), &json!({ "enable": true })).await.expect(200);
            ready(server, 1).await;
            report(server, asset, &in_place()).await;
            over(&admin, &again).await;
        }
    }
    assert_eq!(rollbacks(&world).await.len(), 2);
});

/// The entry of a job's only action.
async fn open_entry(admin: &testkit::server::Client, number: &str) -> String {
    let job = admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    job["job"]["actions"][0]["entry"].as_str().unwrap().to_owned()
}

both_servers!(a_rollback_at_expiry_waits_for_the_maintenance_window_of_its_job, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, all) = done(&world).await;
    expires(&world, &number, &[60]).await;
    let now = server.app().clock.now();
    let at = now.plus_seconds(6 * 3_600).to_jiff().to_zoned(jiff::tz::TimeZone::UTC);
    let (start, time) = (at.date(), at.time());
    let zone = Zone::Named("UTC".to_owned());
    let daily = Recurring { start, time, every: 1, rule: Rule::Daily, ends: Ends::Never, zone, window: Some(90) };
    let (of, text) = (ordinal(&number), serde_json::to_string(&Schedule::Recurring(daily)).unwrap());
    let write = server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE job SET schedule = $2 WHERE number = $1", &[&of, &text]));
    write.await.unwrap();
    server.clock.advance(61);
    look(&world).await;

    let made = rollbacks(&world).await;
    assert_eq!(made.len(), 1);
    let schedule: Schedule = serde_json::from_str(&made[0].2).unwrap();
    assert!(matches!(&schedule, Schedule::Once { window: Some(90), .. }), "{schedule:?}");
    let read = server.app().database.read(|tx| {
        tx.all::<(Timestamp, Option<Timestamp>)>(
            "SELECT due_at, window_end FROM task WHERE kind = 'revert' AND state = 'pending'",
            &[],
        )
    });
    let tasks = read.await.unwrap();
    let due = now.plus_seconds(6 * 3_600);
    assert_eq!(tasks, vec![(due, Some(due.plus_seconds(90 * 60))); all.len()]);
});

both_servers!(a_fixed_that_our_own_mitigation_may_explain_says_so, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (_, all) = done(&world).await;
    let (first, second) = (all[0], all[1]);
    let now = server.app().clock.now();
    let write = server.app().database.write(move |tx| {
        // Of the one before the mitigation was there, of the other afterwards.
        for (asset, closed) in [(first, now.plus_seconds(-3_600)), (second, now.plus_seconds(3_600))] {
            tx.execute(
                "UPDATE vulnerable_item SET state = 'closed', substate = 'fixed', closed_at = $2 WHERE asset_id = $1",
                &[&asset, &closed],
            )?;
        }
        Ok(())
    });
    write.await.unwrap();
    look(&world).await;
    let listed = world.admin.get("/api/v1/proposals?q=is:open").await.expect(200)["proposals"].clone();
    let of = |asset: i64| -> Value {
        listed.as_array().unwrap().iter().find(|one| one["asset_id"] == asset).expect("it is proposed").clone()
    };
    let (clear, unclear) = (of(first), of(second));
    let words = |proposal: &Value, field: &str| proposal[field].as_str().unwrap().to_owned();
    assert_eq!(words(&clear, "caution"), "");
    assert!(!words(&clear, "detail").contains("patched"), "{clear}");
    assert!(words(&unclear, "caution").starts_with("the mitigation itself may be why"), "{unclear}");
    assert!(words(&unclear, "detail").ends_with("make sure that it was patched"), "{unclear}");

    // On the page it is said, and asked before a job is made: of the one only.
    let page = admin_browser(server).await.page("/follow-up").await;
    let question = "data-confirm-text=\"The mitigation itself may be why";
    assert_eq!(page.matches(question).count(), 1, "{}", gist(&page));
    let asked = page.split("<button").find(|button| button.contains(question)).unwrap();
    assert!(asked.contains(&format!("/proposals/{}/accept", unclear["id"])), "{asked}");
    let row = page.split("<tr data-row>").find(|row| row.contains(&format!("/proposals/{}/accept", unclear["id"])));
    assert!(row.unwrap().contains("on this asset; the mitigation itself"), "{}", gist(&page));

    // The draft keeps it for whoever reviews it.
    let made = world.admin.post(&format!("/api/v1/proposals/{}/accept", unclear["id"]), &json!({})).await.expect(201);
    let draft = world.admin.get(&format!("/api/v1/jobs/{}", made["job"].as_str().unwrap())).await.expect(200);
    assert!(draft["job"]["description"].as_str().unwrap().contains("may be why"), "{draft}");
});
