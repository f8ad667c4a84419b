//! Agents of which nothing is heard any more: contact is lost, they are retired by themselves, and what they had to do ends. And what
//! somebody could make of that: a clock that jumps, a fleet that is cut off, a host that calls itself another.

use crate::away::{epoch, say};
use crate::play::{act, draft, look, offered, tasks};
use crate::speaker::Speaker;
use crate::world::{self, World};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::asset::Identity;
use domain::contact::RETIRE_DAYS_DEFAULT;
use protocol::agent::{Body, ENROL_PATH, Enrol, EnrolmentToken, EventKind, Facts, POLL_PATH, Poll};
use protocol::signed::SigningKey;
use serde_json::{Value, json};
use server::engine::retire;
use testkit::both_servers;
use testkit::server::{Client, TestServer};

const DAY: i64 = 86_400;

/// So many days pass in which somebody listens all the time, and hears every agent but those on these assets.
async fn pass(server: &TestServer, days: i64, silent: &[i64]) {
    world::pass(server, days * DAY, silent).await;
}

async fn gone(server: &TestServer) -> retire::Looked {
    retire::look(server.app()).await.expect("a look works")
}

async fn code(admin: &Client, path: &str) -> String {
    admin.post(path, &json!({})).await.code().to_owned()
}

async fn agent_of(admin: &Client, asset: i64) -> Value {
    let agents = admin.get("/api/v1/agents?limit=100").await.expect(200);
    let all = agents["agents"].as_array().expect("a list");
    all.iter().find(|agent| agent["asset"] == asset).expect("its agent").clone()
}

async fn entries(admin: &Client, action: &str) -> usize {
    let found = admin.get(&format!("/api/v1/audit?q=action:{action}")).await.expect(200);
    found["entries"].as_array().expect("a list").len()
}

fn poll() -> Body {
    Body::Poll(Box::new(Poll {
        boot_id: "b".to_owned(),
        root_version: u64::from(u32::MAX),
        index_version: u64::from(u32::MAX),
        open: vec![],
        journal_head: String::new(),
        hold_seconds: 0,
        facts: None,
    }))
}

both_servers!(an_agent_that_is_gone_is_retired_by_itself_and_comes_back_only_by_a_person, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({})).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    let speaker = Speaker::on(server, assets[0]).await;
    let order = offered(server, assets[0]).await.0.remove(0);
    say(server, assets[0], &order, epoch(&order), &[(1, EventKind::Accepted), (2, EventKind::Started)]).await;

    pass(server, 8, &assets[..1]).await;
    let looked = gone(server).await;
    assert_eq!((looked.missing, looked.retired), (1, 0), "{looked:?}");
    let admin = server.admin().await;
    let missing = agent_of(&admin, assets[0]).await;
    assert!(missing["missing_at"].is_string() && missing["revoked_at"].is_null(), "{missing}");
    let page = admin.get("/agents?q=is:missing").await;
    assert!(page.status == 200 && page.text.contains("It was not heard of for seven days"), "{}", page.text);
    assert_eq!(gone(server).await, retire::Looked::default(), "said once");

    pass(server, RETIRE_DAYS_DEFAULT - 8, &assets[..1]).await;
    assert_eq!(gone(server).await, retire::Looked::default(), "not a day too early");
    pass(server, 1, &assets[..1]).await;
    assert_eq!(gone(server).await, retire::Looked { retired: 1, ..retire::Looked::default() });
    look(server).await;
    let admin = server.admin().await;
    let of = async |asset: i64| {
        let all = tasks(&admin, &number, "").await;
        all.into_iter().filter(|task| task["asset"] == asset).collect::<Vec<_>>()
    };
    let ended = of(assets[0]).await;
    assert!(ended.iter().all(|task| task["code"] == 1), "every task of it has ended: {ended:?}");
    let lost = ended.iter().find(|task| task["id"] == order["task"]).expect("the task");
    assert!(lost["state"] == "lost" && lost["message"].as_str().expect("a text").contains("retired"), "{lost}");
    assert!(of(assets[1]).await.iter().all(|task| task["code"].is_null()), "the other host's stay open");
    assert_eq!((entries(&admin, "agent.missing").await, entries(&admin, "agent.retire").await), (1, 1));
    let listed = admin.get("/api/v1/agents?q=is:retired").await.expect(200);
    assert_eq!(listed["agents"].as_array().map(Vec::len), Some(1), "{listed}");

    // It comes back: it is told why it is refused, and that is no sign of life.
    let (status, told) = speaker.asks(server, POLL_PATH, poll()).await;
    assert_eq!((status, told["code"].as_str()), (401, Some("agent_retired")), "{told}");
    assert!(told["detail"].as_str().expect("a text").contains("take it back"), "{told}");
    let id = agent_of(&admin, assets[0]).await["id"].as_str().expect("an id").to_owned();
    assert!(agent_of(&admin, assets[0]).await["retired_at"].is_string());

    let page = admin.get(&format!("/agents/{id}")).await;
    assert!(page.status == 200 && page.text.contains(&format!("/agents/{id}/take-back")), "{}", page.text);
    // Whoever may not enrol agents may not take one back either.
    let reader = server.user("reader", &["read_only"]).await;
    let refused = reader.post(&format!("/api/v1/agents/{id}/take-back"), &json!({})).await;
    assert!(refused.status == 403, "{}", refused.text);
    admin.post(&format!("/api/v1/agents/{id}/take-back"), &json!({})).await.expect(204);
    assert_eq!(code(&admin, &format!("/api/v1/agents/{id}/take-back")).await, "agent_in_force");
    assert_eq!(gone(server).await, retire::Looked::default(), "its old silence does not count again");
    let (status, told) = speaker.asks(server, POLL_PATH, poll()).await;
    assert_eq!(status, 200, "{told}");
    let after = of(assets[0]).await;
    assert_eq!(after.iter().find(|task| task["id"] == order["task"]).expect("it")["state"], "lost", "S5: {after:?}");
});

