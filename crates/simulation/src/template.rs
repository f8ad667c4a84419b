//! What every seed starts from: a server's data folder with an imported platform and a signed catalogue, and the root of
//! each host. Made once per process, by a real server and the simulator of the scanner's platform, then copied.

use crate::spread::CLUSTER;
use catalogue::bundle::Bundle;
use catalogue::ephemeral::single_key_root;
use catalogue::schema::Entry;
use domain::time::Timestamp;
use protocol::root::RoleKeys;
use protocol::signed::{PublicKey, SigningKey};
use qualys_sim::{Limits, Options, Simulator, weakness};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use testkit::server::TestServer;

/// How long the catalogue of a simulated world is good for, in seconds: longer than any world lives.
const CATALOGUE_SECONDS: i64 = 60 * 24 * 3600;

/// A world at its beginning.
pub struct Template {
    folder: tempfile::TempDir,
    /// Bearer token of the person who works with it.
    pub token: String,
    /// Bearer token of a second person.
    pub second: String,
    /// Keys of the organisation role, kept offline; two have to sign.
    pub organisation: Vec<SigningKey>,
    /// QIDs something can be done about, with the assets that have them.
    pub qids: Vec<(i64, Vec<i64>)>,
    /// QIDs for which a second person is needed.
    pub risky: Vec<(i64, Vec<i64>)>,
    /// The entries that no agent applies without one.
    pub risky_entries: BTreeSet<String>,
    /// The cluster that an asset is in.
    pub clusters: BTreeMap<i64, String>,
    /// Hosts, in the order of their folders.
    pub hosts: usize,
}

