//! Hosts that are away, orders that wait in vain, and agents that know more than a server that was put back.

use crate::play::{act, at, come, draft, edit, look, offered, report, runs, tasks};
use crate::world::World;
use domain::id::AssetId;
use domain::mitigation::ControlState;
use domain::time::Timestamp;
use protocol::agent::{Event, EventKind, Outcome};
use protocol::order::RefusalCode;
use serde_json::{Value, json};
use server::engine::results;
use testkit::both_servers;
use testkit::server::{Client, TestServer};

/// The server listens from an instant on for so many minutes, and hears the agents of these assets.
async fn listen(server: &TestServer, from: &str, minutes: i64, heard: &[i64]) {
    for minute in (0..=minutes).step_by(5) {
        let now = at(from).plus_seconds(minute * 60);
        server.clock.set(now);
        hear(server, heard, now).await;
        look(server).await;
    }
}

async fn hear(server: &TestServer, assets: &[i64], now: Timestamp) {
    let assets = assets.to_vec();
    let write = server.app().database.try_write(move |tx| {
        for asset in &assets {
            tx.execute("UPDATE agent SET last_seen_at = $2 WHERE asset_id = $1", &[asset, &now])?;
        }
        Ok::<_, server::http::Error>(())
    });
    write.await.expect("heard");
}

/// An agent says this of an order; gives how many events the server has stored.
pub async fn say(server: &TestServer, asset: i64, order: &Value, epoch: u32, events: &[(u32, EventKind)]) -> usize {
    let now = server.app().clock.now();
    let task = order["task"].as_str().expect("an id").parse().expect("an id");
    let text = |(n, event): &(u32, EventKind)| {
        serde_json::to_string(&Event { task, epoch, n: *n, at: now, event: event.clone() }).expect("JSON")
    };
    let texts: Vec<String> = events.iter().map(text).collect();
    let write = server.app().database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.expect("an agent");
        results::store(tx, &agent, &texts, now)
    });
    write.await.expect("said").acked.len()
}

pub fn epoch(order: &Value) -> u32 {
    order["epoch"].as_u64().and_then(|epoch| u32::try_from(epoch).ok()).expect("an epoch")
}

/// What an agent says of a try that died on its way, and left this.
fn tried(left: ControlState) -> [(u32, EventKind); 3] {
    let died = EventKind::Interrupted { state: left, reason: "said by a test".to_owned() };
    [(1, EventKind::Accepted), (2, EventKind::Started), (3, died)]
}

fn late() -> EventKind {
    EventKind::Refused { code: RefusalCode::Expired, reason: "its time is over".to_owned(), order: String::new() }
}

both_servers!(recurring_work_for_a_host_that_is_away_is_left_to_its_next_run, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let daily = json!({
        "schedule": { "when": "recurring", "at": "2027-03-22T02:30", "zone": "UTC", "repeat": { "by": "daily", "until": "2027-03-25" } },
        "rollout": { "freshness_hours": 1 },
    });
    let (number, assets) = draft(&world, &daily).await;
    act(&world.admin, &number, "save").await.expect(200);
    // The server was away itself: while nobody listened nobody was silent.
    listen(server, "2027-03-22T02:30:00Z", 55, &assets[..1]).await;
    let admin = server.admin().await;
    let states = |tasks: &[Value]| tasks.iter().map(|task| task["state"].clone()).collect::<Vec<_>>();
    assert!(states(&tasks(&admin, &number, "").await).iter().all(|state| state == "ready"));
    listen(server, "2027-03-22T03:26:00Z", 15, &assets[..1]).await;
    let known = tasks(&admin, &number, "").await;
    let of = |asset: i64| known.iter().filter(move |task| task["asset"] == asset).cloned().collect::<Vec<_>>();
    assert!(states(&of(assets[0])).iter().all(|state| state == "ready"), "it is there: {known:?}");
    let gone = of(assets[1]);
    assert!(!gone.is_empty() && gone.iter().all(|task| task["state"] == "expired" && task["code"] == 1), "{gone:?}");
    assert!(gone[0]["message"].as_str().unwrap().contains("was not heard of for 1 h"), "{gone:?}");
    // It comes back: nothing is left for it in this run, and the next one has it again.
    hear(server, &assets, at("2027-03-22T03:41:00Z")).await;
    assert!(offered(server, assets[1]).await.0.is_empty());
    report(server, assets[0], Outcome::Succeeded).await;
    come(server, "2027-03-23T02:30:00Z").await;
    let admin = server.admin().await;
    assert_eq!(runs(&admin, &number).await.len(), 2);
    assert!(!offered(server, assets[1]).await.0.is_empty());
});

