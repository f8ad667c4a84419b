//! Sentences of the procedure to their last word: several CVEs of a QID (S1.01), whose QIDs go with an asset (S1.07, R4), what
//! administrators may do to a job of somebody else (S1.18), Mitigated with every CVE and only then (S1.23, R9, R10), and an
//! organisation's own entries with both signatures and not with one.

use crate::hands::{act, draft, in_place, job, only_safe, over, patch, program, ready, report};
use crate::world::World;
use catalogue::bundle::Bundle;
use catalogue::ephemeral::single_key_root;
use catalogue::schema::Entry;
use protocol::signed::SigningKey;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::both_servers;

/// A QID of several CVEs for which something safe can be done on an asset with an agent.
struct Several {
    qid: i64,
    cves: Vec<String>,
    asset: i64,
    entry: String,
}

async fn of_several_cves(world: &World) -> Several {
    let path = "/api/v1/vulnerabilities?q=is:found and is:mitigable&limit=100";
    let found = world.admin.get(path).await.expect(200);
    for vulnerability in found["vulnerabilities"].as_array().unwrap() {
        let qid = vulnerability["qid"].as_i64().unwrap();
        let shown = world.admin.get(&format!("/api/v1/vulnerabilities/{qid}")).await.expect(200);
        let cves = shown["vulnerability"]["cves"].as_array().unwrap();
        let cves: Vec<String> = cves.iter().map(|cve| cve.as_str().unwrap().to_owned()).collect();
        let can = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
        let safe = |e: &Value| e["risk"] != "high" && e["reversible"] == true && e["platform"] == "linux";
        let entry = can["eliminations"].as_array().unwrap().iter().find(|e| safe(e));
        let able = can["assets"].as_array().unwrap().iter().find(|asset| asset["selectable"] == true);
        if let (true, Some(entry), Some(asset)) = (cves.len() > 1, entry, able) {
            let entry = entry["entry"].as_str().unwrap().to_owned();
            return Several { qid, cves, asset: asset["id"].as_i64().unwrap(), entry };
        }
    }
    panic!("no QID of several CVEs can be mitigated: {found}");
}

