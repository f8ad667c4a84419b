//! Search lists: what an option profile looks for, as far as it is known.

use super::{import, instance, simulator};
use qualys_sim::Options;
use std::collections::BTreeSet;

testkit::both_servers!(whether_a_profile_looks_for_a_vulnerability_is_known_from_its_lists, |server| async move {
    let simulator = simulator(Options { hosts: 8, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    import(&admin, id, "everything").await;
    let found = admin.get("/api/v1/vulnerabilities?q=is:found&limit=200").await.expect(200);
    let qids: Vec<i64> =
        found["vulnerabilities"].as_array().expect("a list").iter().filter_map(|one| one["qid"].as_i64()).collect();
    assert!(qids.len() > 5, "{found}");
    let tests = async |profile: &str, qid: i64| {
        let path = format!("/api/v1/instances/{id}/option-profiles/{profile}/tests/{qid}");
        let told = admin.get(&path).await.expect(200);
        (told["tests"].as_str().expect("a word").to_owned(), told["list"].as_str().unwrap_or_default().to_owned())
    };
    // All of them; lists that were never imported; a profile that is not known.
    assert_eq!(tests("510001", qids[0]).await.0, "yes");
    assert_eq!(tests("510003", qids[0]).await.0, "unknown");
    assert_eq!(tests("999999", qids[0]).await.0, "unknown");

    let run = import(&admin, id, "search_lists").await;
    assert_eq!(run["import"]["state"], "complete", "{run}");
    let mut told = BTreeSet::new();
    for qid in qids {
        told.insert(tests("510003", qid).await);
    }
    let expected = [("no", "Linux hardening"), ("yes", "")].map(|(word, list)| (word.to_owned(), list.to_owned()));
    assert_eq!(told, BTreeSet::from(expected), "some are on its list, some are not");
    // Whoever chooses a profile for a rescan may know; whoever has nothing to do with it may not.
    let reader = server.user("jo", &["job_reader"]).await;
    let denied = reader.get(&format!("/api/v1/instances/{id}/option-profiles/510003/tests/1")).await;
    assert_eq!(denied.status, 403, "{}", denied.text);
    simulator.shutdown().await;
});