both_servers!(a_clock_that_jumps_and_a_fleet_that_is_cut_off_retire_nobody, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    look(server).await;
    // The clock jumps: nobody listened in between, whoever looks at it.
    server.clock.advance(60 * DAY);
    look(server).await;
    assert_eq!(gone(server).await, retire::Looked::default());
    // Everybody is silent while somebody listens: contact is lost with all of them, and none is retired.
    let admin = server.admin().await;
    let agents = admin.get("/api/v1/agents?limit=100").await.expect(200);
    let assets: Vec<i64> =
        agents["agents"].as_array().expect("a list").iter().filter_map(|agent| agent["asset"].as_i64()).collect();
    assert!(assets.len() > 2, "{agents}");
    pass(server, 50, &assets).await;
    let looked = gone(server).await;
    assert_eq!((looked.missing, looked.retired), (assets.len(), 0), "{looked:?}");
    assert_eq!(looked.held.as_ref().map(|held| held.code), Some("fleet_silent"), "{looked:?}");
    let admin = server.admin().await;
    let shown = admin.get("/api/v1/settings/retirement").await.expect(200);
    assert!(shown["retirement"]["held"].as_str().expect("a text").contains("can reach this server"), "{shown}");
    // Nor when they fell silent one after the other.
    pass(server, 1, &assets[1..]).await;
    let looked = gone(server).await;
    assert_eq!(looked.retired, 0, "{looked:?}");
    // The others are back: the one that is not is retired.
    pass(server, 1, &assets[..1]).await;
    pass(server, 46, &assets[..1]).await;
    assert_eq!(gone(server).await.retired, 1);
    let admin = server.admin().await;
    assert_eq!(entries(&admin, "agent.retire").await, 1);
});

both_servers!(a_large_fleet_that_is_cut_off_is_not_retired_page_by_page, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    // Two pages of agents and more, silent all at once, where contact is lost and retirement comes on the same day.
    world.admin.put("/api/v1/settings/retirement", &json!({ "days": 7 })).await.expect(200);
    pass(server, 9, &[]).await;
    world::enrolled(server, 1_050, 8 * DAY).await;
    let looked = gone(server).await;
    assert_eq!((looked.missing, looked.retired), (1_050, 0), "{looked:?}");
    assert_eq!(looked.held.as_ref().map(|held| held.code), Some("fleet_silent"), "{looked:?}");
});

both_servers!(the_setting_has_bounds_and_can_be_never, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (_, assets) = draft(&world, &json!({})).await;
    let set =
        async |admin: &Client, days: i64| admin.put("/api/v1/settings/retirement", &json!({ "days": days })).await;
    let admin = &world.admin;
    for days in [-1, 1, 6, 401, i64::MAX] {
        assert_eq!(set(admin, days).await.status, 422, "{days}");
    }
    let shown = admin.get("/api/v1/settings/retirement").await.expect(200);
    assert_eq!((&shown["retirement"]["days"], &shown["retirement"]["held"]), (&json!(45), &json!("")), "{shown}");
    set(admin, 0).await.expect(200);
    pass(server, 300, &assets[..1]).await;
    assert_eq!(gone(server).await.retired, 0, "never");
    let admin = server.admin().await;
    set(&admin, 7).await.expect(200);
    assert_eq!(gone(server).await.retired, 1);
});

