//! A simulated platform and a server that imports from it and rescans with it, each a process of its own, on either engine. Whenever
//! the server is down both clocks are put forward together, so that an outage of minutes or hours takes none.

use crate::api::Api;
use crate::crash::Dice;
use crate::processes::{Process, binaries, until};
use crate::world::free_port;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;
use store::{Database, Engine};
use tempfile::TempDir;
use testkit::postgres::TestSchema;
use ureq::http::{Method, Request};

/// Longest wait for the end of an import or a scan, in seconds.
const PATIENCE: u64 = 120;
/// An outage after which every lease and every claim of the server that died has ended, in seconds.
pub const OUTAGE: i64 = 100;
/// What the simulator's own user sends: `quays3am1` with its password.
const AUTHORIZATION: &str = "Basic cXVheXMzYW0xOnNpbS1wYXNzd29yZA==";

/// A weakness of a host: QID, port and protocol, and where it stands.
pub type Rows = BTreeSet<(i64, i64, String, String)>;

/// How a site is made.
#[derive(Clone, Copy)]
pub struct Setup {
    /// How many times faster than real ones scans run.
    pub speed: &'static str,
    /// How long a launch is searched for before it is sent again, in seconds.
    pub search_seconds: i64,
}

pub struct Host {
    pub id: i64,
    ip: String,
}

/// An open item, and where the simulator has it.
#[derive(Clone, Debug)]
pub struct Item {
    pub number: String,
    pub qid: i64,
    pub host: i64,
}

pub struct Site {
    pub api: Api,
    pub server: Option<Process>,
    pub hosts: Vec<Host>,
    pub instance: i64,
    /// Seconds that both clocks are ahead of the machine's.
    ahead: i64,
    ports: (u16, u16),
    /// Read past the server.
    database: Option<Database>,
    schema: Option<TestSchema>,
    http: ureq::Agent,
    platform: String,
    _simulator: Process,
    folder: TempDir,
}

