//! Free-standing jobs over HTTP (R3, R4, R8, R19, S1.05 to S1.08): by list, query and tags, inside the scope of whoever
//! acts, by the API and by forms alone.

use super::world::{Browser, World, admin_browser, between, browser, gist, version};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::{Client, USER_PASSWORD};

/// An account that sees only what carries a tag, and that tag on some assets.
async fn scoped(world: &World, name: &str, tag: &str, assets: &[i64]) -> Client {
    for asset in assets {
        let path = format!("/api/v1/assets/{asset}");
        world.admin.patch(&path, &json!({ "tags": [tag] })).await.expect(200);
    }
    let client = world.server.user(name, &["job_author"]).await;
    let change = json!({ "scope": { "tags": [tag] } });
    world.admin.patch(&format!("/api/v1/users/{name}"), &change).await.expect(200);
    client
}

async fn edit(client: &Client, job: &Value, patch: &Value) -> testkit::server::Reply {
    let number = job["job"]["summary"]["number"].as_str().unwrap();
    let request = client.request(Method::PATCH, &format!("/api/v1/jobs/{number}"));
    client.send(request.header("if-match", format!("\"v{}\"", job["job"]["version"])).json(patch)).await
}

fn ids(of: &Value) -> Vec<i64> {
    let mut ids: Vec<i64> = of.as_array().unwrap().iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

fn keys(assets: &[Value]) -> Vec<i64> {
    ids(&Value::Array(assets.to_vec()))
}

both_servers!(r19_a_free_standing_job_chooses_by_list_query_and_tags, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let (able, admin) = (keys(&assets), &world.admin);
    let tagged = &able[..2];
    for asset in tagged {
        admin.patch(&format!("/api/v1/assets/{asset}"), &json!({ "tags": ["web"] })).await.expect(200);
    }
    admin.patch("/api/v1/tags/web", &json!({ "parent": "prod", "criticality": 5 })).await.expect(200);
    let asset = admin.get(&format!("/api/v1/assets/{}", tagged[0])).await.expect(200);
    assert_eq!(
        (&asset["asset"]["criticality"], &asset["asset"]["criticality_by_hand"]),
        (&json!(5), &json!(false)),
        "R22"
    );

    // Nothing to be made yet: who would be in, who is out and why.
    let trial = json!({ "platform": "linux", "selection": { "query": "platform:[linux, windows]" }, "choose": { "qids": [qid] } });
    let tried = admin.post("/api/v1/selection", &trial).await.expect(200);
    assert_eq!(ids(&tried["assets"]), able, "{tried}");
    let reasons: Vec<&str> =
        tried["others"].as_array().unwrap().iter().map(|a| a["reason"].as_str().unwrap()).collect();
    for reason in ["no_agent", "other_platform"] {
        assert!(reasons.contains(&reason), "{reason}: {tried}");
    }
    assert!(tried["install"].as_str().unwrap().contains("quell-agent enrol"), "the install line is told");
    let none = json!({ "platform": "linux", "selection": { "query": "nme:x" } });
    assert_eq!(admin.post("/api/v1/selection", &none).await.code(), "invalid");

    // By the tag above, then by list; added and removed while nothing has started.
    let new = json!({ "platform": "linux", "selection": { "tags": ["prod"] }, "choose": { "qids": [qid] } });
    let job = admin.post("/api/v1/jobs", &new).await.expect(201);
    assert_eq!((job["job"]["origin"].as_str(), ids(&job["job"]["assets"])), (Some("free"), tagged.to_vec()), "{job}");
    assert!(job["job"]["actions"].as_array().is_some_and(|actions| !actions.is_empty()), "the elimination that fits");
    assert_eq!(job["job"]["plan"]["by"], "admin");
    let job = edit(admin, &job, &json!({ "assets": able })).await.expect(200);
    assert_eq!(ids(&job["job"]["assets"]), able, "assets are added");
    let excluding =
        json!({ "selection": { "query": "agent:true", "exclude_tags": ["web", "none"], "exclude_match": "any" } });
    let job = edit(admin, &job, &excluding).await.expect(200);
    assert_eq!(ids(&job["job"]["assets"]), able[2..].to_vec());
    let all =
        json!({ "selection": { "query": "agent:true", "exclude_tags": ["web", "none"], "exclude_match": "all" } });
    let job = edit(admin, &job, &all).await.expect(200);
    assert_eq!(ids(&job["job"]["assets"]), able);
    let number = job["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let shown = admin.get(&format!("/api/v1/jobs/{number}/selection")).await.expect(200);
    assert_eq!(ids(&shown["assets"]), able);

    // A standing job chooses anew at each run: who carries the tag by then is in.
    let standing = json!({ "selection": { "tags": ["prod"] }, "standing": true });
    let job = edit(admin, &job, &standing).await.expect(200);
    assert_eq!(ids(&job["job"]["assets"]), tagged.to_vec());
    admin.patch(&format!("/api/v1/assets/{}", able[0]), &json!({ "tags": [] })).await.expect(200);
    let ordinal = number[2..].parse::<i64>().unwrap();
    let now = world.server.app().clock.now();
    let again = world.server.app().database.try_write(move |tx| {
        let row = store::jobs::by_number(tx, ordinal)?.expect("the job is there");
        let resolved = server::engine::selection::again(tx, &row, now)?.expect("it is free-standing");
        Ok::<_, server::http::Error>(resolved.targets.iter().map(|target| target.asset.0).collect::<Vec<_>>())
    });
    assert_eq!(again.await.unwrap(), tagged[1..].to_vec());
    admin.patch(&format!("/api/v1/assets/{}", able[0]), &json!({ "tags": ["web"] })).await.expect(200);
    let job = admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);

    // R3: without an asset it cannot be saved.
    let empty = edit(admin, &job, &json!({ "selection": { "assets": [] } })).await.expect(200);
    assert_eq!(ids(&empty["job"]["assets"]), Vec::<i64>::new());
    assert_eq!(empty["job"]["actions"], json!([]), "R4: the QIDs went with the assets");
    let path = format!("/api/v1/jobs/{number}/save");
    let refused = admin.post(&path, &json!({ "enable": false })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    edit(admin, &empty, &json!({ "assets": [able[0]] })).await.expect(200);
    let saved = admin.post(&path, &json!({ "enable": false })).await.expect(200);
    assert_eq!(saved["job"]["summary"]["status"], "DISABLED");

    // R8, and what cannot be chosen.
    for (body, code) in [
        (json!({ "platform": "macos", "selection": {} }), "platform_unsupported"),
        (json!({ "selection": {} }), "invalid"),
        (json!({ "platform": "linux", "selection": {}, "vulnerabilities": [{ "qid": qid }] }), "invalid"),
        (json!({ "platform": "linux", "choose": { "entries": ["no-such-entry"] } }), "invalid"),
        (json!({ "platform": "linux", "choose": { "qids": [1] } }), "invalid"),
        (json!({ "platform": "linux", "kind": "rollback" }), "invalid"),
    ] {
        let reply = admin.post("/api/v1/jobs", &body).await;
        assert_eq!(reply.code(), code, "{body}: {}", reply.text);
    }
    let eliminations = json!({ "vulnerabilities": [{ "qid": qid }], "platform": "linux" });
    let filled = admin.post("/api/v1/jobs", &eliminations).await.expect(201);
    assert_eq!((&filled["job"]["origin"], &filled["job"]["plan"]), (&json!("elimination"), &json!(null)));
    let reply = edit(admin, &filled, &json!({ "selection": { "query": "agent:true" } })).await;
    assert_eq!(reply.code(), "not_free_standing", "S1.06: assets of such a job are removed, not chosen");
});

both_servers!(r19_no_free_standing_job_reaches_beyond_the_scope_of_whoever_chose, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let able = keys(&assets);
    let (mine, foreign) = (able[0], able[1]);
    let lara = scoped(&world, "lara", "lab", &[mine]).await;
    world.admin.patch(&format!("/api/v1/assets/{foreign}"), &json!({ "tags": ["prod"] })).await.expect(200);
    let name = world.admin.get(&format!("/api/v1/assets/{foreign}")).await.expect(200)["asset"]["name"].clone();
    let name = name.as_str().unwrap().to_owned();

    for selection in [
        json!({ "assets": [mine, foreign] }),
        json!({ "query": "agent:true or not name:x" }),
        json!({ "assets": [mine], "tags": ["prod"] }),
        json!({ "assets": [mine], "query": format!("name:\"{name}\"") }),
        json!({ "tags": ["lab", "prod"] }),
    ] {
        let body = json!({ "platform": "linux", "selection": selection, "choose": { "qids": [qid] } });
        let tried = lara.post("/api/v1/selection", &body).await;
        assert!(!tried.text.contains(&name), "nothing is told of it: {}", tried.text);
        let tried = tried.expect(200);
        assert_eq!((ids(&tried["assets"]), &tried["left_out"]), (vec![mine], &json!(0)), "{selection}");
        let job = lara.post("/api/v1/jobs", &body).await.expect(201);
        assert_eq!(ids(&job["job"]["assets"]), [mine], "{selection}");
        assert_eq!(job["job"]["hidden_assets"], 0);
        let edited = edit(&lara, &job, &json!({ "assets": [mine, foreign] })).await.expect(200);
        assert_eq!(ids(&edited["job"]["assets"]), [mine]);
        assert_eq!(edited["job"]["plan"]["selection"]["assets"], json!([mine]), "not even its key is kept");
    }
    // What looks the same for a foreign asset and one that does not exist gives nothing away.
    let of = |key: i64| json!({ "platform": "linux", "selection": { "assets": [key] } });
    let (one, other) =
        (lara.post("/api/v1/selection", &of(foreign)).await, lara.post("/api/v1/selection", &of(999_999)).await);
    assert_eq!(one.text, other.text);
    // Tags decide what jobs of others reach, so who sees a part does not move them.
    let vera = world.server.user("vera", &["vulnerability_administrator"]).await;
    vera.patch("/api/v1/tags/prod", &json!({ "parent": "top" })).await.expect(200);
    let reply = lara.patch("/api/v1/tags/prod", &json!({ "parent": "lab" })).await;
    assert_eq!(reply.status, 403, "{}", reply.text);

    // A co-author with a scope who edits a job of somebody who sees everything brings no later run beyond his own.
    let body = json!({ "platform": "linux", "selection": { "assets": [mine] }, "choose": { "qids": [qid] } });
    let job = world.admin.post("/api/v1/jobs", &body).await.expect(201);
    let job = edit(&world.admin, &job, &json!({ "coauthors": ["lara"] })).await.expect(200);
    let job = edit(&lara, &job, &json!({ "selection": { "tags": ["prod", "lab"] } })).await.expect(200);
    assert_eq!(ids(&job["job"]["assets"]), [mine]);
    let number = job["job"]["summary"]["number"].as_str().unwrap()[2..].parse::<i64>().unwrap();
    let now = world.server.app().clock.now();
    let again = world.server.app().database.try_write(move |tx| {
        let row = store::jobs::by_number(tx, number)?.expect("the job is there");
        let resolved = server::engine::selection::again(tx, &row, now)?.expect("it is free-standing");
        Ok::<_, server::http::Error>(resolved.targets.iter().map(|target| target.asset.0).collect::<Vec<_>>())
    });
    assert_eq!(again.await.unwrap(), [mine], "the owner's scope and the co-author's count together");

    // A copy chooses inside the scope of who makes it.
    let both = json!({ "platform": "linux", "selection": { "assets": [mine, foreign] }, "choose": { "qids": [qid] } });
    let wide = world.admin.post("/api/v1/jobs", &both).await.expect(201);
    assert_eq!(ids(&wide["job"]["assets"]).len(), 2);
    let path = format!("/api/v1/jobs/{}/clone", wide["job"]["summary"]["number"].as_str().unwrap());
    let copy = lara.post(&path, &json!({})).await;
    if copy.status < 300 {
        let copy = copy.expect(201);
        assert_eq!((ids(&copy["job"]["assets"]), &copy["job"]["hidden_assets"]), (vec![mine], &json!(0)));
    } else {
        assert!([403, 409].contains(&copy.status), "{}", copy.text);
    }

    // A draft without assets is nobody's but its owner's to an account with a scope.
    let empty = world.admin.post("/api/v1/jobs", &json!({ "platform": "linux", "selection": {} })).await.expect(201);
    let path = format!("/api/v1/jobs/{}", empty["job"]["summary"]["number"].as_str().unwrap());
    assert_eq!(lara.get(&path).await.status, 404);
    let own = lara.post("/api/v1/jobs", &json!({ "platform": "linux", "selection": {} })).await.expect(201);
    let path = format!("/api/v1/jobs/{}", own["job"]["summary"]["number"].as_str().unwrap());
    lara.get(&path).await.expect(200);
    let listed = lara.get("/api/v1/jobs?q=status:draft&limit=100").await.expect(200);
    let numbers: Vec<&Value> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["number"]).collect();
    assert!(numbers.contains(&&own["job"]["summary"]["number"]), "its owner finds it again: {listed}");
    assert!(!numbers.contains(&&empty["job"]["summary"]["number"]), "{listed}");
});

