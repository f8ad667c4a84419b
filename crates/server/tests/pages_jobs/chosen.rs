//! What was chosen stays chosen on the way to a job: the asset of an item, the assets of an address, and everything
//! that matches where all of it was selected (S1.01, S1.02, S1.05).

use super::world::{Browser, World, admin_browser, between, browser, gist, place};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::both_servers;
use testkit::server::USER_PASSWORD;

/// The parameter of an address, decoded.
fn parameter(address: &str, name: &str) -> String {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The QIDs that the query text of an address asks for.
fn qids_of(address: &str) -> BTreeSet<i64> {
    let text = parameter(address, "q");
    let text = text.strip_prefix("qid:").unwrap_or_else(|| panic!("no QIDs in {address}"));
    text.trim_matches(['[', ']']).split(',').map(|qid| qid.trim().parse().unwrap()).collect()
}

/// Every value of an attribute in a page.
fn values(page: &str, before: &str) -> Vec<String> {
    let parts = page.split(before).skip(1);
    parts.map(|part| part.split('"').next().unwrap().replace("&#38;", "&")).collect()
}

async fn item(world: &World, qid: i64, asset: i64) -> String {
    let found = world.admin.get(&format!("/api/v1/items?q=qid:{qid} and asset.id:{asset}&limit=1")).await.expect(200);
    found["items"][0]["number"].as_str().unwrap_or_else(|| panic!("no item: {found}")).to_owned()
}

/// The QIDs of what is open on an asset.
async fn open_on(world: &World, asset: i64) -> BTreeSet<i64> {
    let found = world.admin.get(&format!("/api/v1/items?q=asset.id:{asset} and is:open&limit=500")).await.expect(200);
    found["items"].as_array().unwrap().iter().map(|item| item["qid"].as_i64().unwrap()).collect()
}

/// The assets and QIDs of the job whose wizard this is.
async fn job_of(world: &World, basic: &str) -> (Vec<i64>, BTreeSet<i64>) {
    let number = basic.trim_start_matches("/jobs/").trim_end_matches("/edit/basic");
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    let list = |name: &str| job["job"][name].as_array().unwrap().clone();
    let mut assets: Vec<i64> = list("assets").iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    assets.sort_unstable();
    (assets, list("actions").iter().map(|action| action["qid"].as_i64().unwrap()).collect())
}

async fn jobs(world: &World) -> usize {
    world.admin.get("/api/v1/jobs").await.expect(200)["jobs"].as_array().unwrap().len()
}

async fn close(world: &World, qid: i64, asset: i64) {
    let write = world.server.app().database.write(move |tx| {
        tx.execute(
            "UPDATE vulnerable_item SET state = 'closed' WHERE asset_id = $1
               AND vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $2)",
            &[&asset, &qid],
        )
    });
    write.await.unwrap();
}

/// The keys of the first two assets, in order, and the names.
fn two(assets: &[Value]) -> [(i64, String); 2] {
    let mut all: Vec<(i64, String)> =
        assets.iter().map(|a| (a["id"].as_i64().unwrap(), a["name"].as_str().unwrap().to_owned())).collect();
    all.sort_unstable();
    [all[0].clone(), all[1].clone()]
}

both_servers!(s1_01_s1_05_mitigate_now_of_an_item_is_for_its_asset_alone, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    let [(asset, name), (other, _)] = two(&assets);
    let here = format!("/items/{}", item(&world, qid, asset).await);
    let there = format!("/items/{}", item(&world, qid, other).await);

    let page = me.page(&here).await;
    let eliminations = values(&page, "href=\"/eliminations");
    assert!(eliminations.contains(&format!("?q=qid%3A{qid}&amp;asset={asset}")), "{eliminations:?}");
    let post = values(&page, "formaction=\"/jobs/new");
    assert_eq!(post, [format!("?qid={qid}&asset={asset}")], "the button is for this asset");
    let basic = me.leads(&format!("/jobs/new{}", post[0]), &[]).await;
    assert_eq!(job_of(&world, &basic).await, (vec![asset], [qid].into()));
    let step = me.page(&basic.replace("/basic", "/assets")).await;
    assert!(step.contains("value=\"manual\" checked") && step.contains(&name), "{}", gist(&step));
    let remove = |asset: i64| format!("value=\"{asset}\" aria-label=\"Remove");
    assert!(step.contains(&remove(asset)) && !step.contains(&remove(other)), "{}", gist(&step));

    // Without an agent that can be used it is refused with the reason, whatever agents the other assets have.
    let write = world
        .server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE agent SET revoked_at = 1 WHERE asset_id = $1", &[&asset]));
    write.await.unwrap();
    let page = me.page(&here).await;
    assert!(page.contains("his asset has no agent that can be used"), "{}", gist(&page));
    assert!(values(&page, "formaction=\"/jobs/new").is_empty());
    assert_eq!(values(&me.page(&there).await, "formaction=\"/jobs/new"), [format!("?qid={qid}&asset={other}")]);
    let before = jobs(&world).await;
    let back = me.leads(&format!("/jobs/new?qid={qid}&asset={asset}"), &[]).await;
    assert_eq!(back, format!("/eliminations?q=qid%3A{qid}&asset={asset}"), "no job for other machines");
    let page = me.page(&back).await;
    assert!(page.contains("No asset with this vulnerability can be chosen"), "{}", gist(&page));
    assert!(page.contains("his asset has no agent that can be used"), "{}", gist(&page));
    assert!(values(&page, "formaction=\"/jobs/new").is_empty(), "{}", gist(&page));
    assert_eq!(jobs(&world).await, before);

    close(&world, qid, other).await;
    let page = me.page(&there).await;
    assert!(page.contains("A closed item has nothing left to mitigate."), "{}", gist(&page));
    assert!(values(&page, "formaction=\"/jobs/new").is_empty());
});

