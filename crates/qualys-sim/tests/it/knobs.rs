//! What tests turn: hosts purged, QIDs disabled, launches that are shown late or lose an address, criticality; and what they ask:
//! the truth, and how many calls ran side by side.

use crate::support::{Answer, Sim, elements, options};
use jiff::SignedDuration;
use qualys_sim::detections::Status;
use qualys_sim::knowledge::EntryKind;
use qualys_sim::{Fault, FaultKind, Options, Truth};
use std::collections::BTreeSet;

const SCAN: &str = "/api/2.0/fo/scan/";
const ALL: [(&str, &str); 2] = [("status", "New,Active,Re-Opened,Fixed"), ("show_igs", "1")];

/// The findings that an answer tells, in the form of the truth.
fn told(answer: &Answer) -> Vec<String> {
    let mut rows = Vec::new();
    for host in answer.text.split("<HOST>").skip(1) {
        let id = elements(host, "ID").remove(0);
        for row in elements(host, "DETECTION") {
            let text = |name: &str| elements(&row, name).into_iter().next().unwrap_or_default();
            let (qid, port, protocol) = (text("QID"), text("PORT"), text("PROTOCOL"));
            rows.push(format!("{id},{qid},{port},{protocol},{},{}\n", text("TYPE"), text("STATUS")));
        }
    }
    rows
}

#[tokio::test]
async fn the_truth_is_what_a_full_pull_tells() {
    let sim = Sim::start(Options { hosts: 30, ..options() }).await;
    let check = async |what: &str| {
        let answer = sim.detections(&ALL).await;
        let truth = sim.simulator.truth();
        assert!(truth.len() > 300, "{what}");
        assert_eq!(told(&answer), truth.iter().map(Truth::line).collect::<Vec<_>>(), "{what}");
        let keys: BTreeSet<_> = truth.iter().map(|row| (row.host, row.qid, row.port)).collect();
        assert_eq!(keys.len(), truth.len(), "{what}");
        let url = format!("{}/sim/truth", sim.simulator.api_url());
        let streamed = Answer::of(sim.client.get(url)).await.text;
        let lines = streamed.strip_prefix(Truth::COLUMNS).expect("names of the columns");
        assert_eq!(lines, truth.iter().map(Truth::line).collect::<String>(), "{what}");
        truth
    };
    let before = check("to begin with").await;
    assert!(before.iter().all(|row| (row.kind == EntryKind::Information) == row.status.is_none()));
    let host = sim.simulator.demo_hosts()[0].clone();
    sim.simulator.set_fixed(host.id, 900_101, true);
    let ip = host.ip.to_string();
    sim.post(SCAN, &[("action", "launch"), ("option_id", "510001"), ("ip", &ip), ("iscanner_name", "scanner-hq-1")])
        .await;
    sim.simulator.step_clock(SignedDuration::from_secs(600));
    let after = check("after a scan").await;
    let status =
        |rows: &[Truth]| rows.iter().find(|row| (row.host, row.qid) == (host.id, 900_101)).and_then(|row| row.status);
    assert_ne!(status(&before), Some(Status::Fixed));
    assert_eq!(status(&after), Some(Status::Fixed));
    sim.simulator.set_purged(host.id, true);
    sim.simulator.set_disabled(900_002, true);
    let less = check("after a purge and a disabled QID").await;
    assert!(less.iter().all(|row| row.host != host.id && row.qid != 900_002) && less.len() < after.len());
}

