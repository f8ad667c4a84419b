//! How each action of the table is asked, how its state is made, and the page that has its button.

use crate::Who;
use crate::world::World;
use qualys_sim::{Fault, FaultKind};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::Reply;

/// A file with one host, as the platform would send it.
const FILE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
    <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST><HOST><ID>11</ID><IP>192.0.2.11</IP>\
    <TRACKING_METHOD>IP</TRACKING_METHOD><DETECTION_LIST></DETECTION_LIST></HOST></HOST_LIST></RESPONSE>\
    </HOST_LIST_VM_DETECTION_OUTPUT>";

/// Bring everything into the state of a case; gives what it is about: a number, or a key.
pub async fn prepare(world: &mut World, action: &str, role: &str, relation: &str, state: &str) -> String {
    world.made += 1;
    let states =
        ["open", "under_investigation", "awaiting_implementation", "in_review", "deferred", "resolved", "closed"];
    let of_item = states.into_iter().find(|known| *known == state).unwrap_or("open");
    match action {
        "item_state" | "item_assign" | "exception_request" | "note_add" => {
            world.situation("ready").await;
            forget_requests(world).await;
            world.items(of_item, role, relation).await;
            world.item.clone()
        }
        "task_state" | "task_assign" | "task_split" | "task_edit" | "task_fill" | "task_make" | "note_write" => {
            world.situation("ready").await;
            forget_requests(world).await;
            world.items("open", role, relation).await;
            if action == "task_make" { world.item.clone() } else { world.task(of_item, role, relation).await }
        }
        "exception_decide" | "exception_withdraw" | "exception_revoke" => exception(world, role, relation, state).await,
        "rescan_item" | "rescan_list" | "rescan_asset" => {
            world.items(of_item, role, relation).await;
            world.situation(state).await;
            if action == "rescan_asset" { world.asset.to_string() } else { world.item.clone() }
        }
        "rescan_task" => {
            world.situation("ready").await;
            world.items("open", role, "none").await;
            let task = world.task(of_item, role, relation).await;
            world.situation(state).await;
            task
        }
        "rescan_effort" => {
            world.situation("ready").await;
            world.items("open", role, "none").await;
            let effort = world.effort(state == "closed", role, relation).await;
            world.situation(state).await;
            effort
        }
        "scan_cancel" | "scan_retry" => scan(world, role, relation, state).await,
        "instance_delete" => {
            world.situation("ready").await;
            if state == "imported" { world.instance.to_string() } else { empty_instance(world).await }
        }
        "appliance_edit" => {
            world.situation("ready").await;
            let new = json!({
                "instance_id": world.instance, "name": format!("By hand {}", world.made), "key": world.made.to_string(),
                "addresses": ["198.51.100.0-198.51.100.9"],
            });
            let made = world.admin.post("/api/v1/appliances", &new).await.expect(201);
            made["appliance"]["id"].as_i64().unwrap().to_string()
        }
        "import_cancel" => {
            world.situation("ready").await;
            run(world, state).await
        }
        _ => {
            world.situation(state).await;
            world.instance.to_string()
        }
    }
}

/// No request for an exception waits for an answer any more.
async fn forget_requests(world: &World) {
    let put = world
        .server
        .app()
        .database
        .write(|tx| tx.execute("UPDATE exception_request SET state = 'withdrawn' WHERE state = 'requested'", &[]));
    put.await.unwrap();
}

/// A request for an exception of the item, in its state.
async fn exception(world: &World, role: &str, relation: &str, state: &str) -> String {
    world.situation("ready").await;
    forget_requests(world).await;
    // Who asks may ask about this item; who decides may see it.
    world.items("open", role, "requester").await;
    let kind = if matches!(state, "deferral") { "deferral" } else { "false_positive" };
    let until = world.server.app().clock.now().plus_seconds(10 * 86_400).to_string();
    let mut new = json!({ "kind": kind, "note": "why", "items": [world.item] });
    if kind == "deferral" {
        new["reason"] = json!("risk_accepted");
        new["until"] = json!(until);
    }
    let asker =
        if relation == "requester" && role_may_ask(role) { world.client(role, relation) } else { world.asker.clone() };
    let made = asker.post("/api/v1/exceptions", &new).await.expect(201);
    let number = made["exception"]["number"].as_str().unwrap().to_owned();
    let decided = match state {
        "rejected" => Some(json!({ "approve": false, "answer": "no" })),
        "false_positive" | "deferral" => Some(json!({ "approve": true, "answer": "yes" })),
        _ => None,
    };
    if let Some(decided) = decided {
        world.admin.post(&format!("/api/v1/exceptions/{number}/decision"), &decided).await.expect(200);
    }
    number
}

fn role_may_ask(role: &str) -> bool {
    ["SU", "AD", "VA", "VN", "RO"].contains(&role)
}

