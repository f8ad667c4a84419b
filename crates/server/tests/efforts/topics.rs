//! Watch topics: shared, their numbers the reader's; efforts of them.

use crate::world::{SIX, import, listed, person};
use serde_json::json;

const PATH: &str = "/api/v1/topics";

testkit::both_servers!(a_topic_counts_what_its_reader_sees_and_makes_efforts, |server| async move {
    let admin = server.admin().await;
    let anna = person(&server, "anna", "vulnerability_analyst").await;
    import(&admin, &SIX).await;
    let shipped = anna.get(PATH).await.expect(200)["topics"].as_array().unwrap().len();
    for (wrong, field) in [
        (json!({ "name": " " }), "name"),
        (json!({ "name": "n", "condition": "qid:x" }), "condition"),
        (json!({ "name": "n", "position": 10_001 }), "position"),
        (json!({ "name": "n", "owner": "nobody" }), "owner"),
    ] {
        let refused = anna.post(PATH, &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    let new = json!({ "name": "<i>ninety</i>", "condition": "qid:91 or qid:92", "owner": "anna" });
    let made = anna.post(PATH, &new).await.expect(201);
    let (id, items) = (made["topic"]["id"].as_i64().unwrap(), &made["items"]);
    assert_eq!(
        (&items["active"], &items["critical"], &items["in_effort"]),
        (&json!(4), &json!(4), &json!(0)),
        "{made}"
    );
    assert_eq!(anna.get(PATH).await.expect(200)["topics"].as_array().unwrap().len(), shipped + 1);

    let effort = anna.post("/api/v1/efforts", &json!({ "title": "t", "topic": id })).await.expect(201);
    assert_eq!((&effort["taken"], &effort["effort"]["topic"]), (&json!(4), &json!("<i>ninety</i>")), "{effort}");
    let path = format!("{PATH}/{id}");
    assert_eq!(anna.get(&path).await.expect(200)["items"]["in_effort"], 4);
    let both = json!({ "title": "t", "topic": id, "q": "qid:93" });
    assert_eq!(anna.post("/api/v1/efforts", &both).await.status, 422, "one or the other");
    let gone = anna.post("/api/v1/efforts", &json!({ "title": "t", "topic": 999 })).await;
    assert_eq!(gone.status, 404);

    // The page and its links say the same.
    let page = anna_page(&server, &format!("/topics/{id}")).await;
    for words in ["&#60;i&#62;ninety", "New effort", "href=\"/items?q="] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(listed(&admin, "(qid:91 or qid:92) and is:open").await, 4);

    // Without a condition, or not active: no numbers, no efforts.
    let late = anna.request(reqwest::Method::PATCH, &path).header("if-match", "\"v7\"");
    assert_eq!(anna.send(late.json(&json!({ "active": false }))).await.status, 412);
    let off = anna.patch(&path, &json!({ "active": false })).await.expect(200);
    assert_eq!((&off["items"], &off["topic"]["name"]), (&json!(null), &json!("<i>ninety</i>")), "{off}");
    assert_eq!(anna.post("/api/v1/efforts", &json!({ "title": "t", "topic": id })).await.code(), "topic_inactive");
    anna.patch(&path, &json!({ "active": true, "condition": "" })).await.expect(200);
    assert_eq!(anna.post("/api/v1/efforts", &json!({ "title": "t", "topic": id })).await.code(), "topic_empty");

    // Shared, but counted as one sees it; changed by who may.
    anna.patch(&path, &json!({ "condition": "qid:91" })).await.expect(200);
    let kept = json!({ "name": "sam", "roles": ["vulnerability_analyst"], "scope": ["prod"] });
    let once = admin.post("/api/v1/users", &kept).await.expect(201)["one_time_password"].as_str().unwrap().to_owned();
    let sam = server.client().sign_in("sam", &once).await.choose_password(&once, "a long enough passphrase 7").await;
    assert_eq!(sam.get(&path).await.expect(200)["items"]["active"], 1);
    let rita = person(&server, "rita", "remediation_owner").await;
    assert_eq!(rita.get(&path).await.expect(200)["items"]["active"], 0);
    assert_eq!(rita.patch(&path, &json!({ "active": false })).await.code(), "role_missing");
    assert_eq!(rita.delete(&path).await.code(), "role_missing");
    assert_eq!(anna.delete(&path).await.status, 204);
    let number = effort["effort"]["number"].as_str().unwrap();
    assert_eq!(anna.get(&format!("/api/v1/efforts/{number}")).await.expect(200)["effort"]["topic"], json!(null));
});

async fn anna_page(server: &testkit::server::TestServer, path: &str) -> String {
    server.admin().await.get(path).await.text
}
