//! Exceptions over real HTTP: asked for, decided by somebody else, and what ends by itself; who must not do what.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use serde_json::{Value, json};
use server::engine::exceptions;
use std::time::Duration;
use testkit::server::{Client, TestServer};

const DAY: i64 = 86_400;

/// A report of hosts 11 (tag prod) and 12 (tag lab): what is on which of them with which status.
fn report(rows: &[(u32, u32, &str)]) -> String {
    let host = |id: u32, tag: &str| {
        let detections: String = rows
            .iter()
            .filter(|(host, ..)| *host == id)
            .map(|(_, qid, status)| {
                format!(
                    "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>{status}</STATUS>\
                     <QDS severity=\"CRITICAL\">95</QDS></DETECTION>"
                )
            })
            .collect();
        format!(
            "<HOST><ID>{id}</ID><IP>192.0.2.{id}</IP><TRACKING_METHOD>IP</TRACKING_METHOD><OS>Ubuntu</OS>\
             <DNS>h{id}.example</DNS><TAGS><TAG><TAG_ID>{id}</TAG_ID><NAME>{tag}</NAME></TAG></TAGS>\
             <DETECTION_LIST>{detections}</DETECTION_LIST></HOST>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
         <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>{}{}</HOST_LIST></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>",
        host(11, "prod"),
        host(12, "lab")
    )
}

struct World {
    server: TestServer,
    admin: Client,
}

impl World {
    async fn new(server: TestServer) -> World {
        let token = server.admin().await.make_token(&["read", "items", "integrations"]).await;
        let admin = server.client().with_token(&token);
        World { server, admin }
    }

    /// Somebody by a token: the clock turns faster than a session lives.
    async fn person(&self, name: &str, role: &str) -> Client {
        let token = self.server.user(name, &[role]).await.make_token(&["read", "items"]).await;
        self.server.client().with_token(&token)
    }

    async fn import(&self, rows: &[(u32, u32, &str)]) {
        let path = "/api/v1/imports/files?name=hosts.xml";
        let request =
            self.admin.request(reqwest::Method::POST, path).header("content-type", "application/octet-stream");
        let begun = self.admin.send(request.body(report(rows))).await.expect(202);
        let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().unwrap());
        for _ in 0..1_200 {
            let run = self.admin.get(&path).await.expect(200);
            if run["import"]["state"] != "running" {
                assert_eq!(run["import"]["state"], "complete", "{run}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the import does not end");
    }

    async fn item(&self, host: u32, qid: u32) -> Value {
        let path = format!("/api/v1/items?q=asset.ip:192.0.2.{host}+qid:{qid}");
        self.admin.get(&path).await.expect(200)["items"][0].clone()
    }

    async fn number(&self, host: u32, qid: u32) -> String {
        self.item(host, qid).await["number"].as_str().unwrap().to_owned()
    }

    async fn is(&self, host: u32, qid: u32, state: &str, substate: &str) {
        let item = self.item(host, qid).await;
        assert_eq!((&item["state"], &item["substate"]), (&json!(state), &json!(substate)), "{item}");
    }

    fn until(&self, days: i64) -> String {
        self.server.app().clock.now().plus_seconds(days * DAY).to_string()
    }

    fn deferral(&self, items: &[&String], days: i64) -> Value {
        json!({
            "kind": "deferral", "reason": "risk_accepted", "note": "<b>no</b> fix\r\nBcc: eve", "until": self.until(days),
            "items": items,
        })
    }

    async fn turn(&self, days: i64) {
        self.server.clock.advance(days * DAY);
        exceptions::look(self.server.app()).await.unwrap();
    }
}

fn vca(asked: &Value) -> String {
    asked["exception"]["number"].as_str().unwrap().to_owned()
}

async fn decide(client: &Client, number: &str, approve: bool) -> testkit::server::Reply {
    client.post(&format!("/api/v1/exceptions/{number}/decision"), &json!({ "approve": approve, "answer": "so" })).await
}

testkit::both_servers!(a_deferral_is_asked_for_decided_by_another_and_ends, |server| async move {
    let world = World::new(server).await;
    let (anna, vera) = (
        world.person("anna", "vulnerability_analyst").await,
        world.person("vera", "vulnerability_administrator").await,
    );
    let open = [(11, 91, "Active"), (11, 92, "Active"), (12, 91, "Active")];
    world.import(&open).await;
    let (one, two) = (world.number(11, 91).await, world.number(12, 91).await);

    // Nothing is asked for in vain: dates, reasons and notes are checked before anything changes.
    for (field, value) in [
        ("until", json!(world.until(-1))),
        ("until", json!("9000-12-31T00:00:00Z")),
        ("until", json!(null)),
        ("note", json!(" ")),
        ("reason", json!("fixed")),
        ("kind", json!("cancelled")),
        ("items", json!([])),
    ] {
        let mut wrong = world.deferral(&[&one], 10);
        wrong[field] = value;
        let refused = anna.post("/api/v1/exceptions", &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    world.is(11, 91, "open", "").await;

    let missing = "VIT9999999".to_owned();
    let asked = anna.post("/api/v1/exceptions", &world.deferral(&[&one, &two, &missing, &one], 10)).await.expect(201);
    let number = vca(&asked);
    assert_eq!((&asked["exception"]["items"], &asked["left_out_count"]), (&json!(2), &json!(1)), "{asked}");
    assert_eq!((&asked["left_out"][0]["item"], &asked["left_out"][0]["code"]), (&json!(missing), &json!("not_found")));
    world.is(11, 91, "in_review", "").await;
    let moved = anna.post(&format!("/api/v1/items/{one}/state"), &json!({ "state": "resolved" })).await;
    assert_eq!((moved.status, moved.code()), (409, "in_review"));
    let twice = anna.post("/api/v1/exceptions", &world.deferral(&[&one], 10)).await;
    assert_eq!((twice.status, twice.code()), (409, "exception_open"));

    // Who asked never decides, not with another proof either; an analyst may not at all; nobody decides what he has not seen.
    let own = vera.post("/api/v1/exceptions", &world.deferral(&[&world.number(11, 92).await], 10)).await.expect(201);
    let refused = decide(&vera, &vca(&own), true).await;
    assert_eq!((refused.status, refused.code()), (409, "own_request"));
    let refused = decide(&anna, &number, true).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    let reading = world.server.user("rolf", &["vulnerability_administrator"]).await.make_token(&["read"]).await;
    let refused = decide(&world.server.client().with_token(&reading), &number, true).await;
    assert_eq!((refused.status, refused.code()), (403, "token_scope"));
    let path = format!("/api/v1/exceptions/{number}/decision");
    let stale = vera.request(reqwest::Method::POST, &path).header("if-match", "\"v7\"");
    assert_eq!(vera.send(stale.json(&json!({ "approve": true }))).await.status, 412);
    world.is(11, 91, "in_review", "").await;

    let seen = vera.request(reqwest::Method::POST, &path).header("if-match", "\"v1\"");
    let done = vera.send(seen.json(&json!({ "approve": true }))).await.expect(200);
    assert_eq!((&done["exception"]["state"], &done["exception"]["decided_by"]), (&json!("approved"), &json!("vera")));
    world.is(11, 91, "deferred", "risk_accepted").await;
    let again = decide(&world.admin, &number, false).await;
    assert_eq!((again.status, again.code()), (409, "exception_decided"));
    let why = anna.get(&format!("/api/v1/items/{one}/why")).await.expect(200);
    assert!(
        why["why"][0].as_str().unwrap().contains(&number) && why["why"][1].as_str().unwrap().contains("until"),
        "{why}"
    );
    let listed = anna.get(&format!("/api/v1/items?q=exception:{number}+is:deferred+is:open")).await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{listed}");

    // Imports: still there stays deferred, gone closes, and back within the time is deferred again.
    world.import(&open).await;
    world.is(11, 91, "deferred", "risk_accepted").await;
    world.import(&[(11, 91, "Fixed"), (12, 91, "Active")]).await;
    world.is(11, 91, "closed", "fixed").await;
    world.import(&[(11, 91, "Re-Opened"), (12, 91, "Active")]).await;
    world.is(11, 91, "deferred", "risk_accepted").await;
    assert_eq!(world.item(11, 91).await["reopened"], 1);
    // A person ends his own part of it early.
    world.admin.post(&format!("/api/v1/items/{two}/state"), &json!({ "state": "open" })).await.expect(200);
    world.is(12, 91, "open", "").await;

    world.turn(9).await;
    world.is(11, 91, "deferred", "risk_accepted").await;
    world.turn(1).await;
    world.is(11, 91, "open", "").await;
    let why = anna.get(&format!("/api/v1/items/{one}/why")).await.expect(200);
    assert_eq!(why["why"][0], "what was granted to it ended");
    let history = anna.get(&format!("/api/v1/items/{one}/history")).await.expect(200);
    let causes: Vec<&Value> = history["history"].as_array().unwrap().iter().map(|line| &line["cause"]).collect();
    assert!(causes.contains(&&json!("users/vera")) && causes.contains(&&json!("engine/exceptions")), "{causes:?}");
});

testkit::both_servers!(a_false_positive_stays_closed_until_it_is_revoked, |server| async move {
    let world = World::new(server).await;
    let (anna, vera) = (
        world.person("anna", "vulnerability_analyst").await,
        world.person("vera", "vulnerability_administrator").await,
    );
    world.import(&[(11, 91, "Active"), (12, 91, "Active"), (12, 92, "Active")]).await;
    let one = world.number(11, 91).await;
    let ask = |note: &str| json!({ "kind": "false_positive", "note": note, "q": "asset.ip:192.0.2.11 and qid:91" });
    let mut with_end = ask("wrong");
    with_end["until"] = json!(world.until(5));
    let refused = anna.post("/api/v1/exceptions", &with_end).await;
    assert_eq!(
        (refused.status, &refused.json["errors"][0]["field"]),
        (422, &json!("until")),
        "only who decides says it"
    );

    // Refused, it is again what it was.
    anna.post(&format!("/api/v1/items/{one}/state"), &json!({ "state": "under_investigation" })).await.expect(200);
    let number = vca(&anna.post("/api/v1/exceptions", &ask("wrong")).await.expect(201));
    assert_eq!(decide(&vera, &number, false).await.expect(200)["exception"]["state"], "rejected");
    world.is(11, 91, "under_investigation", "").await;
    // Withdrawn by who asked and nobody else, the same.
    let number = vca(&anna.post("/api/v1/exceptions", &ask("wrong")).await.expect(201));
    let refused = vera.post(&format!("/api/v1/exceptions/{number}/withdraw"), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "not_your_request"));
    let back = anna.post(&format!("/api/v1/exceptions/{number}/withdraw"), &json!({})).await.expect(200);
    assert_eq!(back["exception"]["state"], "withdrawn");
    world.is(11, 91, "under_investigation", "").await;
    // Without an answer it lapses, and the item is open.
    let number = vca(&anna.post("/api/v1/exceptions", &ask("wrong")).await.expect(201));
    world.turn(29).await;
    world.is(11, 91, "in_review", "").await;
    world.turn(1).await;
    world.is(11, 91, "open", "").await;
    let lapsed = anna.get(&format!("/api/v1/exceptions/{number}")).await.expect(200);
    assert_eq!(lapsed["exception"]["state"], "lapsed");
    let late = decide(&vera, &number, true).await;
    assert_eq!((late.status, late.code()), (409, "exception_decided"));
    // What closes before the decision makes it obsolete.
    let number = vca(&anna.post("/api/v1/exceptions", &ask("wrong")).await.expect(201));
    world.import(&[(11, 91, "Fixed")]).await;
    world.is(11, 91, "closed", "fixed").await;
    let over = anna.get(&format!("/api/v1/exceptions/{number}")).await.expect(200);
    assert_eq!(
        (&over["exception"]["state"], &over["exception"]["overtaken"]),
        (&json!("obsolete"), &json!(1)),
        "{over}"
    );
    let late = decide(&vera, &number, true).await;
    assert_eq!((late.status, late.code()), (409, "exception_decided"));
    let closed = anna.post("/api/v1/exceptions", &ask("wrong")).await;
    assert_eq!((closed.status, closed.code()), (409, "item_closed"));

    world.import(&[(11, 91, "Re-Opened")]).await;
    let number = vca(&anna.post("/api/v1/exceptions", &ask("the banner lies")).await.expect(201));
    decide(&vera, &number, true).await.expect(200);
    for status in ["Active", "Fixed", "Re-Opened", "New", "Active"] {
        world.import(&[(11, 91, status)]).await;
        world.is(11, 91, "closed", "false_positive").await;
    }
    let refused = vera.post(&format!("/api/v1/items/{one}/state"), &json!({ "state": "open" })).await;
    assert_eq!((refused.status, refused.code()), (409, "item_closed"));
    let why = json!({ "answer": "it does not" });
    let path = format!("/api/v1/exceptions/{number}/revoke");
    let refused = anna.post(&path, &why).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    assert_eq!(vera.post(&path, &why).await.expect(200)["exception"]["state"], "revoked");
    world.is(11, 91, "open", "").await;
    let again = vera.post(&path, &why).await;
    assert_eq!((again.status, again.code()), (409, "not_approved"));
    // With an end it opens by itself: an unchanged report would not do it.
    let number = vca(&anna.post("/api/v1/exceptions", &ask("the banner lies")).await.expect(201));
    let decision = json!({ "approve": true, "until": world.until(5) });
    vera.post(&format!("/api/v1/exceptions/{number}/decision"), &decision).await.expect(200);
    world.import(&[(11, 91, "Active")]).await;
    let hidden = anna.get("/api/v1/items?q=substate:false_positive").await.expect(200);
    assert_eq!(hidden["items"].as_array().unwrap().len(), 1);
    world.turn(4).await;
    world.is(11, 91, "closed", "false_positive").await;
    world.turn(1).await;
    world.is(11, 91, "open", "").await;
});

testkit::both_servers!(an_exception_is_clipped_to_what_one_may_see, |server| async move {
    let world = World::new(server).await;
    let admin = world.server.admin().await;
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    let (prod, lab) = (world.number(11, 91).await, world.number(12, 91).await);
    let rita = world.person("rita", "remediation_owner").await;
    let kept = json!({ "name": "sam", "roles": ["vulnerability_administrator"], "scope": ["prod"] });
    let made = admin.post("/api/v1/users", &kept).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap();
    let sam =
        world.server.client().sign_in("sam", once).await.choose_password(once, "a long enough passphrase 7").await;

    let both = vca(&world.admin.post("/api/v1/exceptions", &world.deferral(&[&prod, &lab], 10)).await.expect(201));
    let shown = sam.get(&format!("/api/v1/exceptions/{both}")).await.expect(200);
    assert_eq!(shown["exception"]["items"], 1, "the other one is not counted: {shown}");
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "nor shown");
    let refused = decide(&sam, &both, true).await;
    assert_eq!((refused.status, refused.code()), (403, "partly_out_of_scope"));
    let nothing = sam.get(&format!("/api/v1/exceptions?q=item:{}", lab.trim_start_matches("VIT"))).await.expect(200);
    assert_eq!(nothing["exceptions"], json!([]));
    world.admin.post(&format!("/api/v1/exceptions/{both}/withdraw"), &json!({})).await.expect(200);

    let far = vca(&world.admin.post("/api/v1/exceptions", &world.deferral(&[&lab], 10)).await.expect(201));
    assert_eq!(sam.get(&format!("/api/v1/exceptions/{far}")).await.status, 404);
    assert_eq!(decide(&sam, &far, true).await.status, 404);
    let outside = sam.post("/api/v1/exceptions", &world.deferral(&[&lab], 10)).await;
    assert_eq!(outside.status, 404);

    // A remediation owner asks for what is assigned to him, and keeps sight of what he asked for.
    let refused = rita.post("/api/v1/exceptions", &world.deferral(&[&prod], 10)).await;
    assert_eq!((refused.status, refused.code()), (403, "not_assigned"));
    assert_eq!(rita.get("/api/v1/exceptions").await.expect(200)["exceptions"], json!([]));
    let give = |to: &str| json!({ "assignee": to });
    let path = format!("/api/v1/items/{prod}/assignment");
    world.admin.post(&path, &give("rita")).await.expect(200);
    let own = vca(&rita.post("/api/v1/exceptions", &world.deferral(&[&prod, &lab], 10)).await.expect(201));
    world.admin.post(&path, &give("admin")).await.expect(200);
    let listed = rita.get("/api/v1/exceptions").await.expect(200);
    assert_eq!(listed["exceptions"][0]["number"], own.as_str(), "{listed}");
    let refused = decide(&rita, &own, true).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    decide(&sam, &own, true).await.expect(200);
    world.is(11, 91, "deferred", "risk_accepted").await;
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_ask_decide_and_show() {
    let world = World::new(TestServer::start().await).await;
    let (anna, vera) = (
        world.server.user("anna", &["vulnerability_analyst"]).await,
        world.server.user("vera", &["vulnerability_administrator"]).await,
    );
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    let (one, two) = (world.number(11, 91).await, world.number(12, 91).await);
    let text = async |client: &Client, path: &str| {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.text
    };
    assert!(text(&anna, "/exceptions").await.contains("No exceptions yet"));
    let page = text(&anna, &format!("/items/{one}")).await;
    assert!(page.contains(&format!("/items/{one}/exception")) && page.contains("Why"), "{page}");
    let dialog = text(&anna, &format!("/items/{one}/exception")).await;
    assert!(dialog.contains("False positive: the scanner is wrong") && dialog.contains("type=\"date\""), "{dialog}");
    let wrong = [("reason", "other"), ("until", "2001-01-01"), ("note", "<i>because</i>")];
    let again = anna.form(&format!("/items/{one}/exception"), &wrong).await;
    assert!(again.status == 422 && again.text.contains("The end lies in the past."), "{}", again.text);

    let bulk = anna.form("/items/exception", &[("row", &one), ("row", &two)]).await;
    let place = bulk.headers["location"].to_str().unwrap().to_owned();
    assert!(text(&anna, &place).await.contains("For 2 items."));
    let day = &world.until(20)[..10];
    let sent = anna.form(&place, &[("reason", "other"), ("until", day), ("note", "<i>because</i>")]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let list = text(&vera, "/exceptions?q=is%3Aopen").await;
    assert!(list.contains("VCA0000001") && list.contains("&#60;i&#62;because"), "{list}");
    let record = text(&vera, "/exceptions/VCA0000001").await;
    assert!(
        record.contains(&one) && record.contains(&two) && record.contains("/approve") && !record.contains("<i>bec")
    );
    let own = text(&anna, "/exceptions/VCA0000001").await;
    assert!(own.contains("aria-disabled=\"true\"") && own.contains("/withdraw"), "{own}");
    assert_eq!(anna.get("/exceptions/VCA0000001/approve").await.status, 403);
    let dialog = text(&vera, "/exceptions/VCA0000001/approve").await;
    assert!(dialog.contains("seen=1"), "{dialog}");
    let late = vera.form("/exceptions/VCA0000001/approve?seen=9", &[]).await;
    assert_eq!(late.status, 412, "{}", late.text);
    let empty = vera.form("/exceptions/VCA0000001/reject?seen=1", &[("answer", "")]).await;
    assert_eq!(empty.status, 422, "{}", empty.text);
    let done = vera.form("/exceptions/VCA0000001/approve?seen=1", &[]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    world.is(11, 91, "deferred", "other").await;
    let page = text(&anna, &format!("/items/{one}")).await;
    assert!(page.contains("Deferred until") && page.contains("/exceptions/VCA0000001"), "{page}");
    let tab = text(&anna, "/items?q=is%3Adeferred").await;
    assert!(tab.contains(&two), "{tab}");
}

testkit::both_servers!(several_items_are_changed_at_once_and_the_others_counted, |server| async move {
    let world = World::new(server).await;
    let rita = world.person("rita", "remediation_owner").await;
    world.import(&[(11, 91, "Active"), (11, 92, "Active"), (11, 93, "Active"), (12, 91, "Active")]).await;
    let (one, two) = (world.number(11, 91).await, world.number(11, 92).await);
    let change = async |client: &Client, body: Value| client.post("/api/v1/items/changes", &body).await;
    for wrong in [
        json!({ "items": [one] }),
        json!({ "items": [one], "state": "open", "assignment": {} }),
        json!({ "items": [], "state": "open" }),
        json!({ "items": [one], "state": "gone" }),
        json!({ "items": [one], "assignment": { "assignee": "nobody" } }),
    ] {
        assert_eq!(change(&world.admin, wrong.clone()).await.status, 422, "{wrong}");
    }
    let given = json!({ "items": [one, two, one], "assignment": { "assignee": "rita" } });
    let done = change(&world.admin, given.clone()).await.expect(200);
    assert_eq!((&done["changed"], &done["unchanged"]), (&json!(2), &json!(0)), "{done}");
    let again = change(&world.admin, given).await.expect(200);
    assert_eq!((&again["changed"], &again["unchanged"]), (&json!(0), &json!(2)), "{again}");

    // Each as it could be changed alone: not what is somebody else's, not what is in review, nothing closed by people.
    world.admin.post("/api/v1/exceptions", &world.deferral(&[&two], 5)).await.expect(201);
    let all = json!({ "items": [one, two, world.number(12, 91).await, "VIT9999999"], "state": "resolved" });
    let done = change(&rita, all).await.expect(200);
    let refused: Vec<(&str, i64)> = done["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["code"].as_str().unwrap(), one["count"].as_i64().unwrap()))
        .collect();
    assert_eq!(done["changed"], 1, "{done}");
    for code in ["in_review", "not_assigned", "not_found"] {
        assert!(refused.contains(&(code, 1)), "{code}: {done}");
    }
    world.is(11, 91, "resolved", "").await;
    world.is(12, 91, "open", "").await;
    let none = change(&world.admin, json!({ "q": "is:open", "state": "closed" })).await;
    assert_eq!((none.status, none.code()), (409, "closed_by_import"));
    let rest = change(&world.admin, json!({ "q": "state:open", "state": "under_investigation" })).await.expect(200);
    assert_eq!((&rest["changed"], &rest["refused"]), (&json!(2), &json!([])), "{rest}");
    let audit = world.server.admin().await.get("/api/v1/audit?q=action:item.state&limit=10").await.expect(200);
    let named = |entry: &Value| entry["detail"]["items"].as_array().map(Vec::len);
    assert!(audit["entries"].as_array().unwrap().iter().any(|entry| named(entry) == Some(2)), "{audit}");

    let browser = world.server.admin().await;
    let number = world.number(11, 93).await;
    let place = browser.form("/items/state", &[("row", &number)]).await;
    let place = place.headers["location"].to_str().unwrap().to_owned();
    let dialog = browser.get(&place).await;
    assert!(dialog.status == 200 && dialog.text.contains("Of 1 item."), "{}", dialog.text);
    let wrong = browser.form(&place, &[("state", "under_investigation")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert_eq!(browser.form(&place, &[("state", "resolved")]).await.status, 303);
    world.is(11, 93, "resolved", "").await;
});

testkit::both_servers!(what_holds_of_deferrals_is_a_setting, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    world.import(&[(11, 91, "Active"), (12, 91, "Active")]).await;
    let one = world.number(11, 91).await;
    let path = "/api/v1/settings/items";
    let seen = anna.get(path).await.expect(200);
    assert_eq!(seen["items"], json!({ "defer_again": true, "exception_days_max": 366 }));
    let refused = anna.put(path, &json!({ "defer_again": false })).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    for days in [0, 3_651] {
        let refused = world.admin.put(path, &json!({ "exception_days_max": days })).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!("exception_days_max")));
    }
    let vera = world.person("vera", "vulnerability_administrator").await;
    let kept = vera.put(path, &json!({ "exception_days_max": 20 })).await.expect(200);
    assert_eq!(kept["items"], json!({ "defer_again": true, "exception_days_max": 20 }), "the rest stays");

    let refused = anna.post("/api/v1/exceptions", &world.deferral(&[&one], 21)).await;
    assert_eq!((refused.status, &refused.json["errors"][0]["code"]), (422, &json!("too_far")), "{}", refused.text);
    let number = vca(&anna.post("/api/v1/exceptions", &world.deferral(&[&one], 20)).await.expect(201));
    // What was asked for when more was allowed is not granted any more.
    vera.put(path, &json!({ "exception_days_max": 10 })).await.expect(200);
    let refused = decide(&vera, &number, true).await;
    assert_eq!((refused.status, &refused.json["errors"][0]["code"]), (422, &json!("too_far")), "{}", refused.text);
    vera.put(path, &json!({ "exception_days_max": 366 })).await.expect(200);
    decide(&vera, &number, true).await.expect(200);

    // Found again within its time: deferred again, or open where that is not wanted.
    world.import(&[(11, 91, "Fixed")]).await;
    world.import(&[(11, 91, "Re-Opened")]).await;
    world.is(11, 91, "deferred", "risk_accepted").await;
    vera.put(path, &json!({ "defer_again": false })).await.expect(200);
    world.import(&[(11, 91, "Active")]).await;
    world.is(11, 91, "deferred", "risk_accepted").await;
    world.import(&[(11, 91, "Fixed")]).await;
    world.import(&[(11, 91, "Re-Opened")]).await;
    world.is(11, 91, "open", "").await;
});
