//! The test of a connection, versions and limits.

use crate::{import, instance, new_instance, simulator};
use qualys_sim::{Fault, FaultKind, Options};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::Client;

async fn until(client: &Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let shown = client.get(path).await.expect(200);
        if wanted(&shown) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not get there: {}", client.get(path).await.text);
}

testkit::both_servers!(a_test_tries_what_is_needed_and_is_kept_until_something_changes, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let at = instance(&admin, &simulator).await;
    assert_eq!(admin.get(&at).await.expect(200)["instance"]["tested"], Value::Null);
    let test = format!("{at}/test");
    let told = admin.post(&test, &json!({})).await.expect(200)["test"].clone();
    assert_eq!(
        (&told["works"], &told["detail"]),
        (&json!(true), &json!("signed in; the account sees hosts")),
        "{told}"
    );
    let checks = told["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    let wanted = [
        "sign_in",
        "host_list",
        "detections",
        "knowledge_base",
        "option_profiles",
        "appliances",
        "asset_groups",
        "scan_list",
    ];
    assert_eq!(names, wanted);
    assert!(checks.iter().all(|check| check["verdict"] == "works" && check["advice"] == ""), "{told}");
    assert_eq!(admin.get(&at).await.expect(200)["instance"]["tested"], told, "the same as was said");

    // What only rescans need does not keep imports from working.
    let what = FaultKind::BadLogin;
    simulator.set_fault_plan(vec![Fault { endpoint: Some("appliance".to_owned()), from: None, times: 0, what }]);
    let told = admin.post(&test, &json!({})).await.expect(200)["test"].clone();
    assert_eq!((&told["works"], &told["checks"][5]["verdict"]), (&json!(true), &json!("refused")), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("rescans will not work"), "{told}");
    assert_eq!(told["checks"][6]["verdict"], "not_tried", "a refused password is not sent again");
    simulator.set_fault_plan(vec![]);

    let page = at.replace("/api/v1", "");
    let shown = admin.get(&page).await;
    for words in ["Test of the connection", "Asset groups", "Not tried", "Check the user name and password"] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    admin.patch(&at, &json!({ "tracking_hours": 12 })).await.expect(200);
    assert_ne!(admin.get(&at).await.expect(200)["instance"]["tested"], Value::Null, "it still holds");
    admin.patch(&at, &json!({ "password": "wrong" })).await.expect(200);
    assert_eq!(admin.get(&at).await.expect(200)["instance"]["tested"], Value::Null, "of another password");
    simulator.clear_journal();
    let told = admin.post(&test, &json!({})).await.expect(200)["test"].clone();
    assert_eq!((&told["works"], &told["checks"][0]["cause"]), (&json!(false), &json!("sign_in")), "{told}");
    assert_eq!(simulator.journal().len(), 1, "tried once");
    assert!(!told.to_string().contains(simulator.password()));

    let reader = server.user("rita", &["read_only"]).await;
    assert_eq!(reader.post(&test, &json!({})).await.status, 403);
    assert_eq!(server.client().post(&test, &json!({})).await.status, 401);
    simulator.shutdown().await;
});

testkit::both_servers!(versions_are_checked_and_what_answers_instead_is_kept_and_used, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let mut wrong = new_instance(&simulator);
    for versions in
        [json!({ "scan_list": 7 }), json!({ "host_list": 6 }), json!({ "nonsense": 2 }), json!({ "scan": 3 })]
    {
        wrong["versions"] = versions;
        let refused = admin.post("/api/v1/instances", &wrong).await;
        assert_eq!(
            (refused.status, refused.json["errors"][0]["field"].as_str()),
            (422, Some("versions")),
            "{}",
            refused.text
        );
    }
    let at = instance(&admin, &simulator).await;
    let set = admin.patch(&at, &json!({ "versions": { "host_list_detection": 2, "scan_list": 0 } })).await.expect(200);
    assert_eq!(set["instance"]["versions"], json!({ "host_list_detection": 2 }), "0 is the program's own");

    let gone = Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 1, what: FaultKind::Gone };
    simulator.set_fault_plan(vec![gone]);
    let run = import(&admin, &at, "host_detection").await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    let shown = until(&admin, &at, |shown| shown["instance"]["versions_seen"] != json!([])).await;
    let seen = &shown["instance"]["versions_seen"][0];
    assert_eq!((&seen["endpoint"], &seen["from"], &seen["to"]), (&json!("host_list_detection"), &json!(2), &json!(3)));
    let page = admin.get(&at.replace("/api/v1", "")).await;
    assert!(page.text.contains("2.0 is gone; 3.0 is used since"), "{}", page.text);

    // Used at once by the next one, and forgotten when another version is set.
    simulator.clear_journal();
    import(&admin, &at, "host_detection").await;
    assert!(
        simulator.journal().iter().all(|call| !call.path.contains("/api/2.0/fo/asset/host/vm")),
        "{:?}",
        simulator.journal()
    );
    admin.patch(&at, &json!({ "versions": { "host_list_detection": 4 } })).await.expect(200);
    assert_eq!(admin.get(&at).await.expect(200)["instance"]["versions_seen"], json!([]));
    simulator.shutdown().await;
});

testkit::both_servers!(limits_outlive_a_restart_and_are_shown, |server| async move {
    let mut server = server;
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let token = admin.make_token(&["read", "integrations"]).await;
    let at = instance(&admin, &simulator).await;
    let quotas = format!("{at}/quotas");
    assert_eq!(admin.get(&quotas).await.expect(200), json!({ "quotas": [] }));
    let what = FaultKind::RateLimited { seconds: 86_000, headers: true };
    simulator.set_fault_plan(vec![Fault { endpoint: Some("host-detection".to_owned()), from: None, times: 1, what }]);
    let run = import(&admin, &at, "host_detection").await;
    assert_eq!(run["import"]["state"], "failed", "the wait is longer than an import waits: {run}");
    let said = |shown: &Value| {
        let all = shown["quotas"].as_array().unwrap().clone();
        all.into_iter().find(|quota| quota["endpoint"] == "host_list_detection")
    };
    let shown = until(&admin, &quotas, |shown| said(shown).is_some_and(|quota| quota["refused"] != "")).await;
    assert!(said(&shown).unwrap()["wait_until"].is_string(), "{shown}");
    let page = admin.get(&at.replace("/api/v1", "")).await;
    assert!(page.text.contains("Limits of the platform") && page.text.contains("1965"), "{}", page.text);

    server.restart().await;
    let admin = server.client().with_token(&token);
    simulator.set_fault_plan(vec![]);
    simulator.clear_journal();
    let run = import(&admin, &at, "host_detection").await;
    assert_eq!(run["import"]["state"], "failed", "{run}");
    let asked = simulator.journal();
    assert!(asked.iter().all(|call| call.endpoint != "host-detection"), "it is not even asked: {asked:?}");
    simulator.shutdown().await;
});