async fn item(world: &World, qid: i64, asset: i64) -> Value {
    let found = world.admin.get(&format!("/api/v1/items?q=qid:{qid} and asset.id:{asset}")).await.expect(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    found["items"][0].clone()
}

fn qids(job: &Value) -> BTreeSet<i64> {
    job["actions"].as_array().unwrap().iter().map(|action| action["qid"].as_i64().unwrap()).collect()
}

// S1.01, S1.02.
both_servers!(each_of_several_cves_has_its_own_score_and_a_job_is_made_for_the_asset, |server| async move {
    let world = World::ready(server).await;
    let Several { qid, cves, asset, .. } = of_several_cves(&world).await;
    let number = item(&world, qid, asset).await["number"].as_str().unwrap().to_owned();
    let score = world.admin.get(&format!("/api/v1/items/{number}/score")).await.expect(200)["score"].clone();
    let units = score["units"].as_array().unwrap();
    let named: BTreeSet<&str> = units.iter().map(|unit| unit["cve"].as_str().unwrap()).collect();
    assert_eq!(named, cves.iter().map(String::as_str).collect(), "each CVE, once: {score}");
    let scores: Vec<i64> = units.iter().map(|unit| unit["inherent"].as_i64().unwrap()).collect();
    assert!(scores.iter().all(|score| (1..=100).contains(score)), "{score}");
    assert_eq!(scores.iter().max().copied(), score["inherent"].as_i64(), "the highest is the detection's");

    let choices = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
    let offered = choices["eliminations"].as_array().unwrap();
    assert!(!offered.is_empty() && offered.iter().all(|e| e["qid"] == qid), "{choices}");
    let made = job(&world.admin, &draft(&world.admin, qid, &[asset]).await).await;
    let assets: Vec<&Value> = made["assets"].as_array().unwrap().iter().map(|asset| &asset["id"]).collect();
    assert_eq!((qids(&made), assets), (BTreeSet::from([qid]), vec![&json!(asset)]), "{made}");
});

// S1.07, R4.
both_servers!(the_qids_that_no_asset_is_left_for_go_and_the_others_stay, |server| async move {
    let world = World::ready(server).await;
    let (shared, assets) = world.mitigable().await;
    let [alone, other] = [0, 1].map(|at: usize| assets[at]["id"].as_i64().unwrap());
    let found = world.admin.get("/api/v1/vulnerabilities?q=is:found and is:mitigable&limit=100").await.expect(200);
    let mut second = None;
    for vulnerability in found["vulnerabilities"].as_array().unwrap() {
        let qid = vulnerability["qid"].as_i64().unwrap();
        let can = world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
        let on = can["assets"].as_array().unwrap().iter().any(|a| a["id"] == alone && a["selectable"] == true);
        if qid != shared && on && can["eliminations"].as_array().unwrap().iter().any(|e| e["platform"] == "linux") {
            second = Some(qid);
            break;
        }
    }
    let own = second.expect("the first asset has another QID that can be mitigated");
    let new = json!({ "platform": "linux", "vulnerabilities": [
        { "qid": shared, "assets": [alone, other] }, { "qid": own, "assets": [alone] },
    ] });
    for (left, expected) in [(other, BTreeSet::from([shared])), (alone, BTreeSet::from([shared, own]))] {
        let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
        assert_eq!(qids(&made["job"]), BTreeSet::from([shared, own]), "{made}");
        let number = made["job"]["summary"]["number"].as_str().unwrap();
        patch(&world.admin, number, &json!({ "assets": [left] })).await.expect(200);
        let kept = job(&world.admin, number).await;
        assert_eq!(qids(&kept), expected, "{left} is left: {kept}");
        // What went does not come back with what is saved.
        let saved = act(&world.admin, number, "save").await.expect(200);
        assert_eq!(qids(&saved["job"]), expected, "{saved}");
    }
});

// S1.18.
both_servers!(
    the_super_user_and_an_administrator_enable_disable_edit_and_delete_a_job_of_another,
    |server| async move {
        let world = World::ready(server).await;
        let (qid, assets) = world.mitigable().await;
        let asset = assets[0]["id"].as_i64().unwrap();
        let author = program(&world, "ann", &["job_author"], None, &["read", "jobs"]).await;
        let stranger = program(&world, "oz", &["job_author"], None, &["read", "jobs"]).await;
        let administrator = program(&world, "adi", &["administrator"], None, &["read", "jobs"]).await;
        for (who, chief) in [("SuperUser", &world.admin), ("Administrator", &administrator)] {
            let number = draft(&author, qid, &[asset]).await;
            only_safe(&world, &number, qid).await;
            let later = json!({ "schedule": { "when": "once", "at": "2031-01-01T02:00:00", "zone": "UTC" } });
            patch(&author, &number, &later).await.expect(200);
            act(&author, &number, "save").await.expect(200);
            for (word, status) in [("enable", "ENABLED"), ("disable", "DISABLED")] {
                assert_eq!(act(&stranger, &number, word).await.status, 403, "{word}");
                let done = act(chief, &number, word).await.expect(200);
                assert_eq!(done["job"]["summary"]["status"], status, "{who}");
            }
            let edit = json!({ "title": format!("Edited by the {who}") });
            assert_eq!(patch(&stranger, &number, &edit).await.status, 403);
            patch(chief, &number, &edit).await.expect(200);
            let edited = job(&author, &number).await;
            assert_eq!(
                (&edited["summary"]["title"], &edited["summary"]["owner"]),
                (&edit["title"], &json!("ann")),
                "{who}: it stays whose it is"
            );
            let path = format!("/api/v1/jobs/{number}");
            assert_eq!(stranger.delete(&path).await.status, 403);
            assert_eq!(chief.delete(&path).await.status, 204, "{who}");
            assert_eq!(author.get(&path).await.status, 404, "{who}");
        }
    }
);

// S1.23, R9, R10.
both_servers!(an_item_is_mitigated_with_the_last_of_its_cves_and_not_before, |server| async move {
    let world = World::ready(server).await;
    let Several { qid, cves, asset, entry } = of_several_cves(&world).await;
    // How the entry covers the last of the CVEs (all others in full), and what the item is then.
    for (coverage, mitigation) in [("", "partial"), ("partial", "partial"), ("substantial", "mitigated")] {
        let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": [asset] }], "entries": [entry] });
        let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
        let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
        let (of, last, how) = (entry.clone(), cves.last().unwrap().clone(), coverage.to_owned());
        let write = world.server.app().database.write(move |tx| {
            let key: i64 = tx.scalar("SELECT max(id) FROM catalogue_entry WHERE entry = $1 AND current", &[&of])?;
            tx.execute("DELETE FROM catalogue_cve WHERE entry_key = $1", &[&key])?;
            tx.execute(
                "INSERT INTO catalogue_cve (entry_key, cve, qid, coverage, points)
                 SELECT $1, c.cve, 0, 'full', 99 FROM vulnerability_cve c
                 JOIN vulnerability v ON v.id = c.vulnerability_id WHERE v.qid = $2",
                &[&key, &qid],
            )?;
            let change = match how.as_str() {
                "" => "DELETE FROM catalogue_cve WHERE entry_key = $1 AND cve = $2 AND coverage <> $3",
                _ => "UPDATE catalogue_cve SET coverage = $3 WHERE entry_key = $1 AND cve = $2",
            };
            tx.execute(change, &[&key, &last, &how])?;
            // R10: every score is below the points.
            tx.execute(
                "UPDATE vulnerable_item SET inherent = 60, score_source = 'qds' WHERE asset_id = $1
                 AND vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $2)",
                &[&asset, &qid],
            )?;
            tx.execute(
                "UPDATE vulnerability_cve SET qvs = NULL
                 WHERE vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $1)",
                &[&qid],
            )
        });
        write.await.unwrap();
        act(&world.admin, &number, "save").await.expect(200);
        act(&world.admin, &number, "enable").await.expect(200);
        ready(&world.server, 1).await;
        report(&world.server, asset, &in_place()).await;
        over(&world.admin, &number).await;
        let item = item(&world, qid, asset).await;
        assert_eq!(
            (&item["mitigation"], &item["status"], &item["inherent"]),
            (&json!(mitigation), &json!(mitigation), &json!(60)),
            "the last of {cves:?} is covered {coverage:?} by {entry}: {item}"
        );
        // What nothing covers keeps its score; 60 less 99 is 1.
        assert_eq!(item["residual"], if coverage.is_empty() { 60 } else { 1 }, "{coverage:?}: {item}");
    }
    // It is told from those that are not.
    let filter = format!("/api/v1/items?q=qid:{qid} and asset.id:{asset} and status:mitigated");
    assert_eq!(world.admin.get(&filter).await.expect(200)["items"].as_array().unwrap().len(), 1, "{entry}");
});

