//! Which machine an agent is: who may decide it, and what becomes of work for the machine it is not.

use super::world::{World, browser};
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use domain::task::State;
use protocol::agent::{Event, EventKind, Outcome, TaskReport};
use serde_json::{Value, json};
use server::engine::orders::Offer;
use server::engine::{catalogue, orders, results};
use std::collections::BTreeSet;
use std::time::Duration;
use store::agents::{self, AgentRow};
use testkit::both_servers;
use testkit::server::USER_PASSWORD;
use uuid::Uuid;

async fn agent_on(world: &World, asset: i64) -> AgentRow {
    let read = world.server.app().database.read(move |tx| agents::on_asset(tx, AssetId(asset)));
    read.await.unwrap().expect("the asset has an agent")
}

async fn read(world: &World, agent: Uuid) -> AgentRow {
    let read = world.server.app().database.read(move |tx| agents::by_agent_id(tx, agent));
    read.await.unwrap().expect("the agent exists")
}

async fn tag(world: &World, asset: i64, tag: &str) {
    let (tags, now) = (vec![tag.to_owned()], world.server.app().clock.now());
    let write = world.server.app().database.write(move |tx| {
        store::assets::edit(tx, "users/test", AssetId(asset), None, Some(&tags), now)?;
        Ok(())
    });
    write.await.unwrap();
}

/// A Linux asset without an agent.
async fn free(world: &World) -> i64 {
    let linux = world.admin.get("/api/v1/assets?q=platform:linux&sort=name&limit=100").await.expect(200);
    linux["assets"].as_array().unwrap().last().unwrap()["id"].as_i64().unwrap()
}

both_servers!(an_agent_outside_the_scope_is_neither_linked_nor_unlinked_nor_revoked, |server| async move {
    let world = World::ready(server).await;
    let (_, assets) = world.mitigable().await;
    let (hidden, seen) = (assets[0]["id"].as_i64().unwrap(), assets[1]["id"].as_i64().unwrap());
    let free = free(&world).await;
    tag(&world, free, "lab").await;
    tag(&world, seen, "lab").await;
    let new = json!({ "name": "part", "roles": ["administrator"], "scope": ["lab"] });
    let made = world.admin.post("/api/v1/users", &new).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap().to_owned();
    let part = world.server.client().sign_in("part", &once).await.choose_password(&once, USER_PASSWORD).await;

    let before = agent_on(&world, hidden).await;
    let path = format!("/api/v1/agents/{}", before.agent_id);
    let link = json!({ "asset": free, "reason": "mine now" });
    let unlink = json!({ "asset": null, "reason": "not theirs" });
    assert_eq!(part.put(&format!("{path}/link"), &link).await.status, 404);
    assert_eq!(part.put(&format!("{path}/link"), &unlink).await.status, 404);
    assert_eq!(part.delete(&path).await.status, 404);
    let page = browser(&world.server, "part", USER_PASSWORD).await;
    let path = format!("/agents/{}", before.agent_id);
    assert_eq!(page.client.get(&path).await.status, 404);
    assert_eq!(page.post(&format!("{path}/link?asset={free}"), &[]).await.status, 404);
    assert_eq!(page.post(&format!("{path}/revoke"), &[]).await.status, 404);
    let after = read(&world, before.agent_id).await;
    assert_eq!((after.asset_id, after.revoked_at), (Some(AssetId(hidden)), None));

    // Within the scope it is his to decide.
    let own = agent_on(&world, seen).await.agent_id;
    let stolen = part.put(&format!("/api/v1/agents/{own}/link"), &json!({ "asset": hidden, "reason": "r" })).await;
    assert_eq!(stolen.status, 404);
    assert_eq!(part.put(&format!("/api/v1/agents/{own}/link"), &link).await.status, 204);
    assert_eq!(part.delete(&format!("/api/v1/agents/{own}")).await.status, 204);
});
