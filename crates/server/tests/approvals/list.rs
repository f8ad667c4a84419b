//! The list of requests goes on as far as there are any: in the API, on the page.

use crate::pages::Browser;
use crate::rollout::write;
use crate::world::{RISKY, World};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::both_servers;

/// Requests besides the first one.
const MORE: i64 = 610;

both_servers!(no_request_is_hidden_by_newer_ones, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let first = approval["summary"]["id"].as_i64().unwrap();
    write(&world, move |tx| {
        for _ in 0..MORE {
            tx.execute(
                "INSERT INTO approval (job_id, run_id, run_ordinal, state, plan, manifest, manifest_digest, envelope,
                     signatures, needed, class, entries, machines, authors, requested_by, requested_at, valid_until,
                     decided_by, reason, rollout)
                 SELECT job_id, run_id + 1000, run_ordinal + 1, 'void', plan, manifest, manifest_digest, envelope, signatures,
                     needed, class, entries, machines, authors, requested_by, requested_at, valid_until, decided_by, reason,
                     rollout FROM approval WHERE id = $1",
                &[&first],
            )?;
        }
        Ok(())
    })
    .await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.ben.get(&format!("/api/v1/approvals?limit=500{cursor}")).await.expect(200);
        let ids = page["approvals"].as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap());
        seen.extend(ids);
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "the newest first");
    assert_eq!((seen.len(), seen.last()), (611, Some(&first)));
    let waiting = world.ben.get("/api/v1/approvals?state=pending").await.expect(200);
    assert_eq!((waiting["approvals"][0]["id"].as_i64(), &waiting["next"]), (Some(first), &Value::Null));
    let asked = world.ben.get("/api/v1/approvals?q=state:pending&sort=until").await.expect(200);
    assert_eq!(asked["approvals"].as_array().unwrap().len(), 1);
    assert_eq!(world.ben.get("/api/v1/approvals?cursor=x").await.status, 422);
    // Who sees none of the machines sees none of them on any page.
    let none = world.server.user("lea", &["job_reader"]).await;
    world.admin.patch("/api/v1/users/lea", &json!({ "scope": { "tags": ["lab"] } })).await.expect(200);
    assert_eq!(none.get("/api/v1/approvals").await.expect(200)["approvals"].as_array().unwrap().len(), 0);

    let ben = Browser::of(&world, "ben").await;
    let mut at = "/approvals?state=all".to_owned();
    let mut pages = BTreeSet::new();
    let last = loop {
        assert!(pages.insert(at.clone()), "{at} leads to itself");
        let page = ben.page(&at).await;
        assert_eq!(page.contains("First page"), pages.len() > 1);
        match page.split_once("rel=\"next\" href=\"") {
            Some((_, rest)) => at = rest.split_once('"').unwrap().0.replace("&amp;", "&").replace("&#38;", "&"),
            None => break page,
        }
    };
    assert_eq!(pages.len(), 7, "{pages:?}");
    assert!(last.contains(&format!("/approvals/{first}\"")) && last.contains(&format!("{number} run 1")), "{last}");
});
