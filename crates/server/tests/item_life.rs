//! What becomes of items by themselves, over real HTTP: their due dates, and the rules that close what nothing reports any more.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use domain::time::Timestamp;
use serde_json::{Value, json};
use server::engine::{due, stale};
use std::time::Duration;
use testkit::server::{Client, Reply, TestServer};
use uuid::Uuid;

const DAY: i64 = 86_400;

/// A weakness of host 11 (tag prod) or 12 (tag lab): host, QID, status, score, when it was last found.
type Row = (u32, u32, &'static str, u8, Timestamp);

fn report(rows: &[Row]) -> String {
    let host = |id: u32, tag: &str| {
        let detections: String = rows
            .iter()
            .filter(|(host, ..)| *host == id)
            .map(|(_, qid, status, score, found)| {
                format!(
                    "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY><STATUS>{status}</STATUS>\
                     <QDS severity=\"CRITICAL\">{score}</QDS><LAST_FOUND_DATETIME>{found}</LAST_FOUND_DATETIME></DETECTION>"
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

/// A token that outlives the test's years.
async fn lasting(client: &Client, scopes: &[&str]) -> String {
    let new = json!({ "name": "test", "scopes": scopes, "days": 366 });
    client.post("/api/v1/tokens", &new).await.expect(201)["secret"].as_str().unwrap().to_owned()
}

struct World {
    server: TestServer,
    admin: Client,
    begin: Timestamp,
}

impl World {
    async fn new(server: TestServer) -> World {
        let token = lasting(&server.admin().await, &["read", "items", "integrations"]).await;
        let admin = server.client().with_token(&token);
        let now = server.app().clock.now();
        // Whole seconds, as reports write them.
        let begin = Timestamp::from_micros(now.micros() - now.micros().rem_euclid(1_000_000));
        World { server, admin, begin }
    }

    async fn person(&self, name: &str, role: &str) -> Client {
        let token = lasting(&self.server.user(name, &[role]).await, &["read", "items"]).await;
        self.server.client().with_token(&token)
    }

    fn day(&self, days: i64) -> Timestamp {
        self.begin.plus_seconds(days * DAY)
    }

    async fn import(&self, rows: &[Row]) {
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

    async fn items(&self, q: &str) -> Vec<Value> {
        let found = self.admin.get(&format!("/api/v1/items?limit=500&q={q}")).await.expect(200);
        found["items"].as_array().unwrap().clone()
    }

    async fn item(&self, qid: u32) -> Value {
        self.items(&format!("qid:{qid}")).await[0].clone()
    }

    async fn target(&self, qid: u32) -> String {
        self.item(qid).await["target"].as_str().unwrap().to_owned()
    }

    fn turn(&self, days: i64) {
        self.server.clock.advance(days * DAY);
    }

    /// What the imports of detections cover; none where there was none.
    async fn covered(&self, until: Option<Timestamp>) {
        let write = self.server.app().database.write(move |tx| {
            tx.execute("UPDATE integration_instance SET host_detection_until = $1", &[&until])?;
            tx.execute("UPDATE scanner SET active = $1", &[&true])
        });
        write.await.unwrap();
    }

    /// What somebody asked for is done now; the server's own loop may have been faster.
    async fn look(&self) {
        for _ in 0..200 {
            stale::look(self.server.app(), Uuid::new_v4()).await.unwrap();
            let rules = self.rules().await;
            if rules.iter().all(|rule| rule["asked_by"].is_null()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody goes through the rules");
    }

    async fn rules(&self) -> Vec<Value> {
        self.admin.get("/api/v1/rules/auto-close").await.expect(200)["rules"].as_array().unwrap().clone()
    }

    async fn run(&self, id: i64, how: Value) -> Value {
        let path = format!("/api/v1/rules/auto-close/{id}/run");
        let answer = self.admin.post(&path, &how).await.expect(200);
        self.look().await;
        answer
    }
}

async fn put(client: &Client, path: &str, tag: Option<&str>, body: &Value) -> Reply {
    let mut request = client.request(reqwest::Method::PUT, path);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    client.send(request.json(body)).await
}

testkit::both_servers!(items_are_due_by_the_band_of_their_score, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    let found = world.begin;
    world.import(&[(11, 91, "Active", 95, found), (11, 92, "Active", 30, found), (12, 93, "Active", 75, found)]).await;
    let item = world.item(91).await;
    assert_eq!(item["target"], "in_flight", "{item}");
    let due: Timestamp = item["due_at"].as_str().unwrap().parse().unwrap();
    let opened: Timestamp = item["opened_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(due, opened.plus_seconds(5 * DAY));

    world.turn(3);
    assert_eq!(world.target(91).await, "approaching");
    world.turn(3);
    assert_eq!([world.target(91).await, world.target(93).await], ["missed", "in_flight"]);
    for (q, qids) in [
        ("is:overdue", vec![91]),
        ("not+is:overdue", vec![93, 92]),
        ("target:missed", vec![91]),
        ("target:[in_flight,+approaching]+and+due:<now%2B7d", vec![93]),
    ] {
        let found: Vec<i64> = world.items(q).await.iter().map(|item| item["qid"].as_i64().unwrap()).collect();
        assert_eq!(found, qids, "{q}");
    }
    // What is said to be done does not count, and what it reached is frozen by the import that finds it so.
    let number = item["number"].as_str().unwrap();
    world.admin.post(&format!("/api/v1/items/{number}/state"), &json!({ "state": "resolved" })).await.expect(200);
    assert_eq!(world.target(91).await, "none");
    world.import(&[(11, 91, "Fixed", 95, world.day(6)), (12, 93, "Fixed", 75, world.day(6))]).await;
    assert_eq!([world.target(91).await, world.target(93).await], ["missed", "met"]);

    // Other days: who may, tried first, over what was seen only, and within bounds.
    let path = "/api/v1/settings/due";
    let seen = anna.get(path).await;
    let days = &seen.json["due"]["days"];
    assert_eq!(days, &json!({ "on": true, "critical": 5, "high": 10, "medium": 15, "low": 30, "soon": 3 }));
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let mut other = json!({ "days": days, "dry_run": true });
    other["days"]["low"] = json!(4);
    let refused = put(&anna, path, None, &other).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    let tried = put(&world.admin, path, None, &other).await.expect(200);
    let preview = json!({ "items": 1, "moved": 1, "earlier": 1, "overdue_before": 0, "overdue": 1 });
    assert_eq!(tried["preview"], preview, "{tried}");
    assert_eq!(world.target(92).await, "in_flight", "a dry run changes nothing");
    let mut wrong = other.clone();
    wrong["days"]["high"] = json!(99_999);
    let refused = put(&world.admin, path, None, &wrong).await;
    assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!("high")), "{}", refused.text);
    other["dry_run"] = json!(false);
    let saved = put(&world.admin, path, Some(&tag), &other).await.expect(200);
    assert_eq!(saved["due"]["days"]["low"], 4);
    let late = put(&world.admin, path, Some(&tag), &other).await;
    assert_eq!((late.status, late.code()), (412, "changed_meanwhile"));
    due::look(world.server.app()).await.unwrap();
    assert_eq!(world.target(92).await, "missed");
    assert_eq!([world.target(91).await, world.target(93).await], ["missed", "met"], "what is closed stays as it ended");
    let history =
        anna.get(&format!("/api/v1/items/{}/history", world.item(92).await["number"].as_str().unwrap())).await;
    assert!(history.text.contains("\"due\""), "{}", history.text);
    assert_eq!(anna.get(path).await.expect(200)["due"]["waiting"], 0);
});

testkit::both_servers!(what_nothing_reports_closes_and_any_report_opens_it, |server| async move {
    let world = World::new(server).await;
    let anna = world.person("anna", "vulnerability_analyst").await;
    let found = world.begin;
    let old = [(11, 91, "Active", 95, found), (12, 92, "Active", 50, found)];
    world.import(&old).await;
    let rules = world.rules().await;
    let shipped: Vec<_> = rules.iter().map(|rule| (rule["kind"].as_str().unwrap(), rule["active"] == true)).collect();
    let expected = [("asset_last_scanned", true), ("detection_last_found", true), ("unseen_in_full", false)];
    assert_eq!(shipped, expected);
    let id = rules[1]["id"].as_i64().unwrap();
    assert_eq!(anna.get("/api/v1/rules/auto-close").await.code(), "role_missing");
    assert_eq!(anna.post(&format!("/api/v1/rules/auto-close/{id}/run"), &json!({ "all": true })).await.status, 403);

    // The connection is down for a hundred days: nobody knows what is gone, so nothing is.
    world.covered(Some(world.day(0))).await;
    world.turn(100);
    let tried = world.run(id, json!({ "dry_run": true, "all": true })).await;
    assert_eq!((&tried["dry_run"][0]["held"], &tried["dry_run"][0]["matched"]), (&json!("not_covered"), &json!(0)));
    for all in [false, true] {
        world.run(id, json!({ "all": all })).await;
        assert_eq!(world.items("is:closed").await.len(), 0);
    }
    assert_eq!(world.rules().await[1]["runs"][0]["held"], "not_covered");

    // It is back, and reports one of them.
    world.import(&[(12, 92, "Active", 50, world.day(99))]).await;
    world.covered(Some(world.day(100))).await;
    let tried = world.run(id, json!({ "dry_run": true })).await;
    let judged = json!({ "instance": "Files", "open": 2, "matched": 1, "held": null, "reason": null });
    assert_eq!(tried["dry_run"], json!([judged]), "{tried}");
    assert_eq!(world.items("is:closed").await.len(), 0, "a dry run changes nothing");
    world.run(id, json!({})).await;
    let closed = world.item(91).await;
    assert_eq!((&closed["state"], &closed["substate"]), (&json!("closed"), &json!("stale")), "{closed}");
    assert_eq!(world.item(92).await["state"], "open");
    let path = format!("/api/v1/items/{}/why", closed["number"].as_str().unwrap());
    let why = anna.get(&path).await.expect(200);
    let said = "the auto-close rule \"Detections not found for 90 days\" set it";
    assert_eq!(why["why"][0], said, "{why}");
    let run = &world.rules().await[1]["runs"][0];
    let (by, counts) = (run["by"].as_str().unwrap(), [&run["matched"], &run["closed"]]);
    assert_eq!((by, counts), ("users/admin", [&json!(1), &json!(1)]), "{run}");

    // The same report again wakes it, and the next night leaves it alone.
    world.import(&old[..1]).await;
    let woken = world.item(91).await;
    assert_eq!(
        (&woken["state"], &woken["reopened"], &woken["target"]),
        (&json!("open"), &json!(1), &json!("in_flight"))
    );
    world.covered(Some(world.day(101))).await;
    world.turn(1);
    world.look().await;
    assert_eq!(world.item(91).await["state"], "open");

    // By itself once a day: what was found on day 99 is old on day 190, and then the hour comes.
    world.covered(Some(world.day(191))).await;
    world.turn(90);
    world.look().await;
    assert_eq!(world.items("is:closed").await.len(), 2);
    let runs = world.rules().await;
    let by: Vec<&Value> = runs.iter().flat_map(|rule| rule["runs"].as_array().unwrap()).map(|run| &run["by"]).collect();
    assert!(by.contains(&&json!("engine/stale")), "{by:?}");
});

testkit::both_servers!(much_at_once_waits_for_a_person, |server| async move {
    let world = World::new(server).await;
    let found = world.begin;
    let many: Vec<Row> = (0..1_050).map(|n| (11, 5_000 + n, "Active", 50, found)).collect();
    world.import(&many).await;
    world.turn(100);
    world.covered(Some(world.day(100))).await;
    let id = world.rules().await[1]["id"].as_i64().unwrap();
    world.run(id, json!({})).await;
    assert_eq!(world.items("is:closed").await.len(), 0, "a mistake must not close the estate");
    let run = world.rules().await[1]["runs"][0].clone();
    assert_eq!(
        (&run["held"], &run["matched"], &run["closed"]),
        (&json!("too_many"), &json!(1_050), &json!(0)),
        "{run}"
    );
    assert!(run["reason"].as_str().unwrap().contains("1050 of 1050"), "{run}");
    let tried = world.run(id, json!({ "dry_run": true, "all": true })).await;
    assert_eq!((&tried["dry_run"][0]["held"], &tried["dry_run"][0]["matched"]), (&json!(null), &json!(1_050)));
    // Within a condition it is not too much; what was closed today counts, so the next one waits.
    let path = format!("/api/v1/rules/auto-close/{id}");
    world.admin.patch(&path, &json!({ "condition": "qid:<6000" })).await.expect(200);
    world.run(id, json!({})).await;
    let left = world.admin.get("/api/v1/items?q=is:open&limit=500").await.expect(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 50);
    world.admin.patch(&path, &json!({ "condition": "" })).await.expect(200);
    world.run(id, json!({})).await;
    assert_eq!(world.rules().await[1]["runs"][0]["held"], "too_many");
    world.run(id, json!({ "all": true })).await;
    assert_eq!(world.items("is:open").await.len(), 0);
    assert_eq!(world.rules().await[1]["runs"][0]["closed"], 50);
});

testkit::both_servers!(rules_are_made_changed_and_deleted_by_who_may, |server| async move {
    let world = World::new(server).await;
    let vera = world.person("vera", "vulnerability_administrator").await;
    let path = "/api/v1/rules/auto-close";
    for (field, value) in [
        ("name", json!("a\r\nBcc: eve")),
        ("name", json!("")),
        ("kind", json!("old")),
        ("days", json!(0)),
        ("days", json!(4_000)),
        ("position", json!(-1)),
        ("condition", json!("score:>")),
        ("condition", json!("nothing:1")),
    ] {
        let mut wrong = json!({ "name": "Lab", "kind": "asset_last_scanned", "days": 30 });
        wrong[field] = value;
        let refused = vera.post(path, &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    let new = json!({ "name": "<b>Lab</b>", "kind": "asset_last_scanned", "days": 30, "condition": "asset.tag:lab" });
    let made = vera.post(path, &new).await.expect(201)["rule"].clone();
    assert_eq!([&made["active"], &made["ignore_deferred"], &made["version"]], [&json!(false), &json!(true), &json!(1)]);
    let one = format!("{path}/{}", made["id"]);
    let tag = vera.get(&one).await.headers["etag"].to_str().unwrap().to_owned();
    let change = |active: bool| {
        let request = vera.request(reqwest::Method::PATCH, &one).header("if-match", &tag);
        vera.send(request.json(&json!({ "active": active })))
    };
    let changed = change(true).await.expect(200);
    assert_eq!((&changed["rule"]["active"], &changed["rule"]["days"]), (&json!(true), &json!(30)), "the rest stays");
    let late = change(false).await;
    assert_eq!((late.status, late.code()), (412, "changed_meanwhile"));
    // An account that is kept to some assets must not close those of others.
    let admin = world.server.admin().await;
    let kept = json!({ "name": "sam", "roles": ["vulnerability_administrator"], "scope": ["prod"] });
    let made = admin.post("/api/v1/users", &kept).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap();
    let sam =
        world.server.client().sign_in("sam", once).await.choose_password(once, "a long enough passphrase 7").await;
    for refused in [sam.get(path).await, sam.post(path, &new).await, sam.delete(&one).await] {
        assert_eq!(refused.status, 403, "{}", refused.text);
    }
    assert_eq!(put(&sam, "/api/v1/settings/items", None, &json!({ "defer_again": false })).await.status, 403);

    // The same on pages.
    let page = admin.get("/rules/auto-close").await;
    assert!(
        page.status == 200 && page.text.contains("&#60;b&#62;Lab") && !page.text.contains("<b>Lab"),
        "{}",
        page.text
    );
    let id = changed["rule"]["id"].as_i64().unwrap();
    let dialog = admin.get(&format!("/rules/auto-close/{id}")).await;
    assert!(dialog.text.contains("version=2") && dialog.text.contains("asset.tag:lab"), "{}", dialog.text);
    let fields = [("name", "Lab"), ("kind", "unseen_in_full"), ("days", "x"), ("condition", ""), ("position", "5")];
    let wrong = admin.form(&format!("/rules/auto-close/{id}?version=2"), &fields).await;
    assert!(wrong.status == 422 && wrong.text.contains("full pulls"), "{}", wrong.text);
    let fields = [("name", "Lab"), ("kind", "unseen_in_full"), ("days", "3"), ("condition", ""), ("position", "5")];
    assert_eq!(admin.form(&format!("/rules/auto-close/{id}?version=1"), &fields).await.status, 412);
    assert_eq!(admin.form(&format!("/rules/auto-close/{id}?version=2"), &fields).await.status, 303);
    let run = admin.get(&format!("/rules/auto-close/{id}/run")).await;
    assert!(run.text.contains("Run &#34;Lab&#34;") || run.text.contains("Run &quot;Lab&quot;"), "{}", run.text);
    assert_eq!(admin.form(&format!("/rules/auto-close/{id}/delete?version=3"), &[]).await.status, 303);
    assert_eq!(vera.get(&one).await.status, 404);
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_show_what_is_due_and_assign_many() {
    let world = World::new(TestServer::start().await).await;
    let found = world.begin;
    world.import(&[(11, 91, "Active", 95, found), (12, 93, "Active", 75, found)]).await;
    world.turn(6);
    let anna = world.server.user("anna", &["vulnerability_analyst"]).await;
    let text = async |path: &str| {
        let reply = anna.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.text
    };
    let list = text("/items?q=is%3Aoverdue").await;
    assert!(list.contains("Target missed") && list.contains("Due this week") && !list.contains("QID 93"), "{list}");
    let number = world.item(91).await["number"].as_str().unwrap().to_owned();
    let page = text(&format!("/items/{number}")).await;
    assert!(page.contains("Target missed") && page.contains("id=\"why\""), "{page}");

    let two = world.item(93).await["number"].as_str().unwrap().to_owned();
    let bulk = anna.form("/items/assign", &[("row", &number), ("row", &two)]).await;
    let place = bulk.headers["location"].to_str().unwrap().to_owned();
    let dialog = text(&place).await;
    assert!(dialog.contains("2 items. Each gets this person and this group"), "{dialog}");
    let wrong = anna.form(&place, &[("assignee", "nobody"), ("group", "")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let sent = anna.form(&place, &[("assignee", "anna"), ("group", "")]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    assert_eq!(world.items("assignee:anna").await.len(), 2);

    let admin = world.server.admin().await;
    let dialog = admin.get("/settings/due").await;
    assert!(dialog.text.contains("version=0") && dialog.text.contains("Show what it would change"), "{}", dialog.text);
    let fields = |act: &'static str| {
        [("on", "yes"), ("critical", "9"), ("high", "10"), ("medium", "15"), ("low", "30"), ("soon", "3"), ("act", act)]
    };
    let tried = admin.form("/settings/due?version=0", &fields("try")).await;
    assert!(tried.text.contains("Of 2 open items 1 would get another date"), "{}", tried.text);
    assert_eq!(admin.form("/settings/due?version=0", &fields("save")).await.status, 303);
    assert_eq!(admin.form("/settings/due?version=0", &fields("save")).await.status, 412);
    due::look(world.server.app()).await.unwrap();
    assert_eq!(world.target(91).await, "approaching");
    assert!(admin.get("/settings/items").await.text.contains("366"));
    let wrong = admin.form("/settings/items", &[("defer_again", "no"), ("exception_days_max", "0")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let sent = admin.form("/settings/items", &[("defer_again", "no"), ("exception_days_max", "30")]).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
}
