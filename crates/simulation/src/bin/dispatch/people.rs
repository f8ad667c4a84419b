//! The person behind the benchmark: a server process, a signed-in program, an imported platform, a catalogue.

use catalogue::ephemeral::Ephemeral;
use qualys_sim::{Limits, Options, Simulator, weakness};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server process that ends with the benchmark.
pub struct Server {
    child: Child,
    /// Address of people's plain HTTP.
    pub people: String,
    /// `https://host:port` of the agents.
    pub agents: String,
    password: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Start it on an empty folder.
    pub fn start(program: &Path, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(["serve", "--plain-http", "--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0"]);
        command.args(["--log", "warn", "--data-dir"]).arg(folder);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut people, mut agents, mut password) = (String::new(), String::new(), String::new());
        while password.is_empty() || agents.is_empty() {
            let line = lines.next().expect("the server says where it is").expect("text");
            for (name, value) in [("people:", &mut people), ("agents:", &mut agents), ("password:", &mut password)] {
                if let Some((_, rest)) = line.split_once(name) {
                    *value = rest.trim().trim_end_matches('/').to_owned();
                }
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let people = people.trim_start_matches("http://").to_owned();
        Self { child, people, agents, password }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far, of all its threads, in seconds.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("its statistics");
        let after = stat.rsplit_once(')').expect("a name").1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: u32 = [11, 12].iter().map(|at| fields[*at].parse::<u32>().expect("ticks")).sum();
        f64::from(ticks) / 100.0
    }

    /// Proportional set size in KiB.
    pub fn pss(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).expect("its memory");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a line");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }
}

/// A signed-in program.
pub struct Api {
    address: String,
    headers: Vec<(String, String)>,
}

impl Api {
    /// Sign in, choose a password, make a token.
    pub fn sign_in(server: &Server) -> Self {
        let mut api = Self { address: server.people.clone(), headers: Vec::new() };
        let chosen = "chosen for a benchmark alone";
        for (path, body) in [
            ("/api/v1/session", json!({ "name": "admin", "password": server.password })),
            ("/api/v1/me/password", json!({ "password": server.password, "new_password": chosen })),
        ] {
            let (status, head, body) = api.call("POST", path, &body);
            assert_eq!(status, 200, "{path}: {body}");
            let cookie = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| *name == "set-cookie"));
            let cookie = cookie.and_then(|(_, value)| value.split(';').next()).unwrap_or_default().to_owned();
            let csrf = body["session"]["csrf_token"].as_str().unwrap_or_default().to_owned();
            api.headers = vec![("cookie".to_owned(), cookie), ("x-csrf-token".to_owned(), csrf)];
        }
        let token = api.must("POST", "/api/v1/tokens", &json!({ "name": "benchmark", "scopes": ["all"] }));
        let token = token["secret"].as_str().expect("a token").to_owned();
        api.headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
        api
    }

    /// One request on a connection of its own: status, head, body.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.write_all(head.as_bytes()).expect("a request is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let json = match rest.find(['{', '[']) {
            // A chunked body has its length in front of it.
            Some(at) => serde_json::Deserializer::from_str(&rest[at..])
                .into_iter()
                .next()
                .and_then(Result::ok)
                .unwrap_or(Value::Null),
            None => Value::Null,
        };
        (status, head.to_owned(), json)
    }

    /// One that succeeds.
    pub fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, _, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

/// Machines of the platform that are to have agents, and the QID they share.
pub struct Platform {
    /// The QID.
    pub qid: i64,
    /// The machines: name, scanner's agent id.
    pub machines: Vec<(String, String)>,
}

/// Import a platform in which `agents` machines at least share a weakness that one entry answers.
pub fn import(api: &Api, runtime: &tokio::runtime::Runtime, agents: usize) -> Platform {
    let hosts = u32::try_from(agents * 2).expect("not that many");
    let options = Options {
        limits: Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 },
        hosts,
        demo_hosts: hosts,
        detections_per_host: 0,
        detections_per_demo_host: 0,
        ..Options::default()
    };
    let simulator = runtime.block_on(Simulator::start(options)).expect("the platform starts");
    let new = json!({
        "name": "Simulated", "api_url": simulator.api_url(), "username": simulator.username(),
        "password": simulator.password(),
    });
    let made = api.must("POST", "/api/v1/instances", &new);
    let path = format!("/api/v1/instances/{}/imports", made["instance"]["id"]);
    let begun = api.must("POST", &path, &json!({ "kind": "everything" }));
    let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().expect("a number"));
    until("the end of the import", || {
        let run = api.must("GET", &path, &Value::Null);
        (run["import"]["state"] != "running").then_some(())
    });
    catalogue(api);
    let mut best: Option<(i64, Vec<String>)> = None;
    for weakness in weakness::all() {
        let found = api.must("GET", &format!("/api/v1/eliminations?qid={}", weakness.qid), &Value::Null);
        let list = |name: &str| found[name].as_array().cloned().unwrap_or_default();
        let entries = list("eliminations");
        if entries.len() != 1 || entries[0]["risk"] == "high" || entries[0]["reversible"] != true {
            continue;
        }
        let names: Vec<String> =
            list("assets").iter().filter_map(|asset| Some(asset["name"].as_str()?.to_owned())).collect();
        if best.as_ref().is_none_or(|(_, known)| known.len() < names.len()) {
            best = Some((i64::from(weakness.qid), names));
        }
    }
    let (qid, names) = best.expect("something can be done about one weakness");
    let known: std::collections::BTreeMap<String, String> = simulator
        .demo_hosts()
        .into_iter()
        .flat_map(|host| {
            let uuid = host.agent_uuid.map(|uuid| uuid.to_string()).unwrap_or_default();
            [(host.name, uuid.clone()), (host.fqdn, uuid)]
        })
        .collect();
    let machines: Vec<(String, String)> = names
        .into_iter()
        .filter_map(|name| known.get(&name).filter(|uuid| !uuid.is_empty()).map(|uuid| (name.clone(), uuid.clone())))
        .take(agents)
        .collect();
    assert_eq!(machines.len(), agents, "QID {qid} is on too few machines");
    runtime.block_on(simulator.shutdown());
    Platform { qid, machines }
}

fn catalogue(api: &Api) {
    let present = api.must("GET", "/api/v1/catalogue", &Value::Null);
    let shown = if present["catalogue"].is_object() { &present["catalogue"] } else { &present };
    let key = shown["order_key"]["public"].as_str().expect("a key").parse().expect("a key");
    let entries = catalogue::embedded::entries().expect("the built-in entries are whole");
    let made = Ephemeral::make(&key, &entries, 1, agent::clock::wall(), 24 * 3600).expect("demo keys");
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("JSON is text");
    let parcel = json!({
        "roots": made.bundle.roots.iter().map(text).collect::<Vec<_>>(),
        "index": text(&made.bundle.index),
        "entries": made.bundle.entries.values().map(text).collect::<Vec<_>>(),
    });
    api.must("POST", "/api/v1/catalogue", &parcel);
}

/// Look until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
