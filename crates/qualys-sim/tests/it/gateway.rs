//! The gateway, schedules, search lists and web application scanning.

use crate::support::{Answer, Sim, elements, options};
use qualys_sim::{Fault, FaultKind, Options, Switches};
use reqwest::Method;
use serde_json::{Value, json};

impl Sim {
    async fn token(&self) -> String {
        let form =
            [("username", self.simulator.username()), ("password", self.simulator.password()), ("token", "true")];
        let answer = Answer::of(self.client.post(format!("{}/auth", self.simulator.gateway_url())).form(&form)).await;
        assert_eq!(answer.status, 201);
        answer.text
    }

    async fn gateway(&self, token: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.gateway_url());
        let call = self.client.request(method.clone(), url).bearer_auth(token);
        let call = if method == Method::POST { call.json(body) } else { call };
        let answer = Answer::of(call).await;
        assert!(answer.header("x-ratelimit-window-sec").is_none(), "{path}");
        (answer.status, serde_json::from_str(&answer.text).unwrap_or_else(|_| panic!("JSON: {}", answer.text)))
    }

    async fn qps(&self, path: &str, filters: &str) -> Answer {
        let body = format!("<ServiceRequest><filters>{filters}</filters></ServiceRequest>");
        Answer::of(self.request(Method::POST, path).header("content-type", "text/xml").body(body)).await
    }
}

const PATHS: [(&str, &str); 5] = [
    ("GET", "/mtg/v1/deploymentjobs?platform=Linux&pageSize=10"),
    ("GET", "/mtg/v1/mitigations?pageSize=10"),
    ("GET", "/etm/api/rest/v1/mitigations?pageSize=10"),
    ("GET", "/pm/v1/deploymentjobs?platform=Windows&pageSize=10"),
    ("POST", "/rest/2.0/count/am/asset"),
];

#[tokio::test]
async fn the_gateway_takes_a_token_that_holds_and_nothing_else() {
    let sim = Sim::start(options()).await;
    let token = sim.token().await;
    let filters = json!({ "filters": [] });
    for (method, path) in PATHS {
        let method: Method = method.parse().expect("a method");
        assert_eq!(sim.gateway(&token, method.clone(), path, &filters).await.0, 200, "{path}");
        let (status, body) = sim.gateway("a.b.c", method.clone(), path, &filters).await;
        assert_eq!((status, &body["error"], &body["status"]), (401, &json!("Unauthorized"), &json!(401)), "{path}");
        let basic = Answer::of(sim.request(method.clone(), path)).await;
        assert_eq!((basic.status, basic.header("content-type")), (401, Some("application/json")), "{path}");
        let wrong = if method == Method::POST { Method::GET } else { Method::POST };
        assert_eq!(sim.gateway(&token, wrong, path, &filters).await.0, 405, "{path}");
    }
    let limited = FaultKind::RateLimited { seconds: 5, headers: true };
    sim.simulator.set_fault_plan(vec![Fault::next("patch-jobs", limited)]);
    assert_eq!(sim.gateway(&token, Method::GET, "/pm/v1/deploymentjobs", &filters).await.0, 429);
    sim.simulator.step_clock(jiff::SignedDuration::from_hours(4));
    assert_eq!(sim.gateway(&token, Method::GET, "/pm/v1/deploymentjobs", &filters).await.0, 401);
}

#[tokio::test]
async fn jobs_are_listed_by_platform_and_status_and_one_by_one() {
    let sim = Sim::start(options()).await;
    let token = sim.token().await;
    let get = async |path: &str| sim.gateway(&token, Method::GET, path, &Value::Null).await;
    let (_, linux) = get("/mtg/v1/deploymentjobs?platform=Linux&pageSize=10").await;
    assert_eq!(linux.as_array().map(Vec::len), Some(2));
    let (_, enabled) = get("/mtg/v1/deploymentjobs?platform=Linux&pageSize=10&status=Enabled").await;
    assert_eq!((enabled.as_array().map(Vec::len), &enabled[0]["jobCategory"]), (Some(1), &json!(3)));
    let (_, second) = get("/mtg/v1/deploymentjobs?pageSize=1&pageNumber=1").await;
    assert_eq!((second.as_array().map(Vec::len), &second[0]["id"]), (Some(1), &linux[1]["id"]));
    let (status, one) = get(&format!("/mtg/v1/deploymentjob/{}", linux[0]["id"].as_str().expect("an id"))).await;
    assert_eq!((status, &one), (200, &linux[0]));
    let agents: Vec<_> =
        sim.simulator.demo_hosts().iter().map(|host| json!(host.agent_uuid.expect("an agent").to_string())).collect();
    assert_eq!((&one["assetIds"], &one["startDateTime"]), (&json!(agents), &Value::Null));
    assert!(linux[1]["startDateTime"].as_str().is_some_and(|text| text == "2026-9-3 12:00:00 AM"), "{linux}");
    assert_eq!(get("/mtg/v1/deploymentjob/nobody").await.0, 404);
    let (_, patches) = get("/pm/v1/deploymentjobs?platform=Windows").await;
    assert_eq!(patches[0]["subCategory"], "Patch");
}

