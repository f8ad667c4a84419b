//! A server and a simulated Qualys subscription whose clocks are turned together, so that a scan is as far as the walk
//! wants it to be.

use super::driver::Browser;
use domain::time::Timestamp;
use qualys_sim::{ClockMode, Limits, Options, Outcome, Simulator};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::server::{Client, START_MICROS, TestServer};

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);

/// Both, and the SuperUser by a token: the clocks turn faster than his session lives.
pub struct World {
    pub server: TestServer,
    pub simulator: Simulator,
    api: Client,
    pub instance: i64,
}

/// An item, and where the simulator has it.
#[derive(Clone, Debug)]
pub struct Found {
    pub number: String,
    pub qid: u32,
    pub host: u64,
    pub asset: i64,
    pub name: String,
    pub title: String,
}

impl World {
    /// Everything imported once, the scanner inactive as it is at first, no default option profile chosen.
    pub async fn start() -> World {
        let server = TestServer::start().await;
        // No limits: the clocks stand still, so nobody could wait for one.
        let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
        let clock = ClockMode::Manual(Timestamp::from_micros(START_MICROS).to_jiff());
        let options = Options { hosts: 6, limits, clock, ..Options::default() };
        let simulator = Simulator::start(options).await.expect("the simulator starts");
        let token = server.admin().await.make_token(&["read", "items", "rescans", "integrations"]).await;
        let api = server.client().with_token(&token);
        let new = json!({
            "name": "Qualys EU", "api_url": simulator.api_url(), "username": simulator.username(),
            "password": simulator.password(),
        });
        let made = api.post("/api/v1/instances", &new).await.expect(201);
        let instance = made["instance"]["id"].as_i64().expect("a key");
        let world = World { server, simulator, api, instance };
        let path = format!("/api/v1/instances/{instance}/imports");
        let begun = world.api.post(&path, &json!({ "kind": "everything" })).await.expect(202);
        world.imported(begun["import"]["number"].as_str().expect("a number")).await;
        world
    }

