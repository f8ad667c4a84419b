//! Rules that assign items: on creation and when they come back, never over a hand.

use crate::world::{SIX, import, listed, person};
use serde_json::{Value, json};
use testkit::server::Client;

const PATH: &str = "/api/v1/rules/assignment";

async fn item(client: &Client, host: u32, qid: u32) -> Value {
    let path = format!("/api/v1/items?q=asset.ip:192.0.2.{host}+qid:{qid}");
    client.get(&path).await.expect(200)["items"][0].clone()
}

async fn given(client: &Client, host: u32, qid: u32) -> (Value, Value) {
    let item = item(client, host, qid).await;
    (item["assignee"].clone(), item["group"].clone())
}

async fn assign(client: &Client, host: u32, qid: u32, to: Value) {
    let number = item(client, host, qid).await["number"].as_str().unwrap().to_owned();
    client.post(&format!("/api/v1/items/{number}/assignment"), &to).await.expect(200);
}

testkit::both_servers!(rules_assign_what_is_new_or_comes_back_and_never_over_a_hand, |server| async move {
    let admin = server.admin().await;
    let vera = person(&server, "vera", "vulnerability_administrator").await;
    person(&server, "rita", "remediation_owner").await;
    for group in ["linux", "prod-team"] {
        admin.put(&format!("/api/v1/groups/{group}"), &json!({ "members": [] })).await.expect(200);
    }
    for (wrong, field) in [
        (json!({ "name": "", "kind": "group", "group": "linux" }), "name"),
        (json!({ "name": "n", "kind": "team" }), "kind"),
        (json!({ "name": "n", "kind": "group", "group": "gone" }), "group"),
        (json!({ "name": "n", "kind": "user", "user": "gone" }), "user"),
        (json!({ "name": "n", "kind": "tag", "tag_prefix": " " }), "tag_prefix"),
        (json!({ "name": "n", "kind": "previous", "condition": "qid:x" }), "condition"),
        (json!({ "name": "n", "kind": "previous", "position": -1 }), "position"),
    ] {
        let refused = vera.post(PATH, &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    let rule = |name: &str, position: i64, kind: &str, more: Value| {
        let mut rule = json!({ "name": name, "position": position, "kind": kind, "active": true });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    vera.post(PATH, &rule("back", 1, "previous", json!({}))).await.expect(201);
    vera.post(PATH, &rule("ninety-one", 5, "user", json!({ "user": "rita", "condition": "qid:91" }))).await.expect(201);
    // Its tags name no group: the next rule is asked.
    vera.post(PATH, &rule("tags", 6, "tag", json!({ "tag_prefix": "la" }))).await.expect(201);
    let made = rule("linux", 7, "group", json!({ "group": "linux", "condition": "qid:<93" }));
    let linux = vera.post(PATH, &made).await.expect(201)["rule"].clone();
    let off = json!({ "name": "off", "position": 0, "kind": "group", "group": "prod-team" });
    vera.post(PATH, &off).await.expect(201);

    import(&admin, &SIX).await;
    let (rita, group, nobody) = (json!("rita"), json!("linux"), json!(null));
    assert_eq!(given(&admin, 11, 91).await, (rita.clone(), nobody.clone()));
    assert_eq!(given(&admin, 11, 92).await, (nobody.clone(), group.clone()));
    assert_eq!(given(&admin, 11, 93).await, (nobody.clone(), nobody.clone()));
    assert_eq!(listed(&admin, &format!("assigned_by:\"rule:{}\"", linux["id"])).await, 2);
    let history = item(&admin, 11, 92).await["number"].as_str().unwrap().to_owned();
    let history = admin.get(&format!("/api/v1/items/{history}/history")).await.expect(200);
    let lines = history["history"].as_array().unwrap();
    let line = lines.iter().find(|line| line["what"] == "assignment").unwrap();
    assert_eq!((&line["after"], &line["cause"]), (&group, &json!(format!("rules/assignment/{}", linux["id"]))));

    // A hand counts, also where it gave the item to nobody; what comes back is asked again unless a hand had it.
    assign(&admin, 11, 91, json!({ "assignee": "vera" })).await;
    assign(&admin, 11, 92, json!({ "assignee": "" })).await;
    let gone: Vec<_> = SIX.iter().map(|(host, qid, _)| (*host, *qid, "Fixed")).collect();
    import(&admin, &gone).await;
    let path = format!("{PATH}/{}", linux["id"]);
    vera.patch(&path, &json!({ "group": "prod-team", "condition": "" })).await.expect(200);
    let back: Vec<_> = SIX.iter().map(|(host, qid, _)| (*host, *qid, "Re-Opened")).collect();
    import(&admin, &back).await;
    assert_eq!(given(&admin, 11, 91).await, (json!("vera"), nobody.clone()));
    assert_eq!(given(&admin, 11, 92).await, (nobody.clone(), nobody.clone()), "a person took it away");
    assert_eq!(given(&admin, 12, 91).await, (rita.clone(), nobody.clone()), "whoever had it before");
    assert_eq!(given(&admin, 12, 92).await, (nobody.clone(), group.clone()), "the same");
    assert_eq!(given(&admin, 11, 93).await, (nobody.clone(), json!("prod-team")), "nobody had it before");

    // Asked again: first in vain, then for good; the second time nothing is left to do.
    let apply = format!("{PATH}/apply");
    let tried = vera.post(&apply, &json!({ "dry_run": true })).await.expect(200);
    assert_eq!((&tried["looked"], &tried["changed"]), (&json!(4), &json!(1)), "{tried}");
    assert_eq!(given(&admin, 12, 92).await, (nobody.clone(), group.clone()), "nothing was done");
    assert_eq!(vera.post(&apply, &json!({})).await.expect(200)["changed"], 1);
    assert_eq!(given(&admin, 12, 92).await, (nobody.clone(), json!("prod-team")));
    assert_eq!(vera.post(&apply, &json!({})).await.expect(200)["changed"], 0);
    assert_eq!(given(&admin, 11, 92).await, (nobody.clone(), nobody.clone()), "a person took it away");

    // As it was seen; by who may.
    let late = vera.request(reqwest::Method::PATCH, &path).header("if-match", "\"v1\"");
    assert_eq!(vera.send(late.json(&json!({ "active": false }))).await.status, 412);
    let late = vera.request(reqwest::Method::DELETE, &path).header("if-match", "\"v1\"");
    assert_eq!(vera.send(late).await.status, 412);
    let anna = person(&server, "anna", "vulnerability_analyst").await;
    for refused in [
        anna.get(PATH).await,
        anna.post(PATH, &made).await,
        anna.patch(&path, &json!({ "active": false })).await,
        anna.delete(&path).await,
        anna.post(&apply, &json!({ "dry_run": true })).await,
    ] {
        assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    }
    let kept = json!({ "name": "sam", "roles": ["vulnerability_administrator"], "scope": ["prod"] });
    let once = admin.post("/api/v1/users", &kept).await.expect(201)["one_time_password"].as_str().unwrap().to_owned();
    let sam = server.client().sign_in("sam", &once).await.choose_password(&once, "a long enough passphrase 7").await;
    assert_eq!(sam.get(PATH).await.code(), "account_scoped");

    // The page says the same.
    let page = admin.get("/rules/assignment").await.text;
    for words in ["ninety-one", "the group prod-team", "Not active", "assigned_by%3A%22rule%3A"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let dialog = admin.get("/rules/assignment/apply").await.text;
    assert!(dialog.contains("Of 4 items that no person assigned, 0 would be"), "{dialog}");
    let wrong = admin.form("/rules/assignment/new", &[("name", "<i>"), ("kind", "user"), ("position", "x")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("The order is 0 to 10000."), "{}", wrong.text);
    assert_eq!(vera.delete(&path).await.status, 204);
    assert_eq!(given(&admin, 12, 92).await, (nobody, json!("prod-team")), "what it assigned stays");
});
