//! "Select all" of the lists: everything that matches, or a refusal that says so, never a part of it in silence.

use super::world::{World, admin_browser, browser, gist};
use domain::asset::{Identity, Platform};
use domain::job::Kind;
use domain::number::{Number, Series};
use serde_json::{Value, json};
use store::agents;
use store::jobs::{Draft, NewJob};
use testkit::both_servers;
use testkit::server::USER_PASSWORD;

/// More items than one batch takes, and no whole number of batches.
const CROWD: i64 = 620;
/// Ordinal of the first item of the crowd.
const FIRST: i64 = 500_000;

/// So many open items of one group, each on an asset of its own; gives the assets.
async fn crowd(world: &World) -> Vec<i64> {
    let now = world.server.app().clock.now();
    let write = world.server.app().database.write(move |tx| {
        let like: Option<(i64, i64)> =
            tx.optional("SELECT vulnerability_id, instance_id FROM vulnerable_item ORDER BY id LIMIT 1", &[])?;
        let (vulnerability, instance) = like.expect("an item was imported");
        let mut assets = Vec::new();
        for n in 0..CROWD {
            let name = format!("crowd-{n}");
            let identity = Identity { machine_id: Some(name.clone()), ..Identity::default() };
            let asset = agents::create_asset(tx, &name, Platform::Linux, "Debian", "10.9.9.9", &identity, now)?;
            tx.execute(
                "INSERT INTO vulnerable_item (number, vulnerability_id, asset_id, instance_id, state, substate, mitigation,
                     inherent, residual, score_source, group_name, reopened, opened_at, updated_at, run_id)
                 VALUES ($1, $2, $3, $4, 'open', '', 'none', 90, 90, 'qds', 'crowd', 0, $5, $5, 1)",
                &[&(FIRST + n), &vulnerability, &asset, &instance, &now],
            )?;
            assets.push(asset.0);
        }
        Ok(assets)
    });
    write.await.expect("a crowd is made")
}

fn number(n: i64) -> String {
    Number { series: Series::Item, ordinal: FIRST + n }.to_string()
}

/// How many items of the crowd somebody has.
async fn of(world: &World, name: &'static str) -> i64 {
    let read = world.server.app().database.read(move |tx| {
        tx.scalar::<i64>(
            "SELECT count(*) FROM vulnerable_item i JOIN account a ON a.id = i.owner_id
             WHERE i.group_name = 'crowd' AND a.name = $1",
            &[&name],
        )
    });
    read.await.expect("they are counted")
}

/// What the audit says of assignments: for each entry how many items it names.
async fn told(world: &World) -> Vec<usize> {
    let audit = world.admin.get("/api/v1/audit?q=action:item.assign&limit=100").await.expect(200);
    let entries = audit["entries"].as_array().expect("a list");
    entries.iter().map(|entry| entry["detail"]["items"].as_array().map_or(0, Vec::len)).collect()
}

both_servers!(every_item_that_matches_is_taken_over_in_batches_and_within_the_scope, |server| async move {
    let world = World::ready(server).await;
    let assets = crowd(&world).await;
    let me = admin_browser(&world.server).await;
    let all = [("q", "group:crowd"), ("all", "1")];
    let list = "/items?q=group%3Acrowd";
    for press in 1..=2 {
        assert_eq!(me.leads("/items/assign-to-me", &all).await, list);
        let page = me.page(list).await;
        assert!(page.contains("620 assigned to you."), "press {press}: {}", gist(&page));
        assert_eq!(of(&world, "admin").await, CROWD, "press {press}");
    }
    let mut named = told(&world).await;
    named.sort_unstable();
    assert_eq!(named, [120, 500], "one entry for each batch, and none where nothing changed");
    let lines: i64 = world
        .server
        .app()
        .database
        .read(|tx| {
            tx.scalar(
                "SELECT count(*) FROM item_history h JOIN vulnerable_item i ON i.id = h.item_id
                 WHERE i.group_name = 'crowd' AND h.what = 'assignment' AND h.before = 'crowd' AND h.after = 'admin, crowd'",
                &[],
            )
        })
        .await
        .expect("they are counted");
    assert_eq!(lines, CROWD, "each item's history says it once");

    // Somebody who sees three of them takes three, and is refused what he names beyond.
    for asset in &assets[..3] {
        world.admin.patch(&format!("/api/v1/assets/{asset}"), &json!({ "tags": ["seen"] })).await.expect(200);
    }
    world.server.user("ana", &["vulnerability_analyst"]).await;
    world.admin.patch("/api/v1/users/ana", &json!({ "scope": { "tags": ["seen"] } })).await.expect(200);
    let ana = browser(&world.server, "ana", USER_PASSWORD).await;
    ana.leads("/items/assign-to-me", &all).await;
    assert!(ana.page(list).await.contains("3 assigned to you."));
    assert_eq!((of(&world, "ana").await, of(&world, "admin").await), (3, CROWD - 3));
    let (mine, hidden) = (number(0), number(7));
    ana.leads("/items/assign-to-me", &[("row", &mine), ("row", &hidden), ("all", "")]).await;
    assert!(ana.page("/items").await.contains("1 assigned to you; 1 could not be."));
    assert_eq!(
        ana.post("/items/assign-to-me", &[("row", &hidden)]).await.status,
        404,
        "none of it, and it looks absent"
    );
    assert_eq!(of(&world, "admin").await, CROWD - 3);
});

