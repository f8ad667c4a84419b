//! The fault plan of the simulated platform as a matrix, through the whole engine: every kind of misbehaviour, at every end point of an
//! import, at its first and at a later request. Whatever happens, an import ends complete, with what the platform holds, or as a failed
//! run that says why and keeps complete hosts only; the next one without the fault puts everything right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "helpers of tests are tests, too"
)]

use qualys_sim::{Fault, FaultKind, Limits, Options, Simulator, Switches};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::Duration;
use testkit::server::{Client, TestServer};

/// End points that an import of everything calls.
const ENDPOINTS: [&str; 5] = ["host-detection", "knowledge-base", "option-profile", "appliance", "asset-group"];
/// Kinds that an import does not get over where they last.
const LASTING: [&str; 9] =
    ["html", "maintenance", "bad-login", "gone", "error-with200", "empty", "error-midway", "cut", "too-long"];
/// Kinds after which an import has to be complete all the same, wherever they strike.
const HARMLESS: [&str; 10] = [
    "rate-limited",
    "too-many-at-once",
    "blocked",
    "invalid-characters",
    "keep-alive-comments",
    "delay",
    "slow-drip",
    "double-escaped-results",
    "lower-case-tags",
    "no-unique-vuln-id",
];

fn kinds() -> Vec<FaultKind> {
    vec![
        FaultKind::RateLimited { seconds: 3, headers: true },
        FaultKind::RateLimited { seconds: 3, headers: false },
        FaultKind::TooManyAtOnce { headers: true },
        FaultKind::TooManyAtOnce { headers: false },
        FaultKind::Blocked,
        FaultKind::Html { status: 502 },
        FaultKind::Html { status: 200 },
        FaultKind::Maintenance,
        FaultKind::BadLogin,
        FaultKind::TooLong,
        FaultKind::Gone,
        FaultKind::ErrorWith200 { code: 999 },
        FaultKind::Empty,
        FaultKind::ErrorMidway { after: 1 },
        FaultKind::Cut { after: 700 },
        FaultKind::InvalidCharacters,
        FaultKind::KeepAliveComments,
        FaultKind::SlowDrip { bytes: 4096, pause_ms: 1 },
        FaultKind::Delay { ms: 20 },
        FaultKind::DuplicateHost,
        FaultKind::FrozenCursor,
        FaultKind::LowerCaseTags,
        FaultKind::IdRange,
        FaultKind::NoUniqueVulnId,
        FaultKind::DoubleEscapedResults,
        FaultKind::UnknownParameter { name: "show_tags".to_owned() },
        FaultKind::HugePage { bytes: 300_000 },
    ]
}

fn word(kind: &FaultKind) -> String {
    serde_json::to_value(kind).unwrap()["kind"].as_str().unwrap().to_owned()
}

async fn platform(options: Options) -> Simulator {
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    Simulator::start(Options { limits, ..options }).await.unwrap()
}

/// A new subscription of the same platform: nothing of it is known yet.
async fn subscribe(admin: &Client, simulator: &Simulator, name: &str) -> i64 {
    let new = json!({
        "name": name, "api_url": simulator.api_url(),
        "username": simulator.username(), "password": simulator.password(),
    });
    admin.post("/api/v1/instances", &new).await.expect(201)["instance"]["id"].as_i64().unwrap()
}

/// Import everything; time goes on while somebody waits.
///
/// Not faster than a large page is merged: a server that does not renew its lease in time counts as dead.
async fn import(server: &TestServer, admin: &Client, instance: i64, large: bool) -> Value {
    let path = format!("/api/v1/instances/{instance}/imports");
    let begun = admin.post(&path, &json!({ "kind": "everything" })).await.expect(202);
    let number = begun["import"]["number"].as_str().unwrap().to_owned();
    for _ in 0..4_000 {
        let run = admin.get(&format!("/api/v1/imports/{number}")).await.expect(200);
        if run["import"]["ended_at"] != Value::Null {
            return run["import"].clone();
        }
        server.clock.advance(1);
        tokio::time::sleep(Duration::from_millis(if large { 50 } else { 5 })).await;
    }
    panic!("the import {number} does not end");
}

type Rows = BTreeSet<(i64, i64, String)>;
/// A host, and of a weakness of it: QID, port and state.
type Known = (String, Option<i64>, Option<i64>, Option<String>);

/// What the platform holds of each host: QID, port and state of every weakness.
fn truth(simulator: &Simulator) -> BTreeMap<String, Rows> {
    let world = simulator.state();
    let rows = |host: &qualys_sim::hosts::Host| {
        let record = world.record(host);
        let weak = record.detections.iter().filter(|row| row.kind.detection_type() != "Info");
        weak.map(|row| {
            let status = row.status.word().replace('-', "").to_lowercase();
            (i64::from(row.qid), row.port.map_or(0, |(port, _)| i64::from(port)), status)
        })
        .collect()
    };
    world.fleet().iter().map(|host| (host.id.to_string(), rows(&host))).collect()
}