#[tokio::test]
async fn a_purged_host_is_in_no_list_and_no_scan_reaches_it() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[1].clone();
    let (id, ip) = (host.id.to_string(), host.ip.to_string());
    assert!(sim.simulator.set_purged(host.id, true) && !sim.simulator.set_purged(1, true));
    for path in ["/api/5.0/fo/asset/host/vm/detection/", "/api/5.0/fo/asset/host/", "/api/3.0/fo/asset/host/"] {
        let answer = sim.get(&format!("{path}?action=list&ids={id}")).await;
        assert!(answer.first("HOST").is_none(), "{path}");
    }
    let ids = sim.get("/api/2.0/fo/asset/host/?action=list&details=None").await;
    assert_eq!(ids.all("ID").len(), 11);
    let form = [("action", "launch"), ("option_id", "510001"), ("ip", ip.as_str())];
    sim.post(SCAN, &form).await;
    sim.simulator.step_clock(SignedDuration::from_secs(600));
    assert_eq!(sim.get("/api/3.0/fo/scan/?action=list").await.first("SUB_STATE").as_deref(), Some("No_Host"));
    sim.simulator.set_purged(host.id, false);
    assert!(sim.get(&format!("/api/5.0/fo/asset/host/?action=list&ids={id}")).await.first("HOST").is_some());
}

#[tokio::test]
async fn a_disabled_qid_is_hidden_and_not_tested() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    let id = host.id.to_string();
    sim.simulator.set_disabled(900_101, true);
    let ask = [("ids", id.as_str()), ("qids", "900101,900002"), ("include_disabled", "1")];
    assert_eq!(sim.detections(&ask[..2]).await.all("QID"), ["900002"]);
    let shown = sim.detections(&ask).await;
    assert_eq!(
        (shown.all("QID"), shown.all("IS_DISABLED")),
        (vec!["900002".into(), "900101".into()], vec!["0".into(), "1".into()])
    );
    let entries = |extra: &str| format!("/api/4.0/fo/knowledge_base/vuln/?action=list&ids=900002,900101{extra}");
    assert_eq!(sim.get(&entries("")).await.all("QID"), ["900002"]);
    let flagged = sim.get(&entries("&show_disabled_flag=1")).await;
    assert_eq!((flagged.all("QID").len(), flagged.all("IS_DISABLED")), (2, vec!["0".to_owned(), "1".to_owned()]));
    sim.simulator.set_fixed(host.id, 900_101, true);
    let ip = host.ip.to_string();
    let form = [("action", "launch"), ("option_id", "510001"), ("ip", ip.as_str())];
    sim.post(SCAN, &form).await;
    sim.simulator.step_clock(SignedDuration::from_secs(600));
    sim.simulator.set_disabled(900_101, false);
    assert_ne!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"), "the scan did not look");
    sim.post(SCAN, &form).await;
    sim.simulator.step_clock(SignedDuration::from_secs(600));
    assert_eq!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"));
}

#[tokio::test]
async fn a_launch_can_be_shown_late_and_the_next_one_at_once() {
    let sim = Sim::start(options()).await;
    let ip = sim.simulator.demo_hosts()[0].ip.to_string();
    let launch = async |title: &str| {
        let form = [("action", "launch"), ("option_id", "510001"), ("ip", ip.as_str()), ("scan_title", title)];
        sim.post(SCAN, &form).await.reference()
    };
    let listed = async || sim.get("/api/3.0/fo/scan/?action=list").await.all("TITLE");
    sim.simulator.hide_next_launch(SignedDuration::from_secs(90));
    let first = launch("first").await;
    assert!(listed().await.is_empty());
    assert!(sim.get(&format!("/api/3.0/fo/scan/?action=list&scan_ref={first}")).await.first("SCAN").is_none());
    launch("second").await;
    assert_eq!(listed().await, ["second"]);
    sim.simulator.step_clock(SignedDuration::from_secs(89));
    assert_eq!(listed().await, ["second"]);
    sim.simulator.step_clock(SignedDuration::from_secs(1));
    assert_eq!(listed().await, ["second", "first"]);
    assert_eq!(sim.simulator.scans().len(), 2, "it ran all the time");
}