both_servers!(a_canary_that_is_away_gives_its_place_to_another_and_stays_open, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let once = json!({ "rollout": { "waves": ["1"], "freshness_hours": 1 } });
    let (number, assets) = draft(&world, &once).await;
    act(&world.admin, &number, "save").await.expect(200);
    listen(server, "2027-03-22T02:00:00Z", 0, &assets).await;
    let first = |tasks: &[Value]| {
        tasks.iter().find(|task| task["state"] == "ready").and_then(|task| task["asset"].as_i64()).expect("a canary")
    };
    let admin = server.admin().await;
    let canary = first(&tasks(&admin, &number, "").await);
    let other = assets.iter().copied().find(|asset| *asset != canary).expect("another");
    listen(server, "2027-03-22T02:05:00Z", 65, &[other]).await;
    let admin = server.admin().await;
    let known = tasks(&admin, &number, "").await;
    assert_eq!(first(&known), other, "{known:?}");
    assert!(offered(server, canary).await.0.is_empty(), "its wave comes later");
    let audit = admin.get("/api/v1/audit?q=action:run.passed_over").await.expect(200);
    assert!(audit["entries"].to_string().contains("instead"), "{audit}");
    report(server, other, Outcome::Succeeded).await;
    look(server).await;
    look(server).await;
    // Work that is done once stays open until it was tried, however late the host comes.
    listen(server, "2027-03-22T03:15:00Z", 120, &[other]).await;
    hear(server, &[canary], at("2027-03-22T05:15:00Z")).await;
    report(server, canary, Outcome::Succeeded).await;
    let admin = server.admin().await;
    let states: Vec<Value> = tasks(&admin, &number, "").await.iter().map(|task| task["state"].clone()).collect();
    assert!(states.iter().all(|state| state == "succeeded"), "{states:?}");
});

/// A draft for three assets; its number, and which they are.
async fn draft_of_three(world: &World) -> (String, Vec<i64>) {
    let (qid, able) = world.mitigable_on(3).await;
    let assets: Vec<i64> = able.iter().map(|asset| asset["id"].as_i64().expect("a key")).take(3).collect();
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    (number, assets)
}

both_servers!(s8_a_wave_of_work_that_comes_again_keeps_its_size_where_others_are_there, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft_of_three(&world).await;
    let daily = json!({
        "schedule": { "when": "recurring", "at": "2027-03-22T02:30", "zone": "UTC", "repeat": { "by": "daily", "until": "2027-03-25" } },
        "rollout": { "waves": ["2"], "freshness_hours": 1 },
    });
    edit(&world.admin, &number, &daily).await.expect(200);
    act(&world.admin, &number, "save").await.expect(200);
    // Who is in which wave, and how its work stands, by asset.
    let places = async || {
        let read = server.app().database.read(|tx| {
            tx.all::<(i64, i64, String)>("SELECT DISTINCT asset_id, wave, state FROM task ORDER BY asset_id", &[])
        });
        read.await.expect("read")
    };
    listen(server, "2027-03-22T02:30:00Z", 0, &assets).await;
    let before = places().await;
    let gone = before.iter().find(|(_, wave, _)| *wave == 1).expect("a canary").0;
    let there: Vec<i64> = assets.iter().copied().filter(|asset| *asset != gone).collect();
    listen(server, "2027-03-22T02:35:00Z", 70, &there).await;
    let expected = |of_gone: &str, of_there: &str| {
        let place = |asset: &i64| match *asset == gone {
            true => (*asset, 2, of_gone.to_owned()),
            false => (*asset, 1, of_there.to_owned()),
        };
        let mut all: Vec<_> = assets.iter().map(place).collect();
        all.sort();
        all
    };
    assert_eq!(
        places().await,
        expected("pending", "ready"),
        "nothing of it has expired, and two are left to learn from"
    );
    // In the last wave nobody is left to take its place.
    for asset in &there {
        report(server, *asset, Outcome::Succeeded).await;
    }
    listen(server, "2027-03-22T03:50:00Z", 5, &there).await;
    assert_eq!(places().await, expected("expired", "succeeded"));
});