/// The same as this server knows it.
async fn known(server: &TestServer, instance: i64) -> BTreeMap<String, Rows> {
    let rows: Vec<Known> = server
        .app()
        .database
        .read(move |tx| {
            tx.all(
                "SELECT h.host_key, v.qid, d.port, d.status FROM source_host h
                 LEFT JOIN detection d ON d.source_host_id = h.id AND d.kind <> 'info'
                 LEFT JOIN vulnerability v ON v.id = d.vulnerability_id WHERE h.instance_id = $1",
                &[&instance],
            )
        })
        .await
        .unwrap();
    let mut hosts: BTreeMap<String, Rows> = BTreeMap::new();
    for (host, qid, port, status) in rows {
        let rows = hosts.entry(host).or_default();
        rows.extend(qid.zip(port).zip(status).map(|((qid, port), status)| (qid, port, status)));
    }
    hosts
}

/// One field of the matrix; what the run said.
async fn strike(server: &TestServer, admin: &Client, simulator: &Simulator, fault: Fault, name: &str) -> String {
    let kind = word(&fault.what);
    let instance = subscribe(admin, simulator, name).await;
    simulator.set_fault_plan(vec![fault]);
    let run = import(server, admin, instance, truth(simulator).len() > 100).await;
    let (truth, found) = (truth(simulator), known(server, instance).await);
    let state = run["state"].as_str().unwrap();
    match state {
        "complete" => assert_eq!(found, truth, "{name}: complete, but not what the platform holds: {run}"),
        "failed" => {
            assert!(!run.to_string().contains("the server stopped"), "{name}: {run}");
            assert!(!HARMLESS.contains(&kind.as_str()), "{name}: {run}");
            assert!(run["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{name}: it says why: {run}");
            for (host, rows) in &found {
                assert_eq!(Some(rows), truth.get(host), "{name}: host {host} is not complete: {run}");
            }
        }
        other => panic!("{name}: {other}: {run}"),
    }
    simulator.set_fault_plan(vec![]);
    let next = import(server, admin, instance, truth.len() > 100).await;
    assert_eq!(next["state"], "complete", "{name}: afterwards: {next}");
    assert_eq!(known(server, instance).await, truth, "{name}: afterwards");
    state.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_end_point() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let simulator = platform(Options { hosts: 4, ..Options::default() }).await;
    let mut felt: BTreeSet<String> = BTreeSet::new();
    for endpoint in ENDPOINTS {
        for (at, kind) in kinds().into_iter().enumerate() {
            let of = word(&kind);
            let (content, hard) = (ENDPOINTS[..2].contains(&endpoint), LASTING.contains(&of.as_str()));
            // What sets a platform up is small and told in one answer.
            if !content && !hard {
                continue;
            }
            for lasting in [false, true].into_iter().filter(|lasting| !lasting || hard) {
                let fault = Fault { times: u64::from(!lasting), ..Fault::on(endpoint, 1, kind.clone()) };
                let name = format!("{endpoint} {at} {of}{}", if lasting { " lasting" } else { "" });
                let state = strike(&server, &admin, &simulator, fault, &name).await;
                if lasting && content {
                    assert_eq!(state, "failed", "{name}: nothing came, and nobody says so");
                }
                if state == "failed" {
                    felt.insert(name);
                }
            }
        }
    }
    // A test that cannot fail is none.
    assert!(felt.len() >= 2 * LASTING.len(), "{felt:?}");
}

/// The same on a later page, where what came before is complete and stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_complete_before_a_fault_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    // One page holds a thousand hosts.
    let simulator = platform(Options { hosts: 1_010, detections_per_host: 1, ..Options::default() }).await;
    for (kind, times, expected) in
        [(FaultKind::ErrorMidway { after: 5 }, 0, "failed"), (FaultKind::DuplicateHost, 1, "complete")]
    {
        let name = format!("second page {}", word(&kind));
        let fault = Fault { times, ..Fault::on("host-detection", 2, kind) };
        assert_eq!(strike(&server, &admin, &simulator, fault, &name).await, expected, "{name}");
    }
    let instance = subscribe(&admin, &simulator, "Frozen").await;
    simulator.set_fault_plan(vec![Fault { times: 0, ..Fault::on("host-detection", 1, FaultKind::FrozenCursor) }]);
    let run = import(&server, &admin, instance, true).await;
    assert_eq!(run["state"], "failed", "a page that names itself as the next would be asked for for ever: {run}");
    let truth = truth(&simulator);
    for (host, rows) in known(&server, instance).await {
        assert_eq!(Some(&rows), truth.get(&host), "host {host}");
    }
}

/// Where the address of the next page names another machine, nothing is sent there: no password, no connection at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_next_page_gets_nothing() {
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    foreign.set_nonblocking(true).unwrap();
    let base = format!("http://{}", foreign.local_addr().unwrap());
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let switches = Switches { returned_base: Some(base), ..Switches::default() };
    let simulator = platform(Options { hosts: 1_020, detections_per_host: 1, switches, ..Options::default() }).await;
    let instance = subscribe(&admin, &simulator, "Foreign").await;
    let run = import(&server, &admin, instance, true).await;
    assert_eq!(run["state"], "complete", "{run}");
    assert_eq!(known(&server, instance).await, truth(&simulator));
    if let Ok((mut stream, _)) = foreign.accept() {
        let mut bytes = [0; 200];
        let length = stream.read(&mut bytes).unwrap_or(0);
        panic!("somebody came: {}", String::from_utf8_lossy(&bytes[..length]));
    }
}
