//! Agents that are not heard of, as people see them: what the list and an agent's page say, taking one back, when they are retired.

use super::world::{World, admin_browser, browser, enrolled, gist, pass};
use domain::id::AssetId;
use serde_json::json;
use server::engine::retire;
use testkit::both_servers;
use testkit::server::{TestServer, USER_PASSWORD};

const DAY: i64 = 86_400;

/// The page of the agent on this asset.
async fn page_of(server: &TestServer, asset: i64) -> String {
    let agent = server.app().database.read(move |tx| store::agents::on_asset(tx, AssetId(asset))).await.unwrap();
    format!("/agents/{}", agent.unwrap().agent_id)
}

both_servers!(an_agent_that_is_not_heard_of_says_why_since_when_and_what_follows, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let asset = world.mitigable().await.1[0]["id"].as_i64().unwrap();
    let path = page_of(server, asset).await;
    let me = admin_browser(server).await;
    let page = me.page(&path).await;
    assert!(!page.contains("id=\"h-gone\"") && !page.contains("take-back"), "{}", gist(&page));

    let heard = server.app().clock.now();
    let day = |days: i64| heard.plus_seconds(days * DAY).to_jiff().strftime("%-d %b %Y").to_string();
    pass(server, 8 * DAY, &[asset]).await;
    assert_eq!(retire::look(server.app()).await.unwrap().missing, 1);
    let me = admin_browser(server).await;
    let page = me.page(&path).await;
    assert!(page.contains("<h2 id=\"h-gone\">Contact lost</h2>"), "{}", gist(&page));
    for said in ["Nothing was heard of it for seven days", &day(0), &day(8), &day(45), "after 45 days without a word"] {
        assert!(page.contains(said), "{said}: {}", gist(&page));
    }
    assert!(page.contains("href=\"/settings/retirement\"") && !page.contains("take-back"), "{}", gist(&page));
    let list = me.page("/agents?q=is:missing").await;
    assert!(
        list.contains("</svg>Contact lost</span>") && list.contains("After 45 days it is retired"),
        "{}",
        gist(&list)
    );

    // It is never retired where somebody said so, and the page does not promise it.
    me.leads("/settings/retirement", &[("days", "0")]).await;
    let page = me.page(&path).await;
    assert!(page.contains("never retired by itself") && !page.contains(&day(45)), "{}", gist(&page));
    me.leads("/settings/retirement", &[("days", "45")]).await;

    pass(server, 38 * DAY, &[asset]).await;
    assert_eq!(retire::look(server.app()).await.unwrap().retired, 1);
    let me = admin_browser(server).await;
    let page = me.page(&path).await;
    assert!(page.contains("<h2 id=\"h-gone\">Retired</h2>") && page.contains(&day(46)), "{}", gist(&page));
    let back = format!("{path}/take-back");
    assert!(page.contains(&format!("formaction=\"{back}\"")) || page.contains(&format!("action=\"{back}\"")), "{page}");

    // Whoever may not enrol agents sees the button and reads why it is not his.
    server.user("reader", &["read_only"]).await;
    let reader = browser(server, "reader", USER_PASSWORD).await;
    let page = reader.page(&path).await;
    assert!(page.contains("your roles do not include the permission to enrol agents"), "{}", gist(&page));
    assert!(!page.contains("/settings/retirement"), "{}", gist(&page));
    assert_eq!(reader.leads(&back, &[]).await, path);
    let page = reader.page(&path).await;
    assert!(page.contains("<h2 id=\"h-gone\">Retired</h2>"), "he did not take it back: {}", gist(&page));
    assert_eq!(reader.post("/settings/retirement", &[("days", "x")]).await.status, 403);
    assert_eq!(reader.client.get("/settings/retirement").await.status, 403);

    // Another agent holds its asset by now: that is the reason, on its page and in the list.
    enrolled(server, 1, 0).await;
    let hold = server.app().database.write(move |tx| {
        tx.execute("UPDATE agent SET asset_id = $1, link = 'linked' WHERE hostname = 'spare-0000'", &[&asset])
    });
    hold.await.unwrap();
    for path in [path.as_str(), "/agents?q=is:retired"] {
        let page = me.page(path).await;
        assert!(page.contains("another agent holds its asset"), "{path}: {}", gist(&page));
    }
    let free = server.app().database.write(|tx| {
        tx.execute("UPDATE agent SET asset_id = NULL, link = 'ambiguous' WHERE hostname = 'spare-0000'", &[])
    });
    free.await.unwrap();
    assert_eq!(me.leads(&back, &[]).await, path);
    let page = me.page(&path).await;
    assert!(page.contains("The agent is taken back.") && !page.contains("id=\"h-gone\""), "{}", gist(&page));
});

both_servers!(when_agents_are_retired_has_a_page_and_bounds, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let form = me.page("/settings/retirement").await;
    assert!(form.contains("value=\"45\"") && form.contains("0 retires none"), "{}", gist(&form));
    for wrong in ["", "x", "-1", "6", "401"] {
        let refused = me.post("/settings/retirement", &[("days", wrong)]).await;
        assert_eq!(refused.status, 422, "{wrong}");
        assert!(refused.text.contains("id=\"error-days\""), "{wrong}: {}", gist(&refused.text));
    }
    assert_eq!(me.leads("/settings/retirement", &[("days", "60")]).await, "/agents");
    let list = me.page("/agents").await;
    assert!(list.contains("After 60 days it is retired by itself"), "{}", gist(&list));
    let kept = world.admin.get("/api/v1/settings/retirement").await.expect(200);
    assert_eq!(kept["retirement"]["days"], json!(60));

    // Most of the fleet is silent: the list says that none is retired, and why.
    pass(&world.server, 62 * DAY, &[]).await;
    enrolled(&world.server, 30, 61 * DAY).await;
    assert_eq!(retire::look(world.server.app()).await.unwrap().missing, 30);
    let me = admin_browser(&world.server).await;
    let list = me.page("/agents").await;
    assert!(list.contains("id=\"q-held\"") && list.contains("no agent is retired by itself"), "{}", gist(&list));
});
