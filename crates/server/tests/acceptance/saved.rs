//! A saved job stays one that could be saved: S1.08, R3 and R5 hold for its edits as they do for saving it.

use crate::hands::{act, draft, job, patch};
use crate::world::{World, admin_browser, gist, version};
use serde_json::json;
use testkit::both_servers;
use testkit::server::Reply;

fn codes(reply: &Reply) -> Vec<&str> {
    reply.json["errors"].as_array().unwrap().iter().map(|error| error["code"].as_str().unwrap()).collect()
}

/// A saved job on two assets; gives its number and them.
async fn saved(world: &World) -> (String, Vec<i64>) {
    let (qid, able) = world.mitigable().await;
    let assets: Vec<i64> = able.iter().take(2).map(|asset| asset["id"].as_i64().unwrap()).collect();
    let number = draft(&world.admin, qid, &assets).await;
    let saved = act(&world.admin, &number, "save").await.expect(200);
    assert_eq!(saved["job"]["summary"]["status"], "DISABLED");
    (number, assets)
}

both_servers!(a_saved_job_is_not_edited_to_what_could_not_be_saved, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = saved(&world).await;
    let before = job(&world.admin, &number).await;
    let many: Vec<String> = (0..51).map(|n| format!("p{n}@example.org")).collect();
    for (change, code) in [
        (json!({ "assets": [] }), "no_assets"),
        (json!({ "actions": [] }), "no_actions"),
        (json!({ "recipients": many }), "too_many_recipients"),
        (json!({ "title": " " }), "title_missing"),
    ] {
        let refused = patch(&world.admin, &number, &change).await;
        assert_eq!(refused.status, 422, "{change}: {}", refused.text);
        assert!(codes(&refused).contains(&code), "{change}: {}", refused.text);
    }
    assert_eq!(job(&world.admin, &number).await, before, "nothing of it is kept");
    let one = patch(&world.admin, &number, &json!({ "assets": assets[..1], "title": "One" })).await.expect(200);
    assert_eq!(one["job"]["assets"].as_array().unwrap().len(), 1);

    // A free-standing one as well.
    let new = json!({ "platform": "linux", "selection": { "assets": assets }, "choose": { "qids": [before["actions"][0]["qid"]] } });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let free = made["job"]["summary"]["number"].as_str().unwrap();
    let empty = json!({ "selection": { "assets": [] } });
    act(&world.admin, free, "save").await.expect(200);
    let refused = patch(&world.admin, free, &empty).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(job(&world.admin, free).await["assets"].as_array().unwrap().len(), assets.len());
    // A draft may lack anything until it is saved.
    let draft = act(&world.admin, free, "clone").await.expect(201);
    patch(&world.admin, draft["job"]["summary"]["number"].as_str().unwrap(), &empty).await.expect(200);
});

both_servers!(the_last_asset_of_a_saved_job_is_not_removed_on_the_page, |server| async move {
    let world = World::ready(server).await;
    let (number, assets) = saved(&world).await;
    let me = admin_browser(&world.server).await;
    let step = format!("/jobs/{number}/edit/assets");
    let keys: Vec<String> = assets.iter().map(ToString::to_string).collect();
    let page = me.page(&step).await;
    let fields = [("version", version(&page)), ("asset", keys[0].as_str())];
    assert_eq!(me.leads(&format!("{step}/remove"), &fields).await, step);
    let page = me.page(&step).await;
    let fields = [("version", version(&page)), ("asset", keys[1].as_str())];
    let refused = me.post(&format!("{step}/remove"), &fields).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("At least one asset is needed"), "{}", gist(&refused.text));
    assert_eq!(job(&world.admin, &number).await["assets"].as_array().unwrap().len(), 1);
});