both_servers!(s1_05_s1_08_a_free_standing_job_is_made_by_forms_alone, |server| async move {
    let world = World::ready(server).await;
    let (qid, assets) = world.mitigable().await;
    let me = admin_browser(&world.server).await;
    let name = |asset: &Value| asset["name"].as_str().unwrap().to_owned();

    let list = me.page("/jobs").await;
    assert!(list.contains("href=\"/jobs/new\""), "Create job leads to a free-standing one");
    let asked = me.page("/jobs/new").await;
    assert!(asked.contains("Create a Linux job"), "{}", gist(&asked));
    let basic = me.leads("/jobs/new?platform=linux", &[]).await;
    let page = me.page(&basic).await;
    assert!(page.contains("Create: Linux Mitigation Job"));
    let fields = [("version", version(&page)), ("title", "All of the lab"), ("description", ""), ("then", "next")];
    let step = me.leads(&basic, &fields).await;
    let page = me.page(&step).await;
    assert!(page.contains("No asset is chosen yet."), "{}", gist(&page));
    // S1.08: nobody goes on without one.
    let none = me.post(&step, &[("version", version(&page)), ("then", "next")]).await;
    assert_eq!(none.status, 422);
    assert!(none.text.contains("At least one asset is needed"), "{}", gist(&none.text));
    let wrong = me.post(&step, &[("version", version(&page)), ("query", "nme:x"), ("then", "next")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("nme"), "the fault of the filter is said: {}", gist(&wrong.text));

    // The live part says who is in before anything is kept.
    let live = me.post(&format!("{step}/who"), &[("query", "agent:true")]).await;
    assert!(live.text.contains(&name(&assets[0])) && !live.text.contains("<html"), "{}", live.text);
    let live = me.post(&format!("{step}/who"), &[("query", "nme:x")]).await;
    assert!(live.text.contains("nme"), "{}", live.text);

    // By filter; one taken out by its button, and in again.
    let back = me.leads(&step, &[("version", version(&page)), ("query", "agent:true"), ("then", "stay")]).await;
    assert_eq!(back, step);
    let page = me.page(&step).await;
    assert!(page.contains(&name(&assets[0])) && page.contains(&name(&assets[1])));
    let gone = assets[0]["id"].to_string();
    me.leads(&step, &[("version", version(&page)), ("query", "agent:true"), ("drop", &gone)]).await;
    let page = me.page(&step).await;
    assert!(page.contains("It is taken out by name."), "{}", gist(&page));
    me.leads(&step, &[("version", version(&page)), ("query", "agent:true"), ("taken_out", &gone), ("back", &gone)])
        .await;
    assert!(!me.page(&step).await.contains("It is taken out by name."));
    // One by one.
    let found = me
        .leads(&step, &[("version", version(&me.page(&step).await)), ("find", &name(&assets[1])), ("then", "find")])
        .await;
    let page = me.page(&found).await;
    assert!(page.contains(&format!("name=\"take\" value=\"{}\"", assets[1]["id"])), "{}", gist(&page));
    let key = assets[1]["id"].to_string();
    me.leads(&step, &[("version", version(&page)), ("take", &key)]).await;
    let page = me.page(&step).await;
    let next =
        me.leads(&step, &[("version", version(&page)), ("asset", &key), ("asset", &gone), ("then", "next")]).await;

    let page = me.page(&next).await;
    assert!(page.contains(&format!("name=\"qid\" value=\"{qid}\"")), "{}", gist(&page));
    let none = me.post(&next, &[("version", version(&page)), ("then", "next")]).await;
    assert_eq!(none.status, 422);
    assert!(none.text.contains("At least one action is needed"), "{}", gist(&none.text));
    let qid = qid.to_string();
    me.leads(&next, &[("version", version(&page)), ("qid", &qid), ("then", "stay")]).await;
    let page = me.page(&next).await;
    assert!(page.contains("Actions of the job") && page.contains("hx-get=\"/mitigations/"), "S1.09: {}", gist(&page));
    let last = me.leads(&next, &[("version", version(&page)), ("qid", &qid), ("then", "next")]).await;
    assert!(last.ends_with("/edit/schedule"), "{last}");
    let job = last.trim_end_matches("/edit/schedule").to_owned();
    let page = me.page(&format!("{job}/edit/confirm")).await;
    let done = me.leads(&format!("{job}/edit/confirm"), &[("version", version(&page)), ("then", "save")]).await;
    assert_eq!(done, "/jobs");
    let shown = world.admin.get(&format!("/api/v1{job}")).await.expect(200);
    assert_eq!(shown["job"]["summary"]["status"], "DISABLED");
    let mut chosen = vec![assets[0]["id"].as_i64().unwrap(), assets[1]["id"].as_i64().unwrap()];
    chosen.sort_unstable();
    assert_eq!(ids(&shown["job"]["assets"]), chosen);

    // A scope shows nothing of others on these pages either.
    let first = assets[0]["id"].as_i64().unwrap();
    scoped(&world, "lara", "lab", &[first]).await;
    let lara: Browser = browser(&world.server, "lara", USER_PASSWORD).await;
    let basic = lara.leads("/jobs/new?platform=linux", &[]).await;
    let step = basic.replace("/basic", "/assets");
    let page = lara.page(&step).await;
    let live = lara.post(&format!("{step}/who"), &[("query", "not name:x"), ("asset", &key)]).await;
    assert!(live.text.contains(&name(&assets[0])) && !live.text.contains(&name(&assets[1])), "{}", live.text);
    let found = lara.leads(&step, &[("version", version(&page)), ("find", &name(&assets[1])), ("then", "find")]).await;
    let page = lara.page(&found).await;
    assert!(page.contains("Nothing of this platform is found"), "{}", gist(&page));
    let _ = between(&page, "<h1", "</h1>");
});
