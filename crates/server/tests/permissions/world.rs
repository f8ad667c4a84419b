//! A subscription that is imported, somebody of every role, and what a case needs to be in its state.

use crate::Who;
use crate::table::ROLES;
use domain::time::Timestamp;
use qualys_sim::{ClockMode, Limits, Options, Simulator};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::server::{START_MICROS, TestServer};

/// The group that everybody is in.
const GROUP: &str = "team";

pub struct World {
    pub server: TestServer,
    pub simulator: Simulator,
    /// The first SuperUser, who prepares.
    pub admin: Who,
    /// Somebody who asks for what others decide.
    pub asker: Who,
    reader: Who,
    people: BTreeMap<String, (Who, i64)>,
    pub instance: i64,
    /// An open item, its number and its asset.
    pub item: String,
    pub asset: i64,
    /// Two more items, which tasks hold beside it, or do not hold yet.
    second: String,
    pub third: String,
    /// Numbers names.
    pub made: u32,
}

impl World {
    pub async fn new(server: TestServer) -> World {
        let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
        let clock = ClockMode::Manual(Timestamp::from_micros(START_MICROS).to_jiff());
        let simulator = Simulator::start(Options { hosts: 4, limits, clock, ..Options::default() }).await.unwrap();
        let admin = server.admin().await;
        let reader = server.client().with_token(&admin.make_token(&["read"]).await);
        let mut people = BTreeMap::new();
        for (letters, role) in ROLES {
            for relation in ["in", "outside"] {
                let name = format!("{}_{relation}", letters.to_lowercase());
                let client = server.user(&name, &[role]).await;
                if relation == "outside" {
                    let change = json!({ "scope": { "tags": ["nowhere"] } });
                    admin.patch(&format!("/api/v1/users/{name}"), &change).await.expect(200);
                }
                let shown = admin.get(&format!("/api/v1/users/{name}")).await.expect(200);
                people.insert(name, (client, shown["user"]["id"].as_i64().unwrap()));
            }
        }
        let members: Vec<&String> = people.keys().collect();
        admin.put(&format!("/api/v1/groups/{GROUP}"), &json!({ "members": members })).await.expect(200);
        let asker = server.user("asker", &["vulnerability_analyst"]).await;
        let new = json!({
            "name": "Simulated", "api_url": simulator.api_url(), "username": simulator.username(),
            "password": simulator.password(), "default_profile": "510001",
        });
        let made = admin.post("/api/v1/instances", &new).await.expect(201);
        let instance = made["instance"]["id"].as_i64().unwrap();
        let mut world = World {
            server,
            simulator,
            admin,
            asker,
            reader,
            people,
            instance,
            item: String::new(),
            asset: 0,
            made: 0,
            second: String::new(),
            third: String::new(),
        };
        // More launches than anybody would want, for many cases within the hour.
        let policy = json!({ "policy": {
            "from": "00:00", "until": "00:00", "zone": "UTC", "running_max": 100, "launches_max": 10_000, "launches_seconds": 60,
        } });
        world.admin.put(&format!("/api/v1/instances/{instance}/rescan-policy"), &policy).await.expect(200);
        world.import("everything").await;
        world.admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
        world.import("everything").await;
        let list = world.admin.get("/api/v1/items?q=is:open+qid%3C901000&limit=1").await.expect(200);
        world.item = list["items"][0]["number"].as_str().unwrap().to_owned();
        world.asset = list["items"][0]["asset_id"].as_i64().unwrap();
        let more =
            world.admin.get(&format!("/api/v1/items?q=is:open+asset.id:{}&limit=3", world.asset)).await.expect(200);
        let more = more["items"].as_array().unwrap().iter().map(|item| item["number"].as_str().unwrap().to_owned());
        let more: Vec<String> = more.filter(|number| *number != world.item).collect();
        (world.second, world.third) = (more[0].clone(), more[1].clone());
        world
    }

    /// Import and wait for the end; gives the run.
    pub async fn import(&self, kind: &str) -> Value {
        let path = format!("/api/v1/instances/{}/imports", self.instance);
        let begun = self.admin.post(&path, &json!({ "kind": kind })).await.expect(202);
        self.ended(begun["import"]["number"].as_str().unwrap()).await
    }

