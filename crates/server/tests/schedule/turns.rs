//! Whose turn it is on an asset (R20), a job that is held past its time (S1.22), and that nobody changes a job without the audit's
//! saying so (S11).

use crate::play::{act, come, draft, edit, job, look, offered, report, runs, tasks};
use crate::world::World;
use protocol::agent::Outcome;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::both_servers;
use testkit::server::{Client, Reply, TestServer};
use uuid::Uuid;

/// The jobs whose orders an asset's agent is offered now.
async fn turn(server: &TestServer, asset: i64) -> Vec<String> {
    let mut jobs: Vec<String> =
        offered(server, asset).await.0.iter().map(|o| o["job"].as_str().unwrap().into()).collect();
    jobs.dedup();
    jobs
}

both_servers!(r20_the_second_job_of_an_asset_has_its_turn_when_the_first_is_over_or_times_out, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (first, assets) = draft(&world, &json!({})).await;
    let (second, _) = draft(&world, &json!({})).await;
    // The third may start until half past three only.
    let window = json!({ "schedule": {
        "when": "once", "at": "2026-11-22T15:00", "zone": "UTC", "window_minutes": 30,
    } });
    let (third, _) = draft(&world, &window).await;
    for number in [&first, &second, &third] {
        act(&world.admin, number, "save").await.expect(200);
        look(server).await;
    }
    let asset = assets[0];
    assert_eq!(turn(server, asset).await, std::slice::from_ref(&first));
    report(server, asset, Outcome::Succeeded).await;
    assert_eq!(turn(server, asset).await, std::slice::from_ref(&second), "the first is over on it");
    // The second is silent past the window of the third.
    come(server, "2026-11-22T15:01:00Z").await;
    assert_eq!(turn(server, asset).await, std::slice::from_ref(&second), "the third waits, though its time has come");
    let of = async |number: &str| -> String {
        let admin = server.admin().await;
        let all = tasks(&admin, number, "").await;
        let mine = all.iter().find(|task| task["asset"] == asset).unwrap();
        mine["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(of(&third).await, "ready");
    come(server, "2026-11-22T15:31:00Z").await;
    assert_eq!(of(&third).await, "expired", "it waited in vain until its window was over");
    report(server, asset, Outcome::Succeeded).await;
    assert_eq!(turn(server, asset).await, Vec::<String>::new(), "and does not come afterwards");
});

both_servers!(s1_22_a_disabled_job_lets_its_time_pass_and_runs_once_when_it_is_enabled_again, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let later = json!({ "schedule": { "when": "once", "at": "2026-11-22T15:00", "zone": "UTC" } });
    let (number, assets) = draft(&world, &later).await;
    act(&world.admin, &number, "save").await.expect(200);
    act(&world.admin, &number, "disable").await.expect(200);
    come(server, "2026-11-22T16:00:00Z").await;
    look(server).await;
    let admin = server.admin().await;
    assert!(runs(&admin, &number).await.is_empty(), "nothing was run in its absence");
    for asset in &assets {
        assert!(offered(server, *asset).await.0.is_empty());
    }
    assert_eq!(act(&admin, &number, "enable").await.expect(200)["job"]["summary"]["status"], "ENABLED");
    look(server).await;
    for asset in &assets {
        assert_eq!(
            turn(server, *asset).await,
            std::slice::from_ref(&number),
            "a job that runs once runs late rather than never"
        );
        report(server, *asset, Outcome::Succeeded).await;
    }
    let shown = job(&admin, &number).await;
    assert_eq!((&shown["summary"]["status"], &shown["runs"]), (&json!("COMPLETED"), &json!(1)));
});

/// How many entries of the audit have this action and author.
async fn written(server: &TestServer, action: &str, author: &str) -> i64 {
    let (action, author) = (action.to_owned(), author.to_owned());
    let read = server.app().database.read(move |tx| {
        tx.scalar::<i64>("SELECT count(*) FROM audit_entry WHERE action = $1 AND actor = $2", &[&action, &author])
    });
    read.await.unwrap()
}

