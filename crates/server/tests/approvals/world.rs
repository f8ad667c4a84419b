//! A server with a catalogue signed by known keys, one vulnerability on two machines with agents, and people.

use catalogue::bundle::Bundle;
use catalogue::schema::{Entry, Risk};
use domain::asset::{Identity, Platform};
use domain::id::{AgentKey, AssetId};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{ActionEvidence, Event, EventKind, Facts, Outcome, TaskReport};
use protocol::approval::MANIFEST_TYPE;
use protocol::order::Order;
use protocol::root::{ROOT_SPEC, RoleKeys, Roles, Root};
use protocol::signed::{Envelope, SigningKey};
use serde_json::{Value, json};
use server::engine::catalogue::{Parcel, install, order_key};
use server::engine::orders::{self, Maker, Offer};
use server::engine::{agents as engine_agents, dispatch, results};
use store::agents::{self, NewAgent};
use testkit::server::{ADMIN_PASSWORD, Client, TestServer, USER_PASSWORD};
use uuid::Uuid;

pub const QID: i64 = 38_001;
pub const RISKY: &str = "linux-risky";
pub const SAFE: &str = "linux-safe";
pub const SPARE: &str = "linux-spare";

const ENTRY: &str = r#"
schema = 1
id = "linux-risky"
revision = 1
title = "A risky one"
status = "active"
platform = "linux"
type = "config-line"
implication = "mitigation"

[[vulnerability]]
cve = "CVE-2024-1111"
coverage = "full"
points = 30
vector = "network"

[[action]]
kind = "file.setting"
path = "/etc/x"
format = "postconf"
key = "k"
value = "v"

[after]
reboot = "no"
reversible = "yes"

[human]
summary = "Sets k."
side_effects = "Somebody may notice."
risk = "high"
remove_when_patched = true

[[reference]]
url = "https://example.com/advisory"
kind = "vendor"
"#;

/// The risky entry, in this revision.
pub fn risky(revision: u32) -> Entry {
    let mut entry = Entry::from_toml(ENTRY).unwrap();
    entry.revision = revision;
    entry
}

/// The safe entry, in this revision.
pub fn safe(revision: u32) -> Entry {
    let mut entry = Entry::from_toml(&ENTRY.replace(RISKY, SAFE).replace("CVE-2024-1111", "CVE-2024-2222")).unwrap();
    (entry.revision, entry.human.risk) = (revision, Risk::Low);
    entry
}

/// An entry beside the safe one, which does something else for the same weakness.
pub fn spare() -> Entry {
    let text = ENTRY.replace(RISKY, SPARE).replace("CVE-2024-1111", "CVE-2024-2222").replace("/etc/x", "/etc/y");
    let mut entry = Entry::from_toml(&text).unwrap();
    entry.human.risk = Risk::Low;
    entry
}

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(&[n; 32])
}

pub const ROOT: u8 = 1;
pub const CONTENT: u8 = 2;
pub const ORG: u8 = 3;
pub const ORG2: u8 = 4;

pub struct World {
    pub server: TestServer,
    /// SuperUser.
    pub admin: Client,
    /// A job author, who makes the jobs.
    pub ada: Client,
    /// Another, who approves.
    pub ben: Client,
    /// Who only looks.
    pub rita: Client,
    pub agents: Vec<AgentKey>,
    pub assets: Vec<AssetId>,
}

impl World {
    pub async fn ready(server: TestServer) -> World {
        Self::with(server, 1, &["approval@2", "permit@1", "file.setting@1"]).await
    }

    /// With so many organisation keys needed, and agents that can do this.
    pub async fn with(server: TestServer, threshold: u32, capabilities: &[&str]) -> World {
        let admin = server.admin().await;
        let ada = server.user("ada", &["job_author"]).await;
        let ben = server.user("ben", &["job_author"]).await;
        let rita = server.user("rita", &["job_reader"]).await;
        let mut world = World { server, admin, ada, ben, rita, agents: Vec::new(), assets: Vec::new() };
        world.catalogue(threshold).await;
        world.machines(capabilities).await;
        world
    }

    async fn catalogue(&self, threshold: u32) {
        self.release(threshold, 1, &[risky(1), safe(1)]).await;
    }

