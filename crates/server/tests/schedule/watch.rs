//! Mitigations that no agent looks at any more: what was said of them last lowers no score for ever, whatever became of lost orders.

use crate::away::{epoch, say};
use crate::play::{act, draft, look, offered, report, tasks};
use crate::world::{self, World};
use domain::id::AssetId;
use domain::mitigation::ControlState;
use protocol::agent::{Check, CheckCause, Checks, EventKind, Outcome};
use serde_json::{Value, json};
use server::engine::{after, checks, retire};
use testkit::both_servers;
use testkit::server::{Client, TestServer};

const DAY: i64 = 86_400;

/// On how many items of an asset the score is lowered.
async fn lowered(server: &TestServer, asset: i64) -> i64 {
    let read = server.app().database.read(move |tx| {
        tx.scalar("SELECT count(*) FROM vulnerable_item WHERE asset_id = $1 AND residual < inherent", &[&asset])
    });
    read.await.expect("read")
}

/// The agent of an asset looks at what is known there and finds it as it was left.
async fn looks(server: &TestServer, asset: i64, n: u64) {
    let now = server.app().clock.now();
    let write = server.app().database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        let known = store::controls::of_asset(tx, AssetId(asset))?;
        let line = |entry: String| Check {
            entry_id: entry,
            content_digest: String::new(),
            state: ControlState::Effective,
            held: true,
            at: now,
            message: String::new(),
        };
        let controls = known.into_iter().map(|control| line(control.entry)).collect();
        let said = Checks { n, why: CheckCause::Timer, boot_id: "b".to_owned(), controls };
        checks::store(tx, &agent, &said, now)
    });
    write.await.expect("it is heard");
}

async fn unwatched(server: &TestServer) -> usize {
    after::watch::look(server.app()).await.expect("a look works")
}

/// The states of what is known on an asset, and what its page says of it.
async fn controls(admin: &Client, asset: i64) -> Vec<(Value, Value)> {
    let shown = admin.get(&format!("/api/v1/assets/{asset}")).await.expect(200);
    let all = shown["controls"].as_array().expect("a list");
    all.iter().map(|control| (control["state"].clone(), control["note"].clone())).collect()
}

/// A job that is done on both of its assets.
async fn done(world: &World, patch: &Value) -> Vec<i64> {
    let (number, assets) = draft(world, patch).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(&world.server).await;
    for asset in &assets {
        report(&world.server, *asset, Outcome::Succeeded).await;
        assert!(lowered(&world.server, *asset).await > 0, "it counts");
    }
    assets
}

async fn take_back(admin: &Client, asset: i64) {
    let agents = admin.get("/api/v1/agents?limit=100").await.expect(200);
    let all = agents["agents"].as_array().expect("a list");
    let id = all.iter().find(|agent| agent["asset"] == asset).expect("its agent")["id"].as_str().expect("an id");
    admin.post(&format!("/api/v1/agents/{id}/take-back"), &json!({})).await.expect(204);
}

both_servers!(what_no_agent_looks_at_counts_no_more_until_one_does, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, _) = world.mitigable().await;
    let assets = done(&world, &json!({})).await;
    let (before, beside) = (lowered(server, assets[0]).await, lowered(server, assets[1]).await);
    let many = controls(&world.admin, assets[0]).await.len();

    // A rollback begins on the first, which is not heard of again: nobody knows what it left.
    let new = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid, "assets": [assets[0]] }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let rollback = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    act(&world.admin, &rollback, "save").await.expect(200);
    look(server).await;
    for order in &offered(server, assets[0]).await.0 {
        say(server, assets[0], order, epoch(order), &[(1, EventKind::Accepted), (2, EventKind::Started)]).await;
    }
    world::pass(server, 44 * DAY, &assets[..1]).await;
    looks(server, assets[1], 1).await;
    assert_eq!(unwatched(server).await, 0, "a host that is away is waited for");
    assert_eq!(lowered(server, assets[0]).await, before);
    world::pass(server, 2 * DAY, &assets[..1]).await;
    assert_eq!(retire::look(server.app()).await.expect("a look works").retired, 1);
    look(server).await;
    let admin = server.admin().await;
    assert!(tasks(&admin, &rollback, "").await.iter().any(|task| task["state"] == "lost"));
    assert_eq!(unwatched(server).await, many);
    assert_eq!(unwatched(server).await, 0, "said once");
    assert_eq!((lowered(server, assets[0]).await, lowered(server, assets[1]).await), (0, beside));
    let shown = controls(&admin, assets[0]).await;
    assert!(
        shown.iter().all(|(state, note)| state == "unknown" && note == "no agent looks at it any more"),
        "{shown:?}"
    );
    let audit = admin.get("/api/v1/audit?q=action:control.unwatched").await.expect(200);
    assert_eq!(audit["entries"].as_array().map(Vec::len), Some(1), "{audit}");

    // It is taken back, and says what is in force.
    take_back(&admin, assets[0]).await;
    assert_eq!(lowered(server, assets[0]).await, 0, "nobody has looked yet");
    looks(server, assets[0], 1).await;
    assert_eq!(lowered(server, assets[0]).await, before);
    // An agent that is heard and looks at nothing, as one that was enrolled anew does, proves as little.
    world::pass(server, 13 * DAY, &[]).await;
    looks(server, assets[1], 2).await;
    assert_eq!(unwatched(server).await, 0);
    world::pass(server, 2 * DAY, &[]).await;
    assert_eq!(unwatched(server).await, many);
    assert_eq!((lowered(server, assets[0]).await, lowered(server, assets[1]).await), (0, beside));
});

both_servers!(what_expires_while_nobody_looks_at_it_is_proposed_and_stays_so, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let assets = done(&world, &json!({ "after": { "expires_days": 60 } })).await;
    world::pass(server, 46 * DAY, &assets[..1]).await;
    looks(server, assets[1], 1).await;
    assert_eq!(retire::look(server.app()).await.expect("a look works").retired, 1);
    assert!(unwatched(server).await > 0);
    world::pass(server, 15 * DAY, &assets[..1]).await;
    after::look(server.app()).await.expect("a look works");
    let admin = server.admin().await;
    let open = async |admin: &Client| {
        let found = admin.get("/api/v1/proposals?q=is:open&limit=100").await.expect(200);
        let all = found["proposals"].as_array().expect("a list").clone();
        all.iter().filter(|proposal| proposal["asset_id"] == assets[0]).count()
    };
    let proposed = open(&admin).await;
    assert!(proposed > 0, "somebody has to look whether it is still there");
    after::look(server.app()).await.expect("a look works");
    assert_eq!(open(&admin).await, proposed);
    // Its host comes back with it in place.
    take_back(&admin, assets[0]).await;
    looks(server, assets[0], 1).await;
    after::look(server.app()).await.expect("a look works");
    assert_eq!((open(&admin).await, lowered(server, assets[0]).await), (proposed, 0));
});
