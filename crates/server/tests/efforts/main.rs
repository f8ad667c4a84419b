//! Efforts, assignment, notices and homes over real HTTP; who must not do what.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod assignment;
mod homes;
mod topics;
mod world;

use serde_json::{Value, json};
use server::engine::efforts;
use world::{SIX, import, listed, number, person};

testkit::both_servers!(an_effort_is_frozen_holds_its_items_and_ends, |server| async move {
    let admin = server.admin().await;
    let anna = person(&server, "anna", "vulnerability_analyst").await;
    import(&admin, &SIX).await;

    for (wrong, field) in [
        (json!({ "title": " ", "q": "qid:91" }), "title"),
        (json!({ "title": "a\r\nBcc: eve", "q": "qid:91" }), "title"),
        (json!({ "title": "t" }), "items"),
        (json!({ "title": "t", "items": ["MJ0000001"] }), "items"),
        (json!({ "title": "t", "q": "qid:x" }), "q"),
        (json!({ "title": "t", "q": "", "owner": "nobody" }), "owner"),
        (json!({ "title": "t", "q": "", "group": "none" }), "group"),
    ] {
        let refused = anna.post("/api/v1/efforts", &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    let tried = anna.post("/api/v1/efforts", &json!({ "title": "", "q": "qid:91", "dry_run": true })).await.expect(200);
    assert_eq!((&tried["taken"], &tried["effort"]), (&json!(2), &json!(null)), "{tried}");
    assert_eq!(anna.get("/api/v1/efforts").await.expect(200)["efforts"], json!([]), "nothing was made");

    let new = json!({ "title": "<b>91</b>", "q": "qid:91", "owner": "anna", "description": "all of it" });
    let made = anna.post("/api/v1/efforts", &new).await.expect(201);
    let first = number(&made);
    assert_eq!((&made["effort"]["items"], &made["effort"]["state"]), (&json!(2), &json!("active")), "{made}");
    // Another one takes what is left, and says who holds the rest.
    let made = anna.post("/api/v1/efforts", &json!({ "title": "rest", "q": "qid:<93" })).await.expect(201);
    let second = number(&made);
    assert_eq!((&made["taken"], &made["held"]), (&json!(2), &json!(2)), "{made}");
    assert_eq!((&made["holders"][0]["effort"], &made["holders"][0]["items"]), (&json!(first), &json!(2)), "{made}");
    for nothing in [json!({ "title": "x", "q": "qid:91" }), json!({ "title": "x", "q": "qid:7" })] {
        let refused = anna.post("/api/v1/efforts", &nothing).await;
        assert_eq!((refused.status, refused.code()), (409, "nothing_to_take"));
    }

    // Frozen: what matches later does not join. Its numbers are those of the lists.
    import(&admin, &[(11, 91, "Active"), (12, 91, "Fixed"), (12, 94, "Active")]).await;
    let shown = anna.get(&format!("/api/v1/efforts/{first}")).await.expect(200);
    let effort = &shown["effort"];
    assert_eq!((&effort["items"], &effort["closed"], &effort["score"]), (&json!(2), &json!(1), &json!(95)), "{shown}");
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    for (also, expected) in [("", 2), (" and is:open", 1), (" and is:closed", 1)] {
        assert_eq!(listed(&anna, &format!("effort:{first}{also}")).await, expected, "{also}");
    }
    assert_eq!(listed(&anna, "is:in_effort").await, 4);

    // Changed only as it was seen.
    let path = format!("/api/v1/efforts/{first}");
    let change = |tag: &str| anna.request(reqwest::Method::PATCH, &path).header("if-match", format!("\"v{tag}\""));
    assert_eq!(anna.send(change("1").json(&json!({ "title": "late" }))).await.status, 412);
    let changed = anna.send(change("2").json(&json!({ "title": "Ninety-one", "owner": "" }))).await.expect(200);
    assert_eq!((&changed["effort"]["title"], &changed["effort"]["owner"]), (&json!("Ninety-one"), &json!(null)));
    assert_eq!(changed["effort"]["description"], "all of it", "what is not named stays");

    // Over by itself with its last item, and it does not come back; the item that does is free.
    import(&admin, &[(11, 91, "Fixed")]).await;
    efforts::look(server.app()).await.unwrap();
    let over = anna.get(&path).await.expect(200);
    assert_eq!((&over["effort"]["state"], &over["effort"]["closed"]), (&json!("inactive"), &json!(2)), "{over}");
    let refused = anna.patch(&path, &json!({ "title": "again" })).await;
    assert_eq!((refused.status, refused.code()), (409, "effort_inactive"));
    import(&admin, &[(11, 91, "Re-Opened")]).await;
    efforts::look(server.app()).await.unwrap();
    assert_eq!(anna.get(&path).await.expect(200)["effort"]["state"], "inactive");

    // By hand: what is active may be taken again.
    let path = format!("/api/v1/efforts/{second}/deactivate");
    let stale = anna.request(reqwest::Method::POST, &path).header("if-match", "\"v1\"");
    assert_eq!(anna.send(stale).await.status, 412);
    let ended = anna.post(&path, &json!({})).await.expect(200);
    assert_eq!(ended["effort"]["state"], "inactive");
    let refused = anna.post(&path, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "effort_inactive"));
    let all = anna.post("/api/v1/efforts", &json!({ "title": "all", "q": "" })).await.expect(201);
    assert_eq!((&all["taken"], &all["held"]), (&json!(6), &json!(0)), "{all}");
    let history = anna.get(&format!("/api/v1/efforts/{first}/history")).await.expect(200);
    let said: Vec<&str> = history["history"].as_array().unwrap().iter().map(|l| l["what"].as_str().unwrap()).collect();
    assert_eq!(said, ["state", "assignment", "title", "items"], "{history}");
    assert_eq!(history["history"][0]["cause"], "engine/efforts");
});

testkit::both_servers!(tasks_are_made_of_an_effort, |server| async move {
    let admin = server.admin().await;
    let anna = person(&server, "anna", "vulnerability_analyst").await;
    import(&admin, &SIX).await;
    let new = json!({ "title": "91", "q": "qid:91", "owner": "anna" });
    let effort = number(&anna.post("/api/v1/efforts", &new).await.expect(201));
    let path = format!("/api/v1/efforts/{effort}/tasks");
    for (wrong, field) in
        [(json!({ "group_by": "x" }), "group_by"), (json!({ "group_by": "none", "existing": "move" }), "existing")]
    {
        let refused = anna.post(&path, &wrong).await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!(field)), "{}", refused.text);
    }
    let made = anna.post(&path, &json!({ "group_by": "none" })).await.expect(201);
    assert_eq!((made["tasks"].as_array().unwrap().len(), &made["items"]), (1, &json!(2)), "{made}");
    let task = anna.get(&format!("/api/v1/tasks/{}", made["tasks"][0].as_str().unwrap())).await.expect(200);
    assert_eq!((&task["task"]["assignee"], &task["task"]["origin"]), (&json!("anna"), &json!("effort")), "{task}");
    // Once more nothing is left to do, or both hold them.
    let again = anna.post(&path, &json!({ "group_by": "none" })).await.expect(201);
    assert_eq!((&again["tasks"], &again["skipped"]), (&json!([]), &json!(2)), "{again}");
    let rolf = person(&server, "rolf", "read_only").await;
    assert_eq!(rolf.post(&path, &json!({ "group_by": "none" })).await.code(), "role_missing");
    let page = admin.get(&format!("/efforts/{effort}")).await.text;
    assert!(page.contains("/tasks?q=effort%3A1") && page.contains("Make tasks"), "{page}");
    let said = admin.form(&format!("/efforts/{effort}/tasks"), &[("group_by", "group_asset")]).await;
    assert_eq!(said.status, 303, "{}", said.text);
    anna.post(&format!("/api/v1/efforts/{effort}/deactivate"), &json!({})).await.expect(200);
    assert_eq!(anna.post(&path, &json!({ "group_by": "none" })).await.code(), "effort_inactive");
});