    /// A release of the catalogue with these entries is installed.
    pub async fn release(&self, threshold: u32, version: u64, entries: &[Entry]) {
        let app = self.server.app();
        let order = order_key(app).public();
        let keys = [ROOT, CONTENT, ORG, ORG2].map(|n| key(n).public());
        let expires = app.clock.now().plus_seconds(90 * 86_400);
        let root = Root {
            spec: ROOT_SPEC,
            version: 1,
            expires,
            roles: Roles {
                root: RoleKeys::single(&keys[0]),
                content: RoleKeys::single(&keys[1]),
                organisation: RoleKeys { keyids: vec![keys[2].id(), keys[3].id()], threshold },
                order: RoleKeys::single(&order),
            },
            keys: keys.into_iter().chain([order]).collect(),
        };
        let bundle = Bundle::sign(version, expires, entries, Vec::new(), &[&key(CONTENT)]).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parcel = Parcel {
            roots: vec![text(&root.seal(&[&key(ROOT)]).unwrap().to_json())],
            index: text(&bundle.index),
            entries: bundle.entries.values().map(|bytes| text(bytes)).collect(),
        };
        let account = app.database.read(|tx| store::accounts::by_name(tx, "admin")).await.unwrap().unwrap();
        let caller = server::http::Caller {
            actor: account.actor(None),
            proof: server::http::auth::Proof::Token(0),
            password_temporary: false,
        };
        install(app, &caller, parcel).await.unwrap();
    }

    async fn machines(&mut self, capabilities: &[&str]) {
        let new = json!({ "name": "S", "api_url": "http://127.0.0.1:9", "username": "u", "password": "p" });
        let instance = self.admin.post("/api/v1/instances", &new).await.expect(201)["instance"]["id"].as_i64().unwrap();
        let capabilities: Vec<String> = capabilities.iter().map(|&word| word.to_owned()).collect();
        let now = self.server.app().clock.now();
        let made = self.server.app().database.write(move |tx| {
            let vulnerability: i64 = tx.insert(
                "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss3_vector, patchable,
                     threat, impact, solution, disabled, placeholder, digest, run_id)
                 VALUES ('qualys', $1, $2, 'A hole', '', 4, '', '', $3, '', '', '', $3, $3, $4, 1) RETURNING id",
                &[&QID.to_string(), &QID, &false, &vec![0_u8]],
            )?;
            for cve in ["CVE-2024-1111", "CVE-2024-2222"] {
                tx.execute("INSERT INTO vulnerability_cve (vulnerability_id, cve) VALUES ($1, $2)", &[&vulnerability, &cve])?;
            }
            let mut machines = Vec::new();
            for (number, name) in (1_i64..).zip(["alpha", "beta"]) {
                let identity = Identity { machine_id: Some(name.to_owned()), ..Identity::default() };
                let asset = agents::create_asset(tx, name, Platform::Linux, "Debian", "10.0.0.1", &identity, now)?;
                let agent = new_agent(tx, name, &capabilities, now)?;
                agents::set_link(tx, agent, Some(asset), "linked", "", now)?;
                tx.execute(
                    "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation,
                         inherent, residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
                     VALUES ($1, $2, $3, $4, 'open', '', 'none', 90, 90, 'qds', '', 0, $5, $5, 1)",
                    &[&number, &vulnerability, &asset, &instance, &now],
                )?;
                machines.push((agent, asset));
            }
            Ok(machines)
        });
        (self.agents, self.assets) = made.await.unwrap().into_iter().unzip();
    }

    /// A saved job of ada's with these entries, on every machine.
    pub async fn job(&self, entries: &[&str]) -> String {
        let number = self.draft(entries).await;
        self.ada.post(&format!("/api/v1/jobs/{number}/save"), &json!({})).await.expect(200);
        number
    }

    pub async fn draft(&self, entries: &[&str]) -> String {
        let new = json!({ "vulnerabilities": [{ "qid": QID }], "entries": entries, "title": "T" });
        let made = self.ada.post("/api/v1/jobs", &new).await.expect(201);
        made["job"]["summary"]["number"].as_str().unwrap().to_owned()
    }

    /// Enabled, with its request.
    pub async fn asked(&self, entries: &[&str]) -> (String, Value) {
        let number = self.job(entries).await;
        self.ada.post(&format!("/api/v1/jobs/{number}/enable"), &json!({})).await.expect(200);
        let approval = self.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200);
        (number, approval["approval"].clone())
    }

    /// Time passes; whoever was signed in signs in again.
    pub async fn later(&mut self, seconds: i64) {
        self.server.clock.advance(seconds);
        let again = async |name, password| self.server.client().sign_in(name, password).await;
        let admin = again("admin", ADMIN_PASSWORD).await;
        let (ada, ben) = (again("ada", USER_PASSWORD).await, again("ben", USER_PASSWORD).await);
        (self.admin, self.ada, self.ben) = (admin, ada, ben);
        self.look().await;
    }

    /// One look of the dispatch loop, by hand.
    pub async fn look(&self) {
        let now = self.server.app().clock.now();
        self.server.app().database.try_write(move |tx| dispatch::look(tx, now)).await.unwrap();
    }

    /// What the agent would get at a poll now.
    pub async fn poll(&self, agent: usize) -> Offer {
        self.look().await;
        let (app, agent) = (self.server.app(), self.agents[agent]);
        let (now, key) = (app.clock.now(), order_key(app));
        let offer = app.database.try_write(move |tx| {
            let row = agents::read(tx, agent)?;
            let capabilities = engine_agents::capabilities(&row);
            orders::offer(tx, &row, Maker { key: &key, halted: false, capabilities: &capabilities, now })
        });
        offer.await.unwrap()
    }

    /// The agent reports how it ended.
    pub async fn report(&self, agent: usize, order: &Order, report: TaskReport) {
        self.report_as(agent, order, 1, report).await;
    }

    /// The same as its n-th event.
    pub async fn report_as(&self, agent: usize, order: &Order, n: u32, report: TaskReport) {
        self.say(agent, order, n, EventKind::Finished(Box::new(report))).await;
    }

    /// The agent says this of an order as its n-th event.
    pub async fn say(&self, agent: usize, order: &Order, n: u32, event: EventKind) {
        let (app, agent) = (self.server.app(), self.agents[agent]);
        let now = app.clock.now();
        let event = Event { task: order.task, epoch: order.epoch, n, at: now, event };
        let text = serde_json::to_string(&event).unwrap();
        let stored = app.database.try_write(move |tx| {
            let row = agents::read(tx, agent)?;
            results::store(tx, &row, std::slice::from_ref(&text), now)
        });
        stored.await.unwrap();
        self.look().await;
    }

    /// The root in force.
    pub async fn root(&self) -> Root {
        self.server.app().database.try_read(server::engine::catalogue::root).await.unwrap().unwrap().0
    }

    pub async fn tasks(&self, number: &str) -> Vec<Value> {
        let tasks = self.admin.get(&format!("/api/v1/jobs/{number}/tasks")).await.expect(200);
        tasks["tasks"].as_array().unwrap().clone()
    }

    pub async fn status(&self, number: &str) -> String {
        let job = self.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
        job["job"]["summary"]["status"].as_str().unwrap().to_owned()
    }

    pub async fn audit(&self) -> String {
        self.admin.get("/api/v1/audit?limit=500").await.expect(200).to_string()
    }
}