    /// Wait for the end of an import.
    async fn imported(&self, number: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let run = self.api.get(&format!("/api/v1/imports/{number}")).await.expect(200);
            if run["import"]["state"] != "running" {
                assert_eq!(run["import"]["state"], "complete", "{run}");
                return;
            }
            assert!(Instant::now() < until, "the import does not end: {run}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Wait until no import of the instance runs.
    pub async fn all_imported(&self) {
        let runs = self.api.get("/api/v1/imports?limit=20").await.expect(200);
        for run in runs["imports"].as_array().expect("a list") {
            self.imported(run["number"].as_str().expect("a number")).await;
        }
    }

    /// Turn the clocks until a scheduled import of a kind has come and ended, and the scans of before are over.
    pub async fn by_schedule(&self, browser: &Browser, kind: &str) {
        let schedule = format!("/api/v1/instances/{}/schedules/{kind}", self.instance);
        self.api.put(&schedule, &json!({ "when": "every", "minutes": 60 })).await.expect(200);
        let until = Instant::now() + PATIENCE;
        while self.simulator.scans().iter().any(|scan| !scan.has_ended()) {
            self.glance(browser, 30).await;
            assert!(Instant::now() < until, "scans do not end");
        }
        let begun = self.server.app().clock.now().to_string();
        loop {
            let runs = self.api.get("/api/v1/imports?limit=50").await.expect(200);
            let come = |run: &&Value| {
                run["kind"] == kind && run["state"] == "complete" && run["started_at"].as_str() > Some(begun.as_str())
            };
            if runs["imports"].as_array().expect("a list").iter().any(|run| come(&run)) {
                return;
            }
            self.glance(browser, 60).await;
            assert!(Instant::now() < until, "no import by schedule comes: {runs}");
        }
    }

    /// How many imports there were.
    pub async fn imports(&self) -> usize {
        let runs = self.api.get("/api/v1/imports?limit=200").await.expect(200);
        runs["imports"].as_array().expect("a list").len()
    }

    /// The scanner active and the source of items, with a default profile.
    pub async fn ready(&self) {
        self.api.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
        let profile = json!({ "default_profile": "510001" });
        self.api.patch(&format!("/api/v1/instances/{}", self.instance), &profile).await.expect(200);
        self.advance(60);
        let path = format!("/api/v1/instances/{}/imports", self.instance);
        let begun = self.api.post(&path, &json!({ "kind": "everything" })).await.expect(202);
        self.imported(begun["import"]["number"].as_str().expect("a number")).await;
    }

    /// Give an item to somebody.
    pub async fn assign(&self, item: &Found, name: &str) {
        let path = format!("/api/v1/items/{}/assignment", item.number);
        self.api.post(&path, &json!({ "assignee": name })).await.expect(200);
    }

    /// A remediation task of these items for somebody.
    pub async fn task(&self, items: &[&Found], name: &str) -> String {
        let numbers: Vec<&str> = items.iter().map(|item| item.number.as_str()).collect();
        let new = json!({ "items": numbers, "title": "Patch them", "assignee": name });
        let made = self.api.post("/api/v1/tasks", &new).await.expect(201);
        made["tasks"][0].as_str().expect("a number").to_owned()
    }

    /// An effort of these items that somebody leads, once it is filled.
    pub async fn effort(&self, items: &[&Found], name: &str) -> String {
        let numbers: Vec<&str> = items.iter().map(|item| item.number.as_str()).collect();
        let new = json!({ "items": numbers, "title": "Before the audit", "owner": name });
        let made = self.api.post("/api/v1/efforts", &new).await.expect(201);
        let effort = made["effort"]["number"].as_str().expect("a number").to_owned();
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.api.get(&format!("/api/v1/efforts/{effort}")).await.expect(200);
            if shown["effort"]["state"] != "filling" {
                return effort;
            }
            assert!(Instant::now() < until, "{effort} is not filled: {shown}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Turn both clocks.
    pub fn advance(&self, seconds: i64) {
        self.simulator.step_clock(jiff::SignedDuration::from_secs(seconds));
        self.server.clock.advance(seconds);
    }

    /// Open items on hosts of their own, the last behind an appliance and in a network of its own.
    pub async fn items(&self, count: usize) -> Vec<Found> {
        let list = self.api.get("/api/v1/items?q=is:open+platform:linux+qid<901000&limit=200").await.expect(200);
        let mut found: Vec<Found> = Vec::new();
        for item in list["items"].as_array().expect("a list") {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            let shown = self.api.get(&format!("/api/v1/items/{}", text("number"))).await.expect(200);
            let one = Found {
                number: text("number"),
                qid: u32::try_from(item["qid"].as_i64().expect("a number")).expect("small"),
                host: shown["detections"][0]["host"].as_str().expect("a host").parse().expect("its id"),
                asset: item["asset_id"].as_i64().expect("a key"),
                name: text("asset"),
                title: text("title"),
            };
            if found.iter().all(|known| known.host != one.host) {
                found.push(one);
            }
        }
        assert!(found.len() >= count, "only {} of {count} items: {list}", found.len());
        found.truncate(count);
        found
    }

    /// A rescan request, as the API shows it.
    pub async fn scan(&self, number: &str) -> Value {
        self.api.get(&format!("/api/v1/scans/{number}")).await.expect(200)
    }

    /// Wait until every child of a request was launched; gives their references at the scanner.
    pub async fn launched(&self, number: &str) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let scan = self.scan(number).await;
            let children = scan["children"].as_array().cloned().unwrap_or_default();
            let references: Vec<String> =
                children.iter().filter_map(|child| child["reference"].as_str().map(str::to_owned)).collect();
            if !children.is_empty() && references.len() == children.len() {
                return references;
            }
            assert!(Instant::now() < until, "{number} is not launched: {scan}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How a scan ends.
    pub fn ends(&self, reference: &str, outcome: Outcome) {
        let known = self.simulator.state().change_scan(reference, |scan, _| scan.outcome = outcome);
        assert!(known.is_some(), "the scanner does not know {reference}");
    }

    /// Turn the clocks by `seconds` at a time until an expression holds on the page that is open.
    pub async fn turning(&self, browser: &Browser, number: &str, seconds: i64, what: &str, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        while !browser.holds(wanted).await {
            let scan = self.turn(browser, number, seconds).await;
            assert!(Instant::now() < until, "{what} does not come: {scan}\n{}", browser.shown().await);
        }
    }

    /// The same until the request is in a state.
    pub async fn turning_to(&self, browser: &Browser, number: &str, seconds: i64, state: &str) {
        let until = Instant::now() + PATIENCE;
        while self.scan(number).await["scan"]["state"] != state {
            let scan = self.turn(browser, number, seconds).await;
            assert!(Instant::now() < until, "{number} is not {state}: {scan}");
        }
    }

    /// One turn; by a second while a launch or a pull is under way, because claims and leases end by the same clocks, and
    /// a slow machine must not look like a dead one. Gives the request as it was.
    async fn turn(&self, browser: &Browser, number: &str, seconds: i64) -> Value {
        let scan = self.scan(number).await;
        let busy = |child: &Value| {
            child["state"].as_str().is_some_and(|state| ["planned", "launching", "pulling"].contains(&state))
        };
        let gently = scan["children"].as_array().is_some_and(|children| children.iter().any(busy));
        self.glance(browser, if gently { seconds.min(1) } else { seconds }).await;
        scan
    }

    /// Turn both clocks; somebody who looks is not idle, so his session goes on.
    async fn glance(&self, browser: &Browser, seconds: i64) {
        self.advance(seconds);
        browser.script("return fetch('/scans').then(reply => reply.status)").await;
    }

    /// Requests to the scanner that stop a scan.
    pub fn cancels(&self) -> usize {
        self.simulator.journal().iter().filter(|call| call.parameter("action") == Some("cancel")).count()
    }
}