both_servers!(s8_nobody_is_passed_over_while_somebody_could_take_the_place, |server| async move {
    // Before there is work that wakes the server: a look of its own from before the clock was turned says that nobody listened.
    server.clock.set(at("2027-03-22T01:55:00Z"));
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft_of_three(&world).await;
    let waves = json!({ "rollout": { "waves": ["2"], "freshness_hours": 1 } });
    edit(&world.admin, &number, &waves).await.expect(200);
    act(&world.admin, &number, "save").await.expect(200);
    listen(server, "2027-03-22T02:00:00Z", 0, &assets).await;
    let admin = server.admin().await;
    let known = tasks(&admin, &number, "").await;
    let canaries: Vec<i64> = assets
        .iter()
        .copied()
        .filter(|asset| known.iter().any(|task| task["asset"] == *asset && task["state"] == "ready"))
        .collect();
    assert_eq!(canaries.len(), 2, "{known:?}");
    let there: Vec<i64> = assets.iter().copied().filter(|asset| *asset != canaries[1]).collect();
    listen(server, "2027-03-22T02:05:00Z", 50, &there).await;
    // The look a minute that exchanges hosts comes just before the second canary counts as away.
    for (now, hears) in [("2027-03-22T02:59:30Z", true), ("2027-03-22T03:00:10Z", false)] {
        server.clock.set(at(now));
        if hears {
            hear(server, &there, at(now)).await;
            look(server).await;
            report(server, canaries[0], Outcome::Succeeded).await;
        }
        look(server).await;
    }
    let admin = server.admin().await;
    let said = |action: &str| format!("/api/v1/audit?q=action:{action}");
    let opened = admin.get(&said("run.wave")).await.expect(200);
    assert_eq!(
        opened["entries"].as_array().map(Vec::len),
        Some(0),
        "one result of two canaries opens nothing: {opened}"
    );
    let passed = admin.get(&said("run.passed_over")).await.expect(200);
    assert_eq!(passed["entries"].as_array().map(Vec::len), Some(1), "{passed}");
});

both_servers!(an_order_that_waits_in_vain_uses_up_no_try, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({})).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    let start = server.app().clock.now();
    for day in 1..=5 {
        let (orders, _) = offered(server, assets[0]).await;
        assert_eq!(orders.first().map(epoch), Some(day), "day {day}");
        for order in &orders {
            say(server, assets[0], order, day, &[(1, EventKind::Accepted)]).await;
        }
        server.clock.set(start.plus_seconds(i64::from(day) * 24 * 3600));
        for order in &orders {
            say(server, assets[0], order, day, &[(2, late())]).await;
        }
    }
    // An agent whose clock is wrong is another matter.
    for _ in 0..3 {
        for order in &offered(server, assets[0]).await.0 {
            say(server, assets[0], order, epoch(order), &[(1, late())]).await;
        }
    }
    let admin = server.admin().await;
    let known = tasks(&admin, &number, "").await;
    let mine: Vec<&Value> = known.iter().filter(|task| task["asset"] == assets[0]).collect();
    assert!(mine.iter().all(|task| task["state"] == "refused"), "{mine:?}");
});

both_servers!(what_an_agent_knows_of_a_later_epoch_waits_until_the_server_is_there, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({})).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    let (orders, _) = offered(server, assets[0]).await;
    let order = orders.first().expect("an order").clone();
    let later = [(1, EventKind::Accepted)];
    assert_eq!(say(server, assets[0], &order, 2, &later).await, 0, "left with the agent");
    assert_eq!(say(server, assets[0], &order, 1, &tried(ControlState::Exposed)).await, 3);
    let (orders, _) = offered(server, assets[0]).await;
    assert!(orders.iter().any(|again| again["task"] == order["task"] && epoch(again) == 2), "{orders:?}");
    assert_eq!(say(server, assets[0], &order, 2, &later).await, 1, "now it is known");
    // Of what has ended nothing is waited for: it would come for ever.
    let admin = server.admin().await;
    admin.post(&format!("/api/v1/jobs/{number}/cancel"), &json!({})).await.expect(200);
    say(server, assets[0], &order, 2, &[(2, EventKind::Revoked)]).await;
    assert_eq!(say(server, assets[0], &order, 9, &later).await, 1);
});