pub fn new_agent(
    tx: &mut store::Transaction<'_>,
    name: &str,
    capabilities: &[String],
    now: domain::time::Timestamp,
) -> store::Result<AgentKey> {
    let facts = Facts { capabilities: capabilities.to_vec(), ..Facts::default() };
    let new = NewAgent {
        agent_id: Uuid::now_v7(),
        instance_id: Uuid::now_v7(),
        token_id: Uuid::now_v7(),
        public_key: name.to_owned(),
        hostname: name.to_owned(),
        zone: String::new(),
        facts: serde_json::to_string(&facts).unwrap(),
        version: "0.1.0".to_owned(),
        mode: "normal".to_owned(),
    };
    agents::create(tx, &new, now)
}

/// The manifest of a request, signed with these keys.
pub fn signed(approval: &Value, with: &[u8]) -> String {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let manifest = approval["manifest"].as_str().unwrap();
    let envelope = Envelope::sign(MANIFEST_TYPE, manifest.as_bytes(), &keys.iter().collect::<Vec<_>>());
    String::from_utf8(envelope.to_json()).unwrap()
}

/// An order out of its envelope.
pub fn opened(envelope: &str) -> Order {
    let envelope = Envelope::parse(envelope.as_bytes(), 100_000).unwrap();
    serde_json::from_slice(envelope.unverified_payload()).unwrap()
}

/// What an agent says of its one action.
pub fn said(outcome: Outcome, state: ControlState, did: &str, diff: &str) -> TaskReport {
    TaskReport {
        outcome,
        state,
        origin: matches!(state, ControlState::Effective).then_some(Origin::Ours),
        message: "said".to_owned(),
        actions: vec![ActionEvidence {
            kind: "file.setting".to_owned(),
            target: "/etc/x k".to_owned(),
            before: "(absent)".to_owned(),
            after: "v".to_owned(),
            did: did.to_owned(),
            files: vec!["/etc/x".to_owned()],
            diff: diff.to_owned(),
        }],
        left_changed: false,
        restart_needed: None,
    }
}