both_servers!(s1_05_eliminations_are_kept_to_the_assets_of_the_address, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    let [(asset, name), (other, other_name)] = two(&assets);

    // The way from the asset. What is open elsewhere is neither listed nor counted.
    let page = me.page(&format!("/assets/{asset}")).await;
    assert!(values(&page, "href=\"/eliminations").contains(&format!("?asset={asset}")), "{}", gist(&page));
    let path = format!("/eliminations?asset={asset}");
    let counts = |page: &str| -> Vec<i64> {
        let cells = page.split("<td class=\"end\">").skip(1);
        cells.map(|cell| between(cell, "\">", "</a>").parse().unwrap()).collect()
    };
    let rows = |page: &str| values(page, "name=\"row\" value=\"");
    let listed = |page: &str| -> BTreeSet<i64> {
        let keys = rows(page);
        let qids = keys.iter().flat_map(|key| key.split(';').next().unwrap().split(','));
        qids.map(|qid| qid.parse().unwrap()).collect()
    };
    let everywhere = me.page("/eliminations").await;
    assert!(counts(&everywhere).iter().any(|count| *count > 1) && !everywhere.contains("id=\"q-kept\""));
    let page = me.page(&path).await;
    let said = between(&page, "id=\"q-kept\"", "</div>");
    assert!(said.contains("Only on") && said.contains(&name) && !said.contains(&other_name), "{said}");
    assert!(!counts(&page).is_empty() && counts(&page).iter().all(|count| *count <= 1), "{:?}", counts(&page));
    assert!(listed(&page).contains(&qid) && listed(&page).is_subset(&open_on(&world, asset).await));
    close(&world, qid, asset).await;
    assert!(!listed(&me.page(&path).await).contains(&qid));
    assert!(listed(&me.page("/eliminations").await).contains(&qid));

    // Filter, views, orders, details and both ways to a job carry the assets on.
    let path = format!("/eliminations?asset={other}");
    let page = me.page(&path).await;
    assert!(page.contains(&format!("<input type=\"hidden\" name=\"asset\" value=\"{other}\">")), "the filter's form");
    let carried = format!("asset={other}");
    let links = |page: &str| -> Vec<String> {
        let links = values(page, "href=\"/eliminations");
        links.into_iter().filter(|link| link.contains("sort=") || link.contains("q=")).collect()
    };
    let all = links(&page);
    for part in ["sort=title", "sort=assets", "q=left", "q=kind%3Afix"] {
        assert!(all.iter().any(|link| link.contains(part)), "{part} in {all:?}");
    }
    assert!(all.iter().all(|link| link.contains(&carried)), "{all:?}");
    let details = values(&page, "hx-get=\"/mitigations/");
    assert!(!details.is_empty() && details.iter().all(|link| link.contains(&carried)), "{details:?}");
    let single = values(&page, "formaction=\"/jobs/new");
    assert!(!single.is_empty() && single.iter().all(|to| to.contains(&carried)), "{single:?}");
    let filtered = me.page(&format!("{path}&q=platform:linux&sort=title")).await;
    let orders = values(&filtered, "hx-get=\"/eliminations");
    let orders: Vec<&String> = orders.iter().filter(|link| link.contains("sort=")).collect();
    assert!(!orders.is_empty() && orders.iter().all(|link| link.contains(&carried)), "{orders:?}");
    let bulk = format!("/eliminations/mitigate?{carried}");
    assert!(filtered.contains(&format!("formaction=\"{bulk}\"")), "{}", gist(&filtered));
    let unread = me.page(&format!("{path}&q=nonsense:1")).await;
    assert!(unread.contains(&format!("href=\"{path}\"")), "Clear keeps the assets");

    // The job is for these assets, from one row, from picked rows and from all that match.
    let basic = me.leads(&format!("/jobs/new{}", single[0]), &[]).await;
    assert_eq!(job_of(&world, &basic).await.0, [other]);
    let dialog = me.page(&format!("/mitigations/{}", details[0])).await;
    let to = values(&dialog, "formaction=\"/jobs/new");
    assert!(!to.is_empty() && to.iter().all(|to| to.contains(&carried)), "{to:?}");
    let of_qid = |key: &String| key.split([';', ',']).any(|part| part == qid.to_string());
    let key = rows(&page).into_iter().find(of_qid).unwrap();
    let basic = me.leads(&bulk, &[("row", &key), ("all", ""), ("q", "")]).await;
    assert_eq!(job_of(&world, &basic).await.0, [other]);
    let q = format!("qid:{qid} and platform:linux and risk:[low, medium]");
    let basic = me.leads(&bulk, &[("all", "1"), ("q", &q)]).await;
    assert_eq!(job_of(&world, &basic).await, (vec![other], [qid].into()));

    // Nothing chosen and nothing readable never become everything.
    assert_eq!(me.leads(&bulk, &[("all", ""), ("q", "")]).await, path);
    assert!(me.page(&path).await.contains("No elimination was chosen."));
    let before = jobs(&world).await;
    let none = me.page("/eliminations?asset=x").await;
    assert!(none.contains("None of the assets in the address is known here"), "{}", gist(&none));
    assert!(rows(&none).is_empty());
    let back = me.leads(&format!("/jobs/new?qid={qid}&platform=linux&asset=x"), &[]).await;
    assert!(back.starts_with("/eliminations?"), "{back}");
    assert_eq!(jobs(&world).await, before);

    // What is too much is cut aloud.
    let many: Vec<String> = [other].into_iter().chain(900_001..=900_500).map(|key| key.to_string()).collect();
    let many = many.join(",");
    let said = "Taken are the first 500 of 501 assets; 1 is left out.";
    let page = me.page(&format!("/eliminations?asset={many}")).await;
    assert!(page.contains(said) && page.contains("499 of those named in the address are not known here."));
    let basic = me.leads(&format!("/jobs/new?qid={qid}&platform=linux&asset={many}"), &[]).await;
    assert!(me.page(&basic).await.contains(said));
    assert_eq!(job_of(&world, &basic).await.0, [other]);

    // Assets outside the scope are not named.
    world.admin.patch(&format!("/api/v1/assets/{asset}"), &json!({ "tags": ["seen"] })).await.expect(200);
    let part = scoped(&world, "part", "seen").await;
    let page = part.page(&format!("/eliminations?asset={asset},{other}")).await;
    let said = between(&page, "id=\"q-kept\"", "</div>");
    assert!(said.contains(&name) && !said.contains(&other_name), "{said}");
    assert!(said.contains("1 of those named in the address is not known here."), "{said}");
});

