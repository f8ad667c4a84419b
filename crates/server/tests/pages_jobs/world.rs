//! A server with an imported platform, a catalogue in force and agents of its assets, and a browser without scripts.

use catalogue::ephemeral::Ephemeral;
use domain::asset::{Identity, Platform};
use domain::id::AssetId;
use protocol::agent::Facts;
use qualys_sim::{Limits, Options, Simulator};
use reqwest::Method;
use serde_json::{Value, json};
use server::engine::catalogue::{Parcel, install, order_key};
use std::time::Duration;
use store::agents::{self, NewAgent, TokenRow};
use store::tasks::NewTask;
use testkit::server::{ADMIN_PASSWORD, Client, Reply, TestServer};
use uuid::Uuid;

/// Looks at an import before a test gives up, one every [`STEP`].
const LOOKS_MAX: u32 = 600;
const STEP: Duration = Duration::from_millis(25);

pub struct World {
    pub server: TestServer,
    pub admin: Client,
    _simulator: Simulator,
}

impl World {
    /// Everything imported, the embedded catalogue signed and installed, an agent on every Linux asset but the last.
    pub async fn ready(server: TestServer) -> World {
        let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
        let simulator = Simulator::start(Options { limits, hosts: 8, ..Options::default() }).await.expect("it starts");
        let admin = server.admin().await;
        let world = World { server, admin, _simulator: simulator };
        world.import().await;
        world.catalogue().await;
        world.agents().await;
        world
    }

    async fn import(&self) {
        let simulator = &self._simulator;
        let new = json!({
            "name": "Simulated", "api_url": simulator.api_url(), "username": simulator.username(),
            "password": simulator.password(),
        });
        let made = self.admin.post("/api/v1/instances", &new).await.expect(201);
        let path = format!("/api/v1/instances/{}/imports", made["instance"]["id"]);
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

    async fn catalogue(&self) {
        let app = self.server.app();
        let entries = catalogue::embedded::entries().expect("the built-in entries are whole");
        let made = Ephemeral::make(&order_key(app).public(), &entries, 1, app.clock.now(), 86_400).expect("it is made");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is text");
        let parcel = Parcel {
            roots: made.bundle.roots.iter().map(|bytes| text(bytes)).collect(),
            index: text(&made.bundle.index),
            entries: made.bundle.entries.values().map(|bytes| text(bytes)).collect(),
        };
        let admin = self.caller("admin").await;
        install(app, &admin, parcel).await.expect("the catalogue is installed");
    }

    /// Somebody, as the engine asks for him.
    pub async fn caller(&self, name: &str) -> server::http::Caller {
        let name = name.to_owned();
        let account = self.server.app().database.read(move |tx| store::accounts::by_name(tx, &name)).await;
        let account = account.expect("the database works").expect("the user exists");
        server::http::Caller {
            actor: account.actor(None),
            proof: server::http::auth::Proof::Token(0),
            password_temporary: false,
        }
    }

    async fn agents(&self) {
        let linux = self.admin.get("/api/v1/assets?q=platform:linux&sort=name&limit=100").await.expect(200);
        let assets: Vec<i64> = linux["assets"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|asset| asset["id"].as_i64().expect("a key"))
            .collect();
        assert!(assets.len() >= 3, "{linux}");
        let (with, _) = assets.split_at(assets.len() - 1);
        for asset in with {
            self.agent(*asset).await;
        }
    }

    async fn agent(&self, asset: i64) {
        let now = self.server.app().clock.now();
        let owner = self.caller("admin").await.user;
        let write = self.server.app().database.write(move |tx| {
            let token = TokenRow {
                id: Uuid::now_v7(),
                label: "test".to_owned(),
                secret_hash: vec![0; 32],
                uses_left: 0,
                expires_at: now,
                created_by: owner,
                created_at: now,
            };
            agents::create_token(tx, &token)?;
            let facts = Facts { os_title: "Debian GNU/Linux 12".to_owned(), ..Facts::default() };
            let agent = NewAgent {
                agent_id: Uuid::now_v7(),
                instance_id: Uuid::now_v7(),
                token_id: token.id,
                public_key: format!("key of {asset}"),
                hostname: format!("host-{asset}"),
                zone: if asset % 2 == 0 { "Europe/Rome".to_owned() } else { String::new() },
                facts: serde_json::to_string(&facts).expect("facts are plain data"),
                version: "0.1.0".to_owned(),
                mode: "normal".to_owned(),
            };
            let key = agents::create(tx, &agent, now)?;
            agents::set_link(tx, key, Some(AssetId(asset)), "linked", "the scanner's agent id agrees", now)
        });
        write.await.expect("an agent is made");
    }

    /// Make one of a QID's assets a Windows one, and what can be done about it good for both.
    pub async fn also_on_windows(&self, qid: i64, asset: i64) {
        let write = self.server.app().database.write(move |tx| {
            tx.execute("UPDATE asset SET platform = 'windows' WHERE id = $1", &[&asset])?;
            tx.execute(
                "UPDATE catalogue_entry SET platform = 'any' WHERE id IN (SELECT c.entry_key FROM catalogue_cve c
                 JOIN vulnerability_cve v ON v.cve = c.cve JOIN vulnerability k ON k.id = v.vulnerability_id
                 WHERE k.qid = $1)",
                &[&qid],
            )
        });
        write.await.expect("the world is changed");
    }