testkit::both_servers!(of_those_who_want_an_item_one_gets_it, |server| async move {
    let admin = server.admin().await;
    let anna = person(&server, "anna", "vulnerability_analyst").await;
    import(&admin, &SIX).await;
    let listed = anna.get("/api/v1/items?sort=number").await.expect(200);
    let items: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|item| &item["number"]).collect();
    // Everybody wants three in a row; the sets overlap.
    let all = (0..6).map(|at| {
        let wanted: Vec<&Value> = (0..3).map(|n| items[(at + n) % 6]).collect();
        let (anna, new) = (anna.clone(), json!({ "title": format!("{at}"), "items": wanted }));
        async move { anna.post("/api/v1/efforts", &new).await }
    });
    let mut taken = 0;
    for made in futures_util::future::join_all(all).await {
        match made.status {
            201 => taken += made.json["effort"]["items"].as_i64().unwrap(),
            409 => assert_eq!(made.code(), "nothing_to_take"),
            other => panic!("{other}: {}", made.text),
        }
    }
    assert_eq!(taken, 6, "each of them once");
});

testkit::both_servers!(an_effort_is_clipped_to_what_one_may_see, |server| async move {
    let admin = server.admin().await;
    import(&admin, &SIX).await;
    let kept = json!({ "name": "sam", "roles": ["vulnerability_analyst"], "scope": ["prod"] });
    let once = admin.post("/api/v1/users", &kept).await.expect(201)["one_time_password"].as_str().unwrap().to_owned();
    let sam = server.client().sign_in("sam", &once).await.choose_password(&once, "a long enough passphrase 7").await;
    let (rita, rolf) = (person(&server, "rita", "remediation_owner").await, person(&server, "rolf", "read_only").await);

    let both = number(&admin.post("/api/v1/efforts", &json!({ "title": "both", "q": "qid:91" })).await.expect(201));
    let far = json!({ "title": "far", "q": "qid:92 and asset.tag:lab" });
    let far = number(&admin.post("/api/v1/efforts", &far).await.expect(201));
    let shown = sam.get(&format!("/api/v1/efforts/{both}")).await.expect(200);
    assert_eq!((&shown["effort"]["items"], shown["items"].as_array().unwrap().len()), (&json!(1), 1), "{shown}");
    let end = format!("/api/v1/efforts/{both}/deactivate");
    let refused = sam.post(&end, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (403, "partly_out_of_scope"));
    for path in ["", "/history"] {
        assert_eq!(sam.get(&format!("/api/v1/efforts/{far}{path}")).await.status, 404);
    }
    assert_eq!(sam.post(&format!("/api/v1/efforts/{far}/deactivate"), &json!({})).await.status, 404);
    assert_eq!(sam.get("/api/v1/efforts").await.expect(200)["efforts"].as_array().unwrap().len(), 1);
    // What he makes is made of what he sees, named or not.
    let lab = admin.get("/api/v1/items?q=qid:93+asset.tag:lab").await.expect(200)["items"][0]["number"].clone();
    let refused = sam.post("/api/v1/efforts", &json!({ "title": "x", "items": [lab] })).await;
    assert_eq!((refused.status, refused.code()), (409, "nothing_to_take"));
    let own = sam.post("/api/v1/efforts", &json!({ "title": "mine", "q": "" })).await.expect(201);
    assert_eq!((&own["taken"], &own["held"]), (&json!(2), &json!(1)), "{own}");

    // A remediation owner sees the efforts that are his, of them the items that are; he makes and ends none.
    let refused = rita.post("/api/v1/efforts", &json!({ "title": "x", "q": "" })).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    assert_eq!(rita.get("/api/v1/efforts").await.expect(200)["efforts"], json!([]));
    assert_eq!(rita.get(&format!("/api/v1/efforts/{both}")).await.status, 404);
    admin.patch(&format!("/api/v1/efforts/{both}"), &json!({ "owner": "rita" })).await.expect(200);
    assert_eq!(rita.get(&format!("/api/v1/efforts/{both}")).await.expect(200)["effort"]["items"], 0);
    let item = admin.get("/api/v1/items?q=qid:91+asset.tag:lab").await.expect(200)["items"][0]["number"].clone();
    let path = format!("/api/v1/items/{}/assignment", item.as_str().unwrap());
    admin.post(&path, &json!({ "assignee": "rita" })).await.expect(200);
    assert_eq!(rita.get(&format!("/api/v1/efforts/{both}")).await.expect(200)["effort"]["items"], 1);
    let refused = rita.post(&end, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    assert_eq!(rolf.get("/api/v1/efforts").await.expect(200)["efforts"].as_array().unwrap().len(), 3);
    assert_eq!(rolf.post(&end, &json!({})).await.code(), "role_missing");
    let reading = server.user("rea", &["vulnerability_analyst"]).await.make_token(&["read"]).await;
    assert_eq!(server.client().with_token(&reading).post(&end, &json!({})).await.code(), "token_scope");
});

testkit::both_servers!(efforts_have_pages, |server| async move {
    let admin = server.admin().await;
    import(&admin, &SIX).await;
    let empty = admin.get("/efforts").await;
    assert!(empty.status == 200 && empty.text.contains("No efforts yet"), "{}", empty.text);
    let to = |reply: testkit::server::Reply| {
        assert_eq!(reply.status, 303, "{}", reply.text);
        reply.headers["location"].to_str().unwrap().to_owned()
    };
    let form = to(admin.form("/items/effort", &[("all", "1"), ("q", "qid:91")]).await);
    let dialog = admin.get(&form).await;
    assert!(dialog.text.contains("2 items taken and frozen"), "{}", dialog.text);
    let wrong = admin.form(&form, &[("title", "")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("Give it a title."), "{}", wrong.text);
    let page = to(admin.form(&form, &[("title", "<i>91</i>"), ("owner", "admin")]).await);
    let shown = admin.get(&page).await.text;
    for words in ["&#60;i&#62;91", "REF0000001", "Active", "Activity", "effort%3AREF0000001", "End effort"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let nothing = admin.get(&form).await;
    assert!(nothing.text.contains("in another effort"), "{}", nothing.text);
    let list = admin.get("/efforts?q=owner%3Ame").await.text;
    assert!(list.contains("REF0000001") && list.contains("0/2"), "{list}");
    let item = admin.get("/api/v1/items?q=qid:91").await.expect(200)["items"][0]["number"].clone();
    let item = admin.get(&format!("/items/{}", item.as_str().unwrap())).await.text;
    assert!(item.contains("href=\"/efforts/REF0000001\""), "{item}");

    let change = admin.get(&format!("{page}/change")).await.text;
    assert!(change.contains("/efforts/REF0000001/change?seen=2"), "{change}");
    let stale = admin.form(&format!("{page}/change?seen=1"), &[("title", "x")]).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    to(admin.form(&format!("{page}/change?seen=2"), &[("title", "Ninety-one"), ("group", "")]).await);
    to(admin.form(&format!("{page}/end?seen=3"), &[]).await);
    let shown = admin.get(&page).await.text;
    assert!(
        shown.contains("Ninety-one") && shown.contains("the effort is over") || shown.contains("The effort is over")
    );
    assert!(!server.user("jim", &["job_reader"]).await.get("/").await.text.contains("href=\"/efforts\""));
});