both_servers!(work_that_comes_again_is_not_planned_for_a_host_that_contact_is_lost_with, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let daily = json!({
        "schedule": { "when": "recurring", "at": "2026-12-04T02:30", "zone": "UTC", "repeat": { "by": "daily", "until": "2026-12-07" } },
        "rollout": { "freshness_hours": 24 },
    });
    let (number, assets) = draft(&world, &daily).await;
    act(&world.admin, &number, "save").await.expect(200);
    let first = crate::play::at("2026-12-04T02:30:00Z");
    pass(server, 8, &assets[..1]).await;
    assert_eq!(gone(server).await.missing, 1);
    world::pass(server, first.seconds_since(server.app().clock.now()) + 60, &assets[..1]).await;
    look(server).await;
    // The look a minute that is for hosts that are away: the work was due a minute ago, and nobody waits a day for this host.
    server.clock.advance(61);
    look(server).await;
    let admin = server.admin().await;
    let known = tasks(&admin, &number, "").await;
    let states = |asset: i64| {
        known.iter().filter(|task| task["asset"] == asset).map(|task| task["state"].clone()).collect::<Vec<_>>()
    };
    assert!(!states(assets[0]).is_empty() && states(assets[0]).iter().all(|state| state == "expired"), "{known:?}");
    assert!(states(assets[1]).iter().all(|state| state == "ready"), "that host is there: {known:?}");
});

/// Enrol an agent with this key as this machine; gives status and body.
async fn enrol(server: &TestServer, token: &EnrolmentToken, key: &SigningKey, machine: &str) -> (u16, Value) {
    let public_key = STANDARD.encode(key.public().as_bytes());
    let said = format!("quell-enrol-v1:{}:{public_key}", token.token_id);
    let identity = Identity {
        machine_id: Some(machine.to_owned()),
        macs: vec!["02:00:00:00:00:77".to_owned()],
        ..Identity::default()
    };
    let enrol = Enrol {
        v: 1,
        token_id: token.token_id,
        secret: token.secret.clone(),
        proof: STANDARD.encode(key.sign(said.as_bytes())),
        public_key,
        facts: Facts { hostname: machine.to_owned(), os_title: "Debian".to_owned(), identity, ..Facts::default() },
    };
    let authority = reqwest::Certificate::from_pem(server.app().site.ca_pem.as_bytes()).expect("a certificate");
    let http = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let url = format!("https://127.0.0.1:{}{ENROL_PATH}", server.server().agent_address.port());
    let reply = http.post(url).json(&enrol).send().await.expect("an answer");
    let status = reply.status().as_u16();
    (status, reply.json().await.unwrap_or(Value::Null))
}

async fn token(server: &TestServer) -> EnrolmentToken {
    let admin = server.admin().await;
    let new = json!({ "label": "test", "uses": 5, "hours": 2_000 });
    let made = admin.post("/api/v1/agents/tokens", &new).await.expect(201);
    let text = made["text"].as_str().expect("a text").strip_prefix("quell1.").expect("the form").to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("a token")
}

both_servers!(whoever_calls_himself_a_host_that_was_retired_does_not_get_its_orders, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let first = token(server).await;
    let (owner, stranger) = (SigningKey::generate().expect("a key"), SigningKey::generate().expect("a key"));
    let (status, told) = enrol(server, &first, &owner, "laptop-77").await;
    assert_eq!(status, 200, "{told}");
    let id = told["agent_id"].as_str().expect("an id").to_owned();
    let admin = server.admin().await;
    let linked = async |admin: &Client, id: &str| {
        let agents = admin.get("/api/v1/agents?limit=100").await.expect(200);
        let all = agents["agents"].as_array().expect("a list").clone();
        all.into_iter().find(|agent| agent["id"] == *id).expect("the agent")
    };
    let asset = linked(&admin, &id).await["asset"].as_i64().expect("an asset of its own");
    pass(server, 46, &[asset]).await;
    assert_eq!(gone(server).await.retired, 1);
    let admin = server.admin().await;

    // With a token, which somebody lost, and everything that is known of the laptop: it is nobody's until a person says so.
    let second = token(server).await;
    let (status, told) = enrol(server, &second, &stranger, "laptop-77").await;
    assert_eq!(status, 200, "{told}");
    let other = linked(&admin, told["agent_id"].as_str().expect("an id")).await;
    assert!(other["link"] == "ambiguous" && other["asset"].is_null(), "{other}");
    // Saying again what it said when it was enrolled brings it back as little.
    let (status, told) = enrol(server, &first, &owner, "laptop-77").await;
    assert_eq!((status, told["code"].as_str()), (401, Some("agent_retired")), "{told}");
    // A new token and the key it always had: that is the same machine.
    let (status, told) = enrol(server, &second, &owner, "laptop-77").await;
    assert_eq!(status, 200, "{told}");
    let again = linked(&admin, told["agent_id"].as_str().expect("an id")).await;
    assert!(again["link"] == "linked" && again["asset"] == asset, "{again}");
    // Then the old one is not taken back beside it, and once a person has revoked it never.
    let back = format!("/api/v1/agents/{id}/take-back");
    assert_eq!(code(&admin, &back).await, "asset_taken");
    admin.delete(&format!("/api/v1/agents/{id}")).await.expect(204);
    assert_eq!(code(&admin, &back).await, "agent_revoked");
});