    /// Further machines in the newest run of a job, each with a task of the same mitigation that is due in a month: nobody
    /// answers for them, and the run stays open.
    pub async fn more_tasks(&self, number: &str, names: &[String]) {
        let now = self.server.app().clock.now();
        let (ordinal, names) = (number.trim_start_matches("MJ").parse::<i64>().expect("a number"), names.to_vec());
        let write = self.server.app().database.write(move |tx| {
            let job = store::jobs::by_number(tx, ordinal)?.expect("the job exists").id;
            let run = store::runs::shown(tx, job)?.expect("it was enabled").id;
            let entry: i64 = tx.scalar("SELECT min(entry_key) FROM task WHERE run_id = $1", &[&run])?;
            let mut tasks = Vec::new();
            for name in &names {
                let identity = Identity { machine_id: Some(name.clone()), ..Identity::default() };
                let asset = agents::create_asset(tx, name, Platform::Linux, "Debian", "10.9.9.9", &identity, now)?;
                tasks.push(NewTask {
                    uuid: Uuid::now_v7(),
                    run_id: run,
                    job_id: job,
                    asset_id: asset,
                    agent_key: None,
                    entry_key: entry,
                    wave: 1,
                    kind: "apply".to_owned(),
                    due_at: now.plus_seconds(30 * 86_400),
                    zone: "UTC".to_owned(),
                    window_end: None,
                    start_by: None,
                });
            }
            store::tasks::create(tx, &tasks, now)
        });
        write.await.expect("the run has more tasks");
    }

    /// A QID that something can be done about on two Linux assets at least, and those assets.
    pub async fn mitigable(&self) -> (i64, Vec<Value>) {
        self.mitigable_on(2).await
    }

    /// The same, on at least so many.
    pub async fn mitigable_on(&self, least: usize) -> (i64, Vec<Value>) {
        let found = self.admin.get("/api/v1/vulnerabilities?q=is:found and is:mitigable&limit=100").await.expect(200);
        for vulnerability in found["vulnerabilities"].as_array().expect("a list") {
            let qid = vulnerability["qid"].as_i64().expect("a number");
            let all = self.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
            let safe = |e: &Value| e["risk"] != "high" && e["reversible"] == true && e["platform"] == "linux";
            if !all["eliminations"].as_array().expect("a list").iter().any(safe) {
                continue;
            }
            let able: Vec<Value> =
                all["assets"].as_array().expect("a list").iter().filter(|a| a["selectable"] == true).cloned().collect();
            if able.len() >= least {
                return (qid, able);
            }
        }
        panic!("nothing can be mitigated on {least} assets: {found}");
    }
}

/// Sign in through the page; no header of its own, like a browser without scripts.
pub async fn browser(server: &TestServer, name: &str, password: &str) -> Browser {
    let client = server.client();
    let reply = client.form("/sign-in", &[("name", name), ("password", password), ("next", "/")]).await;
    assert_eq!(reply.status, 303, "{}", reply.text);
    let home = client.get("/").await;
    assert_eq!(home.status, 200, "{}", gist(&home.text));
    let csrf = between(&home.text, "name=\"csrf-token\" content=\"", "\"").to_owned();
    Browser { client, csrf }
}

pub async fn admin_browser(server: &TestServer) -> Browser {
    browser(server, "admin", ADMIN_PASSWORD).await
}

pub struct Browser {
    pub client: Client,
    csrf: String,
}