/// Somebody who sees only what carries a tag.
async fn scoped(world: &World, name: &str, tag: &str) -> Browser {
    world.server.user(name, &["job_author"]).await;
    world.admin.patch(&format!("/api/v1/users/{name}"), &json!({ "scope": { "tags": [tag] } })).await.expect(200);
    browser(&world.server, name, USER_PASSWORD).await
}

both_servers!(s1_01_s1_05_items_lead_to_their_qids_on_their_assets, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, assets) = world.mitigable().await;
    let [(asset, name), (other, other_name)] = two(&assets);
    let (first, second) = (item(&world, qid, asset).await, item(&world, qid, other).await);
    let to = "/items/eliminations";

    let page = me.page(&format!("/items?q=qid:{qid}")).await;
    assert!(page.contains(&format!("formaction=\"{to}\"")), "{}", gist(&page));
    assert!(values(&page, "href=\"/eliminations").contains(&format!("?q=qid%3A{qid}&asset={asset}")), "the row's own");
    let picked = me.leads(to, &[("row", &first), ("row", &second), ("all", ""), ("q", "")]).await;
    assert_eq!(picked, format!("/eliminations?q=qid%3A{qid}&asset={asset}%2C{other}"));
    let page = me.page(&picked).await;
    let said = between(&page, "id=\"q-kept\"", "</div>");
    assert!(said.contains(&name) && said.contains(&other_name), "{said}");
    let single = values(&page, "formaction=\"/jobs/new");
    let basic = me.leads(&format!("/jobs/new{}", single[0]), &[]).await;
    assert_eq!(job_of(&world, &basic).await.0, [asset, other]);

    // All that match, not only the rows of the page.
    let all = me.leads(to, &[("row", &second), ("all", "1"), ("q", &format!("asset.id:{asset}"))]).await;
    assert_eq!(parameter(&all, "asset"), asset.to_string());
    assert_eq!(qids_of(&all), open_on(&world, asset).await);

    // Within the scope: what is hidden looks absent, and all is all that is seen.
    world.admin.patch(&format!("/api/v1/assets/{asset}"), &json!({ "tags": ["seen"] })).await.expect(200);
    let part = scoped(&world, "part", "seen").await;
    assert_eq!(part.post(to, &[("row", &second)]).await.status, 404);
    let all = part.leads(to, &[("all", "1"), ("q", "")]).await;
    assert_eq!(parameter(&all, "asset"), asset.to_string());

    // A closed item has nothing to eliminate, and that it is left out is said.
    close(&world, qid, other).await;
    let open = me.leads(to, &[("row", &first), ("row", &second)]).await;
    assert_eq!(open, format!("/eliminations?q=qid%3A{qid}&asset={asset}"));
    let page = me.page(&open).await;
    assert!(
        page.contains("Taken along: 1 of 2 items, the first open ones of the list; 1 is left out."),
        "{}",
        gist(&page)
    );
    assert_eq!(me.leads(to, &[("row", &second)]).await, "/items");
    assert!(me.page("/items").await.contains("None of the chosen items is open"));
    assert_eq!(me.leads(to, &[]).await, "/items", "nothing chosen is not everything");
});

