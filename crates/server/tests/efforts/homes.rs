//! The two homes: who begins where, and every number is that of the list behind it.

use crate::world::{SIX, import, person};
use serde_json::json;
use std::collections::BTreeMap;
use testkit::server::{Client, TestServer};

/// The numbers of a page that lead to the list of items, by the query text of their links.
fn numbers(page: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for link in page.split("href=\"/items?q=").skip(1) {
        let (q, rest) = link.split_once('"').unwrap();
        let text = match rest.split_once("<b>").filter(|_| rest.starts_with("><div><span>")) {
            Some((_, value)) => value.split_once("</b>").unwrap().0,
            None => rest.trim_start_matches('>').split_once("</a>").unwrap().0,
        };
        if text.chars().all(|c| c.is_ascii_digit()) && !text.is_empty() {
            found.insert(q.to_owned(), text.to_owned());
        }
    }
    found
}

/// Every number of the page is what the list gives; gives how many numbers there are that are not nought.
async fn agree(who: &Client, path: &str) -> usize {
    let page = who.get(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text);
    let numbers = numbers(&page.text);
    for (q, number) in &numbers {
        let listed = who.get(&format!("/api/v1/items?limit=500&q={q}")).await.expect(200);
        let rows = listed["items"].as_array().unwrap().len().to_string();
        assert_eq!(&rows, number, "{path}: {q}");
    }
    numbers.values().filter(|number| *number != "0").count()
}

async fn signed_in(server: &TestServer, new: serde_json::Value) -> Client {
    let made = server.admin().await.post("/api/v1/users", &new).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap();
    let name = new["name"].as_str().unwrap();
    server.client().sign_in(name, once).await.choose_password(once, "a long enough passphrase 7").await
}

testkit::both_servers!(every_number_of_the_homes_is_that_of_its_list, |server| async move {
    let admin = server.admin().await;
    import(&admin, &SIX).await;
    let user = |name: &str, role: &str, scope: serde_json::Value| {
        signed_in(&server, json!({ "name": name, "roles": [role], "scope": scope }))
    };
    let rita = user("rita", "remediation_owner", json!(null)).await;
    let anna = user("anna", "vulnerability_analyst", json!(null)).await;
    let sam = user("sam", "vulnerability_analyst", json!(["prod"])).await;
    let rolf = user("rolf", "read_only", json!(null)).await;
    admin.put("/api/v1/groups/ops-team", &json!({ "members": ["rita"] })).await.expect(200);

    let vera = person(&server, "vera", "vulnerability_administrator").await;
    let listed = admin.get("/api/v1/items?sort=number").await.expect(200);
    let items: Vec<String> =
        listed["items"].as_array().unwrap().iter().map(|item| item["number"].as_str().unwrap().to_owned()).collect();
    let give = |item: &str, to: serde_json::Value| {
        let (admin, path) = (admin.clone(), format!("/api/v1/items/{item}/assignment"));
        async move { admin.post(&path, &to).await.expect(200) }
    };
    for item in &items[..4] {
        give(item, json!({ "assignee": "rita" })).await;
    }
    give(&items[4], json!({ "group": "ops-team" })).await;
    let until = server.app().clock.now().plus_seconds(10 * 86_400).to_string();
    let ask =
        json!({ "kind": "deferral", "reason": "risk_accepted", "note": "n", "until": until, "items": [items[0]] });
    let asked = admin.post("/api/v1/exceptions", &ask).await.expect(201);
    let vca = asked["exception"]["number"].as_str().unwrap();
    vera.post(&format!("/api/v1/exceptions/{vca}/decision"), &json!({ "approve": true })).await.expect(200);
    admin.post(&format!("/api/v1/items/{}/state", items[1]), &json!({ "state": "resolved" })).await.expect(200);
    admin.post("/api/v1/efforts", &json!({ "title": "t", "items": [items[2], items[5]] })).await.expect(201);
    import(&admin, &[(11, 93, "Fixed"), (12, 93, "Fixed")]).await;
    server
        .app()
        .database
        .write(|tx| tx.execute("UPDATE vulnerable_item SET due_at = 1000 WHERE number = 5", &[]))
        .await
        .unwrap();

    // Where one begins.
    for (who, words) in [(&rita, "<title>My work"), (&anna, "<title>Dashboard"), (&rolf, "<title>Dashboard")] {
        let home = who.get("/").await.text;
        assert!(home.contains(words), "{words}: {}", &home[..600]);
    }
    let bar = rita.get("/mine").await.text;
    assert!(bar.contains("href=\"/mine\"") && !bar.contains("href=\"/all\""), "the whole is not in her side bar");
    let bar = anna.get("/all").await.text;
    assert!(bar.contains("href=\"/mine\"") && bar.contains("href=\"/all\""));
    assert!(bar.contains(">ops-team<"), "groups stand there: {bar}");
    assert_eq!(user("jim", "job_reader", json!(null)).await.get("/mine").await.status, 403);

    assert!(agree(&rita, "/mine").await >= 4);
    for (who, most) in [(&anna, 10), (&sam, 6), (&rolf, 10), (&rita, 4)] {
        assert!(agree(who, "/all").await >= most);
        agree(who, "/mine").await;
    }
    assert!(agree(&admin, "/all").await >= 10);

    // Which letters one gets.
    let dialog = rita.get("/mine/notices").await.text;
    assert!(dialog.contains("name=\"assigned\"") && dialog.contains("checked"), "{dialog}");
    assert_eq!(rita.form("/mine/notices", &[("assigned", "on")]).await.status, 303);
    let kept = rita.get("/api/v1/me/notices").await.expect(200);
    assert_eq!(kept["notices"], json!({ "assigned": true, "overdue": false }));
});