impl Site {
    /// Everything set up, imported, the scanner active; `None`, said loudly, where there is no PostgreSQL.
    pub fn new(engine: Engine, test: &str, setup: Setup) -> Option<Site> {
        let schema = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(TestSchema::create(test)?),
        };
        let folder = TempDir::with_prefix("quell-site-").unwrap();
        let mut command = Command::new(binaries().join("qualys-sim"));
        command.args(["--json", "--no-networks", "--hosts", "14", "--detections", "8", "--page-hosts", "3"]);
        command.args(["--rate-limit", "0", "--concurrency", "100", "--scan-speed", setup.speed]);
        let log = folder.path().join("simulator.log");
        let simulator = Process::start(&mut command, &log);
        let said = until("an address of the simulator", 60, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines()
                .find_map(|line| serde_json::from_str::<Value>(line).ok().filter(|said| said["api_url"].is_string()))
        });
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .max_idle_connections(0)
            .build();
        let ports = (free_port(), free_port());
        let mut site = Site {
            api: Api::new(ports.0),
            server: None,
            hosts: Vec::new(),
            instance: 0,
            ahead: 0,
            ports,
            database: None,
            schema,
            http: config.into(),
            platform: said["api_url"].as_str().unwrap().to_owned(),
            _simulator: simulator,
            folder,
        };
        site.populate(&said, setup);
        Some(site)
    }

    fn populate(&mut self, said: &Value, setup: Setup) {
        self.start(None);
        let log = self.log();
        let once = until("showing the first password", 30, || {
            let said = std::fs::read_to_string(&log).unwrap();
            said.lines().find_map(|line| Some(line.trim().strip_prefix("password:")?.trim().to_owned()))
        });
        self.api.sign_in("admin", &once);
        self.api.take_token();
        self.database = Some(match &self.schema {
            Some(schema) => Database::postgres(schema.url()).unwrap(),
            None => Database::sqlite(self.folder.path().join("server/quell.db")).unwrap(),
        });
        let hosts: Value = serde_json::from_str(&self.simulator("GET", "hosts")).unwrap();
        let host =
            |host: &Value| Host { id: host["id"].as_i64().unwrap(), ip: host["ip"].as_str().unwrap().to_owned() };
        self.hosts = hosts.as_array().unwrap().iter().map(host).collect();
        let new = json!({
            "name": "Qualys", "api_url": said["api_url"], "username": said["username"], "password": said["password"],
            "default_profile": "510001",
        });
        let made = self.api.must(Method::POST, "/api/v1/instances", Some(&new));
        self.instance = made["instance"]["id"].as_i64().unwrap();
        let pace =
            json!({ "pace": { "first_seconds": 1, "longest_seconds": 1, "search_seconds": setup.search_seconds } });
        self.api.must(Method::PUT, "/api/v1/settings/rescan-pace", Some(&pace));
        let policy = json!({ "policy": {
            "from": "00:00", "until": "00:00", "zone": "UTC", "running_max": 100, "launches_max": 10_000, "launches_seconds": 60,
        } });
        let path = format!("/api/v1/instances/{}/rescan-policy", self.instance);
        self.api.must(Method::PUT, &path, Some(&policy));
        // An import from before the scanner is active does not stamp the source; the second one does.
        self.complete("everything");
        self.api.must(Method::PATCH, "/api/v1/scanners/qualys", Some(&json!({ "active": true })));
        self.complete("everything");
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("server.log")
    }

    /// The last lines that the server wrote.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(25).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Start the server, dying at a point if one is named, and wait until it answers.
    pub fn start(&mut self, failpoint: Option<&str>) {
        let mut command = Command::new(binaries().join("quell"));
        command.args(["serve", "--plain-http", "--listen", &format!("127.0.0.1:{}", self.ports.0)]);
        command.args(["--agent-listen", &format!("127.0.0.1:{}", self.ports.1), "--log", "warn"]);
        command.arg("--allow-failpoints").env(server::failpoint::AHEAD, self.ahead.to_string());
        command.arg("--data-dir").arg(self.folder.path().join("server"));
        if let Some(schema) = &self.schema {
            command.args(["--database", schema.url()]);
        }
        if let Some(failpoint) = failpoint {
            command.env(server::failpoint::VARIABLE, format!("{failpoint}:kill"));
        }
        let mut server = Process::start(&mut command, &self.log());
        let api = &mut self.api;
        until("an answer of the server", 60, || {
            (server.is_dead() || api.get("/readyz").is_ok_and(|(status, _)| status == 200)).then_some(())
        });
        self.server = Some(server);
    }

    /// SIGKILL, and a while without a server.
    pub fn outage(&mut self, seconds: i64) {
        self.server.take();
        self.ahead += seconds;
        self.simulator("POST", &format!("clock?step_seconds={seconds}"));
    }

    /// A server that dies at this point as soon as it gets there.
    pub fn restart_at(&mut self, point: &str) {
        self.outage(OUTAGE);
        self.start(Some(point));
    }

    /// Wait until the server has died at its point, and start it again after an outage.
    pub fn after_death(&mut self, point: &str) {
        let server = self.server.as_mut().unwrap();
        until(&format!("passing {point}"), 60, || server.is_dead().then_some(()));
        self.outage(OUTAGE);
        self.start(None);
    }

    /// A call of the simulator's control.
    pub fn simulator(&self, method: &str, what: &str) -> String {
        let request = Request::builder().method(method).uri(format!("{}/sim/{what}", self.platform)).body(()).unwrap();
        let mut response = self.http.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert_eq!(response.status().as_u16(), 200, "{what}: {text}");
        text
    }

    /// Let the platform take so long before each answer, in milliseconds.
    pub fn slow(&self, ms: u64) {
        let plan = json!([{ "kind": "delay", "ms": ms, "times": 0 }]);
        let request = Request::builder().method("PUT").uri(format!("{}/sim/faults", self.platform));
        let response = self.http.run(request.body(plan.to_string()).unwrap()).unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }

    /// Every scan of the simulator.
    pub fn scans(&self) -> Vec<Value> {
        let scans: Value = serde_json::from_str(&self.simulator("GET", "scans")).unwrap();
        scans.as_array().unwrap().clone()
    }

    /// How many scans of each title of ours the simulator has.
    pub fn titles(&self) -> BTreeMap<String, usize> {
        let mut titles = BTreeMap::new();
        for scan in self.scans() {
            let title = scan["title"].as_str().unwrap_or_default().to_owned();
            if title != OTHERS {
                *titles.entry(title).or_default() += 1;
            }
        }
        titles
    }

    /// Say whether a weakness is there.
    pub fn set_present(&self, host: i64, qid: i64, present: bool) {
        self.simulator("POST", &format!("truth?host={host}&qid={qid}&present={}", u8::from(present)));
    }

    /// Others of the subscription change hosts and scan them; it is processed when this returns.
    pub fn change(&self, dice: &mut Dice, hosts: usize) {
        let truth = self.truth();
        let mut scanned = BTreeSet::new();
        for _ in 0..hosts {
            let host = &self.hosts[pick(dice, self.hosts.len())];
            scanned.insert(host.ip.clone());
            let rows: Vec<_> = truth.get(&host.id.to_string()).into_iter().flatten().collect();
            for _ in 0..rows.len().min(3) {
                let (qid, _, _, status) = rows[pick(dice, rows.len())];
                self.set_present(host.id, *qid, status == "fixed");
            }
        }
        let known = self.scans().len();
        let ips = scanned.into_iter().collect::<Vec<_>>().join(",");
        let request = Request::builder()
            .method("POST")
            .uri(format!("{}/api/2.0/fo/scan/", self.platform))
            .header("authorization", AUTHORIZATION)
            .header("x-requested-with", "crash tests")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("action=launch&scan_title={OTHERS}&option_id=510001&ip={ips}"))
            .unwrap();
        let mut response = self.http.run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert!(text.contains("scan launched"), "{text}");
        until("a scan of others", 60, || {
            self.scans()[known..].iter().all(|scan| scan["processed"] == true).then_some(())
        });
    }

    /// What the platform holds of each host.
    pub fn truth(&self) -> BTreeMap<String, Rows> {
        let mut hosts: BTreeMap<String, Rows> = BTreeMap::new();
        for line in self.simulator("GET", "truth").lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let rows = hosts.entry(cells[0].to_owned()).or_default();
            if !cells[5].is_empty() {
                let port = cells[2].parse().unwrap_or(0);
                let status = cells[5].replace('-', "").to_lowercase();
                rows.insert((cells[1].parse().unwrap(), port, cells[3].to_owned(), status));
            }
        }
        hosts
    }

    /// The same as the server knows it, read past the server.
    pub fn known(&self) -> BTreeMap<String, Rows> {
        type Known = (String, Option<i64>, Option<i64>, Option<String>, Option<String>);
        let instance = self.instance;
        let read = self.database.as_ref().unwrap().read_blocking(move |tx| {
            tx.all::<Known>(
                "SELECT h.host_key, v.qid, d.port, d.protocol, d.status FROM source_host h
                 LEFT JOIN detection d ON d.source_host_id = h.id AND d.kind <> 'info'
                 LEFT JOIN vulnerability v ON v.id = d.vulnerability_id WHERE h.instance_id = $1",
                &[&instance],
            )
        });
        let mut hosts: BTreeMap<String, Rows> = BTreeMap::new();
        for (host, qid, port, protocol, status) in read.unwrap() {
            let rows = hosts.entry(host).or_default();
            if let (Some(qid), Some(status)) = (qid, status) {
                rows.insert((qid, port.unwrap_or(0), protocol.unwrap_or_default(), status));
            }
        }
        hosts
    }

    /// What is known is what the platform holds.
    #[track_caller]
    pub fn agrees(&self, what: &str) {
        let (truth, known) = (self.truth(), self.known());
        assert_eq!(known.keys().collect::<Vec<_>>(), truth.keys().collect::<Vec<_>>(), "{what}: other hosts");
        for (host, rows) in &truth {
            let missing: Vec<_> = rows.difference(&known[host]).collect();
            let wrong: Vec<_> = known[host].difference(rows).collect();
            assert!(
                missing.is_empty() && wrong.is_empty(),
                "{what}: host {host}: not known {missing:?}, known {wrong:?}"
            );
        }
    }

    /// How far the cursors are, and that none of them is ahead of the platform's clock.
    #[track_caller]
    pub fn cursors(&mut self, what: &str) {
        let now: Value = serde_json::from_str(&self.simulator("GET", "")).unwrap();
        let now = now["now"].as_str().unwrap().to_owned();
        let shown = self.api.must(Method::GET, &format!("/api/v1/instances/{}", self.instance), None);
        for cursor in ["knowledge_base_until", "host_detection_until"] {
            let until = shown["instance"][cursor].as_str().unwrap();
            // Both are instants in UTC, written alike up to the second.
            assert!(until[..19] <= now[..19], "{what}: {cursor} {until} is ahead of the platform at {now}");
        }
    }

    /// Ask for an import, whatever comes of it; gives its number where the server could still say it.
    pub fn ask(&mut self, kind: &str) -> Option<String> {
        let path = format!("/api/v1/instances/{}/imports", self.instance);
        let (_, body) = self.api.post(&path, &json!({ "kind": kind })).ok()?;
        Some(body["import"]["number"].as_str()?.to_owned())
    }

    /// Import, by a server that is not meant to die.
    #[track_caller]
    pub fn complete(&mut self, kind: &str) {
        let number = until("an import that can be asked for", PATIENCE, || self.ask(kind));
        let run = self.ended(&number);
        assert_eq!(run["state"], "complete", "{run}\n{}", self.said());
    }

    /// The run when it has ended.
    #[track_caller]
    pub fn ended(&mut self, number: &str) -> Value {
        until(&format!("the end of {number}"), PATIENCE, || {
            let (_, body) = self.api.get(&format!("/api/v1/imports/{number}")).ok()?;
            (!body["import"]["ended_at"].is_null()).then(|| body["import"].clone())
        })
    }

    /// Open items of the demo set that the default profile tests.
    pub fn items(&mut self) -> Vec<Item> {
        let path = "/api/v1/items?q=is:open+qid%3C901000&limit=200";
        let list = self.api.must(Method::GET, path, None);
        let mut found = Vec::new();
        for item in list["items"].as_array().unwrap() {
            let number = item["number"].as_str().unwrap().to_owned();
            let shown = self.api.must(Method::GET, &format!("/api/v1/items/{number}"), None);
            let host = shown["detections"][0]["host"].as_str().unwrap().parse().unwrap();
            found.push(Item { number, qid: item["qid"].as_i64().unwrap(), host });
        }
        found
    }

    /// Ask for a rescan of an item; the server may die of it before it has answered.
    pub fn rescan(&mut self, item: &Item) -> Option<String> {
        let (_, body) = self.api.post("/api/v1/scans", &json!({ "items": [item.number] })).ok()?;
        Some(body["scan"]["number"].as_str()?.to_owned())
    }

    /// The newest rescan there is.
    pub fn newest_scan(&mut self) -> String {
        let list = self.api.must(Method::GET, "/api/v1/scans?sort=-number&limit=1", None);
        list["scans"][0]["number"].as_str().unwrap().to_owned()
    }

    /// The request when every child of it has ended.
    #[track_caller]
    pub fn scanned(&mut self, number: &str) -> Value {
        let mut last = Value::Null;
        let deadline = std::time::Instant::now() + Duration::from_secs(PATIENCE);
        while std::time::Instant::now() < deadline {
            if let Ok((200, body)) = self.api.get(&format!("/api/v1/scans/{number}")) {
                if !body["scan"]["ended_at"].is_null() {
                    return body;
                }
                last = body;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{number} is lost: {last}\n{}", self.said());
    }

    /// Every request, ended.
    pub fn all_scanned(&mut self) -> Vec<Value> {
        let list = self.api.must(Method::GET, "/api/v1/scans?limit=500", None);
        let numbers = list["scans"].as_array().unwrap().iter().map(|scan| scan["number"].as_str().unwrap().to_owned());
        numbers.collect::<Vec<_>>().iter().map(|number| self.scanned(number)).collect()
    }

    /// How many runs ended in each state.
    pub fn runs(&self) -> BTreeMap<String, i64> {
        let read =
            self.database.as_ref().unwrap().read_blocking(|tx| {
                tx.all::<(String, i64)>("SELECT state, count(*) FROM import_run GROUP BY state", &[])
            });
        read.unwrap().into_iter().collect()
    }
}

/// The title of scans that others of the subscription launch.
const OTHERS: &str = "others";

/// One of so many.
pub fn pick(dice: &mut Dice, of: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(of).unwrap())).unwrap()
}