both_servers!(a_rescan_of_all_that_matches_looks_at_all_of_it, |server| async move {
    let world = World::ready(server).await;
    crowd(&world).await;
    let me = admin_browser(&world.server).await;
    let to = me.leads("/items/rescan", &[("q", "group:crowd"), ("all", "1")]).await;
    let page = me.page(&to).await;
    assert!(page.contains("620 left out") && page.contains("and 570 more"), "{}", gist(&page));

    // Picked one by one they have to fit into an address: a part of them would look like all.
    let picked: Vec<String> = (0..501).map(number).collect();
    let mut rows: Vec<(&str, &str)> = picked.iter().map(|number| ("row", number.as_str())).collect();
    rows.push(("q", "group:crowd"));
    assert_eq!(me.leads("/items/rescan", &rows).await, "/items?q=group%3Acrowd");
    let page = me.page("/items?q=group%3Acrowd").await;
    assert!(page.contains("501 items are more than fit into an address"), "{}", gist(&page));
    rows.remove(0);
    assert!(me.leads("/items/rescan", &rows).await.starts_with("/rescan?items=500001%2C"), "500 fit");
});

both_servers!(more_jobs_than_one_press_changes_are_refused_and_none_is_changed, |server| async move {
    let world = World::ready(server).await;
    let now = world.server.app().clock.now();
    let write = world.server.app().database.write(move |tx| {
        let owner = tx.scalar("SELECT min(id) FROM account", &[])?;
        for n in 0..501 {
            let new = NewJob {
                number: 10_000 + n,
                kind: Kind::Mitigation,
                platform: Platform::Linux,
                origin: "elimination".to_owned(),
                owner,
            };
            let draft = Draft {
                title: if n == 0 { "Alone".to_owned() } else { format!("Crowd {n}") },
                schedule: serde_json::to_string(&domain::schedule::Schedule::OnDemand).expect("it is plain data"),
                ..testkit::jobs::draft()
            };
            store::jobs::create(tx, &new, &draft, now)?;
        }
        Ok(())
    });
    write.await.expect("jobs are made");
    let deleted = async || -> i64 {
        let read = world
            .server
            .app()
            .database
            .read(|tx| tx.scalar("SELECT count(*) FROM job WHERE deleted_at IS NOT NULL", &[]));
        read.await.expect("they are counted")
    };
    let me = admin_browser(&world.server).await;
    assert_eq!(me.leads("/jobs/bulk/delete", &[("q", ""), ("all", "1")]).await, "/jobs");
    let page = me.page("/jobs").await;
    assert!(page.contains("More than 500 jobs match") && page.contains("nothing was done"), "{}", gist(&page));
    assert_eq!(deleted().await, 0);
    // The same where they are named one by one.
    let names: Vec<String> = (0..501).map(|n| store::jobs::name(10_000 + n)).collect();
    let rows: Vec<(&str, &str)> = names.iter().map(|name| ("row", name.as_str())).collect();
    me.leads("/jobs/bulk/delete", &rows).await;
    assert_eq!(deleted().await, 0);
    // What is within the bound is done whole.
    me.leads("/jobs/bulk/delete", &[("q", "title:Crowd"), ("all", "1")]).await;
    assert_eq!(deleted().await, 500);
    let left: Value = world.admin.get("/api/v1/jobs").await.expect(200);
    assert_eq!(left["jobs"].as_array().map(Vec::len), Some(1), "{left}");
});