impl Template {
    /// Make one with so many hosts.
    pub fn make(hosts: u32) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(Self::build(hosts))
    }

    async fn build(hosts: u32) -> Self {
        let folder = tempfile::Builder::new().prefix("quell-sim-").tempdir_in(scratch()).expect("a folder");
        let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
        let options = Options {
            limits,
            hosts,
            demo_hosts: hosts,
            detections_per_host: 0,
            detections_per_demo_host: 0,
            ..Options::default()
        };
        let simulator = Simulator::start(options).await.expect("the platform starts");
        let server = TestServer::start().await;
        let admin = server.admin().await;
        let new = json!({
            "name": "Simulated", "api_url": simulator.api_url(), "username": simulator.username(),
            "password": simulator.password(),
        });
        let made = admin.post("/api/v1/instances", &new).await.expect(201);
        let path = format!("/api/v1/instances/{}/imports", made["instance"]["id"]);
        let begun = admin.post(&path, &json!({ "kind": "everything" })).await.expect(202);
        let path = format!("/api/v1/imports/{}", begun["import"]["number"].as_str().expect("a number"));
        loop {
            let run = admin.get(&path).await.expect(200);
            if run["import"]["state"] != "running" {
                assert_eq!(run["import"]["state"], "complete", "{run}");
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let app = server.app();
        let entries = catalogue::embedded::entries().expect("the built-in entries are whole");
        let key = server::engine::catalogue::order_key(app).public();
        let organisation: Vec<SigningKey> = (0..3).map(|_| SigningKey::generate().expect("a key")).collect();
        let parcel = parcel(&key, &organisation, &entries, app.clock.now());
        let risky_entries: BTreeSet<String> =
            entries.iter().filter(|entry| entry.class() >= 2).map(|entry| entry.id.to_string()).collect();
        let installed = admin.post("/api/v1/catalogue", &parcel).await;
        assert!(installed.status < 300, "{}", installed.text);
        let token = admin.make_token(&["all"]).await;
        let second = server.user("second", &["administrator"]).await.make_token(&["all"]).await;
        let (mut qids, mut risky) = (Vec::new(), Vec::new());
        for weakness in weakness::all() {
            let found = admin.get(&format!("/api/v1/eliminations?qid={}", weakness.qid)).await;
            let list = |name: &str| found.json[name].as_array().cloned().unwrap_or_default();
            let assets: Vec<i64> = list("assets").iter().filter_map(|asset| asset["id"].as_i64()).collect();
            let undone = |entry: &Value| entry["reversible"] == true;
            let eliminations = list("eliminations");
            if eliminations.is_empty() || !eliminations.iter().all(undone) || assets.is_empty() {
                continue;
            }
            let high = eliminations.iter().any(|entry| entry["risk"] == "high");
            if high { &mut risky } else { &mut qids }.push((i64::from(weakness.qid), assets));
        }
        // Two assets of three are in a cluster of three or four.
        let mut assets: Vec<i64> = qids.iter().flat_map(|(_, assets)| assets.iter().copied()).collect();
        assets.sort_unstable();
        assets.dedup();
        let mut clusters = BTreeMap::new();
        for (at, asset) in assets.into_iter().enumerate().filter(|(at, _)| at % 3 > 0) {
            let cluster = format!("{CLUSTER}{}", at / 5);
            admin.patch(&format!("/api/v1/assets/{asset}"), &json!({ "tags": [cluster] })).await.expect(200);
            clusters.insert(asset, cluster);
        }
        let demo = simulator.demo_hosts();
        for host in &demo {
            let root = folder.path().join(format!("roots/{}", host.index));
            std::fs::create_dir_all(&root).expect("a folder");
            simulator.write_root(host, &root).expect("a root");
            prune(&root);
        }
        let data = server.folder().to_owned();
        let hosts = demo.len();
        // The data folder goes with the server, its database is whole once the server has stopped.
        let kept = folder.path().join("server");
        let app = server.app().clone();
        app.database.write(|tx| tx.execute("UPDATE agent SET order_seq = order_seq", &[])).await.expect("a write");
        drop(app);
        copy(&data, &kept);
        server.stop().await;
        simulator.shutdown().await;
        Self { folder, token, second, organisation, qids, risky, risky_entries, clusters, hosts }
    }

    /// The assets that have a QID something can be done about.
    pub fn assets_of(&self, qid: i64) -> Vec<i64> {
        let all = self.qids.iter().chain(&self.risky);
        all.filter(|(known, _)| *known == qid).flat_map(|(_, assets)| assets.iter().copied()).collect()
    }

    /// The untouched root of a host.
    pub fn root(&self, host: usize) -> PathBuf {
        self.folder.path().join(format!("roots/{host}"))
    }

    /// Copy server and roots into the folder of a seed.
    pub fn lay(&self, into: &Path) {
        copy(&self.folder.path().join("server"), &into.join("server"));
        copy(&self.folder.path().join("roots"), &into.join("roots"));
    }
}

/// A signed catalogue of these entries, under a root of keys made on the spot.
fn parcel(order: &PublicKey, organisation: &[SigningKey], entries: &[Entry], now: Timestamp) -> Value {
    let (root_key, content_key) = (SigningKey::generate().expect("a key"), SigningKey::generate().expect("a key"));
    let expires = now.plus_seconds(CATALOGUE_SECONDS);
    let first = organisation.first().expect("a key").public();
    let mut root = single_key_root(&root_key.public(), &content_key.public(), &first, order, 1, expires);
    let keys: Vec<PublicKey> = organisation.iter().map(SigningKey::public).collect();
    root.roles.organisation = RoleKeys { keyids: keys.iter().map(PublicKey::id).collect(), threshold: 2 };
    root.keys.extend(keys.into_iter().skip(1));
    let bundle = Bundle::sign(1, expires, entries, Vec::new(), &[&content_key]).expect("a catalogue");
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("JSON is text");
    json!({
        "roots": [text(&root.seal(&[&root_key]).expect("a root").to_json())],
        "index": text(&bundle.index),
        "entries": bundle.entries.values().map(text).collect::<Vec<_>>(),
    })
}

/// Files that no entry and no fact asks for, left out because they are copied for every seed.
fn prune(root: &Path) {
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/triggers", "var/lib/dpkg/updates", "usr/share/doc"] {
        let _ = std::fs::remove_dir_all(root.join(folder));
    }
}

/// In memory where the system has such a place: a simulated disk is as durable as the simulation wants it to be.
pub fn scratch() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

/// Copy a folder with its links and modes.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let meta = std::fs::symlink_metadata(&source).expect("an entry");
        if meta.is_dir() {
            copy(&source, &target);
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(meta.mode())).expect("a mode");
        } else if meta.is_symlink() {
            let link = std::fs::read_link(&source).expect("a link");
            std::os::unix::fs::symlink(link, &target).expect("a link");
        } else {
            std::fs::copy(&source, &target).expect("a file");
        }
    }
}