both_servers!(a_rollback_that_died_on_its_way_has_taken_out_what_it_has_taken_out, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({})).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    report(server, assets[0], Outcome::Succeeded).await;
    let controls = async |admin: &Client| {
        let asset = admin.get(&format!("/api/v1/assets/{}", assets[0])).await.expect(200);
        let controls = asset["controls"].as_array().expect("controls").clone();
        controls.iter().map(|control| control["state"].clone()).collect::<Vec<_>>()
    };
    let before = controls(&world.admin).await;
    assert!(before.iter().any(|state| state == "effective"), "{before:?}");

    let (qid, _) = world.mitigable().await;
    let new = json!({ "kind": "rollback", "vulnerabilities": [{ "qid": qid, "assets": [assets[0]] }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let rollback = made["job"]["summary"]["number"].as_str().expect("a number").to_owned();
    act(&world.admin, &rollback, "save").await.expect(200);
    look(server).await;
    let (orders, _) = offered(server, assets[0]).await;
    assert!(!orders.is_empty(), "the rollback is ordered");
    for order in &orders {
        say(server, assets[0], order, 1, &tried(ControlState::Exposed)).await;
    }
    let after = controls(&world.admin).await;
    assert!(after.iter().all(|state| state != "effective"), "{after:?}");
});

both_servers!(what_a_try_left_in_force_counts_whatever_becomes_of_the_next_one, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &json!({ "after": { "expires_days": 30 } })).await;
    act(&world.admin, &number, "save").await.expect(200);
    look(server).await;
    let (orders, _) = offered(server, assets[0]).await;
    assert!(!orders.is_empty(), "something is ordered");
    for order in &orders {
        say(server, assets[0], order, 1, &tried(ControlState::Effective)).await;
    }
    let (again, _) = offered(server, assets[0]).await;
    assert_eq!(again.len(), orders.len(), "it is tried again");
    let no =
        EventKind::Refused { code: RefusalCode::Denied, reason: "said by a test".to_owned(), order: String::new() };
    for order in &again {
        say(server, assets[0], order, epoch(order), &[(1, no.clone())]).await;
    }
    let asset = world.admin.get(&format!("/api/v1/assets/{}", assets[0])).await.expect(200);
    let controls = asset["controls"].as_array().expect("controls");
    assert_eq!(controls.len(), orders.len(), "{controls:?}");
    let ours = |control: &Value| control["state"] == "effective" && control["origin"] == "ours";
    assert!(controls.iter().all(ours), "{controls:?}");
    assert!(controls.iter().all(|control| control["expires_at"].is_string()), "its time is limited too: {controls:?}");
});

both_servers!(an_older_run_that_is_halted_can_be_resumed_and_a_halt_stops_every_run, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let daily = json!({
        "schedule": { "when": "recurring", "at": "2027-03-22T02:30", "zone": "UTC", "repeat": { "by": "daily", "count": 2 } },
    });
    let (number, _) = draft(&world, &daily).await;
    act(&world.admin, &number, "save").await.expect(200);
    act(&world.admin, &number, "run").await.expect(200);
    look(server).await;
    let halt = async |admin: &Client| {
        let path = format!("/api/v1/jobs/{number}/run/halt");
        admin.post(&path, &json!({ "reason": "said by a test" })).await
    };
    halt(&world.admin).await.expect(200);
    // Three hours before its time the schedule makes the next run.
    come(server, "2027-03-22T00:00:00Z").await;
    let admin = server.admin().await;
    let stopped = async |admin: &Client| {
        let body = admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200);
        let runs = body["runs"].as_array().expect("runs").clone();
        runs.iter().map(|run| run["state"] != "open").collect::<Vec<_>>()
    };
    assert_eq!(stopped(&admin).await, [false, true], "the newest first");
    act(&admin, &number, "run/resume").await.expect(200);
    assert_eq!(stopped(&admin).await, [false, false]);
    halt(&admin).await.expect(200);
    assert_eq!(stopped(&admin).await, [true, true]);
    look(server).await;
    let body = admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200);
    let rests = |run: &Value| run["state"] == "halted";
    assert!(body["runs"].as_array().expect("runs").iter().all(rests), "also the one that is not due yet: {body}");
    assert_eq!(halt(&admin).await.status, 409);
    act(&admin, &number, "run/resume").await.expect(200);
    assert_eq!(stopped(&admin).await, [false, true], "the newest first");
});

both_servers!(an_act_on_a_job_that_changed_meanwhile_is_refused, |server| async move {
    let world = World::ready(server).await;
    let admin = &world.admin;
    let (number, _) = draft(&world, &json!({})).await;
    let path = format!("/api/v1/jobs/{number}");
    let seen = admin.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let ask = |act: &str, tag: &str, body: Value| {
        let request = admin.request(reqwest::Method::POST, &format!("{path}/{act}")).header("if-match", tag.to_owned());
        admin.send(request.json(&body))
    };
    edit(admin, &number, &json!({ "title": "Changed by somebody else" })).await.expect(200);
    let refused = ask("save", &seen, json!({ "enable": true })).await;
    assert_eq!((refused.status, refused.code()), (412, "changed_meanwhile"), "{}", refused.text);
    let now = admin.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    ask("save", &now, json!({ "enable": false })).await.expect(200);
    assert_eq!(ask("enable", &now, json!({})).await.status, 412, "saving changed it too");
    assert_eq!(act(admin, &number, "enable").await.status, 200, "who says nothing of a version is not held to one");
    let delete = admin.request(reqwest::Method::DELETE, &path).header("if-match", now);
    assert_eq!(admin.send(delete).await.status, 412);
});