#[tokio::test]
async fn an_address_can_be_dropped_without_a_word() {
    let sim = Sim::start(options()).await;
    let [one, other] = [0, 1].map(|at| sim.simulator.demo_hosts()[at].clone());
    sim.simulator.set_dropped(one.id, true);
    let launch =
        async |ips: String| sim.post(SCAN, &[("action", "launch"), ("option_id", "510001"), ("ip", &ips)]).await;
    let both = launch(format!("{},{}", one.ip, other.ip)).await;
    assert_eq!(both.first("TEXT").as_deref(), Some("New vm scan launched"));
    assert_eq!(sim.get("/api/3.0/fo/scan/?action=list").await.all("TARGET"), [other.ip.to_string()]);
    let alone = launch(one.ip.to_string()).await;
    assert_eq!((alone.status, alone.code()), (400, Some(1905)));
    sim.simulator.set_dropped(one.id, false);
    assert_eq!(launch(one.ip.to_string()).await.status, 200);
}

#[tokio::test]
async fn criticality_comes_with_the_risk_only_and_can_be_set() {
    let sim = Sim::start(options()).await;
    let id = sim.simulator.demo_hosts()[0].id;
    let ask = async |flag: &str| sim.get(&format!("/api/5.0/fo/asset/host/?action=list&ids={id}&{flag}=1")).await;
    assert!(ask("show_tags").await.first("ASSET_CRITICALITY_SCORE").is_none());
    assert_eq!(ask("show_trurisk").await.first("ASSET_CRITICALITY_SCORE").as_deref(), Some("2"));
    sim.simulator.set_criticality(id, 5);
    let answer = ask("show_trurisk").await;
    assert_eq!(answer.first("ASSET_CRITICALITY_SCORE").as_deref(), Some("5"));
    assert!(answer.first("TRURISK_SCORE").is_some_and(|score| score.parse::<u32>().is_ok_and(|score| score > 0)));
}

#[tokio::test]
async fn calls_side_by_side_are_counted_with_those_that_were_refused() {
    let sim = Sim::start(options()).await;
    let path = "/api/5.0/fo/asset/host/vm/detection/?action=list";
    for _ in 0..3 {
        sim.get(path).await;
    }
    assert_eq!(sim.simulator.parallel()["host-detection"].most, 1, "one after the other");
    // Bodies that drip hold their calls open.
    let drip = FaultKind::SlowDrip { bytes: 20_000, pause_ms: 40 };
    let slow = Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 0, what: drip };
    sim.simulator.set_fault_plan(vec![slow]);
    let answers = futures_util::future::join_all((0..4).map(|_| sim.get(path))).await;
    assert_eq!(answers.iter().filter(|answer| answer.code() == Some(1960)).count(), 2);
    assert_eq!(sim.simulator.parallel()["host-detection"].most, 3);
    assert_eq!(sim.simulator.parallel()["host-detection"].running, 0);
    sim.simulator.forget_parallel();
    sim.simulator.set_fault_plan(Vec::new());
    sim.get(path).await;
    assert_eq!(sim.simulator.parallel()["host-detection"].most, 1);
}

#[tokio::test]
async fn control_turns_the_same_knobs() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    let call = async |path: String, status: u16| {
        let answer = Answer::of(sim.client.post(format!("{}/sim/{path}", sim.simulator.api_url()))).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    };
    let id = host.id;
    for (path, status) in [
        (format!("purged?host={id}&purged=1"), 200),
        (format!("purged?host={id}&purged=0"), 200),
        (format!("dropped?host={id}&dropped=1"), 200),
        (format!("dropped?host={id}"), 400),
        (format!("criticality?host={id}&value=4"), 200),
        (format!("criticality?host={id}&value=much"), 400),
        ("disabled?qid=900101&disabled=1".to_owned(), 200),
        ("disabled?qid=900101".to_owned(), 400),
        ("hidden?seconds=60".to_owned(), 200),
        ("hidden?seconds=long".to_owned(), 400),
    ] {
        call(path, status).await;
    }
    let index = host.index;
    let world = sim.simulator.state();
    assert!(!world.is_purged(index) && world.is_dropped(index) && world.disabled().contains(&900_101));
    assert_eq!(world.criticality(index), 4);
    sim.get("/api/3.0/fo/scan/?action=list").await;
    let url = format!("{}/sim/parallel", sim.simulator.api_url());
    let counted: serde_json::Value = sim.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(counted["scan"]["most"], 1);
}
