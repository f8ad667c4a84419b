//! Authentication, required header, parameters, versions, limits, sessions and tokens.

use crate::support::{Answer, Sim, options};
use qualys_sim::{Account, Limits, Options, Switches};
use reqwest::Method;

const DETECTION: &str = "/api/5.0/fo/asset/host/vm/detection/";

#[tokio::test]
async fn wrong_credentials_answer_2000_without_limit_headers() {
    let sim = Sim::start(options()).await;
    let url = format!("{}{DETECTION}?action=list", sim.simulator.api_url());
    for request in
        [sim.client.get(&url), sim.client.get(&url).basic_auth("x", Some("y")), sim.client.get(&url).bearer_auth("z")]
    {
        let answer = Answer::of(request.header("X-Requested-With", "t")).await;
        assert_eq!((answer.status, answer.code()), (401, Some(2000)));
        assert_eq!(answer.first("TEXT").as_deref(), Some("Bad Login/Password"));
        assert_eq!(answer.header("content-type"), Some("text/xml;charset=UTF-8"));
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
}

#[tokio::test]
async fn accounts_that_are_not_in_order_say_so_each_in_its_own_way() {
    let cases = [
        (Account::Inactive, 403, 2002),
        (Account::Unregistered, 409, 2003),
        (Account::Unlicensed, 403, 2012),
        (Account::Expired, 200, 2001),
    ];
    for (account, status, code) in cases {
        let sim = Sim::start(Options { account, ..options() }).await;
        let answer = sim.get(&format!("{DETECTION}?action=list")).await;
        assert_eq!((answer.status, answer.code()), (status, Some(code)), "{account:?}");
    }
}

#[tokio::test]
async fn the_required_header_may_not_be_missing_except_for_about() {
    let sim = Sim::start(options()).await;
    let without = |path: &str| {
        let url = format!("{}{path}", sim.simulator.api_url());
        sim.client.get(url).basic_auth(sim.simulator.username(), Some(sim.simulator.password()))
    };
    let answer = Answer::of(without(&format!("{DETECTION}?action=list"))).await;
    assert_eq!((answer.status, answer.code()), (400, Some(1903)));
    let about = Answer::of(without("/msp/about.php")).await;
    assert_eq!(about.status, 200);
    for header in ["x-ratelimit-limit", "x-concurrency-limit-limit"] {
        assert!(about.header(header).is_some_and(|value| value.parse::<u32>().is_ok()), "{header}");
    }
}

#[tokio::test]
async fn parameters_are_taken_from_query_and_form_and_checked() {
    let sim = Sim::start(options()).await;
    let first = sim.simulator.demo_hosts()[0].id.to_string();
    let merged = sim.post(&format!("{DETECTION}?action=list&ids=1"), &[("ids", &first)]).await;
    assert_eq!(merged.all("ID").first(), Some(&first));
    let cases: &[(&str, &str, u32)] = &[
        ("GET", "/api/5.0/fo/asset/host/vm/detection/?ids=1", 1903),
        ("GET", "/api/5.0/fo/asset/host/vm/detection/?action=list&foo=1", 1901),
        ("GET", "/api/4.0/fo/asset/host/vm/detection/?action=list&vuln_detection_source=x", 1901),
        ("GET", "/api/5.0/fo/asset/host/vm/detection/?action=list&ids=abc123", 1905),
        ("GET", "/api/5.0/fo/asset/host/vm/detection/?action=list&ag_ids=1&ag_titles=x", 1904),
        ("GET", "/api/5.0/fo/asset/host/vm/detection/?action=purge", 1905),
        ("GET", "/api/2.0/fo/scan/?action=launch&option_id=510001&ip=10.0.0.1", 1908),
        ("POST", "/api/2.0/fo/scan/?action=launch&ip=10.0.0.1", 1922),
        ("POST", "/api/2.0/fo/scan/?action=launch&option_id=1&option_title=x&ip=10.0.0.1", 1904),
        ("POST", "/api/2.0/fo/scan/?action=launch&option_id=510001", 1922),
        ("POST", "/api/2.0/fo/scan/?action=launch&option_id=510001&ip=192.0.2.1", 1905),
        ("POST", "/api/2.0/fo/scan/?action=launch&option_id=1&ip=10.0.0.1", 1905),
        ("POST", "/api/2.0/fo/scan/?action=launch&option_id=510001&target_from=tags&ip=10.0.0.1", 1907),
        ("POST", "/api/2.0/fo/scan/?action=cancel&scan_ref=scan/1.1", 1905),
        ("GET", "/api/2.0/fo/knowledge_base/vuln/?action=list&details=Some", 1905),
    ];
    for (method, path, code) in cases {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = Answer::of(sim.request(method, path)).await;
        assert_eq!((answer.status, answer.code()), (400, Some(*code)), "{path}: {}", answer.text);
        assert!(answer.text.starts_with("<!DOCTYPE SIMPLE_RETURN"), "{path}");
        assert_eq!(answer.header("connection"), Some("close"), "{path}");
        assert!(answer.header("x-ratelimit-remaining").is_some(), "{path}");
    }
}

#[tokio::test]
async fn every_version_answers_and_unknown_or_retired_ones_do_not() {
    let switches = Switches { retired_versions: vec![2], ..Switches::default() };
    let sim = Sim::start(options()).await;
    for version in 2..=5 {
        for path in ["asset/host/vm/detection", "asset/host"] {
            assert_eq!(sim.get(&format!("/api/{version}.0/fo/{path}/?action=list")).await.status, 200);
        }
    }
    assert_eq!(sim.get("/api/2.0/fo/asset/host/vm/detection/index.php?action=list").await.status, 200);
    assert_eq!(sim.get("/api/9.0/fo/asset/host/?action=list").await.status, 404);
    let sim = Sim::start(Options { switches, ..options() }).await;
    assert_eq!(sim.get("/api/2.0/fo/asset/host/?action=list").await.status, 404);
    assert_eq!(sim.get("/api/5.0/fo/asset/host/?action=list").await.status, 200);
}

#[tokio::test]
async fn a_request_can_be_echoed() {
    let sim = Sim::start(options()).await;
    let answer = sim.detections(&[("echo_request", "1"), ("truncation_limit", "1")]).await;
    assert_eq!(answer.first("RESOURCE"), Some(format!("{}{DETECTION}", sim.simulator.api_url())));
    assert!(answer.all("KEY").contains(&"truncation_limit".to_owned()));
    let response = answer.text.find("<RESPONSE>").expect("a response");
    assert!(answer.text.find("<REQUEST>").expect("a request") < response);
}

#[tokio::test]
async fn the_rate_limit_counts_down_refuses_and_opens_again() {
    let limits = Limits { rate: 3, window_seconds: 3_600, concurrency: 2 };
    let sim = Sim::start(Options { limits, ..options() }).await;
    let call = || sim.get("/api/3.0/fo/scan/?action=list");
    for left in ["2", "1", "0"] {
        let answer = call().await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, Some(left)));
        assert_eq!(answer.header("x-ratelimit-towait-sec"), Some("0"));
        assert_eq!(answer.header("x-concurrency-limit-running"), Some("0"));
    }
    sim.simulator.step_clock(jiff::SignedDuration::from_secs(600));
    let refused = call().await;
    assert_eq!((refused.status, refused.code()), (409, Some(1965)));
    assert_eq!(refused.header("x-ratelimit-towait-sec"), Some("3000"));
    assert_eq!(
        (refused.first("KEY").as_deref(), refused.first("VALUE").as_deref()),
        (Some("SECONDS_TO_WAIT"), Some("3000"))
    );
    assert_eq!(sim.get("/api/2.0/fo/appliance/?action=list").await.status, 200, "each end point counts for itself");
    sim.simulator.step_clock(jiff::SignedDuration::from_secs(3_000));
    assert_eq!(call().await.status, 200);
}

