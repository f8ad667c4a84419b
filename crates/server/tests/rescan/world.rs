//! A server and a simulated platform whose clocks are turned together.

use domain::time::Timestamp;
use qualys_sim::{ClockMode, Limits, Options, Simulator};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::{Client, START_MICROS, TestServer};

/// Looks at the server before a test gives up, one every [`STEP`].
const LOOKS_MAX: u32 = 2_400;
const STEP: Duration = Duration::from_millis(25);

pub struct World {
    pub server: TestServer,
    pub simulator: Simulator,
    /// The SuperUser by a token: the clocks turn faster than a session lives.
    pub admin: Client,
    token: String,
    pub instance: i64,
}

/// An item, and where the simulator has it.
#[derive(Clone, Debug)]
pub struct Found {
    pub number: String,
    pub qid: u32,
    pub host: u64,
    pub asset: i64,
}

impl World {
    /// An instance with a default profile, imported, its scanner inactive.
    pub async fn inactive(server: TestServer, options: Options) -> World {
        // No limits: the clocks stand still, so nobody could wait for one.
        let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
        let clock = ClockMode::Manual(Timestamp::from_micros(START_MICROS).to_jiff());
        let simulator = Simulator::start(Options { limits, clock, ..options }).await.expect("the simulator starts");
        let token = server.admin().await.make_token(&["read", "items", "rescans", "integrations"]).await;
        let admin = server.client().with_token(&token);
        let new = json!({
            "name": "Simulated", "api_url": simulator.api_url(), "username": simulator.username(),
            "password": simulator.password(), "default_profile": "510001",
        });
        let made = admin.post("/api/v1/instances", &new).await.expect(201);
        let instance = made["instance"]["id"].as_i64().expect("a key");
        let world = World { server, simulator, admin, token, instance };
        world.import().await;
        world
    }

    /// The same with an active scanner that items show as their source.
    pub async fn ready(server: TestServer, options: Options) -> World {
        let world = World::inactive(server, options).await;
        world.activate().await;
        world.import().await;
        world
    }

    /// Stop the server, whatever it is doing, and start another on the same database.
    pub async fn restart(&mut self) {
        self.server.restart().await;
        self.admin = self.server.client().with_token(&self.token);
    }

    pub async fn activate(&self) {
        self.admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    }

    pub async fn import(&self) {
        let path = format!("/api/v1/instances/{}/imports", self.instance);
        let begun = self.admin.post(&path, &json!({ "kind": "everything" })).await.expect(202);
        let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().expect("a number"));
        for _ in 0..LOOKS_MAX {
            let run = self.admin.get(&path).await.expect(200);
            if run["import"]["state"] != "running" {
                assert_eq!(run["import"]["state"], "complete", "{run}");
                return;
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("the import does not end");
    }

    /// Turn both clocks.
    pub fn advance(&self, seconds: i64) {
        self.simulator.step_clock(jiff::SignedDuration::from_secs(seconds));
        self.server.clock.advance(seconds);
    }

    /// Open items of the demo set, on different hosts where there are enough.
    pub async fn items(&self, count: usize) -> Vec<Found> {
        let list = self.admin.get("/api/v1/items?q=is:open+platform:linux+qid<901000&limit=200").await.expect(200);
        let mut found: Vec<Found> = Vec::new();
        for item in list["items"].as_array().expect("a list") {
            let number = item["number"].as_str().expect("a number").to_owned();
            let shown = self.admin.get(&format!("/api/v1/items/{number}")).await.expect(200);
            let host = shown["detections"][0]["host"].as_str().expect("a host").parse().expect("its id");
            let one = Found {
                number,
                qid: u32::try_from(item["qid"].as_i64().expect("a number")).expect("small"),
                host,
                asset: item["asset_id"].as_i64().expect("a key"),
            };
            if found.iter().all(|known| known.host != one.host) {
                found.push(one);
            }
            if found.len() == count {
                return found;
            }
        }
        panic!("only {} of {count} items: {list}", found.len());
    }

    pub async fn rescan(&self, items: &[&Found], profile: Option<&str>) -> Value {
        let numbers: Vec<&str> = items.iter().map(|item| item.number.as_str()).collect();
        let body = json!({ "items": numbers, "profile": profile });
        self.admin.post("/api/v1/scans", &body).await.expect(201)
    }

    pub async fn scan(&self, number: &str) -> Value {
        self.admin.get(&format!("/api/v1/scans/{number}")).await.expect(200)
    }

    /// Wait until `wanted` holds, without turning the clocks.
    pub async fn until(&self, number: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.turning(number, 0, wanted).await
    }

    /// Turn the clocks by `seconds` at a time until `wanted` holds; by one while a launch or a pull is under way, because
    /// claims and leases end by the same clocks, and a slow machine must not look like a dead one.
    pub async fn turning(&self, number: &str, seconds: i64, wanted: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..LOOKS_MAX {
            let scan = self.scan(number).await;
            if wanted(&scan) {
                return scan;
            }
            let busy = |child: &Value| {
                child["state"].as_str().is_some_and(|state| ["planned", "launching", "pulling"].contains(&state))
            };
            let gently = scan["children"].as_array().is_some_and(|children| children.iter().any(busy));
            self.advance(if gently { seconds.min(1) } else { seconds });
            tokio::time::sleep(STEP).await;
        }
        panic!("{number} does not get there: {}", self.scan(number).await);
    }

    /// Wait until the scanner gave its reference.
    pub async fn launched(&self, number: &str) -> Value {
        self.until(number, |scan| scan["children"][0]["reference"].is_string()).await
    }

    /// Turn the clocks until the request has ended.
    pub async fn ended(&self, number: &str) -> Value {
        self.turning(number, 20, |scan| !scan["scan"]["ended_at"].is_null()).await
    }

    pub fn launches(&self) -> usize {
        let launches = self.simulator.journal();
        launches.iter().filter(|entry| entry.endpoint == "scan" && entry.parameter("action") == Some("launch")).count()
    }
}

pub fn number(requested: &Value) -> String {
    requested["scan"]["number"].as_str().expect("a number").to_owned()
}

/// The verdict on an item.
pub fn verdict<'s>(scan: &'s Value, item: &Found) -> &'s str {
    let sources = scan["sources"].as_array().expect("a list");
    let source = sources.iter().find(|source| source["item"] == item.number.as_str()).expect("the item is looked at");
    source["verdict"].as_str().unwrap_or_default()
}