#[tokio::test]
async fn assets_are_counted_by_filters_and_an_unknown_one_is_said() {
    let sim = Sim::start(Options { hosts: 40, ..options() }).await;
    let token = sim.token().await;
    let count = async |filters: Value| {
        sim.gateway(&token, Method::POST, "/rest/2.0/count/am/asset", &json!({ "filters": filters })).await
    };
    assert_eq!(count(json!([])).await.1["count"], 40);
    let filter =
        |field: &str, operator: &str, value: &str| json!({ "field": field, "operator": operator, "value": value });
    let windows = sim.simulator.state().fleet().iter().filter(|host| host.os.is_windows()).count();
    assert_eq!(count(json!([filter("asset.tag.name", "EQUALS", "Windows")])).await.1["count"], windows);
    let both = json!([filter("asset.tag.name", "EQUALS", "Windows"), filter("asset.tag.name", "EQUALS", "Linux")]);
    assert_eq!(count(both).await.1["count"], 0);
    let (low, high) = (filter("asset.truRisk", "LESSER", "300"), filter("asset.truRisk", "GREATER", "299"));
    let parts = [count(json!([low])).await.1["count"].as_u64(), count(json!([high])).await.1["count"].as_u64()];
    assert_eq!(parts.iter().flatten().sum::<u64>(), 40);
    assert_eq!(count(json!([filter("asset.colour", "EQUALS", "red")])).await.0, 400);
}

#[tokio::test]
async fn schedules_are_listed_and_filtered() {
    let sim = Sim::start(options()).await;
    for version in 2..=5 {
        let answer = sim.get(&format!("/api/{version}.0/fo/schedule/scan/?action=list")).await;
        assert_eq!(answer.all("SCAN").len(), 3);
        assert!(answer.text.contains("<WEEKLY frequency_weeks=\"1\" weekdays=\"0\"></WEEKLY>"), "{}", answer.text);
        assert_eq!(answer.all("NEXTLAUNCH_UTC"), ["2026-09-02T02:00:00", "2026-09-06T04:00:00"]);
    }
    let off = sim.get("/api/5.0/fo/schedule/scan/?action=list&active=0").await;
    assert_eq!((off.all("ID"), off.first("USER_ENTERED_IPS").is_some()), (vec!["340003".to_owned()], true));
    assert!(sim.get("/api/5.0/fo/schedule/scan/?action=list&id=5").await.first("SCAN").is_none());
    assert_eq!(sim.get("/api/5.0/fo/schedule/scan/?action=create").await.code(), Some(1905));
}

#[tokio::test]
async fn a_dynamic_list_names_the_qids_that_meet_its_criteria() {
    let sim = Sim::start(options()).await;
    let path = "/api/2.0/fo/qid/search_list/dynamic/?action=list";
    let answer = sim.get(path).await;
    assert_eq!((answer.all("DYNAMIC_LIST").len(), answer.first("STATIC_LIST")), (1, None));
    assert_eq!(answer.first("CONFIRMED_SEVERITY").as_deref(), Some("4, 5"));
    let qids = elements(&answer.first("QIDS").expect("QIDs"), "QID");
    let knowledge = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&details=All").await;
    let severe: Vec<String> = knowledge
        .all("VULN")
        .iter()
        .filter(|entry| {
            let text = |name| elements(entry, name).remove(0);
            text("VULN_TYPE") == "Vulnerability" && ["4", "5"].contains(&text("SEVERITY_LEVEL").as_str())
        })
        .map(|entry| elements(entry, "QID").remove(0))
        .collect();
    assert!(severe.len() > 10 && severe.len() < knowledge.all("VULN").len());
    assert_eq!(qids, severe);
    let option = elements(&answer.first("OPTION_PROFILE").expect("a profile"), "ID");
    assert_eq!(option, ["510005"]);
    let bare = sim.get(&format!("{path}&show_qids=0&show_option_profiles=0")).await;
    assert!(bare.first("QIDS").is_none() && bare.first("OPTION_PROFILE").is_none());
    assert!(sim.get(&format!("{path}&ids=88101")).await.first("DYNAMIC_LISTS").is_none(), "that one is static");
    let fixed = sim.get("/api/2.0/fo/qid/search_list/static/?action=list").await;
    assert_eq!(fixed.all("STATIC_LIST").len(), 2);
    let profile = sim.get("/api/2.0/fo/subscription/option_profile/vm/?action=list&id=510005").await;
    assert_eq!(elements(&profile.first("CUSTOM").expect("a list"), "TYPE"), ["dynamic"]);
    let listed = sim.detections(&[("include_search_list_titles", "High severity")]).await;
    let found = listed.all("QID");
    assert!(!found.is_empty() && found.iter().all(|qid| qids.contains(qid)));
}