#[tokio::test]
async fn a_session_replaces_the_password_and_is_not_counted() {
    let limits = Limits { rate: 1, window_seconds: 3_600, concurrency: 2 };
    let sim = Sim::start(Options { limits, ..options() }).await;
    let session = format!("{}/api/2.0/fo/session/", sim.simulator.api_url());
    let login = |password: &str| {
        let form = [("action", "login"), ("username", sim.simulator.username()), ("password", password)];
        sim.client.post(&session).header("X-Requested-With", "t").form(&form)
    };
    assert_eq!(Answer::of(login("wrong")).await.code(), Some(2000));
    let opened = Answer::of(login(sim.simulator.password())).await;
    assert_eq!((opened.status, opened.first("TEXT").as_deref()), (200, Some("Logged in")));
    assert_eq!(opened.header("x-ratelimit-limit"), None);
    let cookie = opened.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with("QualysSession=") && cookie.contains("path=/api") && !cookie.contains("secure"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let with_cookie = |path: &str| {
        let url = format!("{}{path}", sim.simulator.api_url());
        sim.client.get(url).header("X-Requested-With", "t").header("cookie", &pair)
    };
    let listed = Answer::of(with_cookie("/api/5.0/fo/asset/host/?action=list")).await;
    assert_eq!((listed.status, listed.header("x-ratelimit-limit")), (200, None));
    let logout =
        sim.client.post(&session).header("X-Requested-With", "t").header("cookie", &pair).form(&[("action", "logout")]);
    assert_eq!(Answer::of(logout).await.first("TEXT").as_deref(), Some("Logged out"));
    assert_eq!(Answer::of(with_cookie("/api/5.0/fo/asset/host/?action=list")).await.status, 401);
}

#[tokio::test]
async fn a_gateway_token_is_201_and_opens_the_api_only_where_switched_on() {
    for bearer_on_api in [false, true] {
        let switches = Switches { bearer_on_api, ..Switches::default() };
        let sim = Sim::start(Options { switches, ..options() }).await;
        let auth = format!("{}/auth", sim.simulator.gateway_url());
        let form = [("username", sim.simulator.username()), ("password", sim.simulator.password()), ("token", "true")];
        let token = Answer::of(sim.client.post(&auth).form(&form)).await;
        assert_eq!((token.status, token.text.split('.').count()), (201, 3));
        let wrong = Answer::of(sim.client.post(&auth).form(&[("username", "a"), ("password", "b")])).await;
        assert_eq!((wrong.status, wrong.header("content-type")), (401, Some("application/json")));
        let url = format!("{}/api/5.0/fo/asset/host/?action=list", sim.simulator.api_url());
        let call = || sim.client.get(&url).bearer_auth(&token.text).header("X-Requested-With", "t");
        assert_eq!(Answer::of(call()).await.status, if bearer_on_api { 200 } else { 401 });
        sim.simulator.step_clock(jiff::SignedDuration::from_hours(4));
        assert_eq!(Answer::of(call()).await.status, 401, "a token lives four hours");
    }
}

#[tokio::test]
async fn the_journal_knows_what_was_asked_and_hides_secrets() {
    let sim = Sim::start(options()).await;
    sim.detections(&[("ids", "1")]).await;
    let form = [("username", sim.simulator.username()), ("password", sim.simulator.password())];
    Answer::of(sim.client.post(format!("{}/auth", sim.simulator.gateway_url())).form(&form)).await;
    let journal = sim.simulator.journal();
    assert_eq!(journal.iter().map(|entry| entry.endpoint.as_str()).collect::<Vec<_>>(), ["host-detection", "auth"]);
    assert_eq!((journal[0].parameter("ids"), journal[0].status, journal[0].number), (Some("1"), 200, 1));
    let all = format!("{journal:?}");
    assert!(!all.contains(sim.simulator.password()) && !all.contains("cXVheXM"), "{all}");
}

#[tokio::test]
async fn control_reaches_a_stand_alone_simulator_and_can_be_switched_off() {
    let sim = Sim::start(options()).await;
    let url = |path: &str| format!("{}/sim/{path}", sim.simulator.api_url());
    let hosts: serde_json::Value =
        sim.client.get(url("hosts?limit=2")).send().await.expect("hosts").json().await.expect("JSON");
    assert_eq!(hosts.as_array().map(Vec::len), Some(2));
    let plan = r#"[{"endpoint":"scan","kind":"blocked"}]"#;
    let set = Answer::of(sim.client.put(url("faults")).body(plan)).await;
    assert_eq!(set.status, 200, "{}", set.text);
    assert_eq!(sim.get("/api/3.0/fo/scan/?action=list").await.code(), Some(1920));
    let before = sim.simulator.now();
    assert_eq!(Answer::of(sim.client.post(url("clock?step_seconds=90"))).await.status, 200);
    assert_eq!(sim.simulator.now().duration_since(before).as_secs(), 90);
    let id = hosts[0]["id"].as_u64().expect("an id");
    for (call, status) in [
        (format!("truth?host={id}&qid=900101&present=0"), 200),
        (format!("alive?host={id}&alive=0"), 200),
        ("truth?host=1&qid=900101&present=0".to_owned(), 400),
        ("outcome?next=partial".to_owned(), 200),
        ("outcome?next=nonsense".to_owned(), 400),
        ("nonsense".to_owned(), 404),
    ] {
        assert_eq!(Answer::of(sim.client.post(url(&call))).await.status, status, "{call}");
    }
    assert!(Answer::of(sim.client.get(url("journal"))).await.text.contains("\"endpoint\":\"scan\""));
    let closed = Sim::start(Options { control: false, ..options() }).await;
    assert_eq!(Answer::of(closed.client.get(format!("{}/sim/", closed.simulator.api_url()))).await.status, 404);
}
