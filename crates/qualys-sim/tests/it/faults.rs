//! Every planned misbehaviour, seen from the client's side.

use crate::support::{Answer, Sim, options};
use qualys_sim::{Fault, FaultKind, Limits, Options, Simulator};
use reqwest::Method;
use std::time::{Duration, Instant};

const DETECTION: &str = "/api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=2&status=New,Active";

fn plan(simulator: &Simulator, what: FaultKind) {
    simulator.set_fault_plan(vec![Fault::next("host-detection", what)]);
}

#[tokio::test]
async fn refusals_carry_their_codes_and_headers_and_hit_once() {
    let sim = Sim::start(options()).await;
    let cases = [
        (FaultKind::RateLimited { seconds: 86_274, headers: true }, 409, Some(1965), Some("86274"), true),
        (FaultKind::RateLimited { seconds: 5, headers: false }, 409, Some(1965), None, true),
        (FaultKind::TooManyAtOnce { headers: true }, 409, Some(1960), None, true),
        (FaultKind::TooManyAtOnce { headers: false }, 409, Some(1960), None, false),
        (FaultKind::Blocked, 409, Some(1920), Some("0"), true),
        (FaultKind::Maintenance, 503, Some(1999), Some("0"), true),
        (FaultKind::BadLogin, 401, Some(2000), None, false),
        (FaultKind::ErrorWith200 { code: 999 }, 200, Some(999), Some("0"), true),
        (FaultKind::Html { status: 502 }, 502, None, None, false),
        (FaultKind::TooLong, 414, None, None, false),
        (FaultKind::Gone, 404, None, None, false),
    ];
    for (what, status, code, wait, has_limits) in cases {
        plan(&sim.simulator, what.clone());
        let answer = sim.get(DETECTION).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{what:?}");
        assert_eq!(answer.header("x-ratelimit-towait-sec"), wait, "{what:?}");
        assert_eq!(answer.header("x-ratelimit-limit").is_some(), has_limits, "{what:?}");
        assert_eq!(sim.get(DETECTION).await.status, 200, "{what:?} hits once");
    }
    plan(&sim.simulator, FaultKind::RateLimited { seconds: 86_274, headers: true });
    let text = sim.get(DETECTION).await.first("TEXT").expect("a text");
    assert_eq!(text, "This API cannot be run again for another 23 hours, 57 minutes and 54 seconds.");
}

#[tokio::test]
async fn a_parameter_can_be_unknown_for_good() {
    let sim = Sim::start(options()).await;
    let what = FaultKind::UnknownParameter { name: "show_tags".to_owned() };
    sim.simulator.set_fault_plan(vec![Fault {
        endpoint: Some("host-detection".to_owned()),
        from: None,
        times: 0,
        what,
    }]);
    for _ in 0..2 {
        let refused = sim.get(&format!("{DETECTION}&show_tags=1")).await;
        assert_eq!((refused.status, refused.code()), (400, Some(1901)));
        assert_eq!(refused.first("TEXT").as_deref(), Some("Unrecognized parameter(s): show_tags"));
        let taken = sim.get(DETECTION).await;
        assert_eq!((taken.status, taken.all("TAGS").len()), (200, 0));
    }
}

#[tokio::test]
async fn what_is_purged_is_not_told_of_any_more_and_the_host_is() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].id;
    let (id, qid) = (host.to_string(), 900_002);
    let all = "New,Active,Re-Opened,Fixed";
    let asked = [("action", "list"), ("ids", id.as_str()), ("qids", "900002"), ("status", all)];
    let path = "/api/5.0/fo/asset/host/vm/detection/";
    assert_eq!(sim.post(path, &asked).await.all("HOST").len(), 1);
    assert!(sim.simulator.purge(host, qid) && !sim.simulator.purge(1, qid));
    assert_eq!(sim.post(path, &asked).await.all("HOST").len(), 0);
    assert_eq!(sim.post("/api/5.0/fo/asset/host/", &asked[..2]).await.all("HOST").len(), 1);
}

#[tokio::test]
async fn a_plan_counts_requests_per_end_point() {
    let sim = Sim::start(options()).await;
    sim.simulator.set_fault_plan(vec![Fault::on("host-detection", 3, FaultKind::Blocked)]);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        sim.get("/api/3.0/fo/scan/?action=list").await;
        statuses.push(sim.get(DETECTION).await.status);
    }
    assert_eq!(statuses, [200, 200, 409, 200]);
}

#[tokio::test]
async fn a_body_can_break_off_stay_empty_or_turn_into_an_error() {
    let sim = Sim::start(options()).await;
    plan(&sim.simulator, FaultKind::Cut { after: 1_500 });
    let response = sim.request(Method::GET, DETECTION).send().await.expect("headers");
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err(), "the connection breaks");
    plan(&sim.simulator, FaultKind::Empty);
    let empty = sim.get(DETECTION).await;
    assert_eq!((empty.status, empty.text.as_str()), (200, ""));
    plan(&sim.simulator, FaultKind::ErrorMidway { after: 1 });
    let midway = sim.get(DETECTION).await;
    assert_eq!((midway.status, midway.all("HOST").len()), (200, 1));
    assert!(midway.text.contains("GENERIC_RETURN") && !midway.text.contains("</HOST_LIST_VM_DETECTION_OUTPUT>"));
    sim.simulator.set_fault_plan(vec![Fault::next("knowledge-base", FaultKind::ErrorMidway { after: 3 })]);
    let midway = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list").await;
    assert!(midway.all("VULN").len() == 3 && midway.text.contains("GENERIC_RETURN"));
}