/// A request by the super user, who is written down for it once, under this action; gives the answer's body.
async fn audited(server: &TestServer, action: &str, asked: impl AsyncFnOnce() -> Reply) -> Value {
    let before = written(server, action, "users/admin").await;
    let reply = asked().await;
    assert!((200..300).contains(&reply.status), "{action}: {} {}", reply.status, reply.text);
    assert_eq!(written(server, action, "users/admin").await, before + 1, "{action} is written down once");
    reply.json
}

both_servers!(s11_whatever_people_do_to_a_job_is_written_down_once_and_the_chain_verifies, |server| async move {
    let world = World::ready(server).await;
    world.server.user("heir", &["job_author"]).await;
    let (server, admin) = (&world.server, &world.admin);
    let creates = written(server, "job.create", "users/admin").await;
    let (number, assets) = draft(&world, &json!({})).await;
    assert_eq!(written(server, "job.create", "users/admin").await, creates + 1);
    let did =
        async |word: &str, action: &str| audited(server, action, async || plain(admin, &number, word).await).await;
    let changed = json!({ "description": "changed", "rollout": { "waves": ["1"] } });
    audited(server, "job.edit", async || edit(admin, &number, &changed).await).await;

    did("save", "job.save").await;
    did("enable", "job.enable").await;
    look(server).await;
    did("pause", "job.pause").await;
    did("resume", "job.resume").await;
    // Halts of everything and of the run, and what lets them go on.
    let halt = |halted: bool| json!({ "halted": halted, "reason": "an exercise" });
    audited(server, "jobs.halt", async || admin.put("/api/v1/halt", &halt(true)).await).await;
    audited(server, "jobs.go_on", async || admin.put("/api/v1/halt", &halt(false)).await).await;
    let run = format!("/api/v1/jobs/{number}/run");
    let why = json!({ "reason": "an exercise" });
    audited(server, "run.halt", async || admin.post(&format!("{run}/halt"), &why).await).await;
    audited(server, "run.resume", async || admin.post(&format!("{run}/resume"), &json!({})).await).await;
    audited(server, "run.promote", async || admin.post(&format!("{run}/promote"), &json!({})).await).await;
    look(server).await;
    assert_eq!(written(server, "job.end", "engine/dispatch").await, 0);
    // The failure comes last: there is nothing left that a halt could stop.
    for (asset, outcome) in assets.iter().zip([Outcome::Succeeded, Outcome::Failed]) {
        report(server, *asset, outcome).await;
    }
    assert_eq!(job(admin, &number).await["summary"]["status"], "COMPLETED_WITH_FAILURES");
    assert_eq!(written(server, "job.end", "engine/dispatch").await, 1, "one entry for what became of the run");

    did("retry", "job.retry_failed").await;
    look(server).await;
    did("cancel", "job.cancel").await;
    look(server).await;
    did("run", "job.run_now").await;
    look(server).await;
    did("cancel", "job.cancel").await;
    look(server).await;
    did("clone", "job.clone").await;
    let owner = format!("/api/v1/jobs/{number}/owner");
    audited(server, "job.change_owner", async || admin.put(&owner, &json!({ "owner": "heir" })).await).await;
    audited(server, "job.delete", async || admin.delete(&format!("/api/v1/jobs/{number}")).await).await;

    // What is refused changes nothing and is not written down as done.
    let before = written(server, "job.enable", "users/admin").await;
    assert_eq!(plain(admin, &number, "enable").await.status, 404);
    assert_eq!(written(server, "job.enable", "users/admin").await, before);

    // The server's own loop may hold the lease; it ends by the clock, and one of both seals what is new.
    let app = server.app().clone();
    server.clock.advance(61);
    let (id, key) = (app.keys.audit_id(), app.keys.audit.verifying_key());
    for _ in 0..400 {
        server::engine::housekeeping::seal(&app, Uuid::new_v4()).await.unwrap();
        let id = id.clone();
        let found = app.database.read(move |tx| store::audit::verify(tx, |asked| (asked == id).then_some(key)));
        let found = found.await.unwrap();
        assert_eq!(found.findings, []);
        if found.unsealed == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("what was written down is not sealed");
});

/// Do something to a job; saved is not enabled.
async fn plain(client: &Client, number: &str, word: &str) -> Reply {
    client.post(&format!("/api/v1/jobs/{number}/{word}"), &json!({})).await
}