both_servers!(an_own_entry_is_set_aside_by_name_until_the_organisation_has_signed, |server| async move {
    const OWN: &str = "org-no-tcp-sack";
    let admin = server.admin().await;
    let [root, content, organisation] = [0; 3].map(|_| SigningKey::generate().unwrap());
    let expires = server.app().clock.now().plus_seconds(86_400);
    let order = server::engine::catalogue::order_key(server.app()).public();
    let sealed =
        single_key_root(&root.public(), &content.public(), &organisation.public(), &order, 1, expires).seal(&[&root]);
    let sealed = String::from_utf8(sealed.unwrap().to_json()).unwrap();
    let sources = catalogue::embedded::sources();
    let text = sources.iter().find(|source| source.path.ends_with("linux-tcp-sack-off.toml")).unwrap().text;
    let entries =
        [Entry::from_toml(text).unwrap(), Entry::from_toml(&text.replace("linux-tcp-sack-off", OWN)).unwrap()];
    let install = async |version: u64, keys: &[&SigningKey]| {
        let bundle = Bundle::sign(version, expires, &entries, Vec::new(), keys).unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        let parcel = json!({
            "roots": [sealed], "index": text(&bundle.index), "entries": bundle.entries.values().map(text).collect::<Vec<_>>(),
        });
        admin.post("/api/v1/catalogue", &parcel).await
    };
    let found = async |entry: &str| admin.get(&format!("/api/v1/catalogue/entries/{entry}")).await.status;
    // By the content key alone, and by it with one that is not the organisation's.
    for (version, keys) in [(1, vec![&content]), (2, vec![&content, &root])] {
        let done = install(version, &keys).await.expect(200);
        assert_eq!((&done["entries"], &done["rejected"][0]["entry"]), (&json!(1), &json!(OWN)), "{done}");
        let why = done["rejected"][0]["reason"].as_str().unwrap();
        assert!(why.contains("not signed by the organisation"), "{why}");
        assert_eq!((found(OWN).await, found("linux-tcp-sack-off").await), (404, 200), "the rest works");
    }
    // The organisation alone signs nothing at all.
    let alone = install(3, &[&organisation]).await;
    assert_eq!(alone.code(), "catalogue_refused", "{}", alone.text);
    let done = install(4, &[&content, &organisation]).await.expect(200);
    assert_eq!((&done["entries"], &done["rejected"]), (&json!(2), &json!([])), "{done}");
    assert_eq!(found(OWN).await, 200);
});