#[tokio::test]
async fn web_applications_and_findings_are_searched() {
    let sim = Sim::start(options()).await;
    let (apps, findings) = ("/qps/rest/3.0/search/was/webapp", "/qps/rest/3.0/search/was/finding/");
    let filter = |field: &str, operator: &str, value: &str| {
        format!("<Criteria field=\"{field}\" operator=\"{operator}\">{value}</Criteria>")
    };
    assert_eq!(sim.qps(apps, "").await.first("count").as_deref(), Some("5"));
    let scanned = sim.qps(apps, &filter("isScanned", "EQUALS", "true")).await;
    assert_eq!((scanned.first("responseCode").as_deref(), scanned.all("WebApp").len()), (Some("SUCCESS"), 4));
    let bad = sim.qps(apps, &filter("isScanned", "EQUALS", "undefined")).await;
    let message = "Criteria: Invalid value format for criteria &apos;isScanned&apos; (undefined).";
    assert_eq!((bad.status, bad.first("errorMessage").as_deref()), (200, Some(message)));
    let id = elements(&scanned.all("WebApp")[1], "id").remove(0);
    let found = sim.qps(findings, &filter("webApp.id", "IN", &format!("{id},1"))).await;
    assert_eq!(found.all("Finding").len(), 8);
    assert!(found.all("webApp").iter().all(|app| elements(app, "id") == [id.clone()]));
    let weak =
        sim.qps(findings, &(filter("webApp.id", "EQUALS", &id) + &filter("type", "EQUALS", "VULNERABILITY"))).await;
    assert_eq!((weak.all("Finding").len(), weak.all("status").len()), (5, 5));
    let later = sim.qps(findings, &filter("lastDetectedDate", "GREATER", "2030-01-01T00:00:00Z")).await;
    assert_eq!((later.first("count").as_deref(), later.first("data")), (Some("0"), None));
    let qids = found.all("qid").join(",");
    let known = sim.get(&format!("/api/2.0/fo/knowledge_base/vuln/?action=list&ids={qids}")).await;
    let distinct: std::collections::BTreeSet<_> = found.all("qid").into_iter().collect();
    assert_eq!(known.all("VULN").len(), distinct.len(), "every finding has an entry");
    let paged = "<ServiceRequest><preferences><limitResults>2</limitResults></preferences></ServiceRequest>";
    let page = Answer::of(sim.request(Method::POST, apps).header("content-type", "text/xml").body(paged)).await;
    assert_eq!((page.all("WebApp").len(), page.first("hasMoreRecords").as_deref()), (2, Some("true")));
    let counted = sim.get("/qps/rest/3.0/count/was/webapp").await;
    assert_eq!((counted.first("count").as_deref(), counted.first("data")), (Some("5"), None));
}

#[tokio::test]
async fn the_portal_protects_its_answers_where_switched_on() {
    for portal_protection in [false, true] {
        let switches = Switches { portal_protection, ..Switches::default() };
        let sim = Sim::start(Options { switches, ..options() }).await;
        for path in ["/qps/rest/portal/version", "/qps/rest/3.0/search/was/webapp", "/qps/rest/2.0/search/am/hostasset"]
        {
            let answer = Answer::of(sim.request(Method::POST, path).header("content-type", "text/xml")).await;
            assert_eq!(answer.header("x-frame-options").is_some(), portal_protection, "{path}");
        }
    }
}