impl Browser {
    /// A page that has to be there and keep the rules of every page.
    #[track_caller]
    pub fn page(&self, path: &str) -> impl Future<Output = String> + '_ {
        let path = path.to_owned();
        async move {
            let reply = self.client.get(&path).await;
            assert_eq!(reply.status, 200, "{path}: {}", gist(&reply.text));
            obeys(&path, &reply);
            reply.text
        }
    }

    /// A form with the page's token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("csrf", self.csrf.as_str())];
        all.extend_from_slice(fields);
        let reply = self.client.form(path, &all).await;
        if reply.status != 303 {
            obeys(path, &reply);
        }
        reply
    }

    /// A form that leads on; gives where to.
    pub async fn leads(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.post(path, fields).await;
        assert_eq!(reply.status, 303, "{path} {fields:?}: {}", gist(&reply.text));
        place(&reply).to_owned()
    }

    /// A stream's first bytes.
    pub async fn stream(&self, path: &str) -> String {
        use futures_util::StreamExt as _;
        let response = self.client.request(Method::GET, path).send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut bytes = response.bytes_stream();
        let first = tokio::time::timeout(Duration::from_secs(10), bytes.next()).await.expect("something comes");
        String::from_utf8_lossy(&first.expect("a piece").expect("it can be read")).into_owned()
    }
}

pub fn place(reply: &Reply) -> &str {
    reply.headers.get("location").map(|value| value.to_str().expect("ASCII")).unwrap_or_default()
}

/// What every page keeps: the policy, no inline script, style or handler.
fn obeys(path: &str, reply: &Reply) {
    let policy = reply.headers["content-security-policy"].to_str().expect("ASCII");
    assert!(policy.contains("script-src 'self';") && policy.contains("style-src 'self';"), "{path}: {policy}");
    let html = reply.text.to_lowercase();
    for (at, _) in html.match_indices("<script") {
        assert!(html[at..].starts_with("<script src="), "{path}: an inline script");
    }
    for bad in ["<style", " style=\"", " onclick=", " onload=", "javascript:"] {
        assert!(!html.contains(bad), "{path}: {bad}");
    }
}

/// A page without its markup and frame, for messages.
pub fn gist(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, rest)| rest);
    let body = body.split_once("</main>").map_or(body, |(body, _)| body);
    let mut text = String::new();
    let mut inside = true;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text between `from` and `to`.
#[track_caller]
pub fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {}", gist(text))).1;
    rest.split_once(to).map_or(rest, |(found, _)| found)
}

/// The version a wizard's form carries.
pub fn version(page: &str) -> &str {
    between(page, "name=\"version\" value=\"", "\"")
}

/// So many seconds pass in which somebody listens all the time, and hears every agent but those on these assets.
pub async fn pass(server: &TestServer, seconds: i64, silent: &[i64]) {
    let (before, silent) = (server.app().clock.now(), silent.to_vec());
    server.clock.advance(seconds);
    let now = server.app().clock.now();
    let write = server.app().database.write(move |tx| {
        tx.execute("DELETE FROM heartbeat", &[])?;
        tx.execute("INSERT INTO heartbeat (name, since, until) VALUES ('dispatch', $1, $2)", &[&before, &now])?;
        tx.execute("DELETE FROM listening WHERE since >= $1", &[&before])?;
        tx.execute("INSERT INTO listening (since, until) VALUES ($1, $2)", &[&before, &now])?;
        tx.execute(
            "UPDATE agent SET last_seen_at = $1, missing_at = NULL
             WHERE revoked_at IS NULL AND (asset_id IS NULL OR NOT (asset_id {in $2}))",
            &[&now, &silent],
        )?;
        Ok(())
    });
    write.await.expect("time passes");
}

/// So many agents more, on no asset, last heard so many seconds ago.
pub async fn enrolled(server: &TestServer, count: usize, heard: i64) {
    let at = server.app().clock.now().plus_seconds(-heard);
    let write = server.app().database.write(move |tx| {
        for number in 0..count {
            let (id, text) = (Uuid::now_v7(), String::new());
            let new = NewAgent {
                agent_id: id,
                instance_id: id,
                token_id: id,
                public_key: id.to_string(),
                hostname: format!("spare-{number:04}"),
                zone: text.clone(),
                facts: "{}".to_owned(),
                version: text.clone(),
                mode: text,
            };
            agents::create(tx, &new, at)?;
        }
        Ok(())
    });
    write.await.expect("they are enrolled");
}