/// A rescan of the item, running or failed, asked for by this person or by somebody else.
async fn scan(world: &World, role: &str, relation: &str, state: &str) -> String {
    world.situation("ready").await;
    world.items("open", role, "requester").await;
    // What an earlier case left is over.
    let over = world.server.app().database.write(|tx| {
        tx.execute("UPDATE scan_child SET state = 'complete', ended_at = launching_at, next_at = NULL", &[])?;
        tx.execute("UPDATE scan SET state = 'complete', ended_at = created_at WHERE ended_at IS NULL", &[])
    });
    over.await.unwrap();
    let refused = FaultKind::ErrorWith200 { code: 1905 };
    let faults = if state == "failed" { vec![Fault { times: 0, ..Fault::on("scan", 1, refused) }] } else { Vec::new() };
    world.simulator.set_fault_plan(faults);
    let asker = if relation == "requester" { world.client(role, relation) } else { world.asker.clone() };
    let made = asker.post("/api/v1/scans", &json!({ "items": [world.item] })).await.expect(201);
    let number = made["scan"]["number"].as_str().unwrap().to_owned();
    let wanted = |scan: &Value| match state {
        "failed" => scan["scan"]["state"] == "error",
        _ => scan["children"][0]["reference"].is_string(),
    };
    for _ in 0..1_200 {
        let shown = world.admin.get(&format!("/api/v1/scans/{number}")).await.expect(200);
        if wanted(&shown) {
            return number;
        }
        world.server.clock.advance(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{number} does not get there");
}

async fn empty_instance(world: &World) -> String {
    let new = json!({
        "name": format!("Empty {}", world.made), "api_url": world.simulator.api_url(), "username": "u", "password": "p",
    });
    let made = world.admin.post("/api/v1/instances", &new).await.expect(201);
    made["instance"]["id"].as_i64().unwrap().to_string()
}

/// A run that has ended, or one that waits behind another.
async fn run(world: &World, state: &str) -> String {
    let path = format!("/api/v1/instances/{}/imports", world.instance);
    // What waits does so because the lease is held, by nobody who works.
    let until: i64 = if state == "ended" { 0 } else { 9_000_000_000_000_000 };
    let over = world.server.app().database.write(move |tx| {
        // What an earlier case left waiting would refuse this one.
        tx.execute("UPDATE import_run SET state = 'cancelled', ended_at = queued_at WHERE state = 'queued'", &[])?;
        tx.execute("UPDATE lease SET until_at = $1 WHERE substr(name, 1, 7) = 'import/'", &[&until])
    });
    over.await.unwrap();
    if state == "ended" {
        let ended = world.import("option_profiles").await;
        return ended["number"].as_str().unwrap().to_owned();
    }
    let made = world.admin.post(&path, &json!({ "kind": "option_profiles" })).await.expect(202);
    made["import"]["number"].as_str().unwrap().to_owned()
}

/// Ask.
pub async fn act(world: &World, action: &str, who: &Who, subject: &str) -> Reply {
    let of_instance = |rest: &str| format!("/api/v1/instances/{subject}{rest}");
    match action {
        "item_state" => {
            let to = json!({ "state": "under_investigation" });
            who.post(&format!("/api/v1/items/{subject}/state"), &to).await
        }
        "item_assign" => {
            let to = json!({ "group": "team" });
            who.post(&format!("/api/v1/items/{subject}/assignment"), &to).await
        }
        "task_state" => {
            let to = json!({ "state": "under_investigation" });
            who.post(&format!("/api/v1/tasks/{subject}/state"), &to).await
        }
        "task_assign" => {
            let to = json!({ "group": "team", "assignee": "asker" });
            who.post(&format!("/api/v1/tasks/{subject}/assignment"), &to).await
        }
        "task_split" => who.post(&format!("/api/v1/tasks/{subject}/split"), &json!({ "items": [world.item] })).await,
        "task_edit" => {
            let to = json!({ "title": format!("Title {}", world.made) });
            who.patch(&format!("/api/v1/tasks/{subject}"), &to).await
        }
        "task_fill" => who.post(&format!("/api/v1/tasks/{subject}/items"), &json!({ "add": [world.third] })).await,
        "task_make" => who.post("/api/v1/tasks", &json!({ "items": [subject], "existing": "keep" })).await,
        "note_write" => who.post(&format!("/api/v1/notes/tasks/{subject}"), &json!({ "text": "why" })).await,
        "task_rule" => {
            let new = json!({ "name": format!("Rule {}", world.made), "condition": "qid:1" });
            let made = who.post("/api/v1/rules/tasks", &new).await;
            // There may be so many only.
            if let Some(id) = made.json["rule"]["id"].as_i64() {
                world.admin.delete(&format!("/api/v1/rules/tasks/{id}")).await;
            }
            made
        }
        "note_add" => who.post(&format!("/api/v1/notes/items/{subject}"), &json!({ "text": "seen" })).await,
        "exception_request" => {
            let new = json!({ "kind": "false_positive", "note": "why", "items": [subject] });
            who.post("/api/v1/exceptions", &new).await
        }
        "exception_decide" => {
            let answer = json!({ "approve": true, "answer": "yes" });
            who.post(&format!("/api/v1/exceptions/{subject}/decision"), &answer).await
        }
        "exception_withdraw" => who.post(&format!("/api/v1/exceptions/{subject}/withdraw"), &json!({})).await,
        "exception_revoke" => {
            who.post(&format!("/api/v1/exceptions/{subject}/revoke"), &json!({ "answer": "wrong" })).await
        }
        "rescan_item" => who.post(&format!("/api/v1/items/{subject}/rescan"), &json!({})).await,
        "rescan_task" => who.post(&format!("/api/v1/tasks/{subject}/rescan"), &json!({})).await,
        "rescan_effort" => who.post(&format!("/api/v1/efforts/{subject}/rescan"), &json!({})).await,
        "rescan_list" => who.post("/api/v1/scans", &json!({ "items": [subject] })).await,
        "rescan_asset" => who.post(&format!("/api/v1/assets/{subject}/rescan"), &json!({})).await,
        "scan_cancel" => who.post(&format!("/api/v1/scans/{subject}/cancel"), &json!({ "everybody": true })).await,
        "scan_retry" => who.post(&format!("/api/v1/scans/{subject}/retry"), &json!({ "what": "failed" })).await,
        "scanner_activate" => who.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await,
        "instance_change" => who.patch(&of_instance(""), &json!({ "tracking_hours": 20 + world.made % 20 })).await,
        "instance_disable" => who.patch(&of_instance(""), &json!({ "disabled": true })).await,
        "instance_delete" => who.delete(&of_instance("")).await,
        "schedule_change" => {
            let body = json!({ "when": "every", "minutes": 60 + world.made % 60 });
            who.put(&of_instance("/schedules/host_detection"), &body).await
        }
        "rescan_policy" => {
            let policy = json!({ "policy": {
                "from": "00:00", "until": "00:00", "zone": "UTC", "running_max": 50, "launches_max": 5_000,
                "launches_seconds": 60,
            } });
            who.put(&of_instance("/rescan-policy"), &policy).await
        }
        "appliance_add" => {
            let new = json!({
                "instance_id": world.instance, "name": format!("Made {}", world.made), "key": format!("9{}", world.made),
                "addresses": ["203.0.113.0-203.0.113.9"],
            });
            who.post("/api/v1/appliances", &new).await
        }
        "appliance_edit" => who.patch(&format!("/api/v1/appliances/{subject}"), &json!({ "precedence": 7 })).await,
        "connection_test" => who.post(&of_instance("/test"), &json!({})).await,
        "import_run" => {
            let reply = who.post(&of_instance("/imports"), &json!({ "kind": "option_profiles" })).await;
            if let Some(number) = reply.json["import"]["number"].as_str() {
                world.ended(number).await;
            }
            reply
        }
        "import_cancel" => who.post(&format!("/api/v1/imports/{subject}/cancel"), &json!({})).await,
        "import_file" => {
            let request = who.request(Method::POST, "/api/v1/imports/files?name=hosts.xml&instance=Simulated");
            let request = request.header("content-type", "application/octet-stream").body(FILE);
            let reply = who.send(request).await;
            if let Some(number) = reply.json["import"]["number"].as_str() {
                world.ended(number).await;
            }
            reply
        }
        "rescan_pace" => {
            let pace = json!({ "pace": { "first_seconds": 60, "longest_seconds": 300, "search_seconds": 120 } });
            who.put("/api/v1/settings/rescan-pace", &pace).await
        }
        "rescan_rules" => who.put("/api/v1/settings/rescan-rules", &json!({ "rules": { "by_group": true } })).await,
        _ => panic!("nobody knows how to ask {action}: say so in acts.rs"),
    }
}

/// The page that has the button of an action, or says why there is none.
pub fn page(action: &str, subject: &str) -> Option<String> {
    Some(match action {
        "item_state" | "item_assign" | "exception_request" | "rescan_item" => format!("/items/{subject}"),
        "exception_decide" | "exception_revoke" => format!("/exceptions/{subject}"),
        "task_state" | "task_assign" | "task_split" | "task_edit" | "task_fill" | "note_write" => {
            format!("/tasks/{subject}")
        }
        "rescan_asset" => format!("/assets/{subject}"),
        "rescan_task" => format!("/tasks/{subject}"),
        "rescan_effort" => format!("/efforts/{subject}"),
        "scan_cancel" | "scan_retry" => format!("/scans/{subject}"),
        "scanner_activate" => "/scanners/qualys".to_owned(),
        "instance_change" | "instance_disable" | "instance_delete" | "rescan_policy" | "connection_test" => {
            format!("/instances/{subject}")
        }
        "import_run" => format!("/instances/{subject}"),
        "schedule_change" => format!("/instances/{subject}/schedule"),
        "appliance_add" | "appliance_edit" => "/appliances".to_owned(),
        "import_cancel" => format!("/imports/{subject}"),
        "import_file" => "/imports".to_owned(),
        _ => return None,
    })
}