both_servers!(s1_02_all_selected_vulnerabilities_are_taken_or_counted_as_left_out, |server| async move {
    let world = World::ready(server).await;
    let me = admin_browser(&world.server).await;
    let (qid, _) = world.mitigable().await;
    let to = "/vulnerabilities/eliminations";

    let page = me.page("/vulnerabilities?q=is:found&limit=1").await;
    let row = values(&page, "name=\"row\" value=\"");
    assert_eq!(row.len(), 1);
    let found = world.admin.get("/api/v1/vulnerabilities?q=is:found&limit=500").await.expect(200);
    let found = found["vulnerabilities"].as_array().unwrap().iter().map(|known| known["qid"].as_i64().unwrap());
    let found: BTreeSet<i64> = found.collect();
    assert!((2..=200).contains(&found.len()), "{found:?}");
    let all = me.leads(to, &[("row", &row[0]), ("all", "1"), ("q", "is:found")]).await;
    assert_eq!(qids_of(&all), found);
    assert!(!me.page(&all).await.contains("Taken along"));
    let one = me.leads(to, &[("row", &row[0]), ("all", ""), ("q", "is:found")]).await;
    assert_eq!(qids_of(&one).len(), 1, "without all the rows count");

    // More than an address holds: what is left out is counted.
    let write = world.server.app().database.write(move |tx| {
        for n in 0..205_i64 {
            tx.execute(
                "INSERT INTO vulnerability (product, key, qid, title, kind, severity, category, cvss2, cvss3, cvss3_vector,
                     patchable, threat, impact, solution, published_at, modified_at, disabled, placeholder, digest, run_id)
                 SELECT product, CAST($1 AS TEXT), CAST($2 AS BIGINT), title, kind, severity, category, cvss2, cvss3,
                     cvss3_vector, patchable, threat, impact, solution, published_at, modified_at, disabled, placeholder,
                     digest, run_id
                 FROM vulnerability WHERE qid = $3",
                &[&(90_000_000 + n).to_string(), &(90_000_000 + n), &qid],
            )?;
        }
        Ok(())
    });
    write.await.unwrap();
    let many = me.leads(to, &[("row", &row[0]), ("all", "1"), ("q", "qid:>=90000000")]).await;
    assert_eq!(qids_of(&many).len(), 200);
    let page = me.page(&many).await;
    let said = "Taken along: 200 of 205 vulnerabilities, those with the highest scores; 5 are left out.";
    assert!(page.contains(said) && !page.contains("id=\"q-caret\""), "{}", gist(&page));
    let rows: Vec<String> = (0..201).map(|n| (90_000_000 + n).to_string()).collect();
    let fields: Vec<(&str, &str)> = rows.iter().map(|row| ("row", row.as_str())).collect();
    let picked = me.leads(to, &fields).await;
    let said = "Taken along: 200 of 201 vulnerabilities, the first of the list; 1 is left out.";
    assert!(qids_of(&picked).len() == 200 && me.page(&picked).await.contains(said));

    // Nothing is not everything, and what cannot be read is refused.
    assert_eq!(me.leads(to, &[("all", "1"), ("q", "qid:1")]).await, "/vulnerabilities?q=qid%3A1");
    assert!(me.page("/vulnerabilities?q=qid:1").await.contains("No vulnerability was chosen."));
    let unread = me.post(to, &[("all", "1"), ("q", "nonsense:1")]).await;
    assert_eq!((unread.status, place(&unread)), (422, ""));
});