#[tokio::test]
async fn a_document_can_be_spoiled() {
    let sim = Sim::start(options()).await;
    plan(&sim.simulator, FaultKind::InvalidCharacters);
    let bytes = sim.request(Method::GET, DETECTION).send().await.expect("an answer").bytes().await.expect("a body");
    assert!(bytes.contains(&1) && String::from_utf8(bytes.to_vec()).is_err());
    plan(&sim.simulator, FaultKind::KeepAliveComments);
    let text = sim.get(DETECTION).await.text;
    let root = text.find("</HOST_LIST_VM_DETECTION_OUTPUT>").expect("a root");
    let comments: Vec<usize> = text.match_indices("<!-- keep-alive for").map(|(at, _)| at).collect();
    assert!(comments.iter().any(|at| *at < root) && comments.iter().any(|at| *at > root));
    plan(&sim.simulator, FaultKind::LowerCaseTags);
    let text = sim.get(DETECTION).await.text;
    assert!(text.contains("<host_list>") && !text.contains("<HOST_LIST>") && text.contains("<![CDATA["));
    plan(&sim.simulator, FaultKind::NoUniqueVulnId);
    assert!(!sim.get(DETECTION).await.text.contains("UNIQUE_VULN_ID"));
    plan(&sim.simulator, FaultKind::DoubleEscapedResults);
    assert!(sim.get(&format!("{DETECTION}&show_igs=1")).await.text.contains("&amp;quot;"));
    plan(&sim.simulator, FaultKind::HugePage { bytes: 3_000_000 });
    let huge = sim.get(DETECTION).await;
    assert!(huge.text.len() > 3_000_000 && huge.all("HOST").len() == 2);
    sim.simulator.set_fault_plan(vec![Fault::next("host-list", FaultKind::IdRange)]);
    let ids = sim.get("/api/2.0/fo/asset/host/?action=list&details=None").await;
    assert!(ids.first("ID_RANGE").is_some());
}

#[tokio::test]
async fn pages_can_overlap_or_stand_still() {
    let sim = Sim::start(options()).await;
    let first = sim.get(DETECTION).await;
    let next = first.first("URL").expect("a next page");
    let path = next.trim_start_matches(&sim.simulator.api_url()).to_owned();
    plan(&sim.simulator, FaultKind::DuplicateHost);
    let second = sim.get(&path).await;
    assert_eq!(second.all("IP")[0], first.all("IP")[1], "the last host comes again");
    plan(&sim.simulator, FaultKind::FrozenCursor);
    let frozen = sim.get(&path).await;
    assert_eq!(frozen.first("URL"), Some(next), "the cursor does not advance");
}

#[tokio::test]
async fn answers_can_be_slow() {
    let sim = Sim::start(options()).await;
    let started = Instant::now();
    plan(&sim.simulator, FaultKind::Delay { ms: 300 });
    assert_eq!(sim.get(DETECTION).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
    let whole = sim.get(DETECTION).await.text.len();
    plan(&sim.simulator, FaultKind::SlowDrip { bytes: whole / 8, pause_ms: 40 });
    let started = Instant::now();
    assert_eq!(sim.get(DETECTION).await.text.len(), whole);
    assert!(started.elapsed() >= Duration::from_millis(8 * 40));
}

#[tokio::test]
async fn a_call_counts_as_running_until_its_body_was_sent() {
    let limits = Limits { rate: 300, window_seconds: 3_600, concurrency: 2 };
    let sim = Sim::start(Options { limits, ..options() }).await;
    let slow = FaultKind::SlowDrip { bytes: 512, pause_ms: 50 };
    sim.simulator.set_fault_plan(vec![Fault {
        endpoint: Some("host-detection".to_owned()),
        from: None,
        times: 2,
        what: slow,
    }]);
    let held = [
        sim.request(Method::GET, DETECTION).send().await.expect("headers"),
        sim.request(Method::GET, DETECTION).send().await.expect("headers"),
    ];
    let refused = sim.get(DETECTION).await;
    assert_eq!((refused.status, refused.code()), (409, Some(1960)));
    assert_eq!(refused.header("x-concurrency-limit-running"), Some("2"));
    assert_eq!((refused.header("x-ratelimit-remaining"), refused.header("x-ratelimit-towait-sec")), (None, None));
    assert_eq!(refused.first("KEY").as_deref(), Some("CALLS_TO_FINISH"));
    drop(held);
    for _ in 0..100 {
        if sim.get(DETECTION).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the calls that were dropped still count as running");
}

#[tokio::test]
async fn the_knowledge_base_runs_once_at_a_time() {
    let sim = Sim::start(options()).await;
    let path = "/api/2.0/fo/knowledge_base/vuln/?action=list";
    sim.simulator
        .set_fault_plan(vec![Fault::next("knowledge-base", FaultKind::SlowDrip { bytes: 2_048, pause_ms: 50 })]);
    let held = sim.request(Method::GET, path).send().await.expect("headers");
    let refused = Answer::of(sim.request(Method::GET, path)).await;
    assert_eq!((refused.code(), refused.header("x-concurrency-limit-limit")), (Some(1960), Some("1")));
    drop(held);
}