    pub async fn ended(&self, number: &str) -> Value {
        for _ in 0..2_400 {
            let run = self.admin.get(&format!("/api/v1/imports/{number}")).await.expect(200);
            if !run["import"]["ended_at"].is_null() {
                return run["import"].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the import {number} does not end");
    }

    fn person(&self, role: &str, relation: &str) -> &(Who, i64) {
        let kind = if relation == "outside" { "outside" } else { "in" };
        &self.people[&format!("{}_{kind}", role.to_lowercase())]
    }

    /// Somebody of this role with this relation.
    pub fn client(&self, role: &str, relation: &str) -> Who {
        self.person(role, relation).0.clone()
    }

    /// Nobody who is signed in.
    pub fn nobody(&self) -> Who {
        self.server.client()
    }

    /// A SuperUser's token that may only read.
    pub fn reader(&self) -> Who {
        self.reader.clone()
    }

    /// How much is in the audit.
    pub async fn audited(&self) -> i64 {
        self.server.app().database.read(|tx| tx.scalar("SELECT count(*) FROM audit_entry", &[])).await.unwrap()
    }

    /// Every item in this state, and of this person or group.
    pub async fn items(&self, state: &'static str, role: &str, relation: &str) {
        let owner = matches!(relation, "assignee" | "requester").then(|| self.person(role, relation).1);
        let group = if relation == "group" { GROUP } else { "" };
        let now = self.server.app().clock.now();
        let (resolved, closed) = ((state == "resolved").then_some(now), (state == "closed").then_some(now));
        let substate = if state == "closed" { "fixed" } else { "" };
        let put = self.server.app().database.write(move |tx| {
            tx.execute(
                "UPDATE vulnerable_item SET state = $1, substate = $2, owner_id = $3, group_name = $4, resolved_at = $5,
                     closed_at = $6",
                &[&state, &substate, &owner, &group, &resolved, &closed],
            )
        });
        put.await.unwrap();
    }

    /// A task of two open items in this state, and of this person or group.
    pub async fn task(&self, state: &'static str, role: &str, relation: &str) -> String {
        let new = json!({ "items": [self.item, self.second], "existing": "move", "title": "Two" });
        let made = self.admin.post("/api/v1/tasks", &new).await.expect(201);
        let number = made["tasks"][0].as_str().unwrap().to_owned();
        let ordinal: i64 = number.trim_start_matches("VUL").parse().unwrap();
        let owner = (relation == "assignee").then(|| self.person(role, relation).1);
        let group = if relation == "group" { GROUP } else { "" };
        let put = self.server.app().database.write(move |tx| {
            tx.execute(
                "UPDATE remediation_task SET state = $2, owner_id = $3, group_name = $4 WHERE number = $1",
                &[&ordinal, &state, &owner, &group],
            )
        });
        put.await.unwrap();
        number
    }

    /// An effort of two open items, over or not, that this person or group leads.
    pub async fn effort(&self, over: bool, role: &str, relation: &str) -> String {
        let free = self.server.app().database.write(|tx| {
            tx.execute("DELETE FROM effort_claim", &[])?;
            tx.execute("UPDATE effort SET state = 'inactive'", &[])
        });
        free.await.unwrap();
        let new = json!({ "items": [self.item, self.second], "title": "Two" });
        let made = self.admin.post("/api/v1/efforts", &new).await.expect(201);
        let number = made["effort"]["number"].as_str().unwrap().to_owned();
        while self.admin.get(&format!("/api/v1/efforts/{number}")).await.expect(200)["effort"]["state"] == "filling" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ordinal: i64 = number.trim_start_matches("REF").parse().unwrap();
        let owner = (relation == "assignee").then(|| self.person(role, relation).1);
        let group = if relation == "group" { GROUP } else { "" };
        let state = if over { "inactive" } else { "active" };
        let put = self.server.app().database.write(move |tx| {
            tx.execute(
                "UPDATE effort SET state = $2, owner_id = $3, group_name = $4 WHERE number = $1",
                &[&ordinal, &state, &owner, &group],
            )
        });
        put.await.unwrap();
        number
    }

    /// Scanner and instance as they were set up, and then in this state.
    pub async fn situation(&self, state: &str) {
        let instance = self.instance;
        let sql: Option<&'static str> = match state {
            "inactive" => Some("UPDATE scanner SET active = FALSE"),
            "not_stamped" => Some("UPDATE integration_instance SET source_stamped_at = NULL"),
            "no_profile" => Some("UPDATE integration_instance SET default_profile = NULL"),
            "disabled" => Some("UPDATE integration_instance SET disabled = TRUE"),
            "files" => Some("UPDATE integration_instance SET auth = 'files'"),
            "other_source" => Some("UPDATE integration_instance SET product = 'tenable'"),
            _ => None,
        };
        let put = self.server.app().database.write(move |tx| {
            tx.execute("UPDATE scanner SET active = TRUE", &[])?;
            tx.execute(
                "UPDATE integration_instance SET source_stamped_at = created_at, default_profile = '510001', disabled = FALSE,
                     auth = 'basic', product = 'qualys' WHERE id = $1",
                &[&instance],
            )?;
            sql.map_or(Ok(0), |sql| tx.execute(sql, &[]))
        });
        put.await.unwrap();
    }
}
